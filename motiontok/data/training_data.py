"""Windows of clips for training and measuring, in memory or from a store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from bvh.dataset import LazyMotions, lengths_of
from bvh.motion import Motion
from bvh.motion_io import Calibrations
from bvh.rotations import Array
from motiontok.config import DataConfig
from motiontok.data.body_part_mixing import draw_parts, mixed
from motiontok.data.clips import Clips, ClipSet
from motiontok.data.distortion import reconstruction_metrics
from motiontok.data.features import from_motion
from motiontok.data.statistics import Statistics
from motiontok.data.store.sampling import held_out_windows, sample_statistics
from motiontok.data.store.shelf import Shelf, is_stored
from motiontok.data.store.windows import StoredWindows
from motiontok.data.windows import WindowSet, accumulate, draw_shares, split_windows, starts_in

__all__ = ["TrainingData", "make_training_data", "windows_to_measure"]

_HELD_OUT = 4_096
"""Held-out windows of a store that are kept in memory: 106 MB of 32 frames."""

_MEASURED = 16_384
"""Windows of a store that are measured on, at most."""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Clips for the training loop: a :class:`motiontok.training.TrainingSet`.

    Attributes:
        windows: training windows.
        validation: ``(windows, frames, 203)`` held-out windows, standardised.
        statistics: of the training features.
        fingerprint: of the names and lengths of all clips; features are left out, since their last
            bits depend on the machine.
        calibrations: of each rig's clips.
        mix: share of the draws that are made of two windows
            (:mod:`motiontok.data.body_part_mixing`).
    """

    windows: WindowSet | StoredWindows
    validation: Tensor
    statistics: Statistics
    fingerprint: str
    calibrations: Calibrations = field(default_factory=dict)
    mix: float = 0.0

    def __len__(self) -> int:
        return len(self.windows)

    def stretched(self, stretch: int) -> TrainingData:
        """The same data with ``stretch`` consecutive windows per training observation."""
        return replace(self, windows=self.windows.stretched(stretch))

    def batch(self, size: int, generator: torch.Generator, rows: slice = slice(None)) -> Tensor:
        """``size`` windows ``(size, frames, 203)``, of the sets by their shares."""
        found = self.windows.batch(size, generator, rows)
        if not self.mix:
            return found
        others = self.windows.batch(size, generator, rows)
        parts = draw_parts(size, self.mix, generator, found.device)[rows]
        return mixed(found, others, parts, self.windows.statistics)

    def once(self, generator: torch.Generator) -> Callable[[int], Tensor]:
        """Every window once, in random order, of the sets by their shares while they last."""
        return self.windows.once(generator)

    def seek(self, drawn: int) -> None:
        """Continue after ``drawn`` windows, if the generator does not decide the order."""
        self.windows.seek(2 * drawn if self.mix else drawn)

    def metrics(self, x: Tensor, y: Tensor) -> dict[str, float]:
        """Errors of windows ``y`` from ``x (..., frames, 203)``, standardised.

        Returns:
            ``mse``, ``psnr`` and ``mpjpe_mm`` (hips-relative joint positions as the columns
            state them) of :func:`~motiontok.data.distortion.reconstruction_metrics`.
        """
        x, y = (t.reshape(-1, *t.shape[-2:]) for t in (x, y))
        found = reconstruction_metrics(x, y, self.statistics)
        mpjpe = found["window_mpjpe_mm"]
        return {"mse": found["mse"], "psnr": found["psnr"], "mpjpe_mm": mpjpe}


