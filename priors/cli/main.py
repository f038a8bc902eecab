"""The command `priors`: make dumps, look into them, check, rearrange, convert and fetch them."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import click
from tqdm import tqdm

from priors.audit.audit import Audit, audit_prior, describe_audit, markdown_table
from priors.audit.audit import audit as audit_dump
from priors.config import ConfigError, PriorConfig, load_config, with_overrides
from priors.console import PlainError, PlainGroup, Seed, parse_override, printable, refuse_existing
from priors.dumps.convert import ENDINGS, LAYOUTS
from priors.dumps.convert import convert as convert_dump
from priors.dumps.download import PUBLISHED, DownloadError
from priors.dumps.download import download as download_dump
from priors.dumps.files import check_target, replaced_when_done
from priors.dumps.merge import merge_dumps
from priors.dumps.origin import UnverifiableError
from priors.dumps.read import open_dump
from priors.dumps.schema import DumpError
from priors.dumps.shuffle import shuffle_dump
from priors.dumps.split import equal_sizes, part_names, split_dump
from priors.dumps.summary import describe
from priors.dumps.validate import Report
from priors.dumps.validate import validate as validate_dump
from priors.dumps.verify import verify as verify_dump
from priors.generation.engines import BACKENDS, EngineError, WorkerLostError
from priors.generation.generate import generate_dump
from priors.generation.shards import shards_folder
from priors.graph_files import read_graph
from priors.plots.dumps import PlotError, check_figure, plot_audit, plot_audits, plot_dump
from priors.plots.gallery import plot_datasets, plot_graphs, plot_mechanisms
from priors.presets import PRESETS, PURPOSES


@click.group(
    "priors",
    cls=PlainGroup,
    errors=(ConfigError, DumpError, EngineError, UnverifiableError, DownloadError, PlotError),
)
@click.version_option(package_name="nanotabpfn-priors", prog_name="priors")
def main() -> None:
    """Sample datasets from structural causal models and write them as HDF5 prior dumps.

    \b
    priors presets                                      # which priors there are
    priors generate mine.h5 --num-datasets 20000        # sample from one
    priors inspect mine.h5                              # look at what came out
    priors validate mine.h5                             # is it whole, does it keep the rules
    priors audit mine.h5                                # how much there is to learn from it
    nanotabpfn train --dump mine.h5 --out runs/mine     # train on it
    """


class Prior(NamedTuple):
    """What `prior_options` chose."""

    name: str
    config: PriorConfig


def prior_options(command: Callable) -> Callable:
    """Give a command the options that choose a prior; it gets them as one argument, `prior`."""

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
    @click.option(
        "--graph",
        "graph_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A graph of your own for all datasets: .graphml, .dot, or .txt with a line `cause effect` per "
        "edge.",
    )
    @click.option(
        "--target", metavar="NODE", help="What to predict in --graph.  [default: what has role=target]"
    )
    @click.option(
        "--features",
        metavar="NODE,...",
        help="What tables show of --graph; the rest is hidden.  [default: what has role=feature, or no role]",
    )
    @wraps(command)
    def with_prior(
        preset: str | None,
        config_file: Path | None,
        overrides: tuple[str, ...],
        graph_file: Path | None,
        target: str | None,
        features: str | None,
        **others: Any,
    ) -> None:
        if preset and config_file:
            raise click.UsageError("--preset and --config exclude each other")
        config = load_config(config_file) if config_file else PRESETS[preset or "default"]
        changes = dict(map(parse_override, overrides))
        if graph_file:
            names = [name.strip() for name in features.split(",")] if features is not None else None
            changes = {"graph": read_graph(graph_file, target, names), "num_features": (5, 5)} | changes
        elif target is not None or features is not None:
            raise click.UsageError("--target and --features need --graph")
        name = str(graph_file or config_file or preset or "default")
        command(prior=Prior(name, with_overrides(config, changes)), **others)

    return with_prior


@main.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@prior_options
@click.option("--num-datasets", type=click.IntRange(min=1), required=True, help="How many to sample.")
@click.option("--seed", type=Seed(), default=0, show_default=True, help="From 0 to 2**128 - 1.")
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
    OUT.shards: stopped by whatever means, the same command goes on where it was.

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


# ------------------------------------------------------------------------------------------ dumps of dumps

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW = click.Path(dir_okay=False, path_type=Path)


@main.command()
@click.argument("dumps", nargs=-1, required=True, type=EXISTING)
@click.option("--out", type=NEW, required=True, help="The new dump.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
def merge(dumps: tuple[Path, ...], out: Path, overwrite: bool) -> None:
    """Join two or more DUMPS, one after the other, padded to the largest shape.

    Blocks, the datasets that share a split, stay whole: only the last file may end in a part of one. The new
    dump names the files that it was made from, with their content hashes, configs and seeds.

    \b
    priors merge linear.h5 trees.h5 --out both.h5
    priors shuffle both.h5 --out mixed.h5 --seed 0      # else all of the one come before the other
    """
    if len(dumps) < 2:
        raise click.UsageError(f"needs at least two dumps, got {len(dumps)}")
    refuse_existing(out, overwrite)
    outline, left_out = merge_dumps(dumps, out)
    if left_out:
        click.echo(f"note: not in all of them, and left out: {printable(', '.join(left_out))}", err=True)
    click.echo(
        f"{out}: {outline.num_datasets:,} datasets of at most {outline.max_rows} rows x "
        f"{outline.max_features} features, in blocks of {outline.block_size}"
    )


@main.command()
@click.argument("dump", type=EXISTING)
@click.option("--parts", type=click.IntRange(min=1), help="How many, as equal as whole blocks allow.")
@click.option("--sizes", metavar="N,N,...", help="Datasets of each part; together all of DUMP.")
@click.option(
    "--out-dir",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the parts, made if it is not there.",
)
@click.option("--overwrite", is_flag=True, help="Replace parts that exist.")
def split(dump: Path, parts: int | None, sizes: str | None, out_dir: Path, overwrite: bool) -> None:
    """Cut a DUMP into consecutive parts, NAME-1-of-3.h5 and so on.

    Blocks, the datasets that share a split, stay whole. Parts keep config and seed, so that `priors verify`
    still makes their records again.

    \b
    priors split mine.h5 --parts 4 --out-dir parts
    priors split mine.h5 --sizes 16000,4000 --out-dir parts     # to train on, and to look at
    """
    if (parts is None) == (sizes is None):
        raise click.UsageError("needs either --parts or --sizes")
    try:
        given = [int(size) for size in sizes.split(",")] if sizes else []
    except ValueError as error:
        raise click.UsageError(f"--sizes must be integers with commas between them, got {sizes!r}") from error
    with open_dump(dump) as opened:
        given = given or equal_sizes(opened, parts or 1)
    if not out_dir.exists():
        out_dir.mkdir(parents=True)
    for name in part_names(dump, len(given)):
        refuse_existing(out_dir / name, overwrite)
    for part, size in zip(split_dump(dump, out_dir, given), given, strict=True):
        click.echo(f"{part}: {size:,} datasets")


@main.command()
@click.argument("dump", type=EXISTING)
@click.option("--out", type=NEW, required=True, help="The new dump.")
@click.option("--seed", type=Seed(), required=True, help="From 0 to 2**128 - 1.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
def shuffle(dump: Path, out: Path, seed: int, overwrite: bool) -> None:
    """Write the blocks of a DUMP in an order drawn from the seed.

    Datasets that share a split stay together and in their order, so that they still stack into a batch: whole
    blocks move. A last block that is shorter stays last.

    \b
    priors shuffle both.h5 --out mixed.h5 --seed 0
    """
    refuse_existing(out, overwrite)
    num_blocks = shuffle_dump(dump, out, seed)
    click.echo(f"{out}: {num_blocks:,} blocks in a new order")


@main.command()
@click.argument("source", type=EXISTING)
@click.argument("out", type=NEW)
@click.option(
    "--layout",
    type=click.Choice(list(LAYOUTS)),
    help="Of an OUT in HDF5: ours; published, its six keys alone; or renamed, the same with the split under "
    "train_test_split_index.  [default: ours]",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
def convert(source: Path, out: Path, layout: str | None, overwrite: bool) -> None:
    """Write the datasets of SOURCE to OUT as the endings of their names say: .h5, .npz or .parquet.

    Nothing is rounded or left out of the tables. Parquet has one row per datapoint, for those without HDF5:
    dataset, row, is_train, y, x0, x1 ... or the features' own names (null where a dataset has fewer
    features). It and the published layout do not hold the properties and the twins.

    \b
    priors convert 300k_150x5_2.h5 ours.h5                        # from the published layout to ours
    priors convert mine.h5 for-others.h5 --layout published       # and back
    priors convert mine.h5 mine.npz
    priors convert mine.h5 mine.parquet                           # pandas.read_parquet, polars, DuckDB, R
    """
    for path in (source, out):
        if path.suffix not in ENDINGS:
            raise click.UsageError(f"{path} must end in one of {', '.join(ENDINGS)}")
    if layout and out.suffix not in (".h5", ".hdf5"):
        raise click.UsageError(f"--layout is for HDF5, and {out} will not be")
    refuse_existing(out, overwrite)
    outline = convert_dump(source, out, layout or "ours")
    click.echo(f"{out}: {outline.num_datasets:,} datasets, {out.stat().st_size / 1e6:.1f} MB")


# ------------------------------------------------------------------------------------------------- checks


@main.command()
@click.argument("dump", type=EXISTING)
def validate(dump: Path) -> None:
    """Check a DUMP: schema, sizes, labels, cells, padding, checksums, provenance.

    Reads all of it. One line per finding, with the numbers of the records, and exit code 1; or one line "ok"
    and 0. What could not be checked is told as a note, on stderr.

    \b
    priors validate mine.h5
    priors validate 300k_150x5_2.h5         # finds its five damaged records
    """
    report = validate_dump(dump)
    _tell(dump, report, f"ok, {report.num_datasets:,} datasets")


@main.command()
@click.argument("dump", type=EXISTING)
@click.option(
    "--sample",
    "num_records",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="How many records to make again, spread evenly.",
)
@click.option("--trust", is_flag=True, help="Import and run families outside this package that it names.")
def verify(dump: Path, num_records: int, trust: bool) -> None:
    """Make records of a DUMP again from its own config and seed, and compare them to the bit.

    Its content hash is computed anew as well, so that damage anywhere is seen. Exit code 1 if something
    differs; 2 if the file does not say how it was made.

    \b
    priors verify mine.h5
    priors verify mine.h5 --sample 5000
    """
    report = verify_dump(dump, num_records, trust)
    _tell(dump, report, f"ok, {report.num_datasets:,} records made again, equal to the bit")


def _tell(dump: Path, report: Report, all_right: str) -> None:
    for note in report.notes:
        click.echo(_one_line(f"{dump}: note: {note}"), err=True)
    for finding in report.findings or [all_right]:
        click.echo(_one_line(f"{dump}: {finding}"))
    if report.findings:
        raise click.exceptions.Exit(1)


def _one_line(text: str) -> str:
    return printable(text.replace("\n", " "))


ALL_PRESETS = "all"


@main.command()
@click.argument("dumps", nargs=-1, metavar="[DUMP]...", type=EXISTING)
@click.option(
    "--preset",
    "presets",
    type=click.Choice([*PRESETS, ALL_PRESETS]),
    multiple=True,
    help="A named prior, or all of them: audits datasets drawn from it, without a file.  May be repeated.",
)
@click.option(
    "--config", "config_files", type=EXISTING, multiple=True, help="A prior from a JSON file, alike."
)
@click.option(
    "--set",
    "overrides",
    metavar="FIELD=JSON",
    multiple=True,
    help="Change one field of these priors; may be repeated.",
)
@click.option(
    "--num-datasets",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    help="How many to train the models on, of each dump or prior: drawn evenly from a dump.",
)
@click.option(
    "--seed",
    type=Seed(),
    default=0,
    show_default=True,
    help="Of the sample, of the forests, and of a prior's datasets.",
)
@click.option(
    "--split",
    "rows",
    type=click.Choice(["half", "own"]),
    default="half",
    show_default=True,
    help="Train on the first half of a dataset's rows, so that priors compare whatever their splits; or on "
    "its own training rows, as a model does.",
)
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes.")
@click.option("--markdown", is_flag=True, help="Print a table, one line for each, and no report.")
@click.option("--json", "json_file", type=NEW, help="Write all figures to this file, a list of objects.")
@click.option("--figure", type=NEW, help="Draw them, to a .png, .svg or .pdf.")
@click.option("--overwrite", is_flag=True, help="Replace the files if they exist.")
def audit(
    dumps: tuple[Path, ...],
    presets: tuple[str, ...],
    config_files: tuple[Path, ...],
    overrides: tuple[str, ...],
    num_datasets: int,
    seed: int,
    rows: str,
    workers: int,
    markdown: bool,
    json_file: Path | None,
    figure: Path | None,
    overwrite: bool,
) -> None:
    """Report how much there is to learn from a DUMP, and what its tables are like.

    A random forest and a linear model are trained on a part of each dataset's rows and scored on the rest:
    where the forest does no better than chance, a dataset teaches next to nothing. All of the file is read
    for damaged records and for datasets that occur twice.

    \b
    priors audit mine.h5
    priors audit 300k_150x5_2.h5 --num-datasets 2000 --workers 2 --json audit.json --figure audit.png
    priors audit --preset default --preset mixed            # datasets freshly drawn, no file
    priors audit --preset all --num-datasets 2000 --markdown
    """
    names = list(PRESETS) if ALL_PRESETS in presets else list(dict.fromkeys(presets))
    changes = dict(map(parse_override, overrides))
    configs = {name: PRESETS[name] for name in names}
    configs |= {str(file): load_config(file) for file in config_files}
    if not dumps and not configs:
        raise click.UsageError("needs a DUMP, a --preset or a --config")
    if overrides and not configs:
        raise click.UsageError("--set changes a --preset or a --config, and a DUMP is what it is")
    configs = {name: with_overrides(config, changes) for name, config in configs.items()}
    for out in filter(None, (json_file, figure)):
        refuse_existing(out, overwrite)
        check_target(out)
    sizes, problem_types = {}, {config.problem_type for config in configs.values()}
    for dump in dumps:
        with open_dump(dump, check_sizes=False) as opened:
            sizes[dump] = len(opened)
            problem_types.add(opened.problem_type)
    if figure:
        check_figure(figure)
        if len(problem_types) > 1:
            raise click.UsageError("--figure draws either classification or regression, got both")

    found: list[Audit] = []
    for dump, size in sizes.items():
        with _progress(dump, size, num_datasets) as (reading, measuring):
            found.append(
                audit_dump(dump, num_datasets, seed, rows, workers, reading.update, measuring.update)
            )
    for name, config in configs.items():
        with tqdm(total=num_datasets, desc=f"measure {name}", unit="dataset", disable=None) as measuring:
            found.append(audit_prior(config, name, num_datasets, seed, rows, workers, measuring.update))

    text = markdown_table(found) if markdown else "\n\n".join(map(describe_audit, found))
    click.echo(printable(text))
    if json_file:
        with replaced_when_done(json_file) as partial:
            text = json.dumps([one.to_dict() for one in found], allow_nan=False)
            partial.write_text(text + "\n", encoding="utf-8")
    if figure:
        if len(found) == 1:
            plot_audit(found[0], figure)
        else:
            plot_audits(found, figure)


# ------------------------------------------------------------------------------------------------- plots


@main.group()
def plot() -> None:
    """Draw what a prior samples, or what a dump holds.

    \b
    priors plot graphs --out graphs.png --preset mixed --by-family
    priors plot datasets --out datasets.png --set 'num_classes=[3, 3]'
    priors plot mechanisms --out mechanisms.svg
    priors plot dump mine.h5 --out mine.png
    """


def figure_options(num: int, what: str) -> Callable:
    """Give a command --out, --overwrite, --seed and --num; it finds the figure's place checked."""

    def with_options(command: Callable) -> Callable:
        @click.option(
            "--out", type=NEW, required=True, help="The figure; its ending says which kind: .png, .svg, .pdf."
        )
        @click.option("--num", type=click.IntRange(min=1), default=num, show_default=True, help=what)
        @click.option("--seed", type=Seed(), default=0, show_default=True, help="From 0 to 2**128 - 1.")
        @click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
        @wraps(command)
        def with_figure(out: Path, overwrite: bool, **others: Any) -> None:
            check_figure(out)
            refuse_existing(out, overwrite)
            check_target(out)
            command(out=out, **others)

        return with_figure

    return with_options


