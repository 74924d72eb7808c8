"""ENVI cubes: headers as they occur, every interleave, lazily."""

from __future__ import annotations

import os

import dask
import numpy as np
import pytest
import xarray as xr

import cubekit as ck

LINES, SAMPLES, BANDS = 3, 4, 5
AXES = {"bsq": ("wavelength", "y", "x"), "bil": ("y", "wavelength", "x")}
AXES["bip"] = ("y", "x", "wavelength")
CENTRES = [400.0, 410.5, 425.0, 430.0, 441.0]


@pytest.fixture
def values():
    return np.arange(LINES * SAMPLES * BANDS, dtype="i2").reshape(LINES, SAMPLES, BANDS)


@pytest.fixture
def write(tmp_path, values):
    def make(name="cube.img", interleave="bsq", dtype="<i2", code=2, **fields):
        order = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}[interleave]
        path = tmp_path / name
        path.write_bytes(values.transpose(order).astype(dtype).tobytes())
        lines = {
            "samples": SAMPLES,
            "lines": LINES,
            "bands": BANDS,
            "data type": code,
            "interleave": interleave,
            "wavelength": "{" + ", ".join(map(str, CENTRES)) + "}",
            "wavelength units": "Nanometers",
        } | {k.replace("_", " "): v for k, v in fields.items()}
        text = "\n".join(f"{k} = {v}" for k, v in lines.items() if v is not None)
        path.with_suffix(".hdr").write_text("ENVI\n" + text)
        return path

    return make


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
def test_every_interleave_gives_the_same_cube(write, values, interleave):
    cube = ck.open_cube(write(interleave=interleave))
    assert cube.dims == AXES[interleave]
    assert np.array_equal(cube.transpose("y", "x", "wavelength").values, values)
    assert cube.dtype == np.int16
    assert cube.wavelength.attrs == {"units": "nm"}


def test_header_and_data_file_open_the_same_cube(write):
    path = write()
    assert ck.open_cube(path.with_suffix(".hdr")).identical(ck.open_cube(path))


def test_header_named_after_the_whole_data_file_is_found(write):
    path = write()
    path.with_suffix(".hdr").rename(path.with_name("cube.img.hdr"))
    assert ck.open_cube(path).shape == (BANDS, LINES, SAMPLES)
    assert ck.open_cube(path.with_name("cube.img.hdr")).shape == (BANDS, LINES, SAMPLES)


def test_big_endian_numbers_behind_an_offset_are_read_right(write, values):
    path = write(dtype=">i2", byte_order=1, header_offset=16)
    path.write_bytes(b"x" * 16 + path.read_bytes())
    cube = ck.open_cube(path)
    assert np.array_equal(cube.transpose("y", "x", ...).values, values)
    assert cube.dtype.isnative


def test_numbers_without_byte_order_are_little_endian(write, values):
    cube = ck.open_cube(write(byte_order=None))
    assert np.array_equal(cube.transpose("y", "x", ...).values, values)


def test_ignored_value_is_missing(write, values):
    cube = ck.open_cube(write(data_ignore_value=7)).transpose("y", "x", ...)
    assert cube.dtype == np.float32
    assert np.array_equal(np.isnan(cube.values), values == 7)


@pytest.mark.parametrize("ignored", ["nan", "99999", "0.5"])
def test_ignored_value_that_the_numbers_cannot_have_marks_nothing(write, ignored):
    assert ck.open_cube(write(data_ignore_value=ignored)).dtype == np.int16


def test_reflectance_scale_factor_divides(write, values):
    cube = ck.open_cube(write(reflectance_scale_factor="10000.0"))
    cube = cube.transpose("y", "x", ...)
    assert cube.dtype == np.float32
    np.testing.assert_allclose(cube.values, values / 10000, rtol=1e-6)


def test_gain_and_offset_of_each_band_are_applied(write, values):
    cube = ck.open_cube(
        write(data_gain_values="{1, 2, 3, 4, 5}", data_offset_values="{0, 0, 1, 0, 0}"),
        chunks={"wavelength": 2, "y": 1},
    ).transpose("y", "x", ...)
    np.testing.assert_array_equal(
        cube.values, values * np.arange(1, 6) + np.array([0, 0, 1, 0, 0])
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"reflectance_scale_factor": 100},
        {"data_ignore_value": 5},
        {"byte_order": 1},
        {"dtype": "<u2", "code": 12},
        {"header_offset": 4},
    ],
)
def test_a_header_that_changed_is_another_cube_also_side_by_side(write, changed):
    path = write(lines=2)
    before, when = ck.open_cube(path), path.stat().st_mtime_ns
    write(lines=2, **changed)
    os.utime(path, ns=(when, when))
    after = ck.open_cube(path)
    assert after.data.name != before.data.name
    for got, alone in zip(dask.compute(before, after), (before, after), strict=True):
        xr.testing.assert_identical(got, alone.compute())


def test_bad_band_list_of_ones_is_good_also_as_floats(write):
    cube = ck.open_cube(write(bbl="{ 1.0 , 0.0, 1, 1,\n 0 }", fwhm="{9,9,8,8,7}"))
    assert cube.good_band.values.tolist() == [True, False, True, True, False]
    assert cube.good_band.dtype == bool
    assert cube.fwhm.values.tolist() == [9, 9, 8, 8, 7]
    assert cube.fwhm.attrs == {"units": "nm"}


