"""Derivatives in space, against mathematics, SymPy, NumPy and published numbers."""

import itertools

import dask
import numpy as np
import pytest
import sympy
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from strategies import chunkings, coordinates

import cubekit as ck
from cubekit import stencils

SPACINGS = ("uniform", "stretched", "jittered", "two spacings")


def grid(kind, n, length=3.0):
    """Coordinates of a kind, that keeps its ratios of steps under refinement."""
    t = np.linspace(0, 1, n)
    if kind == "uniform":
        return length * t
    if kind == "stretched":
        return length * (np.exp(1.5 * t) - 1) / (np.exp(1.5) - 1)
    if kind == "two spacings":
        step = np.where(np.arange(n - 1) < n // 2, 1.0, 2.3)
    else:
        step = np.resize(np.random.default_rng(0).uniform(0.5, 1.5, 7), n - 1)
    x = np.concatenate([[0], np.cumsum(step)])
    return length * x / x[-1]


def field(function, **coords):
    """Function of coordinates, on their grid."""
    places = {k: xr.DataArray(v, dims=k, coords={k: v}) for k, v in coords.items()}
    out = function(**places)
    return out.transpose(*coords)


def sampled(expression, symbols, places):
    """SymPy expression on a grid."""
    mesh = np.meshgrid(*places, indexing="ij")
    values = sympy.lambdify(symbols, expression, "numpy")(*mesh)
    return np.broadcast_to(values, mesh[0].shape)


def cube_of(values, **coords):
    return xr.DataArray(values, dims=list(coords), coords=coords)


# --- accuracy -----------------------------------------------------------------------


def worst_error(kind, order, accuracy, n):
    """Largest error over all samples, edges included, in the width of its stencil.

    And that of rounding alone.

    Of a polynomial with the two lowest powers for which it is not exact: its error has
    a first and a second term, and is far above rounding.
    """
    lead = np.polynomial.Polynomial.basis(order + accuracy)
    f = lead + lead * np.polynomial.Polynomial([0, 0.1])
    x = grid(kind, n, 1.0)
    operator = ck.derivative_operator(ck.Axis("x", x), order, accuracy=accuracy)
    error = np.abs(operator.matrix @ f(x) - f.deriv(order)(x))
    rounding = 2e-16 * (np.abs(operator.matrix) @ np.abs(f(x)))
    windows = stencils.difference_windows(x, order, accuracy, accuracy)
    width = x[windows.start + windows.length - 1] - x[windows.start]
    return (error / width**accuracy).max(), (rounding / width**accuracy).max()


@pytest.mark.parametrize("kind", SPACINGS)
@pytest.mark.parametrize("accuracy", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_refinement_measures_the_promised_order_at_every_sample(kind, order, accuracy):
    steps, errors = [], []
    for n in (15, 22, 29, 43, 57, 85, 113, 169, 225):
        error, rounding = worst_error(kind, order, accuracy, n)
        if error < 10 * rounding:
            break
        steps.append(np.log(1 / (n - 1)))
        errors.append(np.log(error))
    slope = np.polyfit(steps[-3:], errors[-3:], 1)[0]
    assert len(steps) >= 3
    assert accuracy + slope >= accuracy - 0.1


@pytest.mark.parametrize("kind", SPACINGS)
@pytest.mark.parametrize("accuracy", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_polynomials_the_promise_covers_are_exact(kind, order, accuracy):
    x = grid(kind, 14)
    operator = ck.derivative_operator(ck.Axis("x", x), order, accuracy=accuracy)
    size = np.abs(operator.matrix).sum(axis=1).max()
    for degree in range(order + accuracy):
        p = np.polynomial.Polynomial.basis(degree)
        np.testing.assert_allclose(
            operator.matrix @ p(x), p.deriv(order)(x), atol=1e-14 * size * 3.0**degree
        )


@pytest.mark.parametrize("accuracy", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_mirrored_axis_has_the_mirrored_stencils(order, accuracy):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        # multiples of a quarter: ties between the sides are frequent
        x = np.cumsum(rng.integers(1, 3, 14)) / 4.0
        for edge in (1, accuracy):
            ahead = stencils.difference_windows(x, order, accuracy, edge)
            back = stencils.difference_windows(-x[::-1], order, accuracy, edge)
            np.testing.assert_array_equal(ahead.length, back.length[::-1])
            np.testing.assert_array_equal(
                ahead.start, (len(x) - back.start - back.length)[::-1]
            )


@given(coordinates(min_size=8), st.integers(1, 4), st.integers(1, 4))
def test_reversing_the_axis_reverses_the_result_to_the_bit(x, order, accuracy):
    f = np.random.default_rng(0).normal(size=len(x))
    line = cube_of(f, x=x)
    ahead = ck.derivative(line, "x", order=order, accuracy=accuracy)
    back = ck.derivative(line[::-1], "x", order=order, accuracy=accuracy)
    ahead_matrix = ck.derivative_operator(
        ck.Axis("x", x), order, accuracy=accuracy
    ).matrix
    back_matrix = ck.derivative_operator(
        ck.Axis("x", x[::-1]), order, accuracy=accuracy
    ).matrix
    np.testing.assert_array_equal(
        ahead_matrix.toarray(), back_matrix.toarray()[::-1, ::-1]
    )
    scale = np.abs(ahead_matrix).sum(axis=1) * 4
    np.testing.assert_allclose(ahead / scale, back[::-1] / scale, atol=1e-15)


@pytest.mark.parametrize("order", [1, 3])
def test_stencils_of_odd_orders_are_centred(order):
    x = grid("jittered", 30)
    for accuracy in range(1, 7):
        start, length = stencils.difference_windows(x, order, accuracy, accuracy)
        inner = slice(5, -5)
        np.testing.assert_array_equal(
            (start + length // 2)[inner], np.arange(30)[inner]
        )
        assert set(length[inner] % 2) == {1}


def test_even_stencils_lean_to_the_nearer_side():
    x = np.array([0.0, 1.0, 2.0, 5.0, 6.0, 7.0, 10.0])
    start, length = stencils.difference_windows(x, 2, 2, 2)
    # 5.0: 1 is 4 away, 7 is 2 away; 6.0: 2 is 4 away, 10 is 4 away, 5 and 7 agree
    assert (start[3], length[3]) == (2, 4)
    assert (start[4], length[4]) == (3, 3)


def test_float32_coordinates_of_even_spacing_have_the_symmetric_stencil():
    for start, step in [(0.0, 0.1), (359.5796, 9e-4), (-0.1278, 9e-4), (5.8e6, 30.0)]:
        x = (start + step * np.arange(60)).astype(np.float32).astype(np.float64)
        windows = stencils.difference_windows(x, 2, 2, 2)
        assert set(windows.length[1:-1]) == {3}


def test_unevenness_larger_than_the_rounding_of_float32_is_seen():
    x = 5.8e6 + np.cumsum(np.random.default_rng(0).integers(25, 36, 60)).astype(float)
    windows = stencils.difference_windows(x, 2, 2, 2)
    uneven = np.diff(x, 2) != 0
    assert set(windows.length[1:-1][np.abs(np.diff(x, 2)) > 1]) == {4}
    assert uneven.sum() > 40


def test_accuracy_one_gives_the_classical_second_difference_on_uneven_grids():
    x = np.array([0.0, 1.0, 3.0, 4.0, 7.0])
    row = ck.derivative_operator(ck.Axis("x", x), 2, accuracy=1).isel(2)
    a, b = 2.0, 1.0
    np.testing.assert_allclose(
        row.matrix.toarray()[0, 1:4],
        [2 / (a * (a + b)), -2 / (a * b), 2 / (b * (a + b))],
        rtol=1e-15,
    )


# --- peers and published numbers -----------------------------------------------------


@pytest.mark.parametrize("edge_order", [1, 2])
@pytest.mark.parametrize("kind", SPACINGS)
def test_first_derivatives_are_those_of_numpy(kind, edge_order):
    x = grid(kind, 40)
    f = np.random.default_rng(1).normal(size=(3, 40))
    got = ck.derivative(
        cube_of(f, band=range(3), x=x), "x", edge_accuracy=edge_order
    ).values
    want = np.gradient(f, x, axis=1, edge_order=edge_order)
    np.testing.assert_allclose(got, want, atol=1e-14 * np.abs(want).max())


def test_edge_accuracy_one_is_differentiate_of_xarray():
    x = grid("jittered", 40)
    line = cube_of(np.random.default_rng(1).normal(size=40), x=x)
    want = line.differentiate("x")
    got = ck.derivative(line, "x", edge_accuracy=1)
    np.testing.assert_allclose(got, want, atol=1e-14 * float(abs(want).max()))


def test_published_case_of_three_uneven_samples():
    line = cube_of([13.5, 12.0, 10.0], x=[0.0, 1.25, 3.75])
    first = ck.derivative(line, "x")
    second = ck.derivative(line, "x", order=2, accuracy=1)
    np.testing.assert_allclose(first, [-1.333333, -1.06666667, -0.5333333], rtol=1e-6)
    np.testing.assert_allclose(second, 0.2133333, rtol=1e-6)


@pytest.mark.parametrize("edge_accuracy", [1, 2])
def test_the_nested_hessian_on_unit_spacing_is_numpy_gradient_twice(edge_accuracy):
    f = np.random.default_rng(0).normal(size=(30, 41))
    cube = cube_of(f, y=np.arange(30.0), x=np.arange(41.0))
    got = ck.hessian(cube, scheme="nested", edge_accuracy=edge_accuracy).values
    want = [
        np.gradient(part, edge_order=edge_accuracy)
        for part in np.gradient(f, edge_order=edge_accuracy)
    ]
    # at an edge three products may be added in another order: an ulp of them; and
    # the part below the diagonal is the one above, where NumPy rounds once more
    np.testing.assert_allclose(got, want, rtol=0, atol=4 * 2.3e-16 * 4)
    inner = (slice(2, -2), slice(2, -2))
    for j, k in ((0, 0), (0, 1), (1, 1)):
        np.testing.assert_array_equal(got[j, k][inner], want[j][k][inner])


def test_curvature_on_cells_that_are_not_square():
    """A published mistake: the mean cell size for both axes gives -32, not -200."""
    y, x = np.arange(9) * 40.0, np.arange(9) * 10.0
    cube = field(lambda y, x: (x / 10) ** 2 + 0 * y, y=y, x=x)
    got = -100 * 100 * ck.derivative(cube, "x", order=2)
    np.testing.assert_allclose(got, -200, rtol=1e-12)


def test_a_small_slope_on_a_large_offset_survives():
    x = np.arange(20.0)
    got = ck.derivative(cube_of(1e6 + 0.001 * x, x=x), "x")
    np.testing.assert_allclose(got, 0.001, rtol=1e-6)


# --- analytic truth ------------------------------------------------------------------

X, Y, Z = sympy.symbols("x y z")
FUNCTIONS = {
    "plane wave": (sympy.sin(2 * X + Y) * sympy.exp(-Y / 2), (Y, X)),
    "saddle": (X**2 * Y - Y**3 / 3 + X * Y, (Y, X)),
    "volume": (sympy.sin(X * Y) + sympy.cos(Z) * X + Z**2 * Y, (Z, Y, X)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradient_and_hessian_agree_with_symbolic_derivatives(name):
    expression, symbols = FUNCTIONS[name]
    names = [s.name for s in symbols]
    errors = []
    for n in (21, 41):
        places = [grid(k, n, 1.5) for k in (*SPACINGS[1 : len(symbols)], "jittered")]
        places = places[: len(symbols)]
        cube = cube_of(
            sampled(expression, symbols, places),
            **dict(zip(names, places, strict=True)),
        )
        kwargs = {"coords": names, "accuracy": 4}
        slope, bend = ck.gradient(cube, **kwargs), ck.hessian(cube, **kwargs)
        worst = 0.0
        for k, s in enumerate(symbols):
            exact = sampled(sympy.diff(expression, s), symbols, places)
            worst = max(worst, np.abs(slope.values[k] - exact).max())
            for j, r in enumerate(symbols):
                exact = sampled(sympy.diff(expression, r, s), symbols, places)
                worst = max(worst, np.abs(bend.values[j, k] - exact).max())
        errors.append(worst)
    # fourth order: halving the step divides the error by 16, on other random grids
    assert errors[1] < max(errors[0] / 6, 1e-10)
    assert errors[1] < 2e-4


def test_a_paraboloid_has_twice_the_identity_as_hessian():
    y, x = grid("jittered", 30), grid("two spacings", 25)
    cube = field(lambda y, x: x**2 + y**2, y=y, x=x)
    got = ck.hessian(cube)
    want = np.broadcast_to(2 * np.eye(2)[..., None, None], got.shape)
    np.testing.assert_allclose(got, want, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
@pytest.mark.parametrize("scheme", ["compact", "nested"])
@pytest.mark.parametrize("chunks", [None, {"y": 4}, {"x": 5, "z": 3}])
def test_the_hessian_is_symmetric_and_its_trace_the_laplacian_to_the_bit(
    dtype, scheme, chunks
):
    rng = np.random.default_rng(3)
    coords = {
        "z": grid("jittered", 9),
        "y": grid("stretched", 12),
        "x": np.arange(11.0),
    }
    cube = cube_of((100 * rng.normal(size=(9, 12, 11))).astype(dtype), **coords)
    if chunks:
        cube = cube.chunk(chunks)
    for coords in (("y", "x"), ("z", "y", "x"), ("x", "z")):
        bend = ck.hessian(cube, coords, scheme=scheme).values
        for j, k in itertools.combinations(range(len(coords)), 2):
            np.testing.assert_array_equal(bend[j, k], bend[k, j])
        trace = ck.laplacian(cube, coords, scheme=scheme).values
        np.testing.assert_array_equal(np.trace(bend), trace)


def test_only_the_nested_laplacian_is_blind_to_a_checkerboard():
    n = np.arange(12.0)
    cube = field(lambda y, x: (-1.0) ** (y + x), y=n, x=n)
    inner = {"y": slice(2, -2), "x": slice(2, -2)}
    assert (abs(ck.laplacian(cube).isel(inner)) == 8).all()
    assert (ck.laplacian(cube, scheme="nested").isel(inner) == 0).all()


def test_the_divergence_of_a_gradient_is_the_nested_laplacian():
    rng = np.random.default_rng(0)
    cube = cube_of(rng.normal(size=(12, 13)), y=grid("jittered", 12), x=np.arange(13.0))
    got = ck.divergence(ck.gradient(cube))
    np.testing.assert_array_equal(got, ck.laplacian(cube, scheme="nested"))


def test_magnitude_and_norm_are_those_of_their_parts():
    rng = np.random.default_rng(0)
    cube = cube_of(rng.normal(size=(9, 8, 7)), z=range(9), y=range(8), x=range(7))
    for coords in (("y", "x"), ("z", "y", "x"), ("x",)):
        slope, bend = ck.gradient(cube, coords).values, ck.hessian(cube, coords).values
        np.testing.assert_allclose(
            ck.gradient_magnitude(cube, coords),
            np.linalg.norm(slope, axis=0),
            rtol=1e-14,
        )
        np.testing.assert_allclose(
            ck.hessian_norm(cube, coords), np.linalg.norm(bend, axis=(0, 1)), rtol=1e-14
        )


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_norms_of_very_small_and_large_float32_are_finite_and_right(scale):
    cube = field(lambda y, x: 3 * y + 4 * x + x**2, y=np.arange(5.0), x=np.arange(6.0))
    small = (cube * scale).astype(np.float32)
    np.testing.assert_allclose(
        ck.gradient_magnitude(small) / np.float32(scale),
        ck.gradient_magnitude(cube),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        ck.hessian_norm(small) / np.float32(scale), 2.0, rtol=1e-5
    )


@pytest.mark.parametrize("chunks", [None, {"y": 3}])
@pytest.mark.parametrize("coords", [("x",), ("y", "x"), ("z", "y", "x")])
def test_eigenvalues_are_those_of_a_dense_solver(coords, chunks):
    rng = np.random.default_rng(0)
    cube = cube_of(rng.normal(size=(9, 8, 7)), z=range(9), y=range(8), x=range(7))
    cube[4, 4, 4] = np.nan
    bend = np.moveaxis(ck.hessian(cube, coords).values, (0, 1), (-2, -1))
    bad = np.isnan(bend).any(axis=(-1, -2))
    want = np.linalg.eigvalsh(np.where(bad[..., None, None], 0, bend))
    want[bad] = np.nan
    got = ck.hessian_eigenvalues(cube if chunks is None else cube.chunk(chunks), coords)
    assert got.dims == ("eigenvalue", "z", "y", "x")
    np.testing.assert_allclose(np.moveaxis(got.values, 0, -1), want, atol=1e-13)


# --- chunks, laziness, graphs --------------------------------------------------------

FUNCTIONS_OF_A_CUBE = [
    lambda c: ck.derivative(c, "y", order=2),
    ck.gradient,
    ck.hessian,
    ck.laplacian,
    ck.gradient_magnitude,
    ck.hessian_norm,
    ck.hessian_eigenvalues,
    lambda c: ck.divergence(ck.gradient(c)),
    lambda c: ck.gradient(c, ("x", "z"), periodic={"x": 100.0}),
]


@given(st.data())
def test_any_chunks_give_the_result_of_numpy(data):
    y, x = data.draw(coordinates(6, 9)), grid("jittered", 7)
    values = np.random.default_rng(0).normal(size=(3, len(y), 7))
    if data.draw(st.booleans()):
        values[1, 2, 3] = np.nan
    cube = cube_of(values, z=[0.0, 1.0, 5.0], y=y, x=x)
    cube = cube.transpose(*data.draw(st.permutations(cube.dims)))
    function = data.draw(st.sampled_from(FUNCTIONS_OF_A_CUBE))
    chunks = {d: data.draw(chunkings(n)) for d, n in cube.sizes.items()}
    want = function(cube)
    got = function(cube.chunk(chunks))
    assert got.chunks is not None
    assert got.dtype == want.dtype
    with dask.config.set(scheduler="synchronous"):
        xr.testing.assert_allclose(got.compute(), want, rtol=1e-12, atol=0)


def test_nothing_is_computed_before_it_is_asked_for():
    def refuse(*args, **kwargs):
        raise AssertionError("computed early")

    cube = cube_of(np.zeros((6, 8, 9)), z=range(6), y=range(8), x=range(9))
    with dask.config.set(scheduler=refuse):
        for function in FUNCTIONS_OF_A_CUBE:
            assert function(cube.chunk({"y": 3})).chunks is not None


@pytest.mark.parametrize("chunks", [{"z": 1}, {"z": 1, "y": 30}, {"z": 5, "y": 1}])
@pytest.mark.parametrize("function", [ck.gradient, ck.hessian])
def test_at_most_three_tasks_a_chunk_and_component(function, chunks):
    cube = cube_of(
        np.zeros((5, 120, 40), np.float32), z=range(5), y=range(120), x=range(40)
    ).chunk(chunks)
    result = function(cube)
    components = result.size // cube.size
    added = len(result.data.__dask_graph__()) - len(cube.data.__dask_graph__())
    assert added <= 3 * components * cube.data.npartitions


@pytest.mark.parametrize("chunks", [{"z": 1}, {"z": 1, "y": 30}, {"z": 5, "y": 1}])
@pytest.mark.parametrize(
    ("function", "components"),
    [
        (ck.laplacian, 2),
        (ck.gradient_magnitude, 2),
        (ck.hessian_norm, 4),
        (ck.hessian_eigenvalues, 4),
    ],
)
def test_sums_and_norms_add_three_tasks_a_chunk_and_component_at_most(
    function, components, chunks
):
    cube = cube_of(
        np.zeros((5, 120, 40), np.float32), z=range(5), y=range(120), x=range(40)
    ).chunk(chunks)
    added = len(function(cube).data.__dask_graph__()) - len(cube.data.__dask_graph__())
    assert added <= 3 * components * cube.data.npartitions


def test_a_divergence_adds_three_tasks_a_chunk_and_component_at_most():
    cube = cube_of(
        np.zeros((5, 120, 40), np.float32), z=range(5), y=range(120), x=range(40)
    ).chunk({"z": 1, "y": 30})
    slope = ck.gradient(cube)
    added = len(ck.divergence(slope).data.__dask_graph__())
    added -= len(slope.data.__dask_graph__())
    assert added <= 3 * 2 * cube.data.npartitions


@pytest.mark.parametrize("order", ["C", "F"])
def test_any_order_of_memory_gives_the_same(order):
    values = np.random.default_rng(0).normal(size=(4, 9, 8))
    want = ck.gradient(cube_of(values, z=range(4), y=range(9), x=range(8)))
    other = np.asarray(values.transpose(1, 0, 2), order=order).transpose(1, 0, 2)
    got = ck.gradient(cube_of(other, z=range(4), y=range(9), x=range(8)))
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-14)


@given(st.permutations(["z", "y", "x", "band"]))
def test_every_position_of_the_axes_gives_the_same(dims):
    values = np.random.default_rng(0).normal(size=(4, 6, 5, 3))
    cube = cube_of(
        values, z=range(4), y=grid("jittered", 6), x=grid("stretched", 5), band=range(3)
    )
    want = ck.hessian(cube, ("z", "y", "x"))
    got = ck.hessian(cube.transpose(*dims), ("z", "y", "x"))
    assert got.dims == ("direction", "direction_2", *dims)
    xr.testing.assert_allclose(got.transpose(*want.dims), want, atol=1e-11)


# --- missing values, labels, input ---------------------------------------------------


def test_one_nan_reaches_the_samples_whose_stencils_hold_it():
    values = np.random.default_rng(0).normal(size=(9, 9))
    clean = ck.gradient(cube_of(values, y=range(9), x=range(9)))
    values[4, 4] = np.nan
    got = ck.gradient(cube_of(values, y=range(9), x=range(9)))
    bad = np.argwhere(np.isnan(got.values)).tolist()
    assert bad == [[0, 3, 4], [0, 4, 4], [0, 5, 4], [1, 4, 3], [1, 4, 4], [1, 4, 5]]
    good = ~np.isnan(got.values)
    np.testing.assert_array_equal(got.values[good], clean.values[good])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "bool"])
def test_small_integers_do_not_wrap(dtype):
    values = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).astype(dtype)
    got = ck.derivative(cube_of(values, y=range(3), x=range(3)), "x")
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got[0], [2, 0, -2])


def test_labels_attributes_and_the_input_are_kept(make_cube):
    cube = make_cube(shape=(8, 9, 5))
    cube["lat"] = (("y", "x"), np.zeros((8, 9)))
    cube.attrs |= {"standard_name": "toa_reflectance", "valid_range": [0, 1]}
    cube.encoding = {"dtype": "int16", "scale_factor": 0.1}
    before = cube.copy(deep=True)
    got = ck.gradient(cube)
    xr.testing.assert_identical(cube, before)
    assert cube.encoding == {"dtype": "int16", "scale_factor": 0.1}
    assert got.encoding == {}
    assert got.dims == ("direction", "y", "x", "wavelength")
    assert got.direction.values.tolist() == ["y", "x"]
    assert got.attrs == {"units": "m-1", "long_name": "surface reflectance"}
    assert got.name == "reflectance"
    assert set(got.coords) == {*cube.coords, "direction"}


def test_each_component_carries_its_units_where_they_differ(make_cube):
    cube = make_cube(shape=(8, 9, 7))
    slope = ck.gradient(cube, ("y", "wavelength"))
    assert slope.sel(direction="wavelength").units.item() == "nm-1"
    assert slope.sel(direction="y").units.item() == "m-1"
    assert "units" not in slope.attrs
    bend = ck.hessian(cube, ("y", "wavelength"))
    assert bend.units.values.tolist() == [["m-2", "m-1 nm-1"], ["m-1 nm-1", "nm-2"]]
    assert ck.hessian(cube).attrs["units"] == "m-2"
    assert ck.laplacian(cube).attrs["units"] == "m-2"
    assert ck.divergence(ck.gradient(cube)).attrs["units"] == "m-2"


def test_times_count_in_seconds():
    days = np.array(["2026-01-01", "2026-01-02", "2026-01-05", "2026-01-06"], "M8[ns]")
    line = cube_of(86400.0 * np.array([0, 1, 4, 5]), time=days)
    line.attrs["units"] = "m"
    got = ck.derivative(line, "time")
    np.testing.assert_allclose(got, 1.0, rtol=1e-12)
    assert got.attrs["units"] == "m s-1"


# --- periodic axes -------------------------------------------------------------------


@pytest.mark.parametrize("accuracy", [2, 4])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_stencils_reach_over_the_seam_of_a_periodic_axis(order, accuracy):
    lon = np.arange(0, 360, 2.5)
    line = cube_of(np.cos(np.radians(lon)), lon=lon)
    kwargs = {"order": order, "accuracy": accuracy, "periodic": {"lon": 360}}
    got = ck.derivative(line, "lon", **kwargs)
    turned = ck.derivative(line.roll(lon=-7).assign_coords(lon=lon), "lon", **kwargs)
    np.testing.assert_allclose(turned, got.roll(lon=-7), atol=1e-12)
    degree = np.pi / 180
    exact = degree**order * np.cos(np.radians(lon) + order * np.pi / 2)
    step = 2.5 * degree
    np.testing.assert_allclose(got, exact, atol=0.6 * degree**order * step**accuracy)


def test_periodic_stencils_know_uneven_spacing_and_descending_axes():
    rng = np.random.default_rng(0)
    lon = np.sort(rng.uniform(0, 360, 300))
    line = cube_of(np.sin(np.radians(lon)), lon=lon)
    got = ck.derivative(line, "lon", periodic={"lon": 360}, accuracy=4)
    np.testing.assert_allclose(got, np.radians(1) * np.cos(np.radians(lon)), atol=1e-5)
    back = ck.derivative(line[::-1], "lon", periodic={"lon": 360}, accuracy=4)
    np.testing.assert_allclose(back[::-1], got, atol=1e-13)


def test_a_periodic_axis_that_holds_one_place_twice_is_refused():
    line = cube_of(np.zeros(13), lon=np.arange(0, 361, 30.0))
    with pytest.raises(ValueError, match=r"span 360.*isel\(lon=slice\(None, -1\)\)"):
        ck.derivative(line, "lon", periodic={"lon": 360})


# --- bad input -----------------------------------------------------------------------


def plane(**changes):
    coords = {"y": np.arange(6.0), "x": np.arange(5.0)} | changes
    return xr.DataArray(np.zeros((6, 5)), dims=("y", "x"), coords=coords)


BAD_COORDINATES = {
    "duplicate": ([0, 1, 1, 2, 3, 4], "twice"),
    "unsorted": ([0, 2, 1, 3, 4, 5], "not strictly monotonic"),
    "NaN": ([0, 1, np.nan, 3, 4, 5], "is nan at 2"),
    "string": (list("abcdef"), "needs real numbers"),
}


@pytest.mark.parametrize("function", [ck.gradient, ck.hessian, ck.laplacian])
@pytest.mark.parametrize("kind", BAD_COORDINATES)
def test_bad_coordinates_are_refused(kind, function):
    values, match = BAD_COORDINATES[kind]
    with pytest.raises(ck.CoordinateError, match=match):
        function(plane(y=values))


def test_a_dim_without_coordinate_is_refused():
    with pytest.raises(ck.CoordinateError, match="has no coordinate"):
        ck.gradient(xr.DataArray(np.zeros((4, 4)), dims=("y", "x")))


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match=r"needs 7 samples. Coordinate 'x' has 5"):
        ck.laplacian(plane(), ("x", "y"), accuracy=5)


def test_coordinates_of_two_dims_are_refused_without_the_option():
    cube = plane().assign_coords(lat=(("y", "x"), np.zeros((6, 5))))
    for call in (
        lambda: ck.gradient(cube, ("lat", "x")),
        lambda: ck.derivative(cube, "lat"),
    ):
        with pytest.raises(ck.CoordinateError, match="curvilinear=True"):
            call()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: ck.gradient(plane(), ()), "names 0 directions"),
        (lambda: ck.gradient(plane(), ("y", "y")), "names 2 directions, 1 of them"),
        (lambda: ck.gradient(plane(), missing="drop"), "missing='drop' is unknown"),
        (lambda: ck.hessian(plane(), scheme="wide"), "scheme='wide' is unknown"),
        (lambda: ck.gradient(plane(), periodic={"z": 1}), "periodic names 'z'"),
        (lambda: ck.derivative(plane(), "y", periodic={"x": 1}), "periodic names 'x'"),
        (lambda: ck.gradient(ck.gradient(plane())), "has a dim 'direction'"),
        (lambda: ck.divergence(plane()), "no dim 'direction'"),
        (
            lambda: ck.divergence(ck.gradient(plane()), ("y", "z")),
            "not one of 'z'",
        ),
        (lambda: ck.derivative(plane(), "y", order=0), "order=0 is out of range"),
        (
            lambda: ck.gradient(
                plane().assign_coords(row=("y", np.arange(6))), ("y", "row")
            ),
            "a dim of its own",
        ),
    ],
)
def test_bad_arguments_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: ck.derivative(plane(), ["y"]), r"\['y'\] is a list.*one coordinate"),
        (lambda: ck.gradient(plane(), (["y", "x"],)), r"'x'\] is a list"),
        (
            lambda: ck.derivative(plane(), "y", periodic=360),
            r"periodic=360 is a int.*periodic=\{'y': 360\}",
        ),
        (lambda: ck.gradient(plane(), periodic=("y",)), r"is a tuple.*'x': 360"),
    ],
)
def test_arguments_of_the_wrong_type_are_told_how_to_write_them(call, match):
    with pytest.raises(TypeError, match=match):
        call()


