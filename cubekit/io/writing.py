"""save_cube: a cube to a file, whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cubekit.io.container import NetcdfFormat
from cubekit.io.envi_writing import save_envi
from cubekit.io.job import Job, fingerprint
from cubekit.io.planning import (
    check_chunks,
    parse_memory,
    planned,
    warn_if_read_often,
    workers,
)
from cubekit.io.preparing import prepared
from cubekit.io.progress import progress_bar
from cubekit.io.staging import (
    check_room,
    forget_resume,
    publish,
    room_errors,
    staging,
    stopped_by_signal,
)
from cubekit.io.target import check_options, checked_target
from cubekit.io.zarr import ZarrFormat, save_region

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import xarray as xr

    from cubekit.io.formats import Format

__all__ = ["save_cube"]

_MOST_COMPRESSED = 20  # no cube is compressed to a smaller part


def save_cube(
    cube: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    *,
    chunks: Mapping[str, int] | None = None,
    compression: Literal["fast"] | int | None = "fast",
    overwrite: bool = False,
    resume: bool = False,
    region: Mapping[str, slice] | Literal["auto"] | None = None,
    interleave: Literal["bsq", "bil", "bip"] | None = None,
    memory: str | int = "1GB",
    progress: bool | Callable[[int, int], None] | None = None,
    verify: bool = True,
) -> Path:
    """Path of the file that a cube was written to: netCDF-4, Zarr or ENVI, by suffix.

    Parameters
    ----------
    cube : DataArray or Dataset
        NumPy or Dask. The variables of a Dataset are computed together: what they
        share, the reading of a file above all, is done once.
    path : str or Path
        The file: ``.nc`` is netCDF-4, ``.zarr`` a Zarr store (with the extra ``zarr``),
        ``.hdr``, ``.img``, ``.dat``, ``.bsq``, ``.bil`` and ``.bip`` are ENVI, a header
        and raw data beside it. Its folder must be there.
    chunks : dict, optional
        Shape of the chunks in the file, for some dims: ``{"y": 32}``. By default about
        1 MiB (not compressed: 2 MiB, Zarr: 4 MiB), with whole spectra, nesting in the
        chunks of the cube.
    compression : "fast", int or None, default "fast"
        For netCDF ``"fast"`` is the quickest deflate, 1 to 9 a level of zlib; for Zarr
        they are levels of zstd; both with shuffle. None stores values as they are, with
        a checksum for each chunk. Not for ENVI.
    overwrite : bool, default False
        Replace a file that is there. It stays as it is until the new one is complete.
    resume : bool, default False
        Keep what is finished in a folder beside the file, and go on from there if an
        earlier run with ``resume=True`` was stopped. It takes the room, and the time,
        of a second copy. Not for ENVI.
    region : dict or "auto", optional
        Write the cube into a part of a Zarr store that `save_cube` made, as in
        `xarray.Dataset.to_zarr`: slices by position for some dims,
        ``{"y": slice(20, 30)}``, or ``"auto"`` to find its coordinates in the store.
        Only chunks that it touches are written.
    interleave : {"bsq", "bil", "bip"}, optional
        Order of an ENVI file: band by band, line by line, or pixel by pixel. By default
        that of the suffix, or of the dims of the cube.
    memory : str or int, default "1GB"
        What the job may use in all. It limits how many blocks are under way at a time;
        one always is, and ``plan(cube, memory=...).peak`` says what that takes.
    progress : bool or callable, optional
        Show a progress bar, with bytes, blocks and the time that is left; None shows it
        where someone looks, in a terminal or a notebook. A callable is called with the
        bytes done and the total.
    verify : bool, default True
        Read the file back before it takes its place, and compare every byte stored.

    Returns
    -------
    Path

    Raises
    ------
    OutputExistsError
        If the file is there and `overwrite` is False.
    SameFileError
        If it is a file that the cube is read from.
    ResumeMismatchError
        If `resume` and the run to go on with was of another cube; it says what differs.
    DiskFullError
        If there is no room.
    WriteVerifyError
        If the file, read back, does not hold what was written.
    TypeError
        If something in the cube has no place in a file of that format; all of it is
        named.

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

    A region of a store is staged, checked and on the disk before the first chunk is
    replaced. If that is stopped half-way, the store is refused until the same region is
    saved again. netCDF files are never changed in place: HDF5 can lose all of a file if
    it is stopped while it changes a part.

    **Missing values:** NaN; in an ENVI file of integers there are none. **Chunks:** a
    Dask cube is computed block by block, each written as it is ready. The workers of a
    `dask.distributed.Client`, if there is one, read, compute and compress; this process
    writes, or for Zarr they do. A worker that is lost only costs the blocks it had.
    **Cost:** one computation of the cube, one reading of the new file.

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
    target = checked_target(cube, path, overwrite, region)
    kind = check_options(
        target,
        compression=compression,
        chunks=chunks,
        resume=resume,
        region=region,
        interleave=interleave,
    )
    output = prepared(cube, "save_cube")
    check_chunks(chunks or {}, output)
    budget = parse_memory(memory)
    label = target.name.encode("unicode_escape").decode()
    if region is not None:
        needed = sum(v.data.nbytes for v in output.variables if v.is_data)
        with (
            stopped_by_signal(),
            staging(target) as folder,
            progress_bar(progress, needed, label) as report,
            room_errors(target, needed),
        ):
            save_region(
                cube,
                output,
                target,
                folder=folder,
                region=region,
                memory=budget,
                report=report,
            )
        return target
    if kind == "ENVI":
        with stopped_by_signal():
            save_envi(
                cube,
                output,
                target,
                interleave=interleave,
                overwrite=overwrite,
                memory=budget,
                progress=progress,
                verify=verify,
            )
        return target
    form: Format = ZarrFormat() if kind == "Zarr" else NetcdfFormat()
    size = form.chunk_bytes(compression)
    plans = [
        planned(v, chunks or {}, by_content=resume, chunk_bytes=size)
        for v in output.variables
    ]
    warn_if_read_often(plans)
    needed = sum(p.nbytes for p in plans)
    check_room(target, needed if compression is None else needed // _MOST_COMPRESSED)
    with (
        stopped_by_signal(),
        staging(target) as folder,
        progress_bar(progress, needed, label) as report,
        room_errors(target, needed),
    ):
        staged = folder / f"cube{target.suffix}"
        count = workers(plans, budget)
        job = Job(output, plans, compression, verify, count, report, form)
        if resume:
            job.write_resumably(staged, target, fingerprint(cube, job))
        else:
            job.write(staged)
        publish(staged, target, overwrite)
        forget_resume(target)
    return target
