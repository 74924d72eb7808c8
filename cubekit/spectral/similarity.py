"""Likeness to reference spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cubekit.arguments import require_dataarray, require_real
from cubekit.axis import Axis
from cubekit.errors import CoordinateError
from cubekit.spectral.whole_spectra import map_spectra

if TYPE_CHECKING:
    from collections.abc import Hashable

    import xarray as xr

__all__ = ["spectral_angle"]

Floats = npt.NDArray[np.float64]


def spectral_angle(
    cube: xr.DataArray, reference: xr.DataArray, *, coord: str | None = None
) -> xr.DataArray:
    r"""Angle between each spectrum and one or many references.

    Parameters
    ----------
    cube : DataArray, dims (..., band, ...)
        Real values; any chunks.
    reference : DataArray, dims (band,) or (reference, band)
        On the same bands.
    coord : str, optional
        One-dimensional coordinate of the bands; the spectral one if not given.

    Returns
    -------
    DataArray, dims (..., reference, ...), the dim of the references in place of band
        float64, in radians, 0 to pi; without that dim for one reference. Coordinates
        along the references come with them, unless pixels of the cube have some of
        that name.

    Raises
    ------
    AxisMismatchError
        If the bands of the references are not those of the cube.
    ValueError
        If the references have more than one other dim, or one that the cube has.
    TypeError
        If the cube or the reference is no DataArray of real numbers.
    CoordinateError
        If the coordinate is missing, ambiguous or not strictly monotonic, in either.

    Notes
    -----
    .. math:: \theta = \arccos \frac{x \cdot r}{\lVert x \rVert\, \lVert r \rVert}

    over the bands that are good in both; independent of brightness [1]_.

    **Missing values:** NaN for a spectrum, or a reference, with NaN or Inf in a good
    band, or of length 0. **Chunks:** lazy; split spectra are put together, and the
    chunks of other dims cut, with a warning, where they would be too large; references
    are read at once. **Cost:** one matrix product.

    References
    ----------
    .. [1] Kruse, F. A. et al. (1993), Remote Sens. Environ. 44, 145-163.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> bands = {"wavelength": [450.0, 550.0]}
    >>> cube = xr.DataArray([[1.0, 1.0], [0.0, 2.0]], bands, ("x", "wavelength"))
    >>> dark = xr.DataArray([0.1, 0.1], bands)
    >>> ck.spectral_angle(cube, dark).values.round(4)
    array([0.    , 0.7854])
    """
    axis = Axis.from_cube(cube, coord)
    require_dataarray(reference, "spectral_angle", "reference")
    try:
        other = Axis.from_cube(reference, axis.name)
    except CoordinateError as error:
        error.add_note(
            "spectral_angle: this is about the reference. If it lies on the bands of "
            "the cube: "
            f"reference.assign_coords({axis.name}=cube[{axis.name!r}])."
        )
        raise
    axis.require_equal(
        other,
        "compare the cube with the references",
        "Bring them to its bands: cubekit.resample(reference, cube).",
    )
    require_real(reference, "spectral_angle")
    others = [d for d in reference.dims if d != other.dim]
    # names that pixels of the cube have; what is told of all of it gives way to what
    # is told of each reference
    pixels = {*cube.dims} - {axis.dim}
    taken = pixels.union(k for k, c in cube.coords.items() if pixels & {*c.dims})
    if len(others) > 1 or taken & set(others):
        if len(others) == 1:
            free = "reference" if "reference" not in taken else f"{others[0]}_"
            remedy = f"Rename it: reference.rename({{{others[0]!r}: {free!r}}})."
        else:
            remedy = (
                f"Put them in a row: reference.stack(reference={others})"
                '.reset_index("reference", drop=True).'
            )
        raise ValueError(
            f"spectral_angle: the references have dims {reference.dims}, the cube "
            f"{cube.dims}. There can be one dim of references, with a name that no dim "
            f"or coordinate of the pixels has. {remedy}"
        )
    cube = cube.drop_vars(others, errors="ignore")
    good = np.ones(len(axis), np.bool_)
    for marks in (axis.good, other.good):
        good &= True if marks is None else marks
    values = reference.transpose(*others, other.dim).values[..., good]
    directions = _directions(values.astype(np.float64))  # (reference, band)

    def angles(spectra: Floats) -> Floats:
        unit = _directions(spectra[:, good])
        rows = np.atleast_2d(directions)
        cosines = np.clip(unit @ rows.T, -1, 1)
        result = np.arccos(cosines)
        # near 0 the cosine has lost half of its digits: the chord has not
        near = np.nonzero(cosines > 1 - 1e-4)
        chords = np.linalg.norm(unit[near[0]] - rows[near[1]], axis=-1)
        result[near] = 2 * np.arcsin(chords / 2)
        return result.reshape(len(spectra), *directions.shape[:-1])

    sizes = {d: reference.sizes[d] for d in others}
    result = map_spectra(
        angles, cube, axis, what="spectral_angle", output=(sizes, np.dtype(np.float64))
    )
    if others:
        result = result.assign_coords(_kept(reference, others[0], taken))
    result.attrs = {"units": "rad", "long_name": "spectral angle"}
    return result.rename("spectral_angle")


def _kept(
    reference: xr.DataArray, dim: Hashable, taken: set[Hashable]
) -> dict[Hashable, xr.Variable]:
    """Coordinates along the references, but those whose names are taken."""
    indexes = reference.xindexes
    return {
        name: coord.variable
        for name, coord in reference.coords.items()
        if coord.dims == (dim,)
        # one level of an index does not go without the others
        and not taken & {name, *indexes.get_all_coords(name, errors="ignore")}
    }


def _directions(spectra: Floats) -> Floats:
    """Spectra of length 1, NaN where that cannot be."""
    length = np.linalg.norm(spectra, axis=-1, keepdims=True)
    unit: Floats = spectra / np.where(
        (length > 0) & np.isfinite(length), length, np.nan
    )
    return unit
