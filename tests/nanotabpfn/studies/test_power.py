"""Power: known variances are found again, and the smallest difference is shown as often as is said."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from nanotabpfn.studies.planned_power import remedies_of
from nanotabpfn.studies.power import (
    POWER,
    Components,
    Design,
    components_of,
    power,
    rows_component,
    smallest_difference,
    units_needed,
)
from nanotabpfn.studies.report.scores import LEARNS_NOTHING, Scores
from nanotabpfn.studies.saved import read_records, read_saved
from nanotabpfn.studies.spec import Study
from nanotabpfn.studies.statistics import mean_interval, variance_parts

KNOWN = Components(0.01, 0.014, 0.02)
DESIGNS = [
    Design(6, 1, 13),
    Design(12, 1, 4),
    Design(3, 3, 13),
    Design(25, 1, 79),
    Design(1, 6, 13),
    Design(6, 1, 1),
]


def draw(rng, num_studies, components, design, difference=0.0):
    """Differences (N, D, M, T) of two arms; of crossed seeds, half of the variance is of each kind."""
    tables, pairs, rest, _ = components
    num_data, num_model, num_tables = design
    values = difference + rest * rng.standard_normal((num_studies, *design))
    if num_tables > 1:  # of one table alone, its own difference is what is asked for
        values += tables * rng.standard_normal((num_studies, 1, 1, num_tables))
    if min(num_data, num_model) > 1:
        pairs = pairs / np.sqrt(2)
    if num_data > 1:
        values += pairs * rng.standard_normal((num_studies, num_data, 1, 1))
    if num_model > 1:
        values += pairs * rng.standard_normal((num_studies, 1, num_model, 1))
    return values


@pytest.mark.parametrize("design", DESIGNS, ids=str)
@pytest.mark.parametrize("level", [0.95, 0.99])
def test_the_smallest_difference_is_shown_in_80_percent_of_simulated_studies(design, level):
    smallest = smallest_difference(KNOWN, design, level)
    assert power(smallest, KNOWN, design, level) == pytest.approx(POWER, abs=1e-6)
    differences = draw(np.random.default_rng(1), 3_000, KNOWN, design, smallest)
    half = mean_interval(variance_parts(differences), level)
    assert np.mean(differences.mean(axis=(1, 2, 3)) > half) == pytest.approx(POWER, abs=0.03)


def test_power_grows_with_everything():
    design, level = Design(6, 1, 13), 0.95
    assert power(0.0, KNOWN, design, level) < 0.025
    shown = [power(difference, KNOWN, design, level) for difference in (0.01, 0.02, 0.05, 1.0)]
    assert shown == sorted(shown)
    assert shown[-1] == pytest.approx(1)
    now = smallest_difference(KNOWN, design, level)
    assert smallest_difference(KNOWN, design._replace(num_data=12), level) < now
    assert smallest_difference(KNOWN, design._replace(num_tables=26), level) < now
    assert smallest_difference(KNOWN, design, 0.99) > now
    assert smallest_difference(Components(0, 0, 0), design, level) == 0
    assert smallest_difference(KNOWN, Design(1, 1, 1), level) == float("inf")
    assert smallest_difference(KNOWN, Design(1, 1, 13), level) < float("inf")


@pytest.mark.parametrize("shape", [(40, 1), (6, 6), (1, 30)])
def test_components_are_found_again(shape):
    rng = np.random.default_rng(0)
    found = []
    for _ in range(20):
        # Each arm has half of the variance of a difference between two.
        arms = [draw(rng, 1, KNOWN, Design(*shape, 20))[0] / np.sqrt(2) for _ in range(4)]
        found.append(np.square(components_of(arms)))
    mean = np.sqrt(np.mean(found, axis=0))
    assert mean[:3] == pytest.approx(KNOWN[:3], rel=0.12)


def test_components_do_not_depend_on_effects_nor_on_what_all_arms_share():
    rng = np.random.default_rng(0)
    arms = [draw(rng, 1, KNOWN, Design(8, 1, 13))[0] for _ in range(3)]
    shared = rng.normal(size=(1, 1, 13)) + rng.normal(size=(8, 1, 1))
    moved = [arm + 0.3 * number + shared for number, arm in enumerate(arms)]
    assert components_of(moved) == pytest.approx(components_of(arms))


def test_missing_cells_are_left_out():
    rng = np.random.default_rng(0)
    arms = [draw(rng, 1, KNOWN, Design(8, 1, 13))[0] for _ in range(2)]
    arms[0][3] = np.nan
    whole = [np.delete(arm, 3, axis=0) for arm in arms]
    assert components_of(arms) == pytest.approx(components_of(whole))
    with pytest.raises(ValueError, match="two cells of different seeds"):
        components_of([arm[:1] for arm in arms])
    with pytest.raises(ValueError, match="at least 2 tables"):
        components_of([arm[..., :1] for arm in arms])


def test_the_part_of_the_rows_is_found_again():
    rng, rows = np.random.default_rng(0), 0.006
    folds = []
    for _ in range(3):
        of_folds = (
            rows * np.sqrt(5) * rng.standard_normal((1, 1, 200, 5)) / np.sqrt(2)
        )  # the mean of 5 has `rows`
        folds.append(of_folds + 0.02 * rng.standard_normal((6, 1, 200, 5)) + rng.normal(size=(1, 1, 200, 1)))
    assert rows_component(folds) == pytest.approx(rows, rel=0.1)
    folds[0][0, 0, 0, 0] = np.nan  # that table is left out
    assert rows_component(folds) == pytest.approx(rows, rel=0.1)


def test_row_samples_reduce_the_part_of_the_rows_alone():
    components = Components(0.005, 0.01, 0.02, rows=0.003)
    assert components.with_row_samples(1) == pytest.approx(components)
    assert components.with_row_samples(10**8).tables == pytest.approx(0.004, abs=1e-6)


def test_units_needed():
    assert units_needed(lambda number: 10 / number, 1.0, now=3) == 10
    assert units_needed(lambda number: 10 / number, 5.0, now=3) == 3
    assert units_needed(lambda number: 1 + 1 / number, 1.0, now=3) is None


@pytest.fixture(scope="module")
def real_differences():
    """Log loss of the study that ships: for each two arms, differences (C, T) of their nine cells."""
    folder = Path(__file__).parents[3] / "docs" / "studies" / "mechanisms"
    saved, records = read_saved(folder), read_records(folder)
    seeds = records["data_seed"].astype(str) + records["model_seed"].astype(str)
    late = (records["arm"] == "mlp") & (seeds == "22") | (records["arm"] == "layered graphs") & (
        seeds == "00"
    )
    scores = Scores(saved, records[~late], "log_loss")
    arms = [values for arm, values in scores.of.items() if arm not in LEARNS_NOTHING]
    differences = [(one - other).reshape(-1, 13) for one, other in combinations(arms, 2)]
    return components_of(arms), [pair[np.isfinite(pair).all(axis=1)] for pair in differences]


@pytest.mark.parametrize(("is_effect", "low", "high"), [(False, 0.0, 0.03), (True, 0.7, 0.95)])
def test_studies_resampled_from_real_records_show_what_was_planned(real_differences, is_effect, low, high):
    """Two-arm studies of 25 pairs, resampled from the cells of two arms that no difference was shown
    between: without an effect they show one in about 2.5 % of studies on either side, with the smallest
    difference in about 80 %."""
    components, pairs_of_arms = real_differences
    design, rng = Design(25, 1, 13), np.random.default_rng(0)
    effect = smallest_difference(components, design, 0.95) if is_effect else 0.0
    studies = []
    for _ in range(400):
        cells = pairs_of_arms[rng.integers(len(pairs_of_arms))]
        cells = cells - cells.mean()
        studies.append(cells[rng.integers(len(cells), size=25)][:, rng.integers(13, size=13)] + effect)
    differences = np.stack(studies)[:, :, None]  # (N, D, M, T)
    half = mean_interval(variance_parts(differences), 0.95)
    assert low <= np.mean(differences.mean(axis=(1, 2, 3)) > half) <= high


def test_with_one_pair_of_seeds_the_remedy_is_more_pairs():
    study = Study(name="mine", arms={"a": {"preset": "linear"}}, data_seeds=(0,), model_seeds=(0,))
    found = remedies_of(Components(0.008, 0.013, 0.019), Design(1, 1, 13), study, num_comparisons=1)
    assert found == ("more pairs of seeds: of one pair, what is shown holds for that pair alone",)
    assert study.repetitions == "1 pair of a data seed and a model seed"
