"""Whole clips through coders: the codec and a tokenizer are measured alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bvh import procedural
from motiontok.config import load_config
from motiontok.data.clips import Clips, ClipSet
from motiontok.data.training_data import make_training_data
from motiontok.errors import DataError
from motiontok.evaluate import compare_motions, mean_metrics
from motiontok.evaluate.clips import CodecCoder, TokenCoder, measure_clips
from motiontok.evaluate.scalar_codec import PrincipalComponents, ScalarCodec
from motiontok.methods import MotionNetworks, make_method
from motiontok.tokenizer import MotionTokenizer

SIZES = ("data.window=8", "model.codes_per_window=4", "model.vocab_size=16")


@pytest.fixture(scope="module")
def clips():
    return procedural.dataset(6, seconds=2.0, seed=0)


@pytest.fixture(scope="module")
def ready(clips):
    config = load_config("demo", SIZES)
    return make_training_data(Clips((ClipSet("made", clips[2:], clips[:2]),), ""), config.data)


@pytest.fixture(scope="module")
def tokenizer(ready):
    config = load_config("demo", (*SIZES, "method.name=pca-pq"))
    generator = torch.Generator().manual_seed(0)
    method = make_method(config, MotionNetworks(config)).eval()
    method.fit(ready.once(generator), generator)
    return MotionTokenizer(method, ready.statistics)


def test_a_tokenizer_has_the_errors_of_what_it_decodes(tokenizer, clips):
    held_out = [clips[0], clips[1][:50]]
    found = measure_clips(TokenCoder(tokenizer), held_out)
    expected = mean_metrics(
        (len(m), compare_motions(m, tokenizer.reconstruct(m))) for m in held_out
    )
    assert {k: found[k] for k in expected} == pytest.approx(expected)
    assert (found["clips"], found["frames"], found["windows"]) == (2, 110, 8 + 7)
    assert found["bits_per_window"] == 16
    assert found["seam_mm"] > 0
    assert found["encode_frames_per_s"] > 0


def test_the_first_codes_are_fewer_bits_and_a_coarser_motion(tokenizer, clips):
    whole, half = (measure_clips(TokenCoder(tokenizer, n), clips[:2]) for n in (None, 2))
    assert half["bits_per_window"] == 8
    assert half["mpjpe_mm"] > whole["mpjpe_mm"]


def test_bits_of_the_codec_are_those_of_the_clips_measured(ready, clips):
    windows = ready.windows.enumerated()
    components = PrincipalComponents.fit(windows, 20)
    codec = ScalarCodec.at_rate(components, 30.0, windows)
    coder = CodecCoder(codec, ready.statistics, 8)
    wild = [procedural.make("run", seconds=2.0, seed=77)]
    found = measure_clips(coder, wild)
    assert found["bits_per_window"] == pytest.approx(codec.bits(coder.encode(wild[0])).mean())
    assert found["windows"] == 8
    # A finer step is more bits and less error.
    finer = ScalarCodec.at_rate(components, 60.0, windows)
    better = measure_clips(CodecCoder(finer, ready.statistics, 8), wild)
    assert better["bits_per_window"] > found["bits_per_window"]
    assert better["mpjpe_mm"] < found["mpjpe_mm"]
    again = coder.decode(coder.encode(wild[0]), wild[0])
    assert len(again) == len(wild[0])
    assert np.allclose(again.offsets, wild[0].offsets)


def test_no_clips_are_no_measurement(tokenizer):
    with pytest.raises(DataError, match="no clips to measure"):
        measure_clips(TokenCoder(tokenizer), [])
