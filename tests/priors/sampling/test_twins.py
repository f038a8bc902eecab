"""Twins: counterfactual rows of a dataset, in memory and in files; the datasets stay what they are."""

from dataclasses import replace

import h5py
import networkx as nx
import numpy as np
import pytest
from small_dumps import write_datasets

from priors.config import ConfigError, PriorConfig, with_overrides
from priors.dataset import Dataset, Twin
from priors.dumps.formats.convert import convert
from priors.dumps.hash import content_hash
from priors.dumps.merge import merge_dumps
from priors.dumps.read import open_dump
from priors.dumps.schema import DumpError
from priors.dumps.shuffle import shuffle_dump
from priors.dumps.split import split_dump
from priors.dumps.summary import describe
from priors.dumps.validate import validate
from priors.dumps.verify import verify
from priors.generation.generate import generate_dump
from priors.sampling.blocks import sample_block
from priors.sampling.column_treatments import fit_codes
from priors.sampling.dataset import sample_dataset
from priors.streams import DATASET, stream

SETTINGS = {
    "plain": {},
    "regression": {"problem_type": "regression"},
    "categories": {"categorical_fraction": (1, 1), "num_classes": (2, 4)},
    "warped, rounded, noisy": {
        "warp_fraction": (0.5, 0.5),
        "quantized_fraction": (0.5, 0.5),
        "label_noise": (0.2, 0.2),
    },
    "missing": {"missing_fraction": (0.1, 0.3)},
    "drawn classes": {"class_methods": {"softmax_draw": 1}},
    "drifting": {"drift_fraction": (1, 1)},
    "duplicates": {"duplicate_fraction": (0.3, 0.3)},
    "grouped": {"grouped_fraction": (0.7, 0.7)},
}


@pytest.mark.parametrize("fields", SETTINGS.values(), ids=list(SETTINGS))
def test_twins_are_counterfactuals_of_their_datasets(fields):
    config = PriorConfig(**fields)
    moved_targets = 0
    for index in range(30):
        plain = sample_dataset(config, stream(0, DATASET, index))
        dataset = sample_dataset(replace(config, twins=True), stream(0, DATASET, index))
        x, y, split, properties, twin = dataset
        if properties["attempts"] == plain.properties["attempts"] == 1:
            np.testing.assert_array_equal(x, plain.x)
            np.testing.assert_array_equal(y, plain.y)
        assert twin.x.shape == x.shape
        assert twin.x.dtype == x.dtype
        assert twin.y.dtype == y.dtype
        feature, value = properties["do_feature"], properties["do_value"]
        column = twin.x[:, feature]
        np.testing.assert_array_equal(np.isnan(twin.x), np.isnan(x))
        assert set(column[~np.isnan(column)].tolist()) == {value}
        assert value in x[:, feature] or fields.get("missing_fraction")
        if config.problem_type == "classification":
            assert set(twin.y.tolist()) <= set(y.tolist())
        # Where the node had that value anyway, nothing is different.
        rows = x[:, feature] == np.float32(value)
        if not fields.get("quantized_fraction"):  # which rounds different values to the same
            np.testing.assert_allclose(twin.x[rows], x[rows], rtol=1e-3, atol=1e-4)
        moved_targets += (twin.y != y).any()
        assert split == plain.single_eval_pos
    assert 2 < moved_targets < 28


def test_columns_and_targets_upstream_of_the_intervention_are_the_same_and_downstream_they_move():
    edges = [("a", "b"), ("b", "c"), ("c", "y"), ("d", "y"), ("y", "e")]
    graph = nx.DiGraph(edges)
    graph.nodes["y"]["role"] = "target"
    config = PriorConfig(
        graph=graph, twins=True, mechanisms={"linear": 1}, problem_type="regression", noise_scale=(0.1, 0.1)
    )
    names = config.graph.feature_names
    seen = set()
    for index in range(40):
        x, y, _, properties, twin = sample_dataset(config, stream(0, DATASET, index))
        node = names[properties["do_feature"]]
        downstream = nx.descendants(graph, node) | {node}
        for place, name in enumerate(names):
            assert (twin.x[:, place] != x[:, place]).any() == (name in downstream)
        assert (twin.y != y).any() == ("y" in downstream)
        seen.add(node)
    assert seen == {"a", "b", "c", "d", "e"}


