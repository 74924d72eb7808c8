"""The contraction, against a dense product, in every layout."""

import itertools
import os
import pickle
import subprocess
import sys
import threading
import time

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from scipy import sparse

import cubekit as ck
from cubekit import kernels
from cubekit.kernels import blockwise, contraction, linear_map, plan, sharing, tiles

N = 61


def banded(n=N, width=7, seed=0):
    """Matrix of random weights in windows that move inwards at the ends."""
    rng = np.random.default_rng(seed)
    start = np.clip(np.arange(n) - width // 2, 0, n - width)
    indices = (start[:, None] + np.arange(width)).ravel()
    return sparse.csr_array(
        (rng.normal(size=n * width), indices, np.arange(0, n * width + 1, width)),
        (n, n),
    )


def projection(n=N, rows=5, step=1):
    """Matrix of a few outputs that meet every input, or every so many of them."""
    matrix = np.zeros((rows, n))
    matrix[:, ::step] = np.random.default_rng(0).normal(size=matrix[:, ::step].shape)
    return sparse.csr_array(matrix)


def dense_product(matrix, x, axis):
    return np.moveaxis(np.tensordot(matrix.toarray(), x, (1, axis)), 0, axis)


def layouts():
    """Arrays of one content with the axis at each place, in several orders of "
    "memory."""
    rng = np.random.default_rng(1)
    for axis in range(3):
        shape = [3, 4]
        shape.insert(axis, N)
        x = rng.normal(size=shape)
        yield axis, x
        yield axis, np.asfortranarray(x)
        yield axis, x[::-1, ::-1, ::-1]
        yield axis, np.repeat(x, 2, axis=2)[:, :, ::2]


@pytest.mark.parametrize("number", range(12))
def test_any_axis_and_memory_order_gives_the_dense_product(number):
    axis, x = next(itertools.islice(layouts(), number, None))
    got = kernels.contract(x, banded(), axis)
    np.testing.assert_allclose(got, dense_product(banded(), x, axis), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_spectra_that_fill_pages_of_memory_give_the_dense_product(dtype):
    x = (100 * np.random.default_rng(0).normal(size=(40, 1024))).astype(dtype)
    got = kernels.contract(x, banded(1024), 1)
    assert got.shape == x.shape
    size = 1e-6 if got.dtype == np.float32 else 1e-15
    np.testing.assert_allclose(
        got, dense_product(banded(1024), x, 1), atol=size * 100 * 30
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("float16", "float32"),
        ("float32", "float32"),
        (">f4", "float32"),
        ("float64", "float64"),
        ("uint8", "float32"),
        ("int16", "float32"),
        ("uint16", "float32"),
        ("int32", "float64"),
        ("bool", "float32"),
    ],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_dtypes_are_cast_once_and_the_result_is_float32_at_least(given, expected, axis):
    x = np.random.default_rng(2).integers(0, 100, (N, N)).astype(given)
    got = kernels.contract(x, banded(), axis)
    assert got.dtype == np.dtype(expected)
    exact = dense_product(banded(), x.astype(np.float64), axis)
    np.testing.assert_allclose(
        got,
        exact,
        atol=20 * np.finfo(expected).eps * 100 * np.abs(banded()).sum(1).max(),
    )


def test_unsigned_values_do_not_wrap_in_a_difference():
    step = sparse.csr_array(np.array([[-1.0, 1.0]]))
    assert kernels.contract(np.array([5, 3], np.uint16), step, 0).tolist() == [-2]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [7, 31])
def test_one_bad_value_changes_exactly_the_outputs_that_it_supports(
    bad, axis, dtype, width
):
    matrix = banded(width=width)
    shape = [23, 19]
    shape.insert(axis, N)
    x = np.random.default_rng(3).normal(size=shape).astype(dtype)
    clean = kernels.contract(x, matrix, axis)
    for place in [(0, 0, 0), (4, 30, 17), (22, 60, 18)]:
        sample = list(place)
        sample.insert(axis, sample.pop(1))
        spoilt = x.copy()
        spoilt[tuple(sample)] = bad
        got = kernels.contract(spoilt, matrix, axis)
        hit = np.zeros(x.shape, bool)
        index = [*sample]
        index[axis] = slice(None)
        hit[tuple(index)] = matrix.toarray()[:, sample[axis]] != 0
        assert np.isnan(got[hit]).all()
        np.testing.assert_array_equal(got[~hit], clean[~hit])


@pytest.mark.parametrize("number", range(12))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_bad_value_leaves_all_other_bits_in_every_layout(number, dtype):
    axis, x = next(itertools.islice(layouts(), number, None))
    clean = x.astype(dtype, order="K")
    spoilt = clean.copy(order="K")
    place = [2, 2, 2]
    place[axis] = 30
    spoilt[tuple(place)] = np.nan
    if any(step < 0 for step in x.strides):  # which copies do not keep
        clean, spoilt = (v[::-1, ::-1, ::-1] for v in (clean, spoilt))
    hit = dense_product(banded(), np.isnan(spoilt).astype(float), axis) != 0
    clean, got = (kernels.contract(v, banded(), axis) for v in (clean, spoilt))
    np.testing.assert_array_equal(np.isnan(got), hit)
    np.testing.assert_array_equal(got[~hit], clean[~hit])


def test_rows_that_run_backwards_keep_their_bits_too():
    x = np.random.default_rng(7).normal(size=(32, 79)).astype(np.float32)[::-1]
    row = sparse.csr_array(([0.3, -0.4, 0.7], [40, 41, 42], [0, 3]), (1, 79))
    clean = kernels.contract(x, row, 1)
    x[[3, 20], 41] = np.nan
    got = kernels.contract(x, row, 1)
    assert np.flatnonzero(np.isnan(got)).tolist() == [3, 20]
    np.testing.assert_array_equal(np.delete(got, [3, 20]), np.delete(clean, [3, 20]))


def test_the_bits_are_kept_by_the_products_of_another_processor():
    # OpenBLAS multiplies otherwise on each; this one is in all that have 64 bits
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "bad_value", __file__],
        env={**os.environ, "OPENBLAS_CORETYPE": "Nehalem"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("share", [0.0003, 0.02, 0.9])
@pytest.mark.parametrize("bad_value", [np.nan, -np.inf])
@pytest.mark.parametrize("kind", ["banded", "projection"])
def test_few_and_many_tainted_spectra_leave_the_other_outputs_as_they_are(
    axis, share, bad_value, kind
):
    matrix = banded() if kind == "banded" else projection()
    rng = np.random.default_rng(6)
    x = rng.normal(size=(9000, N)).astype(np.float32)
    bad = rng.random(x.shape) < share / N * 5
    bad[4000:6000] = rng.random((2000, N)) < 0.1  # many in some blocks in any case
    spoilt = np.where(bad, np.float32(bad_value), x)
    if axis == 0:
        x, spoilt = np.ascontiguousarray(x.T), np.ascontiguousarray(spoilt.T)
    offset = np.arange(matrix.shape[0], dtype=np.float64)
    clean, got = (kernels.contract(v, matrix, axis, offset=offset) for v in (x, spoilt))
    hit = bad.astype(np.float32) @ (matrix.toarray() != 0).T > 0
    hit = hit if axis == 1 else hit.T
    np.testing.assert_array_equal(np.isnan(got), hit)
    np.testing.assert_array_equal(got[~hit], clean[~hit])


def test_a_zero_weight_that_is_stored_is_support():
    central = sparse.csr_array(([-0.5, 0.0, 0.5], [0, 1, 2], [0, 3]), (1, 3))
    assert np.isnan(kernels.contract(np.array([1.0, np.nan, 3.0]), central, 0))[0]
    outer = sparse.csr_array(([-0.5, 0.5], [0, 2], [0, 2]), (1, 3))
    assert kernels.contract(np.array([1.0, np.nan, 3.0]), outer, 0)[0] == 1


def test_a_whole_missing_band_spoils_its_windows_only():
    matrix = banded()
    x = np.random.default_rng(4).normal(size=(N, 5000)).astype(np.float32)
    x[20] = np.nan
    hit = matrix.toarray()[:, 20] != 0
    got = kernels.contract(x, matrix, 0)
    np.testing.assert_array_equal(np.isnan(got).all(axis=1), hit)
    np.testing.assert_array_equal(np.isnan(got).any(axis=1), hit)
    by_spectra = kernels.contract(np.ascontiguousarray(x.T), matrix, 1)
    np.testing.assert_array_equal(np.isnan(by_spectra).all(axis=0), hit)


def test_large_finite_values_are_no_missing_values():
    x = np.full((N, 3), 3e38, np.float32)
    identity = sparse.csr_array(sparse.eye_array(N))
    np.testing.assert_array_equal(kernels.contract(x, identity, 0), x)
    np.testing.assert_array_equal(kernels.contract(x.T, identity, 1), x.T)


@pytest.mark.parametrize("axis", [0, 1])
def test_undefined_rows_are_nan_and_hide_no_other_nan(axis):
    """A run of undefined outputs as long as a tile, and a NaN far from it."""
    rows = slice(10, 45)
    matrix = banded()
    matrix.data[matrix.indptr[rows.start] : matrix.indptr[rows.stop]] = np.nan
    x = np.random.default_rng(5).normal(size=(N, N))
    index = [0, 0]
    index[1 - axis], index[axis] = 3, 55
    x[tuple(index)] = np.nan
    got = np.moveaxis(kernels.contract(x, matrix, axis), axis, 0)
    expected = np.moveaxis(kernels.contract(x, banded(), axis), axis, 0)
    assert np.isnan(got[rows]).all()
    np.testing.assert_array_equal(np.delete(got, rows, 0), np.delete(expected, rows, 0))
    assert np.isnan(expected).sum() == (banded().toarray()[:, 55] != 0).sum()


@pytest.mark.parametrize("axis", [0, 1])
def test_bad_values_are_found_where_each_tile_has_other_undefined_rows(axis):
    matrix = banded()
    for row in range(N):
        if (row % 16 < 8) == (row % 8 < 4):  # no row of 8 is defined in all tiles
            matrix.data[matrix.indptr[row] : matrix.indptr[row + 1]] = np.nan
    x = np.random.default_rng(6).normal(size=(N, 30))
    clean = kernels.contract(x, matrix, 0)
    x[26, 3] = np.nan
    got = kernels.contract(x if axis == 0 else x.T.copy(), matrix, axis)
    got = got if axis == 0 else got.T
    hit = np.zeros(x.shape, bool)
    hit[matrix.toarray()[:, 26] != 0, 3] = True
    np.testing.assert_allclose(got, np.where(hit, np.nan, clean), rtol=1e-12)


def test_all_rows_undefined_give_nan():
    matrix = banded()
    matrix.data[:] = np.nan
    assert np.isnan(kernels.contract(np.ones((N, 4)), matrix, 0)).all()


def test_supports_that_are_far_apart_are_gathered():
    n = 400
    seam = sparse.csr_array((np.ones(3), [0, 1, n - 1], [0, 3]), (1, n))
    x = np.random.default_rng(6).normal(size=(5, n, 3))
    np.testing.assert_allclose(
        kernels.contract(x, seam, 1)[:, 0], x[:, 0] + x[:, 1] + x[:, -1], rtol=1e-14
    )
    x[2, 1, 1] = np.nan
    assert np.isnan(kernels.contract(x, seam, 1)).sum() == 1
    assert np.isnan(kernels.contract(np.moveaxis(x, 1, 2).copy(), seam, 2)).sum() == 1


def test_an_output_that_depends_on_nothing_is_zero():
    nothing = sparse.csr_array((2, 3))
    assert kernels.contract(np.full(3, np.nan), nothing, 0).tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(0, N), (3, 0, N), (N, 0)])
