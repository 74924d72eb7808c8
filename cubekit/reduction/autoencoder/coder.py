"""A trained network applied to arrays: scores, spectra, residuals, derivatives."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import dask.array as da
import numpy as np
import numpy.typing as npt

from cubekit import kernels
from cubekit.reduction.autoencoder.backend import load_torch
from cubekit.reduction.autoencoder.network import Layout, decode, encode
from cubekit.reduction.autoencoder.spectra import pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Coder", "Vectors", "over_blocks"]

Array = npt.NDArray[Any]
Real = npt.NDArray[np.float64]

_VALUES = 2**21  # of a layer, worked on at a time
_FILLINGS = 200
_SETTLED = 1e-5  # change of the scores below which missing bands are known


@dataclasses.dataclass(frozen=True, eq=False)
class Coder:
    """Weights, and what spectra are standardised with."""

    layout: Layout
    weights: dict[str, Array]
    mean: Real  # (band,)
    scale: Real  # (band,)
    whole: bool  # spectra that miss a band have no scores

    def scores(self, x: Array) -> Array:
        """Scores of spectra (spectrum, band); NaN where they are not determined."""
        out = np.full((len(x), self.layout.components), np.nan, _float(x))
        for part in self._parts(x):
            standard = self._standard(x[part])
            out[part] = self._encoded(standard)
        return out

    def spectra(self, scores: Array) -> Array:
        """Spectra of scores, (spectrum, band)."""
        return (self.deviations(scores) + self.mean).astype(_float(scores))

    def deviations(self, scores: Array) -> Array:
        """Spectra of scores, less the mean."""
        out = np.empty((len(scores), self.layout.bands), _float(scores))
        for part in self._parts(scores):
            apart = self._decoded(scores[part].astype(out.dtype, copy=False))
            out[part] = apart * self.scale
        return out

    def with_weights(self, weights: dict[str, Array]) -> Coder:
        """Coder of another network of the same layout."""
        return dataclasses.replace(self, weights=weights)

    def rest(self, x: Array) -> Array:
        """What is left of spectra, from deviations: no digits are lost to the mean."""
        out = np.empty((len(x), self.layout.bands), _float(x))
        for part in self._parts(x):
            standard = self._standard(x[part])
            out[part] = (standard - self._decoded(self._encoded(standard))) * self.scale
        return out

    def jacobian(self, scores: Array) -> Array:
        """Derivatives of the spectra, (spectrum, band by component)."""
        torch = load_torch()
        size = (len(scores), self.layout.bands, self.layout.components)
        out = np.empty(size, _float(scores))
        weights = self._tensors(out.dtype)
        for part in self._parts(scores):
            z = torch.from_numpy(np.array(scores[part], out.dtype))
            with torch.inference_mode(False), torch.enable_grad():
                out[part] = self._slopes(z, weights) * self.scale[:, None]
        out[~np.isfinite(scores).all(axis=1)] = np.nan
        return out.reshape(len(scores), -1)

    def _slopes(self, z: Any, weights: Any) -> Array:
        """Derivatives of the standardised spectra, (spectrum, band, component).

        The product of the transposed Jacobian with `along` is linear in `along`, and
        its own derivative a column of the Jacobian, of all spectra at once.
        """
        torch = load_torch()
        z = z.clone().requires_grad_()
        spectra = decode(weights, z, self.layout)
        along = torch.zeros_like(spectra).requires_grad_()
        (back,) = torch.autograd.grad(spectra, z, along, create_graph=True)
        columns = []
        for k in range(self.layout.components):
            unit = torch.zeros_like(z)
            unit[:, k] = 1
            columns += torch.autograd.grad(back, along, unit, retain_graph=True)
        slopes: Array = torch.stack(columns, dim=2).numpy()
        return slopes

    def _encoded(self, x: Array) -> Array:
        torch = load_torch()
        weights = self._tensors(x.dtype)
        valid = np.isfinite(x)
        there = np.count_nonzero(valid, axis=1)
        few = self.layout.bands if self.whole else self.layout.components
        known = there >= min(few, self.layout.bands)
        with torch.no_grad():
            values = torch.from_numpy(np.where(valid, x, x.dtype.type(0)))
            scores, _ = encode(weights, values, self.layout)
            holes = np.flatnonzero(known & (there < self.layout.bands))
            if len(holes):
                self._fill(scores, values, torch.from_numpy(valid), holes, weights)
        found: Array = scores.numpy()
        found[~known] = np.nan
        return found

    def _fill(
        self, scores: Any, values: Any, valid: Any, holes: Array, weights: Any
    ) -> None:
        """Scores, in place, of spectra whose missing bands the model itself foretells.

        Missing bands take the values that the scores give them, until those stay; each
        spectrum by itself, so that the result does not depend on the others.
        """
        torch = load_torch()
        active = torch.from_numpy(holes)
        for _ in range(_FILLINGS):
            before, there = scores[active], valid[active]
            filled = torch.where(
                there, values[active], decode(weights, before, self.layout)
            )
            after, _ = encode(weights, filled, self.layout)
            scores[active] = after
            moving = (after - before).abs().amax(1) > _SETTLED
            active = active[moving]
            if not len(active):
                break

    def _decoded(self, scores: Array) -> Array:
        torch = load_torch()
        weights = self._tensors(scores.dtype)
        with torch.no_grad():
            z = torch.from_numpy(np.ascontiguousarray(scores))
            apart: Array = decode(weights, z, self.layout).numpy()
        return apart

    def _standard(self, x: Array) -> Array:
        with np.errstate(all="ignore"):
            return ((x.astype(np.float64) - self.mean) / self.scale).astype(_float(x))

    def _tensors(self, dtype: np.dtype[Any]) -> dict[str, Any]:
        torch = load_torch()
        kind = torch.float64 if dtype == np.float64 else torch.float32
        return {k: torch.from_numpy(v).to(kind) for k, v in self.weights.items()}

    def _parts(self, x: Array) -> Iterator[slice]:
        layout = self.layout
        widest = max(layout.bands, layout.components, *layout.hidden, 1)
        if layout.layers == "conv1d" and layout.hidden:
            widest = layout.bands * max(layout.hidden)
        step = max(1, _VALUES // widest)
        return (slice(k, k + step) for k in range(0, len(x), step))


class Vectors(NamedTuple):
    """What becomes of the vectors along an axis."""

    function: Callable[[Array], Array]  # vectors (sample, kept) to (sample, place)
    keep: npt.NDArray[np.intp]  # places along the axis that the function takes
    places: npt.NDArray[np.intp]  # where its values go; the rest is NaN
    length: int  # of the axis of the result


def over_blocks(x: Array | da.Array, axis: int, how: Vectors) -> Array | da.Array:
    """Array with other vectors along an axis; Dask if it is."""
    if not isinstance(x, da.Array):
        return _on_block(x, axis, how)
    whole = kernels.whole_along(x, [axis], "Autoencoder")
    chunks = (*whole.chunks[:axis], (how.length,), *whole.chunks[axis + 1 :])
    result: da.Array = da.map_blocks(
        _on_block,
        whole,
        axis=axis,
        how=how,
        chunks=chunks,
        dtype=_float(x),
        meta=np.empty((0,) * x.ndim, _float(x)),
    )
    return result


def _on_block(x: Array, axis: int, how: Vectors) -> Array:
    shape = (*x.shape[:axis], how.length, *x.shape[axis + 1 :])
    out = np.empty(shape, _float(x))
    if len(how.places) < how.length:
        out.fill(np.nan)
    source, target = np.moveaxis(x, axis, -1), np.moveaxis(out, axis, -1)
    most = max(1, _VALUES // max(1, x.shape[axis], how.length))
    for piece in pieces(source.shape[:-1], most):
        part = source[piece]
        values = how.function(part.reshape(-1, part.shape[-1])[:, how.keep])
        where: tuple[Any, ...] = (*piece, how.places)
        target[where] = values.reshape(*part.shape[:-1], -1)
    return out


def _float(x: Array | da.Array) -> np.dtype[Any]:
    """Dtype to compute in: float64 for data that float32 does not hold."""
    single = np.result_type(x.dtype, np.float32) == np.float32
    return np.dtype(np.float32 if single else np.float64)
