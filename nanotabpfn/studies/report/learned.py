"""Whether any arm of a study learned something: is shown to be better than the untrained model.

The metric is ROC AUC, whatever the study's: a model that has only learned the shares of the classes has a
better log loss than the untrained one, and distinguishes no rows.

Axis letters: D data seeds, M model seeds, T tables, N held-out datasets.
"""

from typing import TYPE_CHECKING

import numpy as np

from nanotabpfn.studies.report.beginnings_section import late_shares
from nanotabpfn.studies.report.blocks import Block, warning
from nanotabpfn.studies.report.scores import Scores, compare_complete, grid
from nanotabpfn.studies.spec import DRAWN
from nanotabpfn.studies.statistics import Comparison, shows_difference
from priors.audit.compare import holm

if TYPE_CHECKING:
    import pandas as pd

UNTRAINED = "untrained"
RISE = 0.005
"""Of ROC AUC in the second half of the steps: a curve that rises by less is called flat."""

FEW_STEPS = 1000
"""The slowest recorded training that began needed 700 steps (nanotabpfn/training/beginning.py). So more steps
are the remedy up to here."""


def nothing_learned(scores: Scores, records: "pd.DataFrame") -> list[Block]:
    """A warning if no arm is shown to be better than the untrained control, on real tables or on held-out
    datasets of its own prior, with what to do. Nothing if there is no such control.

    Args:
        scores: in ROC AUC.
    """
    arms = [arm for arm in scores.arms if scores.roles[arm] in ("arm", DRAWN)]
    if UNTRAINED not in scores.of or not arms:
        return []
    level = scores.study.level
    for found in (_on_tables(scores, arms), _on_held_out(scores, records, arms)):
        adjusted = holm([one.p_value for one in found])
        if any(
            one.mean > 0 and shows_difference(one, p, level) for one, p in zip(found, adjusted, strict=True)
        ):
            return []
    return [
        warning(
            "Nothing was learned; train longer. No arm is shown to be better than the untrained model in "
            "ROC AUC, neither on real tables nor on held-out datasets of its own prior. So the differences "
            f"below say nothing about priors. {_late(scores, records)}{_suggestion(scores, arms)}"
        )
    ]


def _on_tables(scores: Scores, arms: list[str]) -> list[Comparison]:
    found = [scores.compare_with(arm, UNTRAINED) for arm in arms]
    return [one for one in found if one is not None]


def _on_held_out(scores: Scores, records: "pd.DataFrame", arms: list[str]) -> list[Comparison]:
    """Each arm minus the untrained model on the arm's held-out datasets. These differ between data seeds: so
    with several seeds the seeds are the units, with one the datasets are."""
    held_out = records[
        (records["target"] == "prior") & (records["metric"] == scores.metric) & records["is_final"]
    ]
    found = []
    for arm in arms:
        own = held_out[held_out["suite"] == arm]
        datasets = list(dict.fromkeys(own["task"]))
        pair = [grid(scores.study, own, name, datasets) for name in (arm, UNTRAINED)]
        differences = pair[0] - pair[1]  # (D, M, N)
        if len(scores.study.seeds) > 1:
            # Some datasets have no ROC AUC: all of their test rows are of one class.
            counts = np.isfinite(differences).sum(axis=2, keepdims=True)
            differences = np.divide(np.nansum(differences, axis=2, keepdims=True), counts, where=counts > 0,
                                    out=np.full(counts.shape, np.nan))  # fmt: skip
        else:
            differences = differences[..., np.isfinite(differences).all(axis=(0, 1))]
        found.append(compare_complete(differences, scores.study.level) if differences.size else None)
    return [one for one in found if one is not None]


def _late(scores: Scores, records: "pd.DataFrame") -> str:
    """How many trainings had not begun, if there are any and it is known."""
    shares = [
        share for arm, share in late_shares(scores, records).items() if scores.roles[arm] in ("arm", DRAWN)
    ]
    late = sum(share.not_begun for share in shares)
    if not late:
        return ""
    known = sum(share.known for share in shares)
    return f"Of {known} trainings of the arms {late} had not begun: their loss is that of the class shares. "


def _suggestion(scores: Scores, arms: list[str]) -> str:
    """What to change, from the learning curves."""
    study = scores.study
    ends = {arm: np.nanmean(scores.curve(arm)[:, -1]) for arm in arms}
    arm = max(ends, key=ends.__getitem__)
    of_cells = scores.curve(arm)
    there = np.isfinite(of_cells).any(axis=0)
    steps = np.array(study.eval_steps)[there].tolist()
    curve = dict(zip(steps, np.nanmean(of_cells[:, there], axis=0).tolist(), strict=True))
    untrained = scores.table_means(UNTRAINED).mean()
    seen = (
        f"The highest learning curve, of {arm}, ends at {curve[study.steps]:.3f} after {study.steps} steps; "
        f"the untrained model has {untrained:.3f}."
    )
    half = min(curve, key=lambda step: abs(step - study.steps / 2))
    rise = curve[study.steps] - curve[half]
    if half == study.steps:
        how = ""
    elif rise >= RISE:
        how = f" It still rises, by {rise:.3f} since step {half}."
    else:
        how = f" It has not risen since step {half} ({rise:+.3f})."
    more = max(FEW_STEPS, 2 * study.steps)
    remedy = f" Set steps to {more}: `nanotabpfn study run` extends the trainings that are there."
    if study.steps >= FEW_STEPS and rise < RISE:
        remedy = f" Trainings that begin do so before step {FEW_STEPS}: set a lower lr, or recipe: warm-up."
    return f"{seen}{how}{remedy}"
