"""Meaning of the number after ``Frame Time:``: seconds, unless no body is captured so slowly."""

from __future__ import annotations

__all__ = ["SLOWEST", "seconds_per_frame"]

SLOWEST = 2.0
"""Least seconds between frames at which the number must have another meaning."""

_USUAL = (
    24, 25, 30, 48, 50, 60, 72, 75, 90, 96, 100, 120, 125, 144, 150, 180, 192, 200, 240, 250, 300,
    360, 400, 480, 500, 24 / 1.001, 30 / 1.001, 60 / 1.001, 120 / 1.001,
)  # fmt: skip
"""Frames a second at which people record. No number is both one of them and the milliseconds, or
the microseconds, of one, so the meaning is unambiguous."""
_NEAR = 0.005  # relative: 8.3 ms are 120 frames/s


def seconds_per_frame(value: float) -> tuple[float, str]:
    """Seconds per frame, and the assumption made; empty if there was none.

    Args:
        value: the number in the file, above zero.

    Raises:
        ValueError: it is neither seconds, nor a usual rate, nor milli- or microseconds of one.
    """
    if value < SLOWEST:
        return value, ""
    readings = (
        (value, "frames a second"),
        (1e3 / value, "milliseconds"),
        (1e6 / value, "microseconds"),
    )
    for rate, unit in readings:
        if any(abs(rate / usual - 1.0) < _NEAR for usual in _USUAL):
            return 1.0 / rate, f"Frame Time: is {value:g}, taken for {unit}"
    raise ValueError(f"{value:g}, which is no time of a frame in seconds")
