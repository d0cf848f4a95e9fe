"""The rows of a table of numbers, and the names of its columns in the lines above them."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bvh.archives import absent
from bvh.arrays import refuse_pickle
from bvh.errors import BVHError
from bvh.rotations import Array
from motiontok.errors import RobotError

__all__ = ["angles_in", "joints_of", "order_in", "read_rows", "unit_in"]

_UNIT = re.compile(r"[(\[].*?[)\]]|_(?:rad|deg|degrees|radians|pos|dof|joint)(?=_|$)")
_LONG = 80  # characters of what NumPy says, which may be a whole row
_LENGTHS = {"mm": 0.001, "cm": 0.01, "m": 1.0}


def read_rows(path: Path) -> tuple[tuple[str, ...], Array]:
    """Names of the columns, empty if there are none, and the rows.

    Commas, semicolons, tabs or blanks separate cells. Lines before the numbers may name the
    columns, begin with ``#``, or have another number of cells.

    Raises:
        RobotError: no such file, a pickle, or no table of numbers.
    """
    try:
        refuse_pickle(path)
    except BVHError as error:
        raise RobotError(str(error)) from None
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = [line for line in text.splitlines() if line.strip(" \t,;")]
        above = [line for line in lines if line.lstrip().startswith("#")]
        below = [line for line in lines if not line.lstrip().startswith("#")]
        mark = next((c for c in ",;\t" if any(c in line for line in below)), None)
        rows, named = _cells(below, mark), _cells([line.lstrip("# ") for line in above], mark)
    except (FileNotFoundError, NotADirectoryError):
        raise RobotError(f"{path}: {absent(path)}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        message = " ".join(str(error).split())
        raise RobotError(f"{path}: not a table of numbers ({message})") from None
    if not rows:
        raise RobotError(f"{path}: no rows")
    width = len(rows[-1])
    while len(rows) > 1 and (len(rows[0]) != width or not any(map(_is_number, rows[0]))):
        if len(rows[0]) != width and all(map(_is_number, rows[0])):
            break  # A row that was cut off, and no title.
        named.append(rows.pop(0))
    fitting = [tuple(row) for row in named if len(row) == width]
    try:
        return (fitting[-1] if fitting else ()), np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise RobotError(f"{path}: not a table of numbers ({str(error)[:_LONG]})") from None


def joints_of(header: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """The joints in the names of columns, in order; empty if columns are only numbered.

    Units and endings such as ``_joint`` do not matter. Names of unknown joints are unchanged.
    """
    if set(header) & set(wanted):
        return tuple(header)
    known = {_plain(name): name for name in wanted}
    found = tuple(known.get(_plain(name), name) for name in header)
    if set(found) & set(wanted):
        return found
    numbered = all(re.fullmatch(r"[a-z_ ]*\d+", _plain(name)) for name in header)
    return () if numbered else tuple(header)


def order_in(header: Sequence[str]) -> str | None:
    """The order of a quaternion whose columns end in w, x, y and z."""
    ends = "".join(_plain(name)[-1:] for name in header)
    return ends if ends in ("wxyz", "xyzw") else None


def unit_in(header: Sequence[str]) -> float | None:
    """Metres per unit of columns that name one, such as ``x (cm)`` or ``root_x_cm``."""
    units = {(re.findall(r"[a-z]+", name.lower()) or [""])[-1] for name in header}
    return _LENGTHS.get(units.pop()) if len(units) == 1 else None


def angles_in(header: Sequence[str]) -> str | None:
    """``"degrees"`` or ``"radians"``, if all columns say so."""
    for word, unit in (("deg", "degrees"), ("rad", "radians")):
        if header and all(re.search(rf"(?:^|[_\W]){word}", name.lower()) for name in header):
            return unit
    return None


def _plain(name: str) -> str:
    return _UNIT.sub("", name.strip().lower()).strip(" _.")


def _cells(lines: Sequence[str], mark: str | None) -> list[list[str]]:
    if mark is None:
        return [line.split() for line in lines]
    return [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=mark)]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
