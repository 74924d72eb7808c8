"""Bad bands and gaps: nothing leaks out of them, and nothing reaches across."""

import re

import numpy as np
import pytest
import strategies
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

import cubekit as ck

OPERATORS = {
    "smooth": lambda axis: ck.savgol_operator(axis, 5, 2),
    "smooth by width": lambda axis: ck.savgol_operator(
        axis, window_width=np.ptp(axis.values), polyorder=1
    ),
    "slope": ck.derivative_operator,
    "curvature": lambda axis: ck.derivative_operator(axis, 2),
}


def marked(x, bad, values=None):
    good = np.ones(len(x), bool)
    good[bad] = False
    return xr.DataArray(
        np.sin(x / 50) if values is None else values,
        coords={"wavelength": ("wavelength", x, {"units": "nm"})},
        dims="wavelength",
    ).assign_coords(good_band=("wavelength", good))


def test_marked_ranges_are_closed_and_add_to_what_is_marked(make_cube):
    cube = make_cube(kind="uniform")
    once = ck.mark_bad(cube, [(414.8, 429.6)])
    assert once["good_band"].dims == ("wavelength",)
    assert np.flatnonzero(~once["good_band"]).tolist() == [2, 3, 4]
    twice = ck.mark_bad(once, [(400, 400)])
    assert np.flatnonzero(~twice["good_band"]).tolist() == [0, 2, 3, 4]


def test_marking_changes_neither_the_input_nor_any_value(make_cube):
    cube = ck.mark_bad(make_cube(), [(400, 420)])
    before = cube.copy(deep=True)
    got = ck.mark_bad(cube, [(500, 520)])
    xr.testing.assert_identical(cube, before)
    xr.testing.assert_identical(got.drop_vars("good_band"), cube.drop_vars("good_band"))


def test_marking_reads_nothing(make_cube, count_computes):
    cube = make_cube(chunks={"y": 2})
    with count_computes() as ran:
        ck.mark_bad(cube, [(400, 420)])
    assert not ran


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ([(1.3, 1.5)], r"range \(1.3, 1.5\) nm holds no band.*from 400 to .* nm"),
        ([(420, 410)], r"range \(420, 410\) is no interval"),
        ([(1, 2, 3)], "two increasing numbers"),
        ([400], "range 400 is no interval"),
        ([("a", "b")], "ranges=.*1340, 1460"),
        ([(np.nan, 500)], "is no interval"),
        ((410, 420), r"is one pair\..*Give a list: ranges=\[\(410, 420\)\]"),
        (np.array([410.0, 420.0]), r"Give a list: ranges=\[\(410.0, 420.0\)\]"),
    ],
)
def test_ranges_that_cannot_be_meant_are_refused(make_cube, ranges, message):
    with pytest.raises(ValueError, match=message):
        ck.mark_bad(make_cube(kind="uniform"), ranges)


@pytest.mark.parametrize("name", OPERATORS)
@given(axis=strategies.axes(min_size=9), data=st.data())
def test_good_bands_get_what_they_would_get_with_no_bad_bands_there(name, axis, data):
    few = st.sets(st.integers(0, len(axis) - 1), max_size=3)
    good = np.ones(len(axis), bool)
    good[list(data.draw(few))] = False
    marked_axis = ck.Axis(axis.dim, axis.values, units="nm", good=good)
    got = OPERATORS[name](marked_axis).matrix.toarray()
    alone = OPERATORS[name](axis.isel(np.flatnonzero(good))).matrix.toarray()
    np.testing.assert_array_equal(got[np.ix_(good, good)], alone)
    assert not np.nan_to_num(got[np.ix_(good, ~good)], nan=1).any()
    assert np.isnan(np.diag(got)[~good]).all()


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("sentinel", [-0.01, -9999.0, np.nan, np.inf])
@pytest.mark.parametrize("chunk", [None, 1, 7, 40])
def test_no_value_of_a_bad_band_reaches_a_good_one(make_cube, name, sentinel, chunk):
    cube = ck.mark_bad(make_cube(dims=("wavelength", "y", "x")), [(445, 462)])
    cube = ck.mark_bad(cube, [(500, 530)])
    good = cube["good_band"]
    operator = OPERATORS[name](ck.Axis.from_cube(cube))
    spoilt = cube.where(good, sentinel)
    if chunk:
        spoilt = spoilt.chunk(wavelength=chunk)
    got = operator(spoilt)
    assert got.isel(wavelength=~good.values).isnull().all()
    np.testing.assert_allclose(
        got.isel(wavelength=good.values),
        operator(cube).isel(wavelength=good.values),
        rtol=1e-12,
        atol=1e-12,
    )
    assert not got.isel(wavelength=good.values).isnull().any()


