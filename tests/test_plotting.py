"""What is really drawn: colours, limits, labels, breaks, shaded and hatched parts."""

from __future__ import annotations

import itertools

import dask
import dask.array
import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.colors import to_hex, to_rgb
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


def test_axes_of_names_are_drawn_in_the_order_of_the_samples(cube):
    band = cube[:3, :, 60].assign_coords(y=["a", "b", "c"])
    ax = ck.plotting.image(band).axes
    assert ax.get_ylabel() == "y (sample)"
    assert ax.get_ylim() == pytest.approx((2.5, -0.5))


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


def test_titles_write_units_as_axes_do():
    shift = {"raman_shift": ("raman_shift", [500.0, 510, 520], {"units": "cm-1"})}
    cube = xr.DataArray(np.zeros((2, 2, 3)), shift, ("y", "x", "raman_shift"))
    title = ck.plotting.image(cube, 510).axes.get_title()
    assert title == "raman shift 510 cm$^{-1}$"
    title = ck.plotting.rgb(cube, (520, 510, 500)).axes.get_title()
    assert title == "raman shift 520, 510, 500 cm$^{-1}$"


def test_temperatures_with_a_little_frost_keep_their_contrast():
    field = xr.DataArray(np.linspace(-2, 28, 20).reshape(4, 5), dims=("y", "x"))
    assert ck.plotting.image(field).get_cmap().name == "cividis"


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
    (band,) = [c for c in line.axes.collections if isinstance(c, PolyCollection)]
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
    assert (to_hex(one.get_color()), to_hex(two.get_color())) == ("#0072b2", "#e69f00")


def lightness(colour):
    """L* of CIE Lab, which a printer in grey keeps."""
    part = np.array(to_rgb(colour))
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return 116 * np.cbrt(luminance) - 16 if luminance > 0.008856 else 903.3 * luminance


def test_lines_are_told_apart_in_grey(cube):
    lines = ck.plotting.spectra(cube, [(2000, x) for x in range(0, 6000, 300)])
    looks = [(lightness(line.get_color()), line.get_linestyle()) for line in lines]
    dashes = [line._unscaled_dash_pattern for line in lines]
    for one, other in itertools.combinations(range(7), 2):
        apart = abs(looks[one][0] - looks[other][0])
        assert apart > 20 or dashes[one] != dashes[other]
    # the first three without dashes
    light = [look for look, style in looks[:3] if style == "-"]
    assert len(light) == 3
    assert min(np.diff(sorted(light))) > 20
    # and no two of twenty are alike
    whole = {(line.get_color(), str(d)) for line, d in zip(lines, dashes, strict=True)}
    assert len(whole) == 20


@pytest.mark.parametrize("size", [(6.4, 4.8), (4, 3), (12, 4)])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_legend_of_a_few_lines_lies_over_none(cube, n, size):
    ax = plt.figure(figsize=size, layout="constrained").add_subplot()
    names = ["quarry", "a field of crop", "lake", "town"]
    for name, x in zip(names[:n], (4500, 1000, 1200, 3300), strict=False):
        ck.plotting.spectra(cube, {name: (3600, x)}, ax=ax)
    ax.figure.draw_without_rendering()
    box, frame = ax.get_legend().get_window_extent(), ax.get_window_extent()
    for line in ax.lines:
        points = ax.transData.transform(line.get_xydata())
        assert np.nanmax(points[:, 1]) < box.y0
    assert frame.x0 <= box.x0
    assert box.x1 <= frame.x1
    # little room is lost for it
    top = max(np.nanmax(line.get_ydata()) for line in ax.lines)
    assert ax.transData.transform((0, top))[1] > frame.y0 + 0.6 * frame.height


def test_a_legend_of_several_rows_is_read_across(cube):
    ax = plt.figure(figsize=(4, 3)).add_subplot()
    names = ["quarry", "a field of crop", "lake", "town"]
    places = dict(
        zip(names, [(3600, x) for x in (4500, 1000, 1200, 3300)], strict=True)
    )
    ck.plotting.spectra(cube, places, ax=ax)
    ax.figure.draw_without_rendering()
    boxes = {t.get_text(): t.get_window_extent() for t in ax.get_legend().get_texts()}
    assert len({round(box.y0) for box in boxes.values()}) > 1
    read = sorted(boxes, key=lambda name: (-round(boxes[name].y0), boxes[name].x0))
    assert read == [*names, "bad bands"]


