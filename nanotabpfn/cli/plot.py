"""`nanotabpfn plot`: a figure of a training run."""

from pathlib import Path

import click

from nanotabpfn.training.curves import (
    describe_run,
    plot_training,
    problem_type_of_run,
    read_baselines,
    read_history,
)
from priors.console import json_option, report


@click.command("plot")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--scores",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="From `evaluate --baselines --out`: draws the baselines as lines.",
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The picture.  [default: RUN/training.png]"
)
@json_option
def plot_command(run: Path, scores: Path | None, out: Path | None, as_json: bool) -> None:
    """Draw a run's loss and ROC AUC against training steps."""
    from priors.dumps.files import check_target
    from priors.plots.style import check_figure

    out = out or run / "training.png"
    check_figure(out)
    check_target(out)
    history = read_history(run / "history.jsonl")
    problem_type = problem_type_of_run(run / "config.json")
    baselines = read_baselines(scores, problem_type) if scores else {}
    plot_training(history, baselines, out, describe_run(run / "config.json"), problem_type)
    report(
        as_json,
        f"{out}: loss and ROC AUC of {len(history)} steps",
        {"out": out, "num_steps": len(history), "last": history[-1] if history else None},
    )
