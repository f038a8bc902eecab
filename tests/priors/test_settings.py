"""The grammar of settings: what is read, merged and printed, on the command line, in files and in Python."""

import json
from dataclasses import fields, replace

import pytest

from priors.config import PriorConfig, changes_from, load_config, with_overrides
from priors.presets import PRESETS
from priors.registry import ConfigError
from priors.settings import (
    differences,
    example,
    read_setting,
    read_value,
    write_differences,
    write_setting,
    write_value,
)

DEFAULT = PriorConfig()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3), ("0.1", 0.1), ("1e-3", 1e-3), ("true", True), ("null", None), (" mlp ", "mlp"),
        ("[mlp, linear]", ["mlp", "linear"]), ("[mlp,linear]", ["mlp", "linear"]), ("[2, 10]", [2, 10]),
        ("{mlp: 2, linear: 1}", {"mlp": 2, "linear": 1}), ('{"mlp": 2}', {"mlp": 2}), ('"mlp"', "mlp"),
        ("{my.priors:mine: 2}", {"my.priors:mine": 2}), ("my_priors:mine", "my_priors:mine"),
        ("{mlp: {width: [30, 40]}}", {"mlp": {"width": [30, 40]}}), ("[]", []), ('"a b, c"', "a b, c"),
        ("(2, 10)", [2, 10]), ("2, 10", [2, 10]), (".5", 0.5), ("[.1, 1.]", [0.1, 1.0]), ("True", True),
        ("None", None), ("{'mlp': 1}", {"mlp": 1}), ("mlp, linear", ["mlp", "linear"]), ("'x'", "x"),
    ],
)  # fmt: skip
def test_values_are_json_in_which_names_need_no_quotes(text, value):
    assert read_value(text) == value
    assert read_setting(f" mechanisms ={text}") == ("mechanisms", value)


@pytest.mark.parametrize(
    "text",
    ["", "[2, 3", "2 3", "{mlp}", "mlp linear", "[" * 100_000, "a=b", "'x' 'y'", "b'x'", "{1, 2}", "1j"],
)
def test_what_is_no_value_is_answered_with_what_one_looks_like(text):
    with pytest.raises(
        ConfigError, match=r"^width: cannot read the value .*a number \(3\), a name"
    ) as refusal:
        read_setting(f"width={text}")
    assert len(str(refusal.value)) < 250


@pytest.mark.parametrize("text", ["num_features", "=3", ""])
def test_what_is_no_setting(text):
    with pytest.raises(ConfigError, match="a setting is FIELD=VALUE, such as num_features=3"):
        read_setting(text)


SHORT = {
    "mechanisms": ("mlp", {"mlp": 1.0}),
    "graphs": (["layered", "cauchy"], {"layered": 1.0, "cauchy": 1.0}),
    "aggregations": ("sum", {"sum": 1.0}),
    "num_features": (3, (3, 3)),
    "noise_scale": (0.1, (0.1, 0.1)),
    "label_noise": (0, (0.0, 0.0)),
    "learnability": (0.7, (0.7, 0.7)),
}


@pytest.mark.parametrize("field", SHORT)
def test_short_values_mean_the_same_everywhere(field, tmp_path):
    short, full = SHORT[field]
    expected = replace(DEFAULT, **{field: full})
    (tmp_path / "mine.json").write_text(json.dumps({field: short}))
    assert PriorConfig(**{field: short}) == expected
    assert replace(DEFAULT, **{field: short}) == expected
    assert with_overrides(DEFAULT, {field: short}) == expected
    assert with_overrides(DEFAULT, dict([read_setting(f"{field}={write_value(short)}")])) == expected
    assert PriorConfig.from_json(json.dumps({field: short})) == expected
    assert load_config(tmp_path / "mine.json") == expected


def test_parameters_are_merged_by_default_and_replaced_on_request(tmp_path):
    wide = {**DEFAULT.parameters, "mlp": {**DEFAULT.parameters["mlp"], "width": (30, 40)}}
    for changes in (
        {"parameters": {"mlp": {"width": [30, 40]}}},
        {"parameters.mlp": {"width": [30, 40]}},
        {"parameters.mlp.width": [30, 40]},
    ):
        assert with_overrides(DEFAULT, changes).parameters == wide
        (tmp_path / "mine.json").write_text(json.dumps(changes))
        assert load_config(tmp_path / "mine.json").parameters == wide
    assert PriorConfig() == DEFAULT
    only = {"mlp": {"width": (30, 40)}}
    assert with_overrides(DEFAULT, {"replace.parameters": only}).parameters == only
    assert with_overrides(DEFAULT, {"replace.parameters": {}}).parameters == {}
    found = with_overrides(DEFAULT, {"replace.parameters.mlp": {"width": 30}}).parameters
    assert found == {**DEFAULT.parameters, "mlp": {"width": (30, 30)}}
    found = with_overrides(DEFAULT, {"parameters.mlp.width": None, "parameters.linear": None}).parameters
    assert "linear" not in found
    assert found["mlp"] == {name: v for name, v in DEFAULT.parameters["mlp"].items() if name != "width"}
    found = with_overrides(
        DEFAULT, {"parameters.mlp.activation": "tanh", "parameters.mlp.gain": 1}
    ).parameters
    assert (found["mlp"]["activation"], found["mlp"]["gain"]) == (("tanh",), (1.0, 1.0))


