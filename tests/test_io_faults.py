"""Kills, full disks and failing writes at every step of a save.

Rows of the acceptance programme are named by their ids. Kills and faults are injected
through the layer of file operations, in child processes; where there is strace, into
the system calls themselves.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

import cubekit as ck
from cubekit.io import files, staging
from cubekit.io.container import Container
from cubekit.io.files import FILES, Files

START = """
import errno, os, sys, signal
import numpy as np, xarray as xr, dask
import cubekit as ck
from cubekit.io.files import FILES, Files

def cube(value=2.0, n=12):
    values = np.full((n, 6, 20), value, "f4") + np.arange(20, dtype="f4")
    coords = {"wavelength": np.arange(20.0), "lat": (("y", "x"), np.ones((n, 6)))}
    dims = ("y", "x", "wavelength")
    return xr.DataArray(values, coords, dims, "cube").chunk({"y": 4})

def save(path, **options):
    return ck.save_cube(cube(), path, overwrite=True, chunks={"y": 4}, **options)

class Faulty(Files):
    "Does something at the n-th operation of a kind."

    def __init__(self, kind, n, act):
        self.kind, self.left, self.act = kind, n, act

    def _step(self, kind):
        if self.kind in (kind, "any"):
            self.left -= 1
            if self.left == 0:
                self.act()

def step(kind):
    plain = getattr(Files, kind)
    def method(self, *args):
        self._step(kind)
        return plain(self, *args)
    return method

KINDS = "create reserve write truncate fsync replace link fsync_folder".split()
for kind in KINDS:
    setattr(Faulty, kind, step(kind))

def inject(kind, n, act):
    import cubekit.io.files as files, cubekit.io.staging as staging
    files.FILES = staging.FILES = Faulty(kind, n, act)

def fail(code):
    def act():
        raise OSError(code, os.strerror(code))
    return act

def kill():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def child(script, *arguments, timeout=120, **options):
    """Run a script after START; its exit status and output."""
    code = START + textwrap.dedent(script)
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **options,
    )


# each n in a process of its own, forked before any thread or file is there
LOOP = """
import json, h5py, netCDF4, isal.isal_zlib, tqdm
path, kind, fault = sys.argv[1:4]
compression = None if sys.argv[4:] == ["plain"] else "fast"
old = open(path, "rb").read() if os.path.exists(path) else None
acts = {"kill": kill, "full": fail(errno.ENOSPC), "broken": fail(errno.EIO)}
act = acts[fault]
outcomes = []
for n in range(1, 500):
    process = os.fork()
    if process == 0:
        inject(kind, n, act)
        status = 0
        try:
            save(path, progress=False, compression=compression)
        except BaseException as error:
            status = 2
            expected = {"full": ck.DiskFullError, "broken": OSError}[fault]
            if not isinstance(error, expected):
                print(repr(error), flush=True)
                status = 3
        os._exit(status)
    status = os.waitpid(process, 0)[1]
    now = open(path, "rb").read() if os.path.exists(path) else None
    if now != old:
        state = "new" if (ck.open_cube(path).values == cube().values).all() else "BAD"
        (os.remove(path) if old is None else open(path, "wb").write(old))
    else:
        state = "old"
    outcomes.append((status, state))
    if status == 0:
        break
print(json.dumps(outcomes))
left = [p for p in os.listdir(os.path.dirname(path)) if p != os.path.basename(path)]
print([p for p in left if not (p.startswith(".") and p.endswith(".partial"))])
"""


def outcomes(result):
    assert result.returncode == 0, result.stderr
    first, second = result.stdout.strip().splitlines()[-2:]
    assert second == "[]"
    found = json.loads(first)
    states = Counter(state for _, state in found)
    print(f"\n{len(found)} operations, each in turn; the file then: {dict(states)}")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("chunks", ["deflated", "plain"])
