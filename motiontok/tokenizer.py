"""The public object: motion to codes and back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bvh.motion import Motion, Source
from bvh.motion_io import Calibrations
from bvh.rotations import Array
from motiontok.codes import Codes
from motiontok.data import (
    COLUMNS,
    Start,
    StartLike,
    Statistics,
    blend_seams,
    from_motion,
    lock_feet,
    lock_feet_together,
    to_motion,
    to_motions,
)
from motiontok.errors import CodesError, DataError, TokenizerError
from motiontok.methods import DiscreteAutoencoder
from motiontok.tokens.batch import Batch, together, unpadded
from motiontok.tokens.checks import OnInvalid, motion_of, require_codes, usable_device
from motiontok.tokens.stream_coder import StreamCoder
from motiontok.tokens.tokenizer_folder import (
    FORMAT,
    Parts,
    find_folder,
    fingerprint_of,
    read_folder,
    rounded,
    write_folder,
)
from motiontok.tokens.windows import decode_windows

__all__ = ["FORMAT", "MotionTokenizer"]


class MotionTokenizer(StreamCoder):
    """Human motion to short sequences of integers and back.

    ::

        tokenizer = MotionTokenizer.from_pretrained("runs/lafan")
        codes = tokenizer.encode(motion)            # (windows, codes_per_window)
        again = tokenizer.decode(codes, offsets=motion.offsets)

    Encoding is deterministic. With an ``effort`` of 1 it takes the likeliest code at each
    position; more finds codes that decode to what is nearer. Only a ``temperature`` or a
    ``generator`` makes it random.

    Args:
        method: a trained autoencoder.
        statistics: of the features it was trained on.
        licence: note on the licence of the training data.
        calibrations: of the rigs it was trained on; files of these rigs are read with them.
    """

    def __init__(
        self,
        method: DiscreteAutoencoder,
        statistics: Statistics,
        *,
        licence: str = "",
        calibrations: Calibrations | None = None,
    ) -> None:
        super().__init__(method, statistics, calibrations)
        self.licence = licence
        self._fingerprint: str | None = None

    def __repr__(self) -> str:
        return (
            f"<MotionTokenizer {self.fingerprint}: {self.config.method.name}, "
            f"{self.codes_per_window} codes of {self.vocab_size} values for "
            f"{self.frames_per_window} frames, {self.bits_per_second:.0f} bits/s>"
        )

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with any weight, statistic or size."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint_of(self._parts)
        return self._fingerprint

    def decode(
        self,
        codes: NDArray[Any] | Tensor,
        *,
        start: StartLike | None = None,
        offsets: Array | None = None,
        frames: int | None = None,
        source: Source | None = None,
        on_invalid: OnInvalid = "error",
        plant: bool = True,
        first: int | None = None,
    ) -> Motion:
        """Motion of codes ``(windows, codes_per_window)``.

        Codes of lopq, pca-pq and temporal go from coarse to fine, and the first n of each window
        decode alone, to a coarser motion. State their number: ``decode(codes[:, :8], first=8)``.

        Args:
            codes: integers.
            start: place and heading of frame 0, or its x, y (m) and yaw (rad); the origin
                facing +X by default.
            offsets: ``(22, 3)`` the subject's rest offsets; the tokenizer's by default.
            frames: frames to keep, at most ``windows * frames_per_window``.
            source: origin to record.
            on_invalid: what to do about a window with a code outside the vocabulary: an
                ``"error"``, or ``"hold"`` the pose before it, standing still.
            plant: hold standing feet in place, and a body that is still.
            first: number of first codes of each window, if not all.

        Raises:
            CodesError: wrong shape, type or a value outside the vocabulary.
            DataError: impossible place or bones, or a number of codes that do not decode alone.
        """
        features = self._joined(codes, on_invalid, first)
        if features.ndim != 2:
            raise CodesError(
                f"decode takes codes of one motion (windows, codes_per_window), got shape "
                f"{tuple(codes.shape)}; decode_features takes batches"
            )
        if frames is not None:
            self._require_frames(frames, len(codes))
            features = features[:frames]
        if plant:
            features = self._held(features, codes)
        skeleton = self.offsets if offsets is None else offsets
        motion = to_motion(features, skeleton, start=start, source=source)
        return lock_feet(motion, features[:, COLUMNS["contacts"]]) if plant else motion

    def reconstruct(
        self,
        motion: Motion | str | os.PathLike[str],
        *,
        effort: int | None = None,
        hold_path: bool = False,
        first: int | None = None,
        rate_weight: float = 0.0,
    ) -> Motion:
        """Encode and decode, on the subject's own skeleton, from where it started."""
        loaded = motion_of(motion, self.calibrations)
        codes = self.encode(
            loaded, effort=effort, hold_path=hold_path, first=first, rate_weight=rate_weight
        )
        return self.decode(
            codes,
            start=Start.of(loaded),
            offsets=loaded.offsets,
            frames=len(loaded),
            source=loaded.source,
            first=first,
        )

    def encode_to_codes(
        self,
        motion: Motion | str | os.PathLike[str],
        *,
        effort: int | None = None,
        hold_path: bool = False,
        first: int | None = None,
        rate_weight: float = 0.0,
        tokenizer: str = "",
    ) -> Codes:
        """Codes with everything that their file needs.

        Args:
            motion: a motion, or the path of a clip (.bvh) or motion (.npz).
            effort, hold_path, first, rate_weight: as :meth:`encode` has them.
            tokenizer: place of this tokenizer, a note for decoding.

        Raises:
            DataError, BVHError: as :meth:`encode`.
        """
        loaded = motion_of(motion, self.calibrations)
        array = self.encode(
            loaded, effort=effort, hold_path=hold_path, first=first, rate_weight=rate_weight
        )
        assert isinstance(array, np.ndarray)
        return self.codes_of(loaded, array, first=first, tokenizer=tokenizer)

    def codes_of(
        self,
        motion: Motion,
        codes: NDArray[Any],
        *,
        first: int | None = None,
        tokenizer: str = "",
    ) -> Codes:
        """Codes of a motion with everything that their file needs; see :meth:`encode_to_codes`."""
        return Codes(
            codes.astype(np.uint16),
            fingerprint=self.fingerprint,
            tokenizer=tokenizer,
            frames=len(motion),
            start=Start.of(motion),
            offsets=motion.offsets,
            source=motion.source.name,
            licence=self.licence,
            first=first or 0,
        )

    def __call__(
        self,
        motion: Motion | str | os.PathLike[str] | Sequence[Motion | str | os.PathLike[str]],
        *,
        effort: int | None = None,
        hold_path: bool = False,
        first: int | None = None,
    ) -> Batch:
        """Codes of a motion, or of several in one padded array with its mask.

        Args:
            motion: a motion or path, or several of them.
            effort, hold_path, first: as :meth:`encode` has them.

        Raises:
            DataError, BVHError: as :meth:`encode`, or there are none.
        """
        alone = isinstance(motion, Motion | str | os.PathLike)
        several = [motion] if isinstance(motion, Motion | str | os.PathLike) else list(motion)
        if not several:
            raise DataError("no motions to encode")
        if alone or hold_path:
            clips = [
                self.encode_to_codes(one, effort=effort, hold_path=hold_path, first=first)
                for one in several
            ]
            return Batch.of(clips, alone=alone)
        motions = [motion_of(one, self.calibrations) for one in several]
        found = self.encode_clips([from_motion(one) for one in motions], effort=effort, first=first)
        both = zip(motions, found, strict=True)
        return Batch.of([self.codes_of(*one, first=first) for one in both], alone=False)

    def batch_decode(
        self,
        codes: Batch | NDArray[Any] | Sequence[NDArray[Any]],
        mask: NDArray[Any] | None = None,
        *,
        first: int | None = None,
    ) -> list[Motion]:
        """Motions of the codes of several clips.

        Args:
            codes: the result of calling the tokenizer, whose motions keep their places and bodies;
                or ``(clips, windows, codes_per_window)``, or an array for each clip, decoded from
                the origin and on the tokenizer's body.
            mask: ``(clips, windows)``, which windows of an array exist; all by default.
            first: as :meth:`decode` has it; a :class:`Batch` knows its own.

        Raises:
            CodesError: wrong shape, type or a value outside the vocabulary.
        """
        if isinstance(codes, Batch):
            return list(self.decode_many(codes.clips))
        return [self.decode(one, first=first) for one in unpadded(codes, mask)]

    def require(self, codes: Codes) -> None:
        """Refuse codes that cannot be decoded; those that name no tokenizer may be of this one.

        Raises:
            CodesError: they were made by another one, have a wrong shape or a value outside the
                vocabulary, or are no :class:`Codes`.
        """
        self._checked(codes)

    def decode_codes(self, codes: Codes) -> Motion:
        """Motion of a codes file.

        Raises:
            CodesError: the codes were made by another tokenizer.
        """
        self.require(codes)
        return self.decode(
            codes.array,
            start=codes.start,
            offsets=codes.offsets,
            frames=codes.frames or None,
            source=Source(name=codes.source),
            first=codes.first or None,
        )

    def decode_many(self, codes: Iterable[Codes]) -> Iterator[Motion]:
        """Motions of many codes files, each as by :meth:`decode_codes`, in order.

        Short clips are decoded together, in a third of the time; few are held at once.

        Raises:
            CodesError: codes were made by another tokenizer, or are not valid.
        """
        for some in together(codes):
            checked = [self._checked(one) for one in some]
            features = [
                self._held(
                    blend_seams(own, self.frames_per_window)[: one.frames or None], one.array
                )
                for one, own in zip(some, self._decode_apart(checked), strict=True)
            ]
            motions = to_motions(
                features,
                [one.offsets for one in some],
                starts=[one.start for one in some],
                sources=[Source(name=one.source) for one in some],
            )
            contacts = np.concatenate([rows[:, COLUMNS["contacts"]] for rows in features])
            yield from lock_feet_together(motions, contacts)

    def save_pretrained(self, folder: str | os.PathLike[str], *, compact: bool = False) -> None:
        """Write ``model.safetensors`` and ``config.json``, both or neither.

        ``calibrations.json`` comes with them if there are calibrations.

        Args:
            folder: made if it does not exist.
            compact: keep weights in 16 bits and most of lopq's in 8, for half and a third of
                the size. They are rounded before the fingerprint is computed, so this is another
                tokenizer than the one in memory: read it back to encode with it.

        Raises:
            OSError: the folder cannot be written, or the disk is full.
        """
        parts = self._parts._replace(noise=self.noise())
        parts = rounded(parts) if compact else parts
        write_folder(Path(folder), parts, fingerprint_of(parts))

    @classmethod
    def from_pretrained(
        cls, folder: str | os.PathLike[str], *, device: torch.device | str = "cpu"
    ) -> MotionTokenizer:
        """Read a tokenizer folder, or the folder of the run that trained it.

        Args:
            folder: the folder, ``"default"`` for the shipped one, or, if ``huggingface_hub`` is
                installed, ``owner/name`` of the Hugging Face hub.
            device: where to put the weights.

        Raises:
            TokenizerError: missing, incomplete, damaged or of another version.
            InputError: this machine has no such device.
        """
        place = usable_device(device)
        path = find_folder(Path(folder))
        parts, fingerprint = read_folder(path)
        known = parts.calibrations
        tokenizer = cls(parts.method, parts.statistics, licence=parts.licence, calibrations=known)
        if parts.noise is not None:
            tokenizer._noise[tokenizer.codes_per_window] = parts.noise
        if tokenizer.fingerprint != fingerprint:
            raise TokenizerError(
                f"{path}: config.json says fingerprint {fingerprint}, the weights have "
                f"{tokenizer.fingerprint}; the two files do not belong together"
            )
        return tokenizer.to(place)

    def _checked(self, codes: Codes) -> Tensor:
        """Integers of a codes file that can be decoded; an error names its source."""
        require_codes(codes)
        if codes.fingerprint and codes.fingerprint != self.fingerprint:
            raise CodesError(
                f"{codes.source}: codes were made by tokenizer {codes.fingerprint}, this one is "
                f"{self.fingerprint}; give --tokenizer the folder they were encoded with"
                + (f" ({codes.tokenizer})" if codes.tokenizer else "")
            )
        try:
            z, _ = self._check(codes.array, first=codes.first or None, prefixes=True)
            if codes.frames:
                self._require_frames(codes.frames, len(z))
        except (CodesError, DataError) as error:
            raise type(error)(f"{codes.source}: {error}") from None
        return z

    def _decode_apart(self, clips: list[Tensor]) -> list[Array]:
        """Raw frames of each clip; methods with independent windows decode them together."""
        if self.method.joins_windows:
            parts = [decode_windows(self.method, self.statistics, z) for z in clips]
        else:
            windows = decode_windows(self.method, self.statistics, torch.cat(clips))
            parts = np.split(windows, np.cumsum([len(z) for z in clips])[:-1])
        return [part.reshape(-1, part.shape[-1]) for part in parts]

    @property
    def _parts(self) -> Parts:
        return Parts(self.method, self.statistics, self.licence, self.calibrations)
