"""The report of a study: from its records to one HTML page that needs nothing else, and the same in Markdown.

Axis letters: A arms, D data seeds, M model seeds, T tables.
"""

import json
from base64 import b64encode
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import spearmanr

from nanotabpfn.evaluation.metrics import LOWER_IS_BETTER, METRICS
from nanotabpfn.model.checkpoint import write_atomically
from nanotabpfn.studies.cells import (
    COLUMNS,
    POOLED,
    Plan,
    collect_records,
    pandas,
    plan_study,
    read_study,
    state_of,
)
from nanotabpfn.studies.properties import DISTANCES, PROPERTIES
from nanotabpfn.studies.statistics import (
    Comparison,
    average_ranks,
    bayesian_signed_rank,
    bootstrap_interval,
    compare,
    holm,
    seed_parts,
    shows_difference,
    variance_components,
    verdict,
)
from nanotabpfn.studies.study import (
    CONTROLS,
    Arm,
    Study,
    StudyError,
    reference_of,
    resolve_arms,
    sample_graphs,
)
from nanotabpfn.studies.study_figures import (
    critical_differences,
    gallery,
    heat_map,
    intervals,
    learning_curves,
    scatter,
    table_differences,
)

if TYPE_CHECKING:
    import pandas as pd

TEMPLATE = "report.html"
LEARNS_NOTHING = ("untrained", "scrambled")
CHANCE = 0.05
"""How far from 0.5 the mean ROC AUC of a model that learned nothing may be though the interval over tables
leaves 0.5 out: with less, the report does not object."""
GALLERY_SIZE = 4


@dataclass(frozen=True)
class Block:
    """One part of a section: text, warning, list, code, figure or table."""

    kind: str
    text: str = ""
    items_: tuple[str, ...] = ()
    caption: str = ""
    name: str = ""  # of a figure's file
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    text_columns: tuple[int, ...] = ()

    @property
    def uri(self) -> str:
        """A figure as part of the page."""
        return f"data:image/svg+xml;base64,{b64encode(self.text.encode()).decode()}"


@dataclass(frozen=True)
class Section:
    title: str
    blocks: list[Block] = field(default_factory=list)


def text(words: str) -> Block:
    return Block("text", words)


def warning(words: str) -> Block:
    return Block("warning", words)


def figure(name: str, svg: str, caption: str) -> Block:
    return Block("figure", svg, name=name, caption=caption)


def table(
    header: list[str], rows: list[list[str]], caption: str, text_columns: tuple[int, ...] = ()
) -> Block:
    """A table that sorts; its first column is text."""
    return Block(
        "table",
        header=tuple(header),
        rows=tuple(map(tuple, rows)),
        caption=caption,
        text_columns=text_columns,
    )


# -------------------------------------------------------------------------------------------------- scores


