"""Human motion capture to short discrete tokens and back into robot motion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from motiontok.codes import Codes
    from motiontok.data import Start
    from motiontok.tokenizer import MotionTokenizer

__all__ = ["Codes", "MotionTokenizer", "Start"]


def __getattr__(name: str) -> Any:
    # torch takes a second to import; `motiontok --help` must not pay for it.
    if name == "MotionTokenizer":
        from motiontok.tokenizer import MotionTokenizer

        return MotionTokenizer
    if name == "Codes":
        from motiontok.codes import Codes

        return Codes
    if name == "Start":
        from motiontok.data import Start

        return Start
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    # Names that were not asked for yet, too: tab completion finds them.
    return sorted({*globals(), *__all__})
