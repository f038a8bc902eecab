"""The training loop: schedule-free optimization on batches of synthetic datasets."""

from collections.abc import Callable, Iterable
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.estimators.regressor import NanoTabPFNRegressor
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.device import find_device
from nanotabpfn.model.precision import resolve_precision
from nanotabpfn.training.beginning import class_entropy
from nanotabpfn.training.distributed import ALONE, Ranks
from nanotabpfn.training.optimizer import averaged, check_optimizer, make_optimizer
from nanotabpfn.training.state import restore, training_state
from nanotabpfn.training.step import Passes, update
from nanotabpfn.training.stopwatch import Stopwatch


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
    schedule: str = "schedule_free",
    schedule_steps: int | None = None,
    grad_accumulation: int = 1,
    precision: str = "float32",
    compile: bool = False,
    ranks: Ranks = ALONE,
    state: dict[str, Any] | None = None,
    steps_per_checkpoint: int | None = None,
    on_checkpoint: Callable[[NanoTabPFNModel, dict[str, Any]], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[NanoTabPFNModel, "History"]:
    """Train `model` on every batch of `prior`, in place.

    By default schedule-free AdamW without weight decay, gradients clipped to norm 1, as published; settings
    that learn faster are in `recipes.py`. The loss is the cross entropy of the test rows' classes, or, for a
    model with `bin_edges`, the negative log density of their targets, standardized by the training rows. The
    loss of a batch is the mean over its datasets. The model that is evaluated, saved and returned is the
    average over the steps (`optimizer.eval()`), as schedule-free optimization requires. Ctrl-C ends the
    training and returns the model as it is.

    Args:
        prior: yields dicts with `x` (B, R, F), `y` (B, R) and `train_test_split_index`, or with `parts`, a
            list of such sub-batches; see `PriorDumpDataLoader`. Its `problem_type` and `max_num_classes`, if
            it has them, are checked against the model.
        lr: learning rate; the published runs use 4e-3.
        device: `get_default_device()` by default.
        steps_per_eval: evaluate after every so many steps, and after the last if `prior` has a length.
        eval_func: gets a classifier (or regressor) of the averaged model, and returns named scores.
        on_step: gets each step's record: `step` (from 1), `loss`, `gradient_norm` (before clipping), `lr`
            and, if it was evaluated, the scores; of classes also `class_entropy` (of the test rows, see
            `beginning.py`); and in seconds from the start of the training, without the
            time between a stop and a resume: `train_time` (updates), `wait_time` (waiting for batches) and
            `wall_time` (everything).
        optimizer: `adamw`, or `muon` for the layers' matrices with AdamW for all other weights; see
            `optimizer.py`.
        warmup_steps: the learning rate rises linearly to `lr` in the first so many steps.
        schedule: of the learning rate after the warm-up: `schedule_free`, where the model is the average over
            the steps, or plain AdamW with a `constant` one or one that falls to 0 as a `cosine`; then the
            model is the last one.
        schedule_steps: the step at which the cosine is 0. A resumed training keeps that of its state.
        grad_accumulation: passes that a batch is cut into, to save memory: at most its datasets / so many go
            through the model at once. The gradient is the same.
        precision: of the forward and backward pass: `float32`, `bfloat16` or `auto`; see `precision.py`.
            Weights, optimizer, normalization and loss are in float32.
        compile: run the model through `torch.compile`, which takes a minute or more at the first step.
            Evaluation is not compiled.
        ranks: the processes that train together. `prior` gives this one its share of each batch, with the
            number of datasets of the whole batch as `num_datasets`. All ranks have the same model, so
            `eval_func`, `on_step` and `on_checkpoint` are for rank 0 only.
        state: of an earlier training, to resume from; on the CPU the result is equal to the bit to that of a
            training without a stop. It sets torch's global generators too. A `prior` with `load_state_dict`
            is set to its position; any other must begin with the next batch.
        steps_per_checkpoint: call `on_checkpoint` after every so many steps, and after the last.
        on_checkpoint: gets the averaged model and the state, which `save_checkpoint` writes.
        should_stop: called after each step; True ends the training there.

    Returns:
        The model, in evaluation mode, and the history: `(train_time, scores)` of each evaluation, and as
        `history.losses` the loss of each step.

    Raises:
        ValueError: a setting out of range, a prior with more classes than the model has outputs, or of
            another problem type, with missing cells or without a batch; targets that are no classes.
        TypeError: something else in the place of the model, the prior, or the scores of `eval_func`.
        StateError: a state of another model or prior.
        TrainingError: a loss or gradient that is not finite. The weights are those before that step.

    References:
        Defazio et al., The road less scheduled, NeurIPS 2024.

    Examples:
        >>> from nanotabpfn.data.loaders import PriorDataLoader
        >>> from priors.config import PriorConfig
        >>> config = PriorConfig(num_datapoints=20, num_features=(2, 2), num_nodes=(5, 5), block_size=4)
        >>> prior = PriorDataLoader(config, num_steps=3, batch_size=4, device="cpu")
        >>> model, history = train(
        ...     NanoTabPFNModel(8, 2, 8, 1, num_outputs=2),
        ...     prior,
        ...     lr=4e-3,
        ...     device="cpu",
        ...     eval_func=lambda classifier: {"num_weights": len(list(classifier.model.parameters()))},
        ...     steps_per_eval=3,
        ... )
        >>> [scores for _, scores in history]
        [{'num_weights': 26}]
        >>> len(history.losses)
        3
    """
    _check_kinds(model, prior)
    _check_counts(
        steps_per_eval=steps_per_eval,
        steps_per_checkpoint=steps_per_checkpoint,
        grad_accumulation=grad_accumulation,
    )
    check_optimizer(optimizer, lr, warmup_steps, schedule, schedule_steps)
    _check_prior(prior, model)
    device = str(find_device(device))
    passes = Passes(device, resolve_precision(precision, device), grad_accumulation)
    estimator = NanoTabPFNClassifier if model.bin_edges is None else NanoTabPFNRegressor

    model.to(device)
    ranks.share_weights(model)
    # One graph for all splits and shapes, instead of one for the first and another for the rest.
    forward = torch.compile(model, dynamic=True) if compile else model
    optimizer = make_optimizer(model, optimizer, lr, warmup_steps, schedule, schedule_steps)
    optimizer.zero_grad()  # of whatever was computed with the model before
    model.train()
    optimizer.train()
    step, times = (0, None) if state is None else restore(state, model, optimizer, prior)
    last = step + len(prior) if hasattr(prior, "__len__") else None
    progress = _progress_bar(prior, step, last, ranks)
    watch = Stopwatch(times)
    first, saved_at, history = step, step, History()

    def save_checkpoint() -> None:
        nonlocal saved_at
        if on_checkpoint is not None and saved_at < step:
            current = training_state(model, optimizer, prior, step, watch.times)
            with averaged(model, optimizer):
                on_checkpoint(model, current)
            saved_at = step

    try:
        for batch in progress:
            watch.lap("wait_time")
            loss, gradient_norm = update(forward, optimizer, batch, step + 1, passes, ranks)
            history.losses.append(loss)
            step += 1
            watch.lap("train_time")

            scores = {}
            if eval_func is not None and (step % steps_per_eval == 0 or step == last):
                with averaged(model, optimizer):
                    scores = _checked_scores(eval_func(estimator(model, device)))
                history.append((watch.times["train_time"], scores))
            watch.lap()

            progress.show(loss=loss, **scores)
            record = {"step": step, "loss": loss, "gradient_norm": gradient_norm}
            if model.problem_type == "classification":
                record["class_entropy"] = ranks.sum(class_entropy(batch))
            record["lr"] = optimizer.param_groups[0]["scheduled_lr"]
            if on_step is not None:
                on_step(record | watch.times | scores)

            if steps_per_checkpoint is not None and step % steps_per_checkpoint == 0:
                save_checkpoint()
            if ranks.any(should_stop is not None and should_stop()):
                break
            watch.lap()
        if step == first:
            raise ValueError("prior must give at least one batch, got none")
        save_checkpoint()
    except KeyboardInterrupt:
        pass
    finally:
        progress.close()
        optimizer.eval()
        model.eval()
    return model, history


class History(list[tuple[float, dict[str, float]]]):
    """`(train_time, scores)` of each evaluation of a training, and `losses`, the loss of each step."""

    def __init__(self):
        super().__init__()
        self.losses: list[float] = []


class _ProgressBar(tqdm):
    """A progress bar that shows the last value of each name."""

    def show(self, **values: float) -> None:
        self.shown = getattr(self, "shown", {}) | values
        self.set_postfix({name: f"{value:.4f}" for name, value in self.shown.items()}, refresh=False)


def _progress_bar(prior: Iterable[dict[str, Any]], step: int, last: int | None, ranks: Ranks) -> _ProgressBar:
    disable = None if ranks.rank == 0 else True  # None: disabled only where the output is not a terminal
    return _ProgressBar(prior, initial=step, total=last, desc="train", unit="step", disable=disable)


def _check_kinds(model: Any, prior: Any) -> None:
    if not isinstance(model, NanoTabPFNModel):
        raise TypeError(f"model must be a NanoTabPFNModel, got a {type(model).__name__}")
    if isinstance(prior, str | Path | dict) or not isinstance(prior, Iterable):
        raise TypeError(
            f"prior must give batches, as PriorDumpDataLoader does of a dump, got a {type(prior).__name__}: "
            f"{prior!r:.100}"
        )


def _checked_scores(scores: Any) -> dict[str, float]:
    if not isinstance(scores, dict) or not all(isinstance(score, Real) for score in scores.values()):
        raise TypeError(f"eval_func must return a dict of names and numbers, got {scores!r:.100}")
    return scores


def _check_counts(**counts: int | None) -> None:
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")


def _check_prior(prior: Iterable[dict[str, Any]], model: NanoTabPFNModel) -> None:
    problem_type = getattr(prior, "problem_type", model.problem_type)
    if problem_type != model.problem_type:
        raise ValueError(f"the prior is of {problem_type}, the model of {model.problem_type}")
    if getattr(prior, "has_missing", False):
        raise ValueError("the prior has missing cells, which the model does not take")
    num_classes = getattr(prior, "max_num_classes", None)
    if num_classes is not None and num_classes > model.num_outputs:
        raise ValueError(
            f"the prior has up to {num_classes} classes, more than the model's {model.num_outputs} outputs"
        )
