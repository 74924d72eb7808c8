"""The viewer without a browser: what it shows, what it reads, what it hands out."""

from __future__ import annotations

import importlib.util
import io
import types

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import cubekit as ck
from cubekit.io.direct import ChunkReader
from cubekit.viewer import layers
from cubekit.viewer.collection import Collection
from cubekit.viewer.layers import Window
from cubekit.viewer.page import Page
from cubekit.viewer.view import View


@pytest.fixture(scope="module")
def cube():
    return ck.datasets.scene((24, 32))


def last(view, layer, window=None):
    *_, frame = view.frames(layer, window)
    return frame


def band(view, position=60):
    return layers.band(view.cube, view.axis, position)


# what is shown


def test_a_frame_is_the_band_with_its_lowest_row_first(cube):
    view = View(cube)
    frame = last(view, band(view))
    expected = cube.isel(wavelength=60).sortby("y")
    np.testing.assert_array_equal(frame.values[..., 0], expected)
    assert frame.window == pytest.approx((0, 6000, 0, 4500))
    assert (frame.done, frame.every) == (1, 1)


@pytest.mark.parametrize("dims", [("wavelength", "y", "x"), ("y", "wavelength", "x")])
def test_a_frame_is_the_same_for_any_order_of_dims_and_any_chunks(cube, dims):
    view, plain = View(cube.transpose(*dims).chunk(y=5, x=7)), View(cube)
    found = last(view, layers.colour(view.axis)).values
    np.testing.assert_array_equal(found, last(plain, layers.colour(plain.axis)).values)


def test_a_window_is_read_as_finely_as_the_pixels_allow(cube):
    view = View(cube, max_pixels=10)
    assert last(view, band(view)).every == 4
    frame = last(view, band(view), (1000, 2500, 800, 1900))
    assert frame.every == 1
    left, right, bottom, top = frame.window
    assert (left, right) == pytest.approx((937.5, 2625))
    assert bottom <= 800
    assert top >= 1900
    inside = cube.sel(x=slice(left, right), y=slice(top, bottom)).sortby("y")
    np.testing.assert_array_equal(frame.values[..., 0], inside.isel(wavelength=60))


def test_uneven_pixels_are_shown_where_they_are(cube):
    x = np.r_[0.0, 1, 2, 4, 8, 16:42]
    view = View(cube.isel(x=slice(len(x))).assign_coords(x=("x", x, {"units": "m"})))
    frame = last(view, band(view))
    left, right = frame.window[:2]
    step = (right - left) / frame.values.shape[1]
    middle = left + step * (np.arange(frame.values.shape[1]) + 0.5)
    away = np.sort(np.abs(x - middle[:, None]), axis=1)
    is_between = np.isclose(away[:, 0], away[:, 1])  # either of the two
    nearest = np.abs(x - middle[:, None]).argmin(axis=1)
    expected = cube.isel(wavelength=60, x=nearest).sortby("y")
    same = (frame.values[..., 0] == expected.values).all(axis=0)
    assert (same | is_between).all()
    assert is_between.mean() < 0.1


def test_a_derivative_is_that_of_the_smoothed_spectra(cube):
    view = View(cube)
    layer = layers.derivative(view.cube, view.axis, 60, Window(9, 3, 2))
    exact = ck.savgol_filter(cube.astype(float), 9, 3, deriv=2)
    expected = exact.isel(wavelength=60).sortby("y")
    # in double precision, and then rounded as the cube is
    np.testing.assert_allclose(
        last(view, layer).values[..., 0], expected, rtol=1e-7, atol=1e-15
    )
    assert layer.label == "surface reflectance (nm$^{-2}$)"
    assert len(layer.bands) == 9


def test_principal_components_are_those_of_the_cube_but_for_a_constant(cube):
    view = View(cube)
    model = layers.fit_pca(view.cube, view.axis)
    shown = last(view, layers.principal(model)).values
    scores = model.transform(cube).sortby("y").transpose("y", "x", "component")
    off = shown - scores.values
    assert np.ptp(off, axis=(0, 1)).max() < 1e-5


