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
from motiontok.prior.planning.planner_interface import State
from motiontok.prior.prior import TokenPrior
from motiontok.prior.rollout import PartialRollout
from motiontok.prior.sampling import SamplingOptions
from motiontok.tokenizer import MotionTokenizer
from motiontok.tokens.path import root_path

__all__ = ["SearchPlanner", "Steer"]

_PLAUSIBILITY = 0.01  # weight of a code's mean -log p among the costs

Steer = Callable[[Start, float, float], Array]
"""From pose, time and a window's length (s) to a command ``(3,)``: m/s, m/s, rad/s.

Or to several ``(ways, 3)``, the best first: candidates are shared among them.
"""


@dataclass(frozen=True, eq=False)
class _Beam:
    """Candidates so far.

    Attributes:
        codes: ``(candidates, windows, codes)``.
        features: ``(candidates, frames, 203)``.
        nats: ``(candidates,)`` -log p of a code, summed over windows of the mean over codes.
    """

    codes: Tensor
    features: Array
    nats: Array

    def take(self, index: NDArray[np.int64]) -> _Beam:
        return _Beam(self.codes[torch.from_numpy(index)], self.features[index], self.nats[index])


class SearchPlanner:
    """A planner that looks some windows ahead and returns the best candidate's first window.

    A beam of candidates is extended window by window with draws from the prior. All are decoded and
    scored by the costs, and the best stay. The first window of the best one is returned, and the
    next call searches anew from there. With ``samples=1`` it is sampling alone.

    If the first codes of a window decode without the others, candidates are judged by those, and
    only the ones that stay are completed. So many more candidates fit in the same time.

    Args:
        prior: draws candidates.
        tokenizer: decodes.
        costs: added up.
        steer: commands to condition each candidate on, by its own pose; none if not given.
        samples: candidates in each step.
        horizon: windows to look ahead.
        beam: candidates that are extended.
        prefix_length: first codes by which a window is judged, if the tokenizer decodes prefixes.
        temperature_scale: factor of the temperature of those codes, so that candidates differ more
            than likely windows do; not used with one sample, nor with whole windows.
        label, style: to condition on.
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
        prefix_length: int = 8,
        temperature_scale: float = 1.5,
        label: str | None = None,
        style: str | None = None,
        options: SamplingOptions | None = None,
        seed: int = 0,
    ) -> None:
        prior.require(tokenizer)
        sizes = {
            "samples": samples,
            "horizon": horizon,
            "beam": beam,
            "prefix_length": prefix_length,
        }
        for name, value in sizes.items():
            if value < 1:
                raise InputError(f"{name} must be at least 1, got {value}")
        self.prior, self.tokenizer = prior, tokenizer
        self.costs, self.steer = tuple(costs), steer
        self.samples, self.horizon, self.beam = samples, horizon, beam
        whole = prior.codes_per_window
        self.prefix_length = (
            min(prefix_length, whole) if tokenizer.method.decodes_prefixes else whole
        )
        self.temperature_scale = (
            temperature_scale if samples > 1 and self.prefix_length < whole else 1.0
        )
        self.options = options or SamplingOptions(top_p=0.95)
        self._labels = prior.conditions(1, label=label, style=style)
        self._generator = torch.Generator(prior.device).manual_seed(seed)

    def __call__(self, state: State) -> NDArray[np.int64]:
        """Codes ``(codes_per_window,)`` of the next window."""
        past = torch.from_numpy(np.asarray(state.codes, dtype=np.int64)).to(self.prior.device)
        empty = torch.empty(1, 0, self.prior.codes_per_window, dtype=torch.long)
        beam = _Beam(empty.to(past.device), np.empty((1, 0, 0)), np.zeros(1))
        while beam.codes.shape[1] < self.horizon:
            beam = self._extend(beam, past, state)
        chosen = torch.cat([past[-1:], beam.codes[0, :1]])[None]
        if self.options.plant:
            # The velocity and turn of the judged window are kept.
            chosen = self.prior.planted(chosen, given=len(past[-1:]))
        return chosen[0, -1].cpu().numpy()

    def _extend(self, beam: _Beam, past: Tensor, state: State) -> _Beam:
        """The best candidates with one more window, best first."""
        count, ahead = beam.codes.shape[:2]
        commands = self._commands(beam, state, ahead)[:, : max(1, self.samples // count)]
        beam = beam.take(np.repeat(np.arange(count), commands.shape[1]))
        count = len(beam.codes)
        samples = max(1, self.samples // count)
        draft = self.prior.draft(
            torch.cat([past.expand(count, -1, -1), beam.codes], dim=1),
            self._conditions(commands.reshape(count, 1, 3)),
            samples=samples,
            options=self.options,
            generator=self._generator,
        )
        draft.write(self.prefix_length, temperature_scale=self.temperature_scale)
        begun = beam.take(np.repeat(np.arange(count), samples))
        grown = self._with(begun, draft)
        best = np.argsort(self._score(grown, state), kind="stable")[: self.beam]
        last = ahead == self.horizon - 1
        if last and ahead:
            # The window that is returned is complete already.
            return grown.take(best)
        draft.take(torch.from_numpy(best).to(past.device))
        draft.write(self.prior.codes_per_window)
        grown = self._with(begun.take(best), draft)
        return grown.take(np.argsort(self._score(grown, state), kind="stable"))

    def _with(self, beam: _Beam, draft: PartialRollout) -> _Beam:
        """Candidates with the window drafted after each; unwritten codes are 0."""
        codes = draft.codes[:, None].cpu().numpy()
        first = codes.shape[2] if codes.shape[2] < beam.codes.shape[2] else None
        features = self.tokenizer.decode_features(codes, first=first)
        if beam.codes.shape[1]:
            features = np.concatenate([beam.features, features], axis=1)
        written = draft.codes.shape[1]
        window = torch.nn.functional.pad(draft.codes, (0, beam.codes.shape[2] - written))
        nats = beam.nats - draft.logp.double().cpu().numpy() / written
        return _Beam(torch.cat([beam.codes, window[:, None]], dim=1), features, nats)

    def _commands(self, beam: _Beam, state: State, ahead: int) -> Array:
        """What each of the beam may be told next ``(candidates, ways, 3)``, within the limits."""
        if self.steer is None:
            return np.full((len(beam.codes), 1, 3), np.nan)
        span = self.tokenizer.frames_per_window / self.tokenizer.fps
        found = []
        for features in beam.features:
            pose = state.pose
            if ahead:
                positions, yaw = root_path(features, state.pose)
                x, y = positions[-1]
                pose = Start(float(x), float(y), float(yaw[-1]))
            found.append(np.atleast_2d(self.steer(pose, state.time + ahead * span, span)))
        return np.clip(np.stack(found), self.prior.limits.lower, self.prior.limits.upper)

    def _conditions(self, commands: Array) -> Conditions:
        count = len(commands)
        return Conditions(
            torch.from_numpy(commands.astype(np.float32)).to(self.prior.device),
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
        total = _PLAUSIBILITY * beam.nats / beam.codes.shape[1]
        for cost in self.costs:
            total = total + cost(rollout)
        return total
