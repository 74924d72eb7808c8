"""Saves that go on where they stopped."""

from __future__ import annotations

import itertools
import json

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_io_faults import child

import cubekit as ck
from cubekit.io import files, journal, staging
from cubekit.io.files import Files


@pytest.fixture(autouse=True)
def same_time(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


def times_two(block, log=None):
    log.append(block.shape)
    return block * 2


class Log(list):
    """Counts blocks, and is the same to Dask in every run."""

    def __dask_tokenize__(self):
        return "log"


@pytest.fixture
def source(make_cube, tmp_path):
    cube = make_cube(shape=(12, 4, 40)).astype("f4")
    return ck.save_cube(cube, tmp_path / "source.nc", chunks={"y": 2})


def job(source, log=None, chunks=2):
    """A cube that counts how many of its blocks are computed."""
    log = Log() if log is None else log
    cube = ck.open_cube(source, chunks={"y": chunks})
    data = cube.data.map_blocks(
        times_two, log=log, dtype="f4", meta=np.empty((0, 0, 0), "f4")
    )
    return cube.copy(data=data)


class StopError(Exception):
    """Stands for the end of the process."""


class StopAt(Files):
    """Stops at the n-th write or wait for the disk, and at all that follow."""

    def __init__(self, n):
        self.left = n

    def _step(self):
        self.left -= 1
        if self.left <= 0:
            raise StopError

    def write(self, handle, data, offset):
        self._step()
        return super().write(handle, data, offset)

    def fsync(self, handle):
        self._step()
        super().fsync(handle)


@pytest.fixture
def stop_at(monkeypatch):
    def at(n):
        faulty = StopAt(n) if n else Files()
        for module in (files, journal, staging):
            monkeypatch.setattr(module, "FILES", faulty)

    return at


@pytest.fixture
def resume_folder(tmp_path):
    return tmp_path / ".out.nc.resume.partial"


@pytest.mark.slow
def test_w19_stopped_anywhere_it_goes_on_and_ends_with_the_same_bytes(
    source, tmp_path, stop_at, monkeypatch, resume_folder
):
    monkeypatch.setattr(journal, "_SECONDS", 0)  # every chunk at once on the disk
    path = ck.save_cube(job(source), tmp_path / "whole.nc", resume=True)
    whole = path.read_bytes()
    target = tmp_path / "out.nc"
    for n in itertools.count(1):
        stop_at(n)
        before = Log()
        try:
            ck.save_cube(job(source, before), target, resume=True)
        except StopError:
            pass
        else:
            break
        assert not target.exists()
        stop_at(None)
        done = resume_folder.exists() and (resume_folder / "journal").read_text()
        finished = max(0, (done or "").count('"reflectance", ['))
        after = Log()
        ck.save_cube(job(source, after), target, resume=True)
        assert len(after) <= 6 - finished + 1
        assert target.read_bytes() == whole
        assert {p.name for p in tmp_path.iterdir()} == {
            *("source.nc", "whole.nc", "out.nc")
        }
        target.unlink()
    assert n > 20
    assert target.read_bytes() == whole


@pytest.mark.slow
def test_w19_killed_process_is_gone_on_with(tmp_path):
    script = """
    class Slow(list):
        def __dask_tokenize__(self):
            return "slow"
    def count(block, log=None):
        log.append(1)
        if sys.argv[2] == "kill" and len(log) == 3:
            kill()
        return block + 1
    import cubekit.io.journal as journal
    journal._SECONDS = 0
    base = cube()
    log = Slow()
    meta = np.empty((0, 0, 0), "f4")
    data = base.data.map_blocks(count, log=log, dtype="f4", meta=meta)
    lazy = base.copy(data=data)
    with dask.config.set(scheduler="synchronous"):
        ck.save_cube(lazy, sys.argv[1], resume=True, chunks={"y": 4})
    print(len(log))
    """
    path = tmp_path / "out.nc"
    assert child(script, path, "kill").returncode == -9
    assert not path.exists()
    result = child(script, path, "go on")
    assert result.stdout.strip() == "1", result.stderr
    assert (ck.open_cube(path).values[:, :, 0] == 3).all()
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def stopped(source, tmp_path, stop_at, monkeypatch):
    """A save that was stopped when some of its chunks were finished."""
    monkeypatch.setattr(journal, "_SECONDS", 0)
    whole = ck.save_cube(job(source), tmp_path / "whole.nc", resume=True).read_bytes()

    def make():
        stop_at(13)
        with pytest.raises(StopError):
            ck.save_cube(job(source), tmp_path / "out.nc", resume=True)
        stop_at(None)
        return tmp_path / "out.nc", whole

    return make


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda c: (c + 1, {}), "steps"),
        (lambda c: (c.astype("f8"), {}), "dtype"),
        (lambda c: (c[:10], {}), "shape"),
        (lambda c: (c, {"chunks": {"y": 1}}), "chunks"),
        (lambda c: (c, {"compression": 3}), "compression"),
        (lambda c: (c.assign_coords(wavelength=np.arange(40.0)), {}), "coordinates"),
        (lambda c: (c.assign_attrs(units="m"), {}), "attributes"),
    ],
)
def test_w20_another_job_is_refused_by_name(stopped, source, change, field):
    path, whole = stopped()
    cube, options = change(job(source))
    with pytest.raises(ck.ResumeMismatchError, match=f"differs .*in its {field}: "):
        ck.save_cube(cube, path, resume=True, **options)
    assert not path.exists()
    ck.save_cube(job(source), path, resume=True)
    assert path.read_bytes() == whole


