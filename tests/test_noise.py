"""Noise: mean 0 and variance 1 of every distribution, and the shape that each is named for."""

import pickle
import random

import numpy as np
import pytest
from scipy import stats

from priors.noise import NOISES, laplace, normal, normal_mixture, student_t, uniform
from priors.streams import stream

NUM_DATAPOINTS = 200_000


def global_state():
    return pickle.dumps((random.getstate(), np.random.get_state()))  # noqa: NPY002


@pytest.mark.parametrize("num_datapoints", [1, 2, 150])
@pytest.mark.parametrize("noise", NOISES.values(), ids=list(NOISES))
def test_one_finite_float32_value_a_row_determined_by_the_generator(noise, num_datapoints):
    before = global_state()
    for draw in range(20):
        values = noise(num_datapoints, stream(draw))
        assert values.shape == (num_datapoints,)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(values, noise(num_datapoints, stream(draw)))
    assert global_state() == before


@pytest.mark.parametrize("noise", NOISES.values(), ids=list(NOISES))
def test_mean_is_0_and_variance_1(noise):
    for draw in range(8):
        values = noise(NUM_DATAPOINTS, stream(draw)).astype(float)
        variance_error = ((stats.kurtosis(values, fisher=False) - 1) / NUM_DATAPOINTS) ** 0.5
        assert abs(values.mean()) < 5 / NUM_DATAPOINTS**0.5
        assert abs(values.var() - 1) < 5 * variance_error
        assert variance_error < 0.02


@pytest.mark.parametrize("noise", NOISES.values(), ids=list(NOISES))
def test_values_of_different_rows_are_uncorrelated(noise):
    values = noise(NUM_DATAPOINTS, stream(0)).astype(float)
    assert abs(np.mean(values[1:] * values[:-1])) < 5 / NUM_DATAPOINTS**0.5


@pytest.mark.parametrize(
    ("noise", "distribution"),
    [
        (normal, stats.norm()),
        (uniform, stats.uniform(-(3**0.5), 12**0.5)),
        (laplace, stats.laplace(scale=0.5**0.5)),
        (student_t, stats.t(5, scale=0.6**0.5)),
    ],
)
def test_the_distribution_is_the_named_one(noise, distribution):
    values = noise(NUM_DATAPOINTS, stream(1)).astype(float)
    assert stats.kstest(values, distribution.cdf).pvalue > 0.001


def test_uniform_fills_its_bounds_and_keeps_to_them():
    values = uniform(NUM_DATAPOINTS, stream(0))
    assert np.abs(values).max() <= np.float32(3**0.5)
    assert values.min() < -1.73
    assert values.max() > 1.73


def test_laplace_has_kurtosis_6():
    assert abs(stats.kurtosis(laplace(NUM_DATAPOINTS, stream(0)).astype(float), fisher=False) - 6) < 0.6


def test_student_t_has_the_tails_of_5_degrees_of_freedom():
    values = student_t(NUM_DATAPOINTS, stream(0))
    for share in (0.001, 0.01, 0.99, 0.999):
        expected = stats.t.ppf(share, 5) * 0.6**0.5
        assert abs(np.quantile(values, share) / expected - 1) < 0.06


def has_a_valley(values):
    """Whether the histogram has a place less than half as high as what is on either side of it."""
    counts = np.histogram(values, bins=40)[0]
    return any(
        2 * counts[i] < min(counts[:i].max(), counts[i + 1 :].max()) for i in range(1, len(counts) - 1)
    )


def test_mixture_has_two_clusters_in_many_draws_but_not_in_all():
    valleys = [has_a_valley(normal_mixture(20_000, stream(draw))) for draw in range(60)]
    assert 0.2 < np.mean(valleys) < 0.95
    assert not has_a_valley(normal(20_000, stream(0)))


def test_mixtures_differ():
    skews = [stats.skew(normal_mixture(2000, stream(draw))) for draw in range(60)]
    assert min(skews) < -0.4
    assert max(skews) > 0.4
