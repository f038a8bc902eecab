"""NanoTabPFNModel: encoders, a transformer that attends across features and across rows, a decoder.

The architecture, its names and its state dict are those of nanoTabPFN (Pfefferle et al., 2025), a small
TabPFN v2 (Hollmann et al., Nature 2025). `reference.py` has the same function in its plain form; this one
leaves out what nobody reads, and computes the first and the last layer's attention between columns in a
cheaper order. Axis letters: B datasets in a batch, R rows, T training rows, F features, C = F + 1 columns
(the target is the last), G features that a column is embedded from, S = G + 3 scalars of a cell, E embedding,
H heads, D = E / H, K outputs.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from nanotabpfn.model.precision import in_autocast, in_float32, without_autocast

MAX_KEYS_EXPLICIT = 16
"""Up to so many keys, matrix products and a softmax beat PyTorch's fused attention."""

CHUNK_BYTES = 2**26
"""About what one chunk of rows takes in `encode_training` and `predict`."""


def get_default_device() -> str:
    """`cuda` where there is one, else `mps`, else `cpu`."""
    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


class TrainedRange(NamedTuple):
    """What tables a model saw in training, (low, high) of each; beyond it nothing is known of its quality."""

    rows: tuple[int, int]  # training rows of a table
    features: tuple[int, int]
    classes: tuple[int, int] | None = None  # None in regression


