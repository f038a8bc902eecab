"""The final scores of a study, and the comparison of each arm with the reference.

Axis letters: D data seeds, M model seeds, T tables.
"""

from typing import TYPE_CHECKING

import numpy as np

from nanotabpfn.evaluation.metrics import LOWER_IS_BETTER
from nanotabpfn.studies.saved import SavedStudy
from nanotabpfn.studies.scoring import POOLED
from nanotabpfn.studies.statistics import Comparison, compare, holm, verdict

if TYPE_CHECKING:
    import pandas as pd

LEARNS_NOTHING = ("untrained", "scrambled")
"""Controls that learn nothing: their scores do not vary with seeds as those of the arms do."""


class Scores:
    """The final scores of a study on its first suite, and the comparisons of its arms.

    Attributes:
        arms: names of the arms and controls with at least one cell.
        tables: of the suite.
        baselines: name -> (T,).
        of: arm -> (D, M, T), the metric with all folds pooled; NaN where a cell is missing. With paired seeds
            (P, 1, T), P pairs.
        comparisons: arm -> its comparison with the reference, with the sign such that more is better, and its
            p-value: adjusted for the number of arms, or of a control as it is.
    """

    def __init__(self, saved: SavedStudy, records: "pd.DataFrame"):
        study = saved.study
        self.study = study
        self.suite = study.suites[0]
        self.sign = -1 if study.metric in LOWER_IS_BETTER else 1
        self.on_suite = records[
            (records["target"] == "real")
            & (records["suite"] == self.suite)
            & (records["fold"] == POOLED)
            & (records["metric"] == study.metric)
        ]
        self.tables = list(dict.fromkeys(self.on_suite["task"]))
        self.roles = {arm.name: arm.role for arm, _ in saved.arms}
        self.reference = saved.reference
        final = self.on_suite[self.on_suite["is_final"]]
        self.baselines = self._of_baselines(final[final["role"] == "baseline"])
        self.of = self._of_arms(final[final["role"] != "baseline"])
        self.arms = list(self.of)
        self.comparisons = self._compare() if self.reference in self.of else {}

    def _of_baselines(self, final: "pd.DataFrame") -> dict[str, np.ndarray]:
        return {
            name: frame.set_index("task")["value"].reindex(self.tables).to_numpy(float)
            for name, frame in final.groupby("arm", sort=False)
        }

    def _of_arms(self, final: "pd.DataFrame") -> dict[str, np.ndarray]:
        study = self.study
        num_models = len(study.model_seeds) if study.seed_design == "crossed" else 1
        trained = final.set_index(["arm", "data_seed", "model_seed", "task"])["value"]
        found = {}
        for arm in self.roles:
            wanted = [(arm, *seeds, table) for seeds in study.seeds for table in self.tables]
            values = trained.reindex(wanted).to_numpy(float)
            if np.isfinite(values).any():
                found[arm] = values.reshape(-1, num_models, len(self.tables))  # (D, M, T)
        return found

    def _compare(self) -> dict[str, tuple[Comparison, float]]:
        found = {}
        for arm in self.arms:
            differences = (self.of[arm] - self.of[self.reference]) * self.sign
            seeds = complete_seeds(np.isfinite(differences).all(axis=2))
            if arm != self.reference and seeds is not None:
                found[arm] = compare(differences[np.ix_(*seeds, range(len(self.tables)))], self.study.level)
        arms = [arm for arm in found if self.roles[arm] == "arm"]
        adjusted = dict(zip(arms, holm([found[arm].p_value for arm in arms]), strict=True))
        return {arm: (one, adjusted.get(arm, one.p_value)) for arm, one in found.items()}

    def table_means(self, arm: str) -> np.ndarray:
        """(T,) means over the seeds that have scores."""
        return np.nanmean(self.of[arm], axis=(0, 1))

    def words(self, arm: str) -> str:
        """The verdict on an arm."""
        found, adjusted = self.comparisons[arm]
        return verdict(arm, self.reference, found, adjusted, self.study.level, self.study.rope)


def complete_seeds(is_there: np.ndarray) -> tuple[list[int], list[int]] | None:
    """The largest complete grid of cells, as (data seeds, model seeds); None if there is none.

    Either whole data seeds or whole model seeds are left out, whichever keeps more cells.

    Args:
        is_there: (D, M), which cells have scores.

    >>> complete_seeds(np.array([[True, True, True], [True, True, False]]))
    ([0, 1], [0, 1])
    """
    num_data, num_model = is_there.shape
    rows, columns = np.flatnonzero(is_there.all(axis=1)), np.flatnonzero(is_there.all(axis=0))
    grids = [(rows.tolist(), list(range(num_model))), (list(range(num_data)), columns.tolist())]
    best = max(grids, key=lambda grid: len(grid[0]) * len(grid[1]))
    return best if best[0] and best[1] else None
