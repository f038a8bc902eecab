"""Missing cells: their share, what they depend on, and that training rows decide."""

import numpy as np
import pytest

from priors.families.missingness import (
    MISSING_KINDS,
    missing_at_random,
    missing_completely_at_random,
    missing_not_at_random,
)
from priors.streams import stream

# Missing cells


def many_columns(num_rows=20_000, num_features=4):
    """Real, skewed, binary and rounded columns."""
    x = stream(0).standard_normal((num_rows, num_features))
    x[:, 1] = np.exp(x[:, 1])
    x[:, 2] = x[:, 2] > 0.4
    x[:, 3] = np.rint(x[:, 3])
    return x.astype(np.float32)


@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("kind", MISSING_KINDS.values(), ids=list(MISSING_KINDS))
def test_missing_cells_are_the_asked_share(kind, fraction):
    x = many_columns()
    possible = min(fraction, 0.75) if kind is missing_at_random else fraction  # one column stays complete
    for draw in range(5):
        missing = kind(x, fraction, 10_000, stream(draw))
        assert missing.shape == x.shape
        assert missing.dtype == bool
        assert abs(missing.mean() - possible) < 0.01
        np.testing.assert_array_equal(missing, kind(x, fraction, 10_000, stream(draw)))
    np.testing.assert_array_equal(x, many_columns())


def gap(missing, by):
    """The rate of `missing` (R,) in the rows with a high `by` (R,), minus that in the others."""
    is_high = by > np.median(by)
    return missing[is_high].mean() - missing[~is_high].mean()


def test_completely_at_random_depends_on_nothing():
    x = many_columns()
    missing = missing_completely_at_random(x, 0.3, 10_000, stream(0))
    assert np.abs(missing.mean(axis=0) - 0.3).max() < 0.015
    assert max(abs(gap(missing[:, f], x[:, g])) for f in range(4) for g in range(4)) < 0.03
    assert np.abs(np.corrcoef(missing.T)[np.triu_indices(4, 1)]).max() < 0.03


def test_at_random_depends_on_a_complete_column_alone():
    x = many_columns()
    guides = set()
    for draw in range(12):
        missing = missing_at_random(x, 0.3, 10_000, stream(draw))
        (guide,) = np.flatnonzero(~missing.any(axis=0))
        guides.add(guide)
        for f in set(range(4)) - {guide}:
            assert abs(missing[:, f].mean() - 0.4) < 0.015  # makes up for the guide
            assert gap(missing[:, f], x[:, guide]) > 0.2
            assert abs(gap(missing[:, f], x[:, f])) < 0.03
    assert guides == {0, 1, 2, 3}


def test_at_random_a_single_column_depends_on_nothing():
    column = many_columns()[:, :1]
    missing = missing_at_random(column, 0.5, 10_000, stream(0))
    assert abs(missing.mean() - 0.5) < 0.02
    assert abs(gap(missing[:, 0], column[:, 0])) < 0.04


def test_not_at_random_depends_on_the_missing_value_alone():
    x = many_columns()
    missing = missing_not_at_random(x, 0.3, 10_000, stream(0))
    for f in range(4):
        assert abs(missing[:, f].mean() - 0.3) < 0.015
        assert gap(missing[:, f], x[:, f]) > 0.15
        assert all(abs(gap(missing[:, f], x[:, g])) < 0.03 for g in range(4) if g != f)


@pytest.mark.parametrize("kind", MISSING_KINDS.values(), ids=list(MISSING_KINDS))
def test_missing_cells_of_training_rows_are_decided_by_training_rows(kind):
    x = many_columns(200)
    other = x.copy()
    other[100:] = 9
    missing = kind(x, 0.3, 100, stream(1))
    np.testing.assert_array_equal(kind(other, 0.3, 100, stream(1))[:100], missing[:100])
