"""A map for a new robot, from the names and the geometry of its description.

Legs are two limbs that mirror each other and reach lowest, arms two that do so higher up. Knees and
elbows are where a limb bends halfway. Names, knees and feet decide which side is left. Where names
and geometry disagree, or say nothing, there is a doubt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bvh.rotations import Array
from bvh.skeleton import JOINTS
from motiontok.errors import RobotError
from motiontok.robots.model.calibration import Calibration, calibrate
from motiontok.robots.model.limbs import Pair, Tree, left_first
from motiontok.robots.model.maps import DEFAULT_WEIGHTS, RobotMap, SoleSize
from motiontok.robots.model.urdf import Description, foot_shapes

__all__ = ["Proposal", "propose_map"]

_LOW = 0.25  # of the height: what ends this near to the lowest end stands on the ground
_HANGS = 0.5  # of its length a leg reaches down
_AHEAD = 0.08  # of a leg: a joint this far before the ankle is a toe's
_CLEAR = 0.25  # by which an elbow must look more like one than any other joint does
_KNEES = {"knee", "kfe"}
_ELBOWS = {"elbow", "elb"}
_HEADS = {"head", "neck"}
_ARMS = {"arm", "arms", "shoulder", "elbow", "wrist", "hand"}
_SIDES = ("Left", "Right")


@dataclass(frozen=True, eq=False)
class Proposal:
    """A map, and doubts about it.

    Attributes:
        map: the map; not written anywhere.
        calibration: of the robot with this map.
        doubts: one line each.
        told: other remarks, one line each.
    """

    map: RobotMap
    calibration: Calibration
    doubts: tuple[str, ...]
    told: tuple[str, ...]

    def toml(self) -> str:
        """The text of the map's file."""
        rows = [f"# Told from {Path(self.map.urdf).name} by names and geometry."]
        rows += [f"# In doubt: {doubt}" for doubt in self.doubts]
        rows += [f"# {line}" for line in self.told]
        rows += ["", "[follow] # canonical joint = robot frame"]
        rows += [f'{joint} = "{frame}"' for joint, frame in self.map.follow.items()]
        if self.map.sole is not None:
            rows += ["", "[sole] # metres, from the ankle's centre"]
            rows += [f"{key} = {value:.3f}" for key, value in asdict(self.map.sole).items()]
        return "\n".join(rows) + "\n"


def propose_map(description: Description) -> Proposal:
    """Find which link follows which canonical joint.

    Raises:
        RobotError: no two legs with hip, knee and ankle, or more than two; the message says what
            was found instead.
    """
    found = _Found(description)
    found.look()
    follow = {j: found.follow[j] for j in JOINTS if j in found.follow}
    shapes = foot_shapes(description, follow)
    sole = None
    if shapes is None or len({int(s.parentJoint) for s in shapes.geometryObjects}) < 2:
        sole = _usual_sole(found.shin)
        found.doubts.append("the feet have no shape, so [sole] is a person's for these shins")
    map = RobotMap(
        name=description.urdf.stem,
        urdf=str(description.urdf),
        follow=follow,
        weights={joint: DEFAULT_WEIGHTS[joint] for joint in follow},
        sole=sole,
    )
    calibration = calibrate(description.model, map, shapes, description.coupling)
    feet = [foot for side in _SIDES if (foot := follow[side + "Foot"]) in description.lost]
    if feet:
        found.doubts.append(
            f"the meshes of {' and '.join(feet)} are missing, so their soles are those of boxes "
            "of the same mass"
        )
    found.doubts += _odd_sizes(calibration)
    return Proposal(map, calibration, tuple(found.doubts), tuple(found.told))


