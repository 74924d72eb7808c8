"""Fixtures and hypothesis profiles for all tests."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import xarray as xr
from dask.callbacks import Callback

# whole, before pytest imports a file of it by path and makes a part of it anew
import cubekit  # noqa: F401

for _name, _examples in {"ci": 200, "default": 40}.items():
    hypothesis.settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,
        derandomize=True,
        print_blob=True,
        database=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")

# real files live beside a checkout; they are never part of the project
REAL = Path(__file__).parents[2] / "shared" / "data"


def _may_mount() -> bool:
    """Whether a file system can be mounted, in a name space of its own."""
    if shutil.which("unshare") is None:
        return False
    mounted = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(mounted, check=False, capture_output=True).returncode == 0


def pytest_collection_modifyitems(config: pytest.Config, items: list) -> None:
    """Leave out the tests of what is not here: real files, a program, a library."""
    here = {
        "real": REAL.is_dir(),
        "strace": shutil.which("strace") is not None,
        "mount": _may_mount(),
        "browser": shutil.which("chromium") is not None
        and all(map(importlib.util.find_spec, ("panel", "playwright"))),
        "torch": importlib.util.find_spec("torch") is not None,
        "h5netcdf": importlib.util.find_spec("h5netcdf") is not None,
        "proc": Path("/proc/self/io").exists(),
    }
    for item in items:
        if item.name.startswith("cubekit.reduction.autoencoder"):  # a doctest
            item.add_marker("torch")
    missing = [name for name, found in here.items() if not found]
    gone = [i for i in items if any(i.get_closest_marker(m) for m in missing)]
    config.hook.pytest_deselected(items=gone)
    items[:] = [item for item in items if item not in gone]


@pytest.fixture
def real() -> Path:
    """Folder of the real files."""
    return REAL


def spacing(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Ascending or descending coordinates with a kind of spacing."""
    uniform = np.linspace(400.0, 400.0 + 7.4 * (n - 1), n)
    if kind == "uniform":
        return uniform
    if kind == "jittered":
        return uniform + rng.uniform(-2.5, 2.5, n)
    if kind == "stretched":
        return 400.0 * (uniform[-1] / 400.0) ** np.linspace(0, 1, n)
    if kind == "descending":
        return spacing("jittered", n, rng)[::-1].copy()
    if kind == "gapped":
        return uniform + 90.0 * (np.arange(n) >= n // 3)
    raise ValueError(kind)


SPACINGS = ("uniform", "jittered", "stretched", "descending", "gapped")


@pytest.fixture
def make_cube():
    """Build a cube of random spectra, with the policies a test asks for."""

    def make(
        *,
        shape: tuple[int, int, int] = (5, 4, 40),
        dims: tuple[str, str, str] = ("y", "x", "wavelength"),
        kind: str = "jittered",
        dtype: str = "float64",
        missing: float = 0.0,
        chunks: dict[str, int] | None = None,
        seed: int = 0,
    ) -> xr.DataArray:
        rng = np.random.default_rng(seed)
        sizes = dict(zip(("y", "x", "wavelength"), shape, strict=True))
        values = rng.normal(100, 20, [sizes[d] for d in dims])
        if missing:
            values[rng.random(values.shape) < missing] = np.nan
        cube = xr.DataArray(
            values.astype(dtype),
            dims=dims,
            coords={
                "y": ("y", np.arange(sizes["y"]) * 30.0, {"units": "m"}),
                "x": ("x", np.arange(sizes["x"]) * 30.0, {"units": "m"}),
                "wavelength": (
                    "wavelength",
                    spacing(kind, sizes["wavelength"], rng),
                    {"units": "nm"},
                ),
            },
            name="reflectance",
            attrs={"units": "1", "long_name": "surface reflectance"},
        )
        return cube if chunks is None else cube.chunk(chunks)

    return make


@pytest.fixture
def count_computes():
    """Context that collects the keys of all Dask tasks that run inside it."""

    @contextlib.contextmanager
    def counting():
        ran: list = []
        with Callback(pretask=lambda key, _graph, _state: ran.append(key)):
            yield ran

    return counting
