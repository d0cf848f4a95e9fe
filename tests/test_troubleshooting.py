"""The page on notes and refusals lists what the code says of files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from bvh.remarks import KINDS

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
PAGE = " ".join(TEXT.split())

FILES = [
    *sorted((ROOT / "bvh" / "normalizer").glob("*.py")),
    *(ROOT / "bvh" / f"{n}.py" for n in ("hierarchy", "motion_io", "reader", "reading", "sources")),
    *(
        ROOT / "motiontok" / "robots" / f"{n}.py"
        for n in (
            "files/gmr_reading",
            "files/trajectory_io",
            "files/rows",
            "files/tables",
            "files/tracker_reading",
            "files/units",
            "model/find_urdf",
            "model/geometry",
            "model/mimic_joints",
            "model/propose_map",
            "model/urdf",
        )
    ),
]


def parts(node: ast.AST) -> Iterator[str]:
    """What stands fixed in a message."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


def told(path: Path) -> Iterator[str]:
    """The longest fixed part of each refusal in a file, and of each note that has no kind."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and node.args):
            continue
        if ast.unparse(node.func) in ("BVHError", "RobotError", "assumed.append", "remarks.append"):
            longest = max(parts(node.args[0]), key=len, default="").strip(" ,;:()")
            if len(longest) >= 8:
                yield " ".join(longest.split())


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_note_and_refusal_of_a_file_is_listed(path: Path) -> None:
    assert [line for line in told(path) if line not in PAGE] == []


def test_every_kind_of_note_has_its_section() -> None:
    sections = [line[5:-1] for line in TEXT.splitlines() if line.startswith("### `")]
    assert sections == list(KINDS)


def test_something_is_looked_for() -> None:
    assert sum(len(list(told(path))) for path in FILES) > 60
