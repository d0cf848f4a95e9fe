"""Everything on a device that is not the CPU, as on a GPU; other_process.py has that device."""

from __future__ import annotations

import importlib

import numpy as np
import other_process as devices
import pytest
import torch
from test_methods import EVERY, TRAINED, columns_of, make, patterns

import bvh
from bvh import procedural
from motiontok.cli.main import cli
from motiontok.data import Statistics, WindowSet, from_motion
from motiontok.data.training_data import TrainingData
from motiontok.training.updates import Updates

pytestmark = [
    pytest.mark.skipif(
        not devices.supported(), reason="needs a torch with devices in Python: 2.10 or newer"
    ),
    pytest.mark.usefixtures("short_start"),
]

# The library asks the device whether its codebooks have begun; rows are sorted by counts.
WAITING = {"vqvae", "rvq", "lopq-net", "daps-lopq"}


@pytest.fixture
def crossings(monkeypatch):
    with devices.elsewhere(monkeypatch) as found:
        yield found


def use(name, device, crossings=None, *, steps=2, batch=32):
    """Metrics of the last step, codes and reconstructions, after some training."""
    method, generator = make(name), torch.Generator().manual_seed(1)
    x = patterns(64, generator, columns_of(name)).to(device)
    method.to(device)
    method.fit(lambda count: x[:count], generator)
    updates, numbers, crossed = Updates(method, method.config.train), {}, []
    for step in range(steps if updates.trainable else 0):
        if crossings is not None:
            # Of the last step only: the first ones may set something up.
            crossings.waits.clear()
            crossings.sends.clear()
        method.train()
        result = method.training_step(x[batch * step : batch * step + batch], 0.5, generator)
        updates.step(result.loss, 0.5)
        numbers = result.metrics
        if crossings is not None:
            crossed = crossings.waits + crossings.sends
    method.eval()
    codes = [
        method.encode(x),
        method.encode(x, effort=3, generator=generator),
        method.encode(x, temperature=1.0, generator=generator),
    ]
    means = [method.decode(z).detach().cpu() for z in codes]
    found = {k: float(v) for k, v in numbers.items()}, [z.cpu() for z in codes], means
    return found, crossed


@pytest.mark.parametrize("name", EVERY)
def test_a_method_does_what_it_does_on_the_cpu(name, crossings):
    (numbers, codes, means), crossed = use(name, devices.NAME, crossings)
    (expected, codes_, means_), _ = use(name, "cpu")
    assert numbers == pytest.approx(expected, rel=1e-3, abs=1e-4)
    # A draw may fall on the other side of a rounding error.
    assert all((a == b).float().mean() > 0.99 for a, b in zip(codes, codes_, strict=True))
    torch.testing.assert_close(means[0], means_[0], rtol=1e-3, atol=1e-4)
    assert not crossed or name in WAITING, crossed


@pytest.mark.parametrize(("warp", "mix"), [(1.0, 0.0), (1.33, 0.0), (1.0, 0.5)])
def test_windows_are_drawn_there(warp, mix, crossings):
    features = from_motion(procedural.make("walk", seconds=4.0, seed=0))
    cut = torch.tensor(features[:96], dtype=torch.float32).unflatten(0, (-1, 32))
    statistics, batches = Statistics.fit(cut), []
    for device in ("cpu", devices.NAME):
        windows = WindowSet([features], 32, statistics, warp=warp, device=device)
        data = TrainingData(windows, windows.enumerated(), statistics, "", mix=mix)
        generator = torch.Generator(device).manual_seed(1)
        data.batch(8, generator)
        crossings.waits.clear()
        crossings.sends.clear()
        batches.append(data.batch(8, generator))
    assert crossings == devices.Crossings()
    torch.testing.assert_close(batches[1].cpu(), batches[0])


@pytest.mark.parametrize("name", [p for p in TRAINED if p.values[0] in ("daps", "daps-na")])
def test_sampling_could_be_captured(name, crossings):
    """Nothing crosses over, or a CUDA graph would not have it."""
    method, generator = make(name).to(devices.NAME), torch.Generator().manual_seed(1)
    x = patterns(4, generator).to(devices.NAME)
    crossings.sends.clear()
    method.draw(x, 3, generator)
    assert crossings == devices.Crossings()


