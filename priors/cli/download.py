"""`priors download`: fetch a published dump."""

from pathlib import Path

import click
from tqdm import tqdm

from priors.cli.options import NEW, overwrite_option
from priors.console import Choice, json_option, quiet_option, refuse_existing, report
from priors.dumps.download import PUBLISHED
from priors.dumps.download import download as download_dump


@click.command()
@click.argument("name", type=Choice(list(PUBLISHED)))
@click.option("--out", type=NEW, help="File to write.  [default: NAME.h5]")
@overwrite_option
@quiet_option
@json_option
def download(name: str, out: Path | None, overwrite: bool, as_json: bool) -> None:
    """Fetch a published dump.

    300k_150x5_2: 300,000 datasets of 150 rows, 5 features and 2 classes, 1.04 GB, by the authors of
    nanoTabPFN. Until it is complete the file is OUT.part: after an interruption the same command
    resumes. OUT.sha256 records its checksum.

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
    size = out.stat().st_size
    report(
        as_json, f"{out}: {size:,} bytes, sha256 {checksum}", {"out": out, "bytes": size, "sha256": checksum}
    )
