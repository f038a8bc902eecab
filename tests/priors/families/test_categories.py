"""Converters: few values, each row's own, and what each way of making categories promises."""

import pickle
import random

import numpy as np
import pytest

from priors.families.categories import CONVERTERS, ordered_cuts, prototypes, softmax_draw
from priors.streams import stream


def global_state():
    return pickle.dumps((random.getstate(), np.random.get_state()))  # noqa: NPY002


def normal_values(num_datapoints, seed=0):
    return stream(seed, 1).standard_normal(num_datapoints, dtype=np.float32)


@pytest.mark.parametrize("num_categories", [2, 4, 10])
@pytest.mark.parametrize("converter", CONVERTERS.values(), ids=list(CONVERTERS))
def test_at_most_the_asked_number_of_values_determined_by_the_generator(converter, num_categories):
    values, before = normal_values(2000), global_state()
    counts = []
    for draw in range(50):
        converted = converter(values, stream(draw), num_categories)
        assert converted.shape == values.shape
        assert converted.dtype == np.float32
        assert np.isfinite(converted).all()
        np.testing.assert_array_equal(converted, converter(values, stream(draw), num_categories))
        counts.append(len(np.unique(converted)))
    assert max(counts) == num_categories
    assert np.mean(counts) > 0.6 * num_categories
    np.testing.assert_array_equal(values, normal_values(2000))
    assert global_state() == before


@pytest.mark.parametrize("converter", CONVERTERS.values(), ids=list(CONVERTERS))
def test_other_generators_give_other_categories(converter):
    values = normal_values(200)
    assert len({converter(values, stream(draw)).tobytes() for draw in range(50)}) >= 48


@pytest.mark.parametrize("converter", CONVERTERS.values(), ids=list(CONVERTERS))
def test_the_values_of_categories_are_standard_normal(converter):
    """The largest of four standard normals has the mean 1.03; where a category is empty, a little less."""
    values = normal_values(5000)
    drawn = [np.unique(converter(values, stream(draw), 4)) for draw in range(600)]
    whole = np.stack([found for found in drawn if len(found) == 4])
    assert len(whole) > 200
    error = whole.std(axis=0) / len(whole) ** 0.5
    assert (np.abs(whole.mean(axis=0) - [-1.029, -0.297, 0.297, 1.029]) < 4.5 * error).all()


@pytest.mark.parametrize("converter", [ordered_cuts, prototypes])
def test_a_row_has_the_same_category_whatever_other_rows_there_are(converter):
    values = normal_values(200)
    for draw in range(20):
        converted = converter(values, stream(draw))
        np.testing.assert_array_equal(converter(values[:7], stream(draw)), converted[:7])
        np.testing.assert_array_equal(converter(values[::-1], stream(draw)), converted[::-1])


def test_ordered_cuts_keep_the_order():
    values = np.sort(normal_values(500))
    for draw in range(50):
        assert (np.diff(ordered_cuts(values, stream(draw), 5)) >= 0).all()


def test_ordered_cuts_lie_where_standard_normal_values_are():
    """Two categories: the share of a grid below the cut is that below a standard normal number."""
    grid = np.linspace(-4, 4, 8001, dtype=np.float32)
    cuts = [grid[np.nonzero(np.diff(ordered_cuts(grid, stream(draw), 2)))[0]] for draw in range(400)]
    cuts = np.concatenate(cuts)
    assert len(cuts) == 400
    assert abs(cuts.mean()) < 4 / 20
    assert abs(cuts.std() - 1) < 0.15


def test_prototypes_scatter_their_categories_over_at_most_two_intervals_each():
    grid = np.linspace(-6, 6, 20_001, dtype=np.float32)
    num_intervals, is_ordered = [], []
    for draw in range(100):
        converted = prototypes(grid, stream(draw), 4)
        steps = np.diff(converted)
        num_intervals.append(1 + np.count_nonzero(steps))
        is_ordered.append((steps >= 0).all() or (steps <= 0).all())
        for value in np.unique(converted):
            assert np.count_nonzero(np.diff((converted == value).astype(int)) == 1) <= 2
    assert max(num_intervals) == 8
    assert np.mean(num_intervals) > 6
    assert np.mean(is_ordered) < 0.1


def test_prototypes_cut_halfway_between_their_points():
    points = np.sort(stream(0).standard_normal(8, dtype=np.float32)).astype(float)
    grid = np.linspace(-4, 4, 80_001, dtype=np.float32)
    converted = prototypes(grid, stream(0), 4)
    nearest = np.abs(grid[:, None] - points).argmin(axis=1)
    for point in range(8):
        assert len(np.unique(converted[nearest == point])) == 1 or point in (0, 7)
    changes = grid[np.nonzero(np.diff(converted))[0]]
    halfway = (points[1:] + points[:-1]) / 2
    assert all(np.abs(halfway - change).min() < 2e-4 for change in changes)
    assert len(changes) >= 4


def test_softmax_draw_follows_its_softmax():
    for draw in range(5):
        slopes, offsets, of_category = stream(draw).standard_normal((3, 4), dtype=np.float32).astype(float)
        for value in (-1.5, 0, 0.8):
            values = np.full(20_000, value, dtype=np.float32)
            logits = 2 * slopes * value + offsets
            expected = np.exp(logits) / np.exp(logits).sum()
            converted = softmax_draw(values, stream(draw), 4)
            shares = [np.mean(np.isclose(converted, category)) for category in of_category]
            assert np.abs(shares - expected).max() < 5 * 0.5 / 20_000**0.5


def test_only_the_softmax_draws_rows_by_themselves():
    values = np.repeat(normal_values(20), 100)
    for name, converter in CONVERTERS.items():
        converted = converter(values, stream(0), 6).reshape(20, 100)
        assert (np.ptp(converted, axis=1).max() > 0) == (name == "softmax_draw")
