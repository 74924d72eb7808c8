"""open_cube on netCDF files: groups, packing, coordinates, chunks."""

from __future__ import annotations

import os
import pickle
import sys
import threading

import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cubekit as ck
from cubekit.io import source

CENTRES = np.array([400.0, 410.0, 425.0, 431.0, 440.0, 452.0])


@pytest.fixture
def new(tmp_path):
    """Write a netCDF file with a function of the open file."""

    def make(fill, format="NETCDF4", name="cube.nc"):
        path = tmp_path / name
        with netCDF4.Dataset(path, "w", format=format) as file:
            for dim, size in {"y": 4, "x": 5, "bands": 6}.items():
                file.createDimension(dim, size)
            fill(file)
        return path

    return make


def put(file, name, dims, values, fill=None, **attrs):
    values = np.asarray(values)
    variable = file.createVariable(name, values.dtype, dims, fill_value=fill)
    variable.set_auto_maskandscale(False)
    variable[...] = values
    variable.setncatts(attrs)
    return variable


def emit(file):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 5, 6)).astype("f4")
    values[1, 2] = -9999
    put(file, "reflectance", ("y", "x", "bands"), values, np.float32(-9999), units="1")
    put(file, "bands", ("bands",), np.zeros(6, "f4"))
    put(file, "y", ("y",), np.zeros(4, "f4"))
    bands = file.createGroup("sensor_band_parameters")
    put(bands, "wavelengths", ("bands",), CENTRES.astype("f4"), units="nm")
    put(bands, "fwhm", ("bands",), np.full(6, 8.5, "f4"), units="nm")
    put(bands, "good_wavelengths", ("bands",), np.array([1, 1, 0, 1, 1, 0], "f4"))
    place = file.createGroup("location")
    put(place, "lat", ("y", "x"), rng.normal(size=(4, 5)), units="degrees north")
    put(place, "lon", ("y", "x"), rng.normal(size=(4, 5)), units="degrees east")
    file.createDimension("ortho_y", 7)
    file.createDimension("ortho_x", 8)
    put(place, "glt_x", ("ortho_y", "ortho_x"), np.zeros((7, 8), "i4"))


def test_group_layout_gives_bands_and_places_as_coordinates(new):
    cube = ck.open_cube(new(emit))
    assert cube.name == "reflectance"
    assert cube.dims == ("y", "x", "wavelength")
    assert cube.wavelength.values.tolist() == CENTRES.tolist()
    assert cube.wavelength.attrs["units"] == "nm"
    assert cube.good_band.values.tolist() == [True, True, False, True, True, False]
    assert cube.fwhm.dims == ("wavelength",)
    assert cube.lat.dims == cube.lon.dims == ("y", "x")
    assert set(cube.coords) == {"wavelength", "good_band", "fwhm", "lat", "lon"}


@pytest.mark.parametrize("band", ["wavelength_3d", "blue_wavelength"])
def test_layout_of_pace_gives_bands_and_places_too(new, band):
    def write(file):
        data = file.createGroup("geophysical_data")
        put(data, "Rrs", ("y", "x", "bands"), np.ones((4, 5, 6), "f4"))
        put(data, "l2_flags", ("y", "x"), np.ones((4, 5), "i4"))
        bands = file.createGroup("sensor_band_parameters")
        put(bands, band, ("bands",), CENTRES, units="nm")
        place = file.createGroup("navigation_data")
        for name in ("longitude", "latitude"):
            put(place, name, ("y", "x"), np.ones((4, 5), "f4"))

    cube = ck.open_cube(new(write))
    assert cube.name == "Rrs"
    assert cube.dims == ("y", "x", "wavelength")
    assert cube.wavelength.values.tolist() == CENTRES.tolist()
    assert set(cube.coords) == {"wavelength", "longitude", "latitude"}


def test_places_lie_in_the_chunks_of_the_cube(new):
    cube = ck.open_cube(new(emit), chunks={"y": 3, "x": 2})
    assert cube.chunksizes["y"] == (3, 1)
    assert cube.lat.chunks == ((3, 1), (2, 2, 1))
    assert ck.remove_continuum(cube.isel(wavelength=slice(4))).dims == cube.dims


