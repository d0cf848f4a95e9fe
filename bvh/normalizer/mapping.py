"""The map from canonical joints to source joints."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bvh.atomic_write import read_short
from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.forward_kinematics import forward_kinematics
from bvh.normalizer.families import FAMILIES, Family, plain
from bvh.normalizer.topology import map_by_topology
from bvh.normalizer.tree import common_ancestor, path, spine_joints
from bvh.normalizer.words import map_by_words, without_numbers
from bvh.skeleton import JOINTS, PARENTS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["REQUIRED", "SIDES", "JointMap", "map_joints", "read_mapping"]

SIDES: tuple[tuple[str, float], ...] = (("Left", 1.0), ("Right", -1.0))
"""Side and the sign of its lateral axis (+Y is left)."""

REQUIRED: tuple[str, ...] = (
    "Hips",
    *(s + p for s in ("Left", "Right") for p in ("UpLeg", "Leg", "Foot", "Arm", "ForeArm")),
    "Spine2",
)
"""Canonical joints without which a clip cannot be normalised; others are filled in."""

_ALIKE = 0.45  # least ratio of thigh and shin, upper arm and forearm
_TIPS = ("Head", "LeftHand", "RightHand", "LeftToe", "RightToe")


@dataclass(frozen=True)
class JointMap:
    """Canonical joints found in a clip.

    Attributes:
        joints: canonical name -> index of the source joint.
        tips: canonical name -> index of the source joint whose ``End Site`` replaces a missing
            joint.
        family: family the names belong to, ``"words"`` (found by the words in the names),
            ``"unknown"`` (found by topology) or ``"custom"``.
        confidence: 0 to 1; for a family the share of its joints that are there.
    """

    joints: dict[str, int]
    tips: dict[str, int] = field(default_factory=dict)
    family: str = "unknown"
    confidence: float = 1.0

    def names(self, clip: Clip) -> dict[str, str]:
        """Canonical name -> source name; an ``End Site`` is named after its joint."""
        found = {c: clip.names[j] for c, j in self.joints.items()}
        found |= {c: f"{clip.names[j]} End Site" for c, j in self.tips.items()}
        return {c: found[c] for c in JOINTS if c in found}

    def swapped(self) -> JointMap:
        """The same map with left and right exchanged."""

        def other(joint: str) -> str:
            if joint.startswith("Left"):
                return "Right" + joint[4:]
            return "Left" + joint[5:] if joint.startswith("Right") else joint

        return JointMap(
            joints={other(c): j for c, j in self.joints.items()},
            tips={other(c): j for c, j in self.tips.items()},
            family=self.family,
            confidence=self.confidence,
        )


def read_mapping(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read a mapping file: canonical joint = source joint, as TOML or JSON (by suffix).

    Raises:
        BVHError: the file is missing, is neither, or holds anything but text.
    """
    path = Path(path)
    text = read_short(path)
    try:
        data: Any = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise BVHError(f"{path}: not a mapping file in TOML or JSON ({error})") from None
    if not isinstance(data, dict) or not all(isinstance(v, str) for v in data.values()):
        raise BVHError(f'{path}: expected lines like LeftUpLeg = "source joint"')
    return {str(k): str(v) for k, v in data.items()}


def map_joints(
    clip: Clip, mapping: Mapping[str, str] | str | os.PathLike[str] | None = None
) -> JointMap:
    """Find the canonical joints in ``clip``: by given names, known names, or topology.

    Args:
        clip: any humanoid clip.
        mapping: canonical joint -> source joint, or a file for :func:`read_mapping`.
            It overrides automatic matches; ``""`` means the source has no such joint.

    Raises:
        BVHError: the clip is not recognised as a humanoid, or ``mapping`` names a joint that does
            not exist.
    """
    if isinstance(mapping, str | os.PathLike):
        mapping = read_mapping(mapping)
    found = _by_family_names(clip) or _by_shared_names(clip) or _by_topology(clip)
    if mapping:
        found = _custom(clip, mapping, found)
    missing = [r for r in REQUIRED if found is None or r not in found.joints]
    if found is None or missing:
        names = ", ".join(clip.names[:8]) + ("…" if len(clip.names) > 8 else "")
        what = "no humanoid skeleton" if found is None else f"no {', '.join(missing)}"
        raise BVHError(
            f"{clip.name}: {what} found among {len(clip.names)} joints ({names}); "
            "name them in a mapping (canonical joint = source joint)"
        )
    return _with_tips(clip, found)


def _by_topology(clip: Clip) -> JointMap | None:
    found = map_by_topology(clip)
    if found is None:
        return None
    joints, confidence = found
    return JointMap(_in_order(joints), family="unknown", confidence=confidence)


def _by_words(clip: Clip) -> JointMap | None:
    joints = map_by_words(clip)
    if joints is None or not _has_limbs(clip, joints):
        return None
    if "Head" not in joints and (found := map_by_topology(clip)) is not None:
        joints |= {j: found[0][j] for j in ("Neck", "Head") if j in found[0]}
    return JointMap(_in_order(joints), family="words", confidence=0.8)


