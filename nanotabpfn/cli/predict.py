"""`nanotabpfn predict`: from a table with targets and one without to a file of predictions."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from sklearn.utils.multiclass import type_of_target

from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.estimators.regressor import NanoTabPFNRegressor
from nanotabpfn.evaluation.pandas_import import import_pandas
from nanotabpfn.model.checkpoint import write_atomically
from priors.console import PlainError
from priors.dumps.schema import PROBLEM_TYPES

if TYPE_CHECKING:
    import pandas as pd

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
@click.option("--target", required=True, metavar="COLUMN", help="Its column that holds them.")
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
    help="Of a real target, such as 0.1,0.9: a column for each, after the mean.",
)
@click.option(
    "--n-estimators",
    type=click.IntRange(min=1),
    help="Ensemble.  [default: 8; 1 in regression]",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the ensemble.")
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
) -> None:
    """Learn the target of one table, and predict that of another.

    Tables are CSV or Parquet (.csv, .parquet), as they come: text, dates and gaps are fine. The predictions
    have the column `prediction`, and for each class the column `probability_CLASS`, or for each of the
    quantiles of a real target the column `quantile_PROBABILITY`.

    \b
    nanotabpfn predict --train train.csv --target species --test test.csv --out predictions.csv
    nanotabpfn predict --train train.csv --target price --test test.csv --out predictions.csv \\
        --problem regression --quantiles 0.1,0.9
    """
    if quantiles and problem != "regression":
        raise PlainError("--quantiles: needs --problem regression")
    _check_out(out)
    tables = _read_tables(train_file, target, test_file)
    _check_target(train_file, tables.y, problem)
    predict = _predict_classes if problem == "classification" else _predict_numbers
    settings = {"model": model, "n_estimators": n_estimators, "random_state": seed}
    try:
        predictions, kind = predict(settings, tables, quantiles)
    except (TypeError, ValueError) as error:
        raise PlainError(" ".join(str(error).split())) from error
    _write(out, predictions)
    click.echo(f"{out}: {len(predictions)} predictions of {kind}")


class _Tables(NamedTuple):
    """What is learned from, and what is predicted."""

    x: "pd.DataFrame"
    y: "pd.Series"
    x_test: "pd.DataFrame"


def _read_tables(train_file: Path, target: str, test_file: Path) -> _Tables:
    """The features and the target of the one table, and the same features of the other."""
    train, test = _read(train_file), _read(test_file)
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


def _check_target(file: Path, y: "pd.Series", problem: str) -> None:
    if y.isna().any():
        raise PlainError(f"{file}: {y.isna().sum()} of {len(y)} rows have no {y.name!r}; leave them out")
    if problem == "classification" and type_of_target(y) == "continuous":
        raise PlainError(f"--target: {y.name!r} holds real numbers; --problem regression predicts such")


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


def _read(path: Path) -> "pd.DataFrame":
    _check_suffix(path)
    pd = import_pandas("predict", "pyarrow")
    try:
        return pd.read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pandas' and pyarrow's errors are among them
        raise PlainError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error


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
