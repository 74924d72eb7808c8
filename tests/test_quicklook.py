"""A cube at a glance: the figure, the page about it, the command."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import matplotlib.image
import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import cubekit as ck
from cubekit.cli import main


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def cube():
    return ck.datasets.scene((12, 16))


def titles(cube, **how):
    figure = ck.plotting.quicklook(cube, figure=Figure(), **how)
    return [ax.get_title() for ax in figure.axes]


def test_quicklook_shows_colour_spectra_gaps_and_components(cube):
    found = titles(cube)
    assert found[0].startswith("wavelength 640")
    assert found[1:5] == [
        "mean, and 10 to 90 per cent",
        "missing, zero and negative",
        "principal components 1, 2, 3",
        "their spectra",
    ]
    share = ck.PCA(1).fit(cube).explained_variance_ratio_
    assert f"({100 * float(share[0]):.3g} %, " in found[5]


def test_quicklook_looks_at_a_thinned_cube(cube, count_computes):
    large = ck.datasets.scene((1200, 1600), chunks={"y": 200, "x": 200})
    small = large.isel(wavelength=slice(0, 60, 20))
    figure = ck.plotting.quicklook(small, max_pixels=10, figure=Figure())
    assert figure.axes[3].images[0].get_array().shape == (10, 10, 4)


def test_quicklook_without_the_visible_has_false_colours(cube):
    found = titles(cube.sel(wavelength=slice(1000, 2490)))
    assert found[0].startswith("wavelength 21")


def test_quicklook_of_two_bands_and_of_nothing_but_gaps_is_drawn(cube):
    assert "wavelength 381" in titles(cube[:, :, :2])[0]
    figure = ck.plotting.quicklook(cube * np.nan, figure=Figure())
    (words,) = figure.axes[3].texts
    assert "no principal components" in words.get_text()


def test_quicklook_of_pixels_that_are_all_the_same_says_so(cube):
    figure = ck.plotting.quicklook(0 * cube - 0.005)
    figure.draw_without_rendering()
    (words,) = figure.axes[3].texts
    assert "no principal components:\nall spectra are the same." in words.get_text()


def test_quicklook_of_spectra_alone_is_refused(cube):
    with pytest.raises(ValueError, match=r"quicklook: the cube has dims .*two besides"):
        ck.plotting.quicklook(cube[0])


class Seen(HTMLParser):
    """Tags and words of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


EVIL = "<script>alert('&')</script>\x1b[2J"


def test_every_word_of_a_cube_is_escaped(cube):
    evil = cube.rename(EVIL).assign_attrs(long_name=EVIL, **{EVIL: EVIL})
    evil = evil.rename(y=EVIL + "y")
    evil.wavelength.attrs["long_name"] = EVIL
    page = ck.plotting.report(evil.assign_attrs(units=EVIL), title=EVIL)
    assert "<script" not in page
    assert "\x1b" not in page
    assert "<script>alert('&')</script>" in "".join(Seen(page).words)


def test_a_page_is_complete_in_itself(cube):
    seen = Seen(ck.plotting.report(cube))
    assert not {"script", "link", "iframe"} & {tag for tag, _ in seen.tags}
    (source,) = [attrs["src"] for tag, attrs in seen.tags if tag == "img"]
    kind, _, text = source.partition(",")
    assert kind == "data:image/png;base64"
    picture = matplotlib.image.imread(io.BytesIO(base64.b64decode(text)))
    assert picture.shape[:2] == (800, 1500)


def test_a_page_has_statistics_of_each_band(cube):
    part = cube.copy()
    part[:3, :, 60] = np.nan
    page = ck.plotting.report(part)
    row = re.search(rf"<tr><td[^>]*>{float(cube.wavelength[60]):.7g}<.*?</tr>", page)[0]
    cells = re.findall(r">([^<>]+)</td>", row)
    held = part[3:, :, 60].astype(float)
    expected = [held.min(), held.mean(), held.std(), held.max()]
    assert cells[1] == "25 %"
    assert cells[2:] == [f"{float(v):.4g}" for v in expected]
    assert page.count('<tr class="bad">') == int((~cube.good_band).sum())
    assert "<td>good bands without any value</td><td>0</td>" in page


def test_the_pictures_of_a_cube_of_gaps_are_as_large_as_others(cube):
    figure = ck.plotting.quicklook(cube * np.nan)
    figure.draw_without_rendering()
    widths = [ax.get_position().width for ax in figure.axes[:3]]
    assert min(widths) > 0.15
    plt.close(figure)


