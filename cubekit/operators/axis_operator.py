"""AxisOperator: a sparse matrix between two axes, and its algebra."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import sparse

from cubekit.arguments import require_dataarray
from cubekit.errors import AxisMismatchError
from cubekit.kernels import LocalFit
from cubekit.operators.application import applied, attrs_of_derivative, require_refit
from cubekit.operators.propagation import covariance
from cubekit.operators.support import added, composed, support_of, take_rows

if TYPE_CHECKING:
    from cubekit.axis import Axis

__all__ = ["AxisOperator"]


@dataclasses.dataclass(frozen=True, eq=False)
class AxisOperator:
    """Linear operator along one axis of a cube: a sparse matrix and the axes it joins.

    Parameters
    ----------
    matrix : csr_array, (output, input)
        Weights. The stored entries, zeros included, are the support: the inputs that
        each output depends on. A row that is NaN stands for an output that is
        undefined.
    input, output : Axis
        The axes of what it takes and what it gives.
    name : str
        What it is, for messages.
    order : int
        Order of the derivative: the output is in units of the input per `order`-th
        power of the units of the axis.
    degree : int or "all", optional
        Degree of the polynomial that each row fits to its support, "all" for one less
        than the samples there. Not given, the rows are no such fits, and cannot be
        fitted again where samples are missing.

    Notes
    -----
    ``op(cube)`` applies it; ``a @ b`` composes, as one matrix, first `b` then `a`;
    ``a + b``, ``a - b``, ``2 * a``, ``-a`` and ``op.T`` are what they are for matrices.

    **Missing values:** an output is NaN exactly when its support meets a NaN or Inf.
    **Chunks:** any; lazy, at most two tasks for each chunk.
    **Cost:** one contraction, proportional to the size of the support.

    Examples
    --------
    >>> import cubekit as ck
    >>> axis = ck.Axis("wavelength", [400.0, 410.0, 425.0, 430.0], units="nm")
    >>> smooth = ck.savgol_operator(axis, window_length=3, polyorder=1)
    >>> slope = ck.derivative_operator(axis)
    >>> slope @ smooth
    <AxisOperator derivative(order=1) @ savgol_filter(window_length=3, polyorder=1): \
