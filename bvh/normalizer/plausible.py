"""What no body does: places beyond the Earth, jumps between two frames."""

from __future__ import annotations

import numpy as np

from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.rotations import Array

__all__ = ["check_places", "find_jumps"]

_FAR = 1e11  # in any unit from millimetres up, farther than anywhere on Earth
_FAST = 30.0  # m/s; a fall from 45 m ends at this speed
_JUMP = 0.1  # m; of noise at thousands of frames a second the speed says nothing


def check_places(clip: Clip) -> None:
    """Raise a :class:`BVHError` for a position that no body can have, whatever the unit."""
    far = (np.abs(clip.positions) > _FAR) & np.isfinite(clip.positions)
    if far.any():
        frame, joint, axis = (int(i) for i in np.argwhere(far)[0])
        raise BVHError(
            f"{clip.name}: position {'xyz'[axis]} of {clip.names[joint]} is "
            f"{clip.positions[frame, joint, axis]:.3g} in frame {frame}, where no body can be; "
            "repair or remove that frame"
        )


def find_jumps(positions: Array, fps: float) -> tuple[str, ...]:
    """One line on where the root ``(frames, 3)``, in metres, moves as no body does; or none."""
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=-1)
    found = np.flatnonzero((steps * fps > _FAST) & (steps > _JUMP))
    if not len(found):
        return ()
    first = int(found[0])
    more = f", and {len(found) - 1} more such" if len(found) > 1 else ""
    return (
        f"the root jumps {steps[first]:.3g} m from frame {first} to {first + 1} "
        f"({steps[first] * fps:.0f} m/s){more}",
    )
