"""Keys: what changes them and what does not."""

import importlib
import importlib.metadata
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_study import LOGISTIC, prior, study_of

from nanotabpfn.data import loaders, readers
from nanotabpfn.evaluation.suites import SUITES
from nanotabpfn.studies import keys
from nanotabpfn.studies.arms import common_prior
from nanotabpfn.studies.keys import Target, plan_study
from nanotabpfn.studies.spec import StudyError
from priors.config import PriorConfig
from priors.families.mechanisms import MECHANISMS
from priors.presets import PRESETS


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 6},
        {"precision": "bfloat16"},
        {"recipe": "published"},
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


def test_the_key_does_not_change_with_the_rounding_of_floats_or_the_version_of_the_package(monkeypatch):
    [one] = plan_study(study_of({"a": prior()})).cells
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "99.0")
    collate = readers.collate

    def rounded(records, device):
        batch = collate(records, device)
        return batch | {"x": torch.nextafter(batch["x"], torch.tensor(torch.inf))}

    monkeypatch.setattr(loaders, "collate", rounded)
    [other] = plan_study(study_of({"a": prior()})).cells
    assert one.key == other.key


def test_the_key_changes_with_the_source_of_a_mechanism_of_the_user(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for number, factor in enumerate((1, 2)):
        source = f"def mine(parents, rng):\n    return {factor} * parents.sum(axis=1)\n"
        (tmp_path / f"own{number}.py").write_text(source)
        monkeypatch.setitem(MECHANISMS, "mine", importlib.import_module(f"own{number}").mine)
        [planned] = plan_study(study_of({"a": prior(mechanisms="mine")})).cells
        assert planned.error is None
        found.append(planned.key)
    assert found[0] != found[1]


@pytest.mark.parametrize("field", keys.FAMILIES)
def test_the_source_of_every_kind_of_family_is_in_the_key(tmp_path, monkeypatch, field):
    monkeypatch.syspath_prepend(tmp_path)
    name = f"own_{field}:mine"
    (tmp_path / f"own_{field}.py").write_text("def mine(*values):\n    return values\n")
    config = replace(PRESETS["default"], **{field: {name: 1.0}})
    assert list(keys.own_sources(config)) == [name]


def test_the_sources_of_the_families_of_an_own_graph_are_in_the_key(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_nodes.py").write_text("def mine(*values):\n    return values\n\n\nother = dice = mine\n")
    nodes = {
        "a": {"noise": "own_nodes:other"},
        "b": {"mechanism": "own_nodes:mine"},
        "c": {"kind": "categorical", "converter": "own_nodes:dice"},
        "y": {"role": "target"},
    }
    graph = {"nodes": nodes, "edges": [["a", "b"], ["b", "c"], ["c", "y"]]}
    config = PriorConfig.from_json(json.dumps({"graph": graph, "num_features": [3, 3]}))
    assert sorted(keys.own_sources(config)) == ["own_nodes:dice", "own_nodes:mine", "own_nodes:other"]


def test_a_table_with_more_classes_than_outputs_is_refused(monkeypatch):
    table = (np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 4)
    monkeypatch.setitem(SUITES, "four classes", {"four": lambda: table})
    four = {"suites": ["toy", "four classes"]}
    with pytest.raises(StudyError, match="the table four of four classes has 4 classes"):
        plan_study(study_of({"a": prior()}, **four))
    enough = {"a": prior(), "b": prior(num_datapoints=40, num_classes=[2, 4], train_fraction=[0.5, 0.6])}
    assert len(plan_study(study_of(enough, **four)).suites) == 2


def test_a_change_of_the_code_that_samples_changes_the_key(monkeypatch):
    [one] = plan_study(study_of({"a": prior()})).cells
    monkeypatch.setattr(keys, "PRIOR_VERSION", 99)
    [other] = plan_study(study_of({"a": prior()})).cells
    assert one.key != other.key


def test_targets_of_a_cell_are_those_of_its_data_seed():
    plan = plan_study(study_of({"a": prior()}, data_seeds=[0, 1]))
    for planned in plan.cells:
        targets: list[Target] = plan.targets_of(planned)
        assert [(target.kind, target.data_seed) for target in targets] == [
            ("real", None),
            ("prior", planned.cell.data_seed),
            ("common", common_prior()[1]),
        ]
