"""Continuum removal, normalisation, and what all functions of whole spectra share."""

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.spatial
import strategies
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import cubekit as ck

FUNCTIONS = {
    "continuum": ck.remove_continuum,
    "snv": ck.normalize,
    "vector": lambda cube: ck.normalize(cube, "vector"),
    "area": lambda cube: ck.normalize(cube, "area"),
    "angle": lambda cube: ck.spectral_angle(
        cube, xr.ones_like(cube.wavelength).drop_attrs() + 0.0
    ),
}
every_function = pytest.mark.parametrize("name", FUNCTIONS)


def by_qhull(x, y):
    """Upper hull of one spectrum by an algorithm of another kind."""
    floor = y.min() - 1 - np.ptp(y)
    corners = np.array([[x[0], floor], [x[-1], floor]])
    points = np.vstack([np.column_stack([x, y]), corners])
    vertices = scipy.spatial.ConvexHull(points).vertices
    top = np.sort(vertices[vertices < len(x)])
    return np.interp(x, x[top], y[top])


def test_the_hull_is_that_of_qhull(make_cube):
    cube = make_cube()
    got = ck.remove_continuum(cube)
    x = cube["wavelength"].values
    for spectrum, ours in zip(
        cube.values.reshape(-1, 40), got.values.reshape(-1, 40), strict=True
    ):
        np.testing.assert_allclose(ours, spectrum / by_qhull(x, spectrum), rtol=1e-12)


@given(axis=strategies.axes(min_size=2), seed=st.integers(0, 2**16))
def test_the_hull_is_concave_above_and_touches(axis, seed):
    rng = np.random.default_rng(seed)
    values = rng.uniform(1, 2, (5, len(axis))).round(rng.integers(0, 4))
    cube = xr.DataArray(values, axis.to_coords(), ("y", "wavelength"))
    ratio = ck.remove_continuum(cube).values
    assert ratio.max() <= 1
    np.testing.assert_array_equal(ratio[:, [0, -1]], 1)
    hull = values / ratio
    step = np.diff(axis.values)
    slope = np.diff(hull) / step * (-1 if axis.is_descending else 1)
    slope = slope[:, ::-1] if axis.is_descending else slope
    smallest = np.abs(step).min()
    assert (np.diff(slope * (-1 if axis.is_descending else 1)) * smallest < 1e-12).all()
    touched = ratio == 1
    for row, at in zip(hull, touched, strict=True):  # straight between
        order = np.argsort(axis.values[at])
        line = np.interp(axis.values, axis.values[at][order], row[at][order])
        np.testing.assert_allclose(line, row, rtol=1e-12)


def test_a_concave_spectrum_is_its_own_continuum():
    x = np.linspace(400, 2500, 285)
    cube = xr.DataArray(np.sqrt(x), {"wavelength": x}, "wavelength")
    np.testing.assert_allclose(ck.remove_continuum(cube), 1, rtol=1e-12)


def test_no_sample_of_a_straight_line_lies_above_it():
    rng = np.random.default_rng(0)
    x = np.cumsum(rng.uniform(1, 9, 60))
    values = rng.uniform(1, 2, (50, 1)) + rng.uniform(-0.002, 0.002, (50, 1)) * x
    cube = xr.DataArray(values, {"wavelength": x}, ("y", "wavelength"))
    ratio = ck.remove_continuum(cube)
    assert ratio.max() == 1  # to the bit
    np.testing.assert_allclose(ratio, 1, rtol=1e-13)


def test_a_hull_that_is_not_positive_gives_nan():
    x = [400.0, 500.0, 600.0]
    cube = xr.DataArray(
        [[-1.0, -2, 1], [0, 0, 0]], {"wavelength": x}, ("y", "wavelength")
    )
    got = ck.remove_continuum(cube)
    np.testing.assert_array_equal(got, [[np.nan, np.nan, 1], [np.nan] * 3])


