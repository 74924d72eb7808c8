"""What every reduction knows once it is fitted: its bands, its units, its labels."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from cubekit.arguments import require_real
from cubekit.axis import Axis
from cubekit.errors import NotFittedError
from cubekit.reduction.samples import aligned

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import xarray as xr

    from cubekit.reduction.projection import Projection

__all__ = ["FittedReduction"]


class FittedReduction:
    """Reduction of the bands of an axis to components, linear or not."""

    n_components: int | float | None
    coord: str | None
    _projection: Projection | None = None
    _published: Mapping[str, Any] = MappingProxyType({})

    def __getattr__(self, name: str) -> Any:
        """Return a fitted attribute, or say that it is not there yet."""
        if name in self._published:
            return self._published[name]
        if name.endswith("_") and not name.startswith("_"):
            raise NotFittedError(
                f"{type(self).__name__} has no {name} yet. It is known once the model "
                "is fitted. Call fit(cube) first."
            )
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}"
        )

    def _label(self) -> str:
        return type(self).__name__

    def _fitted(self, method: str) -> Projection:
        if self._projection is None:
            raise NotFittedError(
                f"{self._label()}.{method} was called before fit. The model knows no "
                "components yet. Call fit(cube) first, or load a model."
            )
        return self._projection

    def _aligned(self, cube: xr.DataArray, doing: str) -> xr.DataArray:
        fitted = self._fitted(doing)
        require_real(cube, self._label())
        return aligned(cube, fitted, f"{self._label()}: {doing}")

    def _components_of(self, scores: xr.DataArray) -> npt.NDArray[np.intp]:
        """Places of the components that scores have; raise if there are others."""
        fitted = self._fitted("inverse_transform")
        component = Axis.from_cube(scores, "component")
        given = np.flatnonzero(np.isin(fitted.component.values, component.values))
        component.require_equal(
            fitted.component.isel(given),
            "invert these scores",
            f"The model has components 1 to {len(fitted.component)}. "
            "Give scores of these.",
        )
        return given

    def _as_it_came(
        self, rest: xr.DataArray, cube: xr.DataArray, ordered: xr.DataArray
    ) -> xr.DataArray:
        """Residual of a cube with its labels, its bands in the order of the cube."""
        axis = self._fitted("residual").axis
        rest = rest.assign_attrs(cube.attrs).rename(cube.name)
        if ordered is not cube:
            place = {value: k for k, value in enumerate(axis.values)}
            rest = rest.isel({axis.dim: [place[v] for v in cube[axis.name].values]})
        return rest

    def _as_scores(self, scores: xr.DataArray, cube: xr.DataArray) -> xr.DataArray:
        name = cube.name if cube.name is not None else "cube"
        attrs: Mapping[str, Any] = {
            key: value
            for key, value in scores.attrs.items()
            if key not in {"long_name", "standard_name", *self._unitless()}
        }
        scores = scores.assign_coords(self._component_coords()).rename("scores")
        scores.attrs = {**attrs, "long_name": f"{self._label()} scores of {name}"}
        return scores

    def _unitless(self) -> set[str]:
        return set()

    def _as_cube(self, cube: xr.DataArray) -> xr.DataArray:
        fitted = self._fitted("inverse_transform")
        attrs = {k: v for k, v in cube.attrs.items() if k not in {"long_name", "units"}}
        units = {} if fitted.units is None else {"units": fitted.units}
        cube = cube.rename(fitted.name)
        cube.attrs = {**attrs, **units}
        return cube

    def _component_coords(self) -> dict[str, Any]:
        component = self._fitted("components").component
        return {"component": ("component", component.values.astype(np.int64))}
