"""DataArray.cube: every public function that takes a cube, and nothing else."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import cubekit as ck
from cubekit.accessor import CubeAccessor, Pictures, takes_cube

FUNCTIONS = {
    name: getattr(ck, name) for name in ck.__all__ if takes_cube(getattr(ck, name))
}

DRAWN = {
    name: getattr(ck.plotting, name)
    for name in ck.plotting.__all__
    if takes_cube(getattr(ck.plotting, name))
}


@pytest.fixture
def cube():
    return ck.datasets.scene((4, 5))


def test_methods_are_the_public_functions_that_take_a_cube():
    methods = {name for name in vars(CubeAccessor) if not name.startswith("_")}
    assert methods == set(FUNCTIONS) | {"plotting"}
    assert {"savgol_filter", "save_cube"} <= methods


def test_pictures_of_a_cube_are_methods_too(cube):
    methods = {name for name in vars(Pictures) if not name.startswith("_")}
    assert methods == set(DRAWN)
    assert {"rgb", "spectra", "quicklook"} <= methods
    assert methods <= set(dir(cube.cube.plotting))


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_has_the_docstring_and_signature_of_its_function(cube, name):
    method = getattr(cube.cube.plotting, name)
    assert method.__doc__ == DRAWN[name].__doc__
    expected = list(inspect.signature(DRAWN[name]).parameters.values())[1:]
    assert list(inspect.signature(method).parameters.values()) == expected


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_method_has_the_docstring_of_its_function(name):
    assert getattr(CubeAccessor, name).__doc__ == FUNCTIONS[name].__doc__


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_method_has_the_signature_of_its_function(cube, name):
    expected = list(inspect.signature(FUNCTIONS[name]).parameters.values())[1:]
    found = inspect.signature(getattr(cube.cube, name)).parameters.values()
    assert list(found) == expected


def test_a_method_gives_what_its_function_gives(cube):
    by_method = cube.cube.savgol_filter(11, polyorder=3, deriv=1)
    xr.testing.assert_identical(by_method, ck.savgol_filter(cube, 11, 3, deriv=1))


def test_names_are_completed(cube):
    assert set(FUNCTIONS) <= set(dir(cube.cube))


def test_repr_says_axes_ranges_units_bad_bands_and_size(cube):
    text = repr(cube.cube)
    assert "reflectance: surface reflectance (1), float32, 4 x 5 x 285" in text
    assert "381 to 2492.94 nm, step 7.38 to 7.46 nm, 31 bad bands" in text
    assert "in memory" in text
    assert max(map(len, text.splitlines())) < 110


def test_repr_of_a_lazy_cube_counts_chunks_and_computes_nothing(cube):
    lazy = ck.datasets.scene((40_000, 50_000), chunks={"y": 500, "x": 500})
    assert "in 8000 chunks of 500 x 500 x 285" in repr(lazy.cube)
    assert "2.3 TB" in repr(lazy.cube)


@pytest.mark.parametrize(
    "odd",
    [
        xr.DataArray(np.ones((2, 3)), dims=("a", "b")),
        xr.DataArray(1.0),
        xr.DataArray(np.empty((0, 2)), dims=("y", "x"), coords={"y": []}),
        xr.DataArray([1, 2], dims="t", coords={"t": ["a", "b"]}),
        xr.DataArray(
            [1, 2],
            dims="t",
            coords={"t": np.array(["2026-01-01", "2026-01-03"], "M8[ns]")},
        ),
    ],
)
def test_repr_of_odd_cubes(odd):
    assert repr(odd.cube).startswith("<cubekit cube>")


def test_repr_of_times_is_in_dates():
    days = np.array(["2026-01-01", "2026-01-03"], "M8[ns]")
    text = repr(xr.DataArray([1, 2], dims="t", coords={"t": days}).cube)
    assert "2026-01-01 to 2026-01-03, " in text
    assert "step 1.728e+05 s" in text


def test_registering_imports_no_heavy_library():
    code = (
        "import sys, cubekit; heavy = ['matplotlib', 'click', 'tqdm', 'h5py', "
        "'netCDF4', 'isal', 'scipy.linalg', 'scipy.optimize', 'distributed', 'torch']; "
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
