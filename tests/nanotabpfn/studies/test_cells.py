"""Cells: what a study trains and scores, what it keeps, and how it goes on after whatever stopped it."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import lost_workers
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from sklearn.metrics import log_loss, roc_auc_score

import nanotabpfn.studies.cells as cells
from nanotabpfn.cli.main import main
from nanotabpfn.data.loaders import PriorDumpDataLoader
from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.evaluation.held_out import score_held_out
from nanotabpfn.evaluation.metrics import METRICS
from nanotabpfn.evaluation.protocol import prepare, score_table
from nanotabpfn.evaluation.suites import SUITES
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.checkpoint import load_model
from nanotabpfn.studies.cells import Target, plan_study, read_study, run_study, score_datasets, score_tables
from nanotabpfn.studies.properties import DISTANCES, PROPERTIES, properties_of_batches
from nanotabpfn.studies.study import Study, StudyError, load_study
from priors.families.mechanisms import MECHANISMS
from priors.generation.engines import run_tasks
from priors.generation.generate import generate_dump

TINY = {"num_datapoints": 24, "num_features": [3, 3], "num_nodes": [5, 8], "block_size": 4}
MODEL = {"embedding_size": 8, "num_attention_heads": 2, "mlp_hidden_size": 8, "num_layers": 1}
SMALL = {
    "name": "small",
    "controls": [],
    "data_seeds": [0],
    "model_seeds": [0],
    "steps": 5,
    "eval_every": 2,
    "batch_size": 4,
    "held_out": 4,
    "model": MODEL,
    "suites": ["toy"],
    "baselines": [],
}

LOGISTIC = ["logistic_regression"]


def prior(**changes):
    return {"preset": "linear", "set": TINY | changes}


def study_of(arms, **changes) -> Study:
    return Study(**{**SMALL, "arms": arms, **changes})


@pytest.fixture(autouse=True)
def toy_suite(monkeypatch):
    """A suite of two small tables: one that its first column decides, one of noise."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    tables = {"easy": (x, x[:, 0] > 0), "noise": (x, rng.permutation(40) > 19)}
    monkeypatch.setitem(SUITES, "toy", {name: lambda table=table: table for name, table in tables.items()})
    many = {str(n): lambda n=n: (x[:, : 2 + n % 2] ** n, x[:, 0] > 0.1 * n) for n in range(2, 8)}
    monkeypatch.setitem(SUITES, "many", many)


def run(arms, folder, **changes):
    outcomes = run_study(study_of(arms, **changes), folder)
    assert not [outcome for outcome in outcomes if outcome.error]
    return pd.read_parquet(folder / "records.parquet")


def digests(folder, pattern="cells/*/*/*"):
    """The contents of files below a folder, with the times at which they were written."""
    return {
        str(file.relative_to(folder)): (
            file.stat().st_mtime_ns,
            hashlib.sha256(file.read_bytes()).hexdigest(),
        )
        for file in folder.glob(pattern)
        if file.is_file()
    }


def sorted_records(folder):
    records = pd.read_parquet(folder / "records.parquet")
    return records.sort_values(list(records.columns)).reset_index(drop=True)


