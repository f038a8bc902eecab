"""Loaders: what a batch holds, the order, restarts, damaged records; dump, live prior and mixtures alike."""

import json
from dataclasses import replace
from itertools import islice

import h5py
import numpy as np
import pytest
import torch
from conftest import TINY

import nanotabpfn.data.loaders
from nanotabpfn.data.loaders import MixedDataLoader, PriorDataLoader, PriorDumpDataLoader, PriorError
from nanotabpfn.model.architecture import TrainedRange
from priors.dumps.dump import DumpError, open_dump
from priors.generation.generate import generate_dump
from priors.sampling.blocks import sample_block


def assert_equal_batches(left, right):
    assert left.keys() == right.keys()
    for key, value in left.items():
        if torch.is_tensor(value):
            assert torch.equal(value, right[key]), key
            assert value.stride() == right[key].stride(), key  # on which rounding depends
        elif key == "parts":
            for left_part, right_part in zip(value, right[key], strict=True):
                assert_equal_batches(left_part, right_part)
        else:
            assert value == right[key], key


def parts_of(batch):
    return batch.get("parts", [batch])


def order(loader):
    return [index for batch in loader for index in batch["datasets"]]


def changed(path, original, change):
    """A copy of the dump `original` at `path`, with `change(file)` made to it."""
    path.write_bytes(original.read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def damage(records):
    def change(file):
        file["X"][records, 0, 0] = np.inf

    return change


@pytest.fixture(scope="module")
def foreign_dump(tmp_path_factory):
    """40 datasets of another writer: each of its own rows, features and split, no block size, rubbish
    wherever there is padding. Returns the path and the datasets without padding, (x, y, split) each."""
    path = tmp_path_factory.mktemp("dumps") / "foreign.h5"
    rng = np.random.default_rng(0)
    x, y = np.full((40, 12, 4), np.nan, np.float32), np.full((40, 12), np.inf, np.float32)
    x[::2], y[::2] = 1e30, 99
    rows, features = rng.integers(6, 13, 40), rng.integers(1, 5, 40)
    splits = rng.integers(2, rows - 1)
    datasets = []
    for i in range(40):
        x[i, : rows[i], : features[i]] = rng.standard_normal((rows[i], features[i]))
        y[i, : rows[i]] = rng.integers(0, 2, rows[i])
        datasets.append((x[i, : rows[i], : features[i]].copy(), y[i, : rows[i]].copy(), int(splits[i])))
    with h5py.File(path, "w") as file:
        file.update({"X": x, "y": y, "num_datapoints": rows, "num_features": features})
        file.update({"single_eval_pos": splits, "max_num_classes": np.array([2])})
    return path, datasets


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
    told = PriorDumpDataLoader(tmp_path / "real.h5", 1, 4, "cpu").trained_range
    assert told == real.trained_range  # of all that its prior may draw, not of these eight


@pytest.mark.parametrize("batch_size", [4, 6])
def test_the_live_prior_gives_the_batches_of_its_dump(tmp_path, batch_size):
    config = replace(TINY, num_features=(2, 4), num_nodes=(6, 8), train_fraction=(0.5, 0.55))
    path = tmp_path / "dump.h5"
    generate_dump(path, config, 400, seed=7)
    from_dump = PriorDumpDataLoader(path, 20, batch_size, "cpu")
    live = PriorDataLoader(config, 20, batch_size, "cpu", seed=7)
    assert live.max_num_classes == from_dump.max_num_classes
    assert len(live) == 20
    for left, right in zip(from_dump, live, strict=True):
        assert_equal_batches(left, right)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than a small machine's cores
@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_restarted_or_in_a_mixture_the_live_prior_gives_the_batches_of_its_dump(tmp_path, num_workers):
    config = replace(TINY, num_features=(2, 4), num_nodes=(6, 8))
    path, other = tmp_path / "dump.h5", tmp_path / "other.h5"
    generate_dump(path, config, 96, seed=7)
    generate_dump(other, TINY, 48, seed=8)

    def live(num_steps):
        return PriorDataLoader(config, num_steps, 6, "cpu", 7, num_workers)

    def mixed(first, num_steps):
        second = PriorDumpDataLoader(other, num_steps, 4, "cpu", 0, num_workers)
        return MixedDataLoader([first, second], [2, 1], num_steps, seed=3)

    def dump():
        return PriorDumpDataLoader(path, 16, 6, "cpu")

    for make, from_dump in [
        (live, dump()),
        (lambda num_steps: mixed(live(num_steps), num_steps), mixed(dump(), 16)),
    ]:
        first, second = make(16), make(11)
        got = list(islice(first, 5))
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        for left, right in zip(from_dump, [*got, *second], strict=True):
            assert_equal_batches(left, right)


def test_a_prior_that_gives_nothing_is_one_plain_line(monkeypatch):
    def fail(*arguments):
        raise RuntimeError("100 draws in a row were degenerate; too narrow: PriorConfig(...)")

    monkeypatch.setattr(nanotabpfn.data.loaders, "sample_block", fail)
    for num_workers in (0, 1):
        with pytest.raises(PriorError) as caught:
            list(PriorDataLoader(TINY, 2, 4, "cpu", num_workers=num_workers))
        assert str(caught.value) == "100 draws in a row were degenerate; too narrow"
    with pytest.raises(PriorError, match="degenerate"):
        PriorDataLoader(TINY, 2, 4, "cpu", held_out=2).held_out_batches()


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


@pytest.mark.parametrize("make", [PriorDumpDataLoader, PriorDataLoader])
def test_seeds_and_workers_below_zero_are_errors(tiny_dump, make):
    source = tiny_dump if make is PriorDumpDataLoader else TINY
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        make(source, 1, 4, "cpu", seed=-1)
    with pytest.raises(ValueError, match="num_workers must be at least 0, got -2"):
        make(source, 1, 4, "cpu", num_workers=-2)


# ----------------------------------------------------------------------------------------------- held out


@pytest.mark.parametrize("batch_size", [4, 5])
@pytest.mark.parametrize("held_out", [1, 9, 12])
def test_the_last_datasets_of_a_dump_are_held_out(tiny_dump, held_out, batch_size):
    loader = PriorDumpDataLoader(tiny_dump, 64, batch_size, "cpu", seed=0, held_out=held_out)
    seen = order(loader)
    assert set(seen) == set(range(64 - held_out))
    assert sorted(seen[: 64 - held_out]) == list(range(64 - held_out))
    batches = loader.held_out_batches()
    assert sorted(order(batches)) == list(range(64 - held_out, 64))
    assert all(len(batch["datasets"]) <= batch_size for batch in batches)
    with open_dump(tiny_dump) as dump:
        x, y = dump.read(0, 64)
    for batch in batches:
        for one in parts_of(batch):
            np.testing.assert_array_equal(one["x"], x[one["datasets"]])
            np.testing.assert_array_equal(one["y"], y[one["datasets"]])
            assert "num_datasets" not in one


def test_damaged_records_are_not_replaced_by_those_held_out_nor_scored(tmp_path, tiny_dump):
    path = changed(tmp_path / "damaged.h5", tiny_dump, damage([50, 51, 52, 53, 56, 61]))
    loader = PriorDumpDataLoader(path, 40, 4, "cpu", held_out=10)
    assert max(order(loader)) == 49
    assert order(loader.held_out_batches()) == [54, 55, 57, 58, 59, 60, 62, 63]
    assert loader.num_skipped == 4


def test_what_a_live_prior_holds_out_is_what_training_never_comes_to():
    loader = PriorDataLoader(TINY, 3, 4, "cpu", seed=5, held_out=6)
    batches = loader.held_out_batches()
    assert order(batches) == list(range(2**32 - 6, 2**32))
    assert max(order(loader)) == 11
    [last] = sample_block(TINY, 5, 2**30 - 1, num_datasets=1, first=3)
    np.testing.assert_array_equal(parts_of(batches[-1])[-1]["x"][-1], last.x)
    assert_equal_batches(batches[0], PriorDataLoader(TINY, 9, 4, "cpu", 5, held_out=6).held_out_batches()[0])


def test_a_mixture_holds_out_what_its_loaders_do_and_nothing_is_nothing(tiny_dump):
    dump = PriorDumpDataLoader(tiny_dump, 1, 4, "cpu", held_out=3)
    live = PriorDataLoader(TINY, 1, 4, "cpu", held_out=2)
    batches = MixedDataLoader([dump, live], [1, 1], 1).held_out_batches()
    assert order(batches) == [61, 62, 63, 2**32 - 2, 2**32 - 1]
    assert PriorDumpDataLoader(tiny_dump, 1, 4, "cpu").held_out_batches() == []


def test_holding_out_all_or_less_than_nothing_is_an_error(tiny_dump):
    with pytest.raises(ValueError, match=r"held_out must be below the 64 datasets of .*, got 64"):
        PriorDumpDataLoader(tiny_dump, 1, 4, "cpu", held_out=64)
    with pytest.raises(ValueError, match="held_out must be at least 0, got -1"):
        PriorDumpDataLoader(tiny_dump, 1, 4, "cpu", held_out=-1)
    state = PriorDumpDataLoader(tiny_dump, 1, 4, "cpu").state_dict()
    with pytest.raises(ValueError, match="held_out of the state must be this loader's, 4, got 0"):
        PriorDumpDataLoader(tiny_dump, 1, 4, "cpu", held_out=4).load_state_dict(state)


# -------------------------------------------------------------------------------------------------- ranks


@pytest.mark.parametrize(("batch_size", "num_ranks"), [(4, 2), (5, 2), (6, 4), (3, 3)])
def test_ranks_share_each_batch_without_overlap_or_rest(damaged_dump, batch_size, num_ranks):
    def whole_and_shares(make):
        return list(zip(make(0, 1), *(make(rank, num_ranks) for rank in range(num_ranks)), strict=True))

    def dump(rank, num_ranks):
        loader = PriorDumpDataLoader(
            damaged_dump, 9, batch_size, "cpu", 0, 0, 2, rank=rank, num_ranks=num_ranks
        )
        loaders.append(loader)
        return loader

    def live(rank, num_ranks):
        return PriorDataLoader(TINY, 9, batch_size, "cpu", 0, rank=rank, num_ranks=num_ranks)

    def mixed(rank, num_ranks):
        return MixedDataLoader([dump(rank, num_ranks), live(rank, num_ranks)], [1, 1], 9)

    loaders = []
    for make in (dump, live, mixed):
        for whole, *shares in whole_and_shares(make):
            tables = [[], []]
            for side, batches in zip(tables, [[whole], shares], strict=True):
                for batch in batches:
                    for one in parts_of(batch):
                        for x, index in zip(one["x"], one["datasets"], strict=True):
                            side.append((index, x.numpy().tobytes(), one["train_test_split_index"]))
            assert sorted(tables[0]) == sorted(tables[1])
            assert "num_datasets" not in whole
            assert [share["num_datasets"] for share in shares] == [batch_size] * num_ranks
            sizes = [sum(len(one["x"]) for one in parts_of(share)) for share in shares]
            assert max(sizes) - min(sizes) <= 1
    assert len({loader.num_skipped for loader in loaders[: num_ranks + 1]}) == 1
    states = [json.dumps(loader.state_dict()) for loader in loaders[: num_ranks + 1]]
    assert len(set(states)) == 1  # so that one of them can write it, and any number go on


def test_ranks_out_of_range_are_errors(tiny_dump):
    with pytest.raises(ValueError, match="rank must be below num_ranks=2, got 2"):
        PriorDumpDataLoader(tiny_dump, 1, 4, "cpu", rank=2, num_ranks=2)
    with pytest.raises(ValueError, match="batch_size must be at least num_ranks=5, got 4"):
        PriorDataLoader(TINY, 1, 4, "cpu", num_ranks=5)
    with pytest.raises(ValueError, match="num_ranks must be at least 1, got 0"):
        PriorDataLoader(TINY, 1, 4, "cpu", num_ranks=0)


# ----------------------------------------------------------------------------------------------- restarts


@pytest.fixture(scope="module")
def damaged_dump(tmp_path_factory):
    """18 datasets in blocks of 4, the last short; 6 of them are damaged, among them a whole block."""
    path = tmp_path_factory.mktemp("dumps") / "damaged.h5"
    generate_dump(path, TINY, 18, seed=3)
    with h5py.File(path, "r+") as file:
        damage([2, 4, 5, 6, 7, 17])(file)
    return path


def mixture(paths, num_steps, seed=0, **settings):
    loaders = [PriorDumpDataLoader(path, num_steps, 4, "cpu", seed, **settings) for path in paths]
    live = PriorDataLoader(TINY, num_steps, 4, "cpu", seed, **settings)
    return MixedDataLoader([*loaders, live], [0.5, 0.3, 0.2], num_steps, seed)


def assert_restarts_anywhere(make):
    """Stopping `make(num_steps)` after any step, and going on in a new loader, is as if undisturbed."""
    undisturbed, skipped = [], []
    loader = make(12)
    for batch in loader:
        undisturbed.append(batch)
        skipped.append(loader.num_skipped)
    for done in range(12):
        first = make(12)
        list(islice(first, done))
        second = make(12 - done)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert second.num_skipped == (skipped[done - 1] if done else 0)
        for expected, batch in zip(undisturbed[done:], second, strict=True):
            assert_equal_batches(expected, batch)
        assert second.num_skipped == skipped[-1]
        assert second.state_dict() == loader.state_dict()


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize("batch_size", [1, 3, 4, 32])
def test_a_restart_after_any_step_goes_on_as_if_undisturbed(damaged_dump, batch_size, seed):
    assert_restarts_anywhere(lambda steps: PriorDumpDataLoader(damaged_dump, steps, batch_size, "cpu", seed))


@pytest.mark.parametrize("batch_size", [3, 4])
def test_a_restarted_live_prior_goes_on_as_if_undisturbed(batch_size):
    assert_restarts_anywhere(lambda steps: PriorDataLoader(TINY, steps, batch_size, "cpu", seed=5))


def test_a_restarted_mixture_goes_on_as_if_undisturbed(tiny_dump, damaged_dump):
    assert_restarts_anywhere(lambda steps: mixture([tiny_dump, damaged_dump], steps))


def test_a_state_read_while_iterating_is_that_after_the_batch_in_hand(tiny_dump):
    loader = PriorDumpDataLoader(tiny_dump, 5, 4, "cpu", seed=0, num_workers=1)  # which reads ahead
    positions = [loader.state_dict()["position"] for _ in loader]
    assert positions == [1, 2, 3, 4, 5]


def test_a_state_of_other_data_or_settings_is_refused_by_name(
    tmp_path, tiny_dump, damaged_dump, foreign_dump
):
    def dump_loader(path=tiny_dump, batch_size=4, seed=0):
        return PriorDumpDataLoader(path, 4, batch_size, "cpu", seed)

    twin = changed(
        tmp_path / "twin.h5", foreign_dump[0], lambda file: file["X"].write_direct(file["X"][:] * 2)
    )
    loader = dump_loader()
    list(loader)
    before = loader.state_dict()
    for other, message in [
        (dump_loader(damaged_dump), "dump of the state must be this loader's, '"),
        (dump_loader(foreign_dump[0]), "dump of the state must be this loader's, '"),
        (dump_loader(batch_size=2), "batch_size of the state must be this loader's, 4, got 2"),
        (dump_loader(seed=1), "seed of the state must be this loader's, 0, got 1"),
        (dump_loader(seed=None), "seed of the state must be this loader's, 0, got None"),
        (PriorDataLoader(TINY, 4, 4, "cpu"), "state must hold dump, got batch_size, seed, "),
    ]:
        with pytest.raises(ValueError, match=message):
            loader.load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match="dump of the state"):
        dump_loader(twin).load_state_dict(dump_loader(foreign_dump[0]).state_dict())
    for broken, message in [
        ({}, "state must hold batch_size, got nothing"),
        ([4], r"state must be a dict from state_dict\(\), got \[4\]"),
        (before | {"position": -1}, "position of the state must be a whole number from 0, got -1"),
        (before | {"position": "4"}, "position of the state must be a whole number from 0, got '4'"),
        (before | {"skipped": None}, "skipped of the state must be a list, got None"),
    ]:
        with pytest.raises(ValueError, match=message):
            loader.load_state_dict(broken)
    assert loader.state_dict() == before