def test_empty_cubes_stay_empty(shape):
    axis = shape.index(N)
    assert kernels.contract(np.zeros(shape), banded(), axis).shape == shape


@pytest.mark.parametrize("width", [3, 31, 61])
@pytest.mark.parametrize("axis", [0, 1])
def test_wide_and_narrow_windows_take_the_same_road(width, axis):
    x = np.random.default_rng(7).normal(size=(N, N))
    matrix = banded(width=width)
    np.testing.assert_allclose(
        kernels.contract(x, matrix, axis), dense_product(matrix, x, axis), atol=1e-12
    )


@pytest.mark.parametrize("number", range(12))
@pytest.mark.parametrize(
    "matrix", [banded(), *map(projection, [N] * 3, [5, 40, 5], [1, 1, 2])]
)
@pytest.mark.parametrize("shift_last", [False, True])
@pytest.mark.parametrize("chunks", [None, (2, 2, 2), (-1, -1, -1)])
def test_what_is_taken_off_first_or_last_is_the_shift(
    number, matrix, shift_last, chunks
):
    axis, x = next(itertools.islice(layouts(), number, None))
    rng = np.random.default_rng(2)
    shift, offset = rng.normal(size=N), rng.normal(size=matrix.shape[0])
    at = [-1 if k == axis else 1 for k in range(3)]
    exact = dense_product(matrix, x - shift.reshape(at), axis) + offset.reshape(at)
    data = x if chunks is None else da.from_array(x, chunks)
    got = kernels.contract(
        data, matrix, axis, shift=shift, offset=offset, shift_last=shift_last
    )
    np.testing.assert_allclose(got, exact, atol=1e-12)


