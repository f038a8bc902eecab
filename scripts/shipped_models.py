"""Shipped models: trains those inside the package, resumes when stopped, and writes their cards."""

import json
import os
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import torch
from scipy import stats

from nanotabpfn.cli.main import errors_for_users
from nanotabpfn.cli.main import main as nanotabpfn
from nanotabpfn.data.loaders import prior_range, widest_range
from nanotabpfn.estimators.classifier import ENSEMBLE_SIZE as CLASSIFIER_MEMBERS
from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.estimators.regressor import ENSEMBLE_SIZE as REGRESSOR_MEMBERS
from nanotabpfn.estimators.regressor import NanoTabPFNRegressor
from nanotabpfn.evaluation.baselines import BASELINES, REGRESSION_BASELINES
from nanotabpfn.evaluation.protocol import FIGURES, evaluate
from nanotabpfn.evaluation.scores import format_scores
from nanotabpfn.evaluation.suites import load_suite
from nanotabpfn.hub.card import (
    architecture_words,
    card_header,
    held_out_words,
    metrics_of,
    trained_range_words,
)
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.checkpoint import MODEL_FILE, load_model, save_model, write_atomically
from nanotabpfn.training.curves import MODEL_NAME, read_history
from nanotabpfn.training.run import checkpoints, read_settings
from priors.config import PriorConfig
from priors.console import PlainError, PlainGroup
from priors.presets import PRESETS

PACKAGE = Path(__file__).parents[1] / "nanotabpfn" / "shipped"
LICENSE = "apache-2.0"
"""Of the models, as of the package."""
MAX_BYTES = 3_000_000
"""Of a model in the package."""
BLOCK = 16  # datasets of a batch; a block shares its split and its features, so that a batch is one pass


class Shipped(NamedTuple):
    """How one model is made, scored and described.

    Attributes:
        priors: name -> (how often a batch comes from it, the prior).
        options: further ones of `nanotabpfn train`.
        estimator: of the model.
        members: that the estimator has by default; it is scored with them, and alone.
        details: of a score, others that the card gives of the model alone.
        suite: real tables.
        kinds: of further suites, each of which has a half for choices and one for claims.
        baselines: name -> makes an estimator that is scored on the same folds.
        rivals: baselines that the model is compared with on those suites.
        loss: what the one on datasets held out is.
        scored: the protocol in words.
        limits: in addition to those of every model.
    """

    priors: dict[str, tuple[float, PriorConfig]]
    options: dict[str, Any]
    estimator: Callable[..., Any]
    members: int
    details: tuple[str, ...]
    suite: str
    kinds: tuple[str, ...]
    baselines: dict[str, Callable[[], Any]]
    rivals: tuple[str, ...]
    loss: str
    scored: str
    limits: tuple[str, ...]

    @property
    def problem_type(self) -> str:
        """`classification` or `regression`."""
        return self.estimator.problem_type

    @property
    def figure(self) -> str:
        """The field of a score by which models are compared."""
        return FIGURES[self.problem_type]


# The number of rows is one for all datasets of a prior, so variety comes from several.
_BASE = replace(PRESETS["default"], block_size=BLOCK, num_nodes=(6, 30))
_REAL = replace(PRESETS["default"], block_size=BLOCK, problem_type="regression", label_noise=(0, 0.1))

_OPTIONS = {
    "batch-size": BLOCK,
    "recipe": "target-aware",
    "precision": "auto",
    "held-out": 32,  # of each prior
    "eval-every": 100,
    "suite": "none",  # held-out loss decides; the real tables are scored once, at the end
    "checkpoint-every": 25,
    "workers": 0,
    "seed": 0,
}

CLASSIFIER = Shipped(
    # Tables with many classes are the minority that they are among real ones.
    priors={
        "small": (0.15, replace(_BASE, num_datapoints=60, num_features=(2, 12), train_fraction=(0.4, 0.8))),
        "binary": (0.35, replace(_BASE, num_datapoints=200, num_features=(2, 10))),
        "mixed": (
            0.15,
            replace(PRESETS["mixed"], block_size=BLOCK, num_datapoints=150, num_features=(2, 12)),
        ),
        "classes": (
            0.2,
            replace(_BASE, num_datapoints=200, num_features=(2, 12), num_classes=(3, 10)),
        ),
        "wide": (
            0.1,
            replace(
                _BASE,
                num_datapoints=100,
                num_features=(10, 20),
                num_classes=(2, 6),
                train_fraction=(0.3, 0.9),
            ),
        ),
        "long": (
            0.05,
            replace(
                _BASE, num_datapoints=600, num_features=(2, 8), num_classes=(2, 4), train_fraction=(0.3, 0.9)
            ),
        ),
    },
    options={"steps": 3000} | _OPTIONS,
    estimator=NanoTabPFNClassifier,
    members=CLASSIFIER_MEMBERS,
    details=(),
    suite="open",
    kinds=("nano", "binary", "multiclass", "missing"),
    baselines=BASELINES,
    rivals=("random_forest", "logistic_regression"),
    loss="cross entropy",
    scored="ROC AUC by the published protocol: at most 200 rows of a table, five folds; an ensemble of "
    f"{CLASSIFIER_MEMBERS}, which is the default, and one member, and scikit-learn's classifiers on the "
    "same folds.",
    limits=("Its probabilities follow the priors below. Where a table is unlike them, calibrate.",),
)

