"""Axis: found, checked, compared; every refusal says what to do."""

import re

import numpy as np
import pytest
import xarray as xr

import cubekit as ck
from cubekit.axis import derivative_units


def line(values, name="wavelength", dim=None, **attrs):
    dim = dim or name
    return xr.DataArray(
        np.zeros(len(values)), dims=dim, coords={name: (dim, values, attrs)}
    )


def test_an_axis_knows_dim_values_units_and_companions():
    cube = line([400.0, 410.0, 425.0], units="nm").assign_coords(
        good_band=("wavelength", [True, False, True]), fwhm=("wavelength", [9.0, 9, 9])
    )
    axis = ck.Axis.from_cube(cube)
    assert (axis.dim, axis.name, axis.units, len(axis)) == (
        "wavelength",
        "wavelength",
        "nm",
        3,
    )
    assert axis.good.tolist() == [True, False, True]
    assert axis.fwhm.tolist() == [9, 9, 9]
    assert repr(axis) == "<Axis 'wavelength': 3 samples, 400 to 425 nm, 1 bad>"


def test_an_axis_survives_the_way_back_to_coordinates():
    cube = line([400.0, 410.0, 425.0], name="wavelength", dim="band", units="nm")
    axis = ck.Axis.from_cube(cube)
    again = xr.DataArray(np.zeros(3), dims="band", coords=axis.to_coords())
    assert ck.Axis.from_cube(again) == axis
    assert repr(axis).startswith("<Axis 'wavelength' (band): 3 samples")


def test_values_cannot_be_changed_and_are_no_view_of_what_was_given():
    given = np.array([1.0, 2.0, 3.0])
    axis = ck.Axis("x", given)
    given[0] = 99
    assert axis.values[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        axis.values[0] = 5


@pytest.mark.parametrize(
    ("coords", "found"),
    [
        ({"a": ("band", [1.0, 2.0], {"standard_name": "radiation_wavelength"})}, "a"),
        ({"Raman_Shift": ("band", [1.0, 2.0])}, "Raman_Shift"),
        ({"mid": ("band", [1.0, 2.0], {"units": "nm"}), "t": ("band", [5, 6])}, "mid"),
        ({"centre": ("band", [1.0, 2.0], {"units": "$nm$"})}, "centre"),
        ({"band": [1, 2], "wavelength": ("band", [5.0, 6.0])}, "wavelength"),
        ({"energy": ("band", [5.0, 6.0]), "fwhm": ("band", [1.0, 1.0])}, "energy"),
    ],
)  # fmt: skip
def test_the_spectral_coordinate_is_found_by_standard_name_name_or_units(coords, found):
    cube = xr.DataArray(np.zeros((3, 2)), dims=("y", "band"), coords=coords)
    assert ck.Axis.from_cube(cube).name == found


def test_several_spectral_coordinates_are_an_error_that_names_them():
    cube = xr.DataArray(
        np.zeros((2, 2)),
        dims=("a", "b"),
        coords={
            "a": ("a", [1.0, 2.0], {"units": "nm"}),
            "b": ("b", [1.0, 2.0], {"units": "um"}),
        },
    )
    with pytest.raises(ck.CoordinateError, match=r"several .* units: 'a', 'b'"):
        ck.Axis.from_cube(cube)


def test_no_spectral_coordinate_is_an_error():
    with pytest.raises(ck.CoordinateError, match=r"no spectral coordinate .* 'x' "):
        ck.Axis.from_cube(line([1.0, 2.0], name="x"))
    with pytest.raises(ck.CoordinateError, match=r"its \(no\) one-dimensional coord"):
        ck.Axis.from_cube(line([1.0, 2.0], name="x")[0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1350.2, 1360.0, 1349.8], r'1 is followed by 1349.8 nm. .*sortby\("wave'),
        ([1.0, 2.0, 2.0, 3.0], r"value 2 nm twice, at 1 and 2.*drop_duplicates"),
        ([1.0, 3.0, 2.0, 2.0], r'3 nm at 1 .*sortby\("wavelength"\)\.drop_duplicates'),
        ([1.0, np.nan, 3.0], r"is nan at 1.*np.isfinite"),
        ([1.0, np.inf], r"is inf at 1"),
        (["a", "b"], r"dtype <U1.*real numbers"),
        ([9.0, 8.0, 8.5, 7.0, 6.0], r"8 nm at 1 is followed by 8.5 nm"),
    ],
)  # fmt: skip
def test_bad_values_are_named_with_their_place_and_the_repair(values, message):
    with pytest.raises(ck.CoordinateError, match=message):
        ck.Axis.from_cube(line(values, units="nm"), "wavelength")


def test_the_repair_that_the_error_gives_works():
    cube = line([1.0, 3.0, 2.0, 2.0], units="nm")
    repaired = cube.sortby("wavelength").drop_duplicates("wavelength")
    assert ck.Axis.from_cube(repaired).values.tolist() == [1, 2, 3]


@pytest.mark.parametrize("values", [[1.0, 2.0, 2.0, 3.0], [1.0, 3.0, 2.0, 2.0]])
def test_the_repairs_work_where_the_dim_has_another_name(values):
    cube = xr.DataArray(np.arange(4.0), {"wavelength": ("band", values)}, "band")
    with pytest.raises(ck.CoordinateError) as caught:
        ck.Axis.from_cube(cube)
    repairs = re.findall(r"cube\.\S+\(.*?\)(?=[,.] |\.$)", str(caught.value))
    assert repairs
    for repair in repairs:
        repaired = eval(repair, {"cube": cube})
        assert ck.Axis.from_cube(repaired).values.tolist() == [1, 2, 3]


