"""Which settings of a random design have trainings that begin late: known counts, and none where none is."""

import pytest
from scipy import stats
from simulated_study import ARM, began_late, saved_study, simulate, study_of

from nanotabpfn.studies.arms import varied_arms
from nanotabpfn.studies.report.beginnings_section import late_by_setting, late_shares
from nanotabpfn.studies.report.scores import Scores
from nanotabpfn.studies.report.sections import build_report

pytestmark = pytest.mark.usefixtures("without_figures")

VARY = {"mechanisms": ["linear", "mlp", "product"], "label_noise": "uniform(0, 0.4)"}
MANY = ARM | {"vary": VARY, "design": "random", "num_arms": 24}
SECTION = "Trainings that begin late"


@pytest.fixture(scope="module")
def study():
    small = study_of()
    return type(small)(**small.model_dump() | {"arms": {"base": ARM, "many": MANY}, "rope": small.rope})


def records_of(study, late):
    """Records in which one training of each of the arms `late` had not begun."""
    [design] = varied_arms(study)
    wide = study.model_copy(update={"arms": dict.fromkeys(["base", *design.values], ARM)})
    records = simulate(wide, {})
    for arm in late:
        records = began_late(records, arm, [0])
    return records


def arms_with(study, mechanism):
    [design] = varied_arms(study)
    return [arm for arm, own in design.values.items() if own["mechanisms"] == mechanism]


def test_the_arms_with_late_trainings_are_counted_at_both_ends(study):
    [design] = varied_arms(study)
    late = arms_with(study, "mlp")[:6]
    records = records_of(study, late)
    scores = Scores(saved_study(study), records)
    found = {one.effect.words: one for one in late_by_setting(scores, late_shares(scores, records))["many"]}
    of_mlp = found["mechanisms from linear to mlp"]
    assert (of_mlp.at_start, of_mlp.at_end) == ((0, 8), (6, 8))
    alone = stats.fisher_exact([[0, 8], [6, 2]]).pvalue
    assert of_mlp.p_value == pytest.approx(3 * alone)  # Holm: the smallest of three
    assert found["mechanisms from linear to product"].at_end == (0, 8)
    [of_noise] = [one for one in found.values() if one.effect.path == "label_noise"]
    order = sorted(design.values, key=lambda arm: design.values[arm]["label_noise"])
    assert of_noise.at_start == (len(set(order[:12]) & set(late)), 12)
    assert of_noise.at_end == (len(set(order[12:]) & set(late)), 12)


def test_a_setting_that_begins_late_is_a_finding(study, tmp_path):
    late = arms_with(study, "mlp")[:7]
    sections = {one.title: one for one in build_report(saved_study(study), records_of(study, late), tmp_path)}
    said = [line for block in sections["In short"].blocks for line in block.items_]
    start = "many: with mechanisms mlp, trainings of 7 of 8 arms begin late; with linear, of 0 of 8 (p = 0.00"
    assert any(line.startswith(start) for line in said)
    of_arms, of_settings, *_ = sections[SECTION].blocks
    assert [row[0] for row in of_arms.rows] == ["base", *late, "repeated"]
    assert "17 arms drawn at random are not listed" in of_arms.caption
    assert of_settings.rows[0][:5] == ("mechanisms", "linear", "0 of 8", "mlp", "7 of 8")


def test_without_late_trainings_no_setting_is_listed(study, tmp_path):
    records = records_of(study, [])
    scores = Scores(saved_study(study), records)
    assert late_by_setting(scores, late_shares(scores, records)) == {}
    sections = {one.title: one for one in build_report(saved_study(study), records, tmp_path)}
    assert "arms with late trainings" not in [
        name for block in sections[SECTION].blocks for name in block.header
    ]