REGRESSOR = Shipped(
    priors={
        "small": (0.3, replace(_REAL, num_datapoints=60, num_features=(1, 8), train_fraction=(0.3, 0.9))),
        "tables": (0.6, replace(_REAL, num_datapoints=160, num_features=(2, 10), train_fraction=(0.2, 0.9))),
        "wide": (0.1, replace(_REAL, num_datapoints=100, num_features=(10, 20), train_fraction=(0.3, 0.9))),
    },
    options={"problem": "regression", "steps": 3000, "device": "cpu"} | _OPTIONS,
    estimator=NanoTabPFNRegressor,
    members=REGRESSOR_MEMBERS,
    details=("r2", "rmse", "log_density"),
    suite="open-regression",
    kinds=("regression",),
    baselines=REGRESSION_BASELINES,
    rivals=("random_forest", "ridge"),
    loss="negative log density of standardized targets; a standard normal has 1.42",
    scored="R2 by the protocol of `nanotabpfn evaluate`: at most 200 rows of a table, five folds; the model "
    "alone, without an ensemble, and scikit-learn's regressors on the same folds, ridge on scaled "
    "columns.",
    limits=(
        "Inside a bin its density is constant, and its tails are light: extreme quantiles are not to be "
        "trusted, and targets over several orders of magnitude should be logarithms.",
    ),
)

SHIPPED = {"classifier": CLASSIFIER, "regressor": REGRESSOR}


@click.group(cls=PlainGroup, errors=errors_for_users)
def main() -> None:
    """Make the models in nanotabpfn/shipped.

    \b
    python scripts/shipped_models.py train classifier     # hours; resumes when it was stopped
    python scripts/shipped_models.py ship classifier      # its last checkpoint, with its card
    """


model_argument = click.argument("name", metavar="MODEL", type=click.Choice(list(SHIPPED)))
work_option = click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/shipped"),
    show_default=True,
    help="Folder of the runs, one for each model.",
)


@main.command("train")
@model_argument
@work_option
@click.option("--steps", type=click.IntRange(min=1), help="In all.  [default: as the card says]")
@click.option("--threads", type=click.IntRange(min=1), help="Of PyTorch.  [default: all]")
def train_command(name: str, work: Path, steps: int | None, threads: int | None) -> None:
    """Train MODEL, or resume its training.

    The result is a run of `nanotabpfn train`, which `nanotabpfn plot` draws.
    """
    if threads:
        torch.set_num_threads(threads)
    nanotabpfn(train_arguments(name, work, steps), prog_name="nanotabpfn")


def train_arguments(name: str, work: Path, steps: int | None = None) -> list[str]:
    """Arguments of `nanotabpfn` that begin or resume the run of a model; writes the priors' files."""
    folder = work / name
    more = [] if steps is None else ["--steps", str(steps)]
    if (folder / "config.json").exists():
        return ["train", "--resume", str(folder), *more]
    shipped = SHIPPED[name]
    priors = work / f"{name}-priors"
    priors.mkdir(parents=True, exist_ok=True)
    arguments = ["train", "--out", str(folder)]
    for prior, (_, config) in shipped.priors.items():
        file = priors / f"{prior}.json"
        write_atomically(file, config.to_json(indent=1).encode())
        arguments += ["--prior", str(file)]
    arguments += ["--weights", ",".join(str(weight) for weight, _ in shipped.priors.values())]
    for option, value in (shipped.options | ({} if steps is None else {"steps": steps})).items():
        arguments += [f"--{option}", str(value)]
    return arguments


