"""Scores: of each fold and of all pooled, and on held-out datasets."""

from itertools import chain

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score

from nanotabpfn.data.loaders import PriorDumpDataLoader
from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.evaluation.baselines import BASELINES
from nanotabpfn.evaluation.protocol import predict_out_of_fold
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.studies.real_tables import encoded_suite, suite_key, suite_tasks
from nanotabpfn.studies.scoring import predict_folds, score_datasets, score_suite, score_tables


def test_fold_scores_are_those_of_the_fold_alone():
    (task,), *_ = suite_tasks("toy")
    estimator = BASELINES["logistic_regression"]()
    scores = {(fold, metric): value for _, fold, metric, value in score_tables(estimator, [(task,)])}
    pooled = np.empty(len(task.y))
    for number, fold in enumerate(task.folds):
        estimator.fit(fold.x_train, fold.y_train)
        probabilities = estimator.predict_proba(fold.x_test)
        pooled[fold.test_rows] = probabilities[:, 1]
        truth = task.y[fold.test_rows]
        assert scores[str(number), "log_loss"] == pytest.approx(log_loss(truth, probabilities))
    assert scores["all", "roc_auc"] == pytest.approx(roc_auc_score(task.y, pooled))


def test_scores_are_means_over_samples_of_rows():
    estimator, one, two = BASELINES["logistic_regression"](), suite_tasks("toy"), suite_tasks("toy", 2)
    assert [len(samples) for samples in two] == [2] * len(one)
    found = list(score_tables(estimator, two))
    singles = [list(score_tables(estimator, [(samples[i],) for samples in two])) for i in (0, 1)]
    assert singles[0] == list(score_tables(estimator, one))
    assert len(found) == len(singles[0])
    for mean, first, second in zip(found, *singles, strict=True):
        assert mean[:3] == first[:3] == second[:3]
        assert mean[3] == pytest.approx((first[3] + second[3]) / 2, nan_ok=True)
    assert suite_key("toy", 2) != suite_key("toy", 1) == suite_key("toy")


@pytest.mark.parametrize(
    ("suite", "samples", "most_batches"), [("builtin", 2, 11), ("open-missing", 1, 20), ("toy", 1, 2)]
)
def test_folds_in_one_batch_have_the_probabilities_of_the_classifier(suite, samples, most_batches):
    torch.manual_seed(0)
    model = NanoTabPFNModel(8, 2, 8, 2, num_outputs=4).eval()
    batches, encode_training = [], model.encode_training

    def counted(x, y):
        batches.append(len(x))
        return encode_training(x, y)

    model.encode_training = counted
    tables, encoded = suite_tasks(suite, samples), encoded_suite(suite, samples)
    tasks, folds_of_tasks = (list(chain.from_iterable(samples)) for samples in (tables, encoded))
    found = [predict_folds(model, task, folds) for task, folds in zip(tasks, folds_of_tasks, strict=True)]
    del model.encode_training
    classifier = NanoTabPFNClassifier(model, "cpu", n_estimators=1)
    for task, probabilities in zip(tasks, found, strict=True):
        np.testing.assert_allclose(probabilities, predict_out_of_fold(classifier, task), atol=2e-6)
    assert sum(batches) == 5 * len(tasks)
    assert len(batches) <= most_batches
    names = {name for name, *_ in score_suite(model, suite, samples, "cpu", num_tables=2)}
    assert names == {samples[0].name for samples in tables[:2]}


def test_held_out_datasets_of_fewer_classes_than_the_model_has(tiny_dump):
    torch.manual_seed(0)
    model = NanoTabPFNModel(8, 2, 8, 1, num_outputs=5).eval()
    batches = PriorDumpDataLoader(tiny_dump, 1, 4, "cpu", held_out=8).held_out_batches()
    scores = list(score_datasets(model, batches))
    assert {task for task, *_ in scores} == {str(number) for number in range(56, 64)}
    x, y, split = batches[0]["x"][:1], batches[0]["y"][:1], batches[0]["train_test_split_index"]
    p = torch.softmax(model((x, y[:, :split]), split)[0, :, :2].double(), 1).detach().numpy()
    [value] = [value for task, _, metric, value in scores if task == "56" and metric == "log_loss"]
    assert value == pytest.approx(log_loss(y[0, split:].numpy(), p))
