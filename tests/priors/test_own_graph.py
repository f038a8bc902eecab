"""A user's own graph: what is declared stays, the rest is drawn; what cannot hold is refused by name."""

import json
import pickle
from dataclasses import replace
from functools import partial

import h5py
import networkx as nx
import numpy as np
import pytest

from priors.config import ConfigError, PriorConfig, with_overrides
from priors.dumps.read import open_dump
from priors.dumps.recorded_prior import UnverifiableError
from priors.dumps.validate import validate
from priors.dumps.verify import verify
from priors.families.mechanisms import mlp, weighted_sum
from priors.families.noise import NOISES, laplace, normal, uniform
from priors.generation.generate import generate_dump
from priors.own_graph import MOST_CHARACTERS, OwnGraph, nodes_of
from priors.presets import PRESETS
from priors.sampling.blocks import sample_block
from priors.sampling.dataset import sample_dataset
from priors.sampling.random_scm import sample_scm
from priors.streams import DATASET, split, stream

EDGES = [
    ("age", "income"),
    ("school", "income"),
    ("income", "debt"),
    ("luck", "debt"),
    ("income", "default"),
    ("debt", "default"),
    ("default", "letters"),
]
NODES = {
    "letters": {},
    "age": {"noise": "uniform"},
    "school": {"kind": "categorical", "num_categories": 3, "converter": "ordered_cuts"},
    "income": {"mechanism": "mlp", "parameters": {"width": 4}, "noise_scale": 0.25, "noise": "laplace"},
    "luck": {"role": "hidden"},
    "debt": {"role": "feature", "kind": "real"},
    "default": {"role": "target"},
}
CREDIT = OwnGraph(nodes=NODES, edges=EDGES)
CONFIG = PriorConfig(graph=CREDIT, num_datapoints=60, train_fraction=(0.5, 0.5))


def changed(edges=EDGES, **attributes):
    """The credit graph with other attributes of some nodes; None takes a node's attributes all away."""
    nodes = {name: dict(declared) for name, declared in NODES.items()}
    for name, declared in attributes.items():
        nodes[name] = {} if declared is None else nodes.get(name, {}) | declared
    return {"nodes": nodes, "edges": edges}


def refusal(graph, **fields):
    with pytest.raises(ConfigError) as refused:
        with_overrides(PriorConfig(), {"graph": graph, **fields})
    return str(refused.value)


# What it makes of a prior


def test_datasets_show_the_features_in_their_order_and_are_as_the_config_asks():
    config = replace(CONFIG, num_classes=(3, 3))
    assert (config.num_features, config.num_nodes) == ((5, 5), (7, 7))
    assert CREDIT.feature_names == ["letters", "age", "school", "income", "debt"]
    assert CREDIT.target_name == "default"
    for index in range(20):
        x, y, num_train, properties, _ = sample_dataset(config, stream(0, DATASET, index))
        assert x.shape == (60, 5)
        assert num_train == 30
        assert set(y.tolist()) == {0, 1, 2}
        assert len(np.unique(x[:, 2])) <= 3
        assert len(np.unique(x[:, 3])) > 50
        assert (properties["graph"], properties["num_nodes"], properties["num_edges"]) == ("own", 7, 7)


def test_the_columns_are_the_nodes_of_one_model():
    """Without treatment of columns, each is its node's values, scaled."""
    config = replace(CONFIG, problem_type="regression")
    dataset = sample_dataset(config, stream(0, DATASET, 3))
    _, _, model_rng, node_rng, *_ = split(stream(0, DATASET, 3), 8)
    scm, _, _ = sample_scm(config, CREDIT.digraph, model_rng, "default")
    values = scm.sample(60, node_rng)
    for column, name in enumerate(CREDIT.feature_names):
        if name != "school":  # whose categories become codes
            assert np.corrcoef(dataset.x[:, column], values[name])[0, 1] > 0.9999
    assert np.corrcoef(dataset.y, values["default"])[0, 1] > 0.9999