@pytest.mark.parametrize(
    ("stated", "units"),
    [("Micrometers", "um"), ("nm", "nm"), ("Wavenumber", "cm-1"), ("GHz", "GHz")],
)
def test_stated_units_are_kept_in_short_form(write, stated, units):
    cube = ck.open_cube(write(wavelength_units=stated))
    assert cube.wavelength.attrs == {"units": units}


@pytest.mark.parametrize(
    ("centres", "units"),
    [
        (CENTRES, "nm"),
        ([0.4, 0.5, 0.6, 0.7, 2.4], None),
        ([900, 1000, 1100, 1500, 1800], None),
        ([400, 1000, 2000, 3000, 4000], None),
        ([100, 200, 300, 400, 500], None),
    ],
)
def test_units_that_are_not_stated_are_nm_only_where_nothing_else_fits(
    write, centres, units
):
    text = "{" + ",".join(map(str, centres)) + "}"
    cube = ck.open_cube(write(wavelength=text, wavelength_units=None))
    assert cube.wavelength.attrs.get("units") == units


def test_unknown_units_are_never_guessed(write):
    assert (
        "units" not in ck.open_cube(write(wavelength_units="Unknown")).wavelength.attrs
    )


def test_bands_without_wavelengths_have_names(write):
    cube = ck.open_cube(write(wavelength=None, band_names="{a, b, c, d, e}"))
    assert cube.dims == ("band", "y", "x")
    assert cube.band_name.values.tolist() == list("abcde")


def test_map_information_gives_pixel_centres(write):
    info = "{UTM, 1, 1, 500000, 4000000, 30, 20, 33, North, WGS-84, units=Meters}"
    cube = ck.open_cube(write(map_info=info))
    assert cube.x.values.tolist() == [500015, 500045, 500075, 500105]
    assert cube.y.values.tolist() == [3999990, 3999970, 3999950]
    assert cube.x.attrs["units"] == "m"


def test_map_information_in_degrees_is_longitude_and_latitude(write):
    info = "{Geographic Lat/Lon, 1, 1, 10, 50, 0.1, 0.1, WGS-84, units=Degrees}"
    cube = ck.open_cube(write(map_info=info))
    assert cube.x.attrs == {"units": "degrees_east", "standard_name": "longitude"}
    assert cube.y.attrs == {"units": "degrees_north", "standard_name": "latitude"}


def test_turned_grid_has_places_in_two_dims_and_lengths_in_one(write):
    info = "{UTM, 1, 1, 500000, 4000000, 30, 30, 33, North, WGS-84, rotation=90}"
    cube = ck.open_cube(write(map_info=info))
    np.testing.assert_allclose(np.diff(cube.northing.values, axis=1), 30)
    np.testing.assert_allclose(np.diff(cube.easting.values, axis=0), 30)
    assert np.diff(cube.x.values).tolist() == [30.0] * 3


def test_map_information_that_is_cut_short_is_left_out(write):
    assert "x" not in ck.open_cube(write(map_info="{UTM, 1, 1}")).coords


def test_spectral_library_has_one_spectrum_a_line(tmp_path):
    path = tmp_path / "lib.sli"
    path.write_bytes(np.arange(6.0).tobytes())
    path.with_suffix(".hdr").write_text(
        "ENVI\nsamples = 3\nlines = 2\nbands = 1\ndata type = 5\n"
        "file type = ENVI Spectral Library\nwavelength = {0.4, 0.5, 0.6}\n"
        "wavelength units = Micrometers\nspectra names = {\n one, \n two}\n"
    )
    cube = ck.open_cube(path)
    assert cube.dims == ("spectrum", "wavelength")
    assert cube.spectrum_name.values.tolist() == ["one", "two"]
    assert cube.values.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_nothing_is_read_before_it_is_computed(write):
    path = write()
    cube = ck.open_cube(path)
    path.write_bytes(b"\1" * path.stat().st_size)
    with pytest.raises(ck.CorruptFileError, match="changed while being read"):
        cube.compute()
    path.unlink()
    with pytest.raises(ck.CorruptFileError, match="is gone"):
        cube.compute()


def test_data_cut_short_are_refused_at_once(write):
    path = write()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ck.CorruptFileError, match=r"119 bytes.*describes 120"):
        ck.open_cube(path)


def test_header_without_data_names_what_is_missing(write):
    path = write()
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"no cube beside it"):
        ck.open_cube(path.with_suffix(".hdr"))


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"lines": None}, "lines = nothing"),
        ({"samples": "many"}, "samples = many"),
        ({"data_type": 7}, "data type = 7"),
        ({"interleave ": "bxx"}, "interleave = bxx"),
        ({"wavelength": "{1, 2}"}, "'wavelength' has 2 numbers"),
    ],
)
def test_header_that_makes_no_sense_is_refused_by_line(write, fields, match):
    with pytest.raises(ck.CorruptFileError, match=match):
        ck.open_cube(write(**fields))


def test_variable_of_another_name_is_refused(write):
    with pytest.raises(ValueError, match="holds one cube"):
        ck.open_cube(write(), variable="radiance")
