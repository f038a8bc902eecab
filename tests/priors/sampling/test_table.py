"""From nodes to a table: which columns, what happens to them, and what only training rows may decide."""

import networkx as nx
import numpy as np
import pytest
from scipy import stats

from priors.families.graphs import GRAPHS
from priors.families.missingness import (
    MISSING_KINDS,
    missing_at_random,
    missing_completely_at_random,
    missing_not_at_random,
)
from priors.sampling.table import (
    add_outliers,
    category_codes,
    choose_columns,
    quantize,
    scale_columns,
    warp,
)
from priors.streams import stream


def share_an_ancestor(graph, first, second):
    return bool((nx.ancestors(graph, first) | {first}) & (nx.ancestors(graph, second) | {second}))


# choose_columns


@pytest.mark.parametrize("relevant_fraction", [0, 0.3, 0.5, 1])
@pytest.mark.parametrize("family", GRAPHS.values(), ids=list(GRAPHS))
def test_enough_features_share_an_ancestor_with_the_target(family, relevant_fraction):
    for draw in range(15):
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
            assert relatives >= np.ceil(5 * relevant_fraction)
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


@pytest.mark.parametrize(
    ("target_position", "places"),
    [("any", range(12)), ("early", range(4)), ("late", range(8, 12))],
)
@pytest.mark.parametrize("family", GRAPHS.values(), ids=list(GRAPHS))
def test_the_target_lies_where_it_is_asked_to(family, target_position, places):
    targets = []
    for draw in range(60):
        columns = choose_columns(family(12, stream(0, draw)), 4, 0.3, stream(1, draw), target_position)
        if columns is not None:
            targets.append(columns[1])
    assert len(targets) > 30
    assert set(targets) <= set(places)
    assert len(set(targets)) > 1


def test_thirds_are_rounded_up():
    graph = nx.path_graph(5, create_using=nx.DiGraph)
    for position, places in {"early": {0, 1}, "late": {3, 4}}.items():
        drawn = {choose_columns(graph, 2, 1, stream(draw), position)[1] for draw in range(60)}
        assert drawn == places


@pytest.mark.parametrize("family", GRAPHS.values(), ids=list(GRAPHS))
def test_without_descendants_no_feature_is_an_effect_of_the_target(family):
    num_found = num_effects = 0
    for draw in range(60):
        graph = family(12, stream(0, draw))
        columns = choose_columns(graph, 4, 0.5, stream(1, draw), allow_descendants=False)
        if columns is not None:
            features, target = columns
            assert not set(features) & nx.descendants(graph, target)
            assert sum(share_an_ancestor(graph, target, feature) for feature in features) >= 2
            num_found += 1
        columns = choose_columns(graph, 4, 0.5, stream(1, draw))
        if columns is not None:
            num_effects += bool(set(columns[0]) & nx.descendants(graph, columns[1]))
    assert num_found > 10
    assert num_effects > 0  # which are there where they are allowed


def test_without_descendants_only_the_last_of_a_chain_can_be_target_of_all_others():
    graph = nx.path_graph(6, create_using=nx.DiGraph)
    for draw in range(20):
        assert choose_columns(graph, 5, 1, stream(draw), allow_descendants=False)[1] == 5
    assert choose_columns(graph, 5, 1, stream(0), "early", allow_descendants=False) is None


# category_codes


def test_category_codes_are_as_many_as_values_and_in_every_order():
    values = stream(0).choice(np.float32([-2.5, 0.1, 7]), 100)
    orders = set()
    for draw in range(200):
        codes = category_codes(values, stream(draw))
        assert codes.dtype == np.float32
        assert set(codes.tolist()) == {0, 1, 2}
        found = {(value, code) for value, code in zip(values.tolist(), codes.tolist(), strict=True)}
        assert len(found) == 3  # one code for each value
        orders.add(tuple(code for _, code in sorted(found)))
    assert len(orders) == 6


# warp


