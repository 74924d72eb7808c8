"""Autoencoders: the contract of PCA, on a curved surface."""

from __future__ import annotations

import subprocess
import sys
import warnings

import dask
import netCDF4
import numpy as np
import pytest
import xarray as xr
from scipy.linalg import subspace_angles

import cubekit as ck
from cubekit.reduction.autoencoder import backend, network, spectra, training
from cubekit.reduction.autoencoder.coordinates import Coordinates
from cubekit.reduction.projection import projection_of

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Threads that wait for each other are slow where other tests run beside."""
    with dask.config.set(num_workers=1):
        yield


QUICK = {"epochs": 1, "hidden": (8,), "batch_size": 2048}


def plane(n=3000, bands=8, sizes=(3.0, 2.0, 1.0), noise=0.05, seed=0):
    """Spectra near a plane, far from zero."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(bands, bands)))[0][: len(sizes)]
    values = rng.normal(size=(n, len(sizes))) * sizes @ basis
    values = values + 50 + noise * rng.normal(size=(n, bands))
    return xr.DataArray(
        values.reshape(-1, 30, bands),
        dims=("y", "x", "wavelength"),
        coords={"wavelength": ("wavelength", np.linspace(500, 900, bands) ** 1.01)},
        name="radiance",
        attrs={"units": "W m-2 sr-1", "history": "made"},
    )


@pytest.fixture(scope="module")
def cube():
    """Float64, so that what is compared is not rounding."""
    scene = ck.datasets.alteration_scene((16, 24), seed=1)
    some = scene.isel(wavelength=slice(None, None, 5)).astype(np.float64)
    return some.assign_coords(good_band=("wavelength", np.arange(13) != 4))


@pytest.fixture(scope="module")
def curved(cube):
    return ck.Autoencoder(4, variational=False, **QUICK).fit(cube)


@pytest.fixture(scope="module")
def variational(cube):
    return ck.Autoencoder(4, **QUICK).fit(cube)


@pytest.fixture(scope="module")
def convolved(cube):
    return ck.Autoencoder(3, layers="conv1d", epochs=1, hidden=(3, 4)).fit(cube)


@pytest.fixture(scope="module")
def linear():
    flat = plane()
    model = ck.Autoencoder(3, hidden=(), variational=False, start="random", epochs=25)
    return model.fit(flat)


# -- what it learns -----------------------------------------------------------------


def test_a_linear_model_from_anywhere_spans_the_principal_components(linear):
    pca = ck.PCA(3).fit(plane())
    angles = subspace_angles(linear.components_.values.T, pca.components_.values.T)
    assert angles.max() < 0.02


def test_a_linear_model_that_starts_there_stays_there():
    flat = plane(sizes=(3.0, 2.0, 1.0, 0.3))
    model = ck.Autoencoder(3, hidden=(), variational=False, epochs=3).fit(flat)
    pca = ck.PCA(3).fit(flat)
    angles = subspace_angles(model.components_.values.T, pca.components_.values.T)
    assert angles.max() < 0.02


def test_a_linear_model_explains_as_much_by_each_score_as_it_should(linear):
    ratio = linear.explained_variance_ratio_.values
    assert (np.diff(ratio) < 0).all()
    assert linear.evaluate(plane()).r2_own_mean > 0.999


def test_an_epoch_of_a_curved_model_is_better_than_principal_components(curved):
    assert curved.rmse_ < 0.95 * curved.pca_rmse_
    assert curved.held_out_loss_[-1] < curved.held_out_loss_[0]


@pytest.mark.slow
@pytest.mark.parametrize("is_variational", [True, False])
def test_five_latents_hold_a_scene_that_five_components_do_not(is_variational):
    scene = ck.datasets.alteration_scene()
    model = ck.Autoencoder(5, variational=is_variational, epochs=12).fit(scene)
    assert model.rmse_ <= 0.7 * model.pca_rmse_
    assert model.n_active_ == 5


@pytest.mark.slow
def test_on_a_linear_scene_it_is_no_worse_than_principal_components():
    scene = ck.datasets.scene((80, 100)).isel(wavelength=slice(None, None, 4))
    model = ck.Autoencoder(5, epochs=5).fit(scene)
    assert model.rmse_ <= 1.05 * model.pca_rmse_


