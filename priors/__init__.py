"""Samples datasets from structural causal models and writes them as HDF5 prior dumps."""

from priors.config import ConfigError, PriorConfig
from priors.generate import generate
from priors.graphs import GRAPHS
from priors.mechanisms import MECHANISMS
from priors.noise import NOISES
from priors.presets import PRESETS
from priors.prior import Dataset, sample_dataset
from priors.scm import SCM
from priors.streams import stream

__all__ = [
    "GRAPHS",
    "MECHANISMS",
    "NOISES",
    "PRESETS",
    "SCM",
    "ConfigError",
    "Dataset",
    "PriorConfig",
    "generate",
    "sample_dataset",
    "stream",
]
