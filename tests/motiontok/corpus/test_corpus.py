"""Folders of clips: nothing lost, nothing repeated, nothing mixed."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import bvh
from bvh import procedural
from motiontok.corpus import MANIFEST, encode_folder, read_manifest
from motiontok.errors import DataError, InputError
from motiontok.tokenizer import MotionTokenizer


@pytest.fixture
def clips(tmp_path):
    """Three clips and, in the middle, a file that is none."""
    folder = tmp_path / "clips"
    for seed, name in enumerate(("a", "b/deep", "d")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        procedural.make("walk", seconds=2, seed=seed).save(folder / f"{name}.npz")
    (folder / "c.bvh").write_text("hello")
    return folder


@pytest.fixture
def encoded(clips, tiny_run, tmp_path):
    out = tmp_path / "codes"
    encode_folder(clips, out, tokenizer=str(tiny_run))
    return out


def stamps(folder):
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*.npy")}


def test_the_manifest_says_what_became_of_every_clip(clips, encoded, tiny_run):
    entries = {entry.file: entry for entry in read_manifest(encoded)}
    assert sorted(entries) == ["a.npz", "b/deep.npz", "c.bvh", "d.npz"]
    tokenizer = MotionTokenizer.from_pretrained(tiny_run)
    for file, entry in entries.items():
        assert entry.fingerprint == tokenizer.fingerprint
        if file == "c.bvh":
            assert "c.bvh" in entry.error
            assert not (encoded / "c.npy").exists()
            continue
        codes = np.load(encoded / entry.codes)
        np.testing.assert_array_equal(codes, tokenizer.encode(str(clips / file)))
        assert (entry.frames, entry.windows, entry.error) == (60, len(codes), "")


def test_a_second_run_does_nothing(clips, encoded, tiny_run):
    before, manifest = stamps(encoded), (encoded / MANIFEST).read_text()
    encode_folder(clips, encoded, tokenizer=str(tiny_run))
    assert stamps(encoded) == before
    assert (encoded / MANIFEST).read_text() == manifest


def test_what_changed_or_is_gone_is_encoded_again_and_entered_once(clips, encoded, tiny_run):
    before = stamps(encoded)
    procedural.make("wave", seconds=3, seed=9).save(clips / "a.npz")
    (encoded / "d.npy").unlink()
    with (encoded / MANIFEST).open("a") as file:
        file.write('{"file": "half')
    (encoded / ".d-12345678.tmp.npy").touch()
    entries = encode_folder(clips, encoded, tokenizer=str(tiny_run))
    after = stamps(encoded)
    assert {p.name for p in after if after[p] != before[p]} == {"a.npy", "d.npy"}
    assert set(before) == set(after)
    assert sorted(e.file for e in read_manifest(encoded)) == [e.file for e in entries]
    assert entries[0].frames == 90


def test_clips_that_differ_in_their_endings_do_not_overwrite_each_other(tmp_path, tiny_run):
    procedural.make("walk", seconds=1).save(tmp_path / "in" / "x.npz")
    shutil.copy(tmp_path / "in" / "x.npz", tmp_path / "in" / "x.NPZ")
    entries = encode_folder(tmp_path / "in", tmp_path / "out", tokenizer=str(tiny_run))
    assert len({entry.codes for entry in entries}) == 2


def test_gzipped_clips_are_encoded_too(tmp_path, tiny_run):
    bvh.write(procedural.make("walk", seconds=1, seed=0).to_clip(), tmp_path / "a.bvh")
    folder = tmp_path / "in"
    folder.mkdir()
    with gzip.open(folder / "a.bvh.gz", "wb") as file:
        file.write((tmp_path / "a.bvh").read_bytes())
    (entry,) = encode_folder(folder, tmp_path / "out", tokenizer=str(tiny_run))
    assert (entry.file, entry.codes, entry.error) == ("a.bvh.gz", "a.npy", "")


def test_codes_of_two_tokenizers_or_settings_are_never_mixed(clips, encoded, tiny_run):
    own = MotionTokenizer.from_pretrained(tiny_run).fingerprint
    other = MotionTokenizer.from_pretrained("default").fingerprint
    with pytest.raises(DataError, match=f"{own}.*{other}"):
        encode_folder(clips, encoded, tokenizer="default")
    with pytest.raises(DataError, match="effort 1"):
        encode_folder(clips, encoded, tokenizer=str(tiny_run), effort=2)
    with pytest.raises(DataError, match="effort must be 1 to 1000, got 0"):
        encode_folder(clips, encoded, tokenizer=str(tiny_run), effort=0)


def test_a_damaged_manifest_is_named(clips, encoded, tiny_run):
    lines = (encoded / MANIFEST).read_text().splitlines(keepends=True)
    (encoded / MANIFEST).write_text("".join([lines[0], "rubbish\n", *lines[1:]]))
    with pytest.raises(DataError, match=r"manifest\.jsonl, line 2"):
        encode_folder(clips, encoded, tokenizer=str(tiny_run))


@pytest.mark.skipif(sys.platform == "win32", reason="no file locks or SIGKILL on Windows")
def test_a_killed_run_loses_and_repeats_nothing(tmp_path, tiny_run):
    clips, out = tmp_path / "clips", tmp_path / "codes"
    first = clips / "000.npz"
    procedural.make("walk", seconds=2).save(first)
    for number in range(1, 300):
        shutil.copy(first, clips / f"{number:03d}.npz")
    (clips / "150.npz").write_bytes(b"PK")
    command = ["encode", str(clips), "-o", str(out), "--tokenizer", str(tiny_run)]
    with subprocess.Popen(
        [sys.executable, "-m", "motiontok", *command], stderr=subprocess.PIPE, text=True
    ) as run:
        # Codes come first and are entered some clips at a time: wait for an entry. Stopped,
        # the run cannot end before it is killed, however slow this process is.
        manifest = out / MANIFEST
        while run.poll() is None and not (manifest.exists() and manifest.stat().st_size):
            time.sleep(0.01)
        os.kill(run.pid, signal.SIGSTOP)
        with pytest.raises(InputError, match=f"^{out}: another process"):
            encode_folder(clips, out, tokenizer=str(tiny_run))
        os.kill(run.pid, signal.SIGKILL)
        # Its workers hold its standard error open: this ends when they have ended.
        assert "rror" not in run.communicate(timeout=60)[1]
    killed = {entry.file for entry in read_manifest(out)}
    assert 0 < len(killed) < 300
    before = stamps(out)
    entries = encode_folder(clips, out, tokenizer=str(tiny_run), workers=1)

    rows = [json.loads(line) for line in (out / MANIFEST).read_text().splitlines()]
    assert sorted(row["file"] for row in rows) == [entry.file for entry in entries]
    assert len(rows) == 300
    assert [entry.file for entry in entries if entry.error] == ["150.npz"]
    after = stamps(out)
    assert len(after) == 299
    assert not [
        f for f in killed if f != "150.npz" and after[p := out / f"{f[:3]}.npy"] != before[p]
    ]
    codes = {np.load(path).tobytes() for path in after}
    assert len(codes) == 1
    assert not list(out.rglob("*.tmp.*"))
