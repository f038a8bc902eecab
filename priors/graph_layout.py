"""Where the nodes and edges of a causal graph go in a figure: in layers, causes to the left of effects."""

from collections.abc import Hashable, Iterable
from itertools import pairwise

import networkx as nx
import numpy as np

SWEEPS = 8  # of the order within the layers, forth and back
EDGE_ROOM = 0.4  # between two edges; there is 1 between two nodes

Point = tuple[float, float]
Edge = tuple[Hashable, Hashable]


def layered_layout(graph: nx.DiGraph) -> tuple[dict[Hashable, Point], dict[Edge, list[Point]]]:
    """Places for the nodes of an acyclic graph, and routes for its edges, by layers from left to right.

    A node is one layer to the right of the last of its causes (a root, one to the left of its first effect).
    Edges across several layers get a place of their own in each; then the order within the layers is improved
    by sorting each by the mean place of its neighbours, forth and back.

    Returns:
        (x, y) of each node; the points that each edge runs through, both ends included.

    References:
        Sugiyama, Tagawa and Toda, Methods for visual understanding of hierarchical system structures, 1981.

    Examples:
        >>> layered_layout(nx.DiGraph([("cause", "effect")]))
        ({'cause': (0.0, 0.0), 'effect': (1.0, 0.0)}, {('cause', 'effect'): [(0.0, 0.0), (1.0, 0.0)]})
    """
    layer = _layer_of_each(graph)
    paths = _paths(graph, layer)
    layers: list[list] = [[] for _ in range(1 + max(layer.values()))]
    for node in graph:
        layers[layer[node]].append(node)
    for path in paths.values():
        for column, item in enumerate(path[1:-1], layer[path[0]] + 1):
            layers[column].append(item)
    height = _heights(layers, paths.values(), rooms=dict.fromkeys(graph, 1.0))
    points = {item: (float(column), height[item]) for column, items in enumerate(layers) for item in items}
    routes = {edge: [points[item] for item in path] for edge, path in paths.items()}
    return {node: points[node] for node in graph}, routes


def _layer_of_each(graph: nx.DiGraph) -> dict[Hashable, int]:
    layer = {node: i for i, nodes in enumerate(nx.topological_generations(graph)) for node in nodes}
    for node in graph:
        if not graph.pred[node] and graph.succ[node]:
            layer[node] = min(layer[effect] for effect in graph.succ[node]) - 1
    return layer


def _paths(graph: nx.DiGraph, layer: dict[Hashable, int]) -> dict[Edge, list[Hashable]]:
    """The items that each edge passes, one per layer: cause, (cause, effect, layer) between, effect."""
    return {
        (cause, effect): [
            cause, *((cause, effect, i) for i in range(layer[cause] + 1, layer[effect])), effect
        ]
        for cause, effect in graph.edges
    }  # fmt: skip


def _heights(
    layers: list[list], paths: Iterable[list[Hashable]], rooms: dict[Hashable, float]
) -> dict[Hashable, float]:
    """The height of each item, after the layers were sorted (in place) to have few crossings.

    Args:
        rooms: height that an item needs; EDGE_ROOM where it is not given.
    """
    neighbours: dict[Hashable, tuple[list, list]] = {item: ([], []) for items in layers for item in items}
    for path in paths:
        for left, right in pairwise(path):
            neighbours[right][0].append(left)
            neighbours[left][1].append(right)
    height: dict[Hashable, float] = {}
    for items in layers:
        height |= _spread(items, rooms)
    for sweep in range(2 * SWEEPS):
        side = sweep % 2  # by the layer to the left, then by the layer to the right
        for items in layers[:: 1 if side == 0 else -1]:
            means = {
                item: np.mean([height[other] for other in neighbours[item][side]] or [height[item]])
                for item in items
            }
            items.sort(key=lambda item, means=means: -means[item])
            height |= _spread(items, rooms)
    return height


def _spread(items: list, rooms: dict[Hashable, float]) -> dict[Hashable, float]:
    """The items of one layer from top to bottom around 0."""
    needed = [rooms.get(item, EDGE_ROOM) for item in items]
    top = sum(needed) / 2
    height = {}
    for item, room in zip(items, needed, strict=True):
        height[item] = top - room / 2
        top -= room
    return height
