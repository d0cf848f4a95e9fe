"""Training on images: what a run leaves, resuming, pictures on disk, all methods, comparing."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from motiontok.cli.main import cli
from motiontok.config import load_config
from motiontok.errors import ConfigError, DataError, InputError, TrainingError
from motiontok.evaluate.bench import load_bench
from motiontok.images.compare import run_image_bench
from motiontok.images.published import published_for
from motiontok.images.report import comparison_markdown
from motiontok.images.runs import run_image_training
from motiontok.images.tokenizer import ImageTokenizer
from motiontok.training.checkpoint import load_checkpoint
from motiontok.training.log import read_log

pytestmark = pytest.mark.usefixtures("undrawn")  # the shared run is drawn

METHODS = (
    "daps", "daps-na", "gumbel", "gumbel-na", "grmck", "grmck-na", "reinforce", "ppo",
    "vqvae", "fsq", "rvq", "lfq", "lopq-net", "daps-lopq",
)  # fmt: skip


def train(settings, out, data, config="mnist", **options):
    said = []
    run = run_image_training(
        load_config(config, settings), out=out, data=data, say=said.append, **options
    )
    return run, said


@pytest.fixture
def pictures(tmp_path):
    """A folder of small photographs of noise, one of them broken."""
    image = pytest.importorskip("PIL.Image", reason="needs: pip install pillow")
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for n in range(20):
        colours = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
        image.fromarray(colours).resize((70, 50)).save(folder / f"{n}.png")
    (folder / "20.jpg").write_bytes(b"no")
    return folder


def test_a_run_learns_and_leaves_everything(image_run):
    rows = [r for r in read_log(image_run / "log.csv") if "val_psnr" in r]
    assert rows[-1]["val_log_p"] > rows[0]["val_log_p"]
    metrics = json.loads((image_run / "metrics.json").read_text())
    assert metrics["beta_elbo"] == pytest.approx(metrics["log_p"] - 0.01 * metrics["kl"])
    assert metrics["bits_per_image"] == 32
    assert 0 <= metrics["kl"] <= 8 * math.log(16)
    for name in ("tokenizer/model.safetensors", "config.json", "curves.png", "grid.png"):
        assert (image_run / name).stat().st_size > 100, name


def test_a_seed_gives_the_same_run(blobs, tiny_images, image_run, tmp_path):
    train(tiny_images, tmp_path / "again", blobs)
    one, two = (
        load_checkpoint(folder / "checkpoint.safetensors").tensors
        for folder in (image_run, tmp_path / "again")
    )
    for name, tensor in one.items():
        assert torch.equal(tensor, two[name]), name


def test_an_interrupted_run_on_pictures_goes_on_bit_for_bit(
    pictures, tiny_images, tmp_path, monkeypatch
):
    """Constant schedules; order and crops are the stream's, not the generator's."""
    settings = (
        *tiny_images, "data.dataset=pictures", "data.size=16", "data.holdout=5",
        "model.codes_per_window=16", "method.beta_start=0.01", "train.final_learning_rate=2e-3",
        "train.batch_size=4", "train.steps=12", "train.checkpoint_every=6",
    )  # fmt: skip
    whole, said = train(settings, tmp_path / "whole", pictures)
    assert any("20.jpg" in line for line in said)
    train((*settings, "train.steps=6"), tmp_path / "parts", pictures)
    train(settings, tmp_path / "parts", pictures, resume=True)
    one, two = (
        load_checkpoint(tmp_path / n / "checkpoint.safetensors").tensors for n in ("whole", "parts")
    )
    for name, tensor in one.items():
        assert torch.equal(tensor, two[name]), name
    assert math.isfinite(whole.metrics["psnr"])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_encodes_and_decodes(method, blobs, tiny_images, tmp_path):
    if method in ("vqvae", "fsq", "rvq", "lfq"):
        pytest.importorskip(
            "vector_quantize_pytorch", reason="needs: pip install 'motiontok[baselines]'"
        )
    settings = (*tiny_images, f"method.name={method}", "train.steps=6")
    run, _ = train(settings, tmp_path / "run", blobs)
    codes = run.tokenizer.encode(np.zeros((3, 1, 28, 28), dtype=np.uint8))
    assert codes.shape == (3, 8)
    assert run.tokenizer.decode(codes).shape == (3, 1, 28, 28)
    certain = ("vqvae", "fsq", "rvq", "lfq", "lopq-net")
    assert ("beta_elbo" in run.metrics) == (method not in certain)


def test_what_starts_from_a_product_quantiser_trains_on_pictures(pictures, tiny_images, tmp_path):
    settings = (
        *tiny_images, "data.dataset=pictures", "data.size=16", "data.holdout=5",
        "model.codes_per_window=4", "train.batch_size=4", "train.evaluate_every=100",
    )  # fmt: skip
    fitted, said = train((*settings, "method.name=pca-pq"), tmp_path / "pca", pictures)
    assert any("fitting pca-pq in one pass" in line for line in said)
    assert fitted.trained.step == 0
    run, _ = train((*settings, "method.name=daps-pq"), tmp_path / "daps", pictures)
    rows = read_log(tmp_path / "daps" / "log.csv")
    # It begins as the quantiser, and learns from there.
    assert rows[0]["val_psnr"] == pytest.approx(fitted.metrics["psnr"], abs=1e-4)
    assert rows[-1]["val_beta_elbo"] > rows[0]["val_beta_elbo"]
    again = ImageTokenizer.from_pretrained(tmp_path / "daps")
    codes = again.encode(np.zeros((3, 3, 16, 16), dtype=np.uint8))
    np.testing.assert_array_equal(again.decode(codes), run.tokenizer.decode(codes))


def test_what_searches_for_its_codes_trains_on_pictures(pictures, tiny_images, tmp_path):
    settings = (
        *tiny_images, "data.dataset=pictures", "data.size=16", "data.holdout=5",
        "model.codes_per_window=4", "train.batch_size=4", "method.name=lopq-net",
        "model.components=64", "model.bases=4",
    )  # fmt: skip
    run, _ = train(settings, tmp_path / "run", pictures)
    assert math.isfinite(run.metrics["log_p"])
    again = ImageTokenizer.from_pretrained(tmp_path / "run")
    noise = np.random.default_rng(0).integers(0, 256, (5, 3, 16, 16), dtype=np.uint8)
    codes = again.encode(noise, effort=3)
    np.testing.assert_array_equal(again.decode(codes), run.tokenizer.decode(codes))


def test_runs_are_not_overwritten_and_only_their_own_settings_resume(
    image_run, blobs, tiny_images, tmp_path
):
    with pytest.raises(TrainingError, match="already holds a run"):
        train(tiny_images, image_run, blobs)
    with pytest.raises(TrainingError, match=r"model\.width"):
        train((*tiny_images, "model.width=32"), image_run, blobs, resume=True)


def test_what_cannot_be_trained_is_said_before_anything_is_written(blobs, tiny_images, tmp_path):
    with pytest.raises(DataError, match="--data"):
        train(tiny_images, tmp_path / "a", None)
    for method, why in (("lopq", "motion"), ("daps-pq", "binary"), ("pca-pq", "binary")):
        with pytest.raises(ConfigError, match=f"{method}.*{why}"):
            train((*tiny_images, f"method.name={method}"), tmp_path / "b", blobs)
    with pytest.raises(ConfigError, match=r"8192 of 196608 numbers.*data\.size"):
        train(("method.name=daps-pq",), tmp_path / "b", blobs, config="imagenet256")
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()


BENCH = """
config = "mnist"
[model]
width = 16
heads = 2
decoder_width = 16
[method]
samples = 4
[train]
batch_size = 8
validation_windows = 16
[budgets.32-bits]
train = { steps = 4 }
[methods.daps]
[methods.broken]
method = { name = "daps", samples = 1 }
[methods.fsq]
"""


def test_a_comparison_runs_reports_and_is_not_run_twice(blobs, tmp_path):
    pytest.importorskip(
        "vector_quantize_pytorch", reason="needs: pip install 'motiontok[baselines]'"
    )
    path = tmp_path / "bench.toml"
    path.write_text(BENCH)
    bench = load_bench(path)
    said: list[str] = []
    outcomes = run_image_bench(bench, out=tmp_path / "out", data=blobs, say=said.append)
    assert [o.result is not None for o in outcomes] == [True, False, True]
    text = comparison_markdown(bench, outcomes)
    assert "-46.54" in text  # the published row stands beside the measured one
    assert "samples must be at least 2" in text
    done = [o.result for o in outcomes if o.result]
    for result in done:
        assert f"{result['metrics']['psnr']:.2f}" in text
    # FSQ encodes in one way only: its PSNR stands where the published one is compared with.
    psnr = f"{done[1]['metrics']['psnr']:.2f}"
    assert f"| fsq | {psnr} | {psnr} |" in text
    said.clear()
    run_image_bench(bench, out=tmp_path / "out", data=blobs, say=said.append, only=["daps"])
    assert said == ["2 of 3 runs are there already"]
    with pytest.raises(ConfigError, match="no method 'gan'"):
        run_image_bench(bench, out=tmp_path / "out", data=blobs, only=["gan"])
    path.write_text(BENCH.replace("batch_size = 8", "batch_size = 9"))
    with pytest.raises(ConfigError, match="other settings"):
        run_image_bench(load_bench(path), out=tmp_path / "out", data=blobs)


def test_published_figures_stand_only_beside_runs_at_their_rate():
    assert published_for(load_config("mnist"))["daps"].beta_elbo == -46.54
    assert published_for(load_config("mnist", ("model.vocab_size=240",)))["fsq"].psnr == 18.42
    assert published_for(load_config("imagenet256"))["fsq"].fid == 54.54
    for name, settings in (
        ("mnist", ("model.codes_per_window=16",)),
        ("cifar10", ("model.vocab_size=64",)),
        ("imagenet256", ("data.size=128",)),
        ("pictures", ()),
    ):
        assert not published_for(load_config(name, settings)), name


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.codes_per_window=197", "28 x 28 pixels has no more than 196 patches"),
        ("data.size=3", "data.size 3: images of mnist have 28 pixels a side"),
    ],
)
def test_what_the_images_cannot_have_is_refused(setting, message, blobs, tiny_images, tmp_path):
    config = load_config("mnist", (*tiny_images, setting))
    with pytest.raises(ConfigError, match=message):
        run_image_training(config, out=tmp_path / "run", data=blobs)
    assert not (tmp_path / "run").exists()


def test_the_train_command(blobs, tiny_images, tmp_path):
    from click.testing import CliRunner

    keys = [part for key in (*tiny_images, "train.steps=3") for part in ("--set", key)]
    arguments = ["train", "mnist", "--data", str(blobs), "--out", str(tmp_path / "run"), *keys]
    result = CliRunner().invoke(cli, [*arguments, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "200 images to train on, 64 held out" in result.output
    assert "3 steps" in result.output


def test_the_compare_command_writes_report_and_pictures(blobs, tmp_path):
    from click.testing import CliRunner

    path = tmp_path / "bench.toml"
    path.write_text(BENCH.partition("[methods.broken]")[0])
    out = tmp_path / "out"
    arguments = ["compare", str(path), "--data", str(blobs), "--out", str(out), "--device", "cpu"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    text = (out / "report.md").read_text()
    for name in ("curves.png", "usage.png", "grid-32-bits.png"):
        assert (out / name).stat().st_size > 1000, name
        assert f"({name})" in text
    runs = json.loads((out / "report.json").read_text())["runs"]
    assert [run["method"] for run in runs] == ["daps"]
    assert runs[0]["log"][-1]["step"] == 4


@pytest.mark.parametrize("option", [("--rate-weight", "1"), ("--hold-path",), ("--codes", "3")])
def test_options_of_motion_are_refused_with_a_tokenizer_of_images(image_run, blobs, option):
    from click.testing import CliRunner

    result = CliRunner().invoke(cli, ["encode", str(blobs), "--tokenizer", str(image_run), *option])
    assert isinstance(result.exception, InputError)
    assert f"{option[0]} is for motion; {image_run} is a tokenizer of" in str(result.exception)
