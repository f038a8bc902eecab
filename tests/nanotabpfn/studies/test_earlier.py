"""Changed studies: which trainings are extended, which are done again and why, and that a run asks first."""

import json

import pytest
import torch
from click.testing import CliRunner
from small_study import digests, prior, run, sorted_records, study_of, write_study

from nanotabpfn.cli.main import main
from nanotabpfn.model.checkpoint import load_model
from nanotabpfn.studies import keys
from nanotabpfn.studies.earlier import finished_trainings, replaced_trainings, shorter_training
from nanotabpfn.studies.folder import cell_folder, steps_done
from nanotabpfn.studies.keys import plan_study
from nanotabpfn.training.run import checkpoints

ONE = {"a": prior()}
MORE_CLASSES = ONE | {"b": prior(num_classes=[2, 3], train_fraction=[0.4, 0.6])}


def models_of(folder, study):
    [planned] = plan_study(study).cells
    return cell_folder(folder, planned.key)


def test_more_steps_extend_a_training_to_the_bit(tmp_path):
    run(ONE, tmp_path / "extended", steps=5)
    before = digests(tmp_path / "extended")
    trained = models_of(tmp_path / "extended", study_of(ONE, steps=5))
    (trained / "history.jsonl").write_text(  # the records of the first steps show where the others begin
        "".join(f"{json.dumps({'step': step, 'loss': 0.5})}\n" for step in range(1, 6))
    )
    run(ONE, tmp_path / "extended", steps=9)
    run(ONE, tmp_path / "whole", steps=9)
    places = [models_of(tmp_path / name, study_of(ONE, steps=9)) for name in ("extended", "whole")]
    histories = [(place / "history.jsonl").read_text().splitlines() for place in places]
    extended, whole = ([json.loads(line) for line in lines] for lines in histories)
    assert [record["step"] for record in extended] == list(range(1, 10))
    assert [record["loss"] for record in extended[:5]] == [0.5] * 5
    assert [record["loss"] for record in extended[5:]] == [record["loss"] for record in whole[5:]]
    for step in (2, 4, 6, 8, 9):
        file = f"models/step-{step:08}.safetensors"
        one, other = (load_model(place / file).state_dict() for place in places)
        assert all(torch.equal(weights, other[name]) for name, weights in one.items())
    assert sorted_records(tmp_path / "extended").equals(sorted_records(tmp_path / "whole"))
    after = digests(tmp_path / "extended")
    assert before.items() <= after.items()  # the shorter training is still there


def test_the_longest_training_is_extended_and_no_other(tmp_path):
    for steps in (2, 5):
        run(ONE, tmp_path, steps=steps)
    [planned] = plan_study(study_of(ONE, steps=9)).cells
    assert shorter_training(planned, finished_trainings(tmp_path)) == models_of(
        tmp_path, study_of(ONE, steps=5)
    )
    for changes in ({"batch_size": 3}, {"lr": 0.1}, {"eval_every": 3}, {"steps": 4, "batch_size": 3}):
        [planned] = plan_study(study_of(ONE, **{"steps": 9} | changes)).cells
        assert shorter_training(planned, finished_trainings(tmp_path)) is None
    [planned] = plan_study(study_of(ONE, steps=9)).cells
    for checkpoint in checkpoints(models_of(tmp_path, study_of(ONE, steps=5))):
        checkpoint.unlink()  # as studies of earlier versions did
    assert shorter_training(planned, finished_trainings(tmp_path)) == models_of(
        tmp_path, study_of(ONE, steps=2)
    )


@pytest.mark.parametrize(
    ("arms", "changes", "reason"),
    [
        (MORE_CLASSES, {}, "model.num_outputs 2 -> 3"),
        (ONE, {"lr": 0.01}, "training.lr 0.004 -> 0.01"),
        (ONE, {"batch_size": 3}, "batch_size 4 -> 3"),
        ({"a": prior(noise_scale=[0.4, 0.5])}, {}, "the prior: noise_scale"),
    ],
)
def test_a_plan_says_which_trainings_are_done_again_and_why(tmp_path, arms, changes, reason):
    run(ONE, tmp_path)
    [replaced] = replaced_trainings(plan_study(study_of(arms, **changes)), tmp_path)
    assert replaced.planned.cell.label == "a, data seed 0, model seed 0"
    assert replaced.steps == 5
    assert reason in replaced.reason


def test_changed_code_of_the_prior_is_a_reason(tmp_path, monkeypatch):
    run(ONE, tmp_path)
    monkeypatch.setattr(keys, "PRIOR_VERSION", -1)
    [replaced] = replaced_trainings(plan_study(study_of(ONE)), tmp_path)
    assert replaced.reason == "the code of the prior or of a family"


def test_what_needs_no_training_again_is_not_listed(tmp_path):
    assert not replaced_trainings(plan_study(study_of(ONE)), tmp_path / "none")
    run(ONE, tmp_path)
    for arms, changes in (
        (ONE, {}),
        ({"b": prior(noise_scale=[0.4, 0.5])}, {}),  # another arm
        (ONE, {"steps": 9}),  # extended
        (ONE, {"model_seeds": [0, 1]}),
        (ONE, {"suites": ["many"]}),
    ):
        assert not replaced_trainings(plan_study(study_of(arms, **changes)), tmp_path)


def test_run_asks_before_it_trains_again(tmp_path):
    out = tmp_path / "out"
    run(ONE, out)
    before = digests(out, "**/*")
    file = write_study(tmp_path / "s.yaml", arms=ONE, lr=0.01)

    def invoke(command, *options):
        return CliRunner().invoke(main, ["study", command, str(file), "--out", str(out), *options])

    planned = invoke("plan")
    assert planned.exit_code == 0, planned.output
    assert "1 cells are trained again" in planned.output
    assert "a, data seed 0, model seed 0: training.lr 0.004 -> 0.01" in planned.output
    refused = invoke("run")
    assert refused.exit_code == 2
    assert "--yes trains these cells again, --out keeps both studies" in refused.output
    assert {name: digest for name, digest in digests(out, "**/*").items() if name != "lock"} == {
        name: digest for name, digest in before.items() if name != "lock"
    }
    done = invoke("run", "--yes")
    assert done.exit_code == 0, done.output
    assert invoke("run").exit_code == 0  # now there is nothing to ask
    [cell] = plan_study(study_of(ONE, lr=0.01)).cells
    assert steps_done(cell.key, out) == 5
