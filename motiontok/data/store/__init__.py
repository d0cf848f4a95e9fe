"""Canonical motion on disk in 144 bytes a frame, for more of it than memory holds."""

from motiontok.data.store.entries import is_store
from motiontok.data.store.reading import Store, StoredMotions
from motiontok.data.store.writing import Packed, pack_clips

__all__ = ["Packed", "Store", "StoredMotions", "is_store", "pack_clips"]
