"""The prior: datasets are whole, the generator alone decides them, no stage moves another."""

import pickle
import random
import time
from dataclasses import replace
from functools import partial
from itertools import permutations

import networkx as nx
import numpy as np
import pytest
from scipy import stats

import priors.sampling.dataset
from priors.config import PriorConfig
from priors.families.categories import CONVERTERS
from priors.families.classes import CLASS_METHODS, balanced_cuts
from priors.families.graphs import GRAPHS
from priors.families.mechanisms import MECHANISMS, aggregate, linear, mlp
from priors.families.noise import NOISE_KINDS, NOISES, heteroscedastic, normal
from priors.presets import PRESETS
from priors.sampling.dataset import sample_dataset, sample_integer, sample_name, sample_scm
from priors.streams import DATASET, stream

WIDE = PriorConfig(num_classes=(2, 10), num_features=(1, 12))
REGRESSION = PriorConfig(problem_type="regression")
SETTINGS = {
    "default": PriorConfig(),
    "wide": WIDE,
    "regression": REGRESSION,
    "categories": PriorConfig(categorical_fraction=(1, 1)),
    "all columns warped and rounded": PriorConfig(warp_fraction=(1, 1), quantized_fraction=(1, 1)),
    "outliers": PriorConfig(outlier_fraction=(0, 0.2)),
    "independent": PriorConfig(coherence="independent"),
    "shared": PriorConfig(coherence="shared"),
    "dataset": PriorConfig(mix="dataset"),
    "early, no descendants": PriorConfig(
        target_position="early", allow_descendants=False, num_nodes=(15, 20)
    ),
    "late": PriorConfig(target_position="late"),
    "noisy labels": PriorConfig(label_noise=(0, 1), ordered_labels=0.5),
    **{method: PriorConfig(class_methods={method: 1}, num_classes=(2, 4)) for method in CLASS_METHODS},
}


def global_state():
    return pickle.dumps((random.getstate(), np.random.get_state()))  # noqa: NPY002


def assert_whole(dataset, config):
    x, y, single_eval_pos, properties, _ = dataset
    num_classes = properties["num_classes"]
    assert x.dtype == np.float32
    assert y.dtype == (np.int64 if config.problem_type == "classification" else np.float32)
    assert len(x) == len(y) == config.num_datapoints
    assert config.num_features[0] <= x.shape[1] <= config.num_features[1]
    assert config.num_classes[0] <= num_classes <= config.num_classes[1]
    assert config.split_range[0] <= single_eval_pos <= config.split_range[1]
    assert np.isfinite(x).all()
    if config.problem_type == "classification":
        assert set(y[:single_eval_pos].tolist()) == set(range(num_classes))
        assert set(y[single_eval_pos:].tolist()) == set(range(num_classes))
    else:
        assert np.isfinite(y).all()
        assert abs(y[:single_eval_pos].mean(dtype=float)) < 1e-3
        assert abs(y[:single_eval_pos].std(dtype=float) - 1) < 1e-3
    assert np.abs(x[:single_eval_pos].mean(axis=0, dtype=float)).max() < 1e-3
    assert np.abs(x[:single_eval_pos].std(axis=0, dtype=float) - 1).max() < 1e-3
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
    calls, original = [], getattr(priors.sampling.dataset, name)

    def recorder(*args):
        result = original(*args)
        calls.append((args, result))
        return result

    monkeypatch.setattr(priors.sampling.dataset, name, recorder)
    return calls


# What every dataset is


@pytest.mark.parametrize("config", SETTINGS.values(), ids=list(SETTINGS))
def test_datasets_are_whole(config):
    attempts = []
    for index in range(40):
        dataset = sample_dataset(config, stream(0, DATASET, index))
        assert_whole(dataset, config)
        attempts.append(dataset.properties["attempts"])
    assert np.mean(attempts) < 4
    assert max(attempts) < 40


def test_datasets_of_a_wide_prior_cover_its_ranges():
    datasets = [sample_dataset(WIDE, stream(0, DATASET, index)) for index in range(200)]
    assert {dataset.x.shape[1] for dataset in datasets} == set(range(1, 13))
    assert {dataset.properties["num_classes"] for dataset in datasets} == set(range(2, 11))
    assert {dataset.properties["graph"] for dataset in datasets} == set(WIDE.graphs)
    assert min(dataset.single_eval_pos for dataset in datasets) < 20
    assert max(dataset.single_eval_pos for dataset in datasets) > 130