@every_function
def test_spectra_do_not_know_their_neighbours(make_cube, name):
    cube = make_cube(kind="stretched") * np.logspace(-6, 6, 5)[:, None, None]
    cube = cube.transpose("y", "x", "wavelength")
    got = FUNCTIONS[name](cube)
    for y in range(5):
        alone = FUNCTIONS[name](cube.isel(y=[y]))
        np.testing.assert_allclose(got.isel(y=[y]), alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["continuum", "snv", "vector", "area"])
def test_missing_samples_and_bad_bands_are_as_if_they_were_not_there(make_cube, name):
    cube = make_cube()
    holes = [3, 17, 18, 39]
    spoilt = cube.copy(deep=True)
    spoilt[{"wavelength": holes[:2]}] = np.nan
    spoilt[{"wavelength": holes[2:]}] = -9999.0
    good = np.ones(40, bool)
    good[holes[2:]] = False
    spoilt = spoilt.assign_coords(good_band=("wavelength", good))
    got = FUNCTIONS[name](spoilt)
    left = np.delete(np.arange(40), holes)
    assert got.isel(wavelength=holes).isnull().all()
    np.testing.assert_allclose(
        got.isel(wavelength=left),
        FUNCTIONS[name](cube.isel(wavelength=left)),
        rtol=1e-12,
    )
    xr.testing.assert_identical(got["good_band"], spoilt["good_band"])


@pytest.mark.parametrize("name", ["continuum", "snv", "vector", "area"])
def test_other_spectra_keep_their_bits_and_empty_ones_are_nan(make_cube, name):
    cube = make_cube()
    spoilt = cube.copy(deep=True)
    spoilt[1, 2] = np.nan
    got, clean = FUNCTIONS[name](spoilt), FUNCTIONS[name](cube)
    assert got[1, 2].isnull().all()
    clean[1, 2] = np.nan
    np.testing.assert_allclose(got, clean, rtol=1e-13)


@every_function
@given(cube=strategies.cubes(min_size=2), data=st.data())
def test_any_chunks_and_dtypes_give_the_same_values(name, cube, data):
    expected = FUNCTIONS[name](cube)
    chunks = {d: data.draw(strategies.chunkings(n)) for d, n in cube.sizes.items()}
    with dask.config.set(scheduler="synchronous"):
        got = FUNCTIONS[name](cube.chunk(chunks))
        assert got.dtype == expected.dtype
        assert got.dims == expected.dims
        np.testing.assert_allclose(got.compute(), expected, rtol=1e-6, atol=1e-9)


@every_function
def test_nothing_is_computed_early(make_cube, count_computes, name):
    cube = make_cube(chunks={"y": 2, "wavelength": 9})
    with count_computes() as ran:
        got = FUNCTIONS[name](cube)
    assert not ran
    assert got.chunks is not None


@every_function
def test_split_spectra_are_put_together_and_images_keep_their_chunks(make_cube, name):
    cube = make_cube(chunks={"y": 2, "x": 3, "wavelength": 9})
    got = FUNCTIONS[name](cube)
    assert {d: got.chunksizes[d] for d in "yx"} == {"y": (2, 2, 1), "x": (3, 1)}


def test_a_warning_of_cut_chunks_names_the_function_and_the_line_that_called_it():
    images = xr.DataArray(
        da.zeros((1000, 1000, 285), "f4", chunks=(1000, 1000, 1)),
        {"wavelength": np.arange(285.0) + 400},
        ("y", "x", "wavelength"),
    )
    with pytest.warns(UserWarning, match="^remove_continuum: 285 samples in") as told:
        ck.remove_continuum(images)
    assert [each.filename for each in told] == [__file__]


@every_function
def test_the_input_is_not_changed(make_cube, name):
    cube = make_cube(missing=0.1)
    cube.encoding = {"scale_factor": 0.1, "dtype": "int16"}
    before = cube.copy(deep=True)
    got = FUNCTIONS[name](cube)
    xr.testing.assert_identical(cube, before)
    assert cube.encoding == {"scale_factor": 0.1, "dtype": "int16"}
    assert not got.encoding


