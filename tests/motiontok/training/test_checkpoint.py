"""Checkpoints: whole files or none, nothing unpickled."""

from __future__ import annotations

import errno
import itertools
import os
import pickle
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from disks import full_disk, small_disk
from safetensors.torch import save_file

from motiontok.errors import TrainingError
from motiontok.training import checkpoint as module
from motiontok.training.checkpoint import load_checkpoint, read_header, save_checkpoint


def parts():
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return {"model": model, "optimizer": optimizer, "generator": torch.Generator()}


def save(path, *, step=1, **changed):
    save_checkpoint(
        path, **(parts() | changed), header={"step": step}, extra={"usage": torch.ones(4)}
    )


def test_everything_comes_back(tmp_path):
    before = parts()
    torch.rand(5, generator=before["generator"])
    save(tmp_path / "c.safetensors", step=3, **before)
    after = parts()
    checkpoint = load_checkpoint(tmp_path / "c.safetensors")
    assert checkpoint.header == {"step": 3}
    assert torch.equal(checkpoint.extra("usage"), torch.ones(4))
    assert checkpoint.extra("nothing") is None
    checkpoint.restore(after["model"], after["optimizer"], after["generator"])
    for name, tensor in before["model"].state_dict().items():
        assert torch.equal(after["model"].state_dict()[name], tensor)
    old, new = (p["optimizer"].state_dict()["state"] for p in (before, after))
    for index, key in itertools.product(old, ("step", "exp_avg", "exp_avg_sq")):
        assert torch.equal(old[index][key], new[index][key])
    draws = [torch.rand(3, generator=p["generator"]) for p in (before, after)]
    assert torch.equal(*draws)


class Malicious:
    def __reduce__(self):
        return (os.mkdir, ("unpickled",))


def damaged(path, kind):
    good = path.with_name("good.safetensors")
    save(good)
    content = good.read_bytes()
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "noise":
        path.write_bytes(os.urandom(4096))
    elif kind == "huge header":
        path.write_bytes((2**62).to_bytes(8, "little") + content[8:])
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Malicious()))
    elif kind == "torch.save":
        torch.save({"model": Malicious()}, path)
    elif kind == "foreign":
        save_file({"weight": torch.ones(3)}, path)
    elif kind == "next version":
        save_file({"weight": torch.ones(3)}, path, metadata={"format": "motiontok-checkpoint-99"})
    elif kind == "no header":
        save_file({"weight": torch.ones(3)}, path, metadata={"format": module.FORMAT})
    elif kind == "header no JSON":
        header = {"format": module.FORMAT, "header": "{step: 1"}
        save_file({"weight": torch.ones(3)}, path, metadata=header)
    elif kind == "changed header":
        path.write_bytes(content.replace(b'{\\"step\\": 1', b'{\\"step\\": 9'))
        assert path.read_bytes() != content
    elif kind == "folder":
        path.mkdir()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("truncated", "damaged checkpoint"),
        ("empty", "damaged checkpoint"),
        ("noise", "damaged checkpoint"),
        ("huge header", "damaged checkpoint"),
        ("pickle", "damaged checkpoint"),
        ("torch.save", "damaged checkpoint"),
        ("foreign", "not a checkpoint of this version (format 'unknown'"),
        ("next version", "format 'motiontok-checkpoint-99', expected 'motiontok-checkpoint-1'"),
        ("no header", "damaged checkpoint"),
        ("header no JSON", "damaged checkpoint"),
        ("changed header", "damaged checkpoint (it is not as it was written)"),
        ("folder", "no checkpoint to resume from"),
        ("missing", "no checkpoint to resume from; start without --resume"),
    ],
)
@pytest.mark.parametrize("read", [load_checkpoint, read_header])
def test_damaged_and_foreign_files_are_refused_by_name(kind, words, read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    damaged(path, kind)
    with pytest.raises(TrainingError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert words in message
    assert "\n" not in message
    assert not (tmp_path / "unpickled").exists()


def test_a_bit_that_has_changed_is_noticed(tmp_path):
    path = tmp_path / "c.safetensors"
    save(path)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(TrainingError, match="it is not as it was written"):
        load_checkpoint(path)


def test_a_checkpoint_of_before_there_were_digests_is_read(tmp_path):
    path, tensors = tmp_path / "c.safetensors", {"model.weight": torch.ones(3)}
    save_file(tensors, path, metadata={"format": module.FORMAT, "header": '{"step": 1}'})
    assert load_checkpoint(path).header == read_header(path) == {"step": 1}


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    save(tmp_path / "c.safetensors")
    checkpoint = load_checkpoint(tmp_path / "c.safetensors")
    other = torch.nn.Linear(4, 2)
    with pytest.raises(TrainingError, match="does not fit this model: size mismatch"):
        checkpoint.restore(other, torch.optim.AdamW(other.parameters()), torch.Generator())


def test_a_random_state_of_another_device_is_refused(tmp_path):
    save(tmp_path / "c.safetensors")
    checkpoint = load_checkpoint(tmp_path / "c.safetensors")
    tensors = checkpoint.tensors | {"generator": torch.zeros(16, dtype=torch.uint8)}
    now = parts()
    with pytest.raises(TrainingError, match="resume with the --device"):
        replace(checkpoint, tensors=tensors).restore(*now.values())


def assert_old_one_is_kept(path, limited):
    save(path, step=1)
    before = path.read_bytes()
    big = torch.nn.Linear(300, 300)
    with pytest.raises(TrainingError) as caught, limited:
        save(path, step=2, model=big, optimizer=torch.optim.AdamW(big.parameters()))
    assert str(caught.value).startswith(f"cannot save {path}")
    assert "the previous checkpoint, if any, is kept" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert load_checkpoint(path).header == {"step": 1}
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_file_that_cannot_grow_leaves_the_old_checkpoint(tmp_path):
    assert_old_one_is_kept(tmp_path / "c.safetensors", full_disk(50_000))


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path):
    with small_disk(tmp_path):
        assert_old_one_is_kept(tmp_path / "c.safetensors", full_disk(-1))


def test_an_error_while_saving_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    @contextmanager
    def failing():
        def fail(*arguments, **options):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(module, "save_file", fail)
            yield

    assert_old_one_is_kept(tmp_path / "c.safetensors", failing())
