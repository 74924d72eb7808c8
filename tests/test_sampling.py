"""Of a file no more is read than is drawn."""

from __future__ import annotations

import numpy as np
import pytest

import cubekit as ck
from cubekit.io.direct import ChunkReader
from cubekit.plotting.sampling import band_groups, read_bands
from cubekit.viewer import layers
from cubekit.viewer.view import View


@pytest.fixture
def chunks_read(monkeypatch):
    """Chunks that were read from files, as (y, x, band)."""
    read = []
    once = ChunkReader.read_chunk

    def counting(self, file, index):
        if len(index) == 3:  # not of a coordinate
            read.append(index)
        return once(self, file, index)

    monkeypatch.setattr(ChunkReader, "read_chunk", counting)
    return read


@pytest.fixture(scope="module")
def cube():
    return ck.datasets.scene((60, 64))


@pytest.fixture(scope="module")
def file(cube, tmp_path_factory):
    """Path of the scene in chunks of 16 bands."""
    path = tmp_path_factory.mktemp("files") / "scene.nc"
    chunks = {"y": 20, "x": 32, "wavelength": 16}
    return ck.save_cube(cube, path, chunks=chunks, progress=False)


def test_colours_are_made_of_the_chunks_of_three_bands(file, chunks_read):
    ck.plotting.rgb(ck.open_cube(file))
    bands = {index[2] for index in chunks_read}
    assert len(bands) == 3
    assert len(chunks_read) == 3 * 6


def test_a_part_of_a_band_is_made_of_the_chunks_that_it_meets(file, chunks_read):
    part = {"y": slice(5, 15, 3), "x": slice(33, 60)}
    read_bands(ck.open_cube(file), "wavelength", [60], part)
    assert chunks_read == [(0, 1, 3)]


def test_a_thinned_band_is_made_of_the_chunks_of_that_band(file, chunks_read):
    ck.plotting.image(ck.open_cube(file), 850, max_pixels=7)
    assert {index[2] for index in chunks_read} == {3}


def test_a_spectrum_is_made_of_the_chunks_of_its_pixel(file, cube, chunks_read):
    (line,) = ck.plotting.spectra(ck.open_cube(file), [(cube.y[3], cube.x[40])])
    assert {index[:2] for index in chunks_read} == {(0, 1)}
    expected = cube[3, 40].where(cube.good_band)
    np.testing.assert_array_equal(line.get_ydata(), expected)


def test_bands_come_in_the_order_asked_for(file, cube):
    index = [200, 3, 60, 3, 61]
    found = read_bands(ck.open_cube(file), "wavelength", index, {})
    np.testing.assert_array_equal(found, cube[:, :, index])
    np.testing.assert_array_equal(found.wavelength, cube.wavelength[index])


def test_bands_are_read_together_where_a_file_holds_them_together(file, cube):
    assert band_groups(ck.open_cube(file), "wavelength", [40, 3, 33]) == [[3], [33, 40]]
    assert band_groups(cube, "wavelength", [40, 3, 33]) == [[3, 33, 40]]


@pytest.mark.parametrize(
    "key",
    [
        (slice(None), slice(3, 40, 7), [5, 2, 200]),
        ([1, 50], slice(None), 17),
        (slice(50, 3, -9), [], slice(2, 4)),
    ],
)
def test_any_part_of_a_file_is_that_part_of_the_cube(file, cube, key):
    found = ck.open_cube(file)[key]
    np.testing.assert_array_equal(found, cube[key])


def test_a_cube_whose_places_are_in_other_chunks_is_described_and_drawn(cube):
    lat = (("y", "x"), np.zeros((60, 64)))
    lazy = cube.assign_coords(lat=lat).chunk(y=20)
    lazy["lat"] = lazy.lat.chunk(y=7)
    assert "in 3 chunks of 20 x 64 x 285" in repr(lazy.cube)
    found = ck.plotting.rgb(lazy).get_array()
    np.testing.assert_array_equal(found, ck.plotting.rgb(cube).get_array())
    view = View(lazy)
    *_, frame = view.frames(layers.band(view.cube, view.axis, 9))
    assert np.isfinite(frame.values).all()
