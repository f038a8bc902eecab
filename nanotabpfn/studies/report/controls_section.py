"""The section on controls: what the study shows where there is nothing to find."""

from typing import TYPE_CHECKING

from nanotabpfn.studies.report.blocks import Block, text, warning
from nanotabpfn.studies.report.scores import LEARNS_NOTHING, Scores
from nanotabpfn.studies.scoring import POOLED
from nanotabpfn.studies.statistics import bootstrap_interval, shows_difference

if TYPE_CHECKING:
    import pandas as pd

CHANCE = 0.05
"""How far from 0.5 the mean ROC AUC of a model that learned nothing may be, if the interval over tables does
not include 0.5, before the report warns."""


def controls(scores: Scores, records: "pd.DataFrame") -> list[Block]:
    """What each control of the study shows; a warning for each that is not as it should be."""
    roc_auc = records[(records["metric"] == "roc_auc") & records["is_final"] & (records["fold"] == POOLED)]
    blocks = [_against_chance(name, scores, roc_auc) for name in LEARNS_NOTHING if name in scores.of]
    blocks += [*_scrambled_datasets(roc_auc), *_repeated(scores)]
    none = "No control is scored yet." if scores.study.controls else "This study has no controls."
    return blocks or [warning(none)]


def _against_chance(control: str, scores: Scores, roc_auc: "pd.DataFrame") -> Block:
    """Whether a model that learned nothing is at chance on the real tables."""
    real = roc_auc[(roc_auc["target"] == "real") & (roc_auc["suite"] == scores.suite)]
    means = real[real["arm"] == control].groupby("task")["value"].mean().to_numpy(float)
    low, high = bootstrap_interval(means, scores.study.level)
    if len(means) == 1:
        return text(f"{control}: ROC AUC {means[0]:.3f} on the only table, which cannot tell it from chance.")
    found = f"{control}: ROC AUC {means.mean():.3f} ({low:.3f} to {high:.3f} over tables)"
    if low <= 0.5 <= high:
        return text(f"{found}, no better than chance, as it should be.")
    if abs(means.mean() - 0.5) <= CHANCE:
        return text(f"{found}, within {CHANCE:g} of chance, as it should be.")
    if control == "untrained":
        return text(
            f"{found}: what the architecture alone reaches, without training. Compare the arms with it, not "
            "with 0.5."
        )
    if scores.study.warm_start is not None:
        return text(
            f"{found}: labels that are independent of the features did not undo all that the warm start "
            "taught. In a study with a warm start this control shows no leak on real tables; its held-out "
            "datasets do."
        )
    if means.mean() < 0.5:
        return text(
            f"{found}, below chance, which is no leak: with labels that are independent of the features "
            "there is nothing to be right about, and a few models may be wrong together on a few tables. "
            "Whether something leaks is seen on its held-out datasets."
        )
    return warning(
        f"{found}: better than chance, though its labels are independent of the features. Look for leakage "
        "before you use any result of this study, or train for longer: the first steps are the same for any "
        "arm."
    )


def _scrambled_datasets(roc_auc: "pd.DataFrame") -> list[Block]:
    own = roc_auc[(roc_auc["arm"] == "scrambled") & (roc_auc["suite"] == "scrambled")]
    if own.empty:
        return []
    return [
        text(
            f"scrambled, on held-out datasets with scrambled labels: ROC AUC {own['value'].mean():.3f}; "
            "anything but about 0.5 would be a leak."
        )
    ]


def _repeated(scores: Scores) -> list[Block]:
    if "repeated" not in scores.comparisons:
        return []
    words = scores.words("repeated")
    if shows_difference(*scores.comparisons["repeated"], scores.study.level):
        return [
            warning(
                f"{words} It is the same prior with other data seeds, so this is noise that the interval "
                "missed, as it may once in twenty studies: trust no difference of this size."
            )
        ]
    return [text(f"{words} It is the same prior with other data seeds, so this is the size of noise here.")]
