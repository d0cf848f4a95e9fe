"""Sampling as one CUDA graph.

A policy of 64 tokens launches thousands of small kernels to draw one batch, and launching
them takes longer than running them. Captured once, they are launched together.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["CudaGraphSampler", "Sampler"]

Sampler = Callable[[Tensor, Tensor], Tensor]
"""From observations ``(batch, ...)`` and noise ``(batch, samples, codes)`` to codes."""


class CudaGraphSampler:
    """A sampler without gradients that runs as a CUDA graph on a GPU, and unchanged elsewhere.

    A graph is captured again when shapes change. It reads the weights in place: they may be
    trained, but not replaced. Random numbers come in as noise, so none are drawn inside.

    Args:
        sample: uses the device only, without transfers and without sizes that depend on values.
    """

    def __init__(self, sample: Sampler) -> None:
        self._sample = sample
        self._key: object = None
        self._captured: tuple[torch.cuda.CUDAGraph, Tensor, Tensor, Tensor] | None = None
        self._refused = False

    def __deepcopy__(self, memo: dict[int, Any]) -> CudaGraphSampler:
        # A copy has its own weights, and a graph reads the weights that it was captured with.
        return CudaGraphSampler(copy.deepcopy(self._sample, memo))

    @torch.no_grad()
    def __call__(self, x: Tensor, noise: Tensor) -> Tensor:
        """Codes ``(batch, samples, codes)``."""
        if not x.is_cuda or self._refused:
            return self._sample(x, noise)
        key = (x.shape, noise.shape, x.dtype, torch.is_autocast_enabled("cuda"))
        if key != self._key:
            # What an earlier graph holds is freed before the next one asks for memory.
            self._captured = None
            try:
                self._captured = self._capture(x, noise)
            except RuntimeError as error:
                self._refused = True
                reason = str(error).strip().split("\n")[0]
                warnings.warn(
                    f"sampling goes on without a CUDA graph, which is slower: {reason}",
                    stacklevel=2,
                )
                return self._sample(x, noise)
            self._key = key
        assert self._captured is not None
        graph, x_in, noise_in, codes = self._captured
        x_in.copy_(x)
        noise_in.copy_(noise)
        graph.replay()
        return codes.clone()

    def _capture(
        self, x: Tensor, noise: Tensor
    ) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor, Tensor]:
        """A graph, its inputs and its output."""
        x_in, noise_in = x.clone(), noise.clone()
        # Libraries choose their kernels and workspaces before a capture, on its stream.
        stream = torch.cuda.Stream(x.device)
        stream.wait_stream(torch.cuda.current_stream(x.device))
        with torch.cuda.stream(stream):
            for _ in range(2):
                self._run(x_in, noise_in)
        torch.cuda.current_stream(x.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads (NCCL's watchdog, pinned memory of data) may use the device meanwhile.
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            codes = self._run(x_in, noise_in)
        return graph, x_in, noise_in, codes

    def _run(self, x: Tensor, noise: Tensor) -> Tensor:
        # Weights that autocast has cast before are of a step long ago when a graph runs.
        torch.clear_autocast_cache()
        return self._sample(x, noise)
