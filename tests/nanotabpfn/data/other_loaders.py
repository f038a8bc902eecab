"""How other programs read dumps: readers that take the keys, slices and types that their loaders take.

References:
    automl/nanoTabPFN, train.py: PriorDumpDataLoader
    automl/TFM-Playground, tfmplayground/priors/dataloader.py: PriorDumpDataLoader, dump_prior_to_h5
    soda-inria/tabicl, src/tabicl/prior/_genload.py: LoadPriorDataset
"""

import h5py
import numpy as np
import torch


def published_batches(path, num_steps, batch_size):
    """(x, y, split) of each step: the published loader cuts a batch to its largest dataset, takes the first
    split for all of it, and begins again at the end of the file."""
    with h5py.File(path) as file:
        assert int(file["max_num_classes"][0]) >= 2
        yield from _slices(file, file["single_eval_pos"], num_steps, batch_size)


def playground_batches(path, num_steps, batch_size):
    """The problem, then (x, y, split) of each step, as TFM-Playground's loader reads them."""
    with h5py.File(path) as file:
        problem = file["problem_type"][()].decode("utf-8")
        assert ("max_num_classes" in file) == (problem == "classification")
        yield problem
        splits = file["train_test_split_index" if "train_test_split_index" in file else "single_eval_pos"]
        yield from _slices(file, splits, num_steps, batch_size)


def _slices(file, splits, num_steps, batch_size):
    start = 0
    for _ in range(num_steps):
        stop = start + batch_size
        rows, features = int(file["num_datapoints"][start:stop].max()), file["num_features"][start:stop].max()
        x = torch.from_numpy(file["X"][start:stop, :rows, :features])
        y = torch.from_numpy(file["y"][start:stop, :rows])
        yield x, y, splits[start:stop][0].item()
        start = stop if stop < len(file["X"]) else 0


def write_playground_dump(path, batches, max_num_classes, split_key="train_test_split_index"):
    """A dump with the keys, types and chunks that TFM-Playground writes.

    Args:
        batches: (x (B, R, F), y (B, R), split) each, all of one B.
        max_num_classes: None for regression.
        split_key: its older versions wrote `single_eval_pos`.
    """
    size = len(batches[0][0])
    rows, features = (max(x.shape[axis] for x, _, _ in batches) for axis in (1, 2))
    with h5py.File(path, "w") as file:

        def growing(name, *shape, dtype="f4", **options):
            return file.create_dataset(
                name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(size, *shape), **options
            )

        arrays = [growing("X", rows, features, compression="lzf"), growing("y", rows)]
        arrays += [growing(name, dtype="i4") for name in ("num_features", "num_datapoints", split_key)]
        if max_num_classes is not None:
            file.create_dataset("max_num_classes", data=np.array((max_num_classes,)), chunks=(1,))
        file.create_dataset("original_batch_size", data=np.array((size,)), chunks=(1,))
        problem = "regression" if max_num_classes is None else "classification"
        file.create_dataset("problem_type", data=problem, dtype=h5py.string_dtype())
        for x, y, split in batches:
            wide = np.pad(x, ((0, 0), (0, rows - x.shape[1]), (0, features - x.shape[2])))
            long = np.pad(y, ((0, 0), (0, rows - y.shape[1])))
            for array, values in zip(arrays, (wide, long, x.shape[2], x.shape[1], split), strict=True):
                array.resize(len(array) + size, axis=0)
                array[-size:] = values


def tabicl_batches(folder, num_files):
    """(x (B, R, F), y (B, R), d, seq_lens, train_sizes) of each file, padded with 0, as TabICL trains on."""
    for number in range(num_files):
        batch = torch.load(folder / f"batch_{number:06d}.pt", map_location="cpu", weights_only=True)
        x, y, widths, lengths = batch["X"], batch["y"], batch["d"], batch["seq_lens"]
        if x.is_nested:
            x, y = x.to_padded_tensor(0.0), y.to_padded_tensor(0.0)
        else:  # of one length: the cells of each row, one after the other
            row_widths = widths.repeat_interleave(lengths[0])
            assert row_widths.sum() == len(x)
            dense = torch.zeros(len(row_widths), int(row_widths.max()), dtype=torch.float32)
            dense[torch.arange(dense.shape[1]) < row_widths[:, None]] = x
            x = dense.view(batch["batch_size"], int(lengths[0]), -1)
        yield x, y, widths, lengths, batch["train_sizes"]
