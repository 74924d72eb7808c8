"""The contract of every reduction: to scores, back, what is left, to a file."""

from __future__ import annotations

import abc
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import xarray as xr

from cubekit.arguments import require_real
from cubekit.axis import Axis
from cubekit.errors import CoordinateError, NotFittedError
from cubekit.reduction.model_file import load_model, save_model
from cubekit.reduction.samples import aligned
from cubekit.reduction.state import Entry, State, labelled

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from cubekit.reduction.projection import Projection

__all__ = ["FittedReduction"]


class FittedReduction(abc.ABC):
    """Reduction of the bands of an axis to components, linear or not.

    What is the same for all is here: alignment, labels, units, files. A kind gives the
    arrays: `_scores_of`, `_cube_of`, `_rest_of`, `_packed`, `_unpacked`.
    """

    n_components: int | float | None
    coord: str | None
    _entries: ClassVar[Mapping[str, Entry]]
    _state: State
    _projection: Projection | None = None
    _published: Mapping[str, Any] = MappingProxyType({})
    _history = ""

    @abc.abstractmethod
    def fit(self, *args: Any, **kwargs: Any) -> Self:
        """Find the components of a cube."""

    def fit_transform(self, cube: xr.DataArray, **options: Any) -> xr.DataArray:
        """Fit to a cube, and give its scores.

        Parameters
        ----------
        cube : DataArray, dims (..., band, ...)
            Real values; any chunks.
        **options
            Of `fit`.

        Returns
        -------
        DataArray, dims (..., component, ...)
            ``fit(cube).transform(cube)``. Dask if `cube` is.

        Notes
        -----
        **Missing values:** as `fit` and `transform`. **Chunks:** any; the fit is
        computed now, the scores are lazy, and read the cube once more.
        **Cost:** that of both.
        """
        require_real(cube, type(self).__name__)
        return self.fit(cube, **options).transform(cube)

    def transform(self, cube: xr.DataArray) -> xr.DataArray:
        """Scores of a cube: where its spectra are, by the components of the model.

        Parameters
        ----------
        cube : DataArray, dims (..., band, ...)
            With the bands and units of the fit, in any order.

        Returns
        -------
        DataArray, dims (..., component, ...)
            Dask if `cube` is; float32 or float64 as `cube`, float32 at least.

        Raises
        ------
        AxisMismatchError
            If the bands are not those of the fit.
        ValueError
            If the units are not those of the fit, or the cube marks a band bad that
            the model cannot do without.

        Notes
        -----
        Offsets cost no digits: a mean that is large beside the deviations of the fit
        is taken off first.

        **Missing values:** the scores of a spectrum that misses a good band are NaN,
        unless the parameter `missing` says otherwise. **Chunks:** any; lazy.
        **Cost:** one contraction; of a network, one for each layer.
        """
        self._fitted("transform")
        cube = self._aligned(cube, "transform")
        return self._as_scores(self._scores_of(cube), cube)

    def inverse_transform(self, scores: xr.DataArray) -> xr.DataArray:
        """Cube that has the given scores.

        Parameters
        ----------
        scores : DataArray, dims (..., component, ...)
            Of all components, or of some of them: the others count as zero.

        Returns
        -------
        DataArray, dims (..., band, ...)
            NaN in bad bands. Dask if `scores` is.

        Raises
        ------
        AxisMismatchError
            If there are components that the model does not have.

        Notes
        -----
        **Missing values:** spectra with a missing score are NaN.
        **Chunks:** any; lazy. **Cost:** as `transform`.
        """
        self._fitted("inverse_transform")
        return self._as_cube(self._cube_of(scores))

    def residual(self, cube: xr.DataArray) -> xr.DataArray:
        """Rest of a cube that the components do not explain.

        Parameters
        ----------
        cube : DataArray, dims (..., band, ...)
            With the bands and units of the fit.

        Returns
        -------
        DataArray, same dims as `cube`
            ``cube - inverse_transform(transform(cube))``, formed from deviations from
            the mean, so that it keeps its digits where the rest is small.

        Notes
        -----
        **Missing values:** NaN where a band is, where a spectrum has no scores, and in
        bad bands. **Chunks:** any; lazy. **Cost:** as `transform` and
        `inverse_transform`.
        """
        self._fitted("residual")
        ordered = self._aligned(cube, "take the residual of")
        return self._as_it_came(self._rest_of(ordered), cube, ordered)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the model to a netCDF file that any netCDF reader understands.

        Parameters
        ----------
        path : path
            The file; its folder must be there.
        overwrite : bool, default False
            Replace a file that exists.

        Returns
        -------
        Path

        Notes
        -----
        The file is written beside the target and renamed, so it is there whole or not
        at all. It holds plain arrays: the covariance too, so that a loaded `PCA` or
        `MNF` can go on fitting, or the weights of a network.
        """
        self._fitted("save")
        model = self._packed().assign_attrs(history=self._history)
        return save_model(model, path, type(self).__name__, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Model from a file that `save` wrote.

        Parameters
        ----------
        path : path

        Returns
        -------
        model
            With scores identical to those of the saved model.

        Raises
        ------
        ModelFormatError
            If the file is no such model, or damaged.
        """
        model = load_model(path, cls.__name__)
        loaded = cls._unpacked(model)
        loaded._history = str(model.attrs.get("history", ""))
        return loaded

    @abc.abstractmethod
    def _scores_of(self, cube: xr.DataArray) -> xr.DataArray:
        """Scores of a cube with the bands of the model; labels may be missing."""

    @abc.abstractmethod
    def _cube_of(self, scores: xr.DataArray) -> xr.DataArray:
        """Cube of scores of some components; name and units may be missing."""

    @abc.abstractmethod
    def _rest_of(self, cube: xr.DataArray) -> xr.DataArray:
        """What the components leave of a cube with the bands of the model."""

    @abc.abstractmethod
    def _packed(self) -> xr.Dataset:
        """All that the model knows, as arrays and attributes."""

    @classmethod
    @abc.abstractmethod
    def _unpacked(cls, model: xr.Dataset) -> Self:
        """Model of what `_packed` gave."""

    def __getattr__(self, name: str) -> Any:
        """Return a fitted attribute, or say that it is not there yet."""
        if name.endswith("_") and not name.startswith("_"):
            known = self._labelled()
            if name in known:
                return known[name]
            raise NotFittedError(
                f"{type(self).__name__} has no {name} yet. It is known once the model "
                "is fitted. Call fit(cube) first."
            )
        if isinstance(getattr(type(self), name, None), property):
            self._fitted(name)  # a property that failed for want of a fit says so
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
        if isinstance(scores, xr.DataArray) and "component" not in scores.coords:
            raise CoordinateError(
                f"{self._label()}: scores have a coordinate 'component', but this "
                f"array has dims {scores.dims}. Give scores: transform(cube)."
            )
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

    def _publish(self, state: State) -> None:
        self._state, self._published = state, {}

    def _labelled(self) -> Mapping[str, Any]:
        """Fitted attributes by name, none before a fit; made when one is asked for.

        Labels take as long as the fit of a small cube, of which there may be many.
        """
        if self._projection is not None and not self._published:
            values = labelled(self._state, self._entries)
            self._published = {
                "n_components_": len(self._state.found["components"]),
                **{f"{name}_": value for name, value in values.items()},
            }
        return self._published

    def _report(
        self,
        samples: int,
        by_scores: npt.NDArray[np.float64],
        r2: tuple[float, float],
        rmse: npt.NDArray[np.float64],
    ) -> xr.Dataset:
        """What `evaluate` gives; r2 about the mean of the fit, and about its own."""
        fitted = self._fitted("evaluate")
        units = {} if fitted.units is None else {"units": fitted.units}
        return xr.Dataset(
            {
                "explained_by_scores": ("component", by_scores),
                "r2_fit_mean": r2[0],
                "r2_own_mean": r2[1],
                "rmse": (fitted.axis.dim, fitted.on_axis(rmse), units),
                "n_samples": samples,
            },
            coords={**self._component_coords(), **fitted.axis.to_coords()},
        )

    def _component_coords(self) -> dict[str, Any]:
        component = self._fitted("components").component
        return {"component": ("component", component.values.astype(np.int64))}
