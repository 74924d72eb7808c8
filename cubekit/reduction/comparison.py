"""Reductions side by side, on spectra that none of them was fitted to."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit.arguments import require_integer, require_real
from cubekit.axis import Axis
from cubekit.operators.attributes import units_of
from cubekit.reduction.fitted import FittedReduction

__all__ = ["compare_reductions"]

_TILE = 8  # pixels along each side of what is held out together


def compare_reductions(
    cube: xr.DataArray,
    models: Iterable[FittedReduction],
    *,
    held_out: float = 0.2,
    seed: int = 0,
    coord: str | None = None,
) -> xr.Dataset:
    """Errors of several reductions on spectra that they were not fitted to.

    Parameters
    ----------
    cube : DataArray, dims (..., band, ...)
        Real values; any chunks.
    models : iterable of PCA, MNF or Autoencoder
        They need not be fitted, and stay as they are: copies are.
    held_out : float, default 0.2
        Share of the spectra that is held out, in tiles of 8 pixels, since neighbours
        are alike.
    seed : int, default 0
        Another seed holds out other tiles.
    coord : str, optional
        Coordinate of the bands; the spectral one if not given.

    Returns
    -------
    Dataset, dims (model, band)
        ``rmse`` (model): of all values held out; ``band_rmse`` (model, band);
        ``explained_variance`` (model): 1 - SSE / SST about their own mean;
        ``n_components`` (model); ``fit_time`` and ``evaluate_time`` (model) in s. Its
        picture is `plotting.comparison`.

    Raises
    ------
    ValueError
        If nothing would be held out, or nothing left to fit.
    TypeError
        If a model is not a reduction.

    Notes
    -----
    **Missing values:** as each model does; only values that are there count.
    **Chunks:** any; computed now, with the reads of each fit and one more.
    **Cost:** of the fits.

    Examples
    --------
    >>> import cubekit as ck
    >>> cube = ck.datasets.alteration_scene((40, 60))
    >>> table = ck.compare_reductions(cube, [ck.PCA(2), ck.PCA(5), ck.MNF(5)])
    >>> table.model.values.tolist()
    ['PCA(2)', 'PCA(5)', 'MNF(5)']
    >>> bool(table.rmse[1] < table.rmse[0])
    True
    """
    name = "compare_reductions"
    require_real(cube, name)
    require_integer(name, "seed", seed, 0)
    given: Any = models
    if not isinstance(given, Iterable):
        raise TypeError(
            f"{name}: models is a {type(given).__name__}. Several are compared. Give "
            "a list, also of one: [PCA(5)]."
        )
    chosen = list(given)
    for model in chosen:
        if not isinstance(model, FittedReduction):
            found = "class" if isinstance(model, type) else type(model).__qualname__
            raise TypeError(
                f"{name}: a model is a {found}. Only reductions can be compared. Use "
                "[PCA(5), MNF(5), Autoencoder(5)]."
            )
    if not chosen:
        raise ValueError(
            f"{name} got no model. There is nothing to compare. Use [PCA(5), MNF(5)]."
        )
    axis = Axis.from_cube(cube, coord)
    mask = _held_out(cube, axis, held_out, seed)
    rows = [_row(model, cube.where(~mask), cube.where(mask)) for model in chosen]
    units = units_of(cube)
    data = {} if units is None else {"units": units}
    table = xr.Dataset(
        {
            "rmse": ("model", [row["rmse"] for row in rows], data),
            "band_rmse": (
                ("model", axis.dim),
                np.stack([row["band_rmse"] for row in rows]),
                data,
            ),
            "explained_variance": ("model", [row["explained"] for row in rows]),
            "n_components": ("model", [row["components"] for row in rows]),
            "fit_time": ("model", [row["fit"] for row in rows], {"units": "s"}),
            "evaluate_time": (
                "model",
                [row["evaluate"] for row in rows],
                {"units": "s"},
            ),
        },
        coords={"model": _names(chosen), **axis.to_coords()},
    )
    return table.assign_attrs(n_held_out=int(mask.sum()))


def _row(
    model: FittedReduction, train: xr.DataArray, test: xr.DataArray
) -> dict[str, Any]:
    """Errors and times of a copy of a model."""
    fitted: Any = copy.copy(model)
    start = time.perf_counter()
    fitted.fit(train)
    between = time.perf_counter()
    report = fitted.evaluate(test)
    stop = time.perf_counter()
    return {
        "rmse": math.sqrt(float((report.rmse**2).mean())),
        "band_rmse": report.rmse.values,
        "explained": float(report.r2_own_mean),
        "components": report.sizes["component"],
        "fit": between - start,
        "evaluate": stop - between,
    }


def _held_out(cube: xr.DataArray, axis: Axis, share: Any, seed: int) -> xr.DataArray:
    """Whether a spectrum is held out, by tiles at random."""
    dims = [d for d in cube.dims if d != axis.dim]
    sizes = [cube.sizes[d] for d in dims]
    real = isinstance(share, float | np.floating) and 0 < share < 1
    tiles = [-(-size // _TILE) for size in sizes]
    count = math.prod(tiles)
    if not real or count < 2:
        raise ValueError(
            f"compare_reductions: held_out={share!r} of {count} tiles of {_TILE} "
            "pixels. It is the share of the spectra held out, and some must be left "
            "to fit. Use held_out=0.2, and a cube of 9 pixels or more."
        )
    order = np.random.default_rng(seed).permutation(count)
    number = min(max(1, round(share * count)), count - 1)
    flags: npt.NDArray[np.bool_] = (order < number).reshape(tiles)
    for k, size in enumerate(sizes):
        flags = np.repeat(flags, _TILE, axis=k).take(np.arange(size), axis=k)
    return xr.DataArray(flags, dims=dims)


def _names(models: list[FittedReduction]) -> list[str]:
    """What models are called, told apart by a number if need be."""
    every = [repr(model) for model in models]
    return [
        name if every.count(name) == 1 else f"{name} #{every[: k + 1].count(name)}"
        for k, name in enumerate(every)
    ]