@every_function
@pytest.mark.parametrize("dims", [("y", "wavelength", "x"), ("wavelength", "y", "x")])
def test_the_axis_may_be_anywhere(make_cube, name, dims):
    cube = make_cube()
    turned = cube.transpose(*dims)
    got = FUNCTIONS[name](turned)
    if name != "angle":
        assert got.dims == dims
    np.testing.assert_allclose(
        got.transpose(*[d for d in cube.dims if d in got.dims]), FUNCTIONS[name](cube)
    )


@every_function
def test_complex_values_are_refused(make_cube, name):
    with pytest.raises(TypeError, match="complex128"):
        FUNCTIONS[name](make_cube() * 1j)


def test_a_normal_variate_has_mean_0_and_deviation_1(make_cube):
    got = ck.normalize(make_cube())
    np.testing.assert_allclose(got.mean("wavelength"), 0, atol=1e-13)
    np.testing.assert_allclose(got.std("wavelength", ddof=1), 1, rtol=1e-13)
    assert got.attrs["units"] == "1"


def test_a_vector_has_length_1_and_an_area_is_1(make_cube):
    cube = make_cube(kind="stretched")
    vector = ck.normalize(cube, "vector")
    np.testing.assert_allclose((vector**2).sum("wavelength"), 1)
    area = ck.normalize(cube, "area")
    np.testing.assert_allclose(area.integrate("wavelength"), 1)
    assert area.attrs["units"] == "nm-1"
    down = ck.normalize(cube.isel(wavelength=slice(None, None, -1)), "area")
    np.testing.assert_allclose(down.isel(wavelength=slice(None, None, -1)), area)


def test_spectra_that_cannot_be_scaled_are_nan(make_cube):
    flat = make_cube() * 0 + 0.1
    assert ck.normalize(flat).isnull().all()
    for method in ("vector", "area"):
        assert ck.normalize(flat * 0, method).isnull().all()


def test_an_unknown_method_is_refused(make_cube):
    with pytest.raises(
        ValueError, match=r"method='msc' is unknown. There are 'snv', 'vec"
    ):
        ck.normalize(make_cube(), "msc")


def test_a_continuum_removed_has_no_units(make_cube):
    cube = make_cube()
    cube.attrs |= {"standard_name": "surface_reflectance", "actual_range": (0, 3)}
    named = ck.remove_continuum(cube)
    long_name = "surface reflectance, continuum removed"
    assert named.attrs == {"units": "1", "long_name": long_name}
    assert named.name == cube.name
    del cube.attrs["long_name"]
    assert ck.remove_continuum(cube).attrs == {"units": "1"}


def test_a_long_name_says_how_spectra_were_normalized(make_cube):
    got = ck.normalize(make_cube(), "area").attrs
    assert got["long_name"] == "surface reflectance, normalized (area)"


def test_the_angle_is_that_between_directions(make_cube):
    cube = make_cube()
    references = cube.isel(x=0).rename(y="material").drop_vars(["material", "x"])
    got = ck.spectral_angle(cube, references)
    assert got.dims == ("y", "x", "material")
    assert got.attrs["units"] == "rad"
    a, b = cube.values[2, 1], references.values[3]
    expected = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    np.testing.assert_allclose(got[2, 1, 3], expected, rtol=1e-12)


def test_small_angles_keep_their_digits(make_cube):
    spectrum = make_cube(shape=(1, 1, 40))
    other = xr.DataArray(np.zeros(40), spectrum.wavelength.coords)
    plane = spectrum.values[0, 0]
    across = np.linspace(-1, 1, 40)
    across -= (across @ plane) / (plane @ plane) * plane
    for angle in (0, 1e-12, 1e-7, 1e-3, 0.01, 0.02):
        turned = np.cos(angle) * plane / np.linalg.norm(plane) + np.sin(
            angle
        ) * across / np.linalg.norm(across)
        got = ck.spectral_angle(spectrum, other + turned)
        np.testing.assert_allclose(
            got, angle, rtol=1e-3 if angle < 1e-9 else 1e-8, atol=1e-15
        )


