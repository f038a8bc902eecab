"""Saving and loading a model: the same model back, nothing half-written, clear refusals."""

import json
import pickle

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from nanotabpfn.model import checkpoint
from nanotabpfn.model.architecture import NanoTabPFNModel, TrainedRange
from nanotabpfn.model.checkpoint import CheckpointError, load_model, load_state, save_checkpoint, save_model


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


def test_the_file_of_a_model_is_always_the_same(tmp_path, model):
    model.trained_range = TrainedRange((10, 20), (1, 5), (2, 2))
    contents = [save_model(model, tmp_path).read_bytes() for _ in range(20)]
    assert len(set(contents)) == 1
    with safe_open(tmp_path / "model.safetensors", framework="pt") as stored:
        assert stored.metadata().keys() == {"config", "trained_range"}
        assert all(torch.equal(stored.get_tensor(name), w) for name, w in model.state_dict().items())


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, model, monkeypatch):
    saved = save_model(model, tmp_path)
    before = saved.read_bytes()

    def full(partial, final):
        assert partial.exists()
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
    with pytest.raises(CheckpointError, match="file: holds no NanoTabPFNModel: its metadata has no config"):
        load_model(file)

    larger = '{"embedding_size": 16, "num_attention_heads": 2, "mlp_hidden_size": 12, "num_layers": 2}'
    for config in (larger, "{}", "[1]", "{", '{"embedding_size": -1}', '{"code": 1}', "null"):
        save_file(model.state_dict(), file, metadata={"config": config})
        with pytest.raises(CheckpointError, match="file: holds no NanoTabPFNModel"):
            load_model(file)


# --------------------------------------------------------------------------------- published state dicts


@pytest.mark.filterwarnings("ignore:.*4 are assumed")
@pytest.mark.parametrize("name", ["model.pth", "model.pt"])
def test_a_published_state_dict_is_loaded_with_the_architecture_of_its_shapes(tmp_path, name):
    torch.manual_seed(0)
    for model, heads in [(NanoTabPFNModel(8, 4, 12, 2, 3), None), (NanoTabPFNModel(8, 2, 6, 1, 2), 2)]:
        torch.save(model.state_dict(), tmp_path / name)
        loaded = load_model(tmp_path / name, heads)
        assert loaded.config == model.config
        assert not loaded.training
        for key, weight in model.state_dict().items():
            assert torch.equal(loaded.state_dict()[key], weight)
    with pytest.raises(CheckpointError, match=r"holds no .* multiple of num_attention_heads, got 8 and 3"):
        load_model(tmp_path / name, 3)


def test_heads_are_for_state_dicts_alone(tmp_path, model):
    with pytest.raises(CheckpointError, match=r"num_attention_heads is for state dicts .*, got 4"):
        load_model(save_model(model, tmp_path), 4)


def test_a_state_dict_of_an_unsaid_number_of_heads_warns_of_what_is_assumed(tmp_path, model):
    file = tmp_path / "model.pth"
    torch.save(NanoTabPFNModel(8, 2, 12, 2, 3).state_dict(), file)
    with pytest.warns(UserWarning, match=r"does not hold .* 4 are assumed, .* num_attention_heads"):
        assert load_model(file).config["num_attention_heads"] == 4
    assert load_model(file, 2).config["num_attention_heads"] == 2  # no warning: it would be an error here


@pytest.mark.parametrize("name", ["nanotabpfn.pth", "latest_checkpoint.pth"])
def test_a_checkpoint_of_tfm_playground_is_loaded_with_its_own_heads(tmp_path, name):
    torch.manual_seed(0)
    model = NanoTabPFNModel(8, 2, 12, 2, 3)
    sizes = ("embedding_size", "num_attention_heads", "mlp_hidden_size", "num_layers", "num_outputs")
    checkpoint = {
        "epoch": 3,
        "architecture": {size: model.config[size] for size in sizes},
        "model": model.state_dict(),
        "optimizer": torch.optim.AdamW(model.parameters()).state_dict(),
    }
    torch.save(checkpoint, tmp_path / name)
    paths = [tmp_path / name, tmp_path] if name == "latest_checkpoint.pth" else [tmp_path / name]
    for path in paths:
        loaded = load_model(path)
        assert loaded.config == model.config
        assert all(map(torch.equal, loaded.state_dict().values(), model.state_dict().values()))
    with pytest.raises(CheckpointError, match="num_attention_heads is for state dicts"):
        load_model(tmp_path / name, 2)
    checkpoint["architecture"]["num_layers"] = 10**6
    torch.save(checkpoint, tmp_path / name)
    with pytest.raises(CheckpointError, match="config says num_layers=1000000, its weights show 2"):
        load_model(tmp_path / name)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_compiled_and_parallel_models_are_removed(tmp_path, model, prefix):
    file = tmp_path / "model.pth"
    torch.save({prefix + name: weight for name, weight in model.state_dict().items()}, file)
    loaded = load_model(file, model.config["num_attention_heads"])
    assert all(map(torch.equal, loaded.state_dict().values(), model.state_dict().values()))


