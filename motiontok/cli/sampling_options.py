"""Options of how codes are drawn."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from motiontok.sampling_defaults import LABEL_GUIDANCE

__all__ = ["sampling_options"]


def sampling_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of how codes are drawn, which the command takes together as ``drawing``."""

    @wraps(command)
    def taken(**given: Any) -> Any:
        names = ("temperature", "top_k", "top_p", "guidance", "tolerance")
        return command(drawing={name: given.pop(name) for name in names}, **given)

    for option in (
        click.option(
            "--tolerance",
            type=float,
            default=0.1,
            show_default=True,
            help="Allowed standard deviation of velocity (m/s) and yaw rate (rad/s); inf leaves "
            "them to the network.",
        ),
        click.option(
            "--guidance",
            type=float,
            default=None,
            help="How closely to follow conditions; 1 is as in training  [default: labels "
            f"{LABEL_GUIDANCE:g}, commands 1]",
        ),
        click.option(
            "--top-p",
            type=float,
            default=0.95,
            show_default=True,
            help="Draw from the most likely codes that together have this probability.",
        ),
        click.option(
            "--top-k",
            type=int,
            default=0,
            show_default=True,
            help="Draw from the k most likely codes; 0 for all.",
        ),
        click.option(
            "--temperature",
            type=float,
            default=1.0,
            show_default=True,
            help="Randomness of draws; 0 takes the most likely code.",
        ),
    ):
        taken = option(taken)
    return taken
