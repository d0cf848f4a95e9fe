"""LAFAN1's in-betweening benchmark for the prior: L2Q, L2P, NPSS of transitions. Prints markdown.

    python tools/bench/inbetweening.py --data lafan1 [--every 4]

Past, lengths and metrics are the benchmark's (:mod:`motiontok.evaluate.inbetweening`). Windows are
of the clips of subject 5 in DATA; its clips of other subjects normalise L2P. The ten past frames,
played backwards before themselves, fill a window. A sample continues its codes, through the frame
behind the transition. Baselines on the same windows, and the clip encoded and decoded, stand beside
it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from bvh import Clip, lafan, normalize, read
from bvh import rotations as rot
from bvh.forward_kinematics import forward_kinematics
from bvh.motion import Motion
from bvh.rotations import Array
from bvh.skeleton import JOINTS, PARENTS
from bvh.splits import parse_name
from motiontok import MotionTokenizer
from motiontok.data import Start, World, from_motion
from motiontok.evaluate import inbetweening as bench
from motiontok.prior import TargetPose, TokenPrior
from motiontok.prior.target_poses import pose_errors
from motiontok.serve.shifts import Shift

LENGTH, STRIDE, PAST = 65, 40, bench.PAST


class Rig(NamedTuple):
    """The way from canonical motion back to the axes and joints of a clip.

    Attributes:
        clip: the source clip.
        turns: ``(22, 4)``, rotations of canonical joints relative to the clip's.
        world: ``(4,)``, rotation from the clip's axes to canonical ones.
        scale, shift: metres of a unit, and shift of the root in metres.
        order: joints of the clip in canonical order.
    """

    clip: Clip
    turns: Array
    world: Array
    scale: float
    shift: Array
    order: list[int]

    @classmethod
    def of(cls, clip: Clip, motion: Motion) -> Rig:
        order = [clip.names.index(name) for name in JOINTS]
        world = rot.from_matrix(np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
        source, _ = _globals(clip.rotations, clip.positions[:, 0], clip)
        canonical, _ = forward_kinematics(
            motion.rotations, np.broadcast_to(motion.offsets, (len(motion), 22, 3)), PARENTS
        )
        turns = rot.multiply(rot.conjugate(rot.multiply(world, source[0, order])), canonical[0])
        root = rot.rotate(world, clip.positions[:, 0])
        apart = motion.root_positions
        scale = float(np.linalg.norm(apart.std(axis=0)) / np.linalg.norm(root.std(axis=0)))
        return cls(clip, turns, world, scale, (apart - scale * root).mean(axis=0), order)

    def back(self, motion: Motion) -> tuple[Array, Array]:
        """Global rotations ``(frames, joints, 4)`` and root ``(frames, 3)`` of the clip's axes."""
        canonical, _ = forward_kinematics(
            motion.rotations, np.broadcast_to(motion.offsets, (len(motion), 22, 3)), PARENTS
        )
        here = rot.multiply(canonical, rot.conjugate(self.turns))
        own = rot.multiply(rot.conjugate(self.world), here)
        out = np.empty_like(own)
        out[:, self.order] = own
        root = (motion.root_positions - self.shift) / self.scale
        return out, rot.rotate(rot.conjugate(self.world), root)


def _globals(rotations: Array, root: Array, clip: Clip) -> tuple[Array, Array]:
    offsets = np.broadcast_to(clip.offsets, (*rotations.shape[:-1], 3)).copy()
    offsets[..., 0, :] = root
    return forward_kinematics(rotations, offsets, clip.parents)


def backwards(features: Array, count: int) -> Array:
    """``count`` rows to put before ``features``: these, played backwards and forwards again."""
    last = len(features) - 1
    return features[np.abs((np.arange(-count, 0) + last) % (2 * last) - last)]


