"""What `nanotabpfn predict` does: reads two tables, predicts the target of one, writes the predictions."""

import csv
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from sklearn.utils.multiclass import type_of_target

from nanotabpfn.estimators.cell_parsing import decimal_mark, number_in_text
from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.estimators.regressor import NanoTabPFNRegressor
from nanotabpfn.evaluation.pandas_import import import_pandas
from nanotabpfn.model.checkpoint import write_atomically
from priors.console import PlainError

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = (",", ";", "\t", "|")
"""Of columns in a CSV; the one that cuts its first line into most fields is taken, the first of equals."""


class Layout(NamedTuple):
    """How the CSV files are written; None: as the file shows."""

    separator: str | None
    decimal: str | None
    encoding: str
    na_values: list[str] | None


class Tables(NamedTuple):
    """What is learned from, and what is predicted."""

    x: "pd.DataFrame"
    y: "pd.Series"
    x_test: "pd.DataFrame"


def predict_files(
    files: tuple[Path, str, Path],
    out: Path,
    problem: str,
    quantiles: Sequence[float],
    layout: Layout,
    settings: dict[str, Any],
) -> tuple[str, dict[str, Any]]:
    """Write the predictions to `out`, and return what was done, in a line and for --json.

    Warnings go to stderr.

    Args:
        files: the table with targets, the column that holds them, the table to predict.
        problem: classification or regression.
        settings: of the estimator.

    Raises:
        PlainError: a file that cannot be read or written, or a table that the estimator does not take.
    """
    tables = _read_tables(*files, layout)
    tables = tables._replace(y=_read_target(files[0], tables.y, problem))
    predict = _predict_classes if problem == "classification" else _predict_numbers
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            predictions, kind = predict(settings, tables, quantiles)
        except (TypeError, ValueError) as error:
            raise PlainError(" ".join(str(error).split())) from error
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        click.echo(f"Warning: {message}", err=True)
    _write(out, predictions)
    document = {"out": out, "num_predictions": len(predictions), "columns": list(predictions.columns)}
    return f"{out}: {len(predictions)} predictions of {kind}", document


def _read_tables(train_file: Path, target: str, test_file: Path, layout: Layout) -> Tables:
    """The features and the target of the one table, and the same features of the other."""
    train, test = _read(train_file, layout), _read(test_file, layout)
    if target not in train.columns:
        known = ", ".join(map(str, train.columns[:20]))
        raise PlainError(f"--target: {train_file} has no column {target!r}, but {known}")
    features = [name for name in train.columns if name != target]
    if not features or not len(test):
        raise PlainError(
            f"{train_file if not features else test_file}: needs rows, and columns other than the target"
        )
    lacking = [repr(name) for name in features if name not in test.columns]
    if lacking:
        raise PlainError(f"{test_file} lacks columns that {train_file} has: {', '.join(lacking)}")
    return Tables(train[features], train[target], test[features])


def _read_target(file: Path, y: "pd.Series", problem: str) -> "pd.Series":
    """The target without missing labels; in regression also numbers that are written as text."""
    if y.isna().any():
        raise PlainError(f"{file}: {y.isna().sum()} of {len(y)} rows have no {y.name!r}; leave them out")
    if problem == "classification":
        if type_of_target(y) == "continuous":
            raise PlainError(f"--target: {y.name!r} holds real numbers; --problem regression predicts such")
        return y
    texts = [cell for cell in y if isinstance(cell, str)]
    if len(texts) < len(y):
        return y
    mark = decimal_mark(texts)
    numbers = [number_in_text(text, mark) for text in texts]
    if None in numbers:
        raise PlainError(
            f"--target: {y.name!r} holds {numbers.count(None)} texts that are no numbers, such as "
            f"{texts[numbers.index(None)]!r}; --problem classification predicts texts"
        )
    return import_pandas("predict").Series(numbers, y.index, name=y.name)


