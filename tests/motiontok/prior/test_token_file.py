"""Tokens in a file: those of memory, made once, whatever ends a run, and read where they lie."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bvh import Motion, procedural
from motiontok.errors import DataError
from motiontok.prior import token_file
from motiontok.prior.baselines import baseline_nats
from motiontok.prior.labels import Pairs
from motiontok.prior.model import PriorConfig
from motiontok.prior.runs import load_tokens
from motiontok.prior.token_file import make_tokens
from motiontok.prior.tokens import Cuts, TokenSet, blocks, spread, tokenize_clips
from motiontok.prior.training import Stretches, train_prior

FIELDS = ("codes", "commands", "sequence", "action", "style")
CUTS = Cuts(2, True, ("", "turn-left", "turn-right", "walk"), ("", "old"))
NAMES = ["dataset-1_walk_old_001.bvh", "short.bvh", "dataset-1_turn-left_old_002.bvh", "x.bvh"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def motions():
    return [procedural.make("walk", seconds=s, seed=n) for n, s in enumerate((5, 0.5, 4, 6))]


def make(tokenizer, motions, *, names=NAMES, workers=1, cuts=CUTS, digests=None):
    digests = digests or [str(n) for n in range(len(names))]
    return make_tokens(tokenizer, motions, names, digests, cuts, workers=workers)


def in_memory(tokenizer, motions):
    return tokenize_clips(
        tokenizer, motions, NAMES, shifts=2, mirror=True, labels=(CUTS.actions, CUTS.styles)
    )


def assert_same(mine, other):
    assert len(mine) == len(other)
    assert (mine.actions, mine.styles) == (other.actions, other.styles)
    whole = mine.read(0, len(mine))
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(whole, name), getattr(other, name), err_msg=name)


class Counted(list):
    """Motions, and how often one was asked for."""

    asked = 0

    def __getitem__(self, index):
        self.asked += 1
        return super().__getitem__(index)


def test_a_file_is_closed_by_whoever_opens_it(tiny_tokenizer, motions, recwarn):
    with make(tiny_tokenizer, motions) as file, file.first(2) as first:
        assert len(first.read(0, 3)) == 3
    for closed in (file, first):
        with pytest.raises(DataError, match=r"tokens\.bin: its TokenFile is closed"):
            closed.read(0, 3)
    # What nobody closes is closed with its object, without a ResourceWarning.
    left = make(tiny_tokenizer, motions)
    assert len(left.read(0, 3)) == 3
    del left
    gc.collect()
    assert not [w for w in recwarn if issubclass(w.category, ResourceWarning)]


def test_the_file_has_what_memory_has_and_is_made_once(tiny_tokenizer, motions):
    file = make(tiny_tokenizer, motions)
    assert_same(file, in_memory(tiny_tokenizer, motions))
    again = Counted(motions)
    assert_same(make(tiny_tokenizer, again), in_memory(tiny_tokenizer, motions))
    assert again.asked == 0
    assert file.first(3).read(2, 5).codes.tolist() == file.read(2, 5).codes[:, :3].tolist()
    # Other cuts, clips or names are other tokens.
    for other in (
        make(tiny_tokenizer, motions, cuts=Cuts(1, True, CUTS.actions, CUTS.styles)),
        make(tiny_tokenizer, motions, digests=["1", "0", "2", "3"]),
        make(tiny_tokenizer, motions, names=[*NAMES[:3], "dataset-1_walk_old_004.bvh"]),
    ):
        assert other.digest != file.digest


def test_many_processes_write_the_windows_in_the_order_of_one(tiny_tokenizer, motions, monkeypatch):
    monkeypatch.setattr(token_file, "_FRAMES", 100)
    assert_same(make(tiny_tokenizer, motions, workers=2), in_memory(tiny_tokenizer, motions))


def test_a_run_that_was_ended_anywhere_goes_on_to_the_same_tokens(
    tiny_tokenizer, motions, cache, monkeypatch
):
    wanted = in_memory(tiny_tokenizer, motions)
    for clip in range(4):
        for half in (True, False):
            shutil.rmtree(cache, ignore_errors=True)
            cut, done = token_file.cut_clip, []

            def broken(tokenizer, motion, name, cuts, clip=clip, cut=cut, done=done):
                if len(done) == clip:
                    raise OSError("gone")
                done.append(name)
                return cut(tokenizer, motion, name, cuts)

            with monkeypatch.context() as context:
                context.setattr(token_file, "cut_clip", broken)
                with pytest.raises(OSError, match="gone"):
                    make(tiny_tokenizer, motions)
            (folder,) = (cache / "tokens").iterdir()
            if half:
                # Killed while a clip, and what is said of it, was written.
                with (folder / "tokens.bin").open("ab") as data:
                    data.write(b"half a record")
                with (folder / "clips.jsonl").open("a") as log:
                    log.write("[3, 4")
            again = Counted(motions)
            assert_same(make(tiny_tokenizer, again), wanted)
            assert again.asked == 4 - clip


def test_what_is_cut_off_is_made_again_from_there(tiny_tokenizer, motions, cache):
    file = make(tiny_tokenizer, motions)
    path = file.folder / "tokens.bin"
    with path.open("rb+") as data:
        data.truncate(path.stat().st_size - 1)
    with pytest.raises(DataError, match=r"tokens\.bin: cut off"):
        file.read(len(file) - 2, len(file))
    again = Counted(motions)
    assert_same(make(tiny_tokenizer, again), in_memory(tiny_tokenizer, motions))
    assert again.asked == 1
    (file.folder / "about.json").write_text("{}")
    assert_same(make(tiny_tokenizer, motions), in_memory(tiny_tokenizer, motions))


def test_tokens_not_used_for_long_leave_the_cache(tiny_tokenizer, motions, cache):
    old = make(tiny_tokenizer, motions)
    then = time.time() - 61 * 86400
    for path in (*old.folder.iterdir(), old.folder):
        os.utime(path, (then, then))
    # As another process leaves them: a folder that it has just made, and a file gone since.
    begun, gone = cache / "tokens" / "begun", cache / "tokens" / "gone"
    begun.mkdir()
    gone.mkdir()
    (gone / "tokens.bin").symlink_to("nowhere")
    new = make(tiny_tokenizer, motions, digests=["1", "0", "2", "3"])
    assert set((cache / "tokens").iterdir()) == {new.folder, begun, gone}


def test_clips_shorter_than_a_window_are_no_data_and_leave_nothing(tiny_tokenizer, motions, cache):
    with pytest.raises(DataError, match="none of 1 clips is as long as a window, 32 frames"):
        make(tiny_tokenizer, motions[1:2], names=["short.bvh"])
    assert not list((cache / "tokens").iterdir())


@pytest.mark.skipif(os.name != "posix", reason="locks are of POSIX")
def test_who_comes_second_waits_for_the_first(tiny_tokenizer, motions, monkeypatch):
    """Two processes must not append to one file; the second finds all that the first made."""
    cut, said = token_file.cut_clip, threading.Event()

    def slowly(*arguments):
        assert said.wait(60)
        return cut(*arguments)

    monkeypatch.setattr(token_file, "cut_clip", slowly)
    how = {"workers": 1, "say": lambda line: said.set() if "waiting for it" in line else None}
    again = Counted(motions)
    with ThreadPoolExecutor(2) as threads:
        digests = [str(n) for n in range(4)]
        made = [
            threads.submit(make_tokens, tiny_tokenizer, again, NAMES, digests, CUTS, **how)
            for _ in range(2)
        ]
        first, second = (of.result(120) for of in made)
    assert said.is_set()
    assert again.asked == 4
    assert_same(first, in_memory(tiny_tokenizer, motions))
    assert_same(second, in_memory(tiny_tokenizer, motions))


def test_a_cache_that_cannot_be_written_is_named_with_the_cure(
    tiny_tokenizer, motions, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be kept there .*; set MOTIONTOK_CACHE"):
        make(tiny_tokenizer, motions)


@pytest.mark.skipif(os.name != "posix", reason="signals are of POSIX")
def test_a_killed_run_goes_on(tiny_run, tiny_tokenizer, tmp_path, cache):
    clips = tmp_path / "clips"
    clips.mkdir()
    procedural.make("walk", seconds=5, seed=0).save(clips / "000.npz")
    for number in range(1, 200):
        motion = Motion.load(clips / "000.npz")
        motion.moved(np.array([1.0, 0, 0, 0]), np.array([number, 0, 0])).save(
            clips / f"{number:03d}.npz"
        )
    command = ["train-prior", "--data", clips, "--tokenizer", tiny_run, "--steps", 1]
    with subprocess.Popen(
        [sys.executable, "-m", "motiontok", *map(str, command), "--out", str(tmp_path / "a")],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    ) as run:  # fmt: skip
        log = None
        while run.poll() is None and not (log and log.stat().st_size):
            log = next((cache / "tokens").glob("*/clips.jsonl"), None)
            time.sleep(0.01)
        os.kill(run.pid, signal.SIGKILL)
        run.communicate(timeout=60)
    assert not list((cache / "tokens").glob("*/about.json"))
    there = len(log.read_text().splitlines())
    assert there > 0
    file, _ = load_tokens(tiny_tokenizer, [clips], shifts=4)
    # All clips are one but for their place.
    for field in ("codes", "commands"):
        values = getattr(file.read(0, len(file)), field)
        each = values.reshape(190, -1)
        np.testing.assert_allclose(each, np.broadcast_to(each[:1], each.shape), atol=1e-4)
    assert file.read(0, len(file)).sequence[-1] == 190 * 8 - 1


def random_tokens(rng, count):
    return TokenSet(
        rng.integers(0, 5, (count, 3)).astype(np.uint16),
        rng.normal(size=(count, 3)).astype(np.float32),
        np.cumsum(rng.random(count) < 0.3).astype(np.int32),
        rng.integers(0, 2, count).astype(np.int32),
        rng.integers(0, 3, count).astype(np.int32),
        ("", "a"),
        ("", "b", "c"),
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 9))
def test_counting_in_blocks_is_counting_all(seed, count, size):
    rng = np.random.default_rng(seed)
    tokens, held_out = random_tokens(rng, count), random_tokens(rng, 12)
    whole = baseline_nats(tokens, held_out, vocab_size=5)
    with pytest.MonkeyPatch.context() as context:
        for where in ("baselines", "labels"):
            context.setattr(f"motiontok.prior.{where}.blocks", lambda of: blocks(of, size))
        assert baseline_nats(tokens, held_out, vocab_size=5) == whole
        pairs = {(tokens.actions[a], tokens.styles[s])
                 for a, s in zip(tokens.action, tokens.style, strict=True)}  # fmt: skip
        assert Pairs.of(tokens).known == pairs


def test_a_sample_keeps_what_follows_what():
    rng = np.random.default_rng(0)
    tokens = random_tokens(rng, 5000)
    assert spread(tokens, 5000).codes is not None
    np.testing.assert_array_equal(spread(tokens, 5000).codes, tokens.codes)
    some = spread(tokens, 1000, run=100)
    assert len(some) == 1000
    assert (np.diff(some.sequence) >= 0).all()
    # One sequence may go on behind the end of a run: that is no pair.
    follows = some.sequence[1:] == some.sequence[:-1]
    assert not follows[99::100].any()
    runs = {tokens.codes[n : n + 100].tobytes(): n for n in range(4901)}
    for first in range(0, 1000, 100):
        n = runs[some.codes[first : first + 100].tobytes()]
        own = tokens.sequence[n + 1 : n + 100] == tokens.sequence[n : n + 99]
        np.testing.assert_array_equal(follows[first : first + 99], own)


def test_training_from_the_file_is_training_from_memory(tiny_tokenizer, motions, tmp_path):
    file = make(tiny_tokenizer, motions)
    memory = in_memory(tiny_tokenizer, motions)
    first = torch.arange(len(file))
    mine, other = (Stretches(tokens, 3).take(first) for tokens in (file, memory))
    torch.testing.assert_close(mine[0], other[0])
    torch.testing.assert_close(vars(mine[1]), vars(other[1]))
    torch.testing.assert_close(mine[2], other[2])
    weights = []
    for tokens, name in ((file, "a"), (memory, "b")):
        config = PriorConfig(8, 16, file.actions, file.styles, width=16, heads=2, layers=1, rank=8)
        trained = train_prior(
            tiny_tokenizer, tokens, memory, config=config, out=tmp_path / name, steps=4, batch=4
        )
        weights.append(trained.model.state_dict())
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=0, atol=0, msg=name)
