"""Corpora: folders of clips to codes, on all cores and machines, resumable at any point."""

from motiontok.corpus.entries import MANIFEST, Entry, read_manifest
from motiontok.corpus.folder import encode_folder
from motiontok.corpus.packing import Packed, encode_packed
from motiontok.corpus.reader import Corpus

__all__ = [
    "MANIFEST",
    "Corpus",
    "Entry",
    "Packed",
    "encode_folder",
    "encode_packed",
    "read_manifest",
]
