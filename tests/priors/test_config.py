"""PriorConfig: JSON both ways, and every value that no prior can have is refused by field, rule and value."""

import json
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from inspect import signature
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from priors.config import (
    ConfigError,
    PriorConfig,
    load_config,
    with_overrides,
)
from priors.families.categories import CONVERTERS
from priors.families.classes import CLASS_METHODS
from priors.families.graphs import GRAPHS
from priors.families.mechanisms import MECHANISMS
from priors.families.missingness import MISSING_KINDS
from priors.families.noise import NOISE_KINDS, NOISES
from priors.families.ranges import default_parameters
from priors.presets import PRESETS
from priors.streams import stream

NAN, INFINITY = float("nan"), float("inf")

# overrides, and what the message must contain
BAD = [
    ({"num_features": (5, 2)}, ["num_features", "low must not exceed high", "(5, 2)"]),
    ({"num_classes": (3, 2)}, ["num_classes", "low must not exceed high", "(3, 2)"]),
    ({"num_nodes": (20, 8)}, ["num_nodes", "low must not exceed high", "(20, 8)"]),
    ({"train_fraction": (0.9, 0.1)}, ["train_fraction", "low must not exceed high", "(0.9, 0.1)"]),
    ({"noise_scale": (1, 0.5)}, ["noise_scale", "low must not exceed high", "(1.0, 0.5)"]),
    ({"relevant_fraction": (1, 0)}, ["relevant_fraction", "low must not exceed high", "(1.0, 0.0)"]),
    ({"hidden_fraction": (0.3, 0.1)}, ["hidden_fraction", "low must not exceed high", "(0.3, 0.1)"]),
    ({"hidden_fraction": (0, 1)}, ["hidden_fraction", "less than or equal to 0.9", "1"]),
    ({"clip": 0}, ["clip", "greater than or equal to 1", "0"]),
    ({"num_features": (0, 5)}, ["num_features", "at least 1", "(0, 5)"]),
    ({"num_features": (-3, 5)}, ["num_features", "at least 1", "(-3, 5)"]),
    ({"num_classes": (1, 2)}, ["num_classes", "at least 2", "(1, 2)"]),
    ({"num_nodes": (1, 20)}, ["num_nodes", "at least 2", "(1, 20)"]),
    ({"num_datapoints": 3}, ["num_datapoints", "greater than or equal to 4", "3"]),
    ({"num_datapoints": -150}, ["num_datapoints", "greater than or equal to 4", "-150"]),
    ({"block_size": 0}, ["block_size", "greater than or equal to 1", "0"]),
    ({"train_fraction": (0, 0.5)}, ["train_fraction", "greater than 0", "0"]),
    ({"train_fraction": (0.5, 1)}, ["train_fraction", "less than 1", "1"]),
    ({"relevant_fraction": (-0.1, 1)}, ["relevant_fraction", "greater than or equal to 0", "-0.1"]),
    ({"relevant_fraction": (0, 1.1)}, ["relevant_fraction", "less than or equal to 1", "1.1"]),
    ({"noise_scale": (0, 1)}, ["noise_scale", "greater than 0", "0"]),
    ({"noise_scale": (1, INFINITY)}, ["noise_scale", "finite", "inf"]),
    ({"noise_scale": (NAN, 1)}, ["noise_scale", "nan"]),
    ({"train_fraction": (NAN, 0.5)}, ["train_fraction", "nan"]),
    ({"relevant_fraction": (0, NAN)}, ["relevant_fraction", "nan"]),
    ({"graphs": {"nope": 1}}, ["graphs", "unknown family 'nope'", "known: erdos_renyi, barabasi_albert"]),
    ({"mechanisms": {"nope": 1}}, ["mechanisms", "unknown family 'nope'", "linear, mlp"]),
    ({"noises": {"": 1}}, ["noises", "unknown family ''", "normal, uniform"]),
    ({"graphs": {"nope": 0, "layered": 1}}, ["graphs", "unknown family 'nope'"]),
    ({"graphs": {"nowhere_at_all:f": 1}}, ["graphs", "'nowhere_at_all:f'", "cannot be imported"]),
    ({"graphs": {}}, ["graphs", "at least one family", "erdos_renyi"]),
    ({"graphs": {"layered": 0}}, ["graphs", "at least one weight above 0", "{'layered': 0.0}"]),
    ({"mechanisms": {"linear": 0, "mlp": 0}}, ["mechanisms", "at least one weight above 0", "'mlp': 0.0"]),
    ({"noises": {"normal": -1, "uniform": 2}}, ["noises", "normal", "greater than or equal to 0", "-1"]),
    ({"noises": {"normal": NAN}}, ["noises", "normal", "nan"]),
    ({"graphs": {"layered": INFINITY}}, ["graphs", "layered", "finite", "inf"]),
    ({"graphs": [1]}, ["graphs", "[1]"]),
    ({"graphs": "nope"}, ["graphs", "unknown family 'nope'"]),
    ({"graphs": []}, ["graphs", "at least one family"]),
    ({"graphs": {"layered": "often"}}, ["graphs", "layered", "number", "'often'"]),
    ({"problem_type": "ranking"}, ["problem_type", "classification", "regression", "'ranking'"]),
    ({"roots": {"nope": 1}}, ["roots", "unknown family 'nope'", "normal, uniform"]),
    ({"noise_kinds": {"nope": 1}}, ["noise_kinds", "unknown family 'nope'", "additive, multiplicative"]),
    ({"converters": {"nope": 1}}, ["converters", "unknown family 'nope'", "ordered_cuts"]),
    ({"class_methods": {"nope": 1}}, ["class_methods", "unknown family 'nope'", "quantile_cuts"]),
    ({"missing_kinds": {"nope": 1}}, ["missing_kinds", "unknown family 'nope'", "at_random"]),
    ({"aggregations": {"mean": 1}}, ["aggregations", "'joint', 'sum', 'product' or 'maximum'", "'mean'"]),
    ({"aggregations": {}}, ["aggregations", "at least one weight above 0", "{}"]),
    ({"aggregations": {"sum": 0}}, ["aggregations", "at least one weight above 0", "{'sum': 0.0}"]),
    ({"mix": "layer"}, ["mix", "'node' or 'dataset'", "'layer'"]),
    ({"coherence": "some"}, ["coherence", "'meta', 'independent' or 'shared'", "'some'"]),
    ({"group_size": (1, 3)}, ["group_size", "at least 2 rows", "(1.0, 3.0)"]),
    ({"target_position": "middle"}, ["target_position", "'any', 'early' or 'late'", "'middle'"]),
    ({"ordered_labels": 1.5}, ["ordered_labels", "less than or equal to 1", "1.5"]),
    ({"allow_descendants": "perhaps"}, ["allow_descendants", "boolean", "'perhaps'"]),
    ({"learnability": (0.9, 0.6)}, ["learnability", "low must not exceed high", "(0.9, 0.6)"]),
    ({"difficulty": (1, 2)}, ["difficulty", "needs a learnability", "(1.0, 2.0)"]),
    ({"difficulty": (0, 0), "learnability": (0.5, 1)}, ["difficulty", "at least one weight above 0", "0.0"]),
    ({"difficulty": (), "learnability": (0.5, 1)}, ["difficulty", "at least one weight above 0"]),
    (
        {"parameters": {"linear": {"matrix": ["normal", "wild"]}}},
        ["parameters: linear: matrix", "among normal, uniform, signs, decaying", "wild"],
    ),
    ({"parameters": {"mlp": {"activation": ["tan"]}}}, ["parameters: mlp: activation", "tanh", "'tan'"]),
    *(
        ({name: (0.5, 1.5)}, [name, "less than or equal to 1", "1.5"])
        for name in (
            "categorical_fraction",
            "label_noise",
            "duplicate_fraction",
            "grouped_fraction",
            "warp_fraction",
            "quantized_fraction",
            "outlier_fraction",
            "missing_fraction",
        )
    ),
    ({"parameters": {"nope": {"depth": (1, 2)}}}, ["parameters", "unknown family 'nope'", "mlp, oblivious"]),
    (
        {"parameters": {"mlp": {"depth": (1, 2)}}},
        ["parameters: mlp: depth", "unknown", "num_layers, width, gain, activation"],
    ),
    ({"parameters": {"layered": {"num_nodes": (1, 2)}}}, ["parameters: layered: num_nodes", "unknown"]),
    ({"parameters": {"random_tree": {"rng": (1, 2)}}}, ["parameters: random_tree: rng", "unknown", "none"]),
    (
        {"parameters": {"mlp": {"num_layers": (3, 2)}}},
        ["parameters: mlp: num_layers", "low must not exceed high", "(3, 2)"],
    ),
    (
        {"parameters": {"mlp": {"gain": (3, 2)}}},
        ["parameters: mlp: gain", "low must not exceed high", "(3.0, 2.0)"],
    ),
    (
        {"parameters": {"mlp": {"num_layers": (1, 2.5)}}},
        ["parameters: mlp: num_layers", "two integers", "(1.0, 2.5)"],
    ),
    ({"parameters": {"mlp": {"gain": ["high"]}}}, ["parameters: mlp: gain", "two numbers", "['high']"]),
    (
        {"parameters": {"mlp": {"activation": (1, 2)}}},
        ["parameters: mlp: activation", "a list of names", "(1, 2)"],
    ),
    ({"parameters": {"mlp": {"activation": []}}}, ["parameters: mlp: activation", "a list of names", "[]"]),
    (
        {"problem_type": "regression", "train_fraction": (0.001, 0.5)},
        ["train_fraction", "(0.001, 0.5)", "1 rows on one side", "regression, which needs 2"],
    ),
    ({"num_datapoints": "many"}, ["num_datapoints", "integer", "'many'"]),
    ({"num_datapoints": 150.5}, ["num_datapoints", "integer", "150.5"]),
    ({"num_datapoints": None}, ["num_datapoints", "integer", "None"]),
    ({"num_features": "5"}, ["num_features", "5"]),
    ({"num_features": True}, ["num_features", "True"]),
    ({"num_features": (5,)}, ["num_features", "(5,)"]),
    ({"num_features": (1, 2, 3)}, ["num_features", "(1, 2, 3)"]),
    ({"num_features": (1, 2.5)}, ["num_features", "integer", "2.5"]),
    ({"num_classes": (2, NAN)}, ["num_classes", "nan"]),
    (
        {"num_datapoints": 20, "num_classes": (2, 5)},
        ["train_fraction", "(0.1, 0.9)", "num_datapoints=20", "2 rows on one side", "num_classes=(2, 5)"],
    ),
    (
        {"num_datapoints": 4, "train_fraction": (0.95, 0.99)},
        ["train_fraction", "(0.95, 0.99)", "num_datapoints=4", "1 rows on one side"],
    ),
]
BAD_IDS = [str(overrides) for overrides, _ in BAD]


