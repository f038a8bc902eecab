"""Scores and comparisons of arms, from simulated records."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from simulated_study import saved_study, simulate, study_of

from nanotabpfn.studies.report.scores import Scores, complete_seeds


def test_less_is_better_where_it_is():
    study = study_of(["good", "broken"], metric="log_loss")
    scores = Scores(saved_study(study), simulate(study, {"broken": 0.5}))
    found, _ = scores.comparisons["broken"]
    assert found.mean < -0.2
    assert "broken is worse than good" in scores.words("broken")


def test_missing_cells_leave_whole_seeds_out():
    study = study_of()
    records = simulate(study, {})
    gone = (records["arm"] == "same") & (records["data_seed"] == 1) & (records["model_seed"] == 2)
    scores = Scores(saved_study(study), records[~gone])
    pair = [scores.of[arm][:, :2].mean() for arm in ("same", "good")]  # model seeds 0 and 1
    assert scores.comparisons["same"][0].mean == pytest.approx(pair[0] - pair[1])
    scores = Scores(saved_study(study), records[records["arm"] != "same"])
    assert "same" not in scores.comparisons


def test_complete_seeds():
    there = np.ones((2, 3), bool)
    assert complete_seeds(there) == ([0, 1], [0, 1, 2])
    there[1, 2] = False
    assert complete_seeds(there) == ([0, 1], [0, 1])
    there[1, 1] = False
    assert complete_seeds(there) == ([0], [0, 1, 2])
    assert complete_seeds(np.zeros((2, 2), dtype=bool)) is None
    assert complete_seeds(np.eye(2, dtype=bool)) == ([0], [0])


@given(arrays(bool, st.tuples(st.integers(1, 4), st.integers(1, 4))))
def test_the_largest_complete_grid_is_found(there):
    def subsets(number):
        return (list(chosen) for size in range(1, number + 1) for chosen in combinations(range(number), size))

    grids = [
        len(data) * len(models)
        for data in subsets(there.shape[0])
        for models in subsets(there.shape[1])
        if there[np.ix_(data, models)].all()
    ]
    found = complete_seeds(there)
    assert (found is None) == (not grids)
    if found is not None:
        assert there[np.ix_(*found)].all()
        assert len(found[0]) * len(found[1]) == max(grids)


def test_means_that_are_ranked_are_over_the_same_seeds():
    study = study_of(arms=("good", "same", "other"))
    records = simulate(study, {})
    late = (records["arm"] == "same") & (records["model_seed"] > 0)
    scores = Scores(saved_study(study), records[~late.fillna(False)])
    means = scores.table_means_on_common_seeds(["good", "same"])
    for arm in ("good", "same"):
        np.testing.assert_allclose(means[arm], scores.of[arm][0, 0])  # the pair of seeds 0
    means = scores.table_means_on_common_seeds(["good", "other"])
    np.testing.assert_allclose(means["good"], scores.table_means("good"))


def test_what_is_small_is_said_for_each_metric():
    study = study_of(metric="log_loss", rope={"log_loss": 0.5})
    records = simulate(study, {"same": 0.7})
    for metric, is_small in {"log_loss": True, "roc_auc": False}.items():
        words = Scores(saved_study(study), records, metric).words("same")
        assert words.startswith("same is worse than good: -0.")
        assert words.endswith("less than the difference that matters.") == is_small
