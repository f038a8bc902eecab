"""Mechanism families: what every family promises, and what is known of each."""

import pickle
import random
from functools import partial
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import stats

from priors.families.mechanisms import (
    ACTIVATIONS,
    MECHANISMS,
    Activation,
    aggregate,
    decision_trees,
    linear,
    mlp,
    nearest_prototype,
    oblivious_trees,
    periodic,
    piecewise,
    product,
    random_fourier_features,
)
from priors.streams import stream

# Every family, in all of its kinds and over its parameters.
VARIANTS = {
    **MECHANISMS,
    **{f"linear {matrix}": partial(linear, matrix=matrix) for matrix in ("uniform", "signs", "decaying")},
    **{f"mlp {name}": partial(mlp, num_layers=2, width=12, activation=name) for name in ACTIVATIONS},
    "oblivious_trees 6 x 4": partial(oblivious_trees, num_trees=6, depth=4),
    "oblivious_trees 1 x 2": partial(oblivious_trees, num_trees=1, depth=2),
    "decision_trees 1 x 6": partial(decision_trees, num_trees=1, depth=6),
    "random_fourier_features cauchy": partial(random_fourier_features, frequency=1.5, spectrum="cauchy"),
    "product 3": partial(product, rank=3),
    "piecewise step": partial(piecewise, kind="step"),
    "piecewise linear 1": partial(piecewise, num_knots=1),
    **{kind: partial(aggregate, kind, mlp) for kind in ("sum", "product", "maximum")},
}
GRID = np.linspace(-6, 6, 20_001, dtype=np.float32)[:, None]


def global_state():
    return pickle.dumps((random.getstate(), np.random.get_state()))  # noqa: NPY002


def normal_parents(num_datapoints, num_parents, seed=0):
    return stream(seed, 1).standard_normal((num_datapoints, num_parents), dtype=np.float32)


def assert_same_values(values, expected):
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-4 * (1 + np.abs(expected).max()))


# Every family


@pytest.mark.parametrize("num_datapoints", [1, 5, 200])
@pytest.mark.parametrize("num_parents", [1, 2, 7])
@pytest.mark.parametrize("mechanism", VARIANTS.values(), ids=list(VARIANTS))
def test_one_finite_float32_value_a_row_determined_by_the_generator(mechanism, num_parents, num_datapoints):
    parents = normal_parents(num_datapoints, num_parents)
    for draw in range(20):
        values = mechanism(parents, stream(draw))
        assert values.shape == (num_datapoints,)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(values, mechanism(parents, stream(draw)))


@pytest.mark.parametrize("mechanism", VARIANTS.values(), ids=list(VARIANTS))
def test_global_random_state_and_parents_are_left_alone(mechanism):
    parents = normal_parents(50, 3)
    before, parents_before = global_state(), parents.copy()
    for draw in range(20):
        mechanism(parents, stream(draw))
    assert global_state() == before
    np.testing.assert_array_equal(parents, parents_before)


@pytest.mark.parametrize("num_parents", [1, 2, 7])
@pytest.mark.parametrize("mechanism", VARIANTS.values(), ids=list(VARIANTS))
def test_a_row_has_the_same_value_whatever_other_rows_there_are(mechanism, num_parents):
    parents = normal_parents(200, num_parents)
    order = stream(5).permutation(200)
    for draw in range(8):
        values = mechanism(parents, stream(draw))
        for num_datapoints in (1, 2, 77):
            assert_same_values(mechanism(parents[:num_datapoints], stream(draw)), values[:num_datapoints])
        assert_same_values(mechanism(parents[order], stream(draw)), values[order])
        assert_same_values(mechanism(np.repeat(parents[3:4], 5, axis=0), stream(draw)), values[[3] * 5])


@pytest.mark.parametrize("mechanism", VARIANTS.values(), ids=list(VARIANTS))
def test_other_generators_give_other_functions(mechanism):
    parents = normal_parents(50, 2)
    num_functions = 4 if getattr(mechanism, "keywords", {}).get("matrix") == "signs" else 45
    assert len({mechanism(parents, stream(draw)).tobytes() for draw in range(50)}) >= num_functions


