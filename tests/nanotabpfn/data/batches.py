"""Helpers of the loaders' tests: comparing batches, and dumps that are damaged or of another writer."""

import h5py
import numpy as np
import torch


def assert_equal_batches(left, right):
    assert left.keys() == right.keys()
    for key, value in left.items():
        if torch.is_tensor(value):
            assert torch.equal(value, right[key]), key
            assert value.stride() == right[key].stride(), key  # on which rounding depends
        elif key == "parts":
            for left_part, right_part in zip(value, right[key], strict=True):
                assert_equal_batches(left_part, right_part)
        else:
            assert value == right[key], key


def parts_of(batch):
    return batch.get("parts", [batch])


def order(loader):
    return [index for batch in loader for index in batch["datasets"]]


def changed(path, original, change):
    """A copy of the dump `original` at `path`, with `change(file)` made to it."""
    path.write_bytes(original.read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def damage(records):
    def change(file):
        file["X"][records, 0, 0] = np.inf

    return change


def write_foreign_dump(path):
    """40 datasets of another writer: rows, features and split differ, rubbish as padding.

    Returns the path and the datasets without padding, (x, y, split) each.
    """
    rng = np.random.default_rng(0)
    x, y = np.full((40, 12, 4), np.nan, np.float32), np.full((40, 12), np.inf, np.float32)
    x[::2], y[::2] = 1e30, 99
    rows, features = rng.integers(6, 13, 40), rng.integers(1, 5, 40)
    splits = rng.integers(2, rows - 1)
    datasets = []
    for i in range(40):
        x[i, : rows[i], : features[i]] = rng.standard_normal((rows[i], features[i]))
        y[i, : rows[i]] = rng.integers(0, 2, rows[i])
        datasets.append((x[i, : rows[i], : features[i]].copy(), y[i, : rows[i]].copy(), int(splits[i])))
    with h5py.File(path, "w") as file:
        file.update({"X": x, "y": y, "num_datapoints": rows, "num_features": features})
        file.update({"single_eval_pos": splits, "max_num_classes": np.array([2])})
    return path, datasets
