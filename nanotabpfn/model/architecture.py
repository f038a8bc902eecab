"""NanoTabPFNModel: encoders, a transformer that attends across features and across rows, a decoder.

The architecture, its names and its state dict are those of nanoTabPFN (Pfefferle et al., 2025), a small
TabPFN v2 (Hollmann et al., Nature 2025). `reference.py` has the same function in its plain form; this one
does not compute what no output depends on, and computes the attention between columns of the first and the
last layer in a cheaper order.

Axis letters: B datasets in a batch, R rows, T training rows, N test rows, F features, C = F + 1 columns (the
target is the last; C = F in a target-aware model), G features that a column is embedded from, S scalars of a
cell, E embedding, H heads, D = E / H, K outputs.
"""

import math
from collections.abc import Sequence
from inspect import signature
from itertools import pairwise
from numbers import Integral
from typing import NamedTuple

import torch
from torch import nn

from nanotabpfn.model.encoders import (
    NumberEncoder,
    encode_scalars,
    encode_target_aware,
    feature_statistics,
    normalize_features,
)
from nanotabpfn.model.layers import Decoder, TransformerLayer
from nanotabpfn.model.precision import in_float32, without_autocast

CHUNK_BYTES = 2**26
"""Memory that one chunk of rows needs, approximately, in `encode_training` and `predict`."""


class TrainedRange(NamedTuple):
    """Sizes of the tables that a model was trained on, (low, high) each; its quality beyond is unknown.

    Examples:
        >>> TrainedRange(rows=(15, 135), features=(5, 5), classes=(2, 2)).rows
        (15, 135)
    """

    rows: tuple[int, int]  # training rows of a table
    features: tuple[int, int]
    classes: tuple[int, int] | None = None  # None in regression


class TrainingRows(NamedTuple):
    """The cache of `NanoTabPFNModel.encode_training`: what `predict` needs of the training rows.

    Examples:
        >>> model = NanoTabPFNModel(8, 2, 8, num_layers=3, num_outputs=2)
        >>> rows = model.encode_training(torch.zeros(1, 4, 2), torch.zeros(1, 4))
        >>> len(rows.keys_and_values), rows.mean.shape
        (3, torch.Size([1, 1, 2]))
    """

    mean: torch.Tensor  # (B, 1, F) of each feature
    deviation: torch.Tensor  # (B, 1, F) standard deviation of each feature, infinite if it does not vary
    target_mean: torch.Tensor  # (B, 1)
    keys_and_values: tuple[tuple[torch.Tensor, torch.Tensor], ...]  # of each layer, (B, CH, T, D) each


