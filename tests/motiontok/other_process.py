"""A device that is not the CPU, on machines that have no other: ``elsewhere``.

Its tensors hold a tensor of the CPU, where all is computed, so results are the CPU's. But
they mix with the CPU's no better than a GPU's do, and what crosses over is written down.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

NAME = "elsewhere"
aten = torch.ops.aten
COPIES = {aten.copy_.default, aten._to_copy.default}
INDEXED = {
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
}
# Their results, or the sizes of these, are known only when the device is done.
WAITED_FOR = {
    aten._local_scalar_dense.default,
    aten._unique2.default,
    aten.bincount.default,
    aten.equal.default,
    aten.masked_select.default,
    aten.nonzero.default,
    aten.repeat_interleave.Tensor,
}


@dataclass
class Crossings:
    """Where a program waited for the device, and where it sent it something."""

    waits: list[str] = field(default_factory=list)
    sends: list[str] = field(default_factory=list)


class Elsewhere(torch.Tensor):
    """A tensor of the CPU, ``value``, that says it is on the other device."""

    value: torch.Tensor

    @staticmethod
    def __new__(cls, value: torch.Tensor) -> Elsewhere:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            value.shape,
            strides=value.stride(),
            storage_offset=value.storage_offset(),
            dtype=value.dtype,
            device=torch.device(NAME, 0),
        )
        made.value = value
        return made

    def __repr__(self) -> str:
        return f"Elsewhere({self.value!r})"

    def tolist(self) -> Any:
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {}, Crossings())


def run(func: Any, args: Any, kwargs: dict[str, Any], crossings: Crossings) -> Any:
    """One operation of torch, on the CPU, by the rules of two devices."""
    flat, structure = tree_flatten((args, kwargs))
    tensors = [t for t in flat if isinstance(t, torch.Tensor)]
    there = [t for t in tensors if isinstance(t, Elsewhere)]
    # A number without dimensions goes along with the operation itself.
    here = [t for t in tensors if not isinstance(t, Elsewhere) and t.dim()]
    target = kwargs.get("device")
    if func is aten.copy_.default:
        goes = isinstance(args[0], Elsewhere)
    else:
        goes = bool(there) if target is None else torch.device(target).type == NAME
    indexed = func in INDEXED and isinstance(args[0], Elsewhere)
    if there and here and func not in COPIES and not indexed:
        shapes = [tuple(t.shape) for t in here]
        raise RuntimeError(f"{func}: some tensors are on {NAME}, and on the CPU those of {shapes}")
    by_truth = indexed and any(i is not None and i.dtype == torch.bool for i in args[1])
    if there and (func in WAITED_FOR or by_truth or (func in COPIES and not goes)):
        crossings.waits.append(place(func))
    if goes and here:
        crossings.sends.append(place(func))

    values = [t.value if isinstance(t, Elsewhere) else t for t in flat]
    plain_args, plain_kwargs = tree_unflatten(values, structure)
    if target is not None:
        plain_kwargs["device"] = torch.device("cpu")
    out = func(*plain_args, **plain_kwargs)
    if not goes:
        return args[0] if func is aten.copy_.default else out
    out = tree_map(lambda t: Elsewhere(t) if isinstance(t, torch.Tensor) else t, out)
    return return_and_correct_aliasing(func, args, kwargs, out) if there else out


def place(func: Any) -> str:
    """An operation, and the line of the package that asked for it."""
    lines = [f for f in traceback.extract_stack() if "/motiontok/" in f.filename]
    lines = [f for f in lines if "/tests/" not in f.filename]
    if not lines:
        return str(func)
    return f"{func} at {lines[-1].filename.rpartition('/')[2]}:{lines[-1].lineno}"


class Mode(TorchDispatchMode):
    """Catches what makes tensors, and reports what crosses over."""

    def __init__(self) -> None:
        super().__init__()
        self.crossings = Crossings()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {}, self.crossings)


class Backend:
    """What torch asks of the module of a device. Outside :func:`elsewhere` there is none of it."""

    devices = 0

    is_initialized = staticmethod(lambda: True)
    current_device = staticmethod(lambda: 0)
    _is_in_bad_fork = staticmethod(lambda: False)
    manual_seed_all = staticmethod(lambda seed: None)
    get_amp_supported_dtype = staticmethod(lambda: [torch.bfloat16, torch.float16])
    get_rng_state = staticmethod(lambda device=None: torch.get_rng_state())
    set_rng_state = staticmethod(lambda state, device=None: torch.set_rng_state(state))

    def is_available(self) -> bool:
        return bool(self.devices)

    def device_count(self) -> int:
        return self.devices


CpuGenerator = torch.Generator


class Generator(CpuGenerator):
    """Of the device it is the CPU's, whose numbers its tensors hold."""

    def __new__(cls, device: Any = "cpu") -> CpuGenerator:
        there = torch.device(device).type == NAME
        return CpuGenerator.__new__(CpuGenerator, "cpu" if there else device)


def supported() -> bool:
    """Whether this torch can have a device that is written in Python (2.10 and newer can)."""
    return hasattr(torch.utils.backend_registration, "_setup_privateuseone_for_python_backend")


@contextmanager
def elsewhere(monkeypatch: Any) -> Iterator[Crossings]:
    """Within it ``elsewhere`` is a device of torch."""
    if not hasattr(torch, NAME):
        setup = torch.utils.backend_registration._setup_privateuseone_for_python_backend
        setup(NAME, backend_module=Backend())
    made = torch.tensor

    def tensor(data: Any, *, device: Any = None, **options: Any) -> torch.Tensor:
        # It is not an operation, so the mode does not see it.
        found = made(data, **options)
        return found if device is None else found.to(device)

    with monkeypatch.context() as patch, torch.autograd.set_multithreading_enabled(False):
        patch.setattr(torch, "Generator", Generator)
        patch.setattr(torch, "tensor", tensor)
        patch.setattr(Backend, "devices", 1)
        with Mode() as mode:
            yield mode.crossings
