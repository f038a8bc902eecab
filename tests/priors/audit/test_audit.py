"""The audit: what is measured of a dataset, against known answers; which datasets of a dump it looks at."""

import json
import math

import h5py
import numpy as np
import pytest
from conftest import TINY
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from priors.audit.audit import (
    AUDIT,
    LEVELS,
    NUM_TREES,
    Measures,
    audit,
    audit_prior,
    chance_correlation,
    correlations,
    describe_audit,
    in_words,
    markdown_table,
    measure,
    scores,
)
from priors.config import PriorConfig
from priors.dumps.read import open_dump
from priors.dumps.schema import DumpError
from priors.generation.generate import generate_dump
from priors.presets import PRESETS
from priors.streams import stream


@pytest.fixture
def few_trees(monkeypatch):
    """For tests that are not about scores; worker processes keep theirs."""
    monkeypatch.setattr("priors.audit.audit.NUM_TREES", 3)


def measured(x, y, num_train=None, is_classification=True):
    x = np.asarray(x, np.float32)
    return measure(x, np.asarray(y), num_train or len(x) // 2, is_classification, record=0)


# ------------------------------------------------------------------------------------------- one dataset


def test_scores_are_those_of_plain_scikit_learn():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3)) * [1, 100, 0.01] + [0, 5, 1]
    x[rng.random(x.shape) < 0.1] = np.nan
    signal = np.nan_to_num(x[:, 0]) + rng.normal(size=90)
    random_state = int(stream(0, AUDIT, 7).integers(2**31))
    train, test = slice(0, 50), slice(50, None)

    def plain(model, y):
        return make_pipeline(StandardScaler(), SimpleImputer(), model).fit(x[train], y[train])

    for num_classes in (2, 3):
        y = np.digitize(signal, [-0.5, 0.8][: num_classes - 1])
        expected = []
        for model in (RandomForestClassifier(NUM_TREES, random_state=random_state), LogisticRegression()):
            probabilities = plain(model, y).predict_proba(x[test])
            probabilities = probabilities[:, 1] if num_classes == 2 else probabilities
            expected.append(roc_auc_score(y[test], probabilities, multi_class="ovr"))
        found = scores(x, y, 50, True, stream(0, AUDIT, 7))
        assert found == pytest.approx(expected, abs=0.005)  # rounding may turn a pair of rows

    signal = (signal - signal[train].mean()) / signal[train].std()
    expected = [
        r2_score(signal[test], plain(model, signal).predict(x[test]))
        for model in (RandomForestRegressor(NUM_TREES, random_state=random_state), Ridge())
    ]
    found = scores(x, 1000 + 10 * signal, 50, False, stream(0, AUDIT, 7))
    assert found == pytest.approx(expected, abs=0.01)  # rounding may turn a split of a tree


def test_a_line_is_trivial_and_a_checkerboard_is_for_the_forest_alone():
    x = np.random.default_rng(0).uniform(-1, 1, size=(300, 2))
    line = measured(x, x[:, 0] > 0)
    assert line.forest > 0.99
    assert line.linear > 0.99
    board = measured(x, (x[:, 0] > 0) ^ (x[:, 1] > 0))
    assert board.forest > 0.95
    assert board.linear < 0.65


def test_labels_may_have_any_values():
    x = np.random.default_rng(0).normal(size=(60, 2))
    y = (x[:, 0] > 0).astype(int)
    assert measured(x, y) == measured(x, np.array([-100.0, 7.5])[y])


def test_targets_that_do_not_vary():
    x = np.random.default_rng(0).normal(size=(8, 2))
    no_test = measured(x, [0, 1, 0, 1, 1, 1, 1, 1])
    assert math.isnan(no_test.forest)
    assert math.isnan(no_test.linear)
    no_train = measured(x, [1, 1, 1, 1, 0, 1, 0, 1])
    assert (no_train.forest, no_train.linear) == (0.5, 0.5)
    unseen = measured(x, [0, 1, 0, 1, 2, 0, 1, 2])  # the third class has no training row
    assert 0 <= unseen.forest <= 1
    assert math.isnan(measured(x, [0.5] * 8, is_classification=False).forest)
    assert (measured(x, [3] * 8).num_classes, measured(x, [3] * 8).smallest_class) == (1, 0)


