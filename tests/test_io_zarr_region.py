"""A part of a Zarr store replaced, and stores written by the workers of a cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import cubekit as ck
from cubekit.io.files import Files


@pytest.fixture
def store(make_cube, tmp_path):
    """A store in chunks of 4 x 3 pixels, and the cube that it holds."""
    cube = make_cube(shape=(10, 9, 12), missing=0.02).assign_coords(
        when=("y", pd.date_range("2024-03-01", periods=10))
    )
    path = ck.save_cube(cube, tmp_path / "a.zarr", chunks={"y": 4, "x": 3})
    return path, cube


def patch_of(cube, where):
    patch = cube.isel(where) * 0 - 7.0
    patch[0, 0, 3] = np.nan
    return patch


def written(cube, where, patch):
    expected = cube.copy(deep=True)
    expected[where] = patch
    return expected


@pytest.mark.parametrize(
    "where",
    [
        {"y": slice(0, 4), "x": slice(3, 6)},
        {"y": slice(3, 9), "x": slice(2, 4)},
        {"y": slice(5, 6), "x": slice(8, 9), "wavelength": slice(2, 9)},
        {"y": slice(None), "x": slice(7, None)},
        {"x": slice(0, 9)},
    ],
)
@pytest.mark.parametrize("chunks", [None, {"y": 1, "x": 2, "wavelength": 5}])
def test_region_is_written_and_nothing_else(store, where, chunks):
    path, cube = store
    patch = patch_of(cube, where)
    given = patch if chunks is None else patch.chunk(chunks)
    assert ck.save_cube(given, path, region=where) == path
    back = ck.open_cube(path)
    expected = written(cube, where, patch)
    np.testing.assert_array_equal(back.values, expected.values)
    xr.testing.assert_equal(back.compute(), expected)
    assert "region y" in back.attrs["history"].splitlines()[-1]


def test_region_auto_finds_the_coordinates_in_any_order_of_dims(store):
    path, cube = store
    where = {"y": slice(3, 9), "x": slice(2, 4)}
    patch = patch_of(cube, where)
    ck.save_cube(patch.transpose("wavelength", "x", "y"), path, region="auto")
    expected = written(cube, where, patch)
    np.testing.assert_array_equal(ck.open_cube(path).values, expected.values)


def test_only_chunks_that_are_touched_are_new_files(store):
    path, cube = store
    before = {p.name: p.stat().st_ino for p in path.glob("reflectance/c.*")}
    where = {"y": slice(3, 5), "x": slice(0, 2)}
    ck.save_cube(patch_of(cube, where), path, region=where)
    after = {p.name: p.stat().st_ino for p in path.glob("reflectance/c.*")}
    assert {k for k in after if after[k] != before[k]} == {"c.0.0.0", "c.1.0.0"}
    assert list(path.parent.iterdir()) == [path]


def test_window_of_a_lazy_cube_is_corrected_from_itself(store):
    path, cube = store
    where = {"y": slice(2, 7), "x": slice(1, 5)}
    ck.save_cube(ck.open_cube(path).isel(where) + 1, path, region=where)
    expected = written(cube, where, cube.isel(where) + 1)
    np.testing.assert_array_equal(ck.open_cube(path).values, expected.values)


def test_variables_of_a_dataset_have_one_region(make_cube, tmp_path):
    both = xr.Dataset(
        {
            "a": make_cube(kind="uniform"),
            "b": make_cube(kind="uniform", seed=1).astype("f4"),
        }
    )
    path = ck.save_cube(both, tmp_path / "a.zarr", chunks={"y": 2})
    where = {"y": slice(1, 4)}
    ck.save_cube(both.isel(where) * 2, path, region=where)
    found = ck.open_cube(path, variable="b")
    assert np.array_equal(found[1:4].values, both.b[1:4].values * 2)
    assert np.array_equal(found[4:].values, both.b[4:].values)


def test_netcdf_refuses_regions_with_the_reason(make_cube, tmp_path):
    path = ck.save_cube(make_cube(), tmp_path / "a.nc")
    with pytest.raises(ValueError, match="HDF5 changes a file in place, and can lose"):
        ck.save_cube(make_cube()[:2], path, region={"y": slice(0, 2)})


@pytest.mark.parametrize(
    ("change", "region", "error", "match"),
    [
        (lambda c: c[:2], {"y": slice(0, 3)}, ValueError, "The cube has 2 there"),
        (lambda c: c[:2], {"y": slice(9, 11)}, ValueError, "The cube has 2 there"),
        (lambda c: c[:2], {"z": slice(0, 2)}, ValueError, "The store has dims 'y'"),
        (lambda c: c[:2], {"y": 0}, TypeError, "Give slices by position"),
        (lambda c: c[:2], {"y": slice(0, 4, 2)}, TypeError, "Give slices by position"),
        (lambda c: c[2:4], {"y": slice(0, 2)}, ck.AxisMismatchError, "'y' of the cube"),
        (lambda c: c[:2].rename("b"), "auto", ValueError, "It holds"),
        (lambda c: c[0], {"y": slice(0, 1)}, ValueError, r"expand_dims"),
        (lambda c: c[:2] * 1j, "auto", TypeError, "complex"),
        (lambda c: c[:2].assign_attrs(units="mW"), "auto", ValueError, "in 'mW'"),
        (lambda c: c[:2].drop_vars("y"), "auto", ValueError, "no coordinate 'y'"),
        (
            lambda c: c[:2].assign_coords(y=[7.0, 8.0]),
            "auto",
            ck.AxisMismatchError,
            "is not in it",
        ),
    ],
)
def test_what_does_not_fit_is_refused(store, change, region, error, match):
    path, cube = store
    with pytest.raises(error, match=match):
        ck.save_cube(change(cube), path, region=region)
    np.testing.assert_array_equal(ck.open_cube(path).values, cube.values)


def test_auto_needs_a_coordinate_where_a_dim_is_cut(make_cube, tmp_path):
    cube = make_cube().drop_vars("y")
    path = ck.save_cube(cube, tmp_path / "a.zarr")
    ck.save_cube(cube * 2, path, region="auto")  # the whole of it
    np.testing.assert_array_equal(ck.open_cube(path).values, cube.values * 2)
    with pytest.raises(ValueError, match="the store has no coordinate 'y'"):
        ck.save_cube(make_cube()[2:4], path, region="auto")


def test_floats_are_not_cut_to_integers(make_cube, tmp_path):
    path = ck.save_cube(make_cube().astype("i2"), tmp_path / "a.zarr")
    with pytest.raises(TypeError, match="int16, which cannot hold that"):
        ck.save_cube(make_cube()[:2], path, region="auto")


def test_store_that_is_not_there_or_of_others_is_refused(make_cube, tmp_path):
    with pytest.raises(FileNotFoundError, match="A region is a part of one"):
        ck.save_cube(make_cube(), tmp_path / "a.zarr", region="auto")
    make_cube().to_zarr(tmp_path / "b.zarr", zarr_format=3, consolidated=False)
    with pytest.raises(ValueError, match=r"to_zarr\(region=\.\.\.\)"):
        ck.save_cube(make_cube(), tmp_path / "b.zarr", region="auto")


@pytest.mark.parametrize("after", [1, 2, 3])
def test_region_that_was_stopped_is_known_and_can_be_saved_again(
    store, monkeypatch, after
):
    path, cube = store
    where = {"y": slice(3, 5), "x": slice(2, 4)}
    patch = patch_of(cube, where)
    plain, moved = Files.replace, []

    def stop(self, source, target):
        if target.parent == path / "reflectance":
            moved.append(target)
            if len(moved) == after:
                raise KeyboardInterrupt
        plain(self, source, target)

    with monkeypatch.context() as patched:
        patched.setattr(Files, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            ck.save_cube(patch, path, region=where)
    with pytest.raises(ck.IncompleteFileError, match="Save that region again"):
        ck.open_cube(path)
    with pytest.raises(ck.CorruptFileError, match="Save that again first"):
        ck.save_cube(cube[:2], path, region={"y": slice(0, 2)})
    ck.save_cube(patch, path, region=where)
    expected = written(cube, where, patch)
    np.testing.assert_array_equal(ck.open_cube(path).values, expected.values)


def test_failing_patch_changes_nothing(store):
    path, cube = store

    def fail(block):
        if block.size:
            raise ValueError("boom")
        return block

    lazy = cube[:5].chunk({"y": 2})
    with pytest.raises(ValueError, match="boom"):
        ck.save_cube(lazy.map_blocks(fail, template=lazy), path, region="auto")
    xr.testing.assert_equal(ck.open_cube(path).compute(), cube)


@pytest.mark.slow
def test_two_processes_lose_no_update_of_a_chunk_they_share(make_cube, tmp_path):
    cube = make_cube(shape=(16, 2, 5)) * 0
    path = ck.save_cube(cube, tmp_path / "a.zarr", chunks={"y": 16})
    ck.save_cube(cube, tmp_path / "same.nc")
    script = """
    import sys, cubekit as ck
    path, same, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
    cube = ck.open_cube(same).compute()
    for y in range(first, 16, 2):
        ck.save_cube(cube[y:y + 1] + 1, path, region={"y": slice(y, y + 1)})
    """
    code = textwrap.dedent(script)
    command = [sys.executable, "-c", code, str(path), str(tmp_path / "same.nc")]
    runs = [subprocess.Popen([*command, str(first)]) for first in (0, 1)]
    assert [run.wait(120) for run in runs] == [0, 0]
    assert (ck.open_cube(path).values == 1).all()


CLUSTER = """
import os, sys, signal
import dask.array as da, numpy as np, xarray as xr
import cubekit as ck
from distributed import Client, LocalCluster

