"""All measures of a tokenizer, in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bvh.motion import FPS, Motion
from bvh.splits import parse_name
from motiontok.data import Statistics, reconstruction_metrics
from motiontok.data.clips import ClipSet
from motiontok.evaluate.clips import CodecCoder
from motiontok.evaluate.cost import coding_speed
from motiontok.evaluate.motion_metrics import compare_motions, mean_metrics
from motiontok.evaluate.scalar_codec import ScalarCodec
from motiontok.evaluate.seams import seam_errors
from motiontok.evaluate.sets import metrics_of_sets
from motiontok.evaluate.usage import CodeUsage
from motiontok.evaluate.windows import evaluate_windows
from motiontok.tokenizer import MotionTokenizer

__all__ = ["Evaluation", "evaluate_codec", "evaluate_tokenizer"]

Update = Callable[[int], object]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Results of measuring.

    Attributes:
        metrics: numbers by name: of :func:`~motiontok.evaluate.windows.evaluate_windows`,
            of :func:`~motiontok.evaluate.motion_metrics.compare_motions` and
            :func:`~motiontok.evaluate.seams.seam_errors` (means over clips weighted by
            frames), rates, usage, speeds, and the sizes of the test set.
        actions: clips and their mean joint error (mm, weighted by frames) of each action,
            by the names of the files.
        usage: of the vocabulary; None for a codec without one.
        sets: ``sets`` and ``mean_over_sets`` of :func:`~motiontok.evaluate.sets.metrics_of_sets`.
    """

    metrics: dict[str, float]
    actions: dict[str, tuple[int, float]]
    usage: CodeUsage | None
    sets: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        out: dict[str, Any] = self.metrics | self.sets
        out["actions"] = {
            name: {"clips": clips, "mpjpe_mm": error}
            for name, (clips, error) in self.actions.items()
        }
        if self.usage is not None:
            out["code_usage_per_position"] = self.usage.used.tolist()
            out["perplexity_per_position"] = self.usage.perplexity.tolist()
        return out


def evaluate_tokenizer(
    tokenizer: MotionTokenizer,
    windows: Tensor,
    sets: Sequence[ClipSet],
    *,
    seed: int = 0,
    effort: int | None = None,
    update: Update | None = None,
) -> Evaluation:
    """Measure a tokenizer on windows and on whole clips.

    Args:
        tokenizer: to judge.
        windows: ``(windows, frames, 203)``, standardised by the tokenizer's statistics.
        sets: their held-out clips are reconstructed, each on its own skeleton.
        seed: of the sampled codes of stochastic encoders.
        effort: of encoding; by default the method's own.
        update: called with the number of clips done.
    """
    windows = windows.to(tokenizer.device)
    method = tokenizer.method
    effort = effort or method.usual_effort
    metrics, codes = evaluate_windows(
        method, windows, tokenizer.statistics, seed=seed, effort=effort
    )
    usage = CodeUsage.of(codes.cpu().numpy(), tokenizer.vocab_size)
    of_clips, actions, of_sets = _motion_metrics(
        sets,
        lambda motion: tokenizer.reconstruct(motion, effort=effort),
        tokenizer.frames_per_window,
        update,
    )
    metrics |= of_clips | usage.summary()
    encode = partial(method.encode, effort=effort)
    metrics |= coding_speed(encode, method.decode, windows)
    bits = tokenizer.codes_per_window * float(np.log2(tokenizer.vocab_size))
    metrics |= {"bits_per_window": bits, "bits_per_second": tokenizer.bits_per_second}
    metrics["parameters"] = sum(p.numel() for p in method.parameters())
    return Evaluation(metrics, actions, usage, of_sets)


@torch.no_grad()
def evaluate_codec(
    codec: ScalarCodec,
    windows: Tensor,
    sets: Sequence[ClipSet],
    statistics: Statistics,
    *,
    update: Update | None = None,
) -> Evaluation:
    """Measure a codec of variable length the same way; its bits are means over windows."""
    frames = windows.shape[1]
    symbols = codec.encode(windows)
    metrics = reconstruction_metrics(windows, codec.decode(symbols), statistics)
    coder = CodecCoder(codec, statistics, frames)

    def reconstruct(motion: Motion) -> Motion:
        return coder.decode(coder.encode(motion), motion)

    of_clips, actions, of_sets = _motion_metrics(sets, reconstruct, frames, update)
    metrics |= of_clips
    metrics |= coding_speed(codec.encode, codec.decode, windows)
    bits = float(codec.bits(symbols).mean())
    metrics |= {"bits_per_window": bits, "bits_per_second": bits * FPS / frames}
    return Evaluation(metrics, actions, None, of_sets)


def _motion_metrics(
    sets: Sequence[ClipSet],
    reconstruct: Callable[[Motion], Motion],
    window: int,
    update: Update | None,
) -> tuple[dict[str, float], dict[str, tuple[int, float]], dict[str, Any]]:
    """Errors of all clips together, the joint error of each action, and errors of each set."""
    rows: dict[str, list[tuple[int, dict[str, float]]]] = {of.name: [] for of in sets}
    by_action: dict[str, list[tuple[int, dict[str, float]]]] = {}
    clips = [(of.name, motion) for of in sets for motion in of.held_out]
    for done, (name, motion) in enumerate(clips, start=1):
        decoded = reconstruct(motion)
        errors = compare_motions(motion, decoded) | seam_errors(motion, decoded, window=window)
        rows[name].append((len(motion), errors))
        by_action.setdefault(parse_name(motion.source.name).action, []).append(rows[name][-1])
        if update is not None:
            update(done)
    actions = {
        name: (len(found), mean_metrics(found)["mpjpe_mm"])
        for name, found in sorted(by_action.items())
    }
    found = metrics_of_sets(rows)
    of_sets = {key: found.pop(key) for key in ("sets", "mean_over_sets")}
    return found, actions, of_sets
