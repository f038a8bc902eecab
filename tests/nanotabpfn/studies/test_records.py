"""Records: a row for each score, equal to the scores of the models that are kept."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_study import LOGISTIC, digests, prior, run, study_of

from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.evaluation.held_out import score_held_out
from nanotabpfn.evaluation.metrics import METRICS
from nanotabpfn.evaluation.protocol import score_table
from nanotabpfn.model.checkpoint import load_model
from nanotabpfn.studies.arms import COMMON_PRIOR, common_prior, resolve_arms
from nanotabpfn.studies.keys import plan_study
from nanotabpfn.studies.properties import DISTANCES, properties_of_batches
from nanotabpfn.studies.real_tables import suite_tasks
from nanotabpfn.studies.records import COLUMNS
from nanotabpfn.studies.saved import read_records, read_saved
from nanotabpfn.studies.scoring import score_datasets
from nanotabpfn.studies.spec import Ropes
from nanotabpfn.training.beginning import begun_at
from nanotabpfn.training.curves import read_history
from priors.audit.properties import PROPERTIES


def test_one_row_for_each_arm_seed_task_fold_and_metric(tmp_path):
    arms = {"a": prior(), "b": prior(noise_scale=[0.4, 0.5])}
    records = run(arms, tmp_path, data_seeds=[0, 1], controls=["untrained"], baselines=LOGISTIC)
    assert list(records.columns) == COLUMNS
    keys = ["arm", "data_seed", "model_seed", "step", "target", "suite", "task", "fold", "metric"]
    assert not records.duplicated(keys).any()
    of_models = records[records["target"] != "properties"]
    assert set(of_models["metric"]) == set(METRICS)
    real = records[records["target"] == "real"]
    assert set(real["fold"]) == {"0", "1", "2", "3", "4", "all"}
    of_a = real[(real["arm"] == "a") & (real["data_seed"] == 0)]
    assert len(of_a) == 3 * 2 * 6 * len(METRICS)  # steps 2, 4 and 5, tables, folds and all of them
    assert set(of_a["step"]) == {2, 4, 5}
    assert set(of_a.loc[of_a["is_final"], "step"]) == {5}
    held_out = records[records["target"] == "prior"]
    assert set(held_out["suite"]) == {"a", "b"}
    on_b = held_out[(held_out["suite"] == "b") & (held_out["data_seed"] == 1)]
    assert set(on_b.loc[on_b["arm"] == "b", "step"]) == {2, 4, 5}
    assert set(on_b.loc[on_b["arm"] == "a", "step"]) == {5}
    assert on_b["task"].nunique() == 4
    assert set(records.loc[records["arm"] == "untrained", "step"]) == {0}
    assert set(records.loc[records["role"] == "baseline", "arm"]) == {"logistic_regression"}
    assert records.loc[records["role"] == "baseline", "step"].isna().all()
    csv = pd.read_csv(tmp_path / "records.csv", dtype={"task": str})
    assert len(csv) == len(records)
    assert set(records.columns) - set(csv.columns) == {"settings"}
    assert np.allclose(csv["value"], records["value"])


def test_the_records_are_those_of_the_models_that_are_kept(tmp_path):
    records = run({"a": prior()}, tmp_path)
    [place] = (tmp_path / "cells").iterdir()
    model = load_model(place / "models" / "step-00000004.safetensors")
    classifier = NanoTabPFNClassifier(model, "cpu")
    at_4 = records[(records["step"] == 4) & (records["fold"] == "all") & (records["metric"] == "roc_auc")]
    for (task,) in suite_tasks("toy"):
        [value] = at_4.loc[at_4["task"] == task.name, "value"]
        assert value == score_table(classifier, task)
    [target] = [target for target in plan_study(read_saved(tmp_path).study).targets if target.kind == "prior"]
    batches = target.arm.loader(read_saved(tmp_path).study, 0).held_out_batches()
    own = records[(records["step"] == 4) & (records["target"] == "prior")]
    expected = score_held_out(model, batches, "cpu")
    for metric, name in [("accuracy", "held_out_accuracy"), ("roc_auc", "held_out_roc_auc")]:
        assert own.loc[own["metric"] == metric, "value"].mean() == pytest.approx(expected[name])
    final = load_model(place)
    last = load_model(place / "models" / "step-00000005.safetensors")
    for own_weights, weights in zip(final.parameters(), last.parameters(), strict=True):
        assert torch.equal(own_weights, weights)


def test_priors_and_tables_are_measured(tmp_path):
    records = run({"a": prior(), "b": prior(noise_scale=[0.4, 0.5])}, tmp_path, data_seeds=[0, 1], held_out=6)
    found = records[records["target"] == "properties"]
    keys = ["arm", "data_seed", "suite", "task", "metric"]
    assert not found.duplicated(keys).any()
    own = found[(found["arm"] == "b") & (found["data_seed"] == 1) & (found["suite"] == "b")]
    assert own["task"].nunique() == 6
    study = read_saved(tmp_path).study
    arm = resolve_arms(study)[1]
    measured = properties_of_batches(arm.loader(study, 1).held_out_batches())
    for task, frame in own.groupby("task"):
        values = dict(zip(PROPERTIES, measured[task], strict=True))
        assert frame.set_index("metric")["value"].to_dict() == {
            name: value for name, value in values.items() if np.isfinite(value)
        }
    tables = found[found["role"] == "suite"]
    assert set(tables["arm"]) == {"toy"}
    assert set(tables["task"]) == {"easy", "noise"}
    assert not set(DISTANCES) & set(found["metric"])  # two tables are too few


def test_distances_from_the_real_tables_are_recorded(tmp_path):
    arms = {"a": prior()}
    records = run(arms, tmp_path, held_out=6, suites=["toy", "many"])
    away = records[records["metric"].isin(list(DISTANCES))]
    assert list(away["suite"]) == ["many", "many"]
    assert set(away["arm"]) == {"a"}
    assert away["value"].between(0, 1).all()
    before = digests(tmp_path, "properties/*")
    run({**arms, "b": prior(noise_scale=[0.4, 0.5])}, tmp_path, held_out=6, suites=["toy", "many"])
    assert before.items() < digests(tmp_path, "properties/*").items()


def test_rope_defaults_are_changes_that_go_together():
    """By each metric's change from step 80 to step 240 of the study that ships, per 0.01 of ROC AUC."""
    path = Path(__file__).parents[3] / "docs" / "studies" / "mechanisms" / "records.parquet"
    chosen = [("target", "=", "real"), ("fold", "=", "all"), ("step", "in", [80, 240])]
    records = pd.read_parquet(path, filters=chosen)
    learning = records[~records["arm"].isin(["scrambled", "untrained"])]
    cells = ["arm", "data_seed", "model_seed", "metric", "step"]
    means = learning.groupby(cells)["value"].mean().unstack(["metric", "step"])
    changes = means.xs(240, axis=1, level="step") - means.xs(80, axis=1, level="step")
    changes = changes[changes["roc_auc"].abs() < 0.1].mean()  # without the few that began in between
    assert set(Ropes.model_fields) == set(METRICS)
    for metric, rope in Ropes().model_dump().items():
        expected = 0.01 * abs(changes[metric] / changes["roc_auc"])
        assert rope == pytest.approx(expected, rel=0.1), metric


