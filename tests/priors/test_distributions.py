"""Distributions in a config: what they draw, how they are written, and which are refused."""

import copy
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from priors import PRESETS, PriorConfig, choice, dataset_at, integers, log_uniform, uniform
from priors.config import changes_from, with_overrides
from priors.distributions import Choice, LogUniform, Uniform, from_plain
from priors.registry import ConfigError
from priors.settings import read_setting, write_setting
from priors.streams import stream

GRID = (np.arange(20_000) + 0.5) / 20_000


def shares_of(drawn):
    values, counts = np.unique(drawn, return_counts=True)
    return dict(zip(values.tolist(), (counts / len(drawn)).tolist(), strict=True))


# What they draw


def test_uniform_integers_have_equal_shares():
    shares = shares_of([integers(3, 6).at(place) for place in GRID])
    assert shares == pytest.approx(dict.fromkeys([3, 4, 5, 6], 0.25), abs=1e-4)


def test_log_uniform_integers_have_shares_in_proportion_to_the_logarithm_of_their_ratio():
    shares = shares_of([log_uniform(2, 50).at(place) for place in GRID])
    expected = {k: np.log((k + 1) / k) / np.log(51 / 2) for k in range(2, 51)}
    assert shares == pytest.approx(expected, abs=1e-4)


def test_reals_follow_their_distribution():
    drawn = [log_uniform(0.1, 10.0).at(place) for place in GRID]
    assert stats.kstest(drawn, stats.loguniform(0.1, 10).cdf).statistic < 1e-4
    drawn = [uniform(0.1, 10.0).at(place) for place in GRID]
    assert stats.kstest(drawn, stats.uniform(0.1, 9.9).cdf).statistic < 1e-4


def test_a_choice_has_the_shares_of_its_weights_whatever_their_order():
    for weights in ({2: 3, 10: 1}, {10: 1, 2: 3}):
        shares = shares_of([choice(weights).at(place) for place in GRID])
        assert shares == pytest.approx({2: 0.75, 10: 0.25}, abs=1e-4)


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_no_draw_is_out_of_its_bounds(low, width, place):
    for drawn in (log_uniform(low, low + width).at(place), integers(low, low + width).at(place)):
        assert isinstance(drawn, int)
        assert low <= drawn <= low + width


def test_a_draw_takes_one_number_whatever_the_distribution():
    after = []
    for values in (integers(3, 3), integers(0, 10**6), log_uniform(1, 9), choice([1, 2])):
        rng = stream(0)
        values.at(rng.random())
        after.append(rng.random())
    assert len(set(after)) == 1


def test_datasets_follow_the_declared_distribution():
    config = replace(
        PRESETS["linear"], num_datapoints=40, block_size=1, num_features=log_uniform(1, 8), num_nodes=2
    )
    config = replace(config, num_classes=choice({2: 3, 4: 1}), train_fraction=0.5)
    datasets = [dataset_at(config, 0, index) for index in range(600)]
    counts = np.bincount([dataset.x.shape[1] for dataset in datasets], minlength=9)[1:]
    expected = 600 * np.log([(k + 1) / k for k in range(1, 9)]) / np.log(9)
    assert stats.chisquare(counts, expected).pvalue > 1e-4
    binary = sum(dataset.properties["num_classes"] == 2 for dataset in datasets)
    assert stats.binomtest(binary, 600, 0.75).pvalue > 1e-4


def test_noise_and_parameters_follow_the_declared_distribution():
    config = with_overrides(
        PRESETS["linear"], {"noise_scale": "uniform(0.1, 1)", "mechanisms": "mlp", "coherence": "shared"}
    )
    scales = [dataset_at(config, 0, index).properties["noise_scale"] for index in range(400)]
    assert stats.kstest(scales, stats.uniform(0.1, 0.9).cdf).pvalue > 1e-4
    assert stats.kstest(scales, stats.loguniform(0.1, 1).cdf).pvalue < 1e-6


def test_another_distribution_of_a_setting_leaves_the_other_draws():
    one, other = PRESETS["default"], replace(PRESETS["default"], noise_scale=uniform(0.05, 1))
    first, second = dataset_at(one, 0, 3), dataset_at(other, 0, 3)
    assert first.properties["num_nodes"] == second.properties["num_nodes"]
    assert first.properties["num_edges"] == second.properties["num_edges"]
    assert not np.array_equal(first.x, second.x)


# What they are equal to


def test_ranges_of_different_distributions_differ():
    assert uniform(1, 2) != log_uniform(1, 2) != choice([1, 2]) != uniform(1, 2)
    assert uniform(1, 2) == (1, 2) == log_uniform(1, 2)
    assert choice({1: 1, 2: 1}) == choice([1, 2]) != choice({1: 1, 2: 2})
    assert choice([1, 2, 5]) != choice([1, 5])
    assert PriorConfig(num_features=log_uniform(2, 9)) != PriorConfig(num_features=(2, 9))
    assert PriorConfig(num_features=integers(2, 9)) == PriorConfig(num_features=(2, 9))
    assert PriorConfig(noise_scale=(0.1, 1)) == PriorConfig(noise_scale=log_uniform(0.1, 1))
    assert PriorConfig(noise_scale=(0.1, 1)) != PriorConfig(noise_scale=uniform(0.1, 1))


@pytest.mark.parametrize("value", [uniform(1.0, 2.0), log_uniform(1, 9), choice({2: 3, 10: 1})])
def test_copies_are_equal(value):
    for copied in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert copied == value
        assert type(copied) is type(value)
        assert copied.at(0.7) == value.at(0.7)
        assert hash(copied) == hash(value)


# How they are written

