"""Values replaced under a mask, against numpy.copyto."""

import numpy as np
import pytest

from cubekit.kernels import masked

DTYPES = ["float32", "float64", "longdouble", "complex64"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("part", [np.s_[:, :], np.s_[:, ::2], np.s_[::-1, 1:]])
def test_values_are_replaced_as_copyto_does(dtype, part):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 8)).astype(dtype)
    x[0, :3] = np.nan, np.inf, -0.0
    where = (rng.random((5, 8)) < 0.5)[part].copy()
    values = rng.normal(size=where.shape).astype(dtype)
    for work, given in (
        (masked.clear, 0),
        (masked.spoil, np.nan),
        (lambda a, m: masked.replace(a, values.copy(), m), values),
    ):
        got, expected = x.copy(), x.copy()
        work(got[part], where)
        np.copyto(expected[part], given, where=where)
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(
            np.signbit(got.real)[~np.isnan(got)],
            np.signbit(expected.real)[~np.isnan(got)],
        )
