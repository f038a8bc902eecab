"""What validate finds in a dump, and that verify tells a dump from what its config and seed give."""

import shutil

import h5py
import numpy as np
import pytest
from tiny_prior import TINY

from priors.dumps.hash import content_hash
from priors.dumps.read import open_dump
from priors.dumps.validate import numbered, validate
from priors.dumps.verify import verify
from priors.generation.generate import generate_dump


@pytest.fixture
def path(tiny_dump, tmp_path):
    return shutil.copy(tiny_dump, tmp_path / "tiny.h5")


def findings(path):
    """What validate finds, each in one line."""
    found = validate(path).findings
    assert all("\n" not in finding for finding in found)
    return found


def change(path, key, index, value):
    """Change one value, and record the hash of what is there now: the rules alone are to be broken."""
    with h5py.File(path, "r+") as file:
        file[key][index] = value
    rehash(path)


def rehash(path):
    with open_dump(path) as dump:
        content = content_hash(dump.path)
    with h5py.File(path, "r+") as file:
        file.attrs["content_hash"] = content


def replace_key(path, key, data):
    with h5py.File(path, "r+") as file:
        old = file[key][()] if key in file else None
        if old is not None:
            del file[key]
        if data is not None:
            file[key] = data(old) if callable(data) else data


def flip_a_byte(path, key, chunk):
    with h5py.File(path) as file:
        info = file[key].id.get_chunk_info(chunk)
    data = bytearray(path.read_bytes())
    data[info.byte_offset + info.size // 2] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ([77], "record 77"),
        ([3, 7, 12], "records 3, 7, 12"),
        ([12, 3, 7, 3], "records 3, 7, 12"),
        ([3, 4, 9], "records 3, 4, 9"),
        (range(32, 64), "records 32-63"),
        ([1, *range(32, 64), 99], "records 1, 32-63, 99"),
        (range(0, 200, 2), "records 0, 2, 4, 6, 8 and 95 more"),
        ([*range(10), *range(20, 40, 2)], "records 0-9, 20, 22, 24, 26 and 6 more"),
    ],
)
def test_record_numbers_are_a_text_of_bounded_length(records, text):
    assert numbered(records) == text


def test_a_dump_as_generated_is_all_right(tiny_dump):
    report = validate(tiny_dump)
    assert (report.findings, report.notes, report.num_datasets) == ([], [], 64)


def test_the_published_file_has_one_bad_record_and_no_provenance(published_like):
    report = validate(published_like)
    assert report.findings == ["X, y: cells that are not finite: record 77"]
    assert [note.split(":")[0].split(" in ")[0] for note in report.notes] == [
        "no checksums",
        "no content hash",
        "no provenance",
    ]


@pytest.mark.parametrize(
    ("key", "index", "value", "finding"),
    [
        ("X", (7, 3, 1), np.nan, "X, y: cells that are not finite: record 7"),
        ("X", (7, 3, 1), np.inf, "X, y: cells that are not finite: record 7"),
        ("y", (7, 3), np.nan, "X, y: cells that are not finite: record 7"),
        ("y", (7, 3), 2, "y: more than max_num_classes=2 classes: record 7"),
        ("y", (7, 3), 3, "y: labels that are not 0..K-1 without a gap: record 7"),
        ("y", (7, 3), 0.5, "y: labels that are not 0..K-1 without a gap: record 7"),
        ("y", (7, 3), -1, "y: labels that are not 0..K-1 without a gap: record 7"),
        ("y", (7, 3), 1e30, "y: labels that are not 0..K-1 without a gap: record 7"),
        ("y", (7, slice(None)), 1, "y: labels that are not 0..K-1 without a gap: record 7"),
        ("y", (7, slice(0, 14)), 0, "y: a class that no training row has: record 7"),
        ("single_eval_pos", 7, 24, "single_eval_pos: not in 1..num_datapoints - 1: record 7"),
        ("single_eval_pos", slice(8, 20), 0, "single_eval_pos: not in 1..num_datapoints - 1: records 8-19"),
        ("num_features", 7, 4, "num_features: not in 1..3: record 7"),
        ("num_datapoints", 7, 25, "num_datapoints: not in 2..24: record 7"),
        ("num_features", 7, 2, "X, y: padding that is not 0: record 7"),
        (
            "single_eval_pos",
            (slice(5, 7)),
            1,
            "original_batch_size: not the shape and split of the first of their block of 4: records 5, 6",
        ),
    ],
)
def test_each_rule(path, key, index, value, finding):
    with h5py.File(path, "r+") as file:
        file[key][index] = value
    if "not in" not in finding:
        rehash(path)
    found = findings(path)
    assert finding in found
    # A size that is wrong breaks other rules too; of the rest each is the only one.
    assert len(found) == 1 or key in ("num_features", "num_datapoints", "single_eval_pos", "y")


