"""`benchmark.py train` and `predict`: the model against its plain form, in time and memory."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from tqdm import tqdm

from benchmarks.measure import run_measured, spread
from benchmarks.shape import Shape

if TYPE_CHECKING:
    from nanotabpfn import NanoTabPFNClassifier

SCRIPT = Path(__file__).parents[1] / "benchmark.py"


@click.command()
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
    """Training steps of the model and of its plain form, both of the published size, in float32 and bfloat16.

    A step is forward pass, backward pass, clipping and optimizer on one batch. In turn, a third, half and two
    thirds of the rows are training rows. Speeds are compared round by round. GFLOP counts the products of the
    linear layers, forward and backward, with half of the rows for training.
    """
    import torch

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
    work = {
        kind[0]: _linear_flop(step, splits[1])
        for kind, step in zip(kinds, steps, strict=True)
        if kind[1:] == ("float32", False)
    }
    calls = [lambda i, step=step: step(splits[i % len(splits)]) for step in steps]
    seconds = _timed(calls, repeats, "train")
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
            f"| {' | '.join(map(spread, columns))} |"
        )


def _linear_flop(step: Callable[[int], None], split: int) -> int:
    """Floating-point operations of the linear layers in one step."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        step(split)
    counts = counter.get_flop_counts()["Global"]
    return counts[torch.ops.aten.mm] + counts[torch.ops.aten.addmm]


def _timed(calls: Sequence[Callable[[int], object]], repeats: int, title: str) -> np.ndarray:
    """(repeats, calls, 2): seconds and CPU-seconds. The calls take turns; each gets the round's number."""
    seconds = np.empty((repeats, len(calls), 2))
    for i in tqdm(range(repeats), desc=title, unit="round", disable=None):
        for j, call in enumerate(calls):
            wall, cpu = time.perf_counter(), time.process_time()
            call(i)
            seconds[i, j] = time.perf_counter() - wall, time.process_time() - cpu
    return seconds


def _training_step(
    name: str, precision: str, compiled: bool, shape: tuple[int, int, int], device: str
) -> Callable[[int], None]:
    """A function that does one training step, given the number of training rows.

    It has its own model, optimizer and batch of random numbers.
    """
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


@click.command()
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
    """Time of `fit` and `predict_proba`, compared with one forward pass of the plain form; memory.

    One member is a model of the published size, with which the plain form shares its weights. The default
    ensemble is what `NanoTabPFNClassifier()` gives: the model in the package, several members. Memory is the
    peak of a process that fits and predicts once.
    """
    import torch

    from nanotabpfn.estimators.classifier import NanoTabPFNClassifier

    if threads is not None:
        torch.set_num_threads(threads)
    rows, features, test_rows = shape
    x, y = _table(rows + test_rows, features)
    forward, classifier = _plain_and_classifier(x, y, rows)
    ensemble = NanoTabPFNClassifier(device="cpu")
    calls = {
        "plain, all rows": lambda _: forward(),
        "one member: fit": lambda _: classifier.fit(x[:rows], y[:rows]),
        "one member: predict_proba": lambda _: classifier.predict_proba(x[rows:]),
        "default ensemble: fit": lambda _: ensemble.fit(x[:rows], y[:rows]),
        "default ensemble: predict_proba": lambda _: ensemble.predict_proba(x[rows:]),
    }
    for call in list(calls.values()) * 2:
        call(0)
    seconds = _timed([*calls.values()], repeats, "predict")
    difference = np.abs(classifier.predict_proba(x[rows:]) - forward()).max()
    kept = [
        sum(part.nbytes for layer in fitted.ensemble_.training_rows.keys_and_values for part in layer) / 1e6
        for fitted in (classifier, ensemble)
    ]
    click.echo(
        f"{rows:,} training rows x {features} features, {test_rows:,} test rows, {torch.get_num_threads()} "
        f"threads, median [quartiles] of {repeats};\n{kept[0]:.1f} MB of keys and values, of the "
        f"{len(ensemble.members_)} members of the default ensemble {kept[1]:.1f} MB;\nprobabilities of one "
        f"member and of the plain form differ by at most {difference:.0e}:\n"
    )
    click.echo("| | ms | plain / this | CPU-ms | plain / this |")
    click.echo("|---|---|---|---|---|")
    for j, name in enumerate(calls):
        wall, cpu = seconds[:, j].T
        columns = (wall * 1e3, seconds[:, 0, 0] / wall, cpu * 1e3, seconds[:, 0, 1] / cpu)
        click.echo(f"| {name} | {' | '.join(map(spread, columns))} |")
    words = [sys.executable, str(SCRIPT), "predict-once", *map(str, large)]
    wall, cpu, peak = run_measured(words + (["--threads", str(threads)] if threads is not None else []))
    click.echo(
        f"\n{large[0]:,} training rows x {large[1]} features, {large[2]:,} test rows, a process from start "
        f"to end:\n{wall:.0f} seconds, {cpu:.0f} CPU-seconds, {peak / 1e6:,.0f} MB at its peak"
    )


def _plain_and_classifier(x: np.ndarray, y: np.ndarray, rows: int) -> tuple[Callable, "NanoTabPFNClassifier"]:
    """The plain model's forward pass on the table, and a classifier with the same weights, not yet fitted."""
    import torch

    from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
    from nanotabpfn.model.architecture import NanoTabPFNModel
    from nanotabpfn.model.reference import PlainNanoTabPFNModel

    torch.manual_seed(0)
    model = NanoTabPFNModel()
    plain = PlainNanoTabPFNModel().eval()
    plain.load_state_dict(model.state_dict())
    tensors = torch.from_numpy(x).unsqueeze(0), torch.from_numpy(y[:rows]).float().unsqueeze(0)

    def forward() -> np.ndarray:
        with torch.no_grad():
            return plain(tensors, train_test_split_index=rows).softmax(dim=-1).squeeze(0).numpy()

    return forward, NanoTabPFNClassifier(model, "cpu", n_estimators=1)


@click.command(hidden=True)
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
