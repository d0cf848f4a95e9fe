"""Square crops of large photographs, in ImageNet's layout: a stand-in where there is no ImageNet.

    python tools/imagenet/crops.py OUT FOLDER... [--size 256] [--crops 60]

Photographs that anybody can get, from Debian packages (nothing is installed):

    apt-get download mate-backgrounds lomiri-wallpapers-16.04 lomiri-wallpapers-20.04
    for f in *.deb; do mkdir "${f%%_*}" && dpkg -x "$f" "${f%%_*}"; done

Every eighth photograph is held out whole, so no part of one is trained on. One class stands in
place of ImageNet's thousand. Crops are of all scales down to the size itself; those without
anything in them (sky, gradients) are left out.
"""

from __future__ import annotations

import argparse
import io
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from bvh.files import atomic_path
from motiontok.data.images import find_images

HOLDOUT = 8
LEAST_DEVIATION = 12.0
ATTEMPTS = 4
FINEST = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--crops", type=int, default=60, help="of one photograph, at most")
    arguments = parser.parse_args()
    files = [file for folder in arguments.folders for file in find_images(folder)]
    seen: set[int] = set()
    counts = {"train": 0, "val": 0}
    kept = 0
    for file in files:
        raw = file.read()
        # Packages hold the same photograph at several sizes and under several names.
        key = zlib.crc32(raw)
        if key in seen:
            continue
        seen.add(key)
        part = "val" if kept % HOLDOUT == 0 else "train"
        try:
            made = crop(raw, arguments.size, arguments.crops, seed=key)
        except OSError as error:
            print(f"skipped {file.name}: {error}")
            continue
        if not made:
            continue
        kept += 1
        name = Path(file.name).stem
        for number, part_of_it in enumerate(made):
            target = arguments.out / part / "photographs" / f"{name}_{number:04d}.png"
            with atomic_path(target) as temporary:
                part_of_it.save(temporary)
        counts[part] += len(made)
    print(f"{kept} photographs: {counts['train']} crops to train on, {counts['val']} held out")


def crop(raw: bytes, size: int, count: int, *, seed: int) -> list[Image.Image]:
    """Square crops of one photograph, none where it is too small."""
    photo = Image.open(io.BytesIO(raw))
    if min(photo.size) < 2 * size:
        return []
    # Finer than this, crops of a large photograph would be of nothing but blur.
    shrink = min(photo.size) / (FINEST * size)
    if shrink > 1:
        reduced = (int(photo.width / shrink), int(photo.height / shrink))
        photo.draft("RGB", reduced)
        photo = photo.resize(reduced, Image.Resampling.BICUBIC)
    photo = photo.convert("RGB")
    generator = np.random.default_rng(seed)
    found: list[Image.Image] = []
    for _ in range(ATTEMPTS * count):
        side = size * (min(photo.size) / size) ** generator.random()
        left, top = (generator.uniform(0, length - side) for length in photo.size)
        box = (left, top, left + side, top + side)
        part = photo.resize((size, size), Image.Resampling.BICUBIC, box=box)
        if np.asarray(part).std() >= LEAST_DEVIATION:
            found.append(part)
        if len(found) == count:
            break
    return found


if __name__ == "__main__":
    main()
