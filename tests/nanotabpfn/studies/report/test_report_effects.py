"""Main effects in a report: known ones are found, none is claimed where there is none, names are text."""

import re

import numpy as np
import pytest
from simulated_study import ARM, began_late, saved_study, simulate, study_of

from nanotabpfn.studies.arms import varied_arms
from nanotabpfn.studies.report.effect_analyses import analyses
from nanotabpfn.studies.report.effects_section import effect_words
from nanotabpfn.studies.report.render import to_html
from nanotabpfn.studies.report.scores import Scores
from nanotabpfn.studies.report.sections import build_report

pytestmark = pytest.mark.usefixtures("without_figures")  # of other sections

VARY = {
    "label_noise": "uniform(0, 0.4)",
    "mechanisms": ["linear", "mlp", "product"],
    "mix": ["dataset", "node"],
}
MANY = ARM | {"vary": VARY, "design": "random", "num_arms": 16}
SEEDS = {"data_seeds": [0, 1, 2], "model_seeds": [0, 1, 2]}
FACTORIAL = ARM | {"vary": {"mechanisms": ["linear", "mlp"], "mix": ["dataset", "node"]}}


def study_with(arm=MANY, name="many", **changes):
    study = study_of(**SEEDS | changes)
    return type(study)(**study.model_dump() | {"arms": {"base": ARM, name: arm}, "rope": study.rope})


def records_of(study, score):
    """Records in which `score` of its settings is added to the ROC AUC of an arm."""
    [design] = varied_arms(study)
    means = {arm: 0.8 + score(values) for arm, values in design.values.items()}
    wide = study.model_copy(update={"arms": dict.fromkeys(["base", *means], ARM)})
    return simulate(wide, means)


def sections_of(study, records, folder):
    return {one.title: one for one in build_report(saved_study(study), records, folder)}


def strong(values):
    return -0.4 * values["label_noise"] + 0.1 * (values["mechanisms"] == "mlp")


def test_a_missing_cell_of_a_factorial_design_gives_no_false_effect(tmp_path):
    """Without an arm its grid would be unbalanced, and the interaction would look like main effects."""
    vary = {"mechanisms": ["linear", "mlp"], "mix": ["dataset", "node"], "label_noise": [0, 0.2]}
    study = study_with(ARM | {"vary": vary}, "all", seed_design="paired")
    both = {"mechanisms": "mlp", "mix": "node"}
    records = records_of(study, lambda values: 0.1 * (both.items() <= values.items()))
    [design] = varied_arms(study)
    missing = (records["arm"] == next(iter(design.values))) & (records["data_seed"] == 1)
    scores = Scores(saved_study(study), records[~missing])
    [analysis] = analyses(scores).values()
    assert analysis.shape[:2] == (8, 2)
    [noise] = [one for one in analysis.main if one.effects[0].path == "label_noise"]
    assert not noise.is_shown(0.95)
    assert abs(noise.estimate.mean) < 0.01
    without_an_arm = records[records["arm"] != next(iter(design.values))]
    assert analyses(Scores(saved_study(study), without_an_arm)) == {}


def test_known_effects_are_shown_with_their_size(tmp_path):
    study = study_with()
    sections = sections_of(study, records_of(study, strong), tmp_path)
    assert list(sections)[:2] == ["In short", "Main effects"]
    said = [line for block in sections["In short"].blocks for line in block.items_]
    assert re.match(r"many, label_noise from 0 to 0\.4: worse, -0\.1\d+ \(-0\.\d+ to -0\.\d+\)\.", said[0])
    assert re.match(r"many, mechanisms from linear to mlp: better, \+0\.(09|10|11)\d+ ", said[1])
    assert re.fullmatch(
        r"many: no effect was shown, and one of 0\.01 or more is ruled out, "
        r"of mechanisms from linear to product; mix \(half-widths of the intervals: 0\.\d+ to 0\.\d+\)\.",
        said[2],
    )
    in_second = [line for line in said if line.startswith("In log loss, ")]
    assert in_second[0].startswith("In log loss, many, label_noise from 0 to 0.4: worse, -0.")
    assert not [line for line in said if "many 0" in line]
    words, drawn, rows, others = sections["Main effects"].blocks
    assert "16 arms, drawn at random, with 3 settings; 48 cells on 13 tables" in words.text
    assert drawn.text.count("<svg") == 1
    assert [row[:3] for row in rows.rows[:2]] == [
        ("label_noise", "0 to 0.4", "ROC AUC"),
        ("mechanisms", "linear to mlp", "ROC AUC"),
    ]
    assert [row[2] for row in rows.rows] == ["ROC AUC"] * 4 + ["log loss"] * 4
    assert [row[6] for row in rows.rows[:4]] == ["yes", "yes", "no", "no"]
    assert "none stands out of 5 tested in each metric" in others.text


