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

# Nothing is written to the block, so that it takes no memory.
_LARGE = """
import ctypes, os
{keep}
def mapped():
    return int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.malloc.argtypes, library.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
before = mapped()
library.free(library.malloc(3 * 2**30))
print(mapped() - before)
"""
_KEEP = "from motiontok.training.allocation import keep_freed_memory; keep_freed_memory()"


def freed_but_kept(program: str, keep: str = "") -> int:
    words = [sys.executable, "-c", program.format(keep=keep)]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_freed_memory_is_kept():
    assert freed_but_kept(_FREED) < 2**22
    assert freed_but_kept(_FREED, _KEEP) > 2**25
    assert freed_but_kept(_LARGE, _KEEP) > 2**31