def test_fill_value_is_missing(new):
    cube = ck.open_cube(new(emit))
    assert np.isnan(cube.values).sum() == 6
    assert "_FillValue" not in cube.attrs


def test_coordinates_never_written_are_no_axes(new):
    assert "y" not in ck.open_cube(new(emit)).coords


@pytest.mark.parametrize("format", ["NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT_DATA"])
def test_every_version_of_the_format_is_read(new, format):
    values = np.arange(120.0).reshape(4, 5, 6)
    path = new(lambda f: put(f, "cube", ("y", "x", "bands"), values), format)
    assert np.array_equal(ck.open_cube(path).values, values)


@pytest.mark.parametrize(
    ("dtype", "scale", "offset", "fill", "expected"),
    [
        ("i2", None, None, None, "i2"),
        ("i2", None, None, -1, "f4"),
        ("i4", None, None, -1, "f8"),
        ("i2", np.float32(0.5), None, -1, "f4"),
        ("i2", np.float64(-0.5), np.float64(3), None, "f8"),
        ("f4", None, None, -1, "f4"),
        ("u1", np.float32(1), np.float32(0), 255, "f4"),
    ],
)
def test_packed_values_are_unpacked_as_netcdf4_python_does(  # noqa: PLR0917
    new, dtype, scale, offset, fill, expected
):
    values = np.arange(120).reshape(4, 5, 6).astype(dtype)
    if fill is not None:
        values[0, 0, :2] = fill
        fill = np.array(fill, dtype)

    def write(file):
        attrs = {"scale_factor": scale, "add_offset": offset}
        attrs = {k: v for k, v in attrs.items() if v is not None}
        put(file, "cube", ("y", "x", "bands"), values, fill, **attrs)

    path = new(write)
    cube = ck.open_cube(path)
    assert cube.dtype == np.dtype(expected)
    with netCDF4.Dataset(path) as file:
        oracle = np.ma.filled(
            file["cube"][:].astype(cube.dtype), np.nan if fill is not None else 0
        )
    np.testing.assert_array_equal(cube.values, oracle)
    assert not {"scale_factor", "add_offset"} & set(cube.attrs)


def test_nan_as_missing_value_of_integers_marks_nothing_and_warns_of_nothing(new):
    def write(file):
        values = np.ones((4, 5, 6), "i2")
        attrs = {"missing_value": np.nan, "scale_factor": -2.0}
        put(file, "cube", ("y", "x", "bands"), values, **attrs)

    assert (ck.open_cube(new(write, "NETCDF3_CLASSIC")).values == -2).all()


def test_both_missing_value_and_fill_value_are_missing(new):
    values = np.arange(120, dtype="i2").reshape(4, 5, 6)

    def write(file):
        attrs = {"missing_value": np.int16(5)}
        put(file, "cube", ("y", "x", "bands"), values, np.int16(7), **attrs)

    cube = ck.open_cube(new(write))
    assert np.array_equal(np.isnan(cube.values), (values == 5) | (values == 7))


def test_unsigned_numbers_stored_as_signed_are_unsigned(new):
    def write(file):
        values = np.full((4, 5, 6), -1, "i1")
        values[0] = -2
        put(file, "cube", ("y", "x", "bands"), values, np.int8(-2), _Unsigned="true")

    cube = ck.open_cube(new(write))
    assert np.isnan(cube.values[0]).all()
    assert (cube.values[1:] == 255).all()


def test_floating_samples_never_written_are_missing(new):
    def write(file):
        variable = file.createVariable("cube", "f4", ("y", "x", "bands"))
        variable[:2] = 1

    values = ck.open_cube(new(write)).values
    assert (values[:2] == 1).all()
    assert np.isnan(values[2:]).all()


def several(file):
    for name in ("smooth", "slope"):
        put(file, name, ("y", "x", "bands"), np.ones((4, 5, 6), "f4"))