def test_every_model_is_scored_on_the_same_datasets_of_the_common_prior(tmp_path):
    arms = {"a": prior(), "b": prior(noise_scale=[0.4, 0.5])}
    records = run(arms, tmp_path, data_seeds=[0, 1], controls=["untrained"])
    common = records[records["target"] == "common"]
    assert set(common["arm"]) == {"a", "b", "untrained"}
    assert common["is_final"].all()
    assert set(common["suite"]) == {COMMON_PRIOR}
    cells = common[common["metric"] == "log_loss"].groupby(["arm", "data_seed"])["task"]
    assert {tuple(tasks) for _, tasks in cells} == {tuple(cells.get_group(("a", 0)))}
    assert len(cells.get_group(("a", 0))) == 4
    arm, seed = common_prior()
    [batch] = arm.loader(read_saved(tmp_path).study, seed).held_out_batches()
    planned = plan_study(study_of(arms, data_seeds=[0, 1], controls=["untrained"])).cells[0]
    model = load_model(tmp_path / "cells" / planned.key)
    expected = list(score_datasets(model, [batch]))
    own = common[(common["arm"] == "a") & (common["data_seed"] == 0)]
    assert own["value"].tolist() == pytest.approx([value for *_, value in expected])


def test_whether_a_training_had_begun_is_recorded_with_its_scores(tmp_path):
    arms = {"a": prior()}
    sizes = {"steps": 60, "eval_every": 60, "lr": 0.02, "recipe": "mean-pooling"}
    records = run(arms, tmp_path, controls=["untrained", "scrambled"], baselines=LOGISTIC, **sizes)
    begun = records[records["target"] != "properties"].groupby("arm")["begun"].agg(["min", "max"])
    planned = {one.cell.arm.name: one for one in plan_study(read_saved(tmp_path).study).cells}
    for arm in ("a", "scrambled"):
        history = read_history(tmp_path / "cells" / planned[arm].key / "history.jsonl")
        losses, entropies = ([step[name] for step in history] for name in ("loss", "class_entropy"))
        assert begun.loc[arm].tolist() == [begun_at(losses, entropies) is not None] * 2
    assert begun.loc[["untrained", "logistic_regression"]].isna().all(axis=None)
    assert records["begun"].dtype == read_records(tmp_path)["begun"].dtype == "boolean"


def test_of_too_few_steps_it_is_not_known(tmp_path):
    assert run({"a": prior()}, tmp_path)["begun"].isna().all()
    older = read_records(tmp_path).drop(columns="begun")
    older.to_parquet(tmp_path / "records.parquet")
    assert read_records(tmp_path)["begun"].isna().all()