@pytest.mark.parametrize("before", ["old", None])
def test_w1_killed_at_any_operation_the_file_is_old_or_new(tmp_path, before, chunks):
    path = tmp_path / "out.nc"
    if before:
        path.write_text(before)
    found = outcomes(child(LOOP, path, "any", "kill", chunks))
    assert len(found) > 20
    assert {state for _, state in found} <= {"old", "new"}
    assert all(status in {0, signal.SIGKILL} for status, _ in found)
    assert all(state == "old" for status, state in found[:-3])
    # what dead runs left is gone after the next one that ends well
    assert [p for p in tmp_path.iterdir() if p != path] == []


@pytest.mark.parametrize(
    ("fault", "kind", "chunks"),
    [
        ("broken", "fsync", "deflated"),
        ("full", "reserve", "plain"),
        *(
            pytest.param(*case, chunks, marks=pytest.mark.slow)
            for case in [("full", "write"), ("full", "truncate"), ("broken", "write")]
            for chunks in ("deflated", "plain")
        ),
    ],
)
def test_w8_w9_failing_operation_is_never_success(tmp_path, fault, kind, chunks):
    path = tmp_path / "out.nc"
    path.write_text("old")
    found = outcomes(child(LOOP, path, kind, fault, chunks))
    *failed, last = found
    assert failed
    assert all((status >> 8, state) == (2, "old") for status, state in failed)
    assert last == [0, "new"]
    assert list(tmp_path.iterdir()) == [path] or not failed


def test_w9_what_goes_on_to_the_disk_meanwhile_fails_for_good(
    make_cube, tmp_path, monkeypatch
):
    """The system tells of such an error once: the last fsync knows nothing of it."""
    calls = []

    def fail_once(self, handle):
        calls.append(handle)
        if len(calls) == 1:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Files, "fsync", fail_once)
    monkeypatch.setattr(files, "_PENDING", 1000)
    with pytest.raises(OSError, match="Input/output") as error:
        ck.save_cube(make_cube(), tmp_path / "out.nc", chunks={"y": 1})
    assert error.value.errno == errno.EIO
    assert list(tmp_path.iterdir()) == []


