"""Reductions side by side, and their picture."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt

import cubekit as ck

mpl.use("Agg")


@pytest.fixture(scope="module")
def cube():
    return ck.datasets.alteration_scene((30, 40))


@pytest.fixture(scope="module")
def table(cube):
    return ck.compare_reductions(cube, [ck.PCA(2), ck.MNF(5), ck.PCA(5), ck.PCA(5)])


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_the_table_has_a_row_for_each_model(table):
    assert table.model.values.tolist() == ["PCA(2)", "MNF(5)", "PCA(5) #1", "PCA(5) #2"]
    assert table.n_components.values.tolist() == [2, 5, 5, 5]
    assert (table.fit_time > 0).all()
    assert table.rmse.attrs["units"] == "1"
    np.testing.assert_allclose(
        table.rmse, np.sqrt((table.band_rmse**2).mean("wavelength"))
    )


def test_errors_are_of_spectra_that_the_fit_has_not_seen(cube):
    """A model of a quarter of the pixels that is evaluated on the rest."""
    model = ck.PCA(5)
    table = ck.compare_reductions(cube, [model], held_out=0.25, seed=3)
    assert table.attrs["n_held_out"] < 0.35 * 1200
    with pytest.raises(ck.NotFittedError):
        _ = model.components_  # a copy was fitted
    # spoil what is held out: the fit must not notice, the error must
    tiles = np.random.default_rng(3).permutation(20).reshape(4, 5) < 5
    held = np.repeat(np.repeat(tiles, 8, 0)[:30], 8, 1)[:, :40]
    assert held.sum() == table.attrs["n_held_out"]
    mask = xr.DataArray(held, dims=("y", "x"))
    report = ck.PCA(5).fit(cube.where(~mask)).evaluate(cube.where(mask))
    np.testing.assert_array_equal(table.band_rmse[0], report.rmse)
    assert table.explained_variance[0] == float(report.r2_own_mean)


def test_more_components_leave_less(table):
    rmse = table.rmse.values
    assert rmse[0] > 2 * rmse[2]
    assert rmse[2] == rmse[3]


def test_it_is_a_method_of_a_cube_and_takes_lazy_ones(cube, table):
    lazy = cube.chunk({"y": 11}).cube.compare_reductions([ck.PCA(2)])
    np.testing.assert_allclose(lazy.rmse[0], table.rmse[0], rtol=1e-6)


@pytest.mark.parametrize("share", [0, 1, 0.0, 1.0, -0.1, "half"])
def test_a_share_held_out_is_between_none_and_all(cube, share):
    with pytest.raises(ValueError, match=r"Use held_out=0\.2"):
        ck.compare_reductions(cube, [ck.PCA(2)], held_out=share)


def test_what_cannot_be_compared_is_refused(cube):
    with pytest.raises(ValueError, match="got no model"):
        ck.compare_reductions(cube, [])
    with pytest.raises(TypeError, match="a model is a str"):
        ck.compare_reductions(cube, ["PCA"])
    with pytest.raises(TypeError, match=r"a model is a class\."):
        ck.compare_reductions(cube, [ck.PCA])
    with pytest.raises(TypeError, match=r"models is a PCA\..*Give a list"):
        ck.compare_reductions(cube, ck.PCA(2))


def test_the_picture_has_a_line_and_a_legend_entry_for_each_model(table):
    lines = ck.plotting.comparison(table)
    assert len(lines) == 4
    ax = lines[0].axes
    entries = [text.get_text() for text in ax.get_legend().get_texts()]
    assert entries[0].startswith("PCA(2): ")
    assert ax.get_xlabel() == "wavelength (nm)"
    assert ax.get_ylabel() == "held-out error"
    assert ax.get_ylim()[0] == 0
    np.testing.assert_allclose(
        lines[1].get_ydata()[np.isfinite(lines[1].get_ydata())], table.band_rmse[1]
    )


def test_the_legend_leaves_the_power_of_ten_free(table):
    small = table.assign(band_rmse=table.band_rmse * 1e-6)
    ax = ck.plotting.comparison(small)[0].axes
    ax.figure.draw_without_rendering()
    power = ax.yaxis.get_offset_text()
    assert power.get_text()
    assert not ax.get_legend().get_window_extent().overlaps(power.get_window_extent())
    for line in ax.lines:
        top = ax.transData.transform((0, np.nanmax(line.get_ydata())))[1]
        assert top < ax.get_legend().get_window_extent().y0


def test_bad_bands_are_named_after_all_models(cube):
    table = ck.compare_reductions(
        ck.mark_bad(cube, [(2200, 2220)]), [ck.PCA(3), ck.PCA(5)]
    )
    legend = ck.plotting.comparison(table)[0].axes.get_legend()
    names = [text.get_text().partition(":")[0] for text in legend.get_texts()]
    assert names == ["PCA(3)", "PCA(5)", "bad bands"]


def test_the_lines_fill_the_picture(table):
    ax = ck.plotting.comparison(table)[0].axes
    highest = max(np.nanmax(line.get_ydata()) for line in ax.lines)
    assert highest > 0.9 * ax.get_ylim()[1]


@pytest.mark.torch
def test_networks_are_compared_too(cube):
    model = ck.Autoencoder(5, epochs=2, hidden=(16,), variational=False)
    table = ck.compare_reductions(cube, [ck.PCA(5), model])
    assert table.rmse[1] < table.rmse[0]
