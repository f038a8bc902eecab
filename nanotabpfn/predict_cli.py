"""`nanotabpfn predict`: from a table with labels and one without to a file of predictions."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from nanotabpfn.checkpoint import write_atomically
from nanotabpfn.classifier import ENSEMBLE_SIZE, NanoTabPFNClassifier
from priors.console import PlainError

if TYPE_CHECKING:
    import pandas as pd

table_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("predict")
@click.option("--train", "train_file", type=table_file, required=True, help="Table with labels.")
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
    "--n-estimators", type=click.IntRange(min=1), default=ENSEMBLE_SIZE, show_default=True, help="Ensemble."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the ensemble.")
def predict_command(
    train_file: Path,
    target: str,
    test_file: Path,
    out: Path,
    model: Path | None,
    n_estimators: int,
    seed: int,
) -> None:
    """Learn the classes of one table, and predict those of another.

    Tables are CSV or Parquet (.csv, .parquet), as they come: text, dates and gaps are fine. The predictions
    have the column `prediction`, and for each class the column `probability_CLASS`.

    \b
    nanotabpfn predict --train train.csv --target species --test test.csv --out predictions.csv
    """
    _check_suffix(out)
    if not out.parent.is_dir():
        raise PlainError(f"--out: {out.parent} is no directory")
    train, test = _read(train_file), _read(test_file)
    if target not in train.columns:
        known = ", ".join(map(str, train.columns[:20]))
        raise PlainError(f"--target: {train_file} has no column {target!r}, but {known}")
    features = [name for name in train.columns if name != target]
    if not features or not len(test):
        raise PlainError(
            f"{train_file if not features else test_file}: needs rows, and columns beside the target"
        )
    lacking = [repr(name) for name in features if name not in test.columns]
    if lacking:
        raise PlainError(f"{test_file} lacks columns that {train_file} has: {', '.join(lacking)}")
    labels = train[target]
    if labels.isna().any():
        raise PlainError(
            f"{train_file}: {labels.isna().sum()} of {len(labels)} rows have no {target!r}; leave them out"
        )
    classifier = NanoTabPFNClassifier(model, n_estimators=n_estimators, random_state=seed)
    try:
        classifier.fit(train[features], labels)
        probabilities = classifier.predict_proba(test[features])
    except (TypeError, ValueError) as error:
        raise PlainError(" ".join(str(error).split())) from error
    _write(out, classifier.classes_, probabilities)
    click.echo(f"{out}: {len(test)} predictions of {len(classifier.classes_)} classes")


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise PlainError(f"{path}: must end in .csv or .parquet")


def _read(path: Path) -> "pd.DataFrame":
    _check_suffix(path)
    pd = _pandas()
    try:
        return pd.read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pandas' and pyarrow's errors are among them
        raise PlainError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error


def _write(path: Path, classes: np.ndarray, probabilities: np.ndarray) -> None:
    frame = _pandas().DataFrame(probabilities, columns=[f"probability_{label}" for label in classes])
    frame.insert(0, "prediction", classes[probabilities.argmax(axis=1)])
    try:
        if path.suffix.lower() == ".csv":
            write_atomically(path, frame.to_csv(index=False).encode())
        else:
            content = io.BytesIO()
            frame.to_parquet(content, index=False)
            write_atomically(path, content.getvalue())
    except OSError as error:
        raise PlainError(f"{path}: cannot be written: {error.strerror}") from error


def _pandas():
    try:
        import pandas
        import pyarrow  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'reading tables needs {error.name}: pip install "nanotabpfn-priors[predict]"'
        ) from error
    return pandas
