"""Encoding: columns of any kind to a finite float32 matrix, fitted on the training rows alone.

Axis letters: T training rows, N rows, F columns of the table, G features of the matrix.

`columns.read_table` takes a table apart into columns; `TableEncoder` learns from the training rows what
becomes of each column:

- numbers, booleans (0 and 1), dates (days), durations (days), and text of which nearly all training cells are
  numbers or ISO dates (`cell_parsing.py`): a number;
- ordered categories (pandas' ordered, polars' Enum): their place in the order;
- all else: a category, numbered in alphabetical order.

A cell that cannot be read as its column's kind, such as a category that the training rows lack, counts as
missing. So do numbers where the training rows have dates, and dates where they have numbers. A warning lists
such cells of the training rows, and columns of which most test cells are unreadable. Missing numbers become
the median, missing categories the most frequent one, and a column with missing cells in training gets an
indicator column, 0 or 1: that a cell is missing can be informative.

A table of plain finite numbers is left unchanged.
"""

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from numbers import Number
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from nanotabpfn.estimators.cell_parsing import (
    NA_VALUES,
    decimal_mark,
    is_date,
    number_in_cell,
    number_in_text,
    text_of_cell,
)
from nanotabpfn.estimators.columns import Column

PLAIN_EXPONENT = 40
"""Columns whose largest number is between 2**-40 and 2**40 keep their scale: float32 squares them safely."""
PLAIN_OFFSET = 2**10
"""Columns this many times farther from 0 than they are wide are moved to 0, since float32 has 24 bits."""
TAILS = (0.25, 0.1, 0.05)
"""Share of the cells below the lower and above the upper quantile, between which the spread is measured."""
FENCE = 10.0
"""Outliers begin this many spreads beyond the quantiles: in a normal column 14 standard deviations away."""
FARTHEST = 2.0**64
"""How far from 0 a cell can be, after that; the model cuts z-scores at 100 anyway."""
MOST_UNREADABLE = 0.1
"""Share of the text cells of a column of numbers that may not be numbers: above it, it is a category."""


class UnreadableCellsWarning(UserWarning):
    """Cells of a table that cannot be read as their column's kind, and count as missing."""


