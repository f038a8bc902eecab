"""SCM: known equations give the known distribution, seen and set; each node has draws of its own."""

import networkx as nx
import numpy as np
import pytest

from priors.families.graphs import ancestral_order
from priors.families.mechanisms import MECHANISMS, linear
from priors.families.noise import multiplicative, normal, uniform
from priors.sampling.scm import SCM, all_finite, standardized
from priors.streams import split, stream


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


def test_linear_equations_give_the_known_covariance():
    names = ["smoking", "tar", "cancer"]
    values = known_model().sample(200_000, stream(0))
    table = np.stack([values[name] for name in names], axis=1).astype(float)  # (R, V)
    effects = np.array([[0, 0, 0], [0.8, 0, 0], [-0.5, 2, 0]])  # of column on row
    mixing = np.linalg.inv(np.eye(3) - effects)
    expected = mixing @ np.diag([1, 0.5**2, 0.3**2]) @ mixing.T
    np.testing.assert_allclose(np.cov(table.T), expected, atol=0.03)
    assert np.abs(table.mean(axis=0)).max() < 0.02


def test_without_noise_a_node_is_its_mechanism_exactly():
    model = known_model()
    noises = {"smoking": normal}
    values = SCM(model.graph, model.mechanisms, noises).sample(50, stream(0))
    np.testing.assert_allclose(values["tar"], 0.8 * values["smoking"], rtol=1e-6)
    expected = 2 * values["tar"] - 0.5 * values["smoking"]
    np.testing.assert_allclose(values["cancer"], expected, rtol=1e-5, atol=1e-6)


def test_values_are_float32_one_a_row():
    for values in random_model().sample(7, stream(0)).values():
        assert values.shape == (7,)
        assert values.dtype == np.float32


def test_float64_mechanisms_and_noises_are_welcome():
    graph = nx.DiGraph([("a", "b")])
    model = SCM(
        graph,
        {"b": lambda parents, rng: parents[:, 0].astype(float) * 3},
        {"a": lambda num_datapoints, rng: rng.normal(size=num_datapoints)},
    )
    assert [values.dtype for values in model.sample(5, stream(0)).values()] == [np.float32, np.float32]


def test_the_generator_determines_the_values():
    assert_equal_values(random_model().sample(30, stream(0)), random_model().sample(30, stream(0)))
    first, second = (random_model().sample(30, stream(seed)) for seed in (0, 1))
    assert all((first[node] != second[node]).any() for node in first)


@pytest.mark.parametrize("wanted", [[19], [3, 11], [0], []])
def test_only_wanted_nodes_and_their_ancestors_are_computed_and_have_the_same_values(wanted):
    model = random_model()
    everything = model.sample(30, stream(0))
    ancestors = set(wanted).union(*(nx.ancestors(model.graph, node) for node in wanted))
    assert len(everything) == 20
    assert_equal_values(
        model.sample(30, stream(0), nodes=wanted), {node: everything[node] for node in ancestors}
    )


def test_mechanisms_of_nodes_that_are_not_needed_are_not_called():
    def refuse(parents, rng):
        raise AssertionError("not to be called")

    model = known_model()
    spoilt = SCM(model.graph, {**model.mechanisms, "cancer": refuse}, model.noises)
    assert set(spoilt.sample(5, stream(0), nodes=iter(["tar"]))) == {"smoking", "tar"}


@pytest.mark.parametrize("changed", [node for node in random_model().mechanisms if node < 12])
def test_another_mechanism_for_one_node_changes_it_and_its_descendants_alone(changed):
    def greedy(parents, rng):
        rng.standard_normal(1000)
        return parents[:, 0] ** 2

    model = random_model()
    before = model.sample(30, stream(0))
    after = SCM(model.graph, {**model.mechanisms, changed: greedy}, model.noises, standardize=True).sample(
        30, stream(0)
    )
    moved = {node for node in before if (before[node] != after[node]).any()}
    descendants = nx.descendants(model.graph, changed)
    assert changed in moved
    assert moved <= descendants | {changed}
    assert set(model.graph.successors(changed)) <= moved


