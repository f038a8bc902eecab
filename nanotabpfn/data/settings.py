"""Checks of a loader's settings, and of the states that loaders resume from."""

from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral
from typing import Any


def check_settings(**settings: int | None) -> None:
    """Check counts by their names: steps, batch size and ranks from 1, all others from 0; None is free.

    Raises:
        ValueError: no integer, or one below its least; the message names it.

    Examples:
        >>> check_settings(num_steps=10, held_out=0, seed=None)
        >>> check_settings(num_steps=0)
        Traceback (most recent call last):
        ValueError: num_steps must be at least 1, got 0
    """
    for name, value in settings.items():
        least = 1 if name in ("num_steps", "batch_size", "num_ranks") else 0
        if value is not None and not isinstance(value, Integral):
            raise ValueError(f"{name} must be an integer, got {value!r}")
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")


def check_switches(switch_at: Sequence[int]) -> None:
    """Check the steps of a curriculum: whole numbers from 1, each larger than the one before it.

    Raises:
        ValueError: they are not; the message shows them.

    Examples:
        >>> check_switches([100, 50])
        Traceback (most recent call last):
        ValueError: switch_at must be rising whole numbers from 1, got [100, 50]
    """
    steps = list(switch_at)
    if not all(isinstance(step, Integral) for step in steps) or any(
        later <= earlier for earlier, later in pairwise([0, *steps])
    ):
        raise ValueError(f"switch_at must be rising whole numbers from 1, got {steps!r}")


def check_state(state: dict[str, Any], settings: dict[str, Any]) -> None:
    """Check that `state` is of a loader with the same settings, and holds a position.

    Raises:
        ValueError: it is not; the message names the setting.

    Examples:
        >>> check_state({"seed": 0, "position": 3}, {"seed": 0})
        >>> check_state({"seed": 1, "position": 3}, {"seed": 0})
        Traceback (most recent call last):
        ValueError: seed of the state must be this loader's, 0, got 1
    """
    if not isinstance(state, dict):
        raise ValueError(f"state must be a dict from state_dict(), got {state!r}")
    for name, value in settings.items():
        if name not in state:
            raise ValueError(f"state must hold {name}, got {', '.join(map(str, state)) or 'nothing'}")
        if state[name] != value:
            raise ValueError(f"{name} of the state must be this loader's, {value!r}, got {state[name]!r}")
    position = state.get("position")
    if type(position) is not int or position < 0:
        raise ValueError(f"position of the state must be a whole number from 0, got {position!r}")
