"""ENVI out: what numpy, GDAL and we ourselves read is what was written."""

from __future__ import annotations

import errno
import os
import weakref

import dask.array as da
import numpy as np
import pytest
import rasterio
import xarray as xr

import cubekit as ck
from cubekit.io import envi_writing, staging
from cubekit.io.files import Files

SHAPES = {
    "bsq": ("band", "y", "x"),
    "bil": ("y", "band", "x"),
    "bip": ("y", "x", "band"),
}


@pytest.fixture
def scene(make_cube):
    """A cube on a map, with bands of every kind."""
    cube = make_cube(shape=(7, 5, 12), dtype="float32", missing=0.02)
    good = np.arange(12) != 4
    return cube.assign_coords(
        y=("y", 5808960.0 - 30 * np.arange(7), place("y")),
        x=("x", 364110.0 + 30 * np.arange(5), place("x")),
        fwhm=("wavelength", np.linspace(8, 9, 12), {"units": "nm"}),
        good_band=("wavelength", good),
    )


def place(name):
    return {"units": "m", "standard_name": f"projection_{name}_coordinate"}


@pytest.mark.parametrize("suffix", [".hdr", ".img", ".dat", ".bsq", ".bil", ".bip"])
@pytest.mark.parametrize("chunks", [None, {"y": 3, "x": 2, "wavelength": 5}])
def test_cube_comes_back_with_its_bands_and_places(scene, tmp_path, suffix, chunks):
    cube = scene if chunks is None else scene.chunk(chunks)
    path = ck.save_cube(cube, tmp_path / f"a{suffix}")
    assert path == tmp_path / f"a{suffix}"
    data = "a.img" if suffix == ".hdr" else f"a{suffix}"
    assert {p.name for p in tmp_path.iterdir()} == {"a.hdr", data}
    back = ck.open_cube(path).compute()
    if suffix in {".hdr", ".img", ".dat"}:
        assert back.dims == scene.dims
    xr.testing.assert_equal(back.transpose(*scene.dims), scene)
    for name in ("y", "x", "wavelength", "fwhm"):
        assert back[name].attrs["units"] == scene[name].attrs["units"]


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
@pytest.mark.parametrize("order", [("wavelength", "x", "y"), ("y", "wavelength", "x")])
@pytest.mark.parametrize(
    "dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", ">f8"]
)
def test_raw_numbers_lie_where_the_header_says(
    scene, tmp_path, interleave, order, dtype
):
    cube = scene.fillna(3).astype(dtype).transpose(*order)
    ck.save_cube(cube, tmp_path / "a.img", interleave=interleave)
    header = (tmp_path / "a.hdr").read_text()
    assert header.startswith("ENVI\n")
    assert f"interleave = {interleave}\n" in header
    raw = np.fromfile(tmp_path / "a.img", np.dtype(dtype).newbyteorder("<"))
    sizes = {"band": 12, "y": 7, "x": 5}
    dims = SHAPES[interleave]
    expected = cube.rename(wavelength="band").transpose(*dims).values
    assert np.array_equal(raw.reshape([sizes[d] for d in dims]), expected)


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
def test_gdal_reads_the_same_values_bands_and_places(scene, tmp_path, interleave):
    wkt = rasterio.crs.CRS.from_epsg(32633).to_wkt()
    cube = scene.assign_coords(spatial_ref=((), 0, {"crs_wkt": wkt}))
    ck.save_cube(cube.chunk({"y": 2}), tmp_path / "a.img", interleave=interleave)
    with rasterio.open(tmp_path / "a.img") as file:
        expected = scene.transpose("wavelength", "y", "x").values
        assert np.array_equal(file.read(), expected, equal_nan=True)
        assert np.isnan(file.nodata)
        assert file.crs.to_epsg() == 32633
        assert file.xy(0, 0) == (scene.x.values[0], scene.y.values[0])
        assert (file.transform.a, file.transform.e) == (30.0, -30.0)
        centres = [float(file.tags(k)["wavelength"]) for k in file.indexes]
        assert np.array_equal(centres, scene.wavelength.values)
        assert file.tags(1)["wavelength_units"] == "Nanometers"
        assert file.tags(ns="ENVI")["bbl"].count("1") == 11


