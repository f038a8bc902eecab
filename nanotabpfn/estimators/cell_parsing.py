"""Cells: a single cell of a table as a number or as the text of a category.

Numbers in text are read as people write them: with a decimal point or comma, separated thousands, a percent
sign. Which of "." and "," is the decimal mark is a property of the column (`decimal_mark`).
"""

import datetime
import math
import re
from collections.abc import Hashable, Iterable
from numbers import Number
from typing import Any

import numpy as np

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
DAY_IN_MICROSECONDS = 86_400e6

NA_VALUES = frozenset(
    "? - -- --- . * #n/a #na n/a na n.a. nan nil none null <na> missing unknown".split()  # noqa: SIM905
)
"""Text that marks a missing cell in a column of numbers, in lower case."""

_SPACES = "[ \u00a0\u2009\u202f'\u2019]"  # other separators of thousands: "1 234", "1'234"
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_GROUPED = {  # thousands in groups; a leading 0 is no group: "0,123" has a decimal comma
    ".": re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:(?:,\d{{3}})+|(?:{_SPACES}\d{{3}})+)(?:\.\d*)?{_EXPONENT}"),
    ",": re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:(?:\.\d{{3}})+|(?:{_SPACES}\d{{3}})+)(?:,\d*)?{_EXPONENT}"),
}
_DECIMAL_COMMA = re.compile(rf"[+-]?(?:\d+,\d*|,\d+){_EXPONENT}")


def text_of_cell(cell: Any) -> str:
    """The text of a category; 1 and 1.0 have the same, so that a column does not depend on its container.

    >>> text_of_cell(1.0), text_of_cell("red"), text_of_cell(b"red")
    ('1', 'red', 'red')
    """
    if isinstance(cell, bytes):
        return cell.decode(errors="replace")
    if isinstance(cell, bool | np.bool_):
        return str(bool(cell))
    if isinstance(cell, Number) and float(cell).is_integer():
        return str(int(cell))
    return str(cell)


def number_in_cell(cell: Any, name: str, decimal: str = ".") -> float | None:
    """A cell as a number: NaN where it is missing, None where it is not a number.

    Args:
        cell: text, a number, a date, a time or a mark of a missing cell.
        name: of its column, for messages.
        decimal: the decimal mark of numbers in text, "." or ",".

    Raises:
        TypeError: a cell that holds other things than text, numbers and dates.

    >>> number_in_cell("12.5", "price"), number_in_cell(True, "paid"), number_in_cell("cheap", "price")
    (12.5, 1.0, None)
    """
    if cell is None:
        return math.nan
    if isinstance(cell, float):  # numpy's float64 is one
        return cell
    if isinstance(cell, str | bytes):
        return number_in_text(cell.decode(errors="replace") if isinstance(cell, bytes) else cell, decimal)
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


def number_in_text(text: str, decimal: str = ".") -> float | None:
    """A number, or an ISO date as days; NaN where the text is empty, None where it is neither.

    Percent are hundredths. Where the text is not a number with the decimal mark, the other mark is tried.

    >>> number_in_text("1,234.5"), number_in_text("1.234,5"), number_in_text("50 %"), number_in_text("1_2")
    (1234.5, 1234.5, 0.5, None)
    >>> number_in_text("1.234"), number_in_text("1.234", decimal=",")
    (1.234, 1234.0)
    """
    text = text.strip()
    if not text:
        return math.nan
    for mark in (decimal, "." if decimal == "," else ","):
        number = _written_number(text, mark)
        if number is not None:
            return number
    date = _written_date(text)
    return None if date is None else _days(date)


def is_date(cell: Any) -> bool:
    """Whether a cell is a date, or text that `number_in_text` reads as one.

    >>> is_date("2026-01-31"), is_date(datetime.date(2026, 1, 31)), is_date("20260131"), is_date(5.0)
    (True, True, False, False)
    """
    if isinstance(cell, bytes):
        cell = cell.decode(errors="replace")
    if isinstance(cell, str):
        text = cell.strip()
        is_number = any(_written_number(text, mark) is not None for mark in (".", ","))
        return not is_number and _written_date(text) is not None
    return isinstance(cell, datetime.date | np.datetime64)


def decimal_mark(texts: Iterable[str], default: str = ".") -> str:
    """The decimal mark with which more of the texts are numbers; `default` where both read as many.

    >>> decimal_mark(["3,14", "2,5"]), decimal_mark(["1,234", "2,500"]), decimal_mark(["0,123", "2,500"])
    (',', '.', ',')
    """
    texts = [text.strip() for text in texts if "," in text]
    points, commas = (sum(_written_number(text, mark) is not None for text in texts) for mark in ".,")
    if points == commas:
        return default
    return "," if commas > points else "."


def _written_number(text: str, decimal: str) -> float | None:
    """A number with this decimal mark, or None."""
    if text.endswith("%"):
        number = _written_number(text[:-1].rstrip(), decimal)
        return None if number is None else number / 100
    text = text.replace("\u2212", "-")  # the minus sign
    if _GROUPED[decimal].fullmatch(text):
        text = re.sub(rf"{_SPACES}|{re.escape(',' if decimal == '.' else '.')}", "", text)
        return float(text.replace(",", "."))
    if decimal == "," and _DECIMAL_COMMA.fullmatch(text):
        return float(text.replace(",", "."))
    if "_" in text:  # Python's own notation, which a table does not have
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _written_date(text: str) -> datetime.datetime | None:
    """An ISO date, or None."""
    try:
        return datetime.datetime.fromisoformat(text)
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
