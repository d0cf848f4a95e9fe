"""Codes in, poses out, without motiontok or torch: what a C++ or ROS node would do.

    motiontok encode clip.bvh && motiontok export --format onnx -o export
    python examples/onnx_consumer.py codes.npy --programs export --out poses.npz

It takes codes a window at a time, as from a planner. Frames that the next window still changes wait
for it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime

# A body of 1.75 m: of each joint where it hangs on the one before, metres, X forward, Y left, Z up
# (docs/conventions.md names the joints). The `offsets` of any codes.json do as well.
LEG = [[0.0, 0.095, -0.03], [0.0, 0.0, -0.43], [0.0, 0.0, -0.41], [0.15, 0.0, -0.06]]
ARM = [[0.0, 0.06, 0.19], [0.0, 0.12, 0.0], [0.0, 0.29, 0.0], [0.0, 0.25, 0.0]]
TRUNK = [[-0.02, 0, 0.08], [0, 0, 0.12], [0, 0, 0.12], [0, 0, 0.24], [0.02, 0, 0.1]]
MIRROR = np.array([1.0, -1.0, 1.0])
BODY = np.concatenate([np.zeros((1, 3)), LEG, LEG * MIRROR, TRUNK, ARM, ARM * MIRROR])


class Poses:
    """Poses of windows of codes as they come.

    Args:
        folder: of exported programs.
        start: x (m), y (m) and yaw (rad) of the first frame.
    """

    def __init__(self, folder: Path, start: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> None:
        about = json.loads((folder / "export.json").read_text(encoding="utf-8"))
        self.window, self.ahead = about["frames_per_window"], about["look_ahead"]
        # Frames that are not final, and what they depend on.
        self.kept = -(-(2 * self.ahead + 8) // self.window)
        self.decoder = onnxruntime.InferenceSession(folder / "decoder.onnx")
        self.pose = onnxruntime.InferenceSession(folder / "pose.onnx")
        self.codes: list[np.ndarray] = []
        self.done = 0  # frames of these windows that came already
        self.last = np.empty((0, 203), np.float32)  # the frame before those to come
        self.place = np.array(start)

    def push(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Root positions ``(frames, 3)`` and local rotations ``(frames, 22, 4)``, w x y z, of the
        frames that are final now."""
        self.codes.append(codes)
        return self._frames(self.ahead)

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Those that were kept back."""
        return self._frames(0)

    def _frames(self, held: int) -> tuple[np.ndarray, np.ndarray]:
        (features,) = self.decoder.run(None, {"codes": np.stack(self.codes)})
        end = max(len(features) - held, self.done)
        ready, self.done = features[self.done : end], end
        dropped = max(len(self.codes) - self.kept, 0)
        self.codes, self.done = self.codes[dropped:], self.done - dropped * self.window
        if not len(ready):
            return np.empty((0, 3)), np.empty((0, 22, 4))
        # The last frame once more: steps are from the frame before.
        known = len(self.last)
        inputs = {"features": np.concatenate([self.last, ready]), "start": self.place}
        inputs["offsets"] = BODY.astype(np.float32)
        positions, rotations, self.place = self.pose.run(None, inputs)
        self.last = ready[-1:]
        return positions[known:], rotations[known:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("codes", type=Path)
    parser.add_argument("--programs", type=Path, default=Path("export"))
    parser.add_argument("--out", type=Path, default=Path("poses.npz"))
    given = parser.parse_args()
    poses = Poses(given.programs)
    pieces = [poses.push(codes) for codes in np.load(given.codes).astype(np.int64)]
    pieces.append(poses.finish())
    positions, rotations = (np.concatenate(part) for part in zip(*pieces, strict=True))
    np.savez(given.out, root_positions=positions, rotations=rotations)
    print(f"{len(positions)} frames in {given.out}; the body went to {positions[-1].round(2)} m")


if __name__ == "__main__":
    main()
