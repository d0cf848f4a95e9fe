"""Many folders of clips: their names, what is held out of each, and what two of them have."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

import bvh
from bvh import procedural
from motiontok.config import DataConfig, load_config
from motiontok.data.clips import every_clip, load_clips
from motiontok.errors import ConfigError, DataError

GENERAL = DataConfig(dataset="general", holdout=3)


@pytest.fixture
def make_set(tmp_path, monkeypatch):
    """Write a folder of clips; every clip in the test is another one."""
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))
    made = iter(range(1000))

    def make(folder, *names):
        place = tmp_path / folder
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            clip = procedural.make("walk", seconds=1, seed=next(made))
            replace(clip, source=replace(clip.source, name=name)).save(place / f"{name}.npz")
        return place

    return make


def names_of(motions):
    return [motion.source.name for motion in motions]


def test_folders_archives_and_files_are_sets_of_their_names(make_set, tmp_path):
    cmu = make_set("cmu", "a", "b", "c", "d")
    packed = shutil.make_archive(str(tmp_path / "snu"), "gztar", make_set("to-pack", "e", "f"))
    lone = make_set("here", "lone") / "lone.npz"
    found = load_clips(GENERAL, [cmu, packed, str(lone)], seed=0)
    assert [of.name for of in found.sets] == ["cmu", "snu", "lone"]
    # Every third of each, by name; a file alone is trained on, as there are others to measure on.
    assert [names_of(of.held_out) for of in found.sets] == [["a", "d"], ["e"], []]
    assert [names_of(of.training) for of in found.sets] == [["b", "c"], ["f"], ["lone"]]
    assert names_of(found.training) == ["b", "c", "f", "lone"]
    assert names_of(found.held_out) == ["a", "d", "e"]
    assert "licence of each" in found.licence
    assert found.notes == ("lone: a single clip, which is trained on; nothing is held out",)


def test_sets_of_one_name_are_told_apart_by_what_is_above_them(make_set):
    places = [make_set(f"{above}/clips", "a", "b") for above in ("one", "two")]
    places.append(make_set("other", "a", "b"))
    found = load_clips(GENERAL, places, seed=0)
    assert [of.name for of in found.sets] == ["one/clips", "two/clips", "other"]


def test_a_folder_and_its_archive_are_told_apart(make_set, tmp_path):
    folder = make_set("x/clips", "a", "b")
    packed = shutil.make_archive(str(tmp_path / "x" / "clips"), "zip", make_set("y", "c", "d"))
    found = load_clips(GENERAL, [folder, packed], seed=0)
    assert [of.name for of in found.sets] == ["x/clips", "x/clips.zip"]


def test_every_configuration_of_motion_takes_several_sets(make_set):
    places = [make_set("one", "a", "b"), make_set("two", "c", "d")]
    for name in ("lafan", "bandai", "folder", "general"):
        config = load_config(name).data
        assert len(load_clips(config, places, seed=0).sets) == 2


def test_whole_actions_are_held_out_where_there_are_any(make_set):
    one = make_set("one", "run_1", "walk_1", "walk_2")
    two = make_set("two", "bow_1", "bow_2")
    found = load_clips(replace(GENERAL, holdout_actions="run"), [one, two], seed=0)
    assert [names_of(of.held_out) for of in found.sets] == [["run_1"], ["bow_1"]]
    with pytest.raises(DataError, match="no set has clips of kick: the sets are one, two"):
        load_clips(replace(GENERAL, holdout_actions="run,kick"), [one, two], seed=0)
    with pytest.raises(DataError, match=r"two: holding out action bow.* leaves 0 to train on"):
        load_clips(replace(GENERAL, holdout_actions="bow"), [one, two], seed=0)


PAPERS = ["dance2_subject2", "fight1_subject2", "run2_subject1", "walk2_subject4"]


def test_lafan_holds_out_the_papers_clips_beside_other_sets(make_set):
    places = [make_set("lafan1", *PAPERS, "walk1_subject1"), make_set("two", "c", "d")]
    found = load_clips(load_config("lafan").data, places, seed=0)
    assert [names_of(of.held_out) for of in found.sets] == [PAPERS, ["c"]]


def test_lafan_holds_out_the_papers_clips_of_packed_files(make_set):
    place = make_set("lafan1", *PAPERS, "walk1_subject1")
    for clip in list(place.iterdir()):
        bvh.write(bvh.Motion.load(clip).to_clip(), clip.with_suffix(".bvh.gz"))
        clip.unlink()
    found = load_clips(load_config("lafan").data, [place], seed=0)
    assert names_of(found.sets[0].held_out) == PAPERS


def test_a_clip_of_two_sets_counts_once_in_the_first(make_set):
    one, two = make_set("one", "a", "b", "c"), make_set("two", "d", "e", "f", "g", "h")
    # The same file under another name, and the same motion in a file of other bytes.
    shutil.copy(one / "a.npz", two / "e.npz")
    shutil.copy(one / "b.npz", two / "copy.npz")
    motion = bvh.Motion.load(one / "c.npz")
    replace(motion, source=replace(motion.source, name="renamed")).save(two / "g.npz")
    found = load_clips(GENERAL, [one, two], seed=0)
    assert names_of(found.sets[0].training) + names_of(found.sets[0].held_out) == ["b", "c", "a"]
    # Of copy, d, e, f, g, h every third is held out, as of the set alone; e and g are not there.
    assert names_of(found.sets[1].held_out) == ["f"]
    assert names_of(found.sets[1].training) == ["d", "h"]
    assert found.notes == ("two: 3 clips, such as copy.npz, are in one too, and count once, there",)
    alone = load_clips(GENERAL, [two], seed=0)
    assert set(names_of(found.sets[1].held_out)) < set(names_of(alone.held_out))


def test_the_same_bvh_is_the_same_whatever_it_is_calibrated_with(make_set, tmp_path, monkeypatch):
    one, two = make_set("one"), make_set("two")
    for seed in range(4):
        clip = procedural.make("walk", seconds=2, seed=seed).to_clip()
        bvh.write(clip, one / f"clip{seed}.bvh")
    for seed in (3, 7, 8):
        clip = procedural.make("walk", seconds=2, seed=seed).to_clip()
        bvh.write(clip, two / f"clip{seed}.bvh")
    found = load_clips(GENERAL, [one, two], seed=0)
    assert found.notes == ("two: clip3.bvh is in one too, and counts once, there",)
    assert len(found.training) + len(found.held_out) == 6


def test_where_only_copies_are_held_out_the_rest_is_split_anew(make_set):
    one, two = make_set("one", "a", "b"), make_set("two", "c", "d")
    shutil.copy(one / "a.npz", two / "b.npz")
    found = load_clips(GENERAL, [one, two], seed=0)
    assert (names_of(found.sets[1].held_out), names_of(found.sets[1].training)) == (["c"], ["d"])


def test_a_set_that_others_have_whole_is_an_error_that_names_it(make_set, tmp_path):
    one = make_set("one", "a", "b")
    two = shutil.copytree(one, tmp_path / "two")
    with pytest.raises(DataError, match="two: each of its 2 clips is in one already; leave it out"):
        load_clips(GENERAL, [one, two], seed=0)
    for again in (one, tmp_path / "two" / ".." / "one"):
        with pytest.raises(DataError, match="one: given twice"):
            load_clips(GENERAL, [one, again], seed=0)


def test_a_set_without_a_readable_clip_is_an_error_that_names_it(make_set, tmp_path):
    good = make_set("good", "a", "b")
    bad, empty = make_set("bad"), make_set("empty")
    (bad / "x.bvh").write_text("hello")
    with pytest.raises(DataError, match="bad: none of 1 clips could be read"):
        load_clips(GENERAL, [good, bad], seed=0)
    with pytest.raises(DataError, match="empty: no clips here"):
        load_clips(GENERAL, [good, empty], seed=0)
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        load_clips(GENERAL, [good, tmp_path / "nowhere"], seed=0)
    with pytest.raises(DataError, match="needs --data"):
        load_clips(GENERAL, [], seed=0)


def test_files_that_cannot_be_read_are_told_with_their_set(make_set):
    places = [make_set("one", "a", "b"), make_set("two", "c", "d")]
    (places[1] / "x.bvh").write_text("hello")
    found = load_clips(GENERAL, places, seed=0)
    ((name, reason),) = found.skipped
    assert name == "two/x.bvh"
    assert reason
    assert load_clips(GENERAL, places[1:], seed=0).skipped[0][0] == "x.bvh"


def test_single_clips_alone_leave_nothing_to_measure_on(make_set):
    folder = make_set("clips", "a", "b")
    with pytest.raises(DataError, match=r"nothing is held out of a, b: .* in one folder"):
        load_clips(GENERAL, sorted(folder.iterdir()), seed=0)


def test_progress_is_told_over_all_sets(make_set):
    places = [make_set("one", "a", "b"), make_set("two", "c", "d")]
    told = []
    load_clips(GENERAL, places, seed=0, update=lambda *at: told.append(at))
    assert told[-1] == (4, 4)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_weights_are_of_sets_that_are_there(make_set):
    places = [make_set("one", "a", "b"), make_set("two", "c", "d")]
    found = load_clips(replace(GENERAL, weights={"two": 2.0}), places, seed=0)
    assert [of.weight for of in found.sets] == [1.0, 2.0]
    with pytest.raises(DataError, match="no set tow; of this run are one, two"):
        load_clips(replace(GENERAL, weights={"tow": 2.0}), places, seed=0)
    with pytest.raises(DataError, match="no set one; of this run are procedural"):
        load_clips(DataConfig(weights={"one": 1.0}), [], seed=0)


def test_weights_stand_in_the_file_and_are_checked(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[data]\ndataset = "general"\nweights = { cmu = 1, "snu 2.0" = 2.5 }\n')
    config = load_config(str(path), ['data.weights."cmu"=3'])
    assert config.data.weights == {"cmu": 3.0, "snu 2.0": 2.5}
    assert hash(config) == hash(load_config(str(path), ["data.weights.cmu=3"]))
    far = "must be a number of 0.001 to 1000"
    for value, words in (("0", far), ("inf", far), ("1e300", far), ("nan", far), ("x", "float")):
        with pytest.raises(ConfigError, match=rf"data\.weights\.cmu must.*{words}|{words}"):
            load_config(str(path), [f"data.weights.cmu={value}"])
    with pytest.raises(ConfigError, match=r"data\.weights is a section, got 2"):
        load_config(str(path), ["data.weights=2"])


def test_all_clips_of_all_sets_are_there_to_measure_on(make_set):
    places = [make_set("one", "a", "b"), make_set("two", "c")]
    found = every_clip(places)
    assert names_of(found.held_out) == ["a", "b", "c"]
    assert len(found.training) == 0
