"""Verifying a dump: records are made again from its own config and seed and compared to the bit."""

import json
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from tiny_prior import TINY

import priors.dumps.recorded_prior
import priors.dumps.verify
import priors.sampling.blocks
from priors.dumps.hash import content_hash
from priors.dumps.read import open_dump
from priors.dumps.recorded_prior import UnverifiableError
from priors.dumps.validate import validate
from priors.dumps.verify import verify
from priors.generation.generate import generate_dump


@pytest.fixture
def path(tiny_dump, tmp_path):
    return shutil.copy(tiny_dump, tmp_path / "tiny.h5")


def change(path, key, index, value):
    """Change one value, and record the hash of what is there now: the rules alone are to be broken."""
    with h5py.File(path, "r+") as file:
        file[key][index] = value
    rehash(path)


def rehash(path):
    with open_dump(path) as dump:
        content = content_hash(dump.path)
    with h5py.File(path, "r+") as file:
        file.attrs["content_hash"] = content


def replace_key(path, key, data):
    with h5py.File(path, "r+") as file:
        old = file[key][()] if key in file else None
        if old is not None:
            del file[key]
        if data is not None:
            file[key] = data(old) if callable(data) else data


def flip_a_byte(path, key, chunk):
    with h5py.File(path) as file:
        info = file[key].id.get_chunk_info(chunk)
    data = bytearray(path.read_bytes())
    data[info.byte_offset + info.size // 2] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("sample", [1, 2, 7, 64, 1000])
def test_a_dump_as_generated_is_what_its_seed_gives(tiny_dump, sample):
    report = verify(tiny_dump, sample)
    assert (report.findings, report.notes) == ([], [])
    assert report.num_datasets == min(sample, 64)


def test_blocks_that_differ_in_shape_are_verified_too(tmp_path):
    config = replace(TINY, num_features=(1, 4), num_classes=(2, 3), block_size=5)
    generate_dump(tmp_path / "mixed.h5", config, 13, seed=2**100)
    assert verify(tmp_path / "mixed.h5", 13).findings == []


@pytest.mark.parametrize(
    ("key", "index", "what"),
    [
        ("X", (41, 23, 2), "X"),
        ("y", (41, 23), "y"),
        ("num_features", 41, "num_features, num_datapoints, single_eval_pos"),
        ("properties/num_edges", 41, "properties/num_edges"),
        ("properties/graph", 41, "properties/graph"),
    ],
)
def test_a_record_of_another_origin_is_named(path, key, index, what):
    """With a content hash that fits, so that making it again is what tells."""
    with h5py.File(path, "r+") as file:
        old = file[key][index]
        file[key][index] = b"other" if key == "properties/graph" else 2 if key == "num_features" else 1 - old
    rehash(path)
    assert verify(path, 64).findings == [f"{what}: not what its config and seed give: record 41"]
    assert verify(path, 2).findings == [], "the first and the last alone"


@pytest.mark.parametrize("name", ["seed", "first_dataset"])
def test_another_seed_or_first_dataset_is_seen(path, name):
    with h5py.File(path, "r+") as file:
        file.attrs[name] = {"seed": "1", "first_dataset": 4}[name]
    assert "X: not what its config and seed give: records 0, 32, 63" in verify(path, 3).findings


def test_the_sign_of_zero_counts(path):
    with open_dump(path) as dump:
        row = int(np.flatnonzero(dump.read(0, 1)[1][0] == 0)[0])
    change(path, "y", (0, row), -0.0)
    assert verify(path, 1).findings == ["y: not what its config and seed give: record 0"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_truncated_file_is_a_finding_of_verify(path, share):
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    [finding] = verify(path, 4).findings
    assert finding.startswith("is not a whole HDF5 file: ")


@pytest.mark.parametrize("key", ["X", "y", "properties/graph"])
def test_a_flipped_byte_is_a_finding_of_verify_wherever_it_is(path, key):
    flip_a_byte(path, key, 0)
    [finding] = verify(path, 1).findings
    assert finding.startswith(f"{key}: records 0 to ")


def test_without_provenance_it_says_so(published_like):
    with pytest.raises(UnverifiableError, match=r"does not say how it was made \(generator, config, seed"):
        verify(published_like, 1)


def test_another_version_is_a_note(path, monkeypatch):
    for module in (priors.dumps.verify, priors.dumps.recorded_prior):
        monkeypatch.setattr(module, "generator_name", lambda: "nanotabpfn-priors 99.0")
    report = verify(path, 4)
    assert report.findings == []
    assert "and this is nanotabpfn-priors 99.0: only the same version" in report.notes[0]
    with h5py.File(path, "r+") as file:
        file.attrs["config"] = '{"a_new_field": 3}'
    with pytest.raises(UnverifiableError, match=r"priors 99.0 cannot read its origin: a_new_field"):
        verify(path, 4)
    with h5py.File(path, "r+") as file:
        file.attrs["generator"] = "elsewhere 2.0"
    with pytest.raises(UnverifiableError, match=r"was made by elsewhere 2.0, which alone"):
        verify(path, 4)


def test_code_that_a_file_names_is_run_only_with_trust(path, tmp_path, monkeypatch):
    module = tmp_path / "outside_families.py"
    module.write_text(
        "from priors.families.noise import NOISES\nloaded = True\nmine = next(iter(NOISES.values()))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = replace(TINY, noises={"outside_families:mine": 1.0})
    generate_dump(path, config, 8, seed=0, overwrite=True)
    sys_modules = __import__("sys").modules
    del sys_modules["outside_families"]
    report = validate(path)
    assert report.findings == []
    assert "outside_families:mine" in report.notes[0]
    with pytest.raises(UnverifiableError, match=r"names code outside this package \(outside_families:mine\)"):
        verify(path, 8)
    assert "outside_families" not in sys_modules
    assert verify(path, 8, trust=True).findings == []


def test_a_config_of_another_file_is_reported_before_any_work(path, monkeypatch):
    monkeypatch.setattr(priors.dumps.verify, "sample_block", lambda *arguments: pytest.fail("sampled"))
    for config, finding in [
        (replace(TINY, num_datapoints=10**9), "max_rows: is 24, its config gives 1000000000"),
        (replace(TINY, num_features=(3, 9)), "max_features: is 3, its config gives 9"),
        (replace(TINY, block_size=5), "original_batch_size: is 4, its config gives 5"),
        (replace(TINY, num_classes=(2, 3)), "max_num_classes: is 2, its config gives 3"),
    ]:
        with h5py.File(path, "r+") as file:
            file.attrs["config"] = config.to_json()
        assert verify(path, 4).findings == [finding]
    with h5py.File(path, "r+") as file:
        file.attrs["config"] = replace(TINY, num_nodes=(5, 10**9)).to_json()
    with pytest.raises(UnverifiableError, match="config has 1000000000 nodes"):
        verify(path, 4)


def test_a_config_that_gives_nothing_is_a_finding(path, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("100 draws in a row were degenerate\nand more")

    monkeypatch.setattr(priors.dumps.verify, "sample_block", fail)
    [finding] = verify(path, 2).findings
    assert finding.startswith("nothing to compare with (100 draws in a row were degenerate)")
    assert finding.endswith("records 0, 63")


def test_at_least_one_record_is_verified(path):
    with pytest.raises(ValueError, match="num_records must be at least 1, got 0"):
        verify(path, 0)


def restate(path, first_dataset=None, **changes):
    """Change fields of the config in the file, and perhaps the number of its first dataset."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["config"]) | changes
        file.attrs["config"] = json.dumps(config)
        if "block_size" in changes:
            file["original_batch_size"][0] = changes["block_size"]
        if first_dataset is not None:
            file.attrs["first_dataset"] = first_dataset


@pytest.fixture
def sampled(monkeypatch):
    """The numbers of the datasets that are sampled."""
    numbers = []
    sample = priors.sampling.blocks.sample_dataset

    def counted(config, rng, single_eval_pos):
        numbers.append(tuple(rng.bit_generator.seed_seq.spawn_key)[-1])
        return sample(config, rng, single_eval_pos)

    monkeypatch.setattr(priors.sampling.blocks, "sample_dataset", counted)
    return numbers


def test_only_the_compared_records_are_sampled(path, sampled):
    assert verify(path, 4).findings == []
    assert sampled == [0, 21, 42, 63]


def test_the_block_size_that_a_file_states_costs_no_work(path, sampled):
    """A block of 10**9 datasets, of which the file holds the last 64."""
    restate(path, first_dataset=10**9 - 64, block_size=2**24)
    report = verify(path, 4)
    assert "X: not what its config and seed give: records 0, 21, 42, 63" in report.findings
    assert sampled == [10**9 - 64, 10**9 - 43, 10**9 - 22, 10**9 - 1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_nodes": [5, 10**9]}, "config has 1000000000 nodes; at most 10000"),
        ({"parameters": {"mlp": {"width": [2, 10**9]}}}, "mlp: width must be in 1..1024, got"),
        (
            {"parameters": {"decision_trees": {"depth": [2, 60]}}},
            "decision_trees: depth must be in 1..20, got",
        ),
        (
            {"parameters": {"erdos_renyi": {"mean_parents": [1.0, 1e9]}}},
            "mean_parents must be in 0..1000, got",
        ),
    ],
)
def test_a_config_that_would_never_end_is_not_run(path, sampled, changes, words):
    restate(path, **changes)
    with pytest.raises(UnverifiableError, match=words):
        verify(path, 1)
    assert sampled == []
