"""The classifier: scikit-learn's habits, and the model's predictions behind them."""

import datetime as dt
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.model.architecture import NanoTabPFNModel


@pytest.fixture
def model():
    torch.manual_seed(0)
    return NanoTabPFNModel(16, 2, 16, 2, 4)


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    return x, (x[:, 0] > 0).astype(int)


def test_probabilities_are_the_models_softmax_over_the_training_classes(model, table):
    x, y = table
    got = NanoTabPFNClassifier(model, "cpu").fit(x[:30], y[:30]).predict_proba(x[30:])
    tensor = torch.from_numpy(x).float().unsqueeze(0)
    with torch.no_grad():
        logits = model((tensor, torch.from_numpy(y[:30]).float().unsqueeze(0)), train_test_split_index=30)
    np.testing.assert_allclose(got, torch.softmax(logits[0, :, :2], dim=1).numpy(), atol=1e-6)
    np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("labels", [("no", "yes"), (10, 20), (-1, 1), (False, True), (0.0, 1.0)])
def test_labels_of_any_kind(model, table, labels):
    x, y = table
    named = np.array(labels)[y]
    classifier = NanoTabPFNClassifier(model, "cpu")
    assert classifier.fit(x, named) is classifier
    assert classifier.classes_.tolist() == sorted(labels)
    probabilities = classifier.predict_proba(x)
    assert probabilities.shape == (40, 2)
    np.testing.assert_array_equal(classifier.predict(x), classifier.classes_[probabilities.argmax(axis=1)])
    expected = NanoTabPFNClassifier(model, "cpu").fit(x, y).predict_proba(x)
    np.testing.assert_array_equal(probabilities, expected)


def test_more_classes_than_outputs_are_told_apart_by_codes(model, table):
    x, _ = table
    y = np.arange(40) % 9
    classifier = NanoTabPFNClassifier(model, "cpu").fit(x, y)
    assert all(member.codes.max() < model.num_outputs for member in classifier.members_)
    words = {tuple(member.codes[k] for member in classifier.members_) for k in range(9)}
    assert len(words) == 9
    probabilities = classifier.predict_proba(x)
    assert probabilities.shape == (40, 9)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_input_errors(model, table):
    x, y = table
    classifier = NanoTabPFNClassifier(model, "cpu")
    with pytest.raises(NotFittedError):
        classifier.predict(x)
    with pytest.raises(ValueError, match="at least two classes"):
        classifier.fit(x, np.zeros(40))
    with pytest.raises(ValueError, match="5 of 40 labels are missing"):
        classifier.fit(x, [None] * 5 + ["a", "b"] * 17 + ["a"])
    with pytest.raises(ValueError, match="labels of one kind"):
        classifier.fit(x, np.array(["a", 1] * 20, dtype=object))
    with pytest.raises(ValueError, match="n_estimators must be"):
        NanoTabPFNClassifier(model, "cpu", n_estimators=0).fit(x, y)
    with pytest.raises(ValueError, match="softmax_temperature must be"):
        NanoTabPFNClassifier(model, "cpu", softmax_temperature=0).fit(x, y)
    with pytest.raises(TypeError, match="model must be"):
        NanoTabPFNClassifier(3, "cpu").fit(x, y)
    with pytest.raises(ValueError, match="features"):
        classifier.fit(x, y).predict_proba(x[:, :2])


def test_it_is_clonable_and_picklable(model, table):
    x, y = table
    classifier = NanoTabPFNClassifier(model, "cpu").fit(x, y)
    copy = clone(classifier)
    assert copy.device == "cpu"
    assert not hasattr(copy, "classes_")
    expected = classifier.predict_proba(x)
    np.testing.assert_array_equal(copy.fit(x, y).predict_proba(x), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(classifier)).predict_proba(x), expected)


def test_it_works_inside_cross_validation(model, table):
    scores = cross_val_score(
        NanoTabPFNClassifier(model, "cpu"), *table, scoring="roc_auc", error_score="raise"
    )
    assert len(scores) == 5
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(model, table, training):
    model.train(training)
    classifier = NanoTabPFNClassifier(model, "cpu").fit(*table)
    classifier.predict(table[0])
    assert model.training is training
    assert classifier.model_ is not model


def test_training_after_fit_changes_nothing_until_the_next_fit(model, table):
    x, y = table
    classifier = NanoTabPFNClassifier(model, "cpu").fit(x, y)
    before = classifier.predict_proba(x)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1
    np.testing.assert_array_equal(classifier.predict_proba(x), before)
    assert abs(classifier.fit(x, y).predict_proba(x) - before).max() > 1e-3


def test_a_column_that_does_not_vary_in_training_is_not_read(model, table):
    x, y = table
    x = np.column_stack([x, np.full(len(x), 0.1)])
    classifier = NanoTabPFNClassifier(model, "cpu").fit(x, y)
    moved = x.copy()
    moved[:, 3] = 7.0
    np.testing.assert_array_equal(classifier.predict_proba(moved), classifier.predict_proba(x))


def test_refitting_forgets(model, table):
    x, y = table
    classifier = NanoTabPFNClassifier(model, "cpu").fit(
        x[:, :2], np.array(["a", "b", "c"])[np.arange(40) % 3]
    )
    classifier.fit(x, y)
    assert classifier.n_features_in_ == 3
    assert classifier.classes_.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", np.nan, "b", "a"], "1 of 4 labels are missing"),
        ([1, "1", 2, 1], "labels of one kind, all text or all numbers, got int, str"),
        ([1, "a", 2, 1], "labels of one kind"),
        (np.ma.array([0, 1, 0, 1], mask=[False, False, True, False]), "1 of 4 labels are missing"),
        ([object(), object()] * 2, "labels that can be sorted"),
    ],
)
def test_labels_that_would_be_confused_are_refused(model, labels, message):
    with pytest.raises(ValueError, match=message):
        NanoTabPFNClassifier(model, "cpu").fit(np.arange(4.0)[:, None], labels)


