"""The prior: datasets are whole, the generator alone decides them, no stage moves another."""

import pickle
import random
import time
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

import priors.prior
from priors.config import PriorConfig
from priors.graphs import GRAPHS
from priors.mechanisms import MECHANISMS, linear
from priors.noise import NOISES, normal
from priors.presets import PRESETS, PURPOSES
from priors.prior import sample_dataset
from priors.streams import DATASET, stream

WIDE = PriorConfig(num_classes=(2, 10), num_features=(1, 12))


def global_state():
    return pickle.dumps((random.getstate(), np.random.get_state()))  # noqa: NPY002


def assert_whole(dataset, config):
    x, y, single_eval_pos, properties = dataset
    num_classes = properties["num_classes"]
    assert x.dtype == np.float32
    assert y.dtype == np.int64
    assert len(x) == len(y) == config.num_datapoints
    assert config.num_features[0] <= x.shape[1] <= config.num_features[1]
    assert config.num_classes[0] <= num_classes <= config.num_classes[1]
    assert config.split_range[0] <= single_eval_pos <= config.split_range[1]
    assert np.isfinite(x).all()
    assert set(y[:single_eval_pos].tolist()) == set(range(num_classes))
    assert set(y[single_eval_pos:].tolist()) == set(range(num_classes))
    assert x[:single_eval_pos].std(axis=0).min() > 0.9
    assert np.unique(x, axis=1).shape == x.shape
    assert properties["graph"] in config.graphs
    assert properties["num_nodes"] > x.shape[1]
    assert config.noise_scale[0] * 0.999 < properties["noise_scale"] < config.noise_scale[1] * 1.001


def assert_equal_datasets(first, second):
    np.testing.assert_array_equal(first.x, second.x)
    np.testing.assert_array_equal(first.y, second.y)
    assert (first.single_eval_pos, first.properties) == (second.single_eval_pos, second.properties)


def record(monkeypatch, name):
    """The arguments and results of each call that `sample_dataset` makes to `name`."""
    calls, original = [], getattr(priors.prior, name)

    def recorder(*args):
        result = original(*args)
        calls.append((args, result))
        return result

    monkeypatch.setattr(priors.prior, name, recorder)
    return calls


# What every dataset is


@pytest.mark.parametrize("config", [*PRESETS.values(), WIDE], ids=[*PRESETS, "wide"])
def test_datasets_are_whole(config):
    attempts = []
    for index in range(200):
        dataset = sample_dataset(config, stream(0, DATASET, index))
        assert_whole(dataset, config)
        attempts.append(dataset.properties["attempts"])
    assert np.mean(attempts) < 2
    assert max(attempts) < 20


def test_datasets_of_a_wide_prior_cover_its_ranges():
    datasets = [sample_dataset(WIDE, stream(0, DATASET, index)) for index in range(200)]
    assert {dataset.x.shape[1] for dataset in datasets} == set(range(1, 13))
    assert {dataset.properties["num_classes"] for dataset in datasets} == set(range(2, 11))
    assert {dataset.properties["graph"] for dataset in datasets} == set(GRAPHS)
    assert min(dataset.single_eval_pos for dataset in datasets) < 20
    assert max(dataset.single_eval_pos for dataset in datasets) > 130


def test_small_tables_are_possible():
    config = PriorConfig(num_datapoints=4, train_fraction=(0.5, 0.5), num_features=(1, 1), num_nodes=(2, 2))
    for index in range(50):
        assert_whole(sample_dataset(config, stream(0, DATASET, index)), config)


def test_a_graph_is_enlarged_to_hold_the_features_and_the_target():
    config = PriorConfig(num_features=(30, 30), num_nodes=(2, 3))
    assert sample_dataset(config, stream(0)).properties["num_nodes"] == 31


def test_every_preset_says_what_it_is_for():
    assert PURPOSES.keys() == PRESETS.keys()


def test_labels_do_not_tell_the_order_of_the_classes(monkeypatch):
    """Each of the six orders of three classes comes as often."""
    calls = record(monkeypatch, "cut_into_classes")
    config = PriorConfig(num_classes=(3, 3))
    orders = []
    for index in range(300):
        y = sample_dataset(config, stream(0, DATASET, index)).y
        ordered = calls[-1][1]
        orders.append(tuple(int(y[ordered == label][0]) for label in range(3)))
        np.testing.assert_array_equal(y, np.array(orders[-1])[ordered])
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6
    assert max(abs(count / 300 - 1 / 6) for count in counts) < 4 * (5 / 36 / 300) ** 0.5


def test_features_tell_something_of_the_target():
    """The linear preset, by least squares on the training rows, against the larger class of the test rows."""
    gains = []
    for index in range(100):
        x, y, split, _ = sample_dataset(PRESETS["linear"], stream(0, DATASET, index), 100)
        design = np.column_stack([x, np.ones(len(x))])
        weights = np.linalg.lstsq(design[:split], y[:split], rcond=None)[0]
        share = y[split:].mean()
        gains.append(np.mean((design[split:] @ weights > 0.5) == y[split:]) - max(share, 1 - share))
    assert np.mean(gains) > 0.1


