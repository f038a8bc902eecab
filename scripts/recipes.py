"""Steps that each recipe needs to the held-out loss where a longer training ends: a study for each recipe."""

import json
from pathlib import Path
from statistics import mean, median

import click
import pandas as pd

from nanotabpfn.studies.run import Outcome, run_study
from nanotabpfn.studies.scoring import POOLED
from nanotabpfn.studies.spec import Study, StudyError
from nanotabpfn.studies.workers import Workers
from nanotabpfn.training.recipes import RECIPES
from priors.console import PlainError

SMALL = {
    "arms": {"default": {"preset": "default", "set": {"num_datapoints": 60, "num_features": [4, 4]}}},
    "batch_size": 8,
    "held_out": 128,
    "model": {"embedding_size": 32, "num_attention_heads": 2, "mlp_hidden_size": 64, "num_layers": 2},
    "suites": ["builtin"],
}
_OF_CLASSES = {
    "num_datapoints": 100,
    "num_features": [4, 4],
    "num_classes": [2, 10],
    "train_fraction": [0.4, 0.8],  # rows enough for ten classes on both sides
}
CLASSES = SMALL | {
    "arms": {"default": {"preset": "default", "set": _OF_CLASSES}},
    "suites": ["multiclass-dev"],
}
PUBLISHED = {
    "arms": {"default": {"preset": "default"}},
    "batch_size": 32,
    "held_out": 256,
    "suites": ["nano-dev"],
}
SCALES = {"small": SMALL, "classes": CLASSES, "published": PUBLISHED}
COMMON = {"controls": [], "baselines": []}


@click.command(context_settings={"show_default": True})
@click.option("--recipe", "names", type=click.Choice(list(RECIPES)), multiple=True, default=tuple(RECIPES))
@click.option("--seed", "seeds", type=int, multiple=True, default=(0, 1, 2), help="Of weights and datasets.")
@click.option("--steps", type=click.IntRange(min=1), default=160, help="Of each training.")
@click.option("--eval-every", type=click.IntRange(min=1), default=20, help="Steps.")
@click.option(
    "--target", type=click.Choice(list(RECIPES)), default="published", help="Whose end is the target."
)
@click.option("--target-steps", type=click.IntRange(min=1), help="Of the target.  [default: as --steps]")
@click.option("--target-seed", "target_seeds", type=int, multiple=True, help="[default: as --seed]")
@click.option("--scale", type=click.Choice(list(SCALES)), default="small", help="Of model, prior and batch.")
@click.option("--workers", type=click.IntRange(min=1), default=1, help="Processes.")
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), default=Path("runs/recipes"))
def main(
    names: tuple[str, ...],
    seeds: tuple[int, ...],
    steps: int,
    eval_every: int,
    target: str,
    target_steps: int | None,
    target_seeds: tuple[int, ...],
    scale: str,
    workers: int,
    work: Path,
) -> None:
    """Train each recipe from each seed, and print a Markdown table.

    The target is the last held-out loss of one recipe, the mean over its seeds. Losses are those of averaged
    weights on held-out datasets. What WORK has is not trained again: after a stop the same command resumes.

    \b
    python scripts/recipes.py                                   # all recipes, a small model: 5 minutes
    python scripts/recipes.py --scale classes --steps 400 --eval-every 50 \\
        --work runs/recipes-classes                             # with 2 to 10 classes: half an hour
    python scripts/recipes.py --scale published --recipe target-aware --seed 0 --seed 1 --steps 250 \\
        --eval-every 50 --target warm-up --target-steps 2500 --work runs/recipes-published   # hours
    """
    wanted = {(target, target_steps or steps): target_seeds or seeds}
    wanted |= {(name, steps): seeds for name in names if (name, steps) not in wanted}
    folders = {}
    for (name, num_steps), own_seeds in wanted.items():
        settings = {
            "name": f"{name}, {num_steps} steps",
            "recipe": name,
            "data_seeds": own_seeds,
            "model_seeds": own_seeds,
            "steps": num_steps,
            "eval_every": max(1, eval_every * num_steps // steps),
        }
        folder = folders[settings["name"]] = work / f"{name}-{num_steps}"
        try:
            study = Study(**COMMON | SCALES[scale] | settings)
            done = run_study(study, folder, Workers(num_workers=workers), on_outcome=say)
        except StudyError as error:
            raise PlainError(str(error)) from error
        failed = [outcome.error for outcome in done if outcome.error]
        if failed:
            raise click.ClickException(f"{settings['name']}: {failed[0]}")
    click.echo("\n".join(table(folders)))


def say(outcome: Outcome) -> None:
    """A line for each training that is done."""
    click.echo(f"{outcome.label}: {outcome.error or 'done'}", err=True)


def table(folders: dict[str, Path]) -> list[str]:
    """The lines of the table; the first folder is that of the target."""
    losses = {name: held_out_losses(folder) for name, folder in folders.items()}
    first = next(iter(losses))
    target = mean(of_seed.iloc[-1] for of_seed in losses[first])
    lines = [
        f"Target {target:.4f}: held-out loss of `{first}`.",
        "",
        "| recipe | steps to it, median | each seed | last held-out loss "
        "| log loss, real tables | ROC AUC, real tables | CPU-ms a step |",
        "|---|--:|---|--:|--:|--:|--:|",
    ]
    for name, of_seeds in losses.items():
        reached = [steps_to(target, of_seed) for of_seed in of_seeds]
        last = mean(of_seed.iloc[-1] for of_seed in of_seeds)
        each = ", ".join(shown(number) for number in reached)
        real = " | ".join(f"{real_mean(folders[name], metric):.4f}" for metric in ("log_loss", "roc_auc"))
        cost = 1000 * cpu_seconds(folders[name]) / of_seeds[0].index[-1]
        lines.append(f"| {name} | {shown(median(reached))} | {each} | {last:.4f} | {real} | {cost:.0f} |")
    return lines


def held_out_losses(folder: Path) -> list[pd.Series]:
    """For each seed the mean log loss on the held-out datasets, by step."""
    records = pd.read_parquet(folder / "records.parquet")
    own = records[(records["target"] == "prior") & (records["metric"] == "log_loss")]
    return [frame.groupby("step")["value"].mean() for _, frame in own.groupby("model_seed")]


def real_mean(folder: Path, metric: str) -> float:
    """The mean over tables and seeds of the last models' scores."""
    records = pd.read_parquet(folder / "records.parquet")
    final = records[records["is_final"] & (records["target"] == "real") & (records["fold"] == POOLED)]
    return float(final.loc[final["metric"] == metric, "value"].mean())


def cpu_seconds(folder: Path) -> float:
    """The median over seeds of a training's CPU time."""
    return median(json.loads(path.read_text())["cpu_seconds"] for path in folder.glob("cells/*/done.json"))


def steps_to(target: float, losses: pd.Series) -> float:
    """Steps up to the first loss that is not above the target; infinite if there is none."""
    return next((step for step, loss in losses.items() if loss <= target), float("inf"))


def shown(steps: float) -> str:
    return "never" if steps == float("inf") else f"{steps:.0f}"


if __name__ == "__main__":
    main()
