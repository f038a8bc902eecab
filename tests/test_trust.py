"""Files from anybody: none of the readers and commands imports the code that a file names."""

import json
import shutil
import sys
from dataclasses import replace

import h5py
import pytest
import torch
from click.testing import CliRunner
from tiny_prior import TINY

import nanotabpfn.cli.main
import priors.cli.main
from nanotabpfn.data.loaders import PriorDumpDataLoader
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.checkpoint import CheckpointError, load_model, save_model
from nanotabpfn.studies.arms import Arm
from nanotabpfn.studies.report.write import write_report
from nanotabpfn.studies.saved import read_saved
from nanotabpfn.studies.spec import StudyError
from priors.config import PriorConfig
from priors.dumps.formats.convert import convert
from priors.dumps.hash import content_hash
from priors.dumps.merge import merge_dumps
from priors.dumps.read import open_dump
from priors.dumps.recorded_prior import UnverifiableError
from priors.dumps.shuffle import shuffle_dump
from priors.dumps.split import split_dump
from priors.dumps.validate import validate
from priors.dumps.verify import verify
from priors.generation.generate import generate_dump
from priors.registry import UntrustedNameError

EVIL = json.loads(TINY.to_json()) | {"mechanisms": {"recorder:mechanism": 1.0}}
OWN_GRAPH = {
    "nodes": {"a": {}, "b": {"mechanism": "recorder:mechanism"}, "y": {"role": "target"}},
    "edges": [["a", "b"], ["b", "y"]],
}
CONFIGS = {
    "mechanisms": EVIL,
    "noises": EVIL | {"mechanisms": {"linear": 1.0}, "noises": {"recorder:noise": 1.0}},
    "parameters": EVIL | {"mechanisms": {"linear": 1.0}, "parameters": {"recorder:mechanism": {"a": [1, 2]}}},
    "graph": EVIL | {"mechanisms": {"linear": 1.0}, "graph": OWN_GRAPH, "num_features": [2, 2]},
}


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """The file that the module `recorder`, which is on the path, makes when it is imported."""
    mark = tmp_path / "imported"
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "recorder.py").write_text(
        f"open({str(mark)!r}, 'w').close()\n"
        "class Weights: pass\n"
        "from priors.families.mechanisms import linear as mechanism\n"
        "from priors.families.noise import normal as noise\n"
    )
    monkeypatch.syspath_prepend(folder)
    sys.modules.pop("recorder", None)  # of an earlier test
    yield mark
    sys.modules.pop("recorder", None)


@pytest.fixture(params=CONFIGS)
def evil(request, tiny_dump, tmp_path):
    """A sound dump whose config names code of another package."""
    path = tmp_path / "evil.h5"
    shutil.copy(tiny_dump, path)
    with h5py.File(path, "r+") as file:
        file.attrs["config"] = json.dumps(CONFIGS[request.param])
    return path


def test_the_recorder_records(imported):
    PriorConfig.from_json(json.dumps(EVIL))
    assert imported.exists()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_without_trust_imports_nothing(imported, name):
    with pytest.raises(UntrustedNameError, match=r"code outside this package \(recorder:"):
        PriorConfig.from_json(json.dumps(CONFIGS[name]), trust=False)
    assert not imported.exists()


def test_readers_of_dumps_import_nothing(imported, evil, tmp_path):
    with open_dump(evil) as dump:
        dump.read(0, 64)
    content_hash(evil)
    loader = PriorDumpDataLoader(evil, 1, 4, "cpu")
    assert len(list(loader)) == 1
    assert loader.trained_range.features == (3, 3)
    validate(evil)
    with pytest.raises(UnverifiableError, match="names code outside this package"):
        verify(evil, 1)
    merge_dumps([evil, evil], tmp_path / "merged.h5")
    shuffle_dump(evil, tmp_path / "shuffled.h5", 0)
    split_dump(evil, tmp_path, [32, 32])
    for ending in ("npz", "parquet"):
        convert(evil, tmp_path / f"evil.{ending}")
        convert(tmp_path / f"evil.{ending}", tmp_path / "back.h5")
    assert not imported.exists()


def test_an_index_of_shards_imports_nothing(imported, tmp_path):
    path = tmp_path / "index.h5"
    generate_dump(path, TINY, 16, 0, shard_size=8, keep_shards=True)
    for file in [path, *path.with_name("index.h5.shards").glob("*.h5")]:
        with h5py.File(file, "r+") as opened:
            opened.attrs["config"] = json.dumps(EVIL)
    assert len(list(PriorDumpDataLoader(path, 1, 4, "cpu"))) == 1
    with pytest.raises(UnverifiableError):
        verify(path, 1)
    assert not imported.exists()


def test_a_stopped_generation_imports_nothing_that_its_plan_names(imported, tmp_path):
    folder = tmp_path / "mine.h5.shards"
    folder.mkdir()
    (folder / "plan.json").write_text(json.dumps({"plan": {"config": EVIL}, "replaces": False}))
    generate_dump(tmp_path / "mine.h5", replace(TINY, num_datapoints=12), 4, 0, overwrite=True)
    assert not imported.exists()