def _has_limbs(clip: Clip, joints: Mapping[str, int]) -> bool:
    """Whether thigh and shin, upper arm and forearm are two bones of about the same length."""
    if clip.frames == 0 or not np.isfinite(clip.positions[0]).all():
        return False
    at = forward_kinematics(clip.rotations[0], clip.positions[0], clip.parents)[1]
    for side, _ in SIDES:
        for a, b, c in (("UpLeg", "Leg", "Foot"), ("Arm", "ForeArm", "Hand")):
            if side + c in joints:
                first, second, third = (at[joints[side + part]] for part in (a, b, c))
                bones = np.linalg.norm(second - first), np.linalg.norm(third - second)
                if min(bones) <= _ALIKE * max(bones):
                    return False
    return True


def _by_family_names(clip: Clip) -> JointMap | None:
    names = _first([plain(name) for name in clip.names])
    found = [m for family in FAMILIES if (m := _by_family(clip, names, family))]
    return max(found, key=lambda m: m.confidence, default=None)


def _by_shared_names(clip: Clip) -> JointMap | None:
    """By a family's names within the names, or by words, whichever finds more of the body."""
    plains = [plain(name) for name in without_numbers(clip.names)]
    stripped = ((family, _first(_without_affixes(plains, family))) for family in FAMILIES)
    found = [m for family, names in stripped if (m := _by_family(clip, names, family))]
    found.sort(key=lambda m: -m.confidence)
    if (words := _by_words(clip)) is not None:
        found.append(words)
    return max(found, key=lambda m: len(m.joints), default=None)


def _first(names: Sequence[str]) -> dict[str, int]:
    """Name -> index of the first joint that has it."""
    out: dict[str, int] = {}
    for index, name in enumerate(names):
        out.setdefault(name, index)
    return out


def _without_affixes(names: Sequence[str], family: Family) -> list[str]:
    """Names without the prefix and suffix that most of the family's names have in them."""
    affixes: Counter[tuple[str, str]] = Counter()
    for wanted in family.joints().values():
        around = (name.partition(wanted) for name in names if wanted in name)
        affixes.update({(before, behind) for before, _, behind in around})
    if not affixes:
        return list(names)
    (before, behind), _ = affixes.most_common(1)[0]
    end = -len(behind) or None
    return [
        name[len(before) : end] if name.startswith(before) and name.endswith(behind) else ""
        for name in names
    ]


def _by_family(clip: Clip, names: dict[str, int], family: Family) -> JointMap | None:
    wanted = family.joints()
    joints = {canonical: names[n] for canonical, n in wanted.items() if n in names}
    if any(r not in joints for r in REQUIRED if r != "Spine2"):
        return None
    joints["Hips"] = _where_legs_and_trunk_meet(clip, joints)
    chest = common_ancestor(clip.parents, joints["LeftArm"], joints["RightArm"])
    trunk = path(clip.parents, joints["Hips"], chest) if chest is not None else []
    if not trunk:
        return None
    spine = [names[plain(n)] for n in family.spine if names.get(plain(n)) in trunk]
    joints |= spine_joints(trunk, spine)
    count = sum(n in names for n in wanted.values()) + len(spine)
    confidence = count / (len(wanted) + len(family.spine))
    return JointMap(_in_order(joints), family=family.name, confidence=confidence)


def _where_legs_and_trunk_meet(clip: Clip, joints: Mapping[str, int]) -> int:
    """The joint named after the hips, or one below it that still carries legs and arms.

    In some files a joint on the floor below the body has that name.
    """
    hips: int | None = joints["LeftUpLeg"]
    for limb in ("RightUpLeg", "LeftArm", "RightArm"):
        if hips is not None:
            hips = common_ancestor(clip.parents, hips, joints[limb])
    named = joints["Hips"]
    return hips if hips is not None and path(clip.parents, named, hips) else named


def _custom(clip: Clip, mapping: Mapping[str, str], found: JointMap | None) -> JointMap:
    joints = dict(found.joints) if found else {}
    for canonical, name in mapping.items():
        if canonical not in JOINTS:
            raise BVHError(
                f"mapping: no canonical joint {canonical!r}; choose from {', '.join(JOINTS)}"
            )
        if not name:
            joints.pop(canonical, None)
        elif name in clip.names:
            joints[canonical] = clip.names.index(name)
        else:
            raise BVHError(
                f"{clip.name}: mapping wants joint {name!r} for {canonical}, "
                f"but there are only {', '.join(clip.names)}"
            )
    return JointMap(_in_order(joints), family="custom")


def _with_tips(clip: Clip, found: JointMap) -> JointMap:
    """Use ``End Site``s for missing joints at the ends of limbs."""
    tips: dict[str, int] = {}
    for tip in _TIPS:
        parent = found.joints.get(JOINTS[PARENTS[JOINTS.index(tip)]])
        if tip not in found.joints and parent is not None:
            site = clip.end_sites.get(parent)
            if site is not None and float(np.linalg.norm(site)) > 0.0:
                tips[tip] = parent
    return JointMap(found.joints, tips, found.family, found.confidence)


def _in_order(joints: Mapping[str, int]) -> dict[str, int]:
    return {j: joints[j] for j in JOINTS if j in joints}
