"""NanoTabPFNModel: encoders, a transformer that attends across features and across rows, a decoder.

The architecture, its names and its state dict are those of nanoTabPFN (Pfefferle et al., 2025), a small
TabPFN v2 (Hollmann et al., Nature 2025). `reference.py` has the same function in its plain form; this one
leaves out what nobody reads, and computes the first and the last layer's attention between columns in a
cheaper order. Axis letters: B datasets in a batch, R rows, T training rows, F features, C = F + 1 columns
(the target is the last), E embedding, H heads, D = E / H, K outputs. The table is kept as (B, C, R, E).
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from nanotabpfn.precision import in_float32, without_autocast

MAX_COLUMNS_EXPLICIT = 16
"""Up to so many columns, matrix products and a softmax beat PyTorch's fused attention on the CPU."""


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
        self.feature_encoder = NumberEncoder(embedding_size)
        self.target_encoder = NumberEncoder(embedding_size)
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
        if y_train.ndim == 3:
            y_train = y_train.squeeze(-1)  # (B, T)
        num_rows, num_train = x.shape[1], train_test_split_index
        if not 0 < num_train < num_rows:
            raise ValueError(
                f"train_test_split_index must be above 0 and below the {num_rows} rows, got {num_train}"
            )
        if y_train.shape[1] != num_train:
            raise ValueError(
                f"targets must be given for the {num_train} training rows alone, got {y_train.shape[1]}"
            )
        scalars = encode_scalars(normalize_features(x, num_train), y_train)  # (B, R, C, 4)
        basis = torch.cat([self.feature_encoder.basis(), self.target_encoder.basis()])  # (4, E)
        num_layers = len(self.transformer_blocks)
        for number, layer in enumerate(self.transformer_blocks, start=1):
            attention = layer.self_attention_between_features
            if number == 1:
                cells = attention.between_encoded_cells(scalars, basis)  # (B, C, R, E)
            elif number < num_layers:
                cells = cells + attention.between_columns(cells)  # (B, C, R, E)
            # Of the last layer nobody reads more than the target column's test rows. They need the other
            # cells as keys and values alone, which saves most of the layer.
            if number == num_layers:
                cells = cells[:, -1:] if number == 1 else cells[:, -1:] + attention.of_target(cells)
                cells = layer.rest(cells, num_train, test_rows_only=True)  # (B, 1, R - T, E)
            else:
                cells = layer.rest(cells, num_train)  # (B, C, R, E)
        return in_float32(self.decoder(cells.squeeze(1)))  # (B, R - T, K)


class NumberEncoder(nn.Module):
    """Embeds each cell by itself: number * weight + bias."""

    def __init__(self, embedding_size: int):
        super().__init__()
        self.linear_layer = nn.Linear(1, embedding_size)

    def basis(self) -> torch.Tensor:
        """(2, E), weight and bias: the embedding is (number, 1) @ basis."""
        return torch.cat([self.linear_layer.weight.t(), self.linear_layer.bias.unsqueeze(0)])


def encode_scalars(features: torch.Tensor, y_train: torch.Tensor) -> torch.Tensor:
    """Normalized features (B, R, F) and training targets (B, T) as (B, R, C, 4).

    A feature's cell is (feature, 1, 0, 0), a target's (0, 0, target, 1): times the two encoders' bases, one
    upon the other, that is the embedded table. The test rows, whose target is unknown, get the training rows'
    mean.
    """
    num_datasets, num_rows, num_features = features.shape
    mean = y_train.mean(dim=1, keepdim=True)  # (B, 1)
    target = torch.cat([y_train, mean.expand(-1, num_rows - y_train.shape[1])], dim=1)  # (B, R)
    scalars = features.new_zeros(num_datasets, num_rows, num_features + 1, 4)
    scalars[:, :, :-1, 0] = features
    scalars[:, :, :-1, 1] = 1
    scalars[:, :, -1, 2] = target
    scalars[:, :, -1, 3] = 1
    return scalars


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

    def rest(self, cells: torch.Tensor, num_train: int, test_rows_only: bool = False) -> torch.Tensor:
        """What follows the attention between features: (B, C, R, E) -> (B, C, R, E), or (B, C, R - T, E)."""
        cells = self.norm1(cells)
        rows = cells[:, :, num_train:] if test_rows_only else cells
        # Training and test rows alike attend to the training rows, and to no others.
        rows = self.norm2(rows + self.self_attention_between_datapoints(rows, cells[:, :, :num_train]))
        return self.norm3(rows + self.linear2(F.gelu(self.linear1(rows))))