class Codes:
    """Transitions by codes.

    Args:
        tokenizer, prior: to encode, draw and decode with.
    """

    def __init__(self, tokenizer: MotionTokenizer, prior: TokenPrior) -> None:
        self.tokenizer, self.prior = tokenizer, prior
        self.window = tokenizer.frames_per_window
        self.missed: list[float] = []
        self.spent = 0.0

    def sampled(self, part: Motion, length: int, seed: int) -> Motion:
        """Decoded frames, from the last past one to the one behind the transition."""
        tokenizer, given = self.tokenizer, self.window
        features = from_motion(part[:PAST])
        past = np.concatenate([backwards(features, given - PAST), features])
        prefix = np.asarray(tokenizer.encode(past))
        here = Start.of(part[PAST - 1 : PAST])
        decoded = tokenizer.decode(prefix, offsets=part.offsets)
        start = Shift.between(Start.of(decoded[given - 1 : given]), here).of_pose(Start())
        behind = PAST + length
        pose = TargetPose.of(part, behind, time=(length + 1) / tokenizer.fps)
        inside = World(part.offsets).start_inside(start)
        began = time.process_time()
        codes = self.prior.sample(
            -(-(length + 1) // given), prefix=prefix, poses=[pose], start=inside, seed=seed
        )[0]
        self.spent += time.process_time() - began
        whole = np.concatenate([prefix, codes])
        motion = tokenizer.decode(whole, start=start, offsets=part.offsets)
        own = replace(pose, place=Start.of(part[behind : behind + 1]))
        self.missed.append(float(pose_errors(motion, [own], given=given)[0]))
        return motion[given - 1 : given + length + 1]

    def encoded(self, part: Motion, length: int, seed: int) -> Motion:
        """The same frames of the real clip, encoded and decoded."""
        codes = self.tokenizer.encode(part)
        motion = self.tokenizer.decode(
            np.asarray(codes), start=Start.of(part), offsets=part.offsets, frames=len(part)
        )
        return motion[PAST - 1 : PAST + length + 1]


def met(
    turned: Array, root: Array, ends: tuple[Array, Array], places: Array
) -> tuple[Array, Array]:
    """Spread the differences from two known frames over global rotations and root."""
    share = np.linspace(0.0, 1.0, len(root))
    root = (
        root
        + (1 - share)[:, None] * (places[0] - root[0])
        + share[:, None] * (places[1] - root[-1])
    )
    count, joints = turned.shape[:2]
    one = np.tile([1.0, 0.0, 0.0, 0.0], (count * joints, 1))
    out = turned
    for known, at, part in ((ends[0], 0, 1.0 - share), (ends[1], -1, share)):
        turn = rot.multiply(known, rot.conjugate(turned[at]))
        turn = np.where(turn[..., :1] < 0, -turn, turn)
        turns = np.tile(turn, (count, 1))
        some = rot.slerp(one, turns, np.repeat(part, joints)).reshape(out.shape)
        out = rot.multiply(some, out)
    return out, root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", default="default")
    parser.add_argument("--prior", default="default")
    parser.add_argument("--every", type=int, default=1, help="take every so-manieth window")
    parser.add_argument("--lengths", type=int, nargs="+", default=list(bench.LENGTHS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = MotionTokenizer.from_pretrained(given.tokenizer)
    prior = TokenPrior.from_pretrained(given.prior, tokenizer=tokenizer)
    names = sorted(given.data.glob("*.bvh"))
    tested = [n for n in names if parse_name(n.name).subject == lafan.BENCHMARK_TEST_SUBJECT]
    trained = [n for n in names if n not in tested]
    statistics = bench.Statistics.of(bench.cut(read(n), length=50, stride=20) for n in trained)
    maker = Codes(tokenizer, prior)
    makers: dict[str, Callable[[Motion, int, int], Motion]] = {
        "through codes": maker.sampled,
        "real clip, encoded and decoded": maker.encoded,
        "real clip, canonical": lambda part, length, _: part[PAST - 1 : PAST + length + 1],
    }
    found: dict[tuple[str, int], list[tuple[Array, Array, Array, Array]]] = {}
    count = 0
    for name in tested:
        clip = read(name)
        motion = normalize(clip)
        rig = Rig.of(clip, motion)
        truth = bench.cut(clip, length=LENGTH, stride=STRIDE)
        signed = rot.align_signs(clip.rotations)
        count += len(range(0, len(truth), given.every))
        for n in range(0, len(truth), given.every):
            window = bench.Windows(
                truth.root[n : n + 1], truth.rotations[n : n + 1], truth.offsets, truth.parents
            )
            a = n * STRIDE
            # From the clip's own axes to those of the window.
            level = rot.multiply(window.rotations[0, 0, 0], rot.conjugate(signed[a, 0]))
            move = window.root[0, 0] - rot.rotate(level, clip.positions[a, 0])
            part = motion[a : a + LENGTH]
            for length in given.lengths:
                frames = window.frames(slice(PAST, PAST + length))
                quaternions, positions = frames.global_transforms()
                for baseline in (bench.zero_velocity, bench.interpolation):
                    made = baseline(window, length).global_transforms()
                    key = (baseline.__name__.replace("_", " "), length)
                    found.setdefault(key, []).append((quaternions, positions, *made))
                known = [a + PAST - 1, a + PAST + length]
                ends = tuple(
                    _globals(signed[k : k + 1], clip.positions[k : k + 1, 0], clip)[0][0]
                    for k in known
                )
                for label, make in makers.items():
                    turned, root = rig.back(make(part, length, n))
                    both = (turned, root), met(turned, root, ends, clip.positions[known, 0])
                    for row, (q, r) in zip((label, f"{label}, ends met"), both, strict=True):
                        local = _local(rot.multiply(level, q[1:-1]), clip.parents)
                        q, p = _globals(local, rot.rotate(level, r[1:-1]) + move, clip)
                        q = np.where((q * quaternions[0]).sum(axis=-1, keepdims=True) < 0, -q, q)
                        found.setdefault((row, length), []).append(
                            (quaternions, positions, q[None], p[None])
                        )
    print(
        f"{count} windows of {len(tested)} clips of subject 5, statistics of {len(trained)} "
        f"others; joints of the pose behind are {1000 * np.mean(maker.missed):.0f} mm off on "
        f"average (95 %: {1000 * np.quantile(maker.missed, 0.95):.0f}); "
        f"{maker.spent / len(maker.missed):.1f} s of processor time a transition\n"
    )
    print("| | " + " | ".join(f"L2Q {n}" for n in given.lengths), end=" | ")
    print(" | ".join(f"L2P {n}" for n in given.lengths), end=" | ")
    print(" | ".join(f"NPSS {n}" for n in given.lengths) + " |")
    print("|---" * (1 + 3 * len(given.lengths)) + "|")
    for row in dict.fromkeys(key[0] for key in found):
        scores = []
        for length in given.lengths:
            true_q, true_p, q, p = (
                np.concatenate(x) for x in zip(*found[row, length], strict=True)
            )
            scores.append(
                (bench.l2q(true_q, q), bench.l2p(true_p, p, statistics), bench.npss(true_q, q))
            )
        cells = [f"{s[0]:.2f}" for s in scores] + [f"{s[1]:.3f}" for s in scores]
        cells += [f"{s[2]:.4f}" for s in scores]
        print(f"| {row} | {' | '.join(cells)} |", flush=True)


def _local(turned: Array, parents: tuple[int, ...]) -> Array:
    """Local rotations of global ones."""
    out = turned.copy()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            out[:, joint] = rot.multiply(rot.conjugate(turned[:, parent]), turned[:, joint])
    return out


if __name__ == "__main__":
    main()