COMMANDS = ("train", "encode", "decode", "eval", "train_prior", "sample", "plan")


@pytest.fixture
def motiontok(monkeypatch, tmp_path, crossings, undrawn):
    """Run a command in an empty folder, by default on the other device."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))
    for name in COMMANDS:
        module = importlib.import_module(f"motiontok.cli.{name}")
        monkeypatch.setattr(module, "use_device", lambda asked: asked.replace("auto", devices.NAME))
    return lambda *arguments: cli.main([str(a) for a in arguments], standalone_mode=False)


@pytest.mark.parametrize("method", ["lopq", "daps"])
def test_motion_goes_all_the_way_there(method, motiontok, crossings, tiny_settings, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for seed in range(2):
        clip = procedural.make("walk", seconds=2.2, seed=seed).to_clip()
        bvh.write(clip, folder / f"dataset-1_walk_normal_{seed:03d}.bvh")
    clip = folder / "dataset-1_walk_normal_001.bvh"
    (tmp_path / "w.csv").write_text("x,y\n0,0\n1,0\n")
    own = (f"method.name={method}", "model.codes_per_window=4", "data.warp=1.33", "train.steps=4")
    settings = [f"--set={s}" for s in (*tiny_settings, *own)]

    motiontok("train", "demo", "--out", "run", *settings)
    if method == "daps":
        motiontok("train", "demo", "--out", "run", "--resume", *settings, "--set=train.steps=5")
    motiontok("encode", clip, "--tokenizer", "run", "-o", "there.npy")
    motiontok("encode", clip, "--tokenizer", "run", "-o", "here.npy", "--device", "cpu")
    np.testing.assert_array_equal(np.load("there.npy"), np.load("here.npy"))
    motiontok("decode", "there.npy", "-o", "there.bvh", "--tokenizer", "run")
    assert len(bvh.read("there.bvh").rotations) == len(bvh.read(clip).rotations)
    motiontok("eval", "run", "--all", "--data", folder, "-o", "report")
    sizes = ("--steps", 2, "--shifts", 1, "--width", 16, "--layers", 1)
    motiontok("train-prior", "--tokenizer", "run", "--data", folder, "--out", "prior", *sizes)
    prior = ("--tokenizer", "run", "--prior", "prior/prior")
    motiontok("sample", *prior, "--label", "walk", "--seconds", 1, "--prefix", clip, "-o", "s.npy")
    motiontok("plan", *prior, "--waypoints", "w.csv", "--samples", 2, "--beam", 1, "-o", "p.npy")
    assert np.load("p.npy").shape[1] == 4
    # It was there, not here.
    assert any("windows.py" in line for line in crossings.waits)


@pytest.mark.parametrize("method", ["daps", "lopq-net"])
def test_pictures_do_too(method, motiontok, crossings, tmp_path):
    image = pytest.importorskip("PIL.Image", reason="needs: pip install 'motiontok[images]'")
    rng, folder = np.random.default_rng(0), tmp_path / "pictures"
    folder.mkdir()
    for n in range(20):
        pixels = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((8, 8, 1)))
        image.fromarray(pixels.astype(np.uint8)).save(folder / f"{n}.png")
    settings = (
        "model.codes_per_window=4", "model.vocab_size=8", "model.width=16", "model.heads=2",
        "model.layers=1", "model.decoder_width=16", "train.time_budget=0", "train.steps=3",
        "train.batch_size=8", "train.evaluate_every=2", f"method.name={method}",
    )  # fmt: skip
    motiontok(
        "train", "pictures", "--data", folder, "--out", "run", *(f"--set={s}" for s in settings)
    )
    motiontok("encode", folder, "--tokenizer", "run", "-o", "there.npy")
    motiontok("encode", folder, "--tokenizer", "run", "-o", "here.npy", "--device", "cpu")
    np.testing.assert_array_equal(np.load("there.npy"), np.load("here.npy"))
    motiontok("decode", "there.npy", "-o", "decoded")
    motiontok("eval", "run", "--data", folder, "-o", "report")
    assert any("tokenizer.py" in line for line in crossings.waits)
