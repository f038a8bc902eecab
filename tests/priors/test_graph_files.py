"""Graphs from files: GraphML, DOT and lists of edges tell the same; bad files are refused by name."""

import sys

import networkx as nx
import numpy as np
import pytest
from click.testing import CliRunner

from priors.cli.main import main
from priors.config import ConfigError, PriorConfig
from priors.dumps.formats.convert import convert
from priors.dumps.merge import merge_dumps
from priors.dumps.read import open_dump
from priors.dumps.shuffle import shuffle_dump
from priors.dumps.split import split_dump
from priors.graph_files import read_graph

GRAPHML = """<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
<key id="r" for="node" attr.name="role" attr.type="string"/>
<key id="k" for="node" attr.name="kind" attr.type="string"/>
<key id="n" for="node" attr.name="num_categories" attr.type="int"/>
<key id="m" for="node" attr.name="mechanism" attr.type="string"/>
<key id="p" for="node" attr.name="parameters" attr.type="string"/>
<key id="w" for="edge" attr.name="weight" attr.type="double"/>
<graph edgedefault="directed">
<node id="age"/>
<node id="job type"><data key="k">categorical</data><data key="n">3</data></node>
<node id="income"><data key="m">mlp</data><data key="p">{"width": 3}</data></node>
<node id="default"><data key="r">target</data></node>
<edge id="e1" source="age" target="income"/>
<edge source="job type" target="income"/>
<edge id="e2" source="income" target="default"><data key="w">-1</data></edge>
</graph></graphml>
"""
DOT = """// what pays back
digraph credit {
  age
  "job type" [kind="categorical", num_categories=3];
  income [mechanism=mlp, parameters="{\\"width\\": 3}"];
  default [role=target]
  age -> income
  "job type" -> income
  income -> default [weight=-1]
}
"""
EDGES = """# cause effect
age income

job_type income   # pays
income default
"""


@pytest.fixture
def write(tmp_path):
    def write_file(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


@pytest.mark.parametrize(("name", "text"), [("a.graphml", GRAPHML), ("a.dot", DOT), ("a.gv", DOT)])
def test_graphml_and_dot_tell_the_same(write, name, text):
    graph = PriorConfig(graph=read_graph(write(name, text))).graph
    assert graph.nodes == {
        "age": {},
        "job type": {"kind": "categorical", "num_categories": 3},
        "income": {"mechanism": "mlp", "parameters": {"width": 3}},
        "default": {"role": "target"},
    }
    assert graph.edges == (("age", "income"), ("job type", "income"), ("income", "default", -1.0))


def test_what_networkx_writes_is_read(tmp_path):
    graph = nx.DiGraph([("a", "b"), ("b", "c")])
    graph.nodes["c"]["role"] = "target"
    graph.edges["a", "b"]["weight"] = 0.5
    nx.write_graphml(graph, tmp_path / "a.graphml")
    read = read_graph(tmp_path / "a.graphml")
    assert read.nodes == graph.nodes
    assert read.edges == graph.edges


@pytest.mark.parametrize("name", ["a.txt", "a.edges"])
def test_a_list_of_edges(write, name):
    path = write(name, EDGES)
    assert list(read_graph(path).edges) == [("age", "income"), ("income", "default"), ("job_type", "income")]
    graph = PriorConfig(graph=read_graph(path, "default", ["job_type", "age"])).graph
    assert graph.feature_names == ["age", "job_type"]
    assert graph.nodes["income"] == {"role": "hidden"}
    assert PriorConfig(graph=read_graph(path, "default")).graph.feature_names == ["age", "income", "job_type"]


def test_a_target_that_is_named_takes_the_place_of_the_file_s(write):
    path = write("a.graphml", GRAPHML)
    roles = read_graph(path, "income").nodes(data="role")
    assert dict(roles) == {"age": None, "job type": None, "income": "target", "default": "feature"}
    roles = read_graph(path, "income", ["age"]).nodes(data="role")
    assert dict(roles) == {"age": "feature", "job type": "hidden", "income": "target", "default": "hidden"}
    roles = read_graph(path, features=["age"]).nodes(data="role")
    assert dict(roles) == {"age": "feature", "job type": "hidden", "income": "hidden", "default": "target"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "a,b", "must end in .graphml, .dot, .gv, .txt, .edges"),
        ("a.graphml", "<graphml", "cannot be read: "),
        ("a.graphml", "", "cannot be read: "),
        ("a.graphml", "<html></html>", "cannot be read: "),
        ("a.graphml", GRAPHML.replace('"directed"', '"undirected"'), "have no direction"),
        ("a.graphml", GRAPHML.replace(">3<", ">three<"), "cannot be read: "),
        ("a.dot", "digraph { a -> ", "is not DOT: "),
        ("a.dot", "", "is not DOT: "),
        ("a.dot", "graph { a -- b }", "have no direction"),
        ("a.dot", "digraph { a -> b; a -> b }", "an edge is there twice"),
        ("a.dot", "digraph { a -> b; subgraph cluster_x { b -> c } }", "must have no subgraphs"),
        ("a.dot", "digraph { a -> {b c} }", "must have no subgraphs"),
        ("a.dot", "digraph { a:n -> b }", "must have no ports, got a:n"),
        ("a.dot", 'digraph { a -> "c d":n }', 'must have no ports, got "c d":n'),
        (
            "a.dot",
            "digraph { node [noise=normal]; a -> b }",
            "give noise for each node, got it in a statement `node [",
        ),
        (
            "a.dot",
            "digraph { edge [weight=2]; a -> b }",
            "give weight for each edge, got it in a statement `edge [",
        ),
        ("a.txt", "a b\na -> b\n", "line 2 must be a cause and an effect with a space"),
        ("a.txt", "a\n", "such as `age income`, got 'a'"),
        ("a.txt", "a,b c\n", "line 1 must be a cause and an effect with a space between them"),
        ("a.txt", "a, b\n", "line 1 must be a cause and an effect with a space between them"),
    ],
)
def test_files_that_are_no_graphs_are_refused_by_name(write, name, text, message, capfd):
    path = write(name, text)
    with pytest.raises(ConfigError) as refused:
        read_graph(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert capfd.readouterr().out == ""


def test_files_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"\xe4 b\n")
    for name in ("nowhere.graphml", "nowhere.dot", "nowhere.txt", "latin.txt"):
        with pytest.raises(ConfigError, match=rf"{name}: cannot be read: "):
            read_graph(tmp_path / name)