def test_the_refusal_of_one_coordinate_of_two_dims_names_both():
    both = {"lat": (("y", "x"), np.zeros((6, 5))), "lon": (("y", "x"), np.ones((6, 5)))}
    cube = plane().assign_coords(both)
    with pytest.raises(ck.CoordinateError, match=r"cube, \('lat', 'lon'\), curvilin"):
        ck.derivative(cube, "lat")


def test_complex_values_are_refused():
    with pytest.raises(TypeError, match="imaginary part"):
        ck.gradient(plane().astype(complex))


@pytest.mark.parametrize(
    "function",
    [ck.laplacian, ck.gradient_magnitude, ck.hessian_norm, ck.hessian_eigenvalues],
)
def test_directions_in_different_units_are_not_added(make_cube, function):
    with pytest.raises(ck.AxisMismatchError, match="'y' in m, 'wavelength' in nm"):
        function(make_cube(shape=(8, 9, 7)), ("y", "wavelength"))
    with pytest.raises(ck.AxisMismatchError, match="the parts are added up"):
        ck.divergence(ck.gradient(make_cube(shape=(8, 9, 7)), ("y", "wavelength")))


@pytest.mark.parametrize("chunks", [None, {"y": 3, "x": 1}])
def test_refit_differentiates_the_samples_that_are_left(chunks):
    y = np.array([0.0, 1.0, 2.5, 4.0, 5.0, 7.0, 8.0])
    x = np.array([0.0, 2.0, 3.0, 4.5, 6.0])
    plane = 3 * y[:, None] - 2 * x + 1
    plane[2, 2] = plane[6, 4] = np.nan
    cube = xr.DataArray(plane, dims=("y", "x"), coords={"y": y, "x": x})
    cube = cube if chunks is None else cube.chunk(chunks)
    slope = ck.gradient(cube, missing="refit")
    np.testing.assert_allclose(slope.sel(direction="y"), np.full((7, 5), 3.0))
    np.testing.assert_allclose(slope.sel(direction="x"), np.full((7, 5), -2.0))
    xr.testing.assert_equal(
        ck.derivative(cube, "y", missing="refit"),
        slope.sel(direction="y", drop=True),
    )


