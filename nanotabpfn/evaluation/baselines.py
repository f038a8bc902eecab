"""Baselines: scikit-learn's estimators that a model is compared with, on the same folds.

Forests, trees and boosting take missing cells as they are. The others get the median of the training rows.

Each function imports its estimator when it is called: a study file is checked with the names alone.
"""

from collections.abc import Callable
from typing import Any

SEED = 0


def _random_forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(random_state=SEED)


def _k_nearest_neighbours() -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return _after_median(KNeighborsClassifier())


def _decision_tree() -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=SEED)


def _logistic_regression() -> Any:
    """On raw columns its solver would not converge and would warn: scaled ones, and more iterations."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    return _after_median(StandardScaler(), LogisticRegression(max_iter=1000))


def _ridge() -> Any:
    """On scaled columns: its penalty would otherwise mean something else for each column."""
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    return _after_median(StandardScaler(), Ridge())


def _random_forest_regressor() -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(random_state=SEED)


def _hist_gradient_boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(random_state=SEED)


def _after_median(*steps: Any) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    return make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), *steps)


# name -> a function that makes the estimator, with scikit-learn's defaults except where its docstring says so
BASELINES: dict[str, Callable[[], Any]] = {
    "random_forest": _random_forest,
    "k_nearest_neighbours": _k_nearest_neighbours,
    "decision_tree": _decision_tree,
    "logistic_regression": _logistic_regression,
}
REGRESSION_BASELINES: dict[str, Callable[[], Any]] = {
    "ridge": _ridge,
    "random_forest": _random_forest_regressor,
    "hist_gradient_boosting": _hist_gradient_boosting,
}
