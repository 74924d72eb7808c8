"""PCA against scikit-learn in float64, and where that is wrong, against the truth."""

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from sklearn import decomposition

import cubekit as ck
from cubekit.kernels import scatter
from cubekit.reduction.linear import _growth

SD = np.array([3.0, 2.0, 1.0, 0.5, 0.25])


def as_cube(values, chunks=None, **coords):
    """Cube of values (y, x, wavelength)."""
    bands = values.shape[-1]
    cube = xr.DataArray(
        values,
        dims=("y", "x", "wavelength"),
        coords={
            "wavelength": ("wavelength", 400 + 10.0 * np.arange(bands), {"units": "nm"})
        },
        name="reflectance",
        attrs={"units": "W", "long_name": "at the sensor"},
    ).assign_coords(coords)
    return cube if chunks is None else cube.chunk(chunks)


@pytest.fixture
def cube():
    """Correlated spectra, 60 x 50 of 12 bands, with distinct variances."""
    rng = np.random.default_rng(0)
    mixing = np.linalg.qr(rng.normal(size=(12, 12)))[0] * 1.5 ** -np.arange(12)
    return as_cube(5 + rng.normal(size=(60, 50, 12)) @ mixing.T)


def offset_data(dtype, offset, sd, n=(200, 250)):
    rng = np.random.default_rng(1)
    return as_cube((offset + rng.normal(size=(*n, len(sd))) * sd).astype(dtype))


def two_pass(cube):
    """Variances by the two-pass algorithm in float64."""
    x = cube.values.reshape(-1, cube.sizes["wavelength"]).astype(np.float64)
    x = x - x.mean(axis=0)
    return np.linalg.svd(x, compute_uv=False) ** 2 / (len(x) - 1)


def reference(cube, n=None):
    x = cube.transpose(..., "wavelength").values
    x = x.reshape(-1, x.shape[-1]).astype(np.float64)
    return decomposition.PCA(n, svd_solver="full").fit(x), x


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("work", [0, 2**40])
def test_variances_of_float32_data_with_an_offset_are_right(monkeypatch, lazy, work):
    monkeypatch.setattr(scatter, "_FLOAT32_WORK", work)
    data = offset_data("float32", 3000, SD)
    pca = ck.PCA().fit(data.chunk(y=30, x=70, wavelength=2) if lazy else data)
    np.testing.assert_allclose(pca.explained_variance_, two_pass(data), rtol=1e-5)


def test_variances_of_float64_data_with_a_large_offset_are_right():
    data = offset_data("float64", 1e6, SD / 10)
    got = ck.PCA().fit(data).explained_variance_
    np.testing.assert_allclose(got, two_pass(data), rtol=1e-10)


def test_well_behaved_data_give_what_scikit_learn_gives(cube):
    pca, (sk, x) = ck.PCA().fit(cube), reference(cube)
    for name in (
        "mean_",
        "explained_variance_",
        "explained_variance_ratio_",
        "singular_values_",
    ):
        np.testing.assert_allclose(getattr(pca, name), getattr(sk, name), rtol=1e-10)
    signs = np.sign(np.sum(pca.components_.values * sk.components_, axis=1))
    np.testing.assert_allclose(
        pca.components_, signs[:, None] * sk.components_, atol=1e-9
    )
    scores = pca.transform(cube).values.reshape(-1, 12)
    np.testing.assert_allclose(scores, signs * sk.transform(x), atol=1e-9)
    assert pca.n_samples_ == sk.n_samples_


def test_noise_variance_is_the_mean_of_what_is_left(cube):
    pca, (sk, _) = ck.PCA(4).fit(cube), reference(cube, 4)
    np.testing.assert_allclose(pca.noise_variance_, sk.noise_variance_, rtol=1e-10)


def test_three_components_of_white_noise_explain_a_fifteenth_not_all():
    noise = np.random.default_rng(0).normal(size=(40, 50, 60))
    ratio = ck.PCA(3).fit(as_cube(noise)).explained_variance_ratio_
    expected = reference(as_cube(noise), 3)[0].explained_variance_ratio_
    np.testing.assert_allclose(ratio, expected, rtol=1e-10)
    assert float(ratio.sum()) == pytest.approx(0.066, abs=0.001)


def random_chunks(rng, n):
    edges = np.sort(rng.choice(np.arange(1, n), rng.integers(0, min(n - 1, 6)), False))
    return tuple(int(k) for k in np.diff([0, *edges, n]))


@pytest.mark.parametrize("seed", range(20))
def test_any_chunking_gives_the_same_model(cube, seed):
    rng = np.random.default_rng(seed)
    chunks = {dim: random_chunks(rng, n) for dim, n in cube.sizes.items()}
    expected, got = ck.PCA().fit(cube), ck.PCA().fit(cube.chunk(chunks))
    for name in ("components_", "mean_", "explained_variance_"):
        np.testing.assert_allclose(
            getattr(got, name), getattr(expected, name), rtol=1e-10, atol=1e-10
        )
    np.testing.assert_allclose(
        got.transform(cube.chunk(chunks)), expected.transform(cube), atol=1e-10
    )


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_threads_change_no_bit_of_a_model(cube, scheduler, workers):
    lazy = cube.chunk(y=7, x=11, wavelength=5)
    expected = ck.PCA().fit(lazy).components_
    with dask.config.set(scheduler=scheduler, num_workers=workers):
        xr.testing.assert_identical(ck.PCA().fit(lazy).components_, expected)