@pytest.mark.parametrize("layers", ["dense", "conv1d"])
@pytest.mark.parametrize("hidden", [(), (4, 6)])
def test_the_coordinates_of_training_do_not_change_the_network(layers, hidden):
    """In principal components or in bands: the same scores, the same spectra."""
    import torch  # noqa: PLC0415

    rng = np.random.default_rng(0)
    layout = network.Layout(7, 3, layers, hidden, False)
    covariance, root = np.cov(rng.normal(size=(7, 40))), rng.uniform(1, 2, 7)
    matrices = Coordinates.of(covariance, root)
    inward, outward = matrices
    np.testing.assert_allclose(inward @ outward, np.eye(7), atol=1e-12)
    white = inward / root @ covariance @ (inward / root).T
    np.testing.assert_allclose(white, np.eye(7), atol=1e-12)
    trained = {
        name: torch.from_numpy(rng.normal(size=shape).astype(np.float32))
        for name, shape in network.shapes(layout).items()
    }
    weights = matrices.to("cpu").network(trained, layout)
    for name, shape in network.shapes(layout).items():
        assert weights[name].shape == shape
    x = torch.from_numpy(rng.normal(size=(5, 7)).astype(np.float32))
    u = x @ matrices.to("cpu").inward.T
    if layers == "dense" or not hidden:
        scores, _ = network.encode(weights, x, layout)
        torch.testing.assert_close(scores, network.encode(trained, u, layout)[0])
        trained["decoder_offset"] = torch.zeros(7)
        weights["decoder_offset"] = torch.zeros(7)
        torch.testing.assert_close(
            network.decode(weights, scores, layout) @ matrices.to("cpu").inward.T,
            network.decode(trained, scores, layout),
            rtol=1e-4,
            atol=1e-4,
        )
    begin = network.Start(rng.normal(size=(3, 7)), rng.normal(size=(7, 3)), np.ones(3))
    there = matrices.start(begin)
    np.testing.assert_allclose(there.encoder @ inward, begin.encoder)
    np.testing.assert_allclose(outward @ there.decoder, begin.decoder)


def test_the_first_loss_is_that_of_principal_components(cube):
    """The start is exact, so the mean squared error is that of PCA."""
    model = ck.Autoencoder(4, variational=False, hidden=(), epochs=1)
    model.learning_rate = 1e-12
    model.fit(cube)
    assert model.rmse_ == pytest.approx(model.pca_rmse_, rel=1e-4)


def test_the_weight_of_the_divergence_rises_to_beta_and_stays(cube, monkeypatch):
    """A quarter more at each epoch, then whole; held-out losses always whole."""
    steps, judgements = [], []
    loss = training._Training.loss

    def watched(self, weights, x, beta, noise):
        (steps if noise is None else judgements).append(beta)
        return loss(self, weights, x, beta, noise)

    monkeypatch.setattr(training._Training, "loss", watched)
    ck.Autoencoder(2, beta=0.6, warm_up=4, epochs=6, hidden=(4,)).fit(cube)
    by_epoch = np.reshape(steps, (6, -1))
    assert (by_epoch == by_epoch[:, :1]).all()
    np.testing.assert_allclose(by_epoch[:, 0], [0.15, 0.3, 0.45, 0.6, 0.6, 0.6])
    assert set(judgements) == {0.6}


def test_the_weight_enters_the_loss_as_that_of_the_divergence(cube, monkeypatch):
    """With the same noise, loss over weight is a line; its slope is the divergence."""
    found = []
    loss = training._Training.loss

    def watched(self, weights, x, beta, noise):
        if noise is not None:
            found.append([float(loss(self, weights, x, b, noise)) for b in (0, 1, 3)])
        return loss(self, weights, x, beta, noise)

    monkeypatch.setattr(training._Training, "loss", watched)
    model = ck.Autoencoder(3, **QUICK).fit(cube)
    none, one, three = np.transpose(found)
    np.testing.assert_allclose(three - none, 3 * (one - none), rtol=1e-4)
    kept = int(model.held_out_loss_.values.argmin())
    assert (one - none)[kept] == pytest.approx(float(model.divergence_.sum()), rel=1e-3)


