"""Retarget maps: which robot frame moves with which canonical joint.

A map is a short TOML file. It has nothing that can be computed: scale, orientation offsets, joint
centres and soles are calibrated (see :mod:`motiontok.robots.model.calibration`)::

    urdf = "g1_description/urdf/g1_29dof_rev_1_0.urdf"

    [follow]                    # canonical joint = robot frame
    Hips = "pelvis"
    LeftLeg = "left_knee_link"

    [weights]                   # optional: [position, rotation]
    LeftHand = [10, 5]

    [pose]                      # optional: joint angles (rad) from which the T-pose is sought
    left_elbow_joint = 1.5

    [sole]                      # only for robots whose feet have no geometry, metres
    heel = -0.08                # from the ankle, forward positive
    toe = 0.16
    width = 0.10
    height = 0.07               # of the ankle above the ground
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bvh.skeleton import JOINTS
from motiontok.errors import RobotError
from motiontok.paths import config_dir

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["DEFAULT_WEIGHTS", "RobotMap", "SoleSize", "Weight", "available", "read_map"]

REQUIRED = ("Hips", "LeftUpLeg", "LeftLeg", "LeftFoot", "RightUpLeg", "RightLeg", "RightFoot")


@dataclass(frozen=True)
class Weight:
    """How strongly a frame is tracked: residuals are multiplied by these.

    Attributes:
        position: per metre.
        rotation: per radian.
    """

    position: float
    rotation: float


@dataclass(frozen=True)
class SoleSize:
    """Sole of a foot without geometry, metres, seen from the ankle's centre."""

    heel: float
    toe: float
    width: float
    height: float


_SIDELESS = {
    "UpLeg": Weight(0.0, 8.0),
    "Leg": Weight(10.0, 5.0),
    "Foot": Weight(100.0, 20.0),
    "Toe": Weight(0.0, 3.0),
    "Shoulder": Weight(0.0, 3.0),
    "Arm": Weight(5.0, 8.0),
    "ForeArm": Weight(15.0, 5.0),
    "Hand": Weight(30.0, 5.0),
}
DEFAULT_WEIGHTS: dict[str, Weight] = {
    "Hips": Weight(60.0, 15.0),
    "Spine": Weight(0.0, 5.0),
    "Spine1": Weight(0.0, 5.0),
    "Spine2": Weight(0.0, 25.0),
    "Neck": Weight(0.0, 3.0),
    "Head": Weight(0.0, 8.0),
    **{side + k: w for side in ("Left", "Right") for k, w in _SIDELESS.items()},
}
"""Weights used where a map states none: feet and hips first, then trunk and hands."""


@dataclass(frozen=True)
class RobotMap:
    """Content of a TOML map.

    Attributes:
        name: the robot's name.
        urdf: path of the robot description as written in the map; may be empty.
        follow: canonical joint -> robot frame, parents before children.
        weights: canonical joint -> weight, for every followed joint.
        pose: robot joint -> angle (rad) from which the T-pose is sought.
        sole: of feet without geometry.
        path: the file itself.
    """

    name: str
    urdf: str
    follow: Mapping[str, str]
    weights: Mapping[str, Weight]
    pose: Mapping[str, float] = field(default_factory=dict)
    sole: SoleSize | None = None
    path: Path | None = None


def available() -> tuple[str, ...]:
    """Names of the robots that come with the package."""
    return tuple(sorted(p.stem for p in (config_dir() / "robots").glob("*.toml")))


def read_map(path: Path) -> RobotMap:
    """Read a map.

    Raises:
        RobotError: the file is missing or not TOML; a key, joint or value is unknown.
    """
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except FileNotFoundError:
        raise RobotError(f"{path}: no such robot map") from None
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RobotError(f"{path}: not a robot map ({error})") from None

    _known(path, "key", table, ("urdf", "follow", "weights", "pose", "sole"))
    for section in ("follow", "weights", "pose", "sole"):
        if not isinstance(table.get(section, {}), dict):
            raise RobotError(f"{path}: {section} must be a table, [{section}]")
    follow = table.get("follow", {})
    _known(path, "canonical joint", follow, JOINTS)
    missing = [j for j in REQUIRED if j not in follow]
    if missing:
        raise RobotError(f"{path}: [follow] lacks {', '.join(missing)}")
    for joint, frame in follow.items():
        if not isinstance(frame, str):
            raise RobotError(f"{path}: {joint} = {frame!r} must be a frame name in quotes")

    weights = {joint: DEFAULT_WEIGHTS[joint] for joint in follow}
    given = table.get("weights", {})
    _known(path, "followed joint", given, tuple(follow))
    for joint, pair in given.items():
        if not (
            isinstance(pair, list) and len(pair) == 2 and all(_finite(v) and v >= 0 for v in pair)
        ):
            raise RobotError(
                f"{path}: weight {joint} = {pair!r} must be [position, rotation], two finite "
                "numbers of 0 or more, such as [30, 5]"
            )
        weights[joint] = Weight(float(pair[0]), float(pair[1]))

    pose = table.get("pose", {})
    for joint, angle in pose.items():
        if not _finite(angle):
            raise RobotError(
                f"{path}: pose {joint} = {angle!r} must be an angle in radians, a finite number"
            )
    urdf = table.get("urdf", "")
    if not isinstance(urdf, str):
        raise RobotError(f"{path}: urdf = {urdf!r} must be a path in quotes")
    return RobotMap(
        name=path.stem,
        urdf=urdf,
        follow={j: follow[j] for j in JOINTS if j in follow},
        weights=weights,
        pose={k: float(v) for k, v in pose.items()},
        sole=_sole(path, table["sole"]) if "sole" in table else None,
        path=path,
    )


def _sole(path: Path, table: Mapping[str, Any]) -> SoleSize:
    keys = ("heel", "toe", "width", "height")
    _known(path, "sole key", table, keys)
    for key in keys:
        if not _finite(table.get(key)):
            raise RobotError(f"{path}: [sole] needs a finite number for {key} (metres)")
    return SoleSize(**{k: float(table[k]) for k in keys})


def _finite(value: object) -> bool:
    """Whether a value of TOML, which has ``inf`` and ``nan``, is a number that a float holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def _known(path: Path, what: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=3, cutoff=0.4) or list(known)
            raise RobotError(f"{path}: unknown {what} {key!r}; did you mean {', '.join(close)}?")
