"""The flattest place, and the quadratic at a point."""

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from strategies import chunkings
from test_spatial import cube_of, field, grid

import cubekit as ck


def bowl(n=81):
    """The test case: the curvatures along x and y cancel on a whole curve."""
    y, x = np.linspace(-2, 2, n), np.linspace(-1, 1, n)
    return field(lambda y, x: (1 - np.exp(-10 * x**2 - y**2)) / 100, y=y, x=x)


MEASURES = {
    "hessian": ck.hessian_norm,
    "laplacian": lambda cube: abs(ck.laplacian(cube)),
    "gradient": ck.gradient_magnitude,
}


@pytest.mark.parametrize("by", MEASURES)
@pytest.mark.parametrize("below", [None, 0.004])
def test_it_is_the_least_measure_below_the_threshold(by, below):
    cube = bowl()
    found = ck.flattest(cube, below=below, by=by)
    measure = MEASURES[by](cube)
    if below is not None:
        measure = measure.where(cube < below)
    assert float(found[by]) == float(measure.min())
    here = {"y": float(found.y), "x": float(found.x)}
    assert float(measure.sel(here)) == float(found[by])
    assert float(cube.sel(here)) == float(found.value)


def test_hessian_and_laplacian_give_different_places():
    cube = bowl(161)
    by_hessian = ck.flattest(cube, below=0.006)
    by_laplacian = ck.flattest(cube, below=0.006, by="laplacian")
    by_gradient = ck.flattest(cube, below=0.006, by="gradient")
    # where 400 x^2 + 4 y^2 = 22 the two curvatures cancel, and the surface still bends
    x, y = float(by_laplacian.x), float(by_laplacian.y)
    bend = ck.hessian_norm(cube)
    assert float(by_laplacian.laplacian) < 0.1 * float(bend.sel(y=y, x=x))
    assert (float(by_hessian.y), float(by_hessian.x)) != (y, x)
    assert float(by_hessian.hessian) < 0.5 * float(bend.sel(y=y, x=x))
    # the gradient is zero at the bottom, where it bends most
    assert abs(float(by_gradient.y)) < 1e-9
    assert abs(float(by_gradient.x)) < 1e-9


@given(st.data())
def test_any_chunks_give_the_place_of_numpy_for_each_band(data):
    values = np.random.default_rng(0).integers(0, 3, (3, 9, 8)).astype(float)
    values[1, 4] = np.nan
    cube = cube_of(values, band=[1.0, 2.0, 3.0], y=np.arange(9.0), x=np.arange(8.0))
    cube = cube.transpose(*data.draw(st.permutations(cube.dims)))
    want = ck.flattest(cube, below=2.5)
    chunks = {d: data.draw(chunkings(n)) for d, n in cube.sizes.items()}
    with dask.config.set(scheduler="synchronous"):
        found = ck.flattest(cube.chunk(chunks), below=2.5)
        assert found["hessian"].chunks is not None
        xr.testing.assert_identical(found.compute(), want)


@pytest.mark.parametrize("chunks", [(1, 30, 40), (5, 1, 40), (1, 4, 4)])
@pytest.mark.parametrize("by", MEASURES)
def test_it_adds_two_tasks_a_chunk_to_those_of_its_measure(by, chunks):
    """For a measure they are three a component at most. And a few for each answer."""
    cube = cube_of(
        np.zeros((5, 120, 40), np.float32), z=range(5), y=range(120), x=range(40)
    ).chunk(dict(zip("zyx", chunks, strict=True)))
    measure = {**MEASURES, "laplacian": ck.laplacian}[by](cube)
    found = ck.flattest(cube, by=by)
    added = len(found.__dask_graph__()) - len(measure.data.__dask_graph__())
    assert added <= 2 * cube.data.npartitions + 14 * found[by].data.npartitions


def test_no_sample_below_the_threshold_gives_nan():
    found = ck.flattest(bowl(11), below=-1.0)
    assert all(np.isnan(found[name]) for name in ("y", "x", "value", "hessian"))
    whole = cube_of(np.zeros((6, 5)), y=np.arange(6), x=np.arange(5))
    found = ck.flattest(whole, below=-1.0)
    assert np.isnan(found.y)


def test_each_band_keeps_its_labels_and_units(make_cube):
    cube = make_cube(shape=(8, 9, 5))
    before = cube.copy(deep=True)
    found = ck.flattest(cube)
    xr.testing.assert_identical(cube, before)
    assert found["hessian"].dims == ("wavelength",)
    assert found["hessian"].attrs["units"] == "m-2"
    assert found["value"].attrs == cube.attrs
    assert found.y.attrs == {"units": "m"}
    xr.testing.assert_identical(found.wavelength, cube.wavelength)


