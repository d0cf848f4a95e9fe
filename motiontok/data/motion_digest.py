"""Digests that identify motions, independent of their files."""

from __future__ import annotations

import hashlib

from bvh.motion import Motion

__all__ = ["motion_digest"]


def motion_digest(motion: Motion) -> str:
    """A digest that differs for motions that differ in single precision."""
    digest = hashlib.blake2b(digest_size=16)
    for values in (motion.root_positions, motion.rotations, motion.offsets):
        digest.update(values.astype("<f4").tobytes())
    digest.update(f"{motion.fps:.6g}".encode())
    return digest.hexdigest()
