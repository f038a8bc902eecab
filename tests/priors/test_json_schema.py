"""The JSON Schema of a prior: it takes what the config takes, and refuses what the config refuses."""

import json

import pytest
from commands import run_priors
from jsonschema import Draft7Validator

from priors.config import ConfigError, PriorConfig, load_config, with_overrides
from priors.field_reference import FAMILIES, describe_field, field_docs, field_names
from priors.json_schema import config_schema
from priors.presets import PRESETS
from priors.registry import parameters_of
from priors.settings import PARAMETERS, read_setting

SCHEMA = config_schema()


def is_valid(values):
    return Draft7Validator(SCHEMA).is_valid(values)


def is_loaded(values, tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps(values))
    try:
        load_config(tmp_path / "mine.json")
    except ConfigError:
        return False
    return True


def test_the_schema_is_one():
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid(name):
    assert is_valid(json.loads(PRESETS[name].to_json()))


def test_a_graph_of_ones_own_is_valid():
    nodes = {"age": {}, "sex": {"kind": "categorical"}, "default": {"role": "target"}}
    edges = [("age", "sex"), ("sex", "default", 0.5)]
    config = with_overrides(PriorConfig(), {"graph": {"nodes": nodes, "edges": edges}})
    assert is_valid(json.loads(config.to_json()))
    assert not is_valid({"graph": {"nodes": {"age": {"rôle": "target"}}, "edges": []}})


@pytest.mark.parametrize("name", field_names())
def test_every_field_is_described_and_its_examples_are_valid(name):
    assert SCHEMA["$defs"][name]["description"] == field_docs(PriorConfig)[name]
    assert SCHEMA["properties"][name] == {"$ref": f"#/$defs/{name}"}
    for setting in filter(None, describe_field(name).examples.split(" or ")):
        assert is_valid(dict([read_setting(setting)])), setting


@pytest.mark.parametrize(
    "setting",
    [
        "num_features=log_uniform(2, 50)",
        "num_classes=choice({2: 3, 10: 1})",
        "num_classes=choice([2, 10])",
        "noise_scale=uniform(0.1, 1)",
        "parameters.mlp.width=log_uniform(4, 64)",
        "parameters={mlp: {width: log_uniform(4, 64)}}",
        "mechanisms=choice({mlp: 2})",
        "mechanisms=choice([mlp, linear])",
    ],
)
def test_distributions_are_valid_as_objects_and_as_texts(setting, tmp_path):
    path, value = read_setting(setting)
    for written in (value, setting.partition("=")[2]):
        if written is value or ("." not in path and "{mlp" not in setting):  # a text stands for a whole value
            assert is_valid({path: written}), written
            assert is_loaded({path: written}, tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        {"num_features": {"log_uniform": [2]}},
        {"num_features": {"normal": [2, 3]}},
        {"num_features": {"uniform": [2, 3], "integers": [2, 3]}},
        {"label_noise": {"uniform": [0, 2]}},
        {"num_classes": {"choice": []}},
        {"num_classes": {"choice": {"2": -1}}},
        {"learnability": {"uniform": [0.5, 1]}},
        {"mechanisms": {"uniform": [1, 2]}},
    ],
)
def test_wrong_distributions_are_refused_alike(values, tmp_path):
    assert not is_valid(values)
    assert not is_loaded(values, tmp_path)


@pytest.mark.parametrize("field", FAMILIES)
def test_every_family_and_parameter_has_its_place(field):
    names = list(FAMILIES[field])
    if field == PARAMETERS:
        properties = SCHEMA["$defs"][field]["properties"]
        for name in names:
            assert list(properties[name]["properties"]) == list(parameters_of(FAMILIES[field][name]))
    else:
        name, _, weights, *_ = SCHEMA["$defs"][field]["anyOf"]
        assert name["anyOf"][0]["enum"] == names
        assert list(weights["properties"]) == names
        properties = weights["properties"]
    assert all(properties[name]["description"].endswith(".") for name in names)


SHORT_FORMS = [
    {"$schema": "prior.schema.json"},
    {"num_features": 3, "mechanisms": "mlp", "graphs": ["layered", "random_tree"]},
    {"mechanisms.mlp": 3, "aggregations": {"joint": 1, "sum": 0.5}},
    {"mechanisms.mlp": None},
    {"parameters.mlp.width": [30, 40], "parameters.mlp.activation": "tanh"},
    {"parameters": {"mlp": {"width": 30, "gain": [0.5, 1], "activation": ["tanh", "relu"]}}},
    {"parameters.mlp.width": None, "parameters": {"mlp": None}},
    {"replace.parameters": {"mlp": {"width": [30, 40]}}, "replace.mechanisms": "mlp"},
    {"learnability": [0.6, 0.9], "difficulty": [1, 2]},
    {"learnability": None, "twins": True},
    {"mechanisms": {"linear": 1, "priors.families.mechanisms:mlp": 2}},
    {"replace.parameters.mlp": {"width": 3}},
]
WRONG = [
    {"num_feature": 3},
    {"num_datapoints": 3},
    {"num_features": [1, 2, 3]},
    {"num_features": "three"},
    {"train_fraction": [0.5, 1]},
    {"hidden_fraction": 0.95},
    {"mix": "column"},
    {"twins": 3},
    {"mechanisms": "mpl"},
    {"mechanisms": ["mlp", "liner"]},
    {"mechanisms": {"mlp": -1}},
    {"mechanisms": {}},
    {"mechanisms.mlp": -1},
    {"aggregations": "mean"},
    {"mix.node": 2},
    {"parameters": {"mpl": {"width": 3}}},
    {"parameters": {"mlp": {"widht": 3}}},
    {"parameters": {"mlp": {"width": 3.5}}},
    {"parameters": {"mlp": {"width": 2000}}},
    {"parameters": {"mlp": {"activation": "tan"}}},
    {"replace.feature": 3},
    {"learnability": [0.6, 1.2]},
]


@pytest.mark.parametrize("values", SHORT_FORMS, ids=str)
def test_what_the_config_takes_is_valid(values, tmp_path):
    assert is_valid(values)
    assert is_loaded(values, tmp_path)


@pytest.mark.parametrize("values", WRONG, ids=str)
def test_what_the_config_refuses_is_not_valid(values, tmp_path):
    assert not is_valid(values)
    assert not is_loaded(values, tmp_path)


def test_the_command_prints_it():
    result = run_priors("schema")
    assert json.loads(result.stdout) == json.loads(json.dumps(SCHEMA))
