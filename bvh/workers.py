"""Work spread over processes, or done in this one where that is impossible."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice
from types import ModuleType
from typing import TypeVar

from typing_extensions import override

from bvh.closing import Closing

__all__ = ["Workers", "cores"]

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 4
"""Tasks a process that are handed out before results are taken in."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Workers(Closing):
    """Processes that start when there is enough to do, and end with the ``with`` block.

    They are spawned, not forked, since forking a process that runs threads can lock up. They do not
    import the caller's script, which therefore needs no ``if __name__ == "__main__":``. Processes
    that are workers themselves (of a data loader) start none.

    Args:
        count: processes; by default one a core that this process may use.
        initializer: called once in each process before its first task.
    """

    def __init__(
        self, count: int | None = None, *, initializer: Callable[[], object] | None = None
    ) -> None:
        self._initializer = initializer
        self._count = cores() if count is None else max(count, 1)
        if multiprocessing.parent_process() is not None:
            self._count = 1
        self._pool: ProcessPoolExecutor | None = None

    @override
    def close(self) -> None:
        """End the processes, once they have done what they are at."""
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        *,
        in_order: bool = False,
        here: Callable[[Task], Result] | None = None,
    ) -> Iterator[tuple[Task, Result]]:
        """Yield each task with its result.

        Tasks are taken from their source only when a worker is free, so there may be any number of
        them. If the processes die, this process does the rest, with a warning.

        Args:
            function: of a module that can be imported, not of a script.
            tasks: one after another.
            in_order: whether results come in the order of the tasks, not as they are done.
            here: called in this process instead of ``function``, which may need what
                ``initializer`` has made.
        """
        tasks = iter(tasks)
        first = list(islice(tasks, 2))
        tasks = chain(first, tasks)
        jobs: dict[Future[Result], Task] = {}
        if self._count > 1 and len(first) > 1:
            if self._pool is None:
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(
                    self._count,
                    mp_context=context,
                    initializer=_begin,
                    initargs=(self._initializer,),
                )
            try:
                while True:
                    for task in islice(tasks, _AHEAD * self._count - len(jobs)):
                        with _without_main(), _one_thread():
                            try:
                                jobs[self._pool.submit(function, task)] = task
                            except BrokenProcessPool:
                                tasks = chain([task], tasks)
                                raise
                    if not jobs:
                        return
                    one = next(iter(jobs))
                    done = [one] if in_order else wait(jobs, return_when=FIRST_COMPLETED).done
                    for job in done:
                        result = job.result()
                        yield jobs.pop(job), result
            except BrokenProcessPool:
                self._count = 1
                warnings.warn(
                    "a worker process died (out of memory?); going on in one process",
                    RuntimeWarning,
                    stacklevel=2,
                )
        for task in chain(jobs.values(), tasks):
            yield task, (here or function)(task)


@contextmanager
def _without_main() -> Iterator[None]:
    """Hide the running script from processes that start now.

    Else each of them would import it first, and run its unguarded code.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let processes that start now compute in one thread each, since there is one per core."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin(initializer: Callable[[], object] | None) -> None:
    """Ignore interrupts, which the parent handles, and end when the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    if initializer is not None:
        initializer()


def cores() -> int:
    """Cores for this process; those that torchrun started beside it get as many."""
    affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if affinity else os.cpu_count() or 1
    beside = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(cores // int(beside), 1) if beside.isdigit() and int(beside) else cores