class _Found:
    """Parts found so far."""

    def __init__(self, description: Description) -> None:
        self.where = str(description.urdf)
        self.tree = Tree(description.model, description.tree)
        self.coupled = {
            str(joint.get("name"))
            for joint in description.tree.findall("joint")
            if joint.find("mimic") is not None
        }
        self.follow: dict[str, str] = {}
        self.shin = 0.0  # m
        self.doubts: list[str] = []
        self.told: list[str] = []

    def look(self) -> None:
        legs = self._legs()
        hips = legs.root
        self._take("Hips", hips)
        left = self._left_of(legs)
        forward = np.array([left[1], -left[0], 0.0])
        order = (legs.first, legs.second)
        if left @ legs.across < 0.0:
            order = (legs.second, legs.first)
        for side, leg in zip(_SIDES, order, strict=True):
            self._leg(side, leg, legs.across, forward)
        rest = [leaf for leaf in self.tree.leaves if leaf not in (legs.first[-1], legs.second[-1])]
        chest = self._arms(rest, hips, left)
        self._head(rest, chest, left)

    def _take(self, joint: str, body: int) -> None:
        self.follow[joint] = self.tree.links[body]

    def _legs(self) -> Pair:
        tree = self.tree
        if not tree.leaves:
            raise RobotError(f"{self.where}: no joint moves, so this is no humanoid")
        heights = tree.points[tree.leaves, 2]
        floor = float(heights.min()) + _LOW * tree.height
        low = [leaf for leaf, z in zip(tree.leaves, heights, strict=True) if z < floor]
        root = tree.parting(low[0], low[-1]) if len(low) > 1 else 1
        branches = {tree.up_to(leaf, root)[:1] for leaf in low}
        pairs = [
            pair
            for pair in tree.pairs(low)
            if not _names_say_arms(tree, pair) and self._reaches_down(pair)
        ]
        if pairs and len(branches) == 2:
            return max(pairs, key=lambda pair: len(pair.first))
        ends = ", ".join(tree.links[leaf] for leaf in low[:4])
        if len(branches) > 2:
            what = f"{len(branches)} limbs stand on the ground ({ends})"
        elif len(tree.leaves) == 1:
            what = f"one limb ({ends}), as an arm has"
        else:
            what = f"no two legs that mirror each other reach down from a pelvis (lowest: {ends})"
            size = np.ptp(tree.points[1:], axis=0)
            if size[2] < max(size[:2]):
                what += f"; it is longer along {'xy'[int(size[1] > size[0])]} than along z, up"
        raise RobotError(f"{self.where}: {what}, so this is no humanoid")

    def _reaches_down(self, pair: Pair) -> bool:
        points = self.tree.points[list(pair.first)]
        steps = np.diff(np.concatenate([self.tree.points[[pair.root]], points]), axis=0)
        length = float(np.linalg.norm(steps, axis=1).sum())
        drop = float(self.tree.points[pair.root, 2] - points[-1, 2])
        return drop > _HANGS * length

    def _left_of(self, legs: Pair) -> Array:
        """The direction to the left ``(3,)``, from names, and from knees and feet."""
        tree = self.tree
        named = left_first(tree.names(legs.first), tree.names(legs.second))
        # Were the first leg the left one, knees would flex backwards, toes lie ahead.
        left = legs.across
        ahead = np.array([left[1], -left[0], 0.0])
        votes = 0.0
        for leg in (legs.first, legs.second):
            knee = self._knee(leg, legs.across)[0]
            sign = 1.0 if tree.axes[knee] @ left > 0.0 else -1.0
            index = tree.model.joints[knee].idx_q
            more = tree.model.upperPositionLimit[index] + tree.model.lowerPositionLimit[index]
            votes += sign * float(np.clip(more, -1.0, 1.0))
            foot = tree.tip(leg[-1]) - tree.points[leg[-1]]
            votes += float(np.clip(foot @ ahead / (0.02 * tree.height), -1.0, 1.0))
        if not named and abs(votes) < 1.0:
            self.doubts.append("left and right: neither names nor knees and feet tell them apart")
        elif named and named * votes < -1.0:
            self.doubts.append("left and right: names say the opposite of knees and feet")
        elif not named:
            self.told.append("Left and right are told by knees and feet, not by names.")
        side = named or (1 if votes >= 0.0 else -1)
        out: Array = side * left
        return out

    def _knee(self, leg: Sequence[int], across: Array) -> list[int]:
        """The hinge, or the coupled hinges, in which a leg bends."""
        tree = self.tree
        bends = tree.pitches(leg, across)
        if len(bends) < 3:
            raise RobotError(
                f"{self.where}: the leg to {tree.links[leg[-1]]} bends forward at {len(bends)} "
                "joints; a humanoid's does at hip, knee and ankle"
            )
        heights = tree.points[:, 2]
        middle = 0.5 * (heights[bends[0]] + heights[bends[-1]])
        knee = min(bends[1:-1], key=lambda j: abs(heights[j] - middle))
        called = [j for j in bends[:-1] if tree.words(j) & _KNEES]
        if called and knee not in called:
            knee = called[0]
        group = [knee]
        for other in bends[1:-1]:
            near = abs(leg.index(other) - leg.index(knee)) == 1
            if near and {tree.model.names[j] for j in (other, knee)} & self.coupled:
                group.append(other)
        return sorted(group, key=list(leg).index)

    def _leg(self, side: str, leg: tuple[int, ...], across: Array, forward: Array) -> None:
        tree = self.tree
        knee = self._knee(leg, across)
        start, end = leg.index(knee[0]), leg.index(knee[-1])
        bends = tree.pitches(leg[end + 1 :], across)
        if start == 0 or not bends:
            raise RobotError(
                f"{self.where}: no {'hip above' if start == 0 else 'ankle below'} the knee "
                f"{tree.model.names[knee[0]]}"
            )
        ankle = tree.points[bends[0]]
        length = float(np.linalg.norm(tree.points[leg[0]] - ankle))
        toes = [j for j in bends[1:] if (tree.points[j] - ankle) @ forward > _AHEAD * length]
        foot = leg[leg.index(toes[0]) - 1] if toes else leg[-1]
        self._take(side + "UpLeg", leg[start - 1])
        self._take(side + "Leg", knee[-1])
        self._take(side + "Foot", foot)
        if toes:
            self._take(side + "Toe", toes[0])
        if not tree.words(knee[0]) & _KNEES and any(tree.words(j) & _KNEES for j in leg):
            self.doubts.append(f"{side}Leg: {tree.model.names[knee[0]]} bends halfway, but another"
                               " joint is called the knee")  # fmt: skip
        shares = [abs(float(tree.points[leg[0], 2] - tree.points[knee[0], 2])),
                  abs(float(tree.points[knee[-1], 2] - ankle[2]))]  # fmt: skip
        self.shin = shares[1]
        if max(shares) > 2.0 * min(shares):
            self.doubts.append(f"{side}Leg: {tree.model.names[knee[0]]} is far from halfway")

    def _arms(self, rest: list[int], hips: int, left: Array) -> int:
        """Take the arms and the chest they hang on, which is returned."""
        tree = self.tree
        pairs = [p for p in tree.pairs(rest) if abs(float(p.across @ left)) > 0.95]
        pairs = [p for p in pairs if tree.points[p.first[0], 2] > tree.points[hips, 2]]
        if not pairs:
            self.told.append("No arms: no two limbs above the hips mirror each other.")
            chest = self._middle(rest, hips, left)
            if chest != hips:
                self._take("Spine2", chest)
            return chest
        pair = max(pairs, key=lambda p: _length(tree.points[list(p.first)]))
        rest[:] = [leaf for leaf in rest if leaf not in (pair.first[-1], pair.second[-1])]
        arms = (pair.first, pair.second)
        if pair.across @ left < 0.0:
            arms = (pair.second, pair.first)
        if left_first(tree.names(arms[0]), tree.names(arms[1])) < 0:
            self.doubts.append("left and right: arms' names say the opposite of legs'")
        if pair.root != hips:
            self._take("Spine2", pair.root)
        else:
            self.told.append("The chest does not move against the hips.")
        for side, arm in zip(_SIDES, arms, strict=True):
            self._arm(side, arm)
        return pair.root

    def _arm(self, side: str, arm: tuple[int, ...]) -> None:
        tree = self.tree
        scores = sorted(
            ((self._elbow(arm, k), k) for k in range(1, len(arm))), key=lambda s: (-s[0], s[1])
        )
        if not scores or scores[0][0] <= 0.0:
            self.doubts.append(f"{side}Arm: no joint of {tree.links[arm[-1]]}'s limb is an elbow")
            return
        best = scores[0][1]
        called = any(tree.words(j) & _ELBOWS for j in arm)
        if not called and len(scores) > 1 and scores[0][0] - scores[1][0] < _CLEAR:
            names = " or ".join(tree.model.names[arm[k]] for _, k in scores[:2])
            self.doubts.append(f"{side}ForeArm: the elbow is {names}")
        self._take(side + "Arm", arm[best - 1])
        self._take(side + "ForeArm", arm[best])
        if best + 1 < len(arm):
            self._take(side + "Hand", arm[-1])
        elif side == "Left":
            self.told.append("No hands: no joint moves them against the forearms.")

    def _elbow(self, arm: tuple[int, ...], k: int) -> float:
        """Score of joint ``k`` of an arm as its elbow; 0 if it is impossible."""
        tree = self.tree
        axis, at = tree.axes[arm[k]], tree.points[arm[k]]
        shoulder = tree.crossing(arm[max(k - 3, 0) : k], tree.points[arm[0]])
        wrist = tree.crossing(arm[k + 1 :], tree.points[arm[-1]])
        if k + 1 == len(arm):
            wrist = tree.tip(arm[-1])
        upper, lower = at - shoulder, wrist - at
        sizes = [float(np.linalg.norm(bone)) for bone in (upper, lower)]
        if not axis.any() or min(sizes) < 0.02 * tree.height:
            return 0.0
        slant = max(abs(float(axis @ bone)) / size
                    for bone, size in zip((upper, lower), sizes, strict=True))  # fmt: skip
        if slant > 0.6:
            return 0.0
        twist = abs(float(tree.axes[arm[k - 1]] @ upper)) / sizes[0]
        called = bool(tree.words(arm[k]) & _ELBOWS)
        return min(sizes) / max(sizes) + 0.5 * twist + called

    def _head(self, rest: Sequence[int], chest: int, left: Array) -> None:
        tree = self.tree
        above = [
            leaf
            for leaf in rest
            if chest in tree.model.supports[leaf].tolist()[:-1] and self._in_the_middle(leaf, left)
        ]
        named = [
            leaf for leaf in above if any(tree.words(j) & _HEADS for j in tree.up_to(leaf, chest))
        ]
        if not above:
            return
        head = max(named or above, key=lambda leaf: float(tree.points[leaf, 2]))
        if not named:
            self.doubts.append(f"Head: {tree.links[head]} is found by its place alone")
        self._take("Head", head)

    def _middle(self, rest: Sequence[int], hips: int, left: Array) -> int:
        """The chest of a robot without arms: the topmost body above its hips."""
        tree = self.tree
        above = [leaf for leaf in rest if hips in tree.model.supports[leaf].tolist()
                 and self._in_the_middle(leaf, left)]  # fmt: skip
        return max(above, key=lambda leaf: float(tree.points[leaf, 2]), default=hips)

    def _in_the_middle(self, leaf: int, left: Array) -> bool:
        aside = float((self.tree.points[leaf] - self.tree.points[1]) @ left)
        return abs(aside) < 0.06 * self.tree.height


