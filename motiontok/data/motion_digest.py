"""What a motion is told by, whatever file it came from."""

from __future__ import annotations

import hashlib

from bvh.motion import Motion

__all__ = ["motion_digest"]


def motion_digest(motion: Motion) -> str:
    """What tells two motions apart that differ in single precision."""
    digest = hashlib.blake2b(digest_size=16)
    for values in (motion.root_positions, motion.rotations, motion.offsets):
        digest.update(values.astype("<f4").tobytes())
    digest.update(f"{motion.fps:.6g}".encode())
    return digest.hexdigest()
