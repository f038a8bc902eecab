"""Whether a training has begun: its loss against the entropy of the class shares of the same batches.

In some runs the model never does more than repeat the class shares of the training rows, for all test rows of
a dataset alike. No such prediction has a lower cross entropy than the entropy of the class shares of the test
rows. So a mean loss below the mean entropy shows that the model distinguishes rows: training has begun.

Axis letters: B datasets in a batch, R rows, T training rows, K classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

WINDOW = 50
"""Steps whose mean loss is compared with their mean entropy. While a training with batches of 32 datasets has
not begun, loss minus entropy has a standard deviation over steps of 2 to 3 % of the entropy. The mean over 50
steps has one of .4 %."""

MARGIN = 0.01
"""Training has begun when the mean loss is below the mean entropy by this share of it. Runs that have not
begun are 2 to 4 % above the entropy: a model does not know the class shares of the test rows, only those of
the training rows. The margin is not 2 % because of TabICL's `mix_scm`, which is mostly chance: the loss of
its longest recorded training ends 2 % below the entropy, and that model has a ROC AUC of .82 on real tables
(docs/race-long.md)."""

FIRST_VERDICT = 250
"""Step at which a run that has not begun is reported. All recorded runs that began, except those on
`mix_scm`, had begun by step 200 (docs/race, docs/race-long)."""

LAST_VERDICT = 1000
"""Step at which `--stop-if-not-begun` ends a run that has not begun. The slowest recorded training that
began, on `mix_scm`, needed 700 steps."""


def class_entropy(batch: dict[str, Any]) -> float:
    """The mean over the datasets of a batch of the entropy of the class shares of their test rows, in nats.

    Args:
        batch: with `y` (B, R) and `train_test_split_index`, or with `parts`, a list of such sub-batches. Of a
            batch that several ranks share, `num_datasets` is the number of all datasets, and the entropy is
            this rank's summand of the mean.

    Examples:
        >>> import torch
        >>> y = torch.tensor([[0, 1, 0, 1, 0, 1.0], [0, 1, 1, 1, 1, 1.0]])
        >>> round(class_entropy({"y": y, "train_test_split_index": 2}), 4)  # half of ln 2
        0.3466
    """
    import torch  # here: the options of `nanotabpfn train` need the numbers above without it

    total, num_datasets = 0.0, 0
    for part in batch.get("parts", [batch]):
        targets = part["y"][:, part["train_test_split_index"] :].long()  # (B, R - T)
        num_datasets += len(targets)
        if targets.numel():
            counts = torch.nn.functional.one_hot(targets).sum(dim=1)  # (B, K)
            total += torch.special.entr(counts.float() / targets.shape[1]).sum().item()
    return total / max(batch.get("num_datasets", num_datasets), 1)


def begun_at(losses: Sequence[float], entropies: Sequence[float]) -> int | None:
    """The last step of the first WINDOW in which training had begun; None if there is no such window.

    Windows follow one another: steps 1-50, 51-100 and so on. An incomplete last one is left out.

    Args:
        losses: of each step, from the first.
        entropies: `class_entropy` of the batch of each step.

    Raises:
        ValueError: not as many losses as entropies.

    Examples:
        >>> begun_at([0.57] * 100 + [0.50] * 60, [0.55] * 160)
        150
        >>> begun_at([0.57] * 1000, [0.55] * 1000) is None
        True
    """
    if len(losses) != len(entropies):
        raise ValueError(
            f"losses and entropies must be of the same steps, got {len(losses)} and {len(entropies)}"
        )
    for end in range(WINDOW, len(losses) + 1, WINDOW):
        window = slice(end - WINDOW, end)
        if np.mean(losses[window]) < (1 - MARGIN) * np.mean(entropies[window]):
            return end
    return None


def began_in_time(losses: Sequence[float], entropies: Sequence[float]) -> bool | None:
    """Whether training had begun by step FIRST_VERDICT, or by its last WINDOW if it is shorter.

    Args:
        losses: of each step, from the first.
        entropies: `class_entropy` of the batch of each step.

    Returns:
        None if there are fewer steps than a WINDOW has.

    Raises:
        ValueError: not as many losses as entropies.

    Examples:
        >>> began_in_time([0.57] * 300 + [0.50] * 60, [0.55] * 360)  # by step 350: too late
        False
        >>> began_in_time([0.57] * 60 + [0.50] * 60, [0.55] * 120)
        True
    """
    if len(losses) < WINDOW:
        return None
    return begun_at(losses[:FIRST_VERDICT], entropies[:FIRST_VERDICT]) is not None


def explain(step: int, warmup_steps: int, lr: float) -> str:
    """One line: that training has not begun by `step`, the likely cause, and what to do.

    Args:
        step: of the verdict.
        warmup_steps: of the run.
        lr: its learning rate.

    Examples:
        >>> print(explain(250, 0, 0.004))  # doctest: +ELLIPSIS
        training has not begun so far: after 250 steps the loss is still that of the class shares. ...
    """
    if warmup_steps < 20:
        cause = (
            f"The first steps were probably too large, as there is {_warm_up(warmup_steps)}: "
            "train again with --warm-up 100"
        )
    else:
        cause = (
            "Either most of what the prior draws is chance, and training begins later, or the learning rate "
            f"of {lr:g} is too high: train again with a lower --lr or another --seed"
        )
    found = f"training has not begun so far: after {step} steps the loss is still that of the class shares"
    return f"{found}. {cause}"


def _warm_up(steps: int) -> str:
    return f"a warm-up of {steps} steps only" if steps else "no warm-up"
