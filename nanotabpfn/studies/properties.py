"""Properties of held-out datasets and real tables, and the distances of a prior's datasets from the tables.

Axis letters: D datasets, R rows, T training rows, F features, P properties.
"""

from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.neighbors import NearestNeighbors

from nanotabpfn.evaluation.baselines import SEED
from nanotabpfn.evaluation.protocol import Task
from priors.audit.properties import properties_of

DISTANCES = {
    "discriminator": "ROC AUC of prior against real tables",
    "coverage": "share of real tables within it",
}
"""The distances of a prior from the tables of a suite."""

NUM_TREES = 100
"""Trees of the discriminator's forest."""

COVERED = 0.95
"""Quantile of the distances of a prior's datasets to their nearest neighbours. A table is within the prior if
it is no farther than that from one of its datasets."""


def properties_of_batches(batches: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Number of the dataset -> its PROPERTIES (P,), for the held-out batches of a loader."""
    return {
        str(number): properties_of(x.numpy(), y.numpy(), len(y) // 2, number)
        for batch in batches
        for part in batch.get("parts", [batch])
        for number, x, y in zip(part["datasets"], part["x"], part["y"], strict=True)
    }


def properties_of_tables(tasks: tuple[Task, ...]) -> dict[str, np.ndarray]:
    """Name of the table -> its PROPERTIES (P,), on the rows and with the encoding of the protocol."""
    found = {}
    for number, task in enumerate(tasks):
        # The rows of a file may be sorted by class; those of a prior's dataset never are.
        is_classification = task.problem_type == "classification"
        classes = task.y if is_classification else None
        halves = train_test_split(np.arange(len(task.y)), test_size=0.5, stratify=classes, random_state=SEED)
        rows = np.concatenate(halves)
        found[task.name] = properties_of(
            task.x[rows], task.y[rows], len(halves[0]), number, is_classification
        )
    return found


def distances(prior: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """The DISTANCES of a prior's datasets from real tables.

    Datasets that lack a property are left out. The discriminator is a random forest, cross-validated in five
    folds: 0.5 if it cannot separate prior from tables, 1 if it always can. Coverage is measured in units of
    the real tables' spread, the same for every prior; it grows a little with the number of datasets.

    Args:
        prior: (D, P).
        real: (tables, P).

    Returns:
        Name -> distance; NaN with fewer than five complete datasets on either side.

    Examples:
        >>> prior, real = np.random.default_rng(0).normal(size=(2, 10, 8))
        >>> found = distances(prior, real + 9)
        >>> found["discriminator"], found["coverage"]
        (1.0, 0.0)
    """
    prior, real = (values[np.isfinite(values).all(axis=1)] for values in (prior, real))
    folds = 5
    if min(len(prior), len(real)) < folds:
        return dict.fromkeys(DISTANCES, np.nan)
    spread = real.std(axis=0)
    spread[spread == 0] = 1
    both = np.concatenate([prior, real]) / spread
    is_real = np.arange(len(both)) >= len(prior)
    looks_real = np.empty(len(both))
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=SEED).split(both, is_real):
        forest = RandomForestClassifier(
            NUM_TREES, class_weight="balanced", min_samples_leaf=3, random_state=SEED
        )
        looks_real[test] = forest.fit(both[train], is_real[train]).predict_proba(both[test])[:, 1]
    neighbours = NearestNeighbors(n_neighbors=1).fit(both[~is_real])
    own = neighbours.kneighbors()[0]  # each one's nearest other
    to_real = neighbours.kneighbors(both[is_real])[0]
    return {
        "discriminator": float(roc_auc_score(is_real, looks_real)),
        "coverage": float(np.mean(to_real <= np.quantile(own, COVERED))),
    }
