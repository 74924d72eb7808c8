"""Random numbers that depend on a key and a place only, not on the order of calls.

References
----------
.. [1] Steele, G. L., Lea, D. and Flood, C. H. (2014), Proc. OOPSLA '14, 453-472
   (splitmix64).
.. [2] Box, G. E. P. and Muller, M. E. (1958), Ann. Math. Statist. 29, 610-611.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["normal", "uniform"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniform(seed: int, stream: int, *places: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Numbers in [0, 1), one for each set of whole-numbered places, broadcast."""
    word = _words(seed, stream, *places)
    return (word >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(seed: int, stream: int, *places: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Standard normal numbers, one for each set of places, broadcast [2]_."""
    word = _words(seed, stream, *places)
    # 24 bits are what a float32 holds; the half keeps the logarithm finite
    first = ((word >> np.uint64(40)).astype(np.float32) + np.float32(0.5)) * np.float32(
        2.0**-24
    )
    second = (word & np.uint64(0xFFFFFF)).astype(np.float32) * np.float32(2.0**-24)
    radius = np.sqrt(np.float32(-2) * np.log(first))
    return np.asarray(radius * np.cos(np.float32(2 * np.pi) * second), np.float32)


def _words(seed: int, stream: int, *places: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """64 random bits for each set of places: rounds of splitmix64 [1]_."""
    word = _mixed(np.array([int(seed) % 2**64], np.uint64))
    for place in (stream, *places):
        whole = np.atleast_1d(place).astype(np.int64).view(np.uint64)
        word = _mixed(word + _GOLDEN * (whole + np.uint64(1)))
    return word


def _mixed(word: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))
