"""Training with many processes: joining them, and their communication.

``torchrun`` starts the processes and gives them their ranks by environment variables
(docs/training.md). Each computes its share of every batch; gradients are averaged, and then all
make the same update. Only the first writes files and shows progress.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed
from torch import nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from motiontok.config import Config
from motiontok.errors import ConfigError
from motiontok.methods import DiscreteAutoencoder
from motiontok.methods.process_group import ProcessGroup

__all__ = [
    "any_of",
    "average_gradients",
    "broadcast_scalar",
    "broadcast_state",
    "destroy_process_group",
    "first_before_others",
    "init_process_group",
    "launched",
    "process_group",
    "require_shares",
    "restarted",
]

_joined = False


def launched() -> bool:
    """Whether ``torchrun`` started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def restarted() -> bool:
    """Whether ``torchrun`` has started this job again, after one of its processes ended."""
    return _starts_before() > 0


def _starts_before() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def init_process_group(device: str) -> str:
    """Meet the other processes, and return the device of this one.

    Args:
        device: ``cpu``, or ``cuda`` for the GPU of this process's number on its machine.
    """
    global _joined
    backend = "gloo"
    if device.partition(":")[0] == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    # The store outlives the processes: after a restart the addresses of those that ended are
    # in it still, and must not be taken for the others'.
    store, rank, size = next(rendezvous("env://"))
    store = PrefixStore(f"start-{_starts_before()}", store)
    torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=size)
    _joined = True
    return device


def destroy_process_group() -> None:
    """After training, continue alone: all processes but the first end here, successfully.

    Only if :func:`init_process_group` made the group; a program with its own group continues.
    """
    global _joined
    if not _joined:
        return
    _joined = False
    rank = torch.distributed.get_rank()
    _wait()
    torch.distributed.destroy_process_group()
    if rank:
        # Nothing is left to do, and an orderly end can abort: threads of the communication
        # library may outlive its group, and the job would count as failed.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def process_group() -> ProcessGroup:
    """The processes that train together: this one alone, unless a group was made."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return ProcessGroup()
    return ProcessGroup(torch.distributed.get_rank(), torch.distributed.get_world_size())


def require_shares(config: Config, method: DiscreteAutoencoder, group: ProcessGroup) -> None:
    """Refuse a method or batch that many processes cannot share.

    Raises:
        ConfigError: the method, or a batch that the processes do not divide.
    """
    if group.size == 1:
        return
    if not method.in_teams:
        raise ConfigError(
            f"method.name {config.method.name} trains in one process: start it without torchrun, "
            "or choose temporal, lopq-net, reinforce or one of the daps methods"
        )
    if config.train.batch_size % group.size:
        raise ConfigError(
            f"train.batch_size {config.train.batch_size} cannot be shared by {group.size} "
            "processes: choose a multiple"
        )


@contextmanager
def first_before_others() -> Iterator[None]:
    """Let the first process run before the others, such as to fill a cache for them."""
    members = process_group()
    if members.rank:
        _wait()
    try:
        yield
    finally:
        if members.size > 1 and not members.rank:
            _wait()


@torch.no_grad()
def broadcast_state(module: nn.Module, generator: torch.Generator, group: ProcessGroup) -> None:
    """Give all processes the first one's weights, buffers and random state."""
    if group.size == 1:
        return
    # As bytes on the CPU: buffers are of many types, and this happens once.
    for tensor in module.state_dict().values():
        values = tensor.cpu().contiguous()
        torch.distributed.broadcast(values.view(-1).view(torch.uint8), 0)
        tensor.copy_(values)
    state = generator.get_state()
    torch.distributed.broadcast(state, 0)
    generator.set_state(state)


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter], group: ProcessGroup) -> None:
    """Replace gradients by their mean over the processes, in one message."""
    if group.size == 1:
        return
    with_gradient = [p for p in parameters if p.grad is not None]
    flat = torch.cat([p.grad.flatten() for p in with_gradient if p.grad is not None])
    torch.distributed.all_reduce(flat)
    flat /= group.size
    parts = flat.split([p.numel() for p in with_gradient])
    for parameter, part in zip(with_gradient, parts, strict=True):
        parameter.grad = part.view_as(parameter)


def broadcast_scalar(value: float, group: ProcessGroup) -> float:
    """The first process's value, such as its clock's."""
    if group.size == 1:
        return value
    said = torch.tensor(value, dtype=torch.float64)
    torch.distributed.broadcast(said, 0)
    return float(said)


def any_of(flag: bool, group: ProcessGroup) -> bool:
    """Whether it is true in any process."""
    if group.size == 1:
        return flag
    said = torch.tensor(float(flag))
    torch.distributed.all_reduce(said)
    return bool(said > 0)


def _wait() -> None:
    # On the CPU, where the longest wait is half an hour.
    torch.distributed.all_reduce(torch.zeros(1))
