"""Running a study: what is trained, what is kept, and how it resumes after any stop."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from filelock import FileLock
from small_study import (
    assert_untrained,
    damaged_dump,
    digests,
    prior,
    run,
    sorted_records,
    study_of,
    write_study,
)

from nanotabpfn.model.checkpoint import load_model, load_state, save_checkpoint
from nanotabpfn.studies import train_and_score
from nanotabpfn.studies.folder import state_of
from nanotabpfn.studies.keys import plan_study
from nanotabpfn.studies.run import run_study
from nanotabpfn.studies.saved import read_saved
from nanotabpfn.studies.spec import StudyError
from nanotabpfn.studies.study_file import load_study
from nanotabpfn.studies.workers import Workers
from priors.families.mechanisms import MECHANISMS


def test_arms_that_are_the_same_share_their_cells(tmp_path):
    records = run({"a": prior(), "again": prior()}, tmp_path)
    assert len(list((tmp_path / "cells").iterdir())) == 1
    columns = ["step", "target", "task", "fold", "metric", "value"]
    of = {arm: frame[columns].reset_index(drop=True) for arm, frame in records.groupby("arm")}
    assert of["a"].equals(of["again"])


def test_the_same_weights_and_steps_for_every_arm(tmp_path):
    run(
        {"a": prior(), "b": prior(noise_scale=[0.4, 0.5])},
        tmp_path,
        controls=["untrained"],
        data_seeds=[0, 1],
    )
    configs = [json.loads(file.read_text()) for file in tmp_path.glob("cells/*/config.json")]
    assert len(configs) == 5  # the untrained model needs no data seed
    assert len({config["sampling_seed"] for config in configs}) == 2
    assert_untrained(tmp_path)


def test_randomness_outside_is_left_alone(tmp_path):
    before = torch.get_rng_state()
    run({"a": prior()}, tmp_path)
    assert torch.equal(before, torch.get_rng_state())


def test_another_arm_trains_that_arm_alone(tmp_path):
    run({"a": prior()}, tmp_path)
    before = digests(tmp_path)
    records = run({"a": prior(), "b": prior(noise_scale=[0.4, 0.5])}, tmp_path)
    after = digests(tmp_path)
    assert before.items() <= after.items()  # not a file was written again
    assert len(list((tmp_path / "cells").iterdir())) == 2
    crossed = records.loc[records["target"] == "prior", ["arm", "suite"]].drop_duplicates()
    assert sorted(map(tuple, crossed.to_numpy())) == [("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")]


def test_a_finished_study_does_nothing(tmp_path):
    run({"a": prior()}, tmp_path)
    before = digests(tmp_path)
    jobs = []
    run_study(study_of({"a": prior()}), tmp_path, on_plan=lambda plan, left: jobs.extend(left))
    assert not jobs
    assert digests(tmp_path) == before


@pytest.mark.parametrize(("seconds", "expected"), [(60, 0), (0, 1)])
def test_records_are_written_while_it_runs_but_not_after_every_job(tmp_path, monkeypatch, seconds, expected):
    monkeypatch.setattr("nanotabpfn.studies.run.SAVE_EVERY", seconds)
    monkeypatch.setattr("nanotabpfn.studies.run.SAVE_SHARE", 1e9)
    written, so_far = [], []
    monkeypatch.setattr("nanotabpfn.studies.run.write_records", lambda *_: written.append(1))
    outcomes = run_study(study_of({"a": prior()}), tmp_path, on_outcome=lambda _: so_far.append(len(written)))
    assert len(outcomes) > 1
    assert so_far == [1 + expected * (number + 1) for number in range(len(outcomes))]
    assert len(written) == so_far[-1] + 1


def test_a_cell_is_trained_by_the_recipe(tmp_path, monkeypatch):
    given = {}

    def train(model, loader, **settings):
        given.update(settings)
        raise KeyError("seen")

    monkeypatch.setattr(train_and_score, "train", train)
    outcome, *_ = run_study(study_of({"a": prior()}, recipe="combined", precision="bfloat16"), tmp_path)
    assert "seen" in outcome.error
    assert (given["optimizer"], given["warmup_steps"], given["precision"]) == ("muon", 20, "bfloat16")


def test_a_cell_that_fails_is_reported_and_does_not_stop_the_others(tmp_path, monkeypatch):
    dump = damaged_dump(tmp_path / "damaged.h5")
    monkeypatch.setitem(MECHANISMS, "broken", lambda parents, rng: parents.no_such_thing)
    arms = {
        "never": prior(mechanisms="broken"),
        "damaged": {"dump": str(dump)},
        "a": prior(),
    }
    folder = tmp_path / "study"
    outcomes = run_study(study_of(arms, held_out=1, steps=8), folder)
    errors = {outcome.label.split(",")[0]: outcome.error for outcome in outcomes}
    assert "AttributeError" in errors["never"]
    assert "labels that are not 0 to 1" in errors["damaged"]
    assert errors["a"] is None
    records = pd.read_parquet(folder / "records.parquet")
    assert set(records.loc[records["target"] != "properties", "arm"]) == {"a"}
    [note] = (folder / "errors").iterdir()
    assert "Traceback" in note.read_text()
    plan = plan_study(read_saved(folder).study)
    states = {planned.cell.arm.name: state_of(plan, planned, folder) for planned in plan.cells}
    assert states == {"never": "failed", "damaged": "failed", "a": "done"}
    again = run_study(study_of(arms, held_out=1, steps=8), folder)  # tried again, and nothing else
    assert {outcome.label.split(",")[0] for outcome in again} == {"never", "damaged"}


def test_a_cell_of_another_process_is_left_to_it(tmp_path):
    study = study_of({"a": prior()})
    [planned] = plan_study(study).cells
    (tmp_path / "locks").mkdir()
    with FileLock(tmp_path / "locks" / f"{planned.key}.lock"):
        outcome, *_ = run_study(study, tmp_path)
    assert outcome.is_busy
    [outcome] = run_study(study, tmp_path)
    assert outcome.error is None


def test_a_study_is_run_by_one_process_at_a_time(tmp_path):
    with FileLock(tmp_path / "lock"), pytest.raises(StudyError, match="another process is running"):
        run_study(study_of({"a": prior()}), tmp_path)


def test_a_damaged_cell_is_made_again(tmp_path):
    records = run({"a": prior()}, tmp_path)
    [place] = (tmp_path / "cells").iterdir()
    (place / "done.json").unlink()
    (place / "history.jsonl").write_bytes(b"")
    [checkpoint] = (place / "checkpoints").iterdir()
    checkpoint.write_bytes(b"torn")
    for file in (place / "scores").iterdir():
        file.unlink()
    assert run({"a": prior()}, tmp_path).equals(records)


def stopped(monkeypatch, step):
    """The model after `step` cannot be written, once: Ctrl-C."""
    save = train_and_score.save_model

    def save_or_stop(model, path):
        if str(path).endswith(f"step-{step:08}.safetensors"):
            monkeypatch.setattr(train_and_score, "save_model", save)
            raise KeyboardInterrupt
        return save(model, path)

    monkeypatch.setattr(train_and_score, "save_model", save_or_stop)


@pytest.mark.parametrize("step", [4, 5])
def test_ctrl_c_while_a_model_is_written_stops_the_study_and_it_resumes(tmp_path, monkeypatch, step):
    whole = run({"a": prior()}, tmp_path / "whole")
    stopped(monkeypatch, step)
    with pytest.raises(KeyboardInterrupt):
        run_study(study_of({"a": prior()}), tmp_path / "stopped")
    assert not list((tmp_path / "stopped").glob("cells/*/done.json"))
    assert run({"a": prior()}, tmp_path / "stopped").equals(whole)


def test_the_cost_of_a_cell_includes_what_it_took_before_it_was_stopped(tmp_path, monkeypatch):
    stopped(monkeypatch, 5)
    with pytest.raises(KeyboardInterrupt):
        run_study(study_of({"a": prior()}), tmp_path)
    [file] = tmp_path.glob("cells/*/checkpoints/*")
    before = load_state(file)["cost"]
    assert before["seconds"] >= before["cpu_seconds"] / 4 > 0
    state = load_state(file) | {"cost": {"seconds": 1000.0, "cpu_seconds": 2000.0, "num_skipped": 3}}
    save_checkpoint(load_model(file), state, file)
    run({"a": prior()}, tmp_path)
    [note] = (json.loads(file.read_text()) for file in tmp_path.glob("cells/*/done.json"))
    assert 1000 < note["seconds"] < 1500
    assert 2000 < note["cpu_seconds"] < 2500
    assert note["num_skipped"] == 3


def test_a_full_disk_costs_no_checkpoint(tmp_path, monkeypatch):
    stopped(monkeypatch, 5)
    with pytest.raises(KeyboardInterrupt):
        run_study(study_of({"a": prior()}), tmp_path)
    before = digests(tmp_path, "cells/*/checkpoints/*")

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(train_and_score, "provenance", lambda: {"code": "another"})  # config.json is written
    with monkeypatch.context() as patch:
        patch.setattr("nanotabpfn.training.run.write_atomically", full)
        outcomes = run_study(study_of({"a": prior()}), tmp_path)
    assert any("No space left on device" in str(outcome.error) for outcome in outcomes)
    assert len(before) == 1
    assert digests(tmp_path, "cells/*/checkpoints/*") == before
    run({"a": prior()}, tmp_path)


def test_an_error_while_a_study_runs_is_not_taken_for_its_folder_s(tmp_path, monkeypatch):
    def refused(*_):
        raise ConnectionRefusedError("the scheduler is gone")

    monkeypatch.setattr("nanotabpfn.studies.run.run_jobs", refused)
    with pytest.raises(ConnectionRefusedError, match="the scheduler is gone"):
        run_study(study_of({"a": prior()}), tmp_path)


@pytest.mark.usefixtures("whole_forests")
def test_killed_at_any_moment_it_resumes(tmp_path):
    """The same records as without a kill; one kill is while training, one while scoring."""
    file = write_study(tmp_path / "s.json", suites=["builtin"], steps=20, eval_every=10)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run_study(load_study(file), whole)
    for written in (".safetensors", ".parquet"):
        command = [sys.executable, "-m", "nanotabpfn", "study", "run", str(file), "--out", str(killed)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        before = count(killed, written)
        while process.poll() is None and count(killed, written) == before:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL, output.decode()
    run_study(load_study(file), killed)
    pd.testing.assert_frame_equal(sorted_records(whole), sorted_records(killed))
    assert not list(killed.rglob("*.partial"))


def count(folder, suffix):
    return sum(path.suffix == suffix for path in (folder / "cells").rglob("*"))


@pytest.fixture(scope="module")
def dask_cluster(tmp_path_factory):
    """The address of a scheduler with two worker processes."""
    distributed = pytest.importorskip("distributed")
    note = tmp_path_factory.mktemp("dask") / "scheduler.json"
    common = ["--scheduler-file", str(note), "--no-dashboard"]
    commands = [["scheduler", "--host", "127.0.0.1", "--port", "0", *common]]
    commands += [["worker", "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", *common]] * 2
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": note.parent}
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    processes = [
        subprocess.Popen([sys.executable, "-m", "dask", *words], **quiet, env=environment)
        for words in commands
    ]
    with distributed.Client(scheduler_file=str(note), timeout=60) as client:
        client.wait_for_workers(2, timeout=60)
        address = client.scheduler.address
    yield address
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("whole_forests")
def test_a_dask_cluster_of_two_gives_the_same_records(dask_cluster, tmp_path):
    arms = {"a": prior(), "b": prior(num_nodes=[4, 5])}
    study = study_of(arms, suites=["builtin"], steps=3)
    for name, where in {"one": None, "two": Workers("dask", scheduler=dask_cluster)}.items():
        outcomes = run_study(study, tmp_path / name, where)
        assert not [outcome.error for outcome in outcomes if outcome.error]
    pd.testing.assert_frame_equal(sorted_records(tmp_path / "one"), sorted_records(tmp_path / "two"))


def test_a_writing_that_took_long_is_not_soon_repeated(tmp_path, monkeypatch):
    monkeypatch.setattr("nanotabpfn.studies.run.SAVE_EVERY", 0)
    monkeypatch.setattr("nanotabpfn.studies.run.SAVE_SHARE", 1e-9)
    written = []
    monkeypatch.setattr("nanotabpfn.studies.run.write_records", lambda *_: written.append(1))
    run_study(study_of({"a": prior()}), tmp_path)
    assert len(written) == 3  # at the start, after the first job, at the end


@pytest.mark.parametrize("arms", ["a", [3], ["a"], [{"name": "a"}]])
def test_arms_that_are_none_are_said_to_be_unreadable(tmp_path, arms):
    run({"a": prior()}, tmp_path)
    document = json.loads((tmp_path / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps(document | {"arms": arms}))
    with pytest.raises(StudyError, match=r"study\.json: cannot be read"):
        read_saved(tmp_path)


def test_a_folder_without_a_study(tmp_path):
    with pytest.raises(StudyError, match=r"holds no study: there is no study\.json"):
        read_saved(tmp_path)
