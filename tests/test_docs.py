"""What the documents say is so: their code runs, their pictures are there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib import pyplot as plt
from matplotlib.image import imread

import cubekit as ck
from cubekit.cli import main

mpl.use("Agg")

ROOT = Path(__file__).parents[1]
NOTEBOOKS = (ROOT / "notebooks").glob("*.ipynb")
README = (ROOT / "README.md").read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.M | re.S)


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_readme_has_one_example_of_about_ten_lines():
    (example,) = blocks(README, "python")
    assert 8 <= sum(bool(line) for line in example.splitlines()) <= 12


def test_readme_example_runs_and_draws_the_picture_above_it():
    names: dict[str, object] = {}
    with mpl.rc_context({**mpl.rcParamsDefault, "backend": "Agg"}):
        exec(compile(blocks(README, "python")[0], "README.md", "exec"), names)
        figure = names["figure"]
        figure.set_dpi(80)
        figure.canvas.draw()
        drawn = np.array(figure.canvas.buffer_rgba())[..., :3].astype(float)
    kept = 255 * imread(ROOT / "docs/_static/readme.png")[..., :3].astype(float)
    assert kept.shape == drawn.shape == (288, 880, 3)
    # of 255, of means over blocks of pixels: letters may lie a little elsewhere
    apart = (kept - drawn).reshape(72, 4, 220, 4, 3).mean(axis=(1, 3))
    assert np.sqrt((apart**2).mean()) < 4


@pytest.mark.filterwarnings("ignore:.*bands")
def test_the_recipe_of_the_guide_runs(capsys):
    page = (ROOT / "docs/guide/recipes.md").read_text("utf-8")
    names: dict[str, object] = {}
    for block in blocks(page, r"\{code-cell\}"):
        exec(compile(block, "recipes.md", "exec"), names)
    shown = capsys.readouterr().out
    assert "line 4: savgol_filter has no argument 'window_lenght'" in shown
    assert "4, 5  PCA(4) @ savgol" in shown
    assert list(names["result"]) == ["smooth", "slope", "scores"]


def test_readme_says_how_to_set_up_in_exactly_two_commands():
    assert [block.strip() for block in blocks(README, "sh")] == [
        "pip install . && cubekit demo",
        'pip install ".[test]" && pytest',
    ]


def test_python_of_the_documents_is_executed_where_they_are_built():
    for page in (ROOT / "docs").rglob("*.md"):
        assert blocks(page.read_text("utf-8"), "python") == [], page


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = {
    page.stem: lines
    for page in PAGES
    if (
        lines := [
            line
            for block in blocks(page.read_text("utf-8"), "sh")
            for line in block.splitlines()
        ]
    )
}


@pytest.mark.filterwarnings("ignore:.*bands")
@pytest.mark.parametrize("page", COMMANDS)
def test_commands_of_the_documents_run(page, tmp_path, monkeypatch):
    """All of cubekit, in the order of the page; .ci/run does the others."""
    scene = ck.save_cube(ck.datasets.scene((12, 16)), tmp_path / "scene.nc")
    (tmp_path / "scenes").mkdir()
    for name in ("one.nc", "two.nc"):
        shutil.copy(scene, tmp_path / "scenes" / name)
    (tmp_path / "recipe.toml").write_text(
        '[[step]]\ndo = "savgol_filter"\nwindow_length = 11\n'
    )
    monkeypatch.chdir(tmp_path)
    others = (ROOT / ".ci/run").read_text("utf-8") + "sphinx-build"  # a test below
    for line in COMMANDS[page]:
        program, *words = shlex.split(line, comments=True)
        if program != "cubekit":
            assert program in others, line
            continue
        if words[0] == "view":  # would go on until stopped
            words.append("--help")
        files = [sorted(map(str, tmp_path.glob(word))) or [word] for word in words]
        done = CliRunner().invoke(main, [name for found in files for name in found])
        assert done.exit_code == 0, (line, done.output)


def test_the_line_that_makes_bash_complete_does(tmp_path):
    page = (ROOT / "docs/guide/command_line.md").read_text("utf-8")
    (line,) = re.findall(r"`(eval .*?)`", page)
    program = tmp_path / "cubekit"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cubekit "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", f"{line}; complete -p cubekit"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("complete ")


def test_files_that_the_readme_refers_to_are_there():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_readme_picture_is_small():
    assert 10_000 < (ROOT / "docs/_static/readme.png").stat().st_size < 200_000


def test_every_public_name_is_in_the_api_page_once_in_the_order_of_the_package():
    api = (ROOT / "docs/api.md").read_text("utf-8")
    named = re.findall(r"^\.\. auto\w+:: cubekit\.(\w+)$", api, flags=re.M)
    assert named == ck.__all__


def test_documents_name_only_pages_that_are_there():
    for page in (ROOT / "docs").rglob("*.md"):
        for link in re.findall(
            r"\]\(([^)#:]+\.(?:md|ipynb))\)", page.read_text("utf-8")
        ):
            # notebooks are copied there for the build
            target = (page.parent / link).resolve()
            copied = ROOT / "notebooks" / target.name
            assert target.exists() or copied.exists(), (page, link)


@pytest.mark.slow
@pytest.mark.torch  # the guide and a notebook train a network
def test_documents_build_without_a_warning(tmp_path):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    places = ("-d", tmp_path / "trees", ROOT / "docs", tmp_path / "html")
    how = ("-W", "-q", "-j", "auto", "-b", "html")  # notebooks side by side
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *how, *places],
        env={**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {p.name for p in (tmp_path / "html").rglob("*.html")}
    assert {
        "concepts.html",
        "quickstart.html",
        "api.html",
        "spectral.html",
        "spatial.html",
        "reduction.html",
        "01_first_look.html",
        "07_autoencoder.html",
    } <= pages
    gallery = (tmp_path / "html/gallery.html").read_text("utf-8")
    cards = re.findall(
        r'href="notebooks/(\w+)\.html"[^>]*><img[^>]*src="([^"]+)"', gallery
    )
    assert [name for name, _ in cards] == [p.stem for p in sorted(NOTEBOOKS)]
    for _, picture in cards:
        assert (tmp_path / "html" / picture).stat().st_size > 5000


def test_the_layers_that_are_told_are_those_that_are_checked():
    with (ROOT / "pyproject.toml").open("rb") as file:
        settings = tomllib.load(file)
    (contract,) = (
        one
        for one in settings["tool"]["importlinter"]["contracts"]
        if one["type"] == "layers"
    )
    checked = [layer.replace("cubekit.", "") for layer in contract["layers"]]
    page = (ROOT / "docs/develop.md").read_text("utf-8")
    assert blocks(page, "text")[0].splitlines() == checked
