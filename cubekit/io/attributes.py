"""Attributes as netCDF can hold them, and back, without loss."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["decoded_attrs", "encoded_attrs", "is_name"]

_TAG = "cubekit-json:"
# names that netCDF gives a meaning, so that a value stored there would change the data
_RESERVED = {
    *("_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned"),
    *("coordinates", "DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME"),
    *("_Netcdf4Dimid", "_Netcdf4Coordinates", "_NCProperties"),
}


def is_name(name: Any) -> bool:
    """Whether netCDF takes a name, and as it is.

    It has no slash or control, nor a sign at the beginning, and letters with accents
    are one character each: netCDF would make them so, and find the name no more.
    """
    return (
        isinstance(name, str)
        and unicodedata.is_normalized("NFC", name)
        and bool(re.match(r"[A-Za-z0-9_]|[^\x00-\x7f]", name))
        and not re.search(r"[\x00-\x1f\x7f/]| $", name)
    )


def encoded_attrs(
    attrs: Mapping[Any, Any], owner: str, problems: list[str]
) -> dict[str, Any]:
    """Attributes to store; what cannot be stored is added to `problems`.

    Text, numbers and arrays of them are stored as they are; what netCDF has no word
    for but JSON has (booleans, None, nested lists, text with NUL) as tagged JSON text.
    """
    stored: dict[str, Any] = {}
    for key, value in attrs.items():
        if not is_name(key):
            problems.append(
                f"{owner}: attribute name {key!r} (use text without '/' and controls, "
                "from a letter on)"
            )
        elif key in _RESERVED:
            problems.append(
                f"{owner}: attribute {key!r} would change how the values are read "
                f"(drop it: del cube.attrs[{key!r}])"
            )
        else:
            try:
                stored[key] = _encoded(value)
            except (TypeError, ValueError, OverflowError):
                problems.append(
                    f"{owner}: attribute {key!r} is a {type(value).__name__} (use "
                    "text, a number, or a list of them)"
                )
    return stored


def _encoded(value: Any) -> Any:  # noqa: PLR0911  one return a type
    if isinstance(value, str):
        value.encode()  # lone surrogates are no text
        return value if _is_plain(value) else _tagged(value)
    if isinstance(value, np.generic | np.ndarray):
        array = np.asarray(value)
        if array.dtype.kind == "b":
            return _tagged(array.tolist())
        if array.dtype.kind == "U":
            return _encoded(array.tolist())
        if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
            raise TypeError
        if array.ndim > 1 or (array.ndim == 1 and array.size < 2):
            return _tagged(array.tolist())
        return np.float32(array) if array.dtype == np.float16 else array[()]
    if isinstance(value, bool) or value is None or isinstance(value, dict):
        return _tagged(value)
    if isinstance(value, int):
        return np.int64(value) if -(2**63) <= value < 2**63 else _tagged(value)
    if isinstance(value, float):
        return np.float64(value)
    if isinstance(value, list | tuple):
        kinds = {type(item) for item in value}
        if len(value) > 1 and kinds <= {int, float} and _fits(value):
            return np.array(value)
        if len(value) > 1 and all(isinstance(v, str) and _is_plain(v) for v in value):
            return list(value)
        return _tagged(list(value))
    raise TypeError


def _is_plain(text: str) -> bool:
    return bool(text) and "\0" not in text and not text.startswith(_TAG)


def _fits(value: list[Any] | tuple[Any, ...]) -> bool:
    return all(isinstance(v, float) or -(2**63) <= v < 2**63 for v in value)


def _tagged(value: Any) -> str:
    def plain(item: Any) -> Any:
        if isinstance(item, np.generic):
            return plain(item.item())
        if isinstance(item, np.ndarray):
            return plain(item.tolist())
        if isinstance(item, list | tuple):
            return [plain(i) for i in item]
        if isinstance(item, dict):
            if not all(isinstance(k, str) for k in item):
                raise TypeError
            return {k: plain(v) for k, v in item.items()}
        return item

    return _TAG + json.dumps(plain(value))


def decoded_attrs(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as they were before `encoded_attrs`."""
    return {key: _decoded(value) for key, value in attrs.items()}


def _decoded(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_TAG):
        try:
            return json.loads(value[len(_TAG) :])
        except ValueError:
            return value
    return value
