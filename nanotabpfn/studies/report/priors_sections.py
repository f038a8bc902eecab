"""The sections on priors: models on own and other priors, properties of the datasets, a gallery."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from nanotabpfn.evaluation.metrics import LOWER_IS_BETTER
from nanotabpfn.studies.arms import COMMON_PRIOR, Arm
from nanotabpfn.studies.properties import DISTANCES
from nanotabpfn.studies.report.blocks import Block, figure, metric_name, table, text, three_digits, warning
from nanotabpfn.studies.report.figures import gallery, heat_map, scatter
from nanotabpfn.studies.report.scores import Scores
from nanotabpfn.studies.saved import SavedStudy
from nanotabpfn.studies.spec import DRAWN, Study
from nanotabpfn.studies.statistics import spearman
from priors.audit.properties import PROPERTIES
from priors.plots.sampled_datasets import sample_datasets
from priors.sampling.structure import Structure
from priors.streams import PRIOR_VERSION

if TYPE_CHECKING:
    import pandas as pd

GALLERY_SIZE = 4
GRAPHS_CAPTION = (
    "Causal graphs: arrows lead from a cause to its effect; blue circles are features, with the number of "
    "their column, the orange diamond is the target, grey dots are not observed."
)
MOST_DRAWN = 3  # arms of random designs that the gallery shows


def cross_prior(saved: SavedStudy, records: "pd.DataFrame") -> list[Block]:
    """The models of each arm on held-out datasets of each arm's prior."""
    study = saved.study
    final = records[records["is_final"] & (records["metric"] == study.metric)]
    own = final[final["target"] == "prior"]
    if own.empty:
        return []
    names = [arm.name for arm, _ in saved.arms if arm.role != DRAWN]
    rows = [name for name in names if (own["arm"] == name).any()]
    columns = [name for name in names if (own["suite"] == name).any()]
    if not columns:
        return []
    is_common = final["target"] == "common"  # none in an earlier version
    of_columns = (final["target"] == "prior") & final["suite"].isin(columns)
    shown, which_seeds = _on_common_seeds(final[(is_common | of_columns) & final["arm"].isin(rows)])
    means = shown[shown["target"] == "prior"].groupby(["arm", "suite"])["value"].mean().unstack()
    values = means.loc[rows, columns].to_numpy(float)
    sign = -1 if study.metric in LOWER_IS_BETTER else 1
    name = metric_name(study.metric)
    common = shown[shown["target"] == "common"].groupby("arm")["value"].mean()
    body = [
        [row, *map(three_digits, line), *([three_digits(common.get(row, np.nan))] if len(common) else [])]
        for row, line in zip(rows, values, strict=True)
    ]
    picture = heat_map(rows, columns, values, sign, f"{name}, behind the best")
    return [
        figure(
            "priors",
            picture,
            f"{name} of the models of each arm (rows) on held-out datasets of each arm's prior (columns), "
            f"mean over datasets and {which_seeds}. Columns differ in how hard their datasets are, so "
            "compare within a column; the best of each is bold.",
        ),
        table(
            ["trained on", *columns, *(["the common prior"] if len(common) else [])],
            body,
            f"The same as numbers: {study.held_out} datasets a data seed"
            + (f"; and on those of the common prior, the preset {COMMON_PRIOR}." if len(common) else "."),
        ),
    ]


def _on_common_seeds(scored: "pd.DataFrame") -> tuple["pd.DataFrame", str]:
    """The scores on the seeds with scores of all arms on all priors, and in words what these seeds are.

    All scores if there are no such seeds.
    """
    pairs = scored[["arm", "target", "suite"]].agg("\0".join, axis=1)  # no name holds this character
    counts = pairs.groupby([scored["data_seed"], scored["model_seed"]]).transform("nunique")
    is_common = counts == pairs.nunique()
    if is_common.all():
        return scored, "seeds"
    if not is_common.any():
        return scored, "the seeds that each arm has, which are not the same"
    return scored[is_common], "the seeds that all of them have"


