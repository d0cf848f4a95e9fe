"""``--from`` and ``--to``: a part of a clip, by its own seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from motiontok.cli.number_types import FiniteRange
from motiontok.errors import InputError

__all__ = ["Range", "range_options"]


@dataclass(frozen=True)
class Range:
    """A part of a clip.

    Attributes:
        start: seconds from the clip's first frame; None is the clip's start.
        end: seconds, after ``start``; None is the clip's end.
    """

    start: float | None = None
    end: float | None = None

    def __bool__(self) -> bool:
        """Whether anything is cut off."""
        return self.start is not None or self.end is not None

    def __str__(self) -> str:
        """As it is written on the command line."""
        given = {"--from": self.start, "--to": self.end}
        return " ".join(f"{k} {seconds:g}" for k, seconds in given.items() if seconds is not None)

    def refuse(self) -> None:
        """Refuse to cut what is not one file of motion.

        Raises:
            InputError: anything would be cut off.
        """
        if self:
            raise InputError(f"{self}: only one file of motion can be cut")

    def frames(self, count: int, fps: float, source: Path, since: float = 0.0) -> slice:
        """The frames of a clip of ``count`` at ``fps`` a second, from ``start`` up to ``end``.

        The first of them is at ``since`` seconds of the clip that it was cut from.

        Raises:
            InputError: the range is not inside the clip, or no frame is in it.
        """
        # A clip's end is told in hundredths, which may round it up.
        last = since + count / fps + 0.005
        start = since if self.start is None else self.start
        end = last if self.end is None else self.end
        for option, seconds, inside in (
            ("--from", start, since <= start < last),
            ("--to", end, since < end <= last),
        ):
            if not inside:
                begins = f"begins at {since:.2f} s and " if since else ""
                raise InputError(
                    f"{source}: {option} {seconds:g} is not in the clip, which {begins}ends at "
                    f"{since + count / fps:.2f} s"
                )
        part = slice(round((start - since) * fps), min(round((end - since) * fps), count))
        if part.start >= part.stop:
            raise InputError(
                f"{source}: no frame is in {self}; the clip has {fps:g} frames a second and ends "
                f"at {since + count / fps:.2f} s"
            )
        return part


def range_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--from`` and ``--to``, which the command takes together as ``part``."""

    @wraps(command)
    def taken(**given: Any) -> Any:
        part = Range(given.pop("start"), given.pop("end"))
        if part.end is not None and part.end <= (part.start or 0.0):
            raise InputError(f"{part}: --to must be after --from")
        return command(part=part, **given)

    for name, option, default in (("end", "--to", "its end"), ("start", "--from", "its start")):
        taken = click.option(
            option,
            name,
            type=FiniteRange(min=0),
            metavar="SECONDS",
            help=f"Take the clip {option[2:]} this moment of its own time  [default: {default}]",
        )(taken)
    return taken
