"""Rotation algebra against scipy, and the laws it has to obey."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation, Slerp

from bvh import rotations as r

ORDERS = [
    "".join(order)
    for length in (1, 2, 3)
    for order in product("xyz", repeat=length)
    if all(a != b for a, b in pairwise(order))
]
THREE_AXES = [order for order in ORDERS if len(order) == 3]

components = st.floats(-1, 1).filter(lambda v: v == 0 or abs(v) > 1e-9)


def unit(q: np.ndarray) -> np.ndarray:
    short = np.linalg.norm(q, axis=-1, keepdims=True) < 0.01
    return r.normalize(np.where(short, [1.0, 0.0, 0.0, 0.0], q))


quaternions = arrays(float, (5, 4), elements=components).map(unit)
vectors = arrays(float, (5, 3), elements=st.floats(-10, 10))
turn = st.floats(-4 * np.pi, 4 * np.pi)
right_angles = st.integers(-4, 4).map(lambda n: n * np.pi / 2)
near_right_angles = st.builds(
    lambda angle, sign, power: angle + sign * 10.0**power,
    right_angles,
    st.sampled_from([-1, 1]),
    st.floats(-17, -2),
)


def scipy(q: np.ndarray) -> Rotation:
    return Rotation.from_quat(q, scalar_first=True)


def same(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-14) -> bool:
    """Whether quaternions are equal up to sign."""
    gap = np.minimum(np.abs(a - b).max(-1), np.abs(a + b).max(-1))
    return bool((gap < tolerance).all())


@given(quaternions, quaternions, vectors)
def test_products_and_matrices_equal_scipy(a: np.ndarray, b: np.ndarray, v: np.ndarray) -> None:
    product = scipy(a) * scipy(b)
    assert same(r.multiply(a, b), product.as_quat(scalar_first=True))
    np.testing.assert_allclose(r.rotate(a, v), scipy(a).apply(v), atol=1e-13)
    np.testing.assert_allclose(r.to_matrix(a), scipy(a).as_matrix(), atol=1e-14)
    np.testing.assert_allclose(
        r.angle_between(a, b), (scipy(a).inv() * scipy(b)).magnitude(), atol=1e-14
    )
    assert same(r.multiply(a, r.conjugate(a)), r.identity(5))


@given(quaternions)
def test_matrix_and_back(q: np.ndarray) -> None:
    back = r.from_matrix(r.to_matrix(q))
    assert same(back, q)
    assert (back[..., 0] >= 0).all()


@given(vectors)
def test_exponential_equals_scipy_and_logarithm_undoes_it(v: np.ndarray) -> None:
    q = r.exp(v)
    assert same(q, Rotation.from_rotvec(v).as_quat(scalar_first=True))
    np.testing.assert_allclose(np.linalg.norm(r.log(q), axis=-1), scipy(q).magnitude(), atol=1e-14)
    assert same(r.exp(r.log(q)), q)


@pytest.mark.parametrize("size", [0.0, 1e-300, 1e-12, 1e-9, 1e-6, 1e-3])
def test_small_rotations_keep_their_digits(size: float) -> None:
    v = size * np.array([0.6, -0.8, 0.0])
    np.testing.assert_allclose(r.log(r.exp(v)), v, rtol=1e-14)


@given(vectors, st.floats(-10, 10))
def test_axis_and_angle_equal_scipy(axis: np.ndarray, angle: float) -> None:
    length = np.linalg.norm(axis, axis=-1, keepdims=True)
    axis = np.where(length > 1e-3, axis, [0.0, 0.0, 1.0])
    unit = axis / np.linalg.norm(axis, axis=-1, keepdims=True)
    expected = Rotation.from_rotvec(angle * unit).as_quat(scalar_first=True)
    assert same(r.from_axis_angle(axis, angle), expected)


@pytest.mark.parametrize("order", ORDERS)
@settings(max_examples=25)
@given(data=st.data())
def test_euler_angles_equal_scipy_and_come_back(order: str, data: st.DataObject) -> None:
    angle = st.one_of(turn, right_angles, near_right_angles)
    angles = data.draw(arrays(float, (3, len(order)), elements=angle))
    q = r.from_euler(angles, order)
    assert same(q, Rotation.from_euler(order.upper(), angles).as_quat(scalar_first=True))
    back = r.to_euler(q, order)
    assert back.shape == angles.shape
    assert same(r.from_euler(back, order), q, 2e-12)
    assert (np.abs(back) <= np.pi + 1e-12).all()
    if len(order) == 3:
        low, high = (0, np.pi) if order[0] == order[2] else (-np.pi / 2, np.pi / 2)
        assert (back[:, 1] >= low - 1e-12).all()
        assert (back[:, 1] <= high + 1e-12).all()


@pytest.mark.parametrize("order", THREE_AXES)
@settings(max_examples=25)
@given(first=turn, last=turn, side=st.integers(-2, 2))
def test_gimbal_lock_leaves_the_last_angle_zero(
    order: str, first: float, last: float, side: int
) -> None:
    proper = order[0] == order[2]
    middle = side * np.pi if proper else np.pi / 2 + side * np.pi
    q = r.from_euler(np.array([first, middle, last]), order)
    back = r.to_euler(q, order)
    assert abs(back[2]) < 1e-12
    assert same(r.from_euler(back, order), q, 1e-12)


@pytest.mark.parametrize("order", ["", "xx", "xyy", "xyzx", "abc"])
def test_what_is_no_euler_order(order: str) -> None:
    with pytest.raises(ValueError, match="Euler order"):
        r.to_euler(r.identity(1), order)


def test_no_axes_and_repeated_axes_compose() -> None:
    assert same(r.from_euler(np.zeros((4, 0)), ""), r.identity(4))
    assert same(r.from_euler(np.array([0.2, 0.3]), "XX"), r.from_euler(np.array([0.5]), "x"))


@given(quaternions, quaternions, st.floats(0, 1))
def test_slerp_equals_scipy(a: np.ndarray, b: np.ndarray, t: float) -> None:
    for start, stop in zip(a, b, strict=True):
        # At half a turn either way round is the shortest.
        if r.angle_between(start, stop) > np.pi - 1e-3:
            continue
        path = Slerp([0, 1], Rotation.concatenate([scipy(start), scipy(stop)]))
        assert same(r.slerp(start, stop, t), path(t).as_quat(scalar_first=True), 1e-12)


@given(vectors, vectors)
def test_shortest_rotation_between_directions(a: np.ndarray, b: np.ndarray) -> None:
    keep = (np.linalg.norm(a, axis=-1) > 1e-3) & (np.linalg.norm(b, axis=-1) > 1e-3)
    a, b = a[keep], b[keep]
    a /= np.linalg.norm(a, axis=-1, keepdims=True)
    b /= np.linalg.norm(b, axis=-1, keepdims=True)
    q = r.between(a, b)
    np.testing.assert_allclose(r.rotate(q, a), b, atol=1e-4)
    expected = np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), np.sum(a * b, axis=-1))
    np.testing.assert_allclose(r.angle_between(r.identity(len(a)), q), expected, atol=1e-4)


@pytest.mark.parametrize("axis", np.concatenate([np.eye(3), -np.eye(3)]))
def test_opposite_directions(axis: np.ndarray) -> None:
    q = r.between(axis, -axis)
    np.testing.assert_allclose(r.rotate(q, axis), -axis, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(q), 1)


def test_no_direction_means_no_turn() -> None:
    nothing, way = np.zeros((1, 3)), np.array([[0.0, 3.0, 0.0]])
    for a, b in ((nothing, way), (way, nothing), (nothing, nothing)):
        np.testing.assert_array_equal(r.between(a, b), r.identity(1))


@given(st.floats(-3, 3), st.floats(-1.5, 1.5), st.floats(-3, 3))
def test_twist_and_heading(yaw: float, tilt: float, direction: float) -> None:
    horizontal = np.array([np.cos(direction), np.sin(direction), 0.0])
    q = r.multiply(r.from_axis_angle([0, 0, 1], yaw), r.from_axis_angle(horizontal, tilt))
    assert r.yaw_of(q) == pytest.approx(yaw, abs=1e-9)
    assert r.yaw_of(-q) == pytest.approx(yaw, abs=1e-9)


@given(arrays(float, (5, 2, 4), elements=components).map(unit))
def test_signs_are_aligned_and_rotations_kept(q: np.ndarray) -> None:
    out = r.align_signs(q)
    assert same(out, q)
    assert (np.sum(out[1:] * out[:-1], axis=-1) >= 0).all()
    np.testing.assert_array_equal(out[0], q[0])
    np.testing.assert_array_equal(r.align_signs(q[:1]), q[:1])


@pytest.mark.parametrize("shape", [(), (0,), (2,), (2, 3), (2, 0, 3)])
def test_leading_dimensions(shape: tuple[int, ...]) -> None:
    q, v = r.identity(*shape), np.ones((*shape, 3))
    assert r.multiply(q, q).shape == (*shape, 4)
    assert r.rotate(q, v).shape == (*shape, 3)
    assert r.to_matrix(q).shape == (*shape, 3, 3)
    assert r.from_matrix(r.to_matrix(q)).shape == (*shape, 4)
    assert r.log(q).shape == (*shape, 3)
    for order in ORDERS:
        angles = r.to_euler(q, order)
        assert angles.shape == (*shape, len(order))
        assert r.from_euler(angles, order).shape == (*shape, 4)
