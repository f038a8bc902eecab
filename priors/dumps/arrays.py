"""One array of a dump: opened only if it lies in the file itself, or in the shards of an index.

HDF5 follows links and virtual arrays to any other file. A hostile file could have any other file of the
machine read that way, so all of this is refused before HDF5 opens anything.
"""

import os
import stat
from math import ceil, prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from priors.dumps.schema import (
    MAX_INDEXED_SHARDS,
    MOST_BYTES,
    SHARD_NAME,
    SHARDS_SUFFIX,
    DumpError,
    as_dump_error,
)


def open_array(
    path: Path, group: h5py.Group, key: str, kinds: str, may_be_index: bool = False
) -> h5py.Dataset:
    """The array called `key`.

    Args:
        kinds: numpy's letters of the kinds of values that it may hold; T is text.
        may_be_index: whether it may be a virtual array that is made of the shards of an index.

    Raises:
        DumpError: there is no such array in the file itself, or it holds values of another kind.

    Examples:
        >>> with h5py.File("in memory", "w", driver="core", backing_store=False) as file:
        ...     file["X"] = h5py.ExternalLink("another.h5", "X")
        ...     open_array(Path("mine.h5"), file, "X", kinds="f")
        Traceback (most recent call last):
        priors.dumps.schema.DumpError: mine.h5: X is a link; only what lies in the file itself is read
    """
    with as_dump_error(path, f"{key} cannot be read"):
        link = group.get(key, getlink=True)
        if link is None:
            raise DumpError(f"{path}: has no readable key {key!r}; it has {', '.join(group) or 'none'}")
        if not isinstance(link, h5py.HardLink):
            raise DumpError(f"{path}: {key} is a link; only what lies in the file itself is read")
        array = group[key]
        if not isinstance(array, h5py.Dataset):
            raise DumpError(f"{path}: {key} must be an array, got a group")
        # Before its shape is read, since that may open the files that a virtual array is made of.
        if array.is_virtual and may_be_index:
            _check_shards(path, key, array)
        elif array.is_virtual or array.external:
            raise DumpError(
                f"{path}: {key} is stored in other files; only what lies in the file itself is read"
            )
        if array.shape is None:
            raise DumpError(f"{path}: {key} is empty")
        chunk_bytes = prod(array.chunks or ()) * array.dtype.itemsize
        if chunk_bytes > MOST_BYTES:
            raise DumpError(
                f"{path}: a chunk of {key} may take at most {MOST_BYTES:,} bytes, got {chunk_bytes:,}"
            )
        kind = "T" if h5py.check_string_dtype(array.dtype) else array.dtype.kind
        if kind not in kinds:
            wanted = {"T": "text", "iu": "integers"}.get(kinds, "numbers")
            raise DumpError(f"{path}: {key} must hold {wanted}, got {array.dtype}")
    return array


def _check_shards(path: Path, key: str, array: h5py.Dataset) -> None:
    """Stop unless virtual `array` is made of whole shards of the dump at `path`, one after the other.

    Each file name in the array must be the one that follows from the name of the index, which the caller
    gave: a plain file (no link, no pattern of HDF5's) in a plain folder (no link) in the folder of the index.
    Inside of a shard the array must lie in that file itself, so that nothing leads further. The shards must
    cover `array` without a gap: HDF5 would fill a gap, and a few bytes could then claim any amount of data.
    """
    path = Path(os.path.realpath(path))
    folder = path.with_name(path.name + SHARDS_SUFFIX)
    if os.path.islink(folder) or not os.path.isdir(folder):
        raise DumpError(
            f"{path}: {key} is stored in other files; there is no folder {folder.name} in {path.parent}"
        )
    sources = array.virtual_sources()
    if not 0 < len(sources) <= MAX_INDEXED_SHARDS:
        raise DumpError(f"{path}: {key} must be of 1..{MAX_INDEXED_SHARDS} shards, got {len(sources)}")
    start = 0
    for source in sources:
        place, slash, name = source.file_name.partition("/")
        if place + slash != f"{folder.name}/" or not SHARD_NAME.fullmatch(name) or source.dset_name != key:
            raise DumpError(f"{path}: {key} is stored in other files; only shards in {folder.name} are read")
        shape = _shape_in_shard(path, folder / name, key)
        low, high = source.vspace.get_select_bounds()
        expected = (start, *(0 for _ in shape[1:])), (start + shape[0] - 1, *(n - 1 for n in shape[1:]))
        whole = source.src_space.get_select_type() == h5py.h5s.SEL_ALL
        if (low, high) != expected or source.vspace.get_select_npoints() != prod(shape) or not whole:
            raise DumpError(
                f"{path}: {key} must be made of whole shards in order, which {folder / name} breaks"
            )
        start += shape[0]
    if array.shape != (start, *shape[1:]):
        raise DumpError(f"{path}: {key} has the shape {array.shape}, and its shards hold {start} datasets")


def _shape_in_shard(path: Path, shard: Path, key: str) -> tuple[int, ...]:
    if not shard.exists():
        raise DumpError(f"{path}: its shard {shard} is not there")
    if not stat.S_ISREG(os.lstat(shard).st_mode):
        raise DumpError(f"{path}: its shard {shard} is not a regular file")
    with as_dump_error(shard, "is not a whole HDF5 file"), h5py.File(shard, "r") as file:
        return open_array(shard, file, key, "iufb").shape


def read_whole(path: Path, key: str, array: h5py.Dataset) -> np.ndarray:
    """All values of a small array."""
    with as_dump_error(path, f"{key} cannot be read"):
        return np.asarray(array[()])


def is_written(array: h5py.Dataset) -> bool:
    """Whether all of `array` is in the file. HDF5 makes up the values of parts that are not.

    Examples:
        >>> with h5py.File("in memory", "w", driver="core", backing_store=False) as file:
        ...     empty = file.create_dataset("empty", (4, 2), np.float32, chunks=(2, 2))
        ...     full = file.create_dataset("full", data=np.zeros((4, 2)), chunks=(2, 2))
        ...     is_written(empty), is_written(full)
        (False, True)
    """
    if array.chunks is None:
        return array.id.get_storage_size() >= array.nbytes
    chunks = prod(ceil(size / chunk) for size, chunk in zip(array.shape, array.chunks, strict=True))
    return array.id.get_num_chunks() >= chunks


def plain_value(value: Any) -> Any:
    """numpy's scalars, bytes and arrays of one element as Python's own values.

    Examples:
        >>> plain_value(np.array([32])), plain_value(b"mixed"), plain_value(np.float32(0.5))
        (32, 'mixed', 0.5)
    """
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, np.generic):
        value = value.item()
    return value.decode(errors="replace") if isinstance(value, bytes) else value
