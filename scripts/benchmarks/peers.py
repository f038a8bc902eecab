"""`benchmark.py prior`: datasets per CPU-second of our priors and of other generators, in the same run."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import click
from tqdm import tqdm

from benchmarks.shape import Shape
from priors.presets import PRESETS

PEERS = {  # environment -> its oldest Python, what is installed in it, the generators that run there
    "tabicl": ((3, 10), ["tabicl==2.2.0", "xgboost-cpu==3.2.0"], ["tabicl mix_scm", "tabicl graph_scm"]),
    "dagzoo": ((3, 13), ["dagzoo==0.20.0"], ["dagzoo"]),
}
PEERS_TORCH = "torch==2.13.0"
MEMORY_MARKS = (1_000, 10_000, 100_000)


class Sampler:
    """A process of prior_speed.py, which samples from one generator when it is asked to."""

    def __init__(self, name: str, python: str | Path):
        script = Path(__file__).parents[1] / "prior_speed.py"
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self.name = name
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [python, script, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, **threads},
        )

    def sample(self, shape: tuple[int, int, int], seconds: float) -> dict:
        """Sample whole batches for `seconds` of CPU time; return datasets, CPU-seconds and peak bytes.

        Raises:
            ClickException: the process failed; the message ends with its last line.
        """
        question = {**dict(zip(("rows", "features", "classes"), shape, strict=True)), "seconds": seconds}
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            self.process.wait()
            self.errors.seek(0)
            raise click.ClickException(f"{self.name}: {_last_line(self.errors.read())}")
        return json.loads(answer)

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()


@click.command()
@click.option(
    "--preset",
    "presets",
    type=click.Choice(list(PRESETS)),
    multiple=True,
    default=["default"],
    show_default=True,
    help="May be repeated; ratios are to the first.",
)
@click.option(
    "--shape",
    "shapes",
    type=Shape("RxFxK", "rows, features and classes", "150x5x2"),
    multiple=True,
    default=["150x5x2", "1024x50x10"],
    show_default=True,
    help="Rows x features x classes; may be repeated.",
)
@click.option("--repeats", type=click.IntRange(min=1), default=7, show_default=True, help="Alternating.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=3.0,
    show_default=True,
    help="CPU time of one repeat, at least; it ends with a complete batch of 32.",
)
@click.option("--memory", is_flag=True, help="Peak memory after 1,000, 10,000 and 100,000 datasets instead.")
@click.option("--peers", is_flag=True, help="Also TabICL and dagzoo, from PyPI.")
@click.option(
    "--environments",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("~/.cache/nanotabpfn-priors/peers"),
    show_default=True,
    help="Folder of the virtual environments that --peers makes, once; up to several GB with PyTorch.",
)
@click.option(
    "--python",
    "pythons",
    multiple=True,
    help="Interpreter for these environments if this one is too old; dagzoo needs 3.13.",
)
def prior(
    presets: tuple[str, ...],
    shapes: tuple[tuple[int, int, int], ...],
    repeats: int,
    seconds: float,
    memory: bool,
    peers: bool,
    environments: Path,
    pythons: tuple[str, ...],
) -> None:
    """Datasets per CPU-second of one process with one thread, ours and others' in the same run.

    Every generator has a process of its own. The processes take turns. The start and the first batch are not
    measured. Our priors make exactly the number of features and classes in the shape; for the others these
    numbers are upper limits. A generator that cannot be installed or run is left out, with the reason.
    """
    generators = [(name, sys.executable) for name in presets]
    for peer, (oldest, packages, names) in PEERS.items() if peers else ():
        try:
            python = _environment(environments.expanduser() / peer, [PEERS_TORCH, *packages], oldest, pythons)
        except click.ClickException as error:
            click.echo(f"{peer} is left out: {error.message}\n")
        else:
            generators += [(name, python) for name in names]
    samplers = [Sampler(name, python) for name, python in generators]
    try:
        for shape in shapes:
            samplers = _warmed_up(samplers, shape, presets)
            rows, features, classes = shape
            click.echo(f"{rows:,} rows x {features} features, {classes} classes:\n")
            if memory:
                _show_memory(samplers, shape)
            else:
                _show_speed(samplers, shape, repeats, seconds)
            click.echo()
    finally:
        for sampler in samplers:
            sampler.stop()


def _warmed_up(samplers: list[Sampler], shape: tuple[int, int, int], ours: Sequence[str]) -> list[Sampler]:
    """The samplers that can sample a batch; of other generators, those that cannot are reported and left out.

    Raises:
        ClickException: one of our own presets, `ours`, cannot sample.
    """
    ready = []
    for sampler in samplers:
        try:
            sampler.sample(shape, 0)
        except click.ClickException as error:
            if sampler.name in ours:
                raise
            click.echo(f"{error.message}; left out\n")
            sampler.stop()
        else:
            ready.append(sampler)
    return ready


def _show_speed(samplers: list[Sampler], shape: tuple[int, int, int], repeats: int, seconds: float) -> None:
    speeds: dict[str, list[float]] = {sampler.name: [] for sampler in samplers}
    with tqdm(total=repeats * len(samplers), desc="x".join(map(str, shape)), disable=None) as bar:
        for _ in range(repeats):
            for sampler in samplers:
                answer = sampler.sample(shape, seconds)
                speeds[sampler.name].append(answer["datasets"] / answer["cpu_seconds"])
                bar.update()
    first = median(speeds[samplers[0].name])
    click.echo("| generator | datasets per CPU-second | lowest and highest | the first is faster by |")
    click.echo("|---|--:|--:|--:|")
    for name, values in speeds.items():
        speed = median(values)
        ends = f"{_three_digits(min(values))} to {_three_digits(max(values))}"
        click.echo(f"| {name} | {_three_digits(speed)} | {ends} | {_three_digits(first / speed)} x |")


def _show_memory(samplers: list[Sampler], shape: tuple[int, int, int]) -> None:
    click.echo(f"| peak MB after | {' | '.join(f'{mark:,} datasets' for mark in MEMORY_MARKS)} |")
    click.echo(f"|---|{'--:|' * len(MEMORY_MARKS)}")
    for sampler in samplers:
        peaks, done = [], 0
        with tqdm(total=MEMORY_MARKS[-1], desc=sampler.name, disable=None) as bar:
            for mark in MEMORY_MARKS:
                while done < mark:
                    answer = sampler.sample(shape, 0)
                    done += answer["datasets"]
                    bar.update(answer["datasets"])
                peaks.append(answer["peak_bytes"])
        click.echo(f"| {sampler.name} | {' | '.join(f'{peak / 1e6:.0f}' for peak in peaks)} |")


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it printed no reason"])[-1]


def _environment(
    folder: Path, packages: list[str], oldest: tuple[int, int], pythons: tuple[str, ...]
) -> Path:
    """The interpreter of a virtual environment with `packages`, which is made unless it is complete.

    Raises:
        ClickException: no Python is new enough, or pip cannot install.
    """
    mark, python = folder / "installed.txt", folder / "bin" / "python"
    if mark.exists() and mark.read_text(encoding="utf-8").split() == packages:
        return python
    known = [sys.executable, *pythons, "python3.13", "python3.14"]
    base = next((found for found in known if _version(found) >= oldest), None)
    if base is None:
        needed = ".".join(map(str, oldest))
        raise click.ClickException(
            f"it needs Python {needed} or later, none was found; name one with --python"
        )
    click.echo(f"Installing {', '.join(packages)} in {folder} ...", err=True)
    for command in (
        [base, "-m", "venv", "--clear", folder],
        [python, "-m", "pip", "install", "-q", *packages],
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise click.ClickException(f"{shlex.join(map(str, command))}: {_last_line(done.stderr)}")
    mark.write_text("\n".join(packages), encoding="utf-8")
    return python


def _version(python: str) -> tuple[int, ...]:
    """The version of an interpreter; () if `python` cannot be run."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return ()
    return tuple(map(int, done.stdout.split()))