def test_limits_set_by_hand_stay(cube):
    ax = plt.figure().add_subplot()
    ax.set_ylim(0, 0.3)
    ck.plotting.spectra(cube, {"field": (2000, 2000)}, ax=ax)
    assert ax.get_ylim() == (0, 0.3)


def test_descending_axes_are_drawn_as_ascending(cube):
    (up,) = ck.plotting.spectra(cube, [(2000, 2000)])
    (down,) = ck.plotting.spectra(
        cube.isel(wavelength=slice(None, None, -1)), [(2000, 2000)]
    )
    np.testing.assert_array_equal(up.get_ydata(), down.get_ydata()[::-1])
    assert [round(p.get_x(), 6) for p in up.axes.patches] == sorted(
        round(p.get_x(), 6) for p in down.axes.patches
    )


def test_a_legend_of_many_lines_stands_beside_them(cube):
    ax = ck.plotting.spectra(cube, {f"{x}": (2000, x) for x in range(0, 5000, 800)})[
        0
    ].axes
    ax.figure.draw_without_rendering()
    legend, lines = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert legend.x0 >= lines.x1


def test_short_names_of_line_properties_are_known(cube):
    (line,) = ck.plotting.spectra(cube, [(2000, 2000)], lw=3, c="0.5", ls=":")
    assert (line.get_linewidth(), line.get_color()) == (3, "0.5")


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


def test_overview_of_spectra_in_a_row_draws_the_bands_across(cube):
    figure = ck.plotting.overview(*smoothed(cube[3]))
    for ax in figure.axes[0], figure.axes[2]:
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("wavelength (nm)", "easting (m)")


def test_overview_of_a_single_spectrum(cube):
    figure = ck.plotting.overview(*smoothed(cube[3, 4]))
    labels = [line.get_label() for line in figure.axes[1].lines]
    assert labels == ["measured", "A"]


def test_overview_of_many_dims_draws_the_first_of_them(cube):
    times = xr.concat([cube, 2 * cube], "time").transpose("wavelength", ...)
    figure = ck.plotting.overview(*smoothed(times), band=720)
    alone = ck.plotting.overview(*smoothed(cube), band=720)
    for many, one in zip(figure.axes[0].images, alone.axes[0].images, strict=True):
        np.testing.assert_allclose(many.get_array(), one.get_array(), atol=1e-6)


def test_overview_of_nothing_but_missing_values_is_hatched(cube):
    missing = (cube * np.nan).drop_vars("good_band")
    figure = ck.plotting.overview(*smoothed(missing))
    assert figure.axes[0].patch.get_hatch()
    assert not figure.axes[1].lines


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


def test_names_with_dollar_signs_are_drawn_as_they_are(cube):
    odd = cube.rename("price").assign_attrs(long_name=r"in $ \frac$")
    ax = ck.plotting.spectra(odd, {"$x": (2000, 2000)})[0].axes
    ax.figure.draw_without_rendering()
    assert ax.get_ylabel() == r"in \$ \frac\$"


# what a canvas shows


def pixel(picture, x, y):
    """Colour (0 to 255) of the canvas where a point of the axes is."""
    figure = picture.axes.figure
    figure.canvas.draw()
    canvas = np.asarray(figure.canvas.buffer_rgba())
    column, row = picture.axes.transData.transform((x, y))
    return canvas[canvas.shape[0] - 1 - int(row), int(column), :3].astype(int)


def test_canvas_of_rgb_shows_each_pixel_in_its_place(cube):
    holed = cube.copy()
    holed[2, 5] = np.nan
    picture = ck.plotting.rgb(holed)
    colours = np.round(255 * picture.get_array()[..., :3])
    for i, j in [(0, 0), (0, 15), (11, 0), (11, 15), (4, 9)]:
        found = pixel(picture, cube.x.values[j], cube.y.values[i])
        np.testing.assert_allclose(found, colours[i, j], atol=1)
    assert np.ptp(pixel(picture, cube.x.values[5], cube.y.values[2])) == 0  # grey


def test_canvas_of_an_operator_shows_its_weights(axis):
    op = ck.savgol_operator(axis, 5, 2)
    picture = ck.plotting.operator(op)
    weights = op.matrix.toarray()
    colour = picture.get_cmap()(picture.norm(weights), bytes=True)
    for i, j in [(0, 0), (5, 5), (5, 3), (11, 8)]:
        found = pixel(picture, axis.values[j], axis.values[i])
        np.testing.assert_allclose(found, colour[i, j, :3], atol=1)
    outside = pixel(picture, axis.values[11], axis.values[0])
    np.testing.assert_allclose(outside, 0.85 * 255, atol=1)