def test_the_axis_and_its_bad_bands_are_kept(make_cube):
    cube = ck.mark_bad(make_cube(), [(445, 462)])
    got = ck.savgol_filter(cube, 5, 2)
    xr.testing.assert_identical(got["good_band"], cube["good_band"])
    xr.testing.assert_identical(got["wavelength"], cube["wavelength"])


def through(model, cube):
    return model.inverse_transform(model.transform(cube))


def on_axis(build, cube):
    return build(ck.Axis.from_cube(cube))(cube)


SURVIVORS = {
    "savgol_filter": lambda cube: ck.savgol_filter(cube, 5),
    "refit": lambda cube: ck.savgol_filter(cube, 5, missing="refit"),
    "derivative": lambda cube: ck.derivative(cube, "wavelength"),
    "resample": lambda cube: ck.resample(cube, cube),
    "remove_continuum": ck.remove_continuum,
    "normalize": ck.normalize,
    "convert_axis": lambda cube: ck.convert_axis(cube, "eV"),
    "gradient": ck.gradient,
    "hessian": ck.hessian,
    "laplacian": ck.laplacian,
    "gradient_magnitude": ck.gradient_magnitude,
    "hessian_norm": ck.hessian_norm,
    "hessian_eigenvalues": ck.hessian_eigenvalues,
    "divergence": lambda cube: ck.divergence(ck.gradient(cube)),
    "integrate_gradient": lambda cube: ck.integrate_gradient(ck.gradient(cube)),
    "along y": lambda cube: ck.savgol_filter(cube, 3, 1, coord="y"),
    "inverse of PCA": lambda cube: through(ck.PCA(3).fit(cube), cube),
    "rest of PCA": lambda cube: ck.PCA(3).fit(cube).residual(cube),
    "inverse of MNF": lambda cube: through(ck.MNF(3).fit(cube), cube),
    "product": lambda cube: on_axis(
        lambda a: ck.derivative_operator(a) @ ck.savgol_operator(a, 5), cube
    ),
    "sum": lambda cube: on_axis(
        lambda a: ck.savgol_operator(a, 5) + 2 * ck.savgol_operator(a, 7), cube
    ),
    "transpose": lambda cube: on_axis(lambda a: ck.savgol_operator(a, 5).T, cube),
    "std": lambda cube: on_axis(lambda a: ck.savgol_operator(a, 5).std, abs(cube)),
}
ACROSS_BANDS = {"gradient", "hessian", "laplacian", "gradient_magnitude"} | {
    "hessian_norm", "hessian_eigenvalues", "divergence", "integrate_gradient",
    "along y",
}  # fmt: skip


@pytest.mark.parametrize("name", SURVIVORS)
@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_marks_survive_every_operator_and_the_file(make_cube, tmp_path, name, suffix):
    cube = make_cube(shape=(9, 8, 40))
    marked_cube = ck.mark_bad(cube, [(445, 462), (500, 520)])
    good = marked_cube["good_band"].values
    assert 0 < good.sum() < 40
    made = SURVIVORS[name](marked_cube)
    path = ck.save_cube(made.rename("made"), tmp_path / f"made{suffix}")
    read = ck.open_cube(path)
    assert read["good_band"].dtype == bool
    np.testing.assert_array_equal(read["good_band"], good)
    assert read["good_band"].dims == made["good_band"].dims
    np.testing.assert_array_equal(read.transpose(*made.dims), made)
    if name in ACROSS_BANDS or name == "convert_axis":
        assert np.isfinite(read.values).all()
    else:
        assert np.isnan(read.values[..., ~good]).all()
    if name != "convert_axis":
        again = ck.savgol_filter(read, 5, missing="refit")  # and are honoured
        assert np.isfinite(again.values[..., good]).all()
        assert np.isnan(again.values[..., ~good]).all()