class Attention(nn.Module):
    """Multi-head attention; parameters named as in `nn.MultiheadAttention`."""

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
        size = queries.shape[-1]
        q_weight, kv_weight = self.in_proj_weight.split([size, 2 * size])
        q_bias, kv_bias = self.in_proj_bias.split([size, 2 * size])
        q = F.linear(queries, q_weight, q_bias)
        k, v = F.linear(keys, kv_weight, kv_bias).chunk(2, dim=-1)
        # M and N are joined: PyTorch's fused kernels take four axes, (MN, H, ., D).
        heads = (self.num_heads, size // self.num_heads)
        q, k, v = (part.unflatten(-1, heads).flatten(0, 1).transpose(1, 2) for part in (q, k, v))
        mixed = attend(q, k, v)  # (MN, H, Q, D)
        return self.out_proj(mixed.transpose(1, 2).flatten(2)).unflatten(0, queries.shape[:2])  # (M, N, Q, E)

    def between_columns(self, cells: torch.Tensor) -> torch.Tensor:
        """Each cell attends to the cells of its row: (B, C, R, E) -> (B, C, R, E)."""
        num_datasets, num_columns, num_rows, size = cells.shape
        qkv = F.linear(cells, self.in_proj_weight, self.in_proj_bias)
        qkv = qkv.view(num_datasets, num_columns, num_rows, 3, self.num_heads, size // self.num_heads)
        q, k, v = qkv.permute(3, 0, 2, 4, 1, 5).flatten(1, 2).unbind()  # (BR, H, C, D) each
        mixed = attend(q, k, v).unflatten(0, (num_datasets, num_rows))  # (B, R, H, C, D)
        return self.out_proj(mixed.permute(0, 3, 1, 2, 4).flatten(3))

    def of_target(self, cells: torch.Tensor) -> torch.Tensor:
        """Each row's target attends to the cells of its row: (B, C, R, E) -> (B, 1, R, E).

        With one query per row, its product with the keys' weights, `(q W) x` for `q (W x)`, costs less than
        the keys of all cells; and `W (p x)` less than their values. The keys' bias adds the same to all the
        scores of a query, which the softmax takes away.
        """
        num_datasets, _, num_rows, size = cells.shape
        q_weight, k_weight, v_weight = self.in_proj_weight.chunk(3)
        q_bias, _, v_bias = self.in_proj_bias.chunk(3)
        heads = (self.num_heads, size // self.num_heads)
        q = F.linear(cells[:, -1], q_weight, q_bias).unflatten(-1, heads)  # (B, R, H, D)
        q = torch.einsum("brhd,hde->brhe", q, k_weight.unflatten(0, heads)).flatten(0, 1)  # (BR, H, E)
        keys = cells.transpose(1, 2).flatten(0, 1)  # (BR, C, E)
        mixed = attend_explicitly(q, keys, keys, scale=heads[1] ** -0.5)  # (BR, H, E)
        v = torch.einsum("nhe,hde->nhd", mixed, v_weight.unflatten(0, heads)).flatten(1) + v_bias  # (BR, E)
        return self.out_proj(v).unflatten(0, (num_datasets, 1, num_rows))

    def between_encoded_cells(self, scalars: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
        """The first layer's attention between columns, residual included: (B, R, C, 4) -> (B, C, R, E).

        The embedded cells, scalars (B, R, C, 4) @ basis (4, E), have rank 4, and so have their queries, keys
        and values. So the attention runs on the scalars, with the basis multiplied into the weights.
        """
        with without_autocast(scalars):
            num_datasets, num_rows, num_columns, rank = scalars.shape
            size = basis.shape[1]
            # The bias belongs to the second and the fourth scalar, of which each cell has one.
            has_bias = basis.new_tensor([0, 1, 0, 1]).unsqueeze(1)
            qkv = F.linear(basis, self.in_proj_weight) + has_bias * self.in_proj_bias  # (4, 3E)
            heads = (3, self.num_heads, size // self.num_heads)
            q, k, v = qkv.unflatten(-1, heads).permute(1, 2, 0, 3)  # (H, 4, D) each
            to_scores = (q @ k.transpose(1, 2) / math.sqrt(heads[2])).transpose(0, 1).flatten(1)  # (4, H4)
            to_output = v @ self.out_proj.weight.t().unflatten(0, heads[1:])  # (H, 4, E)
            keys = scalars.flatten(0, 1)  # (BR, C, 4)
            q = (scalars @ to_scores).view(-1, num_columns * self.num_heads, rank)  # (BR, CH, 4)
            mixed = attend_explicitly(q, keys, keys)  # (BR, CH, 4)
            mixed = mixed.view(num_datasets, num_rows, num_columns, -1)  # (B, R, C, H4)
            terms = torch.cat([mixed, scalars], dim=-1).transpose(1, 2)  # (B, C, R, H4 + 4)
            return F.linear(terms, torch.cat([to_output.flatten(0, 1), basis]).t(), self.out_proj.bias)


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """softmax(q k' / sqrt(D)) v for q (N, H, Q, D), k and v (N, H, S, D), by the kernel that is fastest."""
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v)
    with without_autocast(q):  # the CPU's kernels are slow in bfloat16
        q, k, v = map(in_float32, (q, k, v))
        if k.shape[2] <= MAX_COLUMNS_EXPLICIT:
            return attend_explicitly(q, k, v, scale=q.shape[-1] ** -0.5)
        return F.scaled_dot_product_attention(q, k, v)


def attend_explicitly(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
    """softmax(scale q k') v with the matrix written out, in float32 at least."""
    with without_autocast(q):
        q, k, v = map(in_float32, (q, k, v))
        return torch.softmax((scale * q) @ k.transpose(-1, -2), dim=-1) @ v


class Decoder(nn.Module):
    """Two layers from the embedding of a row's target to its logits."""

    def __init__(self, embedding_size: int, mlp_hidden_size: int, num_outputs: int):
        super().__init__()
        self.linear1 = nn.Linear(embedding_size, mlp_hidden_size)
        self.linear2 = nn.Linear(mlp_hidden_size, num_outputs)

    def forward(self, target: torch.Tensor) -> torch.Tensor:
        """(B, R, E) -> (B, R, K)."""
        return self.linear2(F.gelu(self.linear1(target)))
