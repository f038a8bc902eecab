"""Optimizers: schedule-free AdamW, as published, or Muon for the layers' matrices with AdamW for the rest."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any

import schedulefree
import torch

from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.training.schedule import SCHEDULES, share_of_peak

OPTIMIZERS = ("adamw", "muon")
MOMENTUM = 0.95
"""Momentum of the gradients, before Muon makes them orthogonal; the published value."""
MUON_LR_RATIO = 5.0
"""Muon's learning rate in AdamW's. PyTorch scales Muon's updates to a root mean square of 0.2 of the learning
rate, as AdamW's have with their first moment; schedule-free AdamW has none, and its updates about 1."""


def make_optimizer(
    model: NanoTabPFNModel,
    name: str,
    lr: float,
    warmup_steps: int,
    schedule: str = "schedule_free",
    schedule_steps: int | None = None,
) -> "Optimizer":
    """One of OPTIMIZERS, without weight decay: AdamW for all weights, or `MuonWithAdamW`.

    Args:
        model: whose parameters it updates.
        name: of OPTIMIZERS.
        lr: learning rate.
        warmup_steps: the learning rate rises linearly to `lr` in the first so many steps.
        schedule: of SCHEDULES; `muon` has only `schedule_free`.
        schedule_steps: of `cosine`, at whose last the learning rate is 0.

    Examples:
        >>> optimizer = make_optimizer(NanoTabPFNModel(8, 2, 8, 1), "adamw", lr=4e-3, warmup_steps=20)
        >>> optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["weight_decay"]
        (0.004, 0.0)
    """
    if name == "muon":
        return MuonWithAdamW(model, lr, warmup_steps)
    if schedule != "schedule_free":
        return ScheduledAdamW(model, lr, warmup_steps, schedule_steps if schedule == "cosine" else None)
    return schedulefree.AdamWScheduleFree(
        model.parameters(), lr=lr, weight_decay=0.0, warmup_steps=warmup_steps
    )


def check_optimizer(
    name: str, lr: float, warmup_steps: int, schedule: str, schedule_steps: int | None
) -> None:
    """Refuse what `make_optimizer` cannot make, before any work.

    Raises:
        ValueError: naming the argument, the rule and the value.

    Examples:
        >>> check_optimizer("muon", 4e-3, 0, "cosine", schedule_steps=100)
        Traceback (most recent call last):
        ValueError: schedule cosine is for the optimizer adamw, got muon
    """
    if not isinstance(lr, Real) or not 0 < lr < math.inf:
        raise ValueError(f"lr must be finite and above 0, got {lr!r}")
    if warmup_steps < 0:
        raise ValueError(f"warmup_steps must be at least 0, got {warmup_steps}")
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {name!r}")
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {schedule!r}")
    if schedule != "schedule_free" and name != "adamw":
        raise ValueError(f"schedule {schedule} is for the optimizer adamw, got {name}")
    if schedule == "cosine" and (schedule_steps is None or schedule_steps < 1):
        raise ValueError(f"schedule cosine needs schedule_steps of at least 1, got {schedule_steps}")


@contextmanager
def averaged(model: NanoTabPFNModel, optimizer: "Optimizer") -> Iterator[None]:
    """The model has its averaged weights inside of this context, and its former weights, to the bit, after.

    Args:
        model: in training mode, as is `optimizer`.
        optimizer: of its parameters.

    Examples:
        >>> model = NanoTabPFNModel(8, 2, 8, 1)
        >>> optimizer = make_optimizer(model, "adamw", lr=4e-3, warmup_steps=0)
        >>> optimizer.train()
        >>> with averaged(model, optimizer):
        ...     model.training
        False
        >>> model.training
        True
    """
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    model.eval()
    optimizer.eval()
    try:
        yield
    finally:
        model.train()
        optimizer.train()
        with torch.no_grad():  # computing the average and undoing it would leave rounding errors
            for parameter, weight in zip(model.parameters(), weights, strict=True):
                parameter.copy_(weight)