@plot.command("graphs")
@prior_options
@figure_options(12, "How many graphs; with --by-family, how many of each family.")
@click.option("--by-family", is_flag=True, help="One row for each graph family of the prior.")
def plot_graphs_command(prior: Prior, out: Path, num: int, seed: int, by_family: bool) -> None:
    """Draw causal graphs of a prior, with what is observed of them and the target.

    They are those behind the first dataset of each block that `priors generate` writes. A graph of your own
    (--graph) is drawn with the names of its nodes.

    \b
    priors plot graphs --out graphs.png
    priors plot graphs --out families.png --preset mixed --by-family --num 4
    priors plot graphs --out credit.png --graph credit.graphml --target default
    """
    plot_graphs(prior.config, prior.name, out, num, seed, by_family)


@plot.command("datasets")
@prior_options
@figure_options(4, "How many datasets.")
def plot_datasets_command(prior: Prior, out: Path, num: int, seed: int) -> None:
    """Draw datasets of a prior: features against each other, coloured by class or target.

    They are the first dataset of each block that `priors generate` writes.

    \b
    priors plot datasets --out datasets.png
    priors plot datasets --out trees.png --preset tree-scm --num 2 --seed 1
    """
    plot_datasets(prior.config, prior.name, out, num, seed)


@plot.command("mechanisms")
@prior_options
@figure_options(4, "How many draws of each family.")
def plot_mechanisms_command(prior: Prior, out: Path, num: int, seed: int) -> None:
    """Draw the mechanism families of a prior, as functions of one cause and of two.

    \b
    priors plot mechanisms --out mechanisms.png --preset mixed
    priors plot mechanisms --out deep.png --set 'mechanisms={"mlp": 1}'
    """
    plot_mechanisms(prior.config, prior.name, out, num, seed)


