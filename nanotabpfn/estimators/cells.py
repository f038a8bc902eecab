"""Cells: a single cell of a table as a number or as the text of a category."""

import datetime
import math
from collections.abc import Hashable
from numbers import Number
from typing import Any

import numpy as np

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
DAY_IN_MICROSECONDS = 86_400e6


def text_of_cell(cell: Any) -> str:
    """Of a category; 1, 1.0 and True read alike, so that a column is the same whoever stores it."""
    if isinstance(cell, bytes):
        return cell.decode(errors="replace")
    if isinstance(cell, bool | np.bool_):
        return str(bool(cell))
    if isinstance(cell, Number) and float(cell).is_integer():
        return str(int(cell))
    return str(cell)


def number_in_cell(cell: Any, name: str) -> float | None:
    """What a cell is as a number: NaN where it is missing, None where it is no number.

    Raises:
        TypeError: a cell that holds other things than text, numbers and dates.
    """
    if cell is None:
        return math.nan
    if isinstance(cell, float):  # numpy's float64 is one
        return cell
    if isinstance(cell, str | bytes):
        return number_in_text(cell.decode(errors="replace") if isinstance(cell, bytes) else cell)
    if isinstance(cell, datetime.date):  # a datetime is one, and so are pandas' time stamps
        return _days(cell)
    if isinstance(cell, datetime.timedelta):
        return math.nan if cell != cell else cell / datetime.timedelta(days=1)  # NaT differs from itself
    if isinstance(cell, np.datetime64 | np.timedelta64):
        unit = "datetime64[us]" if isinstance(cell, np.datetime64) else "timedelta64[us]"
        return math.nan if np.isnat(cell) else float(cell.astype(unit).astype(np.int64)) / DAY_IN_MICROSECONDS
    if isinstance(cell, datetime.time):
        return (cell.hour * 3600 + cell.minute * 60 + cell.second + cell.microsecond / 1e6) / 86_400
    if isinstance(cell, complex | np.complexfloating):
        raise ValueError(f"Complex data not supported: column {name!r} holds {cell!r}")
    if isinstance(cell, Number | np.bool_):
        try:
            return float(cell)
        except OverflowError:
            return math.inf if cell > 0 else -math.inf
        except ValueError:  # Decimal's signalling NaN
            return math.nan
    if type(cell).__name__ in ("NAType", "NaTType"):  # pandas' marks of a missing cell
        return math.nan
    if isinstance(cell, Hashable) and not isinstance(cell, tuple):
        return None  # pandas' periods and intervals, identifiers: their text is a category
    raise TypeError(
        f"argument must be a string or a number: column {name!r} of X holds a {type(cell).__name__}: "
        f"{str(cell)[:60]!r}; make columns of what it holds"
    )


def number_in_text(text: str) -> float | None:
    text = text.strip()
    if not text:
        return math.nan
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return _days(datetime.datetime.fromisoformat(text))
    except ValueError:
        return None


def _days(date: datetime.date) -> float:
    """Since 1970, in UTC where it has a time zone."""
    if date != date:  # pandas' NaT
        return math.nan
    if not isinstance(date, datetime.datetime):
        date = datetime.datetime(date.year, date.month, date.day)
    date = date.replace(tzinfo=datetime.UTC) if date.tzinfo is None else date
    return (date - EPOCH) / datetime.timedelta(days=1)
