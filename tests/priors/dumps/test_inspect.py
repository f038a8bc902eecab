"""What a dump looks like: figures that can be worked out by hand, and a page that fits a screen."""

import json
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_dumps import write_datasets

import priors.dumps.read
import priors.dumps.summary
from priors.dataset import Dataset
from priors.dumps.read import open_dump
from priors.dumps.schema import DumpError
from priors.dumps.summary import LEVELS, describe, summary

PUBLISHED_LIKE = Path(__file__).parents[2] / "data" / "published_like.h5"
CONFIG = json.dumps({f"field_{i}": i for i in range(40)})


def small_dump(path, **changes):
    """Four datasets of 10 rows: 1, 2, 2 and 3 classes; one of eight columns is constant."""
    labels = [[0] * 10, [0] * 9 + [1], [0, 1] * 5, [0, 1, 2, 2, 2, 2, 2, 2, 2, 2]]
    labels[1] = labels[1][::-1]
    x = np.tile(np.arange(10.0)[:, None], (1, 2))  # (R, F), each column 0..9
    datasets = [
        Dataset(x, np.array(y), split, {"graph": "chain"})
        for y, split in zip(labels, [5, 5, 6, 6], strict=True)
    ]
    datasets[2] = datasets[2]._replace(x=np.stack([np.full(10, 4.5), np.arange(10.0)], axis=1))
    arguments = {
        "num_datasets": 4,
        "max_rows": 12,
        "max_features": 3,
        "max_num_classes": 3,
        "block_size": 2,
        "config_json": CONFIG,
        "seed": 7,
    }
    write_datasets(path, [datasets], **(arguments | changes))
    return path


@pytest.fixture
def small(tmp_path):
    return small_dump(tmp_path / "small.h5")


def summary_of(path):
    with open_dump(path) as dump:
        return summary(dump)


def page_of(path):
    with open_dump(path) as dump:
        return describe(dump)


def test_figures_of_a_small_dump(small):
    found = summary_of(small)
    assert found["bytes"] == small.stat().st_size
    assert (found["damaged"], found["wrong_labels"]) == ([], [])
    assert found["classes"] == {1: 1, 2: 2, 3: 1}
    middle, last = LEVELS.index(0.5), LEVELS.index(1)
    quantiles = found["quantiles"]
    assert set(map(len, quantiles.values())) == {len(LEVELS)}
    assert (quantiles["rows"][0], quantiles["rows"][last]) == (10, 10)
    assert (quantiles["training rows (split)"][0], quantiles["training rows (split)"][last]) == (5, 6)
    assert quantiles["split / rows"][middle] == pytest.approx(0.55)
    assert quantiles["smallest class / rows"][0] == 0  # one class only
    assert quantiles["smallest class / rows"][middle] == pytest.approx(0.1)  # of 0, .1, .1, .5
    assert quantiles["smallest class / rows"][last] == 0.5
    cells = found["features"]
    assert cells["sampled"] == 4
    assert cells["mean"] == pytest.approx(4.5)  # padding would pull it down
    assert cells["std"] == pytest.approx(np.sqrt(7 / 8 * 99 / 12))  # seven columns of 0..9, one constant
    assert cells["constant"] == pytest.approx(1 / 8)
    assert cells["missing"] == 0
    assert (cells["quantiles"][0], cells["quantiles"][last]) == (0, 9)
    assert found["provenance"]["seed"] == "7"
    assert json.loads(json.dumps(found))["arrays"][0]["name"] == "X"


def test_refused_draws_are_shown_by_stage(tiny_dump, small, tmp_path):
    with open_dump(tiny_dump) as dump:
        counts = {
            stage: dump.read_property(f"redrawn_{stage}")
            for stage in ("graph", "classes", "values", "columns")
        }
    assert sum(values.sum() for values in counts.values()) > 0
    assert summary_of(tiny_dump)["redrawn"] == {stage: values.mean() for stage, values in counts.items()}
    assert f"graph {counts['graph'].mean():.3g}, " in page_of(tiny_dump)
    assert summary_of(small)["redrawn"] == {}
    assert "redrawn" not in page_of(small)
    copy = tmp_path / "copy.h5"
    shutil.copy(tiny_dump, copy)
    with h5py.File(copy, "r+") as file:
        del file["properties/redrawn_graph"]
        file["properties/redrawn_graph"] = np.full(len(counts["graph"]), np.nan)
    assert "graph" not in summary_of(copy)["redrawn"]


def test_the_published_layout_has_one_damaged_record():
    found = summary_of(PUBLISHED_LIKE)
    assert found["damaged"] == [77]
    assert found["provenance"] == {}
    assert found["classes"] == {2: 639}
    assert found["features"]["std"] == pytest.approx(0.996, abs=1e-3)
    page = page_of(PUBLISHED_LIKE)
    assert re.search(r"damaged +1 of 640, namely 77\b", page)
    assert "none: the file does not say which prior" in page