class NanoTabPFNModel(nn.Module):
    """Predicts the targets of a table's test rows from its training rows, in one forward pass.

    Targets are classes, or, with `bin_edges`, real numbers.

    A test row never influences another row. The order of the training rows and of the features has no
    effect (except that of the features if `feature_group_size` is above 1). The defaults are the published
    configuration: 356,066 parameters. The arguments from `pre_norm` to `target_aware` change it, as
    `recipes.py` combines them; `bin_edges` is for regression.

    Args:
        embedding_size: E, a multiple of `num_attention_heads`.
        num_attention_heads: H, of each attention.
        mlp_hidden_size: hidden units of each layer's MLP and of the decoder.
        num_layers: transformer layers.
        num_outputs: K, the most classes that the model can predict, or bins of a real target.
        pre_norm: normalize the input of each attention and each MLP, and once that of the decoder, instead of
            every sum (Xiong et al., ICML 2020).
        residual_decay: with `pre_norm`, the cells are multiplied by its i-th power before layer i = 0, 1 ...:
            without norms between them, the sums of later layers would grow.
        mean_pooling: decode a test row from the mean over its features' cells instead of its target's cell.
            The last layer then computes every column, not the target's alone.
        feature_group_size: G, features that each column is embedded from: itself and those 1, 3, 7 ... to its
            right, counted in a circle. Distinguishes features of equal distribution (Qu et al., TabICLv2,
            2026); the order of the features has an effect then.
        target_aware: with `mean_pooling`, there is no column of targets: the embedding of a training row's
            target is added to that of each of its features (Qu et al., TabICLv2, 2026). So the first
            attention between rows sees the targets already. More than two classes have an embedding each,
            where a column of targets is embedded from the number of the class.
        bin_edges: (K + 1,) ascending, for regression: the logits are a distribution over bins of the
            standardized target (`bins.py`), and the training targets must be standardized too.

    Attributes:
        config: the arguments, by name.
        trained_range: sizes of the tables that it was trained on; None if they are not known.

    Raises:
        ValueError: a size below 1, an embedding size that is no multiple of the heads, a decay outside of
            (0, 1] or without `pre_norm`, `target_aware` without `mean_pooling`, edges that do not ascend or
            are not one more than the outputs.

    Examples:
        >>> model = NanoTabPFNModel(num_outputs=3)
        >>> x, y_train = torch.randn(2, 10, 4), torch.randint(3, (2, 6)).float()
        >>> model((x, y_train), train_test_split_index=6).shape
        torch.Size([2, 4, 3])
        >>> model
        <NanoTabPFNModel(num_outputs=3): 356,259 parameters>
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
        bin_edges: Sequence[float] | None = None,
    ):
        super().__init__()
        self.config = _checked_config(
            embedding_size=embedding_size,
            num_attention_heads=num_attention_heads,
            mlp_hidden_size=mlp_hidden_size,
            num_layers=num_layers,
            num_outputs=num_outputs,
            feature_group_size=feature_group_size,
            pre_norm=pre_norm,
            residual_decay=residual_decay,
            mean_pooling=mean_pooling,
            target_aware=target_aware,
            bin_edges=bin_edges,
        )
        self.num_outputs = num_outputs
        self.trained_range: TrainedRange | None = None
        edges = self.config["bin_edges"]
        # Not in the state dict: the config holds them.
        self.register_buffer("bin_edges", None if edges is None else torch.tensor(edges), persistent=False)
        self.feature_encoder = NumberEncoder(embedding_size, feature_group_size)
        self._one_number_per_class = target_aware and num_outputs > 2 and bin_edges is None
        num_numbers = num_outputs if self._one_number_per_class else 1
        self.target_encoder = NumberEncoder(embedding_size, num_numbers)
        if self._one_number_per_class:
            # Of these numbers one is 1 and the others 0: an embedding is as large as that of one number.
            nn.init.uniform_(self.target_encoder.linear_layer.weight, -1, 1)
        self.transformer_blocks = nn.ModuleList(
            TransformerLayer(embedding_size, num_attention_heads, mlp_hidden_size, pre_norm)
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(embedding_size) if pre_norm else nn.Identity()
        self.decoder = Decoder(embedding_size, mlp_hidden_size, num_outputs)

    def __repr__(self) -> str:
        """The arguments that differ from the published ones, in a line, and not each of the layers."""
        published = signature(NanoTabPFNModel).parameters
        shown = {name: value for name, value in self.config.items() if value != published[name].default}
        if self.config["bin_edges"] is not None:
            shown["bin_edges"] = f"<{len(self.config['bin_edges'])} edges>"
        arguments = ", ".join(f"{name}={value}" for name, value in shown.items())
        count = sum(weights.numel() for weights in self.parameters())
        return f"<NanoTabPFNModel({arguments}): {count:,} parameters>"

    @property
    def problem_type(self) -> str:
        """`classification`, or `regression` if the outputs are bins."""
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
        num_train = train_test_split_index
        y_train = self._checked_targets(x, y_train)
        _check_split(x, y_train, num_train)
        features = normalize_features(x, *feature_statistics(x[:, :num_train]))  # (B, R, F)
        cells = self._encode(features, y_train, y_train.mean(dim=1, keepdim=True))  # (B, R, C, S)
        last = len(self.transformer_blocks) - 1
        for number, layer in enumerate(self.transformer_blocks):
            cells = self._attend_between_columns(number, cells)  # (B, R, C, E)
            k, v = layer.keys_and_values(cells[:, :num_train])  # (B, CH, T, D)
            if number == last:
                cells = cells[:, num_train:]  # (B, R - T, C, E): nothing depends on the training rows now
            cells = layer.attend_between_rows(cells, k, v)  # (B, R, C, E)
        return self._decode(cells)  # (B, R - T, K)

    def _checked_targets(self, x: torch.Tensor, y_train: torch.Tensor) -> torch.Tensor:
        """Targets (B, T) or (B, T, 1), which may be integers, as (B, T) of the dtype of x (B, R, F).

        Raises:
            ValueError: other shapes, or another dtype of x than that of the weights.
        """
        if y_train.ndim == 3:
            y_train = y_train.squeeze(-1)
        _check_tensors(x, y_train, self.feature_encoder.linear_layer.weight)
        return y_train.to(x.dtype)

    def _encode(self, features: torch.Tensor, y_train: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """Normalized features (B, R, F), targets (B, T) of the first rows and their mean (B, 1), which takes
        the place of the other rows' targets -> scalars (B, R, C, S)."""
        group_size = self.config["feature_group_size"]
        if self.config["target_aware"]:
            targets = y_train.unsqueeze(2)  # (B, T, 1)
            if self._one_number_per_class:
                classes = torch.arange(self.num_outputs, device=targets.device)
                targets = (targets == classes).to(targets.dtype)  # (B, T, K)
            return encode_target_aware(features, targets, group_size)
        targets = torch.cat([y_train, mean.expand(-1, features.shape[1] - y_train.shape[1])], dim=1)  # (B, R)
        return encode_scalars(features, targets, group_size)

    def _attend_between_columns(self, number: int, cells: torch.Tensor) -> torch.Tensor:
        """The first half of a layer: (B, R, C, E) -> (B, R, C, E). The first layer gets (B, R, C, S).

        The last layer returns only the columns that the decoder reads; the others are keys and values alone.
        That is the target, (B, R, 1, E), which saves most of the layer; or the features, (B, R, F, E), which
        are all columns in a target-aware model.
        """
        layer = self.transformer_blocks[number]
        attention, is_last = layer.self_attention_between_features, number == len(self.transformer_blocks) - 1
        target_alone = is_last and not self.config["mean_pooling"]
        if number == 0:
            basis = torch.cat([self.feature_encoder.basis(), self.target_encoder.basis()])  # (S, E)
        if number == 0 and not self.config["pre_norm"]:
            is_one = basis.new_zeros(len(basis), 1)
            is_one[self.config["feature_group_size"]] = 1  # of a feature
            is_one[-1] = not self.config["target_aware"]  # of a target, if it is in cells of its own
            cells = attention.between_encoded_cells(cells, basis, is_one)  # (B, R, C, E)
            cells = cells[:, :, -1:] if target_alone else cells
        else:
            if number == 0:
                with without_autocast(cells):
                    cells = cells @ basis  # (B, R, C, E)
            if self.config["pre_norm"]:
                cells = cells * self.config["residual_decay"] ** number
            read = layer.before(layer.norm1, cells)
            if target_alone:
                cells = cells[:, :, -1:] + attention.of_target(read)  # (B, R, 1, E)
            else:
                cells = cells + attention.between_columns(read)  # (B, R, C, E)
        if is_last and not target_alone and not self.config["target_aware"]:
            cells = cells[:, :, :-1]  # (B, R, F, E)
        return layer.after(layer.norm1, cells)

    def _decode(self, cells: torch.Tensor) -> torch.Tensor:
        """The columns of the last layer, (B, R, 1, E) or (B, R, F, E) -> (B, R, K)."""
        cells = self.norm(cells)
        row = cells.mean(dim=2) if self.config["mean_pooling"] else cells.squeeze(2)  # (B, R, E)
        return in_float32(self.decoder(row))

    @torch.no_grad()
    def encode_training(self, x_train: torch.Tensor, y_train: torch.Tensor) -> TrainingRows:
        """The cache that `predict` needs of the training rows, for any number of calls.

        Training rows never attend to test rows, so the keys and values of each layer do not depend on them.
        The cache holds 8 E ((L - 1) C + 1) bytes for each training row in float32, L being the number of
        layers (with `mean_pooling` F instead of the 1). Rows are processed in chunks: beyond the cache and a
        table of embedded cells, the memory is bounded.

        Args:
            x_train: features (B, T, F).
            y_train: targets (B, T) or (B, T, 1).

        Examples:
            >>> _ = torch.manual_seed(0)
            >>> model = NanoTabPFNModel().eval()
            >>> x, y_train = torch.randn(1, 10, 4), torch.randint(2, (1, 6)).float()
            >>> cache = model.encode_training(x[:, :6], y_train)
            >>> logits = model.predict(cache, x[:, 6:])
            >>> torch.allclose(logits, model((x, y_train), train_test_split_index=6), atol=1e-5)
            True
        """
        y_train = self._checked_targets(x_train, y_train)
        if y_train.shape[1] != x_train.shape[1]:
            raise ValueError(
                f"targets must be given for the {x_train.shape[1]} training rows, got {y_train.shape[1]}"
            )
        mean, std = feature_statistics(x_train)
        target_mean = y_train.mean(dim=1, keepdim=True)
        cells = self._encode(normalize_features(x_train, mean, std), y_train, target_mean)  # (B, T, C, S)
        size = self._rows_per_chunk(cells)
        keys_and_values = []
        for number, layer in enumerate(self.transformer_blocks):
            chunks = cells.split(size, dim=1)
            cells = torch.cat([self._attend_between_columns(number, chunk) for chunk in chunks], dim=1)
            k, v = layer.keys_and_values(cells)  # (B, CH, T, D)
            keys_and_values.append((k.contiguous(), v.contiguous()))  # each head is read many times
            if number < len(self.transformer_blocks) - 1:
                for chunk in cells.split(size, dim=1):  # in place: keys and values are computed already
                    chunk.copy_(layer.attend_between_rows(chunk, k, v))
        return TrainingRows(mean, std, target_mean, tuple(keys_and_values))

    @torch.no_grad()
    def predict(self, training_rows: TrainingRows, x_test: torch.Tensor) -> torch.Tensor:
        """Logits (B, N, K) of test rows (B, N, F), equal to those of `forward`; in chunks of rows.

        Args:
            training_rows: of `encode_training` with the same weights.
            x_test: features.
        """
        wanted = training_rows.mean.shape[::2]
        if x_test.ndim != 3 or x_test.shape[::2] != wanted:
            raise ValueError(
                f"test rows must be ({wanted[0]}, N, {wanted[1]}), as the training rows are, got "
                f"{tuple(x_test.shape)}"
            )
        features = normalize_features(x_test, training_rows.mean, training_rows.deviation)
        no_targets = features.new_zeros(len(features), 0)
        scalars = self._encode(features, no_targets, training_rows.target_mean)  # (B, N, C, S)
        logits = []
        for cells in scalars.split(self._rows_per_chunk(scalars), dim=1):
            for number, (layer, (k, v)) in enumerate(
                zip(self.transformer_blocks, training_rows.keys_and_values, strict=True)
            ):
                cells = layer.attend_between_rows(self._attend_between_columns(number, cells), k, v)
            logits.append(self._decode(cells))
        return torch.cat(logits, dim=1)

    def _rows_per_chunk(self, scalars: torch.Tensor) -> int:
        """Rows of (B, R, C, S) for which a layer needs about CHUNK_BYTES."""
        num_datasets, _, num_columns, _ = scalars.shape
        # For a cell: its embedding, queries, keys, values, the attention's output and the normalized sum; the
        # hidden layer before and after its activation; the scores before and after the softmax.
        numbers = 6 * self.config["embedding_size"] + 2 * self.config["mlp_hidden_size"]
        numbers += 2 * self.config["num_attention_heads"] * num_columns
        return max(1, CHUNK_BYTES // (num_datasets * num_columns * numbers * scalars.element_size()))


def _checked_config(**config: int | float | bool | Sequence[float] | None) -> dict:
    """The arguments of a model, checked before any weight is allocated."""
    for name in (
        "embedding_size",
        "num_attention_heads",
        "mlp_hidden_size",
        "num_layers",
        "num_outputs",
        "feature_group_size",
    ):
        if not isinstance(config[name], Integral):
            raise ValueError(f"{name} must be an integer, got {config[name]!r}")
        if config[name] < 1:
            raise ValueError(f"{name} must be at least 1, got {config[name]}")
        config[name] = int(config[name])  # numpy's integers are no numbers of JSON
    for name in ("pre_norm", "mean_pooling", "target_aware"):
        if not isinstance(config[name], bool):
            raise ValueError(f"{name} must be True or False, got {config[name]!r}")
    if not 0 < config["residual_decay"] <= 1:
        raise ValueError(f"residual_decay must be above 0 and at most 1, got {config['residual_decay']}")
    config["residual_decay"] = float(config["residual_decay"])
    if config["residual_decay"] < 1 and not config["pre_norm"]:
        raise ValueError(f"residual_decay must be 1 without pre_norm, got {config['residual_decay']}")
    if config["target_aware"] and not config["mean_pooling"]:
        raise ValueError("target_aware needs mean_pooling=True: there is no column of targets to decode")
    if config["embedding_size"] % config["num_attention_heads"]:
        raise ValueError(
            f"embedding_size must be a multiple of num_attention_heads, "
            f"got {config['embedding_size']} and {config['num_attention_heads']}"
        )
    if config["bin_edges"] is not None:
        config["bin_edges"] = _checked_edges(config["bin_edges"], config["num_outputs"])
    return config


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


def _check_tensors(x: torch.Tensor, y_train: torch.Tensor, weights: torch.Tensor) -> None:
    if x.ndim != 3 or y_train.ndim != 2 or len(x) != len(y_train):
        raise ValueError(
            "data must be features (B, R, F) and training targets (B, T) or (B, T, 1), "
            f"got {tuple(x.shape)} and {tuple(y_train.shape)}"
        )
    if not x.dtype.is_floating_point or x.dtype != weights.dtype:
        raise ValueError(
            f"features must be of the dtype of the weights, {weights.dtype}, got {x.dtype}; x.float() and "
            "model.double() convert"
        )


def _check_split(x: torch.Tensor, y_train: torch.Tensor, num_train: int) -> None:
    num_rows = x.shape[1]
    if not 0 < num_train < num_rows:
        raise ValueError(
            f"train_test_split_index must be above 0 and below the {num_rows} rows, got {num_train}"
        )
    if y_train.shape[1] != num_train:
        raise ValueError(
            f"targets must be given for the {num_train} training rows alone, got {y_train.shape[1]}"
        )
