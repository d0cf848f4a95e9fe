"""Find the limbs of a rig of no known family by the words in its joints' names.

Very different rigs still say ``thigh``, ``upperleg01`` or ``Upper_Leg``, and mark the side by a
word or a letter. Hips and chest need no name: the legs' chains meet the arms' at the hips, and the
arms' chains meet each other at the chest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bvh.clip import Clip
from bvh.normalizer.tree import ancestors, common_ancestor, path, spine_joints

__all__ = ["map_by_words", "without_numbers"]

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SIDES = {"l": "Left", "left": "Left", "r": "Right", "right": "Right"}
_NUMBERED = (re.compile(r"[_.\-: ]\d+$"), re.compile(r"^\d+[_.\-: ]"))
_MOST = 0.8  # share of names; a part that so many have in common tells no joint from another
_COMMON = 0.5

# Words for each joint, the surest first. A word that may mean two joints comes last in both; it
# goes to the joint that has no surer word.
_PARTS: dict[str, tuple[str, ...]] = {
    "UpLeg": ("thigh", "upleg", "upperleg", "legupper", "uleg", "femur", "hip"),
    "Leg": ("shin", "calf", "lowerleg", "lowleg", "leglower", "lleg", "tibia", "knee", "leg"),
    "Foot": ("ankle", "foot"),
    "Toe": ("toebase", "toe", "toes", "ball", "foot"),
    "Arm": ("upperarm", "uparm", "armupper", "uarm", "humerus", "shldr", "arm", "shoulder"),
    "ForeArm": ("forearm", "lowerarm", "lowarm", "armlower", "farm", "radius", "elbow"),
    "Hand": ("hand", "wrist"),
    "Shoulder": ("clavicle", "collar", "collarbone", "scapula", "shoulder"),
}
_NEEDED = ("UpLeg", "Leg", "Foot", "Arm", "ForeArm")
_TRUNK = ("spine", "chest", "waist", "abdomen", "back", "torso", "thorax")


@dataclass(frozen=True)
class _Name:
    """A joint's name without numbers and shared parts: its side and its words."""

    side: str
    core: str


def without_numbers(names: Sequence[str]) -> list[str]:
    """Names without a leading or trailing number, if nearly all of them have one."""
    out = list(names)
    for pattern in _NUMBERED:
        found = [pattern.search(name) for name in out]
        if sum(match is not None for match in found) >= _MOST * len(out):
            out = [pattern.sub("", name) or name for name in out]
    return out


def map_by_words(clip: Clip) -> dict[str, int] | None:
    """Canonical joint -> source joint; None if the names do not show legs and arms."""
    names = _parsed(clip.names)
    depth = [0] * len(names)
    for joint, parent in enumerate(clip.parents):
        depth[joint] = depth[parent] + 1 if parent >= 0 else 0
    out: dict[str, int] = {}
    for side in ("Left", "Right"):
        leg = _limb(clip, names, depth, side, ("UpLeg", "Leg", "Foot", "Toe"))
        arm = _limb(clip, names, depth, side, ("Arm", "ForeArm", "Hand"))
        if not leg or not arm:
            return None
        collars = set(ancestors(clip.parents, arm["Arm"])[1:])
        collar = _pick(names, depth, side, "Shoulder", collars)
        out |= {side + part: joint for part, joint in (leg | arm).items()}
        if collar is not None:
            out[side + "Shoulder"] = collar
    hips = common_ancestor(clip.parents, out["LeftUpLeg"], out["RightUpLeg"])
    chest = common_ancestor(clip.parents, out["LeftArm"], out["RightArm"])
    if hips is None or chest is None:
        return None
    lowest = common_ancestor(clip.parents, hips, chest)
    trunk = [] if lowest is None else path(clip.parents, lowest, chest)
    if lowest is None or not trunk:
        return None
    out["Hips"] = lowest
    out |= spine_joints(trunk, [j for j in trunk if names[j].core.startswith(_TRUNK)])
    return out | _neck_and_head(clip, names, depth, chest)


def _parsed(names: Sequence[str]) -> list[_Name]:
    split = [[w.lower() for w in _WORD.findall(name)] for name in without_numbers(names)]
    count: dict[str, int] = {}
    for words in split:
        for word in set(words):
            count[word] = count.get(word, 0) + 1
    common = {w for w, n in count.items() if n > _COMMON * len(names) and w not in _SIDES}
    return [_name([w for w in words if w not in common] or words) for words in split]


def _name(words: list[str]) -> _Name:
    sides = {_SIDES[w] for w in words if w in _SIDES}
    core = "".join(w for w in words if w not in _SIDES)
    if not sides:
        for mark in sorted(_SIDES, key=len, reverse=True):
            # The side is written into the word: lthigh, leftupleg.
            if core.startswith(mark) and any(core[len(mark) :] in p for p in _PARTS.values()):
                return _Name(_SIDES[mark], core[len(mark) :])
    return _Name(sides.pop() if len(sides) == 1 else "", core)


def _limb(
    clip: Clip, names: list[_Name], depth: list[int], side: str, parts: tuple[str, ...]
) -> dict[str, int]:
    """The joints of a limb, each below the one before; empty without its two bones.

    The last part is left out where it has no name.
    """
    out: dict[str, int] = {}
    below: set[int] | None = None
    for part in parts:
        joint = _pick(names, depth, side, part, below)
        if joint is None:
            return out if all(p in out for p in parts if p in _NEEDED) else {}
        out[part] = joint
        below = _under(clip.parents, joint)
    return out


def _pick(
    names: list[_Name], depth: list[int], side: str, part: str, among: set[int] | None
) -> int | None:
    """The joint with the surest word for a part; among several, the nearest to the root."""
    for word in _PARTS[part]:
        found = [
            j
            for j, name in enumerate(names)
            if name == _Name(side, word) and (among is None or j in among)
        ]
        if found:
            nearest = [j for j in found if depth[j] == min(depth[f] for f in found)]
            # Of five toes the middle one points where the foot does.
            return nearest[len(nearest) // 2]
    return None


def _under(parents: Sequence[int], joint: int) -> set[int]:
    out = {joint}
    for child in range(joint + 1, len(parents)):
        if parents[child] in out:
            out.add(child)
    return out - {joint}


def _neck_and_head(clip: Clip, names: list[_Name], depth: list[int], chest: int) -> dict[str, int]:
    above = _under(clip.parents, chest)
    heads = [j for j in above if names[j].core == "head"]
    if not heads:
        return {}
    head = min(heads, key=depth.__getitem__)
    between = path(clip.parents, chest, head)[:-1]
    necks = [j for j in between if names[j].core.startswith("neck")] or between
    return {"Head": head} | ({"Neck": necks[0]} if necks else {})