@plot.command("dump")
@click.argument("dump", type=EXISTING)
@figure_options(200, "How many datasets to measure: correlation, class balance, what a forest learns.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes.")
def plot_dump_command(dump: Path, out: Path, num: int, seed: int, workers: int) -> None:
    """Draw how the datasets of a DUMP differ: splits, sizes, classes, correlation, what there is to learn.

    \b
    priors plot dump mine.h5 --out mine.png
    priors plot dump 300k_150x5_2.h5 --out published.png --num 1000 --workers 2
    """
    with open_dump(dump, check_sizes=False) as opened:
        size = len(opened)
    with _progress(dump, size, num) as (reading, measuring):
        plot_dump(dump, out, num, seed, workers, reading.update, measuring.update)


@contextmanager
def _progress(dump: Path, size: int, num_datasets: int) -> Iterator[tuple[tqdm, tqdm]]:
    """Bars for the pass over a dump of `size` records and for what is measured of a sample."""
    with (
        tqdm(total=size, desc=f"read {dump}", unit="record", disable=None) as reading,
        tqdm(total=min(size, num_datasets), desc="measure", unit="dataset", disable=None) as measuring,
    ):
        yield reading, measuring


@main.command()
@click.argument("name", type=click.Choice(list(PUBLISHED)))
@click.option("--out", type=NEW, help="Where to.  [default: NAME.h5]")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
def download(name: str, out: Path | None, overwrite: bool) -> None:
    """Fetch a published dump.

    300k_150x5_2: 300,000 datasets of 150 rows, 5 features and 2 classes, 1.04 GB, by the authors of
    nanoTabPFN. Until it is whole it is called OUT.part; broken off, the same command goes on from there.
    Beside it OUT.sha256 records its checksum.

    \b
    priors download 300k_150x5_2
    priors validate 300k_150x5_2.h5
    nanotabpfn train --dump 300k_150x5_2.h5 --out runs/theirs
    """
    out = out or Path(f"{name}.h5")
    refuse_existing(out, overwrite)
    with tqdm(desc=f"download {out}", unit="B", unit_scale=True, disable=None) as progress:

        def show(have: int, total: int | None) -> None:
            progress.total = total
            progress.update(have - progress.n)

        checksum = download_dump(PUBLISHED[name], out, show)
    click.echo(f"{out}: {out.stat().st_size:,} bytes, sha256 {checksum}")


@contextmanager
def _stopped_plainly() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a killed worker end the command in one line and with exit code 1."""
    # As Ctrl-C does: Python by itself would end at once, and leave the workers to themselves.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        raise click.ClickException("stopped; the same command goes on where it was") from None
    except WorkerLostError as error:
        raise click.ClickException(f"{error}; the same command goes on where it was") from error
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    main()
