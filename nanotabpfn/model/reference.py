"""PlainNanoTabPFNModel: the same function as `NanoTabPFNModel`, written as in a textbook; slow on purpose.

It computes every layer for every cell, with `nn.MultiheadAttention`, training rows first and then test rows,
as the published model does (Pfefferle et al., 2025). Tests compare `architecture.py` with it, and
`scripts/benchmark.py` measures how much faster that is. Axis letters as there: B datasets, R rows, T training
rows, F features, C = F + 1 columns (F if target-aware), E embedding, K outputs.
"""

import torch
from torch import nn
from torch.nn import functional as F


class PlainNanoTabPFNModel(nn.Module):
    """Takes the arguments, the state dict and the inputs of `NanoTabPFNModel`.

    One difference is intended: a column that does not vary among the training rows is divided by (0 + 1e-20)
    here, as published; in `NanoTabPFNModel` its z-scores are 0.

    Examples:
        >>> model = PlainNanoTabPFNModel(8, 2, 8, 1, num_outputs=3)
        >>> model((torch.zeros(1, 6, 2), torch.zeros(1, 4)), train_test_split_index=4).shape
        torch.Size([1, 2, 3])
    """

    def __init__(
        self,
        embedding_size: int = 96,
        num_attention_heads: int = 4,
        mlp_hidden_size: int = 192,
        num_layers: int = 3,
        num_outputs: int = 2,
        pre_norm: bool = False,
        residual_decay: float = 1.0,
        mean_pooling: bool = False,
        feature_group_size: int = 1,
        target_aware: bool = False,
    ):
        super().__init__()
        self.residual_decay = residual_decay
        self.mean_pooling = mean_pooling
        self.target_aware = target_aware
        self.feature_encoder = PlainFeatureEncoder(embedding_size, feature_group_size)
        num_classes = num_outputs if target_aware and num_outputs > 2 else 1
        self.target_encoder = PlainTargetEncoder(embedding_size, num_classes)
        self.transformer_blocks = nn.ModuleList(
            PlainTransformerLayer(embedding_size, num_attention_heads, mlp_hidden_size, pre_norm)
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(embedding_size) if pre_norm else nn.Identity()
        self.decoder = PlainDecoder(embedding_size, mlp_hidden_size, num_outputs)

    def forward(self, data: tuple[torch.Tensor, torch.Tensor], train_test_split_index: int) -> torch.Tensor:
        """Features (B, R, F) and training targets (B, T) or (B, T, 1) -> logits (B, R - T, K)."""
        x, y_train = data
        if y_train.ndim == 2:
            y_train = y_train.unsqueeze(-1)  # (B, T, 1)
        features = self.feature_encoder(x, train_test_split_index)  # (B, R, F, E)
        target = self.target_encoder(y_train, x.shape[1])  # (B, R, 1, E)
        if self.target_aware:
            target[:, train_test_split_index:] = 0
            table = features + target  # (B, R, F, E)
        else:
            table = torch.cat([features, target], dim=2)  # (B, R, C, E)
        for i, block in enumerate(self.transformer_blocks):
            table = block(table * self.residual_decay**i, train_test_split_index)
        test = self.norm(table[:, train_test_split_index:])
        of_features = test if self.target_aware else test[:, :, :-1]
        rows = of_features.mean(dim=2) if self.mean_pooling else test[:, :, -1]  # (B, R - T, E)
        return self.decoder(rows)  # (B, R - T, K)


class PlainFeatureEncoder(nn.Module):
    """Embeds each cell of a feature by its z-score among the training rows."""

    def __init__(self, embedding_size: int, group_size: int):
        super().__init__()
        self.group_size = group_size
        self.linear_layer = nn.Linear(group_size, embedding_size)

    def forward(self, x: torch.Tensor, num_train: int) -> torch.Tensor:
        """(B, R, F) -> (B, R, F, E)."""
        mean = x[:, :num_train].mean(dim=1, keepdim=True)
        std = x[:, :num_train].std(dim=1, keepdim=True) + 1e-20
        x = ((x - mean) / std).clip(-100, 100)
        num_features = x.shape[2]
        groups = [
            torch.stack([x[:, :, (j + 2**i - 1) % num_features] for i in range(self.group_size)], dim=-1)
            for j in range(num_features)
        ]
        return self.linear_layer(torch.stack(groups, dim=2))


class PlainTargetEncoder(nn.Module):
    """Embeds each target: by its number, the test rows' being the training rows' mean, or by its class."""

    def __init__(self, embedding_size: int, num_classes: int = 1):
        super().__init__()
        self.num_classes = num_classes
        self.linear_layer = nn.Linear(num_classes, embedding_size)

    def forward(self, y_train: torch.Tensor, num_rows: int) -> torch.Tensor:
        """(B, T, 1) -> (B, R, 1, E)."""
        mean = y_train.mean(dim=1, keepdim=True)
        y = torch.cat([y_train, mean.repeat(1, num_rows - y_train.shape[1], 1)], dim=1)
        if self.num_classes > 1:
            y = F.one_hot(y.long().squeeze(-1), self.num_classes).to(y.dtype)
        return self.linear_layer(y.unsqueeze(2))


class PlainTransformerLayer(nn.Module):
    """Attention across features, attention across rows, MLP; norms as `TransformerLayer` has them."""

    def __init__(self, embedding_size: int, num_attention_heads: int, mlp_hidden_size: int, pre_norm: bool):
        super().__init__()
        self.pre_norm = pre_norm
        self.self_attention_between_datapoints = nn.MultiheadAttention(
            embedding_size, num_attention_heads, batch_first=True
        )
        self.self_attention_between_features = nn.MultiheadAttention(
            embedding_size, num_attention_heads, batch_first=True
        )
        self.linear1 = nn.Linear(embedding_size, mlp_hidden_size)
        self.linear2 = nn.Linear(mlp_hidden_size, embedding_size)
        self.norm1 = nn.LayerNorm(embedding_size)
        self.norm2 = nn.LayerNorm(embedding_size)
        self.norm3 = nn.LayerNorm(embedding_size)

    def forward(self, table: torch.Tensor, num_train: int) -> torch.Tensor:
        """(B, R, C, E) -> (B, R, C, E)."""
        if self.pre_norm:
            table = table + self.attend_between_features(self.norm1(table))
            table = table + self.attend_between_datapoints(self.norm2(table), num_train)
            return table + self.linear2(F.gelu(self.linear1(self.norm3(table))))
        table = self.norm1(table + self.attend_between_features(table))
        table = self.norm2(table + self.attend_between_datapoints(table, num_train))
        return self.norm3(table + self.linear2(F.gelu(self.linear1(table))))

    def attend_between_features(self, table: torch.Tensor) -> torch.Tensor:
        """(B, R, C, E) -> (B, R, C, E)."""
        cells = table.flatten(0, 1)  # (BR, C, E)
        return self.self_attention_between_features(cells, cells, cells)[0].reshape(table.shape)

    def attend_between_datapoints(self, table: torch.Tensor, num_train: int) -> torch.Tensor:
        """(B, R, C, E) -> (B, R, C, E)."""
        batch, rows, columns, size = table.shape
        cells = table.transpose(1, 2).reshape(batch * columns, rows, size)
        train, test = cells[:, :num_train], cells[:, num_train:]
        attended_train = self.self_attention_between_datapoints(train, train, train)[0]
        attended_test = self.self_attention_between_datapoints(test, train, train)[0]
        attended = torch.cat([attended_train, attended_test], dim=1)
        return attended.reshape(batch, columns, rows, size).transpose(1, 2)


class PlainDecoder(nn.Module):
    """Two layers from the embedding of a row to its logits."""

    def __init__(self, embedding_size: int, mlp_hidden_size: int, num_outputs: int):
        super().__init__()
        self.linear1 = nn.Linear(embedding_size, mlp_hidden_size)
        self.linear2 = nn.Linear(mlp_hidden_size, num_outputs)

    def forward(self, target: torch.Tensor) -> torch.Tensor:
        """(B, R, E) -> (B, R, K)."""
        return self.linear2(F.gelu(self.linear1(target)))
