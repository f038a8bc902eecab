"""Schedules of the learning rate: their values, and that a stop and a resume change no bit."""

import json
from math import cos, pi

import pytest
import torch
from commands import assert_refused, run_nanotabpfn, train_tiny

from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.checkpoint import load_model
from nanotabpfn.training.loop import train
from nanotabpfn.training.state import StateError


def batches(num_steps):
    generator = torch.Generator().manual_seed(0)
    for _ in range(num_steps):
        x = torch.randn(4, 16, 3, generator=generator)
        yield {"x": x, "y": (x[:, :, 0] > 0).float(), "train_test_split_index": 10}


def trained(num_steps=8, **options):
    torch.manual_seed(0)
    records, model = [], NanoTabPFNModel(8, 2, 8, 1, 2)
    train(model, batches(num_steps), lr=0.01, device="cpu", on_step=records.append, **options)
    return model, records


def history(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def test_constant_and_cosine_after_the_warm_up():
    _, constant = trained(schedule="constant", warmup_steps=4)
    assert [r["lr"] for r in constant] == pytest.approx([0.0025, 0.005, 0.0075, *[0.01] * 5])
    _, cosine = trained(schedule="cosine", schedule_steps=8)
    assert [r["lr"] for r in cosine] == pytest.approx([0.005 * (1 + cos(pi * i / 8)) for i in range(1, 9)])


def test_a_constant_schedule_is_plain_adamw():
    model, _ = trained(schedule="constant")
    torch.manual_seed(0)
    plain = NanoTabPFNModel(8, 2, 8, 1, 2)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=0.01, weight_decay=0.0)
    for batch in batches(8):
        logits = plain((batch["x"], batch["y"][:, :10]), train_test_split_index=10)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["y"][:, 10:].flatten().long())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()
    for got, expected in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_run_that_was_stopped_resumes_to_the_bit(tmp_path, tiny_dump, schedule):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = ["--eval-every", 2, "--suite", "none", "--schedule", schedule, "--warm-up", 2, "--keep", 9]
    for out in (whole, parts):
        assert train_tiny(tiny_dump, out, *options, "--checkpoint-every", 1).exit_code == 0
    for file in sorted((parts / "checkpoints").iterdir())[3:]:
        file.unlink()
    result = run_nanotabpfn("train", "--resume", parts)
    assert result.exit_code == 0, result.output
    assert [r["loss"] for r in history(parts)] == [r["loss"] for r in history(whole)]
    assert [r["lr"] for r in history(parts)] == [r["lr"] for r in history(whole)]
    expected = load_model(whole).state_dict()
    assert all(torch.equal(weight, expected[name]) for name, weight in load_model(parts).state_dict().items())


def test_a_constant_schedule_goes_on_in_a_branch_and_a_cosine_begins_anew(tmp_path, tiny_dump):
    for schedule in ("constant", "cosine"):
        source, out = tmp_path / schedule, tmp_path / f"{schedule}-branch"
        same = ["--eval-every", 0, "--schedule", schedule, "--warm-up", 0]
        assert train_tiny(tiny_dump, source, *same).exit_code == 0
        data = ["--dump", tiny_dump, "--batch-size", 4, "--steps", 2, "--device", "cpu", "--lr", 0.001]
        result = run_nanotabpfn("train", "--from", source, "--out", out, *data, *same)
        assert result.exit_code == 0, result.output
        taken = json.loads((out / "config.json").read_text())["from"]["taken_over"]["optimizer"]
        assert taken == (schedule == "constant")
        rates = [record["lr"] for record in history(out)]
        assert rates == pytest.approx([0.001, 0.001] if schedule == "constant" else [0.0005, 0])


def test_what_does_not_fit_is_refused(tmp_path, tiny_dump):
    for options, words in (
        ({"schedule": "linear"}, "schedule must be one of schedule_free, constant, cosine, got 'linear'"),
        ({"schedule": "cosine"}, "schedule cosine needs schedule_steps of at least 1, got None"),
        ({"schedule": "constant", "optimizer": "muon"}, "is for the optimizer adamw, got muon"),
    ):
        with pytest.raises(ValueError, match=words):
            trained(**options)
    out = tmp_path / "run"
    muon = train_tiny(tiny_dump, out, "--recipe", "muon", "--schedule", "cosine")
    assert_refused(muon, "cosine is for recipes with AdamW")
    assert train_tiny(tiny_dump, out, "--schedule", "cosine", "--eval-every", 0).exit_code == 0
    assert_refused(run_nanotabpfn("train", "--resume", out, "--steps", 9), "the run ends at step 6", "--from")


@pytest.mark.parametrize(
    ("schedule", "other"), [("constant", "schedule_free"), ("schedule_free", "constant")]
)
def test_a_state_of_another_schedule_is_refused(schedule, other):
    states = []
    trained(schedule=other, on_checkpoint=lambda model, state: states.append(state))
    with pytest.raises(StateError, match="of another optimizer or another schedule"):
        trained(schedule=schedule, state=states[0])


@pytest.mark.parametrize("schedules", [("constant", "cosine"), ("cosine", "constant")])
def test_a_constant_state_is_not_taken_for_a_cosine(schedules):
    states = []

    def keep(model, state):
        states.append(state)

    trained(schedule=schedules[0], schedule_steps=8, steps_per_checkpoint=2, on_checkpoint=keep)
    with pytest.raises(StateError, match="another schedule"):
        trained(schedule=schedules[1], schedule_steps=8, state=states[0])


@pytest.mark.parametrize("option", [["--lr", "nan"], ["--lr", "inf"], ["--weights", "1e308,1e308"]])
def test_numbers_that_are_not_finite_are_refused(tmp_path, option):
    priors = ["--prior", "linear", "--prior", "default"]
    assert_refused(run_nanotabpfn("train", *priors, "--out", tmp_path / "run", *option), option[0], "finite")
    assert not (tmp_path / "run").exists()
