"""Recipes: each a model like the others, trained, saved and gone on with like the others."""

import json
from math import sqrt
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from commands import train_tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nanotabpfn.cli.main import main
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.bins import standard_edges
from nanotabpfn.model.checkpoint import load_model, load_state, save_checkpoint, save_model
from nanotabpfn.model.precision import autocast
from nanotabpfn.model.reference import PlainNanoTabPFNModel
from nanotabpfn.training.loop import train
from nanotabpfn.training.optimizer import MUON_LR_RATIO, make_optimizer
from nanotabpfn.training.recipes import RECIPES
from nanotabpfn.training.state import StateError

ROOT = Path(__file__).parents[3]
every_recipe = pytest.mark.parametrize("name", RECIPES)


def make_model(name, seed=0, num_layers=2):
    """A recipe's model in float64, biases and norms away from zeros and ones."""
    torch.manual_seed(seed)
    model = NanoTabPFNModel(16, 2, 24, num_layers, 3, **RECIPES[name].architecture).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


def make_table(batch=2, num_rows=14, num_features=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, num_rows, num_features, dtype=torch.float64, generator=generator)
    return x, torch.randint(0, 3, (batch, num_rows), generator=generator).double()


def logits_of(model, x, y, split):
    with torch.no_grad():
        return model((x, y[:, :split]), train_test_split_index=split)


def batches(num_steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(num_steps):
        x = torch.randn(4, 16, 3, generator=generator)
        yield {"x": x, "y": (x[:, :, 0] > 0).float(), "train_test_split_index": 10}


def tiny_model(name, seed=0):
    torch.manual_seed(seed)
    return NanoTabPFNModel(16, 2, 16, 2, 2, **RECIPES[name].architecture)


# ------------------------------------------------------------------------------------------- architecture


@settings(max_examples=20)
@given(
    pre_norm=st.booleans(),
    mean_pooling=st.booleans(),
    target_aware=st.booleans(),
    group_size=st.integers(1, 4),
    num_features=st.one_of(st.integers(1, 5), st.just(17)),
    num_layers=st.integers(1, 3),
    num_classes=st.integers(2, 4),
    num_train=st.integers(2, 12),
    seed=st.integers(0, 99),
)
def test_logits_and_gradients_equal_the_plain_models(
    pre_norm, mean_pooling, target_aware, group_size, num_features, num_layers, num_classes, num_train, seed
):
    torch.manual_seed(seed)
    options = {
        "pre_norm": pre_norm,
        "residual_decay": 0.8 if pre_norm else 1.0,
        "mean_pooling": mean_pooling,
        "target_aware": target_aware and mean_pooling,
        "feature_group_size": group_size,
    }
    fast = NanoTabPFNModel(8, 2, 12, num_layers, num_classes, **options).double()
    plain = PlainNanoTabPFNModel(8, 2, 12, num_layers, num_classes, **options).double()
    for parameter in fast.parameters():
        nn.init.normal_(parameter, std=0.5)
    plain.load_state_dict(fast.state_dict())
    x, y = make_table(2, num_train + 3, num_features, seed)
    y = y.clip(max=num_classes - 1)
    found = []
    for model in (fast, plain):
        logits = model((x, y[:, :num_train]), train_test_split_index=num_train)
        nn.functional.cross_entropy(logits.flatten(0, 1), y[:, num_train:].flatten().long()).backward()
        found.append(logits.detach())
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-9)
    expected = dict(plain.named_parameters())
    for key, parameter in fast.named_parameters():
        zeros = torch.zeros_like(parameter)  # of weights that are not used
        got, wanted = (p.grad if p.grad is not None else zeros for p in (parameter, expected[key]))
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-9, msg=key)


