"""Write the records of other files as a dump, as they are, good or bad."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from priors.dumps.files import new_hdf5
from priors.dumps.new_arrays import NewArrays, write_attributes, write_integer, write_scalars
from priors.dumps.outline import Outline
from priors.dumps.schema import (
    COUNT_KEYS,
    FORMAT_VERSION,
    SPLIT_KEYS,
    TABLE_KEYS,
    TEXT,
    TEXT_BYTES,
    DumpError,
    as_dump_error,
)

LAYOUTS = ("ours", "published", "tfm-playground")
"""Which keys a dump has: all; the six of the published dump; those that TFM-Playground writes, the published
ones with the split renamed, the problem and the size of a batch."""


def write_records(
    path: str | Path, outline: Outline, pieces: Iterable[dict[str, np.ndarray]], layout: str = "ours"
) -> str:
    """Write records as they are, good or bad, to `path`: a dump that is made of other files.

    Args:
        path: the file to write, as by `write_dump`.
        outline: what holds for all of them.
        pieces: consecutive records by key: X (n, max_rows, max_features), y (n, max_rows), perhaps X_do and
            y_do alike, the sizes and the split (n,), each properties/NAME (n,); the same keys in all pieces.
        layout: of LAYOUTS.

    Returns:
        The content hash that the file carries.

    Raises:
        DumpError: the file cannot be written, or `pieces` holds fewer or more records than announced.

    Examples:
        >>> import tempfile
        >>> from priors.dumps.read import open_dump
        >>> outline = Outline(1, max_rows=4, max_features=2, max_num_classes=2, block_size=1)
        >>> record = {"X": np.full((1, 4, 2), np.inf), "y": np.array([[0, 1, 0, 1]])}
        >>> record |= {"num_features": np.array([2]), "num_datapoints": np.array([4])}
        >>> record |= {"single_eval_pos": np.array([2])}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = write_records(f"{folder}/mine.h5", outline, [record])
        ...     with open_dump(f"{folder}/mine.h5") as dump:
        ...         dump.read(0, 1)[0].max().tolist()
        inf
    """
    path = Path(path)
    start, count = 0, outline.num_datasets
    with new_hdf5(path) as file:
        arrays = NewArrays(path, file, outline.block_size)
        for values in pieces:
            stop = start + len(values["X"])
            if stop > count:
                raise DumpError(f"{path}: must get {count} records, got more")
            if not arrays.arrays:
                _create_arrays(arrays, outline, values, layout)
            _check_texts(path, arrays, values)
            arrays.write(start, values)
            start = stop
        if start < count:
            raise DumpError(f"{path}: must get {count} records, got {start}")
        content = arrays.content_hash(outline.max_num_classes)
        attributes = outline.attributes | {
            "format_version": FORMAT_VERSION,
            "allow_missing": outline.allow_missing,
            "content_hash": content,
        }
        with as_dump_error(path, "cannot be written"):
            if layout != "published":
                write_scalars(file, outline.max_num_classes, outline.block_size)
            elif outline.max_num_classes is not None:
                write_integer(file, "max_num_classes", outline.max_num_classes)
            write_attributes(file, attributes)
    return content


def _create_arrays(arrays: NewArrays, outline: Outline, values: dict[str, np.ndarray], layout: str) -> None:
    """An array for each key of the first piece that the layout has."""
    for name, column in values.items():
        if layout != "ours" and name not in ("X", "y", *COUNT_KEYS):
            continue
        renamed = name == SPLIT_KEYS[0] and layout == "tfm-playground"
        stored = SPLIT_KEYS[1] if renamed else None
        shape = (outline.num_datasets, *column.shape[1:])
        arrays.create(name, shape, _stored_as(name, column), stored)


def _stored_as(name: str, values: np.ndarray) -> Any:
    if name in TABLE_KEYS:
        return np.float32
    if name in COUNT_KEYS:
        return np.int32
    return {"O": TEXT, "U": TEXT, "f": np.float64}.get(values.dtype.kind, np.int64)


def _check_texts(path: Path, arrays: NewArrays, values: dict[str, np.ndarray]) -> None:
    for name, array in arrays.arrays.items():
        if array.dtype.kind == "S" and any(len(text.encode()) > TEXT_BYTES for text in values[name]):
            raise DumpError(f"{path}: {name} must be texts of at most {TEXT_BYTES} bytes")