@pytest.mark.slow
def test_processes_give_the_same_model(cube):
    lazy = cube.chunk(y=20, x=25, wavelength=5)
    expected = ck.PCA().fit(lazy).components_
    with dask.config.set(scheduler="processes", num_workers=2):
        got = ck.PCA().fit(lazy).components_
    np.testing.assert_allclose(got, expected, atol=1e-10)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the cluster, as it starts and stops
def test_a_cluster_of_processes_gives_the_same_model(cube):
    import distributed  # noqa: PLC0415  heavy, and only wanted here

    lazy = cube.chunk(y=20, x=25, wavelength=5)
    expected = ck.PCA().fit(lazy)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
    ):
        got = ck.PCA().fit(lazy)
        scores = got.transform(lazy).compute()
    np.testing.assert_allclose(got.components_, expected.components_, atol=1e-10)
    np.testing.assert_allclose(scores, expected.transform(cube), atol=1e-9)


def test_signs_are_those_of_float32_and_of_the_reversed_axis(cube):
    expected = ck.PCA().fit(cube).components_
    single = ck.PCA().fit(cube.astype("float32")).components_
    np.testing.assert_allclose(single, expected, atol=1e-5)
    backwards = ck.PCA().fit(cube.isel(wavelength=slice(None, None, -1)))
    np.testing.assert_allclose(
        backwards.components_.sortby("wavelength"), expected, atol=1e-9
    )


def test_a_component_of_one_sign_comes_out_positive():
    shape = np.random.default_rng(0).normal(size=(40, 40, 1)) * np.linspace(1, 2, 9)
    assert (ck.PCA(1).fit(as_cube(shape)).components_ > 0).all()


@pytest.mark.parametrize("way", ["merge", "partial_fit", "list", "generator"])
def test_two_parts_give_the_model_of_the_whole(cube, way):
    a, b = cube.isel(y=slice(0, 17)), cube.isel(y=slice(17, None)).chunk(x=20)
    expected = ck.PCA().fit(cube)
    got = {
        "merge": lambda: ck.PCA().fit(a).merge(ck.PCA().fit(b)),
        "partial_fit": lambda: ck.PCA().partial_fit(a).partial_fit(b),
        "list": lambda: ck.PCA().fit([a, b]),
        "generator": lambda: ck.PCA().fit(part for part in (a, b)),
    }[way]()
    for name in ("components_", "mean_", "explained_variance_", "separation_"):
        np.testing.assert_allclose(
            getattr(got, name), getattr(expected, name), rtol=1e-10, atol=1e-10
        )
    assert got.n_samples_ == expected.n_samples_


@pytest.mark.parametrize("missing", ["drop", "em"])
def test_a_file_is_fitted_as_the_cube_in_it(cube, tmp_path, missing):
    path = ck.save_cube(cube.astype("f4"), tmp_path / "cube.nc")
    got = ck.PCA(2, missing=missing).fit(str(path))
    expected = ck.PCA(2, missing=missing).fit(ck.open_cube(path))
    xr.testing.assert_identical(got.components_, expected.components_)


def test_files_and_cubes_are_fitted_as_one(cube, tmp_path):
    parts = [cube[:7], cube[7:20], cube[20:]]
    paths = [
        ck.save_cube(part, tmp_path / f"{k}.nc") for k, part in enumerate(parts[:2])
    ]
    expected = ck.PCA().fit(cube)
    listed = ck.PCA().fit([*paths, parts[2]])
    one_by_one = ck.PCA().partial_fit(paths[0]).partial_fit(str(paths[1]))
    for got in (listed, one_by_one.partial_fit(parts[2])):
        np.testing.assert_allclose(got.components_, expected.components_, atol=1e-10)
        np.testing.assert_allclose(
            got.explained_variance_, expected.explained_variance_, rtol=1e-10
        )
    assert listed.n_samples_ == cube.sizes["y"] * cube.sizes["x"]


def test_a_file_that_fails_is_named_and_leaves_no_model(cube, tmp_path):
    path = ck.save_cube(cube, tmp_path / "good.nc")
    other = cube.assign_coords(wavelength=cube.wavelength + 1)
    bad = ck.save_cube(other, tmp_path / "bad.nc")
    pca = ck.PCA()
    with pytest.raises(ck.AxisMismatchError) as error:
        pca.fit([path, bad])
    assert any("bad.nc" in note for note in error.value.__notes__)
    with pytest.raises(ck.NotFittedError):
        pca.transform(cube)
    assert pca.partial_fit(other).n_samples_ == cube.sizes["y"] * cube.sizes["x"]


