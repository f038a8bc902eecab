"""Families by name: a registry's own or, by a dotted path, the user's; which parameters they have."""

import importlib
from collections.abc import Callable
from inspect import Parameter, signature


class ConfigError(ValueError):
    """A value that no prior can have; the message names the field, the rule and the value."""


def lookup(registry: dict[str, Callable], name: str) -> Callable:
    """The family called `name`: a key of `registry`, or a dotted path such as ``"mypackage.priors:mine"``.

    A dotted path is imported, so worker processes find it too.

    Raises:
        ConfigError: no such family; the message lists those there are.
    """
    if name in registry:
        return registry[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ConfigError(
            f'unknown family {name!r}; known: {", ".join(registry)}, or a dotted path "module:function"'
        )
    try:
        family = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever the user's module raises while it is imported
        raise ConfigError(f"family {name!r} cannot be imported: {error}") from error
    if not callable(family):
        raise ConfigError(f"family {name!r} must be callable, got {type(family).__name__}")
    return family


def parameters_of(family: Callable) -> dict[str, Parameter]:
    """The parameters of a family: all but its first two arguments, of which one is the generator."""
    return dict([*signature(family).parameters.items()][2:])
