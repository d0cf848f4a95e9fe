"""Features of motion, their statistics, and windows of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from motiontok.lazy_imports import lazy_names

if TYPE_CHECKING:
    from motiontok.data.distortion import psnr, reconstruction_metrics
    from motiontok.data.features import COLUMNS, FEATURES, from_motion, to_motion, to_motions
    from motiontok.data.foot_locking import lock_feet, lock_feet_onward, lock_feet_together
    from motiontok.data.placement import REFERENCE, Start, StartLike, World, offsets_of, start_of
    from motiontok.data.seams import blend_seams
    from motiontok.data.statistics import Statistics
    from motiontok.data.stillness import Noise, StillnessFilter, measure_noise
    from motiontok.data.windows import WindowSet, accumulate, differentiate, split_windows

__all__ = [
    "COLUMNS",
    "FEATURES",
    "REFERENCE",
    "Noise",
    "Start",
    "StartLike",
    "Statistics",
    "StillnessFilter",
    "WindowSet",
    "World",
    "accumulate",
    "blend_seams",
    "differentiate",
    "from_motion",
    "lock_feet",
    "lock_feet_onward",
    "lock_feet_together",
    "measure_noise",
    "offsets_of",
    "psnr",
    "reconstruction_metrics",
    "split_windows",
    "start_of",
    "to_motion",
    "to_motions",
]

# These import torch; putting motion on robots must not need it.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "distortion": ("psnr", "reconstruction_metrics"),
        "features": ("COLUMNS", "FEATURES", "from_motion", "to_motion", "to_motions"),
        "foot_locking": ("lock_feet", "lock_feet_onward", "lock_feet_together"),
        "placement": ("REFERENCE", "Start", "StartLike", "World", "offsets_of", "start_of"),
        "seams": ("blend_seams",),
        "statistics": ("Statistics",),
        "stillness": ("Noise", "StillnessFilter", "measure_noise"),
        "windows": ("WindowSet", "accumulate", "differentiate", "split_windows"),
    },
)
