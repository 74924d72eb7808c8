"""Weights from coordinates, against numbers a person can check by hand."""

import numpy as np
import pytest
from numpy.polynomial import polynomial

from cubekit import stencils


def rows(x, windows, polyorder, deriv):
    if polyorder is None:
        weights = stencils.difference_weights(x, windows, deriv)
    else:
        weights = stencils.local_polynomial_weights(x, windows, polyorder, deriv)
    return np.split(weights, np.cumsum(windows.length)[:-1])


def test_five_point_quadratic_smoother_is_that_of_savitzky_and_golay():
    x = np.arange(5.0)
    windows = stencils.centred_windows([(0, 5)], 5, 2)
    middle = rows(x, windows, 2, 0)[2]
    np.testing.assert_allclose(35 * middle, [-3, 12, 17, 12, -3], rtol=0, atol=1e-13)


def test_seven_point_quadratic_smoother_and_slope_are_the_published_ones():
    x = np.arange(7.0)
    windows = stencils.centred_windows([(0, 7)], 7, 2)
    np.testing.assert_allclose(
        21 * rows(x, windows, 2, 0)[3], [-2, 3, 6, 7, 6, 3, -2], atol=1e-13
    )
    np.testing.assert_allclose(
        28 * rows(x, windows, 2, 1)[3], [-3, -2, -1, 0, 1, 2, 3], atol=1e-13
    )


def test_three_samples_give_the_classical_uneven_differences():
    x = np.array([0.0, 1.25, 3.75])
    windows = stencils.Windows(np.zeros(3, int), np.full(3, 3))
    f = np.array([13.5, 12.0, 10.0])
    first = [w @ f for w in rows(x, windows, None, 1)]
    second = [w @ f for w in rows(x, windows, None, 2)]
    np.testing.assert_allclose(first, [-4 / 3, -16 / 15, -8 / 15], rtol=1e-13)
    np.testing.assert_allclose(second, [0.64 / 3] * 3, rtol=1e-13)


@pytest.mark.parametrize("deriv", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("offset", [0.0, 400.0, -1e4])
def test_polynomials_are_differentiated_exactly_far_from_the_origin(deriv, offset):
    rng = np.random.default_rng(deriv)
    t = np.sort(rng.uniform(-3, 3, 25))
    windows = stencils.centred_windows([(0, 25)], 11, 5)
    coefficients = rng.normal(size=6)
    exact = polynomial.polyval(t, polynomial.polyder(coefficients, deriv))
    f = polynomial.polyval(t, coefficients)
    weights = rows(t + offset, windows, 5, deriv)
    got = [w @ f[s : s + 11] for w, s in zip(weights, windows.start, strict=True)]
    # weights of a derivative are large where samples are close: they set the rounding,
    # and so does the rounding of the coordinates themselves
    coordinate = 1 + abs(offset)
    size = max(np.abs(w).sum() for w in weights) * np.abs(f).max() * coordinate
    np.testing.assert_allclose(got, exact, rtol=1e-10, atol=1e-14 * size)


def test_windows_move_inwards_at_the_ends():
    windows = stencils.centred_windows([(0, 7)], 5, 2)
    assert windows.start.tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert windows.length.tolist() == [5] * 7


def test_windows_stay_inside_segments_and_short_segments_have_none():
    x = np.array([0.0, 1, 2, 3, 10, 11, 20, 21, 22, 23, 24, 25, 26])
    ranges = stencils.segments(np.diff(x) > 5.0)
    assert ranges == [(0, 4), (4, 6), (6, 13)]
    windows = stencils.centred_windows(ranges, 5, 2)
    assert windows.start.tolist() == [0, 0, 0, 0, 0, 0, 6, 6, 6, 7, 8, 8, 8]
    assert windows.length.tolist() == [4] * 4 + [0] * 2 + [5] * 7


def test_a_width_takes_the_samples_in_a_closed_interval():
    x = np.array([0.0, 1.0, 2.0, 4.0, 8.0, 9.0, 10.0])
    windows = stencils.width_windows(x, [(0, 7)], 4.0, 1)
    held = [
        x[s : s + n].tolist()
        for s, n in zip(windows.start, windows.length, strict=True)
    ]
    assert held[0] == [0, 1, 2, 4]  # moved inwards: the interval is [0, 4]
    assert held[2] == [0, 1, 2, 4]
    assert held[3] == [2, 4]
    assert held[6] == [8, 9, 10]


def test_a_width_on_even_spacing_does_not_lose_samples_to_rounding():
    x = 0.1 * np.arange(50)
    windows = stencils.width_windows(x, [(0, 50)], 1.0, 2)
    assert set(windows.length[5:45].tolist()) == {11}


def measured_order(x_of_n, order, accuracy, sizes):
    """Slope of the largest error of the derivative of sin against the step."""
    errors = []
    for n in sizes:
        x = x_of_n(n)
        windows = stencils.difference_windows(x, order, accuracy, accuracy)
        f = np.sin(x)
        exact = np.sin(x + order * np.pi / 2)
        got = [
            w @ f[s : s + c]
            for w, s, c in zip(rows(x, windows, None, order), *windows, strict=True)
        ]
        errors.append(np.abs(got - exact).max())
    return np.polyfit(np.log(sizes), -np.log(errors), 1)[0]


def two_spacings(n):
    step = np.where(np.arange(n - 1) < n // 2, 1.0, 2.3)
    x = np.concatenate([[0], np.cumsum(step)])
    return x / x[-1] * 3


@pytest.mark.parametrize(
    ("order", "accuracy"), [(1, 1), (1, 2), (2, 1), (2, 2), (3, 2)]
)
@pytest.mark.parametrize("grid", [lambda n: np.linspace(0, 3, n), two_spacings])
def test_the_error_falls_with_the_promised_order_everywhere(grid, order, accuracy):
    assert measured_order(grid, order, accuracy, [40, 80, 160]) > accuracy - 0.1


def test_stencils_on_even_spacing_are_symmetric_even_after_rounding_to_float32():
    x = np.linspace(0.1, 0.9, 33).astype(np.float32).astype(np.float64)
    windows = stencils.difference_windows(x, 2, 2, 2)
    assert windows.length[1:-1].tolist() == [3] * 31
    assert windows.length[[0, -1]].tolist() == [4, 4]
