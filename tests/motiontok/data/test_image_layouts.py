"""ImageNet as people have it, and any folder of pictures."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest

from motiontok.data.images import find_imagenet, find_images, find_pictures, load_square, tar_images
from motiontok.data.images.index import indexed_images
from motiontok.errors import DataError

Image = pytest.importorskip("PIL.Image", reason="needs: pip install pillow")

CLASSES = ("n01440764", "n01443537", "n01484850")
TRUTH = "ILSVRC2012_validation_ground_truth.txt"


def picture(value):
    out = io.BytesIO()
    Image.new("RGB", (12, 10), (value,) * 3).save(out, "PNG")
    return out.getvalue()


def put(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture(value))


def tar_of(path, members):
    """A tar archive of names and contents."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def values(files):
    return [int(load_square(f, 4)[0, 0, 0]) for f in files]


@pytest.fixture
def folders(tmp_path):
    for n, name in enumerate(CLASSES):
        for m in range(3):
            put(tmp_path / "train" / name / f"{name}_{m}.JPEG", 10 * n + m)
        put(tmp_path / "val" / name / f"ILSVRC2012_val_{n}.JPEG", 100 + n)
    return tmp_path


def flat(root, count=6):
    for n in range(count):
        put(root / "val" / f"ILSVRC2012_val_{n:08d}.JPEG", 100 + n)


def without_val(root):
    for path in sorted((root / "val").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def test_class_folders(folders):
    found = find_imagenet(folders)
    assert values(found.training) == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert values(found.held_out) == [100, 101, 102]
    assert "3 classes" in found.note


def test_kaggles_nesting(folders, tmp_path):
    root = tmp_path / "outer"
    (root / "ILSVRC" / "Data").mkdir(parents=True)
    inner = root / "ILSVRC" / "Data" / "CLS-LOC"
    inner.mkdir()
    for part in ("train", "val"):
        (folders / part).rename(inner / part)
    assert len(find_imagenet(root).training) == 9


def test_flat_validation_with_the_official_ground_truth(folders):
    without_val(folders)
    flat(folders)
    assert "without labels" in find_imagenet(folders).note
    truth = folders / "ILSVRC2012_devkit_t12" / "data" / TRUTH
    truth.parent.mkdir(parents=True)
    truth.write_text("1\n2\n3\n1\n2\n3\n")
    found = find_imagenet(folders)
    assert "ground truth of 3 classes" in found.note
    assert values(found.held_out) == [100, 101, 102, 103, 104, 105]
    truth.write_text("1\n2\n")
    with pytest.raises(DataError, match="2 labels for 6"):
        find_imagenet(folders)
    truth.write_text("one\n")
    with pytest.raises(DataError, match="not ImageNet's ground truth"):
        find_imagenet(folders)


def test_archives_as_downloaded(tmp_path):
    """The training archive holds one archive a class; nothing is unpacked."""
    inner = {}
    for n, name in enumerate(CLASSES):
        content = tmp_path / f"{name}.tar"
        tar_of(content, {f"{name}_{m}.JPEG": picture(10 * n + m) for m in range(2)})
        inner[content.name] = content.read_bytes()
        content.unlink()
    tar_of(tmp_path / "ILSVRC2012_img_train.tar", inner)
    tar_of(
        tmp_path / "ILSVRC2012_img_val.tar",
        {f"ILSVRC2012_val_{n}.JPEG": picture(100 + n) for n in range(4)},
    )
    before = sorted(p.name for p in tmp_path.iterdir())
    found = find_imagenet(tmp_path)
    assert values(found.training) == [0, 1, 10, 11, 20, 21]
    assert values(found.held_out) == [100, 101, 102, 103]
    assert "3 classes" in found.note
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_an_archive_a_class_and_shards(tmp_path):
    for n, name in enumerate(CLASSES):
        tar_of(tmp_path / "train" / f"{name}.tar", {f"./{name}_0.JPEG": picture(n)})
    flat(tmp_path, 2)
    found = find_imagenet(tmp_path)
    assert values(found.training) == [0, 1, 2]
    assert "3 classes" in found.note
    tar_of(tmp_path / "val" / "000000.tar", {"000.jpg": picture(7), "000.cls": b"5"})
    assert values(find_imagenet(tmp_path).held_out) == [7]


def test_archives_are_read_safely(tmp_path):
    """Names only name; links and devices are passed over."""
    path = tmp_path / "odd.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("../../escape.png", "/etc/absolute.png"):
            info = tarfile.TarInfo(name)
            info.size = len(picture(3))
            archive.addfile(info, io.BytesIO(picture(3)))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        pipe = tarfile.TarInfo("pipe.png")
        pipe.type = tarfile.FIFOTYPE
        archive.addfile(pipe)
    found = tar_images(path)
    assert [f.name for f in found] == ["../../escape.png", "/etc/absolute.png"]
    assert values(found) == [3, 3]


@pytest.mark.parametrize("cut", [200, 700, 1200, 2500])
def test_a_truncated_archive_is_refused_by_name(tmp_path, cut):
    path = tmp_path / "shard.tar"
    rng = np.random.default_rng(0)
    noise = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(noise, "PNG")
    tar_of(path, {f"{n}.png": noise.getvalue() for n in range(3)})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"shard\.tar: .*truncated"):
        tar_images(path)


