"""The constants of a rig: its joints, axes and unit."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bvh.atomic_write import atomic_path
from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.normalizer.animals import refuse_animals
from bvh.normalizer.body import Body, check_time, extract, left_is_left
from bvh.normalizer.floor import Floor, find_floor
from bvh.normalizer.joint_axes import AxisFinder
from bvh.normalizer.mapping import JointMap, map_joints
from bvh.normalizer.rest import rest_pose
from bvh.normalizer.rolled_feet import roll_back
from bvh.normalizer.units import check_unit
from bvh.remarks import remark
from bvh.rotations import Array
from bvh.skeleton import JOINTS

__all__ = ["Calibration", "calibrate", "measure"]

_SWAPPED = -0.15


@dataclass(frozen=True, eq=False)
class Calibration:
    """How one rig maps onto the canonical skeleton; the same for all its clips.

    Attributes:
        names: joint names of the rig, in order.
        joints: its canonical joints.
        up: source axis that points up.
        scale: metres per source unit.
        unit: that unit's name, ``"given"`` or ``"unknown"``.
        axes: ``(22, 4)`` canonical_from_source axes of each joint.
        problems: assumptions and faults, one line each.
        up_confidence: 0 to 1, of the up axis; 1 where it was given.
    """

    names: tuple[str, ...]
    joints: JointMap
    up: str
    scale: float
    unit: str
    axes: Array
    problems: tuple[str, ...] = ()
    up_confidence: float = 1.0

    def check(self, clip: Clip) -> None:
        """Raise a :class:`BVHError` unless ``clip`` has this rig's joints."""
        if clip.names != self.names:
            pairs = zip(clip.names, self.names, strict=False)
            first = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
            what = (
                f"{len(clip.names)} joints, not {len(self.names)}"
                if first is None
                else f"joint {first} is {clip.names[first]!r}, not {self.names[first]!r}"
            )
            raise BVHError(f"{clip.name}: the calibration is for another rig ({what})")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write this calibration as JSON."""
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Calibration:
        """Read a calibration that :meth:`save` wrote.

        Raises:
            BVHError: the file is missing, damaged or holds something else.
        """
        path = Path(path)
        try:
            return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise BVHError(f"{path}: {error.strerror}") from None
        except (ValueError, BVHError) as error:
            raise BVHError(f"{path}: not a calibration ({error})") from None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return asdict(self) | {"axes": np.asarray(self.axes).tolist()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """A calibration of what :meth:`to_dict` gave.

        Raises:
            BVHError: something else.
        """
        try:
            data = dict(values)
            axes = np.array(data.pop("axes"), dtype=float)
            if axes.shape != (len(JOINTS), 4) or not np.isfinite(axes).all():
                raise ValueError(f"axes must be {len(JOINTS)} quaternions")
            return cls(
                names=tuple(data.pop("names")),
                joints=JointMap(**data.pop("joints")),
                problems=tuple(data.pop("problems")),
                axes=axes,
                **data,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BVHError(f"{type(error).__name__}: {error}") from None


def calibrate(
    clips: Clip | Sequence[Clip],
    *,
    mapping: Mapping[str, str] | str | os.PathLike[str] | None = None,
    up: str | None = None,
    scale: float | None = None,
) -> Calibration:
    """Find out how a rig maps onto the canonical skeleton.

    :func:`normalize` does this for each clip by itself. With a shared calibration all clips of a
    rig agree also where a single clip is ambiguous: the pelvis pitch of a clip that never stands,
    the twist of an arm that never bends, the average direction of a head or a hand.

    Args:
        clips: one or more clips of one rig, which together should stand flat on the
            floor and bend elbows and knees; a few minutes of motion are plenty.
        mapping: see :func:`normalize`.
        up: see :func:`normalize`.
        scale: see :func:`normalize`.

    Raises:
        BVHError: as :func:`normalize`, or clips of different rigs.
    """
    return measure(_pool(clips), mapping=mapping, up=up, scale=scale)[0]


def measure(
    clip: Clip,
    *,
    mapping: Mapping[str, str] | str | os.PathLike[str] | None,
    up: str | None,
    scale: float | None,
) -> tuple[Calibration, Body, Floor]:
    """Calibrate on one clip, and return intermediate results too."""
    check_time(clip)
    joints = map_joints(clip, mapping)
    body = extract(clip, joints, up=up, scale=scale)
    if mapping is None:
        refuse_animals(clip, joints, body)
    problems: list[str] = []
    if joints.family == "unknown":
        what = "the names say nothing; limbs were found by the shape of the tree"
        problems.append(remark("joints", f"{what} ({100 * joints.confidence:.0f} % sure)"))
    handed = left_is_left(body)
    if handed < _SWAPPED and mapping is None:
        joints = joints.swapped()
        body = extract(clip, joints, up=up, scale=scale)
        what = "left and right are exchanged in the joint names; corrected"
        problems.append(remark("sides", what))
    elif handed < _SWAPPED:
        problems.append(remark("sides", "the mapping seems to exchange left and right"))
    if body.found is not None:
        problems += body.found.problems()
    floor = find_floor(body)
    rest = rest_pose(clip, joints)
    finder = AxisFinder(body, floor, rest)
    upright, rolled = roll_back(body, finder.axes)
    if rolled:  # what was measured on feet that were rolled over is measured again
        finder = AxisFinder(upright, floor, rest)
    problems += check_unit(body.unit)
    calibration = Calibration(
        names=clip.names,
        joints=joints,
        up=body.up,
        scale=body.scale,
        unit=body.unit,
        axes=finder.axes,
        problems=(*problems, *finder.problems),
        up_confidence=1.0 if body.found is None else body.found.confidence,
    )
    return calibration, body, floor


def _pool(clips: Clip | Sequence[Clip]) -> Clip:
    if isinstance(clips, Clip):
        return clips
    if not clips:
        raise BVHError("no clips to calibrate on")
    first = clips[0]
    for clip in clips[1:]:
        if clip.names != first.names or clip.parents != first.parents:
            raise BVHError(f"{clip.name} and {first.name} are clips of different rigs")
    return replace(
        first,
        rotations=np.concatenate([c.rotations for c in clips]),
        positions=np.concatenate([c.positions for c in clips]),
    )
