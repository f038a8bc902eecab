"""Scores of estimators on real tables, and the text table that shows them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nanotabpfn.evaluation.metrics import LOWER_IS_BETTER


class Score(NamedTuple):
    """What one estimator reached on one table with classes.

    Examples:
        >>> Score("iris", "forest", roc_auc=0.9, log_loss=0.4, num_rows=150, num_features=4).roc_auc
        0.9
    """

    table: str
    estimator: str
    roc_auc: float
    log_loss: float  # lower is better
    num_rows: int  # rows that the score is over
    num_features: int


class RegressionScore(NamedTuple):
    """What one estimator reached on one table with a real target.

    Examples:
        >>> RegressionScore("diabetes", "ridge", 0.5, 54.0, None, num_rows=442, num_features=10).r2
        0.5
    """

    table: str
    estimator: str
    r2: float
    rmse: float  # in the target's units
    log_density: float | None
    """Mean log density of the targets, in units of the training rows' standard deviation; None of an
    estimator that predicts no distribution."""
    num_rows: int  # rows that the score is over
    num_features: int


def mean_over_samples(scores: Sequence[Any]) -> Any:
    """One score in the place of those of one estimator on samples of one table: the mean of each figure.

    >>> samples = [Score("iris", "tree", 1.0, 0.2, 150, 4), Score("iris", "tree", 0.5, 0.4, 150, 4)]
    >>> mean_over_samples(samples).roc_auc
    0.75
    """
    figures = {
        name: float(np.mean([getattr(score, name) for score in scores]))
        for name, value in scores[0]._asdict().items()
        if isinstance(value, float)
    }
    return scores[0]._replace(**figures)


def format_scores(scores: Sequence[Any], figure: str = "roc_auc") -> str:
    """An aligned text table that is Markdown too: tables down, estimators across, then the mean over tables.

    Below the mean of the ROC AUC is that of the log loss. The best figure of a row is bold, **so**, all of
    them where they agree to the three digits shown.

    Args:
        scores: of `evaluate`, or others with `table`, `estimator`, `num_rows`, `num_features` and `figure`,
            and with `log_loss` next to a `roc_auc`.
        figure: the field of a score that is shown.

    Raises:
        ValueError: no scores, or not exactly one score of each estimator on each table.

    >>> scores = [Score("iris", "forest", 0.9, 0.3, 150, 4), Score("iris", "tree", 0.8, 0.9, 150, 4)]
    >>> print(format_scores(scores))
    | table         | rows | features |    forest |  tree |
    | ------------- | ---: | -------: | --------: | ----: |
    | iris          |  150 |        4 | **0.900** | 0.800 |
    | mean          |      |          | **0.900** | 0.800 |
    | mean log loss |      |          | **0.300** | 0.900 |
    """
    if not scores:
        raise ValueError(f"scores must hold at least one score, got {scores!r}")
    tables = {score.table: score for score in scores}  # in order of appearance
    estimators = list(dict.fromkeys(score.estimator for score in scores))
    found = {(score.table, score.estimator): score for score in scores}
    if not len(scores) == len(found) == len(tables) * len(estimators):
        raise ValueError(
            f"scores must hold exactly one score of each estimator on each table, got {len(scores)} scores "
            f"of {len(estimators)} estimators on {len(tables)} tables"
        )

    rows = [["table", "rows", "features", *estimators]]
    for table, score in tables.items():
        figures = [getattr(found[table, estimator], figure) for estimator in estimators]
        rows.append([table, str(score.num_rows), str(score.num_features), *_mark_best(figures, figure)])
    means = {"mean": figure} | ({"mean log loss": "log_loss"} if figure == "roc_auc" else {})
    for words, name in means.items():
        figures = [np.mean([getattr(found[table, own], name) for table in tables]) for own in estimators]
        rows.append([words, "", "", *_mark_best(figures, name)])

    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    # In Markdown the rule under the header aligns the columns: names to the left, figures to the right.
    rows.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _mark_best(figures: Sequence[float], name: str) -> list[str]:
    """Three digits each, the best in bold; a single figure is not marked."""
    texts = [f"{figure:.3f}" for figure in figures]
    best = (min if name in LOWER_IS_BETTER else max)(texts, key=float)
    return [f"**{text}**" if text == best and len(texts) > 1 else text for text in texts]
