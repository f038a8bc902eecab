"""The state of a training: all that it resumes from, as tensors and plain values."""

from collections.abc import Iterable
from typing import Any

import torch

from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.training.optimizer import Optimizer


class StateError(ValueError):
    """A state from which this training cannot resume; the message says what differs."""


def training_state(
    model: NanoTabPFNModel,
    optimizer: Optimizer,
    prior: Iterable[dict[str, Any]],
    step: int,
    times: dict[str, float],
) -> dict[str, Any]:
    """Everything that decides the training after `step`. No tensor shares memory with the training.

    Args:
        prior: its position is in the state if it has `state_dict`.
        step: of the last update.
        times: seconds so far, by name.

    Examples:
        >>> from nanotabpfn.training.optimizer import make_optimizer
        >>> model = NanoTabPFNModel(8, 2, 8, 1)
        >>> optimizer = make_optimizer(model, "adamw", lr=4e-3, warmup_steps=0)
        >>> state = training_state(model, optimizer, prior=[], step=7, times={"train_time": 1.5})
        >>> restore(state, NanoTabPFNModel(8, 2, 8, 1), optimizer, prior=[])
        (7, {'train_time': 1.5})
    """
    found = optimizer.state_dict()
    return {
        "step": step,
        "times": dict(times),
        "weights": {name: weight.detach().clone() for name, weight in model.state_dict().items()},
        "optimizer": {
            # A list in the order of the parameters: in JSON their numbers could not be keys.
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


def restore(
    state: dict[str, Any],
    model: NanoTabPFNModel,
    optimizer: Optimizer,
    prior: Iterable[dict[str, Any]],
) -> tuple[int, dict[str, float]]:
    """Put model, optimizer, torch's global generators and prior into a state of `training_state`.

    Returns:
        Its step and its times.

    Raises:
        StateError: a state of another model, optimizer or prior.

    Examples:
        >>> from nanotabpfn.training.optimizer import make_optimizer
        >>> model = NanoTabPFNModel(8, 2, 8, 1)
        >>> optimizer = make_optimizer(model, "adamw", lr=4e-3, warmup_steps=0)
        >>> state = training_state(model, optimizer, prior=[], step=7, times={})
        >>> restore(state, NanoTabPFNModel(16, 2, 8, 1), optimizer, prior=[])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        nanotabpfn.training.state.StateError: Error(s) in loading state_dict for NanoTabPFNModel:...
    """
    groups = state["optimizer"]["groups"]
    # Of the first group alone: Muon's own gets more settings in its first step.
    own = optimizer.state_dict()["param_groups"][0]
    is_cosine = [group.get("cosine_steps") is not None for group in (groups[0], own)]
    if groups[0].keys() != own.keys() or is_cosine[0] != is_cosine[1]:
        raise StateError("the state is of another optimizer or another schedule")
    try:
        if hasattr(prior, "load_state_dict"):
            prior.load_state_dict(state["loader"])
        model.load_state_dict(state["weights"])
        optimizer.load_state_dict(
            {
                "state": dict(enumerate(state["optimizer"]["state"])),
                "param_groups": groups,
            }
        )
    except (RuntimeError, ValueError) as error:
        raise StateError(str(error)) from error
    torch.set_rng_state(state["generators"]["cpu"])
    if torch.cuda.is_available() and len(state["generators"]["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["generators"]["cuda"])
    return state["step"], dict(state["times"])