def test_a_target_aware_model_embeds_each_of_more_than_two_classes():
    options = {"mean_pooling": True, "target_aware": True}
    sizes = {
        num_outputs: NanoTabPFNModel(
            8, 2, 8, 1, num_outputs, **options
        ).target_encoder.linear_layer.in_features
        for num_outputs in (2, 3, 10)
    }
    assert sizes == {2: 1, 3: 3, 10: 10}
    of_bins = NanoTabPFNModel(8, 2, 8, 1, 20, **options, bin_edges=standard_edges(20))
    assert of_bins.target_encoder.linear_layer.in_features == 1
    with pytest.raises(ValueError, match="target_aware needs mean_pooling=True"):
        NanoTabPFNModel(8, 2, 8, 1, 2, target_aware=True)


@pytest.mark.parametrize("num_outputs", [2, 10])
def test_the_embedding_of_a_class_begins_as_large_as_that_of_a_number(num_outputs):
    torch.manual_seed(0)
    model = NanoTabPFNModel(256, 2, 8, 1, num_outputs, mean_pooling=True, target_aware=True)
    weights = model.target_encoder.linear_layer.weight.detach()
    assert 0.9 < weights.abs().max() <= 1
    assert weights.std() == pytest.approx(1 / sqrt(3), rel=0.1)  # of a uniform number between -1 and 1


@every_recipe
@pytest.mark.parametrize("rows", [1, 4, 1000])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_training_rows_kept_and_chunks_give_the_same_logits(monkeypatch, name, rows, num_layers):
    model, (x, y) = make_model(name, num_layers=num_layers), make_table()
    monkeypatch.setattr(NanoTabPFNModel, "_rows_per_chunk", lambda self, scalars: rows)
    got = model.predict(model.encode_training(x[:, :9], y[:, :9]), x[:, 9:])
    torch.testing.assert_close(got, logits_of(model, x, y, 9), rtol=0, atol=1e-10)


@every_recipe
def test_a_test_row_moves_only_its_own_prediction(name):
    model, (x, y) = make_model(name), make_table()
    changed = x.clone()
    changed[:, 11] += 3
    moved = (logits_of(model, changed, y, 9) - logits_of(model, x, y, 9)).abs().amax(dim=(0, 2))
    assert moved[2] > 1e-3  # row 11 is the third test row
    assert moved[[0, 1, 3, 4]].max() < 1e-12


@every_recipe
def test_the_order_of_training_rows_does_not_matter(name):
    model, (x, y) = make_model(name), make_table()
    order = torch.tensor([3, 8, 0, 1, 7, 2, 6, 5, 4, *range(9, 14)])
    expected = logits_of(model, x, y, 9)
    torch.testing.assert_close(logits_of(model, x[:, order], y[:, order], 9), expected, rtol=0, atol=1e-11)


@every_recipe
def test_the_order_of_features_matters_with_groups_alone(name):
    model, (x, y) = make_model(name), make_table()
    moved = (logits_of(model, x[:, :, [2, 0, 3, 1]], y, 9) - logits_of(model, x, y, 9)).abs().max()
    assert (moved > 1e-3) == (RECIPES[name].architecture.get("feature_group_size", 1) > 1)
    assert (logits_of(model, x.roll(1, dims=2), y, 9) - logits_of(model, x, y, 9)).abs().max() < 1e-10


@every_recipe
def test_the_architecture_travels_in_the_checkpoint(tmp_path, name):
    model, (x, y) = tiny_model(name), make_table()
    loaded = load_model(save_model(model, tmp_path / "model.safetensors"))
    assert loaded.config == model.config
    assert torch.equal(logits_of(loaded, x.float(), y.float(), 9), logits_of(model, x.float(), y.float(), 9))


def test_the_published_recipe_changes_nothing():
    assert RECIPES["published"].architecture == {}
    keys = tiny_model("published").state_dict().keys()
    assert not any(key.startswith("norm.") for key in keys)
    assert keys < tiny_model("pre-norm").state_dict().keys()


