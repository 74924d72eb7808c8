"""Resampling, against integrals that are known."""

import warnings

import dask
import numpy as np
import pytest
import strategies
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import cubekit as ck

FINE = 400 + 1.0 * np.arange(401)
COARSE = 450 + 10.0 * np.arange(31)
SIGMA = 1 / np.sqrt(8 * np.log(2))


def cube_of(values, x, **coords):
    return xr.DataArray(
        values,
        dims="wavelength",
        coords={
            "wavelength": ("wavelength", x, {"units": "nm"}),
            **{k: ("wavelength", v) for k, v in coords.items()},
        },
    )


def gaussian(x, centre, fwhm):
    s = fwhm * SIGMA
    return np.exp(-(((x - centre) / s) ** 2) / 2) / (s * np.sqrt(2 * np.pi))


@pytest.mark.parametrize("own", [None, 1.0, 6.0])
def test_a_line_seen_by_wide_bands_is_the_analytic_convolution(own):
    # what bands of width 1 have seen of a line of width 12 has width sqrt(145)
    seen = np.hypot(12, own or 0)
    cube = cube_of(gaussian(FINE, 600.3, seen), FINE)
    if own:
        cube = cube.assign_coords(fwhm=("wavelength", np.full(len(FINE), own)))
    got = ck.resample(cube, COARSE, fwhm=10.0)
    expected = gaussian(COARSE, 600.3, np.hypot(12, 10))
    np.testing.assert_allclose(got, expected, atol=1e-3 * expected.max())


def test_the_convolution_is_right_on_an_uneven_axis_too():
    x = 400 + 400 * np.linspace(0, 1, 500) ** 1.5
    cube = cube_of(gaussian(x, 600.3, 12.0), x)
    got = ck.resample(cube, COARSE, fwhm=10.0)
    expected = gaussian(COARSE, 600.3, np.hypot(12, 10))
    np.testing.assert_allclose(got, expected, atol=1e-3 * expected.max())


def test_the_sum_over_close_bands_keeps_the_energy_of_a_line():
    cube = cube_of(gaussian(FINE, 603.7, 12.0), FINE)
    got = ck.resample(cube, COARSE, fwhm=10.0)
    assert float(got.sum() * 10) == pytest.approx(1, abs=1e-3)


def test_constants_and_straight_lines_come_back():
    cube = cube_of(3 + 0.01 * FINE, FINE)
    got = ck.resample(cube, COARSE, fwhm=10.0)
    np.testing.assert_allclose(got, 3 + 0.01 * COARSE, rtol=1e-12)


def test_no_response_reaches_farther_than_two_widths():
    operator = ck.resample_operator(ck.Axis("wavelength", FINE), [600.0], fwhm=10)
    seen = FINE[operator.support.toarray()[0]]
    assert (seen.min(), seen.max()) == (580, 620)


@given(axis=strategies.axes(min_size=3), data=st.data())
def test_rows_are_weights_that_sum_to_one(axis, data):
    low, high = np.sort(axis.values)[[0, -1]]
    places = data.draw(
        st.lists(st.floats(0.3, 0.7), min_size=1, max_size=5, unique=True)
    )
    centres = np.unique(low + np.array(places) * (high - low))
    width = data.draw(st.sampled_from([1e-3, 0.1, 0.5])) * (high - low)
    dense = ck.resample_operator(axis, centres, fwhm=width).matrix.toarray()
    np.testing.assert_allclose(dense.sum(axis=1), 1, rtol=1e-12)
    assert dense.min() > -1e-12


@given(axis=strategies.axes(min_size=2), data=st.data())
def test_without_width_it_is_linear_interpolation(axis, data):
    low, high = np.sort(axis.values)[[0, -1]]
    places = data.draw(st.lists(st.floats(0, 1), min_size=1, max_size=5))
    centres = np.unique(np.clip(low + np.array(places) * (high - low), low, high))
    spectrum = np.random.default_rng(0).normal(size=len(axis))
    got = ck.resample_operator(axis, centres).matrix @ spectrum
    order = np.argsort(axis.values)
    expected = np.interp(centres, axis.values[order], spectrum[order])
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


def test_a_sharp_response_is_the_limit_of_a_narrow_one():
    spectrum = cube_of(np.random.default_rng(0).normal(size=401), FINE)
    narrow = ck.resample(spectrum, COARSE + 0.4, fwhm=1e-3)
    sharp = ck.resample(spectrum, COARSE + 0.4)
    np.testing.assert_allclose(narrow, sharp, atol=1e-9)


def test_a_sensor_resampled_to_itself_is_the_identity(make_cube):
    cube = make_cube()
    cube = cube.assign_coords(fwhm=("wavelength", np.full(40, 8.0), {"units": "nm"}))
    xr.testing.assert_identical(ck.resample(cube, cube), cube)