def test_canvas_of_spectra_shows_line_shade_and_gap(cube):
    part = cube.where(False, 0.5).assign_coords(good_band=cube.good_band)
    part = part.isel(wavelength=abs(cube.wavelength.values - 700) > 40)
    (line,) = ck.plotting.spectra(part, [(2000, 2000)], lw=5, color="#0072B2")
    line.axes.set_ylim(0, 1)
    np.testing.assert_allclose(pixel(line, 900, 0.5), (0, 0x72, 0xB2), atol=1)
    np.testing.assert_allclose(pixel(line, 700, 0.5), 255)
    np.testing.assert_allclose(pixel(line, 1870, 0.5), 0.88 * 255, atol=1)


def test_drawing_changes_no_input(cube):
    before = cube.copy(deep=True)
    ck.plotting.overview(*smoothed(cube))
    xr.testing.assert_identical(cube, before)


# operator


@pytest.fixture
def axis(cube):
    return ck.Axis.from_cube(cube).isel(slice(0, 12))


def test_operator_draws_its_weights_and_masks_what_is_outside_its_support(axis):
    op = ck.savgol_operator(axis, 5, 2)
    drawn = ck.plotting.operator(op).get_array()
    np.testing.assert_array_equal(~np.ma.getmaskarray(drawn), op.support.toarray())
    np.testing.assert_allclose(drawn.filled(0), op.matrix.toarray())


def test_operator_shows_zeros_inside_the_support():
    even = ck.Axis("x", np.arange(5.0))
    drawn = ck.plotting.operator(ck.derivative_operator(even)).get_array()
    assert abs(drawn[2, 2]) < 1e-12
    assert not np.ma.getmaskarray(drawn)[2, 2]


def test_operator_has_its_first_output_on_top_and_units_on_its_axes(axis):
    op = ck.derivative_operator(axis)
    ax = ck.plotting.operator(op).axes
    bottom, top = ax.get_ylim()
    assert bottom > axis.values[-1] > axis.values[0] > top
    assert ax.get_xlabel() == "input wavelength (nm)"
    assert ax.child_axes[0].get_ylabel() == "weight (nm$^{-1}$)"
    flipped = ck.derivative_operator(axis.isel(slice(None, None, -1)))
    bottom, top = ck.plotting.operator(flipped).axes.get_ylim()
    assert bottom < top


def test_components_of_an_operator_are_counted_in_whole_numbers(cube):
    ax = ck.plotting.operator(ck.PCA(4).fit(cube).operator).axes
    low, high = sorted(ax.get_ylim())
    assert [t for t in ax.get_yticks() if low < t < high] == [1, 2, 3, 4]


def test_operator_draws_undefined_outputs_black():
    axis = ck.Axis("x", np.array([0.0, 1, 2, 3, 50, 51]))
    with pytest.warns(UserWarning, match="segments"):
        op = ck.savgol_operator(axis, 3, 2, max_gap=10)
    ax = ck.plotting.operator(op).axes
    assert [to_hex(p.get_facecolor()) for p in ax.patches] == ["#000000"] * 2


def test_operator_weights_of_either_sign_have_zero_in_the_middle(axis):
    low, high = ck.plotting.operator(ck.savgol_operator(axis, 5, 2)).get_clim()
    assert low == -high


# components, scree, scores


class Model:
    """What is drawn of a fitted model."""

    def __init__(self, cube):
        self.components_ = cube[0, :3].rename(x="component").drop_vars(["y"])
        self.components_ = self.components_.assign_coords(component=[1, 2, 3])
        self.explained_variance_ = xr.DataArray(
            [4.0, 1.0, 0.25], dims="component", attrs={"units": "K2"}
        )
        self.n_samples_ = 200


def test_components_are_drawn_one_below_the_other(cube):
    model = Model(cube)
    lines = ck.plotting.components(model)
    shifts = lines[0].axes.get_yticks()
    for line, shift, component in zip(lines, shifts, model.components_, strict=True):
        expected = component.where(cube.good_band) + shift
        np.testing.assert_allclose(line.get_ydata(), expected, atol=1e-6)
    assert (np.diff(shifts) < 0).all()
    labels = [text.get_text() for text in lines[0].axes.get_yticklabels()]
    assert labels == ["1", "2", "3"]


