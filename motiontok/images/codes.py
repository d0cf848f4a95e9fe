"""Codes of images: ``codes.npy``, one row an image, and its sidecar ``codes.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bvh.atomic_write import atomic_path
from motiontok.errors import CodesError

__all__ = ["ImageCodes", "is_image_codes"]

_FORMAT = 1
_KIND = "images"


@dataclass(frozen=True, eq=False)
class ImageCodes:
    """Tokens of images.

    Attributes:
        array: ``(images, codes_per_image)`` uint16.
        fingerprint: of the tokenizer that made them; empty if unknown.
        tokenizer: where that tokenizer was found, a hint for decoding.
        names: of the images; empty if unknown.
        licence: note on the licence of the tokenizer's training data.
    """

    array: NDArray[np.uint16]
    fingerprint: str = ""
    tokenizer: str = ""
    names: tuple[str, ...] = ()
    licence: str = ""

    def save(self, path: str | Path) -> None:
        """Write ``path`` (.npy) and its sidecar, both or neither.

        Raises:
            CodesError: the name does not end in ``.npy``.
            OSError: the folder cannot be written, or the disk is full.
        """
        path = Path(path)
        if path.suffix != ".npy":
            raise CodesError(f"{path}: codes are written to a .npy file")
        sidecar = {
            "format": _FORMAT,
            "kind": _KIND,
            "fingerprint": self.fingerprint,
            "tokenizer": self.tokenizer,
            "images": len(self.array),
            "names": list(self.names),
            "licence": self.licence,
        }
        with atomic_path(path.with_suffix(".json")) as beside, atomic_path(path) as temporary:
            beside.write_text(json.dumps(sidecar, indent=1) + "\n", encoding="utf-8")
            with temporary.open("wb") as file:
                np.save(file, self.array.astype(np.uint16), allow_pickle=False)

    @classmethod
    def load(cls, path: str | Path) -> ImageCodes:
        """Read codes and, where there is one, their sidecar.

        Raises:
            CodesError: missing, damaged, of the wrong type or shape, or of motion.
        """
        path = Path(path)
        try:
            array = np.load(path, allow_pickle=False)
        except FileNotFoundError:
            raise CodesError(f"{path}: no such file") from None
        except (OSError, ValueError, EOFError, MemoryError) as error:
            raise CodesError(f"{path}: not a .npy array of codes ({error})") from None
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "ui" or array.ndim != 2:
            what = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "an archive"
            raise CodesError(f"{path}: expected integers (images, codes_per_image), found {what}")
        if array.size == 0 or array.min() < 0 or array.max() > 65_535:
            raise CodesError(f"{path}: holds no codes, or some outside 0 to 65535")
        beside = path.with_suffix(".json")
        if not beside.is_file():
            return cls(array.astype(np.uint16))
        try:
            values = json.loads(beside.read_text(encoding="utf-8"))
            if values["format"] != _FORMAT or values.get("kind") != _KIND:
                raise CodesError(f"{beside}: describes no codes of images")
            if values["images"] != len(array):
                raise CodesError(
                    f"{beside}: describes {values['images']} images, the codes beside it are of "
                    f"{len(array)}; remove it to decode with defaults"
                )
            if values["names"] and len(values["names"]) != len(array):
                raise CodesError(
                    f"{beside}: names {len(values['names'])} images, the codes beside it are of "
                    f"{len(array)}; remove it to decode with defaults"
                )
            return cls(
                array.astype(np.uint16),
                fingerprint=str(values["fingerprint"]),
                tokenizer=str(values["tokenizer"]),
                names=tuple(str(n) for n in values["names"]),
                licence=str(values["licence"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CodesError(
                f"{beside}: damaged sidecar ({type(error).__name__}: {error}); remove it to decode "
                "with defaults"
            ) from None


def is_image_codes(path: Path) -> bool:
    """Whether the sidecar beside a codes file says that they are of images."""
    try:
        values = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and values.get("kind") == _KIND
