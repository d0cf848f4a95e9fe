"""Whether a run can go on from a checkpoint."""

from __future__ import annotations

from pathlib import Path

from motiontok.config import Config, parse_config
from motiontok.errors import TrainingError
from motiontok.training.checkpoint import read_header

__all__ = ["require_same"]

# Settings that a resumed run may change.
_FREE = (
    "steps", "time_budget", "evaluate_every", "evaluations", "checkpoint_every", "log_every",
    "validation_windows", "chunk",
)  # fmt: skip


def require_same(config: Config, path: Path, *, data: str = "") -> None:
    """Refuse to go on from a checkpoint with other data, another model or method.

    Lengths and intervals may change: a finished run goes on with more steps.

    Args:
        config: of the run now.
        path: of the checkpoint.
        data: fingerprint of the data, once it is known.

    Raises:
        TrainingError: the checkpoint cannot be read, or a setting or the data differs.
    """
    header = read_header(path)
    if data and header.get("data", data) != data:
        raise TrainingError(
            f"{path}: was trained on other data (fingerprint {header['data']}, now {data}): clips "
            "were added, removed or cut; resume with the same data or use another --out"
        )
    # What a setting that came later stood for is its default.
    saved, now = parse_config(header["config"], str(path)).to_dict(), config.to_dict()
    for section in ("data", "model", "method", "train"):
        for key, value in now[section].items():
            if key not in _FREE and saved[section].get(key) != value:
                raise TrainingError(
                    f"{path}: was trained with {section}.{key} = {saved[section].get(key)!r}, this "
                    f"run asks for {value!r}; resume with the same settings or use another --out"
                )
