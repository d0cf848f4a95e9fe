"""Find the limbs of a humanoid whose joint names say nothing.

Legs and arms are the two longest pairs of branches of equal length: the legs
fork off where the trunk begins, the arms farther up. Within a limb the two long
bones are thigh and shin, or upper arm and forearm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import combinations, pairwise, product

import numpy as np

from bvh.clip import Clip
from bvh.normalizer.geometry import unit
from bvh.normalizer.tree import common_ancestor, path, spine_joints
from bvh.rotations import Array, cross, rotate

__all__ = ["map_by_topology"]

_FRAMES = 60  # enough to see which joints bend
_SAME = 0.25  # relative difference in length of two limbs: one hand may hold a sword
_LIMB = 0.15  # shortest limb, as a share of the whole tree's reach
_ZERO = 0.01  # shortest bone, likewise
_BENT = np.deg2rad(3.0)
_ALIKE = 0.45  # least ratio of thigh and shin, upper arm and forearm
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NEAR = 0.2  # of a leg; how far above the legs' joint the trunk may begin
_BRANCHES = 16  # longest branches of one joint that may be limbs; no body has as many
_FORKS = 64  # joints with the longest pairs of branches, among which the body's are
_SIDES = {"l": 1, "left": 1, "r": -1, "right": -1}


@dataclass(frozen=True, eq=False)
class _Tree:
    """A clip's joints, and its end sites as joints behind them.

    Attributes:
        names: joint names.
        parents: parent of each joint and end site.
        points: ``(frames, joints, 3)`` positions.
        real: number of joints; end sites follow.
        below: children of each.
        bones: length of the bone to each.
        reach: length of the longest way down from each.
        next: the child on that way, -1 at its end.
    """

    names: tuple[str, ...]
    parents: list[int]
    points: Array
    real: int
    below: list[list[int]]
    bones: list[float]
    reach: list[float]
    next: list[int]

    @classmethod
    def of(cls, clip: Clip) -> _Tree:
        picked = np.unique(np.linspace(0, clip.frames - 1, _FRAMES).astype(int))
        some = replace(clip, rotations=clip.rotations[picked], positions=clip.positions[picked])
        rotations, points = some.global_transforms()
        sites = {j: site for j, site in clip.end_sites.items() if np.any(site)}
        tips = [points[:, j] + rotate(rotations[:, j], site) for j, site in sites.items()]
        points = np.concatenate([points, *(tip[:, None] for tip in tips)], axis=1)
        parents = [*clip.parents, *sites]
        count = len(parents)
        above = np.maximum(parents, 0)
        bones = np.median(np.linalg.norm(points - points[:, above], axis=-1), axis=0).tolist()
        below: list[list[int]] = [[] for _ in range(count)]
        for joint, parent in enumerate(parents):
            if parent >= 0:
                below[parent].append(joint)
        reach, after = [0.0] * count, [-1] * count
        # End sites come last, and parents before their children.
        for joint in (*range(len(clip.names), count), *reversed(range(len(clip.names)))):
            ways = [(bones[c] + reach[c], c) for c in below[joint]]
            reach[joint], after[joint] = max(ways, default=(0.0, -1))
        return cls(clip.names, parents, points, len(clip.names), below, bones, reach, after)

    def children(self, joint: int) -> list[int]:
        return self.below[joint]

    def length(self, a: int, b: int) -> float:
        return float(np.median(np.linalg.norm(self.points[:, a] - self.points[:, b], axis=-1)))

    def bone(self, joint: int) -> float:
        return self.bones[joint]

    def longest(self, joint: int) -> tuple[float, list[int]]:
        """The longest way down from ``joint``: its length and its joints, ``joint`` first."""
        way = [joint]
        while self.next[way[-1]] >= 0:
            way.append(self.next[way[-1]])
        return self.reach[joint], way

    def hangs_on(self, joint: int) -> float:
        """Length of the branch that begins with the bone to ``joint``."""
        return self.bones[joint] + self.reach[joint]


def map_by_topology(clip: Clip) -> tuple[dict[str, int], float] | None:
    """Canonical joint -> source joint, and a confidence; None if this is no humanoid."""
    if clip.frames == 0 or not np.isfinite(clip.positions).all():
        return None
    tree = _Tree.of(clip)
    forks = _forks(tree)
    best: tuple[float, tuple[int, int, int], tuple[int, int, int]] | None = None
    for lower, upper in product(forks, repeat=2):
        (low, *legs), (high, *arms) = lower, upper
        # The weaker limb of a pair counts, so equal pairs win over odd ones.
        score = sum(2 * min(map(tree.hangs_on, pair)) for pair in (legs, arms))
        if best is not None and score <= best[0]:
            continue
        hips = _hips(tree, low, legs, high)
        if hips is not None and _legs_point_away(tree, low, legs, high):
            best = score, lower, upper
    return None if best is None else _assign(tree, best[1], best[2])


def _forks(tree: _Tree) -> list[tuple[int, int, int]]:
    """Joints with two long branches of the same length, and those branches."""
    least = (1.0 - _SAME) * _LIMB * tree.reach[0]
    out = []
    for joint in range(tree.real):
        long = [c for c in tree.children(joint) if tree.hangs_on(c) > least]
        for a, b in combinations(sorted(sorted(long, key=tree.hangs_on)[-_BRANCHES:]), 2):
            short, longer = sorted((tree.hangs_on(a), tree.hangs_on(b)))
            if longer > _LIMB * tree.reach[0] and longer - short < _SAME * longer:
                out.append((joint, a, b))
    kept = set(sorted(out, key=lambda fork: min(map(tree.hangs_on, fork[1:])))[-_FORKS:])
    return [fork for fork in out if fork in kept]


def _hips(tree: _Tree, low: int, legs: list[int], high: int) -> int | None:
    """Where the trunk to ``high`` begins, if not in a leg: where the legs do, or just above it.

    Rigs may have a pelvis for the legs beside the spine.
    """
    hips = common_ancestor(tree.parents, low, high)
    if hips is None or hips == high:
        return None
    if hips == low:
        return None if path(tree.parents, low, high)[0] in legs else low
    return hips if tree.length(hips, low) < _NEAR * min(map(tree.hangs_on, legs)) else None


def _legs_point_away(tree: _Tree, low: int, legs: list[int], high: int) -> bool:
    trunk = unit(tree.points[:, high] - tree.points[:, low])
    tips = np.mean([tree.points[:, tree.longest(j)[1][-1]] for j in legs], axis=0)
    leg = unit(tips - tree.points[:, low])
    return float(np.mean(np.sum(trunk * leg, axis=-1))) < 0.3


def _assign(
    tree: _Tree, lower: tuple[int, int, int], upper: tuple[int, int, int]
) -> tuple[dict[str, int], float] | None:
    low, *legs = lower
    high, *arms = upper
    leg_joints = [_limb(tree, low, j, ("UpLeg", "Leg", "Foot", "Toe")) for j in legs]
    arm_joints = [_limb(tree, high, j, ("Arm", "ForeArm", "Hand")) for j in arms]
    if any(limb is None for limb in (*leg_joints, *arm_joints)):
        return None
    for limb, first in zip(arm_joints, arms, strict=True):
        if limb is not None and limb["Arm"] != first:
            limb["Shoulder"] = first
        while limb is not None and tree.bone(limb["Hand"]) == 0.0:
            # Fingers often begin with a joint at the wrist, which is the hand's.
            limb["Hand"] = tree.parents[limb["Hand"]]
    named = [_side(tree.names[j] if j < tree.real else "") for j in (*legs, *arms)]
    sided = named[0] * named[1] == -1 and named[2] * named[3] == -1
    if sided:
        leg_signs, arm_signs = named[:2], named[2:]
    else:
        leg_signs = _leg_signs(tree, low, high, [m for m in leg_joints if m])
        (leg, other_leg), (arm, other_arm) = (
            [tree.points[:, limb[start]] for limb in limbs if limb]
            for limbs, start in ((leg_joints, "UpLeg"), (arm_joints, "Arm"))
        )
        same = 1 if float(np.sum((leg - other_leg) * (arm - other_arm))) > 0 else -1
        arm_signs = [same * s for s in leg_signs]
    hips = _hips(tree, low, legs, high)
    hips = low if hips is None else hips
    out = {"Hips": hips, **spine_joints(path(tree.parents, hips, high), [])}
    for limbs, signs in ((leg_joints, leg_signs), (arm_joints, arm_signs)):
        for limb, sign in zip(limbs, signs, strict=True):
            out |= {("Left" if sign > 0 else "Right") + k: j for k, j in (limb or {}).items()}
    out |= _head(tree, high, set(arms))
    # End sites are found again, by name, from the joint they belong to.
    return {k: j for k, j in out.items() if j < tree.real}, 0.6 if sided else 0.4


def _limb(tree: _Tree, top: int, first: int, parts: tuple[str, ...]) -> dict[str, int] | None:
    """Name the joints of one limb: its two long bones, and what follows them."""
    way = [top, *tree.longest(first)[1]]
    size = sum(tree.bone(j) for j in way[1:])
    # Of joints at one place, the last carries the bone.
    kept = [
        j for j, after in zip(way, [*way[1:], None], strict=True)
        if after is None or tree.bone(after) > _ZERO * size
    ]  # fmt: skip
    middle = [
        j for a, j, b in zip(kept, kept[1:], kept[2:], strict=False) if _bend(tree, a, j, b) > _BENT
    ]
    # Twist and helper joints split a straight bone; knees and elbows show themselves by
    # bending, unless the clip never bends them.
    for chain in ([kept[0], *middle, kept[-1]], kept):
        found = _two_bones(tree, chain)
        if found is not None:
            start, bend, end = chain[found : found + 3]
            below = way[way.index(bend) + 1 :]
            inner = _stiff_joint(tree, start, bend, below, end)
            ends = [end] if inner is None else [inner, end]
            return dict(zip(parts, [start, bend, *ends, *chain[found + 3 :]], strict=False))
    return None


def _stiff_joint(tree: _Tree, start: int, bend: int, below: list[int], end: int) -> int | None:
    """The wrist of an arm (or ankle) that never bends there, if there is one before ``end``."""
    between = below[: below.index(end)]
    for joint in between:
        if len(tree.children(joint)) > 1:  # fingers begin here
            return joint
    if end != below[-1]:
        return None
    # Nothing bends down to the tip: lengths tell twist joints, the wrist and fingers apart.
    real = [j for j in (*between, end) if j < tree.real]
    upper = tree.length(start, bend)
    found = min(real, key=lambda j: abs(tree.length(bend, j) - upper), default=end)
    return None if found == end else found


def _two_bones(tree: _Tree, chain: list[int]) -> int | None:
    """Where the two long bones of a limb begin, if it has two of about the same length."""
    # The limb's own joint comes after the one it hangs on.
    lengths = [tree.length(a, b) for a, b in pairwise(chain)]
    pairs = {i: (lengths[i], lengths[i + 1]) for i in range(1, len(lengths) - 1)}
    if not pairs:
        return None
    best = max(pairs, key=lambda i: min(pairs[i]))
    return best if min(pairs[best]) > _ALIKE * max(pairs[best]) else None


def _bend(tree: _Tree, a: int, b: int, c: int) -> float:
    """Largest angle (rad) over the clip between the bones into and out of ``b``."""
    inner = unit(tree.points[:, b] - tree.points[:, a])
    outer = unit(tree.points[:, c] - tree.points[:, b])
    return float(np.arccos(np.clip(np.sum(inner * outer, axis=-1), -1.0, 1.0)).max())


def _leg_signs(tree: _Tree, low: int, high: int, limbs: list[dict[str, int]]) -> list[int]:
    """+1 for the left leg: knees bend about the axis that points left, toes point forward."""
    at = tree.points
    lateral = unit(at[:, limbs[0]["UpLeg"]] - at[:, limbs[1]["UpLeg"]])
    trunk = unit(at[:, high] - at[:, low])
    vote = 0.0
    for limb in limbs:
        thigh = unit(at[:, limb["Leg"]] - at[:, limb["UpLeg"]])
        shin = unit(at[:, limb["Foot"]] - at[:, limb["Leg"]])
        vote += float(np.sum(cross(thigh, shin) * lateral))
        if "Toe" in limb:
            toe = unit(at[:, limb["Toe"]] - at[:, limb["Foot"]])
            vote += 0.3 * float(np.sum(cross(trunk, toe) * lateral))
    return [1, -1] if vote > 0 else [-1, 1]


def _head(tree: _Tree, chest: int, arms: set[int]) -> dict[str, int]:
    ways = [tree.longest(c) for c in tree.children(chest) if c not in arms]
    if not ways:
        return {}
    joints = [j for j in max(ways)[1] if j < tree.real]
    if len(joints) < 2:
        return {"Neck" if "neck" in tree.names[joints[0]].lower() else "Head": joints[0]}
    neck, *above = joints
    return {"Neck": neck, "Head": _pick_head(tree, above)}


def _pick_head(tree: _Tree, above: list[int]) -> int:
    """Which joint above the neck is the head: named so, with eyes or a jaw, or below its top."""
    for i, joint in enumerate(above):
        if "head" in tree.names[joint].lower() or len(tree.children(joint)) > 1:
            # A face may hang on a joint of its own at the head's place.
            at_one_place = i > 0 and tree.bone(joint) < 1e-6 * tree.reach[0]
            return above[i - 1] if at_one_place else joint
    top = above[-1]
    return above[-2] if len(above) > 1 and tree.bone(top) > 1.3 * tree.bone(above[-2]) else top


def _side(name: str) -> int:
    """+1 for a left joint's name, -1 for a right one's, 0 if it does not say."""
    words = {w.lower() for w in _WORD.findall(name)}
    signs = {_SIDES[w] for w in words if w in _SIDES}
    lower = name.lower()
    for word in ("left", "right"):
        if lower.startswith(word):
            signs.add(_SIDES[word])
    return signs.pop() if len(signs) == 1 else 0
