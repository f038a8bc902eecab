"""Interventions on an SCM: known formulas, and counterfactuals that differ downstream alone."""

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from priors.families.mechanisms import MECHANISMS
from priors.families.noise import normal, uniform
from priors.sampling.scm import SCM
from priors.streams import stream


def scaled(noise, scale):
    return lambda num_datapoints, rng: np.float32(scale) * noise(num_datapoints, rng)


def weighted(*weights):
    return lambda parents, rng: parents @ np.float32(weights)


def known_model():
    """smoking -> tar -> cancer, smoking -> cancer: linear, with one parent listed before its own cause."""
    graph = nx.DiGraph([("tar", "cancer"), ("smoking", "cancer"), ("smoking", "tar")])
    mechanisms = {"tar": weighted(0.8), "cancer": weighted(2, -0.5)}
    noises = {"smoking": normal, "tar": scaled(normal, 0.5), "cancer": scaled(uniform, 0.3)}
    return SCM(graph, mechanisms, noises)


def random_model(num_nodes=20, seed=0):
    """Every node has up to three parents, a mechanism drawn from the families, and noise."""
    rng = stream(seed)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(num_nodes))
    for node in range(1, num_nodes):
        parents = rng.choice(node, size=min(node, int(rng.integers(0, 4))), replace=False)
        graph.add_edges_from((int(parent), node) for parent in parents)
    families = list(MECHANISMS.values())
    mechanisms = {node: families[rng.integers(len(families))] for node in graph if graph.in_degree(node) > 0}
    noises = {node: scaled(normal, 0.1) if node in mechanisms else normal for node in graph}
    return SCM(graph, mechanisms, noises, standardize=True)


def assert_equal_values(values, expected):
    assert values.keys() == expected.keys()
    for node in values:
        np.testing.assert_array_equal(values[node], expected[node])


# Interventions


def linear_model(seed=0, num_nodes=8, noise_scale=1.0):
    """A random linear Gaussian model, its direct effects (of column on row), its noise deviations."""
    rng = stream(seed)
    effects = np.tril(
        rng.normal(size=(num_nodes, num_nodes)) * (rng.random((num_nodes, num_nodes)) < 0.5), -1
    )
    deviations = noise_scale * rng.uniform(0.5, 1.5, num_nodes)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(num_nodes))
    graph.add_edges_from((int(cause), int(effect)) for effect, cause in np.argwhere(effects))
    mechanisms = {
        node: weighted(*(effects[node, parent] for parent in graph.predecessors(node)))
        for node in graph
        if graph.in_degree(node)
    }
    noises = {node: scaled(normal, deviations[node]) for node in graph}
    return SCM(graph, mechanisms, noises), effects, deviations


def moments(effects, deviations, do_means=None, do_deviations=None):
    """Mean and covariance of a linear Gaussian model, some of whose nodes are set to independent normals."""
    effects, deviations, means = effects.copy(), deviations.copy(), np.zeros(len(effects))
    for node, mean in (do_means or {}).items():
        effects[node], means[node], deviations[node] = 0, mean, (do_deviations or {}).get(node, 0)
    mixing = np.linalg.inv(np.eye(len(effects)) - effects)
    return mixing @ means, mixing @ np.diag(deviations**2) @ mixing.T


def assert_moments(values, mean, covariance):
    table = np.stack([values[node] for node in sorted(values)], axis=1).astype(float)  # (R, V)
    deviations = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(table.mean(axis=0), mean, atol=0.02 * (1 + deviations.max()))
    size = np.outer(deviations, deviations) + 0.1
    assert (np.abs(np.cov(table.T) - covariance) / size).max() < 0.02


@pytest.mark.parametrize("seed", range(3))
def test_linear_models_have_the_moments_of_their_formulas_seen_and_set(seed):
    model, effects, deviations = linear_model(seed)
    assert_moments(model.sample(60_000, stream(seed, 1)), *moments(effects, deviations))

    constant = model.sample(60_000, stream(seed, 1), do={2: 1.5, 4: -1})
    assert_moments(constant, *moments(effects, deviations, {2: 1.5, 4: -1}))

    drawn = model.sample(60_000, stream(seed, 1), do={3: lambda n, rng: rng.normal(2, 0.7, n)})
    assert_moments(drawn, *moments(effects, deviations, {3: 2}, {3: 0.7}))


