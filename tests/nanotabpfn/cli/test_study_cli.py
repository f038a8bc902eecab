"""The commands `nanotabpfn study ...`."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_study import damaged_dump, make_studies_small, prior, study_of, write_study

from nanotabpfn.cli.main import main
from nanotabpfn.cli.study_run import ProgressView
from nanotabpfn.studies.folder import begun_path
from nanotabpfn.studies.run import run_study


@pytest.fixture(autouse=True)
def small_studies(monkeypatch):
    make_studies_small(monkeypatch)


def invoke(*words):
    return CliRunner().invoke(main, ["study", *map(str, words)])


def test_init_plan_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke("init", "mine.yaml")
    assert result.exit_code == 0, result.output
    assert "resumes after any stop" in Path("mine.yaml").read_text()
    assert "exists; --overwrite replaces it" in invoke("init", "mine.yaml").output
    file = write_study(tmp_path / "s.json")
    planned = invoke("plan", file, "--workers", 2)
    assert planned.exit_code == 0, planned.output
    left = "runs/s: 0 of 2 cells are done; left to do: 2 cells, 3 measurements of priors and tables\n"
    assert left in planned.output
    assert "each: 5 steps of 4 datasets, recipe warm-up, learning rate 0.004, float32" in planned.output
    assert "that takes, with 2 workers, about " in planned.output
    assert re.search(r"a step takes, .*: a \d+\.\d\d s, b \d+\.\d\d s\n", planned.output)
    assert re.search(
        r"is shown in 80% of such studies, .*\nmetric +one comparison\nlog_loss +\d+\.\d{4}\n", planned.output
    )
    assert "suite toy, not open" in planned.output
    assert "half the difference in log_loss takes one of:\n" in planned.output
    assert planned.output.count(" alone: the effect of another one is not in it") == 2  # one pair of seeds
    several = write_study(tmp_path / "several.json", data_seeds=[0, 1], model_seeds=[0, 1])
    assert "the effect of another one" not in invoke("plan", several).output
    assert not Path("runs").exists()  # planning leaves nothing
    done = invoke("run", file)
    assert done.exit_code == 0, done.output
    assert left in done.output  # what the plan counts
    assert done.output.endswith("runs/s: 2 of 2 cells are done; records.parquet, records.csv\n")
    assert "b, data seed 0, model seed 0: done" in done.output
    finished = invoke("plan", file).output
    assert finished.count("  done") == 2
    assert "runs/s: 2 of 2 cells are done; left to do: nothing\n" in finished
    assert "about 0 s (0 s of training, 0 s of scoring, 0 s of measuring priors" in finished
    reported = invoke("report", "runs/s")
    assert reported.exit_code == 0, reported.output
    assert "no difference was shown" in Path("runs/s/report.md").read_text()
    assert "<html" in Path("runs/s/report.html").read_text()


def test_plan_and_run_count_equal_arms_and_those_that_fail_in_the_same_words(tmp_path):
    arms = {"a": prior(), "same": prior(), "broken": prior(mechanisms={"broken_family:raises": 1})}
    (tmp_path / "broken_family.py").write_text("def raises(parents, rng):\n    raise ValueError('broken')\n")
    file = write_study(tmp_path / "s.json", arms=arms, baselines=["random_forest", "decision_tree"])
    left = (
        f"{tmp_path / 'out'}: 0 of 3 cells are done; left to do: 2 baselines, 1 cell, 2 measurements of "
        "priors and tables (1 more cell equals one of these); 1 cannot be sampled\n"
    )
    assert left in invoke("plan", file, "--out", tmp_path / "out").output
    result = invoke("run", file, "--out", tmp_path / "out")
    assert left in result.output
    assert f"{tmp_path / 'out'}: 2 of 3 cells are done; records.parquet" in result.output


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_ends_a_study_with_its_records_and_says_how_to_resume(tmp_path, workers):
    out = tmp_path / "out"
    file = write_study(
        tmp_path / "s.json", steps=100_000, eval_every=100_000, suites=["builtin"], controls=[]
    )
    words = ["study", "run", str(file), "--out", str(out), "--workers", str(workers)]
    process = subprocess.Popen(
        [sys.executable, "-m", "nanotabpfn", *words],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 120
    while not any(len(history.read_bytes()) for history in out.glob("cells/*/history.jsonl")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert errors == "Error: stopped; the same command resumes\n"
    assert (out / "records.csv").exists()


def test_the_progress_names_what_is_under_way_inside_a_cell(tmp_path):
    study = study_of({"a": prior(), "b": prior(num_nodes=[4, 5])}, steps=8)
    view = ProgressView(tmp_path, replaces=False)
    seen = []

    def begin(plan, jobs):
        view.begin(plan, jobs)
        for planned in plan.cells:
            begun_path(tmp_path, planned.key).parent.mkdir(exist_ok=True)
            begun_path(tmp_path, planned.key).touch()
            (tmp_path / "cells" / planned.key).mkdir(parents=True)
        first, second = plan.cells
        (tmp_path / "cells" / first.key / "history.jsonl").write_text("{}\n" * 3)
        (tmp_path / "cells" / second.key / "done.json").touch()
        begun_path(tmp_path, jobs[-1].key).touch()
        seen.append(view.under_way())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path, on_plan=begin)
    view.end()
    assert seen == ["a 0/0: step 3 of 8, b 0/0: trained, scored on 0 of 4 targets, and 1 more"]


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
        (["init", "absent/mine.yaml"], "absent/mine.yaml: cannot be written: there is no folder absent"),
        (["run", "none.yaml"], "does not exist"),
        (["run", "bad.json"], "bad.json: arms: field required"),
        (["report", "."], "holds no study"),
        (["run", "good.json", "--device", "mps"], "device 'mps' is not available here"),
        (["run", "good.json", "--scheduler", "tcp://x:1"], "--scheduler needs --backend dask or ray"),
    ],
)
def test_wrong_input_is_a_usage_error(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    Path("bad.json").write_text("{}")
    write_study(Path("good.json"))
    result = invoke(*words)
    assert result.exit_code == 2
    assert message in result.output
    assert not Path("runs").exists()
