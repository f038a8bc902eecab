"""What a dataset becomes if one node of its model is set: how far its columns and its other nodes move.

R rows, F features.
"""

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np

from priors.plots.sampled_datasets import SampledDataset
from priors.sampling.scm import all_finite


class Effect(NamedTuple):
    """The counterfactual of a dataset under an intervention: the same rows with the same noise."""

    node: Hashable
    value: float
    """What the node is set to in all rows."""
    nodes: dict[Hashable, float]
    """How far each node moved: the mean |change| over the rows, in the node's standard deviations."""
    columns: dict[str, float]
    """The same of each feature, x0 ..., as the table has it, and of the target, y. With classes, y has the
    share of the rows whose class changed. NaN where values under the intervention are not finite."""


def effect_of(sampled: SampledDataset, node: Hashable, quantile: float) -> Effect:
    """Set a node to a quantile of its own values in all rows.

    Args:
        quantile: from 0 to 1. A value that occurs is taken, so that a category stays one of its categories.

    Examples:
        >>> from priors.config import PriorConfig
        >>> from priors.plots.sampled_datasets import sample_in_block
        >>> sampled = sample_in_block(PriorConfig(), seed=0, block=0)
        >>> effect = effect_of(sampled, sampled.structure.target, quantile=1.0)
        >>> sorted(effect.columns)
        ['x0', 'x1', 'x2', 'x3', 'x4', 'y']
    """
    table, structure, scm = sampled.table, sampled.structure, sampled.model.scm
    values = table.sample.values(node)
    value = np.quantile(values, quantile, method="nearest")
    after = table.sample.under({node: np.full(len(values), value, np.float32)})
    with np.errstate(all="ignore"):  # what is not finite is NaN below
        moved = {other: _distance(table.sample.values(other), after.values(other)) for other in scm.nodes}
        columns, target = table.observed(structure, after)
        found = dict.fromkeys([f"x{column}" for column in range(len(columns))], np.nan) | {"y": np.nan}
        if all_finite(target) and all_finite(columns):
            x = table.features.apply(columns, table.features.is_missing)
            y = table.target.apply(target)
            found = {
                f"x{i}": _distance(*pair) for i, pair in enumerate(zip(table.features.x.T, x.T, strict=True))
            }
            is_regression = sampled.dataset.is_regression
            found["y"] = (
                _distance(table.target.y, y) if is_regression else float(np.mean(table.target.y != y))
            )
    return Effect(node, float(value), moved, found)


def _distance(before: np.ndarray, after: np.ndarray) -> float:
    """Mean |change| of values (R,) in standard deviations of those before; missing cells are left out."""
    change, spread = float(np.nanmean(np.abs(after - before))), float(np.nanstd(before, dtype=float))
    if not np.isfinite(change):
        return np.nan
    return change / spread if spread > 0 else float(change > 0)
