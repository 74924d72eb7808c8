"""How stored numbers become values: missing values, scale and offset."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Decoding", "decoding_from_attrs", "value_attrs"]

Array = npt.NDArray[Any]

# what unwritten samples of a netCDF variable hold, unless its _FillValue says otherwise
_UNWRITTEN = 9.969209968386869e36

_ENCODING_ATTRS = {
    "_FillValue",
    "missing_value",
    "scale_factor",
    "add_offset",
    "_Unsigned",
    "coordinates",
    "grid_mapping",
    "bounds",
}
_RANGE_ATTRS = {"valid_min", "valid_max", "valid_range", "actual_range"}


@dataclasses.dataclass(frozen=True, eq=False)
class Decoding:
    """From stored numbers to values; call it with a block.

    Parameters
    ----------
    stored : dtype
        Of the numbers in the file, signedness corrected.
    fills : tuple of numbers
        Stored numbers that stand for a missing value.
    scale, offset : float or array, optional
        ``value = stored * scale + offset``; arrays broadcast against the whole array.
    """

    stored: np.dtype[Any]
    fills: tuple[Any, ...] = ()
    scale: Any = None
    offset: Any = None
    boolean: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the values: floating where something can be missing or scaled."""
        if self.boolean:
            return np.dtype(bool)
        factors = [np.asarray(f) for f in (self.scale, self.offset) if f is not None]
        native = self.stored.newbyteorder("=")
        if factors:
            return np.result_type(native, np.float32, *(f.dtype for f in factors))
        if self.fills and native.kind in "iu":
            return np.result_type(native, np.float32)
        return native

    def __call__(self, raw: Array, key: tuple[slice, ...] = ()) -> Array:
        """Values of a block of stored numbers, which lies at `key` of the array."""
        if raw.dtype.kind == "i" and self.stored.kind == "u":
            raw = raw.view(f"{raw.dtype.byteorder}u{raw.dtype.itemsize}")
        if self.boolean:
            return np.asarray(raw != 0)
        values = raw.astype(self.dtype, copy=False)  # readers give away what they read
        if self.scale is not None:
            values = values * _part(self.scale, key, values.dtype)
        if self.offset is not None:
            values = values + _part(self.offset, key, values.dtype)
        for fill in self.fills:
            values[raw == fill] = np.nan
        return values


def _part(factor: Any, key: tuple[slice, ...], dtype: np.dtype[Any]) -> Array:
    """Scale or offset for a block, in the dtype of its values."""
    whole = np.asarray(factor, dtype)
    if whole.ndim:
        whole = whole[
            tuple(
                k if n > 1 else slice(None)
                for k, n in zip(key, whole.shape, strict=True)
            )
        ]
    return whole


def decoding_from_attrs(dtype: np.dtype[Any], attrs: Mapping[str, Any]) -> Decoding:
    """Decoding by the CF attributes of a netCDF variable.

    A fill value that the stored dtype cannot hold (NaN for integers) marks nothing.
    Floating samples that were never written are missing too.
    """
    if attrs.get("dtype") == "bool":
        return Decoding(dtype, boolean=True)
    if str(attrs.get("_Unsigned", "")).lower() == "true" and dtype.kind == "i":
        dtype = np.dtype(f"{dtype.byteorder}u{dtype.itemsize}")
    given = [attrs[k] for k in ("_FillValue", "missing_value") if k in attrs]
    if dtype.kind == "f" and "_FillValue" not in attrs:
        given.append(np.array(_UNWRITTEN, dtype) if dtype.itemsize > 2 else np.nan)
    return Decoding(
        dtype,
        tuple(_representable(dtype, given)),
        _factor(attrs.get("scale_factor"), 1),
        _factor(attrs.get("add_offset"), 0),
    )


def _representable(dtype: np.dtype[Any], given: Iterable[Any]) -> list[Any]:
    """Fill values that samples of a dtype can equal, each once."""
    found: list[Any] = []
    for fill in np.concatenate([np.ravel(g) for g in given] or [np.empty(0)]).tolist():
        if dtype.kind not in "iuf" or not isinstance(fill, int | float):
            continue
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            wrapped = (
                fill + 2**limits.bits if fill < 0 and dtype.kind == "u" else fill
            )  # _Unsigned with a signed fill
            if np.isnan(wrapped) or wrapped % 1:
                continue
            if not limits.min <= wrapped <= limits.max:
                continue
            value = dtype.type(int(wrapped))
        else:
            value = dtype.type(fill)
        if not np.isnan(value) and value not in found:  # NaN is missing as it is
            found.append(value)
    return found


def _factor(given: Any, neutral: float) -> Any:
    if given is None or np.size(given) != 1:
        return None
    value = np.asarray(given).ravel()[0]
    if value.dtype.kind not in "iuf" or (value == neutral and value.dtype.kind != "f"):
        return None
    return value


def value_attrs(attrs: Mapping[str, Any], decoding: Decoding) -> dict[str, Any]:
    """Attributes that are true of the values: what was decoded is left out."""
    drop = set(_ENCODING_ATTRS)
    if decoding.scale is not None or decoding.offset is not None:
        drop |= _RANGE_ATTRS
    if decoding.boolean:
        drop.add("dtype")
    return {k: v for k, v in attrs.items() if k not in drop}
