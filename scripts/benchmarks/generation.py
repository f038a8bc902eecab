"""`benchmark.py generate`, `tasks` and `live`: what many datasets cost, as a dump or while a model trains."""

import json
import shlex
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import click

from benchmarks.measure import run_measured
from priors.generation.engines import BACKENDS, run_tasks


@click.command()
@click.option("--num-datasets", default=10_240, show_default=True)
@click.option("--shard-size", type=int, help="As of `priors generate`.")
@click.option(
    "--workers", "counts", multiple=True, default=(1, 2), show_default=True, help="May be repeated."
)
@click.option("--backend", type=click.Choice(list(BACKENDS)), default="loky", show_default=True)
@click.option("--repeats", default=3, show_default=True, help="Alternating; the median is shown.")
def generate(
    num_datasets: int, shard_size: int | None, counts: tuple[int, ...], backend: str, repeats: int
) -> None:
    """Time, CPU time and memory of complete runs of `priors generate`, with the start of the processes.

    Memory is the peak of the largest single process.
    """
    runs: dict[int, list[tuple[float, float, float]]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "measured.h5")
        for _ in range(repeats):
            for count in counts:
                words = f"generate {out} --num-datasets {num_datasets} --workers {count} --backend {backend}"
                if shard_size is not None:
                    words += f" --shard-size {shard_size}"
                runs[count].append(run_measured([sys.executable, "-m", "priors", *shlex.split(words)]))
                size = out.stat().st_size
                out.unlink()
    click.echo(f"{num_datasets:,} datasets, {size / 1e6:,.1f} MB, {backend}, median of {repeats}:\n")
    click.echo("| workers | seconds | CPU-seconds | ms of CPU per dataset | peak MB | speed-up |")
    click.echo("|---|---|---|---|---|---|")
    first = median(run[0] for run in runs[counts[0]])
    for count in counts:
        wall, cpu, peak = (median(values) for values in zip(*runs[count], strict=True))
        click.echo(
            f"| {count} | {wall:.1f} | {cpu:.1f} | {cpu / num_datasets * 1e3:.2f} | {peak / 1e6:.0f} "
            f"| {first / wall:.2f} |"
        )


@click.command()
@click.option("--num-tasks", default=2000, show_default=True)
@click.option("--backend", type=click.Choice(list(BACKENDS)), default="dask", show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--scheduler", help="Address of a running cluster.  [default: one on this machine]")
def tasks(num_tasks: int, backend: str, workers: int, scheduler: str | None) -> None:
    """The cost of a task that does nothing, measured from the first result to the last."""
    times = [time.perf_counter() for _ in run_tasks(abs, [(0,)] * num_tasks, backend, workers, scheduler)]
    click.echo(
        f"{backend}, {workers} workers, {num_tasks:,} tasks: "
        f"{(times[-1] - times[0]) / (num_tasks - 1) * 1e3:.2f} ms per task"
    )


@click.command()
@click.option("--prior", default="default", show_default=True, help="As of `nanotabpfn train`.")
@click.option("--steps", default=20, show_default=True, help="Of 32 datasets, of a run.")
@click.option(
    "--workers", "counts", multiple=True, default=(0, 1, 2), show_default=True, help="May be repeated."
)
@click.option("--repeats", default=3, show_default=True, help="Alternating; the median is shown.")
def live(prior: str, steps: int, counts: tuple[int, ...], repeats: int) -> None:
    """How much of a training step is spent waiting for a live prior: complete runs of `nanotabpfn train`.

    Times come from the run's history, without the first two steps, in which workers and memory warm up.
    """
    seconds: dict[int, list[tuple[float, float]]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for count in counts:
                out = Path(folder, "run")
                words = f"train --prior {prior} --out {out} --steps {steps} --eval-every 0 --workers {count}"
                run_measured([sys.executable, "-m", "nanotabpfn", *shlex.split(words), "--overwrite"])
                lines = (out / "history.jsonl").read_text().splitlines()
                first, last = json.loads(lines[1]), json.loads(lines[-1])
                whole, waiting = (last[name] - first[name] for name in ("wall_time", "wait_time"))
                seconds[count].append((whole / (steps - 2), waiting / whole))
    click.echo(f"Prior {prior}, {steps} steps of 32, median of {repeats}:\n")
    click.echo("| workers | seconds per step | of these waiting |")
    click.echo("|---|---|---|")
    for count in counts:
        step, share = (median(values) for values in zip(*seconds[count], strict=True))
        click.echo(f"| {count} | {step:.2f} | {share:.1%} |")
