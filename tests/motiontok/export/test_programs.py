"""Programs give what the tokenizer gives, of any number of windows and on any body."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bvh import procedural
from bvh.skeleton import DEFAULT_OFFSETS
from motiontok import MotionTokenizer
from motiontok.cli.main import main
from motiontok.config import load_config
from motiontok.data import Start, from_motion
from motiontok.data.clips import load_clips
from motiontok.data.training_data import make_training_data
from motiontok.errors import InputError, TokenizerError
from motiontok.export import export_tokenizer
from motiontok.export import tokenizer as exporting
from motiontok.export.program import traced
from motiontok.methods import MotionNetworks, make_method
from motiontok.prior import SamplingOptions, TokenPrior
from motiontok.prior.runs import run_prior_training

WINDOW, CODES = 32, 4
MISSING = [n for n in ("onnx", "onnxscript", "onnxruntime") if not importlib.util.find_spec(n)]
KINDS = [
    "torch",
    pytest.param(
        "onnx",
        marks=pytest.mark.skipif(
            bool(MISSING), reason=f"no {', '.join(MISSING)}: pip install 'motiontok[onnx]'"
        ),
    ),
]


def loaded(folder, kind, *names):
    """Functions of arrays by the programs' names, of all programs or of these."""
    files = [p for p in folder.iterdir() if p.suffix != ".json" and (not names or p.stem in names)]
    if kind == "onnx":
        import onnxruntime

        sessions = {p.stem: onnxruntime.InferenceSession(p) for p in files}
        return {
            name: lambda *arrays, s=session: s.run(
                None, {i.name: a for i, a in zip(s.get_inputs(), arrays, strict=True)}
            )
            for name, session in sessions.items()
        }
    # Written by these tests a moment ago; the package itself never reads such a file.
    modules = {p.stem: torch.export.load(p).module() for p in files}

    def called(module, arrays):
        out = module(*map(torch.from_numpy, arrays))
        return [y.detach().numpy() for y in (out if isinstance(out, tuple) else (out,))]

    return {name: lambda *arrays, m=m: called(m, arrays) for name, m in modules.items()}


@pytest.fixture(scope="module")
def once():
    """``traced``, but once for the same weights: it takes longest, whatever is written."""
    made = {}

    def trace(program):
        # ``pose`` has no weights and is the same for all tokenizers.
        places = (weight.data_ptr() for weight in program.module.state_dict().values())
        key = (program.name, *places)
        if key not in made:
            # The program is kept: other weights must not come to lie in its places.
            made[key] = program, traced(program)
        return made[key][1]

    return trace


@pytest.fixture(scope="module")
def exported(joining_tokenizer, joining_prior, once, tmp_path_factory):
    """The folder of programs of each kind, written when it is first asked for."""
    folders = {}

    def folder(kind):
        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp(kind)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(exporting, "traced", once)
                export_tokenizer(joining_tokenizer, folders[kind], prior=joining_prior, kind=kind)
        return folders[kind]

    return folder


@pytest.fixture(scope="module")
def functions(exported):
    """What the programs of each kind do, by their names."""
    return cache(lambda kind: loaded(exported(kind), kind))


@pytest.fixture(scope="module", params=KINDS)
def programs(request, functions):
    return functions(request.param)


def clip(windows):
    features = from_motion(procedural.make("dance", seconds=windows * WINDOW / 30, seed=1))
    return features.reshape(windows, WINDOW, -1).astype(np.float32)


@pytest.mark.parametrize("windows", [1, 2, 3, 11])
def test_codes_are_those_of_the_tokenizer(programs, joining_tokenizer, windows):
    features = clip(windows)
    (codes,) = programs["encoder"](features)
    expected = joining_tokenizer.encode(features.reshape(-1, features.shape[-1]), effort=1)
    np.testing.assert_array_equal(codes, expected)
    assert len(np.unique(codes)) > 2


@settings(max_examples=10)
@given(st.integers(1, 9), st.integers(3, CODES), st.integers(0, 2**31))
def test_features_are_those_of_the_tokenizer(programs, joining_tokenizer, windows, first, seed):
    codes = np.random.default_rng(seed).integers(0, 32, (windows, first))
    (features,) = programs["decoder"](codes)
    expected = joining_tokenizer.decode_features(codes, first=first)
    np.testing.assert_allclose(features, expected, atol=1e-4)


