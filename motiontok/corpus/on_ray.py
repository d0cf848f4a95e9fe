"""A corpus encoded by a Ray cluster."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from motiontok.cluster import on_ray
from motiontok.corpus.clips import Sources, places_of
from motiontok.corpus.entries import Entry
from motiontok.corpus.packing import Packed, encode_packed
from motiontok.shards import Share

__all__ = ["encode_on_ray"]


def encode_on_ray(sources: Sources, out: str | Path, *, address: str, **how: Any) -> Packed:
    """Encode the clips of folders, archives or stores into shards, by a Ray cluster.

    Args:
        sources, out: as :func:`~motiontok.corpus.packing.encode_packed` has them, seen alike by
            all machines.
        address: of the cluster, as :func:`~motiontok.cluster.on_ray` has it.
        how: other arguments of :func:`~motiontok.corpus.packing.encode_packed`.

    Returns:
        The result of all shares together.

    Raises:
        MissingDependencyError, InputError, MotiontokError: as :func:`~motiontok.cluster.on_ray`
            and :func:`~motiontok.corpus.packing.encode_packed`.
    """
    paths = [str(place.path.resolve()) for place in places_of(sources)]
    where = paths, str(Path(out).resolve())
    return _joined(on_ray(partial(_share, *where, how), address=address, doing="encoding"))


def _share(sources: list[str], out: str, how: dict[str, Any], share: Share) -> Packed:
    return encode_packed(sources, out, share=share, workers=1, **how)


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
