"""Records of a study whose arms reach known scores, for the tests of the report."""

from itertools import product

import numpy as np
import pandas as pd

from nanotabpfn.evaluation.metrics import LOWER_IS_BETTER, METRICS
from nanotabpfn.studies.arms import cells_of, reference_of, resolve_arms, varied_arms
from nanotabpfn.studies.properties import DISTANCES
from nanotabpfn.studies.records import COLUMNS, TYPES
from nanotabpfn.studies.saved import SavedArm, SavedCell, SavedStudy
from nanotabpfn.studies.spec import Study
from priors.audit.properties import PROPERTIES

TABLES = [f"table {number}" for number in range(13)]
TINY = {"num_datapoints": 24, "num_features": [3, 3], "num_nodes": [5, 8], "block_size": 4}
ARM = {"preset": "linear", "set": TINY}
ADDED = ("begun", "warm_start", "settings")  # columns
SMALL = {
    "name": "simulated",
    "steps": 4,
    "eval_every": 2,
    "batch_size": 4,
    "held_out": 3,
    "suites": ["builtin"],
    "baselines": ["decision_tree"],
    "metric": "roc_auc",
}


def study_of(arms=("good", "same"), **changes) -> Study:
    return Study(**{**SMALL, "arms": dict.fromkeys(arms, ARM), **changes})


def simulate(study: Study, means: dict[str, float], seed: int = 0) -> pd.DataFrame:
    """Records of a study in which arms reach these ROC AUCs, with the spread of tables, seeds and rest."""
    rng = np.random.default_rng(seed)
    arms = [*study.arms, *study.controls]
    of_table = rng.normal(0, 0.05, len(TABLES))
    of_data = {(arm, one): rng.normal(0, 0.004) for arm, one in product(arms, study.data_seeds)}
    of_model = {(arm, one): rng.normal(0, 0.004) for arm, one in product(arms, study.model_seeds)}
    rows = []

    def add(arm, role, data_seed, model_seed, step, is_final, target, suite, task, mean):
        for metric in METRICS:
            value = mean if metric not in LOWER_IS_BETTER else 1 - mean
            rows.append(
                [arm, role, data_seed, model_seed, step, is_final, target, suite, task, "all", metric, value]
            )

    for arm, (data, model) in product(arms, study.seeds):
        role = "control" if arm in study.controls else "arm"
        last = 0 if arm == "untrained" else study.steps
        mean = means.get(arm, 0.5 if arm in ("untrained", "scrambled") else 0.8)
        moved = of_data[arm, data] + of_model[arm, model] if mean > 0.5 else 0.0
        for step in [0] if arm == "untrained" else study.eval_steps:
            for task, effect in zip(TABLES, of_table, strict=True):
                value = mean + (effect if mean > 0.5 else 0.2 * effect) + moved + rng.normal(0, 0.01)
                add(arm, role, data, model, step, step == last, "real", "builtin", task, value)
        for task in "01234567":
            value = mean + moved + rng.normal(0, 0.004)
            add(arm, role, data, model, last, True, "common", "mixed", task, value)
        for suite in [name for name in arms if name != "untrained"]:
            add(
                arm, role, data, model, last, True, "prior", suite, "0", 0.5 if suite == "scrambled" else mean
            )
    for number, (arm, task) in enumerate(product([*arms, "builtin"], ["0", "1"])):
        role = "suite" if arm == "builtin" else "control" if arm in study.controls else "arm"
        for metric in PROPERTIES | DISTANCES:
            if arm != "untrained" and not (role == "suite" and metric in DISTANCES):
                suite = "builtin" if metric in DISTANCES else arm
                value = number / 100 + list(PROPERTIES | DISTANCES).index(metric)
                row = [arm, role, None, None, None, True, "properties", suite, task, "all", metric, value]
                rows.append(row)
    for task, effect in zip(TABLES, of_table, strict=True):
        add("decision_tree", "baseline", None, None, None, True, "real", "builtin", task, 0.7 + effect)
    frame = pd.DataFrame(rows, columns=[name for name in COLUMNS if name not in ADDED])
    learns = frame["data_seed"].notna() & (frame["arm"] != "untrained")
    frame["begun"] = np.where(learns, frame["arm"] != "scrambled", None)
    frame["warm_start"] = np.where(learns, study.warm_start.steps if study.warm_start else None, None)
    return frame.reindex(columns=COLUMNS).astype(TYPES)


def began_late(records: pd.DataFrame, arm: str, seeds: list[int], loss: float = 0.15) -> pd.DataFrame:
    """The records with trainings of an arm that had not begun in time, and lost so much of every metric."""
    records = records.copy()
    late = (records["arm"] == arm) & records["model_seed"].isin(seeds) & (records["target"] != "properties")
    records.loc[late, "begun"] = False
    worse = np.where(records["metric"].isin(LOWER_IS_BETTER), loss, -loss)
    records["value"] += np.where(late.to_numpy(bool, na_value=False), worse, 0.0)
    return records


def saved_study(study: Study) -> SavedStudy:
    """The study as its folder would hold it before any cell is trained."""
    arms = tuple(SavedArm(arm, arm.describe()) for arm in resolve_arms(study))
    cells = tuple(
        SavedCell(cell.arm.name, cell.data_seed, cell.model_seed, "", "waiting", {})
        for cell in cells_of(study)
    )
    return SavedStudy(study, reference_of(study), arms, cells, designs=tuple(varied_arms(study)))