@pytest.mark.parametrize("num_parents", [1, 7])
@pytest.mark.parametrize("mechanism", VARIANTS.values(), ids=list(VARIANTS))
def test_values_vary(mechanism, num_parents):
    parents = normal_parents(200, num_parents)
    deviations = np.array([mechanism(parents, stream(draw)).std() for draw in range(100)])
    assert np.mean(deviations > 0.01) > 0.8  # a step far out does not show


@pytest.mark.parametrize("mechanism", VARIANTS.values(), ids=list(VARIANTS))
def test_every_parent_matters(mechanism):
    parents = normal_parents(200, 3)
    for parent in range(3):
        moved = parents.copy()
        moved[:, parent] = normal_parents(200, 1, seed=9)[:, 0]
        changed = [
            np.abs(mechanism(moved, stream(draw)) - mechanism(parents, stream(draw))).max() > 1e-3
            for draw in range(100)
        ]
        assert np.mean(changed) > 0.3  # a tree of two splits asks two parents at most


@pytest.mark.parametrize("num_parents", [1, 7])
@pytest.mark.parametrize("mechanism", VARIANTS.values(), ids=list(VARIANTS))
def test_extreme_parents_give_finite_values(mechanism, num_parents):
    parents = np.repeat(np.float32([[0], [1e3], [-1e3], [1e-30]]), num_parents, axis=1)
    for draw in range(100):
        assert np.isfinite(mechanism(parents, stream(draw))).all()


@settings(max_examples=50)
@given(
    st.sampled_from(list(VARIANTS)),
    arrays(
        np.float32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(-1e3, 1e3, width=32)
    ),
    st.integers(0, 1000),
)
def test_hostile_parents_give_finite_values(name, parents, seed):
    values = VARIANTS[name](parents, stream(seed))
    assert values.shape == (len(parents),)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()


def test_parameters_are_refused_by_name_and_value():
    parents = normal_parents(5, 2)
    with pytest.raises(ValueError, match="matrix must be normal, uniform, signs or decaying, got 'odd'"):
        linear(parents, stream(0), matrix="odd")
    with pytest.raises(ValueError, match="spectrum must be normal or cauchy, got 'odd'"):
        random_fourier_features(parents, stream(0), spectrum="odd")
    with pytest.raises(ValueError, match="kind must be linear or step, got 'odd'"):
        piecewise(parents, stream(0), kind="odd")
    with pytest.raises(ValueError, match="kind must be sum, product or maximum, got 'odd'"):
        aggregate("odd", linear, parents, stream(0))


# linear


@pytest.mark.parametrize("matrix", ["normal", "uniform", "signs", "decaying"])
@pytest.mark.parametrize("num_parents", [1, 2, 7])
def test_linear_is_the_weighted_sum_of_its_parents(num_parents, matrix):
    parents = normal_parents(50, num_parents)
    weights = linear(np.eye(num_parents, dtype=np.float32), stream(0), matrix).astype(float)
    expected = [sum(row[p] * weights[p] for p in range(num_parents)) for row in parents.astype(float)]
    np.testing.assert_allclose(linear(parents, stream(0), matrix), expected, atol=1e-5)


def test_linear_is_additive():
    first, second = normal_parents(50, 3, seed=1), normal_parents(50, 3, seed=2)
    together = linear(first + 2 * second, stream(0))
    np.testing.assert_allclose(together, linear(first, stream(0)) + 2 * linear(second, stream(0)), atol=1e-5)


def linear_weights(matrix, num_parents=5):
    """(draws, P)."""
    eye = np.eye(num_parents, dtype=np.float32)
    return np.stack([linear(eye, stream(draw), matrix) for draw in range(2000)]).astype(float)


@pytest.mark.parametrize("matrix", ["normal", "uniform", "signs", "decaying"])
def test_linear_weights_have_expected_squares_that_sum_to_one_and_no_favourite(matrix):
    squares = linear_weights(matrix) ** 2
    error = squares.sum(axis=1).std() / 2000**0.5
    assert abs(squares.sum(axis=1).mean() - 1) <= 4.5 * error + 1e-6
    assert np.abs(squares.mean(axis=0) - 0.2).max() <= 4.5 * squares[:, 0].std() / 2000**0.5 + 1e-6
    assert np.abs(linear_weights(matrix).mean(axis=0)).max() < 4.5 * (0.2 / 2000) ** 0.5


