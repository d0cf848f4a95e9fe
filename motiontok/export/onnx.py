"""Programs as ONNX files."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import torch
from torch.export import ExportedProgram

from motiontok.errors import InputError
from motiontok.export.program import Program

__all__ = ["require_onnx", "write_onnx"]


def require_onnx() -> None:
    """Raise if the packages that write ONNX are not installed.

    Raises:
        InputError: they are not.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"writing ONNX needs a package that is not here ({error.name}): "
            "pip install 'motiontok[onnx]'"
        ) from None


def write_onnx(made: ExportedProgram, program: Program, path: Path) -> None:
    """Write a traced program as ONNX, with the names and the free sizes of its values."""
    # It tells on standard error of packages that it could use besides, and of torch's own use of
    # torch.
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            onnx = torch.onnx.export(
                made,
                dynamo=True,
                verbose=False,
                output_names=[value.name for value in program.outputs],
                dynamic_shapes=program.shapes(),
            )
    finally:
        logger.setLevel(level)
    assert onnx is not None
    onnx.save(path)
