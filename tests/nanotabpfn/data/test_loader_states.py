"""Loaders resumed at any step, shared by ranks, with worker processes, and mixed: the same batches."""

import json
from dataclasses import replace
from itertools import islice

import h5py
import numpy as np
import pytest
import torch
from batches import assert_equal_batches, changed, damage, parts_of, write_foreign_dump
from tiny_prior import TINY

from nanotabpfn.data.loaders import PriorDataLoader, PriorDumpDataLoader
from nanotabpfn.data.mixture import CurriculumDataLoader, MixedDataLoader
from priors.dumps.schema import DumpError
from priors.generation.generate import generate_dump


@pytest.fixture(scope="module")
def foreign_dump(tmp_path_factory):
    return write_foreign_dump(tmp_path_factory.mktemp("dumps") / "foreign.h5")


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
    assert len(set(states)) == 1  # so that one rank can write it and any number can resume


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


# --------------------------------------------------------------------------------------------- curriculum


def curriculum(num_steps=9, switch_at=(2, 5)):
    loaders = [PriorDataLoader(TINY, 1, 4, "cpu", seed=seed, held_out=2 * seed) for seed in range(3)]
    return CurriculumDataLoader(loaders, switch_at, num_steps)


def test_a_curriculum_gives_the_first_batches_of_each_loader_in_turn():
    batches = list(curriculum())
    assert [batch["loader"] for batch in batches] == [0, 0, 1, 1, 1, 2, 2, 2, 2]
    for seed, own in enumerate([batches[:2], batches[2:5], batches[5:]]):
        for left, right in zip(own, PriorDataLoader(TINY, len(own), 4, "cpu", seed=seed), strict=True):
            assert torch.equal(left["x"], right["x"])
            assert torch.equal(left["y"], right["y"])
    held_out = PriorDataLoader(TINY, 1, 4, "cpu", seed=2, held_out=4).held_out_batches()
    for left, right in zip(curriculum().held_out_batches(), held_out, strict=True):
        assert_equal_batches(left, right)


@pytest.mark.parametrize("stop", [1, 2, 3, 5, 8])
def test_a_curriculum_is_resumed_at_any_step(stop):
    whole = list(curriculum())
    first, second = curriculum(), curriculum(num_steps=9 - stop)
    list(islice(first, stop))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for left, right in zip(whole[stop:], second, strict=True):
        assert_equal_batches(left, right)


@pytest.mark.parametrize(
    ("switch_at", "message"),
    [
        ([2], "switch_at must be 2, one fewer than loaders, got 1"),
        ([0, 2], r"switch_at must be rising whole numbers from 1, got \[0, 2\]"),
        ([3, 3], r"switch_at must be rising whole numbers from 1, got \[3, 3\]"),
        ([3, 4.5], r"switch_at must be rising whole numbers from 1, got \[3, 4.5\]"),
    ],
)
def test_switches_of_a_curriculum_are_checked(switch_at, message):
    with pytest.raises(ValueError, match=message):
        curriculum(switch_at=switch_at)


def test_states_of_another_curriculum_are_refused():
    with pytest.raises(
        ValueError, match=r"switch_at of the state must be this loader's, \[2, 5\], got \[2, 6\]"
    ):
        curriculum().load_state_dict(curriculum(switch_at=(2, 6)).state_dict())