@pytest.mark.parametrize("name", sorted(ACROSS_BANDS))
def test_what_works_on_each_band_alone_does_so_on_bad_ones_too(make_cube, name):
    cube = make_cube()
    marked_cube = ck.mark_bad(cube, [(445, 462), (500, 520)])
    got = SURVIVORS[name](marked_cube)
    xr.testing.assert_identical(got.drop_vars("good_band"), SURVIVORS[name](cube))


def drawn(cube):
    ax = Figure().subplots()
    line = ck.plotting.spectra(cube, [(30, 30)], ax=ax)[0]
    return [line.get_ydata(), ax.get_ylim()]


def modelled(model, cube):
    """All that a fitted model knows and gives."""
    fitted = model.fit(cube)
    names = ["components_", "mean_", "explained_variance_", "explained_variance_ratio_"]
    names.append("snr_")
    found = [getattr(fitted, name) for name in names if hasattr(fitted, name)]
    scores = fitted.transform(cube)
    judged = fitted.evaluate(cube) if isinstance(fitted, ck.PCA) else xr.Dataset()
    return [
        *found,
        *judged.data_vars.values(),
        scores,
        fitted.inverse_transform(scores),
        fitted.residual(cube),
    ]


def of_good_bands(result, cube):
    return result.isel(wavelength=cube["good_band"].values)


LEAKS = {
    "savgol_filter": lambda c: [ck.savgol_filter(c, 5, deriv=1)],
    "max_gap": lambda c: [ck.savgol_filter(c, 5, max_gap="auto")],
    "refit": lambda c: [ck.savgol_filter(c, 5, missing="refit")],
    "derivative": lambda c: [ck.derivative(c, "wavelength", order=2)],
    "error bars": lambda c: [
        on_axis(lambda a: ck.savgol_operator(a, 5).variance, abs(c)),
        on_axis(lambda a: ck.savgol_operator(a, 5).std, abs(c)),
    ],
    "response": lambda c: [ck.resample(c, [430.0, 480, 600], fwhm=20)],
    "interpolation": lambda c: [ck.resample(c, [430.0, 480, 600])],
    "remove_continuum": lambda c: [ck.remove_continuum(c)],
    "snv": lambda c: [ck.normalize(c)],
    "vector": lambda c: [ck.normalize(c, "vector")],
    "area": lambda c: [ck.normalize(c, "area")],
    "angle": lambda c: [ck.spectral_angle(c, c[3, 3].drop_vars(["y", "x"]))],
    "band_ratio": lambda c: [ck.band_ratio(c, 455, 600)],
    "normalized_difference": lambda c: [ck.normalized_difference(c, 510, 600)],
    "PCA": lambda c: modelled(ck.PCA(3), c),
    "PCA, em": lambda c: modelled(ck.PCA(3, missing="em"), c),
    "PCA, solve": lambda c: modelled(ck.PCA(3, missing="solve"), c),
    "PCA, randomised": lambda c: modelled(ck.PCA(3, solver="randomized"), c),
    "MNF": lambda c: modelled(ck.MNF(3), c),
    "noise_covariance": lambda c: [ck.noise_covariance(c)],
    "flattest": lambda c: of_good_bands(ck.flattest(c), c).data_vars.values(),
    "gradient": lambda c: [of_good_bands(ck.gradient(c), c)],
    "rgb": lambda c: [ck.plotting.rgb(c, ax=Figure().subplots()).get_array()],
    "spectra": drawn,
}


@pytest.mark.parametrize("name", LEAKS)
@pytest.mark.parametrize("sentinel", [-9999.0, np.nan, np.inf])
@pytest.mark.parametrize("chunks", [None, {"y": 4, "wavelength": 7}])
@pytest.mark.filterwarnings("ignore:.*lie outside of 'wavelength'")
def test_no_fit_statistic_or_picture_sees_a_bad_band(make_cube, name, sentinel, chunks):
    cube = ck.mark_bad(make_cube(shape=(12, 10, 40)), [(445, 462), (500, 520)])
    spoilt = cube.where(cube["good_band"], sentinel)
    spoilt = spoilt if chunks is None else spoilt.chunk(chunks)
    results = zip(LEAKS[name](spoilt), LEAKS[name](cube), strict=True)
    for got, expected in results:
        np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-10)


