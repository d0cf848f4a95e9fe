"""Errors at the borders of decoded windows."""

from __future__ import annotations

import numpy as np

from bvh.motion import Motion

__all__ = ["seam_errors"]


def seam_errors(truth: Motion, decoded: Motion, *, window: int) -> dict[str, float]:
    """Error of the joints' frame-to-frame displacement at window borders and inside windows.

    Windows are decoded independently, so their disagreement shows as a jump between the last frame
    of one and the first of the next.

    Args:
        truth, decoded: motions of equal length.
        window: frames a window.

    Returns:
        ``seam_mm`` and ``inside_mm``, mean over joints and steps in world space, and
        ``border_step_mm`` and ``border_step_truth_mm``, mean length of the steps across borders
        in the decoded motion and in the source; empty where there is no border.
    """
    frames = len(truth)
    if frames <= window:
        return {}
    steps = [np.diff(m.global_positions(), axis=0) for m in (truth, decoded)]
    error = 1e3 * np.linalg.norm(steps[1] - steps[0], axis=-1).mean(axis=1)
    border = np.arange(1, frames) % window == 0
    lengths = [1e3 * np.linalg.norm(s[border], axis=-1).mean() for s in steps]
    return {
        "seam_mm": float(error[border].mean()),
        "inside_mm": float(error[~border].mean()),
        "border_step_mm": float(lengths[1]),
        "border_step_truth_mm": float(lengths[0]),
    }
