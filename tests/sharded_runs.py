"""A small dump that is generated in shards, as a whole or up to a shard."""

import pytest

from priors.config import PriorConfig
from priors.generation.generate import generate_dump

TINY = PriorConfig(
    num_datapoints=12, num_features=(2, 3), num_nodes=(4, 5), train_fraction=(0.4, 0.6), block_size=2
)
COUNT, SEED, SIZE = 21, 3, 4
SETTINGS = ["--set", "num_datapoints=12", "--set", "num_features=[2, 3]", "--set", "num_nodes=[4, 5]"]
SETTINGS += ["--set", "train_fraction=[0.4, 0.6]"]


def make(path, **changes):
    arguments = {"config": TINY, "num_datasets": COUNT, "seed": SEED, "shard_size": SIZE, "overwrite": False}
    return generate_dump(path, **(arguments | changes))


def stop_after(path, num_shards, **changes):
    """Make a part of the dump `path`."""

    def stop(_):
        nonlocal num_shards
        num_shards -= 1
        if not num_shards:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(path, on_shard=stop, **changes)
