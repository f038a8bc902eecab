"""Samples datasets from structural causal models and writes them as HDF5 prior dumps."""

from priors.config import PriorConfig
from priors.families import ConfigError
from priors.generate import generate
from priors.graph_files import read_graph
from priors.graphs import GRAPHS
from priors.mechanisms import MECHANISMS
from priors.noise import NOISES
from priors.own_graph import OwnGraph
from priors.presets import PRESETS
from priors.prior import Dataset, sample_dataset, sample_scm
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
    "OwnGraph",
    "PriorConfig",
    "generate",
    "read_graph",
    "sample_dataset",
    "sample_scm",
    "stream",
]
