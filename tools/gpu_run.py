"""All that wants a GPU, in one script of under ten minutes that goes on where it was ended.

    python tools/gpu_run.py pack path/to/bvh clips.npz        # anywhere, once
    python tools/gpu_run.py run out --clips clips.npz         # on the GPU, as often as needed
    python tools/gpu_run.py run out --mnist path/to/mnist     # likewise

Stages: tests that need CUDA; the parts of a training step against their arithmetic floor, at
LAFAN's and ImageNet's sizes, in float32 and bfloat16; a training run on the clips with its
quality over time; the paper's 250,000 steps on MNIST, as many of them as there is time for. Each
stage that ends is kept in OUT/record.json, training in its checkpoint. OUT/record.md says what
was measured and what was not. ``--quick`` is the same in sizes for a CPU.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools" / "bench")]

from train_step import Report, measure, to_markdown  # noqa: E402

from bvh import Motion, Source, dataset  # noqa: E402
from bvh.atomic_write import atomic_path  # noqa: E402
from motiontok.config import Config, load_config  # noqa: E402
from motiontok.data.clips import Clips, ClipSet  # noqa: E402
from motiontok.data.training_data import make_training_data  # noqa: E402
from motiontok.errors import DataError  # noqa: E402
from motiontok.methods import MotionNetworks  # noqa: E402
from motiontok.training import CHECKPOINT, read_header, train  # noqa: E402
from motiontok.training.log import read_log  # noqa: E402

SPAN = 2**15 - 1
"""Unit quaternions are packed as 16-bit integers: 3e-5, a hundredth of a degree."""

TRAIN_MINUTES = 4.0
QUICK = (
    "model.codes_per_window=8", "model.vocab_size=16", "model.width=16", "model.heads=2",
    "model.layers=1", "model.decoder_width=16", "model.decoder_layers=1", "method.samples=2",
)  # fmt: skip


def pack(folder: Path, out: Path, *, every: int) -> int:
    """Normalise a folder of BVH and write all clips to one file; returns their number.

    Args:
        folder: of clips, or an archive of them.
        out: the ``.npz``.
        every: keep each so-manieth clip.
    """
    motions = list(dataset.load(folder))[::every]
    rotations = np.concatenate([m.rotations for m in motions])
    with atomic_path(out) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            names=np.array([m.source.name for m in motions]),
            frames=np.array([len(m) for m in motions]),
            offsets=np.stack([m.offsets for m in motions]).astype(np.float32),
            root_positions=np.concatenate([m.root_positions for m in motions]).astype(np.float32),
            rotations=np.round(rotations * SPAN).astype(np.int16),
        )
    return len(motions)


def unpack(path: Path) -> list[Motion]:
    """Motions that :func:`pack` wrote.

    Raises:
        DataError: no such file, or another kind of file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {k: file[k] for k in file.files}
        ends = np.cumsum(found["frames"])[:-1]
        rotations = found["rotations"].astype(np.float64)
        rotations /= np.linalg.norm(rotations, axis=-1, keepdims=True)
        parts = zip(
            found["names"],
            np.split(found["root_positions"], ends),
            np.split(rotations, ends),
            found["offsets"],
            strict=True,
        )
        return [
            Motion(root, turned, offsets, source=Source(name=str(name)))
            for name, root, turned, offsets in parts
        ]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: no packed clips ({error}); make them with `pack`") from None


def describe(device: torch.device) -> dict[str, Any]:
    """The machine and its software."""
    cuda = device.type == "cuda"
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "command": " ".join(["python", *sys.argv]),
        "device": torch.cuda.get_device_name(device) if cuda else "CPU, one thread",
        "torch": torch.__version__,
        "cuda": torch.version.cuda if cuda else None,
        "python": platform.python_version(),
    }


def run_tests(device: torch.device, quick: bool) -> dict[str, Any]:
    """The tests that need CUDA; on a CPU they say why they are skipped."""
    command = [sys.executable, "-m", "pytest", "tests/motiontok/methods/test_cuda.py", "-q", "-rs"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False
    )
    last = (done.stdout.strip().splitlines() or [""])[-1]
    counts = {kind: int(n) for n, kind in re.findall(r"(\d+) (passed|failed|error|skipped)", last)}
    return {
        "passed": done.returncode == 0 and counts.get("passed", 0) > 0,
        "counts": counts,
        "output": done.stdout[-3000:] + done.stderr[-1000:],
    }


def verdict(stage: dict[str, Any]) -> str:
    """How the tests went, in a sentence."""
    counts = stage.get("counts", {})
    said = ", ".join(f"{n} {kind}" for kind, n in counts.items())
    if stage["passed"]:
        how = "Passed"
    elif set(counts) == {"skipped"}:
        how = "Not passed, none was run"
    else:
        how = "Failed"
    return f"{how}: {said}." if said else f"{how}."


