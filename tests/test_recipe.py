"""Recipes: how they are read, refused, composed, kept and applied to many files."""

from __future__ import annotations

import pickle
import re
from typing import TYPE_CHECKING

import dask
import numpy as np
import pytest
import xarray as xr

import cubekit as ck
from cubekit.io.source import FileArray
from cubekit.recipe import matrices
from cubekit.recipe.actions import ACTIONS

if TYPE_CHECKING:
    from pathlib import Path

BRANCHES = """
title = "Smooth, differentiate, reduce"

[[step]]
do = "savgol_filter"
window_length = 11
polyorder = 3
as = "smooth"

[[step]]
do = "derivative"
coord = "wavelength"
as = "slope"

[[step]]
from = "smooth"
do = "derivative"
coord = "wavelength"
order = 2
as = "curvature"
"""


@pytest.fixture
def cube() -> xr.DataArray:
    return ck.datasets.scene((7, 6))


def count(dsk, keys, **how):
    raise AssertionError("something was computed")


def steps(*entries: dict) -> ck.Recipe:
    return ck.Recipe(entries)


# what it gives


def test_each_named_step_is_a_variable_with_the_bits_of_the_call(cube):
    result = ck.Recipe.from_toml(BRANCHES)(cube)
    smooth = ck.savgol_filter(cube, 11, 3)
    expected = {
        "smooth": smooth,
        "slope": ck.derivative(smooth, "wavelength"),
        "curvature": ck.derivative(smooth, "wavelength", order=2),
    }
    assert list(result) == list(expected)
    for name, values in expected.items():
        xr.testing.assert_equal(
            result[name].reset_coords(drop=True), values.reset_coords(drop=True)
        )
        assert result[name].attrs == values.attrs


def test_a_recipe_with_no_names_gives_the_last_result_under_the_name_of_the_cube(cube):
    result = steps({"do": "normalize"}, {"do": "savgol_filter", "window_length": 5})(
        cube
    )
    assert list(result) == [cube.name]


def test_only_what_is_kept_is_in_the_result(cube):
    text = BRANCHES.replace("\n[[step]]", 'keep = ["slope", "curvature"]\n[[step]]', 1)
    assert list(ck.Recipe.from_toml(text)(cube)) == ["slope", "curvature"]


def test_nothing_is_computed_and_the_cube_is_not_changed(cube):
    lazy = cube.copy(data=cube.chunk(y=3).data)  # coordinates stay in memory
    before = lazy.copy(deep=True)
    recipe = ck.Recipe.from_toml(BRANCHES)
    with dask.config.set(scheduler=count):
        result = recipe(lazy)
        recipe.explain(lazy)
    assert all(variable.chunks for variable in result.data_vars.values())
    xr.testing.assert_identical(lazy, before)


def test_results_that_share_a_read_read_each_block_once(tmp_path, cube, monkeypatch):
    path = ck.save_cube(cube, tmp_path / "scene.nc", chunks={"y": 2})
    lazy = ck.open_cube(path, chunks={"y": 2})
    read = []
    original = FileArray.__getitem__
    monkeypatch.setattr(
        FileArray,
        "__getitem__",
        lambda self, key: (read.append(key), original(self, key))[1],
    )
    ck.save_cube(ck.Recipe.from_toml(BRANCHES)(lazy), tmp_path / "out.nc")
    assert len(read) == 4


# one matrix


def pca_of(cube: xr.DataArray, path: Path, n: int = 4) -> str:
    ck.PCA(n).fit(cube).save(path)
    return str(path)


LINEAR = [
    {"do": "savgol_filter", "window_length": 9, "polyorder": 3},
    {"do": "derivative", "coord": "wavelength"},
]


