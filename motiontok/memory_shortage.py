"""Errors of PyTorch and NumPy that say that memory is used up."""

from __future__ import annotations

import re

__all__ = ["shortage"]

_ASKED = re.compile(r"allocate ([\d.]+) ?([kKMGTP]?i?B|bytes)")


def shortage(error: BaseException) -> str:
    """``"out of memory"`` and how much was asked for at once; empty for any other error."""
    text = str(error)
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    # On a CPU PyTorch's error is a plain RuntimeError.
    if not known and "can't allocate memory" not in text:
        return ""
    asked = _ASKED.search(text)
    if asked is None:
        return "out of memory"
    amount, unit = float(asked[1]), asked[2]
    if unit == "bytes":
        amount, unit = amount / 2**30, "GiB"
    return f"out of memory (asked for {amount:,.2f} {unit} at once)"