def test_a_shift_of_spectra_is_taken_off_last_where_that_may_be():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(1000, N)).astype(np.float32)
    shift = np.full(N, 0.1)
    last = kernels.contract(x, projection(), 1, offset=-(projection() @ shift))
    for may, same in ((True, True), (False, False)):
        got = kernels.contract(x, projection(), 1, shift=shift, shift_last=may)
        assert np.array_equal(got, last) == same
    many = [  # of several tiles, which read spectra more than once
        kernels.contract(x, projection(rows=40), 1, shift=shift, shift_last=may)
        for may in (True, False)
    ]
    np.testing.assert_array_equal(*many)


def test_parts_of_a_map_and_those_of_other_processes_may_take_it_off_last_too():
    linear = linear_map.LinearMap(projection(), shift=np.ones(N), shift_last=True)
    everything = np.arange(N)
    parts = linear.rows(0, 2), linear.columns(everything), linear
    for part in (*parts, pickle.loads(pickle.dumps(linear))):
        assert part.shift_last
        assert part.plan(np.dtype("f4"), spectra=True).shift is None
    assert linear.plan(np.dtype("f4"), spectra=False).shift is not None


@pytest.mark.parametrize("threads", [1, 3])
def test_work_that_is_shared_out_comes_back_in_order(threads):
    first = threading.Event()

    def work(part):
        if part == 0 and threads > 1:  # the others go on meanwhile
            assert first.wait(10)
        if part == 9:
            first.set()
        return part**2

    assert kernels.shared_out(work, range(10), threads) == [k**2 for k in range(10)]


