"""What `nanotabpfn study run` does and shows: a question before, a bar and lines during, a line after."""

import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import click
from tqdm import tqdm

from nanotabpfn.cli.study_plan import count_done, describe_work, num_done, show_replaced
from nanotabpfn.studies.earlier import Replaced, replaced_trainings
from nanotabpfn.studies.folder import begun_path, state_of, steps_done
from nanotabpfn.studies.jobs import Job, Outcome
from nanotabpfn.studies.keys import Plan, PlannedCell
from nanotabpfn.studies.run import run_study
from nanotabpfn.studies.spec import WARM_START, Study
from nanotabpfn.studies.workers import Workers
from priors.console import PlainError, hidden_bars, interruptible, printable, report
from priors.generation.engines import WorkerLostError

SECONDS_BETWEEN_UPDATES = 2
BAR = "{desc}: {percentage:3.0f}% {n_fmt}/{total_fmt} steps [{elapsed}<{remaining}{postfix}]"
SHOWN = 2
"""How many of the cells that are under way the bar names: more do not fit into a line."""


def run_and_show(
    study: Study, folder: Path, workers: Workers, replaces: bool, quiet: bool, as_json: bool
) -> None:
    """Run a study with a progress bar, and end with a line that says what is done.

    Args:
        replaces: whether cells whose settings have changed are trained again without a question.
        quiet: show only the jobs that failed.
        as_json: print the result as JSON, and all other lines on stderr.

    Raises:
        click.ClickException: the study was stopped, or a job failed.
    """
    view = ProgressView(folder, replaces, quiet, as_json)
    try:
        with interruptible(), hidden_bars() if quiet else nullcontext():
            outcomes = run_study(study, folder, workers, on_plan=view.begin, on_outcome=view.show)
    except (KeyboardInterrupt, WorkerLostError) as error:
        reason = str(error) or "stopped"
        raise click.ClickException(f"{reason}; the same command resumes") from error
    finally:
        view.end()
    failed = [outcome for outcome in outcomes if outcome.error and not outcome.is_busy]
    busy = sum(outcome.is_busy for outcome in outcomes)
    document = {
        "folder": folder,
        "num_cells": len(view.plan.cells),
        "num_done": num_done(view.plan, folder),
        "failed": [{"job": outcome.label, "error": outcome.error} for outcome in failed],
        "num_busy": busy,
    }
    report(as_json, f"{count_done(view.plan, folder)}; records.parquet, records.csv", document)
    if failed or busy:
        also = f", {busy} left to another process" if busy else ""
        raise click.ClickException(
            f"{len(failed)} failed{also}; their tracebacks are in {folder / 'errors'}, and the same command "
            "tries them again"
        )


class ProgressView:
    """One bar over the training steps of all cells, what is under way, and a line for each job that ended.

    Args:
        folder: of the study. Progress is read from the files in it, which works for any backend.
        replaces: whether cells whose settings have changed are trained again without a question.
        quiet: show only the jobs that failed.
        on_stderr: whether all lines go to stderr, since stdout is for the result alone.
    """

    def __init__(self, folder: Path, replaces: bool, quiet: bool = False, on_stderr: bool = False):
        self.folder = folder
        self._replaces, self._quiet, self._on_stderr = replaces, quiet, on_stderr
        self.plan: Plan | None = None
        self._bar: tqdm | None = None
        self._ended = threading.Event()
        self._updates = threading.Thread(target=self._update, daemon=True)

    def begin(self, plan: Plan, jobs: list[Job]) -> None:
        """Ask whether cells may be trained again, and show the bar, before any work."""
        self.plan = plan
        self._confirm(replaced_trainings(plan, self.folder))
        if not self._quiet:
            click.echo(describe_work(plan, jobs, self.folder), err=self._on_stderr)
        trainings = {planned.key: planned for planned in [*plan.warm_starts, *plan.cells]}
        self._open = {job.key: trainings[job.key] for job in jobs if job.key in trainings}
        self._others = {job.key: job.label for job in jobs if job.key not in trainings}
        total = sum(planned.cell.arm.steps for planned in trainings.values())
        self._steps_of_done = total - sum(planned.cell.arm.steps for planned in self._open.values())
        self._left = {job.label for job in jobs}
        self._bar = tqdm(
            total=total,
            initial=self._now(),
            desc=self._title(),
            unit="step",
            disable=None,
            dynamic_ncols=True,
            bar_format=BAR,
        )
        self._updates.start()

    def _confirm(self, replaced: list[Replaced]) -> None:
        show_replaced(replaced, self._on_stderr)
        if not replaced or self._replaces:
            return
        if not sys.stdin.isatty():
            raise PlainError("nothing was done; --yes trains these cells again, --out keeps both studies")
        click.confirm("Train them again?", abort=True, err=self._on_stderr)

    def show(self, outcome: Outcome) -> None:
        """Write a line for a job that ended."""
        self._left.discard(outcome.label)
        self._bar.set_description_str(self._title(), refresh=False)
        how = "done" if outcome.error is None else outcome.error
        if outcome.error is not None or not self._quiet:
            stream = sys.stderr if self._on_stderr else sys.stdout
            self._bar.write(printable(f"{outcome.label}: {how}"), file=stream)

    def end(self) -> None:
        """Close the bar."""
        self._ended.set()
        if self._bar is not None:
            self._updates.join()
            self._refresh("")
            self._bar.close()

    def under_way(self) -> str:
        """What the workers do now, the cells with their step or their scores."""
        shown = [
            f"{_short_label(planned)}: {state_of(self.plan, planned, self.folder)}"
            for key, planned in self._open.items()
            if begun_path(self.folder, key).exists()
        ]
        shown += [label for key, label in self._others.items() if begun_path(self.folder, key).exists()]
        more = f", and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
        return printable(", ".join(shown[:SHOWN]) + more)

    def _title(self) -> str:
        return f"study, {len(self._left)} job{'s' * (len(self._left) != 1)} left"

    def _now(self) -> int:
        return self._steps_of_done + sum(steps_done(key, self.folder) for key in self._open)

    def _update(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_UPDATES):
            self._refresh(self.under_way())

    def _refresh(self, under_way: str) -> None:
        self._bar.set_postfix_str(under_way, refresh=False)
        self._bar.n = self._now()
        self._bar.refresh()


def _short_label(planned: PlannedCell) -> str:
    cell = planned.cell
    if cell.arm.role == WARM_START:
        return cell.label
    return f"{cell.arm.name} {cell.data_seed}/{cell.model_seed}"
