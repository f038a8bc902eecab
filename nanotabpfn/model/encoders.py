"""From a table to cells: normalized features, targets, and the numbers that each cell is embedded from.

Axis letters: B datasets in a batch, R rows, T training rows, F features, C = F + 1 columns (the target is the
last; C = F in a target-aware model), G features that a column is embedded from, N numbers that a target is
embedded from, S = G + N + 2 scalars of a cell, E embedding.
"""

import math

import torch
from torch import nn


class NumberEncoder(nn.Module):
    """Embeds a cell by its numbers: numbers @ weights + bias.

    Examples:
        >>> NumberEncoder(embedding_size=8, num_numbers=3).basis().shape
        torch.Size([4, 8])
    """

    def __init__(self, embedding_size: int, num_numbers: int = 1):
        super().__init__()
        self.linear_layer = nn.Linear(num_numbers, embedding_size)

    def basis(self) -> torch.Tensor:
        """Weights and bias, a row for each number and one: the embedding is (numbers, 1) @ basis."""
        return torch.cat([self.linear_layer.weight.t(), self.linear_layer.bias.unsqueeze(0)])


def encode_scalars(features: torch.Tensor, targets: torch.Tensor, group_size: int = 1) -> torch.Tensor:
    """The scalars of all cells: normalized features (B, R, F) and targets (B, R) -> (B, R, C, S).

    The cell of a feature is (its group of G features, 1, 0, 0), that of a target (G zeros, 0, target, 1).
    Multiplied by the bases of the two encoders, one above the other, that is the embedded table.

    Examples:
        >>> encode_scalars(torch.tensor([[[0.5, -1.0]]]), torch.tensor([[3.0]])).tolist()
        [[[[0.5, 1.0, 0.0, 0.0], [-1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 3.0, 1.0]]]]
    """
    num_datasets, num_rows, num_features = features.shape
    scalars = features.new_zeros(num_datasets, num_rows, num_features + 1, group_size + 3)
    _set_features(scalars[:, :, :-1], features, group_size)
    scalars[:, :, -1, group_size + 1] = targets
    scalars[:, :, -1, group_size + 2] = 1
    return scalars


def encode_target_aware(features: torch.Tensor, targets: torch.Tensor, group_size: int = 1) -> torch.Tensor:
    """The scalars of all cells without a column of targets: (B, R, F) and (B, T, N) -> (B, R, F, S).

    A cell of the training rows, which come first, is (its group of G features, 1, N numbers of the target,
    1), the sum of a feature and a target in `encode_scalars`; one of the other rows has no target: (its
    group, 1, zeros).

    Examples:
        >>> encode_target_aware(torch.tensor([[[0.5], [-1.0]]]), torch.tensor([[[3.0]]])).tolist()
        [[[[0.5, 1.0, 3.0, 1.0]], [[-1.0, 1.0, 0.0, 0.0]]]]
    """
    num_train, num_numbers = targets.shape[1:]
    scalars = features.new_zeros(*features.shape, group_size + num_numbers + 2)
    _set_features(scalars, features, group_size)
    scalars[:, :num_train, :, group_size + 1 : -1] = targets.unsqueeze(2)
    scalars[:, :num_train, :, -1] = 1
    return scalars


def _set_features(scalars: torch.Tensor, features: torch.Tensor, group_size: int) -> None:
    for i in range(group_size):
        # Shifts of 0, 1, 3, 7 ...: from F = 7 on, no two features share two groups of three.
        scalars[..., i] = features.roll(1 - 2**i, dims=2) if i else features
    scalars[..., group_size] = 1


def feature_statistics(x_train: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (B, 1, F) of each feature of (B, T, F).

    A feature that does not vary among the training rows holds no information about the target: its standard
    deviation is given as infinite, which makes its z-scores 0. The published form divides by
    (standard deviation + 1e-20), which turns a rounding error into 100, and gives NaN for a single training
    row.

    Examples:
        >>> mean, std = feature_statistics(torch.tensor([[[1.0, 7.0], [3.0, 7.0]]]))
        >>> mean.tolist(), [round(value, 3) for value in std.flatten().tolist()]
        ([[[2.0, 7.0]]], [1.414, inf])
    """
    mean = x_train.mean(dim=1, keepdim=True)
    if x_train.shape[1] == 1:
        return mean, torch.full_like(mean, math.inf)
    std = x_train.std(dim=1, keepdim=True)
    # Mean and standard deviation of n equal values have rounding errors relative to their size.
    rounding = 8 * torch.finfo(x_train.dtype).eps * x_train.abs().amax(dim=1, keepdim=True)
    return mean, std.masked_fill(std <= rounding, math.inf)


def normalize_features(x: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Z-scores of (B, R, F), clipped to +-100.

    Examples:
        >>> x = torch.tensor([[[1.0], [3.0], [9000.0]]])
        >>> normalize_features(x, torch.tensor([[[2.0]]]), torch.tensor([[[1.0]]])).flatten().tolist()
        [-1.0, 1.0, 100.0]
    """
    return ((x - mean) / std).clip(-100, 100)
