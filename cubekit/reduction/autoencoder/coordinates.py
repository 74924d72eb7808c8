"""Coordinates in which training is well conditioned: principal ones, alike in size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cubekit.reduction.autoencoder.backend import load_torch

if TYPE_CHECKING:
    from cubekit.reduction.autoencoder.network import Layout, Start, Weights

__all__ = ["Coordinates"]

Real = npt.NDArray[np.float64]

_LEAST = 1e-9  # variance, in that of the first direction, that counts as more than none


class Coordinates(NamedTuple):
    """Principal components of spectra in units of their standard deviations.

    Neighbouring bands are alike: a step that suits what they have in common is far too
    long for what tells them apart. So weights that meet the bands are trained as
    weights that meet

        u = inward x,    x = outward u,

    and a network is the same function of `x` whichever of the two it is written in.
    """

    inward: Any  # (direction, band)
    outward: Any  # (band, direction), its inverse

    @classmethod
    def of(cls, covariance: Real, root: Real) -> Coordinates:
        """Of a covariance of the data; `root` is what its bands are multiplied by."""
        values, vectors = np.linalg.eigh(covariance)
        size = np.sqrt(np.maximum(values, _LEAST * max(values[-1], _LEAST)))
        return cls(vectors.T * root / size[:, None], vectors * size / root[:, None])

    def to(self, device: Any) -> Coordinates:
        """The same as tensors in float32."""
        torch = load_torch()
        single = (torch.from_numpy(matrix.astype(np.float32)) for matrix in self)
        return Coordinates(*(matrix.to(device) for matrix in single))

    def start(self, given: Start) -> Start:
        """Maps to start training from, of those that meet the bands."""
        encoder, decoder = given.encoder @ self.outward, self.inward @ given.decoder
        return given._replace(encoder=encoder, decoder=decoder)

    def network(self, trained: Weights, layout: Layout) -> Weights:
        """Weights that meet the bands, from those that are trained."""
        first, last = ["encoder_linear"], ["decoder_linear"]
        if layout.layers == "dense" and layout.hidden:
            first, last = [*first, "encoder_0_weight"], [*last, "decoder_last_weight"]
        return {
            **trained,
            **{name: trained[name] @ self.inward for name in first},
            **{name: self.outward @ trained[name] for name in last},
        }
