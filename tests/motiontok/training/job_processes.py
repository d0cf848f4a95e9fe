"""Jobs of many processes without torchrun: forked from one that has torch, they start at once.

What torchrun tells its processes, by environment variables, these are told too.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["motiontok.runs", "motiontok.methods.quantizers.temporal"])


def run_together(
    program: Callable[..., Any],
    *arguments: Any,
    out: Path,
    processes: int = 2,
    restarts: int = 0,
    timeout: float = 300,
) -> int:
    """Run a program in processes that find each other.

    Args:
        program: of a module that can be imported.
        arguments: for it, the same in every process.
        out: file that all write to.
        processes: how many.
        restarts: how often all are started again after one has failed.
        timeout: seconds after which they are ended.

    Returns:
        0, or the first exit status that is not; then the others are ended, as torchrun does.
    """
    for attempt in range(restarts + 1):
        status = _attempt(program, arguments, out, processes, attempt, timeout)
        if not status:
            break
    return status


def _attempt(
    program: Callable[..., Any],
    arguments: Any,
    out: Path,
    processes: int,
    attempt: int,
    timeout: float,
) -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    job = [
        _FORKS.Process(
            target=_one_of, args=(rank, processes, port, attempt, out, program, arguments)
        )
        for rank in range(processes)
    ]
    for process in job:
        process.start()
    end = time.monotonic() + timeout
    try:
        while any(process.exitcode is None for process in job):
            if any(process.exitcode for process in job):
                break
            assert time.monotonic() < end, "the job hangs:\n" + out.read_text()
            job[0].join(0.05)
    finally:
        failed = [process.exitcode for process in job if process.exitcode]
        for process in job:
            process.terminate()
            process.join()
    return failed[0] if failed else 0


def _one_of(
    rank: int,
    size: int,
    port: int,
    attempt: int,
    out: Path,
    program: Callable[..., Any],
    arguments: Any,
) -> None:
    place = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size}
    store = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    store["TORCHELASTIC_RESTART_COUNT"] = attempt
    os.environ.update({name: str(value) for name, value in (place | store).items()})
    _begin(out)
    program(*arguments)


def run_alone(program: Callable[..., Any], *arguments: Any, out: Path) -> int:
    """Exit status of a program in a process of its own that has torch at once."""
    process = _FORKS.Process(target=_alone, args=(out, program, arguments))
    process.start()
    process.join(300)
    assert process.exitcode is not None, "it hangs:\n" + out.read_text()
    return process.exitcode


def _alone(out: Path, program: Callable[..., Any], arguments: Any) -> None:
    _begin(out)
    program(*arguments)


def _begin(out: Path) -> None:
    """Write to a file whatever is said."""
    # Appended, so that no process writes over another's lines.
    file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)


def command_line(*arguments: Any) -> None:
    """``motiontok`` with these arguments."""
    from motiontok.cli.main import main

    sys.argv = ["motiontok", *map(str, arguments)]
    main()


def killed(step: int, *arguments: Any) -> None:
    """The command line; in a job's first attempt its second process dies in a step."""
    from motiontok.training import loop

    any_of, steps = loop.any_of, 0

    def dies(flag: Any, members: Any) -> Any:
        nonlocal steps
        steps += 1
        if members.rank == 1 and steps == step and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            os.kill(os.getpid(), signal.SIGKILL)
        return any_of(flag, members)

    loop.any_of = dies
    command_line(*arguments)


def dies_in_an_update(number: int, *arguments: Any) -> None:
    """The command line, killed in this update of the weights."""
    import torch

    step, calls = torch.optim.AdamW.step, itertools.count(1)

    def dying(self: Any, *given: Any) -> Any:
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, *given)

    torch.optim.AdamW.step = dying
    command_line(*arguments)


def dies_while_saving(number: int, *arguments: Any) -> None:
    """The command line, killed in the middle of writing this checkpoint."""
    from motiontok.training import checkpoint

    save, calls = checkpoint.save_file, itertools.count(1)

    def dying(tensors: Any, path: Any, **options: Any) -> None:
        save(tensors, path, **options)
        if "generator" in tensors and next(calls) == number:
            os.truncate(path, os.path.getsize(path) // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoint.save_file = dying
    command_line(*arguments)
