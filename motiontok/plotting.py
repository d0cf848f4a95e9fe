"""Common beginning and end of every plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bvh.atomic_write import atomic_path
from motiontok.errors import MissingDependencyError

__all__ = ["draw_series", "legend_below", "new_figure", "save_figure"]


def new_figure(width: float, height: float, *, doing: str) -> Any:
    """A figure of inches, without a window.

    Args:
        width, height: inches.
        doing: purpose of the figure, which begins the error's line.

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


def draw_series(
    axes: Any, rows: Sequence[Mapping[str, float]], series: Sequence[tuple[str, str]], title: str
) -> None:
    """Draw columns of a run's log over its steps.

    Held-out data have markers, and so has what was logged once, which no line would show.

    Args:
        axes: where.
        rows: of the log; a row may lack a column.
        series: columns and their labels.
        title: of the panel.
    """
    for key, label in series:
        points = [(r["step"], r[key]) for r in rows if key in r]
        if points:
            marker = "o" if key.startswith("val_") or len(points) == 1 else None
            axes.plot(*zip(*points, strict=True), label=label, marker=marker, markersize=3)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("step")
    axes.locator_params(axis="x", nbins=5)
    axes.grid(alpha=0.3)


def legend_below(figure: Any) -> None:
    """One legend for all panels, below them, where it covers no curve."""
    named: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    # A column is its longest label, at half of 8 points a letter, and 45 points of line and space.
    widest = 45 + 4.2 * max(map(len, named), default=0)
    columns = max(1, min(8, int(72 * figure.get_figwidth() / widest)))
    figure.legend(named.values(), named, loc="outside lower center", ncols=columns, fontsize=8)


def save_figure(figure: Any, out: Path, *, dpi: int = 110, **options: Any) -> None:
    """Write a figure, whole or not at all; ``options`` are matplotlib's ``savefig``'s."""
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=dpi, **options)
