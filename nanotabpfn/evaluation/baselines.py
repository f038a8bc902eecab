"""Baselines: scikit-learn's estimators that a model is compared with, on the same folds.

Forests, trees and boosting take missing cells as they are. The others get the median of the training rows.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

SEED = 0


def _median() -> SimpleImputer:
    return SimpleImputer(strategy="median", keep_empty_features=True)


# name -> a function that makes the estimator. scikit-learn's defaults, but for logistic regression: on raw
# columns its solver would not converge and would warn, so it gets scaled ones and more iterations.
BASELINES: dict[str, Callable[[], Any]] = {
    "random_forest": partial(RandomForestClassifier, random_state=SEED),
    "k_nearest_neighbours": lambda: make_pipeline(_median(), KNeighborsClassifier()),
    "decision_tree": partial(DecisionTreeClassifier, random_state=SEED),
    "logistic_regression": lambda: make_pipeline(
        _median(), StandardScaler(), LogisticRegression(max_iter=1000)
    ),
}

# Ridge on scaled columns: its penalty would otherwise mean something else for each column.
REGRESSION_BASELINES: dict[str, Callable[[], Any]] = {
    "ridge": lambda: make_pipeline(_median(), StandardScaler(), Ridge()),
    "random_forest": partial(RandomForestRegressor, random_state=SEED),
    "hist_gradient_boosting": partial(HistGradientBoostingRegressor, random_state=SEED),
}
