"""What is known of the spectra seen so far, and how two such pieces are joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cubekit import kernels

if TYPE_CHECKING:
    from cubekit.kernels import Moments, Noise
    from cubekit.reduction.projection import Projection

__all__ = ["Statistics", "joined", "with_rounding"]


class Statistics(NamedTuple):
    """Moments of the spectra of the good bands of an axis, and of their noise."""

    template: Projection
    moments: Moments
    noise: Noise | None = None


def with_rounding(moments: Moments, dtype: np.dtype[Any]) -> Moments:
    """Moments that know how their data are rounded; integers are not."""
    rounding = float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0
    return moments._replace(rounding=rounding)


def joined(mine: Statistics, theirs: Statistics) -> Statistics:
    """Statistics of both, in the order of the bands of the first."""
    place = _places(mine.template, theirs.template)
    noise = mine.noise
    if mine.noise is not None and theirs.noise is not None:
        noise = mine.noise.merge(theirs.noise.take(place))
    moments = kernels.merge([mine.moments, theirs.moments.take(place)])
    return Statistics(mine.template, moments, noise)


def _places(mine: Projection, theirs: Projection) -> npt.NDArray[np.intp]:
    """Place among the good bands of one model of each good band of another."""
    same = np.array_equal(np.sort(theirs.axis.values), np.sort(mine.axis.values))
    rank = np.argsort(np.argsort(mine.axis.values))
    place = np.argsort(theirs.axis.values)[rank] if same else rank
    mine.axis.require_equal(
        theirs.axis.isel(place) if same else theirs.axis,
        "merge two models",
        "Only models of the same bands can be merged. Fit both on one axis.",
    )
    good = np.flatnonzero(np.isin(place, theirs.good))
    if not np.array_equal(mine.good, good):
        raise ValueError(
            "cannot merge two models: their bad bands differ. A covariance needs the "
            "same bands in both. Mark the same ones in 'good_band'."
        )
    if mine.units and theirs.units and mine.units != theirs.units:
        raise ValueError(
            f"cannot merge two models: one is in {mine.units}, the other in "
            f"{theirs.units}. A covariance has one unit. Convert one of the cubes, and "
            "fit it again."
        )
    return np.searchsorted(theirs.good, place[good])
