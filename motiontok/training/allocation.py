"""Memory that one step frees stays for the next.

glibc gives a large block back to the system when it is freed. The next step has it anew, page by
page, each made zero: a fifth of a step of the temporal autoencoder on a CPU.
"""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of <malloc.h>
_NEVER = -1  # to trim; the largest int gives back what is above 2 GiB


def keep_freed_memory() -> None:
    """Have glibc keep what this process frees. With another C library nothing happens."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, _NEVER)
