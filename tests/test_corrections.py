"""A window of a lazy cube corrected in place, read-only input, and many blocks."""

from __future__ import annotations

import pickle
import time

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import cubekit as ck


@pytest.fixture
def scene(tmp_path) -> xr.DataArray:
    """Cube in a file, in chunks that no window is aligned with."""
    path = ck.save_cube(ck.datasets.scene((12, 11)), tmp_path / "scene.nc")
    return ck.open_cube(path, chunks={"y": 5, "x": 4})


def corrected(cube: xr.DataArray) -> xr.DataArray:
    """Cube with a patch added to the samples 3 to 7 along y and 2 to 8 along x."""
    cube = cube.copy()
    window = {"y": slice(*cube.y[[3, 7]].values), "x": slice(*cube.x[[2, 8]].values)}
    patch = xr.DataArray(
        np.random.default_rng(0).normal(size=(5, 7, 285)).astype(np.float32),
        dims=("y", "x", "wavelength"),
    )
    cube.loc[window] += patch
    return cube


CALLS = {
    "savgol_filter": lambda c: ck.savgol_filter(c, 11, 3, deriv=1),
    "refit": lambda c: ck.savgol_filter(c, 11, missing="refit"),
    "resample": lambda c: ck.resample(c, [500.0, 600.0], fwhm=30),
    "remove_continuum": ck.remove_continuum,
    "normalize": ck.normalize,
    "derivative": lambda c: ck.derivative(c, "y"),
    "hessian": lambda c: ck.hessian(c.isel(wavelength=slice(3))),
    "flattest": lambda c: ck.flattest(c.isel(wavelength=slice(3))),
    "mark_bad": lambda c: ck.mark_bad(c, [(900, 950)]),
    "recipe": ck.Recipe(
        [
            {"do": "savgol_filter", "window_length": 5},
            {"do": "derivative", "coord": "wavelength"},
        ]
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_window_corrected_in_place_flows_through(scene, name):
    call = CALLS[name]
    lazy = corrected(scene)
    assert lazy.chunks == scene.chunks
    found = call(lazy).compute()
    expected = call(corrected(scene.load()))
    xr.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    before = call(scene).compute()
    assert name == "mark_bad" or not before.equals(found)


def test_a_window_corrected_in_place_is_saved_and_fitted(scene, tmp_path):
    lazy = corrected(scene)
    whole = corrected(scene.load())
    path = ck.save_cube(lazy, tmp_path / "corrected.nc")
    np.testing.assert_array_equal(ck.open_cube(path), whole)
    fitted, expected = ck.PCA(3).fit(lazy), ck.PCA(3).fit(whole)
    xr.testing.assert_allclose(fitted.components_, expected.components_, rtol=1e-6)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("chunks", [None, (5, 4, 100)])
def test_a_read_only_memory_map_is_enough_and_stays_as_it_is(tmp_path, name, chunks):
    cube = ck.datasets.scene((12, 11))
    path = tmp_path / "cube.raw"
    cube.values.tofile(path)
    before = path.read_bytes()
    mapped = np.memmap(path, cube.dtype, "r", shape=cube.shape)
    data = mapped if chunks is None else da.from_array(mapped, chunks)
    xr.testing.assert_allclose(
        CALLS[name](cube.copy(data=data)).compute(), CALLS[name](cube), rtol=1e-4
    )
    del data, mapped
    assert path.read_bytes() == before


@pytest.mark.slow
def test_a_recipe_on_a_hundred_thousand_blocks_is_planned_in_seconds():
    side = 320  # 102 400 blocks
    blocks = da.zeros((side, side, 50), chunks=(1, 1, 50), dtype=np.float32)
    cube = xr.DataArray(
        blocks,
        {"y": np.arange(side), "x": np.arange(side), "wavelength": np.arange(50.0)},
        dims=("y", "x", "wavelength"),
        name="cube",
    )
    recipe = ck.Recipe(
        [
            {"do": "savgol_filter", "window_length": 11, "coord": "wavelength"},
            {"do": "derivative", "coord": "wavelength"},
        ]
    )
    began = time.process_time()
    result = recipe(cube)["cube"]
    planned = ck.plan(result, chunks={"y": 1, "x": 1})
    took = time.process_time() - began
    graph = dict(result.__dask_graph__())
    tasks = list(graph.items())
    size = len(pickle.dumps(tasks[:2000], protocol=5)) / 2000 * len(tasks)
    assert planned.tasks <= 4 * 102_400 + 1000
    assert took < 10
    assert size < 500e6
    assert dask.is_dask_collection(result)