def test_work_that_fails_in_any_thread_fails():
    here = threading.get_ident()
    both = threading.Barrier(2, timeout=10)

    def work(fails):
        both.wait()
        if (threading.get_ident() == here) == fails:
            raise OSError("no")

    for fails in (True, False):
        with pytest.raises(OSError, match="no"):
            kernels.shared_out(work, [fails] * 2, 2)


def test_after_a_failure_no_other_part_is_begun():
    begun = []

    def work(part):
        begun.append(part)
        if part == 0:
            raise OSError("no")
        time.sleep(0.01)

    with pytest.raises(OSError, match="no"):
        kernels.shared_out(work, range(1000), 2)
    assert len(begun) < 100


def test_no_more_threads_than_parts_begin(monkeypatch):
    asked = []

    class Pool(sharing.concurrent.futures.ThreadPoolExecutor):
        def __init__(self, threads):
            asked.append(threads)
            super().__init__(threads)

    monkeypatch.setattr(sharing.concurrent.futures, "ThreadPoolExecutor", Pool)
    assert kernels.shared_out(str, range(3), 16) == ["0", "1", "2"]
    assert asked == [2]


@pytest.mark.parametrize("axis", [0, 2])
def test_any_number_of_threads_gives_the_same_bits(axis):
    shape = [200, 300]
    shape.insert(axis, N)
    x = np.random.default_rng(8).normal(size=shape).astype(np.float32)
    x.ravel()[::997] = np.nan
    linear = linear_map.LinearMap(banded())
    one = contraction.contract_array(x, linear, axis, threads=1)
    three = contraction.contract_array(x, linear, axis, threads=3)
    np.testing.assert_array_equal(one, three)
    with dask.config.set(scheduler="synchronous"):
        np.testing.assert_array_equal(kernels.contract(x, banded(), axis), one)
    with dask.config.set(num_workers=2):
        np.testing.assert_array_equal(kernels.contract(x, banded(), axis), one)


