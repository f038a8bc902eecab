"""Members and views: members cover features and classes, one batch is the same as one after the other."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nanotabpfn.estimators.base import OutsideTrainedRangeWarning, warn_outside
from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.estimators.encoding import FARTHEST
from nanotabpfn.estimators.members import (
    MAX_MEMBERS,
    class_probabilities,
    draw_members,
    fit_ensemble,
    fit_forms,
)
from nanotabpfn.estimators.views import VIEWS
from nanotabpfn.model.architecture import NanoTabPFNModel, TrainedRange

CPU = torch.device("cpu")


@given(st.integers(1, 9), st.integers(1, 30), st.integers(2, 30), st.integers(2, 10), st.integers(1, 8))
def test_members_read_all_and_tell_all_apart(count, num_features, num_classes, num_outputs, most):
    members = draw_members(
        count,
        np.arange(num_features) * 2,
        np.random.default_rng(0),
        num_classes=num_classes,
        num_outputs=num_outputs,
        max_features=most,
    )
    assert min(count, 8) <= len(members) <= max(count, MAX_MEMBERS)  # two classes have 8 different ones
    for member in members:
        assert member.codes.shape == (num_classes,)
        assert 0 <= member.codes.min() <= member.codes.max() < num_outputs
        assert len(set(member.features)) == len(member.features)
        assert len(member.features) == (num_features if count == 1 else min(most, num_features))
    if len(members) < MAX_MEMBERS:
        assert set(np.concatenate([member.features for member in members])) == set(
            np.arange(num_features) * 2
        )
        assert len({tuple(member.codes[k] for member in members) for k in range(num_classes)}) == num_classes


def test_the_first_member_tells_the_table_as_it_is():
    member = draw_members(8, np.arange(5), np.random.default_rng(0), num_classes=3, num_outputs=4)[0]
    assert member.features.tolist() == [0, 1, 2, 3, 4]
    assert member.codes.tolist() == [0, 1, 2]
    assert member.view == "columns"


@pytest.mark.parametrize("most", [None, 3])
def test_one_batch_gives_what_the_members_give_one_by_one(most):
    torch.manual_seed(0)
    model = NanoTabPFNModel(16, 2, 16, 2, 4).eval()
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 5)).astype(np.float32), np.arange(20) % 3
    members = draw_members(4, np.arange(5), rng, num_classes=3, num_outputs=4, max_features=most)
    targets = np.stack([member.codes[y] for member in members])
    together = fit_ensemble(model, members, x[:20], targets, CPU).predict(x[20:])
    for i, member in enumerate(members):
        alone = fit_ensemble(model, [member], x[:20], targets[i : i + 1], CPU).predict(x[20:])
        torch.testing.assert_close(together[i], alone[0], atol=1e-5, rtol=1e-4)
    logits = together[0][:, :3].double()
    got = class_probabilities(together[:1], members[:1], 3, temperature=2.0)
    np.testing.assert_allclose(got, torch.softmax(logits / 2, dim=1).numpy())


def test_members_that_differ_in_codes_alone_share_a_table_that_is_computed_once():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 5)).astype(np.float32)
    members = draw_members(24, np.arange(5), rng, num_classes=3, num_outputs=4)
    forms = fit_forms(members, x)
    assert len(forms.distinct) == len(VIEWS)
    tables = forms.tables(x)
    assert len(tables) == len(members) == 24
    for member, table in zip(members, tables, strict=True):
        assert torch.equal(table, fit_forms([member], x).tables(x)[0])
    some = draw_members(6, np.arange(5), rng, num_classes=2, num_outputs=4, max_features=2)
    assert len(fit_forms(some, x).distinct) == 6  # each reads other features


def test_views_follow_each_other_and_are_finite_far_from_the_training_rows():
    members = draw_members(5, np.arange(3), np.random.default_rng(0), num_classes=2, num_outputs=2)
    assert [member.view for member in members] == [*VIEWS, "columns"]
    rng = np.random.default_rng(0)
    x = np.exp(5 * rng.normal(size=(30, 3))).astype(np.float32)
    model = NanoTabPFNModel(16, 2, 16, 2, 2).eval()
    targets = np.stack([member.codes[np.arange(30) % 2] for member in members])
    ensemble = fit_ensemble(model, members, x, targets, CPU)
    far = np.full((2, 3), FARTHEST, np.float32) * [[1], [-1]]
    assert torch.isfinite(ensemble.predict(far.astype(np.float32))).all()


def test_codes_that_know_the_class_find_it():
    members = draw_members(1, np.arange(2), np.random.default_rng(0), num_classes=7, num_outputs=3)
    truth = np.arange(7)
    outputs = torch.stack([20.0 * torch.eye(3)[torch.from_numpy(member.codes[truth])] for member in members])
    probabilities = class_probabilities(outputs, members, 7)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), truth)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_what_is_outside_of_the_trained_range_is_said_once_and_exactly():
    trained = TrainedRange(rows=(20, 500), features=(2, 10), classes=(2, 5))
    warn_outside(trained, rows=500, features=2, classes=5)
    warn_outside(None, rows=5000, features=2, classes=5)
    warn_outside(TrainedRange(rows=(20, 500), features=(2, 10)), rows=500, features=2, classes=5)
    with pytest.warns(OutsideTrainedRangeWarning) as caught:
        warn_outside(trained, rows=501, features=12, classes=2)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "501 training rows (trained on 20 to 500), 12 features (trained on 2 to 10)" in message
    assert "classes" not in message


@pytest.mark.parametrize(
    ("num_classes", "num_outputs", "asked", "drawn"),
    [(0, 0, 8, 4), (2, 10, 8, 8), (2, 10, 16, 8), (3, 10, 24, 24), (3, 10, 40, 24), (3, 2, 40, 12)],
)
def test_every_member_is_another(num_classes, num_outputs, asked, drawn):
    rng = np.random.default_rng(0)
    members = draw_members(asked, np.arange(4), rng, num_classes=num_classes, num_outputs=num_outputs)
    assert len({(member.view, tuple(member.codes)) for member in members}) == len(members) == drawn
    ordered = draw_members(16, np.arange(4), rng, num_classes=2, num_outputs=2, order_matters=True)
    assert len({(m.view, tuple(m.features), tuple(m.codes)) for m in ordered}) == len(ordered) == 16


def test_eight_members_are_symmetric_in_two_classes():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 3)), np.array(["a", "b"])[np.arange(30) % 2]
    model = NanoTabPFNModel(16, 2, 16, 2, 2)
    classifier = NanoTabPFNClassifier(model, "cpu", n_estimators=8)
    expected = classifier.fit(x, y).predict_proba(x)
    swapped = classifier.fit(x, np.where(y == "a", "b", "a")).predict_proba(x)
    np.testing.assert_allclose(swapped[:, ::-1], expected, atol=1e-6)


def test_features_that_no_member_reads_are_named():
    rng = np.random.default_rng(0)
    model = NanoTabPFNModel(8, 2, 8, 1, 2)
    model.trained_range = TrainedRange(rows=(5, 100), features=(1, 2), classes=(2, 2))
    x, y = rng.normal(size=(10, 70)), np.arange(10) % 2
    message = "6 of the features are read by none of the 32 members; n_estimators=35 reads all"
    with pytest.warns(OutsideTrainedRangeWarning, match=message):
        NanoTabPFNClassifier(model, "cpu", n_estimators=2).fit(x, y)
    with pytest.warns(OutsideTrainedRangeWarning) as caught:
        classifier = NanoTabPFNClassifier(model, "cpu", n_estimators=35).fit(x, y)
    assert "read by none" not in str(caught[0].message)
    assert set(np.concatenate([member.features for member in classifier.members_])) == set(range(70))
