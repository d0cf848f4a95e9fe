"""Many processes train the same model as one.

One job is started by torchrun, as users start them, and the others by ``job_processes``: torch
takes longer to import in each process than most of them take.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from job_processes import command_line, killed, run_together
from safetensors.torch import load_file, save_file

from motiontok.cli.main import main
from motiontok.config import load_config
from motiontok.data import FEATURES
from motiontok.errors import ConfigError
from motiontok.methods import METHODS as METHOD_CLASSES
from motiontok.methods import MotionNetworks, make_method
from motiontok.methods.process_group import ProcessGroup
from motiontok.methods.quantizers import temporal
from motiontok.training import read_header
from motiontok.training.log import read_log
from motiontok.training.parallel import (
    average_gradients,
    init_process_group,
    process_group,
    require_shares,
)

ROOT = Path(__file__).parents[3]
# The second of daps-pq is its first phase, in which the decoder learns alone.
# So is that of daps-temporal.
METHODS = (
    "daps", "daps-na", "daps-pq", "daps-pq decoder", "daps-lopq", "lopq-net", "reinforce",
    "temporal", "daps-temporal", "daps-temporal first",
)  # fmt: skip
pytestmark = pytest.mark.skipif(
    not torch.distributed.is_gloo_available(), reason="needs a torch that was built with gloo"
)


def torchrun(*arguments):
    """Run a program in two processes that find each other on a free port."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--standalone", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=600
    )


def tiny(name, settings):
    name, first, _ = name.partition(" ")
    phases = [f"method.{key}={0.9 if first else 0.0}" for key in ("decoder_first", "warm_start")]
    return load_config("demo", (*settings, f'method.name="{name}"', *phases))


def gradients(name, settings, members):
    """Gradients of one step on a share of a batch, in double precision."""
    temporal._LINEAR_STEPS = 2  # of what is the same in every process
    config = tiny(name, (*settings, "model.components=16"))
    stretch = METHOD_CLASSES[config.method.name].stretch
    columns = FEATURES if stretch > 1 else 3
    torch.manual_seed(0)
    method = make_method(config, MotionNetworks(config, columns=columns)).double()
    method.group = members
    generator = torch.Generator().manual_seed(1)

    def draw(count):
        windows = (min(count, 64), stretch) if stretch > 1 else (count,)
        shape = (*windows, config.data.window, columns)
        return torch.randn(shape, generator=generator, dtype=torch.double)

    method.fit(draw, generator)
    result = method.training_step(members.shard(draw(16)), 0.5, generator)
    result.loss.backward()
    average_gradients(method.parameters(), members)
    return {k: p.grad for k, p in method.named_parameters() if p.grad is not None}


def write_gradients(folder, settings):
    """Those of every method, as this process of a job has them."""
    init_process_group("cpu")
    for method in METHODS:
        found = gradients(method, settings, process_group())
        path = folder / f"{method}-{process_group().rank}.safetensors"
        save_file({k: v.contiguous() for k, v in found.items()}, path)


def test_gradients_are_those_of_one_process_with_the_whole_batch(tiny_settings, tmp_path):
    out = tmp_path / "out.txt"
    assert not run_together(write_gradients, tmp_path, tiny_settings, out=out), out.read_text()
    for name in METHODS:
        found = [load_file(tmp_path / f"{name}-{rank}.safetensors") for rank in range(2)]
        expected = gradients(name, tiny_settings, ProcessGroup())
        assert expected.keys() == found[0].keys()
        for key, gradient in expected.items():
            assert torch.equal(found[0][key], found[1][key])
            torch.testing.assert_close(found[0][key], gradient, rtol=1e-6, atol=1e-9)


@pytest.fixture(scope="module")
def arguments(tiny_settings):
    settings = (*tiny_settings, 'method.name="daps"', "data.warp=1.33")
    return ["train", "demo", *(part for s in settings for part in ("--set", s))]


def same_model(a, b):
    first, second = (load_file(folder / "checkpoint.safetensors") for folder in (a, b))
    assert torch.equal(first["generator"], second["generator"])
    for key in first:
        if key.startswith("model."):
            torch.testing.assert_close(first[key], second[key], rtol=1e-4, atol=5e-5)


