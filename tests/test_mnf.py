"""MNF and the noise it whitens, against noise that is known."""

import weakref

import dask
import numpy as np
import pytest
import scipy.linalg
import xarray as xr
from test_pca import as_cube

import cubekit as ck

pytestmark = pytest.mark.filterwarnings("error")


def noise_of(covariance, shape, seed=0):
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(covariance)
    return rng.normal(size=(*shape, len(covariance))) @ root.T


def smooth_signal(shape, bands, amplitude=30.0):
    """Three slow waves with different spectra."""
    y, x = np.mgrid[: shape[0], : shape[1]] / max(shape)
    waves = np.stack([np.sin(2 * y + 1), np.cos(3 * x), np.sin(2 * (x + y))], axis=-1)
    spectra = np.linalg.qr(np.random.default_rng(9).normal(size=(bands, 3)))[0].T
    return amplitude * waves @ (spectra * np.array([[3.0], [1.5], [0.7]]))


def exponential(bands, rho):
    """Covariance with correlation rho between neighbours, growing variance."""
    sd = np.linspace(1, 2, bands)
    lag = np.abs(np.subtract.outer(np.arange(bands), np.arange(bands)))
    return np.outer(sd, sd) * rho**lag


SHAPE, BANDS = (317, 320), 6


@pytest.fixture(scope="module")
def known():
    """Covariance with correlation -0.8, and a cube of 1e5 pixels with such noise."""
    covariance = exponential(BANDS, -0.8)
    values = 500 + smooth_signal(SHAPE, BANDS) + noise_of(covariance, SHAPE)
    return covariance, as_cube(values)


def apart(a, b):
    """Distance in the Frobenius norm, relative to b."""
    return np.linalg.norm(np.asarray(a) - b) / np.linalg.norm(b)


def test_noise_with_correlation_minus_0_8_is_found_within_2_percent(known):
    covariance, cube = known
    assert apart(ck.MNF().fit(cube).noise_covariance_, covariance) < 0.02
    assert apart(ck.noise_covariance(cube), covariance) < 0.02


def test_integers_and_floats_give_the_same(known):
    counts = np.round(10 * known[1])
    assert counts.min() > 0
    a = ck.MNF().fit(counts)
    for dtype in ("uint16", "int32", "float32"):
        b = ck.MNF().fit(counts.astype(dtype))
        np.testing.assert_allclose(b.noise_covariance_, a.noise_covariance_, rtol=1e-10)
        np.testing.assert_allclose(b.snr_, a.snr_, rtol=1e-8)
        np.testing.assert_allclose(b.components_, a.components_, atol=1e-8)


def test_eigenvalues_less_one_are_signal_to_noise(known):
    covariance, cube = known
    signal = smooth_signal(SHAPE, BANDS).reshape(-1, BANDS)
    expected = scipy.linalg.eigh(np.cov(signal, rowvar=False), covariance)[0][::-1]
    mnf = ck.MNF().fit(cube)
    np.testing.assert_allclose(mnf.snr_[:3], expected[:3], rtol=0.03)
    assert (mnf.snr_[3:] < 0.03).all()


def test_components_are_the_best_in_units_of_noise_not_of_the_data():
    loud = exponential(BANDS, -0.8)
    loud[0, :], loud[:, 0] = 0.0, 0.0
    loud[0, 0] = 400.0  # a band of much variance, most of it noise
    values = smooth_signal(SHAPE, BANDS, 10) + noise_of(loud, SHAPE, seed=4)
    cube = as_cube(values)
    pca, mnf = ck.PCA(2).fit(cube), ck.MNF(2).fit(cube)
    whiten = np.linalg.inv(np.linalg.cholesky(mnf.noise_covariance_.values))
    left = {}
    for model in (pca, mnf):
        rest = model.residual(cube).values
        left[model] = np.mean(rest**2), np.mean((rest @ whiten.T) ** 2)
    assert left[mnf][0] > left[pca][0]
    assert left[mnf][1] < left[pca][1]


