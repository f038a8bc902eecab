"""`priors merge`, `split`, `shuffle`, `convert`: dumps made from dumps; `priors card`: their description."""

from pathlib import Path
from typing import Any

import click

from priors.cli.options import EXISTING, NEW, overwrite_option
from priors.console import Choice, Seed, json_option, line_of_text, printable, refuse_existing, report
from priors.dumps.card import CARD, CROISSANT, write_card
from priors.dumps.formats.convert import ENDINGS
from priors.dumps.formats.convert import convert as convert_dump
from priors.dumps.licenses import LICENSES
from priors.dumps.merge import merge_dumps
from priors.dumps.outline import Outline
from priors.dumps.read import open_dump
from priors.dumps.rewrite import LAYOUTS
from priors.dumps.schema import DumpError
from priors.dumps.shuffle import shuffle_dump
from priors.dumps.split import equal_sizes, part_names, split_dump


@click.command()
@click.argument("dumps", nargs=-1, required=True, type=EXISTING)
@click.option("--out", type=NEW, required=True, help="The new dump.")
@overwrite_option
@json_option
def merge(dumps: tuple[Path, ...], out: Path, overwrite: bool, as_json: bool) -> None:
    """Join two or more DUMPS, one after the other, padded to the largest shape.

    Blocks, the datasets that share a split, stay whole: only the last file may end in a part of one. The new
    dump names the files that it was made from, with their content hashes, configs and seeds.

    \b
    priors merge linear.h5 trees.h5 --out both.h5
    priors shuffle both.h5 --out mixed.h5 --seed 0      # otherwise one follows the other
    """
    if len(dumps) < 2:
        raise click.UsageError(f"needs at least two dumps, got {len(dumps)}")
    refuse_existing(out, overwrite)
    outline, left_out = merge_dumps(dumps, out)
    if left_out:
        click.echo(f"note: not in all of them, and left out: {printable(', '.join(left_out))}", err=True)
    text = (
        f"{out}: {outline.num_datasets:,} datasets of at most {outline.max_rows} rows x "
        f"{outline.max_features} features, in blocks of {outline.block_size}"
    )
    report(as_json, text, _written(out, outline) | {"left_out": left_out})


@click.command()
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
@json_option
def split(
    dump: Path, parts: int | None, sizes: str | None, out_dir: Path, overwrite: bool, as_json: bool
) -> None:
    """Cut a DUMP into consecutive parts, NAME-1-of-3.h5 and so on.

    Blocks, the datasets that share a split, stay whole. Parts keep config and seed, so that `priors verify`
    still makes their records again.

    \b
    priors split mine.h5 --parts 4 --out-dir parts
    priors split mine.h5 --sizes 16000,4000 --out-dir parts     # for training, and for inspection
    """
    if (parts is None) == (sizes is None):
        raise click.UsageError("needs either --parts or --sizes")
    try:
        given = [int(size) for size in sizes.split(",")] if sizes is not None else []
    except ValueError as error:
        raise click.UsageError(f"--sizes must be integers with commas between them, got {sizes!r}") from error
    with open_dump(dump) as opened:
        given = given or equal_sizes(opened, parts or 1)
    is_new = not out_dir.exists()
    out_dir.mkdir(parents=True, exist_ok=True)
    for name in part_names(dump, len(given)):
        refuse_existing(out_dir / name, overwrite)
    try:
        made = list(zip(split_dump(dump, out_dir, given), given, strict=True))
    except DumpError:
        if is_new and not any(out_dir.iterdir()):
            out_dir.rmdir()
        raise
    text = "\n".join(f"{part}: {size:,} datasets" for part, size in made)
    report(as_json, text, [{"out": part, "num_datasets": size} for part, size in made])


