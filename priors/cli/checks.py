"""`priors validate` and `verify`: is a dump whole, and can its records be made again."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from priors.cli.options import EXISTING
from priors.console import json_option, printable, report

if TYPE_CHECKING:
    from priors.dumps.validate import Report


@click.command()
@click.argument("dump", type=EXISTING)
@json_option
def validate(dump: Path, as_json: bool) -> None:
    """Check a DUMP: schema, sizes, labels, cells, padding, checksums, provenance.

    Reads all of it. One line per finding, with the numbers of the records, and exit code 1; or one line "ok"
    and 0. What could not be checked is printed as a note on stderr.

    \b
    priors validate mine.h5
    priors validate 300k_150x5_2.h5         # finds its five damaged records
    """
    from priors.dumps.validate import validate as validate_dump

    found = validate_dump(dump)
    _print_report(dump, found, f"ok, {found.num_datasets:,} datasets", as_json)


@click.command()
@click.argument("dump", type=EXISTING)
@click.option(
    "--sample",
    "num_records",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="How many records to make again, spread evenly.",
)
@click.option(
    "--trust", is_flag=True, help="Import and run families outside this package that the file names."
)
@json_option
def verify(dump: Path, num_records: int, trust: bool, as_json: bool) -> None:
    """Make records of a DUMP again from its own config and seed, and compare them to the bit.

    Its content hash is computed anew as well, so that damage anywhere is seen. Exit code 1 if something
    differs; 2 if the file has no record of how it was made.

    \b
    priors verify mine.h5
    priors verify mine.h5 --sample 5000
    """
    from priors.dumps.verify import verify as verify_dump

    found = verify_dump(dump, num_records, trust)
    _print_report(dump, found, f"ok, {found.num_datasets:,} records made again, equal to the bit", as_json)


def _print_report(dump: Path, found: "Report", all_right: str, as_json: bool) -> None:
    for note in found.notes:
        click.echo(_one_line(f"{dump}: note: {note}"), err=True)
    text = "\n".join(_one_line(f"{dump}: {finding}") for finding in found.findings or [all_right])
    report(as_json, text, {"dump": dump, "ok": not found.findings, **found._asdict()})
    if found.findings:
        raise click.exceptions.Exit(1)


def _one_line(text: str) -> str:
    return printable(text.replace("\n", " "))