def _predict_classes(
    settings: dict[str, Any], tables: Tables, quantiles: Sequence[float]
) -> tuple["pd.DataFrame", str]:
    """The predictions, and what they are of."""
    classifier = NanoTabPFNClassifier(**settings).fit(tables.x, tables.y)
    probabilities, classes = classifier.predict_proba(tables.x_test), classifier.classes_
    names = [f"probability_{label}" for label in classes]
    frame = import_pandas("predict").DataFrame(probabilities, columns=names)
    frame.insert(0, "prediction", classes[probabilities.argmax(axis=1)])
    return frame, f"{len(classes)} classes"


def _predict_numbers(
    settings: dict[str, Any], tables: Tables, quantiles: Sequence[float]
) -> tuple["pd.DataFrame", str]:
    """The predictions, and what they are of."""
    regressor = NanoTabPFNRegressor(**settings).fit(tables.x, tables.y)
    frame = import_pandas("predict").DataFrame({"prediction": regressor.predict(tables.x_test)})
    if quantiles:
        found = regressor.predict(tables.x_test, output="quantiles", quantiles=quantiles)
        frame[[f"quantile_{probability:g}" for probability in quantiles]] = found
    return frame, f"{tables.y.name!r}"


def check_out(path: Path) -> None:
    """Refuse a place where no predictions can be written, before any work.

    Raises:
        PlainError: an ending that is not known, or no such folder.
    """
    _check_suffix(path)
    if not path.parent.is_dir():
        raise PlainError(f"--out: {path.parent} is no directory")


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise PlainError(f"{path}: must end in .csv or .parquet")


def _read(path: Path, layout: Layout) -> "pd.DataFrame":
    """A table with the spaces around the names of its columns removed.

    Raises:
        PlainError: a file that cannot be read, or two columns of one name.
    """
    _check_suffix(path)
    pd = import_pandas("predict", "pyarrow")
    try:
        frame = _read_csv(pd, path, layout) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except UnicodeDecodeError as error:
        raise PlainError(
            f"{path}: is not text in {layout.encoding}; --encoding cp1252 or latin-1 reads files of older "
            "programs, utf-16 those of some spreadsheets"
        ) from error
    except LookupError as error:
        raise PlainError(f"--encoding: {error}") from error
    except (OSError, ValueError) as error:  # pandas' and pyarrow's errors are among them
        raise PlainError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    _check_names(path, frame.columns.map(str))
    frame.columns = frame.columns.map(str).str.strip()
    return frame


def _read_csv(pd: Any, path: Path, layout: Layout) -> "pd.DataFrame":
    encoding = "utf-8-sig" if layout.encoding.lower() in ("utf-8", "utf8") else layout.encoding
    with path.open(encoding=encoding, newline="") as file:
        first_line = file.readline()
        separator = layout.separator or max(SEPARATORS, key=lambda mark: len(_fields(first_line, mark)))
    _check_names(path, [name for name in _fields(first_line, separator) if name.strip()])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of fields that no column takes
            return pd.read_csv(
                path,
                sep=separator,
                decimal=layout.decimal or ".",
                encoding=encoding,
                index_col=False,  # a separator at the end of each row does not make the first field its name
                na_values=layout.na_values,
                skipinitialspace=True,
                low_memory=False,
            )
    except pd.errors.ParserWarning as warning:
        raise PlainError(
            f"{path}: its rows have more fields than its first line has names; name every column"
        ) from warning


def _fields(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def _check_names(path: Path, names: Sequence[str]) -> None:
    names = [name.strip() for name in names]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise PlainError(f"{path}: has {names.count(twice)} columns named {twice!r}; rename all but one")


def _write(path: Path, frame: "pd.DataFrame") -> None:
    try:
        if path.suffix.lower() == ".csv":
            write_atomically(path, frame.to_csv(index=False).encode())
        else:
            content = io.BytesIO()
            frame.to_parquet(content, index=False)
            write_atomically(path, content.getvalue())
    except OSError as error:
        raise PlainError(f"{path}: cannot be written: {error.strerror}") from error
