"""Every failure a user can cause, as one family of exceptions.

Messages fit on one line and say what is wrong, where, and what to do. The
command line prints them without a traceback: exit code 2 for bad input
(:class:`InputError`), 1 for anything else.
"""

from __future__ import annotations

__all__ = [
    "CodesError",
    "ConfigError",
    "DataError",
    "InputError",
    "MissingDependencyError",
    "MotiontokError",
    "PlanError",
    "RenderError",
    "RobotError",
    "TokenizerError",
    "TrainingError",
]


class MotiontokError(Exception):
    """Root of the errors of this package."""


class InputError(MotiontokError):
    """The user's input cannot be used."""


class ConfigError(InputError):
    """A configuration has an unknown key, a wrong type or an impossible value."""


class DataError(InputError):
    """Training or evaluation data is missing, empty or damaged."""


class CodesError(InputError):
    """A codes file is damaged, out of range or from another tokenizer."""


class TokenizerError(InputError):
    """A tokenizer folder is missing, incomplete or damaged."""


class RobotError(InputError):
    """A robot model or its map is missing, incomplete or inconsistent."""


class MissingDependencyError(MotiontokError):
    """An optional package or system library is not installed."""


class PlanError(MotiontokError):
    """A plan's task is possible, but no plan was found that keeps to it."""


class RenderError(MotiontokError):
    """A picture or video cannot be drawn or encoded."""


class TrainingError(MotiontokError):
    """Training diverged or cannot continue."""
