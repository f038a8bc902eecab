"""The shipped classifier: scikit-learn's own checks, its habits, a newcomer's table, and hostile ones."""

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris, make_classification
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from nanotabpfn.estimators.base import OutsideTrainedRangeWarning
from nanotabpfn.estimators.classifier import SHIPPED_CLASSIFIER, NanoTabPFNClassifier
from nanotabpfn.model.architecture import NanoTabPFNModel, TrainedRange
from nanotabpfn.model.checkpoint import load_model, save_model

EXPECTED_FAILURES = {
    "check_methods_subset_invariance": "float32: products of other batch shapes round otherwise, by 1e-6",
}


@pytest.mark.filterwarnings("ignore")  # the checks' tables are small, and many: the range is warned of
@parametrize_with_checks(
    [NanoTabPFNClassifier(device="cpu", n_estimators=2)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def table():
    x, y = make_classification(60, 4, random_state=0)
    return pd.DataFrame(x, columns=list("abcd")), np.array(["no", "yes"])[y]


def small(**parameters):
    return NanoTabPFNClassifier(device="cpu", n_estimators=4, **parameters)  # all views


def test_the_file_is_small_and_has_a_card_and_a_range():
    assert SHIPPED_CLASSIFIER.stat().st_size < 3_000_000
    card = SHIPPED_CLASSIFIER.with_suffix(".md").read_text(encoding="utf-8")
    assert "scripts/shipped_models.py train classifier" in card
    model = load_model(SHIPPED_CLASSIFIER)
    assert model.num_outputs == 10
    assert model.trained_range.classes == (2, 10)


def test_the_trained_range_is_kept_in_files(tmp_path):
    model = NanoTabPFNModel(8, 2, 8, 1, 2)
    assert load_model(save_model(model, tmp_path / "none.safetensors")).trained_range is None
    model.trained_range = TrainedRange((10, 20), (1, 5), (2, 2))
    assert load_model(save_model(model, tmp_path / "some.safetensors")).trained_range == model.trained_range


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_five_lines_on_a_frame_with_text_and_gaps(frame):
    rng = np.random.default_rng(0)
    age, town = rng.uniform(18, 80, 200), rng.choice(["Ulm", "Rom", "Wien"], 200)
    bought = np.where((age > 45) ^ (town == "Rom"), "yes", "no")
    age[::17] = np.nan
    names = [None if i % 13 == 0 else name for i, name in enumerate(town)]
    x = frame({"age": [None if np.isnan(a) else a for a in age], "town": names})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier = NanoTabPFNClassifier().fit(x[:150], bought[:150])
        assert classifier.score(x[150:], bought[150:]) > 0.75
    assert classifier.feature_names_in_.tolist() == ["age", "town"]


def test_it_is_good_on_iris():
    x, y = load_iris(return_X_y=True)
    assert cross_val_score(small(), x, y, cv=3).mean() > 0.9


def test_inside_scikit_learn(table):
    x, y = table
    grid = GridSearchCV(small(), {"softmax_temperature": [0.5, 2.0]}, cv=2, error_score="raise").fit(x, y)
    assert grid.best_score_ > 0.6
    pipeline = make_pipeline(StandardScaler().set_output(transform="pandas"), small()).fit(x, y)
    assert pipeline.predict(x).tolist() == small().fit(x, y).predict(x).tolist()
    calibrated = CalibratedClassifierCV(small(), cv=2).fit(x, y).predict_proba(x)
    np.testing.assert_allclose(calibrated.sum(axis=1), 1)
    found = permutation_importance(small().fit(x, y), x, y, n_repeats=2, random_state=0)
    assert found.importances_mean.shape == (4,)


def test_model_agnostic_explainers_may_call_it_as_a_function_of_arrays(table):
    x, y = table
    classifier = small().fit(x.to_numpy(), y)
    background, row = x.to_numpy()[:8], x.to_numpy()[8]
    masks = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 1, 0]], dtype=bool)  # as SHAP's
    tables = [np.where(mask, row, background) for mask in masks]
    means = [classifier.predict_proba(table).mean(axis=0) for table in tables]
    np.testing.assert_allclose(means[1], classifier.predict_proba(row[None])[0], atol=1e-6)

    named = small().fit(x, y)
    named.feature_names_in_ = None  # SHAP's KernelExplainer does so, and then asks with arrays
    np.testing.assert_allclose(named.predict_proba(x.to_numpy()), classifier.predict_proba(x.to_numpy()))


