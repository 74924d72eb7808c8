"""An array of which any block can be computed from its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.core import indexing

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ComputedArray", "computed"]

Places = npt.NDArray[np.int64]
Block = npt.NDArray[np.float32]


class ComputedArray(xr.backends.BackendArray):
    """Array (row, column, band) of float32 whose blocks a function computes."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        block: Callable[[Places, Places, Places], Block],
    ) -> None:
        self.shape = shape
        self.dtype = np.dtype(np.float32)
        self._compute = block

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Block:
        """Return the block that an indexer asks for."""
        block: Block = indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._block
        )
        return block

    def _block(self, key: tuple[Any, ...]) -> Block:
        places = [
            np.atleast_1d(np.arange(size)[part])
            for size, part in zip(self.shape, key, strict=True)
        ]
        whole = slice(None)  # an integer drops its dim
        return self._compute(*places)[
            tuple(0 if isinstance(k, int | np.integer) else whole for k in key)
        ]


def computed(
    shape: tuple[int, int, int], block: Callable[[Places, Places, Places], Block]
) -> indexing.LazilyIndexedArray:
    """Lazy array for a Variable."""
    return indexing.LazilyIndexedArray(ComputedArray(shape, block))
