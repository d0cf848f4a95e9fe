"""Folders and archives: order, and nothing outside the folder."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvh import BVHError
from bvh.archives import (
    find_motion_files,
    is_lfs_pointer,
    is_motion_file,
    natural_key,
    result_names,
    set_name,
    unpack,
)

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:ea9180\nsize 144051503\n"


def make_tar(path: Path, members: dict[str, bytes | tarfile.TarInfo], mode: str = "w:xz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_numbers_sort_as_numbers_and_case_does_not_matter() -> None:
    names = ["walk10.bvh", "Walk2.bvh", "walk1.bvh", "b/a.bvh", "A/z.bvh"]
    assert sorted(names, key=natural_key) == [
        "A/z.bvh",
        "b/a.bvh",
        "walk1.bvh",
        "Walk2.bvh",
        "walk10.bvh",
    ]


@given(st.lists(st.text(max_size=8), max_size=6))
def test_any_names_can_be_sorted(names: list[str]) -> None:
    assert sorted(sorted(names, key=natural_key)) == sorted(names)


def test_results_are_named_after_their_sources_and_never_alike() -> None:
    names = ["a.bvh.gz", "b/x.bvh", "b/x.NPZ", "c.v2.npz", "b/x.bvh.bvh"]
    assert result_names(names, ".npy") == {
        "a.bvh.gz": "a.npy",
        "b/x.bvh": "b/x.bvh.npy",
        "b/x.NPZ": "b/x.NPZ.npy",
        "c.v2.npz": "c.v2.npy",
        "b/x.bvh.bvh": "b/x.bvh.bvh.npy",
    }


def test_folders_are_searched_and_hidden_and_foreign_files_left_out(tmp_path: Path) -> None:
    for name in (
        "b/2.bvh",
        "b/10.BVH",
        "a.npz",
        "notes.txt",
        ".b/x.bvh",
        "__MACOSX/y.bvh",
        "._z.bvh",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("")
    assert find_motion_files(tmp_path) == ["a.npz", "b/2.bvh", "b/10.BVH"]


def test_a_link_to_a_parent_folder_is_no_endless_loop(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.bvh").write_text("")
    os.symlink(tmp_path, tmp_path / "a" / "again", target_is_directory=True)
    assert find_motion_files(tmp_path) == ["a/x.bvh"]


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.xz", "tgz"])
def test_motions_are_unpacked_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    members = {"d/2.bvh": b"two", "d/10.bvh": b"ten", "d/readme.md": b"no", "__MACOSX/._2.bvh": b""}
    path = tmp_path / f"clips.{suffix}"
    if suffix == "zip":
        make_zip(path, members)
    else:
        modes = {"tar": "w", "tar.gz": "w:gz", "tgz": "w:gz", "tar.xz": "w:xz"}
        make_tar(path, dict(members), modes[suffix])
    out = tmp_path / "out"
    out.mkdir()
    assert unpack(path, out) == ["d/2.bvh", "d/10.bvh"]
    assert sorted(p.name for p in out.rglob("*") if p.is_file()) == ["10.bvh", "2.bvh"]
    assert (out / "d/10.bvh").read_bytes() == b"ten"


def test_shapes_of_subjects_are_no_motions(tmp_path: Path) -> None:
    """AMASS has one beside the motions of each subject."""
    folder = tmp_path / "amass"
    (folder / "01").mkdir(parents=True)
    motion, shape = (
        {"poses": np.zeros((2, 72))},
        {"betas": np.zeros(16), "gender": np.array("male")},
    )
    for name, arrays in (
        ("01/01_01_poses.npz", motion), ("01/shape.npz", shape), ("01/male_stagei.npz", shape),
        # A motion of that name is one, and so is, for whoever reads it to say, what is broken.
        ("shape.npz", motion), ("01/other.npz", shape),
    ):  # fmt: skip
        np.savez(folder / name, **arrays)  # type: ignore[arg-type]
    (folder / "broken_stagei.npz").write_bytes(b"PK")
    wanted = ["01/01_01_poses.npz", "01/other.npz", "broken_stagei.npz", "shape.npz"]
    assert find_motion_files(folder) == wanted
    path = make_zip(
        tmp_path / "amass.zip",
        {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.npz")},
    )
    (tmp_path / "out").mkdir()
    assert unpack(path, tmp_path / "out") == wanted
    assert find_motion_files(tmp_path / "out") == wanted


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_tables_of_trajectories_are_unpacked_and_no_others(tmp_path: Path, kind: str) -> None:
    row = ",".join(["0.5"] * 19).encode() + b"\n"
    members = {
        "in/robot.csv": b"title\n" + row, "in/labels.csv": b"file,action\nwalk.bvh,walk\n",
        # A sidecar may come behind its table, and be of none.
        "few.csv": b"1,2\n", "few.csv.json": b"{}", "none.csv.json": b"{}",
        ".robot.csv": row, "__MACOSX/robot.csv": row,
    }  # fmt: skip
    path = tmp_path / f"clips.{kind}"
    if kind == "zip":
        make_zip(path, members)
    else:
        make_tar(path, dict(members), "w")
    out = tmp_path / "out"
    out.mkdir()
    assert unpack(path, out) == ["few.csv", "in/robot.csv"] == find_motion_files(out)
    assert sorted(p.name for p in out.rglob("*.csv")) == ["few.csv", "robot.csv"]


@pytest.mark.parametrize(
    "name", ["../evil.bvh", "/tmp/evil.bvh", "a/../../evil.bvh", "a\\..\\evil.bvh", "C:/evil.bvh"]
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_path_that_leads_outside_is_refused(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / f"bad.{kind}"
    if kind == "zip":
        make_zip(path, {name: b"x"})
    else:
        make_tar(path, {name: b"x"}, "w")
    out = tmp_path / "in" / "side"
    out.mkdir(parents=True)
    with pytest.raises(BVHError, match="unsafe path"):
        unpack(path, out)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


def test_links_in_archives_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bvh"
    secret.write_text("secret")
    link = tarfile.TarInfo("link.bvh")
    link.type, link.linkname = tarfile.SYMTYPE, str(secret)
    hard = tarfile.TarInfo("hard.bvh")
    hard.type, hard.linkname = tarfile.LNKTYPE, "../secret.bvh"
    tar = make_tar(tmp_path / "links.tar", {"l": link, "h": hard, "real.bvh": b"real"}, "w")
    info = zipfile.ZipInfo("link.bvh")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "links.zip", "w") as archive:
        archive.writestr(info, str(secret))
        archive.writestr("real.bvh", "real")
    for path in (tar, tmp_path / "links.zip"):
        out = tmp_path / path.suffix.strip(".")
        out.mkdir()
        assert unpack(path, out) == ["real.bvh"]


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    bomb = make_zip(tmp_path / "bomb.zip", {"a.bvh": bytes(3_000_000), "b.bvh": bytes(3_000_000)})
    assert bomb.stat().st_size < 20_000
    with pytest.raises(BVHError, match="unpacks to more than"):
        unpack(bomb, tmp_path, max_total=4_000_000)
    assert sum(p.stat().st_size for p in tmp_path.glob("*.bvh")) < 7_000_000


@pytest.mark.parametrize("name", ["clips.zip", "clips.tar.xz", "clips.tar.gz", "clips.tar"])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.95])
def test_a_damaged_archive_is_named(tmp_path: Path, name: str, keep: float) -> None:
    path = tmp_path / name
    content = os.urandom(50_000)
    if name.endswith("zip"):
        make_zip(path, {"a.bvh": content})
    else:
        modes = {"clips.tar": "w", "clips.tar.gz": "w:gz", "clips.tar.xz": "w:xz"}
        make_tar(path, {"a.bvh": content}, modes[name])
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep * (0.8 if name == "clips.tar" else 1))])
    with pytest.raises(BVHError, match=name):
        unpack(path, tmp_path)


def test_a_broken_checksum_in_a_zip_is_found(tmp_path: Path) -> None:
    path = tmp_path / "clips.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.bvh", "HIERARCHY")
    path.write_bytes(path.read_bytes().replace(b"HIERARCHY", b"HIERARCHX"))
    with pytest.raises(BVHError, match="damaged"):
        unpack(path, tmp_path)


def test_a_git_lfs_pointer_is_recognised_and_explained(tmp_path: Path) -> None:
    path = tmp_path / "lafan1.zip"
    path.write_bytes(POINTER)
    assert is_lfs_pointer(path)
    assert not is_lfs_pointer(tmp_path / "absent.zip")
    with pytest.raises(BVHError, match="git lfs pull"):
        unpack(path, tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.bvh", True),
        ("A.BVH", True),
        ("x/y.npz", True),
        ("a.txt", False),
        (".a.bvh", False),
        ("x/._y.bvh", False),
        ("bvh", False),
    ],
)
def test_which_names_are_motion(name: str, expected: bool) -> None:
    assert is_motion_file(name) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lafan1.zip", "lafan1"),
        ("CMU.Tar.XZ", "CMU"),
        ("walk.bvh.gz", "walk"),
        ("v1.2.tgz", "v1.2"),
        ("notes.txt", "notes.txt"),
        (".zip", ".zip"),
    ],
)
def test_a_set_is_called_by_its_file_without_endings(tmp_path, name, expected):
    assert set_name(tmp_path / name) == expected
    (tmp_path / name).mkdir()
    assert set_name(tmp_path / name) == name
