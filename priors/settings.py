"""The grammar of settings, FIELD=VALUE: how they are read, merged into a config, and printed.

The command line (`--set`), study files, JSON configs and Python share it:

    mechanisms=mlp                          one name in place of weights
    mechanisms=[mlp, linear]                several, each with the weight 1
    mechanisms={mlp: 2, linear: 1}          weights
    mechanisms.mlp=3                        one weight; the others stay
    num_features=3                          one number in place of a range
    num_features=[2, 10]                    a range, both ends included; (2, 10) too
    num_features=log_uniform(2, 50)         another distribution: uniform, log_uniform, integers
    num_classes=choice({2: 3, 10: 1})       some numbers, by weight
    parameters.mlp.width=[30, 40]           one parameter; all others stay
    parameters={mlp: {width: [30, 40]}}     the same
    parameters.mlp.width=null               the mechanism's own default, in place of the prior's range
    replace.parameters={}                   all of the field, without merging
"""

import ast
import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

from priors.distributions import DISTRIBUTION, from_plain, is_distribution
from priors.registry import ConfigError, did_you_mean, path_of

if TYPE_CHECKING:
    from pydantic import ValidationError  # which takes a while to load

REPLACE = "replace."
"""Before a field: its value takes the place of the old one, where it would be merged otherwise."""
PARAMETERS = "parameters"
"""The field whose value is merged: {family: {parameter: range}}."""
EXAMPLES = {
    PARAMETERS: "parameters.mlp.width=[30, 40]",
    "learnability": "learnability=[0.6, 0.95]",
    "shift": "shift=0.3",
    "difficulty": "difficulty=[1, 1, 1]",
}
"""Right values of fields for which the default shows none."""

# Texts, words, and words with a colon in them (the dotted path of a user's own family).
_TEXT = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
_WORD = re.compile(rf"{_TEXT}|(?<![\w.])[A-Za-z_][\w.-]*(?::[A-Za-z_]\w*)?")
_NUMBER_AS_KEY = re.compile(r"(?<![\w.])(-?\d[\w.+-]*)\s*:")
_TWO_TEXTS = re.compile(rf"{_TEXT}\s*{_TEXT}")
_LITERALS = {"true", "false", "null", "NaN", "Infinity", "True", "False", "None"}


# ----------------------------------------------------------------------------------------------- reading


def read_setting(text: str) -> tuple[str, Any]:
    """(path, value) of a FIELD=VALUE.

    Raises:
        ConfigError: it is not of that form, or the value cannot be read.

    Examples:
        >>> read_setting("mechanisms=[mlp, linear]")
        ('mechanisms', ['mlp', 'linear'])
        >>> read_setting("parameters.mlp.width=[30, 40]")
        ('parameters.mlp.width', [30, 40])
    """
    path, equals, value = text.partition("=")
    path = path.strip()
    if not equals or not path:
        raise ConfigError(f"a setting is FIELD=VALUE, such as num_features=3 or mechanisms=mlp; got {text!r}")
    return path, read_value(value, path)


def read_value(text: str, path: str = "value") -> Any:
    """A value as JSON, or as Python writes it, in which names may stand without quotes.

    Args:
        path: what the value is for, for the message.

    Raises:
        ConfigError: it cannot be read.

    Examples:
        >>> read_value("{mlp: 2, linear: 1}"), read_value("tanh"), read_value("0.1")
        ({'mlp': 2, 'linear': 1}, 'tanh', 0.1)
        >>> read_value("(2, 10)"), read_value("{'mlp': .5}"), read_value("True")
        ([2, 10], {'mlp': 0.5}, True)
    """

    def quoted(match: re.Match) -> str:
        word = match.group()
        return word if word[0] in "\"'" or word in _LITERALS else json.dumps(word)

    def called(match: re.Match) -> str:
        name, arguments = match.groups()
        options = _NUMBER_AS_KEY.sub(r'"\1":', arguments)
        return f"{{{name}: {options}}}" if name == "choice" else f"{{{name}: [{arguments}]}}"

    text_of_value = _WORD.sub(quoted, DISTRIBUTION.sub(called, text)).strip()
    try:
        try:
            return json.loads(text_of_value)
        except ValueError:  # (2, 10), {'mlp': 1}, .5, True; through JSON, which has no sets and no bytes
            if _TWO_TEXTS.search(text_of_value):  # which Python would join
                raise
            return json.loads(json.dumps(ast.literal_eval(text_of_value)))
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise ConfigError(
            f"{path}: cannot read the value {_shortened(text)!r}; it must be a number (3), a name (mlp), a "
            f"list ([2, 10], [mlp, linear]) or an object ({{mlp: 2, linear: 1}})"
        ) from error


