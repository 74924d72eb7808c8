"""Chains of contractions, sums of chains, and where a measure is least."""

import dask
import dask.array as da
import numpy as np
import pytest
from scipy import sparse

from cubekit import kernels
from cubekit.kernels import stack


def matrices():
    rng = np.random.default_rng(0)
    return [sparse.csr_array(rng.normal(size=(n, n))) for n in (4, 5, 6)]


@pytest.mark.parametrize("chunks", [None, (2, 3, 6), (1, 1, 1)])
def test_components_are_sums_of_chains(chunks):
    A, B, C = matrices()
    x = np.random.default_rng(1).normal(size=(4, 5, 6))
    components = [
        (((A, 0), (B, 1)), ((C, 2),)),
        (((A, 0), (C, 2)),),
        (((A, 0), (B, 1)), ((C, 2),)),
    ]
    AB = np.einsum("ai,bj,ijk->abk", A.toarray(), B.toarray(), x)
    AC = np.einsum("ai,ck,ijk->ajc", A.toarray(), C.toarray(), x)
    onlyC = np.einsum("ck,ijk->ijc", C.toarray(), x)
    want = np.array([AB + onlyC, AC, AB + onlyC])
    made = x if chunks is None else da.from_array(x, chunks=chunks)
    got = kernels.contract_stack(made, components, (3,))
    assert isinstance(got, da.Array) == (chunks is not None)
    np.testing.assert_allclose(np.asarray(got), want, atol=1e-13)
    for part, one in zip(kernels.contract_each(made, components), want, strict=True):
        np.testing.assert_allclose(np.asarray(part), one, atol=1e-13)


def test_what_chains_begin_with_is_contracted_once(monkeypatch):
    calls = []
    contract = stack.contract

    def counted(x, matrix, axis, *, out=None):
        calls.append(axis)
        return contract(x, matrix, axis, out=out)

    monkeypatch.setattr(stack, "contract", counted)
    A, B, C = matrices()
    components = [
        (((A, 0), (B, 1)),),
        (((A, 0), (C, 2)),),
        (((A, 0), (B, 1)),),
        (((A, 0),),),
    ]
    kernels.contract_stack(np.ones((4, 5, 6)), components, (2, 2))
    assert calls == [0, 1, 2, 0]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_a_stack_has_the_order_of_memory_of_its_array(order):
    A, B, _ = matrices()
    x = np.random.default_rng(1).normal(size=(4, 5, 6))
    turned = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
    got = kernels.contract_stack(turned, [(((A, 0),),), (((B, 1),),)], (2,))
    want = kernels.contract_stack(x, [(((A, 0),),), (((B, 1),),)], (2,))
    np.testing.assert_allclose(got, want, atol=1e-13)
    assert [got.strides.index(s) for s in sorted(got.strides)] == [
        *(1 + k for k in reversed(order)),
        0,
    ]


def test_positions_that_are_missing_take_nothing():
    index = np.array([1.0, np.nan, 0.0])
    got = kernels.take(np.array([3, 5]), index)
    np.testing.assert_array_equal(got, [5.0, np.nan, 3.0])
    lazy = kernels.take(np.array([3, 5]), da.from_array(index, chunks=1))
    np.testing.assert_array_equal(lazy.compute(), [5.0, np.nan, 3.0])
    times = np.array(["2026-01-01", "2026-01-02"], "M8[s]")
    assert np.isnat(kernels.take(times, index)).tolist() == [False, True, False]


def test_of_equal_measures_the_first_is_taken_for_any_chunks():
    measure, values = np.ones((6, 7)), np.zeros((6, 7))
    measure[:, :2] = 2
    want = kernels.least(measure, values, 1.0, (0, 1))
    assert want.tolist() == [1.0, 0.0, 2.0]
    for chunks in ((1, 1), (2, 3), (6, 4)):
        lazy = kernels.least(
            da.from_array(measure, chunks=chunks),
            da.from_array(values, chunks=chunks),
            1.0,
            (0, 1),
        )
        assert lazy.compute().tolist() == want.tolist()


def test_large_chunks_are_cut_and_small_ones_are_not():
    small = da.zeros((4, 300, 200), chunks=(4, 100, 200))
    assert kernels.in_pieces(small).chunks == small.chunks
    large = da.zeros((4, 3000, 2000), chunks=(4, 1700, 2000), dtype="f4")
    cut = kernels.in_pieces(large)
    sizes = [max(lengths) for lengths in cut.chunks]
    assert np.prod(sizes) <= 2**21
    for before, after in zip(large.chunks, cut.chunks, strict=True):
        assert set(np.cumsum(before)) <= set(np.cumsum(after))
    values = np.zeros((2, 3))
    assert kernels.in_pieces(values) is values


def test_an_axis_is_made_whole_and_the_chunks_of_the_others_stay():
    split = da.zeros((6, 40, 90), chunks=(6, 20, 30))
    assert kernels.whole_along(split, [2], "f").chunks == ((6,), (20, 20), (90,))
    assert kernels.whole_along(split, [0], "f") is split


def test_chunks_that_would_be_too_large_when_whole_are_cut_and_that_is_said():
    images = da.zeros((285, 1000, 1500), chunks=(1, 1000, 1000), dtype="f4")
    told = (
        r"f: 285 samples in 285 chunks wanted whole\. Chunks of \(285, 1000, 1000\) "
        r"would take 1\.1 GB, so they are cut to \(285, 117, 1000\), .*"
        r'cubekit\.rechunk\(\.\.\., layout="spectra"\)'
    )
    with pytest.warns(UserWarning, match=told):
        whole = kernels.whole_along(images, [0], "f")
    assert whole.chunksize == (285, 117, 1000)
    with dask.config.set({"array.chunk-size": "2GB"}):  # no warning, or it is an error
        assert kernels.whole_along(images, [0], "f").chunksize == (285, 1000, 1000)
