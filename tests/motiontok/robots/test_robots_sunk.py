"""A step that ends in the ground is not the last."""

from __future__ import annotations

import pytest

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

from bvh import procedural
from motiontok.robots import evaluate, retarget
from motiontok.robots.solver import offline


def test_a_frame_whose_last_step_ends_in_the_ground_is_solved_again(g1, monkeypatch):
    solve, calls = offline.refine, []

    def sinking(*args, **kwargs):
        q, size = solve(*args, **kwargs)
        calls.append(len(q))
        if len(calls) == 2:
            q[10:13, 2] -= 0.05
            size[:] = 0.0
        return q, size

    monkeypatch.setattr(offline, "refine", sinking)
    motion = procedural.make("walk", seconds=1.5, seed=5)
    report = evaluate(retarget(motion, g1), motion, g1)
    assert len(calls) > 2
    assert report.body_depth < 0.01
