"""Distributions of the numbers in a config: `uniform`, `log_uniform`, `integers` and `choice`.

They are typed values. A pair without a type, as `num_features=(2, 10)`, means the field's own distribution,
which is uniform for all fields but `noise_scale` and `shift_size`. The forms that settings have:

    num_features=log_uniform(2, 50)         `--set`, study files
    {"log_uniform": [2, 50]}                JSON
"""

import re
from bisect import bisect
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from typing import Any, ClassVar, overload

from priors.frozen import FrozenDict


class Range(tuple):
    """(low, high), both included, and how a number between them is drawn.

    A range is equal to a plain pair of the same numbers, but not to a range of another distribution.

    Examples:
        >>> values = integers(2, 5)
        >>> values.at(0.5), values.plain(), values == (2, 5)
        (4, {'uniform': [2, 5]}, True)
    """

    __slots__ = ()
    name: ClassVar[str]

    def at(self, uniform: float) -> float:
        """The number at `uniform` in [0, 1): an integer where low is one.

        A draw takes one uniform number whatever the bounds. `rng.integers` takes none where low equals high:
        a wider range would then move all later draws.
        """
        raise NotImplementedError

    def map(self, function: Callable[[float], float]) -> "Range":
        """The same distribution between other numbers."""
        return type(self)(map(function, self))

    def plain(self) -> dict[str, Any]:
        """As JSON has it: {name: [low, high]}."""
        return {self.name: list(self)}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """For a JSON schema, in which the default of a field is a pair."""
        return handler.generate_schema(tuple)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Range) and type(other) is not type(self):
            return False
        return tuple.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = tuple.__hash__


class Uniform(Range):
    """Each number equally often: reals, or integers.

    >>> Uniform((2, 5)).at(0.5), Uniform((2.0, 5.0)).at(0.5)
    (4, 3.5)
    """

    __slots__ = ()
    name = "uniform"

    def at(self, uniform: float) -> float:
        low, high = self
        return low + int(uniform * (high - low + 1)) if isinstance(low, int) else low + uniform * (high - low)


class LogUniform(Range):
    """Each order of magnitude equally often; an integer k in proportion to log((k + 1) / k).

    >>> LogUniform((1.0, 100.0)).at(0.5), LogUniform((1, 100)).at(0.5), LogUniform((1, 100))
    (10.0, 10, log_uniform(1, 100))
    """

    __slots__ = ()
    name = "log_uniform"

    def at(self, uniform: float) -> float:
        low, high = self
        if isinstance(low, int):
            return min(int(low * ((high + 1) / low) ** uniform), high)  # rounding may reach high + 1
        return low * (high / low) ** uniform

    def __repr__(self) -> str:
        return f"log_uniform({self[0]!r}, {self[1]!r})"


class Choice(Range):
    """One of some numbers, by weight; the pair is the smallest and the largest of them.

    >>> few = Choice({10: 1, 2: 3})
    >>> few.at(0.74), few.at(0.76), few
    (2, 10, choice({2: 3, 10: 1}))
    """

    name = "choice"

    def __new__(cls, weights: Mapping[float, float]) -> "Choice":
        numbers = sorted(weights)
        choice = super().__new__(cls, (numbers[0], numbers[-1]))
        choice.weights = FrozenDict((number, weights[number]) for number in numbers)
        total = sum(choice.weights.values())
        shares = [weight / total for weight in choice.weights.values()]
        choice._numbers, choice._ends = numbers, [*accumulate(shares[:-1])]
        return choice

    def at(self, uniform: float) -> float:
        return self._numbers[bisect(self._ends, uniform)]

    def map(self, function: Callable[[float], float]) -> "Choice":
        mapped: dict[float, float] = {}
        for number, weight in self.weights.items():
            mapped[function(number)] = mapped.get(function(number), 0) + weight
        return Choice(mapped)

    def plain(self) -> dict[str, Any]:
        """As JSON has it: {"choice": {number: weight}}, with the numbers as texts."""
        return {self.name: {repr(number): weight for number, weight in self.weights.items()}}

    def __eq__(self, other: object) -> bool:
        return self.weights == other.weights if isinstance(other, Choice) else super().__eq__(other)

    __hash__ = Range.__hash__

    def __reduce__(self) -> tuple:
        return Choice, (dict(self.weights),)

    def __repr__(self) -> str:
        return f"choice({dict(self.weights)})"


def uniform(low: float, high: float) -> Uniform:
    """Numbers between low and high, each equally often.

    >>> from priors import PriorConfig
    >>> PriorConfig(noise_scale=uniform(0.05, 1))  # its own distribution is log-uniform
    PriorConfig(noise_scale=uniform(0.05, 1.0))
    """
    return Uniform(_bounds("uniform", low, high))


