"""Two studies compared: what differs between them, and by how much with which interval."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from simulated_study import ARM, SMALL, TABLES, saved_study, simulate, study_of

from nanotabpfn.cli.main import main
from nanotabpfn.studies.arms import varied_arms
from nanotabpfn.studies.records import write_records
from nanotabpfn.studies.report import compare_studies as module
from nanotabpfn.studies.report.compare_studies import compare_studies
from nanotabpfn.studies.report.scores import Scores
from nanotabpfn.studies.saved import write_saved
from nanotabpfn.studies.spec import Study, StudyError
from nanotabpfn.studies.statistics import seed_parts


def write(folder, study, means, seed=0, tables=TABLES):
    folder.mkdir()
    records = simulate(study, means, seed)
    write_saved(saved_study(study), folder)
    write_records(records[(records["target"] != "real") | records["task"].isin(tables)], folder)
    return folder


def rows_of(found, kind, metric="roc_auc"):
    return {row.arm: row for row in found.rows if (row.kind, row.metric) == (kind, metric)}


@pytest.fixture
def first(tmp_path):
    return write(tmp_path / "a", study_of(), {"good": 0.8, "same": 0.8})


def test_a_study_does_not_differ_from_itself(first):
    found = compare_studies(first, first)
    assert found.settings == {}
    assert found.tables == TABLES
    assert {row.arm for row in found.rows if row.kind == "score"} == {
        "good", "same", "untrained", "scrambled", "repeated"
    }  # fmt: skip
    assert {row.arm for row in found.rows if row.kind == "effect"} == {"same", "repeated"}
    for row in found.rows:
        assert row.a == row.b
        assert row.difference == 0
        assert row.p_value == 1
        assert row.interval[0] < 0 < row.interval[1]


def test_differences_are_those_of_the_scores_and_of_the_effects(first, tmp_path):
    study = study_of(steps=8, arms=("good", "same", "new"))
    second = write(tmp_path / "b", study, {"good": 0.83, "same": 0.88}, seed=1, tables=TABLES[2:])
    found = compare_studies(first, second)
    assert found.tables == TABLES[2:]
    assert found.settings["steps"] == (4, 8)
    assert found.settings["arms.new"][0] is None
    scores, effects = rows_of(found, "score"), rows_of(found, "effect")
    assert "new" not in scores
    assert scores["good"].difference == pytest.approx(0.03, abs=0.02)
    assert effects["same"].difference == pytest.approx(0.05, abs=0.02)
    assert effects["same"].difference == pytest.approx(
        scores["same"].difference - scores["good"].difference, abs=1e-12
    )
    assert effects["same"].p_value < 0.01
    losses = rows_of(found, "score", "log_loss")
    assert losses["same"].difference == pytest.approx(scores["same"].difference)  # up is better there too
    assert losses["same"].b == pytest.approx(1 - scores["same"].b)


def test_the_interval_covers_the_difference_of_two_studies(first):
    """With tables, seeds and the rest as in the simulation of studies, but for many studies."""
    rng, covered, num_studies = np.random.default_rng(0), 0, 600
    scores = Scores(saved_study(study_of()), simulate(study_of(), {}))
    for _ in range(num_studies):
        table_effects = rng.normal(0, 0.05, 13)
        pair = []
        for _ in "ab":
            values = table_effects + rng.normal(0, 0.01, 13) + rng.normal(0, 0.01, (6, 1, 13))
            values = values + rng.normal(0, 0.02, (6, 1, 1))
            pair.append(module._Means(values.mean(axis=(0, 1)), seed_parts(values)))
        [row] = module._compared("score", {"arm": tuple(pair)}, scores)
        covered += row.interval[0] <= 0 <= row.interval[1]
    assert covered / num_studies >= 0.94


def test_studies_with_nothing_in_common(first, tmp_path):
    write(tmp_path / "b", study_of(), {})
    records = simulate(study_of(), {})
    write_records(records.assign(task="another " + records["task"]), tmp_path / "b")
    with pytest.raises(StudyError, match="have no table in common: builtin and builtin"):
        compare_studies(first, tmp_path / "b")
    other = study_of(arms=("x", "y"), controls=())
    with pytest.raises(StudyError, match=r"have no arm in common: good, same, .* and x, y"):
        compare_studies(first, write(tmp_path / "c", other, {}))


def test_effects_against_other_references_are_not_compared(first, tmp_path):
    second = write(tmp_path / "b", study_of(reference="same"), {})
    found = compare_studies(first, second)
    assert {row.kind for row in found.rows} == {"score"}
    result = CliRunner().invoke(main, ["study", "compare", str(first), str(second)])
    assert "Effects are not compared: the reference of A is good, that of B same." in result.output


def test_the_command_prints_both_and_as_json(first, tmp_path):
    second = write(tmp_path / "b", study_of(steps=8), {"same": 0.88})
    result = CliRunner().invoke(main, ["study", "compare", str(first), str(second)])
    assert result.exit_code == 0, result.output
    assert "  A  steps=4\n  B  steps=8\n" in result.output
    assert "Effects, arm minus reference, ROC AUC" in result.output
    result = CliRunner().invoke(main, ["study", "compare", str(first), str(second), "--json"])
    document = json.loads(result.output)
    assert document["settings"]["steps"] == {"a": 4, "b": 8}
    [row] = [
        row
        for row in document["rows"]
        if (row["arm"], row["kind"], row["metric"]) == ("same", "effect", "roc_auc")
    ]
    assert row["difference"] == pytest.approx(row["b"] - row["a"])


def many(design_seed=0, seeds=(0, 1, 2), **changes):
    """A reference and 16 arms that draw two settings at random."""
    vary = {"label_noise": "uniform(0, 0.4)", "mix": ["dataset", "node"]}
    drawn = ARM | {"vary": vary, "design": "random", "num_arms": 16, "design_seed": design_seed}
    arms = {"base": ARM, "many": drawn}
    return Study(**SMALL, arms=arms, data_seeds=seeds, model_seeds=seeds, **changes)


def write_many(folder, study, slope, seed=0, without=None):
    """Records in which the ROC AUC of an arm falls by `slope` times its label noise."""
    folder.mkdir()
    [design] = varied_arms(study)
    means = {arm: 0.8 - slope * values["label_noise"] for arm, values in design.values.items()}
    records = simulate(study.model_copy(update={"arms": dict.fromkeys(["base", *means], ARM)}), means, seed)
    is_missing = (records["arm"] == without) & (records["data_seed"] == study.data_seeds[0])
    write_saved(saved_study(study), folder)
    write_records(records[~is_missing], folder)
    return folder


def test_ranks_are_those_of_the_arms_that_are_the_same_in_both(tmp_path):
    first = write_many(tmp_path / "a", many(), slope=0.5)
    second = write_many(tmp_path / "b", many(seeds=(3, 4)), slope=0.3, seed=1, without="many 03")
    found = compare_studies(first, second)
    assert {row.arm for row in found.rows} == {"base", "untrained", "scrambled", "repeated"}  # no drawn ones
    [ranks, _] = found.ranks
    assert (ranks.metric, ranks.num_arms) == ("roc_auc", 16)  # without "many 03", with the reference
    assert 0.8 < ranks.interval[0] < ranks.correlation < ranks.interval[1] <= 1
    assert min(ranks.repeated_a, ranks.repeated_b) > 0.9
    result = CliRunner().invoke(main, ["study", "compare", str(first), str(second)])
    assert "Ranks of the 16 arms that are the same in both, ROC AUC: Spearman's correlation" in result.output

    opposite = write_many(tmp_path / "c", many(), slope=-0.5, seed=2)
    assert compare_studies(first, opposite).ranks[0].correlation < -0.9
    drawn_anew = write_many(tmp_path / "d", many(design_seed=1), slope=0.5)
    assert compare_studies(first, drawn_anew).ranks == []  # only the reference is the same


def test_crossed_seeds_are_not_independent_repetitions(tmp_path):
    crossed = many(seed_design="crossed")
    found = compare_studies(
        write_many(tmp_path / "a", crossed, slope=0.5), write_many(tmp_path / "b", many(), slope=0.5, seed=1)
    )
    assert np.isnan(found.ranks[0].repeated_a)
    assert found.ranks[0].repeated_b > 0.9
