"""Features of motion, their statistics, and windows of them."""

from motiontok.data.features import COLUMNS, FEATURES, Start, from_motion, to_motion
from motiontok.data.statistics import Statistics
from motiontok.data.windows import WindowSet, accumulate, differentiate, split_windows

__all__ = [
    "COLUMNS",
    "FEATURES",
    "Start",
    "Statistics",
    "WindowSet",
    "accumulate",
    "differentiate",
    "from_motion",
    "split_windows",
    "to_motion",
]
