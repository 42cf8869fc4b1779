"""Random numbers of rows: uniform, and of each row alone."""

import numpy as np

from headrace.imports.backend import load_backend
from headrace.media.draws import uniform


def drawn(keys, count, first=0):
    load_backend()
    return np.asarray(uniform(np.array(keys, np.int64), count, first))


def test_they_are_uniform_and_independent():
    keys = np.random.default_rng(0).integers(2**32, size=4_000).tolist()
    values = drawn(keys, 9)
    assert values.dtype == np.float32
    assert values.min() >= 0
    assert values.max() < 1
    shares = np.histogram(values, 10, (0, 1))[0] / values.size
    np.testing.assert_allclose(shares, 0.1, atol=0.006)
    among = np.corrcoef(values.T) - np.eye(9)
    assert np.abs(among).max() < 0.06


def test_they_do_not_depend_on_the_other_rows():
    together = drawn([3, 2**32 - 1, 5], 4)
    np.testing.assert_array_equal(together[1:2], drawn([2**32 - 1], 4))
    np.testing.assert_array_equal(together[:, 2:], drawn([3, 2**32 - 1, 5], 2, first=2))
