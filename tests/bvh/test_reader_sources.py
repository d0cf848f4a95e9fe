"""Where a clip may lie: a file, a gzipped file, a member of a zip archive."""

from __future__ import annotations

import gzip
import os
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from bvh_documents import Document

import bvh
from bvh import BVHError

TEXT = Document().text().encode()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:ea9180\nsize 144051503\n"


def make_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["walk.bvh", "walk.bvh.gz", "walk.BVH.GZ", "walk"])
def test_gzip_is_known_by_its_bytes(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(TEXT) if "gz" in name.lower() else TEXT)
    clip = bvh.read(str(path))
    Document().check(clip)
    assert clip.name == "walk"


def test_member_of_a_zip_archive(tmp_path: Path) -> None:
    other = Document(seed=1)
    members = {
        "set/walk.bvh": TEXT,
        "set/run.bvh": other.text().encode(),
        "turn.bvh.gz": gzip.compress(TEXT),
    }
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        archive = make_zip(tmp_path / "clips.zip", members, method)
        other.check(bvh.read(archive / "set/run.bvh"))
        Document().check(bvh.read(f"{archive}/turn.bvh.gz"))
        assert bvh.read(archive / "set" / "walk.bvh").name == "walk"


def test_zip_archive_of_one_clip(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "walk.zip", {"README.md": b"hello", "set/walk.bvh": TEXT})
    Document().check(bvh.read(archive))


def test_zip_archive_of_many_clips_lists_them(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "clips.zip", {f"{i}.bvh": TEXT for i in range(5)})
    with pytest.raises(BVHError, match=r"5 BVH files \(0.bvh, 1.bvh, 2.bvh, ...\); name one"):
        bvh.read(archive)
    with pytest.raises(BVHError, match=r"no 9.bvh in clips.zip, which holds 0.bvh, "):
        bvh.read(archive / "9.bvh")
    with pytest.raises(BVHError, match=r"archive without BVH files$"):
        bvh.read(make_zip(tmp_path / "none.zip", {"README.md": b"hello"}))


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: data], ids=["gzip", "plain"])
def test_messages_name_the_packed_file(pack: object, tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"x.bvh": pack(TEXT[:-9] + b"nan\n")})  # type: ignore[operator]
    with pytest.raises(BVHError, match=r"a.zip/x.bvh, line 35: .*joint LeftLeg"):
        bvh.read(archive / "x.bvh")


@pytest.mark.parametrize("kind", ["gzip", "zip", "gzip in zip"])
def test_a_bomb_is_refused(kind: str, tmp_path: Path) -> None:
    bomb = TEXT + b" " * (100 << 20)
    path = tmp_path / "clip.bvh.gz"
    if kind == "zip":
        path = make_zip(tmp_path / "a.zip", {"x.bvh": bomb}) / "x.bvh"
    elif kind == "gzip":
        path.write_bytes(gzip.compress(bomb))
    else:
        path = make_zip(tmp_path / "a.zip", {"x.bvh.gz": gzip.compress(bomb)}) / "x.bvh.gz"
    with pytest.raises(BVHError, match="unpack to more than"):
        bvh.read(path)


@pytest.mark.parametrize("cut", [3, 20, -1, -9])
def test_damaged_archives(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "clip.bvh.gz"
    path.write_bytes(gzip.compress(TEXT)[:cut])
    with pytest.raises(BVHError, match=r"clip.bvh.gz: "):
        bvh.read(path)
    archive = make_zip(tmp_path / "a.zip", {"x.bvh": TEXT})
    archive.write_bytes(archive.read_bytes()[:cut])
    with pytest.raises(BVHError, match=r"a.zip/x.bvh: "):
        bvh.read(archive / "x.bvh")


def test_every_byte_of_an_archive_may_be_wrong(tmp_path: Path) -> None:
    whole = make_zip(tmp_path / "whole.zip", {"x.bvh": TEXT}).read_bytes()
    packed = gzip.compress(TEXT)
    for at in range(0, len(whole), 7):
        path = tmp_path / "a.zip"
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        gz = tmp_path / "a.gz"
        gz.write_bytes(
            packed[:at] + bytes(b ^ 0x55 for b in packed[at : at + 1]) + packed[at + 1 :]
        )
        for source in (path / "x.bvh", gz):
            with suppress(BVHError):
                Document().check(bvh.read(source))


def test_git_lfs_pointer_is_explained(tmp_path: Path) -> None:
    for name in ("clip.bvh", "lafan1.zip"):
        (tmp_path / name).write_bytes(POINTER)
        with pytest.raises(BVHError, match=rf"{name}: a Git LFS pointer.*git lfs pull"):
            bvh.read(tmp_path / name)
    with pytest.raises(BVHError, match=r"lafan1.zip: a Git LFS pointer"):
        bvh.read(tmp_path / "lafan1.zip" / "walk1_subject5.bvh")


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "plain.bvh").write_bytes(TEXT)
    (tmp_path / "folder.bvh").mkdir()
    with pytest.raises(BVHError, match=r"absent.bvh: no such file"):
        bvh.read(tmp_path / "absent.bvh")
    with pytest.raises(BVHError, match=r"absent/clip.bvh: no such file"):
        bvh.read(tmp_path / "absent" / "clip.bvh")
    with pytest.raises(BVHError, match=r"no such file \(plain.bvh is not a zip archive\)"):
        bvh.read(tmp_path / "plain.bvh" / "clip.bvh")
    with pytest.raises(BVHError, match=r"folder.bvh: a folder; give one file \(.bvh, .*none$"):
        bvh.read(tmp_path / "folder.bvh")
    (tmp_path / "folder.bvh" / "notes.txt").touch()
    (tmp_path / "folder.bvh" / "deep").mkdir()
    (tmp_path / "folder.bvh" / "deep" / "a.npy").touch()
    with pytest.raises(BVHError, match=r"give one file in it, such as .*folder.bvh/deep/a.npy$"):
        bvh.read(tmp_path / "folder.bvh")
    with pytest.raises(BVHError):
        bvh.read(tmp_path / ("x" * 5000))
    with pytest.raises(BVHError):
        bvh.read("a\0b.bvh")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_instead_of_awaited(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.bvh")
    with pytest.raises(BVHError, match="not a regular file"):
        bvh.read(tmp_path / "pipe.bvh")
