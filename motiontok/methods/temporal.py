"""A convolutional autoencoder of whole clips with residual tokens of windows."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from motiontok.config import Config
from motiontok.data import COLUMNS
from motiontok.errors import ConfigError
from motiontok.methods.base import DiscreteAutoencoder, Draw, StepResult
from motiontok.methods.networks import MotionNetworks, Networks
from motiontok.methods.schedule import cosine
from motiontok.models.residual_quantizer import ResidualQuantizer
from motiontok.models.temporal import (
    REACH,
    STRIDE,
    TemporalDecoder,
    TemporalEncoder,
    block_components,
)
from motiontok.progress import Tell, silent

__all__ = ["Temporal"]

_ROOT = slice(COLUMNS["yaw_rate"].start, COLUMNS["velocity"].stop)
_POSITIONS = COLUMNS["positions"]

# What the change of standardised running sums in a frame is multiplied by: how much the path is
# worth. An error of velocity adds up over a window, which that of a pose does not.
_ROOT_SCALE = 6.0

_COMMITMENT = 0.1
_SMOOTHNESS = 0.5  # weight of the differences of positions between frames
_CUT = 0.15  # share of windows of which only the first tokens are decoded
_FEWEST = 4  # tokens that are left of them
_LINEAR_STEPS = 500
_LINEAR_BATCH = 64
_LINEAR_RATE = 2e-3
_FIT = 60_000  # windows that the quantiser is fitted to
_PART = 512  # observations at a time


class Temporal(DiscreteAutoencoder):
    """Trained in steps by the straight-through estimator (van den Oord et al. 2017).

    Encoder and decoder go over the whole clip (:mod:`motiontok.models.temporal`), on the root's
    velocities instead of its running sums; the latents of each window are quantised together
    (:class:`~motiontok.models.residual_quantizer.ResidualQuantizer`). A window alone is a
    sequence of one. ``effort`` is the beam of the quantiser's search.

    Raises:
        ConfigError: it is not motion, a window is no multiple of 4 frames, or there are too few
            codes for a size and a shape.
    """

    decodes_prefixes = True
    stretch: ClassVar[int] = 2
    reach: ClassVar[int] = REACH
    origin: Tensor
    usual: Tensor

    def __init__(self, config: Config, networks: Networks) -> None:
        super().__init__(config, networks)
        model = config.model
        if not isinstance(networks, MotionNetworks):
            raise ConfigError("method.name temporal codes motion, not images")
        frames, columns = networks.frames, networks.columns
        if frames % STRIDE:
            raise ConfigError(
                f"data.window must be a multiple of {STRIDE} for temporal, got {frames}"
            )
        if model.codes_per_window < 2:
            raise ConfigError(
                "model.codes_per_window must be at least 2 for temporal: a size and a shape"
            )
        self.steps = frames // STRIDE
        channels = min(max(model.components // self.steps, 1), STRIDE * columns)
        self.encoder = TemporalEncoder(columns=columns, channels=channels, width=model.width)
        self.decoder = TemporalDecoder(
            columns=columns, channels=channels, width=model.decoder_width
        )
        self.quantizer = ResidualQuantizer(
            size=self.steps * channels,
            codes=model.codes_per_window,
            vocab_size=model.vocab_size,
        )
        # Where the root's running sums are at the beginning of a window, standardised, and how
        # fast it usually moves.
        self.register_buffer("origin", networks.origin[_ROOT].clone())
        self.register_buffer("usual", torch.zeros(len(networks.origin[_ROOT])))

    def prepare(self, draw: Draw, generator: torch.Generator, tell: Tell = silent) -> None:
        """Fit the lapped transform, alone, then the quantiser to what it says."""
        x = _stretches(draw(4 * _PART))
        velocities = self._velocities(x)
        self.usual.copy_(velocities[..., _ROOT].flatten(0, 1).mean(dim=0))
        velocities = self._velocities(x)
        block_components(velocities, self.encoder, self.decoder)
        self._fit_transform(draw, tell)
        with torch.no_grad():
            scale = self.encoder(velocities, linear=True).flatten(0, 1).std(dim=0).clamp_min(1e-6)
            self.encoder.scale.copy_(scale)
            self.decoder.scale.copy_(scale)
        tell(0.5, "fitting the quantiser")
        self.quantizer.fit(self._latents_to_fit(draw), generator)

    def training_step(self, x: Tensor, progress: float, generator: torch.Generator) -> StepResult:
        windows = _stretches(x)
        v = self._velocities(windows)
        latents = self.encoder(v)
        flat = self._by_window(latents.detach()).flatten(0, 1).float()
        # Distances of codewords need more than the 16 bits of autocast.
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            codes = self.quantizer.encode(flat)
            quantized = self.quantizer.decode(codes, kept=self._kept(codes, generator))
            self.quantizer.update(flat, codes, generator)
        quantized = quantized.reshape(latents.shape)
        commitment = ((latents - quantized) / self.encoder.scale).square().mean()
        y = self.decoder(latents + (quantized - latents).detach()).float()
        error = self._error(y, v)
        with torch.no_grad():
            found = self._standardized(y, windows.shape)
            reward = self.likelihood.log_density(windows.flatten(0, 1), found.flatten(0, 1))
            metrics = {
                "reward": reward.mean(),
                "mse": (windows - found).square().mean(),
                "quantizer_loss": commitment.detach(),
            }
        loss = error + _COMMITMENT * commitment
        return StepResult(loss, metrics, codes, found.reshape(x.shape))

    @torch.no_grad()
    def encode_sequence(
        self,
        x: Tensor,
        *,
        effort: int = 1,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        latents = self._by_window(self.encoder(self._velocities(x)))
        codes = [self.quantizer.encode(z, beam=effort) for z in latents.flatten(0, 1).split(_PART)]
        return torch.cat(codes).unflatten(0, x.shape[:2])

    def decode_sequence(self, codes: Tensor) -> Tensor:
        count = codes.shape[:2]
        latents = self.quantizer.decode(codes.flatten(0, 1))
        y = self.decoder(latents.view(count[0], count[1] * self.steps, -1))
        return self._standardized(y, (*count, *self.shape))

    def encode(
        self,
        x: Tensor,
        *,
        effort: int = 1,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        return self.encode_sequence(x[:, None], effort=effort)[:, 0]

    def decode_parameters(self, codes: Tensor) -> Tensor:
        return self.decode_sequence(codes[:, None])[:, 0]

    def parameter_groups(self) -> list[dict[str, Any]]:
        lapped = [self.encoder.lapped.weight, self.decoder.lapped.weight]
        groups = super().parameter_groups()
        for group in groups:
            group["params"] = [p for p in group["params"] if all(p is not q for q in lapped)]
        # It is fitted already, and what follows has grown used to it.
        groups.append({"params": lapped, "weight_decay": 0.0, "clip": True, "share": 0.1})
        return [{**group, "betas": (0.9, 0.95)} for group in groups]

    @torch.enable_grad()
    def _fit_transform(self, draw: Draw, tell: Tell) -> None:
        parameters = [self.encoder.lapped.weight, self.decoder.lapped.weight]
        optimizer = torch.optim.Adam(parameters)
        for step in range(_LINEAR_STEPS):
            done = step / _LINEAR_STEPS
            optimizer.param_groups[0]["lr"] = cosine(done, start=_LINEAR_RATE, end=0.0)
            x = _stretches(draw(_LINEAR_BATCH))
            v = self._velocities(x)
            error = self._error(self.decoder(self.encoder(v, linear=True), linear=True), v)
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            tell(0.5 * done, "fitting the lapped transform")
        optimizer.zero_grad()

    @torch.no_grad()
    def _latents_to_fit(self, draw: Draw) -> Tensor:
        """Latents ``(windows, size)`` of so many windows as there are, or enough."""
        parts: list[Tensor] = []
        count, ends = 0, 0
        # What is drawn ends once where it was drawn from before, and again after all of it.
        while count < _FIT and ends < 2:
            x = _stretches(draw(_PART))
            ends += len(x) < _PART
            parts.append(self._by_window(self.encoder(self._velocities(x))).flatten(0, 1))
            count += len(parts[-1])
        return torch.cat(parts)

    def _kept(self, codes: Tensor, generator: torch.Generator) -> Tensor:
        """How many codes of each window are decoded: all, or of some a random first part."""
        most = codes.shape[1]
        shape = (2, len(codes))
        cut, depth = torch.rand(shape, generator=generator, device=codes.device)
        fewest = min(_FEWEST, most)
        some = fewest + (depth * (most - fewest)).long()
        return torch.where(cut < _CUT, some, most)

    def _by_window(self, latents: Tensor) -> Tensor:
        """``(batch, windows, size)`` of latents ``(batch, steps, channels)``."""
        return latents.unflatten(1, (-1, self.steps)).flatten(2)

    def _velocities(self, x: Tensor) -> Tensor:
        """Frames ``(batch, frames, columns)`` with the root's velocities, of windows
        ``(batch, windows, frames, columns)`` with its running sums."""
        sums = x[..., _ROOT]
        before = self.origin.expand(*sums.shape[:-2], 1, -1)
        velocity = torch.diff(sums, dim=-2, prepend=before.to(sums)) * _ROOT_SCALE - self.usual
        return torch.cat([velocity, x[..., _ROOT.stop :]], dim=-1).flatten(1, 2)

    def _standardized(self, v: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The inverse: windows of ``shape`` with running sums."""
        x = v.reshape(shape)
        sums = ((x[..., _ROOT] + self.usual) / _ROOT_SCALE).cumsum(dim=-2) + self.origin
        return torch.cat([sums, x[..., _ROOT.stop :]], dim=-1)

    def _error(self, y: Tensor, v: Tensor) -> Tensor:
        """Mean square of all columns, of positions, and of what these change by in a frame."""
        off = y - v
        error = off.square().mean()
        positions = off[..., _POSITIONS]
        if positions.shape[-1]:
            error = error + positions.square().mean()
            error = error + _SMOOTHNESS * positions.diff(dim=1).square().mean()
        return error


def _stretches(x: Tensor) -> Tensor:
    """``(batch, windows, frames, columns)``, of single windows too."""
    return x[:, None] if x.dim() == 3 else x