def shown_alike(message):
    """JSON has lists where Python has tuples."""
    return message.replace("[", "(").replace("]", ")").replace(",)", ")").lower()


@st.composite
def configs(draw):
    def pair(numbers):
        return tuple(sorted((draw(numbers), draw(numbers))))

    def weights(registry):
        return draw(
            st.dictionaries(st.sampled_from(list(registry)), st.floats(1e-300, 1e6), min_size=1)
        ) | draw(st.sampled_from([{}, {next(iter(registry)): 0.5}]))

    shares = pair(st.floats(0, 1))
    return PriorConfig(
        problem_type=draw(st.sampled_from(["classification", "regression"])),
        mix=draw(st.sampled_from(["node", "dataset"])),
        coherence=draw(st.sampled_from(["meta", "independent", "shared"])),
        roots=weights(NOISES),
        noise_kinds=weights(NOISE_KINDS),
        converters=weights(CONVERTERS),
        class_methods=weights(CLASS_METHODS),
        missing_kinds=weights(MISSING_KINDS),
        parameters=draw(
            st.sampled_from(
                [{}, {"mlp": {"width": (3, 5), "gain": (0, 1), "activation": ["relu"]}}, default_parameters()]
            )
        ),
        ordered_labels=shares[0],
        label_noise=shares,
        drift_fraction=shares,
        grouped_fraction=shares,
        group_size=pair(st.floats(2, 1e300)),
        shift=shares[0],
        missing_fraction=pair(st.floats(0, 1)),
        learnability=draw(st.sampled_from([None, shares])),
        allow_descendants=draw(st.booleans()),
        num_datapoints=draw(st.integers(200, 10**6)),
        num_features=pair(st.integers(1, 1000)),
        num_classes=pair(st.integers(2, 10)),
        train_fraction=pair(st.floats(0.1, 0.9)),
        num_nodes=pair(st.integers(2, 1000)),
        graphs=weights(GRAPHS),
        mechanisms=weights(MECHANISMS),
        noises=weights(NOISES),
        noise_scale=pair(st.floats(1e-300, 1e300)),
        relevant_fraction=pair(st.floats(0, 1)),
        block_size=draw(st.integers(1, 10**9)),
    )


