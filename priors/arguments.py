"""Checks of the arguments that many public functions have: integers, generators, paths, lines of text."""

import os
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np


def check_integer(name: str, value: Any) -> None:
    """Refuse what is no integer; True and False are none.

    Raises:
        TypeError: the message names the argument and the value.

    Examples:
        >>> check_integer("num_datasets", 2.5)
        Traceback (most recent call last):
        TypeError: num_datasets must be an integer, got 2.5
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value!r:.100}")


def check_generator(rng: Any) -> None:
    """Refuse what is no random generator, such as a seed.

    Raises:
        TypeError: the message says how to make one.

    Examples:
        >>> check_generator(0)
        Traceback (most recent call last):
        TypeError: rng must be a numpy Generator, such as stream(0), got 0
    """
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy Generator, such as stream(0), got {rng!r:.100}")


def as_path(name: str, value: Any) -> Path:
    """An argument that says where a file is, as a path.

    Raises:
        TypeError: it is neither a text nor a path.

    Examples:
        >>> as_path("path", "mine.h5").suffix
        '.h5'
        >>> as_path("path", None)
        Traceback (most recent call last):
        TypeError: path must be a path, as text or a Path, got None
    """
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be a path, as text or a Path, got {value!r:.100}")
    return Path(value)


def check_line(name: str, value: Any) -> None:
    """Refuse what is no line of text.

    Raises:
        ValueError: the message names the argument and the value.

    Examples:
        >>> check_line("title", "two\\nlines")
        Traceback (most recent call last):
        ValueError: title must be a line of text, got 'two\\nlines'
    """
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"{name} must be a line of text, got {value!r:.100}")
