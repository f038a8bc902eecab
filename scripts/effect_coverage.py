"""How often the intervals of main effects contain the truth: simulated studies with random designs.

    python scripts/effect_coverage.py        # writes the table of docs/studies.md

Axis letters: N studies, A arms, D data seeds, M model seeds, T tables, E effects.
"""

from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from page_parts import write_part
from tqdm import trange

from nanotabpfn.studies.designs import Setting, design_matrix, draw, setting_of
from nanotabpfn.studies.effects import Contrasts, contrasts, interaction, noisiest
from nanotabpfn.studies.statistics import mean_interval

PAGE = Path(__file__).parents[1] / "docs" / "studies.md"
BEGIN, END = (
    "<!-- effects: written by scripts/effect_coverage.py -->",
    "<!-- effects: end -->",
)
LEVEL = 0.95
AT_ONCE = 500
"""Studies that are simulated at once."""


class Scenario(NamedTuple):
    """A study: standard deviations of what adds to its scores, in units of ROC AUC. No setting has an effect.

    The defaults are near those of the study in docs/studies.
    """

    words: str
    num_arms: int = 40
    numbers: int = 5  # settings that are drawn from a distribution
    lists: int = 5  # settings with two levels
    shape: tuple[int, int, int] = (2, 1, 13)  # (D, M, T); M is 1 where seeds are paired
    tables: float = 0.008  # of each arm, over tables
    cells: float = 0.008  # of each arm, over pairs of seeds
    rest: float = 0.01  # of each score
    effects: float = 0.0  # of each effect, over tables
    misfit: float = 0.0  # of each arm: interactions and curves, which the regression leaves out
    seeds: float = 0.0  # of each effect, over pairs of seeds
    sensitive: int | None = None  # how many effects differ between seeds; None: all
    noisy: float = 1.0  # how much larger `cells` and `tables` are at the high end of a setting
    noisy_setting: int = 0  # which one
    leaves_out: bool = False  # the noisiest level of a list where one is shown; claims are with it or without
    freedom: float = np.inf  # of Student's t from which the luck of cells is drawn; small: heavy tails
    is_factorial: bool = False  # all combinations of the levels


SCENARIOS = (
    Scenario("40 arms, 10 settings, 2 pairs of seeds"),
    Scenario("one pair of seeds", shape=(1, 1, 13)),
    Scenario("six pairs of seeds, four tables", shape=(6, 1, 4)),
    Scenario("crossed seeds, 2 x 3", shape=(2, 3, 13)),
    Scenario("12 arms, 4 settings", num_arms=12, numbers=2, lists=2),
    Scenario("interactions and curves, twice the luck of cells", misfit=0.016),
    Scenario("effects differ between tables", effects=0.02),
    Scenario("noise three times as large at one end of a setting", noisy=3.0),
    Scenario("60 arms, noise five times as large at one of two levels", 60, noisy=5, noisy_setting=5),
    Scenario(
        "the same, without the noisiest level if one is shown", 60, noisy=5, noisy_setting=5, leaves_out=True
    ),
    Scenario("60 arms alike, without the noisiest level if one is shown", 60, leaves_out=True),
    Scenario("heavy tails (Student's t, 3 degrees of freedom)", freedom=3.0),
    Scenario("all effects differ between seeds", shape=(6, 1, 13), seeds=0.01),
    Scenario("one effect of ten differs between seeds", shape=(6, 1, 13), seeds=0.01, sensitive=1),
    Scenario("factorial, 2 x 2 x 2, 6 pairs", 8, 0, 3, (6, 1, 13), is_factorial=True),
)


class Simulated(NamedTuple):
    """Studies of one scenario."""

    scores: np.ndarray  # (N, A, D, M, T)
    columns: np.ndarray  # (A, E), one for each setting


def simulate(scenario: Scenario, num_studies: int, rng: np.random.Generator) -> Simulated:
    """Scores of studies in which no setting has an effect; all have one design."""
    vary = {f"number {i}": "uniform(0, 1)" for i in range(scenario.numbers)}
    vary |= {f"list {i}": ["low", "high"] for i in range(scenario.lists)}
    settings = tuple(setting_of(*item) for item in vary.items())
    columns = design_matrix(settings, _arms(scenario, settings, vary))  # each in [0, 1]
    (num_data, num_model, num_tables), arms = scenario.shape, len(columns)
    size = (num_studies, arms, num_data, num_model, num_tables)

    def noise(deviation: float, *shape: int) -> np.ndarray:
        return deviation * rng.standard_normal((num_studies, *shape))

    louder = (1 + (scenario.noisy - 1) * columns[:, scenario.noisy_setting])[:, None, None, None]
    luck = noise(scenario.cells * np.sqrt(1 if num_model == 1 else 0.5), arms, num_data, 1, 1)
    if num_model > 1:  # half of the variance from each kind of seed
        luck = luck + noise(scenario.cells * np.sqrt(0.5), arms, 1, num_model, 1)
    if np.isfinite(scenario.freedom):
        luck = luck * np.sqrt((scenario.freedom - 2) / rng.chisquare(scenario.freedom, luck.shape))
    scores = louder * (luck + noise(scenario.tables, arms, 1, 1, num_tables))
    scores = scores + scenario.rest * rng.standard_normal(size)
    scores += noise(0.05, 1, num_data, num_model, num_tables)  # of the seeds and tables, alike for all arms
    scores += np.einsum("ae,net->nat", columns, noise(scenario.effects, columns.shape[1], num_tables))[
        :, :, None, None
    ]
    of_seeds = noise(scenario.seeds, columns.shape[1], num_data)
    of_seeds[:, scenario.sensitive :] *= scenario.sensitive is None
    scores += np.einsum("ae,ned->nad", columns, of_seeds)[..., None, None]
    scores += _misfit(scenario, columns, num_studies, rng)[:, :, None, None, None]
    return Simulated(scores, columns)


