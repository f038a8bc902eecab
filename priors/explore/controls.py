"""The settings of a prior as sliders and switches: which there are, and the settings that their values mean.

Nothing here needs the browser. The bounds come from the types of the fields and the domains of the families.
"""

from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter

from priors.config import PriorConfig
from priors.field_reference import FAMILIES, field_docs, first_sentence
from priors.registry import Domain, parameters_of
from priors.settings import PARAMETERS

GROUPS = {
    "Table": ["num_datapoints", "num_features", "num_classes", "train_fraction", "problem_type"],
    "Graph": ["num_nodes", "hidden_fraction", "graphs"],
    "Mechanisms": ["mechanisms", "aggregations", "mix", "coherence"],
    "Noise": [
        "noise_scale", "noises", "roots", "noise_kinds", "label_noise", "grouped_fraction", "group_size",
    ],
    "Target": [
        "class_methods", "ordered_labels", "target_position", "allow_descendants", "relevant_fraction",
        "learnability",
    ],
    "Columns": [
        "categorical_fraction", "converters", "warp_fraction", "quantized_fraction", "outlier_fraction",
        "missing_fraction", "missing_kinds", "duplicate_fraction", "clip",
    ],
    "Shift and drift": ["drift_fraction", "shift", "shift_nodes", "shift_size"],
}  # fmt: skip
"""The fields in the order of the page."""

AS_TEXT = ("graph", "difficulty", "twins", "block_size")
"""Fields without a control. They can be written as text, but for a graph."""

STEPS = {
    "num_datapoints": [20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1000],
    "num_features": list(range(1, 31)),
    "num_classes": list(range(2, 11)),
    "num_nodes": [*range(2, 32), 35, 40, 50, 60],
    "noise_scale": [0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0],
    "group_size": [2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 75.0, 100.0],
    "shift_nodes": list(range(1, 6)),
    "shift_size": [0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0],
    "clip": [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0],
}
"""The values on the sliders of fields whose type has no upper bound; larger ones can be written as text."""

WEIGHTS = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0]
SHARE_STEP = 0.05
EVERYTHING = (0.0, 1.0)
"""The range of `learnability` that means null: all datasets are kept."""
FURTHER = 3  # times the present high of a parameter, up to which its slider goes
MOST_STEPS = 30

Kind = Literal["number", "range", "weights", "choice", "names", "switch"]


class Control(NamedTuple):
    """One slider, switch or list of the page, and what it shows at first."""

    path: str
    """The setting: a field, or parameters.FAMILY.PARAMETER."""
    kind: Kind
    value: Any
    """A number; (low, high); {name: weight} with a 0 for each name that is off; a name; names; or a truth
    value."""
    steps: list[float]
    """The values that a slider can have; of weights, those of each."""
    options: list[str]
    """The names that there are to choose from."""
    meaning: str


def controls_of(config: PriorConfig) -> dict[str, Control]:
    """The controls of a prior, by path: all fields of GROUPS, and the parameters of all families.

    Examples:
        >>> controls = controls_of(PriorConfig())
        >>> controls["num_features"].kind, controls["num_features"].value
        ('range', (5, 5))
        >>> controls["parameters.mlp.width"].value, controls["mix"].options
        ((3, 12), ['node', 'dataset'])
    """
    docs, schema = field_docs(PriorConfig), TypeAdapter(PriorConfig).json_schema()["properties"]
    controls = [
        _of_field(name, getattr(config, name), schema[name], docs[name])
        for names in GROUPS.values()
        for name in names
    ]
    for family, ranges in config.parameters.items():
        if family in FAMILIES[PARAMETERS]:
            declared = parameters_of(FAMILIES[PARAMETERS][family])
            controls += [
                _of_parameter(family, name, values, declared[name].annotation)
                for name, values in ranges.items()
            ]
    return {control.path: control for control in controls}


def _of_field(name: str, value: Any, schema: dict[str, Any], doc: str) -> Control:
    meaning = first_sentence(doc)
    if name == "learnability":
        steps = _shares({"minimum": 0, "maximum": 1})
        return _slider(name, "range", EVERYTHING if value is None else tuple(value), steps, meaning)
    if schema.get("type") == "boolean":
        return Control(name, "switch", value, [], [], meaning)
    if "enum" in schema:
        return Control(name, "choice", value, [], schema["enum"], meaning)
    if schema.get("type") == "object":
        known = FAMILIES[name] if name in FAMILIES else _names_of_weights(name)
        weights = dict.fromkeys(known, 0.0) | {family: float(weight) for family, weight in value.items()}
        steps = sorted({*WEIGHTS, *weights.values()})
        return Control(name, "weights", weights, steps, list(weights), meaning)
    one = schema["prefixItems"][0] if "prefixItems" in schema else schema
    steps = STEPS[name] if name in STEPS else _shares(one)
    if "prefixItems" in schema:
        return _slider(name, "range", tuple(value), steps, meaning)
    return _slider(name, "number", value, steps, meaning)


