"""Jobs of many processes without torchrun: forked from one that has torch, they start at once.

What torchrun tells its processes, by environment variables, these are told too.
"""

from __future__ import annotations

import multiprocessing
import os
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
    timeout: float = 300,
) -> int:
    """Run a program in processes that find each other.

    Args:
        program: of a module that can be imported.
        arguments: for it, the same in every process.
        out: file that all write to.
        processes: how many.
        timeout: seconds after which they are ended.

    Returns:
        0, or the first exit status that is not; then the others are ended, as torchrun does.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    job = [
        _FORKS.Process(target=_one_of, args=(rank, processes, port, out, program, arguments))
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
    rank: int, size: int, port: int, out: Path, program: Callable[..., Any], arguments: Any
) -> None:
    place = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size}
    store = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RESTART_COUNT": 0}
    os.environ.update({name: str(value) for name, value in (place | store).items()})
    # Appended, so that no process writes over another's lines.
    file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)
    program(*arguments)


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
            os.kill(os.getpid(), 9)
        return any_of(flag, members)

    loop.any_of = dies
    command_line(*arguments)


if __name__ == "__main__":
    killed(int(sys.argv[1]), *sys.argv[2:])