def test_a_state_of_another_prior_names_the_field():
    state = PriorDataLoader(replace(TINY, num_features=(2, 3)), 1, 4, "cpu").state_dict()
    with pytest.raises(ValueError, match=r"config.num_features of the state .* \[3, 3\], got \[2, 3\]"):
        PriorDataLoader(TINY, 1, 4, "cpu").load_state_dict(state)


def test_a_moved_dump_is_the_same_dump(tmp_path, tiny_dump):
    state = PriorDumpDataLoader(tiny_dump, 1, 4, "cpu").state_dict()
    moved = changed(tmp_path / "moved.h5", tiny_dump, lambda file: None)
    PriorDumpDataLoader(moved, 1, 4, "cpu").load_state_dict(state | {"position": 3})


# ------------------------------------------------------------------------------------------------ workers


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than a small machine's cores
@pytest.mark.parametrize("num_workers", [1, 2])
def test_batches_are_the_same_for_any_number_of_workers(damaged_dump, tiny_dump, num_workers):
    for make in (
        lambda workers: PriorDumpDataLoader(damaged_dump, 9, 4, "cpu", 0, num_workers=workers),
        lambda workers: PriorDataLoader(TINY, 9, 3, "cpu", 0, num_workers=workers),
        lambda workers: mixture([tiny_dump, damaged_dump], 9, num_workers=workers),
    ):
        alone, helped = make(0), make(num_workers)
        for _ in range(2):
            for left, right in zip(alone, helped, strict=True):
                assert_equal_batches(left, right)
        assert alone.state_dict() == helped.state_dict()


