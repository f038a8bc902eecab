"""The commands `nanotabpfn study ...`: from a study file to records and a report."""

import json
import sys
import threading
from contextlib import nullcontext
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from nanotabpfn.cli.options import resolve_device
from nanotabpfn.model.device import DEVICES
from nanotabpfn.studies.earlier import Replaced, replaced_trainings
from nanotabpfn.studies.estimate import Estimate, estimate
from nanotabpfn.studies.folder import state_of, steps_done
from nanotabpfn.studies.jobs import Job, Outcome
from nanotabpfn.studies.keys import Plan, PlannedCell, plan_study
from nanotabpfn.studies.planned_power import PlannedPower, planned_power
from nanotabpfn.studies.power import POWER
from nanotabpfn.studies.report.write import write_report
from nanotabpfn.studies.run import run_study
from nanotabpfn.studies.spec import Study, StudyError
from nanotabpfn.studies.study_file import load_study
from nanotabpfn.studies.workers import Workers
from priors.console import (
    PlainError,
    PlainGroup,
    echo_json,
    hidden_bars,
    interruptible,
    json_option,
    printable,
    quiet_flag,
    quiet_option,
    refuse_existing,
    report,
)
from priors.generation.engines import BACKENDS, EngineError, WorkerLostError

SECONDS_BETWEEN_UPDATES = 2
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
    type=click.Choice(DEVICES),
    default="cpu",
    show_default=True,
    help="Where models are trained and scored; auto is the best that a worker has.",
)
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads of each worker."
)


@click.group("study", cls=PlainGroup, errors=(StudyError, EngineError))
def study_group() -> None:
    """Measure how a change of the prior changes what a model generalizes to.

    A study is one file: priors (arms), seeds, real tables, and a budget that is the same for all arms. Every
    arm is trained with every seed, and scored on real tables and on held-out datasets of all priors.

    \b
    nanotabpfn study init mine.yaml           # a commented example, to edit
    nanotabpfn study plan mine.yaml           # its cells, the time and disk they need
    nanotabpfn study run mine.yaml            # runs/mine; resumes after any stop
    nanotabpfn study report runs/mine         # runs/mine/report.html

    FILE may be `published`: the published experiment, on three tables of OpenML.
    """


@study_group.command("init")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--study",
    type=click.Choice(list(BUILT_IN)),
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
    refuse_existing(file, overwrite)
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
    study, folder = load_study(*file), _folder(file[0], out)
    plan = plan_study(study)
    states = [state_of(plan, planned, folder) for planned in plan.cells]
    replaced = replaced_trainings(plan, folder)
    if not as_json:
        _show_cells(plan, states, folder)
        _show_replaced(replaced)
        click.echo(f"each: {study.budget}")
    found, shows = estimate(plan, folder, threads, resolve_device(device)), planned_power(study)
    if not as_json:
        _show_estimate(found, workers)
        _show_power(study, shows)
        return
    echo_json(
        {
            "folder": folder,
            "budget": study.budget,
            "cells": [
                {**_name(planned), "state": state, "error": planned.error}
                for planned, state in zip(plan.cells, states, strict=True)
            ],
            "trained_again": [
                {**_name(one.planned), "steps": one.steps, "reason": one.reason} for one in replaced
            ],
            "workers": workers,
            "left": found._asdict(),
            "power": shows._asdict()
            | {"smallest": {name: one._asdict() for name, one in shows.smallest.items()}},
        }
    )


def _name(planned: PlannedCell) -> dict[str, Any]:
    """The arm and the seeds of a cell, for --json."""
    cell = planned.cell
    return {"arm": cell.arm.name, "data_seed": cell.data_seed, "model_seed": cell.model_seed}


def _show_cells(plan: Plan, states: list[str], folder: Path) -> None:
    width = max(len(planned.cell.arm.name) for planned in plan.cells)
    click.echo(f"{'arm':{width}}  {'data seed':>9}  {'model seed':>10}  state")
    for planned, state in zip(plan.cells, states, strict=True):
        cell = planned.cell
        state += f": {planned.error}" if planned.error else ""
        click.echo(
            f"{printable(cell.arm.name):{width}}  {cell.data_seed:>9}  {cell.model_seed:>10}  "
            f"{printable(state)}"
        )
    click.echo(f"\n{len(plan.cells)} cells, {states.count('done')} done, in {folder}")


