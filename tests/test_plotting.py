"""What is really drawn: colours, limits, labels, breaks, shaded and hatched parts."""

from __future__ import annotations

import dask
import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.collections import FillBetweenPolyCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

import cubekit as ck
from cubekit.plotting.labels import edges, label_of

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def cube():
    return ck.datasets.scene((12, 16))


def line_between(values, wavelength, **coords):
    return xr.DataArray(
        values,
        coords={"wavelength": ("wavelength", wavelength, {"units": "nm"}), **coords},
        dims="wavelength",
        name="reflectance",
        attrs={"units": "1"},
    )


# rgb


def test_rgb_takes_the_good_bands_nearest_to_red_green_and_blue(cube):
    good = cube.good_band.values & (abs(cube.wavelength.values - 640) > 4)
    picture = ck.plotting.rgb(cube.assign_coords(good_band=("wavelength", good)))
    red, green, blue = (
        float(w) for w in picture.axes.get_title().split(" ", 1)[1][:-3].split(", ")
    )
    assert 4 < abs(red - 640) < 12
    assert abs(green - 550) < 4
    assert abs(blue - 460) < 4


def test_rgb_colours_are_the_stretched_values(cube):
    picture = ck.plotting.rgb(cube, percentile=(0, 100))
    values = cube.sel(wavelength=[640, 550, 460], method="nearest").values
    expected = (values - values.min()) / (values.max() - values.min())
    np.testing.assert_allclose(picture.get_array()[..., :3], expected, atol=1e-6)


def test_rgb_stretches_each_of_given_bands_alone(cube):
    picture = ck.plotting.rgb(cube, (850, 1650, 2200), percentile=(0, 100))
    drawn = picture.get_array()[..., :3]
    np.testing.assert_allclose(drawn.min((0, 1)), 0)
    np.testing.assert_allclose(drawn.max((0, 1)), 1)


def test_rgb_draws_components():
    scores = xr.DataArray(
        np.random.default_rng(0).normal(size=(5, 6, 4)),
        dims=("y", "x", "component"),
        coords={"component": [1, 2, 3, 4]},
    )
    picture = ck.plotting.rgb(scores, (3, 1, 2), coord="component")
    assert picture.axes.get_title() == "component 3, 1, 2"


def test_rgb_wherever_the_bands_are(cube):
    one = ck.plotting.rgb(cube).get_array()
    other = ck.plotting.rgb(cube.transpose("wavelength", "y", "x")).get_array()
    np.testing.assert_array_equal(one, other)


def test_rgb_knows_micrometres(cube):
    micro = cube.assign_coords(
        wavelength=("wavelength", cube.wavelength.values / 1000, {"units": "um"})
    )
    np.testing.assert_array_equal(
        ck.plotting.rgb(micro).get_array(), ck.plotting.rgb(cube).get_array()
    )


def test_rgb_leaves_missing_pixels_out_and_hatches_the_ground(cube):
    holed = cube.copy()
    holed[3, 4, :] = np.nan
    picture = ck.plotting.rgb(holed)
    alpha = picture.get_array()[..., 3]
    assert alpha[3, 4] == 0
    assert alpha.sum() == alpha.size - 1
    assert picture.axes.patch.get_hatch()


def test_rgb_without_missing_pixels_has_no_hatch(cube):
    assert not ck.plotting.rgb(cube).axes.patch.get_hatch()


def test_images_cover_the_pixels_with_north_up(cube):
    ax = ck.plotting.rgb(cube).axes
    assert ax.get_xlim() == pytest.approx((0, 6000))
    assert ax.get_ylim() == pytest.approx((0, 4500))
    assert ax.get_xlabel() == "easting (m)"
    assert ax.get_ylabel() == "northing (m)"
    assert ax.get_aspect() == 1


def test_the_first_row_is_drawn_in_the_north(cube):
    picture = ck.plotting.image(cube, 850)
    left, right, bottom, top = picture.get_extent()
    # matplotlib puts row 0 at `top` for origin="upper"
    assert (left, right) == pytest.approx((0, 6000))
    assert top == pytest.approx(4500)
    assert bottom == pytest.approx(0)
    assert picture.origin == "upper"


def test_an_ascending_axis_gives_the_same_picture(cube):
    flipped = ck.plotting.image(cube.isel(y=slice(None, None, -1)), 850)
    assert flipped.get_extent()[2:] == pytest.approx((4500, 0))
    assert flipped.axes.get_ylim() == pytest.approx((0, 4500))


