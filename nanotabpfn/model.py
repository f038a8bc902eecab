"""NanoTabPFNModel: encoders, a transformer that attends across features and across rows, a decoder.

The architecture, its names and its state dict are those of nanoTabPFN (Pfefferle et al., 2025), a small
TabPFN v2 (Hollmann et al., Nature 2025). Axis letters: B datasets in a batch, R rows, T training rows,
F features, C = F + 1 columns (the target is the last), E embedding, H heads, K outputs.
"""

import torch
from torch import nn
from torch.nn import functional as F


def get_default_device() -> str:
    """`cuda` where there is one, else `mps`, else `cpu`."""
    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


class NanoTabPFNModel(nn.Module):
    """Predicts the classes of a table's test rows from its training rows, in one forward pass.

    A test row never influences another row; the order of the training rows and of the features does not
    matter. The defaults are the published configuration: 356,066 parameters.

    Args:
        embedding_size: E, a multiple of `num_attention_heads`.
        num_attention_heads: H, of each attention.
        mlp_hidden_size: hidden units of each layer's MLP and of the decoder.
        num_layers: transformer layers.
        num_outputs: K, the most classes that the model can tell apart.

    Raises:
        ValueError: a size below 1, or an embedding that the heads do not divide.
    """

    def __init__(
        self,
        embedding_size: int = 96,
        num_attention_heads: int = 4,
        mlp_hidden_size: int = 192,
        num_layers: int = 3,
        num_outputs: int = 2,
    ):
        super().__init__()
        self.config = {
            "embedding_size": embedding_size,
            "num_attention_heads": num_attention_heads,
            "mlp_hidden_size": mlp_hidden_size,
            "num_layers": num_layers,
            "num_outputs": num_outputs,
        }
        for name, size in self.config.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        if embedding_size % num_attention_heads:
            raise ValueError(
                f"embedding_size must be a multiple of num_attention_heads, "
                f"got {embedding_size} and {num_attention_heads}"
            )
        self.num_outputs = num_outputs
        self.feature_encoder = FeatureEncoder(embedding_size)
        self.target_encoder = TargetEncoder(embedding_size)
        self.transformer_blocks = nn.ModuleList(
            TransformerLayer(embedding_size, num_attention_heads, mlp_hidden_size) for _ in range(num_layers)
        )
        self.decoder = Decoder(embedding_size, mlp_hidden_size, num_outputs)

    def forward(self, data: tuple[torch.Tensor, torch.Tensor], train_test_split_index: int) -> torch.Tensor:
        """Logits (B, R - T, K) of the test rows.

        Args:
            data: features (B, R, F), training rows first, and the training targets (B, T) or (B, T, 1).
            train_test_split_index: T.

        Raises:
            ValueError: T is not in 1..R-1, or the targets are not T.
        """
        x, y_train = data
        if y_train.ndim == 2:
            y_train = y_train.unsqueeze(-1)  # (B, T, 1)
        num_rows, num_train = x.shape[1], train_test_split_index
        if not 0 < num_train < num_rows:
            raise ValueError(
                f"train_test_split_index must be above 0 and below the {num_rows} rows, got {num_train}"
            )
        if y_train.shape[1] != num_train:
            raise ValueError(
                f"targets must be given for the {num_train} training rows alone, got {y_train.shape[1]}"
            )
        features = self.feature_encoder(x, num_train)  # (B, R, F, E)
        target = self.target_encoder(y_train, num_rows)  # (B, R, 1, E)
        table = torch.cat([features, target], dim=2)  # (B, R, C, E)
        for block in self.transformer_blocks[:-1]:
            table = block(table, num_train)  # (B, R, C, E)
        predictions = self.transformer_blocks[-1](table, num_train, predictions_only=True)  # (B, R - T, 1, E)
        return self.decoder(predictions.squeeze(2))  # (B, R - T, K)


class FeatureEncoder(nn.Module):
    """Embeds each cell by itself, after a z-score of its column with the training rows' statistics."""

    def __init__(self, embedding_size: int):
        super().__init__()
        self.linear_layer = nn.Linear(1, embedding_size)

    def forward(self, x: torch.Tensor, num_train: int) -> torch.Tensor:
        """(B, R, F) -> (B, R, F, E)."""
        x = normalize_features(x, num_train)
        return self.linear_layer(x.unsqueeze(-1))


def normalize_features(x: torch.Tensor, num_train: int) -> torch.Tensor:
    """Z-score each column of (B, R, F) by its training rows, clipped to +-100.

    A column that does not vary among the training rows says nothing of the target: it becomes 0 everywhere.
    The published form divides by (deviation + 1e-20) there, which blows a rounding error up to 100, and
    gives NaN for a single training row.
    """
    train = x[:, :num_train]
    mean = train.mean(dim=1, keepdim=True)  # (B, 1, F)
    if num_train == 1:
        return torch.zeros_like(x)
    deviation = train.std(dim=1, keepdim=True)  # (B, 1, F)
    # The mean of n equal values is off by rounding, and so is the deviation: relative to the column's size.
    rounding = 8 * torch.finfo(x.dtype).eps * train.abs().amax(dim=1, keepdim=True)
    constant = deviation <= rounding
    z = (x - mean) / torch.where(constant, 1, deviation)
    return torch.where(constant, 0, z).clip(-100, 100)


