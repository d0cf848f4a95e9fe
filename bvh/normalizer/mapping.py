"""Which source joint is which canonical joint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.normalizer.families import FAMILIES, Family, plain
from bvh.skeleton import JOINTS

__all__ = ["REQUIRED", "JointMap", "map_joints"]

REQUIRED: tuple[str, ...] = (
    "Hips",
    *(s + p for s in ("Left", "Right") for p in ("UpLeg", "Leg", "Foot", "Arm", "ForeArm")),
    "Spine2",
)
"""Canonical joints without which a clip cannot be normalised; others are filled in."""


@dataclass(frozen=True)
class JointMap:
    """Canonical joints found in a clip.

    Attributes:
        joints: canonical name -> index of the source joint.
        family: family the names belong to, ``"unknown"`` or ``"custom"``.
        confidence: 0 to 1, share of the family's joints that were found.
    """

    joints: dict[str, int]
    family: str
    confidence: float

    def __contains__(self, canonical: str) -> bool:
        return canonical in self.joints


def map_joints(clip: Clip, mapping: Mapping[str, str] | None = None) -> JointMap:
    """Find the canonical joints in ``clip``.

    Args:
        clip: any humanoid clip.
        mapping: canonical joint -> source joint, which replaces the search; what it
            leaves out counts as missing.

    Raises:
        BVHError: the clip is no humanoid this can recognise, or ``mapping`` names a
            joint that is not there.
    """
    if mapping is not None:
        return _custom(clip, mapping)
    names = _index(clip)
    best: JointMap | None = None
    for family in FAMILIES:
        found = _by_family(clip, names, family)
        if found and (best is None or found.confidence > best.confidence):
            best = found
    if best is None:
        raise BVHError(
            f"{clip.name}: not a humanoid skeleton I know (joints: {', '.join(clip.names[:8])}…); "
            "give mapping={canonical joint: source joint}"
        )
    return best


def _index(clip: Clip) -> dict[str, int]:
    out: dict[str, int] = {}
    for index, name in enumerate(clip.names):
        out.setdefault(plain(name), index)
    return out


def _by_family(clip: Clip, names: dict[str, int], family: Family) -> JointMap | None:
    wanted = family.joints()
    joints = {canonical: names[n] for canonical, n in wanted.items() if n in names}
    chest = _common_ancestor(clip, joints.get("LeftArm"), joints.get("RightArm"))
    if chest is None or "Hips" not in joints:
        return None
    trunk = _path(clip, joints["Hips"], chest)
    if not trunk:
        return None
    spine = [names[plain(n)] for n in family.spine if names.get(plain(n)) in trunk]
    joints |= _spine(clip, trunk, spine)
    if any(r not in joints for r in REQUIRED):
        return None
    expected = len(wanted) + len(family.spine)
    found = sum(n in names for n in wanted.values()) + len(spine)
    return JointMap({j: joints[j] for j in JOINTS if j in joints}, family.name, found / expected)


def _custom(clip: Clip, mapping: Mapping[str, str]) -> JointMap:
    joints: dict[str, int] = {}
    for canonical, name in mapping.items():
        if canonical not in JOINTS:
            raise BVHError(
                f"mapping: no canonical joint {canonical!r}; choose from {', '.join(JOINTS)}"
            )
        if name not in clip.names:
            raise BVHError(
                f"{clip.name}: mapping wants {name!r} for {canonical}, "
                f"but the joints are {', '.join(clip.names)}"
            )
        joints[canonical] = clip.names.index(name)
    missing = [r for r in REQUIRED if r not in joints]
    if missing:
        raise BVHError(f"{clip.name}: mapping lacks {', '.join(missing)}")
    return JointMap({j: joints[j] for j in JOINTS if j in joints}, "custom", 1.0)


def _ancestors(clip: Clip, joint: int) -> list[int]:
    out = [joint]
    while clip.parents[out[-1]] >= 0:
        out.append(clip.parents[out[-1]])
    return out


def _common_ancestor(clip: Clip, a: int | None, b: int | None) -> int | None:
    if a is None or b is None:
        return None
    above = set(_ancestors(clip, b))
    return next((j for j in _ancestors(clip, a) if j in above), None)


def _path(clip: Clip, top: int, bottom: int) -> list[int]:
    """Joints below ``top`` down to ``bottom``, both included save ``top``; empty if unrelated."""
    above = _ancestors(clip, bottom)
    return above[: above.index(top)][::-1] if top in above else []


def _spine(clip: Clip, trunk: list[int], named: list[int]) -> dict[str, int]:
    """Three spine joints out of the joints between hips (left out) and chest (the last)."""
    chest = trunk[-1]
    if chest not in named:
        named = [*named, chest]
    # Names decide which of many joints count: helpers and added joints have none.
    chain = named if len(named) >= 3 else trunk
    if len(chain) == 1:
        return {"Spine2": chest}
    if len(chain) == 2:
        return {"Spine": chain[0], "Spine2": chest}
    return {"Spine": chain[0], "Spine1": chain[len(chain) // 2], "Spine2": chest}