def test_a_run_of_bad_bands_as_long_as_the_window_is_an_end_of_the_axis():
    x = 400 + 5.0 * np.arange(40)
    for run, joined in [(4, True), (5, False)]:
        cube = marked(x, slice(20, 20 + run))
        support = ck.savgol_operator(ck.Axis.from_cube(cube), 5, 2).support.toarray()
        assert support[19, 20 + run :].any() == joined
        assert support[19].sum() == 5
    narrow = marked(x, slice(20, 23))
    support = ck.savgol_operator(
        ck.Axis.from_cube(narrow), window_width=19.0
    ).support.toarray()
    assert not support[:20, 23:].any()


def test_a_step_over_bad_bands_counts_as_a_gap():
    x = 400 + 5.0 * np.arange(40)
    cube = marked(x, slice(20, 23))
    operator = ck.savgol_operator(ck.Axis.from_cube(cube), 5, 2, max_gap=19.9)
    assert not operator.support.toarray()[:20, 23:].any()
    operator = ck.savgol_operator(ck.Axis.from_cube(cube), 5, 2, max_gap=20)
    assert operator.support.toarray()[19, 23]


def test_too_few_good_samples_are_counted_in_the_error():
    cube = marked(np.arange(9.0), slice(2, 6))
    with pytest.raises(ValueError, match=r"'wavelength' \(5 good samples\). Use 5 or"):
        ck.savgol_filter(cube, 7)
    with pytest.raises(ValueError, match="'wavelength' has 5 good ones"):
        ck.derivative_operator(ck.Axis.from_cube(cube), 4)


def test_smoothing_after_marking_is_no_worse_than_dropping(make_cube):
    cube = ck.mark_bad(make_cube(), [(450, 470)])
    good = cube["good_band"].values
    got = ck.savgol_filter(cube, 7, 3, deriv=1).isel(wavelength=good)
    dropped = ck.savgol_filter(cube.isel(wavelength=good), 7, 3, deriv=1)
    np.testing.assert_allclose(got, dropped, rtol=1e-12)


def test_segments_are_the_stretches_between_gaps_in_either_direction():
    x = np.concatenate([np.arange(10.0), np.arange(50, 60.0), np.arange(90, 95.0)])
    expected = [slice(0, 10), slice(10, 20), slice(20, 25)]
    assert ck.Axis("w", x).segments() == expected
    assert ck.Axis("w", -x).segments(5) == expected
    assert ck.Axis("w", x).segments(45) == [slice(0, 25)]


@pytest.mark.parametrize(("step", "segments"), [(7.9, 1), (8.1, 2)])
def test_a_gap_is_a_step_of_more_than_four_times_the_median_about_it(step, segments):
    x = np.cumsum([0.0, *[2.0] * 20, step, *[2.0] * 20])
    assert len(ck.Axis("w", x).segments("auto")) == segments


@pytest.mark.parametrize(("wide", "segments"), [(5, 6), (6, 1)])
def test_the_median_is_that_of_eleven_steps(wide, segments):
    x = np.cumsum([0.0, *[2.0] * 20, *[10.0] * wide, *[2.0] * 20])
    assert len(ck.Axis("w", x).segments("auto")) == segments


def test_segments_leave_out_the_bad_bands_between_them():
    x = 400 + 5.0 * np.arange(40)
    axis = ck.Axis.from_cube(marked(x, [0, 7, *range(20, 30)]))
    assert axis.segments() == [slice(1, 20), slice(30, 40)]
    assert axis.segments(9) == [slice(1, 7), slice(8, 20), slice(30, 40)]
    nothing = ck.Axis("w", x, good=np.zeros(40, bool))
    assert nothing.segments() == []


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_few_samples_are_one_segment(n):
    assert ck.Axis("w", np.arange(float(n))).segments() == [slice(0, n)]


def test_another_sampling_from_some_sample_on_is_no_gap():
    x = np.concatenate([np.arange(0, 100, 1.0), np.arange(100, 1000, 20.0)])
    assert len(ck.Axis("w", x).segments()) == 1