class Scores:
    """The final scores of a study on its first suite, and what they say of its arms.

    Attributes:
        arms: names of the arms and controls with at least one cell.
        tables: of the suite.
        of: arm -> (D, M, T), the metric with all folds pooled; NaN where a cell is missing.
        comparisons: arm -> its comparison with the reference, turned so that more is better, and the p-value
            adjusted for all comparisons of arms that are no controls (of a control, its own).
    """

    def __init__(self, study: Study, records: "pd.DataFrame"):
        self.study = study
        self.sign = -1 if study.metric in LOWER_IS_BETTER else 1
        self.suite = study.suites[0]
        chosen = records[
            (records["target"] == "real")
            & (records["suite"] == self.suite)
            & (records["fold"] == POOLED)
            & (records["metric"] == study.metric)
        ]
        self.on_suite = chosen
        self.tables = list(dict.fromkeys(chosen["task"]))
        final = chosen[chosen["is_final"]]
        self.baselines = {
            name: frame.set_index("task")["value"].reindex(self.tables).to_numpy(float)
            for name, frame in final[final["role"] == "baseline"].groupby("arm", sort=False)
        }
        resolved = resolve_arms(study)
        self.roles = {arm.name: arm.role for arm in resolved}
        trained = final[final["role"] != "baseline"].set_index(["arm", "data_seed", "model_seed", "task"])[
            "value"
        ]
        self.of = {}
        for arm in self.roles:
            keys = product([arm], study.data_seeds, study.model_seeds, self.tables)
            values = trained.reindex(list(keys)).to_numpy(float)
            shape = (len(study.data_seeds), len(study.model_seeds), len(self.tables))
            if np.isfinite(values).any():
                self.of[arm] = values.reshape(shape)
        self.arms = list(self.of)
        self.reference = reference_of(study)
        self.comparisons: dict[str, tuple[Comparison, float]] = {}
        if self.reference in self.of:
            self._compare()

    def _compare(self) -> None:
        alike = [arm for arm in self.arms if arm not in LEARNS_NOTHING]
        found = {}
        for arm in self.arms:
            pair = np.stack([self.of[arm], self.of[self.reference]]) * self.sign
            seeds = complete_seeds(np.isfinite(pair).all(axis=(0, 3)))
            if arm == self.reference or seeds is None:
                continue
            own = pair[np.ix_([0, 1], *seeds, range(len(self.tables)))]
            stack = np.stack([self.of[other] for other in alike])[:, seeds[0]][:, :, seeds[1]]
            stack = stack[np.isfinite(stack).all(axis=(1, 2, 3))]
            parts = seed_parts(stack) if len(stack) > 1 else None
            found[arm] = compare(own[0] - own[1], self.study.level, parts)
        arms = [arm for arm in found if self.roles[arm] == "arm"]
        adjusted = dict(zip(arms, holm([found[arm].p_value for arm in arms]), strict=True))
        self.comparisons = {arm: (one, adjusted.get(arm, one.p_value)) for arm, one in found.items()}

    def table_means(self, arm: str) -> np.ndarray:
        """(T,) means over the seeds that are there."""
        return np.nanmean(self.of[arm], axis=(0, 1))

    def words(self, arm: str) -> str:
        found, adjusted = self.comparisons[arm]
        return verdict(arm, self.reference, found, adjusted, self.study.level, self.study.rope)


def complete_seeds(is_there: np.ndarray) -> tuple[list[int], list[int]] | None:
    """The data seeds and model seeds of the largest full grid in `is_there` (D, M) that leaves out whole data
    seeds or whole model seeds; None if there is none."""
    num_data, num_model = is_there.shape
    rows, columns = np.flatnonzero(is_there.all(axis=1)), np.flatnonzero(is_there.all(axis=0))
    grids = [(rows.tolist(), list(range(num_model))), (list(range(num_data)), columns.tolist())]
    best = max(grids, key=lambda grid: len(grid[0]) * len(grid[1]))
    return best if best[0] and best[1] else None


# ------------------------------------------------------------------------------------------------ sections


def build_report(plan: Plan, records: "pd.DataFrame", folder: Path) -> list[Section]:
    """The sections of the report.

    Raises:
        StudyError: no cell of the study is scored yet.
    """
    study = plan.study
    scores = Scores(study, records)
    if not scores.of:
        raise StudyError(f"{folder}: no cell is scored yet; `nanotabpfn study run` does that")
    sections = [
        Section("In short", _in_short(plan, scores, records, folder)),
        Section("What was compared", _arms(study, scores)),
        Section("Real tables", _real_tables(study, scores)),
        Section("Controls", _controls(study, scores, records)),
        Section("Own and other priors", _cross_prior(study, records)),
        Section("What the priors are like", _properties(study, scores, records)),
        Section("Where the variance comes from", _variance(scores)),
        Section("All metrics", _metrics(study, scores, records)),
        Section("The priors", _gallery(study)),
        Section("How it was made", _provenance(plan, records, folder)),
    ]
    return [section for section in sections if section.blocks]


