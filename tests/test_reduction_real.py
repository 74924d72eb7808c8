"""PCA and MNF of real scenes, against scikit-learn in float64."""

import numpy as np
import pytest
import rasterio
import scipy.io
import scipy.linalg
import xarray as xr
from sklearn import decomposition

import cubekit as ck

pytestmark = [pytest.mark.real, pytest.mark.slow]


def scene(values, good=None):
    """Cube of values (y, x, band) on a band number axis."""
    cube = xr.DataArray(
        values,
        dims=("y", "x", "band"),
        coords={"band": np.arange(1.0, values.shape[-1] + 1)},
    )
    return cube if good is None else cube.assign_coords(good_band=("band", good))


def jasper(folder):
    y = scipy.io.loadmat(folder / "jasper_ridge" / "jasperRidge2_R198.mat")["Y"]
    return scene(y.reshape(198, 100, 100, order="F").transpose(1, 2, 0))


def abu(folder):
    return scene(scipy.io.loadmat(folder / "abu_urban_2" / "abu-urban-2.mat")["data"])


def emit(folder):
    path = folder / "emit_jpl_l2a_envi" / "emit20250324t221005_jpl_unmix_ex"
    values = np.fromfile(path, "<f4").reshape(10, 285, 10).transpose(0, 2, 1)
    return scene(values, ~(values == np.float32(-0.01)).all(axis=(0, 1)))


def enmap(folder):
    def tile(column, row):
        path = folder / "enmap_potsdam" / f"enmap_potsdam_tile_{column}_{row}.tif"
        with rasterio.open(path) as file:
            return file.read().transpose(1, 2, 0)

    values = np.concatenate(
        [np.concatenate([tile(c, r) for c in (64, 96, 128)], axis=1) for r in (0, 32)]
    )
    missing = values == -32768
    return scene(np.where(missing, np.nan, values), ~missing.all(axis=(0, 1)))


def heights(folder):
    z = xr.open_dataset(folder / "hgt_djf_pca" / "hgt_djf.nc", decode_times=False)
    stacked = z["z"].squeeze(drop=True).stack(point=("latitude", "longitude"))
    values = stacked.transpose("time", "point").values
    return scene(values[:, None])


SCENES = {"jasper": jasper, "abu": abu, "emit": emit, "enmap": enmap, "hgt": heights}


def good_spectra(cube):
    good = cube.good_band.values if "good_band" in cube.coords else slice(None)
    return (
        cube.values[..., good].reshape(cube.shape[0] * cube.shape[1], -1).astype(float)
    )


@pytest.mark.filterwarnings("ignore:numpy.ndarray size changed")
@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("lazy", [False, True])
def test_real_scenes_have_the_components_of_scikit_learn(real, name, lazy):
    cube = SCENES[name](real)
    x = good_spectra(cube)
    n = 6
    sk = decomposition.PCA(n, svd_solver="full").fit(x)
    given = cube.chunk(y=7, x=33, band=60) if lazy else cube
    pca = ck.PCA(n).fit(given)
    tolerance = 1e-9
    np.testing.assert_allclose(
        pca.explained_variance_, sk.explained_variance_, rtol=tolerance
    )
    np.testing.assert_allclose(
        pca.explained_variance_ratio_, sk.explained_variance_ratio_, rtol=tolerance
    )
    good = cube.good_band.values if "good_band" in cube.coords else slice(None)
    ours = pca.components_.values[:, good]
    assert scipy.linalg.subspace_angles(ours.T, sk.components_.T).max() < 1e-6
    scores = pca.transform(given).values.reshape(len(x), n)
    signs = np.sign(np.sum(ours * sk.components_, axis=1))
    size = np.abs(scores).max()
    kind = 1e-9 if scores.dtype == np.float64 else 2e-6
    np.testing.assert_allclose(scores, signs * sk.transform(x), atol=kind * size)


@pytest.mark.filterwarnings("ignore:MNF. .* are equal")  # ABU is resampled
@pytest.mark.parametrize("name", ["jasper", "abu", "enmap"])
def test_real_scenes_have_fewer_components_above_noise_than_bands(real, name):
    cube = SCENES[name](real)
    mnf = ck.MNF().fit(cube.chunk(y=20, band=70))
    bands = len(good_spectra(cube)[0])
    assert mnf.noise_rank_ == bands
    assert 5 < int((mnf.snr_ > 1).sum()) < bands
    clean = mnf.denoise(cube, 20)
    gaps = clean.isnull().all(("y", "x")).values
    if "good_band" in cube.coords:
        np.testing.assert_array_equal(gaps, ~cube.good_band.values)
    else:
        assert not gaps.any()


def test_dead_bands_of_a_real_scene_are_named(real):
    cube = enmap(real).drop_vars("good_band")
    with pytest.raises(ValueError, match="6 of 224 bands have no value at all"):
        ck.PCA(3).fit(cube)


def test_scikit_learn_of_integers_is_what_we_give_for_integers(real):
    cube = jasper(real)
    a, b = ck.PCA(10).fit(cube), ck.PCA(10).fit(cube.astype(float))
    np.testing.assert_allclose(a.components_, b.components_, atol=1e-10)


def test_resampled_pixels_of_a_real_scene_are_found(real):
    with pytest.warns(UserWarning, match=r"4\.9% of neighbouring spectra are equal"):
        ck.MNF().fit(abu(real))
