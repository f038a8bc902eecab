"""The command `nanotabpfn`: train on a dump, evaluate on real tables, draw the run."""

import json
from importlib.metadata import version
from math import isfinite
from pathlib import Path

import click
import torch

from nanotabpfn.checkpoint import MODEL_FILE, CheckpointError, load_model, save_model
from nanotabpfn.classifier import NanoTabPFNClassifier
from nanotabpfn.data import MixedDataLoader, PriorDumpDataLoader
from nanotabpfn.evaluate import BASELINES, evaluate, format_scores, mean_roc_auc, prepare
from nanotabpfn.model import NanoTabPFNModel, get_default_device
from nanotabpfn.report import (
    MODEL_NAME,
    ReportError,
    describe_run,
    plot_training,
    read_baselines,
    read_history,
)
from nanotabpfn.suites import SUITES, load_suite
from nanotabpfn.train import TrainingError, train
from priors.console import PlainError, PlainGroup, refuse_existing
from priors.dump import DumpError, open_dump

ERRORS = (CheckpointError, DumpError, ModuleNotFoundError, ReportError)

device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where to compute; auto takes a GPU if there is one.",
)


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


@click.group("nanotabpfn", cls=PlainGroup, errors=ERRORS)
@click.version_option(package_name="nanotabpfn-priors", prog_name="nanotabpfn")
def main() -> None:
    """Train nanoTabPFN on a prior dump, and measure it on real tables.

    \b
    nanotabpfn train --dump mine.h5 --out runs/mine                 # learn
    nanotabpfn evaluate --model runs/mine --suite open --baselines  # measure
    nanotabpfn plot runs/mine                                       # look
    """