def test_merging_leaves_both_models_as_they_are(cube):
    a, b = ck.PCA(3).fit(cube), ck.PCA(3).fit(2 * cube.assign_attrs(units="W"))
    before = a.components_.copy(deep=True), b.mean_.copy(deep=True)
    a.merge(b)
    xr.testing.assert_identical(a.components_, before[0])
    xr.testing.assert_identical(b.mean_, before[1])


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("lazy", [False, True])
def test_the_band_axis_may_be_anywhere(cube, axis, lazy):
    dims = ["y", "x"]
    dims.insert(axis, "wavelength")
    moved = cube.transpose(*dims)
    moved = moved.chunk(y=13, wavelength=5) if lazy else moved
    pca = ck.PCA(4).fit(moved)
    scores = pca.transform(moved)
    assert scores.dims == tuple("component" if d == "wavelength" else d for d in dims)
    expected = ck.PCA(4).fit(cube).transform(cube)
    np.testing.assert_allclose(scores.transpose(*expected.dims), expected, atol=1e-9)
    back = pca.inverse_transform(scores)
    assert back.dims == moved.dims
    np.testing.assert_allclose(back + pca.residual(moved), moved, atol=1e-12)


def test_all_components_give_the_cube_back(cube):
    pca = ck.PCA().fit(cube)
    back = pca.inverse_transform(pca.transform(cube))
    xr.testing.assert_allclose(back, cube, rtol=1e-12)
    assert back.attrs["units"] == "W"
    assert back.name == "reflectance"


def test_a_fit_of_several_cubes_says_which_one_does_not_fit(cube):
    other = cube.isel(wavelength=slice(None, -1))
    with pytest.raises(ck.AxisMismatchError) as error:
        ck.PCA().fit([cube, other])
    assert error.value.__notes__ == ["PCA.fit: in cubes[1]"]
    with pytest.raises(TypeError) as error:
        ck.PCA().fit(cube * 1j)
    assert not hasattr(error.value, "__notes__")


def test_scores_of_float32_keep_their_digits_under_an_offset():
    data = offset_data("float32", 3000, SD)
    pca = ck.PCA().fit(data)
    scores = pca.transform(data)
    exact = (data.astype("float64") - pca.mean_) @ pca.components_.rename()
    assert scores.dtype == np.float32
    assert abs(scores - exact).max() < 3e-6


@pytest.mark.parametrize("reduction", [ck.PCA, ck.MNF])
@pytest.mark.parametrize("seed", range(3))
def test_scores_lose_two_bits_to_the_mean_at_most(reduction, seed):
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(200, 250, 12)) * np.linspace(1, 3, 12)
    noise -= noise.mean(axis=(0, 1))
    mean = noise.std(axis=(0, 1)) * rng.choice([-1, 1], 12)
    error, last = [], []
    for factor in (0, 0.5, 1, 2, 4, 8, 100):
        data = as_cube((noise + factor * mean).astype("float32"))
        model = reduction().fit(data)
        scores = model.transform(data).values
        weights = model.operator.matrix.toarray()
        exact = (data.astype("float64") - model.mean_).values @ weights.T
        error.append(np.sqrt(((scores - exact) ** 2).mean(axis=(0, 1))))
        first = model.operator.affine(data, shift=model.mean_.values)
        last.append((scores != first.values).any())
    assert last[1:3] == [True, True]
    assert last[-2:] == [False, False]
    # a little more than four times, as products add in an order of their own
    assert (np.array(error) < 5 * error[0]).all()


def test_one_component_keeps_its_digits_whatever_the_order_of_the_mean():
    rng = np.random.default_rng(0)
    signs = np.where(np.arange(512) % 2 < 1, 1, -1)
    spread = rng.normal(size=(100, 100, 1)) + 0.3 * rng.normal(size=(100, 100, 512))
    data = as_cube((spread + 1000 * signs).astype("float32"))
    pca = ck.PCA(1).fit(data)
    exact = (data.astype("float64") - pca.mean_) @ pca.components_.rename()
    assert abs(pca.transform(data) - exact).max() < 1e-4


def test_the_residual_of_a_cube_that_varies_less_than_the_fit_keeps_its_digits():
    rng = np.random.default_rng(0)
    pca = ck.PCA().fit(as_cube((1 + rng.normal(size=(60, 50, 12))).astype("float32")))
    quiet = as_cube(pca.mean_.values + 1e-3 * rng.normal(size=(60, 50, 12)))
    assert abs(pca.residual(quiet.astype("float32"))).max() < 1e-8


def test_growth_of_rounding_is_that_of_every_sum_on_the_way():
    rng = np.random.default_rng(0)
    matrix, mean, mixing = rng.normal(size=(3, 6)), rng.normal(size=6), np.eye(6)
    mixing[1, 0] = mixing[4, 2] = 3
    covariance = mixing @ mixing.T
    expected = np.empty(3)
    for k, row in enumerate(matrix):
        parts = [np.where(np.arange(6) <= j, row, 0) for j in range(6)]
        spread = sum(part @ covariance @ part for part in parts)
        expected[k] = np.sqrt(1 + sum((part @ mean) ** 2 for part in parts) / spread)
    np.testing.assert_allclose(_growth(matrix, mean, covariance), expected)


def test_attributes_that_were_looked_at_follow_the_next_cube(cube):
    pca = ck.PCA().fit(cube.isel(y=slice(30)))
    before = pca.mean_
    pca.partial_fit(cube.isel(y=slice(30, None)))
    assert not np.array_equal(pca.mean_, before)
    xr.testing.assert_allclose(pca.mean_, ck.PCA().fit(cube).mean_)


