"""Writes the properties of real tables, next to which `priors explore` shows those of a prior.

    python scripts/real_tables.py       # priors/explore/real_tables.json, in about a minute

The tables are those of the suites for choices (`...-dev`), never of those for claims. They come from the
packages of the extra `tables`; nothing is fetched.
"""

import json
from math import isfinite
from pathlib import Path

import click
import numpy as np

from nanotabpfn.evaluation.protocol import prepare
from nanotabpfn.evaluation.suites import load_suites
from nanotabpfn.studies.properties import properties_of_tables
from priors.audit.properties import PROPERTIES

SUITES = {
    "classification": ("nano-dev", "binary-dev", "multiclass-dev"),
    "regression": ("regression-dev",),
}
OUT = Path(__file__).parents[1] / "priors" / "explore" / "real_tables.json"


def measure_tables(problem_type: str, names: tuple[str, ...] = ()) -> dict[str, dict[str, float | None]]:
    """Name of a table -> its PROPERTIES, by name, in four digits; None where one is undefined.

    Args:
        names: of tables; all by default.
    """
    tables = [table for table in load_suites(SUITES[problem_type]) if not names or table.name in names]
    found = {}
    for table in tables:  # alone: the draws of a forest depend on the number of its table
        [values] = properties_of_tables((prepare(table, problem_type),)).values()
        found[table.name] = dict(zip(PROPERTIES, map(_rounded, values), strict=True))
    return found


def _rounded(value: np.floating) -> float | None:
    return float(f"{value:.4g}") if isfinite(value) else None


@click.command(help=__doc__.partition("\n")[0])
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=OUT, help="The file.")
def main(out: Path) -> None:
    """Measure all tables, and write the file."""
    found = {problem_type: measure_tables(problem_type) for problem_type in SUITES}
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    click.echo(f"{out}: {', '.join(f'{len(tables)} of {kind}' for kind, tables in found.items())}")


if __name__ == "__main__":
    main()
