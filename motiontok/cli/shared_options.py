"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from motiontok.cli.number_types import FiniteRange
from motiontok.encoding_limits import MOST_EFFORT
from motiontok.errors import InputError

__all__ = [
    "SECONDS",
    "data_option",
    "default_tokenizer_option",
    "device_option",
    "effort_option",
    "json_option",
    "one_path",
    "prior_option",
    "require_one_way",
    "seed_option",
    "share_options",
    "tokenizer_option",
    "use_device",
]


SECONDS = FiniteRange(min=0.1, max=3600.0)
"""Length of motion that is drawn or planned."""

device_option = click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, or auto."
)
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folder, archive or store of clips, or images; may be repeated for several sets of clips.",
)

seed_option = click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Random seed.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
effort_option: Callable[[Any], Any] = click.option(
    "--effort",
    type=click.IntRange(1, MOST_EFFORT),
    help="1 takes the likeliest codes; more looks further, for codes that decode to what is "
    "nearer, and takes longer.  [default: 3 for temporal and daps-temporal, else 1]",
)

tokenizer_option: Callable[[Any], Any] = click.option(
    "--tokenizer",
    metavar="DIR",
    help="Tokenizer or run folder; by default the one that the codes name, else the shipped one.",
)
default_tokenizer_option: Callable[[Any], Any] = click.option(
    "--tokenizer",
    default="default",
    show_default=True,
    metavar="DIR",
    help="Tokenizer or run folder.",
)
prior_option: Callable[[Any], Any] = click.option(
    "--prior",
    default="default",
    show_default=True,
    metavar="DIR",
    help="Folder of a prior, as `train-prior` writes it.",
)


def one_path(data: tuple[Path, ...], what: str) -> Path | None:
    """The only ``--data``, for what takes one; None if it is not given.

    Raises:
        InputError: there are several.
    """
    if len(data) > 1:
        raise InputError(f"--data is given {len(data)} times: {what} take one")
    return data[0] if data else None


def use_device(name: str) -> str:
    """Resolve ``auto`` and check that the device is there.

    Raises:
        InputError: no such device on this machine.
    """
    import torch

    from motiontok.tokens.checks import usable_device

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.partition(":")[0] not in ("cpu", "cuda"):
        raise InputError(f"--device {name}: no such device; choose from cpu, cuda, cuda:1 and auto")
    return str(usable_device(name))


def share_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--shard`` and ``--ray``, as ``shard`` and ``address``, of what many machines can do."""
    shard = click.option(
        "--shard",
        metavar="I/N",
        help="Pack only share I (counted from 0) of N  [default: RANK of WORLD_SIZE]",
    )
    ray = click.option(
        "--ray",
        "address",
        metavar="ADDRESS",
        help="Pack on a Ray cluster: auto, HOST:PORT, or local for this machine.",
    )
    return shard(ray(command))


def require_one_way(shard: str | None, address: str | None) -> None:
    """Refuse a share for what a cluster shares out.

    Raises:
        InputError: both are given.
    """
    if shard and address:
        raise InputError(f"--ray {address}: hands out shares itself; leave out --shard {shard}")
