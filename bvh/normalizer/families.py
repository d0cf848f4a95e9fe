"""Joint names of the skeleton families in use.

A family is written once with ``{}`` where the side goes. Names compare without
case, separators and namespace prefixes (``mixamorig:LeftUpLeg`` is ``leftupleg``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["FAMILIES", "Family", "plain"]

_PREFIX = re.compile(r"^.*[:|]|^mixamorig\d*[_ ]?|^bip\d+[_ ]?", re.IGNORECASE)
_SEPARATORS = re.compile(r"[^a-z0-9]+")


def plain(name: str) -> str:
    """``name`` without namespace prefix, separators and case."""
    return _SEPARATORS.sub("", _PREFIX.sub("", name).lower())


@dataclass(frozen=True)
class Family:
    """How one family names the joints that the canonical skeleton has.

    Attributes:
        name: the family's name, as reported.
        sides: what stands for left and right in a name.
        hips: the pelvis joint.
        leg: thigh, shin, foot, toe; ``{}`` is the side.
        arm: clavicle, upper arm, forearm, hand.
        spine: trunk joints from the pelvis up; the last is the chest.
        neck: neck joint.
        head: head joint.
    """

    name: str
    sides: tuple[str, str]
    hips: str
    leg: tuple[str, str, str, str]
    arm: tuple[str, str, str, str]
    spine: tuple[str, ...]
    neck: str = "Neck"
    head: str = "Head"

    def joints(self) -> dict[str, str]:
        """Canonical joint -> plain name in this family, without the spine."""
        out = {"Hips": self.hips, "Neck": self.neck, "Head": self.head}
        for side, word in zip(("Left", "Right"), self.sides, strict=True):
            for part, name in zip(("UpLeg", "Leg", "Foot", "Toe"), self.leg, strict=True):
                out[side + part] = name.format(word)
            for part, name in zip(("Shoulder", "Arm", "ForeArm", "Hand"), self.arm, strict=True):
                out[side + part] = name.format(word)
        return {canonical: plain(name) for canonical, name in out.items()}


_WORDS = ("Left", "Right")
_LETTERS = ("L", "R")
_MAYA_LEG = ("{}UpLeg", "{}Leg", "{}Foot", "{}ToeBase")
_MAYA_ARM = ("{}Shoulder", "{}Arm", "{}ForeArm", "{}Hand")
_XSENS_LEG = ("{}Hip", "{}Knee", "{}Ankle", "{}Toe")
_XSENS_ARM = ("{}Collar", "{}Shoulder", "{}Elbow", "{}Wrist")
_CHESTS = ("Chest", "Chest2", "Chest3", "Chest4")

FAMILIES: tuple[Family, ...] = (
    Family(
        "lafan1", _WORDS, "Hips", ("{}UpLeg", "{}Leg", "{}Foot", "{}Toe"), _MAYA_ARM,
        ("Spine", "Spine1", "Spine2"),
    ),
    Family(
        "bandai-namco", _LETTERS, "Hips",
        ("UpperLeg_{}", "LowerLeg_{}", "Foot_{}", "Toes_{}"),
        ("Shoulder_{}", "UpperArm_{}", "LowerArm_{}", "Hand_{}"),
        ("Spine", "Chest"),
    ),
    Family("cmu", _WORDS, "Hips", _MAYA_LEG, _MAYA_ARM, ("LowerBack", "Spine", "Spine1")),
    Family("mixamo", _WORDS, "Hips", _MAYA_LEG, _MAYA_ARM, ("Spine", "Spine1", "Spine2")),
    Family(
        "perception-neuron", _WORDS, "Hips", _MAYA_LEG, _MAYA_ARM,
        ("Spine", "Spine1", "Spine2", "Spine3"),
    ),
    Family(
        "rokoko", _WORDS, "Hips", ("{}Thigh", "{}Shin", "{}Foot", "{}Toe"), _MAYA_ARM,
        ("Spine1", "Spine2", "Spine3", "Spine4"),
    ),
    Family("xsens", _WORDS, "Hips", _XSENS_LEG, _XSENS_ARM, _CHESTS),
    Family(
        "xsens-mvn", _WORDS, "Pelvis",
        ("{}UpperLeg", "{}LowerLeg", "{}Foot", "{}Toe"),
        ("{}Shoulder", "{}UpperArm", "{}ForeArm", "{}Hand"),
        ("L5", "L3", "T12", "T8"),
    ),
    Family(
        "smpl", _LETTERS, "Pelvis", ("{}_Hip", "{}_Knee", "{}_Ankle", "{}_Foot"),
        ("{}_Collar", "{}_Shoulder", "{}_Elbow", "{}_Wrist"), ("Spine1", "Spine2", "Spine3"),
    ),
    Family(
        "smpl", _WORDS, "Pelvis", ("{}_Hip", "{}_Knee", "{}_Ankle", "{}_Foot"),
        ("{}_Collar", "{}_Shoulder", "{}_Elbow", "{}_Wrist"), ("Spine1", "Spine2", "Spine3"),
    ),
)  # fmt: skip
"""Known families; 100STYLE is recorded with, and named like, Xsens."""
