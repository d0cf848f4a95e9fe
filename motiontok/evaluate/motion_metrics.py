"""Errors of a decoded motion against its source, in the field's units."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from bvh import rotations as rot
from bvh.foot_contacts import STILL
from bvh.motion import Motion
from bvh.rotations import Array
from bvh.skeleton import FEET, JOINTS
from motiontok.errors import DataError

__all__ = ["compare_motions", "foot_skate", "mean_metrics", "procrustes_mpjpe"]

_NEAR_FLOOR = 0.05  # m above the lowest place of a foot in the clip

END_EFFECTORS = tuple(
    JOINTS.index(name) for name in ("LeftFoot", "RightFoot", "Head", "LeftHand", "RightHand")
)


def compare_motions(truth: Motion, decoded: Motion) -> dict[str, float]:
    """Errors of one decoded motion.

    Returns:
        - ``mpjpe_mm``: joint position error after aligning the hips of each frame
          (translation only, Ionescu et al. 2014), 21 joints, with heading taken out.
        - ``mpjpe_global_mm``: without any alignment; grows with root drift.
        - ``mpjpe_procrustes_mm``: after the best rigid alignment of each frame.
        - ``end_effectors_mm``: as ``mpjpe_mm``, of feet, hands and head alone.
        - ``rotation_deg``: mean geodesic error of local joint rotations, hips left out.
        - ``velocity_mm_s``, ``acceleration_mm_s2``: mean error of hips-relative joint
          velocities and accelerations.
        - ``speed_mm_s``, ``speed_truth_mm_s``, ``acceleration_size_mm_s2``,
          ``acceleration_size_truth_mm_s2``: mean size of these velocities and accelerations in each
          motion. Less than the source's means smoothing, more means trembling.
        - ``jerk_m_s3``, ``jerk_truth_m_s3``: mean size of the joints' third derivative in world
          space, so that the root's counts too.
        - ``skate_mm_s``, ``skate_truth_mm_s``: :func:`foot_skate` of each.
        - ``drift_mm``: distance between the roots on the floor at the last frame.

    Raises:
        DataError: the motions have different lengths or rates.
    """
    if len(truth) != len(decoded) or abs(truth.fps - decoded.fps) > 1e-3:
        raise DataError(
            f"cannot compare {len(truth)} frames at {truth.fps:g} fps with {len(decoded)} at "
            f"{decoded.fps:g}"
        )
    a, b = truth.global_positions(), decoded.global_positions()
    local_a, local_b = _body(truth, a), _body(decoded, b)
    out = {
        "mpjpe_mm": 1e3 * _distance(local_a[:, 1:], local_b[:, 1:]),
        "mpjpe_global_mm": 1e3 * _distance(a, b),
        "mpjpe_procrustes_mm": 1e3 * procrustes_mpjpe(a, b),
        "end_effectors_mm": 1e3 * _distance(local_a[:, END_EFFECTORS], local_b[:, END_EFFECTORS]),
        "rotation_deg": float(
            np.degrees(rot.angle_between(truth.rotations[:, 1:], decoded.rotations[:, 1:]).mean())
        ),
        "skate_mm_s": foot_skate(b, truth=a, fps=truth.fps),
        "skate_truth_mm_s": foot_skate(a, truth=a, fps=truth.fps),
        "drift_mm": 1e3 * float(np.linalg.norm(a[-1, 0, :2] - b[-1, 0, :2])),
    }
    for order, error, size in (
        (1, "velocity_mm_s", "speed"),
        (2, "acceleration_mm_s2", "acceleration_size"),
    ):
        if len(truth) > order:
            scale, unit = 1e3 * truth.fps**order, error[error.index("_mm") :]
            of_a, of_b = np.diff(local_a, order, axis=0), np.diff(local_b, order, axis=0)
            out[error] = scale * _distance(of_a, of_b)
            out[f"{size}{unit}"] = scale * _distance(of_b, 0.0)
            out[f"{size}_truth{unit}"] = scale * _distance(of_a, 0.0)
    if len(truth) > 3:
        for name, positions in (("jerk_m_s3", b), ("jerk_truth_m_s3", a)):
            out[name] = truth.fps**3 * _distance(np.diff(positions, 3, axis=0), 0.0)
    return out


def procrustes_mpjpe(truth: Array, decoded: Array) -> float:
    """Mean joint distance, metres, after the best rotation and translation of each frame.

    Args:
        truth, decoded: ``(frames, joints, 3)``. Scale is kept (Umeyama 1991 without it).
    """
    a = truth - truth.mean(axis=1, keepdims=True)
    b = decoded - decoded.mean(axis=1, keepdims=True)
    u, _, vt = np.linalg.svd(np.swapaxes(b, 1, 2) @ a)
    flip = np.ones((len(a), 1, 3))
    flip[:, 0, 2] = np.sign(np.linalg.det(u @ vt))
    return _distance(a, b @ ((u * flip) @ vt))


def foot_skate(positions: Array, *, truth: Array, fps: float) -> float:
    """Mean horizontal speed, mm/s, of feet and toes while the source stands on them.

    Contact comes from the source: a foot or toe within 5 cm of its lowest height in the clip and
    slower than 0.15 m/s. 0 where there is no contact.

    Args:
        positions: ``(frames, 22, 3)`` of the motion to judge.
        truth: the same of the source.
        fps: frames per second.
    """
    if len(truth) < 2:
        return 0.0
    feet = truth[:, list(FEET)]
    speed = np.linalg.norm(np.diff(feet, axis=0), axis=-1) * fps
    low = feet[1:, :, 2] < feet[..., 2].min(axis=0) + _NEAR_FLOOR
    planted = low & (speed < STILL)
    if not planted.any():
        return 0.0
    slide = np.linalg.norm(np.diff(positions[:, list(FEET), :2], axis=0), axis=-1) * fps
    return float(1e3 * slide[planted].mean())


def mean_metrics(rows: Iterable[tuple[int, dict[str, float]]]) -> dict[str, float]:
    """Means of metrics over clips, weighted by their frames."""
    collected: dict[str, list[tuple[int, float]]] = {}
    for frames, metrics in rows:
        for name, value in metrics.items():
            collected.setdefault(name, []).append((frames, value))
    return {
        name: float(np.average([v for _, v in pairs], weights=[w for w, _ in pairs]))
        for name, pairs in collected.items()
    }


def _body(motion: Motion, positions: Array) -> Array:
    """Hips-relative positions in the heading frame ``(frames, 22, 3)``."""
    yaw = rot.yaw_of(motion.rotations[:, 0])
    heading_from_world = rot.from_axis_angle([0.0, 0.0, 1.0], -yaw)
    return rot.rotate(heading_from_world[:, None], positions - positions[:, :1])


def _distance(a: Array, b: Array | float) -> float:
    return float(np.linalg.norm(a - b, axis=-1).mean())
