"""What the URDF parser has to say, which it writes to standard error past Python."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["parser_output"]

_SAID = re.compile(r"(?:Error|Warning):\s+(.*)")
_PART = "Could not parse "
_WHERE = re.compile(r"\s+at line \d+ in ")  # of the parser's own source
_ONE = threading.Lock()
"""Standard error is the process's: a second thread would put back the first one's file."""


@contextmanager
def parser_output() -> Iterator[list[str]]:
    """Take what the parser says from standard error; one thread at a time.

    Yields:
        A list that holds its complaints at the end, each once and in one line. What others wrote
        meanwhile is written after all.
    """
    found: list[str] = []
    try:
        os.fstat(2)
    except OSError:  # a program without standard error
        yield found
        return
    with _ONE, tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield found
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            lines = file.read().decode("utf-8", errors="replace").splitlines()
            found += dict.fromkeys(_complaints(lines))
            for line in lines:
                if not (_SAID.fullmatch(line) or _WHERE.match(line)):
                    print(line, file=sys.stderr)


def _complaints(lines: list[str]) -> list[str]:
    """What is wrong; where two lines say of which part and why, one."""
    texts: list[str] = []
    for line in lines:
        if said := _SAID.fullmatch(line):
            text = " ".join(said[1].split()).rstrip(".")
            if text.startswith(_PART) and texts and not texts[-1].startswith(_PART):
                text = f"{text} ({texts.pop()})"
            texts.append(text)
    return texts
