"""Pictures of runs on images: reconstructions side by side, and training curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from motiontok.data.images import Pixels
from motiontok.images.published import Published
from motiontok.plotting import draw_series, new_figure, save_figure
from motiontok.training.log import read_log

__all__ = ["TIGHT", "plot_curves", "plot_grid"]

TIGHT: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.08}
"""Options of pictures that are cut to what is drawn."""

_PANELS = (
    ("log p(x | z), nats", (("reward", "training"), ("val_log_p", "held out")), False),
    ("beta-ELBO, held out, nats", (("val_beta_elbo", "one sample an image"),), False),
    ("PSNR, held out, dB", (("val_psnr", "greedy"), ("val_sampled_psnr", "sampled")), False),
    ("Rate, nats an image", (("kl", "training"), ("val_kl", "held out")), False),
    ("Trust region and entropy weight", (("eta", "eta"), ("beta", "beta")), True),
    ("Vocabulary in use", (("code_usage", "training"), ("val_code_usage", "held out")), False),
)  # fmt: skip


def plot_curves(log: Path, out: Path, title: str, published: Published | None = None) -> None:
    """Draw a run's ``log.csv`` as six panels.

    Args:
        log: the file.
        out: a picture.
        title: of the picture.
        published: the paper's final figures, drawn as dashed lines.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    # The untrained networks at step 0 would leave no room for the rest.
    rows = [row for row in read_log(log) if row["step"] > 0]
    figure = new_figure(12, 6.5, doing="drawing curves")
    figure.suptitle(title)
    goals = {
        "val_beta_elbo": published and published.beta_elbo,
        "val_sampled_psnr": published and published.psnr,
    }
    for axes, (name, series, logarithmic) in zip(figure.subplots(2, 3).flat, _PANELS, strict=True):
        goal = next((goals[key] for key, _ in series if goals.get(key) is not None), None)
        if goal is not None:
            axes.axhline(goal, color="0.4", ls="--", lw=1, label="published end point")
        draw_series(axes, rows, series, name)
        if logarithmic and axes.lines:
            axes.set_yscale("log")
        if len(axes.lines) > 1:
            axes.legend(fontsize=8)
    save_figure(figure, out, **TIGHT)


def plot_grid(rows: Mapping[str, Tensor], pixels: Pixels, out: Path) -> None:
    """Images in labelled rows: the truth, and each method's reconstruction.

    Args:
        rows: label to standardised images ``(images, channels, height, width)``.
        pixels: their standardisation.
        out: a .png file.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    first = next(iter(rows.values()))
    count, _, height, width = first.shape
    shown = 0.9 if width >= 128 else 0.6
    figure = new_figure(
        shown * count + 1.1, shown * len(rows) * height / width + 0.1, doing="drawing curves"
    )
    panels = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, (label, images) in zip(panels, rows.items(), strict=True):
        strip = pixels.to_bytes(images).cpu().numpy().transpose(2, 0, 3, 1)
        strip = strip.reshape(height, count * width, -1)
        grey = strip.shape[2] == 1
        axes.imshow(
            strip[..., 0] if grey else strip, cmap="gray" if grey else None, vmin=0, vmax=255
        )
        for n in range(1, count):
            axes.axvline(n * width - 0.5, color="white" if not grey else "0.35", lw=0.6)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    save_figure(
        figure, out, dpi=max(110, int(np.ceil(width / shown))) if width < 128 else 130, **TIGHT
    )