def test_missing_values_stay_in_the_pixels_they_are_in(cube):
    holed = cube.copy()
    holed[3, 4, 61] = np.nan
    view = View(holed)
    frame = last(view, layers.derivative(view.cube, view.axis, 60, Window()))
    assert np.argwhere(np.isnan(frame.values[::-1, :, 0])).tolist() == [[3, 4]]
    rgba, _, _ = frame.rgba()
    assert (rgba[..., 3] == 0).sum() == 1


def test_values_of_both_signs_get_a_map_about_zero(cube):
    view = View(cube)
    slope = layers.derivative(view.cube, view.axis, 60, Window())
    _, (low, high), name = last(view, slope).rgba()
    assert (low, name) == (-high, "RdBu_r")
    _, limits, name = last(view, band(view)).rgba((0, 100))
    values = cube.isel(wavelength=60)
    assert limits == pytest.approx((float(values.min()), float(values.max())))
    assert name == "cividis"


def test_infrared_bands_are_shown_in_false_colour(cube):
    axis = ck.Axis.from_cube(cube.sel(wavelength=slice(1000, 2490)))
    layer = layers.colour(axis)
    assert layer.title.startswith("false colour: ")
    red, green, blue = (axis.values[at[0]] for at, _ in layer.sums)
    assert red > green > blue


def test_depth_grows_downwards_and_counted_lines_too(cube):
    depth = cube.y.assign_attrs(positive="down", units="m")
    assert View(cube.assign_coords(y=depth)).points_down
    assert View(cube.drop_vars("y")).points_down
    assert not View(cube).points_down


def test_of_further_dims_the_first_sample_is_shown(cube):
    many = xr.concat([cube, cube * 0], "time").transpose("y", "time", "x", ...)
    view, plain = View(many.transpose("time", ...)), View(cube)
    np.testing.assert_array_equal(
        last(view, band(view)).values, last(plain, band(plain)).values
    )


def test_a_table_of_spectra_is_refused(cube):
    with pytest.raises(ValueError, match=r"the cube has dims .*plotting\.spectra"):
        ck.explore(cube[0])


# what is read


@pytest.fixture
def chunks_read(monkeypatch):
    read = []
    once = ChunkReader.read_chunk

    def counting(self, file, index):
        if len(index) == 3:  # not of a coordinate
            read.append(index)
        return once(self, file, index)

    monkeypatch.setattr(ChunkReader, "read_chunk", counting)
    return read


def stored(cube, path, depth):
    """The cube, lazily, from a file of chunks of so many bands."""
    chunks = {"y": 8, "x": 8}
    ck.save_cube(cube, path, chunks={**chunks, "wavelength": depth}, progress=False)
    return ck.open_cube(path, chunks=chunks)


@pytest.fixture(scope="module")
def file(cube, tmp_path_factory):
    return stored(cube, tmp_path_factory.mktemp("files") / "scene.nc", 20)


def test_only_the_chunks_of_the_window_and_the_band_are_read(file, chunks_read):
    view = View(file)
    last(view, band(view, 65), (0, 1400, 3100, 4400))
    assert chunks_read == [(0, 0, 3)]


def test_what_was_read_is_not_read_again(file, chunks_read):
    view = View(file)
    last(view, band(view, 65))
    assert len(chunks_read) == 12
    last(view, band(view, 65))
    last(view, band(view, 79))  # from the same chunks
    assert len(chunks_read) == 12
    last(view, band(view, 80))
    assert len(chunks_read) == 24


def test_no_more_is_kept_than_the_memory_given(file):
    view = View(file, memory=24 * 32 * 4 * 3)
    for position in range(0, 200, 20):
        last(view, band(view, position))
        assert view._reader.nbytes <= 24 * 32 * 4 * 3


def test_nothing_is_read_before_a_frame_is_asked_for(file, chunks_read):
    view = View(file)
    view.frames(band(view))
    assert not chunks_read


def test_frames_come_one_by_one_and_grow(file):
    view = View(file)
    frames = list(view.frames(band(view), patience=0))
    done = [frame.done for frame in frames]
    assert done[0] == pytest.approx(1 / 12)
    assert done == sorted(done)
    assert done[-1] == 1
    right = [(frame.values == frames[-1].values).mean() for frame in frames]
    assert right == pytest.approx(done)


