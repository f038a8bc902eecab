"""Warm starts: all cells of a model seed start from the end of one training, and nothing else changes."""

import json
import shutil
import signal
import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from small_study import (
    assert_untrained,
    digests,
    prior,
    run,
    sorted_records,
    study_of,
    write_study,
)

from nanotabpfn.cli.main import main
from nanotabpfn.cli.study_run import ProgressView
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.checkpoint import load_model
from nanotabpfn.studies import train_and_score
from nanotabpfn.studies.arms import Arm, architecture, resolve_arms, warm_starts_of
from nanotabpfn.studies.earlier import replaced_trainings
from nanotabpfn.studies.estimate import estimate
from nanotabpfn.studies.folder import begun_path, cell_folder, done_note, state_of
from nanotabpfn.studies.jobs import jobs_of
from nanotabpfn.studies.keys import hash_settings, plan_study
from nanotabpfn.studies.run import run_study
from nanotabpfn.studies.spec import Study, StudyError
from nanotabpfn.studies.study_file import load_study
from nanotabpfn.training.branch import weights_hash
from nanotabpfn.training.loop import train
from nanotabpfn.training.run import checkpoints
from priors.config import with_overrides
from priors.presets import PRESETS

WARM = {"warm_start": {"steps": 3}}
ONE = {"a": prior()}
TWO = ONE | {"b": prior(noise_scale=[0.4, 0.5])}


def train_all(study, folder):
    """Train all that a study has, without scores; its plan."""
    plan = plan_study(study)
    with torch.random.fork_rng():
        for planned in [*plan.warm_starts, *plan.cells]:
            train_and_score.train_cell(planned, folder, study, "cpu")
    return plan


def configs_of(folder):
    return [json.loads(file.read_text()) for file in folder.glob("cells/*/config.json")]


def test_all_arms_of_a_model_seed_start_from_the_same_weights(tmp_path, monkeypatch):
    starts = {}

    def spy(model, loader, state=None, **settings):
        if state is not None and state["step"] == 0:
            of_seed = [state["weights"], *state["optimizer"]["state"]]
            tensors = {
                f"{number} {name}": value.clone()
                for number, part in enumerate(of_seed)
                for name, value in part.items()
                if torch.is_tensor(value)
            }
            starts.setdefault(torch.initial_seed(), []).append(tensors)
        return train(model, loader, state=state, **settings)

    monkeypatch.setattr(train_and_score, "train", spy)
    seeds = {"seed_design": "paired", "data_seeds": [0, 1], "model_seeds": [0, 1]}
    plan = train_all(
        study_of(TWO, controls=["untrained", "scrambled", "repeated"], **seeds, **WARM), tmp_path
    )
    assert {seed: len(found) for seed, found in starts.items()} == {0: 4, 1: 4}
    for first, *others in starts.values():
        for other in others:
            assert first.keys() == other.keys()
            assert all(torch.equal(value, other[name]) for name, value in first.items())
    hashes = {
        planned.key: weights_hash(load_model(cell_folder(tmp_path, planned.key)))
        for planned in plan.warm_starts
    }
    assert len(set(hashes.values())) == 2
    for planned in plan.cells:
        config = json.loads((cell_folder(tmp_path, planned.key) / "config.json").read_text())
        if planned.cell.arm.name == "untrained":
            assert "from" not in config
            continue
        assert config["from"] == {
            "cell": planned.warm_start,
            "weights": hashes[planned.warm_start],
            "step": 3,
            "taken_over": {"optimizer": True, "data": False},
        }


def test_the_untrained_model_stays_untrained(tmp_path):
    train_all(study_of(ONE, controls=["untrained"], **WARM), tmp_path)
    assert_untrained(tmp_path)