def test_without_coordinates_lines_are_counted_from_the_top(cube):
    ax = ck.plotting.rgb(cube.drop_vars(["y", "x"])).axes
    assert ax.get_ylim() == pytest.approx((11.5, -0.5))
    assert ax.get_ylabel() == "y (sample)"


def test_uneven_pixels_are_drawn_where_they_are(cube):
    x = np.array([0.0, 1, 2, 4, 8, 16, *range(20, 30)])
    uneven = cube.assign_coords(x=("x", x, {"units": "m"}))
    picture = ck.plotting.image(uneven, 850)
    assert isinstance(picture, QuadMesh)
    np.testing.assert_allclose(picture.get_coordinates()[0, :6, 0], edges(x)[:6])
    assert isinstance(ck.plotting.rgb(uneven), QuadMesh)


def test_a_single_pixel_is_drawn(cube):
    picture = ck.plotting.rgb(cube[:1, :1])
    assert picture.get_array().shape == (1, 1, 4)


def test_a_large_cube_is_thinned_and_only_that_computed():
    lazy = ck.datasets.scene((4000, 3000), chunks={"y": 200, "x": 200})
    asked = []

    class Counter(dask.callbacks.Callback):
        def _pretask(self, key, _dsk, _state):
            asked.append(key)

    with Counter():
        picture = ck.plotting.rgb(lazy[:400, :600], max_pixels=20)
    assert picture.get_array().shape == (20, 20, 4)
    assert len(asked) < 100
    assert picture.axes.get_xlim() == pytest.approx((0, 900), abs=1.5)  # a pixel


def test_rgb_of_a_constant_cube_is_drawn(cube):
    assert np.isfinite(ck.plotting.rgb(cube * 0).get_array()).all()


def test_rgb_of_nothing_but_missing_values_is_all_hatch(cube):
    assert not ck.plotting.rgb(cube * np.nan).get_array().any()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda c: c.sel(wavelength=slice(900, 1700)),
            "no good band within 50 nm of red",
        ),
        (
            lambda c: c.assign_coords(
                wavelength=("wavelength", c.wavelength.values, {"units": "cm-1"})
            ),
            "rgb: true colour needs wavelengths. Coordinate 'wavelength' is in cm-1",
        ),
        (lambda c: c.expand_dims(time=2), "rgb: the cube has dims"),
    ],
)
def test_rgb_says_why_it_cannot(cube, change, text):
    with pytest.raises(ValueError, match=text):
        ck.plotting.rgb(change(cube))


# image


def test_image_draws_the_nearest_band_with_its_units(cube):
    picture = ck.plotting.image(cube, 850)
    expected = cube.sel(wavelength=850, method="nearest")
    np.testing.assert_allclose(picture.get_array(), expected)
    assert picture.axes.get_title() == "wavelength 848.1 nm"
    assert picture.colorbar.ax.get_ylabel() == "surface reflectance"


def test_image_of_a_derivative_has_units_on_its_bar(cube):
    slope = ck.savgol_filter(cube, 7, 2, deriv=1)
    bar = ck.plotting.image(slope, 850).colorbar
    assert bar.ax.get_ylabel() == "surface reflectance (nm$^{-1}$)"


def test_values_of_both_signs_get_a_map_with_zero_in_its_middle(cube):
    slope = ck.savgol_filter(cube, 7, 2, deriv=1)
    picture = ck.plotting.image(slope, 600)
    low, high = picture.get_clim()
    assert low == -high
    assert picture.get_cmap().name == "RdBu_r"


def test_values_of_one_sign_get_a_sequential_map(cube):
    picture = ck.plotting.image(cube, 850)
    assert picture.get_cmap().name == "cividis"
    band = cube.sel(wavelength=850, method="nearest")
    assert picture.get_clim() == pytest.approx(np.percentile(band, (2, 98)))


def test_image_masks_missing_values(cube):
    band = cube.sel(wavelength=850, method="nearest").copy()
    band[2, 3] = np.inf
    picture = ck.plotting.image(band)
    assert np.argwhere(np.ma.getmaskarray(picture.get_array())).tolist() == [[2, 3]]
    assert picture.axes.patch.get_hatch()


def test_image_draws_on_the_axes_given(cube):
    ax = Figure().add_subplot()
    picture = ck.plotting.image(cube, 850, ax=ax, colorbar=False)
    assert isinstance(picture, AxesImage)
    assert picture.axes is ax
    assert picture.colorbar is None
    assert not plt.get_fignums()


def test_image_of_three_dims_needs_a_band(cube):
    with pytest.raises(ValueError, match=r"A picture needs 2 of them.*Or give band="):
        ck.plotting.image(cube)


