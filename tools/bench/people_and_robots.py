"""One vocabulary for people and robots: errors of both by tokenizers trained on either or both.

    python tools/bench/people_and_robots.py CLIPS... --out runs/both --method lopq

Puts every nth clip of some folders on a robot, holds out every fourth action, and trains the
same tokenizer for the same time on the rest: on the people, on the robot's trajectories, and on
both. A table then has the errors of what was held out, people and robots, by these and by the
tokenizer that comes with the package; of the robot also those of its joints and links once it is
put on the robot again, where with "no tokens" nothing was encoded in between.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
import pinocchio as pin  # noqa: E402
import torch  # noqa: E402

from bvh import dataset  # noqa: E402
from bvh.motion import Motion  # noqa: E402
from bvh.motion_io import load_motion  # noqa: E402
from bvh.rotations import Array  # noqa: E402
from bvh.splits import parse_name  # noqa: E402
from motiontok import MotionTokenizer  # noqa: E402
from motiontok.config import load_config  # noqa: E402
from motiontok.evaluate import compare_motions  # noqa: E402
from motiontok.evaluate.machine import machine  # noqa: E402
from motiontok.robots import Robot, Trajectory, load_robot, motion_of, reading, retarget  # noqa: E402
from motiontok.runs import run_training  # noqa: E402

FRAMES, SHORTEST = 180, 64
KINDS = ("people", "robots")
SETS = {"people": ("people",), "robots": ("robots",), "both": KINDS}


def make_clips(folders: Sequence[Path], robot: Robot, out: Path, every: int) -> None:
    """Write clips and what they are on the robot, in ``train`` and ``test`` of both kinds."""
    files = [file for folder in folders for file in sorted(folder.rglob("*.bvh"))[::every]]
    actions = sorted({parse_name(file.name).action for file in files})
    for file in files:
        held_out = actions.index(parse_name(file.name).action) % 4 == 0
        paths = [out / kind / ("test" if held_out else "train") / f"{file.stem}.npz"
                 for kind in KINDS]  # fmt: skip
        if all(path.exists() for path in paths):
            continue
        motion = load_motion(file).motion[:FRAMES]
        if len(motion) >= SHORTEST:
            for path, made in zip(paths, (motion, retarget(motion, robot)), strict=True):
                path.parent.mkdir(parents=True, exist_ok=True)
                made.save(path)


def trained(out: Path, sets: Sequence[str], name: str, options: argparse.Namespace) -> Path:
    """Train, if that was not done; returns the tokenizer's folder."""
    run = out / "runs" / f"{options.method}-{name}"
    if not (run / "tokenizer").exists():
        keys = [f'method.name="{options.method}"', f"train.time_budget={options.minutes}"]
        run_training(
            load_config("general", keys),
            out=run,
            data=[out / kind / "train" for kind in sets],
            reading=reading(),
            start_from=options.start,
        )
    return run / "tokenizer"


def links_of(robot: Robot, trajectory: Trajectory) -> Array:
    """World positions ``(frames, links, 3)``, metres."""
    data, out = robot.model.createData(), []
    for q in trajectory.qpos:
        pin.forwardKinematics(robot.model, data, q)
        out.append([data.oMi[j].translation.copy() for j in range(1, robot.model.njoints)])
    return np.array(out)


def on_robot(robot: Robot, motion: Motion, wanted: Trajectory) -> tuple[float, float]:
    """Mean error of links (mm) and joints (degrees) of a motion put on the robot."""
    found = retarget(motion, robot)
    gap = np.linalg.norm(links_of(robot, found) - links_of(robot, wanted), axis=-1)
    return 1000 * float(gap.mean()), float(np.rad2deg(np.abs(found.joints - wanted.joints)).mean())


def rows(out: Path, robot: Robot, tokenizers: dict[str, Path | str]) -> Iterator[str]:
    """A line of the table for each tokenizer."""
    people = dataset.load(out / "people" / "test").motions
    paths = sorted((out / "robots" / "test").glob("*.npz"))
    robots = [Trajectory.load(path) for path in paths]
    shown = [motion_of(trajectory, robot) for trajectory in robots]

    def placed(motions: Sequence[Motion]) -> str:
        errors = [on_robot(robot, m, t) for m, t in zip(motions, robots, strict=True)]
        links, joints = np.average(errors, axis=0, weights=[len(t) for t in robots])
        return f"{links:.1f} | {joints:.2f}"

    def error(motions: Sequence[Motion], decoded: Sequence[Motion]) -> str:
        found = [compare_motions(m, d)["mpjpe_mm"] for m, d in zip(motions, decoded, strict=True)]
        return f"{np.average(found, weights=[len(m) for m in motions]):.1f}"

    yield f"| no tokens | | 0 | 0 | {placed(shown)} |"
    for name, folder in tokenizers.items():
        tokenizer = MotionTokenizer.from_pretrained(folder)
        coded = [[tokenizer.reconstruct(m) for m in motions] for motions in (people, shown)]
        yield (
            f"| {name} | {tokenizer.bits_per_second:.0f} | {error(people, coded[0])} | "
            f"{error(shown, coded[1])} | {placed(coded[1])} |"
        )


def main() -> None:
    """Make, train and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, nargs="+", help="folders of BVH files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--robot", default="g1")
    parser.add_argument("--every", type=int, default=1, help="take every nth clip")
    parser.add_argument("--method", default="lopq")
    parser.add_argument("--minutes", type=float, default=2.5)
    parser.add_argument("--from", dest="start", default="scratch")
    options = parser.parse_args()
    torch.set_num_threads(1)
    robot = load_robot(options.robot)
    make_clips(options.clips, robot, options.out, options.every)
    tokenizers: dict[str, Path | str] = {"as shipped": "default"}
    for name, sets in SETS.items():
        start = time.process_time()
        tokenizers[f"{options.method}, {name}"] = trained(options.out, sets, name, options)
        print(f"{name}: {time.process_time() - start:.0f} s of processor time", flush=True)
    counts = [len(list((options.out / "robots" / part).iterdir())) for part in ("train", "test")]
    print(f"\n{counts[0]} clips to train on, {counts[1]} held out; {machine('cpu')}\n")
    print("| trained on | bits/s | people, mm | robots, mm | links, mm | joints, degrees |")
    print(f"|---|{'---:|' * 5}")
    for row in rows(options.out, robot, tokenizers):
        print(row, flush=True)


if __name__ == "__main__":
    main()
