"""The real tables of a suite as studies score them: prepared, measured and hashed once in each process."""

import hashlib
from functools import lru_cache
from itertools import chain

import numpy as np

from nanotabpfn.evaluation.metrics import METRICS
from nanotabpfn.evaluation.protocol import Task, prepare_samples
from nanotabpfn.evaluation.suites import load_suite
from nanotabpfn.studies.properties import properties_of_tables


@lru_cache
def suite_tasks(name: str, row_samples: int = 1) -> tuple[tuple[Task, ...], ...]:
    """The tables of a suite, prepared for the protocol: of each, its samples of rows.

    >>> [task.name for task, in suite_tasks("builtin")]
    ['breast_cancer', 'iris_versicolor', 'wine_class_1', 'diabetes_median']
    """
    return tuple(prepare_samples(table, row_samples=row_samples) for table in load_suite(name))


@lru_cache
def suite_properties(name: str) -> dict[str, np.ndarray]:
    """The PROPERTIES of each table by name, on its first sample; takes about a second for `open`."""
    return properties_of_tables(tuple(samples[0] for samples in suite_tasks(name)))


@lru_cache
def suite_key(name: str, row_samples: int = 1) -> str:
    """A hash of the tables of a suite: their folds, encoded cells, labels, and the names of the metrics."""
    digest = hashlib.sha256(" ".join(METRICS).encode())
    for task in chain.from_iterable(suite_tasks(name, row_samples)):
        digest.update(task.name.encode())
        for fold in task.folds:
            for array in (fold.x_train, fold.x_test, fold.test_rows):
                digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(np.searchsorted(task.classes, task.y).astype(np.uint8).tobytes())
    return digest.hexdigest()[:16]
