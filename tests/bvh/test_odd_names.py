"""Names that are too long or steer a terminal, and settings that are not where they are read."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

import bvh
from bvh import BVHError, dataset, procedural
from bvh.archives import result_names
from bvh.atomic_write import atomic_path
from bvh.reading import Settings
from bvh.remarks import printable


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    bvh.write(procedural.make("walk", seconds=2.0, seed=1).to_clip(), folder / "walk.bvh")
    return folder / "walk.bvh"


def test_the_longest_name_there_can_be_is_written(tmp_path: Path) -> None:
    longest = tmp_path / ("é" * 125 + ".json")
    with atomic_path(longest) as temporary:
        temporary.write_text("{}")
    assert longest.read_text() == "{}"


def test_results_of_long_names_fit_beside_their_sidecars_and_stay_apart(tmp_path: Path) -> None:
    names = ["deep/" + "長" * 80 + f"{n}.bvh" for n in range(2)] + ["a/walk.bvh"]
    found = result_names(names, ".npy")
    assert found["a/walk.bvh"] == "a/walk.npy"
    assert len(set(found.values())) == 3
    (tmp_path / "deep").mkdir()
    for result in list(found.values())[:2]:
        (tmp_path / result).with_suffix(".json").touch()
        assert result.startswith("deep/長")
        assert result.endswith(".npy")


@pytest.mark.parametrize("name", ["BVH.toml", "bvh.toml.txt", ".bvh.toml"])
def test_settings_under_nearly_their_name_are_told(clip: Path, name: str) -> None:
    (clip.parent / name).write_text('up = "y"\n')
    with pytest.raises(BVHError, match=r"not read under this name; call it bvh\.toml"):
        Settings().of(clip)


def test_settings_that_are_no_file_are_told(clip: Path) -> None:
    settings = clip.parent / "bvh.toml"
    settings.mkdir()
    with pytest.raises(BVHError, match="not a regular file"):
        Settings().of(clip)
    settings.rmdir()
    settings.symlink_to("nowhere")
    with pytest.raises(BVHError, match=r"bvh\.toml: No such file"):
        Settings().of(clip)


def test_settings_in_an_archive_are_told_unless_they_lie_beside_it(clip: Path) -> None:
    archive = clip.parent / "all.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.write(clip, "walk.bvh")
        zipped.writestr("bvh.toml", 'up = "y"\n')
    with pytest.raises(BVHError, match="put a copy beside the archive"):
        dataset.load(archive, cache=False)
    (clip.parent / "bvh.toml").write_text('up = "z"\n')
    assert len(dataset.load(archive, cache=False).motions) == 1


def test_names_that_steer_a_terminal_are_shown_escaped() -> None:
    assert printable("a\x1b[2Jb\x07\u202e é\n日本") == "a\\x1b[2Jb\\x07\\u202e é\n日本"