def random_chunks(rng, n):
    edges = np.sort(rng.choice(np.arange(1, n), rng.integers(0, min(6, n - 1)), False))
    return tuple(int(c) for c in np.diff([0, *edges, n]))


@pytest.mark.parametrize("seed", range(12))
def test_any_chunks_give_the_numpy_result(seed):
    rng = np.random.default_rng(seed)
    axis = int(rng.integers(3))
    shape = [5, 6]
    shape.insert(axis, N)
    x = rng.normal(size=shape)
    x[tuple(rng.integers(s) for s in shape)] = np.nan
    chunks = [random_chunks(rng, s) for s in shape]
    if seed % 3 == 0:
        chunks[axis] = (1,) * N
    expected = kernels.contract(x, banded(), axis)
    lazy = kernels.contract(da.from_array(x, chunks), banded(), axis)
    assert lazy.chunks == tuple(chunks)
    assert lazy.dtype == expected.dtype
    got = lazy.compute()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("chunks", [61, (20, 20, 21), (1,) * 61, 7])
def test_a_projection_adds_the_parts_of_each_chunk(chunks):
    rng = np.random.default_rng(9)
    projection = sparse.csr_array(rng.normal(size=(3, N)))
    x = rng.normal(size=(4, N, 5))
    x[1, 7, 2] = np.nan
    lazy = kernels.contract(da.from_array(x, (2, chunks, 5)), projection, 1)
    assert lazy.chunks[1] in {(3,), (1, 1, 1)}
    got, expected = lazy.compute(), dense_product(projection, x, 1)
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


def test_more_outputs_than_inputs_are_cut_into_chunks_like_the_input():
    longer = sparse.csr_array(np.ones((10, 4)))
    lazy = kernels.contract(da.ones((4, 2), chunks=(2, 2)), longer, 0)
    assert lazy.chunks[0] == (2,) * 5
    np.testing.assert_array_equal(lazy.compute(), np.full((10, 2), 4.0))


@pytest.mark.parametrize("chunks", [(4, 61, 5), (4, 13, 5), (1, 1, 1), (2, 30, 2)])
def test_at_most_three_tasks_are_added_for_a_chunk(chunks):
    x = da.zeros((4, N, 5), chunks=chunks)
    for matrix in (banded(), sparse.csr_array(np.ones((3, N)))):
        lazy = kernels.contract(x, matrix, 1)
        added = len(lazy.__dask_graph__()) - len(x.__dask_graph__())
        assert added <= 3 * x.npartitions


@pytest.mark.parametrize(
    ("chunks", "plans"),
    [((3, N, 2), 1), ((3, 20, 2), 4), ((3, N, 1), 1), ((3, N, (4, 3, 1)), 2)],
)
def test_chunks_share_the_plan_of_their_part_of_the_matrix(chunks, plans, monkeypatch):
    made = []
    begin = plan.Plan.__init__

    def counted(self, *args, **options):
        made.append(self)
        begin(self, *args, **options)

    x = np.random.default_rng(0).normal(size=(12, N, 8))
    expected = kernels.contract(x, banded(), 1)
    lazy = kernels.contract(da.from_array(x, chunks), banded(), 1)
    monkeypatch.setattr(plan.Plan, "__init__", counted)
    with dask.config.set(scheduler="synchronous"):
        got = lazy.compute()
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    assert len(made) == plans


def test_a_map_travels_without_its_plans():
    x = np.random.default_rng(0).normal(size=(50, N))
    x[7, 3] = np.nan
    fit = kernels.LocalFit(np.arange(N), np.arange(N), 2, 0)
    linear = linear_map.LinearMap(banded(), fit)
    new = pickle.dumps(linear)
    done = contraction.contract_array(x, linear, 1)
    assert pickle.dumps(linear) == new
    again = contraction.contract_array(x, pickle.loads(new), 1)
    np.testing.assert_array_equal(again, done)


