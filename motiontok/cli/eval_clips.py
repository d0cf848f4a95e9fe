"""The clips that ``motiontok eval`` measures on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from motiontok.cli.sources import print_notes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bvh.reading import Reading
    from motiontok.config import DataConfig
    from motiontok.data.clips import Clips
    from motiontok.tokenizer import MotionTokenizer

__all__ = ["clips_to_measure"]

_FEW = 4
"""Most held-out clips that are named."""


def clips_to_measure(
    name: str,
    tokenizer: MotionTokenizer,
    data: Sequence[Path],
    *,
    everything: bool,
    reading: Reading,
    strict: bool,
) -> tuple[Clips, str]:
    """Clips to measure on, as what is held out, and the split in words.

    Args:
        name: of the tokenizer, as the user gave it.
        tokenizer: the same, opened.
        data: paths of clips; by default those that its run was trained on.
        everything: take all clips.
        reading: how to read them.
        strict: a clip that cannot be read, or with a fault in it, is an error.

    Raises:
        InputError: ``everything`` without data.
        DataError: there are no clips, or the run's are gone or were read otherwise.
    """
    from dataclasses import replace

    from motiontok.data.clips import every_clip, load_clips
    from motiontok.errors import InputError
    from motiontok.progress import progress

    of_data = tokenizer.config.data
    made = of_data.dataset == "procedural"
    if everything and not data:
        raise InputError("--all needs --data: a folder or archive of BVH clips")
    paths = list(data) if data or made else _of_run(name, of_data, reading)
    with progress("reading clips", 1) as update:
        if everything or (made and paths):
            clips = every_clip(
                paths,
                strict=strict,
                reading=reading,
                calibrations=tokenizer.calibrations,
                update=lambda n, of: update(n, total=of),
            )
            return clips, f"all clips of {', '.join(of.name for of in clips.sets)}"
        clips = load_clips(
            # Weights belong to the draws and sets of training.
            replace(of_data, weights={}),
            paths,
            seed=tokenizer.config.train.seed,
            strict=strict,
            reading=reading,
            calibrations=tokenizer.calibrations,
            update=lambda n, of: update(n, total=of),
        )
    if data:
        held, count = len(clips.held_out), len(clips.held_out) + len(clips.training)
        # It is not known whether training had these clips; its split would hold them out.
        told = f"{held} of {count} clips are measured, those that the split of training holds out"
        print_notes([f"{told}; --all measures all"])
    return clips, _split(of_data, clips)


def _of_run(name: str, of_data: DataConfig, reading: Reading) -> list[Path]:
    """Paths of the clips that a run was trained on; none if its data set needs no path."""
    from motiontok.errors import DataError
    from motiontok.paths import SHIPPED_TOKENIZER
    from motiontok.runs import data_of_run

    if name == SHIPPED_TOKENIZER:
        raise DataError(
            "the shipped tokenizer was trained on CMU and SNU, which do not come with it; give "
            "--data CLIPS --all"
        )
    kept = data_of_run(name)
    if kept is None:
        if of_data.dataset == "lafan":
            return []
        raise DataError("this tokenizer was trained on clips of your own: give --data")
    for path in kept.paths:
        if not path.exists():
            raise DataError(f"{name} was trained on {path}, which is there no more: give --data")
    if kept.reading != reading.digest:
        raise DataError(
            f"{name} was trained on clips read in another way: give the options of reading that "
            "its training had, or --data"
        )
    print_notes([f"clips of its training: {', '.join(map(str, kept.paths))}"])
    return list(kept.paths)


def _split(of_data: DataConfig, clips: Clips) -> str:
    """The split in words, with the names of the held-out clips where they are few."""
    from bvh import lafan
    from motiontok.evaluate.sets import of_sets

    held = [of.held_out for of in clips.sets if of.held_out]
    # Names of many are not asked for: a store reads each clip for its name.
    names = [[m.source.name for m in part] if len(part) <= _FEW else [] for part in held]
    how = f"1 in {of_data.holdout} clips"
    if of_data.holdout_actions:
        how = of_data.holdout_actions
    elif of_data.dataset == "lafan" and any(
        set(lafan.DAPS_VALIDATION) == set(part) for part in names
    ):
        how = ", ".join(lafan.DAPS_VALIDATION)
        if len(names) > 1:
            how += f", else 1 in {of_data.holdout} clips"
    elif of_data.dataset != "procedural" and all(names) and sum(map(len, names)) <= _FEW:
        how += f" ({', '.join(name for part in names for name in part)})"
    return f"{of_data.dataset}, {how} held out{of_sets(clips.sets)}"
