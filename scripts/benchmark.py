"""What generation, storage, training and prediction cost on this machine: the tables of docs/."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import click
import h5py
import numpy as np
from tqdm import tqdm

from priors.dumps.read import open_dump
from priors.generation.engines import BACKENDS, run_tasks
from priors.generation.generate import generate_dump
from priors.presets import PRESETS

FILTERS = {
    "none": {},
    "lzf": {"compression": "lzf"},
    "gzip-1": {"compression": "gzip", "compression_opts": 1},
    "gzip-4": {"compression": "gzip", "compression_opts": 4},
}


class Shape(click.ParamType):
    """Three numbers, as 150x5x2."""

    def __init__(
        self, name: str = "RxFxK", words: str = "rows, features and classes", example: str = "150x5x2"
    ):
        self.name, self.words, self.example = name, words, example

    def convert(self, value, param, ctx) -> tuple[int, int, int]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([1-9]\d*)", value)
        if not found:
            self.fail(f"must be {self.words} as in {self.example}, got {value!r}", param, ctx)
        return tuple(int(number) for number in found.groups())


@click.group()
def main() -> None:
    """Measure, and print the figures as a Markdown table.

    \b
    python scripts/benchmark.py dump                      # compression of dumps
    python scripts/benchmark.py generate                  # one worker against two
    python scripts/benchmark.py tasks --backend dask      # the cost of handing out a task
    python scripts/benchmark.py live                      # training that waits for a live prior
    python scripts/benchmark.py train                     # training steps, fast and plain (docs/engine.md)
    python scripts/benchmark.py predict                   # a fitted classifier: time and memory
    python scripts/benchmark.py prior                     # datasets per CPU-second, memory (docs/prior.md)
    python scripts/benchmark.py prior --peers             # and of other generators, in the same run
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
                runs[count].append(_measured([sys.executable, "-m", "priors", *shlex.split(words)]))
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
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
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
@click.option("--steps", default=20, show_default=True, help="Of 32 datasets, of a run.")
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
                _measured([sys.executable, "-m", "nanotabpfn", *shlex.split(words), "--overwrite"])
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


# ------------------------------------------------------------------------------- the prior beside others

PEERS = {  # environment -> its oldest Python, what is installed in it, the generators that run there
    "tabicl": ((3, 10), ["tabicl==2.2.0", "xgboost-cpu==3.2.0"], ["tabicl mix_scm", "tabicl graph_scm"]),
    "dagzoo": ((3, 13), ["dagzoo==0.20.0"], ["dagzoo"]),
}
PEERS_TORCH = "torch==2.13.0"
MEMORY_MARKS = (1_000, 10_000, 100_000)


