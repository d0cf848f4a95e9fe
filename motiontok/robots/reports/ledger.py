"""The ledger of a folder that is put on a robot: a line per clip, so that a run can continue."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bvh.atomic_write import atomic_path
from motiontok.errors import InputError
from motiontok.robots.model.robot import Robot
from motiontok.robots.reports.report import Report
from motiontok.shards import manifest_lines

__all__ = [
    "LEDGER",
    "Line",
    "digest",
    "exceeded",
    "parse_limits",
    "read_ledger",
    "require_measured",
    "write_ledger",
]

LEDGER = "retarget.jsonl"
"""Name of the ledger in a folder of robot trajectories, a line a clip."""


@dataclass(frozen=True)
class Line:
    """One clip.

    Attributes:
        file: of the clip, relative to the folder of clips.
        sha256: of the clip's bytes.
        how: digest of robot, map, rate, layout, reading, bounds and ground.
        output: file of the trajectory, relative to the ledger's folder; empty if it was left out.
        frames: written, or to be written.
        fps: of these.
        left_out: the bound that it exceeds; empty if it exceeds none.
        report: figures by name, SI units; None for what is not measured.
    """

    file: str
    sha256: str
    how: str
    output: str
    frames: int
    fps: float
    left_out: str
    report: dict[str, float | None]

    def text(self) -> str:
        """Text of a line of the ledger."""
        return json.dumps(asdict(self)) + "\n"

    def figures(self) -> Report:
        """The report."""
        values: dict[str, Any] = self.report
        return Report(**values)


def parse_limits(texts: tuple[str, ...]) -> dict[str, float]:
    """Bounds from texts like ``root_jerk=80``.

    Raises:
        InputError: no such figure, or no number.
    """
    known = [field.name for field in fields(Report)]
    bounds: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in known:
            raise InputError(f"--max {text}: no figure {name!r}; choose from {', '.join(known)}")
        try:
            bounds[name] = float(value)
        except ValueError:
            raise InputError(f"--max {text}: expected FIGURE=NUMBER, in SI units") from None
        if not bounds[name] >= 0.0:
            raise InputError(f"--max {text}: expected a number of at least 0")
    return bounds


def require_measured(bounds: Mapping[str, float], robot: Robot) -> None:
    """Refuse bounds of figures that are not measured of a robot.

    Raises:
        InputError: a bound is of self-collision, and meshes are missing.
    """
    for name in ("self_penetration", "colliding_frames"):
        if name in bounds and not robot.measures_self_collision:
            raise InputError(
                f"--max {name}={bounds[name]:g}: not measured without the meshes of {robot.name};"
                " put them where its URDF says, or leave out this bound"
            )


def exceeded(report: Report, bounds: Mapping[str, float]) -> str:
    """Measured figures of a report beyond bounds, in words; empty if there are none."""
    values = report.to_dict()
    return ", ".join(
        f"{name} {value:.4g} above {bound:g}"
        for name, bound in bounds.items()
        if (value := values[name]) is not None and value > bound
    )


def read_ledger(folder: Path) -> dict[str, Line]:
    """The last line of each clip in a folder's ledger; empty if there is no ledger.

    An unfinished last line is left out, and so are lines without some of today's figures: their
    clips are measured again.

    Raises:
        DataError: a line is damaged.
    """
    path = folder / LEDGER
    if not path.is_file():
        return {}
    lines = manifest_lines(path, "remove the line to do its clip again", _line)
    today = {field.name for field in fields(Report)}
    return {line.file: line for line in lines if today <= line.report.keys()}


def _line(values: dict[str, Any]) -> Line:
    line = Line(**values)
    if unknown := line.report.keys() - {field.name for field in fields(Report)}:
        raise ValueError(f"no figure {min(unknown)!r}")
    return line


def write_ledger(folder: Path, lines: list[Line]) -> None:
    """Replace a folder's ledger, atomically."""
    with atomic_path(folder / LEDGER) as temporary:
        temporary.write_text("".join(line.text() for line in lines), encoding="utf-8")


def digest(*parts: bytes | str) -> str:
    """SHA-256 of several values together."""
    out = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        out.update(len(data).to_bytes(8, "little") + data)
    return out.hexdigest()
