"""Writing a dump: its keys and layout, the datasets that are refused, and nothing left half-written."""

import json
import os
import shutil
import socket
import tracemalloc
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_dumps import (
    BLOCK,
    CONFIG,
    MAX_FEATURES,
    MAX_ROWS,
    make_datasets,
    read_all,
    write,
    write_datasets,
)

from priors.dataset import Dataset
from priors.dumps.hash import content_hash
from priors.dumps.new_arrays import chunk_shape
from priors.dumps.read import open_dump
from priors.dumps.schema import DumpError

PUBLISHED_LIKE = Path(__file__).parents[2] / "data" / "published_like.h5"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "10_12x3_2.h5"


@pytest.fixture
def written(path):
    write(path, make_datasets())
    return path


def test_round_trip(path):
    datasets = make_datasets()
    write(path, datasets)
    with open_dump(path) as dump:
        assert len(dump) == dump.num_datasets == 10
        assert (dump.max_rows, dump.max_features, dump.max_num_classes) == (MAX_ROWS, MAX_FEATURES, 2)
        assert (dump.problem_type, dump.block_size, dump.allow_missing) == ("classification", BLOCK, False)
        assert dump.unknown_keys == ()
        x, y = dump.read(0, 10)
        assert (x.dtype, y.dtype) == (np.float32, np.float32)
        assert (x.shape, y.shape) == ((10, MAX_ROWS, MAX_FEATURES), (10, MAX_ROWS))
        for i, dataset in enumerate(datasets):
            rows, features = dataset.x.shape
            assert dump.num_datapoints[i] == rows
            assert dump.num_features[i] == features
            assert dump.single_eval_pos[i] == dataset.single_eval_pos
            np.testing.assert_array_equal(x[i, :rows, :features], dataset.x)
            np.testing.assert_array_equal(y[i, :rows], dataset.y)
            assert not x[i, rows:].any()
            assert not x[i, :, features:].any()
            assert not y[i, rows:].any()
        assert sorted(dump.properties) == ["graph", "noise_scale", "num_nodes"]
        for name in dump.properties:
            assert dump.read_property(name).tolist() == [dataset.properties[name] for dataset in datasets]
        assert dump.read_property("graph", 3, 5).tolist() == ["family-3", "family-4"]


def test_keys_and_layout_are_those_of_the_schema(written):
    with h5py.File(written) as file:
        kinds = {name: (file[name].shape, file[name].dtype.name) for name in file if name != "properties"}
        problem_type = kinds.pop("problem_type")
        assert kinds == {
            "X": ((10, MAX_ROWS, MAX_FEATURES), "float32"),
            "y": ((10, MAX_ROWS), "float32"),
            "num_features": ((10,), "int32"),
            "num_datapoints": ((10,), "int32"),
            "single_eval_pos": ((10,), "int32"),
            "max_num_classes": ((1,), "int64"),
            "original_batch_size": ((1,), "int64"),
        }
        assert problem_type[0] == ()
        assert file["problem_type"][()] == b"classification"
        assert file["original_batch_size"][0] == BLOCK
        assert file["X"].chunks == (BLOCK, MAX_ROWS, MAX_FEATURES)
        for name in ("X", "y", "num_features", "num_datapoints", "single_eval_pos", "properties/graph"):
            array = file[name]
            assert (array.compression, array.shuffle, array.fletcher32) == ("lzf", True, True)


def test_provenance(written):
    with open_dump(written) as dump:
        attributes = dump.attributes
    assert attributes["format_version"] == 1
    assert attributes["generator"].startswith("nanotabpfn-priors ")
    assert json.loads(attributes["config"]) == json.loads(CONFIG)
    assert int(attributes["seed"]) == 2**100
    assert datetime.fromisoformat(attributes["created"]).utcoffset().total_seconds() == 0
    assert attributes["allow_missing"] is False
    assert attributes["content_hash"] == content_hash(written)


def test_regression(path):
    datasets = make_datasets(regression=True)
    write(path, datasets, max_num_classes=None)
    with h5py.File(path) as file:
        assert "max_num_classes" not in file
        assert file["problem_type"][()] == b"regression"
    with open_dump(path) as dump:
        assert (dump.problem_type, dump.max_num_classes) == ("regression", None)
        np.testing.assert_array_equal(dump.read(0, 1)[1][0, : len(datasets[0].y)], datasets[0].y)


