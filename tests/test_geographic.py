"""On the ellipsoid and on two-dimensional coordinates, against geodesy and analysis."""

import numpy as np
import pytest
import sympy
import xarray as xr
from test_spatial import grid

import cubekit as ck

A, F = 6378137.0, 1 / 298.257223563
E2 = F * (2 - F)
DEGREE = np.pi / 180


def globe(function, lat, lon, **attrs):
    return xr.DataArray(
        function(np.radians(lat)[:, None], np.radians(lon)[None]),
        dims=("lat", "lon"),
        coords={
            "lat": ("lat", lat, {"units": "degrees_north"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
        },
        attrs={"units": "K"} | attrs,
    )


PHI, LAM = sympy.symbols("phi lambda")
FIELD = sympy.sin(PHI) * sympy.cos(PHI) * sympy.cos(LAM) + sympy.sin(2 * PHI) / 3
M = A * (1 - E2) / (1 - E2 * sympy.sin(PHI) ** 2) ** sympy.Rational(3, 2)
R = A * sympy.cos(PHI) / sympy.sqrt(1 - E2 * sympy.sin(PHI) ** 2)  # N cos(phi)


def numeric(expression):
    function = sympy.lambdify((PHI, LAM), expression, "numpy")
    return lambda phi, lam: function(phi, lam) + 0 * phi * lam


def fine(kind="uniform", n=241):
    lat = -75 + 50 * grid(kind, n)
    lon = 120 * grid("uniform", n)[:-1]
    return lat, lon


GEOGRAPHIC = {"coords": ("lat", "lon"), "geographic": True, "periodic": {"lon": 360}}


@pytest.mark.parametrize("kind", ["uniform", "stretched"])
def test_gradient_hessian_laplacian_and_divergence_have_the_metric_of_wgs84(kind):
    lat, lon = fine(kind)
    cube = globe(numeric(FIELD), lat, lon)
    slope_y, slope_x = FIELD.diff(PHI) / M, FIELD.diff(LAM) / R
    laplacian = (R * slope_y).diff(PHI) / (M * R) + slope_x.diff(LAM) / R
    exact = {
        "gradient": [slope_y, slope_x],
        "hessian": [
            [
                slope_y.diff(PHI) / M,
                (FIELD.diff(PHI, LAM) - FIELD.diff(LAM) * R.diff(PHI) / R) / (M * R),
            ],
            [
                (FIELD.diff(PHI, LAM) - FIELD.diff(LAM) * R.diff(PHI) / R) / (M * R),
                FIELD.diff(LAM, 2) / R**2 + R.diff(PHI) * FIELD.diff(PHI) / (M**2 * R),
            ],
        ],
        "laplacian": laplacian,
        "divergence": laplacian,
    }
    found = {
        name: getattr(ck, name)(cube, accuracy=4, **GEOGRAPHIC)
        for name in ("gradient", "hessian", "laplacian")
    }
    found["divergence"] = ck.divergence(found["gradient"], accuracy=4, **GEOGRAPHIC)
    phi, lam = np.radians(lat)[:, None], np.radians(lon)[None]
    for name, result in found.items():
        want = np.array(
            [numeric(e)(phi, lam) for e in np.ravel(np.array(exact[name], object))]
        ).reshape(result.shape)
        error = np.abs(result.values - want).max() / np.abs(want).max()
        assert error < 1e-3, name


def test_the_laplacian_is_the_trace_of_the_hessian_to_the_bit():
    lat, lon = fine(n=41)
    cube = globe(numeric(FIELD), lat, lon).astype("float32")
    bend = ck.hessian(cube, **GEOGRAPHIC).values
    np.testing.assert_array_equal(
        ck.laplacian(cube, **GEOGRAPHIC).values, bend[0, 0] + bend[1, 1]
    )
    np.testing.assert_array_equal(bend[0, 1], bend[1, 0])


def test_a_spherical_harmonic_is_nearly_an_eigenfunction_of_the_laplacian():
    lat, lon = fine()
    cube = globe(lambda phi, lam: np.sin(phi) + 0 * lam, lat, lon)
    ratio = ck.laplacian(cube, **GEOGRAPHIC) / cube
    away = ratio.where(abs(ratio.lat) > 5)
    # -2 / r^2 on a sphere; the earth is one to a third of a percent, bent by a percent
    np.testing.assert_allclose(away.max() * 6371e3**2, -2, rtol=0.02)
    np.testing.assert_allclose(away.min() * 6371e3**2, -2, rtol=0.02)


def test_a_degree_is_as_long_as_geodesy_says():
    import pyproj  # noqa: PLC0415  heavy, and only wanted here

    geod = pyproj.Geod(ellps="WGS84")
    lat = np.array([-60.0, -20.0, 0.0, 15.0, 45.0, 70.0])
    for k in range(len(lat)):
        _, _, north = geod.inv(0, lat[k] - 0.005, 0, lat[k] + 0.005)
        _, _, east = geod.inv(-0.005, lat[k], 0.005, lat[k])
        lats, lons = lat[k] + 0.1 * np.arange(-3, 4), 0.1 * np.arange(7)
        up = globe(lambda phi, lam: phi / DEGREE + 0 * lam, lats, lons)
        right = globe(lambda phi, lam: lam / DEGREE + 0 * phi, lats, lons)
        options = {"coords": ("lat", "lon"), "geographic": True}
        assert 0.01 / float(ck.gradient(up, **options)[0, 3, 3]) == pytest.approx(
            north, rel=1e-7
        )
        assert 0.01 / float(ck.gradient(right, **options)[1, 3, 3]) == pytest.approx(
            east, rel=1e-7
        )


def test_units_are_per_metre_and_the_pole_has_no_east():
    lat, lon = np.linspace(90, -90, 25), np.arange(0, 360, 15.0)
    cube = globe(lambda phi, lam: np.sin(phi) + 0 * lam, lat, lon)
    slope = ck.gradient(cube, **GEOGRAPHIC)
    assert slope.attrs["units"] == "K m-1"
    assert ck.laplacian(cube, **GEOGRAPHIC).attrs["units"] == "K m-2"
    assert np.isfinite(slope.sel(direction="lat")).all()
    assert np.isnan(slope.sel(direction="lon")[[0, -1]]).all()
    assert np.isfinite(slope.sel(direction="lon")[1:-1]).all()


@pytest.mark.parametrize("names", [("y", "x"), ("nav_lat", "nav_lon")])
def test_latitude_is_known_by_name_units_or_standard_name(names):
    lat, lon = fine(n=21)
    cube = globe(numeric(FIELD), lat, lon)
    want = ck.gradient(cube, **GEOGRAPHIC).values
    bare = cube.copy()
    for name in ("lat", "lon"):
        bare[name].attrs = {}
    renamed = bare.rename(dict(zip(("lat", "lon"), names, strict=True)))
    options = {"geographic": True, "periodic": {names[1]: 360}}
    np.testing.assert_array_equal(ck.gradient(renamed, names, **options), want)
    other = bare.rename(lat="a", lon="b")
    with pytest.raises(ck.CoordinateError, match="not told apart in 'a', 'b'"):
        ck.gradient(other, ("a", "b"), geographic=True)
    other.a.attrs["standard_name"], other.b.attrs["standard_name"] = (
        "latitude",
        "longitude",
    )
    found = ck.gradient(other, ("a", "b"), geographic=True, periodic={"b": 360})
    np.testing.assert_array_equal(found, want)


def test_radians_swapped_axes_and_nested_schemes_are_refused():
    lat, lon = fine(n=21)
    cube = globe(numeric(FIELD), lat, lon)
    radians = cube.assign_coords(lat=("lat", np.radians(lat), {"units": "radians"}))
    with pytest.raises(ck.CoordinateError, match=r"is in radians"):
        ck.gradient(radians, ("lat", "lon"), geographic=True)
    swapped = xr.DataArray(
        np.zeros((3, 4)),
        dims=("lat", "lon"),
        coords={"lat": [0, 90, 180], "lon": range(4)},
    )
    with pytest.raises(ck.CoordinateError, match="reaches 180 degrees"):
        ck.gradient(swapped, ("lat", "lon"), geographic=True)
    with pytest.raises(ValueError, match="is no Hessian"):
        ck.hessian(cube, ("lat", "lon"), geographic=True, scheme="nested")


def test_other_directions_keep_their_own_units():
    lat, lon = fine(n=13)
    cube = globe(numeric(FIELD), lat, lon).expand_dims(z=np.arange(4.0)).copy()
    cube = cube * cube.z
    cube.z.attrs["units"], cube.attrs["units"] = "km", "K"
    slope = ck.gradient(cube, ("z", "lat", "lon"), geographic=True)
    assert slope.units.values.tolist() == ["K km-1", "K m-1", "K m-1"]
    bend = ck.hessian(cube, ("z", "lat", "lon"), geographic=True)
    np.testing.assert_allclose(
        bend.values[0, 1],
        slope.sel(direction="lat").values[1][None] + np.zeros((4, 1, 1)),
        atol=1e-18,
    )


@pytest.mark.parametrize("kind", ["uniform", "stretched"])
@pytest.mark.parametrize("chunks", [None, {"band": 1, "lat": 7}])
def test_a_gradient_per_metre_is_integrated_to_its_field(kind, chunks):
    lat, lon = fine(kind, 41)
    field = globe(numeric(FIELD), lat, lon)
    field = field * xr.DataArray([1.0, -2.0], dims="band", coords={"band": [1, 2]})
    field.attrs["units"] = "K"
    slope = ck.gradient(field, **GEOGRAPHIC)
    before = slope.copy(deep=True)
    given = slope if chunks is None else slope.chunk(chunks)
    found = ck.integrate_gradient(given, geographic=True, periodic={"lon": 360})
    xr.testing.assert_identical(slope, before)
    assert (found.chunks is None) == (chunks is None)
    assert found.attrs == {"units": "K"}
    error = found - (field - field.mean(["lat", "lon"]))
    # an even number of longitudes: a checkerboard has no gradient, and is not in it
    assert float(abs(error).max()) < 1e-11


def test_a_field_comes_back_over_the_poles_where_nothing_points_east():
    lat, lon = np.linspace(90, -90, 25), np.arange(0, 360, 15.0)
    field = globe(numeric(FIELD), lat, lon)
    slope = ck.gradient(field, **GEOGRAPHIC)
    found = ck.integrate_gradient(slope, geographic=True, periodic={"lon": 360})
    assert found.attrs["iterations"] <= 100
    error = found - field
    assert float(abs(error - error.mean()).max()) < 1e-9


def test_heights_beside_latitudes_keep_their_units():
    lat, lon = fine(n=13)
    cube = globe(numeric(FIELD), lat, lon).expand_dims(z=np.arange(4.0)).copy()
    cube = cube * cube.z
    cube.z.attrs["units"], cube.attrs["units"] = "km", "K"
    slope = ck.gradient(cube, ("z", "lat", "lon"), geographic=True)
    found = ck.integrate_gradient(slope, geographic=True, residual=True)
    assert found["field"].attrs["units"] == "K"
    assert float(abs(found["field"] - (cube - cube.mean())).max()) < 1e-11
    assert float(found.curl_residual) < 1e-11


# --- two-dimensional coordinates -----------------------------------------------------


def swath(n=160, turn=0.5, lat0=40.0, lon0=175.0, step=0.05):
    """Grid that is turned and bent on the earth, over the date line."""
    j, i = np.meshgrid(np.arange(n) - n / 2, np.arange(n + 7) - n / 2, indexing="ij")
    lat = lat0 + step * (np.cos(turn) * j - np.sin(turn) * i + 1e-3 * i * i / n)
    lon = lon0 + step * 1.3 * (np.sin(turn) * j + np.cos(turn) * i + 2e-3 * i * j / n)
    return lat, (lon + 180) % 360 - 180


def on_swath(expression, lat, lon):
    values = numeric(expression)(np.radians(lat), np.radians(lon))
    return xr.DataArray(
        values,
        dims=("line", "sample"),
        coords={
            "lat": (("line", "sample"), lat, {"units": "degrees_north"}),
            "lon": (("line", "sample"), lon, {"units": "degrees_east"}),
        },
        attrs={"units": "K"},
    )


CURVED = {"curvilinear": True, "geographic": True}


@pytest.mark.parametrize("chunks", [None, {"line": 50, "sample": 33}])
def test_a_swath_over_the_date_line_has_the_exact_gradient(chunks):
    lat, lon = swath()
    assert np.abs(np.diff(lon, axis=1)).max() > 300
    cube = on_swath(FIELD, lat, lon)
    made = cube if chunks is None else cube.chunk(chunks)
    slope = ck.gradient(made, ("lat", "lon"), **CURVED)
    assert (slope.chunks is None) == (chunks is None)
    assert slope.dims == ("direction", "line", "sample")
    assert slope.attrs["units"] == "K m-1"
    phi, lam = np.radians(lat), np.radians(lon)
    want = np.array(
        [numeric(FIELD.diff(PHI) / M)(phi, lam), numeric(FIELD.diff(LAM) / R)(phi, lam)]
    )
    error = np.abs(slope.values - want).max() / np.abs(want).max()
    assert error < 1e-3


def test_on_a_regular_grid_it_is_the_gradient_of_one_dimensional_coordinates():
    lat, lon = np.linspace(30, 50, 40), np.linspace(170, 200, 50)
    cube = globe(numeric(FIELD), lat, lon)
    want = ck.gradient(cube, ("lat", "lon"), geographic=True)
    mesh = np.meshgrid(lat, lon, indexing="ij")
    bent = on_swath(FIELD, *mesh)
    got = ck.gradient(bent, ("lat", "lon"), **CURVED)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6 * float(abs(want).max()))


def test_linear_functions_of_plane_coordinates_are_exact_for_every_band():
    rng = np.random.default_rng(0)
    j, i = np.meshgrid(np.arange(20.0), np.arange(30.0), indexing="ij")
    y, x = j + 0.3 * i + 0.01 * i * j, 2 * i - 0.5 * j + rng.uniform(-0.1, 0.1, j.shape)
    bands = xr.DataArray([1.0, -3.0], dims="band")
    plane = xr.DataArray(
        5 * y - 2 * x,
        dims=("line", "sample"),
        coords={"y": (("line", "sample"), y), "x": (("line", "sample"), x)},
    )
    slope = ck.gradient(plane * bands, ("y", "x"), curvilinear=True)
    assert slope.dims == ("direction", "line", "sample", "band")
    np.testing.assert_allclose(slope.isel(band=0)[0], 5, atol=1e-10)
    np.testing.assert_allclose(slope.isel(band=1)[1], 6, atol=1e-10)
    swapped = ck.gradient(plane, ("x", "y"), curvilinear=True)
    np.testing.assert_allclose(swapped.sel(direction="y"), 5, atol=1e-10)


def test_coordinates_that_run_along_one_another_give_nan():
    j = np.add.outer(np.arange(6.0), np.arange(5.0))
    cube = xr.DataArray(
        j,
        dims=("line", "sample"),
        coords={"y": (("line", "sample"), j), "x": (("line", "sample"), 2 * j)},
    )
    assert np.isnan(ck.gradient(cube, ("y", "x"), curvilinear=True)).all()


def test_coordinates_that_are_no_pair_are_refused():
    lat, lon = swath(20)
    cube = on_swath(FIELD, lat, lon).assign_coords(line=np.arange(20))
    with pytest.raises(ck.CoordinateError, match="on the same two dims"):
        ck.gradient(cube, ("line", "lon"), curvilinear=True)
    with pytest.raises(ck.CoordinateError, match="on the same two dims"):
        ck.gradient(cube, ("lat",), curvilinear=True)
    other = cube.expand_dims(band=20).assign_coords(
        z=(("band", "line"), np.zeros((20, 20)))
    )
    with pytest.raises(ck.CoordinateError, match="They are not the same"):
        ck.gradient(other, ("lat", "z"), curvilinear=True)
    with pytest.raises(ValueError, match="periodic is given with curvilinear=True"):
        ck.gradient(cube, ("lat", "lon"), curvilinear=True, periodic={"lon": 360})
