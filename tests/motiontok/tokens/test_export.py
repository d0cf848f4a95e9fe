"""Exported programs give what the tokenizer gives."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.cli.main import main
from motiontok.data import from_motion


@pytest.fixture(scope="module")
def exported(tiny_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sys, "argv", ["motiontok", "export", "--tokenizer", str(tiny_run), "-o", str(out)]
        )
        main()
    return out


def load(path):
    # Written by this test a moment ago; the package itself never reads such a file.
    return torch.export.load(path).module()


def test_the_encoder_gives_the_same_codes(exported, tiny_run):
    tokenizer = MotionTokenizer.from_pretrained(tiny_run)
    windows = from_motion(procedural.make("dance", seconds=8 * 32 / 30, seed=1)).reshape(8, 32, -1)
    program = load(exported / "encoder.pt2")
    codes = [program(torch.tensor(w[None], dtype=torch.float32))[0].numpy() for w in windows]
    np.testing.assert_array_equal(codes, tokenizer.encode(windows)[:, 0])


def test_the_decoder_gives_the_same_features(exported, tiny_run):
    tokenizer = MotionTokenizer.from_pretrained(tiny_run)
    codes = torch.from_numpy(np.random.default_rng(0).integers(0, 16, (8, 8)))
    program = load(exported / "decoder.pt2")
    features = np.stack([program(z[None])[0].detach().numpy() for z in codes])
    # Of a single window no border is blended. Velocities are differences times 30.
    np.testing.assert_allclose(features, tokenizer.decode_features(codes[:, None]), atol=2e-4)


def test_what_was_exported_is_written_beside_it(exported, tiny_run):
    values = json.loads((exported / "export.json").read_text())
    assert values["fingerprint"] == MotionTokenizer.from_pretrained(tiny_run).fingerprint
    assert values["encoder"] == {"features": [1, 32, 203], "codes": [1, 8]}
    assert values["torch"] == torch.__version__
