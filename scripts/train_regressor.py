"""Makes the regressor that ships inside the package, and its card: train, which goes on, then ship.

python scripts/train_regressor.py train
python scripts/train_regressor.py ship
"""

import json
import os
from dataclasses import replace
from pathlib import Path

import click

from nanotabpfn.checkpoint import load_model, save_model, write_atomically
from nanotabpfn.cli import main as nanotabpfn
from nanotabpfn.evaluate import format_scores
from nanotabpfn.evaluate_regression import REGRESSION_BASELINES, RegressionScore, evaluate_regression
from nanotabpfn.model import TrainedRange
from nanotabpfn.regressor import SHIPPED_REGRESSOR, NanoTabPFNRegressor
from nanotabpfn.report import MODEL_NAME, read_history
from nanotabpfn.run import checkpoints, read_settings
from nanotabpfn.suites import load_suite
from priors.console import PlainError
from priors.presets import PRESETS

_BASE = replace(PRESETS["default"], problem_type="regression", block_size=16, label_noise=(0, 0.1))

# The rows of a prior's datasets are as many in each: variety comes from several, drawn by these weights.
PRIORS = {
    "small": (0.3, replace(_BASE, num_datapoints=60, num_features=(1, 8), train_fraction=(0.3, 0.9))),
    "tables": (0.6, replace(_BASE, num_datapoints=160, num_features=(2, 10), train_fraction=(0.2, 0.9))),
    "wide": (0.1, replace(_BASE, num_datapoints=100, num_features=(10, 20), train_fraction=(0.3, 0.9))),
}

OPTIONS = (
    "--problem regression --steps 4000 --batch-size 16 --recipe mean-pooling --embedding-size 64 --hidden "
    "128 "
    "--precision auto --held-out 32 --eval-every 100 --suite none --checkpoint-every 25 --workers 0 --seed 0 "
    "--device cpu"
)

work_option = click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/regressor"),
    show_default=True,
    help="Folder of the run, which `nanotabpfn plot` draws; the priors' files go beside it.",
)


@click.group()
def main() -> None:
    """Make nanotabpfn/models/regressor.safetensors."""


@main.command("train")
@work_option
def train_command(work: Path) -> None:
    """Train it, or go on with it."""
    nanotabpfn(train_arguments(work), prog_name="nanotabpfn")


def train_arguments(work: Path) -> list[str]:
    """Of `nanotabpfn`, to begin the run or to go on with it; writes the priors' files."""
    if (work / "config.json").exists():
        return ["train", "--resume", str(work)]
    folder = work.with_name(f"{work.name}-priors")
    folder.mkdir(parents=True, exist_ok=True)
    arguments = ["train", "--out", str(work), *OPTIONS.split()]
    for name, (_, config) in PRIORS.items():
        write_atomically(folder / f"{name}.json", config.to_json(indent=1).encode())
        arguments += ["--prior", str(folder / f"{name}.json")]
    return [*arguments, "--weights", ",".join(str(weight) for weight, _ in PRIORS.values())]


@main.command("ship")
@work_option
@click.option("--out", type=click.Path(path_type=Path), default=SHIPPED_REGRESSOR, help="The model's file.")
def ship_command(work: Path, out: Path) -> None:
    """Put the model of its last checkpoint into the package, scored on real tables, with a card."""
    if not checkpoints(work):
        raise PlainError(
            f"{work}: has no checkpoint yet; `python scripts/train_regressor.py train` makes one"
        )
    model = load_model(work)
    estimators = {MODEL_NAME: NanoTabPFNRegressor(model, "cpu")}
    estimators |= {name: make() for name, make in REGRESSION_BASELINES.items()}
    scores = evaluate_regression(estimators, load_suite("open-regression"))
    step = int(checkpoints(work)[-1].stem.removeprefix("step-"))
    records = [record for record in read_history(work / "history.jsonl") if record["step"] <= step]
    num_parameters = sum(weights.numel() for weights in model.parameters())
    text = card(read_settings(work), records, num_parameters, scores)
    out.parent.mkdir(parents=True, exist_ok=True)
    model.trained_range = TrainedRange(rows=(18, 144), features=(1, 20))  # of PRIORS
    save_model(model, out)
    write_atomically(out.with_suffix(".md"), text.encode())
    click.echo(f"{out}: {out.stat().st_size:,} bytes, after {step} steps")


