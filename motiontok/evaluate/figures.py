"""Pictures of a comparison: validation curves, use of codes, rate against distortion.

``methods`` gives every method its colour and marker, the same in all pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from motiontok.evaluate.compare import Outcome
from motiontok.evaluate.report import Row
from motiontok.plotting import legend_below, new_figure, save_figure

__all__ = ["plot_cost", "plot_rate_distortion", "plot_usage", "plot_validation"]

_MARKERS = "osD^vPX<>ph*"


def plot_validation(outcomes: Sequence[Outcome], methods: Sequence[str], out: Path) -> None:
    """Held-out joint error over time and over steps, a row of panels for each budget.

    Methods fitted without steps are dashed lines.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    budgets = list(dict.fromkeys(o.cell.budget for o in outcomes if o.result is not None))
    figure = new_figure(12, 4.5 * max(len(budgets), 1), doing="drawing a comparison")
    style = _styles(methods)
    panels = figure.subplots(max(len(budgets), 1), 2, squeeze=False)
    for budget, (by_time, by_step) in zip(budgets, panels, strict=False):
        named = set()
        for outcome in outcomes:
            if outcome.result is None or outcome.cell.budget != budget:
                continue
            colour, marker = style[outcome.cell.method]
            name = outcome.cell.method if outcome.cell.method not in named else None
            named.add(outcome.cell.method)
            curve = np.array(outcome.curve).reshape(-1, 3)
            if len(curve) < 2:
                fitted = outcome.result["metrics"]["window_mpjpe_mm"]
                for axes, label in ((by_time, name), (by_step, None)):
                    axes.axhline(fitted, color=colour, linestyle="--", label=label)
                continue
            for axes, x, label in ((by_time, curve[:, 0], name), (by_step, curve[:, 1], None)):
                axes.plot(
                    x, curve[:, 2], color=colour, marker=marker, markersize=3, lw=1.2, label=label
                )
        for axes, label in ((by_time, "seconds (of the processor, on a CPU)"), (by_step, "step")):
            axes.set_title(f"{budget}: joint error of held-out windows, mm", fontsize=10)
            axes.set_xlabel(label)
            _logarithmic(axes, "y")
    legend_below(figure)
    save_figure(figure, out)


def plot_usage(outcomes: Sequence[Outcome], methods: Sequence[str], out: Path) -> None:
    """Perplexity and share of used codes at each position, a row for each budget.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    shown = [o for o in outcomes if o.result and "perplexity_per_position" in o.result["metrics"]]
    budgets = list(dict.fromkeys(o.cell.budget for o in shown))
    figure = new_figure(12, 4.5 * max(len(budgets), 1), doing="drawing a comparison")
    style = _styles(methods)
    panels = figure.subplots(max(len(budgets), 1), 2, squeeze=False)
    for budget, pair in zip(budgets, panels, strict=False):
        for axes, key, title in zip(
            pair,
            ("code_usage_per_position", "perplexity_per_position"),
            ("share of the vocabulary in use", "perplexity of codes"),
            strict=True,
        ):
            named = set()
            for outcome in shown:
                if outcome.cell.budget != budget or outcome.cell.method in named:
                    continue
                named.add(outcome.cell.method)
                assert outcome.result is not None
                values = outcome.result["metrics"][key]
                colour, marker = style[outcome.cell.method]
                axes.plot(
                    range(len(values)),
                    values,
                    color=colour,
                    marker=marker,
                    markersize=3,
                    lw=1,
                    label=outcome.cell.method,
                )
            axes.set_title(f"{budget}: {title}", fontsize=10)
            axes.set_xlabel("position in the window")
            axes.set_ylim(bottom=0)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.3)
    legend_below(figure)
    save_figure(figure, out)


def plot_cost(rows: Mapping[str, Sequence[Row]], methods: Sequence[str], out: Path) -> None:
    """Joint error of held-out clips over the cost of training; a method's budgets are connected.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    axes, figure = _errors_over("training_seconds", rows, methods)
    axes.set_xlabel("training or fitting, s (of the processor, on a CPU)")
    save_figure(figure, out)


def plot_rate_distortion(
    rows: Mapping[str, Sequence[Row]], methods: Sequence[str], out: Path
) -> None:
    """Joint error of held-out clips over bits a second; a method's budgets are connected.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    axes, figure = _errors_over("bits_per_second", rows, methods)
    axes.set_xlabel("bits a second")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    save_figure(figure, out)


def _errors_over(
    key: str, rows: Mapping[str, Sequence[Row]], methods: Sequence[str]
) -> tuple[Any, Any]:
    """Axes of joint errors over a figure of each row that has it, and their picture.

    A method's points are connected in the order of their rates.
    """
    points: dict[str, list[tuple[float, float, float]]] = {}
    for of_budget in rows.values():
        for row in of_budget:
            if key in row.mean:
                point = (row.mean["bits_per_second"], row.mean[key], row.mean["mpjpe_mm"])
                points.setdefault(row.method, []).append(point)
    figure = new_figure(8, 5.5, doing="drawing a comparison")
    style = _styles(methods)
    axes = figure.subplots()
    for method in methods:
        if method not in points:
            continue
        _, x, y = zip(*sorted(points[method]), strict=True)
        colour, marker = style[method]
        axes.plot(
            x,
            y,
            color=colour,
            marker=marker,
            markersize=6,
            lw=1,
            label=method,
        )
    axes.set_ylabel("MPJPE of held-out clips, mm")
    _logarithmic(axes, "xy")
    legend_below(figure)
    return axes, figure


def _styles(methods: Sequence[str]) -> dict[str, tuple[Any, str]]:
    from matplotlib import colormaps

    palette = colormaps["tab20"].colors  # type: ignore[attr-defined]
    return {
        name: (palette[(2 * i + i // 10) % 20], _MARKERS[i % len(_MARKERS)])
        for i, name in enumerate(methods)
    }


def _logarithmic(axes: Any, which: str) -> None:
    """Logarithmic axes with plain numbers, at the lines between decades too."""
    for name in which:
        axes.set(**{f"{name}scale": "log"})
        axis = getattr(axes, f"{name}axis")
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}")
    axes.grid(alpha=0.3, which="both")