def test_every_dataset_draws_its_own_mechanisms_and_the_generator_decides():
    first, second = (sample_dataset(CONFIG, stream(0, DATASET, index), 30) for index in (0, 1))
    again = sample_dataset(CONFIG, stream(0, DATASET, 0), 30)
    np.testing.assert_array_equal(first.x, again.x)
    assert (first.x != second.x).any()


def test_a_config_with_a_graph_goes_through_json_pickle_and_replace():
    config = PriorConfig.from_json(CONFIG.to_json())
    assert config == CONFIG == pickle.loads(pickle.dumps(CONFIG))
    assert replace(config, num_classes=(3, 3)).graph == CREDIT
    expected = sample_dataset(CONFIG, stream(0, DATASET, 5))
    np.testing.assert_array_equal(sample_dataset(config, stream(0, DATASET, 5)).x, expected.x)
    assert json.loads(config.to_json())["graph"]["nodes"] == NODES


def test_networkx_graphs_make_the_same_prior():
    graph = nx.DiGraph()
    graph.add_nodes_from(NODES.items())
    graph.add_edges_from(EDGES)
    own = replace(CONFIG, graph=graph).graph
    assert own.nodes == NODES
    assert set(own.edges) == set(EDGES)
    assert {name: [*own.digraph.pred[name]] for name in NODES} == {
        name: [*graph.pred[name]] for name in NODES
    }
    numbered = nx.DiGraph([(1, 2), (2, 3), (1, 3)])
    numbered.nodes[3]["role"] = "target"
    assert PriorConfig(graph=numbered).graph.feature_names == ["1", "2"]


@pytest.mark.parametrize("preset", PRESETS)
def test_any_preset_can_be_drawn_on_it(preset):
    config = replace(PRESETS[preset], graph=CREDIT)
    assert [sample_dataset(config, stream(0, DATASET, i)).x.shape for i in range(5)] == [(150, 5)] * 5


def test_a_target_that_is_a_root_is_noise_that_its_effects_tell_of():
    graph = {
        "nodes": {"illness": {"role": "target"}, "fever": {}, "cough": {}},
        "edges": [("illness", "fever")],
    }
    config = PriorConfig(
        graph=graph, noise_scale=(0.05, 0.05), mechanisms={"linear": 1}, problem_type="regression"
    )
    for index in range(5):
        x, y, *_ = sample_dataset(config, stream(0, DATASET, index))
        fever, cough = (abs(np.corrcoef(column, y)[0, 1]) for column in x.T)
        assert fever > 0.95
        assert cough < 0.4


# What is declared of a node stays


def model(graph=CREDIT, config=CONFIG, index=0, **given):
    return sample_scm(config, graph.digraph, stream(0, index), "default", **given)


def test_what_is_told_of_a_node_stays():
    for index in range(20):
        scm, categorical, _ = model(index=index)
        assert categorical == {"school"}
        assert scm.converters["school"].keywords["num_categories"] == 3
        assert scm.mechanisms["income"].func is mlp
        assert scm.mechanisms["income"].keywords["width"] == 4
        assert {"num_layers", "gain", "activation"} < scm.mechanisms["income"].keywords.keys()
        assert scm.noises["income"].args == (laplace, 0.25)
        assert scm.noises["age"] is uniform


def test_what_is_told_of_one_node_leaves_what_the_others_draw():
    plain = OwnGraph(**changed(age=None, school=None, income=None, debt=None))
    for index in range(10):
        (declared, _, _), (undeclared, _, _) = model(index=index), model(plain, index=index)
        for name in ("letters", "debt", "default"):
            first, second = declared.mechanisms[name], undeclared.mechanisms[name]
            assert (first.func, first.keywords) == (second.func, second.keywords)
        assert declared.noises["luck"] is undeclared.noises["luck"]


def test_what_is_not_told_differs_from_dataset_to_dataset():
    scms = [model(index=index)[0] for index in range(40)]
    assert len({scm.mechanisms["debt"].func for scm in scms}) == 4
    assert {scm.noises["luck"] for scm in scms} == set(NOISES.values())
    assert len({scm.mechanisms["income"].keywords["activation"] for scm in scms}) > 3


