"""Graph families: what every family promises, and what is known of each."""

import pickle
import random

import networkx as nx
import numpy as np
import pytest

from priors.graphs import (
    GRAPHS,
    barabasi_albert,
    erdos_renyi,
    growing_network_with_redirection,
    layered,
    random_tree,
)
from priors.streams import stream

NUM_NODES = [1, 2, 3, 7, 30, 64]


def global_state():
    return pickle.dumps((random.getstate(), np.random.get_state()))  # noqa: NPY002


def harmonic(n):
    return sum(1 / i for i in range(1, n + 1))


def mean_and_error(values):
    return np.mean(values), np.std(values) / len(values) ** 0.5


# Every family


@pytest.mark.parametrize("num_nodes", NUM_NODES)
@pytest.mark.parametrize("family", GRAPHS.values(), ids=list(GRAPHS))
def test_nodes_are_numbered_and_edges_go_from_low_to_high(family, num_nodes):
    for draw in range(20):
        graph = family(num_nodes, stream(draw))
        assert type(graph) is nx.DiGraph
        assert list(graph) == list(range(num_nodes))
        assert all(type(node) is int for edge in graph.edges for node in edge)
        assert all(cause < effect for cause, effect in graph.edges)
        assert nx.is_directed_acyclic_graph(graph)


@pytest.mark.parametrize("num_nodes", NUM_NODES)
@pytest.mark.parametrize("family", GRAPHS.values(), ids=list(GRAPHS))
def test_the_generator_determines_the_graph(family, num_nodes):
    first, second = family(num_nodes, stream(3)), family(num_nodes, stream(3))
    assert list(first.edges) == list(second.edges)
    assert {node: list(first.pred[node]) for node in first} == {
        node: list(second.pred[node]) for node in second
    }


@pytest.mark.parametrize("family", GRAPHS.values(), ids=list(GRAPHS))
def test_other_generators_give_other_graphs(family):
    assert len({frozenset(family(30, stream(draw)).edges) for draw in range(20)}) >= 15


@pytest.mark.parametrize("family", GRAPHS.values(), ids=list(GRAPHS))
def test_global_random_state_is_left_alone(family):
    before = global_state()
    family(30, stream(0))
    assert global_state() == before


@pytest.mark.parametrize("family", GRAPHS.values(), ids=list(GRAPHS))
def test_graphs_of_several_nodes_have_edges(family):
    assert np.mean([family(30, stream(draw)).number_of_edges() for draw in range(20)]) >= 15


@pytest.mark.parametrize("num_nodes", [0, -3])
@pytest.mark.parametrize("family", GRAPHS.values(), ids=list(GRAPHS))
def test_too_few_nodes_are_refused(family, num_nodes):
    with pytest.raises(ValueError, match=f"num_nodes must be at least 1, got {num_nodes}"):
        family(num_nodes, stream(0))


@pytest.mark.parametrize(
    ("family", "argument", "value", "rule"),
    [
        (erdos_renyi, "edge_probability", -0.1, r"in \[0, 1\]"),
        (erdos_renyi, "edge_probability", 1.5, r"in \[0, 1\]"),
        (erdos_renyi, "edge_probability", float("nan"), r"in \[0, 1\]"),
        (barabasi_albert, "num_edges", 0, "at least 1"),
        (barabasi_albert, "num_edges", -2, "at least 1"),
        (growing_network_with_redirection, "redirection", -0.5, r"in \[0, 1\]"),
        (growing_network_with_redirection, "redirection", 2, r"in \[0, 1\]"),
        (layered, "dropout", -1, r"in \[0, 1\]"),
        (layered, "dropout", 1.01, r"in \[0, 1\]"),
    ],
)
def test_bad_arguments_are_refused_by_name_and_value(family, argument, value, rule):
    with pytest.raises(ValueError, match=f"{argument} must be {rule}, got {value}"):
        family(5, stream(0), **{argument: value})


# erdos_renyi


def test_erdos_renyi_has_binomially_many_edges():
    num_pairs, probability = 20 * 60 * 59 // 2, 0.3
    num_edges = sum(erdos_renyi(60, stream(i), edge_probability=0.3).number_of_edges() for i in range(20))
    deviation = (num_pairs * probability * (1 - probability)) ** 0.5
    assert abs(num_edges - num_pairs * probability) < 4 * deviation


def test_erdos_renyi_treats_all_pairs_alike():
    counts = np.zeros((6, 6))
    for draw in range(2000):
        for edge in erdos_renyi(6, stream(draw), edge_probability=0.4).edges:
            counts[edge] += 1
    frequencies = counts[np.triu_indices(6, 1)] / 2000
    assert np.abs(frequencies - 0.4).max() < 4.5 * (0.4 * 0.6 / 2000) ** 0.5


def test_erdos_renyi_with_probability_0_is_empty_and_with_1_complete():
    assert erdos_renyi(30, stream(0), edge_probability=0).number_of_edges() == 0
    assert erdos_renyi(30, stream(0), edge_probability=1).number_of_edges() == 30 * 29 / 2


def test_erdos_renyi_draws_its_own_density_of_half_to_three_parents():
    parents = np.array([erdos_renyi(200, stream(draw)).number_of_edges() / 200 for draw in range(200)])
    assert abs(parents.mean() - 1.75) < 4 * (2.5**2 / 12 / 200) ** 0.5
    assert 0.3 < parents.min() < 0.8
    assert 2.7 < parents.max() < 3.4


# barabasi_albert


