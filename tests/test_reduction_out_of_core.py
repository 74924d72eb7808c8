"""Models of files larger than memory: one read, bounded memory, small graphs."""

import os
import subprocess
import sys
import textwrap

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import cubekit as ck

# memory that is freed goes back at once: what is measured is what is held
ENVIRONMENT = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1000000"}
CHILD = """
import sys
from pathlib import Path
import math, dask, cubekit as ck

def characters_read():
    return int(Path("/proc/self/io").read_text().split()[1])

def resident():
    # not getrusage: its figure begins with that of the process that started this one
    status = dict(line.split(":") for line in open("/proc/self/status"))
    return 1024 * int(status["VmHWM"].split()[0])

path, model = sys.argv[1:]
cube = ck.open_cube(path)
warm = cube.isel(y=slice(2), x=slice(2)).load()
ck.PCA(2).fit(warm) if model == "PCA" else ck.noise_covariance(warm)
read, memory = characters_read(), resident()
with dask.config.set(num_workers=2):
    getattr(ck, model)(5).fit(cube)
chunk = cube.dtype.itemsize * math.prod(cube.data.chunksize)
print(characters_read() - read, resident() - memory, chunk)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file of 456 MB, in chunks of 11 MB."""
    path = tmp_path_factory.mktemp("cube") / "cube.nc"
    random = da.random.default_rng(0).normal
    cube = xr.DataArray(
        random(300, 10, (1000, 400, 285), chunks=(100, 100, 285)).astype("f4"),
        dims=("y", "x", "wavelength"),
        coords={"wavelength": np.linspace(381, 2493, 285)},
        name="radiance",
    )
    cube.to_netcdf(path, encoding={"radiance": {"chunksizes": (100, 100, 285)}})
    yield path
    path.unlink()


@pytest.mark.slow
@pytest.mark.proc
@pytest.mark.parametrize("model", ["PCA", "MNF"])
def test_a_file_is_read_once_in_bounded_memory(file, model):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(file), model],
        capture_output=True, text=True, check=True, timeout=300, env=ENVIRONMENT,
    )  # fmt: skip
    read, memory, chunk = map(int, done.stdout.split())
    print(
        f"\n{model}: {read / file.stat().st_size:.3f} of the file, "
        f"{memory / 2 / chunk:.1f} chunks a thread"
    )
    assert read <= 1.05 * file.stat().st_size
    assert memory < 2 * 3 * chunk + 10 * 8 * 285**2


def test_few_tasks_a_chunk(monkeypatch):
    sizes = []
    graph = da.core.HighLevelGraph.from_collections

    def spy(name, layer, dependencies=()):
        sizes.append(len(layer))
        return graph(name, layer, dependencies=dependencies)

    monkeypatch.setattr("cubekit.kernels.tree.HighLevelGraph.from_collections", spy)
    cube = xr.DataArray(
        da.zeros((60, 60, 8), chunks=(3, 3, 8)),
        dims=("y", "x", "wavelength"),
        coords={"wavelength": np.arange(8.0)},
    )
    with pytest.warns(UserWarning, match="rank of the data is 0"):
        ck.PCA(1).fit(cube)
    assert sizes[-1] <= 2 * cube.data.npartitions + 1


@pytest.mark.slow
@pytest.mark.proc
def test_files_are_fitted_as_one_in_the_memory_of_one(file):
    """Four times the file takes no more memory than the file, nor more reads."""
    lists = textwrap.dedent(CHILD).replace(".fit(cube)", ".fit([path] * 4)")
    done = subprocess.run(
        [sys.executable, "-c", lists, str(file), "PCA"],
        capture_output=True, text=True, check=True, timeout=300, env=ENVIRONMENT,
    )  # fmt: skip
    read, memory, chunk = map(int, done.stdout.split())
    assert read <= 4 * 1.05 * file.stat().st_size
    assert memory < 2 * 3 * chunk + 10 * 8 * 285**2
