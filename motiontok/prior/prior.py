"""The public object: a distribution over the codes of one tokenizer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motiontok.data import Start, World
from motiontok.errors import CodesError, TokenizerError
from motiontok.prior.command_limits import CommandLimits, check_counts, command_rows
from motiontok.prior.folder import (
    FORMAT,
    prior_folder,
    read_prior,
    refusing_damage,
    write_prior,
)
from motiontok.prior.label_commands import LabelCommands, draw_label_commands
from motiontok.prior.labels import Pairs, index_of
from motiontok.prior.model import Conditions, PriorConfig, PriorModel
from motiontok.prior.planting import plant_codes
from motiontok.prior.rollout import PartialRollout
from motiontok.prior.sampling import SamplingOptions, require_whole
from motiontok.prior.target_poses import TargetPose
from motiontok.prior.through_poses import draw_through
from motiontok.tokenizer import MotionTokenizer
from motiontok.tokens.checks import check_codes, usable_device

__all__ = ["FORMAT", "TokenPrior"]


class TokenPrior:
    """p(codes | commands, labels) of one tokenizer's codes: sampling and likelihood.

    ::

        tokenizer = MotionTokenizer.from_pretrained("default")
        prior = TokenPrior.from_pretrained("default", tokenizer=tokenizer)
        codes = prior.sample(10, velocity=(1.2, 0.0), label="walk", seed=0)
        motion = tokenizer.decode(codes[0])

    Args:
        model: a trained network.
        fingerprint: of the tokenizer with whose codes it was trained.
        licence: note on the licence of the training data.
        limits: of its commands; those of captured people by default.
        pairs: pairs of action and style that occurred; unknown, if not given.
        label_commands: that labels draw; without them, labels leave commands open.
    """

    def __init__(
        self,
        model: PriorModel,
        *,
        fingerprint: str,
        licence: str = "",
        limits: CommandLimits | None = None,
        pairs: Pairs | None = None,
        label_commands: LabelCommands | None = None,
    ) -> None:
        self.model = model.eval()
        self.pairs, self.label_commands = pairs, label_commands
        self.limits = limits or CommandLimits()
        self.fingerprint, self.licence = fingerprint, licence

    @property
    def config(self) -> PriorConfig:
        """Sizes and labels."""
        return self.model.config

    @property
    def codes_per_window(self) -> int:
        """Codes of a window, those that the tokenizer adds included."""
        return self.model.codes_per_window

    @property
    def actions(self) -> tuple[str, ...]:
        """Actions it knows, such as ``"walk"``."""
        return self.config.actions[1:]

    @property
    def styles(self) -> tuple[str, ...]:
        """Styles it knows, such as ``"active"``."""
        return self.config.styles[1:]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.begin.device

    def require(self, tokenizer: MotionTokenizer) -> None:
        """Refuse a tokenizer that this prior was not trained on.

        Raises:
            TokenizerError: it is another one.
        """
        if tokenizer.fingerprint != self.fingerprint:
            raise TokenizerError(
                f"this prior was trained on the codes of tokenizer {self.fingerprint}, the "
                f"tokenizer given is {tokenizer.fingerprint}; train one for it with "
                "`motiontok train-prior --tokenizer`"
            )

    def conditions(
        self,
        windows: int,
        *,
        velocity: Sequence[float] | NDArray[Any] | None = None,
        yaw_rate: float | Sequence[float] | NDArray[Any] | None = None,
        label: str | None = None,
        style: str | None = None,
    ) -> Conditions:
        """Conditions of one sequence of ``windows`` windows.

        Args:
            windows: how many.
            velocity: forward and left in the body's heading, m/s: ``(2,)`` for all windows
                or ``(windows, 2)``.
            yaw_rate: rad/s, one or ``(windows,)``; 0 if only a velocity is given. Alone, it leaves
                the velocity open.
            label: action, one of :attr:`actions`.
            style: one of :attr:`styles`.

        Raises:
            InputError: unknown label, label and style that were never seen together, wrong shape
                or a value that is not finite.
        """
        if self.pairs is not None:
            self.pairs.require(label, style)
        commands = np.full((1, windows, 3), np.nan, dtype=np.float32)
        if velocity is not None:
            commands[..., :2] = command_rows(velocity, "velocity", (2,), windows)
            commands[..., 2] = 0.0
        if yaw_rate is not None:
            commands[..., 2] = command_rows(yaw_rate, "yaw rate", (), windows)
        return Conditions(
            torch.from_numpy(commands).to(self.device),
            index_of(label, self.config.actions, "label", self.device),
            index_of(style, self.config.styles, "style", self.device),
        )

    def commands(
        self,
        windows: int,
        *,
        batch: int = 1,
        velocity: Sequence[float] | NDArray[Any] | None = None,
        yaw_rate: float | Sequence[float] | NDArray[Any] | None = None,
        label: str | None = None,
        style: str | None = None,
        prefix: NDArray[Any] | Tensor | None = None,
        options: SamplingOptions | None = None,
        seed: int | None = None,
    ) -> NDArray[np.float32]:
        """Commands that :meth:`sample` follows when it is called with the same arguments.

        They are those given. A label or style without any draws what people of that label do
        (:mod:`motiontok.prior.label_commands`), from where the prefix ends.

        Returns:
            ``(batch, windows, 3)``, m/s forward and left, and rad/s; NaN is open.

        Raises:
            InputError, CodesError: as :meth:`sample`, limits of commands aside.
        """
        check_counts(windows, batch)
        asked = self.conditions(
            windows, velocity=velocity, yaw_rate=yaw_rate, label=label, style=style
        )
        generator = None if seed is None else torch.Generator(self.device).manual_seed(seed)
        how: dict[str, Any] = {"options": options or SamplingOptions(), "generator": generator}
        led = draw_label_commands(self, asked, self._past(prefix), batch=batch, **how)
        return led.commands.expand(batch, -1, -1).cpu().numpy()

    def sample(
        self,
        windows: int,
        *,
        batch: int = 1,
        velocity: Sequence[float] | NDArray[Any] | None = None,
        yaw_rate: float | Sequence[float] | NDArray[Any] | None = None,
        label: str | None = None,
        style: str | None = None,
        prefix: NDArray[Any] | Tensor | None = None,
        poses: Sequence[TargetPose] = (),
        start: Start | None = None,
        options: SamplingOptions | None = None,
        seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> NDArray[np.int64]:
        """Draw sequences.

        Args:
            windows: to draw, without those of the prefix.
            batch: sequences.
            velocity, yaw_rate, label, style: as for :meth:`conditions`. A label or style without
                velocity, turn and poses moves as people of it do (:meth:`commands`).
            prefix: ``(windows, codes_per_window)`` to continue; it is not returned.
            poses: up to four to go through, at rising times; they need a temporal tokenizer.
                Without velocity and turn, the way between their places is the command.
            start: place and heading of frame 0, to which the poses' places are relative.
            options: temperature, top-k, top-p, guidance, tolerance, planting.
            seed, generator: one of them, for a reproducible result.

        Returns:
            Codes ``(batch, windows, codes_per_window)``.

        Raises:
            InputError: a condition, option or pose cannot be used, or a command is over its limit.
            CodesError: the prefix is not made of this tokenizer's codes.
        """
        check_counts(windows, batch)
        if generator is None and seed is not None:
            generator = torch.Generator(self.device).manual_seed(seed)
        asked = self.conditions(
            windows, velocity=velocity, yaw_rate=yaw_rate, label=label, style=style
        )
        self.limits.require(asked.commands.cpu().numpy(), "command", world=World())
        options = options or SamplingOptions()
        how: dict[str, Any] = {"options": options, "generator": generator}
        past = self._past(prefix).expand(batch, -1, -1)
        given = past.shape[1]
        if not poses:
            asked = draw_label_commands(self, asked, past, batch=batch, **how)
        held = asked.commands if options.tolerance < float("inf") else None
        if poses:
            led: dict[str, Any] = {"poses": poses, "start": start or Start()}
            past, ways = draw_through(self, past, asked, **led, **how)
            found = self.planted(past, held, given=given, **led, departures=ways)
            return found[:, given:].cpu().numpy()
        for n in range(windows):
            draft = self.draft(
                past,
                Conditions(
                    asked.commands[:, : n + 1].expand(batch, -1, -1),
                    asked.action.expand(batch),
                    asked.style.expand(batch),
                ),
                **how,
            )
            draft.write(self.codes_per_window)
            past = torch.cat([past, draft.codes[:, None]], dim=1)
        if options.plant:
            past = self.planted(past, held, given=given, quick=windows * batch == 1)
        return past[:, given:].cpu().numpy()

    def planted(self, codes: Tensor, commands: Tensor | None = None, **how: Any) -> Tensor:
        """:func:`~motiontok.prior.planting.plant_codes` with this prior's tokenizer."""
        return plant_codes(self.model.method, codes, commands, **how)

    def draft(
        self,
        past: Tensor,
        conditions: Conditions,
        *,
        samples: int = 1,
        options: SamplingOptions,
        generator: torch.Generator | None = None,
    ) -> PartialRollout:
        """Begin a window after each of several pasts; planners use this.

        Args:
            past: ``(batch, windows, codes)`` of any length; only the last windows count.
            conditions: for the window to draw and, before it, windows of the past as far
                as they are known: the commands' last row is that of the new window.
            samples: draws for each past.
            options: how to draw.
            generator: source of randomness.

        Returns:
            Windows without a code yet; :meth:`PartialRollout.write` draws.
        """
        seen = past[:, max(0, past.shape[1] - self.config.context + 1) :]
        known = conditions.commands[:, -(seen.shape[1] + 1) :]
        missing = (0, 0, seen.shape[1] + 1 - known.shape[1], 0)
        commands = torch.nn.functional.pad(known, missing, value=torch.nan)
        return PartialRollout(
            self.model,
            seen,
            Conditions(commands, conditions.action, conditions.style),
            samples=samples,
            options=options,
            generator=generator,
        )

    @torch.no_grad()
    def log_prob(
        self,
        codes: NDArray[Any] | Tensor,
        *,
        velocity: Sequence[float] | NDArray[Any] | None = None,
        yaw_rate: float | Sequence[float] | NDArray[Any] | None = None,
        label: str | None = None,
        style: str | None = None,
    ) -> NDArray[np.float64]:
        """log p of each code of one sequence given those before it, nats.

        Args:
            codes: ``(windows, codes_per_window)``.
            velocity, yaw_rate, label, style: as :meth:`conditions` has them.

        Returns:
            ``(windows, codes_per_window)``.

        Raises:
            CodesError: not codes of this tokenizer.
        """
        z = self._past(codes)
        drawn = z[..., : self.config.codes_per_window]
        asked = self.conditions(
            z.shape[1], velocity=velocity, yaw_rate=yaw_rate, label=label, style=style
        )
        require_whole(asked.commands)
        context, rows = self.config.context, []
        for n in range(z.shape[1]):
            first = max(0, n + 1 - context)
            seen = Conditions(asked.commands[:, first : n + 1], asked.action, asked.style)
            logp = self.model(drawn[:, first : n + 1], seen)[0, -1]
            rows.append(logp.gather(-1, drawn[0, n, :, None])[:, 0])
        return self.model.with_rest(torch.stack(rows), z[0]).double().cpu().numpy()

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write ``prior.json`` and ``prior.safetensors`` (16 bits), both or neither.

        Raises:
            OSError: the folder cannot be written, or the disk is full.
        """
        values = {
            "tokenizer": self.fingerprint,
            "licence": self.licence,
            "limits": [list(self.limits.lower), list(self.limits.upper)],
            **({} if self.pairs is None else {"pairs": self.pairs.rows()}),
            **({} if self.label_commands is None else {"courses": self.label_commands.rows()}),
            "config": self.config.to_dict(),
        }
        write_prior(folder, values, self.model.state_dict())

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str],
        *,
        tokenizer: MotionTokenizer | None = None,
        device: torch.device | str = "cpu",
    ) -> TokenPrior:
        """Read a prior's folder.

        Args:
            folder: the folder, that of the run that trained it, ``"default"`` for the prior
                shipped with the package, or a name of the Hugging Face hub.
            tokenizer: its tokenizer; any other is refused. A prior of a lopq tokenizer cannot be
                read without it.
            device: where to put the weights.

        Raises:
            TokenizerError: missing, damaged or made for another tokenizer.
            InputError: this machine has no such device.
        """
        place = usable_device(device)
        path = prior_folder(folder)
        with refusing_damage(path):
            values, model = read_prior(path)
            prior = cls(
                model.to(place),
                fingerprint=str(values["tokenizer"]),
                licence=str(values["licence"]),
                # Older priors have none of these.
                limits=CommandLimits.read(values["limits"]) if "limits" in values else None,
                pairs=Pairs.read(values["pairs"]) if "pairs" in values else None,
                label_commands=LabelCommands.read(values["courses"])
                if "courses" in values
                else None,
            )
        if tokenizer is not None:
            prior.require(tokenizer)
            model.read_codes_of(tokenizer)
        elif model.config.components:
            raise TokenizerError(
                f"{path}: a prior of this tokenizer needs it to read codes: give tokenizer="
            )
        return prior

    def _past(self, codes: NDArray[Any] | Tensor | None) -> Tensor:
        """Codes of one sequence as ``(1, windows, codes)`` on the model's device."""
        size = self.codes_per_window
        if codes is None:
            return torch.zeros(1, 0, size, dtype=torch.long, device=self.device)
        z, _ = check_codes(codes, codes_per_window=size, vocab_size=self.config.vocab_size)
        if z.dim() != 2:
            raise CodesError(
                f"codes: expected one sequence (windows, {size}), got {tuple(z.shape)}"
            )
        return z[None].to(self.device)