class Sampler:
    """A process of prior_speed.py."""

    def __init__(self, name: str, python: str | Path):
        script = Path(__file__).with_name("prior_speed.py")
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
        """Its answer.

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


@main.command()
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
    help="CPU time of one repeat, at least; it ends with a whole batch of 32.",
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
    help="Interpreter to make them with where this one is too old; dagzoo needs 3.13.",
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

    Every generator has a process of its own, which takes turns with the others; start and first batch are not
    measured. Ours makes exactly as many features and classes as asked for, the others up to so many. Those
    that cannot be installed or run are left out, with the reason.
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
                _tell_memory(samplers, shape)
            else:
                _tell_speed(samplers, shape, repeats, seconds)
            click.echo()
    finally:
        for sampler in samplers:
            sampler.stop()


def _warmed_up(samplers: list[Sampler], shape: tuple[int, int, int], ours: Sequence[str]) -> list[Sampler]:
    """Each has sampled a batch; others than ours that cannot are told and left out."""
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


def _tell_speed(samplers: list[Sampler], shape: tuple[int, int, int], repeats: int, seconds: float) -> None:
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


def _tell_memory(samplers: list[Sampler], shape: tuple[int, int, int]) -> None:
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
    return (text.strip().splitlines() or ["no word of why"])[-1]


def _environment(
    folder: Path, packages: list[str], oldest: tuple[int, int], pythons: tuple[str, ...]
) -> Path:
    """The interpreter of a virtual environment with `packages`, made if it is not there whole.

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
        raise click.ClickException(f"it needs Python {needed} or later, none was found; --python names one")
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
    """Of an interpreter; () of what is none."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return ()
    return tuple(map(int, done.stdout.split()))


# ---------------------------------------------------------------------------- the model beside its plain form


@main.command()
@click.option(
    "--shape",
    type=Shape("BxRxF", "datasets, rows and features", "32x150x5"),
    default="32x150x5",
    show_default=True,
    help="Datasets of a batch, rows, features.",
)
@click.option("--repeats", type=click.IntRange(min=1), default=15, show_default=True, help="Alternating.")
@click.option("--threads", type=click.IntRange(1), help="Of PyTorch.  [default: its own choice]")
@click.option("--device", default="cpu", show_default=True)
@click.option(
    "--compile/--no-compile",
    "compiled",
    default=None,
    help="Rows with torch.compile.  [default: if there is a C++ compiler]",
)
def train(
    shape: tuple[int, int, int], repeats: int, threads: int | None, device: str, compiled: bool | None
) -> None:
    """Training steps of the model beside its plain form, both of the published size, in float32 and bfloat16.

    A step is forward, backward, clipping and optimizer on one batch, of which a third, half and two thirds of
    the rows are for training in turn. How often as fast is measured round by round. GFLOP are those of the
    linear layers' products, forward and backward, at half.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    if threads is not None:
        torch.set_num_threads(threads)
    if compiled is None:
        compiled = shutil.which(os.environ.get("CXX", "c++")) is not None
    kinds = [("plain", "float32", False), ("fast", "float32", False), ("fast", "bfloat16", False)]
    kinds += [("fast", "float32", True), ("fast", "bfloat16", True)] if compiled else []
    splits = [max(1, shape[1] * thirds // 6) for thirds in (2, 3, 4)]
    steps = [_training_step(*kind, shape, device) for kind in kinds]
    for split in splits * 2:  # compilation, memory and caches warm up
        for step in steps:
            step(split)
    work = {}
    for kind, step in zip(kinds, steps, strict=True):
        if kind[1:] == ("float32", False):
            with FlopCounterMode(display=False) as counter:
                step(splits[1])
            counts = counter.get_flop_counts()["Global"]
            work[kind[0]] = counts[torch.ops.aten.mm] + counts[torch.ops.aten.addmm]
    seconds = np.empty((repeats, len(kinds), 2))  # by the clock, and of all cores
    for i in tqdm(range(repeats), desc="train", unit="round", disable=None):
        for j, step in enumerate(steps):
            wall, cpu = time.perf_counter(), time.process_time()
            step(splits[i % len(splits)])
            seconds[i, j] = time.perf_counter() - wall, time.process_time() - cpu
    datasets, rows, features = shape
    click.echo(
        f"{datasets} x {rows} x {features}, {device}, {torch.get_num_threads()} threads, "
        f"median [quartiles] of {repeats}:\n"
    )
    click.echo(
        "| model | precision | compiled | GFLOP | steps/s | times plain | CPU-seconds a step | times plain |"
    )
    click.echo("|---|---|---|---|---|---|---|---|")
    for j, (name, precision, compiled) in enumerate(kinds):
        wall, cpu = seconds[:, j].T
        plain_wall, plain_cpu = seconds[:, 0].T
        columns = (1 / wall, plain_wall / wall, cpu, plain_cpu / cpu)
        click.echo(
            f"| {name} | {precision} | {'yes' if compiled else 'no'} | {work[name] / 1e9:.3g} "
            f"| {' | '.join(map(_spread, columns))} |"
        )


def _training_step(
    name: str, precision: str, compiled: bool, shape: tuple[int, int, int], device: str
) -> Callable[[int], None]:
    """A function of the number of training rows that does one step, with a model and a batch of its own."""
    import schedulefree
    import torch
    from torch import nn

    from nanotabpfn.model.architecture import NanoTabPFNModel
    from nanotabpfn.model.precision import autocast
    from nanotabpfn.model.reference import PlainNanoTabPFNModel

    torch.manual_seed(0)
    datasets, rows, features = shape
    x = torch.randn(datasets, rows, features, device=device)
    y = (x[:, :, 0] > 0).float()
    model = (PlainNanoTabPFNModel if name == "plain" else NanoTabPFNModel)().to(device).train()
    optimizer = schedulefree.AdamWScheduleFree(model.parameters(), lr=4e-3)
    optimizer.train()
    if compiled:
        model.compile(dynamic=True)

    def step(split: int) -> None:
        with autocast(device, precision):
            logits = model((x, y[:, :split]), train_test_split_index=split)
        nn.functional.cross_entropy(logits.flatten(0, 1), y[:, split:].flatten().long()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()  # .item() waits for a GPU
        optimizer.step()
        optimizer.zero_grad()

    return step


@main.command()
@click.option(
    "--shape",
    type=Shape("TxFxN", "training rows, features and test rows", "500x10x1"),
    default="500x10x1",
    show_default=True,
    help="Training rows, features, test rows: for time.",
)
@click.option(
    "--large",
    type=Shape("TxFxN", "training rows, features and test rows", "10000x20x2000"),
    default="10000x20x2000",
    show_default=True,
    help="The same, for memory.",
)
@click.option("--repeats", type=click.IntRange(min=1), default=15, show_default=True, help="Alternating.")
@click.option("--threads", type=click.IntRange(1), help="Of PyTorch.  [default: its own choice]")
def predict(
    shape: tuple[int, int, int], large: tuple[int, int, int], repeats: int, threads: int | None
) -> None:
    """What `fit` and `predict_proba` of the classifier cost beside a forward pass of the plain form; memory.

    The model has the published size. Memory is the peak of a process that fits and predicts once.
    """
    import torch

    from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
    from nanotabpfn.model.architecture import NanoTabPFNModel
    from nanotabpfn.model.reference import PlainNanoTabPFNModel

    if threads is not None:
        torch.set_num_threads(threads)
    rows, features, test_rows = shape
    x, y = _table(rows + test_rows, features)
    torch.manual_seed(0)
    model = NanoTabPFNModel()
    plain = PlainNanoTabPFNModel().eval()
    plain.load_state_dict(model.state_dict())
    classifier = NanoTabPFNClassifier(model, "cpu", n_estimators=1)
    tensors = torch.from_numpy(x).unsqueeze(0), torch.from_numpy(y[:rows]).float().unsqueeze(0)

    def forward() -> np.ndarray:
        with torch.no_grad():
            return plain(tensors, train_test_split_index=rows).softmax(dim=-1).squeeze(0).numpy()

    calls = {
        "plain, all rows": forward,
        "fit": lambda: classifier.fit(x[:rows], y[:rows]),
        "predict_proba": lambda: classifier.predict_proba(x[rows:]),
    }
    for call in list(calls.values()) * 2:
        call()
    seconds = np.empty((repeats, len(calls), 2))
    for i in tqdm(range(repeats), desc="predict", unit="round", disable=None):
        for j, call in enumerate(calls.values()):
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            seconds[i, j] = time.perf_counter() - wall, time.process_time() - cpu
    off = np.abs(classifier.predict_proba(x[rows:]) - forward()).max()
    kept = sum(part.nbytes for layer in classifier.ensemble_.training_rows.keys_and_values for part in layer)
    click.echo(
        f"{rows:,} training rows x {features} features, {test_rows:,} test rows, {torch.get_num_threads()} "
        f"threads, median [quartiles] of {repeats};\n{kept / 1e6:.1f} MB of keys and values; probabilities "
        f"differ by at most {off:.0e}:\n"
    )
    click.echo("| | ms | plain / this | CPU-ms | plain / this |")
    click.echo("|---|---|---|---|---|")
    for j, name in enumerate(calls):
        wall, cpu = seconds[:, j].T
        columns = (wall * 1e3, seconds[:, 0, 0] / wall, cpu * 1e3, seconds[:, 0, 1] / cpu)
        click.echo(f"| {name} | {' | '.join(map(_spread, columns))} |")
    words = [sys.executable, __file__, "predict-once", *map(str, large)]
    wall, cpu, peak = _measured(words + (["--threads", str(threads)] if threads is not None else []))
    click.echo(
        f"\n{large[0]:,} training rows x {large[1]} features, {large[2]:,} test rows, a process from start "
        f"to end:\n{wall:.0f} seconds, {cpu:.0f} CPU-seconds, {peak / 1e6:,.0f} MB at its peak"
    )


@main.command(hidden=True)
@click.argument("rows", type=int)
@click.argument("features", type=int)
@click.argument("test_rows", type=int)
@click.option("--threads", type=int)
def predict_once(rows: int, features: int, test_rows: int, threads: int | None) -> None:
    """Fit and predict, for `predict` to measure."""
    import torch

    from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
    from nanotabpfn.model.architecture import NanoTabPFNModel

    if threads is not None:
        torch.set_num_threads(threads)
    x, y = _table(rows + test_rows, features)
    NanoTabPFNClassifier(NanoTabPFNModel(), "cpu", n_estimators=1).fit(x[:rows], y[:rows]).predict_proba(
        x[rows:]
    )


def _table(rows: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(rows, features)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(int)


def _spread(values: np.ndarray) -> str:
    """Median [quartiles], to three digits."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:.3g} [{low:.3g}, {high:.3g}]"


if __name__ == "__main__":
    main()
