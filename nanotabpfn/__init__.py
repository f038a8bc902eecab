"""Trains nanoTabPFN on prior dumps, predicts with it, and measures it on real tables."""

from nanotabpfn.data.loaders import PriorDataLoader, PriorDumpDataLoader
from nanotabpfn.data.mixture import MixedDataLoader
from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.estimators.regressor import NanoTabPFNRegressor
from nanotabpfn.model.architecture import NanoTabPFNModel, get_default_device
from nanotabpfn.training.loop import train

__all__ = [
    "MixedDataLoader",
    "NanoTabPFNClassifier",
    "NanoTabPFNModel",
    "NanoTabPFNRegressor",
    "PriorDataLoader",
    "PriorDumpDataLoader",
    "get_default_device",
    "train",
]