def test_a_long_warm_up_ends_before_patience_begins(cube, monkeypatch):
    """Without a gain all the while, steps become smaller only after the warm-up."""
    monkeypatch.setattr(training, "_GAIN", 1e9)  # nothing counts as a gain
    monkeypatch.setattr(training, "_PATIENCE", 2)
    options = {"hidden": (4,), "epochs": 50}
    epochs = 2 * (training._REDUCTIONS + 1)
    for warm_up, rising in ((0, 0), (7, 6)):
        model = ck.Autoencoder(2, warm_up=warm_up, **options).fit(cube)
        assert len(model.loss_) - 1 == rising + epochs
    plain = ck.Autoencoder(2, variational=False, warm_up=7, **options).fit(cube)
    assert len(plain.loss_) - 1 == epochs


def test_the_model_that_is_kept_is_one_after_the_warm_up(cube):
    model = ck.Autoencoder(3, warm_up=6, epochs=12, hidden=(16,)).fit(cube)
    assert int(model.held_out_loss_.values.argmin()) > 6


def test_more_weight_on_the_divergence_collapses_latents_and_says_so():
    options = {"beta": 1e5, "warm_up": 0, "hidden": (), "learning_rate": 0.02}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = ck.Autoencoder(3, epochs=5, batch_size=512, **options).fit(plane(300))
    assert model.n_active_ == 0
    assert "3 of 3 latents carry nothing (posterior collapse" in str(said[0].message)
    assert "Ask for fewer, or lower beta" in str(said[0].message)
    assert "Use PCA, or train longer" in str(said[1].message)
    assert (model.divergence_ >= 0).all()


def test_a_model_worse_than_principal_components_says_so():
    lame = {"start": "random", "learning_rate": 1e-6, "variational": False}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        ck.Autoencoder(3, **lame, **QUICK).fit(plane(300))
    assert "error of held-out spectra is" in str(said[-1].message)
    assert "that of PCA(3)" in str(said[-1].message)
    assert said[-1].filename == __file__  # points to the call of fit


# -- there and back -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["curved", "variational", "convolved"])
def test_the_residual_is_what_is_missing_from_the_rebuilt_cube(name, cube, request):
    model = request.getfixturevalue(name)
    rebuilt = model.inverse_transform(model.transform(cube))
    xr.testing.assert_allclose(
        model.residual(cube), (cube - rebuilt).transpose(*cube.dims), atol=1e-12
    )


def test_scores_and_cubes_keep_their_labels(curved, cube):
    scores = curved.transform(cube)
    assert scores.dims == ("y", "x", "component")
    assert scores.component.values.tolist() == [1, 2, 3, 4]
    assert "units" not in scores.attrs
    assert scores.attrs["long_name"] == "Autoencoder(4) scores of reflectance"
    back = curved.inverse_transform(scores)
    assert back.name == "reflectance"
    assert back.attrs["units"] == "1"
    for name in ("y", "x", "wavelength", "good_band"):
        np.testing.assert_array_equal(back[name], cube[name])


def test_scores_come_with_the_fit_in_one_call(cube, curved):
    model = ck.Autoencoder(4, variational=False, **QUICK)
    told: list[int] = []
    scores = model.fit_transform(cube, progress=lambda epoch, *_: told.append(epoch))
    xr.testing.assert_identical(scores, curved.transform(cube))
    assert told == [1]
    assert model.n_components_ == 4


def test_any_place_of_the_bands_and_any_chunks_give_the_same(curved, cube):
    expected = curved.transform(cube)
    moved = cube.transpose("wavelength", "x", "y")
    for chunks in ({"y": 1}, {"wavelength": 2, "x": 5}, {}):
        scores = curved.transform(moved.chunk(chunks))
        assert scores.dims == ("component", "x", "y")
        xr.testing.assert_allclose(scores.transpose(*expected.dims), expected)


def test_lazy_cubes_stay_lazy(variational, cube, count_computes):
    lazy = cube.copy(data=cube.chunk({"y": 5}).data)
    with count_computes() as ran:
        scores = variational.transform(lazy)
        back = variational.inverse_transform(scores)
        rest = variational.residual(lazy)
        slopes = variational.jacobian(scores)
    assert ran == []
    xr.testing.assert_allclose(
        back.compute(), variational.inverse_transform(variational.transform(cube))
    )
    xr.testing.assert_allclose(rest.compute(), variational.residual(cube))
    xr.testing.assert_allclose(
        slopes.compute(), variational.jacobian(variational.transform(cube))
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [("float32", "float32"), ("int16", "float32"), ("int32", "float64")],
)
def test_dtypes_are_those_of_the_cube_but_float32_at_least(
    curved, cube, given, expected
):
    few = (cube.isel(y=slice(2)) * 100).astype(given).assign_attrs(cube.attrs)
    assert curved.transform(few).dtype == expected
    assert curved.transform(few.chunk()).dtype == expected
    assert curved.residual(few).dtype == expected


