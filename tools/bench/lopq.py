"""A lopq tokenizer with fewer codes and with more search, on held-out windows. Prints Markdown.

    python tools/bench/lopq.py --data path/to/bandai runs/rates/320-bits/lopq/seed-0

Fewer codes: the first n of each window, decoded alone. More search: encoding tries the K
nearest cells. Given the cell the other codes are independent and the nearest codewords are
the best, so with all cells tried no encoder whatever errs less by this decoder: that bounds
what searching for a better policy can bring.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor

from motiontok import MotionTokenizer
from motiontok.data import WindowSet, from_motion, reconstruction_metrics
from motiontok.data.clips import load_clips
from motiontok.methods.linear.lopq import Lopq

CHUNK = 64


def coded(method: Lopq, windows: Tensor, *, codes: int, effort: int) -> Tensor:
    """Windows ``(windows, frames, 203)`` encoded, and decoded from their first codes."""
    parts = [
        method.decode(method.encode(x, effort=effort)[:, :codes]) for x in windows.split(CHUNK)
    ]
    return torch.cat(parts)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokenizer", nargs="+", help="folders of lopq tokenizers of one split")
    parser.add_argument("--data", type=Path, required=True, help="the clips they are of")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizers = [MotionTokenizer.from_pretrained(folder) for folder in options.tokenizer]
    config = tokenizers[0].config
    clips = load_clips(config.data, [options.data], seed=config.train.seed)
    features = [from_motion(motion) for motion in clips.held_out]
    for tokenizer in tokenizers:
        method, statistics = tokenizer.method, tokenizer.statistics
        assert isinstance(method, Lopq), "these measurements are of lopq"
        windows = WindowSet(features, config.data.window, statistics).enumerated()
        bits = math.log2(tokenizer.vocab_size)
        every, vocab = tokenizer.codes_per_window, tokenizer.vocab_size
        print(f"{len(windows)} windows, {every} codes of {vocab} values\n")
        print("| first codes | bits a window | mm |\n|---:|---:|---:|")
        for count in sorted({1, 2, *(every // d for d in (16, 8, 4, 2, 1) if every // d)}):
            decoded = coded(method, windows, codes=count, effort=1)
            error = reconstruction_metrics(windows, decoded, statistics)["window_mpjpe_mm"]
            print(f"| {count} | {count * bits:.0f} | {error:.2f} |", flush=True)
        print("\n| cells tried | mm | squared error |\n|---:|---:|---:|")
        first = None
        for effort in (1, 4, 16, 64, vocab):
            decoded = coded(method, windows, codes=every, effort=effort)
            found = reconstruction_metrics(windows, decoded, statistics)
            first = first or found["mse"]
            print(
                f"| {effort} | {found['window_mpjpe_mm']:.2f} | {found['mse'] / first:.3f} |",
                flush=True,
            )
        print()


if __name__ == "__main__":
    main()