def _arms(scenario: Scenario, settings: tuple[Setting, ...], vary: dict) -> list[dict]:
    if not scenario.is_factorial:
        return draw(settings, vary, scenario.num_arms, seed=0)
    grid = np.indices((2,) * len(settings)).reshape(len(settings), -1).T
    return [{path: vary[path][level] for path, level in zip(vary, row, strict=True)} for row in grid]


def _misfit(
    scenario: Scenario, columns: np.ndarray, num_studies: int, rng: np.random.Generator
) -> np.ndarray:
    """(N, A): random products and squares of the settings around their means, which have no main effect."""
    centred = columns - 0.5
    terms = [centred[:, i] * centred[:, j] for i, j in combinations(range(columns.shape[1]), 2)]
    terms += [np.square(column) - np.square(column).mean() for column in centred.T]
    every = np.stack(terms, axis=1)
    every = every / np.sqrt(np.square(every).sum(axis=1).mean())
    return scenario.misfit * rng.standard_normal((num_studies, every.shape[1])) @ every.T


class Coverage(NamedTuple):
    """How the intervals of a scenario do, and the claims after Holm's adjustment."""

    share: float  # of the effects whose interval contains the truth
    worst: float  # the same of the effect for which it is smallest
    half: float  # the median of half the width
    claims: float  # share of the studies in which any main effect is claimed


def coverage(scenario: Scenario, num_studies: int, seed: int = 0) -> Coverage:
    """Simulate studies, and their intervals and claims, as a report makes them."""
    rng, found = np.random.default_rng(seed), []
    for start in range(0, num_studies, AT_ONCE):
        one = simulate(scenario, min(AT_ONCE, num_studies - start), rng)
        if scenario.leaves_out:
            found += [_without_noisiest(scores, one.columns, scenario) for scores in one.scores]
        else:
            found.append(_intervals(contrasts(one.scores, one.columns, not scenario.is_factorial)))
    covered, halves, claims = (np.concatenate(parts) for parts in zip(*found, strict=True))
    of_effects = np.nanmean(covered, axis=0)
    return Coverage(
        float(of_effects.mean()), float(of_effects.min()), float(np.nanmedian(halves)), float(claims.mean())
    )


def _intervals(effects: Contrasts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether the interval of each effect contains the truth (N, E), half its width (N, E), and whether any
    effect is claimed (N,)."""
    half = mean_interval(effects.parts, LEVEL)
    return (np.abs(effects.means) <= half).astype(float), half, _any_claim([effects])


def _without_noisiest(
    scores: np.ndarray, columns: np.ndarray, scenario: Scenario
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of one study (A, D, M, T), without the noisiest level of a list if one is shown; NaN for the
    setting that is left out with it."""
    lists = range(scenario.numbers, columns.shape[1])
    levels = [(setting, columns[:, setting] == end) for setting in lists for end in (0, 1)]
    noisy = noisiest(scores, columns, [arms for _, arms in levels], LEVEL)
    arms, effects = np.ones(len(columns), bool), np.ones(columns.shape[1], bool)
    if noisy is not None:
        setting, of_level = levels[noisy.number]
        arms, effects[setting] = ~of_level, False
    covered, half = np.full((2, 1, columns.shape[1]), np.nan)
    found = contrasts(scores[None, arms], columns[np.ix_(arms, effects)], is_sample=True)
    covered[:, effects], half[:, effects], claimed = _intervals(found)
    return covered, half, claimed | _any_claim([contrasts(scores[None], columns, is_sample=True)])


def interaction_claims(scenario: Scenario, num_studies: int, seed: int = 0) -> float:
    """The share of the studies in which any interaction is claimed."""
    one = simulate(scenario, num_studies, np.random.default_rng(seed))
    pairs = combinations(range(one.columns.shape[1]), 2)
    is_sample = not scenario.is_factorial
    found = [interaction(one.scores, one.columns, [i], [j], is_sample) for i, j in pairs]
    return float(_any_claim(found).mean())


def _any_claim(families: list[Contrasts]) -> np.ndarray:
    """(N,), whether any effect is claimed: the first step of Holm's method."""
    number = sum(one.means.shape[-1] for one in families)
    level = 1 - (1 - LEVEL) / number
    claimed = [(np.abs(one.means) > mean_interval(one.parts, level)).any(axis=-1) for one in families]
    return np.any(claimed, axis=0)


@click.command(context_settings={"show_default": True})
@click.option("--studies", type=click.IntRange(min=100), default=10_000, help="Simulated for each line.")
def main(studies: int) -> None:
    """Simulate studies whose truth is known, and write docs/studies.md."""
    lines = [
        "| studies | coverage | of the worst effect | half the interval | a main effect claimed "
        "| an interaction claimed |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for number in trange(len(SCENARIOS), unit="scenario"):
        scenario = SCENARIOS[number]
        found = coverage(scenario, studies)
        claimed = (
            ""
            if scenario.misfit or scenario.leaves_out
            else f"{interaction_claims(scenario, studies // 10):.3f}"
        )
        lines.append(
            f"| {scenario.words} | {found.share:.3f} | {found.worst:.3f} | {found.half:.4f} "
            f"| {found.claims:.3f} | {claimed} |"
        )
    error = np.sqrt(LEVEL * (1 - LEVEL) / studies)
    lines += [
        "",
        f"{studies:,} simulated studies in each line; the standard error of the coverage of one effect is "
        f"{error:.4f}.",
    ]
    write_part(PAGE, BEGIN, END, "\n".join(lines))
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
