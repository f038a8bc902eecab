"""NanoTabPFNRegressor: its answers follow the model's distribution, in the units of the targets."""

import pickle
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from nanotabpfn.estimators.base import OutsideTrainedRangeWarning
from nanotabpfn.estimators.regressor import SHIPPED_REGRESSOR, NanoTabPFNRegressor
from nanotabpfn.model import bins
from nanotabpfn.model.architecture import NanoTabPFNModel, TrainedRange
from nanotabpfn.model.bins import standard_edges
from nanotabpfn.model.checkpoint import load_model, save_model


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return NanoTabPFNModel(8, 2, 12, 1, 20, mean_pooling=True, bin_edges=standard_edges(20)).eval()


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    return x, 1000 + 50 * x[:, 0] + rng.normal(size=40)


@pytest.fixture(scope="module")
def fitted(model, table):
    return NanoTabPFNRegressor(model, "cpu").fit(*table)


def test_predictions_are_the_models_distribution_in_the_targets_units(model, table, fitted):
    x, y = table
    z = torch.tensor((y - y.mean()) / y.std(), dtype=torch.float32)[None]
    rows = torch.tensor(np.concatenate([x, x[:5]]), dtype=torch.float32)[None]
    with torch.inference_mode():
        logits = model((rows, z), train_test_split_index=40)[0].double()
    edges = torch.tensor(standard_edges(20), dtype=torch.float64)
    wanted = torch.tensor([0.05, 0.5, 0.95])
    expected = {
        "mean": bins.mean(logits, edges),
        "median": bins.quantiles(logits, edges, wanted)[:, 1],
        "quantiles": bins.quantiles(logits, edges, wanted),
    }
    for output, values in expected.items():
        found = fitted.predict(x[:5], output, wanted.tolist() if output == "quantiles" else None)
        np.testing.assert_allclose(found, values.numpy() * y.std() + y.mean(), rtol=1e-4)
    np.testing.assert_array_equal(fitted.predict(x[:5]), fitted.predict(x[:5], output="mean"))
    density = bins.log_density(logits, edges, z[0, :5].double()) - np.log(y.std())
    np.testing.assert_allclose(fitted.log_density(x[:5], y[:5]), density.numpy(), rtol=1e-3)


def test_another_unit_of_the_target_is_another_unit_of_the_answer(model, table, fitted):
    x, y = table
    other = NanoTabPFNRegressor(model, "cpu").fit(x, y * 1e-6 - 3)
    np.testing.assert_allclose(other.predict(x), fitted.predict(x) * 1e-6 - 3, rtol=1e-6)


@pytest.mark.parametrize("constant", [7.0, 0.0, -1e-9, 1e300, 5e-324])
def test_a_constant_target_is_predicted_as_itself(model, table, constant):
    regressor = NanoTabPFNRegressor(model, "cpu").fit(table[0], np.full(40, constant))
    for output in ("mean", "median", "quantiles"):
        found = regressor.predict(table[0], output=output)
        np.testing.assert_allclose(found, constant, rtol=1e-12, atol=1e-12 * (constant == 0))
    assert np.isfinite(regressor.log_density(table[0], np.full(40, constant))).all()


@pytest.mark.parametrize("exponent", [1020, -1000])
def test_targets_of_any_size_are_told_alike(model, table, fitted, exponent):
    x, y = table
    y = (y - 1000) / 128  # both scales are powers of 2: equal to the bit but at the ends
    expected = NanoTabPFNRegressor(model, "cpu").fit(x, y)
    other = NanoTabPFNRegressor(model, "cpu").fit(x, np.ldexp(y, exponent))
    np.testing.assert_allclose(np.ldexp(other.predict(x), -exponent), expected.predict(x), rtol=1e-9)
    densities = other.log_density(x, np.ldexp(y, exponent)) + exponent * np.log(2)
    np.testing.assert_allclose(densities, expected.log_density(x, y), rtol=1e-9)


