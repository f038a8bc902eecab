"""The loader of a live prior, which gives the batches of its dump; datasets held out."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from traceback import format_exception

import numpy as np
import pytest
from batches import assert_equal_batches, changed, damage, order, parts_of
from tiny_prior import TINY

import nanotabpfn.data.readers
from nanotabpfn.data.loaders import PriorDataLoader, PriorDumpDataLoader
from nanotabpfn.data.mixture import MixedDataLoader
from nanotabpfn.data.readers import PriorError
from priors.dumps.read import open_dump
from priors.generation.generate import generate_dump
from priors.sampling.blocks import sample_block
from priors.sampling.dataset import NoDatasetError


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
        raise NoDatasetError("all of 100 draws were refused (by stage: values 100): widen mechanisms")

    monkeypatch.setattr(nanotabpfn.data.readers, "sample_block", fail)
    for num_workers in (0, 1):
        with pytest.raises(PriorError) as caught:
            list(PriorDataLoader(TINY, 2, 4, "cpu", num_workers=num_workers))
        assert str(caught.value) == "all of 100 draws were refused (by stage: values 100): widen mechanisms"
    with pytest.raises(PriorError, match="were refused"):
        PriorDataLoader(TINY, 2, 4, "cpu", held_out=2).held_out_batches()


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_unexpected_error_keeps_its_kind_and_its_traceback(monkeypatch, num_workers):
    def fail(*arguments):
        raise ZeroDivisionError("of the library")

    monkeypatch.setattr(nanotabpfn.data.readers, "sample_block", fail)
    with pytest.raises(ZeroDivisionError) as caught:
        list(PriorDataLoader(TINY, 2, 4, "cpu", num_workers=num_workers))
    assert str(caught.value) == "of the library"
    assert "in fail" in "".join(format_exception(caught.value))


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


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("end", ["", "raise RuntimeError('stopped')"])
def test_a_program_ends_although_an_iteration_with_workers_is_not_finished(mixed, end):
    code = f"""
from nanotabpfn.data.loaders import PriorDataLoader
from nanotabpfn.data.mixture import MixedDataLoader
from priors.config import PriorConfig

config = PriorConfig(num_datapoints=20, num_features=(2, 2), num_nodes=(5, 5), block_size=4)
loader = PriorDataLoader(config, 8, 4, "cpu", num_workers=1)
batches = iter(MixedDataLoader([loader], [1], 8) if {mixed} else loader)
print(next(batches)["x"].shape, flush=True)
{end}
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.stdout == "torch.Size([4, 20, 2])\n"
    assert result.returncode == bool(end)
    assert result.stderr.strip().splitlines()[-1:] == (["RuntimeError: stopped"] if end else [])
