"""LAFAN1: where it is, how to get it, and the splits others use.

Harvey, Yurick, Nowrouzezahrai, Pal, "Robust Motion In-Betweening", SIGGRAPH 2020.
The data is Ubisoft's, under CC BY-NC-ND 4.0.
"""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import cast

from bvh.archives import find_motion_files, is_lfs_pointer
from bvh.cache import cache_dir
from bvh.dataset import Dataset
from bvh.errors import BVHError
from bvh.splits import Split, by_name, by_subject

__all__ = [
    "BENCHMARK_TEST_SUBJECT",
    "DAPS_VALIDATION",
    "URL",
    "benchmark_split",
    "daps_split",
    "download",
    "find",
]

DAPS_VALIDATION: tuple[str, ...] = (
    "dance2_subject2",
    "fight1_subject2",
    "run2_subject1",
    "walk2_subject4",
)
"""Clips that the DAPS paper validates on."""

BENCHMARK_TEST_SUBJECT = "5"
"""Subject that LAFAN1's in-betweening benchmark tests on."""

REPOSITORY = "https://github.com/ubisoft/ubisoft-laforge-animation-dataset"
URL = (
    "https://media.githubusercontent.com/media/ubisoft/"
    "ubisoft-laforge-animation-dataset/master/lafan1/lafan1.zip"
)
"""Address of the official archive."""

_SIZE = 144_051_503
_SHA256 = "ea918082b500a5d158e9d3aa39039df04cd42e25f5c02fe8f7e88e8e9365a977"
"""Size and checksum that the official repository states in its Git LFS pointer."""

_CHUNK = 1 << 18
_HOW = (
    f"get it by `git clone {REPOSITORY}` and `git lfs pull` in it, or from the web page of "
    "that repository (lafan1/lafan1.zip), and give its path"
)


def daps_split(dataset: Dataset) -> Split:
    """Hold out the DAPS paper's validation clips.

    Raises:
        BVHError: one of them is not in the dataset.
    """
    return by_name(dataset, DAPS_VALIDATION)


def benchmark_split(dataset: Dataset) -> Split:
    """Hold out subject 5, as LAFAN1's in-betweening benchmark does.

    Raises:
        BVHError: the dataset has no motion of that subject.
    """
    return by_subject(dataset, [BENCHMARK_TEST_SUBJECT])


def find(path: str | os.PathLike[str] | None = None) -> Path:
    """Find LAFAN1's archive or folder of clips.

    Args:
        path: the archive, a folder with the clips, or a clone of the official
            repository; by default the cache of :func:`download`.

    Returns:
        A path that :func:`bvh.dataset.load` takes.

    Raises:
        BVHError: nothing is there, or only a Git LFS pointer; the message says how to
            get the data.
    """
    if path is None:
        cached = _cached()
        if not cached.is_file():
            raise BVHError(f"LAFAN1 is not in {cached.parent}: download it, or {_HOW}")
        return cached
    path = Path(path).expanduser()
    if not path.exists():
        raise BVHError(f"{path}: no such file or folder; for LAFAN1, {_HOW}")
    if path.is_dir():
        for archive in (path / "lafan1.zip", path / "lafan1" / "lafan1.zip"):
            if archive.is_file() and not find_motion_files(path):
                path = archive
                break
    if path.is_file() and is_lfs_pointer(path):
        raise BVHError(
            f"{path}: a Git LFS pointer of {path.stat().st_size} bytes, not the archive; run "
            "`git lfs install && git lfs pull` in that repository, or download the file "
            f"from {REPOSITORY}"
        )
    return path


def download(
    *,
    progress: Callable[[int, int], object] | None = None,
    url: str = URL,
    size: int = _SIZE,
    sha256: str = _SHA256,
    timeout: float = 30.0,
) -> Path:
    """Fetch the official archive into the cache, unless it is there.

    A broken transfer leaves its part behind, and the next call continues from there. The checksum
    is verified before the archive gets its name.

    Args:
        progress: called as ``progress(done, total)``, in bytes.
        url: address of the archive, or of a mirror.
        size: its bytes.
        sha256: its checksum.
        timeout: seconds without an answer before giving up.

    Returns:
        Path of the archive.

    Raises:
        BVHError: the address cannot be reached, the transfer broke off, or the file received is not
            the archive; the message says how else to get it.
    """
    target = _cached()
    if target.is_file() and target.stat().st_size == size:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    if part.exists() and part.stat().st_size > size:
        part.unlink()
    try:
        _fetch(url, part, size, timeout, progress)
    except (urllib.error.URLError, HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise BVHError(f"LAFAN1 cannot be downloaded from {url} ({reason}); {_HOW}") from None
    got = part.stat().st_size
    if got != size:
        hint = ""
        if is_lfs_pointer(part):
            part.unlink()
            hint = " (a Git LFS pointer)"
        raise BVHError(
            f"{url}: got {got} of {size} bytes{hint}; run the download again to go on, or {_HOW}"
        )
    if (found := _sha256(part)) != sha256:
        part.unlink()
        raise BVHError(f"{url}: checksum {found[:12]}… is not {sha256[:12]}…; {_HOW}")
    part.replace(target)
    return target


def _cached() -> Path:
    return cache_dir() / "lafan1" / "lafan1.zip"


def _fetch(
    url: str,
    part: Path,
    size: int,
    timeout: float,
    progress: Callable[[int, int], object] | None,
) -> None:
    done = part.stat().st_size if part.exists() else 0
    if done == size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    with cast(HTTPResponse, urllib.request.urlopen(request, timeout=timeout)) as answer:
        # A server that ignores the range sends everything again.
        resumed = answer.status == 206
        done = done if resumed else 0
        with part.open("ab" if resumed else "wb") as file:
            while chunk := answer.read(min(_CHUNK, size - done + 1)):
                file.write(chunk)
                done += len(chunk)
                if progress:
                    progress(done, size)
                if done > size:
                    break


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
