"""`nanotabpfn train`: train a model on dumps or live on priors, or resume a run."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
import torch
from click.core import ParameterSource

from nanotabpfn.cli.options import SuiteName, device_option, resolve_device, resolve_suite
from nanotabpfn.data.loaders import Loader, PriorDataLoader, PriorDumpDataLoader
from nanotabpfn.data.mixture import MixedDataLoader
from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.estimators.regressor import NanoTabPFNRegressor
from nanotabpfn.evaluation.held_out import score_held_out
from nanotabpfn.evaluation.protocol import mean_score, prepare
from nanotabpfn.evaluation.suites import load_suite
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.bins import NUM_BINS, standard_edges
from nanotabpfn.model.checkpoint import MODEL_FILE, save_model
from nanotabpfn.model.precision import PRECISIONS, resolve_precision
from nanotabpfn.training.curves import describe_data
from nanotabpfn.training.distributed import RankLostError, Ranks, join_ranks
from nanotabpfn.training.loop import StateError, TrainingError, train
from nanotabpfn.training.recipes import RECIPES
from nanotabpfn.training.run import (
    CONFIG_FILE,
    Run,
    RunError,
    create_run,
    last_state,
    read_settings,
    resume_run,
)
from nanotabpfn.training.tracking import TRACKERS, check_trackers, open_trackers
from priors.config import PriorConfig, load_config, with_overrides
from priors.console import PlainError, parse_override
from priors.dumps.read import open_dump
from priors.dumps.schema import PROBLEM_TYPES
from priors.presets import PRESETS

FREE_WHEN_RESUMED = ("--steps", "--workers", "--device", "--checkpoint-every", "--keep", "--log")
"""Options that leave what was trained so far as it is."""


class Weights(click.ParamType):
    """Numbers above 0, with commas between them."""

    name = "W,W,..."

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        try:
            weights = [float(weight) for weight in value.split(",")]
        except ValueError:
            self.fail(f"must be numbers with commas between them, as 0.7,0.3; got {value!r}", param, ctx)
        if not all(isfinite(weight) and weight > 0 for weight in weights):
            self.fail(f"must be finite and above 0, got {value!r}", param, ctx)
        return weights


@click.command("train")
@click.option(
    "--problem",
    type=click.Choice(PROBLEM_TYPES),
    default="classification",
    show_default=True,
    help=f"What the targets are. For regression the model's outputs are {NUM_BINS} bins of the standardized "
    "target; a preset's targets are left real then.",
)
@click.option(
    "--dump",
    "dumps",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Prior dump to train on, from `priors generate` or the published one.",
)
@click.option(
    "--prior",
    "priors",
    metavar="PRESET|FILE",
    multiple=True,
    help="Prior to sample from while training, in place of a dump or beside it: one of `priors presets`, or "
    "its JSON file. It gives the datasets that `priors generate` with the same --seed would write.",
)
@click.option(
    "--set",
    "overrides",
    metavar="FIELD=VALUE",
    multiple=True,
    help="Change one field of every --prior; may be repeated.  [e.g. --set 'num_features=[2, 10]']",
)
@click.option(
    "--weights",
    type=Weights(),
    help="Several dumps and priors are mixed, batch by batch: how often each is drawn, first the dumps, then "
    "the priors, in their order.  [default: equally]",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for config.json, history.jsonl, model.safetensors and checkpoints.",
)
@click.option(
    "--resume",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Directory of a run that was stopped or killed, to go on with. Its settings are those of its "
    f"config.json; given anew may be {', '.join(FREE_WHEN_RESUMED)}.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=2500,
    show_default=True,
    help="Batches in all; with --resume, more than before make the run longer.",
)
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Datasets each."
)
@click.option(
    "--grad-accumulation",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Passes that a batch is cut into, to save memory. The gradient is the same.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    show_default=True,
    help="Of the model's passes while it trains; auto: bfloat16 where the hardware computes in it.",
)
@click.option(
    "--compile",
    is_flag=True,
    help="Run the model through torch.compile, which takes a minute or more at the first step.",
)
@click.option(
    "--recipe",
    type=click.Choice(list(RECIPES)),
    default="published",
    show_default=True,
    help="Architecture and optimizer, as docs/training.md describes them.",
)
@click.option(
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    help=f"Learning rate.  [default: the recipe's, of `published` {RECIPES['published'].training['lr']}]",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**63 - 1),
    default=0,
    show_default=True,
    help="Of the initial weights, of the order of the batches, and of the datasets of priors.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Processes that read or sample ahead, for each dump and prior; 0: none. The batches are the same.  "
    "[default: 1 for priors, else 0]",
)
@click.option(
    "--eval-every",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="Score the model on real tables and what is held out, after every so many steps; 0: never.",
)
@click.option(
    "--suite",
    type=SuiteName("none"),
    help="Real tables that it is scored on, or none.  [default: builtin; for regression builtin-regression]",
)
@click.option(
    "--held-out",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Datasets that it is scored on and never trained on: the last so many of each dump, or of the "
    "datasets that a prior has.",
)
@click.option(
    "--log",
    type=click.Choice(list(TRACKERS)),
    multiple=True,
    help="Tell it all to TensorBoard (OUT/tensorboard) or Weights & Biases too, of the extra `logging`.",
)
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Save the model, and what training goes on from, after every so many steps.",
)
@click.option(
    "--keep", type=click.IntRange(min=1), default=1, show_default=True, help="Checkpoints kept, the last."
)
@device_option
@click.option("--embedding-size", type=click.IntRange(min=1), default=96, show_default=True)
@click.option("--heads", type=click.IntRange(min=1), default=4, show_default=True, help="Attention heads.")
@click.option(
    "--hidden", type=click.IntRange(min=1), default=192, show_default=True, help="Units of the MLPs."
)
@click.option("--layers", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace the run in OUT if there is one.")
@click.pass_context
def train_command(
    ctx: click.Context,
    problem: str,
    dumps: tuple[Path, ...],
    priors: tuple[str, ...],
    overrides: tuple[str, ...],
    weights: list[float] | None,
    out: Path | None,
    resume: Path | None,
    overwrite: bool,
    embedding_size: int,
    heads: int,
    hidden: int,
    layers: int,
    **training: Any,
) -> None:
    """Train a model on prior dumps, or live on priors; the defaults are the published settings.

    The model saved is schedule-free's averaged one. Ctrl-C and SIGTERM end the training after the step at
    hand, with a checkpoint; after those, after `kill -9` and after a power cut, --resume goes on, with the
    same result to the bit (on the CPU) as if nothing had happened. Several GPUs share each batch under
    torchrun.

    \b
    nanotabpfn train --dump mine.h5 --out runs/mine
    nanotabpfn train --resume runs/mine
    nanotabpfn train --dump mine.h5 --out runs/short --steps 200 --eval-every 50 --suite open
    nanotabpfn train --prior default --out runs/live --held-out 256
    nanotabpfn train --dump a.h5 --dump b.h5 --weights 0.7,0.3 --out runs/both
    nanotabpfn train --problem regression --prior default --suite none --out runs/regressor
    torchrun --nproc-per-node 2 -m nanotabpfn train --dump mine.h5 --out runs/mine
    """
    if (out is None) == (resume is None):
        raise click.UsageError("needs either --out, for a new run, or --resume")
    training["log"] = list(training["log"])
    if resume is not None:
        settings = _resumed_settings(ctx, resume, training)
        settings["training"]["device"] = resolve_device(settings["training"]["device"])
    else:
        training["suite"] = resolve_suite(problem, training["suite"])
        data = _data(problem, dumps, priors, overrides, weights)
        settings = _new_settings(data, training)
    check_trackers(settings["training"]["log"])
    folder, training = out or resume, settings["training"]
    try:
        with join_ranks(training["device"]) as ranks, _asked_to_stop(ranks) as should_stop:
            loader = _loader(settings, ranks)
            if resume is None:
                if problem == "regression":
                    outputs = {"num_outputs": NUM_BINS, "bin_edges": standard_edges()}
                else:
                    outputs = {"num_outputs": loader.max_num_classes}
                settings["model"] = _architecture(
                    settings["training"]["recipe"],
                    embedding_size=embedding_size,
                    num_attention_heads=heads,
                    mlp_hidden_size=hidden,
                    num_layers=layers,
                    **outputs,
                )
            torch.manual_seed(training["seed"])
            model = NanoTabPFNModel(**settings["model"])
            model.trained_range = loader.trained_range
            if ranks.rank:
                ranks.wait()  # until the one that writes has opened the run
                state = last_state(folder) if resume is not None else None
                _train(settings, model, loader, ranks, state, should_stop)
                return
            eval_func = _eval_func(settings, loader, ranks.device)
            if resume is None:
                opened = create_run(folder, settings, training["keep"], overwrite)
            else:
                opened = resume_run(folder, settings, training["keep"])
            with opened as run:
                ranks.wait()
                if run.step >= training["steps"]:
                    click.echo(
                        f"{folder}: finished, all of its {run.step} steps are done; --steps adds to them"
                    )
                    return
                with open_trackers(training["log"], folder, settings, run.step) as tell:
                    _train(settings, model, loader, ranks, run.state, should_stop, eval_func, run, tell)
                _report(run, loader)
    except RankLostError as error:
        raise click.ClickException(
            f"{error}; goes on with the same command, and --resume {folder} in place of the rest"
        ) from error


def _train(
    settings: dict[str, Any],
    model: NanoTabPFNModel,
    loader: Loader,
    ranks: Ranks,
    state: dict[str, Any] | None,
    should_stop: Callable[[], bool],
    eval_func: Callable[[NanoTabPFNClassifier | NanoTabPFNRegressor], dict[str, float]] | None = None,
    run: Run | None = None,
    tell: Callable[[dict[str, float]], None] | None = None,
) -> None:
    """As the settings say, from `state` on; on the rank that has the run, all goes into it."""
    training = settings["training"]
    loader.num_steps = training["steps"] - (state["step"] if state else 0)
    if loader.num_steps <= 0:
        return

    def record(values: dict[str, float]) -> None:
        run.record(values)
        tell(values)

    try:
        train(
            model,
            loader,
            lr=training["lr"],
            optimizer=training["optimizer"],
            warmup_steps=training["warmup_steps"],
            device=ranks.device,
            steps_per_eval=training["eval_every"] or training["steps"],
            eval_func=eval_func,
            on_step=record if run else None,
            grad_accumulation=training["grad_accumulation"],
            precision=training["precision"],
            compile=training["compile"],
            ranks=ranks,
            state=state,
            steps_per_checkpoint=training["checkpoint_every"],
            on_checkpoint=run.checkpoint if run else None,
            should_stop=should_stop,
        )
    except StateError as error:
        raise PlainError(f"the run cannot go on: {error}") from error
    except TrainingError as error:
        if run:
            save_model(model, run.folder)
        raise click.ClickException(f"{error}; the run holds the model before that step") from error


def _report(run: Run, loader: Loader) -> None:
    """What came of it."""
    steps, data = run.settings["training"]["steps"], run.settings["data"]
    for source, part in zip(data, getattr(loader, "loaders", [loader]), strict=True):
        if part.num_skipped:
            click.echo(
                f"skipped {part.num_skipped} records of {source['dump']} with cells that are not finite"
            )
    if run.step < steps:
        raise click.ClickException(
            f"stopped after {run.step} of {steps} steps; goes on with: nanotabpfn train --resume {run.folder}"
        )
    click.echo(f"{run.folder / MODEL_FILE}: trained {steps} steps on {describe_data(data)}")


def _data(
    problem: str,
    dumps: tuple[Path, ...],
    priors: tuple[str, ...],
    overrides: tuple[str, ...],
    weights: list[float] | None,
) -> list[dict[str, Any]]:
    """What is trained on, as config.json holds it."""
    if not dumps and not priors:
        raise click.UsageError("needs --dump or --prior")
    if overrides and not priors:
        raise click.UsageError("--set needs a --prior, whose fields it changes")
    sources = len(dumps) + len(priors)
    if weights is not None and len(weights) != sources:
        raise click.BadParameter(
            f"must be one for each --dump and --prior, {sources} in all, got {len(weights)}",
            param_hint="--weights",
        )
    changes = dict(map(parse_override, overrides))
    data = []
    for dump in dumps:
        with open_dump(dump) as opened:
            if opened.problem_type != problem:
                raise PlainError(
                    f"{dump}: is a dump of {opened.problem_type}, and --problem is {problem}: "
                    f"--problem {opened.problem_type} trains on it"
                )
            attributes = {name: str(value) for name, value in opened.attributes.items()}
        data.append({"dump": str(dump.absolute()), "attributes": attributes})
    for name in priors:
        if name not in PRESETS and not Path(name).is_file():
            raise click.BadParameter(
                f"{name!r} is neither a preset ({', '.join(PRESETS)}) nor a file", param_hint="--prior"
            )
        if name in PRESETS:
            config = with_overrides(PRESETS[name], {"problem_type": problem} | changes)
        else:
            config = with_overrides(load_config(name), changes)
        if config.problem_type != problem:
            raise PlainError(
                f"--prior {name} is of {config.problem_type}, and --problem is {problem}: "
                f"--problem {config.problem_type} trains on it"
            )
        if config.missing_fraction[1] > 0:
            raise PlainError(f"--prior {name} has missing cells, which the model does not take")
        data.append({"prior": name, "config": json.loads(config.to_json())})
    return [
        source | {"weight": weight} for source, weight in zip(data, weights or [1.0] * sources, strict=True)
    ]


def _new_settings(data: list[dict[str, Any]], training: dict[str, Any]) -> dict[str, Any]:
    """What goes into config.json, but for the model, whose outputs depend on the data."""
    if training["workers"] is None:
        training |= {"workers": 1 if any("prior" in source for source in data) else 0}
    recipe = RECIPES[training["recipe"]].training
    training = recipe | training | {"lr": training["lr"] or recipe["lr"]}
    device = resolve_device(training["device"])
    precision = resolve_precision(training["precision"], device)
    return {
        "id": uuid4().hex[:8],
        "data": data,
        "training": training | {"device": device, "precision": precision},
        "versions": {name: version(name) for name in ("nanotabpfn-priors", "torch", "schedulefree")},
    }


def _resumed_settings(ctx: click.Context, folder: Path, training: dict[str, Any]) -> dict[str, Any]:
    """Those of the run in `folder`, with what the command line gives anew."""
    settings = read_settings(folder)
    try:
        stored = settings["training"]
        for parameter in ctx.command.params:
            name = parameter.name
            if name == "resume" or ctx.get_parameter_source(name) != ParameterSource.COMMANDLINE:
                continue
            if parameter.opts[0] not in FREE_WHEN_RESUMED:
                raise click.UsageError(
                    f"{parameter.opts[0]} cannot be given with --resume: the run goes on with what its "
                    f"{CONFIG_FILE} says; given anew may be {', '.join(FREE_WHEN_RESUMED)}"
                )
            if name == "steps" and training["steps"] < stored["steps"]:
                raise click.BadParameter(
                    f"must be at least the {stored['steps']} that the run was started with, "
                    f"got {training['steps']}",
                    param_hint="--steps",
                )
            stored[name] = training[name]
        missing = ({"data", "model"} - settings.keys()) | (training.keys() - stored.keys())
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{folder / CONFIG_FILE}: holds no settings of a run: {error!r}") from error
    if missing:
        raise RunError(f"{folder / CONFIG_FILE}: lacks {', '.join(sorted(missing))}")
    return settings


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
    if len(loaders) == 1:
        return loaders[0]
    weights = [source["weight"] for source in settings["data"]]
    return MixedDataLoader(loaders, weights, training["steps"], training["seed"])


def _eval_func(
    settings: dict[str, Any], loader: Loader, device: str | torch.device
) -> Callable[[NanoTabPFNClassifier | NanoTabPFNRegressor], dict[str, float]] | None:
    """Scores on the suite and on what is held out, as far as there are such."""
    training = settings["training"]
    if not training["eval_every"]:
        return None
    tables = load_suite(training["suite"]) if training["suite"] != "none" else []
    tasks, batches = [prepare(table, loader.problem_type) for table in tables], loader.held_out_batches()

    def scores(estimator: NanoTabPFNClassifier | NanoTabPFNRegressor) -> dict[str, float]:
        on_suite = mean_score(estimator, tasks, loader.problem_type) if tasks else {}
        held_out = score_held_out(estimator.model, batches, device) if batches else {}
        return on_suite | held_out

    return scores if tasks or batches else None


def _architecture(recipe: str, **sizes: Any) -> dict[str, Any]:
    try:
        with torch.device("meta"):
            return NanoTabPFNModel(**sizes, **RECIPES[recipe].architecture).config
    except ValueError as error:
        raise PlainError(str(error)) from error


@contextmanager
def _asked_to_stop(ranks: Ranks) -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM came: they wait for the step at hand; a second Ctrl-C does not, unless there
    are several ranks: a terminal and torchrun both send it there, and torchrun waits for 30 seconds."""
    received: list[int] = []

    def receive(number: int, frame: Any) -> None:
        if number == signal.SIGINT and received and ranks.size == 1:
            raise KeyboardInterrupt
        received.append(number)
        if ranks.rank == 0:
            os.write(2, b"\nstopping after this step; Ctrl-C again stops at once, at the last checkpoint\n")

    before = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
