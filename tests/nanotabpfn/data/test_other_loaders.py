"""Dumps for other programs and from them: their loaders' reading logic finds our datasets, and we theirs."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from batches import changed, damage, write_foreign_dump
from commands import assert_refused, run_nanotabpfn
from other_loaders import (
    playground_batches,
    published_batches,
    tabicl_batches,
    write_playground_dump,
)
from tiny_prior import TINY

from nanotabpfn import PriorDumpDataLoader, write_tabicl_batches
from priors import convert, generate_dump, merge_dumps, open_dump
from priors.dumps.schema import DumpError
from priors.dumps.validate import validate


@pytest.fixture(scope="module")
def varied(tmp_path_factory):
    """32 datasets of 24 rows, 2 to 4 features and 2 to 3 classes, in blocks of 4."""
    path = tmp_path_factory.mktemp("dumps") / "varied.h5"
    generate_dump(path, replace(TINY, num_features=(2, 4), num_classes=(2, 3)), 32, seed=0)
    return path


def assert_same_datasets(batches, path, batch_size):
    """Each batch (x, y, split) holds `batch_size` datasets of the dump, in its order from its start on."""
    with open_dump(path) as dump:
        for number, (x, y, split) in enumerate(batches):
            assert x.dtype == y.dtype == torch.float32
            assert len(x) == batch_size
            for position in range(batch_size):
                dataset = dump[(number * batch_size + position) % len(dump)]
                rows, features = dataset.x.shape
                np.testing.assert_array_equal(x[position, :rows, :features], dataset.x)
                np.testing.assert_array_equal(y[position, :rows], dataset.y)
                assert split == dataset.single_eval_pos


# -------------------------------------------------------------------------------------- nanoTabPFN's loader


@pytest.mark.parametrize("layout", ["ours", "published"])
def test_the_published_loader_trains_on_our_dumps(varied, tmp_path, layout):
    convert(varied, tmp_path / "for.h5", layout)
    for path in (varied, tmp_path / "for.h5"):
        assert_same_datasets(published_batches(path, num_steps=10, batch_size=4), varied, 4)


# ---------------------------------------------------------------------------------- TFM-Playground's loader


@pytest.mark.parametrize("layout", ["ours", "tfm-playground"])
@pytest.mark.parametrize("problem", ["classification", "regression"])
def test_the_playground_trains_on_our_dumps(tmp_path, layout, problem):
    config = replace(TINY, num_features=(2, 4), problem_type=problem)
    generate_dump(tmp_path / "mine.h5", config, 16, seed=0)
    convert(tmp_path / "mine.h5", tmp_path / "for.h5", layout)
    for path in (tmp_path / "mine.h5", tmp_path / "for.h5"):
        found = playground_batches(path, num_steps=6, batch_size=4)
        assert next(found) == problem
        assert_same_datasets(found, tmp_path / "mine.h5", 4)


def test_the_layout_of_the_playground_has_its_keys_and_types(varied, tmp_path):
    convert(varied, tmp_path / "ours.h5", "tfm-playground")
    batches = [(np.zeros((4, 5, 2), "f4"), np.zeros((4, 5), "f4"), 3)]
    write_playground_dump(tmp_path / "theirs.h5", batches, max_num_classes=2)
    with h5py.File(tmp_path / "ours.h5") as ours, h5py.File(tmp_path / "theirs.h5") as theirs:
        assert set(ours) == set(theirs)
        for name in ours:
            assert ours[name].dtype == theirs[name].dtype, name
            assert ours[name].ndim == theirs[name].ndim, name
        assert ours["X"].chunks[0] == ours["original_batch_size"][0] == 4


@pytest.mark.parametrize("split_key", ["train_test_split_index", "single_eval_pos"])
@pytest.mark.parametrize("max_num_classes", [3, None])
def test_a_dump_of_the_playground_is_read_trained_on_and_converted(tmp_path, split_key, max_num_classes):
    path, rng = tmp_path / "theirs.h5", np.random.default_rng(0)
    batches = []
    for rows, features, split in [(12, 3, 7), (9, 2, 4), (12, 4, 10)]:
        y = np.tile(np.arange(rows) % 3, (4, 1))
        y = y if max_num_classes else rng.normal(size=y.shape)
        batches.append((rng.normal(size=(4, rows, features)).astype("f4"), y.astype("f4"), split))
    write_playground_dump(path, batches, max_num_classes, split_key)
    with open_dump(path) as dump:
        assert (len(dump), dump.block_size, dump.max_num_classes) == (12, 4, max_num_classes)
        assert dump.problem_type == ("regression" if max_num_classes is None else "classification")
        assert dump.unknown_keys == ()
    assert validate(path).findings == []
    convert(path, tmp_path / "ours.h5")
    for file in (path, tmp_path / "ours.h5"):
        loader = PriorDumpDataLoader(file, num_steps=3, batch_size=4, device="cpu")
        for (x, y, split), found in zip(batches, loader, strict=True):
            np.testing.assert_array_equal(found["x"], x)
            np.testing.assert_array_equal(found["y"], y)
            assert found["train_test_split_index"] == split
    convert(tmp_path / "ours.h5", tmp_path / "back.h5", "tfm-playground")
    with h5py.File(path) as theirs, h5py.File(tmp_path / "back.h5") as back:
        assert set(back) == set(theirs) - {split_key} | {"train_test_split_index"}
        np.testing.assert_array_equal(back["X"], theirs["X"])
        np.testing.assert_array_equal(back["train_test_split_index"], theirs[split_key])


@pytest.mark.parametrize(
    ("y", "split", "message"),
    [
        ([0, 1, 2, 0, 1, 0], 6, "train_test_split_index: record 0 must have 1..5, got 6"),
        ([0, 1, -100, 0, 1, 0], 3, "y: record 0 has labels that are not 0 to 2"),
    ],
)
def test_a_split_and_labels_that_cannot_be_are_said_by_record(tmp_path, y, split, message):
    batch = np.ones((2, 6, 2), "f4"), np.array([y, y], "f4"), split
    write_playground_dump(tmp_path / "theirs.h5", [batch], max_num_classes=3)
    with pytest.raises(DumpError, match=r"theirs\.h5: ") as caught:
        list(PriorDumpDataLoader(tmp_path / "theirs.h5", num_steps=1, batch_size=2, device="cpu"))
    assert message in str(caught.value)


# ------------------------------------------------------------------------------------------ TabICL's loader


def assert_same_batches(folder, num_files, path, batch_size):
    with open_dump(path) as dump:
        found = list(tabicl_batches(folder, num_files))
        for number, (x, y, widths, lengths, splits) in enumerate(found):
            assert x.dtype == y.dtype == torch.float32
            assert widths.dtype == lengths.dtype == splits.dtype == torch.int64
            assert len(x) == len(y) == len(widths) == len(lengths) == len(splits) == batch_size
            for position in range(batch_size):
                dataset = dump[number * batch_size + position]
                rows, features = dataset.x.shape
                assert (lengths[position], widths[position]) == (rows, features)
                assert splits[position] == dataset.single_eval_pos
                np.testing.assert_array_equal(x[position, :rows, :features], dataset.x)
                np.testing.assert_array_equal(y[position, :rows], dataset.y)
                assert not x[position, :, features:].any()


def test_tabicl_reads_what_we_write(varied, tmp_path):
    written = write_tabicl_batches(varied, tmp_path / "batches", batch_size=12)
    assert written == (tmp_path / "batches", 2, 12, 4, 8, 0)
    assert sorted(file.name for file in written.folder.iterdir()) == [
        "batch_000000.pt",
        "batch_000001.pt",
        "metadata.json",
    ]
    assert_same_batches(written.folder, 2, varied, 12)
    batch = torch.load(written.folder / "batch_000000.pt", weights_only=True)
    assert batch.keys() == {"X", "y", "d", "seq_lens", "train_sizes", "batch_size"}
    assert batch["X"].shape == ((batch["d"] * batch["seq_lens"]).sum(),)
    assert type(batch["batch_size"]) is int
    metadata = json.loads((written.folder / "metadata.json").read_text())
    assert (metadata["regression"], metadata["batch_size"], metadata["max_classes"]) == (False, 12, 3)
    assert (metadata["min_features"], metadata["max_features"], metadata["max_seq_len"]) == (2, 4, 24)
    with open_dump(varied) as dump:
        assert metadata["source"]["content_hash"] == dump.attributes["content_hash"]
        # What TabICL checks of each of its micro-batches.
        for start in range(0, 24, written.micro_batch_size):
            assert len({*dump.single_eval_pos[start : start + written.micro_batch_size]}) == 1


def test_datasets_of_other_rows_are_nested(varied, tmp_path):
    generate_dump(tmp_path / "short.h5", replace(TINY, num_datapoints=20), 32, seed=1)
    merge_dumps([varied, tmp_path / "short.h5"], tmp_path / "both.h5")
    write_tabicl_batches(tmp_path / "both.h5", tmp_path / "batches", batch_size=64)
    assert torch.load(tmp_path / "batches" / "batch_000000.pt", weights_only=True)["X"].is_nested
    assert_same_batches(tmp_path / "batches", 1, tmp_path / "both.h5", 64)
    assert json.loads((tmp_path / "batches" / "metadata.json").read_text())["seq_len_per_gp"] is True


def test_targets_of_regression_are_written_as_they_are(tmp_path):
    generate_dump(tmp_path / "real.h5", replace(TINY, problem_type="regression"), 8, seed=0)
    write_tabicl_batches(tmp_path / "real.h5", tmp_path / "batches", batch_size=8)
    assert_same_batches(tmp_path / "batches", 1, tmp_path / "real.h5", 8)
    assert json.loads((tmp_path / "batches" / "metadata.json").read_text())["regression"] is True


def test_a_damaged_dataset_is_replaced_by_the_next_of_its_block(varied, tmp_path):
    bad = changed(tmp_path / "bad.h5", varied, damage([5]))
    with h5py.File(bad, "r+") as file:
        del file.attrs["content_hash"]
    assert write_tabicl_batches(bad, tmp_path / "batches", batch_size=8).num_damaged == 1
    [(x, *_)] = tabicl_batches(tmp_path / "batches", 1)
    assert torch.equal(x[5], x[6])
    assert x.isfinite().all()


def test_padding_of_another_writer_is_left_out(tmp_path):
    path, datasets = write_foreign_dump(tmp_path / "foreign.h5")
    written = write_tabicl_batches(path, tmp_path / "batches", batch_size=40)
    assert written.micro_batch_size == 1
    [(x, y, widths, lengths, _)] = tabicl_batches(tmp_path / "batches", 1)
    for number, (expected_x, expected_y, _) in enumerate(datasets):
        np.testing.assert_array_equal(x[number, : lengths[number], : widths[number]], expected_x)
        np.testing.assert_array_equal(y[number, : lengths[number]], expected_y)


def test_what_tabicl_cannot_train_on_is_refused_and_leaves_nothing(tiny_dump, tmp_path):
    missing = replace(TINY, missing_fraction=(0.3, 0.3))
    generate_dump(tmp_path / "missing.h5", missing, 8, seed=0)
    with pytest.raises(DumpError, match=r"missing\.h5: record \d has missing cells"):
        write_tabicl_batches(tmp_path / "missing.h5", tmp_path / "batches", batch_size=8)
    with pytest.raises(ValueError, match=r"batch_size must be in 1\.\.64, the datasets of .*, got 0"):
        write_tabicl_batches(tiny_dump, tmp_path / "batches", batch_size=0)
    with pytest.raises(DumpError, match="there is no folder"):
        write_tabicl_batches(tiny_dump, tmp_path / "absent" / "batches", batch_size=8)
    assert [file.name for file in tmp_path.iterdir()] == ["missing.h5"]


def test_a_full_disk_is_one_line_and_leaves_nothing(tiny_dump, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DumpError, match="batches: cannot be written: No space left on device"):
        write_tabicl_batches(tiny_dump, tmp_path / "batches", batch_size=8)
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_how_to_train_and_keeps_what_is_there(tiny_dump, tmp_path):
    result = run_nanotabpfn("convert", tiny_dump, tmp_path / "batches", "--batch-size", 24)
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        f"{tmp_path}/batches: 2 files of 24 datasets, 16 datasets at the end left out; train TabICL with "
        f"--prior_dir {tmp_path}/batches --batch_size 24 and a --micro_batch_size that divides 4\n"
    )
    again = run_nanotabpfn("convert", tiny_dump, tmp_path / "batches", "--batch-size", 24)
    assert_refused(again, "must be a folder that does not exist, or is empty")
    assert_refused(
        run_nanotabpfn("convert", tiny_dump, tmp_path / "more"), "--batch-size", "must be at most 64"
    )
    assert_same_batches(tmp_path / "batches", 2, tiny_dump, 24)
