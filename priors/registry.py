"""Families by name: a registry's own or, by a dotted path, the user's; their parameters and domains."""

import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from inspect import Parameter, signature
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin

OWN_MODULE = re.compile(r"\b([A-Za-z_][\w.]*):[A-Za-z_]")
"""The module in a dotted path to a family."""

Value = TypeVar("Value")
_may_import = ContextVar("may_import", default=True)


class ConfigError(ValueError):
    """A value that no prior can have; the message names the field, the rule and the value.

    Examples:
        >>> lookup({"linear": sum, "mlp": max}, "linaer")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        priors.registry.ConfigError: unknown family 'linaer'; did you mean linear?...
    """


class Domain(NamedTuple):
    """The values, from low to high, that a parameter of a family can have.

    It stands in the parameter's annotation: ``width: Annotated[int, Domain(1, 1024)] = 8``. A config whose
    range leaves the domain is refused before anything is drawn.

    Examples:
        >>> from typing import Annotated
        >>> def wave(parents, rng, frequency: Annotated[float, Domain(0, 10)] = 1.0):
        ...     return np.sin(frequency * parents[:, 0])
        >>> check_parameter("wave: frequency", parameters_of(wave)["frequency"], (0.5, 20))
        Traceback (most recent call last):
        ValueError: wave: frequency must be in 0..10, got (0.5, 20)
    """

    low: float
    high: float


class UntrustedNameError(Exception):
    """A file names code outside this package, and the user did not say that it may be imported.

    Not a ValueError: pydantic would take it for a wrong value of a field.
    """


@contextmanager
def imports_allowed(allowed: bool) -> Iterator[None]:
    """Whether `lookup` may import what a dotted path names: only if all enclosing blocks allow it.

    A config that the user wrote, or names in a command, may name any code. A config that is read from a dump,
    a run folder or a study folder may not, since somebody else may have written that file.

    Examples:
        >>> with imports_allowed(False):  # doctest: +ELLIPSIS
        ...     lookup({}, "os:system")
        Traceback (most recent call last):
        priors.registry.UntrustedNameError: names code outside this package (os:system), ...
    """
    token = _may_import.set(allowed and _may_import.get())
    try:
        yield
    finally:
        _may_import.reset(token)


def lookup(registry: dict[str, Callable], name: str) -> Callable:
    """The family called `name`: a key of `registry`, or a dotted path such as ``"mypackage.priors:mine"``.

    A dotted path is imported, so worker processes find it too. A module that is not on Python's path may be
    in the current folder.

    Raises:
        ConfigError: no such family; the message lists those there are.
        UntrustedNameError: a dotted path where `imports_allowed` forbids it.

    Examples:
        >>> lookup({"sum": sum}, "sum")([1, 2]), lookup({}, "math:sqrt")(9)
        (3, 3.0)
    """
    if name in registry:
        return registry[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        known = nearest_or_all(name, registry)
        raise ConfigError(f'unknown family {name!r}; {known} (one of your own: "module:function")')
    if not _may_import.get():
        raise UntrustedNameError(f"names code outside this package ({name[:200]}), which was not imported")
    try:
        family = getattr(_import(module), attribute)
    except Exception as error:  # whatever the user's module raises while it is imported
        where = f" (searched were Python's path and {os.getcwd()})" if _is_absent(module, error) else ""
        raise ConfigError(f"family {name!r} cannot be imported: {error}{where}") from error
    if not callable(family):
        raise ConfigError(f"family {name!r} must be callable, got {type(family).__name__}")
    return family


def path_of(family: Callable) -> str:
    """The name of a function in a config: of one of this package, its own; else its dotted path.

    Raises:
        ValueError: other processes could not import it: it is of an interactive session, of a script that is
            run, or inside of another function.

    Examples:
        >>> import math
        >>> path_of(math.sqrt)
        'math:sqrt'
        >>> path_of(lambda parents, rng: parents[:, 0])
        Traceback (most recent call last):
        ValueError: a config cannot name the function <lambda>, since worker processes could not import it: \
write it in a file of the current folder, such as mine.py, and give "mine:NAME"
    """
    module, name = getattr(family, "__module__", None), getattr(family, "__qualname__", repr(family))
    if str(module).startswith("priors.families."):
        return name
    if getattr(sys.modules.get(module), name, None) is not family or module == "__main__":
        shown = "NAME" if "<" in name else name
        raise ValueError(
            f"a config cannot name the function {name}, since worker processes could not import it: write it "
            f'in a file of the current folder, such as mine.py, and give "mine:{shown}"'
        )
    return f"{module}:{name}"


def _import(module: str) -> ModuleType:
    """A module of Python's path or, if it is not there, of the current folder."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not _is_absent(module, error):
            raise
    folder = os.getcwd()
    sys.path.append(folder)
    try:
        importlib.invalidate_caches()
        return importlib.import_module(module)
    finally:
        sys.path.remove(folder)


def _is_absent(module: str, error: Exception) -> bool:
    """Whether an import failed since the module, or the package that it is in, was not found."""
    return isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")


def find_modules_in(folder: Path, text: str) -> None:
    """Let the modules of families that a file names be found in its folder, if they are found nowhere else.

    The folder becomes the last in `sys.path`: worker processes get it too, and no file in it can take the
    place of an installed module.

    Args:
        folder: of the file, which is the user's own.
        text: of the file; names of families in it are dotted paths such as "mine:wave".

    Examples:
        >>> find_modules_in(Path(), "mechanisms: mlp")  # names no module
    """
    for module in OWN_MODULE.findall(text):
        top = module.partition(".")[0]
        is_there = (folder / f"{top}.py").is_file() or (folder / top).is_dir()
        if is_there and importlib.util.find_spec(top) is None:
            sys.path.append(str(folder.absolute()))
            importlib.invalidate_caches()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Up to three known names that are similar to `name`, as a question; "" if none is.

    Examples:
        >>> did_you_mean("num_featurs", ["num_features", "mix"])
        'did you mean num_features?'
    """
    similar = get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(similar)}?" if similar else ""