def test_a_node_is_categorical_or_real_as_told_and_else_as_the_config_draws():
    config = replace(CONFIG, categorical_fraction=(1, 1))
    assert model(config=config)[1] == {"letters", "age", "school", "income", "luck"}


def test_weighted_edges_are_a_weighted_sum_of_the_parents():
    edges = [("age", "income", 2), ("school", "income", -0.5), *EDGES[2:]]
    graph = OwnGraph(**changed(edges, income={"mechanism": "linear", "parameters": {}}))
    scm, _, _ = model(graph)
    assert scm.mechanisms["income"].func is weighted_sum
    values = scm.sample(500, stream(0))
    grade = float(values["school"][0])  # of a category, which can be set to its own values alone
    noise = scm.sample(500, stream(0), do={"age": 0, "school": grade})["income"]
    signal = 2 * values["age"] - 0.5 * values["school"]
    origin = (-0.5 * grade - signal.mean()) / signal.std()  # what the function gives there
    expected = (signal - signal.mean()) / signal.std() + noise - origin
    np.testing.assert_allclose(values["income"], expected, atol=1e-4)


def test_functions_of_the_user_s_own_stay_and_any_hashable_is_a_node():
    def both(parents, rng):
        return parents.sum(axis=1)

    quiet = partial(np.multiply, 0.0)
    graph = nx.DiGraph([(("a", 1), 2.5), (frozenset("b"), 2.5), (2.5, None.__class__)])
    scm, categorical, _ = sample_scm(
        PriorConfig(),
        graph,
        stream(0),
        mechanisms={2.5: both},
        noises={2.5: lambda n, rng: quiet(normal(n, rng)), ("a", 1): uniform},
    )
    assert scm.mechanisms[2.5] is both
    assert not categorical
    values = scm.sample(100, stream(0))
    total = values["a", 1] + values[frozenset("b")]
    np.testing.assert_allclose(values[2.5], (total - total.mean()) / total.std(), atol=1e-5)


def test_attributes_of_any_graph_are_told_of_its_nodes():
    graph = nx.DiGraph([(0, 1), (1, 2)])
    graph.nodes[1]["mechanism"] = "periodic"
    graph.edges[1, 2]["weight"] = -1
    scm, _, _ = sample_scm(PriorConfig(parameters={}), graph, stream(0))
    assert scm.mechanisms[1].__name__ == "periodic"
    assert scm.mechanisms[2].args == ([-1],)
    graph.nodes[1]["colour"] = "red"
    with pytest.raises(ValueError, match="node 1 has an unknown attribute colour='red'"):
        sample_scm(PriorConfig(), graph, stream(0))


def test_functions_for_unknown_nodes_are_refused():
    with pytest.raises(ValueError, match="mechanisms: node 'x' is not in the graph"):
        sample_scm(PriorConfig(), nx.DiGraph([(0, 1)]), stream(0), mechanisms={"x": normal})


