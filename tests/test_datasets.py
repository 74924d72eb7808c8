"""The scene: what its docstring claims about bands, materials, noise and chunks."""

from __future__ import annotations

import warnings

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import cubekit as ck
from cubekit.datasets.landscape import cover
from cubekit.datasets.randomness import normal, uniform

SHAPE = (24, 32)


@pytest.fixture(scope="module")
def cube():
    return ck.datasets.scene(SHAPE)


@pytest.fixture(scope="module")
def small():
    return ck.datasets.scene((6, 7))


@pytest.fixture(scope="module")
def truth():
    return ck.datasets.scene_truth(SHAPE)


def purest(truth: xr.Dataset, material: str) -> dict[str, int]:
    """Position of the pixel that has most of a material."""
    where = truth.abundance.sel(material=material)
    return {str(k): int(v) for k, v in where.argmax(("y", "x")).items()}


def test_scene_has_the_layout_of_an_imaging_spectrometer(cube):
    assert cube.dims == ("y", "x", "wavelength")
    assert cube.shape == (*SHAPE, 285)
    assert cube.dtype == np.float32
    assert cube.attrs["units"] == "1"
    assert np.isfinite(cube).all()


def test_scene_says_that_it_is_synthetic(cube, truth):
    assert "ynthetic" in cube.attrs["comment"]
    assert "ynthetic" in truth.attrs["comment"]


def test_band_centres_run_from_381_to_2493_nm_in_uneven_steps(cube):
    steps = np.diff(cube.wavelength.values)
    assert cube.wavelength.values[[0, -1]] == pytest.approx([381, 2493], abs=0.1)
    assert steps.min() == pytest.approx(7.38, abs=0.001)
    assert steps.max() == pytest.approx(7.46, abs=0.001)
    assert cube.wavelength.attrs["units"] == "nm"


def test_steps_change_smoothly(cube):
    assert np.abs(np.diff(cube.wavelength.values, 2)).max() < 0.002


def test_fwhm_is_about_a_band_and_has_units(cube):
    assert cube.fwhm.dims == ("wavelength",)
    assert ((cube.fwhm > 8.3) & (cube.fwhm < 8.9)).all()
    assert cube.fwhm.attrs["units"] == "nm"


def test_bad_bands_are_the_two_water_vapour_bands(cube):
    bad = cube.wavelength.values[~cube.good_band.values]
    assert ((bad > 1320) & (bad < 1450) | (bad > 1770) & (bad < 1970)).all()
    assert {1380, 1870} <= {round(w / 10) * 10 for w in bad}


def test_spectral_axis_is_found_with_its_bad_bands(cube):
    axis = ck.Axis.from_cube(cube)
    assert axis.name == "wavelength"
    assert 0 < (~axis.good).sum() < 60


def test_pixels_are_square_and_north_is_up(cube):
    assert np.diff(cube.x.values) == pytest.approx(6000 / 32)
    assert np.diff(cube.y.values) == pytest.approx(-6000 / 32)
    assert cube.x.attrs["units"] == cube.y.attrs["units"] == "m"


def test_same_seed_gives_the_same_scene(cube):
    xr.testing.assert_identical(cube, ck.datasets.scene(SHAPE))


def test_another_seed_gives_another_valley_and_other_noise(cube):
    other = ck.datasets.scene(SHAPE, seed=1)
    assert not np.array_equal(
        other.sel(wavelength=850, method="nearest"), cube[..., 63]
    )
    exact = cube - ck.datasets.scene(SHAPE, noise=0)
    exact_other = other - ck.datasets.scene(SHAPE, seed=1, noise=0)
    assert (
        abs(
            np.corrcoef(exact[..., 5].data.ravel(), exact_other[..., 5].data.ravel())[
                0, 1
            ]
        )
        < 0.15
    )


@settings(max_examples=15)
@given(y=st.integers(1, 6), x=st.integers(1, 7), wavelength=st.integers(40, 285))
def test_any_chunks_give_the_same_bits(small, y, x, wavelength):
    chunks = {"y": y, "x": x, "wavelength": wavelength}
    lazy = ck.datasets.scene(small.shape[:2], chunks=chunks)
    with dask.config.set(scheduler="synchronous"):
        np.testing.assert_array_equal(lazy.values, small.values)


def test_chunks_of_one_sample_give_the_same_bits():
    lazy = ck.datasets.scene((3, 2), chunks={"y": 1, "x": 1, "wavelength": 57})
    np.testing.assert_array_equal(lazy.values, ck.datasets.scene((3, 2)).values)


def test_chunks_are_those_asked_for():
    lazy = ck.datasets.scene(SHAPE, chunks={"y": 10, "x": -1})
    assert lazy.chunksizes["y"] == (10, 10, 4)
    assert lazy.chunksizes["x"] == (32,)
    assert lazy.dtype == np.float32