def test_scores_that_are_not_given_count_as_zero(curved, cube):
    scores = curved.transform(cube)
    some = curved.inverse_transform(scores.sel(component=[1, 3]))
    zeroed = scores.where(scores.component.isin([1, 3]), 0.0)
    xr.testing.assert_allclose(some, curved.inverse_transform(zeroed))
    with pytest.raises(ck.AxisMismatchError, match="components 1 to 4"):
        curved.inverse_transform(scores.assign_coords(component=[1, 2, 3, 9]))


def test_nothing_given_is_changed(cube):
    before = cube.copy(deep=True)
    model = ck.Autoencoder(2, **QUICK).fit(cube)
    model.residual(cube)
    model.evaluate(cube)
    xr.testing.assert_identical(cube, before)


# -- derivatives, samples, measures -------------------------------------------------


@pytest.mark.parametrize("name", ["curved", "variational", "convolved"])
def test_the_jacobian_is_the_slope_of_the_inverse(name, cube, request):
    model = request.getfixturevalue(name)
    scores = model.transform(cube.isel(y=slice(2), x=slice(3)))
    slopes = model.jacobian(scores)
    assert slopes.dims == ("y", "x", "wavelength", "component")
    step = 1e-5
    for k in scores.component.values:
        aside = step * (scores.component == k)
        ahead = model.inverse_transform(scores + aside)
        behind = model.inverse_transform(scores - aside)
        expected = (ahead - behind) / (2 * step)
        found = slopes.sel(component=k, drop=True)
        np.testing.assert_allclose(found, expected, atol=1e-8, equal_nan=True)


def test_components_are_the_jacobian_at_zero(curved, cube):
    zero = curved.transform(cube)[0, 0] * 0
    slopes = curved.jacobian(zero).transpose("component", "wavelength").fillna(0)
    np.testing.assert_allclose(slopes, curved.components_, rtol=1e-5, atol=1e-8)


def test_evaluate_measures_by_the_definition(curved, cube):
    new = cube * 1.1 + 0.01
    report = curved.evaluate(new)
    rest = curved.residual(new)
    np.testing.assert_allclose(
        report.rmse, np.sqrt((rest**2).mean(["y", "x"], skipna=False)), rtol=1e-6
    )
    good = new.where(new.good_band)
    about_own = ((good - good.mean(["y", "x"])) ** 2).sum()
    about_fit = ((good - curved.mean_) ** 2).sum()
    error = (rest**2).sum()
    assert report.r2_own_mean == pytest.approx(float(1 - error / about_own))
    assert report.r2_fit_mean == pytest.approx(float(1 - error / about_fit))
    scores = curved.transform(new)
    without = curved.inverse_transform(scores.where(scores.component != 2, 0.0))
    lost = (((new - without) ** 2).sum() - error) / about_own
    assert report.explained_by_scores[1] == pytest.approx(float(lost), rel=1e-5)
    assert report.n_samples == 16 * 24


def test_samples_are_spectra_of_standard_normal_scores(variational, curved):
    drawn = variational.sample(3, seed=7)
    scores = np.random.default_rng(7).standard_normal((3, 4), np.float32)
    expected = variational.inverse_transform(
        xr.DataArray(scores, dims=("sample", "component")).assign_coords(
            component=[1, 2, 3, 4]
        )
    )
    np.testing.assert_array_equal(drawn, expected)
    assert drawn.dims == ("sample", "wavelength")
    assert np.isnan(drawn[:, 4]).all()
    with pytest.raises(ValueError, match=r"variational=False\. Only a variational"):
        curved.sample()


def test_scores_of_a_model_that_is_not_variational_have_unit_variance(linear):
    """Over the spectra held out; a pool of the same seed holds out the same."""
    flat = plane()
    blocks = spectra.Blocks([flat], projection_of(flat, None))
    pool = spectra.Pool(blocks, linear.seed, whole=False, fewest=2)
    held = pool.held * pool.scale + pool.mean
    scores = linear.transform(
        xr.DataArray(held, {"wavelength": flat.wavelength}, ("x", "wavelength"))
    )
    # the network is of float32
    np.testing.assert_allclose(scores.mean("x"), 0, atol=1e-6)
    np.testing.assert_allclose(scores.std("x"), 1, rtol=1e-6)
    np.testing.assert_allclose(linear.activity_, 1, rtol=1e-6)