def _show_replaced(replaced: list[Replaced], on_stderr: bool = False) -> None:
    """Which trainings the study does not use any more, and why."""
    if not replaced:
        return
    steps = sum(one.steps for one in replaced)
    click.echo(
        f"\n{len(replaced)} cells are trained again, since their settings have changed; their earlier "
        f"trainings, {steps} steps, stay in the folder but are not used:",
        err=on_stderr,
    )
    for one in replaced:
        click.echo(printable(f"  {one.planned.cell.label}: {one.reason}"), err=on_stderr)


def _show_power(study: Study, found: PlannedPower) -> None:
    """The smallest difference in each metric, and what would halve it."""
    number = found.num_comparisons
    click.echo(
        f"\nthe smallest true difference that is shown in {POWER:.0%} of such studies, with "
        f"{study.repetitions}:"
    )
    click.echo(
        f"{'metric':17}  {'one comparison':>14}" + f"  {f'each of {number} (Holm)':>18}" * (number > 1)
    )
    first = [study.metric, study.second_metric]
    for metric in [*first, *(metric for metric in found.smallest if metric not in first)]:
        alone, adjusted = found.smallest[metric]
        click.echo(f"{metric:17}  {alone:>14.4f}" + f"  {adjusted:>18.4f}" * (number > 1))
    for name, change in found.trends.items():
        click.echo(
            printable(f"the smallest change over the doses of {name}, in {study.metric}: {change:.4f}")
        )
    note = f"; here: {found.unlike}" if found.unlike else ""
    click.echo(
        f"from variances measured in {found.measured_in}{note}. Trainings that begin late are not in it."
    )
    if found.remedies:
        click.echo(f"half the difference in {study.metric} takes one of:")
    for remedy in found.remedies:
        click.echo(f"  {remedy}")


def _show_estimate(found: Estimate, workers: int) -> None:
    if found.step_seconds:
        steps = ", ".join(f"{printable(arm)} {each:.2f} s" for arm, each in found.step_seconds.items())
        click.echo(f"a step takes, with the sampling of its datasets: {steps}")
    per_process = found.train_seconds + found.score_seconds + found.measure_seconds
    click.echo(
        f"left to do, with {workers} worker{'s' * (workers > 1)}: about {_duration(per_process / workers)} "
        f"({_duration(found.train_seconds)} of training, {_duration(found.score_seconds)} of scoring, "
        f"{_duration(found.measure_seconds)} of measuring priors, by one process), "
        f"{found.disk_bytes / 1e6:.0f} MB of disk"
    )


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
    type=click.Choice(list(BACKENDS)),
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
    if not scheduler:  # else the machines of the cluster check their own device
        resolve_device(device)
    study, folder = load_study(*file), _folder(file[0], out)
    view = ProgressView(folder, yes, quiet, as_json)
    try:
        with interruptible(), hidden_bars() if quiet else nullcontext():
            outcomes = run_study(
                study,
                folder,
                Workers(backend, workers, scheduler, threads, device),
                on_plan=view.begin,
                on_outcome=view.show,
            )
    except (KeyboardInterrupt, WorkerLostError) as error:
        reason = str(error) or "stopped"
        raise click.ClickException(f"{reason}; the same command resumes") from error
    finally:
        view.end()
    _report_run(as_json, folder, view.plan, outcomes)