def test_labels_can_be_intervals_and_dates(model, table):
    x, _ = table
    bins = pd.cut(x[:, 0], [-9, 0, 9])
    for labels in (bins, pd.Series(bins), [dt.date(2026, 1, 1 + int(value > 0)) for value in x[:, 0]]):
        classifier = NanoTabPFNClassifier(model, "cpu").fit(x, labels)
        assert len(classifier.classes_) == 2
        assert classifier.classes_[0] < classifier.classes_[1]
        assert set(classifier.predict(x)) <= set(classifier.classes_)


def test_masked_cells_are_missing(model, table):
    x, y = table
    mask = np.zeros(x.shape, bool)
    mask[::7, 1] = True
    missing = np.where(mask, np.nan, x)
    expected = NanoTabPFNClassifier(model, "cpu").fit(missing, y).predict_proba(missing)
    masked = np.ma.array(np.where(mask, 1e6, x), mask=mask)
    found = NanoTabPFNClassifier(model, "cpu").fit(masked, y).predict_proba(masked)
    np.testing.assert_array_equal(found, expected)


def test_a_refit_that_fails_leaves_no_model(model, table):
    x, y = table
    classifier = NanoTabPFNClassifier(model, "cpu").fit(pd.DataFrame(x, columns=list("abc")), y)
    with pytest.raises(ValueError, match="at least two classes"):
        classifier.fit(pd.DataFrame(x, columns=list("xyz")), np.zeros(40))
    assert not hasattr(classifier, "feature_names_in_")
    with pytest.raises(NotFittedError):
        classifier.predict(pd.DataFrame(x, columns=list("xyz")))


def test_columns_with_integer_names_are_found_by_them(model, table):
    x, y = table
    frame = pd.DataFrame(x, columns=[10, 20, 30])
    classifier = NanoTabPFNClassifier(model, "cpu").fit(frame, y)
    expected = classifier.predict_proba(frame)
    np.testing.assert_array_equal(classifier.predict_proba(frame[[30, 10, 20]]), expected)
    np.testing.assert_array_equal(classifier.predict_proba(x), expected)
    with pytest.raises(ValueError, match=r"the columns of fit, \[10, 20, 30\] .* got \[7, 8, 9\]"):
        classifier.predict_proba(pd.DataFrame(x, columns=[7, 8, 9]))


def test_what_gives_nan_is_refused(model, table):
    classifier = NanoTabPFNClassifier(model, "cpu").fit(*table).set_params(softmax_temperature=0)
    with pytest.raises(ValueError, match="softmax_temperature must be a number above 0, got 0"):
        classifier.predict_proba(table[0])
    with torch.no_grad():
        model.decoder.linear2.bias[0] = float("nan")
    with pytest.raises(ValueError, match=r"finite weights, got NaN or infinity in decoder\.linear2\.bias"):
        NanoTabPFNClassifier(model, "cpu").fit(*table)


def test_log_probabilities_and_class_weights(model, table):
    x, y = table
    y = np.where(np.arange(40) % 5 == 0, 1, 0)
    classifier = NanoTabPFNClassifier(model, "cpu").fit(x, y)
    plain = classifier.predict_proba(x)
    np.testing.assert_allclose(classifier.predict_log_proba(x), np.log(plain))
    for weights in ("balanced", {0: 40 / (2 * 32), 1: 40 / (2 * 8)}):
        found = NanoTabPFNClassifier(model, "cpu", class_weight=weights).fit(x, y).predict_proba(x)
        expected = plain * [40 / 64, 40 / 16]
        np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True))
    for wrong in ("even", {2: 1.0}, {0: 0.0}, {0: "2"}, {0: None}):
        with pytest.raises(ValueError, match="class_weight must be None, 'balanced', or a dict"):
            NanoTabPFNClassifier(model, "cpu", class_weight=wrong).fit(x, y)


def test_devices(model, table, monkeypatch):
    expected = NanoTabPFNClassifier(model, "cpu").fit(*table).predict_proba(table[0])
    monkeypatch.setattr("nanotabpfn.model.device.get_default_device", lambda: "cpu")
    found = NanoTabPFNClassifier(model, "auto").fit(*table).predict_proba(table[0])
    np.testing.assert_array_equal(found, expected)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device 'cuda' is not available here; 'auto' takes what there is"):
        NanoTabPFNClassifier(model, "cuda").fit(*table)
    with pytest.raises(ValueError, match="device must be auto, cpu, cuda or mps, got 'klingon'"):
        NanoTabPFNClassifier(model, "klingon").fit(*table)


def test_a_pickle_is_small_and_works_where_its_device_is_missing(model, monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 10))
    classifier = NanoTabPFNClassifier(model, "cpu", n_estimators=8).fit(x, x[:, 0] > 0)
    expected = classifier.predict_proba(x[:20])
    cache = sum(part.nbytes for layer in classifier.ensemble_.training_rows.keys_and_values for part in layer)
    classifier.device = "cuda"  # as if it had been fitted there
    pickled = pickle.dumps(classifier)
    assert len(pickled) < 150_000 < cache
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    np.testing.assert_array_equal(pickle.loads(pickled).predict_proba(x[:20]), expected)
