"""Plans that hold: chunks, blocks, memory; files rewritten for another use."""

from __future__ import annotations

import dask
import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from strategies import chunkings
from test_io_faults import child

import cubekit as ck
from cubekit.io import layout, planning
from cubekit.io.planning import parse_memory


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1GB", 10**9),
        ("512 MiB", 2**29),
        ("1.5k", 1500),
        ("2000", 2000),
        (77, 77),
        ("1tb", 10**12),
    ],
)
def test_memory_is_read_as_people_write_it(text, count):
    assert parse_memory(text) == count


@pytest.mark.parametrize("text", ["much", "", 0, -1, True, "1.2.3GB", "GB", None])
def test_what_is_no_memory_is_refused(make_cube, tmp_path, text):
    with pytest.raises(ValueError, match="is no amount of memory"):
        ck.save_cube(make_cube(), tmp_path / "out.nc", memory=text)
    assert not list(tmp_path.iterdir())


def test_plan_counts_blocks_tasks_and_bytes_and_computes_nothing(make_cube):
    cube = make_cube(shape=(6, 4, 40), chunks={"y": 2})
    with dask.config.set(scheduler=None, num_workers=3):
        found = ck.plan(ck.savgol_filter(cube, 5))
    assert found.blocks == 3
    assert 0 <= found.nbytes - 6 * 4 * 40 * 8 < 1000  # and its coordinates
    assert found.chunks == {"reflectance": (2, 4, 40)}
    assert found.workers == 3
    assert 3 <= found.tasks <= 3 * 4
    assert "3 blocks" in str(found)
    assert found.peak < 10**9


def test_less_memory_means_fewer_blocks_at_a_time(make_cube):
    cube = make_cube(shape=(64, 64, 400), chunks={"y": 16})
    with dask.config.set(num_workers=8):
        assert ck.plan(cube, memory="10GB").workers == 8
        assert ck.plan(cube, memory="300MB").workers < 8
        assert ck.plan(cube, memory="1MB").workers == 1


def test_plan_says_where_the_chunks_of_the_source_lie_across_the_job(tmp_path):
    cube = xr.DataArray(np.zeros((40, 50, 60), "f4"), dims=("wavelength", "y", "x"))
    planes = ck.save_cube(
        cube.assign_coords(wavelength=np.arange(40.0)),
        tmp_path / "planes.nc",
        chunks={"wavelength": 1, "y": 50, "x": 60},
    )
    opened = ck.open_cube(planes, chunks={"y": 5})
    found = ck.plan(ck.savgol_filter(opened, 5))
    assert found.times_read == 10
    assert "decoded about 10 times" in str(found)
    assert "rechunk" in str(found)
    assert ck.plan(ck.open_cube(planes)).times_read == 1


@pytest.mark.parametrize("kind", ["spectra", "images", "balanced"])
@pytest.mark.parametrize("dims", [("y", "x", "wavelength"), ("wavelength", "y", "x")])
def test_file_is_rewritten_for_another_use(make_cube, tmp_path, kind, dims):
    sizes = {"y": 70, "x": 90, "wavelength": 120}
    cube = make_cube(shape=tuple(sizes.values()), dims=dims).astype("f4")
    source = ck.save_cube(cube, tmp_path / "a.nc", chunks={"wavelength": 7, "y": 9})
    target = ck.rechunk(source, tmp_path / "b.nc", layout=kind, memory="20MB")
    assert np.array_equal(ck.open_cube(target).values, cube.values)
    with netCDF4.Dataset(target) as file:
        chunk = dict(zip(dims, file["reflectance"].chunking(), strict=True))
    if kind == "spectra":
        assert chunk["wavelength"] == 120
    elif kind == "images":
        assert chunk == {"wavelength": 1, "y": 70, "x": 90}
    else:
        assert 1 < chunk["wavelength"] < 120
    assert 4 * np.prod(list(chunk.values())) <= 2**20


def test_layout_that_is_unknown_is_refused(tmp_path):
    with pytest.raises(ValueError, match="layout='volumes' is unknown"):
        ck.rechunk(tmp_path / "a.nc", tmp_path / "b.nc", layout="volumes")


