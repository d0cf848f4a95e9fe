"""The tokenizer of images, its files, its commands, and FID."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from motiontok.cli.main import cli
from motiontok.codes import Codes
from motiontok.errors import CodesError, DataError, InputError, TokenizerError
from motiontok.images import ImageCodes, ImageTokenizer, is_image_codes, is_image_tokenizer
from motiontok.images.fid import FrechetDistance, load_inception
from motiontok.tokenizer import MotionTokenizer


@pytest.fixture(scope="module")
def tokenizer(image_run):
    return ImageTokenizer.from_pretrained(image_run)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 1, 28, 28), dtype=np.uint8)


@pytest.fixture
def photos(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="needs: pip install pillow")
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    rng = np.random.default_rng(1)
    for name in ("a.jpg", "sub/b.png"):
        image.fromarray(rng.integers(0, 256, (30, 60, 3), dtype=np.uint8)).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"no")
    image.new("CMYK", (9, 9)).save(folder / "tiny.jpg")
    return folder


def run(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def test_codes_and_back(tokenizer, images):
    codes = tokenizer.encode(images)
    assert codes.shape == (5, 8)
    assert codes.min() >= 0
    assert codes.max() < 16
    np.testing.assert_array_equal(codes, tokenizer.encode(images))
    np.testing.assert_array_equal(codes[2:3], tokenizer.encode(images[2:3]))
    pixels = tokenizer.decode(codes)
    assert pixels.shape == images.shape
    assert pixels.dtype == np.uint8


def test_effort_does_not_hurt(tokenizer):
    images = np.zeros((8, 1, 28, 28), dtype=np.uint8)
    images[:, :, 5:17, 8:20] = 255
    x = tokenizer.pixels.standardize(torch.from_numpy(images))

    def score(effort):
        found = tokenizer.method.decode_parameters(
            torch.from_numpy(tokenizer.encode(images, effort=effort))
        )
        return tokenizer.method.likelihood.log_density(x, found)

    assert (score(8) >= score(1) - 1e-4).all()


def test_a_colour_photo_is_cut_resized_and_made_grey(tokenizer, photos):
    found = tokenizer.load(photos / "a.jpg")
    assert found.shape == (1, 28, 28)
    np.testing.assert_array_equal(tokenizer.encode(photos / "a.jpg"), tokenizer.encode(found[None]))


def test_saving_and_reading_back_is_the_same_tokenizer(tokenizer, images, tmp_path):
    tokenizer.save_pretrained(tmp_path / "t")
    again = ImageTokenizer.from_pretrained(tmp_path / "t")
    assert again.fingerprint == tokenizer.fingerprint
    np.testing.assert_array_equal(again.encode(images), tokenizer.encode(images))


def test_the_two_kinds_of_tokenizers_are_told_apart(image_run, tmp_path):
    assert is_image_tokenizer(image_run)
    assert is_image_tokenizer(image_run / "tokenizer")
    assert not is_image_tokenizer(tmp_path)
    with pytest.raises(TokenizerError, match="image-tokenizer"):
        MotionTokenizer.from_pretrained(image_run)
    with pytest.raises(TokenizerError, match="no such folder"):
        ImageTokenizer.from_pretrained(tmp_path / "nowhere")
    other = tmp_path / "motion"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({"format": "motiontok-tokenizer-1"}))
    with pytest.raises(TokenizerError, match="motiontok-tokenizer-1"):
        ImageTokenizer.from_pretrained(other)


def test_damaged_folders_are_refused(tokenizer, tmp_path):
    folder = tmp_path / "t"
    tokenizer.save_pretrained(folder)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4])
    with pytest.raises(TokenizerError, match="damaged"):
        ImageTokenizer.from_pretrained(folder)
    weights.write_bytes(whole[:-4] + b"\x00\x00\x80\x3f")
    with pytest.raises(TokenizerError, match="do not belong together"):
        ImageTokenizer.from_pretrained(folder)
    weights.unlink()
    with pytest.raises(TokenizerError, match="incomplete"):
        ImageTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, 1, 28, 28)),
        np.zeros((2, 1, 27, 28), np.uint8),
        np.zeros((1, 28, 28), np.uint8),
        np.zeros((0, 1, 28, 28), np.uint8),
    ],
)
def test_arrays_of_another_kind_are_refused(tokenizer, wrong):
    with pytest.raises(DataError, match=r"expected bytes \(images, 1, 28, 28\)"):
        tokenizer.encode(wrong)


def test_codes_outside_the_vocabulary_are_refused(tokenizer):
    with pytest.raises(CodesError, match="16"):
        tokenizer.decode(np.full((1, 8), 16))
    with pytest.raises(CodesError, match="8"):
        tokenizer.decode(np.zeros((1, 7), dtype=int))


def test_a_folder_through_the_commands_and_back(image_run, photos, tmp_path):
    codes = tmp_path / "codes.npy"
    result = run("encode", photos, "--tokenizer", image_run, "-o", codes)
    assert result.exit_code == 0, result.output
    assert "skipped broken.jpg" in result.output
    assert "smaller than wanted and enlarged: 1" in result.output
    assert "1 CMYK" in result.output
    array = np.load(codes, allow_pickle=False)
    assert array.dtype == np.uint16
    assert array.shape == (3, 8)
    names = ["a.jpg", "sub/b.png", "tiny.jpg"]
    assert json.loads(codes.with_suffix(".json").read_text())["names"] == names
    assert is_image_codes(codes)
    one = ImageTokenizer.from_pretrained(image_run).encode(photos / "sub" / "b.png")
    np.testing.assert_array_equal(array[1:2], one)
    result = run("decode", codes, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    image = pytest.importorskip("PIL.Image", reason="needs: pip install pillow")
    assert image.open(tmp_path / "out" / "a.png").size == (28, 28)
    assert (tmp_path / "out" / "sub" / "b.png").is_file()


def test_one_picture_through_the_commands_and_back(image_run, photos, tmp_path):
    codes, out = tmp_path / "one.npy", tmp_path / "one.png"
    assert run("encode", photos / "a.jpg", "--tokenizer", image_run, "-o", codes).exit_code == 0
    assert run("decode", codes, "-o", out).exit_code == 0
    assert out.is_file()


def test_only_pictures_that_their_ending_tells_apart_keep_it(tokenizer, image_run, tmp_path):
    codes, out = tmp_path / "codes.npy", tmp_path / "out"
    names = ("gray.png", "good.jpg", "good.png", "sub/good.jpg", "b.jpg.png", "b.jpg")
    array = np.zeros((len(names), tokenizer.codes_per_image), dtype=np.uint16)
    ImageCodes(array, tokenizer=str(image_run), names=names).save(codes)
    assert run("decode", codes, "-o", out).exit_code == 0
    assert {str(p.relative_to(out)) for p in out.rglob("*.png")} == {
        "gray.png", "good.jpg.png", "good.png.png", "sub/good.png", "b.jpg.png.png", "b.png",
    }  # fmt: skip


def test_names_in_a_sidecar_do_not_lead_outside(tokenizer, image_run, tmp_path):
    codes = tmp_path / "in" / "codes.npy"
    array = np.zeros((2, 8), dtype=np.uint16)
    names = ("../../outside.png", f"{tmp_path}/absolute.png")
    ImageCodes(array, tokenizer=str(image_run), names=names).save(codes)
    result = run("decode", codes, "-o", tmp_path / "in" / "out")
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "outside.png").exists()
    assert not (tmp_path / "absolute.png").exists()
    assert (tmp_path / "in" / "out" / "outside.png").is_file()


def test_mistakes_with_the_commands_are_explained(image_run, photos, tmp_path):
    for arguments, kind, said in (
        (("encode", photos / "a.jpg"), InputError, "--tokenizer"),
        (("encode", photos / "broken.jpg", "--tokenizer", image_run), DataError, "broken.jpg"),
        (("encode", photos / "sub" / "x", "--tokenizer", image_run), DataError, "No such file"),
        (("eval", image_run, "--fid", "--data", tmp_path), InputError, "Inception"),
        (("eval", image_run, "--data", tmp_path), DataError, "train-images"),
    ):
        error = run(*arguments).exception
        assert isinstance(error, kind), (arguments, error)
        assert said in str(error)
    codes = tmp_path / "codes.npy"
    run("encode", photos, "--tokenizer", image_run, "-o", codes)
    for out, said in ((tmp_path / "one.png", "give --out a folder"), ("x.mp4", "ends in")):
        error = run("decode", codes, "-o", out).exception
        assert isinstance(error, InputError)
        assert said in str(error)
    with pytest.raises(CodesError, match="codes of images"):
        Codes.load(codes)


def test_codes_of_another_tokenizer_are_refused(tokenizer):
    codes = ImageCodes(np.zeros((1, 8), dtype=np.uint16), fingerprint="0" * 16)
    with pytest.raises(CodesError, match=tokenizer.fingerprint):
        tokenizer.decode_codes(codes)


def test_damaged_sidecars_are_refused(tmp_path):
    path = tmp_path / "codes.npy"
    ImageCodes(np.zeros((2, 8), dtype=np.uint16), names=("a", "b")).save(path)
    beside = path.with_suffix(".json")
    values = json.loads(beside.read_text())
    for wrong in (
        {**values, "images": 3},
        {**values, "names": ["a"]},
        {**values, "kind": "sound"},
        {"format": 1},
        [1],
    ):
        beside.write_text(json.dumps(wrong))
        with pytest.raises(CodesError, match=r"codes\.json"):
            ImageCodes.load(path)
    beside.write_text("{")
    with pytest.raises(CodesError, match="damaged sidecar"):
        ImageCodes.load(path)
    beside.unlink()
    assert ImageCodes.load(path).names == ()


def test_eval_reports_what_the_run_did(image_run, blobs, tmp_path):
    result = run("eval", image_run, "--data", blobs, "-o", tmp_path, "--device", "cpu")
    assert result.exit_code == 0, result.output
    for name in ("usage.png", "grid.png"):
        assert (tmp_path / name).stat().st_size > 1000, name
    found = json.loads((tmp_path / "eval.json").read_text())
    metrics = json.loads((image_run / "metrics.json").read_text())
    assert found["test"]["images"] == 64
    for key in ("psnr", "ssim", "mse", "code_usage"):
        assert found["metrics"][key] == pytest.approx(metrics[key], rel=1e-4), key
    result = run("eval", image_run, "--data", blobs, "--effort", 8, "--json", "--device", "cpu")
    harder = json.loads(result.output)
    assert harder["effort"] == 8
    assert harder["metrics"]["psnr"] > metrics["psnr"]


class Twist(torch.nn.Module):
    """A stand-in for the Inception network: random features of small images."""

    def __init__(self, features: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.matrix = torch.nn.Parameter(torch.randn(3 * 4 * 4, features, generator=generator))

    def forward(self, images: torch.Tensor, return_features: bool) -> torch.Tensor:
        small = torch.nn.functional.adaptive_avg_pool2d(images.float(), [4, 4])
        return small.flatten(1) @ self.matrix


# torch deprecates TorchScript, in which the network is handed around.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


def saved(path, features):
    torch.jit.script(Twist(features)).save(str(path))
    return path


def test_fid_is_the_formula(tmp_path, monkeypatch):
    pytest.importorskip("torchmetrics", reason="needs: pip install 'motiontok[images]'")
    from scipy.linalg import sqrtm

    monkeypatch.setattr("motiontok.images.fid._Features.num_features", 6)
    network = load_inception(saved(tmp_path / "net.pt", 6))
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randint(256, (40, 3, 8, 8), generator=generator).byte() for _ in range(2))
    y = (0.7 * y.float()).byte()
    distance = FrechetDistance(network)
    for a, b in zip(x.split(16), y.split(16), strict=True):
        distance.update(a, b)
    f, g = (network(images).double().numpy() for images in (x, y))
    cf, cg = np.cov(f, rowvar=False), np.cov(g, rowvar=False)
    expected = ((f.mean(0) - g.mean(0)) ** 2).sum() + np.trace(cf + cg - 2 * sqrtm(cf @ cg).real)
    assert distance.compute() == pytest.approx(expected, rel=1e-3)


def test_the_network_of_fid_is_refused_with_instructions(tmp_path):
    with pytest.raises(InputError, match=r"inception-2015-12-05\.pt"):
        load_inception(None)
    with pytest.raises(InputError, match=r"nowhere.*inception-2015-12-05\.pt"):
        load_inception(tmp_path / "nowhere.pt")
    (tmp_path / "junk.pt").write_bytes(b"junk")
    with pytest.raises(InputError, match="not the Inception network"):
        load_inception(tmp_path / "junk.pt")
    with pytest.raises(InputError, match="2048"):
        load_inception(saved(tmp_path / "small.pt", 5))
