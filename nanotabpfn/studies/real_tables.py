"""The real tables of a suite as studies score them: prepared, encoded, measured, hashed once per process."""

import hashlib
from functools import lru_cache
from itertools import chain

import numpy as np

from nanotabpfn.estimators.columns import Column
from nanotabpfn.estimators.encoding import TableEncoder
from nanotabpfn.evaluation.metrics import METRICS
from nanotabpfn.evaluation.protocol import Fold, Task, prepare_samples
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
def encoded_suite(name: str, row_samples: int = 1) -> tuple[tuple[tuple[np.ndarray, ...], ...], ...]:
    """What models read of `suite_tasks`, the same for all of them: of each fold (R, G) float32, its training
    rows first.

    >>> [folds[0].shape for folds, in encoded_suite("builtin")]
    [(200, 30), (150, 4), (178, 13), (200, 10)]
    """
    return tuple(
        tuple(tuple(map(_encode, task.folds)) for task in samples)
        for samples in suite_tasks(name, row_samples)
    )


def _encode(fold: Fold) -> np.ndarray:
    """As the estimators do it."""
    train, test = (
        [Column(str(number), cells) for number, cells in enumerate(x.T)] for x in (fold.x_train, fold.x_test)
    )
    encoder = TableEncoder().fit(train)
    return np.concatenate([encoder.transform(train), encoder.transform(test)])


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