def test_labels_that_break_the_schema_are_listed(small):
    with h5py.File(small, "r+") as file:
        file["y"][0, :10] = 1  # not from 0
        file["y"][1, :10] = [0] * 9 + [1]  # class 1 has no training row
        file["y"][3, :10] = [0, 1, 2, 3] * 2 + [0, 0]  # more than max_num_classes
        file["y"][3, 10:] = 9  # padding, not a label
    assert summary_of(small)["wrong_labels"] == [0, 1, 3]
    assert re.search(r"wrong labels +3 of 4, namely 0, 1, 3 ", page_of(small))


def test_missing_cells_are_a_share_and_not_damage(tmp_path):
    path = small_dump(tmp_path / "missing.h5", allow_missing=True)
    with h5py.File(path, "r+") as file:
        file["X"][0, :10, 0] = np.nan  # a column without a value is constant
        file["X"][1, 0, 0] = np.inf
        file["X"][2, 1:10, 1] = file["X"][2, 0, 1]  # so is one of a single value,
        file["X"][2, 4, 1] = np.nan  # also where a cell is missing
    found = summary_of(path)
    assert found["damaged"] == [1]
    assert found["features"]["missing"] == pytest.approx(11 / 60)
    assert found["features"]["constant"] == pytest.approx(3 / 6)


def test_damaged_records_keep_out_of_the_figures(small):
    with h5py.File(small, "r+") as file:
        file["X"][2:, 0, 0] = np.inf
    found = summary_of(small)
    assert found["damaged"] == [2, 3]
    assert found["classes"] == {1: 1, 2: 1}
    assert set(found["quantiles"]["training rows (split)"]) == {5}  # theirs are 6
    assert np.isfinite(found["features"]["std"])


def test_a_file_with_no_sound_record(small):
    with h5py.File(small, "r+") as file:
        file["X"][:] = np.nan
    page = page_of(small)
    assert "every record is damaged" in page
    assert summary_of(small)["features"] is None


def test_regression_has_a_target_and_no_classes(tmp_path):
    path = small_dump(tmp_path / "regression.h5", max_num_classes=None)
    found = summary_of(path)
    assert found["quantiles"]["target (sampled)"][-1] == 2
    assert found["wrong_labels"] == []
    page = page_of(path)
    assert "regression" in page
    assert "classes" not in page


def test_figures_do_not_depend_on_how_the_file_is_read(monkeypatch):
    whole = summary_of(PUBLISHED_LIKE)
    monkeypatch.setattr(priors.dumps.read, "READ_BYTES", 1)
    assert summary_of(PUBLISHED_LIKE) == whole


def test_the_sample_of_cells_is_bounded(monkeypatch):
    monkeypatch.setattr(priors.dumps.summary, "SAMPLE_CELLS", 20 * 150 * 5)
    found = summary_of(PUBLISHED_LIKE)
    assert found["features"]["sampled"] == 20
    assert found["damaged"] == [77]  # of all records, sampled or not


@pytest.mark.parametrize("make", [small_dump, lambda path: shutil.copy(PUBLISHED_LIKE, path)])
def test_the_page_fits_a_screen(tmp_path, make):
    path = tmp_path / "dump.h5"
    make(path)
    lines = page_of(path).splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines[1:])) <= 110  # the first is the path
    assert all(line == line.rstrip() for line in lines)
    assert str(path) == lines[0]


def test_the_page_of_a_small_dump(small):
    page = page_of(small)
    assert "4 datasets of at most 12 rows x 3 features, classification, at most 3 classes" in page
    assert "2 consecutive datasets share a split and a shape" in page
    assert re.search(r"X +\(4, 12, 3\) +float32 +\(2, 12, 3\) +lzf, shuffle, fletcher32 ", page)
    assert re.search(r"properties +graph \(one value per dataset\)", page)
    assert re.search(r"seed +7\n", page)
    assert re.search(r'config +\{"field_0": 0, ', page)
    assert re.search(r"classes +1: 1, 2: 2, 3: 1 ", page)
    assert re.search(r"rows +10 +10 +10 ", page)


def test_a_file_cannot_steer_the_terminal(small):
    with h5py.File(small, "r+") as file:
        file.attrs["generator"] = "\x1b[2Jevil"
        file.attrs["config"] = "\x1b]0;no json"
        file["other\x07key"] = 1
    page = page_of(small)
    assert page.replace("\n", "").isprintable()
    assert "other\\x07key" in page


def test_a_damaged_chunk_is_named(small):
    with h5py.File(small) as file:
        info = file["X"].id.get_chunk_info(1)
    data = bytearray(small.read_bytes())
    data[info.byte_offset] ^= 0xFF
    small.write_bytes(data)
    with open_dump(small) as dump, pytest.raises(DumpError, match="X: records 2 to 3 cannot be read"):
        describe(dump)
