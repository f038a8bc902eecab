"""Steps that each recipe needs to the held-out loss where the published one ends, on small tables."""

import json
import os
import time
from functools import cache
from pathlib import Path
from statistics import mean, median

import click
import torch

from nanotabpfn.data.loaders import PriorDataLoader
from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.evaluation.held_out import score_held_out
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.training.loop import train
from nanotabpfn.training.recipes import RECIPES
from priors.config import with_overrides
from priors.presets import PRESETS

PRIOR = {"num_datapoints": 60, "num_features": [4, 4]}  # of `default`; else as it is
SIZES = {"embedding_size": 32, "num_attention_heads": 2, "mlp_hidden_size": 64, "num_layers": 2}
BATCH_SIZE, HELD_OUT = 8, 128


@click.command(context_settings={"show_default": True})
@click.option(
    "--recipe",
    "names",
    type=click.Choice(list(RECIPES)),
    multiple=True,
    default=tuple(RECIPES),
    help="Which.",
)
@click.option("--seed", "seeds", type=int, multiple=True, default=(0, 1, 2), help="Of weights and batches.")
@click.option("--steps", type=click.IntRange(min=1), default=160, help="Of each training.")
@click.option("--eval-every", type=click.IntRange(min=1), default=20, help="Steps.")
@click.option(
    "--work", type=click.Path(file_okay=False, path_type=Path), default=Path("runs/recipes"), help="Results."
)
def main(names: tuple[str, ...], seeds: tuple[int, ...], steps: int, eval_every: int, work: Path) -> None:
    """Train each recipe from each seed, and print a Markdown table.

    The target is the published recipe's last held-out loss, the mean over its seeds; losses are of averaged
    weights on 128 datasets, the same for all. What WORK has is not trained again: stopped at any
    time, the same command goes on.
    """
    torch.set_num_threads(1)
    work.mkdir(parents=True, exist_ok=True)
    names = ("published", *(name for name in names if name != "published"))
    for seed in seeds:  # first, so that the datasets of a seed are sampled once
        for name in names:
            _cell(work, name, seed, steps, eval_every)
    cells = {name: [_cell(work, name, seed, steps, eval_every) for seed in seeds] for name in names}
    target = mean(cell["losses"][-1] for cell in cells["published"])
    click.echo(f"Target {target:.4f}: held-out loss of `published` after {steps} steps.\n")
    click.echo("| recipe | steps to it, median | each seed | last held-out loss | CPU-ms a step |")
    click.echo("|---|--:|---|--:|--:|")
    for name, found in cells.items():
        reached = [_steps_to(target, cell["losses"], eval_every) for cell in found]
        last = mean(cell["losses"][-1] for cell in found)
        cost = 1000 * median(cell["cpu_seconds"] for cell in found) / steps
        shown = ", ".join(_shown(number) for number in reached)
        click.echo(f"| {name} | {_shown(median(reached))} | {shown} | {last:.4f} | {cost:.0f} |")


def _cell(work: Path, name: str, seed: int, steps: int, eval_every: int) -> dict:
    """The losses and the CPU time of one training: read, or made now."""
    recipe = RECIPES[name]
    settings = {
        "prior": PRIOR,
        "model": SIZES | recipe.architecture,
        "training": recipe.training,
        "batch_size": BATCH_SIZE,
        "held_out": HELD_OUT,
        "steps": steps,
        "eval_every": eval_every,
    }
    file = work / f"{name}-{seed}.json"
    if file.exists():
        found = json.loads(file.read_text(encoding="utf-8"))
        if found["settings"] != settings:
            raise click.ClickException(f"{file} was made with other settings; choose another --work")
        return found
    batches, held_out = _batches(seed, steps), _held_out()
    torch.manual_seed(seed)
    model = NanoTabPFNModel(**settings["model"])
    losses = []

    def score(classifier: NanoTabPFNClassifier) -> dict[str, float]:
        losses.append(score_held_out(classifier.model, held_out, "cpu")["held_out_loss"])
        return {"held_out_loss": losses[-1]}

    begun = time.process_time()
    train(model, batches, device="cpu", steps_per_eval=eval_every, eval_func=score, **recipe.training)
    if len(losses) < steps // eval_every:  # Ctrl-C ends the training quietly
        raise click.Abort
    cell = {"settings": settings, "losses": losses, "cpu_seconds": time.process_time() - begun}
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(cell, indent=1), encoding="utf-8")
    os.replace(partial, file)
    return cell


@cache
def _batches(seed: int, steps: int) -> list[dict]:
    config = with_overrides(PRESETS["default"], PRIOR)
    return list(PriorDataLoader(config, steps, BATCH_SIZE, "cpu", seed, num_workers=0, held_out=HELD_OUT))


@cache
def _held_out() -> list[dict]:
    config = with_overrides(PRESETS["default"], PRIOR)
    loader = PriorDataLoader(config, 1, BATCH_SIZE, "cpu", seed=0, num_workers=0, held_out=HELD_OUT)
    return loader.held_out_batches()


def _steps_to(target: float, losses: list[float], eval_every: int) -> float:
    """Steps up to the first loss that is not above the target; infinite where there is none."""
    return next((i * eval_every for i, loss in enumerate(losses, 1) if loss <= target), float("inf"))


def _shown(steps: float) -> str:
    return "never" if steps == float("inf") else f"{steps:.0f}"


if __name__ == "__main__":
    main()
