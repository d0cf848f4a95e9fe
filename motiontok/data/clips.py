"""The clips a configuration names, split into training and held-out ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bvh import lafan, procedural
from bvh.errors import BVHError
from bvh.motion import Motion
from bvh.motion_io import Calibrations
from bvh.reading import Reading
from bvh.rotations import Array
from motiontok.config import DataConfig
from motiontok.data.distortion import reconstruction_metrics
from motiontok.data.features import from_motion
from motiontok.data.once import Once
from motiontok.data.sets import (
    check_weights,
    find_copies,
    notes_on,
    read_sets,
    remarks_on,
    set_names,
    shared_calibrations,
    split_sets,
    without,
)
from motiontok.data.statistics import Statistics
from motiontok.data.windows import (
    WindowSet,
    accumulate,
    draw_shares,
    split_windows,
    starts_in,
)
from motiontok.errors import DataError

__all__ = ["ClipSet", "Clips", "TrainingData", "every_clip", "load_clips", "make_training_data"]

_LICENCES = {
    "lafan": "trained on LAFAN1 (Ubisoft La Forge), CC BY-NC-ND 4.0",
    "bandai": "trained on the Bandai-Namco Research Motion Dataset, CC BY-NC 4.0",
    "folder": "trained on the user's own clips; their licence applies",
    "general": "trained on the user's own sets of clips; the licence of each applies",
    "procedural": "trained on procedural clips, no restriction from data",
}


@dataclass(frozen=True, eq=False)
class ClipSet:
    """Motions of one folder, archive or file.

    Attributes:
        name: of the set.
        training, held_out: canonical motions to train on and to measure on.
        skipped: (file, reason) of files that could not be read.
        weight: how much more often it is drawn than a set of as many windows with weight 1.
    """

    name: str
    training: Sequence[Motion]
    held_out: Sequence[Motion]
    skipped: Sequence[tuple[str, str]] = ()
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class Clips:
    """Sets of motions to train on and to measure on.

    Attributes:
        sets: in the order in which they were given.
        licence: note on what the data allows.
        notes: lines for the user on what is not as given: clips that two sets have, sets of
            which nothing is held out, and what looks wrong in files or had to be assumed.
        calibrations: of their rigs, by rig.
    """

    sets: tuple[ClipSet, ...]
    licence: str
    notes: tuple[str, ...] = ()
    calibrations: Calibrations = field(default_factory=dict)

    @property
    def training(self) -> list[Motion]:
        """Motions to train on, set by set."""
        return [motion for of in self.sets for motion in of.training]

    @property
    def held_out(self) -> list[Motion]:
        """Motions held out, set by set."""
        return [motion for of in self.sets for motion in of.held_out]

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """(file, reason) of files that could not be read; of several sets with the set's name."""
        several = len(self.sets) > 1
        return [
            (f"{of.name}/{file}" if several else file, reason)
            for of in self.sets
            for file, reason in of.skipped
        ]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Clips as a training loop wants them: a :class:`motiontok.training.TrainingSet`.

    Attributes:
        windows: training windows.
        validation: ``(windows, frames, 203)`` held-out windows, standardised.
        statistics: of the training features.
        fingerprint: of the names and lengths of all clips. Not of their features, whose
            last bits depend on the machine.
        calibrations: with which the clips of each rig were read.
    """

    windows: WindowSet
    validation: Tensor
    statistics: Statistics
    fingerprint: str
    calibrations: Calibrations = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.windows)

    def stretched(self, stretch: int) -> TrainingData:
        """The same, whose observations to train on are so many consecutive windows."""
        return replace(self, windows=self.windows.stretched(stretch))

    def batch(self, size: int, generator: torch.Generator, rows: slice = slice(None)) -> Tensor:
        """``size`` windows ``(size, frames, 203)``, of the sets by their shares."""
        return self.windows.batch(size, generator, rows)

    def once(self, generator: torch.Generator) -> Once:
        """Every window once, in random order, of the sets by their shares while they last."""
        return self.windows.once(generator)

    def seek(self, drawn: int) -> None:
        """Nothing to do: the generator alone says which windows come next."""

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


def load_clips(
    config: DataConfig,
    paths: Sequence[str | Path],
    *,
    seed: int,
    strict: bool = False,
    reading: Reading | None = None,
    calibrations: Calibrations | None = None,
    update: Callable[[int, int], object] | None = None,
) -> Clips:
    """Read or make the clips of a configuration.

    Each path is a set, of which a share is held out as if it were alone, so that measuring on
    it alone is measuring on the same clips. A clip that an earlier set has too is left out.

    Args:
        config: data section of a run.
        paths: folders, archives or files of clips; procedural data takes none.
        seed: of procedural clips.
        strict: an unreadable clip, or a fault in one, is an error.
        reading: how BVH files are to be understood.
        calibrations: of the tokenizer that is to be measured; none calibrates rigs.
        update: called with files done and files in all, of the sets so far.

    Raises:
        DataError: no path where one is needed, nothing usable there, or weights of sets that
            are not there.
    """
    if config.dataset not in _LICENCES:
        raise DataError(
            f"data.dataset: no data set {config.dataset!r}; choose from {', '.join(_LICENCES)}"
        )
    licence = _LICENCES[config.dataset]
    if config.dataset == "procedural":
        if paths:
            raise DataError(
                "procedural data is made, not read: --data goes with lafan, bandai, general or a "
                "configuration whose data.dataset is one of them"
            )
        check_weights(config, ["procedural"])
        held = max(config.clips // config.holdout, 1)
        made = ClipSet(
            "procedural",
            procedural.dataset(config.clips, seconds=config.seconds, seed=seed),
            # Another seed: other bodies, styles and paths, never a cut of a training clip.
            procedural.dataset(held, seconds=config.seconds, seed=seed + 1_000_003),
        )
        return Clips((made,), licence)
    if not paths and config.dataset != "lafan":
        raise DataError(
            f"training on {config.dataset} needs --data: a folder, .zip or .tar of BVH files; "
            "several may be given"
        )
    try:
        if config.dataset == "lafan":
            places = [lafan.find(path) for path in paths] or [lafan.find()]
        else:
            places = [Path(path) for path in paths]
        names = set_names(places)
        check_weights(config, names)
        found = read_sets(
            places, strict=strict, reading=reading, calibrations=calibrations, update=update
        )
        copies = find_copies(found, names)
        parts = split_sets(config, names, found, copies)
    except BVHError as error:
        missing = config.dataset == "lafan" and not paths
        how = " with --data (lafan1.zip, its folder, or the clone)" if missing else ""
        raise DataError(f"{error}{how}") from None
    sets = (
        ClipSet(
            name,
            part.train.motions,
            part.held_out.motions,
            of.skipped,
            config.weights.get(name, 1.0),
        )
        for name, of, part in zip(names, found, parts, strict=True)
    )
    alone = [name for name, part in zip(names, parts, strict=True) if not part.held_out.motions]
    notes = [f"{name}: a single clip, which is trained on; nothing is held out" for name in alone]
    clips = Clips(
        tuple(sets),
        licence,
        (*notes_on(copies, names), *notes, *remarks_on(found, names)),
        shared_calibrations(found),
    )
    if not clips.held_out:
        raise DataError(
            f"nothing is held out of {', '.join(names)}: of a set of a single clip nothing can be; "
            "put clips that belong together in one folder"
        )
    return clips


def every_clip(
    paths: Sequence[str | Path],
    *,
    strict: bool = False,
    reading: Reading | None = None,
    calibrations: Calibrations | None = None,
    update: Callable[[int, int], object] | None = None,
) -> Clips:
    """All clips of all paths, to measure on.

    Args:
        paths, strict, reading, calibrations, update: as :func:`load_clips` takes them.

    Raises:
        BVHError: nothing is there, or no clip that can be read.
        DataError: a path is given twice, or has only clips that an earlier one has.
    """
    places = [Path(path) for path in paths]
    names = set_names(places)
    found = read_sets(
        places, strict=strict, reading=reading, calibrations=calibrations, update=update
    )
    copies = find_copies(found, names)
    sets = (
        ClipSet(name, (), without(of, copied).motions, of.skipped)
        for name, of, copied in zip(names, found, copies, strict=True)
    )
    return Clips(tuple(sets), "", (*notes_on(copies, names), *remarks_on(found, names)))


def make_training_data(
    clips: Clips,
    config: DataConfig,
    *,
    statistics: Statistics | None = None,
    device: torch.device | str = "cpu",
) -> TrainingData:
    """Features, statistics and windows of clips.

    Args:
        clips: to train and to measure on.
        config: data section of a run.
        statistics: to standardise with; those of the clips by default.
        device: where the windows live.
    """
    length = config.window
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
    )


def _statistics(by_set: list[list[Array]], weights: list[float], length: int) -> Statistics:
    """Of windows that do not overlap; each set counts for its share."""
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
    lists = [[(m.source.name, len(m)) for m in part] for part in parts]
    return hashlib.sha256(json.dumps(lists).encode()).hexdigest()[:16]