def test_a_cell_is_the_warm_start_trained_further_on_its_own_prior(tmp_path):
    study = study_of(TWO, **WARM)
    plan = train_all(study, tmp_path)
    [warm_start] = warm_starts_of(study)
    torch.manual_seed(0)
    model, states = NanoTabPFNModel(**architecture(study)), []
    training = {"device": "cpu", "steps_per_checkpoint": 2, **study.training}
    loader = warm_start.arm.loader(study, warm_start.data_seed)
    train(model, loader, on_checkpoint=lambda _, state: states.append(state), **training)
    for planned in plan.cells:
        own = planned.cell.arm.loader(study, planned.cell.data_seed)
        state = deepcopy(states[-1]) | {"step": 0, "loader": own.state_dict()}
        further, _ = train(
            NanoTabPFNModel(**architecture(study)),
            own,
            state=state,
            on_checkpoint=lambda *_: None,
            **training,
        )
        trained = load_model(cell_folder(tmp_path, planned.key))
        for name, weights in further.state_dict().items():
            assert torch.equal(weights, trained.state_dict()[name])


def test_an_equal_arm_has_the_scores_of_the_reference(tmp_path):
    records = run(ONE | {"again": prior()}, tmp_path, **WARM)
    assert len(configs_of(tmp_path)) == 2  # the warm start, and one cell
    columns = ["step", "target", "task", "fold", "metric", "value", "warm_start"]
    of = {arm: frame[columns].reset_index(drop=True) for arm, frame in records.groupby("arm")}
    assert of["a"].equals(of["again"])
    assert set(of["a"]["warm_start"].dropna()) == {3}


