"""Properties of one dataset: known answers, and what must not matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew

from priors.audit.measure import measure
from priors.audit.properties import PROPERTIES, effective_dimension, properties_of, table_properties


def named(values):
    return dict(zip(PROPERTIES, values.tolist(), strict=True))


def test_of_one_dataset():
    rng = np.random.default_rng(0)
    x = rng.exponential(size=(300, 3))
    x[:, 1] = np.round(x[:, 1])
    x[:, 2] = 7.0  # tells nothing, in no figure but the distinct values
    y = (x[:, 0] > np.quantile(x[:, 0], 0.7)).astype(int)
    found = named(properties_of(x, y, 150, 5))
    audited = measure(x, y, 150, True, 5)
    assert found["forest"] == audited.forest > 0.99
    assert found["headroom"] == audited.forest - audited.linear
    assert found["smallest_class"] == pytest.approx(0.3)
    r = np.corrcoef(x[:, 0], x[:, 1])[0, 1]
    assert found["correlation"] == pytest.approx(abs(r))
    assert found["effective_dimension"] == pytest.approx(2 / (2 + 2 * r**2))
    assert found["distinct"] == pytest.approx((300 + len(np.unique(x[:, 1])) + 1) / 900)
    assert found["skewness"] == pytest.approx(np.abs(skew(x[:, :2])).mean())


def test_what_a_dataset_does_not_have_is_nan():
    y = np.arange(20) % 2
    found = named(properties_of(np.linspace(0, 1, 20)[:, None], y, 10, 0))
    assert {name for name, value in found.items() if np.isnan(value)} == {
        "correlation",
        "effective_dimension",
    }


@settings(max_examples=20)
@given(st.integers(2, 6), st.integers(0, 2**31))
def test_the_effective_dimension_lies_between_one_and_all(num_features, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(50, num_features)) @ rng.normal(size=(num_features, num_features))
    found = effective_dimension(x)
    assert 1 / num_features <= found <= 1
    assert found == pytest.approx(effective_dimension(x[:, ::-1] * 3 + 1))
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(x, rowvar=False))
    assert found == pytest.approx(eigenvalues.sum() ** 2 / np.square(eigenvalues).sum() / num_features)
    copies = np.repeat(x[:, :1], num_features, axis=1)
    assert effective_dimension(copies) == pytest.approx(1 / num_features)


def test_what_needs_no_model_is_the_same_without_one():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)
    found = named(properties_of(x, y, 30, 0))
    without = table_properties(x, y)
    assert without == {name: found[name] for name in without}
    assert found.keys() - without.keys() == {"forest", "linear", "headroom"}
    assert np.isnan(table_properties(x, None)["smallest_class"])