def test_settings_are_applied_in_their_order():
    changes = {"mechanisms": "mlp", "mechanisms.linear": 2, "mechanisms.periodic": 1, "mechanisms.mlp": None}
    assert with_overrides(DEFAULT, changes).mechanisms == {"linear": 2.0, "periodic": 1.0}
    changes = {"replace.parameters": {}, "parameters.mlp.width": 30}
    assert with_overrides(DEFAULT, changes).parameters == {"mlp": {"width": (30, 30)}}


def test_a_family_of_ones_own_has_dots_in_its_name():
    changes = {"mechanisms.priors.families.mechanisms:linear": 2}
    assert with_overrides(DEFAULT, changes).mechanisms["priors.families.mechanisms:linear"] == 2
    changes = {"parameters.priors.families.mechanisms:mlp.width": 30}
    found = with_overrides(DEFAULT, changes).parameters
    assert found["priors.families.mechanisms:mlp"] == {"width": (30, 30)}


def test_a_whole_config_is_read_back_as_it_was_without_merging(tmp_path):
    config = replace(DEFAULT, parameters={"mlp": {"width": (30, 40)}})
    assert PriorConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mechanims": "mlp"}, "unknown field 'mechanims'; did you mean mechanisms"),
        ({"zzz": 1}, "unknown field 'zzz'; `priors presets default` prints the fields"),
        ({"num_features.low": 1}, "num_features.low: the field num_features has no parts"),
        ({"mechanisms": "mpl"}, "mechanisms: unknown family 'mpl'; did you mean mlp"),
        (
            {"num_features": "many"},
            r"needs a number or a range \(low, high\), got 'many' \(such as num_features=5 or num_feat",
        ),
        ({"noise_scale": -1}, r"got -1 \(such as noise_scale=1 or noise_scale=\[0.05, 1\]\)"),
        (
            {"mechanisms": 3},
            r"needs a name, a list of names, or weights by name, got 3 \(such as mechanisms=linear or ",
        ),
        ({"parameters": 3}, r"such as parameters.mlp.width=\[30, 40\]"),
        ({"parameters.mlp.widht": 3}, "parameters: mlp: widht is unknown"),
    ],
)
def test_errors_say_what_a_right_value_looks_like(changes, message):
    with pytest.raises(ConfigError, match=message) as refusal:
        with_overrides(DEFAULT, changes)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("field", [field.name for field in fields(PriorConfig) if field.name != "graph"])
def test_the_examples_of_errors_are_right(field):
    for text in example(field, getattr(DEFAULT, field)).split(" or "):
        changes = dict([read_setting(text)])
        if field == "difficulty":
            changes["learnability"] = (0.5, 1)
        if field == "train_fraction":
            changes["num_datapoints"] = 200
        with_overrides(DEFAULT, changes)


@pytest.mark.parametrize("name", PRESETS)
def test_printed_differences_make_the_other_config(name):
    config = replace(
        PRESETS[name],
        parameters={"mlp": {"width": (30, 40), "activation": ("tanh",)}},
        learnability=(0.5, 1),
        difficulty=(1, 1),
    )
    for one, other in ((config, DEFAULT), (PRESETS[name], config), (DEFAULT, config)):
        found = changes_from(one, other)
        settings = dict(read_setting(write_setting(path, value)) for path, (value, _) in found.items())
        assert with_overrides(other, settings).parameters.get("mlp") == one.parameters.get("mlp")
        made, wanted = with_overrides(other, settings).plain(), one.plain()
        for values in (made, wanted):  # a family without parameters is one that is not named
            values["parameters"] = {family: p for family, p in values["parameters"].items() if p}
        assert made == wanted


def test_differences_are_exact_and_in_plain_words():
    config = with_overrides(PRESETS["default"], {"mechanisms": ["mlp", "linear"], "parameters.mlp.width": 30})
    found = changes_from(config, PRESETS["default"])
    assert write_differences(found) == "mechanisms=[mlp, linear], parameters.mlp.width=30"
    assert found["parameters.mlp.width"] == ([30, 30], [3, 12])
    assert changes_from(config, config) == {}
    assert differences({"new": 1}, {"old": 2}) == {"new": (1, None), "old": (None, 2)}
