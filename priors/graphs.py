"""Graph families: (num_nodes, rng) -> nx.DiGraph on nodes 0..num_nodes-1, edges from low to high index.

Acyclic by construction. Each family draws its own density where none is given, so that the graphs of one
family differ too. A node's causes have lower numbers than the node itself.
"""

from collections.abc import Callable, Iterable

import networkx as nx
import numpy as np

GraphFamily = Callable[[int, np.random.Generator], nx.DiGraph]


def erdos_renyi(
    num_nodes: int, rng: np.random.Generator, edge_probability: float | None = None
) -> nx.DiGraph:
    """Each of the possible edges i -> j, i < j, is there with the same probability.

    Args:
        edge_probability: in [0, 1]; by default drawn so that a node has 0.5 to 3 parents in the mean.

    References:
        Erdos and Renyi, On random graphs I, 1959; oriented by node order as usual for random DAGs.
    """
    _check(num_nodes, edge_probability=edge_probability)
    if edge_probability is None:
        edge_probability = min(1.0, 2 * rng.uniform(0.5, 3) / max(1, num_nodes - 1))
    adjacency = np.triu(rng.random((num_nodes, num_nodes)) < edge_probability, 1)
    return _digraph(num_nodes, zip(*(index.tolist() for index in adjacency.nonzero()), strict=True))


def barabasi_albert(num_nodes: int, rng: np.random.Generator, num_edges: int | None = None) -> nx.DiGraph:
    """Preferential attachment: each new node gets `num_edges` parents, likelier those of high degree.

    Early nodes become hubs that cause much of the table.

    Args:
        num_edges: parents of each new node, at least 1; by default 1, 2 or 3. Fewer while there are fewer.

    References:
        Barabasi and Albert, Emergence of scaling in random networks, Science 1999.
    """
    _check(num_nodes, num_edges=num_edges)
    if num_edges is None:
        num_edges = int(rng.integers(1, 4))
    edges = []
    ends = [0]  # every node as often as its degree (the first once more, to start from)
    for node in range(1, num_nodes):
        parents = set()
        while len(parents) < min(num_edges, node):
            parents.add(ends[int(rng.random() * len(ends))])
        edges.extend((parent, node) for parent in sorted(parents))
        ends.extend(parents)
        ends.extend([node] * len(parents))
    return _digraph(num_nodes, edges)


def growing_network_with_redirection(
    num_nodes: int, rng: np.random.Generator, redirection: float | None = None
) -> nx.DiGraph:
    """Each new node points to a uniformly drawn older one or, with some probability, to that one's successor.

    Newcomers are causes and old nodes effects: every node but the last has one child, and the last ones
    collect many parents. The graph family of TabPFN v2.

    Args:
        redirection: probability in [0, 1] of going on to the successor; by default uniform.

    References:
        Krapivsky and Redner, Organization of growing random networks, Phys. Rev. E 2001;
        Hollmann et al., Accurate predictions on small data with a tabular foundation model, Nature 2025.
    """
    _check(num_nodes, redirection=redirection)
    if redirection is None:
        redirection = rng.random()
    successor = [0] * num_nodes
    for node in range(1, num_nodes):
        older = int(rng.random() * node)
        successor[node] = successor[older] if rng.random() < redirection else older
    last = num_nodes - 1  # reversed, so that the newcomer has the lower number
    return _digraph(num_nodes, ((last - node, last - successor[node]) for node in range(last, 0, -1)))


def layered(num_nodes: int, rng: np.random.Generator, dropout: float | None = None) -> nx.DiGraph:
    """The graph of a multi-layer perceptron: each node has parents in the layer before its own.

    Args:
        dropout: probability in [0, 1] that an edge between neighbouring layers is missing (each node
            keeps at least one parent); by default uniform up to 0.7.

    References:
        Hollmann et al., TabPFN: a transformer that solves small tabular classification problems in a
        second, ICLR 2023, section on SCM priors.
    """
    _check(num_nodes, dropout=dropout)
    if dropout is None:
        dropout = rng.uniform(0, 0.7)
    num_layers = min(num_nodes, int(rng.integers(2, max(3, min(6, num_nodes // 2) + 1))))
    ends = np.linspace(0, num_nodes, num_layers + 1).round().astype(int).tolist()
    edges = []
    for before, begin, end in zip(ends, ends[1:], ends[2:], strict=False):
        kept = rng.random((end - begin, begin - before)) >= dropout
        kept[np.arange(end - begin), rng.integers(0, begin - before, size=end - begin)] = True
        edges.extend((before + parent, begin + child) for child, parent in np.argwhere(kept).tolist())
    return _digraph(num_nodes, edges)


def random_tree(num_nodes: int, rng: np.random.Generator) -> nx.DiGraph:
    """The random recursive tree: one root, every other node has one uniformly drawn earlier node as parent.

    References:
        Na and Rapoport, Distribution of nodes of a tree by degree, Mathematical Biosciences 1970.
    """
    _check(num_nodes)
    return _digraph(num_nodes, ((int(rng.random() * node), node) for node in range(1, num_nodes)))


def _check(num_nodes: int, num_edges: int | None = None, **probabilities: float | None) -> None:
    if num_nodes < 1:
        raise ValueError(f"num_nodes must be at least 1, got {num_nodes}")
    if num_edges is not None and num_edges < 1:
        raise ValueError(f"num_edges must be at least 1, got {num_edges}")
    for name, value in probabilities.items():
        if value is not None and not 0 <= value <= 1:
            raise ValueError(f"{name} must be in [0, 1], got {value}")


def _digraph(num_nodes: int, edges: Iterable[tuple[int, int]]) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_nodes_from(range(num_nodes))
    graph.add_edges_from(edges)
    return graph


# To add a family: write the function, add it here.
GRAPHS: dict[str, GraphFamily] = {
    "erdos_renyi": erdos_renyi,
    "barabasi_albert": barabasi_albert,
    "growing_network_with_redirection": growing_network_with_redirection,
    "layered": layered,
    "random_tree": random_tree,
}
