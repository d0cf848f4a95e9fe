"""The public object: motion to codes and back."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bvh.motion import FPS, Motion, Source
from bvh.rotations import Array
from bvh.skeleton import DEFAULT_OFFSETS
from motiontok.codes import Codes
from motiontok.config import Config
from motiontok.data import (
    COLUMNS,
    FEATURES,
    Start,
    Statistics,
    accumulate,
    blend_seams,
    differentiate,
    plant_feet,
    split_windows,
    to_motion,
)
from motiontok.errors import CodesError, DataError, TokenizerError
from motiontok.methods import DiscreteAutoencoder
from motiontok.tokens.checks import check_codes, features_of, motion_of
from motiontok.tokens.folder import (
    FORMAT,
    Parts,
    find_folder,
    fingerprint_of,
    read_folder,
    write_folder,
)

__all__ = ["FORMAT", "MotionTokenizer"]

_CHUNK = 256


class MotionTokenizer:
    """Human motion to short sequences of integers and back.

    ::

        tokenizer = MotionTokenizer.from_pretrained("runs/lafan")
        codes = tokenizer.encode(motion)            # (windows, codes_per_window)
        again = tokenizer.decode(codes, offsets=motion.offsets)

    Encoding is deterministic: the most likely code at each position. ``effort`` K > 1
    draws K - 1 more candidates a window, always the same ones, and keeps the one that
    decodes best. Only a ``temperature`` or a ``generator`` makes it random.

    Args:
        method: a trained autoencoder.
        statistics: of the features it was trained on.
        offsets: ``(22, 3)`` skeleton used where a caller gives none.
        licence: note on the licence of the training data.
    """

    def __init__(
        self,
        method: DiscreteAutoencoder,
        statistics: Statistics,
        *,
        offsets: Array = DEFAULT_OFFSETS,
        licence: str = "",
    ) -> None:
        self.method = method.eval()
        self.statistics = statistics
        self.offsets = np.asarray(offsets, dtype=np.float64)
        self.licence = licence
        self._fingerprint: str | None = None

    @property
    def config(self) -> Config:
        """Configuration of the training run."""
        return self.method.config

    @property
    def vocab_size(self) -> int:
        """Number of values a code can take."""
        return self.config.model.vocab_size

    @property
    def codes_per_window(self) -> int:
        """Codes a window."""
        return self.config.model.codes_per_window

    @property
    def frames_per_window(self) -> int:
        """Frames a window: codes of window w cover frames ``w * n`` to ``(w + 1) * n - 1``."""
        return self.config.data.window

    @property
    def fps(self) -> float:
        """Frames per second of the motion that is encoded."""
        return FPS

    @property
    def bits_per_second(self) -> float:
        """Rate of the codes, fixed length."""
        bits = self.codes_per_window * float(np.log2(self.vocab_size))
        return bits * self.fps / self.frames_per_window

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with any weight, statistic or size."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint_of(self._parts)
        return self._fingerprint

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.method.parameters()).device

    def to(self, device: torch.device | str) -> MotionTokenizer:
        """Move the weights; returns self."""
        self.method.to(device)
        return self

    def encode(
        self,
        motion: Motion | str | os.PathLike[str] | Array | Tensor,
        *,
        effort: int = 1,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> NDArray[np.int64] | Tensor:
        """Codes of a motion of any length.

        Args:
            motion: a motion, the path of a clip (.bvh) or motion (.npz), or raw features
                ``(..., frames, 203)`` as NumPy or torch.
            effort: candidates a window.
            temperature: 0 is deterministic; a positive value samples.
            generator: source of randomness, on the tokenizer's device; without one, a
                temperature draws from torch's global one.

        Returns:
            Integers ``(..., windows, codes_per_window)``: torch if torch came in, NumPy
            otherwise. The last window is filled up by holding the last frame.

        Raises:
            DataError: wrong shape or values that are not finite, effort below 1 or a
                negative temperature.
            BVHError: the path is no readable clip.
        """
        if effort < 1:
            raise DataError(f"effort must be at least 1, got {effort}")
        if not 0.0 <= temperature < float("inf"):
            raise DataError(f"temperature must be 0 or positive, got {temperature}")
        if generator is None and temperature == 0.0:
            generator = torch.Generator(self.device).manual_seed(0)
        as_tensor = isinstance(motion, Tensor)
        features = features_of(motion)
        leading, frames = features.shape[:-2], features.shape[-2]
        rows = features.reshape(-1, frames, FEATURES)
        windows = np.concatenate([split_windows(r, self.frames_per_window) for r in rows])
        raw = torch.tensor(windows, dtype=torch.float32)
        x = self.statistics.standardize(accumulate(raw))
        parts = [
            self.method.encode(
                c.to(self.device), effort=effort, temperature=temperature, generator=generator
            )
            for c in x.split(max(1, _CHUNK // effort))
        ]
        codes = torch.cat(parts).reshape(*leading, -1, self.codes_per_window)
        return codes if as_tensor else codes.cpu().numpy()

    def decode_features(self, codes: NDArray[Any] | Tensor) -> Array:
        """Raw features ``(..., windows * frames_per_window, 203)`` of codes, seams blended.

        Args:
            codes: integers ``(..., windows, codes_per_window)``.

        Raises:
            CodesError: wrong shape, type or a value outside the vocabulary.
        """
        z = check_codes(codes, codes_per_window=self.codes_per_window, vocab_size=self.vocab_size)
        leading = z.shape[:-2]
        with torch.no_grad():
            flat = z.reshape(-1, self.codes_per_window)
            parts = [self.method.decode(c.to(self.device)).cpu() for c in flat.split(_CHUNK)]
        features = differentiate(self.statistics.restore(torch.cat(parts))).double().numpy()
        return blend_seams(features.reshape(*leading, -1, FEATURES), self.frames_per_window)

    def decode(
        self,
        codes: NDArray[Any] | Tensor,
        *,
        start: Start | None = None,
        offsets: Array | None = None,
        frames: int | None = None,
        source: Source | None = None,
    ) -> Motion:
        """Motion of codes ``(windows, codes_per_window)``, with standing feet held in place.

        Args:
            codes: integers.
            start: place and heading of frame 0; the origin facing +X by default.
            offsets: ``(22, 3)`` the subject's rest offsets; the tokenizer's by default.
            frames: frames to keep, at most ``windows * frames_per_window``.
            source: origin to record.

        Raises:
            CodesError: wrong shape, type or a value outside the vocabulary.
        """
        features = self.decode_features(codes)
        if features.ndim != 2:
            raise CodesError(
                f"decode takes codes of one motion (windows, codes_per_window), got shape "
                f"{tuple(codes.shape)}; decode_features takes batches"
            )
        if frames is not None:
            if not 0 < frames <= len(features):
                raise CodesError(
                    f"{frames} frames asked of {len(codes)} windows that hold {len(features)}"
                )
            features = features[:frames]
        skeleton = self.offsets if offsets is None else offsets
        motion = to_motion(features, skeleton, start=start, source=source)
        return plant_feet(motion, features[:, COLUMNS["contacts"]])

    def reconstruct(self, motion: Motion | str | os.PathLike[str], *, effort: int = 1) -> Motion:
        """Encode and decode, on the subject's own skeleton, from where it started."""
        loaded = motion_of(motion)
        codes = self.encode(loaded, effort=effort)
        return self.decode(
            codes,
            start=Start.of(loaded),
            offsets=loaded.offsets,
            frames=len(loaded),
            source=loaded.source,
        )

    def encode_to_codes(self, motion: Motion, *, effort: int = 1, tokenizer: str = "") -> Codes:
        """Codes with everything their file needs beside them."""
        array = self.encode(motion, effort=effort)
        assert isinstance(array, np.ndarray)
        return Codes(
            array.astype(np.uint16),
            fingerprint=self.fingerprint,
            tokenizer=tokenizer,
            frames=len(motion),
            start=Start.of(motion),
            offsets=motion.offsets,
            source=motion.source.name,
            licence=self.licence,
        )

    def decode_codes(self, codes: Codes) -> Motion:
        """Motion of a codes file.

        Raises:
            CodesError: the codes were made by another tokenizer.
        """
        if codes.fingerprint and codes.fingerprint != self.fingerprint:
            raise CodesError(
                f"{codes.source}: codes were made by tokenizer {codes.fingerprint}, this one is "
                f"{self.fingerprint}; give --tokenizer the folder they were encoded with"
                + (f" ({codes.tokenizer})" if codes.tokenizer else "")
            )
        return self.decode(
            codes.array,
            start=codes.start,
            offsets=codes.offsets,
            frames=codes.frames or None,
            source=Source(name=codes.source),
        )

    def save_pretrained(self, folder: str | os.PathLike[str], *, half: bool = False) -> None:
        """Write ``model.safetensors`` and ``config.json``, both or neither.

        Args:
            folder: where to; made if it is not there.
            half: keep weights in 16 bits, for half the size. They are rounded before the
                fingerprint is taken, so this is another tokenizer than the one in memory:
                read it back to encode with it.

        Raises:
            OSError: the folder cannot be written, or the disk is full.
        """
        if half:
            self._rounded().save_pretrained(folder)
            return
        write_folder(Path(folder), self._parts, self.fingerprint)

    @classmethod
    def from_pretrained(
        cls, folder: str | os.PathLike[str], *, device: torch.device | str = "cpu"
    ) -> MotionTokenizer:
        """Read a tokenizer folder, or the folder of the run that trained it.

        Args:
            folder: the folder, or ``"default"`` for the tokenizer shipped with the package.
            device: where to put the weights.

        Raises:
            TokenizerError: missing, incomplete, damaged or of another version.
        """
        path = find_folder(Path(folder))
        parts, fingerprint = read_folder(path)
        tokenizer = cls(
            parts.method, parts.statistics, offsets=parts.offsets, licence=parts.licence
        )
        if tokenizer.fingerprint != fingerprint:
            raise TokenizerError(
                f"{path}: config.json says fingerprint {fingerprint}, the weights have "
                f"{tokenizer.fingerprint}; the two files do not belong together"
            )
        return tokenizer.to(device)

    def _rounded(self) -> MotionTokenizer:
        """A copy whose weights fit 16 bits exactly."""
        method = copy.deepcopy(self.method)
        for tensor in (*method.parameters(), *method.buffers()):
            if tensor.is_floating_point():
                tensor.data = tensor.data.half().to(tensor.dtype)
        return MotionTokenizer(method, self.statistics, offsets=self.offsets, licence=self.licence)

    @property
    def _parts(self) -> Parts:
        return Parts(self.method, self.statistics, self.offsets, self.licence)
