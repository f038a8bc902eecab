"""How often the interval of a study's verdict contains the true difference: simulated studies of known truth.

    python scripts/interval_coverage.py        # writes the table of docs/studies.md

Axis letters: N studies, P pairs of seeds, D data seeds, M model seeds, T tables.
"""

from collections.abc import Iterator
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


class Simulated(NamedTuple):
    """Studies of one scenario."""

    differences: np.ndarray  # (N, D, M, T) of two arms
    is_late: np.ndarray  # (N, D, M): a training of either arm began late
    truth: float  # the mean of the differences, to which late trainings belong; without them it is 0


def simulate(scenario: Scenario, num_studies: int, rng: np.random.Generator) -> Simulated:
    """Differences of two arms whose true difference, where both trainings begin in time, is 0."""
    num_data, num_model, num_tables = scenario.shape
    differences = scenario.tables * _noise(scenario, (num_studies, 1, 1, num_tables), rng)
    any_late = np.zeros((num_studies, num_data, num_model), bool)
    for sign, deviation, share in zip((1, -1), scenario.seeds, scenario.late, strict=True):
        if num_model == 1:
            luck = deviation * _noise(scenario, (num_studies, num_data, 1, 1), rng)
        else:  # half of the variance from each kind of seed
            luck = deviation * np.sqrt(0.5) * _noise(scenario, (num_studies, num_data, 1, 1), rng)
            luck = luck + deviation * np.sqrt(0.5) * _noise(scenario, (num_studies, 1, num_model, 1), rng)
        is_late = rng.random((num_studies, num_data, num_model, 1)) < share
        rest = scenario.rest * _noise(scenario, (num_studies, *scenario.shape), rng)
        differences = differences + sign * (luck - scenario.loss * is_late + rest)
        any_late |= is_late[..., 0]
    return Simulated(differences, any_late, scenario.loss * (scenario.late[1] - scenario.late[0]))


def without_late(found: Simulated) -> Iterator[np.ndarray]:
    """The differences (N', P', 1, T) of the pairs without a late training: studies with equally many at once.

    Studies with paired seeds alone. Those in which no pair is left are left out.
    """
    is_late = found.is_late[..., 0]  # (N, P)
    order = np.argsort(is_late, axis=1, kind="stable")  # the pairs that are kept come first
    pairs = np.take_along_axis(found.differences, order[..., None, None], axis=1)
    kept = (~is_late).sum(axis=1)
    for number in range(1, is_late.shape[1] + 1):
        yield pairs[kept == number, :number]


def _noise(scenario: Scenario, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Of variance 1."""
    if np.isinf(scenario.freedom):
        return rng.standard_normal(shape)
    return rng.standard_t(scenario.freedom, shape) / np.sqrt(scenario.freedom / (scenario.freedom - 2))


class Coverage(NamedTuple):
    """How the intervals of a scenario do: with all trainings, and without those that begin late."""

    share: float  # of the studies whose interval contains the truth
    half: float  # the median of half the width
    begun_share: float  # the same without late trainings
    begun_half: float


def coverage(scenario: Scenario, num_studies: int, seed: int = 0) -> Coverage:
    """Simulate studies and their intervals, as `compare` makes them."""
    rng, whole, begun = np.random.default_rng(seed), [], []
    for start in range(0, num_studies, AT_ONCE):
        found = simulate(scenario, min(AT_ONCE, num_studies - start), rng)
        whole.append(_intervals(found.differences, found.truth))
        if any(scenario.late):
            begun += [_intervals(pairs, 0.0) for pairs in without_late(found) if len(pairs)]
    return Coverage(*_summary(whole), *_summary(begun or whole))


def _intervals(differences: np.ndarray, truth: float) -> tuple[np.ndarray, np.ndarray]:
    """Of differences (N, D, M, T): whether the interval contains the truth, and half its width, (N,) each."""
    half = mean_interval(variance_parts(differences), LEVEL)
    return np.abs(differences.mean(axis=(1, 2, 3)) - truth) <= half, half


def _summary(found: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    covered, half = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return float(covered.mean()), float(np.median(half))


@click.command(context_settings={"show_default": True})
@click.option("--studies", type=click.IntRange(min=100), default=20_000, help="Simulated for each line.")
def main(studies: int) -> None:
    """Simulate studies whose truth is known, and write docs/studies.md."""
    lines = [
        "| studies | coverage | half the interval | without late trainings: coverage | half the interval |",
        "|---|--:|--:|--:|--:|",
    ]
    for number in trange(len(SCENARIOS), unit="scenario"):
        scenario = SCENARIOS[number]
        found = coverage(scenario, studies)
        begun = f"{found.begun_share:.3f} | {found.begun_half:.4f}" if any(scenario.late) else " | "
        lines.append(f"| {scenario.words} | {found.share:.3f} | {found.half:.4f} | {begun} |")
    error = np.sqrt(LEVEL * (1 - LEVEL) / studies)
    lines += [
        "",
        f"{studies:,} simulated studies in each line; the standard error of a coverage is {error:.4f}.",
    ]
    write_part(PAGE, BEGIN, END, "\n".join(lines))
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
