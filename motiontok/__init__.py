"""Human motion capture to short discrete tokens and back into robot motion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from motiontok.lazy_imports import lazy_names

if TYPE_CHECKING:
    from motiontok.codes import Codes
    from motiontok.data import Start
    from motiontok.tokenizer import MotionTokenizer

__all__ = ["Codes", "MotionTokenizer", "Start"]

# torch takes a second to import; `motiontok --help` must not pay for it.
__getattr__, __dir__ = lazy_names(
    __name__,
    {"codes": ("Codes",), "data": ("Start",), "tokenizer": ("MotionTokenizer",)},
)