def test_a_gap_is_a_length_or_auto():
    with pytest.raises(
        ValueError, match=r"max_gap='wide' is unknown.*max_gap=\"auto\""
    ):
        ck.Axis("w", [1.0, 2.0]).segments("wide")
    assert ck.savgol_operator(ck.Axis("w", [1.0]), 1, 0, max_gap="auto").matrix.nnz == 1
    with pytest.raises(ValueError, match="max_gap=-1 is out of range"):
        ck.savgol_operator(ck.Axis("w", [1.0, 2.0, 3.0]), 3, max_gap=-1)


def header(path, key):
    found = re.search(rf"\b{key}\s*=\s*{{([^}}]*)}}", path.read_text())
    return np.array([float(v) for v in found[1].replace("\n", " ").split(",")])


def emit(real):
    folder = real / "emit_jpl_l2a_envi"
    name = "emit20250324t221005_jpl_unmix_ex"
    values = np.fromfile(folder / name, "<f4").reshape(10, 285, 10)
    info = folder / f"{name}.hdr"
    return xr.DataArray(
        values,
        dims=("y", "wavelength", "x"),
        coords={
            "wavelength": ("wavelength", header(info, "wavelength"), {"units": "nm"}),
            "good_band": ("wavelength", header(info, "bbl") > 0),
        },
    )


@pytest.mark.real
@pytest.mark.parametrize("max_gap", [None, "auto"])
@pytest.mark.parametrize("deriv", [0, 2])
def test_the_bad_bands_of_emit_never_leak(real, max_gap, deriv):
    cube = emit(real)
    good = cube["good_band"]
    assert int((~good).sum()) == 41
    options = {"deriv": deriv, "max_gap": max_gap}
    got = ck.savgol_filter(cube, 11, 3, **options)
    assert got.isel(wavelength=~good.values).isnull().all()
    other = ck.savgol_filter(cube.where(good, 1e9), 11, 3, **options)
    xr.testing.assert_identical(got, other)
    assert not got.isel(wavelength=good.values).isnull().any()


@pytest.mark.real
def test_the_bad_bands_of_emit_are_two_gaps(real):
    axis = ck.Axis.from_cube(emit(real))
    ends = [(axis.values[s.start], axis.values[s.stop - 1]) for s in axis.segments()]
    np.testing.assert_allclose(
        ends, [(381.0, 1320.1), (1439.3, 1766.7), (1967.3, 2492.9)], atol=0.1
    )


def enmap(real):
    import rasterio  # noqa: PLC0415, for real files only

    with rasterio.open(real / "enmap_potsdam" / "enmap_potsdam_tile_64_0.tif") as file:
        tags = [file.tags(k) for k in file.indexes]
        values = file.read(masked=True).filled(np.nan)
    return xr.DataArray(
        values * 1e-4,
        dims=("wavelength", "y", "x"),
        coords={
            "wavelength": (
                "wavelength",
                [float(t["wavelength"]) for t in tags],
                {"units": "nm"},
            ),
            "good_band": ("wavelength", [t["bbl"] == "1" for t in tags]),
        },
    ).sortby("wavelength")


@pytest.mark.real
def test_no_weight_of_a_second_derivative_crosses_the_gaps_of_enmap(real):
    axis = ck.Axis.from_cube(enmap(real))
    operator = ck.savgol_operator(axis, 11, 3, deriv=2, max_gap="auto")
    dense = operator.support.toarray()
    for gap in (1400, 1800):
        below = axis.values < gap
        assert not dense[np.ix_(below, ~below)].any()
        assert not dense[np.ix_(~below, below)].any()
    assert len(axis.segments()) == 3


@pytest.mark.real
def test_the_detector_overlap_of_enmap_does_not_blow_up(real):
    cube = enmap(real)
    good = cube["good_band"].values
    assert np.diff(cube["wavelength"]).min() < 0.16
    smooth = ck.savgol_filter(cube, 11, 2, max_gap="auto").isel(wavelength=good)
    kept = cube.isel(wavelength=good)
    inside = np.abs(kept["wavelength"] - 950) < 60
    assert np.isfinite(smooth).all()
    assert float(np.abs(smooth - kept).where(inside).max()) < 0.05
    slope = ck.savgol_filter(cube, 11, 2, deriv=1, max_gap="auto")
    raw = ck.derivative_operator(ck.Axis.from_cube(cube))(cube)
    inside = np.abs(cube["wavelength"] - 950) < 60
    assert np.abs(raw).where(inside).max() > 20 * np.abs(slope).where(inside).max()


