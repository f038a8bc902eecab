"""Files that are refused when they are opened."""

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_dumps import (
    MAX_FEATURES,
    MAX_ROWS,
    failure,
    make_datasets,
    replace_key,
    write,
)

from priors.dumps.read import open_dump

PUBLISHED_LIKE = Path(__file__).parents[2] / "data" / "published_like.h5"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "10_12x3_2.h5"


@pytest.fixture
def written(path):
    write(path, make_datasets())
    return path


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
        ("max_num_classes", [0], "max_num_classes must be at least 1 and"),
        ("max_num_classes", [2, 2], "max_num_classes must have the shape (1,), got (2,)"),
        ("max_num_classes", "two", "max_num_classes must hold integers"),
        ("problem_type", "ranking", "problem_type must be classification or regression, got 'ranking'"),
        ("problem_type", 3, "problem_type must hold text"),
        ("max_num_classes", [13], "max_num_classes must be at least 1 and at most 12, the rows of a dataset"),
        ("max_num_classes", [2**62], "max_num_classes must be at least 1 and at most 12"),
        ("original_batch_size", [0], "original_batch_size must be at least 1"),
        ("original_batch_size", [2**62], "original_batch_size must be at least 1 and at most 16777216"),
        ("original_batch_size", np.array([2**64 - 1], np.uint64), "original_batch_size must be at least 1"),
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
        file["properties/wide"] = np.full(10, b"a", "S1025")
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
