"""The loader of a dump: its batches, their order, padding, damaged records, the trained range."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from batches import assert_equal_batches, changed, damage, order, parts_of, write_foreign_dump
from tiny_prior import TINY

from nanotabpfn.data.loaders import PriorDataLoader, PriorDumpDataLoader
from nanotabpfn.data.mixture import MixedDataLoader
from nanotabpfn.model.architecture import TrainedRange
from priors.dumps.read import open_dump
from priors.dumps.schema import DumpError
from priors.generation.generate import generate_dump


@pytest.fixture(scope="module")
def foreign_dump(tmp_path_factory):
    return write_foreign_dump(tmp_path_factory.mktemp("dumps") / "foreign.h5")


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
    first, again, other = (order(PriorDumpDataLoader(tiny_dump, 32, 4, "cpu", seed)) for seed in (0, 0, 1))
    assert sorted(first[:64]) == sorted(first[64:]) == list(range(64))
    assert first[:64] != first[64:]
    assert first == again != other


def test_batches_smaller_than_a_block_are_shuffled_by_themselves(tiny_dump):
    batches = np.array([batch["datasets"] for batch in PriorDumpDataLoader(tiny_dump, 32, 2, "cpu", seed=0)])
    assert sorted(batches[:, 0]) == list(range(0, 64, 2))
    np.testing.assert_array_equal(batches[:, 1], batches[:, 0] + 1)
    halves_of_a_block_in_a_row = np.count_nonzero(batches[1:, 0] // 4 == batches[:-1, 0] // 4)
    assert halves_of_a_block_in_a_row < 8


def test_batches_larger_than_a_block_are_of_blocks_from_anywhere(tiny_dump):
    batches = np.array([batch["datasets"] for batch in PriorDumpDataLoader(tiny_dump, 8, 8, "cpu", seed=0)])
    blocks = batches.reshape(16, 4)
    np.testing.assert_array_equal(blocks, blocks[:, :1] + np.arange(4))
    assert sorted(blocks[:, 0]) == list(range(0, 64, 4))
    assert np.count_nonzero(batches[:, 4] - batches[:, 0] == 4) < 4


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 5, 32, 100])
@pytest.mark.parametrize("seed", [None, 0])
def test_every_batch_is_full_whatever_its_size(tiny_dump, batch_size, seed):
    with open_dump(tiny_dump) as dump:
        splits = dump.single_eval_pos
    for batch in PriorDumpDataLoader(tiny_dump, 20, batch_size, "cpu", seed):
        parts = parts_of(batch)
        assert sum(len(part["x"]) for part in parts) == len(batch["datasets"]) == batch_size
        assert batch["datasets"] == [index for part in parts for index in part["datasets"]]
        for part in parts:
            assert len(part["x"]) == len(part["y"]) == len(part["datasets"])
            assert {int(splits[index]) for index in part["datasets"]} == {part["train_test_split_index"]}
        if 4 % batch_size == 0:
            assert "parts" not in batch


def test_a_pass_whose_end_leaves_a_batch_open_is_filled_up_and_the_next_one_is_aligned(tmp_path):
    path = tmp_path / "tail.h5"
    generate_dump(path, TINY, 18, seed=0)  # four blocks of 4, and 2 datasets
    assert order(PriorDumpDataLoader(path, 6, 4, "cpu")) == [*range(18), 0, 1, *range(4)]
    batches = list(PriorDumpDataLoader(path, 10, 4, "cpu", seed=0))
    for first in (0, 5):
        assert sorted(order(batches[first : first + 4])) == list(range(16))
        assert not any("parts" in batch for batch in batches[first : first + 4])
        assert batches[first + 4]["datasets"][:2] == [16, 17]
    assert batches[4]["datasets"][2:] == batches[5]["datasets"][:2]
    twice_over = order(PriorDumpDataLoader(path, 1, 40, "cpu"))
    assert sorted(twice_over) == sorted([*range(18), *range(18), 0, 1, 2, 3])


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_datasets_that_all_differ_come_in_parts_without_their_padding(foreign_dump, batch_size):
    path, datasets = foreign_dump
    seen = []
    for batch in PriorDumpDataLoader(path, 12, batch_size, "cpu"):
        assert len(batch["datasets"]) == batch_size
        for part in parts_of(batch):
            for x, y, index in zip(part["x"], part["y"], part["datasets"], strict=True):
                expected_x, expected_y, split = datasets[index]
                np.testing.assert_array_equal(x, expected_x)
                np.testing.assert_array_equal(y, expected_y)
                assert part["train_test_split_index"] == split
        seen.append(sorted(batch["datasets"]))
    assert seen[0] == sorted(index % 40 for index in range(batch_size))


def test_a_mixed_batch_says_so_where_a_uniform_one_is_expected(tiny_dump):
    batch = next(iter(PriorDumpDataLoader(tiny_dump, 1, 6, "cpu")))
    with pytest.raises(KeyError, match=r"x: the datasets of this batch differ .* `parts`"):
        batch["x"]


def test_padding_never_reaches_a_batch(tmp_path):
    config = replace(TINY, num_features=(1, 4), num_nodes=(6, 8))
    path = tmp_path / "mixed.h5"
    generate_dump(path, config, 64, seed=0)
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
    seen = order(loader)
    assert seen == [*range(77), 78, *range(78, 640)]
    assert loader.num_skipped == 1


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize(
    ("damaged", "substitutes"),
    [
        ([9], {9: 10}),
        ([11], {11: 8}),  # the last of its block: the first of the block
        ([8, 10, 11], {8: 9, 10: 9, 11: 9}),
        ([8, 9, 10, 11], dict.fromkeys([8, 9, 10, 11], 12)),  # all of its block: the next one
        ([60, 61, 62, 63, 0], {0: 1} | dict.fromkeys([60, 61, 62, 63], 1)),
    ],
)
def test_a_damaged_records_place_is_taken_and_no_batch_is_shifted_or_mixed(
    tmp_path, tiny_dump, damaged, substitutes, seed
):
    path = changed(tmp_path / "damaged.h5", tiny_dump, damage(sorted(damaged)))
    loader = PriorDumpDataLoader(path, 32, 4, "cpu", seed)
    batches = list(loader)
    sound = order(PriorDumpDataLoader(tiny_dump, 32, 4, "cpu", seed))
    assert order(batches) == [substitutes.get(index, index) for index in sound]
    assert not any("parts" in batch for batch in batches)
    assert all(torch.isfinite(batch["x"]).all() for batch in batches)
    assert loader.num_skipped == len(damaged)


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


def test_a_classification_dump_that_does_not_tell_its_classes_is_an_error(tmp_path, tiny_dump):
    path = tmp_path / "classes.h5"
    path.write_bytes(tiny_dump.read_bytes())
    with h5py.File(path, "r+") as file:
        del file["max_num_classes"]
    with pytest.raises(DumpError, match="of classification datasets, but has no max_num_classes"):
        PriorDumpDataLoader(path, 1, 4, "cpu")


def test_a_regression_dump_gives_its_real_targets_and_so_does_its_prior(tmp_path, tiny_dump):
    config = replace(TINY, problem_type="regression")
    path = tmp_path / "regression.h5"
    generate_dump(path, config, 24, seed=7)
    with h5py.File(path, "r+") as file:
        stored = file["y"][:4]
        file["y"][5, 3] = np.nan
    loader = PriorDumpDataLoader(path, 2, 4, "cpu", held_out=4)
    live = PriorDataLoader(config, 2, 4, "cpu", seed=7)
    for one in (loader, live):
        assert (one.problem_type, one.max_num_classes) == ("regression", None)
    first, second = loader
    np.testing.assert_array_equal(first["y"].numpy(), stored)
    assert_equal_batches(first, next(iter(live)))
    assert second["datasets"] == [4, 6, 6, 7]  # in the place of the damaged one the next
    assert loader.num_skipped == 1
    assert len(loader.held_out_batches()[0]["y"]) == 4
    mixed = MixedDataLoader([loader, live], [1, 1], 2)
    assert (mixed.problem_type, mixed.max_num_classes) == ("regression", None)
    with pytest.raises(ValueError, match="of one problem type, got classification and regression"):
        MixedDataLoader([loader, PriorDumpDataLoader(tiny_dump, 1, 4, "cpu")], [1, 1], 2)


def test_the_trained_range_is_of_what_is_trained_on(tmp_path, foreign_dump):
    config = replace(
        TINY, num_datapoints=60, num_features=(2, 12), num_classes=(3, 10), train_fraction=(0.4, 0.8)
    )
    live = PriorDataLoader(config, 1, 4, "cpu")
    assert live.trained_range == TrainedRange(rows=(24, 48), features=(2, 12), classes=(3, 10))
    real = PriorDataLoader(replace(TINY, problem_type="regression"), 1, 4, "cpu")
    assert real.trained_range == TrainedRange(rows=(10, 14), features=(3, 3), classes=None)
    assert MixedDataLoader([real, real], [1, 1], 1).trained_range == real.trained_range

    path, datasets = foreign_dump
    splits, features = ([dataset[-1] for dataset in datasets], [dataset[0].shape[1] for dataset in datasets])
    whole = PriorDumpDataLoader(path, 1, 4, "cpu")
    expected = TrainedRange((min(splits), max(splits)), (min(features), max(features)), (2, 2))
    assert whole.trained_range == expected
    rest = PriorDumpDataLoader(path, 1, 4, "cpu", held_out=38).trained_range
    assert rest.rows == (min(splits[:2]), max(splits[:2]))
    assert rest.features == (min(features[:2]), max(features[:2]))
    mixed = MixedDataLoader([whole, live], [1, 1], 1)
    assert mixed.trained_range == TrainedRange((min(splits), 48), (min(features), 12), (2, 10))

    generate_dump(tmp_path / "real.h5", real.config, 8, seed=0)
    stored = PriorDumpDataLoader(tmp_path / "real.h5", 1, 4, "cpu").trained_range
    assert stored == real.trained_range  # of all that its prior may draw, not of these eight
