"""Joints that leap from one frame to the next, as swapped markers make them."""

from __future__ import annotations

import numpy as np

from bvh.remarks import remark
from bvh.rotations import Array, angle_between
from bvh.skeleton import JOINTS

__all__ = ["find_glitches"]

_FAST = np.radians(1800.0)  # rad/s
_LEAP = np.radians(60.0)  # rad; at hundreds of frames a second noise is fast, but smaller
_NEAR = 4  # frames before and after
_CALM = 4.0  # times as large as the steps near it
_ODD = 2  # frames at most after which a joint is back
_BACK = 0.35  # of the leap that a joint may be off when it is back
_LINES = 20


def find_glitches(rotations: Array, fps: float) -> tuple[str, ...]:
    """A line on each moment in which joints leap as no body does; or none.

    A joint leaps if it turns by 60 degrees or more from a frame to the next, faster than 1800
    degrees/s, and four times as far as between any frames of the four before and the four after.
    Muscles speed a limb up over several frames. It may leap and be back after one frame or two.

    Args:
        rotations: ``(frames, 22, 4)`` of the joints in their parents, unit quaternions.
        fps: frames per second.
    """
    leaps = _leaps(rotations, fps)
    lines = []
    for (start, end), joints in sorted(leaps.items()):
        first, *others = sorted(joints, key=joints.__getitem__, reverse=True)
        back = f" and back by frame {end}" if end > start + 1 else ""
        more = f", with {', '.join(JOINTS[j] for j in others)}" if others else ""
        text = f"{JOINTS[first]} turns by {np.degrees(joints[first]):.0f} degrees from frame "
        lines.append(f"{text}{start} to {start + 1}{back}{more}")
    if left := lines[_LINES:]:
        lines = [*lines[:_LINES], f"joints leap in {len(left)} more frames"]
    return tuple(remark("glitch", line) for line in lines)


def _leaps(rotations: Array, fps: float) -> dict[tuple[int, int], dict[int, float]]:
    """Frames before a leap and after it, or after the way back -> angle (rad) of each joint."""
    steps = angle_between(rotations[1:], rotations[:-1])
    # In so few frames nothing tells a leap from fast motion.
    if len(steps) <= _NEAR:
        return {}
    large = steps > max(_LEAP, _FAST / fps)
    found: dict[tuple[int, int], dict[int, float]] = {}
    for joint in np.flatnonzero(large.any(axis=0)).tolist():
        of, done = steps[:, joint], 0
        for start in np.flatnonzero(large[:, joint]).tolist():
            for end in range(start + 1, min(start + _ODD + 2, len(rotations))):
                if start < done or not large[end - 1, joint]:
                    continue
                leap = min(of[start], of[end - 1])
                near = (*of[max(start - _NEAR, 0) : start], *of[end : end + _NEAR])
                off = angle_between(rotations[start, joint], rotations[end, joint])
                if leap > _CALM * max(near) and (end == start + 1 or off < _BACK * leap):
                    found.setdefault((start, end), {})[joint] = float(of[start])
                    done = end
    return found