def test_components_are_as_many_as_asked_for(cube):
    assert len(ck.plotting.components(Model(cube), 2)) == 2
    assert len(ck.plotting.components(Model(cube).components_, 1)) == 1


def test_scree_has_the_error_bars_of_north(cube):
    bars = ck.plotting.scree(Model(cube))
    line, _, (segments,) = bars.lines
    np.testing.assert_allclose(line.get_ydata(), [4, 1, 0.25])
    ends = np.array([segment[:, 1] for segment in segments.get_segments()])
    np.testing.assert_allclose((ends[:, 1] - ends[:, 0]) / 2, [0.4, 0.1, 0.025])
    assert line.axes.get_ylabel() == "variance (K$^{2}$)"
    assert line.axes.get_yscale() == "log"


def test_scree_says_what_the_variances_of_a_noise_model_are_over():
    noisy = ck.datasets.scene((20, 30))
    bars = [ck.plotting.scree(model.fit(noisy)) for model in (ck.PCA(3), ck.MNF(3))]
    labels = [bar.lines[0].axes.get_ylabel() for bar in bars]
    assert labels == ["variance", "variance over noise"]


def test_scree_of_no_variance_has_no_logarithms(cube):
    model = Model(cube)
    model.explained_variance_ = 0 * model.explained_variance_
    line, *_ = ck.plotting.scree(model).lines
    assert line.axes.get_yscale() == "linear"
    np.testing.assert_array_equal(line.get_ydata(), 0)


def test_scores_draw_two_components_without_missing_pixels(cube):
    pixels = cube.isel(wavelength=slice(3)).rename(wavelength="component").copy()
    pixels = pixels.drop_vars("component")
    pixels[0, 0, 1] = np.nan
    points = ck.plotting.scores(pixels, 2, 1).get_offsets()
    expected = pixels.values.reshape(-1, 3)[1:, [1, 0]]
    np.testing.assert_allclose(points, expected)


def test_scores_name_their_components_and_thin_large_cubes(cube):
    pixels = cube.isel(wavelength=slice(3)).rename(wavelength="component")
    pixels = pixels.assign_coords(component=[1, 2, 3]).assign_attrs(units="K")
    drawn = ck.plotting.scores(pixels, 3, 1, max_pixels=4)
    assert len(drawn.get_offsets()) == 16
    assert drawn.axes.get_xlabel() == "component 3 (K)"
    assert drawn.axes.get_ylabel() == "component 1 (K)"


def test_points_far_out_do_not_squeeze_the_others():
    cloud = np.random.default_rng(0).normal(size=(400, 2))
    cloud[7] = 300, 0
    cloud[8] = 0, -500
    scores = xr.DataArray(cloud, dims=("pixel", "component"))
    drawn = ck.plotting.scores(scores, max_pixels=400)
    assert len(drawn.get_offsets()) == 400
    assert 6 < np.ptp(drawn.axes.get_xlim()) < 16
    assert 6 < np.ptp(drawn.axes.get_ylim()) < 16
    assert drawn.axes.get_title() == "2 points lie outside"
    whole = ck.plotting.scores(scores.isel(pixel=slice(9, None)), max_pixels=400)
    assert whole.axes.get_title() == ""
    (left, right), (bottom, top) = whole.axes.get_xlim(), whole.axes.get_ylim()
    assert left < cloud[9:, 0].min() < cloud[9:, 0].max() < right
    assert bottom < cloud[9:, 1].min() < cloud[9:, 1].max() < top


# gradient_field, hessian


@pytest.fixture
def hill():
    y = xr.DataArray(np.linspace(50, 0, 26), dims="y", attrs={"units": "m"})
    x = xr.DataArray(np.linspace(0, 80, 41), dims="x", attrs={"units": "m"})
    field = (2 * (y - 20) ** 2 + (x - 40) ** 2).assign_coords(y=y, x=x)
    field.attrs = {"units": "K", "long_name": "temperature"}
    slopes = xr.concat([4 * (y - 20) + 0 * x, 2 * (x - 40) + 0 * y], "direction")
    slopes = slopes.assign_coords(y=y, x=x, direction=["y", "x"])
    slopes.attrs["units"] = "K m-1"
    return field, slopes