def test_drawn_arms_are_not_compared_one_by_one(tmp_path):
    study = study_with()
    sections = sections_of(study, records_of(study, strong), tmp_path)
    scores = Scores(saved_study(study), records_of(study, strong))
    assert list(scores.comparisons) == ["untrained", "scrambled", "repeated"]
    tables = [block for block in sections["Real tables"].blocks if block.kind == "table"]
    assert len(tables[0].rows) == 16 + 4 + 1  # means have all arms, and the baseline
    assert not [name for name in tables[-1].header if "many" in name]
    gallery = [block.caption for block in sections["The priors"].blocks]
    assert len([caption for caption in gallery if "many" in caption]) == 3


def test_effects_are_those_of_least_squares_on_the_means_of_arms():
    study = study_with()
    records = records_of(study, strong)
    found = analyses(Scores(saved_study(study), records, "log_loss"))["many"]
    [design] = varied_arms(study)
    final = records.query("is_final and target == 'real' and metric == 'log_loss'")
    means = -final.groupby("arm")["value"].mean().loc[list(design.values)].to_numpy(float)
    columns = [
        [
            1,
            one["label_noise"] / 0.4,
            one["mechanisms"] == "mlp",
            one["mechanisms"] == "product",
            one["mix"] == "node",
        ]
        for one in design.values.values()
    ]
    expected = np.linalg.lstsq(np.array(columns, float), means, rcond=None)[0][1:]
    assert [one.estimate.mean for one in found.main] == pytest.approx(expected)
    assert found.shape == (16, 3, 1, 13)


def test_an_interaction_that_stands_out_is_shown(tmp_path):
    study = study_with(MANY | {"num_arms": 24})
    records = records_of(study, lambda own: 0.5 * own["label_noise"] * (own["mix"] == "node"))
    sections = sections_of(study, records, tmp_path)
    table = sections["Main effects"].blocks[-1]
    assert "stand out of 5 tested" in table.caption
    [row] = [row for row in table.rows if row[2] == "ROC AUC"]
    assert row[:2] == ("label_noise from 0 to 0.4", "mix from dataset to node")
    assert float(row[3]) == pytest.approx(0.2, abs=0.05)
    said = [line for block in sections["In short"].blocks for line in block.items_]
    assert any("the effect of label_noise from 0 to 0.4 depends on mix" in line for line in said)


def test_an_effect_that_differs_between_seeds_says_why_its_interval_is_wide(tmp_path):
    study = study_with()
    records = records_of(study, lambda own: 0.0)
    [design] = varied_arms(study)
    of_mlp = [arm for arm, own in design.values.items() if own["mechanisms"] == "mlp"]
    hit = records["arm"].isin(of_mlp) & (records["data_seed"] == 1) & (records["metric"] == "roc_auc")
    records.loc[hit, "value"] -= 0.3
    blocks = sections_of(study, records, tmp_path)["Main effects"].blocks
    [said] = [block.items_ for block in blocks if block.kind == "list"]
    [line] = [line for line in said if line.startswith("mechanisms from linear to mlp, ROC AUC: ")]
    effects = [float(one) for one in re.findall(r"[+-]0\.\d{4}", line)]
    assert effects == pytest.approx([0, -0.3, 0], abs=0.03)
    assert line.endswith("in the 3 pairs of seeds.")
    [drawn] = [block.text for block in blocks if block.kind == "figure"]
    assert drawn.count("<svg") == 1


def test_a_noisy_level_is_named_and_left_out(tmp_path):
    study = study_with(MANY | {"num_arms": 40})
    records = records_of(study, lambda own: -0.05 * own["label_noise"])
    [design] = varied_arms(study)
    loud = [arm for arm, own in design.values.items() if own["mix"] == "node"]
    luck = dict(zip(loud, np.random.default_rng(0).normal(0, 0.1, len(loud)), strict=True))
    records["value"] += records["arm"].map(luck).fillna(0) * (records["metric"] == "roc_auc")
    sections = sections_of(study, records, tmp_path)
    blocks = sections["In short"].blocks
    [number] = [i for i, block in enumerate(blocks) if "vary more about the regression" in block.text]
    assert "many: the scores of arms with mix node vary more" in blocks[number].text
    assert "20 other arms are left" in blocks[number].text
    assert blocks[number + 1].items_[0].startswith("many, label_noise from 0 to 0.4: worse, -0.01")
    among_all = next(block.items_ for block in blocks if block.kind == "list")
    assert not [line for line in among_all if line.startswith("many, ")]
    [table] = [
        block for block in sections["Main effects"].blocks if block.caption.startswith("Without the arms")
    ]
    assert {row[0] for row in table.rows} == {"label_noise", "mechanisms"}