def test_pictures_of_components_take_it(curved):
    lines = ck.plotting.components(curved, 2)
    assert len(lines) == 2


# -- missing values and bad bands ---------------------------------------------------


def test_bad_bands_are_left_out_and_come_back_as_nan(curved, cube):
    spoiled = cube.copy()
    spoiled[..., 4] = np.nan
    xr.testing.assert_identical(curved.transform(spoiled), curved.transform(cube))
    assert np.isnan(curved.inverse_transform(curved.transform(cube))[..., 4]).all()
    assert np.isnan(curved.residual(cube)[..., 4]).all()
    assert np.isnan(curved.mean_[4])
    assert (curved.components_[:, 4] == 0).all()


def test_holes_have_the_scores_of_least_squares_on_a_linear_model(linear):
    flat = plane()
    whole = linear.transform(flat)
    holed = flat.copy()
    holed[0, 0, 2] = np.nan
    holed[1, 5, [1, 6]] = np.inf
    found = linear.transform(holed)
    slopes = linear.components_.values.T
    centre = linear.inverse_transform(whole[0, 0] * 0).values
    for place in ((0, 0), (1, 5)):
        use = np.isfinite(holed.values[place])
        right = holed.values[place][use] - centre[use]
        expected = np.linalg.lstsq(slopes[use], right, rcond=None)[0]
        np.testing.assert_allclose(found.values[place], expected, atol=2e-3)
        found.values[place] = whole.values[place]
    xr.testing.assert_allclose(found, whole)


def test_scores_of_holes_do_not_depend_on_what_else_is_there(curved, cube):
    holed = cube.where(np.random.default_rng(0).random(cube.shape) > 0.1)
    every = curved.transform(holed)
    alone = curved.transform(holed.isel(y=[3]))
    np.testing.assert_allclose(alone, every.isel(y=[3]), atol=1e-9)


def test_too_few_bands_have_no_scores(curved, cube):
    holed = cube.copy()
    holed[0, 0, 3:] = np.nan
    assert np.isnan(curved.transform(holed)[0, 0]).all()
    assert np.isfinite(curved.transform(holed)[0, 1:]).all()
    assert np.isnan(curved.residual(holed)[0, 0]).all()
    assert curved.evaluate(holed).n_samples == 16 * 24 - 1


def test_missing_bands_count_neither_for_nor_against_a_fit():
    flat = plane(6000)
    holed = flat.where(np.random.default_rng(0).random(flat.shape) > 0.1)
    holed = holed.where(flat.y != 0)
    model = ck.Autoencoder(3, hidden=(), variational=False, epochs=5).fit(holed)
    true = ck.PCA(3).fit(flat).components_.values.T
    assert subspace_angles(model.components_.values.T, true).max() < 0.02
    assert (model.n_samples_, model.n_dropped_) == (6000 - 30, 30)


def test_dropped_spectra_have_no_scores_and_no_say():
    flat = plane(600)
    holed = flat.copy()
    holed[0, :, 0] = np.nan
    model = ck.Autoencoder(2, missing="drop", **QUICK).fit(holed)
    assert (model.n_samples_, model.n_dropped_) == (570, 30)
    assert np.isnan(model.transform(holed)[0]).all()
    assert np.isfinite(model.transform(holed)[1:]).all()
    marked = flat.assign_coords(good_band=("wavelength", np.arange(8) > 0))
    with pytest.raises(ValueError, match=r"marks wavelength=.* bad, and the model"):
        model.transform(marked)


def test_a_band_that_another_cube_marks_bad_is_missing_there(curved, cube):
    marked = cube.assign_coords(good_band=("wavelength", ~np.isin(range(13), [4, 7])))
    holed = cube.copy()
    holed[..., 7] = np.nan
    np.testing.assert_array_equal(curved.transform(marked), curved.transform(holed))


# -- bands, units, files ------------------------------------------------------------


def test_bands_in_another_order_are_put_in_order(curved, cube):
    mixed = cube.isel(wavelength=np.random.default_rng(0).permutation(13))
    xr.testing.assert_allclose(curved.transform(mixed), curved.transform(cube))
    rest = curved.residual(mixed)
    xr.testing.assert_identical(rest.wavelength, mixed.wavelength)
    xr.testing.assert_allclose(rest.sortby("wavelength"), curved.residual(cube))