def test_a_number_in_place_of_ranges_is_told_how_they_look():
    cube = xr.DataArray([1.0, 2.0], {"wavelength": [400.0, 500.0]})
    for ranges in (500, "400-500"):
        with pytest.raises(TypeError, match=r"is a (int|str)\..*Give pairs: ranges="):
            ck.mark_bad(cube, ranges)


@pytest.mark.parametrize("flags", [np.ones(2, bool), [True, False]])
def test_flags_in_place_of_ranges_are_told_where_they_belong(flags):
    cube = xr.DataArray([1.0, 2.0], {"wavelength": [400.0, 500.0]})
    belong = r"are flags\. .*assign_coords\(good_band=\('wavelength', flags\)\)"
    with pytest.raises(TypeError, match=belong):
        ck.mark_bad(cube, flags)


@pytest.mark.parametrize(
    "flags", [["True", "False"], [1.0, np.nan], [1.0, 0.5], [2, 1]]
)
def test_flags_that_are_neither_good_nor_bad_are_refused_not_taken_as_good(flags):
    cube = xr.DataArray([1.0, 2.0], {"wavelength": [400.0, 500.0]})
    cube = cube.assign_coords(good_band=("wavelength", flags))
    with pytest.raises(
        ck.CoordinateError, match=r"'good_band' holds .*True or 1.*Assign"
    ):
        ck.Axis.from_cube(cube)


@pytest.mark.parametrize("dtype", [int, float, np.uint8])
def test_flags_of_one_and_zero_say_good_and_bad(dtype):
    cube = xr.DataArray([1.0, 2.0], {"wavelength": [400.0, 500.0]})
    cube = cube.assign_coords(good_band=("wavelength", np.array([1, 0], dtype)))
    assert ck.Axis.from_cube(cube).good.tolist() == [True, False]


CALLS = {
    "savgol_filter": lambda c: ck.savgol_filter(c, 7, max_gap="auto"),
    "refit": lambda c: ck.savgol_filter(c, 7, missing="refit"),
    "derivative": lambda c: ck.derivative(c, "wavelength"),
    "gradient": ck.gradient,
    "laplacian": ck.laplacian,
    "resample": lambda c: ck.resample(c, [480.0, 500.0]),
    "remove_continuum": ck.remove_continuum,
    "normalize": ck.normalize,
    "band_ratio": lambda c: ck.band_ratio(c, 450, 500),
    "normalized_difference": lambda c: ck.normalized_difference(c, 450, 500),
    "convert_axis": lambda c: ck.convert_axis(c, "eV"),
    "mark_bad": lambda c: ck.mark_bad(c, [(410, 420)]),
}


@pytest.mark.parametrize("name", CALLS)
def test_marks_in_chunks_are_read_without_any_value_of_the_cube(
    name, make_cube, count_computes
):
    def fail(_block):
        raise AssertionError("a chunk of the cube was computed")

    cube = ck.mark_bad(make_cube(), [(445, 462)])
    cube = cube.assign_coords(fwhm=("wavelength", np.full(cube.sizes["wavelength"], 9)))
    cube = cube.chunk(y=2, wavelength=9)
    assert cube["good_band"].chunks is not None
    cube = cube.copy(
        data=cube.data.map_blocks(fail, dtype=cube.dtype, meta=np.array(()))
    )
    with count_computes() as ran:
        got = CALLS[name](cube)
    assert got.chunks is not None
    # of the marks and the widths alone, when the axis is read and when it is compared
    assert len(ran) <= 4 * cube["good_band"].data.npartitions
    assert not any("fail" in str(key) for key in ran)


def test_a_bad_band_in_a_chunk_of_its_own_needs_no_score():
    cube = ck.datasets.scene((2, 3)).isel(wavelength=slice(120, 160)).astype("f8")
    assert not cube["good_band"].all()
    model = ck.PCA(2).fit(cube)
    got = model.residual(cube.chunk({"y": 1, "x": 1, "wavelength": 1})).compute()
    np.testing.assert_allclose(got, model.residual(cube), rtol=0, atol=1e-14)
