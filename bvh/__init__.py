"""Read, write, normalise and make human motion capture, with numpy alone."""

from bvh import rotations
from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.motion import FPS, Motion, Source
from bvh.normalizer import normalize
from bvh.reader import read
from bvh.skeleton import DEFAULT_OFFSETS, JOINTS, PARENTS
from bvh.writer import write

__all__ = [
    "DEFAULT_OFFSETS",
    "FPS",
    "JOINTS",
    "PARENTS",
    "BVHError",
    "Clip",
    "Motion",
    "Source",
    "normalize",
    "read",
    "rotations",
    "write",
]
