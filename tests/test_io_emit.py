"""EMIT: single samples by their flags, and images on the map by their table."""

from __future__ import annotations

import pickle
import warnings

import dask
import dask.array as da
import netCDF4
import numpy as np
import pytest
import xarray as xr
from dask.callbacks import Callback
from test_cluster import cluster_of_two
from test_io_faults import child

import cubekit as ck
from cubekit.io.lineage import held_bytes

LINES, SAMPLES, BANDS = 23, 17, 21
STEP = 0.0005


@pytest.fixture
def scene(tmp_path):
    """Files in the layout of EMIT: a reflectance, its masks, and what is in them."""
    rng = np.random.default_rng(0)
    values = rng.normal(0.3, 0.1, (LINES, SAMPLES, BANDS)).astype("f4")
    values[4, 5] = -9999
    # a swath turned on the map by 30 degrees
    angle = np.deg2rad(30)
    j, i = np.mgrid[0:26, 0:28]
    line = np.round(np.cos(angle) * (j - 9) + np.sin(angle) * (i - 4)).astype(int)
    sample = np.round(np.cos(angle) * (i - 4) - np.sin(angle) * (j - 9)).astype(int)
    inside = (line >= 0) & (line < LINES) & (sample >= 0) & (sample < SAMPLES)
    glt = {
        "glt_y": np.where(inside, line + 1, 0),
        "glt_x": np.where(inside, sample + 1, 0),
    }
    path = tmp_path / "EMIT_L2A_RFL.nc"
    with netCDF4.Dataset(path, "w") as file:
        sizes = {"downtrack": LINES, "crosstrack": SAMPLES, "bands": BANDS}
        for name, size in {**sizes, "ortho_y": 26, "ortho_x": 28}.items():
            file.createDimension(name, size)
        file.geotransform = np.array([61.0, STEP, 0.0, 36.0, 0.0, -STEP])
        file.spatial_ref = 'GEOGCS["WGS 84"]'
        cube = file.createVariable(
            "reflectance", "f4", tuple(sizes), fill_value=-9999, chunksizes=(8, 8, 10)
        )
        cube.units = "1"
        cube[:] = values
        bands = file.createGroup("sensor_band_parameters")
        bands.createVariable("wavelengths", "f4", ("bands",))[:] = np.linspace(
            400, 600, BANDS
        )
        bands["wavelengths"].units = "nm"
        bands.createVariable("good_wavelengths", "f4", ("bands",))[:] = 1
        place = file.createGroup("location")
        for name in ("lat", "lon", "elev"):
            where = place.createVariable(name, "f8", ("downtrack", "crosstrack"))
            where[:] = rng.normal(40, 1, (LINES, SAMPLES))
        for name, table in glt.items():
            place.createVariable(name, "i4", ("ortho_y", "ortho_x"))[:] = table
    bad = rng.random((LINES, SAMPLES, BANDS)) < 0.1
    mask = tmp_path / "EMIT_L2A_MASK.nc"
    with netCDF4.Dataset(mask, "w") as file:
        for name, size in {**sizes, "packed": 3}.items():
            file.createDimension(name, size)
        dims = ("downtrack", "crosstrack", "packed")
        file.createVariable("band_mask", "u1", dims)[:] = np.packbits(bad, axis=-1)
    values = np.where(values == -9999, np.nan, values)
    return path, mask, values, bad, glt


def on_map(values, glt):
    """Truth, place by place."""
    result = np.full((26, 28, *values.shape[2:]), np.nan, values.dtype)
    for j, i in np.ndindex(26, 28):
        if glt["glt_y"][j, i]:
            result[j, i] = values[glt["glt_y"][j, i] - 1, glt["glt_x"][j, i] - 1]
    return result


@pytest.mark.parametrize(
    "chunks", ["auto", {"downtrack": 5, "crosstrack": 4, "wavelength": 6}]
)
@pytest.mark.parametrize("lazy", [True, False])
def test_each_place_has_the_pixel_of_the_table(scene, chunks, lazy):
    path, _, values, _, glt = scene
    cube = ck.open_cube(path, chunks=chunks)
    laid = ck.orthorectify(cube if lazy else cube.compute(), path)
    assert (laid.chunks is not None) == lazy
    assert laid.dims == ("latitude", "longitude", "wavelength")
    assert laid.dtype == np.float32
    np.testing.assert_array_equal(laid.values, on_map(values, glt))
    np.testing.assert_array_equal(laid.elev.values, on_map(cube.elev.values, glt))
    assert laid.latitude.values[[0, -1]] == pytest.approx([36 - STEP / 2, 35.98725])
    assert laid.longitude.values[0] == 61 + STEP / 2
    assert set(laid.coords) == {
        *("latitude", "longitude", "spatial_ref", "elev"),
        *("wavelength", "good_band"),
    }
    assert laid.attrs["units"] == "1"