# spectra


def test_spectra_are_those_nearest_to_the_places(cube):
    (line,) = ck.plotting.spectra(cube, {"field": (cube.y.values[3] + 9, 1000)})
    expected = cube.isel(y=3).sel(x=1000, method="nearest")
    x, y = line.get_data()
    np.testing.assert_array_equal(x, cube.wavelength)
    np.testing.assert_allclose(y, expected.where(cube.good_band))
    assert line.get_label() == "field"


def test_places_can_be_named_or_counted(cube):
    bare = cube.drop_vars(["y", "x"])
    (by_name,) = ck.plotting.spectra(bare, [{"x": 5, "y": 2}])
    (by_order,) = ck.plotting.spectra(bare, [(2, 5)])
    np.testing.assert_array_equal(by_name.get_ydata(), by_order.get_ydata())
    np.testing.assert_allclose(by_name.get_ydata()[3], cube[2, 5, 3])


def test_spectra_axes_have_labels_with_units(cube):
    slope = ck.savgol_filter(cube, 7, 2, deriv=2)
    ax = ck.plotting.spectra(slope, [(2000, 2000)])[0].axes
    assert ax.get_xlabel() == "wavelength (nm)"
    assert ax.get_ylabel() == "surface reflectance (nm$^{-2}$)"


def test_bad_bands_are_shaded_and_not_drawn(cube):
    (line,) = ck.plotting.spectra(cube, [(2000, 2000)])
    shaded = [p for p in line.axes.patches if p.get_gid() == "bad bands"]
    bad = cube.wavelength.values[~cube.good_band.values]
    ends = [(p.get_x(), p.get_x() + p.get_width()) for p in shaded]
    assert len(ends) == 2
    assert all(any(a < w < b for a, b in ends) for w in bad)
    good = cube.wavelength.values[cube.good_band.values]
    assert not any(a < w < b for w in good for a, b in ends)
    assert np.isnan(line.get_ydata()[~cube.good_band.values]).all()


def test_bad_bands_are_shaded_once(cube):
    (line,) = ck.plotting.spectra(cube, [(2000, 2000)])
    ck.plotting.spectra(cube, [(2000, 3000)], ax=line.axes)
    assert len(line.axes.patches) == 2


def test_gaps_are_not_bridged():
    wavelength = np.r_[400:500:10, 600:700:10].astype(float)
    (line,) = ck.plotting.spectra(line_between(np.ones(20), wavelength))
    x, y = line.get_data()
    assert np.isnan(y[(x > 490) & (x < 600)]).all()
    assert np.isfinite(y).sum() == 20


def test_max_gap_says_what_a_gap_is():
    wavelength = np.r_[400:500:10, 600:700:10].astype(float)
    spectrum = line_between(np.ones(20), wavelength)
    (bridged,) = ck.plotting.spectra(spectrum, max_gap=200)
    assert np.isfinite(bridged.get_ydata()).all()
    (open_,) = ck.plotting.spectra(spectrum, max_gap=9)
    assert np.isnan(open_.get_ydata()).sum() == 19


def test_a_smoothly_stretched_axis_has_no_gap():
    (line,) = ck.plotting.spectra(
        line_between(np.ones(60), 400 * 1.05 ** np.arange(60))
    )
    assert np.isfinite(line.get_ydata()).all()


def test_mean_and_spread_of_all_spectra(cube):
    (line,) = ck.plotting.spectra(cube)
    expected = cube.astype(float).mean(("y", "x")).where(cube.good_band)
    np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-6)
    (band,) = [
        c for c in line.axes.collections if isinstance(c, FillBetweenPolyCollection)
    ]
    low = np.nanmin(cube.quantile(0.1, ("y", "x")).where(cube.good_band))
    points = np.concatenate([p.vertices for p in band.get_paths()])
    assert points[:, 1].min() == pytest.approx(low)


def test_mean_leaves_missing_spectra_out(cube):
    holed = cube.copy()
    holed[0] = np.nan
    (line,) = ck.plotting.spectra(holed)
    expected = cube[1:].astype(float).mean(("y", "x")).where(cube.good_band)
    np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-6)


def test_a_single_spectrum_is_drawn_with_its_label(cube):
    (line,) = ck.plotting.spectra(cube[3, 4], label="here")
    assert line.get_label() == "here"
    assert not line.axes.collections


