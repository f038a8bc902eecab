"""A dump as PyTorch's datasets: the same tables, in the same order, whatever the workers."""

import pickle
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from tiny_prior import TINY
from torch.utils.data import DataLoader

from nanotabpfn.data.torch_datasets import DumpBatches, DumpDataset
from priors.dumps.read import open_dump
from priors.dumps.schema import DumpError
from priors.generation.generate import generate_dump


@pytest.fixture(scope="module")
def varied(tmp_path_factory):
    """30 datasets of 2 to 4 features in blocks of 4; the last block has 2."""
    path = tmp_path_factory.mktemp("varied") / "varied.h5"
    generate_dump(path, replace(TINY, num_features=(2, 4)), 30, seed=0)
    return path


def batches_of(view, **options):
    return list(DataLoader(view, **options))


def test_items_are_the_datasets_of_the_file(varied):
    datasets = DumpDataset(varied)
    assert len(datasets) == 30
    with open_dump(varied) as dump:
        for number in (0, 7, -1):
            found, expected = datasets[number], dump[number]
            assert np.array_equal(found.x, expected.x)
            assert np.array_equal(found.y, expected.y)
            assert found.single_eval_pos == expected.single_eval_pos
    assert datasets[-1].index == 29
    with pytest.raises(IndexError, match=r"index must be in -30\.\.29, .* got 30"):
        datasets[30]


def test_batches_of_datasets_that_differ_come_in_parts(varied):
    batches = batches_of(DumpDataset(varied), batch_size=6, collate_fn=DumpDataset.collate)
    numbers = [number for batch in batches for number in batch["datasets"]]
    assert numbers == list(range(30))
    parts = [part for batch in batches for part in batch.get("parts", [batch])]
    assert len(parts) > len(batches)
    with open_dump(varied) as dump:
        for part in parts:
            for number, x in zip(part["datasets"], part["x"], strict=True):
                assert np.array_equal(x.numpy(), dump[number].x)
                assert part["train_test_split_index"] == dump[number].single_eval_pos


def test_blocks_are_batches(varied):
    batches = batches_of(DumpBatches(varied), batch_size=None)
    assert len(batches) == len(DumpBatches(varied)) == 8
    assert [len(batch["x"]) for batch in batches] == [4] * 7 + [2]
    with open_dump(varied) as dump:
        for batch in batches:
            assert batch["x"].dtype == torch.float32
            for number, x, y in zip(batch["datasets"], batch["x"], batch["y"], strict=True):
                assert np.array_equal(x.numpy(), dump[number].x)
                assert np.array_equal(y.numpy(), dump[number].y)
                assert batch["train_test_split_index"] == dump[number].single_eval_pos


def numbers_of(batches):
    return [batch["datasets"] for batch in batches]


@pytest.mark.filterwarnings("default")  # of forking, on some versions of Python
def test_workers_share_the_blocks_and_keep_their_order(varied):
    view = DumpBatches(varied, shuffle=True, seed=3)
    alone = numbers_of(batches_of(view, batch_size=None))
    assert numbers_of(batches_of(view, batch_size=None, num_workers=2)) == alone
    datasets = DumpDataset(varied)
    datasets[0]  # opens the file here, which workers must not use
    found = batches_of(datasets, batch_size=4, num_workers=2, collate_fn=DumpDataset.collate)
    assert numbers_of(found) == [list(range(start, min(start + 4, 30))) for start in range(0, 30, 4)]


def test_the_order_depends_on_seed_and_epoch(varied):
    view = DumpBatches(varied, shuffle=True, seed=3)
    first = numbers_of(view)
    assert numbers_of(view) == first
    assert sorted(number for block in first for number in block) == list(range(30))
    assert numbers_of(DumpBatches(varied, shuffle=True, seed=4)) != first
    view.epoch = 1
    assert numbers_of(view) != first
    assert numbers_of(DumpBatches(varied)) != first


def test_workers_that_are_kept_follow_the_epoch(varied):
    view = DumpBatches(varied, shuffle=True, seed=3)
    loader = DataLoader(view, batch_size=None, num_workers=1, persistent_workers=True)
    for epoch in range(3):
        view.epoch = epoch
        alone = numbers_of(view)
        assert numbers_of(loader) == alone
    assert alone != numbers_of(DumpBatches(varied, shuffle=True, seed=3))


def test_the_first_datasets_alone(varied):
    assert len(DumpDataset(varied, num_datasets=5)) == 5
    assert numbers_of(DumpBatches(varied, num_datasets=6)) == [[0, 1, 2, 3], [4, 5]]
    for wrong in (0, 31):
        with pytest.raises(ValueError, match=rf"num_datasets must be in 1\.\.30, .* got {wrong}"):
            DumpDataset(varied, num_datasets=wrong)


def test_a_view_can_be_sent_to_a_process(varied):
    datasets = DumpDataset(varied)
    datasets[0]
    assert pickle.loads(pickle.dumps(datasets))[3].index == 3


def test_a_damaged_record_is_replaced_and_a_damaged_file_is_an_error(tmp_path, varied, published_like):
    batches = numbers_of(DumpBatches(published_like, num_datasets=96))
    assert batches[2].count(78) == 2  # 77 is damaged
    (tmp_path / "wrong.h5").write_bytes(varied.read_bytes())
    with h5py.File(tmp_path / "wrong.h5", "r+") as file:
        file["y"][3, 0] = 7
    with pytest.raises(DumpError, match="record 3 has labels"):
        DumpDataset(tmp_path / "wrong.h5")[3]