def test_refit_leaves_clean_lines_bit_identical(make_cube):
    cube = make_cube()
    spoilt = cube.copy(deep=True)
    spoilt[2, 1, 7] = np.nan
    clean = ck.derivative(cube, "wavelength")
    got = ck.derivative(spoilt, "wavelength", missing="refit")
    keep = np.ones(cube.shape[:2], bool)
    keep[2, 1] = False
    np.testing.assert_array_equal(got.values[keep], clean.values[keep])
    assert np.isfinite(got).all()


def test_refit_is_refused_where_there_is_no_polynomial(make_cube):
    cube = make_cube()
    with pytest.raises(ValueError, match=r"missing='refit' is given on geographic"):
        ck.gradient(cube, geographic=True, missing="refit")
    with pytest.raises(ValueError, match=r'missing="refit" needs a polynomial'):
        ck.derivative(cube, "x", periodic={"x": 300}, accuracy=1, missing="refit")
    with pytest.raises(ValueError, match=r"missing='drop' is unknown"):
        ck.gradient(cube, missing="drop")


def test_a_gradient_per_metre_is_not_taken_for_one_per_degree():
    lat, lon = np.linspace(30, 40, 6), np.linspace(-10, 0, 7)
    field = xr.DataArray(
        np.sin(np.radians(lat))[:, None] * np.cos(np.radians(lon)),
        dims=("lat", "lon"),
        coords={
            "lat": ("lat", lat, {"units": "degrees_north"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
        },
    )
    slope = ck.gradient(field, ("lat", "lon"), geographic=True)
    with pytest.raises(ValueError, match=r"per metre on WGS84.*geographic=True"):
        ck.divergence(slope, ("lat", "lon"))
    with pytest.raises(ValueError, match=r"per metre on WGS84.*in degrees"):
        ck.integrate_gradient(slope)
    total = ck.divergence(slope, ("lat", "lon"), geographic=True)
    assert "metric" not in total.attrs
