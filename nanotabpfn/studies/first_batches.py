"""Whether the code that samples still gives the datasets on which earlier cells of a study were trained.

DIR/first_batches/KEY.npz has the first datasets of each prior and data seed.
"""

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np

from nanotabpfn.model.checkpoint import write_atomically
from nanotabpfn.studies.keys import Plan

TOLERANCE = 1e-3  # of a cell with standard deviation 1: other machines round differently
SHARE = 0.01  # of the cells may differ more: a rounding can move a row across a threshold


class ChangedDatasetsWarning(UserWarning):
    """A prior gives other datasets than when the study began, though its version is the same."""


def check_first_batches(plan: Plan, folder: Path) -> None:
    """Compare the first datasets of each prior with those of earlier runs, and save them if there are none.

    Warns:
        ChangedDatasetsWarning: they differ, so that new cells would not be comparable with earlier ones.
    """
    names = {planned.data_key: planned.cell.arm.name for planned in [*plan.warm_starts, *plan.cells]}
    for key, found in plan.first_datasets.items():
        path = folder / "first_batches" / f"{key}.npz"
        if not path.exists():
            content = BytesIO()
            np.savez_compressed(content, **found)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content.getvalue())
        elif not are_close(dict(np.load(path)), found):
            warnings.warn(
                f"{names.get(key, key)}: the prior gives other datasets than when this study began, though "
                "PRIOR_VERSION is the same: its earlier cells and new ones are not comparable. Run the study "
                "in another folder (--out)",
                ChangedDatasetsWarning,
                stacklevel=3,
            )


def are_close(before: dict[str, np.ndarray], now: dict[str, np.ndarray]) -> bool:
    """Whether two batches are the same up to rounding.

    >>> before = {"x": np.zeros((1, 2, 2)), "y": np.array([[0, 1]])}
    >>> are_close(before, {"x": np.full((1, 2, 2), 1e-5), "y": np.array([[0, 1]])})
    True
    >>> are_close(before, {"x": np.zeros((1, 2, 2)), "y": np.array([[1, 0]])})
    False
    """
    return before.keys() == now.keys() and all(
        before[name].shape == now[name].shape
        and np.mean(~np.isclose(before[name], now[name], rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True))
        <= SHARE
        for name in now
    )
