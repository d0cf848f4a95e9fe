"""Where results may be written, and motions in the format of their name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from motiontok.errors import InputError

if TYPE_CHECKING:
    from bvh import Motion

__all__ = ["codes_files", "refuse_inputs", "save_motion"]


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Make sure that no result replaces what it is made of.

    Raises:
        InputError: an output is an input, by whatever path or link.
    """
    read = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in read:
            raise InputError(f"{path}: the output is an input, and would replace it; give another")


def codes_files(path: Path, *endings: str) -> list[Path]:
    """What is written with codes: the file, its sidecar, and results with other endings."""
    return [path, *(path.with_suffix(ending) for ending in (".json", *endings))]


def save_motion(motion: Motion, path: Path) -> None:
    """Write ``.bvh``, ``.npz`` with all arrays, or ``.smpl.npz`` as AMASS has it."""
    from bvh import write
    from bvh.smpl_writing import save_smpl

    if path.name.lower().endswith(".smpl.npz"):
        save_smpl(motion, path)
    elif path.suffix == ".npz":
        motion.save(path)
    else:
        write(motion.to_clip(), path)
