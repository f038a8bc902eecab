"""The sections of a report: what they say about simulated records."""

import json
import re

import pytest
from simulated_study import saved_study, simulate, study_of

from nanotabpfn.studies.properties import DISTANCES
from nanotabpfn.studies.report.sections import build_report
from nanotabpfn.studies.spec import Study, StudyError
from priors.audit.properties import PROPERTIES
from priors.streams import PRIOR_VERSION

pytestmark = pytest.mark.usefixtures("without_figures")


def report(tmp_path, study, records):
    return build_report(saved_study(study), records, tmp_path)


def words_of(sections, title):
    [section] = [section for section in sections if section.title == title]
    return "\n".join(line for block in section.blocks for line in (block.text, *block.items_))


def test_an_identity_study_finds_nothing_and_a_broken_prior_is_found_worse(tmp_path):
    study = study_of(["good", "same", "broken"])
    records = simulate(study, {"broken": 0.5})
    said = words_of(report(tmp_path, study, records), "In short")
    assert "same and good: no difference was shown, " in said
    assert re.search(r"broken is worse than good: -0\.(2[89]|3)", said), said


@pytest.mark.parametrize("seed", range(5))
def test_the_repeated_control_is_reported_as_noise(tmp_path, seed):
    study = study_of()
    sections = report(tmp_path, study, simulate(study, {}, seed))
    said = words_of(sections, "Controls")
    assert "repeated and good: no difference was shown" in said
    assert "so this is the size of noise here" in said
    assert re.search(r"scrambled: ROC AUC 0\.(49|50)", said)
    assert "no better than chance, as it should be" in said


def test_a_leak_in_the_scrambled_control_is_reported(tmp_path):
    study = study_of()
    said = words_of(report(tmp_path, study, simulate(study, {"scrambled": 0.8})), "Controls")
    assert "better than chance, though its labels are independent of the features" in said


def test_a_scrambled_control_below_chance_is_no_leak(tmp_path):
    study = study_of()
    blocks = next(
        section.blocks
        for section in report(tmp_path, study, simulate(study, {"scrambled": 0.3}))
        if section.title == "Controls"
    )
    [said] = [block for block in blocks if block.text.startswith("scrambled: ROC AUC")]
    assert said.kind == "text"
    assert "below chance, which is no leak" in said.text


@pytest.mark.parametrize(
    ("controls", "words"),
    [
        ([], "no control untrained, no control scrambled, no control repeated"),
        (["untrained", "scrambled"], "This study has no control repeated."),
    ],
)
def test_a_study_without_controls_says_so_first(tmp_path, controls, words):
    study = study_of(controls=controls)
    first = report(tmp_path, study, simulate(study, {}))[0]
    assert first.blocks[0].kind == "warning"
    assert words in first.blocks[0].text


def test_controls_that_are_not_scored_yet_are_no_missing_controls(tmp_path):
    study = study_of()
    records = simulate(study, {}).query("arm not in ('untrained', 'scrambled', 'repeated')")
    said = words_of(report(tmp_path, study, records), "Controls")
    assert said.splitlines()[0] == "No control is scored yet."


def test_one_table_gives_no_interval_over_tables_and_no_call_of_leakage(tmp_path):
    study = study_of()
    records = simulate(study, {"scrambled": 0.8}).query("target != 'real' or task == 'table 0'")
    sections = report(tmp_path, study, records)
    assert re.search(
        r"scrambled: ROC AUC 0\.\d+ on the only table, which cannot", words_of(sections, "Controls")
    )
    cells = [
        cell
        for section in sections
        for block in section.blocks
        if block.kind == "table"
        for row in block.rows
        for cell in row
    ]
    assert not [cell for cell in cells if "nan" in cell]
    assert not [block.text for section in sections for block in section.blocks if "nan to" in block.text]


def test_a_failed_control_is_reported_first(tmp_path):
    study = study_of()
    first = report(tmp_path, study, simulate(study, {"scrambled": 0.8, "repeated": 0.7}))[0]
    warnings = "\n".join(block.text for block in first.blocks if block.kind == "warning")
    assert "better than chance, though its labels are independent of the features" in warnings
    assert "repeated is worse than good" in warnings
    assert "trust no difference of this size" in warnings


def test_properties_of_priors_are_in_a_table_with_scores(tmp_path):
    study = study_of()
    records = simulate(study, {})
    [section] = [one for one in report(tmp_path, study, records) if one.title == "What the priors are like"]
    [block] = [block for block in section.blocks if block.kind == "table"]
    assert block.header == ("prior", "ROC AUC", *PROPERTIES.values(), *DISTANCES.values())
    rows = {row[0]: row for row in block.rows}
    assert list(rows)[:2] == ["good", "same"]
    assert "untrained" not in rows
    final = records.query("arm == 'same' and is_final and target == 'real' and metric == 'roc_auc'")
    assert rows["same"][1] == f"{final['value'].mean():.3f}"
    assert rows["same"][2:4] == ("0.025", "1.025")  # means of its two datasets
    assert rows["same"][-1] == "9.025"
    assert rows["tables of builtin"][2] == "0.105"
    assert rows["tables of builtin"][-1] == ""
    assert rows["rank correlation with the score"][2:] == ("",) * (len(block.header) - 2)  # of two priors


