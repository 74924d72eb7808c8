"""How a chunk of an HDF5 file is encoded: shuffle, deflate and checksum, both ways."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from cubekit.errors import CorruptFileError

__all__ = ["Codec", "codec_from_filters", "crc32", "fletcher32"]

Bytes = npt.NDArray[np.uint8]

# numbers of the filters in the HDF5 registry
_DEFLATE, _SHUFFLE, _FLETCHER32 = 1, 2, 3
# rows and columns of 16-bit words that are summed at a time: float32 holds the sums
# exactly, as 128 * 65535 < 2**24, and for so few OpenBLAS starts no threads of its own
_ROWS, _COLUMNS = 64, 128
_ROW_OF_ONES = np.ones(_ROWS, np.float32)
_COLUMN_OF_ONES = np.ones(_COLUMNS, np.float32)
_PIECE = 128 * _ROWS * _COLUMNS  # words that are turned into floats at a time: 4 MiB
_LANES = np.zeros(64, np.uint8)  # as many as the widest register holds


@dataclasses.dataclass(frozen=True)
class Codec:
    """Filters of a variable, in the order in which a chunk passes them on writing.

    Parameters
    ----------
    itemsize : int
        Bytes a number.
    filters : tuple of int
        By their numbers in HDF5: 1 deflate, 2 shuffle, 3 fletcher32.
    level : int or "fast"
        How hard to deflate: a level of zlib, or the quickest there is.
    """

    itemsize: int
    filters: tuple[int, ...]
    level: int | str = "fast"

    def encode(self, chunk: npt.NDArray[Any]) -> memoryview:
        """Bytes to store for a whole chunk."""
        if self.filters == (_FLETCHER32,):  # copied once, with room for the checksum
            stored: Bytes = np.empty(chunk.nbytes + 4, np.uint8)
            plain = stored[:-4]
            plain.view(chunk.dtype).reshape(chunk.shape)[...] = chunk
            stored[-4:] = _checksum(plain)
            return stored.data
        data: Bytes = np.ascontiguousarray(chunk).reshape(-1).view(np.uint8)
        for number in self.filters:
            if number == _SHUFFLE:
                data = _shuffled(data, self.itemsize)
            elif number == _DEFLATE:
                data = np.frombuffer(_deflated(data, self.level), np.uint8)
            else:
                data = np.concatenate([data, _checksum(data)])
        return data.data

    def decode(
        self, stored: bytes | memoryview, nbytes: int, skipped: int = 0
    ) -> Bytes:
        """Bytes of a whole chunk from what is stored.

        Parameters
        ----------
        stored : bytes
            As they lie in the file.
        nbytes : int
            Bytes of the chunk.
        skipped : int
            Bit k is set where filter k was not applied to this chunk.

        Raises
        ------
        CorruptFileError
            If the bytes are not what was stored.
        """
        data: Bytes = np.frombuffer(stored, np.uint8)
        for k in reversed(range(len(self.filters))):
            if skipped >> k & 1:
                continue
            number = self.filters[k]
            if number == _FLETCHER32:
                data, checksum = data[:-4], data[-4:]
                if not np.array_equal(checksum, _checksum(data)):
                    raise CorruptFileError("its checksum does not match")
            elif number == _DEFLATE:
                more = 4 * self.filters[:k].count(_FLETCHER32)
                data = _inflated(data, nbytes + more)
            else:
                data = _unshuffled(data, self.itemsize)
        if len(data) != nbytes:
            raise CorruptFileError(f"it has {len(data)} bytes, not {nbytes}")
        return data


def codec_from_filters(itemsize: int, filters: list[tuple[int, Any]]) -> Codec | None:
    """Codec for filters as HDF5 lists them; None if one is not known here."""
    for number, options in filters:
        if number not in {_DEFLATE, _SHUFFLE, _FLETCHER32}:
            return None
        if number == _SHUFFLE and options and options[0] != itemsize:
            return None
    return Codec(itemsize, tuple(number for number, _ in filters))


def _shuffled(data: Bytes, itemsize: int) -> Bytes:
    """First bytes of all numbers, all second bytes, and so on; then what is left."""
    if itemsize == 1:
        return data
    whole = len(data) // itemsize * itemsize
    shuffled = np.empty_like(data)
    shuffled[whole:] = data[whole:]
    planes = shuffled[:whole].reshape(itemsize, -1)
    if itemsize in {2, 4, 8}:  # shifts are quicker than a transpose
        numbers = data[:whole].view(f"<u{itemsize}")
        for k in range(itemsize):
            np.copyto(planes[k], numbers >> (8 * k), casting="unsafe")
    else:
        planes[...] = data[:whole].reshape(-1, itemsize).T
    return shuffled


def _unshuffled(data: Bytes, itemsize: int) -> Bytes:
    if itemsize == 1:
        return data
    whole = len(data) // itemsize * itemsize
    planes = data[:whole].reshape(itemsize, -1)
    if itemsize in {2, 4, 8}:
        numbers: npt.NDArray[Any] = planes[0].astype(f"<u{itemsize}")
        for k in range(1, itemsize):
            numbers |= planes[k].astype(numbers.dtype) << numbers.dtype.type(8 * k)
        unshuffled = numbers.view(np.uint8)
    else:
        unshuffled = np.ascontiguousarray(planes.T).reshape(-1)
    if whole == len(data):
        return unshuffled
    return np.concatenate([unshuffled, data[whole:]])


def _deflated(data: Bytes, level: int | str) -> bytes:
    if level == "fast":
        from isal import isal_zlib  # noqa: PLC0415  heavy

        quick: bytes = isal_zlib.compress(data.data, 1)
        _clear_registers()
        return quick
    import zlib  # noqa: PLC0415  beside its quicker twin

    return zlib.compress(data.data, int(level))


def _inflated(data: Bytes, nbytes: int) -> Bytes:
    """Inflate to as many bytes as there must be, never more."""
    from isal import isal_zlib  # noqa: PLC0415  heavy

    stream = isal_zlib.decompressobj()
    try:
        whole = stream.decompress(data.data, nbytes + 1)
    except isal_zlib.error as error:  # type: ignore[misc]  # wrong in its stubs
        raise CorruptFileError(f"it cannot be inflated: {error}") from error
    finally:
        _clear_registers()
    if len(whole) > nbytes or not stream.eof:
        raise CorruptFileError(f"it does not inflate to {nbytes} bytes")
    return np.frombuffer(whole, np.uint8)


def crc32(data: bytes | memoryview) -> int:
    """CRC-32 as zlib has it, ten times as quick."""
    from isal import isal_zlib  # noqa: PLC0415  heavy

    checksum = int(isal_zlib.crc32(data))
    _clear_registers()
    return checksum


def _clear_registers() -> None:
    """Clear the wide halves of vector registers, which isal leaves in use.

    Until then code without AVX, such as the casts of NumPy, takes up to five times as
    long in this thread. Any loop of NumPy with AVX ends with clearing them.
    """
    np.maximum(_LANES, _LANES)


def _checksum(data: Bytes) -> Bytes:
    return np.frombuffer(fletcher32(data).to_bytes(4, "little"), np.uint8)


def fletcher32(data: Bytes) -> int:
    """Fletcher's checksum as HDF5 has it.

    Of n words w: the sums of w, and of (n - k) w, both modulo 65535 with 65535 for 0.
    HDF5 takes words as big-endian: 256 times the little-endian ones, modulo 65535.
    """
    words = data[: len(data) // 2 * 2].view("<u2")
    first = second = 0
    for start in range(0, len(words), _PIECE):
        part = words[start : start + _PIECE]
        groups = -(-len(part) // (_ROWS * _COLUMNS))
        padded = np.empty((groups, _ROWS, _COLUMNS), np.float32)  # what it lacks is 0
        padded.reshape(-1)[: len(part)] = part
        padded.reshape(-1)[len(part) :] = 0
        rows = (padded @ _COLUMN_OF_ONES).astype(np.float64).reshape(-1)
        columns = (_ROW_OF_ONES @ padded).astype(np.float64).sum(axis=0)
        total = int(rows.sum())
        first += total
        # here k = start + _COLUMNS * row + column
        second += (len(words) - start) * total
        second -= _COLUMNS * int(rows @ np.arange(float(len(rows))))
        second -= int(columns @ np.arange(float(_COLUMNS)))
    first, second = 256 * first, 256 * second
    if len(data) % 2:
        first += int(data[-1]) << 8
        second += first
    return _folded(second) << 16 | _folded(first)


def _folded(total: int) -> int:
    return (total - 1) % 65535 + 1 if total else 0
