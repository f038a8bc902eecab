"""Learning rate schedules: how the learning rate changes over the steps, after a linear warm-up.

Without torch, so that the help of `nanotabpfn train` is fast.
"""

from math import cos, pi

SCHEDULES = ("schedule_free", "constant", "cosine")
"""`schedule_free` averages the weights over the steps at a constant learning rate; the others train plain
AdamW, without an average. See `optimizer.py`."""


def share_of_peak(step: int, warmup_steps: int, cosine_steps: int | None) -> float:
    """The learning rate of a step as a share of its highest value.

    Args:
        step: its number, from 1.
        warmup_steps: in which the learning rate rises linearly to its highest value.
        cosine_steps: the step from which it is 0; None: it is constant after the warm-up.

    Examples:
        >>> [share_of_peak(step, warmup_steps=2, cosine_steps=None) for step in (1, 2, 3, 6)]
        [0.5, 1.0, 1.0, 1.0]
        >>> [round(share_of_peak(step, warmup_steps=2, cosine_steps=6), 2) for step in (1, 2, 3, 6)]
        [0.5, 1.0, 0.85, 0.0]
    """
    if step <= warmup_steps:
        return step / warmup_steps
    if cosine_steps is None:
        return 1.0
    progress = min((step - warmup_steps) / max(cosine_steps - warmup_steps, 1), 1.0)
    return 0.5 * (1 + cos(pi * progress))
