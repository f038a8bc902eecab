"""The race: the published model learns from one prior after another and is scored on the same real tables.

An arm is one prior, a cell one arm with one model seed. A cell's folder is named so only when all is in it.

Letters: S model seeds, T tables.
"""

import json
import os
import re
import shutil
import sys
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch
from filelock import FileLock, Timeout
from scipy import stats
from sklearn.isotonic import isotonic_regression
from tqdm import tqdm

from nanotabpfn.cli.options import SuiteName
from nanotabpfn.data.loaders import PriorDumpDataLoader
from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.evaluation.baselines import BASELINES
from nanotabpfn.evaluation.openml_tables import OpenMLError
from nanotabpfn.evaluation.protocol import Task, evaluate, prepare, score_table
from nanotabpfn.evaluation.scores import Score
from nanotabpfn.evaluation.suites import load_suite
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.checkpoint import CheckpointError, load_model
from nanotabpfn.model.precision import PRECISIONS, resolve_precision
from nanotabpfn.training.loop import train
from nanotabpfn.training.run import (
    CHECKPOINTS_FOLDER,
    CONFIG_FILE,
    HISTORY_FILE,
    LOCK_FILE,
    Run,
    RunError,
    create_run,
    read_settings,
    resume_run,
)
from nanotabpfn.training.step import TrainingError
from priors.config import ConfigError, PriorConfig, load_config
from priors.console import PlainError, PlainGroup, Seed
from priors.dumps.hash import content_hash
from priors.dumps.read import open_dump
from priors.dumps.schema import DumpError
from priors.generation.generate import generate_dump
from priors.presets import PRESETS
from priors.sampling.blocks import sample_block

OURS = ("default", "mlp-scm", "published-like")
BATCH_SIZE, LEARNING_RATE = 32, 4e-3  # the published settings
STEPS_PER_LINE = 32  # of the log, where there is no terminal for a bar
TIE = 0.0005  # tables whose scores are closer agree to the three digits shown
MARK = "<!-- From here on written by `python scripts/race.py report`. -->"

work_option = click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/race"),
    show_default=True,
    help="Folder of the cells and of the dumps made for them.",
)


@click.group(
    cls=PlainGroup,
    errors=(CheckpointError, ConfigError, DumpError, ModuleNotFoundError, OpenMLError, RunError),
)
def main() -> None:
    """Which prior teaches most in the same number of steps?

    \b
    python scripts/race.py run                     # our own priors, three model seeds each
    python scripts/race.py run --peers DIR         # and each dump of DIR
    python scripts/race.py report                  # docs/race.md and docs/race.png
    """


# ------------------------------------------------------------------------------------------------- arms


class Arm(NamedTuple):
    """One prior: a dump to read, or a config to sample a dump from."""

    name: str
    source: Path | PriorConfig
    fingerprint: str  # of its datasets

    def dump(self, work: Path, num_datasets: int, seed: int) -> Path:
        """The file to train on, sampled first if need be, once for all processes that share `work`."""
        if isinstance(self.source, Path):
            return self.source
        path = work / "dumps" / f"{self.name}-{self.fingerprint[:12]}-{num_datasets}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                click.echo(f"{self.name}: sampling {num_datasets:,} datasets to {path}")
                with tqdm(total=num_datasets, desc="sample", unit="dataset", disable=None) as bar:
                    generate_dump(path, self.source, num_datasets, seed, on_shard=bar.update)
        return path


def find_arm(word: str, peers: dict[str, Path], data_seed: int) -> Arm:
    """The arm of NAME or NAME=SOURCE, where a source is a preset, a dump (.h5) or a config (.json).

    Raises:
        click.BadParameter: there is no such prior, or it has more than two classes.
        ConfigError, DumpError: the file holds no config, or no dump.
    """
    name, _, source = word.partition("=")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise _bad_arm(f"NAME must be letters, digits, '.', '_' and '-', got {name!r}")
    source = source or name
    if source in peers or source.endswith(".h5"):
        path = Path(peers.get(source, source))
        with open_dump(path) as dump:
            num_classes = dump.max_num_classes
        arm = Arm(name, path, content_hash(path))
    elif source in PRESETS or source.endswith(".json"):
        config = PRESETS[source] if source in PRESETS else load_config(source)
        num_classes = config.most_classes
        arm = Arm(name, config, prior_fingerprint(config, data_seed))
    else:
        known = ", ".join([*peers, *PRESETS])
        raise _bad_arm(f"{source!r} is no dump (.h5), no config (.json) and none of {known}")
    if num_classes != 2:
        raise _bad_arm(f"the race is between priors of 2 classes, {name} has {num_classes or 'none'}")
    return arm


