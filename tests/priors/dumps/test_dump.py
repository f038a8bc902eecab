"""The HDF5 schema: what is written, what is read, and what is refused."""

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
from hypothesis import given, settings
from hypothesis import strategies as st

import priors.dumps.dump
from priors.dumps.dump import DumpError, content_hash, finite_records, open_dump, write_dump
from priors.sampling.dataset import Dataset

PUBLISHED_LIKE = Path(__file__).parents[2] / "data" / "published_like.h5"
CONFIG = '{"num_datapoints": 12}'
BLOCK = 4
MAX_ROWS, MAX_FEATURES = 12, 3


def make_datasets(count=10, *, seed=0, regression=False):
    """`count` datasets in blocks of 4 that share split, rows and features; blocks differ in all three."""
    rng = np.random.default_rng(seed)
    datasets = []
    for i in range(count):
        if i % BLOCK == 0:
            rows, features = int(rng.integers(8, MAX_ROWS + 1)), int(rng.integers(1, MAX_FEATURES + 1))
            split = int(rng.integers(4, rows))
        y = rng.integers(0, 2, rows)
        y[:2] = [0, 1]
        if regression:
            y = rng.normal(size=rows).astype(np.float32)
        x = rng.normal(size=(rows, features)).astype(np.float32)
        properties = {"graph": f"family-{i}", "num_nodes": 5 + i, "noise_scale": i / 8}
        datasets.append(Dataset(x, y, split, properties))
    return datasets


def write(path, datasets, **changes):
    """`write_dump` with this file's usual arguments."""
    arguments = {
        "num_datasets": len(datasets),
        "max_rows": MAX_ROWS,
        "max_features": MAX_FEATURES,
        "max_num_classes": 2,
        "block_size": BLOCK,
        "config_json": CONFIG,
        "seed": 2**100,
    }
    return write_dump(path, [datasets], **(arguments | changes))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "10_12x3_2.h5"


@pytest.fixture
def written(path):
    write(path, make_datasets())
    return path


def read_all(path):
    with open_dump(path) as dump:
        return dump.read(0, len(dump))