def step_stage(name: str, precision: str, batch: int) -> Callable[..., dict[str, Any]]:
    """A stage that measures the parts of a step."""

    def stage(device: torch.device, quick: bool) -> dict[str, Any]:
        settings = ['method.name="daps"', f'train.precision="{precision}"']
        if quick:
            settings += [s for s in QUICK if name == "lafan-paper" or "codes" not in s]
            settings += (
                ["data.size=32", "model.codes_per_window=16"] if name != "lafan-paper" else []
            )
        config = load_config(name, settings)
        report = measure(config, batch=4 if quick else batch, device=device, repetitions=5)
        whole = report.parts[-1]
        return {
            "batch": 4 if quick else batch,
            "precision": precision,
            "steps_per_second": 1.0 / whole.seconds,
            "utilisation": whole.flop / whole.seconds / report.rate,
            **asdict(report),
            "table": to_markdown(Report(report.parts, report.rate, report.peak_bytes)),
        }

    return stage


MOTION_COLUMNS = {
    "step": "step", "seconds": "s", "val_mse": "held-out mse", "val_psnr": "PSNR, dB",
    "val_mpjpe_mm": "MPJPE, mm", "ess": "ESS", "kl": "KL, nats", "skipped": "skipped",
}  # fmt: skip
MNIST_COLUMNS = {
    "step": "step", "seconds": "s", "val_sampled_psnr": "PSNR, dB", "val_log_p": "log p",
    "val_beta_elbo": "beta-ELBO", "val_code_usage": "codes used", "ess": "ESS", "kl": "KL, nats",
}  # fmt: skip


def curve_of(log: list[dict[str, float]], columns: dict[str, str]) -> list[dict[str, float]]:
    """The validations of a log, by the columns' titles."""
    return [
        {title: row[key] for key, title in columns.items() if key in row}
        for row in log
        if "val_mse" in row
    ]


def training_config(quick: bool, device: torch.device) -> Config:
    """The paper's method on the clips, with schedules for a run of minutes."""
    precision = "bfloat16" if device.type == "cuda" else "float32"
    settings = [
        'method.name="daps"', f'train.precision="{precision}"', "method.eta_start=10.0",
        f"train.time_budget={0.05 if quick else TRAIN_MINUTES}", "train.evaluations=8",
        "train.evaluate_every=1000000", "train.checkpoint_every=200",
        "train.learning_rate=1e-3", "train.final_learning_rate=1e-4",
        f"train.batch_size={8 if quick else 256}",
        f"train.validation_windows={8 if quick else 512}",
        *(QUICK if quick else ()),
    ]  # fmt: skip
    return load_config("lafan-paper", settings)


def run_training(
    clips: list[Motion], out: Path, device: torch.device, quick: bool
) -> dict[str, Any]:
    """Train, or go on training, every twentieth clip held out."""
    held = clips[::20]
    names = {id(m) for m in held}
    of = ClipSet("packed", [m for m in clips if id(m) not in names], held)
    split = Clips((of,), "the clips' licence applies")
    config = training_config(quick, device)
    if len(split.training) < 1:
        raise DataError("packed clips: at least two are needed, one to train on and one held out")
    folder = out / "training"
    done = train(
        config,
        data=make_training_data(split, replace(config.data, mirror=not quick), device=device),
        networks=MotionNetworks(config),
        out=folder,
        device=device,
        resume=(folder / CHECKPOINT).exists(),
    )
    return {
        "about": f"{done.step} steps in {done.seconds:.0f} s on {len(clips)} clips, "
        f"{len(held)} of them held out.",
        "steps": done.step,
        "seconds": done.seconds,
        "validation": done.validation,
        "curve": curve_of(read_log(folder / "log.csv"), MOTION_COLUMNS),
    }


def run_mnist(
    data: Path, out: Path, device: torch.device, quick: bool, minutes: float
) -> dict[str, Any]:
    """Go on with the published run on MNIST: Ctrl-C comes when the time is up."""
    folder = out / "mnist"
    checkpoint = folder / CHECKPOINT
    before = read_header(checkpoint)["step"] if checkpoint.exists() else 0
    command = [sys.executable, "-m", "motiontok", "train", "mnist", "--data", str(data)]
    command += ["--out", str(folder), "--device", str(device)]
    command += ["--resume"] if before else []
    small = (*QUICK, "train.batch_size=16", "train.validation_windows=64")
    for setting in (*small, f"train.steps={before + 4}") if quick else ():
        command += ["--set", setting]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(command, env=environment)
    try:
        running.wait(None if quick else 60.0 * minutes)
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGINT)
        running.wait(60.0)
    if running.returncode not in (0, 130):
        raise RuntimeError(f"train mnist ended with {running.returncode}: see its output")
    state, wanted = read_header(checkpoint), load_config("mnist").train.steps
    steps, seconds = state["step"], state["seconds"]
    return {
        "about": f"{steps} of {wanted} steps in {seconds:.0f} s, {steps / seconds:.1f} steps/s.",
        "steps": steps,
        "seconds": seconds,
        "unfinished": steps < wanted,
        "curve": curve_of(read_log(folder / "log.csv"), MNIST_COLUMNS),
    }


