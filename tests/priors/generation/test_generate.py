"""Many datasets: the same ones whatever the number of workers and however many are asked for."""

import signal
from dataclasses import replace
from itertools import islice

import joblib
import numpy as np
import pytest

from priors.config import PriorConfig
from priors.dumps.read import open_dump
from priors.dumps.schema import DumpError
from priors.generation.generate import (
    BLOCKS_PER_TASK,
    TASKS_AHEAD,
    _in_parallel,
    generate,
    generate_blocks,
    generate_dump,
)
from priors.sampling.blocks import dataset_at, sample_block
from priors.sampling.dataset import sample_dataset
from priors.streams import DATASET, stream

SMALL = PriorConfig(num_datapoints=40, num_features=(1, 6), num_classes=(2, 3), num_nodes=(4, 10))
TWO_TASKS = 2 * BLOCKS_PER_TASK * 4  # datasets in blocks of 4


def assert_equal_datasets(datasets, expected):
    datasets, expected = list(datasets), list(expected)
    assert len(datasets) == len(expected)
    for first, second in zip(datasets, expected, strict=True):
        assert first.x.tobytes() == second.x.tobytes()
        assert first.x.shape == second.x.shape
        assert first.y.tobytes() == second.y.tobytes()
        assert (first.single_eval_pos, first.properties) == (second.single_eval_pos, second.properties)


@pytest.fixture(scope="module")
def seventy():
    return list(generate(SMALL, 70, seed=0))


def test_two_workers_give_what_one_gives():
    config = replace(SMALL, block_size=4)
    one = list(generate(config, TWO_TASKS + 5, seed=0))
    assert_equal_datasets(generate(config, TWO_TASKS + 5, seed=0, num_workers=2), one)


def test_two_workers_can_be_left_early():
    config = replace(SMALL, block_size=4)
    datasets = generate(config, TWO_TASKS, seed=0, num_workers=2)
    assert_equal_datasets(islice(datasets, 3), generate(config, 3, seed=0))
    datasets.close()


def test_two_workers_find_families_by_dotted_path():
    config = replace(SMALL, graphs={"priors.families.graphs:random_tree": 1})
    for dataset in generate(config, 3, seed=0, num_workers=2):
        assert dataset.properties["graph"] == "priors.families.graphs:random_tree"


@pytest.mark.parametrize("num_datasets", [0, 1, 31, 32, 33, 64, 65])
def test_fewer_datasets_are_the_first_of_more(seventy, num_datasets):
    assert_equal_datasets(generate(SMALL, num_datasets, seed=0), seventy[:num_datasets])


def test_a_dataset_is_the_one_of_its_own_stream(seventy):
    for index in (0, 31, 32, 69):
        dataset = seventy[index]
        config = replace(SMALL, num_features=(dataset.x.shape[1], dataset.x.shape[1]))
        expected = sample_dataset(config, stream(0, DATASET, index), dataset.single_eval_pos)
        assert_equal_datasets([dataset], [expected])


def test_a_block_can_be_computed_alone(seventy):
    assert_equal_datasets(sample_block(SMALL, 0, 1), seventy[32:64])
    assert_equal_datasets(sample_block(SMALL, 0, 2, num_datasets=6), seventy[64:])
    assert_equal_datasets(sample_block(SMALL, 0, 1, num_datasets=3, first=5), seventy[37:40])
    assert_equal_datasets(sample_block(SMALL, 0, 1, first=30), seventy[62:64])


def test_blocks_are_whole_and_in_order_and_the_last_may_be_shorter(seventy):
    blocks = list(generate_blocks(SMALL, 70, seed=0))
    assert [len(block) for block in blocks] == [32, 32, 6]
    assert_equal_datasets([dataset for block in blocks for dataset in block], seventy)


def test_what_is_sampled_before_it_is_read_is_bounded():
    taken = []
    tasks = (taken.append(place) or (SMALL, 0, range(1), 1) for place in range(1000))
    results = _in_parallel(tasks, num_workers=2)
    for _ in range(2 * TASKS_AHEAD):
        assert len(next(results)) == 1
        assert len(taken) == 2 * TASKS_AHEAD
    next(results)
    assert len(taken) == 4 * TASKS_AHEAD
    for _ in range(2 * TASKS_AHEAD - 1):  # those that have begun
        next(results)
    results.close()


def test_a_block_shares_its_split_and_number_of_features():
    config = replace(SMALL, block_size=4)
    shapes = []
    for block in generate_blocks(config, 160, seed=0):
        shapes.append({(dataset.x.shape, dataset.single_eval_pos) for dataset in block})
        assert len(shapes[-1]) == 1
    assert len(set().union(*shapes)) > 20
    assert {shape[1] for ((shape, _),) in shapes} == set(range(1, 7))


def test_splits_cover_their_range():
    config = replace(SMALL, block_size=1, train_fraction=(0.25, 0.35))
    splits = [dataset.single_eval_pos for dataset in generate(config, 120, seed=0)]
    assert set(splits) == set(range(10, 15))


