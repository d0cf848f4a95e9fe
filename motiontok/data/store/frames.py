"""A frame of motion in 144 bytes: the root in single precision, rotations in 16 bits.

72 numbers of 16 bits: 6 hold the root's position, three times 32 bits; the others hold the 22
local rotations by their "smallest three": a unit quaternion without its largest component, made
positive, which follows from the other three. Each of them lies within 1/sqrt(2) and has 15 bits;
the remaining bits name the missing one. A rotation is off by at most 0.009 degrees, and the
identity is exact. Contacts are not kept: they follow from the rest, and would be a second truth.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bvh.motion import Motion
from bvh.rotations import Array
from bvh.skeleton import JOINTS

__all__ = ["BYTES", "STEPS", "WORDS", "Frames", "pack_frames", "unpack_frames"]

Frames = NDArray[np.uint16]
"""Frames of motion ``(frames, 72)``."""

_ROOT = 6
WORDS = _ROOT + 3 * len(JOINTS)
"""Numbers of 16 bits a frame."""

BYTES = 2 * WORDS
"""Bytes a frame."""

STEPS = 16_383 * math.sqrt(2.0)
"""Steps of a component a unit; 0 is step 16,384."""

# Components that are kept, by the one that is not.
_KEPT = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])


def pack_frames(motion: Motion) -> Frames:
    """Frames ``(frames, 72)`` of a motion."""
    q = motion.rotations
    largest = np.abs(q).argmax(axis=-1)
    positive = np.take_along_axis(q, largest[..., None], axis=-1) < 0.0
    kept = np.take_along_axis(np.where(positive, -q, q), _KEPT[largest], axis=-1)
    words = np.clip(np.rint(kept * STEPS) + 16_384, 0, 32_767).astype(np.uint16)
    words[..., 0] |= ((largest & 1) << 15).astype(np.uint16)
    words[..., 1] |= ((largest >> 1) << 15).astype(np.uint16)
    root = np.ascontiguousarray(motion.root_positions, dtype="<f4").view("<u2")
    return np.concatenate([root, words.reshape(len(motion), -1)], axis=1)


def unpack_frames(frames: Frames) -> tuple[Array, Array]:
    """Root positions ``(frames, 3)`` and local quaternions ``(frames, 22, 4)``."""
    root = np.ascontiguousarray(frames[:, :_ROOT]).view("<f4").astype(np.float64)
    words = frames[:, _ROOT:].reshape(len(frames), len(JOINTS), 3)
    missing = (words[..., 0] >> 15) | ((words[..., 1] >> 15) << 1)
    kept = ((words & 0x7FFF).astype(np.float64) - 16_384) / STEPS
    out = np.empty((*words.shape[:-1], 4))
    np.put_along_axis(out, _KEPT[missing], kept, axis=-1)
    rest = np.sqrt(np.maximum(1.0 - (kept**2).sum(axis=-1, keepdims=True), 0.0))
    np.put_along_axis(out, missing[..., None].astype(np.int64), rest, axis=-1)
    return root, out
