"""savgol_filter, against scipy where scipy is right and polynomials everywhere."""

import re

import numpy as np
import pytest
import scipy.signal
import xarray as xr
from conftest import SPACINGS
from numpy.polynomial import polynomial

import cubekit as ck


def line(x, values):
    coords = {"wavelength": ("wavelength", x, {"units": "nm"})}
    return xr.DataArray(values, coords=coords, dims="wavelength")


@pytest.mark.parametrize(
    "dims",
    [("y", "x", "wavelength"), ("wavelength", "y", "x"), ("y", "wavelength", "x")],
)
@pytest.mark.parametrize(
    ("window_length", "polyorder", "deriv"),
    [(5, 2, 0), (11, 3, 0), (11, 3, 1), (11, 3, 3), (21, 4, 2), (7, 0, 0), (39, 2, 1)],
)
def test_uniform_axes_give_the_numbers_of_scipy(
    make_cube, dims, window_length, polyorder, deriv
):
    cube = make_cube(dims=dims, kind="uniform")
    expected = scipy.signal.savgol_filter(
        cube, window_length, polyorder, deriv=deriv, delta=7.4,
        axis=cube.get_axis_num("wavelength"), mode="interp",
    )  # fmt: skip
    got = ck.savgol_filter(cube, window_length, polyorder, deriv=deriv)
    np.testing.assert_allclose(
        got, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max()
    )


@pytest.mark.parametrize("kind", SPACINGS)
@pytest.mark.parametrize("deriv", [0, 1, 2, 3])
def test_polynomials_come_back_on_any_axis_edges_included(make_cube, kind, deriv):
    cube = make_cube(kind=kind)
    x = cube["wavelength"].values
    coefficients = [2.0, -0.5, 0.25, 0.125]
    t = (x - 500) / 100
    cube = cube.copy(
        data=np.broadcast_to(polynomial.polyval(t, coefficients), cube.shape)
    )
    exact = polynomial.polyval(t, polynomial.polyder(coefficients, deriv)) / 100**deriv
    for window in ({"window_length": 9}, {"window_width": 80.0}):
        got = ck.savgol_filter(cube, polyorder=3, deriv=deriv, **window)
        np.testing.assert_allclose(
            got[2, 1], exact, rtol=1e-10, atol=1e-10 * np.ptp(exact)
        )


@pytest.mark.parametrize("deriv", [0, 1, 2])
def test_each_window_is_the_fit_of_polyfit(make_cube, deriv):
    cube = make_cube(shape=(1, 1, 30))
    x, f = cube["wavelength"].values, cube.values[0, 0]
    got = ck.savgol_filter(cube, 7, 2, deriv=deriv).values[0, 0]
    for i in range(30):
        s = slice(np.clip(i - 3, 0, 23), np.clip(i - 3, 0, 23) + 7)
        fit = np.polynomial.Polynomial.fit(x[s], f[s], 2)
        np.testing.assert_allclose(got[i], fit.deriv(deriv)(x[i]), rtol=1e-9, atol=1e-9)


def test_descending_cubes_give_the_ascending_numbers(make_cube):
    cube = make_cube(kind="jittered")
    for deriv in (0, 1, 2):
        up = ck.savgol_filter(cube, 11, 3, deriv=deriv)
        down = ck.savgol_filter(
            cube.isel(wavelength=slice(None, None, -1)), 11, 3, deriv=deriv
        )
        assert (down["wavelength"].diff("wavelength") < 0).all()
        np.testing.assert_allclose(
            down.isel(wavelength=slice(None, None, -1)), up, rtol=1e-12, atol=1e-12
        )


def test_ignoring_uneven_spacing_is_measurably_wrong_and_this_is_not():
    """The real EnMAP-like case of the literature: a detector overlap in the axis."""
    x = np.concatenate([np.arange(420, 993, 6.5), np.arange(993.5, 2400, 10.0)])
    line = np.exp(-(((x - 1000) / 40) ** 2))
    slope = -2 * (x - 1000) / 40**2 * line
    cube = xr.DataArray(line, coords={"wavelength": x}, dims="wavelength")
    ours = np.abs(ck.savgol_filter(cube, 5, 3, deriv=1) - slope).max()
    theirs = np.abs(
        scipy.signal.savgol_filter(line, 5, 3, deriv=1, delta=np.diff(x).mean()) - slope
    ).max()
    assert theirs > 5 * ours


def test_no_window_reaches_across_a_gap(make_cube):
    cube = make_cube(kind="gapped")
    step = xr.where(cube["wavelength"] > 500, 1000.0, 0.0)
    got = ck.savgol_filter(cube * 0 + step, 11, 2, max_gap=50)
    np.testing.assert_allclose(got, cube * 0 + step, atol=1e-10)
    across = ck.savgol_filter(cube * 0 + step, 11, 2)
    assert np.abs(across - step).max() > 100
    operator = ck.savgol_operator(ck.Axis.from_cube(cube), 11, 2, max_gap=50)
    gap = int(np.argmax(np.diff(cube["wavelength"]))) + 1
    dense = operator.support.toarray()
    assert not dense[:gap, gap:].any()
    assert not dense[gap:, :gap].any()


