"""Any humanoid clip to canonical motion, whoever made the file."""

from __future__ import annotations

from collections.abc import Mapping

from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.motion import FPS, Motion, Source
from bvh.normalizer.body import extract
from bvh.normalizer.calibration import calibrate_frames
from bvh.normalizer.contacts import find_contacts
from bvh.normalizer.mapping import map_joints
from bvh.normalizer.resample import resample
from bvh.normalizer.solve import solve

__all__ = ["normalize"]


def normalize(
    clip: Clip,
    *,
    mapping: Mapping[str, str] | None = None,
    up: str | None = None,
    scale: float | None = None,
    fps: float = FPS,
) -> Motion:
    """Turn any humanoid clip into canonical motion.

    Local axes, Euler orders, units, up axis and the rest pose of the file do not
    matter: everything comes from the geometry of the moving body.

    Args:
        clip: humanoid motion in its file's conventions.
        mapping: canonical joint -> source joint, where names are not recognised.
        up: source axis that points up (``"y"``, ``"-z"``, ...); found if not given.
        scale: metres per source unit; found if not given.
        fps: frames per second of the result.

    Raises:
        BVHError: no frames, no humanoid, or values that are not finite.
    """
    if clip.frames == 0:
        raise BVHError(f"{clip.name}: no frames to normalise")
    joints = map_joints(clip, mapping)
    body = extract(clip, joints, up=up, scale=scale)
    contacts = find_contacts(body)
    frames = calibrate_frames(body, contacts)
    positions, rotations, offsets = solve(body, frames)
    positions = positions - [0.0, 0.0, contacts.floor]
    positions, rotations = resample(positions, rotations, source_fps=clip.fps, fps=fps)
    return Motion(
        root_positions=positions,
        rotations=rotations,
        offsets=offsets,
        fps=fps,
        source=Source(
            name=clip.name,
            fps=clip.fps,
            scale=body.scale,
            family=joints.family,
            joints={c: clip.names[j] for c, j in joints.joints.items()},
        ),
    )
