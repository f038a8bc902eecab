"""The settings of a config described: meaning, values, default, families, presets that change them.

Nothing is written here twice: the meaning is the docstring of the field, the values come from its type, what
a family does is the first sentence of its function.
"""

import ast
import inspect
import textwrap
from dataclasses import fields
from typing import Any, NamedTuple, get_args

from pydantic import TypeAdapter

from priors.config import PriorConfig
from priors.families.categories import CONVERTERS
from priors.families.graphs import GRAPHS
from priors.families.mechanisms import MECHANISMS
from priors.families.registries import FAMILIES as FIELD_FAMILIES
from priors.presets import PRESETS
from priors.registry import ConfigError, Domain, did_you_mean, parameters_of
from priors.settings import PARAMETERS, differences, example, write_setting, write_value

FAMILIES = FIELD_FAMILIES | {PARAMETERS: {**GRAPHS, **MECHANISMS, **CONVERTERS}}
"""Field of a PriorConfig -> the families that it names."""


class FieldReference(NamedTuple):
    """What there is to say of one field of a PriorConfig."""

    name: str
    meaning: str
    values: str
    default: str
    examples: str
    families: dict[str, str]
    """Name -> what it is, and for `parameters` which parameters it has."""
    presets: dict[str, str]
    """Name of a preset that does not have the default -> the setting that it has."""


def describe_field(name: str) -> FieldReference:
    """One field of a PriorConfig.

    Raises:
        ConfigError: no such field; the message has the nearest names.

    Examples:
        >>> described = describe_field("train_fraction")
        >>> described.values, described.default
        ('a number, a range [low, high] or a distribution, above 0 and below 1', '[0.1, 0.9]')
    """
    default = PriorConfig().plain()
    if name not in default:
        owners = [field for field in FAMILIES if field != PARAMETERS and name in FAMILIES[field]]
        if owners:
            parameters = "it has no parameters"
            if name in FAMILIES[PARAMETERS] and parameters_of(FAMILIES[PARAMETERS][name]):
                of_it = describe_family(PARAMETERS, name)
                parameters = f"its parameters, which {PARAMETERS}.{name}.NAME=VALUE sets: {of_it}"
            raise ConfigError(
                f"{name!r} is no field but one of {' and '.join(owners)}, which `priors presets --explain "
                f"{owners[0]}` lists; {parameters}"
            )
        similar = did_you_mean(name, default) or "`priors presets --explain` lists the fields"
        raise ConfigError(f"unknown field {name!r}; {similar}")
    schema = TypeAdapter(PriorConfig).json_schema()
    changed = {preset: differences(config.plain(), default) for preset, config in PRESETS.items()}
    return FieldReference(
        name,
        field_docs(PriorConfig)[name],
        _values_of_names(name) or values_of(schema["properties"][name], schema["$defs"]),
        "see below" if name == PARAMETERS else write_value(default[name]),
        "" if name == "graph" else example(name, getattr(PriorConfig(), name)),
        {family: describe_family(name, family) for family in FAMILIES.get(name, {})},
        {
            preset: write_setting(name, PRESETS[preset].plain()[name])
            for preset, found in changed.items()
            if any(path.partition(".")[0] == name for path in found)
        },
    )


def field_names() -> list[str]:
    """The fields of a PriorConfig, in its order.

    Examples:
        >>> field_names()[:3]
        ['num_datapoints', 'num_features', 'num_classes']
    """
    return [field.name for field in fields(PriorConfig)]


def field_docs(owner: type) -> dict[str, str]:
    """Field -> the docstring below it, in one line, for a class whose fields have such docstrings.

    Examples:
        >>> field_docs(PriorConfig)["num_datapoints"]
        'Rows of every dataset, training and test together.'
    """
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    docs = {}
    for statement, after in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(after, ast.Expr):
            docs[statement.target.id] = " ".join(ast.literal_eval(after.value).split())
    return docs


def first_sentence(text: str) -> str:
    """The first sentence of a text.

    Examples:
        >>> first_sentence("Rows (R) of a table. All of them.")
        'Rows (R) of a table.'
    """
    sentence, stop, _ = " ".join(text.split()).partition(". ")
    return sentence + "." * bool(stop)


def describe_family(field: str, name: str) -> str:
    """What a family is, in a sentence; for the field `parameters`, its parameters.

    Examples:
        >>> describe_family("noises", "uniform")
        'Uniform on +-sqrt(3).'
        >>> describe_family("parameters", "decision_trees")
        'num_trees=[1, 2] (1 to 100), depth=[2, 6] (1 to 20)'
    """
    family = FAMILIES[field][name]
    if field != PARAMETERS:
        return first_sentence(inspect.getdoc(family) or "")
    ranges = PriorConfig().parameters.get(name, {})
    texts = []
    for parameter, declared in parameters_of(family).items():
        value, domain = list(ranges.get(parameter, (declared.default,))), _domain(declared.annotation)
        if isinstance(domain, list):
            domain = "all" if value == domain else f"of {', '.join(domain)}"
        texts.append(f"{parameter}={write_value(value)} ({domain})")
    return ", ".join(texts) or "no parameters"