def changed(array, by):
    """Copy of an array with another value in the middle."""
    array = array.copy()
    array[len(array) // 2] += by
    return array


@pytest.mark.parametrize(
    "part", ["nothing", "indices", "data", "fit", "shift", "offset", "last"]
)
def test_equal_work_has_equal_names_and_other_work_has_not(part):
    # so long that their texts leave out where they differ, and by less than these show
    n = 1200
    x = da.zeros((4, n), chunks=(2, n))
    matrix, given = banded(n), {"shift": np.ones(n), "offset": np.ones(n)}
    if part == "fit":
        given = {"fit": kernels.LocalFit(np.arange(n) / 7, np.arange(n) / 7, 2, 0)}
    name = kernels.contract(x, matrix, 1, **given).name
    other = matrix.copy()
    if part == "indices":
        middle = 7 * (n // 2) + 6
        other.indices[middle] += 1
    elif part == "data":
        other.data = changed(other.data, 1e-14)
    elif part == "fit":
        fit = given["fit"]
        given["fit"] = kernels.LocalFit(fit.inputs, changed(fit.outputs, 1e-12), 2, 0)
    elif part in {"shift", "offset"}:
        given[part] = changed(given[part], 1e-14)
    elif part == "last":
        given["shift_last"] = True
    equal = kernels.contract(x, other, 1, **given).name == name
    assert equal == (part == "nothing")


@pytest.mark.parametrize(
    "work",
    [
        lambda cube: ck.savgol_filter(cube, 11, 3),
        lambda cube: ck.savgol_filter(cube, 11, 3, missing="refit"),
        lambda cube: ck.derivative(cube, "wavelength"),
    ],
)
def test_cubes_whose_axes_differ_in_one_band_are_computed_side_by_side(work):
    wavelength = np.linspace(400, 2400, 400)
    values = da.from_array(np.random.default_rng(0).normal(size=(4, 400)), (2, 400))
    both = [
        work(xr.DataArray(values, {"wavelength": w}, ("x", "wavelength")))
        for w in (wavelength, changed(wavelength, 2))
    ]
    for got, alone in zip(dask.compute(*both), both, strict=True):
        np.testing.assert_array_equal(got, alone.compute())


def test_masked_chunks_are_missing_values():
    x = da.from_array(np.ma.masked_equal(np.arange(N), 30), chunks=20)
    got = kernels.contract(x, banded(), 0).compute()
    np.testing.assert_array_equal(np.isnan(got), banded().toarray()[:, 30] != 0)


@pytest.mark.parametrize("number", range(12))
def test_shift_and_offset_are_applied_in_every_layout(number):
    axis, x = next(itertools.islice(layouts(), number, None))
    rng = np.random.default_rng(5)
    shift, offset = rng.normal(size=N), rng.normal(size=N)
    got = kernels.contract(x, banded(), axis, shift=shift, offset=offset)
    along = [-1 if k == axis else 1 for k in range(3)]
    moved = x - shift.reshape(along)
    expected = dense_product(banded(), moved, axis) + offset.reshape(along)
    np.testing.assert_allclose(got, expected, atol=1e-12)


@pytest.mark.parametrize("chunk", [1, 9, 20, N])
@pytest.mark.parametrize("outputs", [3, N])
def test_shift_and_offset_are_applied_once_in_every_chunking(chunk, outputs):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(4, N, 5))
    shift, offset = rng.normal(size=N), rng.normal(size=outputs)
    matrix = sparse.csr_array(rng.normal(size=(outputs, N)))
    lazy = da.from_array(x, chunks=(2, chunk, 3))
    got = kernels.contract(lazy, matrix, 1, shift=shift, offset=offset)
    expected = kernels.contract(x, matrix, 1, shift=shift, offset=offset)
    np.testing.assert_allclose(got, expected, atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_shift_near_the_data_loses_no_digit_of_float32(axis):
    rng = np.random.default_rng(5)
    true = 3000.1 + rng.normal(size=(N, N))
    x = true.astype(np.float32)
    shift = np.full(N, 3000.1)
    got = kernels.contract(x, banded(), axis, shift=shift)
    expected = dense_product(banded(), x.astype(float) - 3000.1, axis)
    np.testing.assert_allclose(got, expected, atol=3e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shift", [None, np.linspace(0, 3000, 15)])
def test_few_outputs_of_many_spectra_are_the_dense_product(axis, shift):
    dense = np.random.default_rng(7).normal(size=(5, 15))
    spectra = np.random.default_rng(8).normal(size=(197, 101, 15))
    spectra[20, 30, 2], spectra[190, 100, 14] = np.nan, np.inf
    x = np.ascontiguousarray(np.moveaxis(spectra, -1, axis))
    got = kernels.contract(x, sparse.csr_array(dense), axis, shift=shift)
    expected = (spectra - (0 if shift is None else shift)) @ dense.T
    expected[20, 30] = expected[190, 100] = np.nan
    np.testing.assert_allclose(np.moveaxis(got, axis, -1), expected, atol=1e-9)


@pytest.mark.parametrize("axis", [0, 1])
def test_outputs_that_depend_on_nothing_are_zero_beside_others(axis):
    dense = np.zeros((40, 15))
    dense[:20] = np.random.default_rng(7).normal(size=(20, 15))
    x = np.random.default_rng(8).normal(size=(15, 40_000))
    got = kernels.contract(x if axis == 0 else x.T, sparse.csr_array(dense), axis)
    got = got if axis == 0 else got.T
    np.testing.assert_allclose(got, dense @ x, atol=1e-12)
    got = kernels.contract(
        np.ascontiguousarray(x if axis == 0 else x.T), sparse.csr_array(dense), axis,
        shift=np.ones(15),
    )  # fmt: skip
    got = got if axis == 0 else got.T
    np.testing.assert_allclose(got, dense @ (x - 1), atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1])
def test_an_input_that_no_output_depends_on_is_not_read(axis, monkeypatch):
    monkeypatch.setattr(blockwise.Blockwise, "_localise", None)
    monkeypatch.setattr(blockwise.Blockwise, "_mend", None)
    dense = banded().toarray()[:8]
    dense[:, 5] = 0
    x = np.random.default_rng(1).normal(size=(N, N))
    clean = kernels.contract(x, sparse.csr_array(dense), axis)
    (x if axis == 0 else x.T)[5] = np.nan
    np.testing.assert_array_equal(
        kernels.contract(x, sparse.csr_array(dense), axis), clean
    )


@pytest.mark.parametrize("n", [64, 1001])
def test_stencils_that_lean_to_either_side_make_one_run_of_tiles(n):
    """Many short runs are as many calls: they took three times as long."""
    rng = np.random.default_rng(0)
    start = np.clip(np.arange(n) - rng.integers(1, 3, n), 0, n - 4)
    indices = (start[:, None] + np.arange(4)).ravel()
    weights = rng.normal(size=4 * n)
    matrix = sparse.csr_array((weights, indices, np.arange(0, 4 * n + 1, 4)), (n, n))
    runs = tiles.cut(matrix, 8)
    assert len(runs) <= 5  # the inner ones, and those at both ends
    for run in runs:
        for k in range(run.tiles):
            rows = slice(run.row + k * run.rows, run.row + (k + 1) * run.rows)
            columns = matrix[rows].indices
            first = run.column + k * run.step
            assert first <= columns.min() <= columns.max() < first + run.columns
            assert 0 <= first <= first + run.columns <= n
    x = rng.normal(size=(n, 50))
    x[n // 2, 7] = np.nan
    got = kernels.contract(x, matrix, 0)
    clean = np.nan_to_num(x)
    spoilt = (matrix != 0).toarray()[:, [n // 2]] & np.isnan(x[n // 2])
    want = np.where(spoilt, np.nan, matrix @ clean)
    np.testing.assert_allclose(got, want, atol=1e-12)


@pytest.mark.parametrize("outputs", [2, 9, 16, 17, 33, 41])
@pytest.mark.parametrize("rows", [8, 16])
def test_no_tile_has_a_single_output_beside_others(outputs, rows):
    runs = tiles.cut(banded()[:outputs], rows)
    assert min(run.rows for run in runs) > 1
    assert sum(run.rows * run.tiles for run in runs) == outputs


def test_a_single_output_and_none_are_cut_too():
    assert [run.rows for run in tiles.cut(banded()[:1], 8)] == [1]
    assert tiles.cut(banded()[:0], 8) == []