def test_matrices_in_a_row_are_one_with_the_bits_of_the_composed_operator(cube):
    axis = ck.Axis.from_cube(cube)
    smooth = ck.savgol_operator(axis, 9, 3)
    slope = ck.derivative_operator(axis)
    got = steps(*LINEAR)(cube)[cube.name]
    np.testing.assert_array_equal(got, (slope @ smooth)(cube))
    assert "one matrix, 285 x 285" in steps(*LINEAR).explain(cube)


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("derive", [False, True])
def test_a_projection_by_a_saved_model_is_part_of_the_matrix(
    tmp_path, cube, derive, offset
):
    cube = (cube + np.float32(offset)).astype(np.float64).assign_attrs(cube.attrs)
    before = steps(*LINEAR[: 1 + derive])(cube)[cube.name]
    model = pca_of(before, tmp_path / "pca.nc")
    recipe = steps(
        *LINEAR[: 1 + derive], {"do": "PCA.transform", "model": model, "as": "s"}
    )
    expected = ck.PCA.load(model).transform(before)
    got = recipe(cube)["s"]
    assert f"1, 2{', 3' * derive}  PCA(4)" in recipe.explain(cube)
    np.testing.assert_allclose(
        got, expected, rtol=0, atol=1e-11 * (1 + offset) * abs(expected).max()
    )
    assert got.attrs == expected.attrs
    assert got.dims == expected.dims
    xr.testing.assert_identical(got.coords.to_dataset(), expected.coords.to_dataset())


def test_a_large_offset_costs_no_digits_in_float32(tmp_path, cube):
    cube = (cube + 1e4).astype(np.float32).assign_attrs(cube.attrs)
    smooth = steps(LINEAR[0])(cube.astype(np.float64))[cube.name]
    model = pca_of(smooth, tmp_path / "pca.nc")
    recipe = steps(LINEAR[0], {"do": "PCA.transform", "model": model})
    exact = ck.PCA.load(model).transform(smooth)
    error = abs(recipe(cube)["scores"] - exact).max()
    spacing = np.spacing(np.float32(1e4))
    assert error < 20 * spacing


def test_missing_values_reach_as_far_as_step_by_step(cube):
    cube = cube.copy()
    cube[2, 3, 100] = np.nan
    cube[1, 1, 0] = np.inf
    got = steps(*LINEAR)(cube)[cube.name]
    one_by_one = ck.derivative(ck.savgol_filter(cube, 9, 3), "wavelength")
    np.testing.assert_array_equal(np.isnan(got), np.isnan(one_by_one))
    tolerance = 1e-4 * float(abs(one_by_one).max())
    np.testing.assert_allclose(got, one_by_one, rtol=0, atol=tolerance)


def test_steps_to_other_bands_are_composed_with_their_coordinates(cube):
    target = [500.0, 600.0, 700.0, 800.0]
    recipe = steps(*LINEAR, {"do": "resample", "target": target, "fwhm": 20, "as": "r"})
    one_by_one = ck.resample(
        ck.derivative(ck.savgol_filter(cube, 9, 3), "wavelength"), target, fwhm=20
    )
    got = recipe(cube)["r"]
    assert "1, 2, 3  " in recipe.explain(cube)
    xr.testing.assert_allclose(got, one_by_one, rtol=1e-4)
    xr.testing.assert_identical(got.coords.to_dataset(), one_by_one.coords.to_dataset())


@pytest.mark.parametrize(
    "second",
    [
        {"do": "derivative", "coord": "y"},
        {"do": "derivative", "coord": "wavelength", "missing": "refit"},
        {"do": "normalize"},
    ],
)
def test_steps_that_are_no_matrix_together_are_taken_one_by_one(cube, second):
    recipe = steps(LINEAR[0], second)
    assert "one matrix" not in recipe.explain(cube)
    call = getattr(ck, second["do"])
    others = {k: v for k, v in second.items() if k != "do"}
    expected = call(ck.savgol_filter(cube, 9, 3), **others)
    np.testing.assert_array_equal(recipe(cube)[cube.name], expected)


def test_a_result_that_is_kept_is_not_composed_away(cube):
    recipe = steps({**LINEAR[0], "as": "smooth"}, {**LINEAR[1], "as": "slope"})
    assert "one matrix" not in recipe.explain(cube)


def test_a_short_segment_is_warned_of_once(cube):
    cube = cube.isel(wavelength=[*range(100), *range(105, 107), *range(120, 285)])
    recipe = steps({**LINEAR[0], "max_gap": 12}, LINEAR[1])
    with pytest.warns(UserWarning, match="segment") as told:
        recipe(cube)
    assert len(told) == 1


# results side by side


def test_results_on_other_bands_keep_their_own_coordinate(cube):
    recipe = steps(
        {"do": "savgol_filter", "window_length": 5, "as": "smooth"},
        {"do": "resample", "target": [500, 600, 700], "fwhm": 30, "as": "broad"},
    )
    result = recipe(cube)
    assert result["smooth"].sizes["wavelength"] == 285
    assert result["broad"].dims == ("y", "x", "wavelength_broad")
    assert list(result["broad"].wavelength_broad) == [500, 600, 700]
    assert set(result["broad"].coords) == {"y", "x", "wavelength_broad", "fwhm_broad"}