def test_one_row_for_each_arm_seed_task_fold_and_metric(tmp_path):
    arms = {"a": prior(), "b": prior(noise_scale=[0.4, 0.5])}
    records = run(arms, tmp_path, data_seeds=[0, 1], controls=["untrained"], baselines=LOGISTIC)
    assert list(records.columns) == cells.COLUMNS
    keys = ["arm", "data_seed", "model_seed", "step", "target", "suite", "task", "fold", "metric"]
    assert not records.duplicated(keys).any()
    of_models = records[records["target"] != "properties"]
    assert set(of_models["metric"]) == set(METRICS)
    real = records[records["target"] == "real"]
    assert set(real["fold"]) == {"0", "1", "2", "3", "4", "all"}
    of_a = real[(real["arm"] == "a") & (real["data_seed"] == 0)]
    assert len(of_a) == 3 * 2 * 6 * len(METRICS)  # steps 2, 4 and 5, tables, folds and all of them
    assert set(of_a["step"]) == {2, 4, 5}
    assert set(of_a.loc[of_a["is_final"], "step"]) == {5}
    held_out = records[records["target"] == "prior"]
    assert set(held_out["suite"]) == {"a", "b"}
    on_b = held_out[(held_out["suite"] == "b") & (held_out["data_seed"] == 1)]
    assert set(on_b.loc[on_b["arm"] == "b", "step"]) == {2, 4, 5}
    assert set(on_b.loc[on_b["arm"] == "a", "step"]) == {5}
    assert on_b["task"].nunique() == 4
    assert set(records.loc[records["arm"] == "untrained", "step"]) == {0}
    assert set(records.loc[records["role"] == "baseline", "arm"]) == {"logistic_regression"}
    assert records.loc[records["role"] == "baseline", "step"].isna().all()
    csv = pd.read_csv(tmp_path / "records.csv", dtype={"task": str})
    assert len(csv) == len(records)
    assert np.allclose(csv["value"], records["value"])


def test_the_records_are_those_of_the_models_that_are_kept(tmp_path):
    records = run({"a": prior()}, tmp_path)
    [place] = (tmp_path / "cells").iterdir()
    model = load_model(place / "models" / "step-00000004.safetensors")
    classifier = NanoTabPFNClassifier(model, "cpu")
    at_4 = records[(records["step"] == 4) & (records["fold"] == "all") & (records["metric"] == "roc_auc")]
    for name, load in SUITES["toy"].items():
        [value] = at_4.loc[at_4["task"] == name, "value"]
        assert value == score_table(classifier, cells.Task(*prepare(TableOf(name, *load()))))
    [target] = [target for target in plan_study(read_study(tmp_path)).targets if target.kind == "prior"]
    batches = target.arm.loader(read_study(tmp_path), 0).held_out_batches()
    own = records[(records["step"] == 4) & (records["target"] == "prior")]
    expected = score_held_out(model, batches, "cpu")
    for metric, name in [("accuracy", "held_out_accuracy"), ("roc_auc", "held_out_roc_auc")]:
        assert own.loc[own["metric"] == metric, "value"].mean() == pytest.approx(expected[name])
    final = load_model(place)
    last = load_model(place / "models" / "step-00000005.safetensors")
    for own_weights, weights in zip(final.parameters(), last.parameters(), strict=True):
        assert torch.equal(own_weights, weights)


class TableOf:
    def __init__(self, name, x, y):
        self.name, self.x, self.y = name, x, y


def test_fold_scores_are_those_of_the_fold_alone():
    x, y = SUITES["toy"]["easy"]()
    task = prepare(TableOf("easy", x, y))
    estimator = cells.BASELINES["logistic_regression"]()
    scores = {(fold, metric): value for _, fold, metric, value in score_tables(estimator, (task,))}
    pooled = np.empty(len(y))
    for number, fold in enumerate(task.folds):
        estimator.fit(fold.x_train, fold.y_train)
        probabilities = estimator.predict_proba(fold.x_test)
        pooled[fold.test_rows] = probabilities[:, 1]
        truth = task.y[fold.test_rows]
        assert scores[str(number), "log_loss"] == pytest.approx(log_loss(truth, probabilities))
    assert scores["all", "roc_auc"] == pytest.approx(roc_auc_score(task.y, pooled))


def test_held_out_datasets_of_fewer_classes_than_the_model_has(tiny_dump):
    torch.manual_seed(0)
    model = NanoTabPFNModel(8, 2, 8, 1, num_outputs=5).eval()
    batches = PriorDumpDataLoader(tiny_dump, 1, 4, "cpu", held_out=8).held_out_batches()
    scores = list(score_datasets(model, batches))
    assert {task for task, *_ in scores} == {str(number) for number in range(56, 64)}
    x, y, split = batches[0]["x"][:1], batches[0]["y"][:1], batches[0]["train_test_split_index"]
    p = torch.softmax(model((x, y[:, :split]), split)[0, :, :2].double(), 1).detach().numpy()
    [value] = [value for task, _, metric, value in scores if task == "56" and metric == "log_loss"]
    assert value == pytest.approx(log_loss(y[0, split:].numpy(), p))