4 wavelength -> 4 wavelength>
    """

    matrix: sparse.csr_array
    input: Axis
    output: Axis
    name: str = "operator"
    order: int = 0
    degree: int | Literal["all"] | None = None
    # NumPy would multiply each value of an array with the operator
    __array_ufunc__: ClassVar[None] = None

    def __post_init__(self) -> None:
        """Check the shape, and keep entries sorted and unique."""
        matrix = sparse.csr_array(self.matrix)
        if matrix.dtype.kind == "c":
            raise TypeError(
                f"matrix of {self.name} is {matrix.dtype}. Weights are real, and the "
                "imaginary part is not dropped for you. Give matrix.real."
            )
        matrix = matrix.astype(np.float64)
        if matrix.shape != (len(self.output), len(self.input)):
            raise ValueError(
                f"matrix of {self.name} has shape {matrix.shape}. Its axes have "
                f"{len(self.output)} outputs and {len(self.input)} inputs. "
                "Give one row for each output, one column for each input."
            )
        matrix.sum_duplicates()  # sorts too, and keeps explicit zeros
        object.__setattr__(self, "matrix", matrix)

    def __repr__(self) -> str:
        """Return name and axes."""
        start = f"{len(self.input)} {self.input.dim}"
        end = f"{len(self.output)} {self.output.dim}"
        return f"<AxisOperator {self.name}: {start} -> {end}>"

    @property
    def support(self) -> sparse.csr_array:
        """Which inputs each output depends on: boolean csr_array, (output, input)."""
        return support_of(self.matrix)

    def __call__(
        self,
        cube: xr.DataArray,
        *,
        missing: Literal["propagate", "refit"] = "propagate",
    ) -> xr.DataArray:
        """Apply the operator to a cube.

        Parameters
        ----------
        cube : DataArray, dims (..., input.dim, ...)
            Real values; NumPy or Dask, any chunks. Its coordinate must be equal to that
            of the input axis.
        missing : {"propagate", "refit"}
            "propagate": an output is NaN exactly when its support meets a NaN or Inf.
            "refit": its polynomial is fitted to the samples that are left, see Notes.

        Returns
        -------
        DataArray, dims (..., output.dim, ...)
            In the order of the dims of `cube`; float32 or float64 as `cube`, float32 at
            least. Dask if `cube` is.

        Raises
        ------
        AxisMismatchError
            If the axis of `cube` is not the input axis.
        ValueError
            If `missing` is unknown, or there is no polynomial to refit.
        TypeError
            If `cube` is not a DataArray of real numbers.

        Notes
        -----
        **Missing values:** with ``missing="refit"`` a window is fitted again while as
        many samples are left as the polynomial has coefficients, and while they
        surround or touch the output: some on both sides, or the sample there or one
        next to it. Else the output is NaN. Finite differences lose one degree, and so
        one order of accuracy, with each sample missing, down to the order of the
        derivative. Spectra with nothing missing have the same bits either way.
        **Chunks:** lazy; each chunk reads the samples that its outputs depend on.
        **Cost:** one contraction; with "refit" also about as many as the polynomials
        have pairs of coefficients, over the windows around missing samples.
        """
        fit = None
        if require_refit(self.name, missing, self.degree):
            degree = None if self.degree == "all" else self.degree
            fit = LocalFit(self.input.values, self.output.values, degree, self.order)
        return self._applied(cube, fit=fit)

    def affine(
        self,
        cube: xr.DataArray,
        *,
        shift: npt.NDArray[np.float64] | None = None,
        offset: npt.NDArray[np.float64] | None = None,
        shift_last: bool = False,
    ) -> xr.DataArray:
        """Apply the operator to what is left of a cube beyond a mean, and add another.

        Parameters
        ----------
        cube : DataArray, dims (..., input.dim, ...)
            As for a call.
        shift : array, (input.dim,), optional
            Taken off the cube first; so small differences of large values keep their
            digits, in float32 too.
        offset : array, (output.dim,), optional
            Added to the result.
        shift_last : bool, default False
            Whether the shift may be taken off after the product, where that is faster.
            It costs as many digits as the shift is larger than what is left.

        Returns
        -------
        DataArray, dims (..., output.dim, ...)
            ``matrix @ (cube - shift) + offset``.

        Notes
        -----
        **Missing values, chunks, cost:** as applying the operator.
        """
        return self._applied(cube, shift=shift, offset=offset, shift_last=shift_last)

    def _applied(self, cube: xr.DataArray, **how: Any) -> xr.DataArray:
        ends = self.input, self.output
        return applied(self.name, cube, self.matrix, ends, self.order, **how)

    def __matmul__(self, other: AxisOperator) -> AxisOperator:
        """Compose: first `other`, then this, as one matrix."""
        _refuse_cube(self.name, other)
        if not isinstance(other, AxisOperator):
            return NotImplemented
        self.input.require_equal(
            other.output,
            f"compose {self.name} with {other.name}",
            "Build both from the same Axis.",
        )
        return AxisOperator(
            composed(self.matrix, other.matrix),
            other.input,
            self.output,
            f"{self.name} @ {other.name}",
            self.order + other.order,
        )

    def __add__(self, other: AxisOperator) -> AxisOperator:
        """Return the operator whose results are the sum of those of the two."""
        if not isinstance(other, AxisOperator):
            return NotImplemented
        doing = f"add {self.name} and {other.name}"
        remedy = "Build both from the same Axis."
        self.input.require_equal(other.input, doing, remedy)
        self.output.require_equal(other.output, doing, remedy)
        if self.order != other.order:
            raise AxisMismatchError(
                f"cannot {doing}: they differentiate {self.order} and {other.order} "
                "times, so their results have other units. Multiply in a length first."
            )
        return dataclasses.replace(
            self,
            matrix=added(self.matrix, other.matrix),
            name=f"({self.name} + {other.name})",
            degree=None,
        )

    def __mul__(self, factor: float) -> AxisOperator:
        """Return the operator times a number."""
        if isinstance(factor, bool) or not isinstance(factor, int | float | np.number):
            return NotImplemented
        matrix = self.matrix.copy()
        matrix.data = matrix.data * float(factor)
        return dataclasses.replace(
            self, matrix=matrix, name=f"{factor:g} * {self.name}", degree=None
        )

    __rmul__ = __mul__

    def __neg__(self) -> AxisOperator:
        """Return the operator times minus one."""
        return -1 * self

    def __sub__(self, other: AxisOperator) -> AxisOperator:
        """Return the operator whose results are the difference of those of the two."""
        if not isinstance(other, AxisOperator):
            return NotImplemented
        return self + -other

    @property
    def T(self) -> AxisOperator:  # noqa: N802
        """Transpose: from the output axis back to the input axis."""
        return AxisOperator(
            self.matrix.T.tocsr(), self.output, self.input, f"{self.name}.T", self.order
        )

    def isel(
        self, index: int | slice | list[int] | npt.NDArray[np.integer | np.bool_]
    ) -> AxisOperator:
        """Operator to some of the outputs, by position.

        Parameters
        ----------
        index : int, slice, array of int or of bool
            Positions on the output axis.

        Returns
        -------
        AxisOperator
            To an axis of those outputs; an int gives an axis of one sample.

        Notes
        -----
        **Missing values:** rows keep their support. **Chunks:** none.
        **Cost:** a copy of the rows; applying it costs what they need.
        """
        keep = np.atleast_1d(np.arange(len(self.output))[index])
        return dataclasses.replace(
            self, matrix=take_rows(self.matrix, keep), output=self.output.isel(keep)
        )

    def sel(
        self, value: Any = None, *, method: str | None = None, **named: Any
    ) -> AxisOperator:
        """Operator to some of the outputs, by coordinate value.

        Parameters
        ----------
        value : scalar, slice or array
            Values on the output axis, in its units; or by name, ``wavelength=...``.
        method : {None, "nearest", ...}
            As in `xarray.DataArray.sel`.

        Returns
        -------
        AxisOperator
            To an axis of those outputs.

        Raises
        ------
        KeyError
            If there is no output at a value, and no `method` to find another.
        ValueError
            If another axis is named, or no value is given.

        Notes
        -----
        **Missing values, chunks, cost:** as `isel`.

        Examples
        --------
        >>> import cubekit as ck
        >>> axis = ck.Axis("wavelength", [400.0, 410.0, 425.0, 430.0], units="nm")
        >>> ck.derivative_operator(axis).sel(wavelength=slice(405, 426))
        <AxisOperator derivative(order=1): 4 wavelength -> 2 wavelength>
        """
        unknown = [key for key in named if key != self.output.name]
        if unknown or (value is None) == (not named):
            raise ValueError(
                f"sel got {unknown or 'no value'}. The output axis is "
                f"{self.output.name!r}. Use sel({self.output.name}=...)."
            )
        value = named.get(self.output.name, value)
        positions = xr.DataArray(
            np.arange(len(self.output)),
            coords={self.output.name: self.output.values},
            dims=self.output.name,
        )
        return self.isel(positions.sel({self.output.name: value}, method=method).values)

    def variance(self, variance: xr.DataArray) -> xr.DataArray:
        r"""Variance of the result, for errors that are independent between samples.

        Parameters
        ----------
        variance : DataArray, dims (..., input.dim, ...)
            Variance of each sample, in squared units of the values; dims may be
            missing, with ``(input.dim,)`` at least.

        Returns
        -------
        DataArray, dims (..., output.dim, ...)
            In squared units of the result.

        Notes
        -----
        .. math:: \sigma_i^2 = \sum_j A_{ij}^2 \sigma_j^2

        Exact for composed operators too, since they are one matrix.

        **Missing values, chunks, cost:** as applying the operator.
        """
        require_dataarray(variance, self.name, "variance")
        squared = self.matrix.copy()
        squared.data = squared.data**2
        operator = dataclasses.replace(
            self,
            matrix=squared,
            order=2 * self.order,
            name=f"variance of {self.name}",
            degree=None,
        )
        return operator(variance)

    def std(self, std: xr.DataArray) -> xr.DataArray:
        r"""Standard deviation of the result, for errors that are independent.

        Parameters
        ----------
        std : DataArray, dims (..., input.dim, ...)
            Standard deviation of each sample, in units of the values; dims may be
            missing, with ``(input.dim,)`` at least.

        Returns
        -------
        DataArray, dims (..., output.dim, ...)
            In units of the result.

        Notes
        -----
        The root of `variance`.

        **Missing values, chunks, cost:** as applying the operator.

        Examples
        --------
        >>> import cubekit as ck
        >>> import xarray as xr
        >>> axis = ck.Axis("wavelength", [400.0, 410.0, 420.0], units="nm")
        >>> noise = xr.DataArray(
        ...     [3.0, 3.0, 4.0], axis.to_coords(), attrs={"units": "K"}
        ... )
        >>> error = ck.derivative_operator(axis).isel(1).std(noise)
        >>> error.values, error.units
        (array([0.25]), 'K nm-1')
        """
        require_dataarray(std, self.name, "std")
        variance = self.variance(std.astype(np.result_type(std, np.float32)) ** 2)
        attrs = attrs_of_derivative(std, self.input, self.order)
        return (variance**0.5).assign_attrs(attrs)

    def covariance(
        self, sigma: xr.DataArray | npt.NDArray[np.floating]
    ) -> xr.DataArray:
        r"""Covariance of the result, for one spectrum whose errors are not independent.

        Parameters
        ----------
        sigma : array, (input.dim, input.dim)
            Covariance of the samples, in the order of the axis.

        Returns
        -------
        DataArray, dims (output.dim, output.dim + "_2")
            The second dim has the same coordinate, with the same suffix.

        Raises
        ------
        ValueError
            If there is not one row and one column for each sample.

        Notes
        -----
        .. math:: \Sigma_y = A\, \Sigma_x A^T

        **Missing values:** NaN where the support of either output meets one.
        **Chunks:** one matrix, in memory. **Cost:** two sparse products.

        Examples
        --------
        >>> import cubekit as ck
        >>> import numpy as np
        >>> slope = ck.derivative_operator(ck.Axis("x", [0.0, 1.0, 2.0]))
        >>> slope.covariance(np.ones((3, 3))).values.round(12) + 0.0
        array([[0., 0., 0.],
               [0., 0., 0.],
               [0., 0., 0.]])
        """
        return covariance(self.name, sigma, self.matrix, (self.input, self.output))

    def to_dataarray(self) -> xr.DataArray:
        """Matrix as a dense DataArray with the coordinates of both axes.

        Returns
        -------
        DataArray, dims (output.dim, input.dim)
            The output dim is named ``<dim>_out`` where both axes have the same dim.

        Notes
        -----
        **Missing values:** NaN in the rows of undefined outputs; what is outside the
        support is zero, as are weights of zero: see `support`. **Chunks:** in memory.
        **Cost:** 8 bytes for each output and input.
        """
        out = self.output
        if out.dim == self.input.dim or out.name == self.input.name:
            out = dataclasses.replace(out, dim=f"{out.dim}_out", name=f"{out.name}_out")
        units = {} if out.units is None else {"units": out.units}
        return xr.DataArray(
            self.matrix.toarray(),
            coords={
                out.name: (out.dim, out.values, units),
                self.input.name: self.input.to_coords()[self.input.name],
            },
            dims=(out.dim, self.input.dim),
            name=self.name,
        )


def _refuse_cube(name: str, other: Any) -> None:
    if isinstance(other, xr.DataArray):
        raise TypeError(
            f"{name} @ cube: @ composes operators. One is applied to a cube by a call. "
            "Use operator(cube)."
        )