def slow(block, path):
    import time
    time.sleep(0.05)
    return block

if __name__ == "__main__":
    source, target, act = sys.argv[1:]
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as c:
        with Client(c) as client:
            cube = ck.open_cube(source, chunks={"y": 4})
            result = ck.savgol_filter(cube, 5)
            seen = []
            def progress(done, total):
                seen.append(done)
                if act == "kill" and len(seen) == 3:
                    pids = client.run(os.getpid)
                    os.kill(min(pids.values()), signal.SIGKILL)
            ck.save_cube(result, target, chunks={"y": 4}, progress=progress)
            who = client.run(lambda: bool(sys.modules.get("numcodecs")))
            assert all(who.values()) or act == "kill", who
            assert len(seen) > 5
    expected = ck.savgol_filter(ck.open_cube(source).compute(), 5)
    np.testing.assert_array_equal(ck.open_cube(target).values, expected.values)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "source"), [("none", "nc"), ("none", "zarr"), ("kill", "zarr")]
)
def test_d1_workers_write_a_store_in_parallel_and_one_may_die(
    make_cube, tmp_path, act, source
):
    cube = make_cube(shape=(40, 6, 20))
    path = ck.save_cube(cube, tmp_path / f"in.{source}", chunks={"y": 4})
    script = tmp_path / "job.py"
    script.write_text(CLUSTER)
    done = subprocess.run(
        [sys.executable, script, path, tmp_path / "out.zarr", act],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, "DASK_DISTRIBUTED__WORKER__DAEMON": "True"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert not list((tmp_path / "out.zarr").rglob(".*"))


LOOP = """
import os, sys, signal
import numpy as np, xarray as xr, zarr, numcodecs.blosc, google_crc32c
import cubekit as ck
import cubekit.io.files as files, cubekit.io.staging as staging
import cubekit.io.zarr.container as container, cubekit.io.zarr.region as region_of
from cubekit.io.files import Files

path, act, kind = sys.argv[1:]
values = np.arange(240, dtype="f4").reshape(12, 20)
cube = xr.DataArray(values, {"wavelength": np.arange(20.0)}, ("y", "wavelength"), "c")
where = {"y": slice(3, 7)} if kind == "region" else None

class Faulty(Files):
    left = 0
    def _step(self):
        Faulty.left -= 1
        if Faulty.left == 0:
            if act == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(28, "No space left on device")

def step(name):
    plain = getattr(Files, name)
    def method(self, *args):
        if act == "kill" or name in {"write", "fsync"}:
            self._step()
        return plain(self, *args)
    return method

for name in "create write fsync replace exchange fsync_folder".split():
    setattr(Faulty, name, step(name))

def save(n):
    for module in (files, staging, container, region_of):
        module.FILES = Faulty()
    Faulty.left = n
    new = -cube if where is None else -cube.isel(where)
    how = {"overwrite": True} if where is None else {"region": where}
    ck.save_cube(new, path, progress=False, **how, **(
        {} if where else {"chunks": {"y": 4}}))

def state():
    try:
        found = ck.open_cube(path).values
    except ck.IncompleteFileError:
        return "known"
    if (found == values).all():
        return "old"
    new = values.copy()
    new[where["y"] if where else slice(None)] *= -1
    return "new" if (found == new).all() else "BAD"

states = []
for n in range(1, 200):
    for module in (files, staging, container, region_of):
        module.FILES = Files()
    ck.save_cube(cube, path, chunks={"y": 4}, overwrite=True, progress=False)
    process = os.fork()
    if process == 0:
        status = 0
        try:
            save(n)
        except ck.DiskFullError:
            status = 2
        except BaseException as error:
            print(repr(error), flush=True)
            status = 3
        os._exit(status)
    status = os.waitpid(process, 0)[1]
    states.append((status, state()))
    if status == 0:
        break
print(len(states), sorted(set(states)), states[-1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whole", "region"])
@pytest.mark.parametrize("act", ["kill", "full"])
def test_w1_w8_killed_or_full_at_any_operation_nothing_is_silently_wrong(
    tmp_path, kind, act
):
    done = subprocess.run(
        [sys.executable, "-c", LOOP, tmp_path / "a.zarr", act, kind],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    count, _, rest = done.stdout.strip().splitlines()[-1].partition(" ")
    found, _, last = rest.rpartition(" (")
    assert int(count) > 10, done.stdout
    assert last == "0, 'new')"
    assert "BAD" not in found, done.stdout
    assert "known" not in found or kind == "region"
    statuses = {"kill": f"({int(signal.SIGKILL)}, ", "full": "(512, "}
    assert found.count(statuses[act]) == found.count("(") - 1, done.stdout
    assert zarr.open_group(tmp_path / "a.zarr", mode="r").attrs["history"]
