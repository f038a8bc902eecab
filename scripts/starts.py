"""How often training begins: the published model, many seeds, with and without a warm-up.

python scripts/starts.py train       # the records of docs/starts, some hours; stopped and resumed at any time
python scripts/starts.py summary     # their table in docs/training.md
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from filelock import FileLock, Timeout
from page_parts import write_part
from scipy import stats

from nanotabpfn.data.loaders import Loader, PriorDataLoader, PriorDumpDataLoader
from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.evaluation.held_out import score_held_out
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.precision import resolve_precision
from nanotabpfn.training.beginning import begun_at, class_entropy
from nanotabpfn.training.loop import train
from priors.dumps.hash import content_hash
from priors.presets import PRESETS
from priors.streams import PRIOR_VERSION

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "training.md"
RECORDS = ROOT / "docs" / "starts"
BEGIN, END = (
    "<!-- Written by scripts/starts.py summary. -->",
    "<!-- End of what scripts/starts.py writes. -->",
)

STEPS, BATCH_SIZE, LEARNING_RATE, HELD_OUT = 300, 32, 4e-3, 256
EVAL_EVERY = 100
WARM_UPS = (0, 20, 100)
PLANNED_SEEDS = 16
LAST_STEPS = 20
"""Steps whose mean is the loss at a step, since the losses of single batches differ by several percent."""
SIZES: dict[str, int] = {}
"""Sizes of the model, if they are not the published ones."""

work_option = click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    default=RECORDS,
    show_default="docs/starts",
    help="Folder of the records.",
)


@click.group()
def main() -> None:
    """How often training begins."""


@main.command("train", context_settings={"show_default": True})
@click.option("--prior", "priors", multiple=True, default=("default",), help="A preset or a dump (.h5).")
@click.option(
    "--warm-up", "warm_ups", type=click.IntRange(min=0), multiple=True, default=WARM_UPS, help="Steps."
)
@click.option(
    "--seeds", type=click.IntRange(min=1), default=PLANNED_SEEDS, help="So many, from 0: of weights and data."
)
@work_option
def train_command(priors: tuple[str, ...], warm_ups: tuple[int, ...], seeds: int, work: Path) -> None:
    """Train the published model for 300 steps from each seed with each warm-up, on one thread.

    Seed s gives the initial weights and the datasets, the same for each warm-up. A training that WORK has is
    not done again: stopped at any time, the same command resumes with the next one. Several processes may
    share WORK.
    """
    torch.set_num_threads(1)
    work.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        for prior in priors:
            for warm_up in warm_ups:
                _train_missing(prior, warm_up, seed, work)


@main.command("summary")
@work_option
@click.option(
    "--page",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=PAGE,
    show_default="docs/training.md",
    help="Page with the two markers between which the table is written.",
)
def summary_command(work: Path, page: Path) -> None:
    """Write the table of the records in WORK into a page."""
    records = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(work.glob("*.json"))]
    if not records:
        raise click.UsageError(f"{work} holds no records; make them with: scripts/starts.py train")
    try:
        write_part(page, BEGIN, END, summary(records))
    except ValueError as error:
        raise click.UsageError(f"{page}: {error}") from error


def summary(records: list[dict[str, Any]]) -> str:
    """The table of the records in Markdown, a row for each prior and warm-up."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for record in records:
        prior = record["prior"].get("preset") or record["prior"]["dump"]
        groups.setdefault((prior, record["warm_up"]), []).append(record)
    steps = range(EVAL_EVERY, STEPS + 1, EVAL_EVERY)
    lines = [
        "| prior | warm-up | seeds | begun in | share, 95 % interval | begun by step, median | "
        + " | ".join(f"loss, step {step}" for step in steps)
        + " | held-out loss | peak, first 10 steps |",
        "|---|" + "--:|" * (len(steps) + 7),
    ]
    lines += [
        "| " + " | ".join([f"`{prior}`", str(warm_up), *_cells(group, steps)]) + " |"
        for (prior, warm_up), group in sorted(groups.items())
    ]
    fewest = min(map(len, groups.values()))
    few = f" Fewer than the {PLANNED_SEEDS} that are planned: the shares are not yet known."
    lines += [
        "",
        f"Seeds of each row: {fewest} or more.{few if fewest < PLANNED_SEEDS else ''}",
    ]
    return "\n".join(lines) + "\n"


