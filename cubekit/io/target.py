"""Where a cube may be written: checked before anything is computed."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from cubekit.io.lineage import refuse_own_input
from cubekit.io.staging import exists_error
from cubekit.io.zarr import is_store

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FORMATS", "check_options", "checked_target", "require_labelled"]

# format of each suffix
FORMATS = {
    **dict.fromkeys((".nc", ".nc4", ".netcdf"), "netCDF"),
    ".zarr": "Zarr",
    **dict.fromkeys((".hdr", ".img", ".dat", ".bsq", ".bil", ".bip"), "ENVI"),
}

_LONGEST = 255 - len("..123456789012.partial")  # what file systems take


def require_labelled(cube: Any, function: str) -> None:
    """Raise unless a cube has coordinates and units to save."""
    if not isinstance(cube, xr.DataArray | xr.Dataset):
        raise TypeError(
            f"{function}: the cube is a {type(cube).__qualname__}. Coordinates and "
            "units are saved with it. Give a DataArray or a Dataset."
        )


def checked_target(
    cube: Any, path: str | os.PathLike[str], overwrite: bool, region: Any
) -> Path:
    """Return the place to write to, if it is free, or may be replaced."""
    require_labelled(cube, "save_cube")
    target = Path(os.path.abspath(path))  # noqa: PTH100  keeps a link a link
    target = target.resolve() if target.is_symlink() else target
    form = FORMATS.get(target.suffix.lower())
    if form is None:
        raise ValueError(
            f"save_cube: {target.name!r} has no suffix of netCDF, Zarr or ENVI. The "
            f"suffix says what to write. Use {target.stem + '.nc'!r}, or one of "
            f"{', '.join(FORMATS)}."
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"save_cube: there is no folder {str(target.parent)!r}. A file needs one. "
            "Make it first: Path(...).mkdir(parents=True)."
        )
    if len(os.fsencode(target.name)) > _LONGEST:
        raise OSError(
            errno.ENAMETOOLONG,
            f"save_cube: the name of {target} is longer than {_LONGEST} bytes. A "
            "folder of a longer name is made beside it meanwhile. Give a shorter name",
        )
    if target.exists() and not target.is_file() and not target.is_dir():
        raise OSError(
            errno.EINVAL,
            f"save_cube: {target} is no file but a pipe or a device. Nothing was "
            "written. Give the path of a file",
        )
    if target.is_dir() and not (form == "Zarr" and _may_replace(target)):
        raise IsADirectoryError(
            f"save_cube: {target} is a folder"
            f"{' that is no Zarr store' * (form == 'Zarr')}. Nothing was written. Give "
            "another path."
        )
    if form == "Zarr" and target.is_file():
        raise FileExistsError(
            f"save_cube: {target} is a file. A Zarr store is a folder. Give another "
            "path, or remove the file."
        )
    if region is None:
        refuse_own_input(cube, target)
        if os.path.lexists(target) and not overwrite:
            raise exists_error(target)
    return target


def _may_replace(folder: Path) -> bool:
    return is_store(folder) or not any(folder.iterdir())


def check_options(
    target: Path,
    *,
    compression: Any,
    chunks: Mapping[str, int] | None,
    resume: bool,
    region: Any,
    interleave: Any,
) -> str:
    """Return the format of a target, or say which option it does not have."""
    levels = range(1, 10)
    if compression not in ("fast", None) and (
        isinstance(compression, bool) or compression not in levels
    ):
        raise ValueError(
            f"save_cube: compression={compression!r} is unknown. It is how hard chunks "
            'are compressed. Use "fast", 1 to 9, or None.'
        )
    form = FORMATS[target.suffix.lower()]
    if region is not None and form == "netCDF":
        raise ValueError(
            f"save_cube: region={region!r}, but {target.name} is netCDF. HDF5 changes "
            "a file in place, and can lose all of it if it is stopped meanwhile. Save "
            "the whole cube, or keep it as Zarr, which has a file for each chunk: "
            f"save_cube(cube, {target.stem + '.zarr'!r})."
        )
    if interleave is not None and form != "ENVI":
        raise ValueError(
            f"save_cube: interleave={interleave!r}, but {target.name} is {form}. It is "
            "the order of ENVI files. Leave it out, or transpose the cube."
        )
    if form == "ENVI":
        for name, given in (
            ("resume", resume or None),
            ("region", region),
            ("chunks", chunks or None),
            ("compression", None if compression == "fast" else compression),
        ):
            if given is not None:
                raise ValueError(
                    f"save_cube: {name}={given!r}, but {target.name} is ENVI, raw "
                    f"numbers in one piece. netCDF and Zarr have that option. Use "
                    f"{target.stem + '.nc'!r}, or leave {name} out."
                )
    return form
