"""A dataset as a data frame."""

import builtins

import numpy as np
import pytest
from tiny_prior import TINY

from priors.dataset import Dataset
from priors.sampling.blocks import dataset_at

DATASET = dataset_at(TINY, seed=0, index=0)


def test_a_frame_has_the_cells_and_the_split():
    frame = DATASET.to_frame(["age", "income", "debt"], "default")
    assert list(frame.columns) == ["age", "income", "debt", "default"]
    assert np.array_equal(frame[["age", "income", "debt"]].to_numpy(), DATASET.x)
    assert np.array_equal(frame["default"].to_numpy(), DATASET.y)
    assert frame["default"].dtype == np.int64
    assert len(frame.loc["train"]) == DATASET.single_eval_pos
    assert frame.loc["test"].index.tolist() == list(range(DATASET.single_eval_pos, 24))


def test_missing_cells_stay_missing():
    x = np.array([[1.0, np.nan], [3.0, 4.0]], np.float32)
    frame = Dataset(x, np.array([0, 1]), 1, {}).to_frame()
    assert frame.isna().to_numpy().tolist() == [[False, True, False], [False, False, False]]


@pytest.mark.parametrize(
    ("names", "target", "message"),
    [
        (["a", "b"], "y", "feature_names must be 3 names, one for each feature, got 2"),
        (["a", "b", "b"], "y", "must differ, got a, b, b, y"),
        (["a", "b", "y"], "y", "must differ"),
        ([1, 2, 2], "y", "must differ, got 1, 2, 2, y"),
    ],
)
def test_wrong_names_are_refused(names, target, message):
    with pytest.raises(ValueError, match=message):
        DATASET.to_frame(names, target)


def test_without_pandas_the_extra_is_named(monkeypatch):
    load = builtins.__import__

    def without_pandas(name, *args, **kwargs):
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name="pandas")
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pandas)
    with pytest.raises(ModuleNotFoundError, match=r"need pandas: pip install 'nanotabpfn-priors\[pandas\]'"):
        DATASET.to_frame()
