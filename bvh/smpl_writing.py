"""Canonical motion to poses of SMPL+H, as AMASS has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bvh.atomic_write import atomic_path
from bvh.motion import Motion
from bvh.normalizer.world_axes import world_from_source
from bvh.rotations import conjugate, log, multiply, rotate
from bvh.skeleton import PARENTS
from bvh.smpl import INDEX, OFFSETS, mean_body

__all__ = ["save_smpl"]

_ROTATIONS = 52  # joints of SMPL+H, which AMASS writes


def save_smpl(motion: Motion, path: Path) -> None:
    """Write the motion as AMASS has it, by the mean body, atomically.

    The ``.npz`` holds ``poses`` ``(frames, 156)``, ``trans``, ``betas`` (zero), ``dmpls``
    (zero), ``gender`` (neutral) and ``mocap_framerate``; Z is up.
    """
    turns, offsets = mean_body()
    motion = motion.on_bones(offsets)
    body, pelvis = motion.global_transforms()
    # Global rotations of SMPL's joints in canonical axes, then against their parents.
    world = multiply(body, turns)
    local = world.copy()
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            local[:, joint] = multiply(conjugate(world[:, parent]), world[:, joint])
    axes = world_from_source("y")  # canonical from SMPL's
    vectors = rotate(conjugate(axes), log(local))
    vectors[:, 0] = log(multiply(world[:, 0], np.broadcast_to(axes, world[:, 0].shape)))
    poses = np.zeros((len(motion), _ROTATIONS, 3))
    poses[:, list(INDEX)] = vectors
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            poses=poses.reshape(len(motion), -1),
            trans=pelvis[:, 0] - OFFSETS[0],
            betas=np.zeros(16),
            dmpls=np.zeros((len(motion), 8)),
            gender="neutral",
            mocap_framerate=motion.fps,
        )
