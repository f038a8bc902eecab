"""Traits of tables that options of a prior imitate: of real tables, and of the presets' datasets.

    python scripts/traits.py            # the table in docs/prior.md, in a few minutes

The real tables are those of the suites for choices (`...-dev`), never of those for claims: 200 rows of each,
as in the protocol. Of a prior as many datasets are measured, with as many rows.
"""

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from page_parts import write_part
from scipy import stats
from sklearn.ensemble import RandomForestClassifier

from nanotabpfn.evaluation.protocol import prepare
from nanotabpfn.evaluation.suites import load_suites
from priors import PRESETS, generate, with_overrides

PAGE = Path(__file__).parents[1] / "docs" / "prior.md"
BEGIN, END = "<!-- Written by scripts/traits.py. -->", "<!-- End of what scripts/traits.py writes. -->"
SUITES = ("nano-dev", "binary-dev")
PRIORS = ("default", "mixed")
ROWS, FEW_VALUES, RARE, FAR = 200, 20, 0.02, 5
SEED = 0


def repeats(x: np.ndarray, y: np.ndarray) -> float:
    """Share of the rows whose features are those of an earlier row."""
    return 1 - len(np.unique(x, axis=0)) / len(x)


def few_values(x: np.ndarray, y: np.ndarray) -> float:
    """Share of the columns with at most 20 distinct values."""
    return float(np.mean([len(np.unique(column)) <= FEW_VALUES for column in x.T]))


def rare_values(x: np.ndarray, y: np.ndarray) -> float:
    """Of the columns with at most 20 values, those with one in under 2% of the rows; 0 if there are none."""
    counts = [np.unique(column, return_counts=True)[1] for column in x.T]
    return float(np.mean([found.min() < RARE * len(x) for found in counts if len(found) <= FEW_VALUES] or 0))


def skewed(x: np.ndarray, y: np.ndarray) -> float:
    """Share of the columns with a skewness beyond 1."""
    return float(np.mean([abs(stats.skew(column)) > 1 for column in x.T if np.ptp(column) > 0]))


def far_cells(x: np.ndarray, y: np.ndarray) -> float:
    """Share of the columns with a cell farther than 5 standard deviations from the mean."""
    return float(np.mean([np.abs(stats.zscore(column)).max() > FAR for column in x.T if np.ptp(column) > 0]))


def used_features(x: np.ndarray, y: np.ndarray) -> float:
    """Share of the features that explain the target: exp(entropy of a forest's importances) / features."""
    forest = RandomForestClassifier(50, random_state=SEED).fit(x, y)
    shares = forest.feature_importances_[forest.feature_importances_ > 0]
    return float(np.exp(-np.sum(shares * np.log(shares)))) / x.shape[1]


TRAITS: dict[Callable[[np.ndarray, np.ndarray], float], str] = {
    repeats: "`duplicate_fraction`",
    few_values: "`quantized_fraction`, `categorical_fraction`",
    rare_values: "`converters`",
    skewed: "`warp_fraction`, `roots`",
    far_cells: "`outlier_fraction`, `noises`",
    used_features: "`relevant_fraction`, `hidden_fraction`",
}
"""What is measured, and the settings that change it."""


def real_tables() -> list[tuple[np.ndarray, np.ndarray]]:
    """(x, y) of the rows of each table."""
    return [(task.x, task.y) for task in map(prepare, load_suites(SUITES))]


def prior_tables(name: str, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(x, y) of datasets of a preset, of the protocol's number of rows."""
    config = with_overrides(PRESETS[name], {"num_datapoints": ROWS})
    return [(dataset.x, dataset.y) for dataset in generate(config, count, seed=SEED)]


@click.command(help=__doc__.partition("\n")[0])
@click.option("--page", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=PAGE)
def main(page: Path) -> None:
    """Measure all tables, and write their table into a page."""
    real = real_tables()
    columns = {"real tables": real} | {f"`{name}`": prior_tables(name, len(real)) for name in PRIORS}
    lines = [f"| trait | {' | '.join(columns)} | settings |", "|---|" + "--:|" * len(columns) + "---|"]
    for trait, settings in TRAITS.items():
        cells = [_summary([trait(x, y) for x, y in tables]) for tables in columns.values()]
        text = trait.__doc__.partition("\n")[0].rstrip(".")
        lines.append(f"| {text} | {' | '.join(cells)} | {settings} |")
    write_part(page, BEGIN, END, "\n".join(lines) + "\n")
    click.echo(f"{page}: {len(real)} tables")


def _summary(values: list[float]) -> str:
    low, high = np.quantile(values, [0.25, 0.75])
    return f"{np.mean(values):.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