def _report_run(as_json: bool, folder: Path, plan: Plan, outcomes: list[Outcome]) -> None:
    """Print how many cells are done, and which jobs failed.

    Raises:
        click.ClickException: a job failed, or another process works at it.
    """
    failed = [outcome for outcome in outcomes if outcome.error and not outcome.is_busy]
    busy = sum(outcome.is_busy for outcome in outcomes)
    num_cells = len(plan.cells)
    done = sum(state_of(plan, planned, folder) == "done" for planned in plan.cells)
    document = {
        "folder": folder,
        "num_cells": num_cells,
        "num_done": done,
        "failed": [{"job": outcome.label, "error": outcome.error} for outcome in failed],
        "num_busy": busy,
    }
    report(as_json, f"{folder}: {done} of {num_cells} cells are done; records.parquet, records.csv", document)
    if failed or busy:
        also = f", {busy} left to another process" if busy else ""
        raise click.ClickException(
            f"{len(failed)} failed{also}; their tracebacks are in {folder / 'errors'}, and the same command "
            "tries them again"
        )


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
    page, markdown = write_report(folder, overwrite)
    document = {"page": page, "markdown": markdown}
    report(as_json, f"{page} (open it in a browser), {markdown}", document)


class ProgressView:
    """One bar over the training steps of all cells, and a line for each job that ended.

    Args:
        folder: of the study. Progress is read from the histories in it, which works for any backend.
        replaces: whether cells whose settings have changed are trained again without a question.
        quiet: show only the jobs that failed.
        on_stderr: whether all lines go to stderr, since stdout is for the result alone.
    """

    def __init__(self, folder: Path, replaces: bool, quiet: bool, on_stderr: bool):
        self.folder = folder.absolute()
        self._replaces, self._quiet, self._on_stderr = replaces, quiet, on_stderr
        self.plan: Plan | None = None
        self._bar: tqdm | None = None
        self._ended = threading.Event()
        self._updates = threading.Thread(target=self._update, daemon=True)

    def begin(self, plan: Plan, jobs: list[Job]) -> None:
        """Ask whether cells may be trained again, and show the bar, before any work."""
        self.plan = plan
        self._confirm(replaced_trainings(plan, self.folder))
        keys = {job.key for job in jobs}
        self._cells = {planned.key: planned for planned in plan.cells}
        total = sum(planned.cell.arm.steps for planned in self._cells.values())
        self._open = {key: planned for key, planned in self._cells.items() if key in keys}
        done = total - sum(planned.cell.arm.steps for planned in self._open.values())
        self._steps_of_done = done
        if not self._quiet:
            click.echo(
                f"{self.folder}: {len(self._cells) - len(self._open)} of {len(self._cells)} different cells "
                f"are complete, {len(jobs)} jobs to do",
                err=self._on_stderr,
            )
        self._bar = tqdm(total=total, desc="study", unit="step", disable=None)
        self._bar.update(self._now())
        self._updates.start()

    def _confirm(self, replaced: list[Replaced]) -> None:
        _show_replaced(replaced, self._on_stderr)
        if not replaced or self._replaces:
            return
        if not sys.stdin.isatty():
            raise PlainError("nothing was done; --yes trains these cells again, --out keeps both studies")
        click.confirm("Train them again?", abort=True, err=self._on_stderr)

    def show(self, outcome: Outcome) -> None:
        """Write a line for a job that ended."""
        how = "done" if outcome.error is None else outcome.error
        if outcome.error is not None or not self._quiet:
            stream = sys.stderr if self._on_stderr else sys.stdout
            self._bar.write(printable(f"{outcome.label}: {how}"), file=stream)

    def end(self) -> None:
        """Close the bar."""
        self._ended.set()
        if self._bar is not None:
            self._updates.join()
            self._bar.update(self._now() - self._bar.n)
            self._bar.close()

    def _now(self) -> int:
        steps = {key: steps_done(key, self.folder) for key in self._open}
        under_way = sum(0 < steps[key] < self._open[key].cell.arm.steps for key in steps)
        left = sum(steps[key] < self._open[key].cell.arm.steps for key in steps)
        self._bar.set_postfix({"cells under way": under_way, "to be trained": left}, refresh=False)
        return self._steps_of_done + sum(steps.values())

    def _update(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_UPDATES):
            self._bar.update(self._now() - self._bar.n)


def _folder(file: Path, out: Path | None) -> Path:
    return out or Path("runs") / file.stem


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
