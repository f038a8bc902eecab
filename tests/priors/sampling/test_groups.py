"""Groups of rows with common noise: their rows, the nodes that they move, and that nothing else changes."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from priors.config import PriorConfig
from priors.families.groups import Groups, grouped
from priors.families.noise import NOISES
from priors.sampling.dataset import NoDatasetError, sample_dataset, sample_with_model, sample_with_table
from priors.sampling.random_scm import sample_scm
from priors.streams import DATASET, draw_states, stream

HALF = PriorConfig(grouped_fraction=(0.5, 0.5))


def groups_of(sizes, seed=0):
    return Groups(sizes, *draw_states(stream(seed), 1))


def models(config, count=40):
    return [sample_with_model(config, stream(0, DATASET, index))[2] for index in range(count)]


# Groups


def test_each_row_has_the_first_row_of_its_group():
    rows = groups_of([1.0] * 7).first_rows(100)
    assert len(np.unique(rows)) == 7
    assert (rows <= np.arange(100)).all()
    np.testing.assert_array_equal(rows[rows], rows)


def test_earlier_rows_do_not_depend_on_later_ones():
    groups = groups_of([3.0, 2.0, 1.0, 0.5])
    np.testing.assert_array_equal(groups.first_rows(150)[:60], groups.first_rows(60))


def test_groups_have_their_shares_of_the_rows():
    rows = groups_of([5.0, 3.0, 2.0]).first_rows(20_000)
    counts = np.sort(np.unique(rows, return_counts=True)[1])
    assert chisquare(counts, [4000, 6000, 10_000]).pvalue > 1e-3


@pytest.mark.parametrize("name", NOISES)
def test_the_rows_of_a_group_have_the_noise_of_its_first_row(name):
    groups = groups_of([1.0, 2.0, 3.0, 4.0])
    own = NOISES[name](200, stream(1))
    np.testing.assert_array_equal(grouped(NOISES[name], groups, 200, stream(1)), own[groups.first_rows(200)])


# In a model


def noise_of(model, node, num_datapoints=200):
    return model.scm.noises[node](num_datapoints, stream(5))


def test_grouped_nodes_have_one_noise_per_group_and_the_others_one_per_row():
    num_grouped = 0
    for model in models(replace(HALF, roots="normal", noises="uniform")):
        for node in model.scm.nodes:
            is_grouped = node in model.grouped_nodes
            rows = model.groups.first_rows(200) if is_grouped else np.arange(200)
            noise = noise_of(model, node)
            np.testing.assert_array_equal(noise[rows], noise)
            assert len(np.unique(noise)) == len(np.unique(rows))
            num_grouped += is_grouped
    assert num_grouped > 100


def test_rows_of_a_group_are_alike_as_far_as_the_noise_of_the_group_goes():
    """The noise of a mechanism's node is a random intercept: all of it lies between the groups."""
    graph = nx.DiGraph([("x", "y")])
    config = PriorConfig(
        num_datapoints=5000,
        group_size=(50, 50),
        grouped_fraction=(1, 1),
        mechanisms="linear",
        noises="normal",
        noise_scale=(1, 1),
    )
    own_root = {"x": lambda num_datapoints, rng: rng.standard_normal(num_datapoints)}
    model = sample_scm(config, graph, stream(0), noises=own_root)
    assert model.grouped_nodes == ["y"]
    values = model.scm.sample(5000, stream(1))
    slope = np.polyfit(values["x"], values["y"], 1)[0]
    noise = values["y"] - slope * values["x"]
    first_rows = model.groups.first_rows(5000)
    of_group = [noise[first_rows == row] for row in np.unique(first_rows)]
    within = np.mean([part.std() for part in of_group])
    between = np.std([part.mean() for part in of_group])
    assert within < 0.1
    assert 0.8 < between < 1.2


def test_nodes_that_are_not_grouped_are_drawn_as_without_it():
    found = 0
    for index in range(40):
        (dataset, _, model), (other, _, plain) = (
            sample_with_model(config, stream(0, DATASET, index)) for config in (HALF, PriorConfig())
        )
        if dataset.properties["attempts"] == other.properties["attempts"] == 1:
            assert model.scm.parent_places == plain.scm.parent_places
            for node in set(model.scm.nodes) - set(model.grouped_nodes):
                np.testing.assert_array_equal(noise_of(model, node), noise_of(plain, node))
                found += 1
    assert found > 100


@pytest.mark.parametrize("field", ["categorical_fraction", "drift_fraction"])
def test_other_shares_of_nodes_do_not_move_the_groups(field):
    with_both, alone = (
        sample_scm(config, [[]] * 9, stream(0)) for config in (replace(HALF, **{field: (0.3, 0.3)}), HALF)
    )
    assert with_both.grouped_nodes == alone.grouped_nodes
    np.testing.assert_array_equal(with_both.groups.first_rows(150), alone.groups.first_rows(150))