def test_several_cubes_are_listed_and_one_asked_for(new):
    path = new(several)
    with pytest.raises(
        ck.AmbiguousCubeError, match=r"several cubes: 'smooth', 'slope'.*variable="
    ) as error:
        ck.open_cube(path)
    assert pickle.loads(pickle.dumps(error.value)).variables == ("smooth", "slope")
    assert ck.open_cube(path, variable="slope").name == "slope"
    with pytest.raises(ValueError, match=r"'nope' is not in .*'smooth', 'slope'"):
        ck.open_cube(path, variable="nope")


def test_file_without_a_cube_says_what_it_holds(new):
    with pytest.raises(ValueError, match=r"no data variable.*'y'"):
        ck.open_cube(new(lambda f: put(f, "y", ("y",), np.arange(4.0))))


@pytest.mark.parametrize("name", ["height", "elevation", "Elev"])
@pytest.mark.parametrize("dims", [("y", "x", "bands"), ("y", "x")])
def test_heights_are_the_cube_where_nothing_else_is(new, name, dims):
    values = np.arange(120.0).reshape(4, 5, 6)
    values = values if len(dims) == 3 else values[..., 0]
    cube = ck.open_cube(new(lambda f: put(f, name, dims, values)))
    assert cube.name == name
    np.testing.assert_array_equal(cube.values, values)


def test_heights_of_places_stay_coordinates_of_what_was_measured(new):
    def write(file):
        put(file, "albedo", ("y", "x"), np.ones((4, 5)))
        put(file, "height", ("y", "x"), np.zeros((4, 5)))

    cube = ck.open_cube(new(write))
    assert cube.name == "albedo"
    assert "height" in cube.coords


def test_variable_in_a_group_is_found_by_name_and_by_path(new):
    def write(file):
        several(file.createGroup("geophysical_data"))

    path = new(write)
    by_path = ck.open_cube(path, variable="geophysical_data/slope")
    assert by_path.identical(ck.open_cube(path, variable="slope"))


def test_times_are_dates_and_meaningless_times_stay_numbers(new):
    def write(file):
        several(file)
        put(file, "y", ("y",), np.arange(4), units="days since 2020-01-01")
        put(file, "x", ("x",), np.arange(1, 6), units="parsecs since breakfast")

    cube = ck.open_cube(new(write), variable="smooth")
    assert cube.y.values[1] == np.datetime64("2020-01-02")
    assert cube.x.values.tolist() == [1, 2, 3, 4, 5]


def test_chunks_follow_those_of_the_file_with_bands_whole(tmp_path):
    values = np.zeros((300, 290, 60), "f4")
    cube = xr.DataArray(values, dims=("y", "x", "wavelength"), name="cube")
    cube = cube.assign_coords(wavelength=np.arange(60.0))
    cube.to_netcdf(tmp_path / "a.nc", encoding={"cube": {"chunksizes": (16, 20, 7)}})
    opened = ck.open_cube(tmp_path / "a.nc")
    y, x, bands = opened.chunks
    assert bands == (60,)
    assert all(k % 16 == 0 for k in y[:-1])
    assert all(k % 20 == 0 for k in x[:-1])
    assert opened.data.itemsize * np.prod(opened.data.chunksize) <= 2**24


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ({"y": 3, "bands": 2}, ((3, 1), (5,), (2, 2, 2))),
        (2, ((2, 2), (2, 2, 1), (2,) * 3)),
    ],
)
def test_chunks_are_as_asked_for(new, chunks, expected):
    path = new(several)
    assert ck.open_cube(path, variable="slope", chunks=chunks).chunks == expected


def test_chunks_of_an_unknown_dim_are_refused(new):
    with pytest.raises(ValueError, match=r"names 'z'.*'y', 'x', 'bands'"):
        ck.open_cube(new(several), variable="slope", chunks={"z": 1})


def test_blocks_are_read_with_any_basic_index(new):
    cube = ck.open_cube(new(emit), chunks={"y": 3})
    whole = cube.values
    assert np.array_equal(
        cube[::-1, 1, ::2].values, whole[::-1, 1, ::2], equal_nan=True
    )
    assert np.array_equal(cube[1:1].values, whole[1:1])
    assert np.array_equal(cube[-1, -1, -1].values, whole[-1, -1, -1], equal_nan=True)


