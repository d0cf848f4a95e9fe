"""From source joint axes to canonical ones, found from geometry.

A BVH file fixes each joint's global rotation S(t) only up to an unknown constant
rotation on its right, since local axes are arbitrary. Each rule below names vectors that are
constant in a joint's own axes, and their directions in the T-pose. That gives a constant C with
canonical rotation ``G(t) = S(t) C^-1`` for any axes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bvh.normalizer.body import INDEX, SIDES, Body
from bvh.normalizer.floor import Floor
from bvh.normalizer.geometry import center, frame, mean_rotation, perpendicular, unit
from bvh.normalizer.rest import RestPose
from bvh.normalizer.shapes import Shape, recognize
from bvh.remarks import remark
from bvh.rotations import (
    Array,
    between,
    conjugate,
    cross,
    identity,
    log,
    multiply,
    rotate,
    to_matrix,
)
from bvh.skeleton import JOINTS

__all__ = ["AxisFinder"]

_Y = np.array([0.0, 1.0, 0.0])
_Z = np.array([0.0, 0.0, 1.0])
_DEFAULT_DROP = 0.33  # rad; toe below ankle of a flat foot, as in LAFAN1
_BEND = (0.01, 0.03)  # rms sine of a hinge's bend: less is noise, more is a bend
_AGREE = (0.5, 0.8)  # resultant length of the hinge axes of all frames, likewise
_SQUARE = np.sin(np.deg2rad(1.5))  # a foot's own axis across counts if this square to the toe
# Largest plausible differences from a rig's own zero pose, rad.
_NEAR_FOOT, _NEAR_TOE, _NEAR_OPEN, _NEAR_TWISTED = np.deg2rad([20.0, 30.0, 60.0, 110.0])
_SHORT = 0.02  # m; shorter vectors are too short to take a direction from
_FEW = 3  # frames of contact that make a measurement


class AxisFinder:
    """Finds canonical_from_source axes of every joint of one body.

    Attributes:
        axes: ``(22, 4)`` the result; identity for joints whose rotation follows from
            positions alone.
        problems: assumptions, one line each.
    """

    def __init__(self, body: Body, floor: Floor, rest: RestPose | None) -> None:
        self.axes = identity(len(JOINTS))
        self.problems: list[str] = []
        self._body = body
        self._floor = floor
        self._rest = rest
        self._matrices = to_matrix(body.rotations.swapaxes(0, 1)).swapaxes(0, 1)
        self._shape: Shape | None = None
        self._hips()
        self._chest()
        for side, sign in SIDES:
            self._thigh(side)
            self._foot(side)
            self._toe(side)
            self._arm(side, sign)
        self._open("Head", "Spine2", self._canonical("Spine2"))

    def _assumed(self, what: str, why: str) -> None:
        self.problems.append(remark("pose", f"{what} assumed: {why}"))

    def _local(self, joint: str, vectors: Array) -> Array:
        """World vectors ``(frames, 3)`` in the source axes of ``joint``."""
        matrices = self._matrices[:, INDEX[joint]]
        out: Array = np.einsum("fa,fab->fb", vectors, matrices)
        return out

    def _rigid(self, joint: str, child: str) -> Array:
        """Position (3,) of ``child`` in the source axes of ``joint``: constant in rigid rigs."""
        vectors = self._body.at(child) - self._body.at(joint)
        return center(self._local(joint, vectors))

    def _bone(self, joint: str, child: str) -> Array:
        return unit(self._body.at(child) - self._body.at(joint))

    def _set(self, joint: str, rotation: Array) -> None:
        self.axes[INDEX[joint]] = rotation

    def _canonical(self, joint: str) -> Array:
        """Canonical global rotation ``(frames, 4)`` of a joint whose axes are found."""
        j = INDEX[joint]
        return multiply(self._body.rotations[:, j], conjugate(self.axes[j]))

    def _source(self, joint: str, canonical: Array) -> Array:
        """A canonical direction (3,) in the source axes of ``joint``."""
        return rotate(conjugate(self.axes[INDEX[joint]]), canonical)

    def _hips(self) -> None:
        left, right = self._rigid("Hips", "LeftUpLeg"), self._rigid("Hips", "RightUpLeg")
        lateral = unit(left - right)
        spine = self._rigid("Hips", self._first_spine())
        up = unit(perpendicular(spine, lateral))
        forward = cross(lateral, up)
        width = float(np.linalg.norm(left - right))
        middle = (left + right) / 2
        found = recognize(
            np.array([middle @ forward, middle @ up]) / width,
            np.array([spine @ forward, spine @ up]) / width,
        )
        if found is not None:
            self._shape, turn = found
            # A known rig needs no help from a zero pose, which re-rigging may have changed.
            self._rest = None
            up = np.cos(turn) * up - np.sin(turn) * forward
        elif self._rest is not None:
            self._set("Hips", self._rest.rotation)
            return
        else:
            up = self._standing_up(lateral, up)
        self._set("Hips", frame(lateral, up, axes="yz"))

    def _first_spine(self) -> str:
        """The lowest spine joint that is not at the pelvis itself."""
        for joint in ("Spine", "Spine1"):
            bone = self._body.at(joint) - self._body.at("Hips")
            if self._body.present(joint) and np.median(np.linalg.norm(bone, axis=-1)) > _SHORT:
                return joint
        return "Spine2"

    def _standing_up(self, lateral: Array, default: Array) -> Array:
        """World up in pelvis axes over frames that stand upright; ``default`` if none does."""
        hips = self._body.at("Hips")
        feet = (self._body.at("LeftFoot") + self._body.at("RightFoot")) / 2
        upright = np.minimum(unit(hips - feet)[:, 2], self._bone("Hips", "Spine2")[:, 2])
        straight = np.minimum(*(
            np.sum(self._bone(s + "UpLeg", s + "Leg") * self._bone(s + "Leg", s + "Foot"), axis=-1)
            for s, _ in SIDES
        ))  # fmt: skip
        weight = np.clip((upright - 0.95) / 0.05, 0, 1) * np.clip((straight - 0.85) / 0.15, 0, 1)
        if weight.sum() < 1.0:
            self._assumed("pitch of the pelvis", "the clip never stands upright")
            return default
        up = np.average(self._matrices[:, INDEX["Hips"], 2], axis=0, weights=weight)
        return perpendicular(up, lateral)

    def _chest(self) -> None:
        if self._rest is not None:
            self._set("Spine2", self._rest.rotation)
            return
        both = all(self._body.present(s + "Shoulder") for s, _ in SIDES)
        part = "Shoulder" if both else "Arm"
        lateral = self._rigid("Spine2", "Left" + part) - self._rigid("Spine2", "Right" + part)
        if np.linalg.norm(lateral) < _SHORT:
            lateral = self._rigid("Spine2", "LeftArm") - self._rigid("Spine2", "RightArm")
        up = self._rigid("Spine2", "Neck") if self._body.present("Neck") else np.zeros(3)
        if np.linalg.norm(up) < _SHORT:
            below = next(j for j in ("Spine1", "Spine", "Hips") if self._body.present(j))
            up = -self._rigid("Spine2", below)
        self._set("Spine2", frame(lateral, up, axes="yz"))

    def _thigh(self, side: str) -> None:
        thigh, shin = (
            self._bone(side + "UpLeg", side + "Leg"),
            self._bone(side + "Leg", side + "Foot"),
        )

        def assumed() -> Array:
            hips = self._canonical("Hips")
            return rotate(multiply(between(rotate(hips, -_Z), thigh), hips), _Y)

        self._limb(side + "UpLeg", -thigh, cross(thigh, shin), assumed, axes="zy")

    def _arm(self, side: str, sign: float) -> None:
        arm, fore, hand = side + "Arm", side + "ForeArm", side + "Hand"
        upper = self._bone(arm, fore)
        lower = self._bone(fore, hand) if self._body.present(hand) else upper

        def assumed() -> Array:
            if self._rest is None:
                chest = self._canonical("Spine2")
                return rotate(multiply(between(rotate(chest, sign * _Y), upper), chest), _Z)
            # In a T-, A- or N-pose the arm is swung, not twisted, from the T-pose.
            at_rest = rotate(self._rest.rotation, unit(self._rest.bone(arm, fore)))
            swung = rotate(between(sign * _Y, at_rest), _Z)
            local = rotate(conjugate(self._rest.rotation), swung)
            return rotate(self._body.rotations[:, INDEX[arm]], local)

        self._limb(arm, sign * upper, -sign * cross(upper, lower), assumed, axes="yz")
        turns = self._canonical(arm)
        turns = multiply(between(rotate(turns, sign * _Y), lower), turns)
        self._open(hand, arm, turns, along=sign * _Y)

    def _limb(
        self, joint: str, bone: Array, hinge: Array, assumed: Callable[[], Array], *, axes: str
    ) -> None:
        """Find a limb's axes: along its bone, and about its hinge as far as the clip bends it.

        The hinge axis is the mean of the bends' cross products ``(frames, 3)`` in the
        limb's own axes, weighted by the squared sine of the bend (an axis is as
        uncertain as the inverse of its sine).
        """
        direction = center(self._local(joint, bone))
        sine = np.sqrt(np.sum(hinge * hinge, axis=-1))
        power = float(np.sum(sine * sine))
        total = np.sum(self._local(joint, hinge) * sine[:, None], axis=0)
        agree = float(np.linalg.norm(total)) / max(power, 1e-12)
        sure = _ramp(float(np.sqrt(power / len(sine))), _BEND) * _ramp(agree, _AGREE)
        axis = unit(total)
        if sure < 1.0:
            self._assumed(f"twist of {joint}", "the clip hardly bends it")
            guess = unit(self._local(joint, assumed()).mean(axis=0))
            axis = sure * axis + (1.0 - sure) * guess
        self._set(joint, frame(direction, axis, axes=axes))

    def _foot(self, side: str) -> None:
        foot, toe = side + "Foot", side + "Toe"
        if not self._body.present(toe):
            self._assumed(f"direction of {foot}", "the clip has no toe")
            if self._rest is not None and self._is_under_shin(side, self._rest.rotation):
                self._set(foot, self._rest.rotation)
            else:
                self._open(foot, side + "UpLeg", self._shin(side))
            return
        forward = unit(self._rigid(foot, toe))
        if self._rest is not None:
            up = rotate(conjugate(self._rest.rotation), _Z)
            self._set(foot, frame(cross(up, forward), up, axes="yz"))
            return
        flat = self._flat(side)
        measured = None
        if flat.sum() >= _FEW:
            measured = unit(center(self._matrices[flat, INDEX[foot], 2]))
        across = self._across(side, forward, measured)
        if self._shape is not None:
            drop = self._shape.foot
        elif measured is not None:
            drop = float(np.arcsin(np.clip(-measured @ forward, -1.0, 1.0)))
        else:
            drop = _DEFAULT_DROP
            self._assumed(f"pitch of {foot}", "it never stands flat")
        up = np.cos(drop) * cross(forward, across) - np.sin(drop) * forward
        self._set(foot, frame(across, up, axes="yz"))

    def _is_under_shin(self, side: str, axes: Array) -> bool:
        """Whether a foot of these axes has its sole below its shin on average."""
        turns = multiply(self._body.rotations[:, INDEX[side + "Foot"]], conjugate(axes))
        relative = mean_rotation(multiply(conjugate(self._shin(side)), turns))
        return bool(rotate(relative, _Z)[2] > 0.0)

    def _across(self, side: str, forward: Array, up: Array | None) -> Array:
        """The foot's lateral axis, square to ``forward``; all (3,) in the foot's source axes."""
        seen = (
            unit(cross(up, forward))
            if up is not None
            else self._local(side + "Foot", rotate(self._shin(side), _Y)).mean(axis=0)
        )
        # Rigs use one axis, or its opposite, for across in pelvis and foot alike.
        native = self._source("Hips", _Y)
        native = native if native @ seen > 0 else -native
        if abs(float(native @ forward)) < _SQUARE and native @ unit(seen) > np.cos(_NEAR_FOOT):
            seen = native
        return unit(perpendicular(seen, forward))

    def _flat(self, side: str) -> Array:
        out: Array = self._floor.flat[:, 0 if side == "Left" else 1]
        return out

    def _shin(self, side: str) -> Array:
        """Canonical rotation ``(frames, 4)`` of the shin: a hinge away from the thigh."""
        thigh = self._canonical(side + "UpLeg")
        return multiply(between(rotate(thigh, -_Z), self._bone(side + "Leg", side + "Foot")), thigh)

    def _toe(self, side: str) -> None:
        foot, toe = side + "Foot", side + "Toe"
        if not self._body.present(toe):
            return
        if self._rest is not None:
            self._set(toe, self.axes[INDEX[foot]])
            return
        flat = self._flat(side)
        relative = multiply(conjugate(self._canonical(foot)), self._body.rotations[:, INDEX[toe]])
        mean = mean_rotation(relative[flat] if flat.any() else relative)
        across, seen = self._source(foot, _Y), rotate(conjugate(mean), _Y)
        if across @ seen > np.cos(_NEAR_TOE):
            mean = frame(across, rotate(conjugate(mean), _Z), axes="yz")
        self._set(toe, mean)

    def _open(self, joint: str, parent: str, follow: Array, along: Array | None = None) -> None:
        """Axes of a joint that geometry leaves open.

        Zero local rotation means aligned with ``parent``, as rigs have it, if that is
        plausible over the clip; otherwise the joint is aligned with the rotations
        ``follow`` ``(frames, 4)`` on average. With ``along``, a canonical axis (3,),
        twists about it may be larger than swings, as those of forearms are.
        """
        if not self._body.present(joint):
            return
        relative = multiply(conjugate(follow), self._body.rotations[:, INDEX[joint]])
        mean = mean_rotation(relative)
        native = self.axes[INDEX[parent]]
        off = float(np.linalg.norm(log(multiply(mean, conjugate(native)))))
        near = off < _NEAR_OPEN
        if along is not None:
            swing = rotate(conjugate(mean), along) @ rotate(conjugate(native), along)
            near = swing > np.cos(_NEAR_OPEN) and off < _NEAR_TWISTED
        self._set(joint, native if near else mean)


def _ramp(value: float, ends: tuple[float, float]) -> float:
    """0 below the first end, 1 above the second, linear between."""
    return float(np.clip((value - ends[0]) / (ends[1] - ends[0]), 0.0, 1.0))