@pytest.mark.usefixtures("whole_forests")
def test_the_same_records_after_a_kill_in_the_warm_start_and_one_in_a_cell(tmp_path):
    changes = {"suites": ["builtin"], "steps": 20, "eval_every": 20, "warm_start": {"steps": 20}}
    file = write_study(tmp_path / "s.json", **changes)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run_study(load_study(file), whole)
    for num_trainings in (1, 2):  # in the folder when the process is killed
        command = [sys.executable, "-m", "nanotabpfn", "study", "run", str(file), "--out", str(killed)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        while process.poll() is None:
            found = [len(file.read_bytes()) for file in killed.glob("cells/*/history.jsonl")]
            if len(found) == num_trainings and all(found):
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL, output.decode()
    run_study(load_study(file), killed)
    pd.testing.assert_frame_equal(sorted_records(whole), sorted_records(killed))
    starts = [{str(config.get("from")) for config in configs_of(folder)} for folder in (whole, killed)]
    assert starts[0] == starts[1]


def test_a_cell_resumes_from_its_last_checkpoint_and_not_from_the_warm_start(tmp_path, monkeypatch):
    records, stopped = run(ONE, tmp_path / "whole", **WARM), tmp_path / "stopped"

    def stop(model, loader, on_step=None, **settings):
        def record(values):
            on_step(values)
            if values["step"] == 3 and "from" in json.dumps(configs_of(stopped)):
                raise ConnectionError("stopped")

        return train(model, loader, on_step=record, **settings)

    monkeypatch.setattr(train_and_score, "train", stop)
    study = study_of(ONE, **WARM)
    assert "stopped" in {str(outcome.error).partition(": ")[2] for outcome in run_study(study, stopped)}
    monkeypatch.setattr(train_and_score, "train", train)
    monkeypatch.setattr(train_and_score, "_begin_at_warm_start", None)  # not called any more
    assert run(ONE, stopped, **WARM).equals(records)
    assert sum("from" in config for config in configs_of(stopped)) == 1


def test_warm_starts_are_done_once_and_before_the_cells(tmp_path):
    kinds = []

    def jobs_left(plan, jobs):
        kinds.append([job.kind for job in jobs if job.kind in ("warm start", "cell")])

    run_study(study_of(ONE, **WARM), tmp_path, on_plan=jobs_left)
    before = digests(tmp_path)
    labels = [outcome.label for outcome in run_study(study_of(TWO, **WARM), tmp_path, on_plan=jobs_left)]
    run_study(study_of(TWO, **WARM), tmp_path, on_plan=jobs_left)
    assert kinds == [["warm start", "cell"], ["cell", "cell"], []]  # the second: a is scored on b
    assert "b, data seed 0, model seed 0" in labels
    assert before.items() <= digests(tmp_path).items()


def test_cells_say_that_their_warm_start_failed(tmp_path, monkeypatch):
    def broken(*arguments, **settings):
        raise KeyError("broken")

    monkeypatch.setattr(train_and_score, "train", broken)
    errors = {outcome.label: outcome.error for outcome in run_study(study_of(ONE, **WARM), tmp_path)}
    assert errors["warm start, model seed 0"] == "KeyError: 'broken'"
    assert "the warm start of model seed 0 failed" in errors["a, data seed 0, model seed 0"]
    monkeypatch.setattr(train_and_score, "train", train)
    run(ONE, tmp_path, **WARM)  # tried again


def test_a_warm_start_without_its_checkpoint_is_not_replaced_by_its_averaged_model(tmp_path):
    study = study_of(TWO, **WARM)
    plan = train_all(study_of(ONE, **WARM), tmp_path)
    place = cell_folder(tmp_path, plan.warm_starts[0].key)
    for checkpoint in checkpoints(place):
        checkpoint.unlink()
    with pytest.raises(StudyError, match="has lost its checkpoint"):
        train_and_score.train_cell(plan_study(study).cells[1], tmp_path, study, "cpu")
    shutil.rmtree(place)
    train_all(study, tmp_path)


def test_a_warm_start_that_cannot_be_sampled_is_an_error_of_all_its_cells(monkeypatch):
    loader = Arm.loader

    def broken(self, study, data_seed):
        if self.role == "warm start":
            raise ValueError("no datasets")
        return loader(self, study, data_seed)

    monkeypatch.setattr(Arm, "loader", broken)
    plan = plan_study(study_of(ONE, controls=["untrained"], **WARM))
    errors = {planned.cell.arm.name: planned.error for planned in plan.cells}
    assert errors == {"a": "warm start: ValueError: no datasets", "untrained": None}
    assert "warm start" not in {job.kind for job in jobs_of(plan, Path("absent"))}


def test_without_a_warm_start_the_keys_are_those_of_earlier_versions():
    [planned] = plan_study(study_of(ONE)).cells
    assert planned.warm_start is None
    assert hash_settings(planned.settings | {"data": "2a0e3d2304d9ad67"}) == "ab04d1a20ec0f524"


def test_the_key_changes_with_all_that_a_warm_start_depends_on():
    keys = set()
    for warm in (None, {"steps": 3}, {"steps": 4}, {"steps": 3, "preset": "gp"}):
        [planned, untrained] = plan_study(study_of(ONE, controls=["untrained"], warm_start=warm)).cells
        keys.add(planned.key)
        assert untrained.warm_start is None
    assert len(keys) == 4


def test_the_prior_is_that_of_the_reference_or_a_preset_and_its_classes_have_outputs(monkeypatch):
    [of_reference] = warm_starts_of(study_of(TWO, reference="b", **WARM))
    assert of_reference.arm.config == resolve_arms(study_of(TWO))[1].config
    study = study_of(ONE, warm_start={"preset": "gp"})
    [of_preset] = warm_starts_of(study)
    assert of_preset.arm.config == PRESETS["gp"] != resolve_arms(study)[0].config
    monkeypatch.setitem(PRESETS, "gp", with_overrides(PRESETS["gp"], {"num_classes": [2, 3]}))
    assert architecture(study)["num_outputs"] == 3


def test_more_steps_extend_the_cells_and_train_no_warm_start(tmp_path):
    run(ONE, tmp_path / "extended", steps=3, **WARM)
    before = digests(tmp_path / "extended")
    plan = plan_study(study_of(ONE, steps=5, **WARM))
    assert not replaced_trainings(plan, tmp_path / "extended")
    assert [job.kind for job in jobs_of(plan, tmp_path / "extended") if job.kind == "warm start"] == []
    run(ONE, tmp_path / "extended", steps=5, eval_every=2, **WARM)
    run(ONE, tmp_path / "whole", steps=5, **WARM)
    models = [
        load_model(cell_folder(tmp_path / name, plan.cells[0].key)).state_dict()
        for name in ("extended", "whole")
    ]
    assert all(torch.equal(weights, models[1][name]) for name, weights in models[0].items())
    assert before.items() <= digests(tmp_path / "extended").items()


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (None, {"steps": 3}, "warm_start added"),
        ({"steps": 3}, None, "warm_start removed"),
        ({"steps": 3}, {"steps": 4}, "warm_start.steps 3 -> 4"),
        ({"steps": 3}, {"steps": 3, "preset": "gp"}, "the prior of warm_start"),
    ],
)
def test_a_changed_warm_start_is_a_reason_to_train_again(tmp_path, before, after, reason):
    run(ONE, tmp_path, warm_start=before)
    [replaced] = replaced_trainings(plan_study(study_of(ONE, warm_start=after)), tmp_path)
    assert replaced.reason == reason


