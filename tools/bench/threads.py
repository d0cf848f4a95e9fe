"""Threads of PyTorch on an idle machine and beside other programs. Prints markdown.

    python tools/bench/threads.py --busy 0 1

Each row is a process of its own with other threads, which wait in another way. Busy programs are
processes that only count, each in a session of its own, as a user's other programs are.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

TASKS = ("encode 20 s", "decode 20 s", "sample 4 windows", "training step")
WAYS = {
    "all threads, as PyTorch starts them": {},
    "all threads, that count to 10,000: training": {"GOMP_SPINCOUNT": "10000"},
    "all threads, that do not count": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread: everything else": {"OMP_NUM_THREADS": "1"},
}
LONGEST = 240.0  # s


def measured(repetitions: int) -> Iterator[float]:
    """Milliseconds of each task, after one to warm up."""
    import torch

    from bvh import procedural
    from motiontok import MotionTokenizer
    from motiontok.config import load_config
    from motiontok.methods import MotionNetworks, make_method
    from motiontok.prior import TokenPrior

    tokenizer = MotionTokenizer.from_pretrained("default")
    prior = TokenPrior.from_pretrained("default", tokenizer=tokenizer)
    walk = procedural.make("walk", seconds=20.0, seed=1)
    codes = tokenizer.encode(walk)
    config = load_config("demo")
    networks = MotionNetworks(config)
    method = make_method(config, networks)
    random = torch.Generator().manual_seed(0)
    x = torch.randn(32, 4, *networks.shape, generator=random)

    def step() -> None:
        method.training_step(x, 0.0, random).loss.backward()

    tasks: list[Callable[[], object]] = [
        lambda: tokenizer.encode(walk),
        lambda: tokenizer.decode(codes),
        lambda: prior.sample(4, velocity=(1.0, 0.0), seed=1, batch=4),
        step,
    ]
    for task in tasks:
        task()
        began = time.perf_counter()
        for _ in range(repetitions):
            task()
        yield 1000.0 * (time.perf_counter() - began) / repetitions


@contextlib.contextmanager
def others(count: int) -> Iterator[None]:
    """Programs that keep as many cores busy."""
    count_up = [sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(count_up, start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def row(way: dict[str, str], repetitions: int) -> list[str]:
    """What a process of its own measures; a dash where it takes too long."""
    command = [sys.executable, __file__, "--child", "--repetitions", str(repetitions)]
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            command,
            env=os.environ | way,
            capture_output=True,
            text=True,
            check=True,
            timeout=LONGEST,
            start_new_session=True,
        )
        return [f"{ms:,.0f}" for ms in json.loads(done.stdout)]
    return [f"all together over {LONGEST:.0f} s", *["-"] * (len(TASKS) - 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1], help="busy programs beside")
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(list(measured(args.repetitions))))
        return
    print(f"| busy programs | threads | {' | '.join(f'{task}, ms' for task in TASKS)} |")
    print("|---:|---|" + "---:|" * len(TASKS))
    for count in args.busy:
        for name, way in WAYS.items():
            with others(count):
                print(
                    f"| {count} | {name} | {' | '.join(row(way, args.repetitions))} |", flush=True
                )


if __name__ == "__main__":
    main()