class TableEncoder(BaseEstimator):
    """Columns of `read_table` to a finite matrix; fitted on training rows alone.

    Args:
        na_values: text that marks a missing cell, in all columns, in upper or lower case. None:
            `cell_parsing.NA_VALUES` in columns of numbers, while a category may have such a name.

    Attributes:
        kinds_: of each column: `number`, `ordered` or `category`.
        decimals_: of each column, the decimal mark of its numbers in text; None where no cell shows it.
        dates_: of each column, whether most of its cells are dates; numbers among them count as missing.
        num_features_: G.

    >>> columns = [Column("size", np.array(["1,5", "2,5", "?"], dtype=object))]
    >>> TableEncoder().fit(columns).transform(columns).tolist()  # the number, and whether it was missing
    [[1.5, 0.0], [2.5, 0.0], [2.0, 1.0]]
    """

    def __init__(self, na_values: Sequence[str] | None = None):
        self.na_values = na_values

    def fit(self, columns: Sequence[Column]) -> "TableEncoder":
        """Learn the kinds of the columns, and what replaces missing cells."""
        self.marks_, self.marked_numbers_ = _marks(self.na_values)
        self.levels_ = [column.levels for column in columns]
        self.decimals_ = [_decimal(column) for column in columns]
        self.dates_ = list(map(self._holds_dates, columns))
        self.kinds_ = [
            self._kind(column, decimal or ".", dates)
            for column, decimal, dates in zip(columns, self.decimals_, self.dates_, strict=True)
        ]
        numbers, categories = self._split(columns)
        self.numbers_ = make_pipeline(_Scale(), _imputer("median")).fit(numbers) if numbers.size else None
        self.categories_ = _category_encoder().fit(categories) if categories.size else None
        self.num_features_ = self._matrix(numbers[:1], categories[:1]).shape[1]
        self._warn_ambiguous(columns)
        return self

    def transform(self, columns: Sequence[Column]) -> np.ndarray:
        """(N, G) float32, all finite: the numbers, their indicators, then the categories and theirs.

        Warns of columns of which most cells cannot be read as what they were in training, and of cells such
        as "1,125" where nothing shows whether the comma is a decimal mark.
        """
        numbers, categories = self._split(columns)
        self._warn_unreadable(columns, numbers, categories)
        self._warn_ambiguous(columns)
        return self._matrix(numbers, categories)

    def _matrix(self, numbers: np.ndarray, categories: np.ndarray) -> np.ndarray:
        parts = []
        if self.numbers_ is not None:
            parts.append(self.numbers_.transform(numbers))
        if self.categories_ is not None:
            parts.append(self.categories_.transform(categories))
        return np.hstack(parts).astype(np.float32)

    def _split(self, columns: Sequence[Column]) -> tuple[np.ndarray, np.ndarray]:
        """Numbers as float64 with NaN, and categories as text with NaN, each (N, its columns)."""
        num_rows = len(columns[0].cells)
        numbers, categories = [], []
        settings = zip(columns, self.kinds_, self.levels_, self.decimals_, self.dates_, strict=True)
        for column, kind, levels, decimal, dates in settings:
            if kind == "category":
                categories.append(self._as_categories(column))
            elif kind == "ordered":
                places = {level: float(place) for place, level in enumerate(levels)}
                numbers.append(np.array([_place(cell, places) for cell in column.cells]))
            else:
                numbers.append(self._as_numbers(column, decimal or _decimal(column) or ".", dates))
        return (
            np.column_stack(numbers) if numbers else np.empty((num_rows, 0)),
            np.column_stack(categories) if categories else np.empty((num_rows, 0), dtype=object),
        )

    def _kind(self, column: Column, decimal: str, dates: bool) -> str:
        """The kind of a training column; warns of cells of another kind in a column of numbers or dates."""
        if column.levels is not None:
            return "ordered"
        if column.cells.dtype != object:
            return "number"
        marked = np.array([self._is_mark(cell) for cell in column.cells])
        found = [_number(cell, column.name, decimal, dates) for cell in column.cells[~marked]]
        unreadable = [
            cell for cell, number in zip(column.cells[~marked], found, strict=True) if number is None
        ]
        num_numbers = sum(number is not None and not math.isnan(number) for number in found)
        if not num_numbers:
            return "category" if unreadable or marked.any() else "number"
        if len(unreadable) > MOST_UNREADABLE * (num_numbers + len(unreadable)):
            return "category"
        if unreadable:
            what = "dates" if dates else "numbers"
            warnings.warn(
                f"column {column.name!r} holds {what}, but {len(unreadable)} of its {len(column.cells)} "
                f"training cells are not, and count as missing: {_listed(unreadable)}",
                UnreadableCellsWarning,
                stacklevel=2,
            )
        return "number"

    def _is_mark(self, cell: Any) -> bool:
        """Whether a cell marks a missing cell in a column of numbers."""
        if isinstance(cell, str):
            return bool(cell.strip()) and cell.strip().lower() in self.marks_
        return bool(self.marked_numbers_) and isinstance(cell, Number) and cell in self.marked_numbers_

    def _holds_dates(self, column: Column) -> bool:
        """Whether most cells that are not missing are dates."""
        if column.cells.dtype != object:
            return column.dates
        present = [cell for cell in column.cells if not self._is_gap(cell, column.name)]
        return sum(map(is_date, present)) > len(present) / 2

    def _as_numbers(self, column: Column, decimal: str, dates: bool) -> np.ndarray:
        if column.cells.dtype != object:
            if column.dates != dates:
                return np.full(len(column.cells), math.nan)
            marked = np.isin(column.cells, [] if dates else self.marked_numbers_)
            return np.where(marked, math.nan, column.cells)
        found = [
            math.nan if self._is_mark(cell) else _number(cell, column.name, decimal, dates)
            for cell in column.cells
        ]
        return np.array([math.nan if number is None else number for number in found], dtype=np.float64)

    def _as_categories(self, column: Column) -> np.ndarray:
        cells = np.empty(len(column.cells), dtype=object)
        for i, cell in enumerate(column.cells):
            cells[i] = math.nan if self._is_missing(cell, column.name) else text_of_cell(cell)
        return cells

    def _is_missing(self, cell: Any, name: str) -> bool:
        if self.na_values is not None and self._is_mark(cell):
            return True
        number = number_in_cell(cell, name)
        return number is not None and math.isnan(number)

    def _warn_unreadable(
        self, columns: Sequence[Column], numbers: np.ndarray, categories: np.ndarray
    ) -> None:
        """One warning for all columns of which most cells, of those not missing, cannot be read."""
        found, at_number, at_category = [], 0, 0
        for column, kind, dates in zip(columns, self.kinds_, self.dates_, strict=True):
            if kind == "category":
                known = set(self.categories_[0].categories_[at_category])
                cells = categories[:, at_category]
                unreadable = column.cells[[isinstance(c, str) and c not in known for c in cells]]
                at_category += 1
            else:
                unknown = np.isnan(numbers[:, at_number])
                at_number += 1
                if not unknown.any() or (column.cells.dtype != object and column.dates == dates):
                    continue
                unreadable = np.array(
                    [c for c in column.cells[unknown] if not self._is_gap(c, column.name)], dtype=object
                )
            num_present = sum(not self._is_gap(cell, column.name) for cell in column.cells)
            if len(unreadable) > num_present / 2:
                name = "categories of the training rows"
                if kind == "number":
                    name = "dates" if dates else "numbers"
                found.append(
                    f"column {column.name!r}: {len(unreadable)} of {len(column.cells)} cells are not {name}, "
                    f"such as {str(unreadable[0])[:20]!r}"
                )
        if found:
            more = f"; and {len(found) - 5} columns more" if len(found) > 5 else ""
            warnings.warn(
                f"cells that count as missing: {'; '.join(found[:5])}{more}",
                UnreadableCellsWarning,
                stacklevel=2,
            )

    def _warn_ambiguous(self, columns: Sequence[Column]) -> None:
        """A warning for each column of numbers whose commas are read without a hint of what they are."""
        for column, kind, trained in zip(columns, self.kinds_, self.decimals_, strict=True):
            if kind != "number" or trained is not None:
                continue
            texts = _with_commas(column)
            unclear = [text for text in texts if number_in_text(text, ".") != number_in_text(text, ",")]
            if unclear and _decimal(column) is None:
                warnings.warn(
                    f"column {column.name!r}: {unclear[0]!r} is read as {number_in_text(unclear[0]):g}, "
                    "since no cell shows whether its comma is a decimal mark; make numbers of such cells",
                    UnreadableCellsWarning,
                    stacklevel=2,
                )

    def _is_gap(self, cell: Any, name: str) -> bool:
        """Whether a cell is missing in the table itself."""
        return self._is_mark(cell) or self._is_missing(cell, name)


