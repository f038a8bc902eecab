"""Stages: a change of one stage of a prior leaves the draws of the others; families by weight and range."""

from dataclasses import replace
from functools import partial

import networkx as nx
import numpy as np
import pytest

import priors.sampling.dataset
import priors.sampling.structure
from priors.config import PriorConfig
from priors.families.categories import CONVERTERS
from priors.families.mechanisms import MECHANISMS, aggregate, linear, mlp
from priors.families.noise import NOISES, heteroscedastic
from priors.presets import PRESETS
from priors.sampling.dataset import sample_dataset
from priors.sampling.random_scm import sample_scm
from priors.sampling.ranges_and_weights import sample_name
from priors.streams import DATASET, stream

REGRESSION = PriorConfig(problem_type="regression")


def record(monkeypatch, module, name):
    """The arguments and results of each call of `name` in `module` while datasets are sampled."""
    calls, original = [], getattr(module, name)

    def recorder(*args):
        result = original(*args)
        calls.append((args, result))
        return result

    monkeypatch.setattr(module, name, recorder)
    return calls


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
    calls = record(monkeypatch, priors.sampling.structure, "choose_columns")
    config = PriorConfig(num_nodes=(10, 16))  # enough for all numbers of features
    for index in range(20):
        calls.clear()
        sample_dataset(config, stream(0, DATASET, index))
        parents = calls[0][0][0]
        calls.clear()
        sample_dataset(replace(config, **change), stream(0, DATASET, index))
        assert calls[0][0][0] == parents


@pytest.mark.parametrize("name", MECHANISMS)
def test_other_mechanisms_leave_graph_columns_split_and_roots(monkeypatch, name):
    calls = record(monkeypatch, priors.sampling.structure, "choose_columns")
    plain = PriorConfig(categorical_fraction=(0, 0))
    num_roots = 0
    for index in range(40):
        calls.clear()
        first = sample_dataset(plain, stream(0, DATASET, index))
        second = sample_dataset(replace(plain, mechanisms={name: 1}), stream(0, DATASET, index))
        assert [result for _, result in calls] == 2 * [result for _, result in calls[: len(calls) // 2]]
        assert first.single_eval_pos == second.single_eval_pos
        for stage in ("graph", "num_nodes", "num_edges", "num_classes", "redrawn_graph"):
            assert first.properties[stage] == second.properties[stage]
        if first.properties["attempts"] == second.properties["attempts"] == 1:
            (parents, *_), (features, _) = calls[-1]
            for place, feature in enumerate(features):
                if not parents[feature]:
                    np.testing.assert_array_equal(first.x[:, place], second.x[:, place])
                    num_roots += 1
    assert num_roots > 30


def test_other_noises_leave_graph_and_columns(monkeypatch):
    calls = record(monkeypatch, priors.sampling.structure, "choose_columns")
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
    calls = record(monkeypatch, priors.sampling.dataset, "sample_scm")
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
    assert 0.4 * uniform < within[1] < 0.65 * uniform
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


# Draws by weight


def test_names_are_drawn_by_weight_whatever_their_order():
    weights = {"b": 3.0, "a": 1.0, "never": 0.0}
    drawn = [sample_name(weights, stream(draw)) for draw in range(2000)]
    assert set(drawn) == {"a", "b"}
    assert abs(drawn.count("b") / 2000 - 0.75) < 4 * (0.1875 / 2000) ** 0.5
    assert drawn == [sample_name(dict(reversed(weights.items())), stream(draw)) for draw in range(2000)]
