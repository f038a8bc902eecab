"""Trains nanoTabPFN on prior dumps, predicts with it, and measures it on real tables.

All that a user needs has its name here. The modules behind the names are imported when a name is first used
(PEP 562), so that `import nanotabpfn` and `nanotabpfn --help` take no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# ruff: noqa: F401 - imports for type checkers are not used here
if TYPE_CHECKING:  # for editors and type checkers; `_MODULES` says the same to Python
    from nanotabpfn.data.loaders import PriorDataLoader, PriorDumpDataLoader
    from nanotabpfn.data.mixture import MixedDataLoader
    from nanotabpfn.data.tabicl_batches import write_tabicl_batches
    from nanotabpfn.data.torch_datasets import DumpBatches, DumpDataset
    from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
    from nanotabpfn.estimators.regressor import NanoTabPFNRegressor
    from nanotabpfn.evaluation.protocol import evaluate
    from nanotabpfn.evaluation.suites import load_suite
    from nanotabpfn.hub.card import write_model_card
    from nanotabpfn.hub.repository import HubError, from_pretrained, push_to_hub
    from nanotabpfn.model.architecture import NanoTabPFNModel
    from nanotabpfn.model.checkpoint import CheckpointError, load_model, save_model
    from nanotabpfn.model.device import get_default_device
    from nanotabpfn.training.loop import train
    from nanotabpfn.training.recipes import RECIPES
    from nanotabpfn.training.step import TrainingError

_MODULES = {
    "nanotabpfn.data.loaders": ["PriorDataLoader", "PriorDumpDataLoader"],
    "nanotabpfn.data.mixture": ["MixedDataLoader"],
    "nanotabpfn.data.tabicl_batches": ["write_tabicl_batches"],
    "nanotabpfn.data.torch_datasets": ["DumpBatches", "DumpDataset"],
    "nanotabpfn.estimators.classifier": ["NanoTabPFNClassifier"],
    "nanotabpfn.estimators.regressor": ["NanoTabPFNRegressor"],
    "nanotabpfn.evaluation.protocol": ["evaluate"],
    "nanotabpfn.evaluation.suites": ["load_suite"],
    "nanotabpfn.hub.card": ["write_model_card"],
    "nanotabpfn.hub.repository": ["HubError", "from_pretrained", "push_to_hub"],
    "nanotabpfn.model.architecture": ["NanoTabPFNModel"],
    "nanotabpfn.model.checkpoint": ["CheckpointError", "load_model", "save_model"],
    "nanotabpfn.model.device": ["get_default_device"],
    "nanotabpfn.training.loop": ["train"],
    "nanotabpfn.training.recipes": ["RECIPES"],
    "nanotabpfn.training.step": ["TrainingError"],
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
_FOLDERS = ["data", "estimators", "evaluation", "hub", "model", "studies", "training"]

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        globals()[name] = value = getattr(import_module(_MODULE_OF[name]), name)
        return value
    if name in _FOLDERS:
        return import_module(f"nanotabpfn.{name}")
    raise AttributeError(f"module 'nanotabpfn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_FOLDERS})
