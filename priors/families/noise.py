"""Noise and root causes: (num_datapoints, rng) -> (R,), mean 0, variance 1; how noise joins a signal."""

from collections.abc import Callable
from math import exp, pi

import numpy as np

from priors.registry import Named

Noise = Callable[[int, np.random.Generator], np.ndarray]


def normal(num_datapoints: int, rng: np.random.Generator) -> np.ndarray:
    """Standard normal.

    Examples:
        >>> normal(150, np.random.default_rng(0)).shape
        (150,)
    """
    return rng.standard_normal(num_datapoints, dtype=np.float32)


def uniform(num_datapoints: int, rng: np.random.Generator) -> np.ndarray:
    """Uniform on +-sqrt(3).

    Examples:
        >>> bool(np.abs(uniform(1000, np.random.default_rng(0))).max() <= 3**0.5)
        True
    """
    return (rng.random(num_datapoints, dtype=np.float32) - 0.5) * 12**0.5


def laplace(num_datapoints: int, rng: np.random.Generator) -> np.ndarray:
    """Laplace of scale 1/sqrt(2): sharper at 0 and with heavier tails than the normal.

    Examples:
        >>> round(float(laplace(100_000, np.random.default_rng(0)).std()), 1)
        1.0
    """
    up, down = rng.standard_exponential((2, num_datapoints), dtype=np.float32)
    return (up - down) * np.float32(0.5**0.5)


def student_t(num_datapoints: int, rng: np.random.Generator) -> np.ndarray:
    """Student-t with 5 degrees of freedom, the fewest whose kurtosis is finite, scaled to variance 1.

    Examples:
        >>> round(float(student_t(100_000, np.random.default_rng(0)).std()), 1)
        1.0
    """
    # Bailey's polar form, Mathematics of Computation 1994: with an exponential E and an angle a,
    # cos(a) sqrt(5 (exp(2 E / 5) - 1)) is t; sqrt(3 / 5) times that has variance 1.
    radius = rng.standard_exponential(num_datapoints, dtype=np.float32)
    angle = rng.random(num_datapoints, dtype=np.float32)
    radius *= 0.4
    np.exp(radius, out=radius)
    radius -= 1
    radius *= 3
    angle *= 2 * pi
    return np.cos(angle, out=angle) * np.sqrt(radius, out=radius)


def normal_mixture(num_datapoints: int, rng: np.random.Generator) -> np.ndarray:
    """Two normals, so two clusters: random share, distance and width, scaled to mean 0 and variance 1.

    Examples:
        >>> round(float(normal_mixture(100_000, np.random.default_rng(0)).std()), 1)
        1.0
    """
    share, distance, width = (rng.random(3) * (0.6, 4, 1) + (0.2, 2, 0.5)).tolist()
    in_second = rng.random(num_datapoints, dtype=np.float32) < share
    values = rng.standard_normal(num_datapoints, dtype=np.float32)
    values = np.where(in_second, distance + width * values, values)
    mean = share * distance
    variance = 1 - share + share * width**2 + share * (1 - share) * distance**2
    return (values - mean) * variance**-0.5


def log_normal(num_datapoints: int, rng: np.random.Generator) -> np.ndarray:
    """The exponential of a normal (standard deviation 0.6), with mean 0 and variance 1: skewed to the right.

    Examples:
        >>> values = log_normal(1000, np.random.default_rng(0))
        >>> bool(values.mean() > np.median(values))
        True
    """
    values = np.exp(0.6 * rng.standard_normal(num_datapoints, dtype=np.float32))
    mean, variance = exp(0.18), (exp(0.36) - 1) * exp(0.36)
    return (values - mean) * variance**-0.5


def categorical(num_datapoints: int, rng: np.random.Generator) -> np.ndarray:
    """One of 2 to 8 random values with random probabilities, scaled to mean 0 and variance 1.

    Examples:
        >>> 2 <= len(np.unique(categorical(1000, np.random.default_rng(0)))) <= 8
        True
    """
    num_categories = 2 + int(rng.random() * 7)
    probabilities = rng.standard_exponential(num_categories) + 0.1
    probabilities /= probabilities.sum()
    values = rng.standard_normal(num_categories)
    values -= probabilities @ values
    values *= (probabilities @ values**2) ** -0.5
    category = probabilities[:-1].cumsum().searchsorted(rng.random(num_datapoints))
    return values.astype(np.float32)[category]


def additive(signal: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The same noise everywhere.

    Examples:
        >>> additive(np.array([0.0, 2.0]), np.array([0.5, 0.5])).tolist()
        [0.5, 2.5]
    """
    return signal + noise


def multiplicative(signal: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Noise in proportion to the signal: large values are uncertain, zero is certain.

    Examples:
        >>> multiplicative(np.array([0.0, 2.0]), np.array([0.5, 0.5])).tolist()
        [0.0, 3.0]
    """
    return signal + signal * noise


def heteroscedastic(signal: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Noise whose standard deviation grows with the signal, from nearly none to twice the usual.

    Examples:
        >>> heteroscedastic(np.array([-9.0, 0.0, 9.0]), np.array([0.5, 0.5, 0.5])).round(3).tolist()
        [-9.0, 0.5, 10.0]
    """
    return signal + (1 + np.tanh(signal)) * noise


# To add a distribution: write the function, add it here.
NOISES: dict[str, Noise] = Named(
    "noise",
    {
        "normal": normal,
        "uniform": uniform,
        "laplace": laplace,
        "student_t": student_t,
        "normal_mixture": normal_mixture,
        "log_normal": log_normal,
        "categorical": categorical,
    },
)

# How the noise of a node joins what its mechanism gives, both (R,).
NOISE_KINDS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "additive": additive,
    "multiplicative": multiplicative,
    "heteroscedastic": heteroscedastic,
}