# What cannot be


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ({"nodes": {}, "edges": []}, "graph: has no nodes"),
        (nx.DiGraph(), "graph: has no nodes"),
        (nx.Graph([(0, 1)]), "graph: must be a networkx.DiGraph, got a Graph"),
        (nx.DiGraph([(1, "1")]), "graph: must have nodes of different names, as texts"),
        (
            changed([*EDGES, ("debt", "debt")]),
            "graph: graph must not have a cycle, got 'debt' -> 'debt'",
        ),
        (changed([*EDGES, ("default", "age")]), "graph: graph must not have a cycle"),
        (changed([*EDGES, ("age", "agee")]), "graph: edge 'age' -> 'agee': there is no node 'agee'"),
        (changed([*EDGES, ("age", "income")]), "graph: edge 'age' -> 'income' is there twice"),
        (changed([("age",)]), "an edge is [cause, effect] or [cause, effect, weight], got ('age',)"),
        (changed(default=None), "graph: has no target: give one node the attribute role='target'"),
        (changed(debt={"role": "target"}), "graph: must have one target, got 'debt', 'default'"),
        (
            {"nodes": {"a": {"role": "hidden"}, "b": {"role": "target"}}, "edges": [("a", "b")]},
            "graph: has no features: give some nodes the attribute role='feature'",
        ),
        (
            {"nodes": {"a": {}, "b": {}, "c": {"role": "target"}}, "edges": [("a", "b")]},
            "graph: target 'c' has no cause in common with any feature",
        ),
        (
            changed(age={"colour": "red"}),
            "node 'age' has an unknown attribute colour='red'; a node may have role, kind, num_categories, "
            "converter, mechanism, parameters, noise, noise_scale",
        ),
        (
            changed(age={"role": "cause"}),
            "age.role: input should be 'feature', 'target' or 'hidden', got 'cause'",
        ),
        (
            changed(age={"kind": "ordinal"}),
            "age.kind: input should be 'real' or 'categorical', got 'ordinal'",
        ),
        (changed(debt={"mechanism": "magic"}), "debt.mechanism: unknown family 'magic'; known: linear, mlp"),
        (changed(debt={"mechanism": "no.where:f"}), "debt.mechanism: family 'no.where:f' cannot be imported"),
        (changed(age={"noise": "pink"}), "age.noise: unknown family 'pink'; known: normal, uniform"),
        (changed(debt={"noise_scale": 0}), "debt.noise_scale: input should be greater than 0, got 0"),
        (
            changed(school={"num_categories": 1}),
            "school.num_categories: input should be greater than or equal to 2",
        ),
        (
            changed(school={"converter": "dice"}),
            "school.converter: unknown family 'dice'; known: ordered_cuts",
        ),
        (changed(age={"mechanism": "mlp"}), "node 'age' must not have mechanism='mlp': it has no parents"),
        (changed(age={"noise_scale": 2}), "node 'age' must not have noise_scale=2.0: it has no parents"),
        (changed(debt={"num_categories": 3}), "node 'debt': num_categories=3 needs kind='categorical'"),
        (
            changed(default={"kind": "categorical", "num_categories": 3}),
            "node 'default' must not have num_categories=3",
        ),
        (
            changed(debt={"parameters": {"width": 3}}),
            "node 'debt': parameters={'width': 3} needs a mechanism",
        ),
        (
            changed(income={"parameters": {"depth": 3}}),
            "node 'income': parameters: depth is unknown: mlp has num_lay",
        ),
        (
            changed(income={"parameters": {"width": 2.5}}),
            "node 'income': parameters: width must be an integer, got 2.5",
        ),
        (
            changed(income={"parameters": {"gain": "high"}}),
            "node 'income': parameters: gain must be a number, got 'high'",
        ),
        (
            changed(income={"parameters": {"activation": "tan"}}),
            "parameters: activation must be among identity, leaky",
        ),
        (
            changed(income={"parameters": "width=3"}),
            "must be a JSON object such as {\"depth\": 3}, got 'width=3'",
        ),
        (
            changed([("age", "income", 2), *EDGES[1:]]),
            "node 'income': all of its 2 incoming edges need a weight, or none; got 1",
        ),
        (
            changed([("age", "income", 2), ("school", "income", 1), *EDGES[2:]]),
            "node 'income' must not have mechanism='mlp': its edges have weights",
        ),
        (changed([*EDGES[:-1], ("default", "letters", 0)]), "node 'letters': one of the weights"),
        (changed(**{"": {}}), "graph: a node's name must be 1..100 printable characters, got ''"),
        (changed(**{"a\nb": {}}), "a node's name must be 1..100 printable characters"),
        (changed(**{"n" * (MOST_CHARACTERS + 1): {}}), "a node's name must be 1..100 printable characters"),
        (
            "credit.graphml",
            "graph: input should be a dictionary or an instance of OwnGraph, got 'credit.graphml'",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(graph, message):
    assert message in refusal(graph)


def test_what_does_not_fit_the_config_is_refused():
    assert refusal(CREDIT, num_features=(2, 4)) == "num_features: the graph has 5, got (2, 4)"
    target = changed(default={"kind": "categorical"})
    assert with_overrides(PriorConfig(), {"graph": target}).graph.target_name == "default"
    message = "graph: target 'default' must have kind='real' in regression, got 'categorical'"
    assert refusal(target, problem_type="regression") == message


def test_edges_may_have_no_attribute_but_a_weight():
    graph = CREDIT.digraph.copy()
    graph.edges["age", "income"]["label"] = "pays"
    expected = "edge 'age' -> 'income' has an unknown attribute label='pays'; an edge may have weight"
    assert expected in refusal(graph)
    weighted = nx.DiGraph()
    weighted.add_edge("a", "b", weight=1)
    weighted.nodes["b"]["mechanism"] = "mlp"
    with pytest.raises(ValueError, match="node 'b' must not have mechanism='mlp'"):
        nodes_of(weighted)


# Dumps


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "credit.h5"
    generate_dump(path, replace(CONFIG, block_size=4), 24, seed=1, shard_size=8)
    return path


def test_a_dump_tells_the_names_and_can_be_made_again_from_itself(dump):
    with open_dump(dump) as opened:
        assert opened.feature_names == tuple(CREDIT.feature_names)
        assert opened.target_name == "default"
        assert opened.max_features == 5
        x, _ = opened.read(4, 8)
        config = PriorConfig.from_json(opened.attributes["config"])
    expected = sample_block(config, 1, 1)
    np.testing.assert_array_equal(x, np.stack([dataset.x for dataset in expected]))
    assert validate(dump).findings == []
    assert verify(dump, 24).findings == []


def test_a_dump_without_a_graph_tells_no_names(tiny_dump):
    with open_dump(tiny_dump) as opened:
        assert (opened.feature_names, opened.target_name) == (None, None)


def test_names_that_are_no_names_are_a_finding(dump, tmp_path):
    path = tmp_path / "bad.h5"
    for names in ('["a", "b"]', "[1, 2, 3, 4, 5]", "{}", "letters"):
        path.write_bytes(dump.read_bytes())
        with h5py.File(path, "r+") as file:
            file.attrs["feature_names"] = names
        with open_dump(path) as opened:
            assert opened.feature_names is None
        assert validate(path).findings == ["feature_names: is not a JSON list of 5 names"]


def test_code_that_a_node_names_is_not_imported_unasked(tmp_path):
    graph = changed(debt={"mechanism": "tests_of_own_graph_never_there:f"})
    fields = json.loads(CONFIG.to_json()) | {"graph": {"nodes": graph["nodes"], "edges": EDGES}}
    path = tmp_path / "foreign.h5"
    generate_dump(path, replace(CONFIG, block_size=4), 4, seed=1)
    with h5py.File(path, "r+") as file:
        file.attrs["config"] = json.dumps(fields)
    with pytest.raises(UnverifiableError, match="names code outside this package"):
        verify(path, 4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"attributes": {"e": {"nois": "normal"}}}, "nois"),
        ({"attributes": {"e": {"noise_scale": -1}}}, "noise_scale"),
        (
            {"attributes": {"e": {"mechanism": "mlp"}, "c": {"mechanism": "mlp"}}},
            "'c' must not have mechanism",
        ),
        ({"attributes": {"z": {}}}, "attributes: node 'z' is not in the graph"),
        ({"mechanisms": {"z": mlp}}, "mechanisms: node 'z' is not in the graph"),
        ({"noises": {"z": normal}}, "noises: node 'z' is not in the graph"),
    ],
)
@pytest.mark.parametrize("as_lists", [False, True])
def test_what_is_given_to_sample_scm_is_checked(given, message, as_lists):
    graph = nx.DiGraph([("c", "e")])
    if as_lists:
        names = {"c": 0, "e": 1}
        graph = [[], [0]]
        given = {argument: {names.get(n, n): v for n, v in own.items()} for argument, own in given.items()}
        message = message.replace("'c'", "0")
    with pytest.raises(ValueError, match=message):
        sample_scm(PriorConfig(), graph, stream(0), **given)


def test_attributes_of_lists_of_parents_are_used():
    attributes = {1: {"mechanism": "linear", "noise_scale": 1e-6}}
    model = sample_scm(PriorConfig(), [[], [0]], stream(0), attributes=attributes)
    values = model.scm.sample(100, stream(1))
    assert abs(np.corrcoef(values[0], values[1])[0, 1]) > 0.9999
