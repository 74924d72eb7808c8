"""Real files: in, through the filter, out, and in again."""

from __future__ import annotations

import warnings

import netCDF4
import numpy as np
import pytest
import rasterio
import xarray as xr

import cubekit as ck

pytestmark = pytest.mark.real

EMIT = "emit_jpl_l2a_envi/emit20250324t221005_jpl_unmix_ex"
AVIRIS = "aviris_ng/ang20140912t192359_corr_v1c_img_{}.img"
CUBES = {
    EMIT: {},
    AVIRIS.format("2580-2590_540-550"): {},
    AVIRIS.format("400-410_10-20"): {},
    "corn_kernel_lab/corn-kernel-hyperspectral.hdr": {},
    "terraref_vnir_netcdf/cst_cnv_trg2_pm.nc": {"variable": "cst_cnv_trg"},
}


def assert_a_file_keeps_what_is_smoothed(cube, tmp_path):
    """Smooth, save and open again; the same as smoothing in memory."""
    for deriv in (0, 1):
        smooth = ck.savgol_filter(cube, 11, 3, deriv=deriv)
        path = ck.save_cube(smooth, tmp_path / f"{deriv}.nc")
        back = ck.open_cube(path)
        expected = ck.savgol_filter(cube.compute(), 11, 3, deriv=deriv)
        xr.testing.assert_equal(back.compute(), expected.compute())
        assert back.wavelength.attrs == cube.wavelength.attrs
        assert ck.Axis.from_cube(back) == ck.Axis.from_cube(cube)
        if deriv and "units" in cube.attrs and "units" in cube.wavelength.attrs:
            assert back.attrs["units"] != cube.attrs["units"]


@pytest.mark.parametrize(("name", "options"), CUBES.items())
def test_real_cube_goes_in_through_and_out(real, tmp_path, name, options):
    assert_a_file_keeps_what_is_smoothed(ck.open_cube(real / name, **options), tmp_path)


def test_series_of_raman_spectra_goes_in_through_and_out(real, tmp_path):
    path = real / "raman_series_labspec" / "serie190214-1.txt"
    lines = path.read_text("latin-1").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    shift = np.array(rows[0][1:], float)
    table = np.array(rows[1:], float)
    cube = xr.DataArray(
        table[:, 1:].astype("i4"),
        coords={
            "time": ("time", table[:, 0], {"units": "s"}),
            "wavelength": ("wavelength", shift, {"units": "cm-1"}),
        },
        dims=("time", "wavelength"),
        name="counts",
    )
    assert cube.shape == (168, 1024)
    assert_a_file_keeps_what_is_smoothed(cube, tmp_path)


def test_emit_reflectance_has_its_bands_and_inferred_units(real):
    cube = ck.open_cube(real / EMIT)
    assert dict(cube.sizes) == {"y": 10, "wavelength": 285, "x": 10}
    assert cube.wavelength.attrs["units"] == "nm"
    assert np.count_nonzero(~cube.good_band.values) == 41
    assert np.unique(cube.values[:, ~cube.good_band.values]).tolist() == [
        np.float32(-0.01)
    ]
    assert cube.fwhm.values[0] == pytest.approx(8.415)


def test_aviris_flags_written_as_floats_are_booleans(real):
    cube = ck.open_cube(real / AVIRIS.format("2580-2590_540-550"))
    assert np.count_nonzero(~cube.good_band.values) == 59
    good = cube.values[..., cube.good_band.values]
    assert good.min() == pytest.approx(-0.025, abs=1e-3)
    assert good.max() == pytest.approx(0.421, abs=1e-3)


def test_aviris_grid_is_turned_as_gdal_turns_it(real):
    cube = ck.open_cube(real / AVIRIS.format("2580-2590_540-550"))
    # centres of two pixels by the affine transform GDAL reads from the header
    assert cube.easting.values[3, 5] == pytest.approx(277830.554141, abs=1e-5)
    assert cube.northing.values[3, 5] == pytest.approx(4483614.512042, abs=1e-5)
    assert cube.easting.values[0, 0] == pytest.approx(277813.798698, abs=1e-5)


def test_corn_kernel_opens_without_byte_order(real):
    cube = ck.open_cube(real / "corn_kernel_lab" / "corn-kernel-hyperspectral.hdr")
    assert dict(cube.sizes) == {"y": 31, "wavelength": 580, "x": 43}
    assert cube.dtype == np.uint16
    assert cube.values.max() == 2887
    assert cube.wavelength.values[[0, -1]].tolist() == [366.551, 1048.421]


def test_terraref_wavelengths_are_in_metres(real):
    path = real / "terraref_vnir_netcdf" / "cst_cnv_trg2_pm.nc"
    with pytest.raises(ValueError, match=r"'cst_cnv_trg', 'xps_img_wht', "):
        ck.open_cube(path)
    cube = ck.open_cube(path, variable="cst_cnv_trg")
    assert cube.wavelength.attrs["units"] == "meter"
    assert np.isnan(cube.values).sum() == 900
    assert cube.dims == ("time2", "exposure", "target", "wavelength")


