"""The section on trainings that had not begun in time: their share in each arm, and the effects without them.

The rule is that of the watchdog of `nanotabpfn train` (`training/beginning.py`), fixed before any study is
run.

Axis letters: D data seeds, M model seeds, C cells.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from nanotabpfn.studies.designs import Effect, contrasted
from nanotabpfn.studies.report.blocks import Block, estimate_cells, metric_name, table, text
from nanotabpfn.studies.report.effects_section import effect_words
from nanotabpfn.studies.report.scores import LEARNS_NOTHING, Scores
from nanotabpfn.studies.spec import DRAWN
from nanotabpfn.training.beginning import FIRST_VERDICT, WINDOW
from priors.audit.compare import holm

if TYPE_CHECKING:
    import pandas as pd

TRIMMED = 0.2
"""Share of the cells that the trimmed mean leaves out at each end."""


class Share(NamedTuple):
    """The trainings of an arm that had not begun, of those of which it is known."""

    not_begun: int
    known: int
    p_value: (
        float  # of the same share as the reference, adjusted for the number of arms; NaN of the reference
    )

    @property
    def words(self) -> str:
        """The share as a fraction."""
        return f"{self.not_begun} of {self.known}"


def late_shares(scores: Scores, records: "pd.DataFrame") -> dict[str, Share]:
    """Arm -> its share of trainings that had not begun, compared with the reference by Fisher's exact test.

    Empty if it is not known of any training. Controls that learn nothing never begin, and are left out.
    """
    known = records.dropna(subset=["begun"]).drop_duplicates(["arm", "data_seed", "model_seed"])
    counts = {
        arm: (int((~own["begun"].astype(bool)).sum()), len(own))
        for arm in scores.arms
        if arm not in LEARNS_NOTHING and len(own := known[known["arm"] == arm])
    }
    if scores.reference not in counts:
        return {arm: Share(*count, np.nan) for arm, count in counts.items()}
    p_values = {
        arm: fisher_p_value(count, counts[scores.reference])
        for arm, count in counts.items()
        if arm != scores.reference
    }
    arms = [arm for arm in p_values if scores.roles[arm] != "control"]
    p_values |= dict(zip(arms, holm([p_values[arm] for arm in arms]), strict=True))
    return {arm: Share(*count, p_values.get(arm, np.nan)) for arm, count in counts.items()}


class SettingShare(NamedTuple):
    """The arms with late trainings at the two ends of a setting; of each, how many and of how many."""

    effect: Effect
    at_start: tuple[int, int]
    at_end: tuple[int, int]
    p_value: float  # of the same share at both ends, adjusted for the number of effects

    @property
    def cells(self) -> list[str]:
        """The effect and its two shares, as text."""
        effect, start, end = self.effect, "{} of {}".format(*self.at_start), "{} of {}".format(*self.at_end)
        return [effect.path, effect.start, start, effect.end, end]


def late_by_setting(scores: Scores, shares: dict[str, Share]) -> dict[str, list[SettingShare]]:
    """Name of the design -> the share of arms with late trainings at the two ends of each setting.

    Arms, not trainings, are counted, since trainings of one arm have their prior in common. Fisher's exact
    test, adjusted for the number of effects of all designs (Holm). Random designs alone, and of these the
    ones with a training that was late.
    """
    found = {}
    for design in scores.designs:
        is_late = any(shares[arm].not_begun for arm in design.values if arm in shares)
        if not (design.is_sample and is_late):
            continue
        found[design.name] = [
            (one.effect, *(_late_arms(shares, arms) for arms in (one.at_start, one.at_end)))
            for one in contrasted(design)
        ]
    every = [(name, *one) for name, effects in found.items() for one in effects]
    adjusted = holm([fisher_p_value(start, end) for _, _, start, end in every])
    result: dict[str, list[SettingShare]] = {name: [] for name in found}
    for (name, effect, start, end), p_value in zip(every, adjusted, strict=True):
        result[name].append(SettingShare(effect, start, end, p_value))
    return result


def _late_arms(shares: dict[str, Share], arms: tuple[str, ...]) -> tuple[int, int]:
    known = [shares[arm] for arm in arms if arm in shares]
    return sum(share.not_begun > 0 for share in known), len(known)


def fisher_p_value(one: tuple[int, int], other: tuple[int, int]) -> float:
    """Fisher's exact test that two shares (count, of how many) are alike, two-sided.

    >>> round(fisher_p_value((3, 4), (1, 4)), 4)  # the lady tasting tea
    0.4857
    """
    rows = [[count, total - count] for count, total in (one, other)]
    return float(stats.fisher_exact(rows).pvalue)


def without_late(records: "pd.DataFrame") -> "pd.DataFrame":
    """The records without those of trainings that had not begun; controls that learn nothing are kept."""
    is_late = ~records["begun"].fillna(True).astype(bool) & ~records["arm"].isin(LEARNS_NOTHING)
    return records[~is_late]


def late_words(scores: Scores, begun: Scores, shares: dict[str, Share]) -> list[Block]:
    """The verdicts without the trainings that had not begun, and arms whose share differs; nothing if all
    had.

    Args:
        begun: the scores without those trainings.
    """
    late = {arm: share for arm, share in shares.items() if share.not_begun}
    if not late:
        return []
    found = ", ".join([*(f"{arm} {late[arm].words}" for arm in late if arm in scores.single_arms),
                       *_late_by_design(scores, shares)])  # fmt: skip
    verdicts = [begun.words(arm) for arm in begun.comparisons if begun.roles[arm] == "arm"]
    of_settings = effect_words(begun)
    if verdicts:
        rest = "on the seeds whose trainings had begun in both arms:"
    else:
        rest = "on the arms whose trainings had begun:" if of_settings else "no seeds are left."
    words = (
        f"Trainings that had not begun by {_deadline(scores)}: {found}. They are part of the differences "
        f"above. Without them, {rest}"
    )
    lines = (
        *of_settings,
        *verdicts,
        *_different_shares(scores, shares),
        *_different_settings(scores, shares),
    )
    return [text(words), *([Block("list", items_=lines)] if lines else [])]


def _late_by_design(scores: Scores, shares: dict[str, Share]) -> list[str]:
    """The shares of all arms of each random design together."""
    found = []
    for design in scores.designs:
        own = [shares[arm] for arm in design.values if arm in shares and arm not in scores.single_arms]
        late = sum(share.not_begun for share in own)
        if late:
            found.append(f"{late} of {sum(share.known for share in own)} of the arms of {design.name}")
    return found


def _different_shares(scores: Scores, shares: dict[str, Share]) -> list[str]:
    """A sentence for each arm whose share is shown to differ from the reference's."""
    reference, found = shares.get(scores.reference), []
    for arm, share in shares.items():
        if share.p_value < 1 - scores.study.level and scores.roles[arm] != "control":
            more = share.not_begun * reference.known > reference.not_begun * share.known
            found.append(
                f"Trainings of {arm} begin late {'more' if more else 'less'} often than those of "
                f"{scores.reference}: {share.words} and {reference.words} (p = {share.p_value:.2g})."
            )
    return found


