"""The text table of scores: aligned, the best figures bold, incomplete scores refused."""

import pytest

from nanotabpfn.evaluation.scores import Score, format_scores, mean_over_samples


def test_no_scores_make_no_table():
    with pytest.raises(ValueError, match="at least one score"):
        format_scores([])


def test_format_scores():
    scores = [
        Score("iris", "forest", 0.9, 0.5, 150, 4),
        Score("iris", "knn", 0.5, 0.2, 150, 4),
        Score("diabetes_median", "forest", 0.70004, 0.5, 200, 10),
        Score("diabetes_median", "knn", 0.70011, 0.4, 200, 10),  # the same to three digits
    ]
    assert format_scores(scores).splitlines() == [
        "| table           | rows | features |    forest |       knn |",
        "| --------------- | ---: | -------: | --------: | --------: |",
        "| iris            |  150 |        4 | **0.900** |     0.500 |",
        "| diabetes_median |  200 |       10 | **0.700** | **0.700** |",
        "| mean            |      |          | **0.800** |     0.600 |",
        "| mean log loss   |      |          |     0.500 | **0.300** |",
    ]


def test_the_lowest_log_loss_is_the_best():
    scores = [Score("iris", "forest", 0.9, 0.5, 150, 4), Score("iris", "knn", 0.5, 0.2, 150, 4)]
    assert format_scores(scores, "log_loss").splitlines()[2:] == [
        "| iris  |  150 |        4 |  0.500 | **0.200** |",
        "| mean  |      |          |  0.500 | **0.200** |",
    ]


def test_samples_of_a_table_are_averaged_in_each_figure():
    samples = [Score("iris", "forest", 0.9, 0.5, 150, 4), Score("iris", "forest", 0.7, 0.1, 150, 4)]
    assert mean_over_samples(samples) == Score(
        "iris", "forest", pytest.approx(0.8), pytest.approx(0.3), 150, 4
    )


def test_format_scores_of_one_estimator_marks_none():
    assert "*" not in format_scores([Score("iris", "forest", 0.9, 0.5, 150, 4)])


@pytest.mark.parametrize("extra", [("iris", "forest"), ("wine", "forest")])  # twice, and knn's is missing
def test_format_scores_needs_every_pair_once(extra):
    scores = [
        Score("iris", "forest", 0.9, 0.5, 150, 4),
        Score("iris", "knn", 0.5, 0.5, 150, 4),
        Score(*extra, 0.9, 0.5, 150, 4),
    ]
    with pytest.raises(ValueError, match="exactly one score of each estimator on each table, got 3 scores"):
        format_scores(scores)
