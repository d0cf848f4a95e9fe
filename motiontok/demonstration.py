"""The whole way once, on embedded data, for ``motiontok demo``."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bvh
from bvh import procedural
from bvh.atomic_write import atomic_path
from bvh.motion import Motion, Source
from motiontok.codes import Codes
from motiontok.config import load_config
from motiontok.errors import MissingDependencyError, RenderError
from motiontok.evaluate import compare_motions
from motiontok.progress import progress
from motiontok.runs import run_training
from motiontok.tokenizer import MotionTokenizer

__all__ = ["Demo", "run_demo"]


@dataclass(frozen=True)
class Demo:
    """Result of :func:`run_demo`.

    Attributes:
        out: folder with everything written.
        metrics: numbers by name.
        seconds: time of each stage by name.
    """

    out: Path
    metrics: dict[str, float]
    seconds: dict[str, float]

    def print(self) -> None:
        """Show a table and the files."""
        from rich.console import Console
        from rich.table import Table

        m = self.metrics
        table = Table(title="motiontok demo", title_justify="left")
        table.add_column("measure")
        table.add_column("value", justify="right")
        rows = [
            ("rate", f"{m['bits_per_second']:.0f} bits/s"),
            ("joint error of the clip (MPJPE)", f"{m['clip_mpjpe_mm']:.1f} mm"),
            ("joint error, all held-out clips", f"{m['mpjpe_mm']:.1f} mm"),
            ("PSNR, held-out windows", f"{m['window_psnr']:.1f} dB"),
            ("vocabulary used, held-out windows", f"{100 * m['window_code_usage']:.0f} %"),
        ]
        if "robot_position_error_mm" in m:
            rows += [
                ("robot position error (IK)", f"{m['robot_position_error_mm']:.0f} mm"),
                ("robot joint limit violation", f"{m['robot_limit_violation_deg']:.2f} deg"),
            ]
        rows += [(f"time: {name}", f"{value:.1f} s") for name, value in self.seconds.items()]
        for row in rows:
            table.add_row(*row)
        console = Console()
        console.print(table)
        for path in sorted(p for p in self.out.iterdir() if p.is_file()):
            console.print(f"  {path}", highlight=False)


def run_demo(
    out: Path,
    *,
    robot_name: str = "g1",
    seed: int = 0,
    device: str = "cpu",
    say: Callable[[str], None] = print,
) -> Demo:
    """Train a small tokenizer on procedural clips and take an unseen clip the whole way.

    An earlier demo in ``out`` is replaced.

    Args:
        out: folder for results: source.bvh, codes.npy, decoded.bvh, robot.npz,
            comparison.mp4, sheet.png, metrics.json and run/.
        robot_name: robot to retarget to.
        seed: of everything.
        device: where to train.
        say: prints a line for the user.
    """
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        seconds[stage] = time.perf_counter() - begin

    run_folder = out / "run"
    if (run_folder / "checkpoint.safetensors").exists():
        shutil.rmtree(run_folder)
    config = load_config("demo", [f"train.seed={seed}"])
    with timed("clips and training"):
        run = run_training(config, out=run_folder, device=device, say=say)
    tokenizer = run.tokenizer

    source = _clip(seed)
    bvh.write(source.to_clip(), out / "source.bvh")
    with timed("encode"):
        folder = str((run_folder / "tokenizer").resolve())
        codes = tokenizer.encode_to_codes(source, tokenizer=folder)
    codes.save(out / "codes.npy")
    with timed("decode"):
        decoded = tokenizer.decode_codes(Codes.load(out / "codes.npy"))
    bvh.write(decoded.to_clip(), out / "decoded.bvh")
    metrics = {f"clip_{k}": v for k, v in compare_motions(source, decoded).items()} | run.metrics

    robot: Any = None
    try:
        with timed("inverse kinematics"):
            robot = _put_on_robot(decoded, robot_name, out / "robot.npz", metrics)
        with timed("video and sheet"):
            _draw(source, decoded, robot, codes, tokenizer, out)
    except (MissingDependencyError, RenderError) as error:
        say(f"left out: {error}")
    with atomic_path(out / "metrics.json") as temporary:
        values = {"metrics": metrics, "seconds": seconds}
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return Demo(out, metrics, seconds)


def _clip(seed: int) -> Motion:
    """A clip outside both the training and the validation seeds."""
    motion = procedural.make("dance", seconds=6.0, seed=seed + 9_000_001)
    return Motion(
        motion.root_positions,
        motion.rotations,
        motion.offsets,
        motion.fps,
        Source(name="dance (unseen)"),
    )


def _put_on_robot(motion: Motion, name: str, out: Path, metrics: dict[str, float]) -> Any:
    from motiontok.robots import load_robot, retarget
    from motiontok.robots.reports.report import evaluate

    robot = load_robot(name)
    with progress("inverse kinematics", len(motion)) as update:
        trajectory = retarget(motion, robot, progress=update)
    trajectory.save(out)
    report = evaluate(trajectory, motion, robot)
    metrics["robot_position_error_mm"] = 1e3 * report.position_error
    metrics["robot_limit_violation_deg"] = 57.29578 * report.limit_violation
    return robot, trajectory


def _draw(
    source: Motion,
    decoded: Motion,
    robot: Any,
    codes: Codes,
    tokenizer: MotionTokenizer,
    out: Path,
) -> None:
    from motiontok.render import Actor, MannequinActor, TokenTrack, render_sheet, render_video
    from motiontok.render.robot import RobotActor

    model, trajectory = robot
    actors: list[Actor] = [
        MannequinActor(source, label="source"),
        MannequinActor(decoded, label=f"decoded from {tokenizer.bits_per_second:.0f} bits/s"),
        RobotActor(model, trajectory.qpos, fps=trajectory.fps, label=f"robot {model.name}"),
    ]
    tokens = TokenTrack(
        tokenizer.frames_per_window, codes=codes.array, vocab_size=tokenizer.vocab_size
    )
    frames = len(source)
    with progress("video", frames) as update:
        render_video(
            actors,
            out / "comparison.mp4",
            tokens=tokens,
            progress=lambda done, total: update(done, total=total),
        )
    render_sheet(actors, out / "sheet.png", tokens=tokens)