def test_colours_go_on_from_call_to_call(cube):
    (one,) = ck.plotting.spectra(cube, [(2000, 2000)])
    ck.plotting.spectra(cube, [(2000, 2500)], ax=one.axes, color="0.5")
    (two,) = ck.plotting.spectra(cube, [(2000, 3000)], ax=one.axes)
    assert (to_hex(one.get_color()), to_hex(two.get_color())) == ("#0072b2", "#d55e00")


def test_descending_axes_are_drawn_as_ascending(cube):
    (up,) = ck.plotting.spectra(cube, [(2000, 2000)])
    (down,) = ck.plotting.spectra(
        cube.isel(wavelength=slice(None, None, -1)), [(2000, 2000)]
    )
    np.testing.assert_array_equal(up.get_ydata(), down.get_ydata()[::-1])
    assert [round(p.get_x(), 6) for p in up.axes.patches] == sorted(
        round(p.get_x(), 6) for p in down.axes.patches
    )


@pytest.mark.parametrize("place", [(1.0,), {"y": 1.0}, 5.0])
def test_a_place_that_does_not_fit_is_refused(cube, place):
    with pytest.raises(ValueError, match=r"does not fit dims y, x.*Use at=\[\("):
        ck.plotting.spectra(cube, [place])


# overview


def test_distinct_places_are_pixels_that_differ():
    cube = ck.datasets.scene((40, 50), noise=0)
    truth = ck.datasets.scene_truth((40, 50))
    places = ck.plotting.distinct_places(cube, 3)
    main = [
        str(truth.abundance.sel(place).idxmax("material").values) for place in places
    ]
    assert set(main) == {"limestone", "water", "crop"}


def test_distinct_places_of_a_constant_cube_is_one(cube):
    assert len(ck.plotting.distinct_places(cube * 0, 3)) == 1


def test_distinct_places_have_no_missing_values(cube):
    first = ck.plotting.distinct_places(cube, 1)[0]
    holed = cube.where(~((cube.y == first["y"]) & (cube.x == first["x"])))
    assert ck.plotting.distinct_places(holed, 1)[0] != first
    assert ck.plotting.distinct_places(cube * np.nan, 2) == []


def smoothed(cube):
    return cube, ck.savgol_filter(cube, 7, 2), ck.savgol_filter(cube, 7, 2, deriv=1)


def test_overview_shows_picture_spectra_slope_and_band(cube):
    figure = ck.plotting.overview(*smoothed(cube), band=720)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[0].startswith("wavelength 640")
    assert titles[1:4] == [
        "measured and smoothed",
        "wavelength 721.7 nm",
        "slope of the spectra",
    ]
    assert figure.axes[3].get_ylabel() == "slope of surface reflectance (nm$^{-1}$)"


def test_overview_finds_the_red_edge():
    figure = ck.plotting.overview(*smoothed(ck.datasets.scene((40, 50))))
    band = float(figure.axes[2].get_title().split()[1])
    assert 700 < band < 745


def test_overview_marks_places_in_the_colours_of_their_lines(cube):
    figure = ck.plotting.overview(*smoothed(cube))
    marks = [to_hex(m.get_markerfacecolor()) for m in figure.axes[0].lines]
    for ax in figure.axes[1], figure.axes[3]:
        lines = {m.get_label(): to_hex(m.get_color()) for m in ax.lines}
        assert [lines[name] for name in "ABC"] == marks


def test_overview_outside_the_visible_is_grey(cube):
    figure = ck.plotting.overview(*smoothed(cube.sel(wavelength=slice(1000, 1300))))
    assert figure.axes[0].images[0].get_cmap().name in {"gray", "grey"}


def test_overview_draws_on_the_figure_given(cube):
    figure = Figure()
    assert ck.plotting.overview(*smoothed(cube), figure=figure) is figure
    assert not plt.get_fignums()


# labels


@pytest.mark.parametrize(
    ("attrs", "label"),
    [
        ({}, "soil moisture"),
        ({"units": "1"}, "soil moisture"),
        ({"units": "m3 m-3"}, "soil moisture (m$^{3}$ m$^{-3}$)"),
        ({"long_name": "radiance", "units": "W m^-2"}, "radiance (W m$^{-2}$)"),
        ({"units": "$nm$"}, "soil moisture (nm)"),
        ({"long_name": "a" * 40, "units": "m"}, "a" * 31 + "… (m)"),
    ],
)
def test_labels_have_units_with_raised_powers(attrs, label):
    assert label_of("soil_moisture", attrs) == label


def test_drawing_changes_no_input(cube):
    before = cube.copy(deep=True)
    ck.plotting.overview(*smoothed(cube))
    xr.testing.assert_identical(cube, before)