# JSON


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("indent", [None, 2])
def test_presets_survive_json(name, indent):
    config = PRESETS[name]
    text = config.to_json(indent)
    assert PriorConfig.from_json(text) == config
    assert PriorConfig.from_json(text).to_json(indent) == text
    assert json.loads(text).keys() == {field.name for field in fields(PriorConfig)}


@settings(max_examples=50)
@given(configs())
def test_any_config_survives_json(config):
    again = PriorConfig.from_json(config.to_json())
    assert again == config
    assert again.to_json() == config.to_json()
    assert list(again.graphs) == list(config.graphs)


def test_fields_left_out_have_their_defaults():
    assert PriorConfig.from_json("{}") == PriorConfig()
    config = PriorConfig.from_json('{"num_features": [1, 3], "graphs": {"layered": 2}}')
    assert config == replace(PriorConfig(), num_features=(1, 3), graphs={"layered": 2})
    assert config.num_features == (1, 3)


def test_the_mixed_preset_draws_all_families():
    config = PRESETS["mixed"]
    assert list(config.graphs) == list(GRAPHS)
    assert list(config.mechanisms) == list(MECHANISMS)
    assert list(config.roots) == list(NOISES)
    assert list(config.noise_kinds) == list(NOISE_KINDS)
    assert list(config.converters) == list(CONVERTERS)
    assert list(config.class_methods) == list(CLASS_METHODS)
    assert list(config.missing_kinds) == list(MISSING_KINDS)


