"""Measures of whole clips, for any coder: bits, errors of decoded motion, speed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from bvh.motion import Motion
from motiontok.data import (
    COLUMNS,
    Start,
    Statistics,
    accumulate,
    blend_seams,
    differentiate,
    from_motion,
    lock_feet,
    split_windows,
    to_motion,
)
from motiontok.errors import DataError
from motiontok.evaluate.cost import clock_of
from motiontok.evaluate.motion_metrics import compare_motions, mean_metrics
from motiontok.evaluate.scalar_codec import ScalarCodec
from motiontok.evaluate.seams import seam_errors
from motiontok.tokenizer import MotionTokenizer

__all__ = ["ClipCoder", "CodecCoder", "TokenCoder", "measure_clips"]

Coded = TypeVar("Coded")
Update = Callable[[int], object]


class ClipCoder(Protocol[Coded]):
    """Codes whole motions in a number of bits, and decodes them."""

    @property
    def frames_per_window(self) -> int:
        """Frames that are coded together, at 30 frames/s."""
        ...

    def encode(self, motion: Motion) -> Coded:
        """What the motion is coded to."""
        ...

    def bits(self, coded: Coded) -> NDArray[Any]:
        """Bits ``(windows,)`` of each window."""
        ...

    def decode(self, coded: Coded, motion: Motion) -> Motion:
        """The motion again, on the bones of ``motion`` and from where it started."""
        ...


@dataclass(frozen=True, eq=False)
class TokenCoder:
    """A tokenizer, by all of a window's codes or the ``first`` ones."""

    tokenizer: MotionTokenizer
    first: int | None = None

    @property
    def frames_per_window(self) -> int:
        """The tokenizer's."""
        return self.tokenizer.frames_per_window

    def encode(self, motion: Motion) -> NDArray[Any]:
        """Codes ``(windows, codes_per_window)``, or so many as are the ``first``."""
        codes = self.tokenizer.encode(motion, first=self.first)
        assert isinstance(codes, np.ndarray)
        return codes

    def bits(self, coded: NDArray[Any]) -> NDArray[Any]:
        """Bits ``(windows,)``, the same for all: each code counts log2 of the vocabulary."""
        return np.full(len(coded), coded.shape[1] * math.log2(self.tokenizer.vocab_size))

    def decode(self, coded: NDArray[Any], motion: Motion) -> Motion:
        """As users decode: windows joined, feet held, on the bones of ``motion``."""
        return self.tokenizer.decode(
            coded,
            start=Start.of(motion),
            offsets=motion.offsets,
            frames=len(motion),
            source=motion.source,
            first=self.first,
        )


@dataclass(frozen=True, eq=False)
class CodecCoder:
    """The codec of variable length: seams blended, feet locked, still bodies not held."""

    codec: ScalarCodec
    statistics: Statistics
    frames_per_window: int

    def encode(self, motion: Motion) -> NDArray[np.int64]:
        """Rounded coefficients ``(windows, components)``."""
        cut = split_windows(from_motion(motion), self.frames_per_window)
        x = self.statistics.standardize(accumulate(torch.tensor(cut, dtype=torch.float32)))
        return self.codec.encode(x.to(self.codec.components.mean))

    def bits(self, coded: NDArray[np.int64]) -> NDArray[Any]:
        """Bits ``(windows,)`` that the entropy coder needs, each window its own."""
        return self.codec.bits(coded)

    def decode(self, coded: NDArray[np.int64], motion: Motion) -> Motion:
        """Windows joined and feet held, on the bones of ``motion``."""
        y = differentiate(self.statistics.restore(self.codec.decode(coded)))
        joined = blend_seams(y.flatten(0, 1).double().cpu().numpy(), self.frames_per_window)
        features = joined[: len(motion)]
        start = Start.of(motion)
        decoded = to_motion(features, motion.offsets, start=start, source=motion.source)
        return lock_feet(decoded, features[:, COLUMNS["contacts"]])


@torch.no_grad()
def measure_clips(
    coder: ClipCoder[Any],
    motions: Sequence[Motion],
    *,
    device: torch.device | str = "cpu",
    update: Update | None = None,
) -> dict[str, float]:
    """Measure decoded motion, each clip on its own skeleton.

    Args:
        coder: to judge.
        motions: clips to code.
        device: where it computes, which decides the clock.
        update: called with the number of clips done.

    Returns:
        Means over clips, weighted by frames, of
        :func:`~motiontok.evaluate.motion_metrics.compare_motions` and
        :func:`~motiontok.evaluate.seams.seam_errors`; ``bits_per_window``, the mean over these
        clips' windows; ``encode_frames_per_s`` and ``decode_frames_per_s``, from motion to codes
        and from codes to motion, features and standing feet included; ``clips``, ``frames`` and
        ``windows``.

    Raises:
        DataError: there are no clips.
    """
    if not motions:
        raise DataError("no clips to measure")
    clock = clock_of(torch.device(device))
    rows, bits = [], []
    encoding = decoding = 0.0
    for done, motion in enumerate(motions, start=1):
        begin = clock()
        coded = coder.encode(motion)
        middle = clock()
        decoded = coder.decode(coded, motion)
        decoding += clock() - middle
        encoding += middle - begin
        bits.append(coder.bits(coded))
        errors = compare_motions(motion, decoded)
        errors |= seam_errors(motion, decoded, window=coder.frames_per_window)
        rows.append((len(motion), errors))
        if update is not None:
            update(done)
    frames = sum(len(motion) for motion in motions)
    of_windows = np.concatenate(bits)
    return mean_metrics(rows) | {
        "bits_per_window": float(of_windows.mean()),
        "encode_frames_per_s": frames / max(encoding, 1e-9),
        "decode_frames_per_s": frames / max(decoding, 1e-9),
        "clips": len(motions),
        "frames": frames,
        "windows": len(of_windows),
    }
