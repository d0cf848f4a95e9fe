"""Pictures of every kind, crops, and streams of them."""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motiontok.data.images import (
    IMAGENET,
    Crop,
    ImageFile,
    ImageFiles,
    PictureSet,
    PictureStream,
    ShuffledOrder,
    Skipped,
    centre_crop,
    decode_all,
    find_images,
    load_square,
    open_picture,
    psnr,
    random_crop,
    ssim,
)
from motiontok.errors import DataError

Image = pytest.importorskip("PIL.Image", reason="needs: pip install pillow")


def packed(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def square(raw, size=8, name="x"):
    picture = open_picture(raw, name)
    return picture.square(centre_crop(picture.width, picture.height), size)


def plain(colour, size=(40, 30), mode="RGB"):
    return Image.new(mode, size, colour)


@pytest.fixture
def pictures(tmp_path):
    """Twelve pictures, each of one grey of its own."""
    for n in range(12):
        plain((20 * n,) * 3).save(tmp_path / f"{n:02d}.png")
    return [ImageFile(str(tmp_path / f"{n:02d}.png"), f"{n:02d}.png") for n in range(12)]


@pytest.mark.parametrize(
    ("image", "kind", "expected"),
    [
        (plain((200, 100, 50)), "PNG", (200, 100, 50)),
        (plain(77, mode="L"), "PNG", (77, 77, 77)),
        (plain((0, 0, 0, 0), mode="RGBA"), "PNG", (255, 255, 255)),
        (plain((0, 0, 0, 255), mode="RGBA"), "PNG", (0, 0, 0)),
        (plain((9, 0), mode="LA"), "PNG", (255, 255, 255)),
        (plain((0, 255, 255, 0), mode="CMYK"), "TIFF", (255, 0, 0)),
        (plain(1, mode="1"), "PNG", (255, 255, 255)),
        (plain((200, 100, 50)).quantize(4), "PNG", (200, 100, 50)),
        (plain((200, 100, 50)), "GIF", (200, 100, 50)),
        (plain((200, 100, 50), size=(1, 1)), "PNG", (200, 100, 50)),
        (plain((200, 100, 50), size=(900, 2)), "PNG", (200, 100, 50)),
    ],
)
def test_every_kind_of_picture_becomes_eight_bit_rgb(image, kind, expected):
    found = square(packed(image, kind))
    assert found.shape == (3, 8, 8)
    assert found.dtype == np.uint8
    assert np.abs(found.reshape(3, -1).T.astype(int) - expected).max() <= 2


def test_a_cmyk_jpeg_keeps_its_colours():
    raw = packed(plain((0, 255, 255, 0), mode="CMYK"), "JPEG", quality=95)
    red, green, blue = square(raw).reshape(3, -1).mean(axis=1)
    assert red > 230
    assert max(green, blue) < 30


@pytest.mark.parametrize("value", [0, 257, 65_535 // 2, 65_535])
def test_sixteen_bits_are_scaled_not_clipped(value):
    image = Image.fromarray(np.full((20, 20), value, dtype=np.uint16))
    assert np.abs(square(packed(image)).astype(int) - round(value / 257)).max() <= 1


def test_exif_orientation_is_followed():
    left_half_white = Image.new("RGB", (40, 20))
    left_half_white.paste("white", (0, 0, 20, 20))
    exif = left_half_white.getexif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise: the left side is on top
    picture = open_picture(packed(left_half_white, "JPEG", exif=exif), "x")
    assert (picture.width, picture.height) == (20, 40)
    found = picture.square(Crop(0, 0, 20, 40), 8)
    assert found[:, :3].min() > 200
    assert found[:, 5:].max() < 50


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not a picture",
        packed(plain("red"))[:60],
        packed(plain("red"))[:-30],
        packed(plain("red", size=(300, 300)), "JPEG")[:700],
        packed(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"),
    ],
)
def test_a_broken_picture_is_a_data_error_with_its_name(raw):
    with pytest.raises(DataError, match=r"^cat\.jpg: ") as caught:
        square(raw, name="cat.jpg")
    assert "object at" not in str(caught.value)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 2**32))
def test_random_crops_are_inside_and_of_the_right_shape(width, height, seed):
    crop = random_crop(width, height, np.random.default_rng(seed))
    assert crop.left >= 0
    assert crop.left + crop.width <= width + 1e-9
    assert crop.top >= 0
    assert crop.top + crop.height <= height + 1e-9
    if min(width, height) > 100 and max(width, height) / min(width, height) < 2:
        # Sides are whole pixels, hence the margin.
        assert 0.7 < crop.width / crop.height < 1.4
        assert crop.width * crop.height > 0.07 * width * height


