"""Views: principal axes keep all that varies, and nothing that is rounding."""

import numpy as np

from nanotabpfn.estimators.views import Components


def test_components_are_the_principal_axes():
    rng = np.random.default_rng(0)
    direction, across = np.array([3.0, 4.0]) / 5, np.array([-4.0, 3.0]) / 5
    table = 10 * rng.normal(size=(500, 1)) * direction + rng.normal(size=(500, 1)) * across
    components = Components().fit(table)
    rotated = components.transform(table)
    np.testing.assert_allclose(
        np.abs(components.axes_), np.sqrt(0.5)
    )  # of two columns of one standard deviation
    np.testing.assert_allclose(np.cov(rotated.T)[0, 1], 0, atol=1e-12)
    assert rotated[:, 0].std() > 3 * rotated[:, 1].std()
    scaled = (table - table.mean(axis=0)) / table.std(axis=0)
    np.testing.assert_allclose(rotated @ components.axes_.T, scaled)  # a rotation: nothing is lost
    np.testing.assert_allclose(components.transform(table[:3]), rotated[:3])


def test_components_of_columns_that_depend_on_each_other_are_not_noise():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(40, 2)).astype(np.float32)
    table = np.column_stack([table, table[:, 0] * np.float32(3.3), np.ones(40)]).astype(np.float64)
    rotated = Components().fit(table).transform(table)
    assert (rotated[:, 2:] == 0).all()
    assert (rotated[:, :2].std(axis=0) > 0.5).all()
    few_rows = Components().fit(table[:2]).transform(table)
    assert few_rows.shape == (40, 4)
    assert (few_rows[:, 1:] == 0).all()
    assert (Components().fit(np.ones((5, 3))).transform(np.ones((5, 3))) == 0).all()
