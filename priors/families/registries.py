"""Which families each field of a prior may name."""

from collections.abc import Callable, Mapping

from priors.families.categories import CONVERTERS
from priors.families.classes import CLASS_METHODS
from priors.families.graphs import GRAPHS
from priors.families.mechanisms import MECHANISMS
from priors.families.missingness import MISSING_KINDS
from priors.families.noise import NOISE_KINDS, NOISES

FAMILIES: dict[str, Mapping[str, Callable]] = {
    "graphs": GRAPHS,
    "mechanisms": MECHANISMS,
    "roots": NOISES,
    "noises": NOISES,
    "noise_kinds": NOISE_KINDS,
    "converters": CONVERTERS,
    "class_methods": CLASS_METHODS,
    "missing_kinds": MISSING_KINDS,
}
"""Field of a PriorConfig -> the families of this package that it may name."""

NODE_FAMILIES: dict[str, Mapping[str, Callable]] = {
    "mechanism": MECHANISMS,
    "noise": NOISES,
    "converter": CONVERTERS,
}
"""Attribute of a node of a user's own graph -> the families of this package that it may name."""

_BUILT_IN = [family for registry in FAMILIES.values() for family in registry.values()]
_IDS = frozenset(map(id, _BUILT_IN))  # a user's callable may have no hash


def is_built_in(family: Callable) -> bool:
    """Whether a family is one of this package's, which are known to keep the rules of their kind.

    >>> is_built_in(NOISES["normal"]), is_built_in(len)
    (True, False)
    """
    return id(family) in _IDS
