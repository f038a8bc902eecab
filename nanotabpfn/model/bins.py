"""Distributions over bins of the real line, which a regression model's logits are.

A distribution has K bins, whose probabilities are the softmax of the logits. Inside a bin the density is
constant. The first and the last bin extend to infinity as half-normals that begin at their inner edge, with
half of their mass within the bin's width. So every value has a positive density, and the loss of a distant
value grows with its squared distance.

Logits have the shape (..., K), edges (K + 1,): ascending, the two outermost the medians of the tails.

References:
    Müller, Hollmann, Pineda Arango, Grabocka, Hutter, Transformers can do Bayesian inference, ICLR 2022
    Hollmann et al., Accurate predictions on small data with a tabular foundation model, Nature 2025
"""

from math import log, pi, sqrt

import torch
from scipy.stats import t as student_t

NUM_BINS = 100
"""Near the centre they are 0.026 training standard deviations wide, which alone costs an R2 of 0.00006."""

DEGREES_OF_FREEDOM = 5
"""Of the Student t distribution whose quantiles are the edges; measured in docs/log.md."""

MOST_DEVIATIONS = 100.0
"""Standardized targets are clipped here, as the model clips features."""

HALF_NORMAL_MEDIAN = 0.6744897501960817
"""Of a half-normal of scale 1."""


def standard_edges(num_bins: int = NUM_BINS) -> list[float]:
    """Edges for standardized targets: quantiles of Student's t at 1/K ... (K - 1)/K, and half a step outside.

    The grid is fixed, so that the outputs of all models have the same meaning. Under the prior `default` all
    bins have about the same mass, and the tails are long enough for skewed real targets.

    Raises:
        ValueError: fewer than two bins.

    Examples:
        >>> [round(edge, 2) for edge in standard_edges(4)]
        [-1.3, -0.73, 0.0, 0.73, 1.3]
    """
    if num_bins < 2:
        raise ValueError(f"num_bins must be at least 2, got {num_bins}")
    steps = [0.5, *range(1, num_bins), num_bins - 0.5]
    return student_t(DEGREES_OF_FREEDOM).ppf([step / num_bins for step in steps]).tolist()


def standardize_targets(y: torch.Tensor, num_train: int) -> torch.Tensor:
    """Z-scores of targets (B, R) by mean and standard deviation of the first `num_train` rows, clipped.

    The standard deviation divides by n, not by n - 1. One that is 0 up to rounding counts as 1.

    Examples:
        >>> standardize_targets(torch.tensor([[1.0, 3.0, 5.0]]), num_train=2).tolist()
        [[-1.0, 1.0, 3.0]]
    """
    mean, std = target_statistics(y[:, :num_train])
    return ((y - mean) / std).clip(-MOST_DEVIATIONS, MOST_DEVIATIONS)


