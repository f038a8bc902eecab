"""The final scores of a study on some tables or datasets, and the comparison of each arm with the reference.

Axis letters: D data seeds, M model seeds, T tables, or datasets that are the same for all cells.
"""

from typing import TYPE_CHECKING

import numpy as np

from nanotabpfn.evaluation.metrics import LOWER_IS_BETTER
from nanotabpfn.studies.saved import SavedStudy
from nanotabpfn.studies.scoring import POOLED
from nanotabpfn.studies.spec import DRAWN, Study
from nanotabpfn.studies.statistics import Comparison, compare, verdict
from priors.audit.compare import holm

if TYPE_CHECKING:
    import pandas as pd

LEARNS_NOTHING = ("untrained", "scrambled")
"""Controls that learn nothing: their scores do not vary with seeds as those of the arms do."""


class Scores:
    """Scores of a study in one metric, on the tables of its first suite, and comparisons of its arms.

    Attributes:
        arms: names of the arms and controls with at least one cell.
        tables: names of the tables (T,).
        baselines: name -> (T,).
        of: arm -> (D, M, T), the metric with all folds pooled; NaN where a cell is missing. With paired seeds
            (P, 1, T), P pairs.
        comparisons: arm -> its comparison with the reference, with the sign such that more is better, and its
            p-value: adjusted for the number of arms, or of a control as it is. Arms of random designs have
            none: their settings are compared.
        designs: the arms that vary several settings at once.

    Args:
        saved: the study.
        records: its records, or those of some of its cells.
        metric: that of the study by default.
    """

    def __init__(self, saved: SavedStudy, records: "pd.DataFrame", metric: str | None = None):
        study = saved.study
        self.study = study
        self.suite = study.suites[0]
        self.metric = metric or study.metric
        self.sign = -1 if self.metric in LOWER_IS_BETTER else 1
        self.rope = study.rope_of(self.metric)
        self.on_suite = records[
            (records["target"] == "real")
            & (records["suite"] == self.suite)
            & (records["fold"] == POOLED)
            & (records["metric"] == self.metric)
        ]
        self.tables = list(dict.fromkeys(self.on_suite["task"]))
        self.roles = {arm.name: arm.role for arm, _ in saved.arms}
        self.reference = saved.reference
        self.designs = saved.designs
        final = self.on_suite[self.on_suite["is_final"]]
        self.baselines = self._of_baselines(final[final["role"] == "baseline"])
        grids = {arm: grid(study, final, arm, self.tables) for arm in self.roles}
        self.of = {arm: values for arm, values in grids.items() if np.isfinite(values).any()}
        self.arms = list(self.of)
        self.comparisons = self._compare() if self.reference in self.of else {}

    def _of_baselines(self, final: "pd.DataFrame") -> dict[str, np.ndarray]:
        return {
            name: frame.set_index("task")["value"].reindex(self.tables).to_numpy(float)
            for name, frame in final.groupby("arm", sort=False)
        }

    def _compare(self) -> dict[str, tuple[Comparison, float]]:
        compared = [arm for arm in self.single_arms if arm != self.reference]
        others = {arm: self.compare_with(arm, self.reference) for arm in compared}
        found = {arm: one for arm, one in others.items() if one is not None}
        arms = [arm for arm in found if self.roles[arm] == "arm"]
        adjusted = dict(zip(arms, holm([found[arm].p_value for arm in arms]), strict=True))
        return {arm: (one, adjusted.get(arm, one.p_value)) for arm, one in found.items()}

    @property
    def single_arms(self) -> list[str]:
        """The arms that are shown one by one: without those of random designs."""
        return [arm for arm in self.arms if self.roles[arm] != DRAWN]

    def compare_with(self, arm: str, other: str) -> Comparison | None:
        """An arm minus another, on the seeds that both have; None if there are none."""
        return compare_complete((self.of[arm] - self.of[other]) * self.sign, self.study.level)

    def table_means(self, arm: str) -> np.ndarray:
        """(T,) means over the seeds that have scores."""
        return np.nanmean(self.of[arm], axis=(0, 1))

    def table_means_on_common_seeds(self, arms: list[str]) -> dict[str, np.ndarray]:
        """(T,) means of each arm over the seeds that all of them have; empty if there are none."""
        values = np.stack([self.of[arm] for arm in arms])  # (A, D, M, T)
        seeds = complete_seeds(np.isfinite(values).all(axis=(0, 3)))
        if seeds is None:
            return {}
        return dict(zip(arms, values[:, *np.ix_(*seeds)].mean(axis=(1, 2)), strict=True))

    def curve(self, arm: str) -> np.ndarray:
        """(cells, S) means over the tables at each of the study's `eval_steps`; NaN where there is no score.
        The untrained model has one score, which is repeated."""
        own = self.on_suite[self.on_suite["arm"] == arm]
        means = own.groupby(["data_seed", "model_seed", "step"])["value"].mean().unstack("step")
        steps = [0] * len(self.study.eval_steps) if arm == "untrained" else self.study.eval_steps
        return means.reindex(columns=steps).to_numpy(float)

    def words(self, arm: str) -> str:
        """The verdict on an arm."""
        found, adjusted = self.comparisons[arm]
        return verdict(arm, self.reference, found, adjusted, self.study.level, self.rope)


def grid(study: Study, final: "pd.DataFrame", arm: str, tasks: list[str]) -> np.ndarray:
    """The final scores (D, M, T) of an arm, from records of one metric and one target; NaN where
    there are none."""
    trained = final[final["arm"] == arm].set_index(["data_seed", "model_seed", "task"])["value"]
    values = trained.reindex([(*seeds, task) for seeds in study.seeds for task in tasks]).to_numpy(float)
    num_models = len(study.model_seeds) if study.seed_design == "crossed" else 1
    return values.reshape(len(study.seeds) // num_models, num_models, len(tasks))


def compare_complete(differences: np.ndarray, level: float) -> Comparison | None:
    """Compare two arms by their differences (D, M, T) on the seeds without NaN; None if there are none."""
    seeds = complete_seeds(np.isfinite(differences).all(axis=2))
    return None if seeds is None else compare(differences[np.ix_(*seeds, range(differences.shape[2]))], level)


def complete_seeds(is_there: np.ndarray) -> tuple[list[int], list[int]] | None:
    """The largest complete grid of cells, as (data seeds, model seeds); None if there is no cell.

    Of equally large ones that with more data seeds, then that with earlier seeds.

    Args:
        is_there: (D, M), which cells have scores.

    >>> complete_seeds(np.array([[True, True, True], [True, True, False]]))
    ([0, 1], [0, 1])
    >>> complete_seeds(~np.eye(3, dtype=bool))
    ([0, 1], [2])
    """
    models_of = [frozenset(np.flatnonzero(row).tolist()) for row in is_there]
    shared: set[frozenset[int]] = set()  # model seeds that some data seeds have in common
    for models in models_of:
        shared |= {models} | {models & others for others in shared}
    grids = [
        ([data for data, own in enumerate(models_of) if models <= own], sorted(models)) for models in shared
    ]
    best = min(grids, key=lambda grid: (-len(grid[0]) * len(grid[1]), -len(grid[0]), grid))
    return best if best[0] and best[1] else None
