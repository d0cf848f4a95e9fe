"""Shares of work handed out by a Ray cluster until all are done.

A list of machines and a loop cannot do what Ray does: let workers come and go, and repeat the work
of dead ones. Repeated work changes nothing, since a share continues where it ended
(:mod:`motiontok.shards`). So results are those of a single machine. They travel by the storage that
the machines share, not through Ray.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from bvh.errors import BVHError
from motiontok.errors import InputError, MissingDependencyError, MotiontokError
from motiontok.progress import progress
from motiontok.shards import Share

__all__ = ["on_ray"]

Result = TypeVar("Result")

_SHARES = 4
"""Shares for each processor of the cluster: with many, a slow or lost one delays little."""

_RETRIES = 5
"""Workers of a share that may die."""

_STORE = 100 * 2**20
"""Bytes of Ray's own memory for a cluster that is started here: hardly anything goes through it."""


def on_ray(work: Callable[[Share], Result], *, address: str, doing: str) -> list[Result]:
    """Have a Ray cluster do all shares of some work, each on one processor.

    Args:
        work: does a share; a function of a module, or a partial of one.
        address: of the cluster: ``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``; ``local`` starts
            one on this machine.
        doing: words beside the progress, on standard error.

    Returns:
        The result of each share, in the order of completion.

    Raises:
        MissingDependencyError: Ray is not installed.
        InputError: there is no cluster at the address.
        MotiontokError, BVHError, OSError: raised by the work.
        MotiontokError: workers of one share died again and again, or the cluster is gone.
    """
    ray = _ray()
    start = {"include_dashboard": False, "object_store_memory": _STORE}
    try:
        ray.init(address=address, log_to_driver=False, **(start if address == "local" else {}))
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"--ray {address}: no Ray cluster there ({error})") from None
    try:
        count = _SHARES * max(int(ray.cluster_resources().get("CPU", 1)), 1)
        task = ray.remote(num_cpus=1, max_retries=_RETRIES)(_do_share)
        left = [task.remote(work, (number, count)) for number in range(count)]
        parts: list[Result] = []
        with progress(f"{doing} shares", count) as update:
            while left:
                done, left = ray.wait(left, num_returns=1)
                parts += ray.get(done)
                update(len(parts))
        return parts
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        raise cause if isinstance(cause, MotiontokError | BVHError | OSError) else error from None
    except ray.exceptions.RayError as error:
        raise MotiontokError(
            f"--ray {address}: workers died {_RETRIES + 1} times or the cluster is gone "
            f"({type(error).__name__}); what was done is kept; run the same command to go on"
        ) from None
    finally:
        ray.shutdown()


def _do_share(work: Callable[[Share], Result], share: Share) -> Result:
    """Done by a worker of the cluster."""
    return work(share)


def _ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise MissingDependencyError(
            "--ray needs Ray, on every machine: pip install 'motiontok[ray]'"
        ) from None
