"""From any file to its motion, for commands and for Python.

:func:`bvh.motion_io.load_motion` reads every file that has joints of its own. Here two kinds join
it that need more: codes, which a tokenizer decodes, and trajectories, whose robot is looked up.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bvh import motion_io
from bvh.arrays import is_npy, refuse_pickle
from bvh.motion_io import Calibrations, Loaded
from bvh.positions import is_positions
from bvh.reading import Reading, Settings
from motiontok.errors import CodesError, InputError
from motiontok.paths import SHIPPED_TOKENIZER

# Who reads a clip need not wait for torch, nor for Pinocchio.
if TYPE_CHECKING:
    from motiontok.codes import Codes
    from motiontok.tokenizer import MotionTokenizer

__all__ = ["is_codes", "load_motion", "open_codes", "require_of", "tokenizer_of"]

OnNote = Callable[[str], object]
"""Takes a line on what was chosen to read a file."""


def load_motion(
    path: str | os.PathLike[str],
    *,
    tokenizer: str | None = None,
    device: str = "cpu",
    calibrations: Calibrations | None = None,
    reading: Reading | None = None,
    robot: str | None = None,
    robot_map: Path | None = None,
    on_note: OnNote | None = None,
) -> Loaded:
    """Canonical motion of a file, and remarks on it.

    Args:
        path: codes (``.npy``), a robot's trajectory (``.npz``, ``.csv``), or what
            :func:`bvh.motion_io.load_motion` reads.
        tokenizer: folder for codes; by default the one that the codes name, else the shipped one.
        device: where to decode codes.
        calibrations: of the rigs that a tokenizer knows, for clips to encode with it.
        reading: how to read the file; it overrides a ``bvh.toml`` beside it.
        robot: robot of a trajectory that names none.
        robot_map: retarget map of a robot that is not shipped.
        on_note: told what was changed in a robot's description, and which tokenizer codes name.

    Raises:
        BVHError: it cannot be read, or is no humanoid.
        InputError: ``robot`` is given for another kind of file, or the path is codes' sidecar.
        CodesError, TokenizerError: the codes cannot be decoded.
    """
    path = Path(path)
    refuse_pickle(path)
    if motion_io.is_trajectory(path):
        return _load_trajectory(path, reading, robot, robot_map, on_note)
    if robot is not None:
        raise InputError(f"{path}: not a robot's trajectory; leave out the robot {robot}")
    if is_codes(path):
        codes, opened = open_codes(path, tokenizer=tokenizer, device=device, on_note=on_note)
        return Loaded(opened.decode_codes(codes), kind="codes", since=codes.since)
    if path.suffix.lower() == ".json" and path.with_suffix(".npy").is_file():
        raise InputError(f"{path}: this is the sidecar; give {path.with_suffix('.npy')}")
    return motion_io.load_motion(path, reading=reading, calibrations=calibrations)


def _load_trajectory(
    path: Path,
    reading: Reading | None,
    robot: str | None,
    robot_map: Path | None,
    on_note: OnNote | None,
) -> Loaded:
    """The motion of a robot's file, to the last bit as its folder is read."""
    from motiontok.robots.files.trajectory_io import RobotReader, find_robot

    said = Settings(reading).of(path)
    said = replace(
        said,
        robot=robot or said.robot,
        robot_map=str(robot_map) if robot_map else said.robot_map,
        trajectories=said.trajectories or RobotReader(),
    )
    found = find_robot(path, said)
    if on_note is not None:
        for line in found.remarks:
            on_note(f"{found.urdf}: {line}")
    return motion_io.load_motion(path, reading=said)


def is_codes(path: Path) -> bool:
    """Whether a file holds codes, by its ending, and not joint positions."""
    return is_npy(path) and not is_positions(path)


def open_codes(
    path: Path, *, tokenizer: str | None, device: str = "cpu", on_note: OnNote | None = None
) -> tuple[Codes, MotionTokenizer]:
    """Codes and the tokenizer to decode them with.

    Raises:
        CodesError: they are damaged, or not of this tokenizer; the message names the file.
        TokenizerError: it cannot be opened.
    """
    from motiontok.codes import Codes

    codes = Codes.load(path)
    opened = tokenizer_of(codes, path, tokenizer=tokenizer, device=device, on_note=on_note)
    require_of(codes, path, opened)
    return codes, opened


def require_of(codes: Codes, path: Path, tokenizer: MotionTokenizer) -> None:
    """:meth:`MotionTokenizer.require`, by the name of the codes' file.

    Raises:
        CodesError: a tokenizer knows the codes' source only, or their place in the array.
    """
    try:
        tokenizer.require(codes)
    except CodesError as error:
        reason = str(error).removeprefix(f"{codes.source}: ")
        raise CodesError(f"{path}: {reason}") from None


def tokenizer_of(
    codes: Codes, path: Path, *, tokenizer: str | None, device: str, on_note: OnNote | None = None
) -> MotionTokenizer:
    """The tokenizer that is given, or that codes of a file or folder name.

    Raises:
        InputError: the folder that they name is not there.
    """
    from motiontok.tokenizer import MotionTokenizer

    folder = tokenizer or codes.tokenizer or SHIPPED_TOKENIZER
    named = not tokenizer and folder != SHIPPED_TOKENIZER
    if named and not Path(folder).is_dir():
        raise InputError(
            f"{path}: its tokenizer {folder} is not there any more; give --tokenizer its folder"
        )
    if named and on_note is not None:
        on_note(f"decoding with {folder}, which {path.name} names")
    return MotionTokenizer.from_pretrained(folder, device=device)