def test_table_is_found_after_lazy_steps(scene):
    path, _, values, _, glt = scene
    cube = ck.open_cube(path, chunks={"downtrack": 7, "crosstrack": 6})
    laid = ck.orthorectify(cube.max("wavelength", skipna=False) * 2)
    expected = on_map(values.max(axis=-1) * 2, glt)
    np.testing.assert_array_equal(laid.values, expected)


def test_dims_in_any_order_and_integers_are_laid(scene):
    path, _, values, _, glt = scene
    counts = np.nan_to_num(values * 100).astype("i2")
    cube = xr.DataArray(counts, dims=("downtrack", "crosstrack", "band"))
    laid = ck.orthorectify(cube.transpose("band", "crosstrack", "downtrack"), path)
    assert laid.dims == ("latitude", "longitude", "band")
    assert laid.dtype == np.float32
    np.testing.assert_array_equal(laid.values, on_map(counts.astype("f4"), glt))


def test_nothing_is_computed_early_and_few_blocks_are_needed(scene, count_computes):
    path = scene[0]
    with count_computes() as ran:
        laid = ck.orthorectify(ck.open_cube(path) + 1, path)
        assert laid.elev.chunks is not None
    assert not [k for k in ran if "orthorectify" in str(k)]


def tasks_of(laid):
    layer = dict(laid.data.__dask_graph__().layers[laid.data.name])
    return [task for key, task in layer.items() if isinstance(key, tuple)]


def test_tile_takes_only_the_blocks_of_its_pixels(scene, monkeypatch):
    path, _, values, _, glt = scene
    monkeypatch.setattr("cubekit.io.orthorectifying.BLOCK_BYTES", 8 * 8 * BANDS * 4)
    cube = ck.open_cube(path)
    laid = ck.orthorectify(cube)
    assert laid.chunks[0] == (16, 10)
    most = max(len(task[1]) for task in tasks_of(laid))
    assert 1 < most < 9
    np.testing.assert_array_equal(laid.values, on_map(values, glt))


def test_tasks_do_not_carry_the_table(scene):
    path, *_, glt = scene
    table_bytes = 4 * sum(axis.size for axis in glt.values())
    laid = ck.orthorectify(ck.open_cube(path))
    graph = dict(laid.data.__dask_graph__().layers[laid.data.name])
    sent = pickle.dumps(graph)
    assert len(sent) < 2000 < table_bytes
    # another process finds the numbers in the file, and only there
    (table,) = (v for k, v in pickle.loads(sent).items() if isinstance(k, str))
    lines, samples = table.numbers()
    assert np.array_equal(lines, glt["glt_y"])
    assert np.array_equal(samples, glt["glt_x"])
    assert table.numbers()[0] is lines


