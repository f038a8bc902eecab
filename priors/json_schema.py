"""The JSON Schema of a prior's config: for editors, which then complete, explain and check a file.

Nothing is written here twice: types and bounds are those that `PriorConfig` checks, meanings are the
docstrings of its fields, and names come from the registries of families. The schema is of draft 7, which all
editors read.
"""

import inspect
from collections.abc import Callable
from typing import Any, get_args

from pydantic import TypeAdapter

from priors.config import PriorConfig
from priors.distributions import DISTRIBUTIONS
from priors.field_reference import FAMILIES, field_docs, first_sentence
from priors.registry import Domain, parameter_type, parameters_of
from priors.settings import PARAMETERS

Schema = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"
OWN_FAMILY = {"type": "string", "pattern": "^[^:]+:[^:]+$", "description": "A family of your own."}
"""A dotted path, module:function."""
NULL = {"type": "null"}


def config_schema() -> Schema:
    """The JSON Schema of a config file (`--config`), in the grammar of `priors.settings`.

    It has the short forms too: a number for a range, a name or a list of names for weights, and paths such as
    "parameters.mlp.width". What depends on two fields or on a range's order is left to `PriorConfig`.

    Examples:
        >>> schema = config_schema()
        >>> schema["$defs"]["num_datapoints"]["minimum"], schema["$defs"]["num_datapoints"]["default"]
        (4, 150)
        >>> sorted(schema["$defs"]["mix"]["enum"])
        ['dataset', 'node']
    """
    return {
        "$schema": DRAFT,
        "title": "Prior",
        "description": (
            'A prior over datasets, for `priors generate --config`. The line "$schema": "FILE" in a config '
            "names this file to an editor."
        ),
        **settings_schema({"$schema": {"type": "string", "description": "The file of this schema."}}),
        "$defs": field_schemas(),
    }


def settings_schema(also: Schema | None = None) -> Schema:
    """The schema of an object whose keys are paths of settings; its references are to `field_schemas`.

    Args:
        also: schemas of further keys.

    Examples:
        >>> settings_schema()["properties"]["coherence"]
        {'$ref': '#/$defs/coherence'}
    """
    fields = list(PriorConfig().plain())
    reference = {name: {"$ref": f"#/$defs/{name}"} for name in fields}
    weight = {"anyOf": [{"type": "number", "minimum": 0}, NULL]}
    paths = {rf"^replace\.{name}$": reference[name] for name in fields}
    paths |= {rf"^(replace\.)?{name}\..+$": weight for name in fields if _has_weights(name)}
    paths |= {rf"^(replace\.)?{PARAMETERS}\..+$": {"anyOf": [_value({}), {"type": "object"}, NULL]}}
    return {
        "type": "object",
        "properties": (also or {}) | reference,
        "patternProperties": paths,
        "additionalProperties": False,
    }


def field_schemas() -> dict[str, Schema]:
    """Field -> the schema of its values, as a user may write them, and the schemas that these refer to.

    Examples:
        >>> field_schemas()["num_datapoints"]["minimum"]
        4
    """
    own = TypeAdapter(PriorConfig).json_schema()
    docs, defaults = field_docs(PriorConfig), PriorConfig().plain()
    schemas = {
        name: {"description": docs[name], **plain(_written(name, schema)), "default": defaults[name]}
        for name, schema in own["properties"].items()
    }
    return schemas | {name: plain(schema) for name, schema in own["$defs"].items()}


