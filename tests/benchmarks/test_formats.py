"""A cube to Zarr and ENVI, and back: beside xarray's ``to_zarr`` and our netCDF.

Run with ``pytest tests/benchmarks/test_formats.py -s``; ratios are printed.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest
import xarray as xr

import cubekit as ck


def quickest(work):
    times = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.fixture(scope="module")
def cube():
    rng = np.random.default_rng(0)
    values = np.cumsum(rng.normal(size=(256, 400, 285)).astype("f4"), axis=2)
    values = np.round(0.3 + values * 0.01, 4).astype("f4")
    place = {"units": "m"}
    coords = {
        "y": ("y", 30.0 * np.arange(256), place),
        "x": ("x", 30.0 * np.arange(400), place),
        "wavelength": ("wavelength", np.linspace(380, 2500, 285), {"units": "nm"}),
    }
    return xr.DataArray(values, coords, ("y", "x", "wavelength"), "r").chunk({"y": 32})


def test_writing_and_reading(cube, tmp_path):
    took = {
        suffix: quickest(
            lambda suffix=suffix: ck.save_cube(
                cube, tmp_path / f"a.{suffix}", overwrite=True, progress=False
            )
        )
        for suffix in ("zarr", "nc", "img")
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # consolidated metadata
        dataset = cube.to_dataset()
        took["xarray"] = quickest(
            lambda: dataset.to_zarr(tmp_path / "x.zarr", mode="w", zarr_format=3)
        )
    read = {
        name: quickest(lambda name=name: ck.open_cube(tmp_path / name).compute())
        for name in ("a.zarr", "a.nc", "a.img")
    }
    megabytes = cube.nbytes / 1e6
    for name, seconds in {**took, **read}.items():
        print(f"{name}: {megabytes / seconds:.0f} MB/s")
    print(f"to_zarr takes {took['xarray'] / took['zarr']:.1f} times as long")
    assert took["zarr"] < took["xarray"]