def test_other_bands_and_other_units_are_refused(curved, cube):
    with pytest.raises(ck.AxisMismatchError, match="fitted to the other bands"):
        curved.transform(cube.isel(wavelength=slice(1, None)))
    with pytest.raises(ValueError, match="it is in %, the model in 1"):
        curved.evaluate(cube.assign_attrs(units="%"))


@pytest.mark.parametrize("name", ["curved", "variational", "convolved"])
def test_a_loaded_model_is_the_saved_one(name, cube, request, tmp_path):
    model = request.getfixturevalue(name)
    path = model.save(tmp_path / "model.nc")
    again = ck.Autoencoder.load(path)
    assert repr(again) == repr(model)
    xr.testing.assert_identical(again.transform(cube), model.transform(cube))
    scores = model.transform(cube)
    xr.testing.assert_identical(
        again.inverse_transform(scores), model.inverse_transform(scores)
    )
    xr.testing.assert_identical(again.components_, model.components_)
    assert again.n_samples_ == model.n_samples_
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(path)


def test_a_saved_model_is_read_without_running_code(curved, tmp_path):
    path = curved.save(tmp_path / "model.nc")
    seen: list[str] = []
    hooked = True

    def watch(event, arguments):
        if hooked and event in {"pickle.find_class", "exec", "import"}:
            seen.append(f"{event} {arguments[0]}"[:60])

    sys.addaudithook(watch)
    ck.Autoencoder.load(path)
    hooked = False
    assert [event for event in seen if event.startswith("pickle")] == []


def _changed(path, change):
    with netCDF4.Dataset(path, "a") as file:
        change(file)


def _turn(file):
    file["network_bands"][:] = file["network_bands"][::-1]


def _spoil(file):
    file["weights_decoder_linear"][0, 0] = np.nan


def _widen(file):
    file.setncattr("option_hidden", "9")


def _rename(file):
    file.renameVariable("weights_encoder_linear", "something")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_turn, "in another order than its weights"),
        (_spoil, "finite numbers belong"),
        (_widen, "finite numbers belong"),
        (_rename, "cannot be understood"),
        (lambda file: file.setncattr("network_format", 99), "has format 99"),
        (lambda file: file.delncattr("option_hidden"), "cannot be understood"),
    ],
)
def test_a_changed_file_is_refused(curved, tmp_path, change, said):
    path = curved.save(tmp_path / "model.nc")
    _changed(path, change)
    with pytest.raises(ck.ModelFormatError, match=said):
        ck.Autoencoder.load(path)


def test_the_file_of_another_model_is_refused(cube, tmp_path):
    path = ck.PCA(2).fit(cube).save(tmp_path / "pca.nc")
    with pytest.raises(ck.ModelFormatError, match="holds a model of PCA"):
        ck.Autoencoder.load(path)


# -- seeds, state, streams ----------------------------------------------------------


def test_the_same_seed_gives_the_same_model_and_leaves_torch_alone(cube):
    import torch  # noqa: PLC0415  optional

    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            first = ck.Autoencoder(3, seed=5, **QUICK).fit(cube)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002  a seed that must not matter
    second = ck.Autoencoder(3, seed=5, **QUICK).fit(cube)
    other = ck.Autoencoder(3, seed=6, **QUICK).fit(cube)
    xr.testing.assert_identical(first.transform(cube), second.transform(cube))
    assert not first.transform(cube).equals(other.transform(cube))


def test_small_layers_have_one_thread_large_ones_those_of_dask():
    import torch  # noqa: PLC0415

    before = torch.get_num_threads()
    with backend.working_threads(1000):
        assert torch.get_num_threads() == 1
    with dask.config.set(num_workers=3), backend.working_threads(10**9):
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


def test_the_largest_layer_is_known():
    assert network.Layout(60, 5, "dense", (64, 32), True).products == 64 * 60
    assert network.Layout(60, 5, "dense", (), True).products == 300
    assert network.Layout(60, 5, "conv1d", (4, 8), True).products == 30 * 4 * 8 * 5


def test_several_cubes_are_one():
    flat = plane(900)
    parts = [
        flat.isel(y=slice(10)),
        flat.isel(y=slice(10, None), wavelength=slice(None, None, -1)),
    ]
    model = ck.Autoencoder(2, **QUICK).fit(parts)
    assert model.n_samples_ == 900
    assert model._history == "made"
    with pytest.raises(ck.AxisMismatchError, match="other bands"):
        ck.Autoencoder(2).fit([flat, flat.isel(wavelength=slice(1, None))])


