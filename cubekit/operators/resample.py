"""From the bands of one sensor to those of another."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cubekit import stencils
from cubekit.axis import Axis, require_axis
from cubekit.axis.units import differ
from cubekit.errors import AxisMismatchError, CoordinateError
from cubekit.operators.axis_operator import AxisOperator
from cubekit.operators.support import from_windows
from cubekit.warned import warn_caller

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["resample_operator"]

Floats = npt.NDArray[np.float64]

_SIGMA = 1 / np.sqrt(8 * np.log(2))  # of a Gaussian of unit width at half maximum
# where a response ends: 2 widths from the centre hold all but 2.5e-6 of it
_REACH = 2


def resample_operator(
    axis: Axis,
    target: Axis | Floats | Sequence[float],
    *,
    fwhm: float | Floats | Sequence[float] | None = None,
) -> AxisOperator:
    r"""Spectra as another sensor sees them, as a matrix between the two axes.

    Parameters
    ----------
    axis : Axis
        Of the spectra; spacing may vary.
    target : Axis or array
        Centres of the bands wanted, strictly monotonic, in the units of `axis`.
    fwhm : float or array, optional
        Full width at half maximum of the bands wanted; that of `target` if not given.

    Returns
    -------
    AxisOperator, axis -> target

    Raises
    ------
    CoordinateError
        If the centres are not strictly monotonic, or the axis has no good sample.
    AxisMismatchError
        If the axes are in different units, or no centre lies on the axis.
    ValueError
        If a width is not positive, there is not one for each band, or no band.
    TypeError
        If `target` is no axis and no array of numbers, or `fwhm` is no numbers.

    Warns
    -----
    UserWarning
        If bands lie outside of the axis, or in its bad bands: their result is NaN.

    Notes
    -----
    .. math:: y(c) = \int g(t - c)\, f(t)\, dt, \qquad
        w^2 = w_\mathrm{target}^2 - w_\mathrm{axis}^2 - w_\mathrm{lines}^2

    with :math:`g` a Gaussian of unit area and of width :math:`w` at half maximum, cut
    off 2 :math:`w` from the centre, where 2.5e-6 of it are left, and :math:`f` the
    straight lines between the samples. Where `axis` knows its own widths, they are part
    of what its bands have seen; straight lines over steps :math:`h` widen a peak as a
    response of variance :math:`h^2 / 6` would; only the rest is left to do. Where no
    width is known, or nothing is left, this is linear interpolation.

    All rows sum to 1: a constant comes back, and so does a straight line where the
    whole response lies on the axis. Sums over bands that lie closer than their widths
    keep the energy of a line; further apart they miss what falls between.

    **Missing values:** an output is NaN where its response meets NaN or Inf. Bands
    whose half maximum does not lie on the axis, or whose centre is nearest to a bad
    band, are NaN; the latter, and bad bands of the target, are marked as bad.
    **Chunks:** any. **Cost:** one contraction.

    Examples
    --------
    >>> import cubekit as ck
    >>> axis = ck.Axis("wavelength", [400.0, 410.0, 420.0, 430.0])
    >>> ck.resample_operator(axis, [405.0, 420.0]).matrix.toarray()
    array([[0.5, 0.5, 0. , 0. ],
           [0. , 0. , 1. , 0. ]])
    """
    require_axis("resample_operator", axis)
    if not isinstance(target, Axis):
        centres = _centres(target)
        _require_sorted(centres, axis)
        target = Axis(
            axis.dim,
            centres,
            axis.name,
            axis.units,
            long_name=axis.long_name,
        )
    _require_same_units(axis, target)
    samples = axis.good_samples
    if not len(samples):
        raise CoordinateError(
            f"resample: all samples of {axis.name!r} are bad bands. There is nothing "
            'to resample from. Drop the marks: cube.drop_vars("good_band").'
        )
    x, centre = axis.values[samples], target.values
    wanted = _widths(fwhm, target)
    own = np.zeros(len(target))
    if axis.fwhm is not None:
        own = np.nan_to_num(np.interp(centre, x, axis.fwhm[samples]))
    left = wanted**2 - own**2 - _smear(x, centre, np.nan_to_num(wanted))
    width = np.sqrt(np.maximum(np.nan_to_num(left), 0))

    _require_overlap(axis, centre)
    nearest = np.abs(axis.values[:, None] - centre).argmin(axis=0)
    slack = 1e-9 * np.ptp(x)
    outside = (centre - width / 2 < x[0] - slack) | (centre + width / 2 > x[-1] + slack)
    unwanted = np.zeros(len(target), np.bool_) if target.good is None else ~target.good
    good = target.good
    if axis.good is not None and not axis.good[nearest].all():
        outside |= ~axis.good[nearest]
        good = axis.good[nearest] & ~unwanted
    _warn_of_outside(centre, outside & ~unwanted, axis)

    windows = stencils.response_windows(x, centre, _REACH * width)
    length = np.where(outside | unwanted, 0, windows.length)
    windows = stencils.Windows(windows.start, length)
    weights = stencils.response_weights(
        x, windows, centre, _SIGMA * width, _REACH * width
    )
    seen = np.fmax(wanted, own)
    return AxisOperator(
        from_windows(axis, windows, weights, np.arange(len(target)), nearest),
        axis,
        dataclasses.replace(
            target,
            dim=axis.dim,
            name=axis.name,
            units=axis.units or target.units,
            good=good,
            fwhm=seen if seen.all() else None,
        ),
        f"resample({len(target)} bands)",
    )


def _centres(target: Any) -> npt.NDArray[Any]:
    """Centres of bands as an array; refused where they are no numbers."""
    lead = "resample: the bands wanted are centres, an Axis, or the bands of a cube."
    give = "Give numbers: target=[450.0, 550.0, 650.0], or target=other_cube."
    if hasattr(target, "data_vars"):
        names = ", ".join(map(repr, target.data_vars)) or "no variables"
        raise TypeError(
            f"{lead} target is a Dataset with {names}. Give one of its variables: "
            "target=dataset[name]."
        )
    try:
        centres = np.atleast_1d(np.asarray(target))
    except ValueError:  # sequences of unequal length
        centres = np.array([None])
    if centres.dtype.kind not in "iuf":
        found = repr(target) if len(repr(target)) < 60 else type(target).__name__
        raise TypeError(f"{lead} target={found} holds no numbers. {give}")
    if not centres.size:
        raise ValueError(f"{lead} target={target!r} is empty. {give}")
    return centres


def _require_same_units(axis: Axis, target: Axis) -> None:
    if differ(axis.units, target.units):
        raise AxisMismatchError(
            f"cannot resample: {axis.name!r} is in {axis.units}, the target in "
            f"{target.units}. Convert one of them: cubekit.convert_axis(cube, "
            f'"{target.units}").'
        )


def _require_sorted(centres: npt.NDArray[Any], axis: Axis) -> None:
    if centres.ndim != 1:
        return  # an Axis says what is wrong with them
    step = np.diff(centres.astype(np.float64))
    turns = np.flatnonzero(step * np.sign(step[:1]) <= 0)
    if not len(turns):
        return
    unit = f" {axis.units}" if axis.units else ""
    at = int(turns[0])
    raise CoordinateError(
        f"resample: the target bands are not strictly monotonic: {centres[at]:g}{unit} "
        f"at {at} is followed by {centres[at + 1]:g}{unit}. Bands must be in order, "
        "none of them twice. Sort them: numpy.unique(target); with widths of their "
        "own: order = numpy.argsort(target), then target[order] and fwhm[order]."
    )


def _require_overlap(axis: Axis, centre: Floats) -> None:
    low, high = axis.values.min(), axis.values.max()
    if ((low <= centre) & (centre <= high)).any() or not len(centre):
        return
    unit = f" {axis.units}" if axis.units else ""
    same = axis.units or "the units of the cube"
    raise AxisMismatchError(
        f"cannot resample: no target band lies on {axis.name!r}. The bands go from "
        f"{centre.min():g} to {centre.max():g}, {axis.name!r} from {low:g} to {high:g}"
        f"{unit}. Give the bands in {same}, or convert the cube to their units: "
        "cubekit.convert_axis(cube, units)."
    )


def _widths(fwhm: float | Floats | Sequence[float] | None, target: Axis) -> Floats:
    """Width of each target band, NaN where it is not known."""
    if fwhm is None:
        return np.full(len(target), np.nan) if target.fwhm is None else target.fwhm
    try:
        widths = np.asarray(fwhm, np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"resample: fwhm={fwhm!r} holds no numbers. It is a width in the units of "
            f"{target.name!r}. Give one for each band, or one for all: fwhm=10.0."
        ) from error
    if widths.ndim and widths.shape != target.values.shape:
        raise ValueError(
            f"resample: fwhm has shape {widths.shape}. There are {len(target)} target "
            "bands. Give one width for each, or one for all."
        )
    if (widths <= 0).any():
        raise ValueError(
            f"resample: fwhm={widths.min():g} is out of range. It is a width on the "
            "axis. Give positive numbers, NaN where it is not known."
        )
    return np.broadcast_to(widths, target.values.shape)


def _smear(x: Floats, centre: Floats, width: Floats) -> Floats:
    """Squared width at half maximum of what straight lines do to a response."""
    step = np.diff(x, prepend=x[0])
    first = np.clip(np.searchsorted(x, centre - width / 2, side="right"), 1, len(x)) - 1
    last = np.clip(np.searchsorted(x, centre + width / 2), 0, len(x) - 1)
    length, cubes = np.cumsum(step), np.cumsum(step**3)
    covered = length[last] - length[first]
    square = (cubes[last] - cubes[first]) / np.where(covered > 0, covered, 1)
    smear: Floats = np.maximum(square, 0) / 6 / _SIGMA**2
    return smear


def _warn_of_outside(
    centre: Floats, outside: npt.NDArray[np.bool_], axis: Axis
) -> None:
    centres, count = centre[outside], len(centre)
    if not len(centres):
        return
    unit = f" {axis.units}" if axis.units else ""
    places = ", ".join(f"{c:g}" for c in centres[:5])
    more = ", ..." if len(centres) > 5 else ""
    warn_caller(
        f"resample: {len(centres)} of {count} bands lie outside of {axis.name!r} "
        f"({axis.values.min():g} to {axis.values.max():g}{unit}) or in its bad bands, "
        f"and give NaN: {places}{more}{unit}"
    )
