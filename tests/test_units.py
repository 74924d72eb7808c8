"""Axes in other units, and what becomes of densities and derivatives."""

import numpy as np
import pytest
import scipy.constants
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import cubekit as ck

UNITS = ["nm", "um", "m", "angstrom", "cm-1", "m-1", "eV", "meV", "keV", "Hz", "MHz",
         "GHz", "THz"]  # fmt: skip
X = np.linspace(400, 2500, 2101)


def cube_of(values, x=X, units="nm", name="wavelength", attrs=None, **coords):
    return xr.DataArray(
        values,
        dims=name,
        coords={
            name: (name, x, {"units": units}),
            **{k: (name, v, {"units": units}) for k, v in coords.items()},
        },
        attrs=attrs,
    )


@pytest.mark.parametrize(
    ("units", "name", "expected"),
    [
        ("um", "wavelength", 0.5),
        ("m", "wavelength", 500e-9),
        ("angstrom", "wavelength", 5000),
        ("cm-1", "wavenumber", 20000),
        ("THz", "frequency", scipy.constants.c / 500e-9 / 1e12),
        (
            "eV",
            "energy",
            scipy.constants.h * scipy.constants.c / 500e-9 / scipy.constants.e,
        ),
    ],
)
def test_five_hundred_nanometres_in_all_units(units, name, expected):
    got = ck.convert_axis(cube_of([1.0, 2.0], [500.0, 600.0]), units)
    assert got.dims == (name,)
    assert got[name].attrs == {"units": units}
    assert float(got[name][0]) == pytest.approx(expected, rel=1e-14)
    assert got[name].to_index() is not None


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        *((s, "nm") for s in ("Nanometers", "NANOMETRE", "$nm$", "Wavelength (nm)")),
        *((s, "um") for s in ("µm", "\u03bcm", "Micrometers", "microns", "[um]")),
        *((s, "cm-1") for s in ("1/cm", "cm^-1", "cm\u207b\u00b9", "cm**-1", "/cm")),
        ("wavenumber (cm-1)", "cm-1"),
        ("meV", "meV"),
    ],
)
def test_units_are_understood_as_files_spell_them(spelling, name):
    values = [500.0, 600.0, 700.0]
    cube, plain = (cube_of(values, values, units=u, name="a") for u in (spelling, name))
    assert ck.Axis.from_cube(cube).name == "a"  # found as the spectral one
    for units in ("THz", "um"):
        got, expected = (ck.convert_axis(c, units) for c in (cube, plain))
        xr.testing.assert_identical(got, expected)
    target = ck.Axis("a", [550.0, 650.0], units=name)
    np.testing.assert_allclose(ck.resample(cube, target), [550, 650])
    smooth = ck.savgol_operator(ck.Axis("a", values, units=name), 3, 1)
    np.testing.assert_allclose(smooth(cube), values)


def test_a_symbol_in_another_case_is_another_unit():
    with pytest.raises(ck.CoordinateError, match="is in 'mev'"):
        ck.convert_axis(cube_of([1.0], [1.0], units="mev"), "nm")


def test_decimal_units_are_rounded_once():
    x = np.arange(400.0, 2500.0)
    np.testing.assert_array_equal(
        ck.convert_axis(cube_of(x, x), "um")["wavelength"], x / 1000
    )


@given(st.sampled_from(UNITS), st.sampled_from(UNITS))
def test_there_and_back_is_where_it_was(first, second):
    cube = cube_of(
        np.arange(5.0),
        [1.0, 2, 4, 5, 9],
        units=first,
        name="band",
        fwhm=[0.1, 0.2, 0.3, 0.2, 0.1],
    )
    there = ck.convert_axis(cube, second)
    back = ck.convert_axis(there, first)
    np.testing.assert_allclose(back["band"], cube["band"], rtol=1e-14)
    np.testing.assert_allclose(back["fwhm"], cube["fwhm"], rtol=1e-14)
    assert there["fwhm"].attrs["units"] == second


def test_widths_cover_the_same_light():
    cube = cube_of(X, fwhm=np.full(len(X), 5.0))
    got = ck.convert_axis(cube, "cm-1")
    exact = 1e7 / (X - 2.5) - 1e7 / (X + 2.5)
    np.testing.assert_allclose(got["fwhm"], exact, rtol=1e-4)


@pytest.mark.parametrize("density", [False, True])
def test_a_shift_has_other_units_of_energy_and_no_wavelength(density):
    shift = np.array([-200.0, 0.0, 100.0])
    cube = cube_of(np.ones(3), shift, "cm-1", "raman_shift", fwhm=[4.0, 4, 4])
    got = ck.convert_axis(cube, "meV", density=density)
    each = 1e5 * scipy.constants.h * scipy.constants.c / scipy.constants.e
    np.testing.assert_allclose(got["raman_shift"], shift * each)
    np.testing.assert_allclose(got["fwhm"], 4 * each)
    np.testing.assert_allclose(got, 1 / each if density else 1)
    assert got["raman_shift"].attrs["units"] == "meV"
    with pytest.raises(ck.CoordinateError, match=r"is a shift.*Add the line"):
        ck.convert_axis(cube, "nm")


def test_the_order_of_samples_and_the_values_stay():
    cube = cube_of(np.cos(X), attrs={"units": "1"})
    got = ck.convert_axis(cube, "eV")
    np.testing.assert_array_equal(got.values, cube.values)
    assert ck.Axis.from_cube(got).is_descending
    assert got.attrs == cube.attrs
    assert ck.Axis.from_cube(got.sortby("energy")).name == "energy"


def test_bad_bands_go_along():
    cube = ck.mark_bad(cube_of(X), [(1340, 1460)])
    got = ck.convert_axis(cube, "cm-1")
    np.testing.assert_array_equal(got["good_band"], cube["good_band"])
    assert got["good_band"].dims == ("wavenumber",)