def test_small_tables_are_possible():
    config = PriorConfig(num_datapoints=4, train_fraction=(0.5, 0.5), num_features=(1, 1), num_nodes=(2, 2))
    for index in range(50):
        assert_whole(sample_dataset(config, stream(0, DATASET, index)), config)


def test_a_graph_is_enlarged_to_hold_the_features_and_the_target():
    config = PriorConfig(num_features=(30, 30), num_nodes=(2, 3))
    assert sample_dataset(config, stream(0)).properties["num_nodes"] == 31


def test_labels_keep_the_order_of_their_classes_as_often_as_asked(monkeypatch):
    """Otherwise each of the six orders of three classes comes as often."""
    codes = []

    def recorded(*arguments):
        codes.append(balanced_cuts(*arguments))
        return codes[-1]

    monkeypatch.setitem(CLASS_METHODS, "recorded", recorded)
    for ordered, share in ((1, 1), (0, 1 / 6), (0.5, 0.5 + 1 / 12)):
        config = PriorConfig(num_classes=(3, 3), class_methods={"recorded": 1}, ordered_labels=ordered)
        orders = []
        for index in range(240):
            y = sample_dataset(config, stream(0, DATASET, index)).y
            orders.append(tuple(int(y[codes[-1] == label][0]) for label in range(3)))
            np.testing.assert_array_equal(y, np.array(orders[-1])[codes[-1]])
        shares = {order: orders.count(order) / 240 for order in permutations(range(3))}
        assert abs(shares.pop((0, 1, 2)) - share) <= 4 * (share * (1 - share) / 240) ** 0.5
        rest = (1 - share) / 5
        assert max(abs(found - rest) for found in shares.values()) <= 4 * (rest * (1 - rest) / 240) ** 0.5


def gain_of_least_squares(config, num_datasets=100):
    """Test accuracy of least squares on the training rows, minus that of the largest test class."""
    gains = []
    for index in range(num_datasets):
        x, y, split, *_ = sample_dataset(config, stream(0, DATASET, index), 100)
        design = np.column_stack([x, np.ones(len(x))])
        weights = np.linalg.lstsq(design[:split], y[:split], rcond=None)[0]
        share = y[split:].mean()
        gains.append(np.mean((design[split:] @ weights > 0.5) == y[split:]) - max(share, 1 - share))
    return np.mean(gains)


def test_features_tell_something_of_the_target_unless_labels_are_noise():
    gains = [
        gain_of_least_squares(replace(PRESETS["linear"], label_noise=(noise, noise))) for noise in (0, 0.5, 1)
    ]
    assert gains[0] > 0.1
    assert gains[0] - 0.05 > gains[1] > gains[2] + 0.05
    assert gains[2] < 0


def test_full_label_noise_makes_targets_independent_of_features():
    """Largest correlation of a feature with the target, in 150 rows: what chance gives, and not more."""

    def strongest(config):
        return [
            np.abs(np.corrcoef(x.T, y)[-1, :-1]).max()
            for x, y, *_ in (sample_dataset(config, stream(0, DATASET, i), 75) for i in range(60))
        ]

    for config in (PriorConfig(), REGRESSION):
        assert np.mean(strongest(config)) > 0.3
        assert np.mean(strongest(replace(config, label_noise=(1, 1)))) < 0.16


@pytest.mark.parametrize("noise", [0.2, 0.6])
def test_label_noise_moves_its_share_of_labels_and_keeps_the_classes(noise):
    """Of the rows that exchange labels, 1 - sum of squared shares get another one."""
    moved, expected = [], []
    for index in range(60):
        clean = sample_dataset(PriorConfig(), stream(0, DATASET, index), 75)
        noisy = sample_dataset(PriorConfig(label_noise=(noise, noise)), stream(0, DATASET, index), 75)
        if clean.properties["attempts"] == noisy.properties["attempts"] == 1:
            shares = np.bincount(clean.y) / 150
            assert np.bincount(noisy.y).tolist() == np.bincount(clean.y).tolist()
            np.testing.assert_array_equal(noisy.x, clean.x)
            moved.append(np.mean(noisy.y != clean.y))
            expected.append(noise * (1 - (shares**2).sum()))
    assert len(moved) > 40
    assert abs(np.mean(moved) - np.mean(expected)) < 0.015


