"""Distance from test to training windows, which reveals near duplicates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bvh.motion import Motion
from motiontok.data import COLUMNS, WindowSet, from_motion, split_windows

__all__ = ["nearest_training_mm", "pose_windows"]

_EVERY = 4
"""Frames of a window that are compared to find candidates; all frames judge them."""

_CANDIDATES = 8
_CHUNK = 16_384


def pose_windows(motions: Sequence[Motion], length: int, *, most: int) -> Tensor:
    """Hips-relative joint positions ``(windows, length, 21, 3)``, metres on the reference body.

    Args:
        motions: clips to cut into consecutive windows; incomplete windows at their ends, which a
            tokenizer fills up, are left out.
        length: frames a window.
        most: largest number of windows, spread evenly over all.
    """
    features = [from_motion(m)[: max(len(m) // length, 1) * length] for m in motions]
    cut = np.concatenate([split_windows(f, length)[..., COLUMNS["positions"]] for f in features])
    chosen = np.linspace(0, len(cut) - 1, min(most, len(cut))).round().astype(int)
    return torch.tensor(cut[chosen], dtype=torch.float32).unflatten(-1, (-1, 3))


@torch.no_grad()
def nearest_training_mm(training: WindowSet, tests: Tensor) -> Tensor:
    """Distance of each test window to the nearest training window, mm.

    The distance is the mean over frames and joints of the distance of hips-relative joint positions
    on the reference body, heading taken out: the joint error of answering with the training window
    itself. Candidates are the nearest by squared distance in a few of the frames. So the result may
    be a little too large, never too small.

    Args:
        training: windows at every valid start, mirror images included if they were trained on.
        tests: ``(tests, length, 21, 3)``, as :func:`pose_windows` gives them.

    Returns:
        ``(tests,)``.
    """
    frames = training.frames[:, COLUMNS["positions"]].cpu()
    starts = training.starts.cpu()
    length = training.length
    few = torch.arange(0, length, _EVERY)
    wanted = tests[:, few].flatten(1)
    best = torch.full((len(tests), 0), torch.inf)
    places = torch.zeros((len(tests), 0), dtype=torch.long)
    for part in starts.split(_CHUNK):
        found = frames[part[:, None] + few].flatten(1)
        # |a - b|^2 without |a|^2, which does not say which b is nearest.
        square = (found**2).sum(dim=1) - 2.0 * wanted @ found.T
        square, index = square.topk(min(_CANDIDATES, len(part)), dim=1, largest=False)
        best, places = torch.cat([best, square], dim=1), torch.cat([places, part[index]], dim=1)
        best, index = best.topk(min(_CANDIDATES, best.shape[1]), dim=1, largest=False)
        places = places.gather(1, index)
    candidates = frames[places[..., None] + torch.arange(length)].unflatten(-1, (-1, 3))
    distance = (candidates - tests[:, None]).norm(dim=-1).mean(dim=(-1, -2))
    return 1000.0 * distance.amin(dim=1)