@pytest.mark.parametrize("units", ["um", "m", "eV", "cm-1", "THz"])
def test_the_integral_of_a_density_is_kept(units):
    # Gauss-Legendre nodes in the new unit: an integral with no error of its own
    nodes, weights = np.polynomial.legendre.leggauss(60)
    ends = ck.convert_axis(cube_of([0.0, 0], [400.0, 700.0]), units)
    low, high = np.sort(ends[ends.dims[0]].values)
    places = low + (nodes + 1) * (high - low) / 2
    new = cube_of(np.zeros(60), places, units=units, name=str(ends.dims[0]))
    x = ck.convert_axis(new, "nm")["wavelength"].values
    density = cube_of(np.exp(-(((x - 550) / 80) ** 2)), x)
    got = ck.convert_axis(density, units, density=True)
    exact = scipy.integrate.quad(
        lambda t: np.exp(-(((t - 550) / 80) ** 2)), 400, 700, epsabs=1e-13
    )[0]
    assert got.values @ weights * (high - low) / 2 == pytest.approx(exact, rel=1e-10)


@given(st.sampled_from(UNITS), st.sampled_from(UNITS), st.integers(0, 2**16))
def test_a_density_times_its_widths_is_kept_between_all_units(first, second, seed):
    # exact where |d old / d new| is: a power of the axis, so ln x has the same measure
    rng = np.random.default_rng(seed)
    x = np.exp(np.cumsum(rng.uniform(0.01, 0.3, 9)))
    density = cube_of(rng.uniform(1, 2, 9), x, units=first, name="band")
    got = ck.convert_axis(density, second, density=True)
    np.testing.assert_allclose(got * got["band"], density.values * x, rtol=1e-10)
    back = ck.convert_axis(got, first, density=True)
    np.testing.assert_allclose(back, density, rtol=1e-10)


def test_units_of_a_density_are_per_new_unit():
    cube = cube_of(
        X, attrs={"units": "W m-2 nm-1", "standard_name": "x", "valid_max": 1}
    )
    got = ck.convert_axis(cube, "um", density=True)
    np.testing.assert_allclose(got, X * 1000)
    assert got.attrs == {"units": "W m-2 um-1"}
    assert ck.convert_axis(cube, "eV", density=True).attrs["units"] == "W m-2 eV-1"
    assert "units" not in ck.convert_axis(cube_of(X), "eV", density=True).attrs


@pytest.mark.parametrize("units", ["eV", "cm-1", "um", "m", "THz"])
def test_derivatives_follow_the_chain_rule(units):
    x = np.linspace(500, 520, 401)
    cube = cube_of(np.sin(x / 20), x)
    got = ck.convert_axis(cube, units)
    new = got[got.dims[0]].values
    slope = ck.derivative_operator(ck.Axis.from_cube(got), accuracy=6)(got)
    expected = np.cos(x / 20) / 20 * x / new * (1 if units in {"um", "m"} else -1)
    np.testing.assert_allclose(slope, expected, rtol=1e-8)


def test_names_follow_the_quantity_and_others_are_left():
    cube = cube_of([1.0, 2], [500.0, 600.0], name="band")
    assert ck.convert_axis(cube, "eV").dims == ("band",)
    along = (
        cube.rename(band="x")
        .assign_coords(x=[0, 1])
        .assign_coords(
            wavelength=(
                "x",
                [500.0, 600.0],
                {
                    "units": "nm",
                    "standard_name": "radiation_wavelength",
                    "long_name": "wavelength",
                    "valid_min": 1,
                },
            )
        )
    )
    got = ck.convert_axis(along, "cm-1")
    assert got.dims == ("x",)
    assert got["wavenumber"].attrs == {
        "units": "cm-1",
        "standard_name": "radiation_wavenumber",
    }
    energy = ck.convert_axis(along, "eV")
    assert energy["energy"].attrs == {"units": "eV"}
    same = ck.convert_axis(along, "um")["wavelength"].attrs
    assert same["long_name"] == "wavelength"


@pytest.mark.parametrize("density", [False, True])
def test_a_lazy_cube_stays_lazy(make_cube, count_computes, density):
    cube = make_cube(chunks={"y": 2}, dtype="float32")
    before = cube.copy(deep=True)
    with count_computes() as ran:
        got = ck.convert_axis(cube, "eV", density=density)
    assert not ran
    assert got.dtype == np.float32
    assert got.chunks == cube.chunks
    assert got.dims == ("y", "x", "energy")
    xr.testing.assert_identical(cube, before)


@pytest.mark.parametrize(
    ("cube", "units", "error", "message"),
    [
        (
            cube_of(X),
            "inch",
            ValueError,
            "units='inch' are unknown. An axis can be in nm",
        ),
        (cube_of(X, units="inch"), "nm", ck.CoordinateError, "is in 'inch'. Its own"),
        (cube_of(X).drop_attrs(), "nm", ck.CoordinateError, "has no units"),
        (
            cube_of([1.0, 2], [0.0, 1]),
            "eV",
            ck.CoordinateError,
            "'wavelength' is 0 at 0",
        ),
        (
            cube_of([1.0, 2], [100.0, 200], "cm-1", "raman_shift"),
            "nm",
            ck.CoordinateError,
            "is a shift, no wavelength",
        ),
        (
            cube_of(X).assign_coords(energy=1.0),
            "eV",
            ck.CoordinateError,
            r"would become 'energy'. The cube has that already",
        ),
    ],
)
def test_axes_that_cannot_be_converted_are_refused(cube, units, error, message):
    with pytest.raises(error, match=message):
        ck.convert_axis(cube, units)