@given(data=st.data(), n=st.integers(1, 500), itemsize=st.sampled_from([1, 4, 8]))
def test_chunks_always_nest_in_the_blocks_they_are_written_in(data, n, itemsize):
    given_chunks = data.draw(chunkings(n))
    sizes = (given_chunks,) if isinstance(given_chunks, int) else given_chunks
    if isinstance(given_chunks, int):
        step = given_chunks
        sizes = tuple(min(step, n - k) for k in range(0, n, step))
    blocks = (sizes, (300, 300, 100), (285,))
    chunk = layout.chunk_shape(blocks, itemsize, 2)
    aligned = layout.aligned_blocks(blocks, chunk)
    assert [sum(b) for b in aligned] == [n, 700, 285]
    for b, c in zip(aligned, chunk, strict=True):
        assert all(size % c == 0 for size in b[:-1])
        assert min(b) > 0
    assert itemsize * np.prod(chunk) <= 2**20 or max(chunk[:2]) == 1


def test_chunk_larger_than_any_block_is_cut_along_bands_at_last():
    chunk = layout.chunk_shape([(1,), (1,), (10**7,)], 8, 2)
    assert 8 * np.prod(chunk) <= 2**20


def test_block_of_a_file_in_planes_is_cut_where_it_would_be_too_large():
    block = layout.block_shape((285, 4000, 4000), 4, (1, 4000, 4000), 0)
    assert block[0] == 285
    assert 4 * np.prod(block) <= 2**27


def test_blocks_that_are_read_count_where_results_are_small(make_cube, tmp_path):
    cube = make_cube(shape=(256, 256, 400)).astype("f4")
    path = ck.save_cube(cube, tmp_path / "a.nc", compression=None)
    whole = ck.open_cube(path, chunks={"y": 256, "x": 256})
    mean = whole.mean("wavelength")
    with dask.config.set(num_workers=8):
        found = ck.plan(mean, memory="1GB")
    assert found.workers < 8
    assert found.peak > 2**28 + found.workers * 256 * 256 * 400 * 4


def memory_of_a_job(tmp_path, gigabytes, memory):
    """Peak of a child that writes, smooths and writes again; what was planned."""
    script = f"""
    import dask.array as da
    n = int(({gigabytes} * 1e9 / 285 / 4) ** 0.5)
    base = np.random.default_rng(0).normal(size=(64, 64, 285)).astype("f4").round(2)
    data = da.zeros((n, n, 285), chunks=(64, 64, 285), dtype="f4").map_blocks(
        lambda b: base[: b.shape[0], : b.shape[1]] + b[:1, :1, :1], dtype="f4"
    )
    wavelength = np.linspace(380, 2500, 285)
    lazy = xr.DataArray(data, {{"wavelength": wavelength}}, ("y", "x", "wavelength"))
    path = ck.save_cube(lazy.rename("cube"), sys.argv[1], memory={memory!r})
    smooth = ck.savgol_filter(ck.open_cube(path), 11, 3)
    ck.save_cube(smooth, sys.argv[2], memory={memory!r})
    # not getrusage: its figure begins with that of the process that started this one
    status = dict(line.split(":") for line in open("/proc/self/status"))
    print(1024 * int(status["VmHWM"].split()[0]))
    print(ck.plan(smooth, memory={memory!r}).peak)
    """
    result = child(script, tmp_path / "a.nc", tmp_path / "b.nc", timeout=600)
    assert result.returncode == 0, result.stderr
    return map(int, result.stdout.split())


@pytest.mark.slow
def test_d6_job_larger_than_its_memory_stays_within_it(tmp_path):
    found, planned = memory_of_a_job(tmp_path, 1.2, "400MB")
    assert found < planned <= 400e6


def test_save_says_when_the_source_is_read_again_and_again(
    make_cube, tmp_path, monkeypatch
):
    cube = make_cube(shape=(40, 6, 30))
    path = ck.save_cube(cube, tmp_path / "a.nc", chunks={"y": 40, "wavelength": 1})
    across = ck.open_cube(path, chunks={"y": 4})
    ck.save_cube(across, tmp_path / "small.nc")  # nobody minds
    monkeypatch.setattr(planning, "_MATTERS", 1)
    with pytest.warns(UserWarning, match=r"decoded about 10 times.*rechunk"):
        ck.save_cube(across, tmp_path / "b.nc")


@pytest.mark.parametrize(
    ("compression", "room"), [("fast", 2**20), (4, 2**20), (None, 2**21)]
)
def test_chunks_that_are_not_compressed_are_twice_as_large(tmp_path, compression, room):
    cube = xr.DataArray(
        np.zeros((64, 64, 285), np.float32),
        {"wavelength": np.arange(285.0)},
        ("y", "x", "wavelength"),
        "radiance",
    )
    path = ck.save_cube(cube, tmp_path / "a.nc", compression=compression)
    with netCDF4.Dataset(path) as file:
        size = 4 * np.prod(file["radiance"].chunking())
    assert room / 2 < size <= room