@main.command("ship")
@model_argument
@work_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=PACKAGE,
    show_default="the package",
    help="Where the model and its card go.",
)
def ship_command(name: str, work: Path, out: Path) -> None:
    """Put the last checkpoint of MODEL into the package, scored on real tables, with a card."""
    folder, shipped = work / name, SHIPPED[name]
    if not checkpoints(folder):
        raise PlainError(
            f"{folder}: has no checkpoint yet; `python scripts/shipped_models.py train {name}` makes one"
        )
    num_bytes = (folder / MODEL_FILE).stat().st_size
    if num_bytes > MAX_BYTES:
        raise PlainError(
            f"{folder / MODEL_FILE}: must have at most {MAX_BYTES:,} bytes to ship, got {num_bytes:,}"
        )
    settings, model = read_settings(folder), load_model(folder)
    if model.trained_range is None:  # of a run from before runs recorded it
        configs = [PriorConfig.from_json(json.dumps(source["config"])) for source in settings["data"]]
        model.trained_range = widest_range([prior_range(config) for config in configs])
    last_step = int(checkpoints(folder)[-1].stem.removeprefix("step-"))
    history = read_history(folder / "history.jsonl")
    records = [record for record in history if record["step"] <= last_step]
    estimators = {MODEL_NAME: shipped.estimator(model, "cpu", n_estimators=shipped.members)}
    if shipped.members > 1:
        estimators["one_member"] = shipped.estimator(model, "cpu", n_estimators=1)
    estimators |= {baseline: make() for baseline, make in shipped.baselines.items()}
    scores = evaluate(estimators, load_suite(shipped.suite), shipped.problem_type)
    compared = {own: estimators[own] for own in (MODEL_NAME, *shipped.rivals)}
    halves = {
        suite: evaluate(compared, load_suite(suite), shipped.problem_type)
        for suite in (f"{kind}-{half}" for kind in shipped.kinds for half in ("dev", "test"))
    }
    text = card(name, settings, records, model, scores, halves)
    out.mkdir(parents=True, exist_ok=True)
    file = save_model(model, out / f"{name}.safetensors")
    write_atomically(file.with_suffix(".md"), text.encode())
    click.echo(f"{file}: {file.stat().st_size:,} bytes, after {last_step} steps; {file.with_suffix('.md')}")


LIMITS = (
    "Small: what it knows is what a model of this size learned in the time above, from one seed. The table "
    "says where it loses.",
    "Outside of the trained range nothing is known of its quality; the estimator warns there, once.",
    "Tables with text, dates or missing cells reach it encoded as numbers; it never saw such cells in "
    "training.",
)
"""What the card of each model says of its limits."""


HALVES = (
    "This model minus another, in the mean over the tables of a suite, with 95% intervals (Student's t over "
    "tables, each interval by itself; one training). Choices are made on the suites whose names end in "
    "`-dev`, and on `{suite}`, whose tables are left out in the rows that say so. The other tables of "
    "`-test` had no part in a choice."
)
"""What the card says of the suites that have two halves."""

OF_LOG_LOSS = (
    "A difference in log loss above 0 is worse. A probability of 0 for a row's class, which a forest can "
    "give, counts as 36."
)


def card(
    name: str,
    settings: dict[str, Any],
    records: list[dict[str, float]],
    model: NanoTabPFNModel,
    scores: list[Any],
    halves: dict[str, list[Any]],
) -> str:
    """What a model is, in Markdown.

    Args:
        settings: of its run.
        records: of its run's history, up to the step that the model is of.
        scores: of the model and its baselines on real tables.
        halves: suite -> scores of the model and its rivals on it.
    """
    shipped = SHIPPED[name]
    paragraphs = [
        card_header(shipped.problem_type, LICENSE, metrics_of(records)),
        f"# {name}",
        f"`{shipped.estimator.__name__}()` loads this model. It was trained on synthetic tables alone, drawn "
        "from this project's own priors; no real table had a part in it.",
        f"```bash\npython scripts/shipped_models.py train {name}    # resumes when it was stopped\n"
        f"python scripts/shipped_models.py ship {name}\n```",
        "\n".join(
            ["| | |", "|---|---|"]
            + [f"| {fact} | {value} |" for fact, value in _facts(name, settings, records, model).items()]
        ),
        "## Real tables",
        shipped.scored,
        format_scores(scores, shipped.figure),
        _paired(scores, shipped.figure),
        *([_details(scores, shipped.details)] if shipped.details else []),
        "## More real tables",
        HALVES.format(suite=shipped.suite),
        *([OF_LOG_LOSS] if shipped.problem_type == "classification" else []),
        _of_halves(halves, shipped, {score.table for score in scores}),
        "## Limits",
        "\n".join(f"- {limit}" for limit in (*LIMITS, *shipped.limits)),
        "## Priors",
        "Each batch comes from one of these. Fields that are not named are the defaults of `PriorConfig`.",
        f"```json\n{json.dumps([_own_fields(source) for source in settings['data']], indent=1)}\n```",
    ]
    return "\n\n".join(paragraphs) + "\n"


