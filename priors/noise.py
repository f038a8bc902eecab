"""Noise and root causes: (num_datapoints, rng) -> (R,) float32, each with mean 0 and variance 1."""

from collections.abc import Callable

import numpy as np

Noise = Callable[[int, np.random.Generator], np.ndarray]


def normal(num_datapoints: int, rng: np.random.Generator) -> np.ndarray:
    """Standard normal."""
    return rng.standard_normal(num_datapoints, dtype=np.float32)


def uniform(num_datapoints: int, rng: np.random.Generator) -> np.ndarray:
    """Uniform on +-sqrt(3)."""
    return (rng.random(num_datapoints, dtype=np.float32) - np.float32(0.5)) * np.float32(12**0.5)


def laplace(num_datapoints: int, rng: np.random.Generator) -> np.ndarray:
    """Laplace of scale 1/sqrt(2): sharper at 0 and with heavier tails than the normal."""
    return rng.laplace(0, 0.5**0.5, num_datapoints).astype(np.float32)


def student_t(num_datapoints: int, rng: np.random.Generator) -> np.ndarray:
    """Student-t with 5 degrees of freedom (the fewest whose kurtosis is finite), divided by its deviation."""
    return (rng.standard_t(5, num_datapoints) * 0.6**0.5).astype(np.float32)


def normal_mixture(num_datapoints: int, rng: np.random.Generator) -> np.ndarray:
    """Two normals, so two clusters: random share, distance and width, scaled to mean 0 and variance 1."""
    share, distance, width = rng.uniform(0.2, 0.8), rng.uniform(2, 6), rng.uniform(0.5, 1.5)
    in_second = rng.random(num_datapoints, dtype=np.float32) < share
    values = rng.standard_normal(num_datapoints, dtype=np.float32)
    values = np.where(in_second, distance + width * values, values)
    mean = share * distance
    variance = 1 - share + share * width**2 + share * (1 - share) * distance**2
    return ((values - mean) / variance**0.5).astype(np.float32)


# To add a distribution: write the function, add it here.
NOISES: dict[str, Noise] = {
    "normal": normal,
    "uniform": uniform,
    "laplace": laplace,
    "student_t": student_t,
    "normal_mixture": normal_mixture,
}
