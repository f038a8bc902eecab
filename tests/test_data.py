"""Loaders: what a batch holds, the order, damaged records, dump and live prior alike."""

from dataclasses import replace
from itertools import islice

import h5py
import numpy as np
import pytest
import torch
from conftest import TINY, write

from nanotabpfn.data import PriorDataLoader, PriorDumpDataLoader
from priors.dump import DumpError, open_dump


def assert_equal_batches(left, right):
    assert left.keys() == right.keys()
    for key, value in left.items():
        if torch.is_tensor(value):
            assert torch.equal(value, right[key]), key
        else:
            assert value == right[key], key


def test_without_a_seed_batches_are_the_datasets_of_the_file_in_order(tiny_dump):
    loader = PriorDumpDataLoader(tiny_dump, num_steps=16, batch_size=4, device="cpu")
    batches = list(loader)
    assert len(loader) == len(batches) == 16
    with open_dump(tiny_dump) as dump:
        x, y = dump.read(0, 64)
        splits = dump.single_eval_pos
    for number, batch in enumerate(batches):
        own = slice(4 * number, 4 * number + 4)
        assert batch["datasets"] == list(range(own.start, own.stop))
        np.testing.assert_array_equal(batch["x"], x[own])
        np.testing.assert_array_equal(batch["y"], y[own])
        assert batch["x"].dtype == batch["y"].dtype == torch.float32
        assert batch["train_test_split_index"] == splits[own.start]


def test_it_begins_again_when_the_dump_ends_and_goes_on_when_iterated_again(tiny_dump):
    loader = PriorDumpDataLoader(tiny_dump, num_steps=10, batch_size=4, device="cpu")
    seen = [index for batch in [*loader, *loader] for index in batch["datasets"]]
    assert seen == [*range(64), *range(16)]


def test_a_seed_shuffles_anew_in_each_pass_and_differently_for_each_seed(tiny_dump):
    def order(seed):
        loader = PriorDumpDataLoader(tiny_dump, 32, 4, "cpu", seed)
        return [index for batch in loader for index in batch["datasets"]]

    first = order(0)
    assert sorted(first[:64]) == sorted(first[64:]) == list(range(64))
    assert first[:64] != first[64:]
    assert first == order(0) != order(1)


@pytest.mark.parametrize("batch_size", [1, 3, 5, 32])
def test_every_batch_is_full_and_of_one_split_whatever_its_size(tiny_dump, batch_size):
    with open_dump(tiny_dump) as dump:
        splits = dump.single_eval_pos
    for batch in PriorDumpDataLoader(tiny_dump, 12, batch_size, "cpu"):
        assert len(batch["x"]) == len(batch["y"]) == len(batch["datasets"]) == batch_size
        assert {int(splits[index]) for index in batch["datasets"]} == {batch["train_test_split_index"]}


def test_padding_never_reaches_a_batch(tmp_path):
    config = replace(TINY, num_features=(1, 4), num_nodes=(6, 8))
    path = write(tmp_path / "mixed.h5", config, 64)
    with h5py.File(path, "r+") as file:  # rubbish where the padding is
        x, num_features = file["X"][:], file["num_features"][:]
        x[np.arange(4) >= np.broadcast_to(num_features[:, None, None], x.shape)] = np.nan
        file["X"][:] = x
    loader = PriorDumpDataLoader(path, 16, 4, "cpu")
    for batch in loader:
        assert {batch["x"].shape[2]} == set(num_features[batch["datasets"]].tolist())
        assert torch.isfinite(batch["x"]).all()
    assert loader.num_skipped == 0


def test_rows_past_a_datasets_own_are_cut(tmp_path, tiny_dump):
    path = tmp_path / "short.h5"
    path.write_bytes(tiny_dump.read_bytes())
    with h5py.File(path, "r+") as file:
        file["num_datapoints"][:4] = 20
    batch = next(iter(PriorDumpDataLoader(path, 1, 4, "cpu")))
    assert batch["x"].shape == (4, 20, 3)
    assert batch["y"].shape == (4, 20)


def test_the_published_layout_is_read_and_its_damaged_record_skipped_and_counted(published_like):
    loader = PriorDumpDataLoader(published_like, num_steps=40, batch_size=16, device="cpu")
    assert loader.max_num_classes == 2
    seen = [index for batch in loader for index in batch["datasets"]]
    assert len(seen) == 640
    assert 77 not in seen
    assert loader.num_skipped == 1


def test_a_dump_of_damaged_records_alone_is_an_error_and_no_endless_loop(tmp_path, tiny_dump):
    path = tmp_path / "damaged.h5"
    path.write_bytes(tiny_dump.read_bytes())
    with h5py.File(path, "r+") as file:
        file["X"][:, 0, 0] = np.inf
    with pytest.raises(DumpError, match=r"damaged\.h5: every record"):
        list(PriorDumpDataLoader(path, 1, 4, "cpu"))


@pytest.mark.parametrize("label", [-100.0, 2.0, 0.5])
def test_labels_that_are_no_class_are_an_error_naming_the_record(tmp_path, tiny_dump, label):
    path = tmp_path / "labels.h5"
    path.write_bytes(tiny_dump.read_bytes())
    with h5py.File(path, "r+") as file:
        file["y"][5, 3] = label
    with pytest.raises(DumpError, match=r"labels\.h5: y: record 5 .* not 0 to 1"):
        list(PriorDumpDataLoader(path, 2, 4, "cpu"))


def test_a_regression_dump_is_an_error(tmp_path, tiny_dump):
    path = tmp_path / "regression.h5"
    path.write_bytes(tiny_dump.read_bytes())
    with h5py.File(path, "r+") as file:
        del file["max_num_classes"]
        del file["problem_type"]
    with pytest.raises(DumpError, match="no max_num_classes"):
        PriorDumpDataLoader(path, 1, 4, "cpu")


@pytest.mark.parametrize("batch_size", [4, 6])
def test_the_live_prior_gives_the_batches_of_its_dump(tmp_path, batch_size):
    config = replace(TINY, num_features=(2, 4), num_nodes=(6, 8), train_fraction=(0.5, 0.55))
    path = write(tmp_path / "dump.h5", config, 400, seed=7)
    from_dump = PriorDumpDataLoader(path, 20, batch_size, "cpu")
    live = PriorDataLoader(config, 20, batch_size, "cpu", seed=7)
    assert live.max_num_classes == from_dump.max_num_classes
    assert len(live) == 20
    for left, right in zip(from_dump, live, strict=True):
        assert_equal_batches(left, right)


def test_iterating_the_live_prior_again_goes_on():
    def first(loader, count):
        return list(islice(loader, count))

    whole = first(PriorDataLoader(TINY, 6, 4, "cpu", seed=1), 6)
    halves = PriorDataLoader(TINY, 3, 4, "cpu", seed=1)
    for left, right in zip(whole, [*halves, *halves], strict=True):
        assert_equal_batches(left, right)


@pytest.mark.parametrize(("num_steps", "batch_size", "name"), [(0, 4, "num_steps"), (1, 0, "batch_size")])
def test_sizes_below_one_are_errors(tiny_dump, num_steps, batch_size, name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        PriorDumpDataLoader(tiny_dump, num_steps, batch_size, "cpu")
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        PriorDataLoader(TINY, num_steps, batch_size, "cpu")
