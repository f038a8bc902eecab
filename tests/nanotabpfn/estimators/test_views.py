"""Views: principal axes keep all that varies, and nothing that is rounding."""

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, StandardScaler

from nanotabpfn.estimators.views import fit_components, fit_normalizer


def test_components_are_the_principal_axes():
    rng = np.random.default_rng(0)
    direction, across = np.array([3.0, 4.0]) / 5, np.array([-4.0, 3.0]) / 5
    table = 10 * rng.normal(size=(500, 1)) * direction + rng.normal(size=(500, 1)) * across
    components = fit_components(table)
    rotated = components.transform(table)
    np.testing.assert_allclose(
        np.abs(components.axes), np.sqrt(0.5)
    )  # of two columns of one standard deviation
    np.testing.assert_allclose(np.cov(rotated.T)[0, 1], 0, atol=1e-12)
    assert rotated[:, 0].std() > 3 * rotated[:, 1].std()
    scaled = (table - table.mean(axis=0)) / table.std(axis=0)
    np.testing.assert_allclose(rotated @ components.axes.T, scaled)  # a rotation: nothing is lost
    np.testing.assert_allclose(components.transform(table[:3]), rotated[:3])


def test_components_of_columns_that_depend_on_each_other_are_not_noise():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(40, 2)).astype(np.float32)
    table = np.column_stack([table, table[:, 0] * np.float32(3.3), np.ones(40)]).astype(np.float64)
    rotated = fit_components(table).transform(table)
    assert (rotated[:, 2:] == 0).all()
    assert (rotated[:, :2].std(axis=0) > 0.5).all()
    few_rows = fit_components(table[:2]).transform(table)
    assert few_rows.shape == (40, 4)
    assert (few_rows[:, 1:] == 0).all()
    assert (fit_components(np.ones((5, 3))).transform(np.ones((5, 3))) == 0).all()


def test_powers_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    x = np.column_stack([np.exp(rng.normal(size=60)), rng.normal(size=60), np.arange(60) % 2, np.ones(60)])
    expected = make_pipeline(StandardScaler(), PowerTransformer()).fit(x[:40]).transform(x)
    normalizer = fit_normalizer(x[:40], features=np.array([0, 2, 3]))
    normal = normalizer.transform(x)
    np.testing.assert_allclose(normal[:, [0, 2, 3]], expected[:, [0, 2, 3]], rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(normal[:, 1], x[:, 1])
    np.testing.assert_array_equal(normalizer.transform(x[50:51]), normal[50:51])