def test_bands_of_a_sensor_with_wider_bands_are_interpolated_and_say_so():
    cube = cube_of(FINE**2, FINE, fwhm=np.full(401, 12.0))
    got = ck.resample(cube, COARSE, fwhm=5.0)
    np.testing.assert_allclose(got, COARSE**2)
    np.testing.assert_allclose(got["fwhm"], 12.0)
    np.testing.assert_allclose(ck.resample(cube, COARSE, fwhm=20.0)["fwhm"], 20.0)
    assert "fwhm" not in ck.resample(cube.drop_vars("fwhm"), COARSE).coords


def test_bands_outside_are_nan_and_said_once():
    cube = cube_of(FINE, FINE)
    with pytest.warns(UserWarning, match="and give NaN: 390, 801 nm") as record:
        got = ck.resample(cube, [390, 400, 500, 800, 801])
    assert len(record) == 1
    assert "2 of 5 bands lie outside of 'wavelength' (400 to 800 nm)" in str(
        record[0].message
    )
    assert record[0].filename == __file__
    np.testing.assert_array_equal(got, [np.nan, 400, 500, 800, np.nan])
    with pytest.warns(UserWarning, match=r"and give NaN: 400, 404, 796, 800 nm$"):
        ck.resample(cube, [400, 404, 405, 795, 796, 800], fwhm=10)
    with pytest.warns(UserWarning, match=r"9 of 10.*NaN: 391, .*, 395, \.\.\. nm"):
        ck.resample(cube, np.arange(391, 401))


def test_bad_bands_are_not_seen_and_what_lies_in_them_is_nan():
    cube = ck.mark_bad(
        cube_of(np.where(abs(FINE - 600) < 30, -9.0, 1.0), FINE), [(570.5, 629.5)]
    )
    with pytest.warns(
        UserWarning, match="3 of 5 bands lie outside.*or in its bad bands"
    ):
        got = ck.resample(cube, [560, 571, 600, 629, 640.0], fwhm=10)
    np.testing.assert_allclose(got, [1, np.nan, np.nan, np.nan, 1], rtol=1e-6)
    np.testing.assert_array_equal(got["good_band"], got.notnull())


@pytest.mark.parametrize("own", [None, [1, 1, 0, 1, 1]])
def test_the_marks_and_widths_of_the_target_are_kept_where_its_bands_are_the_same(own):
    x = FINE[:5]
    target = cube_of(x, x, good_band=[True, False, True, True, True], fwhm=[9.0] * 5)
    cube = cube_of(x, x)
    if own:
        cube = cube.assign_coords(good_band=("wavelength", own))
    marked = [1, 0, 1 if own is None else 0, 1, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if own else "error")
        got = ck.resample(cube, target, fwhm=1e-6)
    np.testing.assert_array_equal(got["good_band"], marked)
    np.testing.assert_array_equal(got.notnull(), marked)
    np.testing.assert_array_equal(got["fwhm"], 1e-6)


def test_bad_bands_of_the_target_are_nan_without_a_word():
    target = ck.Axis("wavelength", COARSE, units="nm", good=COARSE != 500)
    got = ck.resample(cube_of(FINE, FINE), target)
    assert np.flatnonzero(got.isnull()).tolist() == [5]
    assert not got["good_band"].sel(wavelength=500)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_order_of_either_axis_does_not_matter(make_cube, reverse):
    cube = make_cube(kind="jittered")
    target = np.array([430.0, 470, 520, 600])
    expected = ck.resample(cube, target, fwhm=15)
    turned = cube.isel(wavelength=slice(None, None, -1))
    got = ck.resample(turned, target[::-1] if reverse else target, fwhm=15)
    np.testing.assert_allclose(
        got.isel(wavelength=slice(None, None, -1 if reverse else 1)),
        expected,
        rtol=1e-12,
    )


def test_the_bands_of_another_cube_bring_their_widths(make_cube):
    cube = make_cube(kind="uniform")
    other = cube_of(np.zeros(3), [450.0, 500, 550], fwhm=[10.0, 20, 30])
    got = ck.resample(cube, other)
    np.testing.assert_allclose(got["fwhm"], [10, 20, 30])
    xr.testing.assert_identical(
        got, ck.resample(cube, [450, 500, 550], fwhm=[10, 20, 30])
    )
    assert got.dims == cube.dims
    assert got.attrs == cube.attrs


