"""Figures of priors, dumps and audits; they need matplotlib (the extra `plots`)."""

from priors.plots.audits import plot_audit, plot_audits
from priors.plots.datasets import plot_datasets
from priors.plots.dumps import plot_dump
from priors.plots.graphs import plot_graphs
from priors.plots.mechanisms import plot_mechanisms
from priors.plots.style import PlotError

__all__ = [
    "PlotError",
    "plot_audit",
    "plot_audits",
    "plot_datasets",
    "plot_dump",
    "plot_graphs",
    "plot_mechanisms",
]
