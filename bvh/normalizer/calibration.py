"""From source joint axes to canonical ones, found from geometry alone."""

from __future__ import annotations

import numpy as np

from bvh.normalizer.body import INDEX, Body
from bvh.normalizer.contacts import Contacts
from bvh.normalizer.geometry import frame, mean_rotation, perpendicular, unit
from bvh.normalizer.shapes import Shape, recognize
from bvh.rotations import Array, between, conjugate, identity, multiply, rotate
from bvh.skeleton import JOINTS

__all__ = ["calibrate_frames"]

_SIDES = (("Left", 1.0), ("Right", -1.0))
_Y = np.array([0.0, 1.0, 0.0])
_Z = np.array([0.0, 0.0, 1.0])
_DEFAULT_DROP = 0.33  # rad; toe below ankle of a flat foot
_WEAK, _STRONG = 0.03, 0.10  # mean sine of a hinge's bend: below it is noise, above it is sure


def calibrate_frames(body: Body, contacts: Contacts) -> Array:
    """Constant rotations ``(22, 4)``: canonical_from_source axes of each joint.

    The canonical rotation of joint j is ``S_j C_j^-1`` with its source rotation S_j.
    Joints whose rotation follows from positions alone keep the identity.
    """
    return _Calibrator(body, contacts).run()


