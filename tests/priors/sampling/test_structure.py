"""The columns of a graph: the target has enough relatives, and any node may be any column."""

import networkx as nx
import numpy as np
import pytest

from priors.families.graphs import GRAPHS, parents_of
from priors.sampling.structure import choose_columns
from priors.streams import stream

CHAIN = [[], [0], [1], [2], [3], [4]]


def share_an_ancestor(graph, first, second):
    return bool((nx.ancestors(graph, first) | {first}) & (nx.ancestors(graph, second) | {second}))


# choose_columns


@pytest.mark.parametrize("relevant_fraction", [0, 0.3, 0.5, 1])
@pytest.mark.parametrize("family", GRAPHS.values(), ids=list(GRAPHS))
def test_enough_features_share_an_ancestor_with_the_target(family, relevant_fraction):
    for draw in range(15):
        graph = family(12, stream(0, draw))
        columns = choose_columns(parents_of(graph), 5, relevant_fraction, stream(1, draw))
        possible = [
            sum(share_an_ancestor(graph, target, node) for node in graph if node != target)
            >= np.ceil(5 * relevant_fraction)
            for target in graph
        ]
        assert (columns is not None) == any(possible)
        if columns is not None:
            features, target = columns
            relatives = sum(share_an_ancestor(graph, target, feature) for feature in features)
            assert relatives >= np.ceil(5 * relevant_fraction)
            assert target not in features
            assert len(set(features)) == 5
            assert set(features) | {target} <= set(graph)


def test_causes_effects_and_siblings_count_as_relatives_and_spouses_do_not():
    graph = nx.DiGraph([(0, 2), (0, 3), (1, 3)])  # 2 and 3 are siblings, 0 and 1 have a child in common
    relatives_of = {target: set() for target in graph}
    for draw in range(200):
        (feature,), target = choose_columns(parents_of(graph), 1, 1, stream(draw))
        relatives_of[target].add(feature)
    assert relatives_of == {0: {2, 3}, 1: {3}, 2: {0, 3}, 3: {0, 1, 2}}


def test_any_node_can_be_target_or_feature_in_any_place():
    drawn = [choose_columns(CHAIN, 3, 1, stream(draw)) for draw in range(1200)]
    targets = np.bincount([target for _, target in drawn], minlength=6) / 1200
    assert np.abs(targets - 1 / 6).max() < 4.5 * (5 / 36 / 1200) ** 0.5
    for place in range(3):
        features = np.bincount([features[place] for features, _ in drawn], minlength=6) / 1200
        assert np.abs(features - 1 / 6).max() < 4.5 * (5 / 36 / 1200) ** 0.5


def test_relevant_features_have_no_place_of_their_own():
    graph = nx.DiGraph([(0, 1)])
    graph.add_nodes_from(range(12))
    places = []
    for draw in range(400):
        features, target = choose_columns(parents_of(graph), 4, 0.25, stream(draw))
        assert target in (0, 1)
        places.append(features.index(1 - target))
    assert np.abs(np.bincount(places, minlength=4) / 400 - 0.25).max() < 4.5 * (0.1875 / 400) ** 0.5


def test_a_graph_without_edges_has_no_relevant_columns():
    graph = nx.empty_graph(8, create_using=nx.DiGraph)
    assert choose_columns(parents_of(graph), 3, 1, stream(0)) is None
    assert choose_columns(parents_of(graph), 3, 0.01, stream(0)) is None
    features, target = choose_columns(parents_of(graph), 3, 0, stream(0))
    assert len({*features, target}) == 4


def test_all_nodes_can_be_used():
    features, target = choose_columns(CHAIN, 5, 1, stream(0))
    assert sorted([*features, target]) == list(range(6))


def test_too_few_nodes_are_refused():
    with pytest.raises(ValueError, match="a graph of 3 nodes has no 3 features and a target"):
        choose_columns(CHAIN[:3], 3, 0.5, stream(0))


@pytest.mark.parametrize(
    ("target_position", "places"),
    [("any", range(12)), ("early", range(4)), ("late", range(8, 12))],
)
@pytest.mark.parametrize("family", GRAPHS.values(), ids=list(GRAPHS))
def test_the_target_lies_where_it_is_asked_to(family, target_position, places):
    targets = []
    for draw in range(60):
        parents = family.parents(12, stream(0, draw))
        columns = choose_columns(parents, 4, 0.3, stream(1, draw), target_position)
        if columns is not None:
            targets.append(columns[1])
    assert len(targets) > 30
    assert set(targets) <= set(places)
    assert len(set(targets)) > 1


def test_thirds_are_rounded_up():
    for position, places in {"early": {0, 1}, "late": {3, 4}}.items():
        drawn = {choose_columns(CHAIN[:5], 2, 1, stream(draw), position)[1] for draw in range(60)}
        assert drawn == places


@pytest.mark.parametrize("family", GRAPHS.values(), ids=list(GRAPHS))
def test_without_descendants_no_feature_is_an_effect_of_the_target(family):
    num_found = num_effects = 0
    for draw in range(60):
        graph = family(12, stream(0, draw))
        columns = choose_columns(parents_of(graph), 4, 0.5, stream(1, draw), allow_descendants=False)
        if columns is not None:
            features, target = columns
            assert not set(features) & nx.descendants(graph, target)
            assert sum(share_an_ancestor(graph, target, feature) for feature in features) >= 2
            num_found += 1
        columns = choose_columns(parents_of(graph), 4, 0.5, stream(1, draw))
        if columns is not None:
            num_effects += bool(set(columns[0]) & nx.descendants(graph, columns[1]))
    assert num_found > 10
    assert num_effects > 0  # which are there where they are allowed


def test_without_descendants_only_the_last_of_a_chain_can_be_target_of_all_others():
    for draw in range(20):
        assert choose_columns(CHAIN, 5, 1, stream(draw), allow_descendants=False)[1] == 5
    assert choose_columns(CHAIN, 5, 1, stream(0), "early", allow_descendants=False) is None