def _facts(
    name: str, settings: dict[str, Any], records: list[dict[str, float]], model: NanoTabPFNModel
) -> dict[str, str]:
    """How a model was trained and what it is: the first table of its card."""
    training, last = settings["training"], records[-1]
    done = f"{last['step']:,} steps of {training['batch_size']} datasets"
    if last["step"] < training["steps"]:
        done += f" (of {training['steps']:,} planned: **not trained to its end**)"
    versions = ", ".join(f"{package} {number}" for package, number in settings["versions"].items())
    facts = {
        "trained": f"{done}, {last['train_time'] / 60:.0f} minutes of wall time in updates, on {_hardware()}",
        "recipe": f"`{training['recipe']}`: {training['optimizer']}, learning rate {training['lr']}, "
        f"{training['precision']}, seed {training['seed']}",
        "architecture": architecture_words(model),
        "trained range": trained_range_words(model),
        "versions": f"{versions}, numpy {np.__version__}",
    }
    held_out = [record for record in records if "held_out_loss" in record]
    if held_out:
        words = held_out_words(held_out[-1], training["held_out"], f"loss ({SHIPPED[name].loss})")
        facts["held out"] = words
    return facts


def _differences(scores: list[Any], rival: str, figure: str) -> dict[str, float]:
    """Table -> the model's figure minus that of a rival."""
    own, other = (
        {score.table: getattr(score, figure) for score in scores if score.estimator == name}
        for name in (MODEL_NAME, rival)
    )
    return {table: own[table] - value for table, value in other.items()}


def _paired(scores: list[Any], figure: str) -> str:
    """Differences to each baseline, in the mean over tables, with their standard errors."""
    lines = ["| against | mean difference | standard error | tables won | lost |", "|---|--:|--:|--:|---|"]
    for name in dict.fromkeys(score.estimator for score in scores if score.estimator != MODEL_NAME):
        of_tables = _differences(scores, name, figure)
        differences = np.array(list(of_tables.values()))
        lost = ", ".join(table for table, difference in of_tables.items() if difference < 0)
        error = differences.std(ddof=1) / np.sqrt(len(differences))
        won = int((differences > 0).sum())
        lines.append(
            f"| {name} | {differences.mean():+.3f} | {error:.3f} | {won} of {len(differences)} | {lost} |"
        )
    return "\n".join(lines)


def _of_halves(halves: dict[str, list[Any]], shipped: Shipped, known: set[str]) -> str:
    """Differences to each rival in the mean over each suite, with their intervals.

    Args:
        known: tables that had a part in choices; a suite for claims that has some is shown without them too.
    """
    without_known = {
        f"{suite} without `{shipped.suite}`": [score for score in scores if score.table not in known]
        for suite, scores in halves.items()
        if suite.endswith("-test") and any(score.table in known for score in scores)
    }
    figures = (shipped.figure, "log_loss") if shipped.problem_type == "classification" else (shipped.figure,)
    lines = [
        f"| suite | tables | against | {' | '.join(figures)} |",
        f"|---|--:|---|{'--:|' * len(figures)}",
    ]
    for suite, scores in (halves | without_known).items():
        num_tables = len({score.table for score in scores})
        for rival in shipped.rivals:
            cells = [_mean_and_interval(_differences(scores, rival, figure)) for figure in figures]
            lines.append(f"| {suite} | {num_tables} | {rival} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean_and_interval(of_tables: dict[str, float]) -> str:
    """The mean over tables, with its 95% interval."""
    differences = np.array(list(of_tables.values()))
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    return f"{differences.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def _details(scores: list[Any], names: tuple[str, ...]) -> str:
    """Other figures of the model alone."""
    own = [score for score in scores if score.estimator == MODEL_NAME]
    lines = [
        "Of the model alone: root mean squared error in the target's units, and mean log density in units of "
        "the training targets' standard deviation.",
        "",
        f"| table | {' | '.join(names)} |",
        f"|---|{'--:|' * len(names)}",
    ]
    for score in own:
        figures = " | ".join(f"{getattr(score, name):.4g}" for name in names)
        lines.append(f"| {score.table} | {figures} |")
    return "\n".join(lines)


def _own_fields(source: dict[str, Any]) -> dict[str, Any]:
    """A prior of a run's settings without what is as in PriorConfig()."""
    plain = json.loads(PriorConfig().to_json())
    own = {field: value for field, value in source["config"].items() if plain.get(field) != value}
    return {"name": Path(source["prior"]).stem, "weight": source["weight"], "config": own}


def _hardware() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