class MuonWithAdamW:
    """Schedule-free Muon for the layers' matrices, schedule-free AdamW for the rest, as one optimizer.

    Muon replaces a matrix's gradient by the nearest orthogonal matrix. It is for hidden layers: encoders,
    decoder, biases and norms are left to AdamW. Its updates are scaled to the size of AdamW's, so that one
    learning rate serves both (Liu et al., Muon is scalable, 2025; MUON_LR_RATIO). Both are schedule-free:
    a schedule needs the number of steps in advance, and a run may be resumed with more.

    References:
        Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024.
        Defazio et al., The road less scheduled, NeurIPS 2024.

    Examples:
        >>> optimizer = MuonWithAdamW(NanoTabPFNModel(8, 2, 8, 1), lr=4e-3, warmup_steps=0)
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.004, 0.02]
    """

    def __init__(self, model: NanoTabPFNModel, lr: float, warmup_steps: int):
        matrices = [weight for weight in model.transformer_blocks.parameters() if weight.ndim == 2]
        chosen = set(map(id, matrices))
        rest = [weight for weight in model.parameters() if id(weight) not in chosen]
        self._adamw = schedulefree.AdamWScheduleFree(rest, lr=lr, weight_decay=0.0, warmup_steps=warmup_steps)
        muon = torch.optim.Muon(
            matrices,
            lr=MUON_LR_RATIO * lr,
            weight_decay=0.0,
            momentum=MOMENTUM,
            adjust_lr_fn="match_rms_adamw",
        )
        self._muon = schedulefree.ScheduleFreeWrapper(muon)
        self._num_rest = len(rest)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return self._adamw.param_groups + self._muon.param_groups

    def train(self) -> None:
        self._adamw.train()
        self._muon.train()

    def eval(self) -> None:
        self._adamw.eval()
        self._muon.eval()

    def zero_grad(self) -> None:
        self._adamw.zero_grad()
        self._muon.zero_grad()

    def step(self) -> None:
        self._adamw.step()
        for group in self._muon.param_groups:  # whose wrapper has no warm-up
            group["lr"] = MUON_LR_RATIO * self._adamw.param_groups[0]["scheduled_lr"]
        self._muon.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of both: AdamW's group, then Muon's; the weights are numbered across both."""
        adamw, muon = self._adamw.state_dict(), self._muon.state_dict()
        return {
            "state": adamw["state"] | _shifted_states(muon["state"], self._num_rest),
            "param_groups": adamw["param_groups"] + _shifted_groups(muon["param_groups"], self._num_rest),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """
        Raises:
            ValueError: a state of another optimizer or model.
        """
        groups, states = state_dict["param_groups"], state_dict["state"]
        if len(groups) != 2 or len(groups[0]["params"]) != self._num_rest:
            raise ValueError("the optimizer's state must be of AdamW and Muon for the weights of this model")
        first = set(groups[0]["params"])
        self._adamw.load_state_dict(
            {"state": {i: states[i] for i in first & states.keys()}, "param_groups": groups[:1]}
        )
        second = {i: state for i, state in states.items() if i not in first}
        self._muon.load_state_dict(
            {
                "state": _shifted_states(second, -self._num_rest),
                "param_groups": _shifted_groups(groups[1:], -self._num_rest),
            }
        )


class ScheduledAdamW(torch.optim.AdamW):
    """AdamW with a warm-up and then a constant learning rate, or one that falls as half a cosine to 0.

    It has the methods of the schedule-free optimizers. There is no average: the model in evaluation is the
    one that is trained. Everything that decides the next step is in its state.

    Args:
        model: whose parameters it updates.
        lr: learning rate at the end of the warm-up.
        warmup_steps: in which it rises linearly.
        cosine_steps: the step at which it is 0; None: it is constant after the warm-up.

    References:
        Loshchilov & Hutter, Decoupled weight decay regularization, ICLR 2019.

    Examples:
        >>> optimizer = ScheduledAdamW(NanoTabPFNModel(8, 2, 8, 1), 1.0, warmup_steps=2, cosine_steps=6)
        >>> rates = []
        >>> for _ in range(6):
        ...     optimizer.step()
        ...     rates.append(round(optimizer.param_groups[0]["scheduled_lr"], 2))
        >>> rates
        [0.5, 1.0, 0.85, 0.5, 0.15, 0.0]
    """

    def __init__(self, model: NanoTabPFNModel, lr: float, warmup_steps: int, cosine_steps: int | None):
        super().__init__(model.parameters(), lr=lr, weight_decay=0.0)
        own = {"peak_lr": lr, "warmup_steps": warmup_steps, "cosine_steps": cosine_steps, "k": 0}
        self.param_groups[0] |= own | {"scheduled_lr": 0.0}

    def train(self) -> None:
        """Nothing: there is no average to leave."""

    def eval(self) -> None:
        """Nothing: there is no average to enter."""

    def step(self) -> None:
        group = self.param_groups[0]
        group["k"] += 1
        group["lr"] = group["scheduled_lr"] = group["peak_lr"] * share_of_peak(
            group["k"], group["warmup_steps"], group["cosine_steps"]
        )
        super().step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """
        Raises:
            ValueError: a state of another optimizer or model.
        """
        if "peak_lr" not in state_dict["param_groups"][0]:
            raise ValueError("the optimizer's state must be of AdamW with a constant or cosine schedule")
        super().load_state_dict(state_dict)


Optimizer = schedulefree.AdamWScheduleFree | MuonWithAdamW | ScheduledAdamW


def _shifted_states(states: dict[int, Any], by: int) -> dict[int, Any]:
    return {i + by: state for i, state in states.items()}


def _shifted_groups(groups: list[dict[str, Any]], by: int) -> list[dict[str, Any]]:
    return [group | {"params": [i + by for i in group["params"]]} for group in groups]