def test_priors_and_tables_are_measured(tmp_path):
    records = run({"a": prior(), "b": prior(noise_scale=[0.4, 0.5])}, tmp_path, data_seeds=[0, 1], held_out=6)
    found = records[records["target"] == "properties"]
    keys = ["arm", "data_seed", "suite", "task", "metric"]
    assert not found.duplicated(keys).any()
    own = found[(found["arm"] == "b") & (found["data_seed"] == 1) & (found["suite"] == "b")]
    assert own["task"].nunique() == 6
    study = read_study(tmp_path)
    arm = cells.resolve_arms(study)[1]
    measured = properties_of_batches(arm.loader(study, 1).held_out_batches())
    for task, frame in own.groupby("task"):
        values = dict(zip(PROPERTIES, measured[task], strict=True))
        assert frame.set_index("metric")["value"].to_dict() == {
            name: value for name, value in values.items() if np.isfinite(value)
        }
    tables = found[found["role"] == "suite"]
    assert set(tables["arm"]) == {"toy"}
    assert set(tables["task"]) == {"easy", "noise"}
    assert not set(DISTANCES) & set(found["metric"])  # two tables are too few


def test_distances_from_the_real_tables_are_recorded(tmp_path):
    arms = {"a": prior()}
    records = run(arms, tmp_path, held_out=6, suites=["toy", "many"])
    away = records[records["metric"].isin(list(DISTANCES))]
    assert list(away["suite"]) == ["many", "many"]
    assert set(away["arm"]) == {"a"}
    assert away["value"].between(0, 1).all()
    before = digests(tmp_path, "properties/*")
    run({**arms, "b": prior(noise_scale=[0.4, 0.5])}, tmp_path, held_out=6, suites=["toy", "many"])
    assert before.items() < digests(tmp_path, "properties/*").items()


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
    [untrained] = tmp_path.glob("cells/*/models/step-00000000.safetensors")
    torch.manual_seed(0)
    expected = NanoTabPFNModel(**MODEL, num_outputs=2)
    for weights, own in zip(expected.parameters(), load_model(untrained).parameters(), strict=True):
        assert torch.equal(weights, own)


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


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 6},
        {"precision": "bfloat16"},
        {"recipe": "warm-up"},
        {"recipe": "mean-pooling"},
        {"lr": 0.01},
        {"batch_size": 3},
        {"model_seeds": [5]},
        {"data_seeds": [5]},
    ],
)
def test_the_key_knows_all_that_a_training_depends_on(changes):
    arms = {"a": prior()}
    [one] = plan_study(study_of(arms)).cells
    [other] = plan_study(study_of(arms, **changes)).cells
    assert one.key != other.key


@pytest.mark.parametrize(
    "changes", [{"held_out": 9}, {"baselines": LOGISTIC}, {"level": 0.9}, {"name": "x"}, {"lr": 0.004}]
)
def test_and_nothing_else(changes):
    [one] = plan_study(study_of({"a": prior()})).cells
    [other] = plan_study(study_of({"b": prior()}, **changes)).cells
    assert one.key == other.key


def test_a_cell_is_trained_by_the_recipe(tmp_path, monkeypatch):
    given = {}

    def train(model, loader, **settings):
        given.update(settings)
        raise KeyError("seen")

    monkeypatch.setattr(cells, "train", train)
    outcome, *_ = run_study(study_of({"a": prior()}, recipe="combined", precision="bfloat16"), tmp_path)
    assert "seen" in outcome.error
    assert (given["optimizer"], given["warmup_steps"], given["precision"]) == ("muon", 20, "bfloat16")


def test_a_change_of_the_code_that_samples_changes_the_key(monkeypatch):
    [one] = plan_study(study_of({"a": prior()})).cells
    monkeypatch.setattr(cells, "hash_batch", lambda batch: "other datasets")
    [other] = plan_study(study_of({"a": prior()})).cells
    assert one.key != other.key


