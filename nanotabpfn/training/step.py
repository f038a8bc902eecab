"""One update of the weights: the loss of a batch, its gradient, the optimizer's step.

Axis letters: B datasets in a batch, R rows, T training rows, K outputs.
"""

from math import ceil
from typing import Any, NamedTuple

import torch
from torch import nn

from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.bins import log_density, standardize_targets
from nanotabpfn.model.precision import autocast
from nanotabpfn.training.distributed import ALONE, Ranks
from nanotabpfn.training.optimizer import Optimizer

MAX_GRADIENT_NORM = 1.0
"""Gradients are clipped to this norm, as published."""


class TrainingError(RuntimeError):
    """The loss or its gradient is not finite. Names the step and the datasets.

    Examples:
        >>> from nanotabpfn.training.loop import train
        >>> x, y = torch.full((1, 4, 2), torch.nan), torch.zeros(1, 4)
        >>> prior = [{"x": x, "y": y, "train_test_split_index": 2}]
        >>> model = NanoTabPFNModel(8, 2, 8, 1, num_outputs=2)
        >>> train(model, prior, lr=4e-3, device="cpu")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        nanotabpfn.training.step.TrainingError: step 1: the loss (nan) or its gradient's norm ...
    """


class Passes(NamedTuple):
    """How the forward and backward passes of a step are computed.

    Attributes:
        device: of the model.
        precision: `float32` or `bfloat16`, of the forward and backward pass.
        grad_accumulation: passes that a batch is cut into, to save memory. The gradient is the same.

    Examples:
        >>> Passes(grad_accumulation=4)
        Passes(device='cpu', precision='float32', grad_accumulation=4)
    """

    device: str | torch.device = "cpu"
    precision: str = "float32"
    grad_accumulation: int = 1


ONE_PASS = Passes()


def update(
    model: NanoTabPFNModel,
    optimizer: Optimizer,
    batch: dict[str, Any],
    step: int,
    passes: Passes = ONE_PASS,
    ranks: Ranks = ALONE,
) -> tuple[float, float]:
    """Update the weights once.

    Args:
        model: in training mode.
        optimizer: of its parameters.
        batch: with `x` (B, R, F), `y` (B, R) and `train_test_split_index`, or with `parts`, a list of such
            sub-batches, each of one shape and split.
        step: its number, for the message of an error.
        passes: how the passes are computed.
        ranks: the processes that train together.

    Returns:
        The loss, and the norm of its gradient before clipping.

    Raises:
        TrainingError: one of them is not finite; the weights have not changed.
        ValueError: targets of another shape than the rows, or that are no classes of the model.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> model = NanoTabPFNModel(8, 2, 8, 1, 2)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> x, y = torch.randn(4, 10, 3), torch.tensor([[0.0, 1.0] * 5] * 4)
        >>> batch = {"x": x, "y": y, "train_test_split_index": 6}
        >>> first, _ = update(model, optimizer, batch, step=1)
        >>> second, _ = update(model, optimizer, batch, step=2)
        >>> second < first
        True
    """
    loss = _accumulate_gradient(model, batch, passes)
    loss = ranks.sum_gradients(model.parameters(), loss)
    gradient_norm = nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
    if not (torch.isfinite(loss) and torch.isfinite(gradient_norm)):
        optimizer.zero_grad()  # or these gradients would be part of the next step
        raise TrainingError(_not_finite(step, loss.item(), gradient_norm.item(), batch))
    optimizer.step()
    optimizer.zero_grad()
    return loss.item(), gradient_norm.item()


def _accumulate_gradient(model: NanoTabPFNModel, batch: dict[str, Any], passes: Passes) -> torch.Tensor:
    """Add the gradient of the batch's loss to the parameters' gradients; returns the loss.

    The loss is the mean over datasets of each dataset's own loss, as if they came one at a time. A batch of
    one shape and split needs one pass for that, a mixed one a pass for each sub-batch. Each pass, on whatever
    rank, is weighted by its share of the datasets of the whole batch.
    """
    sub_batches = batch.get("parts", [batch])
    own_datasets = sum(len(sub_batch["x"]) for sub_batch in sub_batches)
    num_datasets = batch.get("num_datasets", own_datasets)
    datasets_per_pass = ceil(own_datasets / passes.grad_accumulation)
    loss = torch.zeros((), device=passes.device)
    for sub_batch in sub_batches:
        _check_targets(sub_batch, model)
        tables = sub_batch["x"].split(datasets_per_pass), sub_batch["y"].split(datasets_per_pass)
        for x, y in zip(*tables, strict=True):  # (B, R, F), (B, R)
            x, y = x.to(passes.device), y.to(passes.device)
            loss_of_pass = _loss(model, x, y, sub_batch["train_test_split_index"], passes)
            share = loss_of_pass * (len(x) / num_datasets)
            share.backward()
            loss += share.detach()
    return loss


def _check_targets(batch: dict[str, Any], model: NanoTabPFNModel) -> None:
    """Refuse targets that the loss would take for others: cross entropy cuts 0.5 to 0 and skips -100.

    Raises:
        ValueError: y is not (B, R), or in classification holds other numbers than classes of the model.
    """
    x, y = batch["x"], batch["y"]
    if y.shape != x.shape[:2]:
        raise ValueError(f"y must be {tuple(x.shape[:2])}, as x is {tuple(x.shape)}, got {tuple(y.shape)}")
    if model.bin_edges is None:
        wrong = y[(y < 0) | (y >= model.num_outputs) | (y != y.floor())]
        if len(wrong):
            raise ValueError(
                f"y must hold classes, 0 to {model.num_outputs - 1} for the model's {model.num_outputs} "
                f"outputs, got {wrong[0].item():g}"
            )


def _loss(
    model: NanoTabPFNModel, x: torch.Tensor, y: torch.Tensor, num_train: int, passes: Passes
) -> torch.Tensor:
    """Cross entropy of the test rows' classes, or in regression the negative log density of their targets."""
    edges = model.bin_edges
    if edges is not None:
        y = standardize_targets(y, num_train)
    with autocast(passes.device, passes.precision):
        logits = model((x, y[:, :num_train]), train_test_split_index=num_train)  # (B, R - T, K)
    targets = y[:, num_train:]  # (B, R - T)
    if edges is None:
        return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten().long())
    return -log_density(logits, edges, targets).mean()


def _not_finite(step: int, loss: float, gradient_norm: float, batch: dict[str, Any]) -> str:
    datasets = batch.get("datasets")
    which = "" if datasets is None else f" on datasets {', '.join(str(int(i)) for i in datasets)}"
    which += f" of loader {batch['loader']}" if "loader" in batch else ""
    return (
        f"step {step}: the loss ({loss}) or its gradient's norm ({gradient_norm}) "
        f"is not finite{which}; look at these datasets, or lower the learning rate"
    )
