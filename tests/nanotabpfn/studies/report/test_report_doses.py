"""Doses in a report: a known trend is found, no trend is not, and the line is that of least squares."""

import re

import numpy as np
import pytest
from scipy import stats
from simulated_study import ARM, began_late, saved_study, simulate, study_of

from nanotabpfn.studies.report.doses_section import responses
from nanotabpfn.studies.report.figures import dose_response
from nanotabpfn.studies.report.scores import Scores
from nanotabpfn.studies.report.sections import build_report

NOISE = ARM | {"vary": {"label_noise": [[0.1, 0.3], 0, 0.1]}, "design": "doses"}
ARMS = {0.0: "noise label_noise=0", 0.1: "noise label_noise=0.1", 0.2: "noise label_noise=0.1-0.3"}


def study_with_doses(**changes):
    study = study_of(**changes)
    return type(study)(**study.model_dump() | {"arms": {"noise": NOISE}, "rope": study.rope})


def records_of(study, slope):
    """Records in which ROC AUC changes by `slope` per unit of the dose."""
    means = {arm: 0.8 + slope * dose for dose, arm in ARMS.items()}
    wide = study.model_copy(update={"arms": dict.fromkeys(ARMS.values(), study.arms["noise"])})
    return simulate(wide, means | {"repeated": means[ARMS[0.2]]})


def test_a_trend_is_shown_with_its_size(tmp_path):
    study = study_with_doses()
    records = records_of(study, -0.5)
    sections = {one.title: one.blocks for one in build_report(saved_study(study), records, tmp_path)}
    [said] = [line for block in sections["In short"] for line in block.items_ if "trend" in line]
    assert re.fullmatch(
        r"noise, label_noise from 0 to 0\.2: a trend is shown, -0\.(09|10)\d\d \(-0\.1\d+ to -0\.0\d+\) "
        r"from the lowest to the highest\.",
        said,
    )
    drawn, rows = sections["Doses"]
    assert drawn.kind == "figure"
    assert drawn.text.count("<svg") == 1
    assert [row[2] for row in rows.rows] == ["ROC AUC", "log loss"]
    assert all(row[3].startswith("-0.") and row[3:5] == row[6:8] for row in rows.rows)


def test_the_change_is_that_of_least_squares_with_pairs_and_tables_as_units():
    study = study_with_doses(metric="log_loss")
    records = records_of(study, -0.5)
    found = responses(Scores(saved_study(study), records))["noise"]
    assert found.doses.tolist() == [0, 0.1, 0.2]
    final = records.query("is_final and target == 'real' and metric == 'log_loss'")
    means = final.groupby(["arm", "task", "data_seed"])["value"].mean().unstack(["task", "data_seed"])
    of_doses = -means.loc[list(ARMS.values())].to_numpy(float)
    slopes = np.polyfit(list(ARMS), of_doses, 1)[0].reshape(13, 6) * 0.2
    assert found.change.mean == pytest.approx(slopes.mean())
    parts = [
        stats.sem(units) * stats.t.ppf(0.975, len(units) - 1)
        for units in (slopes.mean(axis=0), slopes.mean(axis=1))
    ]
    half = np.hypot(*parts)
    assert found.change.interval == pytest.approx((slopes.mean() - half, slopes.mean() + half))
    assert sum(one.mean for one in found.of_doses) == pytest.approx(0, abs=1e-12)


@pytest.mark.usefixtures("without_figures")
def test_no_trend_is_not_shown(tmp_path):
    study = study_with_doses()
    first = build_report(saved_study(study), records_of(study, 0.0), tmp_path)[0]
    [said] = [line for block in first.blocks for line in block.items_ if "trend" in line]
    assert "no trend was shown" in said


@pytest.mark.usefixtures("without_figures")
def test_late_trainings_are_left_out_beside_it(tmp_path):
    study = study_with_doses()
    records = began_late(records_of(study, 0.0), ARMS[0.2], [0, 1])
    sections = {one.title: one.blocks for one in build_report(saved_study(study), records, tmp_path)}
    row = sections["Doses"][1].rows[0]
    assert float(row[3]) < -0.03 < -0.01 < float(row[6])


def test_two_doses_left_are_no_series():
    study = study_with_doses()
    records = records_of(study, -0.5)
    assert responses(Scores(saved_study(study), records[records["arm"] != ARMS[0.1]])) == {}


def test_names_are_text_in_the_figure():
    line = (0.1, (0.0, 0.2))
    svg = dose_response({"<script>": (np.array([0.0, 1.0, 3.0]), [line] * 3, line)}, "$x^{").svg
    assert svg.count("<svg") == 1
    assert "<script" not in svg


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize(
    ("late", "left"),
    [(3, "label_noise from 0 to 0.2"), (1, "label_noise from 0 to 0.3, without 0.1")],
)
def test_a_change_over_fewer_doses_does_not_stand_beside_one_over_all(tmp_path, late, left):
    """Where all trainings of a dose are late, what is left is a change over other doses."""
    vary = {"label_noise": [0, 0.1, [0.1, 0.3], 0.3]}
    study = study_of()
    study = type(study)(
        **study.model_dump() | {"arms": {"noise": NOISE | {"vary": vary}}, "rope": study.rope}
    )
    arms = [*ARMS.values(), "noise label_noise=0.3"]
    wide = study.model_copy(update={"arms": dict.fromkeys(arms, study.arms["noise"])})
    means = dict(zip(arms, (0.8, 0.8, 0.78, 0.6), strict=True))
    records = began_late(simulate(wide, means | {"repeated": 0.8}), arms[late], range(6))
    sections = {one.title: one.blocks for one in build_report(saved_study(study), records, tmp_path)}
    row = sections["Doses"][1].rows[0]
    assert row[1] == "label_noise from 0 to 0.3"
    assert row[6:] == (f"only {left} is left", "")