def test_regression_has_the_target_s_own_values(monkeypatch):
    calls = record(monkeypatch, "_target")
    for index in range(20):
        dataset = sample_dataset(REGRESSION, stream(0, DATASET, index), 75)
        values = calls[-1][0][1].astype(float)
        expected = (values - values[:75].mean()) / values[:75].std()
        np.testing.assert_allclose(dataset.y, expected, atol=1e-4)
        assert len(np.unique(dataset.y)) > 1


def test_the_same_table_whether_regression_or_classification_where_the_target_is_no_cause():
    """Only the target's descendants see its class."""
    config = PriorConfig(allow_descendants=False)
    num_equal = 0
    for index in range(40):
        first = sample_dataset(config, stream(0, DATASET, index), 75)
        second = sample_dataset(replace(config, problem_type="regression"), stream(0, DATASET, index), 75)
        if first.properties["attempts"] == second.properties["attempts"] == 1:
            np.testing.assert_array_equal(first.x, second.x)
            num_equal += 1
    assert num_equal > 10


# Missing cells, outliers, warps and rounding


@pytest.mark.parametrize("kind", [*priors.sampling.dataset.MISSING_KINDS, None])
def test_missing_cells_have_their_share_and_nothing_else_changes(kind):
    config = PriorConfig(missing_fraction=(0.2, 0.2))
    if kind:
        config = replace(config, missing_kinds={kind: 1})
    shares = []
    for index in range(60):
        whole = sample_dataset(PriorConfig(), stream(0, DATASET, index), 75)
        holed = sample_dataset(config, stream(0, DATASET, index), 75)
        missing = np.isnan(holed.x)
        np.testing.assert_array_equal(holed.x[~missing], whole.x[~missing])
        np.testing.assert_array_equal(holed.y, whole.y)
        shares.append(missing.mean())
    assert abs(np.mean(shares) - 0.2) < 0.01


def test_missing_shares_are_drawn_per_dataset():
    config = PriorConfig(missing_fraction=(0, 0.5))
    shares = [np.isnan(sample_dataset(config, stream(0, DATASET, i)).x).mean() for i in range(100)]
    assert min(shares) < 0.05
    assert max(shares) > 0.42
    assert abs(np.mean(shares) - 0.25) < 4 * 0.15 / 10


def mean_of(config, statistic, num_datasets=60):
    return np.mean(
        [statistic(sample_dataset(config, stream(0, DATASET, i), 75)) for i in range(num_datasets)]
    )


def test_table_effects_are_seen_in_the_table():
    def num_levels(dataset):
        return np.mean([len(np.unique(column)) for column in dataset.x.T])

    def far_out(dataset):
        return (np.abs(dataset.x) > 3.5).mean()

    plain = PriorConfig(
        warp_fraction=(0, 0), quantized_fraction=(0, 0), categorical_fraction=(0, 0), roots={"normal": 1}
    )
    assert mean_of(plain, num_levels) > 140
    assert mean_of(replace(plain, quantized_fraction=(1, 1)), num_levels) < 35
    assert mean_of(replace(plain, categorical_fraction=(1, 1)), num_levels) < 10
    assert mean_of(plain, far_out) < 0.005
    assert mean_of(replace(plain, outlier_fraction=(0.02, 0.02)), far_out) > 0.012
    assert mean_of(replace(plain, warp_fraction=(1, 1)), far_out) > 1.5 * mean_of(plain, far_out)


def test_categorical_columns_are_codes_on_equal_steps():
    config = PriorConfig(categorical_fraction=(1, 1))
    for index in range(30):
        for column in sample_dataset(config, stream(0, DATASET, index)).x.T.astype(float):
            levels = np.unique(column)
            assert len(levels) <= 10
            assert np.ptp(np.diff(levels)) < 1e-4


# The target's place


