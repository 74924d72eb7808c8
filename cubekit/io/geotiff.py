"""GeoTIFF cubes with band metadata, as EnMAP has them; needs the extra ``geo``."""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit.axis import spectral_units
from cubekit.errors import CorruptFileError, how_to_install
from cubekit.io.decoding import Decoding
from cubekit.io.source import FileArray, FileCube, Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["is_tiff", "read_geotiff"]

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_tiff(start: bytes) -> bool:
    """Whether a file that begins so is a TIFF."""
    return start[:4] in _MAGIC


@dataclasses.dataclass(frozen=True)
class TiffReader:
    """Blocks read by GDAL, opened for each: any compression and tiling."""

    shape: tuple[int, ...]

    def read(self, path: str, key: tuple[slice, ...]) -> npt.NDArray[Any]:
        """Stored numbers at `key`: bands, lines, samples."""
        bands, lines, samples = key
        window = ((lines.start, lines.stop), (samples.start, samples.stop))
        with _opened(path) as file:
            numbers = list(range(bands.start + 1, bands.stop + 1))
            return np.asarray(file.read(numbers, window=window))


def _opened(path: str | Path) -> Any:
    try:
        import rasterio  # noqa: PLC0415  optional
    except ImportError as error:
        raise ImportError(
            f"open_cube: {path} is a GeoTIFF. Reading it needs rasterio, which is "
            f"not installed. {how_to_install('geo')}"
        ) from error
    with warnings.catch_warnings():
        # a picture without a place on the map is a cube all the same
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        try:
            return rasterio.open(path)
        except rasterio.errors.RasterioIOError as error:
            raise CorruptFileError(
                f"{path} cannot be opened as a GeoTIFF ({error}). The file is damaged "
                "or cut short. Get it again."
            ) from error


def read_geotiff(path: Path) -> FileCube:
    """Read what a GeoTIFF holds, without its values."""
    source = Source.of(path)
    with _opened(source.path) as file:
        shape = (file.count, *file.shape)
        dtype = np.dtype(file.dtypes[0])
        tags = [
            {k.lower(): v for k, v in file.tags(k).items()}
            for k in range(1, file.count + 1)
        ]
        fills = () if file.nodata is None else _fill(dtype, file.nodata)
        scale, offset = _factors(file.scales, 1), _factors(file.offsets, 0)
        coords = _band_coords(tags, file.descriptions)
        coords |= dict(_map_coords(file))
        stored = (1, *file.block_shapes[0])
    dim = "wavelength" if "wavelength" in coords else "band"
    decoding = Decoding(dtype, fills, scale, offset)
    array = FileArray(source, TiffReader(shape), decoding, "tiff")
    return FileCube((dim, "y", "x"), array, coords, {}, path.stem, stored)


def _fill(dtype: np.dtype[Any], nodata: float) -> tuple[Any, ...]:
    if np.isnan(nodata):
        return ()
    if dtype.kind in "iu" and not (
        nodata % 1 == 0 and np.iinfo(dtype).min <= nodata <= np.iinfo(dtype).max
    ):
        return ()
    return (dtype.type(nodata),)


def _factors(values: tuple[float, ...], neutral: float) -> Any:
    """One number for all bands, or one for each; None where nothing would change."""
    if all(v == neutral for v in values):
        return None
    if len(set(values)) == 1:
        return np.float32(values[0])
    return np.array(values, np.float32)[:, None, None]


def _band_coords(
    tags: list[dict[str, str]], descriptions: tuple[str | None, ...]
) -> dict[str, xr.Variable]:
    def numbers(*keys: str) -> npt.NDArray[np.float64] | None:
        for key in keys:
            try:
                return np.array([float(tag[key]) for tag in tags])
            except (KeyError, ValueError):
                continue
        return None

    wavelength = numbers("wavelength", "central_wavelength_nm", "wavelength_nm")
    fwhm, good = numbers("fwhm", "fwhm_nm"), numbers("bbl")
    dim = "band" if wavelength is None else "wavelength"
    coords: dict[str, xr.Variable] = {}
    attrs: dict[str, str] = {}
    if wavelength is not None:
        stated = tags[0].get("wavelength_units", tags[0].get("wavelength units", ""))
        if stated:
            attrs = {"units": spectral_units(stated) or stated}
        coords["wavelength"] = xr.Variable(dim, wavelength, attrs)
    elif all(descriptions):
        coords["band_name"] = xr.Variable(dim, np.array(descriptions, dtype=np.str_))
    if fwhm is not None:
        coords["fwhm"] = xr.Variable(dim, fwhm, attrs)
    if good is not None:
        coords["good_band"] = xr.Variable(dim, good != 0)
    return coords


def _map_coords(file: Any) -> Iterator[tuple[str, xr.Variable]]:
    """Centres of the pixels, where the grid is not turned; and the map projection."""
    place = file.transform
    if place.is_identity or place.b or place.d:
        return
    y = place.f + place.e * (np.arange(file.height) + 0.5)
    x = place.c + place.a * (np.arange(file.width) + 0.5)
    degrees = file.crs is not None and file.crs.is_geographic
    for name, values in (("y", y), ("x", x)):
        if degrees:
            kind, way = {"y": ("latitude", "north"), "x": ("longitude", "east")}[name]
            attrs = {"standard_name": kind, "units": f"degrees_{way}"}
        else:
            attrs = {"standard_name": f"projection_{name}_coordinate", "units": "m"}
        yield name, xr.Variable(name, values, attrs)
    if file.crs is not None:
        yield "spatial_ref", xr.Variable((), 0, {"crs_wkt": file.crs.to_wkt()})
