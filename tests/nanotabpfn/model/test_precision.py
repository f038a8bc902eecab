"""Mixed precision: what `auto` means, what stays in float32, how close bfloat16 comes."""

import os

import pytest
import torch
from torch import nn

from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.precision import autocast, has_native_bfloat16, resolve_precision


def test_auto_is_bfloat16_where_the_hardware_has_it(monkeypatch):
    assert resolve_precision("auto", "cpu") == ("bfloat16" if has_native_bfloat16("cpu") else "float32")
    for native, expected in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(
            "nanotabpfn.model.precision.has_native_bfloat16", lambda device, native=native: native
        )
        assert resolve_precision("auto", "cpu") == expected
        assert resolve_precision("float32", "cpu") == "float32"
        assert resolve_precision("bfloat16", "cpu") == "bfloat16"


def test_another_precision_is_an_error():
    with pytest.raises(ValueError, match="precision must be one of float32, bfloat16, auto, got 'half'"):
        autocast("cpu", "half")


def step(precision):
    torch.manual_seed(0)
    model = NanoTabPFNModel()
    x = torch.randn(4, 60, 5)
    y = (x[:, :, 0] > 0).float()
    with autocast("cpu", precision):
        logits = model((x, y[:, :30]), train_test_split_index=30)
    nn.functional.cross_entropy(logits.flatten(0, 1), y[:, 30:].long().flatten()).backward()
    return logits.detach(), torch.cat([weight.grad.flatten() for weight in model.parameters()])


def test_bfloat16_stays_close_to_float32():
    logits, gradient = step("float32")
    rounded_logits, rounded_gradient = step("bfloat16")
    assert rounded_logits.dtype == rounded_gradient.dtype == torch.float32
    assert not torch.equal(rounded_logits, logits)  # it did run in bfloat16
    # bfloat16 has 8 bits: each number is off by up to 0.4%, and errors of different cells cancel in part.
    assert (rounded_logits - logits).norm() < 0.03 * logits.norm()
    assert (rounded_gradient - gradient).norm() < 0.05 * gradient.norm()


def test_softmax_gets_float32(monkeypatch):
    softmax, seen = torch.softmax, []
    monkeypatch.setattr(torch, "softmax", lambda x, dim: seen.append(x.dtype) or softmax(x, dim=dim))
    model = NanoTabPFNModel(8, 2, 8, 3, 2)
    with autocast("cpu", "bfloat16"):
        model((torch.randn(1, 6, 2), torch.zeros(1, 3)), train_test_split_index=3)
    assert len(seen) == 6  # each layer's attention between columns and between rows
    assert set(seen) == {torch.float32}


def test_normalization_computes_in_float32():
    x = 100 + torch.randn(50, 96).bfloat16()  # in bfloat16 the sum of 96 such numbers would be off by 32
    with autocast("cpu", "bfloat16"):
        got = nn.LayerNorm(96)(x)
    torch.testing.assert_close(got.float(), nn.LayerNorm(96)(x.float()), rtol=2**-8, atol=1e-3)


@pytest.mark.parametrize("recipe", [{}, {"pre_norm": True, "residual_decay": 0.95, "mean_pooling": True}])
def test_norms_and_the_sums_between_layers_are_float32(recipe):
    model, seen = NanoTabPFNModel(8, 2, 8, 3, 2, **recipe), []
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.register_forward_hook(
                lambda _, inputs, output: seen.append((inputs[0].dtype, output.dtype))
            )
    with autocast("cpu", "bfloat16"):
        model((torch.randn(1, 6, 2), torch.zeros(1, 3)), train_test_split_index=3)
    assert len(seen) >= 9  # three in each layer
    assert set(seen) == {(torch.float32, torch.float32)}


def test_float64_stays_float64():
    model = NanoTabPFNModel(8, 2, 8, 1, 2).double()
    x = torch.randn(1, 6, 2, dtype=torch.float64)
    assert model((x, x[:, :3, 0]), train_test_split_index=3).dtype == torch.float64


def test_in_bfloat16_on_the_cpu_few_compiled_kernels_are_kept(monkeypatch):
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    autocast("cpu", "float32")
    assert "ONEDNN_PRIMITIVE_CACHE_CAPACITY" not in os.environ
    autocast("cpu", "bfloat16")
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "64"


def test_a_limit_that_the_user_set_is_kept(monkeypatch):
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "7")
    autocast("cpu", "bfloat16")
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "7"
