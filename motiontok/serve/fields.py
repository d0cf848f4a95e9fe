"""A request's fields, checked one by one."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from motiontok.data import Start
from motiontok.errors import InputError
from motiontok.tokens.checks import OnInvalid

__all__ = [
    "OPTIONS",
    "codes_of",
    "number",
    "numbers",
    "on_invalid",
    "pop",
    "sampling",
    "state_number",
    "take",
    "text",
    "whole",
]

OPTIONS = ("temperature", "top_k", "top_p", "guidance", "tolerance")


def pop(request: dict[str, Any], *names: str) -> dict[str, Any]:
    """Plain arguments of a request; None for a missing one."""
    return {name: request.pop(name, None) for name in names}


def take(request: dict[str, Any], **shapes: tuple[int | None, ...] | None) -> list[Any]:
    """Arrays of a request; any other field is an error.

    Args:
        shapes: name of each array and its shape, None for any number or any shape.
    """
    found: list[Any] = []
    for name, shape in shapes.items():
        value = request.pop(name, None)
        if value is not None:
            try:
                value = np.asarray(value)
                value = value if value.dtype.kind in "ui" else value.astype(np.float64)
            except (ValueError, TypeError):
                raise InputError(f"{name}: expected an array of numbers") from None
            fits = shape is None or (
                value.ndim == len(shape)
                and all(n in (None, m) for n, m in zip(shape, value.shape, strict=True))
            )
            if not fits:
                text = ", ".join("any" if n is None else str(n) for n in shape or ())
                raise InputError(f"{name}: expected shape ({text}), got {value.shape}")
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise InputError(f"{name}: holds a value that is not finite")
        found.append(value)
    if request:
        raise InputError(f"unknown field {str(next(iter(request)))[:40]!r}")
    return found


def whole(given: dict[str, Any], name: str, default: int | None = None) -> int:
    """A whole number among plain arguments."""
    value = default if given[name] is None else given[name]
    if type(value) is not int:
        raise InputError(f"{name} must be a whole number, got {str(value)[:40]!r}")
    return value


def number(given: dict[str, Any], name: str, default: float) -> float:
    """A number among plain arguments."""
    value = default if given[name] is None else given[name]
    if type(value) not in (int, float):
        raise InputError(f"{name} must be a number, got {str(value)[:40]!r}")
    return float(value)


def state_number(given: dict[str, Any], name: str) -> int | None:
    """Number of a state among plain arguments, or None."""
    return None if given[name] is None else whole(given, name)


def codes_of(codes: NDArray[Any] | None, most: int) -> NDArray[Any]:
    """Codes of a request, at most so many windows."""
    if codes is None:
        raise InputError("codes are missing")
    if codes.dtype.kind not in "ui":
        raise InputError(f"codes: expected integers, got {codes.dtype}")
    if len(codes) > most:
        raise InputError(f"at most {most} windows, got {len(codes)}")
    return codes


def numbers(pose: Start) -> list[float]:
    """A pose in the form of a message."""
    return [pose.x, pose.y, pose.yaw]


def text(given: dict[str, Any], name: str) -> str | None:
    """A text among plain arguments, or None."""
    value = given[name]
    if value is not None and not isinstance(value, str):
        raise InputError(f"{name} must be text, got {type(value).__name__}")
    return value


def on_invalid(given: dict[str, Any]) -> OnInvalid:
    """Treatment of codes outside the vocabulary; by default an error."""
    return cast("OnInvalid", text(given, "on_invalid") or "error")


def sampling(given: dict[str, Any]) -> Any:
    """Options for drawing codes."""
    from motiontok.prior import SamplingOptions

    usual = SamplingOptions()
    return SamplingOptions(
        temperature=number(given, "temperature", usual.temperature),
        top_k=whole(given, "top_k", usual.top_k),
        top_p=number(given, "top_p", usual.top_p),
        guidance=number(given, "guidance", usual.guidance),
        tolerance=number(given, "tolerance", usual.tolerance),
    )
