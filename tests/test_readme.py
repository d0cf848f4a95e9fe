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


def test_links_lead_somewhere() -> None:
    """Pictures and pages that the README links are in the repository."""
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert [t for t in targets if not (ROOT / t).exists()] == []


def test_makefile_has_the_two_commands() -> None:
    """`make demo` and `make test` are targets."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", "\n".join(_blocks("bash")), flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
