"""`nanotabpfn train --switch-at`: one source after the other, in runs that can be resumed."""

import json

import pytest
import torch
from commands import TINY_MODEL, assert_refused
from commands import run_nanotabpfn as run
from tiny_prior import TINY

from nanotabpfn.model.checkpoint import load_model


@pytest.fixture
def files(tmp_path):
    """Two priors of one size, in files."""
    for name, mechanism in (("first", "linear"), ("second", "oblivious_trees")):
        config = TINY.to_json()
        settings = json.loads(config) | {"mechanisms": {mechanism: 1}}
        (tmp_path / f"{name}.json").write_text(json.dumps(settings))
    return tmp_path


def train_on(files, out, *priors, steps=6, options=()):
    sources = [word for name in priors for word in ("--prior", files / f"{name}.json")]
    settings = ["--batch-size", 4, "--steps", steps, "--suite", "none", "--workers", 0, *TINY_MODEL]
    return run("train", "--out", files / out, *settings, *sources, *options)


def losses(folder):
    return [json.loads(line)["loss"] for line in (folder / "history.jsonl").read_text().splitlines()]


def test_the_sources_come_one_after_the_other(files):
    for name, priors, options in [
        ("first-alone", ["first"], []),
        ("curriculum", ["first", "second"], ["--switch-at", 3]),
    ]:
        result = train_on(files, name, *priors, options=options)
        assert result.exit_code == 0, result.output
    alone, curriculum = (losses(files / name) for name in ("first-alone", "curriculum"))
    assert curriculum[:3] == alone[:3]
    assert curriculum[3:] != alone[3:]
    data = json.loads((files / "curriculum" / "config.json").read_text())["data"]
    assert [source.get("until") for source in data] == [3, None]


def test_a_curriculum_is_resumed_to_the_bit(files):
    options = ["--switch-at", 3, "--checkpoint-every", 2]
    assert train_on(files, "whole", "first", "second", options=options).exit_code == 0
    result = train_on(files, "part", "first", "second", steps=4, options=options)
    assert "prior first.json up to step 3, prior second.json" in result.output
    assert run("train", "--resume", files / "part", "--steps", 6).exit_code == 0
    whole, part = (load_model(files / name).state_dict() for name in ("whole", "part"))
    assert all(torch.equal(weights, part[name]) for name, weights in whole.items())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--switch-at", "3", "--weights", "1,2"],
            ["--weights mixes", "--switch-at takes one after the other"],
        ),
        (["--switch-at", "3,4"], ["--switch-at", "must be 1, one fewer than", "got 2"]),
        (["--switch-at", "6"], ["--switch-at", "must be below --steps 6", "never trained on"]),
        (["--switch-at", "0"], ["--switch-at", "rising whole numbers from 1", "'0'"]),
        (["--switch-at", "4,3"], ["--switch-at", "rising whole numbers from 1", "'4,3'"]),
        (["--switch-at", "half"], ["--switch-at", "rising whole numbers from 1", "'half'"]),
    ],
)
def test_what_is_no_curriculum_is_refused(files, options, words):
    assert_refused(train_on(files, "run", "first", "second", options=options), *words)
    assert not (files / "run").exists()