def same_run(one, two):
    """The same model, log and files: metrics and code usage are of the whole batch."""
    same_model(one, two)
    for expected, found in zip(read_log(one / "log.csv"), read_log(two / "log.csv"), strict=True):
        expected.pop("seconds")
        found.pop("seconds")
        assert found == pytest.approx(expected, rel=1e-3)
    assert {p.name for p in one.iterdir() if "events" not in p.name} == {
        p.name for p in two.iterdir() if "events" not in p.name
    }


def alone(*arguments):
    """In this process, which has torch already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["motiontok", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    assert code == 0


@pytest.fixture(scope="module")
def of_one(arguments, tmp_path_factory):
    """A run of 20 steps of one process; not to be changed."""
    out = tmp_path_factory.mktemp("of-one") / "run"
    alone(*arguments, "--steps", 20, "--out", out)
    return out


def test_two_processes_train_the_model_of_one_and_one_goes_on(arguments, of_one, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    shutil.copytree(of_one, one)
    done = torchrun("-m", "motiontok", *arguments, "--steps", 20, "--out", two)
    assert done.returncode == 0, done.stderr
    same_run(one, two)
    assert done.stdout.count("clips to train on") == 1
    for folder in (one, two):
        alone(*arguments, "--steps", 24, "--out", folder, "--resume")
    same_model(one, two)


def test_processes_on_pictures_train_the_model_of_one(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="needs: pip install pillow")
    colours = torch.Generator().manual_seed(0)
    (tmp_path / "pictures").mkdir()
    for n in range(20):
        pixels = torch.randint(256, (5, 7, 3), generator=colours, dtype=torch.uint8).numpy()
        image.fromarray(pixels).resize((70, 50)).save(tmp_path / "pictures" / f"{n:02d}.png")
    # Of four the end is missing: some are in each process's share.
    for n in (2, 7, 11, 16):
        file = tmp_path / "pictures" / f"{n:02d}.png"
        file.write_bytes(file.read_bytes()[:300])
    settings = (
        "data.size=16", "data.holdout=5", "model.codes_per_window=4", "model.vocab_size=16",
        "model.width=16", "model.heads=2", "model.decoder_width=16", "train.batch_size=8",
        "train.evaluate_every=10", "train.checkpoint_every=10", "train.log_every=5",
        # With seed 0 a number drawn in step 12 is so near a token's edge that rounding decides.
        "train.seed=1",
    )  # fmt: skip
    line = ["train", "pictures", "--data", tmp_path / "pictures", "--steps", 12]
    line += [part for s in settings for part in ("--set", s)]
    one, two = tmp_path / "one", tmp_path / "two"
    alone(*line, "--out", one)
    out = tmp_path / "out.txt"
    assert not run_together(command_line, *line, "--out", two, out=out), out.read_text()
    same_run(one, two)
    assert out.read_text().count("pictures to train on") == 1
    # In one pass over the pictures no process meets them all; what each skipped is told.
    out = tmp_path / "short.txt"
    short = ("--out", tmp_path / "short", "--steps", 2)
    assert not run_together(command_line, *line, *short, out=out), out.read_text()
    for n in (2, 7, 11, 16):
        assert out.read_text().count(f"{n:02d}.png") == 1
    assert (one / "config.json").read_bytes() == (two / "config.json").read_bytes()


def test_a_killed_process_ends_the_job_and_a_restart_goes_on(arguments, of_one, tmp_path):
    broken = tmp_path / "broken"
    line = (*arguments, "--steps", 20, "--out", broken)
    assert run_together(killed, 16, *line, out=tmp_path / "out.txt")
    assert read_header(broken / "checkpoint.safetensors")["step"] == 10
    # It goes on at step 11, is killed again at 14, and started again by itself.
    out = tmp_path / "restarted.txt"
    assert not run_together(killed, 4, *line, "--resume", out=out, restarts=1), out.read_text()
    assert read_header(broken / "checkpoint.safetensors")["step"] == 20
    same_model(of_one, broken)


def test_what_cannot_be_shared_is_refused(tiny_settings):
    config = tiny("vqvae", tiny_settings)
    stub = type("Stub", (), {"in_teams": False})()
    with pytest.raises(ConfigError, match="vqvae trains in one process"):
        require_shares(config, stub, ProcessGroup(0, 2))
    stub.in_teams = True
    with pytest.raises(ConfigError, match=r"train\.batch_size 16 cannot be shared by 3"):
        require_shares(config, stub, ProcessGroup(0, 3))
    require_shares(config, stub, ProcessGroup(0, 4))