def test_the_residual_of_float32_keeps_its_digits_under_an_offset():
    data = offset_data("float32", 3000, SD)
    pca = ck.PCA(3).fit(data)
    wide = data.astype("float64")
    exact = wide - pca.inverse_transform(pca.transform(wide))
    assert abs(pca.residual(data) - exact).max() < 3e-6


def test_some_of_the_scores_are_enough_to_invert(cube):
    pca, few = ck.PCA(6).fit(cube), ck.PCA(3).fit(cube)
    scores = pca.transform(cube)
    np.testing.assert_allclose(
        pca.inverse_transform(scores.isel(component=slice(3))),
        few.inverse_transform(few.transform(cube)),
        atol=1e-10,
    )
    with pytest.raises(ck.AxisMismatchError, match="components 1 to 3"):
        few.inverse_transform(scores)


def test_whitened_scores_have_unit_variance_and_invert(cube):
    pca = ck.PCA(5, whiten=True).fit(cube)
    scores = pca.transform(cube)
    np.testing.assert_allclose(scores.var(("y", "x"), ddof=1), 1, rtol=1e-10)
    assert "units" not in scores.attrs
    plain = ck.PCA(5).fit(cube)
    np.testing.assert_allclose(
        pca.inverse_transform(scores),
        plain.inverse_transform(plain.transform(cube)),
        atol=1e-10,
    )


def test_the_operator_composes_with_spectral_operators_as_one_matrix(cube):
    smooth = ck.savgol_operator(ck.Axis.from_cube(cube), 5, 2)
    smoothed = smooth(cube)
    pca = ck.PCA(4).fit(smoothed)
    one = (pca.operator @ smooth)(cube) - pca.operator(pca.mean_)
    np.testing.assert_allclose(one, pca.transform(smoothed), atol=1e-9)


def test_transforming_computes_nothing(cube):
    def fail(block):
        raise AssertionError("computed")

    pca = ck.PCA(4).fit(cube)
    data = cube.chunk(y=10).data.map_blocks(fail, dtype=float, meta=np.empty((0, 0, 0)))
    lazy = cube.copy(data=data)
    scores = pca.transform(lazy)
    for result in (scores, pca.inverse_transform(scores), pca.residual(lazy)):
        assert isinstance(result.data, da.Array)


def test_fitting_reads_each_chunk_once(cube):
    read = []

    def count(block, block_info=None):
        read.append(block_info[None]["chunk-location"])
        return block

    data = cube.chunk(y=10, x=20, wavelength=5).data
    counted = data.map_blocks(count, dtype=float, meta=np.empty((0, 0, 0)))
    pca = ck.PCA(3).fit(cube.copy(data=counted))
    assert len(read) == data.npartitions
    pca.evaluate(cube.copy(data=counted))
    assert len(read) == 2 * data.npartitions


def test_the_three_explained_variances_differ_on_new_data_and_are_those_named(cube):
    pca = ck.PCA(3).fit(cube)
    rng = np.random.default_rng(7)
    new = 1.3 * cube + xr.DataArray(rng.normal(0, 0.4, 12), dims="wavelength")
    got = pca.evaluate(new.assign_attrs(units="W").chunk(y=13, wavelength=5))
    x = new.values.reshape(-1, 12)
    scores = pca.transform(new).values.reshape(-1, 3)
    error = x - pca.inverse_transform(pca.transform(new)).values.reshape(-1, 12)
    sse = np.sum(error**2)
    own = 1 - sse / np.sum((x - x.mean(axis=0)) ** 2)
    fit = 1 - sse / np.sum((x - pca.mean_.values) ** 2)
    np.testing.assert_allclose(
        got.explained_by_scores, scores.var(axis=0) / x.var(axis=0).sum(), rtol=1e-10
    )
    np.testing.assert_allclose(got.r2_fit_mean, fit, rtol=1e-10)
    np.testing.assert_allclose(got.r2_own_mean, own, rtol=1e-10)
    np.testing.assert_allclose(got.rmse, np.sqrt((error**2).mean(axis=0)), rtol=1e-10)
    three = [float(got.explained_by_scores.sum()), fit, own]
    assert np.abs(np.diff(sorted(three))).min() > 0.01


def test_on_the_cube_of_the_fit_the_three_measures_agree(cube):
    pca = ck.PCA(3).fit(cube)
    got = pca.evaluate(cube)
    expected = pca.explained_variance_ratio_
    np.testing.assert_allclose(got.explained_by_scores, expected, rtol=1e-12)
    np.testing.assert_allclose(got.r2_fit_mean, expected.sum(), rtol=1e-12)
    np.testing.assert_allclose(got.r2_own_mean, expected.sum(), rtol=1e-12)


def test_a_rebuilt_cube_has_the_chunks_of_the_cube_unless_they_are_large(cube):
    pca = ck.PCA(2).fit(cube)
    lazy = cube.chunk(y=13, x=-1, wavelength=-1)
    for result in (pca.inverse_transform(pca.transform(lazy)), pca.residual(lazy)):
        assert result.chunks == lazy.chunks
    scores = xr.DataArray(
        da.zeros((2000, 2000, 2), chunks=-1),
        dims=("y", "x", "component"),
        coords={"component": [1, 2]},
    )
    assert max(pca.inverse_transform(scores).chunksizes["wavelength"]) == 2


