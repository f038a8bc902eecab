"""`priors generate`, `inspect`, `presets`: sample datasets, show a dump, show the named priors."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from priors.cli.options import (
    EXISTING,
    NEW,
    Prior,
    complete_presets,
    describe_changes,
    new_values,
    prior_options,
    seed_option,
)
from priors.console import (
    Choice,
    PlainError,
    echo_json,
    interruptible,
    json_option,
    printable,
    quiet_option,
    report,
)
from priors.field_reference import describe_field, explain_field, field_names, list_fields
from priors.generation.engines import BACKENDS, WorkerLostError
from priors.presets import PRESETS, PURPOSES
from priors.registry import nearest_or_all
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
    type=Choice(list(BACKENDS)),
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
@quiet_option
@json_option
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
    as_json: bool,
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

    from priors.generation.generate import generate_dump
    from priors.generation.shards import shards_folder

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
    files = [out, *shards_folder(out).glob("shard-*.h5")] if keep_shards else [out]
    document = {
        "out": out,
        "num_datasets": num_datasets,
        "seed": str(seed),  # which may exceed 64 bits
        "content_hash": content_hash,
        "bytes": sum(file.stat().st_size for file in files),
        "seconds": time.perf_counter() - started,
        "prior": {"source": prior.source, "changes": new_values(prior.changes)},
    }
    report(as_json, _in_words(document, prior), document)


def _in_words(document: dict[str, Any], prior: Prior) -> str:
    """What `generate` has written, as text."""
    return (
        f"{document['out']}: {document['num_datasets']:,} datasets, {document['bytes'] / 1e6:.1f} MB, in "
        f"{document['seconds']:.1f} s; content hash {document['content_hash'][:16]}\n{prior.describe()}"
    )


@click.command("inspect")
@click.argument("dump", type=EXISTING)
@json_option
def inspect_dump(dump: Path, as_json: bool) -> None:
    """Show what a dump holds: layout, provenance, classes, splits, features, damaged records.

    Of a dump made by this package, the last lines compare its prior with the preset that is most like it.

    \b
    priors inspect mine.h5
    """
    from priors.dumps.read import open_dump
    from priors.dumps.recorded_prior import settings_in
    from priors.dumps.summary import describe, summary

    with open_dump(dump) as opened:
        nearest = _nearest_preset(settings_in(opened))
        if as_json:
            document = summary(opened)
            if nearest:
                name, found = nearest
                document["nearest_preset"] = {"preset": name, "changes": new_values(found)}
            echo_json(document)
            return
        lines = [describe(opened)]
        if nearest:
            name, found = nearest
            lines += ["", f"Prior: the preset {name}{' with' if found else ''}"]
            lines += map(printable, describe_changes(found))
        click.echo("\n".join(lines))


def _nearest_preset(config: dict[str, Any] | None) -> tuple[str, dict[str, tuple[Any, Any]]] | None:
    """The preset that differs least from a dump's config, and every difference; None without a config.

    The config is compared as plain values: a dump from elsewhere may name anything in it.
    """
    if config is None:
        return None
    found = {name: differences(config, preset.plain()) for name, preset in PRESETS.items()}
    name = min(found, key=lambda name: len(found[name]))
    return name, found[name]


@click.command()
@click.argument("name", required=False, shell_complete=complete_presets)
@click.option(
    "--explain",
    "field",
    metavar="[FIELD]",
    is_flag=False,
    flag_value=ALL_FIELDS,
    help="Explain a field of a prior's config: meaning, values, default, families.  [no FIELD: list all]",
)
@json_option
def presets(name: str | None, field: str | None, as_json: bool) -> None:
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
        field = field.partition(".")[0]
        text = list_fields() if field == ALL_FIELDS else explain_field(field)
        names = field_names() if field == ALL_FIELDS else [field]
        report(as_json, text, {name: describe_field(name)._asdict() for name in names} if as_json else None)
    elif name is None:
        width = max(map(len, PRESETS))
        report(as_json, "\n".join(f"{preset:<{width}}  {PURPOSES[preset]}" for preset in PRESETS), PURPOSES)
    elif name in PRESETS:
        click.echo(PRESETS[name].to_json(indent=2))
    else:
        raise PlainError(f"unknown preset {name!r}; {nearest_or_all(name, PRESETS)}")


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
