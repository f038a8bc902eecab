"""The reference of the settings: every field is described, and what it says is what the config does."""

import pytest
from click.testing import CliRunner

from priors.cli.main import main
from priors.config import PriorConfig, with_overrides
from priors.families.mechanisms import MECHANISMS
from priors.field_reference import (
    FAMILIES,
    describe_field,
    explain_field,
    family_source,
    field_docs,
    field_names,
    first_sentence,
    list_fields,
)
from priors.presets import PRESETS
from priors.registry import ConfigError
from priors.settings import read_setting

OWN = {"graph", "parameters"}  # their values are described in words


@pytest.mark.parametrize("name", field_names())
def test_every_field_has_a_meaning_its_values_and_examples_that_are_right(name):
    found = describe_field(name)
    assert found.meaning.endswith(".")
    assert found.values
    assert name == "graph" or found.examples
    base = PriorConfig(num_datapoints=400, learnability=(0.6, 0.9))
    for setting in filter(None, found.examples.split(" or ")):
        with_overrides(base, dict([read_setting(setting)]))


@pytest.mark.parametrize("name", sorted(set(field_names()) - OWN))
def test_the_default_is_the_configs(name):
    default = PriorConfig()
    changed = with_overrides(default, dict([read_setting(f"{name}={describe_field(name).default}")]))
    assert getattr(changed, name) == getattr(default, name)


def test_fields_that_name_families_describe_each_of_them():
    for field, families in FAMILIES.items():
        described = describe_field(field).families
        assert list(described) == list(families)
        assert all(described.values())


def test_a_family_that_is_added_to_a_registry_is_described(monkeypatch):
    def wave(parents, rng):
        """A wave along the first parent. It has no parameters."""
        return parents[:, 0]

    monkeypatch.setitem(MECHANISMS, "wave", wave)
    assert describe_field("mechanisms").families["wave"] == "A wave along the first parent."


def test_sources_are_those_of_the_docstrings():
    assert family_source("graphs", "random_tree").startswith("Na and Rapoport, ")
    assert family_source("graphs", "growing_network_with_redirection").endswith("Nature 2025.")
    assert family_source("noises", "uniform") == ""


def test_presets_that_change_a_field_are_named_with_their_value():
    assert describe_field("label_noise").presets == {
        "default": "label_noise=[0, 0.3]",
        "mixed": "label_noise=[0, 0.3]",
        "label-noise": "label_noise=1",
    }
    assert describe_field("parameters").presets == {}
    assert PRESETS["label-noise"].label_noise == (1, 1)


def test_bounds_are_those_that_the_config_checks():
    assert describe_field("train_fraction").values.endswith("above 0 and below 1")
    assert describe_field("num_datapoints").values == "a whole number, at least 4"
    assert "from 0 to 0.9" in describe_field("hidden_fraction").values
    with pytest.raises(ConfigError):
        with_overrides(PriorConfig(), {"hidden_fraction": 0.95})
    with_overrides(PriorConfig(), {"hidden_fraction": 0.9})


def test_an_unknown_field_is_answered_with_the_nearest_names():
    with pytest.raises(ConfigError, match="'num_featurs'; did you mean num_features or num_nodes"):
        explain_field("num_featurs")
    with pytest.raises(ConfigError, match="`priors presets --explain` lists the fields"):
        explain_field("zzzzzz")


def test_the_texts_fit_the_terminal():
    for text in (list_fields(80), *(explain_field(name, 80) for name in field_names())):
        # A list of names has no spaces to break at other than those after its commas.
        assert max(map(len, text.splitlines())) <= 80


def test_first_sentences_are_whole():
    assert all(first_sentence(text).endswith((".", ")")) for text in field_docs(PriorConfig).values())


def test_the_command_lists_the_fields_and_explains_one():
    listed = CliRunner().invoke(main, ["presets", "--explain"])
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.output.splitlines() if line[0] != " "] == field_names()
    one = CliRunner().invoke(main, ["presets", "--explain", "parameters.mlp.width"])
    assert one.output.startswith("parameters\n")
    assert "width=[3, 12] (1 to 1024)" in one.output


def test_the_command_refuses_what_it_cannot_explain():
    unknown = CliRunner().invoke(main, ["presets", "--explain", "mechanism"])
    assert unknown.exit_code == 2
    assert "did you mean mechanisms" in unknown.output
    both = CliRunner().invoke(main, ["presets", "default", "--explain", "mix"])
    assert both.exit_code == 2
