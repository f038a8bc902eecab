"""Two dumps compared: tests by hand, blocks that count once, properties that differ and that do not."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from scipy.stats import chisquare
from small_dumps import write
from tiny_prior import TINY

from priors.audit.compare import compare_dumps, holm
from priors.dataset import Dataset
from priors.dumps.read import open_dump
from priors.generation.generate import generate_dump


def compared(tmp_path, first, second):
    """The tests by property of two lists of datasets."""
    for name, datasets in (("a.h5", first), ("b.h5", second)):
        write(tmp_path / name, datasets)
    with open_dump(tmp_path / "a.h5") as a, open_dump(tmp_path / "b.h5") as b:
        return {test.name: test for test in compare_dumps(a, b)}


def generated(tmp_path, first, second, count=256):
    tmp_path.mkdir(exist_ok=True)
    for number, config in enumerate((first, second)):
        generate_dump(tmp_path / f"{number}.h5", config, count, seed=number)
    with open_dump(tmp_path / "0.h5") as a, open_dump(tmp_path / "1.h5") as b:
        return {test.name: test for test in compare_dumps(a, b)}


def with_property(values, name="noise"):
    """Datasets of one size, each with a property."""
    rng = np.random.default_rng(0)
    y = np.array([0, 1] * 6)
    return [Dataset(rng.normal(size=(12, 3)).astype(np.float32), y, 6, {name: value}) for value in values]


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert holm([]) == []


def test_numbers_by_hand(tmp_path):
    first, second = [0.1, 0.2, 0.3, 0.4], [0.25, 0.35, 0.5, 0.6]
    found = compared(tmp_path, with_property(first), with_property(second))["noise"]
    assert found.test == "Kolmogorov-Smirnov"
    assert found.distance == pytest.approx(0.5)
    # Of the 70 orders of four and four values, 54 have a distance of one half or more.
    assert found.p_value == pytest.approx(54 / 70)
    assert found.values[0]["50%"] == pytest.approx(0.25)


def test_names_by_hand(tmp_path):
    first, second = ["a"] * 30 + ["b"] * 10, ["a"] * 20 + ["b"] * 20
    found = compared(tmp_path, with_property(first), with_property(second))["noise"]
    assert found.test == "chi-squared"
    assert found.distance == pytest.approx(0.25)
    assert found.p_value == pytest.approx(chisquare([30, 10, 20, 20], [25, 15, 25, 15], ddof=2).pvalue)
    assert found.values == ({"a": 0.75, "b": 0.25}, {"a": 0.5, "b": 0.5})


def test_rare_names_count_together(tmp_path):
    rare = [f"rare-{number}" for number in range(20)]
    found = compared(tmp_path, with_property(["a"] * 20 + rare), with_property(["a"] * 40))["noise"]
    assert found.distance == pytest.approx(0.5)
    assert found.p_value == pytest.approx(chisquare([20, 20, 40, 0], [30, 10, 30, 10], ddof=2).pvalue)


def test_rare_names_that_are_too_few_together_count_with_the_next(tmp_path):
    first, second = ["a"] * 60 + ["b"] * 30 + ["c"] * 2, ["a"] * 50 + ["b"] * 40 + ["c", "d"]
    found = compared(tmp_path, with_property(first), with_property(second))["noise"]
    assert found.p_value == pytest.approx(chisquare([60, 32, 50, 42], [55, 37, 55, 37], ddof=2).pvalue)
    assert found.values[1] == pytest.approx({"a": 50 / 92, "b": 40 / 92, "c": 1 / 92, "d": 1 / 92})
    first, second = ["a"] * 60, ["a"] * 56 + ["b"] * 4
    assert "noise" not in compared(tmp_path, with_property(first), with_property(second))


def test_two_dumps_of_one_prior_do_not_differ(tmp_path):
    found = generated(tmp_path, TINY, TINY)
    assert {"graph", "num_nodes", "training rows / rows", "mean |correlation|"} <= found.keys()
    assert min(test.adjusted for test in found.values()) > 0.05


def test_what_a_prior_changes_differs(tmp_path):
    other = replace(TINY, num_nodes=(9, 16), graphs="erdos_renyi", num_classes=(3, 3), missing_fraction=0.1)
    found = generated(tmp_path, TINY, other)
    differing = {name for name, test in found.items() if test.adjusted < 0.05}
    assert {"num_nodes", "graph", "num_classes", "smallest class / rows", "missing cells"} <= differing
    assert next(iter(found)) in differing
    assert "training rows / rows" not in differing


def test_a_block_counts_once_for_what_its_datasets_share(tmp_path):
    found = generated(tmp_path, TINY, TINY)
    assert found["training rows / rows"].counts == (64, 64)
    assert found["num_nodes"].counts == (256, 256)
    wide = replace(TINY, num_features=(2, 4))
    found = generated(tmp_path / "wide", TINY, wide)
    assert {test.counts for test in found.values()} == {(64, 64)}
    assert found["features"].adjusted < 0.05


def test_a_block_counts_once_for_what_depends_on_its_split(tmp_path):
    found = generated(tmp_path, TINY, TINY, count=40)
    assert found["smallest class / rows"].counts == (10, 10)
    assert found["mean |correlation|"].counts == found["noise_scale"].counts == (40, 40)
    with open_dump(tmp_path / "0.h5") as dump:
        shares = [
            np.unique(dump[i].y, return_counts=True)[1].min() / len(dump[i].y) for i in range(len(dump))
        ]
    means = np.reshape(shares, (10, 4)).mean(axis=1)
    assert found["smallest class / rows"].values[0]["50%"] == pytest.approx(np.median(means))


def test_damaged_records_are_left_out(tmp_path):
    generate_dump(tmp_path / "a.h5", TINY, 40, seed=0)
    generate_dump(tmp_path / "b.h5", TINY, 40, seed=1)
    with h5py.File(tmp_path / "b.h5", "r+") as file:
        file["X"][7, 0, 0] = np.inf
    with open_dump(tmp_path / "a.h5") as a, open_dump(tmp_path / "b.h5") as b:
        found = {test.name: test for test in compare_dumps(a, b)}
    assert found["mean |correlation|"].counts == (40, 39)
    assert found["num_nodes"].counts == (40, 40)


def test_what_one_of_them_lacks_or_what_is_the_same_everywhere_is_not_tested(tmp_path):
    first, second = with_property([0.1, 0.2, 0.3], "mine"), with_property([0.1, 0.2, 0.3], "yours")
    found = compared(tmp_path, first, second)
    assert set(found) == {"mean |correlation|"}