def prior_fingerprint(config: PriorConfig, seed: int) -> str:
    """Of a prior's datasets: its config and first block, which changes when the code that samples it does."""
    digest = sha256(f"{config.to_json()} {seed}".encode())
    for dataset in sample_block(config, seed, 0):
        digest.update(dataset.x.tobytes() + dataset.y.tobytes())
    return digest.hexdigest()


def _bad_arm(problem: str) -> click.BadParameter:
    return click.BadParameter(problem, param_hint="--arm")


# ------------------------------------------------------------------------------------------------ cells


@main.command()
@click.option(
    "--peers",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of dumps; each is an arm, named by its file up to the first '_'.",
)
@click.option(
    "--arm",
    "words",
    multiple=True,
    metavar="NAME[=SOURCE]",
    help="An arm: a preset, a peer, or NAME=SOURCE with a preset, a dump (.h5) or a config (.json); may be "
    f"repeated.  [default: {', '.join(OURS)} and all peers]",
)
@click.option(
    "--model-seed",
    "seeds",
    type=click.IntRange(min=0, max=2**63 - 1),
    multiple=True,
    default=(0, 1, 2),
    show_default=True,
    help="Of the initial weights and of the order of the batches, in every arm alike; may be repeated.",
)
@click.option("--data-seed", type=Seed(), default=0, show_default=True, help="Of the datasets sampled here.")
@click.option(
    "--steps", type=click.IntRange(min=1), default=384, show_default=True, help="Of 32 datasets each."
)
@click.option("--eval-every", type=click.IntRange(min=1), default=96, show_default=True, help="Steps.")
@click.option("--suite", type=SuiteName(), default="open", show_default=True, help="Tables.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    show_default=True,
    help="Of the training.",
)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Of this process.")
@work_option
def run(
    peers: Path | None,
    words: tuple[str, ...],
    seeds: tuple[int, ...],
    data_seed: int,
    steps: int,
    eval_every: int,
    suite: str,
    precision: str,
    threads: int,
    work: Path,
) -> None:
    """Train and score the cells that WORK does not have yet.

    The published model and settings. A model seed gives every arm the same initial weights and the same order
    of batches. A dump with fewer datasets than the steps need is repeated; a prior of ours is sampled afresh,
    as many as are needed. Averaged weights are scored: ROC AUC by the published protocol.

    Stop it at any time, and the same command goes on from the last evaluation. Several processes may share
    WORK: each takes a cell that no other is at. Two with one thread each get more out of two cores than one
    with two.

    \b
    python scripts/race.py run --peers DIR --model-seed 0
    python scripts/race.py run --arm default --arm smooth=gp --arm mine=mine.json --arm theirs=theirs.h5
    python scripts/race.py run --peers DIR --steps 2500 --precision auto --work runs/long-race
    """
    torch.set_num_threads(threads)
    files = {file.stem.partition("_")[0]: file for file in sorted(peers.glob("*.h5"))} if peers else {}
    if peers and not files:
        raise PlainError(f"--peers {peers}: holds no dump (*.h5)")
    arms = [find_arm(word, files, data_seed) for word in words or (*OURS, *files)]
    if len({arm.name for arm in arms}) < len(arms):
        raise _bad_arm(f"each needs a name of its own, got {', '.join(arm.name for arm in arms)}")
    precision = resolve_precision(precision, "cpu")
    cells = [
        (arm, seed, _settings(arm, seed, steps, eval_every, suite, precision))
        for seed in seeds
        for arm in arms
    ]
    missing = [cell for cell in cells if not _is_done(work, *cell)]
    click.echo(f"{work}: {len(cells) - len(missing)} of {len(cells)} cells are there")
    if not missing:
        return
    tasks = [prepare(table) for table in load_suite(suite)]
    (work / "locks").mkdir(parents=True, exist_ok=True)
    for arm, seed, settings in missing:
        try:
            with FileLock(work / "locks" / f"{arm.name}-{seed}.lock", blocking=False):
                if not _is_done(work, arm, seed, settings):
                    _run_cell(work, arm, seed, settings, tasks, data_seed)
        except Timeout:
            click.echo(f"{arm.name}-{seed}: another process is at it")