def test_warps_are_monotone_and_of_three_kinds():
    column = np.sort(stream(0).normal(3, 2, 400)).astype(np.float32)
    in_unit_interval, num_decreasing, bends = 0, 0, []
    for draw in range(300):
        warped = warp(column, 400, stream(draw))
        assert warped.shape == (400,)
        assert np.isfinite(warped).all()
        steps = np.diff(warped)
        assert (steps >= -1e-6).all() or (steps <= 1e-6).all()
        num_decreasing += warped[0] > warped[-1]
        in_unit_interval += warped.min() >= 0 and warped.max() <= 1 and warped.max() - warped.min() > 0.99
        bends.append(abs(np.corrcoef(column, warped)[0, 1]))
    assert 70 < in_unit_interval < 130  # a third
    assert 25 < num_decreasing < 80  # a sixth
    assert np.median(bends) < 0.98  # they do change the column
    assert min(bends) > 0.2


def test_warps_are_decided_by_training_rows():
    column = stream(0).normal(3, 2, 100).astype(np.float32)
    other = column.copy()
    other[60:] = 10 * other[60:] - 5
    for draw in range(50):
        warped = warp(column, 60, stream(draw))
        np.testing.assert_array_equal(warp(other, 60, stream(draw))[:60], warped[:60])
        repeated = np.concatenate([column[:60], column[:60]])
        np.testing.assert_array_equal(warp(repeated, 60, stream(draw))[60:], warped[:60])


def test_warps_do_not_depend_on_the_scale():
    column = stream(0).normal(3, 2, 100)
    for draw in range(50):
        expected = warp(column, 60, stream(draw))
        np.testing.assert_allclose(warp(100 * column + 7, 60, stream(draw)), expected, rtol=1e-6, atol=1e-9)


def test_kumaraswamy_is_its_distribution_function():
    column = np.linspace(0, 1, 101)
    num_found = 0
    for draw in range(50):
        kind, first, second = stream(draw).random(3)
        if kind < 1 / 3:
            a, b = np.exp(3 * first - 1.5), np.exp(3 * second - 1.5)
            np.testing.assert_allclose(warp(column, 101, stream(draw)), 1 - (1 - column**a) ** b, atol=1e-12)
            num_found += 1
    assert num_found > 5


def test_constant_columns_survive_warps_and_rounding():
    column = np.full(50, 3, np.float32)
    for draw in range(30):
        assert len(np.unique(warp(column, 30, stream(draw)))) == 1
        assert len(np.unique(quantize(column, 30, stream(draw)))) == 1


# quantize


def test_quantize_rounds_to_4_to_40_equal_steps_of_the_training_range():
    column = np.linspace(-3, 5, 5000)[stream(0).permutation(5000)]
    counts = []
    for draw in range(400):
        rounded = quantize(column, 4000, stream(draw))
        np.testing.assert_array_equal(rounded, np.rint(rounded))
        low, high = column[:4000].min(), column[:4000].max()
        num_steps = rounded[:4000].max()
        assert rounded[:4000].min() == 0
        error = np.abs((column - low) / (high - low) * num_steps - rounded)
        assert error.max() <= 0.5 + 1e-6
        counts.append(int(num_steps))
    assert stats.chisquare(np.bincount(counts, minlength=41)[4:]).pvalue > 0.001
    assert min(counts) == 4
    assert max(counts) == 40


def test_steps_are_decided_by_training_rows():
    column = stream(0).standard_normal(100, dtype=np.float32)
    other = column.copy()
    other[60:] *= 100
    for draw in range(20):
        rounded = quantize(column, 60, stream(draw))
        np.testing.assert_array_equal(quantize(other, 60, stream(draw))[:60], rounded[:60])


def test_test_rows_may_lie_beyond_the_training_rows_steps():
    rounded = quantize(np.float32([0, 1, 2, 3, 9]), 4, stream(0))
    assert rounded[4] == 3 * rounded[3]


# add_outliers


def test_outliers_are_the_asked_share_and_5_to_20_deviations_out():
    x = stream(0).normal([0, 50], [1, 10], (20_000, 2)).astype(np.float32)
    found = add_outliers(x, 0.1, 10_000, stream(1))
    moved = found != x
    assert np.abs(moved.mean(axis=0) - 0.1).max() < 4.5 * (0.09 / 20_000) ** 0.5
    mean, deviation = x[:10_000].mean(axis=0), x[:10_000].std(axis=0)
    distance = ((found - mean) / deviation)[moved]
    assert stats.kstest(np.abs(distance), "uniform", args=(5, 15)).pvalue > 0.001
    assert abs(np.mean(distance > 0) - 0.5) < 4.5 * 0.5 / len(distance) ** 0.5


