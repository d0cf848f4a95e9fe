"""Memory that a process frees stays with it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_FREED = """
import os
{keep}
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before = resident()
block = bytearray(b"x") * 2**26
del block
print(resident() - before)
"""


def freed_but_resident(keep: str) -> int:
    words = [sys.executable, "-c", _FREED.format(keep=keep)]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_freed_memory_is_kept():
    keep = "from motiontok.training.allocation import keep_freed_memory; keep_freed_memory()"
    assert freed_but_resident("") < 2**22
    assert freed_but_resident(keep) > 2**25