def _in_short(plan: Plan, scores: Scores, records: "pd.DataFrame", folder: Path) -> list[Block]:
    study = plan.study
    blocks = [text(study.question)] if study.question else []
    missing = [control for control in CONTROLS if control not in study.controls]
    if missing:
        blocks.append(
            warning(
                f"This study has no control {', no control '.join(missing)}. Without {_lacks(missing)}, "
                "part of what it shows cannot be told from noise or error."
            )
        )
    states = [state_of(plan, planned, folder) for planned in plan.cells]
    if any(state != "done" for state in states):
        counts = {state: states.count(state) for state in ("failed", "waiting") if state in states}
        told = ", ".join(f"{count} {state}" for state, count in counts.items())
        blocks.append(
            warning(
                f"Not complete: {states.count('done')} of {len(states)} cells are done"
                f"{f' ({told})' if told else ''}. An arm is compared on the seeds that both sides have."
            )
        )
    for name, seeds in (("data seed", study.data_seeds), ("model seed", study.model_seeds)):
        if len(seeds) == 1:
            blocks.append(
                warning(
                    f"One {name}: how much another one would change is not measured, nor in any interval."
                )
            )
    codes = {note["code"] for note in _cell_notes(plan, folder).values()}
    if len(codes) > 1:
        blocks.append(warning(f"Its cells were computed by {len(codes)} versions of the code."))
    if study.controls:
        blocks += [block for block in _controls(study, scores, records) if block.kind == "warning"]
    verdicts = [scores.words(arm) for arm in scores.comparisons if scores.roles[arm] == "arm"]
    if verdicts:
        blocks.append(Block("list", items_=tuple(verdicts)))
    num_tables = len(scores.tables)
    blocks.append(
        text(
            f"{_metric_name(study.metric)} on the {num_tables} tables of the suite {scores.suite} after "
            f"{study.steps} steps of {study.batch_size} datasets; {len(study.data_seeds)} data seeds x "
            f"{len(study.model_seeds)} model seeds. In brackets the {study.level:.0%} interval of the "
            "difference, "
            "with tables, data seeds and model seeds as units; claims are adjusted for the number of "
            "comparisons (Holm). A difference that is not shown may still be there."
        )
    )
    return blocks


def _lacks(missing: list[str]) -> str:
    return "it" if len(missing) == 1 else "them"


def _arms(study: Study, scores: Scores) -> list[Block]:
    rows = []
    for arm in resolve_arms(study):
        role = "reference" if arm.name == scores.reference else arm.role
        what = CONTROLS[arm.name] if arm.role == "control" else arm.describe()
        rows.append([arm.name, role, what])
    return [
        table(["arm", "role", "what it is, beside the preset default"], rows, "The arms.", (1, 2)),
        text(
            f"Every arm: {study.budget}; the same initial weights for a model seed, paired graphs for a data "
            "seed. Model: "
            + ", ".join(f"{name} {value}" for name, value in study.model.model_dump().items())
            + "."
        ),
    ]


