"""Retargeting onto several robots: the quality report of each clip on each, as a table.

    python tools/bench/robots.py CLIPS --robot g1 --robot path/to/h1.urdf --frames 600

Frames a second are of processor time on one core: targets, contacts, planted feet, inverse
kinematics, floor and self-collision.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

from bvh.motion_io import load_motion  # noqa: E402
from motiontok.robots import evaluate, load_robot, retarget  # noqa: E402

HEADER = (
    "robot", "slide, cm/s (person)", "soles' tilt, deg", "deepest sole, mm", "deepest body, mm",
    "overlap, mm (frames > 1 mm)", "frames near a limit", "base jerk, m/s3 (person)",
    "joint jerk, rad/s3", "joint speed at most, rad/s", "position error, cm", "rotation, deg",
    "frames/s",
)  # fmt: skip


def main() -> None:
    """Print a table a clip."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--robot", action="append", required=True, help="a name or a .urdf file")
    parser.add_argument("--frames", type=int, help="only the first so many")
    options = parser.parse_args()
    robots = [load_robot(name) for name in options.robot]
    for clip in options.clips:
        motion = load_motion(clip).motion[: options.frames]
        print(f"\n**{clip.stem}**, {len(motion)} frames\n")
        print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
        for robot in robots:
            robot.self_collision  # noqa: B018 - made now, not while the clock runs
            start = time.process_time()
            trajectory = retarget(motion, robot)
            rate = len(motion) / (time.process_time() - start)
            r = evaluate(trajectory, motion, robot)
            overlap = "not looked at"
            if r.self_penetration is not None and r.colliding_frames is not None:
                overlap = f"{1000 * r.self_penetration:.0f} ({100 * r.colliding_frames:.0f} %)"
            row = (
                robot.name,
                f"{100 * r.foot_slide:.1f} ({100 * r.foot_slide_source:.1f})",
                f"{np.degrees(r.foot_tilt):.1f}",
                f"{1000 * r.foot_depth:.0f}",
                f"{1000 * r.body_depth:.0f}",
                overlap,
                f"{100 * r.near_limit:.1f} %",
                f"{r.root_jerk:.0f} ({r.root_jerk_source:.0f})",
                f"{r.joint_jerk:.0f}",
                f"{r.joint_speed_max:.0f}",
                f"{100 * r.position_error:.1f}",
                f"{np.degrees(r.rotation_error):.1f}",
                f"{rate:,.0f}",
            )
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