def _number(cell: Any, name: str, decimal: str, dates: bool) -> float | None:
    """The number in a cell, or its days if the column is of dates; NaN where it is missing, None where it
    is neither, or a date among numbers or a number among dates."""
    number = number_in_cell(cell, name, decimal)
    if number is None or math.isnan(number) or is_date(cell) == dates:
        return number
    return None


class _Scale(BaseEstimator):
    """Columns of numbers to where float32 distinguishes their cells, in float64 statistics that are robust.

    Three steps, each of which leaves plain columns unchanged: outliers are drawn in (`_Bounds`), so that one
    0 among timestamps or one -999 does not become the scale of the column; columns of huge or tiny numbers
    are scaled by a power of 2; columns far from 0, such as dates, are moved to their own origin. An infinity
    counts as a cell that lies as far beyond the column's last number as that is from its first.
    """

    def fit(self, X: np.ndarray, y: None = None) -> "_Scale":
        finite = np.isfinite(X)
        # Scaled to at most 1 for the statistics, which could overflow otherwise.
        self.unit_ = np.frexp(np.max(np.abs(X), axis=0, where=finite, initial=0))[1]
        X = np.ldexp(np.where(finite, X, np.nan), -self.unit_)
        self.bounds_ = _find_bounds(X)
        X = self.bounds_.draw_in(X)
        size = np.max(np.abs(X), axis=0, where=finite, initial=0)
        exponent = np.frexp(size)[1] + self.unit_
        is_plain = (size == 0) | (np.abs(exponent) <= PLAIN_EXPONENT)
        self.shift_ = np.where(is_plain, self.unit_, self.unit_ - exponent)
        X = np.ldexp(X, self.shift_)
        some = finite.any(axis=0)
        low = np.where(some, np.min(X, axis=0, where=finite, initial=np.inf), 0)
        high = np.where(some, np.max(X, axis=0, where=finite, initial=-np.inf), 0)
        width = high - low
        is_far = np.maximum(np.abs(low), np.abs(high)) > PLAIN_OFFSET * width
        self.offset_ = np.where(is_far, low, 0)
        width = np.where(width > 0, width, np.maximum(np.abs(high), 1))
        self.low_, self.high_ = low - width - self.offset_, high + width - self.offset_
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):  # a cell far beyond the training rows, which is cut below
            drawn = self.bounds_.draw_in(np.ldexp(np.where(np.isfinite(X), X, np.nan), -self.unit_))
            scaled = np.clip(np.ldexp(drawn, self.shift_) - self.offset_, -FARTHEST, FARTHEST)
        scaled = np.where(np.isposinf(X), self.high_, scaled)
        return np.where(np.isneginf(X), self.low_, scaled)