def test_what_is_not_read_yet_looks_like_the_nearest_that_is(file):
    view = View(file)
    first, *_, whole = view.frames(band(view), patience=0)
    assert np.isfinite(first.values).all()
    corner = whole.values[-8:, :8]  # the first chunk: the highest rows
    np.testing.assert_array_equal(first.values[-8:, :8], corner)
    # its edges go on to those of the picture
    np.testing.assert_array_equal(first.values[:-8, :8], corner[:1].repeat(16, axis=0))
    np.testing.assert_array_equal(
        first.values[-8:, 8:], corner[:, -1:].repeat(24, axis=1)
    )


@pytest.fixture(scope="module")
def deep(cube, tmp_path_factory):
    """File whose chunks hold all bands."""
    return stored(cube, tmp_path_factory.mktemp("files") / "spectra.nc", 285)


MEMORY = 24 * 32 * 285 * 4 // 4


def test_bands_of_a_file_of_spectra_are_sketched_while_one_is_read(deep, chunks_read):
    view = View(deep, memory=MEMORY)
    first = last(view, band(view, 65))
    assert len(chunks_read) == 12  # once
    frames = view.frames(band(view, 200), patience=0)
    sketched = next(frames)
    assert len(chunks_read) == 12  # nothing for the first look at another band
    assert sketched.done == 0
    *_, whole = frames
    assert whole.done == 1
    assert len(chunks_read) == 24
    expected = deep.isel(wavelength=200).values[::-1]
    np.testing.assert_array_equal(whole.values[..., 0], expected)
    np.testing.assert_array_equal(first.values[::-1, :, 0], deep.isel(wavelength=65))
    # every third sample, as large as three
    coarse = deep.isel(wavelength=200).values[::3, ::3]
    coarse = coarse.repeat(3, axis=0).repeat(3, axis=1)[:24, :32]
    np.testing.assert_array_equal(sketched.values[::-1, :, 0], coarse)
    assert view._reader.nbytes <= MEMORY


def test_what_is_sketched_of_a_part_is_shown_before_the_rest(deep, chunks_read):
    view = View(deep, memory=MEMORY)
    frames = view.frames(band(view, 65), patience=0)
    next(frames)
    read = len(chunks_read)
    assert read < 12
    begun = next(view.frames(band(view, 66), patience=0))
    assert len(chunks_read) == read
    assert np.isfinite(begun.values).all()


def test_another_window_of_a_file_of_spectra_is_sketched_anew(deep):
    view = View(deep, memory=MEMORY)
    last(view, band(view, 65))
    window = (0, 3000, 2000, 4400)
    part = last(view, band(view, 65), window)
    expected = last(View(deep), band(view, 65), window)
    np.testing.assert_array_equal(part.values, expected.values)
    again = last(view, band(view, 70))
    np.testing.assert_array_equal(again.values[::-1, :, 0], deep.isel(wavelength=70))


def test_the_first_chunks_to_come_are_far_from_each_other(cube):
    view = View(cube.chunk(y=6, x=8))
    frames = view.frames(band(view), patience=0)
    next(frames)
    drawn = next(frames).values[..., 0] == last(view, band(view)).values[..., 0]
    rows, columns = np.nonzero(drawn)
    assert np.ptp(rows) > 12 or np.ptp(columns) > 16


# spectra


def test_a_pixel_gives_its_spectrum_and_its_place(cube):
    picked = Collection(View(cube)).add_pixel(1010.0, 2000.0)
    expected = cube.sel(x=1010, y=2000, method="nearest")
    np.testing.assert_array_equal(picked.values, expected)
    assert (float(picked.x[0]), float(picked.y[0])) == (expected.x, expected.y)
    assert picked.label == "A"


def test_a_place_off_the_cube_adds_nothing(cube):
    collection = Collection(View(cube))
    assert collection.add_pixel(-500.0, 2000.0) is None
    assert (
        collection.add_region(np.array([-9.0, -8, -8]), np.array([-9.0, -9, -8]))
        is None
    )
    assert not collection.picked


def test_a_region_gives_the_mean_of_the_pixels_inside(cube):
    holed = cube.copy()
    holed[10, 10, 5] = np.nan
    x, y = cube.x.values, cube.y.values
    west, east, north, south = x[8] - 50, x[12] + 50, y[9] + 50, y[11] - 50
    corners = np.array([west, east, east, west]), np.array([south, south, north, north])
    picked = Collection(View(holed)).add_region(*corners)
    expected = holed[9:12, 8:13].astype(float).mean(("y", "x"))
    np.testing.assert_allclose(picked.values, expected, rtol=1e-6)
    assert picked.label == "A, mean of 15"


