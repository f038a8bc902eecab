"""Trackers: what TensorBoard and Weights & Biases receive, and what happens where they are not installed."""

import json
import sys
from types import SimpleNamespace

import pytest
from commands import assert_refused, train_tiny
from commands import run_nanotabpfn as run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nanotabpfn.training.tracking import open_trackers


def curves(folder):
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def history(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


@pytest.fixture
def received(monkeypatch):
    """What a stand-in for the module wandb receives."""
    received = []

    def init(**settings):
        received.append(("init", settings))
        return SimpleNamespace(
            log=lambda values, step: received.append((step, values)), finish=lambda: received.append("finish")
        )

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    return received


def test_tensorboard_shows_the_history_also_of_a_run_that_went_on(tmp_path, tiny_dump):
    out = tmp_path / "run"
    assert train_tiny(tiny_dump, out, "--eval-every", 3, "--log", "tensorboard").exit_code == 0
    assert run("train", "--resume", out, "--steps", 9).exit_code == 0
    found = curves(out)
    records = history(out)
    assert found.keys() == {name for record in records for name in record} - {"step"}
    assert "roc_auc" in found
    for name, points in found.items():
        expected = [(record["step"], record[name]) for record in records if name in record]
        assert [step for step, _ in points] == [step for step, _ in expected]
        for (_, got), (_, wanted) in zip(points, expected, strict=True):
            assert got == pytest.approx(wanted, rel=1e-6)  # stored in float32


def test_steps_that_come_again_replace_the_old_ones_in_tensorboard(tmp_path):
    for first, values in [(0, [1, 2, 3]), (1, [20, 30])]:
        with open_trackers(["tensorboard"], tmp_path, {}, first) as tell:
            for step, value in enumerate(values, start=first + 1):
                tell({"step": step, "loss": value})
    assert curves(tmp_path) == {"loss": [(1, 1), (2, 20), (3, 30)]}
    with open_trackers(
        ["tensorboard"], tmp_path, {}, 0
    ) as tell:  # as after a kill before the first checkpoint
        tell({"step": 1, "loss": 100})
    assert curves(tmp_path) == {"loss": [(1, 100)]}


def test_weights_and_biases_receives_settings_and_records(tmp_path, tiny_dump, received, monkeypatch):
    out = tmp_path / "run"
    result = train_tiny(tiny_dump, out, "--eval-every", 0, "--log", "wandb")
    assert result.exit_code == 0, result.output
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    assert run("train", "--resume", out, "--steps", 8).exit_code == 0
    (_, first), *_ = received
    settings = json.loads((out / "config.json").read_text())
    assert first["config"] | {"training": settings["training"]} == settings
    assert (first["project"], first["name"], first["id"]) == ("nanotabpfn", "run", settings["id"])
    assert first["resume"] == "allow"
    [begin] = [i for i, entry in enumerate(received) if i and entry[0] == "init"]
    assert (received[begin][1]["project"], received[begin][1]["id"]) == ("mine", settings["id"])
    assert received.count("finish") == 2
    records = [entry for entry in received if entry != "finish" and entry[0] != "init"]
    assert records == [(record.pop("step"), record) for record in history(out)]


def test_both_at_once_and_an_end_by_error_is_reported(tmp_path, received):
    def broken_off():
        with open_trackers(["wandb", "tensorboard"], tmp_path, {"id": "1"}, 0) as tell:
            tell({"step": 1, "loss": 0.5})
            raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        broken_off()
    assert received[1:] == [(1, {"loss": 0.5}), "finish"]
    assert curves(tmp_path) == {"loss": [(1, 0.5)]}


@pytest.mark.parametrize(("name", "module"), [("tensorboard", "torch.utils.tensorboard"), ("wandb", "wandb")])
def test_what_is_not_installed_is_refused_before_any_work(tmp_path, tiny_dump, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    result = train_tiny(tiny_dump, tmp_path / "run", "--log", name)
    assert_refused(result, f"--log {name}", 'pip install "nanotabpfn-priors[logging]"')
    assert not (tmp_path / "run").exists()
