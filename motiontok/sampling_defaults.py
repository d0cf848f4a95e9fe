"""How closely labels are followed by default; light, since the command line's help tells it."""

from __future__ import annotations

__all__ = ["LABEL_GUIDANCE"]

LABEL_GUIDANCE = 3.0
"""Default guidance of action and style."""