def test_smallest_class_sizes_and_flaws_of_columns():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 20))
    c = a.copy()
    b[:3] = np.nan
    x = np.stack([a, b, np.full(20, 2.5), -3 * c + 1, np.full(20, np.nan)], axis=1)
    found = measured(x, [0] * 5 + [1] * 4 + [2] * 11)
    assert (found.num_datapoints, found.num_features, found.num_classes) == (20, 5, 3)
    assert found.smallest_class == pytest.approx(0.2)
    assert found.constant == pytest.approx(2 / 5)
    assert found.repeated == pytest.approx(1 / 5)
    assert found.missing == pytest.approx(23 / 100)
    filled = np.where(np.isnan(b), np.nanmean(b), b)
    expected = (1 + 2 * abs(np.corrcoef(a, filled)[0, 1])) / 3
    assert found.correlation == pytest.approx(expected, abs=1e-5)
    assert math.isnan(measured(x[:, :1], found.record + np.arange(20) % 2).correlation)
    assert math.isnan(measured(x[:, 2:3], np.arange(20) % 2).correlation)


def test_correlations_are_pearsons_whatever_shift_and_scale():
    x = np.random.default_rng(0).normal(size=(40, 4)) @ np.random.default_rng(1).normal(size=(4, 4))
    assert correlations(x) == pytest.approx(np.abs(np.corrcoef(x, rowvar=False)))
    assert correlations(x * [1e-20, -1, 1e20, 1] + [0, 9, 0, -1]) == pytest.approx(correlations(x))


def test_independent_columns_correlate_as_much_as_chance_says():
    found = [
        correlations(np.random.default_rng(i).normal(size=(75, 6)))[np.triu_indices(6, 1)].mean()
        for i in range(200)
    ]
    assert np.mean(found) == pytest.approx(chance_correlation(75), rel=0.03)


def test_extreme_cells_and_the_smallest_dataset_are_measured():
    limit = np.finfo(np.float32).max
    x = np.array([[0, 1e-30], [1e-30, 0], [1e-30, 1], [limit, -limit], [-limit, limit], [0, 0]], np.float32)
    for is_classification in (True, False):
        found = measured(x, [0, 1, 0, 1, 0, 1], 3, is_classification)
        assert np.isfinite([found.forest, found.linear, found.correlation]).all()
    assert math.isnan(measured([[0], [1]], [0, 1]).forest)


# ------------------------------------------------------------------------------------------------ a dump