def test_a_page_of_nothing_but_gaps_says_so(cube):
    page = ck.plotting.report((cube * np.nan).drop_attrs())
    assert "<p>None.</p>" in page
    assert "<td>values missing</td><td>100 %</td>" in page


@pytest.fixture
def run(tmp_path, monkeypatch, cube):
    monkeypatch.chdir(tmp_path)
    ck.save_cube(cube, tmp_path / "scene.nc", progress=False)

    def invoke(*words):
        return CliRunner().invoke(main, ["quicklook", *words])

    return invoke


def test_the_command_writes_a_picture_beside_where_it_runs(run, tmp_path):
    done = run("scene.nc")
    assert done.output.startswith("wrote scene.png (")
    assert matplotlib.image.imread(tmp_path / "scene.png").shape[:2] == (800, 1500)


def test_the_command_writes_a_page_and_replaces_nothing_unasked(run, tmp_path):
    assert run("scene.nc", "--html", "look.html").exit_code == 0
    assert "<h1>scene.nc</h1>" in (tmp_path / "look.html").read_text("utf-8")
    assert not (tmp_path / "scene.png").exists()
    again = run("scene.nc", "--html", "look.html")
    assert again.exit_code == 1
    assert "look.html is there already. Nothing was written" in again.output
    assert run("scene.nc", "--html", "look.html", "--overwrite").exit_code == 0


def test_a_plane_is_an_image_a_histogram_and_a_row_of_statistics(run, tmp_path, cube):
    plane = cube.isel(wavelength=60, drop=True).rename("height")
    plane = plane.assign_attrs(long_name="height", units="m").astype("f8")
    plane[0, :] = np.nan
    ck.save_cube(plane, tmp_path / "dem.nc", progress=False)
    done = run("dem.nc", "dem.png", "--html", "dem.html")
    assert done.exit_code == 0, done.output
    figure = ck.plotting.quicklook(plane, figure=Figure())
    left, right = figure.axes[:2]
    np.testing.assert_allclose(left.images[0].get_array().filled(0)[1:], plane[1:])
    assert sum(bar.get_height() for bar in right.patches) == plane[1:].size
    assert right.get_xlabel() == "height (m)"
    assert right.get_title().startswith("8.33 % missing, mean ")
    page = (tmp_path / "dem.html").read_text("utf-8")
    row = re.findall(r"<td[^>]*>([^<]*)</td>", page.split("<h2>")[1])
    held = plane[1:]
    every = (held.min(), held.mean(), held.std(), held.max())
    assert row == ["8.33 %", *(f"{float(v):.4g}" for v in every)]


@pytest.mark.parametrize("words", [("no/look.png",), ("--html", "no/look.html")])
def test_a_folder_that_is_not_there_is_named_before_anything_is_drawn(
    run, monkeypatch, words
):
    monkeypatch.setattr(ck.plotting, "quicklook", None)
    (line,) = run("scene.nc", *words).stderr.splitlines()
    assert line.startswith("Error: quicklook: there is no folder 'no'.")
    assert line.endswith("On the command line: mkdir -p FOLDER.")


def test_the_viewer_of_a_plane_names_what_draws_it(run, tmp_path, cube):
    plane = cube.isel(wavelength=60, drop=True)
    ck.save_cube(plane, tmp_path / "dem.nc", progress=False)
    done = CliRunner().invoke(main, ["view", "dem.nc", "--no-browser"])
    assert done.exit_code == 1
    assert done.stderr.strip().endswith("One plane is drawn by cubekit quicklook.")


def test_an_image_of_one_band_is_drawn(run, tmp_path, cube):
    for name, one in {"one": cube[:, :, 60:61], "flat": cube[:, :, 60]}.items():
        ck.save_cube(one, tmp_path / f"{name}.nc", progress=False)
        done = run(f"{name}.nc", "--html", f"{name}.html")
        assert done.exit_code == 0, done.output


def test_bands_of_detectors_that_overlap_are_sorted_and_that_is_said(
    run, tmp_path, cube
):
    order = np.r_[:100, 140:180, 100:140, 180:285]
    ck.save_cube(cube.isel(wavelength=order), tmp_path / "mixed.nc", progress=False)
    done = run("mixed.nc", "--html", "mixed.html")
    assert done.exit_code == 0, done.output
    assert "sorted the bands: in the file" in done.output
    page = (tmp_path / "mixed.html").read_text("utf-8")
    assert run("scene.nc", "--html", "scene.html").exit_code == 0
    other = (tmp_path / "scene.html").read_text("utf-8")
    # the same statistics of each band, in the same order
    assert page.split("<h2>")[2] == other.split("<h2>")[2] != ""
    assert "sorted" not in run("scene.nc", "scene.png").output