def _real_tables(study: Study, scores: Scores) -> list[Block]:
    name, sign = _metric_name(study.metric), scores.sign
    order = sorted(scores.arms, key=lambda arm: -sign * scores.table_means(arm).mean())
    rows = []
    for arm in order:
        means = scores.table_means(arm)
        low, high = bootstrap_interval(means, study.level)
        seeds = scores.of[arm].mean(axis=2)
        num_cells = int(np.isfinite(seeds).sum())
        spread = f"{np.nanmin(seeds):.3f} to {np.nanmax(seeds):.3f}"
        rows.append([arm, _figure(means.mean()), f"{low:.3f} to {high:.3f}", spread, str(num_cells)])
    for baseline, values in scores.baselines.items():
        low, high = bootstrap_interval(values, study.level)
        rows.append([_plain(baseline), _figure(values.mean()), f"{low:.3f} to {high:.3f}", "", ""])
    blocks = [
        table(
            ["arm", name, f"{study.level:.0%} interval, tables as units", "lowest to highest cell", "cells"],
            rows,
            f"{name}, mean over the tables of the suite {scores.suite}; seeds averaged first, bootstrap over "
            "tables. Tables differ more than arms do, so these intervals overlap even where differences, "
            "which "
            "are paired, are clear.",
        )
    ]
    blocks += _curves(study, scores)
    if scores.comparisons:
        blocks += _comparisons(study, scores)
    ranked = {arm: scores.table_means(arm) * sign for arm in order if arm not in LEARNS_NOTHING}
    if len(ranked) > 1 and len(scores.tables) > 1:
        found = average_ranks(np.stack(list(ranked.values())), study.level)
        ranks = dict(zip(ranked, found.means.tolist(), strict=True))
        shows = "shows" if found.friedman < 1 - study.level else "does not show"
        blocks.append(
            figure(
                "ranks",
                critical_differences(ranks, found.critical_difference),
                f"Average ranks over tables, seeds averaged first; a bar joins arms that Nemenyi's test does "
                f"not tell apart. Friedman's test {shows} that they differ at all "
                f"(p = {found.friedman:.2g}). Tables alone are units here: this speaks of these very models.",
            )
        )
    if scores.comparisons:
        shown = {
            arm: found.tables for arm, (found, _) in scores.comparisons.items() if arm not in LEARNS_NOTHING
        }
        if shown:
            blocks.append(
                figure(
                    "tables",
                    table_differences(scores.tables, shown, f"{name}, arm minus {scores.reference}"),
                    f"Table by table: each arm minus {scores.reference}, mean over seeds"
                    + (", turned so that right is better." if sign < 0 else "."),
                )
            )
    columns = {arm: scores.table_means(arm) for arm in order} | {
        _plain(baseline): values for baseline, values in scores.baselines.items()
    }
    rows = [
        [one, *(_figure(values[i]) for values in columns.values())] for i, one in enumerate(scores.tables)
    ]
    blocks.append(table(["table", *columns], rows, f"{name} of every table, mean over seeds."))
    return blocks


def _curves(study: Study, scores: Scores) -> list[Block]:
    curves, steps = {}, study.eval_steps
    of_cell = scores.on_suite.groupby(["arm", "data_seed", "model_seed", "step"])["value"].mean()
    for arm in scores.arms:
        by_step = of_cell[arm].unstack("step")
        if arm == "untrained":
            by_step = by_step.reindex(columns=[0] * len(steps))
        by_step = by_step.reindex(columns=by_step.columns if arm == "untrained" else steps).to_numpy(float)
        if np.isfinite(by_step).any(axis=0).all():
            ends = np.nanmean(by_step, axis=0), np.nanmin(by_step, axis=0), np.nanmax(by_step, axis=0)
            curves[arm] = ends
    if not curves:
        return []
    controls = [arm for arm in curves if scores.roles[arm] == "control"]
    baselines = {name: float(values.mean()) for name, values in scores.baselines.items()}
    svg = learning_curves(steps, curves, controls, baselines, _metric_name(study.metric))
    caption = (
        f"{_metric_name(study.metric)} on the suite {scores.suite} against training steps, mean over "
        "tables and "
        "seeds; the bands reach from the lowest to the highest cell. Controls are grey, baselines dotted."
    )
    return [figure("curves", svg, caption)]


