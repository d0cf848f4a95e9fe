"""Training a prior: next-code likelihood on random stretches of token sequences."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motiontok.errors import TrainingError
from motiontok.methods.schedule import cosine
from motiontok.prior.command_steering import fit_command_steering
from motiontok.prior.initialization import code_effects, fit_linear_predictor
from motiontok.prior.model import Conditions, PriorConfig, PriorModel
from motiontok.prior.tokens import Tokens, TokenSet, blocks, spread
from motiontok.progress import Progress
from motiontok.tokenizer import MotionTokenizer
from motiontok.training.checkpoint import load_checkpoint, save_checkpoint
from motiontok.training.interrupt import deferred_interrupt
from motiontok.training.log import CsvLog

__all__ = ["Stretches", "TrainedPrior", "action_chances", "held_out_nats", "train_prior"]

_COLUMNS = ("step", "seconds", "nats", "val_nats")
_DROP_ALL, _DROP_COMMAND, _DROP_WINDOW, _DROP_ACTION, _DROP_STYLE = 0.15, 0.1, 0.15, 0.15, 0.3
_RAREST = 0.0025  # share of windows below which an action is no longer drawn more often
_WARM_UP = 200
_CHECK_EVERY = 500
_MOST_FITTED = 131_072
"""Number of windows for the linear fits; more of them add nothing new."""


class Stretches:
    """Every stretch of up to ``context`` windows of the sequences of a set.

    Args:
        tokens: the set, in memory or in a file; a file is read when stretches are taken.
        context: windows a stretch.
    """

    def __init__(self, tokens: Tokens, context: int) -> None:
        self.context = context
        self._tokens = tokens

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def sequence(self) -> Tensor:
        """Sequence of each window, ``(windows,)``, of all windows, in memory."""
        return torch.from_numpy(self._tokens.read(0, len(self)).sequence).long()

    def draw(self, count: int, kept: Tensor, generator: torch.Generator) -> Tensor:
        """First windows ``(count,)``, evenly drawn and kept with the chance of their action.

        Args:
            count: to draw.
            kept: ``(actions,)``, chances.
            generator: source of randomness.
        """
        found: list[int] = []
        while len(found) < count:
            begin = int(torch.randint(len(self), (1,), generator=generator))
            action = int(self._tokens.read(begin, begin + 1).action[0])
            if float(torch.rand(1, generator=generator)) < float(kept[action]):
                found.append(begin)
        return torch.tensor(found)

    def take(self, first: Tensor) -> tuple[Tensor, Conditions, Tensor]:
        """Stretches that begin at windows ``first (batch,)``.

        Returns:
            Codes ``(batch, context, codes)``, their conditions, and a mask of windows ``(batch,
            context)``, since a sequence may end earlier.
        """
        count = len(first)
        codes = np.empty((count, self.context, self._tokens.codes_per_window), np.int64)
        commands = np.empty((count, self.context, 3), np.float32)
        labels = np.empty((2, count), np.int64)
        there = np.zeros((count, self.context), bool)
        for row, begin in enumerate(first.tolist()):
            part = self._tokens.read(begin, begin + self.context)
            own = part.sequence == part.sequence[0]
            # Windows behind the end of a sequence are not used.
            codes[row], commands[row] = part.codes[0], part.commands[0]
            codes[row, : len(own)][own] = part.codes[own]
            commands[row, : len(own)][own] = part.commands[own]
            there[row, : len(own)] = own
            labels[:, row] = part.action[0], part.style[0]
        action, style = torch.from_numpy(labels)
        return (
            torch.from_numpy(codes),
            Conditions(torch.from_numpy(commands), action, style),
            torch.from_numpy(there),
        )


@dataclass(frozen=True)
class TrainedPrior:
    """Outcome of a run.

    Attributes:
        model: in evaluation mode.
        step: steps done.
        nats: last held-out nats a code.
        seconds: spent in all.
    """

    model: PriorModel
    step: int
    nats: float
    seconds: float


def _dropped(conditions: Conditions, generator: torch.Generator) -> Conditions:
    """Conditions with some removed, so that any part of them may be left open later."""
    batch, windows, _ = conditions.commands.shape
    draw = torch.rand(batch, 4, generator=generator)
    everything = draw[:, 0] < _DROP_ALL
    single = torch.rand(batch, windows, generator=generator) < _DROP_WINDOW
    no_command = (everything | (draw[:, 1] < _DROP_COMMAND))[:, None] | single
    return Conditions(
        conditions.commands.masked_fill(no_command[..., None], torch.nan),
        conditions.action.masked_fill(everything | (draw[:, 2] < _DROP_ACTION), 0),
        conditions.style.masked_fill(everything | (draw[:, 3] < _DROP_STYLE), 0),
    )


def _nats(model: PriorModel, codes: Tensor, conditions: Conditions, there: Tensor) -> Tensor:
    """-log p of each code ``(batch, windows, codes)``, 0 where there is no window."""
    logp = model(codes, conditions).gather(-1, codes[..., None])[..., 0]
    return -logp * there[..., None]


@torch.no_grad()
def held_out_nats(
    model: PriorModel, stretches: Stretches, *, conditioned: bool = True
) -> tuple[float, float]:
    """Nats a code of every window in its context, and of windows without a past separately.

    Args:
        model: the prior's network.
        stretches: of held-out clips.
        conditioned: with their commands and labels, or without any.
    """
    model.eval()
    context, sequence = stretches.context, stretches.sequence
    index = torch.arange(len(stretches))
    begins = torch.cat([torch.tensor([True]), sequence[1:] != sequence[:-1]])
    since = index - torch.where(begins, index, 0).cummax(0).values
    total = first = 0.0
    for back in range(context):
        chosen = index[since == back] if back < context - 1 else index[since >= back]
        for part in (chosen - back).split(64):
            codes, conditions, there = stretches.take(part)
            if not conditioned:
                conditions = Conditions.none(len(part), context)
            # Windows behind the one that is judged must not be seen by its conditions.
            cut = Conditions(
                conditions.commands[:, : back + 1], conditions.action, conditions.style
            )
            loss = _nats(model, codes[:, : back + 1], cut, there[:, : back + 1])
            total += float(loss[:, back].sum())
            first += float(loss[:, back].sum()) if back == 0 else 0.0
    size = model.config.codes_per_window
    return total / (len(stretches) * size), first / (int(begins.sum()) * size)


def train_prior(
    tokenizer: MotionTokenizer,
    tokens: Tokens,
    held_out: TokenSet,
    *,
    config: PriorConfig,
    out: Path,
    steps: int,
    batch: int = 24,
    learning_rate: float | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    resume: bool = False,
    start: PriorModel | None = None,
    update: Progress | None = None,
) -> TrainedPrior:
    """Train a prior; writes ``checkpoint.safetensors`` and ``log.csv`` to ``out``.

    Args:
        tokenizer: of the codes.
        tokens, held_out: for training and for measuring.
        config: sizes.
        out: folder of the run.
        steps, batch, learning_rate: of AdamW with warm-up and a half cosine; the rate is 2e-3 by
            default, and half of that with a ``start``.
        seed: of every random number.
        device: where to train.
        resume: continue from the checkpoint in ``out``.
        start: a trained network of the same sizes to start from.
        update: progress display.

    Raises:
        TrainingError: divergence, or a checkpoint that cannot be used.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    stretches = Stretches(tokens, config.context)
    validation = Stretches(held_out, config.context)
    kept = action_chances(tokens)
    model = PriorModel(config)
    top_rate = learning_rate or (2e-3 if start is None else 1e-3)
    begin = time.monotonic()
    step, checked = 0, math.nan
    path = out / "checkpoint.safetensors"
    own = {"tokenizer": tokenizer.fingerprint, "seed": seed, "tokens": tokens.digest}
    header = {"prior": {**config.to_dict(), **own}}
    if not resume:
        counts = _counts(tokens, config.vocab_size)
        if start is None:
            effects = code_effects(tokenizer, counts.argmax(dim=1), config.rank)
            model.start_from(effects, counts)
        else:
            model.go_on_from(start, counts)
    model.read_codes_of(tokenizer)
    if model.local is not None and not resume:
        some = spread(tokens, _MOST_FITTED)
        codes = torch.from_numpy(some.codes.astype(np.int64))
        if start is None:
            fit_linear_predictor(model, codes, torch.from_numpy(some.sequence))
        fit_command_steering(model, codes)
    if start is not None and not resume:
        checked, _ = held_out_nats(model, validation)
    model.to(device)
    matrices = [p for p in model.blocks.parameters() if p.dim() >= 2]
    chosen = {id(p) for p in matrices}
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": 0.05},
            {"params": [p for p in model.parameters() if id(p) not in chosen], "weight_decay": 0.0},
        ],
        betas=(0.9, 0.98),
    )
    if resume:
        checkpoint = load_checkpoint(path)
        # Older runs have no digest of their tokens.
        trained: dict[str, object] = {"tokens": tokens.digest, **checkpoint.header.get("prior", {})}
        asked = _plain(header["prior"])
        other = [key for key in asked if trained.get(key) != asked[key]]
        if other or trained != asked:
            raise TrainingError(
                f"{path}: was trained with other clips, sizes, labels, seed or another tokenizer "
                f"({', '.join(other) or 'settings'} differ); resume with the same, --from too, or "
                "use another --out"
            )
        if checkpoint.header["step"] > steps:
            raise TrainingError(
                f"{path}: has taken {checkpoint.header['step']} steps, this run asks for "
                f"{steps}; ask for more, or use another --out"
            )
        checkpoint.restore(model, optimizer, generator)
        step, checked = checkpoint.header["step"], checkpoint.header["nats"]
        top_rate = checkpoint.header.get("rate", top_rate)
        begin -= checkpoint.header["seconds"]
        if update is not None:
            update(step, before=step)
    log = CsvLog(out / "log.csv", _COLUMNS, until=step if resume else None)
    mean = 0.0
    with deferred_interrupt() as interrupted:
        while step < steps:
            model.train()
            rate = cosine(step / steps, start=top_rate, end=0.01 * top_rate)
            for group in optimizer.param_groups:
                group["lr"] = rate * min(1.0, (step + 1) / _WARM_UP)
            codes, conditions, there = stretches.take(stretches.draw(batch, kept, generator))
            loss = _nats(
                model,
                codes.to(device),
                _moved(_dropped(conditions, generator), device),
                there.to(device),
            )
            loss = loss.sum() / (there.sum() * config.codes_per_window)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            if not bool(norm.isfinite()):
                raise TrainingError(f"training diverged at step {step}: try a lower learning rate")
            optimizer.step()
            step += 1
            mean = float(loss.detach()) if not mean else 0.98 * mean + 0.02 * float(loss.detach())
            last, stop = step == steps, interrupted()
            if step % _CHECK_EVERY == 0 or last:
                checked, _ = held_out_nats(model.to("cpu"), validation)
                model.to(device)
                seconds = time.monotonic() - begin
                log.append({"step": step, "seconds": seconds, "nats": mean, "val_nats": checked})
            if step % _CHECK_EVERY == 0 or last or stop:
                save_checkpoint(
                    path,
                    model=model,
                    optimizer=optimizer,
                    generator=generator,
                    header={
                        **header,
                        "step": step,
                        "nats": checked,
                        "rate": top_rate,
                        "seconds": time.monotonic() - begin,
                    },
                    extra={},
                )
            if update is not None:
                held = "" if math.isnan(checked) else f", held out {checked:.3f}"
                update(step, f"{mean:.3f} nats a code{held}")
            if stop:
                raise KeyboardInterrupt
    return TrainedPrior(model.to("cpu").eval(), step, checked, time.monotonic() - begin)