@settings(max_examples=10)
@given(st.integers(1, 5), st.floats(0.6, 1.5), st.floats(0.6, 1.5), st.integers(0, 2**31))
def test_poses_are_those_of_the_tokenizer(programs, joining_tokenizer, windows, legs, others, seed):
    codes = np.random.default_rng(seed).integers(0, 32, (windows, CODES))
    scales = np.where(np.arange(22) < 9, legs, others)[:, None]
    start = Start(3.0, -2.0, 1.0)
    expected = joining_tokenizer.decode(
        codes, start=start, offsets=DEFAULT_OFFSETS * scales, plant=False
    )
    (features,) = programs["decoder"](codes)
    bones = (DEFAULT_OFFSETS * scales).astype(np.float32)
    place = np.array([start.x, start.y, start.yaw])
    positions, rotations, end = programs["pose"](features, bones, place)
    np.testing.assert_allclose(positions, expected.root_positions, atol=1e-4)
    # q and -q are one rotation.
    signs = np.sign((rotations * expected.rotations).sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(signs * rotations, expected.rotations, atol=1e-4)
    np.testing.assert_allclose(end[:2], positions[-1, :2], atol=1e-5)


def test_poses_go_on_from_where_a_piece_ended(programs):
    features = clip(2).reshape(-1, 203)
    bones, start = DEFAULT_OFFSETS.astype(np.float32), np.zeros(3)
    positions, rotations, end = programs["pose"](features, bones, start)
    first = programs["pose"](features[:20], bones, start)
    # The last frame again, and what follows.
    rest = programs["pose"](features[19:], bones, first[2])
    np.testing.assert_allclose(np.concatenate([first[0], rest[0][1:]]), positions, atol=1e-5)
    np.testing.assert_allclose(
        np.abs((np.concatenate([first[1], rest[1][1:]]) * rotations).sum(axis=-1)), 1.0, atol=1e-5
    )
    np.testing.assert_allclose(rest[2], end, atol=1e-9)


@pytest.fixture(scope="module")
def two_codes(tiny_settings, tmp_path_factory):
    """A method of windows with two codes: each is a network's pass in the encoder."""
    sizes = ("model.codes_per_window=2", "data.clips=4")
    config = load_config("demo", (*tiny_settings, *sizes))
    ready = make_training_data(load_clips(config.data, [], seed=0), config.data)
    method = make_method(config, MotionNetworks(config))
    generator = torch.Generator().manual_seed(0)
    method.fit(lambda count: ready.windows.batch(min(count, 300), generator), generator)
    out = tmp_path_factory.mktemp("two-codes")
    MotionTokenizer(method, ready.statistics).save_pretrained(out)
    return out


def test_the_command_writes_programs_of_any_tokenizer(two_codes, once, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "traced", once)
        patch.setattr(
            sys, "argv", ["motiontok", "export", "--tokenizer", str(two_codes), "-o", str(tmp_path)]
        )
        main()
    tokenizer = MotionTokenizer.from_pretrained(two_codes)
    assert (tmp_path / "pose.pt2").is_file()
    made = loaded(tmp_path, "torch", "encoder", "decoder")
    features = clip(5)
    (codes,) = made["encoder"](features)
    np.testing.assert_array_equal(codes, tokenizer.encode(features.reshape(-1, 203), effort=1))
    assert len(np.unique(codes)) > 2
    (decoded,) = made["decoder"](codes)
    # Velocities are differences times 30.
    np.testing.assert_allclose(decoded, tokenizer.decode_features(codes), atol=2e-4)
    values = json.loads((tmp_path / "export.json").read_text())
    assert values["fingerprint"] == tokenizer.fingerprint
    assert values["torch"] == torch.__version__
    assert values["programs"]["encoder"]["outputs"][0]["shape"] == ["windows: 1 or more", 2]


def test_onnx_without_its_packages_says_what_to_install(joining_tokenizer, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"pip install 'motiontok\[onnx\]'"):
        export_tokenizer(joining_tokenizer, tmp_path, kind="onnx")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_a_program_is_refused_by_name(joining_tokenizer, tmp_path, monkeypatch):
    def by_value(x, **_):
        return x[..., 0].long() if float(x.sum()) > 0 else x[..., 1].long()

    monkeypatch.setattr(joining_tokenizer.method, "encode_sequence", by_value)
    with pytest.raises(TokenizerError, match="encoder of a temporal tokenizer cannot be exported"):
        export_tokenizer(joining_tokenizer, tmp_path)


@pytest.mark.skipif(bool(MISSING), reason=f"no {', '.join(MISSING)}: pip install 'motiontok[onnx]'")
def test_the_example_makes_the_poses_of_the_tokenizer(joining_tokenizer, exported, tmp_path):
    codes = np.random.default_rng(3).integers(0, 32, (7, CODES))
    np.save(tmp_path / "codes.npy", codes.astype(np.uint16))
    example = Path(__file__).parents[3] / "examples" / "onnx_consumer.py"
    words = [tmp_path / "codes.npy", "--programs", exported("onnx")]
    out = tmp_path / "poses.npz"
    done = subprocess.run(
        [sys.executable, example, *words, "--out", out], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    expected = joining_tokenizer.decode(codes, plant=False)
    with np.load(out) as found:
        np.testing.assert_allclose(found["root_positions"], expected.root_positions, atol=1e-4)
        dots = (found["rotations"] * expected.rotations).sum(axis=-1)
        np.testing.assert_allclose(np.abs(dots), 1.0, atol=1e-5)


@pytest.fixture(scope="module")
def joining_prior(joining_tokenizer, tmp_path_factory):
    clips = tmp_path_factory.mktemp("clips")
    for n in range(4):
        motion = procedural.make("walk", seconds=5.0, seed=n)
        motion.save(clips / f"dataset-1_walk_active_{n:03d}.npz")
    out = tmp_path_factory.mktemp("prior")
    run_prior_training(
        joining_tokenizer,
        data=[clips],
        out=out,
        steps=20,
        width=16,
        layers=2,
        say=lambda line: None,
    )
    return TokenPrior.from_pretrained(out / "prior", tokenizer=joining_tokenizer)


def drawn(programs, prior, windows, command, *, action):
    """Greedy codes, window by window and code by code, as any language would draw them."""
    sizes = prior.config
    most, codes = sizes.context - 1, sizes.codes_per_window
    past = np.zeros((0, codes), np.int64)
    asked = np.array(command, np.float32)
    for _ in range(windows):
        known = past[len(past) - min(len(past), most) :]
        count = np.array([len(known)])
        padded = np.concatenate([known, np.zeros((most - len(known), codes), np.int64)])
        commands = np.tile(asked, (sizes.context, 1))
        labels = np.array([action]), np.array([0])
        keys, values, *state = programs["prior_begin"](padded, count, commands, *labels)
        said = np.zeros(sizes.components, np.float32)
        z = np.zeros(codes, np.int64)
        for n in range(codes):
            logits, keys, values, said = programs["prior_step"](
                *(np.array([n]), count, z, asked, np.array([0.1], np.float32)),
                *(keys, values, *state, said),
            )
            z[n] = logits.argmax()
        past = np.concatenate([past, z[None]])
    return past


@pytest.mark.parametrize("kind", KINDS)
def test_windows_drawn_by_programs_are_those_of_the_prior(joining_prior, exported, functions, kind):
    made = functions(kind)
    options = SamplingOptions(temperature=0.0, tolerance=0.1, plant=False, guidance=1.0)
    # Programs leave commands open: command sequences of labels are not exported.
    alone = TokenPrior(joining_prior.model, fingerprint=joining_prior.fingerprint)
    for command in ((0.9, 0.1, 0.2), (np.nan, np.nan, np.nan)):
        told = {}
        if np.isfinite(command).all():
            told = {"velocity": command[:2], "yaw_rate": command[2]}
        expected = alone.sample(4, label="walk", options=options, **told)[0]
        found = drawn(made, joining_prior, 4, command, action=1)
        np.testing.assert_array_equal(found, expected)
        assert len(np.unique(found)) > 2
    about = json.loads((exported(kind) / "export.json").read_text())
    assert about["actions"] == ["", "walk"]
