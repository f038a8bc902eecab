"""Noise: mean 0 and variance 1 of every distribution, its named shape, and how it joins a signal."""

import pickle
import random

import numpy as np
import pytest
from scipy import stats

from priors.families.noise import (
    NOISE_KINDS,
    NOISES,
    additive,
    categorical,
    heteroscedastic,
    laplace,
    log_normal,
    multiplicative,
    normal,
    normal_mixture,
    student_t,
    uniform,
)
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
        (
            log_normal,
            stats.lognorm(
                0.6, loc=-stats.lognorm.mean(0.6) / stats.lognorm.std(0.6), scale=1 / stats.lognorm.std(0.6)
            ),
        ),
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


# log_normal


def test_log_normal_is_skewed_to_the_right_and_bounded_on_the_left():
    values = log_normal(NUM_DATAPOINTS, stream(0)).astype(float)
    assert abs(stats.skew(values) - stats.lognorm.stats(0.6, moments="s")) < 0.2
    assert values.min() > -stats.lognorm.mean(0.6) / stats.lognorm.std(0.6)


# categorical


def test_categorical_noise_has_2_to_8_values():
    drawn = [len(np.unique(categorical(2000, stream(draw)))) for draw in range(400)]
    assert min(drawn) == 2
    assert max(drawn) == 8
    shares = np.bincount(drawn, minlength=9)[2:] / 400
    assert np.abs(shares - 1 / 7).max() < 4.5 * (6 / 49 / 400) ** 0.5


def test_categorical_noise_has_the_shares_it_was_drawn_with():
    for draw in range(20):
        rng = stream(draw)
        num_categories = 2 + int(rng.random() * 7)
        weights = rng.standard_exponential(num_categories) + 0.1
        shares = np.unique(categorical(50_000, stream(draw)), return_counts=True)[1] / 50_000
        np.testing.assert_allclose(np.sort(shares), np.sort(weights / weights.sum()), atol=0.012)


# How noise joins a signal


def test_noise_joins_a_signal():
    signal, noise = np.float32([-2, 0, 1, 30, -30]), np.float32([0.5, 0.5, -1, 2, 2])
    np.testing.assert_allclose(additive(signal, noise), [-1.5, 0.5, 0, 32, -28])
    np.testing.assert_allclose(multiplicative(signal, noise), [-3, 0, 0, 90, -90])
    expected = [-2 + 0.5 * (1 - np.tanh(2)), 0.5, -np.tanh(1), 34, -30]
    np.testing.assert_allclose(heteroscedastic(signal, noise), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", NOISE_KINDS.values(), ids=list(NOISE_KINDS))
def test_joined_noise_is_unbiased_and_of_about_its_own_scale(kind):
    signal = normal(NUM_DATAPOINTS, stream(0))
    added = (kind(signal, np.float32(0.3) * normal(NUM_DATAPOINTS, stream(1))) - signal).astype(float)
    assert kind(signal, signal).dtype == np.float32
    assert abs(added.mean()) < 5 * 0.36 / NUM_DATAPOINTS**0.5
    assert 0.29 < added.std() < 0.37
    assert abs(np.corrcoef(added, signal)[0, 1]) < 6 / NUM_DATAPOINTS**0.5