@pytest.mark.parametrize(("of_warm_start", "expected"), [(False, False), (True, None), (None, None)])
def test_a_warm_start_that_had_not_begun_makes_its_cells_late(tmp_path, of_warm_start, expected):
    run(ONE, tmp_path, **WARM)
    plan = plan_study(study_of(ONE, **WARM))
    [warm_start], [cell] = plan.warm_starts, plan.cells
    note = done_note(tmp_path, warm_start.key) | {"begun": of_warm_start}
    (cell_folder(tmp_path, warm_start.key) / "done.json").write_text(json.dumps(note))
    (cell_folder(tmp_path, cell.key) / "done.json").unlink()
    records = run(ONE, tmp_path, **WARM)
    assert done_note(tmp_path, cell.key)["begun"] is expected  # None: too few steps for the rule
    flags = records.loc[records["arm"].eq("a") & records["data_seed"].notna(), "begun"]
    assert (flags.eq(False).any()) == (expected is False)


def test_plan_counts_the_trainings_that_come_before(tmp_path):
    seeds = {"seed_design": "paired", "data_seeds": [0, 1], "model_seeds": [0, 1], "suites": ["builtin"]}
    file = write_study(tmp_path / "s.json", arms=ONE, **seeds, **WARM)
    out = str(tmp_path / "out")
    result = CliRunner().invoke(main, ["study", "plan", str(file), "--out", out])
    assert result.exit_code == 0, result.output
    assert "warm start    its own           1  waiting" in result.output
    assert "left to do: 2 warm starts, 2 cells" in result.output
    assert "after a warm start of 3 steps on the prior of the reference" in result.output
    assert "of the training, 6 steps are of warm starts" in result.output
    assert "warm start of 3 steps, not none" in result.output
    study, folder = load_study(file), tmp_path / "out"
    without = estimate(plan_study(study.model_copy(update={"warm_start": None})), folder)
    found = estimate(plan_study(study), folder)
    assert (found.warm_start_steps, without.warm_start_steps) == (6, 0)
    assert found.disk_bytes > without.disk_bytes
    run_study(study, folder)
    plan = plan_study(study)
    assert {state_of(plan, planned, folder) for planned in plan.warm_starts} == {"done"}
    document = CliRunner().invoke(main, ["study", "plan", str(file), "--out", out, "--json"])
    values = json.loads(document.stdout)
    assert values["warm_starts"] == [{"model_seed": seed, "state": "done", "error": None} for seed in (0, 1)]
    assert values["left"]["warm_start_steps"] == 0


def test_the_bar_counts_and_names_warm_starts(tmp_path):
    view, study = ProgressView(tmp_path, replaces=False, quiet=True), study_of(ONE, **WARM)
    plan = plan_study(study)
    view.begin(plan, jobs_of(plan, tmp_path))
    begun = begun_path(tmp_path, plan.warm_starts[0].key)
    begun.parent.mkdir()
    begun.touch()
    view.end()
    assert view._bar.total == 3 + 5
    assert view.under_way() == "warm start, model seed 0: waiting"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"warm_start": {"step": 3}}, "unknown field 'warm_start.step'; did you mean steps"),
        ({"warm_start": {"steps": 0}}, "warm_start.steps: input should be greater than or equal to 1"),
        ({"warm_start": {"preset": "linaer"}}, "warm_start.preset: unknown preset 'linaer'"),
        ({"warm_start": {}, "arms": {"warm start": prior()}}, "'warm start' is the name of the trainings"),
    ],
)
def test_a_wrong_warm_start_is_named(tmp_path, changes, message):
    with pytest.raises(StudyError) as raised:
        load_study(write_study(tmp_path / "s.json", **changes))
    assert message in str(raised.value)


def test_by_default_it_has_200_steps():
    study = Study(name="s", arms={"a": {"preset": "linear"}}, warm_start={})
    assert (study.warm_start.steps, study.warm_start.preset) == (200, None)
