"""The datasets of a dump as values are those that were sampled."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from tiny_prior import TINY

from priors.dumps.read import open_dump
from priors.dumps.schema import DumpError
from priors.generation.generate import generate_dump
from priors.own_graph import OwnGraph
from priors.sampling.blocks import dataset_at

VARIED = replace(TINY, num_features=(2, 4), twins=True)


def assert_same(found, expected):
    assert np.array_equal(found.x, expected.x)
    assert np.array_equal(found.y, expected.y)
    assert (found.x.dtype, found.y.dtype) == (expected.x.dtype, expected.y.dtype)
    assert found.single_eval_pos == expected.single_eval_pos
    assert found.properties == pytest.approx(expected.properties)
    assert {name: type(value) for name, value in found.properties.items()} == {
        name: type(value) for name, value in expected.properties.items()
    }
    assert (found.twin is None) == (expected.twin is None)
    for one, other in zip(found.twin or (), expected.twin or (), strict=True):
        assert np.array_equal(one, other)
        assert one.dtype == other.dtype


@pytest.fixture(params=[VARIED, replace(TINY, problem_type="regression")], ids=["varied", "regression"])
def dump_and_config(request, tmp_path):
    generate_dump(tmp_path / "my.h5", request.param, 10, seed=0)
    with open_dump(tmp_path / "my.h5") as dump:
        yield dump, request.param


def test_a_dataset_by_its_number(dump_and_config):
    dump, config = dump_and_config
    for number in (0, 5, 9):
        assert_same(dump[number], dataset_at(config, 0, number))
    assert_same(dump[-1], dataset_at(config, 0, 9))


def test_slices_and_iteration_are_in_order(dump_and_config):
    dump, config = dump_and_config
    expected = [dataset_at(config, 0, number) for number in range(10)]
    for found, wanted in (
        (list(dump), expected),
        (dump[2:9:3], expected[2:9:3]),
        (dump[::-4], expected[::-4]),
    ):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_same(one, other)
    assert dump[4:4] == []


@pytest.mark.parametrize("number", [10, -11])
def test_a_number_that_there_is_not(dump_and_config, number):
    with pytest.raises(IndexError, match=rf"index must be in -10\.\.9, .* got {number}"):
        dump_and_config[0][number]


def test_a_sample_has_different_datasets_and_depends_on_its_seed(tiny_dump):
    with open_dump(tiny_dump) as dump:
        every = {dataset.x.tobytes(): number for number, dataset in enumerate(dump)}
        samples = [[every[one.x.tobytes()] for one in dump.sample(8, seed)] for seed in (0, 0, 1)]
        assert samples[0] == samples[1] != samples[2]
        assert all(found == sorted(set(found)) and len(found) == 8 for found in samples)
        assert len(dump.sample(64)) == 64
        assert dump.sample(0) == []
        with pytest.raises(ValueError, match=r"num_datasets must be in 0\.\.64, .* got 65"):
            dump.sample(65)


def test_a_frame_has_the_names_of_the_file(tmp_path, tiny_dump):
    graph = OwnGraph({"age": {}, "income": {}, "default": {"role": "target"}}, [("age", "default")])
    generate_dump(tmp_path / "own.h5", replace(TINY, num_features=(5, 5), graph=graph), 2, seed=0)
    with open_dump(tmp_path / "own.h5") as dump:
        assert list(dump.to_pandas(1).columns) == ["age", "income", "default"]
        assert np.array_equal(dump.to_pandas(1)["age"].to_numpy(), dump[1].x[:, 0])
    with open_dump(tiny_dump) as dump:
        assert list(dump.to_pandas(0).columns) == ["x0", "x1", "x2", "y"]


def test_a_dump_of_others(published_like):
    with open_dump(published_like) as dump:
        dataset = dump[0]
        assert dataset.x.shape == (150, 5)
        assert dataset.y.dtype == np.int64
        assert dataset.properties == {}


def test_labels_that_are_no_classes_are_not_made_some(tmp_path, tiny_dump):
    (tmp_path / "half.h5").write_bytes(tiny_dump.read_bytes())
    with h5py.File(tmp_path / "half.h5", "r+") as file:
        file["y"][3, 0] = 0.5
    with open_dump(tmp_path / "half.h5") as dump, pytest.raises(DumpError, match="record 3: classes must be"):
        dump[3]