def test_an_error_in_a_worker_is_the_same_plain_line(tmp_path, tiny_dump):
    path = changed(tmp_path / "damaged.h5", tiny_dump, damage(slice(None)))
    for num_workers in (0, 1):
        with pytest.raises(DumpError) as caught:
            list(PriorDumpDataLoader(path, 2, 4, "cpu", num_workers=num_workers))
        assert str(caught.value) == f"{path}: every record holds cells that are not finite"


def test_loading_leaves_the_global_generators_alone(tiny_dump):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    list(mixture([tiny_dump, tiny_dump], 6))
    list(PriorDumpDataLoader(tiny_dump, 3, 4, "cpu", seed=0, num_workers=1))
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


# ----------------------------------------------------------------------------------------------- mixtures


def test_a_mixture_draws_by_weight_and_each_loader_goes_on_by_itself(tiny_dump):
    loaders = [PriorDumpDataLoader(tiny_dump, 50, 4, "cpu", seed) for seed in (0, 1)]
    batches = list(MixedDataLoader(loaders, [3, 1], num_steps=400, seed=0))
    drawn = [batch.pop("loader") for batch in batches]
    assert 270 <= drawn.count(0) <= 330  # 300 expected, standard deviation 9
    for number, seed in enumerate((0, 1)):
        own = [batch for batch, loader in zip(batches, drawn, strict=True) if loader == number]
        for left, right in zip(own, PriorDumpDataLoader(tiny_dump, len(own), 4, "cpu", seed), strict=True):
            assert_equal_batches(left, right)


