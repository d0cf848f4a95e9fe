"""A prior's folder: where it is, and what it holds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bvh.atomic_write import atomic_path
from motiontok.errors import TokenizerError
from motiontok.prior.model import PriorConfig, PriorModel
from motiontok.tensor_digest import digest_of
from motiontok.tokens.hub import folder_of

__all__ = ["FORMAT", "prior_folder", "read_prior", "refusing_damage", "write_prior"]

FORMAT = "motiontok-prior-1"


def prior_folder(folder: str | os.PathLike[str]) -> Path:
    """The folder with ``prior.json``.

    Args:
        folder: that folder, that of the run that trained the prior, ``"default"`` for the prior
            shipped with the package, or a name of the Hugging Face hub.

    Raises:
        TokenizerError: there is none.
    """
    path = Path(folder)
    if str(folder) == "default":
        path = Path(__file__).parents[1] / "pretrained" / "prior"
    path = folder_of(path)
    if not (path / "prior.json").is_file() and (path / "prior" / "prior.json").is_file():
        path = path / "prior"
    if not (path / "prior.json").is_file():
        raise TokenizerError(
            f"{folder}: no prior there (prior.json); train one with `motiontok train-prior`"
        )
    return path


@contextmanager
def refusing_damage(path: Path) -> Iterator[None]:
    """Turn what reading damaged files raises into one error.

    Raises:
        TokenizerError: a file is missing or damaged.
    """
    try:
        yield
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        line = str(error).strip().split("\n")[-1].strip()
        raise TokenizerError(f"{path}: damaged or incomplete prior ({line})") from None


def read_prior(path: Path) -> tuple[dict[str, Any], PriorModel]:
    """What ``prior.json`` has, and the network, on the CPU.

    Args:
        path: from :func:`prior_folder`.

    Raises:
        TokenizerError: another version.
        OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError: damaged, see
            :func:`refusing_damage`.
    """
    values = json.loads((path / "prior.json").read_text(encoding="utf-8"))
    if values["format"] != FORMAT:
        raise TokenizerError(
            f"{path}: format {values['format']!r} is not {FORMAT!r}; use the motiontok that "
            "wrote it"
        )
    sizes = dict(values["config"])
    for key in ("width", "heads", "layers", "context"):
        if key in sizes and not sizes[key] >= 1:
            raise ValueError(f"{key} is {sizes[key]}")
    labels = {k: tuple(str(v) for v in sizes[k]) for k in ("actions", "styles")}
    model = PriorModel(PriorConfig(**{**sizes, **labels}))
    with safe_open(path / "prior.safetensors", framework="pt") as file:
        state = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    # Older priors have no digest.
    if "weights" in values and values["weights"] != digest_of(state):
        raise ValueError("the weights are not those that prior.json was written with")
    broken = [k for k, v in state.items() if not v.isfinite().all()]
    if broken:
        raise ValueError(f"{broken[0]} has values that are not finite")
    # Copies into the model's own types, from 16 bits to 32.
    model.load_state_dict(state)
    return values, model


def write_prior(
    folder: str | os.PathLike[str], values: Mapping[str, Any], state: Mapping[str, Tensor]
) -> None:
    """Write ``prior.json`` and ``prior.safetensors`` (16 bits), both or neither.

    Args:
        folder: to write to.
        values: what ``prior.json`` has beside the format.
        state: the network's weights.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    folder = Path(folder)
    halves = {
        k: (v.half() if v.is_floating_point() else v).cpu().contiguous() for k, v in state.items()
    }
    text = _text({"format": FORMAT, **values, "weights": digest_of(halves)})
    with (
        atomic_path(folder / "prior.json") as beside,
        atomic_path(folder / "prior.safetensors") as temporary,
    ):
        beside.write_text(text + "\n", encoding="utf-8")
        try:
            save_file(halves, temporary)
        except SafetensorError as error:
            raise OSError(str(error)) from None


def _text(value: Any, indent: str = "") -> str:
    """JSON with a line for each value, and for each list that holds no other list or object."""
    if isinstance(value, Mapping):
        rows, ends = [f"{json.dumps(k)}: {_text(v, indent + ' ')}" for k, v in value.items()], "{}"
    elif isinstance(value, Sequence) and any(_nests(one) for one in value):
        rows, ends = [_text(one, indent + " ") for one in value], "[]"
    else:
        return json.dumps(value)
    lines = ",".join(f"\n{indent} {row}" for row in rows)
    return f"{ends[0]}{lines}\n{indent}{ends[1]}" if rows else ends


def _nests(value: Any) -> bool:
    return isinstance(value, Mapping | Sequence) and not isinstance(value, str)
