"""Encoder and decoder as programs of their own, for C++ and for runtimes without this package.

Each is a ``torch.export`` program that holds its weights, the feature statistics and the
sums along the root's path, so that raw features go in and come out
(:mod:`motiontok.data.features` says what the columns are).
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from bvh.files import atomic_path
from motiontok.data import FEATURES, accumulate, differentiate
from motiontok.errors import TokenizerError
from motiontok.tokenizer import MotionTokenizer

__all__ = ["ExportedDecoder", "ExportedEncoder", "export_tokenizer"]


class ExportedEncoder(nn.Module):
    """Raw features ``(1, frames, 203)`` float32 to codes ``(1, codes)`` int64, greedy.

    One window at a time, as streams come: the code-by-code loop is unrolled for it.

    Args:
        tokenizer: whose encoder.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, tokenizer: MotionTokenizer) -> None:
        super().__init__()
        self.method = tokenizer.method
        self.register_buffer("mean", tokenizer.statistics.mean)
        self.register_buffer("scale", tokenizer.statistics.scale)

    def forward(self, features: Tensor) -> Tensor:
        """Codes of one window."""
        return self.method.encode((accumulate(features) - self.mean) / self.scale)


class ExportedDecoder(nn.Module):
    """Codes ``(1, codes)`` int64 to raw features ``(1, frames, 203)`` float32.

    Borders between windows are not blended: :func:`motiontok.data.blend_seams` is a few
    lines to write again.

    Args:
        tokenizer: whose decoder.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, tokenizer: MotionTokenizer) -> None:
        super().__init__()
        self.method = tokenizer.method
        self.register_buffer("mean", tokenizer.statistics.mean)
        self.register_buffer("scale", tokenizer.statistics.scale)

    def forward(self, codes: Tensor) -> Tensor:
        """Raw features of one window."""
        return differentiate(self.method.decode(codes) * self.scale + self.mean)


def export_tokenizer(tokenizer: MotionTokenizer, folder: Path) -> list[Path]:
    """Write ``encoder.pt2``, ``decoder.pt2`` and ``export.json`` (shapes, fingerprint).

    Both take one window. Read them with ``torch.export.load``, or compile them for
    C++ with ``torch._inductor.aoti_compile_and_package``.

    Raises:
        TokenizerError: it codes windows with those beside them, which these programs have not.
        OSError: the folder cannot be written, or the disk is full.
    """
    if tokenizer.method.joins_windows:
        raise TokenizerError(
            f"export takes windows one by one, and method {tokenizer.config.method.name} codes "
            "them with those beside them: use the tokenizer itself, or one of lopq"
        )
    tokenizer.to("cpu")
    window, size = tokenizer.frames_per_window, tokenizer.codes_per_window
    written = []
    for name, module, example in (
        ("encoder", ExportedEncoder(tokenizer), torch.zeros(1, window, FEATURES)),
        ("decoder", ExportedDecoder(tokenizer), torch.zeros(1, size, dtype=torch.long)),
    ):
        with torch.no_grad():
            program = torch.export.export(module.eval(), (example,))
        with atomic_path(folder / f"{name}.pt2") as temporary:
            torch.export.save(program, temporary)
        written.append(folder / f"{name}.pt2")
    sidecar = {
        "fingerprint": tokenizer.fingerprint,
        "licence": tokenizer.licence,
        "torch": torch.__version__,
        "fps": tokenizer.fps,
        "vocab_size": tokenizer.vocab_size,
        "encoder": {"features": [1, window, FEATURES], "codes": [1, size]},
        "decoder": {"codes": [1, size], "features": [1, window, FEATURES]},
    }
    with atomic_path(folder / "export.json") as temporary:
        temporary.write_text(json.dumps(sidecar, indent=1) + "\n", encoding="utf-8")
    return [*written, folder / "export.json"]
