"""What happens to columns on the way to a table, and what only training rows may decide."""

import numpy as np
import pytest
from scipy import stats

from priors.sampling.column_treatments import draw_outliers, fit_codes, fit_rounding, fit_warp, fitted_columns
from priors.streams import stream

# Codes


def test_category_codes_are_as_many_as_values_and_in_every_order():
    values = stream(0).choice(np.float32([-2.5, 0.1, 7]), 100)
    orders = set()
    for draw in range(200):
        codes = category_codes(values, stream(draw))
        assert codes.dtype == np.float32
        assert set(codes.tolist()) == {0, 1, 2}
        found = {(value, code) for value, code in zip(values.tolist(), codes.tolist(), strict=True)}
        assert len(found) == 3  # one code for each value
        orders.add(tuple(code for _, code in sorted(found)))
    assert len(orders) == 6


def category_codes(column, rng, num_train=None):
    return fit_codes(column, num_train or len(column), rng)(column)


def warp(column, num_train, rng):
    return fit_warp(column, num_train, rng)(column)


def quantize(column, num_train, rng):
    return fit_rounding(column, num_train, rng)(column)


def add_outliers(x, fraction, num_train, rng, is_real=None):
    outliers = draw_outliers(x.T, is_real or [True] * x.shape[1], fraction, num_train, rng)
    return np.where(outliers.is_outlier, outliers.values, x.T).T


def scale_columns(x, num_train):
    fitted = fitted_columns(x.T.astype(np.float32), num_train)
    return None if fitted is None else fitted[1].T


# Warps


def test_warps_are_monotone_and_of_three_kinds():
    column = np.sort(stream(0).normal(3, 2, 400)).astype(np.float32)
    in_unit_interval, num_decreasing, bends = 0, 0, []
    for draw in range(300):
        warped = warp(column, 400, stream(draw))
        assert warped.shape == (400,)
        assert np.isfinite(warped).all()
        steps = np.diff(warped)
        assert (steps >= -1e-6).all() or (steps <= 1e-6).all()
        num_decreasing += warped[0] > warped[-1]
        in_unit_interval += warped.min() >= 0 and warped.max() <= 1 and warped.max() - warped.min() > 0.99
        bends.append(abs(np.corrcoef(column, warped)[0, 1]))
    assert 70 < in_unit_interval < 130  # a third
    assert 25 < num_decreasing < 80  # a sixth
    assert np.median(bends) < 0.98  # they do change the column
    assert min(bends) > 0.2


def test_warps_are_decided_by_training_rows():
    column = stream(0).normal(3, 2, 100).astype(np.float32)
    other = column.copy()
    other[60:] = 10 * other[60:] - 5
    for draw in range(50):
        warped = warp(column, 60, stream(draw))
        np.testing.assert_array_equal(warp(other, 60, stream(draw))[:60], warped[:60])
        repeated = np.concatenate([column[:60], column[:60]])
        np.testing.assert_array_equal(warp(repeated, 60, stream(draw))[60:], warped[:60])


def test_warps_do_not_depend_on_the_scale():
    column = stream(0).normal(3, 2, 100)
    for draw in range(50):
        expected = warp(column, 60, stream(draw))
        np.testing.assert_allclose(warp(100 * column + 7, 60, stream(draw)), expected, rtol=1e-6, atol=1e-9)


def test_kumaraswamy_is_its_distribution_function():
    column = np.linspace(0, 1, 101)
    num_found = 0
    for draw in range(50):
        kind, first, second = stream(draw).random(3)
        if kind < 1 / 3:
            a, b = np.exp(3 * first - 1.5), np.exp(3 * second - 1.5)
            np.testing.assert_allclose(warp(column, 101, stream(draw)), 1 - (1 - column**a) ** b, atol=1e-12)
            num_found += 1
    assert num_found > 5


def test_constant_columns_survive_warps_and_rounding():
    column = np.full(50, 3, np.float32)
    for draw in range(30):
        assert len(np.unique(warp(column, 30, stream(draw)))) == 1
        assert len(np.unique(quantize(column, 30, stream(draw)))) == 1


# Rounding


def test_quantize_rounds_to_4_to_40_equal_steps_of_the_training_range():
    column = np.linspace(-3, 5, 5000)[stream(0).permutation(5000)]
    counts = []
    for draw in range(400):
        rounded = quantize(column, 4000, stream(draw))
        np.testing.assert_array_equal(rounded, np.rint(rounded))
        low, high = column[:4000].min(), column[:4000].max()
        num_steps = rounded[:4000].max()
        assert rounded[:4000].min() == 0
        error = np.abs((column - low) / (high - low) * num_steps - rounded)
        assert error.max() <= 0.5 + 1e-6
        counts.append(int(num_steps))
    assert stats.chisquare(np.bincount(counts, minlength=41)[4:]).pvalue > 0.001
    assert min(counts) == 4
    assert max(counts) == 40