def test_new_categories_of_a_twin_have_the_next_codes():
    values = np.float32([5, 1, 3, 1, 5, 3, 4, 1, 0.5, 3])
    coded = fit_codes(values[:6], 4, stream(0))
    codes = coded(values)
    np.testing.assert_array_equal(codes[:6], coded(values[:6]))
    assert codes[7] == codes[1]
    assert codes[9] == codes[2]
    assert sorted(codes[[6, 8]].tolist()) == [3, 4]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shift": 0.5}, "twins: are of datasets without a shift, got shift=0.5"),
        ({"outlier_fraction": (0, 0.1)}, "twins: are of tables without outliers, got (0.0, 0.1)"),
    ],
)
def test_what_twins_do_not_go_with_is_refused(fields, message):
    with pytest.raises(ConfigError) as refused:
        with_overrides(PriorConfig(), {"twins": True, **fields})
    assert str(refused.value) == message


# In files

TINY = PriorConfig(
    twins=True,
    num_datapoints=24,
    num_features=(2, 4),
    num_nodes=(5, 8),
    train_fraction=(0.4, 0.6),
    block_size=4,
    missing_fraction=(0, 0.1),
)


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    path = tmp_path_factory.mktemp("twins") / "twins.h5"
    generate_dump(path, TINY, 24, seed=3, shard_size=8)
    return path


def twins_of(path):
    with open_dump(path) as opened:
        return opened.read_twins(0, len(opened))


