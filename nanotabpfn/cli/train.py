"""`nanotabpfn train`: train a model on dumps or live on priors, or resume a run."""

from math import isfinite
from pathlib import Path
from typing import Any

import click

from nanotabpfn.cli.options import SuiteName, device_option
from nanotabpfn.cli.train_option_groups import FREE_WHEN_RESUMED, SIZES
from nanotabpfn.data.settings import check_switches
from nanotabpfn.model.choices import PRECISIONS
from nanotabpfn.training.beginning import LAST_VERDICT, WINDOW
from nanotabpfn.training.recipes import DEFAULT_RECIPE, RECIPES
from nanotabpfn.training.schedule import SCHEDULES
from nanotabpfn.training.tracking import TRACKERS, check_trackers
from priors.console import Choice, json_option, quiet_option
from priors.dumps.schema import PROBLEM_TYPES


class Weights(click.ParamType):
    """Numbers above 0, separated by commas."""

    name = "W,W,..."

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        try:
            weights = [float(weight) for weight in value.split(",")]
        except ValueError:
            self.fail(f"must be numbers separated by commas, such as 0.7,0.3; got {value!r}", param, ctx)
        if not all(weight > 0 for weight in weights) or not isfinite(sum(weights)):
            self.fail(f"must be above 0 and have a finite sum, got {value!r}", param, ctx)
        return weights


