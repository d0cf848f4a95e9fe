"""Training, encoding and measuring read a file alike: the same motion, the same codes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import bvh
from bvh import dataset, procedural
from bvh import rotations as rot
from bvh.motion_io import load_motion
from motiontok.codes import Codes
from motiontok.config import load_config
from motiontok.corpus import Corpus
from motiontok.data.clips import every_clip
from motiontok.data.sets import read_sets, shared_calibrations
from motiontok.runs import run_training
from motiontok.tokenizer import MotionTokenizer

SMALL = (
    "data.window=8", "data.holdout=3", "model.codes_per_window=4", "model.vocab_size=64",
    "model.components=16", "model.bases=4", "method.name='pca-pq'",
)  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))


def write(path, kind, seconds=2.0):
    """A clip of one body whose names, zero pose and local axes say nothing of it."""
    body = procedural.make("walk", seconds=0.1, seed=0).offsets
    clip = replace(procedural.make(kind, seconds=seconds, seed=4), offsets=body).to_clip()
    axes = rot.normalize(np.random.default_rng(0).normal(size=(len(clip.names), 4)))
    above = np.stack([rot.identity() if p < 0 else axes[p] for p in clip.parents])
    back = rot.conjugate(above)
    bvh.write(
        replace(
            clip,
            names=tuple(f"mixamorig:{name}" for name in clip.names),
            rotations=rot.multiply(rot.multiply(back, clip.rotations), axes),
            positions=rot.rotate(back, clip.positions),
            offsets=rot.rotate(back, clip.offsets),
            end_sites={j: rot.rotate(rot.conjugate(axes[j]), s) for j, s in clip.end_sites.items()},
        ),
        path,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "clips"
    for kind in ("walk", "squat", "wave", "dance"):
        write(out / f"{kind}.bvh", kind)
    # Too short to show alone what the others do.
    for kind in ("walk", "wave"):
        write(out / f"short_{kind}.bvh", kind, 0.4)
    return out


@pytest.fixture(scope="module")
def run_folder(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    run_training(load_config("folder", SMALL), out=out, data=[folder], say=lambda line: None)
    return out


@pytest.fixture
def tokenizer(run_folder):
    return MotionTokenizer.from_pretrained(run_folder)


def test_a_file_has_the_codes_of_its_motion_in_training(folder, tokenizer):
    trained_on = dataset.load(folder)
    apart = []
    for name, motion in zip(trained_on.names, trained_on.motions, strict=True):
        codes = tokenizer.encode(motion)
        np.testing.assert_array_equal(tokenizer.encode(folder / name), codes)
        np.testing.assert_array_equal(tokenizer.encode_to_codes(folder / name).array, codes)
        apart.append(np.mean(tokenizer.encode(load_motion(folder / name).motion) != codes))
    # Else nothing was tested: read without what the rig's other clips show, codes differ.
    assert max(apart) > 0.2


def test_commands_write_those_codes_of_one_file_and_of_a_folder(
    run, folder, run_folder, tokenizer, tmp_path
):
    trained_on = dataset.load(folder)
    wanted = dict(zip(trained_on.names, map(tokenizer.encode, trained_on.motions), strict=True))
    for out, how in (("codes", ()), ("packed", ("--pack",))):
        code, _, err = run("encode", folder, "--tokenizer", run_folder, "-o", tmp_path / out, *how)
        assert code == 0, err
    packed = {file: codes.array for file, codes in Corpus(tmp_path / "packed").items()}
    for name, codes in wanted.items():
        one = tmp_path / "one.npy"
        assert run("encode", folder / name, "--tokenizer", run_folder, "-o", one)[0] == 0
        stem = name.removesuffix(".bvh")
        for array in (
            Codes.load(one).array,
            Codes.load(tmp_path / "codes" / f"{stem}.npy").array,
            packed[name],
        ):
            np.testing.assert_array_equal(array, codes)


def test_a_tokenizer_is_measured_on_the_motions_it_encodes(folder, tokenizer, tmp_path):
    # A file of the rig that comes alone is read with what the tokenizer knows of the rig.
    write(tmp_path / "new" / "hop.bvh", "hop", 0.4)
    for place in (folder, tmp_path / "new"):
        clips = every_clip([place], calibrations=tokenizer.calibrations)
        for motion in clips.held_out:
            path = place / f"{motion.source.name}.bvh"
            np.testing.assert_array_equal(tokenizer.encode(motion), tokenizer.encode(path))


def test_a_clip_drawn_beside_its_codes_is_what_was_encoded(
    run, folder, run_folder, tokenizer, tmp_path, monkeypatch
):
    from motiontok.render import MannequinActor

    name = "short_wave.bvh"
    codes = tmp_path / "codes.npy"
    assert run("encode", folder / name, "--tokenizer", run_folder, "-o", codes)[0] == 0
    drawn = []

    def spy(motion, **how):
        drawn.append(motion)
        return MannequinActor(motion, **how)

    monkeypatch.setattr("motiontok.render.MannequinActor", spy)
    words = ("-o", tmp_path / "p.png", "--time", "0", "--size", "64x64")
    assert run("render", folder / name, codes, *words)[0] == 0
    encoded = load_motion(folder / name, calibrations=tokenizer.calibrations).motion
    np.testing.assert_array_equal(drawn[0].rotations, encoded.rotations)
    alone = load_motion(folder / name).motion
    assert not np.array_equal(alone.rotations, encoded.rotations)


def test_sets_of_one_rig_share_its_calibration(folder, tmp_path):
    for kind in ("hop", "turn"):
        write(tmp_path / "more" / f"{kind}.bvh", kind, 0.4)
    sets = read_sets([tmp_path / "more", folder])
    shared = shared_calibrations(sets)
    assert len(shared) == 1
    for place, of in zip((tmp_path / "more", folder), sets, strict=True):
        for name, motion in zip(of.names, of.motions, strict=True):
            again = load_motion(place / name, calibrations=shared).motion
            np.testing.assert_array_equal(again.rotations, motion.rotations)


def test_calibrations_are_saved_where_there_are_some(tokenizer, run_folder, tmp_path):
    (calibration,) = tokenizer.calibrations.values()
    tokenizer.save_pretrained(tmp_path / "again")
    (same,) = MotionTokenizer.from_pretrained(tmp_path / "again").calibrations.values()
    assert same.to_dict() == calibration.to_dict()
    tokenizer.calibrations = {}
    tokenizer.save_pretrained(tmp_path / "again")
    assert MotionTokenizer.from_pretrained(tmp_path / "again").calibrations == {}
    assert not (tmp_path / "again" / "calibrations.json").exists()
