"""Commands that save a cube: each is one public call; recipes for one file or many."""

from __future__ import annotations

import filecmp
import json
import os
import re
import shlex
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import cubekit as ck
from cubekit.cli import main, saving
from cubekit.recipe.actions import ACTIONS

RECIPE = """
[[step]]
do = "savgol_filter"
window_length = 11
as = "smooth"

[[step]]
do = "derivative"
coord = "wavelength"
as = "slope"
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def invoke(*words: object):
        return CliRunner().invoke(main, [str(word) for word in words])

    return invoke


@pytest.fixture
def scene(tmp_path) -> Path:
    (tmp_path / "r.toml").write_text(RECIPE)
    return ck.save_cube(ck.datasets.scene((6, 5)), tmp_path / "scene.nc")


def same(path: str, expected: xr.DataArray, variable: str | None = None) -> None:
    np.testing.assert_array_equal(ck.open_cube(path, variable=variable), expected)


def test_run_writes_what_the_recipe_gives(run, scene):
    result = run("run", "r.toml", scene, "out.nc", "--workers", 1, "--memory", "500MB")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("wrote out.nc (")
    same("out.nc", ck.savgol_filter(ck.open_cube(scene), 11), "smooth")
    assert ck.Recipe.from_file("out.nc") == ck.Recipe.from_toml(RECIPE)


def test_run_of_many_files_goes_on_after_a_failure_and_says_so(run, scene, tmp_path):
    (tmp_path / "bad.nc").write_bytes(b"no cube")
    ck.save_cube(ck.datasets.scene((4, 5)), tmp_path / "two.nc")
    result = run("run", "r.toml", scene, "bad.nc", "two.nc", "results")
    assert result.exit_code == 1
    told = result.stderr.splitlines()
    assert told[0].startswith("Error: bad.nc: ")
    assert told[-1].startswith("Error: apply: 1 of 3 files failed: bad.nc. The results")
    assert {p.name for p in Path("results").iterdir()} == {"scene.nc", "two.nc"}
    same("results/two.nc", ck.savgol_filter(ck.open_cube("two.nc"), 11), "smooth")


def test_a_file_of_many_that_fails_says_its_step_and_what_to_type(run, scene, tmp_path):
    short = ck.datasets.scene((4, 5)).isel(wavelength=slice(40, 47))
    ck.save_cube(short, tmp_path / "short.nc")
    assert run("run", "r.toml", scene, "results/").exit_code == 0
    told = run("run", "r.toml", scene, "short.nc", "results").stderr.splitlines()
    assert "results/scene.nc exists." in told[0]
    assert told[0].endswith("or replace it: --overwrite.")
    assert told[1].startswith("Error: short.nc: savgol_filter: window_length=11 is lon")
    assert told[1].endswith(
        "This is line 2 of the recipe: savgol_filter(window_length=11)."
    )
    assert "2 of 2 files failed: " in told[2]
    assert "others" not in told[2]


def test_run_of_one_file_into_a_folder_keeps_its_name(run, scene):
    assert run("run", "r.toml", scene, "results").exit_code == 0
    assert [p.name for p in Path("results").iterdir()] == ["scene.nc"]


def test_an_envi_file_of_several_results_says_what_to_write_in_the_recipe(run, scene):
    (line,) = run("run", "r.toml", scene, "out.hdr").stderr.splitlines()
    assert line.endswith('In the recipe: keep = ["NAME"], above its steps.')
    Path("r.toml").write_text('keep = ["smooth"]\n' + RECIPE.rpartition("\n[[")[0])
    assert run("run", "r.toml", scene, "out.hdr").exit_code == 0
    same("out.hdr", ck.savgol_filter(ck.open_cube(scene), 11))


def test_run_explains_and_does_nothing(run, scene):
    result = run("run", "r.toml", scene, "out.nc", "--explain")
    assert "savgol_filter(window_length=11) -> smooth" in result.stdout
    assert not Path("out.nc").exists()


def test_a_wrong_recipe_is_one_line_that_names_its_own(run, scene):
    Path("r.toml").write_text(RECIPE.replace("derivative", "derivativ"))
    result = run("run", "r.toml", scene, "out.nc")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: recipe, line 8: there is no step 'derivativ'.")
    assert line.endswith("Did you mean 'derivative'?")


def test_an_error_of_a_step_is_one_line_with_the_step(run, scene):
    Path("r.toml").write_text(RECIPE.replace("= 11", "= 10"))
    (line,) = run("run", "r.toml", scene, "out.nc").stderr.splitlines()
    assert "is even" in line
    assert "This is line 2 of the recipe" in line


def test_derivative_differentiates_along_the_bands_or_another_coordinate(run, scene):
    assert run("derivative", scene, "slope.nc").exit_code == 0
    cube = ck.open_cube(scene)
    same("slope.nc", ck.derivative(cube, "wavelength"))
    words = ("--coord", "y", "--order", 2, "--accuracy", 1, "--missing", "refit")
    assert run("derivative", scene, "north.nc", *words).exit_code == 0
    same("north.nc", ck.derivative(cube, "y", order=2, accuracy=1, missing="refit"))


def test_resample_takes_bands_from_a_list_or_a_file(run, scene):
    cube = ck.open_cube(scene)
    words = ("--bands", "490,560.5,665", "--fwhm", 40)
    assert run("resample", scene, "broad.nc", *words).exit_code == 0
    same("broad.nc", ck.resample(cube, [490, 560.5, 665], fwhm=40))
    assert run("resample", scene, "like.nc", "--like", "broad.nc").exit_code == 0
    same("like.nc", ck.resample(cube, ck.open_cube("broad.nc")))


@pytest.mark.parametrize(
    "words", [(), ("--bands", "490", "--like", "r.toml"), ("--bands", "a,b")]
)
def test_resample_says_which_bands_it_needs(run, scene, words):
    result = run("resample", scene, "broad.nc", *words)
    assert result.exit_code == 2
    assert "Give --like or --bands" in result.stderr or "450,550,650" in result.stderr


def test_pca_is_fitted_to_many_files_applied_and_evaluated(run, scene, tmp_path):
    ck.save_cube(ck.datasets.scene((4, 5), seed=1), tmp_path / "two.nc")
    fitted = run("pca", "fit", scene, "two.nc", "model.nc", "--components", 4)
    assert fitted.exit_code == 0, fitted.output
    assert fitted.stdout.startswith("wrote model.nc: 4 components, 9")
    cubes = [ck.open_cube(scene), ck.open_cube("two.nc")]
    expected = ck.PCA(4).fit(cubes)
    assert run("pca", "transform", "model.nc", scene, "scores.nc").exit_code == 0
    same("scores.nc", expected.transform(cubes[0]))
    found = json.loads(run("pca", "evaluate", "model.nc", scene, "--json").stdout)
    assert found["r2_fit_mean"] == pytest.approx(
        float(expected.evaluate(cubes[0])["r2_fit_mean"])
    )
    assert len(found["explained_by_scores"]) == 4
    assert "component 4" in run("pca", "evaluate", "model.nc", scene, "-q").stdout


@pytest.mark.parametrize(("given", "count"), [("0.9", None), ("2", 2)])
def test_pca_keeps_a_share_or_a_count(run, scene, given, count):
    run("pca", "fit", scene, "model.nc", "--components", given)
    kept = ck.PCA.load("model.nc").components_.sizes["component"]
    assert kept == count if count else 1 <= kept < 285


def test_pca_refuses_what_is_no_count(run, scene):
    assert run("pca", "fit", scene, "m.nc", "--components", "few").exit_code == 2


def test_a_cluster_has_its_own_workers(run, scene):
    words = ("--scheduler", "tcp://127.0.0.1:1", "--workers", 2)
    result = run("run", "r.toml", scene, "out.nc", *words)
    assert result.exit_code == 2
    assert "A cluster has its own workers" in result.stderr


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "localhost", "no://way:1"])
def test_a_cluster_that_is_not_there_is_one_line_that_says_how_to_start_it(
    run, scene, address, monkeypatch
):
    assert saving._PATIENCE <= 10
    monkeypatch.setattr(saving, "_PATIENCE", 0.5)
    result = run("run", "r.toml", scene, "out.nc", "--scheduler", address)
    assert result.exit_code == 1
    (line,) = result.stderr.strip().splitlines()
    assert f"--scheduler={address}: no Dask scheduler is reached there (" in line
    assert "Start one with dask scheduler" in line


def test_a_recipe_that_is_not_there_is_named(run, scene):
    (line,) = run("run", "recipe.toml", scene, "out.nc").stderr.splitlines()
    assert line.startswith("Error: recipe: there is no file 'recipe.toml' (in /")


def test_a_model_that_is_there_is_found_before_the_fit(run, scene, monkeypatch):
    words = ("pca", "fit", scene, "model.nc", "--components", 2)
    assert run(*words).exit_code == 0
    monkeypatch.setattr(ck.PCA, "fit", None)
    (line,) = run(*words).stderr.splitlines()
    assert "model.nc exists" in line
    assert "Use --overwrite, or another name" in line
    (line,) = run(*words[:3], "no/model.nc").stderr.splitlines()
    assert "there is no folder 'no'" in line


def test_help_of_run_lists_the_steps(run):
    told = " ".join(run("run", "--help").output.split())
    assert "Steps that a recipe can take:" in told
    assert all(name in told for name in ACTIONS)


@pytest.mark.parametrize("target", ["out.zarr", "out.hdr"])
def test_the_suffix_of_the_result_is_its_format(run, scene, target):
    assert run("savgol", scene, target, "--window-length", 5).exit_code == 0
    expected = ck.savgol_filter(ck.open_cube(scene), 5)
    np.testing.assert_array_equal(ck.open_cube(target), expected)


# what the help says


def examples() -> list[str]:
    """Lines after "Examples:" in the help of each command."""
    groups = [*main.commands.values(), *main.commands["pca"].commands.values()]
    lines = [
        line.strip() for command in groups for line in (command.help or "").splitlines()
    ]
    return [
        line for line in lines if re.match(r"cubekit \w+ .*\.\w|cubekit demo", line)
    ]


@pytest.mark.parametrize(
    "line", [line for line in examples() if not line.startswith("cubekit view")]
)
def test_every_example_of_the_help_runs(run, tmp_path, line):
    cube = ck.datasets.scene((12, 10))
    for name in ("scene.nc", "scene.hdr", "scene1.nc", "scene2.nc", "scene3.nc"):
        ck.save_cube(cube, tmp_path / name, progress=False)
    (tmp_path / "scenes").mkdir()
    for name in ("one.nc", "two.nc"):
        ck.save_cube(cube, tmp_path / "scenes" / name, progress=False)
    ck.save_cube(ck.resample(cube, [490, 560, 665]), tmp_path / "other_sensor.nc")
    ck.save_cube(cube.isel(wavelength=60, drop=True), tmp_path / "terrain.nc")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    if " fit " not in line:
        ck.PCA(3).fit(cube).save(tmp_path / "model.nc")
    words = [
        found
        for word in shlex.split(line)[1:]
        for found in (map(str, Path().glob(word)) if "*" in word else [word])
    ]
    done = run(*words)
    assert done.exit_code == 0, done.output


# bands out of order


@pytest.fixture
def mixed(scene) -> Path:
    """The scene with its bands as of two detectors that overlap."""
    order = np.r_[:100, 140:180, 100:140, 180:285]
    cube = ck.open_cube(scene).isel(wavelength=order)
    return ck.save_cube(cube, scene.with_name("mixed.nc"))


SORTING = {
    "savgol": ("savgol", "IN", "OUT", "--window-length", 5, "--deriv", 1),
    "derivative": ("derivative", "IN", "OUT"),
    "resample": ("resample", "IN", "OUT", "--bands", "490,560,665"),
    "resample like": ("resample", "scene.nc", "OUT", "--like", "IN"),
    "fit": ("pca", "fit", "IN", "OUT", "--components", 3),
    "demo": ("demo", "--input", "IN", "--output", "OUT"),
}


def put(words: tuple, source: str, target: str) -> list:
    return [{"IN": source, "OUT": target}.get(word, word) for word in words]


def test_a_file_in_place_of_the_model_is_told_the_order(run, scene, tmp_path):
    run("pca", "fit", scene, "model.nc")
    (tmp_path / "scene.hdr").write_text("ENVI")
    for wrong in (scene, tmp_path / "scene.hdr"):
        for words in (
            ("transform", wrong, "model.nc", "scores.nc"),
            ("evaluate", wrong, "model.nc"),
        ):
            (line,) = run("pca", *words).stderr.splitlines()
            assert line.endswith("On the command line MODEL comes before IN.")


@pytest.mark.parametrize("words", SORTING.values(), ids=SORTING)
def test_bands_are_sorted_when_told_and_an_error_says_so_else(run, mixed, words):
    (line,) = run(*put(words, mixed, "bad.nc")).stderr.splitlines()
    assert "not strictly monotonic" in line
    assert line.endswith("On the command line: --sort.")
    found = []
    for source, target, more in (
        (mixed, "one.nc", ["--sort"]),
        ("scene.nc", "two.nc", []),
    ):
        done = run(*put(words, source, target), *more)
        assert done.exit_code == 0, done.output
        is_folder = Path(target).is_dir()
        found.append(xr.load_dataset(f"{target}/demo.nc" if is_folder else target))
    # sorted values lie in memory another way, so that sums of differences may round
    # another way: by some ulp of the terms, which are larger than a second derivative
    for name, expected in found[1].variables.items():
        bound = 256 * np.finfo("f4").eps * float(abs(expected).max())
        np.testing.assert_allclose(found[0][name], expected, rtol=0, atol=bound)


def test_a_model_knows_its_bands_in_any_order(run, scene, mixed):
    run("pca", "fit", scene, "model.nc", "--components", 3)
    assert run("pca", "transform", "model.nc", mixed, "scores.nc").exit_code == 0
    expected = ck.PCA.load("model.nc").transform(ck.open_cube(scene))
    # sums in another order: an ulp of the largest for each root of 285 terms
    most = float(abs(expected).max()) * np.finfo("f4").eps * 285**0.5
    np.testing.assert_allclose(ck.open_cube("scores.nc"), expected, rtol=0, atol=most)
    words = ("pca", "evaluate", "model.nc")
    one, other = (json.loads(run(*words, f, "--json").stdout) for f in (scene, mixed))
    assert one["r2_fit_mean"] == pytest.approx(other["r2_fit_mean"], rel=1e-6)


def test_a_recipe_sorts_in_a_step_that_its_result_records(run, mixed):
    (line,) = run("run", "r.toml", mixed, "out.nc").stderr.splitlines()
    assert "not strictly monotonic" in line
    assert line.endswith('In a recipe: a step before with do = "sort_bands".')
    Path("s.toml").write_text('[[step]]\ndo = "sort_bands"\n' + RECIPE)
    assert run("run", "s.toml", mixed, "out.nc").exit_code == 0
    in_order = ck.sort_bands(ck.open_cube(mixed))
    same("out.nc", ck.savgol_filter(in_order, 11), "smooth")
    same("scene.nc", in_order)
    assert ck.Recipe.from_file("out.nc") == ck.Recipe.from_toml(Path("s.toml"))


@pytest.mark.parametrize("layout", ["spectra", "images"])
def test_a_file_is_rechunked_in_whatever_order_its_bands_are(run, mixed, layout):
    assert run("rechunk", mixed, "out.nc", "--layout", layout).exit_code == 0
    same("out.nc", ck.open_cube(mixed))


# completion and pipes


def child(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cubekit", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_options_and_files(shell):
    script = child(_CUBEKIT_COMPLETE=f"{shell}_source")
    assert script.returncode == 0
    assert "_CUBEKIT_COMPLETE=" + f"{shell}_complete" in script.stdout

    def complete(*words: str) -> list[str]:
        """What is offered for the last word."""
        typed = {"COMP_WORDS": " ".join(["cubekit", *words])}
        typed["COMP_CWORD"] = words[-1] if shell == "fish" else str(len(words))
        done = child(_CUBEKIT_COMPLETE=f"{shell}_complete", **typed)
        return done.stdout.replace("\t", "\n").replace(",", "\n").splitlines()

    assert {"rechunk", "resample", "run"} & {*complete("r")} == {
        *("rechunk", "resample", "run")
    }
    assert "evaluate" in complete("pca", "ev")
    assert "--scheduler" in complete("run", "--sch")
    assert "refit" in complete("derivative", "--missing", "r")
    assert "file" in complete("info", "sc")  # the shell completes names of files


def test_progress_goes_to_the_terminal_and_words_into_the_pipe(scene, tmp_path):
    """As ``cubekit savgol ... | cat`` in a terminal."""
    seen, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    job = ("savgol", str(scene), str(tmp_path / "out.nc"), "--window-length", "5")
    done = subprocess.run(
        [sys.executable, "-m", "cubekit", *job],
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        check=True,
    )
    os.close(terminal)
    shown = os.read(seen, 100_000).decode()
    os.close(seen)
    assert done.stdout.startswith("wrote ")
    assert len(done.stdout.splitlines()) == 1
    assert "100%" in shown
    assert re.search(r"<\d\d:\d\d, .*B/s, blocks: \d+", shown)
    assert "wrote" not in shown


@pytest.mark.slow
def test_a_run_that_is_killed_ten_times_goes_on_to_the_same_result(tmp_path):
    """Of as many GB as ``CUBEKIT_KILLED_GB`` says; a tenth is enough for every day."""
    lines = int(float(os.environ.get("CUBEKIT_KILLED_GB", "0.1")) * 1e9 / 300 / 285 / 4)
    scene = ck.datasets.scene((lines, 300), chunks={"y": 40})
    source = ck.save_cube(scene, tmp_path / "scene.nc")
    text = RECIPE.replace('as = "smooth"\n', "")
    (tmp_path / "r.toml").write_text(text)
    env = {**os.environ, "SOURCE_DATE_EPOCH": "0"}
    job = [sys.executable, "-m", "cubekit", "run", "-q", tmp_path / "r.toml", source]
    whole, parts = tmp_path / "whole.nc", tmp_path / "parts.nc"
    began = time.monotonic()
    subprocess.run([*job, whole, "--resume"], env=env, check=True)
    takes = time.monotonic() - began
    moments = np.random.default_rng(0)
    resumed = [*job, parts, "--resume", "--overwrite"]
    killed = ended = 0
    while killed < 10:
        child = subprocess.Popen(resumed, env=env)
        try:
            assert child.wait(moments.uniform(0.05, 0.4) * takes) == 0
            ended += 1  # it had got so far before; the next begins anew
            assert filecmp.cmp(parts, whole, shallow=False)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            killed += 1
    subprocess.run(resumed, env=env, check=True)
    assert filecmp.cmp(parts, whole, shallow=False)
    assert not list(tmp_path.glob(".*"))  # nothing of the killed is left
    print(
        f"{source.stat().st_size / 1e9:.2f} GB, {takes:.0f} s uninterrupted, killed "
        f"{killed} times, ended in between {ended} times"
    )