@pytest.mark.parametrize("train_fraction", [(0.3, 0.6), (0.5, 0.5)])
def test_another_split_range_leaves_the_numbers_of_features(train_fraction):
    config = replace(SMALL, block_size=1)
    expected = [dataset.x.shape for dataset in generate(config, 30, seed=0)]
    other = replace(config, train_fraction=train_fraction)
    assert [dataset.x.shape for dataset in generate(other, 30, seed=0)] == expected


def test_no_dataset_comes_twice(seventy):
    assert len({dataset.x.tobytes() for dataset in seventy}) == 70


def test_another_seed_gives_other_datasets(seventy):
    other = {dataset.x.tobytes() for dataset in generate(SMALL, 70, seed=1)}
    assert other.isdisjoint({dataset.x.tobytes() for dataset in seventy})


def test_huge_seeds_are_welcome():
    first, second = (next(generate(SMALL, 1, seed=seed)) for seed in (2**127, 2**127 + 1))
    assert (first.x.shape != second.x.shape) or (first.x != second.x).any()


def test_datasets_come_one_by_one_without_waiting_for_the_rest():
    assert len(list(islice(generate(SMALL, 10**6, seed=0), 3))) == 3


@pytest.mark.parametrize(
    ("num_datasets", "seed", "num_workers", "message"),
    [
        (-1, 0, 1, "num_datasets must not be negative, got -1"),
        (1, 0, 0, "num_workers must be at least 1, got 0"),
        (1, 0, -1, "num_workers must be at least 1, got -1"),
        (1, -5, 1, "seed must be in .*, got seed=-5"),
    ],
)
def test_bad_arguments_are_refused(num_datasets, seed, num_workers, message):
    with pytest.raises(ValueError, match=message):
        list(generate(SMALL, num_datasets, seed, num_workers))


def test_splits_are_those_of_the_config():
    low, high = SMALL.split_range
    splits = np.array([dataset.single_eval_pos for dataset in generate(replace(SMALL, block_size=1), 50, 0)])
    assert low <= splits.min() < splits.max() <= high


def test_dataset_at_is_the_dataset_of_the_dump_with_its_block_s_split_and_width():
    config = replace(SMALL, num_features=(2, 6), block_size=5)
    for index, dataset in enumerate(generate(config, 12, seed=7)):
        assert_equal_datasets([dataset_at(config, 7, index)], [dataset])
    with pytest.raises(ValueError, match="index must not be negative, got -1"):
        dataset_at(config, 7, -1)


def test_an_existing_dump_is_replaced_only_where_that_is_said(tmp_path):
    path = tmp_path / "mine.h5"
    first = generate_dump(path, SMALL, 3, seed=0)
    content = path.read_bytes()
    with pytest.raises(DumpError, match=r"mine.h5 exists"):
        generate_dump(path, SMALL, 3, seed=1)
    assert path.read_bytes() == content
    assert generate_dump(path, SMALL, 3, seed=1, overwrite=True) != first


def test_numpys_integers_are_integers(tmp_path):
    one, other = tmp_path / "one.h5", tmp_path / "other.h5"
    config = replace(SMALL, block_size=2)
    hashes = [
        generate_dump(one, config, np.int64(4), seed=np.int64(3), shard_size=np.int32(2)),
        generate_dump(other, config, 4, seed=3, shard_size=2),
    ]
    assert hashes[0] == hashes[1]
    with open_dump(one) as first, open_dump(other) as second:
        assert first.attributes | {"created": 0} == second.attributes | {"created": 0}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"seed": True}, "seed must be an integer"), ({"shard_size": 2.0}, "shard_size must be an integer")],
)
def test_what_is_no_integer_is_refused_and_leaves_nothing(tmp_path, wrong, message):
    with pytest.raises(TypeError, match=message):
        generate_dump(tmp_path / "a.h5", SMALL, 4, **{"seed": 0} | wrong)
    assert not list(tmp_path.iterdir())


def test_workers_find_a_family_in_the_folder_that_is_now_the_current_one(tmp_path, monkeypatch):
    assert len(list(generate(SMALL, 4, 0, num_workers=2))) == 4  # whose processes are kept
    (tmp_path / "family_of_here.py").write_text(
        "import numpy as np\n\n\ndef wave(parents, rng):\n    return np.sin(parents[:, 0])\n"
    )
    monkeypatch.chdir(tmp_path)
    config = replace(SMALL, mechanisms="family_of_here:wave")
    assert len(list(generate(config, 4, 0, num_workers=2))) == 4


def test_workers_are_processes_whatever_joblib_is_told():
    """In a thread of this process they would change its folder and its signals."""
    before = signal.getsignal(signal.SIGINT)
    with joblib.parallel_config("threading"):
        assert len(list(generate(SMALL, 4, 0, num_workers=2))) == 4
    assert signal.getsignal(signal.SIGINT) == before