def test_w9_failing_fsync_of_the_folder_says_that_the_file_is_written(
    make_cube, tmp_path, monkeypatch
):
    def fail(self, folder):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Files, "fsync_folder", fail)
    with pytest.raises(OSError, match="is written, but") as error:
        ck.save_cube(make_cube(), tmp_path / "out.nc")
    assert error.value.errno == errno.EIO
    assert ck.open_cube(tmp_path / "out.nc").shape == (5, 4, 40)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_w3_killed_at_random_times_the_file_is_whole(tmp_path, suffix):
    script = """
    save(sys.argv[1], progress=False)
    print("READY", flush=True)
    while True:
        save(sys.argv[1], progress=False)
    """
    path = tmp_path / f"out{suffix}"
    rng = np.random.default_rng(0)
    for _ in range(50):
        if suffix == ".nc":
            path.write_text("old")
        code = START + textwrap.dedent(script)
        process = subprocess.Popen(
            [sys.executable, "-c", code, path], stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == b"READY\n"
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        process.wait()
        process.stdout.close()
        cube = ck.open_cube(path).load()
        assert cube.values[0, 0].tolist() == list(np.arange(20.0) + 2)
        assert np.ptp(cube.values, axis=(0, 1)).max() == 0
        left = {p.name for p in tmp_path.iterdir()} - {path.name}
        assert all(n.startswith(f".{path.name}.") for n in left)
        assert all(n.endswith(".partial") for n in left)
    print("\n50 kills at random moments; the file was whole after each")


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 1), (signal.SIGTERM, 128 + 15)]
)
def test_w4_asked_to_stop_it_clears_up(tmp_path, number, status):
    script = """
    # a job started in the background inherits that it is ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    def wait(block):
        if block.size > 1:  # not when Dask asks for the dtype
            open(sys.argv[1] + ".ready", "w").close()
            import time
            time.sleep(0.3)
        return block
    try:
        lazy = cube().map_blocks(wait)
        ck.save_cube(lazy, sys.argv[1], overwrite=True, progress=False)
    except KeyboardInterrupt:
        sys.exit(1)
    """
    path = tmp_path / "out.nc"
    path.write_text("old")
    code = START + textwrap.dedent(script)
    process = subprocess.Popen([sys.executable, "-c", code, path])
    ready = tmp_path / "out.nc.ready"
    limit = time.monotonic() + 60
    while not ready.exists() and time.monotonic() < limit:
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(60) == status
    ready.unlink()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_w6_file_larger_than_allowed_is_a_full_disk(tmp_path):
    script = """
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        ck.save_cube(cube(n=300), sys.argv[1], overwrite=True, compression=None)
    except ck.DiskFullError as error:
        assert error.errno == errno.EFBIG, error.errno
        print(error)
        sys.exit(7)
    """
    path = tmp_path / "out.nc"
    path.write_text("old")
    result = child(script, path)
    assert result.returncode == 7, result.stderr
    assert f"no room for {path}" in result.stdout
    assert "bytes needed" in result.stdout
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.mount
def test_w6_w16_full_disk_is_told_with_figures_and_before_computing(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    script = f"""
    path = {str(small / "out.nc")!r}
    open(path, "w").write("old")
    computed = []
    big = cube(n=3000)
    data = big.data.map_blocks(
        lambda b: computed.append(1) or b, dtype="f4", meta=np.empty((0, 0, 0), "f4")
    )
    big = big.copy(data=data)
    rng = np.random.default_rng(0)
    noise = big.copy(data=rng.normal(size=big.shape))
    status = 0
    for what, options in ((big, dict(compression=None)), (noise, {{}})):
        try:
            ck.save_cube(what, path, overwrite=True, progress=False, **options)
        except ck.DiskFullError as error:
            assert error.errno == errno.ENOSPC
            assert "free" in str(error)
            status += 1
        assert open(path).read() == "old"
        assert os.listdir({str(small)!r}) == ["out.nc"], os.listdir({str(small)!r})
    assert not any(computed)
    sys.exit(10 + status)
    """
    code = START + textwrap.dedent(script)
    mount = f"mount -t tmpfs -o size=1m none {small} && exec "
    command = ["unshare", "-rm", "sh", "-c", mount + '"$@"', "sh"]
    result = subprocess.run(
        [*command, sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 12, result.stderr


def test_w16_room_is_set_aside_before_anything_is_computed(
    make_cube, tmp_path, monkeypatch
):
    reserved, computed = [], []
    plain = Files.reserve

    def note(self, handle, size):
        assert not computed
        reserved.append(size)
        plain(self, handle, size)

    cube = make_cube().chunk({"y": 2})

    def noting(block):
        computed.append(block.shape)
        return block

    noted = cube.data.map_blocks(noting, meta=cube.data)
    monkeypatch.setattr(Files, "reserve", note)
    options = {"compression": None, "chunks": {"y": 2, "x": 3}}
    path = ck.save_cube(cube.copy(data=noted), tmp_path / "out.nc", **options)
    # 3 x 2 chunks of 2 x 3 x 40 numbers, each with its checksum
    assert reserved == [6 * (2 * 3 * 40 * cube.dtype.itemsize + 4)]
    assert reserved[0] <= path.stat().st_size  # so nothing is set aside for nothing
    ck.save_cube(cube, tmp_path / "deflated.nc")
    assert len(reserved) == 1


def test_w16_room_that_is_set_aside_is_no_part_of_the_file(tmp_path):
    handle = FILES.create(tmp_path / "new")
    try:
        FILES.reserve(handle, 2**20)
        assert os.fstat(handle).st_size == 0
        assert os.pwrite(handle, b"here", 10) == 4
    finally:
        os.close(handle)
    assert (tmp_path / "new").read_bytes() == bytes(10) + b"here"


@pytest.mark.parametrize("has_call", [False, True], ids=["no call", "not on this disk"])
def test_w16_where_no_room_can_be_set_aside_it_is_written_all_the_same(
    make_cube, tmp_path, monkeypatch, has_call
):
    asked = []

    def refuse(handle, *_):
        asked.append(handle)
        ctypes.set_errno(errno.EOPNOTSUPP)
        return -1

    library = SimpleNamespace(fallocate=refuse) if has_call else None
    monkeypatch.setattr(files, "_libc", lambda: library)
    cube = make_cube()
    path = ck.save_cube(cube, tmp_path / "out.nc", compression=None)
    assert len(asked) == has_call
    xr.testing.assert_equal(ck.open_cube(path), cube)


def test_w11_order_is_write_fsync_move_fsync_of_the_folder(
    make_cube, tmp_path, monkeypatch
):
    steps = []
    for kind in ("create", "write", "fsync", "replace", "link", "fsync_folder"):
        plain = getattr(Files, kind)

        def note(self, *args, kind=kind, plain=plain):
            if not steps or steps[-1] != kind:
                steps.append(kind)
            return plain(self, *args)

        monkeypatch.setattr(Files, kind, note)
    ck.save_cube(make_cube(), tmp_path / "out.nc")
    assert steps == ["create", "write", "fsync", "link", "fsync_folder"]
    steps.clear()
    ck.save_cube(make_cube(), tmp_path / "out.nc", overwrite=True)
    assert steps == ["create", "write", "fsync", "replace", "fsync_folder"]


@pytest.mark.slow
@pytest.mark.strace
def test_w1_w8_w11_system_calls_show_and_survive_the_same(tmp_path):
    strace = shutil.which("strace")
    path = tmp_path / "out.nc"
    path.write_text("old")
    code = START + "save(sys.argv[1], progress=False)"
    # a measurement of coverage writes a file of its own, at the very end
    alone = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}

    def traced(*options):
        return subprocess.run(
            [
                strace,
                "-f",
                "-o",
                tmp_path / "trace",
                *options,
                sys.executable,
                "-c",
                code,
                path,
            ],
            capture_output=True,
            timeout=120,
            check=False,
            env=alone,
        ).returncode

    calls = "rename,fsync,fdatasync,pwrite64,ftruncate,renameat,renameat2"
    assert traced("-e", f"trace={calls}") == 0
    lines = (tmp_path / "trace").read_text().splitlines()
    order = [line.split("(")[0].split()[-1] for line in lines if "(" in line]
    moved = next(k for k, call in enumerate(order) if call.startswith("rename"))
    assert order[moved - 1] == order[moved + 1] == "fsync"
    path.write_text("old")
    assert order.count("pwrite64") > 10
    faults = [
        (call, n, what)
        for call in ("pwrite64", "fsync")
        for n in range(1, order.count(call) + 1)
        for what in ("signal=KILL", "error=EIO")
    ]
    hits = 0
    for call, n, what in faults:  # strace counts calls thread by thread
        status = traced("-e", f"inject={call}:{what}:when={n}")
        if path.read_text(errors="replace") == "old":
            assert status != 0
            hits += 1
        else:
            assert status == 0 or call == "fsync"  # that of the folder
            assert np.ptp(ck.open_cube(path).values, axis=(0, 1)).max() == 0
        path.write_text("old")
    print(f"\n{len(faults)} system calls killed or failed, {hits} before the move")
    assert hits > 10


@pytest.mark.slow
@pytest.mark.parametrize(
    "overwrite", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_w14_s5_of_two_processes_one_wins_whole(tmp_path, overwrite):
    script = """
    import time
    while time.time() < float(sys.argv[3]):
        pass
    value = float(sys.argv[2])
    try:
        ck.save_cube(cube(value), sys.argv[1], overwrite=sys.argv[4] == "True")
    except ck.OutputExistsError:
        sys.exit(5)
    """
    path = tmp_path / "out.nc"
    start = time.time() + 4
    code = START + textwrap.dedent(script)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code]
            + [str(a) for a in (path, value, start, overwrite)]
        )
        for value in (1, 2, 3)
    ]
    statuses = sorted(process.wait(120) for process in processes)
    assert statuses == ([0, 0, 0] if overwrite else [0, 5, 5])
    values = ck.open_cube(path).values - np.arange(20, dtype="f4")
    assert values.min() == values.max()
    assert values.max() in {1, 2, 3}
    assert list(tmp_path.iterdir()) == [path]