def to_record(record: dict[str, Any], planned: list[str]) -> str:
    """The record as Markdown."""
    machine = record["machine"]
    lines = ["# Training on a GPU" if machine["cuda"] else "# The GPU script on a CPU", ""]
    lines += [f"- {key}: {value}" for key, value in machine.items()]
    missing = [name for name in planned if name not in record["stages"]]
    lines += ["", "Not run: " + ("; ".join(
        f"{name} ({record['reasons'].get(name, 'no time left')})" for name in missing
    ) if missing else "nothing, all stages are below") + "."]  # fmt: skip
    for name, stage in record["stages"].items():
        lines += ["", f"## {name}", ""]
        if "table" in stage:
            lines += [
                f"Batch {stage['batch']}, {stage['precision']}: {stage['steps_per_second']:.2f} "
                f"steps/s, {100 * stage['utilisation']:.0f} % of the rate of a matrix product.",
                "",
                stage["table"],
            ]
        elif "curve" in stage:
            titles = list(stage["curve"][0])
            lines += [stage["about"], "", f"| {' | '.join(titles)} |", "|---:" * len(titles) + "|"]
            lines += [
                "| " + " | ".join(f"{row[t]:.6g}" if t in row else "" for t in titles) + " |"
                for row in stage["curve"]
            ]
        else:
            lines += [
                verdict(stage),
                "",
                "```",
                stage["output"],
                "```",
            ]
    return "\n".join(lines) + "\n"


def run(
    out: Path,
    *,
    clips: Path | None,
    mnist: Path | None,
    device: torch.device,
    quick: bool,
    minutes: float,
) -> int:
    """Run what has not been run yet, while there is time. Returns the number of failures."""
    begin = time.monotonic()

    def left() -> float:
        return max(minutes - (time.monotonic() - begin) / 60.0, 0.0)

    out.mkdir(parents=True, exist_ok=True)
    path = out / "record.json"
    record: dict[str, Any] = {"stages": {}}
    if path.exists():
        record = json.loads(path.read_text(encoding="utf-8"))
    record |= {"machine": describe(device), "reasons": {}}
    stages: dict[str, tuple[float, Callable[[], dict[str, Any]]]] = {}
    # Names, and the minutes that must be left to begin.
    stages["tests"] = (0.5, lambda: run_tests(device, quick))
    for name, batch in (("lafan-paper", 256), ("imagenet256", 64)):
        for precision in ("bfloat16", "float32"):
            stage = step_stage(name, precision, batch)
            stages[f"{name}, {precision}"] = (0.7, lambda stage=stage: stage(device, quick))
    motions = unpack(clips) if clips is not None else []
    training = 0.0 if quick else TRAIN_MINUTES
    stages["training"] = (training, lambda: run_training(motions, out, device, quick))
    if mnist is not None:
        # A little is kept for its last checkpoint and the record.
        stages["mnist"] = (
            0.0 if quick else 1.0,
            lambda: run_mnist(mnist, out, device, quick, left() - 0.4),
        )
    failures = 0

    def save() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        with atomic_path(out / "record.md") as temporary:
            temporary.write_text(to_record(record, list(stages)), encoding="utf-8")

    for name, (needs, stage) in stages.items():
        if name in record["stages"] and not record["stages"][name].get("unfinished"):
            continue
        if name == "training" and not motions:
            record["reasons"][name] = "no --clips were given"
        elif left() < needs:
            record["reasons"][name] = f"{left():.1f} minutes were left; run it again"
        else:
            print(f"{name} ...", flush=True)
            try:
                record["stages"][name] = stage()
            except Exception as error:
                # One stage that fails must not cost the others; the record says so.
                failures += 1
                record["reasons"][name] = f"failed: {' '.join(str(error).split())[:300]}"
        save()
    save()
    print(f"record -> {out / 'record.md'}")
    return failures


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="normalised clips of a folder in one file")
    packing.add_argument("folder", type=Path)
    packing.add_argument("out", type=Path)
    packing.add_argument("--every", type=int, default=1, help="keep each so-manieth clip")
    running = commands.add_parser("run", help="measure and train")
    running.add_argument("out", type=Path)
    running.add_argument("--clips", type=Path, help="what `pack` wrote, to train on")
    running.add_argument("--mnist", type=Path, help="folder of MNIST, to train on as published")
    running.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    running.add_argument("--minutes", type=float, default=9.5)
    running.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.command == "pack":
        count = pack(options.folder, options.out, every=options.every)
        size = options.out.stat().st_size / 2**20
        print(f"{count} clips, {size:.1f} MiB -> {options.out}")
        return
    if options.device == "cpu":
        torch.set_num_threads(1)
    sys.exit(
        run(
            options.out,
            clips=options.clips,
            mnist=options.mnist,
            device=torch.device(options.device),
            quick=options.quick,
            minutes=options.minutes,
        )
    )


if __name__ == "__main__":
    main()