def priors_properties(scores: Scores, records: "pd.DataFrame") -> list[Block]:
    """The properties of each prior's datasets next to the scores of its models on real tables."""
    study, labels = scores.study, PROPERTIES | DISTANCES
    score_name = metric_name(study.metric)
    means, of_suite = _mean_properties(scores, records)
    arms = [arm for arm in scores.arms if arm in means.index]
    if not arms:
        return []
    reached = {arm: float(scores.table_means(arm).mean()) for arm in arms}
    picture = scatter(
        {labels[name]: means.loc[arms, name].to_dict() for name in means.columns},
        reached,
        {labels[name]: float(of_suite[name]) for name in means.columns},
        score_name,
        [arm for arm in arms if scores.roles[arm] == DRAWN],
    )
    return [
        figure(
            "properties",
            picture,
            f"Means over the {study.held_out} held-out datasets a data seed of each prior, against the "
            f"{score_name} of its models on the suite {scores.suite}. Dotted: the real tables.",
        ),
        table(
            ["prior", score_name, *(labels[name] for name in means.columns)],
            _properties_rows(scores, means, of_suite, reached),
            "The same as numbers. Forest and logistic regression learn on half of the rows and are scored on "
            "the others. The discriminator is a random forest that separates the prior's datasets from real "
            "tables by the properties before it, which leave sizes out: 0.5 if it cannot, 1 if it always "
            "can. A real table is within a prior if it is as near to one of its datasets as 95% of these are "
            "to each other.",
        ),
        text(
            f"The last row is Spearman's, over the {len(_priors(scores, arms))} priors without controls. "
            "Of so many correlations one may be large by chance, and none of them shows a cause."
        ),
    ]


def _properties_rows(
    scores: Scores, means: "pd.DataFrame", of_suite: "pd.Series", reached: dict[str, float]
) -> list[list[str]]:
    """A row for each prior, for the real tables, and for the rank correlations with the score."""
    priors = _priors(scores, reached)
    better = np.array([reached[arm] for arm in priors]) * scores.sign
    ranks = [spearman(means.loc[priors, name].to_numpy(float), better) for name in means.columns]
    rows = [
        [arm, three_digits(score), *map(three_digits, means.loc[arm].to_numpy(float))]
        for arm, score in reached.items()
    ]
    if of_suite.notna().any():
        rows.append([f"tables of {scores.suite}", "", *map(three_digits, of_suite.to_numpy(float))])
    return [*rows, ["rank correlation with the score", "", *map(three_digits, ranks)]]


def _priors(scores: Scores, arms: Iterable[str]) -> list[str]:
    """The arms that are priors of their own: no controls."""
    return [arm for arm in arms if scores.roles[arm] in ("arm", DRAWN)]


def _mean_properties(scores: Scores, records: "pd.DataFrame") -> tuple["pd.DataFrame", "pd.Series"]:
    """Means by arm (rows) and property (columns), and those of the first suite's tables by property."""
    chosen = records[records["target"] == "properties"]
    is_suite, from_suite = chosen["role"] == "suite", chosen["suite"] == scores.suite
    is_distance = chosen["metric"].isin(list(DISTANCES))
    of_priors = chosen[~is_suite & (~is_distance | from_suite)]
    means = of_priors.groupby(["arm", "metric"])["value"].mean().unstack()
    names = [name for name in PROPERTIES | DISTANCES if name in means.columns]
    of_suite = chosen[is_suite & from_suite].groupby("metric")["value"].mean()
    return means[names], of_suite.reindex(names)


def priors_gallery(saved: SavedStudy) -> list[Block]:
    """Graphs and datasets of each prior."""
    study, blocks, num_drawn = saved.study, [], 0
    if saved.prior_version not in (None, PRIOR_VERSION):
        return [
            text(
                f"Not drawn: the models learned from version {saved.prior_version} of the priors, and this "
                f"package draws version {PRIOR_VERSION}."
            )
        ]
    for arm, _ in saved.arms:
        if not arm.has_prior or arm.own_data_seeds:
            continue
        num_drawn += arm.role == DRAWN
        if arm.role == DRAWN and num_drawn > MOST_DRAWN:
            continue
        seed = study.data_seeds[0]
        if arm.config is None and not (arm.dump is not None and arm.dump.is_file()):
            blocks.append(text(f"{arm.name}: not drawn, since its dump or its code is not here."))
            continue
        try:
            picture = gallery(*_drawn(arm, study, seed))
        except Exception as error:  # a mechanism of the user's own may raise anything
            blocks.append(warning(f"{arm.name}: cannot be drawn: {error}"))
            continue
        caption = f"the first two features of datasets of data seed {seed}, coloured by class."
        above = f"{GRAPHS_CAPTION} Below them, {caption}" if arm.config else caption.capitalize()
        blocks.append(figure(f"prior-{len(blocks) + 1}", picture, f"{arm.name}. {above}"))
    return blocks


def _drawn(arm: Arm, study: Study, seed: int) -> tuple[list[Structure], list[tuple[np.ndarray, np.ndarray]]]:
    """The graphs of some datasets of an arm, and the datasets (x, y); a dump has no graphs."""
    if arm.config is not None:
        sampled = sample_datasets(arm.config, GALLERY_SIZE, seed)
        return [one.structure for one in sampled], [(one.dataset.x, one.dataset.y) for one in sampled]
    batch = next(iter(arm.loader(study, seed)))
    datasets = [
        (x.numpy(), y.numpy())
        for part in batch.get("parts", [batch])
        for x, y in zip(part["x"], part["y"], strict=True)
    ]
    return [], datasets[:GALLERY_SIZE]