@pytest.mark.parametrize("value", [0.0, 0.3, 1e6])
def test_of_a_cube_that_does_not_vary_no_share_of_variance_is_known(cube, value):
    pca = ck.PCA(3).fit(cube)
    flat = xr.full_like(cube, value)
    got = pca.evaluate(flat)
    assert np.isnan(got.r2_own_mean)
    assert np.isfinite(got.r2_fit_mean)
    np.testing.assert_array_equal(got.explained_by_scores, 0)
    mean = pca.mean_.broadcast_like(cube).transpose(*cube.dims)
    got = pca.evaluate(mean.assign_attrs(cube.attrs))
    assert np.isnan(got.r2_fit_mean)
    assert np.isnan(got.r2_own_mean)
    np.testing.assert_allclose(got.rmse, 0, atol=1e-12)


def test_a_share_of_the_variance_picks_the_number_of_components(cube):
    for share in (0.5, 0.9, 0.995):
        pca = ck.PCA(share).fit(cube)
        assert pca.explained_variance_ratio_.sum() >= share
        assert pca.explained_variance_ratio_[:-1].sum() < share


def test_weights_count_as_repeated_spectra_do(cube):
    weights = xr.DataArray(np.r_[np.ones(20), np.full(40, 3.0)], dims="y")
    repeated = xr.concat([cube] + 2 * [cube.isel(y=slice(20, None))], "y")
    got, expected = ck.PCA().fit(cube, weights=weights), ck.PCA().fit(repeated)
    np.testing.assert_allclose(got.components_, expected.components_, atol=1e-9)
    np.testing.assert_allclose(got.mean_, expected.mean_, rtol=1e-12)
    np.testing.assert_allclose(
        got.explained_variance_ratio_, expected.explained_variance_ratio_, rtol=1e-10
    )
    lazy = ck.PCA().fit(cube.chunk(y=7, wavelength=5), weights=weights.chunk(y=10))
    np.testing.assert_allclose(lazy.components_, got.components_, atol=1e-10)


def test_bad_bands_have_no_weight_and_come_back_as_nan(cube):
    good = np.ones(12, bool)
    good[[3, 4, 11]] = False
    spoiled = cube.copy()
    spoiled[..., ~good] = np.nan
    spoiled = spoiled.assign_coords(good_band=("wavelength", good))
    pca = ck.PCA(4).fit(spoiled.chunk(y=20, wavelength=5))
    expected = ck.PCA(4).fit(cube.isel(wavelength=good))
    np.testing.assert_allclose(
        pca.components_.isel(wavelength=good), expected.components_, atol=1e-9
    )
    assert (pca.components_.isel(wavelength=~good) == 0).all()
    assert pca.mean_.isnull().values.tolist() == (~good).tolist()
    for data in (spoiled, spoiled.chunk(y=20, wavelength=5)):
        scores = pca.transform(data)
        np.testing.assert_allclose(
            scores, expected.transform(cube.isel(wavelength=good)), atol=1e-9
        )
        for back in (pca.inverse_transform(scores), pca.residual(data)):
            assert back.isnull().any(("y", "x")).values.tolist() == (~good).tolist()
            assert back.isnull().all(("y", "x")).values.tolist() == (~good).tolist()
    assert pca.evaluate(spoiled).rmse.isnull().values.tolist() == (~good).tolist()


def test_spectra_with_missing_bands_are_left_out_and_have_no_scores(cube):
    holed = cube.copy()
    holed[3, 4, 5], holed[10:20, 7, 0] = np.nan, np.inf
    whole = np.isfinite(holed.values).all(axis=-1)
    pca = ck.PCA(4).fit(holed)
    sk = decomposition.PCA(4, svd_solver="full").fit(cube.values[whole])
    np.testing.assert_allclose(
        pca.explained_variance_, sk.explained_variance_, rtol=1e-10
    )
    assert (pca.n_samples_, pca.n_dropped_) == (whole.sum(), 11)
    scores = pca.transform(holed.chunk(y=9, wavelength=5))
    np.testing.assert_array_equal(scores.notnull().all("component"), whole)
    np.testing.assert_array_equal(scores.notnull().any("component"), whole)


def test_constant_bands_explain_nothing():
    with pytest.warns(UserWarning, match="rank of the data is 0"):
        pca = ck.PCA(2).fit(as_cube(np.full((4, 5, 6), 7.0)))
    np.testing.assert_array_equal(pca.explained_variance_ratio_, 0)
    assert np.isfinite(pca.transform(as_cube(np.full((4, 5, 6), 7.0)))).all()


def test_constant_bands_among_others_have_no_part_in_the_components(cube):
    level = cube.copy()
    level[..., 4], level[..., 9] = 7.0, 0.0
    others = np.delete(np.arange(12), [4, 9])
    pca, expected = ck.PCA().fit(level), ck.PCA().fit(level.isel(wavelength=others))
    np.testing.assert_allclose(
        pca.explained_variance_ratio_, expected.explained_variance_ratio_, rtol=1e-10
    )
    np.testing.assert_allclose(pca.components_[:, [4, 9]], 0, atol=1e-12)
    with pytest.warns(UserWarning, match="rank of the data is 10"):
        every = ck.PCA(12).fit(level)
    np.testing.assert_array_equal(every.explained_variance_ratio_[10:], 0)
    assert every.transform(level).notnull().all()


