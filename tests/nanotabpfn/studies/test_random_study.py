"""A study with a random design from its file to its records: what is planned, saved and read again."""

import json

import pytest
from click.testing import CliRunner
from small_study import TINY, run, write_study

from nanotabpfn.cli.main import main
from nanotabpfn.studies.arms import varied_arms
from nanotabpfn.studies.estimate import TIMED_DRAWN, estimate
from nanotabpfn.studies.keys import plan_study
from nanotabpfn.studies.planned_power import planned_power
from nanotabpfn.studies.saved import read_records, read_saved
from nanotabpfn.studies.study_file import load_study

VARY = {"label_noise": "uniform(0, 0.3)", "num_nodes": [[4, 5], [6, 8]]}
MANY = {"preset": "linear", "set": TINY, "vary": VARY, "design": "random", "num_arms": 4}


def test_the_draws_are_in_study_json_and_in_the_records(tmp_path):
    run({"many": MANY}, tmp_path)
    saved, records = read_saved(tmp_path), read_records(tmp_path)
    [design] = varied_arms(saved.study)
    assert saved.designs == (design,)
    document = json.loads((tmp_path / "study.json").read_text())
    assert {arm["name"]: arm["settings"] for arm in document["arms"]} == design.values
    found = records.dropna(subset=["settings"]).drop_duplicates("arm").set_index("arm")["settings"]
    assert {arm: json.loads(text) for arm, text in found.items()} == design.values
    assert set(records[records["settings"].notna()]["role"]) == {"drawn"}
    # What was drawn is read from the file, not drawn again.
    document["arms"][0]["settings"]["label_noise"] = 0.25
    (tmp_path / "study.json").write_text(json.dumps(document))
    assert read_saved(tmp_path).designs[0].values["many 1"]["label_noise"] == 0.25


def test_the_plan_counts_arms_and_says_the_smallest_effects(tmp_path):
    arms = {
        "base": MANY | {"vary": {}, "design": "factorial", "num_arms": None},
        "many": MANY | {"num_arms": 6},
    }
    file = write_study(tmp_path / "study.json", arms=arms, data_seeds=[0, 1])
    words = ["study", "plan", str(file), "--out", str(tmp_path / "out")]
    output = CliRunner().invoke(main, words).output
    assert "many: 2 settings, 6 arms (drawn at random), 12 cells" in output
    assert "the smallest true difference" not in output
    power = json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)["power"]
    assert power["num_comparisons"] == 0
    assert [effect["change"] for effect in power["effects"]] == [
        "label_noise from 0 to 0.3",
        "num_nodes from [4, 5] to [6, 8]",
    ]
    for effect in power["effects"]:
        assert 0 < effect["smallest"]["alone"] < effect["smallest"]["adjusted"]
        assert f"{effect['smallest']['adjusted']:.4f}" in output


def test_more_arms_show_smaller_effects_and_a_factorial_has_them_too(tmp_path):
    def effects(arm):
        study = load_study(write_study(tmp_path / "study.json", arms={"many": arm}, suites=["builtin"]))
        return [one.smallest.alone for one in planned_power(study).effects]

    few, many = (effects(MANY | {"num_arms": number}) for number in (10, 40))
    assert [one / other for one, other in zip(few, many, strict=True)] == pytest.approx([2, 2], rel=0.35)
    factorial = MANY | {"vary": {"mix": ["node", "dataset"], "num_nodes": [[4, 5], [6, 8]]}}
    alone = effects(factorial | {"design": "factorial", "num_arms": None})
    assert alone[0] == pytest.approx(alone[1])


def test_few_of_the_drawn_arms_are_timed(tmp_path):
    file = write_study(tmp_path / "study.json", arms={"many": MANY | {"num_arms": 9}})
    found = estimate(plan_study(load_study(file)), tmp_path)
    assert len(found.step_seconds) == TIMED_DRAWN
    assert found.train_seconds == pytest.approx(5 * 9 * sum(found.step_seconds.values()) / TIMED_DRAWN)


@pytest.mark.parametrize("num_steps", [0, 1])
def test_ctrl_c_while_steps_are_timed_ends_the_plan(tmp_path, monkeypatch, num_steps):
    """`train` ends quietly after it, with fewer steps than were asked for."""

    def train(model, loader, on_step, **settings):
        for _ in range(num_steps):
            on_step({"wall_time": 0.1})

    monkeypatch.setattr("nanotabpfn.studies.estimate.train", train)
    with pytest.raises(KeyboardInterrupt):
        estimate(plan_study(load_study(write_study(tmp_path / "study.json"))), tmp_path)