def test_a_mixtures_draws_follow_its_seed_and_its_attributes_its_loaders(tiny_dump, damaged_dump):
    def drawn(seed):
        return [batch["loader"] for batch in mixture([tiny_dump, damaged_dump], 30, seed)]

    assert drawn(0) == drawn(0) != drawn(1)
    mixed = mixture([tiny_dump, damaged_dump], 30)
    mixed.loaders[2].max_num_classes = 7
    assert MixedDataLoader(mixed.loaders, [1, 1, 1], 30).max_num_classes == 7
    assert len(mixed) == len(list(mixed)) == 30
    assert mixed.num_skipped == mixed.loaders[1].num_skipped > 0


def test_settings_of_a_mixture_out_of_range_are_errors(tiny_dump):
    loaders = [PriorDumpDataLoader(tiny_dump, 1, 4, "cpu") for _ in range(2)]
    for arguments, message in [
        (([], [], 1), "loaders must hold at least one, got none"),
        ((loaders, [1], 1), "weights must be 2, one for each loader, got 1"),
        ((loaders, [1, 0], 1), "weights must be finite and above 0, got 0"),
        ((loaders, [1, float("inf")], 1), "weights must be finite and above 0, got inf"),
        ((loaders, [1, 1], 0), "num_steps must be at least 1, got 0"),
        ((loaders, [1, 1], 1, -1), "seed must be at least 0, got -1"),
    ]:
        with pytest.raises(ValueError, match=message):
            MixedDataLoader(*arguments)


def test_a_state_of_another_mixture_is_refused_and_changes_nothing(tiny_dump, damaged_dump):
    mixed = mixture([tiny_dump, damaged_dump], 4)
    before = mixed.state_dict()
    other = mixture([tiny_dump, tiny_dump], 9)
    list(other)
    for state, message in [
        (other.state_dict(), "loader 1: dump of the state"),
        (mixture([tiny_dump, damaged_dump], 4, seed=1).state_dict(), "seed of the state must be .* 0, got 1"),
        (before | {"weights": [0.5, 0.2, 0.3]}, r"weights of the state must be .* got \[0.5, 0.2, 0.3\]"),
        (before | {"loaders": []}, r"loaders of the state must be a list of 3, got \[\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            mixed.load_state_dict(state)
        assert mixed.state_dict() == before