def test_so_many_nodes_are_grouped_and_the_share_is_drawn_for_each_dataset():
    graph = nx.empty_graph(400, create_using=nx.DiGraph)
    shares = [
        len(sample_scm(replace(HALF, grouped_fraction=(0, 0.6)), graph, stream(seed)).grouped_nodes) / 400
        for seed in range(200)
    ]
    assert kstest(shares, "uniform", args=(0, 0.6)).pvalue > 1e-3


@pytest.mark.parametrize("size", [2, 5, 20])
@pytest.mark.parametrize("num_datapoints", [150, 1000])
def test_a_group_has_so_many_rows_in_the_mean(size, num_datapoints):
    config = PriorConfig(num_datapoints=num_datapoints, group_size=(size, size), grouped_fraction=(1, 1))
    groups = [sample_scm(config, [[]], stream(seed)).groups for seed in range(200)]
    with_rows = [len(np.unique(found.first_rows(num_datapoints))) for found in groups]
    assert abs(num_datapoints / np.mean(with_rows) / size - 1) < 0.05


def test_there_are_two_groups_at_least():
    config = replace(HALF, group_size=(1000, 1000), grouped_fraction=(1, 1))
    assert len(sample_scm(config, [[]], stream(0)).groups.sizes) == 2


def test_the_size_is_log_uniform_over_datasets():
    config = replace(HALF, num_datapoints=100_000, group_size=(5, 50), grouped_fraction=(1, 1))
    numbers = [len(sample_scm(config, [[]], stream(seed)).groups.sizes) for seed in range(300)]
    log_sizes = np.log(1 + 99_999 / np.array(numbers))
    assert kstest(log_sizes, "uniform", args=(np.log(5), np.log(10))).pvalue > 1e-3


def test_sizes_of_groups_are_a_flat_dirichlet():
    config = replace(HALF, group_size=(100, 100), grouped_fraction=(1, 1))
    sizes = np.array([sample_scm(config, [[]], stream(seed)).groups.sizes for seed in range(500)])
    assert kstest(sizes[:, 0] / sizes.sum(axis=1), "uniform").pvalue > 1e-3  # of two groups


def test_models_of_one_prior_have_groups_of_their_own():
    rows = [model.groups.first_rows(150).tobytes() for model in models(HALF) if model.groups]
    assert len(set(rows)) == len(rows)


# In a dataset


@pytest.mark.parametrize("problem_type", ["classification", "regression"])
def test_properties_count_grouped_nodes_and_the_groups_that_have_rows(problem_type):
    without = 0
    for index in range(30):
        config = replace(HALF, grouped_fraction=(0, 0.3), problem_type=problem_type)
        dataset, _, model = sample_with_model(config, stream(0, DATASET, index))
        assert dataset.properties["num_grouped_nodes"] == len(model.grouped_nodes)
        if model.groups is None:
            assert dataset.properties["num_groups"] == 0
            without += 1
        else:
            assert dataset.properties["num_groups"] == len(np.unique(model.groups.first_rows(150)))
    assert 0 < without < 15


def test_of_repeated_rows_only_the_groups_that_are_shown_count():
    config = replace(HALF, group_size=(3, 3), duplicate_fraction=(0.5, 0.5))
    fewer = 0
    for index in range(10):
        dataset, _, model, table = sample_with_table(config, stream(0, DATASET, index))
        if model.groups is not None:
            shown = {int(row) for row in model.groups.first_rows(150)[table.rows]}
            assert dataset.properties["num_groups"] == len(shown)
            fewer += len(shown) < len(np.unique(model.groups.first_rows(150)))
    assert fewer > 5


def test_a_prior_of_two_groups_that_refuses_all_draws_is_told_why():
    graph = nx.DiGraph([("a", "y"), ("b", "y")])
    graph.nodes["y"]["role"] = "target"
    config = PriorConfig(
        graph=graph,
        grouped_fraction=(1, 1),
        group_size=(1000, 1000),
        roots="normal",
        num_datapoints=12,
        train_fraction=(0.5, 0.5),
        problem_type="regression",
    )
    with pytest.raises(NoDatasetError, match=r"widen mechanisms, .* grouped_fraction, group_size"):
        sample_dataset(config, stream(0))


def test_columns_of_grouped_roots_have_a_value_per_group():
    config = PriorConfig(grouped_fraction=(1, 1), group_size=(10, 10), roots="normal")
    found = 0
    for index in range(20):
        dataset, structure, model = sample_with_model(config, stream(0, DATASET, index))
        roots = [place for place, node in enumerate(structure.features) if node not in model.scm.mechanisms]
        for column in dataset.x.T[roots]:
            assert len(np.unique(column)) == dataset.properties["num_groups"]
            found += 1
    assert found > 20


def test_without_the_setting_there_is_no_property():
    assert "num_groups" not in sample_dataset(PriorConfig(), stream(0)).properties
