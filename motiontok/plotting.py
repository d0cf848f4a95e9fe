"""How every plot is begun and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bvh.files import atomic_path
from motiontok.errors import MissingDependencyError

__all__ = ["new_figure", "save_figure"]


def new_figure(width: float, height: float, *, doing: str) -> Any:
    """A figure of inches, without a window.

    Args:
        width, height: inches.
        doing: what the figure is for, to begin the error's line with.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError(
            f"{doing} needs matplotlib: pip install 'motiontok[render]'"
        ) from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, out: Path, *, dpi: int = 110, **options: Any) -> None:
    """Write a figure, whole or not at all; ``options`` are matplotlib's ``savefig``'s."""
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=dpi, **options)
