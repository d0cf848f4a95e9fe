"""How many pictures a processor core decodes a second, as training and evaluation take them.

    python tools/bench/pictures.py FOLDER [--size 256] [--count 200]

Pictures of ImageNet's usual size (500 x 375, JPEG, quality 90) are made of FOLDER's first, so
that the number does not hang on how large those are. Processor time, one thread: what else the
machine does hardly matters.
"""

from __future__ import annotations

import argparse
import io
import itertools
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from motiontok.data.images import ImageFile, find_images, load_square

SIZE = (500, 375)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--count", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = make(arguments.folder, Path(folder), arguments.count)
        megabytes = sum(Path(f.path).stat().st_size for f in files) / 1e6
        print(f"{len(files)} pictures of {SIZE[0]} x {SIZE[1]}, {megabytes:.1f} MB")
        generator = np.random.default_rng(0)
        for name, of in (("random crop and flip", generator), ("middle square", None)):
            for file in files[:5]:
                load_square(file, arguments.size, generator=of)
            begin = time.process_time()
            for file in files:
                load_square(file, arguments.size, generator=of)
            seconds = time.process_time() - begin
            print(f"{name}, {arguments.size} pixels: {len(files) / seconds:.0f} pictures/s a core")


def make(source: Path, folder: Path, count: int) -> list[ImageFile]:
    """JPEGs of ImageNet's usual size, cut from ``source``'s."""
    found = find_images(source)[:12]
    out = []
    for number, file in zip(range(count), itertools.cycle(found)):
        path = folder / f"{number}.jpg"
        if number < len(found):
            photo = Image.open(io.BytesIO(file.read())).convert("RGB")
            photo.resize(SIZE, Image.Resampling.BICUBIC).save(path, quality=90)
        else:
            path.write_bytes((folder / f"{number % len(found)}.jpg").read_bytes())
        out.append(ImageFile(str(path), path.name))
    return out


if __name__ == "__main__":
    main()
