"""Bands in the order of their coordinate."""

import numpy as np
import pytest
import xarray as xr

import cubekit as ck


@pytest.mark.parametrize("chunks", [None, {"y": 2, "wavelength": 7}])
def test_bands_out_of_order_are_sorted_with_all_that_is_known_of_them(chunks):
    cube = ck.datasets.scene((3, 4))
    order = np.random.default_rng(0).permutation(cube.sizes["wavelength"])
    mixed = cube.isel(wavelength=order)
    found = ck.sort_bands(mixed if chunks is None else mixed.chunk(chunks))
    assert (found.chunks is None) == (chunks is None)
    xr.testing.assert_identical(found.load(), cube)


@pytest.mark.parametrize("step", [1, -1])
def test_a_cube_in_order_is_itself(step):
    cube = ck.datasets.scene((3, 4)).isel(wavelength=slice(None, None, step))
    assert ck.sort_bands(cube) is cube


def test_bands_of_one_place_keep_their_order():
    cube = xr.DataArray([1, 2, 3, 4], {"wavelength": [500.0, 400.0, 400.0, 600.0]})
    assert ck.sort_bands(cube).values.tolist() == [2, 3, 1, 4]


def test_another_coordinate_can_be_named():
    cube = xr.DataArray(
        [[1, 2, 3]], {"depth": ("z", [3.0, 1.0, 2.0])}, dims=("wavelength", "z")
    )
    assert ck.sort_bands(cube, coord="depth").values.tolist() == [[2, 3, 1]]


@pytest.mark.parametrize(
    ("cube", "error", "text"),
    [
        (np.ones(3), TypeError, "sort_bands: the cube is a numpy.ndarray"),
        (xr.DataArray([1, 2], dims="x"), ck.CoordinateError, "no spectral coordinate"),
        (
            xr.DataArray([1, 2], {"band": ["red", "blue"]}),
            ck.CoordinateError,
            "has dtype <U4. An axis needs real numbers",
        ),
    ],
)
def test_what_has_no_order_is_refused(cube, error, text):
    with pytest.raises(error, match=text):
        ck.sort_bands(cube)
