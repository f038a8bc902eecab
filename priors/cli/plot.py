"""`priors plot`: figures of graphs, datasets and mechanisms of a prior, and of a dump."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from priors.cli.options import (
    EXISTING,
    NEW,
    Prior,
    audit_progress,
    overwrite_option,
    prior_options,
    seed_option,
    workers_option,
)
from priors.console import quiet_option, refuse_existing
from priors.dumps.files import check_target
from priors.dumps.read import open_dump


@click.group()
def plot() -> None:
    """Draw what a prior samples, or what a dump holds.

    \b
    priors plot graphs --out graphs.png --preset mixed --by-family
    priors plot datasets --out datasets.png --set 'num_classes=[3, 3]'
    priors plot mechanisms --out mechanisms.svg
    priors plot dump mine.h5 --out mine.png
    """


def _figure_options(num: int, what: str) -> Callable:
    """Add --out, --overwrite, --seed and --num to a command; the place of the figure is checked first."""

    def with_options(command: Callable) -> Callable:
        @click.option(
            "--out", type=NEW, required=True, help="The figure; its ending is its format: .png, .svg, .pdf."
        )
        @click.option("--num", type=click.IntRange(min=1), default=num, show_default=True, help=what)
        @seed_option
        @overwrite_option
        @wraps(command)
        def with_figure(out: Path, overwrite: bool, **others: Any) -> None:
            from priors.plots.style import check_figure

            check_figure(out)
            refuse_existing(out, overwrite)
            check_target(out)
            command(out=out, **others)

        return with_figure

    return with_options


@plot.command("graphs")
@prior_options
@_figure_options(12, "How many graphs; with --by-family, how many of each family.")
@click.option("--by-family", is_flag=True, help="One row for each graph family of the prior.")
def plot_graphs_command(prior: Prior, out: Path, num: int, seed: int, by_family: bool) -> None:
    """Draw causal graphs of a prior, with what is observed of them and the target.

    They are those behind the first dataset of each block that `priors generate` writes. A graph of your own
    (--graph) is drawn with the names of its nodes.

    \b
    priors plot graphs --out graphs.png
    priors plot graphs --out families.png --preset mixed --by-family --num 4
    priors plot graphs --out credit.png --graph credit.graphml --target default
    """
    from priors.plots.graphs import plot_graphs

    plot_graphs(prior.config, prior.title, out, num, seed, by_family)


@plot.command("datasets")
@prior_options
@_figure_options(4, "How many datasets.")
def plot_datasets_command(prior: Prior, out: Path, num: int, seed: int) -> None:
    """Draw datasets of a prior: features against each other, coloured by class or target.

    They are the first dataset of each block that `priors generate` writes.

    \b
    priors plot datasets --out datasets.png
    priors plot datasets --out trees.png --preset tree-scm --num 2 --seed 1
    """
    from priors.plots.datasets import plot_datasets

    plot_datasets(prior.config, prior.title, out, num, seed)


@plot.command("mechanisms")
@prior_options
@_figure_options(4, "How many draws of each family.")
def plot_mechanisms_command(prior: Prior, out: Path, num: int, seed: int) -> None:
    """Draw the mechanism families of a prior, as functions of one cause and of two.

    \b
    priors plot mechanisms --out mechanisms.png --preset mixed
    priors plot mechanisms --out deep.png --set 'mechanisms={"mlp": 1}'
    """
    from priors.plots.mechanisms import plot_mechanisms

    plot_mechanisms(prior.config, prior.title, out, num, seed)


@plot.command("dump")
@click.argument("dump", type=EXISTING)
@_figure_options(200, "How many datasets to measure: correlation, class balance, what a forest learns.")
@workers_option
@quiet_option
def plot_dump_command(dump: Path, out: Path, num: int, seed: int, workers: int) -> None:
    """Draw how the datasets of a DUMP differ: splits, sizes, classes, correlation, what there is to learn.

    \b
    priors plot dump mine.h5 --out mine.png
    priors plot dump 300k_150x5_2.h5 --out published.png --num 1000 --workers 2
    """
    from priors.plots.dumps import plot_dump

    with open_dump(dump, check_sizes=False) as opened:
        size = len(opened)
    with audit_progress(dump, size, num) as (reading, measuring):
        plot_dump(dump, out, num, seed, workers, reading.update, measuring.update)
