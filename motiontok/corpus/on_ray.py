"""A corpus encoded by a Ray cluster: its shares, handed out until all are done.

Ray brings what a list of machines and a loop lack: workers that come and go, and work of those
that died done again. What is done twice changes nothing, since a share goes on where it was ended
(:mod:`motiontok.corpus.packing`); so results are those of a single machine, clip by clip. Clips
and codes go by the storage that the machines share, and not through Ray.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from motiontok.corpus.entries import Entry
from motiontok.corpus.packing import Packed, encode_packed
from motiontok.errors import InputError, MissingDependencyError, MotiontokError
from motiontok.progress import progress

__all__ = ["encode_on_ray"]

_SHARES = 4
"""Shares for each processor of the cluster: a slow one or a lost one holds up little."""

_RETRIES = 5
"""Workers of a share that may die."""

_STORE = 100 * 2**20
"""Bytes of Ray's own memory where a cluster is started here: next to nothing goes through it."""


def encode_on_ray(source: str | Path, out: str | Path, *, address: str, **how: Any) -> Packed:
    """Encode the clips of a folder or store into shards, by a Ray cluster.

    Args:
        source, out: as :func:`~motiontok.corpus.packing.encode_packed` has them, seen alike by
            all machines.
        address: of the cluster: ``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``; ``local`` starts
            one on this machine.
        how: what else :func:`~motiontok.corpus.packing.encode_packed` takes.

    Returns:
        What all shares did together.

    Raises:
        MissingDependencyError: Ray is not installed.
        InputError: there is no cluster at the address.
        MotiontokError: as :func:`~motiontok.corpus.packing.encode_packed`; or workers of one share
            died again and again.
    """
    ray = _ray()
    start = {"include_dashboard": False, "object_store_memory": _STORE}
    try:
        ray.init(address=address, log_to_driver=False, **(start if address == "local" else {}))
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"--ray {address}: no Ray cluster there ({error})") from None
    try:
        count = _SHARES * max(int(ray.cluster_resources().get("CPU", 1)), 1)
        task = ray.remote(num_cpus=1, max_retries=_RETRIES)(_encode_share)
        where = str(Path(source).resolve()), str(Path(out).resolve())
        left = [task.remote(*where, (number, count), how) for number in range(count)]
        parts: list[Packed] = []
        with progress("encoding shares", count) as update:
            while left:
                done, left = ray.wait(left, num_returns=1)
                parts += ray.get(done)
                update(len(parts))
        return _joined(parts)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        raise cause if isinstance(cause, MotiontokError | OSError) else error from None
    except ray.exceptions.RayError as error:
        raise MotiontokError(
            f"--ray {address}: workers died {_RETRIES + 1} times or the cluster is gone "
            f"({type(error).__name__}); what was encoded is kept, the same command goes on"
        ) from None
    finally:
        ray.shutdown()


def _encode_share(source: str, out: str, share: tuple[int, int], how: dict[str, Any]) -> Packed:
    """Done by a worker of the cluster, on one processor."""
    return encode_packed(source, out, share=share, workers=1, **how)


def _joined(parts: list[Packed]) -> Packed:
    out = Packed(parts[0].fingerprint, 0)
    for part in parts:
        out.clips += part.clips
        out.encoded += part.encoded
        out.frames += part.frames
        out.windows += part.windows
        out.failed += part.failed
        out.remarked += part.remarked

    def path(entry: Entry) -> str:
        return entry.file

    out.failed.sort(key=path)
    out.remarked.sort(key=path)
    return out


def _ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise MissingDependencyError(
            "--ray needs Ray, on every machine: pip install 'motiontok[ray]'"
        ) from None