def test_a_single_band_that_was_selected_is_told_apart_from_no_band():
    cube = line([1.0, 2.0], units="nm").sel(wavelength=2.0)
    with pytest.raises(ck.CoordinateError, match="'wavelength' is a single value"):
        ck.Axis.from_cube(cube)


def test_a_misspelt_name_gets_the_nearest_one():
    with pytest.raises(
        ck.CoordinateError, match=r"no coordinate 'wavelenght' .*mean 'wavelength'"
    ):
        ck.Axis.from_cube(line([1.0, 2.0]), "wavelenght")


def test_a_dim_without_coordinate_is_never_an_index_step():
    cube = xr.DataArray(np.zeros((2, 3)), dims=("y", "wavelength"))
    with pytest.raises(ck.CoordinateError, match=r"dim 'wavelength' has no coordinate.*"
                       r"assign_coords\(wavelength=np.arange\(3\)\)"):  # fmt: skip
        ck.Axis.from_cube(cube)


def test_coordinates_that_are_no_axis_are_refused():
    cube = xr.DataArray(
        np.zeros((2, 3)),
        dims=("band", "x"),
        coords={"wavelength": (("band", "x"), np.ones((2, 3))), "t": 4.0},
    )
    with pytest.raises(
        ck.CoordinateError, match=r"'wavelength' has dims \('band', 'x'\)"
    ):
        ck.Axis.from_cube(cube, "wavelength")
    with pytest.raises(ck.CoordinateError, match="'t' is a single value"):
        ck.Axis.from_cube(cube, "t")
    with pytest.raises(ck.CoordinateError, match="2 dimensions"):
        ck.Axis("x", np.ones((2, 2)))
    with pytest.raises(ck.CoordinateError, match=r"good of axis 'x' has shape \(3,\)"):
        ck.Axis("x", [1.0, 2.0], good=[True, True, False])


def test_plain_arrays_are_refused_with_a_line_to_paste():
    with pytest.raises(TypeError, match=r"cube is a numpy.ndarray.*xarray.DataArray\("):
        ck.Axis.from_cube(np.zeros(3))


def test_a_dataset_is_refused_with_one_of_its_variables():
    dataset = line([1.0, 2.0]).to_dataset(name="slope")
    with pytest.raises(
        TypeError, match=r"holds 'slope'. Choose one: dataset\['slope'\]"
    ):
        ck.savgol_filter(dataset, 3)
    with pytest.raises(TypeError, match="holds no variable"):
        ck.savgol_filter(dataset[[]], 3)


def test_times_are_seconds_since_the_first_sample():
    time = np.array(["2020-01-01", "2020-01-02", "2020-01-05"], "datetime64[ns]")
    axis = ck.Axis.from_cube(line(time, name="time"), "time")
    assert axis.values.tolist() == [0, 86400, 4 * 86400]
    assert axis.units == "s"
    time[1] = np.datetime64("NaT")
    with pytest.raises(ck.CoordinateError, match="'time' is NaT at 1"):
        ck.Axis.from_cube(line(time, name="time"), "time")


def test_differences_between_axes_are_said_in_words():
    axis = ck.Axis("wavelength", [400.0, 410.0, 420.0], units="nm")
    off = ck.Axis("wavelength", [400.0, 410.0, 420.0 + 3.1e-5], units="nm")
    assert axis.difference(off) == "'wavelength' differs by up to 3.1e-05 nm (at 2)"
    assert "3 samples, the other gives 2" in axis.difference(axis.isel(slice(2)))
    um = ck.Axis("wavelength", [400.0, 410.0, 420.0], units="um")
    assert "in nm in one, um in the other" in axis.difference(um)
    assert "dim is 'wavelength'" in axis.difference(ck.Axis("band", [1.0, 2.0, 3.0]))
    assert axis == ck.Axis("wavelength", axis.values)
    assert hash(axis) == hash(ck.Axis("wavelength", axis.values))
    assert axis != off
    assert axis != "an axis"


@pytest.mark.parametrize(
    ("units", "axis_units", "order", "expected"),
    [
        ("1", "nm", 1, "nm-1"),
        ("unitless", "nm", 2, "nm-2"),
        ("W m-2 sr-1 nm-1", "nm", 1, "W m-2 sr-1 nm-2"),
        ("counts", "cm-1", 2, "counts cm2"),
        ("nm", "nm", 1, "1"),
        ("uW/cm2", "nm", 1, "uW/cm2 (nm)-1"),
        ("m", "1/cm", 1, "m (1/cm)-1"),
        (None, "nm", 1, None),
        ("1", None, 1, None),
        ("furlong", None, 0, "furlong"),
    ],
)
def test_units_of_derivatives_are_those_of_the_data_per_axis(
    units, axis_units, order, expected
):
    assert derivative_units(units, axis_units, order) == expected


def test_an_axis_has_one_sample_at_least():
    with pytest.raises(ck.CoordinateError, match="'x' has no samples"):
        ck.Axis("x", [])
    assert not ck.Axis("x", [1.0]).is_descending
