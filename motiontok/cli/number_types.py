"""Types of options: numbers that are finite."""

from __future__ import annotations

import math
from typing import Any

import click

__all__ = ["FiniteNumber", "FiniteRange"]


class FiniteNumber(click.types.FloatParamType):
    """Any number but NaN and infinity. A range without bounds would show in help as x<=None."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number, or click's error with the option's name."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class FiniteRange(click.FloatRange):
    """A number in a range; NaN and infinity are refused."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number, or click's error with the option's name."""
        return float(super().convert(FiniteNumber().convert(value, param, ctx), param, ctx))
