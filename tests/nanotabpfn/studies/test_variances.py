"""The variance components that ship: what the script makes of the records, and which are chosen for a
study."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from nanotabpfn.evaluation.metrics import METRICS
from nanotabpfn.studies import planned_power as planned
from nanotabpfn.studies.planned_power import planned_power
from nanotabpfn.studies.power import Components, Design, smallest_difference
from nanotabpfn.studies.saved import SavedStudy, write_saved
from nanotabpfn.studies.spec import Study
from nanotabpfn.studies.statistics import mean_interval, trend, variance_parts
from nanotabpfn.studies.variances import FILE, measured_variances, nearest_variances, unlike

ROOT = Path(__file__).parents[3]
ARMS = {"a": {"preset": "default"}, "b": {"preset": "linear"}}
LATE = ["mlp, data seed 2, model seed 2", "layered graphs, data seed 0, model seed 0"]


def study_of(**changes):
    return Study(**{"name": "s", "arms": ARMS, "suites": ["builtin"]} | changes)


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "scripts" / "variances.py"))["main"]


def shipped_of(study):
    entries = json.loads((ROOT / "nanotabpfn" / "studies" / FILE).read_text())
    return [entry for entry in entries if entry["source"] == f"docs/studies/{study}"]


def test_what_ships_is_what_the_script_writes(tmp_path, script):
    without = [word for cell in LATE for word in ("--without", cell)]
    arguments = [str(ROOT / "docs" / "studies" / "mechanisms"), *without, "--out", str(tmp_path / FILE)]
    result = CliRunner().invoke(script, arguments)
    assert result.exit_code == 0, result.output
    made, shipped = json.loads((tmp_path / FILE).read_text()), shipped_of("mechanisms")
    assert [entry | {"components": 0} for entry in made] == [entry | {"components": 0} for entry in shipped]
    for one, other in zip(made, shipped, strict=True):
        for metric in METRICS:
            assert one["components"][metric] == pytest.approx(other["components"][metric], rel=0.01)


def test_of_drawn_arms_those_at_a_noisy_level_are_left_out():
    """Of one metric and step, since all take a minute."""
    of_script = runpy.run_path(str(ROOT / "scripts" / "variances.py"))
    saved, records = of_script["chosen_records"](ROOT / "docs" / "studies" / "settings", set())
    final = records[(records["step"] == 300) & (records["metric"] == "log_loss")]
    arms = [arm for arm in dict.fromkeys(final["arm"]) if arm not in ("untrained", "scrambled")]
    assert len(arms) == 64 + 2  # of 96 and `default` and `repeated`
    [*_, shipped] = shipped_of("settings")
    assert shipped["num_cells"] == 2 * len(arms)
    found = of_script["components"](saved, final, "log_loss", arms)._asdict()
    assert found == pytest.approx(shipped["components"]["log_loss"], rel=0.01)


def test_the_other_half_of_a_suite_is_nearer_than_another_suite():
    found = nearest_variances(study_of(suites=["nano-dev"], steps=300))
    assert (found.suite, found.steps) == ("nano-test", 300)
    words = unlike(study_of(suites=["nano-dev"], steps=300), found)
    assert words.startswith("suite nano-dev, not nano-test")
    assert "model with embedding_size 96" in words
    assert "not with embedding_size 48" in words


def test_a_cell_that_is_not_there_is_an_error(tmp_path, script):
    arguments = [
        str(ROOT / "docs" / "studies" / "mechanisms"),
        "--without",
        "mlp",
        "--out",
        str(tmp_path / FILE),
    ]
    result = CliRunner().invoke(script, arguments)
    assert result.exit_code == 2
    assert "no cell of" in result.output
    assert not (tmp_path / FILE).exists()


def test_a_study_with_a_warm_start_is_not_measured(tmp_path, script):
    study = study_of(warm_start={})
    write_saved(SavedStudy(study, "a", (), ()), tmp_path)
    result = CliRunner().invoke(script, [str(tmp_path), "--out", str(tmp_path / FILE)])
    assert result.exit_code == 2
    assert "its cells have a warm start" in result.output
    assert "warm start of 200 steps, not none" in unlike(study, nearest_variances(study))


def test_the_nearest_steps_are_chosen():
    assert [nearest_variances(study_of(steps=steps)).steps for steps in (10, 100, 150, 5000)] == [
        80,
        80,
        160,
        240,
    ]
    assert "suite builtin, not open" in unlike(study_of(), nearest_variances(study_of()))
    for one in measured_variances():
        assert set(one.components) == set(METRICS)
        assert all(0 <= each.rows <= each.tables for each in one.components.values())


def test_what_a_study_can_show():
    found = planned_power(study_of())
    components = nearest_variances(study_of()).components["log_loss"]
    assert found.smallest["log_loss"].alone == smallest_difference(components, Design(6, 1, 4), 0.95)
    assert found.num_comparisons == 1
    assert found.smallest["log_loss"].alone == found.smallest["log_loss"].adjusted
    three = planned_power(study_of(arms=ARMS | {"c": {"preset": "gp"}}))
    assert three.num_comparisons == 2
    assert three.smallest["log_loss"].adjusted == smallest_difference(components, Design(6, 1, 4), 0.975)


def test_remedies_halve_it():
    words = planned_power(study_of(suites=["open"])).remedies
    [pairs] = [int(line.split()[0]) for line in words if "pairs of seeds instead of 6" in line]
    components, wanted = nearest_variances(study_of()).components["log_loss"], Design(6, 1, 13)
    half = smallest_difference(components, wanted, 0.95) / 2
    assert smallest_difference(components, wanted._replace(num_data=pairs), 0.95) <= half
    assert smallest_difference(components, wanted._replace(num_data=pairs - 1), 0.95) > half
    assert any(line.startswith("row samples alone do not") for line in words)
    assert any("after 80" in line and "after 240" in line for line in words)


def test_crossed_seeds_are_compared_with_paired_ones():
    crossed = study_of(seed_design="crossed", data_seeds=[0, 1, 2], model_seeds=[0, 1, 2])
    paired = study_of(data_seeds=range(9), model_seeds=range(9))
    [line] = [line for line in planned_power(crossed).remedies if "seed_design: paired" in line]
    assert f"{planned_power(paired).smallest['log_loss'].adjusted:.4f}" in line


def test_one_table_and_one_seed_show_nothing(monkeypatch):
    monkeypatch.setattr(planned, "suite_tasks", lambda *_: [()])
    found = planned.planned_power(study_of(data_seeds=[0], model_seeds=[0]))
    assert found.smallest["log_loss"].alone == float("inf")
    assert found.remedies == ()


def test_the_smallest_change_over_doses_is_shown_in_80_percent_of_simulated_studies():
    components, design, doses = (
        Components(0.01, 0.014, 0.02),
        Design(8, 1, 13),
        np.array([0.0, 0.1, 0.4, 1.0]),
    )
    smallest = planned.smallest_change(components, design, 0.95, doses.tolist())
    rng, size = np.random.default_rng(0), (2_000, 4)
    noise = (
        components.tables * rng.standard_normal((*size, 1, 1, 13))
        + components.pairs * rng.standard_normal((*size, 8, 1, 1))
        + components.rest * rng.standard_normal((*size, 8, 1, 13))
    ) / np.sqrt(2)  # each arm has half of the variance of a difference
    changes = np.stack([trend(one, doses) for one in noise]) + smallest
    half = mean_interval(variance_parts(changes), 0.95)
    assert np.mean(changes.mean(axis=(1, 2, 3)) > half) == pytest.approx(0.8, abs=0.03)
    series = {"preset": "default", "vary": {"label_noise": [0, 0.1, 0.3]}, "design": "doses"}
    assert list(planned_power(study_of(arms={"noise": series})).trends) == ["noise"]