def as_range(value: Any) -> Any:
    """One number as the range from it to itself, a distribution as a `Range`; any other value as it is.

    Examples:
        >>> as_range(3), as_range([2, 10]), as_range({"log_uniform": [2, 50]}), as_range("log_uniform(2, 50)")
        ((3, 3), [2, 10], log_uniform(2, 50), log_uniform(2, 50))
    """
    value = from_plain(_read_distribution(value))
    return (value, value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def as_weights(value: Any) -> Any:
    """A name or a function, or several, as weights of 1; any other value as it is.

    Raises:
        ValueError: a function that other processes could not import.

    Examples:
        >>> as_weights("mlp"), as_weights(["mlp", "linear"]), as_weights({"choice": {"mlp": 2}})
        ({'mlp': 1.0}, {'mlp': 1.0, 'linear': 1.0}, {'mlp': 2})
    """
    value = _read_distribution(value)
    if isinstance(value, dict) and [*value] == ["choice"]:
        value = from_plain(value)
    if isinstance(value, dict):
        return {path_of(name) if callable(name) else name: weight for name, weight in value.items()}
    names = [value] if isinstance(value, str) or callable(value) else value
    if isinstance(names, list | tuple):
        names = [path_of(name) if callable(name) else name for name in names]
        if all(isinstance(name, str) for name in names):
            return dict.fromkeys(names, 1.0)
    return value


def _read_distribution(value: Any) -> Any:
    """A distribution that is a text, as in a study file, as JSON has it; any other value as it is."""
    is_text = isinstance(value, str) and DISTRIBUTION.fullmatch(value.strip())
    return read_value(value) if is_text else value


def as_parameter_range(value: Any) -> Any:
    """One number as a range, one name as a list of choices; any other value as it is.

    Examples:
        >>> as_parameter_range(0.5), as_parameter_range("tanh")
        ((0.5, 0.5), ['tanh'])
    """
    value = as_range(value)
    return [value] if isinstance(value, str) else value


# ----------------------------------------------------------------------------------------------- merging


def changed_fields(fields: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """The new values of the fields that `settings` change.

    Args:
        fields: field -> present value.
        settings: path -> value, applied in this order. A path is a field, or leads into one (the weight of a
            family, the parameters of a family, one parameter), or is one of these after `replace.`.

    Raises:
        ConfigError: an unknown field, or a path into a field that has no parts; the message has the nearest
            names.

    Examples:
        >>> fields = {"parameters": {"mlp": {"width": (3, 12), "gain": (0.8, 2.2)}}, "num_features": (5, 5)}
        >>> changed_fields(fields, {"parameters.mlp.width": [30, 40]})
        {'parameters': {'mlp': {'width': [30, 40], 'gain': (0.8, 2.2)}}}
        >>> changed_fields(fields, {"replace.parameters": {"mlp": {"width": [30, 40]}}})
        {'parameters': {'mlp': {'width': [30, 40]}}}
    """
    if not isinstance(settings, Mapping):
        raise TypeError(f"overrides must be a dict of paths and values, got {settings!r:.100}")
    changed: dict[str, Any] = {}
    for path, value in settings.items():
        field, _, part = path.removeprefix(REPLACE).partition(".")
        if field not in fields:
            similar = did_you_mean(field, fields) or "`priors presets default` prints the fields"
            raise ConfigError(f"unknown field {field!r}; {similar}")
        present = changed.get(field, fields[field])
        if field == PARAMETERS:
            changed[field] = _merged_parameters(present, part, value, merge=not path.startswith(REPLACE))
        elif part:
            changed[field] = _with_weight(field, present, part, value)
        else:
            changed[field] = value
    return changed


def _merged_parameters(present: dict[str, dict[str, Any]], part: str, value: Any, merge: bool) -> Any:
    """`parameters` after a setting.

    Args:
        part: "", a family, or a family and a parameter with a dot between them. The name of a family may have
            dots itself; that of a parameter has none.
        merge: whether what the value does not name stays.
    """
    if not part and not (merge and isinstance(value, dict)):
        return value
    changes = value
    if part:
        family, dot, parameter = part.rpartition(".")
        is_range = not isinstance(value, dict) or is_distribution(value)
        if dot and part not in present and is_range:
            changes = {family: {parameter: value}}
        else:
            changes = {part: value}
            present = present if merge else {name: old for name, old in present.items() if name != part}
    merged = dict(present)
    for family, ranges in changes.items():
        if ranges is None:
            merged.pop(family, None)
        elif isinstance(ranges, dict):
            both = {**merged.get(family, {}), **ranges}
            merged[family] = {name: given for name, given in both.items() if given is not None}
        else:
            merged[family] = ranges
    return merged


def _with_weight(field: str, present: Any, family: str, weight: Any) -> dict[str, Any]:
    present = as_weights(present)
    if not isinstance(present, dict):
        raise ConfigError(f"{field}.{family}: the field {field} has no parts; {field}=VALUE sets it")
    return {name: value for name, value in {**present, family: weight}.items() if value is not None}


# ---------------------------------------------------------------------------------------------- printing


def differences(fields: dict[str, Any], base: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """path -> (value, value in `base`) for everything in which two configs differ.

    Both are configs as plain values, as JSON has them; a parameter that is not given has None.

    Examples:
        >>> differences({"num_features": [3, 3], "mix": "node"}, {"num_features": [5, 5], "mix": "node"})
        {'num_features': ([3, 3], [5, 5])}
    """
    fields, base = _plain(fields), _plain(base)
    found: dict[str, tuple[Any, Any]] = {}
    for field in [*fields, *(name for name in base if name not in fields)]:
        value, old = fields.get(field), base.get(field)
        if value == old:
            continue
        if field == PARAMETERS and isinstance(value, dict) and isinstance(old, dict):
            for family in [*value, *(name for name in old if name not in value)]:
                ranges, old_ranges = value.get(family) or {}, old.get(family) or {}
                if not isinstance(ranges, dict) or not isinstance(old_ranges, dict):  # a file from elsewhere
                    found[f"{field}.{family}"] = (ranges, old_ranges)
                    continue
                for name in [*ranges, *(name for name in old_ranges if name not in ranges)]:
                    if ranges.get(name) != old_ranges.get(name):
                        path = f"{field}.{family}.{name}"
                        found[path] = (ranges.get(name), old_ranges.get(name))
        else:
            found[field] = (value, old)
    return found


def _plain(value: Any) -> Any:
    """`value` with lists for tuples, as JSON would give it back."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def write_value(value: Any) -> str:
    """A value in the grammar's shortest form: `read_value` takes it back, and a field then means the same.

    Examples:
        >>> write_value({"mlp": 1.0}), write_value({"mlp": 2.0, "linear": 1.0}), write_value([3, 3])
        ('mlp', '{mlp: 2, linear: 1}', '3')
        >>> write_value({"mlp": 1.0, "linear": 1.0}), write_value([0.05, 1.0])
        ('[mlp, linear]', '[0.05, 1]')
    """
    if isinstance(value, dict) and isinstance(value.get("nodes"), dict | list):
        return f"(a graph of {len(value['nodes'])} nodes)"
    if is_distribution(value):
        [(name, arguments)] = value.items()
        if name != "choice":
            return f"{name}({', '.join(map(write_value, arguments))})"
        if isinstance(arguments, dict):
            options = [f"{option}: {write_value(weight)}" for option, weight in arguments.items()]
            return f"choice({{{', '.join(options)}}})"
        return f"choice({write_value(arguments)})"
    if isinstance(value, dict) and value and all(weight == 1 for weight in value.values()):
        names = [write_value(name) for name in value]
        return names[0] if len(names) == 1 else f"[{', '.join(names)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{write_value(name)}: {write_value(item)}' for name, item in value.items())}}}"
    if isinstance(value, list | tuple):
        if len(value) == 2 and value[0] == value[1] and not isinstance(value[0], str):
            return write_value(value[0])
        if len(value) == 1 and isinstance(value[0], str):
            return write_value(value[0])
        return f"[{', '.join(map(write_value, value))}]"
    if isinstance(value, str):
        return value if _WORD.fullmatch(value) and value not in _LITERALS else json.dumps(value)
    if isinstance(value, float) and isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return json.dumps(value)


def example(field: str, default: Any) -> str:
    """A setting of `field` with a right value, for messages.

    Examples:
        >>> example("num_features", (5, 5)), example("noise_scale", (0.05, 1.0))
        ('num_features=5 or num_features=[5, 10]', 'noise_scale=1 or noise_scale=[0.05, 1]')
        >>> example("mechanisms", {"linear": 1.0, "mlp": 1.0})
        'mechanisms=linear or mechanisms=[linear, mlp] or mechanisms={linear: 2, mlp: 1}'
    """
    if field in EXAMPLES:
        return EXAMPLES[field]
    if isinstance(default, dict):
        names = list(default)[:2]
        values = [names[0]] if len(names) == 1 else [names[0], names, dict(zip(names, (2, 1), strict=True))]
    elif isinstance(default, tuple):
        low, high = default
        if low == high:
            high = 2 * low if low else 0.3
        values = [high, [low, high]] if default[0] != default[1] or not low else [low, [low, high]]
    else:
        values = [default]
    return " or ".join(f"{field}={write_value(value)}" for value in values)


MESSAGES = {
    "tuple_type": "needs a number or a range (low, high)",
    "dict_type": "needs a name, a list of names, or weights by name",
}
"""For pydantic's words on types, by the type of its error."""


def explain(error: "ValidationError", defaults: Any = None) -> str:
    """What pydantic found, in one line: `field: rule, got value; field: ...`.

    Args:
        defaults: a config with the default values. With it, a right value follows each error, once a field.

    Examples:
        >>> from pydantic import TypeAdapter, ValidationError
        >>> try:
        ...     TypeAdapter(int).validate_python("two")
        ... except ValidationError as error:
        ...     print(explain(error))
        input should be a valid integer, unable to parse string as an integer, got 'two'
    """
    return "; ".join(text for _, text in explain_by_field(error, defaults))


def explain_by_field(error: "ValidationError", defaults: Any = None) -> list[tuple[str, str]]:
    """(field, what is wrong with it) for each finding of `explain`; the field is "" where none is named.

    Examples:
        >>> from pydantic import ValidationError
        >>> from priors.config import PriorConfig
        >>> try:
        ...     PriorConfig(clip=0, num_features=0)
        ... except ValidationError as error:
        ...     print(explain_by_field(error))
        [('clip', 'clip: input should be greater than or equal to 1, got 0')]
    """
    findings, shown_examples = [], set()
    for finding in error.errors(include_url=False):
        message = MESSAGES.get(finding["type"], finding["msg"].removeprefix("Value error, "))
        message = message[:1].lower() + message[1:]
        field = ".".join(str(part) for part in finding["loc"])
        text = f"{field + ': ' if field else ''}{message}"
        # Our own rules name the value already; a text that is not JSON may be a whole file.
        if finding["type"] not in ("value_error", "json_invalid"):
            text += f", got {finding['input']!r}"
            name = str(finding["loc"][0]) if finding["loc"] else ""
            if defaults is not None and name not in shown_examples and hasattr(defaults, name):
                shown_examples.add(name)
                text += f" (such as {example(name, getattr(defaults, name))})"
        # A rule for several fields begins with the name of the one to change.
        named = re.match(r"(\w+): ", message)
        findings.append((str(finding["loc"][0]) if finding["loc"] else named[1] if named else "", text))
    return findings


def write_differences(found: dict[str, tuple[Any, Any]]) -> str:
    """The differences as settings, in a line.

    Examples:
        >>> write_differences({"num_features": ([3, 3], [5, 5]), "mix": ("dataset", "node")})
        'num_features=3, mix=dataset'
    """
    return ", ".join(write_setting(path, value) for path, (value, _) in found.items())


def write_setting(path: str, value: Any) -> str:
    """The setting that gives `path` the value.

    Examples:
        >>> write_setting("parameters.mlp.activation", ["tanh"])
        'parameters.mlp.activation=tanh'
    """
    # A list of weights, of which 1 is no short form.
    if path == "difficulty" and isinstance(value, list | tuple):
        return f"{path}=[{', '.join(map(write_value, value))}]"
    return f"{path}={write_value(value)}"


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
