"""Dumps record the version of the prior; those of another version are read, and verified only by that one."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from tiny_prior import TINY

import priors.generation.shards
from priors.cli.main import main
from priors.dumps.merge import merge_dumps
from priors.dumps.read import open_dump
from priors.dumps.recorded_prior import UnverifiableError
from priors.dumps.schema import DumpError
from priors.dumps.summary import summary
from priors.dumps.validate import validate
from priors.dumps.verify import verify
from priors.generation.generate import generate_dump
from priors.generation.shards import Plan, shards_of
from priors.streams import PRIOR_VERSION

VERSION_1 = Path(__file__).parents[2] / "data" / "prior_version_1.h5"
"""Eight datasets of version 1, whose config has perceptrons wider than a config may have now."""
MESSAGE = (
    "its datasets were drawn by version 1 of the prior (nanotabpfn-priors 0.1.0); this package has version "
    f"{PRIOR_VERSION} "
)


def test_a_dump_records_the_version_of_the_prior_in_one_file_and_in_shards(tiny_dump, tmp_path):
    generate_dump(tmp_path / "shards.h5", TINY, 64, seed=0, num_workers=2, shard_size=32)
    for path in (tiny_dump, tmp_path / "shards.h5"):
        with open_dump(path) as dump:
            assert dump.attributes["prior_version"] == PRIOR_VERSION


def test_a_dump_of_version_1_is_read_summarized_validated_and_merged(tmp_path):
    with open_dump(VERSION_1) as dump:
        x, y = dump.read(0, 8)
        assert (x.shape, y.shape) == ((8, 24, 2), (8, 24))
        assert np.isfinite(x).all()
        assert summary(dump)["num_datasets"] == 8
    report = validate(VERSION_1)
    assert report.findings == []
    [note] = report.notes
    assert note.startswith(MESSAGE)
    merge_dumps([VERSION_1, VERSION_1], tmp_path / "merged.h5")
    assert validate(tmp_path / "merged.h5").findings == []


def test_verify_says_which_version_made_a_dump_and_that_this_one_cannot():
    with pytest.raises(UnverifiableError) as caught:
        verify(VERSION_1, 2)
    assert MESSAGE in str(caught.value)
    assert str(caught.value).endswith("install a version of the package that has version 1 of the prior")


@pytest.mark.parametrize("command", ["verify", "validate"])
def test_the_commands_say_it_too(command):
    result = CliRunner().invoke(main, [command, str(VERSION_1)])
    assert MESSAGE in " ".join(result.output.split())
    assert (result.exit_code == 0) == (command == "validate")


def test_a_dump_of_a_later_version_is_treated_alike(tiny_dump, tmp_path):
    path = tmp_path / "later.h5"
    path.write_bytes(Path(tiny_dump).read_bytes())
    with h5py.File(path, "r+") as file:
        file.attrs["prior_version"] = PRIOR_VERSION + 1
        file.attrs["config"] = '{"a_field_of_later": 1}'
    [note] = validate(path).notes
    assert f"version {PRIOR_VERSION + 1} of the prior" in note
    with pytest.raises(UnverifiableError, match=f"that has version {PRIOR_VERSION + 1} of the prior"):
        verify(path, 1)
    for wrong in (0, "two"):
        with h5py.File(path, "r+") as file:
            file.attrs["prior_version"] = wrong
        assert f"prior_version must be an int from 1, got {wrong}" in str(validate(path).findings)


def test_shards_of_another_version_are_not_resumed(tmp_path, monkeypatch):
    """A run that another version began is another run."""
    path = tmp_path / "my.h5"
    plan = Plan(TINY, num_datasets=64, seed=0, shard_size=32)
    with shards_of(path, plan, overwrite=False) as (folder, _):
        (folder / "shard-000000.h5").touch()
    monkeypatch.setattr(priors.generation.shards, "PRIOR_VERSION", 99)
    with pytest.raises(DumpError, match=r"holds an unfinished run with prior_version=\d+ \(now 99\)"):
        generate_dump(path, TINY, 64, seed=0, num_workers=2, shard_size=32)