def own_parameters(family):
    return list(signature(family).parameters.values())[2:]


def test_by_default_every_parameter_of_every_family_has_a_range():
    families = {**GRAPHS, **MECHANISMS, **CONVERTERS}
    expected = {name: {own.name for own in own_parameters(family)} for name, family in families.items()}
    ranges = default_parameters()
    assert {name: set(found) for name, found in ranges.items()} == {
        name: names for name, names in expected.items() if names
    }


def test_all_ends_of_the_default_ranges_and_all_choices_are_taken_by_their_families():
    first_argument = {**dict.fromkeys(GRAPHS, 12), **dict.fromkeys(CONVERTERS, np.zeros(5, np.float32))}
    families = {**GRAPHS, **MECHANISMS, **CONVERTERS}
    for name, ranges in default_parameters().items():
        for values in product(*ranges.values()):
            argument = first_argument.get(name, np.zeros((5, 3), np.float32))
            families[name](argument, stream(0), **dict(zip(ranges, values, strict=True)))


def test_ranges_of_real_parameters_may_be_written_as_integers():
    """(0, 1) for a probability is all that is between, and not one of the two."""
    for config in (
        PriorConfig(parameters={"layered": {"dropout": (0, 1), "num_layers": (2, 4)}}),
        PriorConfig.from_json('{"parameters": {"layered": {"dropout": [0, 1], "num_layers": [2, 4]}}}'),
    ):
        ranges = config.parameters["layered"]
        assert [type(value) for value in (*ranges["dropout"], *ranges["num_layers"])] == [
            float,
            float,
            int,
            int,
        ]


