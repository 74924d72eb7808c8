"""File to file: Savitzky-Golay through cubekit, and through xarray, dask and scipy.

Run with ``pytest tests/benchmarks/test_io.py -s`` on an idle machine; ratios to the
peer and to a plain copy are printed.
"""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
import scipy.signal
import xarray as xr

import cubekit as ck
from cubekit.io.files import Files

CHUNK = (32, 32, 285)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("io")
    rng = np.random.default_rng(0)
    values = np.cumsum(rng.normal(size=(512, 512, 285)).astype("f4"), axis=2)
    values = (np.round(5 + values * 0.01, 3)).astype("f4")
    cube = xr.DataArray(
        values,
        {"wavelength": np.linspace(380, 2500, 285)},
        ("y", "x", "wavelength"),
        "cube",
    )
    deflate = {"zlib": True, "complevel": 4, "shuffle": True, "chunksizes": CHUNK}
    cube.to_netcdf(folder / "deflated.nc", encoding={"cube": deflate})
    cube.to_netcdf(folder / "plain.nc")
    return folder


def ours(source, target, compression):
    smooth = ck.savgol_filter(ck.open_cube(source), 11, 3)
    ck.save_cube(smooth, target, compression=compression)


def unsafe(source, target):
    """As cheap as the peer: without waiting for the disk, and without reading back."""
    smooth = ck.savgol_filter(ck.open_cube(source), 11, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Files, "fsync", lambda self, handle: None)
        ck.save_cube(smooth, target, compression=None, verify=False)


def peer(source, target, encoding):
    with xr.open_dataarray(source, chunks={"y": 128, "x": 128}) as cube:
        smooth = xr.apply_ufunc(
            scipy.signal.savgol_filter,
            cube,
            input_core_dims=[["wavelength"]],
            output_core_dims=[["wavelength"]],
            kwargs={"window_length": 11, "polyorder": 3},
            dask="parallelized",
            output_dtypes=["f4"],
        )
        smooth.rename("cube").to_netcdf(target, encoding={"cube": encoding})


def copy(source, target):
    with xr.open_dataarray(source, chunks={"y": 128, "x": 128}) as cube:
        cube.to_netcdf(target)


def copy_to_the_disk(source, target):
    copy(source, target)
    with target.open("rb") as file:
        os.fsync(file)


def seconds(repeats, **jobs):
    """Times of each job; they take turns, and each begins without its file."""
    taken = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, (work, source, target, *options) in jobs.items():
            target.unlink(missing_ok=True)
            start = time.perf_counter()
            work(source, target, *options)
            taken[name].append(time.perf_counter() - start)
    return {name: np.array(times) for name, times in taken.items()}


def test_compressed_file_to_file_takes_a_quarter_of_the_time(folder):
    source = folder / "deflated.nc"
    deflate = {"zlib": True, "complevel": 4, "shuffle": True, "chunksizes": CHUNK}
    out, others = folder / "out.nc", folder / "peer.nc"
    taken = seconds(
        3,
        ours=(ours, source, out, "fast"),
        peer=(peer, source, others, deflate),
    )
    best = {name: times.min() for name, times in taken.items()}
    larger = out.stat().st_size / others.stat().st_size - 1
    ratio = best["peer"] / best["ours"]
    print(f"\ncompressed: {best['ours']:.2f} s, peer {best['peer']:.2f} s")
    print(f"{ratio:.1f} times as fast, file larger by {100 * larger:.1f} %")
    assert larger < 0.05
    assert ratio > 4


def test_uncompressed_file_to_file_beside_a_plain_copy(folder):
    source = folder / "plain.nc"
    taken = seconds(
        11,
        ours=(ours, source, folder / "out.nc", None),
        unsafe=(unsafe, source, folder / "unsafe.nc"),
        copy=(copy, source, folder / "copy.nc"),
        on_disk=(copy_to_the_disk, source, folder / "waited.nc"),
    )
    print(
        "\nuncompressed, in units of a copy by xarray that is on the disk, and of one"
    )
    print("that is not waited for; least times, and medians of 11 rounds:")
    for name, what in {
        "ours": "smoothed, on the disk and read back",
        "unsafe": "smoothed, neither waited for nor read back",
        "on_disk": "copied by xarray, on the disk",
        "copy": "copied by xarray, not waited for",
    }.items():
        for unit in "on_disk", "copy":
            least = taken[name].min() / taken[unit].min()
            print(f"  {least:.2f} {paired(taken, name, unit):.2f} ", end="")
        print(f" {what} ({taken[name].min():.2f} s)")
    # a copy is done when it is on the disk. What is done besides needs the other core,
    # and how free that is shows where neither waits
    assert paired(taken, "ours", "on_disk") <= 1.3
    assert paired(taken, "unsafe", "copy") <= 1.3


def paired(taken, name, unit):
    """Median ratio of two jobs of one round: the disk is not the same in the next."""
    return np.median(taken[name] / taken[unit])