def _comparisons(study: Study, scores: Scores) -> list[Block]:
    rows, shown = [], {}
    wilcoxon = {
        arm: found.wilcoxon for arm, (found, _) in scores.comparisons.items() if scores.roles[arm] == "arm"
    }
    adjusted_wilcoxon = dict(zip(wilcoxon, holm(list(wilcoxon.values())), strict=True))
    for arm, (found, adjusted) in scores.comparisons.items():
        worse, neither, better = bayesian_signed_rank(found.tables, study.rope)
        rows.append(
            [
                arm,
                f"{found.mean:+.4f}",
                f"{found.interval[0]:+.4f} to {found.interval[1]:+.4f}",
                f"{adjusted:.2g}",
                "yes" if shows_difference(found, adjusted, study.level) else "no",
                f"{found.bootstrap[0]:+.4f} to {found.bootstrap[1]:+.4f}",
                f"{adjusted_wilcoxon.get(arm, found.wilcoxon):.2g}",
                f"{found.wins}, {found.losses}",
                f"{worse:.2f} / {neither:.2f} / {better:.2f}",
            ]
        )
        if arm not in LEARNS_NOTHING:
            shown[arm] = found.mean, found.interval
    turned = " Turned so that more is better." if scores.sign < 0 else ""
    level = f"{study.level:.0%}"
    blocks = [
        table(
            [
                "arm",
                "difference",
                f"{level} interval, tables and seeds",
                "p (Holm)",
                "shown",
                f"{level} bootstrap, tables alone",
                "Wilcoxon p (Holm)",
                "tables won, lost",
                "worse / same / better",
            ],
            rows,
            f"Each arm minus {scores.reference}, paired by table and seeds.{turned} The first interval "
            "and its p "
            "speak of the priors: other seeds, other tables. Bootstrap, Wilcoxon's signed ranks and the last "
            "column have tables alone as units, and speak of these very models. The last column: "
            "probabilities "
            f"of the Bayesian signed-rank test that {scores.reference} is better by {study.rope:g} or more, "
            "that neither is, that the arm is.",
        )
    ]
    if shown:
        svg = intervals(shown, study.rope, f"{_metric_name(study.metric)}, arm minus {scores.reference}")
        caption = (
            f"Differences from {scores.reference} with their {level} intervals over tables and seeds, not "
            f"adjusted for their number; grey ones include zero. Within the grey band, {study.rope:g} to "
            "either "
            "side, a difference does not matter."
        )
        blocks.insert(0, figure("differences", svg, caption))
    return blocks


def _controls(study: Study, scores: Scores, records: "pd.DataFrame") -> list[Block]:
    blocks = []
    roc_auc = records[(records["metric"] == "roc_auc") & records["is_final"] & (records["fold"] == POOLED)]
    real = roc_auc[(roc_auc["target"] == "real") & (roc_auc["suite"] == scores.suite)]
    for control in (name for name in LEARNS_NOTHING if name in scores.of):
        means = real[real["arm"] == control].groupby("task")["value"].mean().to_numpy(float)
        low, high = bootstrap_interval(means, study.level)
        said = f"{control}: ROC AUC {means.mean():.3f} ({low:.3f} to {high:.3f} over tables)"
        if low <= 0.5 <= high:
            blocks.append(text(f"{said}, no better than chance, as it should be."))
        elif abs(means.mean() - 0.5) <= CHANCE:
            blocks.append(text(f"{said}, within {CHANCE:g} of chance, as it should be."))
        elif control == "untrained":
            blocks.append(
                text(f"{said}: what the architecture knows of tables before it has learned. Arms are to be "
                     "compared with it, not with 0.5.")
            )  # fmt: skip
        else:
            blocks.append(
                warning(f"{said}: not at chance, though its labels tell nothing. Look for leakage before "
                        "believing anything here, or train for longer: its first steps are those of any arm.")
            )  # fmt: skip
    own = roc_auc[(roc_auc["arm"] == "scrambled") & (roc_auc["suite"] == "scrambled")]
    if len(own):
        blocks.append(
            text(f"scrambled, on held-out datasets with scrambled labels: ROC AUC {own['value'].mean():.3f}; "
                 "anything but about 0.5 would be a leak.")
        )  # fmt: skip
    if "repeated" in scores.comparisons:
        found, adjusted = scores.comparisons["repeated"]
        words = scores.words("repeated")
        if shows_difference(found, adjusted, study.level):
            blocks.append(
                warning(f"{words} It is the same prior with other data seeds, so this is noise that the "
                        "interval "
                        "missed, as it may once in twenty studies: trust no difference of this size.")
            )  # fmt: skip
        else:
            blocks.append(
                text(f"{words} It is the same prior with other data seeds: so large is noise here.")
            )
    return blocks or [warning("This study has no controls.")]


