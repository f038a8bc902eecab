"""Dataset: one table, as a value, with its counterfactual twin; as a data frame, and in a notebook."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from priors.notebook import COLOURS, bars, block, cells, facts, folded, shares

if TYPE_CHECKING:
    import pandas as pd

SHOWN_ROWS = 3
"""First training rows and first test rows that a notebook shows."""

SHOWN_COLUMNS = 12


class Twin(NamedTuple):
    """The counterfactual of a dataset in which one feature is set, with the same treatment of columns.

    Examples:
        >>> from priors import PriorConfig, sample_dataset, stream
        >>> dataset = sample_dataset(PriorConfig(num_datapoints=50, twins=True), stream(0))
        >>> feature = dataset.properties["do_feature"]
        >>> len(np.unique(dataset.x[:, feature])), len(np.unique(dataset.twin.x[:, feature]))
        (50, 1)
    """

    x: np.ndarray
    """(R, F) float32; missing where the dataset's is."""
    y: np.ndarray
    """(R,), of the dataset's classes, not all of which need occur."""


class Dataset(NamedTuple):
    """One table, training rows first.

    Examples:
        >>> from priors import PriorConfig, sample_dataset, stream
        >>> dataset = sample_dataset(PriorConfig(num_datapoints=50), stream(0))
        >>> dataset.x.shape, dataset.y.dtype, dataset.properties["num_classes"]
        ((50, 5), dtype('int64'), 2)
    """

    x: np.ndarray
    """(R, F) float32, each column with mean 0 and variance 1 over its training cells; NaN where missing. Test
    cells beyond the config's `clip` have that value."""
    y: np.ndarray
    """(R,) int64 in 0..K-1; every class occurs among the training rows and among the test rows. In
    regression float32, with mean 0 and variance 1 over the training rows."""
    single_eval_pos: int
    """Number of training rows."""
    properties: dict[str, int | float | str]
    """What a study may want to regress on: graph, num_nodes, num_edges, num_classes, noise_scale (the mean
    over the nodes that have parents); how often a stage was drawn again (redrawn_graph, redrawn_classes,
    redrawn_values, redrawn_columns; with a `learnability` redrawn_score, with interventions
    redrawn_intervention), and attempts, the draws of graphs and values; with a `learnability`
    out_of_bag_score; with a `drift_fraction` num_drifting_nodes; with a `grouped_fraction`
    num_grouped_nodes, and num_groups, those that have rows, both 0 where no node is grouped; with a
    `duplicate_fraction` num_duplicates, the rows that repeat an earlier one; with a `shift` num_shifted_nodes
    and shift_size, both 0 where there was none; with `twins` do_feature, the column that is set in the twin,
    and do_value, its value."""
    twin: Twin | None = None
    """With `twins`, the dataset under an intervention."""

    def __repr__(self) -> str:
        kind = f"{len(np.unique(self.y))} classes" if self.y.dtype.kind in "iu" else "real target"
        return (
            f"<Dataset: {self.x.shape[0]} rows ({self.single_eval_pos} training) x {self.x.shape[1]} "
            f"features, {kind}{', with a twin' if self.twin else ''}>"
        )

    @property
    def is_regression(self) -> bool:
        """Whether the target is a real number."""
        return self.y.dtype.kind == "f"

    def to_frame(self, feature_names: Sequence[str] | None = None, target_name: str = "y") -> "pd.DataFrame":
        """The table as a pandas data frame: the features, and the target as the last column.

        The index has two levels, `split` ("train" or "test") and `row`, so ``frame.loc["train"]`` has the
        training rows.

        Args:
            feature_names: of the columns of x; x0, x1 ... by default.
            target_name: of y.

        Raises:
            ValueError: not one name for each feature, or two columns of one name.
            ModuleNotFoundError: pandas is missing, which is an extra.

        Examples:
            >>> from priors import PRESETS, dataset_at
            >>> frame = dataset_at(PRESETS["default"], seed=0, index=0).to_frame()
            >>> list(frame.columns), len(frame), len(frame.loc["train"])
            (['x0', 'x1', 'x2', 'x3', 'x4', 'y'], 150, 83)
        """
        names = self._names(feature_names, target_name)
        try:
            import pandas as pd
        except ImportError as error:
            raise ModuleNotFoundError(
                f"data frames need {error.name}: pip install 'nanotabpfn-priors[pandas]'", name=error.name
            ) from error
        rows = np.arange(len(self.y))
        split = np.where(rows < self.single_eval_pos, "train", "test")
        index = pd.MultiIndex.from_arrays([split, rows], names=["split", "row"])
        frame = pd.DataFrame(self.x, index, names[:-1])
        frame[names[-1]] = self.y
        return frame

    def _names(self, feature_names: Sequence[str] | None, target_name: str) -> list[str]:
        """The names of the features, then that of the target."""
        num_features = self.x.shape[1]
        if feature_names is None:
            feature_names = [f"x{column}" for column in range(num_features)]
        names = [*feature_names, target_name]
        if len(feature_names) != num_features:
            raise ValueError(
                f"feature_names must be {num_features} names, one for each feature, got {len(feature_names)}"
            )
        if len(set(names)) < len(names):
            raise ValueError(f"feature_names and target_name must differ, got {', '.join(map(str, names))}")
        return names

    def _repr_html_(self) -> str:
        """Some rows, the distribution of the target, and the properties."""
        num_rows, num_features = self.x.shape
        shown = min(num_features, SHOWN_COLUMNS)
        more = ["…"] * (shown < num_features)
        split = self.single_eval_pos
        rows: list[list] = []
        for name, start, stop in (("train", 0, split), ("test", split, num_rows)):
            last = min(stop, start + SHOWN_ROWS)
            values = zip(self.x[start:last, :shown].tolist(), self.y[start:last].tolist(), strict=True)
            rows += [[f"{name} {start + row}", *x, *more, y] for row, (x, y) in enumerate(values)]
            rows += [["…", *[None] * (shown + len(more)), None]] if last < stop else []
        header = ["", *(f"x{column}" for column in range(shown)), *more, "y"]
        if self.is_regression:
            known = self.y[np.isfinite(self.y)]  # a table from elsewhere may hold anything
            table, target = cells(header, rows), bars(np.histogram(known, 20)[0].tolist())
        else:
            table = cells(header, rows, lambda label: COLOURS[label % len(COLOURS)])
            labels, counts = np.unique(self.y, return_counts=True)
            target = shares(dict(zip(map(str, labels.tolist()), counts / len(self.y), strict=True)))
        properties = folded("properties", facts(self.properties))
        return block(repr(self).strip("<>"), table, target, properties)


def varying_columns(x: np.ndarray) -> np.ndarray:
    """Which columns of a table (R, F) have two different values, (F,) bool; missing cells are no values.

    Examples:
        >>> varying_columns(np.array([[1.0, 2.0, np.nan], [3.0, np.nan, np.nan]])).tolist()
        [True, False, False]
    """
    missing = np.isnan(x)
    return np.where(missing, np.inf, x).min(axis=0) < np.where(missing, -np.inf, x).max(axis=0)
