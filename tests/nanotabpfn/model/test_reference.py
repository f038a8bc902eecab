"""The fast model compared with the plain one: the same logits and the same gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.reference import PlainNanoTabPFNModel


def make_pair(seed, *sizes, dtype=torch.float64):
    """The fast and the plain model with the same weights, biases and norms away from zeros and ones."""
    torch.manual_seed(seed)
    fast, plain = NanoTabPFNModel(*sizes).to(dtype), PlainNanoTabPFNModel(*sizes).to(dtype)
    for parameter in fast.parameters():
        nn.init.normal_(parameter, std=0.5)
    plain.load_state_dict(fast.state_dict())
    return fast, plain


def make_tables(batch, num_train, num_test, num_features, dtype=torch.float64):
    x = torch.randn(batch, num_train + num_test, num_features, dtype=dtype)
    y = torch.randint(0, 3, (batch, num_train + num_test)).to(dtype)
    return x, y


def logits_and_gradients(model, x, y, num_train):
    logits = model((x, y[:, :num_train]), train_test_split_index=num_train)
    nn.functional.cross_entropy(logits.flatten(0, 1), y[:, num_train:].flatten().long()).backward()
    return logits.detach(), {name: weight.grad for name, weight in model.named_parameters()}


@settings(max_examples=25)
@given(
    batch=st.integers(1, 3),
    num_train=st.integers(2, 12),
    num_test=st.integers(1, 6),
    num_features=st.one_of(st.integers(1, 7), st.integers(15, 20)),  # either side of the kernels' threshold
    num_layers=st.integers(1, 4),
    num_heads=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 99),
)
def test_logits_and_gradients_equal_the_plain_models(
    batch, num_train, num_test, num_features, num_layers, num_heads, seed
):
    fast, plain = make_pair(seed, 8, num_heads, 12, num_layers, 3)
    x, y = make_tables(batch, num_train, num_test, num_features)
    logits, gradients = logits_and_gradients(fast, x, y, num_train)
    expected_logits, expected_gradients = logits_and_gradients(plain, x, y, num_train)
    torch.testing.assert_close(logits, expected_logits, rtol=0, atol=1e-9)
    for name, expected in expected_gradients.items():
        got = gradients[name]
        if got is None:  # weights that are not used where the first layer is also the last one
            got = torch.zeros_like(expected)
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-9, msg=name)


@pytest.mark.parametrize("num_train", [20, 75, 130])
def test_the_published_size_in_float32(num_train):
    fast, plain = make_pair(0, dtype=torch.float32)
    for model in (fast, plain):
        for parameter in model.parameters():
            parameter.data *= 0.2
    x, y = make_tables(2, num_train, 150 - num_train, 5, torch.float32)
    y = y.clip(0, 1)
    logits, gradients = logits_and_gradients(fast, x, y, num_train)
    expected_logits, expected_gradients = logits_and_gradients(plain, x, y, num_train)
    torch.testing.assert_close(logits, expected_logits, rtol=0, atol=1e-5)
    for name, expected in expected_gradients.items():
        torch.testing.assert_close(gradients[name], expected, rtol=0, atol=1e-5, msg=name)