class Rate(click.FloatRange):
    """A finite number above 0; click's ranges let NaN and infinity through."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        rate = super().convert(value, param, ctx)
        if not isfinite(rate):
            self.fail(f"must be finite, got {value}", param, ctx)
        return rate


class Steps(click.ParamType):
    """Rising steps from 1, separated by commas."""

    name = "STEP,STEP,..."

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        try:
            steps = [int(step) for step in value.split(",")]
            check_switches(steps)
        except ValueError:
            self.fail(f"must be rising whole numbers from 1, such as 200,1000; got {value!r}", param, ctx)
        return steps


@click.command("train")
@click.option(
    "--problem",
    type=Choice(PROBLEM_TYPES),
    default="classification",
    show_default=True,
    help="Type of the targets. In regression the model's outputs are bins of the standardized target, and "
    "the targets of a preset stay real numbers.",
)
@click.option(
    "--dump",
    "dumps",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Prior dump to train on, from `priors generate` or the published one. With --resume: the new "
    "place of a dump that was moved.",
)
@click.option(
    "--prior",
    "priors",
    metavar="PRESET|FILE",
    multiple=True,
    help="Prior to sample from while training, alone or mixed with dumps: a name of `priors presets`, or a "
    "JSON file. Its datasets are those that `priors generate` with the same --seed writes.",
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
    help="How often each dump and prior is drawn for a batch: first the dumps, then the priors, in order.  "
    "[default: all equally often]",
)
@click.option(
    "--switch-at",
    type=Steps(),
    help="A curriculum: train on one dump or prior after the other, first the dumps, then the priors, in "
    "order; the next one comes after each of these steps, the last one stays. Held-out datasets are those of "
    "the last.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for config.json, history.jsonl, model.safetensors and checkpoints.",
)
@click.option(
    "--resume",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Directory of a run that was stopped or killed, to be resumed with the settings of its "
    f"config.json. Options that may change: {', '.join(FREE_WHEN_RESUMED)}.",
)
@click.option(
    "--from",
    "branch_from",
    type=click.Path(exists=True, path_type=Path),
    metavar="CHECKPOINT",
    help="Start from the weights of another run (its folder, or a file of it) or of a model, on any prior, "
    "with any learning rate and seed; steps are counted from 1.",
)
@click.option(
    "--trust",
    is_flag=True,
    help="With --resume: import families of other packages that the priors in its config.json name. Somebody "
    "else may have written that file.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=2500,
    show_default=True,
    help="Training steps in total, one batch each; with --resume, a larger number than before makes the "
    "run longer.",
)
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Datasets of a batch."
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
    type=Choice(PRECISIONS),
    default="float32",
    show_default=True,
    help="Number format of the passes in training; auto: bfloat16 if the hardware computes in it.",
)
@click.option(
    "--compile",
    is_flag=True,
    help="Run the model through torch.compile, which takes a minute or more at the first step.",
)
@click.option(
    "--recipe",
    type=Choice(list(RECIPES)),
    help="Architecture and optimizer, as docs/training.md describes them; `published` for exactly the "
    f"published settings.  [default: {DEFAULT_RECIPE}; with --from that of the run]",
)
@click.option(
    "--lr",
    type=Rate(),
    help=f"Learning rate.  [default: the recipe's, {RECIPES[DEFAULT_RECIPE].training['lr']} in all]",
)
@click.option(
    "--warm-up",
    "warmup_steps",
    type=click.IntRange(min=0),
    metavar="STEPS",
    help="Steps in which the learning rate rises to its value.  [default: the recipe's, of "
    f"`{DEFAULT_RECIPE}` {RECIPES[DEFAULT_RECIPE].training['warmup_steps']}]",
)
@click.option(
    "--schedule",
    type=Choice(SCHEDULES),
    default="schedule_free",
    show_default=True,
    help="Learning rate after the warm-up: constant with averaged weights (schedule_free), constant, or "
    "falling to 0 at the last step (cosine).",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**63 - 1),
    default=0,
    show_default=True,
    help="Seed of the initial weights, of the order of the batches, and of the datasets of priors.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Processes that read or sample ahead, for each dump and prior. The batches are the same.  "
    "[default: 1 for priors, else 0]",
)
@click.option(
    "--eval-every",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="Score the model on real tables and held-out datasets after every so many steps; 0: never.",
)
@click.option(
    "--suite",
    type=SuiteName("none"),
    multiple=True,
    help="Real tables that the model is scored on; several times for several suites, over all of whose "
    "tables the score is the mean.  [default: builtin; in regression builtin-regression]",
)
@click.option(
    "--stop-if-not-begun",
    type=click.IntRange(min=WINDOW),
    metavar="[STEP]",
    is_flag=False,
    flag_value=LAST_VERDICT,
    help="Stop with exit code 1 at this step or later if the loss is still that of the class shares; without "
    f"STEP at {LAST_VERDICT}. Only in classification.",
)
@click.option(
    "--held-out",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Datasets that the model is scored on and never trained on: so many at the end of each dump, or of "
    "the 2**32 of a prior.",
)
@click.option(
    "--patience",
    type=click.IntRange(min=1),
    metavar="EVALUATIONS",
    help="Stop early when the held-out loss has not improved in so many evaluations; the model of the lowest "
    "loss is kept.",
)
@click.option(
    "--log",
    type=Choice(list(TRACKERS)),
    multiple=True,
    help="Write every step to TensorBoard (OUT/tensorboard) or Weights & Biases too (extra `logging`).",
)
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Save the model, and the state that --resume needs, after every so many steps.",
)
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Latest checkpoints to keep.",
)
@device_option
@click.option("--embedding-size", type=click.IntRange(min=1), default=96, show_default=True)
@click.option("--heads", type=click.IntRange(min=1), default=4, show_default=True, help="Attention heads.")
@click.option(
    "--hidden", type=click.IntRange(min=1), default=192, show_default=True, help="Units of the MLPs."
)
@click.option("--layers", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace the run in OUT if there is one.")
@quiet_option
@json_option
@click.pass_context
def train_command(
    ctx: click.Context,
    out: Path | None,
    resume: Path | None,
    trust: bool,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a model on prior dumps, or live on priors.

    The defaults are the published settings, and a learning rate that rises in the first 100 steps: without
    it some runs never begin to learn. --recipe published is without it.

    The model saved is schedule-free's averaged one. Ctrl-C, SIGTERM and a closed terminal end the training
    after the current step, with a checkpoint. After those, after `kill -9` and after a power cut, --resume
    continues the training; on the CPU the result is equal to the bit to that of a training without a stop.
    Several GPUs share each batch under torchrun.

    \b
    nanotabpfn train --dump mine.h5 --out runs/mine
    nanotabpfn train --resume runs/mine
    nanotabpfn train --resume runs/mine --dump elsewhere/mine.h5
    nanotabpfn train --dump mine.h5 --out runs/short --steps 200 --eval-every 50 --suite open
    nanotabpfn train --prior default --out runs/live --held-out 256
    nanotabpfn train --prior tree-scm --out runs/branch --from runs/live --steps 500
    nanotabpfn train --dump a.h5 --dump b.h5 --weights 0.7,0.3 --out runs/both
    nanotabpfn train --prior easy.json --prior default --switch-at 200 --out runs/curriculum
    nanotabpfn train --problem regression --prior default --suite none --out runs/regressor
    torchrun --nproc-per-node 2 -m nanotabpfn train --dump mine.h5 --out runs/mine
    """
    from nanotabpfn.cli.train_run import train_run
    from nanotabpfn.cli.train_settings import is_given, new_settings, resumed_settings

    if (out is None) == (resume is None):
        raise click.UsageError("needs either --out, for a new run, or --resume")
    if trust and resume is None:
        raise click.UsageError("--trust is for --resume: what --prior names is imported anyway")
    if options["branch_from"] is not None and resume is None:
        given = [
            parameter.opts[0]
            for parameter in ctx.command.params
            if parameter.name in SIZES and is_given(ctx, parameter)
        ]
        if given:
            raise click.UsageError(f"{given[0]} cannot be given with --from: the model keeps its sizes")
    settings = new_settings(options) if resume is None else resumed_settings(ctx, resume)
    check_trackers(settings["training"]["log"])
    train_run(settings, out or resume, resume is None, overwrite, trust, as_json)
