"""The training loop: what it follows, returns, records and refuses."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import schedulefree
import torch
import torch._dynamo
from tiny_prior import TINY
from torch import nn

import nanotabpfn.model.precision
from nanotabpfn.data.loaders import PriorDataLoader, PriorDumpDataLoader
from nanotabpfn.data.mixture import MixedDataLoader
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.checkpoint import load_model, load_state, save_checkpoint
from nanotabpfn.training.loop import train
from nanotabpfn.training.recipes import RECIPES
from nanotabpfn.training.state import StateError
from nanotabpfn.training.step import TrainingError, update


def tiny_model(num_outputs=2, seed=0, **changes):
    torch.manual_seed(seed)
    return NanoTabPFNModel(16, 2, 16, 2, num_outputs, **changes)


def batches(num_steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(num_steps):
        x = torch.randn(8, 20, 3, generator=generator)
        y = (x[:, :, 0] + x[:, :, 1] > 0).float()
        yield {"x": x, "y": y, "train_test_split_index": 12}


def published_loop(model, prior, lr):
    """The published training loop, without its timing and printing."""
    optimizer = schedulefree.AdamWScheduleFree(model.parameters(), lr=lr, weight_decay=0.0)
    optimizer.train()
    losses = []
    for batch in prior:
        split = batch["train_test_split_index"]
        output = model((batch["x"], batch["y"][:, :split]), train_test_split_index=split)
        targets = batch["y"][:, split:].reshape((-1,)).to(torch.long)
        loss = nn.CrossEntropyLoss()(output.view(-1, output.shape[-1]), targets)
        loss.backward()
        losses.append(loss.item())
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    optimizer.eval()
    return losses


def test_losses_and_averaged_weights_are_those_of_the_published_loop():
    expected_model, model, records = tiny_model(), tiny_model(), []
    expected = published_loop(expected_model, batches(12), lr=4e-3)
    trained, _ = train(model, batches(12), lr=4e-3, device="cpu", on_step=records.append)
    assert trained is model
    assert [record["loss"] for record in records] == expected
    for got, wanted in zip(model.parameters(), expected_model.parameters(), strict=True):
        assert torch.equal(got, wanted)


def test_it_learns():
    records = []
    train(tiny_model(), batches(150), lr=1e-2, device="cpu", on_step=records.append)
    losses = [record["loss"] for record in records]
    assert np.mean(losses[-20:]) < 0.8 * np.mean(losses[:20])


def test_evaluation_sees_the_averaged_model_and_changes_nothing():
    seen = []

    def look(classifier):
        assert not classifier.model.training
        seen.append([parameter.detach().clone() for parameter in classifier.model.parameters()])
        return {"roc_auc": 0.5 + len(seen)}

    records, plain = [], tiny_model()
    train(plain, batches(6), lr=4e-3, device="cpu")
    model, history = train(
        tiny_model(),
        batches(6),
        lr=4e-3,
        device="cpu",
        steps_per_eval=2,
        eval_func=look,
        on_step=records.append,
    )
    assert [scores for _, scores in history] == [{"roc_auc": 1.5}, {"roc_auc": 2.5}, {"roc_auc": 3.5}]
    assert [record["step"] for record in records if "roc_auc" in record] == [2, 4, 6]
    for last, returned, without in zip(seen[-1], model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(last, returned)
        assert torch.equal(returned, without)
    assert not model.training


def test_records_tell_step_loss_gradient_and_time():
    records = []
    train(tiny_model(), batches(3), device="cpu", on_step=records.append)
    assert [record["step"] for record in records] == [1, 2, 3]
    assert all(record["gradient_norm"] > 0 for record in records)
    assert all(record["lr"] == 1e-4 for record in records)
    for name in ("train_time", "wait_time", "wall_time"):
        times = [record[name] for record in records]
        assert times == sorted(times)
        assert times[0] > 0
    for record in records:
        assert record["train_time"] + record["wait_time"] <= record["wall_time"]


def test_in_bfloat16_the_weights_stay_float32_and_the_losses_near(monkeypatch):
    losses = {}
    for precision in ("float32", "bfloat16"):
        records = []
        model, _ = train(tiny_model(), batches(20), 1e-2, "cpu", precision=precision, on_step=records.append)
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        losses[precision] = [record["loss"] for record in records]
    assert losses["float32"] != losses["bfloat16"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)
    monkeypatch.setattr(nanotabpfn.model.precision, "has_native_bfloat16", lambda device: True)
    records = []
    train(tiny_model(), batches(20), 1e-2, "cpu", precision="auto", on_step=records.append)
    assert [record["loss"] for record in records] == losses["bfloat16"]
    with pytest.raises(ValueError, match="precision must be one of float32, bfloat16, auto, got 'float8'"):
        train(tiny_model(), batches(1), device="cpu", precision="float8")


@pytest.mark.parametrize("recipe", ["published", "combined", "feature-groups"])
def test_compiled_it_trains_alike_with_one_graph_for_all_splits(recipe, monkeypatch):
    """With the compiler's front end alone, which is what can go wrong: its code generator takes a minute."""

    def front_end(model, **settings):
        return original(model, backend="eager", **settings)

    def two_splits():
        for number, batch in enumerate(batches(6)):
            yield batch | {"train_test_split_index": 9 + number % 3}

    original = torch.compile
    losses = []
    for compiled in (False, True):
        records = []
        monkeypatch.setattr(torch, "compile", front_end)
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        model = tiny_model(**RECIPES[recipe].architecture)
        train(model, two_splits(), 1e-2, "cpu", compile=compiled, on_step=records.append)
        losses.append([record["loss"] for record in records])
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == compiled
        assert not torch._dynamo.utils.counters["graph_break"]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_ctrl_c_keeps_what_was_learned():
    def interrupted():
        yield from batches(4)
        raise KeyboardInterrupt

    model, expected = tiny_model(), tiny_model()
    train(expected, batches(4), lr=4e-3, device="cpu")
    _, history = train(model, interrupted(), lr=4e-3, device="cpu")
    assert history == []
    for got, wanted in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(got, wanted)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_step_and_datasets(value):
    def poisoned():
        yield from batches(2)
        for batch in batches(1):
            batch["x"][0, 0, 0] = value
            batch["datasets"] = [40, 41, 42]
            yield batch

    model = tiny_model()
    with pytest.raises(TrainingError, match=r"step 3: .* not finite on datasets 40, 41, 42"):
        train(model, poisoned(), lr=4e-3, device="cpu")
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_after_a_loss_that_is_not_finite_the_model_can_be_trained_again():
    [poisoned] = batches(1)
    poisoned["x"][0, 0, 0] = float("nan")
    model, fresh = tiny_model(), tiny_model()
    with pytest.raises(TrainingError):
        train(model, [poisoned], lr=4e-3, device="cpu")
    for parameter in fresh.parameters():
        parameter.grad = torch.full_like(parameter, float("nan"))  # of other work with the model
    for one in (model, fresh):
        records = []
        train(one, batches(3), lr=4e-3, device="cpu", on_step=records.append)
        assert all(np.isfinite(record["loss"]) for record in records)
    assert all(map(torch.equal, model.parameters(), fresh.parameters()))


