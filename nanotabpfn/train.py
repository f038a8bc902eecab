"""The training loop: schedule-free AdamW on batches of synthetic datasets."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import schedulefree
import torch
from torch import nn
from tqdm import tqdm

from nanotabpfn.classifier import NanoTabPFNClassifier
from nanotabpfn.model import NanoTabPFNModel, get_default_device


class TrainingError(RuntimeError):
    """Training cannot go on: the loss or its gradient is not finite. Names the step and the datasets."""


def train(
    model: NanoTabPFNModel,
    prior: Iterable[dict[str, Any]],
    lr: float = 1e-4,
    device: str | torch.device | None = None,
    steps_per_eval: int = 10,
    eval_func: Callable[[NanoTabPFNClassifier], dict[str, float]] | None = None,
    on_step: Callable[[dict[str, float]], None] | None = None,
) -> tuple[NanoTabPFNModel, list[tuple[float, dict[str, float]]]]:
    """Train `model` on every batch of `prior`, in place.

    Schedule-free AdamW without weight decay, gradients clipped to norm 1, as published. The loss is the
    cross entropy of the test rows' classes: the mean over the datasets of a batch, one at a time or together
    alike. Whatever is evaluated or returned is the averaged model (`optimizer.eval()`), which is the one that
    schedule-free optimization is about. Ctrl-C ends the training and returns what was learned so far.

    Args:
        prior: yields dicts with `x` (B, R, F), `y` (B, R) and `train_test_split_index`, or with `parts`, a
            list of such; see `PriorDumpDataLoader`. Its `max_num_classes`, where it has one, is checked
            against the model.
        lr: learning rate; the published runs use 4e-3.
        device: `get_default_device()` by default.
        steps_per_eval: evaluate after every so many steps.
        eval_func: given a classifier of the model as it is, returns named scores.
        on_step: given each step's record: `step` (from 1), `loss`, `gradient_norm`, `train_time` (seconds
            of training, evaluation not counted) and, where it was evaluated, the scores.

    Returns:
        The model, in evaluation mode, and the history: `(train_time, scores)` of each evaluation.

    Raises:
        ValueError: a setting out of range, or a prior with more classes than the model has outputs.
        TrainingError: a loss or gradient that is not finite. The weights are those before that step.

    References:
        Defazio et al., The road less scheduled, NeurIPS 2024.
    """
    if not lr > 0:
        raise ValueError(f"lr must be above 0, got {lr}")
    if steps_per_eval < 1:
        raise ValueError(f"steps_per_eval must be at least 1, got {steps_per_eval}")
    num_classes = getattr(prior, "max_num_classes", None)
    if num_classes is not None and num_classes > model.num_outputs:
        raise ValueError(
            f"the prior has up to {num_classes} classes, more than the model's {model.num_outputs} outputs"
        )
    device = device or get_default_device()
    model.to(device)
    optimizer = schedulefree.AdamWScheduleFree(model.parameters(), lr=lr, weight_decay=0.0)
    model.train()
    optimizer.train()
    train_time, history = 0.0, []
    total = len(prior) if hasattr(prior, "__len__") else None
    progress = tqdm(prior, total=total, desc="train", unit="step", disable=None)
    try:
        for step, batch in enumerate(progress, start=1):
            started = time.perf_counter()
            loss, gradient_norm = _step(model, optimizer, batch, device, step)
            train_time += time.perf_counter() - started
            record = {"step": step, "loss": loss, "gradient_norm": gradient_norm, "train_time": train_time}
            if eval_func is not None and step % steps_per_eval == 0:
                scores = _evaluate(model, optimizer, device, eval_func)
                history.append((train_time, scores))
                record |= scores
            shown = {name: value for name, value in record.items() if name not in ("step", "train_time")}
            progress.set_postfix({name: f"{value:.4f}" for name, value in shown.items()}, refresh=False)
            if on_step is not None:
                on_step(record)
    except KeyboardInterrupt:
        pass
    finally:
        progress.close()
        optimizer.eval()
        model.eval()
    return model, history


def _step(
    model: NanoTabPFNModel,
    optimizer: torch.optim.Optimizer,
    batch: dict[str, Any],
    device: str | torch.device,
    step: int,
) -> tuple[float, float]:
    """One update; returns the loss and the norm of its gradient.

    The loss is the mean over datasets of each one's cross entropy, as if they came one at a time: a batch of
    one shape and split needs one pass for that, a mixed one a pass for each of its parts.
    """
    parts = batch.get("parts", [batch])
    num_datasets = sum(len(part["x"]) for part in parts)
    loss = torch.zeros((), device=device)
    for part in parts:
        num_train = part["train_test_split_index"]
        x, y = part["x"].to(device), part["y"].to(device)
        logits = model((x, y[:, :num_train]), train_test_split_index=num_train)  # (B, R - T, K)
        targets = y[:, num_train:].long()  # (B, R - T)
        cross_entropy = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        share = cross_entropy * (len(x) / num_datasets)
        share.backward()
        loss += share.detach()
    gradient_norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    if not (torch.isfinite(loss) and torch.isfinite(gradient_norm)):
        datasets = batch.get("datasets")
        which = "" if datasets is None else f" on datasets {', '.join(str(int(i)) for i in datasets)}"
        which += f" of loader {batch['loader']}" if "loader" in batch else ""
        raise TrainingError(
            f"step {step}: the loss ({loss.item()}) or its gradient's norm ({gradient_norm.item()}) "
            f"is not finite{which}; look at these datasets, or lower the learning rate"
        )
    optimizer.step()
    optimizer.zero_grad()
    return loss.item(), gradient_norm.item()


def _evaluate(
    model: NanoTabPFNModel,
    optimizer: torch.optim.Optimizer,
    device: str | torch.device,
    eval_func: Callable[[NanoTabPFNClassifier], dict[str, float]],
) -> dict[str, float]:
    """The scores of the averaged model; afterwards training goes on as if nothing had been asked."""
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    model.eval()
    optimizer.eval()
    try:
        return eval_func(NanoTabPFNClassifier(model, device))
    finally:
        model.train()
        optimizer.train()
        with torch.no_grad():  # the way to the average and back is off by rounding
            for parameter, weight in zip(model.parameters(), weights, strict=True):
                parameter.copy_(weight)