# The generator decides, and nothing else


@pytest.mark.parametrize("config", [*PRESETS.values(), WIDE], ids=[*PRESETS, "wide"])
def test_the_generator_determines_the_dataset(config):
    for index in range(10):
        first, second = (sample_dataset(config, stream(7, DATASET, index)) for _ in range(2))
        assert_equal_datasets(first, second)


def test_other_generators_give_other_datasets():
    assert len({sample_dataset(PriorConfig(), stream(seed)).x.tobytes() for seed in range(50)}) == 50


def test_successive_datasets_of_one_generator_differ():
    rng = stream(0)
    assert (sample_dataset(PriorConfig(), rng).x != sample_dataset(PriorConfig(), rng).x).any()


def test_global_random_state_is_left_alone():
    before = global_state()
    for config in [*PRESETS.values(), WIDE]:
        for index in range(20):
            sample_dataset(config, stream(0, DATASET, index))
    assert global_state() == before


# The split as an argument


@pytest.mark.parametrize("single_eval_pos", [20, 75, 130])
def test_the_split_can_be_given(single_eval_pos):
    for index in range(20):
        dataset = sample_dataset(PriorConfig(), stream(0, DATASET, index), single_eval_pos)
        assert dataset.single_eval_pos == single_eval_pos
        assert (
            set(dataset.y[:single_eval_pos].tolist()) == set(dataset.y[single_eval_pos:].tolist()) == {0, 1}
        )


def test_a_given_split_leaves_the_graph():
    for index in range(20):
        drawn = sample_dataset(PriorConfig(), stream(0, DATASET, index))
        given = sample_dataset(PriorConfig(), stream(0, DATASET, index), 75)
        if drawn.properties["attempts"] == given.properties["attempts"]:
            assert drawn.properties == given.properties


@pytest.mark.parametrize("single_eval_pos", [0, -1, 1, 149, 150, 151])
def test_a_split_that_cannot_show_every_class_on_both_sides_is_refused(single_eval_pos):
    rule = "single_eval_pos must leave 2 rows, one for each class, on both sides of num_datapoints=150"
    with pytest.raises(ValueError, match=f"{rule}, got {single_eval_pos}"):
        sample_dataset(PriorConfig(), stream(0), single_eval_pos)


# Stages


@pytest.mark.parametrize(
    "change",
    [
        {"mechanisms": {"linear": 1}},
        {"mechanisms": {"oblivious_trees": 0.3, "linear": 0.7}},
        {"noises": {"laplace": 1}},
        {"noise_scale": (0.9, 1)},
        {"relevant_fraction": (0, 0)},
        {"train_fraction": (0.5, 0.5)},
        {"num_classes": (2, 4)},
        {"num_classes": (3, 3)},
        {"num_features": (3, 3)},
        {"num_features": (4, 6)},
    ],
    ids=str,
)
def test_another_stage_leaves_the_graph(monkeypatch, change):
    calls = record(monkeypatch, "choose_columns")
    for index in range(20):
        calls.clear()
        sample_dataset(PriorConfig(), stream(0, DATASET, index))
        graph = calls[0][0][0]
        calls.clear()
        sample_dataset(replace(PriorConfig(), **change), stream(0, DATASET, index))
        assert calls[0][0][0].nodes == graph.nodes
        assert calls[0][0][0].edges == graph.edges


@pytest.mark.parametrize("name", MECHANISMS)
def test_other_mechanisms_leave_graph_columns_split_and_roots(monkeypatch, name):
    calls = record(monkeypatch, "choose_columns")
    num_roots = 0
    for index in range(50):
        calls.clear()
        first = sample_dataset(PriorConfig(), stream(0, DATASET, index))
        second = sample_dataset(PriorConfig(mechanisms={name: 1}), stream(0, DATASET, index))
        assert calls[0][1] == calls[first.properties["attempts"]][1]
        if first.properties["attempts"] == second.properties["attempts"] == 1:
            assert first.single_eval_pos == second.single_eval_pos
            assert first.properties == second.properties
            (graph, *_), (features, _) = calls[0]
            for place, feature in enumerate(features):
                if graph.in_degree(feature) == 0:
                    np.testing.assert_array_equal(first.x[:, place], second.x[:, place])
                    num_roots += 1
    assert num_roots > 30


def test_other_noises_leave_graph_and_columns(monkeypatch):
    calls = record(monkeypatch, "choose_columns")
    for index in range(20):
        calls.clear()
        sample_dataset(PriorConfig(), stream(0, DATASET, index), 75)
        columns = calls[0][1]
        calls.clear()
        sample_dataset(PriorConfig(noises={"uniform": 1}), stream(0, DATASET, index), 75)
        assert calls[0][1] == columns