def test_the_last_step_is_evaluated_too(tiny_dump):
    loader, records = PriorDumpDataLoader(tiny_dump, 5, 4, "cpu"), []
    _, history = train(
        tiny_model(),
        loader,
        device="cpu",
        steps_per_eval=2,
        eval_func=lambda classifier: {"roc_auc": 0.5},
        on_step=records.append,
    )
    assert [record["step"] for record in records if "roc_auc" in record] == [2, 4, 5]
    assert len(history) == 3


def test_a_prior_with_missing_cells_is_refused_before_the_first_step(tiny_dump):
    config = replace(TINY, missing_fraction=(0.1, 0.2))
    live = PriorDataLoader(config, 1, 4, "cpu")
    dump = PriorDumpDataLoader(tiny_dump, 1, 4, "cpu")
    for prior in (live, MixedDataLoader([dump, live], [1, 1], 1)):
        with pytest.raises(ValueError, match="the prior has missing cells, which the model does not take"):
            train(tiny_model(), prior, device="cpu")


def mixed_batch(seed=0):
    """Six datasets in three parts, of different rows, features and splits."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for size, rows, features, split in [(3, 20, 3, 12), (1, 9, 1, 4), (2, 14, 5, 13)]:
        x = torch.randn(size, rows, features, generator=generator)
        y = (x[:, :, 0] > 0).float()
        parts.append({"x": x, "y": y, "train_test_split_index": split})
    return {"parts": parts}


def test_a_mixed_batch_has_the_loss_and_gradients_of_its_datasets_one_at_a_time():
    model, expected_model = tiny_model().double(), tiny_model().double()
    losses = []
    for part in mixed_batch()["parts"]:
        split = part["train_test_split_index"]
        for x, y in zip(part["x"].double(), part["y"].double(), strict=True):
            logits = expected_model((x[None], y[None, :split]), train_test_split_index=split)
            losses.append(nn.functional.cross_entropy(logits[0], y[split:].long()))
    expected = torch.stack(losses).mean()
    expected.backward()
    expected_norm = nn.utils.clip_grad_norm_(expected_model.parameters(), 1.0)

    batch = mixed_batch()
    for part in batch["parts"]:
        part["x"], part["y"] = part["x"].double(), part["y"].double()
    gradients = {}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    optimizer.register_step_pre_hook(
        lambda *_: gradients.update({name: p.grad.clone() for name, p in model.named_parameters()})
    )
    loss, norm = update(model, optimizer, batch, step=1)
    assert loss == pytest.approx(expected.item(), rel=1e-6)  # the sum is kept in float32
    assert norm == pytest.approx(expected_norm.item(), rel=1e-12)
    for name, parameter in expected_model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-9, atol=1e-12)


def test_padding_has_no_influence_on_training(tmp_path):
    rng = np.random.default_rng(0)
    rows, features = rng.integers(6, 13, 16), rng.integers(1, 5, 16)
    splits = rng.integers(2, rows - 1)
    own_rows = np.arange(12) < rows[:, None]  # (D, R)
    own_cells = own_rows[:, :, None] & (np.arange(4) < features[:, None])[:, None]  # (D, R, F)
    x, y = rng.standard_normal((16, 12, 4)), rng.integers(0, 2, (16, 12))
    results = []
    for name, rubbish_x, rubbish_y in [("zero", 0, 0), ("nan", np.nan, np.nan), ("large", -1e30, 77)]:
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["X"] = np.where(own_cells, x, rubbish_x).astype(np.float32)
            file["y"] = np.where(own_rows, y, rubbish_y).astype(np.float32)
            file.update({"num_datapoints": rows, "num_features": features, "single_eval_pos": splits})
            file["max_num_classes"] = np.array([2])
        records, model = [], tiny_model()
        loader = PriorDumpDataLoader(tmp_path / f"{name}.h5", 4, 5, "cpu", seed=0)
        train(model, loader, lr=4e-3, device="cpu", on_step=records.append)
        results.append(([record["loss"] for record in records], [p.detach() for p in model.parameters()]))
    for losses, weights in results[1:]:
        assert losses == results[0][0]
        assert all(torch.equal(got, wanted) for got, wanted in zip(weights, results[0][1], strict=True))


def trained(tmp_path, tiny_dump, last, begin=None):
    """(weights, records, files of the states) of training up to step `last`, from the state in a file."""

    def loader(num_steps):
        dumps = [PriorDumpDataLoader(tiny_dump, num_steps, size, "cpu", seed=0) for size in (4, 6)]
        return MixedDataLoader(dumps, [1, 2], num_steps, seed=0)

    def save(model, state):
        files.append(tmp_path / f"{state['step']}")
        save_checkpoint(model, state, files[-1])

    def evaluate(classifier):
        weights = [parameter.double().sum() for parameter in classifier.model.parameters()]
        return {"roc_auc": torch.stack(weights).sum().item()}

    records, files = [], []
    state = None if begin is None else load_state(begin)
    first = 0 if state is None else state["step"]
    model, _ = train(
        tiny_model(seed=0 if begin is None else 1),  # all comes from the state
        loader(last - first),
        lr=4e-3,
        device="cpu",
        steps_per_eval=2,
        eval_func=evaluate,
        on_step=records.append,
        state=state,
        steps_per_checkpoint=1,
        on_checkpoint=save,
    )
    for record in records:
        assert record.pop("train_time") <= record.pop("wall_time")
        record.pop("wait_time")
    return [parameter.detach() for parameter in model.parameters()], records, files


def test_a_restart_after_any_step_ends_to_the_bit_as_if_undisturbed(tmp_path, tiny_dump):
    weights, records, files = trained(tmp_path, tiny_dump, 8)
    assert [file.name for file in files] == list("12345678")
    assert all(map(torch.equal, load_model(files[-1]).parameters(), weights))
    for done, file in enumerate(files[:-1], start=1):
        again, later_records, _ = trained(tmp_path, tiny_dump, 8, begin=file)
        assert later_records == records[done:]
        assert all(torch.equal(got, wanted) for got, wanted in zip(again, weights, strict=True))


def test_saving_changes_nothing_and_is_done_once_at_the_end(tiny_dump):
    plain, saved, steps = tiny_model(), tiny_model(), []
    train(plain, batches(5), lr=4e-3, device="cpu")
    train(
        saved,
        batches(5),
        lr=4e-3,
        device="cpu",
        steps_per_checkpoint=2,
        on_checkpoint=lambda model, state: steps.append(state["step"]),
    )
    assert steps == [2, 4, 5]
    assert all(map(torch.equal, plain.parameters(), saved.parameters()))
    steps.clear()
    train(
        tiny_model(),
        batches(5),
        device="cpu",
        steps_per_checkpoint=2,
        on_checkpoint=lambda model, state: steps.append(state["step"]),
        should_stop=lambda: True,
    )
    assert steps == [1]


def test_a_state_holds_torchs_generator():
    def drawing(model, state):
        states.append(state)

    def batches_that_draw():
        for batch in batches(3):
            drawn.append(torch.rand(()).item())
            yield batch

    states, drawn = [], []
    train(tiny_model(), batches_that_draw(), device="cpu", steps_per_checkpoint=1, on_checkpoint=drawing)
    first = drawn.copy()
    drawn.clear()
    train(tiny_model(), batches_that_draw(), device="cpu", state=states[0])
    assert drawn[:2] == first[1:]


def test_a_state_of_another_model_or_prior_is_refused(tiny_dump):
    def loader(batch_size):
        return PriorDumpDataLoader(tiny_dump, 2, batch_size, "cpu", seed=0)

    states = []
    train(tiny_model(), loader(4), device="cpu", on_checkpoint=lambda model, state: states.append(state))
    with pytest.raises(StateError, match="size mismatch"):
        train(NanoTabPFNModel(8, 2, 16, 2, 2), loader(4), device="cpu", state=states[0])
    with pytest.raises(StateError, match="batch_size of the state must be this loader's, 8, got 4"):
        train(tiny_model(), loader(8), device="cpu", state=states[0])


def test_a_failing_mixed_batch_names_its_datasets_and_loader():
    batch = mixed_batch() | {"datasets": [5, 6, 7, 8, 9, 10], "loader": 1}
    batch["parts"][1]["x"][:] = float("nan")
    with pytest.raises(TrainingError, match="on datasets 5, 6, 7, 8, 9, 10 of loader 1;"):
        train(tiny_model(), [batch], lr=4e-3, device="cpu")


def test_more_classes_than_outputs_is_an_error_before_any_work(tiny_dump):
    loader = PriorDumpDataLoader(tiny_dump, 1, 4, "cpu")
    loader.max_num_classes = 5
    with pytest.raises(ValueError, match="up to 5 classes, more than the model's 2 outputs"):
        train(tiny_model(), loader, device="cpu")


def test_settings_out_of_range_are_errors():
    with pytest.raises(ValueError, match="lr must be finite and above 0, got 0"):
        train(tiny_model(), batches(1), lr=0)
    for lr in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"lr must be finite and above 0, got {lr}"):
            train(tiny_model(), batches(1), lr=lr)
    with pytest.raises(ValueError, match="steps_per_eval must be at least 1, got 0"):
        train(tiny_model(), batches(1), steps_per_eval=0)
    with pytest.raises(ValueError, match="steps_per_checkpoint must be at least 1, got 0"):
        train(tiny_model(), batches(1), steps_per_checkpoint=0)
