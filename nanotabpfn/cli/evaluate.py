"""`nanotabpfn evaluate`: scores of a model and of baselines on real tables."""

import json
from pathlib import Path

import click

from nanotabpfn.cli.options import SuiteName, device_option, resolve_device, resolve_suites
from priors.console import PlainError, echo_json, json_option, quiet_option


@click.command("evaluate")
@click.option(
    "--model",
    "model_path",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="Directory of a run, a model.safetensors, a checkpoint, or a published state dict (.pth).",
)
@click.option(
    "--heads",
    type=click.IntRange(min=1),
    help="Attention heads of a .pth, which does not hold their number.  [default: 4]",
)
@click.option(
    "--suite",
    "suites",
    type=SuiteName(),
    multiple=True,
    help="Tables; several times for several suites. Use -dev for choices, -test for claims.  "
    "[default: builtin; of a regression model builtin-regression]",
)
@click.option(
    "--row-samples",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Draws of at most 200 rows of each table, over which its score is the mean.",
)
@click.option("--baselines", is_flag=True, help="Score scikit-learn's estimators on the same folds too.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the scores as JSON.")
@device_option
@quiet_option
@json_option
def evaluate_command(
    model_path: Path,
    heads: int | None,
    suites: tuple[str, ...],
    row_samples: int,
    baselines: bool,
    out: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """Score a model on real tables: mean ROC AUC by the published protocol, or R2 of a regression model.

    At most 200 stratified rows of each table; five stratified folds, preprocessing fitted inside each; the
    out-of-fold probabilities of a table pooled into one ROC AUC. The last row is the mean log loss of the
    same probabilities, in which a probability of 0 for a row's class counts as 36. For regression the same
    with random rows and folds, and the out-of-fold means pooled into one R2.

    \b
    nanotabpfn evaluate --model runs/mine                           # scikit-learn's own tables
    nanotabpfn evaluate --model runs/mine --suite open --baselines  # 13 tables of the extra `tables`
    nanotabpfn evaluate --model runs/mine --suite nano-dev --suite binary-dev --row-samples 3
    nanotabpfn evaluate --model runs/regressor --suite open-regression --baselines
    nanotabpfn evaluate --model runs/mine --suite tabarena          # the published ones, extra `openml`
    nanotabpfn evaluate --model runs/mine --suite openml:task/15,37 # and others: openml:study/ID
    """
    from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
    from nanotabpfn.estimators.regressor import NanoTabPFNRegressor
    from nanotabpfn.evaluation.baselines import BASELINES, REGRESSION_BASELINES
    from nanotabpfn.evaluation.protocol import FIGURES, evaluate
    from nanotabpfn.evaluation.scores import format_scores
    from nanotabpfn.evaluation.suites import load_suite
    from nanotabpfn.model.checkpoint import load_model, write_atomically
    from nanotabpfn.training.curves import MODEL_NAME
    from priors.dumps.files import check_target

    if out is not None:
        check_target(out)
    model = load_model(model_path, heads)
    suites = resolve_suites(model.problem_type, suites)
    is_regression = model.problem_type == "regression"
    estimator = NanoTabPFNRegressor if is_regression else NanoTabPFNClassifier
    estimators = {MODEL_NAME: estimator(model, resolve_device(device))}
    if baselines:
        made = REGRESSION_BASELINES if is_regression else BASELINES
        estimators |= {name: make() for name, make in made.items()}
    scores = []
    for suite, tables in [(suite, load_suite(suite)) for suite in suites]:  # all are loaded before any work
        try:
            own = evaluate(estimators, tables, model.problem_type, row_samples=row_samples)
        except ValueError as error:  # such as weights that are NaN
            raise PlainError(
                f"{model_path}: {' '.join([str(error), *getattr(error, '__notes__', [])])}"
            ) from error
        if len(suites) > 1 and not as_json:
            click.echo(f"suite {suite}:")
        if not as_json:
            click.echo(format_scores(own, FIGURES[model.problem_type]))
        scores += [{"suite": suite} | score._asdict() for score in own]
    if out is not None:
        try:
            write_atomically(out, json.dumps(scores, indent=1).encode())
        except OSError as error:
            raise PlainError(f"{out}: cannot be written: {error.strerror}") from error
    if as_json:
        echo_json(scores)
    elif out is not None:
        click.echo(f"{out}: {len(scores)} scores")