def test_a_step_of_several_results_names_them_after_itself(cube):
    result = steps({"do": "flattest", "as": "flat"})(cube.isel(wavelength=[10, 20]))
    assert {"flat_y", "flat_x"} <= set(result.data_vars) or all(
        str(name).startswith("flat_") for name in result.data_vars
    )


def test_a_name_that_a_coordinate_has_is_refused(cube):
    with pytest.raises(ck.RecipeError, match="as='wavelength' is the name of a coord"):
        steps({"do": "normalize", "as": "wavelength"})(cube)


# refused before anything runs, with the line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('do = "savgol_fliter"', r"line 8: there is no step.*mean 'savgol_filter'\?"),
        ('do = "open_cube"', "line 8: there is no step 'open_cube'"),
        ('do = "os.system"', "line 8: there is no step"),
        ('do = "PCA.save"', "line 8: there is no step"),
        ("do = 3", "line 8: there is no step 3"),
        ('from = "first"', "line 7: the step does not say what to do"),
        (
            'do = "savgol_filter"\nwindow_lenght = 5',
            r"line 9: savgol_filter has no argument.*mean 'window_length'\?",
        ),
        (
            'do = "savgol_filter"\npolyorder = 2\nwindow_length = "five"',
            "line 10: .*'five', which is a text. It takes an integer",
        ),
        ('do = "savgol_filter"\npolyorder = true', "which is true or false"),
        ('do = "savgol_filter"\npolyorder = 2.5', "which is a number. It takes an int"),
        ('do = "savgol_filter"\nmax_gap = []', 'It takes a number or "auto"'),
        ('do = "normalize"\nmethod = "svn"', 'It takes "snv" or "vector" or "area"'),
        ('do = "mark_bad"\nranges = [1, 2]', "line 9: .*which is a list"),
        ('do = "gradient"\ncoords = "y"', "It takes a list of texts"),
        ('do = "derivative"\ncoord="y"\nperiodic = 3', "It takes a table of numbers"),
        ('do = "derivative"', "line 7: derivative has no 'coord'"),
        ('do = "PCA.transform"', "line 7: PCA.transform has no 'model'"),
        ('do = "normalize"\nfrom = "frist"', r"line 9: .*Did you mean 'first'\?"),
        ('do = "normalize"\nas = "first"', "line 9: .* is taken by step 1"),
        ('do = "normalize"\nas = "a/b"', "line 9: .* cannot name a result"),
        ('do = "normalize"\nas = "cube"', "line 9: .* cannot name a result"),
        ('do = "normalize"', "line 7: nothing uses the result of normalize"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_the_nearest_name(text, message):
    recipe = '''title = """
[[step]]"""
[[step]]
do = "mark_bad"
ranges = [[900, 1000]]
as = "first"
[[step]]
'''
    with pytest.raises(ck.RecipeError, match=message):
        ck.Recipe.from_toml(recipe + text)


def test_lines_are_found_however_a_step_is_written():
    table = """[[step]]
do = "derivative"
coord = "lon"

[step.periodic]
lon = "round"
"""
    with pytest.raises(ck.RecipeError, match="line 5: derivative has periodic="):
        ck.Recipe.from_toml(table)
    inline = """title = "inline"
step = [
  { do = "normalize" }, { do = "derivative", order = 1.5, coord = "y" },
]
"""
    with pytest.raises(ck.RecipeError, match=r"line 2: derivative has order=1\.5"):
        ck.Recipe.from_toml(inline)
    with pytest.raises(ck.RecipeError, match="line 4: 'extra' has no meaning"):
        ck.Recipe.from_toml('[[step]]\ndo = "normalize"\n\n[extra]\na = 1\n')


def test_a_model_in_another_order_of_bands_is_applied_by_itself(tmp_path, cube):
    model = pca_of(cube.isel(wavelength=slice(None, None, -1)), tmp_path / "pca.nc")
    first = {"do": "savgol_filter", "window_length": 5}
    recipe = steps(first, {"do": "PCA.transform", "model": model})
    assert "one matrix" not in recipe.explain(cube)
    expected = ck.PCA.load(model).transform(ck.savgol_filter(cube, 5))
    np.testing.assert_array_equal(recipe(cube)["scores"], expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[step]\n", "line 1: this is no TOML"),
        ("title = 'a'\n", "there is no step"),
        ("titel = 'a'\n[[step]]\ndo = 'normalize'", r"line 1: .*mean 'title'\?"),
        ("title = 3\n[[step]]\ndo = 'normalize'", "line 1: title=3 is an integer"),
        ("keep = ['a']\n[[step]]\ndo = 'normalize'", "line 1: there is no result 'a'"),
        ("keep = 3\n[[step]]\ndo = 'normalize'", "line 1: keep=3 is no list"),
        ("\n" * 2**20, "has 1048576 lines"),
        ("a = " + "[" * 5000 + "\n", "no TOML|nests too deeply"),
    ],
)
def test_a_text_that_is_no_recipe_is_refused(text, message):
    with pytest.raises(ck.RecipeError, match=message):
        ck.Recipe.from_toml(text)