def test_linear_weights_have_their_distributions():
    assert stats.kstest(linear_weights("normal").ravel() * 5**0.5, "norm").pvalue > 0.001
    bound = (3 / 5) ** 0.5
    assert stats.kstest(linear_weights("uniform").ravel(), "uniform", args=(-bound, 2 * bound)).pvalue > 0.001
    np.testing.assert_allclose(np.abs(linear_weights("signs")), 0.2**0.5, rtol=1e-6)


def test_decaying_weights_are_those_of_one_over_the_rank():
    """Sums of fourth powers tell how unequal weights are: 3 sum of (1/rank)^4 over (sum of (1/rank)^2)^2."""
    decay = 1 / np.arange(1, 6)
    expected = 3 * (decay**4).sum() / (decay**2).sum() ** 2
    fourth = (linear_weights("decaying") ** 4).sum(axis=1)
    assert abs(fourth.mean() - expected) < 4.5 * fourth.std() / 2000**0.5
    assert 4.5 * fourth.std() / 2000**0.5 < expected - 3 / 5  # that of equal weights


# mlp


def plain_mlp(parents, rng, num_layers, width, gain, activation):
    """Row by row and unit by unit, in float64, as a reference."""
    rows = parents.astype(float).tolist()
    for _ in range(num_layers):
        fan_in = len(rows[0])
        weights = rng.standard_normal((width, fan_in + 1), dtype=np.float32).T.astype(float)
        rows = [
            [
                float(
                    ACTIVATIONS[activation](
                        weights[-1, unit]
                        + gain / fan_in**0.5 * sum(row[i] * weights[i, unit] for i in range(fan_in))
                    )
                )
                for unit in range(width)
            ]
            for row in rows
        ]
    out = rng.standard_normal(width, dtype=np.float32).astype(float)
    return [sum(row[unit] * out[unit] for unit in range(width)) for row in rows]


@pytest.mark.parametrize(("num_layers", "width", "gain"), [(1, 3, 0.8), (1, 12, 2.2), (2, 5, 1.5)])
@pytest.mark.parametrize("activation", ["tanh", "relu", "sine", "square", "gaussian"])
def test_mlp_is_the_plain_one(num_layers, width, gain, activation):
    parents = normal_parents(20, 3)
    for draw in range(3):
        values = mlp(parents, stream(draw), num_layers, width, gain, activation)
        assert_same_values(
            values, np.array(plain_mlp(parents, stream(draw), num_layers, width, gain, activation))
        )


def test_mlp_is_not_additive_in_most_draws():
    first, second = normal_parents(50, 3, seed=1), normal_parents(50, 3, seed=2)
    zero = np.zeros_like(first)

    def departure(mechanism, draw):
        """From f(a) - f(0) + f(b) - f(0) = f(a + b) - f(0), which holds for affine functions."""
        values = [mechanism(parents, stream(draw)) for parents in (first + second, zero, first, second)]
        scale = max(np.abs(value).max() for value in values)
        return np.abs(values[0] + values[1] - values[2] - values[3]).max() / scale

    affine = partial(mlp, num_layers=2, activation="identity")
    assert max(departure(affine, draw) for draw in range(50)) < 1e-5
    for activation in set(ACTIVATIONS) - {"identity"}:
        assert np.mean([departure(partial(mlp, activation=activation), i) > 0.01 for i in range(50)]) > 0.9


def test_mlp_has_biases():
    zero = np.zeros((1, 3), dtype=np.float32)
    assert np.mean([np.abs(mlp(zero, stream(draw))[0]) > 1e-3 for draw in range(100)]) > 0.8


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("identity", [-2, 0, 3]),
        ("tanh", [-np.tanh(2), 0, np.tanh(3)]),
        ("relu", [0, 0, 3]),
        ("leaky_relu", [-0.2, 0, 3]),
        ("absolute", [2, 0, 3]),
        ("sine", [-np.sin(4), 0, np.sin(6)]),
        ("gaussian", [np.exp(-4), 1, np.exp(-9)]),
        ("step", [0, 0, 1]),
        ("square", [4, 0, 9]),
    ],
)
def test_activations(name, expected):
    values = ACTIVATIONS[name](np.float32([-2, 0, 3]))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected, rtol=1e-6)


