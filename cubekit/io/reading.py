"""open_cube: a lazy cube from a file of any known format."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr
from dask.array.core import normalize_chunks

from cubekit.axis import Axis
from cubekit.errors import CoordinateError, CorruptFileError
from cubekit.io.cfcube import as_coordinate, choose_variable, cube_coords
from cubekit.io.direct import direct_readers
from cubekit.io.envi import read_envi
from cubekit.io.envi_files import find_envi
from cubekit.io.geotiff import is_tiff, read_geotiff
from cubekit.io.layout import block_shape
from cubekit.io.netcdf import NetcdfReader, read_structure
from cubekit.io.record import check_finished, check_record
from cubekit.io.zarr import is_store, read_store
from cubekit.preflight import HDF5_START, preflight

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from cubekit.io.netcdf import NetcdfFile, StoredVariable
    from cubekit.io.source import FileArray, FileCube

__all__ = ["history_of", "open_cube"]

_NETCDF3 = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
_SPECTRAL_DIMS = {"wavelength", "wavelengths", "band", "bands", "wavenumber"}


def open_cube(
    path: str | os.PathLike[str],
    *,
    variable: str | None = None,
    chunks: Any = "auto",
    trust: bool = False,
) -> xr.DataArray:
    """Lazy cube from a file: netCDF, Zarr, ENVI or GeoTIFF.

    Parameters
    ----------
    path : str or Path
        A netCDF file of any version, with or without groups (EMIT), a Zarr store (a
        folder, of version 2 or 3; with the extra ``zarr``), an ENVI cube (its header
        or its data file), or a GeoTIFF (EnMAP; with the extra ``geo``).
    variable : str, optional
        Name of the data variable, with its groups where it has any
        (``"group/name"``). If not given, the only one that can be meant.
    chunks : "auto", dict, int or tuple, default "auto"
        Chunks of the Dask array. ``"auto"`` follows the chunks of the file, joined to
        blocks of about 16 MiB, with the band axis whole. A dict changes some dims of
        that: ``{"y": 64}``; other values are as in `dask.array.from_array`.
    trust : bool, default False
        Do without the look at netCDF-4 files and Zarr stores that refuses those that
        refer to other files, need plugins, or declare far more than they hold; and,
        for Zarr, those of `save_cube` whose metadata were changed since.

    Returns
    -------
    DataArray, dims in the order of the file
        Missing values are NaN, scale and offset applied: integers become float32, or
        float64 where float32 could not hold them. The spectral coordinate is called
        ``wavelength`` where the file has wavelengths, ``fwhm`` and boolean
        ``good_band`` lie on its dim, two-dimensional places beside it.

    Raises
    ------
    TypeError
        If the path is none.
    FileNotFoundError
        If there is no such file, or an ENVI header without data.
    CorruptFileError
        If the file is damaged, cut short, or of no known format.
    IncompleteFileError
        If the writing of the file by `save_cube` was never finished.
    UnsafeFileError, SizeLimitError
        If the file is not to be trusted.
    AmbiguousCubeError
        If several variables could be meant; it lists them.
    ValueError
        If the variable is not in the file.

    Notes
    -----
    Coordinates are taken as they are: one that jumps back where two detectors meet is
    refused when it is first used. Coordinates that were never written (zero throughout)
    are left out. ENVI cubes without ``map info`` have no ``y`` and ``x``; units of
    wavelengths that a header does not state are taken as nm if the first centre lies
    between 350 and 700 and the last not beyond 2600. A list of bad bands (``bbl``) of
    1 is good.

    **Missing values:** what the file declares (``_FillValue``, ``missing_value``,
    ``data ignore value``), and floating samples of netCDF never written.
    **Chunks:** lazy; only coordinates are read. Each block opens the file, checks that
    it is still the one that was opened, and closes it.
    **Cost:** reading structure and coordinates.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> spectrum = xr.DataArray(
    ...     [1.0, 2.0, 4.0],
    ...     coords={"wavelength": [400.0, 410.0, 425.0]},
    ...     dims="wavelength",
    ...     name="radiance",
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = ck.save_cube(spectrum, Path(folder) / "spectrum.nc")
    ...     ck.open_cube(path).compute().values
    array([1., 2., 4.])
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"open_cube: the path is of type {type(path).__qualname__}. A cube is "
            'opened from a file. Give its path: open_cube("scene.nc").'
        )
    path = _existing(path, "open_cube")
    if path.is_dir():
        return _from_folder(path, variable, chunks, trust)
    start = _start(path)
    if start == HDF5_START:
        check_record(path)  # before HDF5 sees it
        if not trust:
            preflight(path)
    if _is_netcdf(start):
        return _from_netcdf(path, variable, chunks)
    envi = find_envi(path)
    if envi is not None:
        return _from_single(envi[0], read_envi(*envi), variable, chunks)
    if is_tiff(start):
        return _from_single(path, read_geotiff(path), variable, chunks)
    size = path.stat().st_size
    raise CorruptFileError(
        f"open_cube: {path} is of no known format: {size} bytes, beginning with "
        f"{start!r}. Known are netCDF (any version), Zarr, ENVI (with its .hdr "
        "beside it) and GeoTIFF. If it should be one, get it again; else read it with "
        "a package that knows it, and make an xarray.DataArray of the values."
    )


