"""Makes the models that ship inside the package, and their cards; goes on when stopped."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import torch

from nanotabpfn.checkpoint import load_model, save_model, write_atomically
from nanotabpfn.classifier import NanoTabPFNClassifier
from nanotabpfn.cli import main as nanotabpfn
from nanotabpfn.evaluate import BASELINES, Score, evaluate, format_scores
from nanotabpfn.model import TrainedRange
from nanotabpfn.report import MODEL_NAME, read_history
from nanotabpfn.run import read_settings
from nanotabpfn.suites import load_suite
from priors.config import PriorConfig
from priors.console import PlainError
from priors.presets import PRESETS

PACKAGE = Path(__file__).parents[1] / "nanotabpfn" / "models"
MAX_BYTES = 3_000_000
"""Of a model in the package."""
BLOCK = 16  # datasets of a batch; a block shares its split and its features, so that a batch is one pass


class Shipped(NamedTuple):
    """How one model is made.

    Attributes:
        priors: name -> (how often a batch comes from it, the prior).
        options: of `nanotabpfn train`, beside those.
    """

    priors: dict[str, tuple[float, PriorConfig]]
    options: dict[str, Any]


_BASE = replace(PRESETS["default"], block_size=BLOCK, num_nodes=(6, 30))

CLASSIFIER = Shipped(
    # The number of rows is one for all datasets of a prior, so variety comes from several. Tables with many
    # classes are the minority that they are among real ones.
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
    options={
        "steps": 4800,
        "batch-size": BLOCK,
        "recipe": "mean-pooling",
        "precision": "auto",
        "held-out": 32,  # of each prior
        "eval-every": 100,
        "suite": "none",  # held-out loss decides; the real tables are looked at once, at the end
        "checkpoint-every": 25,
        "workers": 0,
        "seed": 0,
    },
)

SHIPPED = {"classifier": CLASSIFIER}


@click.group()
def main() -> None:
    """Make the models in nanotabpfn/models.

    \b
    python scripts/shipped_models.py train classifier     # hours; goes on when it was stopped
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
    """Train MODEL, or go on with it.

    What it leaves is a run of `nanotabpfn train`, which `nanotabpfn plot` draws.
    """
    if threads:
        torch.set_num_threads(threads)
    nanotabpfn(train_arguments(name, work, steps), prog_name="nanotabpfn")


def train_arguments(name: str, work: Path, steps: int | None = None) -> list[str]:
    """Of `nanotabpfn`, to begin the run of a model, or to go on with it; writes the priors' files."""
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
    """Put MODEL as its last checkpoint has it into the package, scored on real tables, with a card."""
    folder = work / name
    if not (folder / "model.safetensors").is_file():
        raise PlainError(f"{folder}: has no model yet; `python scripts/shipped_models.py train {name}`")
    settings = read_settings(folder)
    model = load_model(folder)
    scores = evaluate(
        {MODEL_NAME: NanoTabPFNClassifier(model, "cpu", n_estimators=1)}
        | {b: make() for b, make in BASELINES.items()},
        load_suite("open"),
    )
    model.trained_range = trained_range(settings["data"])
    out.mkdir(parents=True, exist_ok=True)
    file = save_model(model, out / f"{name}.safetensors")
    if file.stat().st_size > MAX_BYTES:
        file.unlink()
        raise PlainError(
            f"{file}: must be under {MAX_BYTES:,} bytes to ship, got more; make the model smaller"
        )
    steps = [
        record for record in read_history(folder / "history.jsonl") if record["step"] <= model_step(folder)
    ]
    text = card(name, settings, steps, model, scores)
    write_atomically(out / f"{name}.md", text.encode())
    click.echo(
        f"{file}: {file.stat().st_size:,} bytes, after {steps[-1]['step']} steps; {out / f'{name}.md'}"
    )


def model_step(folder: Path) -> int:
    """The step of a run's last checkpoint, whose model its model.safetensors is."""
    return max(
        int(file.stem.removeprefix("step-")) for file in (folder / "checkpoints").glob("step-*.safetensors")
    )


def trained_range(data: Sequence[dict[str, Any]]) -> TrainedRange:
    """Training rows, features and classes of the priors in a run's settings, all of them together."""
    configs = [PriorConfig.from_json(json.dumps(source["config"])) for source in data]

    def spread(ranges: list[tuple[int, int]]) -> tuple[int, int]:
        return min(low for low, _ in ranges), max(high for _, high in ranges)

    return TrainedRange(
        rows=spread([config.split_range for config in configs]),
        features=spread([config.num_features for config in configs]),
        classes=spread([config.num_classes for config in configs]),
    )


