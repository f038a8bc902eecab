"""The model: agreement with the published one, its invariances, degenerate tables."""

import subprocess
import sys

import h5py
import numpy as np
import pytest
import schedulefree
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peak_memory import SOURCE
from torch import nn

import nanotabpfn.model.architecture
from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.estimators.regressor import NanoTabPFNRegressor
from nanotabpfn.evaluation.held_out import score_held_out
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.bins import standard_edges
from nanotabpfn.model.checkpoint import load_model, save_model
from nanotabpfn.model.encoders import feature_statistics, normalize_features
from nanotabpfn.model.layers import Attention

# The reference was made with `torch.manual_seed` of these, the model being the first thing drawn.
REFERENCE_SEEDS = {"small": 0, "wide": 1, "published": 2}


def read_reference(file, name):
    with h5py.File(file) as stored:
        group = stored[name]
        arrays = {
            key: torch.from_numpy(group[key][()]) for key in ("x", "y", "logits", "losses", "logits_after")
        }
        state = {key: torch.from_numpy(weight[()]) for key, weight in group["state"].items()}
        return [int(size) for size in group["config"]], int(group["split"][()]), arrays, state


def logits_of(model, x, y, split):
    with torch.no_grad():
        return model((x, y[:, :split]), train_test_split_index=split)


@pytest.mark.parametrize("name", REFERENCE_SEEDS)
def test_published_weights_give_published_logits(reference_file, name):
    config, split, arrays, state = read_reference(reference_file, name)
    model = NanoTabPFNModel(*config).double()
    model.load_state_dict(state)
    # The file's state is the one after its 20 training steps.
    logits = logits_of(model, arrays["x"], arrays["y"], split)
    torch.testing.assert_close(logits, arrays["logits_after"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", REFERENCE_SEEDS)
def test_training_follows_the_published_losses(reference_file, name):
    config, split, arrays, state = read_reference(reference_file, name)
    x, y = arrays["x"], arrays["y"]
    torch.manual_seed(REFERENCE_SEEDS[name])
    model = NanoTabPFNModel(*config).double()
    torch.testing.assert_close(logits_of(model, x, y, split), arrays["logits"], rtol=0, atol=1e-9)

    optimizer = schedulefree.AdamWScheduleFree(model.parameters(), lr=4e-3, weight_decay=0.0)
    optimizer.train()
    losses = []
    for _ in range(20):
        logits = model((x, y[:, :split]), train_test_split_index=split)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), y[:, split:].flatten().long())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    np.testing.assert_allclose(losses, arrays["losses"], rtol=0, atol=1e-6)

    optimizer.eval()
    torch.testing.assert_close(logits_of(model, x, y, split), arrays["logits_after"], rtol=0, atol=1e-9)
    for key, weight in model.state_dict().items():
        torch.testing.assert_close(weight, state[key], rtol=0, atol=1e-9)


def test_the_defaults_are_the_published_size():
    assert sum(parameter.numel() for parameter in NanoTabPFNModel().parameters()) == 356_066


@pytest.fixture
def model():
    torch.manual_seed(0)
    return NanoTabPFNModel(16, 2, 24, 2, 3).double()


@pytest.fixture
def table():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 14, 4, dtype=torch.float64, generator=generator)
    y = torch.randint(0, 3, (2, 14), generator=generator).double()
    return x, y


def test_a_test_row_moves_only_its_own_prediction(model, table):
    x, y = table
    before = logits_of(model, x, y, 9)
    changed = x.clone()
    changed[:, 11] += 3
    after = logits_of(model, changed, y, 9)
    others = [0, 1, 3, 4]  # row 11 is the third test row
    torch.testing.assert_close(after[:, others], before[:, others], rtol=0, atol=1e-12)
    assert (after[:, 2] - before[:, 2]).abs().max() > 1e-3


def test_the_order_of_training_rows_does_not_matter(model, table):
    x, y = table
    order = torch.tensor([3, 8, 0, 1, 7, 2, 6, 5, 4, *range(9, 14)])
    expected = logits_of(model, x, y, 9)
    torch.testing.assert_close(logits_of(model, x[:, order], y[:, order], 9), expected, rtol=0, atol=1e-12)


def test_the_order_of_features_does_not_matter(model, table):
    x, y = table
    shuffled = x[:, :, [2, 0, 3, 1]]
    torch.testing.assert_close(
        logits_of(model, shuffled, y, 9), logits_of(model, x, y, 9), rtol=0, atol=1e-12
    )


