"""Read, write, normalise and make human motion capture, with numpy alone."""

from bvh import rotations
from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.motion import FPS, Motion, Source
from bvh.skeleton import DEFAULT_OFFSETS, JOINTS, PARENTS

__all__ = [
    "DEFAULT_OFFSETS",
    "FPS",
    "JOINTS",
    "PARENTS",
    "BVHError",
    "Clip",
    "Motion",
    "Source",
    "rotations",
]