def damaged_dump(path):
    """A block of it holds a label that no dataset may have, so that training on it fails on the way."""
    config = study_of({"a": prior()})
    arm = cells.resolve_arms(config)[0]
    generate_dump(path, arm.config, 24, seed=0)
    with h5py.File(path, "r+") as file:
        file["y"][12:16, 0] = 7
    return path


def test_a_cell_that_fails_is_told_and_does_not_stop_the_rest(tmp_path, monkeypatch):
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
    plan = plan_study(read_study(folder))
    states = {planned.cell.arm.name: cells.state_of(plan, planned, folder) for planned in plan.cells}
    assert states == {"never": "failed", "damaged": "failed", "a": "done"}
    again = run_study(study_of(arms, held_out=1, steps=8), folder)  # tried again, and nothing else
    assert {outcome.label.split(",")[0] for outcome in again} == {"never", "damaged"}


def test_a_job_that_kills_its_worker_has_failed_and_the_rest_goes_on(tmp_path):
    (tmp_path / "locks").mkdir()
    names = ["a", "deadly", "b", "c", "deadly too", "d"]
    jobs = [cells.Job(f"cell {name}", name, None) for name in names]

    def run(some):  # processes that import little, and so start soon
        tasks = [(str(cells.begun_path(tmp_path, job)), job.label) for job in some]
        for label in run_tasks(lost_workers.work, tasks, num_workers=2):
            yield cells.Outcome(label, None)

    errors = {outcome.label: outcome.error for outcome in cells.run_jobs(jobs, tmp_path, run)}
    assert set(errors) == {job.label for job in jobs}
    failed = {label for label, error in errors.items() if error}
    assert failed == {"cell deadly", "cell deadly too"}
    assert "killed, or ran out of memory" in errors["cell deadly"]
    assert sorted(path.stem for path in (tmp_path / "errors").iterdir()) == ["deadly", "deadly too"]
    assert not list((tmp_path / "locks").iterdir())


@pytest.mark.parametrize("error", [None, ValueError("no")])
def test_a_job_is_marked_while_it_is_under_way(tmp_path, error):
    seen = []

    def work(folder, study, device):
        seen.append(cells.begun_path(folder, job).exists())
        if error is not None:
            raise error

    job = cells.Job("one", "key", work)
    outcome = cells.run_job(tmp_path, study_of({"a": prior()}), job, 1, "cpu")
    assert seen == [True]
    assert (outcome.error is None) == (error is None)
    assert not cells.begun_path(tmp_path, job).exists()


def test_a_worker_lost_before_any_job_stops_the_study(tmp_path):
    jobs = [cells.Job(name, name, None) for name in ("one", "two")]
    (tmp_path / "locks").mkdir()
    cells.begun_path(tmp_path, jobs[0]).touch()  # of a study that was killed

    def run(some):
        raise cells.WorkerLostError("lost")
        yield

    with pytest.raises(cells.WorkerLostError):
        list(cells.run_jobs(jobs, tmp_path, run))


def test_a_cell_that_another_process_is_at_is_left_to_it(tmp_path):
    study = study_of({"a": prior()})
    [planned] = plan_study(study).cells
    (tmp_path / "locks").mkdir()
    with cells.FileLock(tmp_path / "locks" / f"{planned.key}.lock"):
        outcome, *_ = run_study(study, tmp_path)
    assert outcome.is_busy
    [outcome] = run_study(study, tmp_path)
    assert outcome.error is None


def test_a_study_is_run_by_one_process_at_a_time(tmp_path):
    with cells.FileLock(tmp_path / "lock"), pytest.raises(StudyError, match="another process is running"):
        run_study(study_of({"a": prior()}), tmp_path)


def test_a_damaged_cell_is_made_again(tmp_path):
    records = run({"a": prior()}, tmp_path)
    [place] = (tmp_path / "cells").iterdir()
    (place / "done.json").unlink()
    (place / "history.jsonl").write_bytes(b"")
    (place / "checkpoints").mkdir()
    (place / "checkpoints" / "step-00000004.safetensors").write_bytes(b"torn")
    for file in (place / "scores").iterdir():
        file.unlink()
    assert run({"a": prior()}, tmp_path).equals(records)