def test_a_triangle_has_the_pixels_whose_centres_are_in_it(cube):
    left, right, bottom, top = View(cube).whole
    corners = np.array([left, right, left]), np.array([bottom, bottom, top])
    picked = Collection(View(cube)).add_region(*corners)
    row, column = np.indices((24, 32)) + 0.5
    assert picked.pixels == (row / 24 + column / 32 < 1 + 1e-9).sum()


def test_a_large_region_is_thinned_and_says_so():
    large = ck.datasets.scene((300, 400), chunks={"y": 50}).isel(wavelength=slice(5))
    view = View(large)
    left, right, bottom, top = view.whole
    corners = np.array([left, right, right, left]), np.array([bottom, bottom, top, top])
    picked = Collection(view).add_region(*corners)
    assert picked.label == "A, mean of 10000 of 120000"


def test_spectra_are_smoothed_as_by_the_filter(cube):
    collection = Collection(View(cube))
    collection.add_pixel(1010, 2000)
    smooth, slope = collection.processed(Window(7, 2, 2))
    one = cube.sel(x=1010, y=2000, method="nearest").astype(float)
    how = {"max_gap": "auto", "missing": "refit"}
    np.testing.assert_allclose(smooth[0], ck.savgol_filter(one, 7, 2, **how))
    np.testing.assert_allclose(slope[0], ck.savgol_filter(one, 7, 2, deriv=2, **how))
    assert slope.attrs["units"] == "nm-2"


def test_names_go_on_after_the_alphabet_and_start_again_when_cleared(cube):
    collection = Collection(View(cube))
    for _ in range(27):
        collection.add_pixel(1010, 2000)
    assert [p.name for p in collection.picked[-2:]] == ["Z", "A1"]
    collection.clear()
    assert collection.add_pixel(1010, 2000).name == "A"


def test_the_table_has_a_line_for_each_value(cube):
    collection = Collection(View(cube))
    collection.add_pixel(1010, 2000)
    collection.add_pixel(3050, 1010)
    table = pd.read_csv(io.StringIO(collection.to_csv(Window())))
    assert list(table.columns) == [
        *("spectrum", "y (m)", "x (m)", "pixels", "wavelength (nm)", "good"),
        *("raw", "smooth", "derivative (nm-1)"),
    ]
    second = table[table.spectrum == "B"]
    expected = cube.sel(x=3050, y=1010, method="nearest")
    np.testing.assert_array_equal(second.raw, expected.astype(float))
    np.testing.assert_array_equal(second.good, cube.good_band)
    assert second["derivative (nm-1)"].isna().sum() == (~cube.good_band).sum()


def test_the_netcdf_file_opens_as_a_cube(cube, tmp_path):
    collection = Collection(View(cube))
    collection.add_pixel(1010, 2000)
    path = tmp_path / "spectra.nc"
    path.write_bytes(collection.to_netcdf(Window(7, 2, 1)))
    slope = ck.open_cube(path, variable="derivative")
    assert slope.dims == ("spectrum", "wavelength")
    assert slope.attrs["units"] == "nm-1"
    raw = ck.open_cube(path, variable="raw")
    np.testing.assert_array_equal(raw[0], collection.picked[0].values)
    assert "window_length=7" in xr.open_dataset(path).attrs["processing"]


# the page


@pytest.fixture
def page(cube):
    return Page(View(cube))


def event(**what):
    return types.SimpleNamespace(**what)


def test_explore_gives_something_that_panel_can_show(cube):
    assert type(ck.explore(cube)).__module__.startswith("panel.")


def test_a_click_draws_dots_a_smooth_line_and_its_slope(page, cube):
    page.pick(1010, 2000)
    expected = cube.sel(x=1010, y=2000, method="nearest")[cube.good_band]
    np.testing.assert_array_equal(page.spectra.dots.data["y"], expected)
    assert page.spectra.smooth.data["name"] == ["A"]
    assert page.spectra.lower.yaxis.axis_label == "surface reflectance (nm⁻¹)"
    assert page.image.places.data["name"] == ["A"]
    assert not page.csv.disabled


