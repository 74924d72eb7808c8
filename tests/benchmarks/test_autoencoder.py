"""Time and memory of an autoencoder of a large image.

Run with ``pytest -s tests/benchmarks/test_autoencoder.py``. The goal is a fit of 15
bands of 2500 x 2500 pixels in 5 minutes on 2 cores, to within 2 % of the held-out loss
that many more epochs end at, with less than 1 GB beyond the array. Losses are in nats,
up to a constant, `n / 2` of them a factor of e in the squared error of `n` bands: they
are compared as squared errors, which have no such constant.
"""

import math
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import cubekit as ck
from cubekit.reduction.autoencoder import training

pytestmark = pytest.mark.torch


def resident():
    """Memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


class Peak:
    """Most memory beyond what there was, while it is open."""

    def __enter__(self):
        self.start = self.most = resident()
        self.done = threading.Event()
        self.watch = threading.Thread(target=self.look)
        self.watch.start()
        return self

    def look(self):
        while not self.done.wait(0.02):
            self.most = max(self.most, resident())

    def __exit__(self, *_):
        self.done.set()
        self.watch.join()

    @property
    def beyond(self):
        return self.most - self.start


@pytest.fixture(scope="module")
def image():
    """15 bands of a large scene, bands last, made in slabs."""
    lazy = ck.datasets.alteration_scene((2500, 2500), chunks={"y": 100})
    lazy = lazy.isel(wavelength=slice(None, None, 4)).isel(wavelength=slice(15))
    values = np.empty(lazy.shape, np.float32)
    for start in range(0, 2500, 100):
        values[start : start + 100] = lazy[start : start + 100].values
    return lazy.copy(data=values)


def fitted(image, **options):
    start = time.perf_counter()
    with Peak() as peak:
        model = ck.Autoencoder(5, **options).fit(image)
    return model, time.perf_counter() - start, peak.beyond


@pytest.mark.parametrize("is_variational", [True, False])
def test_fit_of_a_large_image(image, is_variational, monkeypatch):
    ck.Autoencoder(2, epochs=1).fit(image[:64])  # loads the library
    model, seconds, memory = fitted(image, variational=is_variational)
    start = time.perf_counter()
    model.transform(image)
    transform = time.perf_counter() - start
    print(
        f"\nvariational={is_variational}: fit {seconds:.0f} s, "
        f"{len(model.loss_) - 1} epochs, {memory:.0f} MB beyond the array, held-out "
        f"rmse {model.rmse_:.3g} ({model.rmse_ / model.pca_rmse_:.3f} of PCA); "
        f"transform {transform:.1f} s"
    )
    # ten times slower a gain still counts, and steps become smaller once more
    monkeypatch.setattr(training, "_PATIENCE", 15)
    monkeypatch.setattr(training, "_GAIN", 2.5e-4)
    monkeypatch.setattr(training, "_REDUCTIONS", 4)
    longer, long_seconds, _ = fitted(image, variational=is_variational, epochs=800)
    apart = float(model.held_out_loss_.min() - longer.held_out_loss_.min())
    loss = math.exp(2 * apart / image.sizes["wavelength"]) - 1
    error = model.rmse_**2 / longer.rmse_**2 - 1
    print(
        f"converged: {long_seconds:.0f} s, {len(longer.loss_) - 1} epochs; held-out "
        f"loss {loss:+.2%} of that, squared error {error:+.2%} (goal: within 2 %)"
    )
    assert seconds < 300
    assert memory < 1000
    assert loss < 0.02
    assert error < 0.02
