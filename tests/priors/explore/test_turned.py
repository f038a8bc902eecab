"""A prior after its settings were moved: messages stand with the field, and no text imports code."""

import sys

import pytest

from priors.config import PriorConfig, with_overrides
from priors.explore.start import start_of
from priors.explore.turned import TEXT, turned
from priors.presets import PRESETS
from priors.registry import ConfigError


def test_settings_then_text():
    found = turned(PRESETS["linear"], {"num_features": [2, 10]}, "num_features=7\n\n clip = 3 \n")
    assert found.errors == {}
    assert found.config == with_overrides(PRESETS["linear"], {"num_features": 7, "clip": 3})


@pytest.mark.parametrize(
    ("settings", "text", "field", "words"),
    [
        ({"graphs": {}}, "", "graphs", "needs at least one family"),
        ({"num_datapoints": 20, "num_classes": [2, 10]}, "", "train_fraction", "too few for num_classes"),
        ({"parameters.mlp.activation": []}, "", "parameters", "mlp: activation needs a list of names"),
        ({}, "clip=0", TEXT, "clip: input should be greater than or equal to 1"),
        ({}, "num_features", TEXT, "a setting is FIELD=VALUE"),
        ({}, "num_featurs=3", TEXT, "did you mean num_features"),
        ({}, "mechanisms=mlpp", TEXT, "did you mean mlp?"),
    ],
)
def test_what_is_wrong_stands_with_its_field(settings, text, field, words):
    found = turned(PriorConfig(), settings, text)
    assert found.config is None
    assert list(found.errors) == [field]
    assert words in found.errors[field]


def test_all_that_is_wrong_is_shown():
    found = turned(PriorConfig(), {"noise_scale": [0.0, 1.0], "mix": "rows"}, "clip=0")
    assert found.errors.keys() == {"noise_scale", "mix", TEXT}


@pytest.mark.parametrize(
    "value",
    [
        "own_for_page:mine",
        '"own_for_page\\u003amine"',
        "{own_for_page:mine: 2}",
        '{"own_for_page:mine": 2}',
        '{"own_for_page:": 2}',
        '["linear", "own_for_page:\u00e9"]',
    ],
)
def test_a_text_imports_no_code(value, tmp_path, monkeypatch):
    (tmp_path / "own_for_page.py").write_text("mine = print")
    monkeypatch.chdir(tmp_path)
    found = turned(PriorConfig(), {}, f"mechanisms={value}")
    assert found.config is None
    assert "own_for_page" not in sys.modules
    assert "which was not imported" in found.errors[TEXT] or "cannot read" in found.errors[TEXT]


def test_the_start_may_name_code_of_the_user(tmp_path, monkeypatch):
    (tmp_path / "own_for_start.py").write_text("def mine(parents, rng):\n    return parents[:, 0]\n")
    monkeypatch.chdir(tmp_path)
    start = start_of({"set": "mechanisms=own_for_start:mine"})
    found = turned(start.config, {"num_features": [3, 3]}, "clip=3")
    assert found.errors == {}
    assert found.config.mechanisms == {"own_for_start:mine": 1.0}


def test_the_start_is_what_the_arguments_name():
    assert start_of({}) == ("default", PRESETS["default"], 0)
    start = start_of({"preset": "mixed", "seed": 7, "set": ["num_features=3", "mix=dataset"]})
    assert start == ("mixed", with_overrides(PRESETS["mixed"], {"num_features": 3, "mix": "dataset"}), 7)
    with pytest.raises(ConfigError, match="num_features: needs at least 1 feature"):
        start_of({"set": "num_features=0"})