def test_another_noise_for_one_node_leaves_all_but_its_descendants():
    model = random_model()
    before = model.sample(30, stream(0))
    root = next(node for node in model.graph if model.graph.out_degree(node) and node not in model.mechanisms)
    after = SCM(model.graph, model.mechanisms, {**model.noises, root: uniform}, standardize=True).sample(
        30, stream(0)
    )
    moved = {node for node in before if (before[node] != after[node]).any()}
    assert moved == nx.descendants(model.graph, root) | {root}


def test_roots_are_independent():
    graph = nx.DiGraph()
    graph.add_nodes_from("abc")
    values = SCM(graph, {}, dict.fromkeys("abc", normal)).sample(20_000, stream(0))
    correlations = np.corrcoef([values[name] for name in "abc"])[np.triu_indices(3, 1)]
    assert np.abs(correlations).max() < 5 / 20_000**0.5


def test_standardize_brings_signals_to_mean_0_and_variance_1_before_the_noise():
    graph = nx.DiGraph([("a", "b"), ("a", "c")])
    mechanisms = {name: lambda parents, rng: 1000 * parents[:, 0] ** 3 + 77 for name in "bc"}
    noises = {"a": normal, "c": scaled(normal, 0.5)}
    values = SCM(graph, mechanisms, noises, standardize=True).sample(50_000, stream(0))
    assert abs(values["b"].mean(dtype=float)) < 1e-4
    assert abs(values["b"].var(dtype=float) - 1) < 1e-4
    noise = values["c"] - values["b"]
    assert abs(noise.mean(dtype=float)) < 0.015
    assert abs(noise.std(dtype=float) - 0.5) < 0.01