def test_nothing_is_claimed_where_nothing_is():
    study = study_with()
    claimed = 0
    for seed in range(10):
        [design] = varied_arms(study)
        wide = study.model_copy(update={"arms": dict.fromkeys(["base", *design.values], ARM)})
        lines = effect_words(Scores(saved_study(study), simulate(wide, {}, seed)))
        claimed += not all(line.startswith("many: no effect was shown") for line in lines)
    assert claimed <= 1


def test_a_factorial_has_main_effects_and_verdicts(tmp_path):
    study = study_with(FACTORIAL, "four")
    records = records_of(study, lambda own: 0.1 * (own["mechanisms"] == "mlp"))
    sections = sections_of(study, records, tmp_path)
    said = [line for block in sections["In short"].blocks for line in block.items_]
    assert re.match(r"four, mechanisms from linear to mlp: better, \+0\.(09|10)\d+ ", said[0])
    assert any(line.startswith("four mechanisms=mlp mix=node is better than base") for line in said)
    assert "all combinations" in sections["Main effects"].blocks[0].text
    assert "none stands out of 1 tested" in sections["Main effects"].blocks[-1].text


def test_a_failed_cell_costs_its_arm_and_late_trainings_are_left_out_beside_it(tmp_path):
    study = study_with()
    records = records_of(study, strong)
    failed = (records["arm"] == "many 03") & (records["model_seed"] == 1)
    sections = sections_of(study, records[~failed], tmp_path)
    assert "Only a complete grid of arms and seeds is used: 45 of 48 cells, without 1" in (
        sections["Main effects"].blocks[0].text
    )
    late = began_late(records, "many 05", [2], loss=0.3)
    sections = sections_of(study, late, tmp_path)
    row = sections["Main effects"].blocks[2].rows[0]
    assert row[3] != row[7]
    words = [block.text for block in sections["In short"].blocks]
    assert any(
        "Trainings that had not begun" in text and "1 of 48 of the arms of many" in text for text in words
    )


def test_a_study_of_drawn_arms_alone_has_a_report(tmp_path):
    study = study_with()
    alone = type(study)(**study.model_dump() | {"arms": {"many": MANY}, "rope": study.rope})
    records = records_of(study, strong)
    records = records[~records["arm"].isin(["base"])]
    sections = sections_of(alone, records, tmp_path)
    assert "Main effects" in sections
    methods = sections["Methods"].blocks
    assert "We compared 16 priors of synthetic tables, 16 priors whose settings label_noise, mechanisms" in (
        methods[0].text
    )
    assert "Main effects of settings are estimated by least squares" in methods[2].text
    assert not [block for block in sections["In short"].blocks if "of such studies show" in block.text]


def test_too_few_arms_are_said(tmp_path):
    study = study_with()
    records = records_of(study, strong)
    early = records[~records["arm"].isin([f"many {number:02}" for number in range(5, 17)])]
    sections = sections_of(study, early, tmp_path)
    [block] = sections["Main effects"].blocks
    assert block.text == "many: the arms that have scores are too few for the effects of its settings."


def test_names_are_text(tmp_path):
    name = "<script>alert(1)</script> $x^{ a_b"
    study = study_with(MANY, name)
    sections = build_report(saved_study(study), records_of(study, strong), tmp_path)
    assert "<script>alert" not in to_html("t", sections)
    [drawn] = [block for block in sections[1].blocks if block.kind == "figure"]
    assert "<script" not in drawn.text


def test_one_seed_and_one_table_give_words_and_no_intervals():
    study = study_with(FACTORIAL, "four", data_seeds=(0,), model_seeds=(0,))
    records = records_of(study, lambda own: 0.0)
    one_table = records[records["task"] == records["task"].iloc[0]]
    [line] = effect_words(Scores(saved_study(study), one_table))
    assert line == "four: one seed on one table gives no intervals, so no effect is shown."