def test_places_in_time_are_times():
    days = np.array(["2026-01-01", "2026-01-02", "2026-01-05", "2026-01-06"], "M8[ns]")
    line = cube_of([3.0, 1.0, 1.0, 5.0], time=days)
    assert ck.flattest(line, ("time",), by="gradient").time.values in days[1:3]
    none = ck.flattest(line, ("time",), by="gradient", below=0.0)
    assert np.isnat(none.time.values)


def test_an_unknown_measure_is_refused():
    with pytest.raises(ValueError, match="by='slope' is unknown"):
        ck.flattest(bowl(11), by="slope")


def test_a_threshold_is_one_number():
    with pytest.raises(TypeError, match=r"below='low' is a str.*Give one number"):
        ck.flattest(bowl(11), below="low")
    cube = bowl(11)
    xr.testing.assert_identical(
        ck.flattest(cube, below=cube.mean()),
        ck.flattest(cube, below=float(cube.mean())),
    )


# --- local model ---------------------------------------------------------------------


def surface():
    y, x = grid("jittered", 15), grid("stretched", 22)
    return field(lambda y, x: 3 + y - 2 * x + y**2 / 2 - 3 * x * y + 2 * x**2, y=y, x=x)


@pytest.mark.parametrize(("y", "x"), [(1.0, 2.0), (0.0, 0.0), (3.0, 3.0), (0.05, 2.9)])
def test_a_quadratic_is_its_own_local_model_at_any_point(y, x):
    model = ck.local_model(surface(), at={"y": y, "x": x}, accuracy=3)
    assert model.gradient.sel(direction="y") == pytest.approx(1 + y - 3 * x, abs=1e-10)
    assert model.gradient.sel(direction="x") == pytest.approx(
        -2 - 3 * y + 4 * x, abs=1e-10
    )
    np.testing.assert_allclose(model.hessian, [[1, -3], [-3, 4]], atol=1e-9)

    def exact(y, x):
        return 3 + y - 2 * x + y**2 / 2 - 3 * x * y + 2 * x**2

    assert float(model(y=0.3, x=-0.7)) == pytest.approx(
        exact(y + 0.3, x - 0.7), abs=1e-9
    )
    assert float(model(x=0.5)) == pytest.approx(exact(y, x + 0.5), abs=1e-9)
    h = xr.DataArray(np.linspace(-1, 1, 5), dims="h")
    np.testing.assert_allclose(model(y=h), exact(y + h, x), atol=1e-9)


def test_at_a_sample_it_is_the_gradient_and_hessian_there():
    rng = np.random.default_rng(0)
    cube = cube_of(
        rng.normal(size=(3, 9, 8)), band=range(3), y=grid("jittered", 9), x=range(8)
    )
    for i, j in ((4, 4), (0, 7)):
        at = {"y": float(cube.y[i]), "x": float(cube.x[j])}
        for made in (cube, cube.chunk({"y": 2})):
            model = ck.local_model(made, at=at)
            here = {"y": i, "x": j}
            np.testing.assert_allclose(model.value, cube.isel(here), atol=1e-14)
            np.testing.assert_allclose(
                model.gradient, ck.gradient(cube).isel(here), atol=1e-12
            )
            np.testing.assert_allclose(
                model.hessian, ck.hessian(cube).isel(here), atol=1e-11
            )
            assert model.value.band.values.tolist() == [0, 1, 2]
            assert (made is cube) == (model.hessian.chunks is None)


def test_a_nan_near_the_point_is_seen_and_one_far_away_is_not():
    cube = surface()
    cube[3, 4] = np.nan
    assert np.isfinite(ck.local_model(cube, at={"y": 2.0, "x": 2.0}).hessian).all()
    at = {"y": float(cube.y[3]), "x": float(cube.x[5])}
    assert np.isnan(ck.local_model(cube, at=at).gradient.sel(direction="x"))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: ck.local_model(surface(), at={"y": 9.0, "x": 1.0}), "y = 9 is not on"),
        (
            lambda: ck.local_model(surface(), at={"y": 1.0, "x": 1.0})(z=1.0),
            "offset along 'z'",
        ),
        (
            lambda: ck.local_model(
                surface()[:, :3], at={"y": 1.0, "x": 0.001}, accuracy=4
            ),
            "needs .* samples. Coordinate 'x' has 3",
        ),
    ],
)
def test_bad_arguments_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.parametrize(
    "at", ["y", (2.0, 3.0), {}, {"y": "1"}, {"y": [1.0, 2.0]}, {"y": None}, None]
)
def test_what_is_no_point_is_told_how_to_write_one(at):
    with pytest.raises(TypeError, match=r'is no point.*at=\{"y": 2\.0, "x": 3\.5\}'):
        ck.local_model(surface(), at=at)


def test_an_unknown_coordinate_of_a_point_is_refused():
    with pytest.raises(ck.CoordinateError, match=r"no coordinate 'lat'.*Name one of"):
        ck.local_model(surface(), at={"lat": 2.0})