@pytest.mark.parametrize("seed", range(5))
def test_a_total_effect_is_the_sum_over_all_paths_and_exact_in_every_row(seed):
    model, effects, _ = linear_model(seed)
    low, high = (model.sample(50, stream(9), do={1: value}) for value in (-1, 2))
    for node in model.graph:
        paths = [[1]] if node == 1 else nx.all_simple_paths(model.graph, 1, node)
        products = [np.prod([effects[b, a] for a, b in pairwise(path)]) for path in paths]
        np.testing.assert_allclose(high[node] - low[node], 3 * sum(products), atol=1e-4)


def test_seeing_is_not_doing():
    """smoking -> tar -> cancer, smoking -> cancer: a regression on tar alone has the confounding in it."""
    model = known_model()
    seen = model.sample(100_000, stream(0))
    slope = np.polyfit(seen["tar"].astype(float), seen["cancer"].astype(float), 1)[0]
    low, high = (model.sample(100, stream(0), do={"tar": value})["cancer"] for value in (0, 1))
    np.testing.assert_allclose(high - low, 2, rtol=1e-5)
    assert abs(slope - (2 - 0.5 * 0.8 / (0.8**2 + 0.5**2))) < 0.02


@settings(max_examples=60)
@given(st.integers(0, 1000), st.booleans(), st.data())
def test_worlds_with_and_without_an_intervention_differ_downstream_of_it_alone(seed, standardize, data):
    drawn = random_model(seed=seed)
    ranks = {
        11: lambda values, rng, reference: np.searchsorted(np.sort(reference), values).astype(np.float32)
    }
    converters = {13: lambda values, rng: np.rint(values + rng.random(len(values))), **ranks}
    model = SCM(drawn.graph, drawn.mechanisms, drawn.noises, {}, converters, frozenset([11]), standardize)
    nodes = data.draw(st.sets(st.integers(0, 19), min_size=1, max_size=3))
    numbers = st.floats(-3, 3, width=32)
    seen = model.sample(30, stream(seed))
    do = {
        node: float(seen[node][0]) if node in converters else data.draw(numbers | st.just(normal))
        for node in nodes
    }
    done = model.sample(30, stream(seed), do=do)
    downstream = nodes.union(*(nx.descendants(model.graph, node) for node in nodes))
    for node in set(model.graph) - downstream:
        np.testing.assert_array_equal(done[node], seen[node])
    for node in nodes:
        if do[node] is not normal:
            np.testing.assert_array_equal(done[node], np.full(30, do[node], np.float32))
    assert_equal_values(model.sample(30, stream(seed), do={}), seen)


@pytest.mark.parametrize("node", [0, 3, 7, 12])
def test_setting_a_node_to_what_it_is_changes_nothing(node):
    """Also where mechanisms are standardized: the constants of a function are those of the world seen."""
    model = random_model()
    seen = model.sample(30, stream(0))
    assert_equal_values(model.sample(30, stream(0), do={node: seen[node]}), seen)
    half = np.where(np.arange(30) < 15, seen[node], 5)
    done = model.sample(30, stream(0), do={node: half})
    for other in set(model.graph) - {node}:
        np.testing.assert_allclose(done[other][:15], seen[other][:15], rtol=1e-6, atol=1e-6)


def test_standardized_functions_stay_the_functions_that_they_are():
    graph = nx.DiGraph([("a", "b"), ("b", "c")])
    mechanisms = {
        "b": lambda parents, rng: 3 * parents[:, 0] + 7,
        "c": lambda parents, rng: parents[:, 0] ** 2,
    }
    model = SCM(graph, mechanisms, {"a": normal}, standardize=True)
    seen = model.sample(500, stream(0))
    mean, deviation = seen["a"].mean(), seen["a"].std()
    for value in (-2, 0, 4):
        done = model.sample(500, stream(0), do={"a": value})
        np.testing.assert_allclose(
            done["b"], (value - mean) / deviation, rtol=1e-4
        )  # a line through (mean, 0)
        square = ((value - mean) / deviation) ** 2
        np.testing.assert_allclose(done["c"], (square - 1) / np.std(seen["b"] ** 2), rtol=1e-4, atol=1e-5)


def test_a_function_that_was_constant_where_it_was_seen_stays_constant():
    graph = nx.DiGraph([("a", "b")])
    model = SCM(
        graph, {"b": lambda parents, rng: np.maximum(parents[:, 0], 100)}, {"a": normal}, standardize=True
    )
    np.testing.assert_array_equal(model.sample(20, stream(0), do={"a": 1000})["b"], np.zeros(20))


