"""Scores of models and estimators on real tables and on held-out datasets of priors."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.evaluation.metrics import measure
from nanotabpfn.evaluation.protocol import Task, predict_out_of_fold
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.studies.keys import Target
from nanotabpfn.studies.real_tables import suite_tasks
from nanotabpfn.studies.spec import Study

POOLED = "all"  # instead of a fold: the out-of-fold probabilities of all folds together

Score = tuple[str, str, str, float]
"""task, fold, metric, value"""


def score_model(model: NanoTabPFNModel, target: Target, study: Study, device: str) -> Iterator[Score]:
    """The scores of a model on one target."""
    if target.kind == "real":
        classifier = NanoTabPFNClassifier(model, device, n_estimators=1)
        yield from score_tables(classifier, suite_tasks(target.name, study.row_samples))
    else:
        batches = target.arm.loader(study, target.data_seed).held_out_batches()
        yield from score_datasets(model, batches, device)


def score_tables(estimator: Any, tables: Sequence[tuple[Task, ...]]) -> Iterator[Score]:
    """(table, fold, metric, value) of an estimator, which is refitted in place: by fold, and pooled.

    Args:
        tables: of each table its samples of rows, over which every value is the mean.
    """
    for samples in tables:
        values: dict[tuple[str, str], list[float]] = {}
        for task in samples:
            for fold, metric, value in _score_task(estimator, task):
                values.setdefault((fold, metric), []).append(value)
        for (fold, metric), found in values.items():
            yield samples[0].name, fold, metric, float(np.mean(found))


def _score_task(estimator: Any, task: Task) -> Iterator[tuple[str, str, float]]:
    probabilities = predict_out_of_fold(estimator, task)  # (R, K)
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
