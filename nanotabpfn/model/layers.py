"""The layers of the transformer: attention between columns, attention between rows, MLP; and the decoder.

Axis letters: B datasets in a batch, R rows, T training rows, F features, C = F + 1 columns (the target is the
last; C = F in a target-aware model), S scalars of a cell, E embedding, H heads, D = E / H, K outputs. In
`attend`: N pairs of dataset and column (or row), Q queries, S keys.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from nanotabpfn.model.precision import in_autocast, in_float32, without_autocast

MAX_KEYS_EXPLICIT = 16
"""Up to so many keys, matrix products and a softmax are faster than PyTorch's fused attention."""


class TransformerLayer(nn.Module):
    """Attention across the features of a row, attention across the rows of a column, MLP.

    A norm follows each sum, as published, or with `pre_norm` precedes each attention and the MLP.

    Examples:
        >>> layer = TransformerLayer(8, num_attention_heads=2, mlp_hidden_size=16, pre_norm=False)
        >>> k, v = layer.keys_and_values(torch.zeros(1, 5, 3, 8))
        >>> k.shape, layer.attend_between_rows(torch.zeros(1, 7, 3, 8), k, v).shape
        (torch.Size([1, 6, 5, 4]), torch.Size([1, 7, 3, 8]))
    """

    def __init__(self, embedding_size: int, num_attention_heads: int, mlp_hidden_size: int, pre_norm: bool):
        super().__init__()
        self.pre_norm = pre_norm
        self.self_attention_between_datapoints = Attention(embedding_size, num_attention_heads)
        self.self_attention_between_features = Attention(embedding_size, num_attention_heads)
        self.linear1 = nn.Linear(embedding_size, mlp_hidden_size)
        self.linear2 = nn.Linear(mlp_hidden_size, embedding_size)
        self.norm1 = nn.LayerNorm(embedding_size)
        self.norm2 = nn.LayerNorm(embedding_size)
        self.norm3 = nn.LayerNorm(embedding_size)

    def keys_and_values(self, train: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of training rows, for all rows: (B, T, C, E) -> (B, CH, T, D) each."""
        return self.self_attention_between_datapoints.keys_and_values(self.before(self.norm2, train))

    def attend_between_rows(self, rows: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """The second half of the layer, after the attention between columns: (B, R, C, E) -> (B, R, C, E).

        Training and test rows attend to the training rows, and to no others.
        """
        read = self.before(self.norm2, rows)
        rows = self.after(self.norm2, rows + self.self_attention_between_datapoints(read, k, v))
        read = self.before(self.norm3, rows)
        return self.after(self.norm3, rows + self.linear2(F.gelu(self.linear1(read))))

    def before(self, norm: nn.Module, cells: torch.Tensor) -> torch.Tensor:
        """The input of an attention or of the MLP."""
        return norm(cells) if self.pre_norm else cells

    def after(self, norm: nn.Module, cells: torch.Tensor) -> torch.Tensor:
        """The cells after the output of an attention or of the MLP was added."""
        return cells if self.pre_norm else norm(cells)


class Attention(nn.Module):
    """Multi-head attention; parameters named as in `nn.MultiheadAttention`.

    Examples:
        >>> attention = Attention(embedding_size=8, num_heads=2)
        >>> attention.between_columns(torch.zeros(1, 5, 3, 8)).shape
        torch.Size([1, 5, 3, 8])
    """

    def __init__(self, embedding_size: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * embedding_size, embedding_size))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * embedding_size))
        self.out_proj = nn.Linear(embedding_size, embedding_size)
        nn.init.xavier_uniform_(self.in_proj_weight)  # both as in nn.MultiheadAttention
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, rows: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Each cell of (B, R, C, E) attends to the keys (B, CH, T, D) of its column; -> (B, R, C, E)."""
        q = self._project(rows, 0)  # (B, CH, R, D)
        return self.out_proj(attend(q, k, v).transpose(1, 2).reshape(rows.shape))

    def keys_and_values(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values: (B, T, C, E) -> (B, CH, T, D) each."""
        rows = in_autocast(rows)  # one conversion for both
        return self._project(rows, 1), self._project(rows, 2)

    def _project(self, rows: torch.Tensor, part: int) -> torch.Tensor:
        """The queries (part 0), keys (1) or values (2) of (B, R, C, E) as (B, CH, R, D).

        Each column has its own heads. Projected one at a time, this layout needs no copy.
        """
        weight, bias = self.in_proj_weight.chunk(3)[part], self.in_proj_bias.chunk(3)[part]
        projected = F.linear(rows, weight, bias).flatten(2)  # (B, R, CE)
        return projected.unflatten(2, (-1, rows.shape[-1] // self.num_heads)).transpose(1, 2)

    def between_columns(self, cells: torch.Tensor) -> torch.Tensor:
        """Each cell attends to the cells of its row: (B, R, C, E) -> (B, R, C, E)."""
        heads = (3, self.num_heads, cells.shape[-1] // self.num_heads)
        qkv = F.linear(cells, self.in_proj_weight, self.in_proj_bias).flatten(0, 1).unflatten(-1, heads)
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))  # (BR, H, C, D) each
        mixed = attend(q, k, v)  # (BR, H, C, D)
        return self.out_proj(mixed.transpose(1, 2).reshape(cells.shape))

    def of_target(self, cells: torch.Tensor) -> torch.Tensor:
        """Each row's target attends to the cells of its row: (B, R, C, E) -> (B, R, 1, E).

        With one query for each row, `(q W) x` is cheaper than `q (W x)`, which computes the keys of all
        cells; and `W (p x)` is cheaper than their values. The keys' bias adds the same number to all scores
        of a query, which the softmax cancels.
        """
        cells = in_autocast(cells)  # one conversion for all products
        q_weight, k_weight, v_weight = self.in_proj_weight.chunk(3)
        q_bias, _, v_bias = self.in_proj_bias.chunk(3)
        heads = (self.num_heads, cells.shape[-1] // self.num_heads)
        q = F.linear(cells[:, :, -1], q_weight, q_bias).unflatten(-1, heads)  # (B, R, H, D)
        q = torch.einsum("brhd,hde->brhe", q, k_weight.unflatten(0, heads))  # (B, R, H, E)
        mixed = attend_explicitly(q, cells, cells, scale=1 / math.sqrt(heads[1]))  # (B, R, H, E)
        v = torch.einsum("brhe,hde->brhd", mixed, v_weight.unflatten(0, heads)).flatten(2) + v_bias
        return self.out_proj(v).unsqueeze(2)

    def between_encoded_cells(
        self, scalars: torch.Tensor, basis: torch.Tensor, is_one: torch.Tensor
    ) -> torch.Tensor:
        """The first layer's attention between columns, residual included: (B, R, C, S) -> (B, R, C, E).

        The embedded cells, scalars (B, R, C, S) @ basis (S, E), have rank S, as have their queries, keys and
        values. So the attention runs on the scalars, with the basis multiplied into the weights.

        Args:
            is_one: (S, 1), 1 for scalars of which exactly one is 1 in each cell, the others 0: the biases go
                with these.
        """
        with without_autocast(scalars):
            qkv = F.linear(basis, self.in_proj_weight) + is_one * self.in_proj_bias  # (S, 3E)
            heads = (3, self.num_heads, basis.shape[1] // self.num_heads)
            q, k, v = qkv.unflatten(-1, heads).permute(1, 2, 0, 3)  # (H, S, D) each
            to_scores = (q @ k.transpose(1, 2) / math.sqrt(heads[2])).transpose(0, 1).flatten(1)  # (S, HS)
            to_output = v @ self.out_proj.weight.t().unflatten(0, heads[1:])  # (H, S, E)
            q = (scalars @ to_scores).unflatten(-1, (self.num_heads, -1)).flatten(2, 3)  # (B, R, CH, S)
            mixed = attend_explicitly(q, scalars, scalars)  # (B, R, CH, S)
            mixed = mixed.reshape(*scalars.shape[:3], -1)  # (B, R, C, HS)
            terms = torch.cat([mixed, scalars], dim=-1)  # (B, R, C, HS + S)
            return F.linear(terms, torch.cat([to_output.flatten(0, 1), basis]).t(), self.out_proj.bias)


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """softmax(q k' / sqrt(D)) v for q (N, H, Q, D), k and v (N, H, S, D), by the fastest kernel.

    Examples:
        >>> q, k = torch.zeros(1, 2, 5, 4), torch.zeros(1, 2, 7, 4)
        >>> attend(q, k, torch.ones(1, 2, 7, 4)).shape
        torch.Size([1, 2, 5, 4])
    """
    if k.shape[2] <= MAX_KEYS_EXPLICIT:
        return attend_explicitly(q, k, v, scale=1 / math.sqrt(q.shape[-1]))
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v)
    with without_autocast(q):  # the CPU's fused kernel is slow in bfloat16
        q, k, v = map(in_float32, (q, k, v))
        return F.scaled_dot_product_attention(q, k, v)


def attend_explicitly(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
    """softmax(scale q k') v with the matrix of scores in memory; any leading axes.

    Examples:
        >>> q, k, v = torch.randn(3, 2, 5, 8), torch.randn(3, 2, 7, 8), torch.randn(3, 2, 7, 8)
        >>> fused = F.scaled_dot_product_attention(q, k, v)
        >>> torch.allclose(attend_explicitly(q, k, v, scale=8**-0.5), fused, atol=1e-5)
        True
    """
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()  # one copy, instead of one in each product
    # Transposed, (..., S, Q): along the last axis PyTorch's softmax is slow for few keys.
    scores = scale * in_float32(k @ q.transpose(-1, -2))
    return torch.softmax(scores, dim=-2).transpose(-1, -2) @ v


class Decoder(nn.Module):
    """Two layers from the embedding of a row to its logits.

    Examples:
        >>> Decoder(embedding_size=8, mlp_hidden_size=16, num_outputs=3)(torch.zeros(1, 5, 8)).shape
        torch.Size([1, 5, 3])
    """

    def __init__(self, embedding_size: int, mlp_hidden_size: int, num_outputs: int):
        super().__init__()
        self.linear1 = nn.Linear(embedding_size, mlp_hidden_size)
        self.linear2 = nn.Linear(mlp_hidden_size, num_outputs)

    def forward(self, row: torch.Tensor) -> torch.Tensor:
        """(B, R, E) -> (B, R, K)."""
        return self.linear2(F.gelu(self.linear1(row)))