def test_arrows_point_uphill_at_their_places(hill):
    field, slopes = hill
    arrows = ck.plotting.gradient_field(field, slopes, arrows=5)
    assert arrows.X.size <= 25
    np.testing.assert_allclose(arrows.U, 2 * (arrows.X - 40))
    np.testing.assert_allclose(arrows.V, 4 * (arrows.Y - 20))


def test_arrows_are_drawn_in_axis_units_with_a_scale(hill):
    arrows = ck.plotting.gradient_field(*hill)
    assert (arrows.angles, arrows.scale_units) == ("xy", "xy")
    title = arrows.axes.get_title()
    assert title.startswith("longest arrows: ")
    assert title.endswith("(K m$^{-1}$)")


def shifts(arrows):
    """How far each arrow reaches on the screen, (place, 2)."""
    arrows.axes.figure.draw_without_rendering()
    start = np.column_stack([arrows.X, arrows.Y])
    to = start + np.column_stack([arrows.U, arrows.V]) / arrows.scale
    transform = arrows.axes.transData.transform
    return transform(to) - transform(start)


def test_arrows_are_as_far_apart_along_both_sides_of_a_narrow_picture():
    axes = {
        "y": ("y", np.linspace(0, 40, 161), {"units": "m"}),
        "x": ("x", np.linspace(0, 10, 161), {"units": "m"}),
    }
    plane = xr.DataArray(np.zeros((161, 161)), axes, ("y", "x"))
    arrows = ck.plotting.gradient_field(plane, ck.gradient(plane), arrows=20)
    up, across = np.unique(arrows.Y), np.unique(arrows.X)
    assert 15 <= len(up) <= 20
    assert np.diff(up)[0] == pytest.approx(np.diff(across)[0], rel=0.25)


def test_no_arrow_of_a_cliff_reaches_farther_than_the_next(hill):
    field, _ = hill
    cliff = (field + 1e6 * (field.x > 39)).assign_attrs(field.attrs)
    arrows = ck.plotting.gradient_field(cliff, ck.gradient(cliff), arrows=20)
    steep = np.hypot(arrows.U, arrows.V) / arrows.scale
    apart = [np.diff(np.unique(places))[0] for places in (arrows.X, arrows.Y)]
    assert steep.max() == pytest.approx(min(apart))
    # and the others are there to be seen
    assert np.median(steep) > 0.2 * steep.max()
    assert arrows.axes.get_title().endswith(" (K m$^{-1}$), or more")


def test_arrows_of_a_smooth_field_are_as_long_as_it_is_steep(hill):
    field, _ = hill
    plane = 0 * field.y + 3 * field.x
    arrows = ck.plotting.gradient_field(plane, ck.gradient(plane))
    assert arrows.axes.get_title() == "longest arrows: 3"
    np.testing.assert_allclose(arrows.U, 3)


def test_arrows_are_spread_evenly_over_uneven_axes():
    x = np.linspace(-1, 1, 201) ** 3  # dense in the middle
    axes = {"y": np.linspace(2, 0, 21), "x": x}
    plane = xr.DataArray(x + np.zeros((21, 1)), axes, ("y", "x"))
    arrows = ck.plotting.gradient_field(plane, ck.gradient(plane), arrows=10)
    across = np.unique(arrows.X)
    assert len(across) == 10
    assert set(across) <= set(x)
    np.testing.assert_allclose(np.diff(across), 0.2, atol=0.02)


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_arrows_on_axes_of_different_units_point_uphill_as_drawn(scale):
    y = np.linspace(0, scale, 21)
    x = np.linspace(0, 1, 21)
    axes = {"y": ("y", y, {"units": "cm"}), "x": ("x", x, {"units": "degrees"})}
    plane = xr.DataArray(x + y[:, None] / scale, axes, ("y", "x"), attrs={"units": "K"})
    arrows = ck.plotting.gradient_field(plane, ck.gradient(plane))
    across, up = shifts(arrows).T
    # from corner to corner of the picture, whatever the units of y
    frame = arrows.axes.get_window_extent()
    np.testing.assert_allclose(up / across, frame.height / frame.width, rtol=1e-6)
    assert arrows.axes.get_title().startswith("longest arrows: a rise of ")
    assert arrows.axes.get_title().endswith(" (K) to the next")


def test_a_map_of_degrees_is_true_to_shape():
    axes = {
        "lat": ("lat", np.linspace(70, 50, 9), {"units": "degrees_north"}),
        "lon": ("lon", np.linspace(0, 20, 9), {"units": "degrees_east"}),
    }
    ax = ck.plotting.image(xr.DataArray(np.zeros((9, 9)), axes, ("lat", "lon"))).axes
    assert ax.get_aspect() == pytest.approx(2)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("lon (°E)", "lat (°N)")


