"""Held-out scores: a model on datasets of its prior that it was not trained on.

Axis letters: B datasets in a batch, R rows, T training rows, K outputs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from nanotabpfn.evaluation.metrics import roc_auc
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.bins import log_density, mean, standardize_targets


def score_held_out(
    model: NanoTabPFNModel, batches: Sequence[dict[str, Any]], device: str | torch.device
) -> dict[str, float]:
    """Means over the datasets of `batches`, as `held_out_batches` of a loader gives them.

    One forward pass for all datasets of a batch that share rows, features and split.

    Args:
        model: on `device`, in evaluation mode.

    Returns:
        `held_out_loss`, which training minimizes.

        With classes it is the cross entropy. There are two more scores: `held_out_accuracy`; and
        `held_out_roc_auc`, for each dataset the mean over its classes of one against the rest, averaged over
        the datasets whose test rows have at least two classes.

        With real targets it is the negative log density, in units of the training rows' standard deviation.
        There is one more score, `held_out_r2`, with the mean of the distribution as prediction: 1 - S / T,
        where S is the sum of squared errors and T that of squared distances from the dataset's test mean,
        both over all datasets and in those units. The R2 of one small dataset would have no lower bound.

    Examples:
        >>> from nanotabpfn.data.loaders import PriorDataLoader
        >>> from priors.config import PriorConfig
        >>> config = PriorConfig(num_datapoints=20, num_features=(2, 2), num_nodes=(5, 5), block_size=4)
        >>> loader = PriorDataLoader(config, 1, 4, "cpu", held_out=4)
        >>> model = NanoTabPFNModel(8, 2, 8, 1, num_outputs=2).eval()
        >>> list(score_held_out(model, loader.held_out_batches(), "cpu"))
        ['held_out_loss', 'held_out_accuracy', 'held_out_roc_auc']
    """
    if model.problem_type == "regression":
        return _score_regression(model, batches, device)
    losses, accuracies, roc_aucs = [], [], []
    for batch in _uniform(batches):
        num_train = batch["train_test_split_index"]
        x, y = batch["x"].to(device), batch["y"].to(device)
        with torch.inference_mode():
            logits = model((x, y[:, :num_train]), train_test_split_index=num_train)  # (B, R - T, K)
        targets = y[:, num_train:].long()  # (B, R - T)
        losses += F.cross_entropy(logits.transpose(1, 2), targets, reduction="none").mean(dim=1).tolist()
        accuracies += (logits.argmax(dim=2) == targets).cpu().double().mean(dim=1).tolist()
        num_classes = (y.amax(dim=1).long() + 1).tolist()
        for logits_of_one, classes, k in zip(
            logits.cpu().double(), targets.cpu().numpy(), num_classes, strict=True
        ):
            probabilities = torch.softmax(logits_of_one[:, :k], dim=1).numpy()  # (R - T, k)
            roc_aucs.append(roc_auc(classes, probabilities))
    scores = {"held_out_loss": np.mean(losses), "held_out_accuracy": np.mean(accuracies)}
    if not np.isnan(roc_aucs).all():
        scores["held_out_roc_auc"] = np.nanmean(roc_aucs)
    return {name: float(score) for name, score in scores.items()}


def _score_regression(
    model: NanoTabPFNModel, batches: Sequence[dict[str, Any]], device: str | torch.device
) -> dict[str, float]:
    losses, errors, spread = [], 0.0, 0.0
    edges = model.bin_edges
    for batch in _uniform(batches):
        num_train = batch["train_test_split_index"]
        x, y = batch["x"].to(device), standardize_targets(batch["y"].to(device), num_train)
        with torch.inference_mode():
            logits = model((x, y[:, :num_train]), train_test_split_index=num_train)  # (B, R - T, K)
        targets = y[:, num_train:]  # (B, R - T)
        losses += (-log_density(logits, edges, targets)).mean(dim=1).tolist()
        errors += (mean(logits, edges) - targets).cpu().double().square().sum().item()
        spread += (targets - targets.mean(dim=1, keepdim=True)).cpu().double().square().sum().item()
    scores = {"held_out_loss": float(np.mean(losses))}
    return scores | ({"held_out_r2": 1 - errors / spread} if spread > 0 else {})


def _uniform(batches: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The batches whose datasets share rows, features and split, with mixed ones cut into such."""
    return [part for batch in batches for part in batch.get("parts", [batch])]
