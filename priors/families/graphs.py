"""Graph families: (num_nodes, rng, parameters) -> nx.DiGraph on 0..num_nodes-1, edges from low to high index.

Acyclic by construction: a node's causes have lower numbers than the node itself. The ranges from which a
prior draws a family's parameters stand in its config (`PriorConfig.parameters`).
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Annotated

import networkx as nx
import numpy as np

from priors.registry import Domain

GraphFamily = Callable[..., nx.DiGraph]


def erdos_renyi(
    num_nodes: int, rng: np.random.Generator, mean_parents: Annotated[float, Domain(0, 1000)] = 1.5
) -> nx.DiGraph:
    """Each of the possible edges i -> j, i < j, is there with the same probability.

    Args:
        mean_parents: expected parents of a node, at least 0; more than there is room for gives all edges.

    References:
        Erdos and Renyi, On random graphs I, 1959; oriented by node order as usual for random DAGs.

    Examples:
        >>> graph = erdos_renyi(5, np.random.default_rng(0), mean_parents=4)
        >>> graph.number_of_nodes(), all(cause < effect for cause, effect in graph.edges)
        (5, True)
    """
    _check_nodes(num_nodes)
    _check_at_least("mean_parents", mean_parents, 0)
    probability = 2 * mean_parents / max(1, num_nodes - 1)
    return _digraph(num_nodes, _forward(rng.random((num_nodes, num_nodes)) < probability))


def barabasi_albert(
    num_nodes: int, rng: np.random.Generator, num_edges: Annotated[int, Domain(1, 1000)] = 2
) -> nx.DiGraph:
    """Preferential attachment: each new node gets `num_edges` parents, likelier those of high degree.

    Early nodes become hubs that cause much of the table.

    Args:
        num_edges: parents of each new node, at least 1; fewer while there are fewer.

    References:
        Barabasi and Albert, Emergence of scaling in random networks, Science 1999.

    Examples:
        >>> graph = barabasi_albert(6, np.random.default_rng(0), num_edges=2)
        >>> [degree for _, degree in graph.in_degree]
        [0, 1, 2, 2, 2, 2]
    """
    _check_nodes(num_nodes)
    _check_at_least("num_edges", num_edges, 1)
    edges, uniforms = [], _uniforms(rng)
    ends = [0]  # every node as often as its degree (the first once more, to start from)
    for node in range(1, num_nodes):
        parents = set()
        while len(parents) < min(num_edges, node):
            parents.add(ends[int(next(uniforms) * len(ends))])
        edges.extend((parent, node) for parent in sorted(parents))
        ends.extend(parents)
        ends.extend([node] * len(parents))
    return _digraph(num_nodes, edges)


def growing_network_with_redirection(
    num_nodes: int, rng: np.random.Generator, redirection: Annotated[float, Domain(0, 1)] = 0.5
) -> nx.DiGraph:
    """Each new node points to a uniformly drawn older one or, with some probability, to that one's successor.

    Newcomers are causes and old nodes effects: every node but the last has one child, and the last ones
    collect many parents. The graph family of TabPFN v2.

    Args:
        redirection: probability in [0, 1] of going on to the successor.

    References:
        Krapivsky and Redner, Organization of growing random networks, Phys. Rev. E 2001;
        Hollmann et al., Accurate predictions on small data with a tabular foundation model, Nature 2025.

    Examples:
        >>> graph = growing_network_with_redirection(5, np.random.default_rng(0))
        >>> [degree for _, degree in graph.out_degree]
        [1, 1, 1, 1, 0]
    """
    _check_nodes(num_nodes)
    _check_probability("redirection", redirection)
    successor = [0] * num_nodes
    for node, (where, whether) in enumerate(rng.random((num_nodes, 2)).tolist()[1:], start=1):
        older = int(where * node)
        successor[node] = successor[older] if whether < redirection else older
    last = num_nodes - 1  # reversed, so that the newcomer has the lower number
    return _digraph(num_nodes, ((last - node, last - successor[node]) for node in range(last, 0, -1)))


def layered(
    num_nodes: int,
    rng: np.random.Generator,
    num_layers: Annotated[int, Domain(1, 1000)] = 3,
    dropout: Annotated[float, Domain(0, 1)] = 0.3,
) -> nx.DiGraph:
    """The graph of a multi-layer perceptron: each node has parents in the layer before its own.

    Args:
        num_layers: at least 1; no more than there are nodes are made.
        dropout: probability in [0, 1] that an edge between neighbouring layers is missing (each node
            keeps at least one parent).

    References:
        Hollmann et al., TabPFN: a transformer that solves small tabular classification problems in a
        second, ICLR 2023, section on SCM priors.

    Examples:
        >>> graph = layered(4, np.random.default_rng(0), num_layers=2, dropout=0.0)
        >>> sorted(graph.edges)
        [(0, 2), (0, 3), (1, 2), (1, 3)]
    """
    _check_nodes(num_nodes)
    _check_at_least("num_layers", num_layers, 1)
    _check_probability("dropout", dropout)
    num_layers = min(num_layers, num_nodes)
    ends = [round(layer * num_nodes / num_layers) for layer in range(num_layers + 1)]
    widest = -(-num_nodes // num_layers)
    kept = rng.random((num_nodes, widest)) >= dropout  # [child, place of the parent in its layer]
    sure = rng.random(num_nodes).tolist()
    edges = []
    for before, begin, end in zip(ends, ends[1:], ends[2:], strict=False):
        for child, row in enumerate(kept[begin:end, : begin - before].tolist(), start=begin):
            row[int(sure[child] * (begin - before))] = True
            edges.extend((parent, child) for parent, is_parent in enumerate(row, start=before) if is_parent)
    return _digraph(num_nodes, edges)


def random_tree(num_nodes: int, rng: np.random.Generator) -> nx.DiGraph:
    """The random recursive tree: one root, every other node has one uniformly drawn earlier node as parent.

    References:
        Na and Rapoport, Distribution of nodes of a tree by degree, Mathematical Biosciences 1970.

    Examples:
        >>> [degree for _, degree in random_tree(5, np.random.default_rng(0)).in_degree]
        [0, 1, 1, 1, 1]
    """
    _check_nodes(num_nodes)
    parents = (rng.random(num_nodes) * np.arange(num_nodes)).astype(int).tolist()
    return _digraph(num_nodes, zip(parents[1:], range(1, num_nodes), strict=True))


def polytree(num_nodes: int, rng: np.random.Generator) -> nx.DiGraph:
    """A random recursive tree whose edges are oriented by coin: between two nodes there is one path at most.

    Unlike in a tree, a node may have several parents, which are then independent.

    References:
        Rebane and Pearl, The recovery of causal poly-trees from statistical data, UAI 1987.

    Examples:
        >>> polytree(5, np.random.default_rng(0)).number_of_edges()
        4
    """
    tree = random_tree(num_nodes, rng)
    coins = rng.random(num_nodes) < 0.5
    turned = _digraph(num_nodes, ((v, u) if coins[v] else (u, v) for u, v in tree.edges))
    position = {node: place for place, node in enumerate(nx.topological_sort(turned))}
    return _digraph(num_nodes, ((position[u], position[v]) for u, v in turned.edges))


def cauchy(num_nodes: int, rng: np.random.Generator) -> nx.DiGraph:
    """Edge i -> j, i < j, with probability sigmoid(a + b_i + c_j), where a and all b, c are standard Cauchy.

    Heavy tails make everything from empty to complete graphs, with hubs that cause or collect much.

    References:
        Qu et al., TabICLv2: a better, faster, scalable and open tabular foundation model, 2026.

    Examples:
        >>> graph = cauchy(5, np.random.default_rng(0))
        >>> all(cause < effect for cause, effect in graph.edges)
        True
    """
    _check_nodes(num_nodes)
    draws = rng.standard_cauchy(2 * num_nodes + 1)
    logits = draws[0] + draws[1 : num_nodes + 1, None] + draws[num_nodes + 1 :]
    # sigmoid(logit) > u, turned round so that nothing overflows
    uniform = rng.random((num_nodes, num_nodes))
    return _digraph(num_nodes, _forward(logits > np.log(uniform / (1 - uniform) + 1e-300)))


def watts_strogatz(
    num_nodes: int,
    rng: np.random.Generator,
    num_neighbours: Annotated[int, Domain(1, 1000)] = 2,
    rewiring: Annotated[float, Domain(0, 1)] = 0.3,
) -> nx.DiGraph:
    """A small world: a chain with edges to the next `num_neighbours` nodes, some of them sent elsewhere.

    Args:
        num_neighbours: later nodes that each node causes, at least 1.
        rewiring: probability in [0, 1] that an edge goes to a uniformly drawn later node instead.

    References:
        Watts and Strogatz, Collective dynamics of small-world networks, Nature 1998; oriented by node order,
        without closing the ring.

    Examples:
        >>> sorted(watts_strogatz(4, np.random.default_rng(0), num_neighbours=1, rewiring=0.0).edges)
        [(0, 1), (1, 2), (2, 3)]
    """
    _check_nodes(num_nodes)
    _check_at_least("num_neighbours", num_neighbours, 1)
    _check_probability("rewiring", rewiring)
    whether, where = rng.random((2, num_nodes, num_neighbours)).tolist()
    edges = {}  # a dict keeps the order; an edge that was sent where there is one already is dropped
    for node in range(num_nodes - 1):
        for neighbour in range(min(num_neighbours, num_nodes - 1 - node)):
            child = node + 1 + neighbour
            if whether[node][neighbour] < rewiring:
                child = node + 1 + int(where[node][neighbour] * (num_nodes - 1 - node))
            edges[node, child] = None
    return _digraph(num_nodes, edges)


def _check_nodes(num_nodes: int) -> None:
    _check_at_least("num_nodes", num_nodes, 1)


def _check_at_least(name: str, value: float, least: float) -> None:
    if not value >= least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def _check_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {value}")


def _uniforms(rng: np.random.Generator) -> Iterator[float]:
    """Numbers in [0, 1) without end, drawn in blocks."""
    while True:
        yield from rng.random(64).tolist()


def _forward(adjacency: np.ndarray) -> list[tuple[int, int]]:
    """The edges (i, j) of a matrix (V, V) that go from low to high index."""
    return [(i, j) for i, row in enumerate(adjacency.tolist()) for j in range(i + 1, len(row)) if row[j]]


def _digraph(num_nodes: int, edges: Iterable[tuple[int, int]]) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_nodes_from(range(num_nodes))
    graph.add_edges_from(edges)
    return graph


def ancestral_order(parents_of: Mapping[Hashable, Iterable[Hashable]]) -> list[Hashable]:
    """The nodes of a graph, given the parents of each, in an order in which each comes after its parents.

    Raises:
        ValueError: a cycle; the message names its nodes.

    >>> ancestral_order({"effect": ["cause"], "cause": []})
    ['cause', 'effect']
    """
    seen = set()
    for node, parents in parents_of.items():
        if not seen.issuperset(parents):
            break
        seen.add(node)
    else:  # the order is right already, as in all graphs that a prior draws
        return [*parents_of]
    graph = nx.DiGraph()
    graph.add_nodes_from(parents_of)
    graph.add_edges_from((parent, node) for node, parents in parents_of.items() for parent in parents)
    try:
        return list(nx.topological_sort(graph))
    except nx.NetworkXUnfeasible:
        cycle = [node for node, _ in nx.find_cycle(graph)]
        text = " -> ".join(map(repr, [*cycle, cycle[0]]))
        raise ValueError(f"graph must not have a cycle, got {text}") from None


# To add a family: write the function, add it here.
GRAPHS: dict[str, GraphFamily] = {
    "erdos_renyi": erdos_renyi,
    "barabasi_albert": barabasi_albert,
    "growing_network_with_redirection": growing_network_with_redirection,
    "layered": layered,
    "random_tree": random_tree,
    "polytree": polytree,
    "cauchy": cauchy,
    "watts_strogatz": watts_strogatz,
}

BUILT_IN_GRAPHS = frozenset(GRAPHS.values())
"""Families whose graphs are known to keep the rules; those of a user are checked."""
