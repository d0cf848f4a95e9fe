"""Training curves as a picture."""

from __future__ import annotations

from pathlib import Path

from motiontok.plotting import draw_series, new_figure, save_figure
from motiontok.training.log import read_log

__all__ = ["plot_curves"]

_PANELS = (
    ("Reconstruction (standardised MSE)", (("mse", "training"), ("val_mse", "held out")), True),
    ("Joint error, held out (mm)", (("val_mpjpe_mm", "held out"),), False),
    ("Rate (nats a window)", (("kl", "KL(q || uniform)"),), False),
    ("Effective sample size / K", (("ess", "ESS / K"),), False),
    ("Trust region and entropy weight", (("eta", "eta"), ("beta", "beta")), True),
    ("Vocabulary in use", (("code_usage", "training"), ("val_code_usage", "held out")), False),
)


def plot_curves(log: Path, out: Path, *, title: str) -> None:
    """Draw a run's ``log.csv`` as six panels.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure = new_figure(12, 6.5, doing="drawing curves")
    rows = read_log(log)
    figure.suptitle(title)
    for axes, (name, series, logarithmic) in zip(figure.subplots(2, 3).flat, _PANELS, strict=True):
        draw_series(axes, rows, series, name)
        if logarithmic:
            axes.set_yscale("log")
        elif axes.get_ylim()[0] >= 0 or name.startswith(("Vocab", "Effective", "Joint")):
            axes.set_ylim(0, 1.05 * axes.get_ylim()[1])  # a flat curve is not the panel's edge
        if len(axes.lines) > 1:
            axes.legend(fontsize=8)
    save_figure(figure, out)
