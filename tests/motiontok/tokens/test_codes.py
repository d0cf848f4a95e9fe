"""``codes.npy`` and ``codes.json``: the file contract with planners."""

from __future__ import annotations

import json
import os
import pickle

import numpy as np
import pytest

from bvh import procedural
from bvh.skeleton import DEFAULT_OFFSETS
from motiontok.codes import Codes
from motiontok.data import Start
from motiontok.errors import CodesError


@pytest.fixture(scope="module")
def motion():
    return procedural.make("turn", seconds=2, seed=4)


@pytest.fixture
def path(tokenizer, motion, tmp_path):
    """Codes of two seconds, with their sidecar."""
    path = tmp_path / "codes.npy"
    tokenizer.encode_to_codes(motion, tokenizer="somewhere").save(path)
    return path


def test_the_file_is_a_plain_array(path, tokenizer, motion):
    array = np.load(path, allow_pickle=False)
    assert array.dtype == np.uint16
    assert array.shape == (2, 8)
    np.testing.assert_array_equal(array, tokenizer.encode(motion))


def test_the_sidecar_holds_what_decoding_needs(path, tokenizer, motion):
    sidecar = json.loads(path.with_suffix(".json").read_text())
    start = Start.of(motion)
    assert sidecar.pop("offsets") == motion.offsets.tolist()
    assert sidecar == {
        "format": 2,
        "fingerprint": tokenizer.fingerprint,
        "tokenizer": "somewhere",
        "fps": 30.0,
        "frames": 60,
        "first": 0,
        "since": 0.0,
        "windows": 2,
        "start": {"x": start.x, "y": start.y, "yaw": start.yaw},
        "source": motion.source.name,
        "licence": tokenizer.licence,
    }


def test_a_file_decodes_as_the_codes_in_memory(path, tokenizer, motion):
    decoded = tokenizer.decode_codes(Codes.load(path))
    expected = tokenizer.reconstruct(motion)
    np.testing.assert_array_equal(decoded.global_positions(), expected.global_positions())
    assert decoded.source.name == motion.source.name


def test_without_a_sidecar_there_are_stated_defaults(path, tokenizer, motion, capsys):
    path.with_suffix(".json").unlink()
    codes = Codes.load(path)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "no codes.json beside it; using the origin and the default skeleton" in said
    assert codes.fingerprint == ""
    assert codes.start == Start()
    np.testing.assert_array_equal(codes.offsets, DEFAULT_OFFSETS)
    decoded = tokenizer.decode_codes(codes)
    assert len(decoded) == 64
    assert decoded.source.name == "codes"


def test_a_planner_needs_nothing_but_an_array(tokenizer):
    """Whatever the window's length: frames that are not stated are all frames."""
    assert len(tokenizer.decode_codes(Codes(np.zeros((3, 8), np.uint16)))) == 96


def test_codes_of_another_tokenizer_are_refused_with_both_fingerprints(path, tokenizer):
    sidecar = json.loads(path.with_suffix(".json").read_text())
    other = "0123456789abcdef"
    path.with_suffix(".json").write_text(json.dumps(sidecar | {"fingerprint": other}))
    with pytest.raises(CodesError) as caught:
        tokenizer.decode_codes(Codes.load(path))
    message = str(caught.value)
    assert other in message
    assert tokenizer.fingerprint in message
    assert "somewhere" in message
    assert "--tokenizer" in message


def test_codes_outside_the_vocabulary_are_refused(path, tokenizer):
    array = np.load(path)
    array[1, 3] = 16
    np.save(path, array)
    with pytest.raises(CodesError, match=r"value 16 at \(1, 3\)"):
        tokenizer.decode_codes(Codes.load(path))


class Malicious:
    def __reduce__(self):
        return (os.mkdir, ("unpickled",))


def objects(path):
    np.save(path, np.array([[Malicious()]], dtype=object), allow_pickle=True)