def test_the_published_loader_can_read_it(path):
    """Its plain way in: no attributes, the first split and the most rows and features of each batch."""
    datasets = make_datasets(8)
    write(path, datasets)
    with h5py.File(path, "r") as f:
        assert f["max_num_classes"][0] == 2
        assert f["X"].shape[1] == MAX_ROWS
        for a, b in [(0, 4), (4, 8)]:
            features = f["num_features"][a:b].max()
            rows = int(f["num_datapoints"][a:b].max())
            x = f["X"][a:b, :rows, :features]
            y = f["y"][a:b, :rows]
            np.testing.assert_array_equal(x, np.stack([dataset.x for dataset in datasets[a:b]]))
            np.testing.assert_array_equal(y, np.stack([dataset.y for dataset in datasets[a:b]]))
            assert f["single_eval_pos"][a:b][0].item() == datasets[a].single_eval_pos


def test_large_records_are_cut_into_chunks_of_at_most_a_mebibyte(path):
    rng = np.random.default_rng(0)
    y = np.arange(600) % 2
    datasets = [Dataset(rng.normal(size=(600, 500)), y, 300, {}) for _ in range(2)]
    write(path, datasets, max_rows=600, max_features=500)
    with h5py.File(path) as file:
        assert 4 * np.prod(file["X"].chunks) <= 2**20
    np.testing.assert_array_equal(read_all(path)[0][1], datasets[1].x.astype(np.float32))


@pytest.mark.parametrize(("block_size", "records"), [(32, 16), (7, 7), (31, 1), (1, 1)])
def test_a_chunk_is_a_block_or_an_even_part_of_one(block_size, records):
    """512 rows x 25 features are 50 KiB, so at most 20 records fit into a chunk."""
    assert chunk_shape((1000, 512, 25), block_size) == (records, 512, 25)


# -------------------------------------------------------------------------------------- refused by the writer


def changed(index, **changes):
    datasets = make_datasets()
    datasets[index] = datasets[index]._replace(**changes)
    return datasets


ROWS, FEATURES = make_datasets()[0].x.shape
LABELS = make_datasets()[0].y


def table_with(value):
    x = np.ones((ROWS, FEATURES))
    x[-1, -1] = value
    return x


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": table_with(np.nan)}, "x must be finite, got 1 other cells"),
        ({"x": table_with(-np.inf)}, "x must be finite"),
        ({"x": table_with(1e39)}, "x must be finite"),  # beyond float32
        ({"y": np.where(np.arange(ROWS) == 3, np.nan, LABELS)}, "y must be finite"),
        ({"y": LABELS + 1}, "labels must be 0..K-1 without a gap, got 1, 2"),
        ({"y": LABELS * 2}, "labels must be 0..K-1 without a gap, got 0, 2"),
        ({"y": LABELS - 1}, "labels must be 0..K-1"),
        ({"y": LABELS * 0.5}, "labels must be 0..K-1 without a gap, got 0, 0.5"),
        ({"y": np.arange(ROWS) % 3}, "max_num_classes=2, got 3 classes"),
        ({"y": np.arange(ROWS) // (ROWS - 1)}, "class 1 must be among the"),
        ({"single_eval_pos": 0}, "single_eval_pos must be in 1.."),
        ({"single_eval_pos": ROWS}, "single_eval_pos must be in 1.."),
        ({"x": np.ones((MAX_ROWS + 1, 1)), "y": np.ones(MAX_ROWS + 1)}, "rows must be in 2..12, got 13"),
        ({"x": np.ones((1, 1)), "y": np.zeros(1)}, "rows must be in 2..12, got 1"),
        ({"x": np.ones((ROWS, MAX_FEATURES + 1))}, "features must be in 1..3, got 4"),
        ({"x": np.ones((ROWS, 0))}, "features must be in 1..3, got 0"),
        ({"x": np.ones(ROWS)}, r"x must be \(R, F\)"),
        ({"y": LABELS[:-1]}, r"y \(R,\)"),
        ({"single_eval_pos": make_datasets()[0].single_eval_pos - 1}, "a block of 4 must share"),
        ({"properties": {}}, "properties must be those of record 0"),
        ({"properties": {"graph": 3, "num_nodes": 5, "noise_scale": 0.0}}, "'graph' must be str"),
        ({"properties": {"graph": "a", "num_nodes": 5.5, "noise_scale": 0.0}}, "'num_nodes' must be int"),
        ({"properties": {"graph": "a" * 129, "num_nodes": 5, "noise_scale": 0.0}}, "at most 128 bytes"),
        ({"properties": {"graph": "a\0", "num_nodes": 5, "noise_scale": 0.0}}, "without NUL"),
        ({"properties": {"graph": "a", "num_nodes": 2**63, "noise_scale": 0.0}}, "fit into 64 bits"),
    ],
)
def test_a_dataset_against_the_schema_is_refused(path, changes, message):
    with pytest.raises(DumpError, match=message) as caught:
        write(path, changed(3, **changes))
    assert str(caught.value).startswith(f"{path}: record 3: ")
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"a/b": 1}, "name must be a word"),
        ({".": 1}, "name must be a word"),
        ({"a": None}, "must be an int, float or str, got None"),
    ],
)
def test_properties_that_cannot_be_stored_are_refused(path, properties, message):
    with pytest.raises(DumpError, match=message):
        write(path, changed(0, properties=properties))