def test_places_in_a_large_archive_are_kept_until_it_changes(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setenv("MOTIONTOK_CACHE", str(cache))
    monkeypatch.setattr("motiontok.data.images.index._WORTH", 3)
    path = tmp_path / "shard.tar"
    tar_of(path, {f"{n}.png": picture(n) for n in range(4)})
    first = indexed_images(path)
    (kept,) = cache.rglob("*.npz")
    with monkeypatch.context() as patch:
        patch.setattr("motiontok.data.images.index.tar_images", lambda path: pytest.fail("read"))
        assert indexed_images(path) == first
        assert values(indexed_images(path)) == [0, 1, 2, 3]
    kept.write_bytes(kept.read_bytes()[:50])
    assert indexed_images(path) == first
    tar_of(path, {f"{n}.png": picture(50 + n) for n in range(6)})
    assert values(indexed_images(path)) == [50, 51, 52, 53, 54, 55]
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match="truncated"):
        indexed_images(path)


def test_a_cache_that_cannot_be_written_does_not_stand_in_the_way(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("motiontok.data.images.index._WORTH", 1)
    tar_of(tmp_path / "shard.tar", {"0.png": picture(7)})
    with pytest.warns(RuntimeWarning, match="MOTIONTOK_CACHE"):
        assert values(indexed_images(tmp_path / "shard.tar")) == [7]


def test_a_compressed_archive_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "shard.tar"
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("a.png")
        info.size = len(picture(1))
        archive.addfile(info, io.BytesIO(picture(1)))
    with pytest.raises(DataError, match=r"compressed.*unpack"):
        tar_images(path)


def test_wrong_roots_say_what_is_missing(folders, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        find_imagenet(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no train folder"):
        find_imagenet(folders / "train" / CLASSES[0])
    with pytest.raises(DataError, match=f"give {folders}$"):
        find_imagenet(folders / "train")
    without_val(folders)
    with pytest.raises(DataError, match="no pictures"):
        find_imagenet(folders)
    (folders / "val").rmdir()
    with pytest.raises(DataError, match="no val folder"):
        find_imagenet(folders)


def test_missing_classes_are_named(folders):
    for path in (folders / "train" / CLASSES[1]).iterdir():
        path.unlink()
    with pytest.raises(DataError, match=f"no pictures of 1 classes: {CLASSES[1]}"):
        find_imagenet(folders)
    (folders / "train" / CLASSES[1]).rmdir()
    with pytest.raises(DataError, match=f"lacks 1 classes that val has: {CLASSES[1]}"):
        find_imagenet(folders)


def test_any_folder_in_natural_order(tmp_path):
    for n in range(1, 12):
        put(tmp_path / "deep" / f"photo{n}.png", n)
    put(tmp_path / ".hidden" / "x.png")
    put(tmp_path / "._photo1.png")
    (tmp_path / "notes.txt").write_text("no")
    assert values(find_images(tmp_path)) == list(range(1, 12))
    found = find_pictures(tmp_path, holdout=5)
    assert values(found.held_out) == [1, 6, 11]
    assert values(found.training) == [2, 3, 4, 5, 7, 8, 9, 10]
    assert found.note == "1 in 5 pictures held out"


def test_folders_without_pictures_are_refused(tmp_path):
    with pytest.raises(DataError, match="0 pictures"):
        find_pictures(tmp_path, holdout=5)
    with pytest.raises(DataError, match="no such folder"):
        find_pictures(tmp_path / "nowhere", holdout=5)
    put(tmp_path / "one.png")
    with pytest.raises(DataError, match="is a file"):
        find_images(tmp_path / "one.png")
