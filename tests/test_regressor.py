"""NanoTabPFNRegressor: its answers follow the model's distribution, in the units of the targets."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from nanotabpfn import bins
from nanotabpfn.bins import standard_edges
from nanotabpfn.model import NanoTabPFNModel
from nanotabpfn.regressor import SHIPPED_MODEL, NanoTabPFNRegressor


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
        found = fitted.predict(x[:5], output=output, quantiles=wanted.tolist())
        np.testing.assert_allclose(found, values.numpy() * y.std() + y.mean(), rtol=1e-4)
    np.testing.assert_array_equal(fitted.predict(x[:5]), fitted.predict(x[:5], output="mean"))
    density = bins.log_density(logits, edges, z[0, :5].double()) - np.log(y.std())
    np.testing.assert_allclose(fitted.log_density(x[:5], y[:5]), density.numpy(), rtol=1e-3)


def test_another_unit_of_the_target_is_another_unit_of_the_answer(model, table, fitted):
    x, y = table
    other = NanoTabPFNRegressor(model, "cpu").fit(x, y * 1e-6 - 3)
    np.testing.assert_allclose(other.predict(x), fitted.predict(x) * 1e-6 - 3, rtol=1e-6)


def test_a_constant_target_is_predicted_near_itself(model, table):
    found = NanoTabPFNRegressor(model, "cpu").fit(table[0], np.full(40, 7.0)).predict(table[0])
    assert np.isfinite(found).all()
    assert abs(found - 7).max() < 5


def test_what_does_not_fit_is_refused(model, table, fitted):
    x, y = table
    with pytest.raises(NotFittedError):
        NanoTabPFNRegressor(model, "cpu").predict(x)
    with pytest.raises(ValueError, match="output must be one of mean, median, quantiles, got 'mode'"):
        fitted.predict(x, output="mode")
    for quantiles in ([0.5, 1.0], [0.0], 0.5, [np.nan]):
        with pytest.raises(ValueError, match="quantiles must be a list of numbers above 0 and below 1"):
            fitted.predict(x, output="quantiles", quantiles=quantiles)
    with pytest.raises(ValueError, match="one trained for regression, got one of classification"):
        NanoTabPFNRegressor(NanoTabPFNModel(8, 2, 12, 1, 2), "cpu").fit(x, y)


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
    named = NanoTabPFNRegressor(SHIPPED_MODEL, "cpu").fit(x[:140], y[:140])
    np.testing.assert_array_equal(named.predict(x[140:]), regressor.predict(x[140:]))
    inside = regressor.predict(x[140:], output="quantiles", quantiles=[0.1, 0.9])
    assert 0.6 < ((inside[:, 0] < y[140:]) & (y[140:] < inside[:, 1])).mean() < 0.95
    assert SHIPPED_MODEL.stat().st_size < 3_000_000
    assert SHIPPED_MODEL.with_suffix(".md").exists()


EXPECTED_FAILURES = {
    "check_methods_subset_invariance": "asks for 1e-7; matrix products in float32 round by the number of rows"
}


@parametrize_with_checks(
    [NanoTabPFNRegressor(device="cpu")], expected_failed_checks=lambda estimator: EXPECTED_FAILURES
)
def test_scikit_learns_contract(estimator, check):
    check(estimator)