def _different_settings(scores: Scores, shares: dict[str, Share]) -> list[str]:
    """A sentence for each change of a setting with which more or fewer arms have late trainings."""
    found = []
    for name, effects in late_by_setting(scores, shares).items():
        for one in effects:
            if one.p_value < 1 - scores.study.level:
                path, start, at_start, end, at_end = one.cells
                found.append(
                    f"{name}: with {path} {end}, trainings of {at_end} arms begin late; with {start}, of "
                    f"{at_start} (p = {one.p_value:.2g})."
                )
    return found


def beginnings(scores: Scores, begun: Scores, shares: dict[str, Share]) -> list[Block]:
    """The share of trainings that had not begun in each arm, and effects that depend less on single
    trainings."""
    if not shares:
        known = text(
            "Whether the trainings had begun is not known: they are of an earlier version of this package, "
            f"or have fewer than {WINDOW} steps."
        )
    else:
        known = _shares_table(scores, shares)
    return [known, *_settings_tables(scores, shares), *_robust(scores, begun if shares else None)]


def _deadline(scores: Scores) -> str:
    deadline = f"step {min(FIRST_VERDICT, scores.study.steps // WINDOW * WINDOW)}"
    if scores.study.warm_start is None:
        return deadline
    return f"{deadline} after the warm start, or whose warm start itself had not begun"


