"""`nanotabpfn predict`: from a table with targets and one without to a file of predictions."""

import csv
import io
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from sklearn.utils.multiclass import type_of_target

from nanotabpfn.cli.options import device_option, resolve_device
from nanotabpfn.estimators.cell_parsing import decimal_mark, number_in_text
from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.estimators.regressor import NanoTabPFNRegressor
from nanotabpfn.evaluation.pandas_import import import_pandas
from nanotabpfn.model.checkpoint import write_atomically
from priors.console import PlainError, json_option, report
from priors.dumps.schema import PROBLEM_TYPES

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = (",", ";", "\t", "|")
"""Of columns in a CSV; the one that cuts its first line into most fields is taken, the first of equals."""

table_file = click.Path(exists=True, dir_okay=False, path_type=Path)


def _read_quantiles(context: click.Context, parameter: click.Parameter, text: str | None) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")] if text else []
    except ValueError:
        found = [math.nan]
    if not all(0 < probability < 1 for probability in found) or len(set(found)) < len(found):
        raise PlainError(f"--quantiles: must be numbers above 0 and below 1, each once, got {text!r}")
    return found


@click.command("predict")
@click.option("--train", "train_file", type=table_file, required=True, help="Table with targets.")
@click.option("--target", required=True, metavar="COLUMN", help="Column of --train with the targets.")
@click.option(
    "--test", "test_file", type=table_file, required=True, help="Table to predict, the same columns."
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Predictions, a row for each of the test table; what is there is replaced.",
)
@click.option(
    "--model",
    type=click.Path(exists=True, path_type=Path),
    help="Directory of a run, or the file of a model.  [default: the one that ships with the package]",
)
@click.option(
    "--problem",
    type=click.Choice(PROBLEM_TYPES),
    default="classification",
    show_default=True,
    help="Whether the target is a class or a real number.",
)
@click.option(
    "--quantiles",
    metavar="LIST",
    callback=_read_quantiles,
    help="Quantiles of a real target, such as 0.1,0.9: a column for each, after the mean.",
)
@click.option(
    "--n-estimators",
    type=click.IntRange(min=1),
    help="Members of the ensemble.  [default: 8; 1 in regression]",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the ensemble."
)
@click.option(
    "--separator",
    metavar="CHAR",
    help="Character between the columns of a CSV.  [default: from its first line]",
)
@click.option(
    "--decimal",
    type=click.Choice([".", ","]),
    help="Decimal mark of the numbers in a CSV.  [default: each column's own]",
)
@click.option("--encoding", default="utf-8", show_default=True, help="Text encoding of a CSV.")
@click.option(
    "--na-values",
    metavar="LIST",
    help="Texts that mark a missing cell, such as '?,unknown'.  [default: the usual ones in numbers]",
)
@device_option
@json_option
def predict_command(
    train_file: Path,
    target: str,
    test_file: Path,
    out: Path,
    model: Path | None,
    problem: str,
    quantiles: list[float],
    n_estimators: int | None,
    seed: int,
    separator: str | None,
    decimal: str | None,
    encoding: str,
    na_values: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Learn the target of one table, and predict that of another.

    Tables are CSV or Parquet (.csv, .parquet) and may hold text, dates and missing cells. The
    predictions have the column `prediction`, and for each class the column `probability_CLASS`, or for each
    of the quantiles of a real target the column `quantile_PROBABILITY`. Cells that cannot be read are listed
    on stderr.

    \b
    nanotabpfn predict --train train.csv --target species --test test.csv --out predictions.csv
    nanotabpfn predict --train train.csv --target price --test test.csv --out predictions.csv \\
        --problem regression --quantiles 0.1,0.9
    """
    if quantiles and problem != "regression":
        raise PlainError("--quantiles: needs --problem regression")
    _check_out(out)
    device = resolve_device(device)
    if separator is not None and len(separator) != 1:
        raise PlainError(f"--separator: must be one character, got {separator!r}")
    marks = None if na_values is None else [mark.strip() for mark in na_values.split(",")]
    layout = _Layout(separator, decimal, encoding, marks)
    tables = _read_tables(train_file, target.strip(), test_file, layout)
    tables = tables._replace(y=_read_target(train_file, tables.y, problem))
    predict = _predict_classes if problem == "classification" else _predict_numbers
    settings = {
        "model": model,
        "n_estimators": n_estimators,
        "random_state": seed,
        "na_values": marks,
        "device": device,
    }
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
    report(as_json, f"{out}: {len(predictions)} predictions of {kind}", document)


class _Layout(NamedTuple):
    """How the CSV files are written; None: as the file shows."""

    separator: str | None
    decimal: str | None
    encoding: str
    na_values: list[str] | None


class _Tables(NamedTuple):
    """What is learned from, and what is predicted."""

    x: "pd.DataFrame"
    y: "pd.Series"
    x_test: "pd.DataFrame"


def _read_tables(train_file: Path, target: str, test_file: Path, layout: _Layout) -> _Tables:
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
    return _Tables(train[features], train[target], test[features])


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
    settings: dict[str, Any], tables: _Tables, quantiles: Sequence[float]
) -> tuple["pd.DataFrame", str]:
    """The predictions, and what they are of."""
    classifier = NanoTabPFNClassifier(**settings).fit(tables.x, tables.y)
    probabilities, classes = classifier.predict_proba(tables.x_test), classifier.classes_
    names = [f"probability_{label}" for label in classes]
    frame = import_pandas("predict").DataFrame(probabilities, columns=names)
    frame.insert(0, "prediction", classes[probabilities.argmax(axis=1)])
    return frame, f"{len(classes)} classes"


def _predict_numbers(
    settings: dict[str, Any], tables: _Tables, quantiles: Sequence[float]
) -> tuple["pd.DataFrame", str]:
    """The predictions, and what they are of."""
    regressor = NanoTabPFNRegressor(**settings).fit(tables.x, tables.y)
    frame = import_pandas("predict").DataFrame({"prediction": regressor.predict(tables.x_test)})
    if quantiles:
        found = regressor.predict(tables.x_test, output="quantiles", quantiles=quantiles)
        frame[[f"quantile_{probability:g}" for probability in quantiles]] = found
    return frame, f"{tables.y.name!r}"


def _check_out(path: Path) -> None:
    _check_suffix(path)
    if not path.parent.is_dir():
        raise PlainError(f"--out: {path.parent} is no directory")


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise PlainError(f"{path}: must end in .csv or .parquet")


def _read(path: Path, layout: _Layout) -> "pd.DataFrame":
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


def _read_csv(pd: Any, path: Path, layout: _Layout) -> "pd.DataFrame":
    encoding = "utf-8-sig" if layout.encoding.lower() in ("utf-8", "utf8") else layout.encoding
    with path.open(encoding=encoding, newline="") as file:
        first_line = file.readline()
        separator = layout.separator or max(SEPARATORS, key=lambda mark: len(_fields(first_line, mark)))
    _check_names(path, [name for name in _fields(first_line, separator) if name.strip()])
    return pd.read_csv(
        path,
        sep=separator,
        decimal=layout.decimal or ".",
        encoding=encoding,
        na_values=layout.na_values,
        skipinitialspace=True,
        low_memory=False,
    )


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
