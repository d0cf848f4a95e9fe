"""Metrics, reports and plots."""

from motiontok.evaluate.curves import plot_curves
from motiontok.evaluate.motion_metrics import compare_motions, mean_metrics

__all__ = ["compare_motions", "mean_metrics", "plot_curves"]
