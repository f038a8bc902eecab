"""The commands `nanotabpfn study ...`: from a study file to records and a report."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from nanotabpfn.cli.options import resolve_device
from nanotabpfn.model.choices import DEVICES
from priors.console import (
    Choice,
    Errors,
    PlainGroup,
    json_option,
    quiet_flag,
    quiet_option,
    refuse_existing,
    report,
)
from priors.generation.engines import BACKENDS, EngineError

EXAMPLE = "example.yaml"
BUILT_IN = {"example": EXAMPLE, "published": "published.yaml"}
"""Studies that come with the package: the commented example, and the published experiment."""


class StudyFile(click.Path):
    """A study file, or the name of the built-in study `published` if no file has that name."""

    def __init__(self):
        super().__init__(exists=True, dir_okay=False, path_type=Path)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Path, Path]:
        """The file, and the folder of the configs and dumps that it names."""
        if value == "published" and not Path(value).exists():
            return Path(str(files("nanotabpfn.studies") / BUILT_IN[value])), Path()
        file = super().convert(value, param, ctx)
        return file, file.parent


study_argument = click.argument("file", type=StudyFile())
out_option = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the study.  [default: runs/ and the name of FILE without its ending]",
)
device_option = click.option(
    "--device",
    type=Choice(DEVICES),
    default="cpu",
    show_default=True,
    help="Where models are trained and scored; auto is the best that a worker has.",
)
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads of each worker."
)


def errors_for_users() -> Errors:
    """The exceptions whose messages are written for the user."""
    from nanotabpfn.studies.spec import StudyError

    return (StudyError, EngineError)


@click.group("study", cls=PlainGroup, errors=errors_for_users)
def study_group() -> None:
    """Measure how a change of the prior changes what a model generalizes to.

    A study is one file: priors (arms), seeds, real tables, and a budget that is the same for all arms. Every
    arm is trained with every seed, and scored on real tables and on held-out datasets of all priors.

    \b
    nanotabpfn study init mine.yaml           # a commented example, to edit
    nanotabpfn study plan mine.yaml           # its cells, the time and disk they need
    nanotabpfn study run mine.yaml            # runs/mine; resumes after any stop
    nanotabpfn study report runs/mine         # runs/mine/report.html
    nanotabpfn study compare runs/mine runs/other    # is an effect found again?

    FILE may be `published`: the published experiment, on three tables of OpenML.
    """


@study_group.command("init")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--study",
    type=Choice(list(BUILT_IN)),
    default="example",
    show_default=True,
    help="Which: a small example, or the published experiment.",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@json_option
def init_command(file: Path, study: str, overwrite: bool, as_json: bool) -> None:
    """Write a commented study to FILE (.yaml), for editing.

    \b
    nanotabpfn study init mine.yaml
    nanotabpfn study init twenty-seeds.yaml --study published
    """
    if file.suffix not in (".yaml", ".yml"):
        raise click.UsageError(f"FILE must end in .yaml, got {file}")
    from priors.dumps.files import check_target

    refuse_existing(file, overwrite)
    check_target(file)
    file.write_bytes((files("nanotabpfn.studies") / BUILT_IN[study]).read_bytes())
    report(as_json, f"{file}: written; edit it, then: nanotabpfn study plan {file}", {"file": file})


@study_group.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of a study file, with which an editor completes and checks one.

    Editors find it by the first line of a YAML file, # yaml-language-server: $schema=study.schema.json, or by
    an entry in their settings.

    \b
    nanotabpfn study schema > study.schema.json
    """
    from nanotabpfn.studies.study_schema import study_schema

    click.echo(json.dumps(study_schema(), indent=1))


@study_group.command("plan")
@study_argument
@out_option
@threads_option
@device_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes for which the time is estimated.",
)
@quiet_option
@json_option
def plan_command(
    file: tuple[Path, Path], out: Path | None, threads: int, device: str, workers: int, as_json: bool
) -> None:
    """Show the cells of a study, what the rest needs in time and disk, and what the study can show.

    Trains a few steps of every arm and scores two tables to time them. While a study runs, this shows its
    progress.

    \b
    nanotabpfn study plan mine.yaml --workers 2
    """
    from nanotabpfn.studies.study_file import load_study

    study, folder = load_study(*file), _folder(file[0], out)
    device = resolve_device(device)  # from here on with torch: a mistake in FILE is shown at once

    from nanotabpfn.cli.study_plan import show_plan

    show_plan(study, folder, threads, device, workers, as_json)


@study_group.command("run")
@study_argument
@out_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes on this machine; each works at a cell of its own.",
)
@threads_option
@click.option(
    "--backend",
    type=Choice(list(BACKENDS)),
    default="loky",
    show_default=True,
    help="What runs the workers: processes of this machine, a dask or a ray cluster.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="A running cluster, all of which is used, such as tcp://host:8786 for dask.",
)
@device_option
@click.option("--yes", is_flag=True, help="Train cells again whose settings have changed, without asking.")
@quiet_flag
@json_option
def run_command(
    file: tuple[Path, Path],
    out: Path | None,
    workers: int,
    threads: int,
    backend: str,
    scheduler: str | None,
    device: str,
    yes: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train and score every cell that is missing, and write records.parquet and records.csv.

    After Ctrl-C, SIGTERM, kill -9 or a power cut the same command resumes. A cell that fails is reported and
    does not stop the others; the same command tries it again. After a change of the file, results that the
    change does not affect are kept: another arm trains that arm alone, and with more steps each training is
    extended. Where a change makes earlier trainings useless, the command lists them and asks.

    \b
    nanotabpfn study run mine.yaml --workers 2
    nanotabpfn study run published            # after `priors download 300k_150x5_2`
    nanotabpfn study run mine.yaml --out /shared/mine --backend dask --scheduler tcp://head:8786
    """
    if scheduler and backend == "loky":
        raise click.UsageError("--scheduler needs --backend dask or ray")
    from nanotabpfn.studies.study_file import load_study

    study, folder = load_study(*file), _folder(file[0], out)
    if not scheduler:  # else the machines of the cluster check their own device
        resolve_device(device)  # from here on with torch: a mistake in FILE is shown at once

    from nanotabpfn.cli.study_run import run_and_show
    from nanotabpfn.studies.workers import Workers

    run_and_show(study, folder, Workers(backend, workers, scheduler, threads, device), yes, quiet, as_json)


@study_group.command("report")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace a report that was made from more records.")
@json_option
def report_command(folder: Path, overwrite: bool, as_json: bool) -> None:
    """Write the report of the study in FOLDER: report.html, one page that needs nothing else, and report.md.

    A study that is still running, or was stopped, is reported too; the report says what is missing.

    \b
    nanotabpfn study report runs/mine
    """
    from nanotabpfn.studies.report.write import write_report

    page, markdown = write_report(folder, overwrite)
    document = {"page": page, "markdown": markdown}
    report(as_json, f"{page} (open it in a browser), {markdown}", document)


@study_group.command("compare")
@click.argument("first", metavar="A", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("second", metavar="B", type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
def compare_command(first: Path, second: Path, as_json: bool) -> None:
    """Show in what the finished studies in the folders A and B differ: their settings, scores and effects.

    Of the arms that both have, by name: the final score in A and in B, and how far each differs from the
    reference, with the interval of the difference between the studies. So a second study shows whether an
    effect is found again with other seeds, more steps or another recipe.

    \b
    nanotabpfn study compare runs/mine runs/longer
    """
    from nanotabpfn.cli.study_compare import show_comparison

    show_comparison(first, second, as_json)


def _folder(file: Path, out: Path | None) -> Path:
    return out or Path("runs") / file.stem