def test_components_below_the_rank_have_no_variance():
    rng = np.random.default_rng(0)
    flat = as_cube(rng.normal(size=(30, 40, 3)) @ rng.normal(size=(3, 9)))
    assert ck.PCA().fit(flat).rank_ == len(ck.PCA().fit(flat).components_) == 3
    with pytest.warns(UserWarning, match="rank of the data is 3"):
        pca = ck.PCA(5, whiten=True).fit(flat)
    np.testing.assert_array_equal(pca.explained_variance_[3:], 0)
    np.testing.assert_array_equal(pca.transform(flat).isel(component=slice(3, 5)), 0)


def test_rounding_of_float32_data_is_not_presented_as_signal():
    rng = np.random.default_rng(0)
    flat = 3000 + rng.normal(size=(30, 40, 3)) @ rng.normal(size=(3, 9))
    assert ck.PCA().fit(as_cube(flat.astype("float32"))).rank_ == 3


def test_components_too_close_to_tell_apart_are_said_to_be():
    sd = np.array([5.0, 2.0, 2.0, 1.0])
    got = ck.PCA().fit(offset_data("float64", 0, sd, (40, 50))).separation_
    assert (got[[0, 3]] > 5).all()
    assert (got[[1, 2]] < 2).all()


def test_names_units_and_coordinates_are_kept(cube):
    pca = ck.PCA(3).fit(cube)
    assert pca.components_.dims == ("component", "wavelength")
    assert pca.components_.component.values.tolist() == [1, 2, 3]
    assert pca.components_.wavelength.attrs["units"] == "nm"
    assert pca.mean_.attrs["units"] == "W"
    assert pca.explained_variance_.attrs["units"] == "W2"
    scores = pca.transform(cube.assign_coords(lat=("y", np.arange(60.0))))
    assert "lat" in scores.coords
    assert scores.attrs == {
        "units": "W",
        "long_name": "PCA(3) scores of reflectance",
    }


@pytest.mark.parametrize("kind", [ck.PCA, ck.MNF])
@pytest.mark.parametrize("lazy", [False, True])
def test_scores_come_with_the_fit_in_one_call(cube, kind, lazy):
    given = cube.chunk(y=7, wavelength=5) if lazy else cube
    model = kind(3)
    scores = model.fit_transform(given)
    assert isinstance(scores.data, da.Array) == lazy
    xr.testing.assert_identical(scores, kind(3).fit(given).transform(given))
    assert model.n_components_ == 3


def test_options_of_a_fit_go_with_fit_transform(cube):
    weights = xr.DataArray(np.arange(1.0, 61.0), dims="y")
    pca = ck.PCA(2)
    scores = pca.fit_transform(cube, weights=weights)
    expected = ck.PCA(2).fit(cube, weights=weights)
    xr.testing.assert_identical(scores, expected.transform(cube))


def test_one_call_takes_one_cube(cube):
    pca = ck.PCA(2)
    with pytest.raises(TypeError, match=r"PCA: the cube is a builtins\.list"):
        pca.fit_transform([cube, cube])
    with pytest.raises(ck.NotFittedError, match="no n_components_ yet"):
        _ = pca.n_components_


@pytest.mark.parametrize("kind", [ck.PCA, ck.MNF])
def test_the_number_of_components_found_is_told_whatever_was_asked(
    cube, kind, tmp_path
):
    model = kind().fit(cube)
    assert model.n_components is None
    assert model.n_components_ == len(model.components_) == 12
    assert kind.load(model.save(tmp_path / "model.nc")).n_components_ == 12


@pytest.mark.parametrize("kind", [ck.PCA, ck.MNF])
def test_the_long_name_of_the_bands_is_kept(cube, kind, tmp_path):
    cube.wavelength.attrs["long_name"] = "Raman shift"
    model = kind(3).fit(cube)
    loaded = kind.load(model.save(tmp_path / "model.nc"))
    for known in (model, loaded):
        back = known.inverse_transform(known.transform(cube))
        for array in (known.components_, known.mean_, back, known.evaluate(cube).rmse):
            assert array.wavelength.attrs == {"long_name": "Raman shift", "units": "nm"}
    other = cube.copy()
    other["wavelength"] = other.wavelength.assign_attrs(long_name="shift")
    model.transform(other)  # a name is no part of the comparison


def test_the_cube_is_not_changed(cube):
    holed = cube.copy()
    holed[3, 4, 5] = np.nan
    before = holed.copy(deep=True)
    pca = ck.PCA(3).fit(holed)
    pca.residual(holed)
    pca.evaluate(holed)
    pca.inverse_transform(pca.transform(holed))
    xr.testing.assert_identical(holed, before)


@pytest.mark.parametrize(
    ("bad", "error", "match"),
    [
        (0, ValueError, "n_components=0 is out of range"),
        (-3, ValueError, "n_components=-3 is out of range"),
        (1.0, ValueError, "share of the variance"),
        (float("nan"), ValueError, "share of the variance"),
        (True, TypeError, "n_components=True is a bool"),
        ("all", TypeError, "n_components='all' is a str"),
    ],
)
def test_a_wrong_number_of_components_is_refused(bad, error, match):
    with pytest.raises(error, match=match):
        ck.PCA(bad)