@click.command()
@click.argument("dump", type=EXISTING)
@click.option("--out", type=NEW, required=True, help="The new dump.")
@click.option("--seed", type=Seed(), required=True, help="Seed of the order, from 0 to 2**128 - 1.")
@overwrite_option
@json_option
def shuffle(dump: Path, out: Path, seed: int, overwrite: bool, as_json: bool) -> None:
    """Write the blocks of a DUMP in an order drawn from the seed.

    Datasets that share a split stay together and in their order, so that they still stack into a batch: whole
    blocks move. A last block that is shorter stays last.

    \b
    priors shuffle both.h5 --out mixed.h5 --seed 0
    """
    refuse_existing(out, overwrite)
    num_blocks = shuffle_dump(dump, out, seed)
    document = {"out": out, "num_blocks": num_blocks, "seed": str(seed)}
    report(as_json, f"{out}: {num_blocks:,} blocks in a new order", document)


@click.command()
@click.argument("files", type=EXISTING, nargs=-1, required=True)
@click.option("--title", required=True, callback=line_of_text, help="Name of the collection.")
@click.option(
    "--license",
    "license_name",
    type=Choice(list(LICENSES)),
    default="cc0-1.0",
    show_default=True,
    help="License under which you publish the files.",
)
@overwrite_option
@json_option
def card(files: tuple[Path, ...], title: str, license_name: str, overwrite: bool, as_json: bool) -> None:
    """Write README.md and croissant.json for dumps that are to be published, into their folder.

    The first is a dataset card with the header that the Hugging Face Hub reads, the second a description in
    Croissant 1.1. They say what the files hold, and from which config and seed it was sampled. FILES are in
    HDF5, npz or Parquet; in Parquet, `datasets.load_dataset` loads and streams them.

    \b
    priors convert mine.h5 hub/mine.parquet
    priors card hub/mine.parquet --title "Tables of my prior"
    """
    _check_endings(files)
    for name in (CARD, CROISSANT):
        refuse_existing(files[0].parent / name, overwrite)
    written = write_card(files, title, license_name)
    report(as_json, "\n".join(map(str, written)), dict(zip(("card", "croissant"), written, strict=True)))


@click.command()
@click.argument("source", type=EXISTING)
@click.argument("out", type=NEW)
@click.option(
    "--layout",
    type=Choice(LAYOUTS),
    help="Layout of an HDF5 file OUT: ours; published, its six keys alone; or tfm-playground, the keys that "
    "TFM-Playground writes, with the split under train_test_split_index.  [default: ours]",
)
@overwrite_option
@json_option
def convert(source: Path, out: Path, layout: str | None, overwrite: bool, as_json: bool) -> None:
    """Write the datasets of SOURCE to OUT in the format of its ending: .h5, .npz or .parquet.

    Nothing is rounded or left out of the tables. Parquet has one row per datapoint, for those without HDF5:
    dataset, row, is_train, y, x0, x1 ... or the features' own names (null where a dataset has fewer
    features). It and the other layouts do not hold the properties and the twins.

    The loaders of nanoTabPFN and of TFM-Playground train on our dumps as they are; other programs may want
    exactly their layouts. For TabICL: `nanotabpfn convert`.

    \b
    priors convert 300k_150x5_2.h5 ours.h5                        # from the published layout to ours
    priors convert mine.h5 for-others.h5 --layout published       # and back
    priors convert mine.h5 mine.npz
    priors convert mine.h5 mine.parquet                           # pandas.read_parquet, polars, DuckDB, R
    """
    _check_endings((source, out))
    if layout and out.suffix not in (".h5", ".hdf5"):
        raise click.UsageError(f"--layout is for HDF5, and {out} will not be")
    refuse_existing(out, overwrite)
    outline = convert_dump(source, out, layout or "ours")
    written = _written(out, outline)
    report(as_json, f"{out}: {outline.num_datasets:,} datasets, {written['bytes'] / 1e6:.1f} MB", written)


def _check_endings(paths: tuple[Path, ...]) -> None:
    for path in paths:
        if path.suffix not in ENDINGS:
            raise click.UsageError(f"{path} must end in one of {', '.join(ENDINGS)}")


def _written(out: Path, outline: Outline) -> dict[str, Any]:
    """A new file, for --json."""
    sizes = ("num_datasets", "max_rows", "max_features", "max_num_classes", "block_size")
    return {"out": out, "bytes": out.stat().st_size} | {name: getattr(outline, name) for name in sizes}
