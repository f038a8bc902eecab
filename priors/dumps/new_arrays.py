"""The arrays and attributes of a new dump: created, filled piece by piece, and hashed on the way.

D datasets in a file, R rows and F features of one dataset; arrays are padded to max_rows and max_features.
"""

from datetime import UTC, datetime
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from priors.dumps.files import check_space
from priors.dumps.hash import ContentHash
from priors.dumps.schema import PROBLEM_TYPES, as_dump_error

CHUNK_BYTES = 2**20
"""HDF5's smallest default chunk cache: a larger chunk would be decoded again for every record."""

RECORDS_PER_CHUNK = 4096
"""Of the (D,) arrays, which are read whole."""

STORAGE = {"compression": "lzf", "shuffle": True, "fletcher32": True}


class NewArrays:
    """The arrays of a new dump, and the content hash of what was written to them."""

    def __init__(self, path: Path, file: h5py.File, block_size: int):
        self.arrays: dict[str, h5py.Dataset] = {}
        self._path = path
        self._file = file
        self._block_size = block_size
        self._content = ContentHash()

    def create(self, name: str, shape: tuple[int, ...], dtype: Any, stored_name: str | None = None) -> None:
        """Add the array `name` (D, ...); in the file it may have another name."""
        chunks = (min(shape[0], RECORDS_PER_CHUNK),)
        if len(shape) > 1:
            chunks = chunk_shape(shape, self._block_size)
        with as_dump_error(self._path, "cannot be written"):
            self.arrays[name] = self._file.create_dataset(
                stored_name or name, shape, dtype, chunks=chunks, **STORAGE
            )
        self.only_hash(name, shape)

    def only_hash(self, name: str, shape: tuple[int, ...]) -> None:
        """Let the array `name` count for the content hash, though its values lie in another file."""
        self._content.add(name, shape)

    def write(self, start: int, values: dict[str, np.ndarray], copied: frozenset[str] = frozenset()) -> None:
        """Write the datasets from `start` on, and hash them; `copied` arrays are in the file already.

        Raises:
            DumpError: the disk is full, or the file cannot be written.
        """
        stop = start + len(values["X"])
        self.check_space(values)
        with as_dump_error(self._path, "cannot be written"):
            for name, array in self.arrays.items():
                if name not in copied:
                    array[start:stop] = values[name]
        self._content.update(values)

    def check_space(self, values: dict[str, np.ndarray]) -> None:
        """Stop before writing `values` would fill the disk."""
        with as_dump_error(self._path, "cannot be written"):
            check_space(self._path, values["X"].nbytes + values["y"].nbytes)

    def content_hash(self, max_num_classes: int | None) -> str:
        """The hash of all that was written."""
        return self._content.hexdigest(max_num_classes)


def chunk_shape(shape: tuple[int, ...], block_size: int) -> tuple[int, ...]:
    """The chunks of an array: one block of records, or the largest even part of a block that fits into
    CHUNK_BYTES, or a part of one record.

    Examples:
        >>> chunk_shape((1000, 150, 5), block_size=32)
        (32, 150, 5)
        >>> chunk_shape((1000, 512, 25), block_size=32)  # at most 20 records fit
        (16, 512, 25)
    """
    row_bytes = 4 * prod(shape[2:])  # float32
    fitting = max(1, CHUNK_BYTES // (row_bytes * shape[1]))
    records = next(n for n in range(min(fitting, block_size), 0, -1) if block_size % n == 0)
    rows = min(shape[1], max(1, CHUNK_BYTES // row_bytes))
    return (min(records, shape[0]), rows, *shape[2:])


def write_scalars(file: h5py.File, max_num_classes: int | None, block_size: int) -> None:
    """Write the keys that hold for the whole file."""
    if max_num_classes is not None:
        write_integer(file, "max_num_classes", max_num_classes)
    file["problem_type"] = PROBLEM_TYPES[max_num_classes is None]
    write_integer(file, "original_batch_size", block_size)


def write_integer(file: h5py.File, name: str, value: int) -> None:
    """Write an array of one integer. As a chunk, since only chunks have checksums."""
    file.create_dataset(name, data=np.array([value], np.int64), chunks=(1,), fletcher32=True)


def write_attributes(file: h5py.File, attributes: dict[str, Any]) -> None:
    """Write `attributes`, and the time of writing as `created`."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    for name, value in (attributes | {"created": created}).items():
        if isinstance(value, str):
            # Of a fixed width, which lies in the header with its checksum; other texts have no checksum.
            value = np.array(value.encode(), h5py.string_dtype("utf-8", max(1, len(value.encode()))))
        file.attrs[name] = value
