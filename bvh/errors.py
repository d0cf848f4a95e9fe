"""Errors that reading, writing or normalising a clip can raise."""

from __future__ import annotations

__all__ = ["BVHError"]


class BVHError(ValueError):
    """A clip cannot be read, written or normalised.

    The message says what is wrong, where (file, line, joint or frame) and what
    was expected or can be done; it fits on one line.
    """
