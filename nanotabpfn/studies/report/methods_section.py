"""The section on methods: paragraphs for a paper, from the settings of the study, and what they cite."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from nanotabpfn.evaluation.protocol import MAX_ROWS, NUM_FOLDS
from nanotabpfn.studies.report.blocks import Block, metric_name, plain, text
from nanotabpfn.studies.report.scores import Scores
from nanotabpfn.studies.saved import SavedStudy
from nanotabpfn.studies.spec import DRAWN, Study
from nanotabpfn.training.beginning import MARGIN, WINDOW
from nanotabpfn.training.recipes import RECIPES

if TYPE_CHECKING:
    import pandas as pd


class Reference(NamedTuple):
    """A publication: how a paragraph cites it, and its entry for BibTeX."""

    cited: str
    kind: str
    fields: dict[str, str]


REFERENCES = {
    "pfefferle2025nanotabpfn": Reference(
        "Pfefferle et al., 2025",
        "misc",
        {
            "author": "Pfefferle, Alexander and Hog, Johannes and Purucker, Lennart and Hutter, Frank",
            "title": "{nanoTabPFN}: A Lightweight and Educational Reimplementation of {TabPFN}",
            "year": "2025",
            "eprint": "2511.03634",
            "archiveprefix": "arXiv",
        },
    ),
    "defazio2024road": Reference(
        "Defazio et al., 2024",
        "inproceedings",
        {
            "author": "Defazio, Aaron and Yang, Xingyu and Mehta, Harsh and Mishchenko, Konstantin and "
            "Khaled, Ahmed and Cutkosky, Ashok",
            "title": "The Road Less Scheduled",
            "booktitle": "Advances in Neural Information Processing Systems",
            "volume": "37",
            "year": "2024",
        },
    ),
    "jordan2024muon": Reference(
        "Jordan et al., 2024",
        "misc",
        {
            "author": "Jordan, Keller and others",
            "title": "Muon: An Optimizer for Hidden Layers in Neural Networks",
            "year": "2024",
        },
    ),
    "pedregosa2011scikit": Reference(
        "Pedregosa et al., 2011",
        "article",
        {
            "author": "Pedregosa, Fabian and others",
            "title": "Scikit-learn: Machine Learning in {Python}",
            "journal": "Journal of Machine Learning Research",
            "volume": "12",
            "pages": "2825--2830",
            "year": "2011",
        },
    ),
    "banerjee1960confidence": Reference(
        "Banerjee, 1960",
        "article",
        {
            "author": "Banerjee, Saibal Kumar",
            "title": "Approximate Confidence Interval for Linear Functions of Means of k Populations "
            "when the Population Variances are not Equal",
            "journal": "Sankhya",
            "volume": "22",
            "pages": "357--358",
            "year": "1960",
        },
    ),
    "holm1979simple": Reference(
        "Holm, 1979",
        "article",
        {
            "author": "Holm, Sture",
            "title": "A Simple Sequentially Rejective Multiple Test Procedure",
            "journal": "Scandinavian Journal of Statistics",
            "volume": "6",
            "number": "2",
            "pages": "65--70",
            "year": "1979",
        },
    ),
    "demsar2006statistical": Reference(
        "Dem\N{LATIN SMALL LETTER S WITH CARON}ar, 2006",
        "article",
        {
            "author": r"Dem{\v{s}}ar, Janez",
            "title": "Statistical Comparisons of Classifiers over Multiple Data Sets",
            "journal": "Journal of Machine Learning Research",
            "volume": "7",
            "pages": "1--30",
            "year": "2006",
        },
    ),
    "benavoli2017time": Reference(
        "Benavoli et al., 2017",
        "article",
        {
            "author": r"Benavoli, Alessio and Corani, Giorgio and Dem{\v{s}}ar, Janez and Zaffalon, Marco",
            "title": "Time for a Change: a Tutorial for Comparing Multiple Classifiers Through {Bayesian} "
            "Analysis",
            "journal": "Journal of Machine Learning Research",
            "volume": "18",
            "number": "77",
            "pages": "1--36",
            "year": "2017",
        },
    ),
}


def methods(saved: SavedStudy, scores: Scores, second: Scores, records: "pd.DataFrame") -> list[Block]:
    """What was done, in paragraphs that can go into a paper; `bibtex` has what they cite.

    Args:
        second: in the metric that is reported in addition to the first.
    """
    return [
        text(_on_training(saved)),
        text(_on_scores(saved.study, scores, second)),
        text(_on_statistics(saved.study, scores, records)),
        text("references.bib holds the publications that these paragraphs cite, for BibTeX."),
    ]


def bibtex(study: Study) -> str:
    """The entries of what the methods of a study rest on.

    Examples:
        >>> study = Study(name="mine", arms={"linear": {"preset": "linear"}}, baselines=())
        >>> print(bibtex(study).splitlines()[0])
        @misc{pfefferle2025nanotabpfn,
    """
    entries = []
    for key in cited_keys(study):
        fields = [f"  {name} = {{{value}}}," for name, value in REFERENCES[key].fields.items()]
        entries.append("\n".join([f"@{REFERENCES[key].kind}{{{key},", *fields, "}"]))
    return "\n\n".join(entries)


def cited_keys(study: Study) -> list[str]:
    """The keys of REFERENCES that the methods of a study cite.

    Examples:
        >>> study = Study(name="mine", arms={"linear": {"preset": "linear"}}, recipe="muon")
        >>> cited_keys(study)[:3]
        ['pfefferle2025nanotabpfn', 'defazio2024road', 'jordan2024muon']
    """
    uncited = set() if study.training["optimizer"] == "muon" else {"jordan2024muon"}
    uncited |= set() if study.baselines else {"pedregosa2011scikit"}
    return [key for key in REFERENCES if key not in uncited]


def _cite(*keys: str) -> str:
    return f"({'; '.join(REFERENCES[key].cited for key in keys)})"


def _on_training(saved: SavedStudy) -> str:
    study, model = saved.study, saved.study.model
    arms = [arm.name for arm, _ in saved.arms if arm.role == "arm"]
    num_priors = len(arms) + sum(arm.role == DRAWN for arm, _ in saved.arms)
    arms += [
        f"{_count(len(design.values), 'prior')} whose settings "
        f"{_listed([setting.path for setting in design.settings])} were drawn at random"
        for design in saved.designs
        if design.is_sample
    ]
    versions = sorted({cell.notes["nanotabpfn-priors"] for cell in saved.cells if cell.notes})
    package = f"nanotabpfn-priors {' and '.join(versions)}".strip()
    controls = f", with the controls {_listed(study.controls)}" if study.controls else ""
    optimizer = f"schedule-free AdamW {_cite('defazio2024road')}"
    if study.training["optimizer"] == "muon":
        optimizer = f"Muon {_cite('jordan2024muon')} for the layers' matrices and {optimizer} for the rest"
    sizes = [
        f"embedding size {model.embedding_size}",
        _count(model.num_layers, "layer"),
        _count(model.num_attention_heads, "attention head"),
        f"hidden size {model.mlp_hidden_size}",
    ]
    sentences = [
        f"We compared {_count(num_priors, 'prior')} of synthetic tables, {_listed(arms)}, as {package} ",
        f"samples them; {saved.reference} is the reference{controls}. ",
        f"Each was used to train {_count(len(study.seeds), 'model')} ({study.repetitions}) ",
        f"with the architecture of nanoTabPFN {_cite('pfefferle2025nanotabpfn')}: {_listed(sizes)}. ",
        f"The recipe is {study.recipe}: {_lower(RECIPES[study.recipe].purpose)} ",
        f"A training has {study.steps} steps of {study.batch_size} datasets, ",
        f"{study.steps * study.batch_size:,} in all{study.after_warm_start}. ",
        f"The optimizer is {optimizer}, with learning rate {study.training['lr']:g} ",
        f"and {_count(study.training['warmup_steps'], 'step')} of warm-up, in {study.precision}. ",
        "Models of the same model seed have the same initial weights in all arms.",
    ]
    return "".join(sentences)


def _on_scores(study: Study, scores: Scores, second: Scores) -> str:
    samples = f"{study.row_samples} random samples" if study.row_samples > 1 else "one random sample"
    sentences = [
        f"Each model was scored without ensembling on the {_count(len(scores.tables), 'table')} ",
        f"of the suite {scores.suite}, on {samples} of at most {MAX_ROWS} rows, ",
        f"by {NUM_FOLDS}-fold stratified cross-validation. ",
        f"Metrics are {metric_name(scores.metric)}, which the verdicts are about, ",
        f"and {metric_name(second.metric)}, of the out-of-fold probabilities of all folds together.",
    ]
    if study.baselines:
        baselines = _listed(list(map(plain, study.baselines)))
        sentences.append(
            f" Baselines on the same folds: {baselines} of scikit-learn {_cite('pedregosa2011scikit')}."
        )
    return "".join(sentences)


def _on_statistics(study: Study, scores: Scores, records: "pd.DataFrame") -> str:
    sentences = [
        f"Differences from {scores.reference} are paired by table and by seeds. ",
        f"Their {study.level:.0%} intervals have tables, data seeds and model seeds as units: ",
        f"the squares of Student's intervals of these parts are added {_cite('banerjee1960confidence')}. ",
        "The p-values belong to these intervals, and are adjusted for the number of arms ",
        f"{_cite('holm1979simple')}. Ranks are compared by the tests of Friedman and Nemenyi ",
        f"{_cite('demsar2006statistical')}. ",
        f"Differences below {scores.rope:g} in {metric_name(scores.metric)} count as practically equal ",
        f"in the Bayesian signed-rank test {_cite('benavoli2017time')}.",
    ]
    is_drawn = any(design.is_sample for design in scores.designs)
    if scores.designs:
        sentences.append(
            " Main effects of settings are estimated by least squares, with seeds as blocks, and adjusted "
            "for their number as the others are. For arms that draw their settings at random, the units of "
            "their intervals are tables and arms."
        )
    if is_drawn:
        sentences.append(
            " If the residuals of the arms at one level of a setting are "
            "shown to vary more than those of the others (Levene's test in the form of Brown and Forsythe, "
            "adjusted for the number of levels), the effects are also estimated without these arms."
        )
    if records["begun"].notna().any():
        sentences += [
            f" A training counts as late if the mean of its loss over {WINDOW} steps was not in time ",
            f"at least {MARGIN:.0%} below the entropy of the class shares in its batches; ",
            "effects are given with and without such trainings.",
        ]
        if is_drawn:
            sentences.append(
                " Of settings that arms draw, the shares of arms with such trainings are compared by "
                "Fisher's exact test, with arms as units."
            )
    return "".join(sentences)


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