def _names_of_weights(field: str) -> tuple[str, ...]:
    """The names that a field of weights can have, where they are in its type: dict[Literal[...], ...]."""
    weights = get_args(get_type_hints(PriorConfig, include_extras=True)[field])[0]
    return get_args(get_args(weights)[0])


def _of_parameter(family: str, name: str, values: Any, annotation: Any) -> Control:
    path, meaning = f"{PARAMETERS}.{family}.{name}", f"{name.replace('_', ' ')} of {family.replace('_', ' ')}"
    if get_origin(annotation) is Literal:
        return Control(path, "names", list(values), [], list(get_args(annotation)), meaning)
    [domain] = [found for found in annotation.__metadata__ if isinstance(found, Domain)]
    return _slider(path, "range", tuple(values), _domain_steps(domain, tuple(values)), meaning)


def _slider(path: str, kind: Kind, value: Any, steps: list[float], meaning: str) -> Control:
    """A slider on which the first value has a place too."""
    present = value if isinstance(value, tuple) else (value,)
    return Control(path, kind, value, sorted({*steps, *present}), [], meaning)


def _shares(schema: dict[str, Any]) -> list[float]:
    """Shares between the bounds of a schema."""
    low, high = (
        schema.get("minimum", schema.get("exclusiveMinimum")),
        schema.get("maximum", schema.get("exclusiveMaximum")),
    )
    steps = [round(SHARE_STEP * i, 2) for i in range(round(low / SHARE_STEP), round(high / SHARE_STEP) + 1)]
    inner = slice("exclusiveMinimum" in schema, len(steps) - ("exclusiveMaximum" in schema))
    return steps[inner]


def _domain_steps(domain: Domain, values: tuple) -> list[float]:
    """The values on the slider of a parameter: from the domain's lowest to FURTHER times the present high.

    Domains go far beyond what is of use: a slider over all of one could not be set to usual values.
    """
    low, high = domain.low, min(domain.high, FURTHER * max(values[1], domain.low, 1))
    if isinstance(values[0], int):
        stride = -(-int(high - low) // MOST_STEPS) or 1
        return [*range(int(low), int(high) + 1, stride)]
    return [float(f"{low + (high - low) * i / MOST_STEPS:.2g}") for i in range(MOST_STEPS + 1)]


def settings_of(controls: dict[str, Control], values: dict[str, Any]) -> dict[str, Any]:
    """path -> new value, in the grammar of `priors.settings`, for each control that was moved.

    What was not moved is left out: a distribution that no slider can show stays as it is.

    Args:
        values: by path, as the browser gives them: ranges as lists, weights with zeros.

    Examples:
        >>> controls = controls_of(PriorConfig())
        >>> values = {path: control.value for path, control in controls.items()}
        >>> settings_of(controls, values | {"num_features": [2, 10], "learnability": [0.6, 1.0]})
        {'num_features': [2, 10], 'learnability': [0.6, 1.0]}
    """
    return {
        path: _setting(path, controls[path].kind, value)
        for path, value in values.items()
        if _plain(value) != _plain(controls[path].value)
    }


def _setting(path: str, kind: Kind, value: Any) -> Any:
    if kind == "weights":
        return {name: weight for name, weight in value.items() if weight > 0}
    if path == "learnability" and tuple(value) == EVERYTHING:
        return None
    return list(value) if kind in ("range", "names") else value


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | list) else value


def active_families(config: PriorConfig) -> set[str]:
    """The families that the prior can draw, whose parameters are worth a control.

    Examples:
        >>> sorted(active_families(PriorConfig(graphs="layered", mechanisms="mlp")))
        ['layered', 'mlp']
    """
    fields = ["graphs", "mechanisms", *(["converters"] if config.categorical_fraction[1] > 0 else [])]
    return {name for field in fields for name, weight in getattr(config, field).items() if weight > 0}
