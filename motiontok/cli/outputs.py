"""Where results may be written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from motiontok.errors import InputError

__all__ = ["refuse_inputs"]


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Make sure that no result replaces what it is made of.

    Raises:
        InputError: an output is an input, by whatever path or link.
    """
    read = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in read:
            raise InputError(f"{path}: the output is an input, and would replace it; give another")