def test_relative_converters_take_their_cuts_from_the_world_seen():
    graph = nx.DiGraph([("a", "b")])

    def above_median(values, rng, reference):
        return (values > np.median(reference)).astype(np.float32)

    model = SCM(
        graph, {"b": weighted(1)}, {"a": normal}, converters={"b": above_median}, relative=frozenset("b")
    )
    seen = model.sample(100, stream(0))
    assert seen["b"].sum() == 50
    assert model.sample(100, stream(0), do={"a": 10})["b"].sum() == 100
    one_row = np.where(np.arange(100) == 3, -10, seen["a"])
    done = model.sample(100, stream(0), do={"a": one_row})["b"]
    np.testing.assert_array_equal(np.delete(done, 3), np.delete(seen["b"], 3))
    assert done[3] == 0


def test_a_distribution_is_independent_of_what_the_node_would_have_been():
    graph = nx.DiGraph([("a", "b")])
    model = SCM(graph, {"b": weighted(1)}, {"a": normal, "b": normal})
    seen, done = (
        model.sample(20_000, stream(0)),
        model.sample(20_000, stream(0), do={"a": normal, "b": normal}),
    )
    table = np.stack([seen["a"], seen["b"] - seen["a"], done["a"], done["b"]])
    assert np.abs(np.corrcoef(table)[np.triu_indices(4, 1)]).max() < 5 / 20_000**0.5
    alone = model.sample(20_000, stream(0), do={"a": normal})
    np.testing.assert_array_equal(alone["a"], done["a"])  # whatever else is set


def test_wanted_nodes_alone_are_computed_in_a_world_with_an_intervention_too():
    model = random_model()
    everything = model.sample(30, stream(0), do={3: 1.0, 5: normal})
    some = model.sample(30, stream(0), nodes=[11], do={3: 1.0, 5: normal})
    assert set(some) == nx.ancestors(model.graph, 11) | {11}
    assert_equal_values(some, {node: everything[node] for node in some})


@pytest.mark.parametrize(
    ("do", "message"),
    [
        ({"lungs": 1}, "do: node 'lungs' is not in the graph"),
        ({"tar": np.zeros(4)}, r"do: node 'tar' must be set to a number or to \(5,\) numbers"),
        ({"tar": "high"}, "do: node 'tar' must be set to a number .* got 'high'"),
        ({"tar": None}, "do: node 'tar' must be set to a number .* got None"),
        ({"tar": np.nan}, "do: node 'tar' must be set to finite numbers, got nan"),
        ({"tar": lambda num_datapoints, rng: np.zeros((num_datapoints, 1))}, r"gives float64 \(5, 1\)"),
    ],
)
def test_interventions_that_cannot_be_are_refused_by_node(do, message):
    with pytest.raises(ValueError, match=message):
        known_model().sample(5, stream(0), do=do)


def test_a_category_can_be_set_to_its_own_values_alone():
    graph = nx.DiGraph([("grade", "salary")])
    model = SCM(
        graph,
        {"salary": lambda parents, rng: parents[:, 0]},
        {"grade": normal},
        converters={"grade": lambda values, rng: np.where(values > 0, 1.5, 0.25)},
    )
    assert set(model.sample(50, stream(0), do={"grade": 1.5})["salary"]) == {1.5}
    mixed = np.resize([0.25, 1.5], 50)
    np.testing.assert_array_equal(model.sample(50, stream(0), do={"grade": mixed})["salary"], mixed)
    message = r"do: node 'grade' is a category .* one of its values in these rows, 0.25, 1.5, got 2.0"
    for value in (2, np.full(50, 2), lambda num_datapoints, rng: np.full(num_datapoints, 2)):
        with pytest.raises(ValueError, match=message):
            model.sample(50, stream(0), do={"grade": value})


def test_relative_nodes_need_a_converter():
    model = known_model()
    with pytest.raises(ValueError, match=r"relative nodes without a converter: \['tar'\]"):
        SCM(model.graph, model.mechanisms, model.noises, relative=frozenset(["tar"]))


@pytest.mark.parametrize("seed", range(4))
def test_an_intervention_on_a_counterfactual_is_added_to_its_own(seed):
    scm = random_model(seed=seed)
    sample = scm.draw(30, stream(seed))
    one, other = {12: np.full(30, 0.5)}, {5: np.arange(30.0)}
    both, at_once = sample.under(one).under(other), sample.under(one | other)
    for node in scm.nodes:
        np.testing.assert_array_equal(both.values(node), at_once.values(node))
    again = sample.under(one).under({12: np.zeros(30)})
    np.testing.assert_array_equal(again.values(12), np.zeros(30))
