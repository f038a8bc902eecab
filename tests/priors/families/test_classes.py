"""Class methods: which shares, which order, and that the training rows alone decide the cuts."""

import pickle
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from priors.families.classes import (
    CLASS_METHODS,
    balanced_cuts,
    cut_at_shares,
    has_every_class,
    quantile_cuts,
    random_cuts,
    scattered_intervals,
    softmax_draw,
)
from priors.streams import stream

ORDERED = [quantile_cuts, balanced_cuts, random_cuts]


def global_state():
    return pickle.dumps((random.getstate(), np.random.get_state()))  # noqa: NPY002


def normal_values(num_datapoints, seed=0):
    return stream(seed, 1).standard_normal(num_datapoints, dtype=np.float32)


# Every method


@pytest.mark.parametrize("num_classes", [2, 3, 10])
@pytest.mark.parametrize("method", CLASS_METHODS.values(), ids=list(CLASS_METHODS))
def test_codes_below_the_number_of_classes_determined_by_the_generator(method, num_classes):
    values, before = normal_values(150), global_state()
    seen = []
    for draw in range(50):
        codes = method(values, num_classes, values[:75], stream(draw))
        assert codes.shape == (150,)
        assert np.issubdtype(codes.dtype, np.integer)
        assert codes.min() >= 0
        assert codes.max() < num_classes
        np.testing.assert_array_equal(codes, method(values, num_classes, values[:75], stream(draw)))
        seen.append(len(np.unique(codes)))
    assert max(seen) == num_classes
    np.testing.assert_array_equal(values, normal_values(150))
    assert global_state() == before


@pytest.mark.parametrize("method", CLASS_METHODS.values(), ids=list(CLASS_METHODS))
def test_test_rows_do_not_move_the_classes_of_training_rows(method):
    values = normal_values(150)
    for draw in range(20):
        codes = method(values, 3, values[:75], stream(draw))
        other = values.copy()
        other[75:] = 50 + 100 * other[75:]
        np.testing.assert_array_equal(method(other, 3, other[:75], stream(draw))[:75], codes[:75])


@pytest.mark.parametrize("method", [quantile_cuts, balanced_cuts, random_cuts, scattered_intervals])
def test_test_rows_have_the_class_of_equal_training_rows(method):
    values = np.concatenate([normal_values(75), normal_values(75)])
    for draw in range(20):
        codes = method(values, 3, values[:75], stream(draw))
        np.testing.assert_array_equal(codes[:75], codes[75:])


@pytest.mark.parametrize("method", CLASS_METHODS.values(), ids=list(CLASS_METHODS))
def test_the_scale_of_the_values_does_not_matter(method):
    values = normal_values(150).astype(float)
    for draw in range(10):
        codes = method(values, 3, values[:75], stream(draw))
        np.testing.assert_array_equal(
            method(1000 * values - 77, 3, 1000 * values[:75] - 77, stream(draw)), codes
        )


@pytest.mark.parametrize("method", ORDERED)
def test_classes_are_ordered_like_values(method):
    values = np.sort(normal_values(150))[stream(1).permutation(150)]
    for draw in range(50):
        codes = method(values, 4, values[:100], stream(draw))
        assert (np.diff(codes[np.argsort(values)]) >= 0).all()


@pytest.mark.parametrize("method", CLASS_METHODS.values(), ids=list(CLASS_METHODS))
def test_other_values_do_not_move_the_classes_of_the_others(method):
    """A row's class follows from its value and its place: as in a world where other rows were set."""
    values = normal_values(150)
    other = np.where(np.arange(150) % 2, values, values + 3)
    for draw in range(20):
        codes = method(values, 3, values[:75], stream(draw))
        moved = method(other, 3, values[:75], stream(draw))
        np.testing.assert_array_equal(moved[1::2], codes[1::2])


# quantile_cuts and balanced_cuts


@pytest.mark.parametrize("num_train", [30, 120])
@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_quantile_cuts_keep_their_floor(num_classes, num_train):
    """At least two expected rows on the smaller side, or half of a balanced share if that is less."""
    values = normal_values(150)
    floor = min(2 / 30, 0.5 / num_classes)
    smallest = []
    for draw in range(200):
        codes = quantile_cuts(values, num_classes, values[:num_train], stream(draw))
        smallest.append(np.bincount(codes[:num_train], minlength=num_classes).min() / num_train)
    assert min(smallest) >= floor - 1 / num_train  # rounded to rows
    assert min(smallest) < floor + 2 / num_train


def test_a_share_of_two_is_uniform_above_its_floor():
    values = normal_values(4000)
    shares = [1 - quantile_cuts(values, 2, values[:2000], stream(draw))[:2000].mean() for draw in range(1000)]
    assert stats.kstest(shares, "uniform", args=(0.001, 0.998)).pvalue > 0.001


def test_no_class_is_favoured():
    values = normal_values(1000)
    for method in CLASS_METHODS.values():
        if method is not random_cuts:  # whose outer classes have the tails besides
            shares = np.array(
                [
                    np.bincount(method(values, 3, values[:500], stream(i))[:500], minlength=3) / 500
                    for i in range(600)
                ]
            )
            error = shares.std(axis=0) / 600**0.5
            assert (np.abs(shares.mean(axis=0) - 1 / 3) < 0.002 + 4.5 * error).all()  # whole rows of 500


