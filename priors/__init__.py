"""Samples datasets from structural causal models and writes them as HDF5 prior dumps."""

from priors.config import PriorConfig
from priors.families.graphs import GRAPHS
from priors.families.mechanisms import MECHANISMS
from priors.families.noise import NOISES
from priors.generation.generate import generate
from priors.graph_files import read_graph
from priors.own_graph import OwnGraph
from priors.presets import PRESETS
from priors.registry import ConfigError
from priors.sampling.dataset import Dataset, sample_dataset
from priors.sampling.model import sample_scm
from priors.sampling.scm import SCM
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
