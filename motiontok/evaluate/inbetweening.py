"""LAFAN1's in-betweening benchmark: L2P, L2Q, NPSS and its two naive baselines.

Harvey, Yurick, Nowrouzezahrai, Pal, "Robust Motion In-Betweening", SIGGRAPH 2020. The
published figures of the baselines are a check of the data path from file to metric:
the same windows, normalisation and metrics are computed here, on the clips in their
own axes and units (Y up, centimetres).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bvh import Clip, lafan, read
from bvh.archives import find_motion_files, is_archive, unpack
from bvh.forward_kinematics import forward_kinematics
from bvh.rotations import (
    Array,
    align_signs,
    between,
    conjugate,
    multiply,
    normalize,
    rotate,
    slerp,
)
from bvh.splits import parse_name
from motiontok.errors import DataError

__all__ = [
    "LENGTHS",
    "PAST",
    "PUBLISHED",
    "Score",
    "Statistics",
    "Windows",
    "cut",
    "evaluate_baselines",
    "interpolation",
    "l2p",
    "l2q",
    "npss",
    "score_baselines",
    "zero_velocity",
]

LENGTHS: tuple[int, ...] = (5, 15, 30, 45)
"""Lengths of the transitions, frames."""

PAST = 10
"""Frames of context before a transition; the frame after it is known, too."""

_TRAIN_WINDOW, _TRAIN_STRIDE = 50, 20
_TEST_WINDOW, _TEST_STRIDE = 65, 40

_ZERO_VELOCITY, _INTERPOLATION = "zero velocity", "interpolation"


@dataclass(frozen=True)
class Score:
    """Mean errors of a method on transitions of one length.

    Attributes:
        method: name of the method.
        length: frames of the transition.
        l2q: L2 distance of global quaternions.
        l2p: L2 distance of normalised global positions.
        npss: normalised power spectrum similarity of global quaternions (0 is best).
    """

    method: str
    length: int
    l2q: float
    l2p: float
    npss: float


PUBLISHED: tuple[Score, ...] = (
    Score(_ZERO_VELOCITY, 5, 0.56, 1.523, 0.0053),
    Score(_ZERO_VELOCITY, 15, 1.10, 3.694, 0.0522),
    Score(_ZERO_VELOCITY, 30, 1.51, 6.600, 0.2318),
    Score(_ZERO_VELOCITY, 45, 1.81, 9.329, 0.4918),
    Score(_INTERPOLATION, 5, 0.22, 0.373, 0.0023),
    Score(_INTERPOLATION, 15, 0.62, 1.249, 0.0391),
    Score(_INTERPOLATION, 30, 0.98, 2.316, 0.2013),
    Score(_INTERPOLATION, 45, 1.25, 3.447, 0.4493),
)
"""Figures of the benchmark's authors, tested on subject 5."""


