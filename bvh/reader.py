"""Read a BVH file into a :class:`~bvh.clip.Clip`."""

from __future__ import annotations

import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.hierarchy import POSITION, ROTATION, Header, axes, line_of, parse_header
from bvh.numbers import NotANumberError, parse_numbers
from bvh.remarks import remark
from bvh.rotations import Array, from_euler, identity
from bvh.sources import read_text, stem

__all__ = ["read"]

_BLOCK = 1 << 15
"""Numbers converted at a time: few enough to stay in cache."""

_LINE = re.compile(rb"[^\r\n]+")


def read(
    path: str | os.PathLike[str],
    *,
    frames: Literal["header", "rows"] = "header",
    fps: float | None = None,
) -> Clip:
    """Read a BVH file.

    Rotation channels are intrinsic rotations composed in file order, in any order and
    number; a position channel replaces that component of its joint's offset. Numbers
    are read as ``float`` reads them. Rows may be wrapped over lines. A joint name that
    occurs again gets a number: ``Spine``, ``Spine_2``. A joint with several End Sites keeps the
    first.

    Args:
        path: a file, a gzipped file, a member of a zip archive named
            ``archive.zip/folder/clip.bvh``, or a zip archive with a single BVH file.
        frames: what to believe if ``Frames:`` disagrees with the rows of numbers. ``"header"``
            refuses the file; ``"rows"`` takes the rows that the file has, without a truncated last
            one.
        fps: frames per second of the file; overrides its ``Frame Time:``. A number there that can
            only be a rate, or milliseconds, is taken for that, with a remark.

    Returns:
        The clip, in the file's own units and axes.

    Raises:
        BVHError: the file cannot be read. The message names the file, the line, what
            was found and what was expected.
    """
    label = str(path)
    if fps is not None and not (math.isfinite(fps) and fps > 0 and math.isfinite(1.0 / fps)):
        raise BVHError(f"fps must be above zero, got {fps}")
    data = read_text(path)
    header = parse_header(data, label, fps=fps)
    rows = _rows(data, header, label, believe_rows=frames == "rows")
    # A joint with channels has two bytes of text a frame or more; one without has none.
    if len(rows) * len(header.names) > (1 << 20) + len(data):
        raise BVHError(
            f"{label}: {len(header.names)} joints x {len(rows)} frames are too many "
            f"for a file of {len(data)} bytes; remove joints without channels"
        )
    rotations, positions = _local_transforms(rows, header.channels, header.offsets)
    return Clip(
        names=_distinct(header.names),
        parents=tuple(header.parents),
        offsets=header.offsets,
        channels=tuple(header.channels),
        rotations=rotations,
        positions=positions,
        frame_time=header.frame_time,
        end_sites=header.end_sites,
        name=stem(path),
        remarks=(remark("frame-time", header.assumed),) if header.assumed else (),
    )


def _rows(data: bytes, header: Header, label: str, *, believe_rows: bool) -> Array:
    """The numbers as ``(frames, channels)``."""
    width = sum(map(len, header.channels))
    try:
        numbers = parse_numbers(data, header.data_start)
    except NotANumberError as error:
        raise _bad_number(data, header, label, error) from None
    if width == 0 and (len(numbers) or header.frames):
        raise BVHError(f"{label}: no joint has channels, so there is no motion to read")
    count, rest = divmod(len(numbers), max(width, 1))
    if believe_rows and rest and _Lines.count(data, header.data_start, width).only_last_is_short:
        numbers, rest = numbers[:-rest], 0
    if rest or not (believe_rows or header.frames == count):
        raise _wrong_count(data, header, label, width, count, rest)
    return numbers.reshape(count, width)


def _local_transforms(
    rows: Array, channels: Sequence[tuple[str, ...]], offsets: Array
) -> tuple[Array, Array]:
    """Quaternions ``(frames, joints, 4)`` and positions ``(frames, joints, 3)`` of the rows."""
    frames, joints = len(rows), len(channels)
    rotations = identity(frames, joints)
    positions = np.empty((frames, joints, 3))
    targets: list[int] = []
    sources: list[int] = []
    by_order: dict[str, tuple[list[int], list[list[int]]]] = defaultdict(lambda: ([], []))
    column = 0
    for joint, names in enumerate(channels):
        turns: list[int] = []
        for name in names:
            if name in ROTATION:
                turns.append(column)
            else:
                targets.append(3 * joint + POSITION.index(name))
                sources.append(column)
            column += 1
        if turns:
            members, columns = by_order[axes(names, ROTATION)]
            members.append(joint)
            columns.append(turns)
    step = max(1, _BLOCK // max(1, column))
    for start in range(0, frames, step):
        block = rows[start : start + step]
        place = positions[start : start + step].reshape(len(block), -1)
        place[:] = offsets.reshape(-1)
        if targets:
            place[:, _span(targets)] = block.take(sources, axis=1)
        for order, (members, columns) in by_order.items():
            angles = np.radians(block.take(columns, axis=1))
            rotations[start : start + step, _span(members)] = from_euler(angles, order)
    return rotations, positions


def _span(indices: list[int]) -> slice | list[int]:
    """A slice where the indices are one: numpy copies it several times as fast."""
    span = range(indices[0], indices[-1] + 1)
    return slice(span.start, span.stop) if indices == list(span) else indices


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    taken = set(names)
    seen: Counter[str] = Counter()
    out: list[str] = []
    for name in names:
        seen[name] += 1
        label = name
        if seen[name] > 1:
            while (label := f"{name}_{seen[name]}") in taken:
                seen[name] += 1
            taken.add(label)
        out.append(label)
    return tuple(out)


def _bad_number(data: bytes, header: Header, label: str, error: NotANumberError) -> BVHError:
    columns = [
        f"joint {name}, {channel}"
        for name, channels in zip(header.names, header.channels, strict=True)
        for channel in channels
    ]
    where = ""
    if columns:
        where = f" at frame {error.index // len(columns)}, {columns[error.index % len(columns)]}"
    return BVHError(
        f"{label}, line {line_of(data, error.position)}: expected a finite number{where}, "
        f"found {error.token.decode('latin-1')!r}"
    )


@dataclass
class _Lines:
    """How many numbers the lines from ``start`` on have, next to the ``width`` of a row."""

    lines: int = 0
    odd: int = 0
    first_odd: tuple[int, int] = (0, 0)
    last_is_short: bool = False

    @classmethod
    def count(cls, data: bytes, start: int, width: int) -> _Lines:
        out = cls()
        for match in _LINE.finditer(data, start):
            numbers = len(match.group().split())
            if not numbers:
                continue
            out.lines += 1
            out.last_is_short = numbers < width
            if numbers != width:
                out.odd += 1
                if out.odd == 1:
                    out.first_odd = match.start(), numbers
        return out

    @property
    def only_last_is_short(self) -> bool:
        return self.odd == 1 and self.last_is_short


def _wrong_count(
    data: bytes, header: Header, label: str, width: int, count: int, rest: int
) -> BVHError:
    said = "is missing" if header.frames is None else f"says {header.frames}"
    found = f"found {count} rows of {width} numbers"
    advice = '; frames="rows" (--frames rows of a command) takes the rows that are there'
    if rest:
        found += f" and {rest} numbers more"
        lines = _Lines.count(data, header.data_start, width)
        # Rows that are wrapped have no one line to blame.
        if 2 * lines.odd <= lines.lines + 1:
            at, numbers = lines.first_odd
            found += f" (line {line_of(data, at)} has {numbers})"
        if not lines.only_last_is_short:
            advice = ""
    return BVHError(f"{label}: Frames: {said}, {found}{advice}")
