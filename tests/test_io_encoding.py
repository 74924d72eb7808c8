"""Packing of a source never reaches what is computed from it (E rows)."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

import cubekit as ck

STEPS = {
    "copy(data=)": lambda c: c.copy(data=c.values * 1e6),
    "isel": lambda c: c.isel(y=slice(1, 3)),
    "transpose": lambda c: c.transpose("wavelength", "x", "y"),
    "chunk": lambda c: c.chunk({"y": 2}),
    "sortby": lambda c: c.sortby("x", ascending=False),
    "concat": lambda c: xr.concat([c, c * 1e6], dim="time"),
    "shift": lambda c: c.shift(x=1),
    "where": lambda c: c.where(c > 50, 1e7),
    "derivative": lambda c: ck.savgol_filter(c * 1e5, 5, deriv=1),
    "smooth": lambda c: ck.savgol_filter(c, 5) * 1e5,
    "map_blocks": lambda c: c.chunk({"y": 2}).map_blocks(lambda b: b * 1e6),
}


@pytest.fixture
def packed(tmp_path):
    """A file packed as int16, its wavelengths too, on half-integer values."""
    path = tmp_path / "packed.nc"
    rng = np.random.default_rng(0)
    with netCDF4.Dataset(path, "w") as file:
        for dim, size in {"y": None, "x": 5, "wavelength": 20}.items():
            file.createDimension(dim, size)
        options = {"fill_value": np.int16(-1), "zlib": True, "chunksizes": (2, 5, 20)}
        cube = file.createVariable("cube", "i2", ("y", "x", "wavelength"), **options)
        cube.scale_factor = np.float32(0.01)
        cube.units = "1"
        values = np.ma.masked_less(rng.uniform(0, 100, (4, 5, 20)), 5)
        cube[:] = values
        wavelength = file.createVariable("wavelength", "i2", ("wavelength",))
        wavelength.scale_factor = 0.5
        wavelength.units = "nm"
        wavelength[:] = 400 + np.arange(20) * 0.5
        file.createVariable("x", "i2", ("x",))[:] = np.arange(5)
    return path


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("opened_by", ["cubekit", "xarray"])
def test_e1_packed_source_does_not_pack_what_is_computed(
    packed, tmp_path, step, opened_by
):
    if opened_by == "cubekit":
        cube = ck.open_cube(packed)
    else:
        with xr.open_dataset(packed) as dataset:
            cube = dataset["cube"].load()
            cube = cube.assign_coords(wavelength=dataset["wavelength"].load())
    found = step(cube)
    back = ck.open_cube(ck.save_cube(found, tmp_path / "out.nc"))
    assert back.dtype.kind == "f"
    np.testing.assert_array_equal(back.values, found.values)
    with netCDF4.Dataset(tmp_path / "out.nc") as file:
        stored = file["cube" if "cube" in file.variables else found.name]
        assert np.isnan(stored.getncattr("_FillValue"))
        assert "scale_factor" not in stored.ncattrs()


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
@pytest.mark.parametrize("value", [1.99e6, np.nan, 0.5, -999.0])
def test_e2_there_is_no_packed_output_and_packing_asked_for_changes_no_value(
    make_cube, tmp_path, suffix, value
):
    cube = make_cube()
    cube[1, 2, 3] = value
    wanted = cube.values
    # what xarray would pack by: too small a range, no mark for NaN, or a value as mark
    cube.encoding = {"dtype": "i2", "scale_factor": 0.01, "_FillValue": -999}
    found = ck.open_cube(ck.save_cube(cube, tmp_path / f"out{suffix}"))
    assert found.dtype == cube.dtype
    np.testing.assert_array_equal(found.values, wanted)


@pytest.mark.parametrize("name", ["scale_factor", "add_offset", "_FillValue"])
def test_e2_attributes_that_would_pack_are_refused_by_name(make_cube, tmp_path, name):
    with pytest.raises(TypeError, match=f"{name!r} would change how the values are"):
        ck.save_cube(make_cube().assign_attrs({name: 0.5}), tmp_path / "out.nc")
    with pytest.raises(TypeError, match="unexpected keyword argument 'encoding'"):
        ck.save_cube(make_cube(), tmp_path / "out.nc", encoding={})
    assert list(tmp_path.iterdir()) == []


def test_e5_wavelengths_moved_off_their_packing_come_back_exactly(packed, tmp_path):
    with xr.open_dataset(packed) as dataset:
        cube = dataset["cube"].load()
    moved = cube.assign_coords(wavelength=cube.wavelength + 0.123)
    moved.wavelength.encoding = dict(cube.wavelength.encoding)
    back = ck.open_cube(ck.save_cube(moved, tmp_path / "out.nc"))
    assert np.array_equal(back.wavelength.values, moved.wavelength.values)


def test_e6_chunks_and_unlimited_dims_of_the_source_are_not_kept(packed, tmp_path):
    with xr.open_dataset(packed) as dataset:
        cube = dataset["cube"].load().isel(x=slice(2)).rename(y="line")
    cube.encoding["chunksizes"] = (100, 100, 100)
    ck.save_cube(cube, tmp_path / "out.nc")
    with netCDF4.Dataset(tmp_path / "out.nc") as file:
        assert not any(d.isunlimited() for d in file.dimensions.values())
        assert all(np.less_equal(file["cube"].chunking(), file["cube"].shape))


@pytest.mark.parametrize("units", ["seconds", "ms", "days", "nm", "1/cm", "hours"])
def test_e8_numbers_in_units_of_time_stay_numbers(make_cube, tmp_path, units):
    cube = make_cube().assign_attrs(units=units)
    cube.x.attrs["units"] = units
    back = ck.open_cube(ck.save_cube(cube, tmp_path / "out.nc"))
    assert back.dtype == np.float64
    assert back.x.dtype == np.float64
    assert back.attrs["units"] == back.x.attrs["units"] == units


@pytest.mark.parametrize("value", [np.inf, -np.inf, -0.0, 9.969209968386869e36, 1e36])
def test_e7_special_values_come_back(make_cube, tmp_path, value):
    cube = make_cube().astype("f8")
    cube[0, 0, 0] = value
    back = ck.open_cube(ck.save_cube(cube, tmp_path / "out.nc")).values
    assert back[0, 0, 0] == value
    assert np.signbit(back[0, 0, 0]) == np.signbit(value)


@pytest.mark.parametrize(
    ("step", "units"), [({"deriv": 1}, "W m-2 nm-1"), ({"deriv": 0}, "W m-2")]
)
def test_e10_units_and_names_go_through_the_file(make_cube, tmp_path, step, units):
    cube = make_cube().assign_attrs(units="W m-2", long_name="radiance")
    before = cube.copy(deep=True)
    result = ck.savgol_filter(cube, 5, **step)
    back = ck.open_cube(ck.save_cube(result, tmp_path / "out.nc"))
    assert back.attrs["units"] == units
    assert back.attrs["long_name"] == result.attrs["long_name"]
    xr.testing.assert_identical(cube, before)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_e7_numbers_that_mark_holes_elsewhere_are_numbers_here(tmp_path, dtype):
    """netCDF fills what was never written with such numbers; ours was written."""
    limits = np.iinfo(dtype)
    fills = list(netCDF4.default_fillvals.values())
    numbers = [f for f in fills if not isinstance(f, str)]
    kept = [int(f) for f in numbers if f % 1 == 0 and limits.min <= f <= limits.max]
    values = np.array([limits.min, limits.max, 0, *kept], dtype)
    cube = xr.DataArray(values, dims="band", name="cube")
    back = ck.open_cube(ck.save_cube(cube, tmp_path / "out.nc"))
    assert back.dtype == np.dtype(dtype)
    assert back.values.tolist() == values.tolist()


def first_version():
    """The cube in ``tests/data``, as the version that wrote it had it in memory."""
    values = np.arange(5 * 4 * 6, dtype="f4").reshape(5, 4, 6) / 7
    values[1, 2] = np.nan
    return xr.DataArray(
        values,
        {
            "y": ("y", np.arange(5.0, 0, -1) * 30, {"units": "m"}),
            "x": ("x", np.arange(4.0) * 30, {"units": "m"}),
            "wavelength": (
                "wavelength",
                [400.5, 410.25, 425, 431, 440, 452],
                {"units": "nm"},
            ),
            "good_band": ("wavelength", np.arange(6) != 2),
            "fwhm": ("wavelength", np.full(6, 8.5), {"units": "nm"}),
            "lat": (("y", "x"), np.linspace(50, 51, 20).reshape(5, 4)),
            "site": ("y", ["wood", "", "l\u00f6ss", "a b", "lake"]),
            "when": ("y", np.arange(5).astype("M8[D]").astype("M8[ns]")),
        },
        ("y", "x", "wavelength"),
        "reflectance",
        {"units": "1", "flag": True, "tree": {"a": [1, None]}, "long_name": "r"},
    )


@pytest.mark.parametrize("compression", ["fast", "none"])
def test_e11_file_of_the_first_version_loads_as_it_did_then(compression):
    """One file for each version that changes how files are written."""
    path = Path(__file__).parent / "data" / f"cube-0.1.0-{compression}.nc"
    found = ck.open_cube(path).load()
    assert found.attrs.pop("history").endswith("cubekit 0.1.0: save_cube")
    xr.testing.assert_identical(found, first_version())
