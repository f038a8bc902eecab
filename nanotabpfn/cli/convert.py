"""`nanotabpfn convert`: a dump as the files that TabICL trains on."""

from pathlib import Path

import click

from priors.console import json_option, report


@click.command("convert")
@click.argument("dump", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    help="Datasets in a file: those of one training step. TabICL must have the same.",
)
@json_option
def convert_command(dump: Path, folder: Path, batch_size: int, as_json: bool) -> None:
    """Write the datasets of DUMP into FOLDER as the files that TabICL trains on.

    They are PyTorch's, batch_000000.pt and so on, and a metadata.json. FOLDER must be new or
    empty. Datasets with cells that are not finite are replaced by others of their block, as `nanotabpfn
    train` does. For HDF5, npz and Parquet: `priors convert`.

    \b
    nanotabpfn convert mine.h5 batches
    nanotabpfn convert mine.h5 batches --batch-size 64      # of a dump with fewer than 512 datasets
    """
    from nanotabpfn.data.tabicl_batches import write_tabicl_batches
    from priors.dumps.read import open_dump

    with open_dump(dump) as opened:
        if batch_size > len(opened):
            raise click.BadParameter(
                f"must be at most {len(opened)}, the datasets of {dump}, got {batch_size}",
                param_hint="--batch-size",
            )
    written = write_tabicl_batches(dump, folder, batch_size)
    left_out = f", {written.num_left_out} datasets at the end left out" if written.num_left_out else ""
    damaged = f", {written.num_damaged} damaged ones replaced" if written.num_damaged else ""
    plural = "" if written.num_batches == 1 else "s"
    text = (
        f"{folder}: {written.num_batches:,} file{plural} of {batch_size} datasets{left_out}{damaged}; "
        f"train TabICL with --prior_dir {folder} --batch_size {batch_size} and a --micro_batch_size that "
        f"divides {written.micro_batch_size}"
    )
    report(as_json, text, written._asdict())
