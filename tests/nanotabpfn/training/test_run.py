"""The directory of a run: killed at any moment it resumes to the bit; other files are not touched."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from commands import TINY_MODEL, assert_refused, train_tiny
from commands import run_nanotabpfn as run

import nanotabpfn.cli.train_run
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.checkpoint import load_model, load_state, save_model
from nanotabpfn.training.run import RunError, checkpoints, create_run, last_state, read_settings, resume_run

TIMES = {"train_time", "wait_time", "wall_time"}


def history(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def without_times(records):
    return [{name: value for name, value in record.items() if name not in TIMES} for record in records]


def contents(folder):
    return {
        file.relative_to(folder): (file.stat().st_mtime_ns, file.read_bytes())
        for file in folder.rglob("*")
        if file.is_file() and file.name != "lock"
    }


def stopped_after(monkeypatch, steps):
    """Training ends as by a signal after so many steps."""
    original = nanotabpfn.cli.train_run.train

    def stopping(*arguments, on_step, **settings):
        seen = []
        return original(
            *arguments,
            on_step=lambda record: (seen.append(record), on_step(record)),
            **settings | {"should_stop": lambda: len(seen) == steps},
        )

    monkeypatch.setattr(nanotabpfn.cli.train_run, "train", stopping)


def test_training_killed_at_random_moments_ends_as_if_undisturbed(tiny_dump, tmp_path):
    script = Path(__file__).with_name("killed_training.py")
    result = subprocess.run(
        [sys.executable, "-W", "error", script, tiny_dump, tmp_path, "10"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    undisturbed, *runs = map(json.loads, result.stdout.splitlines())
    assert undisturbed.pop("kills") == []
    assert undisturbed["files"] == [
        "checkpoints",
        "checkpoints/step-00000006.safetensors",
        "checkpoints/step-00000007.safetensors",
        "config.json",
        "history.jsonl",
        "lock",
        "model.safetensors",
    ]
    assert [record["step"] for record in undisturbed["history"]] == [1, 2, 3, 4, 5, 6, 7]
    assert len(runs) == 10
    assert sum(len(run.pop("kills")) for run in runs) >= 10
    for disturbed in runs:
        assert disturbed == undisturbed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_training_after_the_step_with_all_saved(tmp_path, tiny_dump, number):
    out = tmp_path / "run"
    options = ["--batch-size", 4, "--steps", 100_000, "--checkpoint-every", 100_000, "--workers", 1]
    command = [sys.executable, "-m", "nanotabpfn", "train", "--dump", tiny_dump, "--out", out]
    process = subprocess.Popen(
        [str(word) for word in [*command, *options, "--eval-every", 0, *TINY_MODEL]],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (out / "history.jsonl").exists() or len(history(out)) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # To the whole group, as a terminal does, and the loader's process in it.
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    done = len(history(out))
    assert f"stopped after {done} of 100000 steps; to resume: nanotabpfn train --resume {out}" in errors
    assert "Traceback" not in errors
    assert last_state(out)["step"] == done
    assert load_model(out).num_outputs == 2


def test_a_stopped_run_goes_on_to_the_same_end(tmp_path, tiny_dump, monkeypatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train_tiny(tiny_dump, whole, "--eval-every", 2).exit_code == 0
    with monkeypatch.context() as patches:
        stopped_after(patches, 3)
        assert_stopped = train_tiny(tiny_dump, parts, "--eval-every", 2)
        assert assert_stopped.exit_code == 1
        assert "stopped after 3 of 6 steps" in assert_stopped.stderr
    assert [record["step"] for record in history(parts)] == [1, 2, 3]
    result = run("train", "--resume", parts)
    assert result.exit_code == 0, result.output
    assert without_times(history(parts)) == without_times(history(whole))
    assert (parts / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    for name in TIMES:  # go on where they were, without the pause
        times = [record[name] for record in history(parts)]
        assert times == sorted(times)


def test_a_finished_run_says_so_and_is_left_alone_or_prolonged(tmp_path, tiny_dump):
    short, long = tmp_path / "short", tmp_path / "long"
    assert train_tiny(tiny_dump, short, "--eval-every", 0).exit_code == 0
    assert train_tiny(tiny_dump, long, "--eval-every", 0, "--steps", 9).exit_code == 0
    before = contents(short)
    result = run("train", "--resume", short)
    assert result.exit_code == 0, result.output
    assert "finished, all of its 6 steps are done" in result.output
    assert contents(short) == before
    assert run("train", "--resume", short, "--steps", 9).exit_code == 0
    assert without_times(history(short)) == without_times(history(long))
    assert (short / "model.safetensors").read_bytes() == (long / "model.safetensors").read_bytes()
    assert read_settings(short)["training"]["steps"] == 9


def test_the_last_checkpoints_are_kept_and_each_is_a_model(tmp_path, tiny_dump):
    out = tmp_path / "run"
    assert train_tiny(tiny_dump, out, "--eval-every", 0, "--checkpoint-every", 2, "--keep", 2).exit_code == 0
    assert [file.name for file in checkpoints(out)] == [
        "step-00000004.safetensors",
        "step-00000006.safetensors",
    ]
    states = [load_state(file) for file in checkpoints(out)]
    assert [state["step"] for state in states] == [4, 6]
    models = [load_model(file).state_dict() for file in [*checkpoints(out), out]]
    assert all(torch.equal(weight, models[2][name]) for name, weight in models[1].items())
    assert any(not torch.equal(weight, models[2][name]) for name, weight in models[0].items())
    for name, weight in models[1].items():  # the average, which training does not resume from
        assert not torch.equal(weight, states[1]["weights"][name])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--lr", 1], ["--lr cannot be given with --resume", "--steps, --workers"]),
        (["--out", "other"], ["either --out", "or --resume"]),
        (["--steps", 5], ["--steps", "at least the 6", "got 5"]),
        (["--overwrite"], ["--overwrite cannot be given"]),
    ],
)
def test_options_that_contradict_the_run_are_refused(tmp_path, tiny_dump, options, words):
    out = tmp_path / "run"
    assert train_tiny(tiny_dump, out, "--eval-every", 0).exit_code == 0
    before = contents(out)
    assert_refused(run("train", "--resume", out, *options), *words)
    assert contents(out) == before


def test_neither_out_nor_resume_nor_a_run_is_refused(tmp_path, tiny_dump):
    assert_refused(run("train", "--dump", tiny_dump), "--out", "--resume")
    assert_refused(run("train", "--out", tmp_path / "run"), "--dump")
    assert_refused(run("train", "--resume", tmp_path), tmp_path, "holds no run")
    for text, words in [("{", "cannot be read"), ("[1]", "must hold"), ("{}", "training")]:
        (tmp_path / "config.json").write_text(text)
        assert_refused(run("train", "--resume", tmp_path), "config.json", words)
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


def test_another_process_in_the_directory_is_refused(tmp_path, tiny_dump):
    out = tmp_path / "run"
    assert train_tiny(tiny_dump, out, "--eval-every", 0).exit_code == 0
    code = (
        "import sys; from pathlib import Path; from nanotabpfn.training.run import *\n"
        "folder = Path(sys.argv[1])\n"
        "with resume_run(folder, read_settings(folder)): print('in', flush=True); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, out], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "in\n"
        before = contents(out)
        assert_refused(run("train", "--resume", out, "--steps", 9), "another process is training in it")
        assert_refused(train_tiny(tiny_dump, out, "--overwrite"), "another process is training in it")
        assert contents(out) == before
    finally:
        other.communicate("\n", timeout=30)
    assert run("train", "--resume", out, "--steps", 7).exit_code == 0


def test_damaged_runs_are_refused_by_name(tmp_path, tiny_dump):
    out = tmp_path / "run"
    assert train_tiny(tiny_dump, out, "--eval-every", 0, "--checkpoint-every", 2, "--keep", 2).exit_code == 0
    lines = (out / "history.jsonl").read_text().splitlines(keepends=True)
    (out / "history.jsonl").write_text("".join(lines[:5]))
    assert_refused(run("train", "--resume", out), "history.jsonl", "fewer records than the 6 steps")
    last = checkpoints(out)[-1]
    last.write_bytes(last.read_bytes()[:-100])
    assert_refused(run("train", "--resume", out), last, "not a readable safetensors file")
    last.unlink()  # resumes from the one before
    result = run("train", "--resume", out)
    assert result.exit_code == 0, result.output
    assert without_times(history(out)) == without_times(map(json.loads, lines))


def test_a_resumed_run_refuses_another_dump_under_the_name(tmp_path, tiny_dump, published_like):
    dump = tmp_path / "mine.h5"
    dump.write_bytes(tiny_dump.read_bytes())
    assert train_tiny(dump, tmp_path / "run", "--eval-every", 0).exit_code == 0
    dump.write_bytes(published_like.read_bytes())
    more = run("train", "--resume", tmp_path / "run", "--steps", 8)
    assert_refused(more, "mine.h5: its content is not that of the dump")
    dump.unlink()
    assert_refused(run("train", "--resume", tmp_path / "run", "--steps", 8), "mine.h5")


def test_a_run_that_replaces_another_leaves_nothing_of_it(tmp_path):
    with create_run(tmp_path, {"number": 1}) as first:
        first.record({"step": 1})
        (tmp_path / ".model.safetensors.partial").write_text("half")
        (tmp_path / "checkpoints" / "step-00000001.safetensors").write_text("old")
    (tmp_path / "mine.txt").write_text("not a run's")
    with pytest.raises(RunError, match="--overwrite replaces the run"), create_run(tmp_path, {"number": 2}):
        pass
    with create_run(tmp_path, {"number": 2}, overwrite=True):
        pass
    assert read_settings(tmp_path) == {"number": 2}
    left = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*"))
    assert left == ["checkpoints", "config.json", "history.jsonl", "lock", "mine.txt"]
    assert (tmp_path / "history.jsonl").read_text() == ""


def test_what_was_to_go_when_the_run_was_killed_goes_when_it_goes_on(tmp_path):
    torch.manual_seed(0)
    model = NanoTabPFNModel(8, 2, 8, 1, 2)
    with create_run(tmp_path, {}, keep=3) as begun:
        for step in (1, 2, 3):
            begun.record({"step": step})
            begun.checkpoint(model, {"step": step})
    assert len(checkpoints(tmp_path)) == 3
    with resume_run(tmp_path, {}, keep=2) as again:
        assert again.step == 3
    assert [load_state(file)["step"] for file in checkpoints(tmp_path)] == [2, 3]


def test_a_half_written_record_is_cut(tmp_path):
    with create_run(tmp_path, {}) as begun:
        begun.record({"step": 1})
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    with resume_run(tmp_path, {}) as again:
        assert again.state is None
        again.record({"step": 1})
    assert (tmp_path / "history.jsonl").read_text() == '{"step": 1}\n'


def test_a_model_that_is_not_of_a_run_is_not_replaced(tmp_path):
    save_model(NanoTabPFNModel(8, 2, 8, 1), tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    message = r"model\.safetensors exists, though .* is not a run"
    with pytest.raises(RunError, match=message), create_run(tmp_path, {}):
        pass
    assert (tmp_path / "model.safetensors").read_bytes() == before
    with create_run(tmp_path, {}, overwrite=True):
        assert not (tmp_path / "model.safetensors").exists()
