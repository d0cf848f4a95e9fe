"""Codes in a folder, each beside its sidecar as ``motiontok encode FOLDER`` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from motiontok.errors import InputError

if TYPE_CHECKING:
    from bvh import Motion
    from motiontok.tokenizer import MotionTokenizer

__all__ = ["CodesDecoder", "codes_in"]


def codes_in(folder: Path) -> list[str]:
    """Relative POSIX paths of the codes below ``folder``: each ``.npy`` with a ``.json`` beside it.

    Arrays without a sidecar are left out: a ``.npy`` may also hold joint positions.
    """
    return [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.npy")
        if not path.name.startswith(".") and path.with_suffix(".json").is_file()
    ]


class CodesDecoder:
    """Decodes files of codes, and opens each tokenizer once.

    Args:
        tokenizer: folder of the tokenizer; by default the one that the codes name, else the
            shipped one.
    """

    def __init__(self, tokenizer: str | None) -> None:
        self._tokenizer = tokenizer
        self._opened: dict[str, MotionTokenizer] = {}

    def __call__(self, path: Path) -> Motion:
        """The motion of a file of codes.

        Raises:
            InputError: the codes are damaged, or not of this tokenizer; the message names the file.
            TokenizerError: the tokenizer cannot be opened.
        """
        from motiontok.cli.sources import open_tokenizer_of
        from motiontok.codes import Codes
        from motiontok.errors import CodesError
        from motiontok.motion_io import require_of

        try:
            codes = Codes.load(path)
            # An empty name is the shipped tokenizer's.
            name = self._tokenizer or codes.tokenizer
            if name not in self._opened:
                self._opened[name] = open_tokenizer_of(
                    codes, path, tokenizer=self._tokenizer, device="cpu"
                )
            require_of(codes, path, self._opened[name])
            return self._opened[name].decode_codes(codes)
        except CodesError as error:
            raise InputError(str(error)) from None
