"""Tree mechanisms: the plain definition, their splits, leaves and cells."""

from functools import partial

import numpy as np
import pytest
from scipy import stats

from priors.families.mechanisms import (
    decision_trees,
    oblivious_trees,
)
from priors.streams import stream

GRID = np.linspace(-6, 6, 20_001, dtype=np.float32)[:, None]


def normal_parents(num_datapoints, num_parents, seed=0):
    return stream(seed, 1).standard_normal((num_datapoints, num_parents), dtype=np.float32)


def assert_same_values(values, expected):
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-4 * (1 + np.abs(expected).max()))


# oblivious_trees


def split_places(mechanism, num_draws):
    """Where the values of a function of one parent jump; a fine grid finds each jump where it is."""
    grid = GRID[::5]
    jumps = [grid[np.nonzero(np.diff(mechanism(grid, stream(draw))))[0], 0] for draw in range(num_draws)]
    return np.concatenate(jumps)


@pytest.mark.parametrize(("num_trees", "depth"), [(1, 1), (6, 4), (3, 2)])
def test_oblivious_trees_have_their_number_of_splits(num_trees, depth):
    mechanism = partial(oblivious_trees, num_trees=num_trees, depth=depth)
    num_steps = [np.count_nonzero(np.diff(mechanism(GRID, stream(draw)))) for draw in range(100)]
    assert max(num_steps) == num_trees * depth
    assert np.mean(num_steps) > 0.95 * num_trees * depth


def plain_oblivious_trees(parents, rng, num_trees, depth):
    features = np.floor(rng.random((depth, num_trees)) * parents.shape[1]).astype(int)
    draws = rng.standard_normal(num_trees * (depth + 2**depth), dtype=np.float32)
    thresholds = draws[: num_trees * depth].reshape(depth, num_trees)
    leaf_values = draws[num_trees * depth :].reshape(num_trees, 2**depth)

    def leaf(row, tree):
        sides = [row[features[d, tree]] > thresholds[d, tree] for d in range(depth)]
        return int("".join("1" if side else "0" for side in sides), 2)

    return [sum(leaf_values[tree, leaf(row, tree)] for tree in range(num_trees)) for row in parents]


@pytest.mark.parametrize(("num_trees", "depth"), [(1, 1), (2, 4), (6, 3)])
def test_oblivious_trees_are_the_plain_ones(num_trees, depth):
    parents = normal_parents(40, 3)
    for draw in range(5):
        expected = np.array(plain_oblivious_trees(parents, stream(draw), num_trees, depth))
        assert_same_values(oblivious_trees(parents, stream(draw), num_trees, depth), expected)


@pytest.mark.parametrize("trees", [oblivious_trees, decision_trees])
def test_trees_have_nothing_new_far_out(trees):
    for draw in range(50):
        far = trees(np.float32([[10, 10], [1e3, 1e3]]), stream(draw))
        assert far[0] == far[1]


def test_trees_split_where_normal_values_are():
    for trees in (oblivious_trees, partial(decision_trees, num_trees=4, depth=1)):
        thresholds = split_places(trees, 400)
        assert len(thresholds) > 1000
        assert stats.kstest(thresholds, "norm").pvalue > 0.001


@pytest.mark.parametrize("trees", [oblivious_trees, decision_trees])
@pytest.mark.parametrize(("num_trees", "depth"), [(1, 3), (5, 2)])
def test_trees_have_standard_normal_leaves(trees, num_trees, depth):
    parents = normal_parents(20, 3)
    values = np.stack([trees(parents, stream(draw), num_trees, depth) for draw in range(3000)])  # (draws, R)
    assert np.abs(values.mean(axis=0)).max() < 5 * (num_trees / 3000) ** 0.5
    assert np.abs(values.var(axis=0) / num_trees - 1).max() < 6 * (2 / 3000) ** 0.5
    assert stats.kstest(values[:, 0] / num_trees**0.5, "norm").pvalue > 0.001


# decision_trees


def plain_decision_trees(parents, rng, num_trees, depth):
    num_inner = 2**depth - 1
    features = np.floor(rng.random((num_trees, num_inner)) * parents.shape[1]).astype(int)
    draws = rng.standard_normal((num_trees, num_inner + 2**depth), dtype=np.float32)
    thresholds, leaf_values = draws[:, :num_inner], draws[:, num_inner:]

    def value(row, tree, node):
        if node >= num_inner:
            return leaf_values[tree, node - num_inner]
        left = row[features[tree, node]] <= thresholds[tree, node]
        return value(row, tree, 2 * node + 1 if left else 2 * node + 2)

    return [sum(value(row, tree, 0) for tree in range(num_trees)) for row in parents]


@pytest.mark.parametrize(("num_trees", "depth"), [(1, 1), (2, 4), (1, 6)])
def test_decision_trees_are_the_plain_ones(num_trees, depth):
    parents = normal_parents(40, 3)
    for draw in range(5):
        expected = np.array(plain_decision_trees(parents, stream(draw), num_trees, depth))
        assert_same_values(decision_trees(parents, stream(draw), num_trees, depth), expected)


def test_decision_trees_have_up_to_two_to_the_depth_cells():
    parents = normal_parents(4000, 3)
    for depth in (1, 3, 6):
        counts = [len(np.unique(decision_trees(parents, stream(draw), 1, depth))) for draw in range(50)]
        assert max(counts) <= 2**depth
        assert max(counts) > 0.4 * 2**depth