class TargetEncoder(nn.Module):
    """Embeds the target column; the test rows, whose target is unknown, get the training rows' mean."""

    def __init__(self, embedding_size: int):
        super().__init__()
        self.linear_layer = nn.Linear(1, embedding_size)

    def forward(self, y_train: torch.Tensor, num_rows: int) -> torch.Tensor:
        """(B, T, 1) -> (B, R, 1, E)."""
        mean = y_train.mean(dim=1, keepdim=True)  # (B, 1, 1)
        y = torch.cat([y_train, mean.expand(-1, num_rows - y_train.shape[1], -1)], dim=1)  # (B, R, 1)
        return self.linear_layer(y.unsqueeze(-1))


class TransformerLayer(nn.Module):
    """Attention across the features of a row, attention across the rows of a column, MLP; post-norm."""

    def __init__(self, embedding_size: int, num_attention_heads: int, mlp_hidden_size: int):
        super().__init__()
        self.self_attention_between_datapoints = Attention(embedding_size, num_attention_heads)
        self.self_attention_between_features = Attention(embedding_size, num_attention_heads)
        self.linear1 = nn.Linear(embedding_size, mlp_hidden_size)
        self.linear2 = nn.Linear(mlp_hidden_size, embedding_size)
        self.norm1 = nn.LayerNorm(embedding_size)
        self.norm2 = nn.LayerNorm(embedding_size)
        self.norm3 = nn.LayerNorm(embedding_size)

    def forward(self, table: torch.Tensor, num_train: int, predictions_only: bool = False) -> torch.Tensor:
        """(B, R, C, E) -> (B, R, C, E); with `predictions_only` -> (B, R - T, 1, E).

        Of the last layer nobody reads more than the target column's test rows. They need the other cells as
        keys and values alone, which saves most of the layer.
        """
        cells = table[:, :, -1:] if predictions_only else table
        cells = self.norm1(cells + self.self_attention_between_features(cells, table))
        cells = cells.transpose(1, 2)  # (B, C, R, E)
        rows = cells[:, :, num_train:] if predictions_only else cells
        # Training and test rows alike attend to the training rows, and to no others.
        rows = rows + self.self_attention_between_datapoints(rows, cells[:, :, :num_train])
        table = self.norm2(rows.transpose(1, 2))  # (B, R, C, E)
        return self.norm3(table + self.linear2(F.gelu(self.linear1(table))))


class Attention(nn.Module):
    """Multi-head attention along the second-last axis; parameters named as in `nn.MultiheadAttention`."""

    def __init__(self, embedding_size: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * embedding_size, embedding_size))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * embedding_size))
        self.out_proj = nn.Linear(embedding_size, embedding_size)
        nn.init.xavier_uniform_(self.in_proj_weight)  # both as in nn.MultiheadAttention
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Each of `queries` (M, N, Q, E) attends to the `keys` (M, N, S, E) of its own (m, n)."""
        embedding_size = queries.shape[-1]
        if queries is keys:
            q, k, v = F.linear(queries, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        else:
            q_weight, kv_weight = self.in_proj_weight.split([embedding_size, 2 * embedding_size])
            q_bias, kv_bias = self.in_proj_bias.split([embedding_size, 2 * embedding_size])
            q = F.linear(queries, q_weight, q_bias)
            k, v = F.linear(keys, kv_weight, kv_bias).chunk(2, dim=-1)
        heads = (self.num_heads, embedding_size // self.num_heads)
        # M and N are joined: PyTorch's fused kernels take four axes, (MN, H, ., E / H).
        q, k, v = (part.unflatten(-1, heads).flatten(0, 1).transpose(1, 2) for part in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v)  # (MN, H, Q, E / H)
        return self.out_proj(mixed.transpose(1, 2).flatten(2)).unflatten(0, queries.shape[:2])  # (M, N, Q, E)


class Decoder(nn.Module):
    """Two layers from the embedding of a row's target to its logits."""

    def __init__(self, embedding_size: int, mlp_hidden_size: int, num_outputs: int):
        super().__init__()
        self.linear1 = nn.Linear(embedding_size, mlp_hidden_size)
        self.linear2 = nn.Linear(mlp_hidden_size, num_outputs)

    def forward(self, target: torch.Tensor) -> torch.Tensor:
        """(B, R, E) -> (B, R, K)."""
        return self.linear2(F.gelu(self.linear1(target)))