def action_chances(tokens: Tokens) -> Tensor:
    """Chance to keep a window of each action, ``(actions,)``.

    Actions then come in proportion to the square roots of their numbers of windows: a common one,
    or windows without any, would leave few steps to the others.
    """
    counts = np.zeros(len(tokens.actions), np.int64)
    for part in blocks(tokens):
        counts += np.bincount(part.action, minlength=len(counts))
    least = max(float(counts[counts > 0].min()), _RAREST * len(tokens))
    return torch.from_numpy((least / np.maximum(counts, 1)) ** 0.5).clamp(max=1.0)


def _counts(tokens: Tokens, vocab_size: int) -> Tensor:
    """Number of each code's occurrences at each position, ``(codes, vocab)``."""
    positions = np.arange(tokens.codes_per_window)
    counts = np.zeros(len(positions) * vocab_size, np.int64)
    for part in blocks(tokens):
        counts += np.bincount((part.codes + positions * vocab_size).ravel(), minlength=len(counts))
    return torch.from_numpy(counts.reshape(len(positions), vocab_size)).float()


def _moved(conditions: Conditions, device: torch.device | str) -> Conditions:
    return Conditions(
        conditions.commands.to(device), conditions.action.to(device), conditions.style.to(device)
    )


def _plain(values: dict[str, object]) -> dict[str, object]:
    """As JSON returns it: lists for tuples."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
