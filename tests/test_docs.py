"""What the documents say is so: their code runs, their pictures are there."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt

mpl.use("Agg")

ROOT = Path(__file__).parents[1]
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


def test_readme_example_runs_and_draws_two_pictures():
    names: dict[str, object] = {}
    exec(compile(blocks(README, "python")[0], "README.md", "exec"), names)
    left, right = names["left"], names["right"]
    assert left.images[0].get_array().shape == (120, 160, 4)
    assert right.images[0].get_array().shape == (120, 160)


def test_readme_says_how_to_set_up_in_exactly_two_commands():
    assert [block.strip() for block in blocks(README, "sh")] == [
        "pip install . && cubekit demo",
        'pip install ".[test]" && pytest',
    ]


def test_files_that_the_readme_refers_to_are_there():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_readme_picture_is_small():
    assert 10_000 < (ROOT / "docs/_static/readme.png").stat().st_size < 200_000
