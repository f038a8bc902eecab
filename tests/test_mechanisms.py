"""Mechanism families: what every family promises, and what is known of each."""

import pickle
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import stats

from priors.mechanisms import (
    ACTIVATIONS,
    MECHANISMS,
    linear,
    mlp,
    oblivious_trees,
    random_fourier_features,
)
from priors.streams import stream

MAX_SPLITS = 8 * 4  # of `oblivious_trees`: trees x depth


def global_state():
    return pickle.dumps((random.getstate(), np.random.get_state()))  # noqa: NPY002


def normal_parents(num_datapoints, num_parents, seed=0):
    return stream(seed, 1).standard_normal((num_datapoints, num_parents), dtype=np.float32)


def assert_same_values(values, expected):
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-4 * (1 + np.abs(expected).max()))


# Every family


@pytest.mark.parametrize("num_datapoints", [1, 5, 200])
@pytest.mark.parametrize("num_parents", [1, 2, 7])
@pytest.mark.parametrize("mechanism", MECHANISMS.values(), ids=list(MECHANISMS))
def test_one_finite_float32_value_a_row_determined_by_the_generator(mechanism, num_parents, num_datapoints):
    parents = normal_parents(num_datapoints, num_parents)
    for draw in range(20):
        values = mechanism(parents, stream(draw))
        assert values.shape == (num_datapoints,)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(values, mechanism(parents, stream(draw)))


@pytest.mark.parametrize("mechanism", MECHANISMS.values(), ids=list(MECHANISMS))
def test_global_random_state_and_parents_are_left_alone(mechanism):
    parents = normal_parents(50, 3)
    before, parents_before = global_state(), parents.copy()
    for draw in range(20):
        mechanism(parents, stream(draw))
    assert global_state() == before
    np.testing.assert_array_equal(parents, parents_before)


@pytest.mark.parametrize("num_parents", [1, 2, 7])
@pytest.mark.parametrize("mechanism", MECHANISMS.values(), ids=list(MECHANISMS))
def test_a_row_has_the_same_value_whatever_other_rows_there_are(mechanism, num_parents):
    parents = normal_parents(200, num_parents)
    order = stream(5).permutation(200)
    for draw in range(30):
        values = mechanism(parents, stream(draw))
        for num_datapoints in (1, 2, 77):
            assert_same_values(mechanism(parents[:num_datapoints], stream(draw)), values[:num_datapoints])
        assert_same_values(mechanism(parents[order], stream(draw)), values[order])
        assert_same_values(mechanism(np.repeat(parents[3:4], 5, axis=0), stream(draw)), values[[3] * 5])


@pytest.mark.parametrize("mechanism", MECHANISMS.values(), ids=list(MECHANISMS))
def test_other_generators_give_other_functions(mechanism):
    parents = normal_parents(50, 2)
    assert len({mechanism(parents, stream(draw)).tobytes() for draw in range(50)}) == 50


@pytest.mark.parametrize("num_parents", [1, 2, 7])
@pytest.mark.parametrize("mechanism", MECHANISMS.values(), ids=list(MECHANISMS))
def test_values_vary_with_variance_of_order_one(mechanism, num_parents):
    parents = normal_parents(200, num_parents)
    values = np.stack([mechanism(parents, stream(draw)) for draw in range(300)])  # (draws, R)
    assert np.mean(values.std(axis=1) > 0.01) > 0.95
    # Over draws and rows together; the median over rows, for squares of squares have rare huge values.
    assert 0.2 < np.median(np.quantile(np.abs(values), 0.68, axis=0) ** 2) < 5


@pytest.mark.parametrize("mechanism", MECHANISMS.values(), ids=list(MECHANISMS))
def test_every_parent_matters(mechanism):
    parents = normal_parents(200, 3)
    for parent in range(3):
        moved = parents.copy()
        moved[:, parent] = normal_parents(200, 1, seed=9)[:, 0]
        changed = [
            np.abs(mechanism(moved, stream(draw)) - mechanism(parents, stream(draw))).max() > 1e-3
            for draw in range(100)
        ]
        assert np.mean(changed) > 0.7


@pytest.mark.parametrize("num_parents", [1, 7])
@pytest.mark.parametrize("mechanism", MECHANISMS.values(), ids=list(MECHANISMS))
def test_extreme_parents_give_finite_values(mechanism, num_parents):
    parents = np.repeat(np.float32([[0], [1e3], [-1e3], [1e-30]]), num_parents, axis=1)
    for draw in range(100):
        assert np.isfinite(mechanism(parents, stream(draw))).all()


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(list(MECHANISMS)),
    arrays(
        np.float32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(-1e3, 1e3, width=32)
    ),
    st.integers(0, 1000),
)
def test_hostile_parents_give_finite_values(name, parents, seed):
    values = MECHANISMS[name](parents, stream(seed))
    assert values.shape == (len(parents),)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()


# linear


@pytest.mark.parametrize("num_parents", [1, 2, 7])
def test_linear_is_the_weighted_sum_of_its_parents(num_parents):
    parents = normal_parents(50, num_parents)
    weights = linear(np.eye(num_parents, dtype=np.float32), stream(0)).astype(float)
    expected = [sum(row[p] * weights[p] for p in range(num_parents)) for row in parents.astype(float)]
    np.testing.assert_allclose(linear(parents, stream(0)), expected, atol=1e-5)


def test_linear_is_additive():
    first, second = normal_parents(50, 3, seed=1), normal_parents(50, 3, seed=2)
    together = linear(first + 2 * second, stream(0))
    np.testing.assert_allclose(together, linear(first, stream(0)) + 2 * linear(second, stream(0)), atol=1e-5)


