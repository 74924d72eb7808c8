"""Noise covariance of cubes: from neighbours, from dark spectra, or given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr

from cubekit import kernels
from cubekit.arguments import require_real
from cubekit.kernels import Noise
from cubekit.reduction.projection import Projection, projection_of
from cubekit.reduction.requirements import require_bands
from cubekit.reduction.samples import aligned
from cubekit.reduction.state import OTHER

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

__all__ = ["given_noise", "neighbour_axes", "noise_covariance"]


def noise_covariance(
    cube: xr.DataArray,
    *,
    coord: str | None = None,
    method: Literal["difference", "spread"] = "difference",
    along: Sequence[str] | None = None,
) -> xr.DataArray:
    """Covariance of the noise between bands.

    Parameters
    ----------
    cube : DataArray, dims (..., band, ...)
        A scene or part of it; or, for the spread, spectra of one and the same target,
        such as a dark cube.
    coord : str, optional
        Coordinate of the bands; the spectral one if not given.
    method : {"difference", "spread"}
        Half the covariance of the differences of neighbours; or the covariance about
        the mean.
    along : sequence of str, optional
        Dims along which neighbours are compared; the last two that are not the bands.

    Returns
    -------
    DataArray, dims (band, other band)
        With the degrees of freedom and the share of equal neighbours in the attributes;
        NaN in bad bands. Goes into ``MNF(noise=...)``.

    Raises
    ------
    ValueError
        If there are no neighbours, or too few whole spectra.

    Notes
    -----
    **Missing values:** spectra and pairs that miss a good band are left out.
    **Chunks:** any; computed now, with one read. **Cost:** three times a PCA.

    Examples
    --------
    >>> import cubekit as ck
    >>> import numpy as np
    >>> import xarray as xr
    >>> dark = xr.DataArray(
    ...     np.random.default_rng(0).normal(100, [1.0, 2.0], (300, 300, 2)),
    ...     dims=("y", "x", "wavelength"),
    ...     coords={"wavelength": [450.0, 550.0]},
    ... )
    >>> np.diag(ck.noise_covariance(dark, method="spread")).round(1)
    array([1., 4.])
    """
    if method not in {"difference", "spread"}:
        raise ValueError(
            f"noise_covariance: method={method!r} is unknown. Noise is what neighbours "
            'differ by, or the spread of like spectra. Use "difference" or "spread".'
        )
    require_real(cube, "noise_covariance")
    template = projection_of(cube, coord)
    require_bands(template, "noise_covariance")
    noise = _found(cube, template, method, along)
    dim, name = template.axis.dim, template.axis.name
    bands = template.axis.to_coords()
    other = template.axis.values, bands[name].attrs
    attrs = {"degrees_of_freedom": noise.freedom, "equal_pairs": noise.duplicates}
    return xr.DataArray(
        template.on_axis(template.on_axis(noise.covariance).T),
        dims=(dim, f"{dim}{OTHER}"),
        coords={
            **bands,
            f"{name}{OTHER}": (f"{dim}{OTHER}", *other),
        },
        name="noise_covariance",
        attrs=attrs,
    )


def given_noise(
    noise: xr.DataArray, template: Projection, along: Sequence[str] | None
) -> Noise:
    """Noise for the good bands of a model, of a cube or a covariance."""
    dim = template.axis.dim
    if noise.dims != (dim, f"{dim}{OTHER}"):
        cube = aligned(noise, template, "MNF: take the noise of")
        return _found(cube, template, "difference", along)
    own = template.axis.name
    if own in noise.coords and f"{own}{OTHER}" in noise.coords:
        for name in (own, f"{own}{OTHER}"):
            if not np.array_equal(noise[name].values, template.axis.values):
                noise = noise.reindex({name: template.axis.values})
    covariance = noise.values[np.ix_(template.good, template.good)]
    if not np.isfinite(covariance).all():
        raise ValueError(
            "MNF: the noise covariance is not known for all good bands. It has NaN, or "
            "other bands than the cube. Give one of the same bands."
        )
    if np.linalg.eigvalsh(covariance)[0] < -1e-8 * np.trace(covariance):
        raise ValueError(
            "MNF: the noise covariance has a negative eigenvalue. A covariance has "
            "none. Estimate it with noise_covariance(cube)."
        )
    return Noise(
        (covariance + covariance.T) / 2,
        float(noise.attrs.get("degrees_of_freedom", 0)),
        float(noise.attrs.get("equal_pairs", 0)),
    )


def neighbour_axes(
    cube: xr.DataArray, dim: Hashable, along: Sequence[str] | None, name: str
) -> tuple[int, ...]:
    """Axes along which neighbours are compared."""
    samples = [d for d in cube.dims if d != dim]
    chosen = samples[-2:] if along is None else list(along)
    foreign = [d for d in chosen if d not in samples]
    if foreign:
        raise ValueError(
            f"{name}: along names {foreign[0]!r}. Neighbours are compared along dims "
            f"that are not the bands. Use some of {tuple(map(str, samples))}."
        )
    chosen = [d for d in chosen if cube.sizes[d] > 1]
    if not chosen:
        raise ValueError(
            f"{name}: the cube has no neighbours; its dims are {dict(cube.sizes)}. "
            "Noise is seen in what they differ by. Give the noise of a like scene: "
            "MNF(noise=...)."
        )
    return tuple(cube.get_axis_num(d) for d in chosen)


def _found(
    cube: xr.DataArray,
    template: Projection,
    method: str,
    along: Sequence[str] | None,
) -> Noise:
    axis = cube.get_axis_num(template.axis.dim)
    if method == "spread":
        moments = kernels.moments(cube.data, axis, template.good)
        noise = Noise(moments.covariance, moments.freedom)
    else:
        axes = neighbour_axes(cube, template.axis.dim, along, "noise_covariance")
        noise = kernels.neighbours(cube.data, axis, axes, template.good).noise
    if not noise.freedom:
        raise ValueError(
            "noise_covariance: fewer than two whole spectra or pairs. The noise is "
            "what they differ by. Give more, or mark bad bands in 'good_band'."
        )
    return noise
