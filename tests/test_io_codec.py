"""The encoding of chunks, against HDF5 itself."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

import cubekit as ck
from cubekit.io.codec import Codec, codec_from_filters, fletcher32

DTYPES = ["i1", "u2", "f4", "f8", ">i2", ">f8"]
FILTERS = {
    "deflate": {"compression": 4},
    "shuffle and deflate": {"compression": 1, "shuffle": True},
    "shuffle": {"shuffle": True},
    "checksum": {"fletcher32": True},
    "all": {"compression": 6, "shuffle": True, "fletcher32": True},
}
NUMBERS = {"deflate": 1, "shuffle": 2, "checksum": 3}


def hdf5_chunk(path, values, **options):
    """One chunk as HDF5 stores it, and the filters it says it used."""
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=values, chunks=values.shape, **options)
        dataset = file["x"].id
        plist = dataset.get_create_plist()
        found = [plist.get_filter(k) for k in range(plist.get_nfilters())]
        return dataset.read_direct_chunk((0,) * values.ndim)[1], found


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    return np.cumsum(rng.integers(-9, 9, (7, 33, 5)), axis=1)


@pytest.mark.parametrize("options", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_chunks_of_hdf5_are_decoded(tmp_path, values, dtype, options):
    values = values.astype(dtype)
    stored, filters = hdf5_chunk(tmp_path / "a.h5", values, **options)
    codec = codec_from_filters(values.itemsize, [(f[0], f[2]) for f in filters])
    assert bytes(codec.decode(stored, values.nbytes)) == values.tobytes()


@pytest.mark.parametrize("options", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("level", ["fast", 1, 9])
def test_encoded_chunks_are_read_by_hdf5(tmp_path, values, options, level):
    values = values.astype("f4")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset(
            "x", values.shape, "f4", chunks=values.shape, **options
        )
        plist = made.id.get_create_plist()
        numbers = tuple(plist.get_filter(k)[0] for k in range(plist.get_nfilters()))
        made.id.write_direct_chunk((0, 0, 0), Codec(4, numbers, level).encode(values))
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(file["x"][...], values)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 719, 720, 721, 8192, 8193, 100_001])
def test_checksum_is_that_of_hdf5(tmp_path, size):
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    if size:
        stored, _ = hdf5_chunk(tmp_path / "a.h5", data, fletcher32=True)
        assert int.from_bytes(stored[-4:], "little") == fletcher32(data)
    else:
        assert fletcher32(data) == 0


@pytest.mark.parametrize("value", [0, 255])
def test_checksum_of_equal_bytes_is_that_of_hdf5(tmp_path, value):
    data = np.full(4096, value, np.uint8)
    stored, _ = hdf5_chunk(tmp_path / "a.h5", data, fletcher32=True)
    assert int.from_bytes(stored[-4:], "little") == fletcher32(data)


def test_filter_that_was_skipped_is_not_undone(values):
    values = values.astype("f4")
    codec = Codec(4, (2, 1))
    shuffled = Codec(4, (2,)).encode(values)
    assert bytes(codec.decode(shuffled, values.nbytes, 2)) == values.tobytes()
    assert bytes(codec.decode(values.tobytes(), values.nbytes, 3)) == values.tobytes()


def test_numbers_of_odd_size_are_shuffled_as_hdf5_does(tmp_path):
    values = np.array([(1, 2), (3, 4), (5, 6)], "i2, i1")
    stored, _ = hdf5_chunk(tmp_path / "a.h5", values, shuffle=True)
    codec = Codec(3, (2,))
    assert codec.encode(values.view("u1").reshape(3, 3)) == stored
    assert bytes(codec.decode(stored, 9)) == values.tobytes()


@pytest.mark.parametrize(
    "filters", [[(32015, ())], [(4, ())], [(2, (8,))], [(1, (4,)), (307, ())]]
)
def test_filters_not_known_here_are_left_to_hdf5(filters):
    assert codec_from_filters(4, filters) is None


@pytest.mark.parametrize("filters", [(2, 1), (1,), (3,), (2, 3), (2, 1, 3), (2, 3, 1)])
def test_no_flipped_bit_goes_unnoticed(values, filters):
    values = values.astype("f4")[:2]
    codec = Codec(4, filters)
    stored = codec.encode(values)
    for bit in range(0, 8 * len(stored), 7):
        spoiled = bytearray(stored)
        spoiled[bit // 8] ^= 1 << bit % 8
        try:
            found = bytes(codec.decode(bytes(spoiled), values.nbytes))
        except ck.CorruptFileError:
            continue
        assert found == values.tobytes()


@pytest.mark.parametrize("part", [0, 1, 5, -1])
def test_chunk_cut_short_is_noticed(values, part):
    stored = Codec(4, (2, 1)).encode(values.astype("f4"))
    with pytest.raises(ck.CorruptFileError, match="inflate"):
        Codec(4, (2, 1)).decode(stored[:part], values.size * 4)


def test_bomb_is_not_inflated_beyond_its_chunk():
    bomb = Codec(1, (1,)).encode(np.zeros(10**7, np.uint8))
    with pytest.raises(ck.CorruptFileError, match="inflate to 1000 bytes"):
        Codec(1, (1,)).decode(bomb, 1000)


def test_bytes_too_few_are_noticed():
    with pytest.raises(ck.CorruptFileError, match="has 8 bytes, not 16"):
        Codec(4, (2,)).decode(bytes(8), 16)
