"""How often the interval of a study's verdict contains the true difference: simulated studies of known truth.

    python scripts/interval_coverage.py        # writes the table of docs/studies.md

Axis letters: N studies, P pairs of seeds, D data seeds, M model seeds, T tables.
"""

from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from page_parts import write_part
from tqdm import trange

from nanotabpfn.studies.statistics import mean_interval, variance_parts

PAGE = Path(__file__).parents[1] / "docs" / "studies.md"
BEGIN, END = "<!-- coverage: written by scripts/interval_coverage.py -->", "<!-- coverage: end -->"
LEVEL = 0.95
AT_ONCE = 2_000
"""Studies that are simulated at once: 50 MB."""


class Scenario(NamedTuple):
    """Two arms of a study: standard deviations of what adds to their scores, in units of ROC AUC.

    The defaults are near those of the study in docs/studies.
    """

    words: str
    shape: tuple[int, int, int] = (6, 1, 13)  # (D, M, T); M is 1 where seeds are paired
    tables: float = 0.012  # of the difference between the arms, over tables
    seeds: tuple[float, float] = (0.008, 0.008)  # of each arm, over pairs of seeds
    rest: float = 0.01  # of each score
    freedom: float = np.inf  # of Student's t from which all of them are drawn; small: heavy tails
    late: tuple[float, float] = (0.0, 0.0)  # share of each arm's trainings that begin late
    loss: float = 0.15  # of a training that begins late


SCENARIOS = (
    Scenario("arms alike"),
    Scenario("one arm three times as noisy", seeds=(0.024, 0.008)),
    Scenario("both arms three times as noisy as the rest of the study", seeds=(0.024, 0.024)),
    Scenario("heavy tails (Student's t, 3 degrees of freedom)", freedom=3.0),
    Scenario("four tables", shape=(6, 1, 4)),
    Scenario("three pairs of seeds", shape=(3, 1, 13)),
    Scenario("25 pairs, 79 tables", shape=(25, 1, 79)),
    Scenario("crossed seeds, 2 x 3", shape=(2, 3, 13)),
    Scenario("crossed seeds, 3 x 3, one arm noisy", shape=(3, 3, 13), seeds=(0.024, 0.008)),
    Scenario("one in ten trainings of both arms begins late", late=(0.1, 0.1)),
    Scenario("one in ten trainings of one arm begins late", late=(0.1, 0.0)),
)


def simulate(scenario: Scenario, num_studies: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Differences (N, D, M, T) of two arms, and their true mean, to which late trainings belong."""
    num_data, num_model, num_tables = scenario.shape
    differences = scenario.tables * _noise(scenario, (num_studies, 1, 1, num_tables), rng)
    for sign, deviation, share in zip((1, -1), scenario.seeds, scenario.late, strict=True):
        if num_model == 1:
            luck = deviation * _noise(scenario, (num_studies, num_data, 1, 1), rng)
        else:  # half of the variance from each kind of seed
            luck = deviation * np.sqrt(0.5) * _noise(scenario, (num_studies, num_data, 1, 1), rng)
            luck = luck + deviation * np.sqrt(0.5) * _noise(scenario, (num_studies, 1, num_model, 1), rng)
        is_late = rng.random((num_studies, num_data, num_model, 1)) < share
        rest = scenario.rest * _noise(scenario, (num_studies, *scenario.shape), rng)
        differences = differences + sign * (luck - scenario.loss * is_late + rest)
    return differences, scenario.loss * (scenario.late[1] - scenario.late[0])


def _noise(scenario: Scenario, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Of variance 1."""
    if np.isinf(scenario.freedom):
        return rng.standard_normal(shape)
    return rng.standard_t(scenario.freedom, shape) / np.sqrt(scenario.freedom / (scenario.freedom - 2))


def coverage(scenario: Scenario, num_studies: int, seed: int = 0) -> tuple[float, float]:
    """The share of studies whose interval contains the truth, and the median of half its width."""
    rng, covered, halves = np.random.default_rng(seed), 0, []
    for start in range(0, num_studies, AT_ONCE):
        differences, truth = simulate(scenario, min(AT_ONCE, num_studies - start), rng)
        half = mean_interval(variance_parts(differences), LEVEL)
        covered += int((np.abs(differences.mean(axis=(1, 2, 3)) - truth) <= half).sum())
        halves.append(half)
    return covered / num_studies, float(np.median(np.concatenate(halves)))


@click.command(context_settings={"show_default": True})
@click.option("--studies", type=click.IntRange(min=100), default=20_000, help="Simulated for each line.")
def main(studies: int) -> None:
    """Simulate studies whose truth is known, and write docs/studies.md."""
    lines = ["| studies | coverage | half the interval |", "|---|--:|--:|"]
    for number in trange(len(SCENARIOS), unit="scenario"):
        found, half = coverage(SCENARIOS[number], studies)
        lines.append(f"| {SCENARIOS[number].words} | {found:.3f} | {half:.4f} |")
    error = np.sqrt(LEVEL * (1 - LEVEL) / studies)
    lines += [
        "",
        f"{studies:,} simulated studies in each line; the standard error of a coverage is {error:.4f}.",
    ]
    write_part(PAGE, BEGIN, END, "\n".join(lines))
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