def write_study(path, **changes):
    path.write_text(json.dumps({**SMALL, "arms": {"a": prior(), "b": prior(num_nodes=[4, 5])}, **changes}))
    return path


def test_killed_at_any_moment_it_goes_on(tmp_path):
    """The same records as a study that nobody disturbed; one kill comes in training, one in scoring."""
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


def test_a_dask_cluster_of_two_gives_the_same_records(dask_cluster, tmp_path):
    arms = {"a": prior(), "b": prior(num_nodes=[4, 5])}
    study = study_of(arms, suites=["builtin"], steps=3)
    for name, where in {"one": {}, "two": {"backend": "dask", "scheduler": dask_cluster}}.items():
        outcomes = run_study(study, tmp_path / name, **where)
        assert not [outcome.error for outcome in outcomes if outcome.error]
    pd.testing.assert_frame_equal(sorted_records(tmp_path / "one"), sorted_records(tmp_path / "two"))


# ------------------------------------------------------------------------------------------- the command


def invoke(*words):
    return CliRunner().invoke(main, ["study", *map(str, words)])


def test_init_plan_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke("init", "mine.yaml")
    assert result.exit_code == 0, result.output
    assert "goes on" in Path("mine.yaml").read_text()
    assert "exists; --overwrite replaces it" in invoke("init", "mine.yaml").output
    file = write_study(tmp_path / "s.json")
    planned = invoke("plan", file, "--workers", 2)
    assert planned.exit_code == 0, planned.output
    assert "2 cells, 0 done, in runs/s" in planned.output
    assert "each: 5 steps of 4 datasets, recipe published, learning rate 0.004, float32" in planned.output
    assert "with 2 workers: about" in planned.output
    assert re.search(r"a step takes, .*: a 0\.\d\d s, b 0\.\d\d s\n", planned.output)
    assert not Path("runs").exists()  # planning leaves nothing
    done = invoke("run", file)
    assert done.exit_code == 0, done.output
    assert "2 of 2 cells are done" in done.output
    assert "b, data seed 0, model seed 0: done" in done.output
    finished = invoke("plan", file).output
    assert finished.count("  done") == 2
    assert "about 0 s (0 s of training, 0 s of scoring, 0 s of measuring priors" in finished
    reported = invoke("report", "runs/s")
    assert reported.exit_code == 0, reported.output
    assert "no difference was shown" in Path("runs/s/report.md").read_text()
    assert "<html" in Path("runs/s/report.html").read_text()


def test_a_failed_cell_makes_the_command_fail_after_the_rest(tmp_path):
    dump = damaged_dump(tmp_path / "damaged.h5")
    arms = {"damaged": {"dump": str(dump)}, "a": prior()}
    file = write_study(tmp_path / "s.json", arms=arms, held_out=1, steps=8)
    result = invoke("run", file, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "1 of 2 cells are done" in result.output
    assert "1 failed" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["init", "mine.txt"], "FILE must end in .yaml"),
        (["run", "none.yaml"], "does not exist"),
        (["run", "bad.json"], "bad.json: arms: field required"),
        (["report", "."], "holds no study"),
        (["run", "good.json", "--device", "mps"], "device: must be one of those that this machine has"),
        (["run", "good.json", "--scheduler", "tcp://x:1"], "--scheduler needs --backend dask or ray"),
    ],
)
def test_what_the_user_got_wrong_is_told_plainly(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    Path("bad.json").write_text("{}")
    write_study(Path("good.json"))
    result = invoke(*words)
    assert result.exit_code == 2
    assert message in result.output
    assert not Path("runs").exists()


def test_a_folder_without_a_study(tmp_path):
    with pytest.raises(StudyError, match=r"holds no study: there is no study\.json"):
        read_study(tmp_path)


def test_targets_of_a_cell_are_those_of_its_data_seed():
    plan = plan_study(study_of({"a": prior()}, data_seeds=[0, 1]))
    for planned in plan.cells:
        targets: list[Target] = plan.targets_of(planned)
        assert [(target.kind, target.data_seed) for target in targets] == [
            ("real", None),
            ("prior", planned.cell.data_seed),
        ]