def test_linear_weights_are_normal_with_variance_one_over_the_number_of_parents():
    weights = np.concatenate([linear(np.eye(5, dtype=np.float32), stream(draw)) for draw in range(1000)])
    assert stats.kstest(weights * 5**0.5, "norm").pvalue > 0.001


# mlp


def test_mlp_is_not_additive_in_most_draws():
    first, second = normal_parents(50, 3, seed=1), normal_parents(50, 3, seed=2)
    zero = np.zeros_like(first)

    def departure(mechanism, draw):
        values = [mechanism(parents, stream(draw)) for parents in (first + second, zero, first, second)]
        scale = max(np.abs(value).max() for value in values)
        return np.abs(values[0] + values[1] - values[2] - values[3]).max() / scale

    assert max(departure(linear, draw) for draw in range(100)) < 1e-5
    assert np.mean([departure(mlp, draw) > 0.01 for draw in range(200)]) > 0.85


def test_mlp_has_biases():
    zero = np.zeros((1, 3), dtype=np.float32)
    assert np.mean([np.abs(mlp(zero, stream(draw))[0]) > 1e-3 for draw in range(100)]) > 0.8


def test_mlp_draws_every_activation(monkeypatch):
    used = set()
    recorders = [
        lambda x, name=name, activation=activation: used.add(name) or activation(x)
        for name, activation in ACTIVATIONS.items()
    ]
    monkeypatch.setattr("priors.mechanisms.ACTIVATION_LIST", recorders)
    for draw in range(200):
        mlp(normal_parents(5, 2), stream(draw))
    assert used == set(ACTIVATIONS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("identity", [-2, 0, 3]),
        ("tanh", [-np.tanh(2), 0, np.tanh(3)]),
        ("relu", [0, 0, 3]),
        ("leaky_relu", [-0.2, 0, 3]),
        ("absolute", [2, 0, 3]),
        ("sine", [-np.sin(2), 0, np.sin(3)]),
        ("gaussian", [np.exp(-4), 1, np.exp(-9)]),
        ("step", [0, 0, 1]),
        ("square", [4, 0, 9]),
    ],
)
def test_activations(name, expected):
    values = ACTIVATIONS[name](np.float32([-2, 0, 3]))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected, rtol=1e-6)


# oblivious_trees


def test_trees_are_piecewise_constant():
    grid = np.linspace(-6, 6, 20_001, dtype=np.float32)[:, None]
    num_steps = [np.count_nonzero(np.diff(oblivious_trees(grid, stream(draw)))) for draw in range(100)]
    assert max(num_steps) <= MAX_SPLITS
    assert max(num_steps) > MAX_SPLITS / 2
    assert min(num_steps) <= 2


def test_trees_take_few_values_and_none_that_is_new_far_out():
    parents = normal_parents(2000, 2)
    for draw in range(50):
        assert len(np.unique(oblivious_trees(parents, stream(draw)))) <= (MAX_SPLITS + 1) ** 2
        far = oblivious_trees(np.float32([[10, 10], [1e3, 1e3]]), stream(draw))
        assert far[0] == far[1]


def test_trees_split_where_normal_values_are():
    """A fine grid finds each step where its threshold is; over draws these are standard normal."""
    grid = np.linspace(-6, 6, 4001, dtype=np.float32)
    thresholds = []
    for draw in range(400):
        thresholds.extend(grid[np.nonzero(np.diff(oblivious_trees(grid[:, None], stream(draw))))[0]])
    assert len(thresholds) > 1000
    assert abs(np.mean(thresholds)) < 0.15
    assert 0.85 < np.std(thresholds) < 1.15


def test_trees_have_unit_variance_over_draws():
    parents = normal_parents(20, 3)
    values = np.stack([oblivious_trees(parents, stream(draw)) for draw in range(4000)])  # (draws, R)
    assert np.abs(values.mean(axis=0)).max() < 5 / 4000**0.5
    assert np.abs(values.var(axis=0) - 1).max() < 6 * (2 / 4000) ** 0.5


# random_fourier_features


def mixture_kernel(distances, num_parents):
    """The squared-exponential kernel, averaged over length scales log-uniform in 0.5 to 4, times sqrt(P)."""
    length_scales = np.geomspace(0.5, 4, 20_001)[:, None] * num_parents**0.5
    return np.exp(-(distances**2) / (2 * length_scales**2)).mean(axis=0)


@pytest.mark.parametrize("num_parents", [1, 4])
def test_fourier_features_have_the_covariance_of_their_kernel(num_parents):
    distances = np.array([0.3, 1, 2, 4, 12])
    start = np.full(num_parents, 0.7)
    direction = np.ones(num_parents) / num_parents**0.5
    parents = np.stack([start, *(start + distance * direction for distance in distances)]).astype(np.float32)
    values = np.stack([random_fourier_features(parents, stream(draw)) for draw in range(15_000)])
    covariance = values.T @ values / len(values)  # (1 + distances, 1 + distances)
    assert np.abs(values.mean(axis=0)).max() < 0.04
    assert np.abs(np.diag(covariance) - 1).max() < 0.06
    assert np.abs(covariance[0, 1:] - mixture_kernel(distances, num_parents)).max() < 0.05
    assert (np.diff(covariance[0]) < 0).all()


def test_fourier_features_are_smooth():
    grid = np.linspace(-2, 2, 4001, dtype=np.float32)[:, None]
    steepest = [np.abs(np.diff(random_fourier_features(grid, stream(draw)))).max() for draw in range(50)]
    assert max(steepest) < 0.05
