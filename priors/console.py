"""What both command lines share: groups that load a command when it runs, plain errors, results as JSON."""

import _thread
import json
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from functools import wraps
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from priors.registry import ConfigError, did_you_mean
from priors.settings import read_setting


class PlainError(click.ClickException):
    """A mistake of the user, shown without usage text or traceback."""

    exit_code = 2


class Seed(click.ParamType):
    """A seed of `priors.streams.stream`; its help does not spell out 2**128 in digits.

    Examples:
        >>> Seed().convert("-1", None, None)
        Traceback (most recent call last):
        click.exceptions.BadParameter: -1 is not in the range 0 to 2**128 - 1.
    """

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            seed = int(value)
        except ValueError:
            self.fail(f"{value!r} is not a valid integer.", param, ctx)
        if not 0 <= seed < 2**128:
            self.fail(f"{seed} is not in the range 0 to 2**128 - 1.", param, ctx)
        return seed


def line_of_text(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """The callback of an option whose value must be a line of text.

    Examples:
        >>> title = click.Option(["--title"], callback=line_of_text)
        >>> line_of_text(click.Context(click.Command("card")), title, " ")
        Traceback (most recent call last):
        click.exceptions.UsageError: --title must be a line of text, got ' '
    """
    from priors.arguments import check_line  # with numpy, which no help page needs

    try:
        check_line(param.opts[0], value)
    except ValueError as error:
        raise click.UsageError(str(error), ctx) from error
    return value


class Choice(click.Choice):
    """One of some names, as click's; a wrong one is answered with those that are similar.

    Examples:
        >>> Choice(["linear", "tree-scm"]).convert("tree_scm", None, None)
        Traceback (most recent call last):
        click.exceptions.BadParameter: unknown name 'tree_scm'; did you mean tree-scm?
    """

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        similar = did_you_mean(str(value), map(str, self.choices))
        if similar:
            return f"unknown name {value!r}; {similar}"
        return super().get_invalid_choice_message(value, ctx)


class Lazy(NamedTuple):
    """A command whose module is imported when the command runs.

    Examples:
        >>> Lazy("priors.console:printable", "No command, but it is found all the same.").load() is printable
        True
    """

    place: str
    """module:attribute"""
    help: str
    """Its line in the help of the group: the first line of its docstring."""

    def load(self) -> click.Command:
        module, _, attribute = self.place.partition(":")
        return getattr(import_module(module), attribute)


Errors = tuple[type[Exception], ...]


class PlainGroup(click.Group):
    """Shows usage errors and the exceptions named in `errors` as plain lines.

    Args:
        errors: exception types whose message is written for the user, or a function that returns them; it is
            called when an exception has been raised, so that the group does not import their modules.
        lazy: name -> command, in the order of the group's help, to be imported when they run.

    Examples:
        >>> from click.testing import CliRunner
        >>> group = PlainGroup("mine", errors=(ValueError,))
        >>> @group.command("fail")
        ... def fail():
        ...     raise ValueError("width must be at least 1, got 0")
        >>> result = CliRunner().invoke(group, ["fail"])
        >>> print(result.exit_code, result.output.strip())
        2 Error: width must be at least 1, got 0
    """

    def __init__(
        self,
        *args: Any,
        errors: Errors | Callable[[], Errors] = (),
        lazy: dict[str, Lazy] | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.errors = errors
        self.lazy = lazy or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.lazy, *(name for name in super().list_commands(ctx) if name not in self.lazy)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.lazy and cmd_name not in self.commands:
            self.add_command(self.lazy[cmd_name].load(), cmd_name)
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; an unknown command is answered with those of similar names."""
        similar = did_you_mean(args[0], self.list_commands(ctx))
        if similar and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"No such command {args[0]!r}; {similar}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does, without importing the commands."""
        names = self.list_commands(ctx)
        if not names:
            return
        width = formatter.width - 6 - max(map(len, names))
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._short_help(name, width)) for name in names])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """As click does, without importing the commands."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=self._short_help(name)) for name in names]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def _short_help(self, name: str, width: int = 45) -> str:
        command = click.Command(name, help=self.lazy[name].help) if name in self.lazy else self.commands[name]
        return command.get_short_help_str(width)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with self._plainly():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with self._plainly():
            return super().invoke(ctx)

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                yield
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else self.name
            raise PlainError(f"{error.format_message()}\nTry '{command} --help'.") from error
        except (click.ClickException, click.exceptions.Exit, click.exceptions.Abort):
            raise
        except Exception as error:
            if not isinstance(error, self.errors() if callable(self.errors) else self.errors):
                raise
            raise PlainError(printable(str(error))) from error


def _show_warning(message: Warning | str, *_: Any) -> None:
    """A warning in a line, without the file and the line of the code that gave it."""
    click.echo(f"Warning: {printable(' '.join(str(message).split()))}", err=True)


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside it SIGTERM raises KeyboardInterrupt, as Ctrl-C does, and no KeyboardInterrupt is lost.

    By itself Python ends at once on SIGTERM, without closing anything. And if a KeyboardInterrupt is raised
    in a `__del__` or in the callback of a weak reference, Python prints it and drops it. Here it is raised
    again.

    Examples:
        >>> try:
        ...     with interruptible():
        ...         signal.raise_signal(signal.SIGTERM)
        ... except KeyboardInterrupt:
        ...     print("stopped")
        stopped
    """
    before, report = signal.signal(signal.SIGTERM, signal.default_int_handler), sys.unraisablehook

    def raise_again(dropped: Any) -> None:
        if dropped.exc_type is not KeyboardInterrupt:
            report(dropped)
            return
        # By then the callback has returned. Not SIGINT, which a process in the background may ignore.
        again = threading.Timer(0.05, _thread.interrupt_main, [signal.SIGTERM])
        again.daemon = True
        again.start()

    sys.unraisablehook = raise_again
    try:
        yield
    finally:
        sys.unraisablehook = report
        signal.signal(signal.SIGTERM, before)


