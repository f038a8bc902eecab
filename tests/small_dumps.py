"""Small dumps of datasets that are given by hand, for tests of the file format."""

import h5py
import numpy as np
import pytest

from priors.dataset import Dataset
from priors.dumps.outline import Outline, origin_attributes
from priors.dumps.read import open_dump
from priors.dumps.schema import DumpError
from priors.dumps.write import write_dump

CONFIG = '{"num_datapoints": 12}'
BLOCK = 4
MAX_ROWS, MAX_FEATURES = 12, 3


def write_datasets(
    path,
    blocks,
    *,
    config_json="{}",
    seed=0,
    first_dataset=0,
    feature_names=None,
    target_name=None,
    twins=False,
    **layout,
):
    """`write_dump`, with the fields of its outline as arguments."""
    origin = origin_attributes(config_json, seed, first_dataset, feature_names, target_name)
    return write_dump(path, blocks, Outline(**layout, attributes=origin), twins=twins)


def make_datasets(count=10, *, seed=0, regression=False):
    """`count` datasets in blocks of 4 that share split, rows and features; blocks differ in all three."""
    rng = np.random.default_rng(seed)
    datasets = []
    for i in range(count):
        if i % BLOCK == 0:
            rows, features = int(rng.integers(8, MAX_ROWS + 1)), int(rng.integers(1, MAX_FEATURES + 1))
            split = int(rng.integers(4, rows))
        y = rng.integers(0, 2, rows)
        y[:2] = [0, 1]
        if regression:
            y = rng.normal(size=rows).astype(np.float32)
        x = rng.normal(size=(rows, features)).astype(np.float32)
        properties = {"graph": f"family-{i}", "num_nodes": 5 + i, "noise_scale": i / 8}
        datasets.append(Dataset(x, y, split, properties))
    return datasets


def write(path, datasets, **changes):
    """A dump of `make_datasets`."""
    arguments = {
        "num_datasets": len(datasets),
        "max_rows": MAX_ROWS,
        "max_features": MAX_FEATURES,
        "max_num_classes": 2,
        "block_size": BLOCK,
        "config_json": CONFIG,
        "seed": 2**100,
    }
    return write_datasets(path, [datasets], **(arguments | changes))


def read_all(path):
    with open_dump(path) as dump:
        return dump.read(0, len(dump))


def failure(path):
    """What `open_dump` says of a bad file: one line that begins with the file's name."""
    with pytest.raises(DumpError) as caught:
        open_dump(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def replace_key(path, key, data, **options):
    with h5py.File(path, "r+") as file:
        del file[key]
        if data is not None:
            file.create_dataset(key, data=data, **options)