def test_a_scene_larger_than_memory_is_made_without_computing():
    def refuse(*_args, **_kwargs):
        raise AssertionError("computed early")

    with dask.config.set(scheduler=refuse):
        lazy = ck.datasets.scene((50_000, 40_000), chunks="auto")
    assert lazy.nbytes > 2e12
    corner = lazy[-2:, -3:, :].compute()
    assert np.isfinite(corner).all()


def test_abundances_are_fractions_that_sum_to_one(truth):
    assert float(truth.abundance.min()) >= 0
    np.testing.assert_allclose(truth.abundance.sum("material"), 1, atol=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_material_covers_most_of_some_pixel(seed):
    truth = ck.datasets.scene_truth((120, 160), seed=seed)
    assert (truth.abundance.max(("y", "x")) > 0.6).all()


def test_abundance_is_a_function_of_place_alone():
    y, x = np.linspace(0, 4500, 40), np.linspace(0, 6000, 50)
    whole = cover(y, x, 0)
    np.testing.assert_array_equal(whole[:, 7:9, 11:30], cover(y[7:9], x[11:30], 0))


def test_scene_without_noise_is_the_lit_mixture(truth):
    exact = ck.datasets.scene(SHAPE, noise=0)
    mixed = truth.illumination * (truth.abundance * truth.spectrum).sum("material")
    np.testing.assert_allclose(exact, mixed.transpose(*exact.dims), atol=3e-7)


def test_noise_has_the_stated_standard_deviation_in_each_band(truth):
    exact = ck.datasets.scene((60, 80), noise=0).astype(np.float64)
    noise = ck.datasets.scene((60, 80)) - exact
    electrons = truth.electrons
    deviation = np.sqrt(exact * electrons + truth.read_noise**2) / electrons
    ratio = (noise / deviation).std(("y", "x"))
    # 4800 pixels: the standard error of a standard deviation is 1 %
    assert float(abs(ratio - 1).max()) < 0.05
    assert float(abs(ratio.mean() - 1)) < 0.003


def test_noise_is_independent_between_bands_and_pixels(truth):
    exact = ck.datasets.scene((60, 80), noise=0)
    noise = (ck.datasets.scene((60, 80)) - exact).values
    noise = noise / noise.std((0, 1))
    for a, b in [
        (noise[..., 1:], noise[..., :-1]),
        (noise[:, 1:], noise[:, :-1]),
        (noise[1:], noise[:-1]),
    ]:
        assert abs(np.mean(a * b)) < 0.005  # five standard errors


def test_noise_is_proportional_to_its_factor():
    exact = ck.datasets.scene((8, 9), noise=0).astype(np.float64)
    once = ck.datasets.scene((8, 9)) - exact
    thrice = ck.datasets.scene((8, 9), noise=3) - exact
    np.testing.assert_allclose(thrice, 3 * once, atol=2e-6)


def test_a_bright_pixel_in_the_visible_has_a_signal_to_noise_ratio_of_hundreds(truth):
    at = truth.sel(wavelength=650, method="nearest")
    signal = 0.25 * at.electrons
    assert 200 < float(signal / np.sqrt(signal + at.read_noise**2)) < 800


def test_vegetation_has_a_high_ndvi_and_water_a_low_one(cube, truth):
    red = cube.sel(wavelength=660, method="nearest")
    infrared = cube.sel(wavelength=860, method="nearest")
    ndvi = (infrared - red) / (infrared + red)
    assert float(ndvi.isel(purest(truth, "crop"))) > 0.75
    assert float(ndvi.isel(purest(truth, "forest"))) > 0.7
    assert float(ndvi.isel(purest(truth, "water"))) < 0
    assert 0 < float(ndvi.isel(purest(truth, "soil"))) < 0.45


def test_red_edge_lies_between_700_and_740_nm(truth):
    crop = truth.spectrum.sel(material="crop", wavelength=slice(600, 800))
    edge = float(crop.differentiate("wavelength").idxmax("wavelength"))
    assert 700 < edge < 740


@pytest.mark.parametrize(
    ("material", "centre"),
    [("soil", 2206), ("limestone", 2335), ("straw", 2100), ("roof_tile", 870)],
)
def test_minerals_and_straw_absorb_where_they_should(truth, material, centre):
    spectrum = truth.spectrum.sel(material=material)
    there, left, right = (
        float(spectrum.sel(wavelength=w, method="nearest"))
        for w in (centre, centre - 110, centre + 110)
    )
    assert there < 0.97 * (left + right) / 2


def test_spectra_are_reflectances(truth):
    assert float(truth.spectrum.min()) > 0
    assert float(truth.spectrum.max()) < 0.8


def test_gap_leaves_out_bands_and_changes_no_other():
    with_gap = ck.datasets.scene((4, 5), gap=(950, 1010))
    steps = np.diff(with_gap.wavelength.values)
    assert steps.max() > 60
    whole = ck.datasets.scene((4, 5)).sel(wavelength=with_gap.wavelength)
    np.testing.assert_array_equal(with_gap.values, whole.values)
    truth = ck.datasets.scene_truth((4, 5), gap=(950, 1010))
    assert truth.sizes["wavelength"] == with_gap.sizes["wavelength"]


@pytest.mark.parametrize("seed", [np.uint8(7), np.int64(7), 2**70 + 1])
def test_any_integer_is_a_seed(seed):
    one = ck.datasets.scene((2, 3), seed=seed, noise=0)
    truth = ck.datasets.scene_truth((2, 3), seed=seed)
    mixed = truth.illumination * (truth.abundance * truth.spectrum).sum("material")
    np.testing.assert_allclose(one, mixed.transpose(*one.dims), atol=3e-7)
    if seed == 7:
        np.testing.assert_array_equal(one, ck.datasets.scene((2, 3), seed=7, noise=0))


def test_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    ck.datasets.scene((2, 2))
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_uniform_numbers_fill_the_unit_interval():
    sample = uniform(3, 1, np.arange(200)[:, None], np.arange(-100, 100))
    counts, _ = np.histogram(sample, bins=20, range=(0, 1))
    # chi-square with 19 degrees of freedom, 40 000 numbers: 99.9 % below 44
    assert ((counts - 2000) ** 2 / 2000).sum() < 44


def test_normal_numbers_have_the_moments_of_the_normal_distribution():
    sample = normal(5, 0, np.arange(500)[:, None], np.arange(400)).astype(np.float64)
    moments = [np.mean(sample**k) for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=0.05)


def test_random_numbers_warn_of_nothing():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        normal(2**63, 1, 3, np.int64(-4))
    assert not said


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"shape": 20}, TypeError, "scene: shape=20 is not a pair"),
        ({"shape": (20, 0)}, ValueError, "scene: shape=0 is out of range"),
        ({"shape": (20.0, 3)}, TypeError, "scene: shape=20.0 is a float"),
        ({"seed": -1}, ValueError, "scene: seed=-1 is out of range"),
        ({"seed": 1.5}, TypeError, "scene: seed=1.5 is a float"),
        ({"noise": -1}, ValueError, "scene: noise=-1 is out of range"),
        ({"noise": np.nan}, ValueError, "scene: noise=nan is out of range"),
        ({"noise": True}, ValueError, "scene: noise=True is out of range"),
        ({"gap": (1000, 900)}, ValueError, r"scene: gap=\(1000, 900\) is not a range"),
        ({"gap": 900}, ValueError, "scene: gap=900 is not a range"),
        ({"gap": (0, 9999)}, ValueError, "leaves no band"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        ck.datasets.scene(**{"shape": (2, 2), **arguments})


def test_the_ground_is_lowest_along_the_river(truth):
    wet = truth.abundance.sel(material="water") > 0.3
    wet &= truth.y < 2500  # north of that is a lake in the hills
    heights = truth.elevation
    assert float(heights.where(wet).mean()) < float(heights.quantile(0.2))


def test_the_ground_at_a_place_is_the_same_at_any_resolution():
    coarse, fine = (ck.datasets.scene_truth(s).elevation for s in ((6, 8), (18, 24)))
    np.testing.assert_allclose(fine[1::3, 1::3], coarse, rtol=1e-12)


def test_the_alteration_scene_is_the_same_for_any_chunks():
    whole = ck.datasets.alteration_scene((20, 30))
    parts = ck.datasets.alteration_scene((20, 30), chunks={"y": 7, "wavelength": 9})
    xr.testing.assert_identical(whole, parts.compute())


def test_the_alteration_scene_absorbs_where_its_truth_says():
    scene = ck.datasets.alteration_scene((20, 30), noise=0)
    truth = ck.datasets.alteration_truth((20, 30))
    near = scene.sel(wavelength=slice(2160, 2260))
    rich = (truth.mica > 0.6) & (truth.plants < 0.1)
    away = (near.idxmin("wavelength") - truth.band_centre).where(rich)
    assert rich.any()
    assert abs(away).max() < 10


def test_the_noise_of_the_alteration_scene_is_what_it_says():
    noisy = ck.datasets.alteration_scene((40, 40), seed=2)
    exact = ck.datasets.alteration_scene((40, 40), seed=2, noise=0)
    assert float((noisy - exact).std()) == pytest.approx(1e-3, rel=0.02)


def test_five_components_do_not_hold_the_alteration_scene():
    scene = ck.datasets.alteration_scene((60, 80))
    rmse = [
        float((ck.PCA(n).fit(scene).residual(scene) ** 2).mean() ** 0.5) for n in (5, 9)
    ]
    assert rmse[0] > 1.5e-3  # 1e-3 is noise
    assert rmse[1] < 1.1e-3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"shape": 3}, "alteration_scene: shape=3 is not a pair"),
        ({"noise": -1}, "alteration_scene: noise=-1 is out of range"),
    ],
)
def test_arguments_of_the_alteration_scene_are_checked(arguments, said):
    with pytest.raises((TypeError, ValueError), match=said):
        ck.datasets.alteration_scene(**arguments)
