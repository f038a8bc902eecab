"""Files from anybody: none of the readers and commands imports the code that a file names."""

import json
import shutil
from dataclasses import replace

import h5py
import pytest
from click.testing import CliRunner
from tiny_prior import TINY

import nanotabpfn.cli.main
import priors.cli.main
from nanotabpfn.data.loaders import PriorDumpDataLoader
from priors.config import PriorConfig
from priors.dumps.convert import convert
from priors.dumps.hash import content_hash
from priors.dumps.merge import merge_dumps
from priors.dumps.origin import UnverifiableError
from priors.dumps.read import open_dump
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
        "from priors.families.mechanisms import linear as mechanism\n"
        "from priors.families.noise import normal as noise\n"
    )
    monkeypatch.syspath_prepend(folder)
    return mark


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