# random_fourier_features


@pytest.mark.parametrize("frequency", [0.25, 0.7, 1.5])
@pytest.mark.parametrize("spectrum", ["normal", "cauchy"])
@pytest.mark.parametrize("num_parents", [1, 4])
def test_fourier_features_have_the_covariance_of_their_kernel(num_parents, spectrum, frequency):
    distances = np.array([0.3, 1, 2, 4, 12])
    start = np.full(num_parents, 0.7)
    steps = np.ones(num_parents) / num_parents**0.5 * distances[:, None]  # of Euclidean length `distances`
    parents = np.stack([start, *(start + steps)]).astype(np.float32)
    mechanism = partial(random_fourier_features, frequency=frequency, spectrum=spectrum)
    values = np.stack([mechanism(parents, stream(draw)) for draw in range(5000)]).astype(float)
    covariance = values.T @ values / len(values)  # (1 + distances, 1 + distances)
    if spectrum == "normal":
        kernel = np.exp(-(frequency**2) * distances**2 / (2 * num_parents))
    else:  # the Laplace kernel, in the sum of absolute differences
        kernel = np.exp(-frequency / num_parents**0.5 * np.abs(steps).sum(axis=1))
    assert np.abs(values.mean(axis=0)).max() < 0.07
    assert np.abs(np.diag(covariance) - 1).max() < 0.1
    assert np.abs(covariance[0, 1:] - kernel).max() < 0.07


def test_fourier_features_are_smooth():
    grid = np.linspace(-2, 2, 4001, dtype=np.float32)[:, None]
    steepest = [
        np.abs(np.diff(random_fourier_features(grid, stream(draw), frequency=1.5))).max()
        for draw in range(50)
    ]
    assert max(steepest) < 0.02


# nearest_prototype


def test_nearest_prototype_is_the_plain_one():
    parents = normal_parents(50, 3)
    for draw in range(20):
        rng = stream(draw)
        prototypes = rng.standard_normal((3, 5), dtype=np.float32).T.astype(float)
        values = rng.standard_normal(5, dtype=np.float32)
        nearest = [np.argmin([((row - prototype) ** 2).sum() for prototype in prototypes]) for row in parents]
        np.testing.assert_array_equal(nearest_prototype(parents, stream(draw), 5), values[nearest])


# product


def affine_forms(parents, rng, rank):
    num_parents = parents.shape[1]
    weights = rng.standard_normal((num_parents + 1, 2 * rank), dtype=np.float32).astype(float)
    return parents.astype(float) @ weights[:-1] / num_parents**0.5 + 0.5 * weights[-1]


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_product_is_a_sum_of_products_of_affine_forms(rank):
    parents = normal_parents(50, 3)
    for draw in range(5):
        forms = affine_forms(parents, stream(draw), rank)
        expected = sum(forms[:, k] * forms[:, rank + k] for k in range(rank))
        assert_same_values(product(parents, stream(draw), rank), expected)


def test_product_has_a_constant_second_difference_along_any_line():
    line = np.linspace(-3, 3, 61)[:, None] * [[1, -2, 0.5]]
    for draw in range(20):
        values = product(line.astype(np.float32), stream(draw)).astype(float)
        second = np.diff(values, 2)
        np.testing.assert_allclose(second, second.mean(), atol=1e-4 * (1 + np.abs(values).max()))
        assert np.abs(second.mean()) > 1e-6


# piecewise


@pytest.mark.parametrize("num_knots", [1, 4])
def test_piecewise_steps_are_as_many_as_knots(num_knots):
    steps = [
        np.count_nonzero(np.diff(piecewise(50 * GRID, stream(draw), num_knots, "step"))) for draw in range(50)
    ]
    assert max(steps) == num_knots
    assert np.mean(steps) > 0.9 * num_knots


