"""Running a study: what is trained, what is kept, and how it resumes after any stop."""

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


def test_a_folder_without_a_study(tmp_path):
    with pytest.raises(StudyError, match=r"holds no study: there is no study\.json"):
        read_saved(tmp_path)
