"""What a notebook shows of a dataset, a dump, a model and a config: a line with what matters."""

from html.parser import HTMLParser

import h5py
import networkx as nx
import numpy as np
import pytest

import priors
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
    names = {
        one: getattr(priors, one) for one in ("PriorConfig", "uniform", "log_uniform", "integers", "choice")
    }
    assert eval(shown, names) == PRESETS[name]
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


# ------------------------------------------------------------------------------------------ HTML in notebooks


class Parts(HTMLParser):
    """The texts and tags of a piece of HTML, which must be well-formed."""

    def __init__(self, html):
        super().__init__()
        self.texts, self.tags, self._open = [], [], []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, text):
        self.texts.append(text)

    @property
    def text(self):
        return " ".join(self.texts)


def html_of(value):
    html = value._repr_html_()
    assert len(html) < 20_000
    return Parts(html)


HOSTILE = "<script>alert('x')</script>"


@pytest.mark.parametrize("name", PRESETS)
def test_the_html_of_a_config_has_its_changes_first(name):
    found = html_of(PRESETS[name])
    changed = found.text.partition("all settings")[0]
    for field in ("mechanisms", "graphs", "label_noise"):
        differs = getattr(PRESETS[name], field) != getattr(PriorConfig(), field)
        assert not differs or field in changed
    assert "num_datapoints" in found.text
    assert ": 1 changed settings num_features 3 " in html_of(PriorConfig(num_features=3)).text
    assert ": the defaults all settings" in html_of(PriorConfig()).text


def test_the_html_of_a_dataset_has_rows_target_and_properties():
    dataset = sample_dataset(PriorConfig(num_datapoints=40, num_features=20, num_classes=3), stream(0), 30)
    found = html_of(dataset)
    assert "40 rows (30 training) x 20 features, 3 classes" in found.text
    assert {"train 0", "train 2", "test 30", "test 32", "x11", "…", "y"} <= set(found.texts)
    assert not {"train 3", "test 33", "x12"} & set(found.texts)
    assert found.tags.count("table") == 2
    assert "num_edges" in found.texts
    assert all(f"{label}: {(dataset.y == label).mean():.0%}" in found.text for label in range(3))


def test_the_html_of_a_real_target_is_a_histogram_and_missing_cells_are_empty():
    config = PriorConfig(num_datapoints=40, problem_type="regression", missing_fraction=0.5)
    found = html_of(sample_dataset(config, stream(0), 30))
    assert found.tags.count("rect") == 20
    assert "nan" not in found.text


def test_the_html_of_a_causal_model_is_its_graph():
    graph = nx.DiGraph([("a", "c"), ("b", "c"), ("a", "d"), ("d", "c")])
    graph.nodes["a"].update(kind="categorical", num_categories=3)
    found = html_of(sample_scm(PriorConfig(), graph, stream(0)).scm)
    assert {"a", "b", "c", "d", "b (root)", "a (category)", "c (node)"} <= set(found.texts)
    assert found.tags.count("polyline") == 4
    assert (found.tags.count("rect"), found.tags.count("circle")) == (1, 3)
    many = nx.DiGraph([(number, number + 1) for number in range(60)])
    assert (
        "not drawn: it has more than 40 nodes" in html_of(sample_scm(PriorConfig(), many, stream(0)).scm).text
    )


def test_the_html_of_a_dump_has_its_sizes_and_its_origin(tmp_path):
    generate_dump(tmp_path / "my.h5", PriorConfig(num_datapoints=20), 3, seed=7)
    with open_dump(tmp_path / "my.h5") as dump:
        found = html_of(dump)
    assert f"3 datasets in {tmp_path / 'my.h5'}" in found.text
    assert {"at most 20 x 5", "classification", "7"} <= set(found.texts)
    assert "noise_scale" in found.text


def test_names_cannot_be_html(tmp_path):
    graph = nx.DiGraph([(HOSTILE, "c")])
    assert "script" not in html_of(sample_scm(PriorConfig(), graph, stream(0)).scm).tags
    dataset = sample_dataset(PriorConfig(num_datapoints=40), stream(0))
    assert "script" not in html_of(dataset._replace(properties={HOSTILE: HOSTILE})).tags
    path = tmp_path / "<script>.h5"
    generate_dump(path, PriorConfig(num_datapoints=20), 3, seed=0)
    with h5py.File(path, "r+") as file:
        file.attrs["generator"] = HOSTILE
        file["properties"].create_dataset("<script>", data=[1, 2, 3], chunks=(3,))
    with open_dump(path) as dump:
        assert "<script>" in dump.properties
        found = html_of(dump)
    assert "script" not in found.tags
    assert HOSTILE in found.texts


def test_attributes_and_targets_of_any_kind_can_be_shown(tmp_path):
    path = tmp_path / "my.h5"
    generate_dump(path, PriorConfig(num_datapoints=20, problem_type="regression"), 3, seed=0)
    with h5py.File(path, "r+") as file:
        file.attrs["seed"] = [1, 2]
        file.attrs["generator"] = "x" * 60_000
        file["y"][0, :2] = np.inf, np.nan
    with open_dump(path) as dump:
        assert "[1 2]" in html_of(dump).texts
        assert html_of(dump[0]).tags.count("rect") == 20
