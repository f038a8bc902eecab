"""The smallest differences in a report: from the study's own variances, and the planned ones."""

import numpy as np
import pytest
from simulated_study import began_late, saved_study, simulate, study_of

from nanotabpfn.studies.power import Design, components_of, smallest_difference
from nanotabpfn.studies.report.beginnings_section import without_late
from nanotabpfn.studies.report.power_section import power_table, power_words
from nanotabpfn.studies.report.scores import Scores
from nanotabpfn.studies.variances import nearest_variances


def both(study, records):
    return [Scores(saved_study(study), records, metric) for metric in (study.metric, study.second_metric)]


def test_reached_and_planned_are_of_the_same_design():
    study = study_of(["good", "same", "other"])
    first, second = both(study, simulate(study, {}))
    [block] = power_table(first, second)
    row = dict(zip(block.header, block.rows[0], strict=True))
    own = components_of([first.of[arm] for arm in ("good", "same", "other", "repeated")])
    planned, design = nearest_variances(study).components["roc_auc"], Design(6, 1, 13)
    assert row["one comparison"] == f"{smallest_difference(own, design, 0.95):.4f}"
    assert row["each of all (Holm)"] == f"{smallest_difference(own, design, 0.975):.4f}"
    assert row["planned: one comparison"] == f"{smallest_difference(planned, design, 0.95):.4f}"
    halves = [np.diff(first.comparisons[arm][0].interval)[0] / 2 for arm in ("same", "other", "repeated")]
    assert row["median of half the intervals"] == f"{np.median(halves):.4f}"
    assert [row[0] for row in block.rows] == ["ROC AUC", "log loss"]
    [said] = power_words(first)
    assert f"show a true difference of {row['one comparison']} in ROC AUC" in said.text
    assert said.text.endswith(f"each of 2 must be {row['each of all (Holm)']} (Holm).")


def test_late_trainings_are_left_out():
    study = study_of()
    records = began_late(simulate(study, {}), "same", [0, 1])
    late, begun = both(study, records), both(study, without_late(records))
    smallest = [float(power_table(*one)[0].rows[0][1]) for one in (late, begun)]
    assert smallest[1] < smallest[0] / 2


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_a_study_that_is_too_small_says_nothing(seeds):
    study = study_of(controls=[], data_seeds=seeds, model_seeds=seeds)
    records = simulate(study, {})
    scores = both(study, records[records["data_seed"].fillna(0) == 0])
    assert power_table(*scores) == power_words(scores[0]) == []
