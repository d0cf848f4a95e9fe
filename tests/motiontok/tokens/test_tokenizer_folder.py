"""A tokenizer's folder: written whole, read again, damaged, found by its name."""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import motiontok
from motiontok import MotionTokenizer
from motiontok.errors import TokenizerError
from motiontok.paths import SHIPPED_TOKENIZER, lasting_name


def test_saving_and_loading_changes_nothing(tokenizer, motion, tmp_path):
    tokenizer.save_pretrained(tmp_path / "deep" / "folder")
    again = MotionTokenizer.from_pretrained(tmp_path / "deep" / "folder")
    assert again.fingerprint == tokenizer.fingerprint
    assert again.config == tokenizer.config
    assert again.licence == tokenizer.licence
    np.testing.assert_array_equal(again.offsets, tokenizer.offsets)
    codes = tokenizer.encode(motion)
    np.testing.assert_array_equal(again.encode(motion), codes)
    np.testing.assert_array_equal(
        again.decode(codes).global_positions(), tokenizer.decode(codes).global_positions()
    )
    names = sorted(p.name for p in (tmp_path / "deep" / "folder").iterdir())
    assert names == ["config.json", "model.safetensors"]


def test_half_precision_halves_the_file_and_stays_one_tokenizer(tokenizer, motion, tmp_path):
    tokenizer.save_pretrained(tmp_path / "whole")
    tokenizer.save_pretrained(tmp_path / "half", compact=True)
    sizes = [(tmp_path / n / "model.safetensors").stat().st_size for n in ("half", "whole")]
    assert sizes[0] < 0.7 * sizes[1]
    rounded = MotionTokenizer.from_pretrained(tmp_path / "half")
    assert rounded.fingerprint != tokenizer.fingerprint
    rounded.save_pretrained(tmp_path / "again", compact=True)
    again = MotionTokenizer.from_pretrained(tmp_path / "again")
    assert again.fingerprint == rounded.fingerprint
    codes = rounded.encode(motion)
    np.testing.assert_array_equal(again.encode(motion), codes)
    np.testing.assert_allclose(
        rounded.decode(codes).global_positions(),
        tokenizer.decode(codes).global_positions(),
        atol=0.02,
    )


def test_a_tokenizer_is_found_in_its_folder_and_in_its_run(tiny_run, tokenizer):
    inside = MotionTokenizer.from_pretrained(tiny_run / "tokenizer")
    assert inside.fingerprint == tokenizer.fingerprint
    assert MotionTokenizer.from_pretrained(str(tiny_run)).fingerprint == tokenizer.fingerprint


def change_weight(folder, key):
    tensors = load_file(folder / "model.safetensors")
    flat = tensors[key].flatten()
    flat[0] += 1
    tensors[key] = flat.reshape(tensors[key].shape)
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize("key", ["statistics.mean", "model.decoder.hidden.0.weight"])
def test_the_fingerprint_sees_every_number(folder, tokenizer, key):
    change_weight(folder, key)
    with pytest.raises(TokenizerError) as caught:
        MotionTokenizer.from_pretrained(folder)
    assert tokenizer.fingerprint in str(caught.value)
    assert "do not belong together" in str(caught.value)


def rewrite(folder, change):
    path = folder / "config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(change(values)))


def without(key):
    return lambda values: {k: v for k, v in values.items() if k != key}


def with_noise(**changed):
    return lambda values: values | {"noise": values["noise"] | changed}