def test_progress_tells_epochs_and_losses(cube):
    told: list[tuple[int, float, float]] = []
    model = ck.Autoencoder(2, epochs=2, hidden=(4,), batch_size=4096)
    model.fit(cube, progress=lambda *numbers: told.append(numbers))
    assert [epoch for epoch, _, _ in told] == [1, 2]
    np.testing.assert_array_equal([h for *_, h in told], model.held_out_loss_[1:])


def test_a_bar_shows_the_loss(cube, capsys):
    ck.Autoencoder(2, **QUICK).fit(cube, progress=True)
    assert "held out" in capsys.readouterr().err


def test_a_large_cube_is_read_in_parts_that_change(monkeypatch):
    """The pool has room for a tenth of the cube, and other spectra later."""
    flat = plane(9000).chunk({"y": 20})
    monkeypatch.setattr(spectra, "_POOL_BYTES", 900 * 8 * 4)
    monkeypatch.setattr(spectra, "_SPECTRA", 500)
    blocks = spectra.Blocks([flat], projection_of(flat, None))
    assert [len(block.pieces) for block in blocks.blocks] == [1] * 15
    pool = spectra.Pool(blocks, 0, whole=False, fewest=2)
    assert 800 < len(pool.train) < 1000
    assert 800 < len(pool.held) < 1000
    assert pool.samples == 9000
    before = pool.train.copy()
    rng = np.random.default_rng(0)
    for _ in range(15):
        pool.refresh(rng)
    changed = (pool.train != before).any(axis=1)
    assert 0.4 < changed.mean() < 0.9

    def keys(values):
        return {tuple(row) for row in np.round(values, 3).tolist()}

    assert not keys(pool.train) & keys(pool.held)


def test_small_chunks_are_read_together():
    flat = plane(300).chunk({"y": 1, "x": 1})
    blocks = spectra.Blocks([flat], projection_of(flat, None))
    assert len(blocks.blocks) == 1
    np.testing.assert_array_equal(blocks.read(0), flat.values.reshape(-1, 8))


@pytest.mark.parametrize("shape", [(), (7,), (1, 1000), (1000, 1), (30, 40, 5)])
def test_pieces_cover_an_array_once(shape):
    seen = np.zeros(shape, int)
    for piece in spectra.pieces(shape, 100):
        seen[piece] += 1
        assert seen[piece].size <= 100
    assert (seen == 1).all()


def test_large_offsets_and_small_units_lose_no_digits():
    flat = plane(3000, noise=0.01)
    for scale, offset in ((1e-12, 0.0), (1e6, 0.0), (1.0, 1e7)):
        moved = (flat * scale + offset).assign_attrs(units="1")
        model = ck.Autoencoder(3, hidden=(), variational=False, epochs=1).fit(moved)
        assert model.rmse_ < 0.02 * scale


# -- errors -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": "recurrent"}, "layers='recurrent' is unknown"),
        ({"missing": "fill"}, "missing='fill' is unknown"),
        ({"start": "zero"}, "start='zero' is unknown"),
        ({"beta": -1}, "beta=-1 is out of range"),
        ({"beta": "much"}, "beta='much' is out of range"),
        ({"hidden": (8, 0)}, "hidden=0 is out of range"),
        ({"epochs": 0}, "epochs=0 is out of range"),
        ({"batch_size": 0}, "batch_size=0 is out of range"),
        ({"warm_up": -1}, "warm_up=-1 is out of range"),
        ({"seed": -1}, "seed=-1 is out of range"),
        ({"learning_rate": 0}, "learning_rate=0 is out of range"),
    ],
)
def test_parameters_out_of_range_are_refused_at_once(options, said):
    with pytest.raises(ValueError, match=said):
        ck.Autoencoder(2, **options)


@pytest.mark.parametrize("hidden", [64, "64", 6.4])
def test_hidden_layers_are_a_sequence_of_sizes(hidden):
    with pytest.raises(TypeError, match=r"Use hidden=\(64,\) for one"):
        ck.Autoencoder(2, hidden=hidden)


def test_a_fit_of_more_latents_than_bands_says_how_many_there_are():
    cube = ck.datasets.scene((6, 60)).isel(wavelength=slice(0, 4))
    with pytest.raises(ValueError, match=r"4 good bands\. Use n_components=4 or less"):
        ck.Autoencoder(9).fit(cube)


