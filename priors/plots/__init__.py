"""Figures of priors, dumps and audits; they need matplotlib (the extra `plots`).

The modules behind the names are imported when a name is first used (PEP 562): figures of what a prior draws
then need no h5py, which figures of dumps do.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# ruff: noqa: F401 - imports for type checkers are not used here
if TYPE_CHECKING:  # for editors and type checkers; `_MODULE_OF` says the same to Python
    from priors.plots.audits import plot_audit, plot_audits
    from priors.plots.datasets import plot_datasets
    from priors.plots.dumps import plot_dump
    from priors.plots.graphs import plot_graphs
    from priors.plots.mechanisms import plot_mechanisms
    from priors.plots.style import PlotError

_MODULE_OF = {
    "PlotError": "priors.plots.style",
    "plot_audit": "priors.plots.audits",
    "plot_audits": "priors.plots.audits",
    "plot_datasets": "priors.plots.datasets",
    "plot_dump": "priors.plots.dumps",
    "plot_graphs": "priors.plots.graphs",
    "plot_mechanisms": "priors.plots.mechanisms",
}

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'priors.plots' has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