def test_standardize_turns_a_constant_into_zeros():
    for constant in (0, 5, -1e4, 1.1, 12345.678):
        values = standardized(np.full(150, constant, dtype=np.float32))
        np.testing.assert_array_equal(values, np.zeros(150))
    np.testing.assert_array_equal(standardized(np.float32([3])), [0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_standardize_does_not_hide_a_value_that_is_not_finite(bad):
    with np.errstate(all="ignore"):
        assert not np.isfinite(standardized(np.float32([1, 2, bad]))).all()


def test_parents_come_in_the_order_of_predecessors():
    model = known_model()
    assert list(model.graph.predecessors("cancer")) == ["tar", "smoking"]
    seen = []
    recorded = {**model.mechanisms, "cancer": lambda parents, rng: seen.append(parents) or parents[:, 0]}
    values = SCM(model.graph, recorded, model.noises).sample(9, stream(0))
    np.testing.assert_array_equal(seen[0], np.stack([values["tar"], values["smoking"]], axis=1))
    assert seen[0].dtype == np.float32


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_all_finite_is_told_even_where_the_sum_is_not():
    largest = np.finfo(np.float32).max
    assert all_finite(np.float32([1, -2]))
    assert all_finite(np.float32([[largest, largest], [0, 1]]))
    for bad in (np.inf, -np.inf, np.nan):
        assert not all_finite(np.float32([1, bad]))
    assert not all_finite(np.float32([[np.inf, 0], [0, -np.inf]]))


def test_ancestral_order_puts_parents_first_once_each():
    model = random_model()
    graph, backwards = model.graph, {node: [*model.graph.predecessors(node)] for node in range(19, -1, -1)}
    for order in (model.order, ancestral_order(backwards)):
        assert sorted(order) == list(range(20))
        assert all(order.index(cause) < order.index(effect) for cause, effect in graph.edges)


def test_only_wanted_nodes_and_their_ancestors_are_computed():
    model = random_model()
    graph = model.graph
    values = model.sample(5, stream(0), nodes=[19, 7, 19])
    assert set(values) == {19, 7} | nx.ancestors(graph, 19) | nx.ancestors(graph, 7)


def test_a_long_chain_is_no_problem():
    graph = nx.path_graph(3000, create_using=nx.DiGraph)
    model = SCM(graph, dict.fromkeys(range(1, 3000), weighted(1)), {0: normal})
    values = model.sample(2, stream(0))
    np.testing.assert_array_equal(values[2999], values[0])


def test_a_node_draws_from_the_stream_of_its_place():
    graph = nx.DiGraph()
    graph.add_nodes_from(["first", "second"])
    values = SCM(graph, {}, {"first": normal, "second": uniform}).sample(5, stream(0))
    streams = split(stream(0), 2)
    np.testing.assert_array_equal(values["first"], normal(5, streams[0]))
    np.testing.assert_array_equal(values["second"], uniform(5, streams[1]))


@pytest.mark.parametrize(
    ("edges", "mechanisms", "noises", "message"),
    [
        ([], {}, {}, "no nodes"),
        (
            [("a", "b"), ("b", "c"), ("c", "b")],
            {"b": linear, "c": linear},
            {"a": normal},
            "cycle, got ('b' -> 'c' -> 'b'|'c' -> 'b' -> 'c')$",
        ),
        ([("a", "a")], {"a": linear}, {}, "cycle, got 'a' -> 'a'$"),
        ([("a", "b")], {}, {"a": normal}, "'b' has parents but no mechanism"),
        ([("a", "b")], {"b": linear}, {"b": normal}, "root 'a' has no noise"),
        ([("a", "b")], {"b": linear, "z": linear}, {"a": normal}, r"mechanisms .*not in the graph.*'z'"),
        ([("a", "b")], {"b": linear}, {"a": normal, "q": normal}, r"noises .*not in the graph.*'q'"),
    ],
)
def test_incomplete_models_are_refused_by_name(edges, mechanisms, noises, message):
    with pytest.raises(ValueError, match=message):
        SCM(nx.DiGraph(edges), mechanisms, noises)


@pytest.mark.parametrize("num_datapoints", [0, -1])
def test_too_few_datapoints_are_refused(num_datapoints):
    with pytest.raises(ValueError, match=f"num_datapoints must be at least 1, got {num_datapoints}"):
        known_model().sample(num_datapoints, stream(0))


def test_unknown_wanted_nodes_are_refused_by_name():
    with pytest.raises(ValueError, match="'lungs' is not in the graph"):
        known_model().sample(5, stream(0), nodes=["tar", "lungs"])


def test_undirected_graphs_are_refused():
    with pytest.raises(ValueError, match="graph must be directed"):
        SCM(nx.Graph([("a", "b")]), {"b": linear}, {"a": normal})


@pytest.mark.parametrize("field", ["noise_kinds", "converters"])
def test_noise_kinds_and_converters_of_unknown_nodes_are_refused(field):
    model = known_model()
    with pytest.raises(ValueError, match=rf"{field} given for nodes that are not in the graph: \['lungs'\]"):
        SCM(model.graph, model.mechanisms, model.noises, **{field: {"lungs": lambda *arguments: arguments}})


@pytest.mark.parametrize("shape", [(5, 1), (4,), ()])
def test_mechanisms_of_the_wrong_shape_are_refused_by_node(shape):
    model = known_model()
    mechanisms = {**model.mechanisms, "tar": lambda parents, rng: np.zeros(shape, np.float32)}
    with pytest.raises(ValueError, match=r"the mechanism of node 'tar' must return \(5,\), got \("):
        SCM(model.graph, mechanisms, model.noises).sample(5, stream(0))


def test_truth_values_and_integers_can_be_standardized():
    graph = nx.DiGraph([("a", "b"), ("a", "c")])
    mechanisms = {
        "b": lambda parents, rng: parents[:, 0] > 0,
        "c": lambda parents, rng: (10 * parents[:, 0]).astype(int),
    }
    values = SCM(graph, mechanisms, {"a": normal}, standardize=True).sample(1000, stream(0))
    assert len(np.unique(values["b"])) == 2
    for name in "bc":
        assert abs(values[name].mean(dtype=float)) < 1e-5
        assert abs(values[name].var(dtype=float) - 1) < 1e-4


# Ways of noise, and categories


def test_a_node_s_noise_joins_it_in_its_own_way():
    graph = nx.DiGraph([("a", "b"), ("a", "c")])
    model = SCM(
        graph,
        dict.fromkeys("bc", weighted(3)),
        dict.fromkeys("abc", normal),
        noise_kinds={"c": multiplicative},
    )
    values = model.sample(50, stream(0))
    streams = dict(zip("abc", split(stream(0), 3), strict=True))
    noise = {name: normal(50, streams[name]) for name in "abc"}
    np.testing.assert_allclose(values["b"], 3 * noise["a"] + noise["b"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(values["c"], 3 * noise["a"] * (1 + noise["c"]), rtol=1e-5, atol=1e-6)


def test_children_read_the_category_and_not_what_it_was_made_of():
    graph = nx.DiGraph([("a", "b"), ("b", "c")])
    noises = {"a": normal, "b": scaled(normal, 0.1)}
    converters = {
        "a": lambda values, rng: np.sign(values),
        "b": lambda values, rng: np.rint(values),  # the last step: after the noise
    }
    model = SCM(graph, {"b": weighted(2), "c": weighted(5)}, noises, converters=converters)
    values = model.sample(200, stream(0))
    assert set(values["a"].tolist()) == {-1, 1}
    np.testing.assert_array_equal(values["b"], 2 * values["a"])
    np.testing.assert_array_equal(values["c"], 5 * values["b"])


def test_a_converter_leaves_the_draws_of_all_other_nodes_and_its_own_noise():
    model = random_model()
    before = model.sample(30, stream(0))
    seen = []

    def greedy(values, rng):
        seen.append(values.copy())
        rng.standard_normal(100)
        return np.sign(values)

    changed = next(node for node in model.graph if model.graph.pred[node] and model.graph.succ[node])
    after = SCM(
        model.graph, model.mechanisms, model.noises, converters={changed: greedy}, standardize=True
    ).sample(30, stream(0))
    np.testing.assert_array_equal(seen[0], before[changed])
    np.testing.assert_array_equal(after[changed], np.sign(before[changed]))
    moved = {node for node in before if (before[node] != after[node]).any()}
    assert moved <= nx.descendants(model.graph, changed) | {changed}


def test_ancestral_order_finds_a_cycle_and_no_diamond():
    diamonds = nx.DiGraph([(0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (0, 4), (1, 4), (5, 2), (0, 5)])
    order = ancestral_order({node: [*diamonds.predecessors(node)] for node in diamonds})
    assert sorted(order) == list(range(6))
    assert all(order.index(cause) < order.index(effect) for cause, effect in diamonds.edges)
    for draw in range(50):
        rng = stream(draw)
        graph = nx.gnp_random_graph(8, 0.15, seed=rng, directed=True)
        parents_of = {node: [*graph.predecessors(node)] for node in graph}
        if nx.is_directed_acyclic_graph(graph):
            assert sorted(ancestral_order(parents_of)) == list(range(8))
        else:
            with pytest.raises(ValueError, match="must not have a cycle"):
                ancestral_order(parents_of)


def test_after_an_error_a_node_is_still_not_computed():
    graph = nx.DiGraph([("cause", "effect")])
    scm = SCM(graph, {"effect": lambda parents, rng: parents[:3, 0]}, {"cause": normal})
    sample = scm.draw(9, stream(0))
    for _ in range(2):
        with pytest.raises(ValueError, match="the mechanism of node 'effect' must return"):
            sample.values("effect")