def printable(text: str) -> str:
    """`text` without control characters other than line ends: the text of a file must not steer the terminal.

    Examples:
        >>> printable("\\x1b[31mred")
        '\\\\x1b[31mred'
    """
    return "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)


json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the result as one JSON document, and nothing else, on stdout.",
)
quiet_flag = click.option("--quiet", is_flag=True, help="Show no progress.")


def quiet_option(command: Callable) -> Callable:
    """Add --quiet to a command, inside which progress bars are then hidden.

    Examples:
        >>> from click.testing import CliRunner
        >>> @click.command("sample")
        ... @quiet_option
        ... def sample():
        ...     click.echo("sampled")
        >>> CliRunner().invoke(sample, ["--quiet"]).output.strip()
        'sampled'
    """

    @quiet_flag
    @wraps(command)
    def with_quiet(quiet: bool, **others: Any) -> None:
        with hidden_bars() if quiet else nullcontext():
            command(**others)

    return with_quiet


@contextmanager
def hidden_bars() -> Iterator[None]:
    """Inside it no progress bar is shown; errors and warnings are.

    All bars of this package show themselves on a terminal alone, and inside it stderr is none.

    Examples:
        >>> with hidden_bars():
        ...     sys.stderr.isatty()
        False
    """
    with redirect_stderr(_NoTerminal(sys.stderr)):
        yield


class _NoTerminal:
    """A stream that writes to another one, but is no terminal."""

    def __init__(self, stream: Any):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        return False


def report(as_json: bool, text: str, document: Any) -> None:
    """Print the result of a command on stdout.

    Args:
        as_json: the command's `--json`.
        text: the result for a reader.
        document: the same for a program, of dicts, lists, paths, texts and numbers.

    Examples:
        >>> report(False, "mine.h5: 3 datasets", {"out": Path("mine.h5"), "num_datasets": 3})
        mine.h5: 3 datasets
        >>> report(True, "mine.h5: 3 datasets", {"out": Path("mine.h5"), "mean": float("nan")})
        {
         "out": "mine.h5",
         "mean": null
        }
    """
    if as_json:
        echo_json(document)
    else:
        click.echo(text)


def echo_json(document: Any) -> None:
    """Print the result of a command as the one JSON document on stdout.

    Examples:
        >>> echo_json([Path("mine.h5"), float("inf")])
        [
         "mine.h5",
         null
        ]
    """
    click.echo(json.dumps(_plain(document), indent=1, allow_nan=False))


def _plain(value: Any) -> Any:
    """`value` as JSON has it: paths as text, numpy's numbers as Python's, NaN and infinity as null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not isfinite(value) else value


def parse_override(text: str) -> tuple[str, Any]:
    """(path, value) of a `--set FIELD=VALUE`, in the grammar of `priors.settings`.

    Raises:
        PlainError: it is not of that form.

    Examples:
        >>> parse_override("num_features=[2, 10]")
        ('num_features', [2, 10])
    """
    try:
        return read_setting(text)
    except ConfigError as error:
        raise PlainError(f"--set: {error}") from error


def refuse_existing(path: Any, overwrite: bool) -> None:
    """Stop before any work if the output exists already.

    Raises:
        PlainError: `path` exists and `overwrite` is not set.

    Examples:
        >>> from pathlib import Path
        >>> refuse_existing(Path("absent.h5"), overwrite=False)
        >>> refuse_existing(Path("."), overwrite=False)
        Traceback (most recent call last):
        priors.console.PlainError: . exists; --overwrite replaces it
    """
    if path.exists() and not overwrite:
        raise PlainError(f"{path} exists; --overwrite replaces it")
