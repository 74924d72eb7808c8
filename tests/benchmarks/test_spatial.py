"""Speed of derivatives in space and of their inverse, as ratios to peers and copies.

Run with ``pytest -s tests/benchmarks``. All is measured in one run, in turn, each as
the best of several, since machines are shared and noisy.
"""

import time

import numpy as np
import pytest
import scipy.linalg
import xarray as xr

import cubekit as ck


def best(functions, repeats=5):
    """Shortest time of each of several functions, measured in turn."""
    times = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: min(taken) for name, taken in times.items()}


def uneven(shape, dtype=np.float32):
    rng = np.random.default_rng(0)
    coords = {
        dim: np.cumsum(rng.uniform(0.5, 1.5, n))
        for dim, n in zip(("y", "x"), shape[-2:], strict=True)
    }
    dims = ("z", "y", "x")[-len(shape) :]
    return xr.DataArray(rng.normal(size=shape).astype(dtype), dims=dims, coords=coords)


@pytest.fixture(scope="module")
def cube():
    return uneven((64, 1024, 1024))


def test_gradient_against_numpy_and_xarray(cube):
    y, x = cube.y.values, cube.x.values
    times = best(
        {
            "gradient": lambda: ck.gradient(cube),
            "numpy.gradient": lambda: np.gradient(
                cube.values, y, x, axis=(1, 2), edge_order=2
            ),
            "DataArray.differentiate": lambda: [
                cube.differentiate(name, edge_order=2) for name in ("y", "x")
            ],
            "two copies": lambda: [cube.values.copy() for _ in range(2)],
        }
    )
    report(times, "gradient")
    assert times["gradient"] * 8 <= times["numpy.gradient"]
    assert times["gradient"] * 8 <= times["DataArray.differentiate"]


def test_hessian_against_numpy_gradient_twice(cube):
    y, x = cube.y.values, cube.x.values

    def twice():
        for part in np.gradient(cube.values, y, x, axis=(1, 2), edge_order=2):
            np.gradient(part, y, x, axis=(1, 2), edge_order=2)

    times = best(
        {
            "hessian": lambda: ck.hessian(cube),
            "numpy.gradient twice": twice,
            "four copies": lambda: [cube.values.copy() for _ in range(4)],
        },
        repeats=2,
    )
    report(times, "hessian")
    assert times["hessian"] * 10 <= times["numpy.gradient twice"]


def test_integrate_gradient_against_its_decompositions():
    plane = uneven((2048, 2048), np.float64)
    slope = ck.gradient(plane)
    matrices = [
        ck.derivative_operator(ck.Axis.from_cube(plane, name)).matrix
        for name in ("y", "x")
    ]

    def decompose():
        for D in matrices:
            scipy.linalg.eigh((D.T @ D).toarray(), overwrite_a=True)

    times = best(
        {
            "integrate_gradient": lambda: ck.integrate_gradient(slope),
            "gradient": lambda: ck.gradient(plane),
            "two eigen-decompositions": decompose,
        },
        repeats=2,
    )
    report(times, "integrate_gradient")
    limit = 10 * (times["gradient"] + times["two eigen-decompositions"])
    assert times["integrate_gradient"] < limit


def report(times, ours):
    print()
    for name, taken in times.items():
        print(f"{name:>26}: {taken:7.3f} s, {taken / times[ours]:6.2f} x {ours}")
