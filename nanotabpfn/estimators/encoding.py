"""Encoding: columns of any kind to a finite float32 matrix, fitted on the training rows alone.

Axis letters: T training rows, N rows, F columns of the table, G features of the matrix.

`columns.read_table` takes a table apart into columns; `TableEncoder` learns from the training rows what
becomes of each column:

- numbers, booleans (0 and 1), dates (days), durations (days), and text that reads as a number or an ISO date
  in every training row: a number;
- ordered categories (pandas' ordered, polars' Enum): their place in the order;
- all else: a category, numbered in alphabetical order.

A cell that cannot be read as its column's kind, such as a category that the training rows lack, counts as
missing. Missing numbers become the median, missing categories the most frequent one, and a column with
missing cells in training gets an indicator column, 0 or 1: that a cell is missing can be informative.

A table of plain finite numbers is left unchanged.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from nanotabpfn.estimators.cells import number_in_cell, text_of_cell
from nanotabpfn.estimators.columns import Column

PLAIN_EXPONENT = 40
"""Columns whose largest number is between 2**-40 and 2**40 keep their scale: float32 squares them safely."""
PLAIN_OFFSET = 2**10
"""Columns this many times farther from 0 than they are wide are moved to 0, since float32 has 24 bits."""
FARTHEST = 2.0**64
"""How far from 0 a cell can be, after that; the model cuts z-scores at 100 anyway."""


class TableEncoder(BaseEstimator):
    """Columns of `read_table` to a finite matrix; fitted on training rows alone.

    Attributes:
        kinds_: of each column: `number`, `ordered` or `category`.
        num_features_: G.
    """

    def fit(self, columns: Sequence[Column]) -> "TableEncoder":
        """Learn the kinds of the columns, and what stands for missing cells."""
        self.levels_ = [column.levels for column in columns]
        self.kinds_ = [_kind(column) for column in columns]
        numbers, categories = self._split(columns)
        self.numbers_ = make_pipeline(_Scale(), _imputer("median")).fit(numbers) if numbers.size else None
        self.categories_ = _category_encoder().fit(categories) if categories.size else None
        self.num_features_ = self.transform(
            [column._replace(cells=column.cells[:1]) for column in columns]
        ).shape[1]
        return self

    def transform(self, columns: Sequence[Column]) -> np.ndarray:
        """(N, G) float32, all finite: the numbers, their gaps, then the categories and theirs."""
        numbers, categories = self._split(columns)
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
        for column, kind, levels in zip(columns, self.kinds_, self.levels_, strict=True):
            if kind == "category":
                categories.append(_as_categories(column))
            elif kind == "ordered":
                places = {level: float(place) for place, level in enumerate(levels)}
                numbers.append(np.array([_place(cell, places) for cell in column.cells]))
            else:
                numbers.append(_as_numbers(column))
        return (
            np.column_stack(numbers) if numbers else np.empty((num_rows, 0)),
            np.column_stack(categories) if categories else np.empty((num_rows, 0), dtype=object),
        )


class _Scale(BaseEstimator):
    """Huge, tiny and far-off columns brought to where float32 can tell their cells apart; infinities placed.

    An infinity counts as a cell that lies as far beyond the column's last number as that is from its first.
    """

    def fit(self, X: np.ndarray, y: None = None) -> "_Scale":
        finite = np.isfinite(X)
        size = np.max(np.abs(X), axis=0, where=finite, initial=0)
        exponent = np.frexp(size)[1]
        self.exponent_ = np.where((size == 0) | (np.abs(exponent) <= PLAIN_EXPONENT), 0, exponent)
        X = np.ldexp(X, -self.exponent_)
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
            scaled = np.clip(np.ldexp(X, -self.exponent_) - self.offset_, -FARTHEST, FARTHEST)
        scaled = np.where(np.isposinf(X), self.high_, scaled)
        return np.where(np.isneginf(X), self.low_, scaled)


def _category_encoder() -> Pipeline:
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan
    )
    return make_pipeline(encoder, _imputer("most_frequent"))


def _imputer(strategy: str) -> SimpleImputer:
    return SimpleImputer(strategy=strategy, add_indicator=True, keep_empty_features=True)


def _kind(column: Column) -> str:
    if column.levels is not None:
        return "ordered"
    if column.cells.dtype != object:
        return "number"
    return (
        "number"
        if all(number_in_cell(cell, column.name) is not None for cell in column.cells)
        else "category"
    )


def _as_numbers(column: Column) -> np.ndarray:
    if column.cells.dtype != object:
        return column.cells
    numbers = (number_in_cell(cell, column.name) for cell in column.cells)
    return np.array([math.nan if number is None else number for number in numbers], dtype=np.float64)


def _as_categories(column: Column) -> np.ndarray:
    cells = np.empty(len(column.cells), dtype=object)
    for i, cell in enumerate(column.cells):
        number = number_in_cell(cell, column.name)
        is_missing = number is not None and math.isnan(number)
        cells[i] = math.nan if is_missing else text_of_cell(cell)
    return cells


def _place(cell: Any, places: dict[Any, float]) -> float:
    try:
        return places.get(cell, math.nan)
    except TypeError:
        return math.nan