SETTINGS = [
    "num_features=log_uniform(2, 50)",
    "num_classes=choice({2: 3, 10: 1})",
    "noise_scale=uniform(0.1, 1)",
    "train_fraction=choice({0.25: 1, 0.75: 2})",
    "label_noise=log_uniform(0.01, 0.3)",
    "parameters.mlp.width=log_uniform(4, 64)",
    "parameters.mlp.gain=log_uniform(0.5, 3)",
    "parameters.mlp.width=choice({8: 1, 64: 1})",
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_is_read_and_written_alike(setting):
    path, value = read_setting(setting)
    config = with_overrides(PriorConfig(), {path: value})
    assert config != PriorConfig()
    changes = changes_from(config, PriorConfig())
    assert [write_setting(changed, new) for changed, (new, _) in changes.items()] == [setting]
    assert with_overrides(PriorConfig(), {path: setting.partition("=")[2]}) == config, "a text, as in YAML"
    again = PriorConfig.from_json(config.to_json())
    assert again == config
    assert hash(again) == hash(config)
    assert again.to_json() == config.to_json()
    names = {"PriorConfig": PriorConfig, "uniform": uniform, "log_uniform": log_uniform, "choice": choice}
    assert eval(repr(config), names) == config


def test_forms_of_one_distribution_are_one():
    wanted = with_overrides(PriorConfig(), {"parameters.mlp.width": log_uniform(4, 64)})
    forms = [
        "parameters={mlp: {width: log_uniform(4, 64)}}",
        'parameters.mlp={"width": {"log_uniform": [4, 64]}}',
        'parameters.mlp.width={"log_uniform": [4, 64]}',
    ]
    for form in forms:
        assert with_overrides(PriorConfig(), dict([read_setting(form)])) == wanted
    names = with_overrides(PriorConfig(), dict([read_setting("mechanisms=choice([mlp, linear])")]))
    assert names.mechanisms == {"mlp": 1, "linear": 1}


def test_a_weight_of_the_family_uniform_is_no_distribution():
    assert with_overrides(PriorConfig(), dict([read_setting("noises={uniform: 1}")])).noises == {"uniform": 1}


def test_pairs_stay_pairs_in_json():
    plain = json.loads(PriorConfig(num_features=(2, 10)).to_json())
    assert plain["num_features"] == [2, 10]
    assert plain["noise_scale"] == [0.05, 1.0]
    assert plain["parameters"]["mlp"]["width"] == [3, 12]


def test_ranges_of_a_config_are_typed():
    config = PriorConfig()
    assert type(config.num_features) is type(config.parameters["mlp"]["width"]) is Uniform
    assert type(config.noise_scale) is LogUniform
    assert type(replace(config, num_classes=choice([2, 5])).num_classes) is Choice
    assert replace(config, train_fraction=choice([0.5, 0.9])).split_range == choice([75, 135])


# What is refused


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("num_features=log_uniform(0, 5)", "num_features: log_uniform: low must be above 0, got 0"),
        ("num_features=uniform(5, 2)", "num_features: uniform: low must not exceed high, got 5 and 2"),
        ("num_features=uniform(1.5, 3)", "num_features.0: input should be a valid integer"),
        ("num_features=choice([2, 2.5, 3])", "num_features: needs integers, got 2.5"),
        ("num_features=log_uniform(2)", "num_features: log_uniform needs two numbers, low and high, got [2]"),
        ("num_features=normal(2, 5)", "cannot read the value 'normal(2, 5)'"),
        ("num_features=choice({2: -1})", "choice needs options, each with a weight of at least 0"),
        ("num_features=choice({2: 0})", "choice needs a weight above 0"),
        ("num_features=choice([])", "choice needs options"),
        ('num_features={"choice": {"3": 1, "3.0": 2}}', "choice has an option twice, got ['3', '3.0']"),
        ("num_features=choice([2, mlp])", "choice needs numbers, or names"),
        ("label_noise=uniform(0, 2)", "label_noise.1: input should be less than or equal to 1"),
        ("noise_scale=integers(0.5, 1)", "noise_scale: integers: low and high must be integers"),
        ("learnability=log_uniform(0.1, 1)", "learnability: is an interval that scores lie in"),
        ("parameters.mlp.width=choice([2, 2.5])", "parameters: mlp: width needs two integers"),
        ("parameters.mlp.width=log_uniform(1, 10000)", "width"),
        ("parameters.mlp.activation=choice([1, 2])", "activation needs a list of names"),
        ("parameters.mlp.activation=choice({tanh: 2, relu: 1})", "activation: needs a number, a range"),
        (
            "parameters.mlp.activation=choice([tanh, relu])",
            "a list of names, which are drawn equally often",
        ),
    ],
)
def test_a_wrong_distribution_is_refused(setting, message):
    with pytest.raises(ConfigError) as refused:
        with_overrides(PriorConfig(), dict([read_setting(setting)]))
    assert message in str(refused.value)


def test_python_refuses_what_is_no_distribution():
    for make in (lambda: integers(1.5, 2), lambda: uniform("a", 2), lambda: log_uniform(-1, 2)):
        with pytest.raises(ValueError, match=r"must be|needs two numbers"):
            make()
    with pytest.raises(ValidationError, match="num_features"):
        PriorConfig(num_features=choice(["mlp"]))
    with pytest.raises(ValidationError, match="mechanisms"):
        PriorConfig(mechanisms=log_uniform(1, 2))


def test_json_with_a_wrong_distribution_is_refused():
    for value in ({"uniform": [1]}, {"log_uniform": ["a", "b"]}, {"choice": {"x": 1}}, {"normal": [0, 1]}):
        with pytest.raises(ConfigError, match="num_features"):
            PriorConfig.from_json(json.dumps({"num_features": value}))
    assert from_plain({"normal": [0, 1]}) == {"normal": [0, 1]}
