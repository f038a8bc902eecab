"""What `nanotabpfn study plan` shows: the cells of a study, what is left to do, and what that takes."""

from collections import Counter
from pathlib import Path
from typing import Any

import click

from nanotabpfn.studies.arms import varied_arms
from nanotabpfn.studies.earlier import Replaced, replaced_trainings
from nanotabpfn.studies.estimate import Estimate, estimate
from nanotabpfn.studies.folder import is_complete, state_of
from nanotabpfn.studies.jobs import KINDS, Job, jobs_of
from nanotabpfn.studies.keys import Plan, PlannedCell, plan_study
from nanotabpfn.studies.planned_power import PlannedPower, planned_power
from nanotabpfn.studies.power import POWER
from nanotabpfn.studies.spec import WARM_START, Study
from priors.console import echo_json, printable


def show_plan(study: Study, folder: Path, threads: int, device: str, workers: int, as_json: bool) -> None:
    """Print all cells with their states, what is left to do, and an estimate of its time and disk.

    Args:
        as_json: print one JSON document, at the end.
    """
    plan = plan_study(study)
    states_of_warm_starts = [state_of(plan, planned, folder) for planned in plan.warm_starts]
    states = [state_of(plan, planned, folder) for planned in plan.cells]
    replaced = replaced_trainings(plan, folder)
    if not as_json:
        _show_trainings([*plan.warm_starts, *plan.cells], [*states_of_warm_starts, *states])
        show_replaced(replaced)
        _show_designs(study)
        click.echo(f"each: {study.budget}")
        click.echo(f"\n{describe_work(plan, jobs_of(plan, folder), folder)}")
    found, shows = estimate(plan, folder, threads, device), planned_power(study)
    if not as_json:
        _show_estimate(found, workers)
        _show_power(study, shows)
        return
    echo_json(
        {
            "folder": folder,
            "budget": study.budget,
            "warm_starts": [
                {"model_seed": planned.cell.model_seed, "state": state, "error": planned.error}
                for planned, state in zip(plan.warm_starts, states_of_warm_starts, strict=True)
            ],
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
            | {
                "smallest": {name: one._asdict() for name, one in shows.smallest.items()},
                "effects": [one._asdict() | {"smallest": one.smallest._asdict()} for one in shows.effects],
            },
        }
    )


def _name(planned: PlannedCell) -> dict[str, Any]:
    """The arm and the seeds of a cell, for --json."""
    cell = planned.cell
    return {"arm": cell.arm.name, "data_seed": cell.data_seed, "model_seed": cell.model_seed}


def _show_trainings(trainings: list[PlannedCell], states: list[str]) -> None:
    """A line for each warm start and each cell."""
    width = max(len(planned.cell.arm.name) for planned in trainings)
    click.echo(f"{'arm':{width}}  {'data seed':>9}  {'model seed':>10}  state")
    for planned, state in zip(trainings, states, strict=True):
        cell = planned.cell
        state += f": {planned.error}" if planned.error else ""
        data_seed = "its own" if cell.arm.role == WARM_START else cell.data_seed
        click.echo(
            f"{printable(cell.arm.name):{width}}  {data_seed:>9}  {cell.model_seed:>10}  {printable(state)}"
        )


def _show_designs(study: Study) -> None:
    """How many arms and cells each design has that varies several settings at once."""
    for design in varied_arms(study):
        number = len(design.values)
        how = "drawn at random" if design.is_sample else "all combinations"
        click.echo(
            printable(
                f"{design.name}: {len(design.settings)} settings, {number} arms ({how}), "
                f"{number * len(study.seeds)} cells"
            )
        )


def show_replaced(replaced: list[Replaced], on_stderr: bool = False) -> None:
    """Print which trainings the study does not use any more, and why."""
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


def num_done(plan: Plan, folder: Path) -> int:
    """How many cells are done."""
    return sum(is_complete(plan, planned, folder) for planned in plan.cells)


def count_done(plan: Plan, folder: Path) -> str:
    """How many cells are done: the same words in `plan`, and at the start and the end of `run`."""
    return f"{folder}: {num_done(plan, folder)} of {len(plan.cells)} cells are done"


def describe_work(plan: Plan, jobs: list[Job], folder: Path) -> str:
    """What is done and what is left, in a line: the same for `plan` and `run`."""
    number = Counter(job.kind for job in jobs)
    left = [f"{number[kind]} {kind if number[kind] == 1 else KINDS[kind]}" for kind in KINDS if number[kind]]
    cells = [planned for planned in plan.cells if not is_complete(plan, planned, folder)]
    failed = sum(planned.error is not None for planned in cells)
    equal = len(cells) - failed - number["cell"]
    return (
        f"{count_done(plan, folder)}; left to do: {', '.join(left) or 'nothing'}"
        + (f" ({equal} more {'cell equals' if equal == 1 else 'cells equal'} one of these)" if equal else "")
        + (f"; {failed} cannot be sampled" if failed else "")
    )


def _show_power(study: Study, found: PlannedPower) -> None:
    """The smallest difference in each metric, and what would halve it; the smallest main effects."""
    number = found.num_comparisons
    if number:
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
    _show_effects(study, found)
    for name, change in found.trends.items():
        click.echo(
            printable(f"the smallest change over the doses of {name}, in {study.metric}: {change:.4f}")
        )
    note = f"; here: {found.unlike}" if found.unlike else ""
    click.echo(
        f"from variances measured in {found.measured_in}{note}. Trainings that begin late are not in it."
    )
    for name, seeds in (("data seed", study.data_seeds), ("model seed", study.model_seeds)):
        if len(seeds) == 1:
            click.echo(
                f"With one {name} that is a difference for this {name} alone: the effect of another one is "
                "not in it, and may be larger."
            )
    if found.remedies:
        click.echo(f"half the difference in {study.metric} takes one of:")
    for remedy in found.remedies:
        click.echo(f"  {remedy}")


def _show_effects(study: Study, found: PlannedPower) -> None:
    """The smallest main effect of each setting."""
    if not found.effects:
        return
    number = len(found.effects)
    width = max(len(printable(effect.change)) for effect in found.effects)
    click.echo(
        f"\nthe smallest main effects on {study.metric} that are shown in {POWER:.0%} of such studies, with "
        f"{study.repetitions}, if settings only add up:"
    )
    click.echo(f"{'change':{width}}  {'alone':>7}  {f'each of {number} (Holm)':>18}")
    for effect in found.effects:
        alone, adjusted = effect.smallest
        click.echo(f"{printable(effect.change):{width}}  {alone:>7.4f}  {adjusted:>18.4f}")


def _show_estimate(found: Estimate, workers: int) -> None:
    if found.step_seconds:
        steps = ", ".join(f"{printable(arm)} {each:.2f} s" for arm, each in found.step_seconds.items())
        click.echo(f"a step takes, with the sampling of its datasets: {steps}")
    if found.warm_start_steps:
        click.echo(
            f"of the training, {found.warm_start_steps} steps are of warm starts, which come before the cells"
        )
    per_process = found.train_seconds + found.score_seconds + found.measure_seconds
    click.echo(
        f"that takes, with {workers} worker{'s' * (workers > 1)}, about {_duration(per_process / workers)} "
        f"({_duration(found.train_seconds)} of training, {_duration(found.score_seconds)} of scoring, "
        f"{_duration(found.measure_seconds)} of measuring priors, by one process), "
        f"{found.disk_bytes / 1e6:.0f} MB of disk"
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
