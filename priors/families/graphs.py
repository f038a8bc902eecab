"""Graph families: (num_nodes, rng, parameters) -> nx.DiGraph on 0..num_nodes-1, edges from low to high index.

Acyclic by construction: a node's causes have lower numbers than the node itself. The ranges from which a
prior draws a family's parameters are in its config (`PriorConfig.parameters`).

The library's own families draw the parents of each node, from which `as_graphs` makes a networkx graph. The
sampler reads the parents alone (``family.parents``): a networkx graph takes longer than a small table.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, wraps
from itertools import compress
from typing import Annotated, Any

import networkx as nx
import numpy as np

from priors.registry import Domain, Named

GraphFamily = Callable[..., nx.DiGraph]
Parents = list[list[int]]
"""For each node 0..V-1 its parents, all of lower numbers, in the order in which its mechanism gets them."""


def as_graphs(parents: Callable[..., Parents]) -> GraphFamily:
    """The family of graphs of a function (num_nodes, rng, parameters) -> parents, its attribute `parents`.

    >>> random_tree.parents(3, np.random.default_rng(0))[:2]
    [[], [0]]
    """

    @wraps(parents)
    def family(num_nodes: int, rng: np.random.Generator, *args: Any, **kwargs: Any) -> nx.DiGraph:
        return digraph_of(parents(num_nodes, rng, *args, **kwargs))

    family.parents = parents
    return family


def digraph_of(parents: Sequence[Sequence[int]]) -> nx.DiGraph:
    """The networkx graph on 0..V-1 in which each node has these parents.

    >>> list(digraph_of([[], [0], [0, 1]]).edges)
    [(0, 1), (0, 2), (1, 2)]
    """
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(parents)))
    graph.add_edges_from((cause, node) for node, causes in enumerate(parents) for cause in causes)
    return graph


def parents_of(graph: nx.DiGraph) -> Parents:
    """The parents of each node of a graph on 0..V-1.

    >>> parents_of(nx.DiGraph([(0, 1), (0, 2), (1, 2)]))
    [[], [0], [0, 1]]
    """
    return [list(graph.predecessors(node)) for node in range(len(graph))]


@as_graphs
def erdos_renyi(
    num_nodes: int, rng: np.random.Generator, mean_parents: Annotated[float, Domain(0, 1000)] = 1.5
) -> Parents:
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
    probability = np.float32(2 * mean_parents / max(1, num_nodes - 1))
    possible = rng.random(num_nodes * (num_nodes - 1) // 2, dtype=np.float32)
    return _of_possible_edges(num_nodes, possible < probability)


@as_graphs
def barabasi_albert(
    num_nodes: int, rng: np.random.Generator, num_edges: Annotated[int, Domain(1, 1000)] = 2
) -> Parents:
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
    drawn, uniforms = [[]], _uniforms(rng)
    ends = [0]  # every node as often as its degree (the first once more, to start from)
    for node in range(1, num_nodes):
        number, parents = min(num_edges, node), set()
        while len(parents) < number:
            parents.add(ends[int(next(uniforms) * len(ends))])
        ordered = sorted(parents)
        drawn.append(ordered)
        ends += ordered
        ends += [node] * number
    return drawn


@as_graphs
def growing_network_with_redirection(
    num_nodes: int, rng: np.random.Generator, redirection: Annotated[float, Domain(0, 1)] = 0.5
) -> Parents:
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
    parents = [[] for _ in range(num_nodes)]
    for node in range(last, 0, -1):
        parents[last - successor[node]].append(last - node)
    return parents


@as_graphs
def layered(
    num_nodes: int,
    rng: np.random.Generator,
    num_layers: Annotated[int, Domain(1, 1000)] = 3,
    dropout: Annotated[float, Domain(0, 1)] = 0.3,
) -> Parents:
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
    # [child, place of the parent in its layer]
    kept = rng.random((num_nodes, widest), dtype=np.float32) >= np.float32(dropout)
    sure = rng.random(num_nodes).tolist()
    parents = [[] for _ in range(ends[1])]
    for before, begin, end in zip(ends, ends[1:], ends[2:], strict=False):
        layer = range(before, begin)
        for child, row in enumerate(kept[begin:end, : begin - before].tolist(), start=begin):
            row[int(sure[child] * (begin - before))] = True
            parents.append([*compress(layer, row)])
    return parents


@as_graphs
def random_tree(num_nodes: int, rng: np.random.Generator) -> Parents:
    """The random recursive tree: one root, every other node has one uniformly drawn earlier node as parent.

    References:
        Na and Rapoport, Distribution of nodes of a tree by degree, Mathematical Biosciences 1970.

    Examples:
        >>> [degree for _, degree in random_tree(5, np.random.default_rng(0)).in_degree]
        [0, 1, 1, 1, 1]
    """
    _check_nodes(num_nodes)
    parents = (rng.random(num_nodes) * np.arange(num_nodes)).astype(int).tolist()
    return [[], *([parent] for parent in parents[1:])]


@as_graphs
def polytree(num_nodes: int, rng: np.random.Generator) -> Parents:
    """A random recursive tree whose edges are oriented by coin: between two nodes there is one path at most.

    Unlike in a tree, a node may have several parents, which are then independent.

    References:
        Rebane and Pearl, The recovery of causal poly-trees from statistical data, UAI 1987.

    Examples:
        >>> polytree(5, np.random.default_rng(0)).number_of_edges()
        4
    """
    tree = random_tree.parents(num_nodes, rng)
    coins = (rng.random(num_nodes) < 0.5).tolist()
    turned = [[] for _ in range(num_nodes)]
    for node, older in enumerate(tree):
        for parent in older:
            cause, effect = (node, parent) if coins[node] else (parent, node)
            turned[effect].append(cause)
    order = ancestral_order(dict(enumerate(turned)))
    position = {node: place for place, node in enumerate(order)}
    return [sorted(position[parent] for parent in turned[node]) for node in order]


@as_graphs
def cauchy(num_nodes: int, rng: np.random.Generator) -> Parents:
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
    causes, effects = _possible_edges(num_nodes)
    logits = draws[0] + draws[1 + causes] + draws[num_nodes + 1 + effects]
    # sigmoid(logit) > u, turned round so that nothing overflows
    uniform = rng.random(len(causes))
    return _of_possible_edges(num_nodes, logits > np.log(uniform / (1 - uniform) + 1e-300))


@as_graphs
def watts_strogatz(
    num_nodes: int,
    rng: np.random.Generator,
    num_neighbours: Annotated[int, Domain(1, 1000)] = 2,
    rewiring: Annotated[float, Domain(0, 1)] = 0.3,
) -> Parents:
    """A small world: a chain with edges to the next `num_neighbours` nodes, some of them rewired.

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
    parents = [[] for _ in range(num_nodes)]
    for node in range(num_nodes - 1):
        for neighbour in range(min(num_neighbours, num_nodes - 1 - node)):
            child = node + 1 + neighbour
            if whether[node][neighbour] < rewiring:
                child = node + 1 + int(where[node][neighbour] * (num_nodes - 1 - node))
            if node not in parents[child]:  # an edge that was sent where there is one already is dropped
                parents[child].append(node)
    return parents


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


@lru_cache(maxsize=64)
def _possible_edges(num_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """The cause and the effect of each edge that goes from low to high index, by effect, then by cause."""
    effects, causes = np.tril_indices(num_nodes, -1)
    return causes, effects


def _of_possible_edges(num_nodes: int, is_edge: np.ndarray) -> Parents:
    """The parents where some of the edges of `_possible_edges` are there."""
    causes, effects = _possible_edges(num_nodes)
    parents = [[] for _ in range(num_nodes)]
    chosen = is_edge.nonzero()[0]
    for cause, effect in zip(causes[chosen].tolist(), effects[chosen].tolist(), strict=True):
        parents[effect].append(cause)
    return parents


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
GRAPHS: dict[str, GraphFamily] = Named(
    "graph family",
    {
        "erdos_renyi": erdos_renyi,
        "barabasi_albert": barabasi_albert,
        "growing_network_with_redirection": growing_network_with_redirection,
        "layered": layered,
        "random_tree": random_tree,
        "polytree": polytree,
        "cauchy": cauchy,
        "watts_strogatz": watts_strogatz,
    },
)
