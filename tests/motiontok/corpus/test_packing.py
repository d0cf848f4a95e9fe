"""Packed corpora: every clip once, whoever encodes it and whatever ends the run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner

from bvh import procedural
from motiontok.cli.encode import encode
from motiontok.corpus import Corpus, encode_folder, encode_packed, packing, read_manifest
from motiontok.errors import DataError, InputError
from motiontok.tokenizer import MotionTokenizer

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL and no ulimit")


@pytest.fixture
def clips(tmp_path):
    """Eleven clips of one to three seconds and, among them, a file that is none."""
    folder = tmp_path / "clips"
    for seed in range(11):
        motion = procedural.make("walk", seconds=1 + seed % 3, seed=seed)
        motion.save(folder / f"{seed % 2}" / f"{seed:02d}.npz")
    (folder / "0" / "05.bvh").write_text("hello")
    return folder


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(packing, "SHARD_CLIPS", 4)


def many(folder, count):
    """``count`` clips of the same content, one of them damaged."""
    first = folder / "000.npz"
    procedural.make("walk", seconds=2).save(first)
    for number in range(1, count):
        shutil.copy(first, folder / f"{number:03d}.npz")
    (folder / "150.npz").write_bytes(b"PK")
    return folder


def stamps(folder):
    return {p.name: p.stat().st_mtime_ns for p in folder.iterdir() if p.suffix != ".lock"}


def assert_whole(out, source, tiny_run):
    """Each clip is in the corpus once, and as it would be encoded by itself."""
    corpus = Corpus(out)
    tokenizer = MotionTokenizer.from_pretrained(tiny_run)
    assert sorted(corpus) == sorted(p.relative_to(source).as_posix() for p in source.rglob("*.npz"))
    for clip, codes in corpus.items():
        alone = tokenizer.encode_to_codes(source / clip, tokenizer=str(tiny_run.resolve()))
        np.testing.assert_array_equal(codes.array, alone.array)
        np.testing.assert_array_equal(codes.offsets, alone.offsets)
        for name in ("fingerprint", "tokenizer", "frames", "start", "source", "licence", "fps"):
            assert getattr(codes, name) == getattr(alone, name)
    assert not list(out.glob("open-*"))
    assert not list(out.glob("*.tmp.*"))


def test_each_clip_is_in_a_shard_as_it_is_in_a_file_of_its_own(
    clips, tiny_run, tmp_path, small_shards
):
    out = tmp_path / "codes"
    made = encode_packed(clips, out, tokenizer=str(tiny_run))
    assert (made.clips, made.encoded) == (12, 11)
    assert [entry.file for entry in made.failed] == ["0/05.bvh"]
    assert len(list(out.glob("codes-*.safetensors"))) == 3
    assert_whole(out, clips, tiny_run)
    assert [e.file for e in Corpus(out).failed] == ["0/05.bvh"]
    assert "05.bvh" in Corpus(out).failed[0].error

    encode_folder(clips, tmp_path / "files", tokenizer=str(tiny_run))
    assert_same(Corpus(tmp_path / "files"), Corpus(out))


def assert_same(one, other):
    assert list(one) == list(other)
    for clip in one:
        np.testing.assert_array_equal(one[clip].array, other[clip].array)
        assert one[clip].start == other[clip].start


def test_only_what_changed_is_encoded_again_and_its_last_entry_counts(clips, tiny_run, tmp_path):
    out = tmp_path / "codes"
    encode_packed(clips, out, tokenizer=str(tiny_run))
    before = stamps(out)
    again = encode_packed(clips, out, tokenizer=str(tiny_run))
    assert (again.encoded, len(again.failed)) == (0, 1)
    assert stamps(out) == before

    procedural.make("wave", seconds=4, seed=9).save(clips / "1" / "03.npz")
    procedural.make("wave", seconds=4, seed=9).save(clips / "1" / "new.npz")
    assert encode_packed(clips, out, tokenizer=str(tiny_run)).encoded == 2
    assert Corpus(out)["1/03.npz"].frames == 120
    assert_whole(out, clips, tiny_run)


@pytest.mark.parametrize("killed", [False, True])
def test_shares_add_up_and_another_number_of_machines_goes_on(
    clips, tiny_run, tmp_path, monkeypatch, killed
):
    out = tmp_path / "codes"
    with monkeypatch.context() as context:
        if killed:
            context.setattr(packing, "_finish", lambda path: None)
        first = encode_packed(clips, out, tokenizer=str(tiny_run), share=(1, 3))
    rest = encode_packed(clips, out, tokenizer=str(tiny_run), share=(0, 2))
    last = encode_packed(clips, out, tokenizer=str(tiny_run), share=(1, 2))
    assert first.encoded > 0
    assert first.encoded + rest.encoded + last.encoded == 11
    assert set(Counter(e.file for e in read_manifest(out)).values()) == {1}
    assert_whole(out, clips, tiny_run)
    with pytest.raises(InputError, match="share 2 of 2"):
        encode_packed(clips, out, tokenizer=str(tiny_run), share=(2, 2))


def test_torchrun_shares_out_the_work_by_its_environment(clips, tiny_run, tmp_path):
    arguments = [str(clips), "-o", str(tmp_path / "codes"), "--tokenizer", str(tiny_run)]
    total = 0
    for rank in "01":
        done = CliRunner().invoke(
            encode,
            [*arguments, "--pack", "--json"],
            env={"RANK": rank, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"},
        )
        result = json.loads(done.stdout)
        assert result["shard"] == f"{rank}/2"
        total += result["encoded"]
    assert total == 11
    assert_whole(tmp_path / "codes", clips, tiny_run)
    wrong = CliRunner().invoke(encode, [*arguments, "--pack"], env={"RANK": "2", "WORLD_SIZE": "2"})
    assert isinstance(wrong.exception, InputError)
    assert "RANK=2" in str(wrong.exception)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shard", "0/2"], "add --pack"),
        (["--pack", "--shard", "2/2"], "0 to N - 1"),
        (["--pack", "--shard", "x"], "expected I/N"),
    ],
)
def test_a_wrong_share_is_said_to_be_one(clips, options, message):
    done = CliRunner().invoke(encode, [str(clips), *options])
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)


def test_codes_of_two_tokenizers_or_layouts_are_never_mixed(clips, tiny_run, tmp_path):
    packed, files = tmp_path / "packed", tmp_path / "files"
    encode_packed(clips, packed, tokenizer=str(tiny_run))
    own = MotionTokenizer.from_pretrained(tiny_run).fingerprint
    other = MotionTokenizer.from_pretrained("default").fingerprint
    with pytest.raises(DataError, match=f"{own}.*{other}"):
        encode_packed(clips, packed, tokenizer="default")
    with pytest.raises(DataError, match="effort 1"):
        encode_packed(clips, packed, tokenizer=str(tiny_run), effort=2)
    with pytest.raises(InputError, match="packed"):
        encode_folder(clips, packed, tokenizer=str(tiny_run))
    encode_folder(clips, files, tokenizer=str(tiny_run))
    with pytest.raises(InputError, match="a file of codes a clip"):
        encode_packed(clips, files, tokenizer=str(tiny_run))


def test_a_run_ended_while_closing_a_shard_is_finished_by_the_next(
    clips, tiny_run, tmp_path, monkeypatch
):
    """The open file goes last, so it is there whichever of the others is."""
    out, kept = tmp_path / "codes", tmp_path / "kept"
    with monkeypatch.context() as context:
        context.setattr(packing, "_finish", lambda path: shutil.copy(path, kept))
        encode_packed(clips, out, tokenizer=str(tiny_run))
    (open_file,) = out.glob("open-*")
    for there in ([], ["manifest"], ["codes"], ["manifest", "codes"]):
        shutil.copy(kept, open_file)
        for path in [*out.glob("codes-*"), *out.glob("manifest-*")]:
            if path.name.partition("-")[0] not in there:
                path.unlink()
        assert encode_packed(clips, out, tokenizer=str(tiny_run)).encoded == 0
        assert_whole(out, clips, tiny_run)


def test_a_line_that_was_not_finished_costs_its_clip_alone(clips, tiny_run, tmp_path, monkeypatch):
    out = tmp_path / "codes"
    with monkeypatch.context() as context:
        context.setattr(packing, "_finish", lambda path: None)
        encode_packed(clips, out, tokenizer=str(tiny_run), workers=1)
    (open_file,) = out.glob("open-*")
    with open_file.open("rb+") as file:
        file.truncate(open_file.stat().st_size - 9)
    assert encode_packed(clips, out, tokenizer=str(tiny_run)).encoded == 1
    assert_whole(out, clips, tiny_run)


@POSIX
def test_a_killed_run_loses_and_repeats_nothing(tmp_path, tiny_run):
    clips, out = many(tmp_path / "clips", 180), tmp_path / "codes"
    command = ["encode", str(clips), "-o", str(out), "--pack", "--tokenizer", str(tiny_run)]
    open_file = out / "open-00000-0of1.jsonl"
    with subprocess.Popen(
        [sys.executable, "-m", "motiontok", *command], stderr=subprocess.PIPE, text=True
    ) as run:
        while run.poll() is None and not (open_file.exists() and open_file.stat().st_size):
            time.sleep(0.001)
        os.kill(run.pid, signal.SIGSTOP)  # or it would be done before it is killed
        with pytest.raises(InputError, match="another process"):
            encode_packed(clips, out, tokenizer=str(tiny_run))
        os.kill(run.pid, signal.SIGKILL)
        # Its workers hold its standard error open: this ends when they have ended.
        assert "rror" not in run.communicate(timeout=60)[1]
    lines = [json.loads(x) for x in open_file.read_text().splitlines(keepends=True) if "\n" in x]
    codes = {row["entry"]["file"]: row["codes"] for row in lines if "codes" in row}
    assert 0 < len(codes) < 179
    done = encode_packed(clips, out, tokenizer=str(tiny_run), workers=1)

    assert done.encoded == 179 - len(codes)
    assert [entry.file for entry in done.failed] == ["150.npz"]
    entries = Counter(entry.file for entry in read_manifest(out))
    assert len(entries) == 180
    assert set(entries.values()) == {1}
    assert {c.array.tobytes() for c in Corpus(out).values()} == {
        Corpus(out)["000.npz"].array.tobytes()
    }
    assert not [p for p in out.iterdir() if ".tmp" in p.name or p.name.startswith("open")]


@POSIX
def test_a_full_disk_leaves_whole_files_and_the_next_run_goes_on(tmp_path, tiny_run, on_full_disk):
    clips, out = many(tmp_path / "clips", 160), tmp_path / "codes"
    command = [sys.executable, "-m", "motiontok", "encode", str(clips), "-o", str(out), "--pack"]
    errors = on_full_disk([*command, "--tokenizer", str(tiny_run)], 64)
    (open_file,) = out.glob("open-*")
    assert f"{open_file}" in errors.splitlines()[-1]
    lines = open_file.read_text().splitlines(keepends=True)
    assert all(line.endswith("}\n") for line in lines)
    again = encode_packed(clips, out, tokenizer=str(tiny_run), workers=1)
    assert again.encoded == 159 - sum('"codes_per_window"' in line for line in lines)
    assert len(Corpus(out)) == 159


def test_a_shard_that_is_damaged_or_of_another_corpus_is_named(clips, tiny_run, tmp_path):
    out = tmp_path / "codes"
    encode_packed(clips, out, tokenizer=str(tiny_run))
    (shard,) = out.glob("codes-*")
    whole = shard.read_bytes()
    for bad in (whole[: len(whole) // 2], b"", b"hello world"):
        shard.write_bytes(bad)
        with pytest.raises(DataError, match=shard.name):
            Corpus(out)["0/00.npz"]
    shard.write_bytes(whole.replace(Corpus(out).fingerprint.encode(), b"0123456789abcdef"))
    with pytest.raises(DataError, match="0123456789abcdef"):
        Corpus(out)["0/00.npz"]
    with pytest.raises(DataError, match="no manifest"):
        Corpus(tmp_path)