def test_plantcv_like_readers_find_every_field(scene, tmp_path):
    """The header by rules of its own: a field a line, lists in braces."""
    ck.save_cube(scene, tmp_path / "a.hdr")
    lines = (tmp_path / "a.hdr").read_text().splitlines()[1:]
    fields = dict(line.split(" = ", 1) for line in lines)
    assert fields["samples"] == "5"
    assert fields["lines"] == "7"
    assert fields["bands"] == "12"
    assert fields["data type"] == "4"
    assert fields["byte order"] == "0"
    assert fields["header offset"] == "0"
    assert fields["wavelength units"] == "Nanometers"
    centres = [float(w) for w in fields["wavelength"].strip("{}").split(",")]
    assert centres == scene.wavelength.values.tolist()
    assert fields["bbl"] == "{1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1}"


@pytest.mark.parametrize(
    ("units", "spelled"),
    [
        ("um", "Micrometers"),
        ("micrometer", "Micrometers"),
        ("cm-1", "Wavenumber"),
        ("eV", "eV"),
        (None, "Unknown"),
        ("furlong", "furlong"),
    ],
)
def test_units_of_bands_come_back_or_stay_unknown(scene, tmp_path, units, spelled):
    cube = scene.drop_vars("fwhm")
    cube["wavelength"] = cube.wavelength.assign_attrs(units=units)
    if units is None:
        del cube.wavelength.attrs["units"]
    ck.save_cube(cube, tmp_path / "a.hdr")
    assert f"wavelength units = {spelled}\n" in (tmp_path / "a.hdr").read_text()
    back = ck.open_cube(tmp_path / "a.hdr").wavelength.attrs.get("units")
    assert back == ("um" if units == "micrometer" else units)


@pytest.mark.parametrize(
    ("select", "shape"),
    [
        ({"wavelength": 3}, (1, 7, 5)),
        ({"x": 2}, (12, 7, 1)),
        ({"x": 2, "y": 1}, (12, 1, 1)),
    ],
)
def test_images_and_spectra_are_cubes_of_one(scene, tmp_path, select, shape):
    cube = scene.isel(select).drop_vars(list(select))
    with_places = cube.drop_vars([c for c in cube.coords if c != "wavelength"])
    ck.save_cube(with_places, tmp_path / "a.bsq")
    raw = np.fromfile(tmp_path / "a.bsq", "<f4").reshape(shape)
    expected = with_places.transpose(..., *[d for d in ("y", "x") if d in cube.dims])
    assert np.array_equal(raw.ravel(), expected.values.ravel(), equal_nan=True)


def test_turned_grid_comes_back_as_it_lies_on_the_map(scene, tmp_path):
    angle = np.deg2rad(53.0)
    y, x = -12.0 * (np.arange(7) + 0.5), 9.0 * (np.arange(5) + 0.5)
    along = {"units": "m", "comment": "along the grid, which is turned on the map"}
    cube = scene.assign_coords(
        y=("y", y, along),
        x=("x", x, along),
        easting=(("y", "x"), 3e5 + np.cos(angle) * x - np.sin(angle) * y[:, None]),
        northing=(("y", "x"), 4e6 + np.sin(angle) * x + np.cos(angle) * y[:, None]),
    )
    ck.save_cube(cube, tmp_path / "a.hdr")
    back = ck.open_cube(tmp_path / "a.hdr")
    for name in ("y", "x", "easting", "northing"):
        np.testing.assert_allclose(back[name], cube[name], rtol=0, atol=1e-8)


def test_upward_lines_and_degrees_are_kept(scene, tmp_path):
    degrees = {"units": "degrees_north", "standard_name": "latitude"}
    cube = scene.assign_coords(
        y=("y", 40 + 0.01 * np.arange(7), degrees),
        x=("x", -3 + 0.01 * np.arange(5), {"units": "degrees_east"}),
    )
    ck.save_cube(cube, tmp_path / "a.hdr")
    back = ck.open_cube(tmp_path / "a.hdr")
    np.testing.assert_allclose(back.y, cube.y, rtol=1e-14)
    np.testing.assert_allclose(back.x, cube.x, rtol=1e-14)
    assert back.y.attrs["units"] == "degrees_north"


def test_what_has_no_place_in_a_header_is_named(scene, tmp_path):
    cube = scene.assign_coords(
        lat=(("y", "x"), np.ones((7, 5))), y=("y", np.arange(7.0) ** 2, place("y"))
    )
    with pytest.warns(UserWarning, match="no place for .*'lat'"):
        ck.save_cube(cube, tmp_path / "a.hdr")
    assert "map info" not in (tmp_path / "a.hdr").read_text()