class NanoTabPFNModel(nn.Module):
    """Predicts the targets of a table's test rows from its training rows, in one forward pass.

    Targets are classes, or, with `bin_edges`, real numbers.

    A test row never influences another row; the order of the training rows and of the features does not
    matter (of the features it does with `feature_group_size` above 1). The defaults are the published
    configuration: 356,066 parameters. `pre_norm` and what follows it are changes to it, which `recipes.py`
    puts together; `bin_edges` is for regression.

    Args:
        embedding_size: E, a multiple of `num_attention_heads`.
        num_attention_heads: H, of each attention.
        mlp_hidden_size: hidden units of each layer's MLP and of the decoder.
        num_layers: transformer layers.
        num_outputs: K, the most classes that the model can tell apart, or bins of a real target.
        pre_norm: normalize what each attention and each MLP reads, and once what the decoder reads, in place
            of every sum (Xiong et al., ICML 2020).
        residual_decay: with `pre_norm`, the cells are multiplied by its i-th power before layer i = 0, 1 ...:
            without norms between them, the sums of later layers would grow.
        mean_pooling: decode a test row from the mean over its features' cells, not from its target's. Costs
            the shortcuts of the last layer, which then computes every column.
        feature_group_size: G, features that each column is embedded from: itself and those 1, 3, 7 ... to its
            right, going on from the first after the last. Tells features of equal distribution apart (Qu et
            al., TabICLv2, 2026); their order matters then.
        bin_edges: (K + 1,) of a model for regression, ascending: its logits are a distribution over bins of
            the standardized target (`bins.py`), and so must be the training targets that it is given.

    Attributes:
        trained_range: what it was trained on, where its file tells; None where nobody knows.

    Raises:
        ValueError: a size below 1, an embedding that the heads do not divide, a decay outside of (0, 1] or
            without `pre_norm`, edges that do not ascend or are not one more than the outputs.
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
        bin_edges: Sequence[float] | None = None,
    ):
        super().__init__()
        sizes = {
            "embedding_size": embedding_size,
            "num_attention_heads": num_attention_heads,
            "mlp_hidden_size": mlp_hidden_size,
            "num_layers": num_layers,
            "num_outputs": num_outputs,
            "feature_group_size": feature_group_size,
        }
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        if not 0 < residual_decay <= 1:
            raise ValueError(f"residual_decay must be above 0 and at most 1, got {residual_decay}")
        if residual_decay < 1 and not pre_norm:
            raise ValueError(f"residual_decay must be 1 without pre_norm, got {residual_decay}")
        if embedding_size % num_attention_heads:
            raise ValueError(
                f"embedding_size must be a multiple of num_attention_heads, "
                f"got {embedding_size} and {num_attention_heads}"
            )
        if bin_edges is not None:
            bin_edges = _checked_edges(bin_edges, num_outputs)
        self.config = sizes | {
            "pre_norm": pre_norm,
            "residual_decay": residual_decay,
            "mean_pooling": mean_pooling,
            "bin_edges": bin_edges,
        }
        edges = None if bin_edges is None else torch.tensor(bin_edges)
        self.register_buffer("bin_edges", edges, persistent=False)  # the config holds them
        self.num_outputs = num_outputs
        self.trained_range: TrainedRange | None = None
        self.feature_encoder = NumberEncoder(embedding_size, feature_group_size)
        self.target_encoder = NumberEncoder(embedding_size)
        self.transformer_blocks = nn.ModuleList(
            TransformerLayer(embedding_size, num_attention_heads, mlp_hidden_size, pre_norm)
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(embedding_size) if pre_norm else nn.Identity()
        self.decoder = Decoder(embedding_size, mlp_hidden_size, num_outputs)

    @property
    def problem_type(self) -> str:
        """`classification`, or `regression` where the outputs are bins."""
        return "classification" if self.config["bin_edges"] is None else "regression"

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
        features = normalize_features(x, *feature_statistics(x[:, :num_train]))
        mean = y_train.mean(dim=1, keepdim=True)  # stands for the targets of the test rows
        targets = torch.cat([y_train, mean.expand(-1, num_rows - num_train)], dim=1)
        cells = encode_scalars(features, targets, self.config["feature_group_size"])  # (B, R, C, S)
        for number, layer in enumerate(self.transformer_blocks):
            cells = self._attend_between_columns(number, cells)
            keys_and_values = layer.keys_and_values(cells[:, :num_train])
            if number == len(self.transformer_blocks) - 1:
                cells = cells[:, num_train:]
            cells = layer.attend_between_rows(cells, *keys_and_values)
        return self._decode(cells)  # (B, R - T, K)

    def _attend_between_columns(self, number: int, cells: torch.Tensor) -> torch.Tensor:
        """(B, R, C, E) -> (B, R, C, E), as rows attend to it; the first layer is given (B, R, C, S).

        The last returns the columns alone that the decoder reads, of which the others are keys and values,
        nothing more: (B, R, 1, E), the target, which saves most of the layer; or the features, (B, R, F, E).
        """
        layer = self.transformer_blocks[number]
        attention, is_last = layer.self_attention_between_features, number == len(self.transformer_blocks) - 1
        target_alone = is_last and not self.config["mean_pooling"]
        if number == 0:
            basis = torch.cat([self.feature_encoder.basis(), self.target_encoder.basis()])  # (S, E)
        if number == 0 and not self.config["pre_norm"]:
            cells = attention.between_encoded_cells(cells, basis)
            cells = cells[:, :, -1:] if target_alone else cells
        else:
            if number == 0:
                with without_autocast(cells):
                    cells = cells @ basis
            if self.config["pre_norm"]:
                cells = cells * self.config["residual_decay"] ** number
            read = layer.before(layer.norm1, cells)
            if target_alone:
                cells = cells[:, :, -1:] + attention.of_target(read)
            else:
                cells = cells + attention.between_columns(read)
        if is_last and not target_alone:
            cells = cells[:, :, :-1]
        return layer.after(layer.norm1, cells)

    def _decode(self, cells: torch.Tensor) -> torch.Tensor:
        """The columns that the last layer left, (B, R, 1, E) or (B, R, F, E) -> (B, R, K)."""
        cells = self.norm(cells)
        row = cells.mean(dim=2) if self.config["mean_pooling"] else cells.squeeze(2)  # (B, R, E)
        return in_float32(self.decoder(row))

    @torch.no_grad()
    def encode_training(self, x_train: torch.Tensor, y_train: torch.Tensor) -> "TrainingRows":
        """What test rows need of the training rows: `predict` is given it as often as one likes.

        Training rows never attend to test rows, so each layer's keys and values are theirs alone. Holds
        8 E ((L - 1) C + 1) bytes for each training row in float32, L being the number of layers (with
        `mean_pooling` F in place of the 1). The rows are worked on in chunks: beyond that and a table of
        embedded cells, the memory that it needs is bounded.

        Args:
            x_train: features (B, T, F).
            y_train: targets (B, T).
        """
        mean, deviation = feature_statistics(x_train)
        features = normalize_features(x_train, mean, deviation)
        cells = encode_scalars(features, y_train, self.config["feature_group_size"])  # (B, T, C, S)
        size = self._rows_per_chunk(cells)
        keys_and_values = []
        for number, layer in enumerate(self.transformer_blocks):
            chunks = cells.split(size, dim=1)
            cells = torch.cat([self._attend_between_columns(number, chunk) for chunk in chunks], dim=1)
            k, v = layer.keys_and_values(cells)
            keys_and_values.append((k.contiguous(), v.contiguous()))  # read head by head, again and again
            if number < len(self.transformer_blocks) - 1:
                for chunk in cells.split(size, dim=1):  # in place: the keys and values are taken
                    chunk.copy_(layer.attend_between_rows(chunk, k, v))
        return TrainingRows(mean, deviation, y_train.mean(dim=1, keepdim=True), tuple(keys_and_values))

    @torch.no_grad()
    def predict(self, training_rows: "TrainingRows", x_test: torch.Tensor) -> torch.Tensor:
        """Logits (B, N, K) of test rows (B, N, F), as `forward` gives them; in chunks of rows.

        `training_rows` must come from the same weights.
        """
        features = normalize_features(x_test, training_rows.mean, training_rows.deviation)
        targets = training_rows.target_mean.expand(-1, x_test.shape[1])
        scalars = encode_scalars(features, targets, self.config["feature_group_size"])  # (B, N, C, S)
        logits = []
        for cells in scalars.split(self._rows_per_chunk(scalars), dim=1):
            for number, (layer, (k, v)) in enumerate(
                zip(self.transformer_blocks, training_rows.keys_and_values, strict=True)
            ):
                cells = layer.attend_between_rows(self._attend_between_columns(number, cells), k, v)
            logits.append(self._decode(cells))
        return torch.cat(logits, dim=1)

    def _rows_per_chunk(self, scalars: torch.Tensor) -> int:
        """Rows of (B, R, C, S) whose way through a layer takes about CHUNK_BYTES."""
        num_datasets, _, num_columns, _ = scalars.shape
        # Of a cell: its embedding, queries, keys, values, what was mixed and normalized; the hidden layer
        # before and after its activation; the scores between columns, before and after the softmax.
        numbers = 6 * self.config["embedding_size"] + 2 * self.config["mlp_hidden_size"]
        numbers += 2 * self.config["num_attention_heads"] * num_columns
        return max(1, CHUNK_BYTES // (num_datasets * num_columns * numbers * scalars.element_size()))


def _checked_edges(edges: Sequence[float], num_bins: int) -> list[float]:
    edges = [float(edge) for edge in edges]
    if num_bins < 2 or len(edges) != num_bins + 1:
        raise ValueError(
            f"bin_edges must be one more than the outputs, which must be at least 2: "
            f"got {len(edges)} edges and num_outputs={num_bins}"
        )
    if not all(math.isfinite(edge) for edge in edges) or not all(a < b for a, b in pairwise(edges)):
        raise ValueError(f"bin_edges must be finite and ascend, got {edges}")
    return edges


class TrainingRows(NamedTuple):
    """The training rows of datasets, as `NanoTabPFNModel.encode_training` leaves them."""

    mean: torch.Tensor  # (B, 1, F) of each feature
    deviation: torch.Tensor  # (B, 1, F) of each feature, infinite where it does not vary
    target_mean: torch.Tensor  # (B, 1)
    keys_and_values: tuple[tuple[torch.Tensor, torch.Tensor], ...]  # of each layer, (B, CH, T, D) each


class NumberEncoder(nn.Module):
    """Embeds a cell by its numbers: numbers @ weights + bias."""

    def __init__(self, embedding_size: int, num_numbers: int = 1):
        super().__init__()
        self.linear_layer = nn.Linear(num_numbers, embedding_size)

    def basis(self) -> torch.Tensor:
        """Weights and bias, a row for each number and one: the embedding is (numbers, 1) @ basis."""
        return torch.cat([self.linear_layer.weight.t(), self.linear_layer.bias.unsqueeze(0)])


def encode_scalars(features: torch.Tensor, targets: torch.Tensor, group_size: int = 1) -> torch.Tensor:
    """Normalized features (B, R, F) and targets (B, R) as (B, R, C, S).

    A feature's cell is (its group of G features, 1, 0, 0), a target's (zeros, 0, target, 1): times the two
    encoders' bases, one upon the other, that is the embedded table.
    """
    num_datasets, num_rows, num_features = features.shape
    scalars = features.new_zeros(num_datasets, num_rows, num_features + 1, group_size + 3)
    for i in range(group_size):
        # Shifts of 0, 1, 3, 7 ...: from F = 7 on, no two features share two groups of three.
        scalars[:, :, :-1, i] = features.roll(1 - 2**i, dims=2) if i else features
    scalars[:, :, :-1, group_size] = 1
    scalars[:, :, -1, group_size + 1] = targets
    scalars[:, :, -1, group_size + 2] = 1
    return scalars


def feature_statistics(x_train: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (B, 1, F) of each feature of (B, T, F).

    A feature that does not vary among the training rows says nothing of the target: its deviation is given as
    infinite, which makes its z-scores 0. The published form divides by (deviation + 1e-20) there, which blows
    a rounding error up to 100, and gives NaN for a single training row.
    """
    mean = x_train.mean(dim=1, keepdim=True)
    if x_train.shape[1] == 1:
        return mean, torch.full_like(mean, math.inf)
    deviation = x_train.std(dim=1, keepdim=True)
    # The mean of n equal values is off by rounding, and so is the deviation: relative to the column's size.
    rounding = 8 * torch.finfo(x_train.dtype).eps * x_train.abs().amax(dim=1, keepdim=True)
    return mean, deviation.masked_fill(deviation <= rounding, math.inf)


