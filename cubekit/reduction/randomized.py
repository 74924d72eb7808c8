"""Leading components of more bands than a covariance has room for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cubekit import kernels
from cubekit.warned import warn_caller

if TYPE_CHECKING:
    import dask.array as da

    from cubekit.kernels import Product

__all__ = ["Leading", "leading"]

Real = npt.NDArray[np.float64]

_OVERSAMPLING = 20
# passes over the data; done when no wanted variance changes by more than a share
_PASSES, _STILL = 30, 1e-10


class Leading(NamedTuple):
    """Leading variances, directions (component, band), mean, total variance."""

    values: Real
    vectors: Real
    mean: Real
    total: float
    sums: Product


def leading(
    x: npt.NDArray[Any] | da.Array,
    axis: int,
    keep: npt.NDArray[np.intp],
    number: int,
) -> Leading:
    """Leading components by randomised power iterations [1]_, one read each.

    The passes go on until the variances stand still; each also keeps what the passes
    before have found (block Krylov), so that few are enough.

    .. [1] Halko, N., Martinsson, P. G. and Tropp, J. A. (2011), SIAM Rev. 53, 217-288.
    """
    columns = min(number + _OVERSAMPLING, len(keep))
    start = np.random.default_rng(0).normal(size=(len(keep), columns))
    sums = kernels.scatter_product(x, axis, keep, np.zeros(len(keep)), 0 * start[:, :0])
    if sums.samples < 2:
        return _nothing(sums, len(keep), number)
    mean = sums.total / sums.samples
    basis, image = np.empty((2, len(keep), 0))
    new, before = start, np.full(number, np.inf)
    for _ in range(_PASSES):
        for _ in range(2):  # once is not enough where little is new
            new = np.linalg.qr(new - basis @ (basis.T @ new))[0]
        new = new[:, : len(keep) - basis.shape[1]]
        sums = kernels.scatter_product(x, axis, keep, mean, new)
        basis = np.concatenate([basis, new], axis=1)
        image = np.concatenate([image, sums.product], axis=1)
        small = basis.T @ image
        values, rotation = np.linalg.eigh((small + small.T) / 2)
        values, rotation = values[::-1][:number], rotation[:, ::-1][:, :number]
        settled = (np.abs(values - before) <= _STILL * values[0]).all()
        if settled or basis.shape[1] == len(keep):
            break
        before, new = values, sums.product
    else:
        warn_caller(
            f"PCA: the variances still change after {_PASSES} passes; the last "
            "components are uncertain. Ask for fewer"
        )
    freedom = sums.samples - 1
    return Leading(
        np.clip(values, 0, None) / freedom,
        (basis @ rotation).T,
        mean,
        float(sums.squares.sum()) / freedom,
        sums,
    )


def _nothing(sums: Product, bands: int, number: int) -> Leading:
    mean = sums.total / sums.samples if sums.samples else np.full(bands, np.nan)
    return Leading(np.zeros(number), np.eye(number, bands), mean, 0.0, sums)