SMALL = ["--embedding-size", "8", "--hidden", "8", "--layers", "1", "--heads", "2", "--device", "cpu"]
COMMANDS = {
    "inspect": ("priors", ["inspect", "DUMP"]),
    "validate": ("priors", ["validate", "DUMP"]),
    "verify": ("priors", ["verify", "DUMP"]),
    "merge": ("priors", ["merge", "DUMP", "DUMP", "--out", "FOLDER/merged.h5"]),
    "split": ("priors", ["split", "DUMP", "--parts", "2", "--out-dir", "FOLDER"]),
    "shuffle": ("priors", ["shuffle", "DUMP", "--out", "FOLDER/shuffled.h5", "--seed", "0"]),
    "convert to npz": ("priors", ["convert", "DUMP", "FOLDER/evil.npz"]),
    "convert to Parquet": ("priors", ["convert", "DUMP", "FOLDER/evil.parquet"]),
    "convert to the published layout": (
        "priors",
        ["convert", "DUMP", "FOLDER/published.h5", "--layout", "published"],
    ),
    "audit": ("priors", ["audit", "DUMP", "--num-datasets", "4"]),
    "plot dump": ("priors", ["plot", "dump", "DUMP", "--out", "FOLDER/figure.svg", "--num", "4"]),
    "train": (
        "nanotabpfn",
        ["train", "--dump", "DUMP", "--out", "FOLDER/run", "--steps", "1", "--eval-every", "0", *SMALL],
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("evil", ["mechanisms"], indirect=True)
def test_commands_that_read_a_dump_import_nothing(imported, evil, tmp_path, name):
    program, arguments = COMMANDS[name]
    main = {"priors": priors.cli.main.main, "nanotabpfn": nanotabpfn.cli.main.main}[program]
    result = CliRunner().invoke(
        main, [text.replace("DUMP", str(evil)).replace("FOLDER", str(tmp_path)) for text in arguments]
    )
    assert result.exit_code == (2 if name == "verify" else 0), result.output
    assert not imported.exists()


def forget(imported):
    """Make the next import of the recorder be recorded."""
    assert imported.exists()
    imported.unlink()
    del sys.modules["recorder"]


def run(*arguments):
    return CliRunner().invoke(nanotabpfn.cli.main.main, [str(argument) for argument in arguments])


def test_a_run_folder_imports_nothing_without_trust(imported, tmp_path):
    """What the user names with --prior is imported; what config.json names when it is resumed is not."""
    (tmp_path / "prior.json").write_text(json.dumps(EVIL))
    options = ["--batch-size", "2", "--eval-every", "0", "--workers", "0", *SMALL]
    made = run(
        "train", "--prior", tmp_path / "prior.json", "--out", tmp_path / "run", "--steps", "1", *options
    )
    assert made.exit_code == 0, made.output
    forget(imported)
    resumed = run("train", "--resume", tmp_path / "run", "--steps", "2")
    assert resumed.exit_code == 2
    assert "config.json names code outside this package (recorder:mechanism)" in resumed.output
    assert "--trust imports it" in resumed.output
    assert not imported.exists()
    trusted = run("train", "--resume", tmp_path / "run", "--steps", "2", "--trust")
    assert trusted.exit_code == 0, trusted.output
    assert imported.exists()


def test_trust_is_for_resuming(tmp_path):
    result = run("train", "--prior", "default", "--out", tmp_path / "run", "--trust")
    assert result.exit_code == 2
    assert "--trust is for --resume" in result.output


ARMS = {
    "set": {"preset": "linear", "set": {"mechanisms": {"recorder:mechanism": 1.0}}},
    "vary": {"preset": "linear", "vary": {"mechanisms": ["recorder:mechanism"]}},
    "config": {"config": "prior.json"},
}


@pytest.mark.parametrize("name", ARMS)
def test_a_study_folder_of_an_earlier_version_imports_nothing(imported, tmp_path, name):
    (tmp_path / "prior.json").write_text(json.dumps(EVIL))
    arm = dict(ARMS[name])
    if "config" in arm:
        arm["config"] = str(tmp_path / "prior.json")
    study = {"name": "theirs", "arms": {"plain": {"preset": "linear"}, "evil": arm}, "suites": ["builtin"]}
    (tmp_path / "study.json").write_text(json.dumps(study))
    with pytest.raises(StudyError, match=r"code outside this package \(recorder:mechanism\)"):
        write_report(tmp_path)
    assert run("study", "report", tmp_path).exit_code == 2
    assert not imported.exists()


def test_a_study_folder_imports_nothing(imported, tmp_path):
    arm = Arm("evil", None, None, 10)._asdict() | {"config": EVIL, "description": "theirs"}
    study = {"name": "theirs", "arms": {"evil": ARMS["set"]}, "suites": ["builtin"]}
    saved = {"study": study, "reference": "evil", "arms": [arm], "cells": []}
    (tmp_path / "study.json").write_text(json.dumps(saved))
    [arm] = read_saved(tmp_path).arms
    assert arm.arm.config is None
    with pytest.raises(StudyError):  # nothing is scored
        write_report(tmp_path)
    assert not imported.exists()


def test_checkpoints_import_nothing(imported, tmp_path):
    model = NanoTabPFNModel(8, 2, 8, 1, 2)
    path = save_model(model, tmp_path / "model.safetensors")
    content = path.read_bytes().replace(b"num_layers", b"recorder:x")
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        load_model(path)
    assert not imported.exists()
    import recorder

    torch.save({"weights": recorder.Weights()}, tmp_path / "model.pth")
    forget(imported)
    with pytest.raises(CheckpointError):
        load_model(tmp_path / "model.pth")
    assert not imported.exists()
