"""Names of the Hugging Face hub: folders first, clear words where nothing is to be had."""

from __future__ import annotations

import shutil
import sys
from types import SimpleNamespace

import pytest

from motiontok import MotionTokenizer
from motiontok.errors import TokenizerError
from motiontok.prior import TokenPrior


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub with no names at first; what is asked of it is noted."""
    monkeypatch.chdir(tmp_path)
    found = SimpleNamespace(asked=[], files=[], folders={})

    def snapshot_download(name, *, allow_patterns):
        found.asked.append(name)
        found.files = allow_patterns
        if name not in found.folders:
            raise OSError(f"404 for {name}\nand more lines")
        return str(found.folders[name])

    module = SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return found


def test_a_name_is_fetched_and_read(hub, tiny_run):
    hub.folders["lab/walker"] = tiny_run / "tokenizer"
    tokenizer = MotionTokenizer.from_pretrained("lab/walker")
    assert tokenizer.fingerprint == MotionTokenizer.from_pretrained(tiny_run).fingerprint
    # Whatever else lies there, nothing that is unpickled comes with it.
    assert all(name.endswith((".json", ".safetensors")) for name in hub.files)


def test_a_folder_of_that_name_counts_first(hub, tiny_run, tmp_path):
    shutil.copytree(tiny_run / "tokenizer", tmp_path / "lab" / "walker")
    MotionTokenizer.from_pretrained("lab/walker")
    assert hub.asked == []


def test_a_wrong_name_in_a_folder_is_not_asked_for(hub, tmp_path):
    (tmp_path / "runs").mkdir()
    with pytest.raises(TokenizerError, match="give the folder of a tokenizer"):
        MotionTokenizer.from_pretrained("runs/lafen")
    assert hub.asked == []


@pytest.mark.parametrize(("name", "config"), [("lafan", "lafan"), ("mine", "CONFIG")])
def test_a_run_before_the_first_training_is_not_asked_for(hub, name, config):
    words = f"^runs/{name}: no such folder; train one: motiontok train {config}$"
    for read in (MotionTokenizer.from_pretrained, TokenPrior.from_pretrained):
        with pytest.raises(TokenizerError, match=words):
            read(f"runs/{name}")
    assert hub.asked == []


def test_what_the_hub_does_not_give_is_said_in_a_line(hub):
    for read in (MotionTokenizer.from_pretrained, TokenPrior.from_pretrained):
        with pytest.raises(
            TokenizerError, match=r"lab/nobody: no such folder.*404 for lab/nobody"
        ) as e:
            read("lab/nobody")
        assert "\n" not in str(e.value)
    assert hub.asked == ["lab/nobody"] * 2


@pytest.mark.parametrize("name", ["nowhere", "a/b/c", "../up", "/tmp/nowhere/at-all"])
def test_other_names_are_not_asked_for(hub, name):
    with pytest.raises(TokenizerError, match="no such folder"):
        MotionTokenizer.from_pretrained(name)
    assert hub.asked == []


def test_without_the_package_a_name_is_a_folder_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(TokenizerError, match=r"pip install 'motiontok\[hub\]'"):
        MotionTokenizer.from_pretrained("lab/walker")