def card(
    name: str, settings: dict[str, Any], records: list[dict[str, float]], model: Any, scores: list[Score]
) -> str:
    """What a model is, in Markdown."""
    training, last = settings["training"], records[-1]
    done = f"{last['step']:,} steps of {training['batch_size']} datasets"
    if last["step"] < training["steps"]:
        done += f" (of {training['steps']:,} planned: **not trained to its end**)"
    held_out = [record for record in records if "held_out_loss" in record]
    trained = model.trained_range
    lines = [
        f"# {name}",
        "",
        f"`NanoTabPFN{name.capitalize()}()` loads this model. It was trained on synthetic tables alone, "
        "drawn from this project's own priors; no real table had a part in it.",
        "",
        "```bash",
        f"python scripts/shipped_models.py train {name}    # goes on when it was stopped",
        f"python scripts/shipped_models.py ship {name}",
        "```",
        "",
        "| | |",
        "|---|---|",
        f"| trained | {done}, {last['train_time'] / 60:.0f} minutes of training on {_hardware()} |",
        f"| recipe | `{training['recipe']}`: {training['optimizer']}, learning rate {training['lr']}, "
        f"{training['precision']}, seed {training['seed']} |",
        f"| architecture | {', '.join(f'{key} {value}' for key, value in model.config.items())}; "
        f"{sum(p.numel() for p in model.parameters()):,} parameters |",
        f"| trained range | {trained.rows[0]} to {trained.rows[1]} training rows, {trained.features[0]} to "
        f"{trained.features[1]} features, {trained.classes[0]} to {trained.classes[1]} classes |",
        f"| versions | {', '.join(f'{package} {number}' for package, number in settings['versions'].items())}"
        f", numpy {np.__version__} |",
    ]
    if held_out:
        told = held_out[-1]
        lines += [
            f"| held out | loss {told['held_out_loss']:.4f}, accuracy {told['held_out_accuracy']:.3f}, "
            f"ROC AUC {told['held_out_roc_auc']:.3f} after {told['step']:,} steps, on {training['held_out']} "
            "datasets of each prior |"
        ]
    lines += [
        "",
        "## Real tables",
        "",
        "ROC AUC by the published protocol: at most 200 rows of a table, five folds; the model alone, "
        "without an ensemble, beside scikit-learn's classifiers on the same folds.",
        "",
        format_scores(scores),
        "",
        _paired(scores),
        "",
        "## Limits",
        "",
        "- Small: what it knows is what a model of this size learned in the time above. The table says where "
        "it loses.",
        "- Outside of the trained range nothing is known of its quality; the estimator warns there, once.",
        "- Tables with text, dates or missing cells reach it encoded as numbers; it never saw such cells in "
        "training.",
        "- Its probabilities follow the priors below. Where a table is unlike them, calibrate.",
        "",
        "## Priors",
        "",
        "Each batch comes from one of these. Fields that are not named are the defaults of `PriorConfig`.",
        "",
        "```json",
        json.dumps([_own_fields(source) for source in settings["data"]], indent=1),
        "```",
        "",
    ]
    return "\n".join(lines)


def _paired(scores: list[Score]) -> str:
    """Differences to each baseline, in the mean over tables, with their standard errors."""
    own = {score.table: score.roc_auc for score in scores if score.estimator == MODEL_NAME}
    lines = ["| against | mean difference | standard error | tables won |", "|---|--:|--:|--:|"]
    for name in dict.fromkeys(score.estimator for score in scores if score.estimator != MODEL_NAME):
        differences = np.array([own[s.table] - s.roc_auc for s in scores if s.estimator == name])
        error = differences.std(ddof=1) / np.sqrt(len(differences))
        won = int((differences > 0).sum())
        lines.append(f"| {name} | {differences.mean():+.3f} | {error:.3f} | {won} of {len(differences)} |")
    return "\n".join(lines)


def _own_fields(source: dict[str, Any]) -> dict[str, Any]:
    """A prior of a run's settings without what is as in PriorConfig()."""
    plain = json.loads(json.dumps(asdict(PriorConfig())))
    own = {field: value for field, value in source["config"].items() if plain.get(field) != value}
    return {"name": Path(source["prior"]).stem, "weight": source["weight"], "config": own}


def _hardware() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model}, shared, {os.cpu_count()} cores, PyTorch {version('torch')}"


if __name__ == "__main__":
    main()