def test_with_the_true_noise_a_scene_is_nearer_to_the_truth_than_by_pca():
    shape = (60, 80)
    cube, truth = ck.datasets.scene(shape), ck.datasets.scene(shape, noise=0)
    rest = (cube - truth).assign_attrs(cube.attrs)
    noise = ck.noise_covariance(rest, method="spread")
    mnf, pca = ck.MNF(noise=noise).fit(cube), ck.PCA(8).fit(cube)
    assert mnf.snr_[7] > 10  # eight materials
    assert mnf.snr_[8] < 0.2
    by_pca = pca.inverse_transform(pca.transform(cube))
    error = [float(((a - truth) ** 2).mean()) for a in (mnf.denoise(cube, 8), by_pca)]
    assert error[0] < error[1] / 4


def test_scores_have_the_variance_and_noise_that_are_said(known):
    _, cube = known
    mnf = ck.MNF().fit(cube)
    scores = mnf.transform(cube)
    variance = scores.var(("y", "x"), ddof=1)
    np.testing.assert_allclose(variance, mnf.explained_variance_, rtol=1e-9)
    noise = ck.noise_covariance(scores, coord="component")
    np.testing.assert_allclose(noise, np.eye(BANDS), atol=1e-9)
    assert "units" not in scores.attrs


def test_forward_and_inverse_give_the_cube_back(known):
    _, cube = known
    mnf = ck.MNF().fit(cube)
    back = mnf.inverse_transform(mnf.transform(cube))
    xr.testing.assert_allclose(back, cube, rtol=1e-12)
    np.testing.assert_allclose(
        mnf.components_.values @ mnf.patterns_.values.T, np.eye(BANDS), atol=1e-12
    )


def test_denoising_brings_the_cube_nearer_to_the_signal(known):
    _, cube = known
    signal = 500 + smooth_signal(SHAPE, BANDS)
    mnf = ck.MNF().fit(cube)
    clean = mnf.denoise(cube.chunk(y=100, wavelength=4), 3)
    assert clean.chunks is not None
    assert clean.name == cube.name
    assert clean.attrs == cube.attrs

    def error(values):
        return float(np.sqrt(((values - signal) ** 2).mean()))

    assert error(clean) < 0.8 * error(cube)
    np.testing.assert_allclose(
        mnf.residual(cube), 0 * cube, atol=1e-9
    )  # of all components
    with pytest.raises(ValueError, match="The model has 6 components"):
        mnf.denoise(cube, 7)
    with pytest.raises(ValueError, match="n=0 is out of range"):
        mnf.denoise(cube, 0)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("order", [("y", "x", "wavelength"), ("wavelength", "x", "y")])