def test_missing_values_only_where_they_are_allowed(path):
    datasets = changed(3, x=table_with(np.nan))
    write(path, datasets, allow_missing=True)
    with open_dump(path) as dump:
        assert dump.allow_missing
        assert np.isnan(dump.read(3, 4)[0]).sum() == 1
    with pytest.raises(DumpError, match=r"record 3: x must be finite or NaN, got 1 infinite cells"):
        write(path, changed(3, x=table_with(np.inf)), allow_missing=True)


@pytest.mark.parametrize("count", [0, 9, 11])
def test_the_number_of_datasets_must_be_as_announced(path, count):
    with pytest.raises(DumpError, match="blocks must hold num_datasets=10 datasets, got"):
        write(path, make_datasets(count), num_datasets=10)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    "argument",
    [
        {"num_datasets": 0},
        {"max_rows": 1},
        {"max_features": 0},
        {"max_num_classes": 0},
        {"max_num_classes": MAX_ROWS + 1},
        {"block_size": 2**24 + 1},
        {"block_size": 0},
        {"config_json": "{"},
    ],
)
def test_arguments_out_of_range_are_named(path, argument):
    with pytest.raises(ValueError, match=f"^{next(iter(argument))} must be"):
        write(path, make_datasets(), **argument)


# --------------------------------------------------------------------------------------- nothing half-written


def interrupted(datasets, error):
    yield datasets[:8]
    raise error


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), ZeroDivisionError("in the prior"), OSError("elsewhere")]
)
@pytest.mark.parametrize("older", [None, b"an older file"])
def test_a_crash_leaves_what_was_there(path, error, older):
    if older:
        path.write_bytes(older)
    datasets = make_datasets()
    with pytest.raises(type(error)) as caught:
        write_datasets(
            path,
            interrupted(datasets, error),
            num_datasets=10,
            max_rows=MAX_ROWS,
            max_features=MAX_FEATURES,
            max_num_classes=2,
            block_size=BLOCK,
            config_json=CONFIG,
            seed=0,
        )
    assert caught.value is error  # as it was raised, not dressed as a fault of the file
    assert list(path.parent.iterdir()) == ([path] if older else [])
    assert older is None or path.read_bytes() == older


def test_the_name_appears_at_the_end_alone(path):
    names = []

    def blocks():
        for i in range(0, 8, BLOCK):
            yield make_datasets(8)[i : i + BLOCK]
            names.append([file.name for file in path.parent.iterdir()])

    write_datasets(
        path,
        blocks(),
        num_datasets=8,
        max_rows=MAX_ROWS,
        max_features=MAX_FEATURES,
        max_num_classes=2,
        block_size=BLOCK,
        config_json=CONFIG,
        seed=0,
    )
    assert names == [[f".{path.name}.{socket.gethostname()}.{os.getpid()}.partial"]] * 2
    assert list(path.parent.iterdir()) == [path]


def test_an_older_file_is_replaced(written):
    before = content_hash(written)
    assert write(written, make_datasets(seed=1)) == content_hash(written) != before


@pytest.mark.parametrize("name", ["missing/dump.h5", "folder", "folder/../x" + "y" * 250, "file/dump.h5"])
def test_a_path_that_cannot_be_written_is_refused_before_any_work(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")

    def blocks():
        pytest.fail("a block was asked for")
        yield

    with pytest.raises(DumpError, match="cannot be written: ") as caught:
        write_datasets(
            tmp_path / name,
            blocks(),
            num_datasets=1,
            max_rows=2,
            max_features=1,
            max_num_classes=2,
            block_size=1,
            config_json="{}",
            seed=0,
        )
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_one_line(path, monkeypatch):
    usage = shutil.disk_usage(path.parent)._replace(free=2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(DumpError, match="the disk is full"):
        write(path, make_datasets())
    assert list(path.parent.iterdir()) == []


def test_memory_does_not_grow_with_the_number_of_datasets(path):
    x, y = np.ones((100, 20), np.float32), np.arange(100) % 2
    peaks = []
    for count in (200, 2000):  # 2000 are 16 MB
        blocks = ([Dataset(x, y, 50, {"n": 1})] * 50 for _ in range(count // 50))
        tracemalloc.start()
        write_datasets(
            path,
            blocks,
            num_datasets=count,
            max_rows=100,
            max_features=20,
            max_num_classes=2,
            block_size=50,
            config_json=CONFIG,
            seed=0,
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2**20
