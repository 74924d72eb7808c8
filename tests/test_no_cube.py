"""What is no cube, or an empty one, is said so by every public function alike."""

import functools
import inspect

import numpy as np
import pytest
import xarray as xr

import cubekit as ck
from cubekit.accessor import takes_cube

# what functions ask for besides a cube
ARGUMENTS = {
    "at": {"y": 0.5, "x": 1},
    "gradient": None,
    "mask": "a.nc",
    "models": [ck.PCA(2)],
    "slope": None,
    "smooth": None,
    "a": 800,
    "b": 600,
    "band": 600,
    "coord": "wavelength",
    "like": None,
    "path": "a.nc",
    "points": [(0, 0)],
    "ranges": [(500, 520)],
    "reference": xr.DataArray([1.0, 2.0], {"wavelength": [500.0, 600.0]}),
    "source": "a.nc",
    "target": [500.0],
    "to": "eV",
    "units": "eV",
    "x": 0,
    "y": 0,
    "window_length": 5,
}
FUNCTIONS = {
    f"{module.__name__}.{name}": function
    for module in (ck, ck.plotting)
    for name in module.__all__
    if takes_cube(function := getattr(module, name))
}
LABELLED = {"cubekit.save_cube", "cubekit.plan"}  # take a Dataset, too
SPECTRAL = [
    "band_ratio",
    "convert_axis",
    "mark_bad",
    "normalize",
    "normalized_difference",
    "remove_continuum",
    "resample",
    "savgol_filter",
    "spectral_angle",
]


def call(function, cube):
    needed = list(inspect.signature(function).parameters.values())[1:]
    given = {
        p.name: ARGUMENTS[p.name]
        for p in needed
        if p.default is p.empty and p.kind is not p.VAR_KEYWORD
    }
    return function(cube, **given)


@pytest.fixture
def cube():
    return xr.DataArray(
        np.ones((2, 3, 4), np.float32),
        {"y": [0.0, 1], "x": [0.0, 1, 2], "wavelength": [500.0, 600, 700, 800]},
    )


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - LABELLED))
@pytest.mark.parametrize("kind", ["array", "dataset", "nothing"])
def test_what_is_no_cube_is_refused(cube, name, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"array": cube.values, "dataset": xr.Dataset({"r": cube}), "nothing": None}
    said = r"Choose one: dataset\['r'\]" if kind == "dataset" else "xarray.DataArray"
    with pytest.raises(TypeError, match=f"needs a DataArray.*{said}"):
        call(FUNCTIONS[name], given[kind])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(LABELLED))
@pytest.mark.parametrize("given", [None, np.ones((2, 2))])
def test_what_has_no_labels_is_not_saved(name, given):
    with pytest.raises(TypeError, match="Give a DataArray or a Dataset"):
        call(FUNCTIONS[name], given)


@pytest.mark.parametrize("name", SPECTRAL)
def test_spectra_without_bands_are_refused(cube, name):
    with pytest.raises(ck.CoordinateError, match="'wavelength' has no samples"):
        call(getattr(ck, name), cube[..., :0])


@pytest.mark.parametrize("name", SPECTRAL)
@pytest.mark.parametrize("coord", [["wavelength"], {}, np.ones(2)])
def test_a_coordinate_is_asked_for_by_its_name(cube, name, coord):
    ask = functools.partial(getattr(ck, name), coord=coord)
    with pytest.raises(TypeError, match=r"asked for by .* has 'y', 'x', 'wave"):
        call(ask, cube)


@pytest.mark.parametrize(
    "model", [ck.PCA, ck.MNF, pytest.param(ck.Autoencoder, marks=pytest.mark.torch)]
)
@pytest.mark.parametrize("given", [None, 3, np.ones((2, 2)), xr.Dataset()])
def test_models_are_fitted_to_cubes(model, given):
    with pytest.raises(TypeError, match="needs a DataArray"):
        model(2).fit(given)


@pytest.mark.parametrize("given", [None, "wavelength", np.ones(3)])
def test_operators_and_models_are_built_from_an_axis(given):
    with pytest.raises(TypeError, match=r"is no Axis\. .*Axis\.from_cube\(cube\)"):
        ck.resample_operator(given, [500.0])
    with pytest.raises(TypeError, match="is no Axis"):
        ck.PCA.from_sklearn(None, given)
    with pytest.raises(TypeError, match="is no model of scikit-learn"):
        ck.PCA.from_sklearn(given, ck.Axis("wavelength", [500.0]))


@pytest.mark.parametrize("chunks", ["64", 64, (2, 2, 4)])
def test_chunks_to_save_are_sizes_by_dim(cube, chunks, tmp_path):
    with pytest.raises(TypeError, match=r"Write chunks=\{'y': 64\}"):
        ck.plan(cube, chunks=chunks)
    with pytest.raises(TypeError, match="belongs to the name of its dim"):
        ck.save_cube(cube, tmp_path / "a.nc", chunks=chunks)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("chunks", [None, 0, 2.5, [], "some", (2, 2), object()])
def test_chunks_that_do_not_cut_a_file_are_said_so(cube, chunks, tmp_path):
    ck.save_cube(cube, tmp_path / "a.nc")
    with pytest.raises(ValueError, match=r"does not cut .* chunks=\{'y': 64\}"):
        ck.open_cube(tmp_path / "a.nc", chunks=chunks)


def test_the_angle_of_one_spectrum_is_a_number(cube):
    angle = ck.spectral_angle(cube[0, 0], cube[1, 1])
    assert angle.shape == ()
    assert float(angle) == pytest.approx(0, abs=1e-6)


def test_no_bands_have_no_flattest_place():
    plane = np.random.default_rng(0).normal(size=(5, 6, 3))
    cube = xr.DataArray(
        plane, {"y": np.arange(5.0), "x": np.arange(6.0)}, ["y", "x", "band"]
    )
    found = ck.flattest(cube[..., :0])
    assert found["y"].shape == (0,)


@pytest.mark.parametrize("spectra", [0, 1, 2])
def test_expectation_maximisation_needs_more_spectra_than_components(spectra):
    values = np.random.default_rng(0).normal(size=(spectra, 5))
    few = xr.DataArray(
        values, {"wavelength": np.arange(5.0) + 400}, ["y", "wavelength"]
    )
    with pytest.raises(ValueError, match=r"PCA\.fit: .*(no value at all|more spectra)"):
        ck.PCA(2, missing="em").fit(few)
    with pytest.raises(ValueError, match="no value at all"):
        ck.PCA(2, missing="em").fit(few * np.nan)


def test_a_fit_to_an_empty_cube_says_so(cube):
    with pytest.raises(ValueError, match="cube is empty"):
        ck.PCA(2).fit(cube[:0])
