"""Speed of PCA, as ratios to scikit-learn and to a plain copy.

Run with ``pytest -s tests/benchmarks``. All is measured in one run, each as the best of
several, since machines are shared and noisy; the limit is a copy of the same bytes.
"""

import time

import numpy as np
import pytest
import xarray as xr
from sklearn import decomposition

import cubekit as ck


def best(function, repeats=5):
    """Shortest time of several, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def tall(samples, bands, offset=3.0):
    values = np.random.default_rng(0).standard_normal((samples, bands), np.float32)
    return xr.DataArray(
        values + np.float32(offset),
        dims=("sample", "wavelength"),
        coords={"wavelength": np.arange(float(bands))},
    )


@pytest.mark.parametrize(
    ("samples", "bands"),
    [(6_250_000, 15), (1_500_000, 60), (400_000, 200), (200_000, 425)],
)
def test_fit_of_a_tall_matrix_against_scikit_learn(samples, bands):
    data = tall(samples, bands)
    target = np.empty_like(data.values)
    peer = decomposition.PCA(5, svd_solver="covariance_eigh")
    # in turns, since the machine is shared
    times = np.array(
        [
            (
                best(lambda: ck.PCA(5).fit(data), 1),
                best(lambda: peer.fit(data.values), 1),
                best(lambda: np.copyto(target, data.values), 1),
            )
            for _ in range(7)
        ]
    )
    ours, theirs, copy = times.min(axis=0)
    print(
        f"\n{samples} x {bands}: ours {ours / copy:.1f} copies, scikit-learn "
        f"{theirs / copy:.1f}; ratio {ours / theirs:.2f} (goal: at most 1)"
    )


@pytest.mark.parametrize("dims", [("wavelength", "y", "x"), ("y", "x", "wavelength")])
def test_an_image_to_five_components_and_back(dims):
    sizes = {"wavelength": 15, "y": 2500, "x": 2500}
    rng = np.random.default_rng(0)
    image = xr.DataArray(
        rng.standard_normal([sizes[d] for d in dims], np.float32),
        dims=dims,
        coords={"wavelength": np.arange(15.0)},
    )
    values = image.values
    target = np.empty_like(values)
    copy = best(lambda: np.copyto(target, values))
    read = best(values.sum)
    pca = ck.PCA(5).fit(image)
    scores = pca.transform(image)
    fit = best(lambda: ck.PCA(5).fit(image))
    transform = best(lambda: pca.transform(image))
    back = best(lambda: pca.inverse_transform(scores))
    matrix = values.reshape(15, -1).T if dims[0] == "wavelength" else values
    matrix = matrix.reshape(-1, 15)
    peer = decomposition.PCA(5).fit(matrix)
    theirs = [
        best(lambda: decomposition.PCA(5).fit(matrix), 3),
        best(lambda: peer.transform(matrix), 3),
    ]
    reduced = peer.transform(matrix)
    theirs.append(best(lambda: peer.inverse_transform(reduced), 3))
    print(
        f"\n{dims}: fit {fit:.3f} s, transform {transform:.3f} s, inverse {back:.3f} s;"
        f" scikit-learn {', '.join(f'{t:.3f}' for t in theirs)} s\n"
        f"  fit + transform: {(fit + transform) / copy:.1f} copies (goal: at most 3), "
        f"{(fit + transform) / read:.1f} sums"
    )
