"""What training a prior takes by the number of frames: memory, fitting, reading, steps.

    python tools/bench/prior_scale.py FOLDER... --work DIR [--frames 5000000 50000000]

The clips of the folders are encoded once, four cuts of each and of its mirror image, as
`train-prior` does; their tokens are repeated until a file has those of so many frames. Each file is
measured by a process of its own, after the kernel was told to forget it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measuring import facts

SHIFTS = 4


def peak() -> float:
    """MB of this process at the most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def encode(folders: list[Path]) -> dict[str, object]:
    """Where the tokens of the folders are, and of those held out."""
    from motiontok.prior.runs import load_tokens
    from motiontok.tokenizer import MotionTokenizer

    tokenizer = MotionTokenizer.from_pretrained("default")
    begin = time.perf_counter()
    tokens, held_out = load_tokens(tokenizer, folders, shifts=SHIFTS)
    spent = time.perf_counter() - begin
    tokens.close()
    return {
        "windows": len(tokens),
        "held_out": len(held_out),
        "folder": str(tokens.folder),
        "encoded_s": spent,
        "peak_mb": peak(),
    }


def repeat(source: Path, out: Path, frames: int) -> None:
    """A file of the tokens of so many frames."""
    from motiontok.prior.tokens import record_type

    about = json.loads((source / "about.json").read_text())
    rows = np.fromfile(source / "tokens.bin", record_type(about["codes"]))
    wanted = frames * 2 * SHIFTS // 32
    out.mkdir(parents=True)
    sequences, done = int(rows["sequence"][-1]) + 1, 0
    with (out / "tokens.bin").open("wb") as file:
        while done < wanted:
            file.write(rows[: wanted - done].tobytes())
            rows["sequence"] += sequences
            done += min(len(rows), wanted - done)
    (out / "about.json").write_text(json.dumps(about | {"rows": wanted}))
    with (out / "tokens.bin").open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(folder: Path, held_out: Path, steps: int) -> dict[str, float]:
    """One file, in this process."""
    import torch

    from motiontok.prior import training
    from motiontok.prior.baselines import baseline_nats
    from motiontok.prior.command_limits import CommandLimits
    from motiontok.prior.labels import Pairs
    from motiontok.prior.model import PriorConfig, PriorModel
    from motiontok.prior.token_file import TokenFile
    from motiontok.prior.tokens import spread
    from motiontok.prior.training import Stretches
    from motiontok.tokenizer import MotionTokenizer

    torch.set_num_threads(1)
    tokenizer = MotionTokenizer.from_pretrained("default")
    out = {"started_mb": peak()}
    file, other = TokenFile(folder), TokenFile(held_out)
    with other:
        judged = other.read(0, len(other))
    out["windows"] = len(file)
    stretches = Stretches(file, 3)
    generator = torch.Generator().manual_seed(0)
    draws = [torch.randint(len(file), (24,), generator=generator) for _ in range(400)]
    for name in ("cold", "warm"):
        start = time.perf_counter()
        for first in draws:
            stretches.take(first)
        out[f"batch_{name}_ms"] = 1000 * (time.perf_counter() - start) / len(draws)
    out["read_mb"] = peak()
    config = PriorConfig(
        tokenizer.codes_per_window,
        tokenizer.vocab_size,
        file.actions,
        file.styles,
        # A narrow one: what it costs does not depend on how many frames there are.
        width=16,
        heads=2,
        layers=1,
        components=PriorModel.components_of(tokenizer.method),
    )
    clocks: list[float] = []

    def update(step: int, detail: str = "", *, total: int | None = None, before: int = 0) -> None:
        clocks.append(time.process_time())

    with tempfile.TemporaryDirectory() as run:
        # What codes do to the decoded motion takes minutes, the same however many frames.
        training.code_effects = lambda _, usual, rank: torch.randn(
            len(usual), tokenizer.vocab_size, rank, generator=generator
        )
        start = time.process_time()
        training.train_prior(
            tokenizer, file, judged, config=config, out=Path(run), steps=steps, update=update
        )
    out["fitted_cpu_s"] = clocks[0] - start
    out["step_cpu_s"] = float(np.median(np.diff(clocks[:-1])))
    out["trained_mb"] = peak()
    start = time.process_time()
    CommandLimits.of(spread(file, 1 << 20).commands)
    Pairs.of(file)
    out["limits_cpu_s"] = time.process_time() - start
    # Of the largest files a part: it is a pass over all windows, block by block.
    start, part = time.process_time(), file.read(0, 131_072)
    baseline_nats(part, judged, vocab_size=tokenizer.vocab_size)
    out["baselines_cpu_s_a_million"] = 1e6 * (time.process_time() - start) / len(part)
    out["peak_mb"] = peak()
    return out


def main() -> None:
    """Measure, and print a line of JSON a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--frames", type=int, nargs="*", default=[5_000_000, 50_000_000])
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--encode", type=Path, nargs="*", help="these only, as JSON")
    parser.add_argument("--measure", type=Path, nargs=2, help="this file only, as JSON")
    options = parser.parse_args()
    if options.encode:
        print(json.dumps(encode(options.encode)))
        return
    if options.measure:
        print(json.dumps(measure(*options.measure, options.steps)))
        return

    def alone(*arguments: str | Path) -> dict[str, object]:
        command = [sys.executable, __file__, "--steps", str(options.steps), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
        return found

    print(facts("torch", "safetensors"))
    os.environ["MOTIONTOK_CACHE"] = str(options.work / "cache")
    made = alone("--encode", *options.folders)
    print(json.dumps(made), flush=True)
    real = Path(str(made["folder"]))
    (held_out,) = (path for path in real.parent.iterdir() if path != real)
    for frames in options.frames:
        file = options.work / f"tokens-{frames}"
        shutil.rmtree(file, ignore_errors=True)
        repeat(real, file, frames)
        found = alone("--measure", file, held_out)
        print(json.dumps({"frames": frames} | found), flush=True)
        shutil.rmtree(file)


if __name__ == "__main__":
    main()