@pytest.mark.parametrize(
    ("change", "options", "error", "match"),
    [
        (lambda c: c * 1j, {}, TypeError, "complex"),
        (lambda c: c.expand_dims("t").expand_dims("s"), {}, ValueError, "Select from"),
        (lambda c: c.isel(y=slice(0, 0)), {}, ValueError, "shape"),
        (lambda c: xr.Dataset({"a": c, "b": c}), {}, ValueError, "holds one cube"),
        (
            lambda c: c.drop_vars(["wavelength", "fwhm"]).rename(wavelength="k"),
            {},
            ValueError,
            "are bands cannot be known",
        ),
        (lambda c: c, {"interleave": "bqs"}, ValueError, "interleave='bqs'"),
        (lambda c: c, {"resume": True}, ValueError, "netCDF and Zarr have that"),
        (lambda c: c, {"region": "auto"}, ValueError, "netCDF and Zarr have that"),
        (lambda c: c, {"chunks": {"y": 2}}, ValueError, "netCDF and Zarr have that"),
        (lambda c: c, {"compression": 5}, ValueError, "netCDF and Zarr have that"),
    ],
)
def test_what_envi_cannot_hold_is_refused(  # noqa: PLR0917  a table
    scene, tmp_path, change, options, error, match
):
    with pytest.raises(error, match=match):
        ck.save_cube(change(scene), tmp_path / "a.img", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("dtype", "stored"), [("?", "u1"), ("i1", "i2"), ("f2", "f4")])
def test_dtypes_that_envi_lacks_are_stored_in_the_next_larger(
    scene, tmp_path, dtype, stored
):
    cube = (scene.fillna(0) - 100).astype(dtype)
    back = ck.open_cube(ck.save_cube(cube, tmp_path / "a.hdr"))
    assert back.dtype == np.dtype(stored)
    assert np.array_equal(back.values, cube.values)


def test_names_of_bands_and_a_dataset_of_one_are_written(scene, tmp_path):
    names = [f"band {k}, {{odd}}" for k in range(12)]
    cube = scene.drop_vars(["wavelength", "fwhm", "good_band"])
    cube = cube.rename(wavelength="band").assign_coords(band_name=("band", names))
    back = ck.open_cube(ck.save_cube(cube.to_dataset(), tmp_path / "a.hdr"))
    assert back.band_name.values[3] == "band 3 (odd)"
    assert np.array_equal(back.values, cube.values, equal_nan=True)


def test_folder_in_the_place_of_a_file_is_refused(scene, tmp_path):
    (tmp_path / "a.img").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        ck.save_cube(scene, tmp_path / "a.hdr", overwrite=True)


def test_interleave_is_for_envi_and_agrees_with_the_suffix(scene, tmp_path):
    with pytest.raises(ValueError, match="It is the order of ENVI files"):
        ck.save_cube(scene, tmp_path / "a.nc", interleave="bsq")
    with pytest.raises(ValueError, match="Use 'bil'"):
        ck.save_cube(scene, tmp_path / "a.bil", interleave="bsq")


def test_neither_file_is_replaced_nor_mixed_with_another(scene, tmp_path):
    ck.save_cube(scene, tmp_path / "a.hdr")
    for name in ("a.hdr", "a.img"):
        with pytest.raises(ck.OutputExistsError, match="overwrite=True"):
            ck.save_cube(scene, tmp_path / name)
    with pytest.raises(FileExistsError, match="Readers of ENVI would take it"):
        ck.save_cube(scene, tmp_path / "a.dat", overwrite=True)
    ck.save_cube(scene * 2, tmp_path / "a.hdr", overwrite=True)
    back = ck.open_cube(tmp_path / "a.img")
    assert np.array_equal(back.values, scene.values * 2, equal_nan=True)
    assert {p.name for p in tmp_path.iterdir()} == {"a.hdr", "a.img"}


@pytest.mark.parametrize("target", ["a.hdr", "a.img"])
def test_s1_own_input_is_refused(scene, tmp_path, target):
    ck.save_cube(scene, tmp_path / "a.hdr")
    with pytest.raises(ck.SameFileError, match="destroy its own input"):
        ck.save_cube(
            ck.open_cube(tmp_path / "a.hdr") * 2, tmp_path / target, overwrite=True
        )


