"""The clips a configuration names, split into training and held-out ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bvh import dataset, lafan, procedural, splits
from bvh.errors import BVHError
from bvh.motion import Motion
from motiontok.config import DataConfig
from motiontok.data.distortion import reconstruction_metrics
from motiontok.data.features import from_motion
from motiontok.data.once import Once
from motiontok.data.statistics import Statistics
from motiontok.data.windows import WindowSet, accumulate, split_windows
from motiontok.errors import DataError

__all__ = ["Clips", "TrainingData", "load_clips", "make_training_data"]

_LICENCES = {
    "lafan": "trained on LAFAN1 (Ubisoft La Forge), CC BY-NC-ND 4.0",
    "bandai": "trained on the Bandai-Namco Research Motion Dataset, CC BY-NC 4.0",
    "folder": "trained on the user's own clips; their licence applies",
    "procedural": "trained on procedural clips, no restriction from data",
}


@dataclass(frozen=True, eq=False)
class Clips:
    """Motions to train on and motions held out.

    Attributes:
        training, held_out: canonical motions.
        skipped: (file, reason) of files that could not be read.
        licence: note on what the data allows.
    """

    training: Sequence[Motion]
    held_out: Sequence[Motion]
    skipped: Sequence[tuple[str, str]]
    licence: str


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Clips as a training loop wants them: a :class:`motiontok.training.TrainingSet`.

    Attributes:
        windows: training windows.
        validation: ``(windows, frames, 203)`` held-out windows, standardised.
        statistics: of the training features.
        fingerprint: of the names and lengths of all clips. Not of their features, whose
            last bits depend on the machine.
    """

    windows: WindowSet
    validation: Tensor
    statistics: Statistics
    fingerprint: str

    def __len__(self) -> int:
        return len(self.windows)

    def batch(self, size: int, generator: torch.Generator, rows: slice = slice(None)) -> Tensor:
        """``size`` windows ``(size, frames, 203)``, each valid start equally likely."""
        return self.windows.batch(size, generator, rows)

    def once(self, generator: torch.Generator) -> Once:
        """Every window once, in random order."""
        return self.windows.once(generator)

    def seek(self, drawn: int) -> None:
        """Nothing to do: the generator alone says which windows come next."""

    def metrics(self, x: Tensor, y: Tensor) -> dict[str, float]:
        """Errors of windows ``y`` from ``x (windows, frames, 203)``, standardised.

        Returns:
            ``mse``, ``psnr`` and ``mpjpe_mm`` (hips-relative joint positions as the columns
            state them) of :func:`~motiontok.data.distortion.reconstruction_metrics`.
        """
        found = reconstruction_metrics(x, y, self.statistics)
        mpjpe = found["window_mpjpe_mm"]
        return {"mse": found["mse"], "psnr": found["psnr"], "mpjpe_mm": mpjpe}


def load_clips(
    config: DataConfig,
    path: str | Path | None,
    *,
    seed: int,
    strict: bool = False,
    update: Callable[[int, int], object] | None = None,
) -> Clips:
    """Read or make the clips of a configuration.

    Args:
        config: data section of a run.
        path: folder, archive or file of clips; procedural data takes none.
        seed: of procedural clips.
        strict: an unreadable clip is an error instead of being skipped.
        update: called with files done and files in all.

    Raises:
        DataError: no path where one is needed, or nothing usable there.
    """
    if config.dataset not in _LICENCES:
        raise DataError(
            f"data.dataset: no data set {config.dataset!r}; choose from {', '.join(_LICENCES)}"
        )
    licence = _LICENCES[config.dataset]
    if config.dataset == "procedural":
        if path is not None:
            raise DataError(
                "procedural data is made, not read: --data goes with lafan, bandai or a "
                "configuration whose data.dataset is one of them"
            )
        held = max(config.clips // config.holdout, 1)
        return Clips(
            procedural.dataset(config.clips, seconds=config.seconds, seed=seed),
            # Another seed: other bodies, styles and paths, never a cut of a training clip.
            procedural.dataset(held, seconds=config.seconds, seed=seed + 1_000_003),
            (),
            licence,
        )
    try:
        if config.dataset == "lafan":
            found = dataset.load(lafan.find(path), progress=update, strict=strict)
            stems = {Path(name).stem for name in found.names}
            complete = set(lafan.DAPS_VALIDATION) <= stems
            split = lafan.daps_split(found) if complete else splits.every_nth(found, config.holdout)
        else:
            if path is None:
                raise DataError(
                    f"training on {config.dataset} needs --data: a folder, .zip or .tar of BVH "
                    "files"
                )
            found = dataset.load(path, progress=update, strict=strict)
            actions = [name.strip() for name in config.holdout_actions.split(",") if name.strip()]
            split = (
                splits.by_action(found, actions)
                if actions
                else splits.every_nth(found, config.holdout)
            )
    except BVHError as error:
        missing = config.dataset == "lafan" and path is None
        how = " with --data (lafan1.zip, its folder, or the clone)" if missing else ""
        raise DataError(f"{error}{how}") from None
    return Clips(split.train.motions, split.held_out.motions, found.skipped, licence)


def make_training_data(
    clips: Clips, config: DataConfig, *, device: torch.device | str = "cpu"
) -> TrainingData:
    """Features, statistics and windows of clips."""
    motions = list(clips.training)
    if config.mirror:
        motions += [m.mirrored() for m in clips.training]
    features = [from_motion(m) for m in motions]
    cut = np.concatenate([split_windows(f, config.window) for f in features])
    statistics = Statistics.fit(accumulate(torch.tensor(cut, dtype=torch.float32)))
    held_out = [from_motion(m) for m in clips.held_out]
    return TrainingData(
        windows=WindowSet(features, config.window, statistics, device=device),
        validation=WindowSet(held_out, config.window, statistics, device=device).enumerated(),
        statistics=statistics,
        fingerprint=_fingerprint(clips),
    )


def _fingerprint(clips: Clips) -> str:
    lists = [[(m.source.name, len(m)) for m in s] for s in (clips.training, clips.held_out)]
    return hashlib.sha256(json.dumps(lists).encode()).hexdigest()[:16]
