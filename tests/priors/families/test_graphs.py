"""Graph families: what every family promises, and what is known of each."""

import pickle
import random

import networkx as nx
import numpy as np
import pytest

from priors.families.graphs import (
    GRAPHS,
    barabasi_albert,
    cauchy,
    erdos_renyi,
    growing_network_with_redirection,
    layered,
    polytree,
    random_tree,
    watts_strogatz,
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
        (erdos_renyi, "mean_parents", -0.1, "at least 0"),
        (erdos_renyi, "mean_parents", float("nan"), "at least 0"),
        (barabasi_albert, "num_edges", 0, "at least 1"),
        (barabasi_albert, "num_edges", -2, "at least 1"),
        (growing_network_with_redirection, "redirection", -0.5, r"in \[0, 1\]"),
        (growing_network_with_redirection, "redirection", 2, r"in \[0, 1\]"),
        (layered, "dropout", -1, r"in \[0, 1\]"),
        (layered, "dropout", 1.01, r"in \[0, 1\]"),
        (layered, "dropout", float("nan"), r"in \[0, 1\]"),
        (layered, "num_layers", 0, "at least 1"),
        (watts_strogatz, "num_neighbours", 0, "at least 1"),
        (watts_strogatz, "rewiring", -0.1, r"in \[0, 1\]"),
        (watts_strogatz, "rewiring", 1.1, r"in \[0, 1\]"),
    ],
)
def test_bad_arguments_are_refused_by_name_and_value(family, argument, value, rule):
    with pytest.raises(ValueError, match=f"{argument} must be {rule}, got {value}"):
        family(5, stream(0), **{argument: value})


# erdos_renyi


@pytest.mark.parametrize("mean_parents", [0.5, 1.5, 10])
def test_erdos_renyi_has_binomially_many_edges(mean_parents):
    num_pairs, probability = 20 * 60 * 59 // 2, 2 * mean_parents / 59
    num_edges = sum(erdos_renyi(60, stream(i), mean_parents).number_of_edges() for i in range(20))
    deviation = (num_pairs * probability * (1 - probability)) ** 0.5
    assert abs(num_edges - 20 * 60 * mean_parents) < 4 * deviation


def test_erdos_renyi_treats_all_pairs_alike():
    counts = np.zeros((6, 6))
    for draw in range(2000):
        for edge in erdos_renyi(6, stream(draw), mean_parents=1).edges:
            counts[edge] += 1
    frequencies = counts[np.triu_indices(6, 1)] / 2000
    assert np.abs(frequencies - 0.4).max() < 4.5 * (0.4 * 0.6 / 2000) ** 0.5


def test_erdos_renyi_goes_from_empty_to_complete():
    assert erdos_renyi(30, stream(0), mean_parents=0).number_of_edges() == 0
    assert erdos_renyi(30, stream(0), mean_parents=14.5).number_of_edges() == 30 * 29 / 2
    assert erdos_renyi(30, stream(0), mean_parents=1e6).number_of_edges() == 30 * 29 / 2


# barabasi_albert


@pytest.mark.parametrize("num_edges", [1, 2, 3, 100])
def test_barabasi_albert_gives_each_node_its_number_of_parents(num_edges):
    graph = barabasi_albert(30, stream(0), num_edges=num_edges)
    assert [graph.in_degree(node) for node in graph] == [min(num_edges, node) for node in range(30)]


@pytest.mark.parametrize("num_edges", [1, 2])
def test_barabasi_albert_has_the_hubs_of_the_reference(num_edges):
    def mean_squared_degree(graph):
        return np.mean([degree**2 for _, degree in graph.degree])

    ours = [mean_squared_degree(barabasi_albert(200, stream(i), num_edges=num_edges)) for i in range(70)]
    reference = [
        mean_squared_degree(nx.barabasi_albert_graph(200, num_edges, seed=stream(1, i))) for i in range(150)
    ]
    (mean, error), (expected, expected_error) = mean_and_error(ours), mean_and_error(reference)
    assert abs(mean - expected) < 4 * np.hypot(error, expected_error)
    assert 4 * np.hypot(error, expected_error) < 0.25 * expected


# growing_network_with_redirection


@pytest.mark.parametrize("redirection", [0, 0.5, 1])
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


@pytest.mark.parametrize("dropout", [0, 0.5, 1])
@pytest.mark.parametrize("num_layers", [1, 2, 5, 100])
@pytest.mark.parametrize("num_nodes", NUM_NODES)
def test_layered_has_its_layers_and_edges_between_neighbouring_ones_only(num_nodes, num_layers, dropout):
    for draw in range(5):
        graph = layered(num_nodes, stream(draw), num_layers=num_layers, dropout=dropout)
        layers = layers_of(graph)
        assert all(layers[child] == layers[parent] + 1 for parent, child in graph.edges)
        assert layers == sorted(layers)  # so only the first layer's nodes, all in front, have no parent
        assert len(set(layers)) == min(num_layers, num_nodes)
        sizes = np.bincount(layers)
        assert sizes.max() - sizes.min() <= 1


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
    kept = sum(layered(64, stream(draw), num_layers=2, dropout=0.7).number_of_edges() for draw in range(40))
    # Of 32 parents each node keeps one, and 0.3 of the other 31.
    expected, deviation = 40 * 32 * (1 + 0.3 * 31), (40 * 32 * 31 * 0.21) ** 0.5
    assert abs(kept - expected) < 4.5 * deviation


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


# polytree


@pytest.mark.parametrize("num_nodes", NUM_NODES)
def test_polytree_has_one_path_between_two_nodes_at_most(num_nodes):
    for draw in range(10):
        graph = polytree(num_nodes, stream(draw))
        assert nx.is_tree(graph.to_undirected())


