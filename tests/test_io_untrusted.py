"""Files that are not to be trusted, or not what they were."""

from __future__ import annotations

import collections
import contextlib
import os
import subprocess
import sys
import tracemalloc
import zlib

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

import cubekit as ck
from cubekit import preflight
from cubekit.io import record


@pytest.fixture
def hostile(tmp_path):
    """Write an HDF5 file with a function of the open file, beside a secret one."""
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["key"] = np.arange(100.0).reshape(4, 25)
    (tmp_path / "secret.bin").write_bytes(bytes(range(200)))

    def make(fill):
        path = tmp_path / "cube.nc"
        with netCDF4.Dataset(path, "w") as file:
            file.createDimension("y", 4)
            file.createVariable("cube", "f4", ("y",))[:] = 1
            file.createGroup("inner")
        with h5py.File(path, "r+") as file:
            fill(file)
        return path

    return make


def external_link(file):
    file["inner/x"] = h5py.ExternalLink("secret.h5", "/key")


def soft_link(file):
    file["inner/x"] = h5py.SoftLink("/cube")


def second_link(file):
    file["inner/x"] = file["cube"]


def cycle(file):
    file["inner/x"] = file["/"]


def external_storage(file):
    external = [("secret.bin", 0, 160)]
    file.create_dataset("inner/x", (4, 5), "f8", external=external)


def virtual(file):
    layout = h5py.VirtualLayout((4, 25), "f8")
    layout[...] = h5py.VirtualSource("secret.h5", "key", (4, 25))
    file.create_virtual_dataset("inner/x", layout)


def plugin(file):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((4, 5))
    plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
    space = h5py.h5s.create_simple((4, 5))
    h5py.h5d.create(file["inner"].id, b"x", h5py.h5t.NATIVE_DOUBLE, space, plist)


@pytest.mark.parametrize(
    ("fill", "match"),
    [
        (external_link, r"'/inner/x' is an external link to 'secret\.h5:/key'"),
        (soft_link, "'/inner/x' is a soft link to '/cube'"),
        (second_link, "second link"),
        (cycle, "'/inner/x' is a second link"),
        (external_storage, r"'/inner/x' is external storage to 'secret\.bin'"),
        (virtual, r"'/inner/x' is a virtual dataset to 'secret\.h5'"),
        (plugin, "'/inner/x' is a filter from a plugin to 'filter 32015'"),
    ],
)
def test_x1_x2_x5_file_that_reaches_beyond_itself_is_refused(hostile, fill, match):
    with pytest.raises(ck.UnsafeFileError, match=match):
        ck.open_cube(hostile(fill))


def test_x1_refused_file_names_no_other_file_to_the_system(hostile, monkeypatch):
    opened = []
    path = hostile(external_link)
    monkeypatch.setattr(
        sys, "addaudithook", sys.addaudithook
    )  # audit hooks see opens by Python
    sys.addaudithook(lambda e, a: opened.append(a[0]) if e == "open" else None)
    with pytest.raises(ck.UnsafeFileError):
        ck.open_cube(path)
    assert not [p for p in opened if "secret" in str(p)]


def test_trusted_file_is_opened(hostile):
    assert ck.open_cube(hostile(plugin), variable="cube", trust=True).values.sum() == 4


@contextlib.contextmanager
def calls():
    """Count of the calls made meanwhile: what takes time, on any machine."""
    made = [0]

    def count(frame, event, arg):
        made[0] += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        yield made
    finally:
        sys.setprofile(None)


def declared(shape, chunks, dtype="f8"):
    def fill(file):
        file.create_dataset("inner/x", shape, dtype, chunks=chunks, compression=1)

    return fill


@pytest.mark.parametrize(
    ("fill", "match"),
    [
        (declared((10**6, 10**6), (1000, 1000)), "8000000000000 bytes, and stores 0"),
        (declared((2**28 + 1,), (1000,), "i1"), "'/inner/x' declares 268435457 bytes"),
        (declared((2**16, 2**16), (2**15, 2**15)), "stores 0|a chunk of"),
    ],
)
def test_x3_file_that_declares_more_than_it_holds_is_refused_at_once(
    hostile, fill, match, monkeypatch
):
    path = hostile(fill)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", None)  # no value is read
    monkeypatch.setattr(netCDF4, "Dataset", None)  # no other library opens it
    with calls() as made, pytest.raises(ck.SizeLimitError, match=match):
        ck.open_cube(path)
    assert made[0] < 3000


