"""The training loop: schedule-free optimization on batches of synthetic datasets."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.estimators.regressor import NanoTabPFNRegressor
from nanotabpfn.model.architecture import NanoTabPFNModel, get_default_device
from nanotabpfn.model.bins import log_density, standardize_targets
from nanotabpfn.model.precision import autocast, resolve_precision
from nanotabpfn.training.distributed import ALONE, Ranks
from nanotabpfn.training.optimizer import OPTIMIZERS, Optimizer, make_optimizer


class TrainingError(RuntimeError):
    """Training cannot go on: the loss or its gradient is not finite. Names the step and the datasets."""


class StateError(ValueError):
    """A state of a training that this one cannot go on from; the message says what differs."""


def train(
    model: NanoTabPFNModel,
    prior: Iterable[dict[str, Any]],
    lr: float = 1e-4,
    device: str | torch.device | None = None,
    steps_per_eval: int = 10,
    eval_func: Callable[[NanoTabPFNClassifier | NanoTabPFNRegressor], dict[str, float]] | None = None,
    on_step: Callable[[dict[str, float]], None] | None = None,
    *,
    optimizer: str = "adamw",
    warmup_steps: int = 0,
    grad_accumulation: int = 1,
    precision: str = "float32",
    compile: bool = False,
    ranks: Ranks = ALONE,
    state: dict[str, Any] | None = None,
    steps_per_checkpoint: int | None = None,
    on_checkpoint: Callable[[NanoTabPFNModel, dict[str, Any]], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[NanoTabPFNModel, list[tuple[float, dict[str, float]]]]:
    """Train `model` on every batch of `prior`, in place.

    By default schedule-free AdamW without weight decay, gradients clipped to norm 1, as published; settings
    that learn faster stand in `recipes.py`. The loss is the cross entropy of the test rows' classes, or, of a
    model with `bin_edges`, the negative log density of their targets, standardized by the training rows: the
    mean over the datasets of a batch, one at a time or together alike. Whatever is evaluated, saved or
    returned is the averaged model (`optimizer.eval()`), which is the one that schedule-free optimization is
    about. Ctrl-C ends the training and returns what was learned so far.

    Args:
        prior: yields dicts with `x` (B, R, F), `y` (B, R) and `train_test_split_index`, or with `parts`, a
            list of such; see `PriorDumpDataLoader`. Its `problem_type` and `max_num_classes`, where it has
            them, are checked against the model.
        lr: learning rate; the published runs use 4e-3.
        device: `get_default_device()` by default.
        steps_per_eval: evaluate after every so many steps.
        eval_func: given a classifier (or regressor) of the model as it is, returns named scores.
        on_step: given each step's record: `step` (from 1), `loss`, `gradient_norm` (before clipping), `lr`
            and, where it was evaluated, the scores; and in seconds from the start of the training, pauses
            between a stop and a restart left out: `train_time` (in updates), `wait_time` (for batches) and
            `wall_time` (all).
        optimizer: `adamw` or `muon`, which is for the layers' matrices and leaves the rest to AdamW; see
            `optimizer.py`.
        warmup_steps: the learning rate rises to `lr` in so many first steps.
        grad_accumulation: passes that a batch is cut into, to save memory: at most its datasets / so many go
            through the model at once. The gradient is the same.
        precision: of the forward and backward pass: `float32`, `bfloat16` or `auto`; see `precision.py`.
            Weights, optimizer, normalization and loss are in float32.
        compile: run the model through `torch.compile`, which takes a minute or more at the first step.
            Evaluation is not compiled.
        ranks: the processes that train together. `prior` gives this one its share of each batch, and tells
            in `num_datasets` how many datasets the whole batch has. On ranks other than 0 leave `eval_func`,
            `on_step` and `on_checkpoint` out: all have the same model.
        state: of an earlier training, to go on from as if nothing had happened, on the CPU to the bit. It
            sets torch's global generators too. A `prior` with `load_state_dict` is put where it was; another
            must begin with the batch that is due.
        steps_per_checkpoint: call `on_checkpoint` after every so many steps, and after the last.
        on_checkpoint: given the averaged model and the state, which `save_checkpoint` writes.
        should_stop: asked after each step whether it was the last, in spite of what `prior` has left.

    Returns:
        The model, in evaluation mode, and the history: `(train_time, scores)` of each evaluation.

    Raises:
        ValueError: a setting out of range, a prior with more classes than the model has outputs, or one of
            regression for a model of classification, or the other way round.
        StateError: a state of another model or prior.
        TrainingError: a loss or gradient that is not finite. The weights are those before that step.

    References:
        Defazio et al., The road less scheduled, NeurIPS 2024.
    """
    if not lr > 0:
        raise ValueError(f"lr must be above 0, got {lr}")
    counts = {
        "steps_per_eval": steps_per_eval,
        "steps_per_checkpoint": steps_per_checkpoint,
        "grad_accumulation": grad_accumulation,
    }
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    if warmup_steps < 0:
        raise ValueError(f"warmup_steps must be at least 0, got {warmup_steps}")
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {optimizer!r}")
    problem_type = getattr(prior, "problem_type", model.problem_type)
    if problem_type != model.problem_type:
        raise ValueError(f"the prior is of {problem_type}, the model of {model.problem_type}")
    num_classes = getattr(prior, "max_num_classes", None)
    if num_classes is not None and num_classes > model.num_outputs:
        raise ValueError(
            f"the prior has up to {num_classes} classes, more than the model's {model.num_outputs} outputs"
        )
    device = device or get_default_device()
    precision = resolve_precision(precision, device)
    model.to(device)
    # One graph for all splits and shapes, instead of one for the first and another for the rest.
    forward = torch.compile(model, dynamic=True) if compile else model
    ranks.share_weights(model)
    optimizer = make_optimizer(model, optimizer, lr, warmup_steps)
    model.train()
    optimizer.train()
    step, times = 0, {"train_time": 0.0, "wait_time": 0.0, "wall_time": 0.0}
    if state is not None:
        step, times = _restore(state, model, optimizer, prior)
    saved_at, history = step, []
    estimator = NanoTabPFNClassifier if model.bin_edges is None else NanoTabPFNRegressor

    def save_checkpoint() -> None:
        nonlocal saved_at
        if on_checkpoint is not None and saved_at < step:
            current = _state(model, optimizer, prior, step, times)
            with _averaged(model, optimizer):
                on_checkpoint(model, current)
            saved_at = step

    total = step + len(prior) if hasattr(prior, "__len__") else None
    hidden = None if ranks.rank == 0 else True  # None: where nobody looks
    progress = tqdm(prior, initial=step, total=total, desc="train", unit="step", disable=hidden)
    shown = {}
    ended = time.perf_counter()
    began = ended - times["wall_time"]
    try:
        for batch in progress:
            started = time.perf_counter()
            times["wait_time"] += started - ended
            loss, gradient_norm = _step(
                forward, optimizer, batch, device, step + 1, grad_accumulation, precision, ranks
            )
            step += 1
            ended = time.perf_counter()
            times["train_time"] += ended - started
            scores = {}
            if eval_func is not None and step % steps_per_eval == 0:
                with _averaged(model, optimizer):
                    scores = eval_func(estimator(model, device))
                history.append((times["train_time"], scores))
            times["wall_time"] = time.perf_counter() - began
            shown |= {"loss": loss, **scores}
            progress.set_postfix({name: f"{value:.4f}" for name, value in shown.items()}, refresh=False)
            if on_step is not None:
                lr_now = optimizer.param_groups[0]["scheduled_lr"]
                record = {"step": step, "loss": loss, "gradient_norm": gradient_norm, "lr": lr_now}
                on_step(record | times | scores)
            if steps_per_checkpoint is not None and step % steps_per_checkpoint == 0:
                save_checkpoint()
            if ranks.any(should_stop is not None and should_stop()):
                break
            ended = time.perf_counter()
        save_checkpoint()
    except KeyboardInterrupt:
        pass
    finally:
        progress.close()
        optimizer.eval()
        model.eval()
    return model, history


def _step(
    model: NanoTabPFNModel,
    optimizer: Optimizer,
    batch: dict[str, Any],
    device: str | torch.device,
    step: int,
    grad_accumulation: int = 1,
    precision: str = "float32",
    ranks: Ranks = ALONE,
) -> tuple[float, float]:
    """One update; returns the loss and the norm of its gradient.

    The loss is the mean over datasets of each one's own, as if they came one at a time: a batch of
    one shape and split needs one pass for that, a mixed one a pass for each of its parts. Each pass, on
    whatever rank, counts by its share of the datasets of the whole batch.
    """
    parts = batch.get("parts", [batch])
    own_datasets = sum(len(part["x"]) for part in parts)
    num_datasets = batch.get("num_datasets", own_datasets)
    datasets_per_pass = ceil(own_datasets / grad_accumulation)
    loss, edges = torch.zeros((), device=device), model.bin_edges
    for part in parts:
        num_train = part["train_test_split_index"]
        passes = zip(part["x"].split(datasets_per_pass), part["y"].split(datasets_per_pass), strict=True)
        for x, y in passes:
            x, y = x.to(device), y.to(device)
            if edges is not None:
                y = standardize_targets(y, num_train)
            with autocast(device, precision):
                logits = model((x, y[:, :num_train]), train_test_split_index=num_train)  # (B, R - T, K)
            targets = y[:, num_train:]  # (B, R - T)
            if edges is None:
                loss_of_part = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten().long())
            else:
                loss_of_part = -log_density(logits, edges, targets).mean()
            share = loss_of_part * (len(x) / num_datasets)
            share.backward()
            loss += share.detach()
    loss = ranks.sum_gradients(model.parameters(), loss)
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


@contextmanager
def _averaged(model: NanoTabPFNModel, optimizer: Optimizer) -> Iterator[None]:
    """The model is the averaged one here; afterwards training goes on as if nothing had been asked."""
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    model.eval()
    optimizer.eval()
    try:
        yield
    finally:
        model.train()
        optimizer.train()
        with torch.no_grad():  # the way to the average and back is off by rounding
            for parameter, weight in zip(model.parameters(), weights, strict=True):
                parameter.copy_(weight)


# ------------------------------------------------------------------------------------------------- states


def _state(
    model: NanoTabPFNModel,
    optimizer: Optimizer,
    prior: Iterable[dict[str, Any]],
    step: int,
    times: dict[str, float],
) -> dict[str, Any]:
    """All that a training goes on from after `step`: tensors and plain values, none of them shared."""
    found = optimizer.state_dict()
    return {
        "step": step,
        "times": dict(times),
        "weights": {name: weight.detach().clone() for name, weight in model.state_dict().items()},
        "optimizer": {
            # In the order of the parameters; their numbers would not survive as keys in JSON.
            "state": [
                {
                    name: value.clone() if torch.is_tensor(value) else value
                    for name, value in found["state"].get(i, {}).items()
                }
                for i in range(sum(len(group["params"]) for group in found["param_groups"]))
            ],
            "groups": found["param_groups"],
        },
        "generators": {
            "cpu": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        },
        "loader": prior.state_dict() if hasattr(prior, "state_dict") else None,
    }


def _restore(
    state: dict[str, Any],
    model: NanoTabPFNModel,
    optimizer: Optimizer,
    prior: Iterable[dict[str, Any]],
) -> tuple[int, dict[str, float]]:
    """Put model, optimizer, generators and prior where `_state` found them; its step and times."""
    try:
        if hasattr(prior, "load_state_dict"):
            prior.load_state_dict(state["loader"])
        model.load_state_dict(state["weights"])
        optimizer.load_state_dict(
            {
                "state": dict(enumerate(state["optimizer"]["state"])),
                "param_groups": state["optimizer"]["groups"],
            }
        )
    except (RuntimeError, ValueError) as error:
        raise StateError(str(error)) from error
    torch.set_rng_state(state["generators"]["cpu"])
    if torch.cuda.is_available() and len(state["generators"]["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["generators"]["cuda"])
    return state["step"], dict(state["times"])