def test_a_segment_that_is_too_short_is_nan_and_said_once():
    x = np.array([0.0, 1, 2, 3, 4, 50, 51, 100, 101, 102, 103])
    cube = line(x, x**2)
    with pytest.warns(
        UserWarning, match=r"fewer than 3 samples give NaN: 50 to 51 nm$"
    ) as record:
        got = ck.savgol_filter(cube.chunk(wavelength=2), 5, 2, max_gap=10).compute()
    assert len(record) == 1
    assert record[0].filename == __file__
    assert np.isnan(got).values.tolist() == [False] * 5 + [True] * 2 + [False] * 4
    np.testing.assert_allclose(
        got.dropna("wavelength"), np.delete(x, [5, 6]) ** 2, atol=1e-9
    )


def test_a_window_in_axis_units_differs_from_one_in_samples_where_spacing_does():
    x = np.concatenate([np.arange(0, 50.0), np.arange(50, 150, 5.0)])
    axis = ck.Axis("x", x)
    counts = np.diff(
        ck.savgol_operator(axis, window_width=20, polyorder=1).matrix.indptr
    )
    assert counts[20] == 21
    assert counts[60] == 5


@pytest.mark.parametrize("dtype", ["float32", "int16", "uint16", "float64"])
@pytest.mark.parametrize("chunks", [None, {"wavelength": 1}, {"wavelength": 7, "y": 2}])
def test_chunks_and_dtypes_give_the_same_filter(make_cube, dtype, chunks):
    cube = make_cube(dtype=dtype)
    expected = ck.savgol_filter(make_cube().astype(dtype).astype(float), 11, 3)
    got = ck.savgol_filter(cube if chunks is None else cube.chunk(chunks), 11, 3)
    assert got.dtype == np.result_type(dtype, np.float32)
    np.testing.assert_allclose(
        got, expected, rtol=0, atol=2e3 * np.finfo(got.dtype).eps
    )


def test_a_lazy_cube_stays_lazy_and_keeps_its_chunks(make_cube, count_computes):
    cube = make_cube(chunks={"y": 2, "wavelength": 13})
    with count_computes() as computed:
        result = ck.savgol_filter(cube, 11, 3, deriv=1)
        axis = ck.Axis.from_cube(cube)
        (ck.derivative_operator(axis) @ ck.savgol_operator(axis, 5))(result)
        assert result.chunks == cube.chunks
    assert computed == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize("chunks", [None, 1, {"wavelength": 9, "x": 2}, "file"])
def test_one_bad_sample_changes_no_other_bit_in_any_chunks_or_storage(
    tmp_path, bad, dtype, axis, chunks
):
    def stored(values, name):
        dims = ["y", "x"]
        dims.insert(axis, "wavelength")
        bands = {"wavelength": 400 + 7.4 * np.arange(60)}
        cube = xr.DataArray(values, bands, dims, name="radiance")
        if chunks is None:
            return cube
        if chunks == "file":
            return ck.open_cube(ck.save_cube(cube, tmp_path / f"{name}.nc"))
        return cube.chunk(chunks)

    shape, place = [7, 3], [6, 2]
    shape.insert(axis, 60)
    place.insert(axis, 15)
    values = np.random.default_rng(0).normal(size=shape).astype(dtype)
    clean = stored(values, "clean")
    smooth = ck.savgol_operator(ck.Axis.from_cube(clean), 21, 3)
    spoilt = values.copy()
    spoilt[tuple(place)] = bad
    hit = np.zeros(shape, bool)
    place[axis] = slice(None)
    hit[tuple(place)] = smooth.support.toarray()[:, 15]
    got = smooth(stored(spoilt, "spoilt")).values
    np.testing.assert_array_equal(np.isnan(got), hit)
    np.testing.assert_array_equal(got[~hit], smooth(clean).values[~hit])