@pytest.mark.parametrize("name", ["embedding_size", "mlp_hidden_size", "num_layers", "num_outputs"])
def test_sizes_that_the_weights_do_not_have_are_refused_before_memory_is_taken(tmp_path, model, name):
    config = json.dumps(model.config | {name: 10**9})
    save_file(model.state_dict(), tmp_path / "file", metadata={"config": config})
    with pytest.raises(CheckpointError, match=f"its config says {name}=1000000000, its weights show"):
        load_model(tmp_path / "file")


def test_weights_that_are_not_finite_are_refused(tmp_path, model):
    with torch.no_grad():
        model.decoder.linear2.bias[0] = float("nan")
    file = save_model(model, tmp_path / "nan.safetensors")
    with pytest.raises(CheckpointError, match=r"decoder\.linear2\.bias has numbers that are not finite"):
        load_model(file)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_that_is_none_is_refused_and_no_code_is_executed(tmp_path, model, zipped):
    file = tmp_path / "model.pth"

    def refused(message, content=None):
        if content is not None:
            torch.save(content, file, _use_new_zipfile_serialization=zipped)
        with pytest.raises(CheckpointError, match=f"model.pth: {message}"):
            load_model(file)

    refused("holds other things than weights, .* nothing in it was executed", Bomb())
    refused("holds other things than weights", model.state_dict() | {"bomb": Bomb()})
    refused("holds other things than weights", model)
    refused("must hold a state dict", [torch.zeros(2)])
    refused("must hold a state dict", {"model": model.state_dict()})
    weights = model.state_dict()
    refused("holds no NanoTabPFNModel", {"weight": torch.zeros(2)})
    refused("holds no NanoTabPFNModel", weights | {"decoder.linear1.weight": torch.zeros(())})
    refused("holds no NanoTabPFNModel", weights | {"decoder.linear1.bias": torch.zeros(99)})
    refused('holds no NanoTabPFNModel: .*Unexpected key.*"more"', weights | {"more": torch.zeros(2)})
    lacks = {name: weight for name, weight in weights.items() if "norm1" not in name}
    refused("holds no NanoTabPFNModel: .*Missing key.*norm1.weight", lacks)

    torch.save(weights, file, _use_new_zipfile_serialization=zipped)
    whole = file.read_bytes()
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        refused("(not a readable PyTorch file|holds other things than weights, or is damaged)")
    file.write_bytes(pickle.dumps(Bomb()))
    refused("(not a readable PyTorch file|holds other things than weights)")


# ------------------------------------------------------------------------------------------------- states


def test_a_state_comes_back_to_the_bit_and_its_file_is_a_model(tmp_path, model):
    state = {
        "step": 3,
        "weights": {"a": torch.randn(3), "empty": torch.zeros(0), "number": torch.tensor(0.1)},
        "optimizer": [{"z": torch.randn(2, 2).double()}, {}],
        "loader": {"seed": 2**63 - 1, "skipped": [1, 2], "lr": 0.1, "nothing": None, "dump": "ä"},
        "generators": torch.get_rng_state(),
    }
    file = tmp_path / "step-00000003.safetensors"
    save_checkpoint(model, state, file)
    loaded = load_state(file)
    assert loaded.keys() == state.keys()
    assert loaded["step"] == 3
    assert loaded["loader"] == state["loader"]
    for got, wanted in [
        (loaded["generators"], state["generators"]),
        (loaded["optimizer"][0]["z"], state["optimizer"][0]["z"]),
        *((loaded["weights"][name], state["weights"][name]) for name in state["weights"]),
    ]:
        assert got.dtype == wanted.dtype
        assert torch.equal(got, wanted)
    assert loaded["optimizer"][1] == {}
    assert load_model(file).config == model.config
    assert list(tmp_path.iterdir()) == [file]


def test_what_holds_no_state_is_refused(tmp_path, model):
    with pytest.raises(CheckpointError, match="holds no state of a training"):
        load_state(save_model(model, tmp_path))
    save_file({"a": torch.zeros(1)}, tmp_path / "file", metadata={"state": '{"weights": {"tensor": "b"}}'})
    with pytest.raises(CheckpointError, match="file: holds no state of a training"):
        load_state(tmp_path / "file")
    with pytest.raises(CheckpointError, match="missing: not a readable safetensors file"):
        load_state(tmp_path / "missing")