def test_families_are_drawn_by_weight(monkeypatch):
    config = PriorConfig(
        graphs={"layered": 3, "random_tree": 1, "erdos_renyi": 0},
        mechanisms={"linear": 1, "mlp": 0, "oblivious_trees": 4},
        noises={"normal": 0, "uniform": 1},
    )
    calls = record(monkeypatch, "sample_scm")
    graphs = [sample_dataset(config, stream(0, DATASET, index)).properties["graph"] for index in range(300)]
    assert set(graphs) == {"layered", "random_tree"}
    assert abs(graphs.count("layered") / 300 - 0.75) < 4 * (0.1875 / 300) ** 0.5
    used = [mechanism for _, scm in calls for mechanism in scm.mechanisms.values()]
    assert set(used) == {linear, MECHANISMS["oblivious_trees"]}
    assert abs(used.count(linear) / len(used) - 0.2) < 4 * (0.16 / len(used)) ** 0.5
    roots = [scm.noises[node] for (_, graph, *_), scm in calls for node in graph if not graph.pred[node]]
    assert set(roots) == {NOISES["uniform"]}


def test_noise_scale_is_log_uniform():
    config = PriorConfig(noise_scale=(0.01, 1))
    scales = [
        sample_dataset(config, stream(0, DATASET, index)).properties["noise_scale"] for index in range(300)
    ]
    assert abs(np.mean(np.log10(scales)) + 1) < 4 * (4 / 12 / 300) ** 0.5


# A user's own families


def chain(num_nodes, rng):
    return nx.path_graph(num_nodes, create_using=nx.DiGraph)


def edgeless(num_nodes, rng):
    return nx.empty_graph(num_nodes, create_using=nx.DiGraph)


def test_a_registered_graph_family_is_used(monkeypatch):
    monkeypatch.setitem(GRAPHS, "mine", chain)
    dataset = sample_dataset(PriorConfig(graphs={"mine": 1}), stream(0))
    assert dataset.properties["graph"] == "mine"
    assert dataset.properties["num_edges"] == dataset.properties["num_nodes"] - 1


def test_registered_mechanisms_and_noises_are_used(monkeypatch):
    used = []
    monkeypatch.setitem(
        MECHANISMS, "mine", lambda parents, rng: used.append("mechanism") or linear(parents, rng)
    )
    monkeypatch.setitem(
        NOISES, "mine", lambda num_datapoints, rng: used.append("noise") or normal(num_datapoints, rng)
    )
    config = PriorConfig(mechanisms={"mine": 1}, noises={"mine": 1})
    sample_dataset(config, stream(0))
    assert {"mechanism", "noise"} == set(used)


def test_families_by_dotted_path_are_used(monkeypatch, tmp_path):
    (tmp_path / "priors_of_mine.py").write_text(
        "import networkx as nx\n\n\n"
        "def star(num_nodes, rng):\n"
        "    graph = nx.DiGraph((0, node) for node in range(1, num_nodes))\n"
        "    return graph\n\n\n"
        "def cube(parents, rng):\n"
        "    return parents[:, 0] ** 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = PriorConfig(
        graphs={"priors_of_mine:star": 1}, mechanisms={"priors_of_mine:cube": 1}, noises={"uniform": 1}
    )
    dataset = sample_dataset(config, stream(0))
    assert dataset.properties["graph"] == "priors_of_mine:star"
    assert dataset.properties["num_edges"] == dataset.properties["num_nodes"] - 1


# Priors that fail


def test_a_prior_that_can_only_fail_says_so_soon(monkeypatch):
    monkeypatch.setitem(GRAPHS, "edgeless", edgeless)
    config = PriorConfig(graphs={"edgeless": 1}, relevant_fraction=(1, 1))
    start = time.perf_counter()
    with pytest.raises(RuntimeError, match=r"100 draws in a row were degenerate.*edgeless"):
        sample_dataset(config, stream(0))
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_never_given_out(monkeypatch, bad):
    def broken(parents, rng):
        return np.where(np.arange(len(parents)) == 3, np.float32(bad), parents[:, 0])

    monkeypatch.setitem(GRAPHS, "chain", chain)
    monkeypatch.setitem(MECHANISMS, "broken", broken)
    config = PriorConfig(graphs={"chain": 1}, mechanisms={"broken": 1}, num_nodes=(6, 6))
    with pytest.raises(RuntimeError, match="100 draws in a row were degenerate"):
        sample_dataset(config, stream(0))


def test_a_degenerate_draw_is_replaced_by_the_next(monkeypatch):
    answers = iter([None, None])
    original = priors.prior.choose_columns
    monkeypatch.setattr(priors.prior, "choose_columns", lambda *args: next(answers, original(*args)))
    dataset = sample_dataset(PriorConfig(), stream(0))
    assert dataset.properties["attempts"] == 3
    assert_whole(dataset, PriorConfig())
