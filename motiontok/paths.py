"""Where this package keeps what it ships."""

from __future__ import annotations

from pathlib import Path

__all__ = ["config_dir"]


def config_dir() -> Path:
    """Folder of the shipped TOML configurations.

    Inside the package when installed from a wheel, at the repository's root in
    a checkout.
    """
    package = Path(__file__).parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"
