"""`priors audit`: how much there is to learn from dumps and priors."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from tqdm import tqdm

from priors.cli.options import EXISTING, NEW, audit_progress, set_option, titled, workers_option
from priors.config import PriorConfig, changes_from, load_config, with_overrides
from priors.console import (
    Choice,
    Seed,
    json_option,
    parse_override,
    printable,
    quiet_option,
    refuse_existing,
    report,
)
from priors.dumps.files import check_target
from priors.dumps.read import open_dump
from priors.presets import PRESETS

if TYPE_CHECKING:
    from priors.audit.audit import Audit, Split

ALL_PRESETS = "all"


class Sources(NamedTuple):
    """What to audit."""

    dumps: dict[Path, int]
    """Dump -> number of its datasets."""
    configs: dict[str, PriorConfig]
    """Name -> prior."""
    problem_types: set[str]


class Sample(NamedTuple):
    """How to measure: size and seed of the sample, rows to train on, processes."""

    num_datasets: int
    seed: int
    split: "Split"
    workers: int


class Outputs(NamedTuple):
    """Where the results go."""

    markdown: bool
    as_json: bool
    figure: Path | None

    def check(self, overwrite: bool, problem_types: set[str]) -> None:
        """Stop before any work if the figure exists already or cannot be drawn."""
        if self.markdown and self.as_json:
            raise click.UsageError("--markdown and --json exclude each other")
        if self.figure:
            from priors.plots.style import check_figure

            refuse_existing(self.figure, overwrite)
            check_target(self.figure)
            check_figure(self.figure)
            if len(problem_types) > 1:
                raise click.UsageError("--figure draws either classification or regression, got both")


def _source_options(command: Callable) -> Callable:
    """Add the dumps and priors to audit to a command, which gets them as one argument, `sources`."""

    @click.argument("dumps", nargs=-1, metavar="[DUMP]...", type=EXISTING)
    @click.option(
        "--preset",
        "presets",
        type=Choice([*PRESETS, ALL_PRESETS]),
        multiple=True,
        help="A named prior, or all of them: audits datasets drawn from it, without a file; may be repeated.",
    )
    @click.option(
        "--config",
        "config_files",
        type=EXISTING,
        multiple=True,
        help="A prior from a JSON file, used as --preset is.",
    )
    @set_option
    @wraps(command)
    def with_sources(
        dumps: tuple[Path, ...],
        presets: tuple[str, ...],
        config_files: tuple[Path, ...],
        overrides: tuple[str, ...],
        **others: Any,
    ) -> None:
        command(sources=_chosen_sources(dumps, presets, config_files, overrides), **others)

    return with_sources


def _chosen_sources(
    dumps: tuple[Path, ...],
    presets: tuple[str, ...],
    config_files: tuple[Path, ...],
    overrides: tuple[str, ...],
) -> Sources:
    names = list(PRESETS) if ALL_PRESETS in presets else list(dict.fromkeys(presets))
    changes = dict(map(parse_override, overrides))
    configs = {name: PRESETS[name] for name in names}
    configs |= {str(file): load_config(file) for file in config_files}
    if not dumps and not configs:
        raise click.UsageError("needs a DUMP, a --preset or a --config")
    if overrides and not configs:
        raise click.UsageError("--set changes a --preset or a --config; a DUMP cannot be changed")
    configs = dict(_changed(name, config, changes) for name, config in configs.items())
    sizes, problem_types = {}, {config.problem_type for config in configs.values()}
    for dump in dumps:
        with open_dump(dump, check_sizes=False) as opened:
            sizes[dump] = len(opened)
            problem_types.add(opened.problem_type)
    return Sources(sizes, configs, problem_types)


def _changed(source: str, config: PriorConfig, settings: dict[str, Any]) -> tuple[str, PriorConfig]:
    changed = with_overrides(config, settings)
    return titled(source, changes_from(changed, config)), changed


def _sample_options(command: Callable) -> Callable:
    """Add the options of the measuring to a command, which gets them as one argument, `sample`."""

    @click.option(
        "--num-datasets",
        type=click.IntRange(min=1),
        default=500,
        show_default=True,
        help="How many to train the models on, of each dump or prior: drawn evenly from a dump.",
    )
    @click.option(
        "--seed",
        type=Seed(),
        default=0,
        show_default=True,
        help="Seed of the sample, of the forests, and of a prior's datasets.",
    )
    @click.option(
        "--split",
        type=Choice(["half", "own"]),
        default="half",
        show_default=True,
        help="Train on the first half of a dataset's rows, so that priors with different splits can be "
        "compared; or on its own training rows, as a model does.",
    )
    @workers_option
    @wraps(command)
    def with_sample(num_datasets: int, seed: int, split: "Split", workers: int, **others: Any) -> None:
        command(sample=Sample(num_datasets, seed, split, workers), **others)

    return with_sample


@click.command()
@_source_options
@_sample_options
@click.option(
    "--markdown", is_flag=True, help="Print a table with a line for each dump and prior, and no report."
)
@click.option("--figure", type=NEW, help="Draw the results to this file: .png, .svg or .pdf.")
@click.option("--overwrite", is_flag=True, help="Replace the figure if it exists.")
@quiet_option
@json_option
def audit(
    sources: Sources,
    sample: Sample,
    markdown: bool,
    figure: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Report how much there is to learn from a DUMP, and what its tables are like.

    A random forest and a linear model are trained on a part of each dataset's rows and scored on the rest:
    where the forest is no better than chance, there is almost nothing to learn. All of the file is read
    for damaged records and for datasets that occur twice.

    \b
    priors audit mine.h5
    priors audit 300k_150x5_2.h5 --num-datasets 2000 --workers 2 --figure audit.png
    priors audit mine.h5 --json > audit.json                # a list of objects
    priors audit --preset default --preset mixed            # datasets freshly drawn, no file
    priors audit --preset all --num-datasets 2000 --markdown
    """
    outputs = Outputs(markdown, as_json, figure)
    outputs.check(overwrite, sources.problem_types)
    write(_audit_all(sources, sample), outputs)


def _audit_all(sources: Sources, sample: Sample) -> "list[Audit]":
    from priors.audit.audit import audit_dump, audit_prior

    num_datasets, seed, split, workers = sample
    found = []
    total = len(sources.dumps) + len(sources.configs)
    for dump, size in sources.dumps.items():
        with audit_progress(dump, size, num_datasets, _which(found, total)) as (reading, measuring):
            found.append(
                audit_dump(dump, num_datasets, seed, split, workers, reading.update, measuring.update)
            )
    for name, config in sources.configs.items():
        title = f"measure {name}{_which(found, total)}"
        with tqdm(total=num_datasets, desc=title, unit="dataset", disable=None) as measuring:
            found.append(audit_prior(config, name, num_datasets, seed, split, workers, measuring.update))
    return found


def _which(found: "list[Audit]", total: int) -> str:
    """Which audit of several begins, for its progress bars."""
    return f" ({len(found) + 1} of {total})" if total > 1 else ""


def write(found: "list[Audit]", outputs: Outputs) -> None:
    """Print the audits, and draw them if wanted."""
    from priors.audit.report import describe_audit, markdown_table

    text = markdown_table(found) if outputs.markdown else "\n\n".join(map(describe_audit, found))
    report(outputs.as_json, printable(text), [one.to_dict() for one in found])
    if outputs.figure:
        from priors.plots.audits import plot_audit, plot_audits

        if len(found) == 1:
            plot_audit(found[0], outputs.figure)
        else:
            plot_audits(found, outputs.figure)
