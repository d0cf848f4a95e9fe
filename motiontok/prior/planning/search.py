"""Receding-horizon search over codes: draw, decode, score, keep, and draw again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bvh.rotations import Array
from motiontok.data import Start
from motiontok.errors import InputError
from motiontok.prior.model import Conditions
from motiontok.prior.planning.costs import Cost, Rollout
from motiontok.prior.planning.protocol import State
from motiontok.prior.prior import TokenPrior
from motiontok.prior.sampling import SamplingOptions
from motiontok.tokenizer import MotionTokenizer
from motiontok.tokens.path import root_path

__all__ = ["SearchPlanner", "Steer"]

Steer = Callable[[Start, float, float], Array]
"""From pose, time and a window's length (s) to a command ``(3,)``: m/s, m/s, rad/s."""


@dataclass(frozen=True, eq=False)
class _Beam:
    """Candidates so far.

    Attributes:
        codes: ``(candidates, windows, codes)``.
        features: ``(candidates, frames, 203)``.
        logp: ``(candidates,)`` of all their windows, nats.
    """

    codes: Tensor
    features: Array
    logp: Tensor

    def take(self, index: NDArray[np.int64]) -> _Beam:
        chosen = torch.from_numpy(index)
        return _Beam(self.codes[chosen], self.features[index], self.logp[chosen])


class SearchPlanner:
    """A planner that looks some windows ahead and does the first of the best.

    A beam of candidates is extended window by window with draws from the prior; all are
    decoded and scored by the costs, the best stay. Of the best one the first window is
    returned, and the next call searches anew from there. With ``samples=1`` it is
    sampling alone.

    Args:
        prior: proposes.
        tokenizer: decodes.
        costs: what is wanted, summed.
        steer: command to condition each candidate on, by its own pose; none if not given.
        samples: candidates in each step.
        horizon: windows to look ahead.
        beam: candidates that are extended.
        label, style: to condition on.
        plausibility: weight of a code's mean -log p beside the costs.
        options: how to draw.
        seed: of all draws.

    Raises:
        InputError: a number below 1, or an unknown label or style.
        TokenizerError: the prior is of another tokenizer.
    """

    def __init__(
        self,
        prior: TokenPrior,
        tokenizer: MotionTokenizer,
        costs: Sequence[Cost],
        *,
        steer: Steer | None = None,
        samples: int = 32,
        horizon: int = 2,
        beam: int = 4,
        label: str | None = None,
        style: str | None = None,
        plausibility: float = 0.01,
        options: SamplingOptions | None = None,
        seed: int = 0,
    ) -> None:
        prior.require(tokenizer)
        for name, value in (("samples", samples), ("horizon", horizon), ("beam", beam)):
            if value < 1:
                raise InputError(f"{name} must be at least 1, got {value}")
        self.prior, self.tokenizer = prior, tokenizer
        self.costs, self.steer = tuple(costs), steer
        self.samples, self.horizon, self.beam = samples, horizon, beam
        self.plausibility = plausibility
        self.options = options or SamplingOptions(guidance=1.5, top_p=0.95)
        self._labels = prior.conditions(1, label=label, style=style)
        self._generator = torch.Generator(prior.device).manual_seed(seed)

    def __call__(self, state: State) -> NDArray[np.int64]:
        """Codes ``(codes_per_window,)`` of the next window."""
        past = torch.from_numpy(np.asarray(state.codes, dtype=np.int64)).to(self.prior.device)
        beam = _Beam(
            torch.empty(1, 0, past.shape[1], dtype=torch.long, device=past.device),
            np.empty((1, 0, 0)),
            torch.zeros(1),
        )
        for ahead in range(self.horizon):
            grown = self._extend(beam, past, state)
            order = np.argsort(self._score(grown, state), kind="stable")
            beam = grown.take(order[: 1 if ahead == self.horizon - 1 else self.beam])
        return beam.codes[0, 0].cpu().numpy()

    def _extend(self, beam: _Beam, past: Tensor, state: State) -> _Beam:
        count, ahead = beam.codes.shape[:2]
        samples = max(1, self.samples // count)
        seen = torch.cat([past.expand(count, -1, -1), beam.codes], dim=1)
        codes, logp = self.prior.next_window(
            seen,
            self._conditions(beam, state, ahead),
            samples=samples,
            options=self.options,
            generator=self._generator,
        )
        codes = codes.flatten(0, 1)
        fresh = self.tokenizer.decode_features(codes[:, None].cpu().numpy())
        grown = beam.take(np.repeat(np.arange(count), samples))
        features = np.concatenate([grown.features, fresh], axis=1) if ahead else fresh
        return _Beam(
            torch.cat([grown.codes, codes[:, None]], dim=1),
            features,
            grown.logp + logp.flatten().cpu(),
        )

    def _conditions(self, beam: _Beam, state: State, ahead: int) -> Conditions:
        count, device = len(beam.codes), self.prior.device
        commands = np.full((count, 1, 3), np.nan, dtype=np.float32)
        if self.steer is not None:
            span = self.tokenizer.frames_per_window / self.tokenizer.fps
            for n in range(count):
                pose = state.pose
                if ahead:
                    positions, yaw = root_path(beam.features[n], state.pose)
                    x, y = positions[-1]
                    pose = Start(float(x), float(y), float(yaw[-1]))
                commands[n, 0] = self.steer(pose, state.time + ahead * span, span)
        return Conditions(
            torch.from_numpy(commands).to(device),
            self._labels.action.expand(count),
            self._labels.style.expand(count),
        )

    def _score(self, beam: _Beam, state: State) -> Array:
        positions, yaw = root_path(beam.features, state.pose)
        frames = beam.features.shape[1]
        rollout = Rollout(
            positions,
            yaw,
            state.time + (np.arange(frames) + 1) / self.tokenizer.fps,
            beam.features,
            self.tokenizer.frames_per_window,
        )
        total = -self.plausibility * beam.logp.double().numpy() / beam.codes[0].numel()
        for cost in self.costs:
            total = total + cost(rollout)
        return total
