"""Features of motion, their statistics, and windows of them."""

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
