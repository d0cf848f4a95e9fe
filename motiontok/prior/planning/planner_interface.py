"""The planner's interface: a function from a body's state to the codes of its next window.

::

    def planner(state: State) -> NDArray[np.int64]:
        ...                       # state.pose, state.time, state.codes
        return codes              # (codes_per_window,)

    codes = follow(planner, tokenizer, seconds=10.0)

Anything that emits codes is a planner: a search, a policy, a language model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from motiontok.codes import Codes
from motiontok.data import COLUMNS, Start, StartLike, start_of
from motiontok.errors import CodesError, InputError
from motiontok.tokenizer import MotionTokenizer
from motiontok.tokens.checks import check_codes
from motiontok.tokens.path import root_path

__all__ = ["Planner", "State", "follow", "pose_after", "windows_of"]


@dataclass(frozen=True, eq=False)
class State:
    """The state before a window.

    Attributes:
        codes: ``(windows, codes_per_window)`` done so far; perhaps none.
        pose: place (m) and heading (rad) of the last frame done. On a robot that measures its pose,
            put the measured one here.
        time: seconds since the beginning.
    """

    codes: NDArray[np.int64]
    pose: Start
    time: float


class Planner(Protocol):
    """Chooses the next window."""

    def __call__(self, state: State) -> NDArray[np.int64]:
        """Codes ``(codes_per_window,)`` of the window after ``state``."""
        ...


def follow(
    planner: Planner,
    tokenizer: MotionTokenizer,
    *,
    seconds: float,
    start: StartLike | None = None,
    prefix: NDArray[Any] | Tensor | None = None,
    licence: str = "",
    update: Callable[[int], object] | None = None,
) -> Codes:
    """Ask a planner for window after window.

    Args:
        planner: chooses.
        tokenizer: of the codes.
        seconds: length of the plan, without the prefix.
        start: place and heading of frame 0, or its x, y (m) and yaw (rad); the origin facing
            +X by default.
        prefix: ``(windows, codes_per_window)`` already done; the result begins with it.
        licence: note to write beside the codes.
        update: called with the number of windows planned.

    Raises:
        CodesError: the prefix, or the planner's result, is not made of whole windows of codes.
        InputError: an impossible time.
        DataError: an impossible place.
    """
    size, window = tokenizer.codes_per_window, tokenizer.frames_per_window
    if not 0.0 < seconds < math.inf:
        raise InputError(f"seconds must be positive and finite, got {seconds}")
    frames = max(1, round(seconds * tokenizer.fps))
    pose = begin = start_of(start)
    codes = np.empty((0, size), dtype=np.int64)
    if prefix is not None and len(prefix):
        codes = windows_of(prefix, tokenizer, "prefix")
    if len(codes):
        pose = pose_after(tokenizer, codes, begin, first=True)
    given = len(codes)
    for n in range(math.ceil(frames / window)):
        time = n * window / tokenizer.fps
        answer = planner(State(codes, pose, time))
        if np.shape(answer) != (size,):
            raise CodesError(f"the planner gave codes of shape {np.shape(answer)}, not ({size},)")
        chosen = windows_of(np.asarray(answer)[None], tokenizer, "the planner's codes")
        pose = pose_after(tokenizer, chosen, pose, first=not len(codes))
        codes = np.concatenate([codes, chosen])
        if update is not None:
            update(n + 1)
    return Codes(
        codes.astype(np.uint16),
        fingerprint=tokenizer.fingerprint,
        frames=given * window + frames,
        start=begin,
        offsets=tokenizer.offsets,
        source="plan",
        licence=licence or tokenizer.licence,
    )


def windows_of(
    codes: NDArray[Any] | Tensor, tokenizer: MotionTokenizer, what: str
) -> NDArray[np.int64]:
    """Whole windows ``(windows, codes_per_window)`` of codes, checked."""
    size = tokenizer.codes_per_window
    try:
        z, _ = check_codes(codes, codes_per_window=size, vocab_size=tokenizer.vocab_size)
    except CodesError as error:
        raise CodesError(f"{what}: {error}") from None
    if z.dim() != 2:
        raise CodesError(f"{what}: expected one sequence (windows, {size}), got {tuple(z.shape)}")
    return z.cpu().numpy()


def pose_after(
    tokenizer: MotionTokenizer, codes: NDArray[np.int64], pose: Start, *, first: bool
) -> Start:
    """Pose after decoded codes ``(windows, codes)``.

    Args:
        tokenizer: decodes.
        codes: done after the pose.
        pose: of the frame before them or, if they are ``first``, of frame 0.
        first: whether nothing came before.
    """
    features = tokenizer.decode_features(codes)
    if first:
        # Frame 0 stands on the pose itself: there is no step to it.
        features[0, : COLUMNS["velocity"].stop] = 0.0
    positions, yaw = root_path(features, pose)
    return Start(float(positions[-1, 0]), float(positions[-1, 1]), float(yaw[-1]))
