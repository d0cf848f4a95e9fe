"""Both ways of drawing put the right colour at the right pixel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from bvh import DEFAULT_OFFSETS, JOINTS, Motion
from motiontok.errors import MissingDependencyError, RenderError
from motiontok.render import MannequinActor, Part, RenderWarning
from motiontok.render.cameras import CameraPath, View
from motiontok.render.canvas import Canvas, open_canvas
from motiontok.render.gl_canvas import GLCanvas
from motiontok.render.software_canvas import SoftwareCanvas

SIZE = (320, 240)


def t_pose(*, at: tuple[float, float] = (0.0, 0.0), opacity: float = 1.0) -> MannequinActor:
    motion = Motion(
        root_positions=np.array([[*at, 0.96]]),
        rotations=np.tile([1.0, 0, 0, 0], (1, 22, 1)),
        offsets=DEFAULT_OFFSETS,
    )
    return MannequinActor(motion, label="t-pose", opacity=opacity)


def gl_canvas(actors: list[MannequinActor], size: tuple[int, int] = SIZE) -> GLCanvas:
    try:
        return GLCanvas(actors, size)
    except MissingDependencyError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["gl", "software"])
def canvas(request: pytest.FixtureRequest) -> Iterator[Canvas]:
    actors = [t_pose(), t_pose(at=(0.0, 1.6))]
    made: Canvas = gl_canvas(actors) if request.param == "gl" else SoftwareCanvas(actors, SIZE)
    yield made
    made.close()


def pixel(view: View, point: np.ndarray, size: tuple[int, int] = SIZE) -> tuple[int, int]:
    """Row and column where a world point is seen, by the pinhole equations."""
    local = np.linalg.inv(view.world_from_camera) @ [*point, 1.0]
    focal = 0.5 * size[1] / np.tan(view.fov / 2)
    x = 0.5 * size[0] + focal * local[0] / -local[2]
    y = 0.5 * size[1] - focal * local[1] / -local[2]
    return int(y), int(x)


def test_limbs_are_where_the_camera_equations_say(canvas: Canvas) -> None:
    actor = t_pose()
    view = CameraPath("follow", [actor], aspect=SIZE[0] / SIZE[1]).at(0.0)
    image = canvas.draw({0: actor.poses(0)}, view).astype(int)
    assert image.shape == (SIZE[1], SIZE[0], 3)
    joints = actor.poses(0)[:, :3, 3]

    def middle(a: str, b: str) -> np.ndarray:
        return 0.5 * (joints[JOINTS.index(a)] + joints[JOINTS.index(b)])

    for a, b in (("Arm", "ForeArm"), ("ForeArm", "Hand"), ("UpLeg", "Leg"), ("Leg", "Foot")):
        red, _, blue = image[pixel(view, middle(f"Left{a}", f"Left{b}"))]
        assert red > blue + 40, f"left {a} is warm"
        red, _, blue = image[pixel(view, middle(f"Right{a}", f"Right{b}"))]
        assert blue > red + 40, f"right {a} is cool"
    corner = image[3, 3]
    assert np.ptp(corner) < 20, "background is grey"
    assert corner.mean() > 200


def test_actors_left_out_are_not_drawn(canvas: Canvas) -> None:
    actors = [t_pose(), t_pose(at=(0.0, 1.6))]
    view = CameraPath("follow", actors, aspect=SIZE[0] / SIZE[1]).at(0.0)
    none = canvas.draw({}, view)
    both = canvas.draw({i: a.poses(0) for i, a in enumerate(actors)}, view)
    one = canvas.draw({1: actors[1].poses(0)}, view)
    for index, actor in enumerate(actors):
        at = pixel(view, actor.poses(0)[JOINTS.index("Spine2"), :3, 3])
        assert np.abs(both[at].astype(int) - none[at]).max() > 20
        changed = np.abs(one[at].astype(int) - none[at]).max() > 20
        assert changed == (index == 1)


def test_a_nearer_figure_hides_a_farther_one(canvas: Canvas) -> None:
    far = t_pose()
    view = CameraPath("follow", [far], aspect=SIZE[0] / SIZE[1]).at(0.0)
    # Bring the near one's left forearm between the camera and the far one's chest.
    chest = far.poses(0)[JOINTS.index("Spine2"), :3, 3]
    joints = far.poses(0)[[JOINTS.index("LeftForeArm"), JOINTS.index("LeftHand")], :3, 3]
    eye = view.world_from_camera[:3, 3]
    ray = (eye - chest) / (eye - chest)[2] * (joints.mean(0) - chest)[2]
    near = t_pose(at=tuple((chest + ray - joints.mean(0))[:2]))
    at = pixel(view, near.poses(0)[joints_of("LeftForeArm", "LeftHand"), :3, 3].mean(0))
    alone, behind, both = (
        canvas.draw(poses, view)[at].astype(int)
        for poses in ({1: near.poses(0)}, {0: far.poses(0)}, {0: far.poses(0), 1: near.poses(0)})
    )
    assert np.abs(alone - behind).max() > 40, "they do overlap here"
    assert np.abs(alone - both).max() <= 12


def joints_of(*names: str) -> list[int]:
    return [JOINTS.index(n) for n in names]


def test_shadow_falls_away_from_the_key_light(canvas: Canvas) -> None:
    from motiontok.render.lights import Studio

    actor = t_pose()
    view = CameraPath("follow", [actor], aspect=SIZE[0] / SIZE[1]).at(0.0)
    key = Studio.around(view.studio).key
    chest = actor.poses(0)[JOINTS.index("Spine2"), :3, 3]
    spot = chest - key * chest[2] / key[2]
    lit, shaded = (canvas.draw(p, view).astype(int) for p in ({}, {0: actor.poses(0)}))
    at = pixel(view, spot)
    assert lit[at].mean() - shaded[at].mean() > 25
    opposite = chest + key * chest[2] / key[2]
    opposite[2] = 0.0
    row, column = pixel(view, opposite)
    if 0 <= row < SIZE[1] and 0 <= column < SIZE[0]:
        assert abs(lit[row, column].mean() - shaded[row, column].mean()) < 6


def test_opengl_and_software_agree() -> None:
    actor = t_pose()
    view = CameraPath("follow", [actor], aspect=SIZE[0] / SIZE[1]).at(0.0)
    images = []
    for made in (gl_canvas([actor]), SoftwareCanvas([actor], SIZE)):
        images.append(made.draw({0: actor.poses(0)}, view).astype(int))
        made.close()
    difference = np.abs(images[0] - images[1]).max(-1)
    assert difference.mean() < 4.0
    assert (difference > 40).mean() < 0.02, "only edges and self-shadows differ"


@pytest.mark.parametrize("kind", ["gl", "software"])
def test_a_ghost_is_between_solid_and_nothing(kind: str) -> None:
    seen = {}
    for opacity in (1.0, 0.4):
        actor = t_pose(opacity=opacity)
        view = CameraPath("follow", [actor], aspect=SIZE[0] / SIZE[1]).at(0.0)
        made = gl_canvas([actor]) if kind == "gl" else SoftwareCanvas([actor], SIZE)
        row, column = pixel(view, actor.poses(0)[JOINTS.index("LeftForeArm"), :3, 3])
        row, column = row + 2, column + 6
        seen[opacity] = made.draw({0: actor.poses(0)}, view).astype(int)[row, column]
        seen[0.0] = made.draw({}, view).astype(int)[row, column]
        made.close()
    step = np.abs(seen[0.4] - seen[0.0]).sum() / np.abs(seen[1.0] - seen[0.0]).sum()
    assert 0.2 < step < 0.6


def test_behind_the_camera_is_nothing(canvas: Canvas) -> None:
    actor = t_pose()
    view = CameraPath("follow", [actor], aspect=SIZE[0] / SIZE[1]).at(0.0)
    behind = actor.poses(0).copy()
    behind[:, :2, 3] += 2.5 * (view.world_from_camera[:2, 3] - view.target[:2])
    empty = canvas.draw({}, view).astype(int)
    shown = canvas.draw({0: behind}, view).astype(int)
    sky = slice(0, SIZE[1] // 3)
    assert np.abs(empty[sky] - shown[sky]).max() <= 2


def test_canvases_do_not_disturb_each_other() -> None:
    actor = t_pose()
    view = CameraPath("follow", [actor], aspect=SIZE[0] / SIZE[1]).at(0.0)
    first = gl_canvas([actor])
    before = first.draw({0: actor.poses(0)}, view).copy()
    second = gl_canvas([actor], (64, 48))
    second.draw({0: actor.poses(0)}, view)
    second.close()
    np.testing.assert_array_equal(first.draw({0: actor.poses(0)}, view), before)
    first.close()
    third = gl_canvas([actor])
    np.testing.assert_array_equal(third.draw({0: actor.poses(0)}, view), before)
    third.close()


def test_a_driver_that_refuses_shaders_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    gl_canvas([t_pose()]).close()
    from motiontok.render import studio

    monkeypatch.setattr(studio, "_SHADERS", studio._SHADERS / "nowhere")
    with pytest.warns(RenderWarning, match="OpenGL fails here"):
        made = open_canvas([t_pose()], SIZE)
    assert isinstance(made, SoftwareCanvas)


class _Swarm(MannequinActor):
    def meshes(self, *, fine: bool = True) -> list[Part]:
        return super().meshes(fine=fine) * 8


def test_too_many_parts_is_an_error() -> None:
    actor = t_pose()
    swarm = _Swarm.__new__(_Swarm)
    swarm.__dict__.update(actor.__dict__)
    with pytest.raises(RenderError, match="176 moving parts"):
        gl_canvas([swarm])
