"""Axes and cubes for property tests."""

from __future__ import annotations

import numpy as np
import xarray as xr
from hypothesis import strategies as st

import cubekit as ck

DTYPES = ("float32", "float64", "float16", "int16", "uint16")


@st.composite
def coordinates(draw, min_size=3, max_size=40):
    """Strictly monotonic coordinates, some descending, some nearly duplicate."""
    n = draw(st.integers(min_size, max_size))
    seed = draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    kind = draw(st.sampled_from(["uniform", "jittered", "gapped", "near-duplicate"]))
    step = np.ones(n - 1)
    if kind == "jittered":
        step = rng.uniform(0.3, 3.0, n - 1)
    elif kind == "gapped":
        step[rng.integers(0, n - 1)] = 30.0
    elif kind == "near-duplicate":
        step[rng.integers(0, n - 1)] = 0.02
    scale = draw(st.sampled_from([1.0, 7.4, 1e-9]))
    start = draw(st.sampled_from([0.0, 380.0, -5.0]))
    values = scale * (start + np.concatenate([[0], np.cumsum(step)]))
    return values[::-1].copy() if draw(st.booleans()) else values


@st.composite
def axes(draw, dim="wavelength", min_size=3, max_size=40):
    """An Axis over such coordinates."""
    return ck.Axis(dim, draw(coordinates(min_size, max_size)), units="nm")


@st.composite
def chunkings(draw, n):
    """Chunks along an axis of n samples: one, equal, uneven, all of size one."""
    kind = draw(st.sampled_from(["one", "ones", "equal", "uneven"]))
    if kind == "one":
        return (n,)
    if kind == "ones":
        return (1,) * n
    if kind == "equal":
        return draw(st.integers(1, n))
    edges = draw(st.sets(st.integers(1, n - 1), max_size=5)) if n > 1 else set()
    return tuple(np.diff([0, *sorted(edges), n]).tolist())


@st.composite
def cubes(draw, min_size=3, max_size=40, dtypes=DTYPES):
    """A cube with such an axis at any position, with or without NaN and Inf."""
    values = draw(coordinates(min_size, max_size))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    position = draw(st.integers(0, 2))
    shape = [draw(st.integers(1, 4)), draw(st.integers(1, 4))]
    shape.insert(position, len(values))
    dims = ["y", "x"]
    dims.insert(position, "wavelength")
    dtype = draw(st.sampled_from(dtypes))
    data = rng.normal(1000, 100, shape).astype(dtype)
    if data.dtype.kind == "f" and draw(st.booleans()):
        data[rng.random(shape) < 0.05] = draw(
            st.sampled_from([np.nan, np.inf, -np.inf])
        )
    return xr.DataArray(data, dims=dims, coords={"wavelength": values}, name="cube")