def test_x4_groups_too_deep_are_refused(hostile):
    with pytest.raises(ck.SizeLimitError, match="65 deep"):
        ck.open_cube(hostile(lambda f: f.create_group("/".join("g" * 100))))


def test_x4_too_many_and_too_large_attributes_are_refused(hostile, monkeypatch):
    monkeypatch.setattr(preflight, "_ATTRIBUTES", 10)
    monkeypatch.setattr(preflight, "_ATTRIBUTE", 1000)

    def many(file):
        for k in range(11):
            file["inner"].attrs[f"a{k}"] = k

    with pytest.raises(ck.SizeLimitError, match="'/inner' declares 11 attributes"):
        ck.open_cube(hostile(many))

    def large(file):
        file["inner"].attrs["a"] = np.zeros(200)

    with pytest.raises(ck.SizeLimitError, match="an attribute of 1600 bytes"):
        ck.open_cube(hostile(large))


def test_too_many_objects_are_refused(hostile, monkeypatch):
    monkeypatch.setattr(preflight, "_OBJECTS", 20)

    def many(file):
        for k in range(30):
            file.create_group(f"inner/g{k}")

    with pytest.raises(ck.SizeLimitError, match="objects"):
        ck.open_cube(hostile(many))


@pytest.mark.parametrize("place", ["wavelength", "nested/deep/x", "title"])
def test_x1_link_to_another_file_is_found_wherever_it_is(hostile, place):
    def fill(file):
        file[place] = h5py.ExternalLink("secret.h5", "/key")

    with pytest.raises(ck.UnsafeFileError, match=f"'/{place}' is an external link"):
        ck.open_cube(hostile(fill))


def test_x3_refusal_takes_no_memory(hostile):
    path = hostile(declared((10**6, 10**6), (1000, 1000)))
    tracemalloc.start()
    try:
        with pytest.raises(ck.SizeLimitError):
            ck.open_cube(path)
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()


def test_x4_deep_groups_are_refused_before_most_are_seen(hostile):
    def deep(file):
        group = file["inner"].id
        for _ in range(3000):
            group = h5py.h5g.create(group, b"g")

    path = hostile(deep)
    with calls() as made, pytest.raises(ck.SizeLimitError, match="deep"):
        ck.open_cube(path)
    assert made[0] < 10000


FUZZ = """
import faulthandler, os, resource, sys, warnings
import numpy as np
import cubekit as ck

warnings.simplefilter("ignore")
resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
whole, spoiled, count, skip = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
content = open(whole, "rb").read()
for number in range(skip, count):
    # HDF5 itself may go round for ever: the child ends then
    faulthandler.dump_traceback_later(10, exit=True, file=open(os.devnull, "w"))
    rng = np.random.default_rng(number)
    changed = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        changed[rng.integers(min(len(changed), 4096))] = rng.integers(256)
    open(spoiled, "wb").write(changed)
    try:
        ck.open_cube(spoiled, trust=number % 3 == 0).load()
        print(number, "opened", flush=True)
    except (ck.CubekitError, ValueError):
        print(number, "refused", flush=True)
    except Exception as error:
        print(number, type(error).__name__, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("format", ["ours", "NETCDF4", "NETCDF3_64BIT", "ENVI"])
def test_r5_header_of_random_bytes_is_refused_or_opened(tmp_path, make_cube, format):
    """More with CUBEKIT_FUZZ=5000."""
    count = int(os.environ.get("CUBEKIT_FUZZ", "100"))
    cube = make_cube().astype("f4")
    whole, spoiled = tmp_path / "whole.nc", tmp_path / "spoiled.nc"
    if format == "ours":
        ck.save_cube(cube, whole)
    elif format == "ENVI":
        whole, spoiled = tmp_path / "whole.hdr", tmp_path / "spoiled.hdr"
        (tmp_path / "spoiled.img").write_bytes(bytes(5 * 4 * 40 * 4))
        whole.write_text(
            "ENVI\nsamples = 4\nlines = 5\nbands = 40\ninterleave = bsq\n"
            "data type = 4\nbyte order = 0\nheader offset = 0\n"
            f"wavelength = {{{', '.join(str(400 + 10 * k) for k in range(40))}}}\n"
        )
    else:
        cube.to_netcdf(whole, format=format)
    found: dict[int, str] = {}
    while len(found) < count:
        arguments = [str(whole), str(spoiled), str(count), str(len(found))]
        child = subprocess.run(
            [sys.executable, "-c", FUZZ, *arguments],
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        for line in child.stdout.splitlines():
            number, outcome = line.split()
            found[int(number)] = outcome
        if len(found) < count:
            assert child.returncode == 1, child.stderr  # by the watch, not a signal
            found[len(found)] = "stopped"
    outcomes = collections.Counter(found.values())
    assert outcomes.keys() <= {"opened", "refused", "stopped"}, outcomes
    assert outcomes["stopped"] <= count / 50
    assert outcomes["refused"] > 0


@pytest.mark.real
def test_every_real_netcdf_file_passes(real):
    paths = [p for p in real.glob("*/*.nc") if p.read_bytes()[:4] == b"\x89HDF"]
    refused = {}
    for path in paths:
        try:
            preflight.preflight(path)
        except ck.CubekitError as error:
            refused[path.name] = str(error)
    assert paths
    assert not refused


@pytest.fixture
def ours(make_cube, tmp_path):
    """A file of ours with coordinates of every kind, and its values."""
    cube = make_cube(shape=(9, 8, 40)).astype("f4")
    cube = cube.assign_coords(
        site=("y", [f"site {k}" for k in range(9)]),
        good_band=("wavelength", np.arange(40) > 3),
        lat=(("y", "x"), np.random.default_rng(0).normal(size=(9, 8))),
    )
    path = tmp_path / "ours.nc"
    ck.save_cube(cube, path, chunks={"y": 4, "x": 4})
    return path, ck.open_cube(path).load()


FLIPS = """
import faulthandler, sys
import numpy as np, xarray as xr
import cubekit as ck

