"""What a store costs by its size: reading, features, training steps, fitting, memory.

    python tools/bench/scale.py FOLDER... --work DIR [--frames 500000 5000000 50000000]

The clips of the folders are repeated, each time turned, on the bones of another clip and by a coin
mirrored, until a store has so many frames. Each store is measured by a process of its own, as a
run of `motiontok train general` meets it, after the kernel was told to forget its files.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measuring import facts

from bvh import dataset
from bvh import rotations as rot

QUICK = ['method.name="daps-pq"', "model.codes_per_window=16", "model.vocab_size=256"]

LARGEST = 3_000
"""Clips of a folder that are repeated, at most."""


def build(folders: list[Path], out: Path, frames: int) -> dict[str, float]:
    """A store of so many frames."""
    from motiontok.data.store.writing import make_entry, writing_to

    random = np.random.default_rng(0)
    sets = {folder.name: dataset.load(folder).motions[:LARGEST] for folder in folders}
    clips = [(name, motion) for name, of in sets.items() for motion in of]
    begin, done, number = time.process_time(), 0, 0
    with writing_to(out, list(sets)) as add:
        while done < frames:
            name, motion = clips[random.integers(len(clips))]
            if number >= len(clips):
                _, other = clips[random.integers(len(clips))]
                yaw = rot.from_axis_angle(np.array([0.0, 0.0, 1.0]), random.uniform(-np.pi, np.pi))
                motion = motion.on_bones(other.offsets).moved(yaw, np.zeros(3))
                motion = motion.mirrored() if random.random() < 0.5 else motion
            add(make_entry(name, f"{number:07d}.npz", motion, str(number)))
            done, number = done + len(motion), number + 1
    size = sum(path.stat().st_size for path in out.iterdir())
    spent = time.process_time() - begin
    return {"clips": number, "frames": done, "bytes": size, "made_s": spent}


def forget(store: Path) -> None:
    """Have the kernel read the files anew."""
    for path in store.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rate(work: Callable[[], object], amount: float, seconds: float = 2.0) -> float:
    """How much is done a second of the processor, of all threads: the machine is shared."""
    work()
    begin, times = time.process_time(), 0
    while time.process_time() - begin < seconds:
        work()
        times += 1
    return amount * times / (time.process_time() - begin)


def measure(store: Path, steps: int) -> dict[str, float]:
    """One store, in this process."""
    begin = time.perf_counter()
    import torch

    from motiontok.config import load_config
    from motiontok.data.clips import load_clips
    from motiontok.data.training_data import make_training_data
    from motiontok.methods import METHODS, MotionNetworks, make_method
    from motiontok.training.data import Drawing
    from motiontok.training.updates import Updates

    torch.set_num_threads(1)
    out: dict[str, float] = {}

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    imported = time.perf_counter()
    out["imports_s"] = imported - begin
    # Quick steps, which are the harder to feed.
    config = load_config("general", QUICK)
    generator = torch.Generator().manual_seed(0)
    clips = load_clips(config.data, [store], seed=0)
    out["opened_s"] = time.perf_counter() - imported
    data = make_training_data(clips, config.data)
    out["ready_s"] = time.perf_counter() - imported
    data.batch(256, generator)
    out["first_batch_s"] = time.perf_counter() - imported
    out["first_batch_cpu_s"] = time.process_time()
    out["open_mb"] = peak()

    windows, length = data.windows, config.data.window
    reader = windows._reader
    count = iter(range(1 << 60))
    # None of these windows was read before.
    cold = [windows.places(256, (1 << 40) + next(count)) for _ in range(20)]
    start = time.perf_counter()
    read = [reader.read(place, length) for place in cold]
    out["cold_frames_s"] = 20 * 256 * length / (time.perf_counter() - start)
    out["read_frames_s"] = rate(lambda: reader.read(cold[0], length), 256 * length)
    out["features_frames_s"] = rate(lambda: reader.features(cold[0], read[0]), 256 * length)
    out["batch_frames_s"] = rate(lambda: data.batch(256, generator), 256 * length)

    networks = MotionNetworks(config, statistics=data.statistics)
    method = make_method(config, networks)
    data = data.stretched(METHODS[config.method.name].stretch)
    start = time.process_time()
    method.fit(Drawing(data, generator), generator)
    out["prepared_cpu_s"] = time.process_time() - start
    updates = Updates(method, config.train)
    method.train()

    def step(x: torch.Tensor) -> None:
        updates.step(method.training_step(x, 0.0, generator).loss, 0.0)

    size = config.train.batch_size
    same = data.batch(size, generator)
    fed, waited, plain = [], [], []
    for _ in range(steps):
        # In turns, since the machine is shared.
        start, clock = time.process_time(), time.perf_counter()
        x = data.batch(size, generator)
        waited.append(time.perf_counter() - clock)
        step(x)
        fed.append(time.process_time() - start)
        start = time.process_time()
        step(same)
        plain.append(time.process_time() - start)
    out["step_fed_cpu_s"], out["step_alone_cpu_s"] = float(np.median(fed)), float(np.median(plain))
    out["waited_s"], out["waited_most_s"] = float(np.median(waited)), max(waited)
    out["peak_mb"] = peak()
    return out


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--frames", type=int, nargs="*", default=[500_000, 5_000_000, 50_000_000])
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--measure", type=Path, help="this store only, as JSON")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.steps)))
        return
    print(facts("torch", "safetensors"))
    for frames in options.frames:
        store = options.work / f"store-{frames}"
        shutil.rmtree(store, ignore_errors=True)
        made = build(options.folders, store, frames)
        forget(store)
        command = [sys.executable, __file__, "--measure", store, "--steps", str(options.steps)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        print(json.dumps(made | json.loads(done.stdout)), flush=True)
        shutil.rmtree(store)


if __name__ == "__main__":
    main()
