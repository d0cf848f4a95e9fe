"""``decode`` of folders of codes."""

from __future__ import annotations

import numpy as np
import pytest

import bvh
from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.codes import Codes
from motiontok.corpus import Corpus


@pytest.fixture
def motiontok(monkeypatch, tmp_path, tiny_run, run):
    """Run a command in an empty folder, with the tiny tokenizer."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run(*arguments, "--tokenizer", tiny_run)


@pytest.fixture
def clips(tmp_path):
    for seed in range(4):
        motion = procedural.make("walk", seconds=1 + seed, seed=seed)
        motion.save(tmp_path / "clips" / str(seed % 2) / f"{seed}.npz")
    bvh.write(motion.to_clip(), tmp_path / "clips" / "1" / "3.bvh")
    return tmp_path / "clips"


@pytest.mark.parametrize("packed", [(), ("--pack",)])
def test_every_clip_of_an_encoded_folder_becomes_bvh(motiontok, clips, tmp_path, tiny_run, packed):
    assert motiontok("encode", clips, "-o", "codes", *packed)[0] == 0
    code, said, _ = motiontok("decode", "codes", "-o", "decoded")
    assert code == 0
    assert "5 clips" in said
    names = {
        p.relative_to(tmp_path / "decoded").as_posix() for p in tmp_path.glob("decoded/**/*.bvh")
    }
    # What has its stem in common keeps its ending.
    assert names == {"0/0.bvh", "0/2.bvh", "1/1.bvh", "1/3.npz.bvh", "1/3.bvh.bvh"}
    tokenizer, corpus = MotionTokenizer.from_pretrained(tiny_run), Corpus("codes")
    expected = tokenizer.decode_codes(corpus["0/2.npz"])
    found = bvh.normalize(bvh.read("decoded/0/2.bvh"))
    np.testing.assert_allclose(found.global_positions(), expected.global_positions(), atol=1e-4)


def test_any_folder_of_codes_will_do_and_broken_ones_are_named(motiontok, clips, tmp_path):
    for name in ("a", "b/c"):
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        assert motiontok("encode", clips / "0" / "2.npz", "-o", f"mine/{name}.npy")[0] == 0
    (tmp_path / "mine" / "bad.npy").write_bytes(b"no array")
    beyond = Codes.load(tmp_path / "mine" / "a.npy")
    beyond.array[1, 2] = 60_000
    beyond.save(tmp_path / "mine" / "beyond.npy")
    code, said, error = motiontok("decode", "mine")
    assert code == 0
    assert "2 clips, 180 frames -> decoded" in said
    assert "skipped mine/bad.npy: not a .npy array of codes (no .npy file" in error
    outside = "mine/beyond.npy: codes: value 60000 at (1, 2) is outside the vocabulary"
    assert f"skipped {outside}" in error
    assert (tmp_path / "decoded" / "b" / "c.bvh").is_file()
    assert not (tmp_path / "decoded" / "beyond.bvh").exists()
    code, _, error = motiontok("decode", "mine/beyond.npy", "-o", "beyond.bvh")
    assert code == 2
    assert error.startswith(f"error: {outside}")
    assert not (tmp_path / "beyond.bvh").exists()


def test_what_cannot_be_decoded_is_said_in_one_line(motiontok, clips, tmp_path):
    for arguments, words in (
        (["clips"], "clips: no codes that can be decoded in this folder"),
        (["clips", "-o", "x.bvh"], "CODES is a folder, so OUT must be a folder too"),
    ):
        code, _, error = motiontok("decode", *arguments)
        assert code == 2
        assert words in error
        assert len(error.strip().splitlines()) == 1
    Codes(np.zeros((1, 8), np.uint16), fingerprint="0" * 16).save(tmp_path / "other" / "a.npy")
    code, _, error = motiontok("decode", "other")
    assert code == 2
    assert "other/a.npy: codes were made by tokenizer 0000000000000000" in error
    assert len(error.strip().splitlines()) == 1
