"""Windows fitted again to the samples that are left, against numpy.polyfit."""

from unittest import mock

import dask
import numpy as np
import pytest
import strategies
import xarray as xr
from conftest import SPACINGS
from hypothesis import given
from hypothesis import strategies as st

import cubekit as ck
from cubekit import kernels
from cubekit.kernels import blockwise, refit
from cubekit.kernels.contraction import contract_array
from cubekit.kernels.linear_map import LinearMap


def spectra_on(axis, values):
    return xr.DataArray(values, coords=axis.to_coords(), dims=("y", axis.dim))


def holed(axis, rng, share, spectra=6):
    values = rng.normal(1000, 100, (spectra, len(axis)))
    values[rng.random(values.shape) < share] = rng.choice([np.nan, np.inf, -np.inf])
    return spectra_on(axis, values)


def refitted(operator, cube, *, one_for_one):
    """Refit as where windows are few, one for one, or by sums over all windows."""
    with mock.patch.object(refit, "_FEW", np.inf if one_for_one else 0):
        return operator(cube, missing="refit").values


def by_polyfit(operator, spectrum):
    """The contract, in words of numpy: one polynomial for each window and spectrum."""
    x, out = operator.input.values, np.full(len(operator.output), np.nan)
    for row, place in enumerate(operator.output.values):
        entries = slice(*operator.matrix.indptr[row : row + 2])
        if np.isnan(operator.matrix.data[entries]).any():
            continue
        window = operator.matrix.indices[entries]
        if operator.input.is_descending:
            window = window[::-1]
        left = window[np.isfinite(spectrum[window])]
        own = int(np.flatnonzero(x[window] == place)[0])
        positions = np.flatnonzero(np.isfinite(spectrum[window])) - own
        degree = len(left) - 1 if operator.degree == "all" else operator.degree
        enough = len(left) > max(degree, operator.order)
        around = (positions < 0).any() and (positions > 0).any()
        if not enough or not (around or (np.abs(positions) <= 1).any()):
            continue
        scale = np.abs(x[left] - place).max() or 1.0
        fit = np.polyfit((x[left] - place) / scale, spectrum[left], degree)
        at_0 = np.polyder(np.poly1d(fit), operator.order)(0)
        out[row] = at_0 / scale**operator.order
    return out


def rounding(operator, cube):
    """Rounding scale of the worst window: what its derivative makes of the values."""
    finite = np.abs(cube.values[np.isfinite(cube.values)]).max(initial=1)
    step = np.abs(np.diff(operator.input.values)).min()
    return 1e-12 * finite / step**operator.order


@pytest.mark.parametrize(
    ("window_length", "polyorder", "deriv"),
    [(3, 1, 0), (5, 2, 1), (7, 2, 0), (7, 4, 2), (9, 3, 0), (9, 3, 3)],
)
@given(seed=st.integers(0, 2**16), data=st.data())
def test_refit_is_polyfit_on_the_samples_left(
    window_length, polyorder, deriv, seed, data
):
    axis = data.draw(strategies.axes(min_size=window_length))
    rng = np.random.default_rng(seed)
    cube = holed(axis, rng, data.draw(st.sampled_from([0.02, 0.2, 0.5])))
    operator = ck.savgol_operator(axis, window_length, polyorder, deriv=deriv)
    got = refitted(operator, cube, one_for_one=data.draw(st.booleans()))
    expected = np.array([by_polyfit(operator, spectrum) for spectrum in cube.values])
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_allclose(
        got, expected, rtol=1e-9, atol=1e3 * rounding(operator, cube)
    )


