"""Square crops of large photographs, in ImageNet's layout: a stand-in where there is no ImageNet.

    python tools/imagenet/crops.py OUT --train FOLDER... --val FOLDER... [--size 256] [--crops 100]

Photographs that anybody can get, from Debian packages (nothing is installed), 28 to train on and
9 held out; no part of a held-out one is trained on:

    apt-get download mate-backgrounds lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 \\
        plasma-workspace-wallpapers
    for f in *.deb; do dpkg -x "$f" .; done
    mkdir train val
    mv usr/share/backgrounds/mate/nature/*.jpg train
    cd usr/share/backgrounds; mv *_by_Aitzol* *_by_freespace* Wine* seeding* ../../../val
    mv Bridge* Dragonfly* free_* greentock* Kleiber* ../../../train; cd ../wallpapers
    for n in BytheWater ColdRipple ColorfulCups DarkestHour EveningGlow FallenLeaf Grey Kite \\
        OneStandsOut Path summer_1am; do
        mv $n/contents/images/2560x1600.jpg ../../../train/$n.jpg
    done

One class stands in place of ImageNet's thousand. Crops are of all scales down to the size itself;
those without anything in them (sky, gradients) are left out. They are JPEGs, as ImageNet's are.
"""

from __future__ import annotations

import argparse
import io
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from bvh.atomic_write import atomic_path
from motiontok.data.images import find_images

LEAST_DEVIATION = 12.0
ATTEMPTS = 4
FINEST = 8
QUALITY = 95


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=Path, nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--val", type=Path, nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--crops", type=int, default=100, help="of one photograph, at most")
    arguments = parser.parse_args()
    # Packages hold the same photograph under several names; what is held out comes first, so
    # that none of it is trained on.
    seen: set[int] = set()
    for part, folders in (("val", arguments.val), ("train", arguments.train)):
        photographs = crops = 0
        for file in (file for folder in folders for file in find_images(folder)):
            raw = file.read()
            key = zlib.crc32(raw)
            if key in seen:
                continue
            seen.add(key)
            try:
                made = crop(raw, arguments.size, arguments.crops, seed=key)
            except OSError as error:
                print(f"skipped {file.name}: {error}")
                continue
            for number, square in enumerate(made):
                name = f"{Path(file.name).stem}_{number:04d}.JPEG"
                with atomic_path(arguments.out / part / "photographs" / name) as temporary:
                    square.save(temporary, "JPEG", quality=QUALITY)
            photographs += bool(made)
            crops += len(made)
        print(f"{part}: {crops} crops of {photographs} photographs")


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