def test_ranges_must_be_finite():
    for bad in (NAN, INFINITY):
        with pytest.raises(ConfigError, match=r"parameters\.mlp\.gain.*finite"):
            with_overrides(PriorConfig(), {"parameters": {"mlp": {"gain": (0.5, bad)}}})


def test_a_dotted_path_may_have_parameters():
    ranges = {"priors.families.graphs:layered": {"num_layers": (2, 3)}}
    assert PriorConfig(graphs={"priors.families.graphs:layered": 1}, parameters=ranges).parameters == ranges


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "JSON"),
        ("num_features: 3", "JSON"),
        ('{"num_features": [1, 3]', "JSON"),
        ("[]", "object"),
        ("null", "object"),
        ('{"num_feature": [1, 3]}', "num_feature.*nexpected"),
        ('{"num_features": [1, 3], "seed": 1}', "seed.*nexpected"),
    ],
)
def test_text_that_is_no_config_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        PriorConfig.from_json(text)


# Bad values


@pytest.mark.parametrize(("overrides", "fragments"), BAD, ids=BAD_IDS)
def test_bad_values_are_refused_at_birth(overrides, fragments):
    with pytest.raises(ValueError, match=fragments[0]) as refusal:
        PriorConfig(**overrides)
    for fragment in fragments:
        assert fragment.lower() in str(refusal.value).lower()


@pytest.mark.parametrize(("overrides", "fragments"), BAD, ids=BAD_IDS)
def test_bad_overrides_are_refused_in_one_line(overrides, fragments):
    with pytest.raises(ConfigError) as refusal:
        with_overrides(PriorConfig(), overrides)
    message = str(refusal.value)
    assert "\n" not in message
    for fragment in fragments:
        assert fragment.lower() in message.lower()
    assert message.startswith(fragments[0])  # and of the other fields nothing
    assert ";" not in message.replace("; known", "")


@pytest.mark.parametrize(("overrides", "fragments"), BAD, ids=BAD_IDS)
def test_bad_json_is_refused_by_field_and_value(overrides, fragments):
    with pytest.raises(ConfigError) as refusal:
        PriorConfig.from_json(json.dumps(overrides))
    message = shown_alike(str(refusal.value))
    assert "\n" not in message
    for fragment in fragments:
        assert shown_alike(fragment) in message


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(ConfigError, match=r"num_features: .*; graphs: .*nope") as refusal:
        with_overrides(PriorConfig(), {"num_features": (5, 2), "graphs": {"nope": 1}})
    assert "\n" not in str(refusal.value)


def test_unknown_fields_are_refused():
    with pytest.raises(ValueError, match="num_feature"):
        PriorConfig(num_feature=(1, 3))
    with pytest.raises(ConfigError, match=r"unknown field 'num_feature'; did you mean num_features\b"):
        with_overrides(PriorConfig(), {"num_feature": (1, 3)})


# Frozen


def test_configs_are_frozen():
    config = PriorConfig()
    with pytest.raises(FrozenInstanceError):
        config.num_datapoints = 10
    assert config.num_datapoints == 150


def test_what_is_inside_of_a_config_is_frozen_too():
    config = PriorConfig()
    for change in (
        lambda: config.graphs.update(layered=7),
        config.mechanisms.clear,
        lambda: config.parameters["mlp"].__setitem__("width", (1, 2)),
        lambda: config.parameters["mlp"]["activation"].append("relu"),
    ):
        with pytest.raises((TypeError, AttributeError)):
            change()
    assert config == PriorConfig()