def test_s4_s6_reader_of_the_old_file_is_told_never_given_a_mix(make_cube, tmp_path):
    path = ck.save_cube(make_cube(), tmp_path / "a.nc")
    old = ck.open_cube(path)
    first = old.isel(y=0).compute()
    ck.save_cube(make_cube() * 2, path, overwrite=True)
    assert first.shape == (4, 40)
    with pytest.raises(ck.CorruptFileError, match="changed while being read"):
        old.compute()


def test_s4_xarray_reads_the_old_file_to_its_end(make_cube, tmp_path):
    path = ck.save_cube(make_cube(), tmp_path / "a.nc")
    with xr.open_dataarray(path, cache=False) as old:
        _ = old[0, 0, 0].values
        ck.save_cube(make_cube() * 2, path, overwrite=True)
        np.testing.assert_array_equal(old.values, make_cube().values)


def test_s8_forked_process_reads_and_writes(tmp_path):
    script = """
    path = sys.argv[1]
    save(path)
    assert ck.open_cube(path).sum().compute() > 0  # threads of Dask have run
    process = os.fork()
    if process == 0:
        with dask.config.set(scheduler="synchronous"):
            right = (ck.open_cube(path).values == cube().values).all()
        other = path.replace("out", "other")
        ck.save_cube(ck.open_cube(path), other)
        os._exit(0 if right and os.path.exists(other) else 1)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
    """
    result = child(script, tmp_path / "out.nc", timeout=60)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_s8_processes_of_dask_read(tmp_path):
    script = """
    if __name__ == "__main__":
        path = sys.argv[1]
        save(path)
        with dask.config.set(scheduler="processes", num_workers=2):
            assert (ck.open_cube(path, chunks={"y": 10}).values == cube().values).all()
            ck.save_cube(ck.open_cube(path), path.replace("out", "other"))
    """
    result = child(script, tmp_path / "out.nc", timeout=90)
    assert result.returncode == 0, result.stderr