def test_recipes_of_python_name_the_step():
    with pytest.raises(ck.RecipeError, match="recipe, step 2: there is no step 'x'"):
        steps({"do": "normalize"}, {"do": "x"})


def test_an_error_of_a_step_says_which(cube):
    recipe = ck.Recipe.from_toml(BRANCHES.replace("= 11", "= 10"))
    with pytest.raises(ValueError, match="is even") as caught:
        recipe(cube)
    assert "line 4 of the recipe: savgol_filter(" in caught.value.__notes__[0]


def test_a_step_after_one_of_several_results_is_refused(cube):
    recipe = steps({"do": "flattest"}, {"do": "normalize"})
    with pytest.raises(ck.RecipeError, match="result of several variables"):
        recipe(cube.isel(wavelength=[10]))


def test_only_a_dataarray_is_a_cube():
    with pytest.raises(TypeError, match="Give a DataArray"):
        steps({"do": "normalize"})(np.zeros(3))


def test_steps_only_take_cubes_and_never_touch_files():
    assert "open_cube" not in ACTIONS
    assert "save_cube" not in ACTIONS
    assert not {"do", "from", "as"} & {
        p for a in ACTIONS.values() for p in a.parameters
    }


# text and file


def test_text_of_a_recipe_reads_back_as_the_same():
    entries = [
        {"do": "mark_bad", "ranges": np.array([[1350.5, 1450], [1800, 1950]])},
        {"do": "savgol_filter", "window_length": np.int64(5), "coord": None, "as": "ä"},
        {
            "from": "cube",
            "do": "derivative",
            "coord": "y",
            "periodic": {"y": 1e300},
            "as": "b",
        },
        {
            "from": "cube",
            "do": "gradient",
            "coords": ("y", "x"),
            "geographic": True,
            "as": "c",
        },
    ]
    recipe = ck.Recipe(entries, title='A "b" \\ \x7f\n\t', keep=["ä", "b", "c"])
    again = ck.Recipe.from_toml(recipe.to_toml())
    assert again == recipe
    assert hash(again) == hash(recipe)
    assert again.to_toml() == recipe.to_toml()
    assert "cube: derivative(coord='y'" in repr(recipe)


def test_a_result_says_how_it_was_made(tmp_path, cube):
    recipe = ck.Recipe.from_toml(BRANCHES)
    cube = cube.assign_attrs(history="2020-01-01 measured")
    path = ck.save_cube(recipe(cube), tmp_path / "result.nc")
    assert ck.Recipe.from_file(path) == recipe
    with xr.open_dataset(path) as file:
        earlier, made, saved = file.attrs["history"].split("\n")
        assert all("history" not in v.attrs for v in file.data_vars.values())
        assert not any("recipe" in name for name in file.attrs)
    assert earlier == "2020-01-01 measured"
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert re.fullmatch(
        rf'{time} cubekit {ck.__version__}: recipe = \{{ title = "Smooth, .*", '
        r'step = \[\{ do = "savgol_filter", window_length = 11, polyorder = 3, '
        r'as = "smooth" \}, .*\] \}',
        made,
    )
    assert re.fullmatch(rf"{time} cubekit {ck.__version__}: save_cube", saved)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_the_last_recipe_of_a_history_is_the_one(tmp_path, cube, suffix):
    first = steps({"do": "normalize"})
    title = "two\nlines, \x85 \u2028 = {'quotes\"}]"
    last = ck.Recipe([{"do": "savgol_filter", "window_length": 5}], title=title)
    path = ck.save_cube(first(cube), tmp_path / f"one{suffix}")
    assert ck.Recipe.from_file(path) == first
    path = ck.save_cube(last(ck.open_cube(path)), tmp_path / f"two{suffix}")
    assert ck.Recipe.from_file(path) == last