def test_pickled_dumped_in_threads_and_in_processes_it_predicts_the_same(table, tmp_path):
    x, y = table
    classifier = small().fit(x, y)
    expected = classifier.predict_proba(x)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(classifier)).predict_proba(x), expected)
    joblib.dump(classifier, tmp_path / "model.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "model.joblib").predict_proba(x), expected)
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: classifier.predict_proba(x), range(8)):
            np.testing.assert_array_equal(got, expected)
    predict = joblib.delayed(classifier.predict_proba)
    for got in joblib.Parallel(n_jobs=2)(predict(x) for _ in range(2)):  # other processes
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_the_ensemble_follows_random_state(table):
    x, y = table
    classifier = small()
    seeds = (1, 1, 2, 3, 4, 5)  # three members draw one of two codes each: some seeds agree
    fitted = (classifier.set_params(random_state=seed).fit(x, y) for seed in seeds)
    first, again, *others = (each.predict_proba(x) for each in fitted)
    np.testing.assert_array_equal(first, again)
    assert max(abs(first - other).max() for other in others) > 1e-5


def test_outside_of_the_trained_range_it_warns_once_and_goes_on():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 25)), np.arange(60) % 12
    with pytest.warns(OutsideTrainedRangeWarning, match="25 features .* 12 classes") as caught:
        classifier = small().fit(x, y)
    assert len(caught) == 1
    assert classifier.predict_proba(x).shape == (60, 12)
    assert all(len(member.features) == 20 for member in classifier.members_)


numbers = st.floats(width=64) | st.sampled_from([0.0, 1e308, -1e308, 5e-324, np.inf, -np.inf, np.nan])
cells = st.one_of(
    numbers,
    st.integers(-(2**70), 2**70),
    st.booleans(),
    st.none(),
    st.text(max_size=4),
    st.datetimes(),
    st.dates(),
    st.timedeltas(),
    st.binary(max_size=3),
    st.decimals(),
)
columns = st.one_of(
    *(
        st.tuples(st.just(kind), st.lists(kind_cells, min_size=9, max_size=9))
        for kind, kind_cells in {
            "mixed": cells,
            "numbers": numbers,
            "text": st.text(max_size=3) | st.none(),
            "few": st.sampled_from(["a", "b", None]),
            "constant": st.just(7.5),
            "dates": st.datetimes() | st.none(),
        }.items()
    )
)
labels = st.one_of(
    *(
        st.lists(st.sampled_from(kinds), min_size=6, max_size=6)
        for kinds in (["a", "b", "c"], [0, 1], [-7, 7])
    )
)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return NanoTabPFNModel(8, 2, 8, 2, 2)


@pytest.mark.filterwarnings("ignore::nanotabpfn.estimators.encoding.UnreadableCellsWarning")
@settings(max_examples=200)
@given(st.lists(columns, min_size=1, max_size=4), labels.filter(lambda y: len(set(y)) > 1), st.integers(1, 4))
def test_hostile_tables(tiny, drawn, y, num_estimators):
    x = pd.DataFrame({f"c{i}": pd.Series(cells, dtype=object) for i, (_, cells) in enumerate(drawn)})
    classifier = NanoTabPFNClassifier(tiny, "cpu", n_estimators=num_estimators).fit(x[:6], y)
    probabilities = classifier.predict_proba(x[6:])
    assert probabilities.shape == (3, len(set(y)))
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-9)
