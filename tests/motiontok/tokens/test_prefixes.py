"""The first codes of each window alone: one tokenizer at many rates."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.codes import Codes
from motiontok.config import load_config
from motiontok.corpus import Corpus, encode_folder, encode_packed, read_manifest
from motiontok.data.clips import load_clips
from motiontok.data.training_data import make_training_data
from motiontok.errors import CodesError, DataError
from motiontok.evaluate import compare_motions
from motiontok.methods import MotionNetworks, make_method
from motiontok.prior.planning import follow


@pytest.fixture(scope="module", params=["lopq", "pca-pq"])
def tokenizer(request):
    import torch

    config = load_config(
        "demo",
        (
            "data.clips=12", "data.seconds=4.0", "model.codes_per_window=8",
            "model.vocab_size=32", "model.components=64", "model.bases=4",
            f"method.name={request.param}",
        ),
    )  # fmt: skip
    ready = make_training_data(load_clips(config.data, [], seed=0), config.data)
    method = make_method(config, MotionNetworks(config))
    generator = torch.Generator().manual_seed(0)
    method.fit(lambda count: ready.windows.batch(min(count, 3000), generator), generator)
    return MotionTokenizer(method, ready.statistics)


@pytest.fixture(scope="module")
def motion():
    return procedural.make("walk", seconds=4.2, seed=5)


def test_more_codes_err_less(tokenizer):
    motions = [procedural.make(kind, seconds=4.0, seed=9) for kind in ("walk", "run", "squat")]
    errors = []
    for count in (1, 3, 8):
        again = [
            tokenizer.decode(
                tokenizer.encode(m)[:, :count], offsets=m.offsets, frames=len(m), first=count
            )
            for m in motions
        ]
        both = zip(motions, again, strict=True)
        errors.append(np.mean([compare_motions(m, a)["mpjpe_mm"] for m, a in both]))
    assert all(more < fewer for fewer, more in pairwise(errors)), errors


def test_a_file_of_first_codes_decodes_in_place_and_length(tokenizer, motion, tmp_path):
    shift = np.array([5.0, -3.0, 0.0])
    motion = replace(motion, root_positions=motion.root_positions + shift)
    whole = tokenizer.encode_to_codes(motion)
    few = Codes(
        whole.array[:, :3],
        fingerprint=whole.fingerprint,
        frames=whole.frames,
        start=whole.start,
        offsets=whole.offsets,
        source=whole.source,
        first=3,
    )
    few.save(tmp_path / "few.npy")
    again = tokenizer.decode_codes(Codes.load(tmp_path / "few.npy"))
    assert len(again) == len(motion)
    np.testing.assert_allclose(again.root_positions[0, :2], motion.root_positions[0, :2], atol=0.2)
    for use in (tokenizer.decode_codes, lambda wrong: list(tokenizer.decode_many([wrong]))):
        with pytest.raises(DataError, match=f"^{few.source}: asked for the first 9 codes"):
            use(replace(few, first=9))


def test_encoding_keeps_the_first_codes_of_each_window(tokenizer, motion):
    codes = tokenizer.encode(motion)
    np.testing.assert_array_equal(tokenizer.encode(motion, first=3), codes[:, :3])
    kept = tokenizer.encode_to_codes(motion, first=3)
    np.testing.assert_array_equal(kept.array, codes[:, :3])
    again = tokenizer.reconstruct(motion, first=3)
    np.testing.assert_allclose(again.root_positions, tokenizer.decode_codes(kept).root_positions)


def test_a_held_path_holds_with_the_codes_that_are_kept(tokenizer):
    """Each window is steered back to what the kept codes have left, not all codes."""
    motions = [procedural.make("walk", seconds=20.0, seed=seed) for seed in range(5, 9)]

    def off(**options):
        ends = [
            tokenizer.reconstruct(m, first=6, **options).root_positions[-1, :2]
            - m.root_positions[-1, :2]
            for m in motions
        ]
        return np.linalg.norm(ends, axis=1).mean()

    assert off(hold_path=True) < 0.5 * off()


@pytest.mark.parametrize("count", [0, 9])
def test_no_window_has_so_many_first_codes(tokenizer, motion, count):
    with pytest.raises(
        DataError, match=f"asked for the first {count} codes of windows that have 8"
    ):
        tokenizer.encode(motion, first=count)


def test_a_folder_of_first_codes_is_of_one_count(tokenizer, motion, tmp_path):
    """A file a clip or packed, and never mixed with other counts."""
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    motion.save(tmp_path / "clips" / "a.npz")
    procedural.make("run", seconds=3.0, seed=1).save(tmp_path / "clips" / "b.npz")
    how = {"tokenizer": str(tmp_path / "tokenizer"), "first": 3}
    encode_folder(tmp_path / "clips", tmp_path / "files", **how)
    encode_packed(tmp_path / "clips", tmp_path / "packed", **how)
    corpus = Corpus(tmp_path / "packed")
    for name in ("a", "b"):
        alone = Codes.load(tmp_path / "files" / f"{name}.npy").array
        assert alone.shape[1] == 3
        np.testing.assert_array_equal(corpus[f"{name}.npz"].array, alone)
    assert all(entry.first == 3 for entry in read_manifest(tmp_path / "files"))
    for encode, out in ((encode_folder, "files"), (encode_packed, "packed")):
        with pytest.raises(DataError, match=r"first 3 codes of a window, asked for .* all codes"):
            encode(tmp_path / "clips", tmp_path / out, tokenizer=how["tokenizer"])


def test_streams_take_first_codes_too(tokenizer, motion):
    codes = tokenizer.encode(motion)[:, :4]
    stream = tokenizer.stream_decoder(plant=False, first=4)
    frames = len(stream.push(codes)) + len(stream.flush())
    assert frames == len(codes) * tokenizer.frames_per_window


def test_fewer_codes_are_taken_for_a_mistake_unless_they_are_said(tokenizer, motion):
    codes = tokenizer.encode(motion)
    stream, network = tokenizer.stream_decoder(), Codes(codes[:, :7].astype(np.uint16))
    for use in (
        lambda z: tokenizer.decode(z),
        lambda z: tokenizer.decode_features(z),
        lambda z: tokenizer.to_ids(z),
        lambda z: stream.push(z),
        lambda z: tokenizer.decode_codes(network),
        lambda z: list(tokenizer.decode_many([network])),
    ):
        with pytest.raises(CodesError, match=r"first 7 of each window, say first=7"):
            use(codes[:, :7])
    with pytest.raises(CodesError, match=r"windows, 8\), got \(8, 4\)"):
        tokenizer.decode(codes.T)
    with pytest.raises(CodesError, match=r"windows, 5\), got \(4, 8\)"):
        tokenizer.decode(codes, first=5)


def test_more_codes_than_a_window_has_are_refused(tokenizer, motion):
    codes = tokenizer.encode(motion)
    with pytest.raises(CodesError, match=r"windows, 8\), got \(4, 16\)$"):
        tokenizer.decode(np.concatenate([codes, codes], axis=1))


def test_ids_of_first_codes_there_and_back(tokenizer, motion):
    codes = tokenizer.encode(motion, first=3)
    special = {"offset": 5, "bos": 0, "eos": 1}
    ids = tokenizer.to_ids(codes, first=3, **special)
    assert len(ids) == 2 + codes.size
    np.testing.assert_array_equal(tokenizer.from_ids(ids, first=3, **special), codes)
    with pytest.raises(CodesError, match="no whole number of windows of 8; 4 are missing"):
        tokenizer.from_ids(ids, **special)
    with pytest.raises(CodesError, match="no whole number of windows of 5"):
        tokenizer.from_ids(ids, first=5, **special)
    with pytest.raises(DataError, match="asked for the first 9 codes of windows that have 8"):
        tokenizer.from_ids(ids, first=9, **special)


def test_where_whole_windows_are_needed_it_is_said(tokenizer, motion):
    few = tokenizer.encode(motion, first=3)
    for use in (
        lambda: tokenizer.log_prob(motion, few),
        lambda: follow(lambda state: few[0], tokenizer, seconds=1.0, prefix=few),
    ):
        with pytest.raises(
            CodesError,
            match=r"got \(4, 3\): this method needs all codes of each window, not the first 3",
        ):
            use()


def test_a_network_needs_all_codes(tiny_run, motion):
    network = MotionTokenizer.from_pretrained(tiny_run)
    with pytest.raises(CodesError, match=r"expected \(\.\.\., windows, 8\), got"):
        network.decode(network.encode(motion)[:, :4])
    with pytest.raises(DataError, match="do not decode alone with a tokenizer of method daps"):
        network.encode(motion, first=4)
    with pytest.raises(DataError, match="do not decode alone with a tokenizer of method daps"):
        network.from_ids([0] * 4, first=4)
