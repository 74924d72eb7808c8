"""Mean and scatter in one pass, against numpy.cov in float64."""

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import chunkings

from cubekit import kernels
from cubekit.kernels import scatter
from cubekit.kernels.products import gram, product


def spectra(n=3000, bands=7, offset=100.0, seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(bands, bands))
    return (offset + rng.normal(size=(n, bands)) @ mixing).astype(dtype)


def covariance(x, weights=None):
    return np.cov(x.astype(np.float64), rowvar=False, aweights=weights)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("order", ["C", "F", "reversed"])
@pytest.mark.parametrize("shape", [(30, 100), (100, 30), (3, 1000), (1000, 3)])
def test_any_axis_and_memory_order_gives_the_covariance(axis, order, shape):
    x = spectra()
    cube = np.moveaxis(x.reshape(*shape, 7), -1, axis)
    cube = {
        "C": np.ascontiguousarray,
        "F": np.asfortranarray,
        "reversed": lambda a: a[::-1, ::-1, ::-1],
    }[order](cube)
    got = kernels.moments(cube, axis)
    bands = slice(None, None, -1) if order == "reversed" else slice(None)
    expected = covariance(x)[bands, bands]
    np.testing.assert_allclose(got.covariance, expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(got.mean, x.mean(axis=0)[bands], rtol=1e-13)
    assert got.samples == 3000


@pytest.mark.parametrize("bands", [1, 2, 39, 40, 61])
def test_few_and_many_bands_give_the_covariance(bands):
    x = spectra(5000, bands)
    got = kernels.moments(x, 1).covariance
    np.testing.assert_allclose(
        got, covariance(x).reshape(bands, bands), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "int16", "float16", ">f4", "bool"]
)
def test_any_real_dtype_is_summed_in_float64(dtype):
    x = np.clip(spectra(offset=60), 0, 200).astype(dtype)
    np.testing.assert_allclose(
        kernels.moments(x, 1).covariance, covariance(x), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_products_of_float32_neither_overflow_nor_vanish(monkeypatch, dtype, scale):
    monkeypatch.setattr(scatter, "_FLOAT32_WORK", 0)
    x = (scale * spectra(20000, 50)).astype(dtype)
    got = kernels.moments(x, 1).covariance
    expected = covariance(x)
    error = np.abs(got - expected).max() / np.abs(expected).max()
    assert error < (1e-6 if dtype == "float32" else 1e-13)


def test_a_large_cube_of_float32_is_multiplied_in_float32(monkeypatch):
    monkeypatch.setattr(scatter, "_FLOAT32_WORK", 0)
    x = spectra(20000, 50, dtype="float32")
    assert kernels.moments(x, 1).epsilon == np.finfo(np.float32).eps
    monkeypatch.setattr(scatter, "_FLOAT32_WORK", 2**40)
    assert kernels.moments(x, 1).epsilon == np.finfo(np.float64).eps


@pytest.mark.parametrize("work", [0, 2**40])
def test_an_offset_costs_no_digits(monkeypatch, work):
    monkeypatch.setattr(scatter, "_FLOAT32_WORK", work)
    x = spectra(20000, 5, offset=3000, dtype="float32")
    expected = covariance(x)
    got = kernels.moments(x, 1).covariance
    assert np.abs(got / expected - 1).max() < (5e-6 if work == 0 else 1e-11)


@pytest.mark.parametrize("order", ["C", "F"])
def test_first_spectra_unlike_the_rest_cost_less_than_a_digit(monkeypatch, order):
    monkeypatch.setattr(scatter, "_FLOAT32_WORK", 0)
    x = spectra(16000, 5, offset=0)
    x[:100] += 1000  # of 2000 that a block of 16000 is shifted by
    x[100:2000] -= 1000
    x = np.asarray(x + 3000, "float32", order=order)
    got, expected = kernels.moments(x, 1).covariance, covariance(x)
    assert np.abs(got - expected).max() < 5e-6 * np.abs(expected).max()


@given(st.data())
def test_any_chunking_gives_the_covariance(data):
    x = spectra(60).reshape(10, 6, 7)
    axis = data.draw(st.integers(0, 2))
    cube = np.moveaxis(x, -1, axis)
    chunks = tuple(data.draw(chunkings(n)) for n in cube.shape)
    lazy = da.from_array(cube, chunks=chunks)
    with dask.config.set(scheduler="synchronous"):
        got = kernels.moments(lazy, axis)
    expected = kernels.moments(cube, axis)
    np.testing.assert_allclose(got.scatter, expected.scatter, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(got.mean, expected.mean, rtol=1e-14)


def test_threads_change_no_bit():
    x = da.from_array(spectra(4000).reshape(40, 100, 7), chunks=(7, 30, 3))
    results = []
    for threads in (1, 2, 8):
        with dask.config.set(scheduler="threads", num_workers=threads):
            results.append(kernels.moments(x, 2))
    for result in results[1:]:
        np.testing.assert_array_equal(result.scatter, results[0].scatter)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_spectra_that_miss_a_band_are_left_out(lazy, order):
    x = spectra()
    x[5, 2], x[70, 6], x[1000:2000, 0] = np.nan, np.inf, -np.inf
    whole = x[np.isfinite(x).all(axis=1)]
    cube = np.asarray(x.reshape(30, 100, 7), order=order)
    got = kernels.moments(da.from_array(cube, chunks=(7, 50, 2)) if lazy else cube, 2)
    np.testing.assert_allclose(got.covariance, covariance(whole), rtol=1e-11)
    assert (got.samples, got.dropped) == (len(whole), 3000 - len(whole))
    np.testing.assert_array_equal(got.missing, [1000, 0, 1, 0, 0, 0, 1])


def test_masked_chunks_are_missing_values():
    x = spectra(200)
    masked = np.ma.array(x, mask=np.zeros_like(x, bool))
    masked[3, 1] = np.ma.masked
    got = kernels.moments(da.from_array(masked, chunks=(50, 7)), 1)
    np.testing.assert_allclose(
        got.covariance, covariance(np.delete(x, 3, axis=0)), rtol=1e-11
    )


def test_bands_to_keep_are_the_only_ones_read():
    x = spectra().reshape(30, 100, 7)
    x[..., 3] = np.nan
    keep = np.array([0, 1, 2, 4, 5, 6])
    got = kernels.moments(x, 2, keep)
    np.testing.assert_allclose(
        got.covariance, covariance(x[..., keep].reshape(-1, 6)), rtol=1e-11
    )


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_weights_count_as_in_numpy(lazy, axis):
    x, weights = spectra(), np.random.default_rng(3).uniform(0, 5, 3000)
    weights[100:200] = 0
    cube, shaped = (
        np.moveaxis(x.reshape(30, 100, 7), -1, axis),
        weights.reshape(30, 100),
    )
    given = da.from_array(cube, chunks=3) if lazy else cube
    got = kernels.moments(given, axis, weights=shaped)
    np.testing.assert_allclose(got.covariance, covariance(x, weights), rtol=1e-10)
    np.testing.assert_allclose(got.mean, np.average(x, 0, weights), rtol=1e-12)
    assert got.samples == 2900


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_a_weight_must_be_positive_or_zero(bad):
    weights = np.ones(3000)
    weights[7] = bad
    with pytest.raises(ValueError, match="weights hold"):
        kernels.moments(spectra(), 1, weights=weights)


def test_parts_far_apart_merge_without_loss():
    a, b = spectra(offset=1e6), spectra(1000, offset=-1e6, seed=1)
    got = kernels.merge([kernels.moments(a, 1), kernels.moments(b, 1)])
    np.testing.assert_allclose(
        got.covariance, covariance(np.concatenate([a, b])), rtol=1e-12
    )


def test_a_part_of_nothing_changes_nothing():
    part, nothing = kernels.moments(spectra(), 1), kernels.moments(spectra(0), 1)
    for merged in (kernels.merge([nothing, part]), kernels.merge([part, nothing])):
        np.testing.assert_array_equal(merged.scatter, part.scatter)
    assert kernels.merge([nothing, nothing]).samples == 0
    assert not nothing.covariance.any()


def test_each_chunk_is_read_once_and_the_graph_is_small():
    read = []

    def count(block, block_info=None):
        read.append(block_info[None]["chunk-location"])
        return block

    x = da.from_array(spectra(4000).reshape(40, 100, 7), chunks=(10, 20, 3))
    counted = x.map_blocks(count, dtype=x.dtype, meta=np.empty((0, 0, 0)))
    kernels.moments(counted, 2)
    assert len(read) == len(set(read)) == x.npartitions


def test_the_input_is_not_changed():
    x = spectra()
    x[3, 2] = np.nan
    before = x.copy()
    kernels.moments(x, 1, weights=np.full(3000, 2.0))
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("rows", [0, 1, 100, 5000])
@pytest.mark.parametrize("columns", [*range(1, 18), 47, 48, 65, 130])
@pytest.mark.parametrize("order", ["C", "F"])
def test_products_in_pieces_are_the_whole_products(rows, columns, order):
    rng = np.random.default_rng(0)
    a = np.asarray(rng.normal(size=(rows, columns)), order=order)
    b = rng.normal(size=(rows, 3))
    np.testing.assert_allclose(gram(a), a.T @ a, atol=1e-9)
    np.testing.assert_allclose(product(a, b), a.T @ b, atol=1e-9)