@pytest.mark.parametrize("kind", SPACINGS)
@pytest.mark.parametrize(
    "dims",
    [("y", "x", "wavelength"), ("wavelength", "y", "x"), ("y", "wavelength", "x")],
)
@pytest.mark.parametrize("stored", ["as it is", "turned", "backwards", "chunks"])
def test_refit_is_polyfit_in_every_layout(make_cube, kind, dims, stored):
    cube = make_cube(kind=kind, dims=dims, missing=0.15)
    if stored == "turned":  # as a view whose memory has another order
        cube = cube.transpose(*dims[::-1]).copy().transpose(*dims)
    elif stored == "backwards":
        cube = cube.isel(wavelength=slice(None, None, -1))
    elif stored == "chunks":
        cube = cube.chunk(y=2, x=3, wavelength=9)
    for deriv in (0, 1, 2):
        operator = ck.savgol_operator(ck.Axis.from_cube(cube), 9, 3, deriv=deriv)
        spectra = cube.transpose("y", "x", "wavelength").values.reshape(-1, 40)
        expected = np.array([by_polyfit(operator, spectrum) for spectrum in spectra])
        for few in (False, True):
            with mock.patch.object(refit, "_FEW", np.inf if few else 0):
                got = operator(cube, missing="refit").compute()
            got = got.transpose("y", "x", "wavelength").values.reshape(-1, 40)
            np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


def test_the_fit_near_a_gap_does_not_need_the_one_sample_beyond_it():
    # all but one sample of a window are close: without that one, the polynomials of the
    # whole window are nearly dependent
    axis = ck.Axis("x", [*range(28), *range(57, 62)])
    cube = spectra_on(axis, np.random.default_rng(33).normal(1000, 100, (4, 33)))
    cube[:, 28] = np.nan
    for polyorder, deriv in ((2, 0), (4, 2), (5, 3)):
        operator = ck.savgol_operator(axis, 7, polyorder, deriv=deriv)
        expected = [by_polyfit(operator, spectrum) for spectrum in cube.values]
        for few in (False, True):
            got = refitted(operator, cube, one_for_one=few)
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@given(axis=strategies.axes(min_size=8), seed=st.integers(0, 2**16), data=st.data())
def test_polynomials_come_back_through_any_holes(axis, seed, data):
    rng = np.random.default_rng(seed)
    degree = data.draw(st.integers(0, 3))
    deriv = data.draw(st.integers(0, degree))
    operator = ck.savgol_operator(axis, 7, degree, deriv=deriv)
    u = (axis.values - axis.values.mean()) / np.ptp(axis.values)
    polynomial = np.poly1d(rng.normal(size=degree + 1))
    values = np.tile(polynomial(u), (6, 1))
    values[rng.random(values.shape) < 0.3] = np.nan
    cube = spectra_on(axis, values)
    got = refitted(operator, cube, one_for_one=data.draw(st.booleans()))
    exact = np.polyder(polynomial, deriv)(u) / np.ptp(axis.values) ** deriv
    defined = np.isfinite(got)
    assert defined[:, 3:-3].mean() > 0.3
    # a fit amplifies the rounding of the values by what its window makes of them
    step = np.abs(np.diff(u)).min()
    amplified = 1e-10 * max(1, np.abs(polynomial(u)).max()) * (1 + 1e-4 / step**3)
    np.testing.assert_allclose(
        (got * np.ptp(axis.values) ** deriv)[defined],
        np.broadcast_to(exact * np.ptp(axis.values) ** deriv, got.shape)[defined],
        rtol=1e-10,
        atol=amplified,
    )


