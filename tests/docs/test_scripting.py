"""docs/scripting.md: its config and its study are right, in the commands' eyes and in the schemas'."""

import json
import re
from pathlib import Path

import yaml
from jsonschema import Draft7Validator

from nanotabpfn.studies.study_file import load_study
from nanotabpfn.studies.study_schema import study_schema
from priors.config import load_config
from priors.json_schema import config_schema

PAGE = (Path(__file__).parents[2] / "docs" / "scripting.md").read_text(encoding="utf-8")


def block(language):
    [text] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return text


def test_the_config_is_one(tmp_path):
    (tmp_path / "mine.json").write_text(block("json"))
    assert load_config(tmp_path / "mine.json").num_features == (2, 10)
    assert Draft7Validator(config_schema()).is_valid(json.loads(block("json")))


def test_the_study_is_one(tmp_path):
    (tmp_path / "mine.yaml").write_text(block("yaml"))
    assert list(load_study(tmp_path / "mine.yaml").arms) == ["linear", "trees"]
    assert Draft7Validator(study_schema()).is_valid(yaml.safe_load(block("yaml")))
