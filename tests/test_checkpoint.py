"""Saving and loading a model: the same model back, nothing half-written, clear refusals."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from nanotabpfn import checkpoint
from nanotabpfn.checkpoint import CheckpointError, load_model, save_model
from nanotabpfn.model import NanoTabPFNModel


@pytest.fixture
def model():
    torch.manual_seed(0)
    return NanoTabPFNModel(8, 2, 12, 2, 3)


@pytest.mark.parametrize("where", ["", "mine.safetensors"])
def test_the_same_model_comes_back(tmp_path, model, where):
    saved = save_model(model, tmp_path / where)
    assert saved == tmp_path / (where or "model.safetensors")
    loaded = load_model(tmp_path / where)
    assert loaded.config == model.config
    assert not loaded.training
    for name, weight in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight)
    assert list(tmp_path.iterdir()) == [saved]


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, model, monkeypatch):
    saved = save_model(model, tmp_path)
    before = saved.read_bytes()

    def full(beside, final):
        assert beside.exists()
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        save_model(model, tmp_path)
    assert saved.read_bytes() == before
    assert list(tmp_path.iterdir()) == [saved]


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("code in a pickle was executed",)


def test_what_is_no_model_is_refused(tmp_path, model):
    with pytest.raises(CheckpointError, match=r"model\.safetensors: no such file"):
        load_model(tmp_path)

    file = tmp_path / "file"
    file.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match="file: not a readable safetensors file"):
        load_model(file)

    whole = save_model(model, tmp_path / "whole").read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="file: not a readable safetensors file"):
        load_model(file)

    save_file(model.state_dict(), file)
    with pytest.raises(CheckpointError, match="file: holds no NanoTabPFNModel"):
        load_model(file)

    larger = '{"embedding_size": 16, "num_attention_heads": 2, "mlp_hidden_size": 12, "num_layers": 2}'
    save_file(model.state_dict(), file, metadata={"config": larger})
    with pytest.raises(CheckpointError, match="file: holds no NanoTabPFNModel"):
        load_model(file)
