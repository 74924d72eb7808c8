"""The algebra, for every operator in one list."""

import dask
import numpy as np
import pytest
import strategies
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import cubekit as ck

OPERATORS = {
    "smooth": lambda axis: ck.savgol_operator(axis, 5, 2),
    "smooth by width": lambda axis: ck.savgol_operator(
        axis, window_width=0.6 * np.ptp(axis.values), polyorder=1
    ),
    "smooth slope": lambda axis: ck.savgol_operator(axis, 5, 3, deriv=1),
    "slope": ck.derivative_operator,
    "curvature": lambda axis: ck.derivative_operator(axis, 2),
    "third": lambda axis: ck.derivative_operator(axis, 3, accuracy=1),
}
DEGREE = {
    "smooth": 2,
    "smooth by width": 1,
    "smooth slope": 3,
    "slope": 2,
    "curvature": 3,
    "third": 3,
}

axes = strategies.axes(min_size=6)
seeds = st.integers(0, 2**16)
every_operator = pytest.mark.parametrize("name", OPERATORS)


def built(name, axis):
    """Operator of that name, or None where a window holds too few samples."""
    try:
        return OPERATORS[name](axis)
    except ValueError:
        assert name == "smooth by width"
        return None


def spectrum(axis, seed, scale=1.0):
    values = np.random.default_rng(seed).normal(0, scale, (2, len(axis)))
    return xr.DataArray(values, coords=axis.to_coords(), dims=("y", axis.dim))


def size(operator, cube):
    """Rounding scale of an application: weights times values, term by term."""
    return np.abs(operator.matrix).sum(axis=1).max() * np.abs(cube.values).max()


@every_operator
@given(axis=axes, seed=seeds)
def test_a_product_is_one_after_the_other(name, axis, seed):
    a, b, x = built(name, axis), ck.savgol_operator(axis, 5, 2), spectrum(axis, seed)
    if a is None:
        return
    for first, second in ((a, b), (b, a)):
        np.testing.assert_allclose(
            (second @ first)(x),
            second(first(x)),
            rtol=0,
            atol=1e-13 * size(a, x) * size(b, x),
        )


@every_operator
@given(axis=axes, seed=seeds)
def test_the_transpose_is_the_adjoint_of_the_dot_product(name, axis, seed):
    a, x, y = built(name, axis), spectrum(axis, seed), spectrum(axis, seed + 1)
    if a is None:
        return
    left, right = float((a(x) * y).sum()), float((x * a.T(y)).sum())
    assert abs(left - right) <= 1e-13 * len(axis) * size(a, x) * np.abs(y).max()
    assert (a.T.T.matrix != a.matrix).nnz == 0


@every_operator
@given(axis=axes, seed=seeds)
def test_polynomials_are_reproduced_and_differentiated_exactly(name, axis, seed):
    a = built(name, axis)
    if a is None:
        return
    t = (axis.values - axis.values.mean()) / np.ptp(axis.values)
    p = np.polynomial.Polynomial(
        np.random.default_rng(seed).normal(size=DEGREE[name] + 1)
    )
    x = spectrum(axis, seed).copy(data=np.stack([p(t), p(t)]))
    exact = p.deriv(a.order)(t) / np.ptp(axis.values) ** a.order
    # the rounding of the coordinates is magnified by the weights of close samples
    unit = 1 + np.abs(axis.values).max() / np.ptp(axis.values)
    np.testing.assert_allclose(
        a(x)[0],
        exact,
        rtol=1e-10,
        atol=1e-14 * unit * (size(a, x) + np.abs(exact).max()),
    )


@every_operator
@given(axis=axes, seed=seeds, scale=st.sampled_from([1e-9, 2.0, 1e6]))
def test_scaling_the_axis_scales_a_derivative_by_its_inverse(name, axis, seed, scale):
    scaled = ck.Axis(axis.dim, axis.values * scale)
    a, b = built(name, axis), built(name, scaled)
    if a is None or b is None:
        return
    np.testing.assert_allclose(
        b.matrix.toarray() * scale**a.order,
        a.matrix.toarray(),
        rtol=0,
        atol=1e-9 * np.abs(a.matrix.data).max(),
    )


@every_operator
@given(axis=axes)
def test_reversing_the_axis_reverses_the_matrix_bit_for_bit(name, axis):
    a = built(name, axis)
    b = built(name, ck.Axis(axis.dim, axis.values[::-1]))
    if a is None:
        return
    np.testing.assert_array_equal(b.matrix.toarray(), a.matrix.toarray()[::-1, ::-1])


@every_operator
@given(axis=axes, seed=seeds, data=st.data())
def test_nan_appears_exactly_on_the_support(name, axis, seed, data):
    a = built(name, axis)
    if a is None:
        return
    x = spectrum(axis, seed)
    bad = data.draw(st.integers(0, len(axis) - 1))
    clean = a(x)
    x[1, bad] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    got = a(x)
    np.testing.assert_array_equal(np.isnan(got[1]), a.support.toarray()[:, bad])
    keep = ~np.isnan(got)
    np.testing.assert_array_equal(got.values[keep], clean.values[keep])


@every_operator
@given(cube=strategies.cubes(min_size=6, max_size=25), data=st.data())
def test_any_chunking_gives_the_same_values_nan_and_dtype(name, cube, data):
    axis = ck.Axis.from_cube(cube, "wavelength")
    a = built(name, axis)
    if a is None:
        return
    chunks = {d: data.draw(strategies.chunkings(n)) for d, n in cube.sizes.items()}
    expected = a(cube)
    with dask.config.set(scheduler="synchronous"):
        got = a(cube.chunk(chunks)).compute()
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    finite = np.nan_to_num(cube.values.astype(float), posinf=0, neginf=0)
    weight = np.abs(np.nan_to_num(a.matrix.toarray())).sum(axis=1).max()
    np.testing.assert_allclose(
        got,
        expected,
        rtol=0,
        atol=8 * np.finfo(got.dtype).eps * weight * np.abs(finite).max(),
    )


@every_operator
@given(axis=axes, seed=seeds)
def test_the_covariance_of_a_result_is_that_of_the_matrix(name, axis, seed):
    a = built(name, axis)
    if a is None:
        return
    x = np.random.default_rng(seed).normal(size=(50, len(axis)))
    cube = xr.DataArray(x, coords=axis.to_coords(), dims=("y", axis.dim))
    S = a.matrix.toarray()
    np.testing.assert_allclose(
        np.cov(a(cube).values.T),
        S @ np.cov(x.T) @ S.T,
        rtol=0,
        atol=1e-12 * size(a, cube) ** 2,
    )
