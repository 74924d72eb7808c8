"""The same calls on a Dask cluster of processes, and what happens when it dies."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from distributed import Client, LocalCluster

import cubekit as ck
from cubekit.cli import main
from cubekit.io import cluster as cluster_module

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.slow,
    # sockets and event loops of distributed, closed later than it says
    pytest.mark.filterwarnings("default"),
]

RECIPE = ck.Recipe(
    [
        {"do": "savgol_filter", "window_length": 11, "as": "smooth"},
        {"do": "derivative", "coord": "wavelength", "as": "slope"},
        {"from": "smooth", "do": "derivative", "coord": "y", "as": "north"},
    ]
)


@contextlib.contextmanager
def cluster_of_two() -> Iterator[Client]:
    with (
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": 1,
                # as the page on clusters says: workers try so long to reach a dead one
                "distributed.comm.timeouts.connect": "5s",
            }
        ),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            memory_limit="1GB",
            dashboard_address=None,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with cluster_of_two() as client:
        yield client


@pytest.fixture
def lazy(tmp_path) -> xr.DataArray:
    path = ck.save_cube(
        ck.datasets.scene((40, 30)), tmp_path / "scene.nc", chunks={"y": 2}
    )
    return ck.open_cube(path, chunks={"y": 2})


@pytest.fixture
def expected(lazy, tmp_path) -> xr.Dataset:
    with dask.config.set(scheduler="threads"):
        ck.save_cube(RECIPE(lazy), tmp_path / "expected.nc")
    return xr.load_dataset(tmp_path / "expected.nc")


def require_same(path: Path, expected: xr.Dataset) -> None:
    xr.testing.assert_equal(xr.load_dataset(path), expected)
    assert not list(path.parent.glob(".*.partial"))


def operators(cube: xr.DataArray) -> dict[str, xr.DataArray]:
    like = ck.datasets.scene((9, 8)).sel(wavelength=cube.wavelength)
    pca = ck.PCA(3).fit(like)
    few = cube.isel(wavelength=slice(20, 24))
    return {
        "savgol": ck.savgol_filter(cube, 11, 3, deriv=1),
        "refit": ck.savgol_filter(cube, 11, 3, missing="refit"),
        "resample": ck.resample(cube, [500.0, 600.0, 700.0], fwhm=30),
        "continuum": ck.remove_continuum(cube),
        "normalize": ck.normalize(cube),
        "angle": ck.spectral_angle(cube, cube[0, 0].compute()),
        "north": ck.derivative(cube, "y"),
        "ratio": ck.normalized_difference(cube, 860, 660),
        "gradient": ck.gradient(few),
        "divergence": ck.divergence(ck.gradient(few)),
        "steepness": ck.gradient_magnitude(few),
        "integrated": ck.integrate_gradient(ck.gradient(few)),
        "hessian": ck.hessian(few),
        "laplacian": ck.laplacian(few),
        "eigenvalues": ck.hessian_eigenvalues(few),
        "scores": pca.transform(cube),
        "residual": pca.residual(cube),
        "rebuilt": pca.inverse_transform(pca.transform(cube)),
        **{f"recipe {k}": v for k, v in RECIPE(cube).data_vars.items()},
    }


def test_d4_every_way_to_compute_gives_the_same_bits(client):
    cube = ck.datasets.scene((9, 8)).copy()
    cube[3, 4, 50] = np.nan
    lazy = cube.copy(data=da.from_array(cube.values, (5, 8, 150)))
    wanted = operators(lazy)
    for way in ("sync", "threads", "processes", client):
        found = dict(
            zip(wanted, dask.compute(*wanted.values(), scheduler=way), strict=True)
        )
        if way == "sync":
            first = found
        for name, values in found.items():
            xr.testing.assert_identical(values, first[name])


CHUNKS = {
    "one sample": {"y": 1, "x": 1, "wavelength": 1},
    "uneven": {"y": (1, 3, 1), "x": (3, 1), "wavelength": (3, 20, 1)},
    "one chunk": -1,
    "prime": {"y": 3, "x": 3, "wavelength": 11},
    "larger than the cube": {"y": 100, "x": 100, "wavelength": 1000},
    "spectra split": {"y": 2, "x": 4, "wavelength": 6},
}


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
def test_d5_any_chunks_give_what_numpy_does_and_images_keep_theirs(client, chunks):
    scene = ck.datasets.scene((5, 4)).astype("f8")
    cube = scene[..., :: scene.sizes["wavelength"] // 24][..., :24].copy()
    cube[3, 2, 7] = np.nan
    wanted = operators(cube)
    lazy = cube.chunk(chunks)
    results = operators(lazy)  # a warning of other chunks would be an error
    found = dask.compute(*results.values(), scheduler=client)
    for (name, result), values in zip(results.items(), found, strict=True):
        # 1024 units in the last place of the largest value
        most = float(abs(wanted[name]).max())
        xr.testing.assert_allclose(values, wanted[name], rtol=0, atol=2**-42 * most)
        assert values.dtype == wanted[name].dtype
        if name == "integrated":  # solved on the whole grid
            continue
        for dim in {"y", "x"} & set(result.dims):
            assert result.chunksizes[dim] == lazy.chunksizes[dim], name


def test_d6_a_job_of_eight_times_their_memory_stays_within_that_of_the_workers(
    tmp_path,
):
    limit = 250e6
    side = round((8 * limit / 285 / 4) ** 0.5)
    spectra = ck.datasets.scene((50, 50)).values[..., :1] * np.ones(285, "f4")
    blocks = da.zeros((side, side, 285), chunks=(50, 50, 285), dtype="f4").map_blocks(
        lambda block: spectra[: block.shape[0], : block.shape[1]] + block, dtype="f4"
    )
    cube = xr.DataArray(
        blocks, {"wavelength": np.linspace(380, 2500, 285)}, ("y", "x", "wavelength")
    )
    assert cube.nbytes > 7.9 * limit

    def bound() -> None:
        """No more address space than it has, and the limit."""
        size = int(Path("/proc/self/statm").read_text().split()[0])
        most = size * resource.getpagesize() + int(limit)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    with cluster_of_two() as client:
        warm = cube.isel(y=slice(100), x=slice(100))
        ck.save_cube(ck.savgol_filter(warm, 11), tmp_path / "warm.nc")
        before = client.run(os.getpid)
        client.run(bound)
        ck.save_cube(ck.savgol_filter(cube, 11), tmp_path / "out.nc")
        assert client.run(os.getpid) == before
    corner = {"y": slice(-60, None), "x": slice(-60, None)}
    found = ck.open_cube(tmp_path / "out.nc").isel(corner)
    np.testing.assert_array_equal(found, ck.savgol_filter(cube, 11).isel(corner))


def test_d7_a_cluster_is_sent_little_for_each_of_a_hundred_thousand_blocks(
    client, tmp_path, monkeypatch
):
    sent = []
    send = Client.get

    class EnoughError(Exception):
        pass

    def seen(self: Client, graph: dict, keys: list, **how: object) -> object:
        sent.append(graph)
        if len(keys) > 1e5:  # minutes of work for a scheduler
            raise EnoughError
        return send(self, graph, keys, **how)

    def save(side: int) -> float:
        """Save a cube in chunks of a spectrum; the bytes sent for each."""
        cube = xr.DataArray(
            da.zeros((side, side, 50), chunks=(1, 1, 50), dtype="f4"),
            {"wavelength": np.arange(400.0, 450.0)},
            ("y", "x", "wavelength"),
        )
        smooth, target = ck.savgol_filter(cube, 11), tmp_path / f"{side}.nc"
        with contextlib.suppress(EnoughError):
            ck.save_cube(smooth, target, chunks={"y": 1, "x": 1})
        assert len(sent[-1]) <= 3 * side**2
        return len(pickle.dumps(sent[-1])) / side**2

    monkeypatch.setattr(Client, "get", seen)
    few, many = save(30), save(320)
    assert not ck.open_cube(tmp_path / "30.nc").any()
    assert many < 1.1 * few < 1000
    assert max(len(pickle.dumps(task)) for task in sent[0].values()) < 64_000


def test_d8_operators_on_workers_leave_a_read_only_map_and_a_shared_input_alone(
    client, tmp_path
):
    cube = ck.datasets.scene((9, 8))
    path = tmp_path / "cube.raw"
    cube.values.tofile(path)
    before = path.read_bytes()

    def mapped(block: np.ndarray, block_info: dict) -> np.ndarray:
        rows = slice(*block_info[None]["array-location"][0])
        return np.memmap(path, "f4", "r", shape=cube.shape)[rows]

    blocks = da.zeros(cube.shape, "f4", chunks=(5, *cube.shape[1:]))
    blocks = blocks.map_blocks(mapped, dtype="f4", meta=np.empty((0, 0, 0), "f4"))
    lazy = cube.copy(data=blocks.persist(scheduler=client))  # one input for all
    results = operators(lazy)
    found = dask.compute(*results.values(), lazy, scheduler=client)
    wanted = dask.compute(*operators(cube.chunk(y=5)).values(), cube, scheduler="sync")
    for values, expected in zip(found, wanted, strict=True):
        xr.testing.assert_identical(values, expected)
    assert path.read_bytes() == before


@pytest.mark.parametrize("resume", [False, True])
def test_a_save_on_a_cluster_gives_the_same_file(
    client, lazy, tmp_path, expected, resume
):
    seen = []
    ck.save_cube(
        RECIPE(lazy),
        tmp_path / "out.nc",
        resume=resume,
        progress=lambda *bytes_: seen.append(bytes_),
    )
    require_same(tmp_path / "out.nc", expected)
    assert seen[-1][0] == seen[-1][1]


@pytest.mark.parametrize("moment", np.random.default_rng(0).uniform(0, 0.9, 10))
def test_d1_a_worker_killed_on_the_way_costs_nothing_but_a_little_time(
    lazy, tmp_path, expected, moment
):
    heard = []

    def kill(done: int, total: int) -> None:
        heard.append(time.monotonic())
        if done > moment * total and victims:
            os.kill(victims.pop(), signal.SIGKILL)

    with cluster_of_two() as client:  # nannies do not always bring the dead back
        victims = list(client.run(os.getpid).values())[:1]
        heard.append(time.monotonic())
        ck.save_cube(RECIPE(lazy), tmp_path / "out.nc", progress=kill)
        heard.append(time.monotonic())
    assert not victims
    require_same(tmp_path / "out.nc", expected)
    # the stall that is promised: a lock of the dead would hold for 30 seconds
    assert max(np.diff(heard)) < 10


def test_saves_of_the_same_name_at_once_do_not_mix(client, lazy, tmp_path):
    cubes = [lazy, lazy + 1]
    paths = [tmp_path / "one.nc", tmp_path / "two.nc"]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(ck.save_cube, cubes, paths))
    for path, cube in zip(paths, cubes, strict=True):
        np.testing.assert_array_equal(ck.open_cube(path), cube)


@pytest.mark.usefixtures("lazy")
def test_a_command_computes_on_the_cluster_at_an_address(client, tmp_path):
    source = tmp_path / "scene.nc"
    (tmp_path / "r.toml").write_text(RECIPE.to_toml())
    with dask.config.set(scheduler="threads"):
        here = ck.save_cube(RECIPE(ck.open_cube(source)), tmp_path / "here.nc")
    words = ["run", tmp_path / "r.toml", source, tmp_path / "out.nc", "--scheduler"]
    told = CliRunner().invoke(main, [*map(str, words), client.scheduler.address])
    assert told.exit_code == 0, told.output
    xr.testing.assert_equal(xr.load_dataset(tmp_path / "out.nc"), xr.load_dataset(here))


def test_a_model_is_fitted_and_evaluated_on_the_cluster_at_an_address(
    client, lazy, tmp_path
):
    address = ("--scheduler", client.scheduler.address)
    source, model = str(tmp_path / "scene.nc"), str(tmp_path / "model.nc")
    words = ("pca", "fit", source, model, "--components", "3", *address)
    told = CliRunner().invoke(main, words)
    assert told.exit_code == 0, told.output
    with dask.config.set(scheduler="threads"):
        expected = ck.PCA(3).fit(lazy)
        error = float(expected.evaluate(lazy)["r2_fit_mean"])
    found = ck.PCA.load(model)
    xr.testing.assert_allclose(found.components_, expected.components_, rtol=1e-9)
    words = ("pca", "evaluate", model, source, "--json", *address)
    facts = json.loads(CliRunner().invoke(main, words).stdout)
    assert facts["r2_fit_mean"] == pytest.approx(error)


def test_an_error_in_a_block_is_raised_as_it_is_and_says_where(client, lazy, tmp_path):
    def fail(block: np.ndarray, block_info: dict) -> np.ndarray:
        if block_info[0]["chunk-location"][0] == 3:
            raise ValueError("boom")
        return block

    bad = lazy.copy(data=lazy.data.map_blocks(fail, meta=lazy.data._meta))
    with pytest.raises(ValueError, match="boom") as caught:
        ck.save_cube(bad, tmp_path / "out.nc")
    assert "while computing block (" in caught.value.__notes__[-1]
    assert not (tmp_path / "out.nc").exists()


def test_d3_a_block_too_large_for_a_worker_is_refused_before_it_starts(
    client, tmp_path
):
    large = xr.DataArray(
        da.zeros((2000, 2000, 100), chunks=(1000, 2000, 100)), dims=("y", "x", "band")
    )
    with pytest.raises(ck.ChunkError, match=r"has 1 GB .* cube\.chunk\(\{'y': \d+,"):
        ck.save_cube(large, tmp_path / "out.nc")


def test_d3_a_block_that_kills_its_workers_is_said_to(client, lazy, tmp_path):
    client.wait_for_workers(2, timeout=120)

    def die(block: np.ndarray) -> np.ndarray:
        os._exit(1)

    bad = lazy.isel(y=slice(2)).copy()
    bad = bad.copy(data=bad.data.map_blocks(die, meta=bad.data._meta))
    with pytest.raises(ck.ClusterError, match="probably ran out of memory"):
        ck.save_cube(bad, tmp_path / "out.nc")
    client.wait_for_workers(2, timeout=120)


@contextlib.contextmanager
def started(*words: str, log: Path | None = None) -> Iterator[subprocess.Popen]:
    with Path(os.devnull if log is None else log).open("w") as said:
        child = subprocess.Popen(
            [sys.executable, "-m", "dask", *words], stdout=said, stderr=said
        )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("victim", ["workers", "scheduler"])
def test_d2_a_lost_cluster_is_an_error_that_names_resume_which_then_completes(
    lazy, tmp_path, expected, monkeypatch, victim
):
    assert cluster_module._PATIENCE < 60
    monkeypatch.setattr(cluster_module, "_PATIENCE", 2.0)
    place = tmp_path / "scheduler.json"
    common = ("--scheduler-file", str(place))
    with (
        started("scheduler", *common, "--port", "0", "--no-dashboard") as scheduler,
        started("worker", *common, "--no-nanny", "--no-dashboard") as worker,
        Client(scheduler_file=str(place), timeout=120) as client,
    ):
        client.wait_for_workers(1, timeout=120)
        target = tmp_path / "out.nc"

        def kill(done: int, total: int) -> None:
            if done > 0.3 * total:
                (worker if victim == "workers" else scheduler).kill()

        with pytest.raises(ck.ClusterError, match="resume=True"):
            ck.save_cube(RECIPE(lazy), target, resume=True, progress=kill)
        assert not target.exists()
    ck.save_cube(RECIPE(lazy), target, resume=True)
    require_same(target, expected)


PAGE = Path(__file__).parents[1] / "docs" / "guide" / "clusters.md"


def lines_of_the_page() -> list[list[str]]:
    """Words of the lines for the shell, without what is said of them."""
    (block,) = re.findall(r"^```text\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    return [shlex.split(line, comments=True) for line in block.splitlines()]


def test_the_lines_of_the_page_about_clusters_run_on_one_machine(
    lazy, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # scene.nc is here
    Path("recipe.toml").write_text(RECIPE.to_toml())
    scheduler, worker, command = lines_of_the_page()
    assert (scheduler[0], worker[0], command[0]) == ("dask", "dask", "cubekit")
    here = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    log = tmp_path / "scheduler.log"
    with started(*scheduler[1:], *here, log=log):
        ends = time.monotonic() + 120
        while not (found := re.search(r"Scheduler at: *(tcp:\S+)\n", log.read_text())):
            assert time.monotonic() < ends, log.read_text()
            time.sleep(0.05)
        address = found[1]  # "says its address"

        def at(words: list[str]) -> list[str]:
            assert "tcp://host:8786" in words
            return [address if w == "tcp://host:8786" else w for w in words[1:]]

        with started(*at(worker)), Client(address) as client:
            count = int(worker[worker.index("--nworkers") + 1])
            client.wait_for_workers(count, timeout=120)
            words = [sys.executable, "-m", "cubekit", *at(command)]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("wrote result.nc (")
    whole = ck.open_cube("scene.nc")
    with dask.config.set(scheduler="threads"):
        ck.save_cube(RECIPE(whole), tmp_path / "here.nc")
    xr.testing.assert_equal(xr.load_dataset("result.nc"), xr.load_dataset("here.nc"))
