"""Zarr in and out: the rules of netCDF, and the faults of stores."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import warnings

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import cubekit as ck
from cubekit.io import staging
from cubekit.io.files import Files
from cubekit.io.zarr import container, metadata


@pytest.fixture
def rich(make_cube):
    """A cube with every kind of coordinate."""
    cube = make_cube(missing=0.02)
    rng = np.random.default_rng(1)
    return cube.assign_coords(
        good_band=("wavelength", np.arange(40) > 3),
        fwhm=("wavelength", np.full(40, 8.5), {"units": "nm"}),
        lat=(("y", "x"), rng.normal(size=(5, 4)), {"units": "degrees_north"}),
        lon=(("y", "x"), rng.normal(size=(5, 4)), {"units": "degrees_east"}),
        site=("y", ["forest", "", "löss", "a b", "lake"]),
        when=("y", pd.date_range("2024-03-01", periods=5, freq="h")),
        altitude=350.5,
    )


def without_history(cube):
    cube = cube.copy()
    del cube.attrs["history"]
    return cube


@pytest.mark.parametrize("chunks", [None, {"y": 2, "x": 3, "wavelength": 7}])
@pytest.mark.parametrize("compression", ["fast", 5, None])
def test_cube_comes_back_identical(rich, tmp_path, chunks, compression):
    cube = rich if chunks is None else rich.chunk(chunks)
    path = ck.save_cube(cube, tmp_path / "a.zarr", compression=compression)
    back = ck.open_cube(path)
    assert dask.is_dask_collection(back.data)
    xr.testing.assert_identical(without_history(back).compute(), rich)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_attributes_of_every_kind_come_back(make_cube, tmp_path):
    attrs = {
        "flag": True,
        "nothing": None,
        "nested": [[1, 2], ["a"]],
        "odd": float("nan"),
        "ends": [1.0, float("inf")],
        "numbers": np.array([1.5, 2.5]),
        "large": 2**70,
        "text": "löss\n",
    }
    cube = make_cube().assign_attrs(attrs)
    back = ck.open_cube(ck.save_cube(cube, tmp_path / "a.zarr"))
    assert isinstance(back.attrs["numbers"], np.ndarray)
    xr.testing.assert_identical(without_history(back).compute(), cube)


@pytest.mark.parametrize("dtype", ["f2", ">f4", ">i2", "u8", "i1", "?"])
def test_values_of_every_dtype_come_back_equal(make_cube, tmp_path, dtype):
    cube = make_cube().astype(dtype)
    back = ck.open_cube(ck.save_cube(cube, tmp_path / "a.zarr"))
    assert back.dtype == np.dtype("f4" if dtype == "f2" else dtype).newbyteorder("=")
    assert np.array_equal(back.values, cube.values)


def test_missing_times_and_a_large_lazy_coordinate_come_back(make_cube, tmp_path):
    when = pd.DatetimeIndex(["2024-03-01", "NaT", "2024-03-03", "2024-03-04", "NaT"])
    place = xr.DataArray(np.ones((5, 4)), dims=("y", "x")).chunk({"y": 2})
    cube = make_cube().assign_coords(when=("y", when), lat=place)
    back = ck.open_cube(ck.save_cube(cube, tmp_path / "a.zarr"))
    assert np.array_equal(back.when.values, cube.when.values, equal_nan=True)
    assert np.array_equal(back.lat.values, cube.lat.values)


def test_xarray_and_the_zarr_library_read_what_was_written(rich, tmp_path):
    path = ck.save_cube(rich, tmp_path / "a.zarr", chunks={"y": 2, "wavelength": 7})
    with xr.open_zarr(path, consolidated=False) as found:
        assert set(found.coords) == set(rich.coords)
        xr.testing.assert_equal(found.reflectance.compute(), rich)
    group = zarr.open_group(path, mode="r")
    assert group["reflectance"].chunks == (2, 4, 7)
    assert np.array_equal(group["reflectance"][:], rich.values, equal_nan=True)


def packed_dataset():
    rng = np.random.default_rng(0)
    numbers = xr.Dataset(
        {
            "counts": (("y", "x", "wavelength"), rng.integers(0, 99, (6, 5, 9))),
            "radiance": (("y", "x", "wavelength"), rng.normal(size=(6, 5, 9))),
            "plain": (("y", "x"), rng.integers(0, 4, (6, 5)).astype("u1")),
        },
        {
            "wavelength": ("wavelength", np.linspace(400, 900, 9), {"units": "nm"}),
            "when": ("y", pd.date_range("2024-03-01", periods=6)),
        },
    )
    numbers["radiance"] = numbers.radiance.where(numbers.radiance > -1)
    scaled = {"dtype": "int16", "scale_factor": 0.01, "_FillValue": -32768}
    numbers["radiance"].encoding = scaled
    numbers["counts"].encoding = {"dtype": "int32", "_FillValue": 7}
    return numbers


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", ["counts", "radiance", "plain"])
def test_stores_of_xarray_are_decoded_as_xarray_decodes_them(tmp_path, version, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # consolidated metadata
        packed_dataset().to_zarr(tmp_path / "a.zarr", zarr_format=version)
        with xr.open_zarr(tmp_path / "a.zarr") as found:
            oracle = found[name].compute()
    cube = ck.open_cube(tmp_path / "a.zarr", variable=name)
    np.testing.assert_allclose(cube.values, oracle.values, rtol=1e-6)
    assert np.array_equal(cube.when.values, oracle.when.values)
    assert np.array_equal(np.isnan(cube.values), np.isnan(oracle.values))


def test_groups_shards_transposed_codecs_and_nameless_dims_are_read(tmp_path):
    store = zarr.open_group(tmp_path / "a.zarr", mode="w")
    values = np.arange(240.0).reshape(8, 6, 5)
    array = store.create_array(
        "data/cube", shape=values.shape, dtype="f8", chunks=(2, 3, 5), shards=(4, 6, 5)
    )
    array[:] = values
    turned = store.create_array(
        "data/turned",
        shape=values.shape,
        dtype="i2",
        chunks=(3, 4, 2),
        filters=zarr.codecs.TransposeCodec(order=(2, 0, 1)),
    )
    turned[:] = values
    cube = ck.open_cube(tmp_path / "a.zarr", variable="data/cube", chunks=3)
    assert cube.dims == ("dim_0", "dim_1", "dim_2")
    assert np.array_equal(cube.values, values)
    cube = ck.open_cube(tmp_path / "a.zarr", variable="turned")
    assert np.array_equal(cube[::-2, 1, 3:1:-1].values, values[::-2, 1, 3:1:-1])


def test_store_that_is_one_array_is_a_cube(tmp_path):
    array = zarr.create_array(
        tmp_path / "one.zarr", shape=(4, 3), dtype="f4", dimension_names=("y", "x")
    )
    array[:] = 2.0
    cube = ck.open_cube(tmp_path / "one.zarr")
    assert (cube.name, cube.dims) == ("one", ("y", "x"))
    assert float(cube.sum()) == 24.0


def test_only_coordinates_are_read_when_a_store_is_opened(rich, tmp_path):
    path = ck.save_cube(rich, tmp_path / "a.zarr")
    for chunk in path.glob("reflectance/c*"):
        chunk.unlink()
    cube = ck.open_cube(path)
    assert cube.shape == rich.shape
    assert len(pickle.dumps(cube.data)) < 20_000


def test_store_that_changed_is_not_read_on(make_cube, tmp_path):
    path = ck.save_cube(make_cube(), tmp_path / "a.zarr")
    old = ck.open_cube(path)
    ck.save_cube(make_cube() * 2, path, overwrite=True)
    with pytest.raises(ck.CorruptFileError, match="changed while being read"):
        old.compute()
    assert np.array_equal(ck.open_cube(path).values, make_cube().values * 2)


# faults (row R3)


def chunk_of(path):
    return next(path.glob("reflectance/c.*"))


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1 << (at % 8)
    path.write_bytes(data)


@pytest.mark.parametrize("compression", ["fast", None])
@pytest.mark.parametrize("fault", ["missing", "empty", "cut", "flipped"])
def test_r3_lost_or_changed_chunk_is_named(make_cube, tmp_path, compression, fault):
    path = tmp_path / "a.zarr"
    ck.save_cube(make_cube(), path, chunks={"y": 2}, compression=compression)
    chunk = path / "reflectance" / "c.1.0.0"
    if fault == "missing":
        chunk.unlink()
    elif fault == "flipped":
        flip(chunk, chunk.stat().st_size // 2)
    else:
        chunk.write_bytes(chunk.read_bytes()[: 0 if fault == "empty" else -9])
    cube = ck.open_cube(path, chunks={"y": 4})
    assert np.array_equal(cube[4:].values, make_cube()[4:].values)
    with pytest.raises(ck.CorruptFileError, match=r"'reflectance/c\.1\.0\.0'"):
        cube.compute()


def test_r2_flipped_bits_are_never_silently_wrong(rich, tmp_path):
    cube = rich.astype("f4")
    path = ck.save_cube(cube, tmp_path / "a.zarr", chunks={"y": 2})
    expected = ck.open_cube(path).compute()
    files = [p for p in sorted(path.rglob("*")) if p.is_file()]
    rng = np.random.default_rng(0)
    caught = 0
    for file in rng.choice(files, 100):
        good = file.read_bytes()
        flip(file, int(rng.integers(0, 10**6)))
        try:
            found = ck.open_cube(path).compute()
        except ck.CubekitError:
            caught += 1
        else:
            xr.testing.assert_identical(found, expected)
        file.write_bytes(good)
    assert caught > 90


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda p: (p / "reflectance/zarr.json").unlink(), "'reflectance/zarr.json'"),
        (lambda p: (p / "zarr.json").unlink(), "folder without the metadata"),
        (lambda p: (p / "zarr.json").write_text("{"), "'zarr.json' is damaged"),
        (lambda p: (p / "fwhm/zarr.json").write_text("[]"), "no JSON object"),
        (lambda p: shutil.rmtree(p / "wavelength"), "'wavelength/zarr.json'"),
        (
            lambda p: (p / "fwhm/zarr.json").write_text(
                (p / "fwhm/zarr.json").read_text().replace("nm", "um")
            ),
            "not what was written",
        ),
    ],
)
def test_r3_missing_or_stale_metadata_are_named(rich, tmp_path, change, match):
    path = ck.save_cube(rich, tmp_path / "a.zarr")
    change(path)
    with pytest.raises(ck.CorruptFileError, match=match):
        ck.open_cube(path)


def test_metadata_changed_on_purpose_are_read_when_trusted(rich, tmp_path):
    path = ck.save_cube(rich, tmp_path / "a.zarr")
    with xr.open_zarr(path, consolidated=False) as found:
        longer = found.isel(y=slice(0, 1)).compute().drop_encoding()
    longer.to_zarr(path, append_dim="y", consolidated=False)
    with pytest.raises(ck.CorruptFileError, match="another program changed it"):
        ck.open_cube(path)
    assert ck.open_cube(path, trust=True).sizes["y"] == 6


def test_missing_chunks_of_others_are_fill_values(tmp_path):
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(8, 4), chunks=(4, 4), dtype="f4", fill_value=3
    )
    array[:4] = 1
    assert float(ck.open_cube(tmp_path / "a.zarr").sum()) == 16 + 48


def test_w18_store_of_a_stopped_save_is_refused(make_cube, tmp_path, monkeypatch):
    path = tmp_path / "a.zarr"

    def stop(container):
        shutil.copytree(container.path, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(container.ZarrContainer, "finish", stop)
    with pytest.raises(KeyboardInterrupt):
        ck.save_cube(make_cube(), path)
    with pytest.raises(ck.IncompleteFileError, match="never finished"):
        ck.open_cube(path)
    assert list(tmp_path.iterdir()) == [path]


# stores that are not to be trusted (row X6)


def test_x6_chunk_that_is_a_link_out_of_the_store_is_not_followed(make_cube, tmp_path):
    path = ck.save_cube(make_cube(), tmp_path / "a.zarr", compression=None)
    chunk = chunk_of(path)
    secret = chunk.rename(tmp_path / "secret")
    chunk.symlink_to(secret)
    cube = ck.open_cube(path)
    with pytest.raises(ck.UnsafeFileError, match=r"'reflectance/c\.0\.0\.0' leads out"):
        cube.compute()
    trusted = ck.open_cube(path, trust=True)
    assert np.array_equal(trusted.values, make_cube().values)


def test_x6_folder_or_metadata_that_is_a_link_out_is_not_followed(make_cube, tmp_path):
    path = ck.save_cube(make_cube(), tmp_path / "a.zarr")
    shutil.move(path / "reflectance", tmp_path / "elsewhere")
    (path / "reflectance").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ck.UnsafeFileError, match="leads out of the store"):
        ck.open_cube(path)


@pytest.mark.parametrize(
    "key", ["../a", "/etc/a", "a/../../b", "a\0b", "C:\\a", "x//y"]
)
def test_x6_keys_that_lead_out_are_refused(tmp_path, key):
    zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    listed = {"zarr_consolidated_format": 1, "metadata": {key: {}}}
    (tmp_path / "a.zarr" / ".zmetadata").write_text(json.dumps(listed))
    with pytest.raises(ck.UnsafeFileError, match="leads out of the store"):
        ck.open_cube(tmp_path / "a.zarr")


def test_x5_codec_that_could_run_what_it_reads_is_refused(tmp_path):
    meta = {"zarr_format": 2, "shape": [2], "chunks": [2], "dtype": "|O"}
    meta |= {"compressor": None, "fill_value": None, "order": "C"}
    meta["filters"] = [{"id": "pickle"}]
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / ".zarray").write_text(json.dumps(meta))
    with pytest.raises(ck.UnsafeFileError, match="encoded by 'pickle'"):
        ck.open_cube(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("shape", "chunks", "match"),
    [
        ((10**12,), (100,), "declares 1000000000000 values"),
        ((10**6, 10**6), (10**6, 10**5), "a chunk of"),
    ],
)
def test_x3_absurd_sizes_are_refused(tmp_path, shape, chunks, match):
    zarr.create_array(tmp_path / "a.zarr", shape=shape, chunks=chunks, dtype="f8")
    with pytest.raises(ck.SizeLimitError, match=match):
        ck.open_cube(tmp_path / "a.zarr")


def test_x4_metadata_that_are_deep_or_huge_are_refused(tmp_path, monkeypatch):
    group = zarr.create_group(tmp_path / "a.zarr")
    for _ in range(70):
        group = group.create_group("a")
    with pytest.raises(ck.SizeLimitError, match="nodes, 65 deep"):
        ck.open_cube(tmp_path / "a.zarr")
    zarr.create_group(tmp_path / "b.zarr", attributes={"text": "a" * 2000})
    monkeypatch.setattr(metadata, "_TEXT", 1000)
    with pytest.raises(ck.SizeLimitError, match="limit for metadata is 1000"):
        ck.open_cube(tmp_path / "b.zarr")


@pytest.mark.parametrize(
    ("was", "instead"),
    [
        ('"shape": [\n    4\n  ]', '"shape": [-4]'),
        ('"shape": [\n    4\n  ]', '"shape": [4, 4]'),
        ('"shape": [\n    4\n  ]', '"shape": "x"'),
        ('"float64"', '"nonsense"'),
        ('"endian": "little"', '"endian": "middle"'),
        ('"fill_value": 0.0', '"fill_value": []'),
    ],
)
def test_metadata_without_sense_are_named(tmp_path, was, instead):
    zarr.create_array(tmp_path / "a.zarr", shape=(4,), dtype="f8")
    path = tmp_path / "a.zarr" / "zarr.json"
    assert was in path.read_text()
    path.write_text(path.read_text().replace(was, instead))
    with pytest.raises(ck.CorruptFileError, match=r"'zarr.json' is damaged"):
        ck.open_cube(tmp_path / "a.zarr")


def test_marks_of_missing_values_that_are_no_number_mark_nothing(tmp_path):
    for version, fill in ((3, "no base64"), (2, "text")):
        path = tmp_path / f"{version}.zarr"
        array = zarr.create_array(
            path,
            shape=(4,),
            dtype="f8",
            zarr_format=version,
            attributes={"_FillValue": fill},
        )
        array[:] = 1.0
        assert ck.open_cube(path).values.tolist() == [1.0] * 4


@pytest.mark.parametrize("what", ["small", "gone", "undecodable"])
def test_w10_read_back_finds_other_faults(make_cube, tmp_path, monkeypatch, what):
    plain = container.ZarrContainer.finish

    def spoil(self):
        plain(self)
        if what == "small":
            array = zarr.open_array(self.path / "wavelength")
            array[0] = 1.0
        elif what == "gone":
            (self.path / "reflectance" / "c.0.0.0").unlink()
        else:
            meta = self.path / "reflectance" / "zarr.json"
            meta.write_text(meta.read_text().replace('"crc32c"', '"gzip"'))

    monkeypatch.setattr(container.ZarrContainer, "finish", spoil)
    with pytest.raises(ck.WriteVerifyError, match="differs from what was written"):
        ck.save_cube(make_cube(), tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


def test_r5_changed_metadata_give_errors_of_ours_only(tmp_path):
    path = tmp_path / "a.zarr"
    array = zarr.create_array(
        path, shape=(4, 3), chunks=(2, 3), dtype="f4", dimension_names=("y", "x")
    )
    array[:] = 1.0
    good = (path / "zarr.json").read_bytes()
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(150):
        data = bytearray(good)
        for at in rng.integers(0, len(data), 3):
            data[at] = rng.choice(list(b'0123456789[]{}",:-aeinu.'))
        (path / "zarr.json").write_bytes(data)
        try:
            ck.open_cube(path).compute()
        except (ck.CubekitError, ValueError):
            refused += 1
    assert refused > 50


# writing


def test_target_rules_are_those_of_files(make_cube, tmp_path):
    path = ck.save_cube(make_cube(), tmp_path / "a.zarr")
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    with pytest.raises(ck.OutputExistsError, match="overwrite=True"):
        ck.save_cube(make_cube(), path)
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "letter.txt").write_text("dear")
    with pytest.raises(IsADirectoryError, match="no Zarr store"):
        ck.save_cube(make_cube(), tmp_path / "b.zarr", overwrite=True)
    (tmp_path / "c.zarr").write_text("text")
    with pytest.raises(FileExistsError, match="A Zarr store is a folder"):
        ck.save_cube(make_cube(), tmp_path / "c.zarr", overwrite=True)
    assert before == {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.mark.parametrize("way", ["direct", "link", "xarray", "computed", "inside"])
def test_s1_own_input_is_refused(make_cube, tmp_path, way):
    path = ck.save_cube(make_cube(), tmp_path / "a.zarr")
    target = path
    cube = ck.open_cube(path)
    if way == "link":
        target = tmp_path / "link.zarr"
        target.symlink_to(path)
    elif way == "xarray":
        cube = xr.open_zarr(path, consolidated=False).reflectance * 2
    elif way == "computed":
        cube = ck.savgol_filter(cube, 5)
    elif way == "inside":
        cube = xr.DataArray(
            da.from_zarr(zarr.open_array(path / "reflectance", mode="r")), name="a"
        )
    with pytest.raises(ck.SameFileError, match="destroy its own input"):
        ck.save_cube(cube, target, overwrite=True)
    assert np.array_equal(ck.open_cube(path).values, make_cube().values)


def test_w5_failing_block_leaves_the_old_store(make_cube, tmp_path):
    path = ck.save_cube(make_cube(), tmp_path / "a.zarr")

    def fail(block):
        if block.size:
            raise ValueError("boom")
        return block

    bad = make_cube(chunks={"y": 2}).map_blocks(
        fail, template=make_cube(chunks={"y": 2})
    )
    with pytest.raises(ValueError, match="boom"):
        ck.save_cube(bad, path, overwrite=True)
    assert np.array_equal(ck.open_cube(path).values, make_cube().values)
    assert list(tmp_path.iterdir()) == [path]


def test_w10_read_back_finds_what_changed(make_cube, tmp_path, monkeypatch):
    plain = container.ZarrContainer.finish

    def spoil(self):
        plain(self)
        flip(self.path / "reflectance" / "c.1.0.0", 100)

    monkeypatch.setattr(container.ZarrContainer, "finish", spoil)
    with pytest.raises(
        ck.WriteVerifyError, match=r"'reflectance' .* chunk \(1, 0, 0\)"
    ):
        ck.save_cube(make_cube(), tmp_path / "a.zarr", chunks={"y": 2})
    assert list(tmp_path.iterdir()) == []


def test_w11_files_are_on_the_disk_before_the_store_is_moved(
    make_cube, tmp_path, monkeypatch
):
    steps = []
    for kind in ("fsync", "exchange", "replace", "fsync_folder"):
        plain = getattr(Files, kind)

        def note(self, *args, kind=kind, plain=plain):
            if kind != "replace" or args[1] == tmp_path / "a.zarr":
                steps.append(kind)
            return plain(self, *args)

        monkeypatch.setattr(Files, kind, note)
    ck.save_cube(make_cube(), tmp_path / "a.zarr")
    assert steps[-2:] == ["replace", "fsync_folder"]
    files = [p for p in (tmp_path / "a.zarr").rglob("*") if p.is_file()]
    assert steps.count("fsync") >= len(files)
    steps.clear()
    ck.save_cube(make_cube(), tmp_path / "a.zarr", overwrite=True)
    assert steps[-2:] == ["exchange", "fsync_folder"]


@pytest.mark.parametrize("fails", [False, True])
def test_store_is_replaced_where_no_system_call_swaps(
    make_cube, tmp_path, monkeypatch, fails
):
    path = ck.save_cube(make_cube(), tmp_path / "a.zarr")
    plain = Files.replace

    def no_swap(self, source, target):
        raise OSError(22, "Invalid argument")

    def replace(self, source, target):
        if fails and target == path and source.name == "cube.zarr":
            raise OSError(5, "Input/output error")
        plain(self, source, target)

    monkeypatch.setattr(Files, "exchange", no_swap)
    monkeypatch.setattr(Files, "replace", replace)
    new = make_cube() * 2
    if fails:
        with pytest.raises(OSError, match="Input/output"):
            ck.save_cube(new, path, overwrite=True)
    else:
        ck.save_cube(new, path, overwrite=True)
    assert np.array_equal(
        ck.open_cube(path).values, make_cube().values if fails else new.values
    )
    assert list(tmp_path.iterdir()) == [path]


def test_store_set_aside_by_a_stopped_run_comes_back(make_cube, tmp_path):
    path = ck.save_cube(make_cube(), tmp_path / "a.zarr")
    path.rename(tmp_path / ".a.zarr.0123456789ab.replaced")
    with pytest.raises(ck.OutputExistsError):
        ck.save_cube(make_cube() * 2, path)
    assert np.array_equal(ck.open_cube(path).values, make_cube().values)


def test_resume_goes_on_and_ends_with_the_same_bytes(make_cube, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    cube = make_cube(shape=(12, 4, 40))
    whole = ck.save_cube(cube, tmp_path / "whole.zarr", chunks={"y": 2})
    computed, stop_at = [], 3

    def count(block):
        if block.size:
            computed.append(1)
            if len(computed) == stop_at:
                raise KeyboardInterrupt
        return block

    lazy = cube.copy(
        data=da.from_array(cube.values, (2, 4, 40), name="input").map_blocks(
            count, dtype=float, meta=np.empty((0, 0, 0)), name="counted"
        )
    )
    path = tmp_path / "a.zarr"
    with dask.config.set(scheduler="sync"):
        with pytest.raises(KeyboardInterrupt):
            ck.save_cube(lazy, path, chunks={"y": 2}, resume=True, memory=1)
        done = len(computed)
        ck.save_cube(lazy, path, chunks={"y": 2}, resume=True, memory=1)
    assert len(computed) == 6 + 1
    assert done == stop_at
    for file in whole.rglob("c*"):
        if file.is_file():
            same = path / file.relative_to(whole)
            assert same.read_bytes() == file.read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {"whole.zarr", "a.zarr"}


def test_missing_package_is_told_with_the_line_to_install_it(
    make_cube, tmp_path, monkeypatch
):
    path = ck.save_cube(make_cube(), tmp_path / "a.zarr")
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(ImportError, match=r'copy of cubekit: pip install "\.\[zarr'):
        ck.open_cube(path)
    with pytest.raises(ImportError, match=r'copy of cubekit: pip install "\.\[zarr'):
        ck.save_cube(make_cube(), tmp_path / "b.zarr")
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_of_workers_are_not_in_the_store(make_cube, tmp_path, monkeypatch):
    plain = container.ZarrContainer.finish

    def leave(self):
        (self.path / "reflectance" / ".c.0.0.0.0123").write_text("half")
        plain(self)

    monkeypatch.setattr(container.ZarrContainer, "finish", leave)
    path = ck.save_cube(make_cube(), tmp_path / "a.zarr")
    assert not list(path.rglob(".*"))


def test_x10_modes_are_those_of_the_user(make_cube, tmp_path, monkeypatch):
    seen = []
    plain = container.ZarrContainer.finish

    def look(self):
        seen.append(self.path.parent.stat().st_mode & 0o777)
        plain(self)

    monkeypatch.setattr(container.ZarrContainer, "finish", look)
    umask = os.umask(0o027)
    try:
        path = ck.save_cube(make_cube(), tmp_path / "a.zarr")
    finally:
        os.umask(umask)
    assert seen == [0o700]
    assert path.stat().st_mode & 0o777 == 0o750
    assert chunk_of(path).stat().st_mode & 0o777 == 0o640


def test_staged_name_is_told_from_that_of_another_run(make_cube, tmp_path, monkeypatch):
    """A store that came while this one was computed is not replaced."""
    path = tmp_path / "a.zarr"
    plain = staging._move_folder

    def late(staged, target, overwrite):
        shutil.copytree(staged, target)
        plain(staged, target, overwrite)

    monkeypatch.setattr(staging, "_move_folder", late)
    with pytest.raises(ck.OutputExistsError, match="exists"):
        ck.save_cube(make_cube(), path)
    assert list(tmp_path.iterdir()) == [path]