class _Bounds(NamedTuple):
    """Where outliers of each column begin (F,); infinite for columns without a spread."""

    low: np.ndarray
    high: np.ndarray
    spread: np.ndarray

    def draw_in(self, X: np.ndarray) -> np.ndarray:
        """Cells beyond the bounds at most FENCE spreads from them, in their order."""
        reach = FENCE * self.spread
        with np.errstate(over="ignore"):
            above = np.fmax(X - self.high, 0) / reach
            below = np.fmax(self.low - X, 0) / reach
        drawn = np.where(above > 0, self.high + reach * (1 - 1 / (1 + above)), X)
        return np.where(below > 0, self.low - reach * (1 - 1 / (1 + below)), drawn)


def _find_bounds(X: np.ndarray) -> _Bounds:
    """Bounds from the cells (T, F) of the training rows, NaN where missing.

    The spread is the distance between two quantiles: the quartiles, or the nearest wider ones that differ.
    """
    num_features = X.shape[1]
    low, high = np.full(num_features, -np.inf), np.full(num_features, np.inf)
    spread = np.ones(num_features)
    for i, column in enumerate(X.T):
        column = column[~np.isnan(column)]
        if not len(column):
            continue
        levels = [*TAILS, *(1 - tail for tail in TAILS)]
        lower, upper = np.split(np.quantile(column, levels), 2)
        apart = np.flatnonzero(upper > lower)
        if len(apart):
            first = apart[0]
            spread[i] = upper[first] - lower[first]
            low[i], high[i] = lower[first] - FENCE * spread[i], upper[first] + FENCE * spread[i]
    return _Bounds(low, high, spread)


def _category_encoder() -> Pipeline:
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan
    )
    return make_pipeline(encoder, _imputer("most_frequent"))


def _imputer(strategy: str) -> SimpleImputer:
    return SimpleImputer(strategy=strategy, add_indicator=True, keep_empty_features=True)


def _marks(na_values: Sequence[str] | None) -> tuple[frozenset[str], list[float]]:
    """The marks of missing cells in lower case, and those of the user that are numbers.

    Raises:
        ValueError: the user's are no list of texts.
    """
    if na_values is None:
        return NA_VALUES, []
    if isinstance(na_values, str) or not all(isinstance(mark, str) for mark in na_values):
        raise ValueError(f"na_values must be a list of texts, such as ['?', '-999'], got {na_values!r:.100}")
    numbers = [number_in_text(mark) for mark in na_values]
    return (
        frozenset(mark.strip().lower() for mark in na_values),
        [number for number in numbers if number is not None and not math.isnan(number)],
    )


def _decimal(column: Column) -> str | None:
    """The decimal mark that a column's cells show; None where both read as many of them."""
    texts = _with_commas(column)
    mark = decimal_mark(texts, ".")
    return mark if mark == decimal_mark(texts, ",") else None


def _with_commas(column: Column) -> list[str]:
    """Text that may hold a decimal comma."""
    if column.cells.dtype != object:
        return []
    return [cell for cell in column.cells if isinstance(cell, str) and "," in cell]


def _listed(cells: Sequence[Any]) -> str:
    """A few different cells, the most frequent first."""
    counts = Counter(map(str, cells)).most_common(4)
    listed = ", ".join(f"{text[:20]!r} ({count})" for text, count in counts[:3])
    return listed + (" and others" if len(counts) > 3 else "")


def _place(cell: Any, places: dict[Any, float]) -> float:
    try:
        return places.get(cell, math.nan)
    except TypeError:
        return math.nan
