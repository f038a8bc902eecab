"""The real tables of a suite as studies score them: prepared, measured and hashed once in each process."""

import hashlib
from functools import lru_cache

import numpy as np

from nanotabpfn.evaluation.metrics import METRICS
from nanotabpfn.evaluation.protocol import Task, prepare
from nanotabpfn.evaluation.suites import load_suite
from nanotabpfn.studies.properties import properties_of_tables


@lru_cache
def suite_tasks(name: str) -> tuple[Task, ...]:
    """The tables of a suite, prepared for the protocol.

    >>> [task.name for task in suite_tasks("builtin")]
    ['breast_cancer', 'iris_versicolor', 'wine_class_1', 'diabetes_median']
    """
    return tuple(prepare(table) for table in load_suite(name))


@lru_cache
def suite_properties(name: str) -> dict[str, np.ndarray]:
    """The PROPERTIES of each table by name; takes about a second for the suite `open`."""
    return properties_of_tables(suite_tasks(name))


@lru_cache
def suite_key(name: str) -> str:
    """A hash of the tables of a suite: their folds, encoded cells, labels, and the names of the metrics."""
    digest = hashlib.sha256(" ".join(METRICS).encode())
    for task in suite_tasks(name):
        digest.update(task.name.encode())
        for fold in task.folds:
            for array in (fold.x_train, fold.x_test, fold.test_rows):
                digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(np.searchsorted(task.classes, task.y).astype(np.uint8).tobytes())
    return digest.hexdigest()[:16]