def test_w20_another_input_is_refused_by_name(stopped, source, make_cube):
    path, _ = stopped()
    cube = make_cube(shape=(12, 4, 40), seed=1).astype("f4")
    ck.save_cube(cube, source, chunks={"y": 2}, overwrite=True)
    with pytest.raises(ck.ResumeMismatchError, match="in its input"):
        ck.save_cube(job(source), path, resume=True)


def test_w20_a_header_that_was_corrected_is_another_job(
    make_cube, tmp_path, stop_at, monkeypatch
):
    monkeypatch.setattr(journal, "_SECONDS", 0)
    cube = make_cube(shape=(12, 4, 40)).astype("f4")
    header = ck.save_cube(cube, tmp_path / "source.hdr")
    path = tmp_path / "out.nc"
    stop_at(6)
    with pytest.raises(StopError):
        ck.save_cube(ck.open_cube(header, chunks={"y": 2}), path, resume=True)
    stop_at(0)
    header.write_text(header.read_text() + "\nreflectance scale factor = 100\n")
    corrected = ck.open_cube(header, chunks={"y": 2})
    with pytest.raises(ck.ResumeMismatchError, match="in its steps"):
        ck.save_cube(corrected, path, resume=True)


def test_w20_another_version_is_refused_by_name(stopped, source, monkeypatch):
    path, _ = stopped()
    monkeypatch.setattr("cubekit.io.job.__version__", "0.0.9")
    with pytest.raises(ck.ResumeMismatchError, match="in its versions"):
        ck.save_cube(job(source), path, resume=True)


def tear(folder, rng):
    path = folder / "journal"
    path.write_bytes(path.read_bytes()[: -rng.integers(1, 30)])


def flip_journal(folder, rng):
    flip(folder / "journal", rng)


def flip_chunks(folder, rng):
    flip(folder / "chunks", rng)


def flip(path, rng):
    content = bytearray(path.read_bytes())
    if content:
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)


def repeat_line(folder, rng):
    path = folder / "journal"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[rng.integers(len(lines))]]))


def lose_journal(folder, rng):
    (folder / "journal").unlink()


def lose_chunks(folder, rng):
    (folder / "chunks").unlink()


def cut_chunks(folder, rng):
    path = folder / "chunks"
    path.write_bytes(path.read_bytes()[: rng.integers(path.stat().st_size + 1)])


