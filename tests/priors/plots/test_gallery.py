"""Pictures of a prior: they show the datasets that a dump would hold; layouts keep causes to the left."""

from dataclasses import replace
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from tiny_prior import TINY

from priors.config import PriorConfig
from priors.families.graphs import GRAPHS
from priors.families.mechanisms import MECHANISMS
from priors.generation.generate import generate
from priors.graph_layout import layered_layout
from priors.own_graph import OwnGraph
from priors.plots.datasets import plot_datasets
from priors.plots.graphs import plot_graphs
from priors.plots.mechanisms import mechanism_values, plot_mechanisms
from priors.plots.sampled_datasets import sample_datasets
from priors.streams import stream

CREDIT = PriorConfig(
    num_datapoints=20,
    train_fraction=(0.4, 0.6),
    graph=OwnGraph(
        nodes={"age": {}, "thrift": {"role": "hidden"}, "income": {}, "default": {"role": "target"}},
        edges=[("age", "income"), ("income", "default"), ("thrift", "default")],
    ),
)


# ------------------------------------------------------------------------------------------------- draws


def test_what_is_drawn_is_what_a_dump_would_hold():
    config = replace(TINY, num_features=(2, 4), graphs=dict.fromkeys(GRAPHS, 1))
    written = list(generate(config, 12, seed=3))
    for sampled in sample_datasets(config, 3, seed=3):
        expected = written[sampled.index]
        np.testing.assert_array_equal(sampled.dataset.x, expected.x)
        np.testing.assert_array_equal(sampled.dataset.y, expected.y)
        assert sampled.dataset.properties == expected.properties
        graph = sampled.structure.graph
        assert len(graph) == expected.properties["num_nodes"]
        assert graph.number_of_edges() == expected.properties["num_edges"]
        assert len(sampled.structure.features) == expected.x.shape[1]
        assert sampled.structure.target not in sampled.structure.features
    assert [sampled.index for sampled in sample_datasets(config, 3, 3)] == [0, 4, 8]


# ---------------------------------------------------------------------------------------------- layout


@pytest.mark.parametrize("family", GRAPHS)
def test_layout_keeps_causes_left_and_nodes_apart(family):
    for seed in range(5):
        graph = GRAPHS[family](12, np.random.default_rng(seed))
        places, routes = layered_layout(graph)
        assert set(places) == set(graph)
        assert len(set(places.values())) == len(graph)
        assert set(routes) == set(graph.edges)
        for (cause, effect), route in routes.items():
            assert route[0] == places[cause]
            assert route[-1] == places[effect]
            assert all(right[0] == left[0] + 1 for left, right in pairwise(route))
            assert not set(route[1:-1]) & set(places.values()), "an edge runs through a node"


def test_layout_crosses_no_edges_where_none_need_to_cross():
    pairs = nx.DiGraph([("a", 2), ("b", 1), ("c", 0)])
    pairs.add_edges_from([(0, "x"), (1, "y"), (2, "z")])
    places, _ = layered_layout(pairs)
    for chain in (("a", 2, "z"), ("b", 1, "y"), ("c", 0, "x")):
        assert len({places[node][1] for node in chain}) == 1


