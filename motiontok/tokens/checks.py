"""Checks of codes, features and clips that a user gives."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bvh.motion import Motion
from bvh.motion_io import Calibrations, load_motion
from bvh.rotations import Array
from motiontok.codes import Codes
from motiontok.data import COLUMNS, FEATURES, from_motion
from motiontok.encoding_limits import MOST_EFFORT
from motiontok.errors import CodesError, DataError, InputError
from motiontok.methods import DiscreteAutoencoder

__all__ = [
    "OnInvalid",
    "array_of",
    "check_codes",
    "check_effort",
    "check_generator",
    "check_on_invalid",
    "chosen_effort",
    "features_of",
    "hold_invalid",
    "motion_of",
    "not_negative",
    "require_codes",
    "stand_in",
    "usable_device",
    "whole",
]

OnInvalid = Literal["error", "hold"]
"""What to do about windows with codes outside the vocabulary."""

_LARGEST = 1e6  # of features

_ROOT = slice(COLUMNS["yaw_rate"].start, COLUMNS["velocity"].stop)


def whole(value: Any, name: str, error: type[InputError]) -> int:
    """A whole number, also one of NumPy's; anything else raises the error, which names it."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise error(f"{name} must be a whole number, got {value!r}")
    return int(value)


def not_negative(value: Any, name: str) -> float:
    """A finite number of 0 or more, also one of NumPy's; anything else raises.

    Raises:
        DataError: it names the value.
    """
    number = isinstance(value, int | float | np.integer | np.floating)
    if isinstance(value, bool) or not number or not 0.0 <= value < float("inf"):
        raise DataError(f"{name} must be 0 or positive, got {value!r}")
    return float(value)


def check_effort(value: Any) -> int:
    """An effort of encoding; anything else raises.

    Raises:
        DataError: it names the value.
    """
    effort = whole(value, "effort", DataError)
    if not 1 <= effort <= MOST_EFFORT:
        raise DataError(f"effort must be 1 to {MOST_EFFORT}, got {effort}")
    return effort


def chosen_effort(effort: int | None, method: DiscreteAutoencoder, temperature: float = 0.0) -> int:
    """The effort that is meant: the method's own by default, 1 where codes are drawn.

    Raises:
        DataError: it is no effort, or codes are to be drawn and searched for at once.
    """
    if effort is None:
        return 1 if temperature else method.usual_effort
    effort = check_effort(effort)
    if effort > 1 and temperature and method.usual_effort > 1:
        raise DataError(
            f"temperature {temperature:g} draws codes and an effort of {effort} searches for them, "
            f"with a tokenizer of method {method.config.method.name}; leave one out"
        )
    return effort


def check_generator(generator: Any) -> None:
    """Refuse anything but a generator of torch, or none.

    Raises:
        DataError: it names the value.
    """
    if generator is not None and not isinstance(generator, torch.Generator):
        raise DataError(f"generator must be a torch.Generator or None, got {generator!r}")


def usable_device(device: torch.device | str) -> torch.device:
    """A device, tested by putting something there.

    Raises:
        InputError: this machine, or this build of torch, has no such device.
    """
    try:
        there = torch.empty(0, device=device)
        if there.is_meta:
            raise RuntimeError("it holds shapes without numbers")
        return there.device
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"device {str(device)!r} is not available here ({reason})") from None


def motion_of(
    motion: Motion | str | os.PathLike[str], calibrations: Calibrations | None = None
) -> Motion:
    """The motion itself, or the motion of a clip (.bvh) or motion (.npz) file.

    Args:
        motion: either.
        calibrations: of the rigs that a tokenizer knows.

    Raises:
        BVHError: the path is no readable clip.
        DataError: neither a motion nor a path.
    """
    if isinstance(motion, Motion):
        return motion
    if not isinstance(motion, str | os.PathLike):
        raise DataError(
            f"motion: expected a Motion or the path of a clip, got {type(motion).__name__}"
        )
    return load_motion(motion, calibrations=calibrations).motion


def features_of(
    motion: Motion | str | os.PathLike[str] | Array | Tensor,
    calibrations: Calibrations | None = None,
) -> Array:
    """Raw features ``(..., frames, 203)`` of a motion, a path or features.

    Args:
        motion: a motion, a path or features.
        calibrations: as :func:`motion_of` has them.

    Raises:
        DataError: wrong shape or type, or a value that is not finite or beyond 1e6.
    """
    if isinstance(motion, Tensor):
        motion = motion.detach().cpu().double().numpy()
    if isinstance(motion, np.ndarray):
        if motion.ndim < 2 or motion.shape[-1] != FEATURES or 0 in motion.shape:
            raise DataError(f"features: expected (..., frames, {FEATURES}), got {motion.shape}")
        if motion.dtype.kind not in "fiu":
            raise DataError(f"features: expected numbers, got {motion.dtype}")
        if not np.isfinite(motion).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(motion))[0])
            raise DataError(f"features: value at {where} is not finite")
        # Beyond what 32 bits hold, codes would be noise.
        if not np.abs(motion, dtype=np.float64).max() <= _LARGEST:
            where = tuple(int(i) for i in np.argwhere(np.abs(motion) > _LARGEST)[0])
            raise DataError(
                f"features: value at {where} is beyond {_LARGEST:.0e} m, m/s or rad/s, "
                "where no body can be"
            )
        return motion
    return from_motion(motion_of(motion, calibrations))


