"""What `nanotabpfn predict` does: learns from one table, predicts the target of another, writes it."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nanotabpfn.cli.predict_tables import Layout, Tables, check_suffix, is_csv, read_tables
from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.estimators.regressor import NanoTabPFNRegressor
from nanotabpfn.evaluation.pandas_import import import_pandas
from nanotabpfn.model.checkpoint import write_atomically
from priors.console import PlainError

if TYPE_CHECKING:
    import pandas as pd


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
    tables = read_tables(*files, layout, problem)
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
        frame[[f"quantile_{probability}" for probability in quantiles]] = found
    return frame, f"{tables.y.name!r}"


def check_out(path: Path) -> None:
    """Refuse a place where no predictions can be written, before any work.

    Raises:
        PlainError: an ending that is not known, or no such folder.
    """
    check_suffix(path)
    if not path.parent.is_dir():
        raise PlainError(f"--out: {path.parent} is no directory")


def _write(path: Path, frame: "pd.DataFrame") -> None:
    try:
        if is_csv(path):
            write_atomically(path, frame.to_csv(index=False).encode())
        else:
            content = io.BytesIO()
            frame.to_parquet(content, index=False)
            write_atomically(path, content.getvalue())
    except OSError as error:
        raise PlainError(f"{path}: cannot be written: {error.strerror}") from error
