"""Joint names of the skeleton families in use.

A family is written once, with ``{}`` in place of the side. Names compare without case, separators
and prefixes (``mixamorig:LeftUpLeg`` is ``leftupleg``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

__all__ = ["FAMILIES", "Family", "plain"]

_PREFIX = re.compile(r"^.*[:|]|^mixamorig\d*|^bip\d+|^[mf]_avg|^J_Bip|^DEF-", re.IGNORECASE)
_SEPARATORS = re.compile(r"[^a-z0-9]+")


@cache
def plain(name: str) -> str:
    """``name`` without prefix (namespace, ``mixamorig``, ``Bip01``), separators and case."""
    return _SEPARATORS.sub("", _PREFIX.sub("", name).lower())


@dataclass(frozen=True)
class Family:
    """How one family names the joints that the canonical skeleton has.

    Attributes:
        name: the family's name, as reported.
        sides: words for left and right in a name.
        hips: the pelvis joint.
        leg: thigh, shin, foot and, where the family has one, toe; ``{}`` is the side.
        arm: clavicle, upper arm, forearm, hand.
        spine: trunk joints from the pelvis up; the last is the chest.
        neck: neck joint.
        head: head joint.
    """

    name: str
    sides: tuple[str, str]
    hips: str
    leg: tuple[str, ...]
    arm: tuple[str, ...]
    spine: tuple[str, ...]
    neck: str = "Neck"
    head: str = "Head"

    @cache  # noqa: B019, families are few and live as long as the module
    def joints(self) -> dict[str, str]:
        """Canonical joint -> plain name in this family, without the spine."""
        out = {"Hips": self.hips, "Neck": self.neck, "Head": self.head}
        for side, word in zip(("Left", "Right"), self.sides, strict=True):
            # A family without toes leaves the last part out.
            for part, name in zip(("UpLeg", "Leg", "Foot", "Toe"), self.leg, strict=False):
                out[side + part] = name.format(word)
            for part, name in zip(("Shoulder", "Arm", "ForeArm", "Hand"), self.arm, strict=True):
                out[side + part] = name.format(word)
        return {canonical: plain(name) for canonical, name in out.items()}


_WORDS = ("Left", "Right")
_LETTERS = ("L", "R")
_MAYA_LEG = ("{}UpLeg", "{}Leg", "{}Foot", "{}ToeBase")
_MAYA_ARM = ("{}Shoulder", "{}Arm", "{}ForeArm", "{}Hand")
_SMPL_LEG = ("{}_Hip", "{}_Knee", "{}_Ankle", "{}_Foot")
_SMPL_ARM = ("{}_Collar", "{}_Shoulder", "{}_Elbow", "{}_Wrist")
_SPINES = ("Spine1", "Spine2", "Spine3")

FAMILIES: tuple[Family, ...] = (
    Family(
        "lafan1", _WORDS, "Hips", ("{}UpLeg", "{}Leg", "{}Foot", "{}Toe"), _MAYA_ARM,
        ("Spine", "Spine1", "Spine2"),
    ),
    Family(
        "bandai-namco", _LETTERS, "Hips",
        ("UpperLeg_{}", "LowerLeg_{}", "Foot_{}", "Toes_{}"),
        ("Shoulder_{}", "UpperArm_{}", "LowerArm_{}", "Hand_{}"), ("Spine", "Chest"),
    ),
    Family("cmu", _WORDS, "Hips", _MAYA_LEG, _MAYA_ARM, ("LowerBack", "Spine", "Spine1")),
    Family("mixamo", _WORDS, "Hips", _MAYA_LEG, _MAYA_ARM, ("Spine", "Spine1", "Spine2")),
    Family(
        "perception-neuron", _WORDS, "Hips", _MAYA_LEG[:3], _MAYA_ARM,
        ("Spine", "Spine1", "Spine2", "Spine3"),
    ),
    Family(
        "rokoko", _WORDS, "Hips", ("{}Thigh", "{}Shin", "{}Foot", "{}Toe"), _MAYA_ARM,
        ("Spine1", "Spine2", "Spine3", "Spine4"),
    ),
    Family(
        "xsens", _WORDS, "Hips", ("{}Hip", "{}Knee", "{}Ankle", "{}Toe"),
        ("{}Collar", "{}Shoulder", "{}Elbow", "{}Wrist"), ("Chest", "Chest2", "Chest3", "Chest4"),
    ),
    Family(
        "xsens-mvn", _WORDS, "Pelvis", ("{}UpperLeg", "{}LowerLeg", "{}Foot", "{}Toe"),
        ("{}Shoulder", "{}UpperArm", "{}ForeArm", "{}Hand"), ("L5", "L3", "T12", "T8"),
    ),
    Family("smpl", _LETTERS, "Pelvis", _SMPL_LEG, _SMPL_ARM, _SPINES),
    Family("smpl", _WORDS, "Pelvis", _SMPL_LEG, _SMPL_ARM, _SPINES),
    Family(
        "cmu-asf", _LETTERS, "root", ("{}femur", "{}tibia", "{}foot", "{}toes"),
        ("{}clavicle", "{}humerus", "{}radius", "{}wrist"), ("lowerback", "upperback", "thorax"),
        "lowerneck",
    ),
    Family(
        "daz", _LETTERS, "hip", ("{}Thigh", "{}Shin", "{}Foot"),
        ("{}Collar", "{}Shldr", "{}ForeArm", "{}Hand"), ("abdomen", "chest"),
    ),
    Family(
        "motive", _LETTERS, "Hip", ("{}Thigh", "{}Shin", "{}Foot", "{}Toe"),
        ("{}Shoulder", "{}UArm", "{}FArm", "{}Hand"), ("Ab", "Chest"),
    ),
    Family(
        "unity", _WORDS, "Hips", ("{}UpperLeg", "{}LowerLeg", "{}Foot", "{}Toes"),
        ("{}Shoulder", "{}UpperArm", "{}LowerArm", "{}Hand"), ("Spine", "Chest", "UpperChest"),
    ),
    Family(
        "vrm", _LETTERS, "C_Hips", ("{}_UpperLeg", "{}_LowerLeg", "{}_Foot", "{}_ToeBase"),
        ("{}_Shoulder", "{}_UpperArm", "{}_LowerArm", "{}_Hand"),
        ("C_Spine", "C_Chest", "C_UpperChest"), "C_Neck", "C_Head",
    ),
    Family(
        "unreal", _LETTERS, "pelvis", ("thigh_{}", "calf_{}", "foot_{}", "ball_{}"),
        ("clavicle_{}", "upperarm_{}", "lowerarm_{}", "hand_{}"),
        ("spine_01", "spine_02", "spine_03"), "neck_01",
    ),
    Family(
        "biped", _LETTERS, "Pelvis", ("{} Thigh", "{} Calf", "{} Foot", "{} Toe0"),
        ("{} Clavicle", "{} UpperArm", "{} Forearm", "{} Hand"), ("Spine", "Spine1", "Spine2"),
    ),
    Family(
        "poser", _WORDS, "Hips", ("{}UpLeg", "{}LowLeg", "{}Foot"),
        ("{}Collar", "{}UpArm", "{}LowArm", "{}Hand"), ("Chest",),
    ),
)  # fmt: skip
"""Known families. 100STYLE is recorded with, and named like, Xsens."""