def with_model(**changed):
    def change(values):
        values["config"]["model"].update(changed)
        return values

    return change


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: shutil.rmtree(f), "no such folder; give the folder of a tokenizer"),
        (lambda f: (f / "config.json").unlink(), "has no config.json"),
        (lambda f: (f / "model.safetensors").unlink(), "damaged or incomplete tokenizer"),
        (lambda f: os.truncate(f / "model.safetensors", 5000), "damaged or incomplete tokenizer"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "damaged or incomplete tokenizer"),
        (
            lambda f: (f / "model.safetensors").write_bytes(pickle.dumps({"weights": 1})),
            "damaged or incomplete tokenizer",
        ),
        (lambda f: save_file({"x": torch.ones(2)}, f / "model.safetensors"), "not a usable"),
        (lambda f: (f / "config.json").write_text("{"), "not a usable tokenizer"),
        (lambda f: (f / "config.json").write_text("[1, 2]"), "not a usable tokenizer"),
        (lambda f: (f / "config.json").write_bytes(b"\xff\x00"), "not a usable tokenizer"),
        (lambda f: rewrite(f, without("format")), "no 'format' in it"),
        (lambda f: rewrite(f, without("fingerprint")), "no 'fingerprint' in it"),
        (lambda f: rewrite(f, without("config")), "no 'config' in it"),
        (lambda f: rewrite(f, without("licence")), "no 'licence' in it"),
        (lambda f: rewrite(f, lambda v: v | {"format": "motiontok-tokenizer-99"}), "tokenizer-99"),
        (lambda f: rewrite(f, lambda v: v | {"fingerprint": "0" * 16}), "0000000000000000"),
        (lambda f: rewrite(f, with_noise(legs="0.1")), "noise.legs must be metres of 0 or more"),
        (lambda f: rewrite(f, with_noise(root=math.nan)), "noise.root must be metres of 0 or more"),
        (lambda f: (f / "config.json").write_text("[" * 100_000), "not a usable tokenizer"),
        (lambda f: rewrite(f, with_model(width=32)), "size mismatch"),
        (lambda f: rewrite(f, with_model(colour="red")), "unknown key model.colour"),
        (lambda f: rewrite(f, with_model(vocab_size=1)), "model.vocab_size must be"),
    ],
)
def test_damaged_folders_are_refused_by_name(folder, damage, words):
    damage(folder)
    with pytest.raises(TokenizerError) as caught:
        MotionTokenizer.from_pretrained(folder)
    message = str(caught.value)
    assert message.startswith(str(folder))
    assert words in message
    assert "\n" not in message


def test_a_run_that_was_ended_before_its_tokenizer_says_so(tmp_path, folder):
    """As a kill between the last checkpoint and the tokenizer leaves it."""
    (tmp_path / "run" / "tokenizer").mkdir(parents=True)
    (tmp_path / "run" / "config.json").write_text("{}")
    with pytest.raises(TokenizerError, match=r"ended before it wrote its tokenizer.*--resume"):
        MotionTokenizer.from_pretrained(tmp_path / "run")
    (tmp_path / "run" / "tokenizer").rmdir()
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"")
    with pytest.raises(TokenizerError, match="ended before it wrote its tokenizer"):
        MotionTokenizer.from_pretrained(tmp_path / "run")


def test_the_default_tokenizer_is_there_or_says_what_to_do():
    if (Path(motiontok.__file__).parent / "pretrained" / "config.json").is_file():
        assert MotionTokenizer.from_pretrained("default").vocab_size > 1
        return
    with pytest.raises(TokenizerError, match="train one"):
        MotionTokenizer.from_pretrained("default")


def test_a_folder_that_cannot_be_written_keeps_what_it_had(tokenizer, folder, monkeypatch):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("motiontok.tokens.tokenizer_folder.save_file", fail)
    with pytest.raises(OSError, match="No space left") as caught:
        tokenizer.save_pretrained(folder)
    assert caught.value.filename == str(folder / "model.safetensors")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_half_precision_folder_is_a_tokenizer_of_its_own(
    tokenizer: MotionTokenizer, tmp_path: Path
) -> None:
    """Half the size, its own fingerprint, and it decodes nearly the same."""
    tokenizer.save_pretrained(tmp_path / "full")
    tokenizer.save_pretrained(tmp_path / "half", compact=True)
    sizes = [(tmp_path / k / "model.safetensors").stat().st_size for k in ("half", "full")]
    assert sizes[0] < 0.6 * sizes[1]
    half = MotionTokenizer.from_pretrained(tmp_path / "half")
    assert half.fingerprint != tokenizer.fingerprint
    assert next(half.method.parameters()).dtype == torch.float32
    codes = np.zeros((2, tokenizer.codes_per_window), dtype=np.int64)
    np.testing.assert_allclose(
        half.decode(codes).global_positions(),
        tokenizer.decode(codes).global_positions(),
        atol=2e-2,
    )
    half.save_pretrained(tmp_path / "again")
    assert MotionTokenizer.from_pretrained(tmp_path / "again").fingerprint == half.fingerprint


def test_the_shipped_tokenizer_keeps_its_name():
    """Codes and priors made with it name it; a new setting must not rename it."""
    folder = Path(motiontok.__file__).parent / "pretrained"
    if not (folder / "config.json").is_file():
        pytest.skip("no tokenizer is shipped: train one and put it in motiontok/pretrained")
    stated = json.loads((folder / "config.json").read_text())["fingerprint"]
    assert MotionTokenizer.from_pretrained(SHIPPED_TOKENIZER).fingerprint == stated
    assert stated in (folder / "README.md").read_text()
    assert lasting_name(SHIPPED_TOKENIZER) == SHIPPED_TOKENIZER
    assert (folder / "model.safetensors").stat().st_size < 10e6
