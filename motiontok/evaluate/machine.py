"""The machine on which numbers were measured."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path

import torch

__all__ = ["machine"]


def machine(device: str) -> dict[str, str | int]:
    """Processor, accelerator, versions and date, to stand beside every number."""
    out: dict[str, str | int] = {
        "date": datetime.date.today().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device,
    }
    if torch.device(device).type == "cuda":
        out["accelerator"] = torch.cuda.get_device_name(device)
    return out


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
