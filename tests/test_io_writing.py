"""save_cube: what is written comes back, and nothing else is ever touched."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace

import dask.array as da
import h5py
import netCDF4
import numpy as np
import pandas as pd
import pytest
import tqdm
import xarray as xr

import cubekit as ck
from cubekit.io.container import Container


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


def saved(cube, tmp_path, **options):
    return ck.open_cube(ck.save_cube(cube, tmp_path / "out.nc", **options))


def without_history(cube):
    cube = cube.copy()
    del cube.attrs["history"]
    return cube


@pytest.mark.parametrize("chunks", [None, {"y": 2, "x": 3, "wavelength": 7}])
@pytest.mark.parametrize("compression", ["fast", 5, None])
def test_cube_comes_back_identical(rich, tmp_path, chunks, compression):
    cube = rich if chunks is None else rich.chunk(chunks)
    back = saved(cube, tmp_path, compression=compression)
    xr.testing.assert_identical(without_history(back).compute(), rich)


def test_dims_in_any_order_come_back(rich, tmp_path):
    cube = rich.transpose("wavelength", "x", "y")
    back = saved(cube, tmp_path)
    xr.testing.assert_identical(without_history(back).compute(), cube)


@pytest.mark.parametrize(
    "engine", ["netcdf4", pytest.param("h5netcdf", marks=pytest.mark.h5netcdf)]
)
@pytest.mark.parametrize("compression", ["fast", 5, None])
def test_xarray_reads_the_same_with_both_engines(rich, tmp_path, engine, compression):
    path = ck.save_cube(rich, tmp_path / "out.nc", compression=compression)
    with xr.open_dataarray(path, engine=engine, decode_timedelta=False) as found:
        loaded = found.load()
        xr.testing.assert_equal(loaded, rich)
        assert set(loaded.coords) == set(rich.coords)


def test_path_is_returned_and_nothing_else_is_left(rich, tmp_path):
    path = ck.save_cube(rich, str(tmp_path / "out.nc"))
    assert path == tmp_path / "out.nc"
    assert list(tmp_path.iterdir()) == [path]


def test_variables_of_a_dataset_are_written_and_read_one_by_one(rich, tmp_path):
    both = xr.Dataset(
        {
            "smooth": ck.savgol_filter(rich, 5),
            "slope": ck.savgol_filter(rich, 5, deriv=1),
        },
        attrs={"title": "two"},
    )
    path = ck.save_cube(both, tmp_path / "out.nc")
    slope = without_history(ck.open_cube(path, variable="slope")).compute()
    xr.testing.assert_identical(slope, both.slope)
    with xr.open_dataset(path) as found:
        assert found.attrs["title"] == "two"


def test_what_variables_share_is_computed_once(make_cube, tmp_path):
    cube = make_cube()
    seen = []

    def note(block):
        seen.append(1)
        return block

    lazy = cube.copy(
        data=da.from_array(cube.values, (1, 4, 40)).map_blocks(
            note, dtype=float, meta=np.empty((0, 0, 0))
        )
    )
    outputs = xr.Dataset({"a": ck.savgol_filter(lazy, 5), "b": lazy * 2, "c": lazy})
    ck.save_cube(outputs, tmp_path / "out.nc")
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [
        ("f2", "f4"),
        (">f4", "f4"),
        (">i2", "i2"),
        ("u8", "u8"),
        ("i8", "i8"),
        ("?", "?"),
    ],
)
def test_e9_values_of_every_dtype_come_back_equal(make_cube, tmp_path, dtype, stored):
    cube = make_cube().astype(dtype)
    back = saved(cube, tmp_path)
    assert back.dtype == np.dtype(stored)
    assert np.array_equal(back.values, cube.values)


def test_e1_packing_of_the_source_is_not_inherited(make_cube, tmp_path):
    cube = make_cube()
    packed = {"dtype": "int16", "scale_factor": 0.01, "_FillValue": -1}
    cube.encoding = packed
    cube.wavelength.encoding = {"dtype": "int16"}
    big = cube * 1e5
    big.encoding = packed
    back = saved(big, tmp_path)
    assert np.array_equal(back.values, big.values)
    assert np.array_equal(back.wavelength.values, cube.wavelength.values)
    with netCDF4.Dataset(tmp_path / "out.nc") as file:
        assert file["reflectance"].dtype == np.float64
        assert np.isnan(file["reflectance"].getncattr("_FillValue"))


def test_cube_is_not_changed(rich, tmp_path):
    rich.encoding = {"scale_factor": 2.0}
    before = rich.copy(deep=True)
    ck.save_cube(rich, tmp_path / "out.nc")
    xr.testing.assert_identical(rich, before)
    assert rich.encoding == {"scale_factor": 2.0}


def test_history_gets_a_line_and_conventions_are_stated(
    make_cube, tmp_path, monkeypatch
):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    cube = make_cube().assign_attrs(history="measured")
    back = saved(cube, tmp_path)
    version = re.escape(ck.__version__)
    line = rf"measured\n1970-01-02T00:00:00Z cubekit {version}: save_cube"
    assert re.fullmatch(line, back.attrs["history"])
    with netCDF4.Dataset(tmp_path / "out.nc") as file:
        assert file.Conventions == "CF-1.11"


def test_w13_attributes_that_netcdf_has_no_type_for_come_back(make_cube, tmp_path):
    attrs = {
        "yes": True,
        "nothing": None,
        "one": [1],
        "empty": [],
        "blank": "",
        "names": ["a", "b"],
        "mixed": ["a", 1, None],
        "tree": {"a": [1, {"b": False}]},
        "large": 2**70,
        "nul": "a\0b",
        "numbers": [1, 2, 3],
        "array": np.array([1.5, np.inf]),
        "table": np.array([[1, 2], [3, 4]]),
        "small": np.float32(0.1),
        "count": np.int16(3),
        "real": 0.1,
        "text": "ü\n  x ",
        "tag": "cubekit-json:1",
    }
    cube = make_cube().assign_attrs(attrs)
    back = without_history(saved(cube, tmp_path))
    xr.testing.assert_identical(back.compute(), cube)


def test_w12_everything_that_cannot_be_stored_is_named_at_once(make_cube, tmp_path):
    path = tmp_path / "out.nc"
    path.write_text("old")
    cube = make_cube().assign_attrs(when=pd.Timestamp(0), z=1j, scale_factor=2.0)
    cube = cube.assign_coords(
        {"a/b": 1, "mix": ("y", np.array([1, "a", 2, 3, 4], object))}
    )
    with pytest.raises(TypeError) as error:
        ck.save_cube(cube, path, overwrite=True)
    for name in ("'when'", "'z'", "'scale_factor'", "'a/b'", "'mix'"):
        assert name in str(error.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: c.astype(complex), r"complex128 \(save the parts"),
        (lambda c: c.astype(np.longdouble), "convert it"),
        (lambda c: c.rename("wavelength"), "name of its coordinate"),
        (lambda c: c.drop_vars("x").rename("x"), "name of its dim"),
        (lambda c: c.stack(place=("y", "x")), "MultiIndex"),
        (lambda c: c.assign_coords({3: 1}), "name 3 is no text"),
        (lambda c: c.rename("a\x1b[2J"), r"name 'a\\x1b\[2J' \(use letters"),
        (lambda c: c.rename("(a)"), r"name '\(a\)'"),
        (lambda c: c.assign_attrs({"(a)": 1}), r"attribute name '\(a\)'"),
        (lambda c: c.rename(x="a\x7f"), r"name 'a\\x7f'"),
        (
            lambda c: c.rename("e\u0301"),
            "name 'e\u0301'",
        ),  # two characters, seen as one
        (lambda c: c.assign_attrs({"a/b": 1}), "attribute name 'a/b'"),
        (lambda c: c.assign_attrs({"a": "\ud800"}), "attribute 'a'"),
        (lambda c: c.assign_attrs({"a": {1: 2}}), "attribute 'a' is a dict"),
    ],
)
def test_w12_what_cannot_be_stored_is_refused_before_anything_is_written(
    make_cube, tmp_path, change, match
):
    with pytest.raises(TypeError, match=match):
        ck.save_cube(change(make_cube()), tmp_path / "out.nc")
    assert not list(tmp_path.iterdir())


def test_a_large_coordinate_with_the_name_of_its_dim_comes_back(tmp_path):
    places = np.random.default_rng(0).normal(size=(400, 350))  # stored in chunks
    cube = xr.DataArray(
        np.zeros((400, 350, 2)), {"x": (("y", "x"), places)}, ("y", "x", "band"), "r"
    )
    path = ck.save_cube(cube, tmp_path / "out.nc")
    with xr.open_dataset(path) as found:
        np.testing.assert_array_equal(found["x"], places)


def test_w14_file_that_is_there_is_not_replaced_unasked(make_cube, tmp_path):
    path = tmp_path / "out.nc"
    path.write_text("old")
    with pytest.raises(ck.OutputExistsError, match=r"out\.nc exists.*overwrite=True"):
        ck.save_cube(make_cube(), path)
    assert path.read_text() == "old"
    ck.save_cube(make_cube(), path, overwrite=True)
    assert ck.open_cube(path).shape == (5, 4, 40)


def test_w14_file_that_comes_while_writing_is_not_replaced(make_cube, tmp_path):
    path = tmp_path / "out.nc"
    cube = make_cube(chunks={"y": 1}).map_blocks(
        lambda b: path.write_text("rival") and b
    )
    cube = xr.DataArray(cube.data, dims=cube.dims)
    with pytest.raises(ck.OutputExistsError):
        ck.save_cube(cube, path)
    assert path.read_text() == "rival"
    assert list(tmp_path.iterdir()) == [path]


def test_mode_of_the_file_is_that_of_the_old_one(make_cube, tmp_path):
    path = ck.save_cube(make_cube(), tmp_path / "out.nc")
    path.chmod(0o604)
    ck.save_cube(make_cube(), path, overwrite=True)
    assert path.stat().st_mode & 0o777 == 0o604


def aliases(path, kind):
    if kind == "relative":
        return os.path.relpath(path)
    if kind in {"symlink", "hard link"}:
        other = path.with_name(f"{kind[0]}.nc")
        (other.symlink_to if kind == "symlink" else other.hardlink_to)(path)
        return other
    return path


@pytest.mark.parametrize("kind", ["same", "relative", "symlink", "hard link"])
@pytest.mark.parametrize("engine", ["cubekit", "eager", "netcdf4", "filtered"])
def test_s1_cube_is_never_written_over_its_own_input(make_cube, tmp_path, kind, engine):
    path = ck.save_cube(make_cube(), tmp_path / "in.nc")
    content = path.read_bytes()
    target = aliases(path, kind)
    if engine == "netcdf4":
        cube = xr.open_dataarray(path, engine=engine)
    else:
        cube = ck.open_cube(path)
    if engine == "eager":
        cube = cube.load()
    if engine == "filtered":
        cube = ck.savgol_filter(cube, 5) + 1
    with pytest.raises(ck.SameFileError, match=r"read from .*in\.nc"):
        ck.save_cube(cube, target, overwrite=True)
    cube.close()
    assert path.read_bytes() == content


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_s2_input_is_replaced_only_by_a_file_moved_over_it(make_cube, tmp_path, suffix):
    path = ck.save_cube(make_cube(), tmp_path / f"a{suffix}")
    source = ck.open_cube(path)
    with pytest.raises(TypeError, match="unexpected keyword argument 'overwrite_input"):
        ck.save_cube(source * 2, path, overwrite_input=True)
    with pytest.raises(ck.SameFileError, match="move the new file over the old one"):
        ck.save_cube(source * 2, path, overwrite=True)
    beside = ck.save_cube(source * 2, tmp_path / f"b{suffix}")
    if path.is_dir():
        path.rename(tmp_path / "old")
    beside.replace(path)
    np.testing.assert_array_equal(ck.open_cube(path).values, make_cube().values * 2)
    with pytest.raises(ck.CorruptFileError, match="changed while being read"):
        source.compute()


def test_lazy_cube_of_xarray_is_not_read_to_find_where_it_comes_from(
    make_cube, tmp_path
):
    path = ck.save_cube(make_cube(), tmp_path / "in.nc")
    with xr.open_dataarray(path, chunks={}) as cube, pytest.raises(ck.SameFileError):
        ck.save_cube(cube + 1, path, overwrite=True)


def boom(block, block_info=None):
    if block_info[0]["chunk-location"] == (2, 0, 0):
        raise ValueError("boom")
    return block


def test_w5_failing_block_is_named_and_the_old_file_stays(make_cube, tmp_path):
    path = tmp_path / "out.nc"
    path.write_text("old")
    cube = make_cube(chunks={"y": 1})
    cube = cube.copy(
        data=cube.data.map_blocks(boom, dtype=float, meta=np.empty((0, 0, 0)))
    )
    with pytest.raises(ValueError, match="boom") as error:
        ck.save_cube(cube, path, overwrite=True)
    assert any("(2, 0, 0) of 'reflectance'" in note for note in error.value.__notes__)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["reflectance", "wavelength", "y"])
@pytest.mark.parametrize("compression", ["fast", None])
def test_w10_byte_that_changed_on_the_disk_is_found(
    make_cube, tmp_path, monkeypatch, name, compression
):
    finish = Container.finish

    def spoil(container):
        finish(container)
        with h5py.File(container.path) as file:
            place = file[name].id.get_chunk_info(0).byte_offset
        with container.path.open("r+b") as file:
            file.seek(place + 20)
            byte = file.read(1)[0]
            file.seek(place + 20)
            file.write(bytes([byte ^ 4]))

    monkeypatch.setattr(Container, "finish", spoil)
    path = tmp_path / "out.nc"
    path.write_text("old")
    with pytest.raises(ck.WriteVerifyError, match=f"{name!r} read back"):
        ck.save_cube(make_cube(), path, overwrite=True, compression=compression)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_w10_chunk_that_is_not_there_is_found(make_cube, tmp_path, monkeypatch):
    write = Container.write_chunk

    def lose(container, name, index, data):
        if index != (1, 0, 0):
            write(container, name, index, data)

    monkeypatch.setattr(Container, "write_chunk", lose)
    with pytest.raises(ck.WriteVerifyError, match=r"'reflectance' .*chunk \(1, 0, 0\)"):
        ck.save_cube(make_cube(), tmp_path / "out.nc", chunks={"y": 2})


def test_w22_progress_reaches_the_total_only_at_the_end(make_cube, tmp_path):
    calls = []

    def note(done, total):
        calls.append((done, total, (tmp_path / "out.nc").exists()))

    ck.save_cube(make_cube(chunks={"y": 1}), tmp_path / "out.nc", progress=note)
    done = [c[0] for c in calls]
    assert done == sorted(done)
    assert [c[:2] for c in calls if c[0] == c[1]] == [(calls[-1][1],) * 2]
    assert calls[-1][2]
    assert not any(c[2] for c in calls[:-1])


def test_progress_is_shown_when_asked_for_and_silent_in_a_pipe(
    make_cube, tmp_path, capsys
):
    ck.save_cube(make_cube(), tmp_path / "a.nc")
    assert capsys.readouterr() == ("", "")
    cube = make_cube(chunks={"y": 2}).assign_coords(
        lat=(("y", "x"), np.ones((5, 4)))  # no block: it is small
    )
    ck.save_cube(cube, tmp_path / "b.nc", progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    last = err.split("\r")[-1]
    # bytes of all bytes, the time it took, what is left, bytes a second, blocks
    assert re.match(
        r"b\.nc: 100%.*\| [\d.]+k/[\d.]+k \[\d\d:\d\d<\d\d:\d\d, .*B/s, blocks: 3\]",
        last,
    ), last
    assert ck.plan(cube).blocks == 3


def test_progress_in_a_notebook_is_its_own_bar(make_cube, tmp_path, monkeypatch):
    """As IPython is in a kernel; without ipywidgets it is a bar of text."""
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    kernel = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setitem(sys.modules, "ipywidgets", ModuleType("ipywidgets"))
    bars = []

    class Bar(tqdm.std.tqdm):
        def __init__(self, **options):
            bars.append(self)
            super().__init__(**options)

    notebook = ModuleType("tqdm.notebook")
    notebook.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm.notebook", notebook)
    ck.save_cube(make_cube(), tmp_path / "out.nc")
    (bar,) = bars
    assert bar.n == bar.total > 5 * 4 * 40 * 8
    assert bar.desc == "out.nc"
    assert bar.postfix == "blocks: 1"
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    ck.save_cube(make_cube(), tmp_path / "other.nc")
    assert len(bars) == 1


HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\u202e\"'javascript:"


def test_x9_hostile_names_are_shown_escaped_everywhere(make_cube, tmp_path, capsys):
    name = "_" + HOSTILE.replace(" ", "_").replace("\x1b", "")
    cube = make_cube().rename({"x": name}).rename(f"cube{name}")
    cube = cube.assign_attrs(long_name=HOSTILE, units=HOSTILE)
    path = tmp_path / f"{name}.nc"
    ck.save_cube(cube, path, progress=True)
    shown = [capsys.readouterr().err]
    path = path.rename(tmp_path / "plain.nc")
    back = ck.open_cube(path)
    shown += [repr(back.cube), str(ck.plan(back))]
    if hasattr(back.cube, "_repr_html_"):
        html = back.cube._repr_html_()
        assert "<img" not in html
        shown.append(html)
    for work in (
        lambda: ck.save_cube(cube, path),
        lambda: ck.open_cube(path, variable=f"{name}?"),
        lambda: ck.open_cube(path, chunks={f"{name}?": 1}),
        lambda: ck.savgol_filter(back, 5, coord=f"{name}?"),
        lambda: ck.save_cube(cube, tmp_path / "o.nc", chunks={f"{name}?": 1}),
    ):
        with pytest.raises((ck.CubekitError, ValueError)) as error:
            work()
        shown.append(str(error.value))
    for text in shown:
        assert "\x1b[2J" not in text, text
        assert "\u202e" not in text, text


def test_w22_progress_that_raises_leaves_nothing_behind(make_cube, tmp_path):
    def fail(done, total):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ck.save_cube(make_cube(), tmp_path / "out.nc", progress=fail)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(0, 4, 40), (1, 1, 1), (3, 0, 0)])
def test_w22_cubes_with_no_or_one_sample_come_back(tmp_path, shape):
    cube = xr.DataArray(np.ones(shape), dims=("y", "x", "wavelength"), name="cube")
    assert saved(cube, tmp_path).shape == shape


def test_cube_of_one_number_is_written(tmp_path):
    assert saved(xr.DataArray(3.5, name="cube"), tmp_path).values == 3.5


def test_one_spectrum_comes_back(make_cube, tmp_path):
    spectrum = make_cube()[0, 0].assign_coords(
        good_band=("wavelength", np.ones(40, bool))
    )
    back = without_history(saved(spectrum, tmp_path))
    xr.testing.assert_identical(back.compute(), spectrum)


def test_chunks_of_the_file_are_as_asked_for(make_cube, tmp_path):
    path = ck.save_cube(make_cube(), tmp_path / "out.nc", chunks={"y": 2, "x": 99})
    with netCDF4.Dataset(path) as file:
        assert file["reflectance"].chunking() == [2, 4, 40]


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"chunks": {"z": 1}}, ValueError, "names 'z'"),
        ({"chunks": {"y": 0}}, ValueError, r"chunks\['y'\]=0"),
        ({"compression": 11}, ValueError, "compression=11"),
        ({"compression": True}, ValueError, "compression=True"),
        ({"path": "out.txt"}, ValueError, r"Use 'out\.nc'"),
        ({"path": "no/out.nc"}, FileNotFoundError, "no folder"),
        ({"path": "dir.nc"}, IsADirectoryError, r"dir\.nc is a folder"),
        ({"cube": np.ones(3)}, TypeError, "is a ndarray"),
    ],
)
def test_wrong_arguments_are_refused_at_once(
    make_cube, tmp_path, arguments, error, match
):
    (tmp_path / "dir.nc").mkdir()
    given = {"cube": make_cube(), "path": "out.nc"} | arguments
    given["path"] = tmp_path / given["path"]
    with pytest.raises(error, match=match):
        ck.save_cube(**given)


def test_w15_pipe_is_not_replaced(make_cube, tmp_path):
    os.mkfifo(tmp_path / "out.nc")
    with pytest.raises(OSError, match="no file but a pipe"):
        ck.save_cube(make_cube(), tmp_path / "out.nc", overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["out.nc"]
    assert (tmp_path / "out.nc").is_fifo()


def test_w15_link_stays_and_what_it_points_to_is_replaced(make_cube, tmp_path):
    (tmp_path / "there").mkdir()
    old = ck.save_cube(make_cube(), tmp_path / "there" / "real.nc")
    link = tmp_path / "link.nc"
    link.symlink_to(old)
    assert ck.save_cube(make_cube() * 2, link, overwrite=True) == old
    assert link.is_symlink()
    assert np.array_equal(ck.open_cube(old).values, make_cube().values * 2)
    assert list((tmp_path / "there").iterdir()) == [old]


def test_w15_link_to_nowhere_makes_the_file_it_names(make_cube, tmp_path):
    (tmp_path / "link.nc").symlink_to(tmp_path / "new.nc")
    ck.save_cube(make_cube(), tmp_path / "link.nc")
    assert (tmp_path / "new.nc").is_file()
    assert (tmp_path / "link.nc").is_symlink()


def test_w15_link_to_a_device_is_refused(make_cube, tmp_path):
    (tmp_path / "out.nc").symlink_to("/dev/null")
    with pytest.raises(ValueError, match="'null' has no suffix"):
        ck.save_cube(make_cube(), tmp_path / "out.nc", overwrite=True)


def test_w15_name_that_is_too_long_is_refused_and_the_longest_taken(
    make_cube, tmp_path
):
    with pytest.raises(OSError, match="longer than 233 bytes") as error:
        ck.save_cube(make_cube(), tmp_path / f"{'a' * 252}.nc")
    assert error.value.errno == errno.ENAMETOOLONG
    assert not list(tmp_path.iterdir())
    assert ck.save_cube(make_cube(), tmp_path / f"{'a' * 230}.nc").is_file()


def test_w15_folder_that_may_not_be_written_to_is_an_error(
    make_cube, tmp_path, monkeypatch
):
    def refuse(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)  # root may write anywhere
    with pytest.raises(PermissionError, match="Permission denied"):
        ck.save_cube(make_cube(), tmp_path / "out.nc")


def test_w16_room_is_looked_for_before_anything_is_computed(
    make_cube, tmp_path, monkeypatch, count_computes
):
    path = tmp_path / "out.nc"
    path.write_text("old")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5000))
    cube = make_cube(chunks={"y": 1})
    with count_computes() as ran, pytest.raises(ck.DiskFullError) as error:
        ck.save_cube(cube, path, overwrite=True, compression=None)
    assert ran == []
    assert f"up to {5 * 4 * 40 * 8 + 49 * 8} bytes needed, 5000 free" in str(
        error.value
    )
    assert path.read_text() == "old"
    # what compresses may fit
    assert ck.save_cube(cube, path, overwrite=True) == path


def test_dates_of_other_calendars_come_back(make_cube, tmp_path):
    times = xr.date_range("2000-02-28", periods=5, calendar="noleap", use_cftime=True)
    cube = make_cube().assign_coords(when=("y", times))
    back = saved(cube, tmp_path)
    assert back.when.values.tolist() == list(times)


def test_map_projection_stays_attached(make_cube, tmp_path):
    crs = xr.Variable((), 0, {"grid_mapping_name": "transverse_mercator"})
    back = saved(make_cube().assign_coords(crs=crs), tmp_path)
    assert back.crs.attrs["grid_mapping_name"] == "transverse_mercator"
    with netCDF4.Dataset(tmp_path / "out.nc") as file:
        assert file["reflectance"].grid_mapping == "crs"


def test_w17_folder_of_a_dead_run_is_removed_and_that_of_a_live_one_kept(
    make_cube, tmp_path
):
    import fcntl  # noqa: PLC0415  not on every system

    for name in ("dead", "live"):
        (tmp_path / f".out.nc.{name}.partial").mkdir()
        (tmp_path / f".out.nc.{name}.partial" / "lock").touch()
    other = tmp_path / ".out2.nc.dead.partial"
    other.mkdir()
    with (tmp_path / ".out.nc.live.partial" / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ck.save_cube(make_cube(), tmp_path / "out.nc")
    left = sorted(p.name for p in tmp_path.iterdir())
    assert left == [".out.nc.live.partial", ".out2.nc.dead.partial", "out.nc"]


def test_saving_warns_of_nothing_that_reading_does_not(rich, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        saved(rich.chunk({"y": 2}), tmp_path)
