"""A scene whose spectra do not lie on a plane: minerals mixed grain by grain.

What a spectrum is depends on five numbers, and on none of them linearly but two: an
absorption band moves with the composition of a mineral, grows with its grains, and
saturates.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit.arguments import require_integer
from cubekit.datasets.arguments import checked_noise, checked_shape
from cubekit.datasets.computed import computed
from cubekit.datasets.landscape import waves
from cubekit.datasets.randomness import normal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["alteration_scene", "alteration_truth"]

Real = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_HONEST = "Synthetic: computed from formulas. No instrument measured any of it."
_BANDS = 61
_PIXEL = 5.0  # m
_NOISE = 1e-3  # reflectance
_NOISE_STREAM = 0
_BLOCK = 1 << 14  # pixels made at a time
_SHIFT = 32.0  # nm, between the two ends of the composition
_SUN = 0.8  # cosine of its angle
_WHAT = {
    "composition": "iron and magnesium in place of aluminium in white mica",
    "mica": "cross section of white mica among the grains",
    "grain_size": "relative to the middle one",
    "plants": "fraction of the ground that plants cover",
    "illumination": "one on level ground",
}


def alteration_scene(
    shape: tuple[int, int] = (120, 160),
    *,
    chunks: Mapping[str, int] | int | str | None = None,
    seed: int = 0,
    noise: float = 1.0,
) -> xr.DataArray:
    r"""Synthetic short-wave infrared reflectance of rock altered to white mica.

    Parameters
    ----------
    shape : (int, int), default (120, 160)
        Pixels along y and x, of 5 m.
    chunks : dict, int, "auto" or None
        As in `xarray.DataArray.chunk`: makes the scene lazy. None computes it now.
    seed : int, default 0
        Another seed gives another place and other noise.
    noise : float, default 1
        Factor on the noise, whose standard deviation is 0.001; 0 for none.

    Returns
    -------
    DataArray, dims (y, x, wavelength)
        Reflectance, float32, with y and x in m, and wavelength in nm (61 bands, 2000 to
        2450).

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or of the wrong type.

    Notes
    -----
    Five smooth maps (`alteration_truth`) make a spectrum. White mica absorbs in a band
    that moves from 2192 to 2224 nm as its aluminium is replaced, and in one 150 nm
    beyond. With the absorption :math:`\alpha` of a grain of size `D` its
    single-scattering albedo is :math:`w = 1 / (1 + \alpha D)`; grains side by side add
    their albedos by cross section; and the reflectance of the ground is, with
    :math:`\gamma = \sqrt{1 - w}` and the sun at :math:`\mu_0 = 0.8` [1]_,

    .. math:: r = \frac{1 - \gamma}{1 + 2 \mu_0 \gamma}.

    Plants beside it add linearly, and the light on the slope multiplies all. So the
    spectra lie on a curved surface of five dimensions, and five principal components do
    not hold it.

    **Missing values:** none. **Chunks:** the same values for any.
    **Cost:** about 60 ns for each value.

    References
    ----------
    .. [1] Hapke, B. (1981), J. Geophys. Res. 86, 3039-3054.

    Examples
    --------
    >>> import cubekit as ck
    >>> cube = ck.datasets.alteration_scene((30, 40))
    >>> dict(cube.sizes)
    {'y': 30, 'x': 40, 'wavelength': 61}
    """
    name = "alteration_scene"
    ny, nx = checked_shape(name, shape)
    require_integer(name, "seed", seed, 0)
    strength = checked_noise(name, noise)
    block = functools.partial(_block, columns_of_all=nx, seed=int(seed), noise=strength)
    cube = xr.DataArray(
        xr.Variable(("y", "x", "wavelength"), computed((ny, nx, _BANDS), block)),
        coords=_coordinates(ny, nx),
        name="reflectance",
        attrs={
            "units": "1",
            "long_name": "surface reflectance",
            "source": f"cubekit.datasets.{name}(shape={(ny, nx)}, seed={seed}, "
            f"noise={strength:g})",
            "comment": _HONEST,
        },
    )
    return cube.load() if chunks is None else cube.chunk(chunks)


def alteration_truth(
    shape: tuple[int, int] = (120, 160), *, seed: int = 0
) -> xr.Dataset:
    """What the alteration scene of the same arguments is made of.

    Parameters
    ----------
    shape, seed
        As for `alteration_scene`.

    Returns
    -------
    Dataset
        ``composition`` (0 to 1), ``mica`` (0 to 1), ``grain_size``, ``plants`` (0 to 1)
        and ``illumination``, each (y, x); ``band_centre`` (y, x), where the mica
        absorbs, in nm.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or of the wrong type.

    Notes
    -----
    **Missing values:** none. **Chunks:** none, it is computed now. **Cost:** small.

    Examples
    --------
    >>> import cubekit as ck
    >>> truth = ck.datasets.alteration_truth((30, 40))
    >>> bool((truth.band_centre > 2192).all() and (truth.band_centre < 2224).all())
    True
    """
    ny, nx = checked_shape("alteration_truth", shape)
    require_integer("alteration_truth", "seed", seed, 0)
    maps = _maps(np.arange(ny), np.arange(nx), int(seed))
    one = {"units": "1"}
    truth = xr.Dataset(
        {
            name: (("y", "x"), maps[name], {**one, "long_name": what})
            for name, what in _WHAT.items()
        },
        coords={k: v for k, v in _coordinates(ny, nx).items() if k != "wavelength"},
        attrs={"comment": _HONEST},
    )
    centre = _centre(maps["composition"])
    return truth.assign(band_centre=(("y", "x"), centre, {"units": "nm"}))


def _coordinates(ny: int, nx: int) -> dict[str, xr.Variable]:
    return {
        "y": xr.Variable("y", (ny - 0.5 - np.arange(ny)) * _PIXEL, {"units": "m"}),
        "x": xr.Variable("x", (np.arange(nx) + 0.5) * _PIXEL, {"units": "m"}),
        "wavelength": xr.Variable(
            "wavelength",
            _wavelengths(),
            {
                "units": "nm",
                "long_name": "wavelength",
                "standard_name": "sensor_band_central_radiation_wavelength",
            },
        ),
    }


def _wavelengths() -> Real:
    return np.linspace(2000.0, 2450.0, _BANDS)


def _centre(composition: Real) -> Real:
    """Wavelength of the aluminium-hydroxyl band of white mica, nm."""
    return 2192.0 + _SHIFT * composition


def _maps(rows: Places, columns: Places, seed: int) -> dict[str, Real]:
    """The five numbers of each pixel, (row, column), from its place alone."""
    v: Real = rows[:, None].astype(np.float64) * _PIXEL
    u: Real = columns[None, :].astype(np.float64) * _PIXEL

    def share(stream: int, size: float, sharpness: float, shift: float = 0) -> Real:
        level = sharpness * waves(u, v, seed, stream, 1 / size) + shift
        return np.asarray(1 / (1 + np.exp(-level)))

    return {
        "composition": share(1, 270.0, 1.5),
        "mica": 0.1 + 0.8 * share(2, 200.0, 1.5),
        "grain_size": np.exp(0.5 * waves(u, v, seed, 3, 1 / 130.0)),
        "plants": 0.4 * share(4, 110.0, 2.0, -1.0),
        "illumination": 1 + 0.12 * np.tanh(waves(u, v, seed, 5, 1 / 160.0)),
    }


def _bell(wavelength: Real, centre: Real | float, width: float) -> Real:
    return np.asarray(np.exp(-0.5 * ((wavelength - centre) / width) ** 2))


def _reflectance(maps: Mapping[str, Real], wavelength: Real) -> Real:
    """Spectra without noise, (pixel, band)."""
    composition, mica, grain, plants, light = (
        maps[name].reshape(-1, 1) for name in _WHAT
    )
    centre = _centre(composition)
    absorption = (
        0.04
        + 0.55 * _bell(wavelength, centre, 14)
        + 0.25 * _bell(wavelength, centre + 150, 20)
        + 0.1 * _bell(wavelength, 1930, 60)
    )
    albedo = mica / (1 + absorption * grain) + (1 - mica) / (1 + 0.03 * grain)
    root = np.sqrt(1 - albedo)
    ground = (1 - root) / (1 + 2 * _SUN * root)
    cover = 0.12 + 0.1 * _bell(wavelength, 2220, 80)
    spectra: Real = light * ((1 - plants) * ground + plants * cover)
    return spectra


def _block(
    rows: Places,
    columns: Places,
    bands: Places,
    *,
    columns_of_all: int,
    seed: int,
    noise: float,
) -> npt.NDArray[np.float32]:
    """Any block of the scene, (row, column, band), from its place in the whole."""
    wavelength = _wavelengths()[bands]
    maps: dict[str, Any] = _maps(rows, columns, seed)
    maps = {name: value.ravel() for name, value in maps.items()}
    pixel = (rows[:, None] * columns_of_all + columns).ravel()
    cube = np.empty((len(pixel), len(bands)), np.float32)
    for start in range(0, len(pixel), _BLOCK):
        some = slice(start, start + _BLOCK)
        value = _reflectance({k: v[some] for k, v in maps.items()}, wavelength)
        if noise:
            draw = normal(seed, _NOISE_STREAM, pixel[some, None], bands)
            value += noise * _NOISE * draw
        cube[some] = value
    return cube.reshape(len(rows), len(columns), len(bands))