@main.command("train")
@click.option(
    "--dump",
    "dumps",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    multiple=True,
    help="Prior dump to train on, from `priors generate` or the published one. Several are mixed, batch by "
    "batch.",
)
@click.option(
    "--weights", type=Weights(), help="How often each dump is drawn, in their order.  [default: equally]"
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Directory for config.json, history.jsonl and model.safetensors.",
)
@click.option("--steps", type=click.IntRange(min=1), default=2500, show_default=True, help="Batches.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Datasets each."
)
@click.option("--lr", type=click.FloatRange(min=0, min_open=True), default=4e-3, show_default=True)
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**63 - 1),
    default=0,
    show_default=True,
    help="Of the initial weights and of the order of the batches.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Processes that read each dump ahead; 0: none. The batches are the same.",
)
@click.option(
    "--eval-every",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="Score the model on real tables and save it after every so many steps; 0: never.",
)
@click.option(
    "--suite", type=click.Choice(list(SUITES)), default="builtin", show_default=True, help="Tables."
)
@device_option
@click.option("--embedding-size", type=click.IntRange(min=1), default=96, show_default=True)
@click.option("--heads", type=click.IntRange(min=1), default=4, show_default=True, help="Attention heads.")
@click.option(
    "--hidden", type=click.IntRange(min=1), default=192, show_default=True, help="Units of the MLPs."
)
@click.option("--layers", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace the run in OUT if there is one.")
def train_command(
    dumps: tuple[Path, ...],
    weights: list[float] | None,
    out: Path,
    steps: int,
    batch_size: int,
    lr: float,
    seed: int,
    workers: int,
    eval_every: int,
    suite: str,
    device: str,
    embedding_size: int,
    heads: int,
    hidden: int,
    layers: int,
    overwrite: bool,
) -> None:
    """Train a model on a prior dump; the defaults are the published settings.

    Ctrl-C ends the training and keeps what was learned. The model saved is schedule-free's averaged one.

    \b
    nanotabpfn train --dump mine.h5 --out runs/mine
    nanotabpfn train --dump mine.h5 --out runs/short --steps 200 --eval-every 50 --suite open
    nanotabpfn train --dump a.h5 --dump b.h5 --weights 0.7,0.3 --out runs/both
    """
    if weights is not None and len(weights) != len(dumps):
        raise click.BadParameter(
            f"must be one for each --dump, {len(dumps)} in all, got {len(weights)}", param_hint="--weights"
        )
    config_file, history_file = out / "config.json", out / "history.jsonl"
    refuse_existing(config_file, overwrite)
    device = _device(device)
    loaders = [PriorDumpDataLoader(dump, steps, batch_size, device, seed, workers) for dump in dumps]
    loader = loaders[0]
    if len(dumps) > 1:
        weights = weights or [1.0] * len(dumps)
        loader = MixedDataLoader(loaders, weights, steps, seed)
    torch.manual_seed(seed)
    try:
        model = NanoTabPFNModel(embedding_size, heads, hidden, layers, loader.max_num_classes)
    except ValueError as error:
        raise PlainError(str(error)) from error
    tasks = [prepare(table) for table in load_suite(suite)] if eval_every else []
    priors = []
    for dump in dumps:
        with open_dump(dump) as opened:
            priors.append({name: str(value) for name, value in opened.attributes.items()})
    settings = {
        "model": model.config,
        "training": {
            "dump": [str(dump) for dump in dumps] if len(dumps) > 1 else str(dumps[0]),
            "weights": weights if len(dumps) > 1 else None,
            "steps": steps,
            "batch_size": batch_size,
            "lr": lr,
            "seed": seed,
            "device": device,
            "eval_every": eval_every,
            "suite": suite if eval_every else None,
        },
        "prior": priors if len(dumps) > 1 else priors[0],
        "versions": {name: version(name) for name in ("nanotabpfn-priors", "torch", "schedulefree")},
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / MODEL_FILE).unlink(missing_ok=True)
        config_file.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        history = history_file.open("w", encoding="utf-8")
    except OSError as error:
        raise PlainError(f"{out}: cannot be written: {error.strerror}") from error
    done = 0

    def evaluate_and_save(classifier: NanoTabPFNClassifier) -> dict[str, float]:
        save_model(classifier.model, out)
        return mean_roc_auc(classifier, tasks)

    def record(values: dict[str, float]) -> None:
        nonlocal done
        done = values["step"]
        history.write(json.dumps(values) + "\n")
        history.flush()

    with history:
        try:
            train(
                model,
                loader,
                lr=lr,
                device=device,
                steps_per_eval=eval_every or steps,
                eval_func=evaluate_and_save if eval_every else None,
                on_step=record,
            )
        except TrainingError as error:
            raise click.ClickException(f"{error}; {out} holds the model before that step") from error
        finally:
            saved = save_model(model, out)
    how = "trained" if done == steps else "stopped after"
    click.echo(f"{saved}: {how} {done} of {steps} steps on {', '.join(map(str, dumps))}")
    for dump, loader in zip(dumps, loaders, strict=True):
        if loader.num_skipped:
            click.echo(f"skipped {loader.num_skipped} records of {dump} with cells that are not finite")


@main.command("evaluate")
@click.option(
    "--model",
    "model_path",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="Directory of a run, or a model.safetensors.",
)
@click.option(
    "--suite", type=click.Choice(list(SUITES)), default="builtin", show_default=True, help="Tables."
)
@click.option("--baselines", is_flag=True, help="Score scikit-learn's classifiers on the same folds too.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the scores as JSON.")
@device_option
def evaluate_command(model_path: Path, suite: str, baselines: bool, out: Path | None, device: str) -> None:
    """Score a model on real tables: mean ROC AUC by the published protocol.

    At most 200 stratified rows of each table; five stratified folds, preprocessing fitted inside each; the
    out-of-fold probabilities of a table pooled into one ROC AUC.

    \b
    nanotabpfn evaluate --model runs/mine                           # scikit-learn's own tables
    nanotabpfn evaluate --model runs/mine --suite open --baselines  # 13 tables of the extra `tables`
    """
    estimators = {MODEL_NAME: NanoTabPFNClassifier(load_model(model_path), _device(device))}
    if baselines:
        estimators |= {name: make() for name, make in BASELINES.items()}
    scores = evaluate(estimators, load_suite(suite))
    click.echo(format_scores(scores))
    if out is not None:
        try:
            out.write_text(json.dumps([score._asdict() for score in scores], indent=1), encoding="utf-8")
        except OSError as error:
            raise PlainError(f"{out}: cannot be written: {error.strerror}") from error
        click.echo(f"{out}: {len(scores)} scores")


@main.command("plot")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--scores",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="From `evaluate --baselines --out`: draws the baselines as lines.",
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The picture.  [default: RUN/training.png]"
)
def plot_command(run: Path, scores: Path | None, out: Path | None) -> None:
    """Draw a run's loss and ROC AUC against training steps."""
    history = read_history(run / "history.jsonl")
    out = out or run / "training.png"
    plot_training(history, read_baselines(scores) if scores else {}, out, describe_run(run / "config.json"))
    click.echo(f"{out}: loss and ROC AUC of {len(history)} steps")


def _device(name: str) -> str:
    if name == "auto":
        return get_default_device()
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[name]:
        raise PlainError(f"--device {name}: there is none here; --device auto takes what there is")
    return name


if __name__ == "__main__":
    main()
