"""One made-up clip taken the whole way by the shipped tokenizer: what the figures show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bvh import procedural
from bvh.motion import Motion
from motiontok.codes import Codes
from motiontok.robots import load_robot, retarget
from motiontok.robots.files.trajectory import Trajectory
from motiontok.tokenizer import MotionTokenizer

__all__ = ["Example", "take_the_whole_way"]


@dataclass(frozen=True, eq=False)
class Example:
    """A clip and what becomes of it.

    Attributes:
        source: the clip, which no tokenizer was trained on.
        tokenizer: the shipped one.
        codes: of the source.
        decoded: motion from the codes.
        robot: Unitree's G1.
        trajectory: the decoded motion on the robot.
    """

    source: Motion
    tokenizer: MotionTokenizer
    codes: Codes
    decoded: Motion
    robot: Any
    trajectory: Trajectory


def take_the_whole_way(*, windows: int, seed: int) -> Example:
    """Make a dance of so many windows of tokens, encode, decode and retarget it."""
    tokenizer = MotionTokenizer.from_pretrained("default")
    frames = windows * tokenizer.frames_per_window
    motion = procedural.make("dance", seconds=frames / 30, seed=seed)[:frames]
    codes = tokenizer.encode_to_codes(motion)
    decoded = tokenizer.decode_codes(codes)
    robot = load_robot("g1")
    return Example(motion, tokenizer, codes, decoded, robot, retarget(decoded, robot))
