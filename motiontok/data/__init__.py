"""Features of motion, their statistics, and windows of them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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
_LAZY = {
    "COLUMNS": "motiontok.data.features",
    "FEATURES": "motiontok.data.features",
    "REFERENCE": "motiontok.data.placement",
    "Noise": "motiontok.data.stillness",
    "Start": "motiontok.data.placement",
    "StartLike": "motiontok.data.placement",
    "Statistics": "motiontok.data.statistics",
    "StillnessFilter": "motiontok.data.stillness",
    "WindowSet": "motiontok.data.windows",
    "World": "motiontok.data.placement",
    "accumulate": "motiontok.data.windows",
    "blend_seams": "motiontok.data.seams",
    "differentiate": "motiontok.data.windows",
    "from_motion": "motiontok.data.features",
    "lock_feet": "motiontok.data.foot_locking",
    "lock_feet_onward": "motiontok.data.foot_locking",
    "lock_feet_together": "motiontok.data.foot_locking",
    "measure_noise": "motiontok.data.stillness",
    "offsets_of": "motiontok.data.placement",
    "psnr": "motiontok.data.distortion",
    "reconstruction_metrics": "motiontok.data.distortion",
    "split_windows": "motiontok.data.windows",
    "start_of": "motiontok.data.placement",
    "to_motion": "motiontok.data.features",
    "to_motions": "motiontok.data.features",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
