"""Scores and components of spectra with holes, against least squares one by one."""

import dask.array as da
import numpy as np
import pytest
import scipy.linalg
import xarray as xr
from test_pca import as_cube

import cubekit as ck
from cubekit import kernels

RANK, BANDS = 5, 30


def low_rank(noise=0.1, shape=(50, 60), seed=0, offset=100.0):
    """Rank 5 and noise."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(*shape, RANK)) * [5, 4, 3, 2, 1.5]
    basis = np.linalg.qr(rng.normal(size=(BANDS, RANK)))[0]
    values = offset + scores @ basis.T + noise * rng.normal(size=(*shape, BANDS))
    return as_cube(values), basis


def with_holes(cube, share=0.1, seed=1):
    holes = np.random.default_rng(seed).random(cube.shape) < share
    return cube.where(~xr.DataArray(holes, dims=cube.dims))


def angle(components, basis):
    """Largest angle between two subspaces."""
    return scipy.linalg.subspace_angles(np.asarray(components).T, basis).max()


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("order", [("y", "x", "wavelength"), ("wavelength", "y", "x")])
def test_solved_scores_are_those_of_least_squares(lazy, whiten, order):
    whole, _ = low_rank()
    holed = with_holes(whole)
    pca = ck.PCA(4, whiten=whiten, missing="solve").fit(whole)
    given = holed.transpose(*order)
    given = given.chunk(y=20, wavelength=7) if lazy else given
    scores = pca.transform(given)
    assert isinstance(scores.data, da.Array) == lazy
    assert scores.dims == tuple("component" if d == "wavelength" else d for d in order)
    scores = scores.transpose("y", "x", "component")
    scale = np.sqrt(pca.explained_variance_.values) if whiten else 1
    for y, x in ((0, 0), (3, 7), (49, 59)):
        there = holed[y, x].notnull().values
        expected = np.linalg.lstsq(
            pca.components_.values[:, there].T,
            (holed[y, x] - pca.mean_).values[there],
        )[0]
        np.testing.assert_allclose(scores[y, x], expected / scale, atol=1e-9)


def test_whole_spectra_have_the_scores_of_the_projection():
    whole, _ = low_rank()
    a = ck.PCA(4, missing="solve").fit(whole).transform(whole)
    b = ck.PCA(4).fit(whole).transform(whole)
    np.testing.assert_allclose(a, b, atol=1e-10)
    assert a.attrs == b.attrs
    assert list(a.coords) == list(b.coords)


def test_scores_that_the_bands_do_not_determine_are_nan():
    whole, _ = low_rank()
    few = whole.copy()
    few[0, 0, 3:], few[0, 1, 4:], few[0, 2] = np.nan, np.nan, np.inf
    scores = ck.PCA(4, missing="solve").fit(whole).transform(few)
    assert scores[0, 0].isnull().all()
    assert scores[0, 1].notnull().all()
    assert scores[0, 2].isnull().all()
    assert scores[1:].notnull().all()


def test_a_band_that_only_the_new_cube_marks_bad_is_missing():
    whole, _ = low_rank()
    good = np.arange(BANDS) != 4
    pca = ck.PCA(4, missing="solve").fit(whole)
    marked = whole.assign_coords(good_band=("wavelength", good))
    np.testing.assert_allclose(
        pca.transform(marked),
        pca.transform(whole.where(whole.wavelength != 440)),
        atol=1e-12,
    )


def test_holes_are_filled_by_what_the_components_say():
    whole, _ = low_rank(noise=0)
    holed = with_holes(whole, 0.3)
    pca = ck.PCA(5, missing="solve").fit(whole)
    filled = pca.inverse_transform(pca.transform(holed))
    np.testing.assert_allclose(filled, whole, atol=1e-7)
    rest = pca.residual(holed)
    np.testing.assert_array_equal(rest.isnull(), holed.isnull())


@pytest.mark.parametrize("seed", range(3))
def test_em_finds_the_subspace_through_a_tenth_of_holes(seed):
    whole, basis = low_rank(seed=seed)
    pca = ck.PCA(RANK, missing="em").fit(with_holes(whole, seed=seed))
    complete = ck.PCA(RANK).fit(whole)
    assert angle(pca.components_, basis) < 1.5 * angle(complete.components_, basis)
    np.testing.assert_allclose(pca.mean_, complete.mean_, atol=0.02)
    np.testing.assert_allclose(
        pca.explained_variance_, complete.explained_variance_, rtol=0.02
    )
    assert pca.noise_variance_ == pytest.approx(0.01, rel=0.03)


def test_the_likelihood_of_em_never_falls():
    pca = ck.PCA(RANK, missing="em").fit(with_holes(low_rank(noise=1)[0], 0.3))
    steps = np.diff(pca.log_likelihood_)
    assert len(steps) > 3
    assert (steps > -1e-9 * np.abs(pca.log_likelihood_[1:])).all()


def test_em_on_whole_spectra_is_the_closed_form_of_tipping_and_bishop():
    whole, _ = low_rank(noise=0.5)
    x = whole.values.reshape(-1, BANDS)
    values, vectors = np.linalg.eigh(np.cov(x, rowvar=False, ddof=0))
    pca = ck.PCA(RANK, missing="em").fit(whole)
    assert pca.noise_variance_ == pytest.approx(values[:-RANK].mean(), rel=1e-4)
    np.testing.assert_allclose(pca.explained_variance_, values[::-1][:RANK], rtol=1e-4)
    assert angle(pca.components_, vectors[:, -RANK:]) < 1e-3
    np.testing.assert_allclose(pca.mean_, x.mean(axis=0), rtol=1e-6)
    covariance = np.cov(x, rowvar=False, ddof=0)
    model = pca.components_.values.T * (
        pca.explained_variance_.values - pca.noise_variance_
    ) @ pca.components_.values + pca.noise_variance_ * np.eye(BANDS)
    likelihood = (
        -0.5
        * len(x)
        * (
            BANDS * np.log(2 * np.pi)
            + np.linalg.slogdet(model)[1]
            + np.trace(np.linalg.solve(model, covariance))
        )
    )
    assert float(pca.log_likelihood_[-1]) == pytest.approx(likelihood, rel=1e-6)


def test_em_is_the_same_in_any_chunks_and_under_any_offset():
    holed = with_holes(low_rank()[0])
    expected = ck.PCA(3, missing="em").fit(holed)
    lazy = ck.PCA(3, missing="em").fit(holed.chunk(y=13, x=25, wavelength=11))
    moved = ck.PCA(3, missing="em").fit(holed + 1e6)
    np.testing.assert_allclose(lazy.components_, expected.components_, atol=1e-8)
    np.testing.assert_allclose(moved.components_, expected.components_, atol=1e-5)


def test_em_leaves_bad_bands_and_empty_spectra_out():
    holed = with_holes(low_rank()[0])
    holed[..., 7] = np.nan
    holed[2, 3] = np.nan
    with pytest.raises(ValueError, match=r"1 of 30 bands have no value at all: 470 nm"):
        ck.PCA(3, missing="em").fit(holed)
    good = np.arange(BANDS) != 7
    pca = ck.PCA(3, missing="em").fit(
        holed.assign_coords(good_band=("wavelength", good))
    )
    expected = ck.PCA(3, missing="em").fit(holed.isel(wavelength=good))
    np.testing.assert_allclose(
        pca.components_.isel(wavelength=good).values,
        expected.components_,
        atol=1e-9,
    )
    assert (pca.n_samples_, pca.n_dropped_) == (2999, 1)
    assert (pca.components_[:, 7] == 0).all()


def test_em_without_noise_stops_and_stays_finite():
    pca = ck.PCA(RANK, missing="em").fit(with_holes(low_rank(noise=0)[0]))
    assert np.isfinite(pca.components_).all()
    assert angle(pca.components_, low_rank(noise=0)[1]) < 1e-3


def test_em_says_when_it_has_not_settled(monkeypatch):
    monkeypatch.setattr("cubekit.reduction.em._STEPS", 2)
    with pytest.warns(UserWarning, match="not settled in 2 steps"):
        ck.PCA(3, missing="em").fit(with_holes(low_rank(noise=1)[0], 0.5))


def test_em_is_saved_and_loaded(tmp_path):
    holed = with_holes(low_rank()[0])
    pca = ck.PCA(3, missing="em").fit(holed)
    pca.save(tmp_path / "em.nc")
    loaded = ck.PCA.load(tmp_path / "em.nc")
    xr.testing.assert_identical(loaded.transform(holed), pca.transform(holed))
    xr.testing.assert_identical(loaded.log_likelihood_, pca.log_likelihood_)
    with pytest.raises(ValueError, match=r"but no covariance\. It was found in steps"):
        pca.merge(loaded)
    with pytest.raises(ValueError, match=r"one by one.*xarray\.concat"):
        loaded.partial_fit(holed)
    with pytest.raises(ValueError, match=r"one by one.*xarray\.concat"):
        ck.PCA(3, missing="em").fit([holed, holed])


def test_what_em_cannot_do_is_refused():
    holed = with_holes(low_rank()[0])
    with pytest.raises(ValueError, match='missing="em" with n_components=None'):
        ck.PCA(missing="em")
    with pytest.raises(ValueError, match=r'missing="em" with n_components=0\.9'):
        ck.PCA(0.9, missing="em")
    with pytest.raises(ValueError, match="Use n_components=29 or less"):
        ck.PCA(30, missing="em").fit(holed)
    with pytest.raises(ValueError, match='weights with missing="em"'):
        ck.PCA(3, missing="em").fit(holed, weights=holed[..., 0].fillna(1))


def test_expecting_reads_each_chunk_once():
    read = []

    def count(block, block_info=None):
        read.append(1)
        return block

    data = with_holes(low_rank()[0]).chunk(y=10, wavelength=7).data
    counted = data.map_blocks(count, dtype=float, meta=np.empty((0, 0, 0)))
    model = kernels.Latent(np.arange(30), np.zeros(30), np.ones((30, 2)), 1.0)
    kernels.expect(counted, 2, model)
    assert len(read) == data.npartitions


@pytest.mark.parametrize("lazy", [False, True])
def test_the_randomised_solver_gives_the_exact_components(lazy):
    rng = np.random.default_rng(0)
    decay = 0.97 ** np.arange(120)  # slow
    values = (
        1000
        + (rng.normal(size=(60, 50, 120)) * decay)
        @ np.linalg.qr(rng.normal(size=(120, 120)))[0]
    )
    data = as_cube(values)
    exact = ck.PCA(6, solver="exact").fit(data)
    given = data.chunk(y=20, wavelength=50) if lazy else data
    got = ck.PCA(6, solver="randomized").fit(given)
    for name in ("explained_variance_", "explained_variance_ratio_", "mean_"):
        np.testing.assert_allclose(getattr(got, name), getattr(exact, name), rtol=1e-8)
    np.testing.assert_allclose(got.components_, exact.components_, atol=1e-4)
    assert got.noise_variance_ == pytest.approx(exact.noise_variance_, rel=1e-8)
    np.testing.assert_allclose(got.separation_[:5], exact.separation_[:5], rtol=1e-6)


def test_the_randomised_solver_is_taken_for_many_bands_only():
    rng = np.random.default_rng(0)
    wide = as_cube(rng.normal(size=(4, 5, 3)) @ rng.normal(size=(3, 4100)))
    pca = ck.PCA(2).fit(wide)
    with pytest.raises(ValueError, match="found in steps"):
        pca.merge(pca)
    x = wide.values.reshape(20, -1)
    expected = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)[:2] ** 2 / 19
    np.testing.assert_allclose(pca.explained_variance_, expected, rtol=1e-10)
    with pytest.raises(ValueError, match=r"but no covariance\. It was found in steps"):
        pca.partial_fit(wide)
    narrow = ck.PCA(2).fit(wide[..., :50])
    assert narrow.merge(narrow).n_samples_ == 40


def test_what_the_randomised_solver_cannot_do_is_said(monkeypatch):
    data = low_rank()[0]
    with pytest.raises(ValueError, match='solver="randomized" with n_components=None'):
        ck.PCA(solver="randomized")
    with pytest.raises(ValueError, match="solver='fast' is unknown"):
        ck.PCA(solver="fast")
    with pytest.raises(ValueError, match="weights with the randomised solver"):
        ck.PCA(2, solver="randomized").fit(data, weights=data[..., 0])
    with pytest.raises(ValueError, match="30 of 30 bands have no value"):
        ck.PCA(2, solver="randomized").fit(data * np.nan)
    with pytest.raises(ValueError, match="n_components=40 is out of range"):
        ck.PCA(40, solver="randomized").fit(data)
    monkeypatch.setattr("cubekit.reduction.randomized._PASSES", 1)
    monkeypatch.setattr("cubekit.reduction.randomized._OVERSAMPLING", 0)
    with pytest.warns(UserWarning, match="still change after 1 passes"):
        ck.PCA(2, solver="randomized").fit(data)