def failure(path):
    """What `open_dump` says of a bad file: one line that begins with the file's name."""
    with pytest.raises(DumpError) as caught:
        open_dump(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def replace_key(path, key, data, **options):
    with h5py.File(path, "r+") as file:
        del file[key]
        if data is not None:
            file.create_dataset(key, data=data, **options)


# ---------------------------------------------------------------------------------------------- written


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
    assert priors.dumps.dump._chunk_shape((1000, 512, 25), block_size) == (records, 512, 25)


# -------------------------------------------------------------------------------------------------- hash


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_content_does_not_depend_on_the_feeding(tmp_path_factory, data):
    datasets = make_datasets(9)
    cuts = sorted(data.draw(st.lists(st.integers(0, 9), max_size=6)))
    blocks = [datasets[a:b] for a, b in zip([0, *cuts], [*cuts, 9], strict=True)]
    folder = tmp_path_factory.mktemp("feeding")
    arguments = {
        "num_datasets": 9,
        "max_rows": MAX_ROWS,
        "max_features": MAX_FEATURES,
        "max_num_classes": 2,
        "config_json": CONFIG,
        "seed": 1,
    }
    fed = write_dump(folder / "a.h5", blocks, block_size=BLOCK, **arguments)
    whole = write_dump(folder / "b.h5", (b for b in [datasets]), block_size=2, **arguments)
    assert fed == whole == content_hash(folder / "a.h5") == content_hash(folder / "b.h5")
    np.testing.assert_array_equal(read_all(folder / "a.h5")[0], read_all(folder / "b.h5")[0])


def test_hash_does_not_depend_on_chunks_compression_or_widths(written, tmp_path):
    copy = tmp_path / "copy.h5"
    with h5py.File(written) as source, h5py.File(copy, "w") as file:
        file["X"] = source["X"][:].astype(np.float64)
        file.create_dataset("y", data=source["y"][:].astype(np.uint8), chunks=(3, 5), compression="gzip")
        for name in ("num_features", "num_datapoints", "max_num_classes"):
            file[name] = source[name][:].astype(">i8")
        file["train_test_split_index"] = source["single_eval_pos"][:].astype(np.int8)
        file["properties/num_nodes"] = source["properties/num_nodes"][:].astype(np.int16)
        file["properties/noise_scale"] = source["properties/noise_scale"][:]
        file["properties/graph"] = [text.decode() for text in source["properties/graph"][:]]
    assert content_hash(copy) == content_hash(written)


@pytest.mark.parametrize(
    ("key", "index", "value"),
    [
        ("X", (7, 1, 0), 0.25),
        ("X", (9, MAX_ROWS - 1, MAX_FEATURES - 1), 1e-30),
        ("y", (2, 5), 7),
        ("single_eval_pos", 3, 2),
        ("num_features", 0, 1),
        ("max_num_classes", 0, 3),
        ("properties/num_nodes", 4, 0),
        ("properties/graph", 4, "other"),
        ("properties/noise_scale", 4, -1.5),
    ],
)
def test_hash_changes_with_one_value(written, key, index, value):
    before = content_hash(written)
    with h5py.File(written, "r+") as file:
        assert file[key][index] != value
        file[key][index] = value
    assert content_hash(written) != before


def test_hash_changes_when_two_datasets_are_swapped(path, tmp_path):
    datasets = make_datasets()
    swapped = [datasets[1], datasets[0], *datasets[2:]]
    assert write(path, datasets) != write(tmp_path / "swapped.h5", swapped)


def test_hash_keeps_texts_apart(path, tmp_path):
    datasets = [dataset._replace(properties={"graph": "ab"}) for dataset in make_datasets(2)]
    other = [
        datasets[0]._replace(properties={"graph": "a"}),
        datasets[1]._replace(properties={"graph": "bab"}),
    ]
    assert write(path, datasets) != write(tmp_path / "other.h5", other)


def test_hash_is_of_the_schema_alone(written):
    before = content_hash(written)
    with h5py.File(written, "r+") as file:
        file["extra"] = np.arange(3)
        file.attrs["seed"] = "other"
    assert content_hash(written) == before


def test_hash_of_the_published_layout_stays_what_it_is():
    """A change here makes every hash that was ever written useless: raise FORMAT_VERSION with it."""
    assert content_hash(PUBLISHED_LIKE) == "0d48c0081ba90360fcee4177e76ac36cf36903f257b8626fcf127a22127504e2"


# ---------------------------------------------------------------------------------- refused by the writer


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
        {"block_size": 0},
        {"config_json": "{"},
    ],
)
def test_arguments_out_of_range_are_named(path, argument):
    with pytest.raises(ValueError, match=f"^{next(iter(argument))} must be"):
        write(path, make_datasets(), **argument)


# --------------------------------------------------------------------------------- nothing half-written


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
        write_dump(
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

    write_dump(
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
        write_dump(
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
        write_dump(
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


# ------------------------------------------------------------------------------------------------- read


def test_the_published_layout():
    with open_dump(PUBLISHED_LIKE) as dump:
        assert (len(dump), dump.max_rows, dump.max_features, dump.max_num_classes) == (640, 150, 5, 2)
        assert (dump.problem_type, dump.block_size, dump.attributes) == ("classification", 32, {})
        x, y = dump.read(0, 640)
        sound = finite_records(x, y, dump.num_features, dump.num_datapoints, dump.allow_missing)
        assert np.flatnonzero(~sound).tolist() == [77]


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4", np.int32])
def test_other_widths_of_x(written, dtype):
    expected = read_all(written)[0].astype(dtype).astype(np.float32)
    replace_key(written, "X", expected.astype(dtype))
    x, _ = read_all(written)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, expected)


def test_a_float64_beyond_float32_is_damage_and_no_warning(written):
    x, y = read_all(written)
    wide = x.astype(np.float64)
    wide[6, 0, 0] = 1e300
    replace_key(written, "X", wide)
    with open_dump(written) as dump:
        x, y = dump.read(0, 10)
        assert np.flatnonzero(~finite_records(x, y, dump.num_features, dump.num_datapoints)).tolist() == [6]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, bool])
def test_other_kinds_of_y(written, dtype):
    expected = read_all(written)[1]
    replace_key(written, "y", expected.astype(dtype))
    _, y = read_all(written)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, expected)


