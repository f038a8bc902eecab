"""The commands `nanotabpfn study ...`."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_study import add_toy_suites, damaged_dump, prior, write_study

from nanotabpfn.cli.main import main


@pytest.fixture(autouse=True)
def toy_suites(monkeypatch):
    add_toy_suites(monkeypatch)


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
    assert "2 cells, 0 done, in runs/s" in planned.output
    assert "each: 5 steps of 4 datasets, recipe warm-up, learning rate 0.004, float32" in planned.output
    assert "with 2 workers: about" in planned.output
    assert re.search(r"a step takes, .*: a 0\.\d\d s, b 0\.\d\d s\n", planned.output)
    assert re.search(
        r"is shown in 80% of such studies, .*\nmetric +one comparison\nlog_loss +\d+\.\d{4}\n", planned.output
    )
    assert "suite toy, not open" in planned.output
    assert "half the difference in log_loss takes one of:\n" in planned.output
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