def _cross_prior(study: Study, records: "pd.DataFrame") -> list[Block]:
    own = records[(records["target"] == "prior") & records["is_final"] & (records["metric"] == study.metric)]
    if own.empty:
        return []
    names = [arm.name for arm in resolve_arms(study)]
    means = own.groupby(["arm", "suite"])["value"].mean().unstack()
    rows = [name for name in names if name in means.index]
    columns = [name for name in names if name in means.columns]
    values = means.loc[rows, columns].to_numpy(float)
    sign = -1 if study.metric in LOWER_IS_BETTER else 1
    name = _metric_name(study.metric)
    body = [[row, *map(_figure, line)] for row, line in zip(rows, values, strict=True)]
    svg = heat_map(rows, columns, values, sign, f"{name}, behind the best")
    return [
        figure(
            "priors",
            svg,
            f"{name} of the models of each arm (rows) on held-out datasets of each arm's prior (columns), "
            "mean "
            "over datasets and seeds. Columns differ in how hard their datasets are, so compare within one; "
            "the best of each is bold.",
        ),
        table(["trained on", *columns], body, f"The same as figures: {study.held_out} datasets a data seed."),
    ]


def _properties(study: Study, scores: Scores, records: "pd.DataFrame") -> list[Block]:
    """What the datasets of each prior look like, beside what its models reached on real tables."""
    chosen = records[records["target"] == "properties"]
    is_suite, from_suite = chosen["role"] == "suite", chosen["suite"] == scores.suite
    is_distance = chosen["metric"].isin(list(DISTANCES))
    of_priors = chosen[~is_suite & (~is_distance | from_suite)]
    means = of_priors.groupby(["arm", "metric"])["value"].mean().unstack()
    arms = [arm for arm in scores.arms if arm in means.index]
    if not arms:
        return []
    names = [name for name in PROPERTIES | DISTANCES if name in means.columns]
    means = means[names]
    of_suite = chosen[is_suite & from_suite].groupby("metric")["value"].mean().reindex(names)
    reached = {arm: float(scores.table_means(arm).mean()) for arm in arms}
    ranks = {
        name: _spearman(means.loc[arms, name].to_numpy(float), np.array(list(reached.values())) * scores.sign)
        for name in names
    }
    labels = PROPERTIES | DISTANCES
    score_name = _metric_name(study.metric)
    rows = [[arm, _figure(reached[arm]), *map(_figure, means.loc[arm].to_numpy(float))] for arm in arms]
    if of_suite.notna().any():
        rows.append([f"tables of {scores.suite}", "", *map(_figure, of_suite.to_numpy(float))])
    rows.append(["rank correlation with the score", "", *(_figure(ranks[name]) for name in names)])
    return [
        figure(
            "properties",
            scatter(
                {labels[name]: means.loc[arms, name].to_dict() for name in names},
                reached,
                {labels[name]: float(of_suite[name]) for name in names},
                score_name,
            ),
            f"What the {study.held_out} held-out datasets a data seed of each prior are like, means, against "
            f"the {score_name} of its models on the suite {scores.suite}. Dotted: the real tables.",
        ),
        table(
            ["prior", score_name, *(labels[name] for name in names)],
            rows,
            "The same as figures. Forest and logistic regression learn on half of the rows and are scored on "
            "the others. The discriminator, a random forest, tells the prior's datasets from real tables by "
            "the properties left of it, sizes aside: 0.5 is alike, 1 always told apart. A real table is "
            "within a prior if it is as near to one of its datasets as 95% of these are to each other.",
        ),
        text(
            f"The last row is Spearman's, over {len(arms)} priors: of so few, and of so many properties, one "
            "may be large by chance, and none of them tells of a cause."
        ),
    ]