def test_a_renamed_split_missing_sizes_and_unknown_keys(written):
    with h5py.File(written, "r+") as file:
        split = file["single_eval_pos"][:]
        file.move("single_eval_pos", "train_test_split_index")
        for key in ("num_datapoints", "problem_type", "original_batch_size", "properties"):
            del file[key]
        for name in list(file.attrs):
            del file.attrs[name]
        file["extra"] = h5py.ExternalLink("elsewhere.h5", "/X")
        file["more/of/it"] = [1, 2]
    with open_dump(written) as dump:
        np.testing.assert_array_equal(dump.single_eval_pos, split)
        assert dump.num_datapoints.tolist() == [MAX_ROWS] * 10
        assert dump.unknown_keys == ("extra", "more")
        assert (dump.problem_type, dump.block_size, dump.properties) == ("classification", None, ())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint64, ">i4"])
def test_other_widths_of_the_sizes(written, dtype):
    with open_dump(written) as dump:
        expected = dump.num_features
    replace_key(written, "num_features", expected.astype(dtype))
    with open_dump(written) as dump:
        np.testing.assert_array_equal(dump.num_features, expected)
        assert dump.num_features.dtype == np.int64


@given(st.lists(st.integers(0, 9), max_size=20))
@settings(max_examples=25, deadline=None)
def test_records_in_any_order(tmp_path_factory, indices):
    path = tmp_path_factory.getbasetemp() / "any_order.h5"
    if not path.exists():
        write(path, make_datasets())
    with open_dump(path) as dump:
        x, y = dump.read(0, 10)
        some_x, some_y = dump.read_records(indices)
    np.testing.assert_array_equal(some_x, x[np.array(indices, int)])
    np.testing.assert_array_equal(some_y, y[np.array(indices, int)])


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (5, 4), (0, 11)])
def test_reading_past_the_end(written, start, stop):
    with open_dump(written) as dump, pytest.raises(IndexError, match="<= 10"):
        dump.read(start, stop)


def test_spans_cover_the_file_in_whole_chunks(written, monkeypatch):
    with open_dump(written) as dump:
        assert list(dump.spans()) == [(0, 10)]
        monkeypatch.setattr(priors.dumps.dump, "READ_BYTES", 4 * MAX_ROWS * MAX_FEATURES * 6)
        assert list(dump.spans()) == [(0, 4), (4, 8), (8, 10)]


def test_an_unknown_property_is_named(written):
    with open_dump(written) as dump, pytest.raises(DumpError, match=r"no property 'size'; it has graph, "):
        dump.read_property("size")


def test_a_closed_dump_says_which_file(written):
    with open_dump(written) as dump:
        pass
    with pytest.raises(DumpError, match=written.name):
        dump.read(0, 1)


# --------------------------------------------------------------------------------------- finite records


def test_finite_records_judge_own_cells_alone():
    x, y = np.zeros((6, 4, 3), np.float32), np.zeros((6, 4), np.float32)
    x[0, 3, 0] = np.nan  # past its own rows
    x[1, 0, 2] = np.inf  # past its own features
    y[2, 3] = np.nan  # past its own rows
    x[3, 2, 1] = np.nan
    x[4, 2, 1] = -np.inf
    y[5, 2] = np.nan
    rows, features = np.full(6, 3), np.full(6, 2)
    assert finite_records(x, y, features, rows).tolist() == [True, True, True, False, False, False]
    assert finite_records(x, y, features, rows, True).tolist() == [True, True, True, True, False, False]
    assert finite_records(x, y, np.full(6, 3), np.full(6, 4)).tolist() == [False] * 6
    assert finite_records(x[:0], y[:0], features[:0], rows[:0]).tolist() == []


# ------------------------------------------------------------------------------------- refused on opening


