"""The normaliser's front door."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.motion import FPS, Motion, Source
from bvh.normalizer.body import check_time, extract, uprightness
from bvh.normalizer.calibration import Calibration, measure
from bvh.normalizer.canonical import Canonical, from_canonical
from bvh.normalizer.floor import far_from_floor, find_floor
from bvh.normalizer.glitches import find_glitches
from bvh.normalizer.lead_in import without_rest_pose
from bvh.normalizer.plausible import (
    check_places,
    check_rate,
    check_root,
    check_stature,
    check_stretch,
    find_jumps,
    find_lying,
)
from bvh.normalizer.resample import resample
from bvh.normalizer.rolled_feet import roll_back
from bvh.normalizer.solve import solve
from bvh.normalizer.units import check_unit
from bvh.rotations import Array
from bvh.skeleton import DEFAULT_OFFSETS, JOINTS, leg_length, toe_height

__all__ = ["Report", "examine", "normalize"]

_CROWN = 0.18  # m; from the head joint to the top of the head


@dataclass(frozen=True)
class Report:
    """How a clip was understood.

    Attributes:
        family: skeleton family, ``"canonical"``, ``"words"`` (found by words in names),
            ``"unknown"`` (found by topology) or ``"custom"``.
        confidence: 0 to 1, of the joint map.
        joints: canonical joint -> source joint; joints left out were filled in.
        up: source axis that points up.
        unit: name of the source's unit.
        scale: metres per source unit.
        floor: height of the floor over the source's origin, metres.
        height: stature of the subject, metres, from bone lengths.
        problems: assumptions and faults, one line each. A line begins with one of the kinds in
            :mod:`bvh.remarks` and a colon.
        up_confidence: 0 to 1, of the up axis; 1 where it was given or is the file's own.
    """

    family: str
    confidence: float
    joints: dict[str, str]
    up: str
    unit: str
    scale: float
    floor: float
    height: float
    problems: tuple[str, ...]
    up_confidence: float = 1.0


def normalize(
    clip: Clip,
    *,
    mapping: Mapping[str, str] | str | os.PathLike[str] | None = None,
    up: str | None = None,
    scale: float | None = None,
    fps: float = FPS,
    calibration: Calibration | None = None,
) -> Motion:
    """Turn any humanoid clip into canonical motion.

    Local axes, Euler orders, unit, up axis and the rest pose of the file do not
    matter: everything comes from the geometry of the moving body. World heading and
    place are kept; the floor under standing feet becomes z = 0.

    Args:
        clip: humanoid motion in its file's conventions.
        mapping: canonical joint -> source joint, or a TOML or JSON file of that, if names are not
            recognised; see :func:`bvh.read_mapping`.
        up: source axis that points up (``"y"``, ``"-z"``, ...); found if not given.
        scale: metres per source unit; found if not given.
        fps: frames per second of the result.
        calibration: result of :func:`bvh.calibrate` for this rig, in place of ``mapping``, ``up``
            and ``scale``.

    Raises:
        BVHError: no frames, no humanoid, values that are not finite or that no body can
            have, a mapping that does not fit, or a calibration for another rig.
    """
    return examine(clip, mapping=mapping, up=up, scale=scale, fps=fps, calibration=calibration)[0]


def examine(
    clip: Clip,
    *,
    mapping: Mapping[str, str] | str | os.PathLike[str] | None = None,
    up: str | None = None,
    scale: float | None = None,
    fps: float = FPS,
    calibration: Calibration | None = None,
) -> tuple[Motion, Report]:
    """:func:`normalize`, and a report on how the clip was understood."""
    if not (np.isfinite(fps) and fps > 0):
        raise BVHError(f"fps must be above zero, got {fps}")
    if calibration is not None and (mapping, up, scale) != (None, None, None):
        raise BVHError("give a calibration, or mapping, up and scale, not both")
    check_time(clip)
    check_places(clip)
    if calibration is not None:
        calibration.check(clip)
    if (mapping, up, scale) == (None, None, None):
        canonical = from_canonical(clip)
        if canonical is not None:
            return _take_over(clip, canonical, fps=fps)
    if calibration is None:
        calibration, body, ground = measure(clip, mapping=mapping, up=up, scale=scale)
    else:
        body = extract(clip, calibration.joints, up=calibration.up, scale=calibration.scale)
        ground = find_floor(body)
    body, rolled = roll_back(body, calibration.axes)
    solution = solve(body, calibration.axes)
    places, turns, led_in = without_rest_pose(solution.positions, solution.rotations, fps=clip.fps)
    joints = calibration.joints
    height = _height(solution.offsets)
    report = Report(
        family=joints.family,
        confidence=joints.confidence,
        joints={c: n for c, n in joints.names(clip).items() if c != "Spine1" or not solution.moved},
        up=calibration.up,
        unit=calibration.unit,
        scale=calibration.scale,
        floor=ground.height,
        height=height,
        problems=(
            *clip.remarks,
            *check_rate(clip.fps),
            *calibration.problems,
            *ground.problems,
            *rolled,
            *find_lying(uprightness(body.positions)),
            *check_stature(height),
            *check_root(body.positions, body.frame_time),
            *check_stretch(solution.stretch),
            *led_in,
            *find_jumps(places, clip.fps),
            *find_glitches(turns, clip.fps),
        ),
        up_confidence=calibration.up_confidence,
    )
    places = places - [0.0, 0.0, ground.height]
    return _motion(clip, places, turns, solution.offsets, report, fps=fps), report


def _take_over(clip: Clip, canonical: Canonical, *, fps: float) -> tuple[Motion, Report]:
    height = _height(canonical.offsets)
    size = leg_length(canonical.offsets) / leg_length(DEFAULT_OFFSETS)
    report = Report(
        family="canonical",
        confidence=1.0,
        joints={j: j for j in JOINTS},
        up=canonical.up,
        unit=canonical.unit,
        scale=canonical.scale,
        floor=0.0,
        height=height,
        problems=(
            *clip.remarks,
            *check_rate(clip.fps),
            *canonical.problems,
            *check_unit(canonical.unit),
            *find_lying(uprightness(canonical.points)),
            *far_from_floor(canonical.points[..., 2].min(axis=1) / size),
            *check_stature(height),
            *find_jumps(canonical.positions, clip.fps),
            *find_glitches(canonical.rotations, clip.fps),
        ),
    )
    turns, offsets = canonical.rotations, canonical.offsets
    return _motion(clip, canonical.positions, turns, offsets, report, fps=fps), report


def _motion(
    clip: Clip, positions: Array, rotations: Array, offsets: Array, report: Report, *, fps: float
) -> Motion:
    positions, rotations = resample(positions, rotations, source_fps=clip.fps, fps=fps)
    return Motion(
        root_positions=positions,
        rotations=rotations,
        offsets=offsets,
        fps=fps,
        source=Source(
            name=clip.name,
            fps=clip.fps,
            scale=report.scale,
            family=report.family,
            joints=report.joints,
        ),
    )


def _height(offsets: Array) -> float:
    """Stature of the T-pose: from the sole to the crown."""
    above = sum(offsets[JOINTS.index(j), 2] for j in ("Spine", "Spine1", "Spine2", "Neck", "Head"))
    below = sum(offsets[JOINTS.index("Left" + j), 2] for j in ("UpLeg", "Leg", "Foot", "Toe"))
    return float(above - below + toe_height(offsets) + _CROWN)
