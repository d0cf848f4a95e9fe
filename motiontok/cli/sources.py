"""Reading every kind of file with a motion: clips, archives of arrays, joint positions, codes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from motiontok.errors import InputError
from motiontok.paths import SHIPPED_TOKENIZER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bvh import Motion
    from bvh.motion_io import Calibrations
    from bvh.reading import Reading
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
) -> Motion:
    """Canonical motion of a file, by its name's ending; prints notes on faults.

    Args:
        path: codes, a robot's trajectory, or what :func:`bvh.motion_io.load_motion` reads.
        tokenizer: folder for codes; by default the one that the codes name, else the shipped one.
        device: where to decode codes.
        calibrations: of the rigs that a tokenizer knows, for clips to encode with it.
        reading: how to read a BVH file.
        strict: a fault in it is an error; see :func:`bvh.remarks.faults`.
        robot: robot of a trajectory that names none.
        map_path: of a robot that is not shipped.
        tell: takes (path, remark) in place of printing notes; for many files, where ``reading``
            names the robot of trajectories.

    Raises:
        InputError, BVHError: the file cannot be used, or, with ``strict``, has a fault.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    from bvh.arrays import refuse_pickle
    from motiontok.cli.trajectories import is_trajectory, open_trajectory

    refuse_pickle(path)
    if tell is None and is_trajectory(path):
        from motiontok.robots import motion_of

        given = [robot] if robot else []
        return motion_of(*open_trajectory(path, given, map_path, reading=reading, strict=strict))
    if robot is not None:
        raise InputError(f"{path}: not a robot's trajectory; leave out --robot {robot}")
    if is_codes(path):
        codes, opened = open_codes(path, tokenizer=tokenizer, device=device)
        return opened.decode_codes(codes)
    if suffix == ".json" and path.with_suffix(".npy").is_file():
        raise InputError(f"{path}: this is the sidecar; give {path.with_suffix('.npy')}")
    from bvh import motion_io
    from bvh.remarks import faults

    loaded = motion_io.load_motion(path, reading=reading, calibrations=calibrations)
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
    return loaded.motion


def is_codes(path: Path) -> bool:
    """Whether a file holds codes, by its ending, and not joint positions."""
    from bvh.positions import is_positions

    return path.suffix.lower() == ".npy" and not is_positions(path)


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
    """Refuse to be told how files are read where each says all that itself.

    Raises:
        InputError: it says so.
    """
    from dataclasses import replace

    from bvh.motion_io import has_own_bones
    from motiontok.cli.trajectories import is_trajectory

    # A robot's trajectory has its own share of what may be in question.
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
    """Codes and the tokenizer to decode them with."""
    from motiontok.codes import Codes

    codes = Codes.load(path)
    return codes, open_tokenizer_of(codes, path, tokenizer=tokenizer, device=device)


def open_tokenizer_of(
    codes: Codes, path: Path, *, tokenizer: str | None, device: str
) -> MotionTokenizer:
    """The tokenizer that is given, or that codes of a file or folder name."""
    from motiontok.tokenizer import MotionTokenizer

    folder = tokenizer or codes.tokenizer or SHIPPED_TOKENIZER
    named = not tokenizer and folder != SHIPPED_TOKENIZER
    if named and not Path(folder).is_dir():
        raise InputError(
            f"{path}: its tokenizer {folder} is not there any more; give --tokenizer its folder"
        )
    if named:
        print(f"decoding with {folder}, which {path.name} names", file=sys.stderr)
    return MotionTokenizer.from_pretrained(folder, device=device)