def _spearman(x: np.ndarray, y: np.ndarray) -> float:
    there = np.isfinite(x) & np.isfinite(y)
    if there.sum() < 3 or np.ptp(x[there]) == 0 or np.ptp(y[there]) == 0:
        return float("nan")
    return float(spearmanr(x[there], y[there]).statistic)


def _variance(scores: Scores) -> list[Block]:
    arms = [arm for arm in scores.arms if arm not in LEARNS_NOTHING and np.isfinite(scores.of[arm]).all()]
    if len(arms) < 2 or len(scores.tables) < 2:
        return []
    found = variance_components(np.stack([scores.of[arm] for arm in arms]))
    whole = np.nansum(np.square(list(found.values())))
    rows = [
        [name, "" if np.isnan(value) else f"{value:.4f}", "" if np.isnan(value) or not whole
         else f"{value**2 / whole:.1%}"]
        for name, value in found.items()
    ]  # fmt: skip
    return [
        table(
            ["source", "standard deviation", "share of the variance"],
            rows,
            f"What a score owes to each source (analysis of variance over {', '.join(arms)}; components "
            "below "
            "zero are shown as 0). prior x table: that different tables gain from different priors.",
        )
    ]


def _metrics(study: Study, scores: Scores, records: "pd.DataFrame") -> list[Block]:
    final = records[records["is_final"] & (records["target"] == "real") & (records["fold"] == POOLED)]
    blocks = []
    for suite in study.suites:
        means = final[final["suite"] == suite].groupby(["arm", "metric"])["value"].mean().unstack()
        order = [name for name in [*scores.arms, *study.baselines] if name in means.index]
        rows = [
            [
                name if name in scores.arms else _plain(name),
                *(_figure(means.loc[name, metric]) for metric in METRICS),
            ]
            for name in order
        ]
        header = [
            _metric_name(metric) + (" (less is better)" if metric in LOWER_IS_BETTER else "")
            for metric in METRICS
        ]
        caption = f"Suite {suite}: means over tables and seeds, after the last step, folds pooled."
        blocks.append(table(["arm", *header], rows, caption))
    return blocks


def _gallery(study: Study) -> list[Block]:
    blocks = []
    for arm in resolve_arms(study):
        if not arm.has_prior or arm.own_data_seeds:
            continue
        seed = study.data_seeds[0]
        try:
            svg = gallery(_graphs_of(arm, seed), _datasets_of(arm, study, seed))
        except Exception as error:  # whatever a user's own mechanism raises
            blocks.append(warning(f"{arm.name}: cannot be drawn: {error}"))
            continue
        graphs = "Above, causal graphs as it draws them, causes on top. " if arm.config else ""
        blocks.append(
            figure(
                f"prior-{len(blocks) + 1}",
                svg,
                f"{arm.name}. {graphs}{'Below, t' if graphs else 'T'}he first two features of datasets of "
                "data "
                f"seed {seed}, coloured by class.",
            )
        )
    return blocks


def _graphs_of(arm: Arm, seed: int) -> list[tuple[str, Any]]:
    return sample_graphs(arm.config, GALLERY_SIZE, seed) if arm.config else []


