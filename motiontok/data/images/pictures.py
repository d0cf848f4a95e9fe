"""Pictures of any kind to square RGB images, by Pillow.

Pictures of every kind (grey, 16 bits, CMYK, a palette, with an alpha channel, turned by an EXIF
note) become RGB of eight bits a channel, upright, with transparent parts over white.
"""

from __future__ import annotations

import io
import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from motiontok.errors import DataError, MissingDependencyError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Crop", "Picture", "centre_crop", "is_picture", "open_picture", "random_crop"]

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"},
)
_MOST_PIXELS = 2**28
_ORIENTATION = 0x0112
_TURNED_SIDEWAYS = {5, 6, 7, 8}
_KINDS = {"1": "grey", "L": "grey", "I": "16-bit grey", "I;16": "16-bit grey", "P": "palette"}
_KINDS |= dict.fromkeys(("LA", "PA", "RGBA"), "transparent")
# Filters of warnings are the whole process's: headers are read one at a time.
_HEADERS = threading.Lock()


def is_picture(name: str) -> bool:
    """Whether a file name, of any case, ends like a picture's and is not hidden."""
    path = Path(name)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


@dataclass(frozen=True)
class Crop:
    """A rectangle of a picture, pixels, which need not be whole.

    Attributes:
        left, top, width, height: of the rectangle.
        flip: whether it is mirrored left to right.
    """

    left: float
    top: float
    width: float
    height: float
    flip: bool = False


def centre_crop(width: int, height: int) -> Crop:
    """The largest square in the middle: nothing is stretched."""
    side = min(width, height)
    return Crop((width - side) / 2, (height - side) / 2, side, side)


def random_crop(width: int, height: int, generator: np.random.Generator) -> Crop:
    """A random part of the picture, flipped half the time, as ImageNet is trained on.

    RandomResizedCrop: 8 to 100 % of the area, sides 3:4 to 4:3 (uniform in the logarithm),
    ten attempts, each with numbers of its own; if none fits, the largest part in the middle
    whose sides are in that range.
    """
    flip = bool(generator.random() < 0.5)
    for _ in range(10):
        area = width * height * generator.uniform(0.08, 1.0)
        ratio = math.exp(generator.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = generator.integers((width - w + 1, height - h + 1))
            return Crop(int(left), int(top), w, h, flip)
    across, down = min(width, height * 4 / 3), min(height, width * 4 / 3)
    return Crop((width - across) / 2, (height - down) / 2, across, down, flip)


class Picture:
    """An opened picture, not decoded yet.

    Attributes:
        width, height: pixels, as seen upright.
        kind: kind of storage, such as ``grey`` or ``CMYK``; empty for 8-bit RGB.
    """

    def __init__(self, image: Image, name: str) -> None:
        self._image = image
        self.kind = "" if image.mode == "RGB" else _KINDS.get(image.mode, image.mode)
        self._name = name
        self._orientation = int(image.getexif().get(_ORIENTATION, 1))
        width, height = image.size
        turned = self._orientation in _TURNED_SIDEWAYS
        self.width, self.height = (height, width) if turned else (width, height)

    def square(self, crop: Crop, size: int) -> NDArray[np.uint8]:
        """A part of the picture as ``(3, size, size)`` bytes.

        Args:
            crop: the part.
            size: side of the result; a smaller part is enlarged, bicubic as everywhere.

        Raises:
            DataError: the picture is damaged or of a kind that has no colours.
        """
        from PIL import Image, ImageOps

        with _explained(self._name):
            image = self._image
            # JPEG can be decoded at 1/2, 1/4 or 1/8: only as far as the part still has
            # ``size`` pixels.
            shrink = max(min(crop.width, crop.height) / size, 1.0)
            image.draft("RGB", (int(image.width / shrink), int(image.height / shrink)))
            image.load()
            image = ImageOps.exif_transpose(image) if self._orientation != 1 else image
            x, y = image.width / self.width, image.height / self.height
            box = (
                crop.left * x,
                crop.top * y,
                min((crop.left + crop.width) * x, image.width),
                min((crop.top + crop.height) * y, image.height),
            )
            image = _rgb(image).resize((size, size), Image.Resampling.BICUBIC, box=box)
            pixels = np.asarray(image, dtype=np.uint8).transpose(2, 0, 1)
        return np.ascontiguousarray(pixels[..., ::-1] if crop.flip else pixels)


def open_picture(raw: bytes, name: str) -> Picture:
    """Look at a picture's header.

    Args:
        raw: contents of the file.
        name: of the file, for messages.

    Raises:
        DataError: no picture, or one of absurd size.
        MissingDependencyError: Pillow is not installed.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingDependencyError(
            "images need Pillow: pip install 'motiontok[images]'"
        ) from None
    if not raw:
        raise DataError(f"{name}: empty file")
    with _explained(name):
        try:
            # Pillow warns of less than what is refused below.
            with _HEADERS, warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                image = Image.open(io.BytesIO(raw))
        except UnidentifiedImageError:
            # Pillow would name an object in memory.
            raise DataError("not a picture of a kind that can be read") from None
        if image.width * image.height > _MOST_PIXELS:
            raise DataError(f"{image.width} x {image.height} pixels are more than {_MOST_PIXELS}")
        return Picture(image, name)


def _rgb(image: Image) -> Image:
    """Eight bits, RGB."""
    from PIL import Image

    if image.mode.startswith("I"):
        # Pillow would clip 16 bits to 8 where they have to be scaled.
        return Image.fromarray((np.asarray(image).clip(0, 65_535) // 257).astype(np.uint8)).convert(
            "RGB"
        )
    if image.mode == "F":
        raise DataError("its pixels are floating-point numbers of unknown range")
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Any failure of Pillow as one of ours, since decoders raise all kinds of errors."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    except Exception as error:
        line = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{name}: not a readable picture ({line})") from None
