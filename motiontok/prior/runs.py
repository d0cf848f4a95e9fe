"""From clips to a prior's folder, for ``motiontok train-prior``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bvh.atomic_write import atomic_path
from bvh.dataset import lengths_of
from motiontok.data.clips import Joined
from motiontok.data.sets import (
    find_copies,
    notes_on,
    open_sets,
    read_sets,
    remarks_on,
    split_sets,
)
from motiontok.errors import TrainingError
from motiontok.locks import locked
from motiontok.prior.baselines import baseline_nats
from motiontok.prior.labels import Pairs
from motiontok.prior.limits import CommandLimits
from motiontok.prior.model import PriorConfig, PriorModel
from motiontok.prior.prior import TokenPrior
from motiontok.prior.tokens import TokenSet, labels_of, tokenize_clips
from motiontok.prior.training import Stretches, held_out_nats, train_prior
from motiontok.progress import progress
from motiontok.tokenizer import MotionTokenizer

__all__ = ["PriorRun", "load_tokens", "run_prior_training"]


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
    out: Path,
    *,
    shifts: int,
    say: Callable[[str], None] = print,
) -> tuple[TokenSet, TokenSet]:
    """Tokens of training and held-out clips, kept in ``out``.

    Each path is a set, split as in the tokenizer's training, so that neither has seen the held-out
    clips. A second call reads ``out/tokens.npz`` and ``out/held_out.npz``.

    Raises:
        DataError: the tokens in ``out`` belong to other clips, cuts or another tokenizer.
    """
    origin = f"{' and '.join(str(path.resolve()) for path in data)} cut {shifts} times"
    files = (out / "tokens.npz", out / "held_out.npz")
    if all(file.is_file() for file in files):
        say(f"using the tokens in {out}")
        first, second = (
            TokenSet.load(f, fingerprint=tokenizer.fingerprint, origin=origin) for f in files
        )
        return first, second
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
    # Motions of a store are read when it is their turn, and kept no longer.
    training, held_out = (
        (Joined([part[n].motions for part in parts]), [c for part in parts for c in part[n].names])
        for n in (0, 1)
    )
    # A clip without a window, such as a calibration pose, teaches no label.
    window = tokenizer.frames_per_window
    lengths = [frames for part in parts for frames in lengths_of(part.train.motions)]
    long = [name for name, n in zip(training[1], lengths, strict=True) if n >= window]
    labels = labels_of(long, mirror=True)
    sets = []
    for (motions, clip_names), times, mirror in ((training, shifts, True), (held_out, 1, False)):
        with progress("encoding", len(motions)) as update:
            sets.append(
                tokenize_clips(
                    tokenizer,
                    motions,
                    clip_names,
                    shifts=times,
                    mirror=mirror,
                    labels=labels,
                    update=update,
                )
            )
    for tokens, file in zip(sets, files, strict=True):
        tokens.save(file, fingerprint=tokenizer.fingerprint, origin=origin)
    return sets[0], sets[1]


def run_prior_training(
    tokenizer: MotionTokenizer,
    *,
    data: Sequence[Path],
    out: Path,
    steps: int,
    shifts: int = 4,
    codes: int | None = None,
    width: int = 192,
    layers: int = 3,
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
        width, layers: of the transformer.
        seed: of every random number.
        device: where to train.
        resume: continue the run in ``out``.
        say: prints a line for the user.

    Raises:
        TrainingError: ``out`` already holds a run and ``resume`` is not set, or it has taken more
            steps than ``steps``.
        InputError: another process trains there.
    """
    if (out / "checkpoint.safetensors").exists() and not resume:
        raise TrainingError(
            f"{out} already holds a run: --resume continues it, another --out starts a new one"
        )
    tokenizer.to(device)
    tokenizer.require_first(codes)
    drawn = codes or tokenizer.codes_per_window
    found = load_tokens(tokenizer, data, out, shifts=shifts, say=say)
    tokens, held_out = (of.first(drawn) for of in found)
    say(
        f"{len(tokens)} windows to train on (mirror images included), {len(held_out)} held out, "
        f"{len(tokens.actions) - 1} actions, {len(tokens.styles) - 1} styles"
    )
    config = PriorConfig(
        codes_per_window=drawn,
        vocab_size=tokenizer.vocab_size,
        actions=tokens.actions,
        styles=tokens.styles,
        width=width,
        layers=layers,
        components=PriorModel.components_of(tokenizer.method),
    )
    with locked(out, "training here"), progress("training the prior", steps) as update:
        trained = train_prior(
            tokenizer,
            tokens,
            held_out,
            config=config,
            out=out,
            steps=steps,
            seed=seed,
            device=torch.device(device),
            resume=resume,
            update=update,
        )
    prior = TokenPrior(
        trained.model,
        fingerprint=tokenizer.fingerprint,
        licence=tokenizer.licence,
        limits=CommandLimits.of(tokens.commands),
        pairs=Pairs.of(tokens),
    )
    prior.save_pretrained(out / "prior")
    # What is measured is what was saved, rounding included.
    prior = TokenPrior.from_pretrained(out / "prior", tokenizer=tokenizer)
    stretches = Stretches(held_out, config.context)
    metrics: dict[str, Any] = {"steps": trained.step, "seconds": trained.seconds}
    metrics["nats"], metrics["nats_first_window"] = held_out_nats(prior.model, stretches)
    metrics["nats_unconditional"], _ = held_out_nats(prior.model, stretches, conditioned=False)
    metrics |= baseline_nats(tokens, held_out, vocab_size=tokenizer.vocab_size)
    with atomic_path(out / "metrics.json") as temporary:
        temporary.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    return PriorRun(prior, metrics)
