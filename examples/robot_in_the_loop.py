"""A robot led by commands: tokens are drawn, decoded and followed as they come.

    python examples/robot_in_the_loop.py --out robot.npz && motiontok render robot.npz

Each window of tokens is drawn from the prior by the present command and decoded by a stream; the
robot follows its frames one at a time. Speeds are the robot's, in metres of its own size.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from motiontok import MotionTokenizer
from motiontok.data.placement import World
from motiontok.prior import TokenPrior
from motiontok.robots import Follower, body_like, load_robot
from motiontok.robots.files.trajectory import Trajectory


def command(seconds: float) -> tuple[float, float, float]:
    """Forward and left velocity (m/s) and yaw rate (rad/s): a joystick, a policy, ..."""
    return (0.8, 0.0, 0.6) if seconds > 3.0 else (0.8, 0.0, 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", default="default")
    parser.add_argument("--prior", default="default")
    parser.add_argument("--robot", default="g1")
    parser.add_argument("--label", default="walk")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--out", default="robot.npz")
    given = parser.parse_args()
    # The robot's own programs want the other cores.
    torch.set_num_threads(1)
    tokenizer = MotionTokenizer.from_pretrained(given.tokenizer)
    prior = TokenPrior.from_pretrained(given.prior, tokenizer=tokenizer)
    robot = load_robot(given.robot)
    world = World(body_like(robot), robot.name)
    decoder = tokenizer.stream_decoder(offsets=world.offsets)
    follower = Follower(robot, offsets=world.offsets, fps=tokenizer.fps, look_ahead=0.5)

    window = tokenizer.frames_per_window / tokenizer.fps
    past, poses, drawing, following = None, [], [], []
    for number in range(round(given.seconds / window)):
        forward, left, turn = command(number * window)
        started = time.perf_counter()
        codes = prior.sample(
            1,
            velocity=tuple(world.inside(np.array([forward, left]))),
            yaw_rate=turn,
            label=given.label,
            prefix=past,
            seed=number,
        )[0]
        # The prior sees three windows of the past.
        past = codes if past is None else np.concatenate([past, codes])[-3:]
        frames = decoder.push(codes)  # those that the next window does not change
        drawing.append(time.perf_counter() - started)
        for place, rotations in zip(frames.root_positions, frames.rotations, strict=True):
            started = time.perf_counter()
            poses.append(follower.push(place, rotations))
            following.append(time.perf_counter() - started)
    poses = poses[follower.latency :]  # before, no pose is due yet
    trajectory = Trajectory(np.array(poses), robot.joint_names, tokenizer.fps, robot.name)
    trajectory.save(given.out)
    print(
        f"{len(trajectory)} frames, {1e3 * max(following):.1f} ms for the slowest, and"
        f" {np.mean(drawing):.2f} s for a window of {window:.2f} s -> {given.out}"
    )


if __name__ == "__main__":
    main()