def _from_netcdf(path: Path, variable: str | None, chunks: Any) -> xr.DataArray:
    file = read_structure(path)
    check_finished(path, file.attrs)
    return _from_variables(path, file, variable, chunks)


def history_of(path: str | os.PathLike[str]) -> str:
    """History of a netCDF file or a Zarr store; empty if it has none."""
    source = _existing(path, "history")
    if source.is_dir():
        if not is_store(source):
            raise CorruptFileError(
                f"{source} is a folder that is no Zarr store. Its history was to be "
                "read. Give a file of save_cube."
            )
        file = read_store(source)
    elif not _is_netcdf(_start(source)) and find_envi(source) is not None:
        raise ValueError(
            f"history: {source} is ENVI, which has no place for one. netCDF and Zarr "
            "keep it. Give a file of these."
        )
    else:
        check_record(source)
        preflight(source)
        file = read_structure(source)
    return str(file.attrs.get("history", ""))


def _start(path: Path) -> bytes:
    """First bytes of a file, which tell its format."""
    with path.open("rb") as file:
        return file.read(8)


def _is_netcdf(start: bytes) -> bool:
    return start[:4] in _NETCDF3 or start == HDF5_START


def _existing(path: str | os.PathLike[str], action: str) -> Path:
    found = Path(path)
    if not found.exists():
        raise FileNotFoundError(
            f"{action}: there is no file {str(path)!r} (in {Path.cwd()}). Check the "
            "path."
        )
    return found


def _from_folder(
    path: Path, variable: str | None, chunks: Any, trust: bool
) -> xr.DataArray:
    if not is_store(path):
        raise CorruptFileError(
            f"open_cube: {path} is a folder without the metadata of a Zarr store "
            "(zarr.json). It is none, or it is damaged. Give the path of a file or of "
            "a store."
        )
    return _from_variables(path, read_store(path, trust), variable, chunks)


def _from_variables(
    path: Path, file: NetcdfFile, variable: str | None, chunks: Any
) -> xr.DataArray:
    """Cube among the variables of a netCDF file, or of what is like one."""
    chosen = choose_variable(path, file, variable)
    renamed, found = cube_coords(file, chosen)

    def dims_of(dims: tuple[Any, ...]) -> tuple[str, ...]:
        return tuple(renamed.get(d, d) for d in dims)

    coords: dict[Hashable, xr.Variable] = {}
    for name, stored in found.items():
        if len(stored.dims) < 2:
            loaded = stored.load()
        else:
            blocks = _chunks(stored.array, stored.dims, stored.stored_chunks, "auto")
            loaded = xr.Variable(
                stored.dims, _fastest(stored).to_dask(blocks), stored.value_attrs
            )
        loaded.dims = dims_of(loaded.dims)
        coords[name] = as_coordinate(name, loaded)
    attrs = chosen.value_attrs
    if "history" in file.attrs:
        attrs["history"] = file.attrs["history"]
    return _cube(
        _fastest(chosen),
        dims_of(chosen.dims),
        coords,
        chosen.name,
        attrs,
        chosen.stored_chunks,
        chunks,
    )


