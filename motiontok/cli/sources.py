"""Reading whatever holds a motion: a BVH clip, a motion.npz or codes.npy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from motiontok.errors import InputError
from motiontok.paths import SHIPPED_TOKENIZER

if TYPE_CHECKING:
    from bvh import BVHError, Clip, Motion
    from motiontok.codes import Codes
    from motiontok.tokenizer import MotionTokenizer

__all__ = ["in_file", "load_motion", "open_codes", "open_tokenizer_of"]


def load_motion(path: str | Path, *, tokenizer: str | None = None, device: str = "cpu") -> Motion:
    """Canonical motion of a file, chosen by its name's ending; a note where it jumps.

    Args:
        path: ``.bvh`` (also ``.bvh.gz`` or a member of an archive), ``.npz`` or ``.npy``.
        tokenizer: folder for codes; by default what the codes name, else the shipped one.
        device: where to decode codes.

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
    from bvh import Motion
    from bvh.normalizer.plausible import find_jumps

    motion = Motion.load(path) if suffix == ".npz" else _load_bvh(path)
    for line in find_jumps(motion.root_positions, motion.fps):
        print(f"note: {path}: {line}", file=sys.stderr)
    return motion


def _load_bvh(path: Path) -> Motion:
    from bvh import BVHError, normalize, read

    clip = read(path)
    try:
        return normalize(clip)
    except BVHError as error:
        raise in_file(path, clip, error) from None


def in_file(path: Path, clip: Clip, error: BVHError) -> BVHError:
    """The error said of the file: the normaliser knows a clip's name only, which many may have."""
    message, name = str(error), f"{clip.name}: "
    return type(error)(f"{path}: {message[len(name) :]}" if message.startswith(name) else message)


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