@pytest.mark.parametrize("num_classes", [2, 5])
def test_balanced_cuts_are_balanced(num_classes):
    values = normal_values(300)
    codes = balanced_cuts(values, num_classes, values[:100], stream(0))
    assert np.bincount(codes[:100]).tolist() == [100 // num_classes] * num_classes


# random_cuts


def test_random_cuts_are_uniform_between_the_outer_twentieths():
    values = np.linspace(0, 1, 5001)
    cuts = [1 - random_cuts(values, 2, values[:5001], stream(draw)).mean() for draw in range(1000)]
    assert stats.kstest(cuts, "uniform", args=(0.05, 0.9)).pvalue > 0.001


def test_random_cuts_are_uniform_in_values_and_not_in_rows():
    values = np.exp(2 * normal_values(4000))  # most rows lie near 0, the middle of the range is empty
    shares = [np.mean(random_cuts(values, 2, values[:4000], stream(draw)) == 0) for draw in range(300)]
    assert np.median(shares) > 0.8


# scattered_intervals


def test_scattered_intervals_give_classes_several_intervals():
    values = np.linspace(-1, 1, 2000)[stream(0).permutation(2000)]
    order = np.argsort(values)
    num_runs = []
    for draw in range(300):
        codes = scattered_intervals(values, 3, values[:1500], stream(draw))[order]
        num_runs.append(1 + np.count_nonzero(np.diff(codes)))
    assert min(num_runs) >= 3
    assert 6 < max(num_runs) <= 9
    assert np.mean(np.array(num_runs) > 3) > 0.6


def test_scattered_intervals_deal_the_classes_out_in_any_order():
    values = np.arange(300.0)
    first = [scattered_intervals(values, 3, values[:300], stream(draw))[0] for draw in range(900)]
    assert np.abs(np.bincount(first, minlength=3) / 900 - 1 / 3).max() < 4 * (2 / 9 / 900) ** 0.5


def test_scattered_intervals_leave_no_class_out():
    values = normal_values(20_000)
    for draw in range(100):
        assert len(np.unique(scattered_intervals(values, 5, values[:15_000], stream(draw)))) == 5


# softmax_draw


def test_softmax_draw_follows_its_softmax():
    values = np.tile(np.float32([-1.5, -0.5, 0.5, 1.5]), 10_000)
    z = np.array([-1.5, -0.5, 0.5, 1.5]) / 1.25**0.5
    for draw in range(5):
        slopes, offsets = stream(draw).standard_normal((2, 3))
        odds = np.exp(6 * slopes * z[:, None] + offsets)
        codes = softmax_draw(values, 3, values[:20_000], stream(draw)).reshape(-1, 4)
        shares = np.stack([(codes == label).mean(axis=0) for label in range(3)], axis=1)
        assert np.abs(shares - odds / odds.sum(axis=1, keepdims=True)).max() < 0.025


def test_softmax_draw_of_a_constant_is_finite_work():
    codes = softmax_draw(np.full(100, 3, np.float32), 3, np.full(50, 3, np.float32), stream(0))
    assert codes.shape == (100,)


# cut_at_shares


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.1, 0.9], [0.2, 0.5, 0.3], [0.1] * 10])
def test_training_rows_have_the_asked_shares(shares):
    values = normal_values(300)
    y = cut_at_shares(values, np.array(shares), values[:200])
    assert np.bincount(y[:200]).tolist() == [round(200 * share) for share in shares]
    assert len(np.bincount(y)) == len(shares)


@settings(max_examples=100)
@given(
    arrays(np.float32, st.integers(4, 30), elements=st.floats(-100, 100, width=32)),
    st.lists(st.floats(0.01, 1), min_size=2, max_size=6),
    st.data(),
)
def test_cuts_are_ordered_whatever_the_values(values, shares, data):
    num_train = data.draw(st.integers(2, len(values) - 1))
    y = cut_at_shares(values, np.array(shares) / sum(shares), values[:num_train])
    assert y.shape == values.shape
    assert y.dtype == np.int64
    assert set(y.tolist()) <= set(range(len(shares)))
    ordered = y[np.argsort(values)].tolist()
    assert all(first <= second for first, second in pairwise(ordered))
    assert all(len(set(y[values == value].tolist())) == 1 for value in values)  # ties stay together


def test_cuts_lie_halfway_between_training_rows():
    y = cut_at_shares(np.float32([1, 2, 4, 8, 2.9, 3.1]), np.array([0.5, 0.5]), np.float32([1, 2, 4, 8]))
    assert y.tolist() == [0, 0, 1, 1, 0, 1]


def test_the_extreme_rows_are_in_the_extreme_classes_even_for_tiny_shares():
    values = stream(0).permutation(50).astype(np.float32)
    y = cut_at_shares(values, np.array([1e-9, 1 - 1e-9]), values[:40])
    assert np.bincount(y[:40]).tolist() == [1, 39]
    y = cut_at_shares(values, np.array([1 - 1e-9, 1e-9]), values[:40])
    assert np.bincount(y[:40]).tolist() == [39, 1]


# has_every_class


@pytest.mark.parametrize(
    ("y", "num_train", "expected"),
    [
        ([0, 1, 0, 1], 2, True),
        ([0, 0, 0, 1], 2, False),
        ([0, 1, 1, 1], 2, False),
        ([0, 1, 2, 2, 1, 0], 3, True),
        ([0, 1, 2, 2, 1, 1], 3, False),
        ([0, 1], 2, False),
        ([0, 1], 0, False),
    ],
)
def test_every_class_must_be_on_both_sides(y, num_train, expected):
    assert has_every_class(np.array(y), max(y) + 1, num_train) is expected


def test_a_class_that_no_row_has_is_missed():
    assert not has_every_class(np.array([0, 1, 0, 1]), 3, 2)