@pytest.mark.parametrize("num_edges", [1, 2, 3, 100])
def test_barabasi_albert_gives_each_node_its_number_of_parents(num_edges):
    graph = barabasi_albert(30, stream(0), num_edges=num_edges)
    assert [graph.in_degree(node) for node in graph] == [min(num_edges, node) for node in range(30)]


def test_barabasi_albert_draws_one_to_three_parents_by_default():
    drawn = [barabasi_albert(10, stream(draw)).in_degree(9) for draw in range(300)]
    assert [drawn.count(num_edges) > 60 for num_edges in (1, 2, 3)] == [True, True, True]
    assert set(drawn) == {1, 2, 3}


@pytest.mark.parametrize("num_edges", [1, 2])
def test_barabasi_albert_has_the_hubs_of_the_reference(num_edges):
    def mean_squared_degree(graph):
        return np.mean([degree**2 for _, degree in graph.degree])

    ours = [mean_squared_degree(barabasi_albert(300, stream(i), num_edges=num_edges)) for i in range(150)]
    reference = [
        mean_squared_degree(nx.barabasi_albert_graph(300, num_edges, seed=stream(1, i))) for i in range(150)
    ]
    (mean, error), (expected, expected_error) = mean_and_error(ours), mean_and_error(reference)
    assert abs(mean - expected) < 4 * np.hypot(error, expected_error)
    assert 4 * np.hypot(error, expected_error) < 0.25 * expected


# growing_network_with_redirection


@pytest.mark.parametrize("redirection", [None, 0, 0.5, 1])
@pytest.mark.parametrize("num_nodes", NUM_NODES)
def test_redirection_gives_every_node_but_the_last_one_child(num_nodes, redirection):
    for draw in range(10):
        graph = growing_network_with_redirection(num_nodes, stream(draw), redirection=redirection)
        assert [graph.out_degree(node) for node in graph] == [1] * (num_nodes - 1) + [0]


def test_full_redirection_is_a_star_on_the_last_node():
    graph = growing_network_with_redirection(30, stream(0), redirection=1)
    assert set(graph.edges) == {(node, 29) for node in range(29)}


def test_no_redirection_is_a_uniform_recursive_tree():
    parents = [
        growing_network_with_redirection(30, stream(draw), redirection=0).in_degree(29) for draw in range(800)
    ]
    mean, error = mean_and_error(parents)
    assert abs(mean - harmonic(29)) < 4 * error
    assert 4 * error < 0.25


def test_redirection_makes_the_last_node_a_hub():
    means = [
        np.mean(
            [growing_network_with_redirection(30, stream(i), redirection=r).in_degree(29) for i in range(200)]
        )
        for r in (0, 0.5, 0.9)
    ]
    assert means[0] + 1 < means[1]
    assert means[1] + 1 < means[2]


# layered


def layers_of(graph):
    """The layer of each node, read off its parents alone."""
    layers = []
    for node in range(len(graph)):
        layers.append(1 + max((layers[parent] for parent in graph.pred[node]), default=-1))
    return layers


@pytest.mark.parametrize("dropout", [None, 0, 0.5, 1])
@pytest.mark.parametrize("num_nodes", [2, 3, 7, 30, 64])
def test_layered_has_edges_between_neighbouring_layers_only(num_nodes, dropout):
    for draw in range(20):
        graph = layered(num_nodes, stream(draw), dropout=dropout)
        layers = layers_of(graph)
        assert all(layers[child] == layers[parent] + 1 for parent, child in graph.edges)
        assert layers == sorted(layers)  # so only the first layer's nodes, all in front, have no parent
        assert 2 <= len(set(layers)) <= 6


def test_layered_without_dropout_joins_all_of_a_layer_to_all_of_the_next():
    graph = layered(30, stream(0), dropout=0)
    layers = layers_of(graph)
    assert set(graph.edges) == {
        (parent, child) for parent in graph for child in graph if layers[child] == layers[parent] + 1
    }


def test_layered_with_full_dropout_leaves_each_node_one_parent():
    graph = layered(30, stream(0), dropout=1)
    layers = layers_of(graph)
    assert [graph.in_degree(node) for node in graph] == [int(layer > 0) for layer in layers]


def test_layered_drops_the_asked_share_of_edges():
    possible = sum(layered(64, stream(draw), dropout=0).number_of_edges() for draw in range(40))
    kept = sum(layered(64, stream(draw), dropout=0.7).number_of_edges() for draw in range(40))
    assert 0.3 < kept / possible < 0.4  # 0.3, and the parent that every node keeps


def test_layered_draws_different_numbers_of_layers():
    assert {max(layers_of(layered(30, stream(draw)))) + 1 for draw in range(100)} == {2, 3, 4, 5, 6}


# random_tree


@pytest.mark.parametrize("num_nodes", NUM_NODES)
def test_random_tree_has_one_root_and_one_parent_for_each_other_node(num_nodes):
    for draw in range(10):
        graph = random_tree(num_nodes, stream(draw))
        assert [graph.in_degree(node) for node in graph] == [0] + [1] * (num_nodes - 1)
        assert nx.is_weakly_connected(graph)


def test_random_tree_is_of_logarithmic_depth():
    depths = [layers_of(random_tree(100, stream(draw)))[99] for draw in range(600)]
    mean, error = mean_and_error(depths)
    assert abs(mean - harmonic(99)) < 4 * error  # what is known of the uniform recursive tree
    assert 4 * error < 0.5


def test_random_tree_draws_parents_uniformly():
    parents = [next(random_tree(5, stream(draw)).predecessors(4)) for draw in range(2000)]
    assert np.abs(np.bincount(parents, minlength=4) / 2000 - 0.25).max() < 4 * (0.25 * 0.75 / 2000) ** 0.5
