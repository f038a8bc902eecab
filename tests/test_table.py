"""From nodes to a table: which columns, which classes, and what only training rows may decide."""

import networkx as nx
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from priors.graphs import GRAPHS
from priors.streams import stream
from priors.table import (
    choose_columns,
    cut_into_classes,
    has_every_class,
    sample_class_shares,
    scale_columns,
)


def share_an_ancestor(graph, first, second):
    return bool((nx.ancestors(graph, first) | {first}) & (nx.ancestors(graph, second) | {second}))


# choose_columns


@pytest.mark.parametrize("relevant_fraction", [0, 0.3, 0.5, 1])
@pytest.mark.parametrize("family", GRAPHS.values(), ids=list(GRAPHS))
def test_enough_features_share_an_ancestor_with_the_target(family, relevant_fraction):
    for draw in range(40):
        graph = family(12, stream(0, draw))
        columns = choose_columns(graph, 5, relevant_fraction, stream(1, draw))
        possible = [
            sum(share_an_ancestor(graph, target, node) for node in graph if node != target)
            >= np.ceil(5 * relevant_fraction)
            for target in graph
        ]
        assert (columns is not None) == any(possible)
        if columns is not None:
            features, target = columns
            relatives = sum(share_an_ancestor(graph, target, feature) for feature in features)
            assert relatives >= 5 * relevant_fraction
            assert target not in features
            assert len(set(features)) == 5
            assert set(features) | {target} <= set(graph)


def test_causes_effects_and_siblings_count_as_relatives_and_spouses_do_not():
    graph = nx.DiGraph([(0, 2), (0, 3), (1, 3)])  # 2 and 3 are siblings, 0 and 1 have a child in common
    relatives_of = {target: set() for target in graph}
    for draw in range(200):
        (feature,), target = choose_columns(graph, 1, 1, stream(draw))
        relatives_of[target].add(feature)
    assert relatives_of == {0: {2, 3}, 1: {3}, 2: {0, 3}, 3: {0, 1, 2}}


def test_any_node_can_be_target_or_feature_in_any_place():
    graph = nx.path_graph(6, create_using=nx.DiGraph)
    drawn = [choose_columns(graph, 3, 1, stream(draw)) for draw in range(1200)]
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
        features, target = choose_columns(graph, 4, 0.25, stream(draw))
        assert target in (0, 1)
        places.append(features.index(1 - target))
    assert np.abs(np.bincount(places, minlength=4) / 400 - 0.25).max() < 4.5 * (0.1875 / 400) ** 0.5


def test_a_graph_without_edges_has_no_relevant_columns():
    graph = nx.empty_graph(8, create_using=nx.DiGraph)
    assert choose_columns(graph, 3, 1, stream(0)) is None
    assert choose_columns(graph, 3, 0.01, stream(0)) is None
    features, target = choose_columns(graph, 3, 0, stream(0))
    assert len({*features, target}) == 4


def test_all_nodes_can_be_used():
    features, target = choose_columns(nx.path_graph(6, create_using=nx.DiGraph), 5, 1, stream(0))
    assert sorted([*features, target]) == list(range(6))


def test_too_few_nodes_are_refused():
    with pytest.raises(ValueError, match="a graph of 3 nodes has no 3 features and a target"):
        choose_columns(nx.path_graph(3, create_using=nx.DiGraph), 3, 0.5, stream(0))


# sample_class_shares


@pytest.mark.parametrize("smallest_side", [2, 10, 60, 10_000])
@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_class_shares_sum_to_1_and_keep_their_floor(num_classes, smallest_side):
    floor = min(2 / smallest_side, 0.5 / num_classes)
    for draw in range(100):
        shares = sample_class_shares(num_classes, smallest_side, stream(draw))
        assert shares.shape == (num_classes,)
        assert abs(shares.sum() - 1) < 1e-12
        assert shares.min() >= floor - 1e-12


def test_a_class_share_is_uniform_above_its_floor():
    shares = [sample_class_shares(2, 1000, stream(draw))[0] for draw in range(1000)]
    assert scipy.stats.kstest(shares, "uniform", args=(0.002, 0.996)).pvalue > 0.01


def test_no_class_is_favoured():
    shares = np.array([sample_class_shares(3, 1000, stream(draw)) for draw in range(1000)])
    assert np.abs(shares.mean(axis=0) - 1 / 3).max() < 4.5 * shares.std() / 1000**0.5


