"""Properties of datasets: known answers, what must not matter, and distances that are known."""

import numpy as np
import pytest

from nanotabpfn.data.loaders import PriorDumpDataLoader
from nanotabpfn.evaluation.protocol import prepare
from nanotabpfn.evaluation.suites import Table
from nanotabpfn.studies.properties import (
    DISTANCES,
    distances,
    properties_of_batches,
    properties_of_tables,
)
from priors.audit.properties import PROPERTIES, properties_of


def test_all_held_out_datasets_are_measured(tiny_dump):
    batches = PriorDumpDataLoader(tiny_dump, 1, 4, "cpu", held_out=6).held_out_batches()
    found = properties_of_batches(batches)
    assert list(found) == [str(number) for number in range(58, 64)]
    first = batches[0]["parts"][0]
    again = properties_of(first["x"][1].numpy(), first["y"][1].numpy(), 12, 59)
    assert np.array_equal(found["59"], again, equal_nan=True)


def test_tables_are_measured_on_the_rows_of_the_protocol_in_no_order():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 3))
    y = np.arange(100) >= 60  # in order of the classes, as many files are
    x[y, 0] += 10
    found = dict(
        zip(PROPERTIES, properties_of_tables((prepare(Table("sorted", x, y)),))["sorted"], strict=True)
    )
    assert found["forest"] == 1
    assert found["smallest_class"] == pytest.approx(0.4)
    assert found["distinct"] == 1
    r = np.corrcoef(x, rowvar=False)[np.triu_indices(3, 1)]
    assert found["correlation"] == pytest.approx(np.abs(r).mean())


def test_datasets_of_one_kind_are_not_told_apart_and_cover_each_other():
    rng = np.random.default_rng(0)
    prior, real = rng.normal(size=(200, 4)), rng.normal(size=(60, 4))
    found = distances(prior, real)
    assert found["discriminator"] == pytest.approx(0.5, abs=0.12)
    assert found["coverage"] == pytest.approx(0.95, abs=0.07)
    other_units = distances(prior * [1, 1e3, 1e-3, 1] + 5, real * [1, 1e3, 1e-3, 1] + 5)
    assert other_units["coverage"] == found["coverage"]


def test_datasets_of_two_kinds_are_told_apart():
    rng = np.random.default_rng(0)
    found = distances(rng.normal(size=(60, 4)), 20 + rng.normal(size=(20, 4)))
    assert found == {"discriminator": 1.0, "coverage": 0.0}
    half = np.concatenate([rng.normal(size=(10, 4)), 20 + rng.normal(size=(10, 4))])
    assert distances(rng.normal(size=(200, 4)), half)["coverage"] == pytest.approx(0.5, abs=0.15)


def test_incomplete_datasets_are_left_out():
    rng = np.random.default_rng(0)
    prior, real = rng.normal(size=(40, 3)), rng.normal(size=(10, 3))
    holes = np.concatenate([prior, [[np.nan, 0, 0]]])
    assert distances(holes, real) == distances(prior, real)
    assert all(np.isnan(value) for value in distances(prior, real[:4]).values())
    assert set(distances(prior[:3], real)) == set(DISTANCES)