def test_groups_are_those_one_three_and_seven_to_the_right():
    from nanotabpfn.model.encoders import encode_scalars

    scalars = encode_scalars(torch.arange(5.0).reshape(1, 1, 5), torch.full((1, 1), 9.0), group_size=4)
    assert scalars[0, 0, 0].tolist() == [0, 1, 3, 2, 1, 0, 0]  # 7 to the right is 2 of 5
    assert scalars[0, 0, 4].tolist() == [4, 0, 2, 1, 1, 0, 0]
    assert scalars[0, 0, 5].tolist() == [0, 0, 0, 0, 0, 9, 1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"residual_decay": 0.9}, "residual_decay must be 1 without pre_norm, got 0.9"),
        ({"residual_decay": 0.0, "pre_norm": True}, "residual_decay must be above 0 and at most 1, got 0.0"),
        ({"feature_group_size": 0}, "feature_group_size must be at least 1, got 0"),
    ],
)
def test_impossible_options_are_errors(options, words):
    with pytest.raises(ValueError, match=words):
        NanoTabPFNModel(**options)


@every_recipe
def test_bfloat16_is_close_to_float32(name):
    model, (x, y) = tiny_model(name), make_table()
    x, y = x.float(), y.clip(0, 1).float()
    exact = logits_of(model, x, y, 9)
    with autocast("cpu", "bfloat16"):
        rounded = logits_of(model, x, y, 9)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0, atol=0.03)


# ----------------------------------------------------------------------------------------------- training


@every_recipe
def test_each_learns_and_a_restart_ends_to_the_bit_as_if_undisturbed(tmp_path, name):
    def save(model, state):
        if state["step"] == 5:
            save_checkpoint(model, state, tmp_path / "state")

    training, records, later = RECIPES[name].training, [], []
    evaluate = {"steps_per_eval": 2, "eval_func": lambda classifier: {}}  # to the average and back
    model, _ = train(
        tiny_model(name),
        batches(30),
        device="cpu",
        on_step=records.append,
        steps_per_checkpoint=1,
        on_checkpoint=save,
        **evaluate,
        **training,
    )
    losses = [record["loss"] for record in records]
    assert sum(losses[-5:]) < sum(losses[:5])
    again, _ = train(
        tiny_model(name, seed=1),
        list(batches(30))[5:],
        device="cpu",
        on_step=later.append,
        state=load_state(tmp_path / "state"),
        **evaluate,
        **training,
    )
    assert [record["loss"] for record in later] == losses[5:]
    assert all(map(torch.equal, again.parameters(), model.parameters()))


def test_the_state_of_another_optimizer_is_refused():
    states = {}
    for name in ("published", "muon"):
        options = {"device": "cpu", "steps_per_checkpoint": 1, **RECIPES[name].training}
        train(
            tiny_model(name), batches(1), on_checkpoint=lambda _, s, n=name: states.update({n: s}), **options
        )
    for name, other in (("published", "muon"), ("muon", "published")):
        with pytest.raises(StateError, match=r"optimizer|parameter"):
            train(tiny_model(name), batches(1), device="cpu", state=states[other], **RECIPES[name].training)


def step_of(name, lr):
    """Gradients, and what one step changes, by the weights' names."""
    model = tiny_model("published")
    optimizer = make_optimizer(model, name, lr, warmup_steps=0)
    optimizer.train()
    before = {key: weight.detach().clone() for key, weight in model.named_parameters()}
    batch = next(batches(1))
    logits = model((batch["x"], batch["y"][:, :10]), train_test_split_index=10)
    nn.functional.cross_entropy(logits.flatten(0, 1), batch["y"][:, 10:].flatten().long()).backward()
    gradients = {key: weight.grad.clone() for key, weight in model.named_parameters()}
    optimizer.step()
    optimizer.eval()
    return gradients, {key: weight.detach() - before[key] for key, weight in model.named_parameters()}