def test_attempts_at_a_crop_differ():
    """A wide picture refuses most attempts; with one set of numbers for all ten, one refused
    attempt would mean that all are, and the middle is taken far more often."""
    crops = [random_crop(300, 100, np.random.default_rng(s)) for s in range(400)]
    fallback = sum(c.width == pytest.approx(400 / 3) and c.height == 100 for c in crops)
    assert fallback < 40
    assert 150 < sum(c.flip for c in crops) < 250


def test_a_flip_mirrors():
    image = Image.new("RGB", (20, 20))
    image.paste("white", (0, 0, 10, 20))
    picture = open_picture(packed(image), "x")
    one = picture.square(Crop(0, 0, 20, 20), 8)
    other = open_picture(packed(image), "x").square(Crop(0, 0, 20, 20, flip=True), 8)
    np.testing.assert_array_equal(one[..., ::-1], other)


def test_the_middle_is_not_stretched():
    image = Image.new("RGB", (90, 30))
    image.paste("white", (30, 0, 60, 30))
    assert square(packed(image)).min() > 200


def test_a_large_jpeg_decoded_small_looks_the_same():
    ramp = np.linspace(0, 255, 640).astype(np.uint8)
    image = Image.fromarray(np.stack([np.tile(ramp, (640, 1))] * 3, axis=-1))
    exact = square(packed(image), 32).astype(int)
    assert np.abs(square(packed(image, "JPEG", quality=95), 32).astype(int) - exact).max() < 10


@given(st.integers(1, 40), st.integers(0, 1000))
def test_every_epoch_is_a_permutation_and_any_place_can_be_found(count, seed):
    order = ShuffledOrder(count, seed=seed)
    sequence = [order[n] for n in range(3 * count)]
    for epoch in range(3):
        assert sorted(sequence[epoch * count : (epoch + 1) * count]) == list(range(count))
    assert [ShuffledOrder(count, seed=seed)[n] for n in (2 * count, 0, count)] == [
        sequence[n] for n in (2 * count, 0, count)
    ]


def test_a_stream_goes_on_in_the_middle_of_an_epoch(pictures):
    def stream(workers):
        return PictureStream(pictures, 8, seed=5, workers=workers)

    whole, one_thread, later = stream(3), stream(1), stream(2)
    expected = np.concatenate([whole.take(5) for _ in range(4)])
    np.testing.assert_array_equal(one_thread.take(20), expected)
    later.seek(10)
    np.testing.assert_array_equal(later.take(5), expected[10:15])
    whole.seek(5)
    np.testing.assert_array_equal(whole.take(5), expected[5:10])
    assert not np.array_equal(PictureStream(pictures, 8, seed=6).take(5), expected[:5])


def test_a_share_of_every_batch_is_decoded_and_no_more(pictures):
    whole = PictureStream(pictures, 8, seed=5)
    expected = np.stack([whole.take(6) for _ in range(4)])
    whole.close()
    places = []

    class Watched(PictureStream):
        def _decode(self, place, item):
            places.append(place)
            return super()._decode(place, item)

    part = Watched(pictures, 8, seed=5)
    found = np.stack([part.take(6, slice(2, 4)) for _ in range(4)])
    part.close()
    np.testing.assert_array_equal(found, expected[:, 2:4])
    assert {place % 6 for place in places} == {2, 3}


def test_pictures_are_decoded_where_a_process_has_no_list_of_its_cores(pictures, monkeypatch):
    # As on macOS and Windows; and with a number of torchrun's processes that is none.
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "0")
    with contextlib.closing(PictureStream(pictures, 8, seed=5)) as stream:
        assert stream.take(3).shape == (3, 3, 8, 8)
    decoded = decode_all(pictures[:2], 8, skipped=Skipped())
    assert [file for file, _ in decoded] == list(pictures[:2])


