"""Join shards: the dump that they are pieces of, as one file or as an index of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from priors.dumps.files import new_hdf5
from priors.dumps.hash import hashed_pieces, hashed_shapes
from priors.dumps.new_arrays import NewArrays, write_attributes, write_scalars
from priors.dumps.read import Dump, open_dump
from priors.dumps.schema import (
    COUNT_KEYS,
    MAX_INDEXED_SHARDS,
    NAMES,
    SHARDS_SUFFIX,
    TABLE_KEYS,
    DumpError,
    as_dump_error,
)

# What the pieces of one dump have in common.
COMMON_ATTRIBUTES = (
    "format_version", "generator", "config", "seed", "prior_version", "allow_missing", *NAMES
)  # fmt: skip
COMMON_LAYOUT = ("max_rows", "max_features", "max_num_classes", "block_size", "properties", "has_twins")


@dataclass
class Joined:
    """The dump that is being made of shards."""

    path: Path
    arrays: NewArrays
    num_datasets: int
    index_of: str | None
    layouts: dict[str, h5py.VirtualLayout] = field(default_factory=dict)
    """Of an index: the virtual arrays, by name."""
    start: int = 0
    """The number of datasets that are in it."""


def join_shards(
    path: str | Path, shards: Sequence[Path], num_datasets: int, index_of: str | None = None
) -> str:
    """Write the dump that `shards` are the pieces of, in the memory of a few MB.

    Its contents, and so its content hash, are those of the dump that was never cut.

    Args:
        path: the file to write, as by `write_dump`.
        shards: dumps by `write_dump`, in order, of whole blocks; the last may end in a shorter one.
        num_datasets: D, how many datasets they hold together.
        index_of: if given, X and y stay in the shards, and the file is an index of HDF5 virtual datasets. It
            must then be moved to that name, in the folder where the folder ``<index_of>.shards`` lies.

    Returns:
        The content hash that the file carries.

    Raises:
        DumpError: a shard is damaged or does not continue the one before it (the message names it), there are
            too many for an index, or the file cannot be written.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.generation.generate import write_shard
        >>> from priors.generation.shards import Plan
        >>> plan = Plan(PriorConfig(num_datapoints=20, block_size=2), num_datasets=4, seed=0, shard_size=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     shards = [Path(folder) / "first.h5", Path(folder) / "second.h5"]
        ...     sizes = [write_shard(plan, number, shard) for number, shard in enumerate(shards)]
        ...     _ = join_shards(Path(folder) / "all.h5", shards, num_datasets=4)
        ...     with open_dump(Path(folder) / "all.h5") as dump:
        ...         print(sizes, len(dump))
        [2, 2] 4
    """
    path = Path(path)
    if index_of is not None and len(shards) > MAX_INDEXED_SHARDS:
        raise DumpError(
            f"{path}: an index holds at most {MAX_INDEXED_SHARDS} shards, got {len(shards)}; make them larger"
        )
    common: dict[str, Any] = {}
    with new_hdf5(path) as file:
        for shard_path in shards:
            with open_dump(shard_path) as shard:
                if not common:
                    common = _in_common(shard, 0)
                    joined = Joined(path, NewArrays(path, file, common["block_size"]), num_datasets, index_of)
                    _create_arrays(joined, shard)
                is_next = joined.start + len(shard) <= num_datasets
                if not is_next or _in_common(shard, joined.start) != common:
                    raise DumpError(f"{shard_path}: does not continue {shards[0]}: it is of another dump")
                _append(joined, shard)
        if joined.start < num_datasets:
            raise DumpError(f"{path}: the shards must hold {num_datasets} datasets, got {joined.start}")

        content = joined.arrays.content_hash(common["max_num_classes"])
        known = [name for name in (*COMMON_ATTRIBUTES, "first_dataset") if common[name] is not None]
        attributes = {name: common[name] for name in known} | {"content_hash": content}
        with as_dump_error(path, "cannot be written"):
            for name, layout in joined.layouts.items():
                # HDF5 returns NaN, without an error, if it cannot open a shard; `Dump.read` checks for it.
                file.create_virtual_dataset(name, layout, fillvalue=np.nan)
            write_scalars(file, common["max_num_classes"], common["block_size"])
            write_attributes(file, attributes)
    return content


def _in_common(shard: Dump, start: int) -> dict[str, Any]:
    """What must be the same in all shards; `start` datasets come before this one's."""
    found = {name: shard.attributes.get(name) for name in COMMON_ATTRIBUTES}
    found |= {name: getattr(shard, name) for name in COMMON_LAYOUT}
    return found | {"first_dataset": shard.attributes.get("first_dataset", 0) - start}


def _create_arrays(joined: Joined, first: Dump) -> None:
    """The arrays of the dump; those that stay in the shards of an index are virtual."""
    kinds = dict.fromkeys(TABLE_KEYS, np.float32) | dict.fromkeys(COUNT_KEYS, np.int32)
    for name, shape in hashed_shapes(first, joined.num_datasets).items():
        if joined.index_of is not None and name in TABLE_KEYS:
            joined.layouts[name] = h5py.VirtualLayout(shape, np.float32)
            joined.arrays.only_hash(name, shape)
        else:
            dtype = kinds[name] if name in kinds else first.arrays[name].dtype
            joined.arrays.create(name, shape, dtype)


def _append(joined: Joined, shard: Dump) -> None:
    """Add the datasets of a shard."""
    start = joined.start
    for name, layout in joined.layouts.items():
        # Relative to the index, with "/" on every system.
        source = f"{joined.index_of}{SHARDS_SUFFIX}/{shard.path.name}"
        shape = (len(shard), *layout.shape[1:])
        layout[start : start + len(shard)] = h5py.VirtualSource(source, name, shape)
    for low, high, values in hashed_pieces(shard):
        joined.arrays.check_space(values)
        with as_dump_error(joined.path, "cannot be written"):
            copied = frozenset(
                name
                for name, array in joined.arrays.arrays.items()
                if _copied(shard.arrays[name], array, low, high, start)
            )
        joined.arrays.write(start + low, values, copied)
    joined.start += len(shard)


def _copied(source: h5py.Dataset, target: h5py.Dataset, low: int, high: int, start: int) -> bool:
    """Copy the chunks of records low..high-1 of `source` as they are, to `start` + low on in `target`.

    This takes a tenth of the time of compressing them again. Returns False, and copies nothing, if the chunks
    do not line up or are stored in another way.
    """
    kinds = [(a.dtype, a.chunks, a.compression, a.shuffle, a.fletcher32) for a in (source, target)]
    step = target.chunks[0]
    if kinds[0] != kinds[1] or low % step or start % step or (high % step and high < len(source)):
        return False
    grid = [range(0, size, chunk) for size, chunk in zip(target.shape, target.chunks, strict=True)]
    for offset in product(range(low, high, step), *grid[1:]):
        mask, content = source.id.read_direct_chunk(offset)
        target.id.write_direct_chunk((start + offset[0], *offset[1:]), content, mask)
    return True