def test_more_components_than_bands_or_spectra_are_refused(cube):
    with pytest.raises(ValueError, match="3000 whole spectra of 12 good bands"):
        ck.PCA(13).fit(cube)
    with pytest.raises(ValueError, match="Use n_components=4 or less"):
        ck.PCA(5).fit(cube[:2, :2])


def test_a_cube_without_a_whole_spectrum_names_the_dead_bands(cube):
    with pytest.raises(ValueError, match="12 of 12 bands have no value at all"):
        ck.PCA(2).fit(cube * np.nan)
    dead = cube.where(cube.wavelength != 430)
    with pytest.raises(ValueError, match=r"have no value at all: 430 nm.*good_band"):
        ck.PCA(2).fit(dead)
    even = xr.DataArray(np.arange(60) % 2 == 0, dims="y")
    alternating = cube.where((cube.wavelength != 430) | even)
    alternating = alternating.where((cube.wavelength != 440) | ~even)
    with pytest.raises(ValueError, match="none of 3000 spectra has all of 12 bands"):
        ck.PCA(2).fit(alternating)
    with pytest.raises(ValueError, match="all bands are marked bad"):
        ck.PCA(2).fit(cube.assign_coords(good_band=("wavelength", np.zeros(12, bool))))


def test_a_model_that_is_not_fitted_says_so(cube):
    pca = ck.PCA(2)
    assert not hasattr(pca, "components_")
    with pytest.raises(ck.NotFittedError, match="no explained_variance_ yet"):
        _ = pca.explained_variance_
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = pca.nonsense
    for call in (pca.transform, pca.inverse_transform, pca.residual, pca.evaluate):
        with pytest.raises(ck.NotFittedError, match="before fit"):
            call(cube)
    with pytest.raises(ck.NotFittedError, match="before fit"):
        pca.save("nowhere.nc")
    with pytest.raises(ValueError, match="got no cube"):
        pca.fit([])


def test_a_failed_fit_leaves_no_model(cube):
    pca = ck.PCA(5).fit(cube)
    with pytest.raises(ValueError, match="out of range"):
        pca.fit(cube[:2, :2])
    with pytest.raises(ck.NotFittedError, match="before fit"):
        pca.transform(cube)
    assert not hasattr(pca, "components_")


def test_other_bands_and_other_units_are_refused(cube):
    pca = ck.PCA(3).fit(cube)
    other = cube.assign_coords(wavelength=cube.wavelength + 1)
    with pytest.raises(ck.AxisMismatchError, match=r"differs by up to 1 nm"):
        pca.transform(other)
    with pytest.raises(ck.AxisMismatchError, match="has 11 samples"):
        pca.evaluate(cube.isel(wavelength=slice(11)))
    with pytest.raises(ValueError, match="it is in percent, the model in W"):
        pca.transform(cube.assign_attrs(units="percent"))
    with pytest.raises(ck.AxisMismatchError, match="merge two models"):
        pca.merge(ck.PCA(3).fit(other))
    with pytest.raises(ValueError, match="one is in W, the other in K"):
        pca.merge(ck.PCA(3).fit(cube.assign_attrs(units="K")))
    marked = cube.assign_coords(good_band=("wavelength", np.arange(12) != 4))
    with pytest.raises(ValueError, match="marks wavelength=440 bad"):
        pca.transform(marked)
    with pytest.raises(ValueError, match="their bad bands differ"):
        pca.merge(ck.PCA(3).fit(marked))
    with pytest.raises(ck.AxisMismatchError, match="cannot fit this cube"):
        pca.partial_fit(other)


def test_what_is_no_real_cube_is_refused(cube):
    with pytest.raises(TypeError, match=r"the cube is a numpy\.ndarray"):
        ck.PCA(2).fit([cube.values])
    for model in (ck.PCA(2), ck.MNF(2)):
        with pytest.raises(TypeError, match=r"the cube is a numpy\.ndarray"):
            model.fit(cube.values)
        with pytest.raises(TypeError, match=r"the cube is a dask\.array"):
            model.fit(cube.chunk().data)
        with pytest.raises(TypeError, match=r"holds 'r'.*dataset\['r'\]"):
            model.fit(cube.to_dataset(name="r"))
        with pytest.raises(TypeError, match=r"the cube is a numpy\.ndarray"):
            model.fit(cube).transform(cube.values)
    with pytest.raises(TypeError, match="complex"):
        ck.PCA(2).fit(cube.astype(complex))
    with pytest.raises(ValueError, match="missing='zero' is unknown"):
        ck.PCA(2, missing="zero")
    with pytest.raises(TypeError, match="weights is a ndarray"):
        ck.PCA(2).fit(cube, weights=np.ones((60, 50)))
    with pytest.raises(ValueError, match="weights has dim 'wavelength'"):
        ck.PCA(2).fit(cube, weights=cube)
    with pytest.raises(ValueError, match="no spectrum has all good bands"):
        ck.PCA(2).fit(cube).evaluate(cube * np.nan)


def test_the_model_shows_what_it_is(cube):
    assert repr(ck.PCA(3, whiten=True, coord="wavelength")) == (
        "PCA(3, coord='wavelength', whiten=True)"
    )
    assert repr(ck.PCA()) == "PCA()"
    assert "PCA(3): 12 wavelength -> 3 component" in repr(ck.PCA(3).fit(cube).operator)