def _fastest(variable: StoredVariable) -> FileArray:
    """Array of a variable, read from its file without HDF5 where that can be."""
    if isinstance(variable.array.reader, NetcdfReader):
        path = Path(variable.array.source.path)
        variable = variable.read_by(direct_readers(path, [variable.path])[0])
    return variable.array


def _from_single(
    path: Path, cube: FileCube, variable: str | None, chunks: Any
) -> xr.DataArray:
    if variable not in {None, cube.name}:
        raise ValueError(
            f"open_cube: variable={variable!r} is not in {path}. A file of this format "
            "holds one cube. Leave variable out."
        )
    return _cube(
        cube.array,
        cube.dims,
        cube.coords,
        cube.name,
        cube.attrs,
        cube.stored_chunks,
        chunks,
    )


def _cube(  # noqa: PLR0917  the parts of a cube
    array: FileArray,
    dims: tuple[str, ...],
    coords: Mapping[Any, xr.Variable],
    name: str,
    attrs: dict[str, Any],
    stored: tuple[int, ...] | None,
    chunks: Any,
) -> xr.DataArray:
    cube = xr.DataArray(
        array.to_dask(_chunks(array, dims, stored, "auto")), coords, dims, name, attrs
    )
    whole = _band_axis(cube)
    blocks = _chunks(array, dims, stored, chunks, whole)
    if blocks != cube.chunks:
        cube = cube.copy(data=array.to_dask(blocks))
    sizes = cube.variable.chunksizes
    for key, place in cube.coords.items():  # as lazy as the cube, in the same chunks
        if place.chunks is not None:
            same = {d: sizes[d] for d in place.dims if d in sizes}
            cube = cube.assign_coords({key: place.variable.chunk(same)})
    # without chunks a file is read in runs along its last axis
    runs = stored or [1] * (array.ndim - 1) + [*array.shape[-1:]]
    cube.encoding = {
        "source": array.source.path,
        "preferred_chunks": dict(zip(dims, runs, strict=True)),
    }
    return cube


def _band_axis(cube: xr.DataArray) -> int | None:
    """Axis of the bands, if it can be told."""
    try:
        return int(cube.get_axis_num(Axis.from_cube(cube).dim))
    except CoordinateError:  # jumping back, or not there: not needed for chunks
        found = [k for k, d in enumerate(cube.dims) if d in _SPECTRAL_DIMS]
        return found[0] if len(found) == 1 else None


def _chunks(
    array: FileArray,
    dims: tuple[str, ...],
    stored: tuple[int, ...] | None,
    chunks: Any,
    whole: int | None = None,
) -> tuple[tuple[int, ...], ...]:
    blocks: Any = block_shape(array.shape, array.dtype.itemsize, stored, whole)
    if isinstance(chunks, dict):
        unknown = [d for d in chunks if d not in dims]
        if unknown:
            raise ValueError(
                f"open_cube: chunks={chunks!r} names {unknown[0]!r}. The cube has dims "
                f"{', '.join(map(repr, dims))}. Use these."
            )
        blocks = tuple(chunks.get(d, b) for d, b in zip(dims, blocks, strict=True))
    elif chunks != "auto":
        blocks = chunks
    try:
        cut: tuple[tuple[int, ...], ...] = normalize_chunks(
            blocks, array.shape, dtype=array.dtype
        )
    except (TypeError, ValueError, ZeroDivisionError) as error:
        sizes = dict(zip(dims, array.shape, strict=True))
        raise ValueError(
            f"open_cube: chunks={chunks!r} does not cut {sizes}. Chunks have a size "
            f'along each dim. Give some: chunks={{{dims[0]!r}: 64}}, or chunks="auto".'
        ) from error
    return cut
