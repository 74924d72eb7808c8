"""save_cube: a cube to a file, whole or not at all."""

from __future__ import annotations

import itertools
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import dask
import dask.array as da
import numpy as np
import xarray as xr
from dask.base import compute_as_if_collection, tokenize
from dask.callbacks import Callback
from dask.highlevelgraph import HighLevelGraph

from cubekit._version import __version__
from cubekit.arguments import require_integer
from cubekit.errors import WriteVerifyError
from cubekit.io.layout import aligned_blocks, block_shape, chunk_shape
from cubekit.io.lineage import refuse_own_input
from cubekit.io.netcdf import LOCK
from cubekit.io.preparing import Output, OutputVariable, prepared
from cubekit.io.progress import progress_bar
from cubekit.io.staging import exists_error, publish, room_errors, staging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import netCDF4

__all__ = ["save_cube"]


def save_cube(
    cube: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    *,
    chunks: Mapping[str, int] | None = None,
    compression: Literal["fast"] | int | None = "fast",
    overwrite: bool = False,
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
    _check_chunks(chunks or {}, output)
    plans = [_Plan(v, chunks or {}) for v in output.variables]
    needed = sum(p.nbytes for p in plans)
    label = target.name.encode("unicode_escape").decode()
    with (
        staging(target) as folder,
        progress_bar(progress, needed, label) as report,
        room_errors(target, needed),
    ):
        staged = folder / "cube.nc"
        written = _write(staged, output, plans, compression, report)
        if verify:
            _verify(staged, plans, written)
        publish(staged, target, overwrite)
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


class _Plan:
    """One variable and its chunks in the file."""

    def __init__(self, variable: OutputVariable, chunks: Mapping[str, int]) -> None:
        self.variable = variable
        shape = variable.data.shape
        self.is_blockwise = variable.is_data and bool(shape)
        self.chunk: tuple[int, ...] | None = None
        self.nbytes = variable.data.size * variable.data.dtype.itemsize
        if not self.is_blockwise or not self.nbytes:
            self.is_blockwise = False
            return
        whole = _band_axis(variable)
        itemsize = variable.data.dtype.itemsize
        blocks: Any = (
            variable.data.chunks
            if isinstance(variable.data, da.Array)
            else [(n,) for n in shape]
        )
        planned = chunk_shape(blocks, itemsize, whole)
        self.chunk = tuple(
            min(chunks.get(d, c), max(1, n))
            for d, c, n in zip(variable.dims, planned, shape, strict=True)
        )
        if isinstance(variable.data, da.Array):
            self.array = variable.data.rechunk(aligned_blocks(blocks, self.chunk))
        else:
            size = block_shape(shape, itemsize, self.chunk, whole)
            token = f"values-{tokenize(id(variable.data), variable.name, shape)}"
            self.array = da.from_array(variable.data, size, name=token)


def _band_axis(variable: OutputVariable) -> int | None:
    """Axis with the name of a spectral dim, which chunks leave whole."""
    for names in (("wavelength", "wavenumber"), ("band", "bands")):
        for axis, dim in enumerate(variable.dims):
            if dim in names:
                return axis
    return None


def _check_chunks(chunks: Mapping[str, int], output: Output) -> None:
    for dim, size in chunks.items():
        if dim not in output.sizes:
            raise ValueError(
                f"save_cube: chunks={dict(chunks)!r} names {dim!r}. The cube has dims "
                f"{', '.join(map(repr, output.sizes))}. Use these."
            )
        require_integer("save_cube", f"chunks[{dim!r}]", size, 1)


def _write(
    path: Path,
    output: Output,
    plans: list[_Plan],
    compression: Literal["fast"] | int | None,
    report: Callable[[int], None],
) -> dict[str, _Sink]:
    """Write all variables; return what was written for each that came in blocks."""
    import netCDF4  # noqa: PLC0415  heavy

    with LOCK:
        file = netCDF4.Dataset(path, "w", clobber=True, format="NETCDF4")
    try:
        sinks = {}
        with LOCK:
            for name, size in output.sizes.items():
                file.createDimension(name, size)
            file.setncatts(output.attrs)
            for plan in plans:
                stored = _create(file, plan, compression)
                if plan.is_blockwise:
                    sinks[plan.variable.name] = _Sink(stored, report)
                elif plan.nbytes or not plan.variable.data.shape:
                    stored[...] = plan.variable.data
                    report(plan.nbytes)
        _compute(plans, sinks)
    finally:
        with LOCK:
            file.close()
    return sinks


def _create(
    file: netCDF4.Dataset, plan: _Plan, compression: Literal["fast"] | int | None
) -> netCDF4.Variable[Any]:
    variable = plan.variable
    text = variable.data.dtype.kind == "O"
    options: dict[str, Any] = {}
    if plan.chunk is not None:
        options = {"chunksizes": plan.chunk}
        if compression is None:
            options["fletcher32"] = True
        else:
            level = 1 if compression == "fast" else compression
            options |= {"compression": "zlib", "complevel": level, "shuffle": True}
    elif variable.data.shape and not text and plan.nbytes:
        options = {"chunksizes": variable.data.shape, "fletcher32": True}
    stored = file.createVariable(
        variable.name,
        str if text else variable.data.dtype,
        variable.dims,
        fill_value=variable.fill,
        **options,
    )
    stored.set_auto_maskandscale(False)
    stored.setncatts(variable.attrs)
    return stored


class _Sink:
    """Where the blocks of one variable go; keeps a checksum of each."""

    def __init__(
        self, stored: netCDF4.Variable[Any], report: Callable[[int], None]
    ) -> None:
        self.stored = stored
        self.report = report
        self.checksums: dict[tuple[int, ...], int] = {}

    def write(self, block: Any, region: tuple[slice, ...]) -> None:
        """Write a block; called by the threads of Dask."""
        block = np.ascontiguousarray(block)
        self.checksums[_start(region)] = zlib.crc32(block.data)
        with LOCK:
            self.stored[region] = block
        self.report(block.nbytes)


def _compute(plans: list[_Plan], sinks: Mapping[str, _Sink]) -> None:
    """Compute all blocks of all variables together, each written when it is ready."""
    graph: dict[Any, Any] = {}
    arrays = []
    for plan in plans:
        if not plan.is_blockwise:
            continue
        arrays.append(plan.array)
        sink = sinks[plan.variable.name]
        for index, region in _regions(plan.array):
            source = (plan.array.name, *index)
            graph[f"save {plan.variable.name}", *index] = (sink.write, source, region)
    if not graph:
        return
    layers = HighLevelGraph.from_collections(
        f"save-{tokenize(*[a.name for a in arrays])}",
        graph,
        dependencies=arrays,
    )
    running = _Running()
    scheduler = dask.config.get("scheduler", None)
    if scheduler not in {"synchronous", "single-threaded", "sync"}:
        scheduler = "threads"  # the file is open in this process only
    try:
        with running:
            compute_as_if_collection(da.Array, layers, list(graph), scheduler=scheduler)
    except Exception as error:
        places = sorted(filter(None, map(_place, running.keys)))
        if places:
            error.add_note(f"while computing {' or '.join(places)}")
        raise


def _place(key: Any) -> str:
    """Block that a task computes and saves; its name keeps those fused into it."""
    _, saves, variable = str(key[0]).rpartition("save ")
    return f"block {key[1:]} of {variable!r}" if saves else ""


class _Running(Callback):
    """Keys of the tasks under way."""

    def __init__(self) -> None:
        self.keys: set[Any] = set()
        super().__init__(  # type: ignore[no-untyped-call]
            pretask=self._begin, posttask=self._end
        )

    def _begin(self, key: Any, dsk: Any, state: Any) -> None:
        self.keys.add(key)

    def _end(self, key: Any, result: Any, dsk: Any, state: Any, worker: Any) -> None:
        self.keys.discard(key)


def _regions(
    array: da.Array,
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Index and place of each block."""
    edges = [[0, *itertools.accumulate(sizes)] for sizes in array.chunks]
    for index in itertools.product(*(range(n) for n in array.numblocks)):
        yield (
            index,
            tuple(slice(e[k], e[k + 1]) for e, k in zip(edges, index, strict=True)),
        )


def _start(region: tuple[slice, ...]) -> tuple[int, ...]:
    return tuple(s.start for s in region)


def _verify(path: Path, plans: list[_Plan], written: Mapping[str, _Sink]) -> None:
    """Read the file by a fresh handle, and compare it with what was written."""
    import netCDF4  # noqa: PLC0415  heavy

    for plan in plans:
        variable = plan.variable
        regions = [
            region for _, region in (_regions(plan.array) if plan.is_blockwise else [])
        ] or [(slice(None),) * len(variable.dims)]
        for region in regions:
            with LOCK, netCDF4.Dataset(path) as file:
                stored = file[variable.name]
                stored.set_auto_maskandscale(False)
                found = np.asarray(stored[region])
            if plan.is_blockwise:
                checksums = written[variable.name].checksums
                found = np.ascontiguousarray(found)
                same = checksums.get(_start(region)) == zlib.crc32(found.data)
            else:
                given = np.asarray(variable.data)
                same = found.shape == given.shape and np.array_equal(
                    found, given, equal_nan=given.dtype.kind == "f"
                )
            if not same:
                raise WriteVerifyError(
                    f"save_cube: {variable.name!r} read back at "
                    f"{_where(region, variable.data.shape)} differs from what was "
                    "written. The disk or the connection to it changed the data. "
                    "Nothing was replaced. Save again, or elsewhere."
                )


def _where(region: tuple[slice, ...], shape: tuple[int, ...]) -> str:
    ends = (s.indices(n) for s, n in zip(region, shape, strict=True))
    return "[" + ", ".join(f"{a}:{b}" for a, b, _ in ends) + "]"