def assert_same_twins(path, expected):
    for found, wanted in zip(twins_of(path), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_dump_holds_the_twins_beside_the_datasets(dump):
    with open_dump(dump) as opened:
        assert opened.has_twins
        assert opened.unknown_keys == ()
        assert {"do_feature", "do_value"} <= set(opened.properties)
        x_do, y_do = opened.read_twins(4, 8)
        assert (x_do.shape, y_do.shape) == ((4, 24, 4), (4, 24))
        for i, dataset in enumerate(sample_block(TINY, 3, 1)):
            features = dataset.x.shape[1]
            np.testing.assert_array_equal(x_do[i, :, :features], dataset.twin.x)
            assert (x_do[i, :, features:] == 0).all()
            np.testing.assert_array_equal(y_do[i], dataset.twin.y)
        assert "X_do" in describe(opened)
    assert validate(dump).findings == []
    report = verify(dump, 24)
    assert (report.findings, report.num_datasets) == ([], 24)


def test_a_dump_without_twins_says_so(tiny_dump):
    with open_dump(tiny_dump) as opened:
        assert not opened.has_twins
        with pytest.raises(DumpError, match=r"has no twins \(X_do, y_do\)"):
            opened.read_twins(0, 1)


def test_shards_and_workers_make_no_difference(dump, tmp_path):
    generate_dump(tmp_path / "whole.h5", TINY, 24, seed=3)
    generate_dump(tmp_path / "index.h5", TINY, 24, seed=3, shard_size=8, keep_shards=True)
    for name in ("whole.h5", "index.h5"):
        assert content_hash(tmp_path / name) == content_hash(dump)
        assert_same_twins(tmp_path / name, twins_of(dump))
        assert validate(tmp_path / name).findings == []


def test_twins_stay_with_their_datasets_in_dumps_made_of_dumps(dump, tmp_path):
    expected = twins_of(dump)
    parts = split_dump(dump, tmp_path, [8, 16])
    assert_same_twins(parts[1], [values[8:] for values in expected])
    assert verify(parts[1], 16).findings == []
    _, left_out = merge_dumps(parts, tmp_path / "merged.h5")
    assert left_out == []
    assert_same_twins(tmp_path / "merged.h5", expected)
    convert(dump, tmp_path / "a.npz")
    convert(tmp_path / "a.npz", tmp_path / "b.h5")
    assert_same_twins(tmp_path / "b.h5", expected)
    assert content_hash(tmp_path / "b.h5") == content_hash(dump)
    shuffle_dump(dump, tmp_path / "shuffled.h5", 1)
    with open_dump(dump) as opened, open_dump(tmp_path / "shuffled.h5") as shuffled:
        tables = [values.tobytes() for values in opened.read(0, 24)[0]]
        order = [tables.index(values.tobytes()) for values in shuffled.read(0, 24)[0]]
    assert order != sorted(order)
    assert_same_twins(tmp_path / "shuffled.h5", [values[order] for values in expected])


def test_twins_are_left_out_where_they_have_no_place(dump, tiny_dump, tmp_path):
    _, left_out = merge_dumps([dump, tiny_dump], tmp_path / "both.h5")
    assert {"X_do", "y_do"} <= set(left_out)
    convert(dump, tmp_path / "a.parquet")
    convert(tmp_path / "a.parquet", tmp_path / "b.h5")
    convert(dump, tmp_path / "published.h5", layout="published")
    for name in ("both.h5", "b.h5", "published.h5"):
        with open_dump(tmp_path / name) as opened:
            assert not opened.has_twins
    with h5py.File(tmp_path / "published.h5") as file:
        assert set(file) == {"X", "y", "num_features", "num_datapoints", "single_eval_pos", "max_num_classes"}


@pytest.mark.parametrize(
    ("key", "place", "value", "finding"),
    [
        ("X_do", (5, 0, 0), np.inf, "X_do, y_do: cells that are not finite: record 5"),
        ("y_do", (6, 0), np.nan, "X_do, y_do: cells that are not finite: record 6"),
        ("y_do", (7, 3), 2, "y_do: labels that y does not have: record 7"),
        ("y_do", (7, 3), 0.5, "y_do: labels that y does not have: record 7"),
    ],
)
def test_damaged_twins_are_findings(dump, tmp_path, key, place, value, finding):
    path = tmp_path / "bad.h5"
    path.write_bytes(dump.read_bytes())
    with h5py.File(path, "r+") as file:
        file[key][place] = value
    assert finding in validate(path).findings
    assert any("content_hash" in line for line in validate(path).findings)
    assert any("content_hash" in line for line in verify(path, 24).findings)


def test_padding_of_twins_must_be_0(dump, tmp_path):
    path = tmp_path / "bad.h5"
    path.write_bytes(dump.read_bytes())
    with h5py.File(path, "r+") as file:
        record = int(np.argmin(file["num_features"][:]))
        file["X_do"][record, 2, 3] = 1
    assert f"X_do, y_do: padding that is not 0: record {record}" in validate(path).findings


def test_other_arrays_of_these_names_are_none_of_ours(tiny_dump, tmp_path):
    path = tmp_path / "other.h5"
    path.write_bytes(tiny_dump.read_bytes())
    with h5py.File(path, "r+") as file:
        file["X_do"] = np.zeros(3)
        file["y_do"] = "text"
    with open_dump(path) as opened:
        assert not opened.has_twins
        assert opened.unknown_keys == ("X_do", "y_do")


@pytest.mark.parametrize(
    ("twin", "message"),
    [
        (None, "record 0: must have a twin, got none"),
        (
            Twin(np.zeros((6, 1)), np.zeros(6)),
            r"record 0: twin must be \(6, 2\) and \(6,\), got \(6, 1\) and",
        ),
        (Twin(np.full((6, 2), np.nan), np.zeros(6)), "record 0: twin must be finite"),
        (Twin(np.zeros((6, 2)), np.full(6, np.inf)), "record 0: twin must be finite"),
    ],
)
def test_twins_that_are_none_are_not_written(twin, message, tmp_path):
    x, y = np.arange(12.0).reshape(6, 2), np.arange(6) % 2
    with pytest.raises(DumpError, match=message):
        write_datasets(
            tmp_path / "a.h5",
            [[Dataset(x, y, 3, {}, twin)]],
            num_datasets=1,
            max_rows=6,
            max_features=2,
            max_num_classes=2,
            block_size=1,
            config_json="{}",
            seed=0,
            twins=True,
        )
    assert not (tmp_path / "a.h5").exists()
