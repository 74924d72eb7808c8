"""Structure and blocks of netCDF files, any version, with groups."""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.backends.locks import HDF5_LOCK, NETCDFC_LOCK, combine_locks

from cubekit.errors import CorruptFileError
from cubekit.io.attributes import decoded_attrs
from cubekit.io.decoding import Decoding, decoding_from_attrs, value_attrs
from cubekit.io.source import FileArray, Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import netCDF4

__all__ = ["LOCK", "NetcdfFile", "StoredVariable", "read_structure"]

# HDF5 and netCDF-C are not made for threads; xarray's readers take the same locks
LOCK = combine_locks([HDF5_LOCK, NETCDFC_LOCK])


@dataclasses.dataclass(frozen=True, eq=False)
class StoredVariable:
    """One variable of a file: what is known without reading its values."""

    path: str  # with its groups: "location/lat"
    dims: tuple[str, ...]
    array: FileArray
    attrs: dict[str, Any]
    stored_chunks: tuple[int, ...] | None

    @property
    def name(self) -> str:
        """Name without groups."""
        return self.path.rpartition("/")[2]

    @property
    def group(self) -> str:
        """Groups it lies in; empty for the root."""
        return self.path.rpartition("/")[0]

    @property
    def value_attrs(self) -> dict[str, Any]:
        """Attributes that are true of the decoded values."""
        return value_attrs(self.attrs, self.array.decoding)

    def load(self) -> xr.Variable:
        """Return the variable in memory, times decoded."""
        values = self.array[(slice(None),) * self.array.ndim]
        if values.dtype.kind == "O":
            values = np.asarray(values, dtype=np.str_)
        units = str(self.attrs.get("units", ""))
        if " since " in units and values.dtype.kind in "iuf":
            return _decoded_time(xr.Variable(self.dims, values, self.value_attrs))
        return xr.Variable(self.dims, values, self.value_attrs)


@dataclasses.dataclass(frozen=True)
class NetcdfFile:
    """Variables of a file by path, and the attributes of its root group."""

    source: Source
    variables: dict[str, StoredVariable]
    attrs: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class NetcdfReader:
    """Blocks read by the netCDF library: any layout and filter, one at a time."""

    variable: str
    shape: tuple[int, ...]

    def read(self, path: str, key: tuple[slice, ...]) -> npt.NDArray[Any]:
        """Stored numbers at `key`."""
        import netCDF4  # noqa: PLC0415  heavy

        with LOCK:
            try:
                with netCDF4.Dataset(path) as file:
                    variable = file[self.variable]
                    variable.set_auto_maskandscale(False)
                    return np.asarray(variable[key])
            except (OSError, RuntimeError) as error:
                raise CorruptFileError(
                    f"{path}: block {_range(key)} of {self.variable!r} cannot be read "
                    f"({error}). The file is damaged or cut short. Get it again."
                ) from error


def _range(key: tuple[slice, ...]) -> str:
    return "[" + ", ".join(f"{k.start}:{k.stop}" for k in key) + "]"


def read_structure(path: Path) -> NetcdfFile:
    """Read what a netCDF file holds, without its values."""
    import netCDF4  # noqa: PLC0415  heavy

    source = Source.of(path)
    with LOCK:
        try:
            with netCDF4.Dataset(source.path) as file:
                variables = {
                    v.path: v for v in _walk(file, source) if v.array.dtype != np.void
                }
                attrs = {k: file.getncattr(k) for k in file.ncattrs()}
        except (OSError, RuntimeError, UnicodeDecodeError, KeyError) as error:
            raise CorruptFileError(
                f"{path} ({source.identity[2]} bytes) cannot be opened as netCDF "
                f"({error}). The file is damaged or cut short. Get it again."
            ) from error
    return NetcdfFile(source, variables, decoded_attrs(attrs))


def _walk(group: netCDF4.Dataset, source: Source) -> Iterator[StoredVariable]:
    here = group.path.strip("/")
    for name, variable in group.variables.items():
        dtype = variable.dtype
        if dtype is str:
            dtype = np.dtype(object)
        if not isinstance(dtype, np.dtype) or dtype.kind == "V":
            continue
        attrs = {k: variable.getncattr(k) for k in variable.ncattrs()}
        path = f"{here}/{name}" if here else name
        chunks = variable.chunking()
        reader = NetcdfReader(path, tuple(int(n) for n in variable.shape))
        decoding = (
            Decoding(dtype) if dtype.kind in "OS" else decoding_from_attrs(dtype, attrs)
        )
        yield StoredVariable(
            path,
            tuple(variable.dimensions),
            FileArray(source, reader, decoding, path),
            decoded_attrs(attrs),
            tuple(chunks) if isinstance(chunks, list | tuple) else None,
        )
    for child in group.groups.values():
        yield from _walk(child, source)


def _decoded_time(variable: xr.Variable) -> xr.Variable:
    """Times as dates; as numbers where their units or calendar mean nothing."""
    with (
        LOCK,
        warnings.catch_warnings(),
    ):  # the filters are the process's: one at a time
        warnings.simplefilter("ignore")
        try:
            decoded: xr.Variable = xr.conventions.decode_cf_variable(
                "time", variable, decode_timedelta=False
            )
            decoded.load()
        except (ValueError, OverflowError, TypeError):
            return variable
    return xr.Variable(decoded.dims, decoded.values, decoded.attrs)