def card(
    settings: dict, records: list[dict[str, float]], num_parameters: int, scores: list[RegressionScore]
) -> str:
    """What the model is, in Markdown."""
    training, sizes, last = settings["training"], settings["model"], records[-1]
    held_out = [record for record in records if "held_out_loss" in record][-1]
    unfinished = "" if last["step"] == training["steps"] else ", **not to its end**"
    priors = [
        f"- `{Path(source['prior']).stem}` (weight {source['weight']}): {config['num_datapoints']} rows, "
        f"of which "
        f"{config['train_fraction'][0]:.0%} to {config['train_fraction'][1]:.0%} train, "
        f"{config['num_features'][0]} to {config['num_features'][1]} features"
        for source in settings["data"]
        for config in [source["config"]]
    ]
    own = [score for score in scores if score.estimator == MODEL_NAME]
    details = [f"| {s.table} | {s.r2:.3f} | {s.rmse:.4g} | {s.log_density:.3f} |" for s in own]
    lines = [
        "# regressor.safetensors",
        "",
        "`NanoTabPFNRegressor()` loads this model. It was trained on synthetic tables alone.",
        "",
        "```bash",
        "python scripts/train_regressor.py train    # goes on when it was stopped",
        "python scripts/train_regressor.py ship",
        "```",
        "",
        f"- Architecture: {sizes['num_layers']} layers, embedding {sizes['embedding_size']}, "
        f"{sizes['num_attention_heads']} heads, MLP {sizes['mlp_hidden_size']}, decoder on the mean of a "
        f"row's "
        f"features, {sizes['num_outputs']} bins; {num_parameters:,} parameters.",
        f"- Training: {last['step']} of {training['steps']} steps{unfinished}, {training['batch_size']} "
        f"datasets "
        f"each; {training['optimizer']}, schedule-free, learning rate {training['lr']}, "
        f"{training['precision']}, "
        f"seed {training['seed']}. {last['train_time'] / 60:.0f} minutes of wall time in updates, on one "
        f"thread "
        f"of a busy {os.cpu_count()}-core CPU, without a GPU.",
        f"- Held out ({training['held_out']} datasets of each prior, after step {held_out['step']}): "
        f"negative log "
        f"density {held_out['held_out_loss']:.3f} in standardized units (a normal with the targets' own "
        f"mean and "
        f"deviation would have about 1.42), R2 {held_out['held_out_r2']:.3f} over all rows together.",
        f"- Versions: {json.dumps(settings['versions'])[1:-1]}.",
        "",
        "## Prior",
        "",
        "The preset `default` with real targets, at most a tenth of them exchanged at random:",
        "",
        *priors,
        "",
        "## Real tables",
        "",
        "R2 by the protocol of `nanotabpfn evaluate --suite open-regression --baselines` (at most 200 "
        "rows of a "
        "table, five folds; scikit-learn's defaults, ridge on scaled columns):",
        "",
        format_scores(scores, "r2"),
        "",
        "Of the model alone: root mean squared error in the target's units, and mean log density in units of "
        "the training targets' deviation.",
        "",
        "| table | R2 | RMSE | log density |",
        "|---|--:|--:|--:|",
        *details,
        "",
        "## Limits",
        "",
        "- One seed, one prior, a small budget: where the table shows a lower R2 than a forest's, use the "
        "forest.",
        "- Trained on 18 to 144 training rows and 1 to 20 features; beyond that its quality is unknown, and "
        "the estimator warns.",
        "- Tables with text, dates or missing cells reach it encoded as numbers; it never saw such cells in "
        "training.",
        "- It interpolates between bins and has light tails: extreme quantiles are not to be trusted, and "
        "targets "
        "over several orders of magnitude should be logarithms.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
