"""`nanotabpfn predict`: from a table with targets and one without to a file of predictions."""

import math
from pathlib import Path

import click

from nanotabpfn.cli.options import device_option, resolve_device
from priors.console import Choice, PlainError, json_option, report
from priors.dumps.schema import PROBLEM_TYPES

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
    type=Choice(PROBLEM_TYPES),
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
    type=Choice([".", ","]),
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
    if separator is not None and len(separator) != 1:
        raise PlainError(f"--separator: must be one character, got {separator!r}")

    from nanotabpfn.cli.predict_run import check_out, predict_files
    from nanotabpfn.cli.predict_tables import Layout

    check_out(out)
    marks = None if na_values is None else [mark.strip() for mark in na_values.split(",")]
    settings = {
        "model": model,
        "n_estimators": n_estimators,
        "random_state": seed,
        "na_values": marks,
        "device": resolve_device(device),
    }
    layout = Layout(separator, decimal, encoding, marks)
    files = (train_file, target.strip(), test_file)
    done, document = predict_files(files, out, problem, quantiles, layout, settings)
    report(as_json, done, document)
