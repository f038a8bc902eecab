"""Keys: what changes them and what does not."""

import pytest
from small_study import LOGISTIC, prior, study_of

from nanotabpfn.studies import keys
from nanotabpfn.studies.keys import Target, plan_study


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 6},
        {"precision": "bfloat16"},
        {"recipe": "warm-up"},
        {"recipe": "mean-pooling"},
        {"lr": 0.01},
        {"batch_size": 3},
        {"model_seeds": [5]},
        {"data_seeds": [5]},
    ],
)
def test_the_key_changes_with_all_that_a_training_depends_on(changes):
    arms = {"a": prior()}
    [one] = plan_study(study_of(arms)).cells
    [other] = plan_study(study_of(arms, **changes)).cells
    assert one.key != other.key


@pytest.mark.parametrize(
    "changes", [{"held_out": 9}, {"baselines": LOGISTIC}, {"level": 0.9}, {"name": "x"}, {"lr": 0.004}]
)
def test_the_key_does_not_change_with_other_fields(changes):
    [one] = plan_study(study_of({"a": prior()})).cells
    [other] = plan_study(study_of({"b": prior()}, **changes)).cells
    assert one.key == other.key


def test_a_change_of_the_code_that_samples_changes_the_key(monkeypatch):
    [one] = plan_study(study_of({"a": prior()})).cells
    monkeypatch.setattr(keys, "hash_batch", lambda batch: "other datasets")
    [other] = plan_study(study_of({"a": prior()})).cells
    assert one.key != other.key


def test_targets_of_a_cell_are_those_of_its_data_seed():
    plan = plan_study(study_of({"a": prior()}, data_seeds=[0, 1]))
    for planned in plan.cells:
        targets: list[Target] = plan.targets_of(planned)
        assert [(target.kind, target.data_seed) for target in targets] == [
            ("real", None),
            ("prior", planned.cell.data_seed),
        ]
