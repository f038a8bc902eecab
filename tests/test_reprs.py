"""What a notebook shows of a dataset, a dump, a model and a config: a line with what matters."""

import networkx as nx
import pytest

from nanotabpfn import NanoTabPFNModel
from nanotabpfn.model.bins import standard_edges
from priors import (
    PRESETS,
    OwnGraph,
    PriorConfig,
    generate_dump,
    open_dump,
    sample_dataset,
    sample_scm,
    stream,
)

GRAPH = OwnGraph({"age": {}, "income": {}, "default": {"role": "target"}}, [("age", "default")])


@pytest.mark.parametrize("name", PRESETS)
def test_the_repr_of_a_config_makes_it_again_and_is_short(name):
    shown = repr(PRESETS[name])
    assert eval(shown, {"PriorConfig": PriorConfig}) == PRESETS[name]
    assert len(shown) < 1200


def test_the_repr_of_a_config_has_its_changes_alone():
    assert repr(PriorConfig()) == "PriorConfig()"
    assert (
        repr(PriorConfig(num_features=3, mix="dataset")) == "PriorConfig(num_features=(3, 3), mix='dataset')"
    )


def test_a_graph_of_ones_own_is_shown_by_its_sizes():
    assert repr(GRAPH) == "<OwnGraph: 3 nodes, 1 edges, 2 features, target 'default'>"
    assert repr(GRAPH) in repr(PriorConfig(graph=GRAPH))


def test_a_dataset_is_shown_by_its_sizes():
    config = PriorConfig(num_datapoints=40, num_features=2, num_classes=3)
    assert repr(sample_dataset(config, stream(0), 30)) == (
        "<Dataset: 40 rows (30 training) x 2 features, 3 classes>"
    )
    real = PriorConfig(num_datapoints=40, num_features=2, problem_type="regression", twins=True)
    assert repr(sample_dataset(real, stream(0), 30)) == (
        "<Dataset: 40 rows (30 training) x 2 features, real target, with a twin>"
    )


def test_a_causal_model_is_shown_by_its_sizes():
    graph = nx.DiGraph([("a", "c"), ("b", "c")])
    graph.nodes["a"].update(kind="categorical", num_categories=3)
    model = sample_scm(PriorConfig(), graph, stream(0))
    assert repr(model.scm) == "<SCM: 3 nodes, 2 edges, 2 roots, 1 categories>"


def test_a_dump_is_shown_by_its_name_and_sizes(tmp_path):
    generate_dump(tmp_path / "my.h5", PriorConfig(num_datapoints=20), 3, seed=0)
    with open_dump(tmp_path / "my.h5") as dump:
        assert repr(dump) == (
            f"<Dump {str(tmp_path / 'my.h5')!r}: 3 datasets of at most 20 rows x 5 features, classification, "
            "at most 2 classes>"
        )


def test_a_network_is_shown_by_what_differs_from_the_published_one():
    assert repr(NanoTabPFNModel()) == "<NanoTabPFNModel(): 356,066 parameters>"
    regressor = NanoTabPFNModel(8, 2, 8, 1, 20, bin_edges=standard_edges(20))
    assert repr(regressor).startswith("<NanoTabPFNModel(embedding_size=8, num_attention_heads=2, ")
    assert "bin_edges=<21 edges>): 1,052 parameters>" in repr(regressor)