# cut_into_classes


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.1, 0.9], [0.2, 0.5, 0.3], [0.1] * 10])
def test_training_rows_have_the_asked_shares(shares):
    values = stream(0).standard_normal(300, dtype=np.float32)
    y = cut_into_classes(values, np.array(shares), 200)
    assert np.bincount(y[:200]).tolist() == [round(200 * share) for share in shares]
    assert len(np.bincount(y)) == len(shares)


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float32, st.integers(4, 30), elements=st.floats(-100, 100, width=32)),
    st.lists(st.floats(0.01, 1), min_size=2, max_size=6),
    st.data(),
)
def test_classes_are_ordered_like_values_whatever_these_are(values, shares, data):
    single_eval_pos = data.draw(st.integers(2, len(values) - 1))
    y = cut_into_classes(values, np.array(shares) / sum(shares), single_eval_pos)
    assert y.shape == values.shape
    assert y.dtype == np.int64
    assert set(y.tolist()) <= set(range(len(shares)))
    order = np.argsort(values)
    assert (np.diff(y[order]) >= 0).all()
    assert all(len(set(y[values == value].tolist())) == 1 for value in values)  # ties stay together


def test_test_rows_do_not_move_the_cuts():
    values = stream(0).standard_normal(100, dtype=np.float32)
    shares = np.array([0.3, 0.3, 0.4])
    y = cut_into_classes(values, shares, 60)
    other = values.copy()
    other[60:] = 50 + 100 * other[60:]
    np.testing.assert_array_equal(cut_into_classes(other, shares, 60)[:60], y[:60])
    repeated = np.concatenate([values[:60], values[:60]])
    np.testing.assert_array_equal(cut_into_classes(repeated, shares, 60)[60:], y[:60])


def test_the_extreme_rows_are_in_the_extreme_classes_even_for_tiny_shares():
    values = stream(0).permutation(50).astype(np.float32)
    y = cut_into_classes(values, np.array([1e-9, 1 - 1e-9]), 40)
    assert np.bincount(y[:40]).tolist() == [1, 39]
    y = cut_into_classes(values, np.array([1 - 1e-9, 1e-9]), 40)
    assert np.bincount(y[:40]).tolist() == [39, 1]


# has_every_class


@pytest.mark.parametrize(
    ("y", "single_eval_pos", "expected"),
    [
        ([0, 1, 0, 1], 2, True),
        ([0, 0, 0, 1], 2, False),
        ([0, 1, 1, 1], 2, False),
        ([0, 1, 2, 2, 1, 0], 3, True),
        ([0, 1, 2, 2, 1, 1], 3, False),
        ([0, 1], 2, False),
        ([0, 1], 0, False),
    ],
)
def test_every_class_must_be_on_both_sides(y, single_eval_pos, expected):
    assert has_every_class(np.array(y), max(y) + 1, single_eval_pos) is expected


def test_a_class_that_no_row_has_is_missed():
    assert not has_every_class(np.array([0, 1, 0, 1]), 3, 2)


# scale_columns


def test_training_rows_get_mean_0_and_variance_1():
    x = stream(0).normal([5, -300, 0], [0.01, 40, 1e5], size=(100, 3)).astype(np.float32)
    scaled = scale_columns(x, 60)
    assert scaled.dtype == np.float32
    assert np.abs(scaled[:60].mean(axis=0, dtype=float)).max() < 1e-3
    assert np.abs(scaled[:60].std(axis=0, dtype=float) - 1).max() < 1e-3
    expected = (x - x[:60].mean(axis=0, dtype=float)) / x[:60].std(axis=0, dtype=float)
    np.testing.assert_allclose(scaled, expected, atol=2e-3)


def test_test_rows_do_not_change_training_cells():
    x = stream(0).standard_normal((100, 3), dtype=np.float32)
    other = x.copy()
    other[60:] = 1000 * other[60:] - 5
    np.testing.assert_array_equal(scale_columns(other, 60)[:60], scale_columns(x, 60)[:60])


def test_input_is_left_alone():
    x = stream(0).standard_normal((100, 3), dtype=np.float32)
    before = x.copy()
    scale_columns(x, 60)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("rows", "column", "value"),
    [
        (slice(0, 60), 1, 7),  # constant among the training rows
        (slice(0, 100), 0, 0),
        (slice(0, 100), 0, 1.1),  # whose mean over many rows is rounded
        (slice(0, 60), 2, 12345.678),
        (70, 2, np.nan),
        (10, 2, np.nan),
        (70, 0, np.inf),
        (10, 0, -np.inf),
    ],
)
def test_constant_and_non_finite_columns_are_refused(rows, column, value):
    x = stream(0).standard_normal((100, 3), dtype=np.float32)
    assert scale_columns(x, 60) is not None
    x[rows, column] = value
    with np.errstate(all="ignore"):
        assert scale_columns(x, 60) is None


def test_copies_are_refused_and_single_columns_are_not():
    x = stream(0).standard_normal((100, 3), dtype=np.float32)
    assert scale_columns(x[:, [0, 1, 0]], 60) is None
    assert scale_columns(x[:, :1], 60).shape == (100, 1)


def test_one_training_row_is_refused():
    assert scale_columns(stream(0).standard_normal((10, 2), dtype=np.float32), 1) is None
