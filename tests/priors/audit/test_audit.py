"""The audit of a dump and of a prior: which datasets are measured, damage and repeats, a control."""

import json

import h5py
import numpy as np
import pytest
from tiny_prior import TINY

from priors.audit.audit import audit_dump, audit_prior
from priors.audit.measure import measure
from priors.audit.report import describe_audit, markdown_table
from priors.config import PriorConfig
from priors.dumps.read import open_dump
from priors.dumps.schema import DumpError
from priors.generation.generate import generate_dump
from priors.presets import PRESETS


@pytest.fixture
def few_trees(monkeypatch):
    """For tests that are not about scores; worker processes keep theirs."""
    monkeypatch.setattr("priors.audit.measure.NUM_TREES", 3)


def test_it_tells_what_is_known_of_the_published_prior(published_like):
    """Mostly uncorrelated columns, about four in ten datasets at chance, one damaged record.

    Of all 639 datasets 38% are at chance; of 120 that is sure to 5 points at 1 standard error.
    """
    found = audit_dump(published_like, num_datasets=120)
    assert found.num_records == 640
    assert found.damaged == (77,)
    assert found.repeats == ()
    assert len(found.datasets) == 120
    summary = found.summary()
    assert 0.3 < summary["at_chance"] < 0.5
    assert summary["trivial"] < 0.1
    assert 0.5 < summary["uncorrelated"] < 0.8
    assert summary["quantiles"]["correlation"][2] < 0.11
    assert 0.55 < summary["quantiles"]["forest"][2] < 0.65
    assert summary["quantiles"]["num_classes"] == [2] * 5
    text = describe_audit(found)
    assert "1 record is damaged and left out: record 77." in text
    assert f"4 in 10 ({summary['at_chance']:.0%}) at chance" in text
    assert f"6 in 10 ({summary['uncorrelated']:.0%}) with uncorrelated features" in text


@pytest.mark.usefixtures("few_trees")
def test_the_sample_is_drawn_evenly_and_by_the_seed(tiny_dump):
    records = [dataset.record for dataset in audit_dump(tiny_dump, 8).datasets]
    assert [record // 8 for record in records] == list(range(8))
    assert records != [dataset.record for dataset in audit_dump(tiny_dump, 8, seed=1).datasets]
    assert [dataset.record for dataset in audit_dump(tiny_dump, 64).datasets] == list(range(64))


def test_workers_make_no_difference_and_seeds_do(tiny_dump):
    one = audit_dump(tiny_dump, 6)
    np.testing.assert_equal(audit_dump(tiny_dump, 6, num_workers=2).to_dict(), one.to_dict())


@pytest.mark.usefixtures("few_trees")
def test_a_prior_and_its_dump_have_the_same_audit(tmp_path):
    for name, config in {
        "missing": PriorConfig(num_datapoints=30, block_size=4, missing_fraction=(0.2, 0.4)),
        "regression": PriorConfig(num_datapoints=30, num_features=(1, 4), problem_type="regression"),
    }.items():
        path = tmp_path / f"{name}.h5"
        generate_dump(path, config, 12, seed=5)
        for split in ("half", "own"):
            dumped = audit_dump(path, 12, 5, split)
            drawn = audit_prior(config, name, 12, 5, split)
            np.testing.assert_equal(dumped.to_dict() | {"source": name}, drawn.to_dict())
    assert audit_dump(path, 6, split="own") != audit_dump(path, 6)


@pytest.mark.usefixtures("few_trees")
def test_own_split_trains_on_the_training_rows(tiny_dump):
    own, half = (audit_dump(tiny_dump, 6, split=split).datasets for split in ("own", "half"))
    with open_dump(tiny_dump) as dump:
        for from_own, from_half in zip(own, half, strict=True):
            [x], [y] = dump.read(from_own.record, from_own.record + 1)
            own_rows = int(dump.single_eval_pos[from_own.record])
            for found, num_train in ((from_own, own_rows), (from_half, 12)):
                np.testing.assert_equal(found, measure(x, y, num_train, True, found.record))
    assert [d.forest for d in own] != [d.forest for d in half]


@pytest.mark.usefixtures("few_trees")
def test_damage_is_counted_and_repeats_are_found(tiny_dump, tmp_path):
    path = tmp_path / "bad.h5"
    path.write_bytes(tiny_dump.read_bytes())
    with h5py.File(path, "r+") as file:
        file["X"][3, 0, 0] = np.inf
        file["y"][6, 1] = np.nan
        file["single_eval_pos"][9] = 24
        file["num_features"][10] = 4
        file["X"][30], file["y"][30] = file["X"][20], file["y"][20]
        file["X"][40], file["y"][40] = file["X"][20], file["y"][20]
        file["y"][21] = file["y"][20]  # the same targets and other cells are no repeat
        place = file["X"].id.get_chunk_info(14).byte_offset + 20  # of the records 56 to 59
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    found = audit_dump(path, 64)
    assert found.damaged == (3, 6, 9, 10, 56, 57, 58, 59)
    assert found.repeats == ((30, 20), (40, 20))
    assert [dataset.record for dataset in found.datasets] == sorted(set(range(64)) - set(found.damaged))
    text = describe_audit(found)
    assert "8 records are damaged and left out: records 3, 6, 9, 10, 56-59." in text
    assert "2 datasets repeat an earlier one: records 30, 40." in text


def test_a_dump_of_damaged_records_alone(tiny_dump, tmp_path):
    path = tmp_path / "bad.h5"
    path.write_bytes(tiny_dump.read_bytes())
    with h5py.File(path, "r+") as file:
        file["X"][...] = np.nan
    found = audit_dump(path)
    assert found.damaged == tuple(range(64))
    assert found.datasets == ()
    assert describe_audit(found).endswith("No dataset is left to measure.")
    assert "| - / - / - / - / - |" in markdown_table([found])
    json.dumps(found.to_dict(), allow_nan=False)


def test_arguments_out_of_range(tiny_dump, tmp_path):
    with pytest.raises(ValueError, match="num_datasets must be at least 1, got 0"):
        audit_dump(tiny_dump, 0)
    with pytest.raises(ValueError, match="split must be half or own, got 'third'"):
        audit_prior(TINY, "tiny", 4, split="third")
    with pytest.raises(ValueError, match="seed"):
        audit_dump(tiny_dump, seed=-1)
    with pytest.raises(DumpError, match="no such file"):
        audit_dump(tmp_path / "none.h5")


@pytest.mark.usefixtures("few_trees")
def test_progress_is_told(tiny_dump):
    read, measured = [], []
    audit_dump(tiny_dump, 20, on_read=read.append, on_measured=measured.append)
    assert (sum(read), sum(measured)) == (64, 20)
    audit_prior(TINY, "tiny", 9, on_measured=measured.append)
    assert sum(measured) == 29


def test_a_control_without_signal_is_at_chance_and_a_linear_prior_is_not(monkeypatch):
    monkeypatch.setattr("priors.audit.measure.NUM_TREES", 10)
    noise = audit_prior(PRESETS["label-noise"], "label-noise", 48).summary()
    linear = audit_prior(PRESETS["linear"], "linear", 24).summary()
    assert noise["at_chance"] > 0.55
    assert linear["at_chance"] < 0.15
    assert linear["quantiles"]["forest"][2] > 0.85
    assert linear["beats_linear"] < linear["loses_to_linear"]
