"""Several sources of clips encoded at once: folders, archives, files and stores."""

from __future__ import annotations

import json
import shutil
import tarfile

import numpy as np
import pytest

from bvh import procedural
from motiontok.corpus import Corpus, encode_folder, read_manifest
from motiontok.corpus.clips import places_of, where
from motiontok.data.store.writing import pack_clips
from motiontok.errors import DataError
from motiontok.tokenizer import MotionTokenizer


@pytest.fixture
def sources(tmp_path):
    """A folder, a zip, a tar, a store of one set and a lone file; a file in the zip is broken."""
    folder = tmp_path / "walks"
    for seed, name in enumerate(("a", "deep/b")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        procedural.make("walk", seconds=2, seed=seed).save(folder / f"{name}.npz")
    inner = tmp_path / "inner"
    inner.mkdir()
    procedural.make("wave", seconds=2, seed=2).save(inner / "a.npz")
    (inner / "bad.bvh").write_text("hello")
    zipped = shutil.make_archive(str(tmp_path / "waves"), "zip", inner)
    procedural.make("squat", seconds=2, seed=3).save(tmp_path / "s.npz")
    with tarfile.open(tmp_path / "squats.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "s.npz", "in/s.npz")
    procedural.make("hop", seconds=2, seed=4).save(tmp_path / "hops" / "h.npz")
    pack_clips([tmp_path / "hops"], tmp_path / "store")
    lone = tmp_path / "lone.npz"
    procedural.make("dance", seconds=2, seed=5).save(lone)
    return [folder, zipped, tmp_path / "squats.tar.gz", tmp_path / "store", lone]


NAMES = [
    "lone.npz", "squats/in/s.npz", "store/hops/h.npz", "walks/a.npz", "walks/deep/b.npz",
    "waves/a.npz", "waves/bad.bvh",
]  # fmt: skip


@pytest.mark.parametrize("pack", [[], ["--pack"]])
def test_clips_of_several_sources_have_the_codes_that_they_have_alone(
    sources, tiny_run, tmp_path, run, pack
):
    out = tmp_path / "codes"
    command = ["encode", *sources, "-o", out, "--tokenizer", tiny_run, *pack]
    code, _, errors = run(*command)
    assert code == 0, errors
    assert "1 of 7 clips skipped" in errors
    # Where the clip was meanwhile is no place to look.
    assert f"{sources[1]}/bad.bvh" in errors
    assert "motiontok-" not in errors
    assert sorted(entry.file for entry in read_manifest(out)) == NAMES
    corpus = Corpus(out)
    tokenizer = MotionTokenizer.from_pretrained(tiny_run)
    files = {
        "lone.npz": sources[4], "squats/in/s.npz": tmp_path / "s.npz",
        "walks/a.npz": sources[0] / "a.npz", "walks/deep/b.npz": sources[0] / "deep/b.npz",
        "waves/a.npz": tmp_path / "inner/a.npz",
    }  # fmt: skip
    for name, file in files.items():
        np.testing.assert_array_equal(corpus[name].array, tokenizer.encode(str(file)))
    assert len(corpus) == 6

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.npy")}
    code, said, _ = run(*command, "--json")
    assert code == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.npy")} == before
    if pack:
        assert json.loads(said)["encoded"] == 0
        return
    rows = {row["source"]: row["codes"] for row in json.loads(said)}
    assert rows[str(sources[0] / "deep/b.npz")] == str(out / "walks/deep/b.npy")
    assert rows[f"{sources[1]}/a.npz"] == str(out / "waves/a.npy")
    assert rows[str(sources[4])] == str(out / "lone.npy")


def test_an_archive_alone_is_encoded_as_its_folder_is(sources, tiny_run, tmp_path, run):
    for source, name in ((sources[1], "a"), (tmp_path / "inner", "b")):
        assert run("encode", source, "-o", tmp_path / name, "--tokenizer", tiny_run)[0] == 0
    mine, other = ({e.file: e for e in read_manifest(tmp_path / name)} for name in "ab")
    assert mine.keys() == other.keys() == {"a.npz", "bad.bvh"}
    assert mine["a.npz"] == other["a.npz"]
    np.testing.assert_array_equal(*(np.load(tmp_path / name / "a.npy") for name in "ab"))


def test_what_changed_in_one_source_is_encoded_again(sources, tiny_run, tmp_path):
    out, given = tmp_path / "codes", [sources[0], sources[4]]
    encode_folder(given, out, tokenizer=str(tiny_run))
    procedural.make("wave", seconds=3, seed=9).save(sources[0] / "a.npz")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.npy")}
    entries = encode_folder(given, out, tokenizer=str(tiny_run))
    changed = [path for path, then in before.items() if path.stat().st_mtime_ns != then]
    assert changed == [out / "walks/a.npy"]
    assert [entry.frames for entry in entries] == [90, 60, 60]


def test_codes_that_another_clip_took_over_are_no_longer_the_first_ones(tiny_run, tmp_path):
    """Otherwise a reader would give a clip's codes as those of two."""
    for folder, ending, seed in (("a", ".npz", 0), ("b", ".NPZ", 1)):
        motion = procedural.make("walk", seconds=2, seed=seed)
        motion.save(tmp_path / folder / "walk.npz")
        (tmp_path / folder / "walk.npz").rename(tmp_path / folder / f"walk{ending}")
        encode_folder(tmp_path / folder, tmp_path / "codes", tokenizer=str(tiny_run))
    assert [entry.file for entry in read_manifest(tmp_path / "codes")] == ["walk.NPZ"]


def test_names_of_sources_that_agree_have_more_of_their_paths(tmp_path):
    for folder in ("x/walk", "y/walk"):
        (tmp_path / folder).mkdir(parents=True)
    places = places_of([tmp_path / "x/walk", tmp_path / "y/walk"])
    assert [place.set for place in places] == ["x/walk", "y/walk"]
    assert where(places, "y/walk/a.bvh") == tmp_path / "y/walk/a.bvh"
    # A name that is a whole path stays below the folder of results.
    for folder in ("x/z/walk", "y/z/walk"):
        (tmp_path / folder).mkdir(parents=True)
    places = places_of([tmp_path / "x/z/walk", tmp_path / "y/z/walk"])
    assert not any(place.set.startswith("/") for place in places)
    assert where(places, f"{places[1].set}/a.bvh") == tmp_path / "y/z/walk/a.bvh"
    for name in ("walk.npz", "walk.bvh"):
        (tmp_path / "x" / name).touch()
    places = places_of([tmp_path / "x/walk.npz", tmp_path / "x/walk.bvh"])
    assert [place.name(place.path.name) for place in places] == ["x/walk.npz", "x/walk.bvh"]


def test_sources_whose_clips_could_have_one_name_are_refused(tmp_path):
    for folder in ("walk", "walk/fast", "other/fast"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    with pytest.raises(DataError, match="could get the same name; rename a folder"):
        places_of([tmp_path / "walk", tmp_path / "walk/fast", tmp_path / "other/fast"])


def test_a_broken_source_is_named(sources, tiny_run, tmp_path, run):
    for extra, words in (
        (tmp_path / "gone", "gone: no such file or folder"),
        (sources[0], "given twice"),
        (tmp_path / "x.npy", "x.npy: no such file or folder"),
    ):
        code, _, errors = run(
            "encode", *sources, extra, "-o", tmp_path / "y", "--tokenizer", tiny_run
        )
        assert code == 2
        assert words in errors
        assert errors.count("\n") == 1