def test_w10_read_back_finds_what_changed(scene, tmp_path, monkeypatch):
    plain = envi_writing._write_text

    def spoil(path, text):
        data = path.with_name("cube.img")
        raw = bytearray(data.read_bytes())
        raw[100] ^= 1
        data.write_bytes(raw)
        plain(path, text)

    monkeypatch.setattr(envi_writing, "_write_text", spoil)
    with pytest.raises(ck.WriteVerifyError, match="differs from what was written"):
        ck.save_cube(scene, tmp_path / "a.hdr")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_failing_operation_never_mixes_old_and_new(
    scene, tmp_path, monkeypatch, overwrite
):
    """An error at each operation: old, new, or data without a header."""
    if overwrite:
        ck.save_cube(scene, tmp_path / "a.hdr")
    left = 0

    class Faulty(Files):
        pass

    def failing(name):
        plain = getattr(Files, name)

        def method(self, *args):
            nonlocal left
            left -= 1
            if left == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return plain(self, *args)

        return method

    for name in ("create", "write", "fsync", "replace", "link", "fsync_folder"):
        setattr(Faulty, name, failing(name))
    for module in ("files", "staging", "envi_writing"):
        monkeypatch.setattr(f"cubekit.io.{module}.FILES", Faulty())
    new = (scene * 2).chunk({"y": 4})
    for n in range(1, 100):
        left = n
        try:
            ck.save_cube(new, tmp_path / "a.hdr", overwrite=overwrite)
        except OSError:
            left = 0
            try:
                found = ck.open_cube(tmp_path / "a.img").values
            except (FileNotFoundError, ck.CorruptFileError):
                assert not (tmp_path / "a.hdr").exists()
            else:
                same = [
                    np.array_equal(found, c.values, equal_nan=True)
                    for c in (scene, new)
                ]
                assert any(same)
            for path in tmp_path.glob("a.*"):
                path.unlink()
            if overwrite:
                ck.save_cube(scene, tmp_path / "a.hdr")
            continue
        break
    assert n > 10
    assert np.array_equal(
        ck.open_cube(tmp_path / "a.img").values, new.values, equal_nan=True
    )


def test_blocks_are_streamed_one_by_one(tmp_path):
    """No more than a few blocks of a cube are there at a time."""
    alive, most = set(), []

    class Block(np.ndarray):
        pass

    def make(block_info=None):
        block = np.full(block_info[None]["chunk-shape"], 1.0, "f4").view(Block)
        alive.add(id(block))
        weakref.finalize(block, alive.discard, id(block))
        most.append(len(alive))
        return block

    meta = np.empty((0, 0, 0), "f4")
    data = da.map_blocks(make, chunks=((2,) * 50, (30,), (40,)), dtype="f4", meta=meta)
    cube = xr.DataArray(data, dims=("y", "x", "wavelength"), name="a")
    ck.save_cube(cube, tmp_path / "a.img", interleave="bsq")
    assert (tmp_path / "a.img").stat().st_size == 100 * 30 * 40 * 4
    assert len(most) == 50
    assert max(most) < 10


def test_staging_is_beside_the_target_and_gone(scene, tmp_path, monkeypatch):
    seen = []
    plain = staging.publish_pair

    def look(staged, targets, overwrite):
        seen.append(staged[0].parent.parent)
        plain(staged, targets, overwrite)

    monkeypatch.setattr(envi_writing, "publish_pair", look)
    ck.save_cube(scene, tmp_path / "a.hdr")
    assert seen == [tmp_path]


@pytest.mark.real
def test_real_cubes_go_out_and_come_back(real, tmp_path):
    names = [
        "emit_jpl_l2a_envi/emit20250324t221005_jpl_unmix_ex",
        "aviris_ng/ang20140912t192359_corr_v1c_img_2580-2590_540-550.img",
        "corn_kernel_lab/corn-kernel-hyperspectral.hdr",
        "enmap_potsdam/enmap_potsdam_tile_64_0.tif",
    ]
    for k, name in enumerate(names):
        cube = ck.open_cube(real / name)
        back = ck.open_cube(ck.save_cube(cube, tmp_path / f"{k}.hdr"))
        assert back.dims == cube.dims
        assert np.array_equal(
            back.values, cube.values, equal_nan=cube.dtype.kind == "f"
        )
        for coord in set(cube.coords) - {"spatial_ref"}:
            if cube[coord].dtype == bool:
                assert np.array_equal(back[coord], cube[coord])
            else:
                np.testing.assert_allclose(back[coord], cube[coord], rtol=1e-12)
