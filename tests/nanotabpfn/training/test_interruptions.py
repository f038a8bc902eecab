"""Runs that are interrupted from outside: a full disk, a closed terminal, a dump moved or changed."""

import errno
import json
import os
import pty
import signal
import sys
import time
from dataclasses import replace

import h5py
import pytest
from commands import TINY_MODEL, assert_refused, train_tiny
from commands import run_nanotabpfn as run
from tiny_prior import TINY

import nanotabpfn.training.patience
import nanotabpfn.training.run
from nanotabpfn.training.run import Run, last_state
from priors.generation.generate import generate_dump

UNSCORED = ["--eval-every", 0]


def steps_of(folder):
    return [json.loads(line)["step"] for line in (folder / "history.jsonl").read_text().splitlines()]


# ------------------------------------------------------------------------------------------- a full disk


def assert_disk_full(result, out, step):
    assert result.exit_code == 1
    [message] = [line for line in result.stderr.splitlines() if line.startswith("Error")]
    assert f"cannot be written after step {step}: No space left on device" in message
    assert f"nanotabpfn train --resume {out}" in message


def test_a_disk_that_is_full_at_a_checkpoint_is_one_line_and_resume_works(tmp_path, tiny_dump, monkeypatch):
    out, written = tmp_path / "run", []
    original = nanotabpfn.training.run.save_checkpoint

    def save(model, state, path):
        written.append(path)
        if len(written) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(model, state, path)

    monkeypatch.setattr(nanotabpfn.training.run, "save_checkpoint", save)
    assert_disk_full(train_tiny(tiny_dump, out, *UNSCORED, "--checkpoint-every", 2), out, 4)
    assert last_state(out)["step"] == 2
    result = run("train", "--resume", out)
    assert result.exit_code == 0, result.output
    assert steps_of(out) == [1, 2, 3, 4, 5, 6]


