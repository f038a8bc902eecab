"""A click group whose errors are one or two plain lines and exit code 2."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click


class PlainError(click.ClickException):
    """What the user got wrong, shown without usage text or traceback."""

    exit_code = 2


class Seed(click.ParamType):
    """A seed of `priors.streams.stream`; its help does not spell out 2**128 in digits."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            seed = int(value)
        except ValueError:
            self.fail(f"{value!r} is not a valid integer.", param, ctx)
        if not 0 <= seed < 2**128:
            self.fail(f"{seed} is not in the range 0 to 2**128 - 1.", param, ctx)
        return seed


class PlainGroup(click.Group):
    """Shows usage errors and the exceptions named in `errors` as plain lines.

    Args:
        errors: exception types whose message is written for the user.
    """

    def __init__(self, *args: Any, errors: tuple[type[Exception], ...] = (), **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.errors = errors

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with self._plainly():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with self._plainly():
            return super().invoke(ctx)

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        try:
            yield
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else self.name
            raise PlainError(f"{error.format_message()}\nTry '{command} --help'.") from error
        except self.errors as error:
            raise PlainError(printable(str(error))) from error


def printable(text: str) -> str:
    """`text` without control characters but line ends: a file from elsewhere must not steer the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)


def parse_override(text: str) -> tuple[str, Any]:
    """(field, value) of a `--set FIELD=JSON`.

    Raises:
        PlainError: it is not of that form.
    """
    field, equals, value = text.partition("=")
    if not equals:
        raise PlainError(f"--set needs FIELD=JSON, got {text!r}")
    try:
        return field.strip(), json.loads(value)
    except json.JSONDecodeError as error:
        raise PlainError(f"--set {field.strip()}: {value!r} is not JSON: {error}") from error


def refuse_existing(path: Any, overwrite: bool) -> None:
    """Stop before any work where the output is already there.

    Raises:
        PlainError: `path` exists and `overwrite` is not set.
    """
    if path.exists() and not overwrite:
        raise PlainError(f"{path} exists; --overwrite replaces it")