def family_source(field: str, name: str) -> str:
    """The literature that the docstring of a family refers to; "" if there is none.

    Examples:
        >>> family_source("graphs", "barabasi_albert")
        'Barabasi and Albert, Emergence of scaling in random networks, Science 1999.'
        >>> family_source("noises", "normal")
        ''
    """
    _, found, text = (inspect.getdoc(FAMILIES[field][name]) or "").partition("References:\n")
    return " ".join(text.partition("\n\n")[0].split()) if found else ""


def _domain(annotation: Any) -> str | list[str]:
    """The bounds of a parameter, or its choices."""
    for domain in getattr(annotation, "__metadata__", ()):
        if isinstance(domain, Domain):
            return f"{domain.low:g} to {domain.high:g}"
    return list(get_args(annotation)) or "any"


def _values_of_names(field: str) -> str:
    """For fields that name families, of which the types say little."""
    if field == PARAMETERS:
        return (
            "for each family, by name: for each parameter a number, a range [low, high], a distribution or a "
            "list of choices"
        )
    if field == "graph":
        return "a graph (`priors generate --graph FILE`, `OwnGraph` in Python), or null"
    if field in FAMILIES:
        return 'a name, a list of names, or weights by name; a family of your own is "module:function"'
    return ""


def values_of(schema: dict[str, Any], definitions: dict[str, Any] | None = None) -> str:
    """The values that a JSON schema allows, in words.

    Args:
        definitions: the schemas that it refers to, by name.

    Examples:
        >>> values_of({"type": "integer", "minimum": 4})
        'a whole number, at least 4'
        >>> values_of({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "null"}]})
        'a number, above 0; or null'
        >>> values_of({"type": "array", "items": {"type": "string"}})
        'a list: text'
    """
    if "anyOf" in schema:
        return "; or ".join(values_of(choice, definitions) for choice in schema["anyOf"])
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if "$ref" in schema:
        named = (definitions or {})[schema["$ref"].rpartition("/")[2]]
        return f"fields: {', '.join(named['properties'])}"
    if "prefixItems" in schema:
        one = values_of(schema["prefixItems"][0])
        kind, comma, bounds = one.partition(", ")
        if "distribution" in schema:
            return f"{kind}, a range [low, high] or a distribution{comma}{bounds}"
        return f"{kind}, or a range [low, high]{comma}{bounds}"
    if schema.get("type") == "array":
        return f"a list: {values_of(schema['items'], definitions)}" if schema.get("items") else "a list"
    if schema.get("type") == "object":
        names = schema.get("propertyNames", {}).get("enum")
        of = f" of {', '.join(names)}" if names else ""
        inner = schema.get("additionalProperties")
        if isinstance(inner, dict) and inner.get("type") == "number":
            return f"a name, a list of names, or weights by name{of}"
        return "values by name" + (f": {values_of(inner, definitions)}" if isinstance(inner, dict) else "")
    words = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "null": "null"}
    return words.get(schema.get("type", ""), "text") + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    keys = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}
    keys["exclusiveMaximum"] = "below"
    if "minimum" in schema and "maximum" in schema:
        return f", from {schema['minimum']:g} to {schema['maximum']:g}"
    found = [f"{word} {schema[key]:g}" for key, word in keys.items() if key in schema and schema[key] < 2**63]
    return f", {' and '.join(found)}" if found else ""


def explain_field(name: str, width: int = 100) -> str:
    """All about a field as plain text, for the terminal.

    Raises:
        ConfigError: no such field; the message has the nearest names.

    Examples:
        >>> print(explain_field("num_datapoints"))
        num_datapoints
          Rows of every dataset, training and test together.
        <BLANKLINE>
          values   a whole number, at least 4
          default  150
          write    num_datapoints=150
    """
    found = describe_field(name)
    rows = [("values", found.values), ("default", found.default)]
    rows += [("write", found.examples)] if found.examples else []
    presets = [f"{preset}: {setting}" for preset, setting in found.presets.items()]
    rows += zip(["presets", *[""] * len(presets)], presets, strict=False)
    lines = [name, *textwrap.wrap(found.meaning, width, initial_indent="  ", subsequent_indent="  "), ""]
    lines += _columns(rows, width)
    if found.families:
        lines += ["", *_columns(list(found.families.items()), width)]
    return "\n".join(lines)


def list_fields(width: int = 100) -> str:
    """Every field of a PriorConfig with the first sentence on it, as plain text.

    Examples:
        >>> list_fields().splitlines()[0]
        'num_datapoints        Rows of every dataset, training and test together.'
    """
    docs = field_docs(PriorConfig)
    return "\n".join(
        line[2:] for line in _columns([(name, first_sentence(docs[name])) for name in field_names()], width)
    )


def _columns(rows: list[tuple[str, str]], width: int) -> list[str]:
    """Names to the left, wrapped texts to the right, indented by two."""
    left = max(len(name) for name, _ in rows) + 2
    lines = []
    for name, text in rows:
        wrapped = textwrap.wrap(text, width - left - 2, break_long_words=False, break_on_hyphens=False)
        lines += [
            f"  {'' if number else name:<{left}}{part}".rstrip()
            for number, part in enumerate(wrapped or [""])
        ]
    return lines
