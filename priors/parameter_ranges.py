"""The ranges of the families' parameters in a config, checked against what each family takes."""

from collections.abc import Mapping

from priors.distributions import Choice, Range, Uniform
from priors.families.categories import CONVERTERS
from priors.families.graphs import GRAPHS
from priors.families.mechanisms import MECHANISMS
from priors.field_types import ParameterRange, of_field, ordered
from priors.frozen import FrozenDict, frozen
from priors.registry import check_parameter, lookup, parameter_type, parameters_of

NEEDS = {int: "two integers", float: "two numbers", str: "a list of names"}
"""What stands in `PriorConfig.parameters` for a parameter, by the type of its default."""


def checked_parameters(parameters: Mapping[str, Mapping[str, ParameterRange]]) -> FrozenDict:
    """`PriorConfig.parameters` with real ranges of real parameters, each within its family's domains.

    Args:
        parameters: family -> parameter -> range.

    Raises:
        ValueError: an unknown family or parameter, or a range that it cannot have; the message names both.

    Examples:
        >>> checked_parameters({"mlp": {"width": (4, 8)}})["mlp"]["width"]
        (4, 8)
    """
    families = {**GRAPHS, **MECHANISMS, **CONVERTERS}
    checked = {}
    for name, ranges in parameters.items():
        own = parameters_of(of_field("parameters", lookup, families, name))
        checked[name] = {}
        for parameter, values in ranges.items():
            where = f"parameters: {name}: {parameter}"
            if parameter not in own:
                raise ValueError(f"{where} is unknown: {name} has {', '.join(own) or 'none'}")
            kind = parameter_type(own[parameter])
            if isinstance(values, tuple) and not isinstance(values[0], str):
                values = values if isinstance(values, Range) else Uniform(values)
                if kind is float:  # (0, 1) is no range of integers here
                    values = values.map(float)
            numbers = values.weights if isinstance(values, Choice) else values
            if not values or (kind in NEEDS and not all(isinstance(value, kind) for value in numbers)):
                raise ValueError(f"{where} needs {NEEDS.get(kind, 'choices')}, got {values}")
            check_parameter(where, own[parameter], values)
            if not isinstance(values[0], str):
                of_field(where, ordered, values)
            checked[name][parameter] = values
    return frozen(checked)