def archive(path):
    with path.open("wb") as file:
        np.savez(file, codes=np.zeros((2, 8), np.uint16))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda p: p.unlink(), "no such file"),
        (lambda p: p.write_bytes(b""), "not a .npy array of codes"),
        (lambda p: p.write_bytes(b"hello"), "not a .npy array of codes"),
        (lambda p: p.write_bytes(b"PK\x03\x04" + bytes(30)), "not a .npy array of codes"),
        (lambda p: os.truncate(p, 140), "not a .npy array of codes"),
        (lambda p: p.write_bytes(pickle.dumps(Malicious())), "not a .npy array of codes"),
        (objects, "not a .npy array of codes"),
        (archive, "found an archive"),
        (lambda p: (p.unlink(), p.mkdir()), "not a .npy array of codes"),
        (lambda p: np.save(p, np.zeros((2, 8))), "expected integers (windows, codes_per_window)"),
        (lambda p: np.save(p, np.full((2, 8), np.nan)), "found float64 (2, 8)"),
        (lambda p: np.save(p, np.zeros(8, np.uint16)), "found uint16 (8,)"),
        (lambda p: np.save(p, np.zeros((1, 2, 8), np.uint16)), "found uint16 (1, 2, 8)"),
        (lambda p: np.save(p, np.zeros((2, 8), bool)), "found bool"),
        (lambda p: np.save(p, np.array([["a"]])), "found <U1"),
        (lambda p: np.save(p, np.zeros((0, 8), np.uint16)), "holds no codes (shape (0, 8))"),
        (lambda p: np.save(p, np.full((2, 8), -1)), "must lie in 0 to 65535, found -1"),
        (lambda p: np.save(p, np.full((2, 8), 70_000)), "found 70000 to 70000"),
    ],
)
def test_bad_arrays_are_refused_by_name(path, damage, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    damage(path)
    with pytest.raises(CodesError) as caught:
        Codes.load(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert words in message
    assert "\n" not in message
    assert not (tmp_path / "unpickled").exists()


def changed(**values):
    return lambda sidecar: json.dumps(sidecar | values)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda s: "", "damaged sidecar"),
        (lambda s: "{", "damaged sidecar"),
        (lambda s: "[]", "damaged sidecar"),
        (lambda s: "null", "damaged sidecar"),
        (lambda s: "[" * 100_000, "damaged sidecar"),
        *[
            (
                lambda s, gone=gone: json.dumps({k: v for k, v in s.items() if k != gone}),
                f"it has no '{gone}'",
            )
            for gone in (
                "format",
                "windows",
                "frames",
                "fps",
                "start",
                "offsets",
                "source",
                "licence",
                "tokenizer",
                "fingerprint",
            )
        ],
        (changed(format=3), "format 3 is not 2: use the motiontok that wrote it"),
        (changed(format=1), "format 1 is not 2: tokens of that format depended on the length"),
        (changed(windows=3), "describes 3 windows, the codes beside it have 2"),
        (changed(frames=-5), "frames is -5"),
        (changed(frames="many"), "frames is 'many'"),
        (changed(frames=float("inf")), "frames is inf"),
        (changed(frames=1.7), "frames is 1.7"),
        (changed(frames=None), "frames is None"),
        (changed(start={"x": 0.0, "y": float("nan"), "yaw": 0.0}), "start: expected x and y"),
        (changed(start={"x": 0.0, "y": 1e300, "yaw": 0.0}), "got [0.0, 1e+300, 0.0]"),
        (changed(start={"x": 0.0}), "damaged sidecar"),
        (changed(start=5), "damaged sidecar"),
        (changed(start={"x": 10**400, "y": 0.0, "yaw": 0.0}), "start: expected x and y"),
        (changed(offsets=[[10**400] * 3] * 22), "offsets: expected numbers"),
        (changed(offsets=[[0.0, 0.0, 0.0]]), "offsets: expected (22, 3), got (1, 3)"),
        (changed(offsets=[[float("inf")] * 3] * 22), "offsets: value inf at (0, 0)"),
        (changed(offsets=[[0.0] * 3] * 22), "offsets: left thigh and shin are 0 mm"),
        (changed(fps="fast"), "fps is 'fast'"),
        (changed(fps=60), "fps is 60; codes are of motion at 30 frames/s"),
        (changed(fps=-1), "fps is -1"),
        (changed(fps=float("nan")), "fps is nan"),
    ],
)
def test_bad_sidecars_are_refused_by_name(path, write, words):
    beside = path.with_suffix(".json")
    beside.write_text(write(json.loads(beside.read_text())))
    with pytest.raises(CodesError) as caught:
        Codes.load(path)
    message = str(caught.value)
    assert message.startswith(str(beside))
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((2, 8), 65_541), "must lie in 0 to 65535, found 65541 to 65541"),
        (np.full((2, 8), -1), "must lie in 0 to 65535, found -1"),
        (np.full((2, 8), 1.7), "expected integers (windows, codes_per_window), found float64"),
        (np.zeros((2, 8), bool), "found bool"),
        (np.zeros(8, int), "found int64 (8,)"),
        (np.zeros((0, 8), int), "holds no codes (shape (0, 8))"),
    ],
)
def test_codes_that_could_not_be_read_are_not_written(tmp_path, array, words):
    with pytest.raises(CodesError) as caught:
        Codes(array).save(tmp_path / "codes.npy")
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"fps": 60.0}, "fps is 60.0"),
        ({"frames": 1.5}, "frames is 1.5"),
        ({"start": Start(x=np.nan)}, "start: expected x and y"),
        ({"offsets": np.zeros((22, 3))}, "offsets: left thigh and shin are 0 mm"),
    ],
)
def test_what_stands_beside_codes_is_checked_before_it_is_written(tmp_path, given, words):
    with pytest.raises(CodesError, match=words):
        Codes(np.zeros((2, 8), int), **given).save(tmp_path / "codes.npy")
    assert list(tmp_path.iterdir()) == []


def test_any_integers_within_the_range_are_written(tmp_path):
    for array in (np.full((2, 8), 65_535), [[0, 1], [2, 3]]):
        Codes(array, frames=np.int64(3)).save(tmp_path / "codes.npy")
        again = Codes.load(tmp_path / "codes.npy")
        np.testing.assert_array_equal(again.array, array)
        assert again.frames == 3


def test_a_sidecar_that_promises_too_many_frames_is_refused(path, tokenizer):
    beside = path.with_suffix(".json")
    beside.write_text(changed(frames=65)(json.loads(beside.read_text())))
    with pytest.raises(CodesError, match="asked for 65 frames of 2 windows that hold 1 to 64"):
        tokenizer.decode_codes(Codes.load(path))


def test_a_name_without_npy_is_refused(tmp_path):
    for name in ("codes.json", "codes", "codes.txt"):
        with pytest.raises(CodesError, match=r"written to a \.npy file"):
            Codes(np.zeros((1, 8), np.uint16)).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("function", ["numpy.save", "pathlib.Path.write_text"])
def test_a_full_disk_leaves_both_old_files(path, tokenizer, motion, monkeypatch, function):
    before = {p.name: p.read_bytes() for p in path.parent.iterdir()}

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(function, fail)
        with pytest.raises(OSError, match="No space left on device"):
            tokenizer.encode_to_codes(motion.mirrored()).save(path)
    assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == before