def normalize_features(x: torch.Tensor, mean: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
    """Z-scores of (B, R, F), clipped to +-100."""
    return ((x - mean) / deviation).clip(-100, 100)


class TransformerLayer(nn.Module):
    """Attention across the features of a row, attention across the rows of a column, MLP.

    A norm stands after each sum, as published, or before what each part reads.
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
        """What all rows attend to: of training rows (B, T, C, E), (B, CH, T, D) each."""
        return self.self_attention_between_datapoints.keys_and_values(self.before(self.norm2, train))

    def attend_between_rows(self, rows: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """What follows the attention between columns: (B, R, C, E) -> (B, R, C, E).

        Training and test rows alike attend to the training rows, and to no others.
        """
        read = self.before(self.norm2, rows)
        rows = self.after(self.norm2, rows + self.self_attention_between_datapoints(read, k, v))
        read = self.before(self.norm3, rows)
        return self.after(self.norm3, rows + self.linear2(F.gelu(self.linear1(read))))

    def before(self, norm: nn.Module, cells: torch.Tensor) -> torch.Tensor:
        """What a part of the layer reads of the cells."""
        return norm(cells) if self.pre_norm else cells

    def after(self, norm: nn.Module, cells: torch.Tensor) -> torch.Tensor:
        """What becomes of the cells when a part has been added."""
        return cells if self.pre_norm else norm(cells)


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

    def forward(self, rows: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Each cell of (B, R, C, E) attends to the keys (B, CH, T, D) of its column; -> (B, R, C, E)."""
        q = self._project(rows, 0)  # (B, CH, R, D)
        return self.out_proj(attend(q, k, v).transpose(1, 2).reshape(rows.shape))

    def keys_and_values(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of (B, T, C, E), (B, CH, T, D) each."""
        return self._project(rows, 1), self._project(rows, 2)

    def _project(self, rows: torch.Tensor, part: int) -> torch.Tensor:
        """The queries (part 0), keys (1) or values (2) of (B, R, C, E) as (B, CH, R, D).

        Each column has its own heads; with the parts projected apart, this layout takes no copy.
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

        With one query per row, its product with the keys' weights, `(q W) x` for `q (W x)`, costs less than
        the keys of all cells; and `W (p x)` less than their values. The keys' bias adds the same to all the
        scores of a query, which the softmax takes away.
        """
        q_weight, k_weight, v_weight = self.in_proj_weight.chunk(3)
        q_bias, _, v_bias = self.in_proj_bias.chunk(3)
        heads = (self.num_heads, cells.shape[-1] // self.num_heads)
        q = F.linear(cells[:, :, -1], q_weight, q_bias).unflatten(-1, heads)  # (B, R, H, D)
        q = torch.einsum("brhd,hde->brhe", q, k_weight.unflatten(0, heads))  # (B, R, H, E)
        mixed = attend_explicitly(q, cells, cells, scale=1 / math.sqrt(heads[1]))  # (B, R, H, E)
        v = torch.einsum("brhe,hde->brhd", mixed, v_weight.unflatten(0, heads)).flatten(2) + v_bias
        return self.out_proj(v).unsqueeze(2)

    def between_encoded_cells(self, scalars: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
        """The first layer's attention between columns, residual included: (B, R, C, S) -> (B, R, C, E).

        The embedded cells, scalars (B, R, C, S) @ basis (S, E), have rank S, and so have their queries, keys
        and values. So the attention runs on the scalars, with the basis multiplied into the weights.
        """
        with without_autocast(scalars):
            # The bias belongs to the two scalars that are 1 in features' and in targets' cells.
            has_bias = basis.new_tensor([0] * (len(basis) - 3) + [1, 0, 1]).unsqueeze(1)
            qkv = F.linear(basis, self.in_proj_weight) + has_bias * self.in_proj_bias  # (S, 3E)
            heads = (3, self.num_heads, basis.shape[1] // self.num_heads)
            q, k, v = qkv.unflatten(-1, heads).permute(1, 2, 0, 3)  # (H, S, D) each
            to_scores = (q @ k.transpose(1, 2) / math.sqrt(heads[2])).transpose(0, 1).flatten(1)  # (S, HS)
            to_output = v @ self.out_proj.weight.t().unflatten(0, heads[1:])  # (H, S, E)
            q = (scalars @ to_scores).unflatten(-1, (self.num_heads, -1)).flatten(2, 3)  # (B, R, CH, S)
            mixed = attend_explicitly(q, scalars, scalars)  # (B, R, CH, S)
            mixed = mixed.reshape(*scalars.shape[:3], -1)  # (B, R, C, HS)
            terms = torch.cat([mixed, scalars], dim=-1)  # (B, R, C, HS + S)
            cells = F.linear(terms, torch.cat([to_output.flatten(0, 1), basis]).t(), self.out_proj.bias)
        return in_autocast(cells)


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """softmax(q k' / sqrt(D)) v for q (N, H, Q, D), k and v (N, H, S, D), by the kernel that is fastest."""
    if k.shape[2] <= MAX_KEYS_EXPLICIT:
        return attend_explicitly(q, k, v, scale=1 / math.sqrt(q.shape[-1]))
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v)
    with without_autocast(q):  # the CPU's fused kernel is slow in bfloat16
        q, k, v = map(in_float32, (q, k, v))
        return F.scaled_dot_product_attention(q, k, v)


def attend_explicitly(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
    """softmax(scale q k') v with the matrix written out; any leading axes."""
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()  # once, not in each product
    # The matrix is turned, (..., S, Q): along the last axis PyTorch's softmax is slow for few keys.
    scores = scale * in_float32(k @ q.transpose(-1, -2))
    return torch.softmax(scores, dim=-2).transpose(-1, -2) @ v


class Decoder(nn.Module):
    """Two layers from the embedding of a row, its target's or the mean of its features', to its logits."""

    def __init__(self, embedding_size: int, mlp_hidden_size: int, num_outputs: int):
        super().__init__()
        self.linear1 = nn.Linear(embedding_size, mlp_hidden_size)
        self.linear2 = nn.Linear(mlp_hidden_size, num_outputs)

    def forward(self, row: torch.Tensor) -> torch.Tensor:
        """(B, R, E) -> (B, R, K)."""
        return self.linear2(F.gelu(self.linear1(row)))
