"""AxisOperator: applied, composed, selected, transposed; and what it refuses."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from scipy import sparse

import cubekit as ck


@pytest.fixture
def axis():
    return ck.Axis("wavelength", [400.0, 410.0, 425.0, 430.0, 441.0, 450.0], units="nm")


@pytest.fixture
def smooth(axis):
    return ck.savgol_operator(axis, 3, 1)


@pytest.fixture
def slope(axis):
    return ck.derivative_operator(axis)


def projection(axis):
    component = ck.Axis("component", np.arange(2.0))
    weights = sparse.csr_array(np.random.default_rng(0).normal(size=(2, len(axis))))
    return ck.AxisOperator(weights, axis, component, "projection")


def test_first_derivative_is_that_of_numpy_gradient(make_cube):
    cube = make_cube()
    axis = ck.Axis.from_cube(cube)
    for edge_accuracy, edge_order in ((2, 2), (1, 1)):
        operator = ck.derivative_operator(axis, edge_accuracy=edge_accuracy)
        expected = np.gradient(cube, axis.values, axis=2, edge_order=edge_order)
        np.testing.assert_allclose(operator(cube), expected, rtol=1e-10, atol=1e-11)


def test_units_follow_the_derivative_and_lies_about_values_are_dropped(make_cube):
    cube = make_cube()
    cube.attrs |= {"valid_range": [0, 1], "standard_name": "surface_albedo"}
    axis = ck.Axis.from_cube(cube)
    second = ck.derivative_operator(axis, 2)(cube)
    assert second.attrs == {"units": "nm-2", "long_name": "surface reflectance"}
    smooth = ck.savgol_operator(axis, 5)(cube)
    assert smooth.attrs["units"] == "1"
    assert smooth.attrs["standard_name"] == "surface_albedo"
    assert "valid_range" not in smooth.attrs
    del cube.attrs["units"]
    assert "units" not in ck.derivative_operator(axis)(cube).attrs


def test_dims_name_and_coordinates_are_kept_and_nothing_is_shared(make_cube):
    cube = make_cube(dims=("wavelength", "y", "x")).assign_coords(
        lat=(("y", "x"), np.ones((5, 4))),
        scene="a",
        good_band=("wavelength", [True] * 40),
    )
    cube.encoding["scale_factor"] = 0.01
    before = cube.copy(deep=True)
    result = ck.savgol_filter(cube, 5)
    assert result.dims == cube.dims
    assert result.name == "reflectance"
    assert set(result.coords) == set(cube.coords)
    assert not result.encoding
    result["wavelength"].attrs["units"] = "changed"
    result.attrs["units"] = "changed"
    xr.testing.assert_identical(cube, before)
    assert cube.encoding == {"scale_factor": 0.01}


def test_a_new_axis_brings_its_coordinates_and_takes_those_of_the_old(make_cube):
    cube = make_cube(shape=(2, 3, 6)).assign_coords(
        good_band=("wavelength", [True] * 6)
    )
    operator = projection(ck.Axis.from_cube(cube))
    scores = operator(cube)
    assert scores.dims == ("y", "x", "component")
    assert set(scores.coords) == {"y", "x", "component"}
    back = operator.T(scores)
    assert back.dims == ("y", "x", "wavelength")
    assert back["wavelength"].attrs["units"] == "nm"
    assert "good_band" in back.coords


def test_composition_is_one_matrix_with_the_support_of_both(axis, smooth, slope):
    both = slope @ smooth
    np.testing.assert_allclose(
        both.matrix.toarray(),
        slope.matrix.toarray() @ smooth.matrix.toarray(),
        atol=1e-16,
    )
    reach = (
        slope.support.toarray().astype(int) @ smooth.support.toarray().astype(int) > 0
    )
    np.testing.assert_array_equal(both.support.toarray(), reach)
    assert both.order == 1
    smoothing = "savgol_filter(window_length=3, polyorder=1)"
    assert both.name == f"derivative(order=1) @ {smoothing}"


def test_a_weight_that_cancels_stays_in_the_support(axis):
    identity = ck.savgol_operator(axis, 1, 0)
    nothing = identity - identity
    assert nothing.matrix.toarray().any() == 0
    np.testing.assert_array_equal(nothing.support.toarray(), np.eye(6, dtype=bool))


def test_sums_and_multiples_are_those_of_matrices(smooth, axis):
    identity = ck.savgol_operator(axis, 1, 0)
    S, eye = smooth.matrix.toarray(), np.eye(6)
    np.testing.assert_allclose((identity + smooth).matrix.toarray(), eye + S)
    np.testing.assert_allclose((identity - smooth).matrix.toarray(), eye - S)
    np.testing.assert_allclose((2 * smooth).matrix.toarray(), 2 * S)
    np.testing.assert_allclose((smooth * np.float64(0.5)).matrix.toarray(), S / 2)
    np.testing.assert_allclose((-smooth).matrix.toarray(), -S)


@pytest.mark.parametrize("other", [3, "x", None, [1.0]])
def test_other_things_are_no_operators(smooth, other):
    for action in ("__add__", "__sub__", "__matmul__"):
        assert getattr(smooth, action)(other) is NotImplemented
    if other != 3:
        assert smooth.__mul__(other) is NotImplemented
    assert smooth.__mul__(True) is NotImplemented


def test_an_operator_is_no_factor_of_a_cube(smooth, make_cube):
    cube = make_cube()
    with pytest.raises(TypeError, match="Use operator"):
        smooth @ cube
    for product in (lambda: smooth * cube, lambda: cube * smooth):
        with pytest.raises(TypeError):
            product()
    np.testing.assert_array_equal(
        (np.float64(2) * smooth).matrix.toarray(), 2 * smooth.matrix.toarray()
    )


def test_complex_weights_are_refused(axis):
    with pytest.raises(TypeError, match=r"matrix of operator is complex128"):
        ck.AxisOperator(sparse.csr_array(1j * np.eye(6)), axis, axis)


@pytest.mark.parametrize("given", [0.1, [0.1] * 6, np.ones(6), xr.Dataset()])
def test_errors_of_samples_are_a_dataarray(smooth, given):
    for propagated in (smooth.std, smooth.variance):
        with pytest.raises(TypeError, match="needs a DataArray"):
            propagated(given)


def test_selecting_outputs_keeps_their_rows_bit_for_bit(smooth, make_cube):
    chosen = smooth.sel(wavelength=slice(405, 441))
    np.testing.assert_array_equal(chosen.matrix.toarray(), smooth.matrix.toarray()[1:5])
    assert chosen.output.values.tolist() == [410, 425, 430, 441]
    assert smooth.sel(432, method="nearest").output.values.tolist() == [430]
    assert smooth.isel([0, -1]).output.values.tolist() == [400, 450]
    assert smooth.isel(slice(None, None, -1)).output.is_descending
    assert smooth.isel(np.arange(6) % 2 == 0).output.values.tolist() == [400, 425, 441]
    with pytest.raises(ValueError, match=r"sel got \['band'\].*sel\(wavelength="):
        smooth.sel(band=1)
    with pytest.raises(ValueError, match="sel got no value"):
        smooth.sel()


def test_a_selection_has_the_bad_bands_and_widths_of_its_outputs():
    axis = ck.Axis("b", [1.0, 2, 3, 4], good=[1, 0, 1, 1], fwhm=[1.0, 2, 3, 4])
    chosen = ck.savgol_operator(ck.Axis("b", axis.values), 3, 1)
    operator = ck.AxisOperator(chosen.matrix, axis, axis).isel([1, 2])
    assert operator.output.good.tolist() == [False, True]
    assert operator.output.fwhm.tolist() == [2, 3]


def test_entries_stored_twice_are_added(axis):
    matrix = sparse.csr_array(
        (np.array([1.0, 2.0, 0.0]), np.array([3, 3, 1]), np.array([0, 3])), (1, 6)
    )
    operator = ck.AxisOperator(matrix, axis, axis.isel(slice(1)))
    cube = xr.DataArray(np.arange(6.0), axis.to_coords(), ["wavelength"])
    assert operator(cube).item() == 9
    assert operator.support.nnz == 2
    assert matrix.nnz == 3


def test_the_matrix_as_a_dataarray_has_both_axes(smooth, axis):
    picture = smooth.to_dataarray()
    assert picture.dims == ("wavelength_out", "wavelength")
    np.testing.assert_array_equal(picture, smooth.matrix.toarray())
    assert picture["wavelength_out"].attrs["units"] == "nm"
    assert projection(axis).to_dataarray().dims == ("component", "wavelength")


def test_variance_is_the_squared_weights_times_the_variance(slope, axis):
    variance = xr.DataArray(
        np.arange(1.0, 7),
        coords=axis.to_coords(),
        dims="wavelength",
        attrs={"units": "1"},
    )
    got = slope.variance(variance)
    np.testing.assert_allclose(got, slope.matrix.toarray() ** 2 @ variance.values)
    assert got.attrs["units"] == "nm-2"


@pytest.mark.parametrize("dtype", ["float64", "uint8"])
def test_the_deviation_is_the_root_of_the_variance_in_units_of_the_result(axis, dtype):
    operator = ck.savgol_operator(axis, 5, 2, deriv=1)
    deviation = xr.DataArray(np.arange(10, 10 + len(axis)), axis.to_coords(), axis.dim)
    deviation = deviation.astype(dtype).assign_attrs(units="W m-2")
    variance = (deviation.astype(float) ** 2).assign_attrs(units="W2 m-4")
    expected = operator.variance(variance)
    got = operator.std(deviation)
    np.testing.assert_allclose(got, np.sqrt(expected), rtol=1e-5)
    assert expected.attrs["units"] == f"W2 m-4 {axis.units}-2"
    assert got.attrs["units"] == f"W m-2 {axis.units}-1"


def test_smoothed_noise_has_the_known_variance_in_the_middle_and_at_the_edges():
    axis = ck.Axis("x", np.arange(31.0))
    one = xr.DataArray(np.ones(31), coords={"x": axis.values}, dims="x")
    gain = np.sqrt(ck.savgol_operator(axis, 11, 2).variance(one))
    exact = np.sqrt([89 / 429, 83 / 143])  # the weight of a sample in its own fit
    np.testing.assert_allclose(gain[[15, 0]], exact, rtol=1e-12)


@pytest.mark.parametrize("errors", ["variance", "std"])
def test_errors_without_an_axis_are_refused_by_their_name(slope, errors):
    with pytest.raises(
        TypeError, match=rf"the {errors} is a builtins\.float.*Build one"
    ):
        getattr(slope, errors)(0.005)


def test_axes_that_differ_are_never_joined(smooth, axis):
    fewer = smooth.isel(slice(4))
    with pytest.raises(
        ck.AxisMismatchError,
        match=r"cannot compose savgol.*: axis 'wavelength' has 6 samples, "
        r"the other gives 4. Build both from the same Axis",
    ):
        smooth @ fewer
    with pytest.raises(ck.AxisMismatchError, match="cannot add"):
        smooth + fewer
    with pytest.raises(ck.AxisMismatchError, match="differentiate 0 and 1 times"):
        smooth + ck.derivative_operator(axis)


def test_a_cube_with_another_axis_is_refused_with_the_difference(smooth):
    values = [400.1, 410, 425, 430, 441, 450]
    cube = xr.DataArray(np.zeros(6), coords={"wavelength": values}, dims="wavelength")
    with pytest.raises(
        ck.AxisMismatchError,
        match=r"cannot apply savgol.*: 'wavelength' differs by up to 0.1 nm "
        r"\(at 0\). Build the operator from this cube",
    ):
        smooth(cube)


def test_a_cube_whose_axis_was_rounded_is_told_so(make_cube):
    cube = make_cube(kind="jittered")
    smooth = ck.savgol_operator(ck.Axis.from_cube(cube), 5)
    rounded = cube.assign_coords(wavelength=cube.wavelength.astype("float32"))
    with pytest.raises(ck.AxisMismatchError, match="Was it stored as float32"):
        smooth(rounded)
    with pytest.raises(ck.AxisMismatchError, match=r"\. Build the operator from this"):
        smooth(cube[..., ::-1])


def test_a_dim_that_the_cube_already_has_is_refused(axis):
    cube = xr.DataArray(
        np.zeros((6, 2)),
        coords={"wavelength": axis.values},
        dims=("wavelength", "component"),
    )
    with pytest.raises(
        ck.AxisMismatchError, match=r"which the cube already has.*rename"
    ):
        projection(axis)(cube)


def test_a_matrix_of_the_wrong_shape_is_refused(axis):
    with pytest.raises(ValueError, match=r"has shape \(2, 2\).*6 outputs and 6 inputs"):
        ck.AxisOperator(sparse.csr_array(np.eye(2)), axis, axis)


def test_unsorted_entries_are_sorted(axis):
    jumbled = sparse.csr_array(
        (np.arange(12.0), np.tile([3, 1], 6), np.arange(0, 13, 2)), (6, 6)
    )
    operator = ck.AxisOperator(jumbled, axis, axis)
    assert operator.matrix.indices[:2].tolist() == [1, 3]
    np.testing.assert_array_equal(operator.matrix.toarray(), jumbled.toarray())


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        ("complex64", r"the cube is complex64.*not dropped.*cube.real and cube.imag"),
        ("object", r"dtype object.*astype\(float\)"),
        ("datetime64[ns]", "dtype datetime64"),
        ("<U3", "dtype <U3"),
    ],
)
def test_values_that_are_no_real_numbers_are_refused(smooth, axis, dtype, message):
    cube = xr.DataArray(
        np.zeros(6).astype(dtype), coords={"wavelength": axis.values}, dims="wavelength"
    )
    with pytest.raises(TypeError, match=message):
        smooth(cube)


class Quantity:
    """A duck array that is neither NumPy nor Dask, as unit libraries make them."""

    shape, ndim, dtype = (6,), 1, np.dtype(float)
    __array_function__ = __array_ufunc__ = __array_namespace__ = None


def test_other_kinds_of_arrays_are_refused(smooth, axis):
    cube = xr.DataArray(Quantity(), dims="wavelength")
    cube = cube.assign_coords(wavelength=axis.values)
    with pytest.raises(TypeError, match=r"holds Quantity data.*NumPy arrays"):
        smooth(cube)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_mask_is_honoured(smooth, axis, lazy):
    values = np.ma.masked_equal(np.arange(6.0), 5)
    values = da.from_array(values) if lazy else values
    cube = xr.DataArray(values, coords={"wavelength": axis.values}, dims="wavelength")
    assert np.isnan(smooth(cube)).values.tolist() == [False] * 4 + [True] * 2


def test_chunks_of_unknown_size_are_refused(smooth, axis):
    ones = da.ones((3, 6), chunks=(3, 6))
    unknown = ones[ones[:, 0] > 0]
    cube = xr.DataArray(
        unknown, coords={"wavelength": axis.values}, dims=("y", "wavelength")
    )
    with pytest.raises(ValueError, match=r"unknown size.*compute_chunk_sizes"):
        smooth(cube)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"order": 0}, ValueError, "derivative: order=0 is out of range"),
        ({"order": 1.0}, TypeError, "order=1.0 is a float"),
        ({"accuracy": True}, TypeError, "accuracy=True is a bool"),
        ({"edge_accuracy": -1}, ValueError, "edge_accuracy=-1 is out of range"),
        ({"order": 4, "accuracy": 4}, ValueError, r"needs 8 samples.*has 6"),
    ],
)
def test_derivatives_that_cannot_be_are_refused(axis, options, error, message):
    with pytest.raises(error, match=message):
        ck.derivative_operator(axis, **options)


def noisy(axis, sigma, spectra=40000):
    return xr.DataArray(
        np.random.default_rng(8).normal(0, sigma, (spectra, len(axis))),
        coords=axis.to_coords(),
        dims=("y", axis.dim),
    )


@pytest.mark.parametrize("deriv", [0, 1])
def test_noise_that_is_filtered_has_the_variance_foretold_edges_included(deriv):
    x = 400 + np.cumsum(np.random.default_rng(3).uniform(3, 9, 30))
    axis = ck.Axis("wavelength", x, units="nm")
    sigma = np.linspace(1, 3, 30)
    operator = ck.savgol_operator(axis, 11, 3, deriv=deriv)
    measured = operator(noisy(axis, sigma)).std("y")
    variance = xr.DataArray(sigma**2, axis.to_coords(), "wavelength")
    np.testing.assert_allclose(measured, operator.variance(variance) ** 0.5, rtol=0.02)


def test_the_diagonal_of_the_covariance_is_the_variance(slope, axis):
    sigma = np.linspace(1, 3, len(axis))
    variance = xr.DataArray(sigma**2, axis.to_coords(), axis.dim)
    covariance = slope.covariance(np.diag(sigma**2))
    np.testing.assert_allclose(np.diag(covariance), slope.variance(variance))
    assert covariance.dims == ("wavelength", "wavelength_2")
    np.testing.assert_array_equal(covariance["wavelength_2"], axis.values)


def test_correlated_noise_has_the_covariance_foretold(smooth, axis):
    rng = np.random.default_rng(4)
    mixing = rng.normal(size=(len(axis), len(axis)))
    errors = noisy(axis, 1.0).copy(data=noisy(axis, 1.0).values @ mixing.T)
    measured = np.cov(smooth(errors).values, rowvar=False)
    expected = smooth.covariance(mixing @ mixing.T)
    assert np.abs(measured - expected).max() < 0.03 * np.abs(expected).max()


def test_a_missing_covariance_spoils_what_it_supports(axis):
    smooth = ck.savgol_operator(axis, 3, 1)
    sigma = np.eye(len(axis))
    sigma[4] = sigma[:, 4] = np.nan
    got = np.isnan(smooth.covariance(sigma))
    hit = smooth.support.toarray()[:, 4]
    np.testing.assert_array_equal(got, hit[:, None] | hit)


def test_a_covariance_of_the_wrong_shape_is_refused(smooth, axis):
    with pytest.raises(ValueError, match=r"sigma has shape \(3,\).*variance\(\) takes"):
        smooth.covariance(np.ones(3))