def test_bad_pictures_are_replaced_and_counted(pictures, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no")
    bad = ImageFile(str(tmp_path / "bad.jpg"), "bad.jpg")
    stream = PictureStream([*pictures, bad], 8, seed=0)
    assert stream.take(40).shape == (40, 3, 8, 8)
    assert list(stream.skipped.reasons) == ["bad.jpg"]
    missing = [ImageFile(str(tmp_path / "gone.png"), "gone.png")]
    with pytest.raises(DataError, match=r"in a row.*gone\.png"):
        PictureStream(missing, 8, seed=0).take(1)


def test_decoding_in_order_leaves_bad_ones_out(pictures, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no")
    bad = ImageFile(str(tmp_path / "bad.jpg"), "bad.jpg")
    skipped = Skipped()
    found = list(decode_all([*pictures[:3], bad, *pictures[3:]], 64, skipped=skipped))
    assert [f.name for f, _ in found] == [f.name for f in pictures]
    assert [int(s[0, 0, 0]) for _, s in found] == [20 * n for n in range(12)]
    assert list(skipped.reasons) == ["bad.jpg"]
    assert len(skipped.enlarged) == 12


def test_what_pictures_are_stored_as_is_counted(tmp_path):
    for mode, kind in (("RGB", "png"), ("L", "png"), ("CMYK", "jpg"), ("P", "png"), ("1", "png")):
        plain(0, mode=mode).save(tmp_path / f"{mode}.{kind}")
    for mode in ("LA", "RGBA"):
        plain(0, mode=mode).save(tmp_path / f"{mode}.png")
    skipped = Skipped()
    assert len(list(decode_all(find_images(tmp_path), 8, skipped=skipped))) == 7
    assert skipped.lines() == [
        "pictures converted to 8-bit RGB: 1 CMYK, 2 grey, 1 palette, 2 transparent"
    ]


def test_a_large_picture_is_read_without_a_warning(monkeypatch):
    """Pillow's own limit is a third of ours; elsewhere it goes on warning."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    raw = packed(Image.new("RGB", (12, 12)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert square(raw).shape[0] == 3
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(raw))


def test_a_set_of_pictures_trains_validates_and_resumes(pictures):
    files = ImageFiles(pictures[2:], pictures[:2], "")

    def opened():
        return PictureSet(files, IMAGENET, 8, seed=0, held_out=10)

    data = opened()
    generator = torch.Generator().manual_seed(0)
    assert data.validation.shape == (2, 3, 8, 8)
    assert IMAGENET.to_bytes(data.validation[1])[0, 0, 0] == 20
    first, second = data.batch(4, generator), data.batch(4, generator)
    assert first.shape == (4, 3, 8, 8)
    again = opened()
    again.seek(4)
    assert torch.equal(again.batch(4, generator), second)
    perfect = data.metrics(first, first)
    assert perfect["mse"] == 0
    assert perfect["ssim"] == pytest.approx(1)
    assert data.fingerprint == again.fingerprint
    other = PictureSet(ImageFiles(pictures[3:], pictures[:2], ""), IMAGENET, 8, seed=0, held_out=9)
    assert other.fingerprint != data.fingerprint


def test_held_out_pictures_must_be_usable(pictures, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no")
    bad = [ImageFile(str(tmp_path / "bad.jpg"), "bad.jpg")]
    with pytest.raises(DataError, match=r"no held-out picture.*bad\.jpg"):
        PictureSet(ImageFiles(pictures, bad, ""), IMAGENET, 8, seed=0, held_out=9)


def test_a_missing_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        load_square(ImageFile(str(tmp_path / "gone.png"), "gone.png"), 8)


def test_psnr_is_per_image():
    x = torch.zeros(2, 1, 16, 16)
    y = torch.stack([torch.full((1, 16, 16), 0.1), torch.full((1, 16, 16), 0.01)])
    torch.testing.assert_close(psnr(x, y), torch.tensor([20.0, 40.0]))


def test_ssim_agrees_with_the_formula_written_out():
    """Direct sums over every window, in NumPy."""
    rng = np.random.default_rng(0)
    x = rng.random((2, 1, 14, 13))
    y = np.clip(x + 0.2 * rng.standard_normal(x.shape), 0, 1)
    g = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
    weights = np.outer(g, g) / g.sum() ** 2
    expected = []
    for a, b in zip(x[:, 0], y[:, 0], strict=True):
        values = []
        for i in range(14 - 10):
            for j in range(13 - 10):
                p, q = a[i : i + 11, j : j + 11], b[i : i + 11, j : j + 11]
                mp, mq = (weights * p).sum(), (weights * q).sum()
                vp, vq = (weights * p * p).sum() - mp**2, (weights * q * q).sum() - mq**2
                c = (weights * p * q).sum() - mp * mq
                top = (2 * mp * mq + 1e-4) * (2 * c + 9e-4)
                values.append(top / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4)))
        expected.append(np.mean(values))
    np.testing.assert_allclose(ssim(torch.tensor(x), torch.tensor(y)), expected, rtol=1e-6)
