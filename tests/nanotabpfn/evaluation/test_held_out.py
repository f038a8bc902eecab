"""Scores on datasets held out: those of one dataset at a time, by scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from nanotabpfn.evaluation.held_out import score_held_out
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.bins import log_density, mean, standard_edges


def part(size, rows, features, split, num_classes, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(size, rows, features, generator=generator)
    y = torch.randint(num_classes, (size, rows), generator=generator).float()
    y[:, :num_classes] = torch.arange(num_classes).float()
    y[:, split : split + num_classes] = torch.arange(num_classes).float()
    return {"x": x, "y": y, "train_test_split_index": split}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return NanoTabPFNModel(8, 2, 12, 1, 3).eval()


def probabilities(model, x, y, split):
    with torch.inference_mode():
        logits = model((x[None], y[None, :split]), train_test_split_index=split)[0]
    return torch.softmax(logits.double(), dim=1).numpy(), y[split:].numpy()


def test_scores_are_the_means_over_datasets_of_scikit_learns(model):
    parts = [part(4, 30, 3, 12, 3, seed=0), part(3, 25, 2, 9, 2, seed=1), part(1, 20, 5, 11, 3, seed=2)]
    losses, accuracies, roc_aucs = [], [], []
    for one in parts:
        for x, y in zip(one["x"], one["y"], strict=True):
            p, classes = probabilities(model, x, y, one["train_test_split_index"])
            losses.append(log_loss(classes, p, labels=[0, 1, 2]))
            accuracies.append(accuracy_score(classes, p.argmax(axis=1)))
            if y.max() == 2:
                roc_aucs.append(roc_auc_score(classes, p, multi_class="ovr"))
            else:
                roc_aucs.append(roc_auc_score(classes, p[:, 1] / p[:, :2].sum(axis=1)))
    scores = score_held_out(model, [{"parts": parts[:2]}, parts[2]], "cpu")
    assert scores["held_out_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert scores["held_out_accuracy"] == pytest.approx(np.mean(accuracies))
    assert scores["held_out_roc_auc"] == pytest.approx(np.mean(roc_aucs))


def test_a_dataset_whose_test_rows_are_of_one_class_has_no_roc_auc(model):
    usual, single = part(1, 20, 2, 10, 2, seed=0), part(1, 20, 2, 10, 2, seed=1)
    single["y"][:, 10:] = 1
    expected = score_held_out(model, [usual], "cpu")["held_out_roc_auc"]
    assert score_held_out(model, [usual, single], "cpu")["held_out_roc_auc"] == expected
    assert score_held_out(model, [single], "cpu").keys() == {"held_out_loss", "held_out_accuracy"}


def test_a_class_that_is_missing_among_the_test_rows_does_not_count(model):
    one = part(1, 30, 2, 15, 3, seed=0)
    one["y"][0, 15:] = (torch.arange(15) % 2).float()
    p, classes = probabilities(model, one["x"][0], one["y"][0], 15)
    expected = np.mean([roc_auc_score(classes == k, p[:, k]) for k in (0, 1)])
    assert score_held_out(model, [one], "cpu")["held_out_roc_auc"] == pytest.approx(expected)


def test_of_real_targets_it_is_the_log_density_and_the_r2_of_all_rows_together():
    torch.manual_seed(0)
    model = NanoTabPFNModel(8, 2, 12, 1, 10, bin_edges=standard_edges(10)).eval()
    parts = [part(3, 30, 3, 12, 2, seed=0), part(2, 25, 2, 9, 2, seed=1)]
    losses, errors, spread = [], [], []
    for one in parts:
        one["y"] = 5 + 20 * torch.randn(one["y"].shape, generator=torch.Generator().manual_seed(2))
        split = one["train_test_split_index"]
        for x, y in zip(one["x"], one["y"], strict=True):
            z = ((y - y[:split].mean()) / y[:split].std(correction=0)).float()
            with torch.inference_mode():
                logits = model((x[None], z[None, :split]), train_test_split_index=split)[0]
            losses.append(-log_density(logits, model.bin_edges, z[split:]).mean().item())
            errors += (mean(logits, model.bin_edges) - z[split:]).square().tolist()
            spread += (z[split:] - z[split:].mean()).square().tolist()
    scores = score_held_out(model, [{"parts": parts}], "cpu")
    assert scores == {
        "held_out_loss": pytest.approx(np.mean(losses), rel=1e-5),
        "held_out_r2": pytest.approx(1 - sum(errors) / sum(spread), rel=1e-4),
    }