def test_the_flattest_place_is_marked(hill):
    arrows = ck.plotting.gradient_field(*hill, mark=(20, 40))
    marks = {(*m.get_xdata(), *m.get_ydata()) for m in arrows.axes.lines}
    assert marks == {(40, 20)}
    found = ck.flattest(hill[0], by="gradient")
    arrows = ck.plotting.gradient_field(*hill, mark=found)
    marks = {(*m.get_xdata(), *m.get_ydata()) for m in arrows.axes.lines}
    assert marks == {(float(found.x), float(found.y))}


def test_arrows_of_a_gradient_per_metre_point_north_and_east_on_a_map():
    axes = {
        "lat": ("lat", np.linspace(70, 50, 21), {"units": "degrees_north"}),
        "lon": ("lon", np.linspace(0, 20, 21), {"units": "degrees_east"}),
    }
    field = xr.DataArray(np.zeros((21, 21)), axes, ("lat", "lon"), attrs={"units": "m"})
    slope = ck.gradient(field, ("lat", "lon"), geographic=True)
    slope[0], slope[1] = 0.3, 0.4
    arrows = ck.plotting.gradient_field(field, slope)
    across, up = shifts(arrows).T
    np.testing.assert_allclose(up / across, 0.75, rtol=1e-6)
    assert arrows.axes.get_title() == "longest arrows: 0.5"


def test_arrows_along_coordinates_of_two_dims_are_refused(hill):
    field, _ = hill
    y, x = np.meshgrid(field.y, field.x, indexing="ij")
    swath = field.assign_coords(lat=(field.dims, y), lon=(field.dims, x))
    slope = ck.gradient(swath, ("lat", "lon"), curvilinear=True)
    with pytest.raises(ValueError, match=r"two-dimensional.*Draw one component: image"):
        ck.plotting.gradient_field(swath, slope)


def test_missing_gradients_have_no_arrow(hill):
    field, slopes = hill
    arrows = ck.plotting.gradient_field(field, slopes.where(slopes.x > 40))
    np.testing.assert_array_equal(arrows.Umask, arrows.X <= 40)


def test_directions_must_be_those_of_the_field(hill):
    field, slopes = hill
    with pytest.raises(
        ValueError, match=r"directions are \['y', 'z'\].*gradient\(field"
    ):
        ck.plotting.gradient_field(field, slopes.assign_coords(direction=["y", "z"]))


def test_hessian_has_a_picture_for_each_pair_with_the_same_colours(hill):
    field, _ = hill
    parts = np.array([[4.0, 0.0], [0.0, 2.0]])
    second = field * 0 + xr.DataArray(
        parts,
        dims=("direction", "direction_2"),
        coords={"direction": ["y", "x"], "direction_2": ["y", "x"]},
    )
    pictures = ck.plotting.hessian(second)
    assert [float(p.get_array().mean()) for p in pictures] == [4, 0, 0, 2]
    assert {p.get_clim() for p in pictures} == {(-4.0, 4.0)}
    assert "\\partial y \\, \\partial x" in pictures[1].axes.get_title()


def test_second_derivatives_in_different_units_have_colours_of_their_own(hill):
    field, _ = hill
    cube = (field * 1e-6 * field.y).assign_attrs(units="K")
    cube.y.attrs["units"], cube.x.attrs["units"] = "cm", "degrees"
    pictures = ck.plotting.hessian(ck.hessian(cube))
    assert len({p.get_clim() for p in pictures}) == 3
    titles = [p.axes.get_title() for p in pictures]
    assert titles[0].endswith("(K cm$^{-2}$)")
    assert titles[1].endswith("(K cm$^{-1}$ degrees$^{-1}$)")
    assert all(p.colorbar for p in pictures)


def test_a_long_strip_in_one_unit_is_not_drawn_true_to_shape():
    axes = {
        "z": ("z", np.linspace(0, 500, 5), {"units": "m"}),
        "x": ("x", np.linspace(0, 20000, 6), {"units": "m"}),
    }
    cube = xr.DataArray(np.zeros((5, 6)), axes, ("z", "x"))
    assert ck.plotting.image(cube).axes.get_aspect() == "auto"