def test_polytree_turns_half_of_the_edges_of_a_random_tree():
    """Of a chain of two edges, half the draws have a path, a quarter a fork and a quarter a collider."""
    drawn = [polytree(3, stream(draw)) for draw in range(3000)]
    colliders = np.mean([max(graph.in_degree(node) for node in graph) == 2 for graph in drawn])
    forks = np.mean([max(graph.out_degree(node) for node in graph) == 2 for graph in drawn])
    assert abs(colliders - 0.25) < 4 * (0.1875 / 3000) ** 0.5
    assert abs(forks - 0.25) < 4 * (0.1875 / 3000) ** 0.5


def test_polytree_has_several_roots_where_a_tree_has_one():
    """A node of the undirected tree is a root if the coins turn all of its edges outwards."""
    roots = [
        sum(1 for _, degree in polytree(50, stream(draw)).in_degree if degree == 0) for draw in range(200)
    ]
    skeletons = [random_tree(50, stream(1, draw)).to_undirected() for draw in range(400)]
    expected = np.mean([sum(0.5**degree for _, degree in skeleton.degree) for skeleton in skeletons])
    mean, error = mean_and_error(roots)
    assert abs(mean - expected) < 5 * error
    assert 5 * error < 0.1 * expected


# cauchy


def test_cauchy_goes_from_nearly_empty_to_nearly_complete():
    density = np.array([cauchy(30, stream(draw)).number_of_edges() / (30 * 29 / 2) for draw in range(400)])
    assert (density < 0.05).mean() > 0.02
    assert (density > 0.95).mean() > 0.005
    assert abs(density.mean() - 0.5) < 4 * density.std() / 20  # sigmoid of something symmetric about 0
    assert density.std() > 0.2


def test_cauchy_has_the_probability_of_an_edge_between_two_nodes():
    """For two nodes the logit is the sum of three Cauchy draws, a Cauchy of scale 3."""
    share = np.mean([cauchy(2, stream(draw)).number_of_edges() for draw in range(4000)])
    assert abs(share - 0.5) < 4 * (0.25 / 4000) ** 0.5


def test_cauchy_edges_share_the_strength_of_their_nodes():
    """With all else alike, edges of one child (or parent) go together more than those of none in common."""
    adjacency = np.stack(
        [nx.to_numpy_array(cauchy(8, stream(draw)), nodelist=range(8)) for draw in range(3000)]
    )

    def together(first, second):
        return np.corrcoef(adjacency[:, *first], adjacency[:, *second])[0, 1]

    apart = together((0, 7), (1, 6))
    assert apart > 0.05  # the offset that all edges share
    assert together((0, 7), (1, 7)) > apart + 0.1  # a child
    assert together((0, 7), (0, 6)) > apart + 0.1  # a parent


def test_cauchy_has_hubs_of_both_kinds():
    """In- and out-degrees spread more than those of a graph of the same size whose edges are alike."""

    def spread(family):
        degrees = []
        for draw in range(150):
            graph = family(draw)
            out_first = [graph.out_degree(node) / (39 - node) for node in range(20)]  # room for 39 - node
            in_last = [graph.in_degree(node) / node for node in range(20, 40)]
            degrees.append((np.std(out_first), np.std(in_last)))
        return np.mean(degrees, axis=0)

    heavy = spread(lambda draw: cauchy(40, stream(draw)))
    alike = spread(lambda draw: erdos_renyi(40, stream(draw), mean_parents=10))
    assert (heavy > 1.5 * alike).all()


# watts_strogatz


@pytest.mark.parametrize("num_neighbours", [1, 2, 5, 100])
def test_watts_strogatz_without_rewiring_is_a_lattice(num_neighbours):
    graph = watts_strogatz(30, stream(0), num_neighbours=num_neighbours, rewiring=0)
    expected = {(i, j) for i in range(30) for j in range(i + 1, 30) if j - i <= num_neighbours}
    assert set(graph.edges) == expected


def test_watts_strogatz_sends_the_asked_share_of_edges_elsewhere():
    """A chain of 200 nodes: an edge i -> i + 1 stays, or is sent to any of the 199 - i later nodes."""
    room = 199 - np.arange(199)
    for rewiring in (0.2, 0.7):
        stayed = 0
        for draw in range(20):
            graph = watts_strogatz(200, stream(draw), num_neighbours=1, rewiring=rewiring)
            stayed += sum(graph.has_edge(node, node + 1) for node in range(199))
        probability = 1 - rewiring + rewiring / room
        deviation = (20 * (probability * (1 - probability)).sum()) ** 0.5
        assert abs(stayed - 20 * probability.sum()) < 4 * deviation


def test_watts_strogatz_rewires_uniformly():
    drawn = [watts_strogatz(6, stream(draw), num_neighbours=1, rewiring=1) for draw in range(2000)]
    first = np.bincount([next(graph.successors(0)) for graph in drawn], minlength=6)[1:]
    assert np.abs(first / 2000 - 0.2).max() < 4 * (0.16 / 2000) ** 0.5


def test_watts_strogatz_loses_edges_only_where_two_would_meet():
    for draw in range(20):
        num_edges = watts_strogatz(60, stream(draw), num_neighbours=3, rewiring=0.5).number_of_edges()
        assert 150 < num_edges <= 3 * 60 - 6


def test_watts_strogatz_makes_the_world_small():
    def longest(rewiring):
        return np.mean(
            [nx.dag_longest_path_length(watts_strogatz(60, stream(draw), 2, rewiring)) for draw in range(20)]
        )

    assert longest(0) == 59
    assert longest(0.7) < 40
