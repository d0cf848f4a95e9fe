"""Features to codes and back: the half of the tokenizer without a skeleton."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bvh.motion import FPS, Motion
from bvh.motion_io import Calibrations
from bvh.rotations import Array
from motiontok.config import Config
from motiontok.data import Noise, Statistics, StillnessFilter, blend_seams, measure_noise
from motiontok.encoding_limits import MOST_RATE_WEIGHT
from motiontok.errors import CodesError, DataError
from motiontok.methods import DiscreteAutoencoder
from motiontok.methods.daps.daps_temporal import DapsTemporal
from motiontok.tokens.checks import (
    OnInvalid,
    check_codes,
    check_generator,
    chosen_effort,
    features_of,
    hold_invalid,
    not_negative,
    stand_in,
    usable_device,
    whole,
)
from motiontok.tokens.held_path import encode_on_path
from motiontok.tokens.windows import (
    cut_windows,
    decode_windows,
    encode_clips,
    encode_windows,
    log_prob_windows,
)

__all__ = ["Coder"]

C = TypeVar("C", bound="Coder")


class Coder:
    """Encodes, decodes and counts codes of features.

    Args:
        method: a trained autoencoder.
        statistics: of the features it was trained on.
        calibrations: of the rigs it was trained on. Files of these rigs are read with them,
            as in training; a file of another rig is measured on itself.
    """

    def __init__(
        self,
        method: DiscreteAutoencoder,
        statistics: Statistics,
        calibrations: Calibrations | None = None,
    ) -> None:
        self.method = method.eval()
        self.statistics = statistics
        self.calibrations = dict(calibrations or {})
        self._noise: dict[int, Noise] = {}

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
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.method.device

    def to(self: C, device: torch.device | str) -> C:
        """Move the weights; returns self. An InputError says that there is no such device."""
        self.method.to(usable_device(device))
        return self

    def encode(
        self,
        motion: Motion | str | os.PathLike[str] | Array | Tensor,
        *,
        effort: int | None = None,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
        hold_path: bool = False,
        first: int | None = None,
        rate_weight: float = 0.0,
    ) -> NDArray[np.int64] | Tensor:
        """Codes of a motion of any length.

        Args:
            motion: a motion, the path of a clip (.bvh) or motion (.npz), or raw features
                ``(..., frames, 203)`` as NumPy or torch.
            effort: 1 takes the likeliest codes. More looks further for codes that decode to what
                is near: a number of candidates, or of rounds. By default the method's own: 3 for
                temporal and daps-temporal, 1 for others, and for codes that are drawn.
            temperature: 0 is deterministic; a positive value samples.
            generator: source of randomness, on the tokenizer's device; without one, a
                temperature draws from torch's global one.
            hold_path: correct windows back to the path of the motion, so that the root of a long
                motion does not drift.
            first: keep only the first so many codes of each window, with a tokenizer whose first
                codes decode alone (lopq, pca-pq, temporal): fewer bits, coarser motion.
            rate_weight: for daps-temporal, weight of a nat of the tokenizer's own prior against the
                error: 1 is the slope of its rate-distortion curve. Tokens are then easier to
                predict (:meth:`nats`); an ``effort`` of 4 or more finds them.

        Returns:
            Integers ``(..., windows, codes_per_window)``, or ``first`` of them: torch if torch
            came in, NumPy otherwise. The last window is filled up by holding the last frame.

        Raises:
            DataError: no motion, wrong shape or values that are not finite, an effort that is not
                1 to 1000, a temperature that is no number of 0 or more or goes with an effort that
                draws nothing, a generator that is none of torch's, a weight of rates above 1000 or
                without rates, or a number of codes that do not decode alone.
            BVHError: the path is no readable clip.
        """
        temperature = not_negative(temperature, "temperature")
        effort = chosen_effort(effort, self.method, temperature)
        check_generator(generator)
        self.require_first(first)
        self.require_rates(rate_weight)
        if generator is None and temperature == 0.0:
            generator = torch.Generator(self.device).manual_seed(0)

        def encoded(windows: Array) -> Tensor:
            return encode_windows(
                self.method,
                self.statistics,
                windows,
                effort=effort,
                temperature=temperature,
                generator=generator,
                first=first,
                rate_weight=rate_weight,
            )

        features = features_of(motion, self.calibrations)
        if hold_path:
            rows = [
                encode_on_path(
                    clip,
                    self.method,
                    self.statistics,
                    encode=encoded,
                    decode=lambda z: self._decoded(z, first=first),
                    noise=self.noise(first),
                    effort=effort,
                    first=first,
                    anew=bool(temperature or rate_weight),
                )
                for clip in features.reshape(-1, *features.shape[-2:])
            ]
            codes = torch.from_numpy(np.stack(rows))
            codes = codes.reshape(*features.shape[:-2], *codes.shape[1:])
        else:
            codes = encoded(cut_windows(features, self.frames_per_window))
        return codes.to(motion.device) if isinstance(motion, Tensor) else codes.cpu().numpy()

    def encode_clips(
        self, clips: Sequence[Array], *, effort: int | None = None, first: int | None = None
    ) -> list[NDArray[np.int64]]:
        """Codes of each of several clips, as :meth:`encode` has them; short ones in half the time.

        Args:
            clips: raw features ``(frames, 203)`` of each.
            effort, first: as :meth:`encode` has them.

        Raises:
            DataError: as :meth:`encode`.
        """
        effort = chosen_effort(effort, self.method)
        self.require_first(first)
        windows = [cut_windows(features_of(clip), self.frames_per_window) for clip in clips]
        found = encode_clips(self.method, self.statistics, windows, effort=effort, first=first)
        return [codes.cpu().numpy() for codes in found]

    def noise(self, first: int | None = None) -> Noise:
        """Tremble of a still body when it is decoded: measured once.

        Args:
            first: number of codes kept of each window; all by default.
        """
        count = first or self.codes_per_window
        if count not in self._noise:

            def decoded(features: Array) -> Array:
                codes = self.encode(features, effort=1)
                assert isinstance(codes, np.ndarray)
                return self.decode_features(codes[..., :count], first=first)

            self._noise[count] = measure_noise(decoded)
        return self._noise[count]

    def require_first(self, first: int | None) -> None:
        """Refuse a number of codes that do not decode alone; None is all of them.

        Raises:
            DataError: the method decodes whole windows only, or has fewer codes.
        """
        if first is None or whole(first, "first", DataError) == self.codes_per_window:
            return
        if not self.method.decodes_prefixes:
            raise DataError(
                f"the first {first} codes of a window do not decode alone with a tokenizer of "
                f"method {self.config.method.name}; those of lopq, pca-pq and temporal do"
            )
        if not 1 <= first <= self.codes_per_window:
            raise DataError(
                f"asked for the first {first} codes of windows that have {self.codes_per_window}"
            )

    def require_rates(self, weight: float) -> None:
        """Refuse an impossible weight of rates; 0 is none.

        Raises:
            DataError: it is negative, above 1000 or not finite, or the tokenizer has no prior of
                its own.
        """
        if not_negative(weight, "rate_weight") > MOST_RATE_WEIGHT:
            raise DataError(
                f"rate_weight must be 0 to {MOST_RATE_WEIGHT:g}, 1 being a fair price, got {weight}"
            )
        if weight:
            self._with_rates(f"rate_weight {weight:g}")

    def nats(self, codes: NDArray[Any] | Tensor) -> Array | Tensor:
        """Cost of each code under the tokenizer's own prior, nats.

        Args:
            codes: ``(..., windows, codes_per_window)`` of consecutive windows.

        Returns:
            The same shape; torch if the codes are.

        Raises:
            CodesError: bad codes.
            DataError: the tokenizer has no prior of its own.
        """
        method = self._with_rates("nats")
        z, _ = self._check(codes)
        rows = z.reshape(-1, *z.shape[-2:]).to(self.device)
        out: Tensor = method.nats(rows).reshape(z.shape)
        return out.to(codes.device) if isinstance(codes, Tensor) else out.double().cpu().numpy()

    def _with_rates(self, what: str) -> DapsTemporal:
        """The method, checked to have a prior of its own."""
        if not isinstance(self.method, DapsTemporal):
            raise DataError(
                f"{what}: a tokenizer of method {self.config.method.name} has no prior of its "
                "own; those of daps-temporal have"
            )
        return self.method

    def log_prob(
        self,
        motion: Motion | str | os.PathLike[str] | Array | Tensor,
        codes: NDArray[Any] | Tensor,
    ) -> Array | Tensor:
        """log q(code | motion, codes before it in its window), nats, of the encoder.

        Args:
            motion: as :meth:`encode` takes it.
            codes: as it returns them, of the same windows.

        Returns:
            ``(..., windows, codes_per_window)``; torch if the codes are.

        Raises:
            CodesError: bad codes, or not one window of them for each of the motion's.
            TokenizerError: the encoder is no distribution (vqvae, fsq, rvq, lfq, pca-pq,
                temporal).
        """
        windows = cut_windows(features_of(motion, self.calibrations), self.frames_per_window)
        z, _ = self._check(codes)
        out = log_prob_windows(self.method, self.statistics, windows, z)
        return out.to(codes.device) if isinstance(codes, Tensor) else out.double().cpu().numpy()

    @overload
    def decode_features(
        self, codes: NDArray[Any], *, on_invalid: OnInvalid = "error", first: int | None = None
    ) -> Array: ...
    @overload
    def decode_features(
        self, codes: Tensor, *, on_invalid: OnInvalid = "error", first: int | None = None
    ) -> Tensor: ...
    def decode_features(
        self,
        codes: NDArray[Any] | Tensor,
        *,
        on_invalid: OnInvalid = "error",
        first: int | None = None,
    ) -> Array | Tensor:
        """Raw features ``(..., windows * frames_per_window, 203)`` of codes, seams blended.

        Args:
            codes: integers ``(..., windows, codes_per_window)``, NumPy or torch.
            on_invalid, first: as :meth:`decode` has them.

        Returns:
            float64: torch, on the codes' device, if torch came in, NumPy otherwise.

        Raises:
            CodesError: wrong shape, type or a value outside the vocabulary.
        """
        features = self._joined(codes, on_invalid, first)
        return (
            torch.from_numpy(features).to(codes.device) if isinstance(codes, Tensor) else features
        )

    def _check(
        self,
        codes: NDArray[Any] | Tensor,
        on_invalid: OnInvalid = "error",
        *,
        first: int | None = None,
        prefixes: bool = False,
        goes_on: bool = False,
    ) -> tuple[Tensor, NDArray[np.bool_]]:
        """Codes checked for this tokenizer; with ``prefixes``, ``first`` of them are enough."""
        self.require_first(first)
        return check_codes(
            codes,
            codes_per_window=self.codes_per_window,
            vocab_size=self.vocab_size,
            on_invalid=on_invalid,
            first=first,
            prefixes=prefixes and self.method.decodes_prefixes,
            goes_on=goes_on,
        )

    def _decoded(
        self,
        codes: NDArray[Any] | Tensor,
        on_invalid: OnInvalid = "error",
        first: int | None = None,
    ) -> Array:
        """Raw features ``(..., windows, frames_per_window, 203)``, borders not blended.

        Args:
            codes: ``(..., windows, codes_per_window)``.
            on_invalid, first: as :meth:`decode` has them.
        """
        z, valid = self._check(codes, on_invalid, first=first, prefixes=True)
        if valid.all():
            return decode_windows(self.method, self.statistics, z)
        raw = decode_windows(self.method, self.statistics, stand_in(z, valid))
        return hold_invalid(raw, valid)

    def _joined(
        self, codes: NDArray[Any] | Tensor, on_invalid: OnInvalid, first: int | None
    ) -> Array:
        """Raw features ``(..., frames, 203)``, borders blended."""
        raw = self._decoded(codes, on_invalid, first)
        frames = raw.reshape(*raw.shape[:-3], -1, raw.shape[-1])
        return blend_seams(frames, self.frames_per_window)

    def _held(self, features: Array, codes: NDArray[Any] | Tensor) -> Array:
        """Features ``(frames, 203)`` of whole clips, with still bodies held."""
        return StillnessFilter(self.noise(np.shape(codes)[-1])).push(features)

    def _require_frames(self, frames: int, windows: int) -> None:
        n = windows * self.frames_per_window
        if not 0 < whole(frames, "frames", CodesError) <= n:
            raise CodesError(f"asked for {frames} frames of {windows} windows that hold 1 to {n}")