def nearest_or_all(name: str, known: Iterable[str]) -> str:
    """What there is in place of an unknown name: those that are similar, or all.

    Examples:
        >>> nearest_or_all("mpl", ["linear", "mlp"]), nearest_or_all("forest", ["linear", "mlp"])
        ('did you mean mlp?', 'known: linear, mlp')
    """
    known = list(known)
    return did_you_mean(name, known) or f"known: {', '.join(known)}"


class Named(dict[str, Value]):
    """Values of one kind by their names; an unknown name is answered with those that are similar, or all.

    Args:
        kind: what they are, in the singular.
        values: name -> value.

    Examples:
        >>> Named("mechanism", {"linear": sum, "mlp": max})["mpl"]
        Traceback (most recent call last):
        KeyError: "unknown mechanism 'mpl'; did you mean mlp?"
    """

    def __init__(self, kind: str, values: dict[str, Value]):
        super().__init__(values)
        self.kind = kind

    def __missing__(self, name: str) -> Value:
        raise KeyError(f"unknown {self.kind} {name!r}; {nearest_or_all(str(name), self)}")


def parameters_of(family: Callable) -> dict[str, Parameter]:
    """The parameters of a family: all but its first two arguments, of which one is the generator.

    Examples:
        >>> def noisy(parents, rng, width=3, kind="step"):
        ...     pass
        >>> list(parameters_of(noisy)), [parameter_type(p) for p in parameters_of(noisy).values()]
        (['width', 'kind'], [<class 'int'>, <class 'str'>])
    """
    return dict([*signature(family).parameters.items()][2:])


def parameter_type(parameter: Parameter) -> type:
    """int, float or str: the type of a parameter's default.

    Examples:
        >>> def noisy(parents, rng, width=3, kind="step"):
        ...     pass
        >>> [parameter_type(parameter) for parameter in parameters_of(noisy).values()]
        [<class 'int'>, <class 'str'>]
    """
    return type(parameter.default)


def check_parameter(where: str, parameter: Parameter, values: tuple) -> None:
    """Stop at a value of a family's parameter that is outside of its domain or not among its choices.

    Domains and choices are annotations: ``Annotated[int, Domain(1, 16)]``, ``Literal["step", "linear"]``. A
    parameter without one takes every value.

    Raises:
        ValueError: naming `where`, the rule and the values.

    Examples:
        >>> from priors.families.mechanisms import mlp
        >>> check_parameter("mlp: width", parameters_of(mlp)["width"], (3, 5000))
        Traceback (most recent call last):
        ValueError: mlp: width must be in 1..1024, got (3, 5000)
    """
    annotation: Any = parameter.annotation
    shown = repr(values[0]) if len(values) == 1 else values
    if get_origin(annotation) is Literal:
        known = get_args(annotation)
        if not set(values) <= set(known):
            raise ValueError(f"{where} must be among {', '.join(known)}, got {shown}")
    for domain in getattr(annotation, "__metadata__", ()):
        if isinstance(domain, Domain) and not all(domain.low <= value <= domain.high for value in values):
            raise ValueError(f"{where} must be in {domain.low:g}..{domain.high:g}, got {shown}")