def test_outliers_of_training_rows_are_decided_by_training_rows():
    x = stream(0).standard_normal((100, 3), dtype=np.float32)
    other = x.copy()
    other[60:] *= 100
    before = x.copy()
    found = add_outliers(x, 0.3, 60, stream(1))
    np.testing.assert_array_equal(add_outliers(other, 0.3, 60, stream(1))[:60], found[:60])
    np.testing.assert_array_equal(x, before)


# Missing cells


def many_columns(num_rows=20_000, num_features=4):
    """Real, skewed, binary and rounded columns."""
    x = stream(0).standard_normal((num_rows, num_features))
    x[:, 1] = np.exp(x[:, 1])
    x[:, 2] = x[:, 2] > 0.4
    x[:, 3] = np.rint(x[:, 3])
    return x.astype(np.float32)


@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("kind", MISSING_KINDS.values(), ids=list(MISSING_KINDS))
def test_missing_cells_are_the_asked_share(kind, fraction):
    x = many_columns()
    possible = min(fraction, 0.75) if kind is missing_at_random else fraction  # one column stays complete
    for draw in range(5):
        missing = kind(x, fraction, 10_000, stream(draw))
        assert missing.shape == x.shape
        assert missing.dtype == bool
        assert abs(missing.mean() - possible) < 0.01
        np.testing.assert_array_equal(missing, kind(x, fraction, 10_000, stream(draw)))
    np.testing.assert_array_equal(x, many_columns())


def gap(missing, by):
    """The rate of `missing` (R,) in the rows with a high `by` (R,), minus that in the others."""
    is_high = by > np.median(by)
    return missing[is_high].mean() - missing[~is_high].mean()


def test_completely_at_random_depends_on_nothing():
    x = many_columns()
    missing = missing_completely_at_random(x, 0.3, 10_000, stream(0))
    assert np.abs(missing.mean(axis=0) - 0.3).max() < 0.015
    assert max(abs(gap(missing[:, f], x[:, g])) for f in range(4) for g in range(4)) < 0.03
    assert np.abs(np.corrcoef(missing.T)[np.triu_indices(4, 1)]).max() < 0.03


def test_at_random_depends_on_a_complete_column_alone():
    x = many_columns()
    guides = set()
    for draw in range(12):
        missing = missing_at_random(x, 0.3, 10_000, stream(draw))
        (guide,) = np.flatnonzero(~missing.any(axis=0))
        guides.add(guide)
        for f in set(range(4)) - {guide}:
            assert abs(missing[:, f].mean() - 0.4) < 0.015  # makes up for the guide
            assert gap(missing[:, f], x[:, guide]) > 0.2
            assert abs(gap(missing[:, f], x[:, f])) < 0.03
    assert guides == {0, 1, 2, 3}


def test_at_random_needs_two_columns():
    assert not missing_at_random(many_columns()[:, :1], 0.5, 10_000, stream(0)).any()
    assert missing_at_random(many_columns()[:, :2], 0.3, 10_000, stream(0)).any()


def test_not_at_random_depends_on_the_missing_value_alone():
    x = many_columns()
    missing = missing_not_at_random(x, 0.3, 10_000, stream(0))
    for f in range(4):
        assert abs(missing[:, f].mean() - 0.3) < 0.015
        assert gap(missing[:, f], x[:, f]) > 0.15
        assert all(abs(gap(missing[:, f], x[:, g])) < 0.03 for g in range(4) if g != f)


@pytest.mark.parametrize("kind", MISSING_KINDS.values(), ids=list(MISSING_KINDS))
def test_missing_cells_of_training_rows_are_decided_by_training_rows(kind):
    x = many_columns(200)
    other = x.copy()
    other[100:] = 9
    missing = kind(x, 0.3, 100, stream(1))
    np.testing.assert_array_equal(kind(other, 0.3, 100, stream(1))[:100], missing[:100])


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
    x[:, 2] = 3 - 2 * x[:, 0]
    assert scale_columns(x, 60) is None  # mirrored, shifted and scaled
    x[70, 2] += 1
    assert scale_columns(x, 60) is not None  # one row differs
    assert scale_columns(x, 60, num_rows=70) is None  # but it is not among these
    assert scale_columns(x[:, :1], 60).shape == (100, 1)


def test_one_training_row_is_refused():
    assert scale_columns(stream(0).standard_normal((10, 2), dtype=np.float32), 1) is None
