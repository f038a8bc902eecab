"""How a model does on datasets of its prior that it was not trained on.

Axis letters: B datasets in a batch, R rows, T training rows, K outputs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch.nn import functional as F

from nanotabpfn.model import NanoTabPFNModel


def score_held_out(
    model: NanoTabPFNModel, batches: Sequence[dict[str, Any]], device: str | torch.device
) -> dict[str, float]:
    """Means over the datasets of `batches`, as `held_out_batches` of a loader gives them.

    One forward pass for all datasets of a batch that share rows, features and split.

    Args:
        model: on `device`, in evaluation mode.

    Returns:
        `held_out_loss`, the cross entropy that training minimizes; `held_out_accuracy`; `held_out_roc_auc`,
        the mean over a dataset's classes of each against the rest, over the datasets where it is defined:
        test rows of at least two classes.
    """
    losses, accuracies, roc_aucs = [], [], []
    for batch in batches:
        for part in batch.get("parts", [batch]):
            num_train = part["train_test_split_index"]
            x, y = part["x"].to(device), part["y"].to(device)
            with torch.inference_mode():
                logits = model((x, y[:, :num_train]), train_test_split_index=num_train)  # (B, R - T, K)
            targets = y[:, num_train:].long()  # (B, R - T)
            losses += F.cross_entropy(logits.transpose(1, 2), targets, reduction="none").mean(dim=1).tolist()
            accuracies += (logits.argmax(dim=2) == targets).double().mean(dim=1).tolist()
            num_classes = (y.amax(dim=1).long() + 1).tolist()
            for logits_of_one, classes, k in zip(
                logits.cpu(), targets.cpu().numpy(), num_classes, strict=True
            ):
                probabilities = torch.softmax(logits_of_one[:, :k].double(), dim=1).numpy()  # (R - T, k)
                roc_aucs += _roc_auc(classes, probabilities)
    scores = {"held_out_loss": np.mean(losses), "held_out_accuracy": np.mean(accuracies)}
    if roc_aucs:
        scores["held_out_roc_auc"] = np.mean(roc_aucs)
    return {name: float(score) for name, score in scores.items()}


def _roc_auc(classes: np.ndarray, probabilities: np.ndarray) -> list[float]:
    """[the ROC AUC of one dataset], or [] where it has none."""
    present = np.unique(classes)
    if len(present) < 2:
        return []
    return [float(np.mean([roc_auc_score(classes == k, probabilities[:, k]) for k in present]))]