def log_uniform(low: float, high: float) -> LogUniform:
    """Numbers between low and high, each order of magnitude equally often.

    Raises:
        ValueError: low is not above 0.

    >>> from priors import PriorConfig
    >>> PriorConfig(num_features=log_uniform(2, 50))  # about as many tables below 10 features as above
    PriorConfig(num_features=log_uniform(2, 50))
    """
    bounds = _bounds("log_uniform", low, high)
    if not low > 0:
        raise ValueError(f"log_uniform: low must be above 0, got {low!r}")
    return LogUniform(bounds)


def integers(low: int, high: int) -> Uniform:
    """Integers from low to high, both included, each equally often.

    Raises:
        ValueError: low or high is no integer.

    >>> from priors import PriorConfig
    >>> PriorConfig(num_classes=integers(2, 10))
    PriorConfig(num_classes=(2, 10))
    """
    bounds = _bounds("integers", low, high)
    if not all(isinstance(bound, int) for bound in bounds):
        raise ValueError(f"integers: low and high must be integers, got {low!r} and {high!r}")
    return Uniform(bounds)


@overload
def choice(options: Iterable[str]) -> FrozenDict: ...


@overload
def choice(options: Iterable[float]) -> Choice: ...


def choice(options: Iterable[Any] | Mapping[Any, float]) -> "Choice | FrozenDict":
    """One of some numbers or names, each equally often, or by weight.

    Args:
        options: numbers for a field with a range, names for a field with weights; or option -> weight.

    Returns:
        A range of numbers, or the weights of names.

    Raises:
        ValueError: no options, numbers and names together, a negative weight, or only weights of 0.

    >>> from priors import PriorConfig
    >>> PriorConfig(num_classes=choice({2: 3, 10: 1}), mechanisms=choice(["mlp", "linear"]))
    PriorConfig(num_classes=choice({2: 3, 10: 1}), mechanisms={'mlp': 1.0, 'linear': 1.0})
    """
    if not isinstance(options, Iterable):
        raise TypeError(f"choice needs options, a list or a dict of weights, got {options!r}")
    weights = dict(options) if isinstance(options, Mapping) else dict.fromkeys(options, 1.0)
    if not weights or not all(_is_number(weight) and weight >= 0 for weight in weights.values()):
        raise ValueError(f"choice needs options, each with a weight of at least 0, got {options!r}")
    if not 0 < sum(weights.values()) < float("inf"):
        raise ValueError(f"choice needs a weight above 0, and a finite sum, got {options!r}")
    if all(isinstance(option, str) for option in weights):
        return FrozenDict(weights)
    if not all(map(_is_number, weights)):
        raise ValueError(f"choice needs numbers, or names, got {[*weights]}")
    return Choice({number: weight for number, weight in weights.items() if weight > 0})


DISTRIBUTIONS: dict[str, Callable[..., Any]] = {
    "uniform": uniform,
    "log_uniform": log_uniform,
    "integers": integers,
    "choice": choice,
}
"""By the names that they have in `--set`, study files and JSON."""
DISTRIBUTION = re.compile(rf"\b({'|'.join(DISTRIBUTIONS)})\s*\(([^()]*)\)")
"""A distribution in a text, as `log_uniform(2, 50)`: its name and its arguments."""


def is_distribution(value: Any) -> bool:
    """Whether a value is a distribution as JSON has it, and not the weight of a family of that name.

    >>> is_distribution({"log_uniform": [2, 50]}), is_distribution({"uniform": 1.0})
    (True, False)
    """
    if not isinstance(value, dict) or len(value) != 1:
        return False
    [(name, arguments)] = value.items()
    return name in DISTRIBUTIONS and isinstance(arguments, list | tuple | dict)


def from_plain(value: Any) -> Any:
    """A distribution as JSON has it as the value that it stands for; any other value as it is.

    Raises:
        ValueError: the bounds or weights of the distribution are not right.

    >>> from_plain({"log_uniform": [2, 50]}), from_plain({"choice": {"2": 3, "10": 1}}), from_plain([2, 50])
    (log_uniform(2, 50), choice({2: 3, 10: 1}), [2, 50])
    """
    if not is_distribution(value):
        return value
    [(name, arguments)] = value.items()
    if name == "choice":
        if isinstance(arguments, dict):
            weights = {_option(option): weight for option, weight in arguments.items()}
            if len(weights) < len(arguments):
                raise ValueError(f"choice has an option twice, got {[*arguments]}")
            arguments = weights
        return choice(arguments)
    if not isinstance(arguments, list | tuple) or len(arguments) != 2:
        raise ValueError(f"{name} needs two numbers, low and high, got {arguments!r}")
    return DISTRIBUTIONS[name](*arguments)


def _option(text: Any) -> Any:
    """A number that was the key of a JSON object as a number again."""
    for kind in (int, float):
        try:
            return kind(text)
        except (TypeError, ValueError):
            continue
    return text


def _bounds(name: str, low: Any, high: Any) -> tuple[Any, Any]:
    if not _is_number(low) or not _is_number(high):
        raise ValueError(f"{name} needs two numbers, low and high, got {low!r} and {high!r}")
    if low > high:
        raise ValueError(f"{name}: low must not exceed high, got {low!r} and {high!r}")
    return low, high


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