def test_controls_are_no_priors_whose_properties_are_ranked(tmp_path):
    study = study_of(("good", "same", "third"))
    records = simulate(study, {"good": 0.7, "same": 0.75, "third": 0.8, "scrambled": 0.9, "repeated": 0.6})
    [section] = [one for one in report(tmp_path, study, records) if one.title == "What the priors are like"]
    [block] = [block for block in section.blocks if block.kind == "table"]
    assert block.rows[-1][2] == "1.000"  # the property grows with the number of the arm
    assert "over the 3 priors without controls" in section.blocks[-1].text


def test_one_seed_is_reported(tmp_path):
    study = study_of(data_seeds=[3], model_seeds=[4])
    assert "One data seed" in words_of(report(tmp_path, study, simulate(study, {})), "In short")


def test_one_complete_seed_of_several_is_reported(tmp_path):
    """Its interval has tables alone as units, so a claim from it is about these trainings."""
    study = study_of(arms=("good", "same", "other"))
    records = simulate(study, {"same": 0.75})
    late = (records["arm"] == "same") & (records["model_seed"] > 0).fillna(False)
    said = words_of(report(tmp_path, study, records[~late]), "In short")
    assert "one of several seeds is complete for same: its luck is not part" in said
    assert re.search(r"same is worse than good: \S+ \(\S+ to \S+, of one training each\)", said), said
    assert not re.search(r"other .* of one training each", said)


def test_nothing_scored_is_no_report(tmp_path):
    study = study_of()
    with pytest.raises(StudyError, match="no cell is scored yet"):
        report(tmp_path, study, simulate(study, {}).iloc[:0])


def test_the_report_has_the_study_as_it_was_run(tmp_path):
    study = study_of()
    sections = report(tmp_path, study, simulate(study, {}))
    [section] = [section for section in sections if section.title == "How it was made"]
    code = [block.text for block in section.blocks if block.kind == "code"]
    assert Study(**json.loads(code[0])) == study
    assert "nanotabpfn study run study.json" in code[1]


def test_numbers_of_the_tables_are_those_of_the_records(tmp_path):
    study = study_of()
    records = simulate(study, {})
    [block] = [
        block
        for section in report(tmp_path, study, records)
        for block in section.blocks
        if block.kind == "table" and block.header[0] == "table"
    ]
    column = block.header.index("same")
    for row in block.rows:
        chosen = records.query(
            "arm == 'same' and task == @row[0] and is_final and target == 'real' and metric == 'roc_auc'"
        )
        assert row[column] == f"{chosen['value'].mean():.3f}"


def test_a_study_that_is_half_done_is_reported(tmp_path):
    study = study_of()
    records = simulate(study, {})
    half = records[~((records["model_seed"] > 0).fillna(False) & (records["arm"] != "good"))]
    said = words_of(report(tmp_path, study, half), "In short")
    assert "Not complete: 0 of 30 cells are done" in said
    assert "Not compared" not in said
    first, second = ((records["model_seed"] > 0).fillna(False) == value for value in (False, True))
    apart = records[~(first & (records["arm"] == "good")) & ~(second & (records["arm"] == "same"))]
    said = words_of(report(tmp_path, study, apart), "In short")
    assert "Not compared, since no seed has scores of them and of the reference: same" in said


def test_priors_of_another_version_are_not_drawn(tmp_path):
    study = study_of()
    records = simulate(study, {})
    saved = saved_study(study)
    for version, is_drawn in {None: True, PRIOR_VERSION: True, PRIOR_VERSION - 1: False}.items():
        sections = build_report(saved._replace(prior_version=version), records, tmp_path)
        [section] = [section for section in sections if section.title == "The priors"]
        assert any(block.kind == "figure" for block in section.blocks) == is_drawn
    assert f"version {PRIOR_VERSION - 1} of the priors" in section.blocks[0].text


def test_scores_on_the_common_prior_are_beside_those_on_the_arms_priors(tmp_path):
    study = study_of()
    records = simulate(study, {"same": 0.7})
    [section] = [one for one in report(tmp_path, study, records) if one.title == "Own and other priors"]
    block = section.blocks[1]
    assert block.header == ("trained on", "good", "same", "scrambled", "repeated", "the common prior")
    common = records[(records["target"] == "common") & (records["metric"] == "roc_auc")]
    assert {row[0]: row[-1] for row in block.rows} == {
        arm: f"{value:.3f}" for arm, value in common.groupby("arm")["value"].mean().items()
    }
    [section] = [
        one
        for one in report(tmp_path, study, records[records["target"] != "common"])
        if one.title == "Own and other priors"
    ]
    assert section.blocks[1].header[-1] == "repeated"


def test_models_on_each_others_priors_are_compared_on_seeds_that_all_have(tmp_path):
    study = study_of()
    records = simulate(study, {})
    is_late = (records["model_seed"] > 0).fillna(False)
    records.loc[is_late & records["target"].isin(["prior", "common"]), "value"] = 0.1
    half = records[~(is_late & (records["arm"] == "same"))]
    [section] = [one for one in report(tmp_path, study, half) if one.title == "Own and other priors"]
    picture, block = section.blocks
    assert "mean over datasets and the seeds that all of them have" in picture.caption
    assert all(float(cell) > 0.4 for row in block.rows for cell in row[1:])