def _settings(arm: Arm, seed: int, steps: int, eval_every: int, suite: str, precision: str) -> dict:
    """What decides a cell's scores; a cell of that name with others is no answer."""
    return {
        "arm": arm.name,
        "prior": arm.source.name if isinstance(arm.source, Path) else json.loads(arm.source.to_json()),
        "fingerprint": arm.fingerprint,
        "model_seed": seed,
        "steps": steps,
        "eval_every": eval_every,
        "suite": suite,
        "batch_size": BATCH_SIZE,
        "lr": LEARNING_RATE,
        "precision": precision,
    }


def _is_done(work: Path, arm: Arm, seed: int, settings: dict) -> bool:
    folder = work / f"{arm.name}-{seed}"
    if not folder.exists():
        return False
    found = _read(folder / "settings.json")
    for name, value in settings.items():
        if found.get(name) != value:
            raise PlainError(
                f"{folder} was made with another {name}: give the arm another name, choose another --work, "
                "or remove that folder"
            )
    return True


def _run_cell(work: Path, arm: Arm, seed: int, settings: dict, tasks: list[Task], data_seed: int) -> None:
    """Train a cell, from its last checkpoint on, and score it. Its folder gets its name when all is there."""
    name, steps = f"{arm.name}-{seed}", settings["steps"]
    dump = arm.dump(work, steps * BATCH_SIZE, data_seed)
    with open_dump(dump) as opened:
        passes = steps * BATCH_SIZE / len(opened)
    partial = work / f".{name}.partial"
    with _begun(partial, settings) as begun:
        repeated = f", repeated {passes:.3g} times" if passes > 1 else ""
        on = f", on from step {begun.step}" if begun.step else ""
        click.echo(f"{name}: {steps} steps on {dump.name}{repeated}{on}")
        if begun.step < steps:
            _train(begun, name, dump, seed, tasks)
        if begun.step < steps:  # Ctrl-C ends the training quietly
            raise click.Abort
    history = _read(partial / HISTORY_FILE)
    if "tables" not in history[-1]:
        tables = _scores(NanoTabPFNClassifier(load_model(partial), "cpu"), tasks)
        history[-1] |= {"roc_auc": _mean(tables), "tables": tables}
        (partial / HISTORY_FILE).write_text("".join(f"{json.dumps(line)}\n" for line in history), "utf-8")
    skipped = history[-1]["num_skipped"]
    results = [
        Score(task.name, arm.name, history[-1]["tables"][task.name], len(task.y), task.num_features)._asdict()
        for task in tasks
    ]
    settings = {**settings, "passes": passes, "num_skipped": skipped}
    (partial / "settings.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    (partial / "scores.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    shutil.rmtree(partial / CHECKPOINTS_FOLDER)
    for file in (LOCK_FILE, CONFIG_FILE):
        (partial / file).unlink()
    os.rename(partial, work / name)
    skipped = f", {skipped} damaged datasets skipped" if skipped else ""
    click.echo(f"{name}: ROC AUC {history[-1]['roc_auc']:.4f}{skipped}")


def _begun(folder: Path, settings: dict) -> AbstractContextManager[Run]:
    """A cell's training as far as it came, if it had these settings; else a new one."""
    try:
        same = read_settings(folder) == settings
    except RunError:
        same = False
    return resume_run(folder, settings) if same else create_run(folder, settings, overwrite=True)


def _train(begun: Run, name: str, dump: Path, seed: int, tasks: list[Task]) -> None:
    """Train with a checkpoint at each evaluation; Ctrl-C ends it early."""
    steps, every = begun.settings["steps"], begun.settings["eval_every"]
    prior = PriorDumpDataLoader(dump, steps - begun.step, BATCH_SIZE, "cpu", seed)
    torch.manual_seed(seed)
    model = NanoTabPFNModel()
    losses, tables = [], {}

    def score(classifier: NanoTabPFNClassifier) -> dict[str, float]:
        tables.update(_scores(classifier, tasks))
        return {"roc_auc": _mean(tables)}

    def record(values: dict) -> None:
        scores = {"tables": tables} if "roc_auc" in values else {}
        begun.record(values | scores | {"num_skipped": prior.num_skipped})
        losses.append(values["loss"])
        step = values["step"]
        if step % STEPS_PER_LINE == 0 and not sys.stderr.isatty():
            loss, pace = np.mean(losses[-STEPS_PER_LINE:]), values["wall_time"] / step
            roc_auc = f", ROC AUC {values['roc_auc']:.3f}" if "roc_auc" in values else ""
            left = f"{pace * (steps - step) / 60:.0f} min left"
            click.echo(
                f"{name}: step {step} of {steps}, loss {loss:.4f}{roc_auc}, {pace:.2f} s a step, {left}"
            )

    try:
        train(
            model,
            prior,
            LEARNING_RATE,
            "cpu",
            steps_per_eval=every,
            eval_func=score,
            on_step=record,
            precision=begun.settings["precision"],
            state=begun.state,
            steps_per_checkpoint=every,
            on_checkpoint=begun.checkpoint,
        )
    except (TrainingError, ValueError) as error:
        raise click.ClickException(f"{name}: {error}") from error


def _scores(classifier: NanoTabPFNClassifier, tasks: list[Task]) -> dict[str, float]:
    return {task.name: score_table(classifier, task) for task in tasks}


def _mean(scores: dict[str, float]) -> float:
    return float(np.mean(list(scores.values())))


# ----------------------------------------------------------------------------------------------- report


class Cell(NamedTuple):
    """One arm with one model seed, as its folder tells."""

    settings: dict
    scores: dict[str, float]  # by table
    history: list[dict]


class Difference(NamedTuple):
    """The reference minus an arm."""

    tables: np.ndarray  # (T,) means over the model seeds
    table_errors: np.ndarray  # (T,) their standard errors, model seeds as units; NaN with one
    mean: float
    error: float  # standard error, tables as units
    interval: tuple[float, float]  # 95%, tables as units
    seed_error: float  # standard error, model seeds as units; NaN with one
    wins: int
    ties: int
    losses: int


def paired_difference(ours: np.ndarray, theirs: np.ndarray) -> Difference:
    """Compare two arms (S, T) of the same model seeds and tables.

    Seeds are averaged before tables are counted as units: they are repetitions of one table, not more tables.
    Student's t gives the interval. With seeds as units the error says how far other seeds would move the mean
    on these same tables.
    """
    differences = ours - theirs  # (S, T)
    tables, seeds = differences.mean(axis=0), differences.mean(axis=1)
    many = len(seeds) > 1
    error = float(stats.sem(tables))
    half = float(stats.t.ppf(0.975, len(tables) - 1)) * error
    mean = float(tables.mean())
    wins, losses = int(np.sum(tables >= TIE)), int(np.sum(tables <= -TIE))
    return Difference(
        tables,
        stats.sem(differences) if many else np.full(len(tables), np.nan),
        mean,
        error,
        (mean - half, mean + half),
        float(stats.sem(seeds)) if many else float("nan"),
        wins,
        len(tables) - wins - losses,
        losses,
    )


@main.command()
@work_option
@click.option(
    "--reference", default="default", show_default=True, help="The arm that the others are compared with."
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("docs/race.md"),
    show_default=True,
    help="The page. What stands in it above the line that says so is kept.",
)
def report(work: Path, reference: str, out: Path) -> None:
    """Write what the cells of WORK say: a page, and a figure beside it that ends in .png.

    Differences are the reference's scores minus an arm's, over the model seeds that both have.
    """
    arms = read_cells(work)
    if reference not in arms:
        raise PlainError(
            f"--reference {reference}: {work} has no finished cell of it; there are {', '.join(arms)}"
        )
    above = "# The race\n\n"
    if out.exists():
        above, mark, _ = out.read_text(encoding="utf-8").partition(MARK)
        if not mark:
            raise PlainError(f"{out} lacks the line {MARK}, above which its text would be kept")
    any_cell = next(iter(arms[reference].values()))
    baselines = {name: make() for name, make in BASELINES.items()}
    scores = evaluate(baselines, load_suite(any_cell.settings["suite"]))
    by_baseline = {
        name: {score.table: score.roc_auc for score in scores if score.estimator == name}
        for name in baselines
    }
    arms = {reference: arms[reference], **arms}
    figure = out.with_suffix(".png")
    draw(arms, by_baseline, figure)
    page = f"{above}{MARK}\n\n{describe(arms, by_baseline, figure.name)}"
    beside = out.with_name(f".{out.name}.partial")
    beside.write_text(page, encoding="utf-8")
    os.replace(beside, out)
    click.echo(f"{out} and {figure}: {sum(map(len, arms.values()))} cells of {len(arms)} arms")


def read_cells(work: Path) -> dict[str, dict[int, Cell]]:
    """Arm -> model seed -> cell, of the finished cells of one race.

    Raises:
        PlainError: no cell, a file that cannot be read, or cells of different races.
    """
    cells = [
        Cell(
            _read(path),
            {score["table"]: score["roc_auc"] for score in _read(path.with_name("scores.json"))},
            _read(path.with_name("history.jsonl")),
        )
        for path in sorted(work.glob("[!.]*/settings.json"))
    ]
    if not cells:
        raise PlainError(f"{work}: holds no finished cell; `race.py run` makes them")
    arms: dict[str, dict[int, Cell]] = {}
    for cell in sorted(cells, key=lambda cell: (cell.settings["arm"], cell.settings["model_seed"])):
        for name in ("steps", "eval_every", "suite", "lr", "batch_size"):
            if cell.settings[name] != cells[0].settings[name]:
                raise PlainError(f"{work}: its cells differ in {name}: not one race")
        seeds = arms.setdefault(cell.settings["arm"], {})
        for name, what in [
            ("fingerprint", "from different datasets"),
            ("precision", "in different precisions"),
        ]:
            if seeds and next(iter(seeds.values())).settings[name] != cell.settings[name]:
                raise PlainError(f"{work}: the cells of arm {cell.settings['arm']} learned {what}")
        seeds[cell.settings["model_seed"]] = cell
    return arms


def describe(arms: dict[str, dict[int, Cell]], baselines: dict[str, dict[str, float]], figure: str) -> str:
    """The tables of the page, in Markdown; the first arm is the reference."""
    reference, *others = arms
    settings = next(iter(arms[reference].values())).settings
    precision = settings["precision"]
    tables = list(next(iter(baselines.values())))
    scores = {arm: _matrix(arms[arm], list(arms[arm]), tables) for arm in arms}
    order = sorted(arms, key=lambda arm: -scores[arm].mean())
    lines = [
        f"The published model, {settings['steps']} steps of {settings['batch_size']} datasets on each prior, "
        f"in {precision}; ROC AUC on the {len(tables)} tables of the suite `{settings['suite']}` "
        "(at most 200 rows, five folds, their probabilities pooled).",
        "",
    ]
    rows = []
    for arm in order:
        seeds = scores[arm].mean(axis=1)
        settings = next(iter(arms[arm].values())).settings
        skipped = settings["num_skipped"]
        notes = [f"{skipped} damaged datasets skipped"] if skipped else []
        notes += [f"in {settings['precision']}"] if settings["precision"] != precision else []
        note = f" ({', '.join(notes)})" if notes else ""
        spread = f"{seeds.min():.4f} to {seeds.max():.4f}"
        rows.append([arm + note, f"{settings['passes']:.3g}", str(len(seeds)), f"{seeds.mean():.4f}", spread])
    for name, by_table in baselines.items():
        mean = np.mean(list(by_table.values()))
        rows.append([f"*{name.replace('_', ' ')}, the same folds*", "", "", f"{mean:.4f}", ""])
    header = ["prior", "passes over its datasets", "model seeds", "ROC AUC, mean", "lowest and highest seed"]
    lines += _markdown(header, rows)

    lines += [
        "",
        f"## {reference} minus each prior",
        "",
        "Paired by table and model seed. The first standard error has tables as units (seeds averaged "
        "first), so does the 95% interval (Student's t); the second has model seeds as units. "
        "A tie is a difference below 0.0005.",
        "",
    ]
    rows, differences = [], {}
    for arm in (arm for arm in order if arm in others):
        shared = [seed for seed in arms[reference] if seed in arms[arm]]
        if not shared:
            rows.append([arm, "no model seed in common", "", "", "", ""])
            continue
        ours, theirs = (_matrix(arms[name], shared, tables) for name in (reference, arm))
        found = differences[arm] = paired_difference(ours, theirs)
        low, high = found.interval
        rows.append(
            [
                arm,
                f"{found.mean:+.4f}",
                f"{found.error:.4f}",
                f"{low:+.4f} to {high:+.4f}",
                f"{found.seed_error:.4f}" if len(shared) > 1 else "",
                f"{found.wins}, {found.ties}, {found.losses}",
            ]
        )
    header = ["prior", "difference", "standard error, tables", "95% interval", "standard error, seeds"]
    lines += _markdown([*header, "tables won, tied, lost"], rows)

    means = {arm: dict(zip(tables, scores[arm].mean(axis=0), strict=True)) for arm in order} | baselines
    rows = [[table, *(f"{column[table]:.3f}" for column in means.values())] for table in tables]
    rows.append(["mean", *(f"{np.mean(list(column.values())):.3f}" for column in means.values())])
    lines += ["", "## Table by table", "", "ROC AUC, mean over model seeds.", ""]
    lines += _markdown(["table", *(name.replace("_", " ") for name in means)], rows)
    if differences:
        columns = [
            [f"{d:+.3f}" + ("" if np.isnan(e) else f" ± {e:.3f}") for d, e in zip(*found[:2], strict=True)]
            for found in differences.values()
        ]
        rows = [list(row) for row in zip(tables, *columns, strict=True)]
        lines += ["", f"{reference} minus each prior, ± its standard error with model seeds as units.", ""]
        lines += _markdown(["table", *differences], rows)
    lines += [
        "",
        "## On the way",
        "",
        f"![Training loss and ROC AUC against training steps]({figure})",
        "",
        "Mean over model seeds. Each loss is that on its own prior: it says when training got going, "
        "and how hard a prior's datasets are, not which prior is better.",
        "",
    ]
    return "\n".join(lines)


def draw(arms: dict[str, dict[int, Cell]], baselines: dict[str, dict[str, float]], out: Path) -> None:
    """Loss and ROC AUC against steps, mean over model seeds; the first arm is drawn bold.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ModuleNotFoundError(
            'figures need matplotlib: pip install "nanotabpfn-priors[plots]"'
        ) from error
    # Okabe and Ito's colours, told apart by colour-blind readers too; black is the reference.
    colours = ["#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    loss_axes, score_axes = figure.subplots(1, 2)
    for axes, key, label in [
        (loss_axes, "loss", "cross entropy on its own prior, mean of 32 steps"),
        (score_axes, "roc_auc", "ROC AUC, mean over tables"),
    ]:
        ends = []
        for i, (arm, cells) in enumerate(arms.items()):
            records = [[line for line in cell.history if key in line] for cell in cells.values()]
            steps = np.array([line["step"] for line in records[0]])
            values = np.mean([[line[key] for line in lines] for lines in records], axis=0)
            if key == "loss":
                width = min(32, len(values))
                steps, values = steps[width - 1 :], np.convolve(values, np.full(width, 1 / width), "valid")
            colour, style = colours[i % len(colours)], "-" if i < len(colours) else "--"
            marker = "" if key == "loss" else "o"
            width = 2.2 if i == 0 else 1.2
            axes.plot(
                steps,
                values,
                style,
                color=colour,
                linewidth=width,
                marker=marker,
                markersize=3,
                clip_on=False,
            )
            ends.append((values[-1], arm, colour))
        if key == "roc_auc":
            for name, by_table in baselines.items():
                mean = np.mean(list(by_table.values()))
                axes.axhline(mean, color="0.6", linestyle=":", linewidth=1)
                ends.append((mean, name.replace("_", " "), "0.45"))
        _label_ends(axes, ends)
        axes.set(xlabel="training step", ylabel=label, xlim=(0, steps[-1]))
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=150)


def _label_ends(axes, ends: list[tuple[float, str, str]]) -> None:
    """Write each line's name right of its end, moved as little as keeps names apart."""
    low, high = axes.get_ylim()
    ends = sorted(ends)
    least = (high - low) / 22 * np.arange(len(ends))  # how far above the lowest name each must stand
    heights = isotonic_regression([value for value, *_ in ends] - least) + least
    for (value, text, colour), height in zip(ends, heights, strict=True):
        axes.annotate(
            text,
            (1, value),
            (1.03, height),
            xycoords=("axes fraction", "data"),
            textcoords=("axes fraction", "data"),
            color=colour,
            fontsize=8,
            va="center",
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.5,
                "shrinkA": 0,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )


def _matrix(cells: dict[int, Cell], seeds: list[int], tables: list[str]) -> np.ndarray:
    """Final scores (S, T)."""
    return np.array([[cells[seed].scores[table] for table in tables] for seed in seeds])


def _markdown(header: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a table whose first column is text and the others figures."""
    rule = ["---", *["--:"] * (len(header) - 1)]
    return [f"| {' | '.join(row)} |" for row in [header, rule, *rows]]


def _read(path: Path):
    """A JSON file, or one of JSON lines.

    Raises:
        PlainError: it is not there, or is no such file.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return (
            [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)
        )
    except (OSError, ValueError) as error:
        raise PlainError(f"{path}: cannot be read: {error}") from error


if __name__ == "__main__":
    main()