whole, spoiled, skip = sys.argv[1], sys.argv[2], int(sys.argv[3])
content = open(whole, "rb").read()
expected = ck.open_cube(whole).load()
bits = np.random.default_rng(1).choice(8 * len(content), 250, replace=False)
for number, bit in enumerate(bits[skip:], start=skip):
    # HDF5 itself may go round for ever in a damaged heap: the child ends then
    faulthandler.dump_traceback_later(20, exit=True, file=open(os.devnull, "w"))
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    open(spoiled, "wb").write(changed)
    try:
        same = ck.open_cube(spoiled).load().identical(expected)
    except (ck.CubekitError, ValueError):
        same = None
    print(number, {True: "same", False: "wrong", None: "noticed"}[same], flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["fast", None])
def test_r2_no_flipped_bit_gives_wrong_values(tmp_path, ours, compression):
    """In a child: HDF5 itself could go round for ever, did it see the damage."""
    _path, cube = ours
    whole, spoiled = tmp_path / "o.nc", tmp_path / "spoiled.nc"
    ck.save_cube(cube, whole, chunks={"y": 4, "x": 4}, compression=compression)
    found: dict[int, str] = {}
    while len(found) < 250:
        arguments = [str(whole), str(spoiled), str(len(found))]
        child = subprocess.run(
            [sys.executable, "-c", "import os" + FLIPS, *arguments],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        for line in child.stdout.splitlines():
            number, outcome = line.split()
            found[int(number)] = outcome
        if len(found) < 250:
            assert child.returncode == 1, (
                child.stderr
            )  # stopped by the watch, no signal
            found[len(found)] = "stopped"
    outcomes = collections.Counter(found.values())
    print(f"\n{len(found)} bits flipped, {compression=}: {dict(outcomes)}")
    assert outcomes["wrong"] == outcomes["stopped"] == 0
    assert outcomes["noticed"] > 240


@pytest.mark.parametrize("keep", [0, 0.01, 0.3, 0.9, 0.999])
def test_r1_file_cut_short_is_refused(ours, keep):
    path, cube = ours
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    try:
        found = ck.open_cube(path).load()
    except ck.CorruptFileError as error:
        assert "ours.nc" in str(error)  # noqa: PT017
    else:
        xr.testing.assert_identical(found, cube)  # only the record was cut off


@pytest.mark.parametrize("text", ["[]", "{}", "null", '{"format": 1}', "{", '"a"'])
def test_record_that_says_nothing_is_refused(ours, text):
    path, _cube = ours
    with path.open("ab") as file:
        file.write(text.encode())
        file.write(record._END.pack(len(text), zlib.crc32(text.encode()), b"cubekit\n"))
    with pytest.raises(ck.CorruptFileError, match="of another file or version"):
        ck.open_cube(path)


def test_r2_damage_is_found_before_hdf5_sees_the_file(ours, monkeypatch):
    path, _cube = ours
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(h5py, "File", None)
    monkeypatch.setattr(netCDF4, "Dataset", None)
    with pytest.raises(ck.CorruptFileError, match="bytes outside its chunks"):
        ck.open_cube(path)


def test_file_changed_by_another_program_is_somebody_elses(ours):
    path, _cube = ours
    with netCDF4.Dataset(path, "a") as file:
        file.title = "mine now"
        file["reflectance"][0, 0, 0] = 1.5
    assert ck.open_cube(path).values[0, 0, 0] == 1.5


def test_copy_by_another_program_is_opened(ours, tmp_path):
    path, cube = ours
    with xr.open_dataset(path) as found:
        found.isel(y=slice(3)).to_netcdf(tmp_path / "copy.nc")
    copy = ck.open_cube(tmp_path / "copy.nc")
    assert np.array_equal(copy.values, cube.values[:3])


def test_w18_file_that_was_never_finished_is_refused(
    ours, tmp_path, make_cube, monkeypatch
):
    from cubekit.io.container import Container  # noqa: PLC0415

    kept = tmp_path / "kept.nc"

    def stop(container):
        container.hdf5.flush()
        kept.write_bytes(container.path.read_bytes())
        raise KeyboardInterrupt

    monkeypatch.setattr(Container, "finish", stop)
    with pytest.raises(KeyboardInterrupt):
        ck.save_cube(make_cube(), tmp_path / "out.nc")
    with pytest.raises(ck.IncompleteFileError, match="never finished"):
        ck.open_cube(kept)


def test_foreign_chunked_file_with_a_hole_has_missing_values_there(tmp_path):
    path = tmp_path / "a.nc"
    with netCDF4.Dataset(path, "w") as file:
        for dim, size in {"y": 40, "x": 5, "wavelength": 6}.items():
            file.createDimension(dim, size)
        options = {"zlib": True, "chunksizes": (10, 5, 6), "fill_value": np.float32(-1)}
        cube = file.createVariable("cube", "f4", ("y", "x", "wavelength"), **options)
        cube[:10] = 2
        cube[30:] = 3
    values = ck.open_cube(path).values
    assert np.isnan(values[10:30]).all()
    assert (values[:10] == 2).all()
    assert (values[30:] == 3).all()


@pytest.mark.parametrize(
    "options",
    [
        {"zlib": True, "shuffle": False},
        {"zlib": True, "fletcher32": True},
        {"fletcher32": True},
        {},
        {"contiguous": True},
        {"zlib": True, "complevel": 9, "shuffle": True},
        {"compression": "szip"},
    ],
)
@pytest.mark.parametrize("dtype", ["f4", "i2", "u1", "f8"])
def test_every_layout_reads_as_netcdf4_python_reads_it(tmp_path, options, dtype):
    values = np.arange(23 * 7 * 11).reshape(23, 7, 11).astype(dtype)
    path = tmp_path / "a.nc"
    chunks = {} if options.get("contiguous") else {"chunksizes": (5, 7, 4)}
    with netCDF4.Dataset(path, "w") as file:
        for dim, size in zip("yxb", values.shape, strict=True):
            file.createDimension(dim, size)
        try:
            variable = file.createVariable(
                "cube", dtype, tuple("yxb"), **options, **chunks
            )
        except RuntimeError:  # szip is not in every build: nothing to read then
            return
        variable[...] = values
    for chunks in ("auto", {"y": 3, "b": 2}):
        found = ck.open_cube(path, chunks=chunks)
        assert found.dtype == np.dtype(dtype)
        assert np.array_equal(found.values, values)


def test_variable_named_like_a_dim_of_another_is_read_right(tmp_path):
    path = tmp_path / "a.nc"
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("cube", 4)
        file.createDimension("x", 5)
        file.createVariable("cube", "f4", ("x", "cube"))[...] = np.ones((5, 4))
        file.createVariable("line", "f4", ("cube",))[...] = 7
    assert ck.open_cube(path, variable="cube").values.tolist() == [[1.0] * 4] * 5
