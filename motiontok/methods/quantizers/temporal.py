"""A convolutional autoencoder of whole clips with residual tokens of windows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from motiontok.config import Config
from motiontok.data import FEATURES
from motiontok.errors import ConfigError
from motiontok.methods.base import DiscreteAutoencoder, Draw, StepResult
from motiontok.methods.networks import MotionNetworks, Networks
from motiontok.methods.schedule import cosine
from motiontok.models.analysis_by_synthesis import analyse
from motiontok.models.motion_loss import MotionLoss
from motiontok.models.residual_quantizer import ResidualQuantizer
from motiontok.models.step_convolutions import fixed_weights
from motiontok.models.temporal_autoencoder import (
    GAP,
    REACH,
    STRIDE,
    TemporalDecoder,
    TemporalEncoder,
    block_components,
    decoded_metric,
)
from motiontok.progress import ProgressCallback, silent

__all__ = ["PART", "Temporal", "stretches"]

_COMMITMENT = 0.15
_OPEN = 0.5  # share of stretches that are decoded unquantised
_CUT = 0.05  # share of windows of which only the first tokens are decoded
_FEWEST = 4  # tokens that are left of them
_LINEAR_STEPS = 500
_LINEAR_BATCH = 32
_LINEAR_RATE = 2e-3
_FIT = 30_000  # windows that the quantiser is fitted to
PART = 512
"""Observations at a time."""


class Temporal(DiscreteAutoencoder):
    """Trained in steps by the straight-through estimator (van den Oord et al. 2017).

    Encoder and decoder go over the whole clip (:mod:`motiontok.models.temporal_autoencoder`), on
    the root's velocities instead of its running sums; the latents of each window are quantised
    together (:class:`~motiontok.models.residual_quantizer.ResidualQuantizer`). A window alone is a
    sequence of one. ``effort`` less one are rounds of analysis by synthesis
    (:mod:`motiontok.models.analysis_by_synthesis`).

    Raises:
        ConfigError: the data is not motion, a window is no multiple of 4 frames, or there are too
            few codes for a size and a shape.
    """

    decodes_prefixes = True
    in_teams = True
    sizes = ("codes_per_window", "vocab_size", "width", "decoder_width", "components")
    stretch: ClassVar[int] = 4
    reach: ClassVar[int] = REACH
    usual_effort: ClassVar[int] = 3
    fits_first: ClassVar[bool] = True

    def __init__(self, config: Config, networks: Networks) -> None:
        super().__init__(config, networks)
        model, name = config.model, config.method.name
        if not isinstance(networks, MotionNetworks):
            raise ConfigError(f"method.name {name} codes motion, not images")
        frames, columns = networks.frames, networks.columns
        if columns != FEATURES:
            raise ConfigError(
                f"method.name {name} codes motion of {FEATURES} columns, not {columns}"
            )
        if frames % STRIDE:
            raise ConfigError(
                f"data.window must be a multiple of {STRIDE} for {name}, got {frames}"
            )
        if model.codes_per_window < 2:
            raise ConfigError(
                f"model.codes_per_window must be at least 2 for {name}: a size and a shape"
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
        self.error = MotionLoss(networks.statistics)

    def fit(
        self, draw: Draw, generator: torch.Generator, on_progress: ProgressCallback = silent
    ) -> None:
        """Fit the lapped transform alone, then the quantiser to its latents."""
        x = stretches(draw(4 * PART))
        self.error.centre(x)
        frames = self.error.frames(x)
        block_components(frames, self.encoder, self.decoder)
        self._fit_transform(draw, on_progress)
        with torch.no_grad():
            scale = self.encoder(frames, linear=True).flatten(0, 1).std(dim=0).clamp_min(1e-6)
            self.encoder.scale.copy_(scale)
            self.decoder.scale.copy_(scale)
        on_progress(0.5, "fitting the quantiser")
        metric = decoded_metric(self.decoder, self.error.responses, steps=self.steps)
        self.quantizer.fit(self._latents_to_fit(draw), metric, generator)

    @override
    def start_from(
        self, trained: DiscreteAutoencoder, draw: Draw, generator: torch.Generator
    ) -> None:
        # With a policy or without one, the rest is the same.
        own, found = self.state_dict(), trained.state_dict()
        self.load_state_dict({name: found.get(name, value) for name, value in own.items()})

    @classmethod
    @override
    def goes_on_from(cls, trained: DiscreteAutoencoder) -> bool:
        return isinstance(trained, Temporal)

    @override
    def training_step(self, x: Tensor, progress: float, generator: torch.Generator) -> StepResult:
        windows = stretches(x)
        v = self.error.frames(windows)
        latents = self.encoder(v)
        flat = self._by_window(latents.detach()).float()
        # Distances of codewords need more than the 16 bits of autocast.
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            codes = self.quantizer.encode(flat)
            quantized = self.quantizer.decode(codes, kept=self._kept(codes, generator))
            self._move_codewords(flat, codes, generator)
        quantized = quantized.view_as(latents)
        return self._straight_through(windows, v, latents, quantized, codes, generator)

    def _straight_through(
        self,
        windows: Tensor,
        frames: Tensor,
        latents: Tensor,
        quantized: Tensor,
        codes: Tensor,
        generator: torch.Generator,
    ) -> StepResult:
        """A step on ``quantized`` latents, whose gradients pass straight through to the encoder.

        Half of the stretches are decoded from latents as they are (Defossez et al. 2024, "Moshi",
        arXiv 2410.00037, section 3.3): through codes, the encoder would learn the slope of the
        error where the codes are, and not where its own latents are. Metrics and reconstruction are
        of both halves, so they err less than codes do.
        """
        commitment = ((latents - quantized) / self.encoder.scale).square().mean()
        noise = self.group.noise(len(latents), like=latents, generator=generator)
        through = latents + (quantized - latents).detach()
        y = self.decoder(torch.where(noise[:, None, None] < _OPEN, latents, through)).float()
        error = self.error(y, frames, length=windows.shape[2])
        with torch.no_grad():
            found = self.error.windows(y, windows.shape)
            reward = self.likelihood.log_density(windows.flatten(0, 1), found.flatten(0, 1))
            metrics = {
                "reward": reward.mean(),
                "mse": (windows - found).square().mean(),
                "quantizer_loss": commitment.detach(),
            }
        loss = error.mean() + _COMMITMENT * commitment
        return StepResult(loss, metrics, codes, found)

    @torch.no_grad()
    @override
    def encode_sequence(
        self,
        x: Tensor,
        *,
        effort: int = 1,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
        first: int | None = None,
    ) -> Tensor:
        """As the base has it; the ``first`` codes alone are to decode to what is near, if given."""
        codes, _ = self.analysed(x, effort=effort, first=first)
        return codes.unflatten(0, x.shape[:2])

    @torch.no_grad()
    @override
    def encode_clips(
        self, clips: Sequence[Tensor], *, effort: int = 1, first: int | None = None
    ) -> list[Tensor]:
        between = -(-GAP // self.steps)
        gap = clips[0].new_zeros(between, *clips[0].shape[1:])
        x = torch.cat([windows for clip in clips for windows in (clip, gap)])
        inside = torch.cat([torch.arange(len(clip) + between) < len(clip) for clip in clips])
        inside = inside.to(x.device)
        codes, _ = self.analysed(x[None], effort=effort, first=first, inside=inside[None])
        return list(codes[inside].split([len(clip) for clip in clips]))

    @override
    def decode_sequence(self, codes: Tensor) -> Tensor:
        count = codes.shape[:2]
        return self.error.windows(self._decoded(codes.flatten(0, 1), count), (*count, *self.shape))

    @override
    def encode(
        self,
        x: Tensor,
        *,
        effort: int = 1,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        windows = x[:, None]
        return self.encode_sequence(
            windows, effort=effort, temperature=temperature, generator=generator
        )[:, 0]

    @override
    def decode_parameters(self, codes: Tensor) -> Tensor:
        return self.decode_sequence(codes[:, None])[:, 0]

    @override
    def parameter_groups(self) -> list[dict[str, Any]]:
        lapped = [self.encoder.lapped.weight, self.decoder.lapped.weight]
        groups = super().parameter_groups()
        for group in groups:
            group["params"] = [p for p in group["params"] if all(p is not q for q in lapped)]
        # It is fitted already, and what follows has grown used to it.
        groups.append({"params": lapped, "weight_decay": 0.0, "clip": True, "share": 0.1})
        return [{**group, "betas": (0.9, 0.95)} for group in groups]

    @torch.enable_grad()
    def _fit_transform(self, draw: Draw, on_progress: ProgressCallback) -> None:
        parameters = [self.encoder.lapped.weight, self.decoder.lapped.weight]
        optimizer = torch.optim.Adam(parameters)
        for step in range(_LINEAR_STEPS):
            done = step / _LINEAR_STEPS
            optimizer.param_groups[0]["lr"] = cosine(done, start=_LINEAR_RATE, end=0.0)
            x = stretches(draw(_LINEAR_BATCH))
            v = self.error.frames(x)
            y = self.decoder(self.encoder(v, linear=True), linear=True)
            error = self.error.by_frame(y, v).mean()
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            on_progress(0.5 * done, "fitting the lapped transform")
        optimizer.zero_grad()

    @torch.no_grad()
    def _latents_to_fit(self, draw: Draw) -> Tensor:
        """Latents ``(windows, size)`` of enough windows, or of all."""
        parts: list[Tensor] = []
        count, ends = 0, 0
        # What is drawn ends once where it was drawn from before, and again after all of it.
        while count < _FIT and ends < 2:
            x = stretches(draw(PART))
            ends += len(x) < PART
            parts.append(self.latents_of(x))
            count += len(parts[-1])
        return torch.cat(parts)

    def latents_of(self, x: Tensor) -> Tensor:
        """Latents ``(batch * windows, size)`` of ``(batch, windows, frames, columns)``."""
        return self._by_window(self.encoder(self.error.frames(x)))

    def _steps_inside(self, inside: Tensor | None) -> Tensor | None:
        """``(batch, steps, 1)`` of latents, of windows ``(batch, windows)`` that are inside."""
        if inside is None:
            return None
        return inside.repeat_interleave(self.steps, dim=1)[..., None].to(self.quantizer.mean)

    def quantized(self, latents: Tensor, first: int | None = None) -> Tensor:
        """Greedy codes ``(batch * windows, n)`` of any number of latents."""
        # A program has no loop over data.
        parts = (latents,) if torch.compiler.is_exporting() else latents.split(PART)
        quantizer = self.quantizer
        return torch.cat([quantizer.quantize(quantizer.project(z), first=first)[0] for z in parts])

    def analysed(
        self, x: Tensor, *, effort: int, first: int | None = None, inside: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Codes ``(batch * windows, n)`` and the latents ``(batch * windows, size)`` quantised.

        Args:
            x: ``(batch, windows, frames, columns)``.
            effort: 1 is greedy; more by rounds of analysis by synthesis.
            first: number of codes; all by default.
            inside: ``(batch, windows)``, False between clips that are alone in the world; at most
                :data:`PART` windows.
        """
        frames = self.error.frames(x)
        latents = self._by_window(self.encoder(frames, self._steps_inside(inside)))
        if effort == 1:
            return self.quantized(latents, first), latents
        at_once = max(1, PART // x.shape[1])
        rows, goals = latents.unflatten(0, x.shape[:2]), frames.view_as(x)
        with fixed_weights(self.decoder):
            found = [
                self._analysed_part(own, goal, inside, rounds=effort - 1, first=first)
                for own, goal in zip(rows.split(at_once), goals.split(at_once), strict=True)
            ]
        return torch.cat([codes for codes, _ in found]), torch.cat([z for _, z in found])

    def _analysed_part(
        self, rows: Tensor, goals: Tensor, inside: Tensor | None, *, rounds: int, first: int | None
    ) -> tuple[Tensor, Tensor]:
        """:meth:`analysed` of a few sequences, a part of their windows at a time.

        Args:
            rows: latents ``(batch, windows, size)``.
            goals: ``(batch, windows, frames, columns)`` as :meth:`MotionLoss.frames` has them.
            inside: see :meth:`analysed`.
            rounds, first: see :func:`analyse`.
        """
        sequence = torch.arange(len(rows), device=rows.device)[:, None]
        if inside is not None:
            sequence = sequence + (~inside).cumsum(dim=1)
        quantizer, around = self.quantizer, -(-REACH // goals.shape[2])
        before = rows[:, :0]
        codes, targets = [], []
        for at in range(0, rows.shape[1], PART):
            own, end = rows[:, at : at + PART], at + PART
            after = rows[:, end : end + around]
            if after.numel():
                greedy = self.quantized(after.flatten(0, 1), first)
                after = quantizer.decode(greedy).view_as(after)
            errors = partial(self._errors, goals[:, at:end], inside, before, after)
            found = analyse(
                quantizer,
                own.flatten(0, 1),
                errors,
                rounds=rounds,
                sequence=sequence.expand(own.shape[:2]).flatten(),
                first=first,
            )
            codes.append(found.codes.unflatten(0, own.shape[:2]))
            targets.append(quantizer.latents(found.target).view_as(own))
            last = codes[-1][:, -around:]
            before = quantizer.decode(last.flatten(0, 1)).unflatten(0, last.shape[:2])
        return torch.cat(codes, dim=1).flatten(0, 1), torch.cat(targets, dim=1).flatten(0, 1)

    def _errors(
        self, goals: Tensor, inside: Tensor | None, before: Tensor, after: Tensor, latents: Tensor
    ) -> Tensor:
        """Square errors ``(batch * windows,)`` of what latents decode to.

        Args:
            goals: ``(batch, windows, frames, columns)``.
            inside: see :meth:`analysed`.
            before, after: latents of windows beside them ``(batch, n, size)``.
            latents: ``(batch * windows, size)``.
        """
        count = goals.shape[:2]
        z = torch.cat([before, latents.unflatten(0, count), after], dim=1)
        y = self.decoder(z.unflatten(2, (self.steps, -1)).flatten(1, 2), self._steps_inside(inside))
        own = y.unflatten(1, (z.shape[1], -1))[:, before.shape[1] :][:, : count[1]]
        error = self.error.by_frame(own.flatten(0, 1), goals.flatten(0, 1)).sum(dim=1)
        return error if inside is None else error * inside.flatten()

    def _decoded(self, codes: Tensor, count: tuple[int, ...]) -> Tensor:
        """Frames ``(batch, frames, columns)`` of codes ``(batch * windows, codes)``.

        Args:
            codes: see there.
            count: of stretches and of the windows of each.
        """
        latents = self.quantizer.decode(codes)
        return self.decoder(latents.view(count[0], count[1] * self.steps, -1))

    def _kept(self, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Number of codes to decode of each window: all, or of some windows a random first part."""
        most = codes.shape[1]
        noise = self.group.noise(len(codes), 2, like=self.quantizer.mean, generator=generator)
        cut, depth = noise.unbind(1)
        fewest = min(_FEWEST, most)
        some = fewest + (depth * (most - fewest)).long()
        return torch.where(cut < _CUT, some, most)

    def _move_codewords(self, latents: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        """Move codewords by the latents of all processes."""
        self.quantizer.update(
            self.group.all_gather(latents), self.group.all_gather(codes), generator
        )

    def _by_window(self, latents: Tensor) -> Tensor:
        """``(batch * windows, size)`` of latents ``(batch, steps, channels)``."""
        return latents.unflatten(1, (-1, self.steps)).flatten(2).flatten(0, 1)


def stretches(x: Tensor) -> Tensor:
    """``(batch, windows, frames, columns)``, of single windows too."""
    return x[:, None] if x.dim() == 3 else x