def test_brightness_does_not_matter(make_cube):
    cube = make_cube()
    np.testing.assert_allclose(
        ck.spectral_angle(cube, 7 * cube[0, 0])[0, 0], 0, atol=1e-15
    )
    np.testing.assert_allclose(
        ck.spectral_angle(cube, -cube[0, 0])[0, 0], np.pi, rtol=1e-7
    )


def test_bad_bands_of_either_side_are_left_out(make_cube):
    cube = ck.mark_bad(make_cube(), [(445, 462)])
    good = cube["good_band"].values
    reference = make_cube(seed=1)[0, 0].drop_vars(["y", "x"])
    spoilt = cube.where(cube["good_band"], -0.01)
    expected = ck.spectral_angle(
        cube.isel(wavelength=good),
        reference.assign_coords(wavelength=cube.wavelength).isel(wavelength=good),
    )
    reference = reference.assign_coords(wavelength=cube.wavelength)
    np.testing.assert_allclose(ck.spectral_angle(spoilt, reference), expected)
    marks = cube["good_band"].variable
    np.testing.assert_allclose(
        ck.spectral_angle(
            spoilt.drop_vars("good_band"), reference.assign_coords(good_band=marks)
        ),
        expected,
    )


def test_spectra_with_missing_values_or_no_length_have_no_angle(make_cube):
    cube = make_cube()
    cube[0, 0, 5] = np.nan
    cube[1, 1] = 0
    got = ck.spectral_angle(cube, cube[2, 2])
    assert np.argwhere(got.isnull().values).tolist() == [[0, 0], [1, 1]]


def test_references_must_have_the_bands_and_one_dim(make_cube):
    cube = make_cube()
    with pytest.raises(
        ck.AxisMismatchError, match=r"cubekit.resample\(reference, cube"
    ):
        ck.spectral_angle(cube, cube[0, 0, :-1])
    with pytest.raises(ValueError, match=r"rename\(\{'x': 'reference'\}\)"):
        ck.spectral_angle(cube, cube[0])
    with pytest.raises(ValueError, match=r"reference.stack\(reference=\['y', 'x'\]"):
        ck.spectral_angle(cube, cube)
    with pytest.raises(TypeError, match=r"the reference is a numpy\.ndarray"):
        ck.spectral_angle(cube, cube.values[0, 0])


def test_a_reference_without_coordinate_is_given_that_of_the_cube(make_cube):
    cube = make_cube()
    bare = cube[1, 2].drop_vars("wavelength")
    with pytest.raises(
        ck.CoordinateError, match=r"reference\.assign_coords\(wavelength=cube\['wave"
    ):
        ck.spectral_angle(cube, bare)
    repaired = bare.assign_coords(wavelength=cube["wavelength"])
    assert ck.spectral_angle(cube, repaired)[1, 2] == 0


def test_places_of_references_do_not_take_those_of_the_cube(make_cube):
    cube = make_cube()
    library = cube[0].drop_vars(["y", "x"]).rename({"x": "reference"})
    places = np.arange(cube.sizes["x"])
    library = library.assign_coords(
        y=("reference", places), mineral=("reference", places)
    )
    got = ck.spectral_angle(cube, library)
    xr.testing.assert_identical(got["y"], cube["y"])
    np.testing.assert_array_equal(got["mineral"], places)
    assert not {"y", "x"} & set(got["mineral"].coords)
    stacked = ck.spectral_angle(cube, cube.stack(reference=["y", "x"]))
    assert set(stacked.coords) == set(got.coords) - {"mineral"}
    xr.testing.assert_identical(stacked["y"], cube["y"])