def test_opening_computes_nothing(new, count_computes):
    path = new(emit)
    with count_computes() as ran:
        smooth = ck.savgol_filter(ck.open_cube(path), 3, 1)
        assert not ran
        smooth.compute()
        assert ran


def test_lazy_cube_can_be_pickled(new):
    cube = ck.open_cube(new(emit))
    assert pickle.loads(pickle.dumps(cube)).identical(cube)


def test_s7_many_threads_open_and_read_at_once(new):
    path = new(emit)
    expected = ck.open_cube(path).values
    wrong = []

    def work():
        found = (ck.open_cube(path).values for _ in range(50))
        wrong.extend(
            v for v in found if not np.array_equal(v, expected, equal_nan=True)
        )

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_s6_file_that_changed_since_is_refused(new):
    path = new(emit)
    cube = ck.open_cube(path)
    new(several)
    with pytest.raises(ck.CorruptFileError, match="changed while being read"):
        cube.compute()


@pytest.mark.parametrize("path", [3, None, b"cube.nc", ["cube.nc"]])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(TypeError, match="open_cube: the path is of type "):
        ck.open_cube(path)


def test_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*nope\.nc"):
        ck.open_cube(tmp_path / "nope.nc")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"GRIB....", b"\x1f\x8b\x08\0", b"<html>"]
)
def test_r1_file_of_another_format_shows_how_it_begins(tmp_path, content):
    path = tmp_path / "cube.nc"
    path.write_bytes(content)
    with pytest.raises(
        ck.CorruptFileError, match=rf"no known format: {len(content)} b"
    ):
        ck.open_cube(path)


@pytest.mark.parametrize("part", [0.01, 0.5, 0.9, 0.999])
def test_r1_truncated_file_is_refused(new, part):
    path = new(emit)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(ck.CorruptFileError, match=r"cube\.nc"):
        ck.open_cube(path).compute()


def test_bands_that_jump_back_are_opened_and_refused_by_the_filter(new):
    def write(file):
        several(file)
        jump = CENTRES[[0, 1, 3, 2, 4, 5]]
        put(file, "wavelength", ("bands",), jump, units="nm")

    cube = ck.open_cube(new(write), variable="smooth")
    with pytest.raises(ck.CoordinateError, match=r"sortby\(\"wavelength\"\)"):
        ck.savgol_filter(cube, 3, 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), shape=st.lists(st.integers(1, 6), min_size=0, max_size=4))
def test_block_of_numbers_in_one_piece_is_that_of_the_array(tmp_path, data, shape):
    numbers = np.arange(np.prod(shape, dtype=int), dtype=">i4").reshape(shape)
    path = tmp_path / "numbers"
    path.write_bytes(b"abc" + numbers.tobytes())
    bounds = [sorted(data.draw(st.sets(st.integers(0, n), min_size=2))) for n in shape]
    key = tuple(slice(b[0], b[-1]) for b in bounds)
    limits = {"_NEAR": data.draw(st.sampled_from([0, 40, 2**14]))}
    limits["_PIECE"] = data.draw(st.sampled_from([1, 50, 2**20]))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in limits.items():
            patch.setattr(source, name, value)
        found = source.RawReader(numbers.dtype, 3, numbers.shape).read(str(path), key)
    assert found.dtype == numbers.dtype
    assert np.array_equal(found, numbers[key])


def test_s6_file_cut_short_while_it_is_read_is_an_error_not_the_end(
    tmp_path, monkeypatch
):
    path = tmp_path / "a.nc"
    values = np.ones((300, 50, 20), "f4")
    xr.DataArray(values, dims=("y", "x", "band"), name="cube").to_netcdf(path)
    cube = ck.open_cube(path)
    monkeypatch.setattr(source.Source, "check", lambda self: None)  # passed just before
    os.truncate(path, 100_000)
    with pytest.raises(ck.CorruptFileError, match="ends before its last values"):
        cube.compute()


def test_without_rasterio_the_line_that_installs_it_is_named(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(ImportError, match=r'copy of cubekit: pip install "\.\[geo'):
        ck.open_cube(path)
