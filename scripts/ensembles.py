"""Ensembles measured: the shipped models with 1 to 16 members, on real tables."""

import click
import numpy as np

from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.estimators.regressor import NanoTabPFNRegressor
from nanotabpfn.evaluation.protocol import FIGURES, evaluate
from nanotabpfn.evaluation.suites import REGRESSION_SUITES, SUITES, load_suite


@click.command(context_settings={"show_default": True})
@click.option(
    "--members", type=click.IntRange(min=1), multiple=True, default=(1, 2, 4, 8, 16), help="Of each ensemble."
)
@click.option("--suite", type=click.Choice([*SUITES, *REGRESSION_SUITES]), default="open", help="Tables.")
@click.option("--model", type=click.Path(exists=True), help="File or run.  [default: the shipped one]")
def main(members: tuple[int, ...], suite: str, model: str | None) -> None:
    """Score ensembles by the published protocol, and print their gain on one member as a Markdown table."""
    problem_type = "regression" if suite in REGRESSION_SUITES else "classification"
    make = NanoTabPFNRegressor if problem_type == "regression" else NanoTabPFNClassifier
    metric = FIGURES[problem_type]
    estimators = {str(count): make(model, "cpu", n_estimators=count) for count in sorted({1, *members})}
    scores = evaluate(estimators, load_suite(suite), problem_type)
    found = {
        name: np.array([getattr(s, metric) for s in scores if s.estimator == name]) for name in estimators
    }
    click.echo(
        f"| members | mean {'R2' if metric == 'r2' else 'ROC AUC'} | gain on one | standard error | "
        "tables better |\n|--:|--:|--:|--:|--:|"
    )
    for name, values in found.items():
        gains = values - found["1"]
        error = gains.std(ddof=1) / np.sqrt(len(gains))
        gain = f"{gains.mean():+.4f} | {error:.4f} | {(gains > 0).sum()}" if name != "1" else "| |"
        click.echo(f"| {name} | {values.mean():.4f} | {gain} |")


if __name__ == "__main__":
    main()
