"""Interventions of a prior: nodes are moved by what was asked, test rows alone, and nothing else changes."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from priors.config import ConfigError, PriorConfig, with_overrides
from priors.families.classes import CLASS_METHODS
from priors.families.mechanisms import MECHANISMS, drifting, linear, mlp
from priors.families.noise import normal
from priors.sampling.dataset import sample_dataset
from priors.sampling.interventions import moved, sample_shift
from priors.sampling.random_scm import sample_scm
from priors.sampling.scm import SCM
from priors.streams import DATASET, stream

SHIFTED = PriorConfig(shift=1)


# What a node is set to


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.floats(0.1, 3))
def test_real_values_are_moved_by_so_many_deviations_and_come_in_another_order(seed, size):
    values = 3 + 2 * stream(seed, 1).standard_normal(100, dtype=np.float32)
    after = moved(values, False, size, stream(seed))
    distance = np.sort(after) - np.sort(values)
    np.testing.assert_allclose(np.abs(distance), size * values.std(), rtol=1e-3)
    assert np.ptp(distance) < 1e-4
    assert abs(np.corrcoef(values, after)[0, 1]) < 0.5


def test_up_and_down_come_as_often():
    values = normal(50, stream(0))
    signs = [np.sign((moved(values, False, 1, stream(0, i)) - values).mean()) for i in range(400)]
    assert abs(np.mean(signs)) < 0.2


def test_categories_change_their_shares_by_the_exponential_of_their_values():
    values = np.repeat(np.float32([-1, 0, 2]), [5000, 3000, 2000])
    z = (np.array([-1, 0, 2]) - values.mean()) / values.std()
    for draw in range(6):
        after = moved(values, True, 0.8, stream(draw))
        assert set(after.tolist()) <= {-1, 0, 2}
        shares = np.array([np.mean(after == value) for value in (-1, 0, 2)])
        expected = [np.array([5, 3, 2]) * np.exp(sign * 0.8 * z) for sign in (-1, 1)]
        assert min(np.abs(shares - e / e.sum()).max() for e in expected) < 0.02


def test_a_normal_distribution_in_many_categories_moves_by_the_size_too():
    values = np.sort(normal(20_000, stream(0)))
    means = [moved(values, True, 0.7, stream(draw)).mean() for draw in range(20)]
    np.testing.assert_allclose(np.abs(means), 0.7, atol=0.05)


def test_a_node_that_does_not_vary_stays():
    for is_category in (False, True):
        np.testing.assert_array_equal(moved(np.ones(9, np.float32), is_category, 2, stream(0)), np.ones(9))


def test_so_many_nodes_are_drawn_each_as_often():
    values = {node: normal(20, stream(1, ord(node))) for node in "abcd"}
    drawn = [sample_shift(values, {"b"}, 2, 1, stream(0, i)) for i in range(300)]
    assert {len(do) for do in drawn} == {2}
    counts = [sum(node in do for do in drawn) for node in "abcd"]
    assert max(abs(count - 150) for count in counts) < 45
    assert all(set(do["b"].tolist()) <= set(values["b"].tolist()) for do in drawn if "b" in do)
    assert len(sample_shift(values, set(), 9, 1, stream(0))) == 4


# Test rows under an intervention


def pairs(config, count=40):
    """The datasets of `config` and of the same without a shift, where neither was drawn twice."""
    for index in range(count):
        plain = sample_dataset(replace(config, shift=0), stream(0, DATASET, index), 75)
        shifted = sample_dataset(config, stream(0, DATASET, index), 75)
        if plain.properties["attempts"] == shifted.properties["attempts"] == 1:
            yield plain, shifted


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"problem_type": "regression"},
        {"categorical_fraction": (0.5, 0.5), "warp_fraction": (0.5, 0.5), "quantized_fraction": (0.5, 0.5)},
        {"coherence": "shared", "noise_kinds": {"heteroscedastic": 1}, "label_noise": (0.2, 0.2)},
        {"problem_type": "regression", "label_noise": (0.2, 0.2), "outlier_fraction": (0.1, 0.1)},
        {"missing_fraction": (0.2, 0.2), "categorical_fraction": (0.3, 0.3)},
        {"duplicate_fraction": (0.3, 0.3), "label_noise": (0.2, 0.2)},
        {"grouped_fraction": (0.7, 0.7)},
        *({"class_methods": {method: 1}} for method in CLASS_METHODS),
    ],
)
def test_training_rows_are_those_without_a_shift(fields):
    found, moved_tests = 0, 0
    for plain, shifted in pairs(replace(SHIFTED, **fields)):
        assert shifted.properties["num_shifted_nodes"] == 1
        assert 0.5 <= shifted.properties["shift_size"] <= 2
        np.testing.assert_array_equal(shifted.x[:75], plain.x[:75])
        np.testing.assert_array_equal(shifted.y[:75], plain.y[:75])
        found += 1
        moved_tests += (shifted.x[75:] != plain.x[75:]).any() or (shifted.y[75:] != plain.y[75:]).any()
    assert found > 20
    assert moved_tests > 0.9 * found


def test_a_shift_comes_as_often_as_asked():
    config = replace(SHIFTED, shift=0.3, shift_nodes=(2, 3))
    nodes = [
        sample_dataset(config, stream(0, DATASET, i)).properties["num_shifted_nodes"] for i in range(200)
    ]
    assert abs(np.mean(np.array(nodes) > 0) - 0.3) < 0.1
    assert set(nodes) == {0, 2, 3}
    assert "shift_size" not in sample_dataset(PriorConfig(), stream(0)).properties


def test_far_more_than_chance_of_test_rows_lie_outside_of_the_training_rows():
    def outside(config):
        shares = []
        for index in range(60):
            x = sample_dataset(config, stream(0, DATASET, index), 75).x
            shares.append(((x[75:] < x[:75].min(axis=0)) | (x[75:] > x[:75].max(axis=0))).mean())
        return np.mean(shares)

    assert outside(replace(SHIFTED, shift_size=(3, 3), shift_nodes=(3, 3))) > 4 * outside(PriorConfig())


def test_the_target_is_never_set_itself():
    """A root that is the target has the same distribution in the test rows, whatever else is set."""
    graph = {"nodes": {"y": {"role": "target"}, "a": {}, "b": {}}, "edges": [("y", "a"), ("a", "b")]}
    config = replace(SHIFTED, graph=graph, problem_type="regression", shift_nodes=(3, 3), shift_size=(2, 2))
    for plain, shifted in pairs(config, 10):
        np.testing.assert_array_equal(shifted.y, plain.y)
        assert shifted.properties["num_shifted_nodes"] == 2
        correlations = [np.corrcoef(column[75:], shifted.y[75:])[0, 1] for column in shifted.x.T]
        assert np.abs(correlations).max() < 0.5  # cut off from their cause


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shift": 1.5}, "shift: input should be less than or equal to 1, got 1.5 (such as shift=0.3)"),
        ({"shift_nodes": (0, 1)}, "shift_nodes: needs at least 1 node, got (0, 1)"),
        ({"shift_size": (0, 1)}, "shift_size.0: input should be greater than 0, got 0 (such as shift_size=2"),
        (
            {"drift_fraction": (0, 2)},
            "drift_fraction.1: input should be less than or equal to 1, got 2 (such",
        ),
    ],
)
def test_shifts_that_cannot_be_are_refused(fields, message):
    with pytest.raises(ConfigError) as refused:
        with_overrides(PriorConfig(), fields)
    assert str(refused.value).startswith(message)


# Mechanisms that drift


def test_linear_functions_drift_to_the_linear_function_of_the_turned_weights():
    parents = stream(0).standard_normal((101, 3), dtype=np.float32)
    rng = stream(1)
    first, last = (linear(np.eye(3, dtype=np.float32), rng) for _ in range(2))
    angle = np.linspace(0, np.pi / 2, 101)[:, None]
    expected = (parents * (np.cos(angle) * first + np.sin(angle) * last)).sum(axis=1)
    np.testing.assert_allclose(drifting(linear, parents, stream(1)), expected, atol=1e-5)


@pytest.mark.parametrize("name", MECHANISMS)
def test_drift_begins_with_one_draw_and_ends_with_the_next(name):
    parents = stream(0).standard_normal((200, 2), dtype=np.float32)
    parents[-1] = parents[0]
    rng = stream(1)
    first, last = MECHANISMS[name](parents, rng), MECHANISMS[name](parents, rng)
    values = drifting(MECHANISMS[name], parents, stream(1))
    assert values.shape == (200,)
    assert values.dtype == np.float32
    np.testing.assert_allclose([values[0], values[-1]], [first[0], last[-1]], atol=1e-5)


def test_the_variance_over_draws_is_the_same_in_every_row():
    parents = np.tile(np.float32([[0.5, -1]]), (50, 1))
    values = np.stack([drifting(mlp, parents, stream(draw)) for draw in range(3000)])
    np.testing.assert_allclose(values.std(axis=0) / values[:, 0].std(), 1, atol=0.12)


def test_so_many_mechanisms_drift_and_what_is_given_does_not():
    graph = nx.path_graph(400, create_using=nx.DiGraph)
    scm, _, _ = sample_scm(PriorConfig(drift_fraction=(0.3, 0.3)), graph, stream(0), mechanisms={7: linear})
    drifts = {node for node, mechanism in scm.mechanisms.items() if getattr(mechanism, "func", 0) is drifting}
    assert 90 < len(drifts) < 150
    plain, _, _ = sample_scm(PriorConfig(), graph, stream(0))
    for node in set(scm.mechanisms) - {7}:
        mechanism = scm.mechanisms[node].args[0] if node in drifts else scm.mechanisms[node]
        assert getattr(mechanism, "func", mechanism) is getattr(
            plain.mechanisms[node], "func", plain.mechanisms[node]
        )
    always, _, _ = sample_scm(PriorConfig(drift_fraction=(1, 1)), graph, stream(0), mechanisms={7: linear})
    assert always.mechanisms[7] is linear
    assert {mechanism.func for node, mechanism in always.mechanisms.items() if node != 7} == {drifting}


def test_what_holds_in_the_first_rows_fails_in_the_last_ones_under_drift():
    def last_error(config):
        """Test error of least squares on the first 75 of 300 rows, in its last 75."""
        errors = []
        for index in range(40):
            x, y, *_ = sample_dataset(config, stream(0, DATASET, index), 75)
            weights = np.linalg.lstsq(np.column_stack([x[:75], np.ones(75)]), y[:75], rcond=None)[0]
            errors.append(np.mean((np.column_stack([x[-75:], np.ones(75)]) @ weights - y[-75:]) ** 2))
        return np.median(errors)

    config = PriorConfig(mechanisms={"linear": 1}, problem_type="regression", num_datapoints=300)
    assert last_error(replace(config, drift_fraction=(1, 1))) > 1.5 * last_error(config)
    half = replace(config, drift_fraction=(0.5, 0.5))
    drawn = [sample_dataset(half, stream(0, DATASET, index)).properties for index in range(20)]
    shares = [properties["num_drifting_nodes"] / properties["num_nodes"] for properties in drawn]
    assert 0.2 < np.mean(shares) < 0.5  # of the nodes, some of which are roots
    assert "num_drifting_nodes" not in sample_dataset(config, stream(0)).properties


def test_a_drifting_model_has_counterfactuals_too():
    graph = nx.DiGraph([("a", "b"), ("c", "b")])
    scm, _, _ = sample_scm(PriorConfig(drift_fraction=(1, 1)), graph, stream(0))
    seen = scm.sample(60, stream(1))
    half = np.where(np.arange(60) % 2, seen["a"], 3)
    done = scm.sample(60, stream(1), do={"a": half})
    np.testing.assert_allclose(done["b"][1::2], seen["b"][1::2], atol=1e-5)
    assert (done["b"][::2] != seen["b"][::2]).any()
    assert isinstance(scm, SCM)