@pytest.mark.parametrize("share", [0, 0.001, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file(written, share):
    data = written.read_bytes()
    written.write_bytes(data[: int(share * len(data))])
    assert failure(written).startswith("is not a whole HDF5 file: ")


def test_what_is_no_hdf5_file(tmp_path):
    text = tmp_path / "text.h5"
    text.write_text("x,y\n1,2\n" * 1000)
    assert failure(text) == "is not a whole HDF5 file: file signature not found"
    assert failure(tmp_path / "missing.h5") == "no such file"
    assert failure(tmp_path) == "is a folder, not a dump"
    os.mkfifo(tmp_path / "pipe.h5")
    assert failure(tmp_path / "pipe.h5") == "is not a regular file"


@pytest.mark.parametrize("key", ["X", "y", "num_features", "single_eval_pos"])
def test_a_missing_key(written, key):
    replace_key(written, key, None)
    assert failure(written).startswith(f"has no readable key '{key}'; it has ")


@pytest.mark.parametrize(
    ("key", "data", "message"),
    [
        ("X", np.zeros((10, 36)), "X must have a shape (D, max_rows, max_features)"),
        ("X", np.zeros((0, 12, 3)), "X must have a shape"),
        ("X", np.zeros((10, 1, 3)), "X must have a shape"),
        ("X", h5py.Empty("f4"), "X is empty"),
        ("X", np.full((10, 12, 3), b"1.5"), "X must hold numbers"),
        ("X", np.zeros((10, 12, 3), complex), "X must hold numbers"),
        ("X", np.zeros((10, 12, 3), [("a", "f4")]), "X must hold numbers"),
        ("y", np.zeros((10, 11)), "y must have the shape (10, 12), got (10, 11)"),
        ("y", np.zeros((9, 12)), "y must have the shape (10, 12), got (9, 12)"),
        ("num_features", np.ones(9, int), "num_features must have the shape (10,), got (9,)"),
        ("num_features", np.ones(10), "num_features must hold integers"),
        ("single_eval_pos", np.ones((10, 1), int), "single_eval_pos must have the shape (10,)"),
        ("num_features", np.arange(10), "num_features: record 0 must have 1..3, got 0 (and 6 more records)"),
        ("num_datapoints", [12] * 9 + [13], "num_datapoints: record 9 must have 2..12, got 13"),
        ("num_datapoints", [12] * 9 + [1], "num_datapoints: record 9 must have 2..12, got 1"),
        ("single_eval_pos", [3] * 8 + [0, 3], "single_eval_pos: record 8 must have 1.."),
        ("single_eval_pos", [3, -1] + [3] * 8, "single_eval_pos: record 1 must have 1.."),
        ("single_eval_pos", [3] * 6 + [12] + [3] * 3, "single_eval_pos: record 6 must have 1.."),
        ("num_features", np.full(10, 2**64 - 1, np.uint64), "num_features: record 0 must have 1..3"),
        ("max_num_classes", [0], "max_num_classes must be at least 1, got 0"),
        ("max_num_classes", [2, 2], "max_num_classes must have the shape (1,), got (2,)"),
        ("max_num_classes", "two", "max_num_classes must hold integers"),
        ("problem_type", "ranking", "problem_type must be classification or regression, got 'ranking'"),
        ("problem_type", 3, "problem_type must hold text"),
        ("original_batch_size", [0], "original_batch_size must be at least 1, got 0"),
    ],
)
def test_a_key_against_the_schema(written, key, data, message):
    replace_key(written, key, data)
    assert failure(written).startswith(message)


def test_a_split_beyond_the_own_rows_of_its_record(written):
    with h5py.File(written, "r+") as file:
        rows = MAX_ROWS - 2
        file["num_datapoints"][4] = file["single_eval_pos"][4] = rows
    assert failure(written) == f"single_eval_pos: record 4 must have 1..{rows - 1}, got {rows}"


def test_a_key_that_is_a_group(written):
    with h5py.File(written, "r+") as file:
        del file["y"]
        file.create_group("y")
    assert failure(written) == "y must be an array, got a group"


@pytest.mark.parametrize("key", ["X", "single_eval_pos", "max_num_classes"])
@pytest.mark.parametrize("kind", ["external", "soft", "dangling"])
def test_links_are_not_followed(written, tmp_path, key, kind):
    other = tmp_path / "other.h5"
    shutil.copy(written, other)
    with h5py.File(written, "r+") as file:
        file.move(key, "moved")
        file[key] = {
            "external": h5py.ExternalLink(str(other), f"/{key}"),
            "soft": h5py.SoftLink("/moved"),
            "dangling": h5py.SoftLink("/nowhere"),
        }[kind]
    assert failure(written) == f"{key} is a link; only what lies in the file itself is read"


def test_arrays_kept_in_other_files_are_not_read(written, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(np.ones(10, np.int32).tobytes())
    with h5py.File(written, "r+") as file:
        del file["num_features"]
        options = {"external": [(str(secret), 0, 40)]}
        file.create_dataset("num_features", (10,), np.int32, **options)
    assert failure(written).startswith("num_features is stored in other files")

    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["X"] = np.zeros((10, MAX_ROWS, MAX_FEATURES), np.float32)
    layout = h5py.VirtualLayout((10, MAX_ROWS, MAX_FEATURES), np.float32)
    layout[:] = h5py.VirtualSource(str(tmp_path / "source.h5"), "X", (10, MAX_ROWS, MAX_FEATURES))
    with h5py.File(written, "r+") as file:
        del file["X"]
        file.create_virtual_dataset("X", layout)
    assert failure(written).startswith("X is stored in other files")


def test_properties_of_other_files_or_kinds_are_left_out(written, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["values"] = np.zeros(10)
    with h5py.File(written, "r+") as file:
        file["properties/outside"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/values")
        file["properties/short"] = np.zeros(9)
        file["properties/complex"] = np.zeros(10, complex)
        file["properties/more/deep"] = np.zeros(10)
    with open_dump(written) as dump:
        assert sorted(dump.properties) == ["graph", "noise_scale", "num_nodes"]
    with h5py.File(written, "r+") as file:
        del file["properties"]
        file["properties"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/")
    with open_dump(written) as dump:
        assert dump.properties == ()


def test_an_array_that_was_declared_and_never_written(written):
    """A few bytes can announce any size; HDF5 would fill it with zeros."""
    size = 10**12
    with h5py.File(written, "r+") as file:
        for key, shape in [("X", (size, 2, 1)), ("y", (size, 2)), ("num_features", (size,))]:
            del file[key]
            chunks = (1000, *shape[1:])
            file.create_dataset(key, shape, np.int32, chunks=chunks)[:1] = 1
    assert failure(written) == "num_features was never written, or not to its end"
    replace_key(written, "y", None)
    with h5py.File(written, "r+") as file:
        file.create_dataset("y", (size, 2), np.int32, chunks=(1000, 2))
    assert failure(written) == "y was never written"


def test_a_newer_format(written):
    with h5py.File(written, "r+") as file:
        file.attrs["format_version"] = 2
    assert failure(written).startswith("format_version must be at most 1, got 2")


# ------------------------------------------------------------------------------------------------ damage


def flip_a_byte(path, key, chunk):
    with h5py.File(path) as file:
        info = file[key].id.get_chunk_info(chunk)
    data = bytearray(path.read_bytes())
    data[info.byte_offset + info.size // 2] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("key", ["X", "y"])
def test_a_damaged_chunk_is_named_when_it_is_read(written, key):
    flip_a_byte(written, key, 1)
    with open_dump(written) as dump:
        dump.read(0, 4)
        dump.read(8, 10)
        for start, stop, records in [
            (0, 10, "records 4 to 7"),
            (3, 10, "records 4 to 7"),
            (5, 7, "records 5 to 6"),
            (7, 8, "record 7"),
        ]:
            with pytest.raises(DumpError) as caught:
                dump.read(start, stop)
            assert str(caught.value).startswith(f"{written}: {key}: {records} cannot be read: ")
        with pytest.raises(DumpError, match="record 6 cannot be read"):
            dump.read_records([9, 6, 0])


def test_damage_to_the_structure_is_seen(written):
    """Every byte of the header of X is under a checksum."""
    data = written.read_bytes()
    with h5py.File(written) as file:
        header = h5py.h5o.get_info(file["X"].id).addr
    for offset in range(header, header + 100, 3):
        broken = bytearray(data)
        broken[offset] ^= 0xFF
        written.write_bytes(broken)
        failure(written)


def test_damaged_sizes_are_named_on_opening(written):
    flip_a_byte(written, "single_eval_pos", 0)
    assert failure(written).startswith("single_eval_pos cannot be read: ")


def test_a_damaged_property_is_named_when_it_is_read(written):
    flip_a_byte(written, "properties/graph", 0)
    with (
        open_dump(written) as dump,
        pytest.raises(DumpError, match="properties/graph: records 0 to 9 cannot"),
    ):
        dump.read_property("graph")
