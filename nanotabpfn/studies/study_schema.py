"""The JSON Schema of a study file: for editors, which then complete, explain and check it.

Types, bounds and meanings are those of `spec.py`, and the settings of priors those of `priors.json_schema`.
"""

from typing import Any

from nanotabpfn.evaluation.baselines import BASELINES
from nanotabpfn.evaluation.suites import SUITES
from nanotabpfn.studies.spec import ArmSettings, ModelSettings, Ropes, Settings, Study, WarmStart
from priors.distributions import DISTRIBUTIONS
from priors.field_reference import field_docs
from priors.json_schema import DRAFT, Schema, field_schemas, plain, settings_schema
from priors.presets import PRESETS

DRAWN_FROM = [name for name in DISTRIBUTIONS if name != "choice"]
OPENML_SUITES = "^(tabarena|openml:.+)$"


def study_schema() -> Schema:
    """The JSON Schema of a study file, YAML or JSON.

    What depends on two fields is left to `load_study`.

    Examples:
        >>> schema = study_schema()
        >>> schema["required"], schema["properties"]["steps"]["minimum"]
        (['arms'], 1)
    """
    schema = Study.model_json_schema()
    arm = schema["$defs"][ArmSettings.__name__]
    fields = _described(Study, schema)
    fields["suites"]["items"] = {"anyOf": [{"enum": list(SUITES)}, {"pattern": OPENML_SUITES}]}
    fields["baselines"]["items"] = {"enum": list(BASELINES)}
    in_arm = _described(ArmSettings, arm)
    in_warm_start = _described(WarmStart, schema["$defs"][WarmStart.__name__])
    for of_part in (in_arm, in_warm_start):
        of_part["preset"] = {"description": of_part["preset"]["description"], "enum": [*PRESETS, None]}
    settings = settings_schema()
    in_arm["set"] |= settings
    in_arm["vary"] |= settings | {
        part: {name: _varied(one) for name, one in settings[part].items()}
        for part in ("properties", "patternProperties")
    }
    return {
        "$schema": DRAFT,
        "title": "Study",
        "description": "A study of priors, for `nanotabpfn study run`.",
        "type": "object",
        "properties": fields,
        "required": ["arms"],
        "additionalProperties": False,
        "$defs": field_schemas()
        | {
            "ArmSettings": plain(arm) | {"properties": in_arm},
            "WarmStart": plain(schema["$defs"][WarmStart.__name__]) | {"properties": in_warm_start},
            **{
                part.__name__: plain(own) | {"properties": _described(part, own)}
                for part in (ModelSettings, Ropes)
                for own in [schema["$defs"][part.__name__]]
            },
        },
    }


def _varied(value: Schema) -> Schema:
    """Of a setting that varies: a list of its values, or a distribution, which a random design draws from."""
    text = rf"^\s*({'|'.join(DRAWN_FROM)})\s*\([^()]*\)\s*$"
    bounds = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    named = {"enum": DRAWN_FROM}
    return {
        "anyOf": [
            {"type": "array", "items": value, "minItems": 1},
            {"type": "string", "pattern": text},
            {
                "type": "object",
                "propertyNames": named,
                "additionalProperties": bounds,
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    }


def _described(settings: type[Settings], schema: Schema) -> dict[str, Any]:
    """Field -> its schema, with its meaning.

    Draft 7 ignores all that is next to a reference.
    """
    docs, fields = field_docs(settings), plain(schema["properties"])
    return {
        name: {"description": docs[name], **({"allOf": [found]} if "$ref" in found else found)}
        for name, found in fields.items()
    }
