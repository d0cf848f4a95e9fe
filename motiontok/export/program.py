"""A module to export, with the names and shapes of its inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

__all__ = ["Program", "Range", "Value", "traced"]


@dataclass(frozen=True)
class Range:
    """A size from ``least`` to ``most``, or without an upper bound."""

    name: str
    least: int = 1
    most: int | None = None


@dataclass(frozen=True)
class Value:
    """An input or output: its name and its shape.

    Attributes:
        name: of the argument, or of the output.
        shape: numbers, ranges, or, for outputs, products such as ``"32 windows"``.
        dtype: ``"float32"``, ``"float64"`` or ``"int64"``.
        unit: meaning, for people.
    """

    name: str
    shape: tuple[int | Range | str, ...]
    dtype: str = "float32"
    unit: str = ""

    def example(self) -> Tensor:
        """Zeros of this shape."""
        # Neither 0 nor 1, which would be taken for what every input has.
        sizes = [max(n.least, 3) if isinstance(n, Range) else int(n) for n in self.shape]
        return torch.zeros(sizes, dtype=getattr(torch, self.dtype))

    def dimensions(self, known: dict[str, Any]) -> dict[int, Any]:
        """The ranges as ``torch.export`` has them, by axis."""
        return {
            axis: known.setdefault(n.name, Dim(n.name, min=n.least, max=n.most))
            for axis, n in enumerate(self.shape)
            if isinstance(n, Range)
        }

    def to_dict(self) -> dict[str, Any]:
        """For JSON: ranges as ``"windows: 1 or more"``."""

        def told(n: int | Range | str) -> int | str:
            if not isinstance(n, Range):
                return n
            return f"{n.name}: {n.least} " + ("or more" if n.most is None else f"to {n.most}")

        shape = [told(n) for n in self.shape]
        return {"name": self.name, "type": self.dtype, "shape": shape, "is": self.unit}


@dataclass(frozen=True, eq=False)
class Program:
    """A module to export.

    Attributes:
        name: of its files.
        module: takes :attr:`inputs` in their order, by their names.
        inputs, outputs: see there.
    """

    name: str
    module: nn.Module
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    def shapes(self) -> tuple[dict[int, Any], ...]:
        """Dimensions of all inputs, shared where they have one name."""
        known: dict[str, Any] = {}
        return tuple(value.dimensions(known) for value in self.inputs)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "inputs": [value.to_dict() for value in self.inputs],
            "outputs": [value.to_dict() for value in self.outputs],
        }


@torch.no_grad()
def traced(program: Program) -> ExportedProgram:
    """The program of tensor operations alone."""
    return torch.export.export(
        program.module.eval(),
        tuple(value.example() for value in program.inputs),
        dynamic_shapes=program.shapes(),
    )
