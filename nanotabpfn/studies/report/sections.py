"""The sections of the report, in their order."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nanotabpfn.evaluation.metrics import LOWER_IS_BETTER, METRICS
from nanotabpfn.studies.records import COLUMNS
from nanotabpfn.studies.report.beginnings_section import beginnings, late_shares, late_words, without_late
from nanotabpfn.studies.report.blocks import (
    Block,
    Section,
    metric_name,
    plain,
    table,
    text,
    three_digits,
    warning,
)
from nanotabpfn.studies.report.controls_section import controls
from nanotabpfn.studies.report.differences import differences_table
from nanotabpfn.studies.report.doses_section import dose_words, doses, responses
from nanotabpfn.studies.report.effect_analyses import used_shapes
from nanotabpfn.studies.report.effects_section import (
    effect_words,
    main_effects,
    quieter_words,
    second_words,
)
from nanotabpfn.studies.report.learned import UNTRAINED, nothing_learned
from nanotabpfn.studies.report.methods_section import methods
from nanotabpfn.studies.report.power_section import power_table, power_words
from nanotabpfn.studies.report.priors_sections import cross_prior, priors_gallery, priors_properties
from nanotabpfn.studies.report.scores import LEARNS_NOTHING, Scores
from nanotabpfn.studies.report.tables_section import real_tables
from nanotabpfn.studies.saved import SavedStudy
from nanotabpfn.studies.scoring import POOLED
from nanotabpfn.studies.spec import CONTROLS, Study, StudyError
from nanotabpfn.studies.statistics import variance_components

if TYPE_CHECKING:
    import pandas as pd

COSTS = "seconds", "cpu_seconds", "num_skipped", "begun"  # of a cell's notes; the others say what computed it

MOST_NAMES = 12  # of arms in a caption


def build_report(saved: SavedStudy, records: "pd.DataFrame", folder: Path) -> list[Section]:
    """The sections of the report.

    Raises:
        StudyError: no cell of the study is scored yet.
    """
    study = saved.study
    scores, second = Scores(saved, records), Scores(saved, records, study.second_metric)
    if not scores.of:
        raise StudyError(f"{folder}: no cell is scored yet; `nanotabpfn study run` does that")
    shares, of_begun = late_shares(scores, records), without_late(records)
    begun, second_begun = Scores(saved, of_begun), Scores(saved, of_begun, study.second_metric)
    sections = [
        Section(
            "In short",
            [
                *_in_short(saved, scores, second, records),
                *quieter_words(scores, second),
                *late_words(scores, begun, shares),
                *power_words(begun),
            ],
        ),
        Section("Main effects", main_effects(scores, second, begun, second_begun)),
        Section("What was compared", _arms(saved, scores)),
        Section("Real tables", real_tables(scores, second)),
        Section("Doses", doses(scores, second, begun, second_begun)),
        Section("Trainings that begin late", beginnings(scores, begun, shares)),
        Section("Controls", controls(scores, records)),
        Section("Own and other priors", cross_prior(saved, records)),
        Section("What the priors are like", priors_properties(scores, records)),
        Section("Where the variance comes from", [*_variance(scores), *power_table(begun, second_begun)]),
        Section("All metrics", _metrics(study, scores, records)),
        Section("The priors", priors_gallery(saved)),
        Section("Methods", methods(saved, scores, second, records)),
        Section("How it was made", _provenance(saved, records)),
    ]
    return [section for section in sections if section.blocks]


def _in_short(saved: SavedStudy, scores: Scores, second: Scores, records: "pd.DataFrame") -> list[Block]:
    """The question, what limits the answer, the verdicts, and how to read them."""
    study = saved.study
    blocks = nothing_learned(scores if scores.metric == "roc_auc" else second, records)
    blocks += [text(study.question)] if study.question else []
    blocks += [*_missing_controls(study), *_missing_cells(saved, scores), *_single_seeds(scores)]
    blocks += _mixtures(saved)
    if study.controls:
        blocks += [block for block in controls(scores, records) if block.kind == "warning"]
    verdicts = [*effect_words(scores), *second_words(second), *dose_words(scores)]
    verdicts += [scores.words(arm) for arm in scores.comparisons if scores.roles[arm] == "arm"]
    if verdicts:
        blocks.append(Block("list", items_=tuple(verdicts)))
    is_drawn = any(design.is_sample for design in scores.designs)
    of_effects = ", of effects of drawn arms tables and arms" * is_drawn
    blocks.append(
        text(
            f"{metric_name(study.metric)} on the {len(scores.tables)} tables of the suite {scores.suite} "
            f"after {study.steps} steps of {study.batch_size} datasets{study.after_warm_start}; "
            f"{study.repetitions}. Differences are "
            f"positive where the arm is better. In brackets their {study.level:.0%} intervals, with tables "
            f"and seeds as units{of_effects}; claims are adjusted for their number in each list and metric "
            "(Holm), and what is ruled out is so at the level of one interval. A difference that is not "
            "shown may still exist."
        )
    )
    return [*blocks, *differences_table(scores, second, records)]


def _missing_controls(study: Study) -> list[Block]:
    missing = [control for control in CONTROLS if control not in study.controls]
    if not missing:
        return []
    without = "it" if len(missing) == 1 else "them"
    return [
        warning(
            f"This study has no control {', no control '.join(missing)}. Without {without}, part of its "
            "results cannot be separated from noise or error."
        )
    ]


def _missing_cells(saved: SavedStudy, scores: Scores) -> list[Block]:
    states = saved.states
    num_cells = states.total()
    if states["done"] == num_cells:
        return []
    others = ", ".join(f"{states[state]} {state}" for state in ("failed", "waiting") if states[state])
    words = (
        f"Not complete: {states['done']} of {num_cells} cells are done{f' ({others})' if others else ''}. An "
        "arm is compared on the seeds that it and the reference have; means of an arm alone are over the "
        "seeds that it has, and not all arms may have the same; ranks are over those that all arms have."
    )
    alone = [arm for arm in scores.single_arms if arm not in (scores.reference, *scores.comparisons)]
    if alone:
        words += f" Not compared, since no seed has scores of them and of the reference: {', '.join(alone)}."
    return [warning(words)]


def _single_seeds(scores: Scores) -> list[Block]:
    study = scores.study
    blocks = [
        warning(f"One {name}: the effect of another one is not measured, and not part of any interval.")
        for name, seeds in (("data seed", study.data_seeds), ("model seed", study.model_seeds))
        if len(seeds) == 1
    ]
    complete = {name: found.seeds for name, (found, _) in scores.comparisons.items()}
    complete |= {name: one.change.seeds for name, one in responses(scores).items()}
    complete |= {name: shape[1:3] for name, shape in used_shapes(scores).items()}
    planned = next((values.shape[:2] for values in scores.of.values()), (1, 1))
    alone = [
        name
        for name, own in complete.items()
        if any(number == 1 < of for number, of in zip(own, planned, strict=True))
    ]
    if alone:
        words = "So far, or without failed cells, one of several seeds is complete for"
        blocks.append(warning(f"{words} {', '.join(alone)}: its luck is not part of these intervals."))
    return blocks


def _mixtures(saved: SavedStudy) -> list[Block]:
    """Warnings if the cells were not all computed by the same code on the same kind of device."""
    codes = {cell.notes["code"] for cell in saved.cells if "code" in cell.notes}
    devices = {cell.notes["device"] for cell in saved.cells if cell.notes.get("device")}
    blocks = [warning(f"Its cells were computed by {len(codes)} versions of the code.")] * (len(codes) > 1)
    if len(devices) > 1:
        found = " and ".join(sorted(devices))
        blocks.append(warning(f"Its cells were computed on {found}, whose scores differ in the last digits."))
    return blocks


def _arms(saved: SavedStudy, scores: Scores) -> list[Block]:
    study = saved.study
    rows = []
    for arm, description in saved.arms:
        role = "reference" if arm.name == scores.reference else arm.role
        what = CONTROLS[arm.name] if arm.role == "control" else description
        rows.append([arm.name, role, what])
    return [
        table(["arm", "role", "what it is, compared with the preset default"], rows, "The arms.", (1, 2)),
        text(
            f"Every arm: {study.budget}; the same initial weights for a model seed, paired graphs for a data "
            "seed. Model: "
            + ", ".join(f"{name} {value}" for name, value in study.model.model_dump().items())
            + "."
        ),
        *_warm_starts(saved),
    ]


def _warm_starts(saved: SavedStudy) -> list[Block]:
    """What the cells have in common with a warm start, and whether each of these had begun."""
    if saved.study.warm_start is None:
        return []
    late = [cell.model_seed for cell in saved.warm_starts if cell.notes.get("begun") is False]
    blocks = [
        text(
            f"Warm start: all arms of a model seed, {UNTRAINED} excepted, start from the end of one "
            f"training of {saved.study.warm_start.steps} steps, with its optimizer's state and its average "
            "over the steps. So differences are what the arms' own steps change in a model that is already "
            "trained, not those of trainings from the initial weights. Steps are counted from its end."
        )
    ]
    if late:
        seeds = ", ".join(map(str, late))
        blocks.append(
            warning(
                f"Warm starts that had not begun by their end: those of model seeds {seeds}. Their arms are "
                "flagged as late; set more steps in warm_start."
            )
        )
    return blocks


def _variance(scores: Scores) -> list[Block]:
    arms = [arm for arm in scores.arms if arm not in LEARNS_NOTHING and np.isfinite(scores.of[arm]).all()]
    if len(arms) < 2 or len(scores.tables) < 2:
        return []
    found = variance_components(np.stack([scores.of[arm] for arm in arms]))
    whole = np.nansum(np.square(list(found.values())))
    of_arms = ", ".join(arms) if len(arms) <= MOST_NAMES else f"{len(arms)} arms"
    rows = [
        [name, "" if np.isnan(value) else f"{value:.4f}", "" if np.isnan(value) or not whole
         else f"{value**2 / whole:.1%}"]
        for name, value in found.items()
    ]  # fmt: skip
    return [
        table(
            ["source", "standard deviation", "share of the variance"],
            rows,
            f"The contribution of each source to the scores (analysis of variance over {of_arms}; "
            "components below zero are shown as 0). prior x table: different tables gain from different "
            "priors.",
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
                name if name in scores.arms else plain(name),
                *(three_digits(means.loc[name, metric]) for metric in METRICS),
            ]
            for name in order
        ]
        header = [
            metric_name(metric) + (" (less is better)" if metric in LOWER_IS_BETTER else "")
            for metric in METRICS
        ]
        caption = f"Suite {suite}: means over tables and seeds, after the last step, folds pooled."
        blocks.append(table(["arm", *header], rows, caption))
    return blocks


def _provenance(saved: SavedStudy, records: "pd.DataFrame") -> list[Block]:
    cells = [*saved.warm_starts, *saved.cells]
    trained = list({cell.key: cell.notes for cell in cells if cell.notes}.values())
    versions = [{name: note[name] for name in note if name not in COSTS} for note in trained]
    kinds = Counter(", ".join(f"{name} {value}" for name, value in note.items()) for note in versions)
    blocks = [Block("list", items_=tuple(f"{count} cells: {line}" for line, count in kinds.items()))]
    done = [note for note in trained if "seconds" in note]
    hours = sum(note["cpu_seconds"] for note in done) / 3600
    skipped = sum(note["num_skipped"] for note in done)
    costs = (
        f"{len(done)} trainings took {hours:.2f} CPU-hours together, and skipped {skipped} damaged datasets. "
    )
    blocks.append(
        text(
            f"{costs if done else ''}{len(records):,} records, with the columns {', '.join(COLUMNS)}, "
            "are in records.parquet and records.csv. This is the study as it was run; saved as study.json, "
            "it can be run again:"
        )
    )
    blocks.append(Block("code", saved.study.model_dump_json(indent=1, exclude_defaults=True)))
    blocks.append(Block("code", "nanotabpfn study run study.json --out again\nnanotabpfn study report again"))
    return blocks