def test_scale_and_shift_of_a_feature_do_not_matter(model, table):
    x, y = table
    moved = x * torch.tensor([1e6, 1e-6, 3, 1.0]) + torch.tensor([5.0, 0, -100, 0])
    torch.testing.assert_close(logits_of(model, moved, y, 9), logits_of(model, x, y, 9), rtol=0, atol=1e-8)


def test_datasets_of_a_batch_do_not_see_each_other(model, table):
    x, y = table
    together = logits_of(model, x, y, 9)
    torch.testing.assert_close(logits_of(model, x[1:], y[1:], 9), together[1:], rtol=0, atol=1e-12)


def test_targets_may_have_a_last_axis(model, table):
    x, y = table
    with_axis = model((x, y[:, :9, None]), train_test_split_index=9)
    torch.testing.assert_close(with_axis, model((x, y[:, :9]), train_test_split_index=9), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e6 + 0.1, 1e-30])
def test_a_constant_training_column_stays_zero(dtype, value):
    x = torch.full((1, 50, 1), value, dtype=dtype)
    x[:, 40:] = value * 1.01 + 1e-3  # moves in the test rows alone
    assert torch.equal(normalize_features(x, *feature_statistics(x[:, :40])), torch.zeros_like(x))


def test_columns_that_vary_little_around_a_large_mean_are_kept():
    x = 1e4 + torch.randn(1, 50, 1, generator=torch.Generator().manual_seed(0))
    z = normalize_features(x, *feature_statistics(x[:, :40]))
    assert z[:, :40].std() == pytest.approx(1, abs=1e-3)


def test_features_are_clipped_at_100():
    x = torch.tensor([0.0, 1.0, 1e9, -1e9]).reshape(1, 4, 1)
    assert normalize_features(x, *feature_statistics(x[:, :2])).flatten().tolist()[2:] == [100, -100]


