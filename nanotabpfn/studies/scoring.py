"""Scores of models and estimators on real tables and on held-out datasets of priors.

Axis letters: R rows, G features as they are encoded, K classes.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from nanotabpfn.evaluation.metrics import measure
from nanotabpfn.evaluation.protocol import Task, predict_out_of_fold
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.studies.keys import Target
from nanotabpfn.studies.real_tables import encoded_suite, suite_tasks
from nanotabpfn.studies.spec import Study

POOLED = "all"  # instead of a fold: the out-of-fold probabilities of all folds together

Score = tuple[str, str, str, float]
"""task, fold, metric, value"""


def score_model(model: NanoTabPFNModel, target: Target, study: Study, device: str) -> Iterator[Score]:
    """The scores of a model on one target."""
    if target.kind == "real":
        yield from score_suite(model, target.name, study.row_samples, device)
    else:
        batches = target.arm.loader(study, target.data_seed).held_out_batches()
        yield from score_datasets(model, batches, device)


def score_suite(
    model: NanoTabPFNModel, name: str, row_samples: int, device: str, num_tables: int | None = None
) -> Iterator[Score]:
    """(table, fold, metric, value) of a model on the first `num_tables` tables of a suite, or on all.

    The scores are those of `NanoTabPFNClassifier(model, n_estimators=1)`, up to rounding.
    """
    tables, encoded = suite_tasks(name, row_samples), encoded_suite(name, row_samples)
    yield from _score_predictions(
        [
            (task, predict_folds(model, task, folds, device))
            for task, folds in zip(samples, encoded_samples, strict=True)
        ]
        for samples, encoded_samples in zip(tables[:num_tables], encoded[:num_tables], strict=True)
    )


def predict_folds(
    model: NanoTabPFNModel, task: Task, encoded: Sequence[np.ndarray], device: str = "cpu"
) -> np.ndarray:
    """Each row's probabilities (R, K), learned on the other folds; folds of equal shape are one batch.

    Args:
        model: of at least K outputs.
        task: a table.
        encoded: of each fold (R, G) float32, its training rows first.
        device: of the model.
    """
    batches: dict[tuple[int, int], list[int]] = {}
    for number, (fold, x) in enumerate(zip(task.folds, encoded, strict=True)):
        batches.setdefault((len(fold.y_train), x.shape[1]), []).append(number)
    probabilities = np.empty((len(task.y), len(task.classes)))
    for (num_train, _), numbers in batches.items():
        x = torch.from_numpy(np.stack([encoded[number] for number in numbers])).to(device)
        y = np.stack([np.searchsorted(task.classes, task.folds[number].y_train) for number in numbers])
        training_rows = model.encode_training(x[:, :num_train], torch.from_numpy(y).float().to(device))
        logits = model.predict(training_rows, x[:, num_train:]).cpu()[:, :, : len(task.classes)]
        for number, found in zip(numbers, torch.softmax(logits.double(), dim=-1).numpy(), strict=True):
            probabilities[task.folds[number].test_rows] = found
    return probabilities


def score_tables(estimator: Any, tables: Sequence[tuple[Task, ...]]) -> Iterator[Score]:
    """(table, fold, metric, value) of an estimator, which is refitted in place: by fold, and pooled.

    Args:
        tables: of each table its samples of rows, over which every value is the mean.
    """
    yield from _score_predictions(
        [(task, predict_out_of_fold(estimator, task)) for task in samples] for samples in tables
    )


def _score_predictions(tables: Iterable[list[tuple[Task, np.ndarray]]]) -> Iterator[Score]:
    """Means over the samples of each table, from their probabilities (R, K)."""
    for samples in tables:
        values: dict[tuple[str, str], list[float]] = {}
        for task, probabilities in samples:
            for fold, metric, value in _score_task(task, probabilities):
                values.setdefault((fold, metric), []).append(value)
        name = samples[0][0].name
        for (fold, metric), found in values.items():
            yield name, fold, metric, float(np.mean(found))


def _score_task(task: Task, probabilities: np.ndarray) -> Iterator[tuple[str, str, float]]:
    y = np.searchsorted(task.classes, task.y)
    rows_of = {str(number): fold.test_rows for number, fold in enumerate(task.folds)}
    for fold, rows in (rows_of | {POOLED: np.arange(len(y))}).items():
        for metric, value in measure(y[rows], probabilities[rows]).items():
            yield fold, metric, value


def score_datasets(
    model: NanoTabPFNModel, batches: list[dict[str, Any]], device: str = "cpu"
) -> Iterator[Score]:
    """(number of the dataset, "all", metric, value) of a model on the test rows of held-out datasets.

    Metrics that a dataset does not have, such as the ROC AUC of test rows of one class, are left out.
    """
    for batch in batches:
        for part in batch.get("parts", [batch]):
            num_train = part["train_test_split_index"]
            x, y = part["x"].to(device), part["y"].to(device)
            with torch.inference_mode():
                logits = model((x, y[:, :num_train]), train_test_split_index=num_train).cpu()
            labels = part["y"].numpy().astype(int)  # (B, R)
            for number, own_logits, own_labels in zip(part["datasets"], logits, labels, strict=True):
                num_classes = own_labels.max() + 1
                probabilities = torch.softmax(own_logits[:, :num_classes].double(), dim=1).numpy()
                for metric, value in measure(own_labels[num_train:], probabilities).items():
                    if np.isfinite(value):
                        yield str(number), POOLED, metric, value
