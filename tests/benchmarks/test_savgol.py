"""Speed of Savitzky-Golay filters, as ratios to scipy and to a plain copy.

Run with ``pytest -s tests/benchmarks``. All is measured in one run, each as the best of
several, since machines are shared and noisy; the limit is a copy of the same bytes.
"""

import os
import subprocess
import sys
import time

import dask
import numpy as np
import pytest
import scipy.signal
import xarray as xr

import cubekit as ck

SHAPE = (512, 512, 285)
WAVELENGTH = np.linspace(381, 2493, 285)


def best(function, repeats=5):
    """Shortest time of several, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def cube(dims):
    sizes = dict(zip(("y", "x", "wavelength"), SHAPE, strict=True))
    values = np.random.default_rng(0).normal(size=[sizes[d] for d in dims])
    return xr.DataArray(
        values.astype(np.float32), coords={"wavelength": WAVELENGTH}, dims=dims
    )


@pytest.mark.parametrize(
    ("dims", "goals"),
    [
        (("wavelength", "y", "x"), {1: 12, 2: 20}),
        (("y", "x", "wavelength"), {1: 4, 2: 8}),
    ],
    ids=["bands first", "bands last"],
)
def test_savgol_filter_against_scipy(dims, goals):
    data = cube(dims)
    axis = dims.index("wavelength")
    target = np.empty_like(data.values)
    copy = best(lambda: np.copyto(target, data.values))
    peer = best(lambda: scipy.signal.savgol_filter(data.values, 11, 3, axis=axis), 2)
    print(f"\n{dims}: a copy takes {copy * 1e3:.0f} ms, scipy {peer / copy:.1f} copies")
    for threads, goal in goals.items():
        with dask.config.set(num_workers=threads):
            ours = best(lambda: ck.savgol_filter(data, 11, 3))
        print(
            f"  {threads} threads: {ours / copy:.1f} copies, {peer / ours:.1f}x scipy "
            f"(goal {goal}x)"
        )
        assert peer / ours > goal


def test_two_operators_composed_cost_one_contraction():
    data = cube(("y", "x", "wavelength"))
    axis = ck.Axis.from_cube(data)
    smooth, slope = ck.savgol_operator(axis, 11, 3), ck.derivative_operator(axis)
    one = best(lambda: smooth(data))
    both = best(lambda: (slope @ smooth)(data))
    print(f"\ncomposed: {both / one:.2f} of one contraction")
    assert both / one < 1.3


def test_import_is_light():
    def seconds(code):
        command = [sys.executable, "-c", code]
        # with byte code kept, as pip leaves it
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        return best(lambda: subprocess.run(command, check=True, env=kept), 7)

    base = seconds("import xarray, dask.array")
    ours = seconds("import cubekit")
    print(f"\nimport cubekit: {ours / base:.2f} of importing xarray and dask.array")
    assert ours / base < 1.2