@pytest.mark.parametrize("num_train", [1, 5])
@pytest.mark.parametrize("kind", ["zeros", "equal", "one column constant", "huge"])
def test_degenerate_tables_give_finite_logits(model, num_train, kind):
    x = torch.randn(1, 8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    if kind == "zeros":
        x = torch.zeros_like(x)
    elif kind == "equal":
        x = x[:, :1].expand(-1, 8, -1)
    elif kind == "one column constant":
        x[:, :, 1] = 4.2
    else:
        x = x * 1e200
    assert torch.isfinite(logits_of(model, x, torch.zeros(1, 8, dtype=torch.float64), num_train)).all()


def test_attention_starts_like_the_published_one():
    torch.manual_seed(3)
    expected = nn.MultiheadAttention(12, 3).state_dict()
    torch.manual_seed(3)
    for key, weight in Attention(12, 3).state_dict().items():
        assert torch.equal(weight, expected[key])


@settings(max_examples=15)
@given(
    batch=st.integers(1, 2),
    num_train=st.integers(1, 25),
    num_test=st.integers(1, 9),
    num_features=st.sampled_from([1, 4, 17]),
    num_layers=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_training_rows_kept_give_the_same_logits(batch, num_train, num_test, num_features, num_layers, seed):
    torch.manual_seed(seed)
    model = NanoTabPFNModel(8, 2, 12, num_layers, 3).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = torch.randn(batch, num_train + num_test, num_features, dtype=torch.float64)
    y = torch.randint(0, 3, (batch, num_train)).double()
    expected = logits_of(model, x, y, num_train)
    kept = model.encode_training(x[:, :num_train], y)
    torch.testing.assert_close(model.predict(kept, x[:, num_train:]), expected, rtol=0, atol=1e-9)
    one_by_one = [model.predict(kept, row) for row in x[:, num_train:].split(1, dim=1)]
    torch.testing.assert_close(torch.cat(one_by_one, dim=1), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("rows", [1, 3, 7])
@pytest.mark.parametrize("num_features", [2, 17])
def test_the_size_of_the_chunks_does_not_matter(monkeypatch, model, rows, num_features):
    x = torch.randn(2, 40, num_features, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = (x[:, :25, 0] > 0).double()
    expected = logits_of(model, x, y, 25)
    asked = []
    monkeypatch.setattr(
        NanoTabPFNModel, "_rows_per_chunk", lambda self, scalars: asked.append(len(scalars)) or rows
    )
    got = model.predict(model.encode_training(x[:, :25], y), x[:, 25:])
    assert asked == [2, 2]
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


def test_chunks_grow_with_what_they_may_take(monkeypatch):
    model, scalars = NanoTabPFNModel(), torch.empty(1, 9, 6, 4)
    usual = model._rows_per_chunk(scalars)
    monkeypatch.setattr(
        nanotabpfn.model.architecture, "CHUNK_BYTES", nanotabpfn.model.architecture.CHUNK_BYTES // 4
    )
    assert model._rows_per_chunk(scalars) == usual // 4
    monkeypatch.setattr(nanotabpfn.model.architecture, "CHUNK_BYTES", 1)
    assert model._rows_per_chunk(scalars) == 1


def test_the_memory_that_training_rows_take_is_as_documented():
    model = NanoTabPFNModel(16, 2, 24, 3, 2)
    kept = model.encode_training(torch.randn(1, 50, 4), torch.zeros(1, 50))
    size = sum(part.nbytes for keys_and_values in kept.keys_and_values for part in keys_and_values)
    assert size == 50 * 8 * 16 * ((3 - 1) * 5 + 1)


MEMORY = """
import torch
from nanotabpfn.model.architecture import NanoTabPFNModel
torch.set_num_threads(1)
torch.manual_seed(0)
model = NanoTabPFNModel(16, 4, 32, 2, 2).eval()
x, y = torch.randn(1, 2100, 8), (torch.arange(2000).unsqueeze(0) % 2).float()
with torch.no_grad():
    model.predict(model.encode_training(x[:, :20], y[:, :20]), x[:, :20])
    before = peak_bytes()
    model.predict(model.encode_training(x[:, :2000], y), x[:, 2000:])
print(peak_bytes() - before)
"""


def test_thousands_of_training_rows_need_no_matrix_of_all_pairs():
    run = subprocess.run([sys.executable, "-c", SOURCE + MEMORY], capture_output=True, text=True, check=True)
    # All pairs of training rows would take 9 columns x 4 heads x 2,000 x 2,000 x 4 bytes = 576 MB at once.
    assert int(run.stdout) < 150e6


@pytest.mark.parametrize("split", [0, 14, -1])
def test_a_split_outside_the_rows_is_an_error(model, table, split):
    x, y = table
    with pytest.raises(ValueError, match=f"train_test_split_index .* 14 rows, got {split}"):
        model((x, y[:, :9]), train_test_split_index=split)


def test_targets_of_test_rows_are_an_error(model, table):
    x, y = table
    with pytest.raises(ValueError, match="9 training rows alone, got 14"):
        model((x, y), train_test_split_index=9)


def test_impossible_sizes_are_errors():
    with pytest.raises(
        ValueError, match="embedding_size must be a multiple of num_attention_heads, got 10 and 4"
    ):
        NanoTabPFNModel(embedding_size=10, num_attention_heads=4)
    with pytest.raises(ValueError, match="num_layers must be at least 1, got 0"):
        NanoTabPFNModel(num_layers=0)


def test_numpys_integers_are_sizes_that_can_be_saved(tmp_path):
    model = NanoTabPFNModel(8, 2, 8, 1, num_outputs=np.arange(3).max() + 1)
    assert load_model(save_model(model, tmp_path)).num_outputs == 3


def test_rows_that_do_not_fit_are_refused_where_training_rows_are_kept(model, table):
    x, y = table
    with pytest.raises(ValueError, match="targets must be given for the 6 training rows, got 1"):
        model.encode_training(x[:, :6], y[:, :1])
    kept = model.encode_training(x[:, :6], y[:, :6].unsqueeze(-1).long())  # both as `forward` takes them
    with pytest.raises(ValueError, match=r"test rows must be \(\d, N, \d\), as the training rows are, got"):
        model.predict(kept, x[:, 6:, :1])


def test_float64_is_for_the_cpu(monkeypatch):
    """Apple's GPUs have no float64, so numbers go to the CPU before they become that."""
    double, cpu, moved = torch.Tensor.double, torch.Tensor.cpu, []

    def to_cpu(tensor):
        moved.append(cpu(tensor))
        return moved[-1]

    def to_double(tensor):
        assert any(tensor is known for known in moved)
        return double(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", to_cpu)
    monkeypatch.setattr(torch.Tensor, "double", to_double)
    x, y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 2
    NanoTabPFNClassifier(NanoTabPFNModel(8, 2, 8, 1), "cpu").fit(x, y).predict_proba(x)
    regressor = NanoTabPFNModel(8, 2, 8, 1, 20, bin_edges=standard_edges(20))
    NanoTabPFNRegressor(regressor, "cpu").fit(x, x[:, 0]).predict(x)
    batch = {"x": torch.randn(2, 30, 3), "y": torch.arange(30.0).remainder(2).expand(2, 30)}
    for model in (NanoTabPFNModel(8, 2, 8, 1), regressor):
        score_held_out(model, [batch | {"train_test_split_index": 20}], "cpu")
