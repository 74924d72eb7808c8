"""What is done along an axis, and the plan of doing it that all chunks share."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from dask.base import tokenize
from scipy import sparse

from cubekit.kernels.plan import Plan

if TYPE_CHECKING:
    from cubekit.kernels.refit import LocalFit

__all__ = ["LinearMap"]

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.intp]


# no __call__: in a graph, a tuple that begins with a callable is a task
@dataclasses.dataclass(frozen=True, eq=False)
class LinearMap:
    """``matrix @ (x - shift) + offset`` along an axis, and parts of it.

    Parameters
    ----------
    matrix : csr_array, (m, n)
        Its stored entries, zeros included, are the support. Indices are sorted.
    fit : LocalFit, optional
        What the rows of `matrix` are; given, windows with missing samples are fitted
        again to those that are left. Not with `shift` or `offset`.
    shift : array, (n,), optional
        Taken off before the product, so that nothing cancels after it.
    offset : array, (m,), optional
        Added to the product.
    shift_last : bool, default False
        Whether the product of the shift may be taken off the product, where that is
        faster. It costs as many digits as the shift is larger than what is left.
    """

    matrix: sparse.csr_array
    fit: LocalFit | None = None
    shift: Array | None = None
    offset: Array | None = None
    shift_last: bool = False

    def __post_init__(self) -> None:
        """Begin with no plan."""
        object.__setattr__(self, "_plans", {})

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave plans behind: they are long, and soon made again."""
        return LinearMap, self._parts

    def __dask_tokenize__(self) -> tuple[str, str]:
        """Return what a result depends on."""
        matrix = self.matrix
        stored = (matrix.shape, matrix.indptr, matrix.indices, matrix.data)
        # of arrays in what is returned here Dask would compare the text, which has few
        # digits and leaves out the middle
        return "cubekit.LinearMap", tokenize(*stored, *self._parts[1:])

    @property
    def _parts(self) -> tuple[Any, ...]:
        return self.matrix, self.fit, self.shift, self.offset, self.shift_last

    def plan(self, dtype: np.dtype[Any], *, spectra: bool) -> Plan:
        """Plan for results of a dtype, made once; see `Plan`."""
        plans: dict[Any, Plan] = vars(self)["_plans"]
        key = dtype, spectra
        if key not in plans:  # threads that make it at once make the same
            plans[key] = Plan(
                self.matrix,
                dtype,
                spectra=spectra,
                fit=self.fit,
                shift=self.shift,
                offset=self.offset,
                shift_last=self.shift_last,
            )
        return plans[key]

    def rows(self, start: int, stop: int) -> LinearMap:
        """Map to some of the outputs."""
        return LinearMap(
            self.matrix[start:stop],
            self.fit and self.fit.restricted(rows=slice(start, stop)),
            self.shift,
            None if self.offset is None else self.offset[start:stop],
            self.shift_last,
        )

    def columns(self, keep: Indices) -> LinearMap:
        """Map from some of the inputs."""
        return LinearMap(
            _take_columns(self.matrix, keep),
            self.fit and self.fit.restricted(columns=keep),
            None if self.shift is None else self.shift[keep],
            self.offset,
            self.shift_last,
        )


def _take_columns(part: sparse.csr_array, keep: Indices) -> sparse.csr_array:
    """Columns of a matrix, explicit zeros kept as slicing would not promise."""
    row = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
    inside = np.isin(part.indices, keep)
    indptr = np.concatenate(
        [[0], np.cumsum(np.bincount(row[inside], minlength=part.shape[0]))]
    )
    indices = np.searchsorted(keep, part.indices[inside])
    return sparse.csr_array(
        (part.data[inside], indices, indptr), shape=(part.shape[0], len(keep))
    )
