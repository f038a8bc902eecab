"""`priors generate`, `inspect`, `presets`: sample datasets, show a dump, show the named priors."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from priors.cli.options import EXISTING, NEW, Prior, describe_changes, prior_options, seed_option
from priors.console import PlainError, interruptible, printable
from priors.dumps.read import open_dump
from priors.dumps.summary import describe
from priors.field_reference import explain_field, list_fields
from priors.generation.engines import BACKENDS, WorkerLostError
from priors.generation.generate import generate_dump
from priors.generation.shards import shards_folder
from priors.presets import PRESETS, PURPOSES
from priors.settings import differences

ALL_FIELDS = "ALL"
"""The value of `--explain` without a field."""


@click.command()
@click.argument("out", type=NEW)
@prior_options
@click.option("--num-datasets", type=click.IntRange(min=1), required=True, help="How many to sample.")
@seed_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes on this machine; the dump is the same for any number.",
)
@click.option(
    "--backend",
    type=click.Choice(list(BACKENDS)),
    default="loky",
    show_default=True,
    help="What runs the workers: processes of this machine, a dask or a ray cluster.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="A running cluster, all of which is used, such as tcp://host:8786 for dask.  [default: one with "
    "--workers processes on this machine]",
)
@click.option(
    "--shard-size",
    type=click.IntRange(min=1),
    help="Datasets that a worker makes at a time, and that are lost when it is killed; whole blocks.  "
    "[default: 1/256 of the dump, 1,024 to 65,536]",
)
@click.option("--shards", "keep_shards", is_flag=True, help="Leave the data in shards: OUT is their index.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace OUT if it exists, and discard what another run has left.",
)
def generate(
    out: Path,
    prior: Prior,
    num_datasets: int,
    seed: int,
    workers: int,
    backend: str,
    scheduler: str | None,
    shard_size: int | None,
    keep_shards: bool,
    overwrite: bool,
) -> None:
    """Sample datasets and write them to OUT, an HDF5 prior dump.

    Dataset i depends on the prior, the seed and i alone: the first datasets of a longer dump are those of a
    shorter one. The file appears under its name when it is complete. Until then the work is in the folder
    OUT.shards: however it was stopped, the same command resumes there.

    \b
    priors generate mine.h5 --num-datasets 20000 --workers 2
    priors generate wide.h5 --num-datasets 5000 --set 'num_features=[2, 20]' --set 'num_classes=[2, 10]'
    priors generate trees.h5 --num-datasets 20000 --preset tree-scm --seed 1
    priors generate credit.h5 --num-datasets 20000 --graph credit.graphml --target default
    priors generate /shared/big.h5 --num-datasets 10000000 --backend dask --scheduler tcp://head:8786 --shards
    """
    if scheduler and backend == "loky":
        raise click.UsageError("--scheduler needs --backend dask or ray")
    started = time.perf_counter()
    with (
        _stopped_plainly(),
        tqdm(total=num_datasets, desc=f"generate {out}", unit="dataset", disable=None) as progress,
    ):
        content_hash = generate_dump(
            out,
            prior.config,
            num_datasets,
            seed,
            workers,
            backend=backend,
            scheduler=scheduler,
            shard_size=shard_size,
            keep_shards=keep_shards,
            overwrite=overwrite,
            on_shard=progress.update,
        )
    seconds = time.perf_counter() - started
    files = [out, *shards_folder(out).glob("shard-*.h5")] if keep_shards else [out]
    size = sum(file.stat().st_size for file in files)
    click.echo(
        f"{out}: {num_datasets:,} datasets, {size / 1e6:.1f} MB, in {seconds:.1f} s; "
        f"content hash {content_hash[:16]}"
    )
    click.echo(prior.describe())


@click.command("inspect")
@click.argument("dump", type=EXISTING)
def inspect_dump(dump: Path) -> None:
    """Show what a dump holds: layout, provenance, classes, splits, features, damaged records.

    Of a dump made by this package, the last lines compare its prior with the preset that is most like it.

    \b
    priors inspect mine.h5
    """
    with open_dump(dump) as opened:
        click.echo(describe(opened))
        click.echo(
            "".join(f"\n{line}" for line in _nearest_preset(opened.attributes.get("config"))), nl=False
        )


def _nearest_preset(config_json: Any) -> list[str]:
    """The preset that differs least from a dump's config, and every difference; nothing without a config.

    The config is compared as plain values: a dump from elsewhere may name anything in it.
    """
    try:
        config = json.loads(config_json)
    except (TypeError, ValueError, RecursionError):
        return []
    if not isinstance(config, dict):
        return []
    found = {name: differences(config, asdict(preset)) for name, preset in PRESETS.items()}
    name = min(found, key=lambda name: len(found[name]))
    lines = [f"Prior: the preset {name}{' with' if found[name] else ''}", *describe_changes(found[name])]
    return [printable(line) for line in lines] + [""]


@click.command()
@click.argument("name", required=False)
@click.option(
    "--explain",
    "field",
    metavar="[FIELD]",
    is_flag=False,
    flag_value=ALL_FIELDS,
    help="Explain a field of a prior's config: meaning, values, default, families.  [no FIELD: list all]",
)
def presets(name: str | None, field: str | None) -> None:
    """List the named priors, or print the whole config of one as JSON, which --config reads.

    \b
    priors presets
    priors presets --explain                    # the fields of a config, a line for each
    priors presets --explain mechanisms
    priors presets default > mine.json          # edit it, then
    priors generate mine.h5 --config mine.json --num-datasets 20000
    """
    if field is not None:
        if name is not None:
            raise click.UsageError("NAME and --explain exclude each other")
        click.echo(list_fields() if field == ALL_FIELDS else explain_field(field.partition(".")[0]))
    elif name is None:
        width = max(map(len, PRESETS))
        for preset in PRESETS:
            click.echo(f"{preset:<{width}}  {PURPOSES[preset]}")
    elif name in PRESETS:
        click.echo(PRESETS[name].to_json(indent=2))
    else:
        raise PlainError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")


@contextmanager
def _stopped_plainly() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a killed worker end the command in one line and with exit code 1."""
    try:
        with interruptible():
            yield
    except KeyboardInterrupt:
        raise click.ClickException("stopped; the same command resumes it") from None
    except WorkerLostError as error:
        raise click.ClickException(f"{error}; the same command resumes it") from error