def _shares_table(scores: Scores, shares: dict[str, Share]) -> Block:
    level = scores.study.level
    rows = []
    of_designs = [arm for arm in shares if scores.roles[arm] == DRAWN and not shares[arm].not_begun]
    for arm, share in shares.items():
        if arm in of_designs:
            continue
        low, high = stats.binomtest(share.not_begun, share.known).proportion_ci(level)
        p = "" if np.isnan(share.p_value) else f"{share.p_value:.2g}"
        rows.append([arm, share.words, f"{low:.0%} to {high:.0%}", p])
    if not rows:
        return text("The trainings of all arms had begun in time.")
    header = [
        "arm",
        "had not begun",
        f"{level:.0%} interval of the share",
        f"p, as {scores.reference} (Holm)",
    ]
    caption = (
        f"Trainings that had not begun by {_deadline(scores)}: the mean loss of {WINDOW} steps was not yet "
        "below what the class shares alone reach. Exact intervals (Clopper and Pearson); Fisher's exact "
        "test."
    )
    if of_designs:
        caption += f" {len(of_designs)} arms drawn at random are not listed: their trainings had all begun."
    return table(header, rows, caption)


def _settings_tables(scores: Scores, shares: dict[str, Share]) -> list[Block]:
    """For each design with late trainings, which settings they have."""
    header = [
        "setting",
        "from",
        "arms with late trainings",
        "to",
        "arms with late trainings",
        "p, same share (Holm)",
    ]
    caption = (
        "arms of which at least one training had not begun, at the two ends of each setting; of one with a "
        "distribution, below its median and the others. Fisher's exact test with arms as units."
    )
    return [
        table(
            header, [[*one.cells, f"{one.p_value:.2g}"] for one in effects], f"{name}: {caption}", (1, 2, 4)
        )
        for name, effects in late_by_setting(scores, shares).items()
    ]


def _robust(scores: Scores, begun: Scores | None) -> list[Block]:
    """The differences with all trainings, without late ones (`begun`, if it is known), and medians."""
    rows = []
    for arm, (found, _) in scores.comparisons.items():
        if arm in LEARNS_NOTHING:
            continue
        of_cells = (scores.of[arm] - scores.of[scores.reference]).mean(axis=2).ravel() * scores.sign  # (C,)
        of_cells = of_cells[np.isfinite(of_cells)]
        row = [arm, *estimate_cells(found.mean, found.interval)]
        if begun is not None:
            row += _without_late(begun, arm)
        rows.append(
            [*row, f"{np.median(of_cells):+.4f}", f"{stats.trim_mean(of_cells, TRIMMED):+.4f}"],
        )
    if not rows:
        return []
    interval = f"{scores.study.level:.0%} interval"
    without = [] if begun is None else ["without late ones", interval]
    header = ["arm", "all trainings", interval, *without, "median", f"mean without {TRIMMED:.0%} at each end"]
    left_out = "" if begun is None else "Seeds are left out where a training of either arm had not begun. "
    caption = (
        f"Differences from {scores.reference} in {metric_name(scores.metric)}, positive where the arm is "
        f"better. {left_out}Median and trimmed mean are over all cells, of differences between means over "
        "tables: a single training that failed hardly moves them."
    )
    return [table(header, rows, caption)]


def _without_late(begun: Scores, arm: str) -> list[str]:
    if arm not in begun.comparisons:
        return ["", ""]
    found, _ = begun.comparisons[arm]
    return estimate_cells(found.mean, found.interval)
