"""The types of a prior's settings: their bounds, and the short forms that stand for ranges and weights."""

from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt

from priors.registry import lookup
from priors.settings import as_parameter_range, as_range, as_weights


def ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    """A range whose low does not exceed its high.

    >>> ordered((5, 3))
    Traceback (most recent call last):
    ValueError: low must not exceed high, got (5, 3)
    """
    if bounds[0] > bounds[1]:
        raise ValueError(f"low must not exceed high, got {bounds}")
    return bounds


def summable(weights: dict[str, float]) -> dict[str, float]:
    """Weights that can be made shares.

    >>> summable({"mlp": 0.0})
    Traceback (most recent call last):
    ValueError: needs at least one weight above 0, and a finite sum, got {'mlp': 0.0}
    """
    if not 0 < sum(weights.values()) < float("inf"):
        raise ValueError(f"needs at least one weight above 0, and a finite sum, got {weights}")
    return weights


def weights_of(registry: dict[str, Callable]) -> AfterValidator:
    """A validator of weights of families, which have to be in the registry or the user's own."""

    def check(weights: dict[str, float]) -> dict[str, float]:
        if not weights:
            raise ValueError(f"needs at least one family; known: {', '.join(registry)}")
        for name in weights:
            lookup(registry, name)
        return summable(weights)

    return AfterValidator(check)


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Weights = Annotated[dict[str, Weight], BeforeValidator(as_weights)]
Share = Annotated[float, Field(ge=0, le=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Scale = Annotated[float, Field(gt=0, allow_inf_nan=False)]
IntRange = Annotated[tuple[int, int], BeforeValidator(as_range), AfterValidator(ordered)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
ParameterRange = Annotated[
    tuple[StrictInt, StrictInt] | tuple[Finite, Finite] | list[str], BeforeValidator(as_parameter_range)
]
HiddenShare = Annotated[float, Field(ge=0, le=0.9)]
HiddenRange = Annotated[tuple[HiddenShare, HiddenShare], BeforeValidator(as_range), AfterValidator(ordered)]
ShareRange = Annotated[tuple[Share, Share], BeforeValidator(as_range), AfterValidator(ordered)]
FractionRange = Annotated[tuple[Fraction, Fraction], BeforeValidator(as_range), AfterValidator(ordered)]
ScaleRange = Annotated[tuple[Scale, Scale], BeforeValidator(as_range), AfterValidator(ordered)]
