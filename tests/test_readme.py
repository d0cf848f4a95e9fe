"""The README is the front door: what it shows has to work."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from motiontok.cli.main import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def _commands() -> list[list[str]]:
    lines = "\n".join(_blocks("bash")).splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [w[1:] for w in words if w and w[0] == "motiontok"]


def test_python_example_runs(tmp_path: Path) -> None:
    """The example, word for word."""
    (block,) = _blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"\(\d+, \d+\) \d+ \d+ bits/s", done.stdout)
    found = re.search(r"mean joint error ([\d.]+) mm", done.stdout)
    # Of a body that faces another way, or of another length, it would be many times as much.
    assert found is not None
    assert float(found[1]) < 30.0


@pytest.mark.parametrize("arguments", _commands(), ids=" ".join)
def test_commands_are_understood(arguments: list[str]) -> None:
    """Every option and argument that the README writes exists."""
    with click.Context(cli) as context:
        command = cli.get_command(context, arguments[0])
        assert command is not None
        command.make_context(arguments[0], arguments[1:])


def test_every_command_is_listed() -> None:
    """The table of commands names each one."""
    table = "\n".join(line for line in README.splitlines() if line.startswith("| `"))
    missing = [name for name in COMMANDS if f"`{name}" not in table]
    assert not missing


def _row(text: str, begins: str) -> list[str]:
    """Cells of the row of a table, without what they are."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {begins}"))
    return [cell.strip() for cell in line.strip("|").split("|")[1:]]


def test_figures_are_those_of_the_model_card() -> None:
    """The README's table and its sentence on held-out clips."""
    card = (ROOT / "motiontok" / "pretrained" / "README.md").read_text(encoding="utf-8")
    errors = _row(README, "mean joint error at 600 bits/s")
    assert len(errors) == 5
    assert errors == _row(card, "**joint error, hips-relative (MPJPE), mm**")
    first = [cell.split(" ")[0] for cell in _row(card, "first 32 codes")]
    assert _row(README, "the same at 300 bits/s") == first
    assert _row(README, "sliding of standing feet") == _row(card, "foot skate (source)")
    without = r"without them the held-out error is \**([\d.]+) mm"
    (here,), (there,) = (
        re.findall(without, " ".join(text.split()), re.IGNORECASE) for text in (README, card)
    )
    assert here == there


def test_makefile_has_the_two_commands() -> None:
    """`make demo` and `make test` are targets."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", "\n".join(_blocks("bash")), flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
