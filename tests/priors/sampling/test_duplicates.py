"""Rows that repeat an earlier one: how many, which, and that nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from priors.config import PriorConfig
from priors.sampling.dataset import sample_dataset, sample_with_table
from priors.streams import DATASET, stream

THIRD = PriorConfig(duplicate_fraction=(0.3, 0.3))


def drawn(config, count=40):
    return [sample_with_table(config, stream(0, DATASET, index)) for index in range(count)]


@pytest.mark.parametrize("problem_type", ["classification", "regression"])
def test_repeats_are_copies_of_earlier_originals(problem_type):
    across = 0
    for dataset, _, _, table in drawn(replace(THIRD, problem_type=problem_type)):
        places, rows, num_train = np.arange(150), table.rows, dataset.single_eval_pos
        assert (rows <= places).all()
        assert (rows[rows] == rows).all()
        np.testing.assert_array_equal(dataset.x[rows], dataset.x)
        np.testing.assert_array_equal(dataset.y[rows], dataset.y)
        assert dataset.properties["num_duplicates"] == (rows != places).sum()
        assert dataset.properties["num_duplicates"] == 150 - len(np.unique(dataset.x, axis=0))
        across += np.sum(rows[num_train:] < num_train)
    assert across > 100


def test_so_many_rows_are_repeats_and_each_original_as_often():
    rows = np.array([table.rows for *_, table in drawn(THIRD, 300)])
    assert abs(np.mean(rows != np.arange(150)) - 0.3 * 149 / 150) < 0.01
    # Of repeats in the last 50 rows, each of the first 50 originals is as likely as any other.
    late = rows[:, 100:][rows[:, 100:] != np.arange(100, 150)]
    counts = np.histogram(late[late < 100], bins=4, range=(0, 100))[0]
    assert counts.min() > 0.85 * counts.max()


def test_the_share_is_drawn_for_each_dataset():
    shares = [
        sample_dataset(replace(THIRD, duplicate_fraction=(0, 0.6)), stream(1, DATASET, index)).properties[
            "num_duplicates"
        ]
        / 149
        for index in range(400)
    ]
    deciles = np.quantile(shares, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(deciles, [0.06, 0.3, 0.54], atol=0.05)


def test_rows_that_are_no_repeats_are_those_without_them():
    """Up to the scale of a column, which comes from the training rows."""
    found = 0
    for (dataset, structure, _, table), (plain, other, *_) in zip(
        drawn(THIRD), drawn(PriorConfig()), strict=True
    ):
        assert structure.causes == other.causes
        if dataset.properties["attempts"] == plain.properties["attempts"] == 1:
            originals = table.rows == np.arange(150)
            for column, expected in zip(dataset.x[originals].T, plain.x[originals].T, strict=True):
                assert abs(np.corrcoef(column, expected)[0, 1]) > 1 - 1e-5
            np.testing.assert_array_equal(dataset.y[originals], plain.y[originals])
            found += 1
    assert found > 20


def test_training_rows_repeat_training_rows_alone():
    for index in range(10):
        rows = [sample_with_table(THIRD, stream(0, DATASET, index), split)[3].rows for split in (60, 100)]
        assert (rows[0][:60] < 60).all()
        assert (rows[1][:100] < 100).all()


def test_label_noise_comes_after_it():
    noisy = replace(THIRD, label_noise=(0.5, 0.5))
    differ = [np.mean(dataset.y[table.rows] != dataset.y) for dataset, *_, table in drawn(noisy)]
    assert np.mean(differ) > 0.02


def test_every_class_is_on_both_sides():
    config = PriorConfig(
        num_datapoints=24, num_classes=(4, 4), duplicate_fraction=(0.7, 0.7), train_fraction=(0.3, 0.7)
    )
    refused = 0
    for dataset, *_ in drawn(config, 30):
        assert set(dataset.y[: dataset.single_eval_pos]) == set(dataset.y[dataset.single_eval_pos :])
        assert set(dataset.y) == {0, 1, 2, 3}
        refused += dataset.properties["redrawn_values"]
    assert refused > 0


def test_without_the_setting_there_is_no_property():
    assert "num_duplicates" not in sample_dataset(PriorConfig(), stream(0)).properties


def test_refused_draws_do_not_change_the_share():
    """Many repeats often leave a class out: were the share drawn again then, small shares would win."""
    config = PriorConfig(duplicate_fraction=(0, 0.8), num_classes=6)
    found = [sample_dataset(config, stream(9, DATASET, index)).properties for index in range(400)]
    assert np.mean([properties["redrawn_values"] > 0 for properties in found]) > 0.2
    shares = np.array([properties["num_duplicates"] for properties in found]) / 149
    counts = np.histogram(shares, bins=4, range=(0, 0.8))[0]
    assert stats.chisquare(counts).pvalue > 1e-3


def test_rows_that_a_shift_changes_are_no_repeats():
    config = replace(THIRD, shift=0.5, problem_type="regression")
    num_shifted = across = 0
    for dataset, *_, table in drawn(config):
        rows = np.column_stack([dataset.x, dataset.y])
        num_equal = 150 - len(np.unique(rows, axis=0))
        if dataset.properties["num_shifted_nodes"]:
            is_test, of_test = (places >= dataset.single_eval_pos for places in (np.arange(150), table.rows))
            assert dataset.properties["num_duplicates"] <= num_equal
            across += np.sum(is_test & ~of_test) - np.sum(table.rows != np.arange(150))
            across += dataset.properties["num_duplicates"]
            num_shifted += 1
        else:
            assert dataset.properties["num_duplicates"] == num_equal
    assert across == 0
    assert 0 < num_shifted < 40