class FullFile:
    """A file on a full disk: what is buffered cannot be written, not even when it is closed."""

    def write(self, content):
        pass

    def flush(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    close = flush


def test_a_disk_that_is_full_at_a_record_is_one_line_and_resume_works(tmp_path, tiny_dump, monkeypatch):
    out, record = tmp_path / "run", Run.record

    def full(self, values):
        if values["step"] == 5:
            self._history.close()
            self._history = FullFile()
        record(self, values)

    monkeypatch.setattr(Run, "record", full)
    assert_disk_full(train_tiny(tiny_dump, out, *UNSCORED, "--checkpoint-every", 2), out, 4)
    monkeypatch.undo()
    result = run("train", "--resume", out)
    assert result.exit_code == 0, result.output
    assert steps_of(out) == [1, 2, 3, 4, 5, 6]


# ------------------------------------------------------------------------------------- a closed terminal


def train_in_a_terminal(dump, out):
    """A process with a terminal of its own; returns its id and the terminal."""
    child, terminal = pty.fork()
    if not child:
        arguments = ["train", "--dump", dump, "--out", out, "--steps", 200_000, "--batch-size", 4]
        command = [sys.executable, "-m", "nanotabpfn", *arguments, *TINY_MODEL, *UNSCORED]
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests run under nohup
        os.execv(sys.executable, [str(word) for word in command])
    return child, terminal


def wait_for_steps(folder, steps):
    deadline = time.monotonic() + 180
    while not (folder / "history.jsonl").exists() or len(steps_of(folder)) < steps:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_closed_terminal_ends_training_with_a_checkpoint(tmp_path, tiny_dump):
    out = tmp_path / "run"
    child, terminal = train_in_a_terminal(tiny_dump, out)
    wait_for_steps(out, 2)
    os.close(terminal)  # the kernel sends SIGHUP
    _, status = os.waitpid(child, 0)
    assert os.WIFEXITED(status)
    done = len(steps_of(out))
    assert last_state(out)["step"] == done


# --------------------------------------------------------------------------- a dump moved or changed


def test_a_moved_dump_is_named_anew(tmp_path, tiny_dump):
    out, first, second = tmp_path / "run", tmp_path / "first.h5", tmp_path / "second.h5"
    first.write_bytes(tiny_dump.read_bytes())
    assert train_tiny(first, out, *UNSCORED).exit_code == 0
    first.rename(second)
    more = ["--resume", out, "--steps", 8]
    assert_refused(run("train", *more), first, "no such file", f"--resume {out} --dump NEW_PLACE")
    assert_refused(run("train", *more, "--dump", second, "--dump", second), "one for each dump of the run, 1")
    result = run("train", *more, "--dump", second)
    assert result.exit_code == 0, result.output
    assert steps_of(out) == list(range(1, 9))
    result = run("train", "--resume", out, "--steps", 9)  # from its new place, which the run has noted
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("keeps_attributes", [True, False])
def test_a_dump_whose_content_changed_is_refused(tmp_path, tiny_dump, keeps_attributes):
    out, dump, other = tmp_path / "run", tmp_path / "dump.h5", tmp_path / "other.h5"
    dump.write_bytes(tiny_dump.read_bytes())
    if not keeps_attributes:  # of another writer, without a hash
        with h5py.File(dump, "r+") as file:
            for name in list(file.attrs):
                del file.attrs[name]
    assert train_tiny(dump, out, *UNSCORED).exit_code == 0
    os.utime(dump)  # a newer time alone is no other content
    assert run("train", "--resume", out, "--steps", 7).exit_code == 0
    generate_dump(other, replace(TINY, num_datapoints=25), 64, seed=1)
    assert_refused(run("train", "--resume", out, "--steps", 8, "--dump", other), other, "content is not that")
    with h5py.File(dump, "r+") as file:
        file["X"][40, 0, 0] += 1
    assert_refused(run("train", "--resume", out, "--steps", 8), dump, "content is not that", out)
    assert steps_of(out) == list(range(1, 8))


# ------------------------------------------------------------------------------------- what is left over


def test_overwrite_removes_the_events_of_tensorboard(tmp_path, tiny_dump):
    out = tmp_path / "run"
    assert train_tiny(tiny_dump, out, *UNSCORED).exit_code == 0
    (out / "tensorboard").mkdir()
    old, own = out / "tensorboard" / "events.out.tfevents.1.host", out / "tensorboard" / "notes.txt"
    old.write_bytes(b"old"), own.write_text("mine")
    assert train_tiny(tiny_dump, out, *UNSCORED, "--overwrite").exit_code == 0
    assert not old.exists()
    assert own.read_text() == "mine"


def test_a_dump_with_missing_cells_is_refused_before_a_run_is_made(tmp_path):
    dump, out = tmp_path / "missing.h5", tmp_path / "run"
    generate_dump(dump, replace(TINY, missing_fraction=(0.2, 0.3)), 8, seed=0)
    assert_refused(train_tiny(dump, out), dump, "missing cells")
    assert not out.exists()


def test_a_disk_that_is_full_at_the_best_model_is_one_line_and_resume_works(tmp_path, tiny_dump, monkeypatch):
    out, original, written = tmp_path / "run", nanotabpfn.training.patience.save_model, []

    def save(model, path):
        written.append(path)
        if len(written) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(model, path)

    monkeypatch.setattr(nanotabpfn.training.patience, "save_model", save)
    options = [
        "--suite",
        "none",
        "--held-out",
        8,
        "--eval-every",
        3,
        "--patience",
        9,
        "--checkpoint-every",
        1,
    ]
    assert_disk_full(train_tiny(tiny_dump, out, *options), out, 2)
    result = run("train", "--resume", out)
    assert result.exit_code == 0, result.output
    assert steps_of(out) == [1, 2, 3, 4, 5, 6]


def test_after_a_disk_that_is_full_at_the_start_of_a_branch_the_same_command_works(
    tmp_path, tiny_dump, monkeypatch
):
    source, out = tmp_path / "source", tmp_path / "branch"
    assert train_tiny(tiny_dump, source, *UNSCORED).exit_code == 0

    def full(model, state, path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(nanotabpfn.training.run, "save_checkpoint", full)
    words = ["train", "--from", source, "--dump", tiny_dump, "--out", out, *UNSCORED, "--steps", 2]
    result = run(*words)
    assert result.exit_code == 1
    assert "the branch starts from cannot be written: No space left on device; repeat" in result.stderr
    monkeypatch.undo()
    result = run(*words)
    assert result.exit_code == 0, result.output
