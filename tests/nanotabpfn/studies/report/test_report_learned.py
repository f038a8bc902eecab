"""The first line of a report of a study in which nothing was learned."""

import re

import pandas as pd
import pytest
from simulated_study import began_late, saved_study, simulate, study_of

from nanotabpfn.studies.report.sections import build_report

pytestmark = pytest.mark.usefixtures("without_figures")
NOTHING = {"good": 0.5, "same": 0.5, "repeated": 0.5}


def first_line(tmp_path, study, records):
    return build_report(saved_study(study), records, tmp_path)[0].blocks[0].text


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
def test_it_says_first_that_nothing_was_learned_and_what_to_do(tmp_path, metric):
    study = study_of(metric=metric, question="Which is better?")
    said = first_line(tmp_path, study, simulate(study, NOTHING))
    assert said.startswith("Nothing was learned; train longer.")
    assert re.search(r"ends at 0\.(49|50)\d after 4 steps; the untrained model has 0\.(49|50)", said)
    assert "has not risen since step 2" in said
    assert "Set steps to 1000" in said


def test_a_curve_that_rises_is_said_to_rise(tmp_path):
    study = study_of()
    records = simulate(study, NOTHING)
    early = (records["step"] == 2) & (records["metric"] == "roc_auc")
    records.loc[early.fillna(False), "value"] -= 0.05
    assert "It still rises, by 0.0" in first_line(tmp_path, study, records)


def test_after_many_steps_the_remedy_is_another_one(tmp_path):
    study = study_of(steps=2000, eval_every=1000)
    assert "set a lower lr" in first_line(tmp_path, study, simulate(study, NOTHING))


def test_one_arm_that_learned_is_enough(tmp_path):
    study = study_of(question="Which is better?")
    assert first_line(tmp_path, study, simulate(study, NOTHING | {"same": 0.8})) == "Which is better?"


def test_held_out_datasets_show_it_where_real_tables_do_not(tmp_path):
    study = study_of(question="Which is better?")
    records = simulate(study, NOTHING)
    own = (records["target"] == "prior") & (records["arm"] == "same") & (records["suite"] == "same")
    records.loc[own, "value"] = 0.55 + 0.01 * records.loc[own, "data_seed"].astype(float)
    assert first_line(tmp_path, study, records) == "Which is better?"


def test_a_log_loss_that_improves_alone_is_not_learning(tmp_path):
    """That of the class shares is better than that of an untrained model."""
    study = study_of(metric="log_loss")
    records = simulate(study, NOTHING)
    records.loc[(records["arm"] == "untrained") & (records["metric"] == "log_loss"), "value"] += 0.3
    assert first_line(tmp_path, study, records).startswith("Nothing was learned")


def test_with_one_pair_of_seeds_datasets_are_units(tmp_path):
    study = study_of(question="Which is better?", data_seeds=[0], model_seeds=[0])
    records = simulate(study, NOTHING)
    own = records[(records["target"] == "prior") & (records["suite"] == "same")]
    more = [
        own.assign(task=str(n), value=own["value"] + (0.2 + 0.01 * n) * (own["arm"] == "same"))
        for n in (1, 2, 3, 4)
    ]
    assert first_line(tmp_path, study, records).startswith("Nothing was learned")
    assert first_line(tmp_path, study, pd.concat([records, *more])) == "Which is better?"


def test_without_the_control_nothing_is_said(tmp_path):
    study = study_of(controls=["repeated"])
    assert "Nothing was learned" not in first_line(tmp_path, study, simulate(study, NOTHING))


def test_it_says_how_many_trainings_had_not_begun(tmp_path):
    study = study_of()
    records = simulate(study, NOTHING)
    assert "had not begun" not in first_line(tmp_path, study, records)
    records = began_late(records, "same", [0, 1, 2], loss=0.0)
    assert "Of 12 trainings of the arms 3 had not begun" in first_line(tmp_path, study, records)
    assert "had not begun" not in first_line(
        tmp_path, study, records.assign(begun=None).astype({"begun": "boolean"})
    )