def test_the_distributions_of_members_are_averaged(model, table):
    x, y = table
    several = NanoTabPFNRegressor(model, "cpu", n_estimators=3).fit(x, y)
    assert [member.view for member in several.members_] == ["columns", "components", "power"]
    outputs = several.ensemble_.predict(x[:5].astype(np.float32)).double()
    edges = torch.tensor(standard_edges(20), dtype=torch.float64)
    masses = torch.softmax(outputs, dim=-1).mean(dim=0)
    expected = bins.mean(masses.log(), edges).numpy() * y.std() + y.mean()
    np.testing.assert_allclose(several.predict(x[:5]), expected, rtol=1e-6)
    assert abs(several.predict(x) - NanoTabPFNRegressor(model, "cpu").fit(x, y).predict(x)).max() > 1e-3


def test_what_does_not_fit_is_refused(model, table, fitted):
    x, y = table
    with pytest.raises(NotFittedError):
        NanoTabPFNRegressor(model, "cpu").predict(x)
    with pytest.raises(ValueError, match="output must be one of mean, median, quantiles, got 'mode'"):
        fitted.predict(x, output="mode")
    for quantiles in ([0.5, 1.0], [0.0], 0.5, [np.nan]):
        with pytest.raises(ValueError, match="quantiles must be a list of numbers above 0 and below 1"):
            fitted.predict(x, output="quantiles", quantiles=quantiles)
    with pytest.raises(ValueError, match="of regression, got one of classification"):
        NanoTabPFNRegressor(NanoTabPFNModel(8, 2, 12, 1, 2), "cpu").fit(x, y)
    with pytest.raises(TypeError, match="got a int"):
        NanoTabPFNRegressor(3, "cpu").fit(x, y)
    with pytest.raises(ValueError, match="n_estimators must be an integer of at least 1, or None, got 0"):
        NanoTabPFNRegressor(model, "cpu", n_estimators=0).fit(x, y)
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        NanoTabPFNRegressor(model, "cpu").fit(x[:1], y[:1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fitted.log_density(x, y[:5])


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([1.0, None, 2.0], "y contains NaN"),
        (pd.array([1.5, None, 2.0], dtype="Float64"), "y contains NaN"),
        ([1.0, np.inf, 2.0], "y contains infinity"),
        ([1.0, 2j, 2.0], "Complex data not supported"),
        (["a", "b", "c"], "y must hold numbers"),
        (["a", 1.5, 2], "y must hold"),
        (pd.date_range("2026-01-01", periods=3), "y must hold numbers"),
        ([1, 2, 10**400], "y must hold finite numbers"),
    ],
)
def test_targets_that_are_no_finite_numbers_are_refused(model, targets, message):
    with pytest.raises(ValueError, match=message):
        NanoTabPFNRegressor(model, "cpu").fit(np.arange(3.0)[:, None], targets)


def test_targets_of_any_type_of_number(model, table):
    x, y = table[0], np.arange(40) % 2
    expected = NanoTabPFNRegressor(model, "cpu").fit(x, y).predict(x)
    for targets in (
        y.astype(bool),
        y.tolist(),
        pl.Series(y),
        pd.array(y),
        [Decimal(int(number)) for number in y],
    ):
        np.testing.assert_array_equal(NanoTabPFNRegressor(model, "cpu").fit(x, targets).predict(x), expected)


def test_it_is_clonable_and_picklable_and_keeps_its_model(model, table, fitted):
    x, y = table
    expected = fitted.predict(x)
    np.testing.assert_array_equal(clone(fitted).fit(x, y).predict(x), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(x), expected)
    assert fitted.model_ is not model


