"""The differences of each arm from the reference: on real tables in two metrics, and on held-out datasets.

Axis letters: D data seeds, M model seeds, N datasets.
"""

from typing import TYPE_CHECKING

import numpy as np

from nanotabpfn.studies.arms import COMMON_PRIOR
from nanotabpfn.studies.report.blocks import Block, metric_name, table
from nanotabpfn.studies.report.scores import LEARNS_NOTHING, Scores, compare_complete, grid
from nanotabpfn.studies.statistics import Comparison

if TYPE_CHECKING:
    import pandas as pd

HELD_OUT = {"common": "the common prior", "prior": "the arms' priors"}
"""Target of the records -> the prior of their held-out datasets."""


def differences_table(scores: Scores, second: Scores, records: "pd.DataFrame") -> list[Block]:
    """A row for each arm and the control `repeated`, a column for each read-out."""
    name = metric_name(scores.metric)
    columns = {
        f"{name}, real tables": _without_p_values(scores),
        f"{metric_name(second.metric)}, real tables": _without_p_values(second),
        **{
            f"{name}, {where}": held_out_comparisons(scores, records, target)
            for target, where in HELD_OUT.items()
        },
    }
    columns = {title: found for title, found in columns.items() if found}
    arms = [arm for arm in scores.comparisons if arm not in LEARNS_NOTHING]
    if not arms:
        return []
    rows = [[arm, *(_with_interval(found.get(arm)) for found in columns.values())] for arm in arms]
    level = scores.study.level
    caption = (
        f"Differences from {scores.reference}, positive where the arm is better, with {level:.0%} intervals; "
        "the verdicts are about the first column. Held-out datasets show what was learned of priors, not of "
        "real tables. Their intervals have no part from the choice of tables; the luck of seeds stays. The "
        f"common prior is the preset {COMMON_PRIOR}, with the same datasets for all models. On the arms' "
        "priors, taken together with equal weights, each arm has the advantage of its own."
    )
    return [table(["arm", *columns], rows, caption)]


def held_out_comparisons(scores: Scores, records: "pd.DataFrame", target: str) -> dict[str, Comparison]:
    """Arm -> its comparison with the reference on held-out datasets, in the metric of `scores`.

    The datasets of the common prior are the same for all cells, and are units as tables are. Those of the
    arms' priors differ between data seeds, so their mean is taken, and the seeds are the units.

    Args:
        target: `common` or `prior`.
    """
    final = records[
        (records["target"] == target) & records["is_final"] & (records["metric"] == scores.metric)
    ]
    if target == "prior":
        final = _mean_over_priors(final, [arm for arm in scores.arms if scores.roles[arm] == "arm"])
    datasets = list(dict.fromkeys(final["task"]))
    of = {arm: grid(scores.study, final, arm, datasets) for arm in scores.arms}
    if not datasets or scores.reference not in of:
        return {}
    others = [arm for arm in of if arm != scores.reference]
    level = scores.study.level
    found = {arm: compare_complete((of[arm] - of[scores.reference]) * scores.sign, level) for arm in others}
    return {arm: one for arm, one in found.items() if one is not None}


def _mean_over_priors(final: "pd.DataFrame", arms: list[str]) -> "pd.DataFrame":
    """The mean score of each cell on the priors of all arms, as a single task; of cells that have them
    all."""
    cell = ["arm", "data_seed", "model_seed"]
    of_priors = final.groupby([*cell, "suite"])["value"].mean().unstack("suite").reindex(columns=arms)
    return of_priors.mean(axis=1, skipna=False).rename("value").reset_index().assign(task="all")


def _without_p_values(scores: Scores) -> dict[str, Comparison]:
    return {arm: found for arm, (found, _) in scores.comparisons.items()}


def _with_interval(found: Comparison | None) -> str:
    if found is None:
        return ""
    low, high = found.interval
    return f"{found.mean:+.4f}" + ("" if np.isnan(low) else f" ({low:+.4f} to {high:+.4f})")
