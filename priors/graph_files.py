"""Graphs from files: GraphML, DOT, or a list of edges; which nodes of them are columns."""

import contextlib
import io
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import networkx as nx

from priors.arguments import as_path
from priors.own_graph import Node
from priors.registry import ConfigError

ENDINGS = (".graphml", ".dot", ".gv", ".txt", ".edges")


def read_graph(
    path: str | Path, target: str | None = None, features: Sequence[str] | None = None
) -> nx.DiGraph:
    """Read a graph with what is known of its nodes as attributes; see docs/own-graph.md.

    The format follows from the ending of the name: .graphml; .dot or .gv, which needs the package
    pydot; .txt or .edges, a line `cause effect` for each edge, `#` before comments.

    Args:
        target: the node to predict, in place of the one that the file names, which becomes a feature.
        features: the observed nodes except the target; all others are then hidden.

    Raises:
        ConfigError: the file cannot be read, or a node that is named is not in it; the message names both.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "credit.txt")
        ...     _ = path.write_text("age income\\nincome default  # cause, effect")
        ...     graph = read_graph(path, target="default")
        >>> list(graph.edges), graph.nodes["default"]
        ([('age', 'income'), ('income', 'default')], {'role': 'target'})
    """
    path = as_path("path", path)
    readers = {".graphml": _read_graphml, ".dot": _read_dot, ".gv": _read_dot}
    if path.suffix not in ENDINGS:
        raise ConfigError(f"{path}: the name must end in {', '.join(ENDINGS)}, from which the format follows")
    try:
        graph = readers.get(path.suffix, _read_edges)(path)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except (OSError, UnicodeDecodeError, ParseError, nx.NetworkXException, ValueError, KeyError) as error:
        raise ConfigError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    if not graph.is_directed():
        raise ConfigError(f"{path}: its edges have no direction; causes point to effects")
    if graph.number_of_edges() > len(set(graph.edges())):
        raise ConfigError(f"{path}: an edge is there twice")
    graph = nx.DiGraph(graph)
    for name in [*([] if target is None else [target]), *(features or ())]:
        if name not in graph:
            known = ", ".join(map(str, graph)) or "none"
            raise ConfigError(f"{path}: there is no node {name!r}; it has {known}")
    return with_roles(graph, target, features)


def with_roles(graph: nx.DiGraph, target: str | None, features: Sequence[str] | None) -> nx.DiGraph:
    """A copy of `graph` whose nodes have the roles that are given, and else keep theirs.

    Examples:
        >>> graph = with_roles(nx.DiGraph([("age", "income")]), target="income", features=None)
        >>> graph.nodes["income"]
        {'role': 'target'}
    """
    graph = graph.copy()
    for name, attributes in graph.nodes(data=True):
        if features is not None and attributes.get("role") != "target":
            attributes["role"] = "feature" if name in features else "hidden"
        if target is not None and name == target:
            attributes["role"] = "target"
        elif target is not None and attributes.get("role") == "target":
            attributes["role"] = "feature" if features is None or name in features else "hidden"
    return graph


def _read_graphml(path: Path) -> nx.DiGraph:
    graph = nx.read_graphml(path)
    for *_, attributes in graph.edges(data=True):
        attributes.pop("id", None)  # GraphML's number of the edge, without a meaning here
    return graph


def _read_dot(path: Path) -> nx.DiGraph:
    try:
        import pydot
    except ImportError as error:
        raise ConfigError("DOT needs the package pydot: pip install 'nanotabpfn-priors[dot]'") from error
    # pydot prints what it does not understand, and warns of its own dependencies.
    said = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(said):
        warnings.simplefilter("ignore")
        graphs = pydot.graph_from_dot_data(path.read_text(encoding="utf-8"))
    if not graphs:
        raise ConfigError(f"is not DOT: {said.getvalue().strip().splitlines()[-1]}")
    _check_dot(graphs[0])
    graph = nx.nx_pydot.from_pydot(graphs[0])
    unquoted = {node: node.strip('"') for node in graph}
    for *_, attributes in [*graph.nodes(data=True), *graph.edges(data=True)]:
        attributes.update({name: _unquoted(value) for name, value in attributes.items()})
    return nx.relabel_nodes(graph, unquoted)


def _check_dot(graph: Any) -> None:
    """Refuse what is not read of a graph of pydot, and would be lost or become another graph.

    Raises:
        ConfigError: naming it.
    """
    ends = [end for edge in graph.get_edge_list() for end in (edge.get_source(), edge.get_destination())]
    if graph.get_subgraph_list() or not all(isinstance(end, str) for end in ends):
        raise ConfigError("must have no subgraphs, got one; write its nodes and edges at the top level")
    port = next((end for end in ends if ":" in re.sub(r'"(\\.|[^"\\])*"', "", end)), None)
    if port is not None:
        raise ConfigError(f"must have no ports, got {port}; a name with a colon needs quotes")
    for kind in ("node", "edge"):
        for default in graph.get_node(kind):  # pydot has `node [...]` as a node of that name
            found = sorted(set(default.get_attributes()) & {*Node.__annotations__, "weight"})
            if found:
                raise ConfigError(
                    f"must give {found[0]} for each {kind}, got it in a statement `{kind} [...]` for all"
                )


def _unquoted(text: str) -> str:
    """A text of DOT without its quotes."""
    return text[1:-1].replace('\\"', '"') if text[:1] == text[-1:] == '"' else text


def _read_edges(path: Path) -> nx.DiGraph:
    graph = nx.DiGraph()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        names = line.partition("#")[0].split()
        if names and (len(names) != 2 or "," in "".join(names)):
            raise ConfigError(
                f"line {number} must be a cause and an effect with a space between them, such as "
                f"`age income`, got {line.strip()!r}"
            )
        graph.add_edges_from([names] if names else [])
    return graph
