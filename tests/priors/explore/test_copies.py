"""Texts to copy: what they are pasted into gives the same prior again."""

import shlex

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nanotabpfn.studies.arms import resolve_arms
from nanotabpfn.studies.spec import Study
from priors.config import PriorConfig, load_config, with_overrides
from priors.distributions import choice, log_uniform
from priors.explore.controls import controls_of, settings_of
from priors.explore.copies import as_arm, as_json, as_options
from priors.presets import PRESETS
from priors.settings import read_setting

CHANGES = {
    "nothing": {},
    "ranges": {"num_features": (2, 10), "noise_scale": 0.3, "clip": 7.5},
    "weights": {
        "mechanisms": {"mlp": 2, "linear": 0.5},
        "graphs": "cauchy",
        "aggregations": ["sum", "joint"],
    },
    "distributions": {"num_features": log_uniform(2, 50), "num_classes": choice({2: 3, 10: 1})},
    "parameters": {"parameters.mlp.width": (30, 40), "parameters.mlp.activation": ["tanh"]},
    "fewer parameters": {"parameters.mlp.width": None, "replace.parameters.linear": {}},
    "others": {
        "learnability": (0.6, 0.9),
        "difficulty": (1, 1, 2),
        "allow_descendants": False,
        "mix": "dataset",
    },
}


def pasted(options):
    """The prior of the options of a command line."""
    words = shlex.split(options)
    assert words[0] == "--preset"
    assert words[2::2] == ["--set"] * len(words[2::2])
    return with_overrides(PRESETS[words[1]], dict(map(read_setting, words[3::2])))


def in_a_study(text):
    """The prior of an arm of a study file."""
    [arm] = [
        arm for arm in resolve_arms(Study(name="pasted", controls=(), **yaml.safe_load(text))) if arm.config
    ]
    return arm.config


@pytest.mark.parametrize("preset", ["default", "mixed"])
@pytest.mark.parametrize("changes", CHANGES.values(), ids=list(CHANGES))
def test_all_three_give_the_prior_again(preset, changes, tmp_path):
    config = with_overrides(PRESETS[preset], changes)
    assert pasted(as_options(preset, config)) == config
    assert in_a_study(as_arm("mine", preset, config)) == config
    (tmp_path / "mine.json").write_text(as_json(config))
    assert PriorConfig.from_json(as_json(config)) == config


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_whatever_the_sliders_are_moved_to(data):
    preset = data.draw(st.sampled_from(list(PRESETS)))
    controls = controls_of(PRESETS[preset])
    chosen = data.draw(st.lists(st.sampled_from(list(controls)), max_size=4))
    moved = {}
    for path in chosen:
        control = controls[path]
        if control.kind == "range":
            moved[path] = sorted(data.draw(st.tuples(*[st.sampled_from(control.steps)] * 2)))
        elif control.kind == "weights":
            moved[path] = {name: data.draw(st.sampled_from(control.steps)) for name in control.options}
        elif control.kind == "names":
            moved[path] = data.draw(st.lists(st.sampled_from(control.options), min_size=1, unique=True))
    try:
        config = with_overrides(PRESETS[preset], settings_of(controls, moved))
    except ValueError:
        return  # no prior: the page shows why
    assert pasted(as_options(preset, config)) == config
    if config.missing_fraction[1] == 0:  # studies refuse missing cells
        assert in_a_study(as_arm("mine", preset, config)) == config


def test_only_what_differs_from_the_preset_is_written():
    assert as_options("linear", PRESETS["linear"]) == "--preset linear"
    assert yaml.safe_load(as_arm("a", "linear", PRESETS["linear"])) == {"arms": {"a": {"preset": "linear"}}}


def test_json_is_a_file_for_config(tmp_path):
    config = with_overrides(PRESETS["gp"], {"num_features": (2, 4)})
    path = tmp_path / "gp.json"
    path.write_text(as_json(config))
    assert load_config(path) == config
