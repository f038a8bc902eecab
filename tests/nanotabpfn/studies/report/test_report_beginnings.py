"""Trainings that had not begun: known answers on their shares, and effects with and without them."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from simulated_study import began_late, saved_study, simulate, study_of

from nanotabpfn.studies.report.beginnings_section import late_shares, without_late
from nanotabpfn.studies.report.scores import Scores
from nanotabpfn.studies.report.sections import build_report

pytestmark = pytest.mark.usefixtures("without_figures")
SECTION = "Trainings that begin late"


def sections_of(tmp_path, study, records):
    return {section.title: section.blocks for section in build_report(saved_study(study), records, tmp_path)}


def words_of(blocks):
    return "\n".join(line for block in blocks for line in (block.text, *block.items_))


def rows_of(block):
    return {row[0]: row[1:] for row in block.rows}


def test_effects_are_reported_with_and_without_late_trainings(tmp_path):
    study = study_of(["good", "same", "other"])
    clean = simulate(study, {"other": 0.75})
    records = began_late(clean, "same", [1, 4])
    sections = sections_of(tmp_path, study, records)
    said = words_of(sections["In short"])
    assert "same and good: no difference was shown, -0.04" in said
    assert "had not begun by step 0: same 2 of 6. They are part of the differences above. Without" in said
    left = Scores(saved_study(study), clean[~clean["model_seed"].isin([1, 4])])
    assert left.words("same") in said
    table = rows_of(sections[SECTION][1])
    assert table["same"][2] == f"{left.comparisons['same'][0].mean:+.4f}"
    assert table["other"][:2] == table["other"][2:4]  # its own trainings and the reference's had all begun
    of_cells = clean.query("is_final and target == 'real' and metric == 'roc_auc'")
    means = of_cells.groupby(["arm", "model_seed"])["value"].mean().unstack()
    differences = (means.loc["same"] - means.loc["good"]).to_numpy(float) - 0.15 * np.isin(range(6), [1, 4])
    assert table["same"][4:] == (
        f"{np.median(differences):+.4f}",
        f"{np.sort(differences)[1:-1].mean():+.4f}",
    )


def test_shares_are_compared_by_fishers_test():
    study = study_of(["good", "same", "other"])
    records = began_late(simulate(study, {}), "same", [0, 1, 2, 3, 4, 5])
    records = began_late(records, "repeated", [2])
    shares = late_shares(Scores(saved_study(study), records), records)
    assert {arm: share.words for arm, share in shares.items()} == {
        "good": "0 of 6",
        "same": "6 of 6",
        "other": "0 of 6",
        "repeated": "1 of 6",
    }
    assert shares["same"].p_value == pytest.approx(2 * 2 / 924)  # 2 of the 924 ways, and two arms (Holm)
    assert shares["other"].p_value == 1
    assert shares["repeated"].p_value == pytest.approx(1)  # a control: not adjusted
    assert np.isnan(shares["good"].p_value)


def test_an_arm_that_begins_late_is_a_finding_of_its_own(tmp_path):
    study = study_of()
    records = began_late(simulate(study, {}), "same", [0, 1, 2, 3, 4])
    said = words_of(sections_of(tmp_path, study, records)["In short"])
    assert (
        "Trainings of same begin late more often than those of good: 5 of 6 and 0 of 6 (p = 0.015)." in said
    )


def test_intervals_of_shares_are_exact(tmp_path):
    study = study_of()
    records = began_late(simulate(study, {}), "same", [0, 1])
    block = sections_of(tmp_path, study, records)[SECTION][0]
    low, high = stats.beta.ppf(0.025, 2, 5), stats.beta.ppf(0.975, 3, 4)
    assert rows_of(block)["same"][:2] == ("2 of 6", f"{low:.0%} to {high:.0%}")


def test_where_all_had_begun_nothing_is_said_first(tmp_path):
    study = study_of()
    sections = sections_of(tmp_path, study, simulate(study, {}))
    assert "had not begun" not in words_of(sections["In short"])
    table = rows_of(sections[SECTION][1])
    assert table["same"][:2] == table["same"][2:4]


def test_where_no_pair_is_left_it_says_so(tmp_path):
    study = study_of()
    records = began_late(simulate(study, {}), "good", [0, 1, 2, 3, 4, 5])
    sections = sections_of(tmp_path, study, records)
    assert "Without them, no seeds are left." in words_of(sections["In short"])
    assert rows_of(sections[SECTION][1])["same"][2:4] == ("", "")


def test_records_of_an_earlier_version_say_that_it_is_not_known(tmp_path):
    study = study_of()
    records = simulate(study, {}).assign(begun=pd.array([pd.NA], dtype="boolean")[0])
    records["begun"] = records["begun"].astype("boolean")
    sections = sections_of(tmp_path, study, records)
    assert "is not known" in sections[SECTION][0].text
    assert "without late ones" not in sections[SECTION][1].header
    assert without_late(records).equals(records)
