"""save_cube: a cube to a file, whole or not at all."""

from __future__ import annotations

import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import xarray as xr

from cubekit._version import __version__
from cubekit.errors import CorruptFileError, WriteVerifyError
from cubekit.io.codec import Codec
from cubekit.io.computing import ChunkSink, compute_chunks
from cubekit.io.container import Container, structure
from cubekit.io.direct import ChunkReader, chunk_readers
from cubekit.io.lineage import refuse_own_input
from cubekit.io.netcdf import LOCK
from cubekit.io.planning import (
    PlannedVariable,
    check_chunks,
    parse_memory,
    planned,
    workers,
)
from cubekit.io.preparing import prepared
from cubekit.io.progress import progress_bar
from cubekit.io.staging import (
    check_room,
    exists_error,
    publish,
    room_errors,
    staging,
    stopped_by_signal,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cubekit.io.preparing import Output

__all__ = ["save_cube"]

# bytes, and filters, of each way to store a chunk
_SHUFFLE_DEFLATE, _CHECKSUM = (2, 1), (3,)
_MOST_COMPRESSED = 20  # no cube is compressed to a smaller part
Checksums = dict[str, dict[tuple[int, ...], int]]


def save_cube(
    cube: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    *,
    chunks: Mapping[str, int] | None = None,
    compression: Literal["fast"] | int | None = "fast",
    overwrite: bool = False,
    memory: str | int = "1GB",
    progress: bool | Callable[[int, int], None] | None = None,
    verify: bool = True,
) -> Path:
    """Path of the netCDF-4 file that a cube was written to.

    Parameters
    ----------
    cube : DataArray or Dataset
        NumPy or Dask. The variables of a Dataset are computed together: what they
        share, the reading of a file above all, is done once.
    path : str or Path
        The file. Its folder must be there.
    chunks : dict, optional
        Shape of the chunks in the file, for some dims: ``{"y": 32}``. By default about
        1 MiB, with whole spectra, nesting in the chunks of the cube.
    compression : "fast", int or None, default "fast"
        ``"fast"`` is the quickest deflate, 1 to 9 a level of zlib; both with shuffle.
        None stores values as they are, with a checksum for each chunk.
    overwrite : bool, default False
        Replace a file that is there. It stays as it is until the new one is complete.
    memory : str or int, default "1GB"
        What the job may use in all. It limits how many blocks are under way at a time.
    progress : bool or callable, optional
        Show a progress bar; None shows it where someone looks, in a terminal or a
        notebook. A callable is called with the bytes done and the total.
    verify : bool, default True
        Read the file back and compare before it takes its place.

    Returns
    -------
    Path

    Raises
    ------
    OutputExistsError
        If the file is there and `overwrite` is False.
    SameFileError
        If it is a file that the cube is read from.
    DiskFullError
        If there is no room.
    WriteVerifyError
        If the file, read back, does not hold what was written.
    TypeError
        If something in the cube has no place in a netCDF file; all of it is named.

    Notes
    -----
    The file is written beside its place and moved there when it is complete, checked
    and on the disk. Whatever happens before, what was there stays there.

    Encoding is never taken over from the file a cube was read from: values are stored
    as they are, in their dtype (float16 as float32, booleans as netCDF readers expect
    them), ``_FillValue`` NaN for floating data. Attributes that netCDF has no type for
    (booleans, None, nested lists) are stored as JSON text, which `open_cube` turns
    back. A line is added to ``history``; its time is that of the environment variable
    ``SOURCE_DATE_EPOCH`` if set, for files that are the same to the byte.

    **Missing values:** NaN. **Chunks:** a Dask cube is computed block by block, each
    written as it is ready. **Cost:** one computation of the cube, one reading of the
    new file.

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
    ...     path.name, ck.open_cube(path).name
    ('spectrum.nc', 'radiance')
    """
    target = _checked_target(cube, path, compression, overwrite)
    output = prepared(cube, f"cubekit {__version__}: save_cube")
    check_chunks(chunks or {}, output)
    budget = parse_memory(memory)
    plans = [planned(v, chunks or {}) for v in output.variables]
    needed = sum(p.nbytes for p in plans)
    check_room(target, needed if compression is None else needed // _MOST_COMPRESSED)
    label = target.name.encode("unicode_escape").decode()
    with (
        stopped_by_signal(),
        staging(target) as folder,
        progress_bar(progress, needed, label) as report,
        room_errors(target, needed),
    ):
        _write(
            folder / "cube.nc",
            output,
            plans,
            _Options(compression, verify, workers(plans, budget), report),
        )
        publish(folder / "cube.nc", target, overwrite)
    return target


def _checked_target(
    cube: Any, path: str | os.PathLike[str], compression: Any, overwrite: bool
) -> Path:
    if not isinstance(cube, xr.DataArray | xr.Dataset):
        raise TypeError(
            f"save_cube: the cube is a {type(cube).__qualname__}. Coordinates and "
            "units are saved with it. Give a DataArray or a Dataset."
        )
    levels = range(1, 10)
    if compression not in ("fast", None) and (
        isinstance(compression, bool) or compression not in levels
    ):
        raise ValueError(
            f"save_cube: compression={compression!r} is unknown. It is how hard chunks "
            'are compressed. Use "fast", 1 to 9, or None.'
        )
    target = Path(os.path.abspath(path))  # noqa: PTH100  keeps a link a link
    target = target.resolve() if target.is_symlink() else target
    if target.suffix.lower() not in {".nc", ".nc4", ".netcdf"}:
        raise ValueError(
            f"save_cube: {target.name!r} has no suffix of netCDF. The suffix says what "
            f"to write. Use {target.stem + '.nc'!r}."
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"save_cube: there is no folder {str(target.parent)!r}. A file needs one. "
            "Make it first: Path(...).mkdir(parents=True)."
        )
    if target.is_dir():
        raise IsADirectoryError(
            f"save_cube: {target} is a folder. Give the path of a file."
        )
    refuse_own_input(cube, target)
    if os.path.lexists(target) and not overwrite:
        raise exists_error(target)
    return target


class _Options(NamedTuple):
    compression: Literal["fast"] | int | None
    verify: bool
    workers: int
    report: Callable[[int], None]


def _write(
    path: Path, output: Output, plans: list[PlannedVariable], options: _Options
) -> None:
    """Write the file, and read it back."""
    in_chunks = [p for p in plans if p.in_chunks]
    names = [p.variable.name for p in in_chunks]
    image = structure(path.parent, output, plans, options.compression)
    container = Container(path, image)
    checksums: Checksums = {name: {} for name in names}

    def store(name: str, index: tuple[int, ...], encoded: bytes, checksum: int) -> None:
        checksums[name][index] = checksum
        container.write_chunk(name, index, encoded)

    try:
        sinks = [
            ChunkSink(p, _codec(p, options.compression), store, options.report)
            for p in in_chunks
        ]
        compute_chunks(sinks, options.workers)
        for plan in plans:
            if not plan.in_chunks:
                options.report(plan.nbytes)
        container.finish()
        if options.verify:
            _verify_small(path, [p for p in plans if not p.in_chunks])
            _verify_chunks(path, checksums, options.workers)
        container.add_record(names)
        container.fsync()
    finally:
        container.close()


def _codec(plan: PlannedVariable, compression: Literal["fast"] | int | None) -> Codec:
    """How the chunks of a variable are encoded; `structure` declares the same."""
    itemsize = plan.variable.data.dtype.itemsize
    if compression is None:
        return Codec(itemsize, _CHECKSUM)
    return Codec(itemsize, _SHUFFLE_DEFLATE, compression)


def _verify_small(path: Path, plans: list[PlannedVariable]) -> None:
    """Compare what the netCDF library wrote, by a fresh handle."""
    import netCDF4  # noqa: PLC0415  heavy

    with LOCK, netCDF4.Dataset(path) as file:
        for plan in plans:
            stored = file[plan.variable.name]
            stored.set_auto_maskandscale(False)
            given = np.asarray(plan.variable.data)
            try:
                found = np.asarray(stored[...])
            except (OSError, RuntimeError) as error:
                raise _differs(plan.variable.name, "") from error
            same = found.shape == given.shape and np.array_equal(
                found, given, equal_nan=given.dtype.kind == "f"
            )
            if not same:
                raise _differs(plan.variable.name, "")


def _verify_chunks(path: Path, checksums: Checksums, workers: int) -> None:
    """Read and decode every chunk from the disk, as a reader would."""
    readers = dict(zip(checksums, chunk_readers(path, list(checksums)), strict=True))

    def differing(part: tuple[str, list[tuple[tuple[int, ...], int]]]) -> str | None:
        name, chunks = part
        reader = readers[name]
        if not isinstance(reader, ChunkReader):
            return "all of it"
        with path.open("rb", buffering=0) as file:
            for index, checksum in chunks:
                try:
                    found = reader.read_chunk(file, index)
                except CorruptFileError:
                    return f"chunk {index}"
                if (
                    zlib.crc32(
                        np.ascontiguousarray(found).reshape(-1).view(np.uint8).data
                    )
                    != checksum
                ):
                    return f"chunk {index}"
        return None

    parts = [
        (name, list(part))
        for name, known in checksums.items()
        for part in _batches(list(known.items()), 64)
    ]
    with ThreadPoolExecutor(workers) as pool:
        for part, wrong in zip(parts, pool.map(differing, parts), strict=True):
            if wrong:
                raise _differs(part[0], f" at {wrong}")


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[k : k + size] for k in range(0, len(items), size))


def _differs(name: str, where: str) -> WriteVerifyError:
    return WriteVerifyError(
        f"save_cube: {name!r} read back{where} differs from what was written. The disk "
        "or the connection to it changed the data. Nothing was replaced. Save again, "
        "or elsewhere."
    )