def _datasets_of(arm: Arm, study: Study, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    batch = next(iter(arm.loader(study, seed)))
    datasets = [
        (x.numpy(), y.numpy())
        for part in batch.get("parts", [batch])
        for x, y in zip(part["x"], part["y"], strict=True)
    ]
    return datasets[:GALLERY_SIZE]


def _provenance(plan: Plan, records: "pd.DataFrame", folder: Path) -> list[Block]:
    notes = _cell_notes(plan, folder)
    kinds: dict[str, int] = {}
    for note in notes.values():
        line = ", ".join(f"{name} {value}" for name, value in note.items())
        kinds[line] = kinds.get(line, 0) + 1
    done = [json.loads(path.read_text()) for path in sorted(folder.glob("cells/*/done.json"))]
    skipped = sum(note["num_skipped"] for note in done)
    blocks = [Block("list", items_=tuple(f"{count} cells: {line}" for line, count in kinds.items()))]
    hours = sum(note["cpu_seconds"] for note in done) / 3600
    blocks.append(
        text(
            f"{len(done)} trainings took {hours:.2f} CPU-hours together; {skipped} damaged datasets were "
            "skipped. "
            f"{len(records):,} records, with the columns {', '.join(COLUMNS)}, are in records.parquet and "
            "records.csv. The study as it was run; saved as a file (.json), it runs again:"
        )
    )
    blocks.append(Block("code", plan.study.model_dump_json(indent=1, exclude_defaults=True)))
    blocks.append(Block("code", "nanotabpfn study run study.json --out again\nnanotabpfn study report again"))
    return blocks


def _cell_notes(plan: Plan, folder: Path) -> dict[str, dict[str, str]]:
    """Key -> what computed the cell."""
    notes = {}
    for planned in plan.cells:
        path = folder / "cells" / planned.key / "config.json"
        if path.exists():
            notes[planned.key] = json.loads(path.read_text())["provenance"]
    return notes


def _metric_name(metric: str) -> str:
    return {"roc_auc": "ROC AUC"}.get(metric, _plain(metric))


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _figure(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"


# ------------------------------------------------------------------------------------------------- pages


def write_report(folder: str | Path) -> tuple[Path, Path]:
    """Write `report.html`, `report.md` and its `figures` from what a study has so far.

    Returns:
        The page and the Markdown.

    Raises:
        StudyError: no study is there, or nothing of it is scored.
    """
    pandas()
    folder = Path(folder)
    plan = plan_study(read_study(folder))
    sections = build_report(plan, collect_records(plan, folder), folder)
    (folder / "figures").mkdir(exist_ok=True)
    for section in sections:
        for block in section.blocks:
            if block.kind == "figure":
                write_atomically(folder / "figures" / f"{block.name}.svg", block.text.encode())
    page, markdown = folder / "report.html", folder / "report.md"
    write_atomically(page, to_html(plan.study.name, sections).encode())
    write_atomically(markdown, to_markdown(plan.study.name, sections).encode())
    return page, markdown


def to_html(title: str, sections: list[Section]) -> str:
    """One page: styles, scripts and figures are in it."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise StudyError('a report needs jinja2: pip install "nanotabpfn-priors[studies]"') from error
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((files("nanotabpfn.studies") / TEMPLATE).read_text(encoding="utf-8"))
    return template.render(title=title, sections=sections)


def to_markdown(title: str, sections: list[Section]) -> str:
    """The same as Markdown, its figures as files in `figures`."""
    lines = [f"# {_escaped(title)}", ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        for block in section.blocks:
            lines += [*_markdown(block), ""]
    return "\n".join(lines)


def _markdown(block: Block) -> list[str]:
    if block.kind == "text":
        return [_escaped(block.text)]
    if block.kind == "warning":
        return [f"> **Note.** {_escaped(block.text)}"]
    if block.kind == "list":
        return [f"- {_escaped(item)}" for item in block.items_]
    if block.kind == "code":
        return ["```", block.text, "```"]
    if block.kind == "figure":
        return [f"![{_escaped(block.caption)}](figures/{block.name}.svg)", "", f"*{_escaped(block.caption)}*"]
    rule = ["---" if i == 0 or i in block.text_columns else "--:" for i in range(len(block.header))]
    rows = [[_escaped(cell) for cell in row] for row in (block.header, *block.rows)]
    rows.insert(1, rule)
    return [_escaped(block.caption), "", *(f"| {' | '.join(row)} |" for row in rows)]


def _escaped(words: str) -> str:
    """Text that Markdown shows as it is: names of arms are the user's."""
    words = escape(words, quote=False).replace("&gt;", ">")
    for mark in "\\`*_[]|":
        words = words.replace(mark, "\\" + mark)
    return words