def test_polynomials_come_back_to_ten_digits_on_a_sensor_axis():
    axis = ck.Axis("wavelength", 380 + 7.4 * np.arange(285) + np.sin(np.arange(285)))
    u = (axis.values - 1400) / 1000
    rng = np.random.default_rng(1)
    values = np.tile(1 + u - 2 * u**2, (50, 1))
    values[rng.random(values.shape) < 0.2] = np.nan
    operator, cube = ck.savgol_operator(axis, 11, 2), spectra_on(axis, values)
    for few in (False, True):
        got = refitted(operator, cube, one_for_one=few)
        defined = np.isfinite(got)
        assert defined.mean() > 0.99
        truth = np.broadcast_to(1 + u - 2 * u**2, got.shape)[defined]
        np.testing.assert_allclose(got[defined], truth, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("order", [1, 2, 3])
@given(axis=strategies.axes(min_size=8), seed=st.integers(0, 2**16), few=st.booleans())
def test_a_difference_loses_one_degree_with_each_sample(order, axis, seed, few):
    cube = holed(axis, np.random.default_rng(seed), 0.15)
    operator = ck.derivative_operator(axis, order)
    got = refitted(operator, cube, one_for_one=few)
    expected = np.array([by_polyfit(operator, spectrum) for spectrum in cube.values])
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_allclose(
        got, expected, rtol=1e-9, atol=1e3 * rounding(operator, cube)
    )


def test_the_slope_between_the_neighbours_of_a_hole():
    axis = ck.Axis("x", [0.0, 1.0, 3.0, 4.0, 6.0])
    cube = xr.DataArray([1.0, 2.0, np.nan, 5.0, 9.0], axis.to_coords(), "x")
    got = ck.derivative_operator(axis)(cube, missing="refit")
    np.testing.assert_allclose(got, [1, 1, 1, 2, 2])


@pytest.mark.parametrize("few", [False, True])
def test_a_window_is_fitted_again_only_where_samples_surround_or_touch(few):
    axis = ck.Axis("x", np.arange(9.0))
    operator = ck.savgol_operator(axis, 5, 1)

    def defined(bad):
        values = np.arange(9.0)
        values[bad] = np.nan
        cube = xr.DataArray(values, axis.to_coords(), "x")
        got = refitted(operator, cube, one_for_one=few)
        return np.flatnonzero(np.isfinite(got)).tolist()

    assert defined([0]) == list(range(9))  # one sample beyond those that are left
    assert defined([0, 1]) == list(range(1, 9))  # and not two
    assert defined([3, 4, 5]) == list(range(9))  # 2 and 6 surround 4
    assert defined([2, 3, 4, 5, 6]) == [0, 1, 2, 6, 7, 8]  # one sample is no line


@pytest.mark.parametrize("few", [False, True])
def test_too_few_samples_left_are_nan(few):
    axis = ck.Axis("x", np.arange(5.0))
    values = np.array([[1, np.nan, 2, np.nan, np.nan], [np.nan] * 5])
    operator = ck.savgol_operator(axis, 5, 2)
    assert np.isnan(refitted(operator, spectra_on(axis, values), one_for_one=few)).all()


@pytest.mark.parametrize("dims", [("y", "x", "wavelength"), ("wavelength", "y", "x")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clean_spectra_have_the_bits_of_the_plain_filter(make_cube, dims, dtype):
    cube = make_cube(shape=(40, 50, 60), dims=dims, dtype=dtype, missing=0.001)
    plain = ck.savgol_filter(cube, 7, 2)
    got = ck.savgol_filter(cube, 7, 2, missing="refit")
    clean = np.isfinite(plain)
    assert got.dtype == plain.dtype
    assert 0.5 < float(clean.mean()) < 0.995
    np.testing.assert_array_equal(got.values[clean.values], plain.values[clean.values])
    assert not got.isnull().any()


@given(cube=strategies.cubes(min_size=5), data=st.data())
def test_any_chunks_give_the_same_fits(cube, data):
    operator = ck.savgol_operator(ck.Axis.from_cube(cube), 5, 1)
    expected = operator(cube, missing="refit")
    chunks = {d: data.draw(strategies.chunkings(n)) for d, n in cube.sizes.items()}
    with dask.config.set(scheduler="synchronous"):
        got = operator(cube.chunk(chunks), missing="refit").compute()
    assert got.dtype == expected.dtype
    scale = np.abs(cube.values[np.isfinite(cube.values)]).max(initial=1)
    eps = np.finfo(got.dtype).eps
    np.testing.assert_allclose(got, expected, rtol=64 * eps, atol=64 * eps * scale)


@pytest.mark.parametrize("dims", [("y", "x", "wavelength"), ("wavelength", "y", "x")])
@pytest.mark.parametrize(("holes", "polyorder"), [(1, 2), (14, 2), (14, 4)])
def test_sums_in_float32_are_as_exact_as_the_filter_is(
    make_cube, dims, holes, polyorder
):
    cube = make_cube(shape=(20, 40, 285), dims=("y", "x", "wavelength"))
    cube = (1000 + cube).astype("float32")
    rng = np.random.default_rng(0)
    rows = np.arange(20)[:, None], np.arange(40)
    for _ in range(holes):
        cube.values[(*rows, rng.integers(0, 285, (20, 40)))] = np.nan
    cube = cube.transpose(*dims).copy()
    got = ck.savgol_filter(cube, 11, polyorder, missing="refit")
    exact = ck.savgol_filter(cube.astype("float64"), 11, polyorder, missing="refit")
    assert got.dtype == np.float32
    # as many roundings of values near 1000 as a fit with few samples left magnifies
    np.testing.assert_allclose(got, exact, atol=32 * 1000 * np.finfo("float32").eps)


def test_nothing_is_computed_early(make_cube, count_computes):
    cube = make_cube(missing=0.1, chunks={"y": 2, "wavelength": 9})
    with count_computes() as ran:
        got = ck.savgol_filter(cube, 7, missing="refit")
    assert not ran
    assert got.chunks == cube.chunks


def test_holes_and_bad_bands_go_together(make_cube):
    cube = ck.mark_bad(make_cube(missing=0.1), [(445, 462)])
    good = cube["good_band"].values
    got = ck.savgol_filter(cube.where(good, -0.01), 7, 2, missing="refit")
    alone = ck.savgol_filter(cube.isel(wavelength=good), 7, 2, missing="refit")
    np.testing.assert_allclose(got.isel(wavelength=good), alone, rtol=1e-10)
    assert got.isel(wavelength=~good).isnull().all()


def test_no_refit_reaches_across_a_gap(make_cube):
    cube = make_cube(kind="gapped", missing=0.1)
    step = xr.where(cube["wavelength"] > 500, 1000.0, 0.0) + 0 * cube
    got = ck.savgol_filter(step, 11, 2, max_gap="auto", missing="refit")
    assert got.notnull().mean() > 0.99
    truth = xr.where(cube["wavelength"] > 500, 1000.0, 0.0)
    np.testing.assert_allclose(got, truth.where(got.notnull()), atol=1e-9)


@pytest.mark.parametrize("max_gap", [60, "auto"])
def test_refit_between_gaps_is_polyfit_on_each_side(make_cube, max_gap):
    cube = make_cube(kind="gapped", missing=0.15)
    gap = int(np.argmax(np.diff(cube["wavelength"]))) + 1
    got = ck.savgol_filter(cube, 7, 2, deriv=1, max_gap=max_gap, missing="refit")
    for side in (slice(None, gap), slice(gap, None)):
        alone = cube.isel(wavelength=side)
        operator = ck.savgol_operator(ck.Axis.from_cube(alone), 7, 2, deriv=1)
        expected = [[by_polyfit(operator, f) for f in row] for row in alone.values]
        np.testing.assert_allclose(
            got.isel(wavelength=side), expected, rtol=1e-9, atol=1e-9
        )


@pytest.mark.parametrize("chunks", [None, {"wavelength": 3}])
def test_some_outputs_are_refitted_as_all_are(make_cube, chunks):
    cube = make_cube(missing=0.05)
    operator = ck.savgol_operator(ck.Axis.from_cube(cube), 7, 2)
    some = operator.isel([3, 17, 30])  # each from many chunks, which are not added up
    np.testing.assert_allclose(
        some(cube if chunks is None else cube.chunk(chunks), missing="refit"),
        operator(cube, missing="refit").isel(wavelength=[3, 17, 30]),
        rtol=1e-12,
    )


def test_integers_have_nothing_missing(make_cube):
    cube = make_cube(dtype="uint16")
    xr.testing.assert_identical(
        ck.savgol_filter(cube, 5, missing="refit"), ck.savgol_filter(cube, 5)
    )


def test_the_input_is_not_changed(make_cube):
    cube = make_cube(missing=0.1)
    before = cube.copy(deep=True)
    ck.savgol_filter(cube, 5, missing="refit")
    xr.testing.assert_identical(cube, before)


def test_products_have_no_polynomial_to_refit(make_cube):
    cube = make_cube()
    axis = ck.Axis.from_cube(cube)
    smooth, slope = ck.savgol_operator(axis, 5), ck.derivative_operator(axis)
    for operator in (slope @ smooth, 2 * smooth, smooth + smooth, smooth.T):
        with pytest.raises(ValueError, match="one after the other, each with missing"):
            operator(cube, missing="refit")


def test_windows_over_the_seam_of_a_period_are_not_refitted():
    axis = ck.Axis("lon", np.arange(0.0, 360, 10), units="degrees")
    slope = ck.derivative_operator(axis, period=360)
    with pytest.raises(ValueError, match="reach over a seam"):
        slope(spectra_on(axis, np.ones((1, len(axis)))), missing="refit")


@pytest.mark.parametrize("few", [False, True])
def test_wide_windows_are_fitted_too(few):
    axis = ck.Axis("x", np.arange(90.0))
    cube = holed(axis, np.random.default_rng(0), 0.2, spectra=4)
    for length in (13, 31, 33, 71):
        operator = ck.savgol_operator(axis, length, 3)
        expected = [by_polyfit(operator, spectrum) for spectrum in cube.values]
        got = refitted(operator, cube, one_for_one=few)
        np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_threads_change_nothing(monkeypatch):
    monkeypatch.setattr(blockwise, "_SAMPLES_WORTH_A_THREAD", 2**16)
    axis = ck.Axis("x", np.arange(60.0))
    operator = ck.savgol_operator(axis, 9, 2)
    x = np.random.default_rng(0).normal(size=(4000, 60))
    x[np.random.default_rng(1).random(x.shape) < 0.01] = np.nan
    fit = kernels.LocalFit(axis.values, axis.values, 2, 0)
    linear = LinearMap(operator.matrix, fit)
    one = contract_array(x, linear, 1, threads=1)
    two = contract_array(x, linear, 1, threads=3)
    np.testing.assert_array_equal(one, two)


@pytest.mark.real
def test_the_uneven_raman_map_is_polyfit_window_by_window(real):
    from rsciio.renishaw import file_reader  # noqa: PLC0415, for real files only

    file = real / "raman_map_renishaw" / "renishaw_test_streamline.wdf"
    signal = file_reader(str(file))[0]
    shift = next(a["axis"] for a in signal["axes"] if not a["navigate"])
    values = signal["data"].astype("float64")[:3, :4]
    assert np.ptp(np.diff(shift)) > 0.2
    cube = xr.DataArray(
        values,
        dims=("y", "x", "raman_shift"),
        coords={"raman_shift": ("raman_shift", shift, {"units": "cm-1"})},
    )
    cube[1, 2, [0, 40, 41, 300]] = np.nan
    operator = ck.savgol_operator(ck.Axis.from_cube(cube), 15, 3, deriv=1)
    got = operator(cube, missing="refit").values
    expected = [
        [by_polyfit(operator, spectrum) for spectrum in row] for row in cube.values
    ]
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        operator(cube.isel(y=0)), np.array(expected)[0], rtol=1e-9, atol=1e-9
    )