class _Calibrator:
    def __init__(self, body: Body, contacts: Contacts) -> None:
        self.body = body
        self.contacts = contacts
        self.out = identity(len(JOINTS))

    def run(self) -> Array:
        shape = self._hips()
        self._chest()
        for side, sign in _SIDES:
            self._leg(side)
            self._foot(side, shape)
            self._arm(side, sign)
        self._follow("Head", "Spine2", slice(None))
        return self.out

    def local(self, joint: str, vectors: Array) -> Array:
        """World vectors ``(frames, 3)`` in the source axes of ``joint``."""
        return rotate(conjugate(self.body.rotations[:, INDEX[joint]]), vectors)

    def canonical(self, joint: str) -> Array:
        """Canonical global rotation ``(frames, 4)`` of an already calibrated joint."""
        j = INDEX[joint]
        return multiply(self.body.rotations[:, j], conjugate(self.out[j]))

    def rigid(self, joint: str, child: str) -> Array:
        """Position (3,) of ``child`` in the source axes of ``joint``: constant, so its median."""
        vectors = self.body.at(child) - self.body.at(joint)
        out: Array = np.median(self.local(joint, vectors), axis=0)
        return out

    def set(self, joint: str, rotation: Array) -> None:
        self.out[INDEX[joint]] = rotation

    def _hips(self) -> Shape | None:
        left, right = self.rigid("Hips", "LeftUpLeg"), self.rigid("Hips", "RightUpLeg")
        above = "Spine" if self.body.present("Spine") else "Spine2"
        spine = self.rigid("Hips", above)
        lateral = unit(left - right)
        up = unit(perpendicular(spine, lateral))
        forward = np.cross(lateral, up)
        width = float(np.linalg.norm(left - right))
        middle = (left + right) / 2
        found = recognize(
            np.array([middle @ forward, middle @ up]) / width,
            np.array([spine @ forward, spine @ up]) / width,
        )
        if found is not None:
            shape, turn = found
            up = np.cos(turn) * up - np.sin(turn) * forward
            self.set("Hips", frame(lateral, up, axes="yz"))
            return shape
        standing = self._standing_up(lateral, up)
        self.set("Hips", frame(lateral, standing, axes="yz"))
        return None

    def _standing_up(self, lateral: Array, default: Array) -> Array:
        """World up in pelvis axes over frames that stand upright; ``default`` if none does."""
        body = self.body
        hips = body.at("Hips")
        feet = (body.at("LeftFoot") + body.at("RightFoot")) / 2
        legs = unit(hips - feet)[:, 2]
        trunk = unit(body.at("Spine2") - hips)[:, 2]
        straight = np.ones(len(hips))
        for side, _ in _SIDES:
            thigh = unit(body.at(side + "UpLeg") - body.at(side + "Leg"))
            shin = unit(body.at(side + "Leg") - body.at(side + "Foot"))
            straight = np.minimum(straight, np.sum(thigh * shin, axis=-1))
        weight = np.clip((np.minimum(legs, trunk) - 0.95) / 0.05, 0, 1)
        weight = weight * np.clip((straight - 0.85) / 0.15, 0, 1)
        if weight.sum() < 1.0:
            return default
        ups = self.local("Hips", np.broadcast_to(_Z, (len(hips), 3)))
        return perpendicular(np.average(ups, axis=0, weights=weight), lateral)

    def _chest(self) -> None:
        body = self.body
        ends = [s + ("Shoulder" if body.present(s + "Shoulder") else "Arm") for s, _ in _SIDES]
        lateral = self.rigid("Spine2", ends[0]) - self.rigid("Spine2", ends[1])
        if np.linalg.norm(lateral) < 0.02:
            lateral = self.rigid("Spine2", "LeftArm") - self.rigid("Spine2", "RightArm")
        up = self.rigid("Spine2", "Neck") if body.present("Neck") else np.zeros(3)
        if np.linalg.norm(up) < 0.02:
            below = next(j for j in ("Spine1", "Spine", "Hips") if body.present(j))
            up = -self.rigid("Spine2", below)
        self.set("Spine2", frame(lateral, up, axes="yz"))

    def _leg(self, side: str) -> None:
        body = self.body
        thigh = body.at(side + "Leg") - body.at(side + "UpLeg")
        shin = body.at(side + "Foot") - body.at(side + "Leg")
        hinge = np.cross(unit(thigh), unit(shin))
        hips = self.canonical("Hips")
        swung = multiply(between(rotate(hips, -_Z), thigh), hips)
        self._bone(side + "UpLeg", -thigh, hinge, rotate(swung, _Y), axes="zy")
        upper = self.canonical(side + "UpLeg")
        self._bone(side + "Leg", -shin, hinge, rotate(upper, _Y), axes="zy")

    def _arm(self, side: str, sign: float) -> None:
        body = self.body
        upper = body.at(side + "ForeArm") - body.at(side + "Arm")
        chest = self.canonical("Spine2")
        swung = multiply(between(rotate(chest, sign * _Y), upper), chest)
        hand = side + "Hand"
        fore = body.at(hand) - body.at(side + "ForeArm") if body.present(hand) else upper
        hinge = -sign * np.cross(unit(upper), unit(fore))
        self._bone(side + "Arm", sign * upper, hinge, rotate(swung, _Z), axes="yz")
        above = self.canonical(side + "Arm")
        self._bone(side + "ForeArm", sign * fore, hinge, rotate(above, _Z), axes="yz")
        self._follow(hand, side + "ForeArm", slice(None))

    def _bone(self, joint: str, bone: Array, hinge: Array, fallback: Array, *, axes: str) -> None:
        """Calibrate a limb bone: its direction, then its hinge as far as the clip bends it."""
        direction = np.median(self.local(joint, bone), axis=0)
        measured = self.local(joint, hinge).mean(axis=0)
        bend = float(np.linalg.norm(measured))
        sure = np.clip((bend - _WEAK) / (_STRONG - _WEAK), 0.0, 1.0)
        assumed = unit(self.local(joint, fallback).mean(axis=0))
        axis = sure * measured / max(bend, 1e-9) + (1.0 - sure) * assumed
        self.set(joint, frame(direction, axis, axes=axes))

    def _foot(self, side: str, shape: Shape | None) -> None:
        foot, toe = side + "Foot", side + "Toe"
        flat = self.contacts.flat[:, 0 if side == "Left" else 1]
        if not self.body.present(toe):
            self._follow(foot, side + "Leg", flat)
            return
        toward = self.rigid(foot, toe)
        ups = self.local(foot, np.broadcast_to(_Z, (len(flat), 3)))
        if flat.sum() >= 3:
            up = np.median(ups[flat], axis=0)
        else:
            # Across the foot like the shin, and pitched as feet usually are.
            across = self.local(foot, rotate(self.canonical(side + "Leg"), _Y)).mean(axis=0)
            up = np.cross(toward, across)
        across = unit(np.cross(up, toward))
        drop = self._drop(up, toward, sure=bool(flat.sum() >= 3), shape=shape)
        forward = unit(toward)
        raised = np.cross(forward, across)
        up = np.cos(drop) * raised - np.sin(drop) * forward
        self.set(foot, frame(across, up, axes="yz"))
        self._follow(toe, foot, flat if flat.any() else slice(None))

    @staticmethod
    def _drop(up: Array, toward: Array, *, sure: bool, shape: Shape | None) -> float:
        """Angle of the toe below the horizontal of a flat foot (rad)."""
        if shape is not None:
            return shape.foot
        return float(np.arcsin(np.clip(-unit(up) @ unit(toward), -1, 1))) if sure else _DEFAULT_DROP

    def _follow(self, joint: str, other: str, frames: slice | Array) -> None:
        """Calibrate a joint that geometry leaves open: on average it is aligned with ``other``."""
        if self.body.present(joint):
            relative = multiply(
                conjugate(self.canonical(other)), self.body.rotations[:, INDEX[joint]]
            )[frames]
            if len(relative):
                self.set(joint, mean_rotation(relative))