def test_a_recipe_is_made_at_the_time_that_is_set(cube, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert steps({"do": "normalize"})(cube).history == (
        f"1970-01-01T00:00:00Z cubekit {ck.__version__}: "
        'recipe = { step = [{ do = "normalize" }] }'
    )


def test_a_file_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no file 'r\.toml' \(in .*TOML"):
        ck.Recipe.from_toml("r.toml")
    with pytest.raises(FileNotFoundError, match=r"no file 'r\.nc' \(in .*Check"):
        ck.Recipe.from_file("r.nc")


def test_a_result_that_is_no_file_of_ours_is_refused(tmp_path):
    (tmp_path / "r.nc").write_bytes(b"no netCDF")
    with pytest.raises(ck.CorruptFileError, match="cannot be opened as netCDF-4"):
        ck.Recipe.from_file(tmp_path / "r.nc")
    (tmp_path / "r.zarr").mkdir()
    with pytest.raises(ck.CorruptFileError, match=r"no Zarr store\. Its history"):
        ck.Recipe.from_file(tmp_path / "r.zarr")


def test_a_file_without_a_recipe_is_refused(tmp_path, cube):
    path = ck.save_cube(cube, tmp_path / "cube.nc")
    with pytest.raises(ck.RecipeError, match="records no recipe"):
        ck.Recipe.from_file(path)


def test_models_lie_beside_the_recipe_and_are_found_again(tmp_path, cube, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    pca_of(cube, tmp_path / "pca.nc")
    (tmp_path / "r.toml").write_text(
        '[[step]]\ndo = "PCA.transform"\nmodel = "pca.nc"\n'
    )
    recipe = ck.Recipe.from_toml(tmp_path / "r.toml")
    assert 'model = "pca.nc"' in recipe.to_toml()
    saved = ck.save_cube(recipe(cube), tmp_path / "scores.nc")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    again = ck.Recipe.from_file(saved)
    xr.testing.assert_identical(again(cube), recipe(cube))


def test_a_recipe_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "r.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ck.RecipeError, match="no text in UTF-8"):
        ck.Recipe.from_toml(tmp_path / "r.toml")


# many files


@pytest.fixture
def files(tmp_path) -> list[Path]:
    return [
        ck.save_cube(ck.datasets.scene((4, 3), seed=k), tmp_path / f"scene{k}.nc")
        for k in range(3)
    ]


@pytest.mark.parametrize("at_once", [1, 2])
def test_every_file_has_a_result_of_its_name(tmp_path, files, at_once):
    recipe = steps({"do": "normalize"})
    paths = ck.apply(recipe, files, tmp_path / "out", at_once=at_once, progress=False)
    assert paths == [tmp_path / "out" / file.name for file in files]
    for path, file in zip(paths, files, strict=True):
        np.testing.assert_array_equal(
            ck.open_cube(path), ck.normalize(ck.open_cube(file))
        )


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_file_that_fails_does_not_keep_the_others(tmp_path, files, at_once):
    files[1].write_bytes(b"no cube")
    seen = {}
    told = r"1 of 3 files failed: \S+scene1\.nc\. The results of the others"
    with pytest.raises(ck.BatchError, match=told) as caught:
        ck.apply(
            steps({"do": "normalize"}),
            *(files, tmp_path / "out"),
            at_once=at_once,
            done=seen.__setitem__,
        )
    assert isinstance(caught.value, ExceptionGroup)
    assert caught.value.files == (files[1],)
    (error,) = caught.value.exceptions
    assert isinstance(error, ck.CorruptFileError)
    assert f"The file is {files[1]}." in error.__notes__
    assert seen[files[1]] is error
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "scene0.nc",
        "scene2.nc",
    ]


def test_files_that_would_share_a_result_are_refused_before_any_starts(tmp_path, files):
    with pytest.raises(ValueError, match="would both become"):
        ck.apply(steps({"do": "normalize"}), [files[0], files[0]], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("given", ["smooth.toml", None, [{"do": "normalize"}]])
def test_what_is_no_recipe_is_refused_before_a_file_is_read(tmp_path, files, given):
    with pytest.raises(TypeError, match=r"apply: .* Recipe\.from_toml\(path\)"):
        ck.apply(given, files, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="there are no files"):
        ck.apply(steps({"do": "normalize"}), [], tmp_path)


def test_where_all_files_fail_nothing_is_said_of_others(tmp_path):
    files = [tmp_path / f"{k}.nc" for k in range(7)]
    told = r"7 of 7 files failed: .*4\.nc and 2 more\. Repeat with these files"
    with pytest.raises(ck.BatchError, match=told) as caught:
        ck.apply(steps({"do": "normalize"}), files, tmp_path / "out")
    part, rest = caught.value.split(lambda error: "6.nc" in str(error))
    assert part.files == (files[6],)
    assert rest.files == tuple(files[:6])


# once


def test_models_are_read_and_matrices_built_once_for_an_axis(
    tmp_path, cube, monkeypatch
):
    model = pca_of(ck.savgol_filter(cube, 9), tmp_path / "pca.nc")
    smooth = {"do": "savgol_filter", "window_length": 9}
    recipe = steps(smooth, {"do": "PCA.transform", "model": model})
    first = recipe(cube)
    with monkeypatch.context() as patch:
        patch.setattr(ck.PCA, "load", None)
        patch.setattr(matrices, "_OPERATORS", dict.fromkeys(matrices._OPERATORS))
        xr.testing.assert_equal(recipe(cube + 0), first)
        xr.testing.assert_equal(recipe(cube.isel(y=[2])), first.isel(y=[2]))


def test_an_axis_with_other_bad_bands_has_a_matrix_of_its_own(cube):
    recipe = steps(*LINEAR)
    for each in (cube, ck.mark_bad(cube, [(900, 950)]), cube):
        axis = ck.Axis.from_cube(each)
        chain = ck.derivative_operator(axis) @ ck.savgol_operator(axis, 9, 3)
        np.testing.assert_array_equal(recipe(each)[cube.name], chain(each))


def test_a_model_that_was_saved_anew_is_read_anew(tmp_path, cube):
    smooth = ck.savgol_filter(cube, 9)
    model = pca_of(smooth, tmp_path / "pca.nc", 4)
    recipe = steps(
        {"do": "savgol_filter", "window_length": 9},
        {"do": "PCA.transform", "model": model},
    )
    assert recipe(cube)["scores"].sizes["component"] == 4
    ck.PCA(2).fit(smooth).save(model, overwrite=True)
    assert recipe(cube)["scores"].sizes["component"] == 2
    again = pickle.loads(pickle.dumps(recipe))
    assert again == recipe
    xr.testing.assert_equal(again(cube), recipe(cube))


def test_of_many_axes_only_some_matrices_are_kept(cube, monkeypatch):
    monkeypatch.setattr(matrices, "_KEPT", 3)
    recipe = steps(*LINEAR)
    for stop in (285, 284, 283, 285):
        part = cube.isel(wavelength=slice(stop))
        axis = ck.Axis.from_cube(part)
        chain = ck.derivative_operator(axis) @ ck.savgol_operator(axis, 9, 3)
        np.testing.assert_array_equal(recipe(part)[cube.name], chain(part))
    assert len(recipe._matrices._known) == 3


def test_an_envi_file_keeps_no_recipe_and_that_is_said(tmp_path):
    path = ck.save_cube(ck.datasets.scene((2, 3)), tmp_path / "cube.hdr")
    for file in (path, path.with_suffix(".img")):
        with pytest.raises(ValueError, match="is ENVI, which has no place for one"):
            ck.Recipe.from_file(file)
    result = ck.Recipe([{"do": "sort_bands"}])(ck.open_cube(path))
    ck.save_cube(result, tmp_path / "cube.nc")  # beside a header of its name
    assert ck.Recipe.from_file(tmp_path / "cube.nc")


def test_a_line_that_is_lacking_can_be_pasted():
    for name, action in ACTIONS.items():
        text = f'[[step]]\ndo = "{name}"\n'
        for lacking in action.required:
            told = rf"{re.escape(name)} has no '{lacking}'\..* Add a line such as: "
            with pytest.raises(ck.RecipeError, match=told) as caught:
                ck.Recipe.from_toml(text)
            text += str(caught.value).split("such as: ")[1] + "\n"
        assert len(ck.Recipe.from_toml(text)._steps) == 1
