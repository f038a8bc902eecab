"""FrozenDict: a dict that cannot change, so that a config can be hashed and shared."""

from collections.abc import Hashable
from functools import cached_property
from typing import Any, NoReturn


class FrozenDict(dict):
    """A dict that is equal to any dict with the same items, can be hashed, and refuses to change.

    >>> weights = FrozenDict({"linear": 1.0})
    >>> weights == {"linear": 1.0}, {**weights, "mlp": 2.0}
    (True, {'linear': 1.0, 'mlp': 2.0})
    >>> weights["mlp"] = 2.0
    Traceback (most recent call last):
    TypeError: a frozen dict cannot change; make a new one, as {**old, name: value}
    """

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("a frozen dict cannot change; make a new one, as {**old, name: value}")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    @cached_property
    def _hash(self) -> int:
        return hash(frozenset(self.items()))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple:
        return FrozenDict, (dict(self),)


def frozen(value: Any) -> Hashable:
    """`value` with each dict in it as a `FrozenDict` and each list as a tuple; kinds of tuples stay.

    >>> frozen({"mlp": {"activation": ["relu", "tanh"]}})
    {'mlp': {'activation': ('relu', 'tanh')}}
    """
    if isinstance(value, dict):
        return FrozenDict((name, frozen(item)) for name, item in value.items())
    if type(value) in (list, tuple):
        return tuple(map(frozen, value))
    return value