REFUSED = [
    (
        {"window_length": 12},
        "savgol_filter: window_length=12 is even. The window is centred on a sample.",
    ),
    (
        {"window_length": 41},
        "=41 is longer than coordinate 'wavelength' (40 samples). Use 39 or less.",
    ),
    ({"window_length": 5, "polyorder": 40}, "polyorder=40 needs 41 samples"),
    ({"window_length": 3, "polyorder": 3}, "window_length=5 or more"),
    ({"window_length": 3, "polyorder": 4}, "window_length=5 or more"),
    ({"window_length": 5, "deriv": 3}, "deriv=3 is more than polyorder=2"),
    ({"window_length": 5, "polyorder": -1}, "polyorder=-1 is out of range"),
    ({"window_length": -5}, "window_length=-5 is out of range"),
    ({"window_length": 5, "deriv": -1}, "deriv=-1 is out of range"),
    ({"window_length": 5.0}, "window_length=5.0 is a float"),
    ({"window_length": True}, "window_length=True is a bool"),
    ({"window_length": 5, "polyorder": 2.0}, "polyorder=2.0 is a float"),
    ({}, "neither of window_length and window_width given"),
    ({"window_length": 5, "window_width": 9.0}, "both of window_length and"),
    ({"window_width": -3.0}, "window_width=-3.0 is out of range"),
    ({"window_width": "9"}, "window_width='9' is a str"),
    ({"window_width": True}, "window_width=True is a bool"),
    ({"window_width": np.timedelta64(9, "s")}, "is a timedelta64"),
    ({"window_length": np.timedelta64(5)}, "is a timedelta64"),
    ({"window_width": 1e9}, "=1e+09 nm is wider than coordinate 'wavelength' ("),
    ({"window_width": 8.0}, "A polynomial of degree 2 needs 3. Use window_width="),
    ({"window_length": 5, "max_gap": 0}, "max_gap=0 is out of range"),
    ({"window_length": 5, "missing": "drop"}, "missing='drop' is unknown"),
    ({"window_length": 5, "coord": "wavelenght"}, "Did you mean 'wavelength'"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
@pytest.mark.parametrize("chunks", [None, {"y": 1}])
def test_bad_parameters_are_refused_at_call_time(make_cube, options, message, chunks):
    words = ("is a float", "is a bool", "is a str", "is a timedelta64")
    wrong_type = any(word in message for word in words)
    with pytest.raises(
        TypeError if wrong_type else ValueError, match=re.escape(message)
    ):
        ck.savgol_filter(make_cube(chunks=chunks), **options)


def test_the_width_that_the_error_asks_for_is_enough(make_cube):
    cube = make_cube()
    with pytest.raises(ValueError, match="holds") as caught:
        ck.savgol_filter(cube, window_width=8.0)
    enough = float(str(caught.value).rsplit("window_width=", 1)[1].split()[0])
    ck.savgol_filter(cube, window_width=enough)


@pytest.mark.parametrize(
    ("cube", "message"),
    [
        (np.zeros((3, 4)), "cube is a numpy.ndarray"),
        (np.ma.masked_less(np.arange(3.0), 1), "cube is a numpy.ma.*MaskedArray"),
        ([1.0, 2.0], "cube is a builtins.list"),
        (xr.Dataset(), "cube is a xarray.*Dataset"),
    ],
)
def test_what_is_no_dataarray_is_refused(cube, message):
    with pytest.raises(TypeError, match=message):
        ck.savgol_filter(cube, 3)


def test_enmap_bands_in_file_order_are_refused_with_place_and_repair():
    """Its detectors overlap: the file goes back from 993 to 902 nm."""
    x = np.array([980.0, 986.5, 993.083, 902.257, 911.6, 921.0])
    cube = line(x, np.zeros(6))
    with pytest.raises(
        ck.CoordinateError,
        match=r"not strictly monotonic: 993.083 nm at 2 is followed by 902.257 nm. "
        r'Sort with cube.sortby\("wavelength"\)',
    ):
        ck.savgol_filter(cube, 3)
    ck.savgol_filter(cube.sortby("wavelength"), 3)


def test_a_warning_of_many_short_segments_spells_out_a_few():
    cube = xr.DataArray(np.ones(40), {"wavelength": 400 + 5.0 * np.arange(40)})
    with pytest.warns(UserWarning, match=r"400 to 400, .*420 to 420 and 35 more$"):
        ck.savgol_filter(cube, 5, 2, max_gap=1)


@pytest.mark.parametrize("window", [{"window_length": 5}, {"window_width": 20}])
@pytest.mark.parametrize("good", [0, 2])
def test_too_few_samples_for_any_window_are_said_before_the_window(window, good):
    cube = xr.DataArray(np.ones(9), {"wavelength": 400 + 5.0 * np.arange(9)})
    bad = cube.assign_coords(good_band=("wavelength", np.arange(9) < good))
    with pytest.raises(ValueError, match=f"needs 3 samples. .* has {good} good ones"):
        ck.savgol_filter(bad, **window)
    few = cube[: max(good, 1)]
    with pytest.raises(
        ValueError, match=f"needs 3 samples. .* has {few.size}\\. Use a low"
    ):
        ck.savgol_filter(few, **window)


def test_a_window_as_wide_as_the_axis_is_one_fit():
    axis = ck.Axis("w", [0.0, 0.1, 0.25, 0.3, 0.4])
    smooth = ck.savgol_operator(axis, window_width=0.4)
    assert smooth.support.toarray()[[0, 2, 4]].all()


@pytest.mark.parametrize("build", [ck.savgol_operator, ck.derivative_operator])
def test_an_operator_is_built_from_an_axis(make_cube, build):
    for given in (make_cube(), np.arange(9.0), None):
        with pytest.raises(TypeError, match=r"is no Axis.*Axis.from_cube\(cube\)"):
            build(given, 1)


def test_a_width_leaves_short_segments_nan():
    axis = ck.Axis("w", [0.0, 1, 2, 3, 4, 50, 51])
    with pytest.warns(UserWarning, match="50 to 51"):
        smooth = ck.savgol_operator(axis, window_width=4, max_gap=5)
    lost = np.isnan(smooth.matrix.toarray()).any(axis=1)
    np.testing.assert_array_equal(lost, axis.values >= 50)