def test_no_feature_is_an_effect_of_the_target_where_these_are_excluded(monkeypatch):
    calls = record(monkeypatch, "choose_columns")
    for position in ("any", "late"):
        config = PriorConfig(target_position=position, allow_descendants=False)
        for index in range(60):
            sample_dataset(config, stream(0, DATASET, index))
            (graph, *_), (features, target) = calls[-1]
            assert not set(features) & nx.descendants(graph, target)
            assert position == "any" or target >= len(graph) - -(-len(graph) // 3)


# Learnability


def test_the_filter_keeps_only_datasets_in_its_range(monkeypatch):
    calls, num_refused = record(monkeypatch, "out_of_bag_score"), 0
    for problem_type, bounds in (("classification", (0.6, 0.9)), ("regression", (0.2, 0.8))):
        config = PriorConfig(problem_type=problem_type, learnability=bounds, num_datapoints=80)
        for index in range(3):
            calls.clear()
            dataset = sample_dataset(config, stream(0, DATASET, index))
            *refused, ((x, y, _), kept) = calls
            assert bounds[0] <= kept <= bounds[1]
            assert all(not bounds[0] <= score <= bounds[1] for _, score in refused)
            np.testing.assert_array_equal(x, dataset.x)
            np.testing.assert_array_equal(y, dataset.y)
            num_refused += len(refused)
    assert num_refused > 0


def test_difficulty_spreads_datasets_over_the_range_as_its_weights_say(monkeypatch):
    # Uniform scores in place of those of trees, which would take long.
    monkeypatch.setattr(priors.sampling.dataset, "out_of_bag_score", lambda x, y, rng: float(rng.random()))
    config = PriorConfig(learnability=(0.4, 1.0), difficulty=(1, 0, 2), num_datapoints=20)
    datasets = [sample_dataset(config, stream(0, DATASET, index)) for index in range(200)]
    scores = [dataset.properties["out_of_bag_score"] for dataset in datasets]
    hard, middle, easy = np.histogram(scores, bins=[0.4, 0.6, 0.8, 1.0])[0]
    assert middle == 0
    assert hard + easy == 200
    assert stats.binomtest(int(hard), 200, 1 / 3).pvalue > 0.001


def test_a_column_without_a_cell_in_the_training_rows_is_refused():
    config = PriorConfig(num_datapoints=12, train_fraction=(0.25, 0.25), missing_fraction=(0.6, 0.6))
    datasets = [sample_dataset(config, stream(0, DATASET, index)) for index in range(50)]
    assert all(not np.isnan(x[:num_train]).all(axis=0).any() for x, _, num_train, *_ in datasets)
    assert max(dataset.properties["attempts"] for dataset in datasets) > 3


def test_without_the_filter_nothing_is_scored(monkeypatch):
    monkeypatch.setattr(priors.sampling.dataset, "out_of_bag_score", None)
    sample_dataset(PriorConfig(), stream(0))


def test_a_filter_that_lets_all_through_changes_nothing():
    everything = PriorConfig(learnability=(0, 1))
    for index in range(3):
        first, second = (sample_dataset(c, stream(0, DATASET, index)) for c in (PriorConfig(), everything))
        assert 0 <= second.properties.pop("out_of_bag_score") <= 1
        assert_equal_datasets(first, second)


# The generator decides, and nothing else


@pytest.mark.parametrize("config", SETTINGS.values(), ids=list(SETTINGS))
def test_the_generator_determines_the_dataset(config):
    for index in range(5):
        first, second = (sample_dataset(config, stream(7, DATASET, index)) for _ in range(2))
        assert_equal_datasets(first, second)


def test_other_generators_give_other_datasets():
    assert len({sample_dataset(PriorConfig(), stream(seed)).x.tobytes() for seed in range(50)}) == 50


def test_successive_datasets_of_one_generator_differ():
    rng = stream(0)
    assert (sample_dataset(PriorConfig(), rng).x != sample_dataset(PriorConfig(), rng).x).any()


def test_global_random_state_is_left_alone():
    before = global_state()
    for config in [*SETTINGS.values(), replace(WIDE, learnability=(0, 1), missing_fraction=(0.1, 0.2))]:
        for index in range(3):
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


@pytest.mark.parametrize("single_eval_pos", [0, 1, 149])
def test_regression_needs_two_rows_on_both_sides(single_eval_pos):
    rule = "single_eval_pos must leave 2 rows on both sides of num_datapoints=150"
    with pytest.raises(ValueError, match=f"{rule}, got {single_eval_pos}"):
        sample_dataset(REGRESSION, stream(0), single_eval_pos)
    for smallest in (2, 148):
        assert_whole(
            sample_dataset(REGRESSION, stream(0), smallest), replace(REGRESSION, train_fraction=(0.01, 0.99))
        )


# Stages


@pytest.mark.parametrize(
    "change",
    [
        {"mechanisms": {"linear": 1}},
        {"mechanisms": {"oblivious_trees": 0.3, "linear": 0.7}},
        {"noises": {"laplace": 1}},
        {"noise_scale": (0.9, 1)},
        {"relevant_fraction": (0, 0)},
        {"coherence": "shared", "mix": "dataset"},
        {"categorical_fraction": (1, 1), "noise_kinds": {"multiplicative": 1}},
        {"class_methods": {"softmax_draw": 1}, "label_noise": (0.5, 1)},
        {"warp_fraction": (1, 1), "missing_fraction": (0.1, 0.5)},
        {"problem_type": "regression"},
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
    plain = PriorConfig(categorical_fraction=(0, 0))
    num_roots = 0
    for index in range(40):
        calls.clear()
        first = sample_dataset(plain, stream(0, DATASET, index))
        second = sample_dataset(replace(plain, mechanisms={name: 1}), stream(0, DATASET, index))
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


def families_of(scm):
    """The mechanism family and the aggregation (joint if none) of each node that has parents."""
    for mechanism in scm.mechanisms.values():
        kind = "joint"
        if isinstance(mechanism, partial) and mechanism.func is aggregate:
            kind, mechanism = mechanism.args
        yield (mechanism.func if isinstance(mechanism, partial) else mechanism), kind


def test_families_are_drawn_by_weight(monkeypatch):
    config = PriorConfig(
        graphs={"layered": 3, "random_tree": 1, "erdos_renyi": 0},
        mechanisms={"linear": 1, "mlp": 0, "oblivious_trees": 4},
        roots={"normal": 0, "uniform": 1},
        noise_kinds={"additive": 1, "heteroscedastic": 1},
        aggregations={"joint": 1, "maximum": 1},
        converters={"prototypes": 1},
        categorical_fraction=(0.3, 0.3),
        coherence="independent",
    )
    calls = record(monkeypatch, "sample_scm")
    graphs = [sample_dataset(config, stream(0, DATASET, index)).properties["graph"] for index in range(200)]
    assert set(graphs) == {"layered", "random_tree"}
    assert abs(graphs.count("layered") / 200 - 0.75) < 4 * (0.1875 / 200) ** 0.5
    models = [scm for _, (scm, *_) in calls]
    used = [family for scm in models for family, _ in families_of(scm)]
    assert set(used) == {linear, MECHANISMS["oblivious_trees"]}
    assert abs(used.count(linear) / len(used) - 0.2) < 4 * (0.16 / len(used)) ** 0.5
    assert {scm.noises[n] for scm in models for n in scm.graph if not scm.graph.pred[n]} == {
        NOISES["uniform"]
    }
    kinds = [scm.noise_kinds.get(node) for scm in models for node in scm.mechanisms]
    assert set(kinds) == {None, heteroscedastic}
    assert abs(kinds.count(None) / len(kinds) - 0.5) < 4 * (0.25 / len(kinds)) ** 0.5
    joined = [  # a single parent is joined with nothing
        kind
        for scm in models
        for node, (_, kind) in zip(scm.mechanisms, families_of(scm), strict=True)
        if len(scm.graph.pred[node]) > 1
    ]
    assert abs(joined.count("maximum") / len(joined) - 0.5) < 4 * (0.25 / len(joined)) ** 0.5
    categories = [scm.converters[node].func for _, (scm, categorical, _) in calls for node in categorical]
    assert set(categories) == {CONVERTERS["prototypes"]}
    num_nodes = sum(len(scm.graph) - 1 for scm in models)  # all but the target
    assert abs(len(categories) / num_nodes - 0.3) < 4 * (0.21 / num_nodes) ** 0.5


def chain_model(config, index, num_nodes=12):
    graph = nx.path_graph(num_nodes, create_using=nx.DiGraph)
    return sample_scm(config, graph, stream(0, DATASET, index))


def test_one_family_a_dataset_where_the_mix_says_so():
    mixed = PRESETS["mixed"]
    config = replace(mixed, mix="dataset")
    drawn = [{family for family, _ in families_of(chain_model(config, index)[0])} for index in range(60)]
    assert all(len(families) == 1 for families in drawn)
    assert len(set.union(*drawn)) > 5
    assert max(len({f for f, _ in families_of(chain_model(mixed, i)[0])}) for i in range(20)) > 3


def mlp_parameters(coherence, num_draws=400):
    """(draws, nodes, 2): gain and hidden layers of each node of a chain of perceptrons."""
    config = PriorConfig(mechanisms={"mlp": 1}, coherence=coherence)
    models = [chain_model(config, index)[0] for index in range(num_draws)]
    return np.array(
        [[(m.keywords["gain"], m.keywords["num_layers"]) for m in scm.mechanisms.values()] for scm in models]
    )


def test_coherence_says_how_the_nodes_of_a_dataset_belong_together():
    shared, independent, meta = map(mlp_parameters, ("shared", "independent", "meta"))
    assert (np.ptp(shared, axis=1) == 0).all()
    within = [np.mean(found[:, :, 0].var(axis=1, ddof=1)) for found in (shared, meta, independent)]
    uniform = (2.2 - 0.8) ** 2 / 12
    assert within[0] < 1e-12
    assert abs(within[1] - uniform / 3) < 0.06 * uniform
    assert abs(within[2] - uniform) < 0.06 * uniform
    across = [found[:, :, 0].mean(axis=1).var() for found in (shared, meta, independent)]
    assert across[0] > across[1] > 2 * across[2]
    for found in (shared, independent, meta):
        assert 0.8 <= found[:, :, 0].min() < found[:, :, 0].max() <= 2.2
        assert set(np.unique(found[:, :, 1])) == {1, 2}
        assert abs(found[:, :, 1].mean() - 1.5) < 0.1


def test_a_model_s_target_is_no_category_but_what_its_classes_make_of_it():
    graph = nx.path_graph(8, create_using=nx.DiGraph)
    config = PriorConfig(categorical_fraction=(1, 1))
    scm, categorical, _ = sample_scm(config, graph, stream(0), target=3)
    assert categorical == set(scm.converters) == set(graph) - {3}

    def classify(values, rng, reference):
        assert reference is values
        return np.sign(values)

    scm, categorical, _ = sample_scm(config, graph, stream(0), target=3, classify=classify)
    assert categorical == set(graph) - {3}
    assert scm.converters[3] is classify
    assert set(scm.sample(50, stream(1))[3].tolist()) == {-1, 1}


def test_parameters_come_from_their_ranges_and_default_to_the_function_s_own():
    config = PriorConfig(
        mechanisms={"mlp": 1}, parameters={"mlp": {"width": (5, 5), "activation": ["relu", "step"]}}
    )
    found = [m for index in range(20) for m in chain_model(config, index)[0].mechanisms.values()]
    assert {m.func for m in found} == {mlp}
    assert {tuple(sorted(m.keywords)) for m in found} == {("activation", "width")}
    assert {m.keywords["width"] for m in found} == {5}
    assert {m.keywords["activation"] for m in found} == {"relu", "step"}


def test_graph_parameters_come_from_their_ranges():
    config = PriorConfig(
        graphs={"barabasi_albert": 1},
        parameters={"barabasi_albert": {"num_edges": (2, 3)}},
        num_nodes=(12, 12),
    )
    drawn = [sample_dataset(config, stream(0, DATASET, i)).properties["num_edges"] for i in range(60)]
    assert set(drawn) == {1 + 2 * 10, 1 + 2 + 3 * 9}


def test_noise_scale_is_log_uniform():
    config = PriorConfig(noise_scale=(0.01, 1), coherence="shared")
    scales = [
        sample_dataset(config, stream(0, DATASET, index)).properties["noise_scale"] for index in range(300)
    ]
    assert abs(np.mean(np.log10(scales)) + 1) < 4 * (4 / 12 / 300) ** 0.5
    assert min(scales) < 0.02
    assert max(scales) > 0.5


def test_noise_has_its_scale_in_the_model():
    graph = nx.path_graph(3, create_using=nx.DiGraph)
    for scale in (0.1, 0.4):
        config = PriorConfig(
            noise_scale=(scale, scale), noise_kinds={"additive": 1}, categorical_fraction=(0, 0)
        )
        for index in range(5):
            scm, _, mean_scale = sample_scm(config, graph, stream(0, index))
            assert abs(mean_scale - scale) < 1e-6
            assert abs(scm.noises[1](20_000, stream(1)).std() - scale) < 0.05 * scale
            assert abs(scm.noises[0](20_000, stream(1)).std() - 1) < 0.05
            assert abs(scm.sample(20_000, stream(2))[1].std() - (1 + scale**2) ** 0.5) < 0.03


# Draws by weight and range


def test_integers_are_uniform_in_their_range_and_take_one_draw():
    drawn = [sample_integer((3, 6), stream(draw)) for draw in range(2000)]
    assert set(drawn) == {3, 4, 5, 6}
    assert np.abs(np.bincount(drawn)[3:] / 2000 - 0.25).max() < 4 * (0.1875 / 2000) ** 0.5
    after = []
    for bounds in ((3, 3), (0, 10**6)):
        rng = stream(0)
        sample_integer(bounds, rng)
        after.append(rng.random())
    assert after[0] == after[1]


def test_names_are_drawn_by_weight_whatever_their_order():
    weights = {"b": 3.0, "a": 1.0, "never": 0.0}
    drawn = [sample_name(weights, stream(draw)) for draw in range(2000)]
    assert set(drawn) == {"a", "b"}
    assert abs(drawn.count("b") / 2000 - 0.75) < 4 * (0.1875 / 2000) ** 0.5
    assert drawn == [sample_name(dict(reversed(weights.items())), stream(draw)) for draw in range(2000)]


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
    monkeypatch.setitem(NOISE_KINDS, "mine", lambda signal, noise: used.append("kind") or signal + noise)
    monkeypatch.setitem(CONVERTERS, "mine", lambda values, rng: used.append("converter") or np.sign(values))
    monkeypatch.setitem(CLASS_METHODS, "mine", lambda *args: used.append("classes") or balanced_cuts(*args))
    registered = ("mechanisms", "noises", "noise_kinds", "converters", "class_methods")
    config = PriorConfig(categorical_fraction=(0.5, 0.5), **{field: {"mine": 1} for field in registered})
    sample_dataset(config, stream(0))
    assert {"mechanism", "noise", "kind", "converter", "classes"} == set(used)


def test_families_by_dotted_path_are_used(monkeypatch, tmp_path):
    (tmp_path / "priors_of_mine.py").write_text(
        "import networkx as nx\n\n\n"
        "def star(num_nodes, rng, centre=0):\n"
        "    if centre != 7:\n"
        "        raise ValueError('its parameter was not given')\n"
        "    return nx.DiGraph((0, node) for node in range(1, num_nodes))\n\n\n"
        "def cube(parents, rng):\n"
        "    return parents[:, 0] ** 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = PriorConfig(
        graphs={"priors_of_mine:star": 1},
        mechanisms={"priors_of_mine:cube": 1},
        parameters={"priors_of_mine:star": {"centre": (7, 7)}},
    )
    dataset = sample_dataset(config, stream(0))
    assert dataset.properties["graph"] == "priors_of_mine:star"
    assert dataset.properties["num_edges"] == dataset.properties["num_nodes"] - 1


# Priors that fail


def test_a_prior_that_can_only_fail_says_so_soon(monkeypatch):
    monkeypatch.setitem(GRAPHS, "edgeless", edgeless)
    config = PriorConfig(graphs={"edgeless": 1}, relevant_fraction=(1, 1))
    start = time.perf_counter()
    with pytest.raises(RuntimeError, match=r"1000 draws in a row were refused.*edgeless"):
        sample_dataset(config, stream(0))
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_never_given_out(monkeypatch, bad):
    def broken(parents, rng):
        return np.where(np.arange(len(parents)) == 3, np.float32(bad), parents[:, 0])

    monkeypatch.setitem(GRAPHS, "chain", chain)
    monkeypatch.setitem(MECHANISMS, "broken", broken)
    config = PriorConfig(graphs={"chain": 1}, mechanisms={"broken": 1}, num_nodes=(6, 6))
    with pytest.raises(RuntimeError, match="1000 draws in a row were refused"):
        sample_dataset(config, stream(0))


def test_a_degenerate_draw_is_replaced_by_the_next(monkeypatch):
    answers = iter([None, None])
    original = priors.sampling.dataset.choose_columns
    monkeypatch.setattr(
        priors.sampling.dataset, "choose_columns", lambda *args: next(answers, original(*args))
    )
    dataset = sample_dataset(PriorConfig(), stream(0))
    assert dataset.properties["attempts"] == 3
    assert_whole(dataset, PriorConfig())
