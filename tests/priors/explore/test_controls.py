"""Sliders and switches: every field has a place, and those that were moved are settings."""

from dataclasses import replace

import pytest

from priors.config import PriorConfig, changes_from, with_overrides
from priors.distributions import log_uniform
from priors.explore.controls import AS_TEXT, GROUPS, active_families, controls_of, settings_of
from priors.field_reference import field_names
from priors.presets import PRESETS
from priors.settings import PARAMETERS


def first_values(controls):
    """What the page sends for controls that were not moved."""
    return {
        path: list(control.value) if isinstance(control.value, tuple) else control.value
        for path, control in controls.items()
    }


def test_every_field_has_one_place_on_the_page():
    placed = [name for names in GROUPS.values() for name in names]
    assert sorted([*placed, *AS_TEXT, PARAMETERS]) == sorted(field_names())


@pytest.mark.parametrize("preset", PRESETS)
def test_controls_that_were_not_moved_change_nothing(preset):
    controls = controls_of(PRESETS[preset])
    assert settings_of(controls, first_values(controls)) == {}


@pytest.mark.parametrize("preset", PRESETS)
def test_each_control_has_a_place_for_its_value_and_ends_that_a_prior_can_have(preset):
    config = PRESETS[preset]
    for path, control in controls_of(config).items():
        assert control.steps == sorted(set(control.steps))
        if control.kind == "range":
            assert set(control.value) <= set(control.steps), path
            for value in (control.steps[0], control.steps[-1]):
                changed = settings_of({path: control}, {path: [value, value]})
                loose = replace(config, train_fraction=0.5, num_datapoints=200)
                assert not changes_from(with_overrides(loose, changed), loose).keys() - {path}
        elif control.kind == "number":
            assert control.value in control.steps
        elif control.kind == "weights":
            assert set(control.value.values()) <= set(control.steps)
        elif control.kind in ("choice", "names"):
            assert control.options


def test_moved_controls_are_settings_of_the_grammar():
    controls = controls_of(PRESETS["default"])
    moved = {
        "num_datapoints": 300,
        "num_features": [2, 10],
        "graphs": dict.fromkeys(controls["graphs"].options, 0.0) | {"cauchy": 2.0},
        "mix": "dataset",
        "allow_descendants": False,
        "learnability": [0.6, 0.95],
        "parameters.mlp.activation": ["tanh"],
        "parameters.mlp.width": [30, 36],
    }
    settings = settings_of(controls, first_values(controls) | moved)
    assert settings == moved | {"graphs": {"cauchy": 2.0}}
    config = with_overrides(PRESETS["default"], settings)
    assert config.graphs == {"cauchy": 2.0}
    assert config.parameters["mlp"]["activation"] == ("tanh",)
    assert config.learnability == (0.6, 0.95)


def test_the_whole_range_of_learnability_keeps_all_datasets():
    controls = controls_of(PriorConfig(learnability=(0.6, 0.9)))
    assert controls["learnability"].value == (0.6, 0.9)
    assert settings_of(controls, {"learnability": [0.0, 1.0]}) == {"learnability": None}


def test_a_distribution_stays_until_its_slider_is_moved():
    config = PriorConfig(num_features=log_uniform(2, 50))
    controls = controls_of(config)
    assert controls["num_features"].value == (2, 50)
    assert with_overrides(config, settings_of(controls, first_values(controls))) == config


def test_parameters_are_shown_of_families_that_can_be_drawn():
    config = PriorConfig(graphs="cauchy", mechanisms={"mlp": 1, "linear": 0})
    assert active_families(config) == {"cauchy", "mlp"}
    assert "prototypes" in active_families(replace(config, categorical_fraction=(0, 0.2)))
