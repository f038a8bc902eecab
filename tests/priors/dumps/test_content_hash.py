"""The content hash: of the values alone, whatever their storage."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_dumps import BLOCK, CONFIG, MAX_FEATURES, MAX_ROWS, make_datasets, read_all, write, write_datasets

from priors.dumps.hash import content_hash

PUBLISHED_LIKE = Path(__file__).parents[2] / "data" / "published_like.h5"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "10_12x3_2.h5"


@pytest.fixture
def written(path):
    write(path, make_datasets())
    return path


@given(st.data())
@settings(max_examples=15)
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
    fed = write_datasets(folder / "a.h5", blocks, block_size=BLOCK, **arguments)
    whole = write_datasets(folder / "b.h5", (b for b in [datasets]), block_size=2, **arguments)
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