def test_without_a_model_it_is_the_shipped_one():
    x, y = load_diabetes(return_X_y=True)
    regressor = NanoTabPFNRegressor(device="cpu").fit(x[:140], y[:140])
    assert regressor.score(x[140:], y[140:]) > 0.35
    named = NanoTabPFNRegressor(SHIPPED_REGRESSOR, "cpu").fit(x[:140], y[:140])
    np.testing.assert_array_equal(named.predict(x[140:]), regressor.predict(x[140:]))
    inside = regressor.predict(x[140:], output="quantiles", quantiles=[0.1, 0.9])
    assert 0.6 < ((inside[:, 0] < y[140:]) & (y[140:] < inside[:, 1])).mean() < 0.95
    assert SHIPPED_REGRESSOR.stat().st_size < 3_000_000
    assert SHIPPED_REGRESSOR.with_suffix(".md").exists()


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_a_frame_with_text_dates_and_gaps(frame):
    rng = np.random.default_rng(0)
    area, town = rng.uniform(30, 120, 180), rng.choice(["Ulm", "Rom", "Wien"], 180)
    price = 3000 * area * (1 + (town == "Rom")) + rng.normal(0, 20_000, 180)
    built = pd.date_range("1990-01-01", periods=180, freq="37D").to_pydatetime().tolist()
    area[::17] = np.nan
    x = frame(
        {
            "area": [None if np.isnan(a) else a for a in area],
            "town": [None if i % 13 == 0 else name for i, name in enumerate(town)],
            "built": built,
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        regressor = NanoTabPFNRegressor().fit(x[:130], price[:130])
        assert regressor.score(x[130:], price[130:]) > 0.6
    assert regressor.feature_names_in_.tolist() == ["area", "town", "built"]
    moved = x[130:][["built", "area", "town"]]
    np.testing.assert_array_equal(regressor.predict(moved), regressor.predict(x[130:]))


def test_outside_of_the_trained_range_it_warns_once_and_goes_on(model, tmp_path):
    model = load_model(save_model(model, tmp_path / "model.safetensors"))
    model.trained_range = TrainedRange(rows=(5, 30), features=(1, 4))
    file = save_model(model, tmp_path / "model.safetensors")
    assert load_model(file).trained_range == model.trained_range
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 9))
    with pytest.warns(OutsideTrainedRangeWarning, match="40 training rows .* 9 features") as caught:
        regressor = NanoTabPFNRegressor(file, "cpu", n_estimators=2).fit(x, x[:, 0])
    assert len(caught) == 1
    assert "classes" not in str(caught[0].message)
    assert set(np.concatenate([member.features for member in regressor.members_])) == set(range(9))
    assert np.isfinite(regressor.predict(x)).all()


def test_inside_a_grid_search(model, table):
    grid = {"n_estimators": [1, 2], "random_state": [0]}
    found = GridSearchCV(NanoTabPFNRegressor(model, "cpu"), grid, cv=2, error_score="raise").fit(*table)
    assert np.isfinite(found.best_score_)


numbers = st.floats(width=64) | st.sampled_from([0.0, 1e308, -1e308, 5e-324, np.inf, -np.inf, np.nan])
cells = numbers | st.integers(-(2**70), 2**70) | st.none() | st.text(max_size=3) | st.datetimes()
columns = st.one_of(
    *(
        st.lists(kind, min_size=9, max_size=9)
        for kind in (numbers, cells, st.sampled_from(["a", "b", None]), st.just(7.5))
    )
)
targets = st.one_of(
    *(
        st.lists(kind, min_size=6, max_size=6)
        for kind in (
            st.floats(allow_nan=False, allow_infinity=False),
            st.sampled_from([0.0, 5e-324, 1e308, -1.7976931348623157e308]),
            st.integers(-3, 3),
        )
    )
)


@pytest.mark.filterwarnings("ignore::nanotabpfn.estimators.encoding.UnreadableCellsWarning")
@settings(max_examples=60)
@given(st.lists(columns, min_size=1, max_size=4), targets, st.integers(1, 4))
def test_hostile_tables(model, drawn, y, num_estimators):
    x = pd.DataFrame({f"c{i}": pd.Series(column, dtype=object) for i, column in enumerate(drawn)})
    regressor = NanoTabPFNRegressor(model, "cpu", n_estimators=num_estimators).fit(x[:6], y)
    for output in ("mean", "median", "quantiles"):
        assert np.isfinite(regressor.predict(x[6:], output=output)).all()
    low, middle, high = regressor.predict(x[6:], output="quantiles").T
    assert ((low <= middle) & (middle <= high)).all()
    assert not np.isnan(regressor.log_density(x[6:], y[:3])).any()


EXPECTED_FAILURES = {
    "check_methods_subset_invariance": "asks for 1e-7; float32 products round by the number of rows",
}


@pytest.mark.filterwarnings("ignore")  # the checks' tables are small, and many: the range is warned of
@parametrize_with_checks(
    [NanoTabPFNRegressor(device="cpu", n_estimators=2)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_scikit_learns_contract(estimator, check):
    check(estimator)
