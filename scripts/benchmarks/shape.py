"""A type of option: three sizes in one word, such as 150x5x2."""

import re

import click


class Shape(click.ParamType):
    """Three positive integers, such as 150x5x2."""

    def __init__(
        self, name: str = "RxFxK", words: str = "rows, features and classes", example: str = "150x5x2"
    ):
        self.name, self.words, self.example = name, words, example

    def convert(self, value, param, ctx) -> tuple[int, int, int]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([1-9]\d*)", value)
        if not found:
            self.fail(f"must be {self.words} as in {self.example}, got {value!r}", param, ctx)
        return tuple(int(number) for number in found.groups())
