"""Questions about a joint tree."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["ancestors", "common_ancestor", "path", "spine_joints"]


def ancestors(parents: Sequence[int], joint: int) -> list[int]:
    """``joint``, its parent and so on up to the root."""
    out = [joint]
    while parents[out[-1]] >= 0:
        out.append(parents[out[-1]])
    return out


def common_ancestor(parents: Sequence[int], a: int, b: int) -> int | None:
    """The lowest joint that is above (or is) both; None in separate trees."""
    above = set(ancestors(parents, b))
    return next((j for j in ancestors(parents, a) if j in above), None)


def path(parents: Sequence[int], top: int, bottom: int) -> list[int]:
    """Joints below ``top`` down to ``bottom`` itself; empty where ``top`` is not above it."""
    above = ancestors(parents, bottom)
    return above[: above.index(top)][::-1] if top in above else []


def spine_joints(trunk: list[int], named: list[int]) -> dict[str, int]:
    """Choose up to three canonical spine joints.

    Args:
        trunk: joints from above the hips to the chest, which is the last.
        named: those of them whose names belong to the spine, in order.
    """
    chest = trunk[-1]
    if chest not in named:
        named = [*named, chest]
    # Names decide which of many joints count: helpers and added joints have none.
    chain = named if len(named) >= 3 else trunk
    if len(chain) == 1:
        return {"Spine2": chest}
    if len(chain) == 2:
        return {"Spine": chain[0], "Spine2": chest}
    return {"Spine": chain[0], "Spine1": chain[(len(chain) - 1) // 2], "Spine2": chest}