def test_lines_are_broken_in_bad_bands(page, cube):
    page.pick(1010, 2000)
    x, y = (page.spectra.smooth.data[k][0] for k in "xy")
    bad = np.isin(x, cube.wavelength[~cube.good_band])
    assert np.isnan(y[bad]).all()
    assert np.isfinite(y[~bad]).sum() == cube.good_band.sum()
    shades = [a for a in page.spectra.upper.center if hasattr(a, "fill_color")]
    assert len([a for a in shades if type(a).__name__ == "BoxAnnotation"]) == 2


def test_the_slider_shows_its_band_and_marks_it(page, cube):
    page.band.value = 100
    assert page.kind.value == "band"
    wavelength = float(cube.wavelength[100])
    title = f"wavelength {wavelength:.5g} nm: surface reflectance"
    assert page.image.figure.title.text == title
    assert [c.location for c in page.spectra.cursors] == [wavelength] * 2
    assert page.image.bar.visible


def test_the_window_is_live_and_an_impossible_one_is_told(page):
    page.pick(1010, 2000)
    before = page.spectra.smooth.data["y"][0]
    page.window.value = 31
    assert not np.array_equal(before, page.spectra.smooth.data["y"][0], equal_nan=True)
    page.window.value = 3
    assert "savgol" in page.words.object
    page.window.value = 11
    assert page.words.object == ""


@pytest.mark.parametrize("kind", ["colour", "band", "principal", "derivative"])
def test_every_kind_of_picture_fills_the_image(page, kind):
    page.kind.value = kind
    (picture,) = page.image.pixels.data["image"]
    assert picture.shape == (24, 32)
    assert len(np.unique(picture)) > 100


def test_stretch_changes_colours_and_an_empty_one_is_told(page):
    (before,) = page.image.pixels.data["image"]
    page.stretch.value = (20, 80)
    assert (page.image.pixels.data["image"][0] != before).any()
    page.stretch.value = (50, 50)
    assert "stretch" in page.words.object


def test_zoom_reads_the_part_and_reset_the_whole(page):
    page._on_zoom(event(x0=1000.0, x1=2000.0, y0=1000.0, y1=2000.0))
    assert page.image.pixels.data["image"][0].shape == (6, 6)
    page._on_reset(event())
    assert page.image.pixels.data["image"][0].shape == (24, 32)


def test_box_and_lasso_add_regions_and_clear_forgets_them(page):
    box = {"type": "rect", "x0": 900.0, "x1": 1900.0, "y0": 900.0, "y1": 1900.0}
    page._on_geometry(event(geometry=box, final=False))
    assert not page.collection.picked
    page._on_geometry(event(geometry=box, final=True))
    lasso = {"type": "poly", "x": [3000.0, 4000, 4000], "y": [1000.0, 1000, 2000]}
    page._on_geometry(event(geometry=lasso, final=True))
    assert page.image.outlines.data["name"] == ["A", "B"]
    page.pick_region([1.0, 2.0, 2.0], [1.0, 1.0, 2.0])
    assert "no pixel" in page.words.object
    page.clear.clicks += 1
    assert not page.collection.picked
    assert page.csv.disabled


def test_a_click_in_the_spectra_chooses_a_band(page, cube):
    page._on_spectrum(event(x=853.0))
    assert page.band.value == int(np.abs(cube.wavelength.values - 853).argmin())
    assert page.kind.value == "band"


def test_files_are_handed_out_as_bytes(page):
    page.pick(1010, 2000)
    assert page._csv().read().startswith(b"spectrum,y (m)")
    assert page._netcdf().read().startswith(b"\x89HDF")


def test_a_picture_that_takes_long_is_drawn_part_by_part(file, monkeypatch):
    page = Page(View(file))
    whole = page.view.frames
    monkeypatch.setattr(page.view, "frames", lambda *what: whole(*what, patience=0))
    page.kind.value = "band"
    assert "8 % read" in page.image.figure.title.text
    while page._frame.done < 1:
        page._tick()
    assert "read" not in page.image.figure.title.text


def test_without_panel_the_line_that_installs_it_is_named(cube, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'copy of cubekit: pip install "\.\[viewer'):
        ck.explore(cube)
