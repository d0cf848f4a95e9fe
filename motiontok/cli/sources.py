"""Files that commands read: motions with their notes, codes, robots."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from motiontok.cli.threads import one_thread
from motiontok.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bvh import Motion
    from bvh.motion_io import Calibrations
    from bvh.reading import Reading
    from motiontok.cli.ranges import Range
    from motiontok.codes import Codes
    from motiontok.robots import Robot
    from motiontok.tokenizer import MotionTokenizer

__all__ = [
    "STRICT",
    "check_reading",
    "is_codes",
    "load_motion",
    "open_codes",
    "open_robot",
    "open_tokenizer",
    "open_tokenizer_of",
    "print_notes",
]

STRICT = " (an error with --strict)"
"""Added to a remark that ends a run."""

_NOTES = 5


def load_motion(
    path: str | Path,
    *,
    tokenizer: str | None = None,
    device: str = "cpu",
    calibrations: Calibrations | None = None,
    reading: Reading | None = None,
    strict: bool = False,
    robot: str | None = None,
    map_path: Path | None = None,
    tell: Callable[[tuple[str, str]], object] | None = None,
    part: Range | None = None,
) -> Motion:
    """:func:`motiontok.motion_io.load_motion`, with notes printed and faults refused.

    Args:
        path: of any kind.
        tokenizer, device, calibrations, reading, robot: as there.
        map_path: of a robot that is not shipped.
        strict: a fault in the file is an error; see :func:`bvh.remarks.faults`.
        tell: takes (path, remark) in place of printing notes; for many files.
        part: all of it by default.

    Raises:
        InputError, BVHError: the file cannot be used, or, with ``strict``, has a fault.
    """
    from bvh.remarks import faults
    from motiontok import motion_io

    if is_codes(Path(path)):
        one_thread()
    loaded = motion_io.load_motion(
        path,
        tokenizer=tokenizer,
        device=device,
        calibrations=calibrations,
        reading=reading,
        robot=robot,
        robot_map=map_path,
        on_note=_print_note if tell is None else None,
    )
    if strict and (wrong := faults(loaded.remarks)):
        raise InputError(f"{path}: {wrong[0]}{STRICT}")
    if tell is None:
        shown = [f"{path}: {line}" for line in loaded.remarks[:_NOTES]]
        if more := len(loaded.remarks[_NOTES:]):
            shown.append(f"{path}: {more} more remarks; `motiontok inspect` shows them")
        print_notes(shown)
    else:
        for line in loaded.remarks:
            tell((str(path), line))
    motion = loaded.motion
    if part:
        motion = motion[part.frames(len(motion), motion.fps, Path(path), loaded.since)]
    return motion


def is_codes(path: Path) -> bool:
    """Whether a file holds codes, by its ending, and not joint positions."""
    from motiontok import motion_io

    return motion_io.is_codes(path)


def open_robot(name: str, map_path: Path | None) -> Robot:
    """A robot, with a note on changes to its description."""
    from motiontok.robots import load_robot

    robot = load_robot(name, map=map_path)
    print_notes(f"{robot.urdf}: {line}" for line in robot.remarks)
    return robot


def print_notes(lines: Iterable[str]) -> None:
    """Notes for the user, one line each, on standard error."""
    from bvh.remarks import printable

    for line in lines:
        print(f"note: {printable(line)}", file=sys.stderr)


def check_reading(reading: Reading, sources: Sequence[Path]) -> None:
    """Refuse options of reading for files that say themselves how they are read.

    Raises:
        InputError: it says so.
    """
    from dataclasses import replace

    from bvh.motion_io import has_own_bones
    from motiontok.cli.trajectories import is_trajectory

    # Other options matter to robots' trajectories than to clips.
    robots = [is_trajectory(path) for path in sources]
    if sources and all(robots):
        own = ("fps", "scale", "quaternion", "angles", "joints", "robot", "robot_map")
        refused = bool(replace(reading, **dict.fromkeys(own)).digest)
    else:
        refused = bool(reading.digest) and all(
            of_robot or has_own_bones(path) for path, of_robot in zip(sources, robots, strict=True)
        )
    if refused:
        what = " and ".join(map(str, sources)) or "this"
        raise InputError(
            f"{what}: neither BVH nor SMPL nor joint positions; leave out --up, --scale, "
            "--mapping, --frames, --height and the source's rate, which say how those are read"
        )


def open_codes(
    path: Path, *, tokenizer: str | None, device: str = "cpu"
) -> tuple[Codes, MotionTokenizer]:
    """Codes and the tokenizer to decode them with, with a note on which one they name."""
    from motiontok import motion_io

    one_thread()
    return motion_io.open_codes(path, tokenizer=tokenizer, device=device, on_note=_print_note)


def open_tokenizer(name: str, *, device: str = "cpu") -> MotionTokenizer:
    """The tokenizer of a name, to encode and decode a few motions with."""
    from motiontok.tokenizer import MotionTokenizer

    one_thread()
    return MotionTokenizer.from_pretrained(name, device=device)


def open_tokenizer_of(
    codes: Codes, path: Path, *, tokenizer: str | None, device: str
) -> MotionTokenizer:
    """The tokenizer that is given, or that codes of a file or folder name, with a note."""
    from motiontok import motion_io

    one_thread()
    return motion_io.tokenizer_of(
        codes, path, tokenizer=tokenizer, device=device, on_note=_print_note
    )


def _print_note(line: str) -> None:
    print_notes([line])
