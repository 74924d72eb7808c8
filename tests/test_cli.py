"""The command line: what it writes, what it says, how it fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import dask
import matplotlib.image
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import cubekit as ck
from cubekit.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def invoke(*words: object):
        return CliRunner().invoke(main, [str(word) for word in words])

    return invoke


@pytest.fixture
def scene(tmp_path) -> Path:
    return ck.save_cube(ck.datasets.scene((6, 5)), tmp_path / "scene.nc")


# help


@pytest.mark.parametrize(
    "command",
    [
        (),
        *[(name,) for name in main.commands],
        *[("pca", name) for name in main.commands["pca"].commands],
    ],
)
def test_help_fits_the_terminal_and_says_what_each_option_does(run, command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 80
    assert result.output.startswith("Usage: ")


def test_version_is_that_of_the_package(run):
    assert run("--version").output == f"cubekit {ck.__version__}\n"


def test_an_unknown_command_is_a_usage_error(run):
    assert run("smoth").exit_code == 2


# demo


def test_demo_writes_a_file_and_a_picture_and_says_where(run, tmp_path):
    result = run("demo")
    assert result.exit_code == 0, result.output
    assert "nothing in it was measured" in result.stdout
    assert "wrote       cubekit-demo/demo.nc" in result.stdout
    assert "wrote       cubekit-demo/demo.png" in result.stdout
    found = sorted(p.name for p in (tmp_path / "cubekit-demo").iterdir())
    assert found == ["demo.nc", "demo.png"]


def test_demo_file_holds_the_smoothed_cube_and_two_derivatives(run, scene):
    assert run("demo", "--input", scene, "--output", "here").exit_code == 0
    cube = ck.datasets.scene((6, 5))
    for deriv, name in enumerate(("smooth", "slope", "curvature")):
        saved = ck.open_cube("here/demo.nc", variable=name)
        expected = ck.savgol_filter(cube, 11, 3, deriv=deriv)
        np.testing.assert_allclose(saved, expected, rtol=1e-6, atol=1e-9)
        assert saved.attrs["units"] == expected.attrs["units"]
        assert saved.attrs["long_name"] == f"{name} of surface reflectance"


def test_demo_picture_is_not_blank(run, scene):
    run("demo", "--input", scene, "--output", "here")
    pixels = matplotlib.image.imread("here/demo.png")[..., :3]
    assert pixels.shape[0] > 600
    assert 0.05 < np.mean(pixels.min(axis=-1) < 0.95) < 0.9


def test_demo_picture_has_labels_that_are_not_cut_off(run):
    run("demo")
    pixels = matplotlib.image.imread("cubekit-demo/demo.png")[..., :3]
    for edge in (pixels[:4], pixels[-4:], pixels[:, :4], pixels[:, -4:]):
        assert (edge == 1).all()


def test_demo_can_be_run_again(run, scene):
    assert run("demo", "--input", scene).exit_code == 0
    again = run("demo", "--input", scene, "--window-length", 21)
    assert again.exit_code == 0
    smooth = ck.open_cube("cubekit-demo/demo.nc", variable="smooth")
    expected = ck.savgol_filter(ck.datasets.scene((6, 5)), 21, 3)
    np.testing.assert_allclose(smooth, expected, rtol=1e-5)


def test_demo_says_that_its_folder_is_a_file_before_it_begins(run, scene):
    result = run("demo", "--output", scene)
    assert result.exit_code == 1
    assert "is a file. Two files are written to a folder." in result.stderr
    assert result.stdout == ""


def test_demo_refuses_to_replace_its_own_input(run, scene):
    run("demo", "--input", scene)
    file = Path("cubekit-demo/demo.nc")
    before = file.read_bytes()
    result = run("demo", "--input", file, "--variable", "smooth")
    assert result.exit_code == 1
    assert file.read_bytes() == before


REAL = {
    "emit": "emit_jpl_l2a_envi/emit20250324t221005_jpl_unmix_ex.hdr",
    "aviris_ng": "aviris_ng/ang20140912t192359_corr_v1c_img_2580-2590_540-550.img",
    "corn": "corn_kernel_lab/corn-kernel-hyperspectral.raw",
}


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_demo_of_a_real_file(run, real, name):
    result = run("demo", "--input", real / REAL[name])
    assert result.exit_code == 0, result.output
    cube = ck.open_cube(real / REAL[name])
    slope = ck.open_cube("cubekit-demo/demo.nc", variable="slope")
    expected = ck.savgol_filter(cube, 11, 3, deriv=1)
    np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-7)


# info


def test_info_says_axes_ranges_units_steps_bad_bands_chunks_and_size(run, scene):
    output = run("info", scene).stdout
    for words in (
        "reflectance: surface reflectance (1), float32, 6 x 5 x 285, 34.2 kB",
        "381 to 2492.94 nm, step 7.38 to 7.46 nm, 31 bad bands, fwhm 8.4 to 8.79 nm",
        "5500 to 500 m, step -1000 m",
        "in 1 chunk of 6 x 5 x 285",
        "on disk",
    ):
        assert words in output


def test_info_as_json_has_the_same_facts(run, scene):
    facts = json.loads(run("info", scene, "--json").stdout)
    assert facts["dims"] == {"y": 6, "x": 5, "wavelength": 285}
    assert facts["dtype"] == "float32"
    assert facts["nbytes"] == 6 * 5 * 285 * 4
    wavelength = facts["axes"][2]
    assert wavelength["bad_bands"] == 31
    assert wavelength["first"] == 381.0
    assert wavelength["units"] == "nm"
    assert wavelength["step_max"] == pytest.approx(7.46, abs=0.001)
    assert facts["chunks"]["wavelength"] == [285]


def test_info_reads_no_values(run, scene):
    def refuse(*_args, **_kwargs):
        raise AssertionError("computed")

    with dask.config.set(scheduler=refuse):
        assert run("info", scene).exit_code == 0


def test_info_is_not_silenced_by_quiet(run, scene):
    assert "nm" in run("info", scene, "--quiet").stdout


def test_info_names_axes_that_cannot_be_used(run, tmp_path):
    wavelength = [400.0, 410.0, 405.0]
    cube = xr.DataArray(
        np.ones((2, 3), "float32"),
        {"wavelength": ("wavelength", wavelength, {"units": "nm"})},
        ("y", "wavelength"),
        "radiance",
    )
    ck.save_cube(cube, tmp_path / "jump.nc")
    output = run("info", "jump.nc").stdout
    assert "not strictly monotonic: 410 nm at 1 is followed by 405 nm" in output
    assert "no coordinate" in output


# savgol


def test_savgol_writes_what_the_function_gives(run, scene):
    result = run(
        *("savgol", scene, "out.nc", "--window-length", 9, "--polyorder", 3),
        *("--deriv", 1),
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("wrote out.nc (")
    expected = ck.savgol_filter(ck.datasets.scene((6, 5)), 9, 3, deriv=1)
    saved = ck.open_cube("out.nc")
    np.testing.assert_allclose(saved, expected, rtol=1e-6, atol=1e-9)
    assert saved.attrs["units"] == "nm-1"


def test_savgol_hands_on_width_and_gap(run, tmp_path):
    cube = ck.datasets.scene((3, 4), gap=(950, 1010))
    ck.save_cube(cube, tmp_path / "gap.nc")
    assert not run(
        "savgol", "gap.nc", "out.nc", "--window-width", 60, "--max-gap", 20
    ).exit_code
    expected = ck.savgol_filter(cube, window_width=60, max_gap=20)
    np.testing.assert_allclose(ck.open_cube("out.nc"), expected, rtol=1e-6)


def test_savgol_finds_gaps_by_itself(run, scene):
    words = ("savgol", scene, "auto.nc", "--window-length", 11, "--max-gap", "auto")
    assert run(*words).exit_code == 0
    expected = ck.savgol_filter(ck.open_cube(scene), 11, max_gap="auto")
    np.testing.assert_array_equal(ck.open_cube("auto.nc"), expected)
    told = run(*words[:-1], "wide")
    assert told.exit_code == 2
    assert "'wide' is no width such as 20, nor auto" in told.stderr


def test_savgol_along_another_coordinate(run, scene):
    run("savgol", scene, "out.nc", "--window-length", 3, "--coord", "y")
    expected = ck.savgol_filter(ck.datasets.scene((6, 5)), 3, 2, coord="y")
    np.testing.assert_allclose(ck.open_cube("out.nc"), expected, rtol=1e-5, atol=1e-7)


def test_savgol_overwrites_only_when_told(run, scene):
    words = ("savgol", scene, "out.nc", "--window-length")
    assert run(*words, 9).exit_code == 0
    before = Path("out.nc").read_bytes()
    refused = run(*words, 11)
    assert refused.exit_code == 1
    assert Path("out.nc").read_bytes() == before
    assert run(*words, 11, "--overwrite").exit_code == 0


def test_savgol_never_writes_over_its_input(run, scene):
    before = scene.read_bytes()
    result = run("savgol", scene, scene, "--window-length", 9, "--overwrite")
    assert result.exit_code == 1
    assert scene.read_bytes() == before


def test_quiet_prints_nothing(run, scene):
    result = run("savgol", scene, "out.nc", "--window-length", 9, "--quiet")
    assert result.exit_code == 0
    assert result.output == ""


# errors


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--window-length", 10), "savgol_filter: window_length=10 is even"),
        ((), "neither of window_length and window_width given"),
        (("--window-length", 9, "--deriv", 3), "deriv=3 is more than polyorder=2"),
        (
            ("--window-length", 9, "--coord", "wavelengths_nm"),
            "Did you mean 'wavelength'",
        ),
        (("--window-length", 9, "--variable", "radiance"), "radiance"),
    ],
)
def test_errors_are_one_line_without_traceback(run, scene, words, text):
    result = run("savgol", scene, "out.nc", *words)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert text in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not Path("out.nc").exists()


def test_a_file_with_several_cubes_says_how_to_choose(run, scene):
    run("demo", "--input", scene)
    result = run("savgol", "cubekit-demo/demo.nc", "out.nc", "--window-length", 5)
    assert result.exit_code == 1
    assert "'smooth', 'slope', 'curvature'" in result.stderr
    assert "On the command line: --variable NAME." in result.stderr


def test_info_is_of_all_cubes_of_a_file_unless_one_is_named(run, scene):
    run("demo", "--input", scene)
    file = "cubekit-demo/demo.nc"
    facts = json.loads(run("info", file, "--json").stdout)
    names = ["smooth", "slope", "curvature"]
    assert [cube["name"] for cube in facts["cubes"]][:3] == names
    lines = run("info", file).stdout
    assert all(f"\n{name}: " in lines for name in names)
    one = run("info", file, "--variable", "slope").stdout
    assert "\nslope: " in one
    assert "curvature" not in one.partition("\n")[2]


def test_demo_along_a_coordinate_that_is_not_spectral(run, tmp_path):
    cube = ck.datasets.scene((4, 5)).isel(wavelength=slice(40))
    odd = xr.DataArray(
        cube.values,
        {"depth": ("depth", cube.wavelength.values, {"units": "m"})},
        ("y", "x", "depth"),
        "salt",
    )
    ck.save_cube(odd, tmp_path / "odd.nc")
    refused = run("demo", "--input", "odd.nc")
    assert refused.exit_code == 1
    assert "On the command line: --coord NAME." in refused.stderr
    assert run("demo", "--input", "odd.nc", "--coord", "depth").exit_code == 0


def test_help_of_savgol_shows_examples_on_lines_of_their_own(run):
    lines = [line.strip() for line in run("savgol", "--help").output.splitlines()]
    assert "cubekit savgol scene.hdr slope.nc --window-width 60 --deriv 1" in lines


def test_only_what_may_be_an_axis_is_offered_as_one(run, scene):
    words = ("savgol", scene, "out.nc", "--window-length", 3, "--coord", "z")
    assert "it has 'wavelength', 'x', 'y'. Name one" in run(*words).stderr


def test_a_missing_file_is_one_line(run):
    result = run("info", "nothing.nc")
    assert result.exit_code == 1
    assert "nothing.nc" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_file_of_another_kind_is_one_line(run):
    Path("text.nc").write_text("not a cube")
    result = run("info", "text.nc")
    assert result.exit_code == 1
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_warning_is_one_line(run, tmp_path):
    cube = ck.datasets.scene((2, 3), gap=(950, 1010)).sel(wavelength=slice(900, 1030))
    ck.save_cube(cube, tmp_path / "gap.nc")
    words = ("savgol", "gap.nc", "out.nc", "--window-length", 7, "--polyorder", 5)
    result = run(*words, "--max-gap", 20)
    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: savgol_filter: segments of 'wavelength'")
    assert len(result.stderr.splitlines()) == 1
    quiet = run(*words, "--max-gap", 20, "--overwrite", "--quiet")
    assert quiet.output == ""


def test_control_characters_do_not_reach_the_terminal(run, tmp_path):
    cube = ck.datasets.scene((2, 3)).assign_attrs(long_name="a\x1b[2Jb\u202ec")
    ck.save_cube(cube, tmp_path / "evil.nc")
    output = run("info", "evil.nc").output + run("info", "no\x1b[2J.nc").output
    assert r"a\x1b[2Jb\u202ec" in output
    assert "\x1b" not in output
    assert "\u202e" not in output


def test_debug_shows_where_the_error_came_from(run, scene):
    result = run("savgol", scene, "out.nc", "--window-length", 10, "--debug")
    assert isinstance(result.exception, ValueError)


def test_a_number_that_is_none_is_a_usage_error(run, scene):
    result = run("savgol", scene, "out.nc", "--window-length", "many")
    assert result.exit_code == 2


def test_command_runs_as_a_program_of_its_own(scene, tmp_path):
    words = [sys.executable, "-m", "cubekit", "info", str(scene), "--json"]
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout)["name"] == "reflectance"
    assert done.stderr == ""


def test_the_package_runs_as_a_module():
    words = [sys.executable, "-m", "cubekit", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("cubekit ")


# rechunk


@pytest.mark.parametrize("target", ["spectra.nc", "spectra.zarr"])
@pytest.mark.parametrize("layout", ["spectra", "images", "balanced"])
def test_rechunk_rewrites_a_file_for_a_use(run, scene, target, layout):
    done = run("rechunk", scene, target, "--layout", layout)
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"wrote {target} (")
    old, new = ck.open_cube(scene), ck.open_cube(target)
    np.testing.assert_array_equal(new.values, old.values)
    bands = new.data.chunks  # whole spectra in memory whatever the layout
    assert bands[new.get_axis_num("wavelength")] == (285,)
    stored = new.encoding["preferred_chunks"]["wavelength"]
    assert stored == {"spectra": 285, "images": 1}.get(layout, stored)


def test_rechunk_says_which_layouts_there_are(run, scene):
    done = run("rechunk", scene, "out.nc", "--layout", "volumes")
    assert done.exit_code == 2
    assert "'spectra', 'images', 'balanced'" in done.output


def test_info_of_a_store_counts_all_of_its_files(run, scene):
    path = ck.save_cube(ck.open_cube(scene), scene.with_name("scene.zarr"))
    found = json.loads(run("info", path, "--json").output)
    files = [p for p in path.rglob("*") if p.is_file()]
    assert found["bytes_on_disk"] == sum(p.stat().st_size for p in files) > 10_000


def test_info_of_a_header_counts_its_data(run, scene):
    path = ck.save_cube(ck.open_cube(scene), scene.with_name("scene.hdr"))
    found = json.loads(run("info", path, "--json").output)
    files = [path, path.with_suffix(".img")]
    assert found["bytes_on_disk"] == sum(p.stat().st_size for p in files)


@pytest.mark.parametrize("words", [("info",), ("info", "--json")])
def test_a_reader_that_has_seen_enough_is_no_error(scene, words):
    """As `head -1` ends; the pipe is closed before anything is written."""
    command = [sys.executable, "-m", "cubekit", *words, str(scene)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
