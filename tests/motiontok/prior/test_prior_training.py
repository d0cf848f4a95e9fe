"""What a prior learns from, and that it learns it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import weakref

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bvh import procedural
from bvh.motion import Motion
from bvh.skeleton import DEFAULT_OFFSETS
from motiontok import MotionTokenizer
from motiontok.data import from_motion
from motiontok.data.store.reading import StoredMotions
from motiontok.data.store.writing import pack_clips
from motiontok.errors import DataError, InputError, TokenizerError, TrainingError
from motiontok.locks import locked
from motiontok.prior import SamplingOptions, TokenPrior
from motiontok.prior.baselines import baseline_nats
from motiontok.prior.model import PriorConfig
from motiontok.prior.runs import load_tokens, run_prior_training
from motiontok.prior.tokens import TokenSet, commands_of, tokenize_clips
from motiontok.prior.training import Stretches, action_chances, held_out_nats, train_prior


def tokens(codes, *, sequence=None, action=None, commands=None):
    count = len(codes)
    return TokenSet(
        np.asarray(codes, np.uint16),
        np.zeros((count, 3), np.float32) if commands is None else commands.astype(np.float32),
        np.zeros(count, np.int32) if sequence is None else np.asarray(sequence, np.int32),
        np.zeros(count, np.int32) if action is None else np.asarray(action, np.int32),
        np.zeros(count, np.int32),
        ("", "a", "b"),
        ("",),
    )


def test_commands_are_the_paths_own():
    # Of the reference body's path: another one's is as much longer as its legs are.
    motion = procedural.make("walk", seconds=64 / 30, seed=3).on_bones(DEFAULT_OFFSETS)
    commands = commands_of(from_motion(motion), 32)
    assert commands.shape == (2, 3)
    travelled = np.linalg.norm(motion.root_positions[63, :2] - motion.root_positions[31, :2])
    assert np.hypot(*commands[1, :2]) == pytest.approx(travelled / (32 / 30), rel=0.05)


def test_clips_are_cut_at_every_shift_and_mirrored_with_their_labels(tiny_tokenizer):
    motion = procedural.make("walk", seconds=100 / 30, seed=1)
    names = ["dataset-1_turn-left_old_001.bvh"]
    one = tokenize_clips(tiny_tokenizer, [motion], names)
    np.testing.assert_array_equal(one.codes, tiny_tokenizer.encode(motion)[:3])
    assert one.actions == ("", "turn-left")
    many = tokenize_clips(tiny_tokenizer, [motion], names, shifts=4, mirror=True)
    # 100 frames from 0, 8, 16, 24: 3, 2, 2, 2 whole windows, twice.
    assert np.bincount(many.sequence).tolist() == [3, 2, 2, 2] * 2
    assert many.actions == ("", "turn-left", "turn-right")
    assert many.action.tolist() == [1] * 9 + [2] * 9
    np.testing.assert_allclose(many.commands[9:, 0], many.commands[:9, 0], atol=1e-5)
    np.testing.assert_allclose(many.commands[9:, 1:], -many.commands[:9, 1:], atol=1e-5)


def test_clips_shorter_than_a_window_are_no_data(tiny_tokenizer):
    motion = procedural.make("walk", seconds=1.0, seed=1)
    with pytest.raises(DataError, match="none of 1 clips is as long as a window, 32 frames"):
        tokenize_clips(tiny_tokenizer, [motion], ["walk.bvh"])


def test_actions_are_drawn_by_the_square_roots_of_their_windows():
    # 100, 400 and 1600 windows come as 1 : 2 : 4.
    action = np.repeat([1, 2, 0], [100, 400, 1600])
    data = tokens(np.zeros((len(action), 1)), sequence=np.arange(len(action)), action=action)
    generator = torch.Generator().manual_seed(0)
    first = Stretches(data, 3).draw(2800, action_chances(data), generator)
    shares = np.bincount(action[first.numpy()], minlength=3) / len(first)
    np.testing.assert_allclose(shares, [4 / 7, 1 / 7, 2 / 7], atol=0.03)
    # Each window of an action is as likely as any other.
    common = first[first >= 500]
    assert abs(float(common.float().mean()) - 1299.5) < 30.0
    same = tokens(np.zeros((50, 1)))
    assert action_chances(same)[0] == 1.0, "without labels all are kept"


def test_the_rarest_actions_are_not_repeated_without_end():
    action = np.repeat([1, 0], [1, 9999])
    chances = action_chances(tokens(np.zeros((10_000, 1)), action=action))
    assert chances[1] == 1.0
    assert float(chances[0]) == pytest.approx((0.0025 * 10_000 / 9999) ** 0.5)


def test_stretches_end_with_their_sequence():
    data = tokens(np.arange(5)[:, None], sequence=[0, 0, 0, 1, 1])
    codes, conditions, there = Stretches(data, 3).take(torch.arange(5))
    assert there.tolist() == [
        [True, True, True], [True, True, False], [True, False, False],
        [True, True, False], [True, False, False],
    ]  # fmt: skip
    assert codes[..., 0][there].tolist() == [0, 1, 2, 1, 2, 2, 3, 4, 4]
    assert conditions.commands.shape == (5, 3, 3)


def test_baselines_of_known_processes():
    rng = np.random.default_rng(0)
    # Each code is the one before plus one; windows follow by adding two.
    first = rng.integers(0, 8, 4000)
    codes = (first[:, None] + np.arange(4)) % 8
    train, test = tokens(codes[:3000]), tokens(codes[3000:])
    nats = baseline_nats(train, test, vocab_size=8)
    assert nats["nats_uniform"] == pytest.approx(np.log(8))
    assert nats["nats_unigram"] == pytest.approx(np.log(8), abs=0.01)
    # Three of four codes are certain, the first is not.
    assert nats["nats_bigram"] == pytest.approx(np.log(8) / 4, abs=0.01)
    steps = (np.arange(4000) * 2 % 8)[:, None] + np.arange(4)
    nats = baseline_nats(tokens(steps[:3000] % 8), tokens(steps[3000:] % 8), vocab_size=8)
    assert nats["nats_across"] < 0.01


def train_on(tokenizer, data, out, *, steps, **options):
    config = PriorConfig(8, 16, data.actions, data.styles, width=16, heads=2, layers=1, rank=8)
    return train_prior(
        tokenizer, data, data, config=config, out=out, steps=steps, batch=16, **options
    )


def test_it_learns_what_labels_and_commands_mean(tiny_tokenizer, tmp_path):
    """Two actions that differ in all codes, and a command that decides the last one."""
    rng = np.random.default_rng(0)
    action = rng.integers(1, 3, 400)
    fast = rng.integers(0, 2, 400)
    codes = np.where(action == 1, 3, 12)[:, None].repeat(8, 1)
    codes[:, -1] = 5 + fast
    commands = np.stack([2.0 * fast, np.zeros(400), np.zeros(400)], axis=1)
    data = tokens(codes, sequence=np.arange(400), action=action, commands=commands)
    trained = train_on(tiny_tokenizer, data, tmp_path, steps=250)
    conditioned, _ = held_out_nats(trained.model, Stretches(data, 3))
    free, _ = held_out_nats(trained.model, Stretches(data, 3), conditioned=False)
    # Knowing neither costs at least one bit for the action and one for the command.
    assert conditioned < 0.1
    assert free > 1.7 * np.log(2) / 8 > conditioned
    prior = TokenPrior(trained.model, fingerprint=tiny_tokenizer.fingerprint)
    options = SamplingOptions(temperature=0.0)
    for label, value in (("a", 3), ("b", 12)):
        for speed, last in ((0.0, 5), (2.0, 6)):
            drawn = prior.sample(1, label=label, velocity=(speed, 0.0), options=options)[0, 0]
            assert drawn.tolist() == [value] * 7 + [last]


@pytest.mark.parametrize("started", [False, True])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(tiny_tokenizer, tmp_path, started):
    rng = np.random.default_rng(1)
    data = tokens(rng.integers(0, 16, (60, 8)), sequence=np.arange(60) // 3)
    start = {}
    if started:
        start["start"] = train_on(tiny_tokenizer, data, tmp_path / "start", steps=3).model
    whole = train_on(tiny_tokenizer, data, tmp_path / "whole", steps=12, **start)

    def stop(step, detail="", *, total=None):
        if step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_on(tiny_tokenizer, data, tmp_path / "parts", steps=12, update=stop, **start)
    parts = train_on(tiny_tokenizer, data, tmp_path / "parts", steps=12, resume=True)
    assert parts.step == whole.step == 12
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(parts.model.state_dict()[name], value, atol=1e-6, rtol=1e-5)
    with pytest.raises(
        TrainingError, match="other clips, sizes, labels, seed or another tokenizer"
    ):
        train_on(tiny_tokenizer, data, tmp_path / "parts", steps=20, resume=True, seed=1)


def test_a_run_writes_what_it_measured(tiny_prior_run, tiny_tokenizer, labelled_clips):
    metrics = json.loads((tiny_prior_run / "metrics.json").read_text())
    assert metrics["nats_uniform"] == pytest.approx(np.log(16))
    assert metrics["nats"] < metrics["nats_uniform"]
    with pytest.raises(TrainingError, match="already holds a run"):
        run_prior_training(tiny_tokenizer, data=[labelled_clips], out=tiny_prior_run, steps=1)


def test_each_set_has_held_out_clips_of_its_own(tiny_tokenizer, labelled_clips, tmp_path):
    clips = sorted(labelled_clips.iterdir())
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder, chosen in zip(folders, (clips[:6], clips[6:]), strict=True):
        folder.mkdir()
        for clip in chosen:
            shutil.copy(clip, folder)
    procedural.make("hop", seconds=0.5, seed=0).save(folders[1] / "pose.npz")
    file, held_out = load_tokens(tiny_tokenizer, folders, shifts=1, say=lambda _: None)
    tokens = file.read(0, len(file))
    motions = [Motion.load(clip) for clip in (clips[0], clips[6])]
    expected = np.concatenate([tiny_tokenizer.encode(motion)[:4] for motion in motions])
    np.testing.assert_array_equal(held_out.codes, expected)
    # Ten clips and their mirror images; a clip without a window has no label.
    assert tokens.sequence.max() == 19
    assert tokens.actions == ("", "run", "turn-left", "turn-right", "walk")


def test_a_store_has_the_tokens_of_its_folder_and_one_motion_at_a_time(
    tiny_tokenizer, labelled_clips, tmp_path, monkeypatch
):
    # What an earlier run of the tests has encoded would not be read again.
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))
    store = tmp_path / "store"
    pack_clips([labelled_clips], store)
    read, given = StoredMotions.__getitem__, []
    most = 0

    def noted(motions, index):
        nonlocal most
        motion = read(motions, index)
        given.append(weakref.ref(motion.root_positions))
        most = max(most, sum(of() is not None for of in given))
        return motion

    monkeypatch.setattr(StoredMotions, "__getitem__", noted)
    found = [
        load_tokens(tiny_tokenizer, [data], shifts=2, say=lambda _: None)
        for data in (store, labelled_clips)
    ]
    found = [(file.read(0, len(file)), held_out) for file, held_out in found]
    assert 0 < most <= 3 < 12
    for mine, other in zip(*found, strict=True):
        assert (mine.actions, mine.styles) == (other.actions, other.styles)
        for name in ("sequence", "action", "style"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(other, name))
        np.testing.assert_allclose(mine.commands, other.commands, atol=1e-3)
        # In 16 bits a rotation is another one by 0.009 degrees: some codes are at an edge.
        assert np.mean(mine.codes == other.codes) > 0.99


def test_a_run_is_not_continued_for_fewer_steps(tiny_prior_run, tiny_tokenizer, labelled_clips):
    asked = {"data": [labelled_clips], "out": tiny_prior_run, "resume": True}
    with pytest.raises(TrainingError, match="has taken 60 steps, this run asks for 59"):
        run_prior_training(tiny_tokenizer, steps=59, **{**asked, "width": 16, "layers": 1})


def test_a_resumed_run_says_what_differs_and_that_there_is_none_before_clips_are_read(
    tiny_prior_run, tiny_tokenizer, labelled_clips, tmp_path
):
    asked = {"steps": 61, "resume": True, "say": lambda _: None}
    with pytest.raises(TrainingError, match=r"\(width, layers differ\).* --from too"):
        run_prior_training(tiny_tokenizer, data=[labelled_clips], out=tiny_prior_run, **asked)
    with pytest.raises(TrainingError, match="no checkpoint to resume from"):
        run_prior_training(tiny_tokenizer, data=[tmp_path / "no"], out=tmp_path / "new", **asked)
    assert not (tmp_path / "new").exists()


def test_a_run_is_trained_in_by_one_process(
    tiny_prior_run, tiny_tokenizer, labelled_clips, tmp_path
):
    shutil.copytree(tiny_prior_run, tmp_path / "run")
    sizes = {"width": 16, "layers": 1, "data": [labelled_clips], "out": tmp_path / "run"}
    with locked(tmp_path / "run", "here"), pytest.raises(InputError, match="another process"):
        run_prior_training(tiny_tokenizer, steps=61, resume=True, **sizes)


@pytest.mark.parametrize("change", [{"shifts": 3}, {"data": "others"}])
def test_a_run_goes_on_with_its_own_clips_only(
    tiny_prior_run, tiny_tokenizer, labelled_clips, tmp_path, change
):
    shutil.copytree(tiny_prior_run, tmp_path / "run")
    shutil.copytree(labelled_clips, tmp_path / "others")
    procedural.make("walk", seconds=5.0, seed=99).save(
        tmp_path / "others" / "dataset-1_walk_active_000.npz"
    )
    asked = {"data": [labelled_clips], "shifts": 4} | change
    if change.get("data"):
        asked["data"] = [tmp_path / "others"]
    with pytest.raises(TrainingError, match="trained with other clips"):
        run_prior_training(
            tiny_tokenizer,
            out=tmp_path / "run",
            steps=61,
            resume=True,
            width=16,
            layers=1,
            **asked,
        )


def test_a_run_may_start_from_another_prior(
    tiny_prior_run, tiny_prior, tiny_tokenizer, labelled_clips, tmp_path
):
    """Of other labels: those of the same name keep their meaning, new ones start as none."""
    others = tmp_path / "others"
    others.mkdir()
    for clip in labelled_clips.iterdir():
        shutil.copy(clip, others / clip.name.replace("_run_", "_amble_"))
    asked = {"data": [others], "steps": 1, "say": lambda _: None}
    start = tiny_prior_run / "prior"
    run = run_prior_training(tiny_tokenizer, start=start, out=tmp_path / "on", **asked)
    fresh = run_prior_training(tiny_tokenizer, out=tmp_path / "fresh", width=16, layers=1, **asked)
    assert run.metrics["nats"] < fresh.metrics["nats"] - 0.05
    mine, old = run.prior.config, tiny_prior.config
    assert (mine.width, mine.layers) == (16, 1)
    assert "amble" in mine.actions
    assert "amble" not in old.actions
    rows = run.prior.model.action.weight, tiny_prior.model.action.weight
    for label, name in (("walk", "walk"), ("amble", "")):
        row = rows[0][mine.actions.index(label)] - rows[1][old.actions.index(name)]
        # One step of a rate that begins at a 200th of 2e-3.
        assert row.abs().max() < 1e-3


def test_a_start_has_the_sizes_of_the_tokenizer(tiny_prior_run, tmp_path):
    shipped = MotionTokenizer.from_pretrained("default")
    asked = {"data": [tmp_path], "out": tmp_path / "out", "steps": 1}
    with pytest.raises(TokenizerError, match="8 codes of 16 values"):
        run_prior_training(shipped, start=tiny_prior_run, **asked)
    with pytest.raises(InputError, match="are those of the prior to start from"):
        run_prior_training(shipped, start=tiny_prior_run, width=16, **asked)
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_prior_run / "prior", damaged)
    values = json.loads((damaged / "prior.json").read_text())
    del values["weights"]  # a prior of before there were digests
    (damaged / "prior.json").write_text(json.dumps(values))
    weights = load_file(damaged / "prior.safetensors")
    name = "blocks.0.mlp.0.weight"
    save_file(weights | {name: weights[name] * torch.nan}, damaged / "prior.safetensors")
    with pytest.raises(TokenizerError, match=rf"{name} has values that are not finite"):
        run_prior_training(shipped, start=damaged, **asked)
    sizes = (damaged / "prior.json").read_text()
    for key in ("width", "heads", "layers", "context"):
        (damaged / "prior.json").write_text(re.sub(rf'"{key}": \d+', f'"{key}": 0', sizes))
        with pytest.raises(TokenizerError, match=f"damaged or incomplete prior .{key} is 0"):
            run_prior_training(shipped, start=damaged, **asked)
    (damaged / "prior.json").write_text(sizes)
    (damaged / "prior.safetensors").write_bytes(b"no weights")
    with pytest.raises(TokenizerError, match="damaged or incomplete prior"):
        run_prior_training(shipped, start=damaged, **asked)
