"""Threads that commands compute with."""

from __future__ import annotations

import os

__all__ = ["one_thread", "prepare_threads"]

_TURNS = "10000"


def prepare_threads() -> None:
    """Say how many threads wait, and how: NumPy and PyTorch read it when they are imported.

    NumPy's matrices are small here, a robot's above all: threads would wait for each other, for
    long on a busy machine. PyTorch's (of GNU's OpenMP) count to 300,000 before they let the
    processor go; where another program has one of two cores, a plan took 142 s in place of 5.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _TURNS)


def one_thread() -> None:
    """Let PyTorch compute with one thread, unless ``OMP_NUM_THREADS`` says with how many.

    Networks of motion are so small that a second core hardly helps with a clip, and if it is busy
    it is waited for in each of many thousand steps.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        import torch

        torch.set_num_threads(1)