def test_x10_staging_is_private_and_beside_the_target(make_cube, tmp_path, monkeypatch):
    seen = []
    finish = Container.finish

    def look(container):
        folder = container.path.parent
        seen.append((folder.parent, folder.stat().st_mode & 0o777))
        finish(container)

    monkeypatch.setattr(Container, "finish", look)
    umask = os.umask(0o027)
    try:
        path = ck.save_cube(make_cube(), tmp_path / "out.nc")
    finally:
        os.umask(umask)
    assert seen == [(tmp_path, 0o700)]
    assert path.stat().st_mode & 0o777 == 0o640


def test_x10_staged_file_never_follows_a_link(tmp_path):
    (tmp_path / "target").write_text("keep")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(FileExistsError):
        FILES.create(tmp_path / "link")
    assert (tmp_path / "target").read_text() == "keep"


def test_w17_folder_cleared_away_before_it_is_held_is_made_again(tmp_path, monkeypatch):
    """Another run may take a folder for a leftover in the moment before its lock."""
    plain, cleared = staging.hold, []

    def slow_hold(lock, wait=True):
        if not cleared:
            cleared.append(Path(lock.name).parent)
            shutil.rmtree(cleared[0])
        return plain(lock, wait)

    monkeypatch.setattr(staging, "hold", slow_hold)
    with staging.staging(tmp_path / "out.nc") as folder:
        assert folder.is_dir()
        assert folder != cleared[0]
    assert list(tmp_path.iterdir()) == []