def make_training_data(
    clips: Clips,
    config: DataConfig,
    *,
    statistics: Statistics | None = None,
    device: torch.device | str = "cpu",
    seed: int = 0,
    most_held_out: int = _HELD_OUT,
) -> TrainingData:
    """Features, statistics and windows of clips.

    Args:
        clips: for training and measuring.
        config: data section of a run.
        statistics: for standardising; those of the clips by default.
        device: where windows live, or where features of a store are computed.
        seed: of draws from a store; all others are the training loop's.
        most_held_out: most held-out windows of a store to keep in memory.
    """
    length = config.window
    if is_stored([part for of in clips.sets for part in (of.training, of.held_out)]):
        return _of_store(clips, config, statistics, device, seed, most_held_out)
    by_set = [_features(of, mirror=config.mirror) for of in clips.sets]
    every = [features for of in by_set for features in of]
    weights = [of.weight for of in clips.sets]
    if statistics is None:
        statistics = _statistics(by_set, weights, length)
    held_out = [from_motion(m) for m in clips.held_out]
    return TrainingData(
        windows=WindowSet(
            every,
            length,
            statistics,
            sets=list(zip(map(len, by_set), weights, strict=True)),
            warp=config.warp,
            device=device,
        ),
        validation=WindowSet(held_out, length, statistics, device=device).enumerated(),
        statistics=statistics,
        fingerprint=_fingerprint(clips),
        calibrations=clips.calibrations,
        mix=config.mix,
    )


def windows_to_measure(clips: Clips, length: int, statistics: Statistics) -> Tensor:
    """Consecutive windows ``(windows, length, 203)`` of held-out clips, standardised.

    All of them, or 16,384, evenly spread, if a store is among the sets.
    """
    parts = [of.held_out for of in clips.sets if of.held_out]
    if is_stored(parts):
        shelf = Shelf(parts)
        every = np.concatenate(shelf.numbers)
        return held_out_windows(shelf, every, length, statistics, most=_MEASURED)
    features = [from_motion(m) for m in clips.held_out]
    return WindowSet(features, length, statistics).enumerated()


def _of_store(
    clips: Clips,
    config: DataConfig,
    statistics: Statistics | None,
    device: torch.device | str,
    seed: int,
    most: int,
) -> TrainingData:
    """:func:`make_training_data` for stores; memory does not grow with their size.

    Clips of folders are packed in memory beside them, so that all are drawn alike.
    """
    count = len(clips.sets)
    shelf = Shelf([*(of.training for of in clips.sets), *(of.held_out for of in clips.sets)])
    sets = [(shelf.numbers[n], of.weight) for n, of in enumerate(clips.sets)]
    held_out = np.concatenate(shelf.numbers[count:])
    if statistics is None:
        statistics = sample_statistics(shelf, sets, config.window, mirror=config.mirror)
    return TrainingData(
        windows=StoredWindows(
            shelf,
            sets,
            config.window,
            statistics,
            mirror=config.mirror,
            warp=config.warp,
            seed=seed,
            device=device,
        ),
        validation=held_out_windows(
            shelf, held_out, config.window, statistics, most=most, device=device
        ),
        statistics=statistics,
        fingerprint=_fingerprint(clips),
        calibrations=clips.calibrations,
        mix=config.mix,
    )


def _statistics(by_set: list[list[Array]], weights: list[float], length: int) -> Statistics:
    """Statistics of windows that do not overlap; each set counts for its share."""
    windows = [sum(starts_in(len(f), length) for f in of) for of in by_set]
    cut = [[split_windows(f, length) for f in of] for of in by_set]
    counts = [sum(map(len, of)) for of in cut]
    shares = [
        torch.full((count,), share / max(count, 1))
        for share, count in zip(draw_shares(windows, weights), counts, strict=True)
    ]
    joined = torch.from_numpy(np.concatenate([part for of in cut for part in of]))
    return Statistics.fit(accumulate(joined), torch.cat(shares))


def _features(of: ClipSet, *, mirror: bool) -> list[Array]:
    motions = [*of.training, *(m.mirrored() for m in of.training if mirror)]
    # In single precision, as windows are: large sets need not fit twice.
    return [from_motion(motion).astype(np.float32) for motion in motions]


def _fingerprint(clips: Clips) -> str:
    parts = [part for of in clips.sets for part in (of.training, of.held_out)]
    lists: list[object] = [
        list(zip(_names_of(part), lengths_of(part), strict=True)) for part in parts
    ]
    if any(isinstance(part, LazyMotions) for part in parts):
        # Of the same clips a store draws other windows.
        lists.append("store")
    return hashlib.sha256(json.dumps(lists).encode()).hexdigest()[:16]


def _names_of(motions: Sequence[Motion]) -> list[str]:
    return motions.names if isinstance(motions, LazyMotions) else [m.source.name for m in motions]
