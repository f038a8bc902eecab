"""What generation and storage cost on this machine: the tables of docs/scaling.md."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import click
import h5py
import numpy as np

from priors.dump import open_dump
from priors.engines import BACKENDS, run_tasks
from priors.generate import generate_dump
from priors.presets import PRESETS

FILTERS = {
    "none": {},
    "lzf": {"compression": "lzf"},
    "gzip-1": {"compression": "gzip", "compression_opts": 1},
    "gzip-4": {"compression": "gzip", "compression_opts": 4},
}


@click.group()
def main() -> None:
    """Measure, and print the figures as a Markdown table.

    \b
    python scripts/benchmark.py dump                      # compression of dumps
    python scripts/benchmark.py generate                  # one worker against two
    python scripts/benchmark.py tasks --backend dask      # the cost of handing out a task
    python scripts/benchmark.py live                      # training that waits for a live prior
    """


@main.command()
@click.option("--num-datasets", default=4096, show_default=True, help="Of 150 rows and 5 features.")
@click.option("--repeats", default=5, show_default=True, help="The median of so many is shown.")
def dump(num_datasets: int, repeats: int) -> None:
    """Time and bytes of each compression, for X and y of a dump in chunks of one block.

    CPU time of this process, per dataset; files are in the page cache. All carry fletcher32.
    """
    kinds = [(name, shuffle) for name in FILTERS for shuffle in (False, True)]
    seconds: dict[tuple, list[tuple[float, float, float]]] = {kind: [] for kind in kinds}
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source.h5")
        generate_dump(source, PRESETS["default"], num_datasets, seed=0)
        with open_dump(source) as opened:
            x, y = opened.read(0, num_datasets)
            block = opened.block_size
            chunks = {key: opened.arrays[key].chunks for key in ("X", "y")}
        starts = np.arange(0, num_datasets, block)
        shuffled = np.random.default_rng(0).permutation(starts)
        for _ in range(repeats):
            for kind in kinds:
                path = Path(folder, "measured.h5")
                options = {"shuffle": kind[1], "fletcher32": True, **FILTERS[kind[0]]}
                begun = time.process_time()
                with h5py.File(path, "w", libver=("v110", "v110")) as file:
                    for key, values in (("X", x), ("y", y)):
                        array = file.create_dataset(
                            key, values.shape, np.float32, chunks=chunks[key], **options
                        )
                        for start in starts:
                            array[start : start + block] = values[start : start + block]
                written = time.process_time()
                with h5py.File(path) as file:
                    _read(file, starts, block)
                in_order = time.process_time()
                with h5py.File(path) as file:
                    _read(file, shuffled, block)
                ended = time.process_time()
                seconds[kind].append((written - begun, in_order - written, ended - in_order))
                sizes[kind] = path.stat().st_size
                path.unlink()
    click.echo("| compression | shuffle | write, µs | read in order, µs | read shuffled, µs | bytes |")
    click.echo("|---|---|---|---|---|---|")
    for kind in kinds:
        columns = [f"{median(times) / num_datasets * 1e6:.1f}" for times in zip(*seconds[kind], strict=True)]
        size = f"{sizes[kind] / num_datasets:,.0f}"
        click.echo(f"| {kind[0]} | {'yes' if kind[1] else 'no'} | {' | '.join(columns)} | {size} |")


def _read(file: h5py.File, starts: np.ndarray, block: int) -> None:
    for start in starts:
        file["X"][start : start + block]
        file["y"][start : start + block]


@main.command()
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
    """Time, CPU time and memory of whole runs of `priors generate`, start of the processes included.

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
                runs[count].append(_measured([sys.executable, "-m", "priors.cli", *shlex.split(words)]))
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


def _measured(command: list[str]) -> tuple[float, float, float]:
    """Seconds, CPU-seconds of all its processes, and bytes of the largest of them."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise click.ClickException(f"{shlex.join(command)} failed")
    return time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


@main.command()
@click.option("--num-tasks", default=2000, show_default=True)
@click.option("--backend", type=click.Choice(list(BACKENDS)), default="dask", show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--scheduler", help="Address of a running cluster.  [default: one on this machine]")
def tasks(num_tasks: int, backend: str, workers: int, scheduler: str | None) -> None:
    """The cost of a task that does nothing, from the first result to the last."""
    times = [time.perf_counter() for _ in run_tasks(abs, [(0,)] * num_tasks, backend, workers, scheduler)]
    click.echo(
        f"{backend}, {workers} workers, {num_tasks:,} tasks: "
        f"{(times[-1] - times[0]) / (num_tasks - 1) * 1e3:.2f} ms per task"
    )


@main.command()
@click.option("--prior", default="default", show_default=True, help="As of `nanotabpfn train`.")
@click.option("--steps", default=30, show_default=True, help="Of 32 datasets, of a run.")
@click.option(
    "--workers", "counts", multiple=True, default=(0, 1, 2), show_default=True, help="May be repeated."
)
@click.option("--repeats", default=3, show_default=True, help="Alternating; the median is shown.")
def live(prior: str, steps: int, counts: tuple[int, ...], repeats: int) -> None:
    """How much of a training step is spent waiting for a live prior: whole runs of `nanotabpfn train`.

    From the run's own history, the first two steps left out, when workers and memory warm up.
    """
    seconds: dict[int, list[tuple[float, float]]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for count in counts:
                out = Path(folder, "run")
                words = f"train --prior {prior} --out {out} --steps {steps} --eval-every 0 --workers {count}"
                _measured([sys.executable, "-m", "nanotabpfn.cli", *shlex.split(words), "--overwrite"])
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


if __name__ == "__main__":
    main()
