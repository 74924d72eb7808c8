"""What an autoencoder asks of its parameters and of the cubes it is fitted to."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from cubekit.arguments import require_integer, require_real
from cubekit.reduction.projection import projection_of
from cubekit.reduction.requirements import require_bands
from cubekit.reduction.samples import aligned
from cubekit.reduction.sources import each

if TYPE_CHECKING:
    import xarray as xr

    from cubekit.reduction.autoencoder.spectra import Pool
    from cubekit.reduction.projection import Projection

__all__ = ["cubes_to_fit", "require_beta", "require_spectra", "require_widths"]


def require_widths(hidden: Any) -> tuple[int, ...]:
    """Sizes of the hidden layers; raise unless they are a sequence of integers."""
    if isinstance(hidden, str) or not isinstance(hidden, Iterable):
        raise TypeError(
            f"Autoencoder: hidden={hidden!r} is a {type(hidden).__name__}. It has a "
            "size for each hidden layer. Use hidden=(64,) for one, () for none."
        )
    sizes = tuple(hidden)
    for size in sizes:
        require_integer("Autoencoder", "hidden", size, 1)
    return tuple(int(size) for size in sizes)


def require_beta(beta: Any) -> None:
    """Raise unless it is a weight: a number, finite and not negative."""
    real = isinstance(beta, numbers.Real) and not isinstance(beta, bool)
    if not real or not 0 <= beta < math.inf:
        raise ValueError(
            f"Autoencoder: beta={beta!r} is out of range. It weighs the divergence of "
            "the scores. Use beta=1, or 0 for none."
        )


def cubes_to_fit(
    cube: xr.DataArray | Iterable[xr.DataArray], coord: str | None, *, may_miss: bool
) -> tuple[list[xr.DataArray], Projection]:
    """Cubes with their bands in one order, and the template of all.

    With `may_miss` a band that only another cube than the first marks bad is missing
    there.
    """
    cubes = list(each(cube))
    for one in cubes:
        require_real(one, "Autoencoder")
    if not cubes:
        raise ValueError(
            "Autoencoder.fit got no cube. There is nothing to fit. Give a DataArray, "
            "or a list of them."
        )
    template = projection_of(cubes[0], coord)
    require_bands(template, "Autoencoder")
    rest = [
        aligned(one, template, "Autoencoder: fit", may_miss=may_miss)
        for one in cubes[1:]
    ]
    return [cubes[0], *rest], template


def require_spectra(pool: Pool, template: Projection, n_components: int) -> None:
    """Raise unless there are enough spectra and bands for the latents."""
    bands = len(template.good)
    if n_components > bands:
        raise ValueError(
            f"Autoencoder.fit: n_components={n_components} is out of range. There are "
            f"{bands} good bands. Use n_components={bands} or less."
        )
    if n_components > pool.samples:
        raise ValueError(
            f"Autoencoder.fit: n_components={n_components} is out of range. There are "
            f"{pool.samples} spectra with values enough ({pool.dropped} left out) of "
            f'{bands} good bands. Use fewer components, missing="mask", or mark the '
            "worst bands bad in the coordinate 'good_band'."
        )
    dead = template.good[~np.isfinite(pool.mean)]
    if len(dead):
        some = ", ".join(f"{value:g}" for value in template.axis.values[dead][:5])
        raise ValueError(
            f"Autoencoder.fit: {len(dead)} of {bands} bands have no value at all: "
            f"{some}. Nothing can be learnt of them. Mark them bad in the coordinate "
            "'good_band'."
        )