def test_it_tells_what_is_known_of_the_published_prior(published_like):
    """Mostly uncorrelated columns, about four in ten datasets at chance, one damaged record.

    Of all 639 datasets 38% are at chance; of 120 that is sure to 5 points at 1 standard error.
    """
    found = audit(published_like, num_datasets=120)
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
    records = [dataset.record for dataset in audit(tiny_dump, 8).datasets]
    assert [record // 8 for record in records] == list(range(8))
    assert records != [dataset.record for dataset in audit(tiny_dump, 8, seed=1).datasets]
    assert [dataset.record for dataset in audit(tiny_dump, 64).datasets] == list(range(64))


def test_workers_make_no_difference_and_seeds_do(tiny_dump):
    one = audit(tiny_dump, 6)
    np.testing.assert_equal(audit(tiny_dump, 6, num_workers=2).to_dict(), one.to_dict())


def test_the_seed_and_the_record_decide_the_forest_and_nothing_else():
    x = np.random.default_rng(0).normal(size=(60, 2))
    y = np.arange(60) % 2
    one, again, other, another = (
        measure(x, y, 30, True, record, seed) for record, seed in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert one == again
    assert len({one.forest, other.forest, another.forest}) == 3
    assert one.linear == other.linear == another.linear


@pytest.mark.usefixtures("few_trees")
def test_a_prior_and_its_dump_have_the_same_audit(tmp_path):
    for name, config in {
        "missing": PriorConfig(num_datapoints=30, block_size=4, missing_fraction=(0.2, 0.4)),
        "regression": PriorConfig(num_datapoints=30, num_features=(1, 4), problem_type="regression"),
    }.items():
        path = tmp_path / f"{name}.h5"
        generate_dump(path, config, 12, seed=5)
        for split in ("half", "own"):
            dumped = audit(path, 12, 5, split)
            drawn = audit_prior(config, name, 12, 5, split)
            np.testing.assert_equal(dumped.to_dict() | {"source": name}, drawn.to_dict())
    assert audit(path, 6, split="own") != audit(path, 6)


@pytest.mark.usefixtures("few_trees")
def test_own_split_trains_on_the_training_rows(tiny_dump):
    own, half = (audit(tiny_dump, 6, split=split).datasets for split in ("own", "half"))
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
    found = audit(path, 64)
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
    found = audit(path)
    assert found.damaged == tuple(range(64))
    assert found.datasets == ()
    assert describe_audit(found).endswith("No dataset is left to look at.")
    assert "| - / - / - / - / - |" in markdown_table([found])
    json.dumps(found.to_dict(), allow_nan=False)


def test_arguments_out_of_range(tiny_dump, tmp_path):
    with pytest.raises(ValueError, match="num_datasets must be at least 1, got 0"):
        audit(tiny_dump, 0)
    with pytest.raises(ValueError, match="split must be half or own, got 'third'"):
        audit_prior(TINY, "tiny", 4, split="third")
    with pytest.raises(ValueError, match="seed"):
        audit(tiny_dump, seed=-1)
    with pytest.raises(DumpError, match="no such file"):
        audit(tmp_path / "none.h5")


@pytest.mark.usefixtures("few_trees")
def test_progress_is_told(tiny_dump):
    read, measured = [], []
    audit(tiny_dump, 20, on_read=read.append, on_measured=measured.append)
    assert (sum(read), sum(measured)) == (64, 20)
    audit_prior(TINY, "tiny", 9, on_measured=measured.append)
    assert sum(measured) == 29


# ------------------------------------------------------------------------------------------------ report


def test_a_control_without_signal_is_at_chance_and_a_linear_prior_is_not(monkeypatch):
    monkeypatch.setattr("priors.audit.audit.NUM_TREES", 10)
    noise = audit_prior(PRESETS["label-noise"], "label-noise", 48).summary()
    linear = audit_prior(PRESETS["linear"], "linear", 24).summary()
    assert noise["at_chance"] > 0.55
    assert linear["at_chance"] < 0.15
    assert linear["quantiles"]["forest"][2] > 0.85
    assert linear["beats_linear"] < linear["loses_to_linear"]


@pytest.mark.usefixtures("few_trees")
def test_summary_by_hand(tiny_dump):
    one = audit(tiny_dump, 4)
    rows = [
        # record, rows, features, classes, forest, linear, smallest, correlation, constant, repeated, missing
        Measures(0, 100, 2, 2, 0.55, 0.49, 0.5, 0.1, 0.5, 0.0, 0.0),
        Measures(1, 100, 8, 2, 0.99, 1.0, 0.3, 0.9, 0.0, 0.25, 0.5),
        Measures(2, 100, 2, 3, math.nan, math.nan, 0.1, math.nan, 0.0, 0.0, 0.0),
        Measures(3, 100, 8, 2, 0.75, 0.85, 0.2, 0.2, 0.0, 0.0, 0.0),
    ]
    found = type(one)("by hand", "classification", 4, (), (), "half", 0, tuple(rows))
    summary = found.summary()
    assert summary["scored"] == 3
    assert summary["at_chance"] == summary["trivial"] == pytest.approx(1 / 3)
    assert summary["beats_linear"] == summary["loses_to_linear"] == pytest.approx(1 / 3)
    assert summary["uncorrelated"] == pytest.approx(1 / 3)
    assert (summary["constant"], summary["repeated"], summary["missing"]) == (1 / 20, 2 / 20, 4 / 20)
    assert summary["with_constant"] == summary["with_repeated"] == 1 / 4
    assert summary["quantiles"]["forest"] == pytest.approx(np.quantile([0.55, 0.99, 0.75], LEVELS))
    assert summary["quantiles"]["smallest_class"][2] == pytest.approx(0.25)
    text = describe_audit(found)
    assert "100 rows, 2 to 8 features, 2 to 3 classes" in text
    assert "1 could not be scored" in text
    assert "constant columns: 5%, in 25% of the datasets" in text
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["datasets"]["forest"] == [0.55, 0.99, None, 0.75]
    assert plain["summary"]["scored"] == 3
    [header, rule, row] = markdown_table([found]).splitlines()
    assert header.count("|") == rule.count("|") == row.count("|")
    assert row.startswith("| by hand | 0.57 / 0.65 / 0.75 / 0.87 / 0.97 | 0.85 | 33% | 33% | 33%, 33% |")


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0, "none"), (1, "all"), (0.5, "half"), (0.002, "1 in 500"), (0.03, "1 in 30"), (0.0061, "1 in 200"),
        (0.07, "1 in 14"), (0.11, "1 in 10"), (0.38, "4 in 10"), (0.52, "about half"), (0.94, "9 in 10"),
        (0.97, "nearly all"),
    ],
)  # fmt: skip
def test_shares_in_words(share, words):
    assert in_words(share) == words


@given(st.floats(0.001, 0.949))
def test_the_words_are_never_far_from_the_share(share):
    numerator, _, denominator = in_words(share).partition(" in ")
    if denominator:
        assert int(numerator) / int(denominator.replace(",", "")) == pytest.approx(share, rel=0.34)
    else:
        assert "half" in numerator
        assert share == pytest.approx(0.5, abs=0.05)
