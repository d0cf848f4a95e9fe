"""Do decoded windows fit together at their borders?"""

from __future__ import annotations

import numpy as np

from bvh.motion import Motion

__all__ = ["seam_errors"]


def seam_errors(truth: Motion, decoded: Motion, *, window: int) -> dict[str, float]:
    """Error of the joints' frame-to-frame displacement at window borders and inside windows.

    Windows are decoded independently, so what they disagree about shows as a jump
    between the last frame of one and the first of the next.

    Args:
        truth, decoded: motions of equal length.
        window: frames a window.

    Returns:
        ``seam_mm`` and ``inside_mm``, mean over joints and steps in world space; empty
        where there is no border.
    """
    frames = len(truth)
    if frames <= window:
        return {}
    steps = [np.diff(m.global_positions(), axis=0) for m in (truth, decoded)]
    error = 1e3 * np.linalg.norm(steps[1] - steps[0], axis=-1).mean(axis=1)
    border = np.arange(1, frames) % window == 0
    return {"seam_mm": float(error[border].mean()), "inside_mm": float(error[~border].mean())}
