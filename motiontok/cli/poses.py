"""Target poses on the command line: ``CLIP:FRAME@SECONDS``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motiontok.errors import InputError

if TYPE_CHECKING:
    from bvh import Motion
    from motiontok.data import Start, World
    from motiontok.prior import TargetPose
    from motiontok.tokenizer import MotionTokenizer

__all__ = ["open_poses", "pose_files", "pose_option"]

_TEXT = re.compile(r"(?P<clip>.+):(?P<frame>\d+)@(?P<time>[^@,]+)(,(?P<place>[^@]+))?")
_ANYWHERE = "anywhere"

pose_option: Callable[[Any], Any] = click.option(
    "--pose",
    "poses",
    multiple=True,
    metavar="CLIP:FRAME@SECONDS[,PLACE]",
    help="Go through this pose of a clip (frames of 30 a second, from 0) at that time. PLACE is "
    "X,Y,YAW (m, m, rad) or anywhere  [default: where it is in the clip]. Up to four.",
)


def pose_files(texts: Sequence[str]) -> list[Path]:
    """Files that poses are read from; :func:`open_poses` refuses texts that name none."""
    return [Path(found["clip"]) for text in texts if (found := _TEXT.fullmatch(text))]


def open_poses(
    texts: Sequence[str], tokenizer: MotionTokenizer, world: World
) -> tuple[TargetPose, ...]:
    """Read poses, in metres of a world.

    Raises:
        InputError, BVHError: one cannot be read.
    """
    from motiontok.cli.sources import load_motion
    from motiontok.prior import TargetPose

    clips: dict[str, Motion] = {}
    out = []
    for text in texts:
        found = _TEXT.fullmatch(text)
        # Times are bounded by the motion's length, not as places are.
        time = None if found is None else _number(found["time"], beyond=math.inf)
        if found is None or time is None:
            raise InputError(
                f"--pose {text}: expected CLIP:FRAME@SECONDS, maybe with ,X,Y,YAW or ,{_ANYWHERE} "
                "behind it"
            )
        clip = found["clip"]
        if clip not in clips:
            clips[clip] = load_motion(clip, calibrations=tokenizer.calibrations)
        pose = TargetPose.of(clips[clip], int(found["frame"]), time=time, world=world)
        pose = replace(pose, name=f"{Path(clip).name} frame {found['frame']}")
        if found["place"] is not None:
            pose = replace(pose, place=_place(found["place"], text))
        out.append(pose)
    return tuple(out)


def _place(given: str, text: str) -> Start | None:
    from motiontok.data import Start

    if given == _ANYWHERE:
        return None
    numbers = [_number(part) for part in given.split(",")]
    if len(numbers) != 3 or None in numbers:
        raise InputError(
            f"--pose {text}: its place is X,Y,YAW, three finite numbers, or {_ANYWHERE}"
        )
    return Start(*(float(number or 0.0) for number in numbers))


def _number(text: str, *, beyond: float = 1e9) -> float | None:
    """A finite number whose size is below ``beyond``, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < beyond else None
