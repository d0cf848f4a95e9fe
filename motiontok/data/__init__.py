"""Features of motion, their statistics, and windows of them."""

from motiontok.data.distortion import psnr, reconstruction_metrics
from motiontok.data.features import COLUMNS, FEATURES, from_motion, to_motion, to_motions
from motiontok.data.place import REFERENCE, Start, StartLike, World, offsets_of, start_of
from motiontok.data.planting import plant_feet, plant_together
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
    "measure_noise",
    "offsets_of",
    "plant_feet",
    "plant_together",
    "psnr",
    "reconstruction_metrics",
    "split_windows",
    "start_of",
    "to_motion",
    "to_motions",
]
