"""The most that encoding takes; light, since the command line's help tells it."""

from __future__ import annotations

__all__ = ["MOST_EFFORT", "MOST_RATE_WEIGHT"]

MOST_EFFORT = 1000
"""A typing error is not to search for days."""

MOST_RATE_WEIGHT = 1000.0
"""1 is a fair price; far above this, single precision no longer tells errors apart."""