def plain(schema: Any) -> Any:
    """A schema of pydantic in draft 7, without titles and our own marks, each description cut to a paragraph.

    Examples:
        >>> plain({"title": "Pair", "prefixItems": [{"type": "integer"}, {"type": "integer"}]})
        {'items': [{'type': 'integer'}, {'type': 'integer'}]}
    """
    if isinstance(schema, list):
        return [plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {}
    for key, value in schema.items():
        if key == "properties":
            found[key] = {name: plain(item) for name, item in value.items()}
        elif key == "description":
            found[key] = " ".join(value.partition("\n\n")[0].split())
        elif key not in ("title", "distribution"):
            found["items" if key == "prefixItems" else key] = value if key == "default" else plain(value)
    return found


def _written(name: str, schema: Schema) -> Schema:
    """The values of a field as a user may write them, from those that the config has."""
    if name == PARAMETERS:
        return _parameters()
    if name in FAMILIES:
        return _weights(FAMILIES[name], OWN_FAMILY)
    if _has_weights(name):
        names, _ = get_args(
            get_args(PriorConfig.__annotations__[name])[0]
        )  # pydantic 2.7 has no propertyNames
        return _weights(dict.fromkeys(get_args(names)))
    if "anyOf" in schema:
        return {"anyOf": [_written(name, choice) for choice in schema["anyOf"]]}
    if "prefixItems" in schema:  # a range
        return _value(schema["prefixItems"][0], with_distributions="distribution" in schema)
    return schema


def _has_weights(name: str) -> bool:
    return name != PARAMETERS and isinstance(PriorConfig().plain()[name], dict)


def _value(number: Schema, with_distributions: bool = True) -> Schema:
    """A number, a range of two, or a distribution; without a type also choices."""
    if "type" not in number:
        texts = {"type": "string"}
        ranged = _value({"type": "number", **number})["anyOf"]
        return {"anyOf": [*ranged, texts, {"type": "array", "items": texts, "minItems": 1}]}
    pair = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
    return {"anyOf": [number, pair, *(_distributions(number, pair) if with_distributions else [])]}


def _distributions(number: Schema, pair: Schema) -> list[Schema]:
    """A distribution as an object or, in a study file, as a text."""
    options = {"type": "array", "items": number, "minItems": 1}
    weights = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}, "minProperties": 1}
    known = dict.fromkeys(DISTRIBUTIONS, pair) | {"choice": {"anyOf": [options, weights]}}
    return [
        {"type": "object", "properties": known, "minProperties": 1, "maxProperties": 1}
        | {"additionalProperties": False},
        {"type": "string", "pattern": rf"^\s*({'|'.join(DISTRIBUTIONS)})\s*\("},
    ]


def _weights(families: dict[str, Callable | None], own: Schema | None = None) -> Schema:
    """A name, a list of names, or weights by name.

    Args:
        families: name -> function, or None for a name that is explained with its field.
        own: the schema of a family of the user's own, where the field takes one.
    """
    name = {"anyOf": [{"enum": list(families)}, own]} if own else {"enum": list(families)}
    weight = {"type": "number", "minimum": 0}
    described = {
        family: {"description": first_sentence(inspect.getdoc(function) or ""), **weight}
        if function
        else weight
        for family, function in families.items()
    }
    weights = {"type": "object", "properties": described, "minProperties": 1, "additionalProperties": False}
    if own:
        weights["patternProperties"] = {own["pattern"]: weight}
    names = {"type": "array", "items": name, "minItems": 1}
    choice = {"type": "object", "properties": {"choice": {"anyOf": [names, weights]}}, "required": ["choice"]}
    text = {"type": "string", "pattern": r"^\s*choice\s*\("}
    return {"anyOf": [name, names, weights, choice | {"additionalProperties": False}, text]}


def _parameters() -> Schema:
    """The ranges and choices of each family's parameters, each in its domain."""
    families = {
        name: {"description": first_sentence(inspect.getdoc(family) or ""), **_parameters_of(family)}
        for name, family in FAMILIES[PARAMETERS].items()
    }
    return {
        "type": "object",
        "properties": families,
        "patternProperties": {OWN_FAMILY["pattern"]: {"type": ["object", "null"]}},
        "additionalProperties": False,
    }


def _parameters_of(family: Callable) -> Schema:
    known = {}
    for name, parameter in parameters_of(family).items():
        kind = parameter_type(parameter)
        if kind is str:
            choice = {"enum": list(get_args(parameter.annotation))}
            known[name] = {"anyOf": [choice, {"type": "array", "items": choice, "minItems": 1}, NULL]}
            continue
        number: Schema = {"type": "integer" if kind is int else "number"}
        for domain in getattr(parameter.annotation, "__metadata__", ()):
            if isinstance(domain, Domain):
                number |= {"minimum": domain.low, "maximum": domain.high}
        known[name] = {"anyOf": [*_value(number)["anyOf"], NULL], "default": parameter.default}
    return {"type": ["object", "null"], "properties": known, "additionalProperties": False}
