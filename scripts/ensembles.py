"""Ensembles measured on real tables: what more members gain, and how symmetric their predictions are."""

from collections.abc import Sequence
from typing import Any

import click
import numpy as np

from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.estimators.regressor import NanoTabPFNRegressor
from nanotabpfn.evaluation.protocol import FIGURES, Task, evaluate, prepare, without_range_warnings
from nanotabpfn.evaluation.suites import REGRESSION_SUITES, SUITES, load_suite

members_option = click.option(
    "--members",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1, 2, 4, 8),
    show_default=True,
    help="Of each ensemble.",
)
model_option = click.option(
    "--model", type=click.Path(exists=True), help="File or run.  [default: the shipped one]"
)


@click.group()
def main() -> None:
    """Measure ensembles, and print a Markdown table."""


@main.command("gain")
@members_option
@model_option
@click.option("--suite", type=click.Choice([*SUITES, *REGRESSION_SUITES]), default="open", show_default=True)
def gain_command(members: tuple[int, ...], model: str | None, suite: str) -> None:
    """Score ensembles by the published protocol: their gain on one member, paired over tables."""
    problem_type = "regression" if suite in REGRESSION_SUITES else "classification"
    make = NanoTabPFNRegressor if problem_type == "regression" else NanoTabPFNClassifier
    figure = FIGURES[problem_type]
    estimators = {str(count): make(model, "cpu", n_estimators=count) for count in sorted({1, *members})}
    scores = evaluate(estimators, load_suite(suite), problem_type)
    click.echo(
        f"| members | mean {'R2' if figure == 'r2' else 'ROC AUC'} | gain on one | standard error | "
        "tables better |\n|--:|--:|--:|--:|--:|"
    )
    found = {
        name: np.array([getattr(s, figure) for s in scores if s.estimator == name]) for name in estimators
    }
    for name, values in found.items():
        gains = values - found["1"]
        error = gains.std(ddof=1) / np.sqrt(len(gains))
        gain = f"{gains.mean():+.4f} | {error:.4f} | {(gains > 0).sum()}" if name != "1" else "| |"
        click.echo(f"| {name} | {values.mean():.4f} | {gain} |")


@main.command("symmetry")
@members_option
@model_option
@click.option("--suite", type=click.Choice([*SUITES]), default="open", show_default=True)
def symmetry_command(members: tuple[int, ...], model: str | None, suite: str) -> None:
    """How far probabilities move when the two classes change places, and when a column changes its sign.

    Of each table the first fold is taken, and each of its columns is given the other sign in turn.
    """
    click.echo(
        "| members | classes swapped: largest | mean | a sign flipped: largest | mean |\n"
        "|--:|--:|--:|--:|--:|"
    )
    tasks = [prepare(table) for table in load_suite(suite)]
    for count in sorted(set(members)):
        classifier = NanoTabPFNClassifier(model, "cpu", n_estimators=count)
        moves = [distances(classifier, task) for task in tasks]
        cells = [f"{share:.3f}" for kind in range(2) for share in _largest_and_mean(moves, kind)]
        click.echo(f"| {count} | {' | '.join(cells)} |")


def distances(classifier: Any, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """By how much the probability of a class moves on the test rows (N,) of a task's first fold.

    Returns:
        (N,) with the classes swapped; (F, N) with the sign of each column flipped, in turn.
    """
    fold = task.folds[0]
    places = (fold.y_train == task.classes[1]).astype(int)

    def positive(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
        with without_range_warnings():
            return classifier.fit(x, y).predict_proba(x_test)[:, 1]

    plain = positive(fold.x_train, places, fold.x_test)
    swapped = 1 - positive(fold.x_train, 1 - places, fold.x_test)
    signs = 1 - 2 * np.eye(task.num_features)  # (F, F)
    flipped = [positive(fold.x_train * row, places, fold.x_test * row) for row in signs]
    return np.abs(swapped - plain), np.abs(np.array(flipped) - plain)


def _largest_and_mean(moves: Sequence[tuple[np.ndarray, np.ndarray]], kind: int) -> tuple[float, float]:
    """Over all tables; the mean is of the tables' means."""
    return max(move[kind].max() for move in moves), float(np.mean([move[kind].mean() for move in moves]))


if __name__ == "__main__":
    main()
