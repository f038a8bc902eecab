"""Shuffle a dump by whole blocks, the datasets that share a split, in the memory of a few MB."""

from pathlib import Path

import numpy as np

from priors.arguments import as_path
from priors.dumps.files import check_target
from priors.dumps.outline import outline_of, shared_block
from priors.dumps.provenance import checked_hash, derived, names_in, source_entry
from priors.dumps.read import open_dump
from priors.dumps.records import pieces_of, step_size
from priors.dumps.rewrite import write_records
from priors.streams import SHUFFLE, stream


def shuffle_dump(path: str | Path, out: str | Path, seed: int) -> int:
    """Write the blocks of a dump in an order drawn from `seed`; inside a block the order stays.

    A last block that is shorter than the others stays last, so that all blocks begin at a multiple of their
    size.

    Args:
        path: the dump.
        out: the new dump.
        seed: of the order.

    Returns:
        The number of blocks that were ordered.

    Raises:
        DumpError: a file cannot be read or written.
        ValueError: a seed out of range.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.generation.generate import generate_dump
        >>> config = PriorConfig(num_datapoints=20, block_size=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "my.h5"
        ...     _ = generate_dump(path, config, num_datasets=4, seed=0)
        ...     shuffle_dump(path, Path(folder) / "shuffled.h5", seed=1)
        2
    """
    rng = stream(seed, SHUFFLE)
    check_target(as_path("out", out))
    with open_dump(path) as dump:
        block = min(shared_block(dump), len(dump))
        num_blocks = len(dump) // block
        firsts = rng.permutation(num_blocks) * block
        order = (firsts[:, None] + np.arange(block)).ravel()  # (num_blocks * block,)
        order = np.concatenate([order, np.arange(num_blocks * block, len(dump))])
        attributes = names_in(dump) | derived(
            f"shuffle of blocks of {block}, seed {seed}", [source_entry(dump, checked_hash(dump))]
        )
        step = step_size(dump.max_rows, dump.max_features, block)
        write_records(out, outline_of(dump, attributes=attributes), pieces_of(dump, step, order))
    return num_blocks