def require_codes(codes: Any) -> None:
    """Refuse anything but :class:`Codes`, such as an array."""
    if not isinstance(codes, Codes):
        raise CodesError(
            f"expected Codes, as encode_to_codes and Codes.load give them, got "
            f"{type(codes).__name__}; decode takes arrays"
        )


def check_on_invalid(on_invalid: Any) -> None:
    """Refuse anything but :data:`OnInvalid`."""
    if on_invalid not in ("error", "hold"):
        raise CodesError(f"on_invalid must be 'error' or 'hold', got {on_invalid!r}")


def check_codes(
    codes: NDArray[Any] | Tensor,
    *,
    codes_per_window: int,
    vocab_size: int,
    on_invalid: OnInvalid = "error",
    first: int | None = None,
    prefixes: bool = False,
    goes_on: bool = False,
) -> tuple[Tensor, NDArray[np.bool_]]:
    """Codes as an int64 tensor, and which windows are valid.

    Args:
        codes: an array, tensor or nested list of integers.
        codes_per_window: length of the last axis, unless it is ``first``.
        vocab_size: codes must lie below it.
        on_invalid: ``"error"``, or ``"hold"`` to accept windows with other codes, which become 0
            and are marked.
        first: number of first codes of each window, if the others were left out.
        prefixes: whether there is such a choice, for messages.
        goes_on: a valid window came before these, so none of them need be valid.

    Returns:
        Codes ``(..., windows, codes_per_window or first)`` and booleans ``(..., windows)``.

    Raises:
        CodesError: wrong shape or type, a value outside the vocabulary (with
            ``"hold"``: in every window of a sequence), or another ``on_invalid``.
    """
    check_on_invalid(on_invalid)
    if isinstance(codes, Tensor) and codes.dtype == torch.uint64:
        codes = codes.cpu().numpy()
    z = codes if isinstance(codes, Tensor) else array_of(codes)
    width = first or codes_per_window
    if z.ndim < 2 or z.shape[-1] != width or 0 in z.shape:
        found = z.shape[-1] if z.ndim else 0
        reason = ""
        if z.ndim >= 2 and 0 < found < codes_per_window:
            reason = f": this method needs all codes of each window, not the first {found}"
            if prefixes:
                reason = f"; if these are the first {found} of each window, say first={found}"
        raise CodesError(f"codes: expected (..., windows, {width}), got {tuple(z.shape)}{reason}")
    given = z
    if not isinstance(z, Tensor):
        if z.dtype.kind not in "ui":
            raise CodesError(f"codes: expected integers, got {z.dtype}")
        if z.dtype == np.uint64:
            # Values beyond int64 stay large, outside the vocabulary.
            z = np.minimum(z, np.uint64(np.iinfo(np.int64).max))
        z = torch.from_numpy(z.astype(np.int64))
    if z.is_floating_point() or z.is_complex() or z.dtype == torch.bool:
        raise CodesError(f"codes: expected integers, got {z.dtype}")
    z = z.long()
    valid = ((z >= 0) & (z < vocab_size)).all(dim=-1)
    held = on_invalid == "hold" and (goes_on or bool(valid.any(dim=-1).all()))
    if not valid.all() and not held:
        where = tuple(int(i) for i in ((z < 0) | (z >= vocab_size)).nonzero()[0])
        bad = int(given[where])
        lost = "; no window of the sequence is valid" if on_invalid == "hold" else ""
        raise CodesError(
            f"codes: value {bad} at {where} is outside the vocabulary, 0 to {vocab_size - 1}{lost}"
        )
    return torch.where(valid[..., None], z, 0), valid.cpu().numpy()


def array_of(codes: Any) -> NDArray[Any]:
    """An array of nested lists.

    Raises:
        CodesError: rows have different lengths.
    """
    try:
        return np.asarray(codes)
    except ValueError:
        raise CodesError("codes: expected an array, got rows of different lengths") from None


def stand_in(codes: Tensor, valid: NDArray[np.bool_], before: Tensor | None = None) -> Tensor:
    """Codes in which an invalid window has the codes of the valid one before it.

    So neighbouring windows are decoded beside nearly the motion that :func:`hold_invalid` shows.

    Args:
        codes: ``(..., windows, codes)``.
        valid: ``(..., windows)``.
        before: ``(codes,)`` of the window before the first one; without it the first windows
            have the codes of the first valid one.
    """
    out = codes.reshape(-1, *codes.shape[-2:]).clone()
    for sequence, good in zip(out, valid.reshape(len(out), -1), strict=True):
        last = sequence[int(np.argmax(good))].clone() if before is None else before
        for n, fine in enumerate(good):
            if not fine:
                sequence[n] = last
            last = sequence[n].clone()
    return out.reshape(codes.shape)


def hold_invalid(features: Array, valid: NDArray[np.bool_], before: Array | None = None) -> Array:
    """Features in which the body stands still where codes were invalid.

    Args:
        features: ``(..., windows, frames, 203)`` raw, not yet blended.
        valid: ``(..., windows)``; an invalid window holds the last frame of the one before
            it, the first ones ``before`` or the first frame of the first valid one.
        before: ``(203,)`` the frame before the first one, if there is one.
    """
    out = features.reshape(-1, *features.shape[-3:]).copy()
    for sequence, good in zip(out, valid.reshape(len(out), -1), strict=True):
        pose = sequence[int(np.argmax(good)), 0].copy() if before is None else before
        for n, fine in enumerate(good):
            if not fine:
                sequence[n] = pose
                sequence[n, :, _ROOT] = 0.0
            pose = sequence[n, -1].copy()
    return out.reshape(features.shape)