def target_statistics(y_train: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (B, 1) of training targets (B, T), as `standardize_targets` uses them.

    Examples:
        >>> mean, std = target_statistics(torch.tensor([[1.0, 3.0], [5.0, 5.0]]))
        >>> mean.tolist(), std.tolist()
        ([[2.0], [5.0]], [[1.0], [1.0]])
    """
    mean = y_train.mean(dim=1, keepdim=True)
    std = y_train.std(dim=1, keepdim=True, correction=0)
    rounding = 8 * torch.finfo(y_train.dtype).eps * y_train.abs().amax(dim=1, keepdim=True)
    return mean, std.masked_fill(std <= rounding, 1.0)


def log_density(logits: torch.Tensor, edges: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Log of the density at values (...) -> (...). Its negative is the loss in training.

    Examples:
        >>> edges, logits = torch.tensor([0.0, 1.0, 2.0, 4.0]), torch.zeros(3)
        >>> round(log_density(logits, edges, torch.tensor(1.5)).exp().item(), 3)  # a third, on width 1
        0.333
    """
    index, into_left, into_right = _locate(edges, values)
    left, right = _scales(edges)
    inside = -edges.diff().log()[index]
    inside = torch.where(index == 0, _half_normal_log_density(into_left, left), inside)
    inside = torch.where(index == len(edges) - 2, _half_normal_log_density(into_right, right), inside)
    masses = torch.log_softmax(logits, dim=-1)
    return masses.gather(-1, index.unsqueeze(-1)).squeeze(-1) + inside


def cdf(logits: torch.Tensor, edges: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Probability of a target of at most each of values (...) -> (...).

    Examples:
        >>> edges, logits = torch.tensor([0.0, 1.0, 2.0, 4.0]), torch.zeros(3)
        >>> round(cdf(logits, edges, torch.tensor(1.5)).item(), 3)
        0.5
    """
    index, into_left, into_right = _locate(edges, values)
    left, right = _scales(edges)
    share = (values - edges[index]) / edges.diff()[index]  # of the bin's mass that is below
    share = torch.where(index == 0, torch.erfc(into_left / (left * sqrt(2))), share)
    share = torch.where(index == len(edges) - 2, torch.erf(into_right / (right * sqrt(2))), share)
    masses = torch.softmax(logits, dim=-1)
    below = masses.cumsum(dim=-1) - masses
    at = index.unsqueeze(-1)
    return below.gather(-1, at).squeeze(-1) + share * masses.gather(-1, at).squeeze(-1)


def mean(logits: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
    """Mean of each distribution: (..., K) -> (...).

    Examples:
        >>> edges, logits = torch.tensor([-1.0, 0.0, 1.0]), torch.zeros(2)
        >>> mean(logits, edges).item()
        0.0
    """
    left, right = _scales(edges)
    centres = (edges[:-1] + edges[1:]) / 2
    centres[0] = edges[1] - left * sqrt(2 / pi)
    centres[-1] = edges[-2] + right * sqrt(2 / pi)
    return torch.softmax(logits, dim=-1) @ centres


def quantiles(logits: torch.Tensor, edges: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
    """Quantiles at probabilities (Q,), above 0 and below 1: (..., K) -> (..., Q).

    Examples:
        >>> edges, logits = torch.tensor([0.0, 1.0, 2.0, 4.0]), torch.zeros(3)
        >>> quantiles(logits, edges, torch.tensor([0.5])).tolist()
        [1.5]
    """
    left, right = _scales(edges)
    masses = torch.softmax(logits, dim=-1)
    reached = masses.cumsum(dim=-1)
    wanted = probabilities.to(masses).expand(*masses.shape[:-1], -1).contiguous()  # (..., Q)
    index = torch.searchsorted(reached, wanted).clamp(max=masses.shape[-1] - 1)
    mass = masses.gather(-1, index)
    smallest = torch.finfo(masses.dtype).tiny
    share = (wanted - reached.gather(-1, index) + mass) / mass.clamp(min=smallest)
    share = share.clamp(0, 1)
    tail = share.clamp(torch.finfo(masses.dtype).eps, 1 - torch.finfo(masses.dtype).eps)  # finite at the ends
    found = edges[index] + share * edges.diff()[index]
    found = torch.where(index == 0, edges[1] - left * sqrt(2) * torch.erfinv(1 - tail), found)
    return torch.where(index == len(edges) - 2, edges[-2] + right * sqrt(2) * torch.erfinv(tail), found)


def _locate(edges: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The bin of each value, and its distance into the left and into the right tail."""
    index = torch.searchsorted(edges[1:-1].contiguous(), values.contiguous())
    return index, (edges[1] - values).clamp(min=0), (values - edges[-2]).clamp(min=0)


def _scales(edges: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the half-normals to the left and to the right."""
    widths = edges.diff() / HALF_NORMAL_MEDIAN
    return widths[0], widths[-1]


def _half_normal_log_density(distance: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return 0.5 * log(2 / pi) - scale.log() - (distance / scale) ** 2 / 2
