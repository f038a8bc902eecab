"""Two finished studies: in which settings they differ, and whether the second finds what the first did.

Axis letters: A arms, D data seeds, M model seeds, T tables that both studies have, U trainings of an arm.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nanotabpfn.studies.report.scores import LEARNS_NOTHING, Scores, complete_seeds
from nanotabpfn.studies.saved import SavedStudy, read_records, read_saved
from nanotabpfn.studies.spec import DRAWN, StudyError
from nanotabpfn.studies.statistics import (
    mean_interval,
    mean_p_value,
    rank_correlation,
    repeatability,
    seed_parts,
)
from priors.audit.compare import holm
from priors.settings import differences

MIN_RANKED = 8
"""Fewer arms than these say nothing about ranks: the interval would be wider than from 0 to 0.9."""


class Compared(NamedTuple):
    """A mean over tables in study A and in study B, and by how much B is better."""

    kind: str
    """`score` of an arm, or `effect`: the arm minus the reference, positive where the arm is better."""
    arm: str
    metric: str
    a: float
    b: float
    difference: float
    """B minus A, positive where B is better."""
    interval: tuple[float, float]
    p_value: float
    """Adjusted for the number of rows of this kind and metric (Holm)."""


class RanksCompared(NamedTuple):
    """Whether two studies rank the arms that both have alike, by their means over tables and seeds."""

    metric: str
    num_arms: int
    """Arms without controls; those of random designs, where both studies drew the same."""
    correlation: float
    """Spearman's."""
    interval: tuple[float, float]
    """With arms as units."""
    repeated_a: float
    """The correlation that A would have with a repetition of A with as many other seeds: the luck of seeds
    lowers it, as it lowers `correlation`. NaN if A has one seed, or crossed ones, which are dependent."""
    repeated_b: float


class StudiesCompared(NamedTuple):
    """The result of `compare_studies`."""

    settings: dict[str, tuple[Any, Any]]
    """Path of a setting of the study or of an arm -> its values in A and B, where they differ."""
    tables: list[str]
    level: float
    rows: list[Compared]
    ranks: list[RanksCompared]
    """For each metric; empty if fewer than `MIN_RANKED` arms are in both."""
    why_no_effects: str
    """Empty if effects are compared."""


class _Means(NamedTuple):
    """One quantity in one study: its mean on every table, (T,), and the variance that seeds give its mean."""

    tables: np.ndarray
    seeds: list[tuple[np.ndarray, int]]


def compare_studies(first: str | Path, second: str | Path) -> StudiesCompared:
    """Compare the final scores of the arms that two studies have in common, and their effects.

    Studies are paired by table, in the metrics of the first. Seeds are taken as independent, also where both
    studies have the same numbers, since their trainings may differ in everything else; then the intervals
    are rather too wide than too narrow.

    Args:
        first: folder of study A, with its study.json and records; `second` is that of study B.

    Raises:
        StudyError: a folder holds no study or no scores, or the two have no arm or no table in common.

    Examples:
        >>> compare_studies("absent", "absent")
        Traceback (most recent call last):
        nanotabpfn.studies.spec.StudyError: absent holds no study: there is no study.json
    """
    folders = Path(first), Path(second)
    saved = [read_saved(folder) for folder in folders]
    records = [read_records(folder) for folder in folders]
    study, rows, ranks, tables, why_no_effects = saved[0].study, [], [], [], ""
    same = _same_arms(*saved)
    for metric in (study.metric, study.second_metric):
        a, b = (Scores(one, own, metric) for one, own in zip(saved, records, strict=True))
        for scores, folder in ((a, folders[0]), (b, folders[1])):
            if not scores.of:
                raise StudyError(f"{folder}: no cell is scored yet; `nanotabpfn study run` does that")
        tables = [name for name in a.tables if name in b.tables]
        if not tables:
            raise StudyError(f"{first} and {second} have no table in common: {a.suite} and {b.suite}")
        arms = [arm for arm in a.single_arms if arm in b.single_arms]
        if not arms:
            raise StudyError(
                f"{first} and {second} have no arm in common: {', '.join(a.arms)} and {', '.join(b.arms)}"
            )
        rows += _compared("score", {arm: (_score(a, arm, tables), _score(b, arm, tables)) for arm in arms}, a)
        if a.reference != b.reference:
            why_no_effects = f"the reference of A is {a.reference}, that of B {b.reference}"
        elif a.reference not in arms:
            why_no_effects = f"the reference {a.reference} is not scored in both"
        else:
            others = [arm for arm in arms if arm not in (a.reference, *LEARNS_NOTHING)]
            effects = {arm: (_effect(a, arm, tables), _effect(b, arm, tables)) for arm in others}
            rows += _compared("effect", effects, a)
        ranks += _ranks(a, b, [arm for arm in same if arm in a.of and arm in b.of], tables)
    if not rows:
        raise StudyError(f"{first} and {second} have no arm with scores on all of their common tables")
    settings = differences(*map(_settings_of, saved))
    return StudiesCompared(settings, tables, study.level, rows, ranks, why_no_effects)


