"""What to do with every block of an array: all that follows from the matrix alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cubekit.kernels.deviations import long_row
from cubekit.kernels.refit import LocalFit, Refit
from cubekit.kernels.support import Support
from cubekit.kernels.tiles import used_columns
from cubekit.kernels.tiling import Tiling

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Plan"]

Array = npt.NDArray[Any]

# wider tiles read so many rows of pixels that a block is copied together first
_COLUMNS_IN_PLACE = 64
# values of a block: spectra are read twice, to look for NaN and to multiply, the second
# time from cache; where they are read once, or copied less a shift, many are worth one
# call
_BLOCK, _BLOCK_ONCE = 2**18, 2**20
# spectra at a multiple of this many bytes share a few lines of the cache, and push one
# another out of it: a block of them is copied, with a line in between
_ALIASED, _LINE = 4096, 64


class Plan:
    """Tiles of a matrix (m, n) in a dtype, and what else its blocks need.

    Nothing here is changed by its use: threads share it.

    Parameters
    ----------
    matrix, fit, shift, offset, shift_last
        As of `LinearMap`.
    dtype : dtype
        Of the results.
    spectra : bool
        Whether spectra are contiguous, else pixels are.
    """

    def __init__(
        self,
        matrix: sparse.csr_array,
        dtype: np.dtype[Any],
        *,
        spectra: bool,
        fit: LocalFit | None,
        shift: Array | None,
        offset: Array | None,
        shift_last: bool,
    ) -> None:
        self.dtype, self.spectra = dtype, spectra
        self.used, matrix = used_columns(matrix)
        self.tiling = Tiling(matrix, spectra=spectra)
        # whether spectra are read by one tile alone
        self.once = spectra and sum(run.tiles for run in self.tiling.runs) == 1
        if shift is not None and shift_last and self.once and self.used is None:
            offset = -(matrix @ shift) if offset is None else offset - matrix @ shift
            shift = None
        if shift is not None:
            shift = shift if self.used is None else shift[self.used]
            rounded = shift.astype(dtype)
            # what rounding takes from the shift is no error: the offset gives it back
            rest = matrix @ (shift - rounded)
            offset = -rest if offset is None else offset - rest
            shift = long_row(rounded) if spectra else rounded[:, None]
        self.shift = shift
        self.offset = self.minus_offset = None
        if offset is not None:
            self.offset = offset.astype(dtype)
            self.minus_offset = long_row(-self.offset) if spectra else None
        self.support = Support(matrix)
        if fit is not None and self.used is not None:
            fit = fit.restricted(columns=self.used)
        self.refit = None if fit is None else Refit(self.tiling, fit, dtype)
        # outputs with a NaN weight are undefined; as zeros they harm no tile
        undefined = np.isnan(matrix.data)
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        self.undefined = np.unique(row[undefined])
        weights = np.where(undefined, 0, matrix.data).astype(dtype)
        self.weights = self.tiling.dense(weights)
        outputs, inputs = matrix.shape
        room = _BLOCK_ONCE if self.once or self.shift is not None else _BLOCK
        piece = self.tiling.piece
        # spectra of a block of products
        self.size = piece * max(1, room // max(inputs, outputs) // piece)
        aliased = spectra and inputs * dtype.itemsize % _ALIASED == 0
        # values from one spectrum to the next, where they are copied
        self.width = inputs + (_LINE // dtype.itemsize if aliased else 0)

    def takes(self, x: Array) -> bool:
        """Whether the tiles are multiplied with an array where it lies."""
        runs = self.tiling.runs
        widest = max((run.columns for run in runs), default=0)
        return (
            x.dtype == self.dtype
            and x.strides[-1] == x.itemsize
            # BLAS takes no rows that overlap or run backwards
            and x.strides[-2] >= x.shape[-1] * x.itemsize
            and (self.spectra or widest <= _COLUMNS_IN_PLACE)
            and all(run.scattered is None for run in runs)
            and self.used is None
            and self.shift is None
            and not (self.spectra and x.strides[0] % _ALIASED == 0)
        )