def test_powers_of_units_are_raised_however_they_are_written():
    axes = {"y": np.arange(3.0), "x": np.arange(3.0)}
    cube = xr.DataArray(
        np.ones((3, 3)), axes, ("y", "x"), attrs={"units": "m**2 s**-2"}
    )
    bar = ck.plotting.image(cube, label=None).colorbar
    assert bar.ax.get_ylabel() == "value (m$^{2}$ s$^{-2}$)"


# quality


def test_quality_counts_missing_zero_and_negative_values(cube):
    part = cube.copy()
    part[:3, :, 10] = np.nan
    part[:6, :, 20] = 0
    part[:9, :, 30] = -1
    part[0, :, 40] = np.inf
    lines = {m.get_label(): m.get_ydata() for m in ck.plotting.quality(part)}
    assert lines["missing"][[10, 40]] == pytest.approx([25, 100 / 12])
    assert lines["zero"][20] == pytest.approx(50)
    assert lines["negative"][30] == pytest.approx(75)


def test_quality_draws_bad_bands_too(cube):
    (missing, _, _) = ck.plotting.quality(cube * np.nan)
    np.testing.assert_allclose(missing.get_ydata(), 100)
    assert missing.axes.patches
    assert missing.axes.get_ylabel() == "share of values (%)"


def test_quality_begins_at_nothing_and_names_its_lines_in_order(cube):
    ax = ck.plotting.quality(cube)[0].axes
    assert ax.get_ylim()[0] == 0
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["missing", "zero", "negative", "bad bands"]
    missing, zero, negative = (line.get_linewidth() for line in ax.lines)
    assert missing > zero > negative  # all show where all are nothing


@pytest.mark.parametrize("band", [0.85, 9999])
def test_a_band_off_the_axis_is_refused_not_replaced_by_the_last_one(cube, band):
    with pytest.raises(ck.CoordinateError, match=r"image: there is no band near .* nm"):
        ck.plotting.image(cube, band)
    with pytest.raises(ck.CoordinateError, match=r"rgb: there is no band near .* nm"):
        ck.plotting.rgb(cube, (650, 550, band))


def test_a_cube_of_one_band_is_drawn_for_any_value(cube):
    picture = ck.plotting.image(cube.isel(wavelength=[3]), 850)
    assert picture.axes.get_title() == "wavelength 403.1 nm"


@pytest.mark.parametrize("bands", [(600, 500), 600, (1, 2, 3, 4)])
def test_colours_need_three_bands(cube, bands):
    with pytest.raises(ValueError, match=r"rgb: bands=.* are not three\. .*bands=\("):
        ck.plotting.rgb(cube, bands)


def test_an_unknown_stretch_is_refused(cube):
    with pytest.raises(ValueError, match=r"stretch='both' is unknown.*stretch=\"joint"):
        ck.plotting.rgb(cube, stretch="both")


@pytest.mark.parametrize("percentile", [(98, 2), (2, 101), (2,), 2, (np.nan, 98)])
def test_percentiles_that_are_no_range_are_refused(cube, percentile):
    with pytest.raises(ValueError, match=r"image: percentile=.* is no range.*\(2, 98"):
        ck.plotting.image(cube, 850, percentile=percentile)


@pytest.mark.parametrize(("x", "y"), [(1, 99), (0, 1)])
def test_scores_of_a_component_that_is_not_there_are_refused(cube, x, y):
    scores = ck.PCA(3).fit(cube).transform(cube)
    with pytest.raises(ValueError, match=r"is no component\. There are 1 to 3"):
        ck.plotting.scores(scores, x, y)


def test_a_field_in_place_of_its_derivatives_is_told_where_they_come_from(cube):
    field = cube.isel(wavelength=3)
    with pytest.raises(ValueError, match=r"no labelled 'direction'.*cubekit\.gradient"):
        ck.plotting.gradient_field(field, field)
    with pytest.raises(ValueError, match=r"no labelled 'direction'.*cubekit\.hessian"):
        ck.plotting.hessian(field)
    with pytest.raises(ValueError, match=r"no labelled 'direction_2'"):
        ck.plotting.hessian(ck.gradient(field))


@pytest.mark.parametrize("y", [1e9, -1e9, np.nan])
def test_a_place_off_the_cube_is_refused_not_moved_to_its_edge(cube, y):
    with pytest.raises(ValueError, match=r"spectra: y = .* m is off the cube.*inside"):
        ck.plotting.spectra(cube, [(y, 2000.0)])
    ck.plotting.spectra(cube, [(4499.0, 1.0)])  # in the outermost cells
    ck.plotting.spectra(cube.isel(y=[2]), [(0.0, 1.0)])


