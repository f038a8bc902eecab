"""The JSON Schema of a study file: the studies that ship are valid, and mistakes are not."""

import json
import re
from pathlib import Path

import pytest
import yaml
from commands import run_nanotabpfn
from jsonschema import Draft7Validator

from nanotabpfn.studies.spec import ArmSettings, ModelSettings, Ropes, Study, WarmStart
from nanotabpfn.studies.study_schema import study_schema
from priors.field_reference import field_docs

ROOT = Path(__file__).parents[3]
FILES = sorted([*ROOT.glob("nanotabpfn/studies/*.yaml"), *ROOT.glob("docs/**/*.yaml")])
SCHEMA = study_schema()
ARMS = {"linear": {"preset": "linear"}}


def is_valid(values):
    return Draft7Validator(SCHEMA).is_valid(values)


def test_the_schema_is_one():
    Draft7Validator.check_schema(SCHEMA)


def test_every_study_file_that_ships_is_valid():
    texts = {path.name: path.read_text(encoding="utf-8") for path in FILES}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    texts |= {"README.md": re.search(r"```yaml\n(.*?)```", readme, re.DOTALL)[1]}
    assert len(texts) == 6
    for name, text in texts.items():
        assert list(Draft7Validator(SCHEMA).iter_errors(yaml.safe_load(text))) == [], name


def test_every_field_has_its_meaning():
    parts = [(Study, SCHEMA)]
    parts += [
        (part, SCHEMA["$defs"][part.__name__]) for part in (ArmSettings, ModelSettings, Ropes, WarmStart)
    ]
    for part, schema in parts:
        found = {name: field["description"] for name, field in schema["properties"].items()}
        assert found == field_docs(part)


RIGHT = [
    {},
    {"suites": ["open", "openml:task/15,37", "tabarena"], "lr": None, "controls": []},
    {"warm_start": None},
    {"warm_start": {}},
    {"warm_start": {"steps": 100, "preset": "default"}},
    {"metric": "brier_score", "rope": {"brier_score": 0.002}},
    {"arms": {"a": {"config": "mine.json", "set": {"mechanisms": "mlp", "parameters.mlp.width": 8}}}},
    {"arms": {"a": {"preset": "default", "vary": {"num_nodes": [4, [16, 32]], "mechanisms": ["mlp"]}}}},
    {
        "arms": {
            "a": {
                "preset": "default",
                "design": "random",
                "num_arms": 9,
                "design_seed": 1,
                "vary": {"label_noise": "uniform(0, 0.3)", "mechanisms.mlp": {"uniform": [0, 4]}},
            }
        }
    },
    {"arms": {"a": {"dump": "published.h5"}}, "model": {"num_layers": 2}},
]
WRONG = [
    {"arms": {}},
    {"arm": ARMS},
    {"steps": 0},
    {"suites": ["opne"]},
    {"baselines": ["forest"]},
    {"metric": "auc"},
    {"rope": 0.01},
    {"rope": {"auc": 0.01}},
    {"recipe": "warmup"},
    {"arms": {"a": {"preset": "linaer"}}},
    {"arms": {"a": {"preset": "default", "set": {"num_feature": 3}}}},
    {"arms": {"a": {"preset": "default", "set": {"mechanisms": "mpl"}}}},
    {"arms": {"a": {"preset": "default", "vary": {"num_nodes": 4}}}},
    {"arms": {"a": {"preset": "default", "vary": {"mix": ["column"]}}}},
    {"arms": {"a": {"preset": "default", "vary": {"label_noise": "normal(0, 1)"}}}},
    {"arms": {"a": {"preset": "default", "vary": {"label_noise": ["uniform(0, 1)", "half"]}}}},
    {"arms": {"a": {"preset": "default", "num_arms": 0}}},
    {"model": {"layers": 2}},
    {"warm_start": {"step": 2}},
    {"warm_start": {"steps": 0}},
    {"warm_start": {"preset": "linaer"}},
]


@pytest.mark.parametrize("values", RIGHT, ids=str)
def test_a_study_is_valid(values):
    assert is_valid({"arms": ARMS} | values)


@pytest.mark.parametrize("values", WRONG, ids=str)
def test_a_mistake_is_not_valid(values):
    assert not is_valid({"arms": ARMS} | values)


def test_a_study_needs_arms():
    assert not is_valid({"steps": 3})


def test_the_command_prints_it():
    result = run_nanotabpfn("study", "schema")
    assert json.loads(result.stdout) == json.loads(json.dumps(study_schema()))
