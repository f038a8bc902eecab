"""From the settings of a run to its trained model: loaders, evaluation, signals, training."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch

from nanotabpfn.cli.train_option_groups import SIZES
from nanotabpfn.cli.train_watch import Watch
from nanotabpfn.data.loaders import Loader, PriorDataLoader, PriorDumpDataLoader
from nanotabpfn.data.mixture import CurriculumDataLoader, MixedDataLoader
from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.estimators.regressor import NanoTabPFNRegressor
from nanotabpfn.evaluation.held_out import score_held_out
from nanotabpfn.evaluation.protocol import mean_score, prepare
from nanotabpfn.evaluation.suites import load_suites
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.bins import NUM_BINS, standard_edges
from nanotabpfn.model.checkpoint import MODEL_FILE
from nanotabpfn.training.branch import Source, branch_state, open_source
from nanotabpfn.training.curves import describe_data, read_history
from nanotabpfn.training.distributed import RankLostError, Ranks, join_ranks
from nanotabpfn.training.loop import train
from nanotabpfn.training.patience import Patience
from nanotabpfn.training.recipes import RECIPES
from nanotabpfn.training.run import (
    CONFIG_FILE,
    HISTORY_FILE,
    Run,
    WriteError,
    checkpoints,
    create_run,
    last_state,
    remove_run,
    resume_run,
    write_settings,
)
from nanotabpfn.training.state import StateError
from nanotabpfn.training.step import TrainingError
from nanotabpfn.training.tracking import open_trackers
from priors.config import PriorConfig
from priors.console import PlainError, report
from priors.registry import UntrustedNameError, imports_allowed

EvalFunction = Callable[[NanoTabPFNClassifier | NanoTabPFNRegressor], dict[str, float]]


class Training(NamedTuple):
    """A training as one rank sees it."""

    settings: dict[str, Any]
    model: NanoTabPFNModel
    loader: Loader
    ranks: Ranks
    should_stop: Callable[[], bool]


class Leader(NamedTuple):
    """What rank 0 does besides training."""

    run: Run
    track: Callable[[dict[str, float]], None]
    eval_func: EvalFunction | None
    watch: Watch | None
    patience: Patience | None

    def record(self, values: dict[str, float]) -> None:
        self.run.record(values)
        self.track(values)
        if self.watch is not None:
            self.watch.record(values)

    def checkpoint(self, model: NanoTabPFNModel, state: dict[str, Any]) -> None:
        self.run.checkpoint(model, state)
        if self.patience is not None:
            self.patience.prune()

    def should_stop(self) -> bool:
        return any(rule is not None and rule.should_stop for rule in (self.watch, self.patience))


def train_run(
    settings: dict[str, Any], folder: Path, is_new: bool, overwrite: bool, trust: bool, as_json: bool
) -> None:
    """Train as the settings say, into a run; under `torchrun` as one of several ranks.

    Args:
        settings: of `new_settings` or `resumed_settings`.
        folder: of the run.
        is_new: create the run, else resume it from its last checkpoint.
        overwrite: a new run may replace another one.
        trust: whether to import families of other packages that the config.json of a resumed run names.
        as_json: print the result as JSON.
    """
    if not is_new and "from" in settings and not checkpoints(folder):
        raise PlainError(
            f"{folder}: has lost the checkpoint that it started from; begin it again with --from "
            f"{settings['from']['path']} --overwrite"
        )
    try:
        with join_ranks(settings["training"]["device"]) as ranks, _stop_signals(ranks) as should_stop:
            with imports_allowed(is_new or trust):  # somebody else may have written config.json
                loader = _loader(settings, ranks)
            source = None
            if is_new and "from" in settings:
                source = open_source(Path(settings["from"]["path"]))
                settings["model"] = _architecture_of(source, settings, loader)
            elif is_new:
                settings["model"] = _architecture(settings, loader)
            torch.manual_seed(settings["training"]["seed"])
            model = NanoTabPFNModel(**settings["model"])
            model.trained_range = loader.trained_range
            training = Training(settings, model, loader, ranks, should_stop)
            ended = None
            if ranks.rank == 0:
                ended = _lead(training, folder, is_new, overwrite, source)
            else:
                is_finished = ranks.any(False)  # waits until rank 0 has opened the run
                if not is_finished:
                    _train(training, None if is_new and source is None else last_state(folder))
    except RankLostError as error:
        raise click.ClickException(
            f"{error}; to resume, run the same command with --resume {folder} in place of its options"
        ) from error
    if ended is not None:
        _report(*ended, as_json)


def _lead(
    training: Training, folder: Path, is_new: bool, overwrite: bool, source: Source | None
) -> tuple[Run, list[str]]:
    """Train on rank 0, which evaluates and writes the run; what there is to say of it, in lines."""
    settings = training.settings
    eval_func = _eval_func(settings, training.loader, training.ranks.device)
    keep = settings["training"]["keep"]
    opened = create_run(folder, settings, keep, overwrite) if is_new else resume_run(folder, settings, keep)
    with opened as run, _removed_without_steps(run, is_new):
        if source is not None:
            _begin_branch(run, source, training)
        watch, patience = None, None
        if training.model.problem_type == "classification":
            watch = Watch(run, settings["training"]["stop_if_not_begun"])
        if settings["training"]["patience"] is not None:
            patience = Patience(run, settings["training"]["patience"])
            eval_func = patience.watch(eval_func)
        done = run.step >= settings["training"]["steps"]
        early = patience is not None and patience.should_stop
        training.ranks.any(done or early)  # the other ranks wait for this once
        if patience is not None and (done or early):
            run.save_model(patience.best_model())  # the process may have been killed before it did
        if done:
            return run, [f"{folder}: finished, all of its {run.step} steps are done; --steps adds to them"]
        if early:
            settings["training"]["steps"] = run.step  # for the report alone, as below
            return run, [f"{folder}: finished, {_early(patience, run)}; a larger --patience continues it"]
        with open_trackers(settings["training"]["log"], folder, settings, run.step) as track:
            _train(training, run.state, Leader(run, track, eval_func, watch, patience))
        if watch is not None and watch.should_stop:
            raise click.ClickException(
                f"{watch.explain()}; stopped; {folder} holds the model and a checkpoint of step {run.step}"
            )
        lines = []
        if patience is not None and (patience.should_stop or run.step >= settings["training"]["steps"]):
            run.save_model(patience.best_model())
            lines.append(_early(patience, run))
            settings["training"]["steps"] = run.step  # for the report alone; config.json keeps the planned
        return run, [*lines, *_trained(run, training.loader)]


def _early(patience: Patience, run: Run) -> str:
    return (
        f"the held-out loss was lowest, {patience.best_loss:.4f}, at step {patience.best_step} of "
        f"{run.step}, whose model is kept"
    )


def _begin_branch(run: Run, source: Source, training: Training) -> None:
    """Write the state that a branch starts from as the checkpoint of step 0, and what it took over."""
    state, taken = branch_state(source, training.loader, training.settings["training"])
    source.model.trained_range = training.loader.trained_range
    run.settings["from"] |= {"taken_over": taken}
    write_settings(run.folder, run.settings)
    try:
        run.checkpoint(source.model, state)
    except WriteError as error:  # nothing can be resumed yet
        reason = error.__cause__.strerror
        raise click.ClickException(
            f"{run.folder}: the checkpoint that the branch starts from cannot be written: {reason}; "
            "repeat the command when there is space"
        ) from error.__cause__
    run.state = state
    names = {"optimizer": "the optimizer's state", "data": "the position in the data"}
    kept = [name for key, name in names.items() if taken[key]]
    click.echo(f"starts from {source.path}: its {', '.join(['weights', *kept])}", err=True)


def _train(training: Training, state: dict[str, Any] | None, leader: Leader | None = None) -> None:
    """Train from `state` on; on rank 0, which has the run, every step is recorded."""
    options, loader = training.settings["training"], training.loader
    loader.num_steps = options["steps"] - (state["step"] if state else 0)
    if loader.num_steps <= 0:
        return

    def should_stop() -> bool:
        return training.should_stop() or (leader is not None and leader.should_stop())

    try:
        train(
            training.model,
            loader,
            lr=options["lr"],
            optimizer=options["optimizer"],
            warmup_steps=options["warmup_steps"],
            schedule=options["schedule"],
            schedule_steps=options["schedule_steps"],
            device=training.ranks.device,
            steps_per_eval=options["eval_every"] or options["steps"],
            eval_func=leader.eval_func if leader else None,
            on_step=leader.record if leader else None,
            grad_accumulation=options["grad_accumulation"],
            precision=options["precision"],
            compile=options["compile"],
            ranks=training.ranks,
            state=state,
            steps_per_checkpoint=options["checkpoint_every"],
            on_checkpoint=leader.checkpoint if leader else None,
            should_stop=should_stop,
        )
    except StateError as error:
        raise PlainError(f"the run cannot be resumed: {error}") from error
    except WriteError as error:
        raise click.ClickException(str(error)) from error
    except TrainingError as error:
        if leader and leader.run.step:
            leader.run.save_model(training.model)
            raise click.ClickException(f"{error}; the run holds the model before that step") from error
        raise click.ClickException(str(error)) from error


@contextmanager
def _removed_without_steps(run: Run, is_new: bool) -> Iterator[None]:
    """A new run that fails before its first step is over is removed: the same command can then be repeated.

    Not where the error says how to resume it.
    """
    try:
        yield
    except Exception as error:
        says_how = isinstance(error, WriteError) or isinstance(error.__cause__, WriteError | RankLostError)
        if is_new and run.step == 0 and not says_how:
            remove_run(run)
        raise


def _trained(run: Run, loader: Loader) -> list[str]:
    """What was trained, in lines."""
    steps, data = run.settings["training"]["steps"], run.settings["data"]
    lines = [
        f"skipped {part.num_skipped} records of {source['dump']} with cells that are not finite"
        for source, part in zip(data, getattr(loader, "loaders", [loader]), strict=True)
        if part.num_skipped
    ]
    if run.step >= steps:
        lines.append(f"{run.folder / MODEL_FILE}: trained {steps} steps on {describe_data(data)}")
    return lines


def _report(run: Run, lines: list[str], as_json: bool) -> None:
    """Print what was trained, and raise if it was stopped before the last step."""
    steps, history = run.settings["training"]["steps"], read_history(run.folder / HISTORY_FILE)
    document = {
        "run": run.folder,
        "model": run.folder / MODEL_FILE,
        "step": run.step,
        "is_finished": run.step >= steps,
        "last": history[-1] if history else None,
        "messages": lines,
    }
    if lines or as_json:
        report(as_json, "\n".join(lines), document)
    if run.step < steps:
        raise click.ClickException(
            f"stopped after {run.step} of {steps} steps; to resume: nanotabpfn train --resume {run.folder}"
        )


def _loader(settings: dict[str, Any], ranks: Ranks) -> Loader:
    training = settings["training"]
    shared = {
        "num_steps": training["steps"],
        "batch_size": training["batch_size"],
        "device": ranks.device,
        "seed": training["seed"],
        "num_workers": training["workers"],
        "held_out": training["held_out"],
        "rank": ranks.rank,
        "num_ranks": ranks.size,
    }
    try:
        loaders = [
            PriorDumpDataLoader(source["dump"], **shared)
            if "dump" in source
            else PriorDataLoader(PriorConfig.from_json(json.dumps(source["config"])), **shared)
            for source in settings["data"]
        ]
    except ValueError as error:
        raise PlainError(str(error)) from error
    except UntrustedNameError as error:
        raise PlainError(f"{CONFIG_FILE} {error}; --trust imports it") from error
    if len(loaders) == 1:
        return loaders[0]
    switch_at = [source["until"] for source in settings["data"] if "until" in source]
    if switch_at:
        return CurriculumDataLoader(loaders, switch_at, training["steps"])
    weights = [source["weight"] for source in settings["data"]]
    return MixedDataLoader(loaders, weights, training["steps"], training["seed"])


def _architecture(settings: dict[str, Any], loader: Loader) -> dict[str, Any]:
    """All arguments of the model: sizes, the recipe's changes, and outputs that fit the data."""
    if loader.problem_type == "regression":
        outputs = {"num_outputs": NUM_BINS, "bin_edges": standard_edges()}
    else:
        outputs = {"num_outputs": loader.max_num_classes}
    changes = RECIPES[settings["training"]["recipe"]].architecture
    try:
        with torch.device("meta"):
            return NanoTabPFNModel(**settings["model"], **outputs, **changes).config
    except ValueError as error:
        raise PlainError(str(error)) from error


