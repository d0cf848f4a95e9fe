"""Methods of the smallest sizes that do something, and which of them need another package."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from motiontok.config import Config, parse_config

LIBRARY = {"vqvae", "fsq", "rvq", "lfq"}
needs_library = pytest.mark.skipif(
    importlib.util.find_spec("vector_quantize_pytorch") is None,
    reason="needs vector-quantize-pytorch: pip install 'motiontok[baselines]'",
)


def marked(names: Iterable[str]) -> list[Any]:
    """Names as parameters of a test, skipped where their package is not installed."""
    return [pytest.param(name, marks=needs_library if name in LIBRARY else ()) for name in names]


def tiny_config(
    name: str,
    *,
    frames: int,
    codes: int,
    vocab: int,
    method: Mapping[str, Any] | None = None,
    train: Mapping[str, Any] | None = None,
    **model: Any,
) -> Config:
    """Networks of width 16 with one layer, unless ``model`` says otherwise."""
    sizes = {"width": 16, "heads": 2, "layers": 1, "decoder_width": 16, "decoder_layers": 1}
    return parse_config(
        {
            "data": {"window": frames},
            "model": {"codes_per_window": codes, "vocab_size": vocab, **sizes, **model},
            "method": {"name": name, **(method or {})},
            "train": dict(train or {}),
        },
        "test",
    )
