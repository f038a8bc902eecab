"""Early stopping: when it stops, which model is kept, and that a stop and a resume change nothing."""

import json

import pytest
import torch
from commands import assert_refused, run_nanotabpfn, train_tiny

import nanotabpfn.cli.train_run
from nanotabpfn.model.checkpoint import load_model
from nanotabpfn.training.patience import evaluations_since_best

LOSSES = {2: 0.6, 4: 0.5, 6: 0.55, 8: 0.52, 10: 0.4, 12: 0.45}
OPTIONS = ["--held-out", 8, "--suite", "none", "--eval-every", 2, "--checkpoint-every", 3, "--keep", 9]


@pytest.fixture
def losses(monkeypatch):
    """The held-out losses are those of LOSSES, in their order, whichever process or run evaluates."""
    steps = iter(LOSSES)

    def begin_after(step):
        nonlocal steps
        steps = iter([known for known in LOSSES if known > step])

    monkeypatch.setattr(
        nanotabpfn.cli.train_run, "score_held_out", lambda *_: {"held_out_loss": LOSSES[next(steps)]}
    )
    return begin_after


def equal(one, other):
    expected = load_model(other).state_dict()
    return all(torch.equal(weight, expected[name]) for name, weight in load_model(one).state_dict().items())


def best(folder):
    return [file.name for file in (folder / "best").iterdir()]


def test_evaluations_since_the_best():
    assert [evaluations_since_best(losses) for losses in ([], [0.5], [0.5, 0.5], [0.5, 0.6, 0.4])] == [
        0,
        0,
        1,
        0,
    ]


def test_it_stops_and_keeps_the_best_model(tmp_path, tiny_dump, losses):
    out = tmp_path / "run"
    result = train_tiny(tiny_dump, out, *OPTIONS, "--steps", 12, "--patience", 2)
    assert result.exit_code == 0, result.output
    assert "lowest, 0.5000, at step 4 of 8" in result.stdout
    assert len((out / "history.jsonl").read_text().splitlines()) == 8
    assert best(out) == ["step-00000004.safetensors"]
    assert equal(out, out / "best" / "step-00000004.safetensors")
    losses(0)
    plain = train_tiny(tiny_dump, tmp_path / "plain", *OPTIONS, "--steps", 4)
    assert plain.exit_code == 0, plain.output
    assert equal(out, tmp_path / "plain")  # the averaged model of that step
    again = run_nanotabpfn("train", "--resume", out)
    assert again.exit_code == 0, again.output
    assert "finished, the held-out loss was lowest" in again.stdout
    losses(8)
    more = run_nanotabpfn("train", "--resume", out, "--patience", 3)
    assert more.exit_code == 0, more.output
    assert "lowest, 0.4000, at step 10 of 12" in more.stdout
    assert best(out) == ["step-00000010.safetensors"]


@pytest.mark.parametrize("last_checkpoint", [3, 6])
def test_a_run_that_was_killed_ends_as_if_it_was_not(tmp_path, tiny_dump, losses, last_checkpoint):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    options = [*OPTIONS, "--steps", 12, "--patience", 2]
    assert train_tiny(tiny_dump, whole, *options).exit_code == 0
    losses(0)
    assert train_tiny(tiny_dump, killed, *options, "--steps", last_checkpoint + 1).exit_code == 0
    (killed / "checkpoints" / f"step-{last_checkpoint + 1:08}.safetensors").unlink()
    losses(last_checkpoint)
    result = run_nanotabpfn("train", "--resume", killed, "--steps", 12)
    assert result.exit_code == 0, result.output
    assert equal(killed, whole)
    assert best(killed) == best(whole)
    found = [
        [json.loads(line)["loss"] for line in (run / "history.jsonl").read_text().splitlines()]
        for run in (killed, whole)
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("steps", [6, 12])  # ends after its steps, and by its patience
def test_a_run_that_was_killed_at_its_end_still_keeps_the_best_model(tmp_path, tiny_dump, losses, steps):
    out = tmp_path / "run"
    assert train_tiny(tiny_dump, out, *OPTIONS, "--steps", steps, "--patience", 2).exit_code == 0
    best_model = (out / "model.safetensors").read_bytes()
    last = max((out / "checkpoints").iterdir())  # after which the process is killed
    (out / "model.safetensors").write_bytes(last.read_bytes())
    again = run_nanotabpfn("train", "--resume", out)
    assert again.exit_code == 0, again.output
    assert "finished" in again.stdout
    assert (out / "model.safetensors").read_bytes() == best_model


def test_a_new_run_in_its_place_removes_the_best_model(tmp_path, tiny_dump, losses):
    out = tmp_path / "run"
    assert train_tiny(tiny_dump, out, *OPTIONS, "--patience", 2).exit_code == 0
    assert train_tiny(tiny_dump, out, "--eval-every", 0, "--overwrite").exit_code == 0
    assert best(out) == []


def test_it_needs_held_out_datasets(tmp_path, tiny_dump):
    assert_refused(train_tiny(tiny_dump, tmp_path / "run", "--patience", 2), "--patience needs --held-out")
    assert not (tmp_path / "run").exists()


def test_a_run_without_it_cannot_get_it_at_a_resume(tmp_path, tiny_dump, losses):
    """The models of its evaluations so far were not kept: one of them may be the best."""
    out = tmp_path / "run"
    assert train_tiny(tiny_dump, out, *OPTIONS).exit_code == 0
    settings = (out / "config.json").read_text()
    refused = run_nanotabpfn("train", "--resume", out, "--steps", 99, "--patience", 2)
    assert_refused(refused, "--patience: the run has none", f"--from {out} --patience 2")
    assert (out / "config.json").read_text() == settings