def _architecture_of(source: Source, settings: dict[str, Any], loader: Loader) -> dict[str, Any]:
    """All arguments of a branch's model, which are those of its source."""
    config, recipe = source.model.config, settings["training"]["recipe"]
    if loader.problem_type != source.model.problem_type:
        raise PlainError(
            f"{source.path}: is a model of {source.model.problem_type}, not of {loader.problem_type}"
        )
    if loader.problem_type == "classification" and loader.max_num_classes > source.model.num_outputs:
        raise PlainError(
            f"{source.path}: has {source.model.num_outputs} outputs, and the data up to "
            f"{loader.max_num_classes} classes"
        )
    wanted = _architecture(settings | {"model": {name: config[name] for name in SIZES.values()}}, loader)
    for name in {name for one in RECIPES.values() for name in one.architecture}:
        if wanted[name] != config[name]:
            raise PlainError(
                f"{source.path}: has {name} {config[name]}, and the recipe {recipe} {wanted[name]}; "
                "a branch needs a recipe of the same architecture"
            )
    return config


def _eval_func(settings: dict[str, Any], loader: Loader, device: str | torch.device) -> EvalFunction | None:
    """Scores on the suite and on held-out datasets; None if there are neither."""
    training = settings["training"]
    if not training["eval_every"]:
        return None
    tables = load_suites(training["suite"].split()) if training["suite"] != "none" else []
    tasks, batches = [prepare(table, loader.problem_type) for table in tables], loader.held_out_batches()

    def scores(estimator: NanoTabPFNClassifier | NanoTabPFNRegressor) -> dict[str, float]:
        on_suite = mean_score(estimator, tasks, loader.problem_type) if tasks else {}
        held_out = score_held_out(estimator.model, batches, device) if batches else {}
        return on_suite | held_out

    return scores if tasks or batches else None


@contextmanager
def _stop_signals(ranks: Ranks) -> Iterator[Callable[[], bool]]:
    """A function that says whether a signal to stop was received, so that training ends after a whole step.

    The signals are Ctrl-C, SIGTERM, and SIGHUP of a closed terminal unless it is ignored, as under `nohup`.
    A second Ctrl-C ends the training at once; not with several ranks, where the terminal and torchrun both
    send signals, and torchrun kills after 30 seconds.
    """
    received: list[int] = []
    terminals = [stream for stream in (1, 2) if os.isatty(stream)]

    def receive(number: int, frame: Any) -> None:
        if number == signal.SIGINT and received and ranks.size == 1:
            raise KeyboardInterrupt
        received.append(number)
        if number not in (signal.SIGINT, signal.SIGTERM):  # SIGHUP: the terminal cannot be written any more
            for terminal in terminals:
                os.dup2(os.open(os.devnull, os.O_WRONLY), terminal)
        if ranks.rank == 0:
            os.write(2, b"\nstopping after this step; Ctrl-C again stops at once, at the last checkpoint\n")

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, receive) for number in numbers}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
