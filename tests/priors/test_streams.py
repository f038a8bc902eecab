"""Streams: the same key gives the same draws, another key others, and consumers never move each other."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from priors.streams import BLOCK, DATASET, TRAIN, split, stream

KEYS = st.lists(st.integers(0, 2**32 - 1), max_size=3).map(tuple)
SEEDS = st.integers(0, 2**128 - 1)


def draws(rng):
    return rng.integers(0, 2**64, size=4, dtype=np.uint64).tolist()


@settings(max_examples=50)
@given(SEEDS, KEYS)
@example(2**128 - 1, (2**32 - 1,))
def test_same_seed_and_key_give_the_same_draws(seed, key):
    assert draws(stream(seed, *key)) == draws(stream(seed, *key))


@settings(max_examples=100)
@given(SEEDS, KEYS, SEEDS, KEYS)
@example(0, (0,), 0, (0, 0))
@example(0, (), 0, (0,))
@example(1, (0,), 0, (1,))
@example(0, (1, 0), 0, (0, 1))
@example(2**32, (0,), 1, (0,))
@example(2**64 + 5, (0,), 5, (0,))
@example(2**127, (0,), 0, (0,))
def test_another_seed_or_key_gives_other_draws(seed, key, other_seed, other_key):
    if (seed, key) != (other_seed, other_key):
        assert draws(stream(seed, *key)) != draws(stream(other_seed, *other_key))


def test_the_named_first_keys_differ_and_keep_their_numbers():
    assert (BLOCK, DATASET, TRAIN) == (0, 1, 2)


def test_a_stream_is_the_one_numpy_documents():
    expected = np.random.default_rng(np.random.SeedSequence(5, spawn_key=(DATASET, 7)))
    assert draws(stream(5, DATASET, 7)) == draws(expected)


def test_streams_have_a_uniform_first_draw():
    first = np.array([stream(3, DATASET, i).random() for i in range(4000)])
    assert abs(first.mean() - 0.5) < 5 * (1 / 12 / 4000) ** 0.5
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 5 / 4000**0.5


@pytest.mark.parametrize(
    ("seed", "key"), [(-1, ()), (-(2**70), (1,)), (0, (-1,)), (0, (1, -2)), (2**128, ()), (0, (2**32,))]
)
def test_seeds_and_keys_out_of_range_are_refused(seed, key):
    with pytest.raises(ValueError, match=r"seed must be in 0\.\.2\*\*128-1 .*, got seed=-?\d+, key=\("):
        stream(seed, *key)


def test_first_draws_of_many_streams_do_not_collide():
    first = {int(stream(0, DATASET, i).integers(0, 2**64, dtype=np.uint64)) for i in range(20_000)}
    assert len(first) == 20_000


def test_first_draws_of_many_children_do_not_collide():
    children = [child for i in range(200) for child in split(stream(0, DATASET, i), 100)]
    first = {int(child.integers(0, 2**64, dtype=np.uint64)) for child in children}
    assert len(first) == 20_000


def test_split_is_determined_by_its_generator():
    assert [draws(child) for child in split(stream(1), 5)] == [draws(child) for child in split(stream(1), 5)]


def test_children_and_parent_differ():
    parent = stream(1)
    children = split(parent, 5)
    assert len({tuple(draws(rng)) for rng in [parent, *children]}) == 6


def test_a_child_does_not_depend_on_how_much_another_draws():
    quiet, greedy = split(stream(1), 3), split(stream(1), 3)
    greedy[0].standard_normal(1000)
    greedy[2].standard_normal(77)
    assert draws(quiet[1]) == draws(greedy[1])


def test_a_child_does_not_depend_on_how_much_the_parent_draws_later():
    parent, other_parent = stream(1), stream(1)
    child, other_child = split(parent, 1)[0], split(other_parent, 1)[0]
    other_parent.standard_normal(1000)
    assert draws(child) == draws(other_child)


def test_the_first_children_do_not_depend_on_how_many_there_are():
    assert [draws(rng) for rng in split(stream(1), 9)[:4]] == [draws(rng) for rng in split(stream(1), 4)]


def test_split_moves_the_parent_on():
    parent = stream(1)
    first, second = split(parent, 2), split(parent, 2)
    assert len({tuple(draws(rng)) for rng in [*first, *second]}) == 4


def test_no_children_leave_the_parent_where_it_was():
    parent = stream(1)
    assert split(parent, 0) == []
    assert draws(parent) == draws(stream(1))


def test_siblings_are_uncorrelated():
    first, second = (rng.standard_normal(20_000) for rng in split(stream(1), 2))
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / 20_000**0.5
    assert abs(first.mean()) < 5 / 20_000**0.5
