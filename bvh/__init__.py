"""Read, write, normalise and make human motion capture, with numpy alone."""

from bvh import rotations
from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.motion import FPS, Motion, Source
from bvh.normalizer import Calibration, Report, calibrate, examine, normalize, read_mapping
from bvh.reader import read
from bvh.skeleton import DEFAULT_OFFSETS, JOINTS, PARENTS
from bvh.writer import write

__all__ = [
    "DEFAULT_OFFSETS",
    "FPS",
    "JOINTS",
    "PARENTS",
    "BVHError",
    "Calibration",
    "Clip",
    "Motion",
    "Report",
    "Source",
    "calibrate",
    "examine",
    "normalize",
    "read",
    "read_mapping",
    "rotations",
    "write",
]
