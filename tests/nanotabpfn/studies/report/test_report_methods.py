"""The methods of a report: what they say is the study's, and what they cite has an entry for BibTeX."""

import re

import pytest
from simulated_study import saved_study, simulate, study_of

from nanotabpfn.studies.report.methods_section import REFERENCES, bibtex, methods
from nanotabpfn.studies.report.scores import Scores


def paragraphs(study, records=None):
    saved = saved_study(study)
    records = simulate(study, {}) if records is None else records
    scores = Scores(saved, records)
    return [
        block.text for block in methods(saved, scores, Scores(saved, records, study.second_metric), records)
    ]


def test_paragraphs_say_what_the_study_did():
    study = study_of(["good", "same"], steps=384, eval_every=96, batch_size=16, row_samples=3, level=0.9)
    training, scoring, statistics, _ = paragraphs(study)
    for words in (
        "2 priors of synthetic tables, good and same",
        "good is the reference, with the controls untrained, scrambled and repeated",
        "6 models (6 pairs of a data seed and a model seed)",
        "embedding size 96, 3 layers, 4 attention heads and hidden size 192",
        "The recipe is warm-up: the learning rate rises in the first steps",
        "384 steps of 16 datasets, 6,144 in all",
        "learning rate 0.004 and 100 steps of warm-up, in float32",
    ):
        assert words in training
    assert "13 tables of the suite builtin, on 3 random samples of at most 200 rows" in scoring
    assert "decision tree of scikit-learn" in scoring
    assert "90% intervals" in statistics
    assert "counts as late" in statistics


def test_what_was_not_done_is_not_said():
    study = study_of(["good", "same"], baselines=(), controls=())
    records = simulate(study, {})
    records["begun"] = None
    training, scoring, statistics, _ = paragraphs(study, records)
    assert "control" not in training
    assert "one random sample" in scoring
    assert "scikit-learn" not in scoring
    assert "late" not in statistics


def test_a_recipe_with_another_optimizer_and_a_warm_start():
    study = study_of(recipe="muon", warm_start={"steps": 200})
    training = paragraphs(study)[0]
    assert "Muon (Jordan et al., 2024) for the layers' matrices and schedule-free AdamW" in training
    assert "after a warm start of 200 steps on the prior of the reference" in training


@pytest.mark.parametrize("changes", [{}, {"recipe": "muon"}, {"baselines": ()}])
def test_citations_and_entries_are_the_same(changes):
    study = study_of(**changes)
    cited = set(re.findall(r"\(([^()]+, \d{4})\)", " ".join(paragraphs(study))))
    entries = re.findall(r"^@(\w+)\{(\w+),\n((?:  \w+ = \{.*\},\n)+)\}$", bibtex(study), flags=re.MULTILINE)
    assert {REFERENCES[key].cited for _, key, _ in entries} == cited
    assert len({key for _, key, _ in entries}) == len(entries) == bibtex(study).count("@")
    for _, key, fields in entries:
        assert fields.count("{") == fields.count("}")
        assert {"author", "title", "year"} <= set(re.findall(r"^  (\w+) =", fields, flags=re.MULTILINE)), key
        assert REFERENCES[key].fields["year"] == REFERENCES[key].cited[-4:]