def test_what_is_told_of_each_reference_goes_before_what_is_told_of_the_cube(make_cube):
    cube = make_cube()
    library = cube[0].drop_vars(["y", "x"]).rename({"x": "reference"})
    names = [f"mineral {k}" for k in range(cube.sizes["x"])]
    library = library.assign_coords(mineral=("reference", names))
    marked = cube.assign_coords(mineral="mineral 0", reference=5)
    got = ck.spectral_angle(marked, library)
    assert got["mineral"].values.tolist() == names
    assert "reference" not in got.coords
    got.transpose("reference", ...).compute()
    marked = cube.assign_coords(reference=("y", np.arange(cube.sizes["y"])))
    with pytest.raises(ValueError, match=r"rename\(\{'reference': 'reference_'\}\)"):
        ck.spectral_angle(marked, library)
    assert ck.spectral_angle(marked, library.rename(reference="reference_")).ndim == 3


def test_the_repairs_of_references_with_other_dims_work(make_cube):
    cube = make_cube()
    row = ck.spectral_angle(cube, cube[0].rename({"x": "reference"}))
    stacked = cube.stack(reference=["y", "x"]).reset_index("reference", drop=True)
    got = ck.spectral_angle(cube, stacked)
    assert got.dims == ("y", "x", "reference")
    xr.testing.assert_identical(got["x"], cube["x"])
    np.testing.assert_array_equal(got[..., : cube.sizes["x"]], row)


def test_an_index_takes_the_nearest_good_bands_and_names_them(make_cube):
    cube = ck.mark_bad(make_cube(kind="uniform"), [(450, 460)])
    got = ck.normalized_difference(cube, 456, 600)
    a, b = (
        cube.sel(wavelength=466.6, method="nearest"),
        cube.sel(wavelength=599.8, method="nearest"),
    )
    np.testing.assert_allclose(got, (a - b) / (a + b))
    assert got.name == "normalized_difference"
    assert got.attrs["long_name"] == "normalized difference of 466.6 nm and 599.8 nm"
    assert float(got["wavelength_a"]) == pytest.approx(466.6)
    assert "good_band" not in got.coords
    ratio = ck.band_ratio(cube, 456, 600)
    np.testing.assert_allclose(ratio, a / b)
    assert ratio.attrs["long_name"] == "ratio of 466.6 nm to 599.8 nm"


def test_unsigned_bands_do_not_wrap_and_zeros_give_nan():
    cube = xr.DataArray(
        np.array([[3, 0], [5, 0]], np.uint8),
        {"wavelength": [500.0, 600.0]},
        ("wavelength", "x"),
    )
    got = ck.normalized_difference(cube, 500, 600)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [-0.25, np.nan])
    np.testing.assert_allclose(ck.band_ratio(cube, 500, 600), [0.6, np.nan], rtol=1e-6)


def test_an_index_is_lazy_and_reads_two_bands(make_cube, count_computes):
    cube = make_cube(chunks={"wavelength": 1})
    with count_computes() as ran:
        got = ck.band_ratio(cube, 450, 500)
    assert not ran
    assert len(got.data.dask) < 100


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        (
            0.66,
            ck.CoordinateError,
            "no band near 0.66 nm. 'wavelength' goes from 400 to",
        ),
        (395, ck.CoordinateError, "no band near 395 nm"),
        (-5, ValueError, "a=-5 is out of range"),
        ("red", TypeError, "a='red' is a str"),
    ],
)
def test_places_off_the_axis_are_refused(make_cube, place, error, message):
    with pytest.raises(error, match=message):
        ck.band_ratio(make_cube(kind="uniform"), place, 500)


def test_a_cube_of_bad_bands_has_no_index(make_cube):
    cube = ck.mark_bad(make_cube(), [(0, 1e4)])
    with pytest.raises(ck.CoordinateError, match="all of them bad"):
        ck.band_ratio(cube, 450, 500)