def test_piecewise_of_one_knot_is_a_line_and_no_constant():
    for draw in range(50):
        values = piecewise(10_000 * GRID, stream(draw), 1, "linear")
        assert values[0] != values[-1]
        assert (np.diff(values) >= 0).all() or (np.diff(values) <= 0).all()


def test_piecewise_goes_through_its_knots():
    rng = stream(3)
    weight = rng.standard_normal(1, dtype=np.float32)
    knots, heights = np.sort(rng.standard_normal(4)), rng.standard_normal(4)
    parents = (knots / weight).astype(np.float32)[:, None]
    np.testing.assert_allclose(piecewise(parents, stream(3), 3, "linear"), heights, atol=1e-4)
    halfway = ((knots[1:] + knots[:-1]) / 2 / weight).astype(np.float32)[:, None]
    np.testing.assert_allclose(
        piecewise(halfway, stream(3), 3, "linear"), (heights[1:] + heights[:-1]) / 2, atol=1e-4
    )


@pytest.mark.parametrize("mechanism", [piecewise, partial(piecewise, kind="step"), periodic])
def test_functions_of_one_projection_are_constant_across_it(mechanism):
    for draw in range(10):
        weights = linear(np.eye(2, dtype=np.float32), stream(draw))
        across = np.array([weights[1], -weights[0]]) / np.hypot(*weights)
        parents = (np.float32([0.3, 0.2]) + GRID[::100] * across).astype(np.float32)
        values = mechanism(parents, stream(draw))
        assert np.ptp(values) < 1e-2
        assert np.ptp(mechanism(GRID[:, [0, 0]], stream(draw))) > 0.1


# periodic


@pytest.mark.parametrize("frequency", [0.7, 3.0])
def test_periodic_has_its_period(frequency):
    for draw in range(20):
        weight = float(linear(np.ones((1, 1), dtype=np.float32), stream(draw))[0])
        period = 2 * np.pi / (frequency * abs(weight))
        values = periodic(GRID, stream(draw), frequency)
        assert_same_values(periodic(GRID + np.float32(period), stream(draw), frequency) * 0.1, values * 0.1)
        assert np.ptp(values[np.abs(GRID[:, 0]) < period]) > 1 or period > 12


def test_periodic_is_a_sine_and_its_overtone():
    rng = stream(4)
    weight = rng.standard_normal(1, dtype=np.float32)
    phase, overtone_phase = rng.random(2, dtype=np.float32) * 2 * np.pi
    share = rng.random(dtype=np.float32)
    angle = 1.3 * weight * GRID[:, 0].astype(float)
    expected = np.sin(angle + phase) + share * np.sin(2 * angle + overtone_phase)
    assert_same_values(periodic(GRID, stream(4), 1.3), expected)


# aggregate


JOINED = {
    "sum": sum,
    "product": lambda values: np.prod(np.tanh(values), axis=0),
    "maximum": lambda values: np.max(values, axis=0),
}


@pytest.mark.parametrize("kind", JOINED)
@pytest.mark.parametrize("num_parents", [2, 5])
def test_aggregate_joins_one_function_of_each_parent(kind, num_parents):
    parents = normal_parents(50, num_parents)
    rng = stream(0)
    each = [mlp(parents[:, [p]], rng) for p in range(num_parents)]
    assert_same_values(aggregate(kind, mlp, parents, stream(0)), JOINED[kind](each))
    assert len({values.tobytes() for values in each}) == num_parents


def interaction(mechanism, draw):
    """The mixed second difference of two parents, against the size of the values."""
    corners = np.float32([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    values = mechanism(corners, stream(draw)).astype(float)
    return abs(values[0] - values[1] - values[2] + values[3]) / (1e-6 + np.abs(values).max())


def test_a_sum_has_no_interactions_and_the_others_have():
    assert max(interaction(partial(aggregate, "sum", mlp), draw) for draw in range(50)) < 1e-5
    for kind in ("product", "maximum"):
        assert np.mean([interaction(partial(aggregate, kind, mlp), draw) > 1e-3 for draw in range(50)]) > 0.6


def test_every_activation_that_can_be_named_is_there():
    assert list(ACTIVATIONS) == list(get_args(Activation))
