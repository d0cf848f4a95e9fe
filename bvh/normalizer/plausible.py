"""Checks for the impossible: places beyond the Earth, jumps, bones that stretch, odd sizes."""

from __future__ import annotations

import numpy as np

from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.normalizer.geometry import median
from bvh.remarks import remark
from bvh.rotations import Array
from bvh.skeleton import JOINTS, PARENTS

__all__ = [
    "check_places",
    "check_rate",
    "check_root",
    "check_stature",
    "check_stretch",
    "find_jumps",
    "find_lying",
]

_FAR = 1e11  # in any unit from millimetres up, farther than anywhere on Earth
_FAST = 30.0  # m/s; a fall from 45 m ends at this speed
_RATES = (5.0, 300.0)  # frames/s; of fewer nothing is known between, more are a mistake
_FEET = [JOINTS.index("LeftFoot"), JOINTS.index("RightFoot")]
_STATURES = (0.9, 2.3)  # m; from a child of three years to the tallest people
_STRETCH = 0.005  # m; a bone that changes length by more is worth a remark
_STANDS = 0.5  # cosine; trunk and legs of a body that stands, crouches or bends point so far up
_STEP = 0.1  # s; between two places of a foot that may have stood
# Correlations of standing feet with the root's way, and shares of the way that no body has at such
# a correlation. In leaps and pivots on one foot it is lower, and shares are half or twice as large.
_TELLS = ((0.9, 0.5, 1.8), (0.7, 0.2, 5.0))
_JUMP = 0.1  # m; at thousands of frames a second noise alone is fast, but moves less than this


def check_places(clip: Clip) -> None:
    """Raise a :class:`BVHError` for a position that no body can have, whatever the unit."""
    far = (np.abs(clip.positions) > _FAR) & np.isfinite(clip.positions)
    if far.any():
        frame, joint, axis = (int(i) for i in np.argwhere(far)[0])
        raise BVHError(
            f"{clip.name}: position {'xyz'[axis]} of {clip.names[joint]} is "
            f"{clip.positions[frame, joint, axis]:.3g} in frame {frame}, where no body can be; "
            "repair or remove that frame"
        )


def find_jumps(positions: Array, fps: float) -> tuple[str, ...]:
    """One line if the root ``(frames, 3)``, in metres, moves faster than a body can; or none."""
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=-1)
    found = np.flatnonzero((steps * fps > _FAST) & (steps > _JUMP))
    if not len(found):
        return ()
    first = int(found[0])
    more = f", and {len(found) - 1} more such" if len(found) > 1 else ""
    return (
        remark(
            "jump",
            f"the root jumps {steps[first]:.3g} m from frame {first} to {first + 1} "
            f"({steps[first] * fps:.0f} m/s){more}",
        ),
    )


def find_lying(upright: Array) -> tuple[str, ...]:
    """A line on a body whose trunk and legs ``(frames,)`` do not point up (cosine); or none."""
    middle = float(median(upright))
    if middle >= _STANDS:
        return ()
    how = "is upside down" if middle < -_STANDS else "lies"
    end = "most of the time; if it should stand, say which axis points up"
    return (remark("lies", f"the body {how} {end}"),)


def check_rate(fps: float) -> tuple[str, ...]:
    """A line on a clip with too few or too many frames a second; or none."""
    if _RATES[0] <= fps <= _RATES[1]:
        return ()
    usual = f"{_RATES[0]:g} to {_RATES[1]:g} are usual"
    return (remark("frame-rate", f"{fps:.4g} frames/s; {usual}"),)


def check_stature(height: float) -> tuple[str, ...]:
    """A line on a stature, in metres, that people do not have; or none."""
    if _STATURES[0] <= height <= _STATURES[1]:
        return ()
    size = f"the body is {height:.2f} m tall"
    return (remark("stature", f"{size}; if that is wrong, give metres per unit"),)


def check_root(positions: Array, frame_time: float) -> tuple[str, ...]:
    """A line on a root whose unit is not that of the bones; or none.

    While a foot stands, the hips move as far one way as the foot, seen from them, moves the
    other. The lower foot stands most of the time. If it does not, as in the air and on a treadmill,
    the two movements are uncorrelated.

    Args:
        positions: ``(frames, 22, 3)`` joints in world axes.
        frame_time: seconds per frame.
    """
    step = max(1, round(_STEP / frame_time))
    hips, feet = positions[:, JOINTS.index("Hips")], positions[:, _FEET]
    lower = np.argmin(feet[..., 2], axis=1)
    first = np.flatnonzero(lower[step:] == lower[:-step])
    last, foot = first + step, lower[first]
    went = hips[last] - hips[first]
    back = went - (feet[last, foot] - feet[first, foot])
    along, root, seen = (
        float(np.sum(a * b)) for a, b in ((went, back), (went, went), (back, back))
    )
    if root <= 0.0 or seen <= 0.0:
        return ()
    close, share = along / (root * seen) ** 0.5, (seen / root) ** 0.5
    if not any(close > near and not low < share < high for near, low, high in _TELLS):
        return ()
    what = "the root's positions seem to be in another unit than the bones"
    return (remark("unit", f"{what}: standing feet show {share:.2g} times the root's way"),)


def check_stretch(stretch: Array) -> tuple[str, ...]:
    """A line on each bone that changes its length by ``stretch`` ``(22,)`` metres."""
    lines = []
    for joint in np.flatnonzero(stretch > _STRETCH):
        name, parent = JOINTS[joint], JOINTS[PARENTS[joint]]
        by = f"by {1e3 * stretch[joint]:.0f} mm"
        what = (
            f"{name} moves {by} in the chest, which is dropped"
            if name.endswith("Shoulder")
            else f"bone {parent}-{name} stretches {by}; its length is held constant"
        )
        lines.append(remark("bones", what))
    return tuple(lines)
