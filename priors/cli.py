"""The command `priors`: generate a dump, look into one, list the presets."""

import json
import time
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from priors.config import ConfigError, load_config, with_overrides
from priors.console import PlainError, PlainGroup, refuse_existing
from priors.dump import DumpError, open_dump, write_dump
from priors.generate import generate_blocks
from priors.inspect import describe
from priors.presets import PRESETS, PURPOSES


@click.group("priors", cls=PlainGroup, errors=(ConfigError, DumpError))
@click.version_option(package_name="nanotabpfn-priors", prog_name="priors")
def main() -> None:
    """Sample datasets from structural causal models and write them as HDF5 prior dumps.

    \b
    priors presets                                      # which priors there are
    priors generate mine.h5 --num-datasets 20000        # sample from one
    priors inspect mine.h5                              # look at what came out
    nanotabpfn train --dump mine.h5 --out runs/mine     # train on it
    """


@main.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--preset", type=click.Choice(list(PRESETS)), help="Named prior.  [default: default]")
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Prior from a JSON file, such as `priors presets NAME` prints.",
)
@click.option(
    "--set",
    "overrides",
    metavar="FIELD=JSON",
    multiple=True,
    help="Change one field of the prior; may be repeated.  [e.g. --set 'num_features=[2, 10]']",
)
@click.option("--num-datasets", type=click.IntRange(min=1), required=True, help="How many to sample.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Any int from 0.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes; the dump is the same for any number.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
def generate(
    out: Path,
    preset: str | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
    num_datasets: int,
    seed: int,
    workers: int,
    overwrite: bool,
) -> None:
    """Sample datasets and write them to OUT, an HDF5 prior dump.

    Dataset i depends on the prior, the seed and i alone: the first datasets of a longer dump are those of a
    shorter one. The file appears under its name when it is complete.

    \b
    priors generate mine.h5 --num-datasets 20000 --workers 2
    priors generate wide.h5 --num-datasets 5000 --set 'num_features=[2, 20]' --set 'num_classes=[2, 10]'
    priors generate trees.h5 --num-datasets 20000 --preset tree-scm --seed 1
    """
    if preset and config_file:
        raise click.UsageError("--preset and --config exclude each other")
    config = load_config(config_file) if config_file else PRESETS[preset or "default"]
    config = with_overrides(config, dict(_parse_override(text) for text in overrides))
    refuse_existing(out, overwrite)
    started = time.perf_counter()
    with tqdm(total=num_datasets, desc=f"generate {out}", unit="dataset", disable=None) as progress:

        def counted():
            for block in generate_blocks(config, num_datasets, seed, workers):
                yield block
                progress.update(len(block))

        content_hash = write_dump(
            out,
            counted(),
            num_datasets=num_datasets,
            max_rows=config.num_datapoints,
            max_features=config.num_features[1],
            max_num_classes=config.num_classes[1] if config.problem_type == "classification" else None,
            block_size=config.block_size,
            config_json=config.to_json(),
            seed=seed,
            allow_missing=config.missing_fraction[1] > 0,
        )
    seconds = time.perf_counter() - started
    click.echo(
        f"{out}: {num_datasets:,} datasets, {out.stat().st_size / 1e6:.1f} MB, in {seconds:.1f} s; "
        f"content hash {content_hash[:16]}"
    )


@main.command("inspect")
@click.argument("dump", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def inspect_dump(dump: Path) -> None:
    """Show what a dump holds: layout, provenance, classes, splits, features, damaged records."""
    with open_dump(dump) as opened:
        click.echo(describe(opened))


@main.command()
@click.argument("name", required=False)
def presets(name: str | None) -> None:
    """List the named priors, or print the whole config of one as JSON, which --config takes back.

    \b
    priors presets
    priors presets default > mine.json          # edit it, then
    priors generate mine.h5 --config mine.json --num-datasets 20000
    """
    if name is None:
        width = max(map(len, PRESETS))
        for preset in PRESETS:
            click.echo(f"{preset:<{width}}  {PURPOSES[preset]}")
    elif name in PRESETS:
        click.echo(PRESETS[name].to_json(indent=2))
    else:
        raise PlainError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")


def _parse_override(text: str) -> tuple[str, Any]:
    field, equals, value = text.partition("=")
    if not equals:
        raise PlainError(f"--set needs FIELD=JSON, got {text!r}")
    try:
        return field.strip(), json.loads(value)
    except json.JSONDecodeError as error:
        raise PlainError(f"--set {field.strip()}: {value!r} is not JSON: {error}") from error


if __name__ == "__main__":
    main()
