"""Samples datasets from structural causal models and writes them as HDF5 prior dumps.

All that a user needs has its name here. The modules behind the names are imported when a name is first used
(PEP 562), so that `import priors` and `priors --help` take no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# ruff: noqa: F401 - imports for type checkers are not used here
if TYPE_CHECKING:  # for editors and type checkers; `_MODULES` says the same to Python
    from priors.audit.audit import Audit, audit_dump, audit_prior
    from priors.audit.compare import compare_dumps
    from priors.audit.report import describe_audit
    from priors.config import PriorConfig, load_config, with_overrides
    from priors.dataset import Dataset
    from priors.distributions import choice, integers, log_uniform, uniform
    from priors.dumps.card import write_card
    from priors.dumps.formats.convert import convert
    from priors.dumps.hash import content_hash
    from priors.dumps.merge import merge_dumps
    from priors.dumps.outline import Outline, origin_attributes
    from priors.dumps.read import Dump, open_dump
    from priors.dumps.schema import DumpError
    from priors.dumps.shuffle import shuffle_dump
    from priors.dumps.split import split_dump
    from priors.dumps.summary import describe
    from priors.dumps.validate import validate
    from priors.dumps.verify import verify
    from priors.dumps.write import write_dump
    from priors.families.graphs import GRAPHS
    from priors.families.mechanisms import MECHANISMS
    from priors.families.noise import NOISES
    from priors.generation.generate import generate, generate_blocks, generate_dump
    from priors.graph_files import read_graph
    from priors.own_graph import OwnGraph
    from priors.presets import PRESETS
    from priors.registry import ConfigError
    from priors.sampling.blocks import dataset_at
    from priors.sampling.dataset import sample_dataset
    from priors.sampling.random_scm import sample_scm
    from priors.sampling.scm import SCM
    from priors.streams import PRIOR_VERSION, stream

_MODULES = {
    "priors.audit.audit": ["Audit", "audit_dump", "audit_prior"],
    "priors.audit.compare": ["compare_dumps"],
    "priors.audit.report": ["describe_audit"],
    "priors.config": ["PriorConfig", "load_config", "with_overrides"],
    "priors.dataset": ["Dataset"],
    "priors.distributions": ["choice", "integers", "log_uniform", "uniform"],
    "priors.dumps.card": ["write_card"],
    "priors.dumps.formats.convert": ["convert"],
    "priors.dumps.hash": ["content_hash"],
    "priors.dumps.merge": ["merge_dumps"],
    "priors.dumps.outline": ["Outline", "origin_attributes"],
    "priors.dumps.read": ["Dump", "open_dump"],
    "priors.dumps.schema": ["DumpError"],
    "priors.dumps.shuffle": ["shuffle_dump"],
    "priors.dumps.split": ["split_dump"],
    "priors.dumps.summary": ["describe"],
    "priors.dumps.validate": ["validate"],
    "priors.dumps.verify": ["verify"],
    "priors.dumps.write": ["write_dump"],
    "priors.families.graphs": ["GRAPHS"],
    "priors.families.mechanisms": ["MECHANISMS"],
    "priors.families.noise": ["NOISES"],
    "priors.generation.generate": ["generate", "generate_blocks", "generate_dump"],
    "priors.graph_files": ["read_graph"],
    "priors.own_graph": ["OwnGraph"],
    "priors.presets": ["PRESETS"],
    "priors.registry": ["ConfigError"],
    "priors.sampling.blocks": ["dataset_at"],
    "priors.sampling.dataset": ["sample_dataset"],
    "priors.sampling.random_scm": ["sample_scm"],
    "priors.sampling.scm": ["SCM"],
    "priors.streams": ["PRIOR_VERSION", "stream"],
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
_FOLDERS = ["audit", "dumps", "families", "generation", "plots", "sampling"]

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        globals()[name] = value = getattr(import_module(_MODULE_OF[name]), name)
        return value
    if name in _FOLDERS:
        return import_module(f"priors.{name}")
    raise AttributeError(f"module 'priors' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_FOLDERS})
