"""Trains nanoTabPFN on prior dumps, predicts with it, and measures it on real tables."""

from nanotabpfn.classifier import NanoTabPFNClassifier
from nanotabpfn.data import MixedDataLoader, PriorDataLoader, PriorDumpDataLoader
from nanotabpfn.model import NanoTabPFNModel, get_default_device
from nanotabpfn.regressor import NanoTabPFNRegressor
from nanotabpfn.train import train

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
