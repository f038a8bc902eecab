"""Types of the fields of a config: what each takes, and in which form it is kept and written."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, StrictInt, WrapValidator

from priors.distributions import LogUniform, Range, Uniform
from priors.registry import lookup
from priors.settings import as_parameter_range, as_range, as_weights


def _range_of(own: type[Range]) -> tuple[Any, ...]:
    """What makes a `Range` of a number, a pair or a distribution, and writes it, for a field's type.

    Args:
        own: the distribution of a pair.
    """

    def read(value: Any, check: Callable[[Any], tuple]) -> Range:
        given = as_range(value)
        if not isinstance(given, Range):
            return own(ordered(check(given)))
        low, _ = check(tuple(given))
        return given.map(partial(_exactly, type(low)))

    return (
        WrapValidator(read),
        PlainSerializer(partial(_written, own)),
        Field(json_schema_extra={"distribution": own.name}),
    )


def _written(own: type[Range], values: Any) -> Any:
    """A range as JSON has it: a pair if its distribution is `own`. Choices are a list."""
    return values.plain() if isinstance(values, Range) and type(values) is not own else list(values)


def _exactly(kind: type, number: float) -> float:
    if kind(number) != number:
        raise ValueError(f"needs integers, got {number}")
    return kind(number)


def ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    """The bounds of a range, if low does not exceed high.

    Raises:
        ValueError: it does.

    Examples:
        >>> ordered((2, 5))
        (2, 5)
    """
    if bounds[0] > bounds[1]:
        raise ValueError(f"low must not exceed high, got {bounds}")
    return bounds


def summable(weights: dict[Any, float]) -> dict[Any, float]:
    """The weights, if something can be drawn by them.

    Raises:
        ValueError: all are 0, or their sum is not finite.

    Examples:
        >>> summable({"mlp": 1, "linear": 0})
        {'mlp': 1, 'linear': 0}
    """
    if not 0 < sum(weights.values()) < float("inf"):
        raise ValueError(f"needs at least one weight above 0, and a finite sum, got {weights}")
    return weights


def weights_of(registry: dict[str, Callable]) -> AfterValidator:
    """The check of weights by name: at least one, all names of families, and `summable`.

    Examples:
        >>> weights_of({"mlp": print}).func({"mlp": 2.0})
        {'mlp': 2.0}
    """

    def check(weights: dict[str, float]) -> dict[str, float]:
        if not weights:
            raise ValueError(f"needs at least one family; known: {', '.join(registry)}")
        for name in weights:
            lookup(registry, name)
        return summable(weights)

    return AfterValidator(check)


def of_field(field: str, check: Callable, *args: Any) -> Any:
    """``check(*args)``, whose errors name the field.

    Examples:
        >>> of_field("num_features", ordered, (5, 2))
        Traceback (most recent call last):
        ValueError: num_features: low must not exceed high, got (5, 2)
    """
    try:
        return check(*args)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from error


def _parameter_range(value: Any, check: Callable[[Any], Any]) -> Any:
    """A `Range` of what the parameter of a family may be, or a list of choices."""
    given = as_parameter_range(value)
    if isinstance(given, dict):
        raise ValueError(
            "needs a number, a range, a distribution of numbers, or a list of names, which are drawn equally "
            f"often, got {dict(given)}"
        )
    if isinstance(given, Range):
        check(tuple(given))
        return given
    checked = check(given)
    return Uniform(checked) if isinstance(checked, tuple) else checked


def _interval(value: Any) -> Any:
    given = as_range(value)
    if isinstance(given, Range):
        raise ValueError(f"is an interval that scores lie in, no distribution, got {given}")
    return given


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Weights = Annotated[dict[str, Weight], BeforeValidator(as_weights)]
Share = Annotated[float, Field(ge=0, le=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Scale = Annotated[float, Field(gt=0, allow_inf_nan=False)]
UNIFORM, LOG_UNIFORM = _range_of(Uniform), _range_of(LogUniform)
IntRange = Annotated[tuple[int, int], *UNIFORM]
Finite = Annotated[float, Field(allow_inf_nan=False)]
ParameterRange = Annotated[
    tuple[StrictInt, StrictInt] | tuple[Finite, Finite] | list[str],
    WrapValidator(_parameter_range),
    PlainSerializer(partial(_written, Uniform)),
]
HiddenShare = Annotated[float, Field(ge=0, le=0.9)]
HiddenRange = Annotated[tuple[HiddenShare, HiddenShare], *UNIFORM]
ShareRange = Annotated[tuple[Share, Share], *UNIFORM]
FractionRange = Annotated[tuple[Fraction, Fraction], *UNIFORM]
LogScaleRange = Annotated[tuple[Scale, Scale], *LOG_UNIFORM]
Interval = Annotated[tuple[Share, Share], BeforeValidator(_interval), AfterValidator(ordered)]
