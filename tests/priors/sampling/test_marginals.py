"""Marginals: over datasets, every setting has the distribution that its config declares.

20,000 draws of a model of two nodes for each coherence. The tests at the end say what they would find.
"""

from functools import cache

import networkx as nx
import numpy as np
import pytest
from scipy import stats

from priors.config import PriorConfig
from priors.sampling.dataset import sample_dataset
from priors.sampling.random_scm import sample_scm
from priors.streams import DATASET, stream

NUM_DRAWS = 20_000
COHERENCES = ["independent", "shared", "meta"]
EDGE = nx.DiGraph([(0, 1)])


@cache
def models(coherence):
    """The keywords of the only mechanism, its noise scale and the root's noise, of many models."""
    config = PriorConfig(
        mechanisms={"mlp": 1},
        noises={"normal": 3, "uniform": 1, "laplace": 1, "student_t": 1},
        noise_scale=(0.01, 1),
        coherence=coherence,
        parameters={
            "mlp": {"gain": (0.5, 2.5), "width": (3, 12), "activation": ["relu", "tanh", "sine", "step"]}
        },
    )
    rng = stream(0)
    return [sample_scm(config, EDGE, rng, attributes={}) for _ in range(NUM_DRAWS)]


def keywords(coherence, name):
    return [model.scm.mechanisms[1].keywords[name] for model in models(coherence)]


@pytest.mark.parametrize("coherence", COHERENCES)
def test_real_parameters_are_uniform(coherence):
    assert stats.kstest(keywords(coherence, "gain"), "uniform", (0.5, 2)).pvalue > 1e-4


@pytest.mark.parametrize("coherence", COHERENCES)
def test_noise_scales_are_log_uniform(coherence):
    scales = [model.noise_scale for model in models(coherence)]
    assert stats.kstest(np.log10(scales), "uniform", (-2, 2)).pvalue > 1e-4


@pytest.mark.parametrize("coherence", COHERENCES)
def test_integer_parameters_are_uniform(coherence):
    counts = np.bincount(keywords(coherence, "width"), minlength=13)[3:]
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("coherence", COHERENCES)
def test_choices_of_a_list_are_equally_frequent(coherence):
    found = keywords(coherence, "activation")
    counts = [found.count(name) for name in ("relu", "tanh", "sine", "step")]
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("coherence", COHERENCES)
def test_families_are_drawn_by_weight(coherence):
    found = [model.scm.noises[1].args[0].__name__ for model in models(coherence)]
    counts = [found.count(name) for name in ("normal", "uniform", "laplace", "student_t")]
    assert stats.chisquare(counts, NUM_DRAWS * np.array([3, 1, 1, 1]) / 6).pvalue > 1e-4


def test_the_order_of_a_list_does_not_matter_to_how_choices_go_together():
    """Neighbours of a list occur in one dataset no more often than its ends do."""
    chain = nx.path_graph(3, create_using=nx.DiGraph)
    choices = ["relu", "tanh", "sine", "step", "square"]
    config = PriorConfig(mechanisms={"mlp": 1}, parameters={"mlp": {"activation": choices}})
    rng, together = stream(1), np.zeros((5, 5))
    for _ in range(2000):
        scm = sample_scm(config, chain, rng, attributes={}).scm
        first, second = (choices.index(scm.mechanisms[node].keywords["activation"]) for node in (1, 2))
        together[first, second] += 1
    # A flat Dirichlet of 5: equal with probability 1/3, every other pair with 1/30.
    expected = np.where(np.eye(5, dtype=bool), 1 / 15, 1 / 30) * 2000
    assert stats.chisquare(together.ravel(), expected.ravel()).pvalue > 1e-4


# What rejection leaves as it is

HARD = PriorConfig(
    num_classes=(2, 10),
    num_datapoints=60,
    train_fraction=(0.3, 0.7),
    num_features=(3, 6),
    graphs={"cauchy": 1, "layered": 1},
)


@cache
def hard_datasets():
    return [sample_dataset(HARD, stream(0, DATASET, index)) for index in range(800)]


def test_some_draws_are_refused_and_counted_by_stage():
    properties = [dataset.properties for dataset in hard_datasets()]
    redrawn = {
        stage: sum(p[f"redrawn_{stage}"] for p in properties) for stage in ("graph", "classes", "values")
    }
    assert min(redrawn.values()) > 10
    assert all(p["attempts"] == 1 + p["redrawn_graph"] + p["redrawn_values"] for p in properties)


def test_class_counts_are_uniform_although_draws_of_many_classes_are_refused_more_often():
    counts = np.bincount([dataset.properties["num_classes"] for dataset in hard_datasets()], minlength=11)
    assert stats.chisquare(counts[2:]).pvalue > 1e-3


def test_numbers_of_features_and_splits_are_uniform_although_draws_are_refused():
    features = np.bincount([dataset.x.shape[1] for dataset in hard_datasets()], minlength=7)[3:]
    assert stats.chisquare(features).pvalue > 1e-3
    splits = np.bincount([dataset.single_eval_pos for dataset in hard_datasets()], minlength=43)[18:]
    assert stats.chisquare(splits).pvalue > 1e-3


def test_graph_families_are_drawn_by_weight_although_draws_are_refused():
    found = [dataset.properties["graph"] for dataset in hard_datasets()]
    assert stats.binomtest(found.count("cauchy"), len(found), 0.5).pvalue > 1e-3


# What these tests would find

BELL = [0.038, 0.084, 0.112, 0.128, 0.136, 0.137, 0.130, 0.112, 0.084, 0.038]
"""The tenths of a setting whose draws lie near the middle of its range too often."""


@pytest.mark.parametrize("strength", [1, 0.2])
def test_a_distribution_with_too_many_draws_near_its_middle_would_be_found(strength):
    """Also one that is a fifth of the way from the uniform distribution to it."""
    shares = 0.1 + strength * (np.array(BELL) / sum(BELL) - 0.1)
    tenths = np.random.default_rng(0).choice(10, NUM_DRAWS, p=shares)
    values = (tenths + np.random.default_rng(1).random(NUM_DRAWS)) / 10
    assert stats.kstest(values, "uniform").pvalue < 1e-4
    assert stats.chisquare(np.bincount(tenths, minlength=10)).pvalue < 1e-4


@pytest.mark.parametrize("share", [0.44, 0.47])
def test_a_share_that_is_not_its_weight_would_be_found(share):
    counts = np.random.default_rng(0).multinomial(NUM_DRAWS, [share, *[(1 - share) / 3] * 3])
    assert stats.chisquare(counts, NUM_DRAWS * np.array([3, 1, 1, 1]) / 6).pvalue < 1e-4
