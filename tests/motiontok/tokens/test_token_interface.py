"""What planners rely on: types, ids, likelihoods, and what happens to codes that are none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.config import load_config
from motiontok.data import COLUMNS, from_motion
from motiontok.errors import CodesError, TokenizerError
from motiontok.methods import MotionNetworks, make_method


@pytest.fixture(scope="module")
def motion():
    return procedural.make("walk", seconds=4.2, seed=5)


def test_features_come_back_as_what_the_codes_were(tokenizer, motion):
    codes = tokenizer.encode(motion)
    as_array = tokenizer.decode_features(codes)
    as_tensor = tokenizer.decode_features(torch.from_numpy(codes))
    assert isinstance(as_array, np.ndarray)
    assert isinstance(as_tensor, torch.Tensor)
    np.testing.assert_array_equal(as_tensor.numpy(), as_array)


def test_the_encoder_prefers_what_it_chose(tokenizer, motion):
    codes = tokenizer.encode(motion)
    own = tokenizer.log_prob(motion, codes)
    assert own.shape == codes.shape
    assert (own <= 0).all()
    other = tokenizer.log_prob(motion, (codes + 1) % tokenizer.vocab_size)
    assert own.sum() > other.sum()
    # The first code of a window depends on the window alone, so greedy is its mode.
    assert (own[:, 0] >= other[:, 0]).all()


def test_log_prob_sums_to_one_over_the_vocabulary(tokenizer, motion):
    codes = tokenizer.encode(motion[:32])
    total = 0.0
    for value in range(tokenizer.vocab_size):
        last = codes.copy()
        last[:, -1] = value
        total += np.exp(tokenizer.log_prob(motion[:32], last)[0, -1])
    assert total == pytest.approx(1.0, abs=1e-4)


def test_log_prob_keeps_batches_and_types(tokenizer, motion):
    batch = torch.tensor(np.stack([from_motion(motion)[:64]] * 2))
    codes = tokenizer.encode(batch)
    logp = tokenizer.log_prob(batch, codes)
    assert isinstance(logp, torch.Tensor)
    assert logp.shape == (2, 2, 8)
    with pytest.raises(CodesError, match=r"expected windows \(2, 2\) as of the motion, got \(2,\)"):
        tokenizer.log_prob(batch, codes[0])


def test_a_deterministic_encoder_has_no_likelihood(tokenizer, motion, tiny_settings):
    config = load_config("demo", [*tiny_settings, "method.name=pca-pq"])
    method = make_method(config, MotionNetworks(config))
    plain = MotionTokenizer(method, tokenizer.statistics)
    with pytest.raises(TokenizerError, match="pca-pq is deterministic"):
        plain.log_prob(motion, np.zeros((4, 8), int))


@given(
    windows=st.integers(1, 5),
    offset=st.integers(0, 1000),
    ends=st.tuples(st.booleans(), st.booleans()),
    seed=st.integers(0, 2**31),
)
def test_ids_there_and_back(tokenizer, windows, offset, ends, seed):
    codes = np.random.default_rng(seed).integers(0, 16, (windows, 8))
    special = {"offset": offset, "bos": None, "eos": None}
    if ends[0]:
        special["bos"] = offset + 16
    if ends[1]:
        special["eos"] = offset + 17
    ids = tokenizer.to_ids(codes, **special)
    assert ids.shape == (8 * windows + sum(ends),)
    np.testing.assert_array_equal(tokenizer.from_ids(ids, **special), codes)
    np.testing.assert_array_equal(tokenizer.from_ids(ids.tolist(), **special), codes)
    if ends[1]:
        padded = np.concatenate([ids, [special["eos"]] * 3, [10**6]])
        np.testing.assert_array_equal(tokenizer.from_ids(padded, **special), codes)


def test_ids_keep_torch_and_batches(tokenizer):
    codes = torch.arange(48).reshape(2, 3, 8) % 16
    ids = tokenizer.to_ids(codes, offset=5, bos=0, eos=1)
    assert ids.shape == (2, 26)
    assert ids[:, 0].tolist() == [0, 0]
    assert ids[:, -1].tolist() == [1, 1]
    assert int(ids[:, 1:-1].min()) == 5
    again = tokenizer.from_ids(ids[1], offset=5, bos=0, eos=1)
    assert isinstance(again, torch.Tensor)
    assert torch.equal(again, codes[1])


@pytest.mark.parametrize(
    ("ids", "options", "words"),
    [
        ([0] * 7, {}, "7 codes are no whole number of windows of 8; 1 are missing"),
        ([3] * 8, {"offset": 4}, "id 3 at 0 is no code; codes are 4 to 19"),
        ([2, 1, 5], {"bos": 2, "offset": 5}, "id 1 at 1 is no code"),
        ([99] * 8, {}, "id 99 at 0"),
        (np.full(8, 2**64 - 1, np.uint64), {}, f"id {2**64 - 1} at 0 is no code"),
        (np.full(8, 2**63, np.uint64), {"eos": -(2**63)}, f"id {2**63} at 0 is no code"),
        (
            np.array([2, 2**64 - 1], np.uint64),
            {"bos": 2, "eos": -1, "offset": 3},
            f"id {2**64 - 1} at 1",
        ),
        ([], {}, "expected integers"),
        (np.zeros(0, int), {}, "no whole window"),
        ([1.0] * 8, {}, "expected integers"),
        ([[1] * 8], {}, "batch_from_ids"),
        ([1] * 8, {"bos": 3}, "bos 3 is also the id of a code"),
        ([1] * 8, {"eos": 15}, "eos 15 is also the id of a code"),
        ([1] * 8, {"bos": 99, "eos": 99}, "bos and eos are both 99"),
        ([1] * 8, {"offset": -1}, "offset must not be negative"),
    ],
)
def test_ids_that_do_not_decode_are_refused(tokenizer, ids, options, words):
    with pytest.raises(CodesError) as caught:
        tokenizer.from_ids(ids, **options)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "special", [{"offset": 2.5}, {"offset": True}, {"bos": 0.5}, {"eos": 99.0}, {"bos": "<s>"}]
)
def test_ids_are_whole_numbers(tokenizer, special):
    ((name, value),) = special.items()
    for use in (
        lambda: tokenizer.to_ids(np.zeros((1, 8), int), **special),
        lambda: tokenizer.from_ids([20] * 8, **special),
    ):
        with pytest.raises(CodesError, match=f"{name} must be a whole number, got {value!r}"):
            use()


def test_invalid_windows_hold_the_pose_before_them(tokenizer, motion):
    codes = tokenizer.encode(motion)
    assert len(codes) == 4
    broken = codes.copy()
    broken[1, 3] = 16
    broken[2] = -1
    with pytest.raises(CodesError, match=r"outside the vocabulary"):
        tokenizer.decode(broken)
    features = tokenizer.decode_features(broken, on_invalid="hold")
    # Away from the borders, which are blended, nothing moves.
    held = features[32 + 6 : 96 - 6]
    np.testing.assert_allclose(held, held[:1].repeat(len(held), 0), atol=1e-9)
    assert np.abs(held[:, COLUMNS["velocity"]]).max() == 0.0
    good = tokenizer.decode_features(codes)
    np.testing.assert_allclose(features[: 32 - 6], good[: 32 - 6], atol=1e-9)
    np.testing.assert_allclose(features[96 + 6 :], good[96 + 6 :], atol=1e-9)
    moved = tokenizer.decode(broken, on_invalid="hold").global_positions()
    assert np.isfinite(moved).all()
    # The return to life is spread over the frames around the border.
    steps = np.linalg.norm(np.diff(moved, axis=0), axis=-1).max(axis=1)
    assert steps.max() < 0.35


def test_leading_invalid_windows_hold_the_first_valid_pose(tokenizer, motion):
    codes = tokenizer.encode(motion)
    codes[0] = 99
    features = tokenizer.decode_features(codes, on_invalid="hold")
    assert np.ptp(features[:26], axis=0).max() == 0.0


def test_nothing_to_hold_is_an_error(tokenizer):
    batch = np.zeros((2, 2, 8), int)
    batch[1] = -1
    with pytest.raises(CodesError, match="no window of the sequence is valid"):
        tokenizer.decode_features(batch, on_invalid="hold")
    with pytest.raises(CodesError, match="on_invalid must be 'error' or 'hold'"):
        tokenizer.decode(np.zeros((2, 8), int), on_invalid="zeros")


def test_ids_of_a_planner_that_errs_still_decode(tokenizer):
    ids = [*range(8), 77, *range(7), 1, 2]
    codes = tokenizer.from_ids(ids, on_invalid="hold")
    assert codes.shape == (2, 8)
    assert codes[1, 0] == -1
    assert len(tokenizer.decode(codes, on_invalid="hold")) == 64


def test_a_held_path_does_not_drift():
    """A minute of walking, with the shipped tokenizer."""
    tokenizer = MotionTokenizer.from_pretrained("default")
    motion = procedural.make("walk", seconds=60.0, seed=11)
    drift = []
    for hold in (False, True):
        again = tokenizer.reconstruct(motion, hold_path=hold, effort=1)
        apart = (again.root_positions - motion.root_positions)[:, :2]
        drift.append(np.linalg.norm(apart, axis=-1))
    assert drift[1].max() < 0.3
    assert drift[1].mean() < 0.1 * drift[0].mean()
    # What is left is the error of single windows, no larger at the end than before.
    assert drift[1][900:].mean() < 1.5 * drift[1][:900].mean()


def test_a_held_path_of_one_window_is_the_plain_one(tokenizer, motion):
    short = motion[:32]
    np.testing.assert_array_equal(tokenizer.encode(short, hold_path=True), tokenizer.encode(short))
    batch = torch.tensor(np.stack([from_motion(motion)[:70]] * 2))
    codes = tokenizer.encode(batch, hold_path=True)
    assert codes.shape == (2, 3, 8)
    assert torch.equal(codes[0], codes[1])