def test_neighbours_meet_across_chunks(known, seed, order):
    small = known[1].isel(y=slice(40), x=slice(30)).transpose(*order)
    rng = np.random.default_rng(seed)
    chunks = {d: tuple(_cut(rng, n)) for d, n in small.sizes.items()}
    a, b = ck.MNF().fit(small), ck.MNF().fit(small.chunk(chunks))
    np.testing.assert_allclose(b.noise_covariance_, a.noise_covariance_, rtol=1e-10)
    np.testing.assert_allclose(b.snr_, a.snr_, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(b.components_, a.components_, atol=1e-8)


def _cut(rng, n):
    edges = np.sort(rng.choice(np.arange(1, n), rng.integers(0, min(n - 1, 5)), False))
    return [int(k) for k in np.diff([0, *edges, n])]


def test_each_chunk_is_read_once(known):
    read = []

    def count(block, block_info=None):
        read.append(block_info[None]["chunk-location"])
        return block

    data = known[1].isel(y=slice(40), x=slice(30)).chunk(y=10, x=10, wavelength=3).data
    counted = data.map_blocks(count, dtype=float, meta=np.empty((0, 0, 0)))
    ck.MNF().fit(known[1].isel(y=slice(40), x=slice(30)).copy(data=counted))
    assert len(read) == data.npartitions


def test_a_chunk_is_gone_before_its_neighbours_are_there(known):
    made, most = [], 0

    def tracked(block):
        nonlocal most
        block = block.copy()
        made.append(weakref.ref(block))
        most = max(most, sum(ref() is not None for ref in made))
        return block

    small = known[1].isel(y=slice(40), x=slice(30))
    data = small.chunk(y=5, x=5).data.map_blocks(tracked, dtype=float)
    with dask.config.set(scheduler="synchronous"):
        ck.MNF().fit(small.copy(data=data))
    assert len(made) >= 48
    assert most <= 2


def test_the_noise_is_half_the_covariance_of_differences_both_ways(known):
    small = known[1].isel(y=slice(40), x=slice(30))
    down = np.diff(small.values, axis=0).reshape(-1, BANDS)
    across = np.diff(small.values, axis=1).reshape(-1, BANDS)
    scatter = sum(np.cov(d, rowvar=False) * (len(d) - 1) for d in (down, across))
    expected = scatter / 2 / (len(down) + len(across) - 2)
    got = ck.noise_covariance(small)
    np.testing.assert_allclose(got, expected, rtol=1e-11)
    assert got.attrs["degrees_of_freedom"] == len(down) + len(across) - 2
    one = ck.noise_covariance(small, along=["x"])
    np.testing.assert_allclose(one, np.cov(across, rowvar=False) / 2, rtol=1e-11)


def test_masked_pixels_are_in_no_pair(known):
    covariance, cube = known
    holed = cube.where(np.random.default_rng(0).random(SHAPE)[..., None] > 0.3)
    holed = holed.transpose("y", "x", "wavelength")
    mnf = ck.MNF().fit(holed)
    assert apart(mnf.noise_covariance_, covariance) < 0.03
    assert mnf.n_dropped_ == int(holed.isnull().any("wavelength").sum())
    scores = mnf.transform(holed)
    assert scores.isnull().all("component").sum() == mnf.n_dropped_


def test_bad_bands_have_no_weight(known):
    _, cube = known
    good = np.arange(BANDS) != 2
    spoiled = cube.where(cube.wavelength != 420)
    spoiled = spoiled.assign_coords(good_band=("wavelength", good))
    a, b = ck.MNF().fit(spoiled), ck.MNF().fit(cube.isel(wavelength=good))
    np.testing.assert_allclose(a.snr_, b.snr_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        a.transform(spoiled), b.transform(cube.isel(wavelength=good)), atol=1e-7
    )
    assert a.noise_covariance_.isnull().sum() == 2 * BANDS - 1
    assert (
        a.denoise(spoiled).isnull().any(("y", "x")).values.tolist() == (~good).tolist()
    )


def test_equal_neighbours_are_left_out_and_said(known):
    covariance, cube = known
    doubled = cube.isel(y=np.repeat(np.arange(SHAPE[0]), 2))
    with pytest.warns(UserWarning, match=r"25\.\d% of neighbouring spectra are equal"):
        mnf = ck.MNF().fit(doubled)
    assert mnf.duplicates_ == pytest.approx(1 / 4, abs=0.01)
    assert apart(mnf.noise_covariance_, covariance) < 0.02
    lazy = doubled.chunk(y=7, x=100)
    with pytest.warns(UserWarning, match="are equal"):
        again = ck.MNF().fit(lazy)
    assert again.duplicates_ == mnf.duplicates_


def test_singular_noise_is_said_and_stays_finite(known):
    _, cube = known
    dead = cube.copy()
    dead[..., 4] = 7.0
    with pytest.warns(UserWarning, match=r"rank 5 of 6.*good_band") as said:
        mnf = ck.MNF().fit(dead)
    assert said[0].filename == __file__
    assert mnf.noise_rank_ == 5
    assert np.isfinite(mnf.components_).all()
    expected = ck.MNF().fit(cube.isel(wavelength=np.arange(6) != 4))
    np.testing.assert_allclose(mnf.snr_[:5], expected.snr_, rtol=1e-6, atol=1e-6)
    back = mnf.inverse_transform(mnf.transform(dead))
    xr.testing.assert_allclose(back, dead, rtol=1e-6)


def test_bands_of_very_different_size_are_no_singular_noise(known):
    _, cube = known
    scale = xr.DataArray(10.0 ** np.arange(-6, 6, 2), dims="wavelength")
    a, b = ck.MNF().fit(cube), ck.MNF().fit(cube * scale)
    assert b.noise_rank_ == BANDS
    np.testing.assert_allclose(b.snr_, a.snr_, rtol=1e-6, atol=1e-6)


def test_noise_may_come_from_elsewhere(known):
    covariance, cube = known
    dark = as_cube(noise_of(covariance, (100, 100), seed=5))
    expected = ck.noise_covariance(dark, method="spread")
    np.testing.assert_allclose(
        expected, np.cov(dark.values.reshape(-1, BANDS), rowvar=False), rtol=1e-10
    )
    given = ck.MNF(noise=expected).fit(cube)
    np.testing.assert_allclose(given.noise_covariance_, expected, rtol=1e-12)
    area = cube.isel(y=slice(50), x=slice(60))
    by_area = ck.MNF(3, noise=area).fit(cube)
    np.testing.assert_allclose(
        by_area.noise_covariance_, ck.noise_covariance(area), rtol=1e-12
    )
    reused = ck.MNF(noise=by_area.noise_covariance_).fit(cube)
    np.testing.assert_allclose(reused.snr_[:3], by_area.snr_, rtol=1e-9)
    backwards = expected.isel(wavelength=slice(None, None, -1))
    np.testing.assert_allclose(ck.MNF(noise=backwards).fit(cube).snr_, given.snr_)


@pytest.mark.parametrize("way", ["merge", "partial_fit", "list"])
def test_two_parts_give_the_model_of_the_whole(known, way):
    _, cube = known
    a, b = cube.isel(y=slice(100)), cube.isel(y=slice(100, None))
    expected = ck.MNF().fit(cube)
    got = {
        "merge": lambda: ck.MNF().fit(a).merge(ck.MNF().fit(b)),
        "partial_fit": lambda: ck.MNF().partial_fit(a).partial_fit(b),
        "list": lambda: ck.MNF().fit([a, b]),
    }[way]()
    # differences are taken about the mean of each part; one row of pairs is in none
    np.testing.assert_allclose(got.snr_[:3], expected.snr_[:3], rtol=0.02)
    np.testing.assert_allclose(got.mean_, expected.mean_, rtol=1e-12)
    assert got.n_samples_ == expected.n_samples_


def test_noise_of_several_cubes_is_that_of_the_pairs_within_each(known, tmp_path):
    _, cube = known
    cubes = [cube.isel(y=slice(50)), cube.isel(y=slice(50, 180)) + 7.0]
    noises = [ck.noise_covariance(part) for part in cubes]
    pairs = [noise.attrs["degrees_of_freedom"] for noise in noises]
    expected = np.average(noises, axis=0, weights=pairs)
    path = ck.save_cube(cubes[0], tmp_path / "first.nc")
    merged = ck.MNF().fit(cubes[0]).merge(ck.MNF().fit(cubes[1]))
    for got in (ck.MNF().fit([path, cubes[1]]), merged):
        np.testing.assert_allclose(got.noise_covariance_, expected, rtol=1e-10)
        np.testing.assert_allclose(got.snr_, merged.snr_, rtol=1e-10)


def test_given_noise_makes_parts_the_whole(known):
    _, cube = known
    noise = ck.noise_covariance(cube)
    expected = ck.MNF(noise=noise).fit(cube)
    parts = [cube.isel(y=slice(70)), cube.isel(y=slice(70, None))]
    a, b = (ck.MNF(noise=noise).fit(part) for part in parts)
    for name in ("explained_variance_", "noise_covariance_"):
        got = getattr(a.merge(b), name)
        np.testing.assert_allclose(got, getattr(expected, name), rtol=1e-10)


@pytest.mark.parametrize("given", [False, True])
def test_a_loaded_model_is_the_saved_one(known, tmp_path, given):
    _, cube = known
    noise = ck.noise_covariance(cube) if given else None
    mnf = ck.MNF(4, noise=noise, along=["x"]).fit(cube.isel(y=slice(200)))
    mnf.save(tmp_path / "mnf.nc")
    loaded = ck.MNF.load(tmp_path / "mnf.nc")
    assert repr(loaded) == repr(mnf)
    xr.testing.assert_identical(loaded.transform(cube), mnf.transform(cube))
    xr.testing.assert_identical(loaded.noise_covariance_, mnf.noise_covariance_)
    rest = cube.isel(y=slice(200, None))
    np.testing.assert_allclose(
        loaded.partial_fit(rest).snr_, mnf.partial_fit(rest).snr_, rtol=1e-10
    )
    with pytest.raises(ck.ModelFormatError, match="holds a model of MNF"):
        ck.PCA.load(tmp_path / "mnf.nc")


def test_evaluating_tells_the_error_of_each_band(known):
    _, cube = known
    mnf = ck.MNF(3).fit(cube)
    got = mnf.evaluate(cube)
    np.testing.assert_allclose(
        got.rmse, np.sqrt((mnf.residual(cube) ** 2).mean(("y", "x"))), rtol=1e-9
    )


def test_the_operator_composes(known):
    _, cube = known
    smooth = ck.savgol_operator(ck.Axis.from_cube(cube), 3, 1)
    mnf = ck.MNF(2).fit(cube)
    one = (mnf.operator @ smooth)(cube) - mnf.operator(mnf.mean_)
    np.testing.assert_allclose(one, mnf.transform(smooth(cube)), atol=1e-7)


def test_what_cannot_be_is_refused(known):
    _, cube = known
    with pytest.raises(TypeError, match=r"n_components=0\.9 is a float"):
        ck.MNF(0.9)
    with pytest.raises(TypeError, match="noise is a ndarray"):
        ck.MNF(noise=np.eye(6))
    with pytest.raises(ValueError, match="along names 'time'"):
        ck.MNF(along=["time"]).fit(cube)
    with pytest.raises(ValueError, match="the cube has no neighbours"):
        ck.MNF().fit(cube[:1, :1])
    with pytest.raises(ValueError, match="Use n_components=6 or less"):
        ck.MNF(7).fit(cube)
    with pytest.raises(ValueError, match="Use n_components=4 or less"):
        ck.MNF(5).fit(cube[:2, :2])
    with pytest.raises(ValueError, match="6 of 6 bands have no value at all"):
        ck.MNF(2).fit(cube * np.nan)
    with pytest.raises(ValueError, match="the noise is zero"):
        ck.MNF().fit(as_cube(np.full((5, 6, 4), 3.0)))
    with pytest.raises(ValueError, match=r"have no value at all.*good_band"):
        ck.MNF().fit(cube.where(cube.wavelength != 430))
    with pytest.raises(ValueError, match="method='guess' is unknown"):
        ck.noise_covariance(cube, method="guess")
    with pytest.raises(ValueError, match="fewer than two whole spectra"):
        ck.noise_covariance(cube * np.nan)
    covariance = ck.noise_covariance(cube)
    with pytest.raises(ValueError, match="negative eigenvalue"):
        ck.MNF(noise=covariance - 10 * np.eye(6)).fit(cube)
    other = covariance.assign_coords(wavelength=covariance.wavelength + 1)
    with pytest.raises(ValueError, match="not known for all good bands"):
        ck.MNF(noise=other).fit(cube)
    with pytest.raises(ck.NotFittedError, match="before fit"):
        ck.MNF().denoise(cube)
    moved = cube.assign_coords(wavelength=cube.wavelength + 1)
    with pytest.raises(ck.AxisMismatchError, match=r"differs by up to 1 nm"):
        ck.MNF(2).fit(cube).transform(moved)
    with pytest.raises(ValueError, match="it is in percent, the model in W"):
        ck.MNF(2).fit(cube).denoise(cube.assign_attrs(units="percent"))
    with pytest.raises(ValueError, match="got no cube"):
        ck.MNF().fit([])
