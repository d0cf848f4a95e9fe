"""A store packed by a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from motiontok.cluster import on_ray
from motiontok.data.store.writing import Packed, pack_clips, size_of
from motiontok.shards import Share

__all__ = ["pack_on_ray"]


def pack_on_ray(
    sources: Sequence[str | Path], out: str | Path, *, address: str, **how: Any
) -> Packed:
    """Read, normalise and pack every clip, by a Ray cluster.

    Args:
        sources, out: as :func:`~motiontok.data.store.writing.pack_clips` has them, seen alike by
            all machines.
        address: of the cluster, as :func:`~motiontok.cluster.on_ray` has it.
        how: other arguments of :func:`~motiontok.data.store.writing.pack_clips`.

    Returns:
        The result of all shares together.

    Raises:
        BVHError, MissingDependencyError, InputError, MotiontokError: as
            :func:`~motiontok.cluster.on_ray` and
            :func:`~motiontok.data.store.writing.pack_clips`.
    """
    out = Path(out).resolve()
    paths = [str(Path(path).expanduser().resolve()) for path in sources]
    packed = Packed.joined(
        on_ray(partial(_share, paths, str(out), how), address=address, doing="packing")
    )
    packed.size = size_of(out)
    return packed


def _share(sources: Sequence[str], out: str, how: dict[str, Any], share: Share) -> Packed:
    return pack_clips(sources, out, share=share, workers=1, **how)
