"""A file's zero pose, if it is a standing pose.

Zero poses are not to be trusted in general (LAFAN1's and Bandai-Namco's point every
bone along one axis). But a zero pose that stands upright is the T-pose, A-pose or N-pose the rig
was built in, and decides where a moving body is ambiguous.
"""

from __future__ import annotations

import numpy as np

from bvh.clip import Clip
from bvh.normalizer.geometry import frame, unit
from bvh.normalizer.mapping import SIDES, JointMap
from bvh.rotations import Array, cross

__all__ = ["RestPose", "rest_pose", "standing_up"]

_UPRIGHT = np.cos(np.deg2rad(30.0))
_SNAP = np.cos(np.deg2rad(10.0))


class RestPose:
    """Joint positions of a file's zero pose, seen from canonical axes.

    Attributes:
        rotation: (4,) canonical_from_source axes: canonical Z is up and X forward.
    """

    def __init__(self, rotation: Array, positions: dict[str, Array]) -> None:
        self.rotation = rotation
        self._positions = positions

    def bone(self, joint: str, child: str) -> Array:
        """Vector (3,) between two joints, source axes and units."""
        return self._positions[child] - self._positions[joint]


def standing_up(clip: Clip, joints: JointMap) -> Array | None:
    """Up (3,) of an upright zero pose in the file's axes; left and right do not matter."""
    at = _positions(clip, joints)
    thighs = (at["LeftUpLeg"] + at["RightUpLeg"]) / 2
    bones = [at["Spine2"] - at["Hips"]]
    for side, _ in SIDES:
        bones += [
            at[side + "UpLeg"] - at[side + "Leg"],
            at[side + "Leg"] - at[side + "Foot"],
        ]
    up = unit(unit(bones[0]) + unit(thighs - (at["LeftFoot"] + at["RightFoot"]) / 2))
    return _snapped(up) if min(up @ unit(bone) for bone in bones) > _UPRIGHT else None


def rest_pose(clip: Clip, joints: JointMap) -> RestPose | None:
    """The zero pose of ``clip`` if it stands upright with straight legs, else None."""
    at = _positions(clip, joints)
    lateral = unit(at["LeftUpLeg"] - at["RightUpLeg"])
    feet = (at["LeftFoot"] + at["RightFoot"]) / 2
    thighs = (at["LeftUpLeg"] + at["RightUpLeg"]) / 2
    up = unit(at["Spine2"] - at["Hips"]) + unit(thighs - feet)
    up = _snapped(unit(up - (up @ lateral) * lateral))
    lateral = _snapped(unit(lateral - (up @ lateral) * up))
    forward = cross(lateral, up)
    upright = [up @ unit(at["Spine2"] - at["Hips"])]
    for side, _ in SIDES:
        upright += [
            up @ unit(at[side + "UpLeg"] - at[side + "Leg"]),
            up @ unit(at[side + "Leg"] - at[side + "Foot"]),
        ]
        if side + "Toe" in at:
            toe = at[side + "Toe"] - at[side + "Foot"]
            upright.append(forward @ unit(toe - (toe @ up) * up))
    if min(upright) < _UPRIGHT:
        return None
    return RestPose(frame(lateral, up, axes="yz"), at)


def _positions(clip: Clip, joints: JointMap) -> dict[str, Array]:
    points: list[Array] = []
    for offset, parent in zip(clip.offsets, clip.parents, strict=True):
        points.append(offset if parent < 0 else points[parent] + offset)
    out = {canonical: points[j] for canonical, j in joints.joints.items()}
    return out | {c: points[j] + clip.end_sites[j] for c, j in joints.tips.items()}


def _snapped(direction: Array) -> Array:
    """The source axis near ``direction``: rigs are built along axes, bodies are not."""
    axis = int(np.argmax(np.abs(direction)))
    if abs(direction[axis]) < _SNAP:
        return direction
    out = np.zeros(3)
    out[axis] = np.sign(direction[axis])
    return out
