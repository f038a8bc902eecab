"""Families of the user's own, checked each time that they are called: a wrong one is named, with the rule."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from traceback import extract_tb
from typing import Any

import networkx as nx
import numpy as np

from priors.families.categories import CONVERTERS
from priors.families.classes import CLASS_METHODS
from priors.families.graphs import GRAPHS, Parents, parents_of
from priors.families.mechanisms import MECHANISMS
from priors.families.missingness import MISSING_KINDS
from priors.families.noise import NOISE_KINDS, NOISES
from priors.families.registries import is_built_in
from priors.registry import ConfigError, lookup


def find_family(registry: Mapping[str, Callable], name: str) -> Callable:
    """The family called `name`, as `lookup` finds it; one that is not the library's own is checked.

    Args:
        registry: one of `priors.families`. A graph family comes as the function that draws the parents of
            each node.

    Raises:
        ConfigError: no such family; and, when it is called, it raised an error or broke a rule of its kind.

    >>> find_family(NOISES, "normal") is NOISES["normal"]
    True
    """
    family = lookup(registry, name)
    if is_built_in(family):
        return family.parents if registry is GRAPHS else family
    [check] = [check for checked, check in CHECKS if checked is registry]
    return partial(check, name, family)


def name_of(function: Callable) -> str:
    """The name of the family behind a function of a node, whatever was made of it.

    >>> name_of(partial(MECHANISMS["mlp"], width=3)), name_of(NOISES["normal"])
    ('mlp', 'normal')
    """
    checks = [check for _, check in CHECKS]
    while isinstance(function, partial):
        if function.func in checks:
            return function.args[0]
        function = next(filter(callable, function.args), function.func)
    return getattr(function, "__name__", repr(function))


def _call(what: str, form: str, family: Callable, *arguments: Any, **parameters: Any) -> Any:
    try:
        return family(*arguments, **parameters)
    except Exception as error:  # of the user's code: anything
        place = extract_tb(error.__traceback__)[-1]
        where = "" if place.filename == __file__ else f" ({Path(place.filename).name}, line {place.lineno})"
        raise ConfigError(
            f"{what}, called as {form}, failed with {type(error).__name__}: {error}{where}"
        ) from error


def _check_numbers(what: str, values: Any, num_rows: int, of: str) -> np.ndarray:
    values = np.asarray(values)
    if values.shape != (num_rows,) or values.dtype.kind not in "biuf":
        raise ConfigError(
            f"{what} must return ({num_rows},) numbers, one for each {of}, got {values.dtype} {values.shape}"
        )
    return values


def _checked_graph(
    name: str, family: Callable, num_nodes: int, rng: np.random.Generator, **parameters: Any
) -> Parents:
    """The parents of each node of the graph that a family draws."""
    what = f"graph family {name}"
    graph = _call(what, "(num_nodes, rng)", family, num_nodes, rng, **parameters)
    if not isinstance(graph, nx.DiGraph) or graph.is_multigraph():
        raise ConfigError(f"{what} must return a networkx.DiGraph, got {type(graph).__name__}")
    if set(graph) != set(range(num_nodes)):
        shown = ", ".join(map(repr, list(graph)[:10]))
        raise ConfigError(
            f"{what} must return a graph on the nodes 0..{num_nodes - 1} (num_nodes={num_nodes}), "
            f"got {len(graph)} nodes: {shown}"
        )
    for cause, effect in graph.edges:
        if cause >= effect:
            raise ConfigError(f"{what} must return edges from low to high numbers, got {cause} -> {effect}")
    return parents_of(graph)


def _checked_mechanism(
    name: str, family: Callable, parents: np.ndarray, rng: np.random.Generator, **parameters: Any
) -> np.ndarray:
    what = f"mechanism {name}"
    values = _call(what, "(parents, rng)", family, parents, rng, **parameters)
    values = _check_numbers(what, values, len(parents), f"row of its parents {parents.shape}")
    if np.isfinite(parents).all() and not np.isfinite(values).all():
        row = int(np.isfinite(values).argmin())
        raise ConfigError(
            f"{what} must return finite numbers, got {values[row]} for the parents {parents[row].tolist()}"
        )
    return values


def _checked_noise(name: str, family: Callable, num_datapoints: int, rng: np.random.Generator) -> np.ndarray:
    what = f"noise {name}"
    values = _call(what, "(num_datapoints, rng)", family, num_datapoints, rng)
    values = _check_numbers(what, values, num_datapoints, "row")
    if not np.isfinite(values).all():
        raise ConfigError(f"{what} must return finite numbers, got {values[~np.isfinite(values)][0]}")
    return values


def _checked_noise_kind(name: str, family: Callable, signal: np.ndarray, noise: np.ndarray) -> np.ndarray:
    what = f"noise kind {name}"
    return _check_numbers(what, _call(what, "(signal, noise)", family, signal, noise), len(signal), "row")


def _checked_converter(
    name: str, family: Callable, values: np.ndarray, rng: np.random.Generator, **parameters: Any
) -> np.ndarray:
    what = f"converter {name}"
    found = _call(what, "(values, rng)", family, values, rng, **parameters)
    return _check_numbers(what, found, len(values), "row")


def _checked_class_method(
    name: str,
    family: Callable,
    values: np.ndarray,
    num_classes: int,
    training: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    what = f"class method {name}"
    codes = _call(what, "(values, num_classes, training, rng)", family, values, num_classes, training, rng)
    codes = _check_numbers(what, codes, len(values), "row")
    if codes.dtype.kind not in "iu" or codes.min() < 0 or codes.max() >= num_classes:
        raise ConfigError(
            f"{what} must return integers from 0 to num_classes - 1 = {num_classes - 1}, got {codes.dtype} "
            f"from {codes.min()} to {codes.max()}"
        )
    return codes


def _checked_missing_kind(
    name: str, family: Callable, x: np.ndarray, fraction: float, num_train: int, rng: np.random.Generator
) -> np.ndarray:
    what = f"missing kind {name}"
    found = _call(what, "(x, fraction, num_train, rng)", family, x, fraction, num_train, rng)
    found = np.asarray(found)
    if found.shape != x.shape or found.dtype != bool:
        raise ConfigError(f"{what} must return {x.shape} booleans, got {found.dtype} {found.shape}")
    return found


CHECKS: tuple[tuple[Mapping[str, Callable], Callable], ...] = (
    (GRAPHS, _checked_graph),
    (MECHANISMS, _checked_mechanism),
    (NOISES, _checked_noise),
    (NOISE_KINDS, _checked_noise_kind),
    (CONVERTERS, _checked_converter),
    (CLASS_METHODS, _checked_class_method),
    (MISSING_KINDS, _checked_missing_kind),
)
"""Registry -> what a family of it that is not the library's own is called through."""
