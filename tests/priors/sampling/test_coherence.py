"""Coherence: values of one dataset depend on each other, and their marginal is the declared one."""

import numpy as np
import pytest
from scipy import stats

from priors.sampling.coherence import coherent_ends, coherent_names, coherent_uniforms
from priors.streams import stream

CHOICES = [{"a": 1.0, "b": 1.0, "c": 1.0}, {"only": 2.0}, {"y": 3.0, "x": 1.0}]


def uniforms(coherence, num_draws=2000, num_nodes=6, num_names=3):
    """(draws, V, N)."""
    return np.stack(
        [coherent_uniforms(coherence, num_nodes, num_names, stream(draw)) for draw in range(num_draws)]
    )


def names(coherence, mix="node", num_draws=2000, num_nodes=6):
    return [coherent_names(CHOICES, coherence, mix, num_nodes, stream(draw)) for draw in range(num_draws)]


# coherent_uniforms


@pytest.mark.parametrize("coherence", ["independent", "shared", "meta"])
def test_uniforms_have_their_shape_and_bounds_and_the_same_draws(coherence):
    rng = stream(0)
    found = coherent_uniforms(coherence, 6, 3, rng)
    assert found.shape == (6, 3)
    assert found.min() >= 0
    assert found.max() < 1
    other = stream(0)
    coherent_uniforms("independent", 6, 3, other)
    assert rng.random() == other.random()


def test_independent_uniforms_are_independent_and_uniform():
    found = uniforms("independent")
    assert stats.kstest(found.ravel(), "uniform").pvalue > 0.001
    correlations = np.corrcoef(found.reshape(2000, -1).T)[np.triu_indices(18, 1)]
    assert np.abs(correlations).max() < 5 / 2000**0.5


def test_shared_uniforms_are_equal_for_all_nodes_and_uniform_over_draws_and_names():
    found = uniforms("shared")
    np.testing.assert_array_equal(found, np.broadcast_to(found[:, :1], found.shape))
    assert stats.kstest(found[:, 0].ravel(), "uniform").pvalue > 0.001
    correlations = np.corrcoef(found[:, 0].T)[np.triu_indices(3, 1)]
    assert np.abs(correlations).max() < 5 / 2000**0.5


def test_meta_uniforms_are_uniform():
    """A centre and a width give 45 % of the mass to the middle three deciles: p below 1e-100 here."""
    found = uniforms("meta", num_draws=20_000, num_nodes=1, num_names=1).ravel()
    assert stats.kstest(found, "uniform").pvalue > 0.001
    deciles = np.histogram(found, bins=10, range=(0, 1))[0]
    assert stats.chisquare(deciles).pvalue > 0.001


def test_meta_uniforms_have_a_correlation_that_is_uniform_over_datasets():
    """Two nodes' normal scores have correlation c given c, so 1/2 in the mean, and their squares more."""
    scores = stats.norm.ppf(uniforms("meta", num_draws=6000, num_nodes=2, num_names=1)[:, :, 0])
    products = scores[:, 0] * scores[:, 1]
    assert abs(products.mean() - 1 / 2) < 5 * products.std() / 6000**0.5
    # E[(z z')^2] = 1 + 2 E[c^2] = 5/3
    assert abs((products**2).mean() - 5 / 3) < 5 * (products**2).std() / 6000**0.5


def test_meta_goes_from_nearly_shared_to_nearly_independent():
    ranges = np.ptp(uniforms("meta", num_nodes=20), axis=1)
    assert (ranges < 0.3).mean() > 0.01
    assert (ranges > 0.8).mean() > 0.3


def test_free_names_are_independent_in_meta_too():
    found = np.stack([coherent_uniforms("meta", 2, 2, stream(draw), free=[1]) for draw in range(3000)])
    assert np.corrcoef(found[:, :, 0].T)[0, 1] > 0.3
    assert abs(np.corrcoef(found[:, :, 1].T)[0, 1]) < 5 / 3000**0.5


def test_choices_of_a_list_have_flat_dirichlet_shares_in_meta_and_equal_ones_else():
    assert coherent_ends("shared", [4], stream(0)) == [[0.25, 0.5, 0.75]]
    first = [coherent_ends("meta", [2, 3], stream(draw))[1][0] for draw in range(3000)]
    assert stats.kstest(first, stats.beta(1, 2).cdf).pvalue > 0.001