def test_layout_of_lone_nodes_and_of_a_late_root():
    graph = nx.DiGraph([("a", "b"), ("b", "c"), ("late", "c")])
    graph.add_node("alone")
    places, _ = layered_layout(graph)
    assert {node: place[0] for node, place in places.items()} == {
        "a": 0, "b": 1, "c": 2, "late": 1, "alone": 0
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------- mechanisms


@pytest.mark.parametrize("family", MECHANISMS)
def test_mechanism_values_are_standardized_and_the_same_function_at_any_causes(family):
    config = PriorConfig(mechanisms=dict.fromkeys(MECHANISMS, 1), drift_fraction=(1, 1))
    causes = np.random.default_rng(0).standard_normal((4000, 2), dtype=np.float32)
    values = mechanism_values(config, family, causes, stream(0, 1))
    assert np.isfinite(values).all()
    assert values.std() == 0 or (abs(values.mean()) < 0.15 and values.std() == pytest.approx(1, abs=0.2))
    few = mechanism_values(config, family, causes[:10], stream(0, 1))
    np.testing.assert_allclose(few, values[:10], rtol=1e-3, atol=1e-4)


def test_a_linear_mechanism_is_a_line():
    line = np.linspace(-3, 3, 7, dtype=np.float32)[:, None]
    values = mechanism_values(PriorConfig(), "linear", line, stream(0, 1))
    np.testing.assert_allclose(np.diff(values), np.diff(values)[0], rtol=1e-4)
    assert abs(values[-1]) == pytest.approx(3, rel=0.1)


# ----------------------------------------------------------------------------------------------- figures


def test_graphs_of_a_prior(texts, tmp_path):
    config = replace(TINY, graphs={"layered": 1, "cauchy": 1})
    plot_graphs(config, "mine", tmp_path / "graphs.svg", 3)
    assert "Causal graphs drawn from the prior mine (seed 0)" in texts
    names = [sampled.dataset.properties["graph"] for sampled in sample_datasets(config, 3, 0)]
    assert [text for text in texts if text in ("layered", "cauchy")] == names
    assert texts.count("0") == texts.count("1") == texts.count("2") == 3  # the numbers of the columns
    assert "3" not in texts


def test_graphs_by_family(texts, tmp_path):
    config = replace(TINY, graphs={"layered": 1, "cauchy": 2, "random_tree": 0})
    plot_graphs(config, "mine", tmp_path / "graphs.png", 2, by_family=True)
    assert [text for text in texts if text in ("layered", "cauchy", "random tree")] == ["layered", "cauchy"]
    assert texts.count("0") == 4


def test_a_graph_of_ones_own_is_drawn_once_and_with_names(texts, tmp_path):
    plot_graphs(CREDIT, "credit.graphml", tmp_path / "graphs.pdf", 5, by_family=True)
    assert "The causal graph credit.graphml" in texts
    assert [texts.count(name) for name in ("age", "thrift", "income", "default")] == [1, 1, 1, 1]


def test_datasets(texts, tmp_path):
    config = replace(TINY, num_classes=(3, 3), num_features=(5, 5), missing_fraction=(0.2, 0.2))
    plot_datasets(config, "mine", tmp_path / "datasets.png", 3, seed=2)
    for index, dataset in zip((0, 4, 8), list(generate(config, 9, 2))[::4], strict=True):
        [title] = [text for text in texts if text.startswith(f"Dataset {index}: ")]
        assert title.startswith(
            f"Dataset {index}: {dataset.single_eval_pos} of 24 rows to learn from, ROC AUC"
        )
        share = np.mean(dataset.y == 0)
        assert f"class 0: {share:.0%}" in texts
    assert texts.count("feature 3") == 6
    assert "feature 4" not in texts


def test_datasets_of_regression_and_of_named_features(texts, tmp_path):
    config = replace(CREDIT, problem_type="regression")
    plot_datasets(config, "credit.graphml", tmp_path / "datasets.png", 1)
    assert texts.count("age") == 1
    assert texts.count("income") == 2
    assert any("R2" in text for text in texts)


def test_mechanisms(texts, tmp_path):
    config = replace(TINY, mechanisms={"linear": 1, "mlp": 0, "periodic": 2}, aggregations={"sum": 1})
    plot_mechanisms(config, "mine", tmp_path / "mechanisms.png", 2)
    assert [text for text in texts if text in MECHANISMS] == ["linear", "periodic"]
    assert any("sum, product or maximum" in text for text in texts)


@pytest.mark.parametrize("plot", [plot_graphs, plot_datasets, plot_mechanisms])
def test_fewer_than_one_draw(plot, tmp_path):
    with pytest.raises(ValueError, match="num_draws must be at least 1, got 0"):
        plot(TINY, "mine", tmp_path / "new.png", 0)
    assert not list(tmp_path.iterdir())