def test_table_is_an_input_that_is_not_written_over(scene, tmp_path):
    path, _, values, *_ = scene
    cube = xr.DataArray(
        da.from_array(values), dims=("downtrack", "crosstrack", "wavelength")
    )
    laid = ck.orthorectify(cube, path)
    with pytest.raises(ck.SameFileError, match="the file that the cube is read from"):
        ck.save_cube(laid, path, overwrite=True)
    with netCDF4.Dataset(path, "a") as file:
        file.title = "changed meanwhile"
    (table,) = (
        v
        for k, v in dict(laid.data.__dask_graph__()).items()
        if "orthorectify-table" in k
    )
    with pytest.raises(ck.CorruptFileError, match="changed while being read"):
        pickle.loads(pickle.dumps(table)).numbers()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_cluster_gives_the_same_map_from_a_small_graph(tmp_path):
    """With a table of 32 MB, which is more than Dask wants in a graph."""
    rng = np.random.default_rng(0)
    table = np.where(rng.random((2000, 2000)) < 0.3, 0, rng.integers(1, 96, (2, 1, 1)))
    table[:, 700:1500] = rng.integers(1, 97, (2, 800, 2000))
    path = tmp_path / "table.nc"
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("ortho_y", 2000)
        file.createDimension("ortho_x", 2000)
        file.geotransform = np.array([61.0, STEP, 0.0, 36.0, 0.0, -STEP])
        place = file.createGroup("location")
        for name, numbers in zip(("glt_y", "glt_x"), table, strict=True):
            place.createVariable(name, "i4", ("ortho_y", "ortho_x"))[:] = numbers
    values = rng.normal(size=(96, 96, 2)).astype("f4")
    cube = xr.DataArray(values, dims=("downtrack", "crosstrack", "band"), name="cube")
    ck.save_cube(cube, tmp_path / "cube.nc", chunks={"downtrack": 32, "crosstrack": 32})
    laid = ck.orthorectify(ck.open_cube(tmp_path / "cube.nc") * 2, path)
    with dask.config.set(scheduler="threads"):
        ck.save_cube(laid, tmp_path / "threads.nc")
    with cluster_of_two(), warnings.catch_warnings():
        warnings.filterwarnings("error", message="Sending large graph")
        ck.save_cube(laid, tmp_path / "cluster.nc")
    found, expected = (
        xr.load_dataset(tmp_path / name) for name in ("cluster.nc", "threads.nc")
    )
    xr.testing.assert_equal(found, expected)
    here = (table > 0).all(0)
    line, sample = table[:, here] - 1
    np.testing.assert_array_equal(found.cube.values[here], 2 * values[line, sample])


class Waiting(Callback):
    """Most blocks of a shape that were in memory at a time."""

    def __init__(self, shape):
        super().__init__(posttask=self._count)
        self.shape, self.most = shape, 0

    def _count(self, key, result, dsk, state, worker):
        blocks = [v for v in state["cache"].values() if np.shape(v) == self.shape]
        self.most = max(self.most, len(blocks))


def test_plan_counts_the_blocks_that_wait_for_their_tiles(scene):
    shape = (4, 4, BANDS)
    values = da.zeros((24, 20, BANDS), dtype="f4", chunks=shape)
    laid = ck.orthorectify(
        xr.DataArray(values + 1, dims=("downtrack", "crosstrack", "wavelength")),
        table=scene[0],
    )
    with Waiting(shape) as waiting, dask.config.set(scheduler="sync"):
        laid.compute()
    assert waiting.most > 4
    held = held_bytes([laid.data])
    assert held == 4 * np.prod(shape) * waiting.most
    plain = ck.plan(
        laid.copy(data=da.zeros(laid.shape, dtype="f4", chunks=laid.chunks))
    )
    assert ck.plan(laid).peak == plain.peak + held


@pytest.mark.slow
@pytest.mark.proc
@pytest.mark.parametrize("memory", ["400MB", "1GB"])
def test_peak_is_within_the_plan(tmp_path, memory):
    script = """
    import netCDF4
    n, bands = 768, 100
    j, i = np.mgrid[0:1000, 0:1000]
    line, sample = (j + i - 400) // 2, (i - j + 800) // 2
    inside = (line >= 0) & (line < n) & (sample >= 0) & (sample < n)
    with netCDF4.Dataset(sys.argv[1], "w") as file:
        dims = ("downtrack", "crosstrack", "bands")
        for name, size in zip((*dims, "ortho_y", "ortho_x"), (n, n, bands, 1000, 1000)):
            file.createDimension(name, size)
        file.geotransform = np.array([61.0, 0.0005, 0.0, 36.0, 0.0, -0.0005])
        cube = file.createVariable("radiance", "f4", dims, chunksizes=(64, 64, bands))
        for k in range(0, n, 64):
            cube[k : k + 64] = np.float32(k)
        place = file.createGroup("location")
        for name, where in (("glt_y", line), ("glt_x", sample)):
            table = place.createVariable(name, "i4", ("ortho_y", "ortho_x"))
            table[:] = np.where(inside, where + 1, 0)
    laid = ck.orthorectify(ck.open_cube(sys.argv[1], variable="radiance"))
    ck.save_cube(laid, sys.argv[2], memory=sys.argv[3], progress=False)
    status = dict(line.split(":") for line in open("/proc/self/status"))
    print(1024 * int(status["VmHWM"].split()[0]))
    print(ck.plan(laid, memory=sys.argv[3]).peak)
    """
    result = child(script, tmp_path / "a.nc", tmp_path / "b.nc", memory, timeout=300)
    assert result.returncode == 0, result.stderr
    found, planned = map(int, result.stdout.split())
    assert found < planned < 2 * found