@pytest.mark.parametrize("whiten", [False, True])
def test_a_scikit_learn_model_gives_the_same_scores_both_ways(cube, whiten):
    pca = ck.PCA(4, whiten=whiten).fit(cube)
    x = cube.values.reshape(-1, 12)
    theirs = pca.to_sklearn()
    np.testing.assert_allclose(
        theirs.transform(x), pca.transform(cube).values.reshape(-1, 4), atol=1e-10
    )
    np.testing.assert_allclose(
        theirs.inverse_transform(theirs.transform(x)),
        pca.inverse_transform(pca.transform(cube)).values.reshape(-1, 12),
        atol=1e-10,
    )
    fitted = decomposition.PCA(4, whiten=whiten).fit(x)
    ours = ck.PCA.from_sklearn(fitted, ck.Axis.from_cube(cube), units="W")
    np.testing.assert_allclose(ours.transform(cube), pca.transform(cube), atol=1e-8)
    for name in ("explained_variance_", "explained_variance_ratio_", "mean_"):
        xr.testing.assert_allclose(getattr(ours, name), getattr(pca, name))
    assert ours.noise_variance_ == pytest.approx(pca.noise_variance_)
    with pytest.raises(ValueError, match="but no covariance"):
        ours.merge(pca)


def test_a_scikit_learn_model_has_the_good_bands_as_features(cube):
    good = np.arange(12) != 5
    marked = cube.assign_coords(good_band=("wavelength", good))
    pca = ck.PCA(3).fit(marked)
    theirs = pca.to_sklearn()
    assert theirs.n_features_in_ == 11
    back = ck.PCA.from_sklearn(theirs, ck.Axis.from_cube(marked))
    xr.testing.assert_allclose(back.components_, pca.components_)


def test_a_scikit_learn_model_that_does_not_fit_is_refused(cube):
    axis = ck.Axis.from_cube(cube)
    with pytest.raises(ValueError, match="is not fitted"):
        ck.PCA.from_sklearn(decomposition.PCA(2), axis)
    narrow = decomposition.PCA(2).fit(cube.values.reshape(-1, 12)[:, :7])
    with pytest.raises(ValueError, match="7 features, the axis 12 good bands"):
        ck.PCA.from_sklearn(narrow, axis)


def test_weights_of_zero_alone_are_refused(cube):
    with pytest.raises(ValueError, match="no spectrum has a weight above 0"):
        ck.PCA(2).fit(cube, weights=xr.zeros_like(cube[..., 0].drop_vars("wavelength")))


@pytest.mark.parametrize("kinds", [(ck.PCA, ck.MNF), (ck.MNF, ck.PCA)])
def test_models_of_two_classes_are_not_merged(cube, kinds):
    one, other = (kind(2).fit(cube) for kind in kinds)
    with pytest.raises(TypeError, match=r"the other is a .*of one class"):
        one.merge(other)


@pytest.mark.parametrize(
    "fit",
    [
        lambda flat: ck.PCA(2).fit(flat),
        lambda flat: ck.PCA(2).fit_transform(flat),
        lambda flat: ck.PCA(2).partial_fit(flat),
        lambda flat: ck.PCA(2).fit(flat).merge(ck.PCA(2).fit(flat)),
    ],
)
def test_a_warning_points_to_the_call(cube, fit):
    with pytest.warns(UserWarning, match="rank of the data is 0") as caught:
        fit(xr.full_like(cube, 3.0))
    assert {warning.filename for warning in caught} == {__file__}


def test_weights_of_other_places_are_refused(cube):
    placed = cube.assign_coords(y=np.arange(60.0))
    weights = xr.DataArray(np.ones(60), {"y": np.arange(60.0) + 1}, "y")
    with pytest.raises(ValueError, match="exact") as caught:
        ck.PCA(2).fit(placed, weights=weights)
    assert "coordinates of the cube" in caught.value.__notes__[-1]


def test_a_single_band_is_its_own_component(cube):
    one = cube.isel(wavelength=[3])
    pca = ck.PCA().fit(one)
    np.testing.assert_allclose(pca.explained_variance_, [one.var(ddof=1)], rtol=1e-10)
    assert np.isinf(pca.separation_).all()


def test_weights_of_other_samples_are_refused(make_cube):
    cube = make_cube().assign_coords(y=lambda c: np.arange(c.sizes["y"]))
    weights = xr.ones_like(cube.isel(wavelength=0, drop=True))
    moved = weights.assign_coords(y=weights.y + 1)
    with pytest.raises(ValueError, match="y") as caught:
        ck.PCA(1).fit(cube, weights=moved)
    assert "must have the coordinates of the cube" in caught.value.__notes__[0]


def test_a_cube_in_place_of_scores_is_told_from_them():
    cube = ck.datasets.scene((6, 8))
    with pytest.raises(ck.CoordinateError, match=r"Give scores: transform\(cube\)"):
        ck.PCA(2).fit(cube).inverse_transform(cube)


def test_the_operator_of_a_model_that_is_not_fitted_says_so():
    with pytest.raises(ck.NotFittedError, match="operator was called before fit"):
        ck.PCA(2).operator  # noqa: B018