def test_emit_mask_keeps_places_and_drops_what_was_never_written(real):
    folder = real / "emit_l2a_mask_netcdf"
    cube = ck.open_cube(next(folder.glob("*.nc")))
    assert cube.name == "mask"
    assert set(cube.coords) == {"lat", "lon", "elev", "mask_bands"}
    assert cube.mask_bands.values[0] == "Cloud flag"
    assert cube.lat.dims == ("downtrack", "crosstrack")
    assert 40 < cube.lat.values.mean() < 60 or -60 < cube.lat.values.mean() < 60


def test_library_spectra_keep_their_unsorted_bands(real):
    cube = ck.open_cube(real / "reference_spectra" / "s06av95a_envi.sli")
    assert cube.dims == ("spectrum", "wavelength")
    assert cube.wavelength.attrs["units"] == "um"
    assert np.isclose(cube.values, -1.23e34).sum() == 50067
    with pytest.raises(ck.CoordinateError, match="not strictly monotonic"):
        ck.savgol_filter(cube, 5)


def netcdf4_python(path):
    """Values of every variable that can be a cube, as netCDF4-python decodes them."""
    with netCDF4.Dataset(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NaN as fill value of integers
        return {
            f"{group.path}/{name}".strip("/"): variable[:]
            for group in [file, *file.groups.values()]
            for name, variable in group.variables.items()
            if variable.ndim >= 2 and variable.dtype.kind in "iuf"
        }


def test_every_variable_of_every_netcdf_file_equals_netcdf4_python(real):
    compared = 0
    for path in sorted(real.glob("*/*.nc")):
        for name, oracle in netcdf4_python(path).items():
            cube = ck.open_cube(path, variable=name)
            missing = {"fill_value": np.nan} if cube.dtype.kind == "f" else {}
            expected = np.ma.filled(oracle.astype(cube.dtype), **missing)
            np.testing.assert_array_equal(cube.values, expected)
            compared += 1
    assert compared == 39


@pytest.mark.parametrize("chunks", ["auto", {"wavelength": 50, "y": 7}])
def test_enmap_tile_has_its_bands_places_and_scale(real, chunks):
    path = real / "enmap_potsdam" / "enmap_potsdam_tile_64_0.tif"
    cube = ck.open_cube(path, chunks=chunks)
    assert dict(cube.sizes) == {"wavelength": 224, "y": 32, "x": 32}
    assert cube.dtype == np.float32
    assert np.count_nonzero(~cube.good_band.values) == 6
    assert np.isnan(cube.values[~cube.good_band.values]).all()
    good = cube.values[cube.good_band.values]
    assert 0 < np.nanmedian(good) < 1
    (back,) = np.flatnonzero(np.diff(cube.wavelength.values) < 0)
    assert cube.wavelength.values[back : back + 2].tolist() == [993.083, 902.257]
    assert cube.y.values[0] > cube.y.values[-1]
    assert np.diff(cube.x.values).tolist() == [30.0] * 31
    with pytest.raises(ck.CoordinateError, match=r"993\.083 .*followed by 902\.257"):
        ck.savgol_filter(cube, 11, 3)


def test_enmap_tile_goes_in_through_and_out(real, tmp_path):
    path = real / "enmap_potsdam" / "enmap_potsdam_tile_64_0.tif"
    assert_a_file_keeps_what_is_smoothed(
        ck.open_cube(path).sortby("wavelength"), tmp_path
    )


def test_file_that_is_open_elsewhere_in_the_process_is_read(real):
    path = next((real / "emit_l2a_mask_netcdf").glob("*.nc"))
    with netCDF4.Dataset(path) as file, xr.open_dataset(path):
        for _ in range(30):
            cube = ck.open_cube(path)
        assert np.array_equal(cube.values, np.ma.filled(file["mask"][:], np.nan))


def test_every_tile_of_enmap_equals_rasterio(real):
    paths = sorted((real / "enmap_potsdam").glob("*.tif"))
    for path in paths:
        with rasterio.open(path) as file:
            raw = file.read(masked=True)
            expected = (raw * np.float32(file.scales[0])).filled(np.nan)
            centres = [float(file.tags(k)["wavelength"]) for k in file.indexes]
            corner = file.xy(31, 0)
        cube = ck.open_cube(path)
        np.testing.assert_array_equal(cube.values, expected)
        assert cube.wavelength.values.tolist() == centres
        assert (float(cube.x[0]), float(cube.y[31])) == corner
    assert len(paths) == 6


def test_every_netcdf_file_goes_through_zarr_unchanged(real, tmp_path):
    """What is read from a store of ours is what is read from the file."""
    count = 0
    for path in sorted(real.glob("*/*.nc")):
        for name in netcdf4_python(path):
            cube = ck.open_cube(path, variable=name)
            if cube.nbytes < 10**6:
                store = ck.save_cube(cube, tmp_path / f"{count}.zarr")
                found = ck.open_cube(store, variable=cube.name)
                xr.testing.assert_equal(found.compute(), cube.compute())
                count += 1
    assert count > 10
