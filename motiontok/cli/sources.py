"""Reading whatever holds a motion: a BVH clip, a motion.npz or codes.npy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from motiontok.errors import InputError
from motiontok.paths import SHIPPED_TOKENIZER

if TYPE_CHECKING:
    from bvh import Motion
    from bvh.motion_io import Calibrations
    from motiontok.codes import Codes
    from motiontok.tokenizer import MotionTokenizer

__all__ = ["load_motion", "open_codes", "open_tokenizer_of"]


def load_motion(
    path: str | Path,
    *,
    tokenizer: str | None = None,
    device: str = "cpu",
    calibrations: Calibrations | None = None,
) -> Motion:
    """Canonical motion of a file, chosen by its name's ending; notes on what looks wrong.

    Args:
        path: ``.bvh`` (also ``.bvh.gz`` or a member of an archive), ``.npz`` or ``.npy``.
        tokenizer: folder for codes; by default what the codes name, else the shipped one.
        device: where to decode codes.
        calibrations: of the rigs that a tokenizer knows, for what is to be encoded with it.

    Raises:
        InputError, BVHError: the file cannot be used.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        codes, opened = open_codes(path, tokenizer=tokenizer, device=device)
        return opened.decode_codes(codes)
    if suffix == ".json" and path.with_suffix(".npy").is_file():
        raise InputError(f"{path}: this is the sidecar; give {path.with_suffix('.npy')}")
    from bvh import motion_io

    loaded = motion_io.load_motion(path, calibrations=calibrations)
    for line in loaded.remarks:
        print(f"note: {path}: {line}", file=sys.stderr)
    return loaded.motion


def open_codes(
    path: Path, *, tokenizer: str | None, device: str = "cpu"
) -> tuple[Codes, MotionTokenizer]:
    """Codes and the tokenizer to decode them with."""
    from motiontok.codes import Codes

    codes = Codes.load(path)
    return codes, open_tokenizer_of(codes, path, tokenizer=tokenizer, device=device)


def open_tokenizer_of(
    codes: Codes, path: Path, *, tokenizer: str | None, device: str
) -> MotionTokenizer:
    """The tokenizer that is given, or that codes of a file or folder name."""
    from motiontok.tokenizer import MotionTokenizer

    folder = tokenizer or codes.tokenizer or SHIPPED_TOKENIZER
    named = not tokenizer and folder != SHIPPED_TOKENIZER
    if named and not Path(folder).is_dir():
        raise InputError(
            f"{path}: its tokenizer {folder} is not there any more; give --tokenizer its folder"
        )
    if named:
        print(f"decoding with {folder}, which {path.name} names", file=sys.stderr)
    return MotionTokenizer.from_pretrained(folder, device=device)