def test_unknown_nodes_are_refused_by_name(write):
    path = write("a.txt", EDGES)
    with pytest.raises(ConfigError, match="there is no node 'wealth'; it has age, income, job_type, default"):
        read_graph(path, "wealth")
    with pytest.raises(ConfigError, match="there is no node 'wealth'"):
        read_graph(path, "default", ["age", "wealth"])


def test_dot_without_pydot_says_how_to_get_it(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydot", None)
    with pytest.raises(
        ConfigError, match=r"DOT needs the package pydot: pip install 'nanotabpfn-priors\[dot\]'"
    ):
        read_graph(write("a.dot", DOT))


# From the shell


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


TINY = ("--num-datasets", 8, "--set", "num_datapoints=24", "--set", "block_size=4")


@pytest.fixture
def dump(write, tmp_path):
    path = tmp_path / "credit.h5"
    result = run("generate", path, *TINY, "--graph", write("a.graphml", GRAPHML))
    assert result.exit_code == 0, result.output
    return path


def test_generate_takes_a_graph_and_inspect_shows_its_names(dump, tmp_path):
    page = run("inspect", dump).output
    assert "target    default\n" in page
    assert "features  age, job type, income\n" in page
    assert run("verify", dump).exit_code == run("validate", dump).exit_code == 0


def test_names_stay_in_dumps_made_of_dumps(dump, tmp_path, tiny_dump):
    names = ("age", "job type", "income"), "default"

    def names_of(path):
        with open_dump(path) as opened:
            return opened.feature_names, opened.target_name

    shuffle_dump(dump, tmp_path / "shuffled.h5", 0)
    parts = split_dump(dump, tmp_path, [4, 4])
    merge_dumps(parts, tmp_path / "merged.h5")
    convert(dump, tmp_path / "a.npz")
    convert(tmp_path / "a.npz", tmp_path / "b.parquet")
    convert(tmp_path / "b.parquet", tmp_path / "c.h5")
    made = ["shuffled.h5", *parts, "merged.h5", "c.h5"]
    assert [names_of(tmp_path / name) for name in made] == [names] * 5
    with open_dump(dump) as first, open_dump(tmp_path / "c.h5") as last:
        np.testing.assert_array_equal(first.read(0, 8)[0], last.read(0, 8)[0])
    merge_dumps([dump, tiny_dump], tmp_path / "both.h5")
    assert names_of(tmp_path / "both.h5") == (None, None)


def test_names_are_the_columns_of_parquet_unless_they_are_taken(dump, tmp_path, write):
    import pyarrow.parquet

    convert(dump, tmp_path / "a.parquet")
    columns = pyarrow.parquet.read_schema(tmp_path / "a.parquet").names
    assert columns == ["dataset", "row", "is_train", "y", "age", "job type", "income"]
    path = tmp_path / "taken.h5"
    graph = write("taken.txt", "row default\nage default\n")
    assert run("generate", path, *TINY, "--graph", graph, "--target", "default").exit_code == 0
    convert(path, tmp_path / "taken.parquet")
    assert pyarrow.parquet.read_schema(tmp_path / "taken.parquet").names[4:] == ["x0", "x1"]
    convert(tmp_path / "taken.parquet", tmp_path / "back.h5")
    with open_dump(tmp_path / "back.h5") as opened:
        assert opened.feature_names == ("row", "age")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--target", "age"], "--target and --features need --graph"),
        (["--features", "age"], "--target and --features need --graph"),
        (["--graph", "{edges}"], "names no target: --target NODE does, one of age, "),
        (["--graph", "{edges}", "--target", "wealth"], "there is no node 'wealth'"),
        (["--graph", "{edges}", "--target", "default", "--features", "age,,"], "there is no node ''"),
        (
            ["--graph", "{edges}", "--target", "default", "--set", "num_features=[2, 9]"],
            "--set num_features: has no effect with --graph",
        ),
        (
            ["--graph", "{edges}", "--target", "default", "--set", "graphs=layered"],
            "--set graphs: has no effect",
        ),
        (["--graph", "{cycle}", "--target", "b"], "must not have a cycle, got 'a' -> 'b' -> 'a'"),
        (["--graph", "nowhere.txt"], "does not exist"),
    ],
)
def test_what_cannot_be_is_a_usage_error_of_one_or_two_lines(words, message, write, tmp_path):
    files = {"edges": write("a.txt", EDGES), "cycle": write("c.txt", "a b\nb a\n")}
    result = run("generate", tmp_path / "out.h5", *TINY, *(word.format(**files) for word in words))
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.splitlines()) <= 2
    assert not (tmp_path / "out.h5").exists()