# what is drawn downwards, and what finds itself


@pytest.mark.parametrize(
    "attrs", [{"units": "m", "positive": "down"}, {"standard_name": "depth"}]
)
@pytest.mark.parametrize("step", [1, -1])
def test_depth_grows_downwards(attrs, step):
    depth = np.array([5.0, 15, 40, 90])[::step]
    section = xr.DataArray(
        np.ones((4, 3)),
        coords={"depth": ("depth", depth, attrs), "x": [0.0, 1, 2]},
        dims=("depth", "x"),
    )
    bottom, top = ck.plotting.image(section).axes.get_ylim()
    assert bottom > 90
    assert top < 5


def test_height_without_units_grows_upwards_if_it_says_so():
    height = ("z", [1.0, 2, 3], {"positive": "up"})
    field = xr.DataArray(np.ones((3, 2)), coords={"z": height}, dims=("z", "x"))
    bottom, top = ck.plotting.image(field).axes.get_ylim()
    assert bottom < top


def test_scores_are_drawn_without_being_told_which_dim_is_theirs(cube):
    scores = ck.PCA(4).fit(cube).transform(cube)
    told = ck.plotting.rgb(scores, (1, 2, 3), coord="component")
    found = ck.plotting.rgb(scores)
    np.testing.assert_array_equal(found.get_array(), told.get_array())
    bare = ck.plotting.rgb(scores.drop_vars("component"))
    np.testing.assert_array_equal(bare.get_array(), told.get_array())
    assert ck.plotting.image(scores, 2).axes.get_title() == "component 2"


def test_models_scores_and_cubes_taken_for_each_other_are_told_apart(cube):
    with pytest.raises(
        TypeError, match=r"a DataArray has no explained_variance_\..*Use"
    ):
        ck.plotting.scree(cube)
    with pytest.raises(ValueError, match=r"scores: the dims .* have no 'component'"):
        ck.plotting.scores(cube)
    with pytest.raises(
        ValueError, match=r"components: the dims .* have no 'component'"
    ):
        ck.plotting.components(cube)


@pytest.mark.parametrize("ax", [3, "left", plt])
def test_axes_that_are_none_are_refused(cube, ax):
    with pytest.raises(TypeError, match=r"ax=.* is of type .*Leave ax out.*or give"):
        ck.plotting.image(cube, 850, ax=ax)


@pytest.mark.parametrize(
    ("units", "weight"), [("nm", "nm$^{-2}$"), ("cm-1", "cm$^{2}$")]
)
def test_weights_of_a_derivative_are_in_units_of_its_axis(units, weight):
    axis = ck.Axis("shift", [100.0, 102, 105, 107, 110], units=units)
    picture = ck.plotting.operator(ck.derivative_operator(axis, 2))
    assert picture.colorbar.ax.get_ylabel() == f"weight ({weight})"


def test_places_on_a_map_are_written_out():
    places = {"y": 5.809e6 - 30.0 * np.arange(8), "x": 364095 + 30.0 * np.arange(9)}
    ax = ck.plotting.image(xr.DataArray(np.zeros((8, 9)), places, ("y", "x"))).axes
    ax.figure.canvas.draw()
    for axis in (ax.xaxis, ax.yaxis):
        assert axis.get_major_formatter().get_offset() == ""
        ticks = [t for t in axis.get_ticklabels() if t.get_text()]
        written = [float(t.get_text().replace("\N{MINUS SIGN}", "-")) for t in ticks]
        np.testing.assert_allclose(written, axis.get_ticklocs(), rtol=1e-12)


def test_the_legends_of_an_overview_stand_above_its_lines(cube):
    smooth, slope = (ck.savgol_filter(cube, 11, 3, deriv=d) for d in (0, 1))
    figure = ck.plotting.overview(cube, smooth, slope)
    figure.canvas.draw()
    for ax in figure.axes:
        if ax.get_legend() is None:
            continue
        box = ax.get_legend().get_window_extent()
        frame = ax.get_window_extent()
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        for line in ax.lines:
            if line.get_label() in {"A", "B", "C", "measured"}:
                points = ax.transData.transform(line.get_xydata())
                assert np.nanmax(points[:, 1]) < box.y0