def test_result_is_saved_and_opened_again(scene, tmp_path):
    laid = ck.orthorectify(ck.open_cube(scene[0]))
    back = ck.open_cube(ck.save_cube(laid, tmp_path / "map.nc"))
    np.testing.assert_array_equal(back.values, laid.values)
    np.testing.assert_array_equal(back.latitude, laid.latitude)


@pytest.mark.parametrize("chunks", ["auto", {"downtrack": 5, "wavelength": 6}])
def test_good_samples_are_those_without_a_bit(scene, chunks):
    path, mask, values, bad, _ = scene
    cube = ck.open_cube(path, chunks=chunks)
    good = ck.good_samples(cube, mask)
    assert good.dims == cube.dims
    assert good.chunks == cube.chunks
    assert np.array_equal(good.values, ~bad)
    kept = cube.where(good)
    np.testing.assert_array_equal(kept.values, np.where(bad, np.nan, values))


def test_good_samples_of_a_cube_in_memory_and_turned(scene):
    path, mask, _, bad, _ = scene
    cube = ck.open_cube(path).compute().transpose("wavelength", ...)
    flags = ck.open_cube(mask, variable="band_mask").compute()
    good = ck.good_samples(cube, flags)
    assert good.chunks is None
    assert good.dims == cube.dims
    assert np.array_equal(good.values, ~np.moveaxis(bad, -1, 0))
    assert np.array_equal(cube.cube.good_samples(mask).values, good.values)


def test_mask_of_another_scene_is_refused(scene):
    path, mask, *_ = scene
    cube = ck.open_cube(path)
    with pytest.raises(ck.AxisMismatchError, match="the mask of the same scene"):
        ck.good_samples(cube[:5], mask)
    with pytest.raises(ck.AxisMismatchError, match="uint8, 1 for 8 bands"):
        ck.good_samples(cube[..., :8], mask)


def test_table_that_is_not_there_or_of_another_cube_is_refused(scene, make_cube):
    path, mask, *_ = scene
    cube = ck.open_cube(path)
    with pytest.raises(ValueError, match="computed from no file"):
        ck.orthorectify(cube.compute().drop_encoding())
    with pytest.raises(ValueError, match="has no lookup table"):
        ck.orthorectify(cube, mask)
    with pytest.raises(ValueError, match="cut the cube afterwards"):
        ck.orthorectify(cube[:9])
    with pytest.raises(ValueError, match=r"dims=\('downtrack', 'crosstrack'\), but"):
        ck.orthorectify(make_cube(), path)


def test_input_is_not_changed(scene):
    path, mask, *_ = scene
    cube = ck.open_cube(path).compute()
    before = cube.copy(deep=True)
    ck.orthorectify(cube, path)
    ck.good_samples(cube, mask)
    xr.testing.assert_identical(cube, before)


@pytest.mark.real
def test_real_mask_lies_on_the_map_where_its_pixels_are(real):
    path = next((real / "emit_l2a_mask_netcdf").glob("*.nc"))
    cube = ck.open_cube(path)
    laid = ck.orthorectify(cube.assign_coords(lat_2=cube.lat, lon_2=cube.lon))
    with netCDF4.Dataset(path) as file:
        rows, columns = (file[f"location/glt_{axis}"][:] for axis in "yx")
        values = file["mask"][:].filled(np.nan)
    here = rows > 0
    expected = values[rows[here] - 1, columns[here] - 1]
    np.testing.assert_array_equal(laid.values[here], expected)
    assert np.isnan(laid.values[~here]).all()
    step = float(np.diff(laid.longitude[:2])[0])
    for name, there in (("lat_2", laid.latitude), ("lon_2", laid.longitude)):
        assert float(abs(laid[name] - there).max()) < 1.2 * step


@pytest.mark.real
def test_real_flags_have_no_bit_beyond_the_last_band(real):
    path = next((real / "emit_l2a_mask_netcdf").glob("*.nc"))
    flags = ck.open_cube(path, variable="band_mask")
    cube = xr.DataArray(np.zeros((200, 200, 285), "f4"), dims=(*flags.dims[:2], "band"))
    good = ck.good_samples(cube, flags)
    bad = (~good).sum(("downtrack", "crosstrack")).values
    packed = np.asarray(flags.values)
    assert int(np.unpackbits(packed).sum()) == int(bad.sum()) > 0
    assert np.flatnonzero(bad)[-1] == 284