def test_steps_are_decided_by_training_rows():
    column = stream(0).standard_normal(100, dtype=np.float32)
    other = column.copy()
    other[60:] *= 100
    for draw in range(20):
        rounded = quantize(column, 60, stream(draw))
        np.testing.assert_array_equal(quantize(other, 60, stream(draw))[:60], rounded[:60])


def test_test_rows_may_lie_beyond_the_training_rows_steps():
    rounded = quantize(np.float32([0, 1, 2, 3, 9]), 4, stream(0))
    assert rounded[4] == 3 * rounded[3]


# Outliers


def test_outliers_are_the_asked_share_and_5_to_20_standard_deviations_out():
    x = stream(0).normal([0, 50], [1, 10], (20_000, 2)).astype(np.float32)
    found = add_outliers(x, 0.1, 10_000, stream(1))
    moved = found != x
    assert np.abs(moved.mean(axis=0) - 0.1).max() < 4.5 * (0.09 / 20_000) ** 0.5
    mean, deviation = x[:10_000].mean(axis=0), x[:10_000].std(axis=0)
    distance = ((found - mean) / deviation)[moved]
    assert stats.kstest(np.abs(distance), "uniform", args=(5, 15)).pvalue > 0.001
    assert abs(np.mean(distance > 0) - 0.5) < 4.5 * 0.5 / len(distance) ** 0.5


def test_outliers_of_training_rows_are_decided_by_training_rows():
    x = stream(0).standard_normal((100, 3), dtype=np.float32)
    other = x.copy()
    other[60:] *= 100
    before = x.copy()
    found = add_outliers(x, 0.3, 60, stream(1))
    np.testing.assert_array_equal(add_outliers(other, 0.3, 60, stream(1))[:60], found[:60])
    np.testing.assert_array_equal(x, before)


def test_outliers_touch_real_columns_alone():
    x = stream(0).standard_normal((100, 3), dtype=np.float32)
    found = add_outliers(x, 0.5, 60, stream(1), [True, False, True])
    assert ((found != x).mean(axis=0) > 0.3).tolist() == [True, False, True]


# Scaling


def test_training_rows_get_mean_0_and_variance_1():
    x = stream(0).normal([5, -300, 0], [0.01, 40, 1e5], size=(100, 3)).astype(np.float32)
    scaled = scale_columns(x, 60)
    assert scaled.dtype == np.float32
    assert np.abs(scaled[:60].mean(axis=0, dtype=float)).max() < 1e-3
    assert np.abs(scaled[:60].std(axis=0, dtype=float) - 1).max() < 1e-3
    expected = (x - x[:60].mean(axis=0, dtype=float)) / x[:60].std(axis=0, dtype=float)
    np.testing.assert_allclose(scaled, expected, atol=2e-3)


def test_test_rows_do_not_change_training_cells():
    x = stream(0).standard_normal((100, 3), dtype=np.float32)
    other = x.copy()
    other[60:] = 1000 * other[60:] - 5
    np.testing.assert_array_equal(scale_columns(other, 60)[:60], scale_columns(x, 60)[:60])


def test_input_is_left_alone():
    x = stream(0).standard_normal((100, 3), dtype=np.float32)
    before = x.copy()
    scale_columns(x, 60)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("rows", "column", "value"),
    [
        (slice(0, 60), 1, 7),  # constant among the training rows
        (slice(0, 100), 0, 0),
        (slice(0, 100), 0, 1.1),  # whose mean over many rows is rounded
        (slice(0, 60), 2, 12345.678),
        (70, 2, np.nan),
        (10, 2, np.nan),
        (70, 0, np.inf),
        (10, 0, -np.inf),
    ],
)
def test_constant_and_non_finite_columns_are_refused(rows, column, value):
    x = stream(0).standard_normal((100, 3), dtype=np.float32)
    assert scale_columns(x, 60) is not None
    x[rows, column] = value
    with np.errstate(all="ignore"):
        assert scale_columns(x, 60) is None


def test_copies_are_refused_and_single_columns_are_not():
    x = stream(0).standard_normal((100, 3), dtype=np.float32)
    assert scale_columns(x[:, [0, 1, 0]], 60) is None
    x[:, 2] = 3 - 2 * x[:, 0]
    assert scale_columns(x, 60) is None  # mirrored, shifted and scaled
    x[70, 2] += 1
    assert scale_columns(x, 60) is not None  # one row differs
    assert scale_columns(x[:, :1], 60).shape == (100, 1)


def test_one_training_row_is_refused():
    assert scale_columns(stream(0).standard_normal((10, 2), dtype=np.float32), 1) is None