@dataclass(frozen=True)
class Windows:
    """Windows of clips on one skeleton, source units and axes.

    Attributes:
        root: ``(windows, frames, 3)`` positions of the root.
        rotations: ``(windows, frames, joints, 4)`` local quaternions, signs continuous.
        offsets: ``(joints, 3)``; the root's is not used.
        parents: parent index of each joint.
    """

    root: Array
    rotations: Array
    offsets: Array
    parents: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.root)

    def frames(self, part: slice) -> Windows:
        """The same windows restricted to some frames."""
        return Windows(self.root[:, part], self.rotations[:, part], self.offsets, self.parents)

    def global_transforms(self) -> tuple[Array, Array]:
        """Global rotations ``(windows, frames, joints, 4)`` and positions ``(..., 3)``."""
        local = np.broadcast_to(self.offsets, (*self.rotations.shape[:-1], 3)).copy()
        local[..., 0, :] = self.root
        return forward_kinematics(self.rotations, local, self.parents)


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of global positions, each ``(joints, 3)``."""

    mean: Array
    std: Array

    @classmethod
    def of(cls, parts: Iterable[Windows]) -> Statistics:
        """Statistics over the windows and frames of all parts.

        Raises:
            DataError: there is no window.
        """
        count, total, squares = 0, np.zeros(()), np.zeros(())
        for windows in parts:
            positions = windows.global_transforms()[1]
            count += positions.shape[0] * positions.shape[1]
            total = total + positions.sum(axis=(0, 1))
            squares = squares + np.square(positions).sum(axis=(0, 1))
        if not count:
            raise DataError(f"no clip to train on is longer than {_TRAIN_WINDOW} frames")
        mean = total / count
        std = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
        # What never moves has no scale of its own; keep the unit.
        return cls(mean, np.where(std > 0, std, 1.0))


def cut(clip: Clip, *, length: int, stride: int) -> Windows:
    """Cut a clip into windows, each centred and turned to one facing.

    A window's root has zero mean in the ground plane; in the last frame of the past
    context the root's Y axis points along +X.
    """
    rotations = align_signs(clip.rotations)
    # Strictly less, as the benchmark has it: the last possible window is left out.
    starts = np.arange(0, max(clip.frames - length, 0), stride)
    frames = starts[:, None] + np.arange(length)
    root = clip.positions[:, 0][frames]
    windows = rotations[frames]
    plane = np.array([1.0, 0.0, 1.0])
    root = root - root.mean(axis=1, keepdims=True) * plane
    if len(starts):
        forward = plane * rotate(windows[:, PAST - 1, 0], np.array([0.0, 1.0, 0.0]))
        level = conjugate(between(np.array([1.0, 0.0, 0.0]), forward))[:, None]
        root = rotate(level, root)
        windows[:, :, 0] = multiply(level, windows[:, :, 0])
    return Windows(root, windows, clip.offsets, clip.parents)


def zero_velocity(windows: Windows, length: int) -> Windows:
    """Repeat the last frame of the past during the transition."""
    last = windows.frames(slice(PAST - 1, PAST))
    return Windows(
        np.repeat(last.root, length, axis=1),
        np.repeat(last.rotations, length, axis=1),
        windows.offsets,
        windows.parents,
    )


def interpolation(windows: Windows, length: int) -> Windows:
    """Blend the last frame of the past into the first of the future.

    The root is interpolated linearly, rotations spherically; rotations less than about 16 degrees
    apart linearly and normalised, as in the benchmark.
    """
    before, after = PAST - 1, PAST + length
    shares = np.linspace(0.0, 1.0, length + 2)[1:-1]
    start, end = windows.root[:, before, None], windows.root[:, after, None]
    root = start + shares[:, None] * (end - start)
    a, b = windows.rotations[:, before, None], windows.rotations[:, after, None]
    dot = np.sum(a * b, axis=-1, keepdims=True)
    b = np.where(dot < 0, -b, b)
    t = shares[:, None]
    linear = normalize((1.0 - t[..., None]) * a + t[..., None] * b)
    rotations = np.where(1.0 - np.abs(dot) < 0.01, linear, slerp(a, b, t))
    return Windows(root, rotations, windows.offsets, windows.parents)


def l2q(truth: Array, estimate: Array) -> float:
    """Mean over frames of the L2 distance of all global quaternions.

    Args:
        truth: ``(windows, frames, joints, 4)``, signs as in ``estimate``.
        estimate: the same shape.
    """
    return float(np.sqrt(np.square(estimate - truth).sum(axis=(-2, -1))).mean())


def l2p(truth: Array, estimate: Array, statistics: Statistics) -> float:
    """Mean over frames of the L2 distance of all normalised global positions.

    Args:
        truth: ``(windows, frames, joints, 3)``.
        estimate: the same shape.
        statistics: of the clips trained on, in the same units.
    """
    difference = (estimate - truth) / statistics.std
    return float(np.sqrt(np.square(difference).sum(axis=(-2, -1))).mean())


def npss(truth: Array, estimate: Array) -> float:
    """Normalised power spectrum similarity: 0 for equal spectra, larger is worse.

    Gopalakrishnan et al., "A Neural Temporal Model for Human Motion Prediction", CVPR
    2019: earth mover's distance of the normalised power spectra of every feature,
    weighted by the feature's true power. As in the benchmark, the power is the square
    of the real part of the transform.

    Args:
        truth: ``(windows, frames, ...)``.
        estimate: the same shape.
    """
    true_power, power = (
        np.square(np.fft.fft(x.reshape(*x.shape[:2], -1), axis=1).real) for x in (truth, estimate)
    )
    true_total, total = true_power.sum(axis=1), power.sum(axis=1)
    # A feature that is zero throughout has no spectrum; as truth its weight is zero.
    true_share = true_power / np.where(true_total > 0, true_total, 1.0)[:, None]
    share = power / np.where(total > 0, total, 1.0)[:, None]
    distance = np.abs(np.cumsum(share - true_share, axis=1)).sum(axis=1)
    return float(np.average(distance, weights=true_total))


def score_baselines(train: Iterable[Clip], test: Iterable[Clip]) -> list[Score]:
    """Scores of the two baselines, in the order of :data:`PUBLISHED`.

    Args:
        train: clips whose positions' statistics normalise L2P.
        test: clips to make transitions in.

    Raises:
        DataError: no clip is long enough, or skeletons differ in their joints.
    """
    statistics = Statistics.of(
        cut(clip, length=_TRAIN_WINDOW, stride=_TRAIN_STRIDE) for clip in train
    )
    parts = [cut(clip, length=_TEST_WINDOW, stride=_TEST_STRIDE) for clip in test]
    parts = [part for part in parts if len(part)]
    if not parts:
        raise DataError(f"no clip to test on is longer than {_TEST_WINDOW} frames")
    if {part.parents for part in parts} != {parts[0].parents}:
        raise DataError("clips to test on differ in their skeletons; LAFAN1's have one")
    windows = Windows(
        np.concatenate([part.root for part in parts]),
        np.concatenate([part.rotations for part in parts]),
        parts[0].offsets,
        parts[0].parents,
    )
    scores = []
    for method, predict in ((_ZERO_VELOCITY, zero_velocity), (_INTERPOLATION, interpolation)):
        for length in LENGTHS:
            quaternions, positions = windows.frames(slice(PAST, PAST + length)).global_transforms()
            estimate = predict(windows, length).global_transforms()
            scores.append(
                Score(
                    method,
                    length,
                    l2q=l2q(quaternions, estimate[0]),
                    l2p=l2p(positions, estimate[1], statistics),
                    npss=npss(quaternions, estimate[0]),
                )
            )
    return scores


def evaluate_baselines(
    path: str | Path | None = None, *, progress: Callable[[int, int], object] | None = None
) -> list[Score]:
    """Score the baselines on LAFAN1: trained on subjects 1 to 4, tested on subject 5.

    Args:
        path: what :func:`bvh.lafan.find` takes: archive, folder, clone, or nothing.
        progress: called as ``progress(done, total)``, in clips read.

    Raises:
        BVHError: the data is not there or a clip cannot be read.
        DataError: clips of subject 5, or of others, are missing.
    """
    found = lafan.find(path)
    with tempfile.TemporaryDirectory(prefix="motiontok-") as temporary:
        folder = found
        if is_archive(found):
            folder = Path(temporary)
            unpack(found, folder)
        names = [name for name in find_motion_files(folder) if name.lower().endswith(".bvh")]
        subjects = {name: parse_name(name).subject for name in names}
        tested = [name for name in names if subjects[name] == lafan.BENCHMARK_TEST_SUBJECT]
        trained = [name for name in names if subjects[name] and name not in tested]
        if not tested or not trained:
            raise DataError(
                f"{found}: {len(tested)} clips of subject 5 and {len(trained)} of others among "
                f"{len(names)}; LAFAN1's are named like walk1_subject5.bvh"
            )
        clips = _reader(folder, len(trained) + len(tested), progress)
        return score_baselines(clips(trained), clips(tested))


def _reader(
    folder: Path, total: int, progress: Callable[[int, int], object] | None
) -> Callable[[Sequence[str]], Iterator[Clip]]:
    done = 0

    def clips(names: Sequence[str]) -> Iterator[Clip]:
        nonlocal done
        for name in names:
            clip = read(folder / name)
            done += 1
            if progress:
                progress(done, total)
            yield clip

    return clips