def _length(points: Array) -> float:
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def _names_say_arms(tree: Tree, pair: Pair) -> bool:
    return sum(bool(tree.words(j) & _ARMS) for j in pair.first) > len(pair.first) / 2


def _usual_sole(shin: float) -> SoleSize:
    """A person's, whose shin is 0.42 m long."""
    k = shin / 0.42
    return SoleSize(heel=-0.06 * k, toe=0.19 * k, width=0.1 * k, height=0.08 * k)


def _odd_sizes(calibration: Calibration) -> list[str]:
    """Sizes that no humanoid has, under this calibration."""
    at = dict(zip(calibration.joints, calibration.centers, strict=True))
    leg = calibration.leg_length
    out = []
    for side, sole in calibration.soles.items():
        length = float(sole.toe[0] - sole.heel[0])
        width = float(np.ptp(sole.corners[:, 1]))
        behind, ahead = sole.heel[0], sole.toe[0]
        if not max(0.1 * leg, width) < length < 0.6 * leg or not behind < 0.0 < ahead:
            out.append(
                f"{side}: the sole is {100 * length:.0f} cm long, from {100 * behind:.0f} to "
                f"{100 * ahead:.0f} cm before the ankle, and {100 * width:.0f} cm wide; if the "
                "foot is not level in the zero pose state [pose], if its shape is wrong [sole]"
            )
    pairs = [j for j in at if j.startswith("Left") and "Right" + j[4:] in at]
    far = [j for j in pairs if np.abs(at[j] * [1, -1, 1] - at["Right" + j[4:]]).max() > 0.05 * leg]
    if far:
        out.append(f"{far[0]} and Right{far[0][4:]} are no mirror images in the T-pose")
    if "Spine2" in at and at["Spine2"][2] < at["Hips"][2] - 0.05 * leg:
        out.append("Spine2: the chest is below the hips in the zero pose")
    return out