SPOIL = [
    *(tear, flip_journal, flip_chunks, repeat_line, lose_journal),
    *(lose_chunks, cut_chunks),
]


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spoilers=st.lists(st.sampled_from(SPOIL), max_size=3), seed=st.integers(0, 999))
def test_w21_spoiled_journal_or_chunks_never_give_a_wrong_file(
    stopped, source, resume_folder, spoilers, seed
):
    path, whole = stopped()
    rng = np.random.default_rng(seed)
    for spoil in spoilers:
        if (resume_folder / "journal").exists() and (resume_folder / "chunks").exists():
            spoil(resume_folder, rng)
    ck.save_cube(job(source), path, resume=True)
    assert path.read_bytes() == whole
    path.unlink()


def test_w21_line_of_another_format_counts_as_not_written(
    stopped, source, resume_folder
):
    path, whole = stopped()
    with (resume_folder / "journal").open("a") as file:
        file.write(journal._line(["reflectance", 3]) + journal._line({"a": 1}))
    ck.save_cube(job(source), path, resume=True)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("stops", [0, 1, 5])
def test_w22_progress_counts_what_was_finished_before(source, tmp_path, stop_at, stops):
    calls = []
    if stops:
        stop_at(13)
        with pytest.raises(StopError):
            ck.save_cube(job(source), tmp_path / "out.nc", resume=True)
        stop_at(None)
    ck.save_cube(
        *(job(source), tmp_path / "out.nc"),
        resume=True,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls[-1][0] == calls[-1][1]
    assert [c[0] for c in calls] == sorted(c[0] for c in calls)


def test_values_in_memory_are_known_by_what_they_are(make_cube, tmp_path, stop_at):
    path = tmp_path / "out.nc"
    stop_at(6)
    with pytest.raises(StopError):
        ck.save_cube(make_cube(), path, resume=True, chunks={"y": 1})
    stop_at(None)
    with pytest.raises(ck.ResumeMismatchError, match="in its steps"):
        ck.save_cube(make_cube() + 1, path, resume=True, chunks={"y": 1})
    ck.save_cube(make_cube(), path, resume=True, chunks={"y": 1})
    assert np.array_equal(ck.open_cube(path).values, make_cube().values)


def test_two_runs_do_not_work_on_the_same_file(stopped, source, resume_folder):
    import fcntl  # noqa: PLC0415  not on every system

    path, _ = stopped()
    with (resume_folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ck.OutputExistsError, match="another run"):
            ck.save_cube(job(source), path, resume=True)


def test_plain_save_that_ends_well_clears_away_what_was_kept(
    stopped, source, resume_folder
):
    path, _ = stopped()
    assert resume_folder.exists()
    ck.save_cube(job(source), path)
    assert not resume_folder.exists()


def test_journal_is_plain_text_with_checksums(stopped, resume_folder):
    stopped()
    first = (resume_folder / "journal").read_text().splitlines()[0]
    content = json.loads(first[9:])
    assert {"input", "steps", "versions", "chunks", "dtype"} <= set(content)


def test_several_variables_go_on_together(source, tmp_path, stop_at):
    cube = ck.open_cube(source, chunks={"y": 2})
    both = xr.Dataset({"a": ck.savgol_filter(cube, 5), "b": ck.savgol_filter(cube, 7)})
    stop_at(9)
    with pytest.raises(StopError):
        ck.save_cube(both, tmp_path / "out.nc", resume=True)
    stop_at(None)
    path = ck.save_cube(both, tmp_path / "out.nc", resume=True)
    for name in "ab":
        found = ck.open_cube(path, variable=name).values
        assert np.array_equal(found, both[name].values)


def test_dask_arrays_of_random_names_are_refused_not_mixed(tmp_path, stop_at):
    def noise():
        values = da.from_array(np.ones((8, 3, 5)), chunks=(2, 3, 5), name=False)
        return xr.DataArray(values, dims=("y", "x", "wavelength"), name="cube")

    stop_at(7)
    with pytest.raises(StopError):
        ck.save_cube(noise(), tmp_path / "out.nc", resume=True)
    stop_at(None)
    with pytest.raises(ck.ResumeMismatchError, match="in its steps"):
        ck.save_cube(noise(), tmp_path / "out.nc", resume=True)
