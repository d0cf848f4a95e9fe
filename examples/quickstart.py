"""Five minutes with tokens: encode, look, change one, decode, put it on a robot, draw it.

    python examples/quickstart.py --out out/quickstart

Without --clip a made-up dance is taken; a .bvh of yours does as well. Needs the robot and render
extras, as `make demo` installs them.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import bvh
from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.evaluate import compare_motions
from motiontok.render import MannequinActor, RobotActor, render_sheet
from motiontok.robots import evaluate, load_robot, retarget


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", default="default")
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--robot", default="g1")
    parser.add_argument("--out", type=Path, default=Path("out/quickstart"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)

    # A motion: 22 joints' rotations, the root's path (m, z up), 30 frames a second.
    if given.clip is None:
        motion = procedural.make("dance", seconds=4.0, seed=0)
    else:
        motion = bvh.normalize(bvh.read(given.clip))

    # To tokens. A window is 32 frames; its tokens go from coarse to fine.
    tokenizer = MotionTokenizer.from_pretrained(given.tokenizer)
    codes = tokenizer.encode(motion)  # integers (windows, codes a window)
    print(f"{len(motion)} frames -> {codes.shape} codes of {tokenizer.vocab_size} values")
    print("the first window begins with", codes[0, :8])

    # And back, onto the same bones, from where the motion began (both lie beside the codes).
    kept = tokenizer.encode_to_codes(motion)
    again = tokenizer.decode_codes(kept)
    print(f"mean joint error {compare_motions(motion, again)['mpjpe_mm']:.1f} mm")

    # A token is a number: change one, and the motion changes there.
    edited = codes.copy()
    edited[len(edited) // 2, 1] = (edited[len(edited) // 2, 1] + 1) % tokenizer.vocab_size
    other = tokenizer.decode_codes(replace(kept, array=edited))

    # Onto the robot, which a tracking policy can follow.
    robot = load_robot(given.robot)
    trajectory = retarget(again, robot)
    trajectory.save(given.out / "robot.npz")
    print(evaluate(trajectory, again, robot).table())

    actors = [
        MannequinActor(motion, label="source"),
        MannequinActor(again, label="decoded"),
        MannequinActor(other, label="one token changed"),
        RobotActor(robot, trajectory.qpos, fps=trajectory.fps, label=robot.name),
    ]
    render_sheet(actors, given.out / "sheet.png")
    kept.save(given.out / "codes.npy")
    print(f"codes, trajectory and picture -> {given.out}")


if __name__ == "__main__":
    main()
