"""Tokenizers and priors by their names on the Hugging Face hub, ``owner/name``."""

from __future__ import annotations

import re
from pathlib import Path

from motiontok.errors import TokenizerError
from motiontok.paths import config_dir

__all__ = ["folder_of"]

_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_RUNS = "runs"  # where `motiontok train` writes
# JSON and safetensors: nothing that is unpickled is even fetched.
_FILES = [f"{folder}{name}" for folder in ("", "tokenizer/", "prior/") for name in (
    "config.json", "calibrations.json", "model.safetensors", "prior.json", "prior.safetensors"
)]  # fmt: skip


def folder_of(name: Path) -> Path:
    """An existing folder, or a copy of the hub's folder of that name.

    The hub is not asked for names that begin with ``runs/``: training writes there.

    Args:
        name: of a folder, or ``owner/name``. An existing folder takes precedence.

    Returns:
        An existing folder, or the name unchanged.

    Raises:
        TokenizerError: there is no such run, or the hub has no such name, or cannot be reached and
            there is no copy, or ``huggingface_hub`` is not installed.
    """
    # Below a folder that exists, a name means a folder, even one that does not exist.
    if name.exists() or name.parent.is_dir() or not _NAME.fullmatch(name.as_posix()):
        return name
    if name.parent.name == _RUNS:
        known = (config_dir() / f"{name.name}.toml").is_file()
        raise TokenizerError(
            f"{name.as_posix()}: no such folder; train one: motiontok train "
            f"{name.name if known else 'CONFIG'}"
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise TokenizerError(
            f"{name.as_posix()}: no such folder; if it is a name of the Hugging Face hub, pip "
            "install 'motiontok[hub]'"
        ) from None
    try:
        return Path(snapshot_download(name.as_posix(), allow_patterns=_FILES))
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise TokenizerError(
            f"{name.as_posix()}: no such folder, and the Hugging Face hub does not give it "
            f"({type(error).__name__}: {reason}); give a folder, or go online once"
        ) from None