@pytest.mark.filterwarnings("ignore:Autoencoder.fit")  # an epoch is too few
@pytest.mark.parametrize("shape", [(2, 2), (40, 40)])
def test_few_spectra_take_hardly_more_steps_than_many(shape, monkeypatch):
    import torch  # noqa: PLC0415

    steps, step = [], torch.optim.Adam.step
    monkeypatch.setattr(
        torch.optim.Adam, "step", lambda self: (steps.append(1), step(self))
    )
    cube = ck.datasets.scene(shape).isel(wavelength=slice(0, 4))
    ck.Autoencoder(2, epochs=1).fit(cube)
    assert 0 < len(steps) <= 256  # of all spectra, or of 1024 at a time


def test_no_spectra_cannot_be_drawn():
    cube = ck.datasets.scene((6, 8)).isel(wavelength=slice(0, 9))
    network = ck.Autoencoder(2, epochs=1).fit(cube)
    with pytest.raises(ValueError, match="n=0 is out of range"):
        network.sample(0)


@pytest.mark.parametrize("number", [None, 0.9, 0])
def test_the_number_of_latents_is_a_number(number):
    with pytest.raises((TypeError, ValueError), match="n_components="):
        ck.Autoencoder(number)


def test_what_cannot_be_fitted_is_refused(cube):
    model = ck.Autoencoder(4, **QUICK)
    with pytest.raises(ValueError, match="got no cube"):
        model.fit([])
    with pytest.raises(TypeError, match="needs a DataArray"):
        model.fit([np.ones((3, 4))])
    with pytest.raises(ValueError, match="There are 0 spectra with values enough"):
        model.fit(cube * np.nan)
    with pytest.raises(ValueError, match="There are 3 good bands"):
        model.fit(cube.isel(wavelength=slice(3)))
    dead = cube.copy()
    dead[..., 6] = np.nan
    with pytest.raises(ValueError, match="1 of 12 bands have no value at all"):
        model.fit(dead)
    with pytest.raises(ValueError, match="all bands are marked bad"):
        model.fit(cube.assign_coords(good_band=("wavelength", np.zeros(13, bool))))


def test_an_evaluation_without_spectra_says_so(curved, cube):
    with pytest.raises(ValueError, match="no spectrum has bands enough"):
        curved.evaluate(cube * np.nan)


def test_before_a_fit_nothing_is_known(cube):
    model = ck.Autoencoder(2)
    with pytest.raises(ck.NotFittedError, match="called before fit"):
        model.transform(cube)
    with pytest.raises(ck.NotFittedError, match="no activity_ yet"):
        _ = model.activity_


def test_a_device_can_be_asked_for(cube):
    here = ck.Autoencoder(2, device="cpu", **QUICK).fit(cube)
    best = ck.Autoencoder(2, **QUICK).fit(cube)
    np.testing.assert_allclose(here.rmse_, best.rmse_, rtol=0.2)


def test_where_no_spectrum_is_whole_the_error_is_not_known():
    flat = plane(900)
    place = np.random.default_rng(0).integers(0, 8, flat.shape[:2])
    holed = flat.where(np.arange(8) != place[..., None])
    model = ck.Autoencoder(2, **QUICK).fit(holed)
    assert np.isnan([model.rmse_, model.pca_rmse_]).all()
    assert model.evaluate(holed).r2_own_mean > 0.8


@pytest.mark.parametrize("device", ["warp", "meta"])
def test_a_device_that_does_not_compute_is_refused(cube, device):
    with pytest.raises(ValueError, match=f"device='{device}' cannot be used"):
        ck.Autoencoder(2, device=device).fit(cube)


def test_the_repr_has_what_is_not_the_default():
    model = ck.Autoencoder(3, variational=False, layers="conv1d", beta=2)
    assert repr(model) == (
        "Autoencoder(3, variational=False, layers='conv1d', beta=2.0)"
    )


def test_without_torch_the_way_to_install_it_is_said(monkeypatch):
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'copy of cubekit: pip install "\.\[torch'):
        ck.Autoencoder(2)


def test_importing_cubekit_does_not_import_torch():
    code = "import sys, cubekit; cubekit.Autoencoder(2); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_a_fit_says_nothing_where_all_is_well(cube):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        ck.Autoencoder(3, **QUICK).fit(cube)
    assert not said
