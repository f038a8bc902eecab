"""--from: a run that starts from another one, equal to it if nothing changes, with its provenance kept."""

import json

import pytest
import torch
from commands import TINY_MODEL, assert_refused, run_nanotabpfn, train_tiny

from nanotabpfn.model.checkpoint import load_model, load_state
from nanotabpfn.training.branch import weights_hash

SAME = ["--batch-size", 4, "--eval-every", 0, "--device", "cpu"]


def config(folder):
    return json.loads((folder / "config.json").read_text())


def losses(folder):
    return [json.loads(line)["loss"] for line in (folder / "history.jsonl").read_text().splitlines()]


def weights(folder):
    return load_model(folder).state_dict()


def equal(one, other):
    return all(torch.equal(weight, other[name]) for name, weight in one.items())


def branch(source, out, dump, *more):
    data = ["--dump", dump] if dump else []
    return run_nanotabpfn("train", "--from", source, "--out", out, *data, *SAME, *more)


@pytest.fixture
def source(tmp_path, tiny_dump):
    assert train_tiny(tiny_dump, tmp_path / "source", "--eval-every", 0).exit_code == 0  # 6 steps
    return tmp_path / "source"


@pytest.mark.parametrize("recipe", ["warm-up", "combined"])
def test_with_nothing_changed_it_equals_the_undisturbed_run(tmp_path, tiny_dump, recipe):
    for name, steps in (("first", 3), ("whole", 7)):
        sizes = [*TINY_MODEL, "--recipe", recipe, "--steps", steps, *SAME]
        result = run_nanotabpfn("train", "--dump", tiny_dump, "--out", tmp_path / name, *sizes)
        assert result.exit_code == 0, result.output
    result = branch(tmp_path / "first", tmp_path / "branch", tiny_dump, "--steps", 4)
    assert result.exit_code == 0, result.output
    assert "its weights, the optimizer's state, the position in the data" in result.stderr
    assert losses(tmp_path / "branch") == losses(tmp_path / "whole")[3:]
    assert equal(weights(tmp_path / "branch"), weights(tmp_path / "whole"))
    assert config(tmp_path / "branch")["training"]["recipe"] == recipe


def test_the_source_is_written_down(tmp_path, source, tiny_dump):
    assert branch(source, tmp_path / "branch", tiny_dump, "--steps", 1).exit_code == 0
    found = config(tmp_path / "branch")["from"]
    assert found["path"] == str(source / "checkpoints" / "step-00000006.safetensors")
    assert found["weights"] == weights_hash(load_model(source))
    assert found["step"] == 6
    assert found["settings"] == config(source)
    assert found["taken_over"] == {"optimizer": True, "data": True}


def test_another_seed_lr_and_optimizer(tmp_path, source, tiny_dump):
    result = branch(source, tmp_path / "seed", tiny_dump, "--steps", 2, "--seed", 1, "--lr", 0.01)
    assert result.exit_code == 0, result.output
    assert config(tmp_path / "seed")["from"]["taken_over"] == {"optimizer": True, "data": False}
    state = load_state(tmp_path / "seed" / "checkpoints" / "step-00000002.safetensors")
    assert state["optimizer"]["groups"][0]["lr"] == 0.01
    assert state["optimizer"]["groups"][0]["k"] == 8  # the average goes over the steps of both
    result = branch(source, tmp_path / "muon", tiny_dump, "--steps", 2, "--recipe", "muon")
    assert result.exit_code == 0, result.output
    assert config(tmp_path / "muon")["from"]["taken_over"] == {"optimizer": False, "data": True}
    start = branch(source / "model.safetensors", tmp_path / "model", tiny_dump, "--steps", 1)
    assert start.exit_code == 0, start.output
    assert config(tmp_path / "model")["from"]["taken_over"] == {"optimizer": False, "data": False}


def test_another_prior(tmp_path, source):
    prior = ["--prior", "linear", "--set", "num_datapoints=20", "--set", "num_nodes=[5,8]", "--workers", 0]
    result = branch(source, tmp_path / "branch", None, *prior, "--set", "num_features=3", "--steps", 2)
    assert result.exit_code == 0, result.output
    assert config(tmp_path / "branch")["from"]["taken_over"] == {"optimizer": True, "data": False}


def test_a_branch_is_resumed_without_its_source(tmp_path, source, tiny_dump):
    assert branch(source, tmp_path / "whole", tiny_dump, "--steps", 4).exit_code == 0
    assert branch(source, tmp_path / "parts", tiny_dump, "--steps", 2).exit_code == 0
    start = tmp_path / "start"
    assert branch(source, start, tiny_dump, "--steps", 4, "--keep", 9, "--checkpoint-every", 1).exit_code == 0
    for file in sorted((start / "checkpoints").iterdir())[1:]:
        file.unlink()  # as if it was killed before its first checkpoint
    for file in source.rglob("*.safetensors"):
        file.unlink()
    for folder in (tmp_path / "parts", start):
        assert run_nanotabpfn("train", "--resume", folder, "--steps", 4).exit_code == 0
        assert equal(weights(folder), weights(tmp_path / "whole"))


def test_what_does_not_fit_is_refused(tmp_path, source, tiny_dump):
    out = tmp_path / "branch"
    assert_refused(branch(source, out, tiny_dump, "--layers", 2), "--layers cannot be given with --from")
    assert_refused(
        branch(source, out, tiny_dump, "--recipe", "mean-pooling"), "mean_pooling", "same architecture"
    )
    assert_refused(branch(tiny_dump, out, tiny_dump), tiny_dump)
    regression = ["--prior", "linear", "--problem", "regression"]
    assert_refused(branch(source, out, None, *regression), "is a model of classification")
    assert not out.exists()
    resumed = run_nanotabpfn("train", "--resume", source, "--from", source)
    assert_refused(resumed, "--from cannot be given with --resume")


def test_a_branch_without_the_checkpoint_that_it_starts_from_is_refused(tmp_path, source, tiny_dump):
    """It would begin with random weights, though its config.json says that it took them over."""
    out = tmp_path / "branch"
    assert branch(source, out, tiny_dump, "--steps", 2).exit_code == 0
    for file in (out / "checkpoints").iterdir():
        file.unlink()
    result = run_nanotabpfn("train", "--resume", out, "--steps", 4)
    assert_refused(result, "has lost the checkpoint that it started from", "--overwrite")