def _cells(group: list[dict[str, Any]], steps: range) -> list[str]:
    """The values of a row: of the trainings from all seeds of one prior and warm-up."""
    begun = [begun_at(record["loss"], record["class_shares"]) for record in group]
    count = sum(step is not None for step in begun)
    share = stats.binomtest(count, len(group)).proportion_ci(method="exact")
    median = np.median([step or np.inf for step in begun])
    return [
        str(len(group)),
        str(count),
        f"{share.low:.2f} to {share.high:.2f}",
        f"{median:g}" if np.isfinite(median) else "not begun",
        *(mean_and_interval([_loss_at(record, step) for record in group]) for step in steps),
        mean_and_interval([record["held_out"][str(steps[-1])]["held_out_loss"] for record in group]),
        mean_and_interval([max(record["loss"][:10]) for record in group], digits=2),
    ]


def _loss_at(record: dict[str, Any], step: int) -> float:
    return float(np.mean(record["loss"][max(step - LAST_STEPS, 0) : step]))


def mean_and_interval(values: list[float], digits: int = 3) -> str:
    """The mean, with half the width of its 95 % interval (Student's t) if there are at least two values."""
    mean = f"{np.mean(values):.{digits}f}"
    if len(values) < 2:
        return mean
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{mean} ± {half:.{digits}f}"


def _train_missing(prior: str, warm_up: int, seed: int, work: Path) -> None:
    """Train and write the record, unless it is there or another process trains it."""
    name = f"{Path(prior).stem.partition('_')[0]}-{warm_up}-{seed}"
    file = work / f"{name}.json"
    try:
        with FileLock(work / f"{name}.lock", blocking=False):
            if not file.exists():
                record = _train(prior, warm_up, seed)
                click.echo(f"{name}: {_loss_at(record, STEPS):.3f}, held out {record['held_out']}")
                partial = file.with_suffix(".partial")
                partial.write_text(json.dumps(record), encoding="utf-8")
                os.replace(partial, file)
    except Timeout:
        click.echo(f"{name}: another process trains it")
    else:
        (work / f"{name}.lock").unlink(missing_ok=True)


def _train(prior: str, warm_up: int, seed: int) -> dict[str, Any]:
    """The record of one training: settings, values of each step, held-out losses every 100 steps."""
    loader, held_out, source = _data(prior, seed)
    precision = resolve_precision("auto", "cpu")  # bfloat16 is slow on processors without it
    torch.manual_seed(seed)
    model = NanoTabPFNModel(**SIZES)
    record = {
        "prior": source,
        "warm_up": warm_up,
        "seed": seed,
        "batch_size": BATCH_SIZE,
        "lr": LEARNING_RATE,
        "precision": precision,
        "loss": [],
        "gradient_norm": [],
        "class_shares": [],
        "held_out": {},
    }

    def batches() -> Iterator[dict[str, Any]]:
        for batch in loader:
            record["class_shares"].append(round(class_entropy(batch), 4))
            yield batch

    def score(classifier: NanoTabPFNClassifier) -> dict[str, float]:
        scores = score_held_out(classifier.model, held_out, "cpu")
        record["held_out"][len(record["class_shares"])] = {k: round(v, 4) for k, v in scores.items()}
        return scores

    def keep(values: dict[str, float]) -> None:
        record["loss"].append(round(values["loss"], 4))
        record["gradient_norm"].append(round(values["gradient_norm"], 4))

    train(
        model,
        batches(),
        lr=LEARNING_RATE,
        device="cpu",
        steps_per_eval=EVAL_EVERY,
        eval_func=score,
        on_step=keep,
        warmup_steps=warm_up,
        precision=precision,
    )
    if len(record["loss"]) < STEPS:  # Ctrl-C ends a training without an error
        raise click.Abort
    return record


def _data(prior: str, seed: int) -> tuple[Loader, list[dict[str, Any]], Any]:
    """Batches to train on, batches held out (the same for all seeds), and what identifies the prior."""
    if prior in PRESETS:
        config = PRESETS[prior]
        loader = PriorDataLoader(config, STEPS, BATCH_SIZE, "cpu", seed)
        held_out = PriorDataLoader(config, 1, BATCH_SIZE, "cpu", 0, held_out=HELD_OUT).held_out_batches()
        return loader, held_out, {"preset": prior, "prior_version": PRIOR_VERSION}
    loader = PriorDumpDataLoader(prior, STEPS, BATCH_SIZE, "cpu", seed, held_out=HELD_OUT)
    return loader, loader.held_out_batches(), {"dump": Path(prior).name, "content_hash": content_hash(prior)}


if __name__ == "__main__":
    main()
