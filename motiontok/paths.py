"""Where this package keeps what it ships."""

from __future__ import annotations

from pathlib import Path

__all__ = ["SHIPPED_TOKENIZERS", "config_dir", "lasting_name"]

SHIPPED_TOKENIZERS = {"default": "", "accurate": "accurate"}
"""Folder, in the package's ``pretrained``, of each tokenizer that goes by a name."""


def config_dir() -> Path:
    """Folder of the shipped TOML configurations.

    Inside the package when installed from a wheel, at the repository's root in
    a checkout.
    """
    package = Path(__file__).parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def lasting_name(tokenizer: str) -> str:
    """What codes.json calls a tokenizer: a shipped one's name, or the absolute path."""
    return tokenizer if tokenizer in SHIPPED_TOKENIZERS else str(Path(tokenizer).resolve())
