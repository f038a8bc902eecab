"""The settings of a training run, as its config.json holds them: from options, or from an earlier run."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
from click.core import ParameterSource

from nanotabpfn.cli.options import resolve_device, resolve_suites
from nanotabpfn.cli.train_option_groups import FREE_WHEN_RESUMED, SIZES
from nanotabpfn.model.precision import resolve_precision
from nanotabpfn.training.branch import open_source
from nanotabpfn.training.recipes import DEFAULT_RECIPE, RECIPES
from nanotabpfn.training.run import CONFIG_FILE, RunError, read_settings
from priors.config import load_config, with_overrides
from priors.console import PlainError, parse_override
from priors.dumps.hash import content_hash
from priors.dumps.read import open_dump
from priors.presets import PRESETS
from priors.registry import nearest_or_all

SOURCES = ("dumps", "priors", "overrides", "weights", "switch_at")
"""Options that say what is trained on."""

OF_ONE_CALL = {"resume", "trust", "quiet", "as_json"}
"""Options that are about one call of the command, not about the run."""

NOT_OF_TRAINING = {"problem", "out", "overwrite", "branch_from", *OF_ONE_CALL, *SOURCES, *SIZES}
"""Options that `settings["training"]` does not hold."""


def new_settings(options: dict[str, Any]) -> dict[str, Any]:
    """The settings of a new run from the options of `nanotabpfn train`.

    They lack what depends on the data: `model` has the sizes alone, which `train_run.py` completes.

    Raises:
        click.UsageError: options that do not fit together.
        PlainError: a dump or prior that does not fit the problem.
        DumpError: a dump cannot be read.
        ConfigError: the config of a prior is not valid.
    """
    problem = options["problem"]
    suite = " ".join(resolve_suites(problem, options["suite"]))
    data = _data(problem, *(options[name] for name in SOURCES))
    training = {name: value for name, value in options.items() if name not in NOT_OF_TRAINING}
    training |= {"suite": suite, "log": list(options["log"])}
    if training["workers"] is None:
        training["workers"] = 1 if any("prior" in source for source in data) else 0
    branch_from = {}
    if options["branch_from"] is not None:
        source = open_source(options["branch_from"])
        branch_from = {"from": source.provenance}
        if source.settings and not options["recipe"]:
            training["recipe"] = source.settings.get("training", {}).get("recipe")
    training["recipe"] = training["recipe"] or DEFAULT_RECIPE
    recipe = RECIPES[training["recipe"]].training
    training = recipe | {
        name: value for name, value in training.items() if value is not None or name not in recipe
    }
    if training["schedule"] != "schedule_free" and training["optimizer"] != "adamw":
        raise click.BadParameter(
            f"{training['schedule']} is for recipes with AdamW, and {training['recipe']} has "
            f"{training['optimizer']}",
            param_hint="--schedule",
        )
    if options["switch_at"] is not None and options["switch_at"][-1] >= training["steps"]:
        raise click.BadParameter(
            f"must be below --steps {training['steps']}, else the last dump or prior is never trained on, "
            f"got {options['switch_at'][-1]}",
            param_hint="--switch-at",
        )
    if training["patience"] is not None and not (training["held_out"] and training["eval_every"]):
        raise click.UsageError("--patience needs --held-out and --eval-every above 0")
    training["schedule_steps"] = training["steps"]
    device = resolve_device(training["device"])
    precision = resolve_precision(training["precision"], device)
    return {
        "id": uuid4().hex[:8],
        **branch_from,
        "data": data,
        "training": training | {"device": device, "precision": precision},
        "versions": {name: version(name) for name in ("nanotabpfn-priors", "torch", "schedulefree")},
        "model": {argument: options[option] for option, argument in SIZES.items()},
    }


def resumed_settings(ctx: click.Context, folder: Path) -> dict[str, Any]:
    """The settings of the run in `folder`, with the options of the command line that may change.

    Raises:
        click.UsageError: an option that may not change.
        RunError: `folder` holds no run.
    """
    settings = read_settings(folder)
    try:
        training = settings["training"]
        for parameter in ctx.command.params:
            if parameter.name in OF_ONE_CALL or not is_given(ctx, parameter):
                continue
            if parameter.opts[0] not in FREE_WHEN_RESUMED:
                raise click.UsageError(
                    f"{parameter.opts[0]} cannot be given with --resume: the run keeps the settings of its "
                    f"{CONFIG_FILE}; options that may change: {', '.join(FREE_WHEN_RESUMED)}"
                )
            value = ctx.params[parameter.name]
            if parameter.name == "dumps":
                continue
            if parameter.name == "steps" and value < training["steps"]:
                raise click.BadParameter(
                    f"must be at least the {training['steps']} that the run was started with, got {value}",
                    param_hint="--steps",
                )
            if parameter.name == "steps" and training["schedule"] == "cosine" and value > training["steps"]:
                raise click.BadParameter(
                    f"the run ends at step {training['steps']}, where the learning rate of its cosine is 0; "
                    f"nanotabpfn train --from {folder} continues with a new one",
                    param_hint="--steps",
                )
            if parameter.name == "patience" and training.get("patience") is None:
                raise click.UsageError(
                    "--patience: the run has none, so the best of its models so far was not kept; "
                    f"nanotabpfn train --from {folder} --patience {value} continues in a new run"
                )
            training[parameter.name] = list(value) if parameter.multiple else value
        _find_dumps(settings["data"], ctx.params["dumps"], folder)
        missing = ({"data", "model"} - settings.keys()) | (_training_options(ctx) - training.keys())
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{folder / CONFIG_FILE}: holds no settings of a run: {error!r}") from error
    if missing:
        raise RunError(f"{folder / CONFIG_FILE}: lacks {', '.join(sorted(missing))}")
    training["device"] = resolve_device(training["device"])
    return settings


def _find_dumps(data: list[dict[str, Any]], places: Sequence[Path], folder: Path) -> None:
    """Check the dumps of a run, and replace their places by those of --dump."""
    sources = [source for source in data if "dump" in source]
    if places and len(places) != len(sources):
        raise click.BadParameter(
            f"must be one for each dump of the run, {len(sources)} in its order, got {len(places)}",
            param_hint="--dump",
        )
    for source, place in zip(sources, places or [Path(source["dump"]) for source in sources], strict=True):
        if not place.is_file():
            raise RunError(
                f"{place}: no such file; if the dump was moved: "
                f"nanotabpfn train --resume {folder} --dump NEW_PLACE"
            )
        now = _file_facts(place)
        if "content_hash" in source:  # not in runs of earlier versions
            same_file = now == {name: source[name] for name in now}
            if not same_file and content_hash(place) != source["content_hash"]:
                raise RunError(f"{place}: its content is not that of the dump that {folder} was trained on")
            source |= now
        source["dump"] = str(place.absolute())


def _file_facts(dump: Path) -> dict[str, int]:
    """Size and time of change. While they are the same, so is the content; else its hash is computed."""
    facts = dump.stat()
    return {"size": facts.st_size, "modified": facts.st_mtime_ns}


def is_given(ctx: click.Context, parameter: click.Parameter) -> bool:
    return ctx.get_parameter_source(parameter.name) == ParameterSource.COMMANDLINE


def _training_options(ctx: click.Context) -> set[str]:
    return ctx.params.keys() - NOT_OF_TRAINING


def _data(
    problem: str,
    dumps: tuple[Path, ...],
    priors: tuple[str, ...],
    overrides: tuple[str, ...],
    weights: list[float] | None,
    switch_at: list[int] | None,
) -> list[dict[str, Any]]:
    """The dumps and priors that are trained on.

    In a curriculum all but the last have `until`, the step after which the next one is trained on.
    """
    if not dumps and not priors:
        raise click.UsageError("needs --dump or --prior")
    if overrides and not priors:
        raise click.UsageError("--set needs a --prior, whose fields it changes")
    num_sources = len(dumps) + len(priors)
    if weights is not None and len(weights) != num_sources:
        raise click.BadParameter(
            f"must be one for each --dump and --prior, {num_sources} in all, got {len(weights)}",
            param_hint="--weights",
        )
    if switch_at is not None and weights is not None:
        raise click.UsageError("--weights mixes the sources, --switch-at takes one after the other: give one")
    if switch_at is not None and len(switch_at) != num_sources - 1:
        raise click.BadParameter(
            f"must be {num_sources - 1}, one fewer than there are sources (--dump and --prior), "
            f"got {len(switch_at)}",
            param_hint="--switch-at",
        )
    changes = dict(map(parse_override, overrides))
    data = [_dump(problem, dump) for dump in dumps] + [_prior(problem, name, changes) for name in priors]
    if switch_at is not None:
        return [source | {"until": step} for source, step in zip(data, switch_at, strict=False)] + data[-1:]
    return [
        source | {"weight": weight}
        for source, weight in zip(data, weights or [1.0] * num_sources, strict=True)
    ]


def _dump(problem: str, dump: Path) -> dict[str, Any]:
    with open_dump(dump) as opened:
        if opened.problem_type != problem:
            raise PlainError(
                f"{dump}: is a dump of {opened.problem_type}, and --problem is {problem}: "
                f"--problem {opened.problem_type} trains on it"
            )
        if opened.allow_missing:
            raise PlainError(f"{dump}: has missing cells, which the model does not take")
        attributes = {name: str(value) for name, value in opened.attributes.items()}
    return {
        "dump": str(dump.absolute()),
        "attributes": attributes,
        "content_hash": attributes.get("content_hash") or content_hash(dump),
        **_file_facts(dump),
    }


def _prior(problem: str, name: str, changes: dict[str, Any]) -> dict[str, Any]:
    if name not in PRESETS and not Path(name).is_file():
        raise click.BadParameter(
            f"{name!r} is neither a preset nor a file; {nearest_or_all(name, PRESETS)}", param_hint="--prior"
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
    return {"prior": name, "config": json.loads(config.to_json())}