def test_rows_past_a_datasets_own_must_be_zero(path):
    with h5py.File(path, "r+") as file:
        file["num_datapoints"][8:12] = 23
    rehash(path)
    assert findings(path) == ["X, y: padding that is not 0: records 8-11"]
    with h5py.File(path, "r+") as file:
        file["X"][8:12, 23:] = 0
        file["y"][8:12, 23:] = 0
        file["X"][10, 23, 0] = np.nan
    rehash(path)
    assert findings(path) == ["X, y: padding that is not 0: record 10"]


def test_all_findings_are_reported_at_once(path):
    with h5py.File(path, "r+") as file:
        file["X"][3, 0, 0] = np.inf
        file["y"][12, 0] = 7
        file["y"][40, 0] = 9
        file["single_eval_pos"][20] = 0
    flip_a_byte(path, "X", 8)
    found = findings(path)
    assert found.pop(1).startswith("X: cannot be read (")
    assert found == [
        "single_eval_pos: not in 1..num_datapoints - 1: record 20",
        "X, y: cells that are not finite: record 3",
        "y: labels that are not 0..K-1 without a gap: records 12, 40",
        "y: more than max_num_classes=2 classes: records 12, 40",
        "original_batch_size: not the shape and split of the first of their block of 4: records 21-23",
    ]


def test_missing_values_are_right_where_they_are_allowed(path):
    with h5py.File(path, "r+") as file:
        file["X"][3, 0, 0] = np.nan
        file.attrs["allow_missing"] = True
    rehash(path)
    assert findings(path) == []
    change(path, "X", (3, 0, 0), np.inf)
    assert findings(path) == ["X, y: infinite cells: record 3"]


def test_regression_has_no_labels(path):
    with h5py.File(path, "r+") as file:
        del file["max_num_classes"]
        del file["problem_type"]
        file["y"][...] = np.random.default_rng(0).normal(size=file["y"].shape)
    rehash(path)
    assert findings(path) == []


@pytest.mark.parametrize(
    ("key", "data", "finding"),
    [
        ("X", lambda old: old.astype(np.float64), "X: must be float32, got float64"),
        ("X", lambda old: old.astype(">f4"), "X: must be float32, got >f4"),
        ("y", lambda old: old.astype(np.int64), "y: must be float32, got int64"),
        ("single_eval_pos", lambda old: old.astype(np.int64), "single_eval_pos: must be int32, got int64"),
        ("num_datapoints", None, "num_datapoints: is missing"),
        ("max_num_classes", lambda old: old.astype(np.int8), "max_num_classes: must be int64, got int8"),
    ],
)
def test_types_and_keys_that_a_reader_forgives(path, key, data, finding):
    replace_key(path, key, data)
    assert findings(path) == [finding]


def test_a_missing_number_of_classes(path):
    replace_key(path, "max_num_classes", None)
    assert "max_num_classes: is missing" in findings(path)


