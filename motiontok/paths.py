"""Places of the files that come with this package."""

from __future__ import annotations

from pathlib import Path

__all__ = ["SHIPPED_TOKENIZER", "config_dir", "lasting_name", "shipped_configs"]

SHIPPED_TOKENIZER = "default"
"""The name of the tokenizer in the package's ``pretrained``."""


def config_dir() -> Path:
    """Folder of the shipped TOML configurations.

    Inside the package when installed from a wheel, at the repository's root in
    a checkout.
    """
    package = Path(__file__).parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def lasting_name(tokenizer: str) -> str:
    """Name of a tokenizer in codes.json: a shipped one's name, or the absolute path."""
    return tokenizer if tokenizer == SHIPPED_TOKENIZER else str(Path(tokenizer).resolve())


def shipped_configs() -> tuple[str, ...]:
    """Names of the configurations that come with the package."""
    return tuple(sorted(p.stem for p in config_dir().glob("*.toml")))
