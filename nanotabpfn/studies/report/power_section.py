"""What the study could show: the smallest difference in two metrics, from its own variances and as
planned."""

import numpy as np

from nanotabpfn.studies.planned_power import Smallest, design_of, smallest_of
from nanotabpfn.studies.power import POWER, Components, components_of
from nanotabpfn.studies.report.blocks import Block, metric_name, table, text
from nanotabpfn.studies.report.scores import LEARNS_NOTHING, Scores
from nanotabpfn.studies.variances import nearest_variances


def own_components(begun: Scores) -> Components | None:
    """The components of the differences between the arms of the study; None if it is too small for them.

    Args:
        begun: the scores without trainings that had not begun.
    """
    arms = [values for arm, values in begun.of.items() if arm not in LEARNS_NOTHING]
    try:
        return components_of(arms) if len(arms) > 1 else None
    except ValueError:
        return None


def _smallest(scores: Scores, components: Components) -> Smallest:
    design = design_of(scores.study, len(scores.tables))
    return smallest_of(components, design, scores.study.level, _num_comparisons(scores))


def _num_comparisons(scores: Scores) -> int:
    return max(1, _num_compared(scores))


def _num_compared(scores: Scores) -> int:
    return sum(scores.roles[arm] == "arm" for arm in scores.comparisons)


def power_words(begun: Scores) -> list[Block]:
    """The smallest difference that such studies show, in a sentence."""
    components = own_components(begun)
    if components is None or (begun.designs and not _num_compared(begun)):
        return []
    alone, adjusted = _smallest(begun, components)
    number = _num_comparisons(begun)
    words = (
        f"With the variances that were found, {POWER:.0%} of such studies show a true difference of "
        f"{alone:.4f} in {metric_name(begun.metric)}"
    )
    of_all = f" if it is the only one that is tested; each of {number} must be {adjusted:.4f} (Holm)" * (
        number > 1
    )
    return [text(f"{words}{of_all}.")]


def power_table(begun: Scores, second: Scores) -> list[Block]:
    """The smallest differences in two metrics, reached and planned, with the components that they follow
    from."""
    rows = []
    for scores in (begun, second):
        components = own_components(scores)
        if components is None:
            return []
        planned = nearest_variances(scores.study).of(scores.study, scores.metric)
        halves = [np.diff(found.interval)[0] / 2 for arm, (found, _) in scores.comparisons.items()
                  if arm not in LEARNS_NOTHING]  # fmt: skip
        rows.append(
            [
                metric_name(scores.metric),
                *(f"{value:.4f}" for value in _smallest(scores, components)),
                *(f"{value:.4f}" for value in _smallest(scores, planned)),
                f"{np.median(halves):.4f}" if halves else "",
                *(f"{value:.4f}" for value in (components.tables, components.pairs, components.rest)),
            ]
        )
    header = [
        "metric",
        "one comparison",
        "each of all (Holm)",
        "planned: one comparison",
        "planned: each of all",
        "median of half the intervals",
        "standard deviation: tables",
        "pairs of seeds",
        "rest",
    ]
    caption = (
        f"The smallest true differences that {POWER:.0%} of such studies show, from the variances of the "
        "differences between this study's arms, without trainings that had not begun, and as `nanotabpfn "
        "study plan` says beforehand from variances that ship with the package. The standard deviations are "
        "those of a difference: over tables, over pairs of seeds on all tables together, and of one pair on "
        "one table."
    )
    return [table(header, rows, caption)]
