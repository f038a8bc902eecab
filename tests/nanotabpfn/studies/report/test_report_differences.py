"""The table of differences in every read-out: known answers on held-out datasets, and what old records
lack."""

import numpy as np
import pytest
from scipy import stats
from simulated_study import saved_study, simulate, study_of

from nanotabpfn.studies.report.differences import differences_table, held_out_comparisons
from nanotabpfn.studies.report.scores import Scores


def parts_of(study, means=None, metric=None):
    records = simulate(study, means or {"same": 0.78})
    return Scores(saved_study(study), records, metric), records


def test_datasets_of_the_common_prior_are_units_as_tables_are():
    scores, records = parts_of(study_of())
    found = held_out_comparisons(scores, records, "common")["same"]
    chosen = records[(records["target"] == "common") & (records["metric"] == "roc_auc")]
    of = chosen.set_index(["arm", "data_seed", "task"])["value"]
    differences = (of["same"] - of["good"]).unstack("task").to_numpy(float)  # (P, N)
    assert found.tables == pytest.approx(differences.mean(axis=0))
    parts = [
        stats.sem(means) * stats.t.ppf(0.975, len(means) - 1)
        for means in (differences.mean(axis=0), differences.mean(axis=1))
    ]
    half = np.hypot(*parts)
    assert found.interval == pytest.approx((found.mean - half, found.mean + half))


def test_on_the_arms_priors_seeds_are_units_and_priors_weigh_alike():
    study = study_of(metric="log_loss")
    scores, records = parts_of(study)
    chosen = (records["target"] == "prior") & (records["metric"] == "log_loss")
    own = chosen & (records["arm"] == "same")
    records.loc[chosen & (records["arm"] == "good"), "value"] = 0.3
    records.loc[own, "value"] = 0.3 + 0.01 * records.loc[own, "data_seed"].astype(float)
    records.loc[own & (records["suite"] == "good"), "value"] += 0.1
    found = held_out_comparisons(scores, records, "prior")["same"]
    expected = -(0.05 + 0.01 * np.arange(6))  # worse, and more so with each seed
    assert found.mean == pytest.approx(expected.mean())
    assert found.interval == pytest.approx(stats.ttest_1samp(expected, 0).confidence_interval(0.95))


def test_every_arm_has_every_read_out():
    study = study_of(metric="log_loss")
    scores, records = parts_of(study)
    second, _ = parts_of(study, metric="roc_auc")
    [block] = differences_table(scores, second, records)
    assert block.header == (
        "arm",
        "log loss, real tables",
        "ROC AUC, real tables",
        "log loss, the common prior",
        "log loss, the arms' priors",
    )
    assert [row[0] for row in block.rows] == ["same", "repeated"]
    assert all(cell for row in block.rows for cell in row)
    assert all(cell.startswith("-0.0") and " to " in cell for cell in block.rows[0][1:4])


def test_records_without_the_common_prior_are_reported():
    study = study_of()
    scores, records = parts_of(study)
    second, _ = parts_of(study, metric="log_loss")
    [block] = differences_table(scores, second, records[records["target"] == "real"])
    assert len(block.header) == 3