@pytest.mark.parametrize("ranges", [[], [(445, 462), (500, 520)]])
@pytest.mark.filterwarnings("ignore:.*lie outside of 'wavelength'")
def test_resampling_a_smoothed_cube_is_one_matrix(make_cube, ranges):
    cube = ck.mark_bad(make_cube(missing=0.02), ranges)
    axis = ck.Axis.from_cube(cube)
    smooth = ck.savgol_operator(axis, 7)
    bands = ck.resample_operator(axis, [440, 455, 480, 550.0], fwhm=20)
    one = bands @ smooth
    assert isinstance(one, ck.AxisOperator)
    got = one(cube)
    np.testing.assert_allclose(got, bands(smooth(cube)), rtol=1e-12)
    lost = np.isin([440, 455, 480, 550], 455 if ranges else [])
    np.testing.assert_array_equal(got.isnull().all(["y", "x"]), lost)
    if ranges:
        np.testing.assert_array_equal(got["good_band"], ~lost)


@given(cube=strategies.cubes(min_size=4), data=st.data())
def test_any_chunks_give_the_same_bands(cube, data):
    axis = ck.Axis.from_cube(cube)
    low, high = np.sort(axis.values)[[0, -1]]
    target = np.linspace(low, high, 7)[1:-1]
    operator = ck.resample_operator(axis, target, fwhm=(high - low) / 10)
    chunks = {d: data.draw(strategies.chunkings(n)) for d, n in cube.sizes.items()}
    with dask.config.set(scheduler="synchronous"):
        got = operator(cube.chunk(chunks)).compute()
    np.testing.assert_allclose(got, operator(cube), rtol=1e-5)


def test_nothing_is_computed_early_and_the_input_stays(make_cube, count_computes):
    cube = make_cube(chunks={"wavelength": 9})
    before = cube.copy(deep=True)
    with count_computes() as ran:
        got = ck.resample(cube, [450, 500.0], fwhm=10)
    assert not ran
    assert got.chunks is not None
    xr.testing.assert_identical(cube, before)


@pytest.mark.parametrize(
    ("target", "fwhm", "error", "message"),
    [
        (
            [500, 450, 470],
            None,
            ck.CoordinateError,
            r"target bands are not .*450 nm at 1 is followed by 470.*numpy\.argsort",
        ),
        ([450, 470, 470], None, ck.CoordinateError, "470 nm at 1 .* 470.*numpy.unique"),
        ([450, np.nan], None, ck.CoordinateError, "nan"),
        (np.ones((2, 2)), None, ck.CoordinateError, "has 2 dimensions"),
        (
            [0.45, 0.5],
            None,
            ck.AxisMismatchError,
            r"lies on 'wavelength'.* 0.45 to 0.5, .*400.* to .* nm\. Give .* in nm, or",
        ),
        ([450, 500], [1, 2, 3], ValueError, r"fwhm has shape \(3,\). There are 2"),
        ([450, 500], 0, ValueError, "fwhm=0 is out of range"),
        ([450, 500], "10 nm", TypeError, "fwhm='10 nm' holds no numbers.*of 'wave"),
        ([450, 500], [[1], [2, 3]], TypeError, "holds no numbers"),
        (
            ck.Axis("wavelength", [0.45, 0.5], units="um"),
            None,
            ck.AxisMismatchError,
            r'in nm, the target in um. Convert one.*convert_axis\(cube, "um"\)',
        ),
    ],
)
def test_targets_that_cannot_be_are_refused(make_cube, target, fwhm, error, message):
    with pytest.raises(error, match=message):
        ck.resample(make_cube(), target, fwhm=fwhm)


def test_a_cube_of_bad_bands_has_nothing_to_resample(make_cube):
    cube = ck.mark_bad(make_cube(), [(0, 1e4)])
    with pytest.raises(ck.CoordinateError, match="all samples of 'wavelength' are bad"):
        ck.resample(cube, [450.0])


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (None, TypeError, "target=None holds no numbers.*Give numbers: target="),
        ("sentinel2", TypeError, "target='sentinel2' holds no numbers"),
        (["450 nm", "550 nm"], TypeError, "450 nm.*holds no numbers"),
        ([[450.0], [450.0, 500.0]], TypeError, "holds no numbers"),
        (["a" * 100], TypeError, "target=list holds no numbers"),
        ([], ValueError, r"target=\[\] is empty\. Give numbers"),
        (np.zeros(0, np.int16), ValueError, "is empty"),
    ],
)
def test_what_names_no_bands_is_refused(make_cube, target, error, message):
    with pytest.raises(error, match=f"centres, an Axis, or the bands of a.*{message}"):
        ck.resample(make_cube(), target)


def test_a_dataset_in_place_of_a_cube_is_told_its_variables(make_cube):
    dataset = xr.Dataset({"reflectance": make_cube()})
    with pytest.raises(TypeError, match=r"Dataset with 'reflectance'.*dataset\[name\]"):
        ck.resample(make_cube(), dataset)
