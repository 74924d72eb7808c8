"""Fitted models as netCDF files: plain arrays and attributes, never code."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from cubekit._version import __version__
from cubekit.errors import (
    CorruptFileError,
    ModelFormatError,
    OutputExistsError,
    SizeLimitError,
    UnsafeFileError,
)
from cubekit.io.history import with_line
from cubekit.preflight import is_hdf5, preflight

__all__ = ["load_model", "require_free", "save_model"]

_FORMAT = 1


def save_model(
    model: xr.Dataset, path: str | os.PathLike[str], kind: str, *, overwrite: bool
) -> Path:
    """Write the arrays of a model to a file that is there whole or not at all."""
    target = Path(path)
    require_free(target, kind, overwrite=overwrite)
    model = model.assign_attrs(
        cubekit_model=kind,
        cubekit_format=_FORMAT,
        cubekit_version=__version__,
        history=with_line(model.attrs.get("history"), f"{kind} saved"),
    )
    encoding = {name: {"_FillValue": None} for name in model.variables}
    handle, name = tempfile.mkstemp(
        prefix=f".{target.name}.", suffix=".partial", dir=target.parent
    )
    os.close(handle)
    partial = Path(name)
    try:
        model.to_netcdf(partial, engine="netcdf4", encoding=encoding)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.chmod(0o666 & ~_umask())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def require_free(target: Path, kind: str, *, overwrite: bool) -> None:
    """Raise if a model is there that is not to be replaced, or there is no folder."""
    if target.exists() and not overwrite:
        raise OutputExistsError(
            f"{kind}.save: {target} exists. A saved model is not replaced unasked. Use "
            "overwrite=True, or another name."
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{kind}.save: there is no folder {str(target.parent)!r}. A file needs "
            "one. Make it first: Path(...).mkdir(parents=True)."
        )


def load_model(path: str | os.PathLike[str], kind: str) -> xr.Dataset:
    """Read the arrays of a model, and see that they are one."""
    source = Path(path)
    if not source.exists():
        raise FileNotFoundError(
            f"{kind}.load: there is no file {source}. A model is a netCDF file that "
            f"{kind}.save wrote. Check the path."
        )
    if source.is_dir() or not is_hdf5(source):
        raise ModelFormatError(
            f"{kind}.load: {source} is no model: it is not netCDF-4. A model is a file "
            f"that {kind}.save wrote. Check the path."
        )
    try:
        preflight(source, f"Only files of {kind}.save can be loaded: save it again.")
        with xr.open_dataset(source, engine="netcdf4", decode_times=False) as file:
            attrs: dict[str, Any] = dict(file.attrs)
            _require_kind(source, attrs, kind)
            wrong = [v for v in file.data_vars if file[v].dtype.kind not in "fiub"]
            if wrong or not file.data_vars:
                raise ModelFormatError(
                    f"{kind}.load: {source} has {len(wrong)} variables that hold no "
                    "numbers. It was changed after it was saved. Save the model again."
                )
            return file.load()
    except (UnsafeFileError, SizeLimitError):
        raise
    except CorruptFileError as error:
        raise ModelFormatError(f"{kind}.load: {error}") from error
    except (OSError, RuntimeError, KeyError, IndexError, TypeError) as error:
        raise ModelFormatError(
            f"{kind}.load: {source} cannot be read as netCDF-4 ({error}). It is "
            "damaged or cut short. Save the model again."
        ) from error


def _require_kind(source: Path, attrs: dict[str, Any], kind: str) -> None:
    found = attrs.get("cubekit_model")
    if not isinstance(found, str) or found != kind:
        what = f"a model of {found}" if found else "no cubekit model"
        raise ModelFormatError(
            f"{kind}.load: {source} holds {what}. Only files of {kind}.save can be "
            "loaded. Check the path."
        )
    number = attrs.get("cubekit_format")
    if isinstance(number, np.ndarray) or number != _FORMAT:
        raise ModelFormatError(
            f"{kind}.load: {source} has format {number}, written by cubekit "
            f"{attrs.get('cubekit_version')}. This is cubekit {__version__}, which "
            f"reads format {_FORMAT}. Update cubekit."
        )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
