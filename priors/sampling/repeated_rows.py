"""Rows of a table that repeat an earlier one: which they are, and how many stay equal.

Axis letter: R rows.
"""

import numpy as np


def draw_rows(share: float, num_datapoints: int, rng: np.random.Generator) -> np.ndarray | slice:
    """For each row (R,) of a table the sampled row that it shows: its own, or an earlier one.

    Which row a training row repeats does not depend on test rows, since those come later.

    Args:
        share: expected share of rows that repeat an earlier one. For 0 a slice of all rows is returned,
            without a draw.

    Examples:
        >>> rows = draw_rows(0.5, 1000, np.random.default_rng(0))
        >>> round(float((rows < np.arange(1000)).mean()), 1), bool((rows <= np.arange(1000)).all())
        (0.5, True)
    """
    if share == 0:
        return slice(None)
    chances, places = rng.random((2, num_datapoints))
    repeats = chances < share
    repeats[0] = False
    originals = (~repeats).nonzero()[0]
    num_before = (~repeats).cumsum()  # of a row that repeats another: the originals before it
    return np.where(repeats, originals[(places * num_before).astype(int)], np.arange(len(repeats)))


def num_duplicates(rows: np.ndarray | slice, num_unlike: int = 0) -> int:
    """Rows of `draw_rows` that repeat an earlier one and are equal to it.

    Args:
        num_unlike: so many first rows are unlike the others, as training rows are where test rows are
            shifted.

    Examples:
        >>> rows = np.array([0, 0, 2, 0, 2])
        >>> num_duplicates(rows), num_duplicates(rows, num_unlike=3), num_duplicates(slice(None))
        (3, 1, 0)
    """
    if isinstance(rows, slice):
        return 0
    places = np.arange(len(rows))
    is_equal = (rows != places) & ((rows < num_unlike) == (places < num_unlike))
    return int(np.count_nonzero(is_equal))
