"""Folders of pictures: ImageNet in the layouts people have it in, and any other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from motiontok.data.images.files import ImageFile, ImageFiles, find_images
from motiontok.data.images.index import indexed_images
from motiontok.errors import DataError

__all__ = ["find_imagenet", "find_pictures"]

_CLASS = re.compile(r"n\d{8}")
_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_TRAIN_TAR = "ILSVRC2012_img_train.tar"
_VAL_TAR = "ILSVRC2012_img_val.tar"
# Where the official toolkit, Kaggle and torchvision put things.
_INSIDE = ("", "Data/CLS-LOC", "ILSVRC/Data/CLS-LOC")
_TRUTH_AT = ("", "data", "devkit/data", "ILSVRC2012_devkit_t12/data", "val")


def find_pictures(folder: Path, *, holdout: int) -> ImageFiles:
    """Any folder of pictures, at any depth; every ``holdout``-th is held out.

    Raises:
        DataError: no such folder, or fewer than two pictures in it.
    """
    found = find_images(folder)
    if len(found) < 2:
        raise DataError(
            f"{folder}: {len(found)} pictures in it (.jpg, .png, .webp, ...); at least 2 are needed"
        )
    held_out = found[::holdout]
    training = [f for n, f in enumerate(found) if n % holdout]
    return ImageFiles(training, held_out, f"1 in {holdout} pictures held out")


def find_imagenet(root: Path) -> ImageFiles:
    """ImageNet's training and validation pictures.

    Training: class folders ``train/n01440764/*.JPEG``, or tar archives in ``train/`` (one a
    class, or shards), or ``ILSVRC2012_img_train.tar`` as it is downloaded. Validation:
    class folders, flat ``val/*.JPEG``, tar archives, or ``ILSVRC2012_img_val.tar``. Beside
    flat validation the official ground-truth file is checked where it is found.

    Raises:
        DataError: not ImageNet's root, a part is missing or empty, a class lacks pictures, or
            an archive is truncated.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give the one with train and val in it")
    inside = next((root / p for p in _INSIDE if _has_training(root / p)), None)
    if inside is None:
        hint = ""
        if root.name in ("train", "val") and _has_training(root.parent):
            hint = f"; give {root.parent}"
        raise DataError(
            f"{root}: not ImageNet's root: no train folder and no {_TRAIN_TAR} in it{hint}"
        )
    training = _part(inside, "train", _TRAIN_TAR)
    held_out = _part(inside, "val", _VAL_TAR)
    classes = _classes(inside / "train", training)
    validated = _classes(inside / "val", held_out)
    note = f"{len(classes)} classes" if classes else "no classes known"
    if validated:
        missing = sorted(validated - classes)
        if missing:
            raise DataError(
                f"{inside / 'train'}: lacks {len(missing)} classes that val has: "
                f"{', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}"
            )
    else:
        note += ", " + _truth(root, inside, held_out)
    return ImageFiles(training, held_out, note)


def _has_training(folder: Path) -> bool:
    return (folder / "train").is_dir() or (folder / _TRAIN_TAR).is_file()


def _part(inside: Path, name: str, archive: str) -> Sequence[ImageFile]:
    folder = inside / name
    if (inside / archive).is_file() and not folder.is_dir():
        folder, found = inside / archive, indexed_images(inside / archive)
    elif folder.is_dir():
        shards = sorted(folder.glob("[!.]*.tar"))
        found = [file for shard in shards for file in _shard(shard)] or find_images(folder)
    else:
        raise DataError(f"{inside}: no {name} folder and no {archive} in it")
    if not found:
        raise DataError(f"{folder}: no pictures in it")
    return found


def _shard(path: Path) -> list[ImageFile]:
    found = indexed_images(path)
    if not _CLASS.fullmatch(path.stem):
        return found
    # A class's own archive holds its pictures without a folder: its name is the class.
    return [
        ImageFile(f.path, f"{path.stem}/{f.name.rpartition('/')[2]}", f.offset, f.size)
        for f in found
    ]


def _classes(folder: Path, files: Sequence[ImageFile]) -> set[str]:
    """Classes by folder; empty where pictures lie flat."""
    classes = {f.folder for f in files} - {"", "."}
    if folder.is_dir() and classes:
        below = {p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")}
        empty = sorted(below - classes)
        if empty and len(below) > len(empty):
            raise DataError(
                f"{folder}: no pictures of {len(empty)} classes: {', '.join(empty[:3])}"
                f"{', ...' if len(empty) > 3 else ''}; unpack them again"
            )
    return classes


def _truth(root: Path, inside: Path, held_out: Sequence[ImageFile]) -> str:
    """Check the ground truth of flat validation, where it is; what to say of it."""
    places = [base / place / _TRUTH for base in (root, inside) for place in _TRUTH_AT]
    path = next((p for p in places if p.is_file()), None)
    if path is None:
        return f"validation without labels (no {_TRUTH}), which tokenizing does not need"
    try:
        labels = [int(line) for line in path.read_text(encoding="ascii").split()]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not ImageNet's ground truth ({error})") from None
    if len(labels) != len(held_out):
        raise DataError(
            f"{path}: {len(labels)} labels for {len(held_out)} validation pictures; one of the two "
            "is incomplete"
        )
    return f"validation with ground truth of {len(set(labels))} classes"