def _same_arms(first: SavedStudy, second: SavedStudy) -> list[str]:
    """Names of the arms, without controls, that are the same priors in both: drawn arms of two studies may
    have the same names, and be other priors."""
    priors = {arm.name: (arm.config, description) for arm, description in second.arms}
    return [
        arm.name
        for arm, description in first.arms
        if arm.role in ("arm", DRAWN) and priors.get(arm.name) == (arm.config, description)
    ]


def _ranks(a: Scores, b: Scores, arms: list[str], tables: list[str]) -> list[RanksCompared]:
    pairs = [(_by_seed(a, arm, tables), _by_seed(b, arm, tables)) for arm in arms]
    whole = [pair for pair in pairs if all(np.isfinite(values).all() for values in pair)]
    if len(whole) < MIN_RANKED:
        return []
    of_a, of_b = (np.stack(values) for values in zip(*whole, strict=True))  # (A, U) each
    found = rank_correlation(of_a.mean(axis=1), of_b.mean(axis=1), a.study.level)
    repeated = [
        float("nan") if min(scores.of[arms[0]].shape[:2]) > 1 else repeatability(values)
        for scores, values in ((a, of_a), (b, of_b))
    ]
    return [RanksCompared(a.metric, len(whole), *found, *repeated)]


def _by_seed(scores: Scores, arm: str, tables: list[str]) -> np.ndarray:
    """(U,) means over `tables`, one for each cell of the arm; NaN where one is missing."""
    return _on(tables, scores.of[arm], scores).mean(axis=2).ravel()


def _on(tables: list[str], values: np.ndarray, scores: Scores) -> np.ndarray:
    """Values (D, M, all tables) on some tables, (D, M, T)."""
    return values[:, :, [scores.tables.index(name) for name in tables]]


def _settings_of(saved: SavedStudy) -> dict[str, Any]:
    """The study's settings, without its name and words, and what its arms are."""
    settings = saved.study.model_dump(mode="json", exclude={"name", "question", "arms", "model"})
    settings |= {f"model.{name}": value for name, value in saved.study.model.model_dump().items()}
    return settings | {f"arms.{arm.name}": description for arm, description in saved.arms}


def _score(scores: Scores, arm: str, tables: list[str]) -> _Means | None:
    return _means(scores.of[arm], scores, tables)


def _effect(scores: Scores, arm: str, tables: list[str]) -> _Means | None:
    return _means((scores.of[arm] - scores.of[scores.reference]) * scores.sign, scores, tables)


def _means(values: np.ndarray, scores: Scores, tables: list[str]) -> _Means | None:
    """Of values (D, M, all tables), on the seeds that are complete; None if none is."""
    values = _on(tables, values, scores)
    seeds = complete_seeds(np.isfinite(values).all(axis=2))
    if seeds is None:
        return None
    values = values[np.ix_(*seeds, range(len(tables)))]
    return _Means(values.mean(axis=(0, 1)), seed_parts(values))


def _compared(kind: str, pairs: dict[str, tuple[_Means | None, _Means | None]], a: Scores) -> list[Compared]:
    rows = []
    for arm, (one, other) in pairs.items():
        if one is None or other is None:
            continue
        sign = a.sign if kind == "score" else 1  # effects have it already
        by_table = (other.tables - one.tables) * sign
        mean, parts = float(by_table.mean()), [*one.seeds, *other.seeds]
        if len(by_table) > 1:
            parts.append((by_table.var(ddof=1) / len(by_table), len(by_table) - 1))
        half = float(mean_interval(parts, a.study.level)) if parts else float("nan")
        means = float(one.tables.mean()), float(other.tables.mean())
        rows.append(
            Compared(kind, arm, a.metric, *means, mean, (mean - half, mean + half), mean_p_value(mean, parts))
        )
    adjusted = holm([row.p_value for row in rows])
    return [row._replace(p_value=float(p)) for row, p in zip(rows, adjusted, strict=True)]