def test_muon_moves_the_layers_matrices_orthogonally_and_nothing_else():
    gradients, with_muon = step_of("muon", lr=0.01)
    _, with_adamw = step_of("adamw", lr=0.01)
    matrices = [key for key, change in with_muon.items() if "blocks" in key and change.ndim == 2]
    assert len(matrices) == 2 * 6
    for key, change in with_muon.items():
        if key not in matrices:
            assert torch.equal(change, with_adamw[key]), key
            continue
        u, singular, v = torch.linalg.svd(gradients[key].double(), full_matrices=False)
        strong = singular > 0.02 * singular[0]  # the iteration leaves what is next to nothing as it is
        expected = -MUON_LR_RATIO * 0.01 * 0.2 * max(change.shape) ** 0.5  # of an orthogonal matrix
        along = (u.T @ change.double() @ v.T).diagonal()[strong] / expected
        assert (along > 0.5).all(), key  # Newton-Schulz gets them near 1
        assert (along < 1.5).all(), key


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_learning_rate_warms_up_in_equal_parts(optimizer):
    records = []
    options = {"lr": 0.01, "optimizer": optimizer, "warmup_steps": 4}
    train(tiny_model("published"), batches(6), device="cpu", on_step=records.append, **options)
    rates = [record["lr"] for record in records]
    assert rates == pytest.approx([0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01])


def test_muons_learning_rate_follows():
    model = tiny_model("published")
    optimizer = make_optimizer(model, "muon", 0.01, warmup_steps=2)
    optimizer.train()
    rates = []
    for _ in range(3):
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        rates.append(
            [group["lr"] * group.get("warmup_steps", 0) or group["lr"] for group in optimizer.param_groups][1]
        )
    assert rates == pytest.approx([MUON_LR_RATIO * rate for rate in (0.005, 0.01, 0.01)])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"optimizer": "sgd"}, "optimizer must be one of adamw, muon, got 'sgd'"),
        ({"warmup_steps": -1}, "warmup_steps must be at least 0, got -1"),
    ],
)
def test_bad_settings_are_errors(options, words):
    with pytest.raises(ValueError, match=words):
        train(tiny_model("published"), batches(1), device="cpu", **options)


# ------------------------------------------------------------------------------------------------ command


def test_a_recipe_is_written_down_trained_and_gone_on_with(tmp_path, tiny_dump):
    def run(*arguments):
        result = CliRunner().invoke(main, ["train", *map(str, arguments)])
        assert result.exit_code == 0, result.output

    sizes = ["--embedding-size", 8, "--heads", 2, "--hidden", 8, "--layers", 1]
    rest = ["--recipe", "combined", "--batch-size", 4, "--eval-every", 0, "--device", "cpu", *sizes]
    run("--dump", tiny_dump, "--out", tmp_path / "whole", "--steps", 5, *rest)
    run("--dump", tiny_dump, "--out", tmp_path / "parts", "--steps", 2, *rest)
    run("--resume", tmp_path / "parts", "--steps", 5)
    whole, parts = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts"))
    assert whole == parts
    found = json.loads((tmp_path / "whole" / "config.json").read_text())
    recipe = RECIPES["combined"]
    assert found["training"]["recipe"] == "combined"
    assert found["training"].items() >= recipe.training.items()
    assert found["model"].items() >= recipe.architecture.items()
    assert load_model(tmp_path / "whole").config == found["model"]
    run("--dump", tiny_dump, "--out", tmp_path / "own", "--steps", 1, "--lr", 0.5, *rest)
    assert json.loads((tmp_path / "own" / "config.json").read_text())["training"]["lr"] == 0.5


def test_the_default_is_the_published_model_with_a_warm_up_of_100_steps(tmp_path, tiny_dump):
    found = {}
    for name, more in (("own", ()), ("short", ("--warm-up", 3)), ("exact", ("--recipe", "published"))):
        out = tmp_path / name
        result = train_tiny(tiny_dump, out, "--steps", 1, "--eval-every", 0, *more)
        assert result.exit_code == 0, result.output
        found[name] = json.loads((out / "config.json").read_text())
    published = RECIPES["published"].training
    assert found["own"]["model"] == found["exact"]["model"]
    assert found["own"]["training"].items() >= (published | {"warmup_steps": 100}).items()
    assert found["short"]["training"].items() >= (published | {"warmup_steps": 3}).items()
    assert found["exact"]["training"].items() >= published.items()


def test_the_docs_name_every_recipe():
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    for name in RECIPES:
        assert f"| `{name}` |" in text, name