def test_meta_uniforms_of_other_names_are_independent():
    means = uniforms("meta").mean(axis=1)
    assert np.abs(np.corrcoef(means.T)[np.triu_indices(3, 1)]).max() < 5 / 2000**0.5


# coherent_names


@pytest.mark.parametrize("coherence", ["independent", "shared", "meta"])
@pytest.mark.parametrize("mix", ["node", "dataset"])
def test_names_are_known_and_one_a_node(coherence, mix):
    for drawn in names(coherence, mix, num_draws=100):
        assert [len(of_nodes) for of_nodes in drawn] == [6, 6, 6]
        assert all(set(of_nodes) <= set(choice) for of_nodes, choice in zip(drawn, CHOICES, strict=True))
        if mix == "dataset" or coherence == "shared":
            assert all(len(set(of_nodes)) == 1 for of_nodes in drawn)


@pytest.mark.parametrize("coherence", ["independent", "shared", "meta"])
@pytest.mark.parametrize("mix", ["node", "dataset"])
def test_names_are_drawn_by_weight(coherence, mix):
    """Weights that are only multiplied by random factors give 3:1:1:1 a share of 44 % in place of 50 %."""
    found = names(coherence, mix)
    share = np.mean([drawn[2][3] == "y" for drawn in found])
    assert abs(share - 0.75) < 4 * (0.1875 / 2000) ** 0.5
    weights = [{"a": 3.0, "b": 1.0, "c": 1.0, "d": 1.0}]
    drawn = [coherent_names(weights, coherence, mix, 1, stream(0, i))[0][0] for i in range(6000)]
    counts = [drawn.count(name) for name in "abcd"]
    assert stats.chisquare(counts, [3000, 1000, 1000, 1000]).pvalue > 0.001
    for name in "abc":
        share = np.mean([drawn[0][0] == name for drawn in found])
        assert abs(share - 1 / 3) < 4 * (2 / 9 / 2000) ** 0.5


def test_independent_names_of_two_nodes_are_independent():
    together = np.mean([drawn[0][0] == drawn[0][1] for drawn in names("independent")])
    assert abs(together - 1 / 3) < 4 * (2 / 9 / 2000) ** 0.5


def test_meta_makes_the_names_of_a_dataset_alike_and_leaves_their_shares():
    """Under a flat Dirichlet draw of K shares, two nodes agree with probability 2 / (K + 1)."""
    drawn = names("meta", num_draws=6000)
    together = np.mean([found[0][0] == found[0][1] for found in drawn])
    assert abs(together - 1 / 2) < 4 * (0.25 / 6000) ** 0.5
    for name in "abc":
        share = np.mean([found[0][0] == name for found in drawn])
        assert abs(share - 1 / 3) < 4 * (2 / 9 / 6000) ** 0.5


def test_weights_too_small_for_their_dirichlet_draw_are_drawn_by_weight():
    weights = [{"a": 1e-300, "b": 1.0, "c": 1e-300}]
    assert coherent_names(weights, "meta", "node", 3, stream(0)) == [["b"] * 3]


def test_weights_of_zero_are_never_drawn():
    for coherence in ("independent", "meta", "shared"):
        for draw in range(200):
            (drawn,) = coherent_names([{"a": 0.0, "b": 1.0, "c": 0.0}], coherence, "node", 5, stream(draw))
            assert drawn == ["b"] * 5


def test_the_order_of_names_and_choices_of_one_name_make_no_difference():
    first = coherent_names(CHOICES, "meta", "node", 6, stream(0))
    turned = [dict(reversed(choice.items())) for choice in CHOICES]
    assert coherent_names(turned, "meta", "node", 6, stream(0)) == first


def test_names_take_the_same_draws_whatever_the_mix():
    after = set()
    for mix in ("node", "dataset"):
        rng = stream(0)
        coherent_names(CHOICES, "meta", mix, 6, rng)
        after.add(rng.random())
    assert len(after) == 1


def test_another_choice_leaves_what_the_others_draw():
    for coherence in ("independent", "meta", "shared"):
        first = coherent_names(CHOICES, coherence, "node", 6, stream(0))
        other = coherent_names([{"a": 1.0, "z": 5.0}, *CHOICES[1:]], coherence, "node", 6, stream(0))
        assert other[1:] == first[1:]
