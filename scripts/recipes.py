"""Steps that each recipe needs to the held-out loss where the published one ends: a study for each recipe."""

import json
from pathlib import Path
from statistics import mean, median

import click
import pandas as pd

from nanotabpfn.studies.run import run_study
from nanotabpfn.studies.spec import Study, StudyError
from nanotabpfn.training.recipes import RECIPES
from priors.console import PlainError

PRIOR = {"preset": "default", "set": {"num_datapoints": 60, "num_features": [4, 4]}}
SETTINGS = {
    "arms": {"default": PRIOR},
    "controls": [],
    "seed_design": "crossed",
    "data_seeds": [0],
    "batch_size": 8,
    "held_out": 128,
    "model": {"embedding_size": 32, "num_attention_heads": 2, "mlp_hidden_size": 64, "num_layers": 2},
    "suites": ["builtin"],
    "baselines": [],
}


@click.command(context_settings={"show_default": True})
@click.option("--recipe", "names", type=click.Choice(list(RECIPES)), multiple=True, default=tuple(RECIPES))
@click.option("--seed", "seeds", type=int, multiple=True, default=(0, 1, 2), help="Of the initial weights.")
@click.option("--steps", type=click.IntRange(min=1), default=160, help="Of each training.")
@click.option("--eval-every", type=click.IntRange(min=1), default=20, help="Steps.")
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), default=Path("runs/recipes"))
def main(names: tuple[str, ...], seeds: tuple[int, ...], steps: int, eval_every: int, work: Path) -> None:
    """Train each recipe from each seed, and print a Markdown table.

    The target is the last held-out loss of the recipe `published`, the mean over its seeds. Losses are those
    of averaged weights on 128 datasets, the same for all. What WORK has is not trained again: after a stop
    the same command resumes.
    """
    names = ("published", *(name for name in names if name != "published"))
    found = {}
    for name in names:
        settings = {
            "name": name,
            "recipe": name,
            "model_seeds": seeds,
            "steps": steps,
            "eval_every": eval_every,
        }
        try:
            study = Study(**SETTINGS, **settings)
            failed = [outcome.error for outcome in run_study(study, work / name) if outcome.error]
        except StudyError as error:
            raise PlainError(str(error)) from error
        if failed:
            raise click.ClickException(f"{name}: {failed[0]}")
        found[name] = held_out_losses(work / name)
    target = mean(losses.iloc[-1] for losses in found["published"])
    click.echo(f"Target {target:.4f}: held-out loss of `published` after {steps} steps.\n")
    click.echo("| recipe | steps to it, median | each seed | last held-out loss | CPU-ms a step |")
    click.echo("|---|--:|---|--:|--:|")
    for name, seeds_losses in found.items():
        reached = [steps_to(target, losses) for losses in seeds_losses]
        last = mean(losses.iloc[-1] for losses in seeds_losses)
        each = ", ".join(shown(number) for number in reached)
        cost = 1000 * cpu_seconds(work / name) / steps
        click.echo(f"| {name} | {shown(median(reached))} | {each} | {last:.4f} | {cost:.0f} |")


def held_out_losses(folder: Path) -> list[pd.Series]:
    """For each seed the mean log loss on the held-out datasets, by step."""
    records = pd.read_parquet(folder / "records.parquet")
    own = records[(records["target"] == "prior") & (records["metric"] == "log_loss")]
    return [frame.groupby("step")["value"].mean() for _, frame in own.groupby("model_seed")]


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