def test_what_cannot_be_opened_is_one_finding(path):
    replace_key(path, "y", None)
    [finding] = findings(path)
    assert finding.startswith("has no readable key 'y'")
    path.write_bytes(path.read_bytes()[:5000])
    [finding] = findings(path)
    assert finding.startswith("is not a whole HDF5 file: ")


@pytest.mark.parametrize(("key", "records"), [("y", "8-11"), ("properties/graph", "0-63")])
def test_a_damaged_chunk_is_named(path, key, records):
    flip_a_byte(path, key, 2 if key == "y" else 0)
    [finding] = findings(path)
    assert finding.startswith(f"{key}: cannot be read (")
    assert finding.endswith(f": records {records}")


@pytest.mark.parametrize("key", ["max_num_classes", "original_batch_size", "single_eval_pos"])
def test_every_number_is_under_a_checksum(path, key):
    flip_a_byte(path, key, 0)
    [finding] = findings(path)
    assert finding.startswith(f"{key} cannot be read: ")


def test_a_value_that_was_changed_is_seen_by_the_content_hash(path):
    with h5py.File(path, "r+") as file:
        file["X"][9, 3, 1] += 1  # a new checksum with it
    assert findings(path) == ["content_hash: the contents are not those that were written"]
    assert verify(path, 1).findings == ["content_hash: the contents are not those that were written"]


@pytest.mark.parametrize(
    ("name", "value", "finding"),
    [
        ("config", "{", "provenance: config is not JSON"),
        ("config", "[]", "provenance: config must be a JSON object"),
        ("config", "[" * 100_000, "provenance: config is not JSON"),
        ("config", '{"rows": 3}', "provenance: rows: "),
        ("config", '{"num_datapoints": 1}', "provenance: num_datapoints: "),
        ("seed", "first", "provenance: invalid literal for int()"),
        ("seed", "-1", "provenance: seed must be in 0..2**128-1, got -1"),
        ("seed", None, "provenance: seed missing"),
        ("generator", None, "provenance: generator missing"),
        ("first_dataset", -4, "provenance: first_dataset must be an int from 0 to 2**62, got -4"),
        (
            "first_dataset",
            2**62,
            "provenance: first_dataset must be an int from 0 to 2**62, got 4611686018427387904",
        ),
        ("sources", "[1]", "provenance: sources is not a JSON list of objects"),
        ("sources", "[{}]", "provenance: sources lacks a hash"),
    ],
)
def test_provenance_that_cannot_be_used(path, name, value, finding):
    with h5py.File(path, "r+") as file:
        if value is None:
            del file.attrs[name]
        else:
            file.attrs[name] = value
    [found] = findings(path)
    assert found.startswith(finding)


def test_a_renamed_split_is_a_note(path):
    with h5py.File(path, "r+") as file:
        file.move("single_eval_pos", "train_test_split_index")
    report = validate(path)
    assert report.findings == []
    assert report.notes == [
        "the split is called train_test_split_index; the published loader needs single_eval_pos"
    ]


# ------------------------------------------------------------------------------------- an index of shards


def test_an_index_of_shards_is_checked_like_one_file(tmp_path):
    path = tmp_path / "index.h5"
    generate_dump(path, TINY, 24, seed=0, shard_size=8, keep_shards=True)
    assert (validate(path).findings, validate(path).notes) == ([], [])
    assert verify(path, 24).findings == []
    shards = sorted((tmp_path / "index.h5.shards").glob("*.h5"))
    assert verify(shards[1], 8).findings == []
    flip_a_byte(shards[1], "X", 1)
    [finding] = findings(path)
    assert finding.startswith("X: cannot be read (")
    assert finding.endswith("records 12-15")
    assert verify(path, 1).findings[0].startswith("X: record")
    shards[2].unlink()
    [finding] = findings(path)
    assert finding == f"its shard {shards[2]} is not there"
