"""Saved models: whole, plain, aligned, refused."""

import pickle
import subprocess
import sys

import h5py
import numpy as np
import pytest
import xarray as xr
from test_pca import as_cube

import cubekit as ck


@pytest.fixture
def cube():
    """Spectra of 9 bands, one of them bad."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 40, 9)) @ rng.normal(size=(9, 9))
    good = np.arange(9) != 4
    return as_cube(5 + values, good_band=("wavelength", good)).assign_attrs(
        history="made"
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.nc"


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("n", [None, 4, 0.9])
def test_a_loaded_model_is_the_saved_one(cube, path, whiten, n):
    pca = ck.PCA(n, whiten=whiten, coord="wavelength").fit(cube)
    assert pca.save(path) == path
    loaded = ck.PCA.load(path)
    assert repr(loaded) == repr(pca)
    xr.testing.assert_identical(loaded.transform(cube), pca.transform(cube))
    for name in ("components_", "mean_", "separation_", "explained_variance_"):
        xr.testing.assert_identical(getattr(loaded, name), getattr(pca, name))
    assert (loaded.n_samples_, loaded.rank_) == (pca.n_samples_, pca.rank_)


def test_a_loaded_model_goes_on_fitting(cube, path):
    a, b = cube.isel(y=slice(10)), cube.isel(y=slice(10, None))
    ck.PCA(4).fit(a).save(path)
    expected = ck.PCA(4).fit(cube)
    for got in (
        ck.PCA.load(path).partial_fit(b),
        ck.PCA.load(path).merge(ck.PCA(4).fit(b)),
    ):
        np.testing.assert_allclose(got.components_, expected.components_, atol=1e-10)


def test_a_clean_process_gives_the_same_scores(cube, path):
    pca = ck.PCA(3).fit(cube)
    pca.save(path)
    cube.drop_attrs().to_netcdf(path.with_name("cube.nc"))
    pca.transform(cube).drop_attrs().to_netcdf(path.with_name("scores.nc"))
    script = (
        "import cubekit as ck, xarray as xr\n"
        f"cube = xr.open_dataarray({str(path.with_name('cube.nc'))!r})\n"
        f"scores = xr.open_dataarray({str(path.with_name('scores.nc'))!r})\n"
        f"print((ck.PCA.load({str(path)!r}).transform(cube) == scores).all().item())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "True\n"


def test_plain_xarray_reads_a_model(cube, path):
    pca = ck.PCA(3).fit(cube)
    pca.save(path)
    with xr.open_dataset(path) as model:
        np.testing.assert_array_equal(model["components"], pca.components_)
        assert model["wavelength"].attrs["units"] == "nm"
        assert model.attrs["ddof"] == 1
        assert model.attrs["cubekit_version"] == ck.__version__
        assert model.attrs["history"].startswith("made\n")
        assert "PCA saved" in model.attrs["history"]


@pytest.mark.parametrize("order", ["reversed", "permuted"])
def test_a_model_aligns_itself_with_bands_in_another_order(cube, path, order):
    pca = ck.PCA(3).fit(cube)
    expected = pca.transform(cube)
    place = (
        np.arange(9)[::-1]
        if order == "reversed"
        else np.random.default_rng(1).permutation(9)
    )
    moved = cube.isel(wavelength=place)
    np.testing.assert_allclose(pca.transform(moved), expected, atol=1e-12)
    np.testing.assert_allclose(
        pca.residual(moved), pca.residual(cube).isel(wavelength=place), atol=1e-12
    )
    pca.save(path)
    with xr.open_dataset(path) as model:
        dims = {d: place for d in model.dims if str(d).startswith("wavelength")}
        model.load().isel(dims).to_netcdf(path.with_name("moved.nc"))
    loaded = ck.PCA.load(path.with_name("moved.nc"))
    np.testing.assert_allclose(loaded.transform(cube), expected, atol=1e-12)
    np.testing.assert_allclose(loaded.transform(moved), expected, atol=1e-12)
    again = loaded.merge(pca)
    np.testing.assert_allclose(
        again.components_.sortby("wavelength"), pca.components_, atol=1e-10
    )


def test_a_file_is_replaced_only_when_asked(cube, path):
    pca = ck.PCA(3).fit(cube)
    pca.save(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        pca.save(path)
    assert path.read_bytes() == before
    ck.PCA(2).fit(cube).save(path, overwrite=True)
    assert len(ck.PCA.load(path).components_) == 2


def test_a_failed_save_leaves_nothing_behind(cube, path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises(OSError, match="No space left"):
        ck.PCA(3).fit(cube).save(path)
    assert list(path.parent.iterdir()) == []


def damaged(path, change):
    with xr.open_dataset(path) as model:
        change(model.load()).to_netcdf(path.with_name("bad.nc"))
    return path.with_name("bad.nc")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m: m.drop_vars("mean"), "cannot be understood"),
        (lambda m: m.drop_vars("components"), "cannot be understood"),
        (lambda m: m.drop_attrs(deep=False), "holds no cubekit model"),
        (lambda m: m.assign_attrs(cubekit_model="MNF"), "holds a model of MNF"),
        (lambda m: m.assign_attrs(cubekit_format=99), "format 99.*Update cubekit"),
        (lambda m: m.assign_attrs(band_coordinate="?"), "cannot be understood"),
        (lambda m: m.assign(mean=("wavelength", list("abcdefghi"))), "no numbers"),
        (lambda m: m.transpose("wavelength", ...), None),
    ],
)
def test_a_damaged_model_is_refused(cube, path, change, match):
    ck.PCA(3).fit(cube).save(path)
    bad = damaged(path, change)
    if match is None:
        ck.PCA.load(bad)
        return
    with pytest.raises(ck.ModelFormatError, match=match):
        ck.PCA.load(bad)


def test_what_is_no_model_file_is_refused(path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        ck.PCA.load(path)
    path.write_bytes(b"\x80\x04not a model")
    for wrong in (path, path.parent):
        with pytest.raises(
            ck.ModelFormatError, match="is no model: it is not netCDF-4"
        ):
            ck.PCA.load(wrong)


def test_a_model_that_is_cut_short_is_told_in_one_go(cube, path):
    ck.PCA(2).fit(cube).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ck.ModelFormatError) as error:
        ck.PCA.load(path)
    message = str(error.value)
    assert message.count(str(path)) == message.count("damaged or cut short.") == 1
    assert ".." not in message


def links_elsewhere(file):
    del file["mean"]
    file["mean"] = h5py.ExternalLink("secret.h5", "/key")


def lies_elsewhere(file):
    del file["mean"]
    external = [("secret.bin", 0, 72)]
    file.create_dataset("mean", (9,), "f8", external=external)


def declares_much(file):
    shape = (10**6, 10**6)
    file.create_dataset("more", shape, "f8", chunks=(1000, 1000))


def holds_text(file):
    del file["mean"]
    file["mean"] = np.array(["cos\nsystem", "(S'id'"] * 4 + ["tR."], object)


def holds_bytes(file):
    del file["mean"]
    code = np.frombuffer(pickle.dumps(range), np.uint8)
    file.create_dataset("mean", data=np.void(code.tobytes()))


def another_version(file):
    file.attrs["cubekit_format"] = "1; import os"


def attribute_no_number(file):
    file.attrs["cubekit_format"] = np.array([1.0, np.nan])


@pytest.mark.filterwarnings("ignore:.*unsupported datatype")  # netCDF4 says it too
@pytest.mark.parametrize(
    ("attack", "error"),
    [
        (links_elsewhere, ck.UnsafeFileError),
        (lies_elsewhere, ck.UnsafeFileError),
        (declares_much, ck.SizeLimitError),
        (holds_text, ck.ModelFormatError),
        (holds_bytes, ck.ModelFormatError),
        (another_version, ck.ModelFormatError),
        (attribute_no_number, ck.ModelFormatError),
    ],
)
def test_x1_x7_model_that_is_an_attack_is_refused(cube, path, attack, error):
    ck.PCA(3).fit(cube).save(path)
    with h5py.File(path, "r+") as file:
        attack(file)
    with pytest.raises(error, match=r"model.* (it|the model) again|Update"):
        ck.PCA.load(path)


def test_x7_nothing_that_could_run_is_imported_to_load(cube, path):
    """Modules that are there already count too: none is imported before."""
    ck.PCA(3).fit(cube).save(path)
    script = (
        "import sys, cubekit as ck, netCDF4, h5py\n"
        "for name in [n for n in sys.modules if n.partition('.')[0] in\n"
        "             ('joblib', 'cloudpickle', 'dill', 'yaml', 'marshal')]:\n"
        "    del sys.modules[name]\n"
        "seen = []\n"
        "def hook(event, args):\n"
        "    if event.startswith(('pickle.', 'marshal.', 'os.system', 'subprocess')):\n"
        "        seen.append(event)\n"
        "    if event == 'import' and args[0].partition('.')[0] in (\n"
        "        'joblib', 'cloudpickle', 'dill', 'yaml', '_pickle', 'pickle'):\n"
        "        seen.append(args[0])\n"
        "    if event in ('exec', 'compile') and 'cubekit' in str(args[0]):\n"
        "        seen.append(event)\n"
        "ck.PCA.load(sys.argv[1])\n"  # what is imported lazily is there now
        "sys.addaudithook(hook)\n"
        "ck.PCA.load(sys.argv[1])\n"
        "print(seen)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == "[]\n"