def test_equal_configs_have_equal_hashes():
    assert len({PriorConfig(), PriorConfig(), PriorConfig.from_json(PriorConfig().to_json())}) == 1
    assert len(set(PRESETS.values())) == len(PRESETS)
    assert hash(pickle.loads(pickle.dumps(PRESETS["mixed"]))) == hash(PRESETS["mixed"])
    graph = {"nodes": {"y": {"role": "target"}, "a": {}}, "edges": [("y", "a")]}
    assert hash(PriorConfig(graph=graph)) == hash(PriorConfig(graph=graph))


def test_a_config_does_not_follow_the_dict_it_was_made_from():
    graphs = {"layered": 1}
    config = PriorConfig(graphs=graphs)
    graphs["random_tree"] = 1
    assert config.graphs == {"layered": 1}
    assert PriorConfig().graphs is not PriorConfig().graphs
    ranges = {"layered": {"dropout": (0, 1)}}
    config = PriorConfig(parameters=ranges)
    assert ranges == {"layered": {"dropout": (0, 1)}}
    ranges["layered"]["dropout"] = (0.5, 0.5)
    assert config.parameters == {"layered": {"dropout": (0.0, 1.0)}}


def test_replace_makes_a_variant_and_checks_it_again():
    config = PRESETS["gp"]
    variant = replace(config, num_features=(2, 10))
    assert variant.num_features == (2, 10)
    assert replace(variant, num_features=config.num_features) == config
    with pytest.raises(ValueError, match=r"num_features(.|\n)*low must not exceed high, got \(10, 2\)"):
        replace(config, num_features=(10, 2))


def test_overrides_replace_their_fields_alone():
    config = with_overrides(PRESETS["gp"], {"num_classes": (2, 4), "num_nodes": [3, 9]})
    assert config == replace(PRESETS["gp"], num_classes=(2, 4), num_nodes=(3, 9))
    assert with_overrides(config, {}) == config


# Derived values


@pytest.mark.parametrize(
    ("num_datapoints", "train_fraction", "expected"),
    [
        (150, (0.1, 0.9), (15, 135)),
        (4, (0.5, 0.5), (2, 2)),
        (10, (0.25, 0.71), (2, 7)),
        (1000, (0.002, 0.998), (2, 998)),
    ],
)
def test_split_range_is_the_train_fraction_in_rows(num_datapoints, train_fraction, expected):
    config = PriorConfig(num_datapoints=num_datapoints, train_fraction=train_fraction)
    assert config.split_range == expected


def test_as_many_classes_as_rows_on_the_smaller_side_are_allowed():
    assert PriorConfig(num_datapoints=20, train_fraction=(0.25, 0.5), num_classes=(2, 5)).split_range == (
        5,
        10,
    )


# Files


def test_a_config_file_is_read(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(PRESETS["linear"].to_json(indent=2))
    assert load_config(path) == PRESETS["linear"]
    assert load_config(str(path)) == PRESETS["linear"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "JSON"),
        (b"num_features = 3", "JSON"),
        (b"\x89HDF\r\n\x1a\n\x00\xff\xfe", "cannot be read|JSON"),
        (b"\x00\x01\x02", "JSON"),
        (b'{"num_features": [5, 2]}', r"num_features: low must not exceed high, got \(5, 2\)"),
        (b'{"num_feature": [1, 2]}', "unknown field 'num_feature'; did you mean num_features"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"config.json: .*({message})") as refusal:
        load_config(path)
    assert "\n" not in str(refusal.value)


def test_a_long_file_that_is_no_json_is_not_quoted_whole(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("1,2,3\n" * 10_000)
    with pytest.raises(ConfigError, match=r"table\.csv: .*JSON") as refusal:
        load_config(path)
    assert len(str(refusal.value)) < 1000


def test_missing_files_and_folders_are_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.json: cannot be read"):
        load_config(tmp_path / "nowhere.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
