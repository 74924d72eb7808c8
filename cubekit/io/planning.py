"""What a save will do before it does it: chunks, blocks, bytes and memory."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dask.array as da
from dask.base import tokenize

from cubekit import kernels
from cubekit.arguments import require_integer
from cubekit.io.layout import (
    CHUNK_BYTES,
    aligned_blocks,
    block_shape,
    chunk_shape,
    times_read,
)
from cubekit.io.lineage import file_arrays, held_bytes, largest_read
from cubekit.io.preparing import prepared
from cubekit.io.target import require_labelled
from cubekit.warned import warn_caller

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr

    from cubekit.io.preparing import Output, OutputVariable

__all__ = [
    "PlannedVariable",
    "SavePlan",
    "check_chunks",
    "parse_memory",
    "plan",
    "planned",
    "warn_if_read_often",
    "workers",
]

_LARGE = 2**20  # from here on a variable is written in chunks, a coordinate too
_MATTERS = 2**32  # bytes decoded from which on it is told
_BASE = 2**28  # what Python, its libraries and the graph need
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_UNITS |= {f"{k}i": 1024**n for n, k in enumerate("kmgt", 1)}


@dataclasses.dataclass(frozen=True, eq=False)
class PlannedVariable:
    """One variable, its chunks in the file, and the blocks it is computed in."""

    variable: OutputVariable
    chunk: tuple[int, ...] | None = None
    array: Any = None  # Dask array whose blocks hold whole chunks

    @property
    def in_chunks(self) -> bool:
        """Whether it is computed and written chunk by chunk."""
        return self.chunk is not None

    @property
    def nbytes(self) -> int:
        """Bytes of its values."""
        return int(self.variable.data.size) * int(self.variable.data.dtype.itemsize)

    @property
    def block_bytes(self) -> int:
        """Bytes of its largest block."""
        if self.array is None:
            return 0
        return int(math.prod(self.array.chunksize) * self.array.dtype.itemsize)

    def regions(self) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
        """Index and place of each block."""
        edges = [[0, *itertools.accumulate(sizes)] for sizes in self.array.chunks]
        for index in itertools.product(*(range(n) for n in self.array.numblocks)):
            place = (slice(e[k], e[k + 1]) for e, k in zip(edges, index, strict=True))
            yield index, tuple(place)


def planned(
    variable: OutputVariable,
    chunks: Mapping[str, int],
    by_content: bool = False,
    chunk_bytes: int = CHUNK_BYTES,
) -> PlannedVariable:
    """Plan for one variable; the chunks of some dims may be given.

    With `by_content` values in memory are named by what they are, not by where.
    """
    data = variable.data
    large = variable.is_data or data.size * data.dtype.itemsize > _LARGE
    if not large or not data.shape or not data.size or data.dtype.kind == "O":
        return PlannedVariable(variable)
    whole = _band_axis(variable)
    lazy = isinstance(data, da.Array)
    blocks = data.chunks if lazy else [(n,) for n in data.shape]
    default = chunk_shape(blocks, data.dtype.itemsize, whole, chunk_bytes)
    chunk = tuple(
        min(chunks.get(d, c), n)
        for d, c, n in zip(variable.dims, default, data.shape, strict=True)
    )
    if lazy:
        array = data.rechunk(aligned_blocks(blocks, chunk))
    else:
        size = block_shape(data.shape, data.dtype.itemsize, chunk, whole)
        identity = tokenize(data) if by_content else id(data)
        name = f"values-{tokenize(identity, variable.name, data.shape)}"
        array = da.from_array(data, size, name=name)
    return PlannedVariable(variable, chunk, array)


def _band_axis(variable: OutputVariable) -> int | None:
    """Axis with the name of a spectral dim, which chunks leave whole."""
    for names in (("wavelength", "wavenumber"), ("band", "bands")):
        for axis, dim in enumerate(variable.dims):
            if dim in names:
                return axis
    return None


def check_chunks(chunks: Mapping[str, int], output: Output) -> None:
    """Raise unless chunks are counts of dims that are there."""
    if not isinstance(chunks, Mapping):
        raise TypeError(
            f"save_cube: chunks={chunks!r} is a {type(chunks).__name__}. The size of a "
            f"chunk belongs to the name of its dim. Write "
            f"chunks={{{next(iter(output.sizes), 'y')!r}: 64}}."
        )
    for dim, size in chunks.items():
        if dim not in output.sizes:
            raise ValueError(
                f"save_cube: chunks={dict(chunks)!r} names {dim!r}. The cube has dims "
                f"{', '.join(map(repr, output.sizes))}. Use these."
            )
        require_integer("save_cube", f"chunks[{dim!r}]", size, 1)


def parse_memory(memory: str | int) -> int:
    """Bytes from a number or a text like "1GB" or "512 MiB"."""
    if isinstance(memory, int) and not isinstance(memory, bool) and memory > 0:
        return memory
    match = re.fullmatch(r"\s*([0-9.]+)\s*([kmgt]i?)?b?\s*", str(memory), re.I)
    try:
        count = float(match[1]) if match else 0
    except ValueError:
        count = 0
    if match is None or count <= 0:
        raise ValueError(
            f"save_cube: memory={memory!r} is no amount of memory. It is what the job "
            'may use in all. Use "1GB", "512MiB" or a number of bytes.'
        )
    return int(count * _UNITS[(match[2] or "").lower()])


def workers(plans: list[PlannedVariable], memory: int) -> int:
    """How many blocks may be under way so that memory is enough, one at least."""
    enough = (memory - _BASE - _held(plans)) // max(1, worker_bytes(plans))
    return max(1, min(kernels.thread_count(), enough))


def _held(plans: list[PlannedVariable]) -> int:
    """Memory for blocks that wait, however few are under way."""
    return held_bytes(p.array for p in plans if p.array is not None)


def worker_bytes(plans: list[PlannedVariable]) -> int:
    """Memory for one block of each variable: its input, itself, its chunks."""
    lazy = [p for p in plans if p.array is not None]
    blocks = [p.block_bytes for p in lazy]
    read = [largest_read(p.array) for p in lazy]
    return (3 * (sum(blocks) + max([*blocks, *read], default=0))) // 2


@dataclasses.dataclass(frozen=True)
class SavePlan:
    """What saving a cube will take; made by `plan`.

    Attributes
    ----------
    chunks : dict
        Shape of the chunks in the file, of each variable.
    blocks : int
        Pieces that are computed and written one by one.
    tasks : int
        Tasks of the Dask graph.
    nbytes : int
        Bytes of all values, before compression.
    workers : int
        Blocks under way at a time.
    peak : int
        Bytes of memory expected at most.
    times_read : float
        How often each chunk of the source is decoded: more than 1 where its chunks lie
        across the blocks.
    """

    chunks: dict[str, tuple[int, ...]]
    blocks: int
    tasks: int
    nbytes: int
    workers: int
    peak: int
    times_read: float = 1.0

    def __str__(self) -> str:
        """Return the plan in words."""
        size, peak = self.nbytes / 1e9, self.peak / 1e9
        lines = [
            f"{size:.3g} GB in {self.blocks} blocks, {self.tasks} tasks",
            f"{self.workers} at a time, about {peak:.2g} GB of memory",
            *(f"{name!r}: chunks {shape}" for name, shape in self.chunks.items()),
        ]
        if self.times_read > 1.5:
            lines.append(
                "the chunks of the source lie across the job: each is decoded about "
                f"{self.times_read:.0f} times. If the file is used more than once, "
                'rewrite it first: cubekit.rechunk(..., layout="balanced")'
            )
        return "\n".join(lines)


def plan(
    cube: xr.DataArray | xr.Dataset,
    *,
    chunks: Mapping[str, int] | None = None,
    memory: str | int = "1GB",
) -> SavePlan:
    """Chunks, blocks, tasks, bytes and memory of saving a cube as compressed netCDF.

    Parameters
    ----------
    cube : DataArray or Dataset
        As for `save_cube`.
    chunks : dict, optional
        As for `save_cube`.
    memory : str or int, default "1GB"
        As for `save_cube`.

    Returns
    -------
    SavePlan
        ``print`` it for a few lines of words.

    Raises
    ------
    TypeError, ValueError
        As `save_cube`, for what can be known beforehand.

    Notes
    -----
    The memory is an estimate: 256 MiB for Python and its libraries, and for each block
    under way one and a half times what is read for it, itself and its chunks. It holds
    for steps that look at the blocks they are given and at their neighbours; for
    `orthorectify`, whose places lie across the blocks, those that wait are added. What
    a step of your own needs is not known.

    **Missing values:** not looked at. **Chunks:** nothing is computed.
    **Cost:** that of building the graph.

    Examples
    --------
    >>> import cubekit as ck
    >>> import numpy as np
    >>> import xarray as xr
    >>> cube = xr.DataArray(np.zeros((8, 8, 4)), dims=("y", "x", "band"), name="cube")
    >>> ck.plan(cube).chunks
    {'cube': (8, 8, 4)}
    """
    require_labelled(cube, "plan")
    output = prepared(cube, "")
    check_chunks(chunks or {}, output)
    budget = parse_memory(memory)
    plans = [planned(v, chunks or {}) for v in output.variables]
    in_chunks = [p for p in plans if p.chunk is not None]
    count = workers(in_chunks, budget)
    blocks = sum(math.prod(p.array.numblocks) for p in in_chunks)
    graphs = {
        name: len(layer)
        for p in in_chunks
        for name, layer in p.array.__dask_graph__().layers.items()
    }
    return SavePlan(
        {p.variable.name: p.chunk for p in in_chunks if p.chunk is not None},
        blocks,
        blocks + sum(graphs.values()),
        sum(p.nbytes for p in plans),
        count,
        _BASE + _held(in_chunks) + count * worker_bytes(in_chunks),
        max([1.0, *(_times_read(p) for p in in_chunks)]),
    )


def warn_if_read_often(plans: list[PlannedVariable]) -> None:
    """Warn where chunks of the source lie across the blocks, and it matters."""
    factor = max([1.0, *(_times_read(p) for p in plans if p.in_chunks)])
    if factor > 2 and factor * sum(p.nbytes for p in plans) > _MATTERS:
        warn_caller(
            "save_cube: the chunks of the source lie across the blocks: each is "
            f"decoded about {factor:.0f} times. Larger blocks need fewer, "
            "open_cube(..., chunks=...). If the file is used more than once, rewrite "
            'it first: cubekit.rechunk(..., layout="balanced").',
        )


def _times_read(plan: PlannedVariable) -> float:
    """How often the chunks of the source are decoded for the blocks of a variable."""
    return max(
        [
            times_read(plan.array.chunks, chunk)
            for source in file_arrays(plan.array)
            if (chunk := getattr(source.reader, "chunk", None)) is not None
            and source.shape == plan.array.shape
        ],
        default=1.0,
    )
