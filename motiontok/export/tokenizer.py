"""A tokenizer's programs as ``torch.export``'s files or ONNX, and ``export.json`` beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import torch

from bvh.atomic_write import atomic_path
from motiontok.errors import TokenizerError
from motiontok.export.motion import programs_of
from motiontok.export.onnx import require_onnx, write_onnx
from motiontok.export.prior import programs_of_prior
from motiontok.export.program import Program, traced
from motiontok.prior import TokenPrior
from motiontok.tokenizer import MotionTokenizer

__all__ = ["Kind", "export_tokenizer"]

Kind = Literal["torch", "onnx"]
"""``.pt2`` files of ``torch.export``, or ``.onnx``."""

_ENDING = {"torch": "pt2", "onnx": "onnx"}


def export_tokenizer(
    tokenizer: MotionTokenizer,
    folder: Path,
    *,
    prior: TokenPrior | None = None,
    kind: Kind = "torch",
) -> list[Path]:
    """Write a tokenizer's programs and ``export.json`` with their inputs and outputs.

    ``encoder``: raw features ``(windows, frames_per_window, 203)`` of one clip to codes
    ``(windows, codes_per_window)``, greedy. ``decoder``: codes to raw features, borders between
    windows blended. ``pose``: features to the root's positions and the rotations of the joints of a
    body with given bones, feet not held in place. ``prior_begin`` and ``prior_step``: a window's
    first state, and the logits of its next code.

    Args:
        tokenizer: to export; it is moved to the CPU.
        folder: made if it does not exist.
        prior: of its codes, to export too.
        kind: ``"torch"`` for files that ``torch.export.load`` reads and
            ``torch._inductor.aoti_compile_and_package`` compiles, or ``"onnx"``.

    Raises:
        InputError: ONNX is asked for and its packages are not installed.
        TokenizerError: its method branches on values, as those of other packages may; or the prior
            belongs to another tokenizer, or to a lopq one.
        OSError: the folder cannot be written, or the disk is full.
    """
    if kind == "onnx":
        require_onnx()
    programs = programs_of(tokenizer)
    if prior is not None:
        prior.require(tokenizer)
        programs += programs_of_prior(prior)
    written = [_write(program, folder, kind, tokenizer.config.method.name) for program in programs]
    sidecar = {
        "fingerprint": tokenizer.fingerprint,
        "licence": tokenizer.licence,
        "torch": torch.__version__,
        "fps": tokenizer.fps,
        "vocab_size": tokenizer.vocab_size,
        "codes_per_window": tokenizer.codes_per_window,
        "frames_per_window": tokenizer.frames_per_window,
        "look_ahead": tokenizer.stream_decoder().look_ahead,
        **(
            {}
            if prior is None
            else {"actions": prior.config.actions, "styles": prior.config.styles}
        ),
        "programs": {program.name: program.to_dict() for program in programs},
    }
    return [*written, _write_json(folder / "export.json", sidecar)]


def _write(program: Program, folder: Path, kind: Kind, method: str) -> Path:
    try:
        made = traced(program)
    except RuntimeError as error:
        reason = str(error).strip().split("\n")[0]
        raise TokenizerError(
            f"the {program.name} of a {method} tokenizer cannot be exported ({reason}); those of "
            "lopq, temporal and DAPS methods can"
        ) from None
    path = folder / f"{program.name}.{_ENDING[kind]}"
    with atomic_path(path) as temporary:
        if kind == "torch":
            torch.export.save(made, temporary)
        else:
            write_onnx(made, program, temporary)
    return path


def _write_json(path: Path, values: dict[str, Any]) -> Path:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return path
