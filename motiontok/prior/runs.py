"""From clips to a prior's folder, for ``motiontok train-prior``."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bvh.atomic_write import atomic_path
from bvh.dataset import Dataset, lengths_of
from motiontok.data.clips import Joined
from motiontok.data.sets import (
    digests_of,
    find_copies,
    notes_on,
    open_sets,
    read_sets,
    remarks_on,
    split_sets,
)
from motiontok.errors import InputError, TokenizerError, TrainingError
from motiontok.locks import locked
from motiontok.prior.baselines import baseline_nats
from motiontok.prior.command_limits import CommandLimits
from motiontok.prior.folder import prior_folder, read_prior, refusing_damage
from motiontok.prior.label_commands import LabelCommands
from motiontok.prior.labels import Pairs
from motiontok.prior.model import PriorConfig, PriorModel
from motiontok.prior.prior import TokenPrior
from motiontok.prior.token_file import TokenFile, make_tokens
from motiontok.prior.tokens import Cuts, TokenSet, labels_of, spread
from motiontok.prior.training import Stretches, held_out_nats, train_prior
from motiontok.progress import progress
from motiontok.tokenizer import MotionTokenizer
from motiontok.training.checkpoint import CHECKPOINT, read_header

__all__ = ["MOST_HELD_OUT", "PriorRun", "load_tokens", "run_prior_training"]

MOST_HELD_OUT = 8_192
"""Approximate number of windows to measure on: each takes as long as one in training."""

_MOST_COMMANDS = 1 << 20
"""Windows whose commands give the limits of commands, and commands of labels."""


@dataclass(frozen=True, eq=False)
class PriorRun:
    """A finished run.

    Attributes:
        prior: the trained prior, saved in ``out/prior``.
        metrics: held-out nats a code, of the prior and of baselines.
    """

    prior: TokenPrior
    metrics: dict[str, float]


def load_tokens(
    tokenizer: MotionTokenizer,
    data: Sequence[Path],
    *,
    shifts: int,
    say: Callable[[str], None] = print,
) -> tuple[TokenFile, TokenSet]:
    """Tokens of training clips, in a file to be closed, and of held-out clips, in memory.

    Each path is a set, split as in the tokenizer's training, so that neither has seen the held-out
    clips. Of many held-out clips, one in every so many is taken, so that there are about
    :data:`MOST_HELD_OUT` windows at most. A second call finds the tokens in the cache.

    Raises:
        DataError: no clip is as long as a window.
        OSError: the cache cannot be written, or the disk is full.
    """
    names, opened = open_sets(data)
    with progress("reading clips", 1) as update:
        clips = read_sets(
            opened,
            calibrations=tokenizer.calibrations,
            update=lambda n, of: update(n, total=of),
        )
    for of in clips:
        if of.skipped:
            say(of.skipped_summary())
    copies = find_copies(clips, names)
    for line in (*notes_on(copies, names), *remarks_on(clips, names)):
        say(line)
    parts = split_sets(tokenizer.config.data, names, clips, copies)
    window = tokenizer.frames_per_window
    training = [part.train for part in parts]
    # A clip without a window, such as a calibration pose, teaches no label.
    long = [
        name
        for of in training
        for name, frames in zip(of.names, lengths_of(of.motions), strict=True)
        if frames >= window
    ]
    actions, styles = map(tuple, labels_of(long, mirror=True))
    made = []
    for sets, times, mirror in (
        (training, shifts, True),
        (_some_of([part.held_out for part in parts], window), 1, False),
    ):
        # Each motion of a store is read at its turn, and then dropped.
        motions = Joined([of.motions for of in sets])
        with progress("encoding", len(motions)) as update:
            made.append(
                make_tokens(
                    tokenizer,
                    motions,
                    [name for of in sets for name in of.names],
                    [digest for of in sets for digest in digests_of(of.motions)],
                    Cuts(times, mirror, actions, styles),
                    update=update,
                    say=say,
                )
            )
    with made[1] as file:
        return made[0], file.read(0, len(file))


def _some_of(sets: Sequence[Dataset], window: int) -> list[Dataset]:
    """One clip in every so many, so that there are not too many windows."""
    windows = sum(frames // window for of in sets for frames in lengths_of(of.motions))
    step = max(math.ceil(windows / MOST_HELD_OUT), 1)
    before, out = 0, []
    for of in sets:
        out.append(of.take(range(-before % step, len(of), step)))
        before += len(of)
    return out


def _read_start(start: str | os.PathLike[str], tokenizer: MotionTokenizer) -> PriorModel:
    """The network of a prior to start from.

    Raises:
        TokenizerError: missing, damaged or of other sizes than the tokenizer.
    """
    path = prior_folder(start)
    with refusing_damage(path):
        _, model = read_prior(path)
    config = model.config
    found = config.vocab_size, config.components
    asked = tokenizer.vocab_size, PriorModel.components_of(tokenizer.method)
    if found != asked or config.codes_per_window > tokenizer.codes_per_window:
        raise TokenizerError(
            f"{path}: a prior of {config.codes_per_window} codes of {found[0]} values, "
            f"{found[1]} components, is no start for a tokenizer of "
            f"{tokenizer.codes_per_window} codes of {asked[0]} values, {asked[1]} components"
        )
    return model


def run_prior_training(
    tokenizer: MotionTokenizer,
    *,
    data: Sequence[Path],
    out: Path,
    steps: int,
    shifts: int = 4,
    codes: int | None = None,
    width: int | None = None,
    layers: int | None = None,
    start: str | os.PathLike[str] | None = None,
    seed: int = 0,
    device: str = "cpu",
    resume: bool = False,
    say: Callable[[str], None] = print,
) -> PriorRun:
    """Encode clips, train a prior on them, save it and measure it on held-out clips.

    Args:
        tokenizer: of the codes.
        data: folders or archives of clips, each a set.
        out: folder of the run.
        steps: optimiser steps.
        shifts: number of cuts of each training clip (and of its mirror image).
        codes: number of first codes of each window that the prior draws; all by default. The
            tokenizer adds the likeliest others by its own prior.
        width, layers: of the transformer; 192 and 3 by default.
        start: prior to start from, perhaps of another tokenizer with the same sizes: a folder or
            "default". ``codes``, ``width`` and ``layers`` are its own.
        seed: of every random number.
        device: where to train.
        resume: continue the run in ``out``.
        say: prints a line for the user.

    Raises:
        TrainingError: ``out`` already holds a run and ``resume`` is not set, or it has taken more
            steps than ``steps``.
        InputError: another process trains there, or it is a file; a size is given beside
            ``start``.
        TokenizerError: ``start`` is no prior, or one of other sizes.
    """
    if (out / CHECKPOINT).exists() and not resume:
        raise TrainingError(
            f"{out} already holds a run: --resume continues it, another --out starts a new one"
        )
    if resume:
        read_header(out / CHECKPOINT)
    if out.is_file():
        # Checked before clips are encoded, which takes long.
        raise InputError(f"{out}: a file; a prior is trained into a folder")
    tokenizer.to(device)
    trained_before = None
    if start is None:
        sizes = PriorConfig(
            codes_per_window=tokenizer.codes_per_window if codes is None else codes,
            vocab_size=tokenizer.vocab_size,
            width=width or PriorConfig.width,
            layers=layers or PriorConfig.layers,
            components=PriorModel.components_of(tokenizer.method),
        )
    else:
        if (codes, width, layers) != (None, None, None):
            raise InputError(
                "codes, width and layers are those of the prior to start from: leave them out"
            )
        trained_before = _read_start(start, tokenizer)
        sizes = trained_before.config
    drawn = sizes.codes_per_window
    tokenizer.require_first(drawn)
    every, all_held_out = load_tokens(tokenizer, data, shifts=shifts, say=say)
    held_out = all_held_out.first(drawn)
    with every, every.first(drawn) as tokens:
        say(
            f"{len(tokens)} windows to train on (mirror images included), {len(held_out)} held "
            f"out, {len(tokens.actions) - 1} actions, {len(tokens.styles) - 1} styles"
        )
        out.mkdir(parents=True, exist_ok=True)
        with locked(out, "training here"), progress("training the prior", steps) as update:
            trained = train_prior(
                tokenizer,
                tokens,
                held_out,
                config=replace(sizes, actions=tokens.actions, styles=tokens.styles),
                out=out,
                steps=steps,
                seed=seed,
                device=torch.device(device),
                resume=resume,
                start=trained_before,
                update=update,
            )
        some = spread(tokens, _MOST_COMMANDS)
        prior = TokenPrior(
            trained.model,
            fingerprint=tokenizer.fingerprint,
            licence=tokenizer.licence,
            limits=CommandLimits.of(some.commands),
            pairs=Pairs.of(tokens),
            label_commands=LabelCommands.of(some, sizes.context),
        )
        prior.save_pretrained(out / "prior")
        # The saved prior is measured, with its rounding.
        prior = TokenPrior.from_pretrained(out / "prior", tokenizer=tokenizer)
        stretches = Stretches(held_out, sizes.context)
        metrics: dict[str, Any] = {"steps": trained.step, "seconds": trained.seconds}
        metrics["nats"], metrics["nats_first_window"] = held_out_nats(prior.model, stretches)
        metrics["nats_unconditional"], _ = held_out_nats(prior.model, stretches, conditioned=False)
        metrics |= baseline_nats(tokens, held_out, vocab_size=tokenizer.vocab_size)
        with atomic_path(out / "metrics.json") as temporary:
            temporary.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    return PriorRun(prior, metrics)
